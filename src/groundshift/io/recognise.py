"""Tell which product a path holds, and open it."""

from pathlib import Path
from typing import Protocol

from groundshift.errors import MissingFileError, NoDataError, UnknownFormatError
from groundshift.io import geotiff
from groundshift.io.stack import InterferogramStack

__all__ = ["READERS", "open_stack"]


class Reader(Protocol):
    """A module that reads one product family."""

    PRODUCT: str
    """Its name, as `--format` takes it."""

    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like this product; cheap, opens no raster."""
        ...

    def open_stack(self, path: Path, *, strict: bool = False) -> InterferogramStack:
        """Open the product."""
        ...


READERS: tuple[Reader, ...] = (geotiff,)
"""Asked in this order; plain GeoTIFF last, for it recognises any raster with two dates in its name."""


def open_stack(path: Path | str, *, product: str | None = None, strict: bool = False) -> InterferogramStack:
    """Open a stack of interferograms, whatever product it is.

    Parameters
    ----------
    path : path
        A folder, or the file of a one-file product.
    product : str, optional
        Name of the reader; recognised from the files by default.
    strict : bool
        Stop at the first pair that would be skipped.

    Raises
    ------
    MissingFileError
        If there is nothing at `path`.
    UnknownFormatError
        If no reader recognises it, or `product` is not the name of one.
    """
    path = Path(path)
    names = ", ".join(r.PRODUCT for r in READERS)
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder; check the spelling")
    if product is not None:
        for reader in READERS:
            if reader.PRODUCT == product:
                return reader.open_stack(path, strict=strict)
        raise UnknownFormatError(f"unknown format {product!r}; choose one of: {names}")
    if path.is_dir() and not any(path.iterdir()):
        raise NoDataError(f"{path}: the folder is empty; give the folder that holds the interferograms")
    for reader in READERS:
        if reader.recognises(path):
            return reader.open_stack(path, strict=strict)
    raise UnknownFormatError(f"{path}: no known product here; --format takes one of: {names}")
