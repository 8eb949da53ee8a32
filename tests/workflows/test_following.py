"""One target followed: known motion comes out with its sign and within its doubt, and what cannot be told is said."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.timeseries import reference_series
from groundshift.timeseries.inversion import phase_weights
from groundshift.types import LookGeometry, Pair
from groundshift.unwrap import Unwrapped, UnwrappingError, Whirlwind
from groundshift.workflows.config import SeriesConfig
from groundshift.workflows.following import NoSeriesError, Patch, _joined_dates, _unwrap, follow

SHAPE = (32, 34)
PER_METRE = -4 * np.pi / SENTINEL1_WAVELENGTH
CONFIG = SeriesConfig(unwrapper="whirlwind")
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]] - np.array([15.5, 16.5])[:, None, None]
RHO = np.hypot(Y / 5, X / 6)
INSIDE = RHO < 1
BODY = np.maximum(1 - RHO**4, 0)
"""Velocity relative to the peak: a plug with a steep edge."""


def days_of(count=18, step=12):
    return [date(2018, 1, 1) + timedelta(step * k) for k in range(count)]


def pairs_of(days, most=36):
    return tuple(Pair(a, b) for k, a in enumerate(days) for b in days[k + 1 :] if (b - a).days <= most)


def make_patch(map_grid, velocity=0.04, pairs=None, seed=0, noise=0.25, air=0.002, extra=None, **given):
    """Ground that moves by `velocity` m/yr at its peak, beneath air that is alike on a date but for a tilt."""
    rng = np.random.default_rng(seed)
    pairs = pairs_of(days_of()) if pairs is None else pairs
    dates = sorted({d for p in pairs for d in (p.reference, p.secondary)})
    tilt = {d: air * (rng.normal() + rng.normal() * Y / 16 + rng.normal() * X / 16) for d in dates}
    moved = {d: velocity * (d - dates[0]).days / 365.25 * BODY + tilt[d] for d in dates}
    if extra is not None:
        moved = {d: moved[d] + extra(d) for d in dates}
    igrams = np.stack([
        0.8 * np.exp(1j * (PER_METRE * (moved[p.secondary] - moved[p.reference]) + noise * rng.standard_normal(SHAPE)))
        for p in pairs
    ]).astype(np.complex64)  # fmt: skip
    known = {
        "igrams": igrams,
        "pairs": tuple(pairs),
        "grid": map_grid(SHAPE),
        "wavelength": SENTINEL1_WAVELENGTH,
        "look": LookGeometry(190.0, 39.0),
        "inside": INSIDE,
        "others": np.zeros(SHAPE, bool),
        "significance": np.where(RHO < 1.4, 9, 0.5).astype(np.float32),
        "stacked_velocity": (velocity * BODY).astype(np.float32),
    }
    return Patch(**{**known, **given})


@pytest.mark.parametrize("velocity", [0.04, -0.04])
def test_a_steady_slide_comes_out_within_its_interval(map_grid, velocity):
    for seed in range(2):
        found = follow(make_patch(map_grid, velocity, seed=seed), CONFIG, Whirlwind())
        truth = velocity * BODY[found.core].mean()
        low, high = found.interval()
        assert low < truth < high
        assert high - low < 0.03
        assert np.sign(found.motion.velocity.rate) == np.sign(velocity)
        assert (found.displacement[-1] - found.displacement[0]) * velocity > 0
        # Each pixel by itself, where it moves and where it does not.
        error = np.abs(found.velocity.rate - velocity * BODY) / found.velocity_sigma
        assert np.mean(error < 3) > 0.95
        assert np.corrcoef(found.velocity.rate.ravel(), velocity * BODY.ravel())[0, 1] > 0.9
        assert (found.left_out, found.corrected) == ((), 0)
        assert found.notes == (
            "DEM error left in: perpendicular baselines are known for 0 of 48 pairs and do not reach every date",
        )


def test_the_core_is_the_faster_half_by_the_stack(map_grid):
    found = follow(make_patch(map_grid), CONFIG, Whirlwind())
    assert found.core.sum() == pytest.approx(INSIDE.sum() / 2, abs=3)
    assert BODY[found.core].min() >= np.median(BODY[INSIDE])
    # A stack that knows nothing of the target leaves all of it.
    blind = make_patch(map_grid, stacked_velocity=np.full(SHAPE, np.nan, np.float32))
    np.testing.assert_array_equal(follow(blind, CONFIG, Whirlwind()).core, INSIDE)


def test_of_fast_motion_the_core_is_what_has_moved_nearly_as_far_as_the_farthest(map_grid):
    """A bowl that no stack tells of, with a hole in its middle, in which nothing is known."""
    bowl = np.exp(-(RHO**2) * 1.5)
    patch = make_patch(
        map_grid, 0.0, stacked_velocity=np.full(SHAPE, np.nan, np.float32), significance=np.zeros(SHAPE, np.float32),
        extra=lambda day: -0.3 * (day - days_of()[0]).days / 365.25 * bowl, fast=True, pixel=20.0,
    )  # fmt: skip
    patch.igrams[:, 15:17, 16:18] = 0
    found = follow(patch, CONFIG, Whirlwind())
    known = INSIDE & (patch.igrams != 0).any(0)
    assert not found.core[15:17, 16:18].any()
    assert bowl[found.core].min() > 0.6 * bowl[known].max()
    assert found.core[known & (bowl > 0.8)].all()
    truth = -0.3 * bowl[found.core].mean()
    assert found.motion.velocity.rate == pytest.approx(truth, abs=0.02)


def test_motion_is_counted_from_the_reference_and_dates_as_a_whole_drop_out(map_grid):
    patch = make_patch(map_grid)
    found = follow(patch, CONFIG, Whirlwind())
    there = reference_series(found.inverted.displacement, found.reference.pixels, found.reference.weights)
    np.testing.assert_allclose(there, 0, atol=1e-6)
    assert not (INSIDE | (patch.significance > 2))[tuple(found.reference.pixels.T)].any()
    # The clock of an acquisition, or the air above all of the patch, is not seen.
    rng = np.random.default_rng(5)
    phase = {d: rng.uniform(-9, 9) for d in found.dates}
    turn = np.array([phase[p.secondary] - phase[p.reference] for p in patch.pairs])[:, None, None]
    turned = follow(replace(patch, igrams=(patch.igrams * np.exp(1j * turn)).astype(np.complex64)), CONFIG, Whirlwind())
    np.testing.assert_allclose(turned.displacement, found.displacement, atol=2e-6)
    np.testing.assert_allclose(turned.interval(), found.interval(), atol=2e-5)


def test_ground_of_which_the_stack_knows_nothing_is_no_reference(map_grid):
    patch = make_patch(map_grid)
    patch.significance[:, :16] = np.nan
    found = follow(patch, CONFIG, Whirlwind())
    assert (found.reference.pixels[:, 1] >= 16).all()
    # If it knows nothing at all, stable ground is what is coherent.
    patch.significance[:] = np.nan
    assert len(follow(patch, CONFIG, Whirlwind()).reference.pixels) >= 9


def test_the_order_of_the_pairs_does_not_matter(map_grid):
    patch = make_patch(map_grid, noise=0.6)
    order = np.random.default_rng(3).permutation(len(patch.pairs))
    other = replace(patch, pairs=tuple(patch.pairs[k] for k in order), igrams=patch.igrams[order])
    one, two = (follow(p, CONFIG, Whirlwind()) for p in (patch, other))
    np.testing.assert_allclose(two.displacement, one.displacement, atol=1e-6)
    np.testing.assert_allclose(two.sigma, one.sigma, rtol=1e-3)
    np.testing.assert_allclose(two.interval(), one.interval(), atol=1e-5)
    assert sorted(two.left_out) == sorted(one.left_out)
    assert set(two.pairs) == set(one.pairs)


def test_motion_of_more_than_half_a_cycle_in_every_long_pair_is_foreseen_by_the_stack(map_grid):
    # 20 mm of 28 within 36 days, over a steep edge: to an unwrapper that is 8 mm the other way.
    fast = make_patch(map_grid, -0.2, noise=0.1, pairs=[p for p in pairs_of(days_of(), 36) if p.days > 12])
    stack = (-0.15 * BODY).astype(np.float32)
    found = follow(replace(fast, stacked_velocity=stack), CONFIG, Whirlwind())
    low, high = found.interval()
    assert low < -0.2 * BODY[found.core].mean() < high
    assert high < -0.15
    blind = replace(fast, stacked_velocity=np.full(SHAPE, np.nan, np.float32))
    assert follow(blind, CONFIG, Whirlwind()).motion.velocity.rate > -0.15


def test_what_the_stack_foresees_decides_nothing_but_whole_cycles(map_grid):
    patch = make_patch(map_grid, 0.03)
    rates = [
        follow(
            replace(patch, stacked_velocity=(share * patch.stacked_velocity).astype(np.float32)), CONFIG, Whirlwind()
        )
        for share in (0.3, 1.0, 1.5)
    ]
    for found in rates[1:]:
        np.testing.assert_allclose(found.displacement, rates[0].displacement, atol=2e-6)


@pytest.mark.parametrize("jump", [0.0, -0.5])
def test_groups_of_dates_have_offsets_of_their_own_and_say_so(map_grid, jump):
    days = [*days_of(10), *(d + timedelta(500) for d in days_of(12))]
    # What happens in between no pair has seen.
    patch = make_patch(map_grid, -0.05, pairs_of(days), extra=lambda d: jump * BODY * (d > days[10 - 1]))
    found = follow(patch, CONFIG, Whirlwind())
    assert found.groups.tolist() == [1] * 10 + [2] * 12
    low, high = found.interval()
    assert low < -0.05 * BODY[found.core].mean() < high
    assert high - low < 0.05
    first, second = (found.motion.at([days[0]], group)[0] for group in (1, 2))
    assert np.isfinite([first, second]).all()
    assert found.inverted.gaps[0].days == (days[10] - days[9]).days


def test_pairs_without_trust_are_left_out_with_a_reason(map_grid):
    patch = make_patch(map_grid, unread=(("20180113_20180125", "a.tif: not a readable raster; fetch the file again"),))
    names = [p.name for p in patch.pairs]
    unread, noise, empty = names.index("20180113_20180125"), 20, 30
    rng = np.random.default_rng(1)
    patch.igrams[unread] = patch.igrams[empty] = 0
    patch.igrams[noise] = 0.8 * np.exp(1j * rng.uniform(-np.pi, np.pi, SHAPE))
    found = follow(patch, CONFIG, Whirlwind())
    left_out = dict(found.left_out)
    assert left_out.keys() == {names[unread], names[noise], names[empty]}
    assert left_out[names[unread]] == "a.tif: not a readable raster; fetch the file again"
    assert left_out[names[empty]] == "no data on the patch"
    assert left_out[names[noise]].endswith("of its pixel triplets close, less than 60 %")
    assert len(found.pairs) == len(names) - 3


class Broken:
    """Gives up on every pair."""

    name = "broken"

    def unwrap(self, wrapped, coherence, nlooks) -> Unwrapped:
        raise UnwrappingError("broken gave up: no reason; try another unwrapper")


def without_data(patch):
    patch.igrams[:, INSIDE] = 0
    return patch


@pytest.mark.parametrize(
    ("change", "unwrapper", "reason"),
    [
        (without_data, None, "only 0 pixels of the target have data, 4 are needed"),
        (lambda p: replace(p, igrams=p.igrams * 0), None, "only 0 pixels of the target have data, 4 are needed"),
        (lambda p: replace(p, others=~INSIDE), None, "no stable ground: 0 quiet, coherent pixels within 2.5 box sizes, "
         "25 wanted"),
        (lambda p: p, Broken(), "none of 48 pairs can be unwrapped with trust; 20180101_20180113: broken gave up: no "
         "reason; try another unwrapper"),
    ],
    ids=["target without data", "patch without data", "no stable ground", "unwrapper gives up"],
)  # fmt: skip
def test_what_cannot_be_followed_has_a_reason(map_grid, change, unwrapper, reason):
    with pytest.raises(NoSeriesError) as caught:
        follow(change(make_patch(map_grid)), CONFIG, unwrapper or Whirlwind())
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        (pairs_of(days_of(2)), "only 2 dates, 4 are needed for a velocity"),
        (pairs_of(days_of(3)), "only 3 dates, 4 are needed for a velocity"),
        # Two pairs that share no date.
        (
            tuple(Pair(a, a + timedelta(12)) for a in days_of(2, 300)),
            "4 known dates in 2 groups tell no velocity, 4 in one would",
        ),
    ],
    ids=["one pair", "three dates", "disconnected"],
)
def test_too_few_dates_that_hang_together_tell_no_velocity(map_grid, pairs, reason):
    with pytest.raises(NoSeriesError) as caught:
        follow(make_patch(map_grid, pairs=pairs), CONFIG, Whirlwind())
    assert str(caught.value) == reason


def test_dem_error_and_delay_with_height_are_taken_out(map_grid):
    rng = np.random.default_rng(8)
    days = days_of(20)
    baseline = {d: float(rng.normal(0, 80)) for d in days}
    delay = {d: float(rng.normal(0, 2e-5)) for d in days}
    pairs = [Pair(p.reference, p.secondary, baseline[p.secondary] - baseline[p.reference]) for p in pairs_of(days)]
    height = (2000 + 20 * X + 4 * Y).astype(np.float32)
    error = 30 * np.exp(-(Y**2 + X**2) / 30)
    # A pixel that is higher than the DEM has it seems farther away the more the longer the baseline.
    lever = {d: -baseline[d] / (850_000 * np.sin(np.radians(39))) for d in days}

    def extra(day):
        return error * lever[day] + delay[day] * (height - 2000)

    given = {"pairs": pairs, "extra": extra, "height": height}
    found = follow(make_patch(map_grid, 0.03, **given), CONFIG, Whirlwind())
    low, high = found.interval()
    assert low < 0.03 * BODY[found.core].mean() < high
    assert found.notes == ()
    # Metres of DEM error are told to about what the noise allows.
    assert np.abs(found.inverted.dem_error - error)[found.core].mean() < 6
    left = follow(
        make_patch(map_grid, 0.03, **given),
        CONFIG.model_copy(update={"dem_error": False, "stratified": False}),
        Whirlwind(),
    )
    assert left.motion.velocity.scatter > 2 * found.motion.velocity.scatter
    assert left.inverted.dem_error is None


class Watched(Whirlwind):
    """Remembers what it was given."""

    def __init__(self):
        self.seen = []

    def unwrap(self, wrapped, coherence, nlooks):
        self.seen.append((wrapped.shape, nlooks))
        return super().unwrap(wrapped, coherence, nlooks)


def test_multilooked_pixels_count_for_as_many_looks(map_grid):
    # So little noise that the errors are those of the weights.
    patch = make_patch(map_grid, noise=0.05)
    patch.igrams[:] *= 0.4
    once, often = Watched(), Watched()
    one = follow(patch, CONFIG, once)
    four = follow(replace(patch, looks=4), CONFIG, often)
    assert set(once.seen) == {(SHAPE, CONFIG.nlooks)}
    assert set(often.seen) == {(SHAPE, 4 * CONFIG.nlooks)}
    twenty, eighty = (float(phase_weights(np.array([0.32]), looks)[0]) for looks in (20, 80))
    ratio = np.nanmedian(four.inverted.sigma[1:] / one.inverted.sigma[1:])
    assert ratio == pytest.approx(np.sqrt(twenty / eighty), rel=0.01)


def test_whole_cycles_are_found_on_pixels_of_40_m_and_the_phase_is_that_of_every_pixel(map_grid):
    # Three by three pixels of 13.3 m make one of 40 m, and the last are cut off.
    whole = make_patch(map_grid, -0.08, pairs_of(days_of(10)), noise=0, air=0)
    rows, columns = 3 * SHAPE[0] - 1, 3 * SHAPE[1] - 2

    def fine(values):
        return np.kron(values, np.ones((3, 3)))[..., :rows, :columns].astype(values.dtype)

    igrams = fine(whole.igrams)
    igrams *= np.exp(1j * np.random.default_rng(4).normal(0, 0.7, igrams.shape))
    igrams[:, 40:44, 60:70] = 0
    watched = Watched()
    patch = replace(
        whole, grid=map_grid((rows, columns), 40 / 3), igrams=igrams, inside=fine(INSIDE), others=fine(whole.others),
        significance=fine(whole.significance), stacked_velocity=np.float32(0.7) * fine(whole.stacked_velocity),
    )  # fmt: skip
    phase = _unwrap(patch, CONFIG.nlooks, watched)
    assert set(watched.seen) == {(SHAPE, 9 * CONFIG.nlooks)}
    known = igrams != 0
    np.testing.assert_array_equal(np.isfinite(phase.unwrapped), known)
    np.testing.assert_array_equal(phase.conncomp > 0, known)
    np.testing.assert_allclose(np.exp(1j * phase.unwrapped[known]), igrams[known] / np.abs(igrams[known]), atol=1e-4)
    # Noise of 0.7 rad reaches half a cycle in 7 of a million pixels.
    truth = PER_METRE * -0.08 * fine(BODY)
    cycles = [(u - truth * pair.years) / (2 * np.pi) for u, pair in zip(phase.unwrapped, patch.pairs, strict=True)]
    off = np.array([c - np.round(np.nanmedian(c)) for c in cycles])
    assert np.mean(np.abs(off[known]) < 0.5) > 0.9999


def test_two_stated_errors_reach_as_far_as_the_interval_with_the_doubt_about_the_reference(map_grid):
    found = follow(make_patch(map_grid, noise=0.8), CONFIG, Whirlwind())
    spread = found.sensitivity.spread
    assert spread > 0
    half = [(high - low) / 2 for low, high in (found.interval(), found.motion.velocity.interval())]
    assert half[0] == pytest.approx(np.hypot(half[1], 1.96 * spread), rel=1e-3)
    assert found.rate_sigma == pytest.approx(half[0] / 1.96, rel=1e-3)
    low, high = found.velocity.interval()
    expected = np.hypot((high - low) / 2 / 1.96, spread)
    np.testing.assert_allclose(found.velocity_sigma, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "groups", "members"),
    [
        # All alike.
        ([[1, 1, 1, 1]] * 5, [1, 1, 1, 1], [1, 1, 1, 1, 1]),
        # Most do not know the last date; those that do join the others without it.
        ([[1, 1, 1, 0]] * 4 + [[1, 1, 1, 1]] * 2, [1, 1, 1, 0], [1, 1, 1, 1, 1, 1]),
        # One that is broken in the middle is no member; where all are, dates are in two groups.
        ([[1, 1, 1, 1]] * 3 + [[1, 1, 2, 2]], [1, 1, 1, 1], [1, 1, 1, 0]),
        ([[1, 1, 2, 2]] * 3 + [[1, 1, 1, 1]], [1, 1, 2, 2], [1, 1, 1, 1]),
        # Groups are told by what they join, not by their number.
        ([[0, 1, 1, 1]] * 3 + [[1, 2, 2, 2]], [0, 1, 1, 1], [1, 1, 1, 1]),
    ],
)  # fmt: skip
def test_dates_hang_together_where_they_do_in_every_pixel(pixels, groups, members):
    found, have = _joined_dates(np.array(pixels, np.uint16).T)
    assert (found.tolist(), have.astype(int).tolist()) == (groups, members)
