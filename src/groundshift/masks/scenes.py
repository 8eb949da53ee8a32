"""Sentinel-2 scenes as they come: SAFE folders, one file per band, or one file with many bands.

A scene is three bands (green B03, near infrared B8A, short-wave infrared B11) and how their numbers turn into
reflectance: (number + offset) / scale. Zero is no data and 65535 saturated, before the offset.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, MissingFileError, ProductError
from groundshift.io.rasters import raster_grid
from groundshift.io.sample import sample_raster
from groundshift.types import Grid

__all__ = ["BANDS", "Scene", "find_scenes", "read_reflectance"]

BANDS = ("B03", "B8A", "B11")
"""Green, near infrared and short-wave infrared."""

_SATURATED = 65535
_QUANTIFICATION = 10_000.0
_OFFSET = -1000.0
_OFFSET_BASELINE = (4, 0)
_OFFSET_SINCE = date(2022, 1, 25)
"""From processing baseline 04.00, in use since that day, numbers carry 1000 more than the reflectance."""

_BAND_FILE = re.compile(r"^(?:(?P<head>.*)_)?(?P<band>B0?3|B0?8A|B11)(?:_(?P<metres>\d+)m)?$", re.IGNORECASE)
_BAND_NAME = re.compile(r"\bB(?:0?3|0?8A|11)\b", re.IGNORECASE)
_DAY = re.compile(r"(?<!\d)(20\d{6})(?!\d)")
_BASELINE = re.compile(r"_N(\d\d)(\d\d)_")
_PREFERRED = {"20": 0, "": 1, "10": 2, "60": 3}
_SUFFIXES = {".jp2", ".tif", ".tiff"}


@dataclass(frozen=True)
class Scene:
    """Three bands of one Sentinel-2 image.

    `files` and `bands` (counted from 1) are in the order of `BANDS`; reflectance = (number + `offset`) / `scale`.
    """

    name: str
    files: tuple[Path, Path, Path]
    bands: tuple[int, int, int]
    scale: float
    offset: float


def find_scenes(
    paths: Sequence[Path],
    *,
    bands: tuple[int, int, int] | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> list[Scene]:
    """Find the Sentinel-2 scenes among files and folders.

    Parameters
    ----------
    paths : sequence of Path
        SAFE folders (L1C or L2A), folders of band files, folders of such folders, band files (`*_B03*`, `*_B8A*`,
        `*_B11*`, as JPEG 2000 or GeoTIFF), or files that hold many bands.
    bands : (green, nir, swir), optional
        Their numbers, from 1, in files of many bands; by default from the band names that the file carries.
    scale, offset : float, optional
        Reflectance = (number + offset) / scale. By default from the product's metadata, or from scale and offset
        that a file carries; else 10000 and 0 for whole numbers, 1 and 0 for floating point.

    Returns
    -------
    list of Scene
        In the order found.

    Raises
    ------
    MissingFileError
        If a path is not there, a folder holds no scene, or a scene lacks a band.
    DamagedFileError
        If a file cannot be decoded.
    ProductError
        If the order of the bands or the offset cannot be told.
    """
    groups: dict[str, dict[str, tuple[int, Path]]] = {}
    scenes: list[Scene] = []
    for path in paths:
        if not path.exists():
            raise MissingFileError(f"{path}: no such file or folder; check the spelling")
        if path.is_dir():
            before = len(groups)
            for file in sorted(path.rglob("*")):
                _add_band_file(file, groups)
            if len(groups) == before:
                raise MissingFileError(f"{path}: no Sentinel-2 bands B03, B8A, B11 here; give a SAFE folder")
        elif not _add_band_file(path, groups):
            scenes.append(_many_bands(path, bands, scale, offset))
    for name, found in groups.items():
        missing = [band for band in BANDS if band not in found]
        if missing:
            some = next(iter(found.values()))[1]
            raise MissingFileError(f"{some}: {' and '.join(missing)} of this scene not found; put them beside it")
        files = tuple(found[band][1] for band in BANDS)
        scenes.append(Scene(name, (files[0], files[1], files[2]), (1, 1, 1), *_scaling(files[0], 1, scale, offset)))
    return scenes


def read_reflectance(scene: Scene, grid: Grid) -> tuple[NDArray[np.float32], ...]:
    """Read green, near-infrared and short-wave-infrared reflectance on a grid, nearest pixel.

    Returns
    -------
    green, nir, swir : (y, x) float32 arrays
        NaN outside the scene, on no data and where saturated.

    Raises
    ------
    DamagedFileError
        If a file cannot be decoded.
    ProductError
        If the values are no reflectance.
    """
    layers = []
    for file, band in zip(scene.files, scene.bands, strict=True):
        number = sample_raster(file, grid, nearest=True, band=band)
        number[(number == 0) | (number == _SATURATED)] = np.nan
        value = (number + np.float32(scene.offset)) / np.float32(scene.scale)
        if np.isfinite(value).any() and np.nanmedian(value) > 2.0:
            raise ProductError(
                f"{file}: reflectance must lie in 0 to 1, instead got a median of {np.nanmedian(value):.4g}; "
                "give the scale of the file"
            )
        layers.append(value.astype(np.float32))
    return tuple(layers)


def _add_band_file(file: Path, groups: dict[str, dict[str, tuple[int, Path]]]) -> bool:
    """Put a file among its scene's bands, if its name is that of a band that is needed."""
    match = _BAND_FILE.match(file.stem)
    if match is None or file.suffix.lower() not in _SUFFIXES or "QI_DATA" in file.parts:
        return False
    home = _granule(file) if "IMG_DATA" in file.parts else file.parent
    key = str(home / (match["head"] or ""))
    rank = _PREFERRED.get(match["metres"] or "", 4)
    number = match["band"].upper().removeprefix("B").lstrip("0")
    band = {"3": "B03", "8A": "B8A", "11": "B11"}[number]
    found = groups.setdefault(key, {})
    if band not in found or rank < found[band][0]:
        found[band] = (rank, file)
    return True


def _many_bands(path: Path, bands: tuple[int, int, int] | None, scale: float | None, offset: float | None) -> Scene:
    """Make a scene of a file that holds all bands."""
    raster_grid(path)
    with rasterio.open(path) as source:
        count, names = source.count, [d or "" for d in source.descriptions]
    if bands is None:
        numbers = {}
        for index, name in enumerate(names, start=1):
            for text in _BAND_NAME.findall(name):
                numbers[text.upper().removeprefix("B").lstrip("0")] = index
        if not {"3", "8A", "11"} <= numbers.keys():
            raise ProductError(
                f"{path}: the {count} bands carry no names; tell which are B03, B8A and B11, such as 3,9,12"
            )
        bands = (numbers["3"], numbers["8A"], numbers["11"])
    for band in bands:
        if not 1 <= band <= count:
            raise ProductError(f"{path}: no band {band}; it has {count}, give the number of one of them")
    return Scene(path.stem, (path, path, path), bands, *_scaling(path, bands[0], scale, offset))


def _scaling(file: Path, band: int, scale: float | None, offset: float | None) -> tuple[float, float]:
    """Scale and offset of a scene: what was given, else what its metadata say."""
    if scale is not None and offset is not None:
        return scale, offset
    told = _from_metadata(file) or _from_raster(file, band, offset is not None)
    return (told[0] if scale is None else scale), (told[1] if offset is None else offset)


def _from_metadata(file: Path) -> tuple[float, float] | None:
    """Scale and offset from the metadata of the SAFE folder around a file, if there is one."""
    folders = [file.parent]
    if "IMG_DATA" in file.parts:
        folders.append(_granule(file).parent.parent)
    for folder in folders:
        for pattern in ("*MTD_MSIL[12][CA].xml", "*MTD_SAFL[12][CA]*.xml"):
            for metadata in sorted(folder.glob(pattern)):
                return _parse_metadata(metadata)
    baseline = _BASELINE.search(folders[-1].name)
    if baseline is not None and folders[-1].name.upper().startswith("S2"):
        new = (int(baseline[1]), int(baseline[2])) >= _OFFSET_BASELINE
        return _QUANTIFICATION, _OFFSET if new else 0.0
    return None


def _granule(file: Path) -> Path:
    """Folder of the tile that a file below IMG_DATA belongs to."""
    return Path(*file.parts[: file.parts.index("IMG_DATA")])


def _parse_metadata(metadata: Path) -> tuple[float, float]:
    """Read scale and offset of B03 from MTD_MSIL1C.xml or MTD_MSIL2A.xml."""
    try:
        elements = {}
        offsets = {}
        for element in ElementTree.parse(metadata).iter():
            tag = element.tag.rsplit("}", 1)[-1]
            text = (element.text or "").strip()
            if tag in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET"):
                offsets[element.get("band_id", "")] = float(text)
            elif tag in ("QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE"):
                elements["scale"] = float(text)
            elif tag == "PROCESSING_BASELINE":
                elements["baseline"] = float(text)
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise DamagedFileError(f"{metadata}: cannot be decoded; fetch the product again") from error
    scale = elements.get("scale", _QUANTIFICATION)
    if offsets:
        return scale, offsets.get("2", next(iter(offsets.values())))
    return scale, _OFFSET if elements.get("baseline", 0.0) >= _OFFSET_BASELINE[0] else 0.0


def _from_raster(file: Path, band: int, offset_given: bool) -> tuple[float, float]:
    """Scale and offset from a raster itself, for files without a product around them."""
    raster_grid(file)
    with rasterio.open(file) as source:
        slope, shift = source.scales[band - 1], source.offsets[band - 1]
        whole = np.dtype(source.dtypes[band - 1]).kind in "iu"
    if (slope, shift) != (1.0, 0.0):
        return 1.0 / slope, shift / slope
    if not whole:
        return 1.0, 0.0
    day = _DAY.search(file.name)
    if day is not None and not offset_given and _sensed(day[1]) >= _OFFSET_SINCE:
        raise ProductError(
            f"{file}: images since {_OFFSET_SINCE} may or may not hold 1000 too much; state the offset, -1000 or 0"
        )
    return _QUANTIFICATION, 0.0


def _sensed(text: str) -> date:
    """Turn YYYYMMDD into a date; a number that is none counts as long ago."""
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return date.min
