"""Plain GeoTIFF rasters, one or two files for each pair, told apart by their names.

A name holds the two dates of the pair and says what the raster is: `unw` for unwrapped phase, `phase`, `wrapped`,
`diff`, `int` or `ifg` for wrapped phase, `cc`, `coh`, `cor` or `corr` for coherence. A complex raster is an
interferogram whatever its name. Where a pair has several, complex is taken before wrapped before unwrapped phase,
which is only wrapped again.

Sign: a plain raster does not state one. The phase is taken as that of `reference * conj(secondary)`, the earlier date
being the reference, so that it grows when the ground moves away; this is what GAMMA, ISCE2, ROI_PAC and SNAP write
when the earlier image comes first (in the PyRate sample of
Mexico City it grows towards the lake bed in the east, which subsides most).

No data are the value of the nodata tag, NaN, infinite values, and a phase of exactly 0 unless the coherence there is
above 0. Coherence of 8-bit rasters is divided by 255.

Beside the rasters, `metadata.yaml` gives wavelength, look geometry, baselines and the name of the track, and `dem.tif`
heights (docs/geotiff-folder.md); `*.par` files of GAMMA give wavelength, heading and incidence where it does not.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from groundshift.checks import check_positive
from groundshift.constants import SENTINEL1_WAVELENGTH, SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.estimate import consistent_igram
from groundshift.io.families import (
    Header,
    NamedRaster,
    choose_coherence,
    choose_phase,
    find_rasters,
    names_a_phase,
    read_header,
)
from groundshift.io.lonlat import read_radar_grid
from groundshift.io.metadata import FolderMetadata, read_metadata
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import polar, read_band
from groundshift.io.stack import InterferogramStack, Problem, ReadHeight
from groundshift.types import Grid, LookGeometry, MapGrid, Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "geotiff"

_METADATA = "metadata.yaml"
_TERRAIN = "dem.tif"


class _Source(NamedTuple):
    """What one pair is read from."""

    phase: Path
    phase_nodata: float | None
    coherence: Path | None = None
    coherence_nodata: float | None = None


def recognises(path: Path) -> bool:
    """Whether a raster with two dates in its name, that may be a phase, is here or one level down."""
    return names_a_phase(path)


def open_stack(
    path: Path, *, strict: bool = False, pattern: str | None = None, wavelength: float | None = None
) -> InterferogramStack:
    """Open a folder of GeoTIFF rasters, or a single one.

    Parameters
    ----------
    path : path
        A folder with the rasters in it or one level down, or one raster.
    strict : bool
        Stop at the first pair that would be skipped.
    pattern : str, optional
        Which rasters hold the phase: a glob on the file name (`*_unw.tif`), or a regular expression searched in the
        path below `path` whose named groups `reference` and `secondary` hold the dates.
    wavelength : float, optional
        Radar wavelength in metres; by default what `metadata.yaml`, tags or `.par` files say, else that of Sentinel-1,
        with a note.

    Raises
    ------
    ProductError
        If two rasters claim to be the phase of the same pairs, `pattern` is not valid, `metadata.yaml` holds a value
        it cannot hold, or `strict` and a pair would be skipped.
    NoDataError
        If no pair can be used; the line is that of the first reason.
    """
    if wavelength is not None:
        check_positive("wavelength", wavelength)
    problems: list[Problem] = []
    headers: dict[Path, Header] = {}
    rasters = list(find_rasters(path, pattern, headers, problems))
    phases = choose_phase(path, [raster for raster in rasters if raster.kind != "coherence"], problems)
    coherences = choose_coherence([raster for raster in rasters if raster.kind == "coherence"])
    with_coherence = any(pair in phases for pair in coherences)
    _share_crs(phases, headers, problems)
    found: list[Found] = []
    sources: dict[Path, _Source] = {}
    for pair, raster in phases.items():
        phase = headers[raster.path]
        source = _Source(raster.path, phase.nodata)
        if with_coherence:
            try:
                source = _with_coherence(source, phase, coherences.get(pair))
            except GroundshiftError as error:
                companion = coherences[pair].path if pair in coherences else raster.path
                problems.append(Problem(companion, str(error)))
                continue
        if raster.kind != "complex":
            wrapped, read_phase = raster.kind != "unwrapped", partial(_read_phase, source)
            if not usable_phase(raster.path, read_phase, phase.shape, problems, wrapped_expected=wrapped):
                continue
        files = (raster.path,) if source.coherence is None else (raster.path, source.coherence)
        place = (*(round(float(v), 9) for v in phase.transform[:6]), phase.crs)
        found.append(Found(pair, files, GridKey(phase.shape, place)))
        sources[raster.path] = source
    kept, key, settled = settle_on_grid(path, found, problems, strict)
    first_file = next(iter(kept.values()))[0]
    first = headers[first_file]
    notes: list[Problem] = []
    grid = _grid(path, first_file.parent, first, notes)
    if not with_coherence and all(phases[pair].kind == "complex" for pair in kept):
        with_coherence = _magnitude_is_coherence(first_file)
    folders = _folders(path, [files[0] for files in kept.values()])
    told = next((read_metadata(f / _METADATA) for f in folders if (f / _METADATA).is_file()), FolderMetadata())
    parameters = _gamma_parameters(folders[0])
    kept = {told.with_baseline(pair): files for pair, files in kept.items()}
    read = {pair: sources[files[0]] for pair, files in kept.items()}
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=told.track or folders[0].resolve().name,
        pairs=tuple(kept),
        grid=grid,
        wavelength=_wavelength(path, wavelength or told.wavelength, first, parameters, notes),
        sign="taken as growing when the ground moves away, for a plain raster does not state it; kept as it is",
        coherence_source="product" if with_coherence else "estimated",
        read_pair=partial(_read, read, key.shape, with_coherence),
        look=told.look or _look(parameters),
        read_height=_heights(folders, first, notes),
        problems=(*settled, *notes),
        files=kept,
    )


def _with_coherence(source: _Source, phase: Header, raster: NamedRaster | None) -> _Source:
    """Join the coherence raster of a pair, if it is there and lies on the phase."""
    if raster is None:
        raise MissingFileError(f"{source.phase}: no coherence raster for this pair, as the others have; restore it")
    header = read_header(raster.path)
    if header.shape != phase.shape or not _same_place(header.transform, phase.transform):
        raise ProductError(f"{raster.path}: not on the grid of {source.phase.name}; bring it to that grid")
    return source._replace(coherence=raster.path, coherence_nodata=header.nodata)


def _read(
    sources: dict[Pair, _Source], shape: tuple[int, int], with_coherence: bool, pair: Pair, window: Window
) -> NDArray[np.complex64]:
    """Read one pair over a window."""
    source = sources[pair]
    if not with_coherence:
        return consistent_igram(partial(_read_phase, source), window, shape)
    values = read_band(source.phase, window)
    if source.coherence is None:
        return polar(np.abs(values), np.angle(values), _measured(values, source.phase_nodata))
    coherence = read_band(source.coherence, window)
    known = _measured(coherence, source.coherence_nodata)
    coherence = coherence.astype(np.float32) / (255 if coherence.dtype == np.uint8 else 1)
    valid = _measured(values, source.phase_nodata) & known & ((values != 0) | (coherence > 0))
    if np.iscomplexobj(values):
        return polar(coherence, np.angle(values), valid & (values != 0))
    return polar(coherence, values, valid)


def _read_phase(source: _Source, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase and validity of a raster without coherence: 0 is no data."""
    values = read_band(source.phase, window)
    valid = _measured(values, source.phase_nodata) & (values != 0)
    phase = np.angle(np.where(valid, values, 0)) if np.iscomplexobj(values) else values
    return phase.astype(np.float32), valid


def _measured(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return where values are finite and not the nodata value."""
    measured: NDArray[np.bool_] = np.isfinite(values)
    if nodata is not None:
        with np.errstate(over="ignore"):
            measured &= values != np.asarray(nodata).astype(values.dtype)
    return measured


def _same_place(one: Affine, other: Affine) -> bool:
    """Whether two rasters lie on each other within a hundredth of a pixel."""
    return bool(np.allclose(one[:6], other[:6], rtol=0, atol=0.01 * max(abs(one.a), abs(one.e))))


def _share_crs(phases: dict[Pair, NamedRaster], headers: dict[Path, Header], problems: list[Problem]) -> None:
    """Give rasters without a coordinate system that of the others."""
    known = Counter(headers[raster.path].crs for raster in phases.values() if headers[raster.path].crs)
    if not known:
        return
    crs = known.most_common(1)[0][0]
    for raster in phases.values():
        if not headers[raster.path].crs:
            headers[raster.path] = headers[raster.path]._replace(crs=crs)
            text = (
                f"{raster.path}: no coordinate system, taken as {crs} like the others; assign it with gdal_edit -a_srs"
            )
            problems.append(Problem(raster.path, text, skipped=False))


def _folders(path: Path, phases: Sequence[Path]) -> list[Path]:
    """Return where companions are looked for: the folder given, then that of the rasters if all lie in one."""
    parents = {phase.parent for phase in phases}
    return list(dict.fromkeys([path if path.is_dir() else path.parent, *(parents if len(parents) == 1 else ())]))


def _heights(folders: Sequence[Path], phase: Header, notes: list[Problem]) -> ReadHeight | None:
    """Return a reader of the terrain beside the rasters, if it lies on their grid."""
    path = next((folder / _TERRAIN for folder in folders if (folder / _TERRAIN).is_file()), None)
    if path is None:
        return None
    try:
        header = read_header(path)
        if (
            header.shape != phase.shape
            or not _same_place(header.transform, phase.transform)
            or (header.crs and phase.crs and header.crs != phase.crs)
        ):
            raise ProductError(
                f"{path}: not on the grid of the pairs, heights are not read; bring it to that grid or give it with "
                "--dem"
            )
    except GroundshiftError as error:
        notes.append(Problem(path, str(error), skipped=False))
        return None
    return partial(_read_height, path, header.nodata)


def _read_height(path: Path, nodata: float | None, window: Window) -> NDArray[np.float32]:
    """Read heights in metres, NaN where unknown."""
    values = read_band(path, window)
    return np.where(_measured(values, nodata), values, np.nan).astype(np.float32)


def _grid(path: Path, folder: Path, header: Header, notes: list[Problem]) -> Grid:
    """Return the grid of the rasters; without a coordinate system, degrees or radar geometry are guessed and noted."""
    transform = header.transform
    if header.crs:
        return MapGrid(header.shape, transform, header.crs)
    if transform == Affine.identity():
        radar = read_radar_grid(folder, header.shape)
        if radar is not None:
            return radar
        text = f"{path}: no geolocation, taken as radar geometry with 20 m pixels; add lon.tif and lat.tif to place it"
        notes.append(Problem(path, text, skipped=False))
        return RadarGrid(header.shape, (20.0, 20.0))
    corners = [transform @ corner for corner in ((0, 0), header.shape[::-1])]
    if all(abs(x) <= 360 and abs(y) <= 90 for x, y in corners):
        text = f"{path}: no coordinate system, taken as EPSG:4326; assign it with gdal_edit -a_srs"
        notes.append(Problem(path, text, skipped=False))
        return MapGrid(header.shape, transform, "EPSG:4326")
    raise ProductError(f"{path}: the rasters have no coordinate system; assign one with gdal_edit -a_srs")


def _magnitude_is_coherence(path: Path) -> bool:
    """Whether the magnitude of a complex raster lies in [0, 1] and is not 1 throughout, by a sample of its pixels."""
    try:
        with rasterio.open(path) as source:
            shape = (min(source.height, 256), min(source.width, 256))
            magnitude = np.abs(source.read(1, out_shape=shape, resampling=Resampling.nearest))
    except RasterioError as error:
        raise DamagedFileError(f"{path}: truncated or unreadable raster; fetch the file again") from error
    magnitude = magnitude[np.isfinite(magnitude) & (magnitude > 0)]
    return bool(magnitude.size and magnitude.max() <= 1.001 and magnitude.min() < 0.999)


def _wavelength(
    path: Path, given: float | None, header: Header, parameters: dict[str, float], notes: list[Problem]
) -> float:
    """Return the wavelength in metres, in this order: as given or told, of a tag, of a `.par` file, of Sentinel-1."""
    if given is not None:
        return given
    for name in ("WAVELENGTH_METRES", "WAVELENGTH"):
        try:
            value = float(header.tags.get(name, ""))
        except ValueError:
            continue
        if 0.001 < value < 2:
            return value
    if parameters.get("radar_frequency", 0) > 0:
        return SPEED_OF_LIGHT / parameters["radar_frequency"]
    text = f"{path}: the rasters do not tell the wavelength, taken as Sentinel-1's 0.0555 m; give it if it is another"
    notes.append(Problem(path, text, skipped=False))
    return SENTINEL1_WAVELENGTH


def _gamma_parameters(folder: Path) -> dict[str, float]:
    """Read heading, incidence and frequency from a GAMMA parameter file beside the rasters, where there is one."""
    wanted = re.compile(r"^(heading|incidence_angle|radar_frequency):\s*(-?[\d.]+(?:[eE][-+]?\d+)?)", re.MULTILINE)
    for par in sorted(folder.glob("*.par")):
        found = {name: float(value) for name, value in wanted.findall(par.read_text(errors="replace"))}
        if found.get("radar_frequency"):
            return found
    return {}


def _look(parameters: dict[str, float]) -> LookGeometry | None:
    """Return the look geometry that a parameter file gives."""
    if not {"heading", "incidence_angle"} <= set(parameters):
        return None
    return LookGeometry(parameters["heading"], parameters["incidence_angle"])
