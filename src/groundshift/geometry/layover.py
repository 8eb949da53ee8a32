"""Layover and shadow: ground that a side-looking radar cannot tell apart, or does not see.

Codes are those of OPERA's static layers: 0 neither, 1 shadow, 2 layover, 3 both. Looking outwards from the satellite
along ground range, a point lies in layover if its slant range is not larger than that of all nearer points and not
smaller than that of all farther ones, and in shadow if a nearer point stands higher in the radar's view (a larger
look angle). So the ground in front of a steep face and behind a ridge is marked too, not only the face itself.
"""

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.constants import EARTH_RADIUS
from groundshift.geometry._kernels import scan_lines
from groundshift.types import Grid, LookGeometry, MapGrid, RadarGrid

__all__ = ["BOTH", "LAYOVER", "NEITHER", "SENTINEL1_ALTITUDE", "SHADOW", "layover_shadow"]

NEITHER, SHADOW, LAYOVER, BOTH = 0, 1, 2, 3
"""Codes of the map."""

SENTINEL1_ALTITUDE = 693_000.0
"""Metres above the ground; it decides only how fast incidence grows with range."""

_CRITICAL_MARGIN = 5.0
"""Degrees around the critical slopes of a radar grid, in whose folds heights are interpolated along the very edge."""


def layover_shadow(
    height: NDArray[np.float32], grid: Grid, look: LookGeometry, *, altitude: float = SENTINEL1_ALTITUDE
) -> NDArray[np.uint8]:
    """Mark layover and shadow.

    Parameters
    ----------
    height : (y, x) float array
        Metres; NaN where unknown (such pixels are 0 and hide nothing).
    grid : MapGrid or RadarGrid
        Where the pixels lie. Map grids are traced along ground range; on radar grids the local slope along range is
        compared with the incidence.
    look : LookGeometry
        Heading, and incidence at the middle of the grid.
    altitude : float
        Of the satellite, in metres.

    Returns
    -------
    (y, x) uint8 array
        0 neither, 1 shadow, 2 layover, 3 both.

    Raises
    ------
    ValueError
        If `height` has another shape than the grid, or `altitude` is not positive.

    Notes
    -----
    Map grids: on a sphere with the satellite at `altitude`, so incidence grows across the swath as it does in truth;
    mountains outside the grid are not seen. Layover counts also where one of the points is in shadow.

    Radar grids: one column is a step ds in slant range; heights change by dh, so the ground runs on by
    dr = (ds + dh cos i) / sin i with incidence i. The ground runs backwards where dh < -ds / cos i (layover), and
    falls faster than the ray where dh < -ds cos i (shadow). In folds the DEM of a product is interpolated along the
    critical slope, so slopes within 5 degrees of it count as well.
    """
    check_shape("height", height, grid.shape)
    check_positive("altitude", altitude)
    if isinstance(grid, RadarGrid):
        return _radar(height, grid, look)
    return _map(height, grid, look, altitude)


def _map(height: NDArray[np.float32], grid: MapGrid, look: LookGeometry, altitude: float) -> NDArray[np.uint8]:
    """Trace ground range across a map grid."""
    out = np.zeros(grid.shape, np.uint8)
    # Radians at the Earth's centre per pixel along rows and columns, positive away from the satellite.
    along_y, along_x = (s / EARTH_RADIUS for s in _range_per_pixel(grid, look))
    orbit = EARTH_RADIUS + altitude
    incidence = np.radians(look.incidence)
    middle = incidence - np.arcsin(EARTH_RADIUS * np.sin(incidence) / orbit)
    start = middle - along_y * (grid.shape[0] - 1) / 2 - along_x * (grid.shape[1] - 1) / 2
    # Lines follow the direction in which range grows fastest on the ground, in pixels (dy, dx).
    dy, dx = along_y / grid.spacing[0] ** 2, along_x / grid.spacing[1] ** 2
    heights = np.asarray(height, np.float64)
    if abs(dx) >= abs(dy):
        scan_lines(heights, (dy / dx, dx > 0), (start, along_y, along_x), (EARTH_RADIUS, orbit), out)
    else:
        scan_lines(heights.T, (dx / dy, dy > 0), (start, along_x, along_y), (EARTH_RADIUS, orbit), out.T)
    return out


def _range_per_pixel(grid: MapGrid, look: LookGeometry) -> tuple[float, float]:
    """Metres of ground range, away from the satellite, per pixel along rows and columns at the grid's middle."""
    side = 1.0 if look.right_looking else -1.0
    h = np.radians(look.heading)
    away_east, away_north = side * np.cos(h), -side * np.sin(h)
    y, x = (grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2
    lon, lat = grid.lonlat(np.array([y, y - 0.5, y + 0.5, y, y]), np.array([x, x, x, x - 0.5, x + 0.5]))
    shrink = np.cos(np.radians(lat[0]))
    steps = []
    for first, second, size in ((1, 2, grid.spacing[0]), (3, 4, grid.spacing[1])):
        east = ((lon[second] - lon[first] + 180.0) % 360.0 - 180.0) * shrink
        north = lat[second] - lat[first]
        steps.append(float(size * (east * away_east + north * away_north) / np.hypot(east, north)))
    return steps[0], steps[1]


def _radar(height: NDArray[np.float32], grid: RadarGrid, look: LookGeometry) -> NDArray[np.uint8]:
    """Compare the slope along range with the critical ones."""
    out = np.zeros(grid.shape, np.uint8)
    if grid.shape[1] < 2:
        return out
    i = np.radians(look.incidence)
    slant = grid.spacing[1] * np.sin(i)
    step = np.diff(np.asarray(height, np.float64), axis=1)
    ground = (slant + step * np.cos(i)) / np.sin(i)
    # Angle of the ground along range: positive towards the radar; beyond +-90 degrees it runs backwards.
    angle = np.degrees(np.arctan2(step, ground))
    margin = _CRITICAL_MARGIN
    shadow = (angle < -(90.0 - look.incidence) + margin) & (ground > 0)
    layover = (ground <= 0) | (angle > look.incidence - margin)
    code = np.where(shadow, SHADOW, 0) | np.where(layover & np.isfinite(step), LAYOVER, 0)
    out[:, :-1] |= code.astype(np.uint8)
    out[:, 1:] |= code.astype(np.uint8)
    return out
