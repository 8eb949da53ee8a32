"""Zones of ground that patches are cut of: opened from the raw ISSLIDE set, or from any stack that a survey takes."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import shapely
from affine import Affine
from geopandas.geodataframe import GeoDataFrame
from numpy.typing import NDArray
from pydantic import Field

from groundshift.errors import DamagedFileError, NoDataError
from groundshift.geometry.geocode import geocode, map_grid_for, pixels_of, positions_on, sample_at
from groundshift.io import InterferogramStack
from groundshift.io.isslide import SIDE, dates_text, delay_text
from groundshift.io.isslide_cut import Movement, Place, find_places
from groundshift.io.isslide_raw import (
    RawInterferogram,
    find_annotations,
    find_interferograms,
    is_raw_set,
    movements_of,
    read_polygons,
    read_zone,
)
from groundshift.io.rasters import raster_grid
from groundshift.io.stack import Problem
from groundshift.types import Grid, MapGrid, Pair, Window
from groundshift.workflows.config import Config, SettingError, SurveyConfig
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.parts import to_day
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["MakeSegmentsConfig", "Zone", "ZonePair", "ZoneView", "open_zones"]

_AROUND = SIDE
"""Pixels around all polygons of a zone that are read: those of a patch that is moved inwards at the border."""
_ALIKE = 0.02
"""Share by which the pixel of a map in degrees may differ from that of the patches, and still be taken as it is."""
_TOLD = 8
"""Problems of one kind that are told on the terminal."""

_Period = tuple[date, date]


class MakeSegmentsConfig(Config):
    """Everything that the making of a set can be told."""

    inputs: tuple[Path, ...]
    """The raw ISSLIDE set, or folders or files of interferograms, one per track."""
    output: Path
    """Folder for the set."""
    polygons: Path | None = None
    """Vector file of what moves; of a raw set a folder of shapefiles, by default the one that holds the set."""
    zone: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w-]*$")], ...] = ()
    """Name of the zone of each track; that of the track by default."""
    id_field: str = "id"
    """Field of the polygons: whole number that tells one movement from another."""
    start_field: str = "start"
    """Field of the polygons, if there is one: day on which the movement begins; empty if it did before."""
    end_field: str = "end"
    """Field of the polygons, if there is one: day on which the movement ends; empty if it goes on."""
    delays: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """Only pairs of so many days, such as 6 12 18; all by default."""
    pixel_deg: Annotated[float, Field(ge=2e-5, le=2e-2)] = 1.315e-4
    """Pixel of the patches, degrees; that of ISSLIDE by default. A raw set keeps its own."""
    product: str | None = None
    """Name of the reader; recognised from the files by default."""
    pattern: str | None = None
    """For plain GeoTIFF: pattern of the file names."""
    wavelength: Annotated[float, Field(gt=0)] | None = None
    """For plain GeoTIFF: radar wavelength, metres."""


class ZoneView(NamedTuple):
    """One interferogram over a zone; arrays (y, x)."""

    wrapped: NDArray[np.float32]
    """Radians; NaN without data."""
    coherence: NDArray[np.float32]
    grid: MapGrid
    """WGS84 degrees."""


class ZonePair(NamedTuple):
    """One interferogram of a zone, and what moves in it."""

    delay: str
    dates: str
    movements: Sequence[Movement]
    read: Callable[[], ZoneView]


class Zone(NamedTuple):
    """Ground whose places are the same in all its interferograms."""

    name: str
    pairs: tuple[ZonePair, ...]

    @property
    def places(self) -> list[Place]:
        """Where its patches are cut: around what moves at any time."""
        return find_places([movement for pair in self.pairs for movement in pair.movements])


def open_zones(config: MakeSegmentsConfig, reporter: Reporter) -> list[Zone]:
    """Open all inputs and find what moves in each.

    Raises
    ------
    NoDataError
        If there is nothing to cut.
    """
    raw = [is_raw_set(path) for path in config.inputs]
    if any(raw) and not all(raw):
        raise SettingError("the raw set and other interferograms are given together; make a set of each")
    if all(raw):
        zones = [zone for path in config.inputs for zone in _raw_zones(path, config, reporter)]
    else:
        zones = _stack_zones(config, reporter)
    double = [n for n, same in itertools.groupby(sorted(z.name for z in zones)) if len(list(same)) > 1]
    if double:
        raise SettingError(f"two inputs have the zone {double[0]}; make a set of each, or name them with --zone")
    zones = [zone for zone in zones if zone.pairs]
    if not zones:
        raise NoDataError("no interferogram has the days of the polygons; check --polygons and --delays")
    return zones


def _tell(problems: Sequence[Problem], reporter: Reporter) -> None:
    """Tell problems: the first ones on the terminal, all of them in the log."""
    for problem in problems[:_TOLD]:
        reporter.warn(problem.message)
    if len(problems) > _TOLD:
        reporter.warn(f"{len(problems) - _TOLD} more such lines; log.jsonl has them all")
        for problem in problems[_TOLD:]:
            reporter.log("problem", path=problem.path, text=problem.message, skipped=problem.skipped)


def _raw_zones(root: Path, config: MakeSegmentsConfig, reporter: Reporter) -> Iterator[Zone]:
    """Yield the zones of the raw set."""
    home = config.polygons or root
    if not home.is_dir():
        raise SettingError(f"--polygons: the raw set wants a folder of shapefiles, instead got {home}")
    found, problems = find_interferograms(root)
    _tell(problems, reporter)
    annotations, problems = find_annotations(home)
    by_dates = {(raw.delay, raw.dates): raw for raw in found}
    lost = [a for a in annotations if (a.delay, a.dates) not in by_dates]
    problems += [Problem(a.path, f"{a.path}: no interferogram of {a.dates} in {root}; left out") for a in lost]
    _tell(problems, reporter)
    zones: dict[str, list[tuple[RawInterferogram, list[Movement]]]] = defaultdict(list)
    wanted = {f"{days}days" for days in config.delays}
    for annotation in annotations:
        raw = by_dates.get((annotation.delay, annotation.dates))
        if raw is not None and (not wanted or raw.delay in wanted):
            zones[annotation.zone].append((raw, movements_of(annotation.table)))
    for name, parts in sorted(zones.items()):
        shapes = [m.geometry for _, movements in parts for m in movements]
        if not shapes:
            continue
        bounds = shapely.total_bounds(np.array(shapes, object))
        yield Zone(name, tuple(_raw_pair(raw, movements, bounds) for raw, movements in parts))


def _raw_pair(raw: RawInterferogram, movements: list[Movement], bounds: NDArray[np.float64]) -> ZonePair:
    """Return one interferogram of the raw set, to be read around what moves in its zone."""

    def read() -> ZoneView:
        size = abs(raster_grid(raw.phase[0]).transform.a)
        west, south, east, north = bounds + np.array([-1, -1, 1, 1]) * _AROUND * size
        return ZoneView(*read_zone(raw, (west, south, east, north)))

    return ZonePair(raw.delay, raw.dates, movements, read)


def _stack_zones(config: MakeSegmentsConfig, reporter: Reporter) -> list[Zone]:
    """Open stacks and find which polygons lie on each."""
    if config.polygons is None:
        raise SettingError("no polygons given; name a vector file of what moves with --polygons")
    table = read_polygons(config.polygons, config.id_field)
    periods = _periods(config, table)
    movements = movements_of(table)
    survey = SurveyConfig(
        inputs=config.inputs, output=config.output, product=config.product, pattern=config.pattern,
        wavelength=config.wavelength,
    )  # fmt: skip
    stacks = open_tracks(survey)
    if config.zone and len(config.zone) != len(stacks):
        raise SettingError(f"--zone: expected a name for each of {count_of(len(stacks), 'track')}")
    zones: list[Zone] = []
    reasons: list[str] = []
    for stack, name in zip(stacks, config.zone or [s.track for s in stacks], strict=True):
        tell_problems(stack, reporter)
        extent = shapely.box(*_extent(stack.grid))
        here = [(m, when) for m, when in zip(movements, periods, strict=True) if m.geometry.intersects(extent)]
        if not here:
            reasons.append(f"{stack.track}: no polygon of {config.polygons} lies on it")
            continue
        bounds = shapely.total_bounds(np.array([m.geometry for m, _ in here], object))
        target = _target(stack.grid, bounds, config.pixel_deg)
        if min(target.shape) < SIDE:
            size = f"{target.shape[0]} x {target.shape[1]}"
            reasons.append(
                f"{stack.track}: {size} pixels, fewer than the {SIDE} x {SIDE} of a patch; lower --pixel-deg"
            )
            continue
        source = _Source(stack, target)
        pairs = [p for p in stack.pairs if not config.delays or p.days in config.delays]
        zones.append(Zone(name, tuple(_stack_pair(source, pair, here) for pair in pairs)))
    if not zones:
        raise NoDataError(reasons[0])
    for reason in reasons:
        reporter.warn(f"{reason}; left out")
    return zones


def _stack_pair(source: "_Source", pair: Pair, here: Sequence[tuple[Movement, _Period]]) -> ZonePair:
    """Return one interferogram of a stack with the movements of its days."""
    moving = [m for m, (start, end) in here if start < pair.secondary and end > pair.reference]
    return ZonePair(delay_text(pair), dates_text(pair), moving, lambda: source.read(pair))


def _periods(config: MakeSegmentsConfig, table: GeoDataFrame) -> list[_Period]:
    """Return from when to when each polygon moves."""
    found = []
    for field, otherwise in ((config.start_field, date.min), (config.end_field, date.max)):
        values = table[field] if field in table.columns else [None] * len(table)
        found.append([_day(value, otherwise, f"{config.polygons}: {field}") for value in values])
    return list(zip(*found, strict=True))


def _day(value: Any, otherwise: date, what: str) -> date:
    """Return a day of a table; `otherwise` where none is given."""
    if value is None or value == "" or value != value:  # noqa: PLR0124  (a gap is not equal to itself)
        return otherwise
    try:
        return to_day(value.date() if hasattr(value, "date") else value)
    except ValueError as error:
        raise DamagedFileError(f"{what}: {error}") from error


class _Source:
    """A stack taken to the map of a zone."""

    def __init__(self, stack: InterferogramStack, target: MapGrid) -> None:
        self._stack, self._target = stack, target
        self._window = _needed(stack.grid, target)
        self._at: NDArray[Any] | None = None

    def read(self, pair: Pair) -> ZoneView:
        """Read one pair, bilinear where pixels differ."""
        igram = self._stack.read(pair, self._window)
        if self._at is None:
            places = np.indices(igram.shape, np.float64)
            self._at = geocode(places, self._stack.grid.cropped(self._window), self._target)
        values = np.where(igram == 0, np.complex64(complex(np.nan, np.nan)), igram)
        found = sample_at(values, self._at[0], self._at[1], nearest=False)
        known = np.isfinite(found)
        found = np.where(known, found, 0)
        wrapped = np.where(known, np.angle(found), np.nan).astype(np.float32)
        return ZoneView(wrapped, np.abs(found).astype(np.float32).clip(0, 1), self._target)


def _extent(grid: Grid) -> tuple[float, float, float, float]:
    """West, south, east and north of a grid, degrees."""
    around = map_grid_for(grid)
    rows, columns = around.shape
    y, x = np.meshgrid([-0.5, rows / 2, rows - 0.5], [-0.5, columns / 2, columns - 0.5], indexing="ij")
    longitude, latitude = around.lonlat(y, x)
    return float(longitude.min()), float(latitude.min()), float(longitude.max()), float(latitude.max())


def _target(grid: Grid, bounds: NDArray[np.float64], pixel_deg: float) -> MapGrid:
    """Return the map of a zone: the pixels of the stack where these fit, else new ones, around its polygons."""
    edges = np.array(_extent(grid))
    around = bounds + np.array([-1, -1, 1, 1]) * _AROUND * pixel_deg
    west, south = np.maximum(around[:2], edges[:2])
    east, north = np.minimum(around[2:], edges[2:])
    if isinstance(grid, MapGrid) and grid.crs == "EPSG:4326":
        size = np.abs([grid.transform.a, grid.transform.e])
        if (np.abs(size / pixel_deg - 1) < _ALIKE).all():
            left, top = ~grid.transform @ (west, north)
            right, bottom = ~grid.transform @ (east, south)
            y, x = max(math.floor(top), 0), max(math.floor(left), 0)
            past = min(math.ceil(bottom), grid.shape[0]), min(math.ceil(right), grid.shape[1])
            return grid.cropped(Window(y, x, past[0] - y, past[1] - x))
    shape = max(1, math.ceil((north - south) / pixel_deg)), max(1, math.ceil((east - west) / pixel_deg))
    return MapGrid(shape, Affine(pixel_deg, 0, west, 0, -pixel_deg, north), "EPSG:4326")


def _needed(grid: Grid, target: MapGrid) -> Window:
    """Return the window of a stack that a map is made of; all of a radar grid."""
    whole = Window(0, 0, *grid.shape)
    if not isinstance(grid, MapGrid):
        return whole
    rows, columns = target.shape
    y, x = np.meshgrid(np.linspace(-1, rows, 9), np.linspace(-1, columns, 9), indexing="ij")
    row, column = pixels_of(grid, *positions_on(target, y, x, grid.crs))
    first = [max(math.floor(float(v.min())) - 2, 0) for v in (row, column)]
    past = [min(math.ceil(float(v.max())) + 3, n) for v, n in zip((row, column), grid.shape, strict=True)]
    if past[0] <= first[0] or past[1] <= first[1]:
        return whole
    return Window(first[0], first[1], past[0] - first[0], past[1] - first[1])
