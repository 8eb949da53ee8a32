"""Maps and charts for print.

Maps carry what a reader needs to use them without the text: scale bar, arrows for north and for the flight and look
directions, colour bar with unit, outlines with the ids of targets.
"""

import io
import math
import re
from collections.abc import Sequence
from datetime import date

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from shapely import MultiPolygon, Polygon

from groundshift.constants import EARTH_RADIUS
from groundshift.inventory.model import Target
from groundshift.report.content import Histogram
from groundshift.report.layers import Bounds, Layer
from groundshift.types import LookGeometry, Pair

__all__ = [
    "histogram_figure",
    "map_figure",
    "pairs_per_month_figure",
    "radar_figure",
    "round_length",
    "to_png_bytes",
    "to_svg_text",
]

_HALO = [withStroke(linewidth=2.5, foreground="white")]
_INK = "#010203"
"""Stands for the text colour of the page in pictures that are set into HTML."""


def map_figure(
    layer: Layer,
    bounds: Bounds,
    *,
    targets: Sequence[Target] = (),
    hill_shade: Layer | None = None,
    look: LookGeometry | None = None,
    title: str = "",
) -> Figure:
    """Draw a layer on the map, north up.

    Parameters
    ----------
    layer : Layer
        North up in EPSG:4326; transparent over the hill shade where it is not finite.
    bounds : Bounds
        Outer edges of `layer` and `hill_shade`, degrees.
    targets : sequence of Target
        Outlined, with their ids.
    hill_shade : Layer, optional
        Drawn beneath.
    look : LookGeometry, optional
        Draws arrows of flight (azimuth) and look (range) direction.
    title : str
        Written above as it stands.
    """
    lat = (bounds.south + bounds.north) / 2
    shrink = max(0.05, math.cos(math.radians(lat)))
    wide, high = (bounds.east - bounds.west) * shrink, bounds.north - bounds.south
    figure, axes = _sheet(wide / high)
    extent = (bounds.west, bounds.east, bounds.south, bounds.north)
    _draw(figure, axes, layer, hill_shade, extent)
    axes.set_aspect(1 / shrink)
    axes.set_xlim(bounds.west, bounds.east)
    axes.set_ylim(bounds.south, bounds.north)
    for target in targets:
        _outline(axes, target)
    axes.xaxis.set_major_formatter(lambda v, _: f"{abs(v):.6g}° {'E' if v >= 0 else 'W'}")
    axes.yaxis.set_major_formatter(lambda v, _: f"{abs(v):.6g}° {'N' if v >= 0 else 'S'}")
    axes.locator_params(axis="x", nbins=4)
    axes.locator_params(axis="y", nbins=5)
    per_degree = math.radians(EARTH_RADIUS) * shrink
    _scale_bar(axes, (bounds.east - bounds.west) * per_degree)
    arrows = {"N": 0.0}
    if look is not None:
        arrows["azimuth"] = look.heading
        arrows["range"] = look.heading + (90 if look.right_looking else -90)
    _arrows(figure, axes, arrows)
    axes.set_title(title, parse_math=False, fontsize=10, loc="left")
    return figure


def radar_figure(
    layer: Layer, spacing: tuple[float, float], *, hill_shade: Layer | None = None, title: str = ""
) -> Figure:
    """Draw a layer in radar geometry: azimuth runs down, range to the right, as the array does.

    Parameters
    ----------
    layer : Layer
        Rows along azimuth, columns along range.
    spacing : (float, float)
        Pixel size on the ground in metres along azimuth and range.
    hill_shade : Layer, optional
        Drawn beneath, on the same pixels.
    title : str
        Written above as it stands.
    """
    high, wide = (n * s / 1000 for n, s in zip(layer.values.shape, spacing, strict=True))
    figure, axes = _sheet(wide / high)
    _draw(figure, axes, layer, hill_shade, (0.0, wide, high, 0.0))
    axes.set_aspect("equal")
    axes.set_xlabel("range (km)")
    axes.set_ylabel("azimuth (km)")
    _scale_bar(axes, wide * 1000)
    _arrows(figure, axes, {"azimuth": 180.0, "range": 90.0})
    axes.set_title(title, parse_math=False, fontsize=10, loc="left")
    return figure


def histogram_figure(histogram: Histogram) -> Figure:
    """Draw significance values against the standard normal that pure noise would follow."""
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.add_subplot()
    if histogram.total == 0:
        axes.text(0.5, 0.5, "no pixel has a value", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    width = np.diff(histogram.edges)
    density = histogram.counts / histogram.total / width
    axes.stairs(density, histogram.edges, fill=True, color="#0072B2", alpha=0.75, label="this track")
    x = np.linspace(histogram.edges[0], histogram.edges[-1], 400)
    axes.plot(x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), color="#D55E00", lw=1.6, label="noise alone")
    axes.set_yscale("log")
    floor = min(1e-4, 0.5 / histogram.total / float(width[0]))
    axes.set_ylim(max(floor, 1e-7), 1.0)
    # Powers of ten that are typeset, and ticks between them, take longer to draw than all else in the picture.
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.set_xlabel("significance (standard errors)")
    axes.set_ylabel("share per standard error")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    return figure


def pairs_per_month_figure(used: Sequence[Pair], unused: Sequence[Pair] = ()) -> Figure:
    """Draw how many pairs begin in each calendar month, used ones and those not used on top."""
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.add_subplot()
    every = [p.reference for p in (*used, *unused)]
    if not every:
        axes.text(0.5, 0.5, "no pairs", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    first = min(every).year * 12 + min(every).month - 1
    months = max(every).year * 12 + max(every).month - first

    def count(pairs: Sequence[Pair]) -> list[int]:
        at = [p.reference.year * 12 + p.reference.month - 1 - first for p in pairs]
        return [int(n) for n in np.bincount(np.array(at, np.intp), minlength=months)]

    kept, left = count(used), count(unused)
    place = np.arange(months)
    axes.bar(place, kept, width=0.85, color="#0072B2", label="used")
    if unused:
        axes.bar(place, left, bottom=kept, width=0.85, color="#B0B0B0", label="not used")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, fontsize=8, borderaxespad=0.2)
    years = max(1, math.ceil(months / 12 / 8))
    ticks = [i for i in range(months) if (first + i) % 12 == 0 and (first + i) // 12 % years == 0]
    if len(ticks) < 2:
        ticks = list(range(0, months, max(1, months // 6)))
    axes.set_xticks(ticks, [f"{date((first + i) // 12, (first + i) % 12 + 1, 1):%b %Y}" for i in ticks])
    axes.tick_params(axis="x", labelsize=8, rotation=0 if len(ticks) < 6 else 30)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("pairs that begin")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def to_png_bytes(fig: Figure, *, dpi: int = 150) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes each time."""
    sink = io.BytesIO()
    fig.savefig(sink, format="png", dpi=dpi, metadata={"Software": None})
    return sink.getvalue()


def to_svg_text(fig: Figure, *, key: str) -> str:
    """Return a figure as an `<svg>` element to be set into HTML, its text in the page's own colour and selectable.

    `key` keeps the ids inside different pictures of one page apart. Backgrounds are left out.
    """
    for axes in fig.axes:
        _recolour(axes)
    sink = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": key, "svg.fonttype": "none"}):
        fig.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    text = sink.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Matplotlib's rule for all elements would be one for the whole page: said of the picture, its elements inherit it.
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace("<svg", '<svg stroke-linejoin="round" stroke-linecap="butt"', 1)
    # Ids of groups are numbered the same way in every figure; nothing points at them. Clip paths keep their hashes.
    text = re.sub(r'<g id="[A-Za-z_.0-9]+">', "<g>", text)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"|height="[\d.]+pt" width="[\d.]+pt"', "", text, count=1)


def round_length(metres: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is not longer than `metres`."""
    power: float = 10.0 ** math.floor(math.log10(metres))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= metres * (1 + 1e-9))


def _sheet(aspect: float) -> tuple[Figure, Axes]:
    """Open a figure that suits a map of this width over height."""
    width = 7.0 if aspect >= 0.8 else max(4.2, 7.0 * aspect / 0.8)
    height = min(9.5, max(2.6, (width - 1.6) / aspect + 0.7))
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _draw(
    figure: Figure, axes: Axes, layer: Layer, hill_shade: Layer | None, extent: tuple[float, float, float, float]
) -> None:
    """Draw the layer over the hill shade, with its colour bar."""
    axes.set_facecolor("#e4e4e4")
    if hill_shade is not None:
        axes.imshow(
            hill_shade.values,
            cmap=hill_shade.cmap,
            vmin=hill_shade.vmin,
            vmax=hill_shade.vmax,
            extent=extent,
            aspect="auto",
        )
    shown = axes.imshow(
        layer.values,
        cmap=layer.cmap,
        vmin=layer.vmin,
        vmax=layer.vmax,
        extent=extent,
        alpha=0.72 if hill_shade is not None else 1.0,
        interpolation="nearest",
        aspect="auto",
    )
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.02, fraction=0.05, extend=_extend(layer))
    label = f"{layer.name} ({layer.unit})" if layer.unit else layer.name
    bar.ax.set_ylabel(label, parse_math=False)


def _extend(layer: Layer) -> str:
    """Say at which ends values go beyond the scale."""
    finite = layer.values[np.isfinite(layer.values)]
    if not finite.size:
        return "neither"
    low, high = bool(finite.min() < layer.vmin), bool(finite.max() > layer.vmax)
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((low, high), "neither")


def _outline(axes: Axes, target: Target) -> None:
    """Draw a target's outline and its id."""
    shape = target.geometry
    parts: Sequence[Polygon] = list(shape.geoms) if isinstance(shape, MultiPolygon) else [shape]
    for part in parts:
        for ring in (part.exterior, *part.interiors):
            xy = np.asarray(ring.coords)
            axes.plot(xy[:, 0], xy[:, 1], color="black", lw=1.1, path_effects=_HALO, zorder=4)
    _, _, east, north = shape.bounds
    axes.annotate(
        target.id,
        (east, north),
        xytext=(2, 1),
        textcoords="offset points",
        fontsize=7,
        path_effects=_HALO,
        zorder=5,
        annotation_clip=True,
        parse_math=False,
    )


def _scale_bar(axes: Axes, width_m: float) -> None:
    """Draw a scale bar of a round length, about a fifth of the map's width, at the lower left."""
    length = round_length(width_m / 4)
    part = length / width_m
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 3.0}
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    middle = 0.03 + part / 2
    axes.text(middle, 0.055, label, transform=axes.transAxes, ha="center", va="bottom", fontsize=8, bbox=box, zorder=6)
    axes.plot(
        [0.03, 0.03 + part], [0.035] * 2, transform=axes.transAxes, color="black", lw=3, path_effects=_HALO, zorder=7
    )


def _arrows(figure: Figure, axes: Axes, bearings: dict[str, float]) -> None:
    """Draw named arrows from one point at the upper right; bearings clockwise from up, degrees."""
    corner = axes.transAxes + ScaledTranslation(-50 / 72, -44 / 72, figure.dpi_scale_trans)
    for name, bearing in bearings.items():
        angle = math.radians(bearing)
        axes.annotate(
            name,
            (1, 1),
            xytext=(33 * math.sin(angle), 31 * math.cos(angle)),
            xycoords=corner,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7.5,
            # The head is at the end of the name.
            arrowprops={
                "arrowstyle": "<|-",
                "lw": 1.4,
                "shrinkA": 1,
                "shrinkB": 0,
                "path_effects": _HALO,
                "color": "k",
            },
            path_effects=_HALO,
            zorder=6,
        )


def _recolour(axes: Axes) -> None:
    """Give text, ticks and frame the colour that stands for the page's own."""
    axes.tick_params(which="both", color=_INK, labelcolor=_INK)
    for spine in axes.spines.values():
        spine.set_edgecolor(_INK)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts):
        text.set_color(_INK)
    axes.xaxis.get_offset_text().set_color(_INK)
    legend = axes.get_legend()
    if legend is not None:
        for text in legend.get_texts():
            text.set_color(_INK)
