"""ISCE2 topsStack: merged single-look images, `merged/SLC/<date>/<date>.slc.full`.

Given is a stack (with `merged/` in it), its `merged` or `merged/SLC`, or a folder of stacks. An image is a raster of
complex64, or, as topsStack merges by default, only a `.vrt` that points to the bursts in `coreg_secondarys`; shape and
type are those of its `.xml`. Merged without looks both lack `.full`.

Path: topsStack takes the path to the terrain out of every secondary while it resamples (`resamp_withCarrier.py`
flattens unless told `--noflat`, which no workflow of it tells). Nothing is left to take out.

Geometry: `merged/geom_reference/*.rdr.full` for heights and for the mask of layover and shadow (0 is neither); for
places and the line of sight the rasters with looks (`*.rdr`) where they are, since they are smaller. Perpendicular
baselines are those of `baselines/`, whose sign is ours: positive where the secondary sees the ground under the larger
incidence.
"""

import os
import re
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import GroundshiftError, MissingFileError, NoDataError
from groundshift.io import isce
from groundshift.io.agree import GridKey
from groundshift.io.dates import date_in_name
from groundshift.io.flat import Layout, check_size, read_flat
from groundshift.io.isce import raster_layout
from groundshift.io.lookup import look_from_angles
from groundshift.io.rasters import read_band
from groundshift.io.slc import SlcStack
from groundshift.io.slc_agree import FoundSlc, open_bursts, settle_dates
from groundshift.io.slc_place import grid_with_lookup, lattice_step
from groundshift.io.stack import Problem
from groundshift.types import LookGeometry, Looks, Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_slcs", "recognises"]

PRODUCT = "isce"

_DATE = re.compile(r"\d{8}")


class _Raster(NamedTuple):
    """A raster of ISCE2: a flat file, or a `.vrt` that stands for one."""

    path: Path
    header: Path
    layout: Layout

    def read(self, window: Window, band: int = 0) -> NDArray[Any]:
        """Read a window of one band, counted from 0."""
        if self.path.suffix == ".vrt":
            return read_band(self.path, window, band + 1)
        return read_flat(self.path, self.layout, window, band)


def recognises(path: Path) -> bool:
    """Whether topsStack's merged images are at `path` or one level down."""
    return bool(_stacks(path))


def open_slcs(path: Path, *, strict: bool = False) -> list[SlcStack]:
    """Open a topsStack folder, its `merged` or `merged/SLC`, or a folder of such stacks.

    Raises
    ------
    MissingFileError
        If there are no merged images.
    ProductError
        If `strict` and an image would be skipped.
    NoDataError
        If no stack has two usable images.
    """
    folders = _stacks(path)
    if not folders:
        raise MissingFileError(f"{path}: no merged/SLC with images here; give the folder of the stack")
    openers: dict[str, Callable[[], SlcStack]] = {
        _stack_of(folder).name: partial(_open, path, folder, strict) for folder in folders
    }
    return open_bursts(path, openers, strict)


def _open(root: Path, folder: Path, strict: bool) -> SlcStack:
    """Open the images of one stack."""
    problems: list[Problem] = []
    found: list[FoundSlc] = []
    rasters: dict[Path, _Raster] = {}
    for day_folder in _date_folders(folder):
        day = date_in_name(day_folder.name)
        raster = _image(day_folder)
        if day is None or raster is None:
            continue
        if isinstance(raster, Problem):
            problems.append(raster)
            continue
        found.append(FoundSlc(day, (raster.path, raster.header), GridKey(raster.layout.shape)))
        rasters[raster.path] = raster
    files, key, settled = settle_dates(folder, found, problems, strict)
    stack = _stack_of(folder)
    notes: list[Problem] = []
    geometry = _Geometry(isce._geometry_folder(stack / "merged"), key.shape, notes)
    reference = isce._reference(stack)
    mask, height = geometry.raster("shadowMask"), geometry.raster("hgt")
    return SlcStack(
        product=PRODUCT,
        root=root,
        track=stack.name,
        dates=tuple(files),
        grid=geometry.grid(),
        wavelength=isce._wavelength(reference, stack, notes),
        read_date=partial(_read, {day: rasters[those[0]] for day, those in files.items()}),
        look=geometry.look(),
        baselines=_baselines(stack / "baselines", tuple(files)),
        read_mask=None if mask is None else partial(_read_mask, mask),
        read_height=None if height is None else partial(_read_height, height),
        problems=(*settled, *notes),
        files=files,
    )


def _stacks(path: Path) -> list[Path]:
    """List the folders of images under a path: its own, or else one for each stack in it."""
    own = _slc_folder(path)
    if own is not None:
        return [own]
    if not path.is_dir():
        return []
    below = (_slc_folder(stack) for stack in sorted(path.iterdir()))
    return [folder for folder in below if folder is not None]


def _slc_folder(path: Path) -> Path | None:
    """Find the folder that holds a folder of images for each date."""
    for folder in (path / "merged" / "SLC", path / "SLC", path):
        if folder.is_dir() and any(_stem(day) is not None for day in _date_folders(folder)):
            return folder
    return None


def _stack_of(folder: Path) -> Path:
    """Return the folder of the stack that images of `merged/SLC` belong to."""
    return Path(os.path.abspath(folder)).parents[1]


def _date_folders(folder: Path) -> list[Path]:
    """List the folders named by a date."""
    return sorted(day for day in folder.iterdir() if _DATE.fullmatch(day.name) and day.is_dir())


def _stem(day_folder: Path) -> Path | None:
    """Return the name of a date's image without `.vrt` or `.xml`, or None where there is none."""
    for name in (f"{day_folder.name}.slc.full", f"{day_folder.name}.slc"):
        if any((day_folder / f"{name}{end}").is_file() for end in ("", ".vrt")):
            return day_folder / name
    return None


def _image(day_folder: Path) -> _Raster | Problem | None:
    """Find the image of a date and see that it is whole."""
    stem = _stem(day_folder)
    if stem is None:
        line = f"{day_folder}: no {day_folder.name}.slc.full in it; merge the date again or remove the folder"
        return Problem(day_folder, line) if any(day_folder.iterdir()) else None
    return _raster(stem)


def _raster(stem: Path) -> _Raster | Problem:
    """Find a raster by its name, or say what is wrong with it."""
    header = stem.with_name(f"{stem.name}.xml")
    virtual = stem.with_name(f"{stem.name}.vrt")
    path = stem if stem.is_file() or not virtual.is_file() else virtual
    try:
        layout = raster_layout(stem)
    except GroundshiftError as error:
        return Problem(header, str(error))
    if path == virtual:
        return _Raster(path, header, layout)
    try:
        check_size(path, layout)
    except GroundshiftError as error:
        return Problem(path, str(error))
    return _Raster(path, header, layout)


def _read(rasters: dict[date, _Raster], day: date, window: Window) -> NDArray[np.complex64]:
    """Read one date over a window; what is not finite becomes zero."""
    image: NDArray[np.complex64] = rasters[day].read(window).astype(np.complex64, copy=False)
    image[~np.isfinite(image)] = 0
    return image


def _read_mask(raster: _Raster, window: Window) -> NDArray[np.bool_]:
    """Read where there is neither layover nor shadow."""
    return np.asarray(raster.read(window) == 0)


def _read_height(raster: _Raster, window: Window) -> NDArray[np.float32]:
    """Read heights over a window."""
    return raster.read(window).astype(np.float32)


class _Geometry:
    """The rasters of the geometry folder that fit the images, at full resolution or with looks."""

    def __init__(self, folder: Path, shape: tuple[int, int], notes: list[Problem]) -> None:
        self.folder = folder
        self.shape = shape
        self.notes = notes

    def raster(self, name: str) -> _Raster | None:
        """Return a raster of the shape of the images, or None with a note."""
        reason = ""
        for end in (".rdr.full", ".rdr"):
            raster = _raster(self.folder / f"{name}{end}")
            if isinstance(raster, Problem):
                reason = reason or raster.message.partition(";")[0]
            elif raster.layout.shape == self.shape:
                return raster
            else:
                reason = f"{raster.path}: not of the shape of the images"
        self.notes.append(Problem(self.folder, f"{reason}; merge the geometry at full resolution", skipped=False))
        return None

    def small(self, name: str) -> tuple[_Raster, Looks]:
        """Return the smallest raster of a kind and the looks it was taken with; raise NoDataError without any."""
        for end in (".rdr", ".rdr.full"):
            raster = _raster(self.folder / f"{name}{end}")
            if isinstance(raster, _Raster):
                rows, columns = raster.layout.shape
                return raster, Looks(max(self.shape[0] // rows, 1), max(self.shape[1] // columns, 1))
        assert isinstance(raster, Problem)  # each of the names was tried
        raise NoDataError(raster.message)

    def look(self) -> LookGeometry | None:
        """Return the look geometry of the middle row, or None, with a note where there is no raster."""
        try:
            raster, _ = self.small("los")
        except NoDataError as error:
            self.notes.append(Problem(self.folder / "los.rdr", str(error), skipped=False))
            return None
        if raster.layout.bands < 2:
            return None
        middle = Window(raster.layout.shape[0] // 2, 0, 1, raster.layout.shape[1])
        return look_from_angles(raster.read(middle, 0), raster.read(middle, 1))

    def grid(self) -> RadarGrid:
        """Return the grid by the places of the pixels; raise NoDataError where they are not told."""
        (lon, looks), (lat, _) = self.small("lon"), self.small("lat")
        if lat.layout.shape != lon.layout.shape:
            raise NoDataError(f"{lat.path}: not of the shape of {lon.path.name}; merge the geometry again")
        thin = lattice_step(lon.layout.shape)
        longitude, latitude = _thinned(lon, thin), _thinned(lat, thin)
        unknown = (longitude == 0) & (latitude == 0)
        longitude[unknown] = latitude[unknown] = np.nan
        every, first = Looks(looks.y * thin, looks.x * thin), ((looks.y - 1) / 2, (looks.x - 1) / 2)
        grid = grid_with_lookup(self.shape, longitude, latitude, every, first)
        if grid is None:
            raise NoDataError(f"{lon.path}: no two neighbours with a place; merge the geometry again")
        return grid


def _thinned(raster: _Raster, thin: int) -> NDArray[np.float64]:
    """Read every n-th row and column of a raster."""
    rows, columns = raster.layout.shape
    lines = [raster.read(Window(row, 0, 1, columns))[0, ::thin] for row in range(0, rows, thin)]
    return np.stack(lines).astype(np.float64)


def _baselines(folder: Path, dates: tuple[date, ...]) -> dict[date, float]:
    """Return the perpendicular baselines of dates relative to the first one, where they are told."""
    told = isce._baselines(folder)
    known = {dates[0]: 0.0} if told else {}
    for day in dates[1:]:
        value = isce._baseline(Pair(dates[0], day), told)
        if value is not None:
            known[day] = value
    return known
