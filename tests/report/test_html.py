import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import numpy as np
import pytest
from shapely import MultiPolygon, Point
from tests.report.contents import make_series

from groundshift.errors import OutputError
from groundshift.inventory import Review
from groundshift.report import (
    MaskShare,
    ReportContent,
    SeriesContent,
    draw_track,
    html,
    make_layer,
    render_report,
    render_target,
    write_report,
)

HOSTILE = "</script><script>alert('x')</script><img src=http://a.example/x onerror=alert(1)>\"'`$${{7*7}}"


class Page(HTMLParser):
    """What a browser would make of the page: elements, their attributes, and text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if not self._inside:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(t == tag for t, _ in self.elements)

    @property
    def rows(self) -> list[str]:
        return [a["data-kind"] for t, a in self.elements if t == "tr" and "data-index" in a]


def references(page: Page) -> list[str]:
    return [a[k] for _, a in page.elements for k in ("src", "href", "xlink:href", "srcset", "data", "action") if k in a]


def test_nothing_on_the_page_refers_to_the_network(page_file):
    page = Page(page_file.read_text())
    assert [r[:40] for r in references(page) if not r.startswith(("data:", "#"))] == []
    assert not [t for t, _ in page.elements if t in ("iframe", "object", "embed", "base")]
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "unsafe-eval" not in policy


def test_text_from_files_stays_text_wherever_it_appears(page_file, content, make_target, make_track):
    plain = Page(page_file.read_text())
    patched = replace(
        content,
        title=HOSTILE,
        facts={HOSTILE: HOSTILE, "Tracks": HOSTILE},
        tracks=[
            make_track(
                HOSTILE,
                layers=[replace(k, name=f"{k.name} {HOSTILE}", unit=HOSTILE) for k in make_track().layers],
                warnings=[HOSTILE],
                files_left_out=[HOSTILE],
                masks=[MaskShare(HOSTILE, 0.1)],
            )
        ],
        targets=[make_target(1, id=HOSTILE, note=HOSTILE, track=HOSTILE), make_target(2)],
        settings={HOSTILE: HOSTILE, "a": {"b": HOSTILE}},
        messages=[HOSTILE],
    )
    page = Page(render_report(patched))
    assert page.count("script") == plain.count("script")
    assert page.count("img") == plain.count("img") == 0
    assert not [k for _, a in page.elements for k in a if k.startswith("on")]
    assert [r for r in references(page) if not r.startswith(("data:", "#"))] == []
    assert page.text.count(HOSTILE) >= 12


@pytest.mark.parametrize("number", [0, 1])
def test_few_targets_make_a_whole_page(bare, make_target, number):
    page = Page(render_report(replace(bare, targets=[make_target(i) for i in range(number)])))
    assert len(page.rows) == number
    assert page.count("article") == number + 1
    assert ("No moving place was found in this area." in page.text) == (number == 0)


def test_two_thousand_targets_on_three_large_tracks_stay_below_ten_megabytes(large_file):
    assert large_file.stat().st_size < 10e6
    page = Page(large_file.read_text())
    assert len(page.rows) == 2000
    assert sum(a.get("class") == "card" for _, a in page.elements) == 60
    assert os.listdir(large_file.parent) == [large_file.name]


def test_a_report_of_nothing_says_so():
    page = Page(render_report(ReportContent("Nothing", {})))
    assert "There is nothing to map." in page.text
    assert page.count("script") == 1


def test_a_track_without_layers_or_pairs_is_shown(content, make_track):
    bare = make_track(layers=[], pairs_used=[], masks=[], significance=None, look=None)
    assert "0 pairs used." in Page(render_report(replace(content, tracks=[bare]))).text


def test_who_draws_the_pictures_of_a_track_makes_no_difference(content, make_track):
    tracks = [make_track("T1"), make_track("T2", layers=[], pairs_used=[], significance=None)]
    drawn = [replace(track, pictures=draw_track(track)) for track in tracks]
    pages = [render_report(replace(content, tracks=t)) for t in (drawn, tracks)]
    shown, again = (re.findall(r"<svg.*?</svg>", page, re.DOTALL) for page in pages)
    assert shown == again
    assert drawn[1].pictures == (None, None, None)
    own = replace(drawn[0], pictures=drawn[0].pictures._replace(months="<svg>mine</svg>"))
    assert "<svg>mine</svg>" in render_report(replace(content, tracks=[own]))


def test_facts_keep_their_order_and_masks_are_percentages(bare):
    text = Page(render_report(replace(bare, facts={"Zeta": 1, "Alpha": 2}))).text
    assert text.index("Zeta") < text.index("Alpha")
    assert "18.6 %" in text


def test_given_patches_are_used_instead_of_cut_ones(page_file, bare):
    assert "Evidence" in Page(page_file.read_text()).text
    assert "Evidence" not in Page(render_report(replace(bare, patches={}))).text


def test_every_part_and_hole_of_a_target_is_outlined(bare, make_target):
    ring = Point(100.2, 30.15).buffer(0.004).difference(Point(100.2, 30.15).buffer(0.002))
    shape = MultiPolygon([ring, Point(100.21, 30.15).buffer(0.001)])
    text = render_report(replace(bare, targets=[make_target(geometry=shape)]))
    outline = re.search(r'<path d="([^"]+)" class="outline"/>', text)
    assert outline is not None
    assert outline.group(1).count("M") == outline.group(1).count("Z") == 3


def test_unknown_values_are_dashes(bare, make_target):
    unknown = make_target(velocity_los_mm_yr=float("nan"), velocity_sigma_mm_yr=float("nan"))
    page = Page(render_report(replace(bare, targets=[unknown])))
    assert "– ± –" in page.text
    assert "nan" not in page.text


def test_ids_on_the_page_are_unique_and_links_lead_somewhere(content, make_track):
    page = Page(render_report(replace(content, tracks=[make_track(), make_track("T2")])))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {r[1:] for r in references(page) if r.startswith("#")} <= set(ids)


def test_a_page_has_one_style_so_that_no_picture_dresses_the_others(page_file):
    page = Page(page_file.read_text())
    assert page.count("svg") > 3
    assert page.count("style") == 1


def test_maps_that_are_looked_at_side_by_side_have_one_scale(moving):
    """Of tracks on the map, of both velocities of all tracks of a target, of its gradients in both directions."""
    target = moving.targets[0]
    series = [
        replace(make_series(target, track), layers=(make_layer("velocity", "inverted", np.zeros((3, 3)), vmax=top),))
        for track, top in (("T1", 20.0), ("T2", 50.0))
    ]
    gradients = [
        [make_layer("velocity_gradient", f"gradient, {way}", np.full((30, 40), top)) for way, top in ways]
        for ways in ((("north", 4.0), ("east", 80.0)), (("north", 9.0), ("east", 1.0)))
    ]
    tracks = [replace(track, layers=some) for track, some in zip(moving.tracks, gradients, strict=True)]
    page = render_report(replace(moving, tracks=tracks, series={target.id: series}))
    about = json.loads(re.search(r'id="map-about">(.*?)</script>', page).group(1))
    assert [(k["name"], k["high"]) for k in about["layers"]] == [
        ("gradient, north", "10"), ("gradient, east", "80"), ("gradient, north", "10"), ("gradient, east", "80"),
    ]  # fmt: skip
    card = page[page.index('id="e0"') :].split("</article>")[0]
    ends = re.findall(r"<figcaption>(\w+).*?<span>−([\d.]+)</span>.*?<span>([\d.]+)</span>", card, re.DOTALL)
    assert ends == [("inverted", "50", "50")] * 2 + [("gradient", "80", "80")] * 2


def test_every_picture_has_a_text(page_file):
    page = Page(page_file.read_text())
    pictures = [a for t, a in page.elements if a.get("role") == "img"]
    assert len(pictures) == 1 + 2 * 3 + 3
    assert all(len(a["aria-label"]) > 20 for a in pictures)


def test_long_lists_of_messages_are_cut_and_say_so(bare):
    text = Page(render_report(replace(bare, messages=[f"message {i}" for i in range(150)]))).text
    assert "message 99" in text
    assert "message 100" not in text
    assert "and 50 more, in the log of the run" in text


def test_a_place_that_cannot_be_written_is_one_line(bare, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"report\.html: cannot be written"):
        write_report(tmp_path / "file" / "report.html", bare)


def test_without_series_the_page_has_nothing_of_them(page_file):
    page = Page(page_file.read_text())
    assert not {a.get("id") for _, a in page.elements} & {"panel", "series-data", "live-data", "review"}
    assert "template" not in [t for t, _ in page.elements]
    assert "series" not in page.text


def test_every_target_has_its_facts_or_the_reason_for_having_none(moving):
    text = render_report(moving)
    page = Page(text)
    assert page.text.count("−30.0 ± 1.2 mm/yr") == 2
    assert "No series: no stable ground within 2 km" in page.text
    assert "No series: none was made for this target." in page.text
    assert text.count('class="small-plot"') == 1
    assert page.text.count("inverted velocity (mm/yr)") == 2


def test_targets_beyond_the_maps_have_facts_and_are_told_what_is_left_out(moving, monkeypatch):
    monkeypatch.setattr(html, "MOST_PATCHES", 1)
    first, second, third = moving.targets
    second = replace(second, score=0.5)
    content = replace(
        moving, targets=[first, second, third], series={t.id: (make_series(t),) for t in (first, second, third)}
    )
    page = Page(render_report(content))
    assert [a["id"] for t, a in page.elements if t == "template"] == ["s2", "s1"]
    assert [a["id"] for t, a in page.elements if t == "tr" and "data-index" in a] == ["t0", "t2", "t1"]
    assert page.text.count("The maps of this target are left out to keep this file small") == 2
    monkeypatch.setattr(html, "MOST_VALUES", 70)
    short = render_report(content)
    items = json.loads(re.search(r'id="series-data">(.*?)</script>', short).group(1))["items"]
    assert {key: len(of) for key, of in items.items()} == {"0": 1, "2": 0, "1": 0}
    assert short.count("The maps and series of this target are left out to keep this file small") == 2


def test_text_of_series_stays_text(moving):
    target = moving.targets[0]
    hostile = replace(
        make_series(target, HOSTILE, facts={HOSTILE: HOSTILE}),
        layers=(make_layer("velocity", HOSTILE, np.ones((3, 3)), unit=HOSTILE),),
    )
    content = replace(moving, series={target.id: (hostile, SeriesContent("T2", reason=HOSTILE))})
    plain, page = Page(render_report(moving)), Page(render_report(content))
    assert page.count("script") == plain.count("script")
    assert page.count("img") == 0
    assert not [k for _, a in page.elements for k in a if k.startswith("on")]
    assert page.text.count(HOSTILE) >= 4
    told = render_target(content, target)
    assert Page(told["html"]).count("script") == Page(told["html"]).count("img") == 0
    assert "</script" not in told["html"]


def test_the_page_of_the_viewer_holds_nothing_of_single_targets_and_may_ask_its_own_server_only(moving):
    page = Page(render_report(moving, live={"token": "t</script>", "reviews": {}}))
    assert "template" not in [t for t, _ in page.elements]
    assert "No series" not in page.text
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "connect-src 'self';" in policy
    assert sorted(a["data-review"] for t, a in page.elements if t == "button" and "data-review" in a) == sorted(
        get_args(Review)
    )


def test_what_is_told_of_one_target_is_what_its_card_tells(moving):
    target = moving.targets[0]
    told = render_target(moving, target)
    assert list(told["series"]["items"]) == [target.id]
    assert [t["name"] for t in told["series"]["tracks"]] == ["T1", "T2"]
    text = Page(told["html"]).text
    card = Page(render_report(moving)).text
    assert "Unwrapped and inverted" in text
    for line in filter(None, map(str.strip, text.splitlines())):
        assert line in card
