"""How much of the noise of a stack comes from dates (atmosphere) and how much from pairs (decorrelation).

Two pairs that share a date share its atmosphere: with opposite sign if it is the secondary of one and the reference of
the other. What is left of the differences after a steady motion is taken out therefore correlates between such pairs,
and that correlation is the share of one date in the variance of a pair. It decides the weights of the pairs and, since
the atmosphere of most dates cancels in a sum of pairs, the standard error of the stack.

It is measured in each half-year by itself. The weights of a half-year's pairs follow from what was found in it and in
its neighbours, so that pairs of other years do not change them; the standard error takes the mean of all.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.pairs import date_coefficients, half_year, incidence_matrix
from groundshift.types import Pair

__all__ = [
    "SAMPLE_NODES",
    "Likeness",
    "NoiseShare",
    "likeness_by_half_year",
    "measure_noise",
    "network_factor",
    "share_near",
    "share_of",
]

SAMPLE_NODES = 72
"""Side of the squares of nodes from which the noise of a scene is measured."""

_LARGEST_SHARE = 0.45
_TINY = 1e-30

_USUAL = 0.2
"""Share of a date where hardly any two pairs are there to measure it from; that of Danba."""

_USUAL_NUMBER = 20.0
"""So many correlations `_USUAL` counts for beside those that were measured."""


class NoiseShare(NamedTuple):
    """Shares in the variance of one pair; date + date + pair = 1."""

    date: float
    """What one date brings in, in [0, 0.45]."""
    pair: float
    """What the pair has on its own."""


class Likeness(NamedTuple):
    """How alike the noise of pairs is that share a date."""

    total: float
    """Sum of their correlations, turned round where the date is the reference of one and the secondary of the other."""
    number: float
    """How many correlations that are, each counted from both sides."""


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
    return share_of([_likeness(angle, quality, pairs)])


def likeness_by_half_year(
    angles: Sequence[NDArray[np.float32]], qualities: Sequence[NDArray[np.float32]], pairs: Sequence[Pair]
) -> dict[int, Likeness]:
    """Measure how alike pairs are that share a date, in each half-year by itself.

    Parameters
    ----------
    angles : sequence of (direction, node) float arrays
        Wrapped differences of each pair, radians.
    qualities : sequence of (node,) float arrays
        As in `measure_noise`, of each pair.
    pairs : sequence of Pair
        All pairs of the half-years they are of.

    Returns
    -------
    dict
        By `half_year`: the mean over the first two directions.
    """
    members: dict[int, list[int]] = {}
    for k, pair in enumerate(pairs):
        members.setdefault(half_year(pair), []).append(k)
    found = {}
    for when, chosen in sorted(members.items()):
        quality = np.stack([qualities[k] for k in chosen])
        own = [pairs[k] for k in chosen]
        both = [_likeness(np.stack([angles[k][d] for k in chosen]), quality, own) for d in range(2)]
        found[when] = Likeness(sum(b.total for b in both) / 2, sum(b.number for b in both) / 2)
    return found


def share_of(found: Iterable[Likeness]) -> NoiseShare:
    """Return the share of dates that several half-years tell together, each by the number of its correlations.

    `NoiseShare(0, 1)` where there is none.
    """
    every = list(found)
    return _share(sum(f.total for f in every), sum(f.number for f in every))


def share_near(found: Mapping[int, Likeness], when: int) -> NoiseShare:
    """Return the share of dates in the noise of one half-year, from what was found in it and in its two neighbours.

    Few correlations tell little: the usual share of 0.2 counts for twenty of them.
    """
    near = [found[k] for k in (when - 1, when, when + 1) if k in found]
    total, number = sum(f.total for f in near), sum(f.number for f in near)
    return _share(total + _USUAL * _USUAL_NUMBER, number + _USUAL_NUMBER)


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


def _likeness(angle: NDArray[np.float32], quality: NDArray[np.float32], pairs: Sequence[Pair]) -> Likeness:
    """Correlate what a steady motion leaves of the differences, between all pairs that share a date."""
    sign = incidence_matrix(pairs)[1]
    shared = sign @ sign.T
    np.fill_diagonal(shared, 0)
    if len(pairs) < 3 or not shared.any():
        return Likeness(0.0, 0.0)
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
    return Likeness(float((correlation * shared[known]).sum()), float(np.abs(shared[known]).sum()))


def _share(total: float, number: float) -> NoiseShare:
    """Turn a sum of correlations into the shares of the noise."""
    share = float(np.clip(total / max(number, 1.0), 0.0, _LARGEST_SHARE))
    return NoiseShare(share, 1 - 2 * share)
