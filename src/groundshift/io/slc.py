"""What every reader of co-registered single-look images delivers: an `SlcStack`.

All dates lie on one grid. The phase of an image is -4 pi / wavelength times its path, so that `reference *
conj(secondary)` grows when the ground moves away from the satellite, as everywhere here. Readers settle sign, byte
order, number types and no-data values; they form nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, NoDataError
from groundshift.io.stack import Problem
from groundshift.types import Grid, LookGeometry, Window

__all__ = ["ReadSlc", "SlcStack"]

ReadSlc = Callable[[date, Window], NDArray[np.complex64]]
"""Read one date over a window of the stack's grid: complex64, shape (height, width), zero where there are no data."""

ReadPath = Callable[[date, Window], NDArray[np.float64]]
"""Read the path of one date over a window, less that of the first date: float64 metres, NaN where unknown."""

ReadMask = Callable[[Window], NDArray[np.bool_]]
"""Read over a window which pixels may be used: neither layover nor shadow, and not of other bursts."""

ReadHeight = Callable[[Window], NDArray[np.float32]]
"""Read terrain height in metres over a window: float32, NaN where unknown."""


@dataclass(frozen=True)
class SlcStack:
    """Co-registered single-look images of one burst or track on one grid, read lazily.

    `product` names the format, `root` the folder or file given. `wavelength` is in metres. `track` is a short name
    that tells this stack from others in a survey: the burst where the product says, else track, else the folder's name.
    """

    product: str
    root: Path
    track: str
    dates: tuple[date, ...]
    grid: Grid
    """Of the full resolution; its spacing is that on the ground, in metres."""
    wavelength: float
    read_date: ReadSlc = field(repr=False)
    look: LookGeometry | None = None
    baselines: Mapping[date, float] = field(default_factory=dict)
    """Perpendicular baseline of dates relative to the first one, metres; dates of which it is not known are missing."""
    read_path: ReadPath | None = field(default=None, repr=False)
    """The path to the terrain and the ellipsoid that is still in the phase; None where the product has taken it out."""
    read_mask: ReadMask | None = field(default=None, repr=False)
    read_height: ReadHeight | None = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()
    files: Mapping[date, tuple[Path, ...]] = field(default_factory=dict, repr=False)
    """The files that each date is read from, for checksums and messages."""

    def __post_init__(self) -> None:
        if len(self.dates) < 2:
            raise NoDataError(
                f"{self.root}: {len(self.dates)} usable image of {self.track}, 2 are needed for an interferogram; run "
                "`groundshift info` to see why others are skipped"
            )

    @property
    def full(self) -> Window:
        """The window that covers the whole grid."""
        return Window(0, 0, *self.grid.shape)

    def read(self, day: date, window: Window | None = None) -> NDArray[np.complex64]:
        """Read one image.

        Parameters
        ----------
        day : date
            One of `dates`.
        window : Window, optional
            Part of the grid; all of it by default.

        Returns
        -------
        (height, width) complex64 array
            Zero where there are no data; NaN and infinite values of the file read as zero.

        Raises
        ------
        DamagedFileError
            If a file of this date is truncated or unreadable.
        """
        window = window or self.full
        image = self.read_date(day, window)
        if image.shape != (window.height, window.width):
            names = ", ".join(str(p) for p in self.files.get(day, (self.root,)))
            raise DamagedFileError(
                f"{names}: expected {window.height} x {window.width} pixels, instead got "
                f"{image.shape[0]} x {image.shape[1]}; fetch the file again"
            )
        return image

    def select(self, dates: Sequence[date]) -> "SlcStack":
        """Return the stack of only these dates."""
        return replace(self, dates=tuple(sorted(dates)))
