"""Any raster on the grid of a stack: terrain heights, optical bands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from groundshift.errors import DamagedFileError, ProductError
from groundshift.geometry.geocode import no_lookup, pixels_of, positions_on, sample_at
from groundshift.io.rasters import raster_grid
from groundshift.types import Grid, RadarGrid

__all__ = ["sample_raster"]

_SOURCE_PIXELS = 16_000_000
"""Most pixels of a raster that are held at once while sampling it."""


def sample_raster(path: Path, grid: Grid, *, nearest: bool = False, band: int = 1) -> NDArray[np.float32]:
    """Resample a raster file, such as a DEM, onto any grid.

    Parameters
    ----------
    path : Path
        Any raster with a coordinate system that GDAL reads; only what the grid covers is read.
    grid : MapGrid or RadarGrid
        Where values are wanted.
    nearest : bool
        Take the nearest pixel, for classes; bilinear by default, after averaging where the raster is finer than the
        grid.
    band : int
        Counted from 1.

    Returns
    -------
    (y, x) float32 array
        NaN outside the raster, on its no-data and where the grid does not know its position.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there or cannot be decoded.
    ProductError
        If it has no such band, or its rows do not run east-west.
    NoDataError
        If a radar grid has no longitude and latitude at all.

    Notes
    -----
    Heights stay in the vertical datum of the file: a difference between geoid and ellipsoid changes no slope.
    """
    source_grid = raster_grid(path)
    if isinstance(grid, RadarGrid) and (grid.longitude is None or grid.latitude is None):
        raise no_lookup()
    if source_grid.transform.b or source_grid.transform.d:
        raise ProductError(f"{path}: the raster is rotated; bring it north-up with gdalwarp")
    out = np.full(grid.shape, np.nan, np.float32)
    with rasterio.open(path) as source:
        if not 1 <= band <= source.count:
            raise ProductError(f"{path}: no band {band}; it has {source.count}, give the number of one of them")
        finer = int(min(g / s for g, s in zip(grid.spacing, source_grid.spacing, strict=True)))
        factor = 1 if nearest else max(1, finer)
        for rows in _row_blocks(grid, max(1, finer)):
            y, x = np.meshgrid(np.arange(grid.shape[0])[rows], np.arange(grid.shape[1]), indexing="ij")
            row, column = pixels_of(source_grid, *positions_on(grid, y, x, source_grid.crs))
            try:
                out[rows] = _read_at(source, band, (row, column), factor, nearest)
            except (RasterioError, OSError) as error:
                raise DamagedFileError(f"{path}: truncated or unreadable raster; fetch the file again") from error
    return out


def _row_blocks(grid: Grid, finer: int) -> Iterator[slice]:
    """Rows of a grid, in blocks that take in a bounded number of raster pixels."""
    rows = max(1, min(1024, _SOURCE_PIXELS // (grid.shape[1] * max(finer * finer, 4))))
    for first in range(0, grid.shape[0], rows):
        yield slice(first, min(first + rows, grid.shape[0]))


def _read_at(
    source: Any, band: int, at: tuple[NDArray[np.float64], NDArray[np.float64]], factor: int, nearest: bool
) -> NDArray[np.float32]:
    """Read the part of a raster around some pixel coordinates, coarser by `factor`, and sample it there."""
    row, column = at
    outside = ~((row >= -0.5) & (row <= source.height - 0.5) & (column >= -0.5) & (column <= source.width - 0.5))
    row, column = np.where(outside, np.nan, row), np.where(outside, np.nan, column)
    if outside.all():
        return np.full(row.shape, np.nan, np.float32)
    low = [max(0, (int(np.nanmin(c)) // factor - 1) * factor) for c in (row, column)]
    sizes = (source.height, source.width)
    high = [min(size, (int(np.nanmax(c)) // factor + 3) * factor) for c, size in zip((row, column), sizes, strict=True)]
    shape = [-(-(h - w) // factor) for h, w in zip(high, low, strict=True)]
    steps = [(h - w) / n for h, w, n in zip(high, low, shape, strict=True)]
    window = rasterio.windows.Window(low[1], low[0], high[1] - low[1], high[0] - low[0])
    method = Resampling.average if factor > 1 else Resampling.nearest
    data = source.read(band, window=window, out_shape=tuple(shape), resampling=method, masked=True)
    values = np.ma.filled(data.astype(np.float32), np.nan)
    y = (row - low[0] + 0.5) / steps[0] - 0.5
    x = (column - low[1] + 0.5) / steps[1] - 0.5
    return np.asarray(sample_at(values, y, x, nearest), np.float32)
