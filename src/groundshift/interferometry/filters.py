"""Filters of single interferograms: the adaptive filter of their spectrum, and what is large taken out.

Arrays are (y, x), coherence times phasor, zero without data. The magnitude that comes out is the coherence that went
in: both filters change the phase only, so that it tells how good the phase was *before* them.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from groundshift.checks import check_complex, check_positive, check_within
from groundshift.interferometry._kernels import sharpen

__all__ = ["goldstein", "remove_large_scale"]

_FAINT = 0.05
"""Below this magnitude of the large-scale mean its phase is that of chance, and a wider window is taken."""


def goldstein(igram: NDArray[np.complex64], alpha: float = 0.5, patch: int = 32) -> NDArray[np.complex64]:
    """Filter the phase with the spectrum of its surroundings.

    Parameters
    ----------
    igram : (y, x) complex array
        Coherence times phasor, zero without data.
    alpha : float
        Strength in [0, 1]: 0 leaves everything as it is. Near 1 noise grows into crosses that are not there; 0.5 to 0.6
        avoids them [Wu2023]_.
    patch : int
        Rows and columns of the patches, even, 8 at least.

    Returns
    -------
    (y, x) complex64 array
        Filtered phase, the magnitude of `igram`; zero where `igram` is.

    Raises
    ------
    TypeError
        If `igram` is not complex-valued.
    ValueError
        If `alpha` lies outside [0, 1], or `patch` is odd or less than 8.

    Notes
    -----
    Patches overlap by half. The spectrum Z of each is multiplied by ``(S / max S)^alpha``, with S the magnitude of Z
    averaged over 3 x 3 frequencies, and the patches are put together with weights sin^2 that add up to 1: there is no
    seam between them, and none between windows of an image that begin at whole half patches and overlap by a patch.
    The largest factor is 1 in each patch, so that all count as much as their coherence says. Beyond the image and in
    gaps there are zeros, which add nothing. Transforms run on as many threads as `scipy.fft.set_workers` allows.

    References
    ----------
    [Goldstein1998]_; used by [Bralet2024]_, section III-A.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(0, 0.7, (96, 96))
    >>> round(float(np.angle(goldstein(np.exp(1j * noise))).std()), 1)
    0.3
    """
    check_complex("igram", igram)
    check_within("alpha", alpha, 0, 1)
    if patch < 8 or patch % 2:
        raise ValueError(f"patch must be even and at least 8, instead got {patch}")
    half = patch // 2
    height, width = igram.shape
    strips, columns = math.ceil(height / half) + 1, math.ceil(width / half) + 1
    padded = np.zeros(((strips + 1) * half, (columns + 1) * half), np.complex64)
    padded[half : half + height, half : half + width] = igram
    taper = np.sin(np.pi * (np.arange(patch) + 0.5) / patch).astype(np.float32) ** 2
    weight = taper[:, np.newaxis] * taper
    filtered = np.zeros_like(padded)
    for k in range(strips):
        rows = padded[k * half : k * half + patch]
        patches = np.lib.stride_tricks.sliding_window_view(rows, (patch, patch))[0, ::half]
        spectra = scipy.fft.fft2(patches)
        sharpen(spectra, alpha)
        smooth = scipy.fft.ifft2(spectra, overwrite_x=True) * weight
        into = filtered[k * half : k * half + patch]
        # Every second patch: these do not overlap each other.
        for first in (0, 1):
            some = smooth[first::2]
            part = into[:, first * half : first * half + len(some) * patch]
            part += some.transpose(1, 0, 2).reshape(patch, -1)
    return _with_phase(igram, filtered[half : half + height, half : half + width])


def remove_large_scale(
    igram: NDArray[np.complex64], spacing: tuple[float, float], size: float = 2000.0
) -> NDArray[np.complex64]:
    """Take out what is larger than a slope: atmosphere, orbits, stratified delay.

    Parameters
    ----------
    igram : (y, x) complex array
        Coherence times phasor, zero without data.
    spacing : (float, float)
        Pixel size on the ground in metres, along rows and columns.
    size : float
        What is smaller than this, in metres, stays. Motion over a part of it that is not small is weakened.

    Returns
    -------
    (y, x) complex64 array
        Phase less that of the mean of its surroundings, wrapped; the magnitude of `igram`; zero where `igram` is.

    Raises
    ------
    TypeError
        If `igram` is not complex-valued.
    ValueError
        If `spacing` or `size` is not positive.

    Notes
    -----
    The mean is over the pixels with data, weighted with their coherence, by two box means after each other, each
    ``size / sqrt(2)`` wide: its variance is that of one box of `size`, but no frequency changes its sign in it. One box
    turns the phase of fringes closer than `size` round by half a cycle. Where less than 0.05 is left of the mean, in
    noise, a window twice as wide is taken instead. So a pixel depends on others up to 1.42 `size` away.

    A constant is taken out exactly everywhere. So is a plane, where the window (1.41 times `size`) lies within the
    image and its data are symmetric about the pixel; elsewhere, at edges and beside gaps, the mean belongs to the
    middle of what data there are, and the slope times the distance from there is left over: 0.27 `size` at a straight
    edge. Fringes as close as `size` / 1.41 leave no mean and are not taken out.

    References
    ----------
    [Kamiyama2018]_, section 2.2, after Kusano et al. (2015), whose filter is described in words only.

    Examples
    --------
    >>> igram = np.full((60, 60), 0.6 * np.exp(2j), np.complex64)
    >>> np.abs(remove_large_scale(igram, (40.0, 40.0)) - 0.6).max() < 1e-6
    np.True_
    """
    check_complex("igram", igram)
    check_positive("size", size)
    for metres in spacing:
        check_positive("spacing", metres)
    known = (igram != 0).astype(np.float32)
    large = _local_mean(igram, known, spacing, size)
    faint = (np.abs(large) < _FAINT) & (known > 0)
    if faint.any():
        large[faint] = _local_mean(igram, known, spacing, 2 * size)[faint]
    return _with_phase(igram, igram * large.conj())


def _local_mean(
    igram: NDArray[np.complex64], known: NDArray[np.float32], spacing: tuple[float, float], size: float
) -> NDArray[np.complex64]:
    """Mean over the pixels with data around each."""
    widths = [2 * round((size / math.sqrt(2) / metres - 1) / 2) + 1 for metres in spacing]
    out = np.empty(igram.shape, np.complex64)
    count = _twice(known, widths)
    for part, into in ((igram.real, out.real), (igram.imag, out.imag)):
        np.divide(_twice(part, widths), np.maximum(count, np.float32(1e-6)), out=into)
    return out


def _twice(field: NDArray[np.float32], widths: list[int]) -> NDArray[np.float32]:
    """Box mean along both axes, two times; zero beyond the image."""
    for axis, width in enumerate(widths):
        for _ in range(2):
            field = uniform_filter1d(field, max(width, 1), axis=axis, mode="constant", output=np.float32)
    return field


def _with_phase(igram: NDArray[np.complex64], other: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return `igram` with the phase of `other`, where that has one."""
    length = np.abs(other)
    told = length > 0
    scale = np.zeros(igram.shape, np.float32)
    np.divide(np.abs(igram), length, out=scale, where=told)
    return np.asarray(np.where(told, other * scale, igram), np.complex64)
