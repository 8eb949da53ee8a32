"""Cross-validation of a fringe classifier by scene: parts, tables, and how it goes on."""

import json

import numpy as np
import pytest
from affine import Affine

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")

from tests.workflows.fringe_models import write_known  # noqa: E402

from groundshift.errors import NoDataError  # noqa: E402
from groundshift.io.rasters import write_geotiff  # noqa: E402
from groundshift.training.fringes.judge import Counts  # noqa: E402
from groundshift.training.fringes.patches import FringeSample, write_patch  # noqa: E402
from groundshift.types import MapGrid  # noqa: E402
from groundshift.workflows import evaluating_fringes  # noqa: E402
from groundshift.workflows.evaluating_fringes import judge_scene, run_fringe_evaluation  # noqa: E402
from groundshift.workflows.fringe_config import FringeEvaluationConfig, PlaceConfig  # noqa: E402
from groundshift.workflows.learning import TrainOutput  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402

PLACES = PlaceConfig()


@pytest.fixture
def data(tmp_path):
    """Four scenes: in each a window with fringes in its middle, one padding that is wrong, and two others."""
    root = tmp_path / "data"
    coherence = np.full((150, 150), 0.7, np.float32)
    still = np.zeros((150, 150), np.float32)
    moved = still.copy()
    moved[60:90, 60:90] = 2
    for scene in ("gassan", "kii", "kochi", "nara"):
        write_patch(root / "positive" / f"{scene}_1.tif", FringeSample(moved, coherence, True, scene), 28)
        write_patch(root / "positive" / f"{scene}_1_pad1.tif", FringeSample(still, coherence, True, scene), 28)
        write_patch(root / "negative" / f"{scene}_1.tif", FringeSample(still, coherence, False, scene), 28)
        # A false alarm in one scene alone.
        other = moved if scene == "kii" else still
        write_patch(root / "negative" / f"{scene}_2.tif", FringeSample(other, coherence, False, scene), 28)
        phase = np.zeros((200, 200), np.float32)
        labels = np.zeros_like(phase)
        phase[40:60, 50:80], labels[45:55, 55:75] = 2, 1
        phase[150:160, 150:160] = 2
        bands = np.stack([phase, np.full_like(phase, 0.7), labels, np.full_like(phase, 20)])
        grid = MapGrid((200, 200), Affine(28, 0, 0, 0, -28, 0), "EPSG:32654")
        write_geotiff(root / "scenes" / f"{scene}_20080105-20080220.tif", bands, grid, nodata=float("nan"))
    return root


@pytest.fixture
def trained(monkeypatch):
    """Instead of training, leave a model whose answers are known; tells what was learned from."""
    asked = []

    def train(config, reporter):
        asked.append(config.data.without)
        config.output.mkdir(parents=True, exist_ok=True)
        path = write_known(config.output / "model.onnx")
        return TrainOutput("done", 1, 1, 1, {}, path, config.output / "checkpoint.pt")

    monkeypatch.setattr(evaluating_fringes, "run_fringe_training", train)
    return asked


def run(config):
    with Reporter(quiet=True, log=None) as reporter:
        return run_fringe_evaluation(config, reporter)


def test_every_scene_is_judged_once_by_a_network_that_has_not_seen_it(tmp_path, data, trained):
    facts = run(FringeEvaluationConfig(inputs=(data,), output=tmp_path / "out", folds=4))
    assert sorted(scene for names in trained for scene in names) == ["gassan", "kii", "kochi", "nara"]
    plain = [Counts(*fold["plain"]) for fold in facts["folds"]]
    # Padding is not judged on.
    assert sum(c.tp for c in plain) == 4
    assert sum(c.fn for c in plain) == 0
    assert sum(c.fp for c in plain) == 1
    weighed = [Counts(*fold["weighed"]) for fold in facts["folds"]]
    assert sorted(c.fp for c in weighed) == [0, 0, 0, 0.75]
    assert facts["windows, plain"]["recall"] == 1
    assert facts["windows, plain"]["precision"] == pytest.approx((3 + 0.5) / 4)
    assert facts["scenes, filter none"] == {"recall": 1, "precision": 0.5, "tp": 4, "fn": 0, "fp": 4}
    assert facts["scenes, filter size"] == {"recall": 1, "precision": 1, "tp": 4, "fn": 0, "fp": 0}
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "|  | cv1 | cv2 | cv3 | cv4 | Average |" in text
    assert "| Recall | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in text
    assert "After the size filter 1.0 places in an interferogram of 4, 4 on slopes and 0 on flats." in text


def test_what_was_judged_is_not_judged_again(tmp_path, data, trained):
    config = FringeEvaluationConfig(inputs=(data,), output=tmp_path / "out", folds=2)
    first = run(config)
    assert len(trained) == 2
    (tmp_path / "out" / "fold-2" / "judged.json").unlink()
    assert run(config) == first
    assert len(trained) == 3
    other = config.model_copy(update={"places": PlaceConfig(threshold=0.9)})
    run(other)
    assert len(trained) == 5
    assert json.loads((tmp_path / "out" / "tables.json").read_text())["folds"]


def test_too_few_scenes_and_parts_without_a_class_are_said(tmp_path, data, trained):
    with pytest.raises(NoDataError, match=r"^4 scenes cannot be split into 5 parts; name files SCENE_NUMBER.tif, give"):
        run(FringeEvaluationConfig(inputs=(data,), output=tmp_path / "out"))
    for path in (data / "positive").glob("kii_*"):
        path.unlink()
    with pytest.raises(NoDataError, match=r"fold \d \(kii\) has no positive window to judge on; add scenes"):
        run(FringeEvaluationConfig(inputs=(data,), output=tmp_path / "out", folds=4))


def test_places_are_right_wrong_or_neither():
    score = np.zeros((8, 8), np.float32)
    score[1, 1:3] = score[4, 1:3] = score[6, 6] = score[6, 1:3] = 0.9
    labels = np.zeros((80, 80), np.int16)
    labels[15:20, 25:40] = 1
    labels[48:49, 12:13] = -1
    labels[20:30, 60:70] = 2
    found = judge_scene(score, labels, None, PLACES)
    assert found["none"][0] == Counts(1, 1, 2)
    assert found["size"][0] == Counts(1, 1, 1)
    assert "size and slope" not in found


def test_slopes_part_places():
    score = np.zeros((8, 8), np.float32)
    score[1, 1:3] = score[6, 1:3] = 0.9
    labels = np.zeros((80, 80), np.int16)
    labels[10:20, 10:20] = 1
    slope = np.where(np.arange(80)[:, None] < 40, 25, 5) * np.ones((80, 80), np.float32)
    found = judge_scene(score, labels, slope.astype(np.float32), PLACES)
    assert found["size"][0] == Counts(1, 0, 1)
    assert found["size and slope"][0] == Counts(1, 0, 0)
    steep = judge_scene(score, labels, slope.astype(np.float32), PlaceConfig(least_slope=30))
    assert steep["size and slope"][0] == Counts(0, 1, 0)
