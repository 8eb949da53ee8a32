"""Which pixels of a grid lie in a polygon on Earth."""

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from groundshift.types import Grid, Window

__all__ = ["pixels_within"]

_LATTICE = 200
"""Points along the longer side of the lattice on which a polygon is looked for first."""


def pixels_within(shape: Polygon | MultiPolygon, grid: Grid) -> tuple[Window, NDArray[np.bool_]] | None:
    """Find the pixels of a grid whose centres lie in a polygon.

    Parameters
    ----------
    shape : Polygon or MultiPolygon
        In longitude and latitude.
    grid : MapGrid or RadarGrid

    Returns
    -------
    window, inside
        The smallest window that holds them, and (y, x) bool over it; None if there are none.
    """
    west, south, east, north = shape.bounds
    step = max(1, max(grid.shape) // _LATTICE)
    rows, columns = (np.unique([*range(0, n, step), n - 1]) for n in grid.shape)
    lon, lat = grid.lonlat(*np.meshgrid(rows.astype(float), columns.astype(float), indexing="ij"))
    # As wide as the lattice is coarse, so that a polygon between its points is not lost.
    wide, high = (_largest_step(field) for field in (lon, lat))
    with np.errstate(invalid="ignore"):
        near = (lon >= west - wide) & (lon <= east + wide) & (lat >= south - high) & (lat <= north + high)
    if not near.any():
        return None
    y, x = np.nonzero(near)
    top, bottom = max(rows[y.min()] - step, 0), min(rows[y.max()] + step + 1, grid.shape[0])
    left, right = max(columns[x.min()] - step, 0), min(columns[x.max()] + step + 1, grid.shape[1])
    lon, lat = grid.lonlat(
        *np.meshgrid(np.arange(top, bottom, dtype=float), np.arange(left, right, dtype=float), indexing="ij")
    )
    shapely.prepare(shape)
    inside = shapely.contains_xy(shape, np.nan_to_num(lon, nan=math.inf), np.nan_to_num(lat, nan=math.inf))
    if not inside.any():
        return None
    y, x = np.nonzero(inside)
    window = Window(int(top + y.min()), int(left + x.min()), int(np.ptp(y)) + 1, int(np.ptp(x)) + 1)
    return window, inside[y.min() : y.max() + 1, x.min() : x.max() + 1]


def _largest_step(field: NDArray[np.float64]) -> float:
    """Return the largest difference between neighbours, degrees."""
    steps = [np.abs(np.diff(field, axis=axis)) for axis in (0, 1)]
    known = np.concatenate([s[np.isfinite(s) & (s < 180)] for s in steps])
    return float(known.max()) if known.size else 0.0
