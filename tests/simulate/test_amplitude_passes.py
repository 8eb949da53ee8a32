"""Simulated passes."""

import numpy as np
import pytest

from groundshift.geometry.orbits import earth_fixed, perpendicular_baseline
from groundshift.geometry.radar import seen_from
from groundshift.simulate.amplitude_passes import PALSAR, PALSAR_2, SENTINEL_1, Instrument, local_axes, make_pass

_PLACE = (98.7, 31.08, 3300.0)
_ASKED = {"instrument": PALSAR, "heading_deg": 348.0, "incidence_deg": 38.0, "shape": (400, 300)}
_GRAVITY = 3.986004418e14
_EARTH = np.array([0.0, 0.0, 7.292115e-5])


def _pass(**changes):
    return make_pass(*_PLACE, **{**_ASKED, **changes})


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("heading", [12.0, 193.0, 348.0])
@pytest.mark.parametrize("incidence", [23.0, 38.0])
def test_place_is_seen_under_its_angle_across_its_heading(heading, incidence, right):
    geometry = _pass(heading_deg=heading, incidence_deg=incidence, right_looking=right)
    to_satellite, ahead = seen_from(geometry, earth_fixed(*_PLACE))
    east, north, up = local_axes(*_PLACE[:2]) @ to_satellite
    np.testing.assert_allclose(np.degrees(np.arccos(up)), incidence, atol=1e-6)
    look = np.degrees(np.arctan2(-east, -north))
    np.testing.assert_allclose((look - heading) % 360, 90 if right else 270, atol=1e-6)
    # The flight is level to the radius, which is off the ellipsoid's normal by a sixth of a degree here.
    flight = local_axes(*_PLACE[:2]) @ ahead
    askew = 0.18 / np.sin(np.radians(incidence))
    assert flight @ [np.sin(np.radians(heading)), np.cos(np.radians(heading)), 0] > np.cos(np.radians(askew))


@pytest.mark.parametrize("centre", [None, (10.0, 250.5)])
def test_place_is_shown_where_asked(centre):
    place = _pass(centre=centre).place(earth_fixed(*_PLACE))
    np.testing.assert_allclose((place.row, place.column), centre or (199.5, 149.5), atol=1e-5)


@pytest.mark.parametrize("baseline", [-27_972.0, -150.0, 3000.0, 28_000.0])
def test_baseline_is_the_one_asked_for_and_adds_to_the_angle(baseline):
    first, second = _pass(), _pass(baseline_m=baseline)
    ground = earth_fixed(*_PLACE)
    np.testing.assert_allclose(perpendicular_baseline(first.orbit, second.orbit, ground), baseline, atol=1e-3)
    up = local_axes(*_PLACE[:2])[2]
    cosines = [seen_from(geometry, ground)[0] @ up for geometry in (first, second)]
    assert (cosines[1] < cosines[0]) == (baseline > 0)


@pytest.mark.parametrize("instrument", [PALSAR, PALSAR_2, SENTINEL_1])
def test_orbit_is_a_circle_in_space_under_gravity(instrument):
    orbit = _pass(instrument=instrument).orbit
    radius = np.linalg.norm(orbit.positions, axis=-1)
    np.testing.assert_allclose(radius, 6_378_137.0 + instrument.orbit_height, rtol=1e-12)
    inertial = orbit.velocities + np.cross(_EARTH, orbit.positions)
    np.testing.assert_allclose(np.linalg.norm(inertial, axis=-1), np.sqrt(_GRAVITY / radius), rtol=1e-12)
    np.testing.assert_allclose(np.sum(inertial * orbit.positions, axis=-1) / radius, 0, atol=1e-6)


def test_velocities_are_those_of_the_positions_over_the_turning_earth():
    orbit = _pass().orbit
    step = 1e-2
    # The curve goes through both, so between vectors it would swing if they did not agree.
    times = np.arange(-40.0, 41.0, 7.0)
    ahead, behind = orbit.at(times + step)[0], orbit.at(times - step)[0]
    np.testing.assert_allclose((ahead - behind) / (2 * step), orbit.at(times)[1], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(orbit.at(times)[0], axis=-1), 6_378_137.0 + 691_650.0, atol=1e-3)


def test_pixels_are_as_large_as_those_of_the_instruments():
    ground = earth_fixed(*_PLACE)
    rows = [float(_pass(instrument=i).azimuth_metres(ground)) for i in (PALSAR, PALSAR_2)]
    np.testing.assert_allclose(rows, [3.2, 2.1], atol=0.05)


def test_axes_are_at_right_angles_and_up_leads_off_the_ground():
    axes = local_axes(*_PLACE[:2])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    higher = earth_fixed(_PLACE[0], _PLACE[1], 100.0) - earth_fixed(_PLACE[0], _PLACE[1], 0.0)
    np.testing.assert_allclose(axes @ higher, [0, 0, 100], atol=1e-6)
    east = earth_fixed(_PLACE[0] + 1e-5, _PLACE[1], 0.0) - earth_fixed(_PLACE[0], _PLACE[1], 0.0)
    np.testing.assert_allclose((axes @ east)[1:], 0, atol=1e-5)
    assert (axes @ east)[0] > 0.9


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"^incidence_deg must lie in \[1.0, 80.0\], instead got 85.0$"):
        _pass(incidence_deg=85.0)
    with pytest.raises(ValueError, match=r"^range_step must be positive, instead got 0$"):
        Instrument("radar", 0.2, 0, 2000.0, 7e5)
