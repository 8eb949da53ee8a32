import os
import pickle
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from groundshift.geometry.orbits import (
    Orbit,
    Paths,
    earth_fixed,
    path_difference,
    perpendicular_baseline,
    slant_range,
    zero_doppler,
)
from groundshift.types import Window

RADIUS = 7_071_000.0
RATE = 7590.0 / RADIUS
EARTH_RATE = 7.292115e-5
TIMES = 10.0 * np.arange(-6, 7)


def circle(radius: float = RADIUS, tilt: float = 0.0, times: np.ndarray = TIMES) -> Orbit:
    """A circle that does not turn with the Earth: over (1, 0, 0) at time 0, flying along (0, 0, 1)."""
    across = np.array([np.cos(tilt), np.sin(tilt), 0.0])
    angle = RATE * times[:, None]
    up, ahead = np.array([0.0, 0.0, 1.0]), across
    positions = radius * (np.cos(angle) * ahead + np.sin(angle) * up)
    velocities = radius * RATE * (np.cos(angle) * up - np.sin(angle) * ahead)
    return Orbit(times, positions, velocities)


def satellite(times: np.ndarray, node: float = 0.0, radius: float = RADIUS) -> tuple[np.ndarray, np.ndarray]:
    """Closed form of a circular orbit of 98 degrees inclination, seen from the turning Earth."""
    incline = np.radians(98.0)
    u, turn = RATE * times, node - EARTH_RATE * times
    x, y, z = np.cos(u), np.sin(u) * np.cos(incline), np.sin(u) * np.sin(incline)
    dx, dy, dz = -np.sin(u), np.cos(u) * np.cos(incline), np.cos(u) * np.sin(incline)
    position = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn), z], -1)
    velocity = RATE * np.stack(
        [dx * np.cos(turn) - dy * np.sin(turn), dx * np.sin(turn) + dy * np.cos(turn), dz], -1
    ) - EARTH_RATE * np.stack([-position[..., 1], position[..., 0], 0 * z], -1)
    return radius * position, radius * velocity


def realistic(node: float = 0.0, radius: float = RADIUS, step: float = 10.0) -> Orbit:
    times = 600.0 + step * np.arange(-6, 7)
    return Orbit(times, *satellite(times, node, radius))


@pytest.fixture
def ground() -> np.ndarray:
    """Ground beside the realistic orbit, to the right of its flight: 30 x 80 points, 40 m apart, with mountains."""
    y, x = np.mgrid[:30, :80].astype(float)
    under = satellite(np.array(600.0))[0]
    lon, lat = np.degrees([np.arctan2(under[1], under[0]), np.arcsin(under[2] / RADIUS)])
    return earth_fixed(lon + 5.5 + x * 4e-4, lat + y * 4e-4, 1000 + 700 * np.sin(x / 9) * np.cos(y / 7))


@pytest.fixture
def first() -> Orbit:
    return realistic()


@pytest.fixture
def second() -> Orbit:
    """A track about 100 m beside and above."""
    return realistic(node=1.3e-5, radius=RADIUS + 60)


def test_positions_are_those_of_the_ellipsoid() -> None:
    rng = np.random.default_rng(3)
    lon, lat, height = rng.uniform(-180, 180, 50), rng.uniform(-90, 90, 50), rng.uniform(-400, 8800, 50)
    transformer = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    expected = np.stack(transformer.transform(lon, lat, height), axis=-1)
    np.testing.assert_allclose(earth_fixed(lon, lat, height), expected, rtol=0, atol=1e-6)
    assert np.isnan(earth_fixed(10.0, 20.0, np.nan)).all()


def test_zero_doppler_of_a_circle_is_the_closed_form() -> None:
    rng = np.random.default_rng(4)
    ground = rng.normal((5.9e6, 2.2e6, 0.0), (2e5, 2e5, 1e5), (40, 3))
    expected = np.arctan2(ground[:, 2], ground[:, 0]) / RATE
    inside = np.abs(expected) < 60
    assert inside.sum() > 30
    np.testing.assert_allclose(zero_doppler(circle(), ground)[inside], expected[inside], rtol=0, atol=1e-9)
    closed = np.sqrt(np.sum(ground**2, -1) + RADIUS**2 - 2 * RADIUS * np.hypot(ground[:, 0], ground[:, 2]))
    np.testing.assert_allclose(slant_range(circle(), ground)[inside], closed[inside], rtol=0, atol=1e-6)


def test_orbit_between_vectors_is_the_true_one() -> None:
    """Ten seconds apart, as in precise orbits, and sixty; at the ends too."""
    for step, tolerance in ((10.0, 1e-6), (60.0, 2e-4)):
        orbit = realistic(step=step)
        times = np.linspace(orbit.times[0], orbit.times[-1], 137)
        position, velocity = orbit.at(times)
        expected = satellite(times)
        np.testing.assert_allclose(position, expected[0], rtol=0, atol=tolerance)
        np.testing.assert_allclose(velocity, expected[1], rtol=0, atol=tolerance)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_vectors_serve(count: int) -> None:
    times = 600.0 + 10.0 * np.arange(count)
    orbit = Orbit(times, *satellite(times))
    between = np.linspace(600.0, times[-1], 23)
    np.testing.assert_allclose(orbit.at(between)[0], satellite(between)[0], rtol=0, atol=1e-3)


def test_zero_doppler_is_the_closest_approach(first: Orbit, ground: np.ndarray) -> None:
    """As seen from the Earth, where also the point stands still."""
    times = zero_doppler(first, ground)
    nearest = slant_range(first, ground)
    for shift in (-2.0, -0.01, 0.01, 2.0):
        position, _ = first.at(times + shift)
        further = np.linalg.norm(ground - position, axis=-1) - nearest
        assert (further > 0).all()
    position, velocity = first.at(times)
    along = np.sum((ground - position) * velocity, axis=-1) / np.linalg.norm(velocity, axis=-1)
    np.testing.assert_allclose(along, 0, atol=1e-4)


def test_range_carried_on_is_the_range_solved(first: Orbit, ground: np.ndarray) -> None:
    """Neighbours 40 m apart, neighbours far apart, and one point alone."""
    solved = np.linalg.norm(ground - first.at(zero_doppler(first, ground))[0], axis=-1)
    np.testing.assert_allclose(slant_range(first, ground), solved, rtol=0, atol=1e-7)
    shuffled = np.random.default_rng(5).permutation(ground.reshape(-1, 3)) + np.arange(2400)[:, None] * 15.0
    solved = np.linalg.norm(shuffled - first.at(zero_doppler(first, shuffled))[0], axis=-1)
    np.testing.assert_allclose(slant_range(first, shuffled), solved, rtol=0, atol=1e-6)
    assert slant_range(first, shuffled[7]) == pytest.approx(solved[7], abs=1e-7)


def test_range_grows_by_the_line_of_sight(first: Orbit, ground: np.ndarray) -> None:
    sight = ground - first.at(zero_doppler(first, ground))[0]
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    step = np.array([0.3, -0.5, 0.4])
    change = slant_range(first, ground + step) - slant_range(first, ground - step)
    np.testing.assert_allclose(change, 2 * sight @ step, rtol=0, atol=1e-6)


def test_paths_close_in_a_triangle_and_turn_with_their_order(first: Orbit, second: Orbit, ground: np.ndarray) -> None:
    third = realistic(node=-9e-6)
    there = path_difference(first, second, ground)
    assert np.ptp(there) > 0.1
    np.testing.assert_array_equal(path_difference(second, first, ground), -there)
    around = there + path_difference(second, third, ground) + path_difference(third, first, ground)
    np.testing.assert_allclose(around, 0, atol=1e-8)


def test_clocks_of_the_passes_do_not_matter(first: Orbit, second: Orbit, ground: np.ndarray) -> None:
    later = Orbit(second.times + 43_200.0, second.positions, second.velocities)
    np.testing.assert_allclose(
        path_difference(first, later, ground), path_difference(first, second, ground), rtol=0, atol=1e-6
    )


def test_baseline_is_that_of_isce2(first: Orbit, second: Orbit, ground: np.ndarray) -> None:
    """topsStack: what is not parallel to the line of sight; its sign by the side of the plane of sight and flight."""
    point = ground[15, 40]
    one, flight = first.at(zero_doppler(first, point))
    two, _ = second.at(zero_doppler(second, point))
    near, far, apart = (np.linalg.norm(v) for v in (point - one, point - two, two - one))
    cosine = (near**2 + apart**2 - far**2) / (2 * near * apart)
    side = np.sign(np.dot(np.cross(point - one, two - one), flight))
    found = perpendicular_baseline(first, second, point)
    assert abs(found) > 50
    assert found == pytest.approx(side * apart * np.sqrt(1 - cosine**2), rel=1e-3)
    assert perpendicular_baseline(second, first, point) == pytest.approx(-found, rel=1e-3)


@pytest.mark.parametrize("node", [1.3e-5, -1.3e-5])
@pytest.mark.parametrize("east", [5.5, -5.5])
def test_baseline_is_positive_where_the_secondary_sees_a_larger_incidence(node: float, east: float) -> None:
    """Looking to the right and to the left."""
    first, second = realistic(), realistic(node)
    under = satellite(np.array(600.0))[0]
    lon, lat = np.degrees([np.arctan2(under[1], under[0]), np.arcsin(under[2] / RADIUS)])
    point = earth_fixed(lon + east, lat, 0.0)
    incidence = []
    for orbit in (first, second):
        back = orbit.at(zero_doppler(orbit, point))[0] - point
        incidence.append(np.arccos(back @ point / np.linalg.norm(back) / np.linalg.norm(point)))
    baseline = perpendicular_baseline(first, second, point)
    assert np.sign(baseline) == np.sign(incidence[1] - incidence[0])
    expected = (incidence[1] - incidence[0]) * np.linalg.norm(point - first.at(zero_doppler(first, point))[0])
    assert baseline == pytest.approx(expected, rel=1e-3)


def test_phase_grows_with_height_as_the_baseline_says(first: Orbit, second: Orbit, ground: np.ndarray) -> None:
    """At constant range and time of the reference, by B / (R sin(incidence)) per metre."""
    point = ground[15, 40]
    one, flight = first.at(zero_doppler(first, point))
    sight = (point - one) / np.linalg.norm(point - one)
    up = point / np.linalg.norm(point)
    # The way that is at right angles to sight and flight and leads upwards leaves range and time as they are.
    rise = np.cross(sight, flight)
    rise *= np.sign(rise @ up) / np.linalg.norm(rise)
    height = 20.0
    shift = rise * height / (rise @ up)
    grown = path_difference(first, second, point + shift) - path_difference(first, second, point)
    sine = np.sqrt(1 - (sight @ up) ** 2)
    distance = slant_range(first, point)
    assert grown == pytest.approx(perpendicular_baseline(first, second, point) / (distance * sine) * height, rel=1e-3)


def test_what_no_vector_reaches_is_not_known(first: Orbit, ground: np.ndarray) -> None:
    """Half of the scene lies behind the last vector."""
    times = zero_doppler(first, ground)
    middle = np.median(times)
    short = Orbit(np.array([middle - 10, middle]), *first.at(np.array([middle - 10, middle])))
    known = np.isfinite(slant_range(short, ground))
    np.testing.assert_array_equal(known, times <= middle)
    assert 0.4 < known.mean() < 0.6
    np.testing.assert_array_equal(np.isfinite(zero_doppler(short, ground)), known)
    assert np.isnan(short.at(middle + 0.1)[0]).all()


def test_unknown_ground_stays_unknown_and_harms_no_neighbour(first: Orbit, second: Orbit, ground: np.ndarray) -> None:
    whole = path_difference(first, second, ground)
    holes = ground.copy()
    holes[3, 5:9, 1] = np.nan
    holes[:, 0] = np.nan
    found = path_difference(first, second, holes)
    unknown = np.isnan(holes).any(axis=-1)
    np.testing.assert_array_equal(np.isnan(found), unknown)
    np.testing.assert_allclose(found[~unknown], whole[~unknown], rtol=0, atol=1e-7)


def test_wrong_vectors_are_refused(first: Orbit) -> None:
    with pytest.raises(ValueError, match=r"^velocities must have shape \(13, 3\), instead got \(12, 3\)$"):
        Orbit(first.times, first.positions, first.velocities[1:])
    with pytest.raises(ValueError, match=r"^times must ascend and be at least 2, instead got 13 from \["):
        Orbit(first.times[::-1], first.positions, first.velocities)
    with pytest.raises(ValueError, match=r"^times must ascend and be at least 2, instead got 1 from \["):
        Orbit(first.times[:1], first.positions[:1], first.velocities[:1])
    with pytest.raises(ValueError, match=r"^state vectors must be finite$"):
        Orbit(first.times, first.positions * np.nan, first.velocities)
    with pytest.raises(ValueError, match=r"^ground must have shape \(4, 3\), instead got \(4, 2\)$"):
        slant_range(first, np.zeros((4, 2)))


def test_paths_read_the_ground_of_a_window_once(first: Orbit, second: Orbit, ground: np.ndarray) -> None:
    read: list[Window] = []
    days = date(2020, 1, 1), date(2020, 1, 13)
    paths = Paths(dict(zip(days, (first, second), strict=True)), days[0], reader(ground, read))
    window, other = Window(3, 4, 10, 20), Window(0, 0, 2, 3)
    np.testing.assert_array_equal(paths.read(days[0], window), 0)
    np.testing.assert_allclose(
        paths.read(days[1], window), path_difference(first, second, ground[3:13, 4:24]), rtol=0, atol=1e-7
    )
    assert read == [window]
    paths.read(days[1], other)
    paths.read(days[1], window)
    assert read == [window, other, window]


def test_paths_travel_without_the_window_they_read() -> None:
    paths = Paths({date(2020, 1, 1): realistic()}, date(2020, 1, 1), whole_ground)
    paths.read(date(2020, 1, 1), Window(0, 0, 100, 100))
    sent = pickle.dumps(paths)
    assert len(sent) < 10_000
    np.testing.assert_array_equal(pickle.loads(sent).read(date(2020, 1, 1), Window(0, 0, 2, 2)), np.zeros((2, 2)))


def whole_ground(window: Window) -> np.ndarray:
    under = satellite(np.array(600.0))[0]
    return np.broadcast_to(under * 0.9, (window.height, window.width, 3))


def reader(ground: np.ndarray, read: list[Window]) -> Callable[[Window], np.ndarray]:
    def read_ground(window: Window) -> np.ndarray:
        read.append(window)
        return ground[window.rows, window.columns]

    return read_ground


@pytest.mark.real
def test_terrain_is_seen_where_gamma_sees_it() -> None:
    """Danba: the lookup table of GAMMA holds lines and columns of the terrain; ours agree to 1 % of a pixel."""
    if "GROUNDSHIFT_DATA" not in os.environ:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    from groundshift.io import gamma_par
    from groundshift.io.gamma_ground import orbit_of
    from groundshift.io.rasters import read_binary

    folder = Path(os.environ["GROUNDSHIFT_DATA"]) / "danba"
    image = gamma_par.read_parameters(folder / "20190109.rmli.par")
    dem = gamma_par.read_parameters(folder / "EQA.dem_par")
    grid = gamma_par.map_grid(dem)
    whole = Window(0, 0, *grid.shape)
    table = read_binary(folder / "20190109.lt_fine", grid.shape, ">c8", whole)
    heights = gamma_par.terrain_on_map(dem, [folder / "EQA.dem"]).read(whole)
    ground = earth_fixed(*grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]]), heights)
    orbit = orbit_of(image)
    lines = (zero_doppler(orbit, ground) - image.needed("start_time")) / image.needed("azimuth_line_time")
    columns = (slant_range(orbit, ground) - image.needed("near_range_slc")) / image.needed("range_pixel_spacing")
    assert np.ptp(heights) > 1000
    np.testing.assert_allclose(lines, table.imag, rtol=0, atol=0.01)
    np.testing.assert_allclose(columns, table.real, rtol=0, atol=0.01)
