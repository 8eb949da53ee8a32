"""Compiled inner loops of the network inversion.

The normal matrix of a network of pairs is the Laplacian of a graph: dates are nodes, pairs are edges, weights are
conductances. Dates are eliminated from the last to the first by star-mesh transforms: the conductances c_i from a date
to the earlier ones are replaced by c_i c_j / sum(c) between these. That is a Cholesky factorisation without a single
subtraction, so that weights may differ by any factor, and a date with no conductance left is exactly the first one of
a group of dates that pairs join: displacement there is zero. Short pairs make a narrow band. Pixels of a tile share the
pattern and are computed side by side.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["accumulate_maps", "invert"]

_L1_STEPS, _BISQUARE_STEPS = 25, 8
_LEAST_RESIDUAL = 1e-3  # radians, where the reweighting of the L1 norm levels off
_LEAST_SHARE = 1e-8  # of its weight that a pair keeps, so that leaving out pairs never splits a network
_TILES = 8  # that one thread computes at a time
_FAST = {"contract", "nsz", "arcp", "reassoc"}


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _stage(unw: Any, weights: Any, start: int, count: int, phase: Any, weight: Any) -> None:
    """Copy the pixels of a tile; what cannot be used has weight zero."""
    step, p = np.uint64(weights.shape[1] > 1), np.uint64(start)
    weight[:] = np.float32(0)
    for k in range(np.uint64(unw.shape[0])):
        for n in range(np.uint64(count)):
            y, w = unw[k, p + n], weights[k, step * (p + n)]
            good = abs(y) < math.inf and 0 < w < math.inf
            phase[k, n], weight[k, n] = (y, w) if good else (np.float32(0), np.float32(0))


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
    inverse[:] = 0
    for back in range(dates):
        d = np.uint64(dates - 1 - back)
        spans = np.uint64(min(band, dates - 1 - back))
        for m in range(spans):
            for n in range(np.uint64(lanes)):
                inverse[d, n] += share[d, m, n]
        for n in range(np.uint64(lanes)):
            pivot = inverse[d, n]
            inverse[d, n] = 1 / pivot if pivot > 0 else 0.0
        for m in range(spans):
            near = np.uint64(d - m - np.uint64(1))
            for n in range(np.uint64(lanes)):
                flow[near, n] += share[d, m, n] * inverse[d, n] * flow[d, n]
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
    """Invert within the band: cov[d, m] is the covariance of dates d and d - m about the first of their group."""
    dates, band, lanes = share.shape
    cov[:] = 0
    for date in range(dates):
        d = np.uint64(date)
        spans = np.uint64(min(band, date))
        for n in range(np.uint64(lanes)):
            cov[d, 0, n] = inverse[d, n]
        for m in range(spans):
            own = np.uint64(m + np.uint64(1))
            for far in range(spans):
                later, gap = np.uint64(d - np.uint64(1) - min(m, far)), np.uint64(max(m, far) - min(m, far))
                for n in range(np.uint64(lanes)):
                    cov[d, own, n] += share[d, far, n] * cov[later, gap, n]
            for n in range(np.uint64(lanes)):
                cov[d, 0, n] += share[d, m, n] * cov[d, own, n]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _number_groups(share: Any, inverse: Any, group: Any, groups: Any) -> None:
    """Give groups of dates numbers from 1 in order of their first date, and dates without a pair 0."""
    dates, band, lanes = share.shape
    roots = 0
    for date in range(dates):
        for n in range(np.uint64(lanes)):
            roots += 1 if inverse[np.uint64(date), n] == 0 else 0
    # Every pixel has one; mostly that is all, and known without looking at each date.
    group[:] = 1
    groups[:] = 1 if roots == lanes else 0
    for d in range(0 if roots == lanes else dates):
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
            near = max(1 - (off / math.pi) ** 2, 0.0)
            far = math.sqrt(weight[k, n]) / max(off, least)
            used[k, n] = far if least > 0 else weight[k, n] * max(near * near, _LEAST_SHARE)


@njit(inline="always", fastmath=_FAST, error_model="numpy")
def _half_angle(r: Any) -> Any:
    """Sine and cosine of r / 2 up to a common sign, by their series on [-pi / 2, pi / 2]; errors below 1e-9."""
    u = r / (2 * math.pi)
    u = (u - math.floor(u + 0.5)) * math.pi
    z = u * u
    sine = u * (1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110 * (1 - z / 156))))))
    cosine = 1 - z / 2 * (1 - z / 12 * (1 - z / 30 * (1 - z / 56 * (1 - z / 90 * (1 - z / 132 * (1 - z / 182))))))
    return sine, cosine


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _judge(first: Any, second: Any, phase: Any, weight: Any, used: Any, x: Any, limit: float, sums: Any) -> None:
    """Sum the phasors of residuals, and count and square those within `limit`."""
    sums[:] = 0
    for k in range(np.uint64(first.size)):
        i, j = np.uint64(first[k]), np.uint64(second[k])
        for n in range(np.uint64(x.shape[1])):
            r = phase[k, n] - (x[j, n] - x[i, n])
            sine, cosine = _half_angle(r)
            there = 1.0 if weight[k, n] > 0 else 0.0
            counts = there if abs(r) < limit else 0.0
            sums[0, n] += there * (1 - 2 * sine * sine)
            sums[1, n] += there * 2 * sine * cosine
            sums[2, n] += there
            sums[3, n] += counts
            sums[4, n] += counts * r * r
            sums[5, n] += counts * used[k, n] * r * r


@njit(nogil=True, error_model="numpy", cache=True)
def _offset_rows(group: Any, days: Any) -> Any:
    """Offset of each group after the first as a linear function of the dates' displacements within their groups.

    They minimise the squared velocities between consecutive dates of different groups. These are the edges of one more
    graph, of groups, which is eliminated like that of dates, for a unit displacement of each date at once.
    """
    count = group.max()
    share = np.zeros((count, count - 1, group.size))
    flow, rows, inverse = np.zeros((count, group.size)), np.zeros((count, group.size)), np.zeros((count, group.size))
    last = -1
    for d in range(group.size):
        if group[d] > 0:
            if last >= 0 and group[d] != group[last]:
                stiffness = 1 / (days[d] - days[last]) ** 2
                a, b = group[last] - 1, group[d] - 1
                for n in range(group.size):
                    share[max(a, b), abs(a - b) - 1, n] += stiffness
                flow[a, d] += stiffness
                flow[a, last] -= stiffness
                flow[b, last] += stiffness
                flow[b, d] -= stiffness
            last = d
    _eliminate(share, inverse, flow)
    _substitute(share, inverse, flow, rows)
    return rows[1:]


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
def _shift(rows: Any, group: Any, values: Any) -> None:
    """Add the offsets of groups to values (date, any), in place."""
    offset = np.zeros((rows.shape[0], values.shape[1]))
    for g in range(rows.shape[0]):
        for d in range(group.size):
            for n in range(values.shape[1]):
                offset[g, n] += rows[g, d] * values[d, n]
    for d in range(group.size):
        for n in range(values.shape[1] if group[d] > 1 else 0):
            values[d, n] += offset[group[d] - 2, n]


@njit(nogil=True, error_model="numpy", cache=True)
def _join_groups(share: Any, inverse: Any, group: Any, days: Any, n: int, x: Any, cov: Any) -> None:
    """Set the groups of one pixel off against each other by the minimum norm of velocity, in place."""
    rows = _offset_rows(group[:, n], days)
    _shift(rows, group[:, n], x[:, n : n + 1])
    for g in range(rows.shape[0]):
        along, variance = rows[g].copy(), 0.0
        _solve_one(share, inverse, n, along)
        for d in range(along.size):
            variance += rows[g, d] * along[d]
        for d in range(along.size):
            if group[d, n] == g + 2:
                cov[d, 0, n] += 2 * along[d] + variance


@njit(nogil=True, error_model="numpy", cache=True)
def _write(
    x: Any, cov: Any, group: Any, groups: Any, sums: Any, metres: float, least_scatter: float, least_pairs: int,
    start: int, count: int, displacement: Any, sigma: Any, group_out: Any, quality: Any,
) -> None:  # fmt: skip
    """Turn the solution of a tile into displacement, standard errors and quality."""
    for n in range(count):
        pairs, p = sums[3, n], np.uint64(start + n)
        freedom = pairs + groups[n] - np.count_nonzero(group[:, n])
        scatter = sums[5, n] / freedom if freedom > 0 else (least_scatter if least_scatter > 0 else math.nan)
        quality[1, p] = pairs
        quality[3, p] = math.sqrt(max(scatter, least_scatter))
        quality[0, p] = min(math.hypot(sums[0, n], sums[1, n]) / sums[2, n], 1.0) if pairs >= least_pairs else 0.0
        quality[2, p] = math.sqrt(sums[4, n] / pairs) if pairs >= least_pairs else math.nan
        if pairs < least_pairs:
            group[:, n] = 0
    p = np.uint64(start)
    for date in range(group.shape[0]):
        d = np.uint64(date)
        for n in range(np.uint64(count)):
            group_out[d, p + n] = group[d, n]
            displacement[d, p + n] = metres * x[d, n] if group[d, n] > 0 else math.nan
        for n in range(np.uint64(count)):
            error = quality[3, p + n] * math.sqrt(metres * metres * max(cov[d, 0, n], 0.0))
            sigma[d, p + n] = error if group[d, n] > 0 else math.nan


@njit(nogil=True, error_model="numpy", cache=True)
def _invert_tiles(
    tiles: Any, unw: Any, weights: Any, first: Any, second: Any, days: Any, lanes: int, robust: bool, metres: float,
    least_scatter: float, least_pairs: int, displacement: Any, sigma: Any, group_out: Any, quality: Any, kept: Any,
) -> None:  # fmt: skip
    """Invert tiles that follow each other, with the same buffers."""
    band, size = np.max(second - first), days.size
    phase, weight = np.zeros((first.size, lanes), np.float32), np.empty((first.size, lanes), np.float32)
    used = np.empty((first.size, lanes) if robust else (1, 1), np.float32)
    share, cov = np.empty((size, band, lanes)), np.empty((size, band + 1, lanes))
    inverse, flow, x = np.empty((size, lanes)), np.empty((size, lanes)), np.empty((size, lanes))
    group, groups, sums = np.empty((size, lanes), np.int64), np.empty(lanes, np.int64), np.empty((6, lanes))
    for tile in tiles:
        start = tile * lanes
        count = min(lanes, unw.shape[1] - start)
        _stage(unw, weights, start, count, phase, weight)
        _assemble(first, second, phase, weight, share, flow)
        _eliminate(share, inverse, flow)
        _substitute(share, inverse, flow, x)
        for step in range(_L1_STEPS + _BISQUARE_STEPS if robust else 0):
            least = max(math.pi / 2 ** (step / 2), _LEAST_RESIDUAL) if step < _L1_STEPS else 0.0
            _reweigh(first, second, phase, weight, x, least, used)
            _assemble(first, second, phase, used, share, flow)
            _eliminate(share, inverse, flow)
            _substitute(share, inverse, flow, x)
        final = used if robust else weight
        _judge(first, second, phase, weight, final, x, math.pi if robust else math.inf, sums)
        _variances(share, inverse, cov)
        _number_groups(share, inverse, group, groups)
        for n in range(count):
            if groups[n] > 1:
                _join_groups(share, inverse, group, days, n, x, cov)
        _write(
            x, cov, group, groups, sums, metres, least_scatter, least_pairs, start, count, displacement, sigma,
            group_out, quality,
        )  # fmt: skip
        if kept.shape[0]:
            kept[:, start : start + count] = final[:, :count]


@njit(parallel=True, nogil=True, error_model="numpy", cache=True)
def invert(
    unw: NDArray[np.float32], weights: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64],
    days: NDArray[np.float64], lanes: int, robust: bool, metres: float, least_scatter: float, least_pairs: int,
    displacement: NDArray[np.float32], sigma: NDArray[np.float32], group_out: NDArray[np.uint16],
    quality: NDArray[np.float32], kept: NDArray[np.float32],
) -> None:  # fmt: skip
    """Invert the network of every pixel.

    Parameters
    ----------
    unw : (pair, pixel) float32
        Radians; what is not finite is left out.
    weights : (pair, pixel) or (pair, 1) float32
        Inverse variances; what is not positive and finite is left out.
    first, second, days
        Dates of each pair, (pair,), first < second; when the dates are, (date,), ascending.
    lanes, robust, metres, least_scatter, least_pairs
        Pixels of a tile; whether pairs are weighed anew by their residuals; displacement of a radian; least reduced
        chi-square, 0 for none; pairs that a solution needs.
    displacement, sigma, group_out : (date, pixel) arrays
        Written to: metres about the pixel's first date and their standard error, and the group of dates from 1; where
        not known NaN and 0.
    quality, kept : (4, pixel) and (pair, pixel) or (0, 0) arrays
        Written to: temporal coherence; pairs that count, for `robust` those less than half a cycle off; their root
        mean square residual; the standard deviation of the noise for a unit of weight. Weights used in the end.
    """
    tiles = (unw.shape[1] + lanes - 1) // lanes
    for chunk in prange((tiles + _TILES - 1) // _TILES):
        _invert_tiles(
            range(chunk * _TILES, min((chunk + 1) * _TILES, tiles)), unw, weights, first, second, days, lanes, robust,
            metres, least_scatter, least_pairs, displacement, sigma, group_out, quality, kept,
        )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
def accumulate_maps(
    weights: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64], days: NDArray[np.float64],
    scale: NDArray[np.float64], own: NDArray[np.float64], together: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add up over pixels how the noise of pairs enters the dates.

    `weights` are those used, (pair, pixel), and `scale` is the standard deviation of the noise for a unit of weight.
    `own` receives the covariances of the pixels, `together`, (date, pair), the maps from noise of unit variance.
    """
    band = np.max(second - first)
    share, inverse, flow = np.empty((days.size, band, 1)), np.empty((days.size, 1)), np.empty((days.size, 1))
    phase, cov = np.zeros((first.size, 1), np.float32), np.empty((days.size, days.size))
    group, groups = np.empty((days.size, 1), np.int64), np.empty(1, np.int64)
    for p in range(weights.shape[1]):
        _assemble(first, second, phase, weights[:, p : p + 1], share, flow)
        _eliminate(share, inverse, flow)
        _number_groups(share, inverse, group, groups)
        cov[:] = 0
        for d in range(days.size):
            cov[d, d] = 1
            _solve_one(share, inverse, 0, cov[d])
        rows = _offset_rows(group[:, 0], days)
        _shift(rows, group[:, 0], cov)
        for k in range(first.size):
            root = math.sqrt(scale[p] ** 2 * weights[k, p])
            for d in range(days.size):
                together[d, k] += root * (cov[d, second[k]] - cov[d, first[k]])
        turned = cov.T.copy()
        _shift(rows, group[:, 0], turned)
        for d in range(days.size):
            for n in range(days.size):
                own[d, n] += scale[p] ** 2 * turned[d, n]
