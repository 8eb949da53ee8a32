"""Series as CSV."""

import csv
from datetime import date

import numpy as np
import pandas
import pytest

from groundshift.export import export_series
from groundshift.inventory import TargetSeries


def test_one_line_per_target_track_and_date_with_units_in_the_header(tmp_path, series):
    assert export_series(tmp_path / "a.csv", series) == 6
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["target", "track", "date", "displacement_mm", "sigma_mm"]
    assert rows[1] == ["wm2x1nf", "T135", "2016-01-13", "-1.250", "0.500"]
    assert rows[2] == ["wm2x1nf", "T135", "2016-02-06", "", ""]
    assert {(r[0], r[1]) for r in rows} == {("wm2x1nf", "T135"), ("full", "T26")}


def test_pandas_reads_dates_and_gaps(tmp_path, series):
    export_series(tmp_path / "a.csv", series)
    frame = pandas.read_csv(tmp_path / "a.csv", parse_dates=["date"])
    one = frame[frame["target"] == "wm2x1nf"]
    np.testing.assert_array_equal(one["displacement_mm"], series[0].displacement_mm)
    assert [d.date() for d in one["date"]] == [date(2016, 1, 1), date(2016, 1, 13), date(2016, 2, 6)]


def test_names_with_commas_and_quotes_stay_one_field(tmp_path):
    day = np.array(["2016-01-01"], "datetime64[D]")
    export_series(tmp_path / "a.csv", [TargetSeries('a,"b"\n裂', "T1", day, np.array([1 / 3]), np.array([1.0]))])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == ['a,"b"\n裂', "T1", "2016-01-01", "0.333", "1.000"]


def test_refuses_another_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"^path must end in \.csv, instead got "):
        export_series(tmp_path / "a.txt", [])
