"""Slope and aspect of the terrain, and what a radar sees of motion down the slope.

Heights are in metres, angles in degrees. Slope is the angle between ground and horizontal; aspect is the direction
the slope faces (downhill), clockwise from north. Unit vectors are (east, north, up).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod
from scipy import ndimage

from groundshift.checks import check_positive, check_shape
from groundshift.types import Grid, LookGeometry, MapGrid, RadarGrid

__all__ = [
    "MINIMUM_SENSITIVITY",
    "DownslopeVelocity",
    "SlopeAspect",
    "downslope_sensitivity",
    "downslope_velocity",
    "mean_slope_aspect",
    "slope_aspect",
]

MINIMUM_SENSITIVITY = 0.3
"""Below this share of the down-slope motion in the line of sight, noise grows more than threefold."""

_LATTICE = 32
"""Pixels between the points where the directions of a map grid are worked out; they change slowly."""

_FOLDED = 0.05
"""A radar pixel whose ground area is below this share of the usual one, or reversed, has no gradient."""

_ELLIPSOID = Geod(ellps="WGS84")


class SlopeAspect(NamedTuple):
    """Steepness and direction of the terrain."""

    slope: NDArray[np.float32]
    """Degrees in [0, 90), shape (y, x); NaN where unknown."""
    aspect: NDArray[np.float32]
    """Degrees clockwise from north in [0, 360), downhill, shape (y, x); NaN where unknown or exactly level."""


class DownslopeVelocity(NamedTuple):
    """Velocity along the slope, positive downhill, in the unit of the line-of-sight velocity it is made from."""

    velocity: NDArray[np.float64]
    sigma: NDArray[np.float64]


def slope_aspect(
    height: NDArray[np.float32], grid: Grid, *, smoothing: float = 0.0, look: LookGeometry | None = None
) -> SlopeAspect:
    """Work out slope and aspect of a terrain on any grid.

    Parameters
    ----------
    height : (y, x) float array
        Metres; NaN where unknown.
    grid : MapGrid or RadarGrid
        Where the pixels lie. True east and north are followed from `grid.lonlat`, also on a rotated map projection
        and on radar pixels, whose ground size changes with the slope itself.
    smoothing : float
        Full width at half maximum of a Gaussian, in metres; 0 for none. 100 to 200 m are usual before motion
        is projected on the slope.
    look : LookGeometry, optional
        Only for radar grids without longitude and latitude: azimuth is then taken along the heading and range across
        it, on level ground. Without it such a grid has NaN everywhere.

    Returns
    -------
    SlopeAspect
        NaN where the height is unknown, where no neighbour along an axis is known, and where radar pixels fold over
        each other (layover).

    Raises
    ------
    ValueError
        If `height` has another shape than the grid, or `smoothing` is negative.

    Notes
    -----
    Differences are central where both neighbours are known, else one-sided. The Gaussian is applied to the gradient,
    which equals differencing a smoothed DEM where all is known, and keeps an inclined plane exact beside gaps and
    edges, where a smoothed height would bend.

    Examples
    --------
    A plane that rises by one metre per metre towards the north faces south at 45 degrees:

    >>> from affine import Affine
    >>> grid = MapGrid((4, 5), Affine(10, 0, 500_000, 0, -10, 0), "EPSG:32633")
    >>> north = -10.0 * np.arange(4)[:, None] * np.ones((1, 5))
    >>> terrain = slope_aspect(north.astype(np.float32), grid)
    >>> float(terrain.slope[1, 1].round(1)), float(terrain.aspect[1, 1].round(1))
    (45.0, 180.0)
    """
    check_shape("height", height, grid.shape)
    if smoothing:
        check_positive("smoothing", smoothing)
    east, north = _gradient(np.asarray(height, np.float64), grid, look)
    if smoothing:
        sigma = smoothing / np.sqrt(8 * np.log(2))
        pixels = (sigma / grid.spacing[0], sigma / grid.spacing[1])
        east, north = _smoothed(east, pixels), _smoothed(north, pixels)
    steepness = np.hypot(east, north)
    aspect = np.degrees(np.arctan2(-east, -north)) % 360.0
    aspect = np.where(steepness > 0, aspect, np.nan).astype(np.float32)
    # A bearing just below 360 rounds up to it in single precision.
    aspect = np.where(aspect >= 360.0, np.float32(0.0), aspect)
    return SlopeAspect(np.degrees(np.arctan(steepness)).astype(np.float32), aspect.astype(np.float32))


def mean_slope_aspect(terrain: SlopeAspect, inside: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Average slope and aspect over the pixels of a body.

    Parameters
    ----------
    terrain : SlopeAspect
        Slope and aspect, (y, x).
    inside : (y, x) bool array
        Pixels of the body.

    Returns
    -------
    slope, aspect : float or None
        Mean slope, and the direction of the mean gradient vector (so that 350 and 10 degrees average to 0), in
        degrees; None if no pixel inside has a known slope. Aspect is NaN on level ground.
    """
    check_shape("inside", inside, terrain.slope.shape)
    slope = terrain.slope[inside & np.isfinite(terrain.slope)].astype(np.float64)
    aspect = terrain.aspect[inside & np.isfinite(terrain.slope)].astype(np.float64)
    if slope.size == 0:
        return None
    fall = np.where(np.isfinite(aspect), np.tan(np.radians(slope)), 0.0)
    bearing = np.radians(np.nan_to_num(aspect))
    east, north = float(np.mean(fall * np.sin(bearing))), float(np.mean(fall * np.cos(bearing)))
    direction = float(np.degrees(np.arctan2(east, north))) % 360.0 if east or north else float("nan")
    return float(slope.mean()), direction


def downslope_sensitivity(slope: ArrayLike, aspect: ArrayLike, look: LookGeometry) -> NDArray[np.float64]:
    """Return which share of motion down the slope shows along the line of sight.

    Parameters
    ----------
    slope, aspect : array, broadcast together
        Degrees, as `slope_aspect` gives them.
    look : LookGeometry
        How the satellite looks.

    Returns
    -------
    float64 array
        C in [-1, 1]: LOS velocity (towards the satellite) = C x velocity down the slope. NaN where unknown.

    Notes
    -----
    C = l . s with l the unit vector from ground to satellite and s = (sin A cos b, cos A cos b, -sin b), A aspect and
    b slope.

    Examples
    --------
    Looking straight down, motion down a 30 degree slope moves away at half its speed:

    >>> float(downslope_sensitivity(30.0, 0.0, LookGeometry(heading=0.0, incidence=0.0)).round(3))
    -0.5
    """
    b, a = np.radians(np.asarray(slope, np.float64)), np.radians(np.asarray(aspect, np.float64))
    east, north, up = look.to_satellite
    return np.asarray(east * np.sin(a) * np.cos(b) + north * np.cos(a) * np.cos(b) - up * np.sin(b))


def downslope_velocity(
    v_los: ArrayLike, sigma: ArrayLike, sensitivity: ArrayLike, *, minimum: float = MINIMUM_SENSITIVITY
) -> DownslopeVelocity:
    """Project line-of-sight velocity on the direction down the slope.

    Parameters
    ----------
    v_los, sigma : array, broadcast together
        Velocity towards the satellite and its standard error, any one unit.
    sensitivity : array
        C of `downslope_sensitivity`.
    minimum : float
        Smallest |C| that is projected.

    Returns
    -------
    DownslopeVelocity
        v_los / C and sigma / |C|. Both are NaN where an input is NaN, where |C| is below `minimum`, and where the
        motion would go upslope by more than two standard errors: the ground then does not move down its slope.
    """
    check_positive("minimum", minimum)
    v, error, c = np.broadcast_arrays(
        np.asarray(v_los, np.float64), np.asarray(sigma, np.float64), np.asarray(sensitivity, np.float64)
    )
    usable = np.abs(c) >= minimum
    divisor = np.where(usable, c, 1.0)
    velocity, spread = v / divisor, error / np.abs(divisor)
    kept = usable & (velocity >= -2.0 * spread)
    return DownslopeVelocity(np.where(kept, velocity, np.nan), np.where(kept, spread, np.nan))


def _gradient(
    height: NDArray[np.float64], grid: Grid, look: LookGeometry | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rise of the terrain per metre to the east and to the north."""
    known = np.isfinite(height)
    along_y, along_x = _difference(height, known, 0), _difference(height, known, 1)
    east_y, north_y, east_x, north_x = _steps(grid, known, look)
    area = east_x * north_y - east_y * north_x
    usual = np.nanmedian(area) if np.isfinite(area).any() else np.nan
    if isinstance(grid, RadarGrid):
        area = np.where(area / usual > _FOLDED, area, np.nan)
    return (along_x * north_y - along_y * north_x) / area, (along_y * east_x - along_x * east_y) / area


def _difference(field: NDArray[np.float64], known: NDArray[np.bool_], axis: int) -> NDArray[np.float64]:
    """Change per pixel along an axis: central, one-sided beside what is not known, NaN where alone."""
    values = np.moveaxis(field, axis, 0)
    usable = np.moveaxis(known, axis, 0)
    step = np.where(usable[1:] & usable[:-1], values[1:] - values[:-1], 0.0)
    there = (usable[1:] & usable[:-1]).astype(np.int8)
    total, count = np.zeros(values.shape), np.zeros(values.shape, np.int8)
    total[1:], count[1:] = step, there
    total[:-1] += step
    count[:-1] += there
    out = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.moveaxis(out, 0, axis)


def _steps(grid: Grid, known: NDArray[np.bool_], look: LookGeometry | None) -> tuple[NDArray[np.float64], ...]:
    """Metres east and north of one pixel along rows, then along columns, broadcasting to the grid's shape."""
    if isinstance(grid, MapGrid):
        return _map_steps(grid)
    if grid.longitude is not None and grid.latitude is not None:
        y, x = np.mgrid[: grid.shape[0], : grid.shape[1]]
        lon, lat = grid.lonlat(y, x)
        usable = known & np.isfinite(lon) & np.isfinite(lat)
        per_lon, per_lat = _metres_per_degree(lat)
        lon = _continuous(lon)
        return (
            _difference(lon, usable, 0) * per_lon,
            _difference(lat, usable, 0) * per_lat,
            _difference(lon, usable, 1) * per_lon,
            _difference(lat, usable, 1) * per_lat,
        )
    if look is None:
        nothing = np.full(grid.shape, np.nan)
        return nothing, nothing, nothing, nothing
    side = 1.0 if look.right_looking else -1.0
    h = np.radians(look.heading)
    metres = (
        grid.spacing[0] * np.sin(h),
        grid.spacing[0] * np.cos(h),
        grid.spacing[1] * side * np.cos(h),
        -grid.spacing[1] * side * np.sin(h),
    )
    return tuple(np.full((1, 1), m) for m in metres)


def _map_steps(grid: MapGrid) -> tuple[NDArray[np.float64], ...]:
    """Work out the steps of a map grid on a coarse lattice and interpolate between."""
    rows, columns = (_lattice(n) for n in grid.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    _, lat = grid.lonlat(y, x)
    per_lon, per_lat = _metres_per_degree(lat)
    steps = []
    for dy, dx in ((0.5, 0.0), (0.0, 0.5)):
        lon_0, lat_0 = grid.lonlat(y - dy, x - dx)
        lon_1, lat_1 = grid.lonlat(y + dy, x + dx)
        turn = (lon_1 - lon_0 + 180.0) % 360.0 - 180.0
        steps += [turn * per_lon, (lat_1 - lat_0) * per_lat]
    at_y, at_x = np.arange(grid.shape[0]), np.arange(grid.shape[1])
    return tuple(_between(s, rows, columns, at_y, at_x) for s in steps)


def _lattice(n: int) -> NDArray[np.float64]:
    """Evenly spaced pixel coordinates from the first to the last pixel."""
    return np.linspace(0, n - 1, max(2, -(-n // _LATTICE) + 1))


def _between(
    field: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    y: NDArray[Any],
    x: NDArray[Any],
) -> NDArray[np.float64]:
    """Interpolate a lattice bilinearly, one axis after the other."""
    across = np.stack([np.interp(x, columns, line) for line in field])
    weight = np.interp(y, rows, np.arange(rows.size)) if rows[-1] > rows[0] else np.zeros(y.size)
    lower = np.minimum(weight.astype(np.intp), rows.size - 2)
    part = (weight - lower)[:, None]
    return np.asarray(across[lower] * (1 - part) + across[lower + 1] * part)


def _metres_per_degree(lat: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length of one degree of longitude and of latitude on the ellipsoid."""
    phi = np.radians(lat)
    a, e2 = _ELLIPSOID.a, _ELLIPSOID.es
    bend = 1.0 - e2 * np.sin(phi) ** 2
    degree = np.radians(1.0)
    return degree * a * np.cos(phi) / np.sqrt(bend), degree * a * (1.0 - e2) / bend**1.5


def _continuous(lon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes without the jump at 180 degrees."""
    finite = lon[np.isfinite(lon)]
    if finite.size == 0 or np.ptp(finite) < 180.0:
        return lon
    return lon % 360.0


def _smoothed(field: NDArray[np.float64], sigma: tuple[float, float]) -> NDArray[np.float64]:
    """Gaussian mean of what is known; what is not known stays NaN."""
    known = np.isfinite(field)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, field, 0.0), sigma, mode="constant")
    return np.where(known, total / np.where(known, weight, 1.0), np.nan)
