from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from groundshift.inventory import carry_identity, is_current
from groundshift.inventory.identity import distinct_ids, location_id

METRE = 1 / 111_000


def cell(name):
    """The cell of a geohash by halving, the definition turned round."""
    west, east, south, north = -180.0, 180.0, -90.0, 90.0
    for i, bit in enumerate("".join(f"{'0123456789bcdefghjkmnpqrstuvwxyz'.index(c):05b}" for c in name)):
        if i % 2 == 0:
            west, east = ((west + east) / 2, east) if bit == "1" else (west, (west + east) / 2)
        else:
            south, north = ((south + north) / 2, north) if bit == "1" else (south, (south + north) / 2)
    return west, south, east, north


@pytest.mark.parametrize(("lon", "lat", "start"), [(10.40744, 57.64911, "u4pruyd"), (-5.603, 42.605, "ezs42")])
def test_names_are_geohashes(lon, lat, start):
    assert location_id(lon, lat).startswith(start)


@given(st.floats(-180, 179.999), st.floats(-90, 90))
def test_a_name_tells_the_place_to_150_metres(lon, lat):
    west, south, east, north = cell(location_id(lon, lat))
    rounding = 1e-12
    assert west - rounding <= lon <= east
    assert south - rounding <= lat <= north
    assert max((east - west), (north - south)) / METRE < 155


def test_longitudes_repeat():
    assert location_id(190.0, 10.0) == location_id(-170.0, 10.0)


@pytest.mark.parametrize(
    ("lon", "lat", "message"),
    [
        (0.0, 91.0, r"latitude must lie in \[-90.0, 90.0\], instead got 91.0"),
        (float("inf"), 0.0, r"longitude must be finite, instead got inf"),
    ],
)
def test_refuses_what_is_no_place(lon, lat, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        location_id(lon, lat)


def test_places_in_one_cell_are_numbered_from_west_to_east():
    west, south, east, north = cell("wmd3b5x")
    thirds = np.linspace(west, east, 7)
    middle = (south + north) / 2
    shapes = [box(thirds[i] - 1e-6, middle - 1e-6, thirds[i] + 1e-6, middle + 1e-6) for i in (3, 1, 5)]
    assert distinct_ids(shapes) == ["wmd3b5x-2", "wmd3b5x", "wmd3b5x-3"]
    assert distinct_ids(shapes[:1], taken=["wmd3b5x", "wmd3b5x-2"]) == ["wmd3b5x-3"]


def test_a_place_seen_again_keeps_name_history_and_review(target):
    old = replace(target(), id="kept", review="confirmed", note="visited")
    new = target(102.0 + 60 * METRE, size=700.0, first=2018, last=2023, score=0.95)
    assert new.id != "kept"
    (carried,) = carry_identity([new], [old])
    expected = replace(new, id="kept", first_seen=date(2016, 1, 1), review="confirmed", note="visited")
    assert carried == expected


def test_carrying_twice_changes_nothing(target):
    old = [target(102.0), target(102.1)]
    new = [target(102.0 + 60 * METRE, last=2023), target(102.3, last=2023)]
    once = carry_identity(new, old)
    assert carry_identity(new, once)[: len(new)] == once[: len(new)]
    assert set(carry_identity(new, once)) == set(once)


def test_what_vanished_stays_with_a_mark_and_loses_it_when_seen_again(target):
    old = replace(target(), note="road cracks")
    elsewhere = target(103.0, last=2023)
    _, gone = carry_identity([elsewhere], [old])
    assert gone == replace(old, note="road cracks [not seen since 2021-06-27]")
    assert not is_current(gone)
    _, still = carry_identity([elsewhere], [gone])
    assert still == gone
    (back,) = carry_identity([target(last=2024)], [gone])
    assert (back.note, back.first_seen, back.last_seen) == ("road cracks", old.first_seen, date(2024, 6, 27))
    assert is_current(back)


def test_nothing_vanishes_where_nobody_looked(target):
    old = target()
    assert carry_identity([], [old], covered=box(110, 30, 111, 31)) == [old]
    assert not is_current(carry_identity([], [old], covered=box(101, 30, 103, 31))[0])


def test_of_a_place_that_split_the_larger_part_keeps_the_name(target):
    old = replace(target(polygon=box(102.0, 30.8, 102.01, 30.81)), id="whole", review="confirmed")
    small = target(polygon=box(102.0, 30.8, 102.003, 30.81))
    large = target(polygon=box(102.0035, 30.8, 102.01, 30.81))
    first, second = carry_identity([small, large], [old])
    assert (second.id, second.review) == ("whole", "confirmed")
    assert (first.id, first.review) == (small.id, "unreviewed")


def test_of_two_places_that_joined_the_larger_gives_the_name(target):
    small = replace(target(polygon=box(102.0, 30.8, 102.003, 30.81)), id="small", note="seen in 2019")
    large = replace(target(polygon=box(102.0035, 30.8, 102.01, 30.81)), id="large")
    new = target(polygon=box(102.0, 30.8, 102.01, 30.81), last=2023)
    joined, rest = carry_identity([new], [small, large])
    assert joined.id == "large"
    assert (rest.id, rest.note) == ("small", "seen in 2019 [joined into large]")
    assert carry_identity([new], [joined, rest]) == [joined, rest]


def test_a_touch_is_no_overlap(target):
    old = replace(target(polygon=box(102.0, 30.8, 102.01, 30.81)), id="old")
    new = target(polygon=box(102.0095, 30.8, 102.02, 30.81))
    assert [t.id for t in carry_identity([new], [old])] == [new.id, "old"]
    assert [t.id for t in carry_identity([new], [old], min_overlap=0.01)] == ["old"]


def test_a_new_place_does_not_take_the_name_of_an_old_one(target):
    old = replace(target(103.0), id=target().id)
    fresh, rest = carry_identity([target()], [old])
    assert (fresh.id, rest.id) == (f"{old.id}-2", old.id)


places = st.lists(st.tuples(st.integers(0, 6), st.integers(3, 9)), max_size=6)


@given(places, places)
def test_names_are_unique_and_no_old_one_is_lost(new, old):
    from groundshift.detect.detection import Detection
    from groundshift.inventory import make_targets

    def targets(spans):
        groups = [
            [
                Detection(
                    box(102 + a * 1e-3, 30.8, 102 + (a + b) * 1e-3, 30.802),
                    *(0.5, "rules", "T", "all", ("range",), -9.0, 1.0, 9.0, 0.5, 50),
                )
            ]
            for a, b in spans
        ]
        return make_targets(groups, first_seen=date(2016, 1, 1), last_seen=date(2020, 1, 1))

    past = targets(old)
    result = carry_identity(targets(new), past)
    ids = [t.id for t in result]
    assert len(set(ids)) == len(ids)
    assert {t.id for t in past} <= set(ids)
    assert len(new) <= len(result) <= len(new) + len(old)
    # A copy whose old polygons share one id, as after cutting one in a GIS.
    twice = carry_identity([], [replace(t, id="same") for t in past])
    assert len({t.id for t in twice}) == len(past)
