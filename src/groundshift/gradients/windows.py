"""Time windows: which pairs are stacked together.

A slope that moves to and fro within the year cancels in the sum of whole years (Luri in Fu et al. (2022)), and one that
moved for two years only drowns in ten. All windows are filled in one pass over the files.
"""

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import numpy as np

from groundshift.checks import check_within
from groundshift.errors import NoDataError
from groundshift.types import Pair

__all__ = ["between", "in_months", "named_windows", "sliding"]

_YEAR = set(range(1, 13))


def in_months(pairs: Sequence[Pair], months: Collection[int]) -> list[int]:
    """Return the indices of the pairs whose middle date falls in one of the `months` (1 to 12)."""
    return [k for k, p in enumerate(pairs) if (p.reference + timedelta(days=p.days / 2)).month in months]


def between(pairs: Sequence[Pair], start: date, end: date) -> list[int]:
    """Return the indices of the pairs that lie wholly within two dates, both included."""
    return [k for k, p in enumerate(pairs) if start <= p.reference and p.secondary <= end]


def sliding(pairs: Sequence[Pair], years: int) -> dict[str, list[int]]:
    """Return windows of whole calendar years, one starting each year, named like `2018-2019`.

    A last window that ends after the last date is left out unless it is the only one.
    """
    check_within("years", years, 1, 100)
    first, last = min(p.reference for p in pairs).year, max(p.secondary for p in pairs).year
    found = {}
    for year in range(first, max(last - years + 1, first) + 1):
        name = f"{year}" if years == 1 else f"{year}-{year + years - 1}"
        found[name] = between(pairs, date(year, 1, 1), date(year + years - 1, 12, 31))
    return found


def named_windows(
    pairs: Sequence[Pair],
    *,
    wet_months: Collection[int] | None,
    sliding_years: int | None,
    given: dict[str, tuple[date, date]] | None = None,
    least: int = 10,
) -> dict[str, list[int]]:
    """Return the windows of a run: `all`, seasons, sliding years, and those given by dates.

    Parameters
    ----------
    pairs : sequence of Pair
    wet_months : collection of int, optional
        Months of the wet season; the others are dry. Both are also stacked three months later, as `wet-late` and
        `dry-late`: a yearly motion that turns in the middle of one half-year shows in the other. None leaves all four
        out.
    sliding_years : int, optional
        Length of the sliding windows; None leaves them out.
    given : dict, optional
        First and last date by name.
    least : int
        Windows of fewer pairs are left out, except `all` and those given.

    Raises
    ------
    NoDataError
        If a given window holds no pair.
    """
    everything = list(range(len(pairs)))
    found: dict[str, list[int]] = {"all": everything}
    seasonal: dict[str, list[int]] = {}
    if wet_months:
        seasonal["wet"] = in_months(pairs, wet_months)
        seasonal["dry"] = in_months(pairs, _YEAR - set(wet_months))
        late = {(month + 2) % 12 + 1 for month in wet_months}
        seasonal["wet-late"] = in_months(pairs, late)
        seasonal["dry-late"] = in_months(pairs, _YEAR - late)
    if sliding_years:
        seasonal.update(sliding(pairs, sliding_years))
    for name, members in seasonal.items():
        if least <= len(members) < len(everything):
            found[name] = members
    for name, (start, end) in (given or {}).items():
        members = between(pairs, start, end)
        if not members:
            raise NoDataError(f"window {name}: no pair lies between {start} and {end}; widen it")
        found[name] = members
    return {name: list(np.unique(members).tolist()) for name, members in found.items()}
