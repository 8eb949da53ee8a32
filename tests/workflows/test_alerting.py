"""What sped up since the run before."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from groundshift.inventory import Run, TargetSeries
from groundshift.workflows.alerting import since_of, sped_up

_FIRST = date(2020, 1, 1)
_DAYS = [_FIRST + timedelta(days=12 * k) for k in range(50)]
_LAST = _DAYS[-1]


def _run(last, tracks=("T1",)):
    return Run(datetime.now(UTC), "0", "survey", tracks, _FIRST, last, 10)


def _series(name, faster):
    rng = np.random.default_rng(3)
    years = np.arange(50) * 12 / 365.25
    moved = -40 * years - faster * np.maximum(years - years[-9], 0) + rng.normal(0, 2, 50)
    return TargetSeries(name, "T1", np.array(_DAYS, "datetime64[D]"), moved, np.full(50, 2.0))


def test_only_what_sped_up_since_the_run_before_is_told():
    (told,) = sped_up([_series("quick", 400.0), _series("same", 0.0)], [_run(_DAYS[-9])], _run(_LAST))
    assert told.startswith(f"quick (T1) sped up since {_DAYS[-9]}: ")


def test_nothing_is_told_in_a_first_run_or_without_new_dates():
    assert sped_up([_series("quick", 400.0)], [], _run(_LAST)) == []
    assert sped_up([_series("quick", 400.0)], [_run(_DAYS[-2])], _run(_LAST)) == []


@pytest.mark.parametrize(("ends", "since"), [([], None), ([_LAST], None), ([_DAYS[3], _DAYS[7], _LAST], _DAYS[7])])
def test_the_run_before_is_the_latest_that_ended_earlier(ends, since):
    assert since_of([_run(end) for end in ends], _run(_LAST)) == since


def test_runs_over_other_tracks_do_not_count():
    # A sensor that has joined is the same way of looking still.
    offsets = _run(_DAYS[20], ("PALSAR",))
    assert since_of([offsets, _run(_DAYS[7])], _run(_LAST)) == _DAYS[7]
    assert since_of([offsets, _run(_DAYS[7])], _run(_LAST, ("PALSAR+PALSAR-2",))) == _DAYS[20]
