"""Wrapped differences of one interferogram: closed forms, and laws that hold for every interferogram."""

import numpy as np
import pytest

from groundshift.gradients.differences import directions_of, quality, take_looks, wrapped_differences
from groundshift.gradients.stack import Direction, closes
from groundshift.types import Looks

AXES = ("azimuth", "range")
Y, X = np.mgrid[:40, :36].astype(float)


def as_igram(phase, coherence=1.0):
    return (coherence * np.exp(1j * phase)).astype(np.complex64)


@pytest.mark.parametrize("slope", [-3.0, -0.2, 0.0, 0.2, 3.0])
@pytest.mark.parametrize("n", [1, 4, 5])
def test_phase_ramp_gives_its_slope(slope, n):
    found = wrapped_differences(as_igram(slope * X), n, directions_of(AXES))
    inside = found.quality > 0
    assert inside.sum() == (40 - n) * (36 - n)
    if abs(slope) * n < 2 * np.pi:
        np.testing.assert_allclose(found.angle[1][inside], slope, atol=1e-5)
    np.testing.assert_allclose(found.angle[0][inside], 0, atol=1e-5)


def test_slope_steeper_than_pi_per_step_aliases():
    found = wrapped_differences(as_igram(4.0 * Y), 1, directions_of(AXES))
    np.testing.assert_allclose(found.angle[0, :-1, :-1], 4.0 - 2 * np.pi, atol=1e-5)


def test_each_direction_has_its_own_slope():
    igram = as_igram(0.11 * Y - 0.05 * X)
    for step, reach in ((1, 1), (3, 6)):
        directions = directions_of(AXES, diagonals=True, step=step)
        assert [d.name for d in directions] == ["azimuth", "range", "azimuth+range", "azimuth-range"]
        angle = wrapped_differences(igram, 2, directions).angle[:, 20, 18]
        np.testing.assert_allclose(angle, reach * np.array([0.11, -0.05, 0.06, 0.16]), atol=1e-5)


def test_only_forward_differences_along_both_axes_close():
    assert closes(directions_of(AXES))
    assert closes(directions_of(AXES, diagonals=True))
    assert not closes(directions_of(AXES, step=2))
    assert not closes(directions_of(AXES)[:1])
    assert not closes(directions_of(AXES)[::-1])


def test_constant_phase_changes_nothing():
    rng = np.random.default_rng(0)
    phase = rng.uniform(-np.pi, np.pi, X.shape)
    coherence = rng.uniform(0.3, 1, X.shape)
    one = wrapped_differences(as_igram(phase, coherence), 3, directions_of(AXES))
    other = wrapped_differences(as_igram(phase + 2.1, coherence), 3, directions_of(AXES))
    np.testing.assert_allclose(other.quality, one.quality, atol=1e-5)
    # Where the average nearly vanishes, so does the meaning of its angle.
    good = one.quality > 1e-3
    assert good.mean() > 0.7
    turned = np.angle(np.exp(1j * (other.angle - one.angle)))[:, good]
    np.testing.assert_allclose(turned, 0, atol=1e-4)


def test_conjugating_flips_the_sign_and_nothing_else():
    rng = np.random.default_rng(1)
    igram = as_igram(rng.uniform(-np.pi, np.pi, X.shape), rng.uniform(0.3, 1, X.shape))
    igram[5:9, 5:9] = 0
    one = wrapped_differences(igram, 3, directions_of(AXES))
    other = wrapped_differences(igram.conj(), 3, directions_of(AXES))
    np.testing.assert_array_equal(other.quality, one.quality)
    np.testing.assert_allclose(other.angle, -one.angle, atol=1e-6)


def test_transposing_exchanges_the_axes():
    rng = np.random.default_rng(2)
    igram = as_igram(rng.uniform(-np.pi, np.pi, X.shape))
    one = wrapped_differences(igram, 4, directions_of(AXES))
    other = wrapped_differences(igram.T.copy(), 4, directions_of(AXES))
    np.testing.assert_allclose(other.angle[::-1].transpose(0, 2, 1), one.angle, atol=1e-6)
    np.testing.assert_allclose(other.quality.T, one.quality, rtol=1e-5)


def test_average_is_weighted_by_coherence():
    # The first node averages phase 0 only, the second phase 0 and 1 with coherence 0.9 and 0.3.
    igram = np.ones((2, 3), complex)
    igram[:, 1] = 0.9
    igram[:, 2] = 0.3 * np.exp(1j)
    found = wrapped_differences(igram.astype(np.complex64), 2, (Direction("x", (0, 0), (0, 1)),))
    expected = np.angle(0.9 + 0.3 * np.exp(1j)) - 0
    np.testing.assert_allclose(found.angle[0, 1, 1], expected, atol=1e-6)


def test_quality_is_that_of_the_worst_node_of_all_stencils():
    coherence = np.full(X.shape, 0.8)
    coherence[20, 18] = 0.4
    found = wrapped_differences(as_igram(0 * X, coherence), 1, directions_of(AXES))
    low, high = 0.16 / (1.1 - 0.16), 0.64 / (1.1 - 0.64)
    np.testing.assert_allclose(found.quality[[20, 19, 20], [18, 18, 17]], low, rtol=1e-5)
    np.testing.assert_allclose(found.quality[[21, 20, 19], [18, 19, 17]], high, rtol=1e-5)


def test_quality_is_the_inverse_phase_variance_levelled_off():
    power = np.array([0, 0.01, 0.25, 0.81, 1.0, 1.7], np.float32)
    found = quality(power)
    np.testing.assert_allclose(found[[0, 4, 5]], [0, 10, 10], rtol=1e-5)
    assert (np.diff(found[:5]) > 0).all()
    # Proportional to g^2 / (1 - g^2) while coherence is low.
    np.testing.assert_allclose(found[1], 0.01 / 0.99 / 1.1, rtol=0.01)


def test_nodes_without_data_are_nan_and_of_no_quality():
    igram = as_igram(0.1 * X)
    igram[10, 12] = 0
    found = wrapped_differences(igram, 3, directions_of(AXES))
    np.testing.assert_array_equal(np.isnan(found.angle), np.broadcast_to(found.quality == 0, found.angle.shape))
    assert (found.quality[[10, 9, 10], [12, 12, 11]] == 0).all()
    # Those whose window holds the gap go by what is left of it.
    assert found.quality[9, 11] > 0
    assert np.isnan(found.angle[:, 0]).all()
    assert np.isnan(found.angle[:, :, -2:]).all()


def test_real_images_are_refused():
    with pytest.raises(TypeError, match=r"^igram must be complex-valued, instead got float64$"):
        wrapped_differences(X, 3, directions_of(AXES))
    with pytest.raises(TypeError, match=r"^igram must be complex-valued, instead got float64$"):
        take_looks(X, Looks(2, 2))


def test_one_look_gives_back_the_image():
    igram = as_igram(X)
    assert take_looks(igram, Looks(1, 1)) is igram


def test_looks_cut_off_what_does_not_fill_one():
    looked = take_looks(as_igram(0.2 * Y), Looks(3, 5))
    assert looked.shape == (13, 7)
    np.testing.assert_allclose(np.angle(looked[1]), 0.2 * 4, atol=1e-5)
