"""Stages of creep: when they began, what they are called, and how seldom they are seen where there are none."""

from datetime import date
from itertools import combinations, pairwise

import numpy as np
import pytest

from groundshift.hazard import TargetSeries, alerts, creep_stages, speed_up
from groundshift.hazard._segments import best_knots, candidate_times, squares
from groundshift.timeseries.velocity import years_since

BAIGE = np.concatenate(
    [
        np.datetime64("2007-01-17")
        + np.array([0, 46, 138, 230, 322, 368, 414, 506, 552, 690, 782, 874, 1012, 1104, 1150]),
        np.datetime64("2014-10-13") + np.array([0, 112, 196, 287, 350, 490, 602, 721, 826, 1001, 1141, 1323, 1393]),
    ]
)  # fmt: skip
"""28 dates from January 2007 to August 2018, none for four and a half years."""
BOUNDARIES = np.array(["2010-01-10", "2015-07-27", "2016-10-03", "2018-05-28"], "datetime64[D]")
SPEEDS = np.array([6, 10, 17, 35, 92])
"""Millimetres per day [Liu2020]."""
MONTHLY = np.arange("2018-01-05", "2022-01-01", 36, dtype="datetime64[D]")


def course(days, speeds, boundaries):
    """Return motion away from the satellite at these speeds, mm/day."""
    knots = np.concatenate([days[:1], np.asarray(boundaries, "datetime64[D]"), days[-1:]])
    spent = [np.clip((days - a).astype(float), 0, (b - a).astype(float)) for a, b in pairwise(knots)]
    return -np.asarray(speeds) @ spent / 1000


def noisy(days, speeds, boundaries, sigma, seed):
    return course(days, speeds, boundaries) + np.random.default_rng(seed).normal(0, sigma, days.size)


@pytest.mark.parametrize("seed", range(4))
def test_finds_the_five_stages_of_baige(seed):
    found = creep_stages(BAIGE, noisy(BAIGE, SPEEDS, BOUNDARIES, 0.1, seed), np.full(BAIGE.size, 0.1))
    assert [(s.phase, s.part) for s in found.stages] == [
        ("primary", ""), ("secondary", ""), ("tertiary", "initial"), ("tertiary", "medium"), ("tertiary", "sliding"),
    ]  # fmt: skip
    for stage, boundary in zip(found.stages[1:], BOUNDARIES, strict=True):
        first, last = sorted([boundary, np.datetime64(stage.start)])
        between = BAIGE[(first < BAIGE) & (last > BAIGE)]
        assert between.size <= 1
        assert stage.start_early <= stage.start <= stage.start_late
    np.testing.assert_allclose([-s.rate / 0.36525 for s in found.stages], SPEEDS, rtol=0.15)
    assert found.accelerating
    assert found.p_value < 0.001


def test_best_curve_is_that_of_all_curves():
    years = np.array([0.0, 0.3, 0.4, 0.9, 1.1, 1.7, 2.0, 2.2, 2.9, 3.0])
    series, weights = np.random.default_rng(3).normal(0, 1, (2, years.size))
    weights = np.exp(weights)
    times = candidate_times(years)
    found = best_knots(years, series, weights, 2)

    def allowed(knots):
        ends = [years[0], *knots, years[-1]]
        held = [((years >= a) & (years <= b)).sum() for a, b in pairwise(ends)]
        return min(held[:-1]) >= 3 and held[-1] >= 2

    for count in (1, 2):
        every = [k for k in combinations(times[1:-1:4], count) if allowed(k)]
        least = min(squares(years, series, weights, np.array(k)) for k in every)
        assert squares(years, series, weights, found[count]) <= least * (1 + 1e-9)
        assert allowed(found[count])


def test_steady_creep_has_one_stage_nearly_always():
    changed, risen = 0, 0
    for seed in range(16):
        days = MONTHLY[: 12 + seed % 28]
        found = creep_stages(days, noisy(days, [3.0], [], 0.05, seed))
        changed += len(found.stages) > 1
        risen += found.p_value <= 0.05
    # Of 16 with a rate of 5 % each, more than 4 come in 0.1 % of the cases.
    assert changed <= 4
    assert risen <= 4


def test_rate_errors_are_those_of_a_straight_line():
    days = np.arange("2018-01-05", "2022-01-01", 12, dtype="datetime64[D]")
    found = creep_stages(days, noisy(days, [3.0], [], 0.05, 1))
    years = years_since(days, days[0].item())
    expected = 0.05 / np.sqrt(((years - years.mean()) ** 2).sum())
    assert found.stages[0].rate_sigma == pytest.approx(expected, rel=0.35)
    assert found.stages[0].rate == pytest.approx(-3.0 * 0.36525, abs=4 * expected)


@pytest.mark.parametrize(
    ("speeds", "phases"),
    [
        ([9, 3, 1], ["primary", "primary", "secondary"]),
        ([9, 3, 6, 15], ["primary", "secondary", "tertiary", "tertiary"]),
        ([3, 9], ["secondary", "secondary"]),
        ([3, 9, 2], ["secondary", "secondary", "secondary"]),
    ],
)
def test_phases_are_named_by_the_order_of_the_rates(speeds, phases):
    at = np.linspace(0, MONTHLY.size - 1, len(speeds) + 1).astype(int)[1:-1]
    found = creep_stages(MONTHLY, noisy(MONTHLY, speeds, MONTHLY[at], 0.01, 1), np.full(MONTHLY.size, 0.01))
    assert [s.phase for s in found.stages] == phases
    assert found.accelerating == (phases[-1] == "tertiary")


def test_curve_passes_through_the_dates_and_keeps_to_the_units():
    boundaries = MONTHLY[[15, 30]]
    series = course(MONTHLY, [1, 4, 2], boundaries)
    found = creep_stages(MONTHLY, series)
    np.testing.assert_allclose(found.at(MONTHLY), series, atol=2e-3)
    larger = creep_stages(MONTHLY, 1000 * series)
    np.testing.assert_allclose([s.rate / 1000 for s in larger.stages], [s.rate for s in found.stages], rtol=1e-3)


def test_a_season_is_no_stage():
    days = np.arange("2018-01-05", "2022-01-01", 24, dtype="datetime64[D]")
    turn = 2 * np.pi * years_since(days, date(2018, 1, 1))
    series = noisy(days, [1.0], [], 0.01, 2) + 0.08 * np.cos(turn)
    found = creep_stages(days, series)
    assert len(found.stages) == 1
    assert found.annual_amplitude == pytest.approx(0.08, rel=0.15)


def test_unknown_dates_are_as_if_not_there():
    series = noisy(MONTHLY, [2, 8], MONTHLY[[20]], 0.02, 5)
    holed = np.where(np.arange(MONTHLY.size) % 7 == 3, np.nan, series)
    known = np.isfinite(holed)
    assert creep_stages(MONTHLY, holed) == creep_stages(MONTHLY[known], series[known])


def test_few_dates_give_one_stage_or_none():
    few = creep_stages(MONTHLY[:5], np.arange(5.0))
    assert len(few.stages) == 1
    assert few.reason == "only 5 dates are known, 6 are needed to look for a change of the rate"
    assert creep_stages(MONTHLY[:2], np.zeros(2)).reason == "2 known dates do not tell a rate"


def test_speeding_up_since_a_day_needs_few_new_dates():
    since = MONTHLY[35].item()
    days = MONTHLY[:38]
    faster = speed_up(days, noisy(days, [3, 12], MONTHLY[[35]], 0.05, 1), since)
    assert faster.n_dates == 2
    assert faster.p_value < 0.01
    assert abs(faster.rate_since + 12 * 0.36525) < 3 * faster.rate_since_sigma
    slower = speed_up(days, noisy(days, [12, 3], MONTHLY[[35]], 0.05, 1), since)
    assert slower.p_value > 0.99
    assert np.isnan(speed_up(days, np.zeros(days.size), days[-1].item()).p_value)


def test_alerts_name_what_sped_up_and_little_else():
    since, days = MONTHLY[35].item(), MONTHLY[:39]
    quiet = [TargetSeries(f"quiet {k}", days, noisy(days, [3.0], [], 0.05, k)) for k in range(10)]
    fast = [TargetSeries(f"fast {k}", days, noisy(days, [3, 15], MONTHLY[[35]], 0.05, 50 + k)) for k in range(3)]
    told = [alert.name for alert in alerts([*quiet, *fast], since)]
    assert set(told[:3]) == {"fast 0", "fast 1", "fast 2"}
    assert len(told) <= 4
    assert alerts(quiet[:1], since) == []


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"^displacement must have shape \(41,\), instead got \(3,\)$"):
        creep_stages(MONTHLY, np.zeros(3))
    with pytest.raises(ValueError, match=r"^most must not be negative, instead got -1$"):
        creep_stages(MONTHLY, np.zeros(MONTHLY.size), most=-1)
