"""Where patches of moving ground are cut out of interferograms, and their masks: the way of the ISSLIDE data set.

All polygons of a zone, of all dates and delays, are drawn on one map of 1e-4 degrees; each local maximum of the
distance from quiet ground is a place. Polygons of one interferogram are drawn alike and taken to its pixels by the
nearest one.

Longitude and latitude are WGS84 degrees.

References
----------
[Bralet2024], section III C.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt
from shapely.geometry.base import BaseGeometry
from skimage.feature import peak_local_max

from groundshift.io.isslide import SIDE
from groundshift.types import MapGrid, Window

__all__ = ["Movement", "Place", "find_places", "mask_on", "window_of"]

_FINE_DEG = 1e-4
"""Pixel of the map that polygons are drawn on."""
_APART = 10
"""Pixels of that map that maxima are apart at least."""
_NEAR_DEG = 1.315e-4
"""A movement whose polygon comes as near as this in both directions gives a place its number: one pixel of the set."""


class Movement(NamedTuple):
    """A polygon that somebody drew."""

    geometry: BaseGeometry
    id: int
    """1 or more."""


class Place(NamedTuple):
    """Where patches are cut, at all dates."""

    number: int
    """0 for the place deepest in moving ground."""
    move_id: int
    longitude: float
    latitude: float

    @property
    def name(self) -> str:
        """Of its patches."""
        return f"{self.move_id}_{self.number}"


def find_places(movements: Sequence[Movement]) -> list[Place]:
    """Find the places of a zone.

    Parameters
    ----------
    movements : sequence of Movement
        All polygons of all dates and delays of the zone.

    Returns
    -------
    list of Place
        Farthest from quiet ground first; none without movements.

    Notes
    -----
    The distance is exact, where the authors took a 5 x 5 chamfer distance, which is within 2 % of it. They left out
    maxima within 10 pixels of the box around all polygons; here they count. Where polygons lie over each other the
    larger number is drawn.

    Examples
    --------
    >>> from shapely import box
    >>> find_places([Movement(box(6.0, 45.0, 6.01, 45.01), 7)])[0].name
    '7_0'
    """
    drawn = [m for m in movements if not m.geometry.is_empty]
    if not drawn:
        return []
    # A frame of quiet ground, so that those at the border have one too.
    ids, transform = _drawn(drawn)
    framed = np.pad(ids, _APART + 1)
    distance = distance_transform_edt(framed > 0)
    peaks = peak_local_max(distance, min_distance=_APART, exclude_border=False) - (_APART + 1)
    reach = math.ceil(_NEAR_DEG / _FINE_DEG)
    places = []
    for number, (row, column) in enumerate(peaks.tolist()):
        near = ids[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
        longitude, latitude = transform @ (column + 0.5, row + 0.5)
        places.append(Place(number, int(near.max()), longitude, latitude))
    return places


def mask_on(grid: MapGrid, movements: Sequence[Movement]) -> NDArray[np.bool_]:
    """Draw the movements of one interferogram on its pixels.

    Parameters
    ----------
    grid : MapGrid
        In WGS84 degrees.
    movements : sequence of Movement
        None where the ground is quiet.

    Returns
    -------
    (y, x) bool array
        True where the pixel's centre lies on a cell of 1e-4 degrees that a polygon touches.
    """
    mask = np.zeros(grid.shape, np.bool_)
    drawn = [m for m in movements if not m.geometry.is_empty]
    if not drawn:
        return mask
    ids, transform = _drawn(drawn)
    longitude = grid.transform.c + grid.transform.a * (np.arange(grid.shape[1]) + 0.5)
    latitude = grid.transform.f + grid.transform.e * (np.arange(grid.shape[0]) + 0.5)
    columns = np.floor((longitude - transform.c) / transform.a).astype(np.intp)
    rows = np.floor((latitude - transform.f) / transform.e).astype(np.intp)
    across = (columns >= 0) & (columns < ids.shape[1])
    down = (rows >= 0) & (rows < ids.shape[0])
    mask[np.ix_(down, across)] = ids[np.ix_(rows[down], columns[across])] > 0
    return mask


def window_of(place: Place, grid: MapGrid) -> Window | None:
    """Return the window of 100 x 100 pixels around a place, moved inwards at the border of the grid.

    None where the place lies outside the grid, or the grid is smaller than a patch.
    """
    column, row = ~grid.transform @ (place.longitude, place.latitude)
    rows, columns = grid.shape
    if not (0 <= row < rows and 0 <= column < columns) or min(rows, columns) < SIDE:
        return None
    top, left = (
        min(max(math.ceil(at - 0.5 - SIDE / 2), 0), size - SIDE)
        for at, size in ((row, rows), (column, columns))
    )  # fmt: skip
    return Window(top, left, SIDE, SIDE)


def _drawn(movements: Sequence[Movement]) -> tuple[NDArray[np.int32], Affine]:
    """Draw polygons with their numbers on the map that just holds them; every cell that they touch counts."""
    bounds = np.array([m.geometry.bounds for m in movements])
    west, south = bounds[:, :2].min(0)
    east, north = bounds[:, 2:].max(0)
    shape = tuple(max(1, math.ceil(extent / _FINE_DEG)) for extent in (north - south, east - west))
    transform = Affine(_FINE_DEG, 0, west, 0, -_FINE_DEG, north)
    ordered = sorted(movements, key=lambda m: m.id)
    ids = rasterize(
        ((m.geometry, m.id) for m in ordered), out_shape=shape, transform=transform, all_touched=True, dtype="int32"
    )
    return np.asarray(ids, np.int32), transform
