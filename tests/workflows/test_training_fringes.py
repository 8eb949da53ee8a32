"""Training of a fringe classifier from settings to a model that scans."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")

from groundshift.detect.fringe_scan import FringeScanner  # noqa: E402
from groundshift.errors import NoDataError, OutputError  # noqa: E402
from groundshift.simulate.fringe_config import FringeConfig  # noqa: E402
from groundshift.training.config import MachineConfig  # noqa: E402
from groundshift.training.fringes import samples as making  # noqa: E402
from groundshift.training.fringes.config import (  # noqa: E402
    CutConfig,
    FringeDataConfig,
    FringeModelConfig,
    FringePlanConfig,
    FringeTrainConfig,
)
from groundshift.training.fringes.patches import FringeSample, write_patch  # noqa: E402
from groundshift.workflows import learning, training_fringes  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402
from groundshift.workflows.training_fringes import run_fringe_training  # noqa: E402


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, few windows to validate on, no curves."""
    monkeypatch.setattr(training_fringes, "_VALIDATION", 4)
    monkeypatch.setattr(making, "_FEW", 4)
    monkeypatch.setattr(learning, "draw_curves", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def windows(tmp_path):
    """Three scenes of two windows each, and one that is too small."""
    rng = np.random.default_rng(0)
    for name in ("positive", "negative"):
        for scene in ("gassan", "kii", "kochi"):
            wrapped = rng.uniform(-3, 3, (150, 150)).astype(np.float32)
            sample = FringeSample(wrapped, np.full((150, 150), 0.5, np.float32), name == "positive", scene)
            write_patch(tmp_path / "windows" / name / f"{scene}_1.tif", sample, 28)
    small = FringeSample(np.zeros((20, 20), np.float32), np.ones((20, 20), np.float32), True, "nara")
    write_patch(tmp_path / "windows" / "positive" / "nara_1.tif", small, 28)
    return tmp_path / "windows"


@pytest.fixture
def settings(tmp_path):
    def make(*inputs, name="out", network="slim", data=None, **plan):
        return FringeTrainConfig(
            inputs=inputs, output=tmp_path / name,
            model=FringeModelConfig(network=network, width=0.1 if network == "slim" else 0.05),
            data=FringeDataConfig(**(data or {})), cut=CutConfig(least_data=0.2),
            plan=FringePlanConfig(**{"steps": 3, "batch": 4, "validate_every": 2, "record_every": 1, **plan}),
            machine=MachineConfig(threads=1, workers=0), scenes=FringeConfig(side=240, pairs=2, slides=(8, 8)),
        )  # fmt: skip

    return make


def run(config, **options):
    with Reporter(quiet=True, log=config.output / "log.jsonl") as reporter:
        return run_fringe_training(config, reporter, **options)


@pytest.mark.parametrize(("network", "free"), [("slim", True), ("paper", False)])
def test_a_run_on_simulated_scenes_leaves_a_model_that_scans(settings, network, free):
    config = settings(network=network)
    done = run(config)
    assert (done.ending, done.step) == ("done", 3)
    assert set(done.figures) == {"bep", "recall", "precision"}
    scanner = FringeScanner.load(done.model, 1)
    assert scanner.free_size is free
    rng = np.random.default_rng(0)
    phase, coherence = rng.uniform(-3, 3, (30, 40)).astype(np.float32), np.full((30, 40), 0.6, np.float32)
    score = scanner.scan(phase, coherence)
    assert score.shape == (3, 4)
    np.testing.assert_allclose(score, scanner.scan(phase, coherence, one_by_one=True), atol=1e-4)
    assert ((score >= 0) & (score <= 1)).all()
    assert (config.output / "predictions.png").stat().st_size > 10_000


def test_a_run_on_windows_leaves_out_what_is_to_be_judged_and_what_is_too_small(settings, windows):
    config = settings(windows, data={"without": ("kii",)}, network="slim")
    done = run(config)
    assert done.steps == 3
    log = (config.output / "log.jsonl").read_text()
    assert "nara_1.tif: expected 150 x 150 pixels, instead got 20 x 20; cut it anew; left out" in log


def test_epochs_count_the_larger_class_twice(settings, windows):
    (windows / "positive" / "nara_1.tif").unlink()
    config = settings(windows, epochs=2, data={"validation_share": 0})
    done = run(config)
    assert done.steps == 3
    assert done.figures == {}


def test_a_run_goes_on_and_not_with_other_windows(settings, windows):
    first = run(settings(windows))
    again = run(settings(windows))
    assert (again.ending, again.step, again.figures) == (first.ending, 3, first.figures)
    with pytest.raises(OutputError, match="holds a run with another setting of rate"):
        run(settings(windows, rate=0.5))
    next((windows / "negative").glob("kii*")).unlink()
    next((windows / "positive").glob("kii*")).unlink()
    with pytest.raises(OutputError, match="holds a run that learned from other samples"):
        run(settings(windows))


def test_scenes_that_are_not_there_are_named(settings, windows):
    with pytest.raises(
        NoDataError, match=re.escape("--without: no window of a scene fuji; there are gassan, kii, kochi")
    ):
        run(settings(windows, data={"without": ("fuji",)}))


def test_defaults_are_those_of_the_paper(tmp_path):
    plan = FringeTrainConfig(output=tmp_path).plan
    assert (plan.optimiser, plan.rate, plan.batch, plan.steps, plan.weight_decay) == ("sgd", 0.01, 50, 30_000, 5e-4)
    with pytest.raises(ValueError, match="--epochs: simulated interferograms have no end; give --steps instead"):
        FringeTrainConfig(output=tmp_path, plan={"epochs": 2})
    with pytest.raises(ValueError, match="--without: simulated interferograms have no names; name folders of windows"):
        FringeTrainConfig(output=tmp_path, data={"without": ("a",)})
