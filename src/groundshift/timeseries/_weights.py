"""Inverse variance of the phase by coherence: a table for each number of looks, and its compiled interpolation."""

import math
from functools import lru_cache

import numpy as np
import scipy.special
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["look_up", "weights_of_looks"]

_LEAST_VARIANCE = 0.01
"""rad^2: coherence is an estimate, and below 0.1 rad other noise than decorrelation prevails."""
_COHERENCES, _ANGLES, _MOST_LOOKS = np.linspace(0, 1, 257), 256, 1000.0


@lru_cache(maxsize=8)
def weights_of_looks(nlooks: float) -> NDArray[np.float64]:
    """Tabulate inverse phase variances over coherences from 0 to 1; more than 1000 looks count as so many."""
    nlooks = min(nlooks, _MOST_LOOKS)
    node, part = np.polynomial.legendre.leggauss(_ANGLES)
    angle, part = math.pi * node, math.pi * part
    gamma = _COHERENCES[:-1, np.newaxis]
    beta = gamma * np.cos(angle)
    # With Euler's transform of the hypergeometric function its factor stays below 1, and nothing overflows.
    ratio = ((1 - gamma**2) / (1 - beta**2)) ** nlooks / np.sqrt(1 - beta**2)
    rise = math.exp(math.lgamma(nlooks + 0.5) - math.lgamma(nlooks)) / (2 * math.sqrt(math.pi))
    density = ratio * (rise * beta + scipy.special.hyp2f1(0.5 - nlooks, -0.5, 0.5, beta**2) / (2 * math.pi))
    variance = np.append((density * angle**2) @ part / (density @ part), 0)
    return np.asarray(1 / np.maximum(np.minimum.accumulate(variance), _LEAST_VARIANCE))


@njit(parallel=True, nogil=True, error_model="numpy", cache=True)
def look_up(table: NDArray[np.float64], values: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Interpolate in a table over [0, 1]; values above count as 1, and what is not positive gives 0."""
    last = table.size - 1
    for k in prange(values.size):
        at = min(values[k], 1.0) * last if values[k] > 0 else 0.0
        low = min(int(at), last - 1)
        out[k] = table[low] + (at - low) * (table[low + 1] - table[low]) if values[k] > 0 else 0.0
