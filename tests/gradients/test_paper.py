"""Paper mode keeps what is left of the direct sum after whole cycles are lost, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from groundshift.gradients.differences import directions_of, quality, wrapped_differences
from groundshift.gradients.paper import (
    PairDifferences,
    PaperSums,
    agreement,
    pair_differences,
    steep_share,
    to_zero_background,
    wrap,
)

AXES = ("azimuth", "range")
BOTH = directions_of(AXES)
PI = np.float32(np.pi)


def make_igrams(rng, pairs, shape, holes=0.1):
    """Smooth phases of several cycles under noise, coherence from 0.2 to 1, some pixels without data."""
    smooth = ndimage.gaussian_filter(rng.standard_normal((pairs, *shape)), (0, 4, 4))
    phase = smooth / smooth.std() * 4 + 0.4 * rng.standard_normal((pairs, *shape))
    igrams = rng.uniform(0.2, 1.0, (pairs, *shape)) * np.exp(1j * phase)
    igrams[rng.random(igrams.shape) < holes] = 0
    return igrams.astype(np.complex64)


def add_up(igrams, smoothing=3, directions=BOTH):
    sums = PaperSums.empty(len(directions), igrams.shape[1:])
    for igram in igrams:
        sums.add(pair_differences(igram, smoothing, directions))
    return sums


def turns_apart(one, two):
    """Distance of two phases on the circle, radians."""
    return np.abs(np.angle(np.exp(1j * (one.astype(np.float64) - two))))


@given(arrays(np.float32, 9, elements=st.floats(-1000, 1000, width=32)))
def test_wrapping_takes_off_whole_turns_and_ends_below_pi(phase):
    wrapped = wrap(phase)
    assert wrapped.dtype == np.float32
    assert (wrapped >= -PI).all()
    assert (wrapped < PI).all()
    assert turns_apart(wrapped, phase).max() < 1e-3


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.mark.parametrize("smoothing", [1, 2, 5])
@pytest.mark.parametrize("directions", [BOTH, directions_of(AXES, diagonals=True), directions_of(AXES, step=3)])
def test_differences_are_those_of_the_plain_twin(rng, smoothing, directions):
    (igram,) = make_igrams(rng, 1, (34, 41))
    found = pair_differences(igram, smoothing, directions)
    plain = wrapped_differences(igram, smoothing, directions)
    assert np.isfinite(plain.angle).any()
    np.testing.assert_array_equal(np.isnan(found.angle), np.isnan(plain.angle))
    known = np.isfinite(plain.angle)
    assert turns_apart(found.angle[known], plain.angle[known]).max() < 1e-5
    np.testing.assert_allclose(quality(found.magnitude**2), plain.quality, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("smoothing", [1, 4])
def test_wrapped_direct_sum_is_the_stack_of_the_paper(rng, smoothing):
    """W(S) = Fu's wrapped stack, always."""
    igrams = make_igrams(rng, 60, (40, 50))
    sums = add_up(igrams, smoothing)
    assert np.abs(sums.direct).max() > 3 * np.pi
    assert (sums.wrapped >= -PI).all()
    assert (sums.wrapped < PI).all()
    assert turns_apart(sums.wrapped, sums.direct).max() < 2e-4


def test_wrapped_stack_is_the_phase_of_the_product_of_all_differences(rng):
    """The twin never wraps: it multiplies phasors, in double precision."""
    igrams = make_igrams(rng, 40, (30, 36), holes=0)
    product = np.ones((2, 30, 36), complex)
    for igram in igrams:
        product *= np.exp(1j * np.nan_to_num(wrapped_differences(igram, 3, BOTH).angle.astype(np.float64)))
    assert turns_apart(add_up(igrams).wrapped, np.angle(product)).max() < 2e-4


def test_direct_sum_is_that_of_the_twin(rng):
    igrams = make_igrams(rng, 40, (30, 36))
    plain = sum(np.nan_to_num(wrapped_differences(igram, 3, BOTH).angle.astype(np.float64)) for igram in igrams)
    np.testing.assert_allclose(add_up(igrams).direct, plain, atol=2e-4)


def test_stack_of_equal_pairs_is_the_weighted_stack(rng, stack_igrams, join_dates):
    """With the same coherence everywhere no pair weighs more than another."""
    pairs = join_dates(np.arange(12) * 12, 36)
    phase = ndimage.gaussian_filter(rng.standard_normal((len(pairs), 30, 36)), (0, 2, 2)) * 6
    igrams = (0.7 * np.exp(1j * phase)).astype(np.complex64)
    stack = stack_igrams(igrams, pairs, equal=True)
    sums = add_up(igrams, smoothing=1)
    known = np.isfinite(stack.radians)
    np.testing.assert_allclose(sums.direct[known], stack.radians[known], atol=1e-4)
    np.testing.assert_allclose(sums.mean_coherence[known[0]], stack.mean_coherence[known[0]], rtol=1e-5)


@pytest.mark.parametrize("slope", [-3.0, -0.2, 0.0, 0.7])
def test_ramp_adds_up_and_wraps(slope):
    y, _ = np.mgrid[:20, :24]
    igrams = np.repeat(np.exp(1j * slope * y)[np.newaxis], 11, axis=0).astype(np.complex64)
    sums = add_up(igrams, smoothing=2)
    known = sums.n_pairs > 0
    np.testing.assert_allclose(sums.direct[0][known], 11 * slope, atol=1e-3)
    assert turns_apart(sums.wrapped[0][known], np.full(known.sum(), 11 * slope)).max() < 1e-3
    np.testing.assert_allclose(sums.direct[1][known], 0, atol=1e-3)


def test_pair_and_its_swapped_twin_cancel(rng):
    igrams = make_igrams(rng, 5, (30, 36))
    sums = add_up(np.concatenate([igrams, igrams.conj()]))
    np.testing.assert_allclose(sums.direct, 0, atol=1e-5)
    assert turns_apart(sums.wrapped, np.zeros(())).max() < 1e-5


def test_pair_without_data_at_a_node_adds_nothing_there(rng):
    igrams = make_igrams(rng, 4, (30, 36), holes=0)
    whole = add_up(igrams)
    holed = igrams.copy()
    holed[1, 10:20, 12:25] = 0
    sums, others = add_up(holed), add_up(igrams[[0, 2, 3]])
    np.testing.assert_array_equal(sums.n_pairs[12:18, 14:22], 3)
    np.testing.assert_allclose(sums.direct[:, 12:18, 14:22], others.direct[:, 12:18, 14:22], atol=1e-6)
    np.testing.assert_allclose(sums.mean_coherence[12:18, 14:22], others.mean_coherence[12:18, 14:22], rtol=1e-6)
    far = (slice(None), slice(2, 6), slice(2, 30))
    np.testing.assert_array_equal(sums.direct[far], whole.direct[far])
    assert (whole.n_pairs[2:-3, 2:-3] == 4).all()
    assert not whole.n_pairs[:1].any()


def test_rows_of_a_block_go_to_their_place(rng):
    sums = add_up(make_igrams(rng, 3, (30, 36)))
    copied = PaperSums.empty(2, (30, 36))
    copied.put_rows(0, sums, slice(0, 11))
    copied.put_rows(11, sums, slice(11, 30))
    for name in ("wrapped", "direct", "magnitude", "n_pairs"):
        np.testing.assert_array_equal(getattr(copied, name), getattr(sums, name))


def test_sums_take_only_their_own_shape():
    sums = PaperSums.empty(2, (5, 6))
    with pytest.raises(ValueError, match=r"angle must have shape \(2, 5, 6\), instead got \(1, 5, 6\)"):
        sums.add(PairDifferences(np.zeros((1, 5, 6), np.float32), np.zeros((5, 6), np.float32)))


def test_phase_alone_is_no_interferogram():
    with pytest.raises(TypeError, match="igram must be complex-valued, instead got float32"):
        pair_differences(np.zeros((5, 6), np.float32), 1, BOTH)


def test_background_of_each_region_comes_to_zero():
    """Whole turns are taken off, so that what the unwrapping measured stays."""
    field = np.full((20, 30), np.nan, np.float32)
    field[2:9, 3:27] = 0.4 + 4 * np.pi
    field[5, 5:9] += 9.0
    field[12:18, 3:27] = -0.3 - 2 * np.pi
    centred = to_zero_background(field)
    np.testing.assert_array_equal(np.isnan(centred), np.isnan(field))
    assert np.median(centred[2:9, 3:27]) == pytest.approx(0.4, abs=1e-5)
    assert centred[5, 6] == pytest.approx(9.4, abs=1e-5)
    np.testing.assert_allclose(centred[12:18, 3:27], -0.3, atol=1e-5)


def test_nothing_has_no_background():
    assert np.isnan(to_zero_background(np.full((3, 4), np.nan, np.float32))).all()


def test_agreement_counts_nodes_on_the_right_cycle():
    direct = np.zeros((4, 5), np.float32)
    unwrapped = direct.copy()
    unwrapped[0] = 2 * np.pi
    unwrapped[1, 0] = 0.09
    unwrapped[3, 4] = np.nan
    assert agreement(unwrapped, direct) == pytest.approx(14 / 19)
    assert np.isnan(agreement(np.full((2, 2), np.nan, np.float32), np.zeros((2, 2), np.float32)))


def test_steep_share_counts_neighbours_beyond_pi():
    direct = np.zeros((3, 4), np.float32)
    direct[1, 1] = 3.2
    assert steep_share(direct) == pytest.approx(4 / 17)
    direct[1, 1] = 3.1
    assert steep_share(direct) == 0
    assert steep_share(np.full((3, 4), np.nan, np.float32)) == 0
