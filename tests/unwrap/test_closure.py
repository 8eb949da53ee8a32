"""Triplets close whatever the ground does, find the pair that is wrong, and leave alone what they cannot tell."""

import itertools
import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundshift.io import open_stack
from groundshift.simulate.decorrelation import add_noise
from groundshift.types import Pair, Window
from groundshift.unwrap import PatchPhase, TripletBias, Whirlwind, check_closure, triplets, unwrap_patch

TURN = 2 * np.pi
SHAPE = (14, 17)
BLOCK = (slice(3, 9), slice(5, 12))


def all_pairs(n_dates, step=12):
    days = [date(2020, 1, 1) + timedelta(step * k) for k in range(n_dates)]
    return tuple(Pair(a, b) for a, b in itertools.combinations(days, 2))


def consistent(pairs, seed=0, shape=SHAPE, size=9.0):
    """Phases of dates, differenced, with a constant of whole cycles for each pair."""
    rng = np.random.default_rng(seed)
    dates = sorted({d for p in pairs for d in (p.reference, p.secondary)})
    field = {d: rng.normal(0, size, shape) for d in dates}
    constant = TURN * rng.integers(-9, 10, len(pairs))
    phase = np.array([field[p.reference] - field[p.secondary] + c for p, c in zip(pairs, constant, strict=True)])
    return phase.astype(np.float32)


def patch(unwrapped, conncomp=None):
    inside = np.isfinite(unwrapped)
    return PatchPhase(unwrapped, (inside if conncomp is None else conncomp).astype(np.uint32), ())


def index_of(pairs, a, b):
    dates = sorted({d for p in pairs for d in (p.reference, p.secondary)})
    return pairs.index(Pair(dates[a], dates[b]))


# --- triplets


@pytest.mark.parametrize("n_dates", [1, 2, 3, 4, 7])
def test_complete_network_has_every_three_dates_once(n_dates):
    pairs = all_pairs(n_dates)
    found = triplets(pairs)
    assert found.shape == (math.comb(n_dates, 3), 3)
    for ij, jk, ik in found:
        assert pairs[ij].secondary == pairs[jk].reference
        assert (pairs[ij].reference, pairs[jk].secondary) == (pairs[ik].reference, pairs[ik].secondary)
    assert len({tuple(t) for t in found.tolist()}) == len(found)


def test_chain_has_no_triplet():
    pairs = [p for p in all_pairs(6) if p.days == 12]
    assert triplets(pairs).shape == (0, 3)


# --- closing


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n_dates=st.integers(3, 7), size=st.floats(0, 60))
def test_consistent_network_closes_whatever_the_phase(seed, n_dates, size):
    pairs = all_pairs(n_dates)
    phase = consistent(pairs, seed, size=size)
    found = check_closure(patch(phase), pairs)
    np.testing.assert_array_equal(found.unwrapped, phase)
    np.testing.assert_array_equal(found.reliability, 1)
    assert not found.cycles.any()
    assert found.kept.all()
    assert found.short_pair_bias == pytest.approx(0, abs=1e-4)
    assert (found.n_triplets, found.n_contradicted, found.reasons) == (math.comb(n_dates, 3), 0, ())


@pytest.mark.parametrize("cycles", [-3, -1, 1, 2])
@pytest.mark.parametrize("ends", [(0, 1), (2, 3), (0, 5), (1, 4)])
def test_cycles_added_to_a_region_of_one_pair_are_taken_out_exactly(cycles, ends):
    pairs = all_pairs(6)
    truth = consistent(pairs, 1)
    k = index_of(pairs, *ends)
    broken = truth.copy()
    broken[k][BLOCK] += np.float32(TURN * cycles)
    before = broken.copy()
    found = check_closure(patch(broken), pairs)
    expected = np.zeros(broken.shape)
    expected[k][BLOCK] = -cycles
    np.testing.assert_array_equal(found.cycles, expected)
    np.testing.assert_allclose(found.unwrapped, truth, atol=1e-4)
    np.testing.assert_array_equal(found.reliability, 1)
    np.testing.assert_array_equal(broken, before)


@pytest.mark.parametrize("ends", [((0, 1), (2, 3)), ((0, 1), (0, 5)), ((1, 3), (3, 5))])
def test_errors_of_two_pairs_at_one_place_are_both_taken_out_where_triplets_are_many(ends):
    pairs = all_pairs(8)
    truth = consistent(pairs, 2)
    broken = truth.copy()
    for cycles, (a, b) in zip((1, 2), ends, strict=True):
        broken[index_of(pairs, a, b)][BLOCK] += np.float32(TURN * cycles)
    found = check_closure(patch(broken), pairs)
    np.testing.assert_allclose(found.unwrapped, truth, atol=1e-4)
    assert (found.cycles != 0).sum() == 2 * 6 * 7


@pytest.mark.parametrize(
    ("n_dates", "ends"),
    [
        (3, [(0, 1)]),  # any of the three pairs
        (4, [(0, 1), (0, 2)]),  # or the pair (0, 3) the other way round
        (5, [(0, 1), (0, 2)]),  # or the pairs (0, 3) and (0, 4) the other way round
        (6, [(0, 1), (0, 2)]),  # three others of date 0: not certain enough
    ],
)
def test_errors_that_cannot_be_told_apart_are_left_alone(n_dates, ends):
    pairs = all_pairs(n_dates)
    broken = consistent(pairs, 3)
    for a, b in ends:
        broken[index_of(pairs, a, b)][BLOCK] += np.float32(TURN)
    found = check_closure(patch(broken), pairs, least_reliability=0)
    assert not found.cycles.any()
    np.testing.assert_array_equal(found.unwrapped, broken)
    assert found.kept.all()
    assert found.reliability.min() < 1


def test_date_that_is_off_as_a_whole_closes_and_is_left_alone():
    pairs = all_pairs(6)
    phase = consistent(pairs, 4)
    for k, pair in enumerate(pairs):
        phase[k][BLOCK] += np.float32(TURN * (pair.reference == pairs[0].reference))
    found = check_closure(patch(phase), pairs)
    assert not found.cycles.any()
    np.testing.assert_array_equal(found.reliability, 1)


def test_single_pixels_are_noise_and_left_alone():
    pairs = all_pairs(6)
    broken = consistent(pairs, 5)
    broken[4, 2::5, 2::5] += np.float32(TURN)
    assert not check_closure(patch(broken), pairs).cycles.any()


def test_pair_that_is_off_nearly_everywhere_is_brought_to_its_reference():
    """The constant is that of the pixels in the most components; all else of the pair is off against it."""
    pairs = all_pairs(6)
    truth = consistent(pairs, 6)
    inside = np.zeros(truth.shape, bool)
    inside[:, 10:, 12:] = True
    broken = truth.copy()
    broken[7, :10] += np.float32(TURN)
    found = check_closure(patch(broken, inside), pairs)
    np.testing.assert_allclose(found.unwrapped, truth, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_correction_never_changes_the_wrapped_phase(seed):
    rng = np.random.default_rng(seed)
    pairs = all_pairs(6)
    phase = consistent(pairs, seed) + np.float32(TURN) * rng.integers(-1, 2, (15, 1, 17)).astype(np.float32)
    phase += rng.normal(0, 0.6, phase.shape).astype(np.float32)
    phase[rng.random(phase.shape) < 0.1] = np.nan
    found = check_closure(patch(phase), pairs, least_reliability=0)
    np.testing.assert_allclose(found.unwrapped, phase + TURN * found.cycles.astype(float), atol=1e-4)
    np.testing.assert_array_equal(np.isnan(found.unwrapped), np.isnan(phase))


def test_order_of_pairs_does_not_matter():
    rng = np.random.default_rng(7)
    pairs = all_pairs(7)
    phase = consistent(pairs, 7) + rng.normal(0, 0.8, (21, *SHAPE)).astype(np.float32)
    for k in range(0, 21, 3):
        y, x = rng.integers(0, 10, 2)
        phase[k, y : y + 6, x : x + 6] += np.float32(TURN * rng.choice([-1, 1]))
    phase[5] += np.float32(TURN) * rng.integers(-4, 5, SHAPE)
    inside = rng.random(phase.shape) < 0.6
    order = rng.permutation(21)
    one = check_closure(patch(phase, inside), pairs)
    two = check_closure(patch(phase[order], inside[order]), [pairs[k] for k in order])
    assert one.cycles.any()
    assert 0 < one.kept.sum() < 21
    np.testing.assert_array_equal(two.cycles, one.cycles[order])
    np.testing.assert_array_equal(two.unwrapped, one.unwrapped[order])
    np.testing.assert_allclose(two.reliability, one.reliability[order])
    np.testing.assert_array_equal(two.kept, one.kept[order])
    assert {t for _, t in two.reasons} == {t for _, t in one.reasons}
    assert two.short_pair_bias == pytest.approx(one.short_pair_bias)


# --- holes


def test_holes_stay_and_what_lies_around_them_is_corrected():
    pairs = all_pairs(6)
    truth = consistent(pairs, 8)
    truth[:, 4:7, 6:9] = np.nan
    truth[3, :, :4] = np.nan
    broken = truth.copy()
    broken[9][BLOCK] += np.float32(TURN)
    found = check_closure(patch(broken), pairs)
    np.testing.assert_allclose(found.unwrapped, truth, atol=1e-4)
    np.testing.assert_array_equal(found.reliability, 1)


def test_pair_without_phase_is_left_out_with_its_reason():
    pairs = all_pairs(5)
    phase = consistent(pairs, 9)
    phase[[2, 6]] = np.nan
    found = check_closure(patch(phase)._replace(failures=((6, "whirlwind gave up: no flow"),)), pairs)
    assert found.reasons == (
        (2, "20200101_20200206: left out: no data on the patch"),
        (6, "20200113_20200218: left out: whirlwind gave up: no flow"),
    )
    np.testing.assert_array_equal(np.flatnonzero(~found.kept), [2, 6])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.reliability)), [2, 6])


# --- trust


def test_bad_pair_is_left_out_and_does_not_make_its_neighbours_look_bad():
    pairs = all_pairs(6)
    phase = consistent(pairs, 10)
    phase[4] += np.float32(TURN) * np.random.default_rng(1).integers(-5, 6, SHAPE)
    found = check_closure(patch(phase, np.zeros(phase.shape)), pairs)
    np.testing.assert_array_equal(np.flatnonzero(~found.kept), [4])
    ((k, text),) = found.reasons
    assert (k, text[:27]) == (4, f"{pairs[4].name}: left out")
    assert text.endswith("% of its pixel triplets close, less than 60 %")
    assert found.reliability[4] < 0.3
    np.testing.assert_array_equal(np.delete(found.reliability, 4), 1)
    assert found.n_contradicted == 0


def test_reliability_is_the_share_that_closes():
    pairs = all_pairs(3)
    phase = consistent(pairs, 11)
    phase[1, :, :5] += np.float32(TURN)
    found = check_closure(patch(phase), pairs, least_reliability=12 / 17)
    np.testing.assert_allclose(found.reliability, 12 / 17)
    assert found.kept.all()
    strict = check_closure(patch(phase), pairs, least_reliability=0.71)
    assert not strict.kept.any()
    assert strict.reasons[0] == (0, "20200101_20200113: left out: 70 % of its pixel triplets close, less than 71 %")


def test_pairs_in_no_triplet_are_kept_and_counted():
    pairs = (*all_pairs(3), Pair(date(2021, 1, 1), date(2021, 1, 13)), Pair(date(2021, 1, 13), date(2021, 1, 25)))
    found = check_closure(patch(consistent(pairs, 12)), pairs)
    np.testing.assert_array_equal(found.reliability, [1, 1, 1, np.nan, np.nan])
    assert found.kept.all()
    assert (found.n_triplets, found.n_untested) == (1, 2)


def test_chain_is_kept_untested_and_has_no_bias():
    pairs = [p for p in all_pairs(4) if p.days == 12]
    found = check_closure(patch(consistent(pairs, 13)), pairs)
    assert (found.n_untested, found.n_triplets, found.short_pair_bias, found.biases) == (3, 0, None, ())
    assert found.kept.all()


def test_what_closure_contradicts_is_left_out_only_outside_components():
    """Date 0 lacks triplets enough to correct two of its pairs, but each is open in three of four."""
    pairs = all_pairs(6)
    phase = consistent(pairs, 14)
    bad = [index_of(pairs, 0, 1), index_of(pairs, 0, 2)]
    phase[bad[0]][BLOCK] += np.float32(TURN)
    phase[bad[1]][BLOCK] -= np.float32(TURN)
    # The error of (0, 1) and (0, 2) makes their common triplet miss by two cycles: neither has a majority of three.
    phase[index_of(pairs, 0, 3)][BLOCK] += np.float32(2 * TURN)
    inside = np.ones(phase.shape, bool)
    inside[bad[0]] = False
    found = check_closure(patch(phase, inside), pairs, least_reliability=0)
    assert not found.cycles.any()
    expected = np.zeros(phase.shape, bool)
    expected[bad[0]][BLOCK] = True
    np.testing.assert_array_equal(np.isnan(found.unwrapped), expected)
    assert found.n_contradicted == expected.sum()


def test_bias_of_short_pairs_is_the_mean_wrapped_closure():
    """Fading adds to short pairs what longer ones lack: 0.4 rad to 12 days, 0.1 to 24, nothing to longer ones."""
    pairs = all_pairs(5)
    fading = {12: 0.4, 24: 0.1}
    phase = consistent(pairs, 15) + np.array([fading.get(p.days, 0.0) for p in pairs], np.float32)[:, None, None]
    found = check_closure(patch(phase), pairs)
    expected = {(12, 24): 0.7, (12, 36): 0.5, (12, 48): 0.4, (24, 48): 0.2}
    assert found.biases == tuple(
        TripletBias(*kind, pytest.approx(value, abs=1e-4), {(12, 24): 3, (12, 36): 4, (12, 48): 2, (24, 48): 1}[kind])
        for kind, value in expected.items()
    )
    of_all = np.angle(3 * np.exp(0.7j) + 4 * np.exp(0.5j) + 2 * np.exp(0.4j) + np.exp(0.2j))
    assert found.short_pair_bias == pytest.approx(of_all, abs=1e-4)


def test_arguments_that_cannot_be_are_named():
    pairs = all_pairs(3)
    phase = patch(consistent(pairs))
    with pytest.raises(ValueError, match=r"least_reliability must lie in \[0, 1\], instead got 1.5"):
        check_closure(phase, pairs, least_reliability=1.5)
    with pytest.raises(ValueError, match=r"phase.unwrapped must have shape \(2, 14, 17\), instead got \(3, 14, 17\)"):
        check_closure(phase, pairs[:2])


def test_no_pairs_at_all_are_judged_without_complaint():
    found = check_closure(patch(np.zeros((0, 4, 5), np.float32)), ())
    assert (found.unwrapped.shape, found.n_triplets, found.reasons) == ((0, 4, 5), 0, ())


# --- with a real unwrapper


def test_noisy_network_is_more_right_after_the_check():
    """Changes are right, and with what is left out most of the errors of a noisy, fast body are gone."""
    rng = np.random.default_rng(5)
    pairs = tuple(p for p in all_pairs(10) if p.days <= 60)
    y, x = np.mgrid[:60, :60]
    speed = 5 * np.exp(-((y - 30) ** 2 + (x - 28) ** 2) / (2 * 8.0**2))
    truth = np.array([speed * p.days / 24 for p in pairs], np.float32)
    coherence = np.float32(0.45 - 0.25 * np.cos(y / 9) * np.cos(x / 7))
    igrams = np.array([add_noise(t, coherence, 3, rng, window=3) for t in truth])
    phase = unwrap_patch(igrams, 3, Whirlwind())
    found = check_closure(phase, pairs, least_reliability=0)

    def off(unwrapped):
        cycles = np.round((unwrapped - truth) / TURN)
        common = [np.bincount((c - np.nanmin(c))[np.isfinite(c)].astype(int)).argmax() + np.nanmin(c) for c in cycles]
        return cycles - np.array(common)[:, None, None]

    before, after = off(phase.unwrapped), off(phase.unwrapped + TURN * found.cycles)
    changed, out = found.cycles != 0, np.isnan(found.unwrapped)
    assert changed.sum() > 50
    assert (after == 0)[changed].mean() > 0.95
    assert (after == 0).sum() > (before == 0).sum()
    assert out.mean() < 0.05
    assert (after != 0)[~out].mean() < 0.5 * (before != 0).mean()


@pytest.mark.real
def test_reliability_on_danba_agrees_with_coherence(real_data):
    """Closure knows nothing of coherence, yet the pairs that it keeps are the coherent ones."""
    stack = open_stack(real_data / "danba")
    pairs = [p for p in stack.pairs if p.reference.year == 2018 and p.days <= 60]
    igrams = np.array([stack.read(p, Window(25, 65, 45, 45)) for p in pairs])
    phase = unwrap_patch(igrams, 5, Whirlwind())
    found = check_closure(phase, pairs)
    mean = np.abs(igrams).mean(axis=(1, 2))
    tested = np.isfinite(found.reliability)
    assert np.corrcoef(found.reliability[tested], mean[tested])[0, 1] > 0.6
    assert mean[found.kept].mean() > mean[~found.kept].mean() + 0.1
    rest = found.unwrapped - phase.unwrapped - TURN * found.cycles
    assert np.nanmax(np.abs(rest)) < 1e-4
