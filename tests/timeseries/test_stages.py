"""Stages of series: when events are dated, what they are called, and how seldom they are seen where there are none."""

from datetime import date

import numpy as np
import pytest

from groundshift.simulate.mining.histories import DUXIGOU, duxigou
from groundshift.timeseries.stages import fit_stages
from groundshift.timeseries.velocity import years_since

DATES = np.arange("2018-01-03", "2020-12-31", 12, dtype="datetime64[D]")
YEARS = years_since(DATES, DATES[0].item())
WHOLE = np.arange("2015-01-05", "2022-01-01", 12, dtype="datetime64[D]")
EVENTS = np.array([start for start, _ in DUXIGOU[1:]], "datetime64[D]")


def noise(seed, dates=DATES, white=0.005, walk=0.0):
    """Draw white noise, and a random walk by its deviation per 12 days."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, walk, len(dates)) * np.sqrt(np.diff(dates, prepend=dates[0]).astype(int) / 12)
    return rng.normal(0, white, len(dates)) + np.cumsum(steps)


def bent(*rates, years=YEARS):
    """Return motion of these rates, each for the same share of the time."""
    ends = np.linspace(0, years[-1], len(rates) + 1)
    return sum(rate * (np.clip(years, a, b) - a) for rate, a, b in zip(rates, ends[:-1], ends[1:], strict=True))


def day_after(share):
    return DATES[0] + np.timedelta64(round(share * int((DATES[-1] - DATES[0]).astype(int))), "D")


def within(knot, day, most=24):
    return abs((knot.day - np.datetime64(day).item()).days) <= most


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (0.0, 0.15, "onset"),
        (0.015, 0.2, "onset"),
        (0.15, 0.0, "stop"),
        (0.2, 0.015, "stop"),
        (0.1, 0.25, "acceleration"),
        (0.25, 0.1, "deceleration"),
        (-0.1, 0.25, "acceleration"),
        (0.25, -0.1, "deceleration"),
    ],
)
def test_an_event_is_named_and_dated(sign, before, after, kind):
    truth = sign * bent(before, after)
    stages = fit_stages(DATES, truth + noise(1), np.full(len(DATES), 0.005))
    (knot,) = stages.knots
    assert knot.kind == kind
    assert within(knot, day_after(0.5))
    assert np.datetime64(knot.early) <= day_after(0.5) <= np.datetime64(knot.late)
    assert knot.rate_before == pytest.approx(sign * before, abs=3 * knot.sigma_before)
    assert knot.rate_after == pytest.approx(sign * after, abs=3 * knot.sigma_after)
    assert knot.gain > 0
    assert stages.reason == ""
    np.testing.assert_array_equal(stages.rates, [knot.rate_before, knot.rate_after])
    np.testing.assert_allclose(stages.at(DATES), truth, atol=0.006)


def test_duxigou_is_dated_within_two_acquisitions():
    found = [fit_stages(WHOLE, duxigou(WHOLE) + noise(seed, WHOLE, 0.003, 0.0005)).knots for seed in range(20)]
    right = [
        [knot.kind for knot in knots] == ["stop", "onset", "acceleration", "acceleration"]
        and all(within(knot, day) for knot, day in zip(knots, EVENTS, strict=True))
        for knots in found
    ]
    assert np.mean(right) >= 0.95


def test_dates_and_rates_are_as_sure_as_they_say():
    # A walk that makes dates uncertain by months.
    rates = np.array([rate for _, rate in DUXIGOU])
    dated, held, widths = [], [], []
    for seed in range(25):
        stages = fit_stages(WHOLE, duxigou(WHOLE) + noise(seed, WHOLE, 0.005, 0.001))
        if len(stages.knots) == len(EVENTS):
            early = np.array([knot.early for knot in stages.knots], "datetime64[D]")
            late = np.array([knot.late for knot in stages.knots], "datetime64[D]")
            dated.append((early <= EVENTS) & (late >= EVENTS))
            held.append(np.abs(stages.rates - rates) < 1.96 * stages.rate_sigmas)
            widths.append((late - early).astype(int))
    assert len(dated) >= 23
    assert 0.85 <= np.mean(dated) <= 0.99
    assert 0.85 <= np.mean(held) <= 0.99
    assert 30 < np.median(widths) < 80


@pytest.mark.parametrize(("white", "walk"), [(0.005, 0.0), (0.005, 0.002), (0.002, 0.002)])
def test_series_without_events_seldom_show_any(white, walk):
    shown = 0
    for seed in range(40):
        rng = np.random.default_rng((seed, 1))
        dates = DATES[0] + 12 * np.flatnonzero(rng.uniform(size=200) > 0.15)[: rng.integers(30, 121)]
        dates[len(dates) // 2 :] += 12 * rng.integers(0, 15)
        steady = -0.05 * rng.integers(0, 3) * years_since(dates, dates[0].item())
        shown += bool(fit_stages(dates, steady + noise(seed, dates, white, walk)).knots)
    assert shown <= 2


def test_what_hardly_moves_before_a_fast_stage_is_no_event():
    series = bent(0, -0.003, -0.6) + noise(9, white=0.0003)
    before = fit_stages(DATES[: len(DATES) * 2 // 3], series[: len(DATES) * 2 // 3])
    assert len(before.knots) == 1
    (knot,) = fit_stages(DATES, series).knots
    assert knot.kind == "onset"
    assert within(knot, day_after(2 / 3))
    assert knot.rate_after == pytest.approx(-0.6, abs=0.01)


def test_a_season_is_no_event():
    season = 0.010 * np.cos(2 * np.pi * YEARS)
    stages = fit_stages(DATES, -0.05 * YEARS + season + noise(2, white=0.002))
    assert stages.knots == ()
    assert stages.annual_amplitude == pytest.approx(0.010, abs=0.001)
    assert stages.reason == "no change of the rate stands out from the noise"
    beside = fit_stages(DATES, bent(0, -0.15) + season + noise(2, white=0.002))
    assert [knot.kind for knot in beside.knots] == ["onset"]
    np.testing.assert_allclose(np.ptp(beside.at(DATES) - bent(0, -0.15)), 0, atol=0.004)


def test_each_group_of_dates_has_a_zero_of_its_own():
    groups = np.where(day_after(0.3) > DATES, 1, 3)
    truth = bent(0, -0.2) + np.where(groups == 3, 0.5, -0.2)
    stages = fit_stages(DATES, truth + noise(3), groups=groups)
    (knot,) = stages.knots
    assert knot.kind == "onset"
    assert within(knot, day_after(0.5))
    np.testing.assert_allclose(stages.at(DATES, groups), truth, atol=0.01)
    assert np.isnan(stages.offset[1])
    jump = fit_stages(DATES, -0.05 * YEARS + np.where(groups == 3, 0.5, 0) + noise(3), groups=groups)
    assert jump.knots == ()


def test_dates_alone_in_their_groups_tell_nothing():
    # Of the first third, which moves, no difference is known.
    groups = np.where(day_after(1 / 3) > DATES, np.arange(len(DATES)) + 2, 1)
    stages = fit_stages(DATES, bent(0.3, 0, -0.2) + noise(3), groups=groups)
    (knot,) = stages.knots
    assert knot.kind == "onset"
    assert within(knot, day_after(2 / 3))


def test_nothing_depends_on_units_and_signs_turn_with_the_series():
    series = bent(0.1, 0, 0.2) + noise(4)
    one, other = fit_stages(DATES, series), fit_stages(DATES, -1000 * series)
    assert [k[:4] for k in one.knots] == [k[:4] for k in other.knots]
    np.testing.assert_allclose(other.rates, -1000 * one.rates, rtol=1e-6)
    # Rounding is all the noise there is.
    for number in (np.float32, np.float64):
        exact = fit_stages(DATES, bent(0.1, 0, 0.2).astype(number))
        assert [k.kind for k in exact.knots] == ["stop", "onset"]
        assert all(within(k, day_after(share), 2) for k, share in zip(exact.knots, (1 / 3, 2 / 3), strict=True))
        for straight in (0 * YEARS, -0.1 * YEARS):
            assert fit_stages(DATES, straight.astype(number)).knots == ()


def test_metres_a_year_are_dated_to_the_day_between_acquisitions():
    begin = np.datetime64("2019-07-01")
    assert begin not in DATES
    truth = -2.0 * np.maximum(years_since(DATES, begin.item()), 0)
    (knot,) = fit_stages(DATES, truth + noise(5, white=0.003)).knots
    assert knot.kind == "onset"
    assert within(knot, begin, 1)
    assert (knot.late - knot.early).days <= 4


def test_missing_dates_are_as_if_they_were_not():
    series = bent(-0.05, -0.2) + noise(6)
    series[[3, 40, 41, 70]] = np.nan
    known = np.isfinite(series)
    holes, without = fit_stages(DATES, series), fit_stages(DATES[known], series[known])
    assert holes.knots == without.knots
    assert holes.n_dates == known.sum()


def test_no_more_knots_than_asked_for():
    series = bent(0, 0.2, 0, 0.2) + noise(7)
    assert len(fit_stages(DATES, series).knots) == 3
    assert len(fit_stages(DATES, series, most=2).knots) <= 2
    assert fit_stages(DATES, series, most=0).knots == ()


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_few_dates_show_no_event(count):
    stages = fit_stages(DATES[:count], bent(0, 0.2)[:count] + noise(8)[:count])
    assert stages.knots == ()
    assert f"{count} " in stages.reason
    assert np.isnan(stages.rates[0]) == (count < 3)


def test_what_nobody_knows_is_nan():
    stages = fit_stages(DATES, np.full(len(DATES), np.nan), groups=np.zeros(len(DATES), int))
    assert stages.reason == "0 known dates do not tell a rate"
    assert np.isnan(stages.at([date(2019, 1, 1)])).all()


def test_errors_name_what_is_wrong():
    n = len(DATES)
    with pytest.raises(ValueError, match=rf"^displacement must have shape \({n},\), instead got \({n}, 2\)$"):
        fit_stages(DATES, np.zeros((n, 2)))
    with pytest.raises(ValueError, match=rf"^sigma must have shape \({n},\), instead got \(3,\)$"):
        fit_stages(DATES, np.zeros(n), np.ones(3))
    with pytest.raises(ValueError, match=rf"^groups must have shape \({n},\), instead got \(3,\)$"):
        fit_stages(DATES, np.zeros(n), groups=np.ones(3, int))
    with pytest.raises(ValueError, match=r"^most must not be negative, instead got -1$"):
        fit_stages(DATES, np.zeros(n), most=-1)
