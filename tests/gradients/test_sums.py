"""From sums to rates with standard errors: closed forms, laws, calibration on pure noise, and a real scene."""

from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.gradients.differences import directions_of, quality, wrapped_differences
from groundshift.gradients.noise import Likeness, NoiseShare, measure_noise, network_factor, share_near
from groundshift.gradients.stack import TimeWindow
from groundshift.gradients.sums import StackPlan, add_pairs, empty_sums, finish, plan_window, revise, revision
from groundshift.io import open_stack
from groundshift.pairs import date_coefficients, incidence_matrix
from groundshift.pairs.select import half_year, local_weights
from groundshift.types import Pair
from groundshift.workflows.config import StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track

EVERY_12_DAYS = tuple(range(0, 12 * 60, 12))


def months_of(pair):
    return (pair.reference + timedelta(days=pair.days / 2)).month


@pytest.fixture(scope="module")
def networks(join_dates):
    """Networks as they come: regular; with dropped dates and a long gap; the dry season of five years."""
    gaps = [d for k, d in enumerate(EVERY_12_DAYS) if k % 7 not in (3, 4) and not 25 < k < 32]
    return {
        "regular": join_dates(EVERY_12_DAYS),
        "gaps": join_dates(gaps),
        "season": tuple(p for p in join_dates(range(0, 12 * 150, 12)) if months_of(p) in (11, 12, 1, 2)),
    }


def make_noise(pairs, share, rng, shape=(56, 56), amplitude=0.1, coherence=None):
    """Phases of nothing but noise: `share` of the variance of a pair from each of its dates, the rest its own.

    With a `coherence` the own noise grows as it does with decorrelation, about the same median.
    """
    incidence = incidence_matrix(pairs)[1]
    dates = rng.standard_normal((incidence.shape[1], *shape))
    own = rng.standard_normal((len(pairs), *shape))
    if coherence is None:
        coherence = np.full(own.shape, 0.7)
    else:
        spread = 1 / quality((coherence**2).astype(np.float32))
        own *= np.sqrt(spread / np.median(spread))
    phase = np.sqrt(share) * np.tensordot(incidence, dates, 1) + np.sqrt(1 - 2 * share) * own
    return (coherence * np.exp(1j * amplitude * phase)).astype(np.complex64)


def measured_noise(igrams, pairs):
    directions = directions_of(("north", "east"))
    found = [wrapped_differences(igram[:24], 1, directions) for igram in igrams]
    angle = np.stack([f.angle[1].ravel() for f in found])
    return measure_noise(angle, np.stack([f.quality.ravel() for f in found]), pairs)


@pytest.fixture(scope="module")
def some_igrams(join_dates):
    rng = np.random.default_rng(1)
    pairs = join_dates(EVERY_12_DAYS[:8])
    y, x = np.mgrid[:30, :28]
    signal = np.array([p.years for p in pairs])[:, None, None] * 8 * np.exp(-((y - 15) ** 2 + (x - 13) ** 2) / 50)
    phase = signal + 0.2 * rng.standard_normal((len(pairs), 30, 28))
    return pairs, (rng.uniform(0.3, 0.9, phase.shape) * np.exp(1j * phase)).astype(np.complex64)


def test_rate_is_the_weighted_sum_of_differences_over_its_time(stack_igrams):
    pairs = (
        Pair(date(2020, 1, 1), date(2020, 1, 13)),
        Pair(date(2020, 2, 1), date(2020, 3, 1)),
        Pair(date(2020, 4, 1), date(2020, 4, 13)),
    )
    g, coherence = np.array([0.3, 0.9, 0.1]), np.array([0.5, 0.9, 0.2])
    igrams = (coherence * np.exp(1j * g * np.arange(4)[:, None])).T[:, None, :] * np.ones((1, 3, 1))
    found = stack_igrams(igrams, pairs, equal=True)
    q, t = coherence**2 / (1.1 - coherence**2), np.array([p.years for p in pairs])
    np.testing.assert_allclose(found.rate[1, :-1, :-1], (q * g).sum() / (q * t).sum(), rtol=1e-5)
    rate, n = (q * g).sum() / (q * t).sum(), (q * t).sum() ** 2 / ((q * t) ** 2).sum()
    variance = ((q * (g - rate * t)) ** 2).sum() / (q * t).sum() ** 2 * n / (n - 1)
    np.testing.assert_allclose(found.sigma[1, :-1, :-1], np.sqrt(variance), rtol=1e-3)
    np.testing.assert_allclose(found.effective_pairs[:-1, :-1], n, rtol=1e-5)
    np.testing.assert_allclose(found.mean_coherence[:-1, :-1], coherence.mean(), rtol=1e-5)
    assert (found.n_pairs[:-1, :-1] == 3).all()
    assert found.total_pairs == 3
    assert found.total_years == pytest.approx(t.sum())


def test_sum_is_not_wrapped_again(stack_igrams, join_dates):
    # 1 rad in each of 40 pairs is 40 rad, not 40 - 12 pi.
    pairs = join_dates(range(0, 41 * 12, 12), max_days=12)
    igrams = np.exp(1j * np.arange(5)) * np.ones((40, 3, 1))
    np.testing.assert_allclose(stack_igrams(igrams, pairs).radians[1, :-1, :-1], 40, rtol=1e-5)


def test_constant_phase_of_each_pair_changes_nothing(stack_igrams, some_igrams):
    pairs, igrams = some_igrams
    turned = igrams * np.exp(1j * np.random.default_rng(2).uniform(-np.pi, np.pi, (len(pairs), 1, 1)))
    one, other = stack_igrams(igrams, pairs, smoothing=3), stack_igrams(turned, pairs, smoothing=3)
    for name in ("rate", "sigma", "effective_pairs", "mean_coherence", "residues", "n_pairs"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-4, atol=1e-4, err_msg=name)


def test_conjugating_all_pairs_flips_the_rate_and_nothing_else(stack_igrams, some_igrams):
    pairs, igrams = some_igrams
    one, other = stack_igrams(igrams, pairs, smoothing=3), stack_igrams(igrams.conj(), pairs, smoothing=3)
    assert np.nanmax(np.abs(one.rate)) > 0.5
    for name in ("rate", "velocity_gradient", "radians", "significance"):
        np.testing.assert_allclose(getattr(other, name), -getattr(one, name), rtol=1e-4, atol=1e-5, err_msg=name)
    for name in ("sigma", "effective_pairs", "mean_coherence", "residues", "n_pairs"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-4, err_msg=name)


def test_order_of_pairs_does_not_matter(stack_igrams, some_igrams):
    pairs, igrams = some_igrams
    order = np.random.default_rng(3).permutation(len(pairs))
    noise = NoiseShare(0.3, 0.4)
    one = stack_igrams(igrams, pairs, smoothing=3, noise=noise)
    other = stack_igrams(igrams[order], [pairs[k] for k in order], smoothing=3, noise=noise)
    for name in ("rate", "sigma", "effective_pairs", "mean_coherence", "residues", "n_pairs"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=2e-4, atol=1e-5, err_msg=name)


def test_phase_ramp_gives_its_slope_whatever_the_coherence(stack_igrams, some_igrams):
    pairs, igrams = some_igrams
    y, x = np.mgrid[:30, :28]
    ramp = np.exp(1j * np.array([p.years for p in pairs])[:, None, None] * (1.5 * y - 4 * x))
    stack = stack_igrams(np.abs(igrams) * ramp, pairs)
    known = stack.n_pairs > 0
    np.testing.assert_allclose(stack.rate[0][known], 1.5, rtol=1e-4)
    np.testing.assert_allclose(stack.rate[1][known], -4, rtol=1e-4)


def test_pair_added_and_taken_out_leaves_no_trace(some_igrams, map_grid):
    pairs, igrams = some_igrams
    grid = map_grid(igrams.shape[1:])
    everything = list(range(len(pairs)))
    plan = StackPlan(
        "T1", grid, 0.0555, pairs, (plan_window("all", everything, pairs, NoiseShare(0, 1)),),
        directions_of(grid.axis_names), 3, NoiseShare(0, 1),
    )  # fmt: skip
    sums = empty_sums(plan, grid.shape)
    add_pairs(plan, everything, igrams, sums)
    before = finish(plan, 0, sums[0])
    bad = np.exp(1j * np.random.default_rng(4).uniform(-3, 3, (1, *grid.shape))).astype(np.complex64)
    add_pairs(plan, [2], bad, sums)
    assert np.nanmax(np.abs(finish(plan, 0, sums[0]).rate - before.rate)) > 0.1
    add_pairs(plan, [2], bad, sums, take_out=True)
    after = finish(plan, 0, sums[0])
    np.testing.assert_array_equal(after.n_pairs, before.n_pairs)
    np.testing.assert_array_equal(after.residues, before.residues)
    np.testing.assert_allclose(after.rate, before.rate, atol=1e-3)
    np.testing.assert_allclose(after.sigma, before.sigma, rtol=1e-2)


def plan_of(pairs, windows, grid):
    """A plan of `windows`: indices into `pairs` by name."""
    noise = NoiseShare(0.3, 0.4)
    return StackPlan(
        "T1", grid, 0.0555, tuple(pairs), tuple(plan_window(n, m, pairs, noise) for n, m in windows.items()),
        directions_of(grid.axis_names), 3, noise,
    )  # fmt: skip


def test_sums_that_are_revised_are_those_of_the_new_plan(some_igrams, map_grid):
    """Pairs come, go, and change their weights and windows; only they are in the revision."""
    pairs, igrams = some_igrams
    grid = map_grid(igrams.shape[1:])
    count = len(pairs)
    old_pairs = [p for k, p in enumerate(pairs) if k not in (3, count - 1)]
    new_pairs = [p for k, p in enumerate(pairs) if k != 5]
    old = plan_of(old_pairs, {"all": range(count - 2), "early": range(5), "gone": range(4, 8), "tail": [9, 10]}, grid)
    new = plan_of(
        new_pairs, {"late": range(6, 11), "all": range(count - 1), "early": [0, 1, 2, 4], "tail": [1, 2]}, grid
    )
    shared = new.windows[2].weights.copy()
    shared[:] = old.windows[1].weights[[0, 1, 2, 3]]
    new.windows[2].weights[:] = shared
    change = revision(old, new)
    names = [p.name for p in change.pairs]
    assert change.goes_on == (None, None, 1, None)  # of `all` no weight stays, and `tail` has other pairs
    assert names == [p.name for p in (*new_pairs, pairs[5])][: len(names)]

    row = {p.name: igrams[k] for k, p in enumerate(pairs)}
    sums = empty_sums(old, grid.shape)
    add_pairs(old, range(len(old_pairs)), np.stack([row[p.name] for p in old_pairs]), sums)
    found = empty_sums(new, grid.shape)
    for k, former in enumerate(change.goes_on):
        if former is not None:
            found[k] = sums[former]
    for start in range(0, len(names), 4):
        members = list(range(start, min(start + 4, len(names))))
        revise(new, change, members, np.stack([row[names[k]] for k in members]), found)
    expected = empty_sums(new, grid.shape)
    add_pairs(new, range(len(new_pairs)), np.stack([row[p.name] for p in new_pairs]), expected)
    np.testing.assert_array_equal(found[:, 3:5], expected[:, 3:5])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_a_pair_that_keeps_its_weights_is_in_no_revision(join_dates, map_grid):
    """Dates of half a year added to two and a half: what ended a year before is not touched, nor is its window."""
    grid = map_grid((9, 9))
    pairs = join_dates(range(0, 1080, 12))
    old_pairs = [p for p in pairs if p.secondary < date(2018, 7, 1)]
    early = [k for k, p in enumerate(pairs) if p.secondary < date(2017, 1, 1)]
    old = plan_of(old_pairs, {"all": range(len(old_pairs)), "2016": early}, grid)
    new = plan_of(pairs, {"all": range(len(pairs)), "2016": early}, grid)
    change = revision(old, new)
    assert list(change.pairs) == [p for p in pairs if p.secondary >= date(2018, 1, 1)]
    assert change.goes_on == (0, 1)
    assert not change.add[:, 1].any()
    was_there = np.array([p.secondary < date(2018, 7, 1) for p in change.pairs])
    assert (change.take_out[was_there, 0] > 0).all()
    assert not change.take_out[~was_there].any()
    assert revision(new, new).pairs == ()
    assert revision(None, new).pairs == new.pairs


def test_a_node_whose_pairs_were_all_taken_out_is_worth_none(some_igrams, map_grid):
    pairs, igrams = some_igrams
    grid = map_grid(igrams.shape[1:])
    plan = plan_of(pairs, {"all": range(len(pairs))}, grid)
    sums = empty_sums(plan, grid.shape)
    add_pairs(plan, range(len(pairs)), igrams, sums)
    for start in range(0, len(pairs), 3):
        members = list(range(start, min(start + 3, len(pairs))))
        add_pairs(plan, members, igrams[members], sums, take_out=True)
    assert np.abs(sums).max() > 0
    found = finish(plan, 0, sums[0])
    assert not found.effective_pairs.any()
    assert np.isnan(found.rate).all()


def test_each_window_is_the_stack_of_its_own_pairs(stack_igrams, some_igrams, map_grid):
    pairs, igrams = some_igrams
    grid = map_grid(igrams.shape[1:])
    noise = NoiseShare(0.2, 0.6)
    members = {"all": list(range(len(pairs))), "early": [0, 1, 2, 5], "late": list(range(7, len(pairs)))}
    plan = StackPlan(
        "T1", grid, 0.0555, pairs, tuple(plan_window(n, m, pairs, noise) for n, m in members.items()),
        directions_of(grid.axis_names), 2, noise,
    )  # fmt: skip
    sums = empty_sums(plan, grid.shape)
    add_pairs(plan, range(len(pairs)), igrams, sums)
    for k, (name, of_window) in enumerate(members.items()):
        found = finish(plan, k, sums[k])
        alone = stack_igrams(igrams[of_window], [pairs[p] for p in of_window], smoothing=2, noise=noise)
        assert found.window == name
        assert found.total_pairs == len(of_window)
        np.testing.assert_allclose(found.rate, alone.rate, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.sigma, alone.sigma, rtol=1e-4)


def test_window_without_pairs_is_an_error(map_grid, join_dates):
    pairs = join_dates(EVERY_12_DAYS[:3])
    empty = TimeWindow("wet", np.array([], np.intp), np.array([]))
    grid = map_grid((5, 5))
    plan = StackPlan("T1", grid, 0.0555, pairs, (empty,), directions_of(grid.axis_names), 1, NoiseShare(0, 1))
    with pytest.raises(NoDataError, match=r"^T1: window wet holds no pair$"):
        finish(plan, 0, empty_sums(plan, (5, 5))[0])


def test_equal_pairs_are_worth_their_number(stack_igrams, join_dates):
    pairs = join_dates(range(0, 12 * 21, 12), max_days=12)
    igrams = 0.6 * np.exp(0.1j * np.random.default_rng(5).standard_normal((20, 9, 9)))
    stack = stack_igrams(igrams, pairs, equal=True)
    np.testing.assert_allclose(stack.effective_pairs[:-1, :-1], 20, rtol=1e-4)
    assert (stack.effective_pairs[-1] == 0).all()


def test_residues_are_the_share_of_pairs_that_do_not_close(stack_igrams, join_dates):
    pairs = join_dates(range(0, 12 * 9, 12), max_days=12)
    y, x = np.mgrid[:12, :12]
    vortex = np.exp(1j * np.arctan2(y - 5.4, x - 6.6))
    igrams = np.where((np.arange(8) < 2)[:, None, None], vortex, np.exp(0.2j * x))
    expected = np.zeros((11, 11))
    expected[5, 6] = 0.25
    np.testing.assert_array_equal(stack_igrams(igrams, pairs).residues[:-1, :-1], expected)


def test_network_weights_are_in_years_and_equal_ones_are_one(networks):
    pairs = networks["gaps"]
    members = list(range(0, len(pairs), 2))
    equal = plan_window("w", members, pairs, NoiseShare(0.3, 0.4), equal=True)
    chosen = plan_window("w", members, pairs, NoiseShare(0.3, 0.4))
    np.testing.assert_array_equal(equal.weights, 1)
    np.testing.assert_array_equal(chosen.members, members)
    own = [pairs[k] for k in members]
    np.testing.assert_array_equal(chosen.weights, local_weights(own, {half_year(p): (0.3, 0.4) for p in own}))
    without = plan_window("w", members, pairs, NoiseShare(0, 1))
    np.testing.assert_allclose(without.weights, [p.years for p in own], rtol=1e-12)
    assert chosen.weights.min() >= 0
    assert (chosen.weights / without.weights).std() > 0.1


def test_noise_by_half_year_decides_its_own_weights_and_those_beside_it(networks):
    pairs = networks["regular"]
    halves = sorted({half_year(p) for p in pairs})
    assert len(halves) == 4
    quiet = {half: Likeness(10.0, 200.0) for half in halves}
    loud = {**quiet, halves[-1]: Likeness(80.0, 200.0)}
    one, other = (plan_window("w", range(len(pairs)), pairs, noise).weights for noise in (quiet, loud))
    near = np.array([half_year(p) >= halves[-2] for p in pairs])
    np.testing.assert_array_equal(one[~near], other[~near])
    assert (one[near] != other[near]).mean() > 0.9
    assert quiet[halves[0]].total / quiet[halves[0]].number == 0.05
    share = share_near(quiet, halves[1]).date
    alike = plan_window("w", range(len(pairs)), pairs, NoiseShare(share, 1 - 2 * share)).weights
    inner = np.array([halves[0] < half_year(p) < halves[-1] for p in pairs])
    np.testing.assert_allclose(one[inner], alike[inner], rtol=1e-12)


def test_dem_error_lowers_the_weight_of_what_it_enters():
    days = [date(2020, 1, 1) + timedelta(12 * k) for k in range(3)]
    pairs = [Pair(days[0], days[1], 5.0), Pair(days[1], days[2], 250.0)]
    without = plan_window("w", [0, 1], pairs, NoiseShare(0, 1))
    with_error = plan_window("w", [0, 1], pairs, NoiseShare(0, 1), dem_variance=1e-3)
    assert without.weights == pytest.approx([12 / 365.25] * 2)
    # The minimum of w'w + 1e-3 (5 w1 + 250 w2)^2 - 2 t'w has w2 < 0; at w2 = 0 it is that of 1.025 w1^2 - 2 t w1.
    assert with_error.weights == pytest.approx([12 / 365.25 / 1.025, 0])


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("name", ["regular", "gaps", "season"])
@pytest.mark.parametrize("equal", [False, True])
def test_standard_error_is_that_of_noise_from_dates_and_pairs(stack_igrams, networks, name, share, equal):
    """Some 4,000 independent differences tell the spread of rate / sigma to 1 %."""
    pairs = networks[name]
    rng = np.random.default_rng([int(share * 10), len(pairs)])
    igrams = make_noise(pairs, share, rng)
    noise = measured_noise(igrams, pairs)
    assert noise.date == pytest.approx(share, abs=0.02)
    stack = stack_igrams(igrams, pairs, noise=noise, equal=equal)
    assert np.nanstd(stack.significance) == pytest.approx(1, abs=0.04)
    # Independently of the scatter: what dates and pairs leave in the sum.
    weights = plan_window("all", range(len(pairs)), pairs, noise, equal=equal).weights
    coefficients = date_coefficients(pairs, weights).coefficients
    left = share * (coefficients**2).sum() + (1 - 2 * share) * (weights**2).sum()
    expected = 0.1 * np.sqrt(2 * left) / (weights * [p.years for p in pairs]).sum()
    assert np.nanstd(stack.rate) == pytest.approx(expected, rel=0.04)
    if name == "regular" and share == 0.4:
        # Pairs taken as independent would be off by half.
        assert np.sqrt(network_factor(pairs, weights, noise)) < 0.6


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("name", ["regular", "gaps", "season"])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_standard_error_holds_where_quality_varies_wildly(stack_igrams, networks, name, share, holes):
    """Coherence anywhere in 0.1 to 0.95, so qualities differ 500 times, and pairs that miss nodes.

    Dates then cancel less than the network promises; with the network's factor alone the spread would be 1.3. It is 1
    to 7 %, and to 15 % where fewer than 25 good pairs leave their own number uncertain.
    """
    pairs = networks[name]
    rng = np.random.default_rng([int(share * 10), len(pairs), int(holes * 10)])
    coherence = rng.uniform(0.1, 0.95, (len(pairs), 56, 56)) * (rng.random((len(pairs), 56, 56)) >= holes)
    igrams = make_noise(pairs, share, rng, coherence=np.maximum(coherence, 0.01), amplitude=0.05)
    igrams[coherence == 0] = 0
    stack = stack_igrams(igrams, pairs, noise=measured_noise(igrams, pairs))
    effective = np.median(stack.effective_pairs[stack.n_pairs > 0])
    assert effective < 0.5 * len(pairs)
    tolerance = 0.07 if effective > 25 else 0.15
    assert np.nanstd(stack.significance) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize(("name", "gain"), [("regular", 0.97), ("gaps", 0.75), ("season", 0.95)])
def test_network_weights_leave_less_noise_of_dates_than_equal_ones(stack_igrams, networks, name, gain):
    pairs = networks[name]
    igrams = make_noise(pairs, 0.4, np.random.default_rng(len(pairs)))
    noise = NoiseShare(0.4, 0.2)
    weighted, equal = (stack_igrams(igrams, pairs, noise=noise, equal=flag) for flag in (False, True))
    assert np.nanstd(weighted.rate) < gain * np.nanstd(equal.rate)


def test_data_without_noise_have_small_standard_errors_but_none_of_zero(stack_igrams, some_igrams):
    pairs, _ = some_igrams
    years = np.array([p.years for p in pairs])[:, None, None]
    y, x = np.mgrid[:30, :28]
    for phase in (0 * x, 3 * np.exp(-((y - 15) ** 2 + (x - 13) ** 2) / 50), 0.3 * x):
        stack = stack_igrams(np.exp(1j * years * phase), pairs, smoothing=2)
        known = stack.n_pairs > 0
        assert known.any()
        assert stack.sigma[:, known].min() > 0
        assert (stack.sigma[:, known] < 1e-3 + 2e-3 * np.abs(stack.rate[:, known])).all()
        assert np.isfinite(stack.significance[:, known]).all()


@pytest.fixture(scope="module")
def danba(real_data):
    """The Danba scene, and its pairs before and after November 2018."""
    stack = open_stack(real_data / "danba")
    split = date(2018, 11, 1)
    early = [p for p in stack.pairs if p.secondary < split]
    late = [p for p in stack.pairs if p.reference > split]
    assert (len(early), len(late)) == (88, 92)
    return stack, (early, late)


def correlations(one, other):
    """Pearson correlation along azimuth and range, over the nodes known to both."""
    found = []
    for a, b in zip(one, other, strict=True):
        known = np.isfinite(a + b)
        assert known.sum() > 14_000
        found.append(np.corrcoef(a[known], b[known])[0, 1])
    return found


@pytest.mark.real
def test_two_halves_of_a_real_stack_agree(danba, tmp_path):
    """Two periods without a common date show the same gradients; measured 0.90 and 0.67, random ones would give 0."""
    stack, halves = danba
    config = StackConfig(max_days=96, working_pixel=1.0, smoothing=10, wet_months=(), sliding_years=None)
    rates = []
    for name, pairs in zip(("early", "late"), halves, strict=True):
        output = stack_track(stack.select(pairs), config, tmp_path / name, Reporter(quiet=True))
        assert output.looks == (1, 1)
        assert output.sums.plan.smoothing == 10
        assert output.sums.plan.pairs == tuple(pairs)
        rates.append(output.sums.stack().rate)
    azimuth, across = correlations(*rates)
    assert azimuth >= 0.85
    assert across >= 0.65


@pytest.mark.real
def test_two_halves_of_a_real_stack_hardly_agree_without_weights(danba):
    """The paper's way, all pixels and pairs alike after the average, is what the weights are for."""
    stack, halves = danba
    directions = directions_of(stack.grid.axis_names)
    sums = [
        sum(np.nan_to_num(wrapped_differences(stack.read(p), 10, directions).angle) for p in pairs) for pairs in halves
    ]
    edge = np.full(stack.grid.shape, np.nan)
    edge[5:-5, 5:-5] = 0
    azimuth, across = correlations(sums[0] + edge, sums[1] + edge)
    assert azimuth < 0.3
    assert across < 0.2
