"""Coherence of a pair, and the phase noise that goes with it.

Coherence decays with the time between the dates: `(initial - final) exp(-days / tau) + final`, per land cover. Noise is
drawn from the exact law of two circular Gaussian signals of that coherence, averaged over L looks. Arrays are (y, x).
"""

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from groundshift.simulate.decay import Decay

__all__ = ["Cover", "Decay", "add_noise", "foreshortening_loss", "snow_lines", "strain_loss", "summer"]

_MID_JULY = 0.54
_END_OF_JANUARY = 0.08


class Cover(IntEnum):
    """What lies on the ground; snow comes and goes and is not a cover."""

    BARE = 0
    FOREST = 1
    RIVER = 2
    GLACIER = 3


def summer(year_fraction: float) -> float:
    """Return how much the plants have grown: 0 in mid-January to 1 in mid-July."""
    return 0.5 + 0.5 * math.cos(2 * math.pi * (year_fraction - _MID_JULY))


def snow_lines(
    year_fractions: NDArray[np.float64], heights: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the height in metres above which snow lies on each date.

    Lowest at the end of January, at the 75th percentile of the heights; in summer above the highest peak. Each date
    departs from the year's course by some 5 % of that range.
    """
    low, high = np.percentile(heights, 75), float(heights.max())
    span = 1.2 * (high - low)
    course = 0.5 - 0.5 * np.cos(2 * math.pi * (year_fractions - _END_OF_JANUARY))
    lines: NDArray[np.float64] = low + span * (course + 0.05 * rng.standard_normal(len(year_fractions)))
    return lines


def foreshortening_loss(range_slope: NDArray[np.float32], incidence: float) -> NDArray[np.float32]:
    """Return the factor on coherence, 0 to 1, of slopes that face the radar; 0.02 in layover and shadow.

    A slope that faces the radar packs more ground into each cell: the factor is the square root of
    `sin(incidence - slope) / sin(incidence)`, at most 1.
    """
    local = np.radians(incidence - range_slope)
    factor = np.sqrt(np.clip(np.sin(np.maximum(local, 0)) / math.sin(math.radians(incidence)), 0.0004, 1))
    blind = (local <= 0) | (local >= math.pi / 2)
    return np.where(blind, 0.02, factor).astype(np.float32)


def strain_loss(phase: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the factor on coherence of a phase that changes within the pixel: sinc of its change, per axis.

    Notes
    -----
    `sinc(g / 2 pi)`, for a change of g radians per pixel, is taken as `exp(-g^2 / 24)`: within 0.03 up to pi.
    """
    dy, dx = np.gradient(phase)
    loss: NDArray[np.float32] = np.exp((dy * dy + dx * dx) * np.float32(-1 / 24))
    return loss


def add_noise(
    phase: NDArray[np.float32],
    coherence: NDArray[np.float32],
    looks: float,
    rng: np.random.Generator,
    *,
    window: int = 1,
) -> NDArray[np.complex64]:
    """Make an interferogram from its noise-free phase and true coherence.

    Parameters
    ----------
    phase : (y, x) array
        Radians, not wrapped.
    coherence : (y, x) array
        True coherence, [0, 1].
    looks : float
        Number of independent looks L in each pixel, above 1.
    rng : numpy Generator
        Source of randomness.
    window : int
        Coherence is estimated over `window` x `window` pixels, as processors do; the phase is that of the pixel alone.

    Returns
    -------
    (y, x) complex64 array
        Estimated coherence times the phasor of the noisy phase.

    Notes
    -----
    The averaged products of two unit circular Gaussians s1 and s2 = g s1 + sqrt(1 - g^2) w form a complex Wishart
    matrix, drawn here through its Bartlett factor T instead of L looks one by one: T11^2 ~ Gamma(L),
    T22^2 ~ Gamma(L - 1), T21 circular Gaussian. It holds for any real L above 1. For high coherence the variance of
    the phase is (1 - g^2) / (2 L g^2).
    """
    if not looks > 1:
        raise ValueError(f"looks must be above 1, instead got {looks}")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive, instead got {window}")
    t11_squared = rng.standard_gamma(np.float32(looks), phase.shape, dtype=np.float32)
    t22_squared = rng.standard_gamma(np.float32(looks - 1), phase.shape, dtype=np.float32)
    t21 = rng.standard_normal((2, *phase.shape), dtype=np.float32) * np.float32(math.sqrt(0.5))
    t11 = np.sqrt(t11_squared)
    rest = np.sqrt(np.maximum(1 - coherence * coherence, 0))
    real, imag = coherence * t11 + rest * t21[0], rest * t21[1]
    # Intensity of the second signal, then the product of both, in units where the first has t11 squared.
    second = real * real + imag * imag + rest * rest * t22_squared
    if window == 1:
        magnitude = np.sqrt((real * real + imag * imag) / np.maximum(second, 1e-20))
    else:
        cross = uniform_filter(t11 * real, window) ** 2 + uniform_filter(t11 * imag, window) ** 2
        both = uniform_filter(t11_squared, window) * uniform_filter(second, window)
        magnitude = np.sqrt(cross / np.maximum(both, 1e-20))
    angle = phase + np.arctan2(imag, real)
    magnitude = np.minimum(magnitude, 1)
    igram: NDArray[np.complex64] = (magnitude * (np.cos(angle) + 1j * np.sin(angle))).astype(np.complex64)
    return igram
