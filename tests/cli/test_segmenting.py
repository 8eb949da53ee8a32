"""`segment`, `train-segment` and `evaluate-segment`: what they print, and what they refuse in one line."""

import json

import pytest
from tests.training.segments.conftest import write_set
from tests.workflows.bowl_models import write_bowl_model

from groundshift.cli.options import UsageError
from groundshift.cli.segmenting import evaluate_segment, segment, train_segment
from groundshift.errors import MissingFileError
from groundshift.inventory import read_inventory
from groundshift.training.config import MachineConfig, PlanConfig
from groundshift.training.segments.config import SegmentDataConfig, SegmentModelConfig
from groundshift.workflows import segmenting
from groundshift.workflows.segments_config import SegmentsConfig


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("isslide"), interferograms=3, moves=1)


def test_segment_leaves_an_inventory(mines, tmp_path, monkeypatch, capsys):
    for name in ("draw_pair", "draw_places"):
        monkeypatch.setattr(segmenting, name, lambda *_: None)
    model = write_bowl_model(tmp_path / "m.onnx", "footprint", edge=1.0)
    options = SegmentsConfig(model=str(model), pixel=20.0, days=12, share=0.6)
    assert segment((mines,), output=tmp_path / "out", segments=options, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["interferograms"] == 9
    assert told["targets"] == [t.id for t in read_inventory(tmp_path / "out" / "inventory.gpkg")]
    assert len(told["targets"]) >= 1


def test_a_network_is_trained_and_judged(data_set, tmp_path, capsys):
    pytest.importorskip("torch", reason="needs torch (the train extra)")
    assert train_segment(
        (data_set,), output=tmp_path / "run", model=SegmentModelConfig(network="resunet"),
        data=SegmentDataConfig(validation_share=0), plan=PlanConfig(steps=1, batch=2),
        machine=MachineConfig(threads=1, workers=0), quiet=True,
    ) == 0  # fmt: skip
    assert evaluate_segment((data_set,), model=(str(tmp_path / "run" / "model.onnx"),), quiet=True) == 0
    text = capsys.readouterr().out
    assert "ResUNet *" in text
    assert sum(line.startswith("run ") for line in text.splitlines()) == 2


def test_wrong_usage_is_one_line(data_set, tmp_path):
    with pytest.raises(UsageError, match=r"^no data set given; name folders in the format of ISSLIDE$"):
        train_segment(output=tmp_path / "out")
    with pytest.raises(UsageError, match=r"^no data set given; name folders in the format of ISSLIDE$"):
        evaluate_segment()
    with pytest.raises(UsageError, match=r"^--probability: expected above 0 and below 1, instead got 1$"):
        evaluate_segment((data_set,), probability=1)
    with pytest.raises(MissingFileError, match=r"nothing.onnx: no such file or folder"):
        evaluate_segment((data_set,), model=(str(tmp_path / "nothing.onnx"),))
    with pytest.raises(MissingFileError, match=r"no such file or folder"):
        train_segment((tmp_path / "nothing",), output=tmp_path / "out")
