"""Plain GeoTIFFs in radar geometry, two bands each, with the path to the terrain still in the phase."""

from pathlib import Path

import numpy as np
import yaml
from tests.products_slc.geotiff import metadata, write_tif
from tests.products_slc.scene import ALL, SlcScene

NAME = "geotiff"
MODULE = "groundshift.io.slc_geotiff"
GIVES = ALL


def write(folder: Path, scene: SlcScene) -> Path:
    for layer in scene.layers:
        image = scene.unflattened(layer)
        suffix = "_again" if layer.copy else ""
        write_tif(folder / f"{layer.name}{suffix}.tif", np.stack([image.real, image.imag]), None)
        path = np.resize(scene.slant_range(layer), image.shape)
        write_tif(folder / f"{layer.name}_path.tif", path[None], None)
    lon, lat = scene.lonlat()
    for name, values in (("lon", lon), ("lat", lat), ("dem", scene.heights), ("mask", scene.usable.astype(np.uint8))):
        write_tif(folder / f"{name}.tif", values[None], None)
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata(scene) | {"flattened": False}), encoding="utf-8")
    return folder
