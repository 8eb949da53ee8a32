"""The map of the whole survey: layers, targets and the controls that choose among them, drawn by bokeh."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import BooleanFilter, CDSView, ColumnDataSource, HoverTool, Range1d, TapTool
from bokeh.plotting import figure
from markupsafe import Markup
from shapely import MultiPolygon, Polygon, get_num_coordinates

from groundshift.inventory.model import Kind, Target
from groundshift.report.content import ReportContent, write_number
from groundshift.report.embedding import data_uri, to_json
from groundshift.report.layers import Bounds, colour_stops, on_mercator, share_scales, to_mercator
from groundshift.report.pictures import parts_of, rings_of

__all__ = ["KINDS", "Overview", "make_overview"]

KINDS: dict[Kind, tuple[str, str, str]] = {
    "landslide": ("triangle", "#111111", "M8 2 15 14 1 14Z"),
    "subsidence": ("inverted_triangle", "#9A5B00", "M8 14 1 2 15 2Z"),
    "uplift": ("square", "#00684A", "M2 2H14V14H2Z"),
    "unknown": ("circle", "#8A2BA0", "M8 1a7 7 0 1 0 .01 0Z"),
}
"""Marker on the map, outline colour and the marker as an SVG path, by kind."""

_MAP_PIXELS = 2_500_000
_LAYER_PIXELS = 1_200_000
_VERTICES = 60_000


@dataclass(frozen=True)
class Overview:
    """The map, ready for the template."""

    item: Markup
    about: Markup
    layers: list[dict[str, Any]]
    names: list[str]
    has_base: bool
    reduced: int


def make_overview(content: ReportContent, bounds: Bounds, fill: float) -> Overview:
    """Build the map of all layers and targets; `fill` is the speed in mm/yr at which colours end."""
    (west, south), (east, north) = to_mercator(bounds.west, bounds.south), to_mercator(bounds.east, bounds.north)
    plot = figure(
        name="plot",
        x_range=Range1d(start=west, end=east),
        y_range=Range1d(start=south, end=north),
        x_axis_type="mercator",
        y_axis_type="mercator",
        x_axis_label="longitude (°)",
        y_axis_label="latitude (°)",
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        sizing_mode="stretch_both",
        output_backend="canvas",
    )
    plot.toolbar.logo = None
    plot.grid.visible = False
    plot.axis.major_label_text_font_size = plot.axis.axis_label_text_font_size = "12px"
    # All tracks are shown at once, with one colour bar.
    maps = share_scales([track.layers for track in content.tracks], named=True)
    layers = [(number, layer) for number, some in enumerate(maps) for layer in some]
    layers.sort(key=lambda item: not item[1].base)
    share = min(_LAYER_PIXELS, _MAP_PIXELS // max(1, len(layers)))
    about: list[dict[str, Any]] = []
    factor = 1
    for order, (number, layer) in enumerate(layers):
        step = max(1, math.ceil(math.sqrt(layer.values.size / share)))
        factor = max(factor, step)
        png, (left, bottom, right, top) = on_mercator(layer, content.tracks[number].bounds, step)
        drawn = plot.image_url(
            url=[data_uri(png)],
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
    return Overview(
        item=to_json(json_item(plot, ID("map"))),
        about=to_json({"layers": about, "home": [west, south, east, north], "names": names}),
        layers=about,
        names=names,
        has_base=any(item["base"] for item in about),
        reduced=factor,
    )


def _simpler(shape: Polygon | MultiPolygon, tolerance: float) -> Polygon | MultiPolygon:
    """Return a shape with fewer vertices, or as it is where nothing would be left."""
    simple = shape.simplify(tolerance)
    return simple if isinstance(simple, Polygon | MultiPolygon) and not simple.is_empty else shape


def _add_targets(plot: Any, targets: Sequence[Target], fill: float) -> None:
    """Draw targets twice, as outlines and as marks for when the outlines are too small to be seen."""
    shapes: list[Polygon | MultiPolygon] = [t.geometry for t in targets]
    tolerance = 2e-5
    while sum(int(get_num_coordinates(s)) for s in shapes) > _VERTICES and tolerance < 0.1:
        shapes = [_simpler(shape, tolerance) for shape in shapes]
        tolerance *= 2
    outlines = [
        [[[[round(v) for v in to_mercator(*p)] for p in ring] for ring in rings_of(part)] for part in parts_of(shape)]
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
            "line": [KINDS[t.kind][1] for t in targets],
            "marker": [KINDS[t.kind][0] for t in targets],
        },
        name="targets",
    )
    view = CDSView(filter=BooleanFilter(booleans=[True] * len(targets), name="shown"))
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
        # The layer is to be seen inside the chosen target.
        selection_fill_alpha=0.0,
        nonselection_fill_alpha=0.55,
        nonselection_line_alpha=1.0,
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
