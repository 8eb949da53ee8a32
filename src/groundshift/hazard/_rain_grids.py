"""Rain at a place from one gridded file. Errors are the end of a sentence that begins with the name of the file."""

import re
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray
from numpy.typing import NDArray

__all__ = ["GridDays", "grid_days"]

Floats = NDArray[np.float64]

_NAMES = ("precipitation", "precipitationCal", "tp", "total_precipitation", "pr", "precip", "prcp", "rain", "rainfall")
_LONS, _LATS = ("lon", "longitude", "x"), ("lat", "latitude", "y")
_TIMES = ("time", "valid_time")
_STEPS = {"second": 1 / 86400, "minute": 1 / 1440, "hour": 1 / 24, "day": 1.0}
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian", "julian", "")
"""IMERG says julian and counts as all others do."""
_MONTH = 27.0
"""Days: steps at least as long are months."""
_LEAST_SAMPLES = 0.75
"""Share of the steps of a day that must be known."""


class GridDays(NamedTuple):
    """Millimetres per day."""

    days: NDArray[np.datetime64]
    rates: Floats
    months: list[tuple[np.datetime64, float]]
    """Months and the mean of their days."""


def grid_days(file: Path, lon: float, lat: float, start: date | None, end: date | None) -> GridDays:
    """Read the rain at a place, between two days, both included.

    Raises
    ------
    ValueError
        If variable, units, time or place are not as they should be.
    OSError
        If the file cannot be decoded.
    """
    with _opened(file) as data:
        variable = _variable(data)
        time = _time_of(variable)
        stamps = _stamps(data[time])
        inside = np.ones(stamps.size, np.bool_)
        # Of a month, its first day may come before.
        if start is not None:
            inside &= stamps >= np.datetime64(start, "M").astype("datetime64[s]")
        if end is not None:
            inside &= stamps < np.datetime64(end, "D") + np.timedelta64(1, "D")
        step = _step(stamps, file)
        if not inside.any():
            return GridDays(np.empty(0, "datetime64[D]"), np.empty(0), [])
        values = _at(variable.isel({time: np.flatnonzero(inside)}), time, lon, lat)
        stamps = stamps[inside]
        units = str(variable.attrs.get("units", "")).strip()
    values, stamps = _not_counted_up(values, stamps, step)
    rates = values * _per_day(units, step)
    if step >= _MONTH:
        months = stamps.astype("datetime64[M]").astype("datetime64[D]")
        return GridDays(np.empty(0, "datetime64[D]"), np.empty(0), list(zip(months, rates.tolist(), strict=True)))
    days = stamps.astype("datetime64[D]")
    every, where = np.unique(days, return_inverse=True)
    known = np.isfinite(rates)
    counts = np.bincount(where, known)
    means = np.bincount(where, np.where(known, rates, 0.0)) / np.maximum(counts, 1)
    enough = counts >= _LEAST_SAMPLES * max(1.0, 1 / step)
    return GridDays(every, np.where(enough, means, np.nan), [])


def _opened(file: Path) -> xarray.Dataset:
    """Open a file, of IMERG its group with the grid; times stay numbers."""
    with file.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    if classic:
        return xarray.open_dataset(file, engine="scipy", decode_times=False)
    data = xarray.open_dataset(file, engine="h5netcdf", decode_times=False, phony_dims="sort")
    if data.data_vars:
        return data
    data.close()
    return xarray.open_dataset(file, engine="h5netcdf", decode_times=False, phony_dims="sort", group="Grid")


def _variable(data: xarray.Dataset) -> xarray.DataArray:
    """Return the rain."""
    for name in _NAMES:
        if name in data.data_vars:
            return data[name]
    found = ", ".join(map(str, data.data_vars)) or "none"
    raise ValueError(f"has no variable of rain among {found}; it must be named {', '.join(_NAMES[:3])} or alike")


def _one_of(variable: xarray.DataArray, names: tuple[str, ...]) -> str:
    """Return the dimension that has one of these names."""
    for name in names:
        if name in variable.dims and name in variable.coords:
            return name
    raise ValueError(
        f"has no axis {names[0]} of its rain, only {', '.join(map(str, variable.dims))}; give it that axis"
    )


def _time_of(variable: xarray.DataArray) -> str:
    return _one_of(variable, _TIMES)


def _stamps(time: xarray.DataArray) -> NDArray[np.datetime64]:
    """Return times to the second."""
    units = str(time.attrs.get("units", ""))
    found = re.match(
        r"(second|minute|hour|day)s? since (\d{4})-(\d\d?)-(\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d))?)?", units
    )
    if found is None:
        raise ValueError(f"has times in {units!r}; they must be in seconds, minutes, hours or days since a date")
    calendar = str(time.attrs.get("calendar", "")).lower()
    if calendar not in _CALENDARS:
        raise ValueError(f"counts its times in the calendar {calendar!r}; convert it to the standard one")
    year, month, day, hour, minute, second = (int(x or 0) for x in found.groups()[1:])
    origin = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}", "s")
    seconds = np.round(np.asarray(time.values, np.float64) * _STEPS[found[1]] * 86400).astype(np.int64)
    return np.asarray(origin + seconds.astype("timedelta64[s]"))


def _step(stamps: NDArray[np.datetime64], file: Path) -> float:
    """Return the days between two times; of a file with one, as its name tells, or a day."""
    if stamps.size > 1:
        return float(np.median(np.diff(stamps) / np.timedelta64(1, "D")))
    name = file.name.upper()
    return 30.0 if "-MO." in name or "MONTH" in name else 1 / 48 if "-HHR" in name else 1.0


def _at(variable: xarray.DataArray, time: str, lon: float, lat: float) -> Floats:
    """Return the values at a place: between four cells, or of the nearest where one of them is unknown."""
    x, y = _one_of(variable, _LONS), _one_of(variable, _LATS)
    lons, lats = (np.asarray(variable[axis].values, np.float64) for axis in (x, y))
    wanted = lons[0] + (lon - lons[0] + 180) % 360 - 180
    if not lons.min() - 1e-9 <= wanted <= lons.max() + 1e-9 and lons.size > 1:
        wanted = lons.min() + (lon - lons.min()) % 360
    columns, across = _neighbours(lons, wanted, "longitude", lon)
    rows, along = _neighbours(lats, lat, "latitude", lat)
    block = variable.isel({x: columns, y: rows}).load()
    for other in set(block.dims) - {x, y, time}:
        # ERA5 fills the latest months, which are preliminary, into a layer of their own.
        block = block.max(str(other), skipna=True)
    cells = block.transpose(time, y, x).values.astype(np.float64)
    weights = np.outer([1 - along, along], [1 - across, across])
    nearest = cells[:, round(along), round(across)]
    between = np.tensordot(cells, weights, axes=2)
    return np.where(np.isfinite(between), between, nearest)


def _neighbours(axis: Floats, at: float, name: str, told: float) -> tuple[list[int], float]:
    """Return the cells on either side of a place along an axis, and how far it is from the first to the second."""
    size = float(np.median(np.abs(np.diff(axis)))) if axis.size > 1 else 1.0
    low, high = axis.min() - size / 2, axis.max() + size / 2
    if not low <= at <= high:
        raise ValueError(f"covers {name} {low:g} to {high:g}, not {told:g}; get the rain of the place")
    order = np.argsort(axis)
    upper = int(np.clip(np.searchsorted(axis[order], at), 1, max(axis.size - 1, 1)))
    if axis.size == 1:
        return [0, 0], 0.0
    first, second = int(order[upper - 1]), int(order[upper])
    return [first, second], float(np.clip((at - axis[first]) / (axis[second] - axis[first]), 0, 1))


def _not_counted_up(
    values: Floats, stamps: NDArray[np.datetime64], step: float
) -> tuple[Floats, NDArray[np.datetime64]]:
    """Turn totals that are counted up from midnight, as of ERA5 Land, into those of each step.

    There the total at 1:00 is of the first hour, and that at midnight of the whole day that ends.
    """
    if step > 0.26 or values.size < round(1 / step) + 1:
        return values, stamps
    # Each total belongs to the step before it.
    begins = stamps - np.timedelta64(round(step * 86400), "s")
    days = begins.astype("datetime64[D]")
    same = days[1:] == days[:-1]
    rises = np.diff(values)
    wet = np.unique(days[:-1][same & (rises > 0)])
    if wet.size < 2 or (rises[same] < -1e-9 * np.nanmax(values)).any():
        return values, stamps
    hourly = np.concatenate([[values[0] if begins[0] == days[0] else np.nan], np.where(same, rises, values[1:])])
    return hourly, begins


def _per_day(units: str, step: float) -> float:
    """Return what turns a value in these units into millimetres per day."""
    short = re.sub(r"\s|\*\*|\^|\.", "", units.lower()).replace("kgm-2", "mm")
    size = 1000.0 if re.match(r"m(etres?|eters?)?(?!m|il)(ofwater.*)?(/|s-1|h|d|$)", short) else 1.0
    if not (size == 1000.0 or short.startswith(("mm", "millimet"))):
        raise ValueError(f"has rain in {units!r}; it must be in mm or m per step, hour or day, or kg m-2 s-1")
    if re.search(r"/h|h-1|hr-1|hour-1|perh", short):
        return size * 24
    if re.search(r"/s|s-1", short):
        return size * 86400
    if re.search(r"/d|d-1|day-1|perd", short):
        return size
    if re.search(r"/mo|month-1|permo", short):
        return size / 30.4375
    # Metres of ERA5 monthly means are per day; a total otherwise.
    return size if size == 1000.0 and step >= _MONTH else size / step
