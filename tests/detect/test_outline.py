"""Outlines lie where the body lies, are as large as it is, and carry what is known of it."""

import math

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod
from shapely import Point

from groundshift.detect import Body, outline, score_of, to_detection
from groundshift.errors import NoDataError
from groundshift.geometry import SlopeAspect
from groundshift.types import Looks, MapGrid, RadarGrid

GEOD = Geod(ellps="WGS84")
SHAPE = (60, 70)


@pytest.fixture(params=["utm", "degrees", "radar", "looked radar"])
def grid(request, map_grid, radar_grid):
    return {
        "utm": lambda: map_grid(SHAPE),
        "degrees": lambda: MapGrid(SHAPE, Affine(4e-4, 0, 102.0, 0, -3.5e-4, 30.8), "EPSG:4326"),
        "radar": lambda: radar_grid(SHAPE, (42.0, 37.0)),
        "looked radar": lambda: radar_grid((120, 210), (14.0, 11.0)).multilooked(Looks(2, 3)),
    }[request.param]()


def area_of(polygon):
    return abs(GEOD.geometry_area_perimeter(polygon)[0])


def make_body(mask, corner, velocity=20.0):
    return Body(mask, corner, velocity, 1.5, 8.0, ("north", "east"))


def ellipse(height, width):
    y, x = np.mgrid[:height, :width]
    return np.hypot((2 * y + 1) / height - 1, (2 * x + 1) / width - 1) < 1


def pixel_area(grid):
    """Ground area of the middle pixel, from its corners."""
    y, x = np.array([30, 30, 31, 31]) - 0.5, np.array([35, 36, 36, 35]) - 0.5
    return abs(GEOD.polygon_area_perimeter(*grid.lonlat(y, x))[0])


@pytest.mark.parametrize("mask", [ellipse(20, 14), ellipse(9, 30), np.ones((12, 7), bool)])
def test_area_is_that_of_the_mask(grid, mask):
    polygon = outline(mask, (20, 18), grid)
    assert polygon.is_valid
    assert area_of(polygon) == pytest.approx(mask.sum() * pixel_area(grid), rel=0.02)
    # The spacing that areas of bodies are measured with says the same.
    assert area_of(polygon) == pytest.approx(mask.sum() * math.prod(grid.spacing), rel=0.02)


def test_rectangle_is_outlined_along_its_outer_edges(grid):
    polygon = outline(np.ones((8, 5), bool), (20, 30), grid)
    # All but the corners, each of which is cut by the eighth of a pixel.
    assert area_of(polygon) == pytest.approx((40 - 4 / 8) * pixel_area(grid), rel=0.01)
    for y, x, inside in (
        (19.6, 32, True), (19.4, 32, False), (27.4, 32, True), (27.6, 32, False),
        (24, 29.6, True), (24, 29.4, False), (24, 34.4, True), (24, 34.6, False),
    ):  # fmt: skip
        assert polygon.contains(Point(*grid.lonlat(y, x))) is inside, (y, x)


def test_centre_is_that_of_the_mask(grid):
    polygon = outline(ellipse(15, 21), (11, 24), grid)
    expected = np.array(grid.lonlat(11 + 7, 24 + 10))
    pixel = np.abs(np.array(grid.lonlat(30.0, 30.0)) - grid.lonlat(31.0, 31.0))
    assert (np.abs(np.array(polygon.centroid.coords[0]) - expected) < 0.05 * pixel).all()


@pytest.mark.parametrize("at", [(0, 0), (30, 35), (59, 69)])
def test_single_pixel_has_an_outline(grid, at):
    polygon = outline(np.ones((1, 1), bool), at, grid)
    assert polygon.is_valid
    assert area_of(polygon) == pytest.approx(0.5 * pixel_area(grid), rel=0.02)
    assert polygon.contains(Point(*grid.lonlat(*at)))


def test_body_at_the_border_ends_at_the_outer_edge_of_the_grid(grid):
    for mask, corner in ((np.ones((60, 5), bool), (0, 0)), (np.ones((4, 70), bool), (56, 0))):
        polygon = outline(mask, corner, grid)
        assert area_of(polygon) == pytest.approx(mask.sum() * pixel_area(grid), rel=0.01)


def test_outline_of_several_parts_is_that_of_the_largest(grid):
    mask = np.zeros((20, 30), bool)
    mask[:3, :3] = True
    mask[8:20, 10:30] = True
    polygon = outline(mask, (20, 20), grid)
    assert area_of(polygon) == pytest.approx(240 * pixel_area(grid), rel=0.01)


def test_pixels_that_touch_at_a_corner_make_a_valid_outline(grid):
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], bool)
    assert outline(mask, (20, 20), grid).is_valid
    assert outline(np.eye(6, dtype=bool), (20, 20), grid).is_valid


def test_grid_that_knows_no_place_is_an_error():
    with pytest.raises(NoDataError):
        outline(np.ones((5, 5), bool), (10, 10), RadarGrid(SHAPE, (14.0, 11.0)))


@pytest.mark.parametrize("threshold", [4.0, 6.5])
def test_score_is_even_at_the_threshold_and_grows_with_significance(threshold):
    assert score_of(threshold, threshold) == 0.5
    assert score_of(threshold + 2, threshold) == pytest.approx(0.88, abs=0.002)
    assert score_of(threshold - 2, threshold) == pytest.approx(1 - score_of(threshold + 2, threshold))
    scores = [score_of(s, threshold) for s in np.linspace(0, 60, 50)]
    assert (np.diff(scores) >= 0).all()
    assert 0 < scores[0] < scores[-1] <= 1


@pytest.mark.parametrize("smoothing", [4, 5])
def test_detection_lies_on_the_nodes_and_not_on_the_pixels(make_stack, grid, smoothing):
    stack = make_stack(np.zeros((2, *SHAPE)), grid=grid, smoothing=smoothing)
    found = to_detection(make_body(ellipse(15, 21), (11, 24)), stack, None, 0.5)
    offset = -0.5 if smoothing == 4 else 0.0
    expected = np.array(grid.lonlat(18 + offset, 34 + offset))
    pixel = np.abs(np.array(grid.lonlat(30.0, 30.0)) - grid.lonlat(31.0, 31.0))
    assert (np.abs(np.array(found.polygon.centroid.coords[0]) - expected) < 0.05 * pixel).all()


def test_detection_carries_what_is_known_of_the_body(make_stack):
    stack = make_stack(np.zeros((2, *SHAPE)))
    mask = ellipse(10, 10)
    inside = np.zeros(SHAPE, bool)
    inside[20:30, 40:50] = mask
    stack.mean_coherence[:] = np.where(inside, 0.75, 0.2)
    stack.n_pairs[:] = np.where(inside, 120, 7)
    stack.mean_coherence[25, 45] = np.nan
    slope, aspect = np.where(inside, 25.0, 3.0), np.where(inside, np.where(np.arange(70) % 2, 350.0, 10.0), 180.0)
    found = to_detection(make_body(mask, (20, 40), -17.0), stack, SlopeAspect(slope, aspect), 0.7, detector="mine")
    assert found.velocity == -17.0
    assert found.velocity_sigma == 1.5
    assert found.significance == 8.0
    assert found.score == 0.7
    assert found.directions == ("north", "east")
    assert (found.track, found.window, found.detector) == ("T1", "all", "mine")
    assert found.mean_coherence == pytest.approx(0.75)
    assert found.n_pairs == 120
    assert found.slope == pytest.approx(25)
    assert min(found.aspect, 360 - found.aspect) == pytest.approx(0, abs=0.1)


def test_terrain_that_is_not_known_stays_so(make_stack):
    stack = make_stack(np.zeros((2, *SHAPE)))
    body = make_body(ellipse(10, 10), (20, 40))
    unknown = np.full(SHAPE, np.nan)
    level = np.zeros(SHAPE)
    assert to_detection(body, stack, None, 0.5).slope is None
    assert to_detection(body, stack, SlopeAspect(unknown, unknown), 0.5).slope is None
    flat = to_detection(body, stack, SlopeAspect(level, unknown), 0.5)
    assert (flat.slope, flat.aspect) == (0.0, None)


def test_body_over_nodes_without_data_is_described_by_the_others(make_stack):
    gradient = np.zeros((2, *SHAPE))
    gradient[:, 20:30, 40:44] = np.nan
    found = to_detection(make_body(np.ones((10, 10), bool), (20, 40)), make_stack(gradient), None, 0.5)
    assert found.mean_coherence == pytest.approx(0.6)
    assert found.n_pairs == 200
