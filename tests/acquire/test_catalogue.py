"""What is asked of the catalogue, and what is read from its answers."""

import re
from datetime import date
from urllib.parse import parse_qs

import pytest
import shapely

pytest.importorskip("asf_search", reason="asf_search is not installed")
pytest.importorskip("hyp3_sdk", reason="hyp3-sdk is not installed")

from tests.acquire.services import CMR, Reply, recorded

from groundshift.acquire import ServiceError, Wish, make_plan
from groundshift.acquire._catalogue import find_scenes, find_statics, why_nothing
from groundshift.acquire._session import Session

AREA = shapely.box(101.9, 30.42, 102.1, 30.7)


def wish(**changes):
    given = {"area": AREA.wkt, "start": date(2020, 6, 1), "end": date(2020, 7, 1), "track": 64}
    images = changes.get("product") == "opera-cslc"
    return Wish(**{**given, "product": "hyp3-burst", "looks": None if images else "20x4", **changes})


@pytest.fixture
def session(services, waits):
    return Session(sleep=waits.append)


def test_bursts_of_a_track_over_an_area(services, session):
    scenes = find_scenes(session, wish())
    asked = parse_qs(services.seen[0].body)
    assert asked["shortName"] == ["SENTINEL-1_BURSTS"]
    assert asked["temporal"] == ["2020-06-01T00:00:00Z,2020-07-01T23:59:59Z,"]
    assert {"int,PATH_NUMBER,64", "string,BEAM_MODE,IW"} <= set(asked["attribute[]"])
    west, south, east, north = map(float, asked["bounding_box"][0].split(","))
    # Wider than the area, that no date of a burst at its rim is missed.
    assert (west, south, east, north) == pytest.approx((101.85, 30.37, 102.15, 30.75))
    plan, left_out = make_plan(wish(), scenes)
    assert left_out == {}
    assert [b.burst for b in plan.bursts] == ["136231_IW2", "136232_IW2"]
    assert [i.granule for i in plan.bursts[0].images] == [
        "S1_136231_IW2_20200604T022312_VV_7C85-BURST",
        "S1_136231_IW2_20200616T022312_VV_5D11-BURST",
        "S1_136231_IW2_20200628T022312_VV_A0F3-BURST",
    ]
    # Nothing is told to whom nothing was asked.
    assert {s.host for s in services.seen} == {CMR}


def test_images_come_with_their_place_size_and_checksum(session):
    images = wish(product="opera-cslc")
    plan, _ = make_plan(images, find_scenes(session, images), find_statics(session, images))
    (part,) = plan.bursts
    assert part.burst == "136231_IW2"
    assert [str(i.day) for i in part.images] == ["2020-06-04", "2020-06-16", "2020-06-28"]
    names = [file.name for file in part.files]
    # Of two versions the later.
    assert names[0] == "OPERA_L2_CSLC-S1_T064-136231-IW2_20200604T022312Z_20240627T082156Z_S1A_VV_v1.1.h5"
    assert names[-1] == "OPERA_L2_CSLC-S1-STATIC_T064-136231-IW2_20140403_S1A_v1.0.h5"
    told = recorded("cslcs.json")["items"][0]["umm"]["DataGranule"]["ArchiveAndDistributionInformation"][0]
    assert (part.files[0].size, part.files[0].checksum) == (told["SizeInBytes"], ("md5", told["Checksum"]["Value"]))
    assert part.files[0].url.startswith("https://cumulus.asf.earthdatacloud.nasa.gov/OPERA/OPERA_L2_CSLC-S1/")
    assert part.files[0].url.endswith(names[0])


def test_a_direction_is_part_of_the_question(services, session):
    assert find_scenes(session, wish(direction="ascending")) == []
    assert find_scenes(session, wish(direction="descending"))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"track": 99}, "track 99 has no images over the area between 2020-06-01 and 2020-07-01; tracks there: 64 "
         "(descending), 128 (ascending)"),
        ({"direction": "ascending"}, "track 64 ascending has no images over the area between 2020-06-01 and "
         "2020-07-01; tracks there: 64 (descending), 128 (ascending)"),
        ({"start": date(2019, 1, 1), "end": date(2019, 2, 1)}, "no images over the area between 2019-01-01 and "
         "2019-02-01; check the dates, and that longitude comes before latitude"),
    ],
)  # fmt: skip
def test_nothing_found_is_explained(session, changes, line):
    assert find_scenes(session, wish(**changes)) == []
    assert why_nothing(session, wish(**changes)) == line


def test_areas_of_several_parts_are_searched_as_one_and_sorted_here(session):
    area = shapely.MultiPolygon([shapely.box(101.6, 30.45, 101.7, 30.5), shapely.box(102.2, 30.5, 102.25, 30.55)])
    plan, _ = make_plan(wish(area=area.wkt), find_scenes(session, wish(area=area.wkt)))
    assert [b.burst for b in plan.bursts] == ["136231_IW2"]


def test_a_catalogue_that_refuses_or_is_down_is_told(services, session, waits):
    services.fail(CMR, Reply(400, b'{"errors": ["polygon points are not closed"]}'))
    line = "the catalogue of ASF refuses the search (HTTP 400: ['polygon points are not closed'])"
    with pytest.raises(ServiceError, match=f"^{re.escape(line)}; simplify the area"):
        find_scenes(session, wish())
    services.fail(CMR, *[Reply(503, b"<html>down</html>")] * 5)
    with pytest.raises(ServiceError, match=rf"^{CMR} is down \(503\); run the same command again later"):
        find_scenes(session, wish())
    services.fail(CMR, Reply(body=b"<html>"))
    with pytest.raises(ServiceError, match=r"^the catalogue of ASF answers something unknown .* bring asf_search up"):
        find_scenes(session, wish())
    # Failures are not reported to others, unasked.
    assert {s.host for s in services.seen} == {CMR}
