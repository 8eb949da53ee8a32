"""Rows of the inventory for other formats: the same columns, in the same order, as in the GeoPackage."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundshift.inventory import Run, Target
from groundshift.inventory._tables import Column
from groundshift.inventory.geopackage import (
    _DETECTIONS,
    _RUNS,
    _SERIES,
    _TARGETS,
    _columns,
    _detection_row,
    _run_row,
    _target_row,
)
from groundshift.inventory.identity import _MARK, _unmarked

__all__ = [
    "DETECTION_COLUMNS",
    "RUN_COLUMNS",
    "SERIES_COLUMNS",
    "TARGET_COLUMNS",
    "Column",
    "detection_rows",
    "mark_of",
    "run_rows",
    "target_arrays",
    "target_rows",
    "unmarked",
]

TARGET_COLUMNS: tuple[Column, ...] = _TARGETS
DETECTION_COLUMNS: tuple[Column, ...] = _DETECTIONS
RUN_COLUMNS: tuple[Column, ...] = _RUNS
SERIES_COLUMNS: tuple[Column, ...] = _SERIES
unmarked = _unmarked


def target_rows(targets: Sequence[Target]) -> list[tuple[Any, ...]]:
    """Return one row per target."""
    return [_target_row(t) for t in targets]


def detection_rows(targets: Sequence[Target]) -> list[tuple[Any, ...]]:
    """Return one row per detection, target by target."""
    return [_detection_row(t.id, d) for t in targets for d in t.detections]


def run_rows(runs: Sequence[Run]) -> list[tuple[Any, ...]]:
    """Return one row per run; times are in UTC and carry no time zone."""
    return [_run_row(r) for r in runs]


def target_arrays(targets: Sequence[Target]) -> list[NDArray[Any]]:
    """Return one array per column; unknown numbers are NaN."""
    arrays = _columns(TARGET_COLUMNS, target_rows(targets))
    # Counts of pairs fit, and a Shapefile writes 64 bits as 18 digits, which some programs read as a real number.
    return [
        array.astype(np.int32) if column.type == "integer" else array
        for column, array in zip(TARGET_COLUMNS, arrays, strict=True)
    ]


def mark_of(note: str) -> str:
    """Return the mark that a survey has put at the end of a note, or nothing."""
    found = _MARK.search(note)
    return found[0].strip() if found else ""
