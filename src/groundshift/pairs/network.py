"""The network that pairs make of their dates: what hangs together, where it breaks, and what each date adds to a sum.

A date is a node, a pair an edge. Dates that no chain of pairs joins belong to different groups; between groups nothing
tells how far the ground moved. In a weighted sum of interferograms each date appears once per pair it takes part in,
with the pair's weight as secondary and minus that weight as reference. Most of these cancel in a regular network, and
what is left of a date is all that its atmosphere (and its orbit, through the DEM error) contributes to the sum.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.errors import DisconnectedNetworkError
from groundshift.types import Pair

__all__ = [
    "DateCoefficients",
    "DateGap",
    "DateGraph",
    "DateGroup",
    "date_coefficients",
    "date_graph",
    "incidence_matrix",
    "require_connected",
]

_NAMED_BREAKS = 3
"""So many breaks of a network are named one by one in a message."""


class DateGroup(NamedTuple):
    """Dates that pairs join to each other, ascending."""

    dates: tuple[date, ...]

    @property
    def first(self) -> date:
        """Earliest date."""
        return self.dates[0]

    @property
    def last(self) -> date:
        """Latest date."""
        return self.dates[-1]


class DateGap(NamedTuple):
    """Two dates with none between them that lie far apart, or in different groups."""

    before: date
    after: date
    connected: bool
    """Whether some chain of pairs joins both dates."""
    spanned: bool
    """Whether some pair begins no later and ends no earlier; pairs of other groups count."""

    @property
    def days(self) -> int:
        """Days from one date to the other."""
        return (self.after - self.before).days


@dataclass(frozen=True)
class DateGraph:
    """How the pairs join their dates: groups in order of their first date, gaps in order of time."""

    dates: tuple[date, ...]
    groups: tuple[DateGroup, ...]
    gaps: tuple[DateGap, ...]

    @property
    def connected(self) -> bool:
        """Whether all dates belong to one group."""
        return len(self.groups) <= 1


class DateCoefficients(NamedTuple):
    """What each date contributes to a weighted sum of interferograms."""

    dates: tuple[date, ...]
    """All dates of the pairs, ascending."""
    coefficients: NDArray[np.float64]
    """Shape (date,): summed weight as secondary minus summed weight as reference."""

    @property
    def root_sum_square(self) -> float:
        """Standard deviation of the sum where each date brings independent noise of standard deviation one."""
        return math.sqrt(float(self.coefficients @ self.coefficients))


def date_graph(pairs: Sequence[Pair], *, max_spacing: float = 36) -> DateGraph:
    """Sort the dates of `pairs` into groups that pairs join, and find the gaps between them.

    Parameters
    ----------
    pairs : sequence of Pair
        In any order; none make an empty graph.
    max_spacing : float
        Days, positive. Consecutive dates further apart than this are a gap even where pairs join them.

    Returns
    -------
    DateGraph
        Groups, and each gap between consecutive dates.

    Examples
    --------
    >>> from groundshift.types import Pair
    >>> graph = date_graph([Pair(date(2020, 1, 1), date(2020, 1, 13)), Pair(date(2021, 3, 4), date(2021, 3, 16))])
    >>> [(group.first.year, len(group.dates)) for group in graph.groups]
    [(2020, 2), (2021, 2)]
    >>> [(gap.days, gap.connected) for gap in graph.gaps]
    [(416, False)]
    """
    check_positive("max_spacing", max_spacing)
    leader: dict[date, date] = {}
    for pair in pairs:
        first, second = _leader(leader, pair.reference), _leader(leader, pair.secondary)
        # The earlier date leads, so that groups come out in order of their first date.
        leader[max(first, second)] = min(first, second)
    dates = tuple(sorted(leader))
    members: dict[date, list[date]] = {}
    for day in dates:
        members.setdefault(_leader(leader, day), []).append(day)
    ends: dict[date, date] = {}
    for pair in pairs:
        ends[pair.reference] = max(pair.secondary, ends.get(pair.reference, date.min))
    gaps = []
    reached = date.min
    for before, after in itertools.pairwise(dates):
        connected = _leader(leader, before) == _leader(leader, after)
        reached = max(reached, ends.get(before, date.min))
        if not connected or (after - before).days > max_spacing:
            gaps.append(DateGap(before, after, connected, reached >= after))
    return DateGraph(dates, tuple(DateGroup(tuple(group)) for group in members.values()), tuple(gaps))


def require_connected(pairs: Sequence[Pair]) -> None:
    """Stop unless pairs join all dates into one group.

    Raises
    ------
    DisconnectedNetworkError
        If they do not; the line names the date at which each further group begins.

    Examples
    --------
    >>> from groundshift.types import Pair
    >>> require_connected([Pair(date(2020, 1, 1), date(2020, 1, 13)), Pair(date(2021, 3, 4), date(2021, 3, 16))])
    Traceback (most recent call last):
    groundshift.errors.DisconnectedNetworkError: network splits into 2 groups at 2021-03-04; add a pair across that date
    """
    groups = date_graph(pairs).groups
    if len(groups) <= 1:
        return
    breaks = [str(group.first) for group in groups[1:]]
    places, remedy = breaks[0], "add a pair across that date"
    if len(breaks) > 1:
        more = f" and {len(breaks) - _NAMED_BREAKS} more" if len(breaks) > _NAMED_BREAKS else ""
        places, remedy = ", ".join(breaks[:_NAMED_BREAKS]) + more, "add a pair across each of these dates"
    raise DisconnectedNetworkError(f"network splits into {len(groups)} groups at {places}; {remedy}")


def incidence_matrix(pairs: Sequence[Pair]) -> tuple[tuple[date, ...], NDArray[np.float64]]:
    """Write the pairs as differences of dates.

    Returns
    -------
    dates, incidence
        The dates, ascending; float64 array of shape (pair, date), +1 where the date is the pair's secondary, -1 where
        it is its reference, else 0.
    """
    dates = date_graph(pairs).dates
    column = {day: index for index, day in enumerate(dates)}
    rows = np.arange(len(pairs))
    incidence = np.zeros((len(pairs), len(dates)))
    incidence[rows, [column[pair.reference] for pair in pairs]] = -1.0
    incidence[rows, [column[pair.secondary] for pair in pairs]] = 1.0
    return dates, incidence


def date_coefficients(pairs: Sequence[Pair], weights: ArrayLike) -> DateCoefficients:
    """Return the coefficient that each date ends up with in a weighted sum of pairs.

    Parameters
    ----------
    pairs : sequence of Pair
        In any order.
    weights : (pair,) array
        Weight of each pair in the sum.

    Returns
    -------
    DateCoefficients
        Dates and their coefficients. The coefficients sum to zero, and their sum weighted with the dates (in days) is
        the weighted sum of the temporal baselines.

    Raises
    ------
    ValueError
        If there is not one weight for each pair.

    Notes
    -----
    A delay that is the same for a whole date (atmosphere, orbit) enters the sum with this coefficient, so that the sum
    keeps `root_sum_square` times the standard deviation of one date. Of a full network of equal weights only the dates
    at both ends remain; each gap brings more of them back.

    Examples
    --------
    >>> from groundshift.types import Pair
    >>> days = [date(2020, 1, 1), date(2020, 1, 13), date(2020, 1, 25)]
    >>> chain = [Pair(days[0], days[1]), Pair(days[1], days[2])]
    >>> date_coefficients(chain, [1, 1]).coefficients
    array([-1.,  0.,  1.])
    """
    weights = np.asarray(weights, np.float64)
    check_shape("weights", weights, (len(pairs),))
    dates, incidence = incidence_matrix(pairs)
    return DateCoefficients(dates, weights @ incidence)


def _leader(leader: dict[date, date], day: date) -> date:
    """Return the date that leads the group of `day`, entering `day` where it is new."""
    leader.setdefault(day, day)
    while leader[day] != day:
        leader[day] = leader[leader[day]]
        day = leader[day]
    return day
