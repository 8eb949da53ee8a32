import math

import geopandas as gpd
import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.simulate import SceneConfig, simulate_scene
from groundshift.simulate.slides import Course, slope_vector
from groundshift.simulate.terrain import height_gradient, make_terrain, range_slope
from groundshift.types import LookGeometry

DESCENDING = LookGeometry(190.0, 39.0)


@pytest.fixture(scope="module")
def scenes():
    return [simulate_scene(SceneConfig(seed=seed, n_dates=40)) for seed in (0, 1, 2)]


def test_projection_on_the_line_of_sight_by_hand():
    # Down a slope of 30 degrees that faces west. A radar that flies towards 190 degrees looks to its right, towards
    # 280, so the satellite stands in the direction of 100 degrees, nearly east.
    east, up = math.sin(math.radians(39)) * math.cos(math.radians(10)), math.cos(math.radians(39))
    by_hand = -math.cos(math.radians(30)) * east - math.sin(math.radians(30)) * up
    assert by_hand == pytest.approx(-0.9253, abs=1e-4)
    assert np.dot(slope_vector(270, 30), DESCENDING.to_satellite) == pytest.approx(by_hand)


def test_motion_square_to_the_line_of_sight_is_not_seen_and_along_it_is_seen_whole():
    # Towards the satellite, down as steeply as the line of sight is inclined; away from it, down the line of sight.
    assert np.dot(slope_vector(100, 39.0), DESCENDING.to_satellite) == pytest.approx(0.0, abs=1e-12)
    assert np.dot(slope_vector(280, 51.0), DESCENDING.to_satellite) == pytest.approx(-1.0)


def test_steady_seasonal_and_accelerating_courses():
    years = np.arange(0, 4.01, 0.01)
    np.testing.assert_array_equal(Course("steady").at(years), years)
    seasonal = Course("seasonal", amplitude=0.8, peak=0.3)
    np.testing.assert_allclose(seasonal.at(np.arange(5.0)), np.arange(5.0), atol=1e-12)
    speed = np.diff(seasonal.at(years)) / 0.01
    assert speed.max() == pytest.approx(1.8, abs=1e-3)
    assert speed.min() == pytest.approx(0.2, abs=1e-3)
    assert years[speed[:100].argmax()] == pytest.approx(0.3, abs=0.02)
    rising = Course("accelerating", amplitude=3.0, peak=2.0, rise=0.2, span=4.0)
    assert rising.at(np.array([0.0, 4.0])) == pytest.approx([0.0, 4.0])
    speed = np.diff(rising.at(years))
    assert np.all(np.diff(speed) >= -1e-12)
    assert speed[-1] / speed[0] == pytest.approx(4.0, rel=1e-3)


def test_an_amplitude_above_one_moves_back_within_the_year():
    assert np.diff(Course("seasonal", amplitude=5.0, peak=0.25).at(np.linspace(0, 1, 13))).min() < 0


def test_slides_lie_apart_inside_on_slopes_and_move_downhill(scenes):
    for scene in scenes:
        assert len(scene.slides) == 12
        total = sum(slide.mask(scene.grid.shape).astype(int) for slide in scene.slides)
        assert total.max() == 1
        assert not total[[0, -1]].any()
        assert not total[:, [0, -1]].any()
        assert not (scene.slide_mask & (scene.glacier_velocity != 0)).any()
        for slide in scene.slides:
            y, x = np.nonzero(slide.mask(scene.grid.shape))
            a = math.radians(slide.azimuth)
            along = x * math.sin(a) - y * math.cos(a)
            assert np.corrcoef(along, scene.heights[y, x])[0, 1] < -0.5
            assert 10 < slide.slope < 40
            assert slide.sensitivity == pytest.approx(
                np.dot(slope_vector(slide.azimuth, slide.slope), scene.look.to_satellite)
            )


def test_outline_and_pixels_are_the_same_body(scenes):
    for scene in scenes:
        outlines = gpd.GeoSeries([s.polygon for s in scene.slides], crs="EPSG:4326").to_crs(scene.grid.crs)
        assert outlines.is_valid.all()
        t = scene.grid.transform
        for slide, outline in zip(scene.slides, outlines, strict=True):
            y, x = np.nonzero(slide.mask(scene.grid.shape))
            assert outline.area == pytest.approx(len(y) * 1600, rel=0.15)
            centre = outline.centroid
            assert math.hypot(t.c + (x.mean() + 0.5) * 40 - centre.x, t.f - (y.mean() + 0.5) * 40 - centre.y) < 20


def test_speed_peaks_inside_and_some_slides_are_nearly_blind(scenes):
    slides = [slide for scene in scenes for slide in scene.slides]
    for slide in slides:
        assert slide.pattern.max() == 1
        assert slide.pattern.min() == 0
        assert 20 <= slide.speed <= 160
    seen = np.abs([slide.sensitivity for slide in slides])
    assert seen.min() < 0.15
    assert seen.max() > 0.7
    assert {slide.profile for slide in slides} == {"plug", "dome", "earthflow", "compound"}
    assert {slide.behaviour for slide in slides} == {"steady", "seasonal", "accelerating"}


def test_lengths_are_lognormal_around_their_median():
    lengths = [s.length_m for seed in range(8) for s in simulate_scene(SceneConfig(seed=seed, n_dates=4)).slides]
    assert np.median(lengths) == pytest.approx(700, rel=0.2)
    assert min(lengths) >= 300


def test_a_scene_without_room_says_so():
    config = SceneConfig(shape=(60, 60), n_slides=50, n_dates=4)
    with pytest.raises(NoDataError, match=r"^no room for slide \d+ of 50; ask for fewer slides or a larger scene$"):
        simulate_scene(config)


def test_terrain_has_the_slopes_asked_for_and_rivers_in_the_valleys():
    terrain = make_terrain((300, 300), 40.0, 40.0, 1900.0, np.random.default_rng(4))
    assert np.percentile(terrain.slope, 97) == pytest.approx(40.0, abs=0.1)
    assert terrain.heights.min() == pytest.approx(1900.0, abs=1e-3)
    assert 0.002 < terrain.river.mean() < 0.1
    assert terrain.heights[terrain.river].max() < np.median(terrain.heights)


def test_slope_towards_the_radar_of_a_plane():
    # A plane that falls 20 degrees towards the satellite rises 20 degrees away from it.
    look = LookGeometry(180.0, 39.0)
    east = np.tile(np.arange(20.0) * 40, (20, 1))
    rises_to_west = (-east * math.tan(math.radians(20))).astype(np.float32)
    np.testing.assert_allclose(range_slope(rises_to_west, 40.0, look), 20.0, atol=1e-3)
    np.testing.assert_allclose(height_gradient(rises_to_west, 40.0)[0], -math.tan(math.radians(20)), atol=1e-5)
