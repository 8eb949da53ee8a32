"""SNAP's BEAM-DIMAP: `name.dim` (XML) with `name.data/` (ENVI rasters, big-endian as a rule).

Given is a `.dim`, or a folder with one or more in it or one level down; each may hold one pair or several. Of each pair
the bands `i_ifg_*` and `q_ifg_*` are taken, else `Phase_ifg_*` where it is a raster and not virtual, else
`Unw_Phase_ifg_*`, which is only wrapped again; coherence is `coh_*`, heights are `elevation`. Of several polarisations
the first of VV, HH, VH, HV is read. Byte order, interleave and header offset are those of each `.hdr`.

A terrain-corrected product has a coordinate system and lies on a map. Otherwise it is in radar geometry and the tie
point grids of latitude, longitude and incidence angle tell where its pixels lie; SNAP counts from the outer corner of
the first pixel.

Sign: SNAP multiplies the reference by the conjugate of the secondary, so that the phase grows with range, when the
ground moves away; its operator PhaseToDisplacement has displacement = -wavelength / (4 pi) phase. It is kept.

No data are pixels where both parts of the interferogram are 0, a phase that equals the band's no-data value or is 0
where the coherence is not above 0, and NaN and infinite values.
"""

import re
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import SENTINEL1_WAVELENGTH, SPEED_OF_LIGHT
from groundshift.errors import GroundshiftError, ProductError
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.dates import pair_in_name
from groundshift.io.dimap import Band, Dimap, read_dimap
from groundshift.io.estimate import consistent_igram
from groundshift.io.flat import check_size, read_flat
from groundshift.io.lookup import ground_spacing, wrapped_degrees
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import polar
from groundshift.io.stack import InterferogramStack, Problem
from groundshift.types import Grid, LookGeometry, MapGrid, Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "snap"

_PHASE = re.compile(r"(?:i_ifg|Unw_Phase_ifg|Phase_ifg)_.*\.(?:img|hdr)", re.IGNORECASE)
_POLARISATIONS = ("VV", "HH", "VH", "HV")


def recognises(path: Path) -> bool:
    """Whether a `.dim` with a `.data` folder that holds an interferogram is here or one level down."""
    return any(
        _PHASE.fullmatch(image.name)
        for dim in _dims(path)
        if dim.with_suffix(".data").is_dir()
        for image in dim.with_suffix(".data").iterdir()
    )


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open a `.dim`, or a folder of them.

    Raises
    ------
    ProductError
        If `strict` and a pair would be skipped.
    NoDataError
        If no pair can be used; the line is that of the first reason.
    """
    problems: list[Problem] = []
    named: list[tuple[Pair, Dimap, _Source]] = []
    for file in _dims(path):
        try:
            dimap = read_dimap(file)
        except GroundshiftError as error:
            problems.append(Problem(file, str(error)))
            continue
        named += [(pair, dimap, source) for pair, source in _sources(dimap, problems)]
    with_coherence = any(source.coherence is not None for _, _, source in named)
    found: list[Found] = []
    products: dict[Path, tuple[Dimap, _Source]] = {}
    for pair, dimap, source in named:
        bands = (*source.phase, *([source.coherence] if source.coherence is not None else []))
        problem = _problem(dimap, bands, source, with_coherence)
        if problem is not None:
            problems.append(problem)
            continue
        if len(source.phase) == 1 and not _usable(source, problems):
            continue
        place = (dimap.crs, *(round(float(v), 9) for v in dimap.transform[:6])) if dimap.transform else ("radar",)
        files = tuple(band.image for band in bands)
        found.append(Found(pair, files, GridKey(bands[0].layout.shape, place)))
        products[files[0]] = (dimap, source)
    kept, key, settled = settle_on_grid(path, found, problems, strict)
    first, _ = products[next(iter(kept.values()))[0]]
    notes: list[Problem] = []
    elevation = next((b for b in first.bands if b.name.lower() == "elevation" and b.layout.shape == key.shape), None)
    frequency = first.number("radar_frequency")
    if frequency is None:
        text = f"{first.path}: no radar_frequency, taken as Sentinel-1's; correct it in the Abstracted_Metadata"
        notes.append(Problem(first.path, text, skipped=False))
    look = _look(first, key.shape)
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=(path.resolve() if path.is_dir() else path).stem,
        pairs=tuple(kept),
        grid=_grid(first, key.shape, look, notes),
        wavelength=SPEED_OF_LIGHT / (frequency * 1e6) if frequency else SENTINEL1_WAVELENGTH,
        sign="reference * conj(secondary): grows when the ground moves away; kept as it is",
        coherence_source="product" if with_coherence else "estimated",
        read_pair=partial(_read, {pair: products[files[0]][1] for pair, files in kept.items()}),
        look=look,
        read_height=partial(_read_height, elevation) if elevation is not None else None,
        problems=(*settled, *notes),
        files=kept,
    )


class _Source(NamedTuple):
    """The bands of one pair: real and imaginary part, or one phase; and its coherence."""

    phase: tuple[Band, ...]
    coherence: Band | None


def _dims(path: Path) -> list[Path]:
    """List the `.dim` files of a folder and of its folders, or the one given."""
    if path.is_dir():
        return sorted((*path.glob("*.dim"), *path.glob("*/*.dim")))
    return [path] if path.suffix.lower() == ".dim" else []


def _sources(dimap: Dimap, problems: list[Problem]) -> list[tuple[Pair, _Source]]:
    """List the pairs of a product with their bands."""
    found: list[tuple[Pair, _Source]] = []
    done: set[str] = set()
    said: set[str] = set()
    for prefix in ("i_ifg", "phase_ifg", "unw_phase_ifg"):
        bands = [band for band in dimap.bands if band.name.lower().startswith(prefix)]
        for band in sorted(bands, key=_polarisation):
            try:
                pair = pair_in_name(band.name)
            except ProductError as error:
                if str(error) not in said:
                    problems.append(Problem(dimap.path, f"{dimap.path}: band {band.name}: {error}"))
                said.add(str(error))
                continue
            if pair is None or pair.name in done:
                continue
            done.add(pair.name)
            phase: tuple[Band, ...] = (band,)
            if prefix == "i_ifg":
                name = "q" + band.name[1:]
                phase += tuple(other for other in dimap.bands if other.name == name)
            pair = Pair(pair.reference, pair.secondary, dimap.baseline(pair.reference, pair.secondary))
            found.append((pair, _Source(phase, _coherence(dimap, band, pair))))
    return found


def _polarisation(band: Band) -> tuple[int, str]:
    """Order bands by polarisation, then by name."""
    parts = band.name.upper().split("_")
    return next((i for i, p in enumerate(_POLARISATIONS) if p in parts), len(_POLARISATIONS)), band.name


def _coherence(dimap: Dimap, phase: Band, pair: Pair) -> Band | None:
    """Find the coherence of a pair, of the same swath and polarisation where it has several."""
    rest = phase.name.split("ifg", 1)[1].lower()
    candidates: list[Band] = []
    for band in dimap.bands:
        if band.name.lower().startswith("coh"):
            try:
                same = pair_in_name(band.name)
            except ProductError:
                continue
            if same is not None and same.name == pair.name:
                candidates.append(band)
    return min(
        candidates, key=lambda band: (not rest.endswith(band.name[3:].lower()), _polarisation(band)), default=None
    )


def _problem(dimap: Dimap, bands: tuple[Band, ...], source: _Source, with_coherence: bool) -> Problem | None:
    """Say what keeps a pair from being read, if anything does."""
    first = bands[0]
    if first.name.lower().startswith("i_ifg") and len(source.phase) < 2:
        text = f"{first.image}: no band q{first.name[1:]} in {dimap.path.name}; write the product again with both parts"
        return Problem(first.image, text)
    if with_coherence and source.coherence is None:
        text = f"{first.image}: no coherence in {dimap.path.name}, as the other pairs have; write it with its coh band"
        return Problem(first.image, text)
    for band in bands:
        if band.problem:
            return Problem(band.image.with_suffix(".hdr"), band.problem)
        try:
            check_size(band.image, band.layout)
        except GroundshiftError as error:
            return Problem(band.image, str(error))
        if band.layout.shape != first.layout.shape:
            return Problem(band.image, f"{band.image}: not of the shape of {first.image.name}; write the product again")
    return None


def _usable(source: _Source, problems: list[Problem]) -> bool:
    """Whether the numbers of a pair that is given as a phase are radians."""
    (band,) = source.phase
    wrapped, read_phase = not band.name.lower().startswith("unw"), partial(_read_alone, source)
    return usable_phase(band.image, read_phase, band.layout.shape, problems, wrapped_expected=wrapped)


def _read(sources: dict[Pair, _Source], pair: Pair, window: Window) -> NDArray[np.complex64]:
    """Read one pair over a window."""
    source = sources[pair]
    if source.coherence is None:
        return consistent_igram(partial(_read_alone, source), window, source.phase[0].layout.shape)
    phase, valid, doubtful = _read_phase(source, window)
    coherence = read_flat(source.coherence.image, source.coherence.layout, window)
    return polar(coherence, phase, valid & ~(doubtful & ~(coherence > 0)))


def _read_alone(source: _Source, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase and validity of a pair without coherence: a phase of exactly 0 is no data."""
    phase, valid, doubtful = _read_phase(source, window)
    return phase, valid & ~doubtful


def _read_phase(source: _Source, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Read phase, validity, and where a phase of exactly 0 may be no data."""
    parts = [read_flat(band.image, band.layout, window) for band in source.phase]
    if len(parts) == 2:
        real, imaginary = parts
        valid = np.isfinite(real) & np.isfinite(imaginary) & ((real != 0) | (imaginary != 0))
        phase = np.arctan2(np.where(valid, imaginary, 0), np.where(valid, real, 0)).astype(np.float32)
        return phase, valid, np.zeros_like(valid)
    phase, nodata = parts[0].astype(np.float32), source.phase[0].nodata
    valid = np.isfinite(phase)
    if nodata is not None:
        valid &= phase != np.float32(nodata)
    return phase, valid, phase == 0


def _read_height(band: Band, window: Window) -> NDArray[np.float32]:
    """Read heights over a window."""
    height = read_flat(band.image, band.layout, window).astype(np.float32)
    return height if band.nodata is None else np.where(height == np.float32(band.nodata), np.float32(np.nan), height)


def _look(dimap: Dimap, shape: tuple[int, int]) -> LookGeometry | None:
    """Return the look geometry at the middle of the scene."""
    heading = dimap.number("centre_heading")
    incidence: float | None = None
    angles = dimap.tie_point_grid("incident_angle", shape, rows=slice(shape[0] // 2, shape[0] // 2 + 1))
    if angles is not None and np.any(angles > 0):
        incidence = float(np.median(angles[angles > 0]))
    else:
        ends = [dimap.number("incidence_near"), dimap.number("incidence_far")]
        known = [end for end in ends if end is not None]
        incidence = sum(known) / 2 if len(known) == 2 else None
    if heading is None or incidence is None:
        return None
    return LookGeometry(wrapped_degrees(heading), incidence, dimap.text("antenna_pointing").lower() != "left")


def _grid(dimap: Dimap, shape: tuple[int, int], look: LookGeometry | None, notes: list[Problem]) -> Grid:
    """Return the grid: a map where the product has one, else radar geometry by its tie points."""
    if dimap.transform is not None:
        return MapGrid(shape, dimap.transform, dimap.crs)
    lon, lat = dimap.tie_point_grid("longitude", shape), dimap.tie_point_grid("latitude", shape)
    spacing = None
    if lon is not None and lat is not None:
        spacing = ground_spacing(lon, lat)
    else:
        text = f"{dimap.path}: no tie points of latitude and longitude, so places are unknown; write the product again"
        notes.append(Problem(dimap.path, text, skipped=False))
    if spacing is None:
        along, across = dimap.number("azimuth_spacing"), dimap.number("range_spacing")
        if along is None or across is None:
            text = f"{dimap.path}: no pixel spacing, taken as 20 m; correct it in the Abstracted_Metadata"
            notes.append(Problem(dimap.path, text, skipped=False))
            along = across = 20.0
        elif dimap.number("srgr_flag") != 1:
            across /= float(np.sin(np.radians(look.incidence if look else 39.0)))
        spacing = (along, across)
    return RadarGrid(shape, spacing, lon, lat)
