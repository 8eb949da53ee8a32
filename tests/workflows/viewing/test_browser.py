"""The viewer as two people see it at once."""

import json
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.report.browser import CHROMIUM, Browser
from tests.workflows.viewing.viewers import FIRST, write_survey

from groundshift.inventory import read_inventory
from groundshift.inventory.review import read_reviews
from groundshift.workflows.serving import serve_survey


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
