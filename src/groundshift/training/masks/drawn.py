"""Real interferograms with masks that somebody drew: rasters beside them, or polygons of decorrelated ground."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.features import rasterize

from groundshift.detect.mask_network import amplitude_plane
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io.estimate import LEAST, phase_consistency
from groundshift.training.data import split_by_scene
from groundshift.training.masks.samples import MaskSample

__all__ = ["checksum_of", "read_drawn", "split_drawn"]

_HELD = 0.2
"""Share of the scenes to validate on."""
_SLACK = 1e-3
"""By which rounding may lead out of a range."""


class _Band(NamedTuple):
    """The first band of a raster, and where it lies."""

    values: NDArray[np.float32]
    """NaN without data."""
    crs: str | None
    transform: Affine


def read_drawn(folder: Path, polygons: Path | None = None, layer: str | None = None) -> list[MaskSample]:
    """Read interferograms and their masks.

    Parameters
    ----------
    folder : path
        With `phase/NAME.tif`, wrapped phase in radians; where there are any, `coherence/NAME.tif`, 0 to 1, zero without
        data, and `amplitude/NAME.tif`, the square root of the intensity in any unit; and `mask/NAME.tif`, 1 where
        usable and 0 where decorrelated. NaN and a file's no-data value are no data; in a mask, nobody knows. What
        stands in NAME before the first underscore is the scene: `taihu_3.tif` and `taihu_7.tif` are of one.
    polygons : path, optional
        GeoPackage, or another file that GDAL knows, of decorrelated ground, instead of masks; all that lies outside is
        usable. A pixel belongs to a polygon if its centre does.
    layer : str, optional
        Layer of that file; the first one with polygons by default.

    Returns
    -------
    list of MaskSample
        By name. Without a coherence it is told from the phase.

    Raises
    ------
    MissingFileError
        If there is no such folder or file, no phase, or a phase without its mask.
    DamagedFileError
        If a file cannot be read, holds something else than it should, has another size than its phase, or does not tell
        its coordinate system where polygons want it.
    """
    files = sorted((folder / "phase").glob("*.tif"))
    if not files:
        raise MissingFileError(f"{folder / 'phase'}: no *.tif; expected wrapped phase here, and its {folder / 'mask'}")
    drawn = None if polygons is None else _polygons(polygons, layer)
    return [_read(file, folder, drawn) for file in files]


def split_drawn(samples: Sequence[MaskSample], seed: int) -> tuple[list[MaskSample], list[MaskSample]]:
    """Hold a fifth of the scenes back.

    Raises
    ------
    NoDataError
        If there is only one scene, or either part shows no decorrelated ground or no coherent one.
    """
    try:
        parts = split_by_scene([s.scene for s in samples], (1 - _HELD, _HELD), seed)
    except ValueError as error:
        raise NoDataError(
            "all masks are of one scene, and some scenes are held back to validate on; name files SCENE_NUMBER.tif"
        ) from error
    learned, held = ([samples[k] for k in part] for part in parts)
    for part, use in ((learned, "learn from"), (held, "validate on")):
        scenes = ", ".join(sorted({s.scene for s in part})[:3])
        for kind, there in (
            ("decorrelated", any((s.judged & ~s.coherent).any() for s in part)),
            ("usable", any(s.coherent.any() for s in part)),
        ):
            if not there:
                raise NoDataError(
                    f"no mask to {use} ({scenes}) tells of {kind} ground with data; add scenes, or try another --seed"
                )
    return learned, held


def checksum_of(samples: Sequence[MaskSample]) -> str:
    """Return what tells samples from others."""
    found = hashlib.sha256()
    for sample in samples:
        found.update(f"{sample.scene} {sample.wrapped.shape}".encode())
        for plane in (sample.wrapped, sample.coherence, sample.amplitude, sample.usable, sample.told):
            found.update(np.ascontiguousarray(plane).tobytes())
    return found.hexdigest()[:16]


def _read(file: Path, folder: Path, drawn: Any) -> MaskSample:
    """Read one sample; `drawn` are polygons with their coordinate system, None where there are masks."""
    phase = _band(file, "wrapped phase in radians", (-math.pi, math.pi))
    known, shape = np.isfinite(phase.values), phase.values.shape
    path = folder / "coherence" / file.name
    if path.exists():
        coherence = _band(path, "coherence", (0, 1), shape).values
        known &= coherence > 0
        coherence = np.clip(coherence, LEAST, 1)
    else:
        coherence = phase_consistency(phase.values, known)
    amplitude = np.zeros(shape, np.float32)
    path = folder / "amplitude" / file.name
    if path.exists():
        amplitude = amplitude_plane(_band(path, "amplitude", (0, math.inf), shape).values)
    if drawn is None:
        path = folder / "mask" / file.name
        if not path.exists():
            raise MissingFileError(
                f"{path}: no such file; every phase/NAME.tif needs its mask/NAME.tif, or name --polygons"
            )
        mask = _band(path, "a mask of 0 and 1", (0, 1), shape).values
        if not np.isin(mask[np.isfinite(mask)], (0, 1)).all():
            raise DamagedFileError(f"{path}: expected a mask of 0 and 1, instead got values between; write it again")
    else:
        if phase.crs is None:
            raise DamagedFileError(f"{file}: no coordinate system, so polygons have no place on it; assign one")
        mask = _outside(drawn, phase)
    return MaskSample(
        np.where(known, phase.values, np.float32(0)), np.where(known, coherence, np.float32(0)),
        np.where(known, amplitude, np.float32(0)), np.nan_to_num(mask).astype(np.float32),
        np.isfinite(mask).astype(np.float32), file.stem.split("_")[0],
    )  # fmt: skip


def _polygons(path: Path, layer: str | None) -> Any:
    """Read the shapes of a layer, as a GeoSeries with its coordinate system."""
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling of --polygons")
    try:
        layers = [(str(name), str(kind)) for name, kind in pyogrio.list_layers(path)]  # type: ignore[no-untyped-call]
        chosen = layer or next((name for name, kind in layers if "Polygon" in kind), None)
        if chosen is None or chosen not in dict(layers):
            names = ", ".join(name for name, _ in layers)
            what = "no layer of polygons" if layer is None else f"no layer {layer}"
            raise MissingFileError(f"{path}: {what}, only {names}; name one with --layer")
        frame = pyogrio.read_dataframe(path, layer=chosen)  # type: ignore[no-untyped-call]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise DamagedFileError(f"{path}: cannot be read as a vector file ({error}); export it again") from error
    if frame.crs is None:
        raise DamagedFileError(f"{path}: layer {chosen} does not tell its coordinate system; set it in a GIS")
    return frame.geometry


def _outside(drawn: Any, phase: _Band) -> NDArray[np.float32]:
    """Return 1 outside of all polygons, 0 inside."""
    shapes = [g for g in drawn.to_crs(phase.crs) if g is not None and not g.is_empty]
    if not shapes:
        return np.ones(phase.values.shape, np.float32)
    inside = rasterize(shapes, phase.values.shape, transform=phase.transform, dtype="uint8")
    return np.asarray(1 - inside, np.float32)


def _band(path: Path, what: str, limits: tuple[float, float], shape: tuple[int, ...] | None = None) -> _Band:
    """Read the first band of values within limits."""
    try:
        with rasterio.open(path) as source:
            band = source.read(1, masked=True)
            crs, transform = source.crs, source.transform
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
    least, most = (float(f(values, initial=0)) for f in (np.nanmin, np.nanmax))
    if least < limits[0] - _SLACK or most > limits[1] + _SLACK:
        raise DamagedFileError(
            f"{path}: expected {what}, {limits[0]:.4g} to {limits[1]:.4g}, instead got {least:.4g} to {most:.4g}"
        )
    return _Band(values, None if crs is None else crs.to_string(), transform)
