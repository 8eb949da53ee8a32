"""What the air adds to the phase of one date: turbulence, and delay that follows the height.

Both are drawn per date, as the two-way delay of that date in radians (positive where the path is longer), and enter a
pair as secondary minus reference; so they telescope over a chain of pairs. Arrays are (y, x).
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from groundshift.checks import check_positive

__all__ = ["power_law_fields", "stratified_delay", "turbulence"]

_REFERENCE_DISTANCE_M = 10_000.0
"""Distance at which the strength of turbulence is stated."""
_OUTER_SCALE_M = 25_000.0
"""Smallest side of the periodic field that turbulence is cut from, well above the reference distance."""


def power_law_fields(
    shape: tuple[int, int], spacing_m: float, exponent: float, rng: np.random.Generator, *, outer_m: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Draw two independent Gaussian fields whose two-dimensional power spectrum falls as `k ** -exponent`.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns wanted.
    spacing_m : float
        Pixel size in metres.
    exponent : float
        Of the two-dimensional power spectrum: 11/3 gives a structure function that grows as r^(5/3), 8/3 as r^(2/3).
    rng : numpy Generator
        Source of randomness.
    outer_m : float
        Smallest side in metres of the periodic field that the result is cut from; never less than twice the shape,
        so that opposite borders are not alike.

    Returns
    -------
    first, second, structure
        Two fields of `shape` without scale, and the expected mean square difference between two points 10 km apart.
    """
    check_positive("spacing_m", spacing_m)
    size = [scipy.fft.next_fast_len(max(2 * n, math.ceil(outer_m / spacing_m))) for n in shape]
    ky = np.fft.fftfreq(size[0], spacing_m)[:, None]
    kx = np.fft.fftfreq(size[1], spacing_m)[None, :]
    # In cycles per domain diagonal, so that the amplitudes stay in the range of float32.
    k = np.hypot(ky, kx) * math.hypot(size[0] * spacing_m, size[1] * spacing_m)
    k[0, 0] = np.inf
    power = k**-exponent
    # D(r) = 2 sum P(k) (1 - cos 2 pi k r), the mean of both axes. A complex field of white noise holds two real ones.
    lag = 2 * math.pi * _REFERENCE_DISTANCE_M
    along = (power.sum(1) * (1 - np.cos(lag * ky[:, 0]))).sum() + (power.sum(0) * (1 - np.cos(lag * kx[0]))).sum()
    noise = rng.standard_normal((2, *size), dtype=np.float32)
    spectrum = (noise[0] + 1j * noise[1]) * np.sqrt(power).astype(np.float32)
    field = scipy.fft.ifft2(spectrum, norm="forward", overwrite_x=True)[: shape[0], : shape[1]]
    return np.ascontiguousarray(field.real), np.ascontiguousarray(field.imag), float(along)


def turbulence(
    shape: tuple[int, int],
    spacing_m: float,
    exponents: tuple[float, float],
    strengths_rad: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw the turbulent delay of two dates.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    spacing_m : float
        Pixel size in metres.
    exponents : (float, float)
        Range of the exponent of the power spectrum, drawn uniformly and common to both dates.
    strengths_rad : (float, float)
        Range of the standard deviation, in radians, of the difference between two points 10 km apart; drawn uniformly
        for each date.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    (2, y, x) float32 array
        Radians, mean zero over the scene.
    """
    first, second, structure = power_law_fields(shape, spacing_m, rng.uniform(*exponents), rng, outer_m=_OUTER_SCALE_M)
    fields = np.stack([first, second])
    fields -= fields.mean(axis=(1, 2), keepdims=True)
    strengths = rng.uniform(*strengths_rad, size=2) / math.sqrt(structure)
    screens: NDArray[np.float32] = fields * strengths.astype(np.float32)[:, None, None]
    return screens


def stratified_delay(
    heights: NDArray[np.float32],
    year_fraction: float,
    random_rad_per_km: float,
    annual_rad_per_km: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw the delay of one date that is proportional to height, zero at the mean height.

    Parameters
    ----------
    heights : (y, x) array
        Metres.
    year_fraction : float
        Time of the year, 0 to 1; the annual part is longest in the valleys in mid-July.
    random_rad_per_km, annual_rad_per_km : float
        Standard deviation of the date's own part and amplitude of the annual part, radians per kilometre.
    rng : numpy Generator
        Source of randomness.
    """
    annual = -annual_rad_per_km * math.cos(2 * math.pi * (year_fraction - 0.54))
    slope = rng.normal(annual, random_rad_per_km) / 1000.0
    return np.asarray((heights - heights.mean()) * np.float32(slope), np.float32)
