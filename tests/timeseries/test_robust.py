"""Robust inversion: whole cycles are undone exactly, sound pairs keep their say."""

import math

import numpy as np

from groundshift.pairs import incidence_matrix
from groundshift.timeseries import covariance_of, invert_network

WAVELENGTH = 0.0555


def wrong_pairs(pairs, pixels, count, rng):
    """For each pixel pairs of which no two share a date, none at either end; whole cycles off."""
    dates = incidence_matrix(pairs)[0]
    inner = set(dates[2:-2])
    off = np.zeros((len(pairs), 1, pixels))
    for p in range(pixels):
        free, left = set(inner), count
        for k in rng.permutation(len(pairs)):
            ends = {pairs[k].reference, pairs[k].secondary}
            if left and ends <= free:
                free -= ends
                left -= 1
                off[k, 0, p] = rng.choice([-2, -1, 1, 2]) * 2 * math.pi
    return off


def test_robust_inversion_undoes_whole_cycles_exactly(regular, phases_of):
    rng = np.random.default_rng(8)
    motion = rng.normal(0, 0.01, (20, 1, 60)).cumsum(axis=0)
    off = wrong_pairs(regular, 60, 4, rng)
    unw = phases_of(regular, motion) + off
    weights = rng.uniform(1, 4, unw.shape)
    found = invert_network(unw, weights, regular, WAVELENGTH, robust=True)
    np.testing.assert_allclose(found.displacement, motion - motion[0], atol=1e-6)
    assert (found.n_pairs == len(regular) - 4).all()
    np.testing.assert_allclose(found.temporal_coherence, 1, atol=1e-6)
    np.testing.assert_allclose(found.residual, 0, atol=1e-4)
    plain = invert_network(unw, weights, regular, WAVELENGTH)
    assert np.abs(plain.displacement - (motion - motion[0])).max(axis=0).min() > 0.002


def test_robust_inversion_of_sound_pairs_is_the_plain_one(regular, make_noise):
    noise = make_noise(regular, 0.3, (40, 40), 9)
    plain = invert_network(noise, None, regular, WAVELENGTH)
    robust = invert_network(noise, None, regular, WAVELENGTH, robust=True)
    gain = (robust.displacement[1:] ** 2).mean() / (plain.displacement[1:] ** 2).mean()
    assert gain < 1.02
    np.testing.assert_allclose(robust.sigma[1:], plain.sigma[1:], rtol=0.1)
    assert (robust.n_pairs == len(regular)).all()


def test_robust_covariance_is_that_of_the_pairs_that_count(regular, make_noise):
    off = wrong_pairs(regular, 1, 3, np.random.default_rng(10))
    noise = make_noise(regular, 0.02, (1, 1), 11)
    mask = np.ones((1, 1), bool)
    robust = covariance_of(noise + off, None, regular, WAVELENGTH, mask, robust=True)
    sound = covariance_of(np.where(off == 0, noise, np.nan), None, regular, WAVELENGTH, mask)
    np.testing.assert_allclose(robust.covariance[1:, 1:], sound.covariance[1:, 1:], rtol=0.01)
