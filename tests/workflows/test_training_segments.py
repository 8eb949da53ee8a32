"""Training and judging networks that outline moving slopes, from a data set to Table I."""

import json
import math

import numpy as np
import pytest
from tests.detect.test_segments import write_most
from tests.training.segments.conftest import planes_of, write_set
from tests.workflows.bowl_models import write_bowl_model

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.detect.segments import SegmentNetwork  # noqa: E402
from groundshift.errors import NoDataError, OutputError  # noqa: E402
from groundshift.training import export  # noqa: E402
from groundshift.training.checkpoint import load_checkpoint  # noqa: E402
from groundshift.training.config import MachineConfig, PlanConfig  # noqa: E402
from groundshift.training.segments.config import (  # noqa: E402
    SegmentDataConfig,
    SegmentModelConfig,
    SegmentTrainConfig,
)
from groundshift.workflows import learning, training_segments  # noqa: E402
from groundshift.workflows.evaluating_segments import PUBLISHED, run_segment_evaluation  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402
from groundshift.workflows.training_segments import run_segment_training  # noqa: E402

FILES = ["checkpoint.pt", "curves.png", "metrics.csv", "model.onnx", "predictions.png", "train.yaml"]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("isslide"))


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """One thread; pictures and models only where a test wants them."""
    monkeypatch.setitem(export._OUTPUTS, "footprint_of_many", ("probability",))
    if "files" not in request.fixturenames:
        monkeypatch.setattr(training_segments, "draw_segments", lambda *_: None)
        monkeypatch.setattr(learning, "export_onnx", lambda *_: None)
        monkeypatch.setattr(learning, "draw_curves", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def files():
    """Tell that a test wants pictures and models."""


@pytest.fixture
def settings(data_set, tmp_path):
    def make(name="out", network="resunet", *, inputs=None, machine=None, data=None, **plan):
        return SegmentTrainConfig(
            inputs=(data_set,) if inputs is None else inputs,
            output=tmp_path / name,
            model=SegmentModelConfig(network=network, width=0.2),
            data=SegmentDataConfig(**{"validation_share": 0.25, "dates": 2, **(data or {})}),
            plan=PlanConfig(**{"steps": 3, "batch": 2, "validate_every": 2, "record_every": 1, **plan}),
            machine=MachineConfig(**{"threads": 1, "workers": 0, **(machine or {})}),
        )

    return make


def ran(config, **options):
    with Reporter(quiet=True) as reporter:
        return run_segment_training(config, reporter, **options)


def judged(roots, models, log, **options):
    with Reporter(quiet=True, log=log) as reporter:
        found = run_segment_evaluation(roots, [str(m) for m in models], reporter, **options)
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return found, [line["text"] for line in lines if line["event"] == "warning"]


@pytest.mark.parametrize("network", ["slidenet", "slidenet_times"])
def test_a_run_leaves_its_files_and_a_model_that_can_be_judged(network, settings, files, data_set, tmp_path):
    done = ran(settings(network=network))
    assert (done.ending, done.step) == ("done", 3)
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")) == FILES
    assert set(done.figures) == {"f1", "iou", "dice"}
    assert SegmentNetwork.load(done.model).sees_many == (network == "slidenet_times")
    found, warned = judged([data_set], [done.model], tmp_path / "log.jsonl")
    assert warned == []
    rows = found.several if network == "slidenet_times" else found.single
    assert [r.name for r in rows] == ["out"]
    assert all(0 <= v <= 1 for v in rows[0].clean[:4])
    _, warned = judged([data_set], [done.model], tmp_path / "log.jsonl", split="paper")
    assert warned == [
        "out learned from this data set with --split clean --seed 0; some of what it is judged by here may have taught "
        "it"
    ]


def test_the_authors_way_leaves_all_patches_to_learn_from(settings):
    config = settings(
        data={"split": "paper", "validation_share": 0.0, "still": False, "symmetry": False}, optimiser="adam",
        rate=1e-5, average=0.0, weight_decay=0.0, epochs=1.0,
    )  # fmt: skip
    done = ran(config)
    # Two zones learn; of five interferograms four, of which one is quiet, with two patches each, in batches of two.
    assert done.steps == 2 * 3 * 2 / 2
    assert done.figures == {}


def test_stopped_run_goes_on_bit_for_bit(settings):
    through = ran(settings("through", steps=4, validate_every=100))
    for _ in range(4):
        again = ran(settings("again", steps=4, validate_every=100, machine={"max_minutes": 1e-6}))
    assert (through.step, again.step) == (4, 4)
    one, other = (load_checkpoint(run.checkpoint)["model"] for run in (through, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_settings_or_samples_are_not_gone_on_with(settings, tmp_path):
    ran(settings(steps=1))
    with pytest.raises(OutputError, match=r"holds a run with another setting of symmetry"):
        ran(settings(steps=1, data={"symmetry": False}))


def test_there_must_be_motion_to_learn_from(settings, tmp_path):
    with pytest.raises(NoDataError, match=r"^no data set given"):
        ran(settings(inputs=()))


def test_table_one_has_published_rows_and_ours(data_set, tmp_path):
    # A model that is right wherever the phase of the hill is not wrapped, and one that sees nothing.
    models = [write_bowl_model(tmp_path / f"{n}.onnx", "footprint", edge=edge, name=n)
              for n, edge in (("some", 1.0), ("none", 9.0))]  # fmt: skip
    found, _ = judged([data_set], models, tmp_path / "log.jsonl", split="paper")
    assert [r.name for r in found.single] == ["some", "none"]
    assert found.patches == 2
    assert found.zones == ("Queyras",)
    some, none = found.single
    assert some.clean.f1 > 0
    assert (none.clean.f1, none.clean.hd95) == (0, pytest.approx(100 * math.sqrt(2)))
    text = found.text()
    for name, row in PUBLISHED.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} *")]
        assert [float(v) for v in line.split("*")[1].split()] == pytest.approx(row)
    assert "* as published, on the real ISSLIDE set" in text
    assert sum(line.startswith("some ") for line in text.splitlines()) == 2
    assert json.loads(json.dumps(found.facts()))["single"]["some"]["clean"]["f1"] == pytest.approx(some.clean.f1)


def test_figures_of_a_known_answer(data_set, tmp_path):
    # Coherence is 0.8 everywhere, so that all ground is found: precision is the share of the mask.
    found, _ = judged(
        [data_set], [write_most(tmp_path / "all.onnx", name="all")], tmp_path / "log.jsonl", probability=0.3
    )
    (row,) = found.several
    masks = [planes_of(3 * m).mask for m in (1, 2)]
    share = np.mean([m.mean() for m in masks])
    assert row.clean.f1 == pytest.approx(2 * share / (1 + share))
    assert row.clean.auc < 0.6


def test_others_are_judged_on_sets_too_where_one_sees_many(data_set, tmp_path):
    models = [write_most(tmp_path / "most.onnx", name="most"), write_bowl_model(tmp_path / "m.onnx", "footprint")]
    found, _ = judged([data_set], models, tmp_path / "log.jsonl", dates=3)
    assert [r.name for r in found.single] == ["tiny-footprint"]
    assert [r.name for r in found.several] == ["most", "tiny-footprint, mean of each"]
    assert found.sets == 2
    assert "Several interferograms of a place: 2 sets" in found.text()
