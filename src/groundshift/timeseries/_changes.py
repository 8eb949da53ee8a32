"""Where the rate of a series changes: how many knots there are, and when each is.

Displacement is in metres, rates are in metres per year.
"""

import math
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.timeseries import _knots
from groundshift.timeseries.noise import NOISE_MODELS, _known_noise

__all__ = ["Dated", "Known", "find_knots"]

_SPACING = 4
"""Differences of dates that are known in a stage at least."""
_PENALTY = 7.0
"""That a knot has to be worth; see `fit_stages`. With it at most 5 % of series without events show any, whatever the
colour of their noise."""
_YEARLY_PENALTY = 5.0
"""That a yearly course has to be worth."""
_LEAST_LASTING = 0.05
"""Share of the white noise that lasts at least: what drifts so little cannot be told from what does not."""
_CONFIDENCE = 0.95
"""Probability that a knot lies between its `early` and `late`."""
_DRIFTS = (25.6, 102.4, 409.6)
"""Variances per year of random walks beside those of `NOISE_MODELS`: what drifts nearly without white noise shows more
knots than anything else."""
_MODELS = np.vstack([NOISE_MODELS, [(0.0, 1.0, drift, 0.0, 0.0) for drift in _DRIFTS]])
_SMOOTH_DATES = 10
"""A curve with a knot at every so many dates leaves noise only."""
_ROUNDING = 1e-6
"""Share of its own deviation that the noise of a series has at least..."""
_NOTHING = 1e-9
"""... and metres."""
_COLLINEAR = 1e-9
"""Share of the largest of some hinges below which one is a sum of others."""
_NEGLIGIBLE = 1e-3
"""Noise models of less probability do not count where knots are dated."""
_SWEEPS = 4


class Known(NamedTuple):
    """What is fitted: the known dates of a series."""

    day: NDArray[np.datetime64]
    years: NDArray[np.float64]
    design: NDArray[np.float64]
    """(date, p): offset, years, offsets of further groups, cosine and sine of the year where they are determined."""
    plain: int
    """Columns without those of the year."""
    told: NDArray[np.int64]
    """(date,) number of dates until this one that are not the first of their group."""
    series: NDArray[np.float64]
    sigma: NDArray[np.float64] | None


class Dated(NamedTuple):
    """When a knot is."""

    day: date
    early: date
    late: date
    gain: float


class _Searched(NamedTuple):
    """What `_knots.search` fills."""

    products: NDArray[np.float64]
    pulls: NDArray[np.float64]
    base: NDArray[np.float64]
    hinges: NDArray[np.int64]
    parts: NDArray[np.float64]
    deviance: NDArray[np.float64]
    fixed: int


def find_knots(known: Known, most: int) -> tuple[list[Dated], bool]:
    """Find the knots, and whether there is a yearly course beside them."""
    dates, p = known.design.shape
    most = min(most, dates - p - dates // _SMOOTH_DATES - 1)
    if most < 1:
        return [], False
    noise = known.series - _smooth(known)
    own, drift = _known_noise(known.years, noise[np.newaxis], None if known.sigma is None else known.sigma[np.newaxis])
    hinges = np.maximum(known.years[:, np.newaxis] - known.years[1:-1], 0.0)
    columns = np.ascontiguousarray(np.column_stack([known.design, hinges]))
    grams = np.zeros((len(_MODELS), columns.shape[1] + 1, columns.shape[1] + 1))
    log_v = np.empty(len(_MODELS))
    centred = known.series - known.series.mean()
    _knots.whiten(known.years, columns, centred, np.ascontiguousarray(own[0]), float(drift[0]), _MODELS, grams, log_v)
    found = []
    for fixed in range(known.plain, p + 1, 2):
        kept = np.r_[:fixed, p : len(grams[0])]
        found.append(_search(grams[:, kept[:, np.newaxis], kept], log_v, fixed, known.told, most))
    step = float(np.median(np.diff(known.years)))
    least = max(_ROUNDING * float(known.series.std()), _NOTHING)
    change = max(float((np.diff(noise) ** 2).mean()), least**2)
    lasting = _lasting(found[-1], dates, float(drift[0]), step) + _LEAST_LASTING
    cost = _PENALTY + math.log(change * lasting) - 2 * math.log(step)
    costs = [0.0, _YEARLY_PENALTY + 2 * math.log(change)]
    best = min(zip(found, costs, strict=False), key=lambda one: one[1] + _criterion(one[0], cost).min())[0]
    return _date(known, best, cost), best.fixed > known.plain


def _criterion(found: _Searched, cost: float) -> NDArray[np.float64]:
    """Return what is least for the best noise model and number of knots, (model, most + 1)."""
    return found.deviance + cost * np.arange(found.deviance.shape[1])


def _lasting(found: _Searched, dates: int, drift: float, step: float) -> float:
    """Return the variance of what a date adds to the noise that lasts, in units of white noise.

    It is that of the noise model of most restricted likelihood beside a curve that follows all that is no noise.
    """
    at = np.arange(_SMOOTH_DATES, dates - _SMOOTH_DATES, _SMOOTH_DATES) - 1
    values, vectors = np.linalg.eigh(found.products[:, at[:, np.newaxis], at])
    good = values > _COLLINEAR * values.max(axis=1, initial=0.0, keepdims=True)
    values = np.where(good, values, 1.0)
    along = np.where(good, np.einsum("mij,mi->mj", vectors, found.pulls[:, at]), 0.0)
    dof = dates - found.fixed - good.sum(axis=1)
    left = np.maximum(found.base[:, 1] - (along**2 / values).sum(axis=1), _ROUNDING**2 * found.base[:, 1])
    deviance = found.base[:, 0] + np.log(values).sum(axis=1) + dof * np.log(left / dof)
    share, memory, walk, trust, _ = _MODELS[np.argmin(deviance)]
    return float(share * -math.expm1(-2 * step / memory) + (walk + trust * drift) * step)


def _smooth(known: Known) -> NDArray[np.float64]:
    """Return a curve that follows all that is no noise."""
    bends = known.years[_SMOOTH_DATES:-_SMOOTH_DATES:_SMOOTH_DATES]
    columns = np.column_stack([known.design, np.maximum(known.years[:, np.newaxis] - bends, 0.0)])
    return np.asarray(columns @ np.linalg.lstsq(columns, known.series)[0])


def _search(
    grams: NDArray[np.float64], log_v: NDArray[np.float64], fixed: int, told: NDArray[np.int64], most: int
) -> _Searched:
    """Find the best knots of each number."""
    models, hinges = len(grams), len(told) - 2
    found = _Searched(
        np.empty((models, hinges, hinges)), np.empty((models, hinges)), np.empty((models, 2)),
        np.empty((models, most + 1, most), np.int64), np.empty((models, most + 1, most)), np.empty((models, most + 1)),
        fixed,
    )  # fmt: skip
    _knots.search(
        np.ascontiguousarray(grams), log_v, fixed, told, _SPACING, found.products, found.pulls, found.base,
        found.hinges, found.parts, found.deviance,
    )  # fmt: skip
    return found


def _date(known: Known, found: _Searched, cost: float) -> list[Dated]:
    """Date each knot of the best curve to the day."""
    criterion = _criterion(found, cost)
    model, count = np.unravel_index(np.argmin(criterion), criterion.shape)
    likely = np.flatnonzero(found.deviance[:, count] - found.deviance[model, count] < -2 * math.log(_NEGLIGIBLE))
    dof = len(known.day) - found.fixed - int(count)
    order = np.argsort(found.hinges[model, count, :count])
    hinge, part = found.hinges[model, count, order], found.parts[model, count, order]
    dated: list[Dated] = []
    for sweep in range(_SWEEPS):
        dated = []
        for k in range(count):
            days, hinges, parts = _places(known, hinge, k)
            deviance, without = np.empty((likely.size, days.size)), np.empty(likely.size)
            for i, m in enumerate(likely):
                without[i] = _knots.profile(
                    found.products[m], found.pulls[m], found.base[m], dof, hinge, part, k, hinges, parts, deviance[i]
                )
            least = deviance.min()
            below = np.cumsum(np.exp((least - deviance) / 2).sum(axis=0))
            below /= below[-1]
            tail = (1 - _CONFIDENCE) / 2
            early, middle, late = (int(np.searchsorted(below, p)) for p in (tail, 0.5, 1 - tail))
            if sweep < _SWEEPS - 1:
                middle = int(deviance.min(axis=0).argmin())
            hinge[k], part[k] = hinges[middle], parts[middle]
            gain = float(without.min() - least - cost)
            dated.append(Dated(days[middle].item(), days[early].item(), days[late].item(), gain))
    return dated


def _places(
    known: Known, hinge: NDArray[np.int64], k: int
) -> tuple[NDArray[np.datetime64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the days where a knot may be: each as the hinge of the date before and the share of the way to the next.

    Hinge h is that of date h + 1.
    """
    day, told = known.day, known.told
    least = told[hinge[k - 1] + 1] + _SPACING if k else _SPACING
    first = int(np.searchsorted(told, least))
    if k + 1 < len(hinge):
        last = int(np.searchsorted(told, told[hinge[k + 1] + 1] - _SPACING, side="right")) - 1
    else:
        last = int(np.searchsorted(told, told[-1] - _SPACING, side="right")) - 2
    days = np.arange(day[first], day[last + 1] + 1)
    before = np.minimum(np.searchsorted(day, days, side="right") - 1, last)
    parts = (days - day[before]) / (day[before + 1] - day[before])
    return days, np.asarray(before - 1, np.int64), np.asarray(parts, np.float64)
