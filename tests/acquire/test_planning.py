"""Which bursts, images and pairs are taken, and what they cost."""

from datetime import date

import pytest
import shapely

from groundshift.acquire import (
    Plan,
    Scene,
    Wish,
    bursts_over,
    credits_per_job,
    make_plan,
    one_per_day,
    pairs_of,
    read_plan,
    unpacked_bytes,
    write_plan,
)
from groundshift.errors import DamagedFileError

HERE = shapely.box(0, 0, 1, 0.2)


def scene(name, day=4, pol="VV", burst="136231_IW2", rank="", footprint=HERE):
    return Scene(name, burst, date(2020, 6, day), pol, footprint, rank)


def wish(**changes):
    given = {"area": HERE.wkt, "start": date(2020, 6, 1), "end": date(2020, 7, 1), "track": 64}
    return Wish(**{**given, "product": "hyp3-burst", "looks": "20x4", **changes})


def test_bursts_count_where_they_cover_and_not_where_they_touch():
    scenes = [
        scene("over", burst="2_IW1"),
        scene("beside", burst="1_IW1", footprint=shapely.box(0, 0.2, 1, 0.4)),
        scene("far", burst="3_IW1", footprint=shapely.box(5, 0, 6, 1)),
    ]
    assert list(bursts_over(scenes, HERE)) == ["2_IW1"]
    assert list(bursts_over(scenes, shapely.Point(0.5, 0.3))) == ["1_IW1"]


@pytest.mark.parametrize("area", [shapely.box(179.9, 0, 180.1, 1), shapely.box(-180.1, 0, -179.9, 1)])
def test_a_burst_across_the_date_line_lies_on_both_sides(area):
    footprint = shapely.Polygon([(179.5, 0), (-179.5, 0), (-179.5, 1), (179.5, 1)])
    assert list(bursts_over([scene("across", footprint=footprint)], area)) == ["136231_IW2"]
    assert not bursts_over([scene("across", footprint=footprint)], shapely.box(0, 0, 1, 1))


def test_one_image_a_day_of_the_polarization_that_most_days_have():
    scenes = [
        scene("old", 4, rank="0001.0000 20230929"), scene("new", 4, rank="0001.0001 20200101"),
        scene("b", 16), scene("h", 4, "HH"), scene("v", 28), scene("h2", 28, "HH"),
    ]  # fmt: skip
    assert [s.name for s in one_per_day(scenes)] == ["new", "b", "v"]
    # What was taken before is taken again, whatever has come since.
    assert [s.name for s in one_per_day(scenes, {date(2020, 6, 4): "old"})] == ["old", "b", "v"]
    assert [s.name for s in one_per_day([scene("h", 4, "HH"), scene("v", 4)])] == ["v"]


def test_pairs_are_those_of_the_network():
    days = [date(2020, 6, 4), date(2020, 6, 16), date(2020, 6, 28), date(2020, 8, 15)]
    names = ["20200604_20200616", "20200604_20200628", "20200616_20200628"]
    assert [p.name for p in pairs_of(reversed(days))] == names
    assert [p.name for p in pairs_of(days, mode="sequential")] == names[::2]
    assert len(pairs_of(days, max_days=72)) == 6
    assert pairs_of(days[2:]) == ()
    assert pairs_of(days[:1]) == ()


def test_interferograms_are_as_large_as_their_pixels():
    # A square of a degree at the equator is 111.19 km wide.
    square = shapely.box(0, -0.5, 1, 0.5)
    assert unpacked_bytes(square, "20x4") == pytest.approx(26 * (111_195 / 80) ** 2, rel=1e-4)
    assert unpacked_bytes(square, "5x1") == pytest.approx(16 * unpacked_bytes(square, "20x4"), rel=1e-6)


@pytest.mark.parametrize(
    ("costs", "price"),
    [
        ([{"job_type": "INSAR_ISCE_BURST", "cost": 2.0}], 2.0),
        ([{"job_type": "A", "cost": 9}, {"job_type": "INSAR_ISCE_BURST", "cost_parameter": "looks", "cost_table": [
            {"parameter_value": "20x4", "cost": 0.4}, {"parameter_value": "5x1", "cost": 1.8}]}], 1.8),
        ([{"job_type": "INSAR_ISCE_BURST", "cost_table": "another form"}], None),
        ([{"job_type": "RTC_GAMMA", "cost": 5.0}], None),
        ({"detail": "no table"}, None),
    ],
)  # fmt: skip
def test_price_is_that_of_the_table_or_unknown(costs, price):
    assert credits_per_job(costs, "5x1") == price


def test_a_plan_survives_its_file(tmp_path):
    scenes = [scene("a", 4), scene("b", 16), scene("c", 28), scene("lonely", 4, burst="136232_IW2")]
    plan, left_out = make_plan(wish(), scenes)
    assert left_out == {"136232_IW2": 1}
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan
    assert read_plan(tmp_path / "other.json") is None
    facts = plan.facts(tmp_path)
    assert facts["bursts"] == [
        {"burst": "136231_IW2", "dates": 3, "first": "2020-06-04", "last": "2020-06-28", "pairs": 3, "groups": 1}
    ]
    assert (facts["images"], facts["pairs"], facts["to_come"]) == (3, 3, 3)
    assert facts["gigabytes"] == round(3 * unpacked_bytes(HERE, "20x4") / 1e9, 3)


def test_products_that_are_there_are_not_to_come(tmp_path):
    plan, _ = make_plan(wish(), [scene("a", 4), scene("b", 16), scene("c", 28)])
    (tmp_path / "136231_IW2" / "S1_136231_IW2_20200604_20200628_VV_INT80_12E3").mkdir(parents=True)
    (tmp_path / "136231_IW2" / "S1_064_136231s2n01_IW_20200616_20200628_VV_INT80_99AB").mkdir()
    (part,) = plan.bursts
    assert [p.name for p in part.pairs_left(tmp_path)] == ["20200604_20200616"]
    assert part.granules(part.pairs_left(tmp_path)[0]) == ("a", "b")


def test_jobs_are_named_by_area_track_and_looks_and_not_by_dates():
    name = wish().run_name
    assert name.startswith("groundshift-T064-")
    assert wish(end=date(2021, 1, 1), max_days=24).run_name == name
    others = [wish(track=65), wish(looks="5x1"), wish(area=shapely.box(0, 0, 1, 1).wkt)]
    assert len({name, *(other.run_name for other in others)}) == 4


@pytest.mark.parametrize("change", [("burst", "../../outside"), ("burst", ".hidden"), ("version", 2)])
def test_a_plan_that_cannot_be_is_refused(tmp_path, change):
    plan, _ = make_plan(wish(), [scene("a", 4), scene("b", 16)])
    held = plan.model_dump(mode="json")
    if change[0] == "version":
        held["version"] = change[1]
    else:
        held["bursts"][0]["burst"] = change[1]
    path = tmp_path / "plan.json"
    path.write_text(Plan.model_construct(**held).model_dump_json(warnings=False))
    with pytest.raises(DamagedFileError, match=r"plan\.json: not a plan that can be read; remove it and run again"):
        read_plan(path)
