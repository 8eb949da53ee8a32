"""Raster files: windows of them, the grid they lie on, and GeoTIFFs that appear whole or not at all."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import DTypeLike, NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.io.atomic import atomic_path
from groundshift.types import Grid, MapGrid, Window

__all__ = ["polar", "raster_grid", "read_band", "read_binary", "write_geotiff"]

# A raster in radar geometry has no place on a map, and is no fault. Once for all, since filters that come and go are
# not safe between threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def raster_grid(path: Path) -> MapGrid:
    """Return the map grid of a raster file.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, cannot be decoded, or carries no coordinate system.
    """
    with _opened(path) as source:
        if source.crs is None:
            raise DamagedFileError(f"{path}: no coordinate system; assign one with gdal_edit -a_srs")
        return MapGrid((source.height, source.width), source.transform, source.crs.to_string())


def read_band(path: Path, window: Window, band: int = 1) -> NDArray[Any]:
    """Read a window of one band, in the file's own type.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, truncated or cannot be decoded.
    """
    with _opened(path) as source:
        if window.y + window.height > source.height or window.x + window.width > source.width:
            raise DamagedFileError(
                f"{path}: expected at least {window.y + window.height} x {window.x + window.width} pixels, instead got "
                f"{source.height} x {source.width}; fetch the file again"
            )
        try:
            return np.asarray(
                source.read(band, window=rasterio.windows.Window(window.x, window.y, window.width, window.height))
            )
        except (RasterioError, OSError) as error:
            raise DamagedFileError(f"{path}: truncated or unreadable raster; fetch the file again") from error


def read_binary(path: Path, shape: tuple[int, int], dtype: DTypeLike, window: Window) -> NDArray[Any]:
    """Read a window of a headerless raster of `shape`, row by row, in machine byte order.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, or its size is not that of `shape` and `dtype`.
    """
    kind = np.dtype(dtype)
    expected = math.prod(shape) * kind.itemsize
    try:
        size = path.stat().st_size
        if size != expected:
            raise DamagedFileError(
                f"{path}: expected {expected} bytes ({shape[0]} x {shape[1]} pixels), instead got {size}; "
                "fetch the file again"
            )
        rows: NDArray[Any] = np.fromfile(
            path, kind, count=window.height * shape[1], offset=window.y * shape[1] * kind.itemsize
        ).reshape(window.height, shape[1])
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions") from error
    return rows[:, window.columns].astype(kind.newbyteorder("="), copy=False)


def polar(
    coherence: NDArray[np.floating[Any]], phase: NDArray[np.floating[Any]], valid: NDArray[np.bool_]
) -> NDArray[np.complex64]:
    """Join coherence and phase (radians) into an interferogram.

    Coherence is clipped to [0, 1]; pixels that are not `valid`, or where either value is NaN or infinite, become zero.
    """
    valid = valid & np.isfinite(coherence) & np.isfinite(phase)
    magnitude = np.where(valid, coherence, 0).astype(np.float32, copy=False)
    np.clip(magnitude, 0, 1, out=magnitude)
    angle = np.where(valid, phase, 0).astype(np.float32, copy=False)
    # Nine times as fast as a complex exponential.
    igram = np.empty(valid.shape, np.complex64)
    np.multiply(magnitude, np.cos(angle), out=igram.real)
    np.multiply(magnitude, np.sin(angle, out=angle), out=igram.imag)
    return igram


def write_geotiff(
    path: Path,
    array: NDArray[Any],
    grid: Grid,
    *,
    nodata: float | None = None,
    description: str = "",
    unit: str = "",
) -> None:
    """Write a (y, x) or (band, y, x) array as a compressed, tiled GeoTIFF, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    bands = array[np.newaxis] if array.ndim == 2 else array
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "nodata": nodata,
        "compress": "deflate",
        "predictor": 3 if bands.dtype.kind == "f" else 1,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
    }
    if isinstance(grid, MapGrid):
        profile |= {"crs": grid.crs, "transform": grid.transform}
    # Made in memory: GDAL does not tell when the disk fills up while it closes a file.
    with MemoryFile() as memory:  # type: ignore[no-untyped-call]  # rasterio leaves it unannotated
        with memory.open(**profile) as sink:
            sink.write(bands)
            for band in range(1, bands.shape[0] + 1):
                sink.set_band_description(band, description)
                sink.set_band_unit(band, unit)
        with atomic_path(path) as temporary:
            temporary.write_bytes(memory.getbuffer())


def _opened(path: Path) -> Any:
    """Open a raster, or say in one line why not."""
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions")
    try:
        return rasterio.open(path)
    except RasterioError as error:
        raise DamagedFileError(f"{path}: not a readable raster; fetch the file again") from error
