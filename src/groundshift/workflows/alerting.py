"""What sped up since the run before: told in the report of a survey and of offset tracking."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from groundshift.hazard.creep import TargetSeries as Watched
from groundshift.hazard.creep import alerts
from groundshift.inventory import Run, TargetSeries
from groundshift.workflows.hazards import tell_alert

__all__ = ["since_of", "sped_up"]

_LEAST_NEW = 2
"""Dates since then that a series must have."""
_MM = 1000.0


def since_of(runs: Sequence[Run], last: date) -> date | None:
    """Return the last date of the latest run that ended before; None where there is none."""
    before = [run.last_date for run in runs if run.last_date < last]
    return max(before, default=None)


def sped_up(series: Sequence[TargetSeries], runs: Sequence[Run], last: date) -> list[str]:
    """Say what sped up since the run before, the surest first; nothing in the first run.

    Parameters
    ----------
    series : sequence of TargetSeries
        All of this run.
    runs : sequence of Run
        Earlier ones.
    last : date
        Last date of this run.
    """
    since = since_of(runs, last)
    if since is None:
        return []
    told = [s for s in series if (s.dates > np.datetime64(since)).sum() >= _LEAST_NEW]
    watched = [
        Watched(f"{s.target} ({s.track})", s.dates.tolist(), s.displacement_mm / _MM, s.sigma_mm / _MM) for s in told
    ]
    return [tell_alert(alert) for alert in alerts(watched, since)] if watched else []
