import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import hyp2f1

from groundshift.interferometry import (
    correct_coherence,
    expected_coherence,
    form,
    independent_looks,
    unbiased_coherence,
)
from groundshift.io.estimate import LEAST
from groundshift.types import Looks


def density(d, true, looks):
    """Of the sample coherence of independent looks; Touzi et al. (1999)."""
    x = (d * true) ** 2
    # Euler's transformation of 2F1(L, L; 1; x), which has no large numbers in it.
    growth = hyp2f1(1 - looks, 1 - looks, 1, x) * (1 - x) ** (1 - 2 * looks)
    return 2 * (looks - 1) * (1 - true**2) ** looks * d * (1 - d**2) ** (looks - 2) * growth


@pytest.mark.parametrize("looks", [2.0, 8.25, 16.0, 60.0])
@pytest.mark.parametrize("true", [0.0, 0.2, 0.7, 0.95])
def test_expectation_is_the_integral_of_the_density(true, looks):
    mean, _ = quad(lambda d: d * density(d, true, looks), 0, 1, epsabs=1e-10, limit=200, points=[true])
    assert expected_coherence(np.array([true]), looks)[0] == pytest.approx(mean, abs=1e-7)


def test_expectation_of_pure_noise_falls_with_the_root_of_the_looks():
    for looks in (50, 200, 1000):
        assert expected_coherence(np.array([0.0]), looks)[0] == pytest.approx(np.sqrt(np.pi / 4 / looks), rel=1 / looks)


@pytest.mark.parametrize("looks", [1.5, 4.0, 16.0, 300.0])
def test_inverse_brings_the_true_coherence_back(looks):
    true = np.linspace(0.02, 0.999, 50)
    np.testing.assert_allclose(unbiased_coherence(expected_coherence(true, looks), looks), true, atol=2e-3)
    assert unbiased_coherence(np.array([0.0, 1.0, np.nan]), looks).tolist()[:2] == [0, 1]
    assert np.isnan(unbiased_coherence(np.array([np.nan]), looks))[0]


@pytest.mark.parametrize("true", [0.2, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("oversampling", [(1.0, 1.0), (1.25, 1.5)])
def test_coherence_of_few_looks_is_unbiased_to_two_hundredths(speckle_pair, true, oversampling):
    looks = Looks(2, 8)
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:400, :1200]
    reference, secondary = speckle_pair(rng, (400, 1200), true, 0.02 * x - 0.05 * y, oversampling)
    igram = form(reference, secondary, looks)
    independent = independent_looks(reference, looks)
    corrected = correct_coherence(igram, independent)
    assert np.abs(corrected).mean() == pytest.approx(true, abs=0.02)
    if true == 0.2:
        assert np.abs(igram).mean() > 0.27
    np.testing.assert_allclose(np.angle(corrected * igram.conj()), 0, atol=1e-5)


def test_mean_of_complex_coherences_needs_no_correction(speckle_pair):
    """What is stacked: magnitude and phase averaged together."""
    rng = np.random.default_rng(6)
    for true in (0.2, 0.4, 0.7):
        igram = form(*speckle_pair(rng, (320, 1280), true), Looks(2, 8))
        boxes = igram.reshape(16, 10, 16, 10).mean(axis=(1, 3))
        assert np.abs(boxes).mean() == pytest.approx(true, abs=0.015)


# The bound is that of many looks: 16 independent ones reach it within five per cent from a coherence of 0.8 on, 64 from
# 0.5 on, 256 from 0.25 on.
@pytest.mark.parametrize(
    ("looks", "true"), [((2, 8), 0.8), ((2, 8), 0.95), ((8, 8), 0.5), ((16, 16), 0.25), ((16, 16), 0.6)]
)
def test_phase_noise_reaches_the_bound_of_cramer_and_rao(speckle_pair, looks, true):
    rng = np.random.default_rng(7)
    cells, looks = 3600, Looks(*looks)
    igram = form(*speckle_pair(rng, (60 * looks.y, cells // 60 * looks.x), true, 0.9), looks)
    noise = np.sqrt(np.mean(np.angle(igram * np.exp(-0.9j)) ** 2))
    bound = np.sqrt((1 - true**2) / (2 * looks.y * looks.x * true**2))
    assert noise == pytest.approx(bound, rel=0.05)


def test_correction_keeps_gaps_and_does_not_count_them():
    rng = np.random.default_rng(8)
    igram = (rng.uniform(0.5, 0.9, (30, 40)) * np.exp(1j * rng.uniform(-3, 3, (30, 40)))).astype(np.complex64)
    igram[10:14, 5:20] = 0
    found = correct_coherence(igram, 16.0, 3)
    assert not found[10:14, 5:20].any()
    part = igram[8:11, 6:9]
    mean = np.abs(part[part != 0]).mean(keepdims=True)
    assert np.abs(found[9, 7]) == pytest.approx(unbiased_coherence(mean, 16.0)[0], abs=1e-5)
    faint = np.full((9, 9), 0.05, np.complex64)
    np.testing.assert_allclose(correct_coherence(faint, 16.0), LEAST, rtol=1e-5)


@pytest.mark.parametrize("looks", [(2, 8), (4, 1), (3, 5)])
def test_sums_of_two_neighbours_have_the_looks_of_their_correlation(looks):
    """Neighbouring sums of two share one of two numbers: rho is 1/2 beside, 0 beyond."""
    rng = np.random.default_rng(9)
    noise = rng.standard_normal((600, 1001)) + 1j * rng.standard_normal((600, 1001))
    noise = (noise[:, 1:] + noise[:, :-1]).astype(np.complex64)
    expected = looks[0] * looks[1] / (1 + 2 * (1 - 1 / looks[1]) / 4)
    assert independent_looks(noise, Looks(*looks)) == pytest.approx(expected, rel=0.01)
    # Neither a carrier that turns along azimuth, nor brightness, nor a gap changes that.
    y, x = np.mgrid[:600, :1000]
    noise *= np.exp(1j * np.pi * y**2 / 200) * (1 + 3 * (x > 500))
    noise[100:200, 300:400] = 0
    assert independent_looks(noise, Looks(*looks)) == pytest.approx(expected, rel=0.025)


def test_power_of_cells_scatters_by_their_independent_looks(speckle_pair):
    rng = np.random.default_rng(10)
    image, _ = speckle_pair(rng, (600, 1600), 0.0, 0.0, (1.25, 1.5))
    power = (np.abs(image) ** 2).reshape(300, 2, 200, 8).mean(axis=(1, 3))
    assert independent_looks(image, Looks(2, 8)) == pytest.approx(power.mean() ** 2 / power.var(), rel=0.03)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="looks must be more than 1, instead got 1"):
        unbiased_coherence(np.ones(2, np.float32), 1)
    with pytest.raises(ValueError, match=re.escape("coherence must lie in [0, 1)")):
        expected_coherence(np.array([1.0]), 8)
    with pytest.raises(ValueError, match="window must be odd, instead got 4"):
        correct_coherence(np.ones((5, 5), np.complex64), 8, 4)
    with pytest.raises(ValueError, match=re.escape("slc must hold a cell of 2 x 8 pixels, instead got (1, 9)")):
        independent_looks(np.ones((1, 9), np.complex64), Looks(2, 8))
    with pytest.raises(ValueError, match="slc has no data in which pixels could be compared"):
        independent_looks(np.zeros((20, 20), np.complex64), Looks(2, 8))


@pytest.mark.real
@pytest.mark.parametrize("looks", [(2, 8), (4, 4)])
def test_simulated_pair_of_a_peer_has_its_coherence(real_data, looks):
    folder = real_data / "offset_accuracy"
    first, second = (
        np.fromfile(folder / f"img{k}_WN_512x512_1x1_128", "<c8").reshape(512, 512) for k in (1, 2)
    )  # fmt: skip
    looks = Looks(*looks)
    found = correct_coherence(form(first, second, looks), independent_looks(first, looks))
    assert np.abs(found).mean() == pytest.approx(0.80, abs=0.02)
    assert np.abs(np.angle(found).mean()) < 0.01
