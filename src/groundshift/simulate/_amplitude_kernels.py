"""Compiled loops of `groundshift.simulate.amplitude`, where their arguments are described.

An image that is added to has a margin of `MARGIN` pixels all round, and its columns hold real and imaginary parts in
turn: (rows + 2 margins, 2 (columns + 2 margins)). Random numbers are drawn from the number of the facet, not in turn,
so that a facet shows the same whatever part of it an image covers.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["HALF", "MARGIN", "add_facets", "add_points"]

HALF = 3
"""Pixels that a point responds in, to either side."""
MARGIN = 5
"""That, and as far as a point may lie outside."""
_U = np.uint64


@njit(cache=True, nogil=True, inline="always")
def _mixed(x: np.uint64) -> np.uint64:  # pragma: no cover - compiled
    """Return 64 random bits of a number (the finaliser of SplitMix64)."""
    x = (x ^ (x >> _U(30))) * _U(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _U(27))) * _U(0x94D049BB133111EB)
    return x ^ (x >> _U(31))


@njit(cache=True, nogil=True, inline="always")
def _mean(corners: NDArray[np.float64], i: int, j: int, v: float, u: float) -> float:  # pragma: no cover - compiled
    """Return a quantity inside a cell, from those of its corners."""
    top = corners[i, j] + u * (corners[i, j + 1] - corners[i, j])
    bottom = corners[i + 1, j] + u * (corners[i + 1, j + 1] - corners[i + 1, j])
    return float(top + v * (bottom - top))


@njit(cache=True, nogil=True, inline="always", fastmath=True)
def _add(
    image: NDArray[np.float32],
    response: NDArray[np.float32],
    taps: NDArray[np.float32],
    row: float,
    column: float,
    real: float,
    imaginary: float,
) -> None:  # pragma: no cover - compiled
    """Add the response of one point; its place must be within the margin."""
    r, c = int(np.floor(row)), int(np.floor(column))
    steps = response.shape[0] - 1
    along = response[int((row - r) * steps + 0.5)]
    across = response[int((column - c) * steps + 0.5)]
    for k in range(2 * HALF):
        taps[2 * k] = across[k] * real
        taps[2 * k + 1] = across[k] * imaginary
    top, left = r - HALF + 1 + MARGIN, 2 * (c - HALF + 1 + MARGIN)
    for k in range(2 * HALF):
        line = image[top + k, left : left + 4 * HALF]
        for m in range(4 * HALF):
            line[m] += along[k] * taps[m]


@njit(cache=True, nogil=True, fastmath=True)
def add_facets(
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    cycles: NDArray[np.float64],
    power: NDArray[np.float32],
    strength: NDArray[np.float32],
    split: tuple[int, int],
    seeds: NDArray[np.uint64],
    weights: NDArray[np.float32],
    normal: NDArray[np.complex64],
    carrier: NDArray[np.complex64],
    response: NDArray[np.float32],
    image: NDArray[np.float32],
    reach: NDArray[np.int32],
) -> None:  # pragma: no cover - compiled
    """Add the facets of all cells, and note the columns that each row's facets reach from and to."""
    rows, columns = image.shape[0] - 2 * MARGIN, image.shape[1] // 2 - 2 * MARGIN
    height, width = power.shape
    ny, nx = split
    texels = strength.shape[0] // height
    pick = _U(normal.size - 1)
    turn = carrier.size
    taps = np.empty(4 * HALF, np.float32)
    for i in range(height):
        for j in range(width):
            if not power[i, j] > 0:
                continue
            top = min(row[i, j], row[i, j + 1], row[i + 1, j], row[i + 1, j + 1])
            bottom = max(row[i, j], row[i, j + 1], row[i + 1, j], row[i + 1, j + 1])
            left = min(column[i, j], column[i, j + 1], column[i + 1, j], column[i + 1, j + 1])
            right = max(column[i, j], column[i, j + 1], column[i + 1, j], column[i + 1, j + 1])
            if not (bottom > -HALF and top < rows + HALF - 1 and right > -HALF and left < columns + HALF - 1):
                continue
            share = np.sqrt(power[i, j] / (ny * nx))
            for a in range(ny):
                for b in range(nx):
                    number = _U((i * ny + a) * (width * nx) + j * nx + b)
                    where = _mixed(number)
                    v = (a + float(where & _U(0xFFFF)) / 65536.0) / ny
                    u = (b + float((where >> _U(16)) & _U(0xFFFF)) / 65536.0) / nx
                    r, c = _mean(row, i, j, v, u), _mean(column, i, j, v, u)
                    if not (-HALF < r < rows + HALF - 1 and -HALF < c < columns + HALF - 1):
                        continue
                    line, place = int(np.floor(r + 0.5)), int(np.floor(c + 0.5))
                    if 0 <= line < rows:
                        reach[line, 0] = min(reach[line, 0], place)
                        reach[line, 1] = max(reach[line, 1], place)
                    re, im = np.float32(0), np.float32(0)
                    for k in range(seeds.size):
                        drawn = normal[_mixed(where ^ seeds[k]) & pick]
                        re += weights[k] * drawn.real
                        im += weights[k] * drawn.imag
                    way = _mean(cycles, i, j, v, u)
                    phasor = carrier[int((way - np.floor(way)) * turn)]
                    size = share * strength[i * texels + int(v * texels), j * texels + int(u * texels)]
                    _add(
                        image,
                        response,
                        taps,
                        r,
                        c,
                        size * (re * phasor.real - im * phasor.imag),
                        size * (re * phasor.imag + im * phasor.real),
                    )


@njit(cache=True, nogil=True)
def add_points(
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    cycles: NDArray[np.float64],
    points: NDArray[np.float64],
    strength: NDArray[np.float64],
    response: NDArray[np.float32],
    image: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Add points at fractional places of the nodes, (n, 2)."""
    rows, columns = image.shape[0] - 2 * MARGIN, image.shape[1] // 2 - 2 * MARGIN
    taps = np.empty(4 * HALF, np.float32)
    for n in range(strength.size):
        i = min(max(int(points[n, 0]), 0), row.shape[0] - 2)
        j = min(max(int(points[n, 1]), 0), row.shape[1] - 2)
        v, u = points[n, 0] - i, points[n, 1] - j
        r, c = _mean(row, i, j, v, u), _mean(column, i, j, v, u)
        if -HALF < r < rows + HALF - 1 and -HALF < c < columns + HALF - 1:
            way = 2 * np.pi * _mean(cycles, i, j, v, u)
            _add(image, response, taps, r, c, strength[n] * np.cos(way), strength[n] * np.sin(way))
