"""Training of Mask Net from settings to a model, and its judgement: what it learns from, what it leaves."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from tests.workflows.mask_models import write_mask_model  # noqa: E402

from groundshift.detect.mask_network import MaskNetwork  # noqa: E402
from groundshift.errors import OutputError  # noqa: E402
from groundshift.training.checkpoint import load_checkpoint  # noqa: E402
from groundshift.training.config import MachineConfig, PlanConfig  # noqa: E402
from groundshift.training.masks import samples as making  # noqa: E402
from groundshift.training.masks.config import (  # noqa: E402
    MaskModelConfig,
    MaskSceneConfig,
    MaskSpoilConfig,
    MaskTrainConfig,
)
from groundshift.training.masks.judge import compared  # noqa: E402
from groundshift.workflows import learning, training_masks  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402
from groundshift.workflows.training_masks import (  # noqa: E402
    MaskJudgingConfig,
    judge_masks,
    run_mask_judging,
    run_mask_training,
)

SCENES = MaskSceneConfig(shape=(32, 32), scenes=2, pairs_seen=2)


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """One thread, few samples to validate on, and pictures and models only where a test wants them."""
    monkeypatch.setattr(training_masks, "_VALIDATION", 6)
    if "files" not in request.fixturenames:
        monkeypatch.setattr(training_masks, "draw_masks", lambda *_: None)
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
def settings(tmp_path):
    def make(name="out", *, spoil=None, machine=None, **plan):
        return MaskTrainConfig(
            output=tmp_path / name,
            model=MaskModelConfig(width=0.125),
            spoil=spoil or MaskSpoilConfig(),
            plan=PlanConfig(**{"steps": 2, "batch": 2, "validate_every": 2, "record_every": 1, **plan}),
            machine=MachineConfig(**{"threads": 1, "workers": 0, **(machine or {})}),
            scenes=SCENES,
        )

    return make


def ran(config, **options):
    with Reporter(quiet=True) as reporter:
        return run_mask_training(config, reporter, **options)


def test_a_run_in_pieces_is_bit_for_bit_that_in_a_whole(settings):
    done = ran(settings("whole"))
    assert (done.ending, done.step) == ("done", 2)
    endings = [ran(settings("pieces", machine={"max_minutes": 1e-9})).ending for _ in range(2)]
    assert endings == ["time", "done"]
    one, other = (load_checkpoint(settings(name).output / "checkpoint.pt") for name in ("whole", "pieces"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())
    assert one["records"] == other["records"]
    with pytest.raises(OutputError, match="holds a run with another setting of holes"):
        ran(settings("whole", spoil=MaskSpoilConfig(holes=1)))


def test_scenes_to_validate_and_to_judge_on_are_never_learned_from(settings, tmp_path, monkeypatch):
    asked = {"learned": [], "held": []}

    def counted(kind):
        def make(config, spoil, seed):
            asked[kind].append(seed)
            return real(config, spoil, seed)

        return make

    real = making.simulated_samples
    monkeypatch.setattr(making, "simulated_samples", counted("learned"))
    monkeypatch.setattr(training_masks, "simulated_samples", counted("held"))
    ran(settings(steps=3))
    assert asked["held"] == [1_900_000, 1_900_001]
    assert set(asked["learned"]) == {1_000_000, 1_000_001}
    asked["held"].clear()
    judging = MaskJudgingConfig(
        str(write_mask_model(tmp_path / "a.onnx")), tmp_path / "judged", samples=6, scenes=SCENES
    )  # fmt: skip
    with Reporter(quiet=True) as reporter:
        run_mask_judging(judging, reporter)
    assert asked["held"] == [0, 1]


def test_what_a_run_and_its_judgement_leave(settings, tmp_path, files):
    done = ran(settings())
    left = ["checkpoint.pt", "curves.png", "metrics.csv", "model.onnx", "predictions.png", "train.yaml"]
    assert sorted(p.name for p in settings().output.iterdir()) == left
    assert list(done.figures) == ["iou", "f1", "boundary_f1", "lost", "left"]
    model = MaskNetwork.load(done.model)
    assert model.name == "out"
    found = model.look(np.zeros((40, 50), np.float32), np.full((40, 50), 0.5, np.float32))
    assert found.shape == (40, 50)
    assert ((found > 0) & (found < 1)).all()
    with Reporter(quiet=True) as reporter:
        judged = run_mask_judging(
            MaskJudgingConfig(str(done.model), tmp_path / "judged", samples=4, scenes=SCENES), reporter
        )  # fmt: skip
    assert list(judged.rows) == ["out", "out with amplitude", "Otsu", "coherence above 0.3"]
    assert sorted(p.name for p in (tmp_path / "judged").iterdir()) == ["examples.png", "judgement.json", "table.txt"]
    assert json.loads((tmp_path / "judged" / "judgement.json").read_text()) == judged.facts()
    assert (tmp_path / "judged" / "table.txt").read_text() == judged.table()


def test_rows_are_those_of_their_masks(tmp_path):
    spoil = MaskSpoilConfig(no_amplitude=0.5)
    samples = [s for seed in range(3) for s in making.simulated_samples(SCENES, spoil, seed)]
    network = MaskNetwork.load(write_mask_model(tmp_path / "a.onnx", edge=0.3))
    with Reporter(quiet=True) as reporter:
        found, answers = judge_masks(network, samples, 0.3, reporter)
        dark = [s._replace(amplitude=np.zeros_like(s.amplitude)) for s in samples]
        plain, _ = judge_masks(network, dark, 0.3, reporter)
    # Without amplitude the model is a threshold of 0.3 on coherence; with it, another one.
    assert found.rows["tiny-coherent"] == pytest.approx(found.rows["coherence above 0.3"], abs=1e-3)
    expected = [s.known & (s.coherence + s.amplitude >= 0.3) for s in samples]
    assert found.rows["tiny-coherent with amplitude"] == pytest.approx(compared(expected, samples), abs=1e-3)
    assert [a.shape for a in answers] == [s.wrapped.shape for s in samples]
    assert list(plain.rows) == ["tiny-coherent", "Otsu", "coherence above 0.3"]
