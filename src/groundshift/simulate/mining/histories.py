"""How the ground over a mine sinks while the mine is worked, closed and worked again."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import DAYS_PER_YEAR

__all__ = ["DUXIGOU", "duxigou"]

DUXIGOU = (
    (date(2015, 1, 1), -0.10),
    (date(2017, 7, 15), 0.0),
    (date(2018, 8, 1), -0.10),
    (date(2019, 10, 1), -0.20),
    (date(2020, 12, 15), -0.30),
)
"""From which date on the ground moves at which rate, metres per year along the line of sight."""


def duxigou(dates: Sequence[date] | NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return how far the ground has come over a mine like that of Duxigou.

    It sinks slowly, is still while the mine is closed, sinks again once that is reopened, and speeds up twice, to 0.3 m
    a year before the accident of December 2021. Order of events and last rate are those of the mine; the dates are
    drawn apart, so that each stage lasts for a year at least.

    Parameters
    ----------
    dates : sequence of date
        Any dates; before 2015 the ground is still.

    Returns
    -------
    (date,) float64 array
        Metres since 1 January 2015, positive towards the satellite.

    References
    ----------
    [Wang2023], section 3.3 and figure 7.

    Examples
    --------
    >>> duxigou([date(2015, 1, 1), date(2017, 7, 15), date(2018, 8, 1), date(2021, 12, 15)]).round(3)
    array([ 0.   , -0.254, -0.254, -0.911])
    """
    day = np.asarray(dates, "datetime64[D]")
    starts = np.array([start for start, _ in DUXIGOU], "datetime64[D]")
    changes = np.diff([rate for _, rate in DUXIGOU], prepend=0.0)
    years = np.maximum(day[:, np.newaxis] - starts, np.timedelta64(0, "D")) / np.timedelta64(1, "D") / DAYS_PER_YEAR
    return np.asarray(years @ changes)
