"""ISCE2 topsStack: `merged/interferograms/<date>_<date>/`, with the geometry and baselines of the stack.

Given is the stack (with `merged/` in it), `merged`, or `merged/interferograms`. Of each pair the first of
`filt_fine.int`, `fine.int` (complex64), `filt_fine.unw` and `fine.unw` (amplitude and phase, line by line) is taken,
with the `.cor` of the same name, else with any other. The filtered interferogram comes first because the coherence that
topsStack writes is its own. Shape, type and band count come from the `.xml` beside each raster: `.cor` has one band or
two, of which the last is the coherence. Components of the unwrapping (`.conncomp`) are not asked: 0 there means outside
every component, not without data.

Sign: topsStack multiplies the reference by the conjugate of the secondary, so that the phase grows with range, when the
ground moves away (MintPy reads it so, without a change of sign). It is kept.

No data are pixels whose complex value, or whose amplitude beside the unwrapped phase, is 0, and NaN and infinite
values.

`los.rdr` holds the incidence and the direction from the ground to the satellite, from north anticlockwise; the heading
of the right-looking radar is 90 degrees minus it. Pixel sizes are measured on `lat.rdr` and `lon.rdr`, which contain
the looks already; without them they come from `reference/IW*.xml` times the looks, the ratio of the full rasters
(`*.rdr.full.xml`) to those used.
"""

import os
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import EARTH_RADIUS, SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.dates import pair_or_problem
from groundshift.io.estimate import consistent_igram
from groundshift.io.flat import Layout, check_size, read_flat
from groundshift.io.lookup import ground_spacing, look_from_angles
from groundshift.io.plainxml import parse_xml
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import polar
from groundshift.io.stack import InterferogramStack, Problem
from groundshift.types import LookGeometry, Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_stack", "raster_layout", "recognises"]

PRODUCT = "isce"

_PHASES = ("filt_fine.int", "fine.int", "filt_fine.unw", "fine.unw")
_TYPES = {"byte": "u1", "short": "i2", "int": "i4", "float": "f4", "double": "f8", "cfloat": "c8", "cdouble": "c16"}
_PAIR = re.compile(r"\d{8}_\d{8}")


def recognises(path: Path) -> bool:
    """Whether a folder of pairs with topsStack's interferograms is at `path` or in `merged` there."""
    folder = _interferograms(path)
    return folder is not None and any(_phase_file(pair) is not None for pair in _pair_folders(folder))


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open a topsStack folder, its `merged`, or its `merged/interferograms`.

    Raises
    ------
    MissingFileError
        If there is no folder of interferograms.
    ProductError
        If `strict` and a pair would be skipped.
    NoDataError
        If no pair can be used; the line is that of the first reason.
    """
    folder = _interferograms(path)
    if folder is None:
        raise MissingFileError(f"{path}: no merged/interferograms here; give the folder of the stack")
    merged = Path(os.path.abspath(folder)).parent
    stack = merged.parent
    problems: list[Problem] = []
    found: list[Found] = []
    sources: dict[Path, _Source] = {}
    baselines = _baselines(stack / "baselines")
    folders = _pair_folders(folder)
    with_coherence = any(_coherence_file(pair) is not None for pair in folders)
    for pair_folder in folders:
        pair = pair_or_problem(pair_folder)
        if pair is None:
            continue
        if isinstance(pair, Problem):
            problems.append(pair)
            continue
        source = _source(pair_folder, with_coherence)
        if isinstance(source, Problem):
            problems.append(source)
            continue
        shape, read_phase = source.phase_layout.shape, partial(_read_phase, source)
        if source.phase.suffix == ".unw" and not usable_phase(
            source.phase, read_phase, shape, problems, wrapped_expected=False
        ):
            continue
        files = (source.phase,) if source.coherence is None else (source.phase, source.coherence)
        pair = Pair(pair.reference, pair.secondary, _baseline(pair, baselines))
        found.append(Found(pair, files, GridKey(shape)))
        sources[source.phase] = source
    kept, key, settled = settle_on_grid(path, found, problems, strict)
    notes: list[Problem] = []
    geometry = _Geometry(_geometry_folder(merged), key.shape, notes)
    reference = _reference(stack)
    look = geometry.look()
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=stack.resolve().name,
        pairs=tuple(kept),
        grid=_grid(geometry, reference, look),
        wavelength=_wavelength(reference, stack, notes),
        sign="reference * conj(secondary): grows when the ground moves away; kept as it is",
        coherence_source="product" if with_coherence else "estimated",
        read_pair=partial(_read, {pair: sources[files[0]] for pair, files in kept.items()}),
        look=look,
        read_height=geometry.height_reader(),
        problems=(*settled, *notes),
        files=kept,
    )


class _Source(NamedTuple):
    """What one pair is read from."""

    phase: Path
    phase_layout: Layout
    coherence: Path | None = None
    coherence_layout: Layout | None = None


def _interferograms(path: Path) -> Path | None:
    """Find the folder that holds a folder for each pair."""
    if not path.is_dir():
        return None
    for folder in (path / "merged" / "interferograms", path / "interferograms", path):
        if folder.is_dir() and _pair_folders(folder):
            return folder
    return None


def _pair_folders(folder: Path) -> list[Path]:
    """List the folders named by two dates."""
    return sorted(pair for pair in folder.iterdir() if _PAIR.fullmatch(pair.name) and pair.is_dir())


def _phase_file(pair_folder: Path) -> Path | None:
    """Find the raster that holds the phase of a pair."""
    return next((pair_folder / name for name in _PHASES if (pair_folder / name).is_file()), None)


def _coherence_file(pair_folder: Path) -> Path | None:
    """Find the coherence that belongs to the phase of a pair."""
    phase = _phase_file(pair_folder)
    names = ("filt_fine.cor", "fine.cor")
    first = () if phase is None else (phase.with_suffix(".cor").name,)
    return next((pair_folder / name for name in (*first, *names) if (pair_folder / name).is_file()), None)


def _source(pair_folder: Path, with_coherence: bool) -> _Source | Problem:
    """Find the files of a pair and see that they are whole and agree."""
    phase, coherence = _phase_file(pair_folder), _coherence_file(pair_folder)
    if phase is None:
        text = f"{pair_folder}: none of {', '.join(_PHASES)} in it; restore one or remove the folder"
        return Problem(pair_folder, text)
    if with_coherence and coherence is None:
        return Problem(phase, f"{phase}: no filt_fine.cor beside it, as the other pairs have; restore it")
    layouts: list[Layout] = []
    for raster in (phase, coherence):
        if raster is None:
            continue
        try:
            layout = raster_layout(raster)
            check_size(raster, layout)
        except GroundshiftError as error:
            return Problem(raster, str(error))
        layouts.append(layout)
        if layout.shape != layouts[0].shape:
            return Problem(raster, f"{raster}: not of the shape of {phase.name}; form the pair again")
    return _Source(phase, layouts[0], coherence, layouts[-1] if coherence is not None else None)


def raster_layout(raster: Path) -> Layout:
    """Read the layout of a raster from the `.xml` beside it."""
    header = raster.with_name(raster.name + ".xml")
    told = {
        (node.get("name") or "").lower(): (node.findtext("value") or "").strip().lower()
        for node in parse_xml(header).findall("property")
    }
    try:
        kind = _TYPES[told["data_type"]]
        order = ">" if told.get("byte_order", "l").startswith("b") else "<"
        bands = int(told.get("number_bands", "1"))
        shape = (int(told["length"]), int(told["width"]))
        scheme = told.get("scheme", "bil")
    except (KeyError, ValueError) as error:
        raise DamagedFileError(f"{header}: no width, length and data_type in it; restore it") from error
    if min(*shape, bands) < 1 or scheme not in ("bsq", "bil", "bip"):
        raise DamagedFileError(f"{header}: {bands} bands of {shape} pixels as {scheme!r} make no raster; restore it")
    return Layout(shape, order + kind, bands, scheme)


def _read(sources: dict[Pair, _Source], pair: Pair, window: Window) -> NDArray[np.complex64]:
    """Read one pair over a window."""
    source = sources[pair]
    if source.coherence is None or source.coherence_layout is None:
        return consistent_igram(partial(_read_phase, source), window, source.phase_layout.shape)
    phase, valid = _read_phase(source, window)
    layout = source.coherence_layout
    return polar(read_flat(source.coherence, layout, window, layout.bands - 1), phase, valid)


def _read_phase(source: _Source, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase and validity over a window."""
    layout = source.phase_layout
    values = read_flat(source.phase, layout, window, layout.bands - 1)
    if np.iscomplexobj(values):
        valid = np.isfinite(values) & (values != 0)
        return np.angle(np.where(valid, values, 0)).astype(np.float32), valid
    amplitude = read_flat(source.phase, layout, window, 0)
    return values.astype(np.float32), np.isfinite(values) & (amplitude != 0)


def _geometry_folder(merged: Path) -> Path:
    """Return the folder of the lookup rasters, under its present or its former name."""
    former = merged / "geom_master"
    return former if former.is_dir() else merged / "geom_reference"


class _Geometry:
    """The rasters of the geometry folder that are there, whole and on the grid of the interferograms."""

    def __init__(self, folder: Path, shape: tuple[int, int], notes: list[Problem]) -> None:
        self.folder = folder
        self.shape = shape
        self.layouts: dict[str, Layout] = {}
        for name in ("lat", "lon", "hgt", "los"):
            raster = folder / f"{name}.rdr"
            try:
                layout = raster_layout(raster)
                check_size(raster, layout)
            except GroundshiftError as error:
                notes.append(Problem(raster, str(error), skipped=False))
                continue
            if layout.shape != shape:
                text = f"{raster}: not of the shape of the interferograms, so left out; take the same looks for both"
                notes.append(Problem(raster, text, skipped=False))
                continue
            self.layouts[name] = layout

    def read(self, name: str, window: Window, band: int = 0) -> NDArray[Any]:
        """Read a window of one of the rasters."""
        return read_flat(self.folder / f"{name}.rdr", self.layouts[name], window, band)

    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return longitude and latitude of all pixels, NaN where both are 0, or None."""
        if not {"lat", "lon"} <= set(self.layouts):
            return None
        lon, lat = (self.read(name, Window(0, 0, *self.shape)).astype(np.float64) for name in ("lon", "lat"))
        unknown = (lon == 0) & (lat == 0)
        return np.where(unknown, np.nan, lon), np.where(unknown, np.nan, lat)

    def look(self) -> LookGeometry | None:
        """Return the look geometry of the middle row, or None."""
        if "los" not in self.layouts or self.layouts["los"].bands < 2:
            return None
        middle = Window(self.shape[0] // 2, 0, 1, self.shape[1])
        return look_from_angles(self.read("los", middle, 0), self.read("los", middle, 1))

    def height_reader(self) -> "partial[NDArray[np.float32]] | None":
        """Return what reads heights over a window, or None."""
        return partial(self._height) if "hgt" in self.layouts else None

    def _height(self, window: Window) -> NDArray[np.float32]:
        return self.read("hgt", window).astype(np.float32)

    def looks(self) -> tuple[int, int]:
        """Return the looks along rows and columns, by the size of the rasters before the looks."""
        for name in ("hgt", "lat", "lon", "los"):
            full = self.folder / f"{name}.rdr.full.xml"
            if full.is_file():
                rows, columns = raster_layout(full.with_suffix("")).shape
                return max(round(rows / self.shape[0]), 1), max(round(columns / self.shape[1]), 1)
        return 1, 1


def _grid(geometry: _Geometry, reference: dict[str, float], look: LookGeometry | None) -> RadarGrid:
    """Return the grid, its pixels measured on the lookup rasters, else by the sampling of the radar and the looks."""
    places = geometry.places()
    if places is not None:
        spacing = ground_spacing(*places)
        if spacing is not None:
            return RadarGrid(geometry.shape, spacing, *places)
    # Without places: Sentinel-1's sampling where the reference tells nothing, 7 km/s of ground speed.
    speed = 7590.0 * EARTH_RADIUS / (EARTH_RADIUS + 700e3)
    along = reference.get("azimuthtimeinterval", 2.055556e-3) * speed
    across = reference.get("rangepixelsize", 2.329562) / np.sin(np.radians(look.incidence if look else 39.0))
    looks = geometry.looks()
    return RadarGrid(geometry.shape, (along * looks[0], float(across) * looks[1]))


def _wavelength(reference: dict[str, float], stack: Path, notes: list[Problem]) -> float:
    """Return the wavelength of the reference, else that of Sentinel-1."""
    if reference.get("radarwavelength", 0) > 0:
        return reference["radarwavelength"]
    text = (
        f"{stack / 'reference'}: no IW*.xml with the radar's wavelength, taken as Sentinel-1's 0.0555 m; restore it if "
        "it is another"
    )
    notes.append(Problem(stack / "reference", text, skipped=False))
    return SENTINEL1_WAVELENGTH


def _reference(stack: Path) -> dict[str, float]:
    """Read what the radar is from the first readable `IW*.xml` of the reference, where there is one."""
    wanted = ("radarwavelength", "azimuthtimeinterval", "rangepixelsize")
    for header in sorted(found for name in ("reference", "master") for found in (stack / name).glob("IW*.xml")):
        try:
            root = parse_xml(header)
        except GroundshiftError:
            continue
        told: dict[str, float] = {}
        for node in root.iter("property"):
            name = (node.get("name") or "").lower()
            if name in wanted and name not in told:
                try:
                    told[name] = float((node.findtext("value") or "").strip())
                except ValueError:
                    continue
        if told:
            return told
    return {}


def _baselines(folder: Path) -> dict[tuple[str, str], float]:
    """Read the perpendicular baselines of a stack, in metres, by the two dates of each."""
    told: dict[tuple[str, str], float] = {}
    if not folder.is_dir():
        return told
    number = re.compile(r"(?:Bperp \(average\)|PERP_BASELINE_(?:TOP|BOTTOM))\s*:?\s*(-?[\d.]+(?:[eE][-+]?\d+)?)")
    for file in sorted((*folder.glob("*/*.txt"), *folder.glob("*.txt"))):
        if _PAIR.fullmatch(file.stem):
            values = [float(text) for text in number.findall(file.read_text(errors="replace"))]
            if values:
                told[file.stem[:8], file.stem[9:]] = float(np.mean(values))
    return told


def _baseline(pair: Pair, told: dict[tuple[str, str], float]) -> float | None:
    """Return the baseline of a pair: its own, else the difference of those of its dates against a third date."""
    one, two = f"{pair.reference:%Y%m%d}", f"{pair.secondary:%Y%m%d}"
    for dates, sign in (((one, two), 1), ((two, one), -1)):
        if dates in told:
            return sign * told[dates]
    for third in dict.fromkeys(first for first, _ in told):
        if (third, one) in told and (third, two) in told:
            return told[third, two] - told[third, one]
    return None
