"""Whether rain speeds a slope up, and after how long.

Rates of a slope and rain both have seasons and long courses of their own, and two such curves resemble each other
without any bond between them. So the question asked is: do the rates follow the rain of their own year better than
they follow the rain of the same season of other years?
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundshift.checks import check_shape
from groundshift.constants import DAYS_PER_YEAR
from groundshift.hazard._yearly import known_part
from groundshift.hazard.forcing import Forcing
from groundshift.timeseries.velocity import Dates, days_of

__all__ = ["LAGS", "LagResult", "rain_lag"]

Floats = NDArray[np.float64]

LAGS = tuple(0.5 * k for k in range(9))
"""Months of 30.4375 days: by halves, from none to four."""

_DAYS_PER_MONTH = DAYS_PER_YEAR / 12
_SIGNIFICANCE = 0.05
_DRAWS = 499
_QUARTERS = 4
"""Parts of a year that are exchanged between few years: longer than wet and dry spells last."""
_WHOLE_YEARS = 6
"""Between so many, years are exchanged as wholes: there are ways enough, and wet and dry years stay as they are."""
_LEAST_YEARS = 3
"""Of the rain: with fewer there are too few ways to exchange them."""
_LEAST_INTERVALS = 12
_LEAST_KNOWN = 0.8
"""Share of the days of an interval whose rain must be known."""
_SEASON_YEARS = 3.0
"""From so many years on seasons are taken away from both."""
_MOST_BENDS = 5
_WITHIN = 1.92
"""Loss of log likelihood at the ends of an interval of 95 %."""


class LagResult(NamedTuple):
    """How the rate of a slope follows what may drive it."""

    lags: Floats
    """(lag,) months."""
    correlation: Floats
    """(lag,) with what drove it so long before; positive where more of it goes with faster motion. NaN if refused."""
    p_value: float
    """That the highest of the correlations arises by chance, all lags allowed for; NaN if refused."""
    best_lag: float | None
    """Months; None where the correlation does not stand out, or was not looked for."""
    lag_range: tuple[float, float] | None
    """Shortest and longest lag that explain the rates nearly as well."""
    n_intervals: int
    """Intervals between dates that were compared."""
    reason: str
    """Why there is no lag; empty if there is one."""


def rain_lag(
    dates: Dates,
    displacement: ArrayLike,
    forcing: Forcing,
    sigma: ArrayLike | None = None,
    *,
    lags: ArrayLike = LAGS,
    seed: int = 0,
) -> LagResult:
    """Correlate the rate of a slope with the rain, or the moisture, some time before.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date,) array
        Metres; NaN where unknown.
    forcing : Forcing
        Rain or moisture; the longer, the better is known what chance can do: years beyond those of the series count.
    sigma : (date,) array, optional
        Standard errors of `displacement`, metres.
    lags : (lag,) array
        Months of 30.4375 days, not negative.
    seed : int
        Of the draws.

    Returns
    -------
    LagResult
        A lag is told where the p-value is 5 % at most. Refused for fewer than three years of rain, or fewer than twelve
        intervals whose rain is known at all lags: gaps take away intervals.

    Raises
    ------
    ValueError
        If `dates` do not ascend, shapes do not fit, or `lags` are empty or negative.

    Notes
    -----
    The dates are further apart than rain varies, so no monthly rates are made up: the mean rate of each interval
    between two dates is compared with the mean rain of the same interval, shifted by the lag. Intervals count by the
    errors of their rates and by how much rates scatter beside these. A slow course (one bend for every two years) and,
    from three years on, the yearly and half-yearly courses are taken away from both.

    The p-value counts how often the highest correlation of all lags is reached when the years of the rain change
    places, or, of fewer than six, each quarter by itself: the rain stays in its season, so neither a common season nor
    the memory of the rates can make a lag, and keeps its own memory within a year or a quarter. Days of incomplete
    years or quarters stay where they are.

    References
    ----------
    [Liu2020], section 5.2.
    """
    months = np.asarray(lags, np.float64)
    if months.ndim != 1 or not months.size or not (months >= 0).all():
        raise ValueError(f"lags must be a sequence of months that are not negative, instead got {months.tolist()}")
    all_days = days_of(dates)
    values = np.asarray(displacement, np.float64)
    check_shape("displacement", values, (all_days.size,))
    told = None if sigma is None else np.asarray(sigma, np.float64)
    if told is not None:
        check_shape("sigma", told, (all_days.size,))
    day, series, errors = known_part(all_days, values, told)
    blocks = _exchangeable(forcing, 1)
    if len(blocks[0]) < _WHOLE_YEARS:
        blocks = _exchangeable(forcing, _QUARTERS)
    years = min(len(block) for block in blocks)
    if years < _LEAST_YEARS:
        name = forcing.name
        reason = f"{years} whole years of {name} without gaps, {_LEAST_YEARS} are needed to tell a lag from the season"
        return _refused(months, 0, reason)
    shifts = np.round(months * _DAYS_PER_MONTH).astype(np.int64)
    inside = _inside(day, forcing, shifts)
    count = int(inside.sum())
    if count < _LEAST_INTERVALS:
        reason = (
            f"the {forcing.name} of only {count} intervals between dates is known at all lags, "
            f"{_LEAST_INTERVALS} are needed"
        )
        return _refused(months, count, reason)
    lengths = np.diff(day).astype(float)[inside]
    rates = np.diff(series)[inside] / lengths * math.copysign(1.0, series[-1] - series[0])
    middle = ((day[1:] - day[0]).astype(float) - np.diff(day).astype(float) / 2)[inside] / DAYS_PER_YEAR
    weights = _weights(rates, lengths, None if errors is None else np.hypot(errors[1:], errors[:-1])[inside])
    beside = _slow_course(middle, day[0])
    score = _Correlator(rates, weights, beside)
    begins = (day[:-1][inside] - np.datetime64(forcing.first, "D")).astype(np.int64)
    ends = begins + lengths.astype(np.int64)
    found = score.of(_means(forcing.values[np.newaxis], begins, ends, shifts))[0]
    rng = np.random.default_rng(seed)
    reached = 1
    for _ in range(_DRAWS):
        exchanged = _exchange(forcing.values, blocks, rng)[np.newaxis]
        reached += bool(score.of(_means(exchanged, begins, ends, shifts)).max() >= found.max() - 1e-12)
    # The upper limit, by 95 %, of what so many draws tell.
    p_value = float(stats.beta.ppf(0.95, reached, _DRAWS + 1 - reached)) if reached <= _DRAWS else 1.0
    if p_value > _SIGNIFICANCE:
        reason = f"the rate follows the {forcing.name} no better than that of other years (p = {p_value:.2f})"
        return LagResult(months, found, p_value, None, None, count, reason)
    likelihood = -0.5 * (count - beside.shape[1]) * np.log(np.maximum(1 - np.maximum(found, 0) ** 2, 1e-12))
    near = months[likelihood >= likelihood.max() - _WITHIN]
    best = float(months[np.argmax(found)])
    return LagResult(months, found, p_value, best, (float(near.min()), float(near.max())), count, "")


def _refused(months: Floats, count: int, reason: str) -> LagResult:
    """Give no lag."""
    return LagResult(months, np.full(months.size, np.nan), math.nan, None, None, count, reason)


class _Correlator:
    """Correlates rates with predictors, both without what is beside."""

    def __init__(self, rates: Floats, weights: Floats, beside: Floats) -> None:
        self._root = np.sqrt(weights)
        self._basis = np.linalg.qr(beside * self._root[:, np.newaxis])[0]
        rest = self._without(rates[np.newaxis])[0]
        self._rates = rest / max(float(np.linalg.norm(rest)), float(np.finfo(float).tiny))

    def _without(self, rows: Floats) -> Floats:
        told: Floats = rows * self._root
        return np.asarray(told - (told @ self._basis) @ self._basis.T)

    def of(self, predictors: Floats) -> Floats:
        """Return the correlation with each predictor, (..., interval) to (...)."""
        rest = self._without(predictors)
        return np.asarray(rest @ self._rates / np.maximum(np.linalg.norm(rest, axis=-1), 1e-12))


def _inside(day: NDArray[np.datetime64], forcing: Forcing, shifts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for which intervals the forcing is known at all lags."""
    known = np.concatenate([[0], np.cumsum(np.isfinite(forcing.values))])
    at = (day - np.datetime64(forcing.first, "D")).astype(np.int64)
    good = np.ones(day.size - 1, np.bool_)
    for shift in shifts:
        start, end = at[:-1] - shift, at[1:] - shift
        within = (start >= 0) & (end <= forcing.values.size)
        low, high = np.clip([start, end], 0, forcing.values.size)
        good &= within & (known[high] - known[low] >= _LEAST_KNOWN * (end - start))
    return good


def _means(values: Floats, begins: NDArray[np.int64], ends: NDArray[np.int64], shifts: NDArray[np.int64]) -> Floats:
    """Return the mean over each interval, shifted by each lag, of known days, (..., lag, interval)."""
    known = np.isfinite(values)
    zeros = np.zeros((*values.shape[:-1], 1))
    sums = np.concatenate([zeros, np.cumsum(np.where(known, values, 0.0), axis=-1)], axis=-1)
    counts = np.concatenate([zeros, np.cumsum(known, axis=-1)], axis=-1)
    start, end = begins - shifts[:, np.newaxis], ends - shifts[:, np.newaxis]
    return np.asarray((sums[..., end] - sums[..., start]) / np.maximum(counts[..., end] - counts[..., start], 1))


def _weights(rates: Floats, lengths: Floats, errors: Floats | None) -> Floats:
    """Return the weights of rates: by their errors, and by how much more than these they scatter."""
    if errors is None:
        # Between white noise of the dates, which weighs by the square of the length, and scatter of the rate itself.
        return np.asarray(lengths / lengths.mean())
    variances = (errors / lengths) ** 2
    scatter = max(float(np.var(rates) - variances.mean()), 0.0)
    least = 1e-6 * float(np.var(rates)) + np.finfo(float).tiny
    weights = 1 / np.maximum(variances + scatter, least)
    return np.asarray(weights / weights.mean())


def _slow_course(years: Floats, start: np.datetime64) -> Floats:
    """Return what is taken away from both: a constant, a slow course, and the seasons if they can be told."""
    span = years[-1] - years[0]
    x = 2 * (years - years[0]) / span - 1
    columns = list(np.polynomial.legendre.legvander(x, min(1 + int(span / 2), _MOST_BENDS)).T)
    if span >= _SEASON_YEARS:
        since = (start - np.datetime64("2000-01-01")).astype(float) / DAYS_PER_YEAR
        turn = 2 * np.pi * (years + since)
        waves = [np.cos(turn), np.sin(turn), np.cos(2 * turn), np.sin(2 * turn)]
        if years.size >= len(columns) + len(waves) + _LEAST_INTERVALS // 2:
            columns += waves
    return np.column_stack(columns)


def _exchangeable(forcing: Forcing, parts: int) -> list[NDArray[np.int64]]:
    """Return the places of parts of a year that are known in whole, for each part (year, day)."""
    days = forcing.days()
    years = days.astype("datetime64[Y]")
    # The 366th day stays where it is.
    day_of_year = (days - years.astype("datetime64[D]")).astype(np.int64)
    length = 365 // parts
    known = np.isfinite(forcing.values)
    blocks = []
    for part in range(parts):
        starts = np.flatnonzero(day_of_year == part * length)
        starts = starts[starts + length <= days.size]
        places = starts[:, np.newaxis] + np.arange(length)
        blocks.append(places[known[places].all(axis=1)])
    return blocks


def _exchange(values: Floats, blocks: list[NDArray[np.int64]], rng: np.random.Generator) -> Floats:
    """Exchange years, or parts of them, among each other."""
    exchanged = values.copy()
    for places in blocks:
        exchanged[places] = values[places[rng.permutation(len(places))]]
    return exchanged
