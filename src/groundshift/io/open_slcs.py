"""Tell which product of co-registered single-look images a path holds, and open its bursts."""

from pathlib import Path
from typing import Protocol

from groundshift.errors import MissingFileError, NoDataError, UnknownFormatError
from groundshift.io import opera, slc_gamma, slc_geotiff, slc_isce, slc_snap
from groundshift.io.slc import SlcStack

__all__ = ["SLC_READERS", "holds_slcs", "open_slcs"]


class SlcReader(Protocol):
    """A module that reads one product family."""

    PRODUCT: str
    """Its name, as `--format` takes it."""

    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like this product; cheap, reads no pixel."""
        ...

    def open_slcs(self, path: Path, *, strict: bool = False) -> list[SlcStack]:
        """Open every burst of the product, in the order of their names."""
        ...


SLC_READERS: tuple[SlcReader, ...] = (opera, slc_isce, slc_gamma, slc_snap, slc_geotiff)
"""Asked in this order; plain GeoTIFF last, for it recognises any complex raster with one date in its name."""


def holds_slcs(path: Path | str, product: str | None = None) -> bool:
    """Whether a path looks like single-look images of a product, or of any that a reader knows; reads no pixel."""
    path = Path(path)
    return path.exists() and any(r.recognises(path) for r in SLC_READERS if product in (None, r.PRODUCT))


def open_slcs(path: Path | str, *, product: str | None = None, strict: bool = False) -> list[SlcStack]:
    """Open co-registered single-look images, whatever product they are.

    Parameters
    ----------
    path : path
        A folder, whose folders may hold bursts of their own, or the file of a one-file product.
    product : str, optional
        Name of the reader; recognised from the files by default.
    strict : bool
        Stop at the first image that would be skipped.

    Returns
    -------
    list of SlcStack
        One for each burst, in the order of their names.

    Raises
    ------
    MissingFileError
        If there is nothing at `path`.
    UnknownFormatError
        If no reader recognises it, or `product` is not the name of one.
    NoDataError
        If the folder is empty, or no burst has two usable images.
    """
    path = Path(path)
    names = ", ".join(reader.PRODUCT for reader in SLC_READERS)
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder; check the spelling")
    if product is not None and product not in [reader.PRODUCT for reader in SLC_READERS]:
        raise UnknownFormatError(f"unknown format {product!r} of single-look images; choose one of: {names}")
    if path.is_dir() and not any(path.iterdir()):
        raise NoDataError(f"{path}: the folder is empty; give the folder that holds the images")
    for reader in SLC_READERS:
        if product == reader.PRODUCT or (product is None and reader.recognises(path)):
            return reader.open_slcs(path, strict=strict)
    raise UnknownFormatError(f"{path}: no known product of single-look images here; --format takes one of: {names}")
