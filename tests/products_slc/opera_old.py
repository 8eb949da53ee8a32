"""COMPASS files of the older layout: a folder for each burst and date, stored without chunks; static layers beside."""

from collections.abc import Iterable
from pathlib import Path

import h5py
from tests.products_slc.opera import write_image, write_static
from tests.products_slc.scene import SlcScene

NAME = "opera"
MODULE = "groundshift.io.opera"
CRS = "EPSG:32648"
GIVES = frozenset({"baselines", "heights", "wavelength", "look", "mask"})
CANNOT = frozenset({"companion"})

OLDER = ("science/SENTINEL1/CSLC/grids", "science/SENTINEL1/CSLC/metadata", "science/SENTINEL1/identification")


def write(folder: Path, scene: SlcScene) -> Path:
    write_bursts(folder, [scene])
    return folder / "cslc"


def write_bursts(folder: Path, scenes: Iterable[SlcScene]) -> Path:
    for scene in scenes:
        name = scene.burst.lower().replace("-", "_")
        for layer in scene.layers:
            place = folder / "cslc" / name / f"{layer.name}{'_again' if layer.copy else ''}"
            place.mkdir(parents=True)
            path = place / f"{name}_{layer.name}.h5"
            write_image(path, scene, layer, OLDER, chunks=None)
            with h5py.File(path, "a") as sink:
                processing = f"{OLDER[1]}/processing_information"
                sink.move(f"{processing}/input_burst_metadata", f"{processing}/s1_burst_metadata")
        (folder / "static").mkdir(exist_ok=True)
        static = folder / "static" / f"static_layers_{name}.h5"
        write_static(static, scene, f"{OLDER[0]}/static_layers")
        with h5py.File(static, "a") as sink:
            sink[f"{OLDER[0]}/static_layers/z"] = scene.heights
    return folder / "cslc"
