"""The training loop: what it learns, how it goes on, and when it ends."""

import os
import pickle
import signal
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from groundshift.detect.planes import PLANES  # noqa: E402
from groundshift.errors import DamagedFileError, MissingFileError  # noqa: E402
from groundshift.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from groundshift.training.config import (  # noqa: E402
    AugmentConfig,
    MachineConfig,
    ModelConfig,
    PlanConfig,
    TrainConfig,
)
from groundshift.training.data import Supply  # noqa: E402
from groundshift.training.loop import DivergedError, Trainer, knows_bfloat16  # noqa: E402
from groundshift.training.optimiser import make_optimiser, phase_at, rate_at  # noqa: E402
from groundshift.training.samples import Body, Sample  # noqa: E402
from groundshift.training.tasks import UnknownNetworkError, make_task  # noqa: E402

SIDE = 32


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples():
    """Five maps with a body of plain motion in noise."""
    found = []
    for k in range(5):
        rng = np.random.default_rng(k)
        y, x = np.mgrid[: SIDE + 8, : SIDE + 8]
        inside = np.hypot((y - 14 - 2 * k) / 6, (x - 18) / 5) < 1
        field = 30.0 * inside + rng.normal(size=inside.shape)
        planes = np.zeros((len(PLANES), *inside.shape), np.float32)
        planes[PLANES.index("gradient_y"), :-1] = np.diff(field, axis=0)
        planes[PLANES.index("gradient_x"), :, :-1] = np.diff(field, axis=1)
        for axis in "yx":
            planes[PLANES.index(f"significance_{axis}")] = planes[PLANES.index(f"gradient_{axis}")]
            planes[PLANES.index(f"sigma_{axis}")] = 1
        planes[PLANES.index("coherence")], planes[PLANES.index("known")] = 0.6, 1
        labels = inside.astype(np.uint8)
        found.append(Sample(planes, labels, (Body(30.0, 30.0, 480, 400, "steady"),), f"s{k}", "all", 40.0, -0.3, 20))
    return found


class Silent:
    """Listens to a run, and may do something after each step."""

    def __init__(self, act=lambda: None):
        self.act, self.steps, self.lines = act, 0, []

    def advance(self, more=1):
        self.steps += more
        self.act()

    def recorded(self, record, records):
        self.lines.append(dict(record))

    def validated(self, samples, predictions):
        assert len(samples) == len(predictions)


@pytest.fixture
def trainer(samples, tmp_path):
    def make(
        *,
        steps=6,
        measure=lambda p, s: {"ap50": 0.5},
        device="cpu",
        validation=(),
        machine=None,
        augment=None,
        model=None,
        **plan,
    ):
        model = ModelConfig(**{"width": 0.25, **(model or {})})
        config = TrainConfig(
            inputs=(tmp_path,), output=tmp_path, model=model, plan=PlanConfig(steps=steps, batch=2, **plan),
            augment=augment or AugmentConfig(tile=SIDE), machine=MachineConfig(**{"workers": 0, **(machine or {})}),
        )  # fmt: skip
        torch.manual_seed(config.plan.seed)
        task, network = make_task(config.model)
        supply = Supply(samples, config.augment, 2, config.plan.seed, in_radians=task.in_radians)
        return Trainer(
            config, task, network, supply, validation, measure,
            steps=steps, checkpoint=tmp_path / "checkpoint.pt", device=torch.device(device),
        )  # fmt: skip

    return make


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "adamw"},
        # The optimiser changes after a third; how much softer labels are taught is drawn by torch.
        {"optimiser": "paper", "model": {"network": "attention_yolov3_t", "width": 0.05}, "rate": 1e-2},
    ],
    ids=["bodynet", "yolo"],
)
def test_a_run_that_is_stopped_after_every_step_ends_bit_for_bit_like_one_that_is_not(trainer, samples, settings):
    settings = {"record_every": 4, "validate_every": 3, "validation": samples[:1], **settings}

    def measure(predictions, _):
        return {"ap50": len(predictions[0]) / 1000}

    whole = trainer(measure=measure, **settings)
    assert whole.run(Silent()) == "done"
    endings = []
    while "done" not in endings:
        part = trainer(measure=measure, machine={"max_minutes": 1e-9}, **settings)
        if endings:
            part.restore(load_checkpoint(part.checkpoint))
        assert part.step == len(endings)
        endings.append(part.run(Silent()))
    assert endings == ["time"] * 5 + ["done"]
    assert part.records == whole.records
    assert same_weights(part.model, whole.model)
    assert same_weights(part.average, whole.average)
    assert same_weights(part.best_model(), whole.best_model())


def test_another_seed_is_another_run(trainer):
    runs = [trainer(seed=seed, record_every=1, steps=2) for seed in (0, 0, 1)]
    for run in runs:
        run.run(Silent())
    first, again, other = ([record["loss"] for record in run.records] for run in runs)
    assert first == again
    assert first != other


def test_one_map_is_learned_by_heart(trainer, samples):
    plain = AugmentConfig(tile=SIDE, symmetry=False, mosaic=0, blend=0, dropout=0, coherence_gain=0)
    run = trainer(steps=100, record_every=5, augment=plain, rate=1e-2, average=0.8)
    run._supply._samples = [
        replace(samples[0], planes=samples[0].planes[:, :SIDE, :SIDE], labels=samples[0].labels[:SIDE, :SIDE])
    ]
    run.run(Silent())
    assert run.records[-1]["loss"] < 0.2 * run.records[0]["loss"]
    found = run.task.predict(run.best_model(), run._supply._samples)[0]
    assert len(found) == 1
    y, x = np.nonzero(samples[0].labels[:SIDE, :SIDE])
    truth = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])
    assert np.abs(np.array(found[0].box) - truth).max() <= 2


def test_records_hold_means_of_the_losses(trainer):
    fine, coarse = trainer(record_every=1), trainer(record_every=3)
    for run in (fine, coarse):
        run.run(Silent())
    losses = [record["loss"] for record in fine.records]
    assert [record["step"] for record in coarse.records] == [3, 6]
    np.testing.assert_allclose([r["loss"] for r in coarse.records], [np.mean(losses[:3]), np.mean(losses[3:])])
    parts = [name for name in fine.records[0] if name.startswith("loss_")]
    for record in fine.records:
        assert record["loss"] == pytest.approx(sum(record[name] for name in parts), rel=1e-5)


def test_the_best_weights_are_kept_and_a_run_without_gain_ends_early(trainer, samples):
    scores = iter([0.1, 0.4, 0.4, 0.2, 0.3, 0.9])
    run = trainer(
        steps=12, validation=samples[:1], validate_every=2, patience=3, measure=lambda p, s: {"ap50": next(scores)}
    )
    kept = {}

    def keep():
        kept[run.step] = [value.clone() for value in run.average.state_dict().values()]

    assert run.run(Silent(keep)) == "early"
    assert (run.step, run.best_step, run.best_score) == (10, 4, 0.4)
    assert all(torch.equal(a, b) for a, b in zip(run.best_model().state_dict().values(), kept[4], strict=True))
    again = trainer(steps=12, validation=samples[:1], patience=3)
    again.restore(load_checkpoint(run.checkpoint))
    assert again.run(Silent()) == "early"
    assert again.step == 10


def test_the_average_follows_the_weights_faster_at_first(trainer):
    run = trainer(average=0.5, steps=4)
    name, weights = next((n, p) for n, p in run.model.named_parameters() if p.ndim == 4)
    expected = weights.detach().clone()

    def follow():
        nonlocal expected
        share = min(0.5, run.step / (9 + run.step))
        expected = share * expected + (1 - share) * weights.detach()

    run.run(Silent(follow))
    torch.testing.assert_close(run.average.state_dict()[name], expected, rtol=1e-5, atol=1e-7)


def test_without_an_average_the_weights_are_used_as_they_are(trainer):
    run = trainer(average=0.0, steps=2)
    run.run(Silent())
    assert same_weights(run.average, run.model)


def test_ctrl_c_ends_after_the_step_in_hand_and_leaves_a_checkpoint(trainer):
    run = trainer(steps=50)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.run(Silent(lambda: os.kill(os.getpid(), signal.SIGINT) if run.step == 3 else None))
    assert load_checkpoint(run.checkpoint)["step"] == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_no_number_is_said_and_no_checkpoint_of_it_is_kept(trainer):
    run = trainer(steps=4, record_every=1)
    run.save()

    def spoil():
        if run.step == 2:
            next(run.model.parameters()).data.fill_(float("nan"))

    with pytest.raises(DivergedError, match=r"no number any more at step 3; lower --rate \(0.001\)"):
        run.run(Silent(spoil))
    assert load_checkpoint(run.checkpoint)["step"] == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("network", ["bodynet", "attention_yolov3_t"])
def test_mixed_precision_learns_nearly_the_same(trainer, network, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    if device == "cpu" and not knows_bfloat16(torch.device("cpu")):
        pytest.skip("needs a CPU that multiplies bfloat16")
    losses = []
    for mixed in (False, True):
        run = trainer(
            steps=8, record_every=1, model={"network": network}, machine={"mixed_precision": mixed}, device=device
        )
        run.run(Silent())
        losses.append([record["loss"] for record in run.records])
        assert all(p.dtype == torch.float32 for p in run.model.parameters())
        assert next(run.best_model().parameters()).device.type == "cpu"
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)
    assert losses[0] != losses[1]


# Rates


def test_rates_of_one_cycle():
    plan = PlanConfig(rate=2e-3)
    assert rate_at(plan, 0.05) == pytest.approx(2e-3)
    assert rate_at(plan, 0.525) == pytest.approx((2e-3 + 2e-5) / 2)
    assert rate_at(plan, 1.0) == pytest.approx(2e-5)
    assert 0 < rate_at(plan, 0.0) < rate_at(plan, 0.025) < rate_at(plan, 0.05)
    assert {phase_at(plan, k / 10) for k in range(11)} == {"adamw"}


def test_rates_of_the_paper():
    plan = PlanConfig(rate=1e-3, optimiser="paper")
    assert [phase_at(plan, share) for share in (0, 0.33, 0.34, 1)] == ["adam", "adam", "sgd", "sgd"]
    assert rate_at(plan, 0.01) == pytest.approx(1e-3)
    assert rate_at(plan, 1 / 3 - 1e-9) == pytest.approx(1e-4)
    assert rate_at(plan, 1 / 3) == pytest.approx(1e-2)
    assert rate_at(plan, 1.0) == pytest.approx(1e-4)


def test_rates_of_those_who_published_single_networks():
    plans = {name: PlanConfig(rate=1e-2, optimiser=name) for name in ("adam", "sgd", "polynomial")}
    assert [rate_at(plans["adam"], share) for share in (0, 0.5, 1)] == [1e-2] * 3
    # Kamiyama: divided by ten every 5,000 of 30,000 steps.
    steps = [0, 4_999, 5_000, 9_999, 10_000, 29_999]
    expected = [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-7]
    assert [rate_at(plans["sgd"], k / 30_000) for k in steps] == pytest.approx(expected)
    assert [rate_at(plans["polynomial"], share) for share in (0, 0.5, 1)] == pytest.approx([1e-2, 1e-2 * 0.5**0.95, 0])
    _, network = make_task(ModelConfig(width=0.25))
    made = {name: make_optimiser(plan, phase_at(plan, 0.5), network) for name, plan in plans.items()}
    assert made["adam"].defaults["betas"] == (0.5, 0.999)
    assert made["polynomial"].defaults["betas"] == (0.9, 0.999)
    assert made["sgd"].defaults["momentum"] == 0.9


def test_only_kernels_decay():
    _, network = make_task(ModelConfig(width=0.25))
    optimiser = make_optimiser(PlanConfig(weight_decay=0.1), "sgd", network)
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert len(decays) == len(list(network.parameters()))
    assert all(decays[id(p)] == (0.1 if p.ndim == 4 else 0.0) for p in network.parameters())


# Networks and checkpoints


def test_an_unknown_network_is_one_line_that_names_all():
    with pytest.raises(UnknownNetworkError, match=r"expected one of .*bodynet, yolov3, instead got 'resnet'"):
        make_task(ModelConfig(network="resnet"))


def test_switches_change_the_network():
    def count(**switches):
        return sum(
            p.numel()
            for p in make_task(ModelConfig(network="attention_yolov3_t", width=0.1, **switches))[1].parameters()
        )

    assert count(attention=False) < count()


def test_a_checkpoint_never_runs_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"form": 1, "model": Trap()}, tmp_path / "a.pt")
    with pytest.raises(DamagedFileError, match=r"a\.pt: not a checkpoint of `groundshift train`"):
        load_checkpoint(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(DamagedFileError):
        load_checkpoint(tmp_path / "b.pt")
    assert not (tmp_path / "sprung").exists()


def test_damaged_and_missing_checkpoints_are_one_line(tmp_path, trainer):
    run = trainer(steps=1)
    run.save()
    whole = run.checkpoint.read_bytes()
    run.checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedFileError, match="not a checkpoint"):
        load_checkpoint(run.checkpoint)
    with pytest.raises(MissingFileError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "other.pt")
    save_checkpoint(run.checkpoint, {"step": 3})
    with pytest.raises(DamagedFileError, match="without version, kind"):
        load_checkpoint(run.checkpoint)
