import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from shapely import MultiPolygon, Point

from groundshift.errors import OutputError
from groundshift.report import MaskShare, ReportContent, render_report, write_report

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
