"""Compiled loops of geometry: one scan line of the radar's view; filling a map from the cells of a radar grid."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from groundshift.geometry._cells import box_of, corners_of

__all__ = ["fill_cells", "scan_lines"]


@njit(cache=True, nogil=True)
def scan_lines(
    height: NDArray[np.float64],
    line: tuple[float, bool],
    angle: tuple[float, float, float],
    globe: tuple[float, float],
    out: NDArray[np.uint8],
) -> None:  # pragma: no cover - compiled
    """Mark shadow (bit 1) and layover (bit 2) along parallel lines of ground range; see `layover_shadow`.

    `line` is (shear, forward): line k passes row k of the middle column and holds one point of every column, each
    taken to the nearest row, so that every pixel belongs to exactly one line; range grows with x if `forward`.
    `angle` is (start, along_y, along_x): the angle at the Earth's centre between nadir and (y, x) is start +
    along_y * y + along_x * x. `globe` is the radius of the Earth and of the orbit.
    """
    shear, forward = line
    start, along_y, along_x = angle
    radius, orbit = globe
    rows, columns = height.shape
    middle = (columns - 1) / 2
    reach = int(np.ceil(abs(shear) * middle)) + 1
    row_of = np.empty(columns, np.int64)
    distance = np.empty(columns)
    for k in range(-reach, rows + reach):
        farthest = -np.inf
        steepest = -np.inf
        for i in range(columns):
            x = i if forward else columns - 1 - i
            y = k + shear * (x - middle)
            nearest = k + int(np.floor(shear * (x - middle) + 0.5))
            row_of[x] = -1
            if nearest < 0 or nearest >= rows or np.isnan(height[nearest, x]):
                continue
            upper = int(np.floor(y))
            part = y - upper
            h = height[nearest, x]
            if upper >= 0 and upper + 1 < rows:
                mixed = height[upper, x] * (1.0 - part) + height[upper + 1, x] * part
                if not np.isnan(mixed):
                    h = mixed
            psi = start + along_y * y + along_x * x
            across = (radius + h) * np.sin(psi)
            below = orbit - (radius + h) * np.cos(psi)
            row_of[x] = nearest
            distance[x] = np.sqrt(across * across + below * below)
            look = across / below
            if look < steepest:
                out[nearest, x] |= 1
            else:
                steepest = look
            if distance[x] < farthest:
                out[nearest, x] |= 2
            else:
                farthest = distance[x]
        closest = np.inf
        for i in range(columns):
            x = columns - 1 - i if forward else i
            if row_of[x] < 0:
                continue
            if distance[x] > closest:
                out[row_of[x], x] |= 2
            else:
                closest = distance[x]


@njit(cache=True, nogil=True)
def fill_cells(
    lattice: tuple[NDArray[np.float64], NDArray[np.float64]],
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    longest: float,
    out: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:  # pragma: no cover - compiled
    """Give every map pixel the radar coordinates of the cell of four lattice points that holds it.

    `lattice` holds the radar rows (m,) and columns (n,) of the points, `place` their map rows and columns (m, n), in
    pixels; `out` the radar rows and columns of each map pixel. Each cell is two triangles. Cells with an unknown
    corner, or longer than `longest` pixels, are left out. Where cells fold over each other, the nearest in range wins.
    """
    rows, columns = lattice
    map_y, map_x = place
    out_y, out_x = out
    height, width = out_y.shape
    for i in range(rows.size - 1):
        for j in range(columns.size - 2, -1, -1):
            first_y, last_y, first_x, last_x, side = box_of(map_y, map_x, i, j, height, width)
            if first_y > last_y or side > longest:
                continue
            for half in range(2):
                # Corner o with its neighbours along rows (a) and along columns (b).
                oi, oj, ai, bj = corners_of(i, j, half)
                ay, ax = map_y[ai, oj] - map_y[oi, oj], map_x[ai, oj] - map_x[oi, oj]
                by, bx = map_y[oi, bj] - map_y[oi, oj], map_x[oi, bj] - map_x[oi, oj]
                area = ay * bx - ax * by
                if area == 0.0:
                    continue
                for y in range(first_y, last_y + 1):
                    for x in range(first_x, last_x + 1):
                        py, px = y - map_y[oi, oj], x - map_x[oi, oj]
                        a = (py * bx - px * by) / area
                        b = (ay * px - ax * py) / area
                        if a >= -1e-9 and b >= -1e-9 and a + b <= 1.0 + 1e-9:
                            out_y[y, x] = rows[oi] + a * (rows[ai] - rows[oi])
                            out_x[y, x] = columns[oj] + b * (columns[bj] - columns[oj])
