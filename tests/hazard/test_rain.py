"""Lags of motion behind rain: found where they are, and not where rain and motion only share a season."""

from datetime import date

import numpy as np
import pytest

from groundshift.hazard import Forcing, moisture_forcing, rain_lag

FIRST = date(2012, 1, 1)


def climate(rng, years=9):
    """Draw daily rain with a wet season and spells."""
    days = np.arange(years * 365)
    spell = np.repeat(rng.normal(0, 0.6, days.size // 20 + 1), 20)[: days.size]
    return 2 * np.exp(1.5 * np.cos(2 * np.pi * (days - 200) / 365.25) + spell) * rng.exponential(1, days.size)


def slope(rng, rain, lag, *, share=0.5, step=24, years=5, noise=0.002):
    """Return dates and metres of a slope with a season of its own that follows rain after a lag, in days."""
    t = np.arange(rain.size)
    driven = np.roll(rain, lag) / rain.mean() - 1
    rate = 0.003 * (1 + 0.4 * np.cos(2 * np.pi * (t - 230) / 365.25) + share * driven)
    at = np.arange(400, 400 + years * 365, step)
    return np.datetime64(FIRST) + at, np.cumsum(rate)[at - 1] + rng.normal(0, noise, at.size)


@pytest.mark.parametrize("months", [0, 1, 2, 3, 4])
def test_finds_the_lag(months):
    rng = np.random.default_rng(months)
    rain = climate(rng)
    dates, metres = slope(rng, rain, round(months * 30.4375))
    found = rain_lag(dates, metres, Forcing("rain", "mm/day", FIRST, rain), np.full(dates.size, 0.002))
    assert found.best_lag == months
    assert found.lag_range[0] <= months <= found.lag_range[1]
    assert found.p_value <= 0.05
    assert found.reason == ""


def test_a_common_season_is_no_lag():
    told = 0
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        dates, metres = slope(rng, climate(rng), 30, share=0.5 * (seed % 2))
        other = Forcing("rain", "mm/day", FIRST, climate(rng))
        told += rain_lag(dates, metres, other).best_lag is not None
    # Of 20 with a rate of 5 % each, more than 4 come in 0.3 % of the cases.
    assert told <= 4


def test_motion_and_its_mirror_image_follow_rain_alike():
    rng = np.random.default_rng(1)
    rain = climate(rng)
    dates, metres = slope(rng, rain, 30)
    forcing = Forcing("rain", "mm/day", FIRST, rain)
    towards, away = rain_lag(dates, metres, forcing), rain_lag(dates, -metres, forcing)
    np.testing.assert_allclose(towards.correlation, away.correlation)


def test_correlation_is_one_where_the_rate_is_the_rain():
    rng = np.random.default_rng(2)
    rain = climate(rng)
    dates, metres = slope(rng, rain, 0, noise=0)
    metres = np.cumsum(rain)[np.arange(400, 400 + 5 * 365, 24) - 1] / 1000
    found = rain_lag(dates, metres, Forcing("rain", "mm/day", FIRST, rain))
    assert found.correlation[0] == pytest.approx(1.0, abs=1e-9)


def test_gaps_take_away_intervals_and_refuse_in_the_end():
    rng = np.random.default_rng(3)
    rain = climate(rng)
    dates, metres = slope(rng, rain, 30)
    whole = rain_lag(dates, metres, Forcing("rain", "mm/day", FIRST, rain))
    holed = rain.copy()
    holed[1000:1030] = np.nan
    forcing = Forcing("rain", "mm/day", FIRST, holed)
    assert forcing.gaps() == [(date(2014, 9, 27), date(2014, 10, 26))]
    fewer = rain_lag(dates, metres, forcing)
    assert whole.n_intervals == dates.size - 1
    assert 12 <= fewer.n_intervals < whole.n_intervals
    short = rain_lag(dates, metres, Forcing("rain", "mm/day", FIRST, rain[:900]))
    assert short.best_lag is None
    assert np.isnan(short.p_value)
    assert short.reason == "2 whole years of rain without gaps, 3 are needed to tell a lag from the season"


def test_moisture_is_unknown_across_long_gaps():
    forcing = moisture_forcing([date(2018, 1, 1), date(2018, 1, 3), date(2018, 6, 1)], [-10.0, -12.0, -8.0])
    assert forcing.values[:3].tolist() == [-10.0, -11.0, -12.0]
    assert forcing.gaps() == [(date(2018, 1, 4), date(2018, 5, 31))]


def test_months_are_means_of_their_days():
    rain = Forcing("rain", "mm/day", date(2019, 1, 1), np.r_[np.full(31, 2.0), np.full(28, 3.0), np.full(10, 4.0)])
    months, means = rain.monthly()
    assert months.tolist() == [date(2019, 1, 1), date(2019, 2, 1), date(2019, 3, 1)]
    np.testing.assert_allclose(means, [2.0, 3.0, np.nan])


def test_errors_name_the_argument():
    forcing = Forcing("rain", "mm/day", FIRST, np.ones(2000))
    with pytest.raises(ValueError, match=r"^lags must be a sequence of months .*, instead got \[-1\.0\]$"):
        rain_lag(np.datetime64(FIRST) + np.arange(3), np.zeros(3), forcing, lags=[-1])
