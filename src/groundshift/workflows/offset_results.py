"""From the displacement of pairs to series, maps and moving places."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray
from numpy.typing import NDArray
from scipy import ndimage, stats

from groundshift.detect import Detection, outline
from groundshift.detect.detection import OFFSETS
from groundshift.errors import GroundshiftError
from groundshift.geometry import geocode, map_grid_for, mean_slope_aspect, slope_aspect
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.rasters import write_geotiff
from groundshift.offsets.inversion import OffsetSeries, invert_offsets
from groundshift.types import Pair
from groundshift.workflows.offset_images import Laid
from groundshift.workflows.offset_matches import Cells, Matched
from groundshift.workflows.offsets_config import MatchConfig
from groundshift.workflows.progress import Reporter

__all__ = [
    "Motion",
    "Moving",
    "find_moving",
    "follow_cells",
    "write_backscatter",
    "write_maps",
    "write_series",
]

_SHARE_KNOWN = 0.5
"""Share of the dates that a cell must know to speak for its place."""
_SLOPE_SMOOTHING = 150.0
_MM = 1000.0
_EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True, eq=False)
class Motion:
    """What all cells did."""

    cells: Cells
    los: OffsetSeries
    """Towards the satellite."""
    azimuth: OffsetSeries
    """Against the flight."""
    own_sigma: tuple[NDArray[np.float32], NDArray[np.float32]]
    """(date, y, x) metres, line of sight and azimuth: the error that is a date's own, beside all others."""
    still: tuple[float, float]
    """Scatter of the rates of stable ground, m/yr: along the line of sight, along azimuth."""

    @property
    def dates(self) -> tuple[date, ...]:
        """Of all series."""
        return self.los.dates


class Moving(NamedTuple):
    """One moving place."""

    mask: NDArray[np.bool_]
    """(y, x) its cells."""
    fastest: tuple[int, int]
    """Row and column of the cell that has moved farthest."""
    detection: Detection


def follow_cells(matched: Matched) -> Motion:
    """Invert the network of every cell, both components.

    Raises
    ------
    NoDataError
        If no cell has offsets.
    """
    pairs = [one.pair for one in matched.pairs]
    los = invert_offsets(matched.los, matched.los_sigma, pairs)
    azimuth = invert_offsets(matched.azimuth, matched.azimuth_sigma, pairs)
    own = (_own_sigma(los, matched.los_sigma, pairs), _own_sigma(azimuth, matched.azimuth_sigma, pairs))
    return Motion(matched.cells, los, azimuth, own, (_scatter(los.rate), _scatter(azimuth.rate)))


def find_moving(motion: Motion, config: MatchConfig, track: str, reporter: Reporter) -> list[Moving]:
    """Outline ground that moves faster than stable ground can seem to.

    A cell moves if its rate in either component is more than `least_sigmas` of its own errors and of the scatter of
    stable ground from zero, and the speed of both together is `least_speed` or more. Places that the grid cannot put on
    Earth are named and left out.
    """
    speed = np.hypot(motion.los.rate, motion.azimuth.rate)
    errors = [np.hypot(s.rate_sigma, q) for s, q in ((motion.los, motion.still[0]), (motion.azimuth, motion.still[1]))]
    with np.errstate(invalid="ignore"):
        deviation = np.sqrt((motion.los.rate / errors[0]) ** 2 + (motion.azimuth.rate / errors[1]) ** 2)
        moves = (deviation >= config.least_sigmas) & (speed >= config.least_speed)
    parts, number = ndimage.label(moves, _EIGHT)
    terrain = slope_aspect(motion.cells.height.astype(np.float32), motion.cells.grid, smoothing=_SLOPE_SMOOTHING)
    known = np.isfinite(motion.los.displacement).mean(axis=0) >= _SHARE_KNOWN
    whole = (motion.los.groups.min(axis=0) == 1) & (motion.los.groups.max(axis=0) == 1)
    found = []
    for k, box in enumerate(ndimage.find_objects(parts, number), start=1):
        mask = parts == k
        if mask.sum() < config.least_cells or not (mask & known).any():
            continue
        try:
            polygon = outline(mask[box], (box[0].start, box[1].start), motion.cells.grid)
        except GroundshiftError as error:
            reporter.warn(f"a moving place left out: {error}")
            continue
        # Of one window the highest rate is the luckiest; its neighbours see nearly the same ground.
        calm = ndimage.median_filter(np.nan_to_num(speed), 3)
        # Across a gap that no pair of a window bridges its motion is not known.
        told = next(part for part in (mask & known & whole, mask & known) if part.any())
        at = np.unravel_index(int(np.argmax(np.where(told, calm, -1.0))), mask.shape)
        under = mean_slope_aspect(terrain, mask)
        rates, sigmas = motion.los.rate[mask], errors[0][mask]
        best = float(np.nanmax(deviation[mask]))
        score, velocity = float(stats.norm.cdf(best - config.least_sigmas)), _MM * float(np.nanmedian(rates))
        detection = Detection(
            polygon=polygon, score=score, detector=OFFSETS, track=track, window=OFFSETS,
            directions=("range", "azimuth"), velocity=velocity, velocity_sigma=_MM * float(np.nanmedian(sigmas)),
            significance=best, mean_coherence=float("nan"), n_pairs=int(np.median(motion.los.n_pairs[mask])),
            slope=None if under is None else under[0],
            aspect=None if under is None or not np.isfinite(under[1]) else under[1],
        )  # fmt: skip
        found.append(Moving(mask, (int(at[0]), int(at[1])), detection))
    return sorted(found, key=lambda place: -float(np.nansum(speed[place.mask])))


def write_maps(folder: Path, motion: Motion) -> dict[str, NDArray[np.float32]]:
    """Leave rates and displacements as GeoTIFFs in longitude and latitude; return them by name, north up."""
    target = map_grid_for(motion.cells.grid)
    whole = f"from {motion.dates[0]} to {motion.dates[-1]}"
    maps = {}
    for part, series, way in (
        ("los", motion.los, "towards the satellite"),
        ("azimuth", motion.azimuth, "against the flight"),
    ):
        for name, values, unit, what in (
            ("rate", series.rate, "m/yr", f"rate {way}"),
            ("rate_sigma", series.rate_sigma, "m/yr", f"standard error of the rate {way}"),
            ("displacement", series.displacement[-1], "m", f"displacement {way} {whole}"),
        ):  # fmt: skip
            laid = geocode(values, motion.cells.grid, target).astype(np.float32)
            write_geotiff(folder / f"{part}_{name}.tif", laid, target, nodata=np.nan, description=what, unit=unit)
            maps[f"{part}_{name}"] = laid
    return maps


def write_series(path: Path, motion: Motion) -> None:
    """Leave the series of all cells as netCDF4, whole or not at all."""
    days = np.array(motion.dates, "datetime64[D]")
    variables: dict[str, Any] = {}
    for part, series, way in (
        ("los", motion.los, "towards the satellite"),
        ("azimuth", motion.azimuth, "against the flight"),
    ):
        cube, flat = ("date", "y", "x"), ("y", "x")
        variables[f"{part}_displacement"] = (cube, series.displacement, _said("m", f"displacement {way}"))
        variables[f"{part}_sigma"] = (cube, series.sigma, _said("m", f"standard error of the displacement {way}"))
        variables[f"{part}_rate"] = (flat, series.rate, _said("m year-1", f"rate {way}"))
        variables[f"{part}_rate_sigma"] = (flat, series.rate_sigma, _said("m year-1", f"standard error, rate {way}"))
        variables[f"{part}_n_pairs"] = (flat, series.n_pairs, _said("1", "pairs that count"))
    variables["height"] = (("y", "x"), motion.cells.height.astype(np.float32), _said("m", "height of the terrain"))
    grid = motion.cells.grid
    dataset = xarray.Dataset(
        variables,
        {
            "date": ("date", (days - np.datetime64("1970-01-01")).astype(np.int32), {"units": "days since 1970-01-01"}),
            "longitude": (("y", "x"), grid.longitude, {"units": "degrees_east"}),
            "latitude": (("y", "x"), grid.latitude, {"units": "degrees_north"}),
        },
        {"Conventions": "CF-1.11", "title": "Motion from offsets of amplitude images", "source": "Groundshift"},
    )
    content = dataset.to_netcdf(engine="h5netcdf", encoding={n: {"zlib": True, "fletcher32": True} for n in variables})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_backscatter(path: Path, laid: Laid, places: Mapping[str, Moving], step: int) -> None:
    """Leave the brightness of each target by date, decibels.

    Backscatter where an image is calibrated; else relative to the mean of its sensor at that place, so that dates of
    one sensor compare.
    """
    told: dict[tuple[str, str], list[tuple[AmplitudeImage, float]]] = {}
    for image in laid.images:
        amplitude = laid.read(image)
        rows, columns = (n // step for n in amplitude.shape)
        cells = amplitude[: rows * step, : columns * step].reshape(rows, step, columns, step)
        power = np.mean(cells.astype(np.float64) ** 2, axis=(1, 3)) / (image.calibration or 1.0) ** 2
        for name, place in places.items():
            mean = float(power[place.mask].mean())
            if mean > 0:
                key = (name, image.sensor if image.calibration is None else "")
                told.setdefault(key, []).append((image, 10 * np.log10(mean)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["target", "date", "sensor", "db"])
    for (name, alone), values in told.items():
        middle = float(np.mean([v for _, v in values])) if alone else 0.0
        writer.writerows([name, image.day, image.sensor, f"{value - middle:.2f}"] for image, value in values)
    write_text(path, text.getvalue())


def _said(units: str, long_name: str) -> dict[str, str]:
    return {"units": units, "long_name": long_name}


def _own_sigma(series: OffsetSeries, sigma: NDArray[np.float32], pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """Return the standard error of each date if all others are known, (date, y, x), scaled by the misfit above one.

    That of the displacement holds the error of the first date as well, which all others share: no change of the rate
    comes of it.
    """
    weight = np.nan_to_num(sigma.astype(np.float64) ** -2, nan=0.0, posinf=0.0)
    total = np.zeros(series.displacement.shape)
    for pair, own in zip(pairs, weight, strict=True):
        for day in (pair.reference, pair.secondary):
            total[series.dates.index(day)] += own
    misfit = np.maximum(np.nan_to_num(series.chi_square, nan=1.0), 1.0)
    found = np.sqrt(np.divide(misfit, total, out=np.full(total.shape, np.nan), where=total > 0))
    return np.where(np.isfinite(series.displacement), found, np.nan).astype(np.float32)


def _scatter(rates: NDArray[np.float32]) -> float:
    """Robust standard deviation about zero; ground that moves is less than half of it."""
    known = rates[np.isfinite(rates)]
    return 1.4826 * float(np.median(np.abs(known))) if known.size else 0.0
