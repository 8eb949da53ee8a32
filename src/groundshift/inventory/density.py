"""How densely an area is strewn with targets: a kernel density map (Fu et al. (2022), 5.2 and Fig. 9).

Each target spreads over a disc of `radius_km` with the weight `3 / (pi R^2) (1 - (d / R)^2)^2`, which integrates to
one, so the map is in targets per square kilometre and its sum over the area is their number. Fu et al. (2022) calls
more than 0.1 per km2 high; its kernel and radius are not stated.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.spatial import KDTree
from shapely import MultiPolygon, Polygon

from groundshift.checks import check_positive
from groundshift.errors import NoDataError
from groundshift.inventory.merge import metres_per_degree
from groundshift.inventory.model import Target
from groundshift.io.rasters import write_geotiff
from groundshift.types import MapGrid

__all__ = ["density", "write_density"]

_RINGS, _SPOKES = 8, 24
_MIN_SHARE = 0.2
"""Below this share of its kernel inside the surveyed area a pixel says nothing; a right-angled corner keeps 0.25."""


def density(
    targets: Sequence[Target],
    grid_or_cell_km: MapGrid | float = 1.0,
    radius_km: float = 10.0,
    *,
    surveyed: Polygon | MultiPolygon | None = None,
) -> tuple[NDArray[np.float32], MapGrid]:
    """Map the density of targets.

    Parameters
    ----------
    targets : sequence of Target
        All of them count, at their centroids; leave out beforehand what was rejected or has vanished.
    grid_or_cell_km : MapGrid or float
        Where to map it; or the pixel size in km of an equal-area grid around the surveyed area or, without one, that
        reaches `radius_km` beyond the outermost targets.
    radius_km : float
        Radius of the kernel in km.
    surveyed : polygon, optional
        What has been looked at (EPSG:4326).

    Returns
    -------
    values : (y, x) float32 array
        Targets per km2; NaN outside `surveyed`.
    grid : MapGrid
        Where they lie.

    Raises
    ------
    NoDataError
        If there is nothing to put a grid around.
    ValueError
        If a size is not positive, or pixels are larger than the radius.

    Notes
    -----
    Near the edge of the surveyed area part of each kernel lies where nobody has looked. With `surveyed` each pixel is
    divided by the share of its kernel inside that area, so evenly strewn targets give an even map up to the edge; where
    the share is below 0.2 the map is NaN. Without it the map falls off beyond the last target and says nothing about
    whether anything was looked for there. Targets beyond a given grid count where their kernels reach into it.
    """
    check_positive("radius_km", radius_km)
    lon = np.array([t.geometry.centroid.x for t in targets], np.float64)
    lat = np.array([t.geometry.centroid.y for t in targets], np.float64)
    if isinstance(grid_or_cell_km, MapGrid):
        grid = grid_or_cell_km
    else:
        check_positive("grid_or_cell_km", grid_or_cell_km)
        grid = _grid_around(lon, lat, grid_or_cell_km, 0.0 if surveyed else radius_km, surveyed)
    if max(grid.spacing) > 1000 * radius_km:
        raise ValueError(
            f"pixels must not exceed radius_km = {radius_km}, instead got {max(grid.spacing) / 1000:.3g} km"
        )
    y, x = np.mgrid[: grid.shape[0], : grid.shape[1]]
    pixel_lon, pixel_lat = (a.ravel() for a in grid.lonlat(y, x))
    values = np.zeros(pixel_lon.size)
    if len(targets):
        # Chords through the ellipsoid: a few parts in a million shorter than the ground at these distances.
        pixels = KDTree(_cartesian_km(pixel_lon, pixel_lat))
        for place in _cartesian_km(lon, lat):
            near = np.asarray(pixels.query_ball_point(place, radius_km), np.intp)
            ratio2 = np.sum((np.asarray(pixels.data)[near] - place) ** 2, axis=1) / radius_km**2
            values[near] += 3.0 / (math.pi * radius_km**2) * (1.0 - ratio2) ** 2
    if surveyed is not None:
        share = _share_inside(pixel_lon, pixel_lat, radius_km, surveyed)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(share >= _MIN_SHARE, values / share, np.nan)
    return values.reshape(grid.shape).astype(np.float32), grid


def write_density(path: Path, values: NDArray[np.float32], grid: MapGrid) -> None:
    """Write a density map as GeoTIFF, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_geotiff(path, values, grid, nodata=float("nan"), description="density of targets", unit="1/km2")


def _cartesian_km(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Earth-centred coordinates in km of points on the ellipsoid, shape (point, 3)."""
    to_space = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    return np.stack(to_space.transform(lon, lat, np.zeros_like(lon)), axis=-1) / 1000.0


def _grid_around(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    cell_km: float,
    margin_km: float,
    surveyed: Polygon | MultiPolygon | None,
) -> MapGrid:
    """Put an equal-area grid around the surveyed area, or around points with a margin."""
    if surveyed is not None:
        lon, lat = shapely.get_coordinates(surveyed).T
    if not len(lon):
        raise NoDataError("no targets and no surveyed area to map a density of; give one of them")
    lon0, lat0 = round((lon.min() + lon.max()) / 2, 3), round((lat.min() + lat.max()) / 2, 3)
    crs = f"+proj=laea +lat_0={lat0} +lon_0={lon0} +datum=WGS84 +units=m +type=crs"
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    cell, margin = 1000 * cell_km, 1000 * margin_km
    west, north = math.floor((x.min() - margin) / cell), math.ceil((y.max() + margin) / cell)
    width = max(1, math.ceil((x.max() + margin) / cell) - west)
    height = max(1, north - math.floor((y.min() - margin) / cell))
    return MapGrid((height, width), Affine(cell, 0, west * cell, 0, -cell, north * cell), crs)


def _share_inside(
    lon: NDArray[np.float64], lat: NDArray[np.float64], radius_km: float, surveyed: Polygon | MultiPolygon
) -> NDArray[np.float64]:
    """Share of the kernel around each point that lies inside the surveyed area; zero for points outside of it."""
    shapely.prepare(surveyed)
    share = shapely.contains_xy(surveyed, lon, lat).astype(np.float64)
    north, east = metres_per_degree(lat)
    # Only points within a radius of the boundary need the sum; a degree of longitude is the shorter one.
    reach = float(np.max(1000 * radius_km / np.minimum(north, np.maximum(east, 1.0)))) * 1.01
    boundary = surveyed.boundary
    shapely.prepare(boundary)
    edge = np.flatnonzero((share > 0) & shapely.dwithin(np.asarray(shapely.points(lon, lat)), boundary, reach))
    inside = np.zeros(edge.size)
    # The kernel's mass within d is 1 - (1 - (d / R)^2)^3: rings of equal mass, each at its middle, with even spokes.
    mass = (np.arange(_RINGS) + 0.5) / _RINGS
    for ring in np.sqrt(1.0 - np.cbrt(1.0 - mass)) * 1000 * radius_km:
        for angle in (np.arange(_SPOKES) + 0.5) * (2 * math.pi / _SPOKES):
            inside += shapely.contains_xy(
                surveyed,
                lon[edge] + ring * math.sin(angle) / east[edge],
                lat[edge] + ring * math.cos(angle) / north[edge],
            )
    share[edge] = inside / (_RINGS * _SPOKES)
    return share
