"""The DEM error through the inversion: it comes back with its sign, leaves the motion, and brings its own error."""

import math

import numpy as np
import pytest

from groundshift.simulate import SceneConfig, simulate_scene
from groundshift.timeseries import InseparableTermError, covariance_of, dem_per_metre, invert_network

WAVELENGTH = 0.0555


def test_dem_error_of_a_simulated_stack_comes_back_with_its_sign():
    quiet = {"turbulence_rad": (0, 0), "stratified_rad_per_km": 0, "stratified_annual_rad_per_km": 0}
    config = SceneConfig(seed=2, shape=(40, 50), n_dates=20, n_slides=0, glaciers=False, dem_error_m=7.0, **quiet)
    scene = simulate_scene(config)
    unw = np.stack([scene.phase(pair) for pair in scene.pairs])
    per_metre = dem_per_metre(scene.pairs, config.slant_range_m, config.incidence)
    found = invert_network(unw, None, scene.pairs, config.wavelength_m, dem_per_metre=per_metre)
    np.testing.assert_allclose(found.dem_error, scene.dem_error, atol=1e-3)
    np.testing.assert_allclose(found.displacement, 0, atol=1e-6)
    assert scene.dem_error.std() > 6


def test_baselines_of_the_other_sign_turn_the_dem_error_and_not_the_motion(regular, phases_of):
    rng = np.random.default_rng(14)
    unw = phases_of(regular, rng.normal(0, 0.005, (20, 3, 4)))
    per_metre = rng.normal(0, 1e-4, 20)
    one, other = (invert_network(unw, None, regular, WAVELENGTH, dem_per_metre=s * per_metre) for s in (1, -1))
    np.testing.assert_array_equal(other.dem_error, -one.dem_error)
    np.testing.assert_array_equal(other.displacement, one.displacement)
    np.testing.assert_array_equal(other.sigma, one.sigma)


def test_dem_error_comes_back_and_leaves_the_motion(pair, phases_of, years_of):
    # Two groups of dates, steady and annual motion, baselines of every size.
    rng = np.random.default_rng(12)
    days = [*range(0, 300, 12), *range(420, 800, 12)]
    baseline = dict(zip(days, rng.normal(0, 90, len(days)), strict=True))
    pairs = [pair(a, b, baseline[b] - baseline[a]) for a in days for b in days if 0 < b - a <= 36]
    years = years_of(pairs)[:, None]
    motion = years * np.array([0.02, -0.05, 0]) + 0.01 * np.sin(2 * math.pi * years) + 0 * years
    lever = -np.array([baseline[d] for d in days]) / (850e3 * math.sin(math.radians(39)))
    error = np.array([12, -7, 0.5])
    unw = phases_of(pairs, motion + lever[:, None] * error)[:, None]
    per_metre = dem_per_metre(pairs, 850e3, 39)
    found = invert_network(unw, None, pairs, WAVELENGTH, dem_per_metre=per_metre)
    np.testing.assert_allclose(found.dem_error[0], error, atol=1e-3)
    pure = invert_network(phases_of(pairs, motion)[:, None], None, pairs, WAVELENGTH)
    np.testing.assert_allclose(found.displacement, pure.displacement, atol=1e-6)
    mean = covariance_of(unw, None, pairs, WAVELENGTH, np.ones((1, 3), bool), dem_per_metre=per_metre)
    np.testing.assert_allclose(mean.displacement, pure.displacement.mean(axis=(1, 2)), atol=1e-6)


def test_error_of_the_dem_error_is_part_of_the_standard_error(regular, phases_of):
    rng = np.random.default_rng(13)
    air = rng.normal(0, 0.005, (20, 100, 100))
    per_metre = rng.normal(0, 1e-4, 20)
    found = invert_network(phases_of(regular, air), None, regular, WAVELENGTH, dem_per_metre=per_metre)
    # Pairs close exactly, so that only the error of the DEM error is left; the air itself is no error of the network.
    off = found.displacement - (air - air[0])
    scatter, stated = np.sqrt((off**2).mean(axis=(1, 2))), np.sqrt((found.sigma**2).mean(axis=(1, 2)))
    np.testing.assert_allclose(scatter[1:], stated[1:], rtol=4 / math.sqrt(2 * 10_000))
    mask = np.zeros((100, 100), bool)
    mask[3, 4] = True
    one = covariance_of(phases_of(regular, air), None, regular, WAVELENGTH, mask, dem_per_metre=per_metre)
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), found.sigma[:, 3, 4], rtol=1e-3, atol=1e-9)


def test_dem_error_is_refused_where_baselines_follow_time(regular, years_of):
    with pytest.raises(InseparableTermError, match="leave the DEM error out"):
        invert_network(np.ones((len(regular), 1, 1)), None, regular, WAVELENGTH, dem_per_metre=years_of(regular) * 1e-4)
