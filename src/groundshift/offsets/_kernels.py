"""Compiled inner loops of matching.

Correlation at a shift is a sum of products over a window. Windows overlap, so products are summed once per block of
pixels, for all shifts along a row side by side; windows are running sums of blocks. Tiles of grid points are computed
at a time, to stay within the cache of a core. Coordinates are those of images with a margin all around.

`reference` and `secondary` are (layer, y, x): one layer where every pixel is valid, else values, their squares, and 1
where valid; values are zero where invalid.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from groundshift.offsets._peaks import conclude

__all__ = ["correlate_tiles"]

_ALIKE = 1e-5
"""Variance over mean square below which a window counts as without texture."""
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_FAST = {"contract", "nsz", "arcp", "reassoc"}
_SIX_REFERENCE, _SIX_SECONDARY = (0, 0, 1, 2, 2, 2), (0, 2, 2, 0, 1, 2)
"""Layers whose products are summed: ab, a, aa, b, bb, n."""


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _block_products(a: Any, b: Any, top: Any, left: Any, size: Any, dy: Any, dx: Any, out: Any) -> None:
    """Sum products over each block of a row of blocks, for shifts (dy, dx + 0, 1, 2...): (block, lane)."""
    blocks, lanes = out.shape
    out[:] = np.float32(0)
    whole = size - size % 4
    for c in range(np.uint64(blocks)):
        for i in range(size):
            row_a, row_b = np.uint64(top + i), np.uint64(top + i + dy)
            for j in range(0, whole, 4):
                p = np.uint64(left + np.int64(c) * size + j)
                q = np.uint64(np.int64(p) + dx)
                a0, a1, a2, a3 = a[row_a, p], a[row_a, p + _1], a[row_a, p + _2], a[row_a, p + _3]
                for d in range(np.uint64(lanes)):
                    k = q + d
                    out[c, d] += (
                        a0 * b[row_b, k] + a1 * b[row_b, k + _1] + a2 * b[row_b, k + _2] + a3 * b[row_b, k + _3]
                    )
            for j in range(whole, size):
                p = np.uint64(left + np.int64(c) * size + j)
                q = np.uint64(np.int64(p) + dx)
                for d in range(np.uint64(lanes)):
                    out[c, d] += a[row_a, p] * b[row_b, q + d]


@njit(nogil=True, error_model="numpy", cache=True)
def _window_moments(image: Any, top: Any, left: Any, window: Any, mean: Any, inverse: Any) -> None:
    """Mean, and 1 / sqrt(n variance), of the windows that begin at (top + i, left + j)."""
    rows, columns = mean.shape
    total, square = np.zeros(columns + window - 1), np.zeros(columns + window - 1)
    n = float(window * window)
    for i in range(rows):
        for j in range(total.size):
            if i == 0:
                for k in range(window):
                    x = np.float64(image[top + k, left + j])
                    total[j] += x
                    square[j] += x * x
            else:
                new, old = np.float64(image[top + i + window - 1, left + j]), np.float64(image[top + i - 1, left + j])
                total[j] += new - old
                square[j] += new * new - old * old
        s, q = total[:window].sum(), square[:window].sum()
        for j in range(columns):
            if j > 0:
                s += total[j + window - 1] - total[j - 1]
                q += square[j + window - 1] - square[j - 1]
            spread = q - s * s / n
            mean[i, j] = s / n
            inverse[i, j] = 1 / math.sqrt(spread) if spread > _ALIKE * q else math.nan


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _add(sums: Any, values: Any, sign: Any) -> None:
    """Add (row, lane) values, or subtract them."""
    for s in range(np.uint64(sums.shape[0])):
        for d in range(np.uint64(sums.shape[1])):
            sums[s, d] += sign * values[s, d]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _slide(sums: Any, values: Any, first: Any, count: Any, wide: Any) -> None:
    """Move running sums of `wide` rows of blocks on by `count`, to `first`; `count` 0 starts afresh."""
    plus, minus = np.float32(1), np.float32(-1)
    for m in range(sums.shape[0]):
        if count == 0:
            sums[m] = np.float32(0)
            for k in range(wide):
                _add(sums[m], values[first + k, m], plus)
        for k in range(count):
            _add(sums[m], values[first - count + wide + k, m], plus)
            _add(sums[m], values[first - count + k, m], minus)


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _slide_along(sums: Any, values: Any, first: Any, count: Any, wide: Any) -> None:
    """Move running sums (layer, lane) of `wide` blocks (layer, block, lane) on by `count`; `count` 0 starts afresh."""
    for m in range(np.uint64(sums.shape[0])):
        if count == 0:
            sums[m] = np.float32(0)
            for k in range(wide):
                for d in range(np.uint64(sums.shape[1])):
                    sums[m, d] += values[m, np.uint64(first + k), d]
        for k in range(count):
            new, old = np.uint64(first - count + wide + k), np.uint64(first - count + k)
            for d in range(np.uint64(sums.shape[1])):
                sums[m, d] += values[m, new, d] - values[m, old, d]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _normalise_whole(
    sums: Any, n: Any, mean_a: Any, inverse_a: Any, mean_b: Any, inverse_b: Any, start: Any, out: Any
) -> None:
    """Correlation from the sum of products where all pixels are valid."""
    level, skip = n * mean_a, np.uint64(start)
    for d in range(np.uint64(out.size)):
        out[d] = (sums[0, skip + d] - level * mean_b[d]) * inverse_a * inverse_b[d]


@njit(nogil=True, error_model="numpy", cache=True)
def _normalise_masked(sums: Any, least: Any, start: Any, out: Any) -> None:
    """Correlation from six sums over the pixels valid in both images; NaN where these are fewer than `least`."""
    for d in range(out.size):
        ab, a, aa = np.float64(sums[0, start + d]), np.float64(sums[1, start + d]), np.float64(sums[2, start + d])
        b, bb, n = np.float64(sums[3, start + d]), np.float64(sums[4, start + d]), np.float64(sums[5, start + d])
        out[d] = math.nan
        if n >= least:
            spread_a, spread_b = aa - a * a / n, bb - b * b / n
            if spread_a > _ALIKE * aa and spread_b > _ALIKE * bb:
                out[d] = (ab - a * b / n) / math.sqrt(spread_a * spread_b)


@njit(nogil=True, error_model="numpy", cache=True)
def _correlate(
    reference: Any, secondary: Any, tops: Any, lefts: Any, guess: Any, search: Any, shape: Any, margin: Any,
    windows: Any, block: Any, least: Any, surfaces: Any,
) -> None:  # fmt: skip
    """Compute the correlation surfaces (point row, point column, window, y, x) of one tile; NaN where not known."""
    rows, columns = guess.shape[1:]
    low_y, high_y = guess[0].min() - search[0], guess[0].max() + search[0]
    low_x, high_x = guess[1].min() - search[1], guess[1].max() + search[1]
    lanes, half = high_x - low_x + 1, windows.max() // 2
    stride_y = (tops[1] - tops[0]) // block if rows > 1 else 1
    stride_x = (lefts[1] - lefts[0]) // block if columns > 1 else 1
    top, left = tops[0] - half, lefts[0] - half
    span_y, span_x = (rows - 1) * stride_y + 2 * half // block, (columns - 1) * stride_x + 2 * half // block
    layers = 6 if reference.shape[0] > 1 else 1
    if layers > 1:
        here = reference[2, top : top + span_y * block, left : left + span_x * block]
        there = secondary[2, top + low_y : top + span_y * block + high_y, left + low_x : left + span_x * block + high_x]
        layers = 1 if here.min() > 0 and there.min() > 0 else 6
    products = np.empty((span_y, layers, span_x, lanes), np.float32)
    column_sums = np.empty((layers, span_x, lanes), np.float32)
    sums = np.empty((layers, lanes), np.float32)
    size_y, size_x = (rows - 1) * stride_y * block + 1, (columns - 1) * stride_x * block + 1
    surfaces[:] = math.nan
    moments = np.empty((windows.size, 2, size_y + high_y - low_y, size_x + high_x - low_x), np.float32)
    own = np.empty((windows.size, 2, size_y, size_x), np.float32)
    if layers == 1:
        for k in range(windows.size):
            w = windows[k]
            _window_moments(reference[0], tops[0] - w // 2, lefts[0] - w // 2, w, own[k, 0], own[k, 1])
            y, x = tops[0] - w // 2 + low_y, lefts[0] - w // 2 + low_x
            _window_moments(secondary[0], y, x, w, moments[k, 0], moments[k, 1])
    for dy in range(low_y, high_y + 1):
        for s in range(span_y):
            for m in range(layers):
                a, b = (_SIX_REFERENCE[m], _SIX_SECONDARY[m]) if layers > 1 else (0, 0)
                _block_products(reference[a], secondary[b], top + s * block, left, block, dy, low_x, products[s, m])
        for k in range(windows.size):
            w = windows[k]
            wide, begin = w // block, (half - w // 2) // block
            for i in range(rows):
                _slide(column_sums, products, begin + i * stride_y, min(i, 1) * stride_y, wide)
                r = tops[i] - w // 2 - margin[0]
                if r < 0 or r + w > shape[0] or r + dy < 0 or r + dy + w > shape[0]:
                    continue
                for j in range(columns):
                    _slide_along(sums, column_sums, begin + j * stride_x, min(j, 1) * stride_x, wide)
                    c = lefts[j] - w // 2 - margin[1]
                    at = dy - guess[0, i, j] + search[0]
                    if c < 0 or c + w > shape[1] or at < 0 or at > 2 * search[0]:
                        continue
                    # Shifts whose window lies within the image.
                    first = max(guess[1, i, j] - search[1], -c)
                    last = min(guess[1, i, j] + search[1], shape[1] - w - c)
                    if last < first:
                        continue
                    into = first - guess[1, i, j] + search[1]
                    out = surfaces[i, j, k, at, into : into + last - first + 1]
                    if layers > 1:
                        _normalise_masked(sums, least * w * w, first - low_x, out)
                    else:
                        y, x = i * stride_y * block, j * stride_x * block
                        z, u = y + dy - low_y, x + first - low_x
                        _normalise_whole(
                            sums, np.float32(w * w), own[k, 0, y, x], own[k, 1, y, x],
                            moments[k, 0, z, u : u + out.size], moments[k, 1, z, u : u + out.size], first - low_x, out,
                        )  # fmt: skip


@njit(parallel=True, nogil=True, error_model="numpy", cache=True)
def correlate_tiles(
    reference: NDArray[np.float32], secondary: NDArray[np.float32], tops: NDArray[np.int64], lefts: NDArray[np.int64],
    guess: NDArray[np.int64], search: NDArray[np.int64], shape: NDArray[np.int64], margin: NDArray[np.int64],
    windows: NDArray[np.int64], block: int, tile: int, least: float, exclude: int, out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Match at every grid point (rows `tops`, columns `lefts`): `out` (y, x, ESTIMATES), NaN where there is no match.

    `guess` (2, y, x) is the middle of the search and `search` (2,) its half width; `shape` and `margin` (2,) say where
    in the arrays the images lie; `block` divides half of every window and the step; windows with a smaller share than
    `least` of valid pixels are not used; samples up to `exclude` from the peak do not count as its surroundings.
    """
    rows, columns = guess.shape[1:]
    across = -(-columns // tile)
    for t in prange(-(-rows // tile) * across):
        i0, j0 = np.int64(t // across * tile), np.int64(t % across * tile)
        i1, j1 = min(i0 + tile, rows), min(j0 + tile, columns)
        sides = 2 * search + 1
        surfaces = np.empty((i1 - i0, j1 - j0, windows.size, sides[0], sides[1]), np.float32)
        _correlate(
            reference, secondary, tops[i0:i1], lefts[j0:j1], guess[:, i0:i1, j0:j1], search, shape, margin, windows,
            block, least, surfaces,
        )  # fmt: skip
        for i in range(i0, i1):
            for j in range(j0, j1):
                conclude(surfaces[i - i0, j - j0], windows, exclude, out[i, j])
                out[i, j, 0] += guess[0, i, j] - search[0]
                out[i, j, 1] += guess[1, i, j] - search[1]
