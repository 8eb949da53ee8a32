"""Compiled inner loops of gradient stacking.

One pass over a batch of interferograms: box mean, wrapped differences between nodes, weights, and the sums of every
time window. Work is cut into tiles small enough that the sums of a tile stay in the processor's cache while all pairs
of the batch stream past, since the sums are several times larger than the data that enter them.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["PER_DIRECTION", "QUALITY_CEILING", "SHARED_SUMS", "accumulate", "multilook"]

SHARED_SUMS = 5
"""Planes that all directions share: sum of w t, of (w t)^2, of magnitude, number of pairs, number of residues."""

PER_DIRECTION = 3
"""Planes of one direction: sum of w g, of (w g)^2, of (w g)(w t)."""

QUALITY_CEILING = 1.1
"""A node of squared magnitude q has quality q / (1.1 - q): the inverse variance of its phase, levelled off near q = 1
where DEM error and atmosphere, not decorrelation, set the noise."""

_TILE_ROWS = 128
_TILE_COLUMNS = 1280
_STRIDE = _TILE_COLUMNS + 16
# Quality and weighted time of the present pair lie before the planes of sums.
_TIME = _STRIDE
_SUMS = 2 * _STRIDE
_FAST = {"contract", "nsz", "arcp", "nnan", "ninf", "reassoc"}
_HALF_PI = np.float32(math.pi / 2)
_PI = np.float32(math.pi)
_ZERO = np.float32(0)
_TINY = np.float32(1e-30)
# Chebyshev fit of atan(r) / r as a polynomial in r^2 on [0, 1]; largest error of the angle 6e-7 rad.
_A0, _A1, _A2 = np.float32(0.999999328), np.float32(-0.333263745), np.float32(0.198798722)
_A3, _A4, _A5 = np.float32(-0.134804056), np.float32(0.0837415565), np.float32(-0.0368986292)
_A6 = np.float32(0.00782548295)


@njit(inline="always", fastmath=_FAST, error_model="numpy")
def _angle(imag: Any, real: Any) -> Any:
    """Return atan2(imag, real) without a branch, so that the loop around it vectorises; 0 at (0, 0)."""
    ax, ay = abs(real), abs(imag)
    r = min(ax, ay) / (max(ax, ay) + _TINY)
    z = r * r
    p = r * (_A0 + z * (_A1 + z * (_A2 + z * (_A3 + z * (_A4 + z * (_A5 + z * _A6))))))
    p = _HALF_PI - p if ay > ax else p
    p = _PI - p if real < _ZERO else p
    return -p if imag < _ZERO else p


# The loops below take few arrays each: the compiler vectorises a loop only if it can check cheaply that the arrays do
# not overlap.


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _slide(re: Any, im: Any, igrams: Any, pair: int, enters: int, leaves: int, origin: int) -> None:
    """Move column sums down by one row."""
    p, up, down, start = np.uint64(pair), np.uint64(leaves), np.uint64(enters), np.uint64(origin)
    for x in range(np.uint64(re.size)):
        entering, leaving = igrams[p, down, start + x], igrams[p, up, start + x]
        re[x] += entering.real - leaving.real
        im[x] += entering.imag - leaving.imag


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _enter(re: Any, im: Any, igrams: Any, pair: int, enters: int, origin: int) -> None:
    """Add a row to column sums."""
    p, down, start = np.uint64(pair), np.uint64(enters), np.uint64(origin)
    for x in range(np.uint64(re.size)):
        entering = igrams[p, down, start + x]
        re[x] += entering.real
        im[x] += entering.imag


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _double(a: Any, out: Any, span: int) -> None:
    """Turn sums of `span` neighbours into sums of twice as many."""
    ahead = a[span:]
    for x in range(ahead.size):
        out[x] = a[x] + ahead[x]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _add(out: Any, a: Any) -> None:
    """Add an array to another."""
    for x in range(out.size):
        out[x] += a[x]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _power(re: Any, im: Any, igrams: Any, pair: int, row: int, origin: int, scale: Any, out: Any) -> None:
    """Squared magnitude of the mean; zero where the node's own pixel has no data."""
    p, y, start = np.uint64(pair), np.uint64(row), np.uint64(origin)
    for x in range(np.uint64(out.size)):
        own = igrams[p, y, start + x]
        value = scale * (re[x] * re[x] + im[x] * im[x])
        out[x] = value if abs(own.real) + abs(own.imag) > _ZERO else _ZERO


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _running_sum(column: Any, pairs: Any, fours: Any, out: Any, n: int) -> None:
    """Sum `n` neighbours along a row: out[x] = sum(column[x : x + n]), by doubling in as few passes as may be."""
    if n < 4:
        for x in range(out.size):
            out[x] = column[x]
        for k in range(1, n):
            _add(out, column[k:])
        return
    _double(column, pairs, 1)
    _double(pairs, fours, 2)
    whole = 4 * (n // 4)
    first, second, third = fours[: out.size], fours[4:], fours[8:]
    if whole == 4:
        for x in range(out.size):
            out[x] = first[x]
    elif whole == 8:
        for x in range(out.size):
            out[x] = first[x] + second[x]
    else:
        for x in range(out.size):
            out[x] = first[x] + second[x] + third[x]
        for k in range(12, whole, 4):
            _add(out, fours[k:])
    if n % 4 >= 2:
        _add(out, pairs[whole:])
    if n % 2:
        _add(out, column[n - 1 :])


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _lower(a: Any, b: Any, out: Any) -> None:
    """Take the lower of two."""
    for x in range(out.size):
        out[x] = b[x] if b[x] < a[x] else a[x]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _difference(end_re: Any, end_im: Any, start_re: Any, start_im: Any, out: Any) -> None:
    """Take the angle of a product, so that no jump of 2 pi is created."""
    for x in range(out.size):
        out[x] = _angle(
            end_im[x] * start_re[x] - end_re[x] * start_im[x], end_re[x] * start_re[x] + end_im[x] * start_im[x]
        )


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _weigh(lowest: Any, scaled: Any, ceiling: Any, sign: Any, work: Any) -> None:
    """Turn squared magnitudes into weights, and add the planes that all directions share."""
    one = np.float32(1)
    for x in range(np.uint64(lowest.size)):
        q = lowest[x] if lowest[x] < one else one
        quality = q / (ceiling - q)
        wt = scaled * quality
        work[x] = quality
        work[x + np.uint64(_TIME)] = wt
        work[x + np.uint64(_SUMS)] += sign * wt
        work[x + np.uint64(_SUMS + _STRIDE)] += sign * wt * wt
        work[x + np.uint64(_SUMS + 2 * _STRIDE)] += sign * np.sqrt(lowest[x])
        work[x + np.uint64(_SUMS + 3 * _STRIDE)] += sign if lowest[x] > _ZERO else _ZERO


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _gather(angle: Any, weight: Any, sign: Any, work: Any, planes: Any) -> None:
    """Add the three planes of one direction."""
    for x in range(np.uint64(angle.size)):
        wg = weight * work[x] * angle[x]
        planes[x] += sign * wg
        planes[x + np.uint64(_STRIDE)] += sign * wg * wg
        planes[x + np.uint64(2 * _STRIDE)] += sign * wg * work[x + np.uint64(_TIME)]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _count_residues(fall: Any, above: Any, below: Any, lowest: Any, corner: Any, sign: Any, out: Any) -> None:
    """Count the cells whose four differences do not add up to zero but to a multiple of 2 pi."""
    right = fall[1:]
    for x in range(lowest.size):
        turn = abs(fall[x] + below[x] - right[x] - above[x])
        known = min(lowest[x], corner[x]) > _ZERO
        out[x] += sign if turn > _PI and known else _ZERO


@njit(parallel=True, nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def accumulate(
    igrams: NDArray[np.complex64],
    years: NDArray[np.float32],
    weights: NDArray[np.float32],
    n: int,
    stencil: NDArray[np.int64],
    closes: bool,
    sign: np.float32,
    sums: NDArray[np.float32],
) -> None:
    """Add a batch of interferograms to the sums of all time windows.

    Parameters
    ----------
    igrams : (pair, y, x) complex64
        Coherence times phasor, zero without data.
    years : (pair,) float32
        Temporal baselines.
    weights : (pair, window) float32
        Weight of each pair in each time window; zero leaves it out.
    n : int
        Side of the averaging window in pixels.
    stencil : (direction, 4) int64
        Row and column of the start and of the end of each difference, relative to the node.
    closes : bool
        Whether directions 0 and 1 are the two forward differences, so that residues can be counted.
    sign : float32
        +1 adds the pairs, -1 takes them out again.
    sums : (window, plane, y, x) float32
        Added to in place; planes in the order of `SHARED_SUMS` and `PER_DIRECTION`. Nodes whose averaging window or
        stencil leaves the image, or whose own pixel has no data, receive nothing.
    """
    _, height, width = igrams.shape
    top = min(0, stencil[:, 0].min(), stencil[:, 2].min())
    bottom = max(0, stencil[:, 0].max(), stencil[:, 2].max())
    left = min(0, stencil[:, 1].min(), stencil[:, 3].min())
    right = max(0, stencil[:, 1].max(), stencil[:, 3].max())
    if closes:
        bottom = max(bottom, 1)
        right = max(right, 1)
    before, after = n // 2, n - n // 2
    first_row, last_row = before - top, height - (after - 1) - bottom
    first_column, last_column = before - left, width - (after - 1) - right
    if last_row <= first_row or last_column <= first_column:
        return
    tile_rows = (last_row - first_row + _TILE_ROWS - 1) // _TILE_ROWS
    tile_columns = (last_column - first_column + _TILE_COLUMNS - 1) // _TILE_COLUMNS
    for tile in prange(tile_rows * tile_columns):
        y0 = first_row + (tile // tile_columns) * _TILE_ROWS
        x0 = first_column + (tile % tile_columns) * _TILE_COLUMNS
        _tile(
            igrams, years, weights, n, stencil, closes, sign, sums,
            y0, min(y0 + _TILE_ROWS, last_row), x0, min(x0 + _TILE_COLUMNS, last_column),
            top, bottom, left, right,
        )  # fmt: skip


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _tile(
    igrams: Any, years: Any, weights: Any, n: int, stencil: Any, closes: bool, sign: Any, sums: Any,
    y0: int, y1: int, x0: int, x1: int, top: int, bottom: int, left: int, right: int,
) -> None:  # fmt: skip
    """Add all pairs to the sums over one tile of nodes: rows y0..y1, columns x0..x1."""
    pairs, directions, windows = igrams.shape[0], stencil.shape[0], weights.shape[1]
    before, after = n // 2, n - n // 2
    width = x1 - x0
    nodes = width + right - left
    wide = nodes + n - 1
    origin = x0 + left - before
    ring = bottom - top + 1
    scale = np.float32(1.0 / (n * n)) ** 2
    ceiling = np.float32(QUALITY_CEILING)

    column_re = np.zeros((pairs, wide), np.float32)
    column_im = np.zeros((pairs, wide), np.float32)
    twos, fours = np.empty(wide, np.float32), np.empty(wide, np.float32)
    node_re = np.zeros((pairs, ring, nodes), np.float32)
    node_im = np.zeros((pairs, ring, nodes), np.float32)
    power = np.zeros((pairs, ring, nodes), np.float32)
    lowest = np.empty(width, np.float32)
    angle = np.zeros((directions, width + 1), np.float32)
    level = np.zeros((pairs, 2, width), np.float32)
    # The sums of one row, apart from `sums`: other threads share its reference count, too dear to touch for every
    # pair. All planes lie in one array at fixed distances, so that the compiler knows that they do not overlap.
    work = np.zeros((windows, (SHARED_SUMS + PER_DIRECTION * directions) * _STRIDE + _SUMS), np.float32)

    for row in range(y0 + top, y1 + bottom):
        slot, y = (row - y0 - top) % ring, row - bottom
        here, below = (y - y0 - top) % ring, (y + 1 - y0 - top) % ring
        work[:] = _ZERO
        for p in range(pairs):
            if row == y0 + top:
                for k in range(row - before, row + after):
                    _enter(column_re[p], column_im[p], igrams, p, k, origin)
            else:
                _slide(column_re[p], column_im[p], igrams, p, row + after - 1, row - before - 1, origin)
            _running_sum(column_re[p], twos, fours, node_re[p, slot], n)
            _running_sum(column_im[p], twos, fours, node_im[p, slot], n)
            _power(node_re[p, slot], node_im[p, slot], igrams, p, row, x0 + left, scale, power[p, slot])
            if y < y0:
                continue

            # The smallest squared magnitude among all nodes of the stencils gives one weight for all directions.
            _lower(power[p, here, -left:], power[p, here, -left:], lowest)
            for d in range(directions):
                for e in range(2):
                    at = stencil[d, 2 * e + 1] - left
                    if stencil[d, 2 * e] != 0 or stencil[d, 2 * e + 1] != 0:
                        _lower(lowest, power[p, (y + stencil[d, 2 * e] - y0 - top) % ring, at:], lowest)
            if closes:
                a, z, now, then = -left, width + 1 - left, y % 2, (y + 1) % 2
                re, im, below_re, below_im = node_re[p, here], node_im[p, here], node_re[p, below], node_im[p, below]
                _difference(below_re[a:z], below_im[a:z], re[a:z], im[a:z], angle[0])
                if y == y0:
                    _difference(re[a + 1 : z], im[a + 1 : z], re[a:z], im[a:z], level[p, now])
                _difference(below_re[a + 1 : z], below_im[a + 1 : z], below_re[a:z], below_im[a:z], level[p, then])
            for d in range(2 if closes else 0, directions):
                start, end = (y + stencil[d, 0] - y0 - top) % ring, (y + stencil[d, 2] - y0 - top) % ring
                a, b = stencil[d, 1] - left, stencil[d, 3] - left
                _difference(
                    node_re[p, end, b : b + width], node_im[p, end, b : b + width],
                    node_re[p, start, a : a + width], node_im[p, start, a : a + width], angle[d],
                )  # fmt: skip
            for k in range(windows):
                if weights[p, k] == _ZERO:
                    continue
                _weigh(lowest, weights[p, k] * years[p], ceiling, sign, work[k])
                if closes:
                    _count_residues(
                        angle[0], level[p, y % 2], level[p, (y + 1) % 2], lowest, power[p, below, 1 - left :], sign,
                        work[k, _SUMS + 4 * _STRIDE :],
                    )  # fmt: skip
                for d in range(directions):
                    along = level[p, y % 2] if closes and d == 1 else angle[d, :width]
                    at = (SHARED_SUMS + PER_DIRECTION * d) * _STRIDE
                    _gather(along, weights[p, k], sign, work[k], work[k, _SUMS + at :])
        if y >= y0:
            for k in range(windows):
                for plane in range(SHARED_SUMS + PER_DIRECTION * directions):
                    _add(sums[k, plane, y, x0:x1], work[k, _SUMS + plane * _STRIDE :])


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def multilook(igram: NDArray[np.complex64], ly: int, lx: int, out: NDArray[np.complex64]) -> None:
    """Average `ly` x `lx` pixels into one, over those with data; zero where none has.

    `out` has shape (height // ly, width // lx) and is overwritten. On one core: readers call it from their own threads.
    """
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            re = im = _ZERO
            count = 0
            for j in range(ly):
                for i in range(lx):
                    z = igram[y * ly + j, x * lx + i]
                    re += z.real
                    im += z.imag
                    count += z != 0
            out[y, x] = complex(re / max(count, 1), im / max(count, 1))
