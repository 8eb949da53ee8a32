"""Compiled inner loops of forming interferograms.

Two images go in, each of their pixels is read once, and one number for each cell of looks comes out. Loop indices are
unsigned, so that no index is tested for being negative: with that test in them the loops do not vectorise.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["form", "sharpen", "take_out_path"]

_FAST = {"contract", "nsz", "arcp", "nnan", "ninf", "reassoc"}
_TILE_PIXELS = 4096
"""Columns of one tile: the rows of all dates of a long series, over one tile, stay in the processor's cache."""

_BELOW_ONE = np.float32(1 - 2**-21)
"""So that rounding leaves no magnitude above 1."""

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
# Chebyshev fits of sin(pi f) / f and cos(pi f) as polynomials in f^2 for |f| <= 1/2; largest errors 7e-9 and 3e-10.
_S0, _S1, _S2, _S3, _S4 = (np.float32(c) for c in (3.14159264, -5.16771008, 2.55007752, -0.59829129, 0.07765766))
_C1, _C2, _C3, _C4, _C5 = (np.float32(c) for c in (-4.93480214, 4.05870916, -1.335212, 0.23493731, -0.02439632))


@njit(nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def _cells(
    first: Any, i: int, second: Any, j: int, ly: int, lx: int, y: int, x0: int, x1: int, out: Any, k: int
) -> None:
    """Form one row of cells, columns x0..x1, of one pair."""
    one, two, pair = np.uint64(i), np.uint64(j), np.uint64(k)
    rows, columns, cells = np.uint64(ly), np.uint64(lx), np.uint64(y)
    fewest = _HALF * np.float32(ly * lx)
    start = cells * rows
    even = start + rows - rows % np.uint64(2)
    for x in range(np.uint64(x0), np.uint64(x1)):
        re = im = power = other = count = _ZERO
        # Two rows at a time, since the sums along a row are the dear part of a small cell.
        for r in range(start, even, np.uint64(2)):
            for c in range(x * columns, (x + np.uint64(1)) * columns):
                s, t = first[one, r, c], second[two, r, c]
                v, w = first[one, r + np.uint64(1), c], second[two, r + np.uint64(1), c]
                above = s.real * t.real + s.imag * t.imag
                below = v.real * w.real + v.imag * w.imag
                re += above + below
                im += s.imag * t.real - s.real * t.imag + v.imag * w.real - v.real * w.imag
                power += s.real * s.real + s.imag * s.imag + v.real * v.real + v.imag * v.imag
                other += t.real * t.real + t.imag * t.imag + w.real * w.real + w.imag * w.imag
                count += (_ONE if above != _ZERO else _ZERO) + (_ONE if below != _ZERO else _ZERO)
        for r in range(even, start + rows):
            for c in range(x * columns, (x + np.uint64(1)) * columns):
                s, t = first[one, r, c], second[two, r, c]
                along = s.real * t.real + s.imag * t.imag
                re += along
                im += s.imag * t.real - s.real * t.imag
                power += s.real * s.real + s.imag * s.imag
                other += t.real * t.real + t.imag * t.imag
                count += _ONE if along != _ZERO else _ZERO
        scale = _BELOW_ONE / (np.sqrt(power) * np.sqrt(other)) if count >= fewest else _ZERO
        out[pair, cells, x] = complex(re * scale, im * scale)


@njit(parallel=True, nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def form(
    first: NDArray[np.complex64],
    second: NDArray[np.complex64],
    pairs: NDArray[np.int64],
    ly: int,
    lx: int,
    out: NDArray[np.complex64],
) -> None:
    """Form the interferograms of pairs of images.

    Parameters
    ----------
    first, second : (date, y, x) complex64
        Images, zero without data; they may be the same array.
    pairs : (pair, 2) int64
        Which image of `first` is the reference and which of `second` the secondary.
    ly, lx : int
        Looks.
    out : (pair, y // ly, x // lx) complex64
        Overwritten: coherence times phasor; zero where fewer than half of the pixels of a cell have data in both images.
    """
    height, width = out.shape[1], out.shape[2]
    step = max(_TILE_PIXELS // lx, 1)
    tiles = (width + step - 1) // step
    for tile in prange(height * tiles):
        y, x0 = tile // tiles, (tile % tiles) * step
        for k in range(pairs.shape[0]):
            _cells(first, pairs[k, 0], second, pairs[k, 1], ly, lx, y, x0, min(x0 + step, width), out, k)


# Here NaN has a meaning, so that the compiler may not assume that there is none.
@njit(parallel=True, nogil=True, fastmath=_FAST - {"nnan", "ninf"}, error_model="numpy", cache=True)
def take_out_path(
    image: NDArray[np.complex64], path: NDArray[np.float64], cycles_per_metre: float, out: NDArray[np.complex64]
) -> None:
    """Turn the phase of an image forward by its path: out = image * exp(2 pi i cycles_per_metre path).

    All arrays have shape (y, x). Zero where the path is NaN. `out` may be the image itself.
    """
    height, width = out.shape
    for y in prange(height):
        row = np.uint64(y)
        for x in range(np.uint64(width)):
            cycles = path[row, x] * cycles_per_metre
            known = not np.isnan(cycles)
            # The fraction of a cycle is taken in double precision: a path has many thousand cycles.
            f = np.float32(cycles - np.rint(cycles))
            z = f * f
            sine = f * (_S0 + z * (_S1 + z * (_S2 + z * (_S3 + z * _S4))))
            cosine = _ONE + z * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * _C5))))
            re = _ONE - _TWO * sine * sine if known else _ZERO
            im = _TWO * sine * cosine if known else _ZERO
            own = image[row, x]
            out[row, x] = complex(own.real * re - own.imag * im, own.real * im + own.imag * re)


@njit(parallel=True, nogil=True, fastmath=_FAST, error_model="numpy", cache=True)
def sharpen(spectra: NDArray[np.complex64], alpha: float) -> None:
    """Multiply spectra in place by (S / max S)^alpha, with S their magnitude averaged over 3 x 3 frequencies.

    `spectra` has shape (patch, y, x); frequencies are cyclic. A spectrum of zeros stays as it is.
    """
    _, height, width = spectra.shape
    for k in prange(spectra.shape[0]):
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
