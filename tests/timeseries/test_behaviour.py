"""Behaviour of series: what is found, what is not, and how often it is named where it is not."""

from datetime import date

import numpy as np
import pytest

from groundshift.timeseries import fit_motion
from groundshift.timeseries.velocity import years_since

DATES = np.datetime64("2017-01-03") + 12 * np.arange(75)
YEARS = years_since(DATES, DATES[0].item())


def noise(seed: int, shape=75, scale: float = 0.003) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, shape)


def bent(before: float, after: float, at: float = 1.3) -> np.ndarray:
    return before * np.minimum(YEARS, at) + after * np.maximum(YEARS - at, 0)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("before", "after", "behaviour"), [(0.01, 0.05, "accelerating"), (0.05, 0.01, "decelerating")])
def test_a_change_of_speed_is_found_with_its_date_and_rates(sign, before, after, behaviour):
    motion = fit_motion(DATES, sign * bent(before, after) + noise(1))
    assert motion.behaviour == behaviour
    assert abs((motion.breakpoint - date(2018, 4, 22)).days) <= 60
    assert motion.rate_before == pytest.approx(sign * before, abs=3 * motion.rate_before_sigma)
    assert motion.rate_after == pytest.approx(sign * after, abs=3 * motion.rate_after_sigma)
    assert motion.breakpoint_gain > 2
    assert motion.acceleration_probability < 0.02
    assert motion.acceleration * sign * (after - before) > 0


def test_the_curve_bends_where_the_motion_does():
    truth = bent(-0.01, -0.06)
    motion = fit_motion(DATES, truth + noise(2))
    np.testing.assert_allclose(motion.at(DATES), truth, atol=0.003)
    straight = fit_motion(DATES, -0.02 * YEARS + noise(2))
    np.testing.assert_array_equal(straight.at(DATES), straight.velocity.at(DATES))


def test_a_parabola_is_acceleration():
    motion = fit_motion(DATES, -0.01 * YEARS - 0.5 * 0.03 * YEARS**2 + noise(3))
    assert motion.behaviour == "accelerating"
    assert motion.acceleration == pytest.approx(-0.03, abs=3 * motion.acceleration_sigma)


def test_steady_motion_is_steady():
    motion = fit_motion(DATES, -0.02 * YEARS + noise(4))
    assert motion.behaviour == "steady"
    assert motion.breakpoint is None
    assert motion.explanation == (
        "20 mm/yr away from the satellite (95 %: -21 to -19); no change of the speed stands out from the noise"
    )


@pytest.mark.parametrize("number", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("series", "behaviour"),
    [
        (-0.02 * YEARS, "steady"),
        (bent(-0.02, -0.05), "accelerating"),
        (bent(0.05, 0.02), "decelerating"),
        (0.005 * np.sin(2 * np.pi * YEARS), "seasonal"),
        (0 * YEARS, "unclear"),
    ],
    ids=["steady", "faster", "slower", "season", "still"],
)
def test_series_without_noise_are_named_rightly(series, behaviour, number):
    assert fit_motion(DATES, series.astype(number), np.zeros(75)).behaviour == behaviour


def test_motion_to_and_fro_within_the_year_is_seasonal():
    season = 0.010 * np.cos(2 * np.pi * years_since(DATES, date(2018, 3, 10)))
    motion = fit_motion(DATES, -0.005 * YEARS + season + noise(5, scale=0.0005))
    assert motion.behaviour == "seasonal"
    assert float(motion.velocity.annual_phase) == pytest.approx(68, abs=2)
    assert motion.explanation.startswith(
        "moves with the seasons, 20 mm to and fro within the year, nearest to the satellite in March; over the years "
    )


def test_a_season_that_has_not_come_back_is_unclear():
    season = 0.010 * np.cos(2 * np.pi * years_since(DATES, date(2018, 3, 10)))
    short = (-0.02 * YEARS + season + noise(5, scale=0.0005))[:45]
    motion = fit_motion(DATES[:45], short)
    assert motion.behaviour == "unclear"
    assert "with the season, but less than two years" in motion.explanation


def test_a_yearly_course_small_against_the_rate_does_not_make_it_seasonal():
    season = 0.002 * np.cos(2 * np.pi * years_since(DATES, date(2018, 3, 10)))
    motion = fit_motion(DATES, -0.100 * YEARS + season + noise(6, scale=0.001))
    assert motion.seasonal_probability < 0.01
    assert motion.behaviour == "steady"


def test_no_motion_and_a_turn_round_are_unclear():
    still = fit_motion(DATES, noise(7))
    assert still.behaviour == "unclear"
    assert still.explanation.endswith("; that is within its error")
    # Towards the satellite, then as fast away from it: the speed neither grows nor falls.
    turned = fit_motion(DATES, bent(0.03, -0.032, 1.2) + noise(8))
    assert turned.behaviour == "unclear"
    assert "; the motion turns round in " in turned.explanation


def test_a_jump_between_groups_of_dates_is_no_change():
    groups = np.repeat([1, 2], [40, 35])
    series = -0.02 * YEARS + np.where(groups == 2, -0.1, 0) + noise(9)
    assert fit_motion(DATES, series, groups=groups).behaviour == "steady"
    assert float(fit_motion(DATES, series).velocity.rate) < -0.05


def test_a_change_across_groups_of_dates_is_found():
    groups = np.repeat([1, 2], [36, 39])
    motion = fit_motion(DATES, bent(-0.01, -0.06) + np.where(groups == 2, 0.2, 0) + noise(10), groups=groups)
    assert motion.behaviour == "accelerating"
    assert motion.rate_after == pytest.approx(-0.06, abs=3 * motion.rate_after_sigma)


def test_a_change_must_show_in_a_fifth_of_the_pixels():
    mean = bent(-0.01, -0.06)
    steady = -0.02 * YEARS[:, None] + noise(11, (75, 40))
    few, many = steady.copy(), steady.copy()
    few[:, :4] += (mean + 0.02 * YEARS)[:, None]
    many[:, :16] += (mean + 0.02 * YEARS)[:, None]
    many[20:, 39] = np.nan
    many[:, 38] = np.nan
    refused, kept = (fit_motion(DATES, mean + noise(12), pixels=p) for p in (few, many))
    assert kept.behaviour == "accelerating"
    assert kept.pixel_share == pytest.approx(17 / 39, abs=0.06)
    assert refused.behaviour == "unclear"
    assert refused.pixel_share < 0.2
    assert "only in" in refused.explanation


def test_missing_dates_are_as_if_they_were_not():
    series = bent(-0.01, -0.06) + noise(13)
    holes = series.copy()
    holes[[5, 33, 60]] = np.nan
    known = np.isfinite(holes)
    with_holes, without = fit_motion(DATES, holes), fit_motion(DATES[known], series[known])
    assert with_holes.behaviour == without.behaviour
    assert with_holes.breakpoint == without.breakpoint
    assert with_holes.acceleration == pytest.approx(without.acceleration)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_few_dates_are_unclear(count):
    motion = fit_motion(DATES[:count], -0.3 * YEARS[:count] + noise(14, count))
    assert motion.behaviour == "unclear"
    assert f"too few dates ({count}) to tell " in motion.explanation
    assert np.isnan(motion.acceleration)


def test_less_than_a_year_says_that_it_may_be_the_season():
    motion = fit_motion(DATES[:30], bent(-0.02, -0.3, 0.5)[:30] + noise(15, 30))
    assert motion.behaviour == "accelerating"
    assert motion.explanation.endswith("; from these dates a season cannot be told from a change")


def test_steady_motion_in_remembering_noise_is_seldom_called_changing():
    apart = np.abs(YEARS[:, None] - YEARS) * 365.25
    root = np.linalg.cholesky(np.exp(-apart / 20))
    rng = np.random.default_rng(16)
    named = [fit_motion(DATES, -0.03 * YEARS + 0.004 * root @ rng.standard_normal(75)).behaviour for _ in range(20)]
    assert sum(name in {"accelerating", "decelerating"} for name in named) <= 1
    assert named.count("steady") >= 16


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"^displacement must have shape \(75,\), instead got \(75, 2\)$"):
        fit_motion(DATES, np.zeros((75, 2)))
    with pytest.raises(ValueError, match=r"^pixels must have shape \(75, 3\), instead got \(70, 3\)$"):
        fit_motion(DATES, noise(1), pixels=np.zeros((70, 3)))
