"""The report page: one HTML file that opens anywhere, offline.

Scripts, pictures and styles are inside the file. A content security policy forbids the page to fetch anything and to
run any script but its own, so that text from a user's files stays text even where escaping would fail. The viewer shows
the same page, which then asks its own server for what belongs to a target.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from groundshift.inventory.model import Target
from groundshift.io.atomic import write_text
from groundshift.pairs import date_graph
from groundshift.report.content import (
    Patch,
    ReportContent,
    SeriesContent,
    TrackContent,
    best_targets,
    cut_patches,
    extent_of,
    flatten_settings,
    headline_of,
    with_minus_signs,
    write_number,
)
from groundshift.report.embedding import no_end_tag, script_digest, to_json
from groundshift.report.layers import colour_stops, round_limit, share_scales, to_mercator
from groundshift.report.overview import KINDS, make_overview
from groundshift.report.pictures import draw_patch
from groundshift.report.series import PlotData, draw_small, series_figure, style_of
from groundshift.report.track_pictures import draw_track

__all__ = ["MOST_PATCHES", "MOST_VALUES", "render_report", "render_target", "write_report"]

MOST_PATCHES = 60
"""Targets that get maps in a report, best first."""
MOST_VALUES = 2_000_000
"""Numbers of all series in a report; the series of targets beyond are left out, best first."""

_PATCH_PIXELS = 2_000_000
_LARGEST_PATCH = 160
_LOADER = PackageLoader("groundshift.report")


def write_report(path: Path | str, content: ReportContent) -> None:
    """Write a report as one self-contained HTML file, whole or not at all.

    Parameters
    ----------
    path : path
        Such as `OUT/report.html`; an older report is replaced.
    content : ReportContent
        What to show. Layers are reduced as far as the file stays below about 10 MB, with very many series 15 MB; only
        the `MOST_PATCHES` best targets get maps, and series are held up to `MOST_VALUES` numbers.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_text(Path(path), render_report(content))


def render_report(content: ReportContent, *, live: Mapping[str, object] | None = None) -> str:
    """Return the page as text.

    Parameters
    ----------
    content : ReportContent
        What to show.
    live : mapping, optional
        What the viewer tells the page's script, as JSON can hold it. The page then holds nothing of single targets:
        it asks for `render_target` of each that is chosen, and has buttons for reviews.
    """
    environment = _environment()
    speed = _speed_scale(content.targets)
    bounds = extent_of(content)
    overview = make_overview(content, bounds, speed) if bounds is not None else None
    with_panel = overview is not None and bool(content.targets) and (bool(content.series) or live is not None)
    cards, parts, data = ([], [], PlotData(content)) if live is not None else _all_parts(content)
    own = ["report.js", *(["panel.js"] if with_panel else []), *(["live.js"] if live is not None else [])]
    bokeh = Resources(mode="inline", components=["bokeh"], log_level="warn").js_raw if overview else []
    scripts = [no_end_tag(text) for text in (*bokeh, *map(_source, own))]
    return environment.get_template("report.html.j2").render(
        content=content,
        headline=headline_of(content),
        policy=" ".join(f"'sha256-{script_digest(text)}'" for text in scripts),
        style=Markup(_source("report.css")),
        scripts=[Markup(text) for text in scripts],
        overview=overview,
        speed={"limit": speed, "stops": colour_stops("RdBu")},
        rows=_rows(content.targets),
        cards=cards,
        parts=parts,
        panel={"item": series_figure(), "data": to_json(data.for_page())} if with_panel else None,
        live=to_json(live) if live is not None else None,
        tracks=[_track(track) for track in content.tracks],
        settings=flatten_settings(content.settings),
    )


def render_target(content: ReportContent, target: Target) -> dict[str, Any]:
    """Return what belongs to one target: `html` for the panel, and `series` for its plot."""
    patches = _given_patches(content, [target]).get(target.id, ())
    series = content.series.get(target.id, ())
    data = PlotData(content)
    data.add(target.id, series)
    part = _part(content, target, 0, series, patches, _LARGEST_PATCH)
    html = _environment().get_template("target.html.j2").render(content=content, part=part)
    return {"html": html, "series": data.for_page()}


def _environment() -> Environment:
    """Return what renders templates."""
    environment = Environment(loader=_LOADER, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = write_number
    environment.filters["minus"] = with_minus_signs
    environment.globals["kinds"] = {kind: {"colour": line, "path": path} for kind, (_, line, path) in KINDS.items()}
    return environment


def _source(name: str) -> str:
    """Return a file that lies beside the templates, as it stands."""
    return _LOADER.get_source(Environment(autoescape=True), name)[0]


def _speed_scale(targets: Sequence[Target]) -> float:
    """Return the speed in mm/yr at which colours end; a few are faster, so that most can be told apart."""
    return round_limit(np.array([t.velocity_los_mm_yr for t in targets], np.float64), percentile=90.0)


def _rows(targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return the targets as the table shows them, best first; `number` is their place among those given."""
    number = {id(t): k for k, t in enumerate(targets)}
    rows = []
    for target in best_targets(targets, len(targets)):
        west, south, east, north = target.geometry.bounds
        (left, bottom), (right, top) = to_mercator(west, south), to_mercator(east, north)
        box = f"{left:.0f},{bottom:.0f},{right:.0f},{top:.0f}"
        rows.append({"target": target, "number": number[id(target)], "box": box})
    return rows


def _given_patches(content: ReportContent, targets: Sequence[Target]) -> Mapping[str, Sequence[Patch]]:
    """Return the evidence maps by target, cut out of the layers unless they are given."""
    return content.patches if content.patches is not None else cut_patches(content.tracks, targets, limit=len(targets))


def _all_parts(content: ReportContent) -> tuple[list[dict[str, Any]], list[dict[str, Any]], PlotData]:
    """Return cards of the best targets, what is told of the others without maps, and the series of both."""
    best = best_targets(content.targets, len(content.targets))
    index = {id(t): number for number, t in enumerate(content.targets)}
    given = _given_patches(content, best[:MOST_PATCHES])
    data = PlotData(content)
    chosen, rest = [], []
    for rank, target in enumerate(best):
        number = index[id(target)]
        series = content.series.get(target.id, ())
        held = data.size < MOST_VALUES
        data.add(str(number), series if held else ())
        patches = given.get(target.id, ())[:3] if rank < MOST_PATCHES else ()
        if patches or (series and rank < MOST_PATCHES):
            chosen.append((target, number, series, patches))
        elif content.series:
            rest.append(_part(content, target, number, series, (), 0, held))
    pictures = sum(len(p.layers) for _, _, _, patches in chosen for p in patches)
    pictures += sum(len(s.layers) for _, _, series, _ in chosen for s in series)
    side = min(_LARGEST_PATCH, int(math.sqrt(_PATCH_PIXELS / max(1, pictures))))
    cards = [_part(content, t, number, series, patches, side) for t, number, series, patches in chosen]
    return cards, rest, data


def _part(
    content: ReportContent,
    target: Target,
    number: int,
    series: Sequence[SeriesContent],
    patches: Sequence[Patch],
    side: int,
    held: bool = True,
) -> dict[str, Any]:
    """Return what is told of one target; maps have at most `side` pixels, none with 0; `held`: its plot is there."""
    among = [s.track for s in series]
    told: list[dict[str, Any]] = [
        {"track": s.track, "style": style_of(content, s.track, among), "reason": s.reason, "facts": s.facts.items()}
        for s in series
    ]
    if not told and content.series:
        told = [{"track": "", "style": None, "reason": "none was made for this target.", "facts": ()}]
    around = _alike([Patch(s.track, s.bounds, s.layers) for s in series if s.layers and s.bounds is not None])
    missing = [*(["maps"] if around and not side else []), *(["series"] if series and not held else [])]
    note = f"The {' and '.join(missing)} of this target are left out to keep this file small" if missing else ""
    return {
        "target": target,
        "number": number,
        "plot": draw_small(content, series) if side else None,
        "series": told,
        "maps": [draw_patch(patch, target, side) for patch in around if side],
        "patches": [draw_patch(patch, target, side) for patch in _alike(patches, fit=True)],
        "note": f"{note}; groundshift view shows them." if note else "",
    }


def _alike(patches: Sequence[Patch], *, fit: bool = False) -> list[Patch]:
    """Return maps that are looked at side by side with common scales."""
    shared = share_scales([p.layers for p in patches], fit=fit)
    return [replace(patch, layers=layers) for patch, layers in zip(patches, shared, strict=True)]


def _track(track: TrackContent) -> dict[str, Any]:
    """Return a track with its pictures."""
    graph = date_graph(track.pairs_used)
    pictures = track.pictures or draw_track(track)
    return {
        "track": track,
        "dates": len(graph.dates),
        "first": min(graph.dates, default=None),
        "last": max(graph.dates, default=None),
        "groups": len(graph.groups),
        "gaps": [gap for gap in graph.gaps if not gap.spanned],
        **{name: None if svg is None else Markup(svg) for name, svg in pictures._asdict().items()},
    }
