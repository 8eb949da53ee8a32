"""Compiled inner loops of the network inversion.

The normal matrix of a network of pairs is the Laplacian of a graph: dates are nodes, pairs are edges, weights are
conductances. Dates are eliminated from the last to the first by star-mesh transforms: the conductances c_i from a date
to the earlier ones are replaced by c_i c_j / sum(c) between these. That is a Cholesky factorisation without a single
subtraction, so that weights may differ by any factor, and a date with no conductance left is exactly the first one of
a group of dates that pairs join: displacement there is zero. A pair of `span` consecutive dates fills a band of that
width. Pixels of a tile share the pattern and are computed side by side.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["accumulate_maps", "invert"]

_L1_STEPS = 25
_BISQUARE_STEPS = 8
_LEAST_RESIDUAL = 1e-3
"""Radians; where the reweighting of the L1 norm levels off."""
_LEAST_SHARE = 1e-8
"""Share of its weight that a pair keeps at least, so that leaving out pairs never splits a network."""
_TILES = 8
"""Tiles that one thread computes with the same buffers."""
_FAST = {"contract", "nsz", "arcp", "reassoc"}
_TURN = 2 * math.pi


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _stage(unw: Any, weights: Any, start: int, count: int, phase: Any, weight: Any) -> None:
    """Copy the pixels of a tile; what cannot be used has weight zero."""
    same = weights.shape[1] == 1
    weight[:] = np.float32(0)
    phase[:] = np.float32(0)
    for k in range(unw.shape[0]):
        for n in range(count):
            y, w = unw[k, start + n], weights[k, 0 if same else start + n]
            if math.isfinite(y) and w > 0 and math.isfinite(w):
                phase[k, n], weight[k, n] = y, w


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _assemble(first: Any, second: Any, phase: Any, weight: Any, share: Any, flow: Any) -> None:
    """Add the pairs up: conductances between dates in `share`, weighted phases in `flow`."""
    share[:] = 0
    flow[:] = 0
    for k in range(np.uint64(first.size)):
        i, j = np.uint64(first[k]), np.uint64(second[k])
        span = np.uint64(j - i - np.uint64(1))
        for n in range(np.uint64(flow.shape[1])):
            w = np.float64(weight[k, n])
            pull = w * phase[k, n]
            share[j, span, n] += w
            flow[j, n] += pull
            flow[i, n] -= pull


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _eliminate(share: Any, inverse: Any, flow: Any) -> None:
    """Eliminate dates from the last to the first: conductances become shares of what a date depends on."""
    dates, band, lanes = share.shape
    for back in range(dates):
        d = np.uint64(dates - 1 - back)
        spans = np.uint64(min(band, dates - 1 - back))
        for n in range(np.uint64(lanes)):
            inverse[d, n] = 0
        for m in range(spans):
            for n in range(np.uint64(lanes)):
                inverse[d, n] += share[d, m, n]
        for n in range(np.uint64(lanes)):
            pivot = inverse[d, n]
            inverse[d, n] = 1 / pivot if pivot > 0 else 0.0
        for m in range(spans):
            near = np.uint64(d - m - np.uint64(1))
            for n in range(np.uint64(lanes)):
                part = share[d, m, n] * inverse[d, n]
                flow[near, n] += part * flow[d, n]
            for far in range(m + np.uint64(1), spans):
                gap = np.uint64(far - m - np.uint64(1))
                for n in range(np.uint64(lanes)):
                    share[near, gap, n] += share[d, m, n] * inverse[d, n] * share[d, far, n]
        for m in range(spans):
            for n in range(np.uint64(lanes)):
                share[d, m, n] *= inverse[d, n]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _substitute(share: Any, inverse: Any, flow: Any, x: Any) -> None:
    """Solve for the dates from the first to the last; the first one of each group is zero."""
    dates, band, lanes = share.shape
    for date in range(dates):
        d = np.uint64(date)
        for n in range(np.uint64(lanes)):
            x[d, n] = flow[d, n] * inverse[d, n]
        for m in range(np.uint64(min(band, date))):
            near = np.uint64(d - m - np.uint64(1))
            for n in range(np.uint64(lanes)):
                x[d, n] += share[d, m, n] * x[near, n]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _variances(share: Any, inverse: Any, cov: Any) -> None:
    """Invert within the band: cov[d, m] is the covariance of dates d and d - m, relative to the first of their group."""
    dates, band, lanes = share.shape
    for date in range(dates):
        d = np.uint64(date)
        spans = np.uint64(min(band, date))
        for n in range(np.uint64(lanes)):
            cov[d, 0, n] = inverse[d, n]
        for m in range(spans):
            own = np.uint64(m + np.uint64(1))
            for n in range(np.uint64(lanes)):
                cov[d, own, n] = 0
            for far in range(spans):
                later, gap = np.uint64(d - np.uint64(1) - min(m, far)), np.uint64(max(m, far) - min(m, far))
                for n in range(np.uint64(lanes)):
                    cov[d, own, n] += share[d, far, n] * cov[later, gap, n]
            for n in range(np.uint64(lanes)):
                cov[d, 0, n] += share[d, m, n] * cov[d, own, n]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _number_groups(share: Any, inverse: Any, group: Any, groups: Any) -> None:
    """Number the groups of dates from 1 in order of their first date; dates without a pair have 0."""
    dates, band, lanes = share.shape
    groups[:] = 0
    for d in range(dates):
        for n in range(lanes):
            number = 0
            if inverse[d, n] > 0:
                for m in range(min(band, d)):
                    if share[d, m, n] > 0:
                        number = group[d - m - 1, n]
            else:
                joined = False
                for m in range(min(band, dates - 1 - d)):
                    joined |= share[d + m + 1, m, n] > 0
                if joined:
                    groups[n] += 1
                    number = groups[n]
            group[d, n] = number


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _reweigh(first: Any, second: Any, phase: Any, weight: Any, x: Any, least: float, used: Any) -> None:
    """Weigh the pairs anew by how far they lie off: for the L1 norm where `least` > 0, else by Tukey's bisquare."""
    for k in range(np.uint64(first.size)):
        i, j = np.uint64(first[k]), np.uint64(second[k])
        for n in range(np.uint64(x.shape[1])):
            off = abs(phase[k, n] - (x[j, n] - x[i, n]))
            if least > 0:
                used[k, n] = math.sqrt(weight[k, n]) / max(off, least)
            else:
                near = max(1 - (off / math.pi) ** 2, 0.0)
                used[k, n] = weight[k, n] * max(near * near, _LEAST_SHARE)


@njit(inline="always", fastmath=_FAST, error_model="numpy")
def _half_angle(r: Any) -> Any:
    """Sine and cosine of r / 2 up to a common sign, by their series on [-pi / 2, pi / 2]; errors below 1e-9."""
    u = r / _TURN
    u = (u - math.floor(u + 0.5)) * math.pi
    z = u * u
    sine = u * (1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110 * (1 - z / 156))))))
    cosine = 1 - z / 2 * (1 - z / 12 * (1 - z / 30 * (1 - z / 56 * (1 - z / 90 * (1 - z / 132 * (1 - z / 182))))))
    return sine, cosine


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _judge(first: Any, second: Any, phase: Any, weight: Any, used: Any, x: Any, limit: float, sums: Any) -> None:
    """Sum over pairs: real and imaginary phasors of all; number, squares and weighted squares of those within `limit`."""
    sums[:] = 0
    for k in range(np.uint64(first.size)):
        i, j = np.uint64(first[k]), np.uint64(second[k])
        for n in range(np.uint64(x.shape[1])):
            r = phase[k, n] - (x[j, n] - x[i, n])
            sine, cosine = _half_angle(r)
            there = 1.0 if weight[k, n] > 0 else 0.0
            sums[0, n] += there * (1 - 2 * sine * sine)
            sums[1, n] += there * 2 * sine * cosine
            sums[2, n] += there
            counts = there if abs(r) < limit else 0.0
            sums[3, n] += counts
            sums[4, n] += counts * r * r
            sums[5, n] += counts * used[k, n] * r * r


@njit(nogil=True, error_model="numpy", cache=True)
def _offset_rows(group: Any, days: Any) -> Any:
    """Offset of each further group as a linear function of the dates' displacements within their groups.

    The offsets minimise the squared velocities between consecutive dates of different groups.
    """
    rows = np.zeros((group.max(), group.size))
    laplacian = np.zeros((group.max(), group.max()))
    last = -1
    for d in range(group.size):
        if group[d] == 0:
            continue
        if last >= 0 and group[d] != group[last]:
            stiffness = 1 / (days[d] - days[last]) ** 2
            a, b = group[last] - 1, group[d] - 1
            laplacian[a, a] += stiffness
            laplacian[b, b] += stiffness
            laplacian[a, b] -= stiffness
            laplacian[b, a] -= stiffness
            rows[a, d] += stiffness
            rows[a, last] -= stiffness
            rows[b, last] += stiffness
            rows[b, d] -= stiffness
        last = d
    return np.linalg.solve(laplacian[1:, 1:].copy(), rows[1:])


@njit(nogil=True, error_model="numpy", cache=True)
def _solve_one(share: Any, inverse: Any, n: int, x: Any) -> None:
    """Solve for one pixel of an eliminated tile, in place."""
    dates, band, _ = share.shape
    for d in range(dates - 1, 0, -1):
        for m in range(min(band, d)):
            x[d - m - 1] += share[d, m, n] * x[d]
    for d in range(dates):
        x[d] *= inverse[d, n]
        for m in range(min(band, d)):
            x[d] += share[d, m, n] * x[d - m - 1]


@njit(nogil=True, error_model="numpy", cache=True)
def _join_groups(share: Any, inverse: Any, group: Any, days: Any, n: int, x: Any, cov: Any) -> None:
    """Set the groups of one pixel off against each other by the minimum norm of velocity, in place."""
    number = group[:, n].copy()
    rows = _offset_rows(number, days)
    offset = rows @ x[:, n].copy()
    along = rows.T.copy()
    for g in range(rows.shape[0]):
        _solve_one(share, inverse, n, along[:, g])
    between = rows @ along
    for d in range(number.size):
        g = number[d] - 2
        if g >= 0:
            x[d, n] += offset[g]
            cov[d, 0, n] += 2 * along[d, g] + between[g, g]


@njit(nogil=True, error_model="numpy", cache=True)
def _write(
    x: Any, cov: Any, group: Any, groups: Any, sums: Any, metres: float, least_scatter: float, least_pairs: int,
    start: int, count: int, displacement: Any, sigma: Any, group_out: Any, quality: Any,
) -> None:  # fmt: skip
    """Turn the solution of a tile into displacement, standard errors and quality."""
    for n in range(count):
        pairs, p = sums[3, n], start + n
        known = 0
        for d in range(group.shape[0]):
            known += group[d, n] > 0
        freedom = pairs - (known - groups[n])
        scatter = sums[5, n] / freedom if freedom > 0 else (least_scatter if least_scatter > 0 else math.nan)
        quality[1, p] = pairs
        quality[3, p] = math.sqrt(max(scatter, least_scatter))
        if pairs < least_pairs:
            groups[n] = 0
            quality[0, p] = 0
            quality[2, p] = math.nan
        else:
            quality[0, p] = min(math.hypot(sums[0, n], sums[1, n]) / sums[2, n], 1.0)
            quality[2, p] = math.sqrt(sums[4, n] / pairs)
    for d in range(group.shape[0]):
        for n in range(count):
            p = start + n
            there = group[d, n] > 0 and groups[n] > 0
            group_out[d, p] = group[d, n] if there else 0
            displacement[d, p] = metres * x[d, n] if there else math.nan
            sigma[d, p] = abs(metres) * quality[3, p] * math.sqrt(max(cov[d, 0, n], 0.0)) if there else math.nan


@njit(parallel=True, nogil=True, error_model="numpy", cache=True)
def invert(
    unw: NDArray[np.float32],
    weights: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    days: NDArray[np.float64],
    lanes: int,
    robust: bool,
    metres: float,
    least_scatter: float,
    least_pairs: int,
    displacement: NDArray[np.float32],
    sigma: NDArray[np.float32],
    group_out: NDArray[np.uint16],
    quality: NDArray[np.float32],
    used_out: NDArray[np.float32],
) -> None:
    """Invert the network of every pixel.

    Parameters
    ----------
    unw : (pair, pixel) float32
        Radians; what is not finite is left out.
    weights : (pair, pixel) or (pair, 1) float32
        Inverse variances; what is not positive and finite is left out.
    first, second : (pair,) int64
        Which dates; first < second.
    days : (date,) float64
        When the dates are, ascending.
    lanes : int
        Pixels of a tile.
    robust : bool
        Weigh pairs anew by their residuals.
    metres : float
        Displacement of a radian.
    least_scatter : float
        The reduced chi-square counts as this at least; with 0 it is not known where pairs are not redundant.
    least_pairs : int
        Pixels with fewer pairs have no solution.
    displacement, sigma : (date, pixel) float32
        Metres relative to the pixel's first date, and the standard error; NaN where not known.
    group_out : (date, pixel) uint16
        Group of dates, from 1; 0 where not known.
    quality : (4, pixel) float32
        Temporal coherence; pairs that count, which for `robust` are those less than half a cycle off; their root mean
        square residual; the standard deviation of the noise for a unit of weight.
    used_out : (pair, pixel) float32
        Weights used in the end; an array without pixels is not written to.
    """
    pixels = unw.shape[1]
    band = np.max(second - first)
    tiles = (pixels + lanes - 1) // lanes
    for chunk in prange((tiles + _TILES - 1) // _TILES):
        phase = np.empty((first.size, lanes), np.float32)
        weight = np.empty((first.size, lanes), np.float32)
        used = np.empty((first.size, lanes) if robust else (1, 1), np.float32)
        share = np.empty((days.size, band, lanes))
        inverse, flow = np.empty((days.size, lanes)), np.empty((days.size, lanes))
        x, cov = np.empty((days.size, lanes)), np.empty((days.size, band + 1, lanes))
        group, groups = np.empty((days.size, lanes), np.int64), np.empty(lanes, np.int64)
        sums = np.empty((6, lanes))
        for tile in range(chunk * _TILES, min((chunk + 1) * _TILES, tiles)):
            start = tile * lanes
            count = min(lanes, pixels - start)
            _stage(unw, weights, start, count, phase, weight)
            _assemble(first, second, phase, weight, share, flow)
            _eliminate(share, inverse, flow)
            _substitute(share, inverse, flow, x)
            final = weight
            if robust:
                final = used
                for step in range(_L1_STEPS + _BISQUARE_STEPS):
                    least = max(math.pi / 2 ** (step / 2), _LEAST_RESIDUAL) if step < _L1_STEPS else 0.0
                    _reweigh(first, second, phase, weight, x, least, used)
                    _assemble(first, second, phase, used, share, flow)
                    _eliminate(share, inverse, flow)
                    _substitute(share, inverse, flow, x)
            _judge(first, second, phase, weight, final, x, math.pi if robust else math.inf, sums)
            _variances(share, inverse, cov)
            _number_groups(share, inverse, group, groups)
            for n in range(count):
                if groups[n] > 1:
                    _join_groups(share, inverse, group, days, n, x, cov)
            _write(
                x, cov, group, groups, sums, metres, least_scatter, least_pairs, start, count,
                displacement, sigma, group_out, quality,
            )  # fmt: skip
            if used_out.shape[1] > 0:
                used_out[:, start : start + count] = final[:, :count]


@njit(nogil=True, error_model="numpy", cache=True)
def accumulate_maps(
    weights: NDArray[np.float32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    days: NDArray[np.float64],
    scale: NDArray[np.float64],
    own: NDArray[np.float64],
    together: NDArray[np.float64],
) -> None:
    """Add up how the noise of pairs enters the dates, over pixels.

    Parameters
    ----------
    weights : (pair, pixel) float32
        Weights used, not negative.
    first, second, days
        As in `invert`.
    scale : (pixel,) float64
        Standard deviation of the noise for a unit of weight 1.
    own : (date, date) float64
        Receives the covariances of the pixels.
    together : (date, pair) float64
        Receives the maps from noise of unit variance in each pair to the dates.
    """
    band = np.max(second - first)
    share, inverse = np.empty((days.size, band, 1)), np.empty((days.size, 1))
    flow, phase = np.empty((days.size, 1)), np.zeros((first.size, 1), np.float32)
    group, groups = np.empty((days.size, 1), np.int64), np.empty(1, np.int64)
    cov = np.empty((days.size, days.size))
    for p in range(weights.shape[1]):
        _assemble(first, second, phase, weights[:, p : p + 1], share, flow)
        _eliminate(share, inverse, flow)
        _number_groups(share, inverse, group, groups)
        cov[:] = 0
        for d in range(days.size):
            cov[d, d] = 1
            _solve_one(share, inverse, 0, cov[d])
        if groups[0] > 1:
            rows = _offset_rows(group[:, 0], days)
            offset = rows @ cov
            for d in range(days.size):
                if group[d, 0] > 1:
                    cov[d] += offset[group[d, 0] - 2]
        for k in range(first.size):
            root = scale[p] * math.sqrt(weights[k, p])
            for d in range(days.size):
                together[d, k] += root * (cov[d, second[k]] - cov[d, first[k]])
        if groups[0] > 1:
            across = cov @ rows.T
            for d in range(days.size):
                if group[d, 0] > 1:
                    cov[:, d] += across[:, group[d, 0] - 2]
        own += scale[p] ** 2 * cov
