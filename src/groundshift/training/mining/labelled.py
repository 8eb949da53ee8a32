"""Real interferograms with footprints that somebody drew: read, and split by scene."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io.estimate import phase_consistency
from groundshift.training.data import split_by_scene
from groundshift.training.mining.samples import BowlSample

__all__ = ["checksum_of", "read_labelled", "split_labelled"]

_HELD = 0.2
"""Share of the scenes to validate on."""
_SLACK = 1e-3
"""By which rounding may lead out of a range."""


def read_labelled(folder: Path) -> list[BowlSample]:
    """Read wrapped phase and footprints.

    Parameters
    ----------
    folder : path
        With `phase/NAME.tif`, wrapped phase in radians, NaN or the file's no-data value without data; `mask/NAME.tif`,
        not zero where the ground moves by itself; and, where there is one, `coherence/NAME.tif`, 0 to 1, 0 without
        data. What stands in NAME before the first underscore is the scene: `kunshan_3.tif` and `kunshan_7.tif` are of
        one.

    Returns
    -------
    list of BowlSample
        By name. Without a coherence it is told from the phase; `phase` and `bowl` are NaN.

    Raises
    ------
    MissingFileError
        If there is no such folder, no phase, or a phase without its mask.
    DamagedFileError
        If a file cannot be read, holds no wrapped phase in radians or no coherence, or has another size than its phase.
    """
    files = sorted((folder / "phase").glob("*.tif"))
    if not files:
        raise MissingFileError(f"{folder / 'phase'}: no *.tif; expected wrapped phase here, and its {folder / 'mask'}")
    return [_read(file, folder) for file in files]


def split_labelled(samples: Sequence[BowlSample], seed: int) -> tuple[list[BowlSample], list[BowlSample]]:
    """Hold a fifth of the scenes back.

    Raises
    ------
    NoDataError
        If there is only one scene, or either part shows no ground that moves.
    """
    try:
        parts = split_by_scene([s.scene for s in samples], (1 - _HELD, _HELD), seed)
    except ValueError as error:
        raise NoDataError(
            "all masks are of one scene, and some scenes are held back to validate on; name files SCENE_NUMBER.tif"
        ) from error
    learned, held = ([samples[k] for k in part] for part in parts)
    for part, use in ((learned, "learn from"), (held, "validate on")):
        if not any((s.footprint[s.known] > 0).any() for s in part):
            scenes = ", ".join(sorted({s.scene for s in part})[:3])
            raise NoDataError(f"no mask to {use} ({scenes}) marks ground with data; add scenes, or try another --seed")
    return learned, held


def checksum_of(samples: Sequence[BowlSample]) -> str:
    """Return what tells samples from others."""
    found = hashlib.sha256()
    for sample in samples:
        found.update(f"{sample.scene} {sample.wrapped.shape}".encode())
        for plane in (sample.wrapped, sample.coherence, sample.footprint):
            found.update(np.ascontiguousarray(plane).tobytes())
    return found.hexdigest()[:16]


def _read(file: Path, folder: Path) -> BowlSample:
    """Read one sample."""
    wrapped = _raster(file, "wrapped phase in radians", (-math.pi, math.pi))
    known = np.isfinite(wrapped)
    path = folder / "coherence" / file.name
    if path.exists():
        coherence = _raster(path, "coherence", (0, 1), wrapped.shape)
        known &= coherence > 0
    else:
        coherence = phase_consistency(wrapped, known)
    path = folder / "mask" / file.name
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; every phase/NAME.tif needs its mask/NAME.tif")
    footprint = np.nan_to_num(_raster(path, "a mask", None, wrapped.shape)) != 0
    nothing = np.full(wrapped.shape, np.nan, np.float32)
    return BowlSample(
        np.where(known, wrapped, np.float32(0)), np.where(known, coherence, np.float32(0)), nothing, nothing,
        footprint.astype(np.float32), file.stem.split("_")[0],
    )  # fmt: skip


def _raster(
    path: Path, what: str, limits: tuple[float, float] | None, shape: tuple[int, ...] | None = None
) -> NDArray[np.float32]:
    """Read the first band of values within limits, NaN without data."""
    try:
        with rasterio.open(path) as source:
            band = source.read(1, masked=True)
    except RasterioError as error:
        raise DamagedFileError(f"{path}: cannot be read as GeoTIFF; write the file again") from error
    if np.iscomplexobj(band):
        raise DamagedFileError(f"{path}: expected {what}, instead got complex numbers")
    values = np.asarray(band.astype(np.float32).filled(np.nan), np.float32)
    values[~np.isfinite(values)] = np.nan
    if shape is not None and values.shape != shape:
        rows, columns = values.shape
        raise DamagedFileError(
            f"{path}: expected {shape[0]} x {shape[1]} pixels as of its phase, instead got {rows} x {columns}"
        )
    if limits is not None:
        least, most = (float(f(values, initial=0)) for f in (np.nanmin, np.nanmax))
        if least < limits[0] - _SLACK or most > limits[1] + _SLACK:
            raise DamagedFileError(
                f"{path}: expected {what}, {limits[0]:.4g} to {limits[1]:.4g}, instead got {least:.4g} to {most:.4g}"
            )
    return values
