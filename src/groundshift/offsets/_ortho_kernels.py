"""Compiled loops of laying images over the ground: drawing a DEM into an image, shadow, interpolation."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from groundshift.geometry._cells import box_of, corners_of

__all__ = ["TAPS", "add_area", "draw_ground", "interpolate", "mark_shadow"]

TAPS = 8
"""Pixels along each side that an interpolated one is made of."""
_EDGE = 1e-9
"""Pixels on the edge of two triangles belong to both."""


@njit(cache=True, nogil=True)
def draw_ground(
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    surface: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    regular: float,
    out: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32], NDArray[np.bool_]],
) -> None:  # pragma: no cover - compiled
    """Draw the triangles of a surface into an image; where it folds over itself the highest sheet is kept.

    `place` holds rows and columns of the nodes (m, n), in pixels of the image; `surface` their longitude, latitude
    and height, which are interpolated linearly into the first three of `out`, (y, x). The last one is set where a
    triangle lies whose sense of rotation is not `regular` (+1 or -1): there the surface has several sheets.
    """
    line, column = place
    lon, lat, height = surface
    out_lon, out_lat, out_height, layover = out
    rows, columns = layover.shape
    for i in range(line.shape[0] - 1):
        for j in range(line.shape[1] - 1):
            first_y, last_y, first_x, last_x, _ = box_of(line, column, i, j, rows, columns)
            if first_y > last_y:
                continue
            if not np.isfinite(height[i, j] + height[i, j + 1] + height[i + 1, j] + height[i + 1, j + 1]):
                continue
            for half in range(2):
                # Corner o with its neighbours along rows (a) and along columns (b).
                oi, oj, ai, bj = corners_of(i, j, half)
                ay, ax = line[ai, oj] - line[oi, oj], column[ai, oj] - column[oi, oj]
                by, bx = line[oi, bj] - line[oi, oj], column[oi, bj] - column[oi, oj]
                area = ay * bx - ax * by
                if area == 0.0:
                    continue
                for y in range(first_y, last_y + 1):
                    for x in range(first_x, last_x + 1):
                        py, px = y - line[oi, oj], x - column[oi, oj]
                        a = (py * bx - px * by) / area
                        b = (ay * px - ax * py) / area
                        if a < -_EDGE or b < -_EDGE or a + b > 1.0 + _EDGE:
                            continue
                        if area * regular < 0.0:
                            layover[y, x] = True
                        o = height[oi, oj]
                        h = o + a * (height[ai, oj] - o) + b * (height[oi, bj] - o)
                        if h <= out_height[y, x]:
                            continue
                        out_height[y, x] = h
                        o = lon[oi, oj]
                        out_lon[y, x] = o + a * (lon[ai, oj] - o) + b * (lon[oi, bj] - o)
                        o = lat[oi, oj]
                        out_lat[y, x] = o + a * (lat[ai, oj] - o) + b * (lat[oi, bj] - o)


@njit(cache=True, nogil=True)
def _lit_area(
    ground: NDArray[np.float64], i: int, j: int, satellite: NDArray[np.float64]
) -> float:  # pragma: no cover - compiled
    """Return the area of a cell in space, from its diagonals; 0 if it turns its back to the satellite."""
    o, a, b, c = ground[i, j], ground[i + 1, j], ground[i, j + 1], ground[i + 1, j + 1]
    px, py, pz = c[0] - o[0], c[1] - o[1], c[2] - o[2]
    qx, qy, qz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
    up = nx * o[0] + ny * o[1] + nz * o[2]
    towards = nx * (satellite[0] - o[0]) + ny * (satellite[1] - o[1]) + nz * (satellite[2] - o[2])
    if up * towards <= 0.0:
        return 0.0
    return 0.5 * float(np.sqrt(nx * nx + ny * ny + nz * nz))


@njit(cache=True, nogil=True)
def add_area(
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    ground: NDArray[np.float64],
    satellite: NDArray[np.float64],
    area: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Add the area of a surface's cells to the pixels of an image that show them.

    `place` holds rows and columns of the nodes (m, n), `ground` their positions (m, n, 3), `satellite` where it was
    for each row of the image (y, 3), `area` square metres (y, x). A cell is cut into parts of half a pixel at most;
    each is shared by the four pixels around it.
    """
    line, column = place
    rows, columns = area.shape
    for i in range(line.shape[0] - 1):
        for j in range(line.shape[1] - 1):
            low_y = min(line[i, j], line[i, j + 1], line[i + 1, j], line[i + 1, j + 1])
            high_y = max(line[i, j], line[i, j + 1], line[i + 1, j], line[i + 1, j + 1])
            low_x = min(column[i, j], column[i, j + 1], column[i + 1, j], column[i + 1, j + 1])
            high_x = max(column[i, j], column[i, j + 1], column[i + 1, j], column[i + 1, j + 1])
            if not (high_y > -1 and high_x > -1 and low_y < rows and low_x < columns):
                continue
            y0, ya, yb = line[i, j], line[i + 1, j] - line[i, j], line[i, j + 1] - line[i, j]
            x0, xa, xb = column[i, j], column[i + 1, j] - column[i, j], column[i, j + 1] - column[i, j]
            yc = line[i + 1, j + 1] - y0 - ya - yb
            xc = column[i + 1, j + 1] - x0 - xa - xb
            whole = _lit_area(ground, i, j, satellite[min(max(int(y0), 0), rows - 1)])
            # Also where a corner is not known.
            if not (whole > 0.0 and np.isfinite(yc + xc)):
                continue
            down = 1 + int(2.0 * max(abs(ya), abs(xa), abs(ya + yc), abs(xa + xc)))
            right = 1 + int(2.0 * max(abs(yb), abs(xb), abs(yb + yc), abs(xb + xc)))
            part = whole / (down * right)
            for k in range(down):
                a = (k + 0.5) / down
                for m in range(right):
                    b = (m + 0.5) / right
                    y, x = y0 + a * ya + b * yb + a * b * yc, x0 + a * xa + b * xb + a * b * xc
                    top, left = int(np.floor(y)), int(np.floor(x))
                    fy, fx = y - top, x - left
                    for dy in range(2):
                        for dx in range(2):
                            if 0 <= top + dy < rows and 0 <= left + dx < columns:
                                share = (fy if dy else 1.0 - fy) * (fx if dx else 1.0 - fx)
                                area[top + dy, left + dx] += part * share


@njit(cache=True, nogil=True)
def mark_shadow(
    satellite: NDArray[np.float64], ground: NDArray[np.float64], shadow: NDArray[np.bool_]
) -> None:  # pragma: no cover - compiled
    """Mark pixels whose ground lies behind nearer ground that stands higher in the radar's view.

    `satellite` (y, 3) is where it was for each row, `ground` (y, x, 3) positions, NaN where unknown; columns run away
    from the radar. The look angle, from the direction to the Earth's centre, must not fall along a row.
    """
    for y in range(shadow.shape[0]):
        sx, sy, sz = satellite[y, 0], satellite[y, 1], satellite[y, 2]
        high = np.sqrt(sx * sx + sy * sy + sz * sz)
        lowest = 2.0
        for x in range(shadow.shape[1]):
            dx, dy, dz = ground[y, x, 0] - sx, ground[y, x, 1] - sy, ground[y, x, 2] - sz
            cosine = -(dx * sx + dy * sy + dz * sz) / (high * np.sqrt(dx * dx + dy * dy + dz * dz))
            if np.isnan(cosine):
                continue
            if cosine > lowest:
                shadow[y, x] = True
            else:
                lowest = cosine


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def interpolate(
    image: NDArray[np.float32],
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Interpolate an image at the places of every pixel of `out`, (y, x).

    `weights` (fraction, TAPS) are those of the fractions k / (len - 1) of a pixel. Zeros of the image, and what lies
    outside, carry no weight; where the nearest pixel is one of them, or most of the weight is lost, the result is 0.
    """
    line, column = place
    rows, columns = image.shape
    before = TAPS // 2 - 1
    fine = weights.shape[0] - 1
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = 0.0
            y, x = line[i, j], column[i, j]
            if not (-0.5 <= y < rows - 0.5 and -0.5 <= x < columns - 0.5):
                continue
            top, left = int(np.floor(y)), int(np.floor(x))
            if image[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))] == 0.0:
                continue
            wy, wx = weights[int((y - top) * fine + 0.5)], weights[int((x - left) * fine + 0.5)]
            top -= before
            left -= before
            total, value = np.float32(0.0), np.float32(0.0)
            inside = left >= 0 and left + TAPS <= columns
            for k in range(max(0, -top), min(TAPS, rows - top)):
                row_total, row_value = np.float32(0.0), np.float32(0.0)
                if inside:
                    for m in range(TAPS):
                        v = image[top + k, left + m]
                        row_total += wx[m] if v != 0.0 else np.float32(0.0)
                        row_value += wx[m] * v
                else:
                    for m in range(max(0, -left), min(TAPS, columns - left)):
                        v = image[top + k, left + m]
                        row_total += wx[m] if v != 0.0 else np.float32(0.0)
                        row_value += wx[m] * v
                total += wy[k] * row_total
                value += wy[k] * row_value
            if total > 0.5:
                out[i, j] = max(value / total, np.float32(0.0))
