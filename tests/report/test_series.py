import base64
import re
from dataclasses import replace
from datetime import date
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.report.contents import make_content, make_series, make_target

from groundshift.report import ReportContent, SeriesContent, make_layer
from groundshift.report.series import PlotData, draw_small, style_of

EMPTY = ReportContent("Nothing", {})
DAYS = np.array(["2018-01-01", "2018-01-13", "2018-02-06"], "datetime64[D]")


def given(displacement, **fields):
    values = np.asarray(displacement, np.float64)
    return SeriesContent("T1", DAYS[: len(values)], values, np.ones(len(values)), **fields)


def unpacked(packed):
    """What the script of the page makes of packed numbers."""
    whole = np.frombuffer(base64.b64decode(packed["of"]), "<i2").astype(float)
    return np.where(whole == -32768, np.nan, whole * packed["step"])


@pytest.mark.parametrize("size", [1e-3, 1.0, 87.3, 2.5e4])
def test_packed_numbers_are_those_given_to_a_part_in_65_thousand_of_the_largest(size):
    values = size * np.random.default_rng(0).uniform(-1, 1, 500)
    values[[3, 77]] = np.nan
    days = np.datetime64("2016-01-01") + np.arange(500)
    series = SeriesContent("T1", days, values, np.full(500, size), days[::5], -values[::5])
    data = PlotData(EMPTY)
    data.add("t", [series])
    page = data.for_page()
    (item,) = page["items"]["t"]
    within = np.nanmax(np.abs(values)) / 65_534 * 1.001
    np.testing.assert_allclose(unpacked(item["mm"]), values, rtol=0, atol=within)
    np.testing.assert_allclose(unpacked(item["fit"]), -values[::5], rtol=0, atol=within)
    np.testing.assert_allclose(unpacked(item["sigma"]), size)
    for name, dates in (("days", days), ("fit_days", days[::5])):
        np.testing.assert_array_equal(np.cumsum(page["days"][item[name]]), dates.astype(int))
    assert data.size == 1100


def test_series_of_zeros_and_of_nothing_known_are_packed():
    data = PlotData(EMPTY)
    data.add("t", [given([0.0, 0.0]), given([np.nan, np.nan])])
    zeros, unknown = data.for_page()["items"]["t"]
    assert unpacked(zeros["mm"]).tolist() == [0, 0]
    assert np.isnan(unpacked(unknown["mm"])).all()


def test_dates_that_many_targets_share_are_written_once():
    data = PlotData(EMPTY)
    for k in range(50):
        data.add(f"{k}", [given([0.0, 1.0, 2.0])])
    data.add("other", [given([0.0, 1.0])])
    page = data.for_page()
    assert page["days"] == [[17532, 12, 24], [17532, 12]]
    assert [item["days"] for items in page["items"].values() for item in items] == [0] * 50 + [1]


def test_breaks_are_days_and_series_without_dates_are_left_out():
    data = PlotData(EMPTY)
    data.add("t", [SeriesContent("T1", reason="no data"), given([0.0, 1.0, 2.0], breaks=(date(2018, 2, 6),))])
    (item,) = data.for_page()["items"]["t"]
    assert item["breaks"] == [17532 + 36]
    assert "fit" not in item


def test_a_track_looks_the_same_on_every_target_and_unlike_the_others():
    content = make_content()
    styles = [style_of(content, name, ["T1", "X", "Y"]) for name in ("T1", "X", "Y")]
    assert len({s.colour for s in styles}) == len({s.marker for s in styles}) == 3
    assert style_of(content, "T1", ["Y", "T1"]) == styles[0]


def test_the_small_drawing_places_points_on_its_own_axes():
    """Read back from the picture, the points are the series."""
    series = given([0.0, -30.0, -12.0])
    drawn = str(draw_small(EMPTY, [series]))
    root = ElementTree.fromstring(f"<svg>{drawn}</svg>")
    dots = re.findall(r"M([\d.]+) ([\d.]+)h0", drawn)
    x, y = np.array(dots, float).T
    ticks = [
        (float(t.get("y")) - 3.5, float(t.text.replace("−", "-")))
        for t in root.iter("text") if t.get("text-anchor") == "end" and re.fullmatch(r"−?\d+", t.text)
    ]  # fmt: skip
    rows, values = np.array(sorted(ticks)).T
    np.testing.assert_allclose(np.interp(y, rows, values), [0, -30, -12], atol=0.1)
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(1 / 3, abs=0.01)
    bars = np.array(re.findall(r"M[\d.]+ ([\d.]+)v([\d.]+)", drawn), float)[-3:]
    per_mm = abs(np.diff(rows) / np.diff(values)).mean()
    np.testing.assert_allclose(bars[:, 1], 2 * per_mm, atol=0.1)
    np.testing.assert_allclose(bars.sum(1) - bars[:, 1] / 2, y, atol=0.1)


def test_no_line_of_the_fit_leads_across_a_break_and_the_time_there_is_shaded():
    series = given([0.0, -3.0, -12.0], fit_dates=DAYS, fit_mm=np.array([0.0, -3.0, -12.0]), breaks=(DAYS[2].item(),))
    drawn = str(draw_small(EMPTY, [series]))
    dots = [x for x, _ in re.findall(r"M([\d.]+) ([\d.]+)h0", drawn)]
    fit = re.search(r'd="([^"]*)" stroke="#0072B2" stroke-width="1.6"', drawn).group(1)
    assert re.findall(r"([ML])([\d.]+) ", fit) == [("M", dots[0]), ("L", dots[1]), ("M", dots[2])]
    left, width = map(float, re.search(r'<rect x="([\d.]+)" y="8" width="([\d.]+)"', drawn).groups())
    assert [left, left + width] == pytest.approx([float(dots[1]), float(dots[2])], abs=0.11)
    whole = str(draw_small(EMPTY, [replace(series, breaks=())]))
    assert "<rect" not in whole
    assert re.search(r'd="([^"]*)" stroke="#0072B2" stroke-width="1.6"', whole).group(1).count("M") == 1


def test_the_small_drawing_skips_what_is_not_known_and_leaves_out_what_has_nothing():
    assert draw_small(EMPTY, [given([np.nan, np.nan, np.nan]), SeriesContent("T2", reason="none")]) is None
    assert str(draw_small(EMPTY, [given([0.0, np.nan, 3.0])])).count("h0") == 2
    one = str(draw_small(EMPTY, [given([4.0])]))
    assert one.count("h0") == 1
    assert "nan" not in one


def test_a_series_must_be_whole():
    series = make_series(make_target())
    with pytest.raises(ValueError, match=r"sigma_mm must have shape \(30,\), instead got \(29,\)"):
        replace(series, sigma_mm=series.sigma_mm[1:])
    with pytest.raises(ValueError, match=r"fit_mm must have shape \(10,\)"):
        replace(series, fit_mm=np.zeros(3))
    with pytest.raises(ValueError, match="dates of a series must ascend"):
        replace(series, dates=series.dates[::-1])
    with pytest.raises(ValueError, match="reason must say why there is no series"):
        SeriesContent("T1")
    with pytest.raises(ValueError, match="bounds must be given with layers"):
        SeriesContent("T1", reason="none", layers=(make_layer("velocity", "v", np.zeros((2, 2))),))
