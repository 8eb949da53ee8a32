"""Losses over mines: least at the truth, and blind to what is not known."""

import math

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from torch.nn import functional  # noqa: E402

from groundshift.nets.bowl_loss import (  # noqa: E402
    BowlTruth,
    ddnet_loss,
    gradient_and_footprint_loss,
    punet_loss,
    unet_loss,
)
from groundshift.nets.bowlnet import BowlMaps  # noqa: E402

torch.set_num_threads(1)

SHAPE = (2, 1, 24, 32)
SINGLE = {"unet": unet_loss, "punet": punet_loss, "ddnet": ddnet_loss}


@pytest.fixture
def truth():
    """A deep bowl in one image, a rising one in the other, and a hole in each."""
    y, x = torch.arange(24.0)[:, None], torch.arange(32.0)
    bowl = torch.exp(-((y - 12) ** 2 + (x - 14) ** 2) / 40) * torch.tensor([20.0, -6.0]).reshape(2, 1, 1, 1)
    known = torch.ones(SHAPE)
    known[0, :, 3:9, 10:20], known[1, :, 20:] = 0, 0
    return BowlTruth(bowl + 0.1 * x, bowl, (bowl.abs() > 2).float(), known)


def perfect(truth, log_scale=-2.0):
    steps = [torch.diff(truth.phase, dim=axis) for axis in (2, 3)]
    gradient = [functional.pad(steps[0], (0, 0, 0, 1)), functional.pad(steps[1], (0, 1))]
    return BowlMaps(torch.cat(gradient, 1), torch.full(SHAPE, log_scale), 80 * truth.footprint - 40)


def noise(seed, size=1.0):
    return size * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def losses_of(kind, answer, truth):
    if kind == "bowlnet":
        maps = BowlMaps(answer.expand(-1, 2, -1, -1), answer.clamp(-4, 4), answer - 1)
        return gradient_and_footprint_loss(maps, truth)
    return SINGLE[kind](answer, truth)


# The network that tells differences and finds


def test_the_truth_costs_nothing_but_its_certainty(truth):
    losses = gradient_and_footprint_loss(perfect(truth), truth)
    assert losses["course"] == 0
    assert float(losses["gradient"]) == pytest.approx(-2.0)
    assert float(losses["bowl"]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_not_the_truth_costs_more(truth, seed):
    best, wrong = perfect(truth), gradient_and_footprint_loss(perfect(truth), truth)
    off = gradient_and_footprint_loss(best._replace(gradient=best.gradient + noise(seed, 0.1)), truth)
    assert off["gradient"] > wrong["gradient"]
    assert off["course"] > wrong["course"]
    doubtful = best._replace(bowl=(2 * truth.footprint - 1) * (3 + noise(seed).clamp(-2, 2)))
    assert gradient_and_footprint_loss(doubtful, truth)["bowl"] > wrong["bowl"] + 0.01


def test_the_constant_of_the_truth_does_not_matter(truth):
    maps = perfect(truth)
    maps = maps._replace(gradient=maps.gradient + noise(4, 0.5))
    moved = truth._replace(phase=truth.phase + torch.tensor([30.0, -7.0]).reshape(2, 1, 1, 1))
    before, after = gradient_and_footprint_loss(maps, truth), gradient_and_footprint_loss(maps, moved)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-4)


def test_the_best_error_to_tell_is_the_one_there_is(truth):
    maps = perfect(truth)
    maps = maps._replace(gradient=maps.gradient + 0.3)
    scales = torch.linspace(-2, 0, 201)
    costs = [
        float(gradient_and_footprint_loss(maps._replace(log_scale=torch.full(SHAPE, float(s))), truth)["gradient"])
        for s in scales
    ]
    assert float(scales[int(torch.tensor(costs).argmin())]) == pytest.approx(math.log(0.3), abs=0.01)
    assert min(costs) == pytest.approx(1 + math.log(0.3), abs=1e-4)


@pytest.mark.parametrize("slope", [0.01, 0.5])
def test_errors_that_add_up_cost_more_than_those_that_cancel(truth, slope):
    """Over squares of 8 pixels a bias adds up to eight times itself: squared below a radian, in proportion above."""
    everywhere = truth._replace(known=torch.ones(SHAPE))
    best = perfect(truth)
    biased = torch.tensor([0.0, slope]).reshape(1, 2, 1, 1).expand(2, 2, 24, 32)
    found = float(gradient_and_footprint_loss(best._replace(gradient=best.gradient + biased), everywhere)["course"])
    inner, last = 8 * slope, 7 * slope  # The last column has no difference to a next one.
    cost = [0.5 * s**2 if s < 1 else s - 0.5 for s in (inner, last)]
    assert found == pytest.approx((3 * cost[0] + cost[1]) / 4 / 2, rel=1e-4)
    sign = torch.tensor([1.0, -1.0]).repeat(16)
    away = gradient_and_footprint_loss(best._replace(gradient=best.gradient + biased * sign), everywhere)["course"]
    assert float(away) < 0.3 * found


def test_without_a_known_phase_the_footprint_alone_is_learned(truth):
    drawn = truth._replace(phase=torch.full(SHAPE, torch.nan), bowl=torch.full(SHAPE, torch.nan))
    maps = BowlMaps(torch.cat([noise(0), noise(1)], 1).requires_grad_(), *(noise(k).requires_grad_() for k in (2, 3)))
    losses = gradient_and_footprint_loss(maps, drawn)
    assert losses["gradient"] == losses["course"] == 0
    torch.testing.assert_close(losses["bowl"], gradient_and_footprint_loss(maps, truth)["bowl"])
    sum(losses.values()).backward()
    assert (maps.gradient.grad == 0).all()
    assert (maps.log_scale.grad == 0).all()
    assert maps.bowl.grad.abs().max() > 0


# The networks to compare with


def test_unwrapping_costs_the_mean_square(truth):
    assert punet_loss(truth.phase, truth)["phase"] == 0
    assert float(punet_loss(truth.phase - 3, truth)["phase"]) == pytest.approx(9)


def test_deformation_is_learned_relative_to_its_peak_whatever_its_sense(truth):
    peak = truth.bowl.abs().amax((2, 3), keepdim=True)
    relative = truth.bowl.abs() / peak
    found = torch.logit(relative.clamp(1e-6, 1 - 1e-6))
    assert float(ddnet_loss(found, truth)["square"]) == pytest.approx(0, abs=1e-9)
    assert ddnet_loss(found + noise(0), truth)["square"] > 1e-3


def test_bowls_of_less_than_half_pi_are_none_to_find(truth):
    shallow = truth._replace(bowl=truth.bowl / truth.bowl.abs().amax((2, 3), keepdim=True) * 1.5)
    nothing = torch.full(SHAPE, -40.0)
    assert float(sum(ddnet_loss(nothing, shallow).values())) == pytest.approx(0, abs=1e-6)
    deep = shallow._replace(bowl=shallow.bowl * 1.1)
    assert float(ddnet_loss(nothing, deep)["dice"]) > 0.4


def test_drawn_footprints_stand_for_deformation_that_is_not_known(truth):
    drawn = truth._replace(phase=torch.full(SHAPE, torch.nan), bowl=torch.full(SHAPE, torch.nan))
    right = 80 * truth.footprint - 40
    assert float(sum(ddnet_loss(right, drawn).values())) == pytest.approx(0, abs=1e-4)
    assert float(sum(ddnet_loss(-right, drawn).values())) > 1


def test_footprints_cost_nothing_where_they_are_right_and_log_2_where_nothing_is_said(truth):
    assert float(sum(unet_loss(80 * truth.footprint - 40, truth).values())) == pytest.approx(0, abs=1e-4)
    assert float(unet_loss(torch.zeros(SHAPE), truth)["cross"]) == pytest.approx(math.log(2))


# All of them


@pytest.mark.parametrize("kind", ["bowlnet", *SINGLE])
def test_where_there_are_no_data_nothing_is_learned(truth, kind):
    answer = noise(5).requires_grad_()
    before = losses_of(kind, answer, truth)
    sum(before.values()).backward()
    assert (answer.grad[truth.known == 0] == 0).all()
    assert answer.grad[truth.known == 1].abs().max() > 0
    hidden = truth.known == 0
    changed = truth._replace(
        phase=truth.phase.masked_fill(hidden, torch.nan),
        footprint=torch.where(hidden, 1 - truth.footprint, truth.footprint),
    )
    with torch.no_grad():
        after = losses_of(kind, torch.where(hidden, 50.0, answer), changed)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value.detach())


@pytest.mark.parametrize("kind", ["bowlnet", *SINGLE])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_gradients_are_finite_even_without_any_data(truth, kind, size):
    for known in (truth.known, torch.zeros(SHAPE)):
        answer = noise(6, size).requires_grad_()
        total = sum(losses_of(kind, answer, truth._replace(known=known)).values())
        total.backward()
        assert torch.isfinite(total)
        assert torch.isfinite(answer.grad).all()


@pytest.mark.parametrize("kind", SINGLE)
def test_answers_of_half_precision_are_learned_from(truth, kind):
    answer = noise(7).bfloat16()
    single = losses_of(kind, answer.float(), truth)
    for name, value in losses_of(kind, answer, truth).items():
        torch.testing.assert_close(value, single[name], rtol=0.01, atol=0.01, check_dtype=False)
