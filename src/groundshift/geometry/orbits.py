"""Where the satellite was, and how far from it the ground lies.

Positions are Earth-fixed (WGS 84) in metres, shape (..., 3); times are seconds after an epoch of each orbit's own, so
that orbits of different days never share a clock. A point is seen at **zero Doppler**, when the line to it stands at
right angles to the velocity.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_shape
from groundshift.geometry._orbit_kernels import positions_of, ranges_of, states_of, times_of
from groundshift.types import Window

__all__ = [
    "Orbit",
    "Paths",
    "earth_fixed",
    "path_difference",
    "perpendicular_baseline",
    "slant_range",
    "zero_doppler",
]

_NODES = 4
"""State vectors that one piece of an orbit goes through: eight conditions, degree seven."""


@dataclass(frozen=True, eq=False)
class Orbit:
    """State vectors of one pass, and the curve through them.

    `times` has shape (n,), `positions` (metres) and `velocities` (metres per second) (n, 3); n is 2 at least and the
    times ascend. Between two vectors the curve is the polynomial through position and velocity of the four nearest
    ones. It ends with the vectors and is not continued.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.times)
        check_shape("positions", self.positions, (count, 3))
        check_shape("velocities", self.velocities, (count, 3))
        if count < 2 or not np.all(np.diff(self.times) > 0):
            raise ValueError(
                f"times must ascend and be at least 2, instead got {count} from {self.times[:2].tolist()} on"
            )
        if not np.isfinite(np.concatenate([self.positions, self.velocities])).all():
            raise ValueError("state vectors must be finite")

    @cached_property
    def pieces(self) -> NDArray[np.float64]:
        """Coefficients between each vector and the next, ascending powers of the share of time, (n - 1, degree, 3)."""
        count = len(self.times)
        nodes = min(_NODES, count)
        power = np.arange(2 * nodes)
        pieces = np.empty((count - 1, 2 * nodes, 3))
        for i in range(count - 1):
            first = min(max(i - (nodes - 1) // 2, 0), count - nodes)
            near = slice(first, first + nodes)
            span = self.times[i + 1] - self.times[i]
            at = ((self.times[near] - self.times[i]) / span)[:, np.newaxis]
            value = at**power
            slope = power * at ** np.maximum(power - 1, 0)
            # Differences from this vector, so that millimetres are not lost among thousands of kilometres.
            known = np.concatenate([self.positions[near] - self.positions[i], self.velocities[near] * span])
            pieces[i] = np.linalg.solve(np.concatenate([value, slope]), known)
            pieces[i, 0] += self.positions[i]
        return pieces

    def at(self, times: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions and velocities, shape (..., 3); NaN before the first and after the last vector."""
        wanted = np.asarray(times, np.float64)
        states = np.empty((wanted.size, 6))
        states_of(self.times, self.pieces, wanted.ravel(), states)
        return states[:, :3].reshape(*wanted.shape, 3), states[:, 3:].reshape(*wanted.shape, 3)


class _Seen(NamedTuple):
    """How one orbit sees points: satellite, velocity, line of sight (unit vector to the ground) and distance."""

    satellite: NDArray[np.float64]
    velocity: NDArray[np.float64]
    sight: NDArray[np.float64]
    distance: NDArray[np.float64]


def earth_fixed(longitude: ArrayLike, latitude: ArrayLike, height: ArrayLike) -> NDArray[np.float64]:
    """Return Earth-fixed positions of places.

    Parameters
    ----------
    longitude, latitude : array
        Degrees, on WGS 84.
    height : array
        Metres above the ellipsoid. NaN in any of the three gives NaN.

    Returns
    -------
    (..., 3) float64 array
        Metres.

    Examples
    --------
    >>> earth_fixed(90.0, 0.0, 10.0).round(3) + 0.0
    array([      0., 6378147.,       0.])
    """
    lon, lat, h = np.broadcast_arrays(longitude, latitude, height)
    out = np.empty((lon.size, 3))
    x, y, z = (np.ascontiguousarray(a, np.float64).ravel() for a in (lon, lat, h))
    positions_of(x, y, z, out)
    return out.reshape(*lon.shape, 3)


def zero_doppler(orbit: Orbit, ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when points are seen at right angles to the flight.

    Parameters
    ----------
    orbit : Orbit
    ground : (..., 3) float64 array
        Earth-fixed positions, metres.

    Returns
    -------
    (...) float64 array
        Seconds on the orbit's clock; NaN where the position is unknown or the orbit passes it before its first or
        after its last state vector.

    Raises
    ------
    ValueError
        If the last axis is not of three coordinates.
    """
    check_shape("ground", ground, (*ground.shape[:-1], 3))
    flat = np.ascontiguousarray(ground, np.float64).reshape(-1, 3)
    out = np.empty(len(flat))
    times_of(orbit.times, orbit.pieces, flat, out)
    return out.reshape(ground.shape[:-1])


def slant_range(orbit: Orbit, ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of points at zero Doppler.

    Parameters
    ----------
    orbit : Orbit
    ground : (..., 3) float64 array
        Earth-fixed positions, metres. Along the last but one axis neighbours should be neighbours on the ground: then
        zero Doppler need not be solved for each.

    Returns
    -------
    (...) float64 array
        Metres, to 1e-6; NaN where `zero_doppler` is.

    Raises
    ------
    ValueError
        If the last axis is not of three coordinates.

    Notes
    -----
    The distance is smallest at zero Doppler, so that an error of that time tells by its square only. From a solved
    point the time is carried on by its gradient, and the satellite along its parabola.
    """
    check_shape("ground", ground, (*ground.shape[:-1], 3))
    shape = ground.shape[:-1]
    rows = np.ascontiguousarray(ground, np.float64).reshape(-1, shape[-1] if shape else 1, 3)
    out = np.empty(rows.shape[:2])
    ranges_of(orbit.times, orbit.pieces, rows, out)
    return out.reshape(shape)


def path_difference(reference: Orbit, secondary: Orbit, ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much further points lie from the secondary orbit than from the reference, metres.

    An interferogram holds ``4 pi / wavelength`` times this. Parameters and NaN are those of `slant_range`.
    """
    return slant_range(secondary, ground) - slant_range(reference, ground)


def perpendicular_baseline(reference: Orbit, secondary: Orbit, ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the secondary flies beside the line of sight of the reference.

    Parameters
    ----------
    reference, secondary : Orbit
    ground : (..., 3) float64 array
        Earth-fixed positions, metres.

    Returns
    -------
    (...) float64 array
        Metres, at right angles to the reference's line of sight and velocity; NaN where `zero_doppler` is.

    Notes
    -----
    Positive where the secondary sees the ground under a larger angle of incidence: the phase of the pair then grows
    with height, by ``4 pi / wavelength * B / (R sin(incidence))`` per metre, as `dem_per_metre` has it. This is the
    sign of ISCE2 for a radar that looks to the right.
    """
    first, second = _seen(reference, ground), _seen(secondary, ground)
    across = np.cross(first.sight, first.velocity)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    across *= -np.sign(_dot(across, ground))[..., np.newaxis]
    return _dot(second.satellite - first.satellite, across)


class Paths:
    """The paths of the dates of a stack to its ground, read over windows: what `SlcStack.read_path` asks for.

    Parameters
    ----------
    orbits : mapping of Orbit
        By date.
    first : date
        The date whose path is taken from that of every other.
    read_ground : callable
        Earth-fixed positions over a window, (height, width, 3) metres, NaN where unknown. Those of the last window
        are kept, so that all dates of a window cost one reading.
    """

    def __init__(
        self, orbits: Mapping[date, Orbit], first: date, read_ground: Callable[[Window], NDArray[np.float64]]
    ) -> None:
        self.orbits = dict(orbits)
        self.first = first
        self.read_ground = read_ground
        self._last: _Last | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the last window behind when sent to another process."""
        return {**self.__dict__, "_last": None}

    def read(self, day: date, window: Window) -> NDArray[np.float64]:
        """Return the path of a date less that of the first one, (height, width) metres, NaN where unknown."""
        last = self._last
        if last is None or last.window != window:
            ground = self.read_ground(window)
            last = _Last(window, ground, slant_range(self.orbits[self.first], ground))
            self._last = last
        return slant_range(self.orbits[day], last.ground) - last.path


class _Last(NamedTuple):
    """The window read last: its ground, and the path of the first date."""

    window: Window
    ground: NDArray[np.float64]
    path: NDArray[np.float64]


def _seen(orbit: Orbit, ground: NDArray[np.float64]) -> _Seen:
    """Return how an orbit sees points at zero Doppler."""
    satellite, velocity = orbit.at(zero_doppler(orbit, ground))
    way = ground - satellite
    distance = np.sqrt(_dot(way, way))
    return _Seen(satellite, velocity, way / distance[..., np.newaxis], distance)


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of vectors along the last axis."""
    return np.asarray(np.sum(a * b, axis=-1))
