"""Plain GeoTIFFs: unwrapped phase with 0 for no data, and 8-bit coherence."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio

NAME = "geotiff"
MODULE = "groundshift.io.geotiff"
GIVES = frozenset({"coherence", "wavelength"})


def write(folder: Path, scene: Any) -> Path:
    for layer in scene.layers:
        stem = f"track87_{layer.first:%Y%m%d}-{layer.second:%Y%m%d}"
        suffix = "_again" if layer.copy else ""
        phase = np.where(layer.valid, layer.unwrapped, 0).astype(np.float32)
        coherence = np.where(layer.valid, np.round(255 * layer.coherence), 0).astype(np.uint8)
        write_tif(folder / f"{stem}_unw{suffix}.tif", phase, layer.grid, WAVELENGTH_METRES=scene.wavelength)
        write_tif(folder / f"{stem}_cc{suffix}.tif", coherence, layer.grid)
    return folder


def write_tif(path: Path, array: np.ndarray, grid: Any, *, nodata: float | None = None, **tags: Any) -> None:
    """Write one band; `grid` None leaves the place out."""
    place = {} if grid is None else {"crs": grid.crs, "transform": grid.transform}
    size = {"height": array.shape[0], "width": array.shape[1], "count": 1, "dtype": array.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", nodata=nodata, **size, **place) as sink:
        sink.write(array, 1)
        sink.update_tags(**tags)
