"""How an image of one pass lies in time and distance: where it shows a point on the ground.

Rows count along the flight, columns away from the track; (0, 0) is the centre of the first pixel. Times are seconds on
the clock of the orbit, distances metres. An image is taken for one at **zero Doppler**: a row shows what lies at right
angles to the velocity.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.geometry.orbits import Orbit, zero_doppler

__all__ = ["GroundAxis", "RadarGeometry", "RadarPlace", "SlantAxis", "seen_from"]

_HALF_SECOND = 0.5
_ROUNDS = 30
_SETTLED = 1e-6
"""Metres."""


@dataclass(frozen=True)
class SlantAxis:
    """Columns at equal steps of slant range: `near` is that of the centre of the first one, metres."""

    near: float
    step: float

    def __post_init__(self) -> None:
        check_positive("near", self.near)
        check_positive("step", self.step)

    def column(self, distance: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return columns of slant ranges; the time is that of zero Doppler and does not matter here."""
        return (distance - self.near) / self.step

    def distance(self, column: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return slant ranges of columns."""
        return self.near + self.step * column + 0.0 * time

    def metres(self, column: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how many metres of slant range a column is further than the one before."""
        return np.broadcast_to(np.float64(self.step), np.broadcast_shapes(column.shape, time.shape))


@dataclass(frozen=True, eq=False)
class GroundAxis:
    """Columns at equal steps on a smooth Earth, as detected images have them.

    Slant range is a polynomial of the distance on the ground from the first column, `step` metres a column. Products
    give it for several times: `coefficients` has shape (time, power), ascending powers; between `times` slant ranges
    are interpolated, beyond them they are those of the nearest. They must grow with the distance.
    """

    step: float
    times: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def __post_init__(self) -> None:
        check_positive("step", self.step)
        check_shape("coefficients", self.coefficients, (len(self.times), self.coefficients.shape[-1]))
        if not np.all(np.diff(self.times) > 0):
            raise ValueError("times must ascend")
        if not np.isfinite(self.coefficients).all() or not np.all(self.coefficients[:, 1] > 0):
            raise ValueError("coefficients must be finite, and slant range must grow with the distance on the ground")

    def _at(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the polynomials of some times, (..., power)."""
        columns = [np.interp(time, self.times, powers) for powers in self.coefficients.T]
        return np.stack(columns, axis=-1)

    def distance(self, column: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return slant ranges of columns at times of zero Doppler."""
        return _value(self._at(time), self.step * column)

    def metres(self, column: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how many metres of slant range a column is further than the one before."""
        powers = self._at(time)
        slopes = powers[..., 1:] * np.arange(1, powers.shape[-1])
        return self.step * _value(slopes, self.step * column)

    def column(self, distance: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return columns of slant ranges by Newton's way; NaN where the polynomial does not reach."""
        powers = self._at(time)
        slopes = powers[..., 1:] * np.arange(1, powers.shape[-1])
        way = np.zeros(np.broadcast_shapes(distance.shape, time.shape))
        miss = np.full(way.shape, np.nan)
        for _ in range(_ROUNDS):
            miss = _value(powers, way) - distance
            if not np.any(np.abs(miss) > _SETTLED):
                break
            slope = _value(slopes, way)
            way = way - miss / np.where(slope > 0, slope, np.nan)
        return np.where(np.abs(miss) <= _SETTLED, way / self.step, np.nan)


class RadarPlace(NamedTuple):
    """Where an image shows points; NaN where it does not know. Fractions and places outside the image are allowed."""

    row: NDArray[np.float64]
    column: NDArray[np.float64]
    distance: NDArray[np.float64]
    """Slant range at zero Doppler, metres."""


@dataclass(frozen=True, eq=False)
class RadarGeometry:
    """Time, distance and orbit of an image.

    `shape` is (rows, columns); `first_time` the time of the centre of the first row, `line_interval` the seconds from
    one row to the next. `wavelength` is in metres. `right_looking` says to which side of the flight the radar looks.
    """

    orbit: Orbit
    shape: tuple[int, int]
    first_time: float
    line_interval: float
    axis: SlantAxis | GroundAxis
    wavelength: float
    right_looking: bool = True

    def __post_init__(self) -> None:
        check_positive("line_interval", self.line_interval)
        check_positive("wavelength", self.wavelength)

    def times(self, row: ArrayLike) -> NDArray[np.float64]:
        """Return the times of rows."""
        return np.asarray(self.first_time + self.line_interval * np.asarray(row, np.float64))

    def azimuth_metres(self, ground: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the metres along the flight from one row to the next at points, (..., 3); NaN as in `place`.

        Zero Doppler is ``v . (P - S) = 0``. In time that changes by ``a . (P - S) - v^2``, with a point's way along the
        flight by ``|v|``: the ratio of both is the speed at which rows pass over the ground.
        """
        time = zero_doppler(self.orbit, ground)
        satellite, velocity = self.orbit.at(time)
        before, after = (
            np.clip(time + step, self.orbit.times[0], self.orbit.times[-1]) for step in (-_HALF_SECOND, _HALF_SECOND)
        )
        turn = (self.orbit.at(after)[1] - self.orbit.at(before)[1]) / (after - before)[..., np.newaxis]
        square = np.sum(velocity * velocity, axis=-1)
        speed = (square - np.sum(turn * (ground - satellite), axis=-1)) / np.sqrt(square)
        return np.asarray(speed * self.line_interval)

    def place(self, ground: NDArray[np.float64]) -> RadarPlace:
        """Return where the image shows points.

        Parameters
        ----------
        ground : (..., 3) float64 array
            Earth-fixed positions, metres (`geometry.orbits.earth_fixed`). Neighbours along the last but one axis
            should be neighbours on the ground: each is solved from the one before.

        Returns
        -------
        RadarPlace
            NaN where the position is unknown, the orbit's state vectors do not reach, or the point lies on the side
            that the radar does not look to.
        """
        time = zero_doppler(self.orbit, ground)
        satellite, velocity = self.orbit.at(time)
        sight = ground - satellite
        distance = np.sqrt(np.sum(sight * sight, axis=-1))
        # Down x ahead is where the right hand points.
        right = np.sum(np.cross(-satellite, velocity) * sight, axis=-1) > 0
        seen = right if self.right_looking else ~right
        distance = np.where(seen, distance, np.nan)
        row = np.where(seen, (time - self.first_time) / self.line_interval, np.nan)
        return RadarPlace(row, np.where(seen, self.axis.column(distance, time), np.nan), distance)


def seen_from(geometry: RadarGeometry, ground: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the unit vectors from points to the satellite at zero Doppler, and those along the flight.

    Both are Earth-fixed, shape (..., 3); NaN where the orbit does not see a point. A displacement times the first is
    that towards the satellite, times the second that along the flight.
    """
    satellite, velocity = geometry.orbit.at(zero_doppler(geometry.orbit, ground))
    sight = satellite - ground
    return (
        sight / np.linalg.norm(sight, axis=-1, keepdims=True),
        velocity / np.linalg.norm(velocity, axis=-1, keepdims=True),
    )


def _value(powers: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return polynomials (..., power) at places."""
    found = np.zeros(np.broadcast_shapes(powers.shape[:-1], at.shape))
    for k in range(powers.shape[-1] - 1, -1, -1):
        found = found * at + powers[..., k]
    return found
