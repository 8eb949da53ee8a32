"""Where images show the ground."""

from dataclasses import replace

import numpy as np
import pytest

from groundshift.geometry.orbits import Orbit, earth_fixed
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis, seen_from

_RADIUS = 7_070_000.0
_RATE = 1.06e-3
"""Radians per second, along a circle over the poles."""


def _geometry(right_looking: bool = True) -> RadarGeometry:
    """A pass northwards along the meridian of Greenwich, over the equator at time zero."""
    times = np.arange(-60.0, 61.0, 10.0)
    turn = _RATE * times
    nought = np.zeros_like(turn)
    positions = _RADIUS * np.stack([np.cos(turn), nought, np.sin(turn)], axis=-1)
    velocities = _RADIUS * _RATE * np.stack([-np.sin(turn), nought, np.cos(turn)], axis=-1)
    axis = SlantAxis(750_000.0, 5.0)
    return RadarGeometry(Orbit(times, positions, velocities), (2000, 3000), -1.0, 1e-3, axis, 0.236, right_looking)


def test_ground_beside_the_track_is_seen_at_its_time_and_distance():
    ground = earth_fixed(np.array([3.0, 3.5]), 0.0, 0.0)
    place = _geometry().place(ground)
    np.testing.assert_allclose(place.row, 1000, atol=1e-6)
    distance = np.linalg.norm(ground - [_RADIUS, 0, 0], axis=-1)
    np.testing.assert_allclose(place.distance, distance, atol=1e-6)
    np.testing.assert_allclose(place.column, (distance - 750_000) / 5, atol=1e-6)


def test_a_radar_sees_its_own_side_only():
    ground = earth_fixed(np.array([-3.0, 3.0]), 0.0, 0.0)
    np.testing.assert_array_equal(np.isfinite(_geometry().place(ground).row), [False, True])
    np.testing.assert_array_equal(np.isfinite(_geometry(right_looking=False).place(ground).column), [True, False])


@pytest.mark.parametrize("turns", [False, True])
def test_rows_are_as_far_apart_as_the_ground_moves_past(turns):
    geometry = _geometry()
    if turns:  # with the Earth, which makes the flight oblique and its curve another one
        spin = 7.292115e-5
        times, positions, velocities = (getattr(geometry.orbit, n) for n in ("times", "positions", "velocities"))
        cos, sin = np.cos(-spin * times), np.sin(-spin * times)
        turned = [
            np.column_stack([cos * v[:, 0] - sin * v[:, 1], sin * v[:, 0] + cos * v[:, 1], v[:, 2]])
            for v in (positions, velocities)
        ]
        turned[1] -= spin * np.column_stack([-turned[0][:, 1], turned[0][:, 0], 0 * times])
        geometry = replace(geometry, orbit=Orbit(times, turned[0], turned[1]))
    ground = earth_fixed(np.array([3.0, 5.0]), 0.3, 500.0)
    ahead = seen_from(geometry, ground)[1]
    rows = geometry.place(ground + 5 * ahead).row - geometry.place(ground - 5 * ahead).row
    np.testing.assert_allclose(rows * geometry.azimuth_metres(ground), 10.0, rtol=1e-6)


def test_vectors_are_those_to_the_satellite_and_along_the_flight():
    geometry = _geometry()
    to_satellite, ahead = seen_from(geometry, earth_fixed(3.0, 0.0, 0.0))
    np.testing.assert_allclose(ahead, [0, 0, 1], atol=1e-9)
    assert to_satellite[0] > 0 > to_satellite[1]
    moved = earth_fixed(3.0, 0.0, 0.0) + 10 * to_satellite
    closer = geometry.place(earth_fixed(3.0, 0.0, 0.0)).distance - geometry.place(moved).distance
    np.testing.assert_allclose(closer, 10, atol=1e-6)


def test_columns_on_the_ground_lead_to_slant_range_and_back():
    axis = GroundAxis(12.5, np.array([0.0, 10.0]), np.array([[7.5e5, 0.5, 1e-7], [7.6e5, 0.6, 2e-7]]))
    column, time = np.array([0.0, 10.0, 4000.0]), np.array([-5.0, 5.0, 20.0])
    distance = axis.distance(column, time)
    way = 12.5 * column
    np.testing.assert_allclose(
        distance, [7.5e5, 7.55e5 + 0.55 * way[1] + 1.5e-7 * way[1] ** 2, 7.6e5 + 0.6 * way[2] + 2e-7 * way[2] ** 2]
    )
    np.testing.assert_allclose(axis.column(distance, time), column, atol=1e-6)
    np.testing.assert_allclose(
        axis.metres(column, time), axis.distance(column + 0.5, time) - axis.distance(column - 0.5, time), rtol=1e-9
    )


def test_columns_before_the_smallest_distance_of_the_polynomial_are_not_known():
    axis = GroundAxis(12.5, np.array([0.0]), np.array([[7.5e5, 0.5, 1e-6]]))
    assert np.isnan(axis.column(np.array([6.8e5]), np.array([0.0])))


@pytest.mark.parametrize("wrong", [{"line_interval": 0.0}, {"wavelength": -1.0}])
def test_intervals_and_wavelengths_are_positive(wrong):
    good = _geometry()
    settings = {"line_interval": 1e-3, "wavelength": 0.2, **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RadarGeometry(good.orbit, (1, 1), 0.0, axis=good.axis, **settings)
