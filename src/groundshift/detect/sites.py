"""From the bowls of many interferograms to sites: places that sink, or rise, again and again.

One interferogram shows air as well as ground. The air of one date is in all pairs that share it, and has one sign where
the date is the secondary and the other where it is the reference; and so has whatever else belongs to a date, as the
error of a DEM times the place of the orbit. Ground that sinks has one sign in all. So a site is believed where two
pairs without a common date show it, and a bowl that the same date shows with the other sign on its other side is no
evidence.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import STRtree, box

from groundshift.detect.bowls import Bowl
from groundshift.types import Pair, Window

__all__ = ["Sighting", "Site", "associate", "growth"]

_FEWEST_DATES = 4
"""Of two pairs without a common one."""
_SURE = 1 - 1e-6
"""No bowl counts as more certain."""
_FAINT = 0.05
"""A pixel belongs to a site if at least this share of the sightings show it that show the pixel shown most often."""
_OUTNUMBERS = 3
"""Pairs that show a site, for each that shows the same place with the other sign meanwhile."""
_NEXT = 12
"""Later sightings that a sighting is joined with; more add no site, as those are joined with each other."""
_BLOCK = 8192
"""Sightings whose neighbours are looked up at once."""


class Sighting(NamedTuple):
    """A bowl, and the pair that shows it."""

    pair: Pair
    bowl: Bowl


class Site(NamedTuple):
    """A place that was seen to sink, or to rise, repeatedly."""

    window: Window
    """Bounding box on the grid."""
    mask: NDArray[np.bool_]
    """(height, width) of the window: pixels that two sightings hold, and a twentieth as many as hold any pixel. Where
    the bowl has wandered, it is the union of where it was."""
    sightings: tuple[Sighting, ...]
    """In order of their pairs; all with peaks of one sign. A pair may have several."""
    score: float
    """0 to 1: that not all of its independent sightings are wrong; 0 if all are contradicted."""


def associate(
    seen: Sequence[Sighting],
    *,
    least_dates: int = _FEWEST_DATES,
    least_overlap: float = 0.5,
    confirmed_only: bool = True,
) -> list[Site]:
    """Join the bowls of many interferograms to sites.

    Parameters
    ----------
    seen : sequence of Sighting
        On one grid, in any order. Bowls of one pair do not overlap.
    least_dates : int
        Dates that the evidence of a site must hold, 4 or more: two pairs without a common one have four.
    least_overlap : float
        Two bowls show one place if they share this part of the smaller one, above 0 and at most 1.
    confirmed_only : bool
        Leave out what is not confirmed.

    Returns
    -------
    list of Site
        The highest score first.

    Raises
    ------
    ValueError
        If `least_dates` or `least_overlap` is out of range.

    Notes
    -----
    *Joining.* Bowls of one sign of different pairs that show one place are joined, those first that are most alike
    (intersection over union), and each with the next twelve that follow it in the order of pairs, so that a panel which
    wanders is one chain. Two groups are not joined if more pairs show a bowl in either group, as two, than there are
    pairs with one bowl that covers both of two such. So a single bowl across two mines joins the one that it is
    most like, and a mine that falls in two pieces in some pairs stays one if more pairs show it whole.

    *Confirming.* A sighting is contradicted if a bowl of the other sign shows the same place in a pair that ends with
    the date that its own begins with, or the other way about. Others are evidence. A site is confirmed if its
    evidence holds at least `least_dates` dates, none of which is in all its pairs: that is the same as that two of the
    pairs have no date in common, because pairs of which each two share a date share one and the same, or have three.
    And it must have three pairs for each that shows the place with the other sign between its first date and its last.
    Ground that sank for years and rises now is two sites.

    *Score.* ``1 - prod (1 - score)^w`` over the pairs of the evidence, each with its best sighting; the w are those
    that make it largest while those of the pairs of any one date add up to 1 at most. Pairs without common
    dates thus count in full, and those of one date as the best of them. More evidence never lowers it.

    Examples
    --------
    >>> from datetime import date
    >>> bowl = Bowl(Window(10, 20, 6, 6), np.ones((6, 6), bool), 0.8, 5.0)
    >>> days = [date(2020, 1, 1 + 12 * k) if k < 3 else date(2020, 2, 6) for k in range(4)]
    >>> chain = [Sighting(Pair(a, b), bowl) for a, b in zip(days, days[1:])]
    >>> [round(site.score, 3) for site in associate(chain)]
    [0.96]
    >>> associate(chain[:2])
    []
    """
    if least_dates < _FEWEST_DATES:
        raise ValueError(f"least_dates must be at least {_FEWEST_DATES}, instead got {least_dates}")
    if not 0 < least_overlap <= 1:
        raise ValueError(f"least_overlap must be above 0 and at most 1, instead got {least_overlap}")
    ordered = sorted(seen, key=_key)
    if not ordered:
        return []
    links, opposites = _neighbours(ordered, least_overlap)
    against: list[list[Sighting]] = [[] for _ in ordered]
    contradicted = np.zeros(len(ordered), bool)
    for one, other in opposites.tolist():
        against[one].append(ordered[other])
        against[other].append(ordered[one])
        if ordered[one].pair.secondary == ordered[other].pair.reference:
            contradicted[[one, other]] = True
    sites = []
    for members in _groups(ordered, links):
        evidence = [ordered[k] for k in members if not contradicted[k]]
        opposed = [sighting for k in members for sighting in against[k]]
        if _confirmed(evidence, opposed, least_dates) or not confirmed_only:
            sites.append(_site([ordered[k] for k in members], _joint_score(evidence)))
    return sorted(sites, key=lambda site: (-site.score, site.window))


def growth(site: Site) -> tuple[tuple[date, ...], NDArray[np.int64]]:
    """Return how the footprint of a site grew.

    Parameters
    ----------
    site : Site

    Returns
    -------
    dates : tuple of date
        On which pairs of its sightings end, in order.
    pixels : (date,) int array
        Of its mask that bowls of pairs ending by then hold, together; never less than before, in the end its mask.
    """
    ends = sorted({sighting.pair.secondary for sighting in site.sightings})
    first = np.full(site.mask.shape, len(ends))
    for sighting in site.sightings:
        when = ends.index(sighting.pair.secondary)
        here, there = _shared(site.window, sighting.bowl.window)
        first[here] = np.where(sighting.bowl.mask[there], np.minimum(first[here], when), first[here])
    added = np.bincount(first[site.mask], minlength=len(ends) + 1)[: len(ends)]
    return tuple(ends), np.cumsum(added)


def _key(sighting: Sighting) -> tuple[date, date, Window, bytes]:
    """Order sightings by their pairs, and those of a pair by their places."""
    pair, bowl = sighting
    return pair.reference, pair.secondary, bowl.window, bowl.mask.tobytes()


class _Neighbours(NamedTuple):
    """Which sightings show one place."""

    links: NDArray[np.int64]
    """(n, 2): those of one sign, the most alike first."""
    opposites: NDArray[np.int64]
    """(n, 2): those of two signs, the earlier one first."""


def _neighbours(ordered: Sequence[Sighting], least_overlap: float) -> _Neighbours:
    """Find the sightings that show one place."""
    windows = np.array([sighting.bowl.window for sighting in ordered], np.int64)
    boxes = box(windows[:, 1], windows[:, 0], windows[:, 1:4:2].sum(1) - 0.5, windows[:, 0:3:2].sum(1) - 0.5)
    tree = STRtree(boxes)
    bits = np.concatenate([sighting.bowl.mask.ravel() for sighting in ordered]).view(np.uint8)
    starts = np.cumsum([0, *(sighting.bowl.mask.size for sighting in ordered)])
    areas = np.array([np.count_nonzero(sighting.bowl.mask) for sighting in ordered])
    rises = np.array([sighting.bowl.peak < 0 for sighting in ordered])
    first = np.array([sighting.pair.reference.toordinal() for sighting in ordered])
    last = np.array([sighting.pair.secondary.toordinal() for sighting in ordered])
    links: list[NDArray[np.float64]] = []
    opposites: list[NDArray[np.float64]] = []
    for begin in range(0, len(ordered), _BLOCK):
        one, other = tree.query(boxes[begin : begin + _BLOCK])
        one += begin
        later = other > one
        one, other = np.divmod(np.sort(one[later] * len(ordered) + other[later]), len(ordered))
        same = rises[one] == rises[other]
        apart = (first[one] != first[other]) | (last[one] != last[other])
        for wanted, most, into in ((same & apart, _NEXT, links), (~same & apart, len(ordered), opposites)):
            likeness = np.zeros(int(wanted.sum()))
            _join(one[wanted], other[wanted], windows, bits, starts, areas, least_overlap, most, likeness)
            found = likeness > 0
            into.append(np.column_stack([one[wanted][found], other[wanted][found], likeness[found]]))
    linked, opposed = np.concatenate(links), np.concatenate(opposites)
    linked = linked[np.lexsort((linked[:, 1], linked[:, 0], -linked[:, 2]))]
    return _Neighbours(linked[:, :2].astype(np.int64), opposed[:, :2].astype(np.int64))


@numba.njit(cache=True, nogil=True)
def _join(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    windows: NDArray[np.int64],
    bits: NDArray[np.uint8],
    starts: NDArray[np.int64],
    areas: NDArray[np.int64],
    least: float,
    most: int,
    likeness: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """Fill in the intersection over union of the first `most` of each that share enough of the smaller."""
    joined = 0
    for n in range(one.size):
        a, b = one[n], other[n]
        if n == 0 or a != one[n - 1]:
            joined = 0
        if joined == most:
            continue
        top, left = max(windows[a, 0], windows[b, 0]), max(windows[a, 1], windows[b, 1])
        bottom = min(windows[a, 0] + windows[a, 2], windows[b, 0] + windows[b, 2])
        right = min(windows[a, 1] + windows[a, 3], windows[b, 1] + windows[b, 3])
        shared = 0
        for y in range(top, bottom):
            in_a = starts[a] + (y - windows[a, 0]) * windows[a, 3] + left - windows[a, 1]
            in_b = starts[b] + (y - windows[b, 0]) * windows[b, 3] + left - windows[b, 1]
            row_a, row_b = bits[in_a : in_a + right - left], bits[in_b : in_b + right - left]
            for x in range(max(right - left, 0)):
                shared += row_a[x] & row_b[x]
        if shared >= least * min(areas[a], areas[b]) and shared > 0:
            likeness[n] = shared / (areas[a] + areas[b] - shared)
            joined += 1


def _groups(ordered: Sequence[Sighting], links: NDArray[np.int64]) -> list[list[int]]:
    """Join what is linked, unless more pairs show it apart than together; return the members of each group."""
    number = {day: k for k, day in enumerate(sorted({(p.reference, p.secondary) for p, _ in ordered}))}
    pairs = np.array([number[p.reference, p.secondary] for p, _ in ordered])
    count = len(ordered)
    chains = connected_components(coo_array((np.ones(len(links), bool), links.T), (count, count)), directed=False)[1]
    # Only where a pair shows several bowls of a chain may they have to stay apart.
    shown = np.unique(np.column_stack([chains, pairs]), axis=0, return_counts=True)
    doubtful = np.zeros(count, bool)
    doubtful[shown[0][shown[1] > 1, 0]] = True
    doubted = doubtful[chains]
    groups = _parted(pairs, np.nonzero(doubted)[0], links[doubted[links[:, 0]]])
    rest = np.nonzero(~doubted)[0]
    rest = rest[np.argsort(chains[rest], kind="stable")]
    bounds = np.nonzero(np.diff(chains[rest]))[0] + 1
    return groups + [part.tolist() for part in np.split(rest, bounds) if part.size]


def _parted(pairs: NDArray[np.int64], members: NDArray[np.int64], links: NDArray[np.int64]) -> list[list[int]]:
    """Join what is linked, the most alike first; `pairs` are the numbers of the pairs of all sightings."""
    covers = _covers(pairs, links)
    leader = {k: k for k in members.tolist()}
    groups = {k: {int(pairs[k]): [k]} for k in leader}
    for one, other in links.tolist():
        a, b = _leader(leader, one), _leader(leader, other)
        if a == b:
            continue
        if len(groups[a]) < len(groups[b]):
            a, b = b, a
        both = [pair for pair in groups[b] if pair in groups[a]]
        together = {
            pair for each in both for u in groups[a][each] for v in groups[b][each] for pair in covers.get((u, v), ())
        }
        if len(both) > len(together):
            continue
        leader[b] = a
        for pair, some in groups.pop(b).items():
            groups[a].setdefault(pair, []).extend(some)
    return [sorted(k for some in group.values() for k in some) for group in groups.values()]


def _covers(pairs: NDArray[np.int64], links: NDArray[np.int64]) -> dict[tuple[int, int], set[int]]:
    """Return by which pairs two bowls of another pair are covered with one."""
    one, other = np.concatenate([links, links[:, ::-1]]).T
    order = np.lexsort((other, pairs[other], one))
    one, other = one[order], other[order]
    again = np.nonzero((np.diff(one) == 0) & (np.diff(pairs[other]) == 0))[0]
    covers: dict[tuple[int, int], set[int]] = {}
    for k in again.tolist():
        # This one and all that follow it in the same pair under the same cover.
        past = k + 1
        while past < one.size and one[past] == one[k] and pairs[other[past]] == pairs[other[k]]:
            u, v = int(other[k]), int(other[past])
            for couple in ((u, v), (v, u)):
                covers.setdefault(couple, set()).add(int(pairs[one[k]]))
            past += 1
    return covers


def _leader(leader: dict[int, int], k: int) -> int:
    """Return the member that stands for the group of `k`, and shorten the way there."""
    while leader[k] != k:
        leader[k] = leader[leader[k]]
        k = leader[k]
    return k


def _confirmed(evidence: Sequence[Sighting], opposed: Sequence[Sighting], least_dates: int) -> bool:
    """Return whether two of the pairs have no date in common, there are dates enough, and few say the opposite."""
    pairs = {(pair.reference, pair.secondary) for pair, _ in evidence}
    dates = {day for pair in pairs for day in pair}
    if len(dates) < least_dates or set.intersection(*map(set, pairs)):
        return False
    begin, end = min(dates), max(dates)
    meanwhile = {
        (pair.reference, pair.secondary) for pair, _ in opposed if pair.reference < end and pair.secondary > begin
    }
    return len(pairs) >= _OUTNUMBERS * len(meanwhile)


def _joint_score(evidence: Sequence[Sighting]) -> float:
    """Return the score of pairs of which no date counts more than once.

    The best weights w of the edges of a graph, of which those at one node add up to 1 at most, are half the sum
    of the best assignment of its nodes to its nodes.
    """
    dates = sorted({day for sighting in evidence for day in (sighting.pair.reference, sighting.pair.secondary)})
    number = {day: k for k, day in enumerate(dates)}
    weight = np.zeros((len(dates), len(dates)))
    for pair, bowl in evidence:
        a, b = number[pair.reference], number[pair.secondary]
        weight[a, b] = weight[b, a] = max(weight[a, b], -np.log1p(-min(bowl.score, _SURE)))
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return float(-np.expm1(-weight[rows, columns].sum() / 2))


def _site(sightings: list[Sighting], score: float) -> Site:
    """Draw the footprint of a site."""
    windows = np.array([sighting.bowl.window for sighting in sightings])
    top, left = windows[:, :2].min(0)
    bottom, right = (windows[:, :2] + windows[:, 2:]).max(0)
    count = np.zeros((bottom - top, right - left), np.int32)
    for _, bowl in sightings:
        y, x = bowl.window.y - top, bowl.window.x - left
        count[y : y + bowl.window.height, x : x + bowl.window.width] += bowl.mask
    most = int(count.max())
    mask = count >= max(min(2, most), _FAINT * most)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    window = Window(int(top + rows[0]), int(left + columns[0]), mask.shape[0], mask.shape[1])
    return Site(window, mask, tuple(sightings), score)


def _shared(one: Window, other: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where two windows overlap, in either; empty slices if they do not."""
    top, left = max(one.y, other.y), max(one.x, other.x)
    bottom = max(min(one.y + one.height, other.y + other.height), top)
    right = max(min(one.x + one.width, other.x + other.width), left)
    return (
        (slice(top - one.y, bottom - one.y), slice(left - one.x, right - one.x)),
        (slice(top - other.y, bottom - other.y), slice(left - other.x, right - other.x)),
    )
