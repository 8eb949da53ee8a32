"""How much of the noise of a stack comes from dates (atmosphere) and how much from pairs (decorrelation).

Two pairs that share a date share its atmosphere: with opposite sign if it is the secondary of one and the reference of
the other. What is left of the differences after a steady motion is taken out therefore correlates between such pairs,
and that correlation is the share of one date in the variance of a pair. It decides the weights of the pairs and, since
the atmosphere of most dates cancels in a sum of pairs, the standard error of the stack.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.pairs import date_coefficients, incidence_matrix
from groundshift.types import Pair

__all__ = ["SAMPLE_NODES", "NoiseShare", "measure_noise", "network_factor", "share_of_directions"]

SAMPLE_NODES = 72
"""Side of the squares of nodes from which the noise of a scene is measured."""

_LARGEST_SHARE = 0.45
_TINY = 1e-30


class NoiseShare(NamedTuple):
    """Shares in the variance of one pair; date + date + pair = 1."""

    date: float
    """What one date brings in, in [0, 0.45]."""
    pair: float
    """What the pair has on its own."""


def measure_noise(angle: NDArray[np.float32], quality: NDArray[np.float32], pairs: Sequence[Pair]) -> NoiseShare:
    """Measure the share of dates in the noise from a sample of nodes.

    Parameters
    ----------
    angle : (pair, node) float array
        Wrapped differences in radians; ignored where `quality` is zero.
    quality : (pair, node) float array
        Relative inverse variance; 0 without data.
    pairs : sequence of Pair

    Returns
    -------
    NoiseShare
        `NoiseShare(0, 1)` if no two pairs share a date or there are fewer than 3 pairs.

    Notes
    -----
    Differences count with their quality, as they do in the stack. Covariances and variances are both means over the
    quality they are made of, so that pairs that are good at different nodes do not seem less alike than they are.
    """
    sign = incidence_matrix(pairs)[1]
    shared = sign @ sign.T
    np.fill_diagonal(shared, 0)
    if len(pairs) < 3 or not shared.any():
        return NoiseShare(0.0, 1.0)
    years = np.array([p.years for p in pairs])[:, np.newaxis]
    q = quality.astype(np.float64)
    g = np.where(q > 0, angle, 0.0)
    total = (q * years).sum(axis=0)
    rate = np.divide((q * g).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    left = q * (g - rate * years)
    covariance, common = left @ left.T, q @ q.T
    spread = np.sqrt(np.diag(covariance) / np.maximum(np.diag(common), _TINY))
    known = (shared != 0) & (common > 0) & (np.outer(spread, spread) > 0)
    correlation = covariance[known] / common[known] / np.outer(spread, spread)[known]
    share = float((correlation * shared[known]).sum() / max(np.abs(shared[known]).sum(), 1))
    share = float(np.clip(share, 0.0, _LARGEST_SHARE))
    return NoiseShare(share, 1 - 2 * share)


def share_of_directions(
    angles: Sequence[NDArray[np.float32]], qualities: Sequence[NDArray[np.float32]], pairs: Sequence[Pair]
) -> NoiseShare:
    """Measure the share of dates as the mean over the first two directions.

    Parameters
    ----------
    angles : sequence of (direction, node) float arrays
        Wrapped differences of each pair, radians.
    qualities : sequence of (node,) float arrays
        As in `measure_noise`, of each pair.
    pairs : sequence of Pair
    """
    quality = np.stack(qualities)
    shares = [measure_noise(np.stack([a[d] for a in angles]), quality, pairs).date for d in range(2)]
    share = float(np.mean(shares))
    return NoiseShare(share, 1 - 2 * share)


def network_factor(pairs: Sequence[Pair], weights: NDArray[np.float64], noise: NoiseShare) -> float:
    """Return by how much the variance of a weighted sum differs from that of independent pairs.

    Below 1 where the network lets the atmosphere of dates cancel, above 1 where it piles up.

    Notes
    -----
    With c_d the coefficient of date d in the sum and w_p the weights,
    ``(date * sum c_d^2 + pair * sum w_p^2) / sum w_p^2``.
    """
    coefficients = date_coefficients(pairs, weights).coefficients
    squares = float((weights**2).sum())
    return float((noise.date * (coefficients**2).sum() + noise.pair * squares) / squares)
