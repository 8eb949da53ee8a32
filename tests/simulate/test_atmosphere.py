import math
from itertools import pairwise

import numpy as np
import pytest

from groundshift.simulate.atmosphere import power_law_fields, stratified_delay, turbulence


@pytest.mark.parametrize("exponent", [8 / 3, 11 / 3])
def test_the_power_spectrum_falls_with_the_exponent_asked_for(exponent):
    rng = np.random.default_rng(3)
    n = 256
    taper = np.outer(np.hanning(n), np.hanning(n))
    power = np.zeros((n, n))
    for _ in range(6):
        for field in power_law_fields((n, n), 50.0, exponent, rng)[:2]:
            power += np.abs(np.fft.fft2((field - field.mean()) * taper)) ** 2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))
    edges = np.geomspace(8 / n, 0.4, 9)
    rings = [(k >= low) & (k < high) for low, high in pairwise(edges)]
    slope, _ = np.polyfit([np.log(k[r]).mean() for r in rings], [np.log(power[r].mean()) for r in rings], 1)
    assert slope == pytest.approx(-exponent, abs=0.12)


@pytest.mark.parametrize("exponent", [8 / 3, 11 / 3])
def test_turbulence_has_its_strength_between_points_ten_kilometres_apart(exponent):
    rng = np.random.default_rng(5)
    pixel, lag = 200.0, 50
    squares = []
    for _ in range(60):
        fields = turbulence((100, 100), pixel, (exponent, exponent), (1.5, 1.5), rng)
        squares += [
            ((fields[:, lag:] - fields[:, :-lag]) ** 2).mean(),
            ((fields[..., lag:] - fields[..., :-lag]) ** 2).mean(),
        ]
    assert math.sqrt(np.mean(squares)) == pytest.approx(1.5, rel=0.08)


def test_both_fields_are_independent_and_opposite_borders_differ():
    rng = np.random.default_rng(8)
    pairs = [power_law_fields((64, 64), 100.0, 8 / 3, rng)[:2] for _ in range(200)]
    one, two = (np.array([p[i] for p in pairs]) for i in range(2))
    assert abs(np.corrcoef(one[:, 32, 32], two[:, 32, 32])[0, 1]) < 0.2
    step = np.abs(one[:, 1] - one[:, 0]).mean()
    assert np.abs(one[:, -1] - one[:, 0]).mean() > 2 * step


def test_stratified_delay_is_proportional_to_height():
    heights = np.random.default_rng(0).uniform(1000, 4000, (30, 40)).astype(np.float32)
    delay = stratified_delay(heights, 0.54, 0.0, 0.5, np.random.default_rng(1))
    # No scatter, mid-July: the air of the valleys delays most, half a radian for each kilometre.
    np.testing.assert_allclose(delay, -0.5 * (heights - heights.mean()) / 1000, atol=1e-5)


def test_stratified_delay_scatters_as_asked():
    heights = np.array([[0.0, 1000.0]], np.float32)
    rng = np.random.default_rng(2)
    slopes = [np.diff(stratified_delay(heights, 0.2, 1.0, 0.0, rng)[0])[0] for _ in range(2000)]
    assert np.std(slopes) == pytest.approx(1.0, rel=0.05)
