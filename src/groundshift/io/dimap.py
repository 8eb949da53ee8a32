"""The header of a BEAM-DIMAP product (`.dim`) and of the ENVI rasters in its `.data` folder (`.hdr`)."""

import math
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError
from groundshift.io.dates import date_in_name
from groundshift.io.flat import Layout, read_flat
from groundshift.io.plainxml import parse_xml
from groundshift.types import RadarGrid, Window

__all__ = ["Band", "Dimap", "read_dimap", "read_envi_layout"]

_ENVI_TYPES = {"1": "u1", "2": "i2", "3": "i4", "4": "f4", "5": "f8", "6": "c8", "9": "c16", "12": "u2", "13": "u4"}
_UNKNOWN = 99999
# SNAP writes this number for metadata it does not know.


class Band(NamedTuple):
    """A raster of the product: its image, how numbers lie there, its no-data value, what is wrong with its header."""

    name: str
    image: Path
    layout: Layout
    nodata: float | None
    problem: str = ""


class _TiePoints(NamedTuple):
    """A grid of tie points: where the first lies, counted in pixels from the outer corner, and their distance."""

    header: Path
    offset: tuple[float, float]
    step: tuple[float, float]


@dataclass(frozen=True)
class Dimap:
    """What a `.dim` file says. `transform` and `crs` are those of a map, or None and empty in radar geometry."""

    path: Path
    bands: tuple[Band, ...]
    transform: Affine | None
    crs: str
    metadata: dict[str, str]
    baselines: dict[tuple[date, date], float]
    tie_points: dict[str, _TiePoints]

    def text(self, name: str) -> str:
        """Return an entry of the Abstracted_Metadata, empty where there is none."""
        return self.metadata.get(name, "")

    def number(self, name: str) -> float | None:
        """Return a number of the Abstracted_Metadata, or None where SNAP does not know it."""
        value = _number(self.text(name))
        return None if value is None or value == _UNKNOWN else value

    def baseline(self, reference: date, secondary: date) -> float | None:
        """Return the perpendicular baseline of two dates in metres."""
        if (reference, secondary) in self.baselines:
            return self.baselines[reference, secondary]
        reverse = self.baselines.get((secondary, reference))
        return None if reverse is None else -reverse

    def tie_point_grid(
        self, name: str, shape: tuple[int, int], rows: slice = slice(None)
    ) -> NDArray[np.float64] | None:
        """Interpolate a grid of tie points at the pixel centres of some rows, or None where it is not there."""
        points = self.tie_points.get(name)
        if points is None:
            return None
        try:
            layout = read_envi_layout(points.header)
            values = read_flat(points.header.with_suffix(".img"), layout, Window(0, 0, *layout.shape)).astype(
                np.float64
            )
        except GroundshiftError:
            return None
        y = (np.arange(shape[0])[rows] + 0.5 - points.offset[0]) / points.step[0]
        x = (np.arange(shape[1]) + 0.5 - points.offset[1]) / points.step[1]
        lookup = RadarGrid(layout.shape, (1.0, 1.0), values, values)
        return lookup.lonlat(*np.meshgrid(y, x, indexing="ij"))[0]


def read_dimap(path: Path) -> Dimap:
    """Read a `.dim` file and the headers of its rasters.

    Raises
    ------
    MissingFileError, DamagedFileError
        If it is not there or not readable; what is wrong with the header of a raster is said in its `Band`.
    """
    root = parse_xml(path)
    names = {_text(node, "BAND_INDEX"): node for node in root.iter("Spectral_Band_Info")}
    bands: list[Band] = []
    for node in root.iter("Data_File"):
        told = names.get(_text(node, "BAND_INDEX"))
        href = node.find("DATA_FILE_PATH")
        if told is None or href is None:
            continue
        header = path.parent / href.get("href", "")
        nodata = _number(_text(told, "NO_DATA_VALUE")) if _text(told, "NO_DATA_VALUE_USED") == "true" else None
        name, image = _text(told, "BAND_NAME"), header.with_suffix(".img")
        try:
            bands.append(Band(name, image, read_envi_layout(header), nodata))
        except GroundshiftError as error:
            bands.append(Band(name, image, Layout((0, 0), ">f4"), nodata, str(error)))
    transform, crs = _place(path, root, bands)
    abstracted = next((node for node in root.iter("MDElem") if node.get("name") == "Abstracted_Metadata"), None)
    metadata: dict[str, str] = {}
    baselines: dict[tuple[date, date], float] = {}
    if abstracted is not None:
        metadata = {node.get("name", ""): (node.text or "").strip() for node in abstracted.findall("MDATTR")}
        baselines = _baselines(abstracted)
    return Dimap(path, tuple(bands), transform, crs, metadata, baselines, _tie_points(path, root))


def read_envi_layout(header: Path) -> Layout:
    """Read the layout of an ENVI raster from its `.hdr`.

    Raises
    ------
    MissingFileError, DamagedFileError
        If it is not there or lacks what is needed.
    """
    told = _envi(header)
    try:
        order = ">" if told.get("byte order", "0") == "1" else "<"
        interleave = told.get("interleave", "bsq").lower()
        shape = (int(told["lines"]), int(told["samples"]))
        layout = Layout(
            shape,
            order + _ENVI_TYPES[told["data type"]],
            int(told.get("bands", "1")),
            interleave,
            int(told.get("header offset", "0")),
        )
    except (KeyError, ValueError) as error:
        raise DamagedFileError(f"{header}: no samples, lines and data type in it; write the product again") from error
    if min(*shape, layout.bands) < 1 or interleave not in ("bsq", "bil", "bip") or layout.offset < 0:
        raise DamagedFileError(f"{header}: describes no raster; write the product again")
    return layout


def _envi(header: Path) -> dict[str, str]:
    """Read the fields of an ENVI header; those in braces may run over several lines."""
    try:
        text = header.read_text(encoding="latin-1")
    except FileNotFoundError as error:
        raise MissingFileError(f"{header}: no such file; restore it or remove its companions") from error
    if not text.lstrip().upper().startswith("ENVI"):
        raise DamagedFileError(f"{header}: not an ENVI header; write the product again")
    fields = re.findall(r"^\s*([^={}\n]+?)\s*=\s*(\{[^}]*\}|[^\n]*)", text, re.MULTILINE)
    return {name.lower(): value.strip().strip("{}").strip() for name, value in fields}


def _place(path: Path, root: Element, bands: list[Band]) -> tuple[Affine | None, str]:
    """Return the affine and the coordinate system of a map, from the `.dim`, else from a raster's `map info`."""
    wkt = root.findtext("Coordinate_Reference_System/WKT")
    numbers = [_number(text) for text in (root.findtext("Geoposition/IMAGE_TO_MODEL_TRANSFORM") or "").split(",")]
    if wkt and len(numbers) == 6:
        # In the order of Java's affine: both columns of the matrix, then the shift.
        a, d, b, e, c, f = (math.nan if number is None else number for number in numbers)
        transform, crs = Affine(a, b, c, d, e, f), _crs(path, wkt)
    else:
        place = _map_info(path, bands)
        if place is None:
            return None, ""
        transform, crs = place
    if transform.b or transform.d or not all(map(math.isfinite, transform[:6])) or not transform.a * transform.e:
        raise DamagedFileError(f"{path}: its map is rotated or has no size; terrain-correct it to a north-up map")
    return transform, crs


def _map_info(path: Path, bands: list[Band]) -> tuple[Affine, str] | None:
    """Return affine and coordinate system from the first raster header that has them."""
    for band in bands:
        try:
            told = _envi(band.image.with_suffix(".hdr"))
        except GroundshiftError:
            continue
        info = [part.strip() for part in told.get("map info", "").split(",")]
        numbers = [_number(part) for part in info[1:7]]
        if len(numbers) < 6 or any(number is None for number in numbers):
            continue
        x, y, east, north, dx, dy = (number or 0.0 for number in numbers)
        transform = Affine(dx, 0, east - (x - 1) * dx, 0, -dy, north + (y - 1) * dy)
        if told.get("coordinate system string"):
            return transform, _crs(path, told["coordinate system string"])
        if info[0].lower().startswith("geographic"):
            return transform, "EPSG:4326"
        if info[0].upper() == "UTM" and len(info) > 8 and info[7].isdigit():
            return transform, f"EPSG:{(32700 if info[8].lower() == 'south' else 32600) + int(info[7])}"
    return None


def _crs(path: Path, wkt: str) -> str:
    """Return a coordinate system given as WKT: by its EPSG number where it has one."""
    try:
        crs = CRS.from_wkt(wkt)
    except CRSError as error:
        raise DamagedFileError(
            f"{path}: coordinate system not understood; terrain-correct it to UTM or WGS84"
        ) from error
    if crs.is_geographic and crs.ellipsoid is not None and abs(crs.ellipsoid.semi_major_metre - 6378137) < 1:
        return "EPSG:4326"
    number = crs.to_epsg(min_confidence=70)
    return f"EPSG:{number}" if number is not None else str(crs.to_wkt())


def _tie_points(path: Path, root: Element) -> dict[str, _TiePoints]:
    """List the grids of tie points by name."""
    headers = {}
    for node in root.iter("Tie_Point_Grid_File"):
        href = node.find("TIE_POINT_GRID_FILE_PATH")
        if href is not None:
            headers[_text(node, "TIE_POINT_GRID_INDEX")] = path.parent / href.get("href", "")
    grids: dict[str, _TiePoints] = {}
    for node in root.iter("Tie_Point_Grid_Info"):
        header = headers.get(_text(node, "TIE_POINT_GRID_INDEX"))
        numbers = [_number(_text(node, name)) for name in ("OFFSET_Y", "OFFSET_X", "STEP_Y", "STEP_X")]
        if header is None or any(number is None for number in numbers) or not numbers[2] or not numbers[3]:
            continue
        grids[_text(node, "TIE_POINT_GRID_NAME")] = _TiePoints(
            header, (numbers[0] or 0.0, numbers[1] or 0.0), (numbers[2], numbers[3])
        )
    return grids


def _baselines(abstracted: Element) -> dict[tuple[date, date], float]:
    """Read the perpendicular baselines of the product, by reference and secondary date."""
    told: dict[tuple[date, date], float] = {}
    for group in abstracted.iter("MDElem"):
        if group.get("name") != "Baselines":
            continue
        for one in group.findall("MDElem"):
            for two in one.findall("MDElem"):
                dates = date_in_name(one.get("name", "")), date_in_name(two.get("name", ""))
                for node in two.findall("MDATTR"):
                    value = _number((node.text or "").strip())
                    if node.get("name") == "Perp Baseline" and value is not None and dates[0] and dates[1]:
                        told[dates[0], dates[1]] = value
    return told


def _text(node: Element, name: str) -> str:
    """Return the text of a child, empty where there is none."""
    return (node.findtext(name) or "").strip()


def _number(text: str) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
