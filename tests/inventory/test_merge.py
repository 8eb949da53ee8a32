import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from shapely import Polygon

from groundshift.inventory.merge import box_giou, merge_detections, metres_per_degree

WGS84 = Geod(ellps="WGS84")


def names(groups):
    """Groups as sets of detector names, so that only membership is compared."""
    return {frozenset(d.detector for d in g) for g in groups}


@pytest.mark.parametrize("gap", [0.0, 0.5, 3.0, 1e6])
def test_giou_of_separated_unit_boxes_is_minus_the_empty_share(gap):
    a, b = np.array([0, 0, 1, 1.0]), np.array([1 + gap, 0, 2 + gap, 1.0])
    assert box_giou(a, b) == pytest.approx(-gap / (2 + gap))


def test_giou_of_a_box_inside_another_is_the_ratio_of_areas():
    assert box_giou(np.array([0, 0, 4, 4.0]), np.array([1, 1, 2, 2.0])) == pytest.approx(1 / 16)


corners = st.tuples(*[st.floats(-10, 10)] * 2, *[st.floats(0.1, 10)] * 2)


@given(corners, corners, st.floats(0.1, 10), st.floats(0.1, 10))
def test_giou_is_symmetric_bounded_and_blind_to_a_stretched_axis(a, b, fx, fy):
    p = np.array([a[0], a[1], a[0] + a[2], a[1] + a[3]])
    q = np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]])
    scale = np.array([fx, fy, fx, fy])
    value = box_giou(p, q)
    assert -1 < value <= 1
    assert box_giou(q, p) == pytest.approx(value)
    assert box_giou(p * scale, q * scale) == pytest.approx(value, abs=1e-9)
    assert box_giou(p, p) == pytest.approx(1)


@pytest.mark.parametrize("lat", [-60.0, 0.0, 30.8, 75.0])
def test_a_degree_is_as_long_as_the_geodesic(lat):
    north, east = metres_per_degree(np.array(lat))
    assert WGS84.inv(0, lat - 0.005, 0, lat + 0.005)[2] == pytest.approx(0.01 * north, rel=1e-7)
    assert WGS84.inv(0, lat, 0.01, lat)[2] == pytest.approx(0.01 * east, rel=1e-6)


@pytest.mark.parametrize("lat", [-45.0, 0.0, 62.0])
@pytest.mark.parametrize("azimuth", [0, 45, 90, 200])
def test_separate_boxes_merge_up_to_500_metres_between_centres(detect, lat, azimuth):
    here = detect(10.0, lat, size=100.0)
    for metres, groups in [(499.0, 1), (501.0, 2)]:
        lon2, lat2, _ = WGS84.fwd(10.0, lat, azimuth, metres)
        assert len(merge_detections([here, detect(lon2, lat2, size=100.0)])) == groups


def test_overlapping_boxes_merge_however_far_their_centres(detect):
    east, _, _ = WGS84.fwd(102.0, 30.8, 90, 3900)
    assert len(merge_detections([detect(size=4000.0), detect(east, size=4000.0)])) == 1
    east, _, _ = WGS84.fwd(102.0, 30.8, 90, 4100)
    assert len(merge_detections([detect(size=4000.0), detect(east, size=4000.0)])) == 2


def test_a_large_box_and_a_small_one_at_its_corner_need_a_positive_giou(detect):
    lon2, lat2, _ = WGS84.fwd(102.0, 30.8, 45, 1.02 * math.sqrt(2) * 2000)
    pair = [detect(size=4000.0), detect(lon2, lat2, size=400.0)]
    assert len(merge_detections(pair)) == 2  # they overlap, but more of the enclosing box is empty


def test_groups_reach_across_tracks_directions_and_seasons(detect):
    step = 450 / float(metres_per_degree(np.array(30.8))[1])
    found = [
        detect(102.0, size=200.0, detector="a", track="T26"),
        detect(102.0 + step, size=200.0, detector="b", track="T135", window="wet"),
        detect(102.0 + 2 * step, size=200.0, detector="c", track="T26", directions=("range",)),
    ]
    assert names(merge_detections(found, max_growth=math.inf)) == {frozenset("abc")}


def test_opposite_motion_on_the_same_map_is_two_bodies(detect):
    away, towards = detect(detector="a", velocity=-20.0), detect(detector="b", velocity=20.0)
    assert names(merge_detections([away, towards])) == {frozenset("a"), frozenset("b")}
    assert names(merge_detections([away, towards], separate_signs=False)) == {frozenset("ab")}


@pytest.mark.parametrize(
    "other", [{"track": "T26"}, {"window": "wet"}, {"velocity_sigma": 10.1}, {"velocity_sigma": math.nan}]
)
def test_opposite_signs_count_only_where_they_contradict(detect, other):
    assert len(merge_detections([detect(velocity=-20.0), detect(**{"velocity": 20.0, **other})])) == 1


def test_a_third_detection_does_not_bridge_opposite_motion(detect):
    found = [
        detect(102.0, detector="away", velocity=-20.0),
        detect(102.004, detector="towards", velocity=20.0),
        detect(102.001, detector="other", track="T26", velocity=15.0),
    ]
    assert names(merge_detections(found)) == {frozenset(["away", "other"]), frozenset(["towards"])}


def test_a_chain_of_neighbours_does_not_become_one_target(detect):
    step = 450 / float(metres_per_degree(np.array(30.8))[1])
    chain = [detect(102.0 + i * step, size=300.0, detector=str(i)) for i in range(40)]
    assert len(merge_detections(chain, max_growth=math.inf)) == 1
    groups = merge_detections(chain)
    assert len(groups) > 10
    for group in groups:
        west = min(d.polygon.bounds[0] for d in group)
        east = max(d.polygon.bounds[2] for d in group)
        assert WGS84.inv(west, 30.8, east, 30.8)[2] <= 2 * 300 + 500 + 2
    assert sorted(d.detector for g in groups for d in g) == sorted(str(i) for i in range(40))


@given(st.floats(100, 5000), st.floats(100, 5000), st.floats(-1, 1), st.floats(-1, 1), st.floats(-70, 70))
def test_two_linked_detections_are_never_parted_by_the_limit_to_growth(a, b, dx, dy, lat):
    # A pair that the plain rule links is one group under the default limit, too.
    from groundshift.detect.detection import Detection

    def square(lon, lat, size):
        north, east = (float(v) for v in metres_per_degree(np.array(lat)))
        h, w = size / 2 / north, size / 2 / east
        ring = [(lon - w, lat - h), (lon + w, lat - h), (lon + w, lat + h), (lon - w, lat + h)]
        return Detection(Polygon(ring), 0.5, "x", "T", "all", ("range",), -1.0, 1.0, 5.0, 0.5, 50)

    pair = [square(10.0, lat, a), square(10.0 + dx * 0.05, lat + dy * 0.03, b)]
    assert len(merge_detections(pair)) == len(merge_detections(pair, max_growth=math.inf))


def scatter(detect, rng, n):
    return [
        detect(
            102 + rng.uniform(0, 0.08),
            30.8 + rng.uniform(0, 0.08),
            size=rng.uniform(100, 900),
            detector=str(i),
            track=str(rng.integers(2)),
            velocity=float(rng.choice([-20, 20])),
            score=float(rng.uniform()),
        )
        for i in range(n)
    ]


def test_the_plain_rule_agrees_with_comparing_everything_to_everything(detect):
    found = scatter(detect, np.random.default_rng(3), 120)
    centre = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (d.polygon.bounds for d in found)]
    label = list(range(len(found)))
    for i in range(len(found)):
        for j in range(i):
            giou = box_giou(np.array(found[i].polygon.bounds), np.array(found[j].polygon.bounds))
            if giou > 0 or WGS84.inv(*centre[i], *centre[j])[2] <= 500:
                label = [label[j] if k == label[i] else k for k in label]
    expected = {frozenset(str(i) for i, k in enumerate(label) if k == v) for v in set(label)}
    groups = merge_detections(found, separate_signs=False, max_growth=math.inf)
    assert names(groups) == expected
    assert 1 < len(groups) < len(found)


def test_the_result_is_a_partition_that_does_not_depend_on_the_order(detect):
    rng = np.random.default_rng(1)
    found = scatter(detect, rng, 150)
    groups = merge_detections(found)
    assert sorted(int(d.detector) for g in groups for d in g) == list(range(150))
    shuffled = [found[i] for i in rng.permutation(150)]
    assert merge_detections(shuffled) == groups
    for group in groups:
        assert [d.score for d in group] == sorted((d.score for d in group), reverse=True)
        for track in "01":
            assert len({d.velocity for d in group if d.track == track}) <= 1


def test_nothing_merges_into_nothing():
    assert merge_detections([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_centre_distance_m": 0.0}, r"max_centre_distance_m must be positive, instead got 0.0"),
        ({"min_giou": -0.5}, r"min_giou must lie in \[0.0, 1.0\], instead got -0.5"),
        ({"max_growth": 0.5}, r"max_growth must be at least 1, instead got 0.5"),
        ({"max_growth": math.nan}, r"max_growth must be at least 1, instead got nan"),
    ],
)
def test_refuses_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        merge_detections([], **options)


def test_refuses_an_empty_polygon(detect):
    message = "detections must have a polygon with an area, instead got POLYGON EMPTY from rules on T135"
    with pytest.raises(ValueError, match=f"^{message}$"):
        merge_detections([detect(polygon=Polygon())])
