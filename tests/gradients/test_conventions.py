"""What docs/conventions.md says of gradients, shown on features of known place, sign and size."""

import math
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod, Transformer

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.geometry import geocode, map_grid_for
from groundshift.gradients.differences import directions_of, take_looks
from groundshift.gradients.integrate import relative_velocity
from groundshift.gradients.stack import node_offset
from groundshift.types import Looks, MapGrid, Pair, RadarGrid, Window

CENTRE = (40.3, 37.8)
"""Row and column of the bump on the grid of the product."""

SHAPE = (84, 80)
PAIRS = (Pair(date(2020, 1, 1), date(2020, 1, 13)), Pair(date(2020, 1, 1), date(2020, 2, 6)))


def bump(shape, centre, width=7.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2))


def moving_bump(velocity, pairs=PAIRS):
    """Interferograms of ground that moves towards the satellite by `velocity` mm/yr at the bump's peak."""
    metres = velocity / 1000 * np.array([p.years for p in pairs])[:, None, None] * bump(SHAPE, CENTRE)
    return np.exp(-4j * np.pi * metres / SENTINEL1_WAVELENGTH).astype(np.complex64)


def pixel_of(lon, lat, grid):
    """Pixel coordinates of a place on a grid whose longitude and latitude, or map coordinates, are linear in them."""
    if isinstance(grid, MapGrid):
        x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(lon, lat)
        column, row = ~grid.transform @ (x, y)
        return np.array([row - 0.5, column - 0.5])
    lon0, lat0 = grid.longitude[0, 0], grid.latitude[0, 0]
    steps = np.array(
        [
            [grid.longitude[1, 0] - lon0, grid.longitude[0, 1] - lon0],
            [grid.latitude[1, 0] - lat0, grid.latitude[0, 1] - lat0],
        ]
    )
    return np.linalg.solve(steps, [lon - lon0, lat - lat0])


def symmetry_centre(values):
    """Pixel coordinates about which the squares of a map are symmetric: their centre of mass."""
    power = np.nan_to_num(values.astype(float)) ** 2
    y, x = np.mgrid[: values.shape[0], : values.shape[1]]
    return np.array([(power * y).sum(), (power * x).sum()]) / power.sum()


def zero_crossing(values, start, direction):
    """Pixel coordinates where a map changes sign along the line of a direction through the node nearest to `start`."""
    step = np.sign(np.subtract(direction.end, direction.start)).astype(int)
    line = np.round(start).astype(int) + np.arange(-9, 10)[:, None] * step
    found = values[line[:, 0], line[:, 1]].astype(float)
    (at,) = np.nonzero(np.sign(found[:-1]) * np.sign(found[1:]) < 0)
    assert len(at) == 1
    return line[at[0]] + found[at[0]] / (found[at[0]] - found[at[0] + 1]) * step


@pytest.fixture(params=["map", "radar"])
def grid(request, map_grid, radar_grid):
    return map_grid(SHAPE) if request.param == "map" else radar_grid(SHAPE)


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("n", [1, 4, 5, 10])
def test_bump_comes_out_at_its_place_on_the_grid_of_each_direction(stack_igrams, grid, n, step):
    directions = directions_of(grid.axis_names, diagonals=True, step=step)
    stack = stack_igrams(moving_bump(60), PAIRS, grid=grid, smoothing=n, directions=directions)
    for k, direction in enumerate(directions):
        own = stack.grid_of(direction)
        centre = symmetry_centre(stack.rate[k])
        place = pixel_of(*own.lonlat(*centre), grid)
        np.testing.assert_allclose(place, CENTRE, atol=0.05)
        # The change of sign tells the place along the direction.
        crossing = pixel_of(*own.lonlat(*zero_crossing(stack.rate[k], centre, direction)), grid)
        along = np.sign(np.subtract(direction.end, direction.start))
        assert abs(along @ (crossing - CENTRE)) / np.linalg.norm(along) < 0.05


@pytest.mark.parametrize("n", [4, 5])
def test_bump_comes_out_at_its_place_on_the_map(stack_igrams, grid, n):
    directions = directions_of(grid.axis_names, diagonals=True)
    stack = stack_igrams(moving_bump(60), PAIRS, grid=grid, smoothing=n, directions=directions)
    for k, direction in enumerate(directions):
        own = stack.grid_of(direction)
        # A map of a map grid is laid on the pixels of the product, that of a radar grid on a north-up one.
        target = grid if isinstance(grid, MapGrid) else map_grid_for(own)
        found = geocode(stack.velocity_gradient[k], own, target)
        place = pixel_of(*target.lonlat(*symmetry_centre(found)), grid)
        np.testing.assert_allclose(place, CENTRE, atol=0.05)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_velocity_lies_on_the_grid_of_the_nodes(stack_igrams, grid, n):
    stack = stack_igrams(moving_bump(60), PAIRS, grid=grid, smoothing=n)
    place = pixel_of(*stack.node_grid.lonlat(*symmetry_centre(relative_velocity(stack))), grid)
    np.testing.assert_allclose(place, CENTRE, atol=0.05)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_coherence_lies_on_the_grid_of_the_nodes(stack_igrams, grid, n):
    # Without motion, so that a node's magnitude is its coherence; known to half a step, since that of a node is the
    # lowest of the three nodes that its two differences use.
    igrams = np.ones((2, 1, 1)) * (0.2 + 0.6 * bump(SHAPE, CENTRE))
    stack = stack_igrams(igrams, PAIRS, grid=grid, smoothing=n)
    excess = stack.mean_coherence - np.nanmin(stack.mean_coherence)
    place = pixel_of(*stack.node_grid.lonlat(*symmetry_centre(excess)), grid)
    np.testing.assert_allclose(place, CENTRE, atol=0.5)
    assert np.nanmin(stack.mean_coherence) == pytest.approx(0.2, abs=1e-3)
    assert np.nanmax(stack.mean_coherence) == pytest.approx(0.2 + 0.6 * np.exp(-(n**2 - 1) / 12 / 49), abs=0.01)


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("looks", [Looks(2, 2), Looks(2, 3), Looks(3, 1)])
def test_bump_comes_out_at_its_place_after_looks(stack_igrams, grid, n, looks):
    looked = np.stack([take_looks(igram, looks) for igram in moving_bump(60)])
    stack = stack_igrams(looked, PAIRS, grid=grid.multilooked(looks), smoothing=n)
    for k, direction in enumerate(stack.directions):
        own = stack.grid_of(direction)
        place = pixel_of(*own.lonlat(*symmetry_centre(stack.rate[k])), grid)
        np.testing.assert_allclose(place, CENTRE, atol=0.05)


def test_node_of_an_even_window_lies_half_a_pixel_before_its_pixel():
    # A node is the mean of the pixels that its window covers; so is its place.
    for n in range(1, 12):
        covered = np.arange(-(n // 2), n - n // 2)
        assert node_offset(n) == covered.mean()


@pytest.mark.parametrize("looks", [Looks(1, 1), Looks(2, 3), Looks(3, 2), Looks(4, 4)])
def test_looks_move_pixel_centres_as_they_move_the_data(grid, looks):
    lon, lat = grid.lonlat(*np.mgrid[: SHAPE[0], : SHAPE[1]])
    origin = lon[0, 0], lat[0, 0]
    data = (lon - origin[0] + 1) + 1j * (lat - origin[1] + 1)
    looked = take_looks(data.astype(np.complex64), looks)
    smaller = grid.multilooked(looks)
    assert looked.shape == smaller.shape == (SHAPE[0] // looks.y, SHAPE[1] // looks.x)
    found = smaller.lonlat(*np.mgrid[: smaller.shape[0], : smaller.shape[1]])
    # A hundredth of a pixel in degrees; the map is curved by less.
    np.testing.assert_allclose(looked.real - 1, found[0] - origin[0], atol=4e-6)
    np.testing.assert_allclose(looked.imag - 1, found[1] - origin[1], atol=4e-6)
    np.testing.assert_allclose(smaller.spacing, np.multiply(grid.spacing, looks), rtol=1e-9)


def test_cropping_and_shifting_move_pixel_centres_as_they_move_the_data(grid):
    looked = grid.multilooked(Looks(2, 3))
    window = Window(5, 4, 20, 11)
    part = looked.cropped(window)
    assert part.shape == (20, 11)
    np.testing.assert_allclose(part.lonlat(3.2, 1.6), looked.lonlat(8.2, 5.6), rtol=0, atol=1e-10)
    np.testing.assert_allclose(looked.shifted(-0.5, 0.25).lonlat(7, 7), looked.lonlat(6.5, 7.25), rtol=0, atol=1e-10)
    assert looked.shifted(-0.5, 0.25).shape == looked.shape


def test_difference_is_next_node_minus_this_node(stack_igrams, grid):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    years = np.array([p.years for p in PAIRS])[:, None, None]
    igrams = np.exp(1j * years * (0.7 * y - 0.4 * x))
    stack = stack_igrams(igrams, PAIRS, grid=grid, smoothing=4)
    np.testing.assert_allclose(stack.rate[0][stack.n_pairs > 0], 0.7, rtol=1e-4)
    np.testing.assert_allclose(stack.rate[1][stack.n_pairs > 0], -0.4, rtol=1e-4)


def test_rows_of_a_north_up_map_run_south_and_say_so(map_grid):
    grid = map_grid(SHAPE)
    assert grid.axis_names == ("north", "east")
    assert grid.axis_signs == (-1, 1)
    (lon, below, right) = (np.array(grid.lonlat(y, x)) for y, x in ((10, 10), (11, 10), (10, 11)))
    # What the signs say: index grows along the named axis where they are positive.
    assert np.sign((below - lon)[1]) == grid.axis_signs[0]
    assert np.sign((right - lon)[0]) == grid.axis_signs[1]
    south_up = MapGrid(grid.shape, grid.transform @ grid.transform.scale(1, -1), grid.crs)
    assert south_up.axis_signs == (1, 1)
    assert south_up.lonlat(11, 10)[1] > south_up.lonlat(10, 10)[1]


def test_velocity_gradient_is_the_derivative_along_the_axis_times_its_sign(stack_igrams, map_grid):
    # Ground that moves towards the satellite the faster the further north: 3 mm/yr per kilometre.
    grid = map_grid(SHAPE, pixel=40.0)
    north = -40.0 * np.arange(SHAPE[0])[:, None] * np.ones(SHAPE[1])
    metres = 3e-6 * north * np.array([p.years for p in PAIRS])[:, None, None]
    stack = stack_igrams(np.exp(-4j * np.pi * metres / SENTINEL1_WAVELENGTH), PAIRS, grid=grid, smoothing=4)
    known = stack.n_pairs > 0
    assert stack.directions[0].name == "north"
    np.testing.assert_allclose(stack.velocity_gradient[0][known], grid.axis_signs[0] * 3e-3 * 40, rtol=1e-3)
    np.testing.assert_allclose(stack.velocity_gradient[1][known], 0, atol=1e-4)


def test_radar_grid_counts_along_azimuth_and_range(radar_grid):
    grid = radar_grid(SHAPE, spacing=(14.0, 11.0))
    assert grid.axis_names == ("azimuth", "range")
    assert grid.axis_signs == (1, 1)
    assert isinstance(grid, RadarGrid)
    assert [d.name for d in directions_of(grid.axis_names)] == ["azimuth", "range"]
    assert grid.shifted(-0.5, -0.5).axis_signs == (1, 1)


@pytest.mark.parametrize("velocity", [60.0, -60.0])
def test_ground_moving_towards_the_satellite_is_positive(stack_igrams, grid, velocity):
    stack = stack_igrams(moving_bump(velocity), PAIRS, grid=grid, smoothing=4)
    found = relative_velocity(stack)
    peak = found.ravel()[np.nanargmax(np.abs(found))]
    # The window lowers the peak of a Gaussian by 1 - (n^2 - 1) / (12 s^2), to first order.
    assert peak == pytest.approx(velocity * (1 - 15 / 12 / 7**2), rel=0.02)
    # On the way in the velocity grows along the axis, on the way out it falls; the significance has the same sign.
    row, column = np.round(CENTRE).astype(int)
    for values in (stack.velocity_gradient, stack.significance):
        assert np.sign(values[0, row - 7, column]) == np.sign(velocity) == -np.sign(values[0, row + 7, column])
        assert np.sign(values[1, row, column - 7]) == np.sign(velocity) == -np.sign(values[1, row, column + 7])


def test_millimetres_per_radian_of_sentinel_1(make_stack):
    stack = make_stack(np.ones((2, 3, 3)))
    # A fringe is half a wavelength; phase grows away from the satellite.
    assert stack.mm_per_radian * 2 * math.pi == pytest.approx(-1000 * SENTINEL1_WAVELENGTH / 2)
    assert stack.mm_per_radian == pytest.approx(-4.4138, abs=1e-4)
    np.testing.assert_allclose(stack.velocity_gradient, stack.rate * stack.mm_per_radian, rtol=1e-6)
    np.testing.assert_allclose(stack.velocity_gradient_sigma, stack.sigma * 4.4138, rtol=1e-4)
    np.testing.assert_allclose(stack.radians, stack.rate * stack.total_years, rtol=1e-6)


def test_rates_are_per_year_of_365_and_a_quarter_days(stack_igrams):
    pairs = (Pair(date(2019, 1, 1), date(2023, 1, 1)), Pair(date(2019, 1, 1), date(2021, 1, 1)))
    assert pairs[0].years == 4
    y = np.mgrid[:12, :12][0]
    igrams = np.exp(1j * np.array([p.years for p in pairs])[:, None, None] * 0.2 * y)
    np.testing.assert_allclose(stack_igrams(igrams, pairs).rate[0, :-1, :-1], 0.2, rtol=1e-5)


def test_what_is_not_known_is_nan_and_counts_nothing(stack_igrams):
    igrams = moving_bump(60)
    igrams[:, 20:30, 50:60] = 0
    igrams[0, 60:70, 10:20] = 0
    stack = stack_igrams(igrams, PAIRS, smoothing=3)
    nowhere, once = (slice(20, 30), slice(50, 60)), (slice(61, 69), slice(11, 19))
    for values in (stack.rate, stack.sigma, stack.velocity_gradient, stack.significance):
        assert np.isnan(values[:, *nowhere]).all()
        # One pair has a rate but no scatter, hence no standard error: not known.
        assert np.isnan(values[:, *once]).all()
        assert np.isfinite(values[:, 40:60, 30:45]).all()
    for values in (stack.mean_coherence, stack.residues):
        assert np.isnan(values[nowhere]).all()
        assert np.isfinite(values[once]).all()
    assert not stack.n_pairs[nowhere].any()
    assert (stack.n_pairs[once] == 1).all()
    assert not stack.effective_pairs[nowhere].any()


def test_spacing_is_measured_on_the_ground(map_grid):
    degrees = MapGrid((300, 200), Affine(4e-4, 0, 101.9, 0, -3e-4, 46.0), "EPSG:4326")
    feet = MapGrid((300, 200), Affine(100, 0, 6_000_000, 0, -100, 2_000_000), "EPSG:2229")
    ellipsoid = Geod(ellps="WGS84")
    for grid in (map_grid((300, 200)), degrees, feet, degrees.multilooked(Looks(3, 2))):
        middle = np.array(grid.shape) / 2 - 0.5
        for axis, step in enumerate(((1, 0), (0, 1))):
            ends = (grid.lonlat(*(middle + f * np.array(step))) for f in (-0.5, 0.5))
            (lon0, lat0), (lon1, lat1) = ends
            metres = ellipsoid.inv(lon0, lat0, lon1, lat1)[2]
            # A sphere for the Earth, and the scale of the map projection.
            assert grid.spacing[axis] == pytest.approx(metres, rel=4e-3)


def test_every_test_that_the_conventions_name_exists():
    root = Path(__file__).parents[2]
    text = (root / "docs" / "conventions.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]+)`", text)
    assert len(named) > 40
    for name in named:
        file, _, test = name.partition("::")
        assert re.search(rf"^def {test}\(", (root / file).read_text(encoding="utf-8"), re.MULTILINE), name


def test_every_statement_of_the_conventions_names_a_test():
    text = (Path(__file__).parents[2] / "docs" / "conventions.md").read_text(encoding="utf-8")
    for table in re.findall(r"\| statement \| test \|\n\|---\|---\|\n((?:\|.*\n?)+)", text):
        for row in table.splitlines():
            assert re.search(r"\| `tests/\S+::test_\w+`", row), row
