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


def since_of(runs: Sequence[Run], run: Run) -> date | None:
    """Return the last date of the latest run over the same tracks that ended before; None where there is none."""
    before = [other.last_date for other in runs if other.last_date < run.last_date and _tracks(other) & _tracks(run)]
    return max(before, default=None)


def sped_up(series: Sequence[TargetSeries], runs: Sequence[Run], run: Run) -> list[str]:
    """Say what sped up since the run before, the surest first; nothing in the first run.

    Parameters
    ----------
    series : sequence of TargetSeries
        All of this run.
    runs : sequence of Run
        Earlier ones; those over other tracks, such as of offsets of amplitude images, do not count.
    run : Run
        This one.
    """
    since = since_of(runs, run)
    if since is None:
        return []
    told = [s for s in series if (s.dates > np.datetime64(since)).sum() >= _LEAST_NEW]
    watched = [
        Watched(f"{s.target} ({s.track})", s.dates.tolist(), s.displacement_mm / _MM, s.sigma_mm / _MM) for s in told
    ]
    return [tell_alert(alert) for alert in alerts(watched, since)] if watched else []


def _tracks(run: Run) -> set[str]:
    """Return the tracks of a run; those of offsets are sensors with a plus between them."""
    return {part for name in run.tracks for part in name.split("+")}
