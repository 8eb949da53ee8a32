"""Cells of a lattice drawn onto a grid, for kernels: which pixels a cell may cover, and its two triangles.

Compiled into the loops that call them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["box_of", "corners_of"]


@njit(cache=True, nogil=True)
def box_of(
    y: NDArray[np.float64], x: NDArray[np.float64], i: int, j: int, rows: int, columns: int
) -> tuple[int, int, int, int, float]:  # pragma: no cover - compiled
    """Return first and last row, first and last column of the pixels in the box of a cell, and its longer side.

    The cell has its four corners at places `y`, `x` from (i, j) on. Without a pixel, and where a corner is not known,
    the first row is beyond the last.
    """
    total = y[i, j] + y[i, j + 1] + y[i + 1, j] + y[i + 1, j + 1]
    total += x[i, j] + x[i, j + 1] + x[i + 1, j] + x[i + 1, j + 1]
    if not np.isfinite(total):
        return 0, -1, 0, -1, np.nan
    low_y = min(y[i, j], y[i, j + 1], y[i + 1, j], y[i + 1, j + 1])
    high_y = max(y[i, j], y[i, j + 1], y[i + 1, j], y[i + 1, j + 1])
    low_x = min(x[i, j], x[i, j + 1], x[i + 1, j], x[i + 1, j + 1])
    high_x = max(x[i, j], x[i, j + 1], x[i + 1, j], x[i + 1, j + 1])
    longest = max(high_y - low_y, high_x - low_x)
    if high_y < 0 or high_x < 0 or low_y > rows - 1 or low_x > columns - 1:
        return 0, -1, 0, -1, longest
    first_y, last_y = max(0, int(np.ceil(low_y))), min(rows - 1, int(np.floor(high_y)))
    first_x, last_x = max(0, int(np.ceil(low_x))), min(columns - 1, int(np.floor(high_x)))
    if first_x > last_x:
        return 0, -1, 0, -1, longest
    return first_y, last_y, first_x, last_x, longest


@njit(cache=True, nogil=True)
def corners_of(i: int, j: int, half: int) -> tuple[int, int, int, int]:  # pragma: no cover - compiled
    """Return the row and column of the right angle of one of the two triangles of a cell, then those across from it.

    The right angle is the lattice point (oi, oj), its neighbour along rows (ai, oj), along columns (oi, bj).
    """
    if half == 0:
        return i, j, i + 1, j + 1
    return i + 1, j + 1, i, j
