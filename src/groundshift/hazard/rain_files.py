"""Rain from tables and from gridded files, as millimetres per day."""

import csv
import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, NoDataError
from groundshift.hazard._rain_grids import grid_days
from groundshift.hazard.forcing import Forcing

__all__ = ["RainFileError", "read_rain"]

Floats = NDArray[np.float64]

_DATE_NAMES = ("date", "time", "day", "month", "datetime", "timestamp", "valid_time")
_RAIN_NAMES = re.compile(r"rain|precip|prcp|^pr$|^tp$|^ppt|^mm\b|^p$", re.IGNORECASE)
_PER_DAY = re.compile(r"/\s*d(ay)?\b|per day|d-1|day-1|mm_?d$|_mm_?day", re.IGNORECASE)
_MISSING = ("", "nan", "na", "n/a", "null", "-", "none")
_FORMATS = (
    (re.compile(r"\d{4}-\d\d-\d\d([T ].*)?$"), lambda s: datetime.strptime(s[:10], "%Y-%m-%d"), False),
    (re.compile(r"\d{4}/\d\d/\d\d$"), lambda s: datetime.strptime(s, "%Y/%m/%d"), False),
    (re.compile(r"\d{8}$"), lambda s: datetime.strptime(s, "%Y%m%d"), False),
    (re.compile(r"\d\d?\.\d\d?\.\d{4}$"), lambda s: datetime.strptime(s, "%d.%m.%Y"), False),
    (re.compile(r"\d{4}[-/]\d\d$"), lambda s: datetime.strptime(s.replace("/", "-"), "%Y-%m"), True),
    (re.compile(r"\d{6}$"), lambda s: datetime.strptime(s, "%Y%m"), True),
)
"""How dates are written, how they are read, and whether they stand for a month."""
_TABLES = (".csv", ".txt", ".tsv")
_GRIDS = (".nc", ".nc4", ".h5", ".hdf5", ".hdf")


class RainFileError(GroundshiftError, ValueError):
    """A file of rain whose columns, dates, units or place cannot be used."""


def read_rain(
    path: Path | str,
    *,
    lon: float | None = None,
    lat: float | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Forcing:
    """Read the rain of a place.

    Parameters
    ----------
    path : Path or str
        A table (`.csv`, `.txt`, `.tsv`) with a column of dates and one of millimetres, per day or per month; or a
        gridded file (`.nc`, `.nc4`, `.h5`), or a folder of them, such as GPM IMERG or ERA5.
    lon, lat : float, optional
        Degrees; needed for gridded files.
    start, end : date, optional
        First and last day that are read.

    Returns
    -------
    Forcing
        Millimetres per day from the first to the last day; days that are missing, empty or negative are NaN, and
        `gaps` tells them. Rain of months is spread evenly over their days.

    Raises
    ------
    MissingFileError, DamagedFileError
        If there is no such file, or it cannot be decoded.
    RainFileError
        If columns, dates or units are not recognised, dates are given twice, or the place is outside the grid.
    NoDataError
        If no day within `start` and `end` is known.

    Notes
    -----
    Dates are read as 2018-08-31, 2018/08/31, 20180831, 31.08.2018, or 2018-08 and 201808 for months, which hold the
    total of the month unless the head of the column says "per day". Of gridded files, units of the variable count:
    millimetres or metres per step, hour or day, or kg m-2 s-1. ERA5 monthly means are metres per day; totals that ERA5
    Land counts up from midnight are recognised by never falling within a day.
    """
    source = Path(path)
    if not source.exists():
        raise MissingFileError(f"{source} does not exist; name a table or a gridded file of rain")
    if source.is_file() and source.suffix.lower() in _TABLES:
        days, values = _table(source)
    else:
        if lon is None or lat is None:
            raise RainFileError(f"{source} is gridded; give the longitude and latitude of the place")
        files = [source] if source.is_file() else sorted(p for p in source.iterdir() if p.suffix.lower() in _GRIDS)
        if not files:
            raise MissingFileError(f"{source} holds no file of {', '.join(_GRIDS)}; name a folder of gridded rain")
        days, values = _grids(files, lon, lat, start, end)
    return _filled(source, days, values, start, end)


def _filled(
    source: Path, days: NDArray[np.datetime64], values: Floats, start: date | None, end: date | None
) -> Forcing:
    """Put days in order, without those outside the time asked for, and leave unknown those that are missing."""
    inside = np.isfinite(values) & (values >= 0)
    if start is not None:
        inside &= days >= np.datetime64(start, "D")
    if end is not None:
        inside &= days <= np.datetime64(end, "D")
    if not inside.any():
        wanted = f" from {start or 'the first day'} to {end or 'the last day'}" if start or end else ""
        raise NoDataError(f"{source} holds no rain{wanted}; check its dates")
    days, values = days[inside], values[inside]
    unique, counts = np.unique(days, return_counts=True)
    if (counts > 1).any():
        raise RainFileError(f"{source} gives {unique[counts > 1][0]} twice; keep one value for each day")
    filled = np.full(int((unique[-1] - unique[0]).astype(np.int64)) + 1, np.nan)
    filled[(days - unique[0]).astype(np.int64)] = values
    first: date = unique[0].item()
    return Forcing("rain", "mm/day", first, filled)


def _table(source: Path) -> tuple[NDArray[np.datetime64], Floats]:
    """Read a table: days, and millimetres of each."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{source} cannot be read as a table: {error}") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise RainFileError(
            f"{source} holds no rows below a head; write a head such as 'date,rain_mm' and one row a day"
        )
    separator = max(";\t,", key=lines[0].count)
    head, *rows = (list(map(str.strip, row)) for row in csv.reader(lines, delimiter=separator))
    when, what = _columns(source, head)
    read, monthly = _date_reader(source, rows[0][when] if len(rows[0]) > when else "")
    days: list[date] = []
    values: list[float] = []
    for number, row in enumerate(rows, 2):
        if len(row) <= max(when, what):
            raise RainFileError(f"{source} has too few columns in row {number}; it needs {len(head)}")
        try:
            day, value = read(row[when]), _number(row[what], separator)
        except ValueError:
            shown = f"{row[when]!r}, {row[what]!r}"
            raise RainFileError(f"{source} has no date and number in row {number}: {shown}; correct the row") from None
        days.append(day)
        values.append(value)
    at = np.array(days, "datetime64[D]")
    if monthly or _are_months(days):
        return _spread(at, np.array(values), daily=bool(_PER_DAY.search(head[what])))
    return at, np.array(values)


def _columns(source: Path, head: Sequence[str]) -> tuple[int, int]:
    """Return the columns of dates and of rain."""
    dates = [k for k, name in enumerate(head) if name.lower().split("(")[0].strip() in _DATE_NAMES]
    if not dates:
        raise RainFileError(f"{source} has no column of dates among {', '.join(head)}; name it 'date'")
    others = [k for k in range(len(head)) if k not in dates]
    named = [k for k in others if _RAIN_NAMES.search(head[k])]
    chosen = named or others
    if len(chosen) != 1:
        raise RainFileError(f"{source} must have one column of rain, instead got {', '.join(head)}; name it 'rain_mm'")
    return dates[0], chosen[0]


def _date_reader(source: Path, shown: str) -> tuple[Callable[[str], date], bool]:
    """Return how dates are read that are written like this one, and whether they stand for months."""
    for pattern, read, monthly in _FORMATS:
        if pattern.match(shown):
            return partial(_day_of, read), monthly
    raise RainFileError(f"{source} has dates like {shown!r}, which are not recognised; write them as 2018-08-31")


def _day_of(read: Callable[[str], datetime], text: str) -> date:
    return read(text).date()


def _number(text: str, separator: str) -> float:
    """Return a value in millimetres; NaN where it is missing."""
    if text.lower() in _MISSING:
        return np.nan
    value = float(text.replace(",", ".") if separator != "," else text)
    return value if value >= 0 else np.nan


def _are_months(days: Sequence[date]) -> bool:
    """Tell whether days are the first, or the last, of months that follow each other."""
    if len(days) < 2:
        return False
    first, last = ({d.day == 1 for d in days}, {d.day == monthrange(d.year, d.month)[1] for d in days})
    return first == {True} or last == {True}


def _spread(days: NDArray[np.datetime64], values: Floats, *, daily: bool) -> tuple[NDArray[np.datetime64], Floats]:
    """Spread what is given for months over their days; `daily` if it is the mean of a day and not the total."""
    every, spread = [], []
    for month, value in zip(days.astype("datetime64[M]"), values, strict=True):
        inside = np.arange(month.astype("datetime64[D]"), (month + 1).astype("datetime64[D]"))
        every.append(inside)
        spread.append(np.full(inside.size, value if daily else value / inside.size))
    return np.concatenate(every), np.concatenate(spread)


def _grids(
    files: Sequence[Path], lon: float, lat: float, start: date | None, end: date | None
) -> tuple[NDArray[np.datetime64], Floats]:
    """Read gridded files at a place: days, and millimetres of each."""
    days, values = [], []
    # Totals that are counted up end at midnight of the next day.
    until = None if end is None else end + timedelta(days=1)
    for file in files:
        try:
            found = grid_days(file, lon, lat, start, until)
        except ValueError as error:
            raise RainFileError(f"{file} {error}") from error
        except (OSError, KeyError) as error:
            raise DamagedFileError(f"{file} cannot be read as gridded rain: {error}") from error
        for month, rate in found.months:
            one, spread = _spread(np.array([month]), np.array([rate]), daily=True)
            days.append(one)
            values.append(spread)
        days.append(found.days)
        values.append(found.rates)
    return np.concatenate(days), np.concatenate(values)
