"""The ground that an image shows, and where another image shows it."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from tests.offsets.ortho_scene import BASE, LAT, LON, a_pass, dem_around, east_north, ground_seen, hills, level

from groundshift.errors import GroundshiftError
from groundshift.geometry.orbits import Orbit, earth_fixed
from groundshift.geometry.radar import GroundAxis, seen_from
from groundshift.offsets.errors import DemCoverageError, OppositeLookError, OrbitTooShortError, OtherPlaceError
from groundshift.offsets.lookup import ground_of, lookup_table
from groundshift.offsets.ortho_checks import footprint, ground_at
from groundshift.offsets.ortho_dem import refined
from groundshift.types import Window

_SMALL = {"shape": (120, 100)}


@pytest.fixture(scope="module")
def over_hills():
    return ground_of(a_pass(), *dem_around(hills))


def test_pixels_show_the_ground_that_is_placed_in_them(over_hills):
    place = over_hills.geometry.place(over_hills.position())
    y, x = np.mgrid[:400, :320]
    np.testing.assert_allclose(place.row, y, atol=1e-3)
    np.testing.assert_allclose(place.column, x, atol=1e-3)


def test_ground_is_that_of_a_surface_known_in_closed_form(over_hills):
    lon, lat = ground_seen(over_hills.geometry, hills)
    metres = np.hypot(*east_north(over_hills.longitude - lon + LON, over_hills.latitude - lat + LAT))
    assert metres.max() < 0.15
    np.testing.assert_allclose(over_hills.height, hills(lon, lat), atol=0.1)
    assert not over_hills.layover.any()
    assert not over_hills.shadow.any()


def test_places_of_the_ground_lead_back_to_the_image():
    geometry = a_pass(right_looking=False, heading=190.0)
    rows, columns = np.array([0.0, 200.0, 399.0]), np.array([319.0, 10.5, 0.0])
    heights = np.array([-50.0, 3000.0, 8000.0])
    place = geometry.place(earth_fixed(*ground_at(geometry, rows, columns, heights), heights))
    np.testing.assert_allclose(place.row, rows, atol=1e-4)
    np.testing.assert_allclose(place.column, columns, atol=1e-3)
    assert np.isnan(ground_at(replace(geometry, first_time=100.0), rows, columns, heights)[0]).all()


@pytest.mark.parametrize("right_looking", [True, False])
@pytest.mark.parametrize("heading", [350.0, 190.0])
def test_level_ground_has_an_intensity_of_one_whatever_the_pass(heading, right_looking):
    geometry = a_pass(heading=heading, right_looking=right_looking, **_SMALL)
    ground = ground_of(geometry, *dem_around(level, 0.012))
    np.testing.assert_allclose(ground.intensity[2:-2, 2:-2].mean(), 1.0, atol=2e-3)
    np.testing.assert_allclose(ground.intensity[2:-2, 2:-2], 1.0, atol=0.05)
    assert ground.clear.all()


@pytest.mark.parametrize("slope", [-0.5, 0.2, 0.5])
def test_intensity_grows_as_the_sine_of_the_local_incidence_falls(slope):
    geometry = a_pass(heading=0.0, **_SMALL)

    def rising_away(lon, lat):
        return BASE + slope * east_north(lon, lat)[0] + 0.0 * lat

    ground = ground_of(geometry, *dem_around(rising_away, 0.015))
    to_satellite, _ = seen_from(geometry, earth_fixed(LON, LAT, BASE))
    origin = earth_fixed(LON, LAT, BASE)
    east, north, up = (
        earth_fixed(LON + a, LAT + b, BASE + c) - origin for a, b, c in ((1e-6, 0, 0), (0, 1e-6, 0), (0, 0, 0.1))
    )
    east, north, up = (v / np.linalg.norm(v) for v in (east, north, up))
    normal = up - slope * east
    # Azimuth times slant range is the area seen from across both: along the flight and in the line of sight.
    across = np.cross(seen_from(geometry, origin)[1], to_satellite)
    lying, tilted = (abs(float(v @ across)) / np.linalg.norm(v) for v in (up, normal))
    np.testing.assert_allclose(ground.intensity[40:80, 35:65].mean(), lying / tilted, rtol=0.01)


def _pyramid(lon, lat):
    """600 m high, its faces steeper than any ray."""
    return BASE + np.clip(600.0 - 2.0 * np.maximum(*np.abs(np.broadcast_arrays(*east_north(lon, lat)))), 0.0, None)


def test_a_pyramid_lies_over_what_is_before_it_and_hides_what_is_behind():
    geometry = a_pass(heading=0.0, incidence=38.0, shape=(60, 320), spacing=(5.0, 7.0))
    ground = ground_of(geometry, *dem_around(_pyramid, 0.03, 1 / 14400))
    axis = geometry.axis
    slant = axis.distance(np.arange(320.0), np.zeros(320)) - axis.distance(np.array(159.5), np.array(0.0))
    sine, cosine = np.sin(np.radians(38.0)), np.cos(np.radians(38.0))
    # Along the middle: foot and top of the face, and where the ray over the top meets the plain.
    foot, top, end = -300 * sine, -600 * cosine, 600 * cosine * (sine / cosine) ** 2
    middle, far = ground.layover[30], 3 * 7.0
    assert middle[(slant > top + far) & (slant < foot - far)].all()
    assert not middle[(slant < top - far) | (slant > foot + far)].any()
    hidden = ground.shadow[30]
    assert hidden[(slant > top + far) & (slant < end - far)].all()
    assert not hidden[(slant < top - far) | (slant > end + far)].any()
    # The face outshines the plain; shadow is black, unless something lies over it.
    assert (ground.intensity[30][hidden & ~middle] == 0).all()
    assert ground.intensity[30][middle].mean() > 2.0


def test_no_ground_is_lost_or_added_where_it_folds():
    geometry = a_pass(heading=0.0, incidence=38.0, shape=(250, 320), spacing=(5.0, 7.0))

    def gentle(lon, lat):
        return BASE + np.clip(300.0 - np.maximum(*np.abs(np.broadcast_arrays(*east_north(lon, lat)))), 0.0, None)

    plain, folded = (ground_of(geometry, *dem_around(h, 0.03, 1 / 14400)) for h in (level, gentle))
    assert folded.layover.any()
    assert not folded.shadow.any()
    more = (folded.intensity.sum(dtype=float) - plain.intensity.sum(dtype=float)) * 5.0 * 7.0 / np.sin(np.radians(38.0))
    # Faces of 45 degrees over a square of 600 m.
    assert more == pytest.approx((np.sqrt(2.0) - 1.0) * 600.0**2, rel=0.03)


def test_a_window_shows_what_the_whole_shows(over_hills):
    window = Window(100, 50, 60, 70)
    ground = ground_of(over_hills.geometry, *dem_around(hills), window)
    np.testing.assert_allclose(ground.longitude, over_hills.longitude[window.rows, window.columns], atol=1e-9)
    np.testing.assert_allclose(ground.height, over_hills.height[window.rows, window.columns], atol=1e-2)
    inner = (slice(2, -2),) * 2
    whole = over_hills.intensity[window.rows, window.columns]
    np.testing.assert_allclose(ground.intensity[inner], whole[inner], rtol=0.01)


def test_a_table_is_where_the_other_image_places_the_ground(over_hills):
    other = a_pass(incidence=34.0, spacing=(6.0, 5.0), shape=(620, 460))
    table = lookup_table(over_hills, other)
    place = other.place(over_hills.position(slice(7, 8)))
    np.testing.assert_allclose(table.rows[7:8], place.row, atol=1e-6)
    np.testing.assert_allclose(table.columns[7:8], place.column, atol=1e-6)
    own = lookup_table(over_hills, over_hills.geometry)
    np.testing.assert_allclose(own.columns - np.arange(320), 0.0, atol=1e-3)


def test_columns_on_the_ground_work_as_those_in_slant_range(over_hills):
    slant = over_hills.geometry.axis
    axis = GroundAxis(10.0, np.array([0.0]), np.array([[slant.near, 0.6, 1e-8]]))
    table = lookup_table(over_hills, replace(over_hills.geometry, axis=axis))
    way = 10.0 * table.columns
    distance = slant.near + 0.6 * way + 1e-8 * way**2
    np.testing.assert_allclose((distance - slant.near) / slant.step - np.arange(320), 0.0, atol=1e-3)


def test_gaps_of_the_dem_are_gaps_of_the_table():
    lon, lat, heights = dem_around(hills)
    heights[100:130] = np.nan
    ground = ground_of(a_pass(), lon, lat, heights)
    table = lookup_table(ground, a_pass(incidence=36.0))
    assert 0.5 < ground.known.mean() < 1
    np.testing.assert_array_equal(np.isnan(table.rows), ~ground.known)
    np.testing.assert_array_equal(np.isnan(ground.intensity), ~ground.known)
    assert (ground.amplitude[~ground.known] == 0).all()


def test_cubic_surfaces_go_through_their_nodes_and_keep_planes():
    rng = np.random.default_rng(0)
    field = rng.normal(size=(5, 4))
    np.testing.assert_allclose(refined(field, 3, 0)[::3], field)
    y = np.arange(6.0)
    np.testing.assert_allclose(refined(y, 4, 0), np.arange(21) / 4)
    np.testing.assert_allclose(refined(y**2, 4, 0)[4:-4], (np.arange(4, 17) / 4) ** 2)
    field[2, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(refined(field, 2, 1)), np.isin(np.arange(35).reshape(5, 7), [15, 16, 17]))


def test_a_dem_of_another_place_is_told_with_the_box_that_is_needed():
    geometry = a_pass(**_SMALL)
    lon, lat, heights = dem_around(hills, 0.01)
    box = footprint(geometry, None, BASE)
    assert box.west < LON < box.east
    assert box.south < LAT < box.north
    message = (
        r"^DEM: covers 0% of the reference image, 50% are needed; give one that reaches 9[0-9.]+ to 9[0-9.]+ E, "
        r"3[0-9.]+ to 3[0-9.]+ N$"
    )
    with pytest.raises(DemCoverageError, match=message):
        ground_of(geometry, lon + 1.0, lat, heights)
    with pytest.raises(DemCoverageError, match=r"^DEM: covers [1-9][0-9]?% of the reference image, 95% are needed"):
        ground_of(geometry, lon + 0.01, lat, heights, coverage=0.95)
    assert issubclass(DemCoverageError, GroundshiftError)


def test_an_orbit_must_reach_over_the_image():
    geometry = a_pass(**_SMALL)
    orbit = geometry.orbit
    short = replace(geometry, orbit=Orbit(orbit.times[:5], orbit.positions[:5], orbit.velocities[:5]))
    with pytest.raises(OrbitTooShortError, match=r"^reference image: the image runs from -0.\d+ to 0.\d+ s, its state"):
        ground_of(short, *dem_around(hills, 0.01))
    ground = ground_of(geometry, *dem_around(hills, 0.012))
    with pytest.raises(OrbitTooShortError, match=r"^20150727: .*; give an orbit that covers the image$"):
        lookup_table(ground, short, name="20150727")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"heading": 190.0}, r"heading 19\d, right; reference 3\d\d, right"),
        ({"right_looking": False}, r"heading 3\d\d, left; reference 3\d\d, right"),
    ],
)
def test_images_from_different_sides_are_refused(other, words):
    ground = ground_of(a_pass(**_SMALL), *dem_around(hills, 0.012))
    with pytest.raises(OppositeLookError, match=rf"^secondary image: .*\({words}\): offsets of the two cannot be"):
        lookup_table(ground, a_pass(**other, **_SMALL))


@pytest.mark.parametrize("away", [{"lon": 99.7}, {"lat": 31.3}])
def test_an_image_of_another_place_is_refused(away):
    ground = ground_of(a_pass(**_SMALL), *dem_around(hills, 0.012))
    message = r"^secondary image: shows 0% of the reference, 10% are needed: it lies at 9.* N, the reference at 98"
    with pytest.raises(OtherPlaceError, match=message):
        lookup_table(ground, a_pass(**away, **_SMALL))


@pytest.mark.real
@pytest.mark.parametrize("stretch", [1.0, 6.0])
def test_ground_of_a_real_dem_is_found_also_where_it_folds(real_data, stretch):
    with rasterio.open(real_data / "dem" / "dem_himalayas_E81p5_N28p3_short.tiff") as file:
        heights, step, corner = stretch * file.read(1), file.transform, (file.transform.c, file.transform.f)
    lon = corner[0] + step.a * (np.arange(heights.shape[1]) + 0.5)
    lat = (corner[1] + step.e * (np.arange(heights.shape[0]) + 0.5))[:, np.newaxis]
    geometry = a_pass(lon=lon[380], lat=lat[70, 0], shape=(400, 300), spacing=(9.0, 7.0))
    lower = (BASE - heights[70, 380]) * np.cos(np.radians(38.0))
    geometry = replace(geometry, axis=replace(geometry.axis, near=geometry.axis.near + lower))
    ground = ground_of(geometry, lon, lat, heights)
    place = geometry.place(ground.position())
    y, x = np.mgrid[:400, :300]
    np.testing.assert_allclose(place.row[ground.known], y[ground.known], atol=1e-3)
    np.testing.assert_allclose(place.column[ground.known], x[ground.known], atol=1e-3)
    assert ground.known.mean() > 0.9
    assert ground.layover.any() == (stretch > 1)
    # Ground is seen once: along a row, where nothing folds, it runs away from the radar.
    steps = np.diff(ground.longitude, axis=1)
    alone = ~(ground.layover[:, 1:] | ground.layover[:, :-1]) & np.isfinite(steps)
    assert (steps[alone] > 0).all()
