"""Curves of straight stages through a series: the best of each number of stages, and how well their knots are known.

Times are in years, values in metres; noise is independent from date to date, its size is free.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampled", "best_knots", "candidate_times", "hinges", "sample_knots", "settle_knots", "squares"]

Floats = NDArray[np.float64]

_BEAM = 6
"""Curves kept for each time and number of stages: those that are best where they are, whatever follows."""
_LEAST_INSIDE = 3
"""Dates of a stage, those at its ends included."""
_LEAST_LAST = 2
"""Dates of the last stage."""
_CANDIDATES = 110
"""Times at which a knot is looked for, at most about so many."""
_FINE = 81
"""Times at which a knot between two others is weighed."""
_TINY = 1e-18


class Sampled(NamedTuple):
    """Draws of the knots and rates of a curve, given the series."""

    knots: Floats
    """(draw, knot) years."""
    rates: Floats
    """(draw, stage) metres per year."""


def hinges(years: Floats, knots: Floats) -> Floats:
    """Return max(t - knot, 0), (date, knot)."""
    return np.asarray(np.maximum(years[:, np.newaxis] - np.asarray(knots)[np.newaxis], 0.0))


def squares(years: Floats, series: Floats, weights: Floats, knots: Floats) -> float:
    """Return the weighted sum of squared residuals of the best curve with these knots."""
    design = np.column_stack([np.ones(years.size), years, hinges(years, knots)]) * np.sqrt(weights)[:, np.newaxis]
    told = series * np.sqrt(weights)
    solution = np.linalg.lstsq(design, told, rcond=None)[0]
    return float(((told - design @ solution) ** 2).sum())


def candidate_times(years: Floats) -> Floats:
    """Return the dates, and times between them where dates are few: a rate need not change on a date."""
    extra = max(0, round((_CANDIDATES - years.size) / max(years.size - 1, 1)))
    share = np.arange(extra + 1) / (extra + 1)
    steps = years[:-1, np.newaxis] + np.diff(years)[:, np.newaxis] * share
    return np.append(steps.ravel(), years[-1])


def best_knots(years: Floats, series: Floats, weights: Floats, most: int) -> list[Floats]:
    """Find the knots of the best continuous curve of 1, 2, ... stages.

    Parameters
    ----------
    years, series, weights : (date,) arrays
        Ascending times, values, reciprocal variances up to a factor.
    most : int
        Knots at most.

    Returns
    -------
    list of (knot,) arrays
        With 0, 1, ... knots, as far as there are dates for them.

    Notes
    -----
    Dynamic programming over the times where a knot may lie: the cost of the best curve that ends in a knot is, as a
    function of its value there, the least of many parabolas [Fearnhead2019]. The `_BEAM` lowest are carried on.
    """
    times = candidate_times(years)
    at = np.searchsorted(times, years)
    count = times.size
    w, y = np.zeros(count), np.zeros(count)
    w[at], y[at] = weights, series - np.average(series, weights=weights)
    sums = np.cumsum([w, w * times, w * times**2, w * y, w * y * times, w * y * y], axis=1)
    dates = np.cumsum(np.isin(np.arange(count), at))
    is_date = np.diff(dates, prepend=0)
    state = np.full((most + 1, count, _BEAM, 3), np.nan)
    cost = np.full((most + 1, count, _BEAM), np.inf)
    origin = np.zeros((most + 1, count, _BEAM, 2), np.int64)
    for i in range(1, count):
        first = int(np.searchsorted(-(dates[i] - dates[:i] + is_date[:i]), -(_least(i, count)), side="right"))
        if first == 0:
            continue
        begins = np.arange(first)
        form = _segment_cost(times, sums, begins, i)
        for knots in range(most + 1):
            known = np.array([[[w[0], -2 * w[0] * y[0], w[0] * y[0] ** 2]]]) if knots == 0 else state[knots - 1, :first]
            fresh = _carry(known, form[:, :1] if knots == 0 else form)
            low = np.where(np.isfinite(fresh).all(-1), fresh[..., 2] - fresh[..., 1] ** 2 / (4 * fresh[..., 0]), np.inf)
            order = np.argsort(low, axis=None)[:_BEAM]
            chosen = np.unravel_index(order, low.shape)
            kept = order.size
            state[knots, i, :kept], cost[knots, i, :kept] = fresh[chosen], low[chosen]
            origin[knots, i, :kept] = np.column_stack(chosen)
    return _traced(times, cost, origin)


def _least(i: int, count: int) -> int:
    """Return how many dates a stage that ends in candidate i must hold."""
    return _LEAST_LAST if i == count - 1 else _LEAST_INSIDE


def _segment_cost(times: Floats, sums: Floats, begins: NDArray[np.int64], end: int) -> Floats:
    """Return the cost of straight stages from each of `begins` to `end`, as a form in the values at both, (6, begin).

    The values p and q cost A p^2 + B p q + C q^2 + D p + E q + F; the date at the beginning is not counted.
    """
    one, t, tt, v, vt, vv = sums[:, end, np.newaxis] - sums[:, begins]
    start, length = times[begins], times[end] - times[begins]
    u = (t - start * one) / length
    uu = (tt - 2 * start * t + start**2 * one) / length**2
    vu = (vt - start * v) / length
    return np.array([one - 2 * u + uu, 2 * (u - uu), uu, -2 * (v - vu), -2 * vu, vv])


def _carry(state: Floats, form: Floats) -> Floats:
    """Minimise parabolas plus a stage's cost over the value where it begins: parabolas of the value where it ends."""
    a, b, c = np.moveaxis(state, -1, 0)
    A, B, C, D, E, F = form[:, :, np.newaxis]
    curvature = np.maximum(4 * (a + A), _TINY)
    with np.errstate(invalid="ignore"):
        return np.stack(
            [
                np.maximum(C - B**2 / curvature, _TINY),
                E - 2 * B * (b + D) / curvature,
                F + c - (b + D) ** 2 / curvature,
            ],
            axis=-1,
        )


def _traced(times: Floats, cost: Floats, origin: NDArray[np.int64]) -> list[Floats]:
    """Follow the best curves back to their knots."""
    found = []
    for knots in range(cost.shape[0]):
        if not np.isfinite(cost[knots, -1, 0]):
            break
        index, beam, path = times.size - 1, 0, []
        for left in range(knots, 0, -1):
            index, beam = origin[left, index, beam]
            path.append(times[index])
        found.append(np.array(path[::-1]))
    return found


def settle_knots(years: Floats, series: Floats, weights: Floats, knots: Floats, rounds: int = 20) -> Floats:
    """Move each knot in turn to where it fits best between its neighbours, to the day, until none moves."""
    knots = knots.copy()
    for _ in range(rounds):
        before = knots.copy()
        for k in range(knots.size):
            places = _places(years, knots, k)
            knots[k] = places[np.argmin(_squares_at(years, series, weights, np.delete(knots, k), places)[0])]
        if np.all(np.abs(knots - before) < 1 / 366):
            break
    return knots


def _places(years: Floats, knots: Floats, k: int) -> Floats:
    """Return the times at which a knot may lie while the others stay."""
    low = knots[k - 1] if k else -np.inf
    high = knots[k + 1] if k + 1 < knots.size else np.inf
    inside = years[(years >= low) & (years <= high)]
    need = _LEAST_LAST if k + 1 == knots.size else _LEAST_INSIDE
    if inside.size < _LEAST_INSIDE + need - 1:
        return knots[k : k + 1]
    first, last = inside[_LEAST_INSIDE - 1], inside[-need]
    # Finely about where it is, and on all dates.
    near = knots[k] + (last - first) * np.array([-0.02, -0.01, -0.005, -0.002, 0.0, 0.002, 0.005, 0.01, 0.02])
    places = np.concatenate([np.linspace(first, last, _FINE), inside, near])
    return np.unique(places[(places >= first) & (places <= last)])


def _squares_at(
    years: Floats, series: Floats, weights: Floats, others: Floats, places: Floats
) -> tuple[Floats, Floats, float]:
    """Return the squared residuals with one more knot at each place, the hinge's own information, and those without."""
    root = np.sqrt(weights)[:, np.newaxis]
    basis = np.linalg.qr(np.column_stack([np.ones(years.size), years, hinges(years, others)]) * root)[0]
    told = series * root[:, 0]
    told = told - basis @ (basis.T @ told)
    hinge = hinges(years, places) * root
    hinge = hinge - basis @ (basis.T @ hinge)
    information = np.maximum((hinge**2).sum(axis=0), _TINY)
    total = float(told @ told)
    return np.maximum(total - (told @ hinge) ** 2 / information, 0.0), information, total


def sample_knots(
    years: Floats, series: Floats, weights: Floats, knots: Floats, rng: np.random.Generator, draws: int = 200
) -> Sampled:
    """Draw knots and rates from what the series tells of them.

    Parameters
    ----------
    years, series, weights : (date,) arrays
        As in `best_knots`.
    knots : (knot,) array
        Where to begin.
    rng : Generator
        Source of the draws.
    draws : int
        How many.

    Returns
    -------
    Sampled
        From the posterior: any date between the neighbours as probable as any other beforehand, rates and the size of
        the noise unknown.

    Notes
    -----
    Gibbs sampling of one knot after another on a grid of times; then rates, given the knots, from their t distribution.
    """
    knots = knots.copy()
    free = years.size - 2 - knots.size
    drawn = np.empty((draws, knots.size))
    rates = np.empty((draws, knots.size + 1))
    floor = _TINY + 1e-20 * float((weights * series**2).sum())
    for draw in range(-20, draws):
        for k in range(knots.size):
            places = _places(years, knots, k)
            left, information, _ = _squares_at(years, series, weights, np.delete(knots, k), places)
            log = -0.5 * free * np.log(left + floor) - 0.5 * np.log(information)
            chance = np.exp(log - log.max()) * np.gradient(places) if places.size > 1 else np.ones(1)
            knots[k] = rng.choice(places, p=chance / chance.sum())
        if draw >= 0:
            drawn[draw], rates[draw] = knots, _drawn_rates(years, series, weights, knots, rng)
    return Sampled(drawn, rates)


def _drawn_rates(years: Floats, series: Floats, weights: Floats, knots: Floats, rng: np.random.Generator) -> Floats:
    """Draw the rates of the stages, given the knots."""
    root = np.sqrt(weights)
    design = np.column_stack([np.ones(years.size), years, hinges(years, knots)]) * root[:, np.newaxis]
    q, r = np.linalg.qr(design)
    told = series * root
    free = max(years.size - design.shape[1], 1)
    left = told - q @ (q.T @ told)
    noise = np.sqrt(left @ left / rng.chisquare(free))
    slopes = np.linalg.solve(r, q.T @ told + noise * rng.standard_normal(r.shape[0]))[1:]
    return np.asarray(np.cumsum(slopes))
