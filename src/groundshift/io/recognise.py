"""Tell which product a path holds, and open it."""

from pathlib import Path
from typing import Protocol

from groundshift.errors import MissingFileError, NoDataError, UnknownFormatError
from groundshift.io import gamma, geotiff, hyp3, isce, licsar, mintpy, snap, wzp
from groundshift.io.stack import InterferogramStack

__all__ = ["READERS", "holds_interferograms", "open_stack"]


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


READERS: tuple[Reader, ...] = (mintpy, snap, isce, gamma, hyp3, licsar, wzp, geotiff)
"""Asked in this order; plain GeoTIFF last, for it recognises any raster with two dates in its name."""


def holds_interferograms(path: Path, product: str | None = None) -> bool:
    """Whether a path looks like interferograms of a product, or of any that a reader knows; opens no raster."""
    return path.exists() and any(reader.recognises(path) for reader in READERS if product in (None, reader.PRODUCT))


def open_stack(
    path: Path | str,
    *,
    product: str | None = None,
    pattern: str | None = None,
    wavelength: float | None = None,
    strict: bool = False,
) -> InterferogramStack:
    """Open a stack of interferograms, whatever product it is.

    Parameters
    ----------
    path : path
        A folder, or the file of a one-file product.
    product : str, optional
        Name of the reader; recognised from the files by default.
    pattern : str, optional
        Pattern of the file names of a plain GeoTIFF folder; implies that product.
    wavelength : float, optional
        Metres, for a plain GeoTIFF folder that does not tell; implies that product.
    strict : bool
        Stop at the first pair that would be skipped.

    Raises
    ------
    MissingFileError
        If there is nothing at `path`.
    UnknownFormatError
        If no reader recognises it, or `product` is not the name of one.
    NoDataError
        If the folder is empty.
    """
    path = Path(path)
    names = ", ".join(r.PRODUCT for r in READERS)
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder; check the spelling")
    if product is not None and product not in [r.PRODUCT for r in READERS]:
        raise UnknownFormatError(f"unknown format {product!r}; choose one of: {names}")
    if path.is_dir() and not any(path.iterdir()):
        raise NoDataError(f"{path}: the folder is empty; give the folder that holds the interferograms")
    if pattern is not None or wavelength is not None:
        if product not in (None, geotiff.PRODUCT):
            raise UnknownFormatError(
                f"a name pattern or wavelength is for plain GeoTIFF, not for {product}; leave it out"
            )
        return geotiff.open_stack(path, strict=strict, pattern=pattern, wavelength=wavelength)
    for reader in READERS:
        if product == reader.PRODUCT or (product is None and reader.recognises(path)):
            return reader.open_stack(path, strict=strict)
    raise UnknownFormatError(f"{path}: no known product here; --format takes one of: {names}")
