import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from groundshift.simulate import Decay
from groundshift.simulate.decorrelation import add_noise, foreshortening_loss, snow_lines, strain_loss


def flat(value, shape=(200, 250)):
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize(("gamma", "looks"), [(0.9, 20), (0.95, 12), (0.98, 8)])
def test_phase_variance_is_the_closed_form_at_high_coherence(gamma, looks):
    igram = add_noise(flat(0), flat(gamma), looks, np.random.default_rng(1))
    expected = (1 - gamma**2) / (2 * looks * gamma**2)
    # The closed form is the leading term in 1 / looks.
    assert np.angle(igram).var() == pytest.approx(expected, rel=1.5 / looks + 0.02)


@pytest.mark.parametrize(("gamma", "looks"), [(0.0, 3), (0.4, 5), (0.8, 8)])
def test_noise_agrees_with_averaging_looks_one_by_one(gamma, looks):
    rng = np.random.default_rng(2)
    s1, w = (rng.standard_normal((looks, 20000, 2)) @ [1, 1j] for _ in range(2))
    s2 = gamma * s1 + math.sqrt(1 - gamma**2) * w
    slow = (s1 * s2.conj()).sum(0) / np.sqrt((abs(s1) ** 2).sum(0) * (abs(s2) ** 2).sum(0))
    fast = add_noise(flat(0, (100, 200)), flat(gamma, (100, 200)), looks, rng).ravel()
    assert ks_2samp(abs(slow), abs(fast)).pvalue > 0.01
    assert ks_2samp(np.angle(slow), np.angle(fast)).pvalue > 0.01


def test_full_coherence_leaves_the_phase_alone():
    phase = np.linspace(-9, 9, 50 * 60, dtype=np.float32).reshape(50, 60)
    for window in (1, 3):
        igram = add_noise(phase, flat(1, (50, 60)), 4, np.random.default_rng(0), window=window)
        np.testing.assert_allclose(igram, np.exp(1j * phase.astype(float)), atol=2e-5)


def test_without_coherence_the_mean_square_estimate_is_one_over_looks():
    igram = add_noise(flat(0), flat(0), 6, np.random.default_rng(4))
    assert (abs(igram) ** 2).mean() == pytest.approx(1 / 6, rel=0.01)
    # A window of 3 x 3 pixels has nine times the looks; the phase stays that of single pixels.
    wide = add_noise(flat(0), flat(0), 6, np.random.default_rng(4), window=3)
    assert (abs(wide[1:-1, 1:-1]) ** 2).mean() == pytest.approx(1 / 54, rel=0.05)
    np.testing.assert_allclose(np.angle(wide), np.angle(igram), atol=1e-5)


def test_decay_follows_its_law():
    decay = Decay(initial=0.9, final=0.2, tau_days=30)
    assert decay.at(0) == pytest.approx(0.9)
    assert decay.at(30) == pytest.approx(0.7 / math.e + 0.2)
    assert decay.at(1e4) == pytest.approx(0.2)


def test_foreshortening_spares_slopes_that_face_away_and_blinds_layover_and_shadow():
    slope = np.array([-60.0, -20.0, 0.0, 20.0, 39.5], np.float32)
    expected = [0.02, 1.0, 1.0, math.sqrt(math.sin(math.radians(19)) / math.sin(math.radians(39))), 0.02]
    np.testing.assert_allclose(foreshortening_loss(slope, 39.0), expected, rtol=1e-5)


@pytest.mark.parametrize("step", [0.0, 0.5, 1.5, 3.0])
def test_strain_loss_is_the_sinc_of_the_phase_change_in_a_pixel(step):
    ramp = np.tile(np.arange(9, dtype=np.float32) * np.float32(step), (9, 1))
    np.testing.assert_allclose(strain_loss(ramp), np.sinc(step / 2 / math.pi), atol=0.03)


def test_snow_reaches_lowest_in_winter_and_melts_in_summer():
    heights = np.linspace(2000, 5000, 1000, dtype=np.float32)
    lines = snow_lines(np.array([0.08, 0.33, 0.58]), heights, np.random.default_rng(0))
    assert lines[0] < lines[1] < lines[2]
    assert (heights > lines[0]).mean() == pytest.approx(0.25, abs=0.1)


def test_impossible_looks_and_windows_are_refused():
    with pytest.raises(ValueError, match=r"^looks must be above 1, instead got 1$"):
        add_noise(flat(0), flat(0.5), 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^window must be odd and positive, instead got 2$"):
        add_noise(flat(0), flat(0.5), 4, np.random.default_rng(0), window=2)
