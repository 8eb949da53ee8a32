"""MintPy's ifgramStack.h5 in radar geometry, with geometryRadar.h5."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

NAME = "mintpy"
MODULE = "groundshift.io.mintpy"
CANNOT = frozenset({"differing", "companion"})
ONE_FILE = True


def write(folder: Path, scene: Any) -> Path:
    inputs = folder / "inputs"
    inputs.mkdir()
    attributes = {"FILE_TYPE": "ifgramStack", "WAVELENGTH": str(scene.wavelength), "HEADING": str(scene.look.heading)}
    with h5py.File(inputs / "ifgramStack.h5", "w") as sink:
        sink.attrs.update(attributes)
        dates = [[f"{layer.first:%Y%m%d}".encode(), f"{layer.second:%Y%m%d}".encode()] for layer in scene.layers]
        sink["date"] = np.array(dates, "S8")
        sink["bperp"] = np.array([layer.baseline for layer in scene.layers], np.float32)
        sink["dropIfgram"] = np.ones(len(scene.layers), bool)
        # The constant of an unwrapped phase is free to a whole turn: with one added, no valid pixel is exactly 0.
        phases = [np.where(layer.valid, layer.unwrapped + 2 * np.pi, 0) for layer in scene.layers]
        sink["unwrapPhase"] = np.stack(phases).astype(np.float32)
        sink["coherence"] = np.stack([np.where(layer.valid, layer.coherence, 0) for layer in scene.layers])
    lon, lat = scene.lonlat()
    with h5py.File(inputs / "geometryRadar.h5", "w") as sink:
        sink.attrs.update(attributes | {"FILE_TYPE": "geometry"})
        sink["height"] = scene.heights
        sink["longitude"], sink["latitude"] = lon, lat
        sink["incidenceAngle"] = np.full(lon.shape, scene.look.incidence, np.float32)
        # From the ground to the satellite, degrees from north anticlockwise.
        east, north, _ = scene.look.to_satellite
        sink["azimuthAngle"] = np.full(lon.shape, np.degrees(np.arctan2(-east, north)), np.float32)
    return folder
