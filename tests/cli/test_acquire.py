"""`groundshift acquire`: what it prints, what it leaves, and what it refuses."""

import json
import re

import pytest

pytest.importorskip("asf_search", reason="asf_search is not installed")
pytest.importorskip("hyp3_sdk", reason="hyp3-sdk is not installed")

from tests.acquire.services import CMR, TOKEN, Reply, serving

WANTED = ("101.9,30.42,102.1,30.7", "--start", "2020-06-01", "--end", "2020-07-01", "--track", "64")


@pytest.fixture
def services(monkeypatch, tmp_path):
    with serving(monkeypatch, tmp_path) as held:
        # A job is done when it is first looked at, so that nothing is waited for.
        held.polls_to_finish = 0
        monkeypatch.setattr("groundshift.workflows.acquiring._POLL", 0.0)
        monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
        yield held


def test_a_plan_is_shown_and_nothing_else_is_done(groundshift, services, tmp_path, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    ran = groundshift("acquire", *WANTED, "-o", tmp_path / "T064", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert [" ".join(line.split()) for line in ran.out.splitlines()] == [
        "product hyp3-burst",
        "track 64",
        "bursts burst 136231_IW2, dates 3, first 2020-06-04, last 2020-06-28, pairs 3, groups 1",
        "burst 136232_IW2, dates 3, first 2020-06-04, last 2020-06-28, pairs 3, groups 1",
        "images 6",
        "pairs 6",
        "to come 6",
        "gigabytes 0.042",
        "credits 6.0",
    ]
    assert not (tmp_path / "T064").exists()
    told = json.loads(groundshift("acquire", *WANTED, "-o", tmp_path / "T064", "--dry-run", "--json").out)
    assert (told["output"], told["credits"], len(told["bursts"])) == (str(tmp_path / "T064"), 6.0, 2)


def test_data_are_got_and_the_next_command_is_told(groundshift, services, tmp_path):
    folder = tmp_path / "my data" / "T064"
    ran = groundshift("acquire", *WANTED, "-o", folder)
    assert (ran.code, ran.out) == (0, "")
    assert ran.lines[0] == "track 64: 2 bursts, 6 images, 6 pairs; 6 interferograms to come, up to 0.04 GB"
    assert re.match(r"6 interferograms ordered for 6 credits as groundshift-T064-\w{8}; it takes hours", ran.lines[1])
    assert ran.lines[2:] == [
        f"6 interferograms fetched: {folder}",
        f"next: groundshift survey '{folder}'/*_IW? -o '{folder}-survey'",
    ]
    again = groundshift("acquire", *WANTED, "-o", folder, "--json")
    told = json.loads(again.out)
    assert (again.code, told["fetched"], told["to_come"], told["failed"]) == (0, 0, 0, {})
    assert told["inputs"] == [str(folder / "136231_IW2"), str(folder / "136232_IW2")]
    assert groundshift("acquire", *WANTED, "-o", folder, "--quiet").err == ""


def test_what_could_not_be_had_is_told_by_line_and_exit_code(groundshift, services, tmp_path):
    assert groundshift("acquire", *WANTED, "-o", tmp_path / "T064", "--no-wait").lines[-1] == (
        "6 interferograms still being made; run the same command again"
    )
    services.jobs[0]["status_code"] = "FAILED"
    ran = groundshift("acquire", *WANTED, "-o", tmp_path / "T064")
    assert ran.code == 1
    assert ran.lines[2:4] == [
        "warning: 136231_IW2 20200604_20200616: HyP3 could not make it; --retry-failed orders it again",
        f"5 interferograms fetched, 1 could not be had: {tmp_path / 'T064'}",
    ]


def test_an_area_may_lie_west_of_greenwich(groundshift, services, tmp_path):
    ran = groundshift("acquire", "-118.1,35,-117.9,36", *WANTED[1:], "-o", tmp_path / "T064", "--dry-run")
    assert ran.code == 1
    assert ran.lines == [
        "groundshift: no images over the area between 2020-06-01 and 2020-07-01; check the dates, and that longitude "
        "comes before latitude"
    ]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (WANTED[:5], "--track: not given; name an area, --start, --end, --track and a folder with -o"),
        (("Danba", *WANTED[1:]), "the area: expected well-known text, W,S,E,N or a vector file, instead got 'Danba'"),
        ((*WANTED[:6], "176"), "--track: expected at most 175, instead got 176"),
        ((*WANTED, "--max-days", "0"), "--max-days: expected more than 0, instead got 0"),
        ((*WANTED[:2], "June", *WANTED[3:]), "--start: expected a date, YYYY-MM-DD, instead got 'June'"),
        ((WANTED[0], "--start", "2021-06-01", *WANTED[3:]),
         "expected start before end, instead got 2021-06-01 and 2020-07-01"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_in_one_line(groundshift, services, tmp_path, given, line):
    ran = groundshift("acquire", *given, "-o", tmp_path / "T064")
    assert (ran.code, ran.out, ran.lines) == (2, "", [f"groundshift: {line}"])
    assert services.seen == []


def test_a_service_that_is_down_is_told_in_one_line(groundshift, services, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    services.fail(CMR, *[Reply(503)] * 5)
    ran = groundshift("acquire", *WANTED, "-o", tmp_path / "T064")
    assert ran.code == 1
    assert ran.lines[0] == f"{CMR} is down (503); trying again in 2 s"
    assert ran.lines[-1] == (
        f"groundshift: {CMR} is down (503); run the same command again later, what is done is kept"
    )
