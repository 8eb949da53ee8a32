"""Series that hazard is told from: those of an inventory, or a table of one's own."""

import csv
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.inventory import read_inventory
from groundshift.inventory.geopackage import read_series
from groundshift.workflows.parts import to_day

__all__ = ["BACKSCATTER", "PlaceSeries", "find_series", "read_backscatter"]

BACKSCATTER = "backscatter.csv"
"""What offset tracking leaves of the brightness of each target: target, date, sensor, decibels."""
_METRES = {"_mm": 1e-3, "_cm": 1e-2, "_m": 1.0}


class PlaceSeries(NamedTuple):
    """How one place moved, as one track or sensor has it."""

    target: str
    track: str
    days: NDArray[np.datetime64]
    """(date,) ascending."""
    displacement: NDArray[np.float64]
    """(date,) metres; NaN where unknown."""
    sigma: NDArray[np.float64] | None
    """(date,) metres."""
    place: tuple[float, float] | None
    """Longitude and latitude of its middle."""

    @property
    def name(self) -> str:
        """Of files and lists."""
        return f"{self.target} {self.track}".strip()


def find_series(source: Path, targets: Sequence[str] = ()) -> list[PlaceSeries]:
    """Read the series of a run, an inventory or a table.

    Parameters
    ----------
    source : path
        The folder of a run or its `inventory.gpkg`; or a `.csv` with the columns `date` and `displacement_mm` (or
        `_cm`, `_m`), and where there are any `sigma_mm` (in the same unit), `target` and `track`.
    targets : sequence of str
        The only ones that are wanted; all by default.

    Raises
    ------
    MissingFileError, DamagedFileError
        If there is no such file, or it cannot be read.
    NoDataError
        If it holds no series, or none of a target asked for.
    """
    if not source.exists():
        raise MissingFileError(f"{source}: no such file or folder; check the spelling")
    if source.suffix.lower() == ".csv":
        found = _table(source)
    else:
        inventory = source / "inventory.gpkg" if source.is_dir() else source
        if not inventory.exists():
            raise MissingFileError(
                f"{source}: no inventory.gpkg here; give the folder of a survey, or a .csv of a series"
            )
        centres = {t.id: t.geometry.centroid for t in read_inventory(inventory)}
        middles = {name: (float(centre.x), float(centre.y)) for name, centre in centres.items()}
        found = [
            PlaceSeries(s.target, s.track, s.dates, s.displacement_mm * 1e-3, s.sigma_mm * 1e-3, middles.get(s.target))
            for s in read_series(inventory)
        ]
    if not found:
        raise NoDataError(f"{source}: holds no series; run `groundshift survey` or `offsets` with series first")
    names = {s.target for s in found}
    for name in targets:
        if name not in names:
            raise NoDataError(f"{source}: no series of target {name}; there are {', '.join(sorted(names)[:8])}")
    return [s for s in found if not targets or s.target in targets]


def read_backscatter(path: Path) -> dict[str, tuple[list[date], NDArray[np.float64]]]:
    """Read the brightness of places, decibels by date; by target, `""` where the table names none.

    Raises
    ------
    MissingFileError, DamagedFileError
        If there is no such file, or it cannot be read.
    """
    rows: dict[str, list[tuple[date, float]]] = {}
    for number, row in _rows(path, ("date", "db")):
        rows.setdefault(row.get("target", ""), []).append((_day(path, number, row), _value(path, number, row["db"])))
    found = {}
    for name, told in rows.items():
        told.sort()
        found[name] = ([day for day, _ in told], np.array([decibels for _, decibels in told]))
    return found


def _table(path: Path) -> list[PlaceSeries]:
    """Read a table of series."""
    rows = _rows(path, ("date",))
    head = list(rows[0][1]) if rows else []
    moved = next((n for n in head if n.startswith("displacement_") and n[12:] in _METRES), None)
    if moved is None:
        raise DamagedFileError(
            f"{path}: no column displacement_mm, displacement_cm or displacement_m; name the column with its unit"
        )
    unit = _METRES[moved[12:]]
    error = f"sigma{moved[12:]}" if f"sigma{moved[12:]}" in head else None
    grouped: dict[tuple[str, str], list[tuple[date, float, float]]] = {}
    for number, row in rows:
        sigma = unit * _value(path, number, row[error]) if error else math.nan
        key = (row.get("target", path.stem), row.get("track", ""))
        grouped.setdefault(key, []).append((_day(path, number, row), unit * _value(path, number, row[moved]), sigma))
    found = []
    for (target, track), told in grouped.items():
        told.sort(key=lambda one: one[0])
        days = np.array([day for day, _, _ in told], "datetime64[D]")
        if len(np.unique(days)) < len(days):
            raise DamagedFileError(f"{path}: a date stands twice in the series of {target}; leave one out")
        values = np.array([one[1:] for one in told], np.float64)
        found.append(PlaceSeries(target, track, days, values[:, 0], values[:, 1] if error else None, None))
    return found


def _rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a table with a head, rows with their numbers; names in lower case."""
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: cannot be read as text; save it as CSV in UTF-8") from error
    reader = csv.DictReader(lines)
    names = [(name or "").strip().lower() for name in reader.fieldnames or []]
    missing = [name for name in needed if name not in names]
    if missing:
        raise DamagedFileError(f"{path}: no column {missing[0]}; expected {', '.join(needed)}")
    reader.fieldnames = names
    return [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}) for row in reader]


def _day(path: Path, number: int, row: dict[str, str]) -> date:
    """Read the date of a row."""
    try:
        return to_day(row["date"])
    except ValueError as error:
        raise DamagedFileError(f"{path}, line {number}: {error}") from None


def _value(path: Path, number: int, text: str) -> float:
    """Read a number; NaN where it is empty."""
    if text.lower() in ("", "nan", "null"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise DamagedFileError(f"{path}, line {number}: expected a number, instead got {text!r}") from None
