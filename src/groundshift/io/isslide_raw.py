"""The raw ISSLIDE data set: whole interferograms in two swaths, and shapefiles of what somebody saw move in them.

::

    <root>/<delay>/SW1|SW2/phase/*_pha.tif
    <root>/<delay>/SW1|SW2/coherence/*_coh.tif
    <root>/<delay>/<interferogram>/<Zone>_..._<date1>_<date2>.shp

Rasters lie in WGS84 degrees, phase in radians. Of the fields of a shapefile `id` tells one movement from another; all
others are kept as they are.

References
----------
[Bralet2024], section III.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import rasterio
from geopandas.geodataframe import GeoDataFrame
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, ProductError
from groundshift.io.dates import pair_in_name
from groundshift.io.isslide import dates_text, delay_text
from groundshift.io.isslide_cut import Movement
from groundshift.io.rasters import raster_grid
from groundshift.io.stack import Problem
from groundshift.types import MapGrid, Pair, Window

__all__ = [
    "Annotation",
    "RawInterferogram",
    "find_annotations",
    "find_interferograms",
    "is_raw_set",
    "movements_of",
    "read_polygons",
    "read_zone",
]

_SWATHS = ("SW1", "SW2")
_KINDS = {"phase": "_pha.tif", "coherence": "_coh.tif"}
_DELAY = re.compile(r"\d+days")
_ZONE = re.compile(r"[^_]+")
_TOGETHER = "AllInOne"
"""Folders of this name hold all polygons once more."""
_WGS84 = "EPSG:4326"
_MOST_IDS = 2**31 - 1
_SAME = 1e-6
"""Share of a pixel by which rounding may move an edge."""


class RawInterferogram(NamedTuple):
    """One interferogram of the raw set, of one swath or two."""

    delay: str
    dates: str
    phase: tuple[Path, ...]
    coherence: tuple[Path, ...]
    """In the order of `phase`."""


class Annotation(NamedTuple):
    """What moves in one zone of one interferogram."""

    path: Path
    zone: str
    delay: str
    dates: str
    table: GeoDataFrame
    """WGS84; `id` and whatever other fields the file has."""


def is_raw_set(root: Path) -> bool:
    """Whether a folder looks like the raw set: swaths with phase below delays."""
    return root.is_dir() and any(next(root.glob(f"*days/{swath}/phase"), None) for swath in _SWATHS)


def find_interferograms(root: Path) -> tuple[list[RawInterferogram], list[Problem]]:
    """List the interferograms of a raw set, by delay and dates.

    Returns
    -------
    interferograms, problems
        A swath whose coherence is missing, or whose name holds no two dates, is left out and named.

    Raises
    ------
    NoDataError
        If there are none.
    """
    problems: list[Problem] = []
    found: dict[tuple[str, Pair], list[tuple[Path, Path]]] = defaultdict(list)
    for delay in sorted(p for p in root.iterdir() if p.is_dir() and _DELAY.fullmatch(p.name)):
        for swath in (delay / name for name in _SWATHS if (delay / name).is_dir()):
            phases, coherences = (_by_pair(swath / kind, end, problems) for kind, end in _KINDS.items())
            for pair, path in phases.items():
                if pair not in coherences:
                    problems.append(
                        Problem(path, f"{path}: no coherence of these dates in {swath / 'coherence'}; left out")
                    )
                elif delay_text(pair) != delay.name:
                    problems.append(
                        Problem(path, f"{path}: its dates are {pair.days} days apart, not {delay.name}; move the file")
                    )
                else:
                    found[delay.name, pair].append((path, coherences[pair]))
    if not found:
        reason = f"; first problem: {problems[0].message}" if problems else ""
        raise NoDataError(f"{root}: no DELAY/SW1/phase/*{_KINDS['phase']} with its coherence{reason}")
    return [
        RawInterferogram(delay, dates_text(pair), tuple(p for p, _ in files), tuple(c for _, c in files))
        for (delay, pair), files in sorted(found.items())
    ], problems


def find_annotations(root: Path) -> tuple[list[Annotation], list[Problem]]:
    """Read all shapefiles below a folder, but for those in folders called `AllInOne`.

    Returns
    -------
    annotations, problems
        By path. A file that cannot be used is named and left out; files that lack a field which others have are named
        and used.

    Raises
    ------
    MissingFileError
        If there is no shapefile.
    NoDataError
        If none can be used.
    """
    paths = sorted(p for p in root.rglob("*.shp") if not any(_TOGETHER in part for part in p.relative_to(root).parts))
    if not paths:
        raise MissingFileError(f"{root}: no shapefile in it; name their folder with --polygons")
    found: list[Annotation] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            pair = pair_in_name(path.stem)
            zone = _ZONE.match(path.stem)
            if pair is None or zone is None:
                raise ProductError("expected a name such as Queyras_6days_02Jul2018_08Jul2018.shp; rename it")
            table = read_polygons(path)
        except (DamagedFileError, ProductError) as error:
            text = str(error)
            problems.append(Problem(path, text if text.startswith(str(path)) else f"{path}: {text}"))
            continue
        found.append(Annotation(path, zone[0], delay_text(pair), dates_text(pair), table))
    if not found:
        raise NoDataError(f"{root}: no usable shapefile; first of {len(problems)}: {problems[0].message}")
    usual = _usual_fields([_fields(a.table) for a in found])
    for annotation in found:
        fields = _fields(annotation.table)
        for odd, what in ((fields - usual, "unexpected"), (usual - fields, "missing")):
            if odd:
                text = f"{annotation.path}: {what} fields {', '.join(sorted(odd))}; only id is used"
                problems.append(Problem(annotation.path, text, skipped=False))
    return found, problems


def read_polygons(path: Path, id_field: str = "id") -> GeoDataFrame:
    """Read polygons with all their fields, whatever these are.

    Parameters
    ----------
    path : path
        Shapefile, GeoPackage, GeoJSON or anything else that GDAL reads; of several layers the first one.
    id_field : str
        Field of whole numbers above 0 that tell one movement from another.

    Returns
    -------
    GeoDataFrame
        WGS84, valid polygons alone; `id_field` is of whole numbers and called `id`. It may be empty.

    Raises
    ------
    MissingFileError
        If it is not there.
    DamagedFileError
        If it cannot be read, tells no coordinate system, holds something else than polygons, or has no such field.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling of --polygons")
    try:
        layer = str(pyogrio.list_layers(path)[0][0])  # type: ignore[no-untyped-call]
        table = pyogrio.read_dataframe(path, layer=layer)  # type: ignore[no-untyped-call]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, IndexError, ValueError, OSError) as error:
        raise DamagedFileError(f"{path}: cannot be read as a vector file; export it again") from error
    if not isinstance(table, GeoDataFrame):
        raise DamagedFileError(f"{path}: holds no geometry; export it as polygons")
    if table.crs is None:
        raise DamagedFileError(f"{path}: no coordinate system; assign one with ogr2ogr -a_srs EPSG:4326")
    if id_field not in table.columns:
        names = ", ".join(sorted(_fields(table))) or "none"
        raise DamagedFileError(f"{path}: no field {id_field}, only {names}; name the field of numbers with --id-field")
    table = table[~(table.geometry.isna() | table.geometry.is_empty)].to_crs(_WGS84)
    if not table.geom_type.isin(("Polygon", "MultiPolygon")).all():
        kinds = ", ".join(sorted(set(table.geom_type) - {"Polygon", "MultiPolygon"}))
        raise DamagedFileError(f"{path}: expected polygons, instead got {kinds}; draw outlines")
    valid: GeoDataFrame = table.set_geometry(table.geometry.make_valid())
    return valid.assign(id=_whole_numbers(path, id_field, valid[id_field].to_numpy()))


def movements_of(table: GeoDataFrame) -> list[Movement]:
    """Return the polygons of a table as movements."""
    return [Movement(shape, int(k)) for shape, k in zip(table.geometry, table["id"], strict=True)]


def read_zone(
    raw: RawInterferogram, bounds: tuple[float, float, float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32], MapGrid]:
    """Read the part of an interferogram that covers a box, both swaths put together.

    Parameters
    ----------
    raw : RawInterferogram
    bounds : (west, south, east, north)
        Degrees.

    Returns
    -------
    wrapped, coherence, grid
        (y, x) on the pixels of the first swath, as far as either swath reaches. Where both have data the first one is
        taken. Without data the phase is NaN and the coherence 0.

    Raises
    ------
    MissingFileError, DamagedFileError
        If a file cannot be read, or does not lie in longitude and latitude.
    NoDataError
        If no swath reaches into the box.
    """
    grids = [_geographic(path) for path in raw.phase]
    edges = np.array([_extent(g) for g in grids])
    west, south = np.maximum(edges[:, :2].min(0), bounds[:2])
    east, north = np.minimum(edges[:, 2:].max(0), bounds[2:])
    if west >= east or south >= north:
        raise NoDataError(f"{raw.phase[0]}: does not reach the polygons of these dates")
    grid = _aligned(grids[0], (west, south, east, north))
    wrapped = np.full(grid.shape, np.nan, np.float32)
    coherence = np.zeros(grid.shape, np.float32)
    for paths in zip(raw.phase, raw.coherence, strict=True):
        phase, found = (_on(path, grid) for path in paths)
        new = np.isfinite(phase) & np.isfinite(found) & ~((phase == 0) & (found == 0)) & np.isnan(wrapped)
        wrapped[new], coherence[new] = phase[new], found[new]
    _check_radians(raw.phase[0], wrapped)
    return wrapped, coherence.clip(0, 1), grid


def _by_pair(folder: Path, end: str, problems: list[Problem]) -> dict[Pair, Path]:
    """Return the rasters of a folder by the dates in their names."""
    found: dict[Pair, Path] = {}
    for path in sorted(folder.glob(f"*{end}")):
        try:
            pair = pair_in_name(path.name)
        except ProductError as error:
            problems.append(Problem(path, f"{path}: {error}"))
            continue
        if pair is None:
            problems.append(Problem(path, f"{path}: no two dates in its name; rename it"))
        elif pair in found:
            problems.append(Problem(path, f"{path}: its dates are already given by {found[pair]}; remove one"))
        else:
            found[pair] = path
    return found


def _fields(table: GeoDataFrame) -> set[str]:
    """Return the names of the fields."""
    return {str(name) for name in table.columns} - {"geometry"}


def _usual_fields(tables: Sequence[set[str]]) -> set[str]:
    """Return the fields that at least half of the tables have."""
    return {name for name in set().union(*tables) if 2 * sum(name in fields for fields in tables) >= len(tables)}


def _whole_numbers(path: Path, field: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the numbers of movements, or say that they are none."""
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        numbers = np.full(len(values), np.nan)
    good = np.isfinite(numbers) & (numbers == np.round(numbers)) & (numbers >= 1) & (numbers <= _MOST_IDS)
    if not good.all():
        odd = values[np.flatnonzero(~good)[0]]
        raise DamagedFileError(f"{path}: {field}: expected whole numbers from 1 on, instead got {odd}; number them")
    return numbers.astype(np.int64)


def _geographic(path: Path) -> MapGrid:
    """Return the grid of a raster, which must be one of degrees."""
    grid = raster_grid(path)
    if not rasterio.crs.CRS.from_user_input(grid.crs).is_geographic:
        raise DamagedFileError(f"{path}: expected longitude and latitude, instead got {grid.crs}; warp it to {_WGS84}")
    return grid


def _extent(grid: MapGrid) -> tuple[float, float, float, float]:
    """West, south, east and north edge of a north-up grid."""
    west, north = grid.transform.c, grid.transform.f
    return west, north + grid.shape[0] * grid.transform.e, west + grid.shape[1] * grid.transform.a, north


def _aligned(grid: MapGrid, bounds: tuple[float, float, float, float]) -> MapGrid:
    """Return the pixels of a grid, continued beyond its border, that cover a box."""
    west, south, east, north = bounds
    left, top = ~grid.transform @ (west, north)
    right, bottom = ~grid.transform @ (east, south)
    # Edges that meet but for rounding are the same.
    first = math.floor(top + _SAME), math.floor(left + _SAME)
    past = math.ceil(bottom - _SAME), math.ceil(right - _SAME)
    return grid.cropped(Window(first[0], first[1], past[0] - first[0], past[1] - first[1]))


def _on(path: Path, grid: MapGrid) -> NDArray[np.float32]:
    """Read a raster on a grid by the nearest pixel; NaN where it does not reach."""
    try:
        with (
            rasterio.open(path) as source,
            WarpedVRT(
                source, crs=grid.crs, transform=grid.transform, height=grid.shape[0], width=grid.shape[1],
                resampling=Resampling.nearest, nodata=math.nan, dtype="float32",
            ) as view,
        ):  # fmt: skip
            return np.asarray(view.read(1), np.float32)
    except RasterioError as error:
        raise DamagedFileError(f"{path}: truncated or unreadable raster; fetch the file again") from error


def _check_radians(path: Path, wrapped: NDArray[np.float32]) -> None:
    """See that a phase can be one in radians."""
    known = wrapped[np.isfinite(wrapped)]
    if known.size and float(np.abs(known).max()) > math.pi + 1e-3:
        raise DamagedFileError(
            f"{path}: expected wrapped phase in radians, instead got {known.min():.4g} to {known.max():.4g}; convert it"
        )
