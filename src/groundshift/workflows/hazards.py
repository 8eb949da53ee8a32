"""What series mean for hazard: stages of creep, failure windows, what rain does, what sped up since last time."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray
from pydantic import Field

from groundshift import __version__
from groundshift.hazard.creep import Alert, CreepStages, alerts, creep_stages
from groundshift.hazard.creep import TargetSeries as Watched
from groundshift.hazard.failure import FailureWindow, failure_window
from groundshift.hazard.figure import hazard_figure
from groundshift.hazard.forcing import Forcing, moisture_forcing
from groundshift.hazard.rain import LagResult, rain_lag
from groundshift.hazard.rain_files import read_rain
from groundshift.io.atomic import atomic_path, write_text
from groundshift.report.figures import to_png_bytes
from groundshift.report.hazard_page import HazardEntry, render_hazard
from groundshift.workflows.hazard_series import BACKSCATTER, PlaceSeries, find_series, read_backscatter
from groundshift.workflows.output import claimed
from groundshift.workflows.parts import Config, Day
from groundshift.workflows.progress import Reporter

__all__ = ["HazardConfig", "HazardOutput", "run_hazard", "tell_alert"]

_PER_DAY = 1000.0 / 365.25
"""Millimetres a day of metres a year."""
_RAIN_BEFORE = 150
"""Days before a series from which on rain is wanted: the longest lag, and some."""


class HazardConfig(Config):
    """What is told of series, and from what."""

    targets: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Only these; all by default."""
    rain: Path | None = None
    """Rain: a table (date, millimetres), or gridded netCDF (GPM, ERA5) or a folder of such."""
    moisture: Path | None = None
    """Backscatter of places: a table with date and db, and target where it has more than one. That which `offsets` has
    left beside the series is taken by default."""
    place: tuple[float, float] | None = None
    """Longitude and latitude at which gridded rain is read; the middle of each target by default."""
    since: Day | None = None
    """Day since which places are asked for that sped up, YYYY-MM-DD; a year before the last date by default."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Probability of a failure within the window, if it comes as slopes fail that accelerate so."""
    false_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the alerts that may be of places which did not speed up."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the years of rain that are exchanged."""


@dataclass(frozen=True)
class _Told:
    """What is told of one series."""

    series: PlaceSeries
    stages: CreepStages
    window: FailureWindow
    rain: LagResult | None
    moisture: LagResult | None


@dataclass(frozen=True)
class HazardOutput:
    """What a run leaves."""

    folder: Path
    page: Path
    alerts: tuple[Alert, ...]
    facts: list[dict[str, Any]]


def run_hazard(source: Path, output: Path, config: HazardConfig, reporter: Reporter) -> HazardOutput:
    """Tell what series mean.

    Leaves `hazard.html`, `hazard.json`, `stages.csv` and a picture of each series.

    Parameters
    ----------
    source : path
        As of `find_series`.
    output : path
        Folder for the results.
    config : HazardConfig
    reporter : Reporter

    Raises
    ------
    GroundshiftError
        If there are no series, or a file cannot be read.
    """
    found = find_series(source, config.targets)
    moisture_file = config.moisture or (source / BACKSCATTER if (source / BACKSCATTER).is_file() else None)
    moisture = {} if moisture_file is None else read_backscatter(moisture_file)
    told, pictures = [], []
    with claimed(output):
        with reporter.bar("telling", len(found)) as advance:
            for one in found:
                rain = _rain_of(one, config)
                wet = moisture.get(one.target, moisture.get(""))
                told.append(_tell(one, rain, wet, config))
                pictures.append(_draw(output, told[-1], rain, wet))
                advance()
        last = max(one.days[-1].item() for one in found)
        since = config.since or date(last.year - 1, last.month, min(last.day, 28))
        watched = [Watched(s.name, s.days.tolist(), s.displacement, s.sigma) for s in found]
        sped_up = tuple(alerts(watched, since, false_share=config.false_share))
        facts = [_facts(t) for t in told]
        _write_stages(output / "stages.csv", told)
        write_text(
            output / "hazard.json",
            json.dumps({"groundshift": __version__, "source": str(source), "since": str(since),
                        "settings": config.model_dump(mode="json"),
                        "alerts": [_clean(a._asdict()) for a in sped_up],
                        "series": facts}, indent=1, default=str) + "\n",
        )  # fmt: skip
        entries = [HazardEntry(t.series.name, _words(t), p) for t, p in zip(told, pictures, strict=True)]
        page = output / "hazard.html"
        write_text(page, render_hazard(entries, [tell_alert(a) for a in sped_up], since, len(found)))
    for alert in sped_up:
        reporter.say(tell_alert(alert))
    return HazardOutput(output, page, sped_up, facts)


def tell_alert(alert: Alert) -> str:
    """Say in a sentence what sped up, and how sure that is."""
    before, after = (f"{r * _PER_DAY:+.1f} ± {s * _PER_DAY:.1f}" for r, s in (
        (alert.rate_before, alert.rate_before_sigma), (alert.rate_since, alert.rate_since_sigma)))  # fmt: skip
    chance = f"{alert.p_value:.0e}" if alert.p_value < 1e-3 else f"{alert.p_value:.3f}"
    return (
        f"{alert.name} sped up since {alert.since}: {before} mm/day before, {after} mm/day since ({alert.n_dates} "
        f"dates; by chance with a probability of {chance})"
    )


def _rain_of(series: PlaceSeries, config: HazardConfig) -> Forcing | None:
    """Read the rain at a place."""
    if config.rain is None:
        return None
    lon, lat = config.place or series.place or (None, None)
    start = (series.days[0] - np.timedelta64(_RAIN_BEFORE, "D")).item()
    return read_rain(config.rain, lon=lon, lat=lat, start=start, end=series.days[-1].item())


def _tell(
    series: PlaceSeries, rain: Forcing | None, wet: tuple[list[date], NDArray[np.float64]] | None, config: HazardConfig
) -> _Told:
    """Look at one series from all sides."""
    days = series.days.tolist()
    stages = creep_stages(days, series.displacement, series.sigma)
    window = failure_window(days, series.displacement, series.sigma, confidence=config.confidence)
    lags = [
        None if forcing is None else rain_lag(days, series.displacement, forcing, series.sigma, seed=config.seed)
        for forcing in (rain, None if wet is None else moisture_forcing(*wet))
    ]
    return _Told(series, stages, window, lags[0], lags[1])


def _draw(folder: Path, told: _Told, rain: Forcing | None, wet: tuple[list[date], NDArray[np.float64]] | None) -> bytes:
    """Leave a picture of one series."""
    series = told.series
    figure = hazard_figure(
        series.days.tolist(), series.displacement, series.sigma, stages=told.stages, window=told.window, rain=rain,
        moisture=wet, lag=told.rain, title=series.name,
        quantity="azimuth displacement" if series.track.endswith("azimuth") else "LOS displacement",
    )  # fmt: skip
    picture = to_png_bytes(figure)
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", series.name)
    with atomic_path(folder / f"{name}.png") as temporary:
        temporary.write_bytes(picture)
    return picture


def _facts(told: _Told) -> dict[str, Any]:
    """Return what is told of one series as plain values."""
    stages = told.stages
    return {
        "target": told.series.target,
        "track": told.series.track,
        "dates": stages.n_dates,
        "stages": [_clean(s._asdict()) for s in stages.stages],
        "stages_reason": stages.reason,
        "accelerating": stages.accelerating,
        "p_value": _plain(stages.p_value),
        "failure": told.window._asdict(),
        **{
            name: None if lag is None else {
                "lags_months": lag.lags.tolist(), "correlation": [_plain(v) for v in lag.correlation],
                "p_value": _plain(lag.p_value), "best_lag_months": lag.best_lag, "reason": lag.reason,
            }
            for name, lag in (("rain", told.rain), ("moisture", told.moisture))
        },
    }  # fmt: skip


def _words(told: _Told) -> list[str]:
    """Say what is told of one series in sentences."""
    lines = []
    for stage in told.stages.stages:
        rate, sigma = abs(stage.rate) * _PER_DAY, stage.rate_sigma * _PER_DAY
        doubt = "" if math.isnan(stage.p_value) else f", which began between {stage.start_early} and {stage.start_late}"
        name = " ".join(part for part in (stage.phase, stage.part) if part)
        lines.append(f"{stage.start} to {stage.end}: {name}, {rate:.1f} ± {sigma:.1f} mm/day{doubt}")
    if told.stages.reason:
        lines.append(f"One stage only: {told.stages.reason}")
    window = told.window
    if window.earliest is None:
        lines.append(f"No failure window: {window.reason}")
    else:
        lines.append(
            f"If it fails as slopes do that accelerate so: between {window.earliest} and {window.latest} with a "
            f"probability of {100 * window.confidence:.0f} %, as probably before as after {window.median}"
        )
    for name, lag in (("rain", told.rain), ("backscatter", told.moisture)):
        if lag is not None and lag.best_lag is None:
            lines.append(f"No lag behind {name}: {lag.reason}")
        elif lag is not None:
            lines.append(
                f"Follows {name} by {lag.best_lag:.1f} months (by chance with a probability of {lag.p_value:.3f})"
            )
    return lines


def _write_stages(path: Path, told: Sequence[_Told]) -> None:
    """Write the stages of all series as a table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["phase", "part", "start", "start_early", "start_late", "end", "end_early", "end_late"]
    writer.writerow(["target", "track", *names, "rate_m_yr", "rate_sigma_m_yr", "p_value"])
    for one in told:
        for stage in one.stages.stages:
            numbers = [f"{stage.rate:.5g}", f"{stage.rate_sigma:.3g}", f"{stage.p_value:.3g}"]
            writer.writerow([one.series.target, one.series.track, *(getattr(stage, n) for n in names), *numbers])
    write_text(path, text.getvalue())


def _clean(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts in which what is not known is None."""
    return {name: _plain(v) if isinstance(v, float) else v for name, v in facts.items()}


def _plain(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if math.isfinite(value) else None
