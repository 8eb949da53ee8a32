"""What must hold before images are laid over each other, and where on Earth an image lies."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.geometry.radar import RadarGeometry
from groundshift.offsets.errors import OppositeLookError, OrbitTooShortError
from groundshift.types import Window

__all__ = ["Footprint", "check_orbit", "check_same_look", "footprint", "ground_at"]

_LARGEST_TURN = 30.0
"""Degrees between the horizontal look directions of two images of one side; ascending and descending differ by 160."""
_SEMI_MAJOR = 6_378_137.0
_ECCENTRICITY_2 = 6.69437999014e-3
_WIDEST = 1.5
"""Radians from the downward direction within which the ground is looked for."""
_HALVINGS = 45
"""Of that angle: what remains is millimetres on the ground."""


class Footprint(NamedTuple):
    """The box on Earth that holds an image, degrees."""

    west: float
    south: float
    east: float
    north: float

    def __str__(self) -> str:
        return f"{self.west:.3f} to {self.east:.3f} E, {self.south:.3f} to {self.north:.3f} N"


def check_orbit(geometry: RadarGeometry, window: Window, name: str) -> None:
    """Raise OrbitTooShortError unless the state vectors reach over the rows of a window."""
    first, last = geometry.times([window.y, window.y + window.height - 1])
    begin, end = geometry.orbit.times[[0, -1]]
    if first < begin or last > end:
        raise OrbitTooShortError(
            f"{name}: the image runs from {first:.3f} to {last:.3f} s, its state vectors from {begin:.3f} to "
            f"{end:.3f} s; give an orbit that covers the image"
        )


def check_same_look(reference: RadarGeometry, secondary: RadarGeometry, name: str) -> None:
    """Raise OppositeLookError unless both images look about the same way over the ground."""
    ways = [_heading(geometry) + (90.0 if geometry.right_looking else -90.0) for geometry in (reference, secondary)]
    if abs((ways[0] - ways[1] + 180.0) % 360.0 - 180.0) <= _LARGEST_TURN:
        return
    looks = [
        f"{_heading(geometry):.0f}, {'right' if geometry.right_looking else 'left'}"
        for geometry in (reference, secondary)
    ]
    raise OppositeLookError(
        f"{name}: looks from a different side than the reference (heading {looks[1]}; reference {looks[0]}): offsets "
        "of the two cannot be compared; leave it out, or process each side by itself"
    )


def footprint(geometry: RadarGeometry, window: Window | None = None, height: float = 0.0) -> Footprint | None:
    """Return the box on Earth that holds a window of an image.

    Parameters
    ----------
    geometry : RadarGeometry
    window : Window, optional
        All of the image by default.
    height : float
        Of the ground above the ellipsoid, metres.

    Returns
    -------
    Footprint or None
        None where no line of sight meets the ground. Boxes across the date line go beyond 180 degrees.
    """
    y, x, height_px, width_px = window or Window(0, 0, *geometry.shape)
    rows, columns = np.meshgrid(y + (height_px - 1) * np.linspace(0, 1, 5), x + (width_px - 1) * np.linspace(0, 1, 5))
    lon, lat = ground_at(geometry, rows, columns, height)
    known = np.isfinite(lon)
    if not known.any():
        return None
    lon, lat = lon[known], lat[known]
    lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0
    return Footprint(float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))


def ground_at(
    geometry: RadarGeometry, row: NDArray[np.float64], column: NDArray[np.float64], height: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of the ground of a known height that an image shows at some places.

    Parameters
    ----------
    geometry : RadarGeometry
    row, column : array
        Places in the image, fractions allowed.
    height : array
        Metres above the ellipsoid.

    Returns
    -------
    longitude, latitude : float64 array
        Degrees; NaN where the orbit does not reach or the sphere of the distance does not meet that height.

    Notes
    -----
    In the plane of zero Doppler, the angle from the downward direction is halved in until the height fits. A surface
    of equal height is taken for an ellipsoid, which is right to millimetres for heights on land.
    """
    row, column, height = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (row, column, height)))
    time = geometry.times(row)
    satellite, velocity = geometry.orbit.at(time)
    distance = geometry.axis.distance(column, time)[..., np.newaxis]
    ahead = velocity / np.linalg.norm(velocity, axis=-1, keepdims=True)
    down = -satellite + np.sum(satellite * ahead, axis=-1, keepdims=True) * ahead
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    beside = np.cross(down, ahead) * (1.0 if geometry.right_looking else -1.0)
    axes = np.stack([_SEMI_MAJOR + height] * 2 + [_SEMI_MAJOR * np.sqrt(1 - _ECCENTRICITY_2) + height], axis=-1)
    low, high = np.zeros(row.shape), np.full(row.shape, _WIDEST)
    ground = satellite
    for _ in range(_HALVINGS):
        middle = (0.5 * (low + high))[..., np.newaxis]
        ground = satellite + distance * (np.cos(middle) * down + np.sin(middle) * beside)
        above = np.sum((ground / axes) ** 2, axis=-1) > 1.0
        low, high = np.where(above, low, middle[..., 0]), np.where(above, middle[..., 0], high)
    met = np.abs(np.sum((ground / axes) ** 2, axis=-1) - 1.0) < 1e-9
    ground = np.where(met[..., np.newaxis], ground, np.nan)
    return np.degrees(np.arctan2(ground[..., 1], ground[..., 0])), _latitude(ground, height)


def _latitude(ground: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the latitudes of positions whose height is known, degrees."""
    across = np.hypot(ground[..., 0], ground[..., 1])
    lat = np.arctan2(ground[..., 2], across)
    for _ in range(6):
        normal = _SEMI_MAJOR / np.sqrt(1 - _ECCENTRICITY_2 * np.sin(lat) ** 2)
        lat = np.arctan2(ground[..., 2], across * (1 - _ECCENTRICITY_2 * normal / (normal + height)))
    return np.asarray(np.degrees(lat))


def _heading(geometry: RadarGeometry) -> float:
    """Return the direction of flight over the Earth in the middle of an image, degrees clockwise from north."""
    times = geometry.orbit.times
    time = float(np.clip(geometry.times((geometry.shape[0] - 1) / 2), times[0], times[-1]))
    satellite, velocity = geometry.orbit.at(time)
    up = satellite / np.linalg.norm(satellite)
    east = np.cross([0.0, 0.0, 1.0], up)
    return float(np.degrees(np.arctan2(velocity @ east, velocity @ np.cross(up, east))) % 360.0)
