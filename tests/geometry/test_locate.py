"""The pixels of a polygon are those whose centres it holds, by shapely's own word on every pixel of the grid."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from shapely import MultiPolygon, Point, Polygon, affinity

from groundshift.geometry import pixels_within
from groundshift.types import Looks, MapGrid, RadarGrid, Window


def by_every_pixel(shape, grid):
    """Ask for each pixel centre, one by one."""
    lon, lat = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float))
    points = [Point(x, y) if np.isfinite(x + y) else Point() for x, y in zip(lon.ravel(), lat.ravel(), strict=True)]
    return np.array([shape.contains(p) for p in points]).reshape(grid.shape)


def assert_found(shape, grid):
    """Whether `pixels_within` finds what a look at every pixel finds, in the smallest window; returns how many."""
    expected = by_every_pixel(shape, grid)
    found = pixels_within(shape, grid)
    if not expected.any():
        assert found is None
        return 0
    window, inside = found
    assert inside.shape == (window.height, window.width)
    for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
        assert edge.any()
    whole = np.zeros(grid.shape, bool)
    whole[window.rows, window.columns] = inside
    np.testing.assert_array_equal(whole, expected)
    return int(expected.sum())


def place(grid, row, column, height, width, turn=20.0):
    """Outline an ellipse around a pixel coordinate, given in pixels."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    turn = np.radians(turn)
    down, across = height / 2 * np.sin(angle), width / 2 * np.cos(angle)
    rows = row + down * np.cos(turn) + across * np.sin(turn)
    columns = column - down * np.sin(turn) + across * np.cos(turn)
    if isinstance(grid, MapGrid):
        return Polygon(np.column_stack(grid.lonlat(rows, columns)))
    # A radar grid ends with its lookup; that of the fixture is linear, and goes on as it is.
    (origin, down, right) = (np.array(grid.lonlat(y, x)) for y, x in ((0, 0), (1, 0), (0, 1)))
    return Polygon(origin + np.outer(rows, down - origin) + np.outer(columns, right - origin))


@pytest.fixture(params=["map", "degrees", "radar"])
def grid(request, map_grid, radar_grid):
    shape = (45, 60)
    if request.param == "degrees":
        return MapGrid(shape, Affine(4e-4, 0, 101.9, 0, -3e-4, 30.9), "EPSG:4326")
    return map_grid(shape) if request.param == "map" else radar_grid(shape, (14.0, 9.3))


@pytest.mark.parametrize(
    ("row", "column", "height", "width"),
    [(20, 31, 9, 17), (20.4, 30.6, 1.5, 1.5), (0, 0, 8, 8), (44, 30, 9, 20), (22, 62, 30, 9), (22, 30, 200, 300)],
    ids=["inside", "one pixel or two", "corner", "lower edge", "right edge", "holds the grid"],
)
def test_pixels_are_those_whose_centres_lie_inside(grid, row, column, height, width):
    assert assert_found(place(grid, row, column, height, width), grid) > 0


@pytest.mark.parametrize(("row", "column"), [(20.5, 30.5), (60, 30), (20, -12), (-1000, 5000)])
def test_a_polygon_between_the_centres_or_beside_the_grid_has_no_pixel(grid, row, column):
    assert assert_found(place(grid, row, column, 0.6, 0.6), grid) == 0


def test_parts_and_holes_count_as_shapely_has_them(grid):
    ring = place(grid, 14, 20, 20, 24)
    holed = Polygon(ring.exterior, [affinity.scale(ring, 0.5, 0.5).exterior])
    parts = MultiPolygon([holed, place(grid, 38, 52, 6, 9)])
    assert assert_found(parts, grid) == assert_found(holed, grid) + assert_found(parts.geoms[1], grid)


@pytest.mark.parametrize("kind", ["map", "radar"])
def test_small_polygons_on_large_grids_are_not_lost(kind, map_grid, radar_grid):
    # Far smaller than the lattice on which they are looked for first: that has a point every 8 rows and columns.
    grid = (map_grid if kind == "map" else radar_grid)((1700, 90))
    rng = np.random.default_rng(7)
    for row, column in [(0, 0), (1699, 89), *rng.integers((0, 0), grid.shape, (20, 2))]:
        shape = place(grid, row, column, *rng.uniform(0.4, 6, 2), turn=rng.uniform(0, 180))
        window, inside = pixels_within(shape, grid)
        y, x = np.mgrid[max(row - 5, 0) : min(row + 6, 1700), max(column - 5, 0) : min(column + 6, 90)].astype(float)
        expected = shapely.contains_xy(shape, *grid.lonlat(y, x))
        assert inside.sum() == expected.sum() > 0
        top, left = y[expected].min(), x[expected].min()
        assert window == Window(top, left, np.ptp(y[expected]) + 1, np.ptp(x[expected]) + 1)


def test_pixels_without_a_place_are_in_no_polygon(radar_grid):
    whole = radar_grid((40, 30))
    lon, lat = whole.longitude.copy(), whole.latitude.copy()
    lon[10:20, :17] = lat[10:20, :17] = np.nan
    grid = replace(whole, longitude=lon, latitude=lat)
    shape = place(whole, 18, 17, 14, 14)
    assert 0 < assert_found(shape, grid) < assert_found(shape, whole)
    assert pixels_within(shape, RadarGrid((40, 30), (40.0, 40.0))) is None
    assert pixels_within(shape, replace(whole, longitude=lon * np.nan, latitude=lat * np.nan)) is None


def test_cropped_and_multilooked_grids_agree_with_shapely(grid):
    shape = place(grid, 20, 31, 15, 25)
    part = grid.cropped(Window(13, 20, 20, 23))
    assert assert_found(shape, part) < assert_found(shape, grid)
    assert assert_found(shape, grid.multilooked(Looks(2, 3))) > 0
