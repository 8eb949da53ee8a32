"""What may drive a slope, day by day: rain, or the moisture of the ground as radar sees it."""

from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_shape
from groundshift.timeseries.velocity import Dates, days_of

__all__ = ["Forcing", "moisture_forcing"]

Floats = NDArray[np.float64]

_LONGEST_GAP = 100
"""Days between two images across which the moisture is taken to change evenly."""
_LEAST_OF_MONTH = 0.8
"""Share of the days of a month that must be known."""


class Forcing(NamedTuple):
    """A value for each day of a time without breaks."""

    name: str
    unit: str
    first: date
    """Day of the first value."""
    values: Floats
    """(day,), the mean of each day; NaN where unknown."""

    def days(self) -> NDArray[np.datetime64]:
        """Return the day of each value."""
        return np.datetime64(self.first, "D") + np.arange(self.values.size)

    def gaps(self) -> list[tuple[date, date]]:
        """Return the first and the last day of each time that is unknown."""
        unknown = np.concatenate([[False], ~np.isfinite(self.values), [False]])
        edges = np.flatnonzero(np.diff(unknown))
        return [
            (self.first + timedelta(days=int(a)), self.first + timedelta(days=int(b) - 1))
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]

    def monthly(self) -> tuple[NDArray[np.datetime64], Floats]:
        """Return the first day of each month, and its mean; NaN where less than four fifths of the days are known."""
        months = self.days().astype("datetime64[M]")
        every = np.arange(months[0], months[-1] + 1)
        means = np.full(every.size, np.nan)
        limits = np.append(every, every[-1] + 1).astype("datetime64[D]")
        for k, (start, end) in enumerate(pairwise(limits)):
            inside = self.values[months == every[k]]
            known = inside[np.isfinite(inside)]
            if known.size >= _LEAST_OF_MONTH * (end - start).astype(int):
                means[k] = known.mean()
        return every.astype("datetime64[D]"), means


def moisture_forcing(dates: Dates, decibels: ArrayLike) -> Forcing:
    """Take the backscatter of a place for the moisture of its ground.

    Parameters
    ----------
    dates : sequence of date
        Ascending, of images of one track and one sensor.
    decibels : (date,) array
        Mean backscatter of the place, in decibels; NaN where unknown.

    Returns
    -------
    Forcing
        In decibels, straight between the dates; unknown where they are more than 100 days apart.

    Raises
    ------
    ValueError
        If `dates` do not ascend, shapes do not fit, or no value is known.

    Notes
    -----
    Backscatter grows with the moisture of bare or thinly grown ground, and with much else [Liu2020].

    Examples
    --------
    >>> moisture_forcing([date(2018, 1, 1), date(2018, 1, 5)], [-10.0, -8.0]).values.tolist()
    [-10.0, -9.5, -9.0, -8.5, -8.0]
    """
    day = days_of(dates)
    values = np.asarray(decibels, np.float64)
    check_shape("decibels", values, (day.size,))
    known = np.isfinite(values)
    if not known.any():
        raise ValueError("decibels must hold one known value at least, instead got none")
    day, values = day[known], values[known]
    every = (np.arange(day[0], day[-1] + 1) - day[0]).astype(float)
    at = (day - day[0]).astype(float)
    filled = np.interp(every, at, values)
    for start, end in pairwise(at):
        if end - start > _LONGEST_GAP:
            filled[(every > start) & (every < end)] = np.nan
    first: date = day[0].item()
    return Forcing("backscatter", "dB", first, filled)
