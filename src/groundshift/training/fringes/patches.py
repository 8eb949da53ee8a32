"""Windows of interferograms in two folders, one for each class: listed, read, written, split by scene."""

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from groundshift.detect.fringe_scan import WINDOW
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io.atomic import atomic_path
from groundshift.io.estimate import phase_consistency
from groundshift.training.data import split_by_scene

__all__ = [
    "CLASSES",
    "FringeSample",
    "Patch",
    "checksum_of",
    "find_patches",
    "hold_back",
    "read_patch",
    "write_patch",
]

CLASSES = ("positive", "negative")
"""Folders of windows with a candidate, and of all others."""
_SUFFIXES = {".tif", ".tiff"}
_PADDED = re.compile(r"_pad\d+$")
_SLACK = 1e-3
"""By which rounding may lead out of a range."""


class FringeSample(NamedTuple):
    """One window with what it shows; arrays (150, 150) of float32."""

    wrapped: NDArray[np.float32]
    """Radians, without what is large; zero without data."""
    coherence: NDArray[np.float32]
    """0 to 1; zero without data."""
    positive: bool
    """Whether fringes of a landslide lie in its middle."""
    scene: str


class Patch(NamedTuple):
    """A window on disk."""

    path: Path
    positive: bool

    @property
    def scene(self) -> str:
        """What stands in its name before the first underscore."""
        return self.path.stem.split("_")[0]

    @property
    def padded(self) -> bool:
        """Whether it is another one turned and moved, to learn from only: its name ends in `_pad` and a number."""
        return _PADDED.search(self.path.stem) is not None


def find_patches(folder: Path) -> tuple[list[Patch], list[str]]:
    """List windows of both classes.

    Parameters
    ----------
    folder : path
        With `positive/` and `negative/`, each of GeoTIFFs of 150 x 150 pixels: wrapped phase in radians, without what
        is large, NaN or the file's no-data value without data; as second band, where there is one, coherence. What
        stands in a name before the first underscore is the scene.

    Returns
    -------
    patches : list of Patch
        Sorted by class and name.
    problems : list of str
        A line for each window of another size or that cannot be read; these are left out.

    Raises
    ------
    MissingFileError
        If a folder is not there.
    NoDataError
        If a class has no window that can be used.
    """
    found: list[Patch] = []
    problems: list[str] = []
    for name in CLASSES:
        place = folder / name
        if not place.is_dir():
            raise MissingFileError(f"{place}: no such folder; expected windows in {' and '.join(CLASSES)}")
        files = sorted(p for p in place.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
        if not files:
            raise NoDataError(f"{place}: no *.tif; put windows of {WINDOW} x {WINDOW} pixels here")
        good = []
        for path in files:
            problem = _problem(path)
            if problem is None:
                good.append(Patch(path, name == CLASSES[0]))
            else:
                problems.append(problem)
        if not good:
            raise NoDataError(f"{place}: none of {len(files)} windows can be used; the first: {problems[-len(files)]}")
        found += good
    return found, problems


def read_patch(patch: Patch) -> FringeSample:
    """Read a window; without a coherence it is told from the phase.

    Raises
    ------
    DamagedFileError
        If it cannot be read, or holds something else than wrapped phase in radians and coherence.
    """
    try:
        with rasterio.open(patch.path) as source:
            bands = source.read(masked=True)
    except RasterioError as error:
        raise DamagedFileError(f"{patch.path}: cannot be read as GeoTIFF; write the file again") from error
    if np.iscomplexobj(bands):
        raise DamagedFileError(f"{patch.path}: expected wrapped phase in radians, instead got complex numbers")
    values = np.asarray(bands.astype(np.float32).filled(np.nan), np.float32)
    wrapped = _within(values[0], patch.path, "wrapped phase in radians", -math.pi, math.pi)
    known = np.isfinite(wrapped)
    if len(values) > 1:
        coherence = _within(values[1], patch.path, "coherence in its second band", 0, 1)
        known &= coherence > 0
    else:
        coherence = phase_consistency(wrapped, known)
    return FringeSample(
        np.where(known, wrapped, np.float32(0)), np.where(known, coherence, np.float32(0)), patch.positive, patch.scene
    )


def write_patch(path: Path, sample: FringeSample, pixel_m: float) -> None:
    """Write a window as `read_patch` reads it, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    known = sample.coherence > 0
    rows, columns = known.shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": 2, "height": rows, "width": columns, "dtype": "float32", "nodata": math.nan,
        "compress": "deflate", "predictor": 3, "transform": Affine.scale(pixel_m, -pixel_m),
    }  # fmt: skip
    with MemoryFile() as memory:  # type: ignore[no-untyped-call]  # rasterio leaves it unannotated
        with memory.open(**profile) as sink:
            for band, values in enumerate((sample.wrapped, sample.coherence), start=1):
                sink.write(np.where(known, values, np.float32(np.nan)), band)
        with atomic_path(path) as temporary:
            temporary.write_bytes(memory.getbuffer())


def hold_back(patches: Sequence[Patch], share: float, seed: int) -> tuple[list[Patch], list[Patch]]:
    """Hold a share of the scenes back; none where it is 0.

    Raises
    ------
    NoDataError
        If either part lacks a class, or there is only one scene.
    """
    if share == 0:
        learned, held = list(patches), []
    else:
        try:
            parts = split_by_scene([p.scene for p in patches], (1 - share, share), seed)
        except ValueError as error:
            raise NoDataError(
                "all windows are of one scene, and some scenes are held back to validate on; name files "
                "SCENE_NUMBER.tif, or give --validation-share 0"
            ) from error
        learned, held = ([patches[k] for k in part] for part in parts)
    for part, use in ((learned, "learn from"), (held, "validate on")):
        if part and len({p.positive for p in part}) < len(CLASSES):
            lacking = CLASSES[0] if not part[0].positive else CLASSES[1]
            scenes = ", ".join(sorted({p.scene for p in part})[:3])
            raise NoDataError(f"no {lacking} window to {use} ({scenes}); add scenes, or try another --seed")
    return learned, held


def checksum_of(patches: Sequence[Patch]) -> str:
    """Return what tells windows from others: their names and sizes, not where they lie."""
    found = hashlib.sha256()
    for patch in patches:
        found.update(f"{patch.positive} {patch.path.name} {patch.path.stat().st_size}\n".encode())
    return found.hexdigest()[:16]


def _problem(path: Path) -> str | None:
    """Say in one line what is wrong with a window, if anything is, without reading its pixels."""
    try:
        with rasterio.open(path) as source:
            shape = source.height, source.width
    except RasterioError:
        return f"{path}: cannot be read as GeoTIFF; write the file again"
    if shape != (WINDOW, WINDOW):
        return f"{path}: expected {WINDOW} x {WINDOW} pixels, instead got {shape[0]} x {shape[1]}; cut it anew"
    return None


def _within(values: NDArray[np.float32], path: Path, what: str, low: float, high: float) -> NDArray[np.float32]:
    """Return a band with NaN where it is not finite; stop where it is something else."""
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    if np.isfinite(values).any():
        least, most = float(np.nanmin(values)), float(np.nanmax(values))
        if least < low - _SLACK or most > high + _SLACK:
            raise DamagedFileError(
                f"{path}: expected {what}, {low:.4g} to {high:.4g}, instead got {least:.4g} to {most:.4g}"
            )
    return np.clip(values, np.float32(low), np.float32(high))
