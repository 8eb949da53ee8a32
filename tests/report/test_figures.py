import math
import re
from datetime import date
from xml.etree import ElementTree

import numpy as np
import pytest
from shapely import MultiPolygon, Point

from groundshift.report.content import significance_histogram
from groundshift.report.figures import (
    histogram_figure,
    map_figure,
    pairs_per_month_figure,
    radar_figure,
    round_length,
    to_png_bytes,
    to_svg_text,
)
from groundshift.report.layers import Bounds, make_layer
from groundshift.report.network import network_figure
from groundshift.types import LookGeometry, Pair

BOUNDS = Bounds(100.0, 30.0, 100.4, 30.3)


def layer(**fields):
    return make_layer("gradient_radians", "g", np.random.default_rng(0).normal(size=(30, 40)), **fields)


def scale_bar(axes):
    """Length in the label and length drawn as a part of the map's width."""
    text = next(t.get_text() for t in axes.texts if re.fullmatch(r"[\d.]+ k?m", t.get_text()))
    metres = float(text.split()[0]) * (1000 if text.endswith("km") else 1)
    bar = next(line for line in axes.lines if line.get_linewidth() == 3)
    return metres, np.ptp(bar.get_xdata())


def test_the_scale_bar_is_as_long_as_it_says():
    metres, part = scale_bar(map_figure(layer(), BOUNDS).axes[0])
    assert metres == pytest.approx(part * math.radians(0.4) * 6_371_008.8 * math.cos(math.radians(30.15)), rel=1e-9)
    metres, part = scale_bar(radar_figure(layer(), (14.0, 9.3)).axes[0])
    assert metres == pytest.approx(part * 40 * 9.3)


@pytest.mark.parametrize(
    ("metres", "length"), [(1.0, 1.0), (4.99, 2.0), (5.0, 5.0), (999.0, 500.0), (12_000.0, 10_000.0)]
)
def test_lengths_are_round(metres, length):
    assert round_length(metres) == pytest.approx(length)


def test_arrows_point_north_and_along_flight_and_look():
    axes = map_figure(layer(), BOUNDS, look=LookGeometry(-12.0, 38.0)).axes[0]
    at = {t.get_text(): np.array(t.get_position()) for t in axes.texts if t.get_text() in ("N", "azimuth", "range")}
    assert at["N"][0] == pytest.approx(0)
    assert at["N"][1] > 0
    assert at["azimuth"][0] < 0 < at["azimuth"][1]  # ascending: north and a little west
    assert min(at["range"]) > 0  # looks to the right: east and a little north
    assert "azimuth" not in [t.get_text() for t in map_figure(layer(), BOUNDS).axes[0].texts]


def test_pixels_lie_where_the_bounds_say_and_are_square_on_the_ground():
    axes = map_figure(layer(), BOUNDS, hill_shade=make_layer("hill_shade", "h", np.full((30, 40), 0.7))).axes[0]
    assert [tuple(i.get_extent()) for i in axes.images] == [(100.0, 100.4, 30.0, 30.3)] * 2
    assert axes.get_aspect() == pytest.approx(1 / math.cos(math.radians(30.15)))
    assert axes.images[1].get_clim() == (-4.0, 4.0)


def test_targets_are_outlined_with_their_ids_and_holes(make_target):
    ring = Point(100.1, 30.1).buffer(0.02).difference(Point(100.1, 30.1).buffer(0.01))
    parts = make_target(7, geometry=MultiPolygon([ring, Point(100.3, 30.2).buffer(0.01)]))
    axes = map_figure(layer(), BOUNDS, targets=[make_target(1), parts]).axes[0]
    assert {"GS-00001", "GS-00007"} <= {t.get_text() for t in axes.texts}
    assert sum(line.get_linewidth() == 1.1 for line in axes.lines) == 1 + 3


def test_text_that_looks_like_mathematics_is_left_as_it_is(make_target):
    hostile = r"$\frac$ <b> $"
    target = make_target(id=hostile)
    named = make_layer("velocity", hostile, np.zeros((4, 5)), unit=hostile)
    figure = map_figure(named, BOUNDS, targets=[target], title=hostile)
    assert to_png_bytes(figure, dpi=30).startswith(b"\x89PNG")
    assert figure.axes[0].get_title(loc="left") == hostile


def test_a_map_without_any_value_is_drawn():
    empty = make_layer("velocity", "v", np.full((5, 6), np.nan))
    assert to_png_bytes(map_figure(empty, BOUNDS), dpi=30).startswith(b"\x89PNG")


def test_the_same_figure_gives_the_same_bytes():
    assert to_png_bytes(radar_figure(layer(), (14.0, 9.3)), dpi=40) == to_png_bytes(
        radar_figure(layer(), (14.0, 9.3)), dpi=40
    )


def test_bars_of_the_histogram_hold_all_values_within_the_picture():
    values = np.append(np.random.default_rng(0).normal(size=999), 50.0)
    stairs = histogram_figure(significance_histogram(values)).axes[0].patches[0]
    density, edges, _ = stairs.get_data()
    assert (density * np.diff(edges)).sum() == pytest.approx(0.999)


def test_months_count_every_pair_once_and_empty_months_stay():
    used = [Pair(date(2018, 11, 5), date(2018, 11, 17)), Pair(date(2018, 11, 17), date(2018, 12, 11))]
    unused = [Pair(date(2019, 2, 1), date(2019, 2, 13))]
    bars = pairs_per_month_figure(used, unused).axes[0].patches
    assert [b.get_height() for b in bars] == [2, 0, 0, 0, 0, 0, 0, 1]
    assert bars[7].get_y() == 0
    assert bars[3].get_x() == bars[7].get_x()


def test_charts_without_data_say_so():
    assert [t.get_text() for t in pairs_per_month_figure([]).axes[0].texts] == ["no pairs"]
    nothing = histogram_figure(significance_histogram(np.array([np.nan])))
    assert [t.get_text() for t in nothing.axes[0].texts] == ["no pixel has a value"]


def test_a_picture_for_the_page_is_valid_takes_its_colour_and_has_ids_of_its_own(make_pairs):
    first, second = (to_svg_text(network_figure(make_pairs(n)), key=f"k{n}") for n in (5, 6))
    for text in (first, second):
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "currentColor" in text
        assert "#010203" not in text
        used, made = set(re.findall(r"#([\w-]+)[\")]", text)), set(re.findall(r'\bid="([^"]+)"', text))
        assert {u for u in used if not re.fullmatch(r"[0-9a-f]{6}", u)} <= made
    assert not set(re.findall(r'\bid="([^"]+)"', first)) & set(re.findall(r'\bid="([^"]+)"', second))
