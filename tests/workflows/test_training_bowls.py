"""Training over mines from settings to a model: how it goes on, what it leaves, what it refuses."""

import json

import numpy as np
import onnxruntime
import pytest
import rasterio
from affine import Affine

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.detect.bowl_network import BowlNetwork  # noqa: E402
from groundshift.errors import NoDataError, OutputError  # noqa: E402
from groundshift.simulate.mining.config import MiningConfig  # noqa: E402
from groundshift.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from groundshift.training.config import MachineConfig, PlanConfig, TrainConfig  # noqa: E402
from groundshift.training.mining import samples as making  # noqa: E402
from groundshift.training.mining.config import BowlModelConfig, BowlTrainConfig, SpoilConfig  # noqa: E402
from groundshift.workflows import learning, training_bowls  # noqa: E402
from groundshift.workflows.config import SettingError  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402
from groundshift.workflows.training_bowls import run_bowl_training  # noqa: E402

FILES = ["checkpoint.pt", "curves.png", "metrics.csv", "model.onnx", "predictions.png", "train.yaml"]


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """One thread, few samples to validate on, and pictures and models only where a test wants them."""
    monkeypatch.setattr(training_bowls, "_VALIDATION", 6)
    if "files" not in request.fixturenames:
        monkeypatch.setattr(training_bowls, "draw_answers", lambda *_: None)
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
    def make(
        name="out", network="bowlnet", *, inputs=(), start_from=None, machine=None, scenes=None, spoil=None, **plan
    ):
        return BowlTrainConfig(
            inputs=inputs,
            output=tmp_path / name,
            model=BowlModelConfig(network=network, width=0.125, start_from=start_from),
            spoil=spoil or SpoilConfig(),
            plan=PlanConfig(**{"steps": 3, "batch": 2, "validate_every": 2, "record_every": 1, **plan}),
            machine=MachineConfig(**{"threads": 1, "workers": 0, **(machine or {})}),
            scenes=MiningConfig(**{"shape": (32, 48), "scenes": 2, "dates": 2, "bowls": (1, 3), **(scenes or {})}),
        )

    return make


def ran(config, **options):
    with Reporter(quiet=True) as reporter:
        return run_bowl_training(config, reporter, **options)


@pytest.fixture
def drawn(tmp_path):
    """Six interferograms of three scenes with masks, of several sizes."""
    for k in range(6):
        shape = (40 + 4 * k, 48)
        y, x = np.mgrid[: shape[0], : shape[1]]
        bowl = 15 * np.exp(-((y - 18 - k) ** 2 + (x - 25) ** 2) / 60)
        noise = np.random.default_rng(k).normal(0, 0.3, shape)
        planes = {
            "phase": np.angle(np.exp(1j * (bowl + noise))).astype(np.float32),
            "mask": (bowl > 1.5).astype(np.uint8),
        }
        for part, values in planes.items():
            path = tmp_path / "drawn" / part / f"mine{k // 2}_{k}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                path, "w", driver="GTiff", height=shape[0], width=shape[1], count=1, dtype=values.dtype,
                transform=Affine(20, 0, 0, 0, -20, 0),
            ) as file:  # fmt: skip
                file.write(values, 1)
    return tmp_path / "drawn"


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# How it goes on


@pytest.mark.parametrize(
    ("network", "plan"), [("bowlnet", {}), ("ddnet_light", {"optimiser": "paper"})], ids=["bowlnet", "ddnet"]
)
def test_a_run_in_pieces_is_bit_for_bit_that_in_a_whole(settings, network, plan):
    whole, pieces = (settings(name, network, **plan) for name in ("whole", "pieces"))
    done = ran(whole)
    assert (done.ending, done.step, done.steps) == ("done", 3, 3)
    hurried = settings("pieces", network, machine={"max_minutes": 1e-9}, **plan)
    endings = [ran(hurried).ending for _ in range(3)]
    assert endings == ["time"] * 2 + ["done"]
    one, other = (load_checkpoint(c.output / "checkpoint.pt") for c in (whole, pieces))
    for part in ("model", "average", "best"):
        assert same(one[part], other[part]), part
    assert one["records"] == other["records"]
    assert (whole.output / "metrics.csv").read_bytes() == (pieces.output / "metrics.csv").read_bytes()


def test_a_worker_process_makes_the_same_batches(settings):
    ran(settings("thread"))
    ran(settings("process", machine={"workers": 1}))
    one, other = (load_checkpoint(settings(name).output / "checkpoint.pt") for name in ("thread", "process"))
    assert same(one["model"], other["model"])


def test_other_settings_are_refused_in_one_line(settings):
    ran(settings(steps=1))
    for change, names in (
        ({"seed": 3, "rate": 0.1}, "rate, seed"),
        ({"scenes": {"peak_rad": (1, 3)}}, "peak_rad"),
        ({"spoil": SpoilConfig(holes=1)}, "holes"),
        ({"network": "unet"}, "network"),
    ):
        other = settings(**{"steps": 1, **change})
        with pytest.raises(OutputError) as told:
            ran(other)
        assert str(told.value).endswith(
            f"out: holds a run with another setting of {names}; give those in train.yaml to go on, another output "
            "folder, or --fresh to start anew"
        )
    assert ran(other, fresh=True).ending == "done"


def test_a_run_of_another_kind_is_not_gone_on_with(settings, tmp_path):
    config = settings(steps=1)
    ran(config)
    state = load_checkpoint(config.output / "checkpoint.pt")
    other = TrainConfig(inputs=(tmp_path,), output=tmp_path).model_dump(mode="json")
    save_checkpoint(config.output / "checkpoint.pt", {**state, "config": other})
    with pytest.raises(OutputError, match="holds a run with another setting of"):
        ran(config)


def test_weights_of_an_earlier_run_are_started_from(settings):
    first, second = settings("first", steps=2), settings("second", steps=1, rate=1e-12, start_from=None)
    ran(first)
    start = first.output / "checkpoint.pt"
    ran(settings("second", steps=1, rate=1e-12, average=0, start_from=start))
    before, after = load_checkpoint(start)["best"], load_checkpoint(second.output / "checkpoint.pt")["model"]
    for name, value in after.items():
        if value.ndim == 4:
            torch.testing.assert_close(value, before[name], rtol=1e-4, atol=1e-7)
    with pytest.raises(SettingError, match=r"holds weights of bowlnet of width 0\.125, expected those of unet"):
        ran(settings("third", "unet", start_from=start))


def test_an_exported_model_is_started_from(settings, files):
    # Another seed draws other first weights.
    first, second = settings("first", steps=2), settings("second", steps=1, rate=1e-12, average=0, seed=4)
    ran(first)
    model = first.output / "model.onnx"
    second = second.model_copy(update={"model": second.model.model_copy(update={"start_from": model})})
    ran(second)
    exported = [onnxruntime.InferenceSession(str(c.output / "model.onnx")) for c in (first, second)]
    seen = np.random.default_rng(0).uniform(-1, 1, (1, 2, 64, 64)).astype(np.float32)
    answers = [session.run(None, {"interferogram": seen}) for session in exported]
    for one, other in zip(*answers, strict=True):
        # The running statistics of the norms have moved by a step.
        assert np.abs(one - other).mean() < 0.02 * one.std()


# What it learns from and is judged on


def test_scenes_to_validate_on_are_never_learned_from(settings, monkeypatch):
    asked = {"learned": [], "validated": []}

    def counted(kind):
        def make(config, spoil, seed):
            asked[kind].append(seed)
            return real(config, spoil, seed)

        return make

    real = making.simulated_samples
    monkeypatch.setattr(making, "simulated_samples", counted("learned"))
    monkeypatch.setattr(training_bowls, "simulated_samples", counted("validated"))
    for seed in (0, 1):
        ran(settings(f"{seed}", seed=seed, steps=3))
    # Two samples for each seed of scenes: a step of two learns from one, and three hold six to validate on.
    assert asked["validated"] == [1_900_000, 1_900_001, 1_900_002, 2_900_000, 2_900_001, 2_900_002]
    assert sorted(set(asked["learned"])) == [1_000_000, 1_000_001, 1_000_002, 2_000_000, 2_000_001, 2_000_002]


def test_scenes_without_anything_to_find_are_refused(settings):
    with pytest.raises(NoDataError, match="no simulated scene to validate on shows a bowl; give more --bowls"):
        ran(settings(scenes={"bowls": (0, 0)}))


def test_masks_are_learned_from_in_epochs(settings, drawn):
    config = settings(inputs=(drawn,), network="unet", epochs=2.5)
    done = ran(config)
    # Four images of two scenes to learn from, in batches of two.
    assert (done.ending, done.step, done.steps) == ("done", 5, 5)


def test_a_run_is_not_continued_on_other_masks(settings, drawn):
    config = settings(inputs=(drawn,), network="unet", steps=1)
    ran(config)
    assert ran(config).step == 1
    path = drawn / "mask" / "mine0_0.tif"
    with rasterio.open(path, "r+") as file:
        file.write(1 - file.read(1), 1)
    with pytest.raises(OutputError, match="out: holds a run that learned from other samples; give those of then"):
        ran(config)


def test_masks_do_not_teach_to_unwrap_and_that_is_said(settings, drawn, capfd):
    first = settings("first", steps=1)
    ran(first)
    for start, warned in ((None, True), (first.output / "checkpoint.pt", False)):
        config = settings(f"{warned}", inputs=(drawn,), steps=2, start_from=start)
        with Reporter(quiet=False) as reporter:
            done = run_bowl_training(config, reporter)
        assert ("masks do not tell the phase" in capfd.readouterr().err) == warned
        assert all(np.isfinite(value) for value in done.figures.values())


@pytest.mark.parametrize("masks", [False, True])
def test_what_a_run_leaves(settings, drawn, masks, files):
    config = settings(inputs=(drawn,) if masks else (), network="unet" if masks else "bowlnet", steps=1)
    done = ran(config)
    assert sorted(path.name for path in config.output.iterdir()) == FILES
    for name in ("curves.png", "predictions.png"):
        assert (config.output / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads(json.dumps(done.facts()))["model"] == str(config.output / "model.onnx")
    model = BowlNetwork.load(done.model)
    assert (model.kind, model.name) == ("footprint" if masks else "bowls", "out")
    assert set(done.figures) == {"score", "iou", "precision", "recall", *(() if masks else ("right",))}
