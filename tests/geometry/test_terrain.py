import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from groundshift.geometry.terrain import (
    SlopeAspect,
    downslope_sensitivity,
    downslope_velocity,
    mean_slope_aspect,
    slope_aspect,
)
from groundshift.types import LookGeometry, Looks, MapGrid, RadarGrid

LON, LAT = 101.97, 30.83
LOCAL = f"+proj=aeqd +lat_0={LAT} +lon_0={LON} +ellps=WGS84"


def local_metres(grid):
    """True east and north of every pixel from (LON, LAT), from another projection than the code's own."""
    lon, lat = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]])
    return Transformer.from_crs("EPSG:4326", LOCAL, always_xy=True).transform(lon, lat)


def plane(grid, slope, aspect):
    """Heights of a plane of known slope and aspect."""
    east, north = local_metres(grid)
    a = np.radians(aspect)
    return (-np.tan(np.radians(slope)) * (east * np.sin(a) + north * np.cos(a))).astype(np.float32)


def map_grid(crs, size, shape=(70, 90)):
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(LON, LAT)
    return MapGrid(shape, Affine(size, 0, x - size * shape[1] / 2, 0, -size, y + size * shape[0] / 2), crs)


def radar_grid(heading=192.8, shape=(60, 80), spacing=(14.0, 15.4), stretch=0.0):
    """Pixels along the heading and to the right of it; `stretch` lets the ground size of pixels vary along range."""
    h = np.radians(heading)
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    u = u + stretch * np.sin(u / 6.0)
    v, u = (v - shape[0] / 2) * spacing[0], (u - shape[1] / 2) * spacing[1]
    east, north = v * np.sin(h) + u * np.cos(h), v * np.cos(h) - u * np.sin(h)
    lon, lat = Transformer.from_crs(LOCAL, "EPSG:4326", always_xy=True).transform(east, north)
    return RadarGrid(shape, spacing, lon, lat)


GRIDS = {
    "utm far from its meridian": map_grid("EPSG:32647", 30.0),
    "longitude and latitude": map_grid("EPSG:4326", 0.0003),
    "web mercator": map_grid("EPSG:3857", 30.0),
    "radar": radar_grid(),
    "radar, uneven pixels": radar_grid(stretch=3.0),
    "radar, multilooked": radar_grid().multilooked(Looks(2, 3)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("slope", "aspect"), [(10.0, 0.0), (25.0, 77.0), (35.0, 190.0), (60.0, 300.0)])
def test_recovers_a_plane_in_true_east_and_north(name, slope, aspect):
    terrain = slope_aspect(plane(GRIDS[name], slope, aspect), GRIDS[name])
    np.testing.assert_allclose(terrain.slope, slope, atol=0.05)
    turn = (terrain.aspect - aspect + 180) % 360 - 180
    np.testing.assert_allclose(turn, 0.0, atol=0.1)


@pytest.mark.parametrize("name", GRIDS)
def test_smoothing_keeps_a_plane_exact_beside_gaps_and_edges(name):
    grid = GRIDS[name]
    height = plane(grid, 30.0, 120.0)
    height[5:8, 6:9] = np.nan
    terrain = slope_aspect(height, grid, smoothing=100.0)
    known = np.isfinite(height)
    np.testing.assert_allclose(terrain.slope[known], 30.0, atol=0.05)
    np.testing.assert_allclose(terrain.aspect[known], 120.0, atol=0.1)
    assert np.isnan(terrain.slope[~known]).all()


def test_smoothing_takes_the_steepness_of_noise_away():
    grid = map_grid("EPSG:32648", 10.0)
    height = plane(grid, 20.0, 45.0) + np.random.default_rng(0).normal(0, 3, grid.shape).astype(np.float32)
    rough, smooth = slope_aspect(height, grid), slope_aspect(height, grid, smoothing=150.0)
    assert np.std(smooth.slope) < np.std(rough.slope) / 10
    assert abs(np.mean(smooth.slope) - 20.0) < 0.3


def test_level_ground_has_no_aspect():
    grid = map_grid("EPSG:32648", 10.0)
    terrain = slope_aspect(np.full(grid.shape, 7.0, np.float32), grid)
    assert (terrain.slope == 0).all()
    assert np.isnan(terrain.aspect).all()


def test_one_row_has_no_slope():
    grid = map_grid("EPSG:32648", 10.0, (1, 9))
    assert np.isnan(slope_aspect(np.zeros((1, 9), np.float32), grid).slope).all()


def test_folded_radar_pixels_have_no_slope():
    # The ground position turns back along range between columns 30 and 40.
    grid = radar_grid()
    order = np.arange(80)
    order[30:41] = order[30:41][::-1]
    folded = RadarGrid(grid.shape, grid.spacing, grid.longitude[:, order], grid.latitude[:, order])
    terrain = slope_aspect(plane(folded, 30.0, 120.0), folded)
    assert np.isnan(terrain.slope[:, 31:40]).all()
    np.testing.assert_allclose(terrain.slope[:, :28], 30.0, atol=0.05)


@pytest.mark.parametrize("right_looking", [True, False])
def test_radar_grid_without_lookup_follows_the_heading(right_looking):
    grid = RadarGrid((6, 7), (14.0, 15.0))
    height = np.tile(15.0 * np.arange(7, dtype=np.float32), (6, 1))
    assert np.isnan(slope_aspect(height, grid).slope).all()
    look = LookGeometry(350.0, 39.0, right_looking)
    terrain = slope_aspect(height, grid, look=look)
    np.testing.assert_allclose(terrain.slope, 45.0, atol=1e-4)
    # Height grows away from the satellite, so the slope faces the satellite.
    np.testing.assert_allclose(terrain.aspect, 260.0 if right_looking else 80.0, atol=1e-3)


def test_across_the_date_line():
    grid = MapGrid((20, 40), Affine(0.001, 0, 179.98, 0, -0.001, 0.01), "EPSG:4326")
    lon, lat = grid.lonlat(*np.mgrid[:20, :40])
    # Rows of a radar grid run the other way round, so that its axes turn like those of a right-looking satellite.
    radar = RadarGrid((20, 40), grid.spacing, (lon[::-1] + 180) % 360 - 180, lat[::-1])
    height = (-np.arange(40) * grid.spacing[1] * np.ones((20, 1))).astype(np.float32)
    for one in (grid, radar):
        terrain = slope_aspect(height, one)
        np.testing.assert_allclose(terrain.aspect, 90.0, atol=0.1)
        np.testing.assert_allclose(terrain.slope, 45.0, atol=0.2)


def test_height_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"^height must have shape \(70, 90\), instead got \(70, 89\)$"):
        slope_aspect(np.zeros((70, 89), np.float32), GRIDS["web mercator"])


@pytest.mark.parametrize("heading", [0.0, 192.8, 347.0])
@pytest.mark.parametrize("right_looking", [True, False])
@pytest.mark.parametrize("slope", [5.0, 20.0, 36.0, 70.0])
def test_sensitivity_is_that_of_the_angle_between_ray_and_slope(heading, right_looking, slope):
    look = LookGeometry(heading, 38.0, right_looking)
    away = heading + (90.0 if right_looking else -90.0)
    # Downhill towards the radar, away from it, along the track, and in terms of the incidence i and the slope b:
    # sin(i - b), -sin(i + b), -cos(i) sin(b).
    i, b = np.radians(38.0), np.radians(slope)
    assert downslope_sensitivity(slope, away + 180, look) == pytest.approx(np.sin(i - b))
    assert downslope_sensitivity(slope, away, look) == pytest.approx(-np.sin(i + b))
    assert downslope_sensitivity(slope, heading, look) == pytest.approx(-np.cos(i) * np.sin(b))


def test_downslope_velocity_undoes_the_projection():
    slope, aspect = np.meshgrid([12.0, 25.0, 40.0], np.arange(0.0, 360.0, 20.0))
    c = downslope_sensitivity(slope, aspect, LookGeometry(192.8, 37.0))
    along = downslope_velocity(40.0 * c, 2.0, c)
    seen = np.abs(c) >= 0.3
    assert seen.any()
    assert not seen.all()
    np.testing.assert_allclose(along.velocity[seen], 40.0)
    np.testing.assert_allclose(along.sigma[seen], 2.0 / np.abs(c[seen]))
    assert np.isnan(along.velocity[~seen]).all()
    assert np.isnan(along.sigma[~seen]).all()


@pytest.mark.parametrize("c", [0.5, -0.5])
def test_upslope_motion_is_refused_beyond_two_standard_errors(c):
    uphill = -1.0 if c > 0 else 1.0
    velocity = downslope_velocity(np.array([1.9, 2.1, -9.0]) * uphill, 1.0, c).velocity
    np.testing.assert_allclose(velocity, [-3.8, np.nan, 18.0])


def test_unknown_values_stay_unknown():
    along = downslope_velocity([np.nan, 5.0, 5.0], [1.0, np.nan, 1.0], [0.5, 0.5, np.nan])
    assert np.isnan(along.velocity).all()
    assert np.isnan(along.sigma).all()


def test_mean_aspect_goes_round_north():
    terrain = SlopeAspect(np.array([[20.0, 30.0, 50.0, np.nan]]), np.array([[350.0, 10.0, 90.0, np.nan]]))
    inside = np.array([[True, True, False, True]])
    slope, aspect = mean_slope_aspect(terrain, inside)
    east = -np.tan(np.radians(20)) * np.sin(np.radians(10)) + np.tan(np.radians(30)) * np.sin(np.radians(10))
    north = (np.tan(np.radians(20)) + np.tan(np.radians(30))) * np.cos(np.radians(10))
    assert slope == pytest.approx(25.0)
    assert aspect == pytest.approx(np.degrees(np.arctan2(east, north)))
    assert mean_slope_aspect(terrain, np.array([[False, False, False, True]])) is None
