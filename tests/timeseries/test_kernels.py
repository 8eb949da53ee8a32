"""The compiled inversion is that of the velocity design matrix, pixel by pixel, by its singular value decomposition."""

import numpy as np
import pytest

from groundshift.timeseries._kernels import accumulate_maps, invert


def velocity_map(first, second, days, weight):
    """The twin: the map from the phases of pairs with weight to the pixel's own dates, (date, pair); NaN elsewhere.

    Minimum norm of the weighted velocity problem of Berardino et al. (2002), summed to displacement.
    """
    used = np.flatnonzero(weight > 0)
    own = np.unique(np.concatenate([first[used], second[used]]))
    steps = np.diff(days[own])
    begins, ends = days[own][:-1], days[own][1:]
    design = [np.where((begins >= days[first[k]]) & (ends <= days[second[k]]), steps, 0) for k in used]
    root = np.sqrt(weight[used])
    velocity = np.linalg.pinv(np.array(design) * root[:, np.newaxis], rcond=1e-10) * root
    found = np.full((days.size, first.size), np.nan)
    found[own] = 0
    found[np.ix_(own[1:], used)] = np.cumsum(steps[:, np.newaxis] * velocity, axis=0)
    return found


def make_network(rng, dates, share):
    """Some of all pairs of irregular dates, each date with one at least."""
    days = np.sort(rng.choice(500, dates, replace=False)).astype(float)
    first, second = np.triu_indices(dates, 1)
    kept = rng.random(first.size) < share
    kept[[rng.choice(np.flatnonzero((first == d) | (second == d))) for d in range(dates)]] = True
    return first[kept], second[kept], days


def run(unw, weights, first, second, days, lanes=8, robust=False, least_scatter=0.0):
    size, pixels = days.size, unw.shape[1]
    out = (
        np.empty((size, pixels), np.float32),
        np.empty((size, pixels), np.float32),
        np.empty((size, pixels), np.uint16),
        np.empty((4, pixels), np.float32),
        np.zeros(unw.shape, np.float32),
    )
    invert(unw, weights, first, second, days, lanes, robust, 1.0, least_scatter, 2, *out)
    return out


@pytest.fixture(params=range(8))
def problem(request):
    """A random network, sparse to dense, with missing pairs and weights of many sizes."""
    rng = np.random.default_rng(request.param)
    dates = int(rng.integers(3, 14))
    first, second, days = make_network(rng, dates, (0.0, 0.1, 0.3, 0.8)[request.param % 4])
    unw = rng.normal(0, 3, (first.size, 21)).astype(np.float32)
    weights = np.exp(rng.normal(0, 1.5, unw.shape)).astype(np.float32)
    unw[rng.random(unw.shape) < 0.2] = np.nan
    weights[rng.random(unw.shape) < 0.1] = rng.choice([0, -1, np.nan, np.inf])
    return unw, weights, first, second, days


def test_every_pixel_is_its_minimum_norm_velocity_solution(problem):
    unw, weights, first, second, days = problem
    displacement, sigma, group, quality, used = run(*problem)
    for p in range(unw.shape[1]):
        good = np.isfinite(unw[:, p]) & np.isfinite(weights[:, p]) & (weights[:, p] > 0)
        np.testing.assert_array_equal(used[:, p], np.where(good, weights[:, p], 0))
        assert quality[1, p] == good.sum()
        if good.sum() < 2:
            assert np.isnan(displacement[:, p]).all()
            assert (group[:, p] == 0).all()
            continue
        weight = used[:, p].astype(float)
        mapped = velocity_map(first, second, days, weight)
        phase = np.where(good, unw[:, p], 0).astype(float)
        expected = mapped @ phase
        np.testing.assert_allclose(displacement[:, p], expected, rtol=2e-6, atol=2e-5)
        np.testing.assert_array_equal(group[:, p] > 0, np.isfinite(expected))
        off = (phase - (expected[second] - expected[first]))[good]
        freedom = good.sum() + group[:, p].max() - np.isfinite(expected).sum()
        if freedom == 0:
            assert np.isnan(sigma[:, p]).all()
            continue
        scatter = (weight[good] * off**2).sum() / freedom
        np.testing.assert_allclose(quality[0, p], abs(np.exp(1j * off).mean()), rtol=1e-5)
        np.testing.assert_allclose(quality[2, p], np.sqrt(np.mean(off**2)), rtol=1e-4)
        np.testing.assert_allclose(quality[3, p], np.sqrt(scatter), rtol=1e-4)
        error = np.sqrt(scatter * np.nansum(mapped[:, good] ** 2 / weight[good], axis=1))
        np.testing.assert_allclose(sigma[:, p][group[:, p] > 0], error[group[:, p] > 0], rtol=1e-4, atol=1e-6)


def test_random_networks_split_and_close():
    # Else the test above would not see what it is there for.
    most, least = 0, 99
    for seed in (0, 3):
        rng = np.random.default_rng(seed)
        first, second, days = make_network(rng, 10, (0.0, 0.1, 0.3, 0.8)[seed])
        unw = np.where(rng.random((first.size, 21)) < 0.2, np.nan, 1).astype(np.float32)
        group = run(unw, np.ones_like(unw), first, second, days)[2]
        most, least = max(most, group.max()), min(least, group.max())
    assert most > 2
    assert least == 1


def test_width_of_the_tiles_changes_nothing(problem):
    one, other = run(*problem, lanes=8), run(*problem, lanes=128)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_one_weight_per_pair_is_that_weight_in_every_pixel(problem):
    unw, weights, *network = problem
    column = np.ascontiguousarray(weights[:, :1])
    for a, b in zip(run(unw, column, *network), run(unw, np.repeat(column, 21, axis=1), *network), strict=True):
        np.testing.assert_array_equal(a, b)


def test_noise_of_pairs_enters_the_dates_as_the_maps_say(problem):
    _, _, first, second, days = problem
    *_, group, _, used = run(*problem)
    used = np.ascontiguousarray(used[:, group.max(axis=0) > 0])
    scale = np.linspace(0.5, 2, used.shape[1])
    own, together = np.zeros((days.size, days.size)), np.zeros((days.size, first.size))
    accumulate_maps(used, first, second, days, scale, own, together)
    expected_own, expected_together = np.zeros_like(own), np.zeros_like(together)
    for p in range(used.shape[1]):
        weight = used[:, p].astype(float)
        root = np.divide(1, np.sqrt(weight), out=np.zeros_like(weight), where=weight > 0)
        noise = scale[p] * np.nan_to_num(velocity_map(first, second, days, weight)) * root
        expected_own += noise @ noise.T
        expected_together += noise
    np.testing.assert_allclose(own, expected_own, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(together, expected_together, rtol=1e-6, atol=1e-8)


def test_weights_of_any_size_keep_their_digits():
    # Ten thousand millionfold differences of weight: a normal matrix loses all digits, eliminating without
    # subtraction none.
    first, second = np.array([0, 1, 0, 2, 1]), np.array([1, 2, 2, 3, 3])
    weights = np.array([1e10, 1, 1, 1e-10, 1e-10], np.float32)[:, np.newaxis]
    unw = np.array([1, 2, 3, 5, 7], np.float32)[:, np.newaxis]
    displacement, *_ = run(unw, weights, first, second, np.arange(4.0))
    np.testing.assert_allclose(displacement[:, 0], [0, 1, 3, 8], rtol=1e-6)
