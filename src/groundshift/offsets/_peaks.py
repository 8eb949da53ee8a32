"""Compiled analysis of a correlation surface: where its peak lies between the samples, and how well that is known."""

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["ESTIMATES", "conclude"]

ESTIMATES = 8
"""Numbers per grid point: offset (y, x), SNR, peak, variances (y, x), covariance, position of the window size."""

_RADIUS = 8
"""Samples on each side of the peak that its interpolation uses."""
_LAGS = 5
"""Lags on each side of the peak over which the slope of the correlation is summed."""
_TURN = math.pi / (_RADIUS + 1)
_COSINES = np.cos(_TURN * np.arange(2 * _RADIUS + 2))
_SINES = np.sin(_TURN * np.arange(2 * _RADIUS + 2))
"""Of a whole period of 2 * _RADIUS + 2 samples, so that negative indices are negative angles."""
_NEWTON_STEPS = 12
_CONVERGED = 1e-5  # samples
_FAST = {"contract", "nsz", "arcp", "reassoc"}


@njit(nogil=True, error_model="numpy", cache=True)
def _examine(surface: Any, exclude: Any) -> Any:
    """Return row and column of the peak, its height and SNR; SNR is NaN without a peak inside."""
    rows, columns = surface.shape
    at_row, at_column, height = -1, -1, 0.0
    total, known = 0.0, 0
    for i in range(rows):
        for j in range(columns):
            value = surface[i, j]
            if not math.isnan(value):
                total += value * value
                known += 1
                if value > height:
                    at_row, at_column, height = i, j, value
    if not (0 < at_row < rows - 1 and 0 < at_column < columns - 1):
        return at_row, at_column, height, math.nan
    if not math.isfinite(surface[at_row - 1 : at_row + 2, at_column - 1 : at_column + 2].sum()):
        return at_row, at_column, height, math.nan
    for i in range(max(at_row - exclude, 0), min(at_row + exclude + 1, rows)):
        for j in range(max(at_column - exclude, 0), min(at_column + exclude + 1, columns)):
            value = surface[i, j]
            if not math.isnan(value):
                total -= value * value
                known -= 1
    snr = height * height * known / total if known > 0 and total > 0 else math.nan
    return at_row, at_column, height, snr


@njit(nogil=True, error_model="numpy", cache=True)
def _weights(at: Any, lag: Any, out: Any) -> None:
    """Weights (3, sample) of samples -_RADIUS..._RADIUS in value, slope and curvature at `at` + `lag`: sinc times Hann.

    Sines and cosines are those of `at`, turned by whole samples.
    """
    sine, cosine = math.sin(math.pi * at), math.cos(math.pi * at)
    wide_sine, wide_cosine = math.sin(_TURN * at), math.cos(_TURN * at)
    for k in range(2 * _RADIUS + 1):
        back = k - _RADIUS - lag
        x = at - back
        sign = 1 - 2 * (back & 1)
        s0, s1, s2 = 1.0, 0.0, -math.pi * math.pi / 3
        if abs(x) > 1e-4:
            s0 = sign * sine / (math.pi * x)
            s1 = (sign * cosine - s0) / x
            s2 = -math.pi * math.pi * s0 - 2 * s1 / x
        w0, w1, w2 = 0.0, 0.0, 0.0
        if abs(x) < _RADIUS + 1:
            turned_cosine = wide_cosine * _COSINES[back] + wide_sine * _SINES[back]
            turned_sine = wide_sine * _COSINES[back] - wide_cosine * _SINES[back]
            w0, w1, w2 = 0.5 + 0.5 * turned_cosine, -0.5 * _TURN * turned_sine, -0.5 * _TURN * _TURN * turned_cosine
        out[0, k] = s0 * w0
        out[1, k] = s1 * w0 + s0 * w1
        out[2, k] = s2 * w0 + 2 * s1 * w1 + s0 * w2


@njit(nogil=True, error_model="numpy", cache=True)
def _patch_around(surface: Any, row: Any, column: Any, patch: Any) -> Any:
    """Copy the surroundings of a peak less their mean, which is returned; what is not known counts as the mean."""
    total, known = 0.0, 0
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            r = min(max(row + i - _RADIUS, 0), surface.shape[0] - 1)
            c = min(max(column + j - _RADIUS, 0), surface.shape[1] - 1)
            patch[i, j] = surface[r, c]
            if not math.isnan(patch[i, j]):
                total += patch[i, j]
                known += 1
    mean = total / known
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            patch[i, j] = 0.0 if math.isnan(patch[i, j]) else patch[i, j] - mean
    return mean


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _derivatives(patch: Any, wy: Any, wx: Any, out: Any) -> None:
    """Interpolate value, slopes (y, x), curvatures (yy, xx, yx)."""
    out[:] = 0.0
    for i in range(patch.shape[0]):
        v0, v1, v2 = 0.0, 0.0, 0.0
        for j in range(patch.shape[1]):
            v0 += patch[i, j] * wx[0, j]
            v1 += patch[i, j] * wx[1, j]
            v2 += patch[i, j] * wx[2, j]
        out[0] += wy[0, i] * v0
        out[1] += wy[1, i] * v0
        out[2] += wy[0, i] * v1
        out[3] += wy[2, i] * v0
        out[4] += wy[0, i] * v2
        out[5] += wy[1, i] * v1


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _slope_sums(patch: Any, y: Any, x: Any, wy: Any, wx: Any) -> Any:
    """Sum products of the slopes over whole lags around the peak: yy, xx, yx."""
    yy, xx, yx = 0.0, 0.0, 0.0
    size = 2 * _LAGS + 1
    across = np.zeros((size, 2, patch.shape[0]))
    for n in range(size):
        _weights(x, n - _LAGS, wx)
        for i in range(patch.shape[0]):
            for j in range(patch.shape[1]):
                across[n, 0, i] += patch[i, j] * wx[0, j]
                across[n, 1, i] += patch[i, j] * wx[1, j]
    for m in range(size):
        _weights(y, m - _LAGS, wy)
        for n in range(size):
            along_y, along_x = 0.0, 0.0
            for i in range(patch.shape[0]):
                along_y += wy[1, i] * across[n, 0, i]
                along_x += wy[0, i] * across[n, 1, i]
            yy += along_y * along_y
            xx += along_x * along_x
            yx += along_y * along_x
    return yy, xx, yx


@njit(nogil=True, error_model="numpy", cache=True)
def _refine(surface: Any, row: Any, column: Any, n: Any, out: Any) -> None:
    """Find the maximum of the interpolated surface near a peak, and its covariance for windows of n pixels.

    `out`: position (y, x), SNR (left alone), height, variances (y, x), covariance; NaN where there is no maximum.
    """
    patch = np.empty((2 * _RADIUS + 1, 2 * _RADIUS + 1))
    wy, wx = np.empty((3, 2 * _RADIUS + 1)), np.empty((3, 2 * _RADIUS + 1))
    d = np.empty(6)
    mean = _patch_around(surface, row, column, patch)
    y, x = 0.0, 0.0
    found = False
    for _ in range(_NEWTON_STEPS):
        _weights(y, 0, wy)
        _weights(x, 0, wx)
        _derivatives(patch, wy, wx, d)
        bend = d[3] * d[4] - d[5] * d[5]
        if not (d[3] < 0 and d[4] < 0 and bend > 0):
            break
        move_y = -(d[4] * d[1] - d[5] * d[2]) / bend
        move_x = -(d[3] * d[2] - d[5] * d[1]) / bend
        y, x = y + min(max(move_y, -0.5), 0.5), x + min(max(move_x, -0.5), 0.5)
        if abs(y) > 1 or abs(x) > 1:
            break
        if abs(move_y) < _CONVERGED and abs(move_x) < _CONVERGED:
            found = True
            break
    height = min(d[0] + mean, 1.0)
    if not (found and height > 0):
        out[:] = math.nan
        return
    yy, xx, yx = _slope_sums(patch, y, x, wy, wx)
    # Inverse of the curvature on both sides of the variance of the slope.
    scale = (1 - height * height) / (height * height * n * bend * bend)
    out[0], out[1], out[3] = row + y, column + x, height
    out[4] = scale * (d[4] * d[4] * yy - 2 * d[4] * d[5] * yx + d[5] * d[5] * xx)
    out[5] = scale * (d[5] * d[5] * yy - 2 * d[5] * d[3] * yx + d[3] * d[3] * xx)
    out[6] = scale * ((d[3] * d[4] + d[5] * d[5]) * yx - d[4] * d[5] * yy - d[3] * d[5] * xx)


@njit(nogil=True, error_model="numpy", cache=True)
def conclude(surfaces: Any, windows: Any, exclude: Any, out: Any) -> None:
    """Choose the window of highest SNR of one grid point and refine its peak."""
    best, row, column = -1, 0, 0
    out[:] = math.nan
    highest = 0.0
    for k in range(windows.size):
        at_row, at_column, _, snr = _examine(surfaces[k], exclude)
        if snr > highest:
            best, row, column, highest = k, at_row, at_column, snr
    if best >= 0:
        out[2], out[7] = highest, best
        _refine(surfaces[best], row, column, windows[best] * windows[best], out)
