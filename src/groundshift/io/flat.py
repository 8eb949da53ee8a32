"""Flat binary rasters of one or several bands, in whichever interleave and byte order a header gives."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.types import Window

__all__ = ["Layout", "check_size", "read_flat"]


@dataclass(frozen=True)
class Layout:
    """How the numbers of a flat raster lie in its file.

    `interleave` is `bsq` (band after band), `bil` (for each line the bands) or `bip` (for each pixel the bands),
    `dtype` a NumPy type with byte order, `offset` the bytes before the first number.
    """

    shape: tuple[int, int]
    dtype: str
    bands: int = 1
    interleave: str = "bsq"
    offset: int = 0

    @property
    def size(self) -> int:
        """Bytes that the file must have at least."""
        return self.offset + math.prod(self.shape) * self.bands * np.dtype(self.dtype).itemsize


def check_size(path: Path, layout: Layout) -> None:
    """Raise MissingFileError or DamagedFileError unless `path` holds what `layout` promises."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions") from error
    if size < layout.size or size == 0:
        raise DamagedFileError(
            f"{path}: expected {layout.size} bytes ({layout.shape[0]} x {layout.shape[1]} pixels, {layout.bands} "
            f"band{'s' if layout.bands > 1 else ''}), instead got {size}; fetch the file again"
        )


def read_flat(path: Path, layout: Layout, window: Window, band: int = 0) -> NDArray[Any]:
    """Read a window of one band (counted from 0) in machine byte order.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there or too small for its layout.
    """
    check_size(path, layout)
    (rows, columns), bands = layout.shape, layout.bands
    order = {"bsq": (bands, rows, columns), "bil": (rows, bands, columns), "bip": (rows, columns, bands)}
    cube = np.memmap(path, np.dtype(layout.dtype), "r", layout.offset, order[layout.interleave])
    plane = (
        cube[:, band] if layout.interleave == "bil" else cube[..., band] if layout.interleave == "bip" else cube[band]
    )
    return np.array(plane[window.rows, window.columns], np.dtype(layout.dtype).newbyteorder("="))
