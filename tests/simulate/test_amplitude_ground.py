"""Ground of simulated amplitude images."""

import numpy as np
from affine import Affine
from scipy.ndimage import uniform_filter

from groundshift.simulate.amplitude_ground import draw_points, draw_reflectivity, refine_heights
from groundshift.types import MapGrid

_GRID = MapGrid((40, 50), Affine(1 / 3600, 0, 98.7, 0, -1 / 3600, 31.1), "EPSG:4326")


def test_reflectivity_has_its_mean_its_spread_and_two_covers():
    rng = np.random.default_rng(5)
    plain = 10 * np.log10(draw_reflectivity((512, 480), 2.0, rng, mean_db=-8.0, spread_db=2.5, cover_db=0.0))
    np.testing.assert_allclose((plain.mean(), plain.std()), (-8.0, 2.5), atol=1e-3)
    covers = draw_reflectivity((512, 480), 2.0, rng, mean_db=-8.0, spread_db=0.0, cover_db=4.0)
    np.testing.assert_allclose(10 * np.log10(np.unique(covers)), [-10.0, -6.0], atol=1e-5)
    # About as much at each scale: means over twice the side lose a like share of the variance each time.
    spread = [uniform_filter(plain - plain.mean(), n)[::n, ::n].var() for n in (4, 8, 16, 32, 64)]
    lost = -np.diff(spread)
    assert np.all(lost > 0)
    assert lost.max() < 4 * lost.min()


def test_refined_surface_goes_through_the_nodes_and_lies_where_they_do():
    heights = np.random.default_rng(1).normal(3000, 50, _GRID.shape)
    grid, fine = refine_heights(_GRID, heights, 4)
    assert fine.shape == grid.shape == (157, 197)
    np.testing.assert_allclose(fine[::4, ::4], heights, atol=1e-6)
    y, x = np.array([0.0, 39.0, 7.25]), np.array([0.0, 49.0, 20.5])
    np.testing.assert_allclose(grid.lonlat(4 * y, 4 * x), _GRID.lonlat(y, x), rtol=1e-13)


def test_refined_surface_is_as_smooth_as_the_ground():
    y, x = np.indices(_GRID.shape)
    _, fine = refine_heights(_GRID, 100 * np.sin(y / 6) * np.cos(x / 7), 4)
    y, x = np.indices(fine.shape) / 4
    away = (slice(24, -24), slice(24, -24))
    np.testing.assert_allclose(fine[away], (100 * np.sin(y / 6) * np.cos(x / 7))[away], atol=0.02)


def test_points_are_as_many_as_asked_and_all_on_the_ground():
    points = draw_points(_GRID, np.random.default_rng(2), per_km2=2000.0, section_m2=20.0, spread_db=4.0)
    dy, dx = _GRID.spacing
    assert len(points) == round(2000 * 40 * dy * 50 * dx / 1e6)
    assert np.all(points[:, :2] >= 0)
    assert np.all(points[:, :2] <= [39, 49])
    decibels = 10 * np.log10(points[:, 2] / 20)
    np.testing.assert_allclose((decibels.mean(), decibels.std()), (0, 4), atol=0.25)
