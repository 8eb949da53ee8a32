"""DEM error and stratified delay: closed forms, laws, stated errors, and refusals."""

import itertools
import math
from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.pairs import incidence_matrix
from groundshift.timeseries.terms import (
    InseparableTermError,
    date_baselines,
    dem_per_metre,
    estimate_dem_error,
    remove_stratified_delay,
)
from groundshift.types import Pair


def day(number):
    return date(2020, 1, 1) + timedelta(int(number))


def join(days, baselines, reach):
    """Pairs of up to `reach` days, with the baselines that follow from those of the dates."""
    by_day = dict(zip(days, baselines, strict=True))
    return tuple(
        Pair(day(a), day(b), by_day[b] - by_day[a]) for a, b in itertools.combinations(days, 2) if b - a <= reach
    )


@pytest.fixture(scope="module")
def network():
    """Forty dates over 16 months with baselines of no order."""
    days = list(range(0, 480, 12))
    baselines = np.random.default_rng(0).normal(0, 80, 40)
    return days, baselines, join(days, baselines.tolist(), 36)


def test_baselines_of_dates_come_back_about_their_mean(network):
    _, baselines, pairs = network
    np.testing.assert_allclose(date_baselines(pairs), baselines - baselines.mean(), atol=1e-9)


def test_baselines_that_contradict_each_other_meet_in_the_middle():
    pairs = [Pair(day(0), day(12), 10.0), Pair(day(12), day(24), 10.0), Pair(day(0), day(24), 26.0)]
    found = date_baselines(pairs)
    # The triangle is open by 6 m, of which each side takes 2.
    np.testing.assert_allclose(np.diff(found), [12, 12])


def test_baselines_of_groups_are_each_about_its_mean():
    pairs = [Pair(day(0), day(12), 40.0), Pair(day(100), day(112), -6.0)]
    np.testing.assert_allclose(date_baselines(pairs), [-20, 20, 3, -3])


def test_pairs_that_do_not_tell_their_baseline_are_made_up_for_or_refused():
    chain = [Pair(day(0), day(12), 5.0), Pair(day(12), day(24), 7.0), Pair(day(0), day(24))]
    np.testing.assert_allclose(np.diff(date_baselines(chain)), [5, 7])
    with pytest.raises(
        InseparableTermError,
        match=r"^perpendicular baselines are known for 1 of 2 pairs and do not reach every date; "
        r"leave the DEM error out$",
    ):
        date_baselines([Pair(day(0), day(12), 5.0), Pair(day(12), day(24))])


def test_ground_above_the_dem_feigns_motion_away_where_the_secondary_looks_flatter():
    found = np.diff(dem_per_metre([Pair(day(0), day(12), 100.0)], 850_000, 30))[0]
    assert found == pytest.approx(-100 / (850_000 * 0.5))
    # To the right of the flight, along it, and up. The reference lies in the origin; the secondary 100 m off, at right
    # angles to the line of sight and below it.
    look, flight = math.radians(30), np.array([0, 1.0, 0])
    secondary = -100 * np.array([math.cos(look), 0, math.sin(look)])

    def seen(angle):
        return 850_000 * np.array([math.sin(angle), 0, -math.cos(angle)])

    def longer(point):
        return np.linalg.norm(point - secondary) - np.linalg.norm(point)

    # Two points of the same range from the reference, one metre of height apart.
    ground, above = seen(look), seen(look + 1 / (850_000 * math.sin(look)))
    assert above[2] - ground[2] == pytest.approx(1, rel=1e-5)
    (to_right, _, down) = ground - secondary
    assert math.degrees(math.atan2(to_right, -down)) > 30
    assert found == pytest.approx(-(longer(above) - longer(ground)), rel=1e-3)
    # That is the side on which ISCE2 (topsStack) counts a baseline as positive.
    assert np.cross(ground, secondary) @ flight > 0


def test_dem_error_under_steady_and_annual_motion_is_exact(network):
    days, _, pairs = network
    lever = dem_per_metre(pairs, 850_000, 39)
    years = np.array(days)[:, None, None] / 365.25
    error = np.random.default_rng(1).normal(0, 10, (3, 4))
    rate = np.linspace(-0.1, 0.1, 12).reshape(3, 4)
    moved = rate * years + 0.02 * np.sin(2 * math.pi * years + 0.7) + lever[:, None, None] * error + 0.3
    dates = [day(d) for d in days]
    found = estimate_dem_error(dates, moved, np.ones(moved.shape, np.uint16), lever)
    np.testing.assert_allclose(found.error, error, atol=1e-4)
    np.testing.assert_allclose(found.sigma, 0, atol=1e-4)
    assert found.separable > 0.8


def test_offsets_of_groups_and_missing_dates_do_not_matter(network):
    days, _, pairs = network
    lever = dem_per_metre(pairs, 850_000, 39)
    rng = np.random.default_rng(2)
    groups = np.ones((40, 1, 6), np.uint16)
    groups[20:] = 2
    groups[30:, 0, 3:] = 3
    groups[::7, 0, 4] = 1
    moved = 0.05 * np.array(days)[:, None, None] / 365.25 + lever[:, None, None] * np.arange(6.0)
    moved = moved + np.take(rng.normal(0, 1, 4), groups)
    gone = rng.random(moved.shape) < 0.2
    moved[gone], groups[gone] = np.nan, 0
    found = estimate_dem_error([day(d) for d in days], moved, groups, lever)
    np.testing.assert_allclose(found.error[0], np.arange(6), atol=1e-4)


def test_dem_error_scatters_as_stated(network):
    days, _, pairs = network
    lever = dem_per_metre(pairs, 850_000, 39)
    air = np.random.default_rng(3).normal(0, 0.004, (40, 60, 60))
    found = estimate_dem_error([day(d) for d in days], air, np.ones(air.shape, np.uint16), lever)
    ratio = math.sqrt((found.error**2).mean() / (found.sigma**2).mean())
    assert ratio == pytest.approx(1, abs=4 / math.sqrt(2 * 3600))


def test_pixel_whose_dates_cannot_tell_has_no_dem_error(network):
    days, _, pairs = network
    lever = dem_per_metre(pairs, 850_000, 39)
    moved = np.zeros((40, 1, 3))
    groups = np.ones(moved.shape, np.uint16)
    # Six dates for five unknowns; and every date a group of its own.
    groups[6:, 0, 1], moved[6:, 0, 1] = 0, np.nan
    groups[:, 0, 2] = np.arange(40) + 1
    found = estimate_dem_error([day(d) for d in days], moved, groups, lever)
    assert np.isfinite(found.error[0]).tolist() == [True, False, False]
    assert np.isfinite(found.sigma[0]).tolist() == [True, False, False]


def test_dem_error_that_looks_like_motion_is_refused(network):
    days, *_ = network
    dates, moved, groups = [day(d) for d in days], np.zeros((40, 1, 1)), np.ones((40, 1, 1), np.uint16)
    years = np.array(days) / 365.25
    jitter = np.random.default_rng(4).normal(0, 0.03, 40)
    for feigned in (years + jitter, np.sin(2 * math.pi * years) + jitter):
        with pytest.raises(
            InseparableTermError,
            match=r"^motion explains (9\d|100)% of the perpendicular baselines' variance, 90% is the most that can be "
            r"told apart; leave the DEM error out$",
        ):
            estimate_dem_error(dates, moved, groups, 1e-4 * feigned)
    with pytest.raises(
        InseparableTermError, match=r"^40 dates with baselines that feign 0 m .* leave the DEM error out$"
    ):
        estimate_dem_error(dates, moved, groups, np.zeros(40))
    with pytest.raises(InseparableTermError, match=r"^4 dates with baselines that feign .* leave the DEM error out$"):
        estimate_dem_error(dates[:4], moved[:4], groups[:4], years[:4] ** 2)
    with pytest.raises(NoDataError, match=r"^no pixel has displacement on any of 40 dates; choose another place$"):
        estimate_dem_error(dates, moved * np.nan, groups * 0, 1e-4 * jitter)


def test_geometry_of_the_radar_is_checked(network):
    *_, pairs = network
    with pytest.raises(ValueError, match=r"^slant_range must be positive, instead got 0$"):
        dem_per_metre(pairs, 0, 39)
    with pytest.raises(ValueError, match=r"^incidence must lie between 0 and 90 degrees, instead got 90$"):
        dem_per_metre(pairs, 850_000, 90)
    with pytest.raises(ValueError, match=r"^per_metre must have shape \(2,\), instead got \(3,\)$"):
        estimate_dem_error([day(0), day(12)], np.zeros((2, 1, 1)), np.ones((2, 1, 1), np.uint16), np.zeros(3))


@pytest.fixture(scope="module")
def stratified(network):
    """Delay that grows with height, a different slope on each date, around a moving body."""
    *_, pairs = network
    y, x = np.mgrid[:24, :30]
    height = 1500 + 25.0 * y + 40 * np.sin(x / 3)
    slope = np.random.default_rng(5).normal(0, 0.005, 40)
    of_pair = incidence_matrix(pairs)[1] @ slope
    body = np.hypot(y - 12, x - 15) < 6
    return pairs, height, ~body, of_pair


def test_stratified_delay_comes_off_and_motion_stays(stratified):
    pairs, height, outside, slope = stratified
    years = np.array([p.years for p in pairs])[:, None, None]
    motion = -30 * years * ~outside
    found = remove_stratified_delay(motion + slope[:, None, None] * height, height, outside, pairs)
    np.testing.assert_allclose(found.slope, slope, atol=1e-8)
    left = found.unw - motion
    # What is left is one constant per pair: the delay at the height that stays as it is.
    np.testing.assert_allclose(left, np.broadcast_to((slope * found.zero_height)[:, None, None], left.shape), atol=1e-3)
    assert np.percentile(height[outside], 40) < found.zero_height < np.percentile(height[outside], 60)


def test_parts_that_are_whole_cycles_off_move_the_slope_little(stratified):
    pairs, height, outside, slope = stratified
    rng = np.random.default_rng(6)
    unw = slope[:, None, None] * height + rng.normal(0, 0.3, (len(pairs), *height.shape))
    corner = np.zeros(height.shape, bool)
    corner[:8, :8] = True
    found = remove_stratified_delay(unw + 2 * math.pi * corner, height, outside, pairs)
    plain = np.array([np.polyfit(height[outside], p[outside], 1)[0] for p in unw + 2 * math.pi * corner])
    assert np.abs(found.slope - slope).max() < 0.4 * np.abs(plain - slope).max()


def test_taking_the_delay_out_closes_what_was_closed(stratified):
    # Noise of pairs gives slopes that do not add up round a triangle; what is taken out does.
    pairs, height, outside, _ = stratified
    rng = np.random.default_rng(7)
    unw = rng.normal(0, 1, (len(pairs), *height.shape))
    found = remove_stratified_delay(unw, height, outside, pairs)
    index = {(p.reference, p.secondary): k for k, p in enumerate(pairs)}
    dates = sorted({d for p in pairs for d in (p.reference, p.secondary)})
    for a, b, c in zip(dates, dates[1:], dates[2:], strict=False):
        ab, bc, ac = index[a, b], index[b, c], index[a, c]
        assert found.slope[ab] + found.slope[bc] == pytest.approx(found.slope[ac], abs=1e-12)
    assert np.abs(found.slope).max() > 1e-6


def test_pair_that_cannot_tell_loses_what_its_dates_tell_or_nothing():
    days = [0, 12, 24, 36]
    pairs = (*join(days[:3], [0, 0, 0], 24), Pair(day(24), day(36)))
    height = np.linspace(1000, 1600, 400).reshape(20, 20)
    slope = incidence_matrix(pairs)[1] @ np.array([0.001, -0.002, 0.003, 0.0])
    unw = slope[:, None, None] * height
    outside = np.ones(height.shape, bool)
    for k in (1, 3):
        unw[k, 1:] = np.nan
    found = remove_stratified_delay(unw, height, outside, pairs)
    np.testing.assert_allclose(found.slope[:3], slope[:3], atol=1e-8)
    assert np.isnan(found.slope[3])
    np.testing.assert_allclose(found.unw[3, 0], unw[3, 0], rtol=1e-6)
    assert np.isnan(found.unw[3, 1:]).all()


def test_pixels_without_height_have_no_phase(stratified):
    pairs, height, outside, slope = stratified
    holed = height.copy()
    holed[3, 4] = np.nan
    found = remove_stratified_delay(slope[:, None, None] * height, holed, outside, pairs)
    np.testing.assert_allclose(found.slope, slope, atol=1e-8)
    assert np.isnan(found.unw[:, 3, 4]).all()
    assert np.isfinite(found.unw).sum() == found.unw.size - len(pairs)


def test_delay_is_refused_on_flat_ground(stratified):
    pairs, height, outside, slope = stratified
    flat = 1500 + (height - 1500) / 20
    unw = slope[:, None, None] * flat
    with pytest.raises(
        InseparableTermError,
        match=r"^heights outside the target span 2\d m, 100 m are needed; leave the stratified delay out$",
    ):
        remove_stratified_delay(unw, flat, outside, pairs)
    assert np.isfinite(remove_stratified_delay(unw, flat, outside, pairs, least_range=20).slope).all()
    with pytest.raises(InseparableTermError, match=r"^no height is known outside the target; leave the .* delay out$"):
        remove_stratified_delay(unw, flat, np.zeros_like(outside), pairs)
    with pytest.raises(
        InseparableTermError,
        match=r"^no pair has 30 pixels outside the target over 100 m of height; leave the stratified delay out$",
    ):
        remove_stratified_delay(unw * np.nan, height, outside, pairs)
