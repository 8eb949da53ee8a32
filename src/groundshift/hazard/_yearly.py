"""Curves of straight stages, with or without a yearly course beside them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.hazard._segments import best_knots, hinges, settle_knots, squares
from groundshift.timeseries.velocity import annual_is_determined

__all__ = ["Curves", "best_curves", "known_part", "stated_variance", "weights_of"]

Floats = NDArray[np.float64]

_LEAST_YEARS = 2.0
"""In less, a bend may look like a season."""
_ROUNDS = 4
_ROUNDING = 1e-9
"""Share of the range of a series below which residuals are rounding."""


class Curves(NamedTuple):
    """The best curves through a series, by their number of knots."""

    series: Floats
    """(date,) metres, without its yearly course."""
    amplitude: float
    """Of the yearly course, metres; zero where the series is as well explained without."""
    knots: list[Floats]
    """With 0, 1, ... knots, years."""
    left: Floats
    """Sums of weighted squared residuals, for each of `knots`."""
    best: int
    """How many knots the Bayesian information criterion prefers."""


def known_part(
    day: NDArray[np.datetime64], displacement: Floats, sigma: Floats | None
) -> tuple[NDArray[np.datetime64], Floats, Floats | None]:
    """Drop dates without a value or, where errors are given, without an error."""
    known = np.isfinite(displacement)
    if sigma is not None:
        known &= np.isfinite(sigma)
    return day[known], displacement[known], None if sigma is None else sigma[known]


def weights_of(sigma: Floats | None, count: int) -> Floats:
    """Return reciprocal variances, of mean one.

    Errors are relative to a date whose own is therefore zero, which does not make it better than others: errors below
    the median count as the median.
    """
    if sigma is None or not np.median(sigma) > 0:
        return np.ones(count)
    return np.asarray(_own(sigma) ** -2.0 * stated_variance(sigma))


def stated_variance(sigma: Floats) -> float:
    """Return the variance that residuals have according to their errors, times `weights_of` them, in square metres."""
    return float(1 / np.mean(_own(sigma) ** -2.0)) if np.median(sigma) > 0 else 0.0


def _own(sigma: Floats) -> Floats:
    """Return the errors of the dates themselves."""
    return np.asarray(np.maximum(sigma, np.median(sigma)))


def best_curves(day: NDArray[np.datetime64], years: Floats, series: Floats, weights: Floats, most: int) -> Curves:
    """Find the best curve for each number of knots, without the yearly course if there is one."""
    plain, plain_score = _curves(years, series, weights, most, 0, 0.0)
    if years[-1] - years[0] < _LEAST_YEARS or not annual_is_determined(day):
        return plain
    turn = 2 * np.pi * ((day - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")) / 365.25
    waves = np.column_stack([np.cos(turn), np.sin(turn)])
    knots = np.empty(0)
    for _ in range(_ROUNDS):
        course, amplitude = _course(years, series, weights, knots, waves)
        yearly, score = _curves(years, series - course, weights, most, waves.shape[1], amplitude)
        if yearly.knots[yearly.best].size == knots.size and np.allclose(yearly.knots[yearly.best], knots):
            break
        knots = yearly.knots[yearly.best]
    return yearly if score < plain_score else plain


def _course(years: Floats, series: Floats, weights: Floats, knots: Floats, waves: Floats) -> tuple[Floats, float]:
    """Fit a yearly course beside a curve with given knots."""
    design = np.column_stack([np.ones(years.size), years, hinges(years, knots), waves])
    root = np.sqrt(weights)
    wave = np.linalg.lstsq(design * root[:, np.newaxis], series * root, rcond=None)[0][-2:]
    return waves @ wave, float(np.hypot(*wave))


def _curves(
    years: Floats, series: Floats, weights: Floats, most: int, spent: int, amplitude: float
) -> tuple[Curves, float]:
    """Find the curves, and the least criterion; `spent` parameters are fitted besides."""
    count = years.size
    most = max(0, min(most, (count - spent - 4) // 2))
    knots = [settle_knots(years, series, weights, k) for k in best_knots(years, series, weights, most)]
    floor = count * (_ROUNDING * np.ptp(series)) ** 2 + np.finfo(float).tiny
    left = np.array([max(squares(years, series, weights, k), floor) for k in knots])
    score = count * np.log(left / count) + (2 + spent + 2 * np.arange(left.size)) * np.log(count)
    best = int(np.argmin(score))
    return Curves(series, amplitude, knots, left, best), float(score[best])
