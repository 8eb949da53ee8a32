"""Simulated amplitude images."""

from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine

from groundshift.geometry.orbits import earth_fixed
from groundshift.geometry.radar import GroundAxis, RadarGeometry, seen_from
from groundshift.simulate.amplitude import (
    coherence_in_time,
    count_facets,
    draw_speckle,
    simulate_amplitude,
    simulate_image,
)
from groundshift.simulate.amplitude_ground import SimulatedGround
from groundshift.simulate.amplitude_passes import PALSAR, PALSAR_2, make_pass
from groundshift.types import MapGrid

_LON, _LAT, _HEIGHT = 98.7, 31.08, 3000.0
_STEP = 1 / 3600 / 4
_NODES = 80
_INCIDENCE = 37.0
_FACETS = (8, 8)
_SPECKLE = draw_speckle(np.eye(1), 7, _FACETS)[0]
_SILENT = -np.inf


def _geometry(instrument=PALSAR_2, shape=(160, 140), **changes):
    return make_pass(
        _LON, _LAT, _HEIGHT, instrument=instrument, heading_deg=348.0, incidence_deg=_INCIDENCE, shape=shape, **changes
    )


def _ground(rise=None, points=None, reflectivity=1.0, texels=1):
    """A tilted or hilly square around the place; `rise` gives heights of metres east and north of it."""
    half = (_NODES - 1) / 2
    grid = MapGrid(
        (_NODES, _NODES),
        Affine(_STEP, 0, _LON - (half + 0.5) * _STEP, 0, -_STEP, _LAT + (half + 0.5) * _STEP),
        "EPSG:4326",
    )
    y, x = np.indices(grid.shape) - half
    dy, dx = grid.spacing
    heights = np.full(grid.shape, _HEIGHT) + (0.0 if rise is None else rise(x * dx, -y * dy))
    cells = texels * (_NODES - 1)
    strength = np.full((cells, cells), reflectivity, np.float32)
    return SimulatedGround(grid, heights, strength, np.empty((0, 3)) if points is None else np.array(points, float))


def _hill(east, north):
    return 0.3 * east - 0.2 * north + 15 * np.sin(east / 60)


def _peak(image):
    """Place of the brightest point to a hundredth of a pixel, by its oversampled neighbourhood."""
    y, x = np.unravel_index(np.argmax(np.abs(image)), image.shape)
    r, c = np.indices((17, 17)) - 8
    part = image[y - 8 : y + 9, x - 8 : x + 9]
    # The image is band-limited: between its pixels it is the sum of sincs.
    fine = np.arange(-100, 101) / 100
    along = np.sinc(fine[:, np.newaxis] - r[:, 0])
    across = np.sinc(fine[:, np.newaxis] - c[0])
    row, column = np.unravel_index(np.argmax(np.abs(along @ part @ across.T)), (201, 201))
    return y + fine[row], x + fine[column]


def _moved(ground, displacement):
    return np.broadcast_to(np.array(displacement, np.float64), (*ground.grid.shape, 3))


@pytest.mark.parametrize("instrument", [PALSAR, PALSAR_2])
@pytest.mark.parametrize("node", [(40.0, 40.0), (43.3, 37.8), (38.55, 41.45)])
def test_a_bright_point_lands_where_the_geometry_places_it(instrument, node):
    ground = _ground(_hill, [[*node, 100.0]], reflectivity=0.0)
    geometry = _geometry(instrument, (80, 70))
    image = simulate_image(ground, geometry, speckle=_SPECKLE, noise_db=_SILENT)
    lon, lat = ground.grid.lonlat(np.array(node[0]), np.array(node[1]))
    y, x = (int(n) for n in node)
    v, u = node[0] - y, node[1] - x
    weights = np.outer([1 - v, v], [1 - u, u])
    height = np.sum(weights * ground.heights[y : y + 2, x : x + 2])
    place = geometry.place(earth_fixed(lon, lat, height))
    np.testing.assert_allclose(_peak(image), (place.row, place.column), atol=0.02)


def test_a_point_has_the_power_of_its_cross_section_and_the_phase_of_its_path():
    ground = _ground(points=[[40.0, 40.0, 100.0]], reflectivity=0.0)
    geometry = _geometry()
    image = simulate_image(ground, geometry, speckle=_SPECKLE, noise_db=_SILENT)
    node = ground.positions[40, 40]
    area = geometry.axis.step * geometry.azimuth_metres(node)
    np.testing.assert_allclose(np.sum(np.abs(image) ** 2) * area, 100.0, rtol=0.01)
    y, x = np.unravel_index(np.argmax(np.abs(image)), image.shape)
    path = np.exp(-4j * np.pi / geometry.wavelength * geometry.place(node).distance)
    np.testing.assert_allclose(image[y, x] / np.abs(image[y, x]), path, atol=1e-3)


@pytest.mark.parametrize("displacement", [(12.0, 0.0, -9.0), (0.0, -7.0, 0.0), (-3.0, 4.0, 5.0)])
def test_a_point_that_moves_is_shown_where_the_moved_ground_is(displacement):
    ground = _ground(_hill, [[40.4, 39.7, 100.0]], reflectivity=0.0)
    geometry = _geometry()
    before, after = (
        np.array(_peak(simulate_image(ground, geometry, moved, speckle=_SPECKLE, noise_db=_SILENT)))
        for moved in (None, _moved(ground, displacement))
    )
    node = ground.positions[40, 40]
    to_satellite, ahead = seen_from(geometry, node)
    shift = np.array(displacement) @ ground.axes[40, 40]
    rows = shift @ ahead / geometry.azimuth_metres(node)
    np.testing.assert_allclose(after - before, [rows, -shift @ to_satellite / geometry.axis.step], atol=0.02)


def test_speckle_is_exponential_in_intensity_and_its_phase_uniform():
    geometry = _geometry()
    image = simulate_image(_ground(), geometry, speckle=_SPECKLE, noise_db=_SILENT)[4:-4, 4:-4]
    intensity = np.abs(image[::2, ::2]) ** 2
    mean = intensity.mean()
    np.testing.assert_allclose(intensity.std() / mean, 1, atol=0.04)
    for level in (0.1, 0.5, 1.0, 2.0, 4.0):
        assert abs(np.mean(intensity > level * mean) - np.exp(-level)) < 0.02
    assert abs(np.mean(image / np.abs(image))) < 0.02


@pytest.mark.parametrize("slope", [-0.7, 0.0, 0.3])
def test_ground_returns_the_area_that_it_turns_to_the_radar(slope):
    # Towards the east, about where the radar looks: of a plane of which unit area at right angles returns one,
    # a pixel of a square metre in slant range and flight shows the cotangent of the angle to the normal.
    ground = _ground(lambda east, north: slope * east)
    geometry = _geometry()
    image = simulate_image(ground, geometry, speckle=_SPECKLE, noise_db=_SILENT)
    middle = ground.positions[40, 40]
    to_satellite, ahead = seen_from(geometry, middle)
    sight, flight = ground.axes[40, 40] @ to_satellite, ground.axes[40, 40] @ ahead
    normal = np.array([-slope, 0.0, 1.0]) / np.hypot(1, slope)
    # Area that a pixel cuts out of a plane: that of the pixel over the cosine between both normals.
    across = np.cross(sight, flight)
    expected = (normal @ sight) / abs(normal @ across)
    shown = np.abs(image) > 0
    power = np.abs(image[shown]) ** 2
    assert shown.mean() > 0.9
    np.testing.assert_allclose(power.mean(), expected, rtol=0.05)


def test_ground_that_faces_away_returns_nothing():
    ground = _ground(lambda east, north: np.where(east > 0, -2.0 * east, 0.0), [[40.0, 60.0, 100.0]])
    image = simulate_image(ground, _geometry(shape=(60, 240)), speckle=_SPECKLE, noise_db=_SILENT)
    assert np.mean(np.abs(image[:, 30:50]) > 0) > 0.9
    assert np.mean(np.abs(image[:, -40:]) > 0) == 0


def _correlation(first, second):
    both = np.sum(first * np.conj(second))
    return abs(both) / np.sqrt(np.sum(np.abs(first) ** 2) * np.sum(np.abs(second) ** 2))


def test_speckle_of_two_dates_correlates_as_asked():
    coherence = np.array([[1.0, 0.7, 0.3], [0.7, 1.0, 0.5], [0.3, 0.5, 1.0]])
    images = [
        simulate_image(_ground(), _geometry(), speckle=speckle, noise_db=_SILENT)
        for speckle in draw_speckle(coherence, 4, _FACETS)
    ]
    found = [[_correlation(a, b) for b in images] for a in images]
    np.testing.assert_allclose(found, coherence, atol=0.03)


def test_speckle_of_two_radars_has_nothing_in_common():
    images = [
        simulate_image(_ground(), _geometry(), speckle=draw_speckle(np.eye(1), seed, _FACETS)[0], noise_db=_SILENT)
        for seed in (1, 2)
    ]
    assert _correlation(*images) < 0.03


def test_speckle_is_lost_with_the_baseline():
    # On flat ground in proportion to the critical one: wavelength x distance x tangent over twice the range resolution.
    reference = _geometry()
    distance = reference.place(earth_fixed(_LON, _LAT, _HEIGHT)).distance
    resolution = PALSAR_2.range_step / 0.8
    critical = PALSAR_2.wavelength * distance * np.tan(np.radians(_INCIDENCE)) / (2 * resolution)
    first = simulate_image(_ground(), reference, speckle=_SPECKLE, noise_db=_SILENT)
    found = []
    for share in (0.02, 1.3):
        geometry = _geometry(baseline_m=share * critical)
        second = simulate_image(_ground(), geometry, speckle=_SPECKLE, noise_db=_SILENT)
        # The fringes of flat ground are one line of the spectrum.
        line = np.abs(np.fft.fft2(first * np.conj(second))).max()
        found.append(line / np.sqrt(np.sum(np.abs(first) ** 2) * np.sum(np.abs(second) ** 2)))
    assert found[0] > 0.75
    assert found[1] < 0.08


def test_texture_moves_with_the_ground_and_keeps_its_power():
    ground = _ground(reflectivity=0.0, texels=2)
    ground.reflectivity[70:80, 90:104] = 1.0
    geometry = _geometry()
    displacement = (0.0, 21.0, 0.0)
    before, after = (
        np.abs(simulate_image(ground, geometry, moved, speckle=_SPECKLE, noise_db=_SILENT)) ** 2
        for moved in (None, _moved(ground, displacement))
    )
    rows = np.indices(before.shape)[0]
    shift = np.sum(after * rows) / after.sum() - np.sum(before * rows) / before.sum()
    _, ahead = seen_from(geometry, ground.positions[40, 40])
    spacing = geometry.azimuth_metres(ground.positions[40, 40])
    # Carried speckle is the same but for the turn of the flight against the grid.
    np.testing.assert_allclose(shift, np.array(displacement) @ ground.axes[40, 40] @ ahead / spacing, atol=0.5)
    np.testing.assert_allclose(after.sum(), before.sum(), rtol=0.1)


def test_outside_the_ground_is_nothing_and_inside_is_noise_at_least():
    ground = _ground(reflectivity=0.0)
    geometry = _geometry(shape=(400, 500))
    amplitude = simulate_amplitude(ground, geometry, speckle=_SPECKLE, noise_db=-20.0, noise_seed=3)
    place = geometry.place(ground.positions)
    inside = np.zeros(geometry.shape, np.bool_)
    inside[int(place.row.min()) + 25 : int(place.row.max()) - 25, 230:270] = True
    assert amplitude.dtype == np.float32
    np.testing.assert_allclose(np.mean(amplitude[inside] ** 2), 0.01, rtol=0.05)
    assert np.all(amplitude[: int(place.row.min()) - 1] == 0)
    assert np.all(amplitude[:, int(place.column.max()) + 2 :] == 0)
    assert not np.array_equal(
        amplitude, simulate_amplitude(ground, geometry, speckle=_SPECKLE, noise_db=-20.0, noise_seed=4)
    )


def test_a_cropped_image_is_the_crop_of_the_whole():
    ground = _ground(_hill)
    whole, part = (
        simulate_image(ground, _geometry(shape=shape, centre=centre), speckle=_SPECKLE, noise_db=_SILENT)
        for shape, centre in (((120, 100), (60, 50)), ((60, 40), (40, 20)))
    )
    np.testing.assert_allclose(part, whole[20:80, 30:70], atol=1e-4)


def test_ground_without_heights_and_images_of_another_place_show_nothing():
    ground = _ground()
    ground.heights[:] = np.nan
    assert not simulate_amplitude(ground, _geometry(), speckle=_SPECKLE).any()
    away = make_pass(99.7, 31.08, 3000.0, instrument=PALSAR, heading_deg=348.0, incidence_deg=37.0, shape=(50, 60))
    assert not simulate_amplitude(_ground(), away, speckle=_SPECKLE).any()


def test_columns_on_the_ground_show_the_same_ground():
    ground = _ground(points=[[40.0, 40.0, 100.0]], reflectivity=0.0)
    slant = _geometry()
    near = slant.axis.near
    axis = GroundAxis(2.5, np.array([0.0]), np.array([[near, 0.6, 1e-5]]))
    geometry = RadarGeometry(slant.orbit, (160, 140), slant.first_time, slant.line_interval, axis, slant.wavelength)
    image = simulate_image(ground, geometry, speckle=_SPECKLE, noise_db=_SILENT)
    place = geometry.place(ground.positions[40, 40])
    np.testing.assert_allclose(_peak(image), (place.row, place.column), atol=0.02)


def test_coherence_falls_with_time_to_what_lasts():
    days = [date(2007, 1, 2) + timedelta(n) for n in (0, 700, 70_000)]
    found = coherence_in_time(days, fresh=0.6, lasting=0.1, decay_days=700.0)
    np.testing.assert_allclose(found[0], [1.0, 0.1 + 0.5 / np.e, 0.1], atol=1e-9)
    np.testing.assert_array_equal(found, found.T)


def test_weights_of_speckle_keep_its_power():
    days = [date(2007, 1, 2) + timedelta(46 * n) for n in range(14)]
    for speckle in draw_speckle(coherence_in_time(days), 1, _FACETS):
        np.testing.assert_allclose(np.sum(speckle.weights**2), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("coherence", "message"),
    [
        ([[1.0, 0.5], [0.4, 1.0]], "coherence must be symmetric, with ones on its diagonal"),
        ([[0.5]], "coherence must be symmetric, with ones on its diagonal"),
        (
            [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]],
            "coherence must be positive definite: no dates can agree like this",
        ),
    ],
)
def test_impossible_coherence_is_refused(coherence, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        draw_speckle(np.array(coherence), 1, _FACETS)


def test_ground_that_does_not_fit_is_refused():
    ground = _ground()
    with pytest.raises(ValueError, match=r"^reflectivity must have shape \(79, 79\), instead got \(80, 79\)$"):
        SimulatedGround(ground.grid, ground.heights, np.ones((80, 79), np.float32))
    with pytest.raises(ValueError, match=r"^displacement must have shape \(80, 80, 3\), instead got \(80, 80\)$"):
        simulate_amplitude(ground, _geometry(), np.zeros((80, 80)), speckle=_SPECKLE)


@pytest.mark.parametrize("instrument", [PALSAR, PALSAR_2])
def test_facets_are_half_a_pixel_at_most(instrument):
    ground, geometry = _ground(_hill), _geometry(instrument)
    counts = count_facets(ground, geometry)
    place = geometry.place(ground.positions)
    for axis, count in enumerate(counts):
        size = np.hypot(np.diff(place.row, axis=axis), np.diff(place.column, axis=axis))
        assert np.mean(size / count <= 0.5) >= 0.949
        assert np.mean(size / (count - 1) <= 0.5) < 0.95
