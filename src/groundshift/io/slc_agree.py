"""What becomes of the images that a reader found: those of a burst that share a grid stay, the others are named."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from groundshift.errors import NoDataError, ProductError
from groundshift.io.agree import GridKey
from groundshift.io.slc import SlcStack
from groundshift.io.stack import Problem

__all__ = ["FoundSlc", "open_bursts", "settle_dates", "split_burst"]

_BURST = re.compile(r"(?<![A-Za-z0-9])t(\d{3})[-_](\d{6})[-_](iw[1-3])(?![A-Za-z0-9])", re.IGNORECASE)

_NOTHING = "{}: no single-look images here; give the folder that holds them"


def split_burst(name: str) -> tuple[str | None, str]:
    """Return the Sentinel-1 burst of a name as OPERA writes it, or None, and the name without it.

    Examples
    --------
    >>> split_burst("t144_308029_iw1_20200101.h5")
    ('T144-308029-IW1', '_20200101.h5')
    """
    match = _BURST.search(name)
    if match is None:
        return None, name
    return f"T{match[1]}-{match[2]}-{match[3].upper()}", f"{name[: match.start()]}{name[match.end() :]}"


class FoundSlc(NamedTuple):
    """An image that a reader recognised."""

    day: date
    files: tuple[Path, ...]
    """What it is read from; the first one names it in messages."""
    grid: GridKey


def settle_dates(
    root: Path, found: Sequence[FoundSlc], problems: Sequence[Problem], strict: bool
) -> tuple[dict[date, tuple[Path, ...]], GridKey, tuple[Problem, ...]]:
    """Keep the images of one burst on the most common grid, each date once and in order.

    Parameters
    ----------
    root : path
        The folder or file given, for the message when nothing is left.
    found : sequence of FoundSlc
        What the reader recognised, in any order.
    problems : sequence of Problem
        What it had to skip or wants to say.
    strict : bool
        Raise on the first skipped image instead of leaving it out.

    Returns
    -------
    files, grid, problems
        Files by date, ascending; the grid they share; all problems, those found here included.

    Raises
    ------
    ProductError
        If `strict` and an image was skipped.
    NoDataError
        If no image is left; the line is that of the first problem.
    """
    every = list(problems)
    kept: dict[date, tuple[Path, ...]] = {}
    grid = GridKey((0, 0))
    if found:
        # Of two equally common grids the earliest date's is taken, so that the result does not hang on file order.
        in_order = sorted(found, key=lambda one: (one.day, one.files))
        grid = Counter(one.grid for one in in_order).most_common(1)[0][0]
        for one in in_order:
            first = one.files[0]
            if one.grid != grid:
                every.append(Problem(first, f"{first}: {_difference(one.grid, grid)}"))
            elif one.day in kept:
                line = f"{first}: date {one.day} is already given by {kept[one.day][0]}; remove one"
                every.append(Problem(first, line))
            else:
                kept[one.day] = one.files
    skipped = [problem for problem in every if problem.skipped]
    if strict and skipped:
        raise ProductError(skipped[0].message)
    if not kept:
        raise NoDataError(skipped[0].message if skipped else _NOTHING.format(root))
    return kept, grid, tuple(every)


def open_bursts(
    root: Path, openers: Mapping[str, Callable[[], SlcStack]], strict: bool, strays: Sequence[Problem] = ()
) -> list[SlcStack]:
    """Open every burst that a reader found under one path; one with fewer than two usable images stops no other.

    Parameters
    ----------
    root : path
        The folder or file given.
    openers : mapping of callable
        By the name of the burst, what opens it.
    strict : bool
        Raise for a burst that cannot be used.
    strays : sequence of Problem
        Files of which the reader cannot tell the burst.

    Returns
    -------
    list of SlcStack
        By name of the burst. What was left out is told with the first one.

    Raises
    ------
    NoDataError
        If no burst can be used; the line is that of the first problem.
    ProductError
        If `strict` and one cannot be used, or there is a skipped stray.
    """
    stacks: list[SlcStack] = []
    lost = list(strays)
    for name in sorted(openers):
        try:
            stacks.append(openers[name]())
        except NoDataError as error:
            lost.append(Problem(root, str(error)))
    skipped = [problem for problem in lost if problem.skipped]
    if not stacks:
        raise NoDataError(skipped[0].message if skipped else _NOTHING.format(root))
    if strict and skipped:
        raise ProductError(skipped[0].message)
    return [replace(stacks[0], problems=(*stacks[0].problems, *lost)), *stacks[1:]]


def _difference(grid: GridKey, others: GridKey) -> str:
    """Say in what a grid differs from that of the other dates."""
    if grid.shape != others.shape:
        return (
            f"{grid.shape[0]} x {grid.shape[1]} pixels, but the other dates have {others.shape[0]} x "
            f"{others.shape[1]}; bring it to their grid or remove it"
        )
    return "lies elsewhere than the other dates; bring it to their grid or remove it"
