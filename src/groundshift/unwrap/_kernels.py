"""Compiled inner loops of the closure check.

A triplet of pairs ij, jk, ik misses closing by `round((phi_ij + phi_jk - phi_ik) / 2 pi) - level` cycles, `level` being
the whole cycles that its three unknown constants add up to. Arrays are (pair, pixel); phases keep their plane per pair,
and a loop over pixels outside one over triplets keeps the lines of all planes in the processor's cache.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["GAP", "SPAN", "count_closing", "settle_pixels", "tally", "tally_regions"]

GAP = 127
"""Misclosure of a triplet where one of its pairs has no phase."""

SPAN = 8
"""Misclosures are told apart up to so many cycles."""

_TURN = np.float32(1 / (2 * math.pi))


@njit(nogil=True, cache=True, inline="always")
def _misclosure(phase: Any, added: Any, triplets: Any, level: Any, t: int, x: int) -> Any:
    """Return by how many cycles triplet `t` misses closing at pixel `x`, or GAP."""
    i, j, k = triplets[t, 0], triplets[t, 1], triplets[t, 2]
    turns = (phase[i, x] + phase[j, x] - phase[k, x]) * _TURN
    if math.isnan(turns):
        return GAP
    cycles = int(math.floor(turns + np.float32(0.5))) - level[t] + added[i, x] + added[j, x] - added[k, x]
    return min(max(cycles, -SPAN), SPAN)


@njit(nogil=True, cache=True)
def tally(
    phase: NDArray[np.float32], triplets: NDArray[np.int64], where: NDArray[np.bool_], reach: int
) -> NDArray[np.int64]:
    """Count pixels by the cycles that each triplet adds up to.

    `where` (pixel,) says which count; the result is (triplet, 2 reach + 1), its ends holding all beyond.
    """
    counts = np.zeros((len(triplets), 2 * reach + 1), np.int64)
    for x in range(phase.shape[1]):
        if not where[x]:
            continue
        for t in range(len(triplets)):
            turns = (phase[triplets[t, 0], x] + phase[triplets[t, 1], x] - phase[triplets[t, 2], x]) * _TURN
            if not math.isnan(turns):
                cycles = int(math.floor(turns + np.float32(0.5)))
                counts[t, min(max(cycles, -reach), reach) + reach] += 1
    return counts


@njit(nogil=True, cache=True)
def tally_regions(
    phase: NDArray[np.float32],
    added: NDArray[np.int8],
    triplets: NDArray[np.int64],
    level: NDArray[np.int64],
    labels: NDArray[np.int32],
    n_labels: int,
) -> NDArray[np.int32]:
    """Count the pixels of each region by the misclosure of each of its triplets.

    `labels` (pair, pixel) numbers the regions of each pair from 1 and is 0 outside. The result is
    (triplet, 3, label, 2 SPAN + 1): the second axis is the place of the pair in the triplet.
    """
    counts = np.zeros((len(triplets), 3, n_labels, 2 * SPAN + 1), np.int32)
    for x in range(phase.shape[1]):
        for t in range(len(triplets)):
            cycles = _misclosure(phase, added, triplets, level, t, x)
            if cycles != GAP:
                for place in range(3):
                    counts[t, place, labels[triplets[t, place], x], cycles + SPAN] += 1
    return counts


@njit(nogil=True, cache=True)
def count_closing(
    phase: NDArray[np.float32], added: NDArray[np.int8], triplets: NDArray[np.int64], level: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return for each triplet how many pixels close and how many there are, (triplet, 2)."""
    counts = np.zeros((len(triplets), 2), np.int64)
    for x in range(phase.shape[1]):
        for t in range(len(triplets)):
            cycles = _misclosure(phase, added, triplets, level, t, x)
            if cycles != GAP:
                counts[t, 0] += cycles == 0
                counts[t, 1] += 1
    return counts


@njit(nogil=True, cache=True)
def settle_pixels(
    phase: NDArray[np.float32],
    added: NDArray[np.int8],
    triplets: NDArray[np.int64],
    level: NDArray[np.int64],
    first: NDArray[np.int64],
    of_pair: NDArray[np.int64],
    place: NDArray[np.int64],
    least: int,
    zmul: int,
    frac: float,
) -> None:
    """Take the errors out, pixel by pixel, that enough triplets of a pair agree on; `added` is changed.

    The triplets of pair p are `of_pair[first[p] : first[p + 1]]`, `place` says where it stands in each.
    """
    n_pairs = len(first) - 1
    cycles = np.zeros(len(triplets), np.int64)
    support = np.zeros(n_pairs, np.int64)
    change = np.zeros(n_pairs, np.int64)
    for x in range(phase.shape[1]):
        for t in range(len(triplets)):
            cycles[t] = _misclosure(phase, added, triplets, level, t, x)
        for _round in range(50):
            for p in range(n_pairs):
                support[p] = 0
                closed = 0
                total = 0
                for n in range(first[p], first[p + 1]):
                    closed += cycles[of_pair[n]] == 0
                    total += cycles[of_pair[n]] != GAP
                for n in range(first[p], first[p + 1]):
                    own = cycles[of_pair[n]]
                    if own == 0 or own == GAP:
                        continue
                    own = -own if place[n] == 2 else own
                    agree = 0
                    for m in range(first[p], first[p + 1]):
                        other = cycles[of_pair[m]]
                        if other != GAP:
                            agree += own == (-other if place[m] == 2 else other)
                    if agree >= least + zmul * closed and agree >= frac * total and agree - closed > support[p]:
                        support[p], change[p] = agree - closed, -own
            changed = False
            for p in range(n_pairs):
                if support[p] == 0:
                    continue
                best = True
                for n in range(first[p], first[p + 1]):
                    t = of_pair[n]
                    if cycles[t] != 0 and cycles[t] != GAP:
                        for q in triplets[t]:
                            if q != p and support[q] >= support[p]:
                                best = False
                if best:
                    changed = True
                    added[p, x] += change[p]
                    support[p] = -support[p]
            if not changed:
                break
            for t in range(len(triplets)):
                cycles[t] = _misclosure(phase, added, triplets, level, t, x)
