"""Which changes of the rate are real: the stages of a series whose knots stand the tests."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from groundshift.hazard._segments import hinges
from groundshift.hazard._yearly import Curves, best_curves, stated_variance, weights_of
from groundshift.timeseries.noise import estimate
from groundshift.timeseries.velocity import years_since

__all__ = ["LEAST_DATES", "change_score", "change_trials", "design_of", "find_stages", "less_chance"]

Floats = NDArray[np.float64]

_SIGNIFICANCE = 0.05
"""Of a change of rate, the search among dates allowed for."""
LEAST_DATES = 6
"""In fewer no change is looked for: a knot, two rates and an offset leave nothing to tell the noise."""


def find_stages(
    day: NDArray[np.datetime64], series: Floats, errors: Floats | None, most: int
) -> tuple[Curves, Floats, Floats]:
    """Return the best curves through a series, the knots that are real, in years, and their p-values."""
    years = years_since(day, day[0].item())
    weights = weights_of(errors, day.size)
    curves = best_curves(day, years, series, weights, most if day.size >= LEAST_DATES else 0)
    knots, chances = _significant(years, curves, errors)
    return curves, knots, chances


def design_of(years: Floats, knots: Floats) -> Floats:
    """Return the model: an offset, a rate, and how it changes at each knot."""
    return np.column_stack([np.ones(years.size), years, hinges(years, knots)])


def change_trials(n: int) -> float:
    """Return among how many independent dates, of n, a change of rate is looked for."""
    return max(3.0, n / 4)


def _significant(years: Floats, curves: Curves, errors: Floats | None) -> tuple[Floats, Floats]:
    """Return the knots of the richest curve all of whose knots stand the tests, and their p-values."""
    for count in range(curves.best, 0, -1):
        knots = curves.knots[count]
        chances = np.maximum(
            less_chance(curves, count, years.size, errors), _change_chances(years, curves, errors, knots)
        )
        if chances.max() <= _SIGNIFICANCE:
            return knots, chances
    return curves.knots[0], np.empty(0)


def less_chance(curves: Curves, count: int, n: int, errors: Floats | None) -> float:
    """Return the p-value of the F test of a curve with `count` knots against the best with one less.

    The date of a knot counts as a parameter, which allows for most of the search; the factor, found by simulation of
    10 to 120 dates in white noise, for the rest. Noise
    below that which is stated is not believed: few dates may happen to lie on a curve.
    """
    free = n - 2 - 2 * count - (2 if curves.amplitude else 0)
    if free < 1:
        return 1.0
    noise = curves.left[count] / free
    if errors is not None:
        noise = max(noise, stated_variance(errors))
    gain = (curves.left[count - 1] - curves.left[count]) / noise / 2
    return min(1.0, (1 + n / 30) * float(stats.f.sf(max(gain, 0.0), 2, free)))


def _change_chances(years: Floats, curves: Curves, errors: Floats | None, knots: Floats) -> Floats:
    """Return the two-sided p-value of each change of rate in noise that may last."""
    scores = [change_score(years, curves.series, errors, knots, k) for k in range(knots.size)]
    return np.array([min(1.0, 2 * change_trials(years.size) * float(stats.t.sf(abs(t), dof))) for t, dof in scores])


def change_score(years: Floats, series: Floats, errors: Floats | None, knots: Floats, k: int) -> tuple[float, float]:
    """Return the change of rate at a knot in standard errors, and their degrees of freedom."""
    noise = None if errors is None else errors[np.newaxis]
    found = estimate(years, design_of(years, knots), series[np.newaxis], noise, focus=2 + k)
    # A series without noise has an error of zero, up to rounding.
    error = max(float(found.error[0]), float(np.finfo(float).tiny))
    return float(found.mean[0, 2 + k]) / error, float(found.dof[0])
