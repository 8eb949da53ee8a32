"""Whole cycles, and those only, are added; as near to the estimate as they go."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundshift.unwrap import congruent

TURN = 2 * math.pi


def wrap(phase):
    return np.angle(np.exp(1j * phase)).astype(np.float32)


@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.floats(0, 300))
@settings(max_examples=60, deadline=None)
def test_the_answer_is_the_phase_and_whole_cycles_whatever_the_estimate(seed, shape, size):
    rng = np.random.default_rng(seed)
    wrapped = rng.uniform(-math.pi, math.pi, shape).astype(np.float32)
    wrapped[rng.random(shape) < 0.2] = np.nan
    estimate = rng.normal(0, size, shape).astype(np.float32)
    estimate[rng.random(shape) < 0.1] = np.nan
    found, off = congruent(wrapped, estimate, rng.random(shape))
    known = np.isfinite(wrapped) & np.isfinite(estimate)
    np.testing.assert_array_equal(np.isfinite(found), known)
    np.testing.assert_array_equal(np.isfinite(off), known)
    cycles = np.round((found[known].astype(float) - wrapped[known]) / TURN)
    np.testing.assert_array_equal(found[known], (wrapped[known] + TURN * cycles).astype(np.float32))
    assert (np.abs(off[known]) <= math.pi + 1e-6).all()
    # What it is away from is the estimate and one constant.
    constants = (found - off - estimate)[known]
    np.testing.assert_allclose(constants, constants[:1].repeat(constants.size), atol=1e-5 * max(1, size))
    assert found.dtype == off.dtype == np.float32


@pytest.mark.parametrize("constant", [0.0, 1.0, -2.9, 40.0])
def test_errors_below_half_a_cycle_vanish_and_constants_too(constant):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :50]
    phase = 0.02 * (y - 20) ** 2 + 1.3 * x
    error = rng.uniform(-2.5, 2.5, phase.shape)
    found, off = congruent(wrap(phase), phase + constant + error, np.ones(phase.shape))
    shift = TURN * round(float(found[0, 0] - phase[0, 0]) / TURN)
    np.testing.assert_allclose(found - shift, phase, atol=1e-4)
    # The mean of the phasors of errors that are even about zero lies within their spread over sqrt(n).
    np.testing.assert_allclose(off, -error, atol=0.1)
    assert np.ptp(off + error) < 1e-4


def test_the_constant_is_that_of_the_pixels_that_weigh():
    phase = np.linspace(0, 30, 60)[np.newaxis]
    estimate = phase.copy()
    estimate[:, 40:] += 2.0
    weight = np.where(np.arange(60) < 40, 1.0, 0.0)[np.newaxis]
    _, off = congruent(wrap(phase), estimate, weight)
    np.testing.assert_allclose(off[:, :40], 0, atol=1e-5)
    np.testing.assert_allclose(off[:, 40:], -2.0, atol=1e-5)
    _, off = congruent(wrap(phase), estimate, 1 - weight)
    np.testing.assert_allclose(off[:, 40:], 0, atol=1e-5)


def test_nothing_known_is_nothing_found():
    unknown, some = np.full((3, 4), np.nan, np.float32), np.ones((3, 4), np.float32)
    for wrapped, estimate in ((unknown, some), (some, unknown)):
        for values in congruent(wrapped, estimate, some):
            assert np.isnan(values).all()
