"""The viewer: what it answers to whom, and what it writes."""

import os
import re
import socket
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pyogrio
import pytest
from tests.workflows.viewing.viewers import FIRST, write_survey

from groundshift.errors import DamagedFileError, MissingFileError, OutputError
from groundshift.inventory import read_inventory, review
from groundshift.inventory.review import read_reviews, set_review
from groundshift.workflows.output import claimed
from groundshift.workflows.serving import serve_survey
from groundshift.workflows.viewing import KEPT, ShownSurvey, load_survey, remake_report

# To whom it answers


def test_the_page_is_for_who_has_the_address(standing):
    path = f"/?token={standing.token}"
    status, headers, page = standing.ask(path, X_Groundshift_Token=None)
    assert status == 200
    assert '<section id="panel"' in page
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert not [name for name in headers if name.lower() in ("server", "set-cookie", "access-control-allow-origin")]
    for wrong in ("/", "/?token=", f"/?token={standing.token}x", f"/?token={standing.token[:-1]}"):
        status, _, told = standing.ask(wrong)
        assert (status, told["error"]) == (403, "Open the address that groundshift view has printed, with its token.")
    # A link in a mail may lead to it, in whatever program that is read.
    assert standing.ask(path, Sec_Fetch_Site="cross-site")[0] == 200
    assert standing.ask(path, Host=f"localhost:{standing.port}")[0] == 200


def test_tokens_are_drawn_anew_for_every_run(folder, viewer):
    with serve_survey(folder) as other:
        assert parse_qs(urlsplit(other).query)["token"] != [viewer.token]


def test_it_listens_on_this_machine_only(standing):
    with pytest.raises(ConnectionRefusedError):
        standing.ask("/state?version=0", host="127.0.0.2")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1]"},
        {"Host": "["},
        {"Host": "user@127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
        {"Origin": "null"},
        {"Origin": None},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"X_Groundshift_Token": None},
        {"X_Groundshift_Token": "wrong"},
        {"X_Groundshift_Token": None, "Cookie": "token={token}"},
    ],
)
def test_what_does_not_come_from_its_own_page_is_refused(standing, headers):
    headers = {k: v and v.replace("{token}", standing.token) for k, v in headers.items()}
    status, told = standing.review("confirmed", **headers)
    assert status in (400, 403)
    assert "token" not in str(told).replace("with its token", "")
    assert read_reviews(standing.inventory)[FIRST].review == "unreviewed"
    for path in ("/state?version=0", f"/target?id={FIRST}"):
        asked = {k: v for k, v in headers.items() if k != "Origin" or v}
        assert not asked or standing.ask(path, **asked)[0] in (400, 403)
    assert standing.ask("/state?version=0")[0] == 200


def test_other_sites_may_not_even_ask_whether_they_might(standing):
    status, headers, _ = standing.ask(
        "/review", "OPTIONS", Origin="http://evil.example", Access_Control_Request_Method="POST"
    )
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"id=GS-00001&review=confirmed", "application/x-www-form-urlencoded"),
        (b'{"id": "GS-00001"}', "application/json"),
        (b"{", "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"id": 1, "review": "", "note": "", "seen_review": "", "seen_note": ""}', "application/json"),
        (b'{"id": "GS-00001", "review": "%s", "note": "", "seen_review": "", "seen_note": ""}', "application/json"),
        (b'{"id": "a", "review": "confirmed", "note": "", "seen_review": "", "seen_note": ""}', "text/plain"),
    ],
)
def test_what_is_no_review_is_refused_in_one_line(standing, body, kind):
    status, _, told = standing.ask("/review", "POST", body, Content_Type=kind)
    assert status == 400
    assert re.match("expected |review must be one of", told["error"])
    assert standing.ask("/state?version=x")[0] == standing.ask("/target")[0] == 400
    assert standing.ask("/inventory.gpkg")[0] == 404
    status, told = standing.review("confirmed", "x" * 10_001)
    assert (status, told["error"]) == (400, "note must have at most 10000 characters, instead got 10001")


# What it writes


def test_a_review_reaches_the_inventory(viewer):
    assert viewer.review("confirmed", "scarp; 裂缝") == (200, {"review": "confirmed", "note": "scarp; 裂缝"})
    frame = pyogrio.read_dataframe(viewer.inventory, layer="targets", bbox=(100.19, 30.14, 100.21, 30.16))
    assert frame[["id", "review", "note"]].values.tolist() == [[FIRST, "confirmed", "scarp; 裂缝"]]
    assert len(read_inventory(viewer.inventory)) == 3
    page = viewer.ask(f"/?token={viewer.token}")[2]
    assert "<td>confirmed</td>\n<td>scarp; 裂缝</td>" in page


def test_the_second_of_two_who_saw_the_same_is_told_what_the_first_wrote(viewer):
    assert viewer.review("confirmed", "first")[0] == 200
    status, told = viewer.review("rejected", "second")
    assert status == 409
    assert (told["review"], told["note"]) == ("confirmed", "first")
    assert re.search(
        r"changed by somebody else meanwhile \(review is confirmed now, you saw unreviewed; note is 'first' now, "
        r"you saw ''\); look and decide again \(written in another window of this viewer at \d\d:\d\d\)",
        told["error"],
    )
    assert viewer.review("rejected", "second", seen=("confirmed", "first"))[0] == 200
    set_review(viewer.inventory, FIRST, review="unreviewed", note="", seen_review="rejected", seen_note="second")
    assert viewer.review("confirmed", seen=("rejected", "second"))[1]["error"].endswith("(written by another program)")


def test_what_others_write_is_told_once(viewer):
    start = viewer.state()
    assert start["changed"] == {}
    set_review(viewer.inventory, FIRST, review="rejected", note="road", seen_review="unreviewed", seen_note="")
    told = viewer.state(start["version"])
    assert told["changed"] == {FIRST: ["rejected", "road"]}
    assert told["generation"] == start["generation"]
    assert viewer.state(told["version"])["changed"] == {}


def test_a_survey_that_rewrites_everything_is_noticed_and_nothing_goes_into_the_old_file(viewer):
    old = os.open(viewer.inventory, os.O_RDONLY)
    before = os.pread(old, os.fstat(old).st_size, 0)
    start = viewer.state()
    first, second, _ = read_inventory(viewer.inventory)
    write_survey(viewer.folder, [replace(first, note="from the survey"), replace(second, id="new")])
    assert viewer.review("confirmed", "mine", seen=("unreviewed", "from the survey")) == (
        200, {"review": "confirmed", "note": "mine"},
    )  # fmt: skip
    assert os.fstat(old).st_nlink == 0
    assert os.pread(old, os.fstat(old).st_size, 0) == before
    os.close(old)
    assert read_reviews(viewer.inventory) == {FIRST: ("confirmed", "mine"), "new": ("unreviewed", "")}
    assert viewer.state()["generation"] != start["generation"]
    page = viewer.ask(f"/?token={viewer.token}")[2]
    assert ">new</button>" in page
    assert "<td>mine</td>" in page
    status, _, told = viewer.ask("/target?id=GS-00002")
    assert (status, told["error"]) == (503, "no target GS-00002 any more; reload this page")


def test_a_target_drawn_in_a_gis_meanwhile_makes_the_page_load_anew(viewer):
    start = viewer.state()
    frame = pyogrio.read_dataframe(viewer.inventory, layer="targets", max_features=1)
    frame["id"] = "drawn"
    pyogrio.write_dataframe(frame, viewer.inventory, layer="targets", append=True)
    assert viewer.state()["generation"] != start["generation"]
    assert ">drawn</button>" in viewer.ask(f"/?token={viewer.token}")[2]


def test_a_locked_or_damaged_inventory_is_told_and_the_viewer_goes_on(viewer, monkeypatch):
    monkeypatch.setattr(review, "_PATIENCE", 0.05)
    with closing(sqlite3.connect(viewer.inventory)) as other:
        other.execute("BEGIN EXCLUSIVE")
        status, told = viewer.review("confirmed")
        assert status == 503
        assert told["error"].endswith("another program keeps it locked; save or close it there and try again")
    good = viewer.inventory.read_bytes()
    viewer.inventory.write_bytes(good[:5000])
    assert "inventory.gpkg" in viewer.state()["problem"]
    assert viewer.ask(f"/target?id={FIRST}")[0] == 200
    viewer.inventory.unlink()
    assert "no such file" in viewer.state()["problem"]
    viewer.inventory.write_bytes(good)
    assert viewer.state()["problem"] == ""
    assert viewer.review("confirmed")[0] == 200


def test_who_leaves_before_the_answer_leaves_no_trace(viewer, monkeypatch, caplog):
    told, left = ShownSurvey.state, threading.Event()
    monkeypatch.setattr(ShownSurvey, "state", lambda self, version: left.wait(20) and told(self, version))
    with socket.create_connection(("127.0.0.1", viewer.port)) as connection:
        head = f"Host: 127.0.0.1:{viewer.port}\r\nX-Groundshift-Token: {viewer.token}"
        connection.sendall(f"GET /state?version=0 HTTP/1.1\r\n{head}\r\n\r\n".encode())
    left.set()
    assert viewer.state()["problem"] == ""
    assert caplog.records == []


def test_what_cannot_be_shown_is_one_line(folder, viewer):
    with (
        pytest.raises(OutputError, match=f"port {viewer.port}: cannot listen there"),
        serve_survey(folder, viewer.port),
    ):
        pass
    with pytest.raises(MissingFileError, match="no such folder; give the output folder of a survey"):
        load_survey(folder / "none")
    (folder / KEPT).write_bytes(b"no such file")
    with pytest.raises(DamagedFileError, match=r"report\.h5: cannot be read; run the survey again"):
        load_survey(folder)
    (folder / KEPT).unlink()
    with pytest.raises(MissingFileError, match=r"report\.h5: not there; run the survey again"):
        remake_report(folder)
    (folder / "inventory.gpkg").unlink()
    with pytest.raises(MissingFileError, match="no such file; check the spelling or run the survey first"):
        load_survey(folder)


def test_a_report_made_anew_has_the_reviews_of_now_and_the_series_of_then(folder):
    set_review(
        folder / "inventory.gpkg", FIRST, review="confirmed", note="seen in May", seen_review="unreviewed", seen_note=""
    )
    assert remake_report(folder) == folder / "report.html"
    text = (folder / "report.html").read_text()
    assert "<td>seen in May</td>" in text
    assert "steady: no wave, no turn" in text
    assert set(os.listdir(folder)) == {"inventory.gpkg", "report.h5", "report.html"}
    with claimed(folder), pytest.raises(OutputError, match=r"another run .* is writing here"):
        remake_report(folder)
