"""When a slope that speeds up may fail, if the series tells.

In tertiary creep the rate follows v = [A (a - 1) (tf - t)]^(-1 / (a - 1)) and grows without limit at the time of
failure tf [Fukuzono1985] [Voight1988]; with a = 2 its inverse falls on a straight line to zero. Most slopes that speed
up do not fail, so the answer is as often a refusal. Displacement is in metres.
"""

import math
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundshift.checks import check_shape
from groundshift.constants import DAYS_PER_YEAR
from groundshift.hazard._significance import design_of, find_stages
from groundshift.hazard._yearly import best_curves, known_part, weights_of
from groundshift.timeseries.velocity import Dates, days_of, years_since

__all__ = ["FailureWindow", "failure_window"]

Floats = NDArray[np.float64]

_LEAST_DATES = 8
_MOST_KNOTS = 6
_LEAST_RISING = 5
"""Dates from the beginning of the acceleration: four rates."""
_SIGNIFICANCE = 0.01
"""Of the acceleration that goes on, against two straight lines."""
_SLACKENING = 0.10
"""Of a rate that falls behind the law in the end."""
_POWERS = (1.5, 2.5)
_POWER_SPREAD = 0.2
"""The exponent a: of landslides it is near 2 [Voight1988], give or take this."""
_LEADS = (0.5 / DAYS_PER_YEAR, 10.0)
"""Years from the last date to the failure, any factor as probable as any other beforehand."""
_COARSE = (30, 5, 60)
_FINE = (20, 17, 80)
"""Beginnings, exponents and leads that are tried, first on the whole and then where the law explains the series."""
_UNLIKELY = 12.0
"""What is so much less likely, in the logarithm, does not count."""
_LONGEST = 3.0
"""A window may be so many times as long as the time since the acceleration began."""


class FailureWindow(NamedTuple):
    """When a slope may fail, or why that cannot be told. The dates are None where it is refused."""

    earliest: date | None
    median: date | None
    """As probably later as earlier, if it fails as slopes that accelerate in this way do."""
    latest: date | None
    confidence: float
    """Probability of a failure between `earliest` and `latest`, given that law."""
    start: date | None
    """When the acceleration began that is carried on to the failure."""
    n_dates: int
    """Dates since then."""
    reason: str
    """Why there is no window; empty if there is one."""


class _Tried(NamedTuple):
    """Sums of squares of the law, for each beginning, exponent and lead."""

    starts: Floats
    """Years."""
    powers: Floats
    leads: Floats
    """Years."""
    left: Floats
    """(start, power, lead)."""
    steady: Floats
    """(start,) of two straight lines that meet there: the law with a failure that never comes."""

    def best(self) -> tuple[float, float, float]:
        """Return the beginning, the exponent and the lead that explain the series best."""
        k, m, n = np.unravel_index(int(np.argmin(self.left)), self.left.shape)
        return float(self.starts[k]), float(self.powers[m]), float(self.leads[n])


def failure_window(
    dates: Dates, displacement: ArrayLike, sigma: ArrayLike | None = None, *, confidence: float = 0.90
) -> FailureWindow:
    """Tell between which days a slope fails if it goes on accelerating as it does.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date,) array
        Metres; NaN where unknown.
    sigma : (date,) array, optional
        Its standard errors, metres; their size counts relative to each other.
    confidence : float
        Of the window, in (0, 1).

    Returns
    -------
    FailureWindow
        Refused where there are fewer than eight dates, the last change of the rate is no significant increase, fewer
        than five dates have followed the beginning of the acceleration, a constant rate since then explains the series
        nearly as well (F test at 1 %) or stages of constant rate do better, the rate has fallen behind the law in the
        end, or the window is more than three times as long as the acceleration has lasted.

    Raises
    ------
    ValueError
        If `dates` do not ascend, shapes do not fit, or `confidence` is not within (0, 1).

    Notes
    -----
    What is fitted is the law integrated, a straight line until the acceleration begins and then
    the integral of [(tf - ts) / (tf - t)]^(1 / (a - 1)), to the displacements by weighted least squares. So no rates
    are formed, whose errors would depend on each other and whose inverse is worst where the slope is slowest. The
    window is that of the posterior of tf, averaged over when the acceleration began and over a from 1.5 to 2.5, any
    factor of the time left as probable as any other beforehand. A yearly course is fitted beside where there is one.

    A window is no forecast that the slope fails: it says when, if. Of what slopes do that speed up and then settle,
    the series knows nothing before they settle.

    References
    ----------
    [Fukuzono1985], [Voight1988].
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, instead got {confidence}")
    all_days = days_of(dates)
    values = np.asarray(displacement, np.float64)
    check_shape("displacement", values, (all_days.size,))
    told = None if sigma is None else np.asarray(sigma, np.float64)
    if told is not None:
        check_shape("sigma", told, (all_days.size,))
    day, series, errors = known_part(all_days, values, told)
    if day.size < _LEAST_DATES:
        return _refused(f"only {day.size} dates are known, {_LEAST_DATES} are needed", confidence)
    curves, knots, _ = find_stages(day, series, errors, _MOST_KNOTS)
    if not knots.size:
        return _refused("it does not speed up: no change of the rate stands out from the noise", confidence)
    years = years_since(day, day[0].item())
    rates = np.abs(_rates(years, curves.series, weights_of(errors, day.size), knots))
    ends = [(day[0] + np.timedelta64(round(t * DAYS_PER_YEAR), "D")).item() for t in knots]
    if rates[-1] <= rates[-2]:
        return _refused(f"it has slowed down since {ends[-1]}", confidence)
    # The steady time before the acceleration begins where the rate last fell, or with the series.
    falls = np.flatnonzero(np.diff(rates) <= 0)
    first: date = ends[falls[-1]] if falls.size else day[0].item()
    since = day >= np.datetime64(first, "D")
    if since.sum() < _LEAST_DATES:
        return _refused(f"only {since.sum()} dates since it last slowed down, on {first}", confidence)
    return _window(day[since], series[since], None if errors is None else errors[since], confidence)


def _refused(reason: str, confidence: float) -> FailureWindow:
    """Give no window."""
    return FailureWindow(None, None, None, confidence, None, 0, reason)


def _window(day: NDArray[np.datetime64], series: Floats, errors: Floats | None, confidence: float) -> FailureWindow:
    """Fit the law to dates among which the rate does not fall."""
    years = years_since(day, day[0].item())
    weights = weights_of(errors, day.size)
    curves = best_curves(day, years, series, weights, _MOST_KNOTS)
    turn = 2 * np.pi * years
    beside = np.column_stack([np.cos(turn), np.sin(turn)]) if curves.amplitude else np.empty((day.size, 0))
    floor = float(curves.left.min()) * 1e-3
    free = day.size - 5 - beside.shape[1]
    found = _tried(years, series, weights, beside, floor, free)
    least = float(found.left.min())
    begun = found.best()[0]
    start: date = (day[0] + np.timedelta64(round(begun * DAYS_PER_YEAR), "D")).item()
    gain = (float(found.steady.min()) / least - 1) * free
    if gain <= 0 or stats.f.sf(gain, 1, free) > _SIGNIFICANCE:
        reason = f"the rate since {start} is as well explained by a constant one: it need not grow further"
        return _refused(reason, confidence)
    n = day.size
    straight = n * np.log(curves.left) + (2 + 2 * np.arange(curves.left.size)) * np.log(n)
    if straight.min() < n * np.log(least) + 5 * np.log(n):
        return _refused("stages of constant rate explain the series better than the law of failure does", confidence)
    if _slackens(years, series, weights, beside, found):
        return _refused("the rate has fallen behind the law of failure at the last dates", confidence)
    chances = (found.left / least) ** (-free / 2) * stats.norm.pdf(found.powers, 2.0, _POWER_SPREAD)[:, np.newaxis]
    lead = np.cumsum(chances.sum(axis=(0, 1)))
    sides = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
    leads = np.exp(np.interp(sides, lead / lead[-1], np.log(found.leads))) * DAYS_PER_YEAR
    if leads[2] - leads[0] > _LONGEST * (years[-1] - begun) * DAYS_PER_YEAR:
        reason = f"failure could follow within {leads[0]:.0f} to {leads[2]:.0f} days, which tells too little"
        return _refused(reason, confidence)
    whole = np.array([np.floor(leads[0]), round(leads[1]), np.ceil(leads[2])])
    earliest, median, latest = (day[-1] + whole.astype("timedelta64[D]")).tolist()
    return FailureWindow(earliest, median, latest, confidence, start, int((years >= begun).sum()), "")


def _rates(years: Floats, series: Floats, weights: Floats, knots: Floats) -> Floats:
    """Return the rates of the stages between knots."""
    root = np.sqrt(weights)
    fit = np.linalg.lstsq(design_of(years, knots) * root[:, np.newaxis], series * root, rcond=None)[0]
    return np.asarray(np.cumsum(fit[1:]))


def _law(years: Floats, start: float, leads: Floats, power: float) -> Floats:
    """Return the displacement since `start` of a slope whose rate is one there, (date, lead)."""
    q = 1 / (power - 1)
    whole = years[-1] + leads - start
    rest = (whole - np.maximum(years[:, np.newaxis] - start, 0.0)) / whole
    if abs(q - 1) < 1e-9:
        return np.asarray(-whole * np.log(rest))
    return np.asarray(whole * (1 - rest ** (1 - q)) / (1 - q))


def _tried(years: Floats, series: Floats, weights: Floats, beside: Floats, floor: float, free: int) -> _Tried:
    """Try the law with all its parameters, coarsely and then where it explains the series."""
    starts = np.linspace(years[1], years[-_LEAST_RISING], _COARSE[0])
    powers, leads = np.linspace(*_POWERS, _COARSE[1]), np.geomspace(*_LEADS, _COARSE[2])
    coarse = _squares(years, series, weights, beside, floor, starts, powers, leads)
    log = -0.5 * free * np.log(coarse.left / coarse.left.min())
    likely = [np.flatnonzero((log > -_UNLIKELY).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    (s0, s1), (p0, p1), (l0, l1) = ((max(k[0] - 1, 0), k[-1] + 1) for k in likely)
    return _squares(
        years, series, weights, beside, floor,
        np.linspace(starts[s0], starts[min(s1, starts.size - 1)], _FINE[0]),
        np.linspace(powers[p0], powers[min(p1, powers.size - 1)], _FINE[1]),
        np.geomspace(leads[l0], leads[min(l1, leads.size - 1)], _FINE[2]),
    )  # fmt: skip


def _squares(
    years: Floats, series: Floats, weights: Floats, beside: Floats, floor: float,
    starts: Floats, powers: Floats, leads: Floats,
) -> _Tried:  # fmt: skip
    """Return how well the law explains the series, for each beginning, exponent and lead."""
    left, steady = np.empty((starts.size, powers.size, leads.size)), np.empty(starts.size)
    root = np.sqrt(weights)[:, np.newaxis]
    for k, start in enumerate(starts):
        fixed = np.column_stack([np.ones(years.size), np.minimum(years, start), beside]) * root
        basis = np.linalg.qr(fixed)[0]
        told = series * root[:, 0]
        told = told - basis @ (basis.T @ told)
        columns = [_law(years, start, leads, power) for power in powers]
        shapes = np.column_stack([*columns, np.maximum(years - start, 0.0)]) * root
        shapes = shapes - basis @ (basis.T @ shapes)
        explained = (told @ shapes) ** 2 / np.maximum((shapes**2).sum(axis=0), np.finfo(float).tiny)
        rest = np.maximum(told @ told - explained, floor + np.finfo(float).tiny)
        left[k], steady[k] = rest[:-1].reshape(powers.size, -1), rest[-1]
    return _Tried(starts, powers, leads, left, steady)


def _slackens(years: Floats, series: Floats, weights: Floats, beside: Floats, found: _Tried) -> bool:
    """Tell whether the last dates moved less than the law that explains all of them best."""
    start, power, lead = found.best()
    law = _law(years, start, np.array([lead]), power)
    root = np.sqrt(weights)[:, np.newaxis]
    for bend in years[-3:-1]:
        bent = np.maximum(years - bend, 0.0)
        plain = [np.ones(years.size), np.minimum(years, start), law[:, 0], beside]
        design = np.column_stack([*plain, bent]) * root
        free = years.size - design.shape[1] - 2
        if free < 1:
            return False
        inverse = np.linalg.pinv(design.T @ design)
        fit = inverse @ (design.T @ (series * root[:, 0]))
        noise = float(((series * root[:, 0] - design @ fit) ** 2).sum()) / free
        score = fit[-1] * math.copysign(1.0, fit[2]) / math.sqrt(max(noise * inverse[-1, -1], np.finfo(float).tiny))
        if stats.t.cdf(score, free) < _SLACKENING / 2:
            return True
    return False
