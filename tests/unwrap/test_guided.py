"""Steep motion unwrapped with help: what helps chooses cycles only, and bad help does no harm."""

import math

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.unwrap import Guided, Whirlwind
from groundshift.unwrap.guided import bends, breaks

TURN = 2 * math.pi
LOOKS = 4.0


def wrap(phase):
    return np.angle(np.exp(1j * phase)).astype(np.float32)


def round_bowl(peak, shape=(70, 80), sigma=10.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return peak * np.exp(-((y - 33) ** 2 + (x - 41) ** 2) / (2 * sigma**2)) + 0.01 * x


def noisy(phase, coherence, seed=0):
    """Wrapped phase and estimated coherence of so many looks."""
    rng = np.random.default_rng(seed)
    a, b = ((rng.standard_normal((2, int(LOOKS), *phase.shape)) * [[[[1]]], [[[1j]]]]).sum(0) for _ in range(2))
    other = coherence * a + math.sqrt(1 - coherence**2) * b
    cross = (a * other.conj()).sum(0)
    seen = np.abs(cross) / np.sqrt((np.abs(a) ** 2).sum(0) * (np.abs(other) ** 2).sum(0))
    return wrap(phase + np.angle(cross)), seen.astype(np.float32)


def wrong(found, truth):
    """Share of the pixels that are half a cycle off and more."""
    off = found - truth
    return float((np.abs(off - np.median(off)) > math.pi).mean())


def guided(foresee=None):
    return Guided(Whirlwind(), foresee, "guided")


FORESIGHTS = {
    "none": None,
    "nonsense": lambda w, c: np.random.default_rng(9).normal(0, 50, w.shape).astype(np.float32),
    "unknown": lambda w, c: np.full_like(w, np.nan),
    "constant": lambda w, c: np.full_like(w, 300.0),
    "partly": lambda w, c: np.where(np.arange(w.shape[1]) < 30, np.nan, round_bowl(60)).astype(np.float32),
}


@pytest.mark.parametrize("foresee", FORESIGHTS)
@pytest.mark.parametrize("coherence", [0.6, 0.0], ids=["bowl", "noise"])
def test_wrapped_again_the_answer_is_what_was_given_at_every_pixel(foresee, coherence):
    wrapped, seen = noisy(round_bowl(60), coherence)
    before = wrapped.copy(), seen.copy()
    found = guided(FORESIGHTS[foresee]).unwrap(wrapped, seen, LOOKS)
    cycles = np.round((found.unwrapped.astype(float) - wrapped) / TURN)
    np.testing.assert_array_equal(found.unwrapped, (wrapped + TURN * cycles).astype(np.float32))
    assert len(np.unique(cycles)) > 3
    assert found.unwrapped.dtype == np.float32
    assert found.conncomp.dtype == np.uint32
    np.testing.assert_array_equal(wrapped, before[0])
    np.testing.assert_array_equal(seen, before[1])


@pytest.mark.parametrize("constant", [0.3, 2.0, -1.1])
@pytest.mark.parametrize("foresee", [None, lambda w, c: np.float32(0.9 * round_bowl(50))])
def test_a_constant_on_the_phase_is_one_on_the_answer(constant, foresee):
    wrapped, seen = noisy(round_bowl(50), 0.6)
    plain = guided(foresee).unwrap(wrapped, seen, LOOKS).unwrapped
    shifted = guided(foresee).unwrap(wrap(wrapped + constant), seen, LOOKS).unwrapped
    off = shifted - plain - constant
    np.testing.assert_allclose(off, TURN * round(float(off[0, 0]) / TURN), atol=1e-4)


@pytest.fixture(scope="module")
def simulated():
    """Draw a distorted bowl as networks learn from: (seed, peak, coherence) -> truth, wrapped phase, coherence."""
    torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
    from groundshift.simulate.batched.decorrelation import noisy as observed
    from groundshift.simulate.batched.decorrelation import strain_loss
    from groundshift.simulate.mining.fields import bowls

    def draw(seed, peak, coherence, side=96):
        source = torch.Generator().manual_seed(seed)
        sigma = 9 + 11 * torch.rand(1, 2, generator=source)
        shape = bowls(torch.full((1, 2), side / 2), sigma, torch.rand(1, generator=source), 0.4 * sigma.amin(1),
                      1 + 0.5 * torch.rand(1, generator=source), (side, side), source)  # fmt: skip
        truth = peak * shape
        noise = torch.randn((2, *truth.shape), generator=source)
        real, imaginary = observed(truth, coherence * strain_loss(truth), torch.full((1, 1, 1), LOOKS), noise)
        seen = torch.hypot(real, imaginary).clamp(1e-3, 1)
        return truth[0].numpy(), torch.atan2(imaginary, real)[0].numpy(), seen[0].numpy()

    return draw


@pytest.mark.parametrize(("peak", "coherence", "fewer"), [(10, 0.3, 4.0), (20, 0.5, 10.0)])
def test_far_fewer_pixels_of_steep_bowls_are_wrong_even_without_foresight(simulated, peak, coherence, fewer):
    plain = alone = 0.0
    for seed in range(5):
        truth, wrapped, seen = simulated(seed, peak * math.pi, coherence)
        plain += wrong(Whirlwind().unwrap(wrapped, seen, LOOKS).unwrapped, truth)
        alone += wrong(guided().unwrap(wrapped, seen, LOOKS).unwrapped, truth)
    assert plain > 0.05
    assert alone < plain / fewer


def test_foresight_finds_what_is_steeper_than_half_a_cycle_a_pixel():
    """The peak of 40 pi changes by up to 7.6 rad from pixel to pixel, which no wrapped phase tells."""
    truth = round_bowl(40 * math.pi)
    assert np.abs(np.diff(truth, axis=0)).max() > TURN
    wrapped, seen = noisy(truth, 0.95)
    alone = guided().unwrap(wrapped, seen, LOOKS).unwrapped
    helped = guided(lambda w, c: np.float32(0.9 * truth)).unwrap(wrapped, seen, LOOKS).unwrapped
    assert wrong(alone, truth) > 0.1
    assert wrong(helped, truth) < 0.001


@pytest.mark.parametrize("foresee", ["nonsense", "unknown", "constant"])
def test_foresight_that_tells_nothing_changes_nothing(foresee):
    wrapped, seen = noisy(round_bowl(60), 0.5)
    alone = guided().unwrap(wrapped, seen, LOOKS).unwrapped
    helped = guided(FORESIGHTS[foresee]).unwrap(wrapped, seen, LOOKS).unwrapped
    off = helped - alone
    np.testing.assert_allclose(off, TURN * round(float(off[0, 0]) / TURN), atol=1e-4)


def test_foresight_that_leaves_nothing_to_unwrap_is_not_believed_for_that():
    """The wrapped phase itself: what is left is flat, and the tears are all in what was foreseen."""
    truth = round_bowl(60)
    wrapped, seen = noisy(truth, 0.5)
    helped = guided(lambda w, c: w).unwrap(wrapped, seen, LOOKS).unwrapped
    assert wrong(wrapped, truth) > 0.2
    assert wrong(helped, truth) < 0.01


def test_an_image_that_nothing_tears_asks_for_no_foresight():
    def foresee(wrapped, coherence):
        raise AssertionError("asked")

    truth = round_bowl(25)
    found = guided(foresee).unwrap(*noisy(truth, 0.8), LOOKS)
    assert wrong(found.unwrapped, truth) == 0
    assert (found.conncomp == 1).mean() > 0.9


def test_pixels_without_phase_or_coherence_stay_without_and_the_rest_is_unwrapped():
    truth = round_bowl(30)
    wrapped, seen = noisy(truth, 0.8)
    wrapped[5:15, 40:60] = np.nan
    seen[40:50, 5:15] = 0
    seen[60, 70] = np.nan
    seen[25:30, 38:45] = np.nan
    hole = np.isnan(wrapped) | ~(seen > 0)
    for foresee in (None, FORESIGHTS["partly"]):
        found = guided(foresee).unwrap(wrapped, seen, LOOKS)
        np.testing.assert_array_equal(np.isnan(found.unwrapped), hole)
        assert not found.conncomp[hole].any()
        assert wrong(found.unwrapped[~hole], truth[~hole]) == 0


def test_halves_apart_are_each_unwrapped():
    truth = round_bowl(60, shape=(70, 120))
    wrapped, seen = noisy(truth, 0.5)
    seen[:, 75:85] = 0
    found = guided(lambda w, c: np.float32(truth)).unwrap(wrapped, seen, LOOKS).unwrapped
    for part in (np.s_[:, :75], np.s_[:, 85:]):
        assert wrong(found[part], truth[part]) < 0.005


def test_arguments_that_cannot_be_are_named_as_by_every_unwrapper():
    phase, ones = np.zeros((5, 6), np.float32), np.ones((5, 6), np.float32)
    with pytest.raises(ValueError, match=r"coherence must have shape \(5, 6\), instead got \(6, 5\)"):
        guided().unwrap(phase, ones.T, 10)
    for nlooks in (0.5, math.nan):
        with pytest.raises(ValueError, match=f"nlooks must be at least 1, instead got {nlooks}"):
            guided().unwrap(phase, ones, nlooks)
    for given, coherence in ((phase[:1], ones[:1]), (phase, 0 * ones), (phase * np.nan, ones)):
        with pytest.raises(NoDataError, match="nothing to unwrap: "):
            guided().unwrap(given, coherence, 10)
    assert guided().name == "guided"


def ramp(down, right, shape=(8, 9)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return down * y + right * x


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (ramp(3.1, -3.1), 0),
        (ramp(3.2, -4), 1),
        # 7 x 9 steps down, of which all are torn, and 8 x 8 to the right.
        (ramp(4, 0.5), 63 / (63 + 64)),
        # A tear of a cycle below row 2: one step of 7 in each of 9 columns.
        (ramp(0.1, 0.2) + TURN * (np.arange(8) > 2)[:, np.newaxis], 9 / (63 + 64)),
        (np.zeros((1, 1)), 0),
        (np.array([[0.0, np.nan, 9.0]]), 0),
        (np.array([[0.0, 5.0, np.nan, 9.0]]), 1),
    ],
)
@pytest.mark.parametrize("coherence", [1.0, 0.3])
def test_breaks_are_the_share_of_steps_beyond_half_a_cycle(phase, expected, coherence):
    assert breaks(phase, np.full(phase.shape, coherence)) == pytest.approx(expected)
    assert breaks(phase.T, np.full(phase.T.shape, coherence)) == pytest.approx(expected)


def test_breaks_weigh_by_the_square_of_the_lower_coherence():
    phase = np.array([[0.0, 1.0, 5.0, 5.0]])
    assert breaks(phase, np.array([[1.0, 0.5, 0.2, 0.8]])) == pytest.approx(0.04 / (0.25 + 0.04 + 0.04))
    assert breaks(phase, np.array([[1.0, 0.0, 0.2, 0.8]])) == 0
    assert breaks(phase, np.zeros((1, 4))) == 0


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (ramp(9, -4), 0),
        (np.zeros((2, 2)), 0),
        (np.array([[0.0, np.nan, 9.0, 9.0]]), 0),
        # A parabola: y^2 bends by 2 everywhere along columns (6 x 9 of them) and not along rows (8 x 7).
        (ramp(1, 0) ** 2, 2 * 54 / (54 + 56)),
        # A tear of a cycle: two of the six second differences of each column hold it.
        (ramp(4, 4) + TURN * (np.arange(8) > 2)[:, np.newaxis], 2 * 9 * TURN / (54 + 56)),
    ],
)
@pytest.mark.parametrize("coherence", [1.0, 0.3])
def test_bends_are_mean_second_differences(phase, expected, coherence):
    assert bends(phase, np.full(phase.shape, coherence)) == pytest.approx(expected)
    assert bends(7 - phase.T, np.full(phase.T.shape, coherence)) == pytest.approx(expected)


def test_bends_weigh_by_the_square_of_the_lowest_coherence():
    phase = np.array([[0.0, 0.0, 3.0, 6.0, 7.0]])
    level = np.array([[0.5, 1.0, 0.9, 0.8, 0.2]])
    assert bends(phase, level) == pytest.approx((0.25 * 3 + 0.64 * 0 + 0.04 * 2) / (0.25 + 0.64 + 0.04))
    assert bends(phase, 0 * level) == 0
