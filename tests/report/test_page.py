"""The page in a real browser."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.report.contents import make_series

from groundshift.report import Bounds, ReportContent, SeriesContent, TrackContent, make_layer, write_report
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


SHOWN = "document.getElementById('panel').dataset.shown === '{}'"
PLOTTED = (
    "(() => {{ const doc = Bokeh.documents.find((d) => d.get_model_by_name('series-plot'));"
    " return doc.get_model_by_name('series-{}').data; }})()"
)


ON_MAP = """(() => {
  const plot = Bokeh.documents[0].get_model_by_name('plot');
  const data = Bokeh.documents[0].get_model_by_name('targets').data;
  const all = (n) => [...n.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  document.getElementById('map').scrollIntoView({ behavior: 'instant' });
  const box = all(document.getElementById('map')).find((e) => e.tagName === 'CANVAS').getBoundingClientRect();
  const frame = Bokeh.index.find_one(plot).frame.bbox;
  const part = (range, value) => (value - range.start) / (range.end - range.start);
  return [box.left + frame.left + part(plot.x_range, data.x[0]) * frame.width,
    box.top + frame.bottom - part(plot.y_range, data.y[0]) * frame.height];
})()"""
"""Where on the screen the first target is drawn."""


@pytest.fixture
def moved(browser, moving_file):
    browser.media()
    browser.open(moving_file.as_uri(), READY)
    return browser


def choose(browser, number, name):
    browser.run(f"document.querySelector('#t{number} .pick').click()")
    browser.wait(SHOWN.format(name))


def test_a_click_on_a_target_shows_its_series(moved, moving, moving_file):
    assert moved.run("document.getElementById('panel').hidden")
    # On the map: where its mark is drawn.
    moved.click(*moved.run(ON_MAP))
    first = moving.targets[0]
    moved.wait(SHOWN.format(first.id))
    points = moved.run(PLOTTED.format("points"))
    series = moving.series[first.id]
    assert points["track"] == ["T1"] * 30 + ["T2"] * 30
    np.testing.assert_allclose(points["y"], np.concatenate([s.displacement_mm for s in series]), atol=0.01)
    days = np.concatenate([s.dates for s in series])
    np.testing.assert_array_equal(np.array(points["x"]) / 86_400_000, days.astype(int))
    bars = moved.run(PLOTTED.format("bars"))
    np.testing.assert_allclose(np.subtract(bars["high"], bars["low"]), 4.0, atol=0.01)
    # No line is drawn across the break, and the time between is shaded.
    lines = moved.run(PLOTTED.format("lines"))
    assert [len(xs) for xs in lines["xs"]] == [15, 15, 15, 15]
    gaps = moved.run(PLOTTED.format("gaps"))
    assert np.subtract(gaps["x1"], gaps["x0"]).tolist() == [212 * 86_400_000] * 2
    # Nor is the fit, which may have stepped there.
    fits = moved.run(PLOTTED.format("fits"))
    assert [len(ys) for ys in fits["ys"]] == [5, 5, 5, 5]
    np.testing.assert_allclose(np.concatenate(fits["ys"]), np.concatenate([s.fit_mm for s in series]), atol=0.01)
    text = moved.run("document.getElementById('panel').textContent")
    for part in ("−30.0 ± 1.2 mm/yr", "steady: no wave, no turn", "Evidence of the stack"):
        assert part in text
    maps = "[...document.querySelectorAll('#panel figcaption')].map((f) => f.textContent)"
    assert sum("temporal coherence" in caption for caption in moved.run(maps)) == 2
    assert moved.complaints == []
    assert moved.asked == [moving_file.as_uri()]


def test_a_year_is_written_once_on_the_axis(moved, moving):
    choose(moved, 0, moving.targets[0].id)
    plot = "Bokeh.documents[1].get_model_by_name('series-plot')"
    for years in (0.01, 0.3, 2, 4, 9, 40):
        ticks = moved.run(f"{plot}.below[0].ticker.get_ticks(15e11, 15e11 + {years} * 365.25 * 864e5, null, 0).major")
        assert len(ticks) == len(set(ticks)) > 2


def test_the_map_moves_to_a_target_and_shows_no_more_than_there_is(browser, make_target, make_track, tmp_path):
    bounds = Bounds(100.0, 30.0, 100.05, 30.04)
    targets = [make_target(0, lon=100.021, lat=30.02, size=0.02), make_target(1, lon=100.03, lat=30.02, size=1e-4)]
    path = tmp_path / "report.html"
    write_report(path, ReportContent("Small", {}, [make_track(bounds=bounds, pairs_used=[])], targets))
    browser.media()
    browser.open(path.as_uri(), READY)
    west, south, east, north = browser.run("JSON.parse(document.getElementById('map-about').textContent).home")
    size = f"(({{ x_range: x, y_range: y }}) => [x.end - x.start, y.end - y.start])({MODEL.format('plot')})"
    browser.run("document.querySelector('#t0 .pick').click()")
    across, up = browser.run(size)
    # One of them fills the frame, whatever its shape.
    assert across == pytest.approx(east - west) or up == pytest.approx(north - south)
    browser.run("document.querySelector('#t1 .pick').click()")
    assert min(browser.run(size)) == pytest.approx(1500)


def test_the_next_target_takes_the_place_and_one_without_series_tells_why(moved, moving):
    first, second, third = (t.id for t in moving.targets)
    choose(moved, 0, first)
    # The best come first.
    moved.run("document.getElementById('after').click()")
    moved.wait(SHOWN.format(third))
    assert moved.run(MODEL.format("targets") + ".selected.indices") == [2]
    assert "No series: none was made for this target." in moved.run("document.getElementById('panel').innerText")
    moved.run("document.getElementById('after').click()")
    moved.wait(SHOWN.format(second))
    assert "No series: no stable ground within 2 km" in moved.run("document.getElementById('panel').innerText")
    assert not moved.run("document.getElementById('series').checkVisibility()")
    moved.run("document.getElementById('after').click()")
    moved.wait(SHOWN.format(first))
    assert moved.run("document.getElementById('series').checkVisibility()")


def test_the_panel_is_reached_and_left_by_keyboard(moved, moving):
    moved.run("document.querySelector('#t1 .pick').focus()")
    moved.press("Enter", 13, "\r")
    moved.wait(SHOWN.format(moving.targets[1].id))
    moved.wait("document.activeElement.id === 'panel-title'")
    moved.press("Escape", 27)
    moved.wait("document.getElementById('panel').hidden")
    assert moved.run("document.activeElement.textContent") == moving.targets[1].id
    assert moved.run(MODEL.format("targets") + ".selected.indices") == []


def test_series_of_two_thousand_targets_are_drawn_in_one_plot(browser, large_file):
    browser.media()
    browser.open(large_file.as_uri(), READY)
    for number in (0, 1999, 1000):
        choose(browser, number, f"GS-{number:05d}")
        assert len(browser.run(PLOTTED.format("points") + ".x")) == 120
    assert browser.run("Bokeh.documents.length") == 2
    assert browser.complaints == []


def test_hostile_text_in_series_runs_nothing(browser, moving, tmp_path):
    text = "<script>window.attacked = 1</script><img src=x onerror='window.attacked = 2'>"
    target = moving.targets[0]
    path = tmp_path / "report.html"
    hostile = make_series(target, text, facts={text: text})
    write_report(path, replace(moving, series={target.id: (hostile, SeriesContent("T2", reason=text))}))
    browser.open(path.as_uri(), READY)
    choose(browser, 0, target.id)
    assert browser.complaints == []
    assert browser.run("typeof window.attacked") == "undefined"
    for part in ("series-key", "panel-body"):
        assert text in browser.run(f"document.getElementById('{part}').textContent")


def test_the_plot_is_dark_on_a_dark_screen_and_light_on_paper(moved, moving):
    choose(moved, 0, moving.targets[0].id)
    border = "String(Bokeh.documents[1].get_model_by_name('series-plot').border_fill_color)"
    moved.media(scheme="dark")
    moved.wait(f"{border}.includes('#14191d')")
    moved.media(media="print", scheme="dark")
    moved.run("window.dispatchEvent(new Event('beforeprint'))")
    assert "#ffffff" in moved.run(border)
    assert not moved.run("document.querySelector('.panel-buttons').checkVisibility()")
    assert moved.run("document.querySelector('.small-plot').checkVisibility()")
    moved.run("window.dispatchEvent(new Event('afterprint'))")
    assert "#14191d" in moved.run(border)
    moved.media()


ON_PAPER = """(() => {
  const across = (e) => { const box = e.getBoundingClientRect(); return [box.left, box.right]; };
  const bar = document.querySelector('.ground-scale i');
  const before = bar.clientWidth / document.getElementById('map').clientWidth;
  window.dispatchEvent(new Event('beforeprint'));
  document.body.style.width = '690px';
  const pictures = [...document.querySelectorAll('.on-paper')];
  const found = { before, after: bar.clientWidth / pictures[0].clientWidth,
    pictures: pictures.map((p) => [across(p), across(p.parentElement)]),
    controls: across(document.getElementById('controls')),
    plots: ['map', 'series'].map((id) => document.getElementById(id).checkVisibility()) };
  document.body.style.width = '';
  window.dispatchEvent(new Event('afterprint'));
  return { ...found, left: document.querySelectorAll('.on-paper').length };
})()"""
"""All at once, as a browser prints: scripts that listen to sizes do not run before the paper is laid out."""


def test_plots_are_as_wide_as_the_paper(moved, moving):
    choose(moved, 0, moving.targets[0].id)
    moved.media(media="print")
    found = moved.run(ON_PAPER)
    moved.media()
    assert len(found["pictures"]) == 2
    for (left, right), (least, most) in found["pictures"]:
        assert least <= left < right <= most
        assert right - left < 690
    assert found["pictures"][0][0][1] < found["controls"][0]
    assert found["plots"] == [False, False]
    # The scale bar is as long a part of the picture as it was of the map.
    assert found["after"] == pytest.approx(found["before"], abs=0.01)
    assert found["left"] == 0


def test_an_address_may_name_a_target(browser, moving, moving_file):
    browser.media()
    second = moving.targets[1].id
    browser.open(f"{moving_file.as_uri()}#target={second}", READY)
    browser.wait(SHOWN.format(second))
    choose(browser, 0, moving.targets[0].id)
    assert browser.run("location.hash") == f"#target={moving.targets[0].id}"
    browser.run("document.getElementById('shut').click()")
    assert browser.run("location.hash") == ""
    browser.run("location.hash = '#target=unknown'")
    assert browser.run("document.getElementById('panel').hidden")
