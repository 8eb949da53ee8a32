"""Place on Earth of rasters in radar geometry: `lon.tif` and `lat.tif` beside them, in degrees at pixel centres."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import ProductError
from groundshift.io.families import read_header
from groundshift.io.lookup import ground_spacing
from groundshift.io.rasters import read_band, write_geotiff
from groundshift.types import RadarGrid, Window

__all__ = ["LOOKUP", "read_radar_grid", "write_radar_grid"]

LOOKUP = ("lon.tif", "lat.tif")


def read_radar_grid(folder: Path, shape: tuple[int, int]) -> RadarGrid | None:
    """Return the grid of rasters in a folder; None where the lookup is not there.

    Raises
    ------
    ProductError
        If it has another shape, or knows no place around the centre.
    """
    files = [folder / name for name in LOOKUP]
    if not all(file.is_file() for file in files):
        return None
    lon, lat = (_read(file, shape) for file in files)
    unknown = ~(np.isfinite(lon) & np.isfinite(lat)) | ((lon == 0) & (lat == 0))
    lon[unknown], lat[unknown] = np.nan, np.nan
    spacing = ground_spacing(lon, lat)
    if spacing is None:
        raise ProductError(f"{files[0]}: no positions around the centre; write degrees at pixel centres")
    return RadarGrid(shape, spacing, lon, lat)


def write_radar_grid(folder: Path, grid: RadarGrid) -> None:
    """Write the lookup of a grid, if it has one.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if grid.longitude is None or grid.latitude is None:
        return
    for name, values, what in zip(LOOKUP, (grid.longitude, grid.latitude), ("longitude", "latitude"), strict=True):
        write_geotiff(folder / name, values, grid, nodata=float("nan"), description=what, unit="degree")


def _read(file: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Read longitudes or latitudes in degrees."""
    if read_header(file).shape != shape:
        raise ProductError(f"{file}: not of the shape of the rasters, {shape[0]} x {shape[1]}; bring it to that grid")
    return read_band(file, Window(0, 0, *shape)).astype(np.float64)
