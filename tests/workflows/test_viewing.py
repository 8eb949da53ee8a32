"""The viewer: what it answers to whom, what it writes, and how it looks to two people at once."""

import http.client
import json
import os
import re
import socket
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pyogrio
import pytest
from tests.report.browser import CHROMIUM, Browser
from tests.report.contents import make_moving

from groundshift.errors import DamagedFileError, MissingFileError, OutputError
from groundshift.inventory import Run, read_inventory, review, write_inventory
from groundshift.inventory.review import read_reviews, set_review
from groundshift.report import write_content
from groundshift.workflows.output import claimed
from groundshift.workflows.serving import serve_survey
from groundshift.workflows.viewing import KEPT, ShownSurvey, load_survey, remake_report

RUN = Run(datetime(2024, 5, 6, tzinfo=UTC), "0.1.0", "survey", ("T1",), date(2018, 1, 1), date(2019, 1, 1), 12)
FIRST = "GS-00001"


def write_survey(folder, targets=None):
    """Leave what a survey leaves."""
    content = make_moving()
    targets = content.targets if targets is None else targets
    write_inventory(folder / "inventory.gpkg", targets, [RUN])
    write_content(folder / KEPT, replace(content, targets=targets))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    write_survey(path)
    return path


class Viewer:
    """A viewer that runs, and a person who asks it."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.inventory = folder / "inventory.gpkg"
        parts = urlsplit(address)
        self.port = parts.port
        self.token = parse_qs(parts.query)["token"][0]

    def ask(self, path, method="GET", body=None, *, host="127.0.0.1", **headers):
        """Status, headers and answer; headers that are None are left out."""
        given = {"Host": f"127.0.0.1:{self.port}", "X-Groundshift-Token": self.token}
        if method == "POST":
            given |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        text = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        given["Content-Length"] = str(len(text))
        head = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items() if v is not None), "", ""]
        with socket.create_connection((host, self.port), timeout=20) as connection:
            # In one piece: a malformed head is answered, and the connection closed, as soon as it is there, and bytes
            # that came after the last look at the connection would make the system reset it.
            connection.sendall("\r\n".join(head).encode() + text)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            content = answer.read().decode()
            told = json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content
            return answer.status, answer.headers, told

    def review(self, verdict, note="", seen=("unreviewed", ""), name=FIRST, **headers):
        body = {"id": name, "review": verdict, "note": note, "seen_review": seen[0], "seen_note": seen[1]}
        status, _, told = self.ask("/review", "POST", body, **headers)
        return status, told

    def state(self, version=0):
        status, _, told = self.ask(f"/state?{urlencode({'version': version})}")
        assert status == 200
        return told


@pytest.fixture
def viewer(folder):
    with serve_survey(folder, interval_s=0.1) as address:
        yield Viewer(folder, address)


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A viewer for who does not change anything."""
    path = tmp_path_factory.mktemp("standing")
    write_survey(path)
    with serve_survey(path) as address:
        yield Viewer(path, address)


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


# How it looks


@pytest.fixture(scope="module")
def people():
    """Two browsers, of two people."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here; install chromium to look at the page")
    with Browser() as one, Browser() as two:
        yield one, two


READY = "document.documentElement.dataset.map === 'ready' && document.documentElement.dataset.viewer === 'ready'"
VERDICT = "document.querySelector('#review [aria-pressed=true]').textContent"
CELLS = "[...document.querySelector('#t0').cells].slice(-2).map((cell) => cell.textContent)"


def open_first(browser, viewer):
    browser.open(viewer.address, READY)
    browser.run("document.querySelector('.pick').click()")
    browser.wait(f"document.getElementById('panel').dataset.shown === '{FIRST}'")


def press(browser, verdict):
    browser.run(f"document.querySelector('#review [data-review={verdict}]').click()")


def type_note(browser, text):
    browser.run(
        f"(() => {{ const note = document.getElementById('note'); note.value = {json.dumps(text)};"
        " note.dispatchEvent(new Event('input')); })()"
    )


def test_a_button_writes_the_review_and_everybody_sees_it(viewer, people):
    one, two = people
    for person in people:
        open_first(person, viewer)
        points = "Bokeh.documents[1].get_model_by_name('series-points').data.y.length"
        assert person.run(points) == 60
        assert person.complaints == []
    type_note(one, "fresh scarp\n<b>wide</b>")
    press(one, "confirmed")
    one.wait("document.getElementById('review-state').textContent.startsWith('saved at')")
    assert read_reviews(viewer.inventory)[FIRST] == ("confirmed", "fresh scarp\n<b>wide</b>")
    assert one.run(VERDICT) == "confirmed"
    two.wait(f"{VERDICT} === 'confirmed'")
    assert two.run(CELLS) == ["confirmed", "fresh scarp\n<b>wide</b>"]
    assert two.run("document.getElementById('note').value") == "fresh scarp\n<b>wide</b>"
    assert "changed by somebody else" in two.run("document.getElementById('review-state').textContent")
    assert all(u.startswith(f"http://127.0.0.1:{viewer.port}/") for u in two.asked)


def test_who_writes_meanwhile_is_told_and_keeps_what_was_typed(viewer, people):
    one, two = people
    for person in people:
        open_first(person, viewer)
    type_note(two, "I think not")
    press(one, "confirmed")
    one.wait("document.getElementById('review-state').textContent.startsWith('saved at')")
    two.wait(f"{VERDICT} === 'confirmed'")
    press(two, "rejected")
    two.wait("!document.getElementById('review-problem').hidden")
    problem = two.run("document.getElementById('review-problem').textContent")
    assert "review is confirmed now, you saw unreviewed" in problem
    assert "written in another window of this viewer" in problem
    assert read_reviews(viewer.inventory)[FIRST] == ("confirmed", "")
    assert two.run(VERDICT) == "confirmed"
    assert two.run("document.getElementById('note').value") == "I think not"
    press(two, "rejected")
    two.wait("document.getElementById('review-state').textContent.startsWith('saved at')")
    assert read_reviews(viewer.inventory)[FIRST] == ("rejected", "I think not")
    one.wait(f"{VERDICT} === 'rejected'")


def test_the_page_loads_anew_after_a_survey_but_not_over_an_unsaved_note(viewer, people):
    one, two = people
    for person in people:
        open_first(person, viewer)
    type_note(two, "half a thought")
    first, *_ = read_inventory(viewer.inventory)
    write_survey(viewer.folder, [replace(first, note="from the survey")])
    one.wait("document.querySelectorAll('#table tbody tr').length === 1")
    one.wait(READY)
    one.wait(f"document.getElementById('panel').dataset.shown === '{FIRST}'")
    two.wait("document.getElementById('viewer-problem').textContent.includes('written its results anew')")
    assert two.run("document.getElementById('note').value") == "half a thought"
    press(two, "confirmed")
    two.wait("!document.getElementById('review-problem').hidden")
    assert read_reviews(viewer.inventory)[FIRST] == ("unreviewed", "from the survey")


def test_a_survey_without_a_target_is_shown(folder, people):
    one, _ = people
    # The page of the test before asks for a viewer that has ended.
    one.open("about:blank")
    write_survey(folder, [])
    with serve_survey(folder, interval_s=0.1) as address:
        one.open(address, READY)
        assert one.complaints == []
        assert "No moving place was found" in one.run("document.body.textContent")
        assert one.run("document.getElementById('viewer-problem').hidden")
        # Targets that another run finds are shown.
        write_survey(folder)
        one.wait("document.querySelectorAll('#table tbody tr').length === 3")


def test_the_table_is_filtered_by_review(viewer, people):
    one, _ = people
    open_first(one, viewer)
    one.run(
        "(() => { document.getElementById('reviewed').value = 'unreviewed';"
        " document.getElementById('filters').dispatchEvent(new Event('input')); })()"
    )
    assert one.run("document.getElementById('count').textContent") == "3 targets"
    press(one, "rejected")
    one.wait("document.getElementById('count').textContent === '2 of 3 targets'")


def test_a_page_of_another_site_cannot_write(viewer, people, tmp_path):
    """Neither by a request of its script nor by a form, even from this machine and with the token."""
    one, _ = people
    body = json.dumps({"id": FIRST, "review": "confirmed", "note": "", "seen_review": "unreviewed", "seen_note": ""})
    (tmp_path / "evil.html").write_text(
        f"""<form id="f" target="inside" method="post" enctype="text/plain" action="http://127.0.0.1:{viewer.port}/review">
        <input name='{body[:-1]}, "x": "' value='"}}'></form><iframe name="inside"></iframe>
        <script>window.outcomes = [];
        const tries = [
          [{{}}, 'no-cors'], [{{'X-Groundshift-Token': '{viewer.token}', 'Content-Type': 'application/json'}}, 'cors']];
        for (const [headers, mode] of tries)
          fetch('http://127.0.0.1:{viewer.port}/review', {{method: 'POST', mode, headers, body: '{body}'}})
            .then((r) => outcomes.push(r.type), (e) => outcomes.push('refused'));
        document.getElementById('f').submit();</script>"""
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        one.open(f"http://127.0.0.1:{server.server_port}/evil.html", "window.outcomes.length === 2")
    finally:
        server.shutdown()
        server.server_close()
    assert one.run("window.outcomes") == ["refused", "refused"]
    posts = [
        e["params"]["response"]["status"] for e in one.events
        if e["method"] == "Network.responseReceived" and e["params"]["response"]["url"].endswith("/review")
    ]  # fmt: skip
    assert posts
    assert set(posts) == {403}
    assert read_reviews(viewer.inventory)[FIRST] == ("unreviewed", "")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
