"""Passes of a radar satellite over a place: circular orbits, as their state vectors and images have them.

An orbit is a circle in space, at the speed that gravity gives it; the Earth turns below, and state vectors are told
Earth-fixed. The pass is laid so that the place is seen at right angles to the flight at time zero, under the angle of
incidence and from the heading asked for; the inclination of the orbit follows from both.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_positive, check_within
from groundshift.geometry.orbits import Orbit, earth_fixed
from groundshift.geometry.radar import RadarGeometry, SlantAxis

__all__ = ["PALSAR", "PALSAR_2", "SENTINEL_1", "Instrument", "local_axes", "make_pass"]

_GRAVITY = 3.986004418e14
"""Of the Earth, cubic metres per second squared."""
_TURNING = 7.292115e-5
"""Of the Earth, radians per second."""
_EQUATOR = 6_378_137.0
_BEFORE_AND_AFTER_S = 60.0
_BETWEEN_VECTORS_S = 10.0


@dataclass(frozen=True)
class Instrument:
    """What images of one radar have in common: metres, and rows per second."""

    name: str
    wavelength: float
    range_step: float
    """Slant range from one column to the next."""
    rows_per_second: float
    orbit_height: float
    """Above the radius of the equator."""

    def __post_init__(self) -> None:
        for name in ("wavelength", "range_step", "rows_per_second", "orbit_height"):
            check_positive(name, getattr(self, name))


PALSAR = Instrument("PALSAR", 0.2360571, 4.684257, 2141.3, 691_650.0)
"""ALOS-1, fine beam, single polarisation."""
PALSAR_2 = Instrument("PALSAR-2", 0.2424525, 1.430422, 3275.0, 628_000.0)
"""ALOS-2, stripmap of 3 m."""
SENTINEL_1 = Instrument("Sentinel-1", 0.055465763, 2.329562, 486.486, 693_000.0)
"""Wide swath, as its bursts are merged."""


def make_pass(
    longitude: float,
    latitude: float,
    height: float,
    *,
    instrument: Instrument,
    heading_deg: float,
    incidence_deg: float,
    shape: tuple[int, int],
    baseline_m: float = 0.0,
    centre: tuple[float, float] | None = None,
    right_looking: bool = True,
) -> RadarGeometry:
    """Lay a pass over a place.

    Parameters
    ----------
    longitude, latitude, height : float
        Of the place: degrees, and metres above the ellipsoid.
    instrument : Instrument
    heading_deg : float
        Direction of the flight past the place, clockwise from north: the place is looked at across it.
    incidence_deg : float
        Angle between the line of sight and the ellipsoid's normal at the place, 1 to 80, of the pass without baseline.
    shape : (int, int)
        Rows and columns of the image.
    baseline_m : float
        By how much the pass lies beside that line of sight, at right angles to it and to the flight. Positive where
        the place is then seen under a larger angle (`geometry.orbits.perpendicular_baseline`).
    centre : (float, float), optional
        Row and column that show the place; those in the middle by default.
    right_looking : bool

    Returns
    -------
    RadarGeometry
        Seconds count from the moment when the place is seen; state vectors every 10 s from one minute before to one
        minute after.

    Raises
    ------
    ValueError
        If an angle is out of its range.
    """
    check_within("incidence_deg", incidence_deg, 1.0, 80.0)
    place = earth_fixed(longitude, latitude, height)
    sight = _sight(longitude, latitude, heading_deg, incidence_deg, right_looking)
    satellite = place + _distance(place, sight, _EQUATOR + instrument.orbit_height) * sight
    # The flight is level: at right angles to the radius as well as to the sight.
    flight = np.cross(sight, satellite) if right_looking else np.cross(satellite, sight)
    flight /= np.linalg.norm(flight)
    higher = np.cross(flight, sight) if right_looking else np.cross(sight, flight)
    satellite = satellite - baseline_m * higher
    orbit = _circle(satellite, flight)
    distance = float(np.linalg.norm(satellite - place))
    row, column = centre if centre is not None else ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    return RadarGeometry(
        orbit,
        shape,
        -row / instrument.rows_per_second,
        1 / instrument.rows_per_second,
        SlantAxis(distance - column * instrument.range_step, instrument.range_step),
        instrument.wavelength,
        right_looking,
    )


def local_axes(longitude: ArrayLike, latitude: ArrayLike) -> NDArray[np.float64]:
    """Return the Earth-fixed unit vectors (east, north, up) of places.

    Parameters
    ----------
    longitude, latitude : array
        Degrees, on WGS 84; NaN gives NaN.

    Returns
    -------
    (..., 3, 3) float64 array
        The last but one axis is (east, north, up), the last Earth-fixed.
    """
    lon, lat = np.broadcast_arrays(np.radians(longitude), np.radians(latitude))
    nought = np.zeros(lon.shape)
    east = np.stack([-np.sin(lon), np.cos(lon), nought], axis=-1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
    up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    return np.stack([east, north, up], axis=-2)


def _sight(
    longitude: float, latitude: float, heading_deg: float, incidence_deg: float, right_looking: bool
) -> NDArray[np.float64]:
    """Return the unit vector from the place to the satellite."""
    axes = local_axes(longitude, latitude)
    look = math.radians(heading_deg + (90 if right_looking else -90))
    away = math.sin(look) * axes[0] + math.cos(look) * axes[1]
    angle = math.radians(incidence_deg)
    return np.asarray(math.cos(angle) * axes[2] - math.sin(angle) * away)


def _distance(place: NDArray[np.float64], sight: NDArray[np.float64], radius: float) -> float:
    """Return how far along the line of sight the sphere of the orbit is met."""
    along = float(place @ sight)
    return -along + math.sqrt(along**2 - float(place @ place) + radius**2)


def _circle(satellite: NDArray[np.float64], flight: NDArray[np.float64]) -> Orbit:
    """Return the circular orbit that passes a position at time zero in an Earth-fixed direction."""
    radius = float(np.linalg.norm(satellite))
    axis = np.array([0.0, 0.0, _TURNING])
    carried = np.cross(axis, satellite)
    # The speed over the turning Earth that makes that in space the one of a circle.
    along = float(carried @ flight)
    speed = -along + math.sqrt(along**2 - float(carried @ carried) + _GRAVITY / radius)
    inertial = speed * flight + carried
    turning = math.sqrt(_GRAVITY / radius) / radius
    times = np.arange(-_BEFORE_AND_AFTER_S, _BEFORE_AND_AFTER_S + 1, _BETWEEN_VECTORS_S)
    turn = (turning * times)[:, np.newaxis]
    positions = np.cos(turn) * satellite + np.sin(turn) * inertial / turning
    velocities = -np.sin(turn) * turning * satellite + np.cos(turn) * inertial
    earthly = velocities - np.cross(axis, positions)
    return Orbit(times, _turned(positions, times), _turned(earthly, times))


def _turned(vectors: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors in space as the Earth, that has turned since time zero, sees them."""
    c, s = np.cos(_TURNING * times), np.sin(_TURNING * times)
    x, y, z = vectors.T
    return np.stack([c * x + s * y, c * y - s * x, z], axis=-1)
