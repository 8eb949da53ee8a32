"""From the grid of a stack to the map.

Pixel coordinates count from the centre of the first pixel. Values are float arrays with NaN where nothing is known.
"""

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer

from groundshift.constants import EARTH_RADIUS
from groundshift.errors import NoDataError
from groundshift.geometry._kernels import fill_cells
from groundshift.types import Grid, MapGrid, RadarGrid

__all__ = ["geocode", "map_grid_for", "no_lookup", "pixels_of", "positions_on", "ring_to_lonlat", "sample_at"]

_LONGEST = 100.0
"""A radar cell longer on the map than this many usual ones joins places that are not neighbours."""

_METRES_PER_DEGREE = float(np.radians(1.0)) * EARTH_RADIUS


def map_grid_for(grid: Grid) -> MapGrid:
    """Return the map grid on which a grid's results are shown.

    Parameters
    ----------
    grid : MapGrid or RadarGrid
        Of a stack.

    Returns
    -------
    MapGrid
        A map grid itself; for a radar grid a north-up grid in longitude and latitude (EPSG:4326) that covers it, with
        square pixels on the ground of the same area as the radar's.

    Raises
    ------
    NoDataError
        If a radar grid has no longitude and latitude.
    """
    if isinstance(grid, MapGrid):
        return grid
    lon, lat = _lattice_lonlat(grid)[2:]
    if not np.isfinite(lon).any():
        raise no_lookup()
    size = float(np.sqrt(grid.spacing[0] * grid.spacing[1]))
    south, north = float(np.nanmin(lat)), float(np.nanmax(lat))
    west, east = float(np.nanmin(lon)), float(np.nanmax(lon))
    dlat = size / _METRES_PER_DEGREE
    dlon = dlat / float(np.cos(np.radians((south + north) / 2)))
    shape = (max(1, int(np.ceil((north - south) / dlat))), max(1, int(np.ceil((east - west) / dlon))))
    return MapGrid(shape, Affine(dlon, 0.0, west, 0.0, -dlat, north), "EPSG:4326")


def geocode(values: NDArray[Any], grid: Grid, target: MapGrid, *, nearest: bool = False) -> NDArray[Any]:
    """Put maps made on one grid onto a map grid.

    Parameters
    ----------
    values : (..., y, x) array
        On `grid`; NaN where unknown. Real or complex; integers and bools become float32.
    grid : MapGrid or RadarGrid
        Where `values` lie.
    target : MapGrid
        Where they are wanted, such as `map_grid_for(grid)`.
    nearest : bool
        Take the nearest pixel, for codes and masks; bilinear by default.

    Returns
    -------
    (..., y, x) float or complex array on `target`
        NaN outside `grid`, and where the nearest pixel is NaN. Beside NaN the mean is taken over what is known.

    Raises
    ------
    NoDataError
        If a radar grid has no longitude and latitude.
    ValueError
        If `values` have another shape than the grid.

    Notes
    -----
    A radar grid is laid out cell by cell between neighbouring pixel centres; in layover the cell nearest to the
    satellite is shown.
    """
    if values.shape[-2:] != grid.shape:
        raise ValueError(f"values must have shape (..., {grid.shape[0]}, {grid.shape[1]}), instead got {values.shape}")
    kind = np.result_type(values.dtype, np.float32) if values.dtype.kind in "fc" else np.dtype(np.float32)
    if grid is target or (isinstance(grid, MapGrid) and grid == target):
        return values.astype(kind)
    y, x = _coordinates(grid, target)
    flat = values.reshape(-1, *grid.shape)
    out = np.empty((flat.shape[0], *target.shape), kind)
    for band, layer in zip(out, flat, strict=True):
        band[...] = sample_at(layer.astype(kind, copy=False), y, x, nearest)
    return out.reshape(*values.shape[:-2], *target.shape)


def ring_to_lonlat(y: ArrayLike, x: ArrayLike, grid: Grid) -> NDArray[np.float64]:
    """Turn an outline in pixel coordinates into longitude and latitude.

    Parameters
    ----------
    y, x : (n,) array
        Rows and columns of the corners; those outside are moved to the outer edge of the grid.
    grid : MapGrid or RadarGrid
        The grid that the outline is drawn on.

    Returns
    -------
    (m, 2) float64 array
        Longitude and latitude in degrees, ready for `shapely.Polygon`. Corners that the grid cannot place are left
        out, so m <= n.

    Raises
    ------
    NoDataError
        If fewer than three corners can be placed.
    """
    rows = np.clip(np.asarray(y, np.float64), -0.5, grid.shape[0] - 0.5)
    columns = np.clip(np.asarray(x, np.float64), -0.5, grid.shape[1] - 0.5)
    ring = np.stack(grid.lonlat(rows, columns), axis=-1)
    ring = ring[np.isfinite(ring).all(axis=-1)]
    if len(ring) < 3:
        raise no_lookup()
    return np.asarray(ring)


def positions_on(
    grid: Grid, y: NDArray[Any], x: NDArray[Any], crs: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting and northing (or lon, lat) of pixels of a grid in another coordinate system."""
    if isinstance(grid, MapGrid) and grid.crs == crs:
        t = grid.transform
        return t.a * (x + 0.5) + t.b * (y + 0.5) + t.c, t.d * (x + 0.5) + t.e * (y + 0.5) + t.f
    lon, lat = grid.lonlat(y, x)
    east, north = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return np.asarray(east), np.asarray(north)


def pixels_of(
    grid: MapGrid, east: NDArray[np.float64], north: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of a map grid at positions in its own coordinate system; NaN for none."""
    inverse = ~grid.transform
    if CRS.from_user_input(grid.crs).is_geographic:
        # Longitudes may be told the other way round the Earth.
        middle = grid.transform.c + grid.transform.a * grid.shape[1] / 2
        east = middle + (east - middle + 180.0) % 360.0 - 180.0
    east, north = np.where(np.isfinite(east), east, np.nan), np.where(np.isfinite(north), north, np.nan)
    row = inverse.d * east + inverse.e * north + inverse.f - 0.5
    column = inverse.a * east + inverse.b * north + inverse.c - 0.5
    return row, column


def _coordinates(grid: Grid, target: MapGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of `grid` at every pixel of a map; NaN outside."""
    if isinstance(grid, MapGrid):
        y, x = np.meshgrid(np.arange(target.shape[0]), np.arange(target.shape[1]), indexing="ij")
        return pixels_of(grid, *positions_on(target, y, x, grid.crs))
    rows, columns, lon, lat = _lattice_lonlat(grid)
    if not np.isfinite(lon).any():
        raise no_lookup()
    east, north = Transformer.from_crs("EPSG:4326", target.crs, always_xy=True).transform(lon, lat)
    map_y, map_x = pixels_of(target, np.asarray(east), np.asarray(north))
    out_y, out_x = np.full(target.shape, np.nan), np.full(target.shape, np.nan)
    usual = max(1.0, grid.spacing[0] / target.spacing[0], grid.spacing[1] / target.spacing[1])
    fill_cells((rows, columns), (map_y, map_x), _LONGEST * usual, (out_y, out_x))
    return out_y, out_x


def _lattice_lonlat(grid: RadarGrid) -> tuple[NDArray[np.float64], ...]:
    """Rows, columns, longitudes and latitudes of pixel centres, with the outer edge of the grid around them."""
    rows, columns = (np.concatenate([[-0.5], np.arange(n), [n - 0.5]]) for n in grid.shape)
    lon, lat = grid.lonlat(*np.meshgrid(rows, columns, indexing="ij"))
    finite = lon[np.isfinite(lon)]
    if finite.size and np.ptp(finite) > 180.0:
        lon = lon % 360.0
    return rows, columns, lon, lat


def sample_at(field: NDArray[Any], y: NDArray[np.float64], x: NDArray[np.float64], nearest: bool) -> NDArray[Any]:
    """Take values at fractional pixel coordinates; NaN outside and where the nearest pixel is NaN."""
    height, width = field.shape
    inside = (y >= -0.5) & (y <= height - 0.5) & (x >= -0.5) & (x <= width - 0.5)
    rows, columns = np.where(inside, y, 0.0), np.where(inside, x, 0.0)
    closest = field[
        np.clip(np.floor(rows + 0.5).astype(np.intp), 0, height - 1),
        np.clip(np.floor(columns + 0.5).astype(np.intp), 0, width - 1),
    ]
    if nearest:
        return np.where(inside, closest, np.nan)
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    y0, x0 = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    fy, fx = rows - y0, columns - x0
    total, weight = np.zeros(y.shape, np.result_type(field.dtype, np.float64)), np.zeros(y.shape)
    for dy, dx, share in ((0, 0, (1 - fy) * (1 - fx)), (0, 1, (1 - fy) * fx), (1, 0, fy * (1 - fx)), (1, 1, fy * fx)):
        value = field[np.minimum(y0 + dy, height - 1), np.minimum(x0 + dx, width - 1)]
        known = np.isfinite(value)
        total += np.where(known, value, 0.0) * share
        weight += known * share
    good = inside & np.isfinite(closest) & (weight > 0)
    return np.where(good, total / np.where(good, weight, 1.0), np.nan)


def no_lookup() -> NoDataError:
    """Say that radar pixels have no place on Earth."""
    return NoDataError(
        "this radar grid has no longitude and latitude; give the product its lookup table or geometry files"
    )
