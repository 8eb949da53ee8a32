"""Tests of unwrapping on larger pixels."""

import numpy as np
import pytest

from groundshift.types import Looks
from groundshift.unwrap import Whirlwind, average_igram, unwrap_averaged, unwrap_patch


def test_average_of_looks_is_that_of_the_pixels_with_data():
    rng = np.random.default_rng(0)
    igram = (rng.normal(size=(7, 10)) + 1j * rng.normal(size=(7, 10))).astype(np.complex64)
    igram[rng.random(igram.shape) < 0.3] = 0
    igram[4:6, 3:6] = 0
    found = average_igram(igram, Looks(2, 3))
    assert found.shape == (4, 4)
    for row, column in np.ndindex(found.shape):
        part = igram[2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
        expected = part[part != 0].mean() if part.any() else 0
        assert found[row, column] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_array_equal(average_igram(igram, Looks(1, 1)), igram)


def test_averages_of_one_pixel_are_the_pixels():
    rng = np.random.default_rng(1)
    igrams = np.exp(1j * rng.normal(0, 0.5, (3, 20, 24))).astype(np.complex64)
    igrams[1] = 0
    whole, averaged = unwrap_patch(igrams, 10.0, Whirlwind()), unwrap_averaged(igrams, 10.0, Whirlwind(), Looks(1, 1))
    np.testing.assert_array_equal(whole.unwrapped, averaged.unwrapped)
    assert whole.failures == averaged.failures == ((1, "no data on the patch"),)


def test_a_pair_that_fails_is_unknown_and_named():
    igrams = np.ones((2, 20, 24), np.complex64)
    igrams[0] = 0
    found = unwrap_averaged(igrams, 10.0, Whirlwind(), Looks(2, 2))
    assert found.failures == ((0, "no data on the patch"),)
    assert np.isnan(found.unwrapped[0]).all()
    assert np.ptp(found.unwrapped[1]) == 0
