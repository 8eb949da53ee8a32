"""Compiled inner loops of finding where the rate of a series changes, in noise of given colours.

A curve that is bent at knots is a straight line plus a *hinge* for each knot, `max(t - knot, 0)`. Series, line and the
hinges of all dates pass through the Kalman filter of `_coloured` once for each noise model; sums of products of what
comes out are all that any choice of knots needs. A hinge between two dates is the weighted mean of theirs.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from groundshift.timeseries._coloured import _innovations

__all__ = ["profile", "search", "whiten"]

_TINY = 1e-300
_ROUNDING = 1e-12
"""Share of a sum of squares below which it is rounding error."""
_COLLINEAR, _DISTINCT = 1e-9, 1e-7
"""Shares of a hinge below which it is a sum of others, and beyond which it is not, in whatever order one looks."""
_STEP = 1e-5
"""Share of what is not explained that a move must explain."""
_SWEEPS = 50
_ROUNDS = 4


@njit(nogil=True, cache=True)
def whiten(
    years: Any, design: Any, series: Any, own: Any, network_drift: float, models: Any, grams: Any, log_v: Any
) -> None:
    """Fill the products of the whitened columns under every noise model.

    Parameters
    ----------
    years : (date,) float64 array
        Ascending.
    design : (date, p) float64 array
    series : (date,) float64 array
    own : (date,) float64 array
        Variance of the white noise of each date, about one.
    network_drift : float
        Variance per year of the random walk that is known beforehand, in the same unit.
    models : (model, 5) float64 array
        As `NOISE_MODELS`.
    grams, log_v
        Filled: (model, p + 1, p + 1), lower triangles, the series last; and (model,) log |V|.
    """
    p = design.shape[1]
    state, v = np.empty((2, p + 1)), np.empty(p + 1)
    for m in range(models.shape[0]):
        share, memory, drift, trust, _ = models[m]
        log_v[m] = _innovations(
            years, design, series, own, share, memory, drift + trust * network_drift, grams[m], state, v
        )


@njit(nogil=True, cache=True)
def search(
    grams: Any, log_v: Any, fixed: int, told: Any, spacing: int, products: Any, pulls: Any, base: Any, hinges: Any,
    parts: Any, deviance: Any,
) -> None:  # fmt: skip
    """Find the best knots of each number under every noise model.

    Parameters
    ----------
    grams, log_v
        From `whiten`, of `fixed` columns, a hinge at each date but the first and the last, and the series. Changed.
    fixed : int
        Number of columns without hinges.
    told : (date,) int array
        Number of differences of dates that are known by each date.
    spacing : int
        How many of these there are in each stage at least.
    products, pulls, base
        Filled, with the fixed columns taken out: (model, hinge, hinge) products of the hinges; (model, hinge) those
        with the series; (model, 2) log |V| + log |F' V^-1 F|, and the sum of squares of the series.
    hinges, parts : (model, most + 1, most) arrays
        Filled with the best knots of each number: the hinge of the date before, and the share of the way to the next.
    deviance : (model, most + 1) float64 array
        Filled with -2 log restricted likelihood at these; infinite where there is no room for as many.
    """
    most, dates = hinges.shape[2], told.size
    lower, z, explained = np.zeros((most, most)), np.zeros(most), np.empty(most + 1)
    for m in range(grams.shape[0]):
        log_f, floor = _eliminate(grams[m], fixed, products[m], pulls[m])
        base[m, 0], base[m, 1] = log_v[m] + log_f, max(grams[m, -1, -1], floor)
        _search_one(products[m], pulls[m], base[m, 1], told, spacing, hinges[m], parts[m], explained)
        for k in range(most + 1):
            deviance[m, k] = np.inf
            dof = dates - fixed - k
            if explained[k] >= 0 and dof > 0:
                _, log_h = _factor(products[m], pulls[m], hinges[m, k], parts[m, k], k, lower, z)
                left = max(base[m, 1] - explained[k], floor)
                deviance[m, k] = base[m, 0] + log_h + dof * math.log(left / dof)


@njit(nogil=True, cache=True)
def _eliminate(gram: Any, fixed: int, products: Any, pulls: Any) -> tuple[float, float]:
    """Take the fixed columns out of the others; return log |F' V^-1 F|, and what is nothing of the series."""
    p = gram.shape[0] - 1
    floor, log_f = max(_ROUNDING * gram[p, p], _TINY), 0.0
    own = np.empty(p)
    for i in range(p + 1):
        for j in range(i):
            gram[j, i] = gram[i, j]
    for i in range(p):
        own[i] = gram[i, i]
    for q in range(fixed):
        pivot = max(gram[q, q], _TINY)
        log_f += math.log(pivot)
        for i in range(q + 1, p + 1):
            share = gram[i, q] / pivot
            for j in range(q + 1, p + 1):
                gram[i, j] -= share * gram[q, j]
    for i in range(fixed, p):
        nothing = gram[i, i] <= _COLLINEAR * own[i]
        pulls[i - fixed] = 0.0 if nothing else gram[p, i]
        for j in range(fixed, p):
            products[i - fixed, j - fixed] = gram[i, j]
        if nothing:
            products[i - fixed, i - fixed] = 0.0
    return log_f, floor


@njit(nogil=True, cache=True)
def _product(products: Any, i: int, a: float, j: int, b: float) -> float:
    """Product of two hinges that lie between dates."""
    first = (1 - b) * products[i, j] + b * products[i, j + 1]
    return float((1 - a) * first + a * ((1 - b) * products[i + 1, j] + b * products[i + 1, j + 1]))


@njit(nogil=True, cache=True)
def _factor(products: Any, pulls: Any, hinge: Any, part: Any, k: int, lower: Any, z: Any) -> tuple[float, float]:
    """Fill the Cholesky factor of k knots; return the sum of squares that they explain, -1 if they are not distinct.

    The second is the logarithm of the determinant.
    """
    explained, log_det = 0.0, 0.0
    for i in range(k):
        for j in range(i + 1):
            own = _product(products, hinge[i], part[i], hinge[j], part[j])
            s = own
            for q in range(j):
                s -= lower[i, q] * lower[j, q]
            if i > j:
                lower[i, j] = s / lower[j, j]
            elif s <= _COLLINEAR * own:
                return -1.0, 0.0
            else:
                lower[i, i] = math.sqrt(s)
                log_det += math.log(s)
        s = (1 - part[i]) * pulls[hinge[i]] + part[i] * pulls[hinge[i] + 1]
        for q in range(i):
            s -= lower[i, q] * z[q]
        z[i] = s / lower[i, i]
        explained += z[i] * z[i]
    return explained, log_det


@njit(nogil=True, cache=True)
def _beside(products: Any, hinge: Any, part: Any, k: int, lower: Any, c: int, w: Any) -> None:
    """Fill what a hinge at a date has in common with k knots."""
    for i in range(k):
        s = (1 - part[i]) * products[c, hinge[i]] + part[i] * products[c, hinge[i] + 1]
        for q in range(i):
            s -= lower[i, q] * w[q]
        w[i] = s / lower[i, i]


@njit(nogil=True, cache=True)
def _add(
    products: Any, pulls: Any, hinge: Any, part: Any, k: int, told: Any, spacing: int, lower: Any, z: Any, w: Any
) -> tuple[int, float, float]:
    """Return the knot that explains most beside k others, and what all explain; -1 if there is no room.

    Between two dates that is pull(a)^2 / own(a), in which a is the share of the way, pull is linear and own a parabola:
    it has one maximum.
    """
    total, _ = _factor(products, pulls, hinge, part, k, lower, z)
    best, best_part, most = -1, 0.0, -1.0
    if total < 0:
        return best, best_part, most
    here = -1
    for c in range(pulls.size - 1):
        # Hinge c is that of date c + 1.
        clear = told[c + 1] >= spacing and told[-1] - told[c + 2] >= spacing
        for i in range(k):
            clear &= abs(told[c + 1] - told[hinge[i] + 1]) >= spacing
        if not clear:
            continue
        now, then = w[c % 2], w[(c + 1) % 2]
        if here != c:
            _beside(products, hinge, part, k, lower, c, now)
        _beside(products, hinge, part, k, lower, c + 1, then)
        here = c + 1
        own, both, next_own = products[c, c], products[c, c + 1], products[c + 1, c + 1]
        pull, rise = pulls[c], pulls[c + 1] - pulls[c]
        for i in range(k):
            own -= now[i] * now[i]
            both -= now[i] * then[i]
            next_own -= then[i] * then[i]
            pull -= now[i] * z[i]
            rise -= (then[i] - now[i]) * z[i]
        # own(a) = own + 2 slope a + bow a^2, pull(a) = pull + rise a.
        slope, bow = both - own, own - 2 * both + next_own
        turn = pull * bow - rise * slope
        a = (rise * own - pull * slope) / turn if turn != 0 else 0.0
        if not 0 < a < 1:
            a = 1.0 if (pull + rise) ** 2 * own > pull**2 * next_own else 0.0
        size = own + a * (2 * slope + a * bow)
        if (pull + a * rise) ** 2 > most * size and size > _DISTINCT * _product(products, c, a, c, a):
            best, best_part, most = c, a, (pull + a * rise) ** 2 / size
    return best, best_part, total + most


@njit(nogil=True, cache=True)
def _settle(
    products: Any, pulls: Any, whole: float, hinge: Any, part: Any, k: int, told: Any, spacing: int, others: Any,
    shares: Any, lower: Any, z: Any, w: Any,
) -> float:  # fmt: skip
    """Move one knot after the other to where it explains most, until none moves; return what all explain."""
    total, _ = _factor(products, pulls, hinge, part, k, lower, z)
    for _ in range(_SWEEPS):
        moved = False
        for i in range(k):
            _without(hinge, part, k, i, others, shares)
            c, a, found = _add(products, pulls, others, shares, k - 1, told, spacing, lower, z, w)
            if c >= 0 and found - total > _STEP * (whole - total):
                hinge[i], part[i], total, moved = c, a, found, True
        if not moved:
            break
    return total


@njit(nogil=True, cache=True)
def _without(hinge: Any, part: Any, k: int, left_out: int, others: Any, shares: Any) -> None:
    """Copy k knots but one."""
    for i in range(k):
        if i != left_out:
            others[i - (i > left_out)], shares[i - (i > left_out)] = hinge[i], part[i]


@njit(nogil=True, cache=True)
def _search_one(
    products: Any, pulls: Any, whole: float, told: Any, spacing: int, hinges: Any, parts: Any, explained: Any
) -> None:
    """Add knots one by one, take them away one by one, and so on as long as that helps; all settle at each step."""
    most = hinges.shape[1]
    lower, z, w = np.zeros((most + 1, most + 1)), np.zeros(most + 1), np.zeros((2, most + 1))
    hinge, others = np.zeros(most + 1, np.int64), np.zeros(most + 1, np.int64)
    part, shares = np.zeros(most + 1), np.zeros(most + 1)
    explained[:], hinges[:], parts[:] = -1.0, 0, 0.0
    explained[0] = 0.0
    top = most
    for _ in range(_ROUNDS):
        better = False
        for k in range(1, top + 1):
            hinge[: k - 1], part[: k - 1] = hinges[k - 1, : k - 1], parts[k - 1, : k - 1]
            c, a, _ = _add(products, pulls, hinge, part, k - 1, told, spacing, lower, z, w)
            if c < 0 and explained[k] < 0:
                top = k - 1
                break
            if c < 0:
                continue
            hinge[k - 1], part[k - 1] = c, a
            found = _settle(products, pulls, whole, hinge, part, k, told, spacing, others, shares, lower, z, w)
            if explained[k] < 0 or found - explained[k] > _STEP * (whole - explained[k]):
                explained[k], better = found, True
                hinges[k, :k], parts[k, :k] = hinge[:k], part[:k]
        for k in range(top, 1, -1):
            worst, most_left = 0, -1.0
            for i in range(k):
                _without(hinges[k], parts[k], k, i, others, shares)
                found, _ = _factor(products, pulls, others, shares, k - 1, lower, z)
                if found > most_left:
                    worst, most_left = i, found
            _without(hinges[k], parts[k], k, worst, hinge, part)
            found = _settle(products, pulls, whole, hinge, part, k - 1, told, spacing, others, shares, lower, z, w)
            if found - explained[k - 1] > _STEP * (whole - explained[k - 1]):
                explained[k - 1], better = found, True
                hinges[k - 1, : k - 1], parts[k - 1, : k - 1] = hinge[: k - 1], part[: k - 1]
        if not better:
            break


@njit(nogil=True, cache=True)
def profile(
    products: Any, pulls: Any, base: Any, dof: int, hinge: Any, part: Any, which: int, hinges: Any, parts: Any,
    deviance: Any,
) -> float:  # fmt: skip
    """Fill -2 log restricted likelihood for places of one knot, the others held.

    Parameters
    ----------
    products, pulls, base
        Of one noise model, from `search`.
    dof : int
        Dates less fixed columns less knots.
    hinge, part : (knot,) arrays
        Where the knots are, as in `search`.
    which : int
        Knot whose place is tried...
    hinges, parts : (place,) arrays
        ... here.
    deviance : (place,) array
        Filled; infinite where the knot cannot be told from others.

    Returns
    -------
    float
        The same without this knot.
    """
    k = hinge.size - 1
    floor = max(_ROUNDING * base[1], _TINY)
    others, shares = np.empty(k, np.int64), np.empty(k)
    lower, z, w = np.zeros((k, k)), np.empty(k), np.empty((2, k))
    _without(hinge, part, k + 1, which, others, shares)
    explained, log_det = _factor(products, pulls, others, shares, k, lower, z)
    deviance[:] = np.inf
    if explained < 0:
        return np.inf
    left = base[1] - explained
    for c in range(hinges.size):
        h, a = hinges[c], parts[c]
        _beside(products, others, shares, k, lower, h, w[0])
        _beside(products, others, shares, k, lower, h + 1, w[1])
        own = _product(products, h, a, h, a)
        pull = (1 - a) * pulls[h] + a * pulls[h + 1]
        for i in range(k):
            common = (1 - a) * w[0, i] + a * w[1, i]
            own -= common * common
            pull -= common * z[i]
        if own > _DISTINCT * _product(products, h, a, h, a):
            rest = max(left - pull * pull / own, floor)
            deviance[c] = base[0] + log_det + math.log(own) + dof * math.log(rest / dof)
    return float(base[0] + log_det + (dof + 1) * math.log(max(left, floor) / (dof + 1)))
