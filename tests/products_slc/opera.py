"""OPERA CSLC-S1 files and static layers in one folder, deflated and shuffled in small chunks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.products_slc.scene import SlcLayer, SlcScene

NAME = "opera"
MODULE = "groundshift.io.opera"
CRS = "EPSG:32648"
GIVES = frozenset({"baselines", "wavelength", "look", "mask"})
CANNOT = frozenset({"companion"})

PRESENT = ("data", "metadata", "identification")
STORED = {"chunks": (16, 16), "compression": "gzip", "compression_opts": 1, "shuffle": True}


def write(folder: Path, scene: SlcScene) -> Path:
    for layer in scene.layers:
        made = f"2024010{1 + layer.copy}T000000Z"
        name = f"OPERA_L2_CSLC-S1_{scene.burst}_{layer.name}T111213Z_{made}_S1A_VV_v1.0.h5"
        write_image(folder / name, scene, layer, PRESENT)
    write_static(folder / f"OPERA_L2_CSLC-S1-STATIC_{scene.burst}_20140403_S1A_v1.0.h5", scene, "data")
    return folder


def write_bursts(folder: Path, scenes: Iterable[SlcScene]) -> Path:
    for scene in scenes:
        write(folder, scene)
    return folder


def write_image(path: Path, scene: SlcScene, layer: SlcLayer, groups: tuple[str, str, str], **stored: Any) -> None:
    """Write one image: NaN without data, as the product has it."""
    data, metadata, identification = groups
    nothing = np.float32(np.nan) + 1j * np.float32(np.nan)
    image = np.where(layer.image == 0, nothing, layer.image).astype(np.complex64)
    with h5py.File(path, "w") as sink:
        write_grid(sink, data, layer.grid)
        sink.create_dataset(f"{data}/VV", data=image, **(stored or STORED))
        burst = f"{metadata}/processing_information/input_burst_metadata"
        sink[f"{burst}/wavelength"] = scene.wavelength
        sink[f"{burst}/sensing_start"] = np.bytes_(f"{layer.day} 11:12:13.129506")
        sink[f"{metadata}/processing_information/parameters/topographic_flattening_applied"] = True
        sink[f"{identification}/burst_id"] = np.bytes_(scene.burst.lower().replace("-", "_"))
        sink[f"{identification}/zero_doppler_start_time"] = np.bytes_(f"{layer.day} 11:12:13.129506")
        write_orbit(sink, f"{metadata}/orbit", scene, layer)


def write_orbit(sink: Any, group: str, scene: SlcScene, layer: SlcLayer) -> None:
    """Write the state vectors, in seconds from two days before."""
    arc = scene.orbit(layer)
    sink[f"{group}/time"] = arc.times + 172_800
    sink[f"{group}/reference_epoch"] = np.bytes_(f"{layer.day - np.timedelta64(2, 'D').item()} 11:12:14.500000")
    for axis, name in enumerate("xyz"):
        sink[f"{group}/position_{name}"] = arc.positions[:, axis]
        sink[f"{group}/velocity_{name}"] = arc.velocities[:, axis]


def write_grid(sink: Any, group: str, grid: Any) -> None:
    """Write the coordinates of pixel centres and the projection."""
    rows, columns = (np.arange(n) + 0.5 for n in grid.shape)
    sink[f"{group}/x_coordinates"] = grid.transform.c + grid.transform.a * columns
    sink[f"{group}/y_coordinates"] = grid.transform.f + grid.transform.e * rows
    sink[f"{group}/projection"] = np.int32(grid.crs.removeprefix("EPSG:"))


def write_static(path: Path, scene: SlcScene, group: str) -> None:
    """Write static layers; 127 is outside the burst, and 1 to 3 are shadow, layover and both."""
    east, north, _ = scene.look.to_satellite
    kinds = np.resize(np.array([1, 2, 3, 127], np.int8), scene.grid.shape)
    with h5py.File(path, "w") as sink:
        write_grid(sink, group, scene.grid)
        for name, value in (("los_east", east), ("los_north", north)):
            layer = np.full(scene.grid.shape, value, np.float32)
            layer[:3] = np.nan
            sink.create_dataset(f"{group}/{name}", data=layer, **STORED)
        mask = np.where(scene.usable, 0, kinds).astype(np.int8)
        sink.create_dataset(f"{group}/layover_shadow_mask", data=mask, chunks=(16, 16), compression="gzip")
