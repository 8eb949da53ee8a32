"""Turn a geocoding lookup table round: from "where on the radar image is this map pixel" to "where on the map".

A table gives a radar column and line for each map pixel. Four neighbouring map pixels span a cell, which is cut into
two triangles; each triangle is drawn into the radar image, its fields interpolated linearly between the corners.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.geometry._cells import box_of, corners_of

__all__ = ["LookupInverter", "invert_lookup"]

_LONGEST = 200.0
"""Cells longer than this many radar pixels come from wrong entries of the table, not from terrain."""


def invert_lookup(
    line: NDArray[np.floating], column: NDArray[np.floating], fields: NDArray[np.floating], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Bring fields of the map into radar geometry through a lookup table.

    Parameters
    ----------
    line, column : (map_y, map_x) array
        Radar coordinates of each map pixel, in pixels counted from the centre of the first; NaN where the table has
        no entry. They may lie outside the radar image.
    fields : (field, map_y, map_x) array
        What to interpolate, such as longitude, latitude and height; NaN where unknown.
    shape : (int, int)
        Lines and columns of the radar image.

    Returns
    -------
    (field, *shape) float64 array
        Fields at radar pixel centres, NaN where no cell of the map covers one.

    Raises
    ------
    ValueError
        If the shapes do not agree.

    Notes
    -----
    In layover several cells cover one radar pixel: the result is their mean, as the radar adds up their echoes.

    Examples
    --------
    >>> y, x = np.mgrid[:5, :5].astype(float)
    >>> invert_lookup(2 * y, 2 * x, np.stack([10 * x]), (3, 4))[0]
    array([[ 0.,  5., 10., 15.],
           [ 0.,  5., 10., 15.],
           [ 0.,  5., 10., 15.]])
    """
    inverter = LookupInverter(len(fields), shape)
    inverter.add(line, column, fields)
    return inverter.result()


class LookupInverter:
    """Inversion of a table too large to hold at once: strips of map rows are added one after the other.

    Parameters
    ----------
    n_fields : int
        Number of fields.
    shape : (int, int)
        Lines and columns of the radar image.
    """

    def __init__(self, n_fields: int, shape: tuple[int, int]) -> None:
        self._sums = np.zeros((n_fields, *shape))
        self._counts = np.zeros((n_fields, *shape), np.uint32)

    def add(self, line: NDArray[np.floating], column: NDArray[np.floating], fields: NDArray[np.floating]) -> None:
        """Add a strip of map rows; consecutive strips share one row, so that no cell is left out.

        Parameters and errors are those of `invert_lookup`.
        """
        check_shape("column", column, line.shape)
        check_shape("fields", fields, (len(self._sums), *line.shape))
        _draw(
            np.ascontiguousarray(line, np.float64),
            np.ascontiguousarray(column, np.float64),
            np.ascontiguousarray(fields, np.float64),
            self._sums,
            self._counts,
        )

    def result(self) -> NDArray[np.float64]:
        """Return the fields in radar geometry, shape (field, y, x), NaN where no cell covered a pixel."""
        out = np.full_like(self._sums, np.nan)
        np.divide(self._sums, self._counts, out=out, where=self._counts > 0)
        return out


@njit(cache=True, nogil=True)
def _draw(
    line: NDArray[np.float64],
    column: NDArray[np.float64],
    fields: NDArray[np.float64],
    sums: NDArray[np.float64],
    counts: NDArray[np.uint32],
) -> None:  # pragma: no cover - compiled
    """Draw both triangles of every cell into `sums` and `counts`."""
    height, width = sums.shape[1:]
    for i in range(line.shape[0] - 1):
        for j in range(line.shape[1] - 1):
            first_y, last_y, first_x, last_x, longest = box_of(line, column, i, j, height, width)
            if first_y > last_y or longest > _LONGEST:
                continue
            for half in range(2):
                # Corner o of the right angle on the map, a its neighbour along rows, b along columns.
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
                        if a < -1e-9 or b < -1e-9 or a + b > 1.0 + 1e-9:
                            continue
                        for k in range(fields.shape[0]):
                            o = fields[k, oi, oj]
                            value = o + a * (fields[k, ai, oj] - o) + b * (fields[k, oi, bj] - o)
                            if not np.isnan(value):
                                sums[k, y, x] += value
                                counts[k, y, x] += 1
