import math

import numpy as np
import pytest
from shapely import box

from groundshift.report.content import (
    Bounds,
    Histogram,
    ReportContent,
    TrackContent,
    best_targets,
    cut_patches,
    extent_of,
    flatten_settings,
    headline_of,
    significance_histogram,
    write_number,
)
from groundshift.report.layers import make_layer

BOUNDS = Bounds(100.0, 30.0, 100.4, 30.3)


@pytest.mark.parametrize("spread", [0.7, 1.0, 2.0])
def test_spread_of_a_histogram_is_that_of_the_normal_it_came_from(spread):
    values = np.random.default_rng(0).normal(0, spread, 100_000)
    assert significance_histogram(values).spread == pytest.approx(spread, rel=0.02)


def test_a_histogram_counts_every_finite_value_once():
    values = np.array([[-30.0, -10.0, 0.1, np.nan], [10.0, 10.1, 300.0, np.inf]])
    histogram = significance_histogram(values)
    assert (histogram.below, int(histogram.counts.sum()), histogram.above) == (1, 3, 2)
    assert histogram.total == 6
    assert math.isnan(significance_histogram(np.full(3, np.nan)).spread)


def test_a_patch_holds_the_targets_surroundings_at_full_resolution(make_target, make_track):
    track, target = make_track(), make_target(lon=100.2, lat=30.15, size=0.01)
    (patch,) = cut_patches([track], [target])[target.id]
    assert box(*patch.bounds).contains(target.geometry)
    assert [layer.name for layer in patch.layers] == [layer.name for layer in track.layers if layer.evidence]
    rows, columns = track.layers[0].values.shape
    top = round((BOUNDS.north - patch.bounds.north) / 0.3 * rows)
    left = round((patch.bounds.west - BOUNDS.west) / 0.4 * columns)
    part = patch.layers[0].values
    np.testing.assert_array_equal(part, track.layers[0].values[top : top + part.shape[0], left : left + part.shape[1]])
    assert patch.bounds.east == pytest.approx(BOUNDS.west + (left + part.shape[1]) / columns * 0.4)
    assert patch.bounds.south == pytest.approx(BOUNDS.north - (top + part.shape[0]) / rows * 0.3)


def test_layers_of_unlike_pixels_lie_on_each_other_in_a_patch(make_target):
    column = np.arange(120.0)[None].repeat(90, 0)
    coarse = column.reshape(90, 40, 3).mean(2).reshape(30, 3, 40).mean(1)
    track = TrackContent(
        "T1", BOUNDS, [make_layer("velocity", "fine", column), make_layer("velocity", "coarse", coarse)]
    )
    fine, other = cut_patches([track], [make_target(lon=100.217)])["GS-00000"][0].layers
    assert fine.values.shape == other.values.shape
    assert np.abs(fine.values - other.values).max() <= 1.0


def test_patches_go_to_the_best_and_to_places_with_data(make_target, make_track):
    track = make_track(shape=(60, 80))
    targets = [make_target(i, score=0.1 * i) for i in range(6)]
    assert set(cut_patches([track], targets, limit=2)) == {"GS-00005", "GS-00004"}
    assert cut_patches([track], [make_target(lon=120.0), make_target(1, track="another")]) == {}
    empty = TrackContent("T1", BOUNDS, [make_layer("velocity", "v", np.full((60, 80), np.nan))])
    assert cut_patches([empty], targets) == {}


def test_rejected_targets_come_last(make_target):
    targets = [make_target(1, score=0.99, review="rejected"), make_target(2, score=0.2), make_target(3, score=0.5)]
    assert [t.id for t in best_targets(targets, 3)] == ["GS-00003", "GS-00002", "GS-00001"]


def test_the_headline_counts_kinds_and_names_the_fastest(make_target):
    targets = [
        make_target(1),
        make_target(2, kind="uplift", velocity_los_mm_yr=45.2),
        make_target(3, review="rejected"),
    ]
    assert headline_of(ReportContent("t", {}, (), targets)) == (
        "2 moving places: 1 landslide, 1 uplift. The fastest, GS-00002, moves at 45 mm/yr towards the satellite."
    )
    assert headline_of(ReportContent("t", {})) == "No moving place was found."


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [
        (None, 0, False, "–"), (math.nan, 1, False, "–"), (-3.25, 1, True, "−3.2"), (3.0, 1, True, "+3.0"),
        (-0.04, 1, True, "0.0"), (1234567.0, 0, False, "1\u202f234\u202f567"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(value, digits, sign, text):
    assert write_number(value, digits, sign) == text


def test_settings_are_flattened_in_order():
    assert flatten_settings({"b": {"x": 1, "y": {"z": None}}, "a": [1, "two"], "c": {}, "d": (True, [])}) == [
        ("b.x", "1"), ("b.y.z", "null"), ("a", "[1, two]"), ("c", "{}"), ("d", "[true, []]"),
    ]  # fmt: skip


def test_the_extent_holds_all_tracks_or_else_all_targets(make_target):
    far = TrackContent("b", Bounds(99.0, 30.1, 99.5, 31.0))
    near = TrackContent("a", BOUNDS)
    assert extent_of(ReportContent("t", {}, [near, far])) == Bounds(99.0, 30.0, 100.4, 31.0)
    target = make_target()
    assert box(*extent_of(ReportContent("t", {}, (), [target]))).contains(target.geometry)
    assert extent_of(ReportContent("t", {})) is None


def test_bounds_must_enclose_something():
    with pytest.raises(
        ValueError, match=r"^bounds of track 'a' must be west < east and south < north in degrees, instead"
    ):
        TrackContent("a", Bounds(101.0, 30.0, 100.0, 31.0))


def test_an_empty_histogram_has_no_values():
    assert Histogram(np.array([0.0, 1.0]), np.array([0])).total == 0
