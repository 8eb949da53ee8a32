"""Coherence where a product brings none: how well the phase of neighbouring pixels agrees.

The phase of one interferogram over a few pixels is a plane (the local fringe rate) plus noise. With the plane
removed, the length of the mean phasor is the mean resultant length of the noise: 1 for no noise, exp(-sigma^2 / 2)
for normal noise of standard deviation sigma, 0 for noise spread over the whole circle. This is a phase consistency
("phase-sigma correlation"), not the coherence of the two radar images: it lies near it for one look and above it
for many, and neighbours that a filter has mixed agree more than they should.
"""

import math
from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.io.rasters import polar
from groundshift.types import Window

__all__ = ["LEAST", "WINDOW", "consistent_igram", "phase_consistency", "reach"]

WINDOW = 5
"""Rows and columns of the window that the readers estimate over."""

LEAST = 0.01
"""Least consistency of a valid pixel, so that a noisy pixel is not taken for one without data."""

ReadPhase = Callable[[Window], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Read phase (radians) and validity over a window of the grid."""

_NOISE_POWER = 1.5
_FEWEST = 6
# Power of n phasors of pure noise after the fit, over n: 1 without a fit, 1.45 +- 0.01 with the fringe rate taken over
# the wider window (40,000 simulated windows of 5 x 5; the test of pure noise repeats it). Three numbers are fitted, so
# fewer than twice as many samples say nothing.


def reach(window: int = WINDOW) -> int:
    """Return how many pixels around a pixel its consistency depends on."""
    return 2 * (window // 2)


def phase_consistency(
    wrapped: NDArray[np.float32], valid: NDArray[np.bool_], window: int = WINDOW
) -> NDArray[np.float32]:
    """Estimate a coherence from how well neighbouring phases agree once the local fringe rate is removed.

    Parameters
    ----------
    wrapped : (y, x) float32 array
        Phase in radians, wrapped or not.
    valid : (y, x) bool array
        True where `wrapped` is measured. NaN and infinite phases count as not valid.
    window : int
        Rows and columns that the mean is taken over, odd.

    Returns
    -------
    (y, x) float32 array
        Consistency in [0, 1]: 0 where not valid, at least `LEAST` where valid.

    Raises
    ------
    ValueError
        If the shapes differ or `window` is not a positive odd number.

    Notes
    -----
    With z the unit phasors over the n valid pixels of the window, k and l their distances from its centre in rows and
    columns, and the fringe rates f_y = arg(sum z(y+1, x) conj z(y, x)), f_x likewise, each over a window that reaches
    twice as far and is nearly free of bias where the rate changes evenly,

        m = |sum z exp(-i (f_y k + f_x l))| / n,    result = sqrt(max(0, (m^2 - c/n) / (1 - c/n))).

    The second step takes out the bias of few samples: the expectation of m^2 over independent samples with mean
    resultant length r is r^2 + (1 - r^2) / n, as the n diagonal terms of the double sum are 1 and the others r^2. The
    fit of the fringe rate raises the noise term to c/n with c = 1.5. Below about 0.6 the rate is often missed, and
    the result is low (0.54 for 0.6, 0.38 for 0.5, 0.12 for 0.3). Each pixel depends only on pixels up to
    `reach(window)` away, in a fixed order of summation, so that a window read with that margin equals the crop of the
    whole image exactly.

    Examples
    --------
    >>> y, x = np.mgrid[:16, :16]
    >>> ramp = np.angle(np.exp(1j * (1.9 * x - 0.7 * y))).astype(np.float32)
    >>> phase_consistency(ramp, np.ones((16, 16), bool)).min().round(3)
    np.float32(1.0)
    """
    check_positive("window", window)
    if window % 2 == 0:
        raise ValueError(f"window must be odd, instead got {window}")
    check_shape("valid", valid, wrapped.shape)
    usable = valid & np.isfinite(wrapped)
    angle = np.where(usable, wrapped, 0).astype(np.float32)
    phasors = np.empty(wrapped.shape, np.complex64)
    phasors.real = np.cos(angle) * usable
    phasors.imag = np.sin(angle) * usable
    along = np.zeros_like(phasors)
    down = np.zeros_like(phasors)
    _multiply_conjugate(phasors[:, 1:], phasors[:, :-1], along[:, :-1])
    _multiply_conjugate(phasors[1:], phasors[:-1], down[:-1])
    out = np.zeros(wrapped.shape, np.float32)
    _consistency(phasors, _rates(along, 0, 1, window), _rates(down, 1, 0, window), window // 2, out)
    return out


def consistent_igram(
    read_phase: ReadPhase, window: Window, shape: tuple[int, int], size: int = WINDOW
) -> NDArray[np.complex64]:
    """Read an interferogram whose magnitude is estimated, without seams between windows.

    Parameters
    ----------
    read_phase : callable
        Reads phase and validity over a window of the grid.
    window : Window
        What is wanted.
    shape : (int, int)
        Shape of the grid; the margin read around `window` stops there.
    size : int
        Rows and columns of the estimation window.

    Returns
    -------
    (height, width) complex64 array
        Consistency times phasor, zero where not valid.
    """
    margin = reach(size)
    top, left = max(window.y - margin, 0), max(window.x - margin, 0)
    bottom = min(window.y + window.height + margin, shape[0])
    right = min(window.x + window.width + margin, shape[1])
    phase, valid = read_phase(Window(top, left, bottom - top, right - left))
    igram = polar(phase_consistency(phase, valid, size), phase, valid)
    y, x = window.y - top, window.x - left
    return igram[y : y + window.height, x : x + window.width]


def _multiply_conjugate(one: NDArray[np.complex64], two: NDArray[np.complex64], out: NDArray[np.complex64]) -> None:
    """Fill `out` with one * conj(two), in single steps of real numbers.

    NumPy's own complex product rounds differently in the body and at the end of a line, so that the result of a pixel
    would depend on the window it is read in.
    """
    out.real = one.real * two.real + one.imag * two.imag
    out.imag = one.imag * two.real - one.real * two.imag


def _rates(products: NDArray[np.complex64], dy: int, dx: int, window: int) -> NDArray[np.complex64]:
    """Average neighbour products over twice the reach of the window, as unit phasors; 1 where there are none."""
    half = reach(window)
    # A product belongs to two pixels: both must lie in the window, so that nothing beyond its reach is used.
    total = _box(_box(products, 0, half, half - dy), 1, half, half - dx)
    length = np.sqrt(total.real**2 + total.imag**2)
    found = length > 0
    unit = np.ones_like(total)
    unit.real[found] = total.real[found] / length[found]
    unit.imag[found] = total.imag[found] / length[found]
    return unit


def _box(array: NDArray[np.complex64], axis: int, before: int, after: int) -> NDArray[np.complex64]:
    """Sum from `before` pixels before to `after` pixels after each along `axis`, always in the same order."""
    total = np.zeros_like(array)
    n = array.shape[axis]
    for shift in range(-before, after + 1):
        to = [slice(None)] * 2
        source = [slice(None)] * 2
        to[axis] = slice(max(-shift, 0), max(n - max(shift, 0), 0))
        source[axis] = slice(max(shift, 0), max(n - max(-shift, 0), 0))
        total[tuple(to)] += array[tuple(source)]
    return total


@numba.njit(cache=True, nogil=True)
def _consistency(
    phasors: NDArray[np.complex64],
    along: NDArray[np.complex64],
    down: NDArray[np.complex64],
    half: int,
    out: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Fill `out` with the mean resultant length, free of bias, of each valid pixel's window."""
    rows, columns = phasors.shape
    for y in range(rows):
        for x in range(columns):
            if phasors[y, x] == 0:
                continue
            count = 0
            total = 0j
            turn_y = down[y, x].conjugate()
            turn_x = along[y, x].conjugate()
            # Powers of the rotation from the first row and column on: the common start only turns the sum.
            row_turn = 1 + 0j
            for j in range(max(y - half, 0), min(y + half + 1, rows)):
                line = 0j
                column_turn = 1 + 0j
                for i in range(max(x - half, 0), min(x + half + 1, columns)):
                    if phasors[j, i] != 0:
                        line += phasors[j, i] * column_turn
                        count += 1
                    column_turn *= turn_x
                total += line * row_turn
                row_turn *= turn_y
            out[y, x] = LEAST
            if count >= _FEWEST:
                bias = _NOISE_POWER / count
                power = (total.real * total.real + total.imag * total.imag) / (count * count)
                squared = (power - bias) / (1 - bias)
                if squared > LEAST * LEAST:
                    out[y, x] = min(math.sqrt(squared), 1.0)
