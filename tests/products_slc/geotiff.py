"""Plain complex GeoTIFFs on a map with metadata, terrain and mask, flattened."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from tests.products_slc.scene import SlcScene

NAME = "geotiff"
MODULE = "groundshift.io.slc_geotiff"
CRS = "EPSG:32648"
CANNOT = frozenset({"companion"})


def write(folder: Path, scene: SlcScene) -> Path:
    for layer in scene.layers:
        write_tif(folder / f"s1_{layer.name}{'_again' if layer.copy else ''}.tif", layer.image[None], layer.grid)
    write_tif(folder / "dem.tif", scene.heights[None], scene.grid)
    write_tif(folder / "mask.tif", scene.usable[None].astype(np.uint8), scene.grid)
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata(scene) | {"flattened": True}), encoding="utf-8")
    return folder


def metadata(scene: SlcScene) -> dict[str, Any]:
    """Wavelength, look, and the baselines of pairs with the first date."""
    first = scene.layers[0]
    pairs = {f"{first.name}_{layer.name}": layer.baseline for layer in scene.layers if layer.day > first.day}
    return {
        "wavelength_m": scene.wavelength,
        "heading_deg": scene.look.heading,
        "incidence_deg": scene.look.incidence,
        "perpendicular_baselines_m": pairs,
    }


def write_tif(path: Path, bands: np.ndarray, grid: Any, **options: Any) -> None:
    """Write bands (band, y, x); `grid` None leaves the place out."""
    place = {} if grid is None else {"crs": grid.crs, "transform": grid.transform}
    count, height, width = bands.shape
    size = {"height": height, "width": width, "count": count, "dtype": bands.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", **size, **place, **options) as sink:
        sink.write(bands)
