"""The page in a real browser."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from groundshift.report import Bounds, ReportContent, TrackContent, make_layer, write_report
from groundshift.report.html import MOST_PATCHES

READY = "document.documentElement.dataset.map === 'ready'"
CANVASES = """(() => { const all = (n) => [...n.querySelectorAll('*')].flatMap((e) => [
  ...(e.tagName === 'CANVAS' ? [[e.width, e.height]] : []), ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  return all(document.getElementById('map')); })()"""
MODEL = "Bokeh.documents[0].get_model_by_name('{}')"


@pytest.fixture
def opened(browser, page_file):
    browser.media()
    browser.open(page_file.as_uri(), READY)
    return browser


def test_the_page_loads_without_a_complaint_and_asks_for_nothing(opened, page_file):
    assert opened.asked == [page_file.as_uri()]
    assert opened.complaints == []
    assert opened.run("document.querySelectorAll('#table tbody tr').length") == 2
    sizes = opened.run(CANVASES)
    assert sizes
    assert all(width > 400 and height > 300 for width, height in sizes)


def test_a_page_that_does_ask_and_complain_is_noticed(browser, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("<img src='http://127.0.0.1:9/x.png'><script>missing()</script>")
    browser.open(path.as_uri())
    assert "http://127.0.0.1:9/x.png" in browser.asked
    assert any("missing is not defined" in c for c in browser.complaints)


def test_the_policy_stops_what_escaping_would_have_let_through(browser, page_file, tmp_path):
    path = tmp_path / "attacked.html"
    attack = "<script>window.attacked = 1</script><img src='http://127.0.0.1:9/x.png' onerror='window.attacked = 2'>"
    path.write_text(page_file.read_text().replace("<main>", f"<main>{attack}"))
    browser.open(path.as_uri(), READY)
    assert browser.run("typeof window.attacked") == "undefined"
    assert any("Content Security Policy" in c for c in browser.complaints)


def test_hostile_text_runs_nothing(browser, content, make_target, make_track, tmp_path):
    text = "<script>window.attacked = 1</script><img src=x onerror='window.attacked = 2'>"
    path = tmp_path / "report.html"
    tracks, targets = (
        [make_track(n, pairs_used=[], significance=None) for n in (text, "T2")],
        [make_target(id=text, note=text, track=text)],
    )
    write_report(path, replace(content, title=text, tracks=tracks, targets=targets))
    browser.open(path.as_uri(), READY)
    browser.run("document.querySelector('.pick').click()")
    assert browser.complaints == []
    assert browser.run("typeof window.attacked") == "undefined"
    assert text in browser.run("document.getElementById('picked').textContent")
    assert browser.run("document.querySelector('#track option:nth-child(2)').textContent") == text


def test_table_and_map_select_each_other(opened):
    opened.run("document.querySelectorAll('.pick')[1].click()")
    assert opened.run(MODEL.format("targets") + ".selected.indices") == [1]
    # The map moves to the target, with one scale on both axes.
    middle, across, up = opened.run(
        f"(() => {{ const p = {MODEL.format('plot')}; return [(p.x_range.start + p.x_range.end) / 2,"
        " (p.x_range.end - p.x_range.start) / p.inner_width, (p.y_range.end - p.y_range.start) / p.inner_height]; })()"
    )
    assert middle == pytest.approx(np.radians(100.3) * 6378137, abs=5)
    assert across == pytest.approx(up, rel=1e-6)
    opened.run(f"{MODEL.format('targets')}.selected.indices = [0]")
    assert opened.run("document.querySelector('.picked-row').dataset.index") == "0"
    assert opened.run("document.querySelector('.pick[aria-pressed=true]').textContent") == "GS-00001"


def test_the_table_sorts_both_ways_and_filters_with_the_map(opened):
    ids = "Array.from(document.querySelectorAll('#table tbody tr:not([hidden]) .pick')).map((b) => b.textContent)"
    head = "document.querySelectorAll('#table thead button')[2].click()"
    opened.run(head)
    assert opened.run(ids) == ["GS-00002", "GS-00001"]
    opened.run(head)
    assert opened.run(ids) == ["GS-00001", "GS-00002"]
    opened.run("""(() => { document.getElementById('slowest').value = '20';
      document.getElementById('filters').dispatchEvent(new Event('input')); })()""")
    assert opened.run(ids) == ["GS-00001"]
    assert opened.run(MODEL.format("shown") + ".booleans") == [True, False]
    assert opened.run("document.getElementById('count').textContent") == "1 of 2 targets"


def test_layers_are_toggled_and_the_map_shows_their_colours(browser, make_target, tmp_path):
    high, low = (make_layer("velocity", n, np.full((30, 40), v), vmax=1.0) for n, v in (("up", 1.0), ("down", -1.0)))
    track = TrackContent("T1", Bounds(100.0, 30.0, 100.4, 30.3), [high, low])
    path = tmp_path / "report.html"
    write_report(path, ReportContent("Colours", {}, [track]))
    browser.media()
    browser.open(path.as_uri(), READY)

    def share(colour: tuple[int, int, int]) -> float:
        pixels = np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("RGB")).astype(int)
        return float((np.abs(pixels - colour).max(axis=-1) < 4).mean())

    blue, red = (5, 48, 97), (103, 0, 31)
    assert share(blue) > 0.05
    assert share(red) < 0.01
    browser.run("document.querySelectorAll('input[name=layer]')[1].click()")
    browser.wait(f"{MODEL.format('layer-1')}.visible && !{MODEL.format('layer-0')}.visible")
    browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")
    assert share(red) > 0.05
    assert share(blue) < 0.01


def test_the_page_is_dark_on_a_dark_screen_and_the_map_with_it(opened):
    opened.media(scheme="dark")
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 29)"
    # The map follows when the browser has told the page of the change.
    opened.wait(f"String({MODEL.format('plot')}.border_fill_color).includes('#14191d')")
    opened.media()


def test_paper_has_no_controls_and_every_detail_open(opened):
    opened.media(media="print")
    opened.run("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.run("getComputedStyle(document.getElementById('filters')).display") == "none"
    assert opened.run("Array.from(document.querySelectorAll('details')).every((d) => d.open)")
    assert opened.run("getComputedStyle(document.querySelector('.table-box')).maxHeight") == "none"
    opened.media()


def test_two_thousand_targets_open(browser, large_file):
    browser.media()
    browser.open(large_file.as_uri(), READY)
    assert browser.complaints == []
    assert browser.run("document.querySelectorAll('#table tbody tr').length") == 2000
    assert browser.run("document.querySelectorAll('.card').length") == MOST_PATCHES
