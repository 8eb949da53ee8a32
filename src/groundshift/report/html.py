"""The report page: one HTML file that opens anywhere, offline.

Scripts, pictures and styles are inside the file. A content security policy forbids the page to fetch anything and to
run any script but its own three, so that text from a user's files stays text even where escaping would fail.
"""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import BooleanFilter, CDSView, ColumnDataSource, HoverTool, Range1d, TapTool
from bokeh.plotting import figure
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, get_num_coordinates

from groundshift.inventory.model import Kind, Target
from groundshift.io.atomic import write_text
from groundshift.pairs import date_graph
from groundshift.report.content import (
    Patch,
    ReportContent,
    TrackContent,
    best_targets,
    cut_patches,
    extent_of,
    flatten_settings,
    headline_of,
    write_number,
)
from groundshift.report.figures import histogram_figure, pairs_per_month_figure, round_length, to_svg_text
from groundshift.report.layers import (
    Bounds,
    colour_stops,
    on_mercator,
    reduce_by,
    render_layer,
    round_limit,
    to_mercator,
)
from groundshift.report.network import network_figure

__all__ = ["MOST_PATCHES", "render_report", "write_report"]

MOST_PATCHES = 60
"""Targets that get evidence maps, best first."""

_MAP_PIXELS = 2_500_000
_LAYER_PIXELS = 1_200_000
_PATCH_PIXELS = 2_000_000
_LARGEST_PATCH = 160
_VERTICES = 60_000
_METRES_PER_DEGREE = math.radians(6_371_008.8)

_KINDS: dict[Kind, tuple[str, str, str]] = {
    "landslide": ("triangle", "#111111", "M8 2 15 14 1 14Z"),
    "subsidence": ("inverted_triangle", "#9A5B00", "M8 14 1 2 15 2Z"),
    "uplift": ("square", "#00684A", "M2 2H14V14H2Z"),
    "unknown": ("circle", "#8A2BA0", "M8 1a7 7 0 1 0 .01 0Z"),
}
"""Marker on the map, outline colour and the marker as an SVG path, by kind."""


def write_report(path: Path | str, content: ReportContent) -> None:
    """Write a report as one self-contained HTML file, whole or not at all.

    Parameters
    ----------
    path : path
        Such as `OUT/report.html`; an older report is replaced.
    content : ReportContent
        What to show. Layers are reduced as far as the file stays below about 10 MB; only the `MOST_PATCHES` best
        targets get evidence maps.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_text(Path(path), render_report(content))


def render_report(content: ReportContent) -> str:
    """Return the page as text."""
    loader = PackageLoader("groundshift.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = write_number

    def part(name: str) -> str:
        return loader.get_source(environment, name)[0]

    fill = _speed_scale(content.targets)
    bounds = extent_of(content)
    overview = _overview(content, bounds, fill) if bounds is not None else None
    bokeh = Resources(mode="inline", components=["bokeh"], log_level="warn").js_raw if overview else []
    scripts = [_no_end_tag(text) for text in (*bokeh, part("report.js"))]
    return environment.get_template("report.html.j2").render(
        content=content,
        headline=headline_of(content),
        policy=" ".join(f"'sha256-{_digest(text)}'" for text in scripts),
        style=Markup(part("report.css")),
        scripts=[Markup(text) for text in scripts],
        overview=overview,
        kinds={kind: {"colour": line, "path": path} for kind, (_, line, path) in _KINDS.items()},
        speed={"limit": fill, "stops": colour_stops("RdBu")},
        rows=[_row(target) for target in content.targets],
        patches=_patches(content),
        tracks=[_track(track, number) for number, track in enumerate(content.tracks)],
        settings=flatten_settings(content.settings),
    )


def _digest(text: str) -> str:
    """Return the hash by which the content security policy knows a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _no_end_tag(text: str) -> str:
    """Keep a script from ending its own element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _to_json(value: object) -> Markup:
    """Write JSON that can stand inside a script element whatever text it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _data_uri(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _speed_scale(targets: Sequence[Target]) -> float:
    """Return the speed in mm/yr at which colours end."""
    return round_limit(np.array([t.velocity_los_mm_yr for t in targets], np.float64))


@dataclass(frozen=True)
class _Overview:
    """The map, ready for the template."""

    item: Markup
    about: Markup
    layers: list[dict[str, Any]]
    names: list[str]
    has_base: bool
    reduced: int


def _overview(content: ReportContent, bounds: Bounds, fill: float) -> _Overview:
    """Build the map of all layers and targets."""
    (west, south), (east, north) = to_mercator(bounds.west, bounds.south), to_mercator(bounds.east, bounds.north)
    plot = figure(
        name="plot",
        x_range=Range1d(start=west, end=east),
        y_range=Range1d(start=south, end=north),
        x_axis_type="mercator",
        y_axis_type="mercator",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
        output_backend="canvas",
    )
    plot.toolbar.logo = None
    plot.grid.visible = False
    layers = [(number, layer) for number, track in enumerate(content.tracks) for layer in track.layers]
    layers.sort(key=lambda item: not item[1].base)
    share = min(_LAYER_PIXELS, _MAP_PIXELS // max(1, len(layers)))
    about: list[dict[str, Any]] = []
    factor = 1
    for order, (number, layer) in enumerate(layers):
        step = max(1, math.ceil(math.sqrt(layer.values.size / share)))
        factor = max(factor, step)
        png, (left, bottom, right, top) = on_mercator(layer, content.tracks[number].bounds, step)
        drawn = plot.image_url(
            url=[_data_uri(png)],
            x=left,
            y=top,
            w=right - left,
            h=top - bottom,
            anchor="top_left",
            name=f"layer-{order}",
        )
        drawn.visible = False
        about.append(
            {
                "model": f"layer-{order}",
                "name": layer.name,
                "track": number,
                "base": layer.base,
                "unit": layer.unit,
                "low": f"{layer.vmin:g}".replace("-", "−"),
                "high": f"{layer.vmax:g}",
                "stops": colour_stops(layer.cmap),
            }
        )
    _add_targets(plot, content.targets, fill)
    names = list(dict.fromkeys(item["name"] for item in about if not item["base"]))
    return _Overview(
        item=_to_json(json_item(plot, ID("map"))),
        about=_to_json({"layers": about, "home": [west, south, east, north], "names": names}),
        layers=about,
        names=names,
        has_base=any(item["base"] for item in about),
        reduced=factor,
    )


def _parts(shape: Polygon | MultiPolygon) -> list[Polygon]:
    """Return the polygons of a shape."""
    return list(shape.geoms) if isinstance(shape, MultiPolygon) else [shape]


def _simpler(shape: Polygon | MultiPolygon, tolerance: float) -> Polygon | MultiPolygon:
    """Return a shape with fewer vertices, or as it is where nothing would be left."""
    simple = shape.simplify(tolerance)
    return simple if isinstance(simple, Polygon | MultiPolygon) and not simple.is_empty else shape


def _rings(polygon: Polygon) -> list[NDArray[np.float64]]:
    """Return the outer ring and the holes of a polygon as (n, 2) longitude and latitude."""
    return [np.asarray(ring.coords)[:, :2] for ring in (polygon.exterior, *polygon.interiors)]


def _add_targets(plot: Any, targets: Sequence[Target], fill: float) -> None:
    """Draw targets twice, as outlines and as marks for when the outlines are too small to be seen."""
    shapes: list[Polygon | MultiPolygon] = [t.geometry for t in targets]
    tolerance = 2e-5
    while sum(int(get_num_coordinates(s)) for s in shapes) > _VERTICES and tolerance < 0.1:
        shapes = [_simpler(shape, tolerance) for shape in shapes]
        tolerance *= 2
    outlines = [
        [[[[round(v) for v in to_mercator(*p)] for p in ring] for ring in _rings(part)] for part in _parts(shape)]
        for shape in shapes
    ]
    marks = [to_mercator(p.x, p.y) for p in (t.geometry.representative_point() for t in targets)]
    palette = colour_stops("RdBu", 101)
    speeds = [t.velocity_los_mm_yr for t in targets]
    source = ColumnDataSource(
        {
            "xs": [[[[p[0] for p in ring] for ring in part] for part in shape] for shape in outlines],
            "ys": [[[[p[1] for p in ring] for ring in part] for part in shape] for shape in outlines],
            "x": [round(x, 1) for x, _ in marks],
            "y": [round(y, 1) for _, y in marks],
            "id": [t.id for t in targets],
            "kind": [t.kind for t in targets],
            "speed": [
                f"{write_number(t.velocity_los_mm_yr, 1, True)} ± {write_number(t.velocity_sigma_mm_yr, 1)} mm/yr"
                for t in targets
            ],
            "score": [write_number(t.score, 2) for t in targets],
            "fill": [
                palette[round(50 + 50 * max(-1, min(1, v / fill)))] if math.isfinite(v) else "#bbbbbb" for v in speeds
            ],
            "line": [_KINDS[t.kind][1] for t in targets],
            "marker": [_KINDS[t.kind][0] for t in targets],
        },
        name="targets",
    )
    view = CDSView(filter=BooleanFilter(booleans=[True] * len(targets), name="shown"))
    steady = {"nonselection_fill_alpha": 0.55, "nonselection_line_alpha": 1.0, "selection_fill_alpha": 0.55}
    plot.multi_polygons(
        "xs",
        "ys",
        source=source,
        view=view,
        name="halo",
        fill_alpha=0,
        line_color="white",
        line_width=4.5,
        nonselection_fill_alpha=0,
        nonselection_line_alpha=1.0,
    )
    drawn = plot.multi_polygons(
        "xs",
        "ys",
        source=source,
        view=view,
        name="outlines",
        fill_color="fill",
        fill_alpha=0.55,
        line_color="line",
        line_width=2,
        selection_line_width=4,
        **steady,
    )
    scatter = plot.scatter(
        "x",
        "y",
        source=source,
        view=view,
        name="marks",
        marker="marker",
        size=11 if len(targets) <= 50 else 8 if len(targets) <= 400 else 6,
        fill_color="fill",
        line_color="line",
        line_width=1.2,
        selection_line_width=4,
        nonselection_fill_alpha=1.0,
        nonselection_line_alpha=1.0,
    )
    tips = [("target", "@id"), ("kind", "@kind"), ("towards satellite", "@speed"), ("score", "@score")]
    plot.add_tools(
        HoverTool(renderers=[drawn, scatter], tooltips=tips, name="hover"), TapTool(renderers=[drawn, scatter])
    )


def _row(target: Target) -> dict[str, Any]:
    """Return a target as the table shows it."""
    west, south, east, north = target.geometry.bounds
    (left, bottom), (right, top) = to_mercator(west, south), to_mercator(east, north)
    return {"target": target, "box": f"{left:.0f},{bottom:.0f},{right:.0f},{top:.0f}"}


def _patches(content: ReportContent) -> list[dict[str, Any]]:
    """Return the evidence maps of the best targets."""
    best = best_targets(content.targets, MOST_PATCHES)
    given = content.patches if content.patches is not None else cut_patches(content.tracks, best, limit=MOST_PATCHES)
    index = {id(t): number for number, t in enumerate(content.targets)}
    chosen = [(t, given[t.id][:3]) for t in best if given.get(t.id)]
    pictures = sum(len(patch.layers) for _, patches in chosen for patch in patches)
    side = min(_LARGEST_PATCH, int(math.sqrt(_PATCH_PIXELS / max(1, pictures))))
    return [
        {"target": t, "number": index[id(t)], "patches": [_patch(patch, t, side) for patch in patches]}
        for t, patches in chosen
    ]


def _patch(patch: Patch, target: Target, side: int) -> dict[str, Any]:
    """Return one track's maps around a target, as pictures with an outline in metres from the upper left corner."""
    west, south, east, north = patch.bounds
    shrink = max(0.05, math.cos(math.radians((south + north) / 2)))
    width, height = (east - west) * shrink * _METRES_PER_DEGREE, (north - south) * _METRES_PER_DEGREE

    def path(ring: NDArray[np.float64]) -> str:
        x, y = (ring[:, 0] - west) / (east - west) * width, (north - ring[:, 1]) / (north - south) * height
        return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True)) + "Z"

    pictures = []
    for layer in patch.layers:
        values = reduce_by(layer.values, max(1, math.ceil(max(layer.values.shape) / side)))
        small = replace(layer, values=values)
        pictures.append(
            {
                "layer": layer,
                "uri": _data_uri(render_layer(values, small.cmap, small.vmin, small.vmax, indexed=True)),
                "stops": colour_stops(layer.cmap),
            }
        )
    bar = round_length(width / 3)
    return {
        "track": patch.track,
        "width": width,
        "height": height,
        "outline": "".join(path(ring) for part in _parts(target.geometry) for ring in _rings(part)),
        "pictures": pictures,
        "bar": bar,
        "bar_text": f"{bar / 1000:g} km" if bar >= 1000 else f"{bar:g} m",
    }


def _track(track: TrackContent, number: int) -> dict[str, Any]:
    """Return a track with its pictures."""
    every = sorted({*track.pairs_used, *track.pairs_unused}, key=lambda p: (p.reference, p.secondary))
    graph = date_graph(track.pairs_used)
    network = network_figure(every, track.pairs_used) if every else None
    return {
        "track": track,
        "dates": len(graph.dates),
        "first": min(graph.dates, default=None),
        "last": max(graph.dates, default=None),
        "groups": len(graph.groups),
        "gaps": [gap for gap in graph.gaps if not gap.spanned],
        "network": Markup(to_svg_text(network, key=f"network-{number}")) if network else None,
        "months": Markup(to_svg_text(pairs_per_month_figure(track.pairs_used, track.pairs_unused), key=f"m-{number}"))
        if every
        else None,
        "histogram": Markup(to_svg_text(histogram_figure(track.significance), key=f"h-{number}"))
        if track.significance is not None
        else None,
    }
