"""Integration of gradients into a velocity map: known surfaces come back, weights and gaps count as they should."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from groundshift.errors import NoDataError
from groundshift.gradients.differences import directions_of
from groundshift.gradients.integrate import integrate, relative_velocity

SHAPE = (61, 74)
EXACT = 1e-6
"""Tolerance of the solver at which it is compared with closed forms."""


def surface(shape=SHAPE, seed=0):
    """A smooth random surface on a slope, in mm/yr, with a spread of 10."""
    rng = np.random.default_rng(seed)
    hills = ndimage.gaussian_filter(rng.standard_normal(shape), 5)
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 10 * hills / hills.std() + 0.1 * y - 0.2 * x


def differences(v):
    """Forward differences; what lies beyond the last row and column is NaN."""
    dy, dx = np.full(v.shape, np.nan, np.float32), np.full(v.shape, np.nan, np.float32)
    dy[:-1], dx[:, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
    return dy, dx


def without_median(v):
    return v - np.nanmedian(v)


@pytest.mark.parametrize("shape", [SHAPE, (2, 2), (1, 30), (30, 1), (128, 64)])
@pytest.mark.parametrize("decades", [0.0, 0.5])
def test_recovers_a_surface_from_its_differences(shape, decades):
    v = surface(shape)
    dy, dx = differences(v)
    weights = 10 ** np.random.default_rng(1).uniform(-decades, decades, (2, *shape))
    found = integrate(dy, dx, *weights, tolerance=EXACT)
    np.testing.assert_allclose(found, without_median(v), atol=2e-3 * np.ptp(v))


@pytest.mark.parametrize(
    ("width", "reach"),
    [
        (0, None),
        (2, None),
        (5, None),
        (25, None),
        (0, 50.0),
        (2, 50.0),
        (5, 50.0),
        (25, 50.0),
    ],
)
def test_default_tolerance_is_good_to_three_hundredths(width, reach):
    """Whether weights, a hundredfold apart, differ from node to node or over many nodes."""
    shape = (200, 240)
    dy, dx = differences(surface(shape))
    rng = np.random.default_rng(2)
    noise = ndimage.gaussian_filter(rng.standard_normal((2, *shape)), (0, width, width))
    weights = 10 ** np.clip(0.5 * noise / noise.std(), -1, 1)
    exact = integrate(dy, dx, *weights, reach=reach, tolerance=EXACT)
    found = integrate(dy, dx, *weights, reach=reach)
    assert np.std(found - exact) < 0.03 * np.std(exact)
    if reach is None:
        assert np.std(found - without_median(surface(shape))) < 0.03 * np.std(exact)


def test_constant_is_neither_needed_nor_kept():
    v = surface()
    one = np.ones(SHAPE)
    for constant in (0, 300, -5000):
        found = integrate(*differences(v + constant), one, one, tolerance=EXACT)
        assert np.median(found) == pytest.approx(0, abs=1e-5)
        np.testing.assert_allclose(found, without_median(v), atol=0.05)


def test_scale_of_the_weights_does_not_matter():
    v = surface()
    noisy = [d + np.random.default_rng(3).normal(0, 1, SHAPE) for d in differences(v)]
    weights = np.random.default_rng(4).uniform(0.2, 5, (2, *SHAPE))
    one = integrate(*noisy, *weights, tolerance=EXACT)
    other = integrate(*noisy, *(1e5 * weights), tolerance=EXACT)
    np.testing.assert_allclose(other, one, atol=1e-2)


def test_solution_is_linear_in_the_differences():
    rng = np.random.default_rng(5)
    (ay, ax), (by, bx) = rng.normal(0, 1, (2, 2, *SHAPE))
    weights = rng.uniform(0.2, 5, (2, *SHAPE))
    a, b, both = (
        integrate(dy, dx, *weights, tolerance=EXACT)
        for dy, dx in ((ay, ax), (by, bx), (2 * ay - 3 * by, 2 * ax - 3 * bx))
    )
    np.testing.assert_allclose(both, without_median(2 * a - 3 * b), atol=2e-2)


def test_is_the_least_squares_solution():
    """What a dense solver finds for a small lattice whose differences contradict each other."""
    shape = (7, 9)
    rng = np.random.default_rng(6)
    dy, dx = rng.normal(0, 1, (2, *shape))
    wy, wx = rng.uniform(0.2, 4, (2, *shape))
    index = np.arange(63).reshape(shape)
    edges = [(index[:-1], index[1:], dy[:-1], wy[:-1]), (index[:, :-1], index[:, 1:], dx[:, :-1], wx[:, :-1])]
    start, end, g, w = (np.concatenate([np.ravel(e[k]) for e in edges]) for k in range(4))
    design = np.zeros((g.size, 63))
    design[np.arange(g.size), end], design[np.arange(g.size), start] = 1, -1
    expected = np.linalg.lstsq(np.sqrt(w)[:, None] * design, np.sqrt(w) * g)[0].reshape(shape)
    np.testing.assert_allclose(integrate(dy, dx, wy, wx, tolerance=EXACT), without_median(expected), atol=1e-3)


def test_holes_are_bridged_and_islands_are_not_known():
    v = surface()
    dy, dx = differences(v)
    wy, wx = np.ones((2, *SHAPE))
    # A band without data right across, but for one bridge of three nodes.
    band = np.zeros(SHAPE, bool)
    band[28:33] = True
    band[:, 40:43] = False
    # And an island of one node, no edge of which has data.
    island = (10, 10)
    for w, d in ((wy, dy), (wx, dx)):
        w[band] = 0
        w[island] = 0
        d[w == 0] = np.nan
    wy[27, band[28]] = 0
    wy[9, 10] = wx[10, 9] = 0
    found = integrate(dy, dx, wy, wx, tolerance=EXACT)
    assert np.isnan(found[island])
    assert np.isnan(found[29:32, :38]).all()
    known = np.isfinite(found)
    assert known.sum() > 0.9 * v.size
    error = (found - v)[known]
    # Both sides of the band agree, since the bridge joins them.
    np.testing.assert_allclose(error, np.median(error), atol=0.05)


def test_nan_differences_spoil_nothing_but_their_edge():
    v = surface()
    dy, dx = differences(v)
    wy, wx = np.ones((2, *SHAPE))
    for d, w in ((dy, wy), (dx, wx)):
        gone = np.random.default_rng(7).random(SHAPE) < 0.1
        d[gone], w[gone] = np.nan, 0
    found = integrate(dy, dx, wy, wx, tolerance=EXACT)
    known = np.isfinite(found)
    assert known.mean() > 0.99
    np.testing.assert_allclose(found[known], (v - np.median(v[known]))[known], atol=0.05)


def test_nan_and_negative_weights_count_as_none():
    v = surface()
    dy, dx = differences(v)
    dx[20, 30], dy[5, 5] = 1e6, 1e6
    wy, wx = np.ones((2, *SHAPE))
    wx[20, 30], wy[5, 5] = np.nan, -1
    found = integrate(dy, dx, wy, wx, tolerance=EXACT)
    np.testing.assert_allclose(found, without_median(v), atol=0.05)


def test_contradicting_edges_give_way_to_those_of_more_weight():
    v = surface()
    rng = np.random.default_rng(8)
    dy, dx = differences(v)
    bad = rng.random(SHAPE) < 0.1
    dx[bad] += 20
    wy, wx = np.ones((2, *SHAPE))
    wrong = np.std(integrate(dy, dx, wy, wx, tolerance=EXACT) - without_median(v))
    # A tenth of the typical weight is the least that a weighted edge counts for.
    for low, most in ((0.1, 0.3 * wrong), (0.0, 0.02)):
        wx[bad] = low
        assert np.std(integrate(dy, dx, wy, wx, tolerance=EXACT) - without_median(v)) < most


def test_weights_are_levelled_off_at_ten_times_their_median():
    rng = np.random.default_rng(9)
    dy, dx = rng.normal(0, 1, (2, *SHAPE))
    wy, wx = np.ones((2, *SHAPE))
    wx[20:30, 20:30] = 10
    ten = integrate(dy, dx, wy, wx, tolerance=EXACT)
    wx[20:30, 20:30] = 1e6
    np.testing.assert_allclose(integrate(dy, dx, wy, wx, tolerance=EXACT), ten, atol=1e-3)
    wx[20:30, 20:30] = 5
    assert np.abs(integrate(dy, dx, wy, wx, tolerance=EXACT) - ten).max() > 0.01


@pytest.mark.parametrize("reach", [5.0, 12.0, 50.0])
@pytest.mark.parametrize("cycles", [1, 2, 5, 12])
def test_screening_fades_long_wavelengths_by_its_closed_form(reach, cycles):
    """A wave of wave number k keeps 1 / (1 + (k reach)^-2), with k^2 = 2 - 2 cos on the lattice."""
    y = np.arange(120)[:, None] * np.ones(40)
    wave = np.cos(2 * np.pi * cycles * (y + 0.5) / 120)
    dy, dx = differences(10 * wave)
    found = integrate(dy, dx, *np.ones((2, *wave.shape)), reach=reach, tolerance=EXACT)
    k2 = 2 - 2 * np.cos(2 * np.pi * cycles / 120)
    expected = 1 / (1 + 1 / (k2 * reach**2))
    # Away from the edges, whose nodes have fewer neighbours to be tied by.
    inside = (slice(20, 100), slice(10, 30))
    kept = (found[inside] * wave[inside]).sum() / (wave[inside] ** 2).sum() / 10
    assert kept == pytest.approx(expected, abs=0.02)


def test_screening_keeps_the_drift_of_noise_within_its_reach():
    rng = np.random.default_rng(10)
    dy, dx = rng.normal(0, 1, (2, 200, 200))
    ones = np.ones((2, 200, 200))
    free, tied = integrate(dy, dx, *ones), integrate(dy, dx, *ones, reach=10)
    assert np.std(ndimage.uniform_filter(tied, 41)) < 0.3 * np.std(ndimage.uniform_filter(free, 41))


def test_nothing_with_weight_is_an_error():
    nothing = np.zeros(SHAPE, np.float32)
    with pytest.raises(NoDataError, match=r"^no gradient has data; check the coherence of the stack$"):
        integrate(nothing, nothing, nothing, nothing)


def test_stack_gives_velocity_in_millimetres_a_year(make_stack):
    v = surface()
    stack = make_stack(np.stack(differences(v)), sigma=0.3)
    found = relative_velocity(stack)
    np.testing.assert_allclose(found, without_median(v), atol=0.3)
    # Phase that grows is ground that moves away.
    np.testing.assert_allclose(relative_velocity(replace(stack, rate=-stack.rate)), -found, atol=1e-2)


def test_stack_weights_its_edges_by_their_standard_error(make_stack):
    v = surface()
    gradient = np.stack(differences(v))
    bad = np.random.default_rng(11).random(SHAPE) < 0.1
    gradient[1, bad] += 20
    sigma = np.full(gradient.shape, 0.3)
    plain = relative_velocity(make_stack(gradient, sigma))
    sigma[1, bad] = 3.0
    weighted = relative_velocity(make_stack(gradient, sigma))
    assert np.std(weighted - without_median(v)) < 0.3 * np.std(plain - without_median(v))


def test_stack_is_not_known_where_it_has_no_data(make_stack):
    gradient = np.stack(differences(surface()))
    gradient[:, 20:30, 20:30] = np.nan
    found = relative_velocity(make_stack(gradient))
    assert np.isnan(found[21:29, 21:29]).all()
    assert np.isfinite(found).sum() > 0.95 * found.size
    with pytest.raises(NoDataError, match=r"^no gradient has data; check the coherence of the stack$"):
        relative_velocity(make_stack(np.full((2, 8, 8), np.nan)))


def test_central_differences_cannot_be_integrated(make_stack):
    stack = make_stack(np.zeros((2, 9, 9)), directions=directions_of(("north", "east"), step=3))
    with pytest.raises(ValueError, match=r"^stack must hold forward differences along both axes; take the step of 1$"):
        relative_velocity(stack)
