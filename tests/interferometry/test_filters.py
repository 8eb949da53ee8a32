import re

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from groundshift.interferometry import goldstein, remove_large_scale

SPACING = (40.0, 50.0)


def noisy(rng, shape, spread=0.6, holes=0.05, cycles=0.5):
    phase = gaussian_filter(rng.standard_normal(shape), 6)
    phase *= 2 * np.pi * cycles / phase.std()
    igram = rng.uniform(0.3, 0.9, shape) * np.exp(1j * (phase + spread * rng.standard_normal(shape)))
    igram[rng.random(shape) < holes] = 0
    return igram.astype(np.complex64), phase


def plain_goldstein(igram, alpha, patch):
    """The twin of `goldstein`: patch by patch, in double precision."""
    half, (height, width) = patch // 2, igram.shape
    rows, columns = -(-height // half) + 2, -(-width // half) + 2
    padded = np.zeros((rows * half, columns * half), complex)
    padded[half : half + height, half : half + width] = igram
    ramp = np.sin(np.pi * (np.arange(patch) + 0.5) / patch) ** 2
    total = np.zeros_like(padded)
    for y in range(0, (rows - 1) * half, half):
        for x in range(0, (columns - 1) * half, half):
            z = np.fft.fft2(padded[y : y + patch, x : x + patch])
            level = sum(np.roll(np.abs(z), (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1))
            if level.any():
                part = np.fft.ifft2(z * (level / level.max()) ** alpha)
                total[y : y + patch, x : x + patch] += part * np.outer(ramp, ramp)
    return np.abs(igram) * np.exp(1j * np.angle(total[half : half + height, half : half + width]))


@pytest.mark.parametrize(("shape", "patch"), [((50, 70), 16), ((33, 128), 32), ((7, 9), 8), ((1, 40), 16)])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_goldstein_is_its_plain_twin(shape, patch, alpha):
    igram, _ = noisy(np.random.default_rng(0), shape)
    np.testing.assert_allclose(goldstein(igram, alpha, patch), plain_goldstein(igram, alpha, patch), atol=5e-5)


def test_goldstein_keeps_magnitudes_and_gaps_and_lowers_the_noise():
    igram, phase = noisy(np.random.default_rng(1), (120, 150))
    igram[30:80, 40:100] = 0
    errors = []
    for alpha in (0.0, 0.3, 0.6):
        found = goldstein(igram, alpha)
        np.testing.assert_allclose(np.abs(found), np.abs(igram), atol=1e-6)
        errors.append(np.angle(found * np.exp(-1j * phase))[igram != 0].std())
    np.testing.assert_allclose(goldstein(igram, 0.0), igram, atol=1e-6)
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.5 * errors[0]


@pytest.mark.parametrize("cycles", [0, 3, -5.5])
def test_goldstein_leaves_even_fringes_as_they_are(cycles):
    y, x = np.mgrid[:96, :128]
    igram = np.exp(2j * np.pi * cycles * (x + y) / 32).astype(np.complex64)
    found = goldstein(igram)
    np.testing.assert_allclose(np.angle(found * igram.conj())[16:-16, 16:-16], 0, atol=1e-5)


def test_goldstein_has_no_seams_between_windows():
    igram, _ = noisy(np.random.default_rng(2), (160, 96))
    whole = goldstein(igram)
    window = goldstein(igram[48:128])
    np.testing.assert_allclose(window[16:-16], whole[64:112], atol=1e-5)


def plain_large_scale(igram, widths):
    """The twin of `remove_large_scale` far from edges: the mean with triangular weights, pixel by pixel."""
    reach = [w - 1 for w in widths]
    kernel = np.outer(*(w - np.abs(np.arange(-r, r + 1)) for w, r in zip(widths, reach, strict=True))).astype(float)
    out = np.zeros(igram.shape, complex)
    for y in range(reach[0], igram.shape[0] - reach[0]):
        for x in range(reach[1], igram.shape[1] - reach[1]):
            part = igram[y - reach[0] : y + reach[0] + 1, x - reach[1] : x + reach[1] + 1]
            out[y, x] = igram[y, x] * np.exp(-1j * np.angle((part * kernel).sum()))
    inside = tuple(slice(r, -r) for r in reach)
    return out[inside], inside


def test_large_scale_is_its_plain_twin():
    igram, _ = noisy(np.random.default_rng(3), (60, 55), cycles=0.1)
    igram[20:30, 10:30] = 0
    # 540 m / sqrt(2) are 9.5 rows of 40 m and 7.6 columns of 50 m: the odd numbers next to them.
    expected, inside = plain_large_scale(igram, (9, 7))
    found = remove_large_scale(igram, SPACING, 540.0)
    np.testing.assert_allclose(found[inside], expected, atol=1e-4)
    np.testing.assert_allclose(np.abs(found), np.abs(igram), atol=1e-6)


@pytest.mark.parametrize("phase", [0.0, 3.0, -1.2])
def test_constant_is_taken_out_everywhere(phase):
    rng = np.random.default_rng(4)
    coherence = rng.uniform(0.1, 1.0, (90, 80)) * (rng.random((90, 80)) < 0.7)
    found = remove_large_scale((coherence * np.exp(1j * phase)).astype(np.complex64), SPACING)
    np.testing.assert_allclose(found, coherence, atol=1e-5)


@pytest.mark.parametrize("slope", [(0.03, 0.0), (-0.02, 0.05), (0.06, -0.06)])
def test_plane_is_taken_out_where_the_window_lies_within_the_image(slope):
    y, x = np.mgrid[:160, :150]
    found = np.angle(remove_large_scale(np.exp(1j * (slope[0] * y + slope[1] * x)).astype(np.complex64), SPACING))
    # 1.41 times 2,000 m: 36 rows and 29 columns to each side.
    np.testing.assert_allclose(found[36:-36, 29:-29], 0, atol=1e-5)
    # At the edge what is left is the slope up to the middle of the data.
    left = slope[1] * 0.27 * 2000 / SPACING[1]
    np.testing.assert_allclose(found[36:-36, 0], -left, atol=0.06 * abs(left) + 1e-5)


def test_motion_of_a_slope_stays_and_atmosphere_goes():
    y, x = np.mgrid[:200, :200]
    slide = 2.0 * np.exp(-((y - 100) ** 2 + (x - 110) ** 2) / (2 * 3.0**2))
    air = 1.5 * np.sin(2 * np.pi * x / 300) + np.cos(2 * np.pi * y / 250)
    found = np.angle(remove_large_scale(np.exp(1j * (slide + air)).astype(np.complex64), (40.0, 40.0)))
    # The mean over 35 pixels twice holds a share of the slide, its volume over 35^2, and sinc^2 of the waves.
    lost = np.angle(1 + (np.exp(1j * slide) - 1).sum() / 35**2)
    left = 1.5 * np.sin(2 * np.pi * x / 300) * (1 - np.sinc(35 / 300) ** 2)
    left += np.cos(2 * np.pi * y / 250) * (1 - np.sinc(35 / 250) ** 2)
    assert np.abs(left).max() < 0.08 * np.abs(air).max()
    assert found[100, 110] == pytest.approx(2.0 - lost + left[100, 110], abs=0.01)
    away = (slice(40, -40), slice(40, 70))
    np.testing.assert_allclose(found[away], left[away], atol=0.01)


def test_noise_takes_its_phase_from_further_away():
    """A lake without coherence, wider than the window, in ground of constant phase."""
    rng = np.random.default_rng(5)
    igram = np.full((300, 300), 0.8 * np.exp(1.5j), np.complex64)
    igram[110:190, 110:190] = 0.05 * np.exp(2j * np.pi * rng.random((80, 80)))
    lake = remove_large_scale(igram, (40.0, 40.0))[110:190, 110:190]
    np.testing.assert_allclose(np.angle(lake * (igram[110:190, 110:190] * np.exp(-1.5j)).conj()), 0, atol=0.05)


def test_large_scale_of_a_window_with_its_margin_is_that_of_the_whole():
    igram, _ = noisy(np.random.default_rng(6), (150, 120), holes=0.2)
    whole = remove_large_scale(igram, SPACING, 900.0)
    # 1.42 times 900 m: 32 rows and 26 columns.
    window = remove_large_scale(igram[20:114, 30:110], SPACING, 900.0)
    np.testing.assert_allclose(window[32:-32, 26:-26], whole[52:82, 56:84], atol=1e-4)


def test_nothing_stays_nothing():
    nothing = np.zeros((40, 50), np.complex64)
    assert not goldstein(nothing).any()
    assert not remove_large_scale(nothing, SPACING).any()


def test_wrong_arguments_are_named():
    igram = np.ones((9, 9), np.complex64)
    with pytest.raises(ValueError, match=re.escape("alpha must lie in [0, 1], instead got 1.2")):
        goldstein(igram, 1.2)
    for patch in (6, 31):
        with pytest.raises(ValueError, match=f"patch must be even and at least 8, instead got {patch}"):
            goldstein(igram, 0.5, patch)
    with pytest.raises(TypeError, match="igram must be complex-valued, instead got float32"):
        remove_large_scale(igram.real, SPACING)
    with pytest.raises(ValueError, match="size must be positive, instead got 0"):
        remove_large_scale(igram, SPACING, 0)
    with pytest.raises(ValueError, match="spacing must be positive, instead got -1"):
        remove_large_scale(igram, (40.0, -1))
