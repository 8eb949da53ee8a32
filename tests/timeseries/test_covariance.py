"""Errors of the inversion: scatter as stated, and the covariance of means over pixels that share their noise."""

import math

import numpy as np
import pytest
from scipy import stats

from groundshift.errors import NoDataError
from groundshift.pairs import incidence_matrix
from groundshift.timeseries import covariance_of, invert_network

WAVELENGTH = 0.0555
PER_METRE = -4 * math.pi / WAVELENGTH


def test_displacement_scatters_as_stated(regular, make_noise):
    # Without weights the scatter is that of the residuals alone: the mean of sigma^2 is the variance.
    found = invert_network(make_noise(regular, 0.4, (100, 100), 4), None, regular, WAVELENGTH)
    ratio = np.sqrt((found.displacement[1:] ** 2).mean(axis=(1, 2)) / (found.sigma[1:] ** 2).mean(axis=(1, 2)))
    np.testing.assert_allclose(ratio, 1, atol=4 / math.sqrt(2 * 10_000))


def test_weights_that_are_right_are_not_believed_to_be_too_large(regular, make_noise):
    # Reduced chi-square counts as 1 at least, so the mean of sigma^2 is the variance times E max(1, chi2 / n).
    deviation = np.linspace(0.1, 0.9, len(regular))
    found = invert_network(make_noise(regular, deviation, (100, 100), 5), 1 / deviation**2, regular, WAVELENGTH)
    freedom = len(regular) - 19
    chi2 = stats.chi2(freedom)
    grown = chi2.cdf(freedom) + stats.chi2(freedom + 2).sf(freedom)
    ratio = (found.displacement[1:] ** 2).mean(axis=(1, 2)) / (found.sigma[1:] ** 2).mean(axis=(1, 2)) * grown
    np.testing.assert_allclose(np.sqrt(ratio), 1, atol=4 / math.sqrt(2 * 10_000))


def test_pairs_without_redundancy_have_the_error_of_their_weights_or_none(pair):
    pairs = [pair(0, 12), pair(12, 24), pair(24, 36)]
    unw = np.ones((3, 1, 1))
    known = invert_network(unw, np.array([1, 4, 16.0]), pairs, WAVELENGTH)
    expected = np.sqrt(np.cumsum([0, 1, 1 / 4, 1 / 16])) / abs(PER_METRE)
    np.testing.assert_allclose(known.sigma[:, 0, 0], expected, rtol=1e-6)
    unknown = invert_network(unw, None, pairs, WAVELENGTH)
    assert np.isnan(unknown.sigma).all()
    np.testing.assert_array_equal(unknown.displacement, known.displacement)


def test_covariance_of_a_pixel_holds_its_standard_errors_and_its_scatter(join_dates, make_noise):
    pairs = (*join_dates(range(0, 72, 12)), *join_dates(range(120, 180, 12)))
    noise = make_noise(pairs, 0.5, (80, 80), 6)
    found = invert_network(noise, None, pairs, WAVELENGTH)
    mask = np.zeros((80, 80), bool)
    mask[7, 9] = True
    one = covariance_of(noise, None, pairs, WAVELENGTH, mask)
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)), found.sigma[:, 7, 9], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(one.displacement, found.displacement[:, 7, 9], atol=1e-9)
    assert (one.n_pixels, one.correlation) == (1, 1.0)
    # The same for every pixel but for its own residuals, so scaled to the true noise it is that of the scatter.
    flat = found.displacement.reshape(len(one.dates), -1).astype(float)
    scatter = flat @ flat.T / flat.shape[1]
    unit = covariance_of(np.zeros((len(pairs), 1, 1)), np.full(len(pairs), 4.0), pairs, WAVELENGTH, mask[:1, :1] | True)
    spread = np.sqrt(np.outer(np.diag(unit.covariance), np.diag(unit.covariance)) + unit.covariance**2)
    assert (np.abs(scatter - unit.covariance) <= 4.5 * spread / math.sqrt(flat.shape[1])).all()


def test_mean_of_pixels_that_share_their_noise_scatters_as_stated(regular):
    # Of the variance 0.3 is shared by all pixels: averaging 24 of them removes most of the rest and none of that.
    rng = np.random.default_rng(7)
    mask = np.ones((4, 6), bool)
    mean, stated, shared = [], [], []
    for _ in range(150):
        noise = math.sqrt(0.3) * rng.normal(0, 0.4, (len(regular), 1, 1)) + math.sqrt(0.7) * rng.normal(
            0, 0.4, (len(regular), 4, 6)
        )
        found = covariance_of(noise, None, regular, WAVELENGTH, mask)
        mean.append(found.displacement[1:])
        stated.append(np.diag(found.covariance)[1:])
        shared.append(found.correlation)
    assert np.mean(shared) == pytest.approx(0.3, abs=0.03)
    ratio = math.sqrt(np.mean(np.square(mean) / np.mean(stated, axis=0)))
    # The dates of a series depend on each other: about 6 of the 19 count.
    assert ratio == pytest.approx(1, abs=4 / math.sqrt(2 * 150 * 6))


def test_mean_is_taken_over_pixels_that_know_the_same_dates(regular, phases_of, years_of):
    motion = years_of(regular)[:, None] * np.array([0.1, 0.2, 0.3, 0.4])
    unw = phases_of(regular, motion)[:, None]
    dates = incidence_matrix(regular)[0]
    unw[[k for k, p in enumerate(regular) if dates[5] in (p.reference, p.secondary)], 0, 3] = np.nan
    unw[[k for k, p in enumerate(regular) if dates[0] in (p.reference, p.secondary)], 0, :] = np.nan
    found = covariance_of(unw, None, regular, WAVELENGTH, np.array([[True, True, False, True]]))
    # Pixels 0 and 1 know 19 dates, pixel 3 one less: 2 x 19 = 38 values against 3 x 18 = 54.
    assert found.n_pixels == 3
    assert np.flatnonzero(np.isnan(found.displacement)).tolist() == [0, 5]
    known = np.isfinite(found.displacement)
    expected = (years_of(regular) - years_of(regular)[1]) * (0.1 + 0.2 + 0.4) / 3
    np.testing.assert_allclose(found.displacement[known], expected[known], atol=1e-7)
    assert np.isfinite(found.covariance[np.ix_(known, known)]).all()
    assert np.isnan(found.covariance[~known]).all()
    assert np.isnan(found.covariance[:, ~known]).all()


def test_mean_over_nothing_is_refused(regular):
    unw = np.full((len(regular), 2, 2), np.nan)
    with pytest.raises(NoDataError, match=r"^none of 4 pixels has a solution; choose another place$"):
        covariance_of(unw, None, regular, WAVELENGTH, np.ones((2, 2), bool))
    with pytest.raises(NoDataError, match=r"^none of 0 pixels has a solution; choose another place$"):
        covariance_of(unw, None, regular, WAVELENGTH, np.zeros((2, 2), bool))
