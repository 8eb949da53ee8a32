"""What becomes of the pairs that a reader found: those that share a grid stay, the others are named."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from groundshift.errors import NoDataError
from groundshift.io.stack import Problem, settle_pairs
from groundshift.types import Pair

__all__ = ["Found", "GridKey", "settle_on_grid"]


class GridKey(NamedTuple):
    """What tells one grid from another: its shape, and where it lies as far as the product says."""

    shape: tuple[int, int]
    place: tuple[Any, ...] = ()


class Found(NamedTuple):
    """A pair that a reader recognised."""

    pair: Pair
    files: tuple[Path, ...]
    grid: GridKey


def settle_on_grid(
    root: Path, found: Sequence[Found], problems: Sequence[Problem], strict: bool
) -> tuple[dict[Pair, tuple[Path, ...]], GridKey, tuple[Problem, ...]]:
    """Keep the pairs on the most common grid, each once and in date order.

    Parameters
    ----------
    root : path
        The folder or file given, for the message when nothing is left.
    found : sequence of Found
        What the reader recognised, in any order.
    problems : sequence of Problem
        What it had to skip or wants to say.
    strict : bool
        Raise on the first skipped pair instead of leaving it out.

    Returns
    -------
    files, grid, problems
        Files by pair, in date order; the grid they share; all problems, those found here included.

    Raises
    ------
    ProductError
        If `strict` and a pair was skipped.
    NoDataError
        If no pair is left; the line is that of the first problem.
    """
    every = list(problems)
    kept: list[tuple[Pair, tuple[Path, ...]]] = []
    grid = GridKey((0, 0))
    if found:
        # Of two equally common grids the earliest pair's is taken, so that the result does not hang on file order.
        in_order = sorted(found, key=lambda one: (one.pair.name, one.files))
        grid = Counter(one.grid for one in in_order).most_common(1)[0][0]
        for one in in_order:
            if one.grid == grid:
                kept.append((one.pair, one.files))
            else:
                every.append(Problem(one.files[0], f"{one.files[0]}: {_difference(one.grid, grid)}"))
    files, settled = settle_pairs(kept, every, strict)
    if not files:
        first = next((problem.message for problem in settled if problem.skipped), None)
        raise NoDataError(first or f"{root}: no interferograms here; give the folder that holds them")
    return files, grid, settled


def _difference(grid: GridKey, others: GridKey) -> str:
    """Say in what a grid differs from that of the other pairs."""
    if grid.shape != others.shape:
        return (
            f"{grid.shape[0]} x {grid.shape[1]} pixels, but the other pairs have {others.shape[0]} x "
            f"{others.shape[1]}; bring it to their grid or remove it"
        )
    return "lies elsewhere than the other pairs; bring it to their grid or remove it"
