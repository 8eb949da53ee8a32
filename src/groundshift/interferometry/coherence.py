"""Coherence without the bias of few looks.

The sample coherence d of L independent looks is too high where the coherence D is low: on pure noise its mean is about
sqrt(pi / (4 L)), 0.22 for 16 looks. Its expectation is known in closed form [Touzi1999]_,

    E[d] = Gamma(L) Gamma(3/2) / Gamma(L + 1/2)  3F2(3/2, L, L; L + 1/2, 1; D^2)  (1 - D^2)^L ,

and grows with D, so that the mean of many d tells D: `unbiased_coherence` inverts it. The order counts. The inverse of
a mean is right; the mean of inverses is not, as the inverse is steep and bent where D is low (for 8 looks it is off by
up to 0.027 above D = 0.2). Hence `correct_coherence` averages magnitudes over a window before it inverts.

L is the number of *independent* looks. Radar images are sampled more densely than they resolve, so that neighbouring
pixels agree in part and L is smaller than the number of pixels; `independent_looks` measures it.

What is stacked needs none of this. The *complex* sample coherence has no such bias (its mean is about
D (1 - (1 - D^2) / (4 L))), and the coherence-weighted mean of the stack averages it with its phase: there noise cancels
that here adds up.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.special import gammaln, xlogy

from groundshift.checks import check_complex, check_positive
from groundshift.io.estimate import LEAST
from groundshift.types import Looks

__all__ = ["correct_coherence", "expected_coherence", "independent_looks", "unbiased_coherence"]

_HIGHEST = 0.98
"""Above this coherence the bias is less than 0.0002 for 4 looks and more; the inverse runs straight to (1, 1)."""

_STEPS = 400
"""Nodes of the table of the inverse."""

_BLOCK = (16, 1024)
"""Rows and columns over which the correlation of neighbouring pixels is measured: few rows, within which the carrier of
a burst turns it little."""


def expected_coherence(coherence: NDArray[np.float64], looks: float) -> NDArray[np.float64]:
    """Return the expectation of the sample coherence.

    Parameters
    ----------
    coherence : float array
        True coherence in [0, 1).
    looks : float
        Independent looks, more than 1; need not be whole.

    Raises
    ------
    ValueError
        If `looks` is not more than 1, or a coherence lies outside [0, 1).

    Notes
    -----
    The closed form of the module, summed as the mixture that it is: d^2 follows a beta distribution (k + 1, L - 1),
    with k negative binomial of L and D^2.

    References
    ----------
    [Touzi1999]_.

    Examples
    --------
    >>> expected_coherence(np.array([0.0, 0.5]), 16).round(3)
    array([0.223, 0.52 ])
    """
    _check_looks(looks)
    squared = np.asarray(coherence, np.float64) ** 2
    if not ((squared >= 0) & (squared < 1)).all():
        raise ValueError("coherence must lie in [0, 1)")
    return np.array([_expectation(value, looks) for value in squared.ravel()]).reshape(squared.shape)


def unbiased_coherence(coherence: NDArray[np.floating], looks: float) -> NDArray[np.float32]:
    """Turn mean sample coherences into coherences: the inverse of `expected_coherence`.

    Parameters
    ----------
    coherence : float array
        Mean of sample coherences over cells or pairs of like coherence, in [0, 1]; NaN stays NaN.
    looks : float
        Independent looks of each sample, more than 1.

    Returns
    -------
    float32 array
        Coherence in [0, 1]; 0 where the mean is at most that of pure noise.

    Raises
    ------
    ValueError
        If `looks` is not more than 1.

    Examples
    --------
    >>> unbiased_coherence(np.array([0.1, 0.2233, 0.5196, 1.0], np.float32), 16).round(2)
    array([0. , 0. , 0.5, 1. ], dtype=float32)
    """
    _check_looks(looks)
    mean, true = _inverse(float(looks))
    return np.asarray(np.interp(coherence, mean, true), np.float32)


def correct_coherence(igram: NDArray[np.complex64], looks: float, window: int = 5) -> NDArray[np.complex64]:
    """Give an interferogram the coherence of its surroundings, free of the bias of few looks.

    Parameters
    ----------
    igram : (y, x) complex array
        As `form` makes it, zero without data.
    looks : float
        Independent looks of a cell, more than 1 (`independent_looks`).
    window : int
        Rows and columns of cells over which magnitudes are averaged, odd.

    Returns
    -------
    (y, x) complex64 array
        The same phase; coherence in [`LEAST`, 1], zero where `igram` is.

    Raises
    ------
    TypeError
        If `igram` is not complex-valued.
    ValueError
        If `looks` is not more than 1 or `window` is not a positive odd number.

    Notes
    -----
    Cells without data do not count. The phase has no part in it, so that fringes do not lower the coherence, as they do
    where the looks are taken over a wider cell instead.

    References
    ----------
    [Touzi1999]_.
    """
    check_complex("igram", igram)
    check_positive("window", window)
    if window % 2 == 0:
        raise ValueError(f"window must be odd, instead got {window}")
    magnitude = np.abs(igram).astype(np.float32)
    known = magnitude > 0
    count = uniform_filter(known.astype(np.float32), window, mode="constant")
    mean = uniform_filter(magnitude, window, mode="constant") / np.where(known, count, 1)
    scale = np.zeros_like(magnitude)
    np.divide(np.maximum(unbiased_coherence(mean, looks), LEAST), magnitude, out=scale, where=known)
    return np.asarray(igram * scale, np.complex64)


def independent_looks(slc: NDArray[np.complex64], looks: Looks) -> float:
    """Measure how many independent looks a cell has.

    Parameters
    ----------
    slc : (y, x) complex array
        Part of a single-look image, zero without data; 500 x 2,000 pixels give the number to about one per cent.
    looks : Looks
        Pixels of a cell.

    Returns
    -------
    float
        From 1 to ``looks.y * looks.x``.

    Raises
    ------
    TypeError
        If `slc` is not complex-valued.
    ValueError
        If the image is smaller than a cell, or without data.

    Notes
    -----
    The variance of a mean over n pixels whose correlation is rho falls by n^2 / sum_ij |rho(i - j)|^2, which is the
    number of independent pixels that would do the same, both for power and for the product of two images. rho is
    measured in blocks, and its magnitudes are averaged: the carrier of a burst in TOPS mode turns the phase of rho
    along azimuth, which cancels in the interferogram.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.standard_normal((400, 800)) + 1j * rng.standard_normal((400, 800))
    >>> round(independent_looks(noise.astype(np.complex64), Looks(2, 8)), 1)
    16.0
    """
    check_complex("slc", slc)
    if slc.shape[0] < looks.y or slc.shape[1] < looks.x:
        raise ValueError(f"slc must hold a cell of {looks.y} x {looks.x} pixels, instead got {slc.shape}")
    total = 0.0
    for dy in range(looks.y):
        for dx in range(-looks.x + 1, looks.x):
            if dy == 0 and dx < 0:
                continue
            share = (1 - dy / looks.y) * (1 - abs(dx) / looks.x)
            total += share * _likeness(slc, dy, dx) * (1 if dy == dx == 0 else 2)
    return float(np.clip(looks.y * looks.x / total, 1, looks.y * looks.x))


def _likeness(slc: NDArray[np.complex64], dy: int, dx: int) -> float:
    """Return the mean of |rho|^2 between pixels and those (dy, dx) away, over blocks with data."""
    height, width = slc.shape
    found: list[float] = []
    weights: list[int] = []
    for y in range(0, height - dy, _BLOCK[0]):
        for x in range(0, width, _BLOCK[1]):
            y1, x1 = min(y + _BLOCK[0], height - dy), min(x + _BLOCK[1], width - max(dx, 0))
            x0 = max(x, -dx)
            if x1 <= x0:
                continue
            here, there = slc[y:y1, x0:x1], slc[y + dy : y1 + dy, x0 + dx : x1 + dx]
            samples = int(((here != 0) & (there != 0)).sum())
            power = float(np.vdot(here, here).real) * float(np.vdot(there, there).real)
            if samples < 2 or power == 0:
                continue
            squared = float(abs(np.vdot(there, here)) ** 2) / power
            # The expectation of |r|^2 of n samples is rho^2 + (1 - rho^2) / n.
            found.append(float(max((squared - 1 / samples) / (1 - 1 / samples), 0.0)))
            weights.append(samples)
    if not found:
        raise ValueError("slc has no data in which pixels could be compared")
    return float(np.average(found, weights=weights))


@lru_cache(maxsize=8)
def _inverse(looks: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return expectations of the sample coherence, increasing, and the coherences they belong to."""
    true = np.linspace(0, _HIGHEST, _STEPS)
    return np.append(expected_coherence(true, looks), 1.0), np.append(true, 1.0)


def _expectation(squared: float, looks: float) -> float:
    """Return the expectation of the sample coherence for one squared coherence."""
    spread = math.sqrt(looks * squared) / (1 - squared)
    middle, reach = looks * squared / (1 - squared), 12 * spread + 30 / (1 - squared)
    k = np.arange(max(math.floor(middle - reach), 0), math.ceil(middle + reach))
    # Logarithms of the probability of k, and of the mean of d given k.
    chance = gammaln(k + looks) - gammaln(k + 1) - gammaln(looks) + looks * math.log1p(-squared) + xlogy(k, squared)
    given = gammaln(k + 1.5) - gammaln(k + 1) + gammaln(k + looks) - gammaln(k + looks + 0.5)
    return float(np.exp(chance + given).sum())


def _check_looks(looks: float) -> None:
    """Raise ValueError unless there is more than one look."""
    if not (np.isfinite(looks) and looks > 1):
        raise ValueError(f"looks must be more than 1, instead got {looks}")
