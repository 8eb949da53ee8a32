"""Sentinel-1 products of level 1 as ESA gives them (`.SAFE` folders): ground range detected, and single-look complex.

Annotations are read by xarray-sentinel, pixels by rasterio. Of several polarisations the first of VV, HH, VH, HV is
read. Amplitudes are divided by the product's table for sigma nought, between whose entries it is interpolated, so that
1 stands for a backscatter of one; a product without tables gives digital numbers and no calibration.

A complex image of an interferometric wide swath gives one image per swath, `Sentinel-1 IW1` and so on: swaths overlap
and have geometries of their own. The bursts of a swath are laid on one grid of azimuth times, that of the first burst,
to which all of them are sampled; where two show the same time the earlier one is read up to the middle of the overlap.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import ParseError

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray_sentinel import esa_safe, sentinel1
from xmlschema import XMLSchemaException

from groundshift.constants import SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.geometry.orbits import Orbit
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.rasters import read_band
from groundshift.types import Window

__all__ = ["PRODUCT", "find", "open_images"]

PRODUCT = "safe"

_MANIFEST = "manifest.safe"
_POLARISATIONS = ("vv", "hh", "vh", "hv")
_ROLES = {
    "s1Level1ProductSchema": "annotation",
    "s1Level1MeasurementSchema": "measurement",
    "s1Level1CalibrationSchema": "calibration",
}
_MISTAKES = (OSError, ValueError, KeyError, TypeError, AssertionError, ParseError, XMLSchemaException)
"""What the library raises of files that are damaged."""


class _Burst(NamedTuple):
    """Rows of the image that are read from one place of the file."""

    row: int
    """First row of the image."""
    line: int
    """Its line in the file."""
    height: int


class _Table(NamedTuple):
    """Digital numbers of a backscatter of one, on a lattice of the file."""

    lines: NDArray[np.float64]
    pixels: NDArray[np.float64]
    values: NDArray[np.float64]
    """(line, pixel)."""

    def at(self, first_line: int, window: Window) -> NDArray[np.float64]:
        """Return it over a window that begins at a line of the file; beyond the lattice that of its edge."""
        wanted = first_line + np.arange(window.height)
        columns = np.arange(window.x, window.x + window.width)
        along = np.stack([np.interp(columns, self.pixels, row) for row in self.values])
        place = np.interp(wanted, self.lines, np.arange(len(self.lines)))
        lower = np.minimum(place.astype(np.int64), max(len(self.lines) - 2, 0))
        share = (place - lower)[:, np.newaxis]
        upper = np.minimum(lower + 1, len(self.lines) - 1)
        return np.asarray((1 - share) * along[lower] + share * along[upper])


def find(entries: Iterable[Path]) -> list[Path]:
    """Return the products among some entries: folders with a manifest, and archives that are not unpacked."""
    found = set()
    for entry in entries:
        if entry.name == _MANIFEST:
            found.add(entry.parent)
        elif (entry.suffix.upper() == ".SAFE" and entry.is_dir()) or _is_packed(entry):
            found.add(entry)
    return sorted(found)


def open_images(path: Path) -> list[AmplitudeImage]:
    """Open a product: one image, or one for each swath of a complex one.

    Raises
    ------
    ProductError
        If it is an archive, of another level, or contradicts itself.
    MissingFileError, DamagedFileError
        If a file is missing, truncated or no XML.
    """
    if path.suffix.lower() == ".zip":
        raise ProductError(f"{path}: a packed product; unzip it")
    manifest = path / _MANIFEST
    try:
        with manifest.open("rb") as file:
            attributes, listed = esa_safe.parse_manifest_sentinel1(file)
    except FileNotFoundError as error:
        raise MissingFileError(f"{manifest}: no such file; fetch the product again") from error
    except _MISTAKES as error:
        raise DamagedFileError(f"{manifest}: not the manifest of a Sentinel-1 product; fetch it again") from error
    if attributes["product_type"] not in ("GRD", "SLC"):
        raise ProductError(f"{path}: product type {attributes['product_type']}; give GRD or SLC of level 1")
    swaths = _swaths(path, listed)
    if not swaths:
        raise DamagedFileError(f"{manifest}: names no image; fetch the product again")
    named = attributes["product_type"] == "SLC"
    return [
        _open_swath(path, f"Sentinel-1 {swath}" if named else "Sentinel-1", swaths[swath]) for swath in sorted(swaths)
    ]


def _is_packed(path: Path) -> bool:
    """Whether a file is the archive of a product whose folder is not beside it."""
    if path.suffix.lower() != ".zip" or not path.name.startswith("S1"):
        return False
    return not path.with_suffix("").is_dir() and not path.with_suffix(".SAFE").is_dir()


def _swaths(root: Path, listed: dict[str, tuple[str, str, str, str, str]]) -> dict[str, dict[str, Path]]:
    """Return the files of each swath by their role, of the first polarisation there is."""
    every: dict[str, dict[str, dict[str, Path]]] = {}
    for name, (kind, _, swath, polarisation, _) in listed.items():
        if kind in _ROLES and polarisation.lower() in _POLARISATIONS:
            every.setdefault(swath.upper(), {}).setdefault(polarisation.lower(), {})[_ROLES[kind]] = root / name
    chosen = {swath: found[min(found, key=_POLARISATIONS.index)] for swath, found in every.items()}
    return {swath: files for swath, files in chosen.items() if {"annotation", "measurement"} <= files.keys()}


def _open_swath(root: Path, sensor: str, files: dict[str, Path]) -> AmplitudeImage:
    """Open one image of a product."""
    for file in files.values():
        if not file.is_file():
            raise MissingFileError(f"{file}: no such file; fetch the product again")
    annotation = files["annotation"]
    try:
        information, image, timing = (
            esa_safe.parse_tag(str(annotation), f"//{tag}")
            for tag in ("productInformation", "imageInformation", "swathTiming")
        )
        start = _utc(image["productFirstLineUtcTime"])
        midnight = datetime(start.year, start.month, start.day)
        interval = float(image["azimuthTimeInterval"])
        rows, bursts, start = _bursts(image, timing, start, interval)
        geometry = RadarGeometry(
            _orbit(annotation, midnight),
            (rows, int(image["numberOfSamples"])),
            (start - midnight).total_seconds(),
            interval,
            _axis(annotation, information, image, midnight),
            SPEED_OF_LIGHT / float(information["radarFrequency"]),
        )
        table = _table(files["calibration"]) if "calibration" in files else None
    except GroundshiftError:
        raise
    except _MISTAKES as error:
        raise DamagedFileError(
            f"{annotation}: not a whole annotation of Sentinel-1; fetch the product again"
        ) from error
    read = partial(_read, files["measurement"], bursts, table)
    calibration = None if table is None else 1.0
    return AmplitudeImage(
        PRODUCT,
        root,
        midnight.date(),
        sensor,
        geometry,
        read,
        calibration,
        tuple(files[role] for role in sorted(files)),
    )


def _utc(told: Any) -> datetime:
    """Return a time of an annotation, without a zone."""
    return datetime.fromisoformat(str(told).removesuffix("Z")).replace(tzinfo=None)


def _bursts(
    image: dict[str, Any], timing: dict[str, Any], start: datetime, interval: float
) -> tuple[int, tuple[_Burst, ...], datetime]:
    """Return the rows of the image, where they are read, and the time of the first one."""
    lines = int(image["numberOfLines"])
    listed = timing["burstList"].get("burst") or []
    if not listed:
        return lines, (_Burst(0, 0, lines),), start
    height = int(timing["linesPerBurst"])
    times = [_utc(burst["azimuthTime"]) for burst in listed]
    first = np.array([round((time - times[0]).total_seconds() / interval) for time in times])
    if len(times) * height != lines or np.any(np.diff(first) <= 0):
        raise ValueError("bursts do not make up the image")
    # Where bursts leave a gap the earlier one ends, and the rows between have no data.
    ends = np.append(np.minimum((first[1:] + first[:-1] + height) // 2, first[:-1] + height), first[-1] + height)
    begins = np.append(first[0], np.maximum(ends[:-1], first[1:]))
    bursts = tuple(
        _Burst(int(begin), i * height + int(begin - one), int(end - begin))
        for i, (one, begin, end) in enumerate(zip(first, begins, ends, strict=True))
    )
    return int(first[-1]) + height, bursts, times[0]


def _orbit(annotation: Path, midnight: datetime) -> Orbit:
    """Return the orbit of an annotation."""
    found = sentinel1.open_orbit_dataset(str(annotation))
    return Orbit(_seconds(found, midnight), found["position"].values.T.copy(), found["velocity"].values.T.copy())


def _seconds(found: xr.Dataset, midnight: datetime) -> NDArray[np.float64]:
    """Return the azimuth times of a part of an annotation in seconds after midnight."""
    return np.asarray((found["azimuth_time"].values - np.datetime64(midnight, "ns")) / np.timedelta64(1, "s"))


def _axis(
    annotation: Path, information: dict[str, Any], image: dict[str, Any], midnight: datetime
) -> SlantAxis | GroundAxis:
    """Return the range axis."""
    if information["projection"] == "Slant Range":
        near = float(image["slantRangeTime"]) * SPEED_OF_LIGHT / 2
        return SlantAxis(near, SPEED_OF_LIGHT / (2 * float(information["rangeSamplingRate"])))
    found = sentinel1.open_coordinate_conversion_dataset(str(annotation))
    if np.any(found["gr0"].values != 0):
        raise ProductError(f"{annotation}: ground range begins elsewhere than at the first column; give the SLC")
    return GroundAxis(float(image["rangePixelSpacing"]), _seconds(found, midnight), found["grsrCoefficients"].values)


def _table(path: Path) -> _Table:
    """Return the table for sigma nought."""
    try:
        found = sentinel1.open_calibration_dataset(str(path))
    except _MISTAKES as error:
        raise DamagedFileError(f"{path}: not a whole calibration table; fetch the product again") from error
    values = found["sigmaNought"].values.astype(np.float64)
    if not np.all(values > 0):
        raise DamagedFileError(f"{path}: sigma nought is not positive everywhere; fetch the product again")
    return _Table(found["line"].values.astype(np.float64), found["pixel"].values.astype(np.float64), values)


def _read(path: Path, bursts: tuple[_Burst, ...], table: _Table | None, window: Window) -> NDArray[np.float32]:
    """Read amplitude over a window, from each burst what lies in it."""
    amplitude = np.zeros((window.height, window.width), np.float32)
    for burst in bursts:
        top = max(burst.row, window.y)
        bottom = min(burst.row + burst.height, window.y + window.height)
        if top >= bottom:
            continue
        part = Window(burst.line + top - burst.row, window.x, bottom - top, window.width)
        pixels = np.abs(read_band(path, part)).astype(np.float64)
        if table is not None:
            pixels /= table.at(part.y, part)
        amplitude[top - window.y : bottom - window.y] = np.where(np.isfinite(pixels), pixels, 0)
    return amplitude
