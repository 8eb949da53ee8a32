"""Closed fringes are found with the sign of their phase, and noise, ramps and gaps are not."""

import numpy as np
import pytest

from groundshift.detect.bowls import find_bowls
from groundshift.detect.fringes import scan_fringes

SHAPE = (128, 144)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
KNOWN = np.ones(SHAPE, bool)


def bump(centre, sigma, peak):
    return peak * np.exp(-((Y - centre[0]) ** 2 + (X - centre[1]) ** 2) / (2 * sigma**2))


def wrap(phase):
    return np.angle(np.exp(1j * phase)).astype(np.float32)


def find(wrapped, known=KNOWN, coherence=None):
    found = scan_fringes(wrapped, known, coherence)
    return find_bowls(found.probability, found.phase, known)


def overlap(bowl, footprint):
    drawn = np.zeros(footprint.shape, bool)
    drawn[bowl.window.rows, bowl.window.columns] = bowl.mask
    return (drawn & footprint).sum() / (drawn | footprint).sum()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("sigma", "peak", "spread"), [(6, 8, 0.0), (6, 8, 0.5), (10, 20, 0.0), (10, 20, 0.7), (16, 40, 0.5)]
)
def test_bowl_comes_out_with_its_footprint_its_sign_and_most_of_its_peak(sign, sigma, peak, spread):
    phase = sign * bump((60, 70), sigma, peak)
    noise = np.random.default_rng(0).normal(0, spread, SHAPE)
    (bowl,) = find(wrap(phase + noise))
    assert overlap(bowl, np.abs(phase) > np.pi / 3) > 0.8
    assert 0.85 * peak < sign * bowl.peak < 1.1 * peak
    # Odds of the core: phase over that of the footprint's edge.
    assert bowl.score == pytest.approx(peak / (peak + np.pi / 3), abs=0.08)


@pytest.mark.parametrize("added", [2.5 + 0 * Y, 0.1 * Y - 0.07 * X, 3 - 0.25 * Y])
def test_constant_and_ramp_added_to_the_phase_change_nothing(added):
    phase = bump((60, 70), 9, 8)
    before, after = scan_fringes(wrap(phase), KNOWN), scan_fringes(wrap(phase + added), KNOWN)
    assert (before.probability >= 0.5).sum() > 100
    np.testing.assert_allclose(after.probability, before.probability, atol=2e-3)
    np.testing.assert_allclose(after.phase, before.phase, atol=2e-2)


def test_a_long_swell_of_air_is_ground_and_leaves_the_footprint():
    phase = bump((60, 70), 8, 12)
    (bowl,) = find(wrap(phase + 2 * np.sin(2 * np.pi * X / 200 + 1)))
    assert overlap(bowl, phase > np.pi / 3) > 0.88


def test_turning_the_sign_turns_the_phase_and_leaves_the_probability():
    wrapped = wrap(bump((60, 70), 9, 14) + np.random.default_rng(1).normal(0, 0.4, SHAPE))
    one, other = scan_fringes(wrapped, KNOWN), scan_fringes(-wrapped, KNOWN)
    np.testing.assert_allclose(other.phase, -one.phase, atol=1e-3)
    np.testing.assert_allclose(other.probability, one.probability, atol=1e-3)


def test_density_is_the_rate_of_even_fringes():
    found = scan_fringes(wrap(0.3 * Y - 0.4 * X), KNOWN)
    np.testing.assert_allclose(found.density[4:-4, 4:-4], 0.5, atol=1e-4)


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.1, 1.5, 2.0, None])
def test_noise_alone_gives_no_bowls(spread):
    rng = np.random.default_rng(2)
    for _ in range(2):
        noise = rng.uniform(-np.pi, np.pi, SHAPE) if spread is None else rng.normal(0, spread, SHAPE)
        found = scan_fringes(wrap(noise), KNOWN)
        assert (found.probability < 0.5).all()


def test_a_patch_of_noise_in_quiet_ground_is_no_bowl_and_a_bowl_beside_it_is():
    rng = np.random.default_rng(3)
    lake = np.hypot(Y - 90, X - 100) < 22
    phase = bump((40, 40), 8, 12)
    noise = np.where(lake, rng.uniform(-np.pi, np.pi, SHAPE), rng.normal(0, 0.3, SHAPE))
    (bowl,) = find(wrap(phase + noise))
    assert overlap(bowl, phase > np.pi / 3) > 0.8


@pytest.mark.parametrize(("spread", "least", "most"), [(1.2, 2.7, 4.0), (None, 4.0, 4.8)])
def test_noise_alone_raises_the_phase_4_4_times_as_far_as_its_misfit(spread, least, most):
    rng = np.random.default_rng(4)
    shape = (256, 256)
    noise = rng.uniform(-np.pi, np.pi, shape) if spread is None else rng.normal(0, spread, shape)
    found = scan_fringes(wrap(noise), np.ones(shape, bool))
    # The misfit again: averaged phasors of neighbours, less the differences of the phase.
    squares = []
    for axis in (0, 1):
        steps = np.exp(1j * np.diff(noise, axis=axis))
        mean = np.lib.stride_tricks.sliding_window_view(steps, (5, 5)).mean((2, 3))
        squares.append(np.mean((np.diff(found.phase, axis=axis)[2:-2, 2:-2] - np.angle(mean)) ** 2))
    assert least < found.phase.std() / np.sqrt(np.mean(squares)) < most


def test_coherence_lets_fringes_through_that_noise_beside_them_hides():
    rng = np.random.default_rng(5)
    phase = bump((60, 70), 9, 14)
    bad = rng.random(SHAPE) < 0.35
    wrapped = wrap(np.where(bad, rng.uniform(-np.pi, np.pi, SHAPE), phase))
    (bowl,) = find(wrapped, KNOWN, np.where(bad, 0.05, 0.9))
    assert overlap(bowl, phase > np.pi / 3) > 0.8
    blind = find(wrapped)
    assert not blind or overlap(blind[0], phase > np.pi / 3) < overlap(bowl, phase > np.pi / 3)


def test_like_coherence_is_as_good_as_none():
    wrapped = wrap(bump((60, 70), 9, 14))
    for level in (0.3, 1.0):
        with_, without = scan_fringes(wrapped, KNOWN, np.full(SHAPE, level)), scan_fringes(wrapped, KNOWN)
        np.testing.assert_allclose(with_.probability, without.probability, atol=1e-3)


def test_what_is_not_known_is_nan_and_does_not_matter():
    phase = bump((60, 70), 9, 14)
    known = KNOWN.copy()
    known[20:30, 100:130] = known[60, 70] = False
    one = np.where(known, wrap(phase), 1.0).astype(np.float32)
    other = np.where(known, wrap(phase), np.nan).astype(np.float32)
    a, b = scan_fringes(one, known), scan_fringes(other, KNOWN)
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)
    assert (np.isnan(a.phase) == ~known).all()
    assert (np.isnan(a.density) == ~known).all()
    assert (a.probability[~known] == 0).all()
    (bowl,) = find(one, known)
    assert bowl.mask[60 - bowl.window.y, 70 - bowl.window.x]  # Its hole is filled.
    assert overlap(bowl, phase > np.pi / 3) > 0.8


def test_without_two_neighbours_there_is_nothing():
    alone = np.zeros(SHAPE, bool)
    alone[::9, ::9] = True
    for known in (alone, ~KNOWN):
        found = scan_fringes(wrap(bump((60, 70), 9, 14)), known)
        assert (found.probability == 0).all()
        assert np.isnan(found.phase).all()
        assert np.isnan(found.density).all()
        assert find_bowls(found.probability, found.phase, known) == []


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="known must have shape"):
        scan_fringes(np.zeros(SHAPE), KNOWN[1:])
    with pytest.raises(ValueError, match="coherence must have shape"):
        scan_fringes(np.zeros(SHAPE), KNOWN, np.zeros((3, 3)))


@pytest.mark.real
def test_the_four_bowls_of_a_real_interferogram_are_found_and_sink(real_data):
    wrapped = np.fromfile(real_data / "mining_phase" / "300_20190120-20190201.wzp", "<f4").reshape(300, 300)
    bowls = find(wrapped, np.ones(wrapped.shape, bool))
    assert len(bowls) == 4
    assert all(bowl.peak > np.pi for bowl in bowls)
    # Read from the picture: rows and columns amid their fringes.
    for y, x in ((195, 95), (190, 295), (293, 105), (15, 47)):
        assert any(
            b.window.y <= y < b.window.y + b.window.height
            and b.window.x <= x < b.window.x + b.window.width
            and b.mask[y - b.window.y, x - b.window.x]
            for b in bowls
        )
