"""What every reader delivers: an `InterferogramStack`.

Phase is that of `reference * conj(secondary)`, magnitude is coherence in [0, 1], zero means no data. A reader hands
over a function that reads one pair; everything a product does differently (sign, byte order, nodata, several files
for one pair) is settled inside that function.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, NoDataError, ProductError
from groundshift.types import Grid, LookGeometry, Pair, Window

__all__ = ["CoherenceSource", "InterferogramStack", "Problem", "ReadPair", "settle_pairs"]

CoherenceSource = Literal["product", "estimated"]
"""Whether the magnitude is a coherence of the product or estimated from local phase consistency."""

ReadPair = Callable[[Pair, Window], NDArray[np.complex64]]
"""Read one pair over a window of the stack's grid: complex64, shape (height, width)."""

ReadHeight = Callable[[Window], NDArray[np.float32]]
"""Read terrain height in metres over a window: float32, NaN where unknown."""


@dataclass(frozen=True)
class Problem:
    """Something about one file that its user should know.

    `message` is one line that names the file and says what to do. A `skipped` problem means that its pair is left
    out of the stack; `--strict` turns it into an error.
    """

    path: Path
    message: str
    skipped: bool = True


@dataclass(frozen=True)
class InterferogramStack:
    """Interferograms of one track, frame or burst on one grid, read lazily.

    `product` names the format, `root` the folder or file given, `sign` says in words how the product's phase
    relates to ours. `wavelength` is in metres. `track` is a short name that tells this stack from others in a
    survey (burst, frame or track where the product says, else the folder's name).
    """

    product: str
    root: Path
    track: str
    pairs: tuple[Pair, ...]
    grid: Grid
    wavelength: float
    sign: str
    coherence_source: CoherenceSource
    read_pair: ReadPair = field(repr=False)
    look: LookGeometry | None = None
    read_height: ReadHeight | None = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()
    files: dict[Pair, tuple[Path, ...]] = field(default_factory=dict, repr=False)
    """The files that each pair is read from, for checksums and messages."""

    def __post_init__(self) -> None:
        if not self.pairs:
            raise NoDataError(
                f"{self.root}: no usable interferogram; run `groundshift info` to see why each is skipped"
            )

    @property
    def dates(self) -> list["np.datetime64"]:
        """All acquisition dates, ascending."""
        return sorted({np.datetime64(d) for p in self.pairs for d in (p.reference, p.secondary)})

    @property
    def full(self) -> Window:
        """The window that covers the whole grid."""
        return Window(0, 0, *self.grid.shape)

    def read(self, pair: Pair, window: Window | None = None) -> NDArray[np.complex64]:
        """Read one interferogram.

        Parameters
        ----------
        pair : Pair
            One of `pairs`.
        window : Window, optional
            Part of the grid; all of it by default.

        Returns
        -------
        (height, width) complex64 array
            Coherence times phasor; magnitude in [0, 1], zero where there are no data. NaN and infinite values of the
            file read as zero.

        Raises
        ------
        DamagedFileError
            If a file of this pair is truncated or unreadable.
        """
        window = window or self.full
        igram = self.read_pair(pair, window)
        if igram.shape != (window.height, window.width):
            names = ", ".join(str(p) for p in self.files.get(pair, (self.root,)))
            raise DamagedFileError(
                f"{names}: expected {window.height} x {window.width} pixels, instead got "
                f"{igram.shape[0]} x {igram.shape[1]}; fetch the file again"
            )
        return igram

    def select(self, pairs: Sequence[Pair]) -> "InterferogramStack":
        """Return the stack of only these pairs, in the order given."""
        return replace(self, pairs=tuple(pairs))


def settle_pairs(
    found: Sequence[tuple[Pair, tuple[Path, ...]]], problems: Sequence[Problem], strict: bool
) -> tuple[dict[Pair, tuple[Path, ...]], tuple[Problem, ...]]:
    """Order the pairs that a reader found by date, and leave out the second of two equal ones.

    Parameters
    ----------
    found : sequence of (pair, files)
        What the reader recognised, in any order.
    problems : sequence of Problem
        What it had to skip or wants to say.
    strict : bool
        Raise on the first skipped pair instead of leaving it out.

    Returns
    -------
    files, problems
        Files by pair, in date order; all problems, those of doubles included.

    Raises
    ------
    ProductError
        If `strict` and a pair was skipped.
    """
    every = list(problems)
    kept: dict[Pair, tuple[Path, ...]] = {}
    seen: dict[str, Path] = {}
    for pair, files in sorted(found, key=lambda item: (item[0].reference, item[0].secondary, item[1])):
        if pair.name in seen:
            every.append(
                Problem(files[0], f"{files[0]}: pair {pair.name} is already given by {seen[pair.name]}; remove one")
            )
            continue
        seen[pair.name] = files[0]
        kept[pair] = files
    if strict:
        for problem in every:
            if problem.skipped:
                raise ProductError(problem.message)
    return kept, tuple(every)
