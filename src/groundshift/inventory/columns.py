"""Columns of the inventory and what they hold, for the GeoPackage and for every other format (docs/inventory.md)."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.detection import Detection
from groundshift.inventory.model import Run, Target, TargetSeries

__all__ = [
    "DETECTION_COLUMNS",
    "DTYPES",
    "EVENT_COLUMNS",
    "RUN_COLUMNS",
    "SERIES_COLUMNS",
    "TARGET_COLUMNS",
    "Column",
    "column_array",
    "column_arrays",
    "detection_rows",
    "event_rows",
    "run_rows",
    "series_arrays",
    "target_rows",
]

DTYPES = {
    "text": "object",
    "real": "float64",
    "integer": "int64",
    "date": "datetime64[D]",
    "time": "datetime64[ms]",
}
"""NumPy's type for each type of a column."""


class Column(NamedTuple):
    """Name and type of a column; times are in UTC."""

    name: str
    type: Literal["text", "real", "integer", "date", "time"]


def column_array(column: Column, values: Sequence[object]) -> NDArray[Any]:
    """Return values as the array that `write_layer` takes: None and NaN become nulls, except in integers."""
    dtype = DTYPES[column.type]
    if column.type == "real":
        values = [np.nan if v is None else v for v in values]
    array = np.empty(len(values), dtype)
    array[:] = values
    return array


TARGET_COLUMNS = (
    Column("id", "text"),
    Column("kind", "text"),
    Column("score", "real"),
    Column("tracks", "text"),
    Column("evidence", "text"),
    Column("first_seen", "date"),
    Column("last_seen", "date"),
    Column("area_m2", "real"),
    Column("velocity_los_mm_yr", "real"),
    Column("velocity_sigma_mm_yr", "real"),
    Column("velocity_slope_mm_yr", "real"),
    Column("slope_deg", "real"),
    Column("aspect_deg", "real"),
    Column("mean_coherence", "real"),
    Column("n_pairs", "integer"),
    Column("behaviour", "text"),
    Column("review", "text"),
    Column("note", "text"),
)

DETECTION_COLUMNS = (
    Column("target", "text"),
    Column("score", "real"),
    Column("detector", "text"),
    Column("track", "text"),
    Column("window", "text"),
    Column("directions", "text"),
    Column("velocity_los_mm_yr", "real"),
    Column("velocity_sigma_mm_yr", "real"),
    Column("significance", "real"),
    Column("mean_coherence", "real"),
    Column("n_pairs", "integer"),
    Column("slope_deg", "real"),
    Column("aspect_deg", "real"),
)

RUN_COLUMNS = (
    Column("started", "time"),
    Column("version", "text"),
    Column("command", "text"),
    Column("tracks", "text"),
    Column("first_date", "date"),
    Column("last_date", "date"),
    Column("n_pairs", "integer"),
    Column("parameters", "text"),
)

SERIES_COLUMNS = (
    Column("target", "text"),
    Column("track", "text"),
    Column("date", "date"),
    Column("displacement_mm", "real"),
    Column("sigma_mm", "real"),
)

EVENT_COLUMNS = (
    Column("target", "text"),
    Column("track", "text"),
    Column("kind", "text"),
    Column("day", "date"),
    Column("early", "date"),
    Column("late", "date"),
    Column("rate_before_mm_yr", "real"),
    Column("rate_after_mm_yr", "real"),
)


def column_arrays(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> list[NDArray[Any]]:
    """Turn rows into one array per column, as `column_array` does."""
    return [column_array(column, [row[i] for row in rows]) for i, column in enumerate(columns)]


def target_rows(targets: Sequence[Target]) -> list[tuple[Any, ...]]:
    """Return one row of `TARGET_COLUMNS` per target."""
    return [_target_row(t) for t in targets]


def detection_rows(targets: Sequence[Target]) -> list[tuple[Any, ...]]:
    """Return one row of `DETECTION_COLUMNS` per detection, target by target."""
    return [_detection_row(t.id, d) for t in targets for d in t.detections]


def run_rows(runs: Sequence[Run]) -> list[tuple[Any, ...]]:
    """Return one row of `RUN_COLUMNS` per run; times are in UTC and carry no time zone."""
    return [_run_row(r) for r in runs]


def series_arrays(series: Sequence[TargetSeries]) -> list[NDArray[Any]]:
    """Lay all series end to end, one array per column of `SERIES_COLUMNS`."""
    names = [(s.target, s.track, len(s.dates)) for s in series]
    return [
        column_array(SERIES_COLUMNS[0], [target for target, _, n in names for _ in range(n)]),
        column_array(SERIES_COLUMNS[1], [track for _, track, n in names for _ in range(n)]),
        np.concatenate([np.empty(0, "datetime64[D]"), *(s.dates.astype("datetime64[D]") for s in series)]),
        np.concatenate([np.empty(0), *(np.asarray(s.displacement_mm, np.float64) for s in series)]),
        np.concatenate([np.empty(0), *(np.asarray(s.sigma_mm, np.float64) for s in series)]),
    ]


def event_rows(series: Sequence[TargetSeries]) -> list[tuple[Any, ...]]:
    """Return one row of `EVENT_COLUMNS` per event, series by series."""
    return [tuple(getattr(e, c.name) for c in EVENT_COLUMNS) for s in series for e in s.events]


def _target_row(t: Target) -> tuple[Any, ...]:
    """Values of a target in the order of its columns."""
    joined = {"tracks": ",".join(t.tracks), "evidence": ",".join(t.evidence)}
    return tuple(joined[c.name] if c.name in joined else getattr(t, c.name) for c in TARGET_COLUMNS)


def _detection_row(target: str, d: Detection) -> tuple[Any, ...]:
    """Values of a detection in the order of its columns."""
    return (
        target,
        d.score,
        d.detector,
        d.track,
        d.window,
        ",".join(d.directions),
        d.velocity,
        d.velocity_sigma,
        d.significance,
        d.mean_coherence,
        d.n_pairs,
        d.slope,
        d.aspect,
    )


def _run_row(r: Run) -> tuple[Any, ...]:
    """Values of a run in the order of its columns."""
    started = r.started if r.started.tzinfo is None else r.started.astimezone(UTC).replace(tzinfo=None)
    return (
        started,
        r.version,
        r.command,
        ",".join(r.tracks),
        r.first_date,
        r.last_date,
        r.n_pairs,
        r.parameters,
    )
