"""From the offsets of many pairs to the motion between dates: robust weighted least squares for every pixel.

Displacement is in metres, (pair, y, x) for pairs and (date, y, x) for the series; a pair's is what the ground moved
from its reference to its secondary. Each component (line of sight, azimuth, east, north...) is inverted by itself.
"""

import itertools
import math
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_shape
from groundshift.errors import NoDataError
from groundshift.timeseries.inversion import Inverted, invert_network
from groundshift.types import Pair

__all__ = ["LoopClosure", "OffsetSeries", "invert_offsets", "loop_closure"]

_METRES = 4 * math.pi
"""Wavelength at which a radian of phase is a metre away from the satellite."""
_TUKEY, _L1_STEPS, _BISQUARE_STEPS = 4.685, 7, 4
_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
_LEAST_SHARE = 1e-6
"""Of its weight that a pair keeps, so that leaving out pairs never splits a network."""
_LEAST_REDUNDANCY = 2
"""Of two pairs that contradict each other neither can be chosen."""


class OffsetSeries(NamedTuple):
    """Motion of every pixel over the dates of a network of offset pairs; NaN without a solution."""

    dates: tuple[date, ...]
    """Dates of all pairs, ascending."""
    displacement: NDArray[np.float32]
    """(date, y, x) metres, zero at the first date (a pixel without pairs there: at its own first one)."""
    sigma: NDArray[np.float32]
    """(date, y, x) standard error of `displacement`, metres."""
    groups: NDArray[np.uint16]
    """(date, y, x) group of dates that the pixel's pairs join, from 1; between groups displacement is that of least
    velocity."""
    rate: NDArray[np.float32]
    """(y, x) m/yr, the steady velocity that agrees best with the pairs."""
    rate_sigma: NDArray[np.float32]
    """(y, x) standard error of `rate`, m/yr."""
    residual: NDArray[np.float32]
    """(pair,) root mean square over pixels of pair less series, metres; NaN where no pixel has the pair."""
    left_out: NDArray[np.float32]
    """(pair,) share of its pixels where the pair does not count, as it contradicts the others."""
    n_pairs: NDArray[np.uint16]
    """(y, x) pairs that count."""
    chi_square: NDArray[np.float32]
    """(y, x) reduced chi-square of the pairs that count; NaN without redundancy."""


class LoopClosure(NamedTuple):
    """How well pairs agree with the shortest way round them."""

    loops: tuple[tuple[Pair, ...], ...]
    """A pair, and those that lead from its reference to its secondary without it."""
    rms: NDArray[np.float64]
    """(loop,) root mean square over pixels of what the loop misses zero by, metres; NaN where none has all pairs."""
    overall: float
    """Over all loops and pixels, metres; NaN without loops."""


def invert_offsets(
    displacement: NDArray[np.floating],
    sigma: ArrayLike,
    pairs: Sequence[Pair],
) -> OffsetSeries:
    """Find the motion of every pixel that agrees best with its pairs.

    Parameters
    ----------
    displacement : (pair, y, x) float array
        One component, metres; NaN where unknown or rejected.
    sigma : (pair, y, x) or (pair,) array
        Standard errors, metres, positive; zero, negative and NaN leave a pair out.
    pairs : sequence of Pair
        In any order; parts that they do not join are connected by least velocity.

    Returns
    -------
    OffsetSeries
        Series and rate with standard errors, and how well each pair agrees.

    Raises
    ------
    NoDataError
        If there are no pairs, or none has data.
    ValueError
        If shapes do not fit, or a pair is given twice.

    Notes
    -----
    *Least squares* is that of `timeseries.invert_network`: with A the incidence of pairs and dates and W the inverse
    variances, x minimises (d - A x)' W (d - A x), and across parts that no pairs join has least squared velocity, as
    the singular value decomposition of the design in velocities. Errors are scaled with the reduced chi-square, where
    it is above 1.

    *Robust.* A wrong match is off by any amount, not by cycles as phase is. Residuals are divided by their errors and
    by their own scale (median absolute deviation of the pixel's, at least 1), and reweighted first for the L1 norm and
    then by Tukey's bisquare at 4.7 of them.

    *Rate* is the steady velocity that agrees best with the pairs: v = sum(w d t) / sum(w t^2), w the weights that
    they ended with and t years from reference to secondary. The error is that of the weights, times the scatter of
    the pairs about v where that is above 1: motion that is not steady makes it larger.

    References
    ----------
    [Berardino2002] for the least velocity, [Holland1977] for reweighting.

    Examples
    --------
    >>> days = [date(2015, 1, 1), date(2016, 1, 1), date(2017, 1, 1), date(2018, 1, 1)]
    >>> pairs = [Pair(a, b) for a, b in itertools.combinations(days, 2)]
    >>> moved = np.array([-4.0 * pair.years for pair in pairs]).reshape(-1, 1, 1)
    >>> moved[2] = 30.0
    >>> found = invert_offsets(moved, np.full(6, 0.3), pairs)
    >>> float(found.rate[0, 0].round(3)), int(found.n_pairs[0, 0])
    (-4.0, 5)
    """
    if not pairs:
        raise NoDataError("no pair to invert; give offsets of at least one pair")
    if twice := len(pairs) - len({(pair.reference, pair.secondary) for pair in pairs}):
        raise ValueError(f"pairs must differ, instead got {twice} of {len(pairs)} again")
    if displacement.ndim != 3:
        raise ValueError(f"displacement must be (pair, y, x), instead got shape {displacement.shape}")
    check_shape("displacement", displacement, (len(pairs), *displacement.shape[1:]))
    moved = np.asarray(displacement, np.float32)
    weight = _weights(np.asarray(sigma, np.float32), moved)
    if not (weight > 0).any():
        raise NoDataError("no pair has offsets; loosen the rejection, or match other images")
    found, share, off = _reweighted(moved, weight, pairs)
    counts = (weight > 0) & (share > _LEAST_SHARE)
    with_data = (weight > 0).sum(axis=(1, 2))
    rate, rate_sigma = _rates(moved, weight * np.where(counts, share, 0), pairs)
    return OffsetSeries(
        dates=found.dates,
        displacement=found.displacement,
        sigma=found.sigma,
        groups=found.groups,
        rate=rate,
        rate_sigma=rate_sigma,
        residual=_rms(off, counts),
        left_out=(1 - counts.sum(axis=(1, 2)) / np.maximum(with_data, 1)).astype(np.float32),
        n_pairs=counts.sum(axis=0).astype(np.uint16),
        chi_square=_chi_square(off, np.where(counts, weight, 0), _redundancy(found, counts)),
    )


def loop_closure(displacement: NDArray[np.floating], pairs: Sequence[Pair]) -> LoopClosure:
    """Compare each pair with the shortest way round it; what a loop misses zero by is error.

    Parameters
    ----------
    displacement : (pair, y, x) float array
        One component, metres; NaN where unknown.
    pairs : sequence of Pair
        In any order, none twice.

    Returns
    -------
    LoopClosure
        Each loop once, those of three pairs where there are such; a pair without a way round is in none.

    Examples
    --------
    >>> days = [date(2015, 1, 1), date(2016, 1, 1), date(2017, 1, 1)]
    >>> pairs = [Pair(days[0], days[1]), Pair(days[1], days[2]), Pair(days[0], days[2])]
    >>> loop_closure(np.array([1.0, 2.0, 3.5]).reshape(3, 1, 1), pairs).overall
    0.5
    """
    check_shape("displacement", displacement, (len(pairs), *displacement.shape[1:]))
    loops: dict[frozenset[int], list[tuple[int, int]]] = {}
    for k in range(len(pairs)):
        if way := _way_round(k, pairs):
            loops.setdefault(frozenset([k, *(n for n, _ in way)]), [(k, -1), *way])
    missed = [sum(sign * displacement[k].astype(np.float64) for k, sign in loop) for loop in loops.values()]
    squares = np.array([np.nansum(np.square(miss)) for miss in missed])
    known = np.array([np.isfinite(miss).sum() for miss in missed])
    rms = np.sqrt(np.divide(squares, known, out=np.full(len(loops), np.nan), where=known > 0))
    overall = math.sqrt(squares.sum() / known.sum()) if known.sum() else math.nan
    return LoopClosure(tuple(tuple(pairs[k] for k, _ in loop) for loop in loops.values()), rms, overall)


def _way_round(skip: int, pairs: Sequence[Pair]) -> list[tuple[int, int]]:
    """Find the fewest other pairs from the reference of a pair to its secondary, each with its sign; none if none."""
    ways: dict[date, list[tuple[int, int]]] = {pairs[skip].reference: []}
    front = [pairs[skip].reference]
    while front and pairs[skip].secondary not in ways:
        following = []
        for day, (k, pair) in itertools.product(front, enumerate(pairs)):
            for start, end, sign in ((pair.reference, pair.secondary, 1), (pair.secondary, pair.reference, -1)):
                if k != skip and start == day and end not in ways:
                    ways[end] = [*ways[day], (k, sign)]
                    following.append(end)
        front = following
    return ways.get(pairs[skip].secondary, [])


def _weights(sigma: NDArray[np.float32], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse variances (pair, y, x), zero where a pair is not known."""
    check_shape("sigma", sigma, moved.shape[:1] if sigma.ndim == 1 else moved.shape)
    each = sigma[:, np.newaxis, np.newaxis] if sigma.ndim == 1 else sigma
    usable = np.isfinite(moved) & (each > 0) & (each < math.inf)
    weight: NDArray[np.float32] = np.divide(1, each * each, out=np.zeros(moved.shape, np.float32), where=usable)
    return weight


def _reweighted(
    moved: NDArray[np.float32], weight: NDArray[np.float32], pairs: Sequence[Pair]
) -> tuple[Inverted, NDArray[np.float32], NDArray[np.float32]]:
    """Invert robustly: solution, share (pair, y, x) of its weight that each pair keeps, residuals in metres."""
    share = np.ones_like(moved)
    found = _invert(moved, weight, pairs)
    spare = _redundancy(found, weight > 0)
    factor = np.sqrt((weight > 0).sum(axis=0) / np.maximum(spare, 1))
    for step in range(_L1_STEPS + _BISQUARE_STEPS):
        off = np.abs(_residuals(found, moved, pairs) * np.sqrt(weight))
        scale = np.maximum(_NORMAL * _median(np.where(weight > 0, off, np.nan)) * factor, 1)
        if step < _L1_STEPS:
            share = 1 / np.maximum(off / scale, 0.1)
        else:
            share = np.maximum(np.maximum(1 - (off / (_TUKEY * scale)) ** 2, 0) ** 2, _LEAST_SHARE)
        share = np.where(spare >= _LEAST_REDUNDANCY, np.nan_to_num(share), 1).astype(np.float32)
        found = _invert(moved, weight * share, pairs)
    return found, share, _residuals(found, moved, pairs)


def _invert(moved: NDArray[np.float32], weight: NDArray[np.float32], pairs: Sequence[Pair]) -> Inverted:
    """Invert with weights as they are."""
    return invert_network(-moved, weight, pairs, _METRES)


def _residuals(found: Inverted, moved: NDArray[np.float32], pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """Pairs less series, metres."""
    index = {day: k for k, day in enumerate(found.dates)}
    first, second = (
        [index[day] for day in days] for days in ([p.reference for p in pairs], [p.secondary for p in pairs])
    )
    return np.asarray(moved - (found.displacement[second] - found.displacement[first]))


def _redundancy(found: Inverted, counts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pairs that count beyond those that the dates of each pixel need, (y, x)."""
    needed = (found.groups > 0).sum(axis=0) - found.groups.max(axis=0).astype(np.int64)
    return np.asarray(counts.sum(axis=0) - needed)


def _rates(
    moved: NDArray[np.float32], weight: NDArray[np.float32], pairs: Sequence[Pair]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Steady velocity and its standard error, m/yr; NaN where no pair counts."""
    years = np.array([pair.years for pair in pairs])
    known = np.where(weight > 0, moved, 0).astype(np.float64)
    total = np.tensordot(years**2, weight, axes=1)
    total[total <= 0] = np.nan
    rate = np.einsum("p,pyx,pyx->yx", years, weight, known) / total
    off = known - years[:, np.newaxis, np.newaxis] * rate
    spare = np.maximum((weight > 0).sum(axis=0) - 1, 1)
    scatter = np.einsum("pyx,pyx->yx", weight, off**2) / spare
    return rate.astype(np.float32), np.sqrt(np.maximum(scatter, 1) / total).astype(np.float32)


def _median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Median over pairs of what is known, (y, x); 0 where nothing is."""
    ranked = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    low, high = (np.take_along_axis(ranked, at[np.newaxis], 0)[0] for at in (np.maximum(count - 1, 0) // 2, count // 2))
    return np.asarray(np.where(count > 0, (low + high) / 2, 0))


def _rms(off: NDArray[np.floating], counts: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Root mean square of each pair over the pixels where it counts."""
    known = counts.sum(axis=(1, 2))
    squares = np.where(counts, np.nan_to_num(off), 0).astype(np.float64) ** 2
    mean = np.divide(squares.sum(axis=(1, 2)), known, out=np.full(len(off), np.nan), where=known > 0)
    return np.asarray(np.sqrt(mean), np.float32)


def _chi_square(
    off: NDArray[np.floating], weight: NDArray[np.float32], spare: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Weighted squares of the residuals over the redundancy; NaN where there is none."""
    squares = (np.nan_to_num(off) ** 2 * weight).sum(axis=0, dtype=np.float64)
    reduced = np.divide(squares, spare, out=np.full(spare.shape, np.nan), where=spare > 0)
    return np.asarray(reduced, np.float32)
