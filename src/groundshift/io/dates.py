"""Acquisition dates and pairs out of file and folder names.

Forms known: `20200604`, `2020-06-04`, `04Jun2020` and `200604`, two of them with `_`, `-` or nothing between. Two
dates that stand next to each other are preferred to dates further apart, and four-digit years to two-digit ones,
because burst numbers and clock times also have six digits.
"""

import re
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from groundshift.errors import ProductError
from groundshift.io.stack import Problem
from groundshift.types import Pair

__all__ = ["date_in_name", "dates_in_name", "pair_in_name", "pair_or_problem"]


def pair_in_name(text: str) -> Pair | None:
    """Return the pair that a name states, or None if it holds fewer than two dates.

    Raises
    ------
    ProductError
        If the first date is not earlier than the second; the line says so without naming a file (see
        `pair_or_problem`).

    Examples
    --------
    >>> pair_in_name("S1_136231_IW2_20200604_20200616_VV_INT80_12E3_corr.tif").name
    '20200604_20200616'
    >>> pair_in_name("geo_060619-061002_unw.tif").name
    '20060619_20061002'
    >>> pair_in_name("i_ifg_IW1_VV_02Jul2018_14Jul2018.img").name
    '20180702_20180714'
    """
    dates = dates_in_name(text)
    if dates is None:
        return None
    first, second = dates
    if first == second:
        raise ProductError(f"both dates are {first}; name it by the two dates of the pair")
    if first > second:
        raise ProductError(
            f"dates {first} and {second} are the wrong way round; form the pair again with the earlier date as "
            "reference, or rename it if only the name is wrong"
        )
    return Pair(first, second)


def pair_or_problem(path: Path, text: str | None = None) -> Pair | Problem | None:
    """Return the pair that a file is named by, or the problem with it, or None if it names no pair.

    Parameters
    ----------
    path : path
        The file, for the message.
    text : str, optional
        Where the dates stand, if not in the file's own name (a folder, a header).
    """
    try:
        return pair_in_name(path.name if text is None else text)
    except ProductError as error:
        return Problem(path, f"{path}: {error}")


def dates_in_name(text: str) -> tuple[date, date] | None:
    """Return the first two dates of a name in the order they stand, or None if there are fewer."""
    for pattern in _PATTERNS:
        found = list(_dates(pattern, text))
        for one, two in pairwise(found):
            if _BETWEEN.fullmatch(text, one.end, two.start):
                return one.date, two.date
        if len(found) > 1 and pattern is not _SHORT:
            return found[0].date, found[1].date
    return None


def date_in_name(text: str) -> date | None:
    """Return the first date of a name, or None if there is none.

    Examples
    --------
    >>> date_in_name("20190109.rmli.par")
    datetime.date(2019, 1, 9)
    """
    for pattern in _PATTERNS:
        for found in _dates(pattern, text):
            return found.date
    return None


class _Found(NamedTuple):
    """A date and where it stands in the text."""

    date: date
    start: int
    end: int


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# A run of digits is a date, or exactly two dates without anything between; never a part of a longer number.
_LONG = re.compile(
    r"(?<!\d)(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?=(?:\d{8})?(?!\d))"
    r"|(?<=\d{8})(?<!\d{9})(?P<y2>\d{4})(?P<m2>\d\d)(?P<d2>\d\d)(?!\d)"
    r"|(?:(?<!\d)|(?<=\d{4}-\d\d-\d\d))(?P<y3>\d{4})-(?P<m3>\d\d)-(?P<d3>\d\d)(?:(?!\d)|(?=\d{4}-\d\d-\d\d))"
)
_NAMED = re.compile(r"(?:(?<!\d)|(?<=[A-Za-z]{3}\d{4}))(?P<d>\d\d?)(?P<m>[A-Za-z]{3})(?P<y>\d{4})")
_SHORT = re.compile(
    r"(?<!\d)(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)(?=(?:\d{6})?(?!\d))"
    r"|(?<=\d{6})(?<!\d{7})(?P<y3>\d\d)(?P<m3>\d\d)(?P<d3>\d\d)(?!\d)"
)
_PATTERNS = (_LONG, _NAMED, _SHORT)
_BETWEEN = re.compile(r"(?:[Tt]\d{4,6}[Zz]?)?[_-]*")


def _dates(pattern: re.Pattern[str], text: str) -> Iterator[_Found]:
    """Yield the dates of one form, leaving out numbers that are no day of the calendar."""
    for match in pattern.finditer(text):
        parts = {key[0]: value for key, value in match.groupdict().items() if value is not None}
        month = parts["m"].lower()
        try:
            number = _MONTHS.index(month) + 1 if month.isalpha() else int(month)
            year = int(parts["y"])
            if len(parts["y"]) == 2:
                year += 1900 if year >= 70 else 2000
            day = date(year, number, int(parts["d"]))
        except ValueError:
            continue
        if 1970 <= day.year < 2100:
            yield _Found(day, match.start(), match.end())
