"""Compiled inner loops of the closure check.

Phases are (pair, pixel). The triplet (ij, jk, ik) misses closing at a pixel by

    round((phi_ij + phi_jk - phi_ik) / 2 pi) - level

cycles, `level` being what the constants of its three pairs add up to. The loop over pixels lies outside that over
triplets, so that a line of each pair stays in the processor's cache.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["SPAN", "count_closing", "find_contradicted", "propose_changes", "tally"]

SPAN = 40
"""Misclosures of as many cycles and more are not told apart, and never corrected."""

_GAP = 127
_TURNS = np.float32(1 / (2 * math.pi))


@njit(nogil=True, cache=True)
def _turns(phase: Any, triplet: Any, x: Any) -> Any:
    """Return the whole cycles that the phases of a triplet add up to at a pixel, or _GAP without phase."""
    turns = (phase[triplet[0], x] + phase[triplet[1], x] - phase[triplet[2], x]) * _TURNS
    if math.isnan(turns):
        return _GAP
    return min(max(round(turns), -_GAP + 1), _GAP - 1)


@njit(nogil=True, cache=True)
def _misclosure(phase: Any, added: Any, triplet: Any, level: Any, x: Any) -> Any:
    """Return by how many cycles a triplet misses closing at a pixel, or _GAP without phase."""
    turns = _turns(phase, triplet, x)
    if turns == _GAP:
        return _GAP
    cycles = turns - level + added[triplet[0], x] + added[triplet[1], x] - added[triplet[2], x]
    return min(max(cycles, -SPAN), SPAN)


@njit(nogil=True, cache=True)
def tally(phase: NDArray[np.float32], triplets: NDArray[np.int64], where: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count pixels by the whole cycles that each triplet adds up to.

    `where` (pixel,) says which count. Column n of the result (triplet, 2 SPAN + 1) is for n - SPAN cycles; what lies
    beyond is counted in the first and last.
    """
    counts = np.zeros((len(triplets), 2 * SPAN + 1), np.int64)
    for x in range(phase.shape[1]):
        if where[x]:
            for t in range(len(triplets)):
                turns = _turns(phase, triplets[t], x)
                if turns != _GAP:
                    counts[t, min(max(turns, -SPAN), SPAN) + SPAN] += 1
    return counts


@njit(nogil=True, cache=True)
def count_closing(
    phase: NDArray[np.float32], added: NDArray[np.int8], triplets: NDArray[np.int64], level: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count for each triplet the pixels where it closes, and all that have phase: (triplet, 2)."""
    counts = np.zeros((len(triplets), 2), np.int64)
    for x in range(phase.shape[1]):
        for t in range(len(triplets)):
            cycles = _misclosure(phase, added, triplets[t], level[t], x)
            counts[t, 0] += cycles == 0
            counts[t, 1] += cycles != _GAP
    return counts


@njit(nogil=True, cache=True)
def find_contradicted(
    phase: NDArray[np.float32],
    added: NDArray[np.int8],
    triplets: NDArray[np.int64],
    level: NDArray[np.int64],
    out: NDArray[np.bool_],
) -> None:
    """Mark in `out` (pair, pixel) where fewer than half of a pair's triplets close; False where it has none."""
    balance = np.zeros(len(phase), np.int64)
    for x in range(phase.shape[1]):
        balance[:] = 0
        for t in range(len(triplets)):
            cycles = _misclosure(phase, added, triplets[t], level[t], x)
            if cycles != _GAP:
                for pair in triplets[t]:
                    balance[pair] += 1 if cycles == 0 else -1
        for pair in range(len(phase)):
            out[pair, x] = balance[pair] < 0


@njit(nogil=True, cache=True)
def propose_changes(
    phase: NDArray[np.float32],
    added: NDArray[np.int8],
    triplets: NDArray[np.int64],
    level: NDArray[np.int64],
    first: NDArray[np.int64],
    member: NDArray[np.int64],
    sign: NDArray[np.int64],
    least: int,
    where: NDArray[np.bool_],
    out: NDArray[np.int8],
) -> None:
    """Write to `out` (pair, pixel) the cycles that the triplets of a pair agree should be added; 0 for none.

    Only the pixels of `where` (pixel,) are looked at and written.

    The triplets of pair p are `member[first[p] : first[p + 1]]`, and `sign` is the pair's sign in each. More than half
    of those with phase must ask for the same change, and at least `least` times as many as 1 + those that it would
    open. Of two pairs in a triplet that either would close by itself only the one with more support gets its change,
    and in a tie neither.
    """
    n_pairs = len(phase)
    cycles = np.zeros(len(triplets), np.int64)
    excess = np.zeros(n_pairs, np.int64)
    support = np.zeros(n_pairs, np.int64)
    for x in range(phase.shape[1]):
        if not where[x]:
            continue
        for t in range(len(triplets)):
            cycles[t] = _misclosure(phase, added, triplets[t], level[t], x)
        any_support = False
        for p in range(n_pairs):
            most, agree, closed = _majority(cycles, member[first[p] : first[p + 1]], sign[first[p] : first[p + 1]])
            certain = most != 0 and abs(most) < SPAN and agree >= least * (1 + closed)
            support[p] = agree - closed if certain else 0
            excess[p] = most if certain else 0
            any_support |= certain
            out[p, x] = -excess[p]
        if not any_support:
            continue
        for p in range(n_pairs):
            if support[p] and _is_rivalled(p, cycles, member[first[p] : first[p + 1]], triplets, support, excess):
                out[p, x] = 0


@njit(nogil=True, cache=True)
def _majority(cycles: Any, member: Any, sign: Any) -> Any:
    """Return the misclosure of more than half of a pair's triplets (0 if none), how many have it, how many close.

    The only value that can have a majority is what is left of paired votes (Boyer and Moore); a second pass counts it.
    """
    value, lead = 0, 0
    for n in range(len(member)):
        vote = cycles[member[n]]
        if vote != _GAP:
            vote *= sign[n]
            if lead == 0:
                value = vote
            lead += 1 if vote == value else -1
    agree, closed, total = 0, 0, 0
    for n in range(len(member)):
        vote = cycles[member[n]]
        agree += vote != _GAP and vote * sign[n] == value
        closed += vote == 0
        total += vote != _GAP
    return (value, agree, closed) if 2 * agree > total else (0, 0, closed)


@njit(nogil=True, cache=True)
def _is_rivalled(p: int, cycles: Any, member: Any, triplets: Any, support: Any, excess: Any) -> bool:
    """Whether a pair with as much support stands in a triplet that it or pair `p` would close by itself."""
    for t in member:
        if cycles[t] == 0 or cycles[t] == _GAP:
            continue
        mine = False
        for place in range(3):
            mine |= triplets[t, place] == p and _closes(cycles[t], place, excess[p])
        for place in range(3):
            q = triplets[t, place]
            if q != p and support[q] >= support[p] and (mine or _closes(cycles[t], place, excess[q])):
                return True
    return False


@njit(nogil=True, cache=True)
def _closes(cycles: int, place: int, excess: int) -> bool:
    """Whether a triplet closes once the pair at `place` has lost its excess."""
    return cycles == (-excess if place == 2 else excess)
