"""All pairs of a patch are unwrapped alike, and one that cannot be stops nothing."""

import numpy as np
import pytest

from groundshift.unwrap import Unwrapped, UnwrappingError, Whirlwind, unwrap_patch


class Plain:
    """Gives back what it is given, with one component of the better half; gives up on demand."""

    name = "plain"

    def __init__(self, gives_up_on=()):
        self.given, self.gives_up_on = [], gives_up_on

    def unwrap(self, wrapped, coherence, nlooks):
        self.given.append((wrapped, coherence, nlooks))
        if len(self.given) - 1 in self.gives_up_on:
            raise UnwrappingError("plain gave up: too tired; try another unwrapper")
        return Unwrapped(wrapped, (coherence > 0.5).astype(np.uint32))


def bowls(depths, shape=(40, 50)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.array([d * np.exp(-((y - 20) ** 2 + (x - 22) ** 2) / (2 * 10.0**2)) for d in depths])


def test_every_pair_comes_back_but_for_whole_cycles():
    phase = bowls([15.0, -9.0, 2.0])
    found = unwrap_patch((0.8 * np.exp(1j * phase)).astype(np.complex64), 25, Whirlwind())
    shift = 2 * np.pi * np.round((found.unwrapped - phase).mean(axis=(1, 2), keepdims=True) / (2 * np.pi))
    np.testing.assert_allclose(found.unwrapped - shift, phase, atol=1e-3)
    assert (found.conncomp == 1).mean() > 0.9
    assert found.failures == ()
    assert (found.unwrapped.dtype, found.conncomp.dtype) == (np.float32, np.uint32)


def test_magnitude_is_the_weight_and_the_angle_the_phase():
    rng = np.random.default_rng(3)
    phase, coherence = rng.uniform(-3, 3, (2, 5, 6)), rng.uniform(0.1, 1, (2, 5, 6))
    tool = Plain()
    found = unwrap_patch((coherence * np.exp(1j * phase)).astype(np.complex64), 7.5, tool)
    for k, (wrapped, weight, nlooks) in enumerate(tool.given):
        np.testing.assert_allclose(wrapped, phase[k], atol=1e-5)
        np.testing.assert_allclose(weight, coherence[k], atol=1e-6)
        assert nlooks == 7.5
    np.testing.assert_allclose(found.unwrapped, phase, atol=1e-5)
    np.testing.assert_array_equal(found.conncomp, coherence > 0.5)


def test_pixels_outside_every_component_keep_their_phase():
    found = unwrap_patch(np.full((1, 4, 4), 0.3 + 0j, np.complex64), 5, Plain())
    assert not found.conncomp.any()
    np.testing.assert_array_equal(found.unwrapped, 0)


@pytest.mark.parametrize("gap", [0, np.nan, np.inf, complex(1, np.nan)])
def test_zero_nan_and_infinity_are_no_data(gap):
    igram = np.full((1, 30, 30), 0.9, np.complex64)
    igram[0, 4:9, 11:20] = gap
    before = igram.copy()
    found = unwrap_patch(igram, 20, Whirlwind())
    hole = np.zeros((30, 30), bool)
    hole[4:9, 11:20] = True
    np.testing.assert_array_equal(np.isnan(found.unwrapped[0]), hole)
    assert not found.conncomp[0][hole].any()
    np.testing.assert_array_equal(igram, before)


def test_pair_that_cannot_be_unwrapped_is_named_and_the_others_go_on():
    igrams = np.full((4, 6, 7), 0.9, np.complex64)
    igrams[1] = 0
    calls = []
    found = unwrap_patch(igrams, 5, Plain(gives_up_on=(1,)), advance=lambda: calls.append(1))
    assert found.failures == (
        (1, "no data on the patch"),
        (2, "plain gave up: too tired; try another unwrapper"),
    )
    np.testing.assert_array_equal(np.isnan(found.unwrapped).all(axis=(1, 2)), [False, True, True, False])
    assert not found.conncomp[1:3].any()
    assert len(calls) == 4


def test_patch_too_small_to_unwrap_fails_for_each_pair():
    found = unwrap_patch(np.ones((2, 1, 9), np.complex64), 5, Whirlwind())
    assert [k for k, _ in found.failures] == [0, 1]
    assert found.failures[0][1].startswith("nothing to unwrap: 9 of 1 x 9 pixels have data")


def test_arguments_that_cannot_be_are_named():
    with pytest.raises(TypeError, match="igrams must be complex-valued, instead got float64"):
        unwrap_patch(np.zeros((2, 5, 5)), 5, Plain())
    with pytest.raises(ValueError, match=r"igrams must have shape \(pair, y, x\), instead got \(5, 5\)"):
        unwrap_patch(np.zeros((5, 5), np.complex64), 5, Plain())
    with pytest.raises(ValueError, match=r"nlooks must be at least 1, instead got 0\.5"):
        unwrap_patch(np.ones((1, 5, 5), np.complex64), 0.5, Plain())
