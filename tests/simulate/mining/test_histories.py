"""The history of Duxigou is what it is said to be."""

from datetime import date

import numpy as np
import pytest

from groundshift.simulate.mining.histories import DUXIGOU, duxigou


def test_each_stage_has_its_rate_and_they_meet():
    days = np.arange("2015-01-01", "2022-01-01", dtype="datetime64[D]")
    starts = np.array([start for start, _ in DUXIGOU], "datetime64[D]")
    stage = np.searchsorted(starts, days[:-1], side="right") - 1
    rates = np.array([rate for _, rate in DUXIGOU])
    np.testing.assert_allclose(np.diff(duxigou(days)) * 365.25, rates[stage], atol=1e-9)


def test_it_is_still_while_closed_and_sinks_by_thirty_centimetres_in_the_last_year():
    begin, closed, reopened = duxigou([date(2015, 1, 1), date(2017, 7, 15), date(2018, 8, 1)])
    assert begin == 0 > closed == reopened
    before, last = duxigou([date(2020, 12, 15), date(2021, 12, 15)])
    assert last - before == pytest.approx(-0.3, rel=1e-3)
    assert not duxigou([date(2010, 1, 1)]).any()
