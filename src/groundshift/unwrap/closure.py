"""Closure of triplets of pairs: what it corrects, what it contradicts, and which pairs are to be trusted.

Three pairs ij, jk, ik of three dates should add up to nothing,

    C = phi_ij + phi_jk - phi_ik = 2 pi n + r ,

whatever the ground and the atmosphere did. The whole cycles n are unwrapping errors; the rest r, between -pi and pi, is
noise and the bias of short pairs, and does not depend on unwrapping. Arrays are (pair, y, x).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape, check_within
from groundshift.types import Pair
from groundshift.unwrap._kernels import SPAN, count_closing, find_contradicted, propose_changes, tally
from groundshift.unwrap.patch import PatchPhase

__all__ = ["ClosureCheck", "TripletBias", "check_closure", "triplets"]

_CERTAINTY = 3
"""A change must close so many triplets at least, for each that it opens and one more."""

_NEIGHBOURS = 3
"""Of the eight neighbours so many at least must ask for the same change: errors have areas, noise has not. All but two
of them may lack phase."""

_REFERENCE_SHARE = 0.05
"""Constants are taken from this share of the pixels, those in the most components."""

_SHORT_DAYS = 24
"""Pairs of up to so many days are known for their bias."""


class TripletBias(NamedTuple):
    """Mean wrapped closure of one kind of triplet."""

    shortest: int
    """Days of its shortest pair."""
    longest: int
    """Days of its longest pair."""
    residual: float
    """Radians: phase of the mean phasor of the closure."""
    n_triplets: int


class ClosureCheck(NamedTuple):
    """What the closure of triplets tells about the pairs of a patch."""

    unwrapped: NDArray[np.float32]
    """(pair, y, x) radians, corrected; NaN without data, and where neither a component nor closure vouches for it."""
    cycles: NDArray[np.int8]
    """(pair, y, x) whole cycles added."""
    reliability: NDArray[np.float64]
    """(pair,) share of pixels and triplets that close after correction, 0 to 1; NaN where no triplet tests the pair."""
    kept: NDArray[np.bool_]
    """(pair,) whether a pair has phase and is not less reliable than asked for."""
    reasons: tuple[tuple[int, str], ...]
    """Index and reason of each pair that is not kept, in order."""
    short_pair_bias: float | None
    """Radians: mean wrapped closure of the triplets with a pair of up to 24 days; None if there are none."""
    n_triplets: int
    n_untested: int
    """Kept pairs that no triplet tests."""
    n_contradicted: int
    """Pixels of kept pairs that were unwrapped, and left out because closure contradicts them."""
    biases: tuple[TripletBias, ...]
    """Mean wrapped closure by the shortest and the longest pair of a triplet, in this order."""


def triplets(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Find all triplets of pairs that join three dates.

    Parameters
    ----------
    pairs : sequence of Pair
        In any order, none twice.

    Returns
    -------
    (triplet, 3) int array
        Indices of the pairs ij, jk and ik, with i < j < k in time; triplets in order of their dates.

    Examples
    --------
    >>> from datetime import date
    >>> a, b, c = date(2020, 1, 1), date(2020, 1, 13), date(2020, 1, 25)
    >>> triplets([Pair(a, c), Pair(b, c), Pair(a, b)])
    array([[2, 1, 0]])
    """
    at = {(pair.reference, pair.secondary): k for k, pair in enumerate(pairs)}
    later = defaultdict(list)
    for first, second in sorted(at):
        later[first].append(second)
    found = [
        (at[i, j], at[j, k], at[i, k])
        for i, j in sorted(at)
        for k in later.get(j, ())
        if (i, k) in at
    ]  # fmt: skip
    return np.array(found, np.int64).reshape(-1, 3)


def check_closure(phase: PatchPhase, pairs: Sequence[Pair], *, least_reliability: float = 0.6) -> ClosureCheck:
    """Correct whole cycles where the triplets are certain of them, and judge every pair by what then closes.

    Parameters
    ----------
    phase : PatchPhase
        Unwrapped phase of all pairs; it is not changed.
    pairs : sequence of Pair
        In the order of `phase`.
    least_reliability : float
        In [0, 1]; pairs of which a smaller share closes are not kept.

    Returns
    -------
    ClosureCheck

    Raises
    ------
    ValueError
        If `least_reliability` is not in [0, 1], or there are not as many pairs as phases.

    Notes
    -----
    *Constants.* A pair has an unknown constant of whole cycles. The pixels that lie in the most components are taken as
    reference, and a triplet closes where it adds up to as many cycles as it does there most often.

    *Correction.* A pair is changed at a pixel where more than half of its triplets ask for the same change, at least
    three of them, and three more for each that the change would open. Two triplets share no more than one pair, so any
    other explanation of `a` triplets changes `a` other pairs at least: three times as many as this one. Where two pairs
    claim a triplet that one change closes, only the one with more support is changed; in a tie neither is. At least
    three neighbours must ask for the same. This is repeated until nothing is certain any more. The rest is left.

    *Contradiction.* Outside every component a pixel of a pair is kept where at least half of its triplets close.

    *Reliability.* The least reliable pair is dropped first, then the others are judged without it, so that a bad pair
    does not make its neighbours look bad. Where that leaves a pair without triplets, its last value stands.

    What all pairs get wrong alike closes, and is not found: motion of more than half a cycle between neighbours.
    """
    check_within("least_reliability", least_reliability, 0, 1)
    shape = phase.unwrapped.shape
    check_shape("phase.unwrapped", phase.unwrapped, (len(pairs), *shape[1:]))
    check_shape("phase.conncomp", phase.conncomp, shape)
    corners = triplets(pairs)
    flat = np.ascontiguousarray(phase.unwrapped, np.float32).reshape(len(pairs), math.prod(shape[1:]))
    inside = phase.conncomp.reshape(flat.shape) > 0
    level = _levels(flat, inside, corners)
    cycles = _settle(flat, shape[1:], corners, level)
    counts = count_closing(flat, cycles, corners, level)
    reliability, kept = _judge(counts, corners, pairs, least_reliability)
    reasons = _reasons(phase, pairs, reliability, kept, least_reliability)
    kept[[k for k, _ in reasons]] = False
    alive = kept[corners].all(axis=1)
    wrong = np.zeros(flat.shape, np.bool_)
    find_contradicted(flat, cycles, corners[alive], level[alive], wrong)
    wrong &= ~inside & kept[:, np.newaxis]
    corrected = flat + np.float32(2 * math.pi) * cycles
    corrected[wrong] = np.nan
    bias, biases = _biases(flat, inside, corners, pairs)
    return ClosureCheck(
        corrected.reshape(shape), cycles.reshape(shape), reliability, kept, reasons, bias, len(corners),
        int((kept & np.isnan(reliability)).sum()), int(wrong.sum()), biases,
    )  # fmt: skip


def _levels(flat: NDArray[np.float32], inside: NDArray[np.bool_], corners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the whole cycles that each triplet adds up to on the reference pixels, else on all."""
    trust = inside.sum(axis=0)
    reference = trust >= np.quantile(trust, 1 - _REFERENCE_SHARE)
    there = tally(flat, corners, reference)
    anywhere = tally(flat, corners, np.ones(trust.shape, np.bool_))
    levels: NDArray[np.int64] = np.where(there.any(axis=1), there.argmax(axis=1), anywhere.argmax(axis=1)) - SPAN
    return levels


def _settle(
    flat: NDArray[np.float32], shape: tuple[int, ...], corners: NDArray[np.int64], level: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Return the cycles to add, (pair, pixel)."""
    added = np.zeros(flat.shape, np.int8)
    order = np.argsort(corners.ravel(), kind="stable")
    first = np.searchsorted(corners.ravel()[order], np.arange(len(flat) + 1))
    member, sign = order // 3, np.where(order % 3 == 2, -1, 1)
    asked = np.zeros(flat.shape, np.int8)
    unknown = np.pad(np.isnan(flat).reshape(-1, *shape), ((0, 0), (1, 1), (1, 1)), constant_values=True)
    stale: NDArray[np.bool_] = np.ones(flat.shape[1], np.bool_)
    # Every change closes more triplets than it opens, so this ends.
    while stale.any():
        propose_changes(flat, added, corners, level, first, member, sign, _CERTAINTY, stale, asked)
        lonely = _is_lonely(asked.reshape(-1, *shape), unknown).reshape(flat.shape)
        change = np.where(lonely, np.int8(0), asked)
        added += change
        stale = np.asarray(change.any(axis=0))
    return added


def _is_lonely(change: NDArray[np.int8], unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether too few neighbours have the same value, (pair, y, x); `unknown` is one pixel wider all round."""
    _, height, width = change.shape
    padded = np.pad(change, ((0, 0), (1, 1), (1, 1)))
    alike = np.full(change.shape, -1, np.int8)
    missing = np.zeros(change.shape, np.int8)
    for y in range(3):
        for x in range(3):
            there = (slice(None), slice(y, y + height), slice(x, x + width))
            alike += (padded[there] == change) & ~unknown[there]
            missing += unknown[there]
    lonely: NDArray[np.bool_] = (alike < _NEIGHBOURS - 1) | (alike + missing < _NEIGHBOURS)
    return lonely


def _judge(
    counts: NDArray[np.int64], corners: NDArray[np.int64], pairs: Sequence[Pair], least: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the reliability of each pair and whether it is kept, dropping the worst one by one."""
    reliability = np.full(len(pairs), np.nan)
    kept = np.ones(len(pairs), np.bool_)
    by_date = np.array(sorted(range(len(pairs)), key=lambda k: (pairs[k].reference, pairs[k].secondary)), np.intp)
    while kept.any():
        alive = kept[corners].all(axis=1)
        sums = np.zeros((len(pairs), 2))
        np.add.at(sums, corners[alive], counts[alive][:, np.newaxis])
        known = sums[:, 1] > 0
        reliability[known] = sums[known, 0] / sums[known, 1]
        standing = np.where(kept & ~np.isnan(reliability), reliability, np.inf)
        worst = by_date[standing[by_date].argmin()]
        if standing[worst] >= least:
            break
        kept[worst] = False
    return reliability, kept


def _reasons(
    phase: PatchPhase,
    pairs: Sequence[Pair],
    reliability: NDArray[np.float64],
    kept: NDArray[np.bool_],
    least: float,
) -> tuple[tuple[int, str], ...]:
    """Say why pairs are not kept."""
    empty = dict(phase.failures)
    for n in np.flatnonzero(np.isnan(phase.unwrapped).all(axis=(1, 2))):
        empty.setdefault(int(n), "no data on the patch")
    reasons = {k: f"{pairs[k].name}: left out: {text}" for k, text in empty.items()}
    for k in [int(n) for n in np.flatnonzero(~kept)]:
        share = f"{math.floor(100 * reliability[k])} % of its pixel triplets close, less than {100 * least:g} %"
        reasons.setdefault(k, f"{pairs[k].name}: left out: {share}")
    return tuple(sorted(reasons.items()))


def _biases(
    flat: NDArray[np.float32], inside: NDArray[np.bool_], corners: NDArray[np.int64], pairs: Sequence[Pair]
) -> tuple[float | None, tuple[TripletBias, ...]]:
    """Return the mean wrapped closure of triplets with a short pair, and that by kind of triplet."""
    sums: dict[tuple[int, int], complex] = defaultdict(complex)
    numbers: dict[tuple[int, int], int] = defaultdict(int)
    for i, j, k in corners:
        good = inside[i] & inside[j] & inside[k]
        if good.any():
            closure = flat[i, good] + flat[j, good] - flat[k, good]
            kind = (min(pairs[i].days, pairs[j].days), pairs[k].days)
            sums[kind] += complex(np.cos(closure).sum(dtype=np.float64), np.sin(closure).sum(dtype=np.float64))
            numbers[kind] += 1
    biases = tuple(TripletBias(*kind, float(np.angle(sums[kind])), numbers[kind]) for kind in sorted(sums))
    short = [phasor for kind, phasor in sums.items() if kind[0] <= _SHORT_DAYS]
    return (float(np.angle(sum(short))) if short else None), biases
