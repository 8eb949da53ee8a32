"""Weights from coherence: closed forms for one look and for many, and their bounds."""

import math

import numpy as np
import pytest
from scipy.special import spence

from groundshift.timeseries import phase_weights
from groundshift.timeseries._weights import look_up


def test_phase_weight_of_one_look_has_a_closed_form():
    gamma = np.array([0.125, 0.25, 0.5, 0.75, 0.9375])
    variance = math.pi**2 / 3 - math.pi * np.arcsin(gamma) + np.arcsin(gamma) ** 2 - spence(1 - gamma**2) / 2
    np.testing.assert_allclose(phase_weights(gamma, 1), 1 / variance, rtol=1e-3)


def test_phase_weight_of_many_looks_is_the_fisher_information():
    gamma = np.array([0.17, 0.19, 0.21], np.float32)
    np.testing.assert_allclose(phase_weights(gamma, 1000), 2 * 1000 * gamma**2 / (1 - gamma**2), rtol=0.02)


@pytest.mark.parametrize("nlooks", [1, 3.7, 20, 80, 1000, 1e5])
def test_phase_weights_are_bounded_and_grow_with_coherence(nlooks):
    coherence = np.linspace(0.001, 1, 500).reshape(20, 25)
    weights = phase_weights(coherence, nlooks)
    assert weights.shape == coherence.shape
    assert (np.diff(weights.ravel()) >= 0).all()
    assert weights.min() >= 3 / math.pi**2 * 0.9999
    assert weights.max() == pytest.approx(100)
    nothing = phase_weights(np.array([0, np.nan, -0.5, 1.5]), nlooks)
    np.testing.assert_allclose(nothing, [0, 0, 0, 100])


def test_looking_up_is_linear_interpolation():
    table = np.random.default_rng(0).random(33)
    values = np.array([np.nan, -1, 0, 1e-6, 0.3, 0.5, 1 - 1e-6, 1, 1.5, np.inf], np.float32)
    found = np.empty_like(values)
    look_up(table, values, found)
    np.testing.assert_array_equal(found[:3], 0)
    np.testing.assert_allclose(found[3:], np.interp(values[3:], np.linspace(0, 1, 33), table), rtol=1e-5)
