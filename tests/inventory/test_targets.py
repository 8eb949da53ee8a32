import math
from datetime import date

import pytest
from shapely import MultiPolygon, Polygon, box

from groundshift.inventory import geodesic_area_m2, make_targets
from groundshift.inventory.targets import outline


def one(*group, **options):
    dates = {"first_seen": date(2016, 1, 1), "last_seen": date(2021, 6, 27)}
    return make_targets([group], **{**dates, **options})[0]


@pytest.mark.parametrize("lat", [0.0, 30.8, 60.0, -45.0])
def test_area_is_that_between_parallels_of_the_ellipsoid(lat):
    a, f = 6378137.0, 1 / 298.257223563
    e = math.sqrt(f * (2 - f))

    def zone(phi):
        s = math.sin(math.radians(phi))
        return s / (1 - (e * s) ** 2) + math.log((1 + e * s) / (1 - e * s)) / (2 * e)

    h = 0.005
    expected = (a * (1 - f)) ** 2 / 2 * math.radians(2 * h) * (zone(lat + h) - zone(lat - h))
    square = box(20 - h, lat - h, 20 + h, lat + h)
    assert geodesic_area_m2(square) == pytest.approx(expected, rel=1e-6)
    assert geodesic_area_m2(square.reverse()) == pytest.approx(expected, rel=1e-6)
    double = MultiPolygon([square, box(21 - h, lat - h, 21 + h, lat + h)])
    assert geodesic_area_m2(double) == pytest.approx(2 * expected, rel=1e-6)


@pytest.mark.parametrize(
    ("slope", "velocity", "kind"),
    [
        (10.0, -20.0, "landslide"),
        (25.0, 20.0, "landslide"),
        (9.99, -20.0, "subsidence"),
        (0.0, 20.0, "uplift"),
        (3.0, math.nan, "unknown"),
        (None, -20.0, "unknown"),
        (math.nan, -20.0, "unknown"),
    ],
)
def test_kind_follows_slope_and_sense_of_motion(detect, slope, velocity, kind):
    assert one(detect(slope=slope, velocity=velocity)).kind == kind


def test_the_slope_threshold_can_be_moved(detect):
    assert one(detect(slope=12.0), min_slope_deg=15.0).kind == "subsidence"


@pytest.mark.parametrize("slope", [None, 0.0, 35.0])
@pytest.mark.parametrize(("velocity", "kind"), [(-400.0, "subsidence"), (400.0, "uplift"), (math.nan, "unknown")])
def test_what_shows_in_single_interferograms_is_subsidence_or_uplift_on_any_ground(detect, slope, velocity, kind):
    site = one(detect(slope=slope, velocity=velocity, window="single-pairs"))
    assert (site.kind, site.is_site) == (kind, True)
    assert not one(detect(slope=slope, velocity=velocity)).is_site


def test_a_place_that_stack_and_single_interferograms_see_is_one_site(detect):
    body, site = detect(velocity=-20.0), detect(velocity=-400.0, window="single-pairs", significance=12.0)
    both = one(body, site)
    assert (both.kind, both.is_site, both.velocity_los_mm_yr) == ("subsidence", True, -400.0)


def test_only_tracks_are_independent_evidence(detect):
    windows = [detect(score=0.6), detect(score=0.7, window="wet"), detect(score=0.5, directions=("range",))]
    assert one(*windows).score == pytest.approx(0.7)
    assert one(*windows, detect(score=0.4, track="T26")).score == pytest.approx(1 - 0.3 * 0.6)
    assert one(detect(score=1.0), detect(score=0.2, track="T26")).score == 1.0


def test_velocity_is_the_inverse_variance_mean_of_one_detection_per_track(detect):
    t = one(
        detect(velocity=-20.0, velocity_sigma=1.0, significance=12.0),
        detect(velocity=-80.0, velocity_sigma=9.0, significance=5.0, window="wet"),
        detect(velocity=-21.0, velocity_sigma=2.0, significance=8.0, track="T26"),
    )
    assert t.velocity_los_mm_yr == pytest.approx((-20 * 1 - 21 * 0.25) / 1.25)
    assert t.velocity_sigma_mm_yr == pytest.approx(math.sqrt(1 / 1.25))


def test_tracks_that_differ_widen_the_error_to_their_scatter(detect):
    t = one(detect(velocity=-10.0, velocity_sigma=1.0), detect(velocity=-30.0, velocity_sigma=1.0, track="T26"))
    assert t.velocity_los_mm_yr == pytest.approx(-20)
    # Standard error of two equal weights: half their distance.
    assert t.velocity_sigma_mm_yr == pytest.approx(10)


def test_a_slope_seen_from_both_sides_keeps_the_motion_of_the_clearer_track(detect):
    t = one(
        detect(velocity=18.0, velocity_sigma=2.0, significance=7.0),
        detect(velocity=-25.0, velocity_sigma=2.0, significance=-11.0, track="T26"),
    )
    assert (t.velocity_los_mm_yr, t.velocity_sigma_mm_yr) == (-25.0, pytest.approx(2.0))
    assert t.tracks == ("T135", "T26")


def test_an_unknown_error_leaves_the_velocity_without_one(detect):
    t = one(detect(velocity=-7.0, velocity_sigma=math.nan))
    assert t.velocity_los_mm_yr == -7.0
    assert math.isnan(t.velocity_sigma_mm_yr)
    assert math.isnan(one(detect(velocity=math.nan)).velocity_los_mm_yr)


def test_pairs_add_over_tracks_but_not_over_windows(detect):
    group = [detect(n_pairs=201), detect(n_pairs=90, window="wet"), detect(n_pairs=50, track="T26")]
    assert one(*group).n_pairs == 251


def test_slope_is_weighted_by_area_and_aspect_is_averaged_on_the_circle(detect):
    unit, triple = box(0, 0, 0.01, 0.01), box(0, 0, 0.03, 0.01)
    t = one(detect(polygon=unit, slope=10.0, aspect=350.0), detect(polygon=triple, slope=30.0, aspect=350.0))
    assert t.slope_deg == pytest.approx(25.0)
    assert t.aspect_deg == pytest.approx(350.0)
    around_north = one(detect(polygon=unit, aspect=350.0), detect(polygon=unit, aspect=20.0))
    assert around_north.aspect_deg == pytest.approx(5.0)
    assert one(detect(polygon=unit, aspect=0.0), detect(polygon=unit, aspect=180.0)).aspect_deg is None
    assert one(detect(slope=None, aspect=None)).slope_deg is None


def test_outline_unites_and_fills_holes(detect):
    ring = box(0, 0, 3, 3).difference(box(1, 1, 2, 2))
    around = [
        detect(polygon=Polygon([(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)])),
        detect(polygon=box(0, 2.5, 3, 3)),
    ]
    for group in ([detect(polygon=ring)], around):
        shape = outline(group)
        assert isinstance(shape, Polygon)
        assert shape.is_valid
        assert shape.exterior.is_ccw
        assert shape.equals(box(0, 0, 3, 3))


def test_outline_swallows_a_part_that_lies_in_a_hole(detect):
    frame = [detect(polygon=p) for p in (box(0, 0, 3, 1), box(0, 2, 3, 3), box(0, 0, 1, 3), box(2, 0, 3, 3))]
    assert outline([*frame, detect(polygon=box(1.4, 1.4, 1.6, 1.6))]).equals(box(0, 0, 3, 3))


def test_outline_keeps_separate_parts(detect):
    shape = outline([detect(polygon=box(0, 0, 1, 1)), detect(polygon=box(2, 0, 3, 1))])
    assert isinstance(shape, MultiPolygon)
    assert len(shape.geoms) == 2


def test_outline_mends_a_polygon_that_crosses_itself(detect):
    shape = outline([detect(polygon=Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]))])
    assert shape.is_valid
    assert shape.area == pytest.approx(2.0)


def test_every_target_has_its_own_id_and_area(detect):
    groups = [[detect(102.0)], [detect(102.5)], [detect(102.0)]]
    found = make_targets(groups, first_seen=date(2016, 1, 1), last_seen=date(2016, 1, 1))
    assert len({t.id for t in found}) == 3
    for t in found:
        assert t.area_m2 == pytest.approx(600**2, rel=1e-3)
        assert (t.review, t.behaviour, t.note) == ("unreviewed", "unclear", "")


def test_refuses_groups_it_cannot_draw_or_score(detect):
    with pytest.raises(ValueError, match=r"^a group must have a polygon with an area, instead got none from T135$"):
        one(detect(polygon=Polygon([(0, 0), (1, 1), (2, 2)])))
    with pytest.raises(
        ValueError, match=r"^a group must have a polygon with an area, instead got none from no detection$"
    ):
        one()
    with pytest.raises(ValueError, match=r"^score must lie in \[0.0, 1.0\], instead got 1.5$"):
        one(detect(score=1.5))
    with pytest.raises(
        ValueError, match=r"^first_seen must not be after last_seen, instead got 2020-01-01 and 2019-01-01$"
    ):
        one(detect(), first_seen=date(2020, 1, 1), last_seen=date(2019, 1, 1))
