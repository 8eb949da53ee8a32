"""The inventory as one GeoPackage: layers `targets`, `detections`, `runs`, `series`, `events` (docs/inventory.md)."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, date
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from shapely import Geometry, MultiPolygon, Polygon

from groundshift.detect.detection import Detection
from groundshift.errors import DamagedFileError, OutputError
from groundshift.inventory.columns import (
    DETECTION_COLUMNS,
    EVENT_COLUMNS,
    RUN_COLUMNS,
    SERIES_COLUMNS,
    TARGET_COLUMNS,
    column_arrays,
    detection_rows,
    event_rows,
    run_rows,
    series_arrays,
    target_rows,
)
from groundshift.inventory.identity import settle_ids
from groundshift.inventory.model import Behaviour, Kind, Review, Run, Target, TargetEvent, TargetSeries
from groundshift.inventory.style import add_style
from groundshift.inventory.tables import OGR_ERRORS, check_version, has_layer, read_layer, stamp_version, write_layer
from groundshift.inventory.targets import geodesic_area_m2
from groundshift.io.atomic import atomic_path
from groundshift.timeseries import Event

__all__ = [
    "SCHEMA_VERSION",
    "checked_polygon",
    "read_events",
    "read_inventory",
    "read_runs",
    "read_series",
    "read_standing",
    "write_inventory",
]

SCHEMA_VERSION = 1
"""Raised when a column changes its meaning or goes; a reader refuses what is newer than itself."""


def write_inventory(
    path: Path, targets: Sequence[Target], runs: Sequence[Run], series: Sequence[TargetSeries] = ()
) -> None:
    """Write an inventory, whole or not at all; a file of that name is replaced.

    Parameters
    ----------
    path : path
        Ends in `.gpkg`.
    targets : sequence of Target
        Each with its own id; their detections go into the layer `detections`. May be empty.
    runs : sequence of Run
        All runs so far, oldest first.
    series : sequence of TargetSeries
        Displacements with their events, may be empty.

    Raises
    ------
    ValueError
        If `path` does not end in `.gpkg`, or two targets share an id.
    OutputError
        If it cannot be written.

    Notes
    -----
    Unknown values (None, NaN) are nulls. The same content gives the same rows in the same order. QGIS colours the
    targets by kind when it opens the file.
    """
    path = Path(path)
    if path.suffix.lower() != ".gpkg":
        raise ValueError(f"path must end in .gpkg, instead got {path}")
    name, times = Counter(t.id for t in targets).most_common(1)[0] if targets else ("", 0)
    if times > 1:
        raise ValueError(f"targets must have distinct ids, instead got {name!r} {times} times")
    with atomic_path(path) as temporary:
        try:
            write_layer(
                temporary,
                "targets",
                TARGET_COLUMNS,
                column_arrays(TARGET_COLUMNS, target_rows(targets)),
                [t.geometry for t in targets],
            )
            write_layer(
                temporary,
                "detections",
                DETECTION_COLUMNS,
                column_arrays(DETECTION_COLUMNS, detection_rows(targets)),
                [d.polygon for t in targets for d in t.detections],
                geometry_type="Polygon",
            )
            write_layer(temporary, "runs", RUN_COLUMNS, column_arrays(RUN_COLUMNS, run_rows(runs)))
            write_layer(temporary, "series", SERIES_COLUMNS, series_arrays(series))
            write_layer(temporary, "events", EVENT_COLUMNS, column_arrays(EVENT_COLUMNS, event_rows(series)))
            add_style(temporary)
            stamp_version(temporary, SCHEMA_VERSION)
        except (*OGR_ERRORS, sqlite3.Error) as error:
            reason = " ".join(str(error).rsplit("failed: ", 1)[-1].split())
            raise OutputError(f"{path}: cannot be written ({reason[-80:]}); free some space and run again") from error


def read_inventory(path: Path) -> list[Target]:
    """Read the targets of an inventory with their detections, in the order of the file.

    Parameters
    ----------
    path : path
        A GeoPackage that `write_inventory` wrote; edits made in a GIS are taken over.

    Returns
    -------
    list of Target
        A target drawn by hand needs its polygon and its two dates only: it is named after its place, and what is
        not filled in is taken as unknown. Of a polygon that was cut the largest part keeps the id, and each part the
        detections that lie on it. Detections of targets that were deleted are left out.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, is damaged, or holds a value that the schema does not know.
    UnknownFormatError
        If it is no inventory, or one of a newer Groundshift.
    """
    path = Path(path)
    check_version(path, SCHEMA_VERSION)
    values, geometries = read_layer(path, "targets", TARGET_COLUMNS)
    detections = _read_detections(path)
    polygons = [
        checked_polygon(path, "target", name or f"row {row + 1}", shape)
        for row, (name, shape) in enumerate(zip(values["id"], geometries, strict=True))
    ]
    stored, values["id"] = values["id"], settle_ids(values["id"], polygons)
    times = Counter(stored)
    targets = []
    for row, polygon in enumerate(polygons):
        own = detections.get(stored[row] or "", [])
        if times[stored[row]] > 1:
            own = [d for d in own if d.polygon.intersects(polygon)]
        targets.append(_target(path, {name: column[row] for name, column in values.items()}, polygon, own))
    return targets


class Standing(NamedTuple):
    """What stands in an inventory."""

    targets: list[Target]
    runs: list[Run]
    series: list[TargetSeries]


def read_standing(path: Path) -> Standing:
    """Read what a run goes on from; nothing where there is no inventory. Raises as `read_inventory` does."""
    if not path.exists():
        return Standing([], [], [])
    return Standing(read_inventory(path), read_runs(path), read_series(path))


def read_runs(path: Path) -> list[Run]:
    """Read the runs of an inventory, oldest first; raises as `read_inventory` does."""
    path = Path(path)
    check_version(path, SCHEMA_VERSION)
    values, _ = read_layer(path, "runs", RUN_COLUMNS)
    runs = []
    for row in zip(*(values[c.name] for c in RUN_COLUMNS), strict=True):
        started, version, command, tracks, first, last, n_pairs, parameters = row
        if started is None or first is None or last is None:
            raise DamagedFileError(f"{path}: a row of layer 'runs' lacks a date; restore it from a copy")
        runs.append(
            Run(
                started=started.replace(tzinfo=UTC),
                version=version or "",
                command=command or "",
                tracks=_split(tracks),
                first_date=first,
                last_date=last,
                n_pairs=n_pairs or 0,
                parameters=parameters or "",
            )
        )
    return sorted(runs, key=lambda r: r.started)


def read_series(path: Path) -> list[TargetSeries]:
    """Read the displacement series of an inventory with their events; raises as `read_inventory` does."""
    path = Path(path)
    check_version(path, SCHEMA_VERSION)
    values, _ = read_layer(path, "series", SERIES_COLUMNS)
    events: dict[tuple[str, str], list[TargetEvent]] = {}
    for event in _read_events(path):
        events.setdefault((event.target, event.track), []).append(event)
    rows: dict[tuple[str, str], list[tuple[date, float, float]]] = {}
    for target, track, day, displacement, sigma in zip(*(values[c.name] for c in SERIES_COLUMNS), strict=True):
        if target is None or day is None:
            raise DamagedFileError(f"{path}: a row of layer 'series' lacks target or date; restore it from a copy")
        rows.setdefault((target, track or ""), []).append((day, _number(displacement), _number(sigma)))
    return [
        TargetSeries(
            target=target,
            track=track,
            dates=np.array([r[0] for r in points], "datetime64[D]"),
            displacement_mm=np.array([r[1] for r in points], np.float64),
            sigma_mm=np.array([r[2] for r in points], np.float64),
            events=tuple(events.get((target, track), ())),
        )
        for (target, track), points in rows.items()
    ]


def read_events(path: Path) -> list[TargetEvent]:
    """Read the events of an inventory, by target and track in order of time.

    One that was written before there were events has none. Raises as `read_inventory` does.
    """
    path = Path(path)
    check_version(path, SCHEMA_VERSION)
    return _read_events(path)


def checked_polygon(path: Path, what: str, name: str, shape: Geometry | None) -> Polygon | MultiPolygon:
    """Return a geometry of an inventory as a polygon, a single one where it has one part.

    Parameters
    ----------
    path : path
        The file, named if something is wrong.
    what, name : str
        What the geometry belongs to, such as `target` and its id.
    shape : geometry or None
        As it was read.

    Raises
    ------
    DamagedFileError
        If it is no polygon, or an empty one.
    """
    if not isinstance(shape, Polygon | MultiPolygon) or shape.is_empty:
        raise DamagedFileError(f"{path}: {what} {name} has no polygon; draw one or delete the row")
    if isinstance(shape, MultiPolygon) and len(shape.geoms) == 1:
        return shape.geoms[0]
    return shape


def _read_events(path: Path) -> list[TargetEvent]:
    """Read the events of an inventory whose version is known."""
    if not has_layer(path, "events"):
        return []
    values, _ = read_layer(path, "events", EVENT_COLUMNS)
    events = []
    for row in zip(*(values[c.name] for c in EVENT_COLUMNS), strict=True):
        target, track, kind, day, early, late, before, after = row
        if target is None or kind not in get_args(Event) or None in (day, early, late):
            raise DamagedFileError(
                f"{path}: a row of layer 'events' lacks its target, a date or its kind; restore it from a copy"
            )
        events.append(TargetEvent(target, track or "", kind, day, early, late, _number(before), _number(after)))
    return sorted(events, key=lambda e: (e.target, e.track, e.day))


def _read_detections(path: Path) -> dict[str, list[Detection]]:
    """Read the detections by the id of their target."""
    values, geometries = read_layer(path, "detections", DETECTION_COLUMNS)
    by_target: dict[str, list[Detection]] = {}
    for row, shape in zip(zip(*(values[c.name] for c in DETECTION_COLUMNS), strict=True), geometries, strict=True):
        target, score, detector, track, window, directions, *numbers = row
        velocity, sigma, significance, coherence, n_pairs, slope, aspect = numbers
        polygon = checked_polygon(path, "a detection of target", str(target), shape)
        if not isinstance(polygon, Polygon):
            raise DamagedFileError(f"{path}: a detection of target {target!r} has several polygons; restore it")
        by_target.setdefault(str(target), []).append(
            Detection(
                polygon=polygon,
                score=_number(score),
                detector=detector or "",
                track=track or "",
                window=window or "",
                directions=_split(directions),
                velocity=_number(velocity),
                velocity_sigma=_number(sigma),
                significance=_number(significance),
                mean_coherence=_number(coherence),
                n_pairs=n_pairs or 0,
                slope=slope,
                aspect=aspect,
            )
        )
    return by_target


_CHOICES: dict[str, tuple[tuple[str, ...], str]] = {
    "kind": (get_args(Kind), "unknown"),
    "behaviour": (get_args(Behaviour), "unclear"),
    "review": (get_args(Review), "unreviewed"),
}
_REAL = {f.name for f in fields(Target) if f.type is float}


def _target(path: Path, row: dict[str, Any], polygon: Polygon | MultiPolygon, own: Sequence[Detection]) -> Target:
    """Make a target of a row, with what people may have typed into it."""
    for name, (choices, default) in _CHOICES.items():
        value = (row[name] or default).strip().lower()
        if value not in choices:
            raise DamagedFileError(
                f"{path}: {name} of target {row['id']} must be one of {', '.join(choices)}, instead got {row[name]!r}; "
                "correct it"
            )
        row[name] = value
    for name in ("first_seen", "last_seen"):
        if row[name] is None:
            raise DamagedFileError(f"{path}: {name} of target {row['id']} is empty; fill in a date")
    if row["area_m2"] is None:
        row["area_m2"] = geodesic_area_m2(polygon)
    row = {name: _number(value) if name in _REAL else value for name, value in row.items()}
    row["n_pairs"] = row["n_pairs"] or 0
    row["note"] = row["note"] or ""
    del row["tracks"], row["evidence"]  # they follow from the detections
    return Target(geometry=polygon, detections=tuple(own), **row)


def _split(text: str | None) -> tuple[str, ...]:
    """Take a comma-joined text apart."""
    return tuple(text.split(",")) if text else ()


def _number(value: float | None) -> float:
    """Return NaN for what is not known."""
    return float("nan") if value is None else float(value)
