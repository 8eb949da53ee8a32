"""The plain folder of docs/geotiff-folder.md: wrapped phase with NaN for no data, terrain, and metadata.yaml."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tests.products.geotiff import write_tif

NAME = "geotiff"
MODULE = "groundshift.io.geotiff"
CRS = "EPSG:32648"


def write(folder: Path, scene: Any) -> Path:
    baselines = {}
    for layer in scene.layers:
        suffix = "_again" if layer.copy else ""
        for kind, values in (("phase", layer.wrapped), ("coh", layer.coherence)):
            known = np.where(layer.valid, values, np.nan).astype(np.float32)
            write_tif(folder / f"{layer.name}_{kind}{suffix}.tif", known, layer.grid, nodata=np.nan)
        if layer.first < layer.second:
            baselines[layer.name] = layer.baseline
    write_tif(folder / "dem.tif", scene.heights, scene.grid, nodata=np.nan)
    write_tif(folder / "truth_velocity.tif", scene.heights, scene.grid)
    metadata = {
        "wavelength_m": scene.wavelength,
        "heading_deg": scene.look.heading,
        "incidence_deg": scene.look.incidence,
        "perpendicular_baselines_m": baselines,
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    return folder
