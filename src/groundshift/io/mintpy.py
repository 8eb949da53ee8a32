"""MintPy's `ifgramStack.h5`, with the geometry file beside it.

Given is the file, or a folder that holds it or `inputs/` with it. Everything lies at the root of the file, attributes
are strings. Wrapped phase (`wrapPhase`) is taken before unwrapped phase (`unwrapPhase`), which is only wrapped again.
`dropIfgram` is True for pairs to keep, whatever its name says. A map grid has `X_FIRST` and `Y_FIRST`, the outer corner
of the first pixel; without them the stack is in radar geometry and `geometryRadar.h5` tells where pixels lie.

Sign: MintPy's phase is that of date 1 minus date 2, growing with range; it turns it into displacement towards the
satellite by -wavelength / (4 pi) (MintPy documentation, data structure; `timeseries` is negative for subsidence in its
pull request 76). This is our sign, and the phase is kept.

An unwrapped phase of exactly 0 is no data, as everywhere in MintPy; a wrapped phase of exactly 0 is, unless the
coherence there is above 0. NaN and infinite values are no data.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from affine import Affine
from numpy.typing import NDArray

from groundshift.constants import EARTH_RADIUS, SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.estimate import consistent_igram
from groundshift.io.lookup import ground_spacing, look_from_angles
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import polar
from groundshift.io.stack import InterferogramStack, Problem
from groundshift.types import Grid, LookGeometry, MapGrid, Pair, RadarGrid, Window

__all__ = ["PRODUCT", "open_stack", "recognises"]

PRODUCT = "mintpy"


def recognises(path: Path) -> bool:
    """Whether `path` is an HDF5 file of interferograms with dates, or a folder with `ifgramStack.h5`."""
    file = _stack_file(path)
    if file is None:
        return False
    if file.name == "ifgramStack.h5":
        return True
    with suppress(GroundshiftError), _opened(file) as source:
        return "date" in source and ("wrapPhase" in source or "unwrapPhase" in source)
    return False


def open_stack(path: Path, *, strict: bool = False) -> InterferogramStack:
    """Open an `ifgramStack.h5`, or a folder that holds it.

    Raises
    ------
    MissingFileError, DamagedFileError
        If there is no such file, or it cannot be decoded.
    ProductError
        If the file contradicts itself, or `strict` and a pair would be skipped.
    NoDataError
        If no pair can be used; the line is that of the first reason.
    """
    file = _stack_file(path)
    if file is None:
        raise MissingFileError(f"{path}: no ifgramStack.h5 here or in inputs/; give the folder that holds it")
    problems: list[Problem] = []
    with _opened(file) as source:
        attributes = _attributes(source)
        phase = next((name for name in ("wrapPhase", "unwrapPhase") if name in source), None)
        if phase is None:
            raise ProductError(
                f"{file}: neither wrapPhase nor unwrapPhase in it; load interferograms with load_data.py"
            )
        count, *shape = source[phase].shape
        with_coherence = "coherence" in source
        if with_coherence and source["coherence"].shape != source[phase].shape:
            raise ProductError(f"{file}: coherence and {phase} differ in shape; load them again with load_data.py")
        found, index = _pairs(file, source, count, (shape[0], shape[1]), problems)
    whole = _Source(file, phase, with_coherence, index, (shape[0], shape[1]))
    found = [one for one in found if _usable(whole, one.pair, problems)]
    kept, key, settled = settle_on_grid(path, found, problems, strict)
    notes: list[Problem] = []
    grid, look, geometry = _geometry(file, attributes, key.shape, notes)
    wavelength = _number(attributes, "WAVELENGTH")
    if wavelength is None:
        text = f"{file}: no WAVELENGTH, taken as Sentinel-1's 0.0555 m; set the attribute if it is another"
        notes.append(Problem(file, text, skipped=False))
    return InterferogramStack(
        product=PRODUCT,
        root=path,
        track=_track(file, attributes),
        pairs=tuple(kept),
        grid=grid,
        wavelength=wavelength or SENTINEL1_WAVELENGTH,
        sign="grows when the ground moves away; kept as it is",
        coherence_source="product" if with_coherence else "estimated",
        read_pair=partial(_read, whole),
        look=look,
        read_height=partial(_read_height, geometry) if geometry is not None else None,
        problems=(*settled, *notes),
        files=kept,
    )


class _Source(NamedTuple):
    """Where a pair is read from; `places` gives its number in the file by its name."""

    file: Path
    phase: str
    with_coherence: bool
    places: dict[str, int]
    shape: tuple[int, int]


def _stack_file(path: Path) -> Path | None:
    """Find the stack file at or under `path`."""
    if path.is_dir():
        places = (path / "ifgramStack.h5", path / "inputs" / "ifgramStack.h5")
        return next((place for place in places if place.is_file()), None)
    return path if path.suffix.lower() in (".h5", ".he5", ".hdf5") else None


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an HDF5 file; whatever goes wrong with it inside the block becomes one line."""
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; restore it or remove its companions")
    try:
        with h5py.File(file) as source:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
            yield source
    except GroundshiftError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, IndexError, TypeError) as error:
        raise DamagedFileError(f"{file}: truncated or not a MintPy file; copy or load it again") from error


def _attributes(source: Any) -> dict[str, str]:
    """Return the attributes of the file as text."""
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in source.attrs.items()}


def _number(attributes: dict[str, str], name: str) -> float | None:
    """Return a finite number among the attributes, or None."""
    try:
        value = float(attributes[name])
    except (KeyError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _pairs(
    file: Path, source: Any, count: int, shape: tuple[int, int], problems: list[Problem]
) -> tuple[list[Found], dict[str, int]]:
    """List the pairs of the file that are kept, and where each lies in it."""
    dates = source["date"][()]
    baselines = source["bperp"][()] if "bperp" in source else np.full(count, np.nan)
    keep = source["dropIfgram"][()].astype(bool) if "dropIfgram" in source else np.ones(count, bool)
    if not len(dates) == len(baselines) == len(keep) == count:
        raise ProductError(f"{file}: date, bperp and dropIfgram differ in length from the phase; load it again")
    if not keep.all():
        text = f"{file}: {int((~keep).sum())} of {count} pairs are dropped in dropIfgram; set it to True to use all"
        problems.append(Problem(file, text, skipped=False))
    found: list[Found] = []
    index: dict[str, int] = {}
    for i in np.flatnonzero(keep):
        try:
            first, second = (date.fromisoformat(text.decode().strip()) for text in dates[i])
        except ValueError:
            problems.append(Problem(file, f"{file}: pair {i} has dates {dates[i]}, not YYYYMMDD; load it again"))
            continue
        if first >= second:
            text = f"{file}: pair {i}: dates {first} and {second} are the wrong way round; form the pair again"
            problems.append(Problem(file, text))
            continue
        pair = Pair(first, second, float(baselines[i]) if np.isfinite(baselines[i]) else None)
        if pair.name in index:
            text = f"{file}: pair {pair.name} is there twice, at {index[pair.name]} and {i}; drop one in dropIfgram"
            problems.append(Problem(file, text))
            continue
        index[pair.name] = int(i)
        found.append(Found(pair, (file,), GridKey(shape)))
    return found, index


def _read(source: _Source, pair: Pair, window: Window) -> NDArray[np.complex64]:
    """Read one pair over a window."""
    if not source.with_coherence:
        return consistent_igram(partial(_read_phase, source, pair), window, source.shape)
    with _opened(source.file) as file:
        where = (source.places[pair.name], window.rows, window.columns)
        phase, coherence = file[source.phase][where], file["coherence"][where]
    valid = phase != 0
    if source.phase == "wrapPhase":
        valid |= coherence > 0
    return polar(coherence, phase, valid)


def _read_phase(source: _Source, pair: Pair, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase and validity of a pair without coherence."""
    with _opened(source.file) as file:
        phase = file[source.phase][source.places[pair.name], window.rows, window.columns]
    return phase.astype(np.float32), phase != 0


def _usable(source: _Source, pair: Pair, problems: list[Problem]) -> bool:
    """Whether the numbers of a pair are radians."""
    read_phase, wrapped = partial(_read_phase, source, pair), source.phase == "wrapPhase"
    return usable_phase(
        source.file, read_phase, source.shape, problems, wrapped_expected=wrapped, part=f"pair {pair.name}"
    )


def _geometry(
    file: Path, attributes: dict[str, str], shape: tuple[int, int], notes: list[Problem]
) -> tuple[Grid, LookGeometry | None, Path | None]:
    """Return the grid, the look geometry, and the file that tells heights."""
    geocoded = "X_FIRST" in attributes
    geometry = file.with_name("geometryGeo.h5" if geocoded else "geometryRadar.h5")
    layers: dict[str, NDArray[np.float64]] = {}
    heights: Path | None = None
    if geometry.is_file():
        with _opened(geometry) as source:
            if any(source[name].shape != shape for name in _LAYERS if name in source):
                raise ProductError(f"{geometry}: not on the grid of {file.name}; load it again with load_data.py")
            heights = geometry if "height" in source else None
            # The line of sight of a map is that of its middle row; arrays of places are needed whole.
            middle = slice(shape[0] // 2, shape[0] // 2 + 1)
            for name in _LAYERS[1:]:
                if name in source:
                    rows = middle if name.endswith("Angle") else slice(None)
                    layers[name] = source[name][rows].astype(np.float64)
    else:
        text = f"{geometry}: no such file, so heights{'' if geocoded else ' and places'} are unknown; restore it"
        notes.append(Problem(geometry, text, skipped=False))
    look = None
    if {"incidenceAngle", "azimuthAngle"} <= set(layers):
        look = look_from_angles(layers["incidenceAngle"], layers["azimuthAngle"])
    heading = _number(attributes, "HEADING")
    if look is None and heading is not None and "incidenceAngle" in layers:
        angles = layers["incidenceAngle"][layers["incidenceAngle"] > 0]
        look = LookGeometry(heading, float(np.median(angles))) if angles.size else None
    if geocoded:
        return _map_grid(file, attributes, shape), look, heights
    incidence = look.incidence if look else _number(attributes, "CENTER_INCIDENCE_ANGLE") or 39.0
    grid = _radar_grid(attributes, shape, layers, incidence)
    if grid is None:
        text = f"{file}: no pixel sizes, taken as 20 m; set AZIMUTH_PIXEL_SIZE and RANGE_PIXEL_SIZE"
        notes.append(Problem(file, text, skipped=False))
        grid = RadarGrid(shape, (20.0, 20.0))
    return grid, look, heights


_LAYERS = ("height", "longitude", "latitude", "incidenceAngle", "azimuthAngle")


def _map_grid(file: Path, attributes: dict[str, str], shape: tuple[int, int]) -> MapGrid:
    """Return the grid of a geocoded stack."""
    names = ("X_FIRST", "X_STEP", "Y_FIRST", "Y_STEP")
    x, dx, y, dy = (_number(attributes, name) for name in names)
    if x is None or dx is None or y is None or dy is None or not dx or not dy:
        raise ProductError(f"{file}: {', '.join(names)} must all be numbers; load it again with load_data.py")
    zone = attributes.get("UTM_ZONE", "")
    if "EPSG" in attributes:
        crs = f"EPSG:{attributes['EPSG']}"
    elif zone[:-1].isdigit():
        crs = f"EPSG:{(32600 if zone[-1].upper() == 'N' else 32700) + int(zone[:-1])}"
    elif attributes.get("X_UNIT", "degrees").lower().startswith("deg"):
        crs = "EPSG:4326"
    else:
        raise ProductError(
            f"{file}: a grid in {attributes['X_UNIT']} without EPSG or UTM_ZONE; set one of the attributes"
        )
    return MapGrid(shape, Affine(dx, 0, x, 0, dy, y), crs)


def _radar_grid(
    attributes: dict[str, str],
    shape: tuple[int, int],
    layers: dict[str, NDArray[np.float64]],
    incidence: float,
) -> RadarGrid | None:
    """Return the grid of a stack in radar geometry, or None where nothing tells the size of a pixel."""
    if {"longitude", "latitude"} <= set(layers):
        unknown = (layers["longitude"] == 0) & (layers["latitude"] == 0)
        lon, lat = (np.where(unknown, np.nan, layers[name]) for name in ("longitude", "latitude"))
        spacing = ground_spacing(lon, lat)
        if spacing is not None:
            return RadarGrid(shape, spacing, lon, lat)
    # Both sizes hold the looks already; the azimuth size is that along the orbit, the range size that along the beam.
    along, across = _number(attributes, "AZIMUTH_PIXEL_SIZE"), _number(attributes, "RANGE_PIXEL_SIZE")
    if along is None or across is None:
        return None
    earth = _number(attributes, "EARTH_RADIUS") or EARTH_RADIUS
    on_ground = earth / (earth + (_number(attributes, "HEIGHT") or 0))
    return RadarGrid(shape, (along * on_ground, across / np.sin(np.radians(incidence))))


def _read_height(geometry: Path, window: Window) -> NDArray[np.float32]:
    """Read heights over a window."""
    with _opened(geometry) as source:
        return np.asarray(source["height"][window.rows, window.columns], np.float32)


def _track(file: Path, attributes: dict[str, str]) -> str:
    """Name the stack by its project, else by the folder it lies in."""
    folder = file.resolve().parent
    folder = folder.parent if folder.name == "inputs" else folder
    folder = folder.parent if folder.name == "mintpy" else folder
    return attributes.get("PROJECT_NAME") or folder.name
