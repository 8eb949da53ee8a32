"""Laws of stacking, integration and detection on whatever shapes, gaps and numbers there may be."""

import itertools
from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from groundshift.detect import Rules, find_bodies, outline
from groundshift.errors import NoDataError
from groundshift.gradients.differences import directions_of, take_looks, wrapped_differences
from groundshift.gradients.integrate import integrate, relative_velocity
from groundshift.gradients.noise import NoiseShare, measure_noise
from groundshift.gradients.stack import closes
from groundshift.gradients.sums import StackPlan, add_pairs, empty_sums, finish, plan_window
from groundshift.types import Looks, MapGrid, Pair

SIDES = st.tuples(st.integers(1, 17), st.integers(1, 17))
SEEDS = st.integers(0, 2**32 - 1)

# The first call of a compiled function may have to wait for its compilation.
fact = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def igrams(draw, fewest=1, most=4):
    """Interferograms with gaps, whose phases are random or smooth."""
    count, shape = draw(st.integers(fewest, most)), draw(SIDES)
    rng = np.random.default_rng(draw(SEEDS))
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramps = rng.uniform(-1, 1, (2, count, 1, 1))
    phase = ramps[0] * y + ramps[1] * x + draw(st.sampled_from([0.0, 0.3, 3.0])) * rng.standard_normal((count, *shape))
    coherence = rng.uniform(0.2, 1, (count, *shape)) * (rng.random((count, *shape)) >= draw(st.sampled_from([0, 0.2])))
    return (coherence * np.exp(1j * phase)).astype(np.complex64)


@st.composite
def stencils(draw):
    return directions_of(("north", "east"), diagonals=draw(st.booleans()), step=draw(st.integers(1, 3)))


def make_pairs(count):
    days = [date(2020, 1, 1) + timedelta(12 * k) for k in range(count + 1)]
    return tuple(Pair(a, b) for a, b in itertools.pairwise(days))


def make_plan(stack, directions, n, grid):
    pairs = make_pairs(len(stack))
    window = plan_window("all", range(len(pairs)), pairs, NoiseShare(0, 1), equal=True)
    return StackPlan("T1", grid(stack.shape[1:]), 0.0555, pairs, (window,), directions, n, NoiseShare(0, 1))


@fact
@given(stack=igrams(), directions=stencils(), n=st.integers(1, 7))
def test_stack_is_the_sum_of_what_wrapped_differences_finds(map_grid, stack, directions, n):
    plan = make_plan(stack, directions, n, map_grid)
    sums = empty_sums(plan, stack.shape[1:])
    add_pairs(plan, range(len(stack)), stack, sums)
    each = [wrapped_differences(igram, n, directions) for igram in stack]
    quality = np.stack([e.quality for e in each]).astype(float)
    years = 12 / 365.25
    np.testing.assert_allclose(sums[0, 0], years * quality.sum(axis=0), rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(sums[0, 3], (quality > 0).sum(axis=0))
    for d in range(len(directions)):
        # An average that nearly vanishes has no angle to speak of, nor the quality to count.
        g = np.stack([np.nan_to_num(e.angle[d]) for e in each])
        near = 2e-3 * quality.sum(axis=0) + 1e-4
        difference = np.abs(sums[0, 5 + 3 * d] - (quality * g).sum(axis=0))
        # At the cut of the angle +pi and -pi are the same.
        at_cut = (np.abs(np.abs(g) - np.pi) < 1e-3).any(axis=0)
        assert (difference <= near)[~at_cut].all()
    found = finish(plan, 0, sums[0])
    assert (found.n_pairs == (quality > 0).sum(axis=0)).all()
    assert np.isnan(found.rate[:, found.n_pairs < 2]).all()
    assert (np.isnan(found.rate) == np.isnan(found.sigma)).all()
    assert (found.sigma[np.isfinite(found.sigma)] > 0).all()
    known = found.n_pairs > 0
    if closes(directions):
        assert ((found.residues[known] >= 0) & (found.residues[known] <= 1)).all()


@fact
@given(stack=igrams(2, 5), directions=stencils(), n=st.integers(1, 5), data=st.data())
def test_pairs_taken_out_leave_no_trace_in_whatever_order(map_grid, stack, directions, n, data):
    plan = make_plan(stack, directions, n, map_grid)
    order = data.draw(st.permutations(range(len(stack))))
    gone = order[: data.draw(st.integers(1, len(stack) - 1))]
    kept = sorted(set(order) - set(gone))
    expected, sums = empty_sums(plan, stack.shape[1:]), empty_sums(plan, stack.shape[1:])
    add_pairs(plan, kept, stack[kept], expected)
    add_pairs(plan, order, stack[list(order)], sums)
    add_pairs(plan, gone, stack[list(gone)], sums, take_out=True)
    np.testing.assert_array_equal(sums[:, 3:5], expected[:, 3:5])
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-4)


@fact
@given(stack=igrams(1, 1), n=st.integers(1, 6), directions=stencils())
def test_conjugating_flips_every_difference(stack, n, directions):
    one, other = (wrapped_differences(igram, n, directions) for igram in (stack[0], stack[0].conj()))
    np.testing.assert_array_equal(other.quality, one.quality)
    away_from_cut = np.abs(np.abs(one.angle) - np.pi) > 1e-4
    np.testing.assert_allclose(other.angle[away_from_cut], -one.angle[away_from_cut], atol=1e-5)
    assert (np.isnan(one.angle) == (one.quality == 0)).all()
    assert ((one.quality >= 0) & (one.quality <= 10.001)).all()


@fact
@given(stack=igrams(1, 1), ly=st.integers(1, 4), lx=st.integers(1, 4))
def test_looks_keep_the_sum_of_what_they_cover(stack, ly, lx):
    igram = stack[0]
    looked = take_looks(igram, Looks(ly, lx))
    rows, columns = igram.shape[0] // ly, igram.shape[1] // lx
    assert looked.shape == (rows, columns)
    cells = igram[: rows * ly, : columns * lx].reshape(rows, ly, columns, lx)
    count = (cells != 0).sum(axis=(1, 3))
    np.testing.assert_allclose(looked * count, cells.sum(axis=(1, 3)), atol=1e-5)
    assert (np.abs(looked) <= 1 + 1e-5).all()


@fact
@given(v=npst.arrays(np.int64, SIDES, elements=st.integers(-20, 20)), decades=st.sampled_from([0.0, 0.5]), seed=SEEDS)
def test_integration_recovers_any_surface(v, decades, seed):
    dy, dx = np.full(v.shape, np.nan), np.full(v.shape, np.nan)
    dy[:-1], dx[:, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
    weights = 10 ** np.random.default_rng(seed).uniform(-decades, decades, (2, *v.shape))
    if v.size == 1:
        with pytest.raises(NoDataError):
            integrate(dy, dx, *weights)
        return
    found = integrate(dy, dx, *weights, tolerance=1e-6)
    assert np.median(found) == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(found, v - np.median(v), atol=0.02)


@fact
@given(shape=SIDES, seed=SEEDS, gaps=st.sampled_from([0.0, 0.3, 0.9, 1.0]), reach=st.sampled_from([None, 3.0, 50.0]))
def test_integration_of_anything_is_finite_where_there_is_an_edge(shape, seed, gaps, reach):
    rng = np.random.default_rng(seed)
    gradient = rng.normal(0, 5, (2, *shape))
    weight = 10 ** rng.uniform(-4, 4, (2, *shape)) * (rng.random((2, *shape)) >= gaps)
    gradient[weight == 0] = np.nan
    edges = np.zeros(shape, bool)
    down, across = weight[0, :-1] > 0, weight[1, :, :-1] > 0
    edges[:-1] |= down
    edges[1:] |= down
    edges[:, :-1] |= across
    edges[:, 1:] |= across
    if not edges.any():
        with pytest.raises(NoDataError):
            integrate(*gradient, *weight, reach=reach)
        return
    found = integrate(*gradient, *weight, reach=reach)
    np.testing.assert_array_equal(np.isfinite(found), edges)
    assert np.abs(found[edges]).max() < 100 * sum(shape)


@fact
@given(seed=SEEDS, dates=st.integers(2, 12), share=st.floats(0, 0.5), gaps=st.sampled_from([0.0, 0.5, 1.0]))
def test_shares_of_the_noise_are_shares(seed, dates, share, gaps):
    days = [date(2020, 1, 1) + timedelta(12 * k) for k in range(dates)]
    pairs = [Pair(a, b) for k, a in enumerate(days) for b in days[k + 1 : k + 4]]
    rng = np.random.default_rng(seed)
    quality = rng.uniform(0, 5, (len(pairs), 30)) * (rng.random((len(pairs), 30)) >= gaps)
    angle = np.where(quality > 0, rng.normal(0, 1, quality.shape) + share, np.nan)
    found = measure_noise(angle.astype(np.float32), quality.astype(np.float32), pairs)
    assert 0 <= found.date <= 0.45
    assert 2 * found.date + found.pair == pytest.approx(1)


@fact
@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=SEEDS, gaps=st.sampled_from([0.0, 0.1, 0.6, 0.99]))
def test_bodies_keep_their_promises_on_any_scene(make_stack, shape, seed, gaps):
    """Whatever is found has a tight box within the image, is as large, fast and certain as asked for."""
    rng = np.random.default_rng(seed)
    v = np.zeros(shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    for speed, row, column, width in rng.uniform([-60, 0, 0, 1], [60, shape[0], shape[1], 9], (4, 4)):
        v += speed * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * width**2))
    gradient = np.full((2, *shape), np.nan)
    gradient[0, :-1], gradient[1, :, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
    gradient[:, rng.random(shape) < gaps] = np.nan
    stack = make_stack(gradient, 0.2)
    try:
        velocity = relative_velocity(stack, reach=30)
    except NoDataError:
        velocity = np.full(shape, np.nan, np.float32)
    valid = rng.random(shape) >= gaps / 2
    rules = Rules(least_area_m2=8 * 1600)
    for body in find_bodies(stack, velocity, valid, rules):
        (top, left), (height, width) = body.corner, body.mask.shape
        assert top >= 0
        assert left >= 0
        assert top + height <= shape[0]
        assert left + width <= shape[1]
        assert body.mask[[0, -1]].any(axis=1).all()
        assert body.mask[:, [0, -1]].any(axis=0).all()
        assert body.mask.sum() >= 8
        assert abs(body.velocity) >= rules.least_velocity
        assert body.significance >= rules.significance
        assert body.velocity_sigma > 0
        assert body.directions
        assert outline(body.mask, body.corner, stack.node_grid).is_valid


@fact
@given(mask=npst.arrays(bool, SIDES), row=st.integers(0, 20), column=st.integers(0, 20))
def test_any_mask_has_a_valid_outline(mask, row, column):
    grid = MapGrid((40, 40), Affine(1, 0, 0, 0, -1, 0), "EPSG:4326")
    if not mask.any():
        return
    polygon = outline(mask, (row, column), grid)
    assert polygon.is_valid
    # Within the box of the mask, and no smaller than the diamond of one pixel.
    west, south, east, north = polygon.bounds
    assert column - 1e-6 <= west < east <= column + mask.shape[1] + 1e-6
    assert row - 1e-6 <= -north < -south <= row + mask.shape[0] + 1e-6
    assert 0.5 - 1e-6 <= polygon.area <= mask.size
