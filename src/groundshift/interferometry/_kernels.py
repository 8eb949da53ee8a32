"""Compiled inner loops of forming interferograms.

Two images go in, each of their pixels is read once, and one number for each cell of looks comes out. Loop indices are
unsigned, so that no index is tested for being negative: with that test in them the loops do not vectorise.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["form", "form_rows", "sharpen", "sum_along_fringes", "take_out_path"]

_FAST = {"contract", "nsz", "arcp", "nnan", "ninf", "reassoc"}
_BELOW_ONE = np.float32(1 - 2**-21)
"""So that rounding leaves no magnitude above 1."""

_POWER, _OTHER, _COUNT = (np.uint64(k) for k in range(3))
_NONE, _PIXEL = np.int32(0), np.int32(1)
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
# Chebyshev fits of sin(pi f) / f and cos(pi f) as polynomials in f^2 for |f| <= 1/2; largest errors 7e-9 and 3e-10.
_S0, _S1, _S2, _S3, _S4 = (np.float32(c) for c in (3.14159264, -5.16771008, 2.55007752, -0.59829129, 0.07765766))
_C1, _C2, _C3, _C4, _C5 = (np.float32(c) for c in (-4.93480214, 4.05870916, -1.335212, 0.23493731, -0.02439632))


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _sum_cells(reference: Any, secondary: Any, ly: int, lx: int, row: int, sums: Any, out: Any) -> None:
    """Sum over each cell of a row of cells: products into `out`, powers and pixels with data into `sums`."""
    rows, columns, y = np.uint64(ly), np.uint64(lx), np.uint64(row)
    start, end = y * rows, (y + np.uint64(1)) * rows
    even = end - rows % np.uint64(2)
    for x in range(np.uint64(out.shape[1])):
        re = im = power = other = _ZERO
        count = _NONE
        # Two rows at a time, since the sums along a row are the dear part of a small cell.
        for r in range(start, even, np.uint64(2)):
            for c in range(x * columns, (x + np.uint64(1)) * columns):
                s, t = reference[r, c], secondary[r, c]
                v, w = reference[r + np.uint64(1), c], secondary[r + np.uint64(1), c]
                above = s.real * t.real + s.imag * t.imag
                below = v.real * w.real + v.imag * w.imag
                re += above + below
                im += s.imag * t.real - s.real * t.imag + v.imag * w.real - v.real * w.imag
                power += s.real * s.real + s.imag * s.imag + v.real * v.real + v.imag * v.imag
                other += t.real * t.real + t.imag * t.imag + w.real * w.real + w.imag * w.imag
                count += (_PIXEL if above != _ZERO else _NONE) + (_PIXEL if below != _ZERO else _NONE)
        for r in range(even, end):
            for c in range(x * columns, (x + np.uint64(1)) * columns):
                s, t = reference[r, c], secondary[r, c]
                along = s.real * t.real + s.imag * t.imag
                re += along
                im += s.imag * t.real - s.real * t.imag
                power += s.real * s.real + s.imag * s.imag
                other += t.real * t.real + t.imag * t.imag
                count += _PIXEL if along != _ZERO else _NONE
        out[y, x] = complex(re, im)
        sums[_POWER, x], sums[_OTHER, x], sums[_COUNT, x] = power, other, np.float32(count)


# No liberties in rounding here, so that a cell does not depend on where in its row it lies; nor in what calls it, since
# the compiler gives a function all the liberties of its caller.
@njit(nogil=True, error_model="numpy", cache=True)
def _normalise(sums: Any, fewest: Any, row: int, out: Any) -> None:
    """Divide products by the roots of both powers; of many cells at once, roots take a fraction of the time."""
    y = np.uint64(row)
    for x in range(np.uint64(out.shape[1])):
        roots = np.sqrt(sums[_POWER, x]) * np.sqrt(sums[_OTHER, x])
        scale = _BELOW_ONE / roots if sums[_COUNT, x] >= fewest else _ZERO
        out[y, x] = complex(out[y, x].real * scale, out[y, x].imag * scale)


@njit(nogil=True, error_model="numpy", cache=True)
def form_rows(
    reference: NDArray[np.complex64],
    secondary: NDArray[np.complex64],
    ly: int,
    lx: int,
    first: int,
    past: int,
    out: NDArray[np.complex64],
) -> None:
    """Form rows `first` to `past` of the cells of an interferogram, on one core; otherwise as `form`."""
    sums = np.empty((3, out.shape[1]), np.float32)
    for row in range(first, past):
        _sum_cells(reference, secondary, ly, lx, row, sums, out)
        _normalise(sums, _HALF * np.float32(ly * lx), row, out)


@njit(parallel=True, nogil=True, error_model="numpy", cache=True)
def form(
    reference: NDArray[np.complex64],
    secondary: NDArray[np.complex64],
    ly: int,
    lx: int,
    out: NDArray[np.complex64],
) -> None:
    """Form an interferogram, its rows shared among the cores.

    Parameters
    ----------
    reference, secondary : (y, x) complex64
        Images, zero without data.
    ly, lx : int
        Looks.
    out : (y // ly, x // lx) complex64
        Overwritten: coherence times phasor; zero where fewer than half of a cell's pixels have data in both images.
    """
    for row in prange(out.shape[0]):
        form_rows(reference, secondary, ly, lx, row, row + 1, out)


# Here NaN has a meaning, so that the compiler may not assume that there is none.
@njit(nogil=True, fastmath=_FAST - {"nnan", "ninf"}, error_model="numpy", cache=True)
def take_out_path(
    image: NDArray[np.complex64], path: NDArray[np.float64], cycles_per_metre: float, out: NDArray[np.complex64]
) -> None:
    """Turn the phase of an image forward by its path: out = image * exp(2 pi i cycles_per_metre path).

    All arrays have shape (y, x). Zero where the path is NaN. `out` may be the image itself. On one core.
    """
    # By way of a row of its own, since a loop that might write what it is about to read does not vectorise.
    turned = np.empty(out.shape[1], np.complex64)
    for row in range(np.uint64(out.shape[0])):
        for x in range(np.uint64(turned.size)):
            cycles = path[row, x] * cycles_per_metre
            known = not np.isnan(cycles)
            # The fraction of a cycle is taken in double precision: a path has many thousand cycles.
            f = np.float32(cycles - np.floor(cycles + 0.5))
            z = f * f
            sine = f * (_S0 + z * (_S1 + z * (_S2 + z * (_S3 + z * _S4))))
            cosine = _ONE + z * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * _C5))))
            re = _ONE - _TWO * sine * sine if known else _ZERO
            im = _TWO * sine * cosine if known else _ZERO
            own = image[row, x]
            turned[x] = complex(own.real * re - own.imag * im, own.real * im + own.imag * re)
        for x in range(np.uint64(turned.size)):
            out[row, x] = turned[x]


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def sharpen(spectra: NDArray[np.complex64], alpha: float) -> None:
    """Multiply spectra in place by (S / max S)^alpha, with S their magnitude averaged over 3 x 3 frequencies.

    `spectra` has shape (patch, y, x); frequencies are cyclic. A spectrum of zeros stays as it is. On one core.
    """
    _, height, width = spectra.shape
    for k in range(spectra.shape[0]):
        magnitude = np.empty((height, width + 2), np.float32)
        level = np.empty((height, width), np.float32)
        for y in range(height):
            for x in range(width):
                z = spectra[k, y, x]
                magnitude[y, x + 1] = np.sqrt(z.real * z.real + z.imag * z.imag)
            magnitude[y, 0], magnitude[y, width + 1] = magnitude[y, width], magnitude[y, 1]
        highest = _ZERO
        for y in range(height):
            above, below = (y - 1) % height, (y + 1) % height
            for x in range(width):
                total = _ZERO
                for i in range(x, x + 3):
                    total += magnitude[above, i] + magnitude[y, i] + magnitude[below, i]
                level[y, x] = total
                highest = max(highest, total)
        if highest > _ZERO:
            for y in range(height):
                for x in range(width):
                    spectra[k, y, x] *= (level[y, x] / highest) ** np.float32(alpha)


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def sum_along_fringes(igram: Any, down: Any, right: Any, half: int, out: Any) -> None:
    """Sum over windows of (2 half + 1)^2 pixels, turned back by the local fringe rate: `out` of the shape of `igram`.

    `down` and `right` are unit phasors of the phase from a pixel to the next row and the next column.
    """
    rows, columns = igram.shape
    for y in range(rows):
        for x in range(columns):
            if igram[y, x] == 0:
                continue
            back_y, back_x = np.conj(down[y, x]), np.conj(right[y, x])
            top, left = max(y - half, 0), max(x - half, 0)
            # The turns from the centre to the first row and column of the window.
            row_turn, first_turn = np.complex64(1), np.complex64(1)
            for _ in range(y - top):
                row_turn *= down[y, x]
            for _ in range(x - left):
                first_turn *= right[y, x]
            total = np.complex64(0)
            for j in range(top, min(y + half + 1, rows)):
                line, turn = np.complex64(0), first_turn
                for i in range(left, min(x + half + 1, columns)):
                    line += igram[j, i] * turn
                    turn *= back_x
                total += line * row_turn
                row_turn *= back_y
            out[y, x] = total
