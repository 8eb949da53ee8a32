"""Pairs of images matched, false matches taken out, stable ground brought to zero: displacement of each pair, kept."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import xarray
from numpy.typing import NDArray
from shapely import contains_xy, union_all

from groundshift import __version__
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.geometry.orbits import zero_doppler
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.lookup import ground_spacing
from groundshift.offsets.lookup import GroundGrid
from groundshift.offsets.matching import Offsets, match
from groundshift.offsets.quality import reject, stable_ground_correction
from groundshift.pairs.offset_network import OffsetPair, offset_pairs
from groundshift.types import RadarGrid
from groundshift.workflows.offset_images import Laid
from groundshift.workflows.offsets_config import MatchConfig, OffsetsConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import SourceFile

__all__ = ["Cells", "Matched", "cells_of", "choose_offset_pairs", "match_pairs"]

_PARTS = ("azimuth", "range", "sigma_azimuth", "sigma_range", "snr", "peak")
_LEAST_VALID = 0.7
"""Share of a window that must have data and be neither in layover nor in shadow."""


class Cells(NamedTuple):
    """Where the windows of all pairs lie; arrays are (y, x)."""

    grid: RadarGrid
    rows: NDArray[np.intp]
    """(y,) of the reference, within the part that is looked at."""
    columns: NDArray[np.intp]
    """(x,)"""
    height: NDArray[np.float64]
    """Metres."""
    azimuth_metres: NDArray[np.float64]
    """Along the flight, of a row."""
    range_metres: NDArray[np.float64]
    """Of slant range, of a column."""


@dataclass(frozen=True, eq=False)
class Matched:
    """What all pairs show; arrays (pair, y, x) are metres, NaN where nothing was found or it was taken out."""

    pairs: tuple[OffsetPair, ...]
    cells: Cells
    los: NDArray[np.float32]
    """Towards the satellite."""
    azimuth: NDArray[np.float32]
    """Against the flight."""
    los_sigma: NDArray[np.float32]
    azimuth_sigma: NDArray[np.float32]


def choose_offset_pairs(images: Sequence[AmplitudeImage], config: MatchConfig) -> tuple[OffsetPair, ...]:
    """Form the network.

    Raises
    ------
    DisconnectedNetworkError
        If it does not hang together.
    SettingError
        If a sensor is named that has no images.
    """
    by_sensor: dict[str, list[Any]] = {}
    for image in images:
        by_sensor.setdefault(image.sensor, []).append(image.day)
    least, most = config.days_between(list(by_sensor))
    return offset_pairs(by_sensor, min_days=least, max_days=most, bridges=config.bridges)


def cells_of(ground: GroundGrid, step: int) -> Cells:
    """Lay out windows; each has the ground in its middle.

    Raises
    ------
    NoDataError
        If the ground is hardly known anywhere.
    """
    shape = tuple(n // step for n in ground.longitude.shape)
    rows, columns = (step * np.arange(n) + (step - 1) // 2 for n in shape)
    at = np.ix_(rows, columns)
    lon, lat, height = ground.longitude[at], ground.latitude[at], ground.height[at].astype(np.float64)
    place = ground.position()[at]
    azimuth = ground.geometry.azimuth_metres(place)
    time = zero_doppler(ground.geometry.orbit, place)
    counted = np.broadcast_to(ground.window.x + columns.astype(np.float64), time.shape)
    across = np.array(ground.geometry.axis.metres(counted, time), np.float64)
    spacing = ground_spacing(lon, lat)
    if spacing is None:
        raise NoDataError("too little of the ground is known to place windows on; give a larger elevation model")
    return Cells(RadarGrid((shape[0], shape[1]), spacing, lon, lat), rows, columns, height, azimuth, across)


def match_pairs(config: OffsetsConfig, laid: Laid, pairs: Sequence[OffsetPair], reporter: Reporter) -> Matched:
    """Match all pairs; what an earlier run has matched is kept.

    Leaves `pairs/PAIR.nc` with the offsets as matched, and `pairs.csv` with what each is worth.

    Raises
    ------
    NoDataError
        If no pair has stable ground to go by.
    DamagedFileError, MissingFileError
        If a file cannot be read.
    """
    cells = cells_of(laid.ground, config.match.step)
    by_day = {image.day: image for image in laid.images}
    stable = _stable(config.match.moving, cells)
    clear = laid.ground.clear
    found = np.full((4, len(pairs), *cells.grid.shape), np.nan, np.float32)
    rows: list[list[str]] = []
    used: list[int] = []
    with reporter.bar("matching", len(pairs)) as advance:
        for k, one in enumerate(pairs):
            ends = [by_day[one.pair.reference], by_day[one.pair.secondary]]
            offsets = _offsets(config, laid, one, ends, clear)
            try:
                found[:, k], row = _believed(offsets, cells, stable, config.match)
                used.append(k)
                rows.append([one.pair.name, *one.sensors, str(one.pair.days), *row])
            except NoDataError as error:
                reporter.warn(f"{one.pair.name}: {error}; pair left out")
            advance()
    if not used:
        raise NoDataError("no pair of images matches on stable ground; see the warnings above")
    _write_table(config.output / "pairs.csv", rows)
    los, azimuth, los_sigma, azimuth_sigma = found[:, used]
    return Matched(tuple(pairs[k] for k in used), cells, los, azimuth, los_sigma, azimuth_sigma)


def _offsets(
    config: OffsetsConfig, laid: Laid, one: OffsetPair, ends: Sequence[AmplitudeImage], clear: NDArray[np.bool_]
) -> Offsets:
    """Match two images, or recall what was matched before."""
    settings = config.match.model_dump(mode="json", include={"windows", "step", "search"})
    marks = [SourceFile.of(laid.path(image)).mark for image in ends]
    mark = hashlib.sha256(json.dumps([__version__, settings, marks]).encode()).hexdigest()
    path = config.output / "pairs" / f"{one.pair.name}.nc"
    known = _recalled(path, mark)
    if known is not None:
        return known
    first, second = (laid.read(image) for image in ends)
    offsets = match(
        first, second, windows=config.match.windows, step=config.match.step, search=config.match.search,
        valid=clear, least_valid=_LEAST_VALID, threads=config.threads,
    )  # fmt: skip
    _keep(path, mark, offsets)
    return offsets


def _believed(
    offsets: Offsets, cells: Cells, stable: NDArray[np.bool_] | None, config: MatchConfig
) -> tuple[NDArray[np.float32], list[str]]:
    """Return displacement and its errors in metres, (4, y, x), and what is told of the pair."""
    bad = reject(offsets, least_peak=config.least_peak, least_snr=config.least_snr)
    parts, sigmas, told = [], [], []
    for values, errors, metres in (
        (offsets.range, offsets.sigma_range, cells.range_metres),
        (offsets.azimuth, offsets.sigma_azimuth, cells.azimuth_metres),
    ):
        good = np.where(bad, np.nan, values)
        ground = stable_ground_correction(good, stable, weight=errors.astype(np.float64) ** -2, height=cells.height)
        # What stable ground scatters by is error, whatever the matcher takes itself to be worth.
        quiet = np.isfinite(ground.corrected) & (stable if stable is not None else True)
        pull = float(1.4826 * np.median(np.abs(ground.corrected[quiet] / errors[quiet])))
        parts.append(-ground.corrected * metres)
        sigmas.append(np.where(bad, np.nan, errors) * max(pull, 1.0) * metres)
        told += [f"{ground.scatter:.4f}", f"{np.nanmedian(np.abs(ground.model)):.4f}"]
    share = 1 - bad.mean()
    peak = float(np.median(offsets.peak[~bad])) if (~bad).any() else np.nan
    return np.stack([*parts, *sigmas]).astype(np.float32), [f"{share:.3f}", f"{peak:.3f}", *told]


def _stable(path: Path | None, cells: Cells) -> NDArray[np.bool_] | None:
    """Return which cells lie outside of polygons of moving ground; None without any."""
    if path is None:
        return None
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling of --moving")
    try:
        frame = pyogrio.read_dataframe(path)  # type: ignore[no-untyped-call]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise DamagedFileError(f"{path}: cannot be read as a vector file ({error}); export it again") from error
    if frame.crs is None:
        raise DamagedFileError(f"{path}: does not tell its coordinate system; set it in a GIS")
    shapes = [g for g in frame.to_crs("EPSG:4326").geometry if g is not None and not g.is_empty]
    lon, lat = cells.grid.longitude, cells.grid.latitude
    assert lon is not None  # `cells_of` gives it
    return np.asarray(np.isfinite(lon) & ~contains_xy(union_all(shapes), lon, lat))


def _keep(path: Path, mark: str, offsets: Offsets) -> None:
    """Write the offsets of a pair, whole or not at all."""
    said = {
        "azimuth": ("1", "rows by which the later image shows it later, pixels"),
        "range": ("1", "columns by which the later image shows it further, pixels"),
        "sigma_azimuth": ("1", "standard error of azimuth, pixels"),
        "sigma_range": ("1", "standard error of range, pixels"),
        "snr": ("1", "squared peak of the correlation over the mean square of what surrounds it"),
        "peak": ("1", "correlation at the peak"),
    }
    variables: dict[str, Any] = {
        name: (("y", "x"), getattr(offsets, name), {"units": said[name][0], "long_name": said[name][1]})
        for name in _PARTS
    }
    variables["covariance"] = (("y", "x"), offsets.covariance, {"units": "1", "long_name": "of both errors"})
    variables["window"] = (("y", "x"), offsets.window, {"units": "1", "long_name": "side of the window, pixels"})
    dataset = xarray.Dataset(
        variables,
        {"row": ("y", offsets.rows), "column": ("x", offsets.columns)},
        {"title": "Offsets of two amplitude images", "source": "Groundshift", "made_from": mark},
    )
    content = dataset.to_netcdf(engine="h5netcdf", encoding={n: {"zlib": True, "fletcher32": True} for n in variables})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _recalled(path: Path, mark: str) -> Offsets | None:
    """Read the offsets of a pair; None unless they are there and made from the same."""
    try:
        with xarray.open_dataset(path, engine="h5netcdf", decode_cf=False) as source:
            if source.attrs.get("made_from") != mark:
                return None
            names = {"rows": "row", "columns": "column"}
            return Offsets(*(source[names.get(n, n)].values for n in Offsets._fields))
    except (OSError, KeyError, ValueError, RuntimeError):
        return None


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write what pairs are worth: scatter on stable ground and what was taken out of it, pixels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    told = [f"{part}_{what}_px" for part in ("range", "azimuth") for what in ("scatter", "corrected")]
    writer.writerow(["pair", "reference", "secondary", "days", "believed", "peak", *told])
    writer.writerows(rows)
    write_text(path, text.getvalue())
