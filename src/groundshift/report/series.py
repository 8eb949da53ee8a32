"""Displacement with time: numbers packed for the one plot that is drawn on demand, and a small drawing for cards.

Displacement is in mm along the line of sight, positive towards the satellite; bars are one standard error.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import (
    ColumnDataSource,
    CompositeTicker,
    DatetimeTicker,
    DatetimeTickFormatter,
    HoverTool,
    MonthsTicker,
    Range1d,
)
from bokeh.plotting import figure
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from groundshift.report.content import ReportContent, SeriesContent
from groundshift.report.embedding import to_json
from groundshift.report.network import GROUP_COLOURS

__all__ = ["PlotData", "TrackStyle", "draw_small", "series_figure", "style_of"]

_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star")
_UNKNOWN = -32768
_SHADE = "#888888"
"""Of times that no pair spans, where there is one track only."""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 480, 170, 44, 20, 8
"""Size of the small drawing, and the margins of its frame, in its own units."""


class TrackStyle(NamedTuple):
    """How points of a track are told from those of others."""

    colour: str
    marker: str


def style_of(content: ReportContent, track: str, among: Sequence[str]) -> TrackStyle:
    """Return the style of a track, the same for all targets; `among` are the tracks of one target."""
    names = [t.name for t in content.tracks]
    names += [name for name in among if name not in names]
    number = names.index(track)
    return TrackStyle(GROUP_COLOURS[number % len(GROUP_COLOURS)], _MARKERS[number % len(_MARKERS)])


class PlotData:
    """Series of many targets as the script of the page reads them; dates that many share are written once."""

    def __init__(self, content: ReportContent) -> None:
        self._content = content
        self._tracks: dict[str, int] = {}
        self._styles: list[dict[str, str]] = []
        self._days: dict[bytes, int] = {}
        self._items: dict[str, list[dict[str, Any]]] = {}
        self.size = 0
        """Numbers held."""

    def add(self, key: str, series: Sequence[SeriesContent]) -> None:
        """Hold the series of one target; those without dates are left out."""
        among = [s.track for s in series]
        self._items[key] = [self._item(s, among) for s in series if len(s.dates)]

    def for_page(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        days = [np.frombuffer(key, "<i4") for key in self._days]
        return {
            "tracks": self._styles,
            "shade": _SHADE,
            # The first day, then steps.
            "days": [[int(d[0]), *np.diff(d).tolist()] for d in days],
            "items": self._items,
        }

    def _item(self, series: SeriesContent, among: Sequence[str]) -> dict[str, Any]:
        """Pack one series."""
        if series.track not in self._tracks:
            self._tracks[series.track] = len(self._tracks)
            style = style_of(self._content, series.track, among)
            self._styles.append({"name": series.track, "colour": style.colour, "marker": style.marker})
        item = {
            "track": self._tracks[series.track],
            "days": self._dates(series.dates),
            "mm": _packed(series.displacement_mm),
            "sigma": _packed(series.sigma_mm),
            "breaks": [(day - date(1970, 1, 1)).days for day in series.breaks],
        }
        self.size += 2 * len(series.dates) + len(series.fit_dates)
        if len(series.fit_dates):
            item |= {"fit_days": self._dates(series.fit_dates), "fit": _packed(series.fit_mm)}
        return item

    def _dates(self, dates: NDArray[np.datetime64]) -> int:
        """Hold dates as days since 1970 and return their number in the list."""
        return self._days.setdefault(_days(dates).astype("<i4").tobytes(), len(self._days))


def series_figure() -> Markup:
    """Return the plot without data, as an item of bokeh that the page fills when a target is chosen."""
    plot = figure(
        name="series-plot",
        x_axis_type="datetime",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        y_axis_label="displacement towards the satellite (mm)",
        height=320,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        output_backend="canvas",
    )
    plot.toolbar.logo = None
    plot.xaxis.formatter = DatetimeTickFormatter(years="%Y", months="%b %Y", days="%d %b %Y", hours="%d %b")
    # The usual tickers write each year twice where half years would suit YearsTicker: few years are months here.
    *usual, years = DatetimeTicker().tickers
    plot.xaxis.ticker = CompositeTicker(tickers=[*usual, MonthsTicker(months=[0]), years], num_minor_ticks=0)
    plot.axis.major_label_text_font_size = plot.axis.axis_label_text_font_size = "12px"
    plot.xgrid.visible = False

    def source(name: str, *columns: str) -> ColumnDataSource:
        return ColumnDataSource({column: [] for column in columns}, name=f"series-{name}")

    plot.vstrip(
        x0="x0", x1="x1", source=source("gaps", "x0", "x1", "colour"), fill_color="colour", fill_alpha=0.16,
        line_color=None,
    )  # fmt: skip
    plot.segment(
        x0="x", x1="x", y0="low", y1="high", source=source("bars", "x", "low", "high", "colour"),
        line_color="colour", line_alpha=0.55, line_width=1.2,
    )  # fmt: skip
    plot.multi_line(
        xs="xs", ys="ys", source=source("lines", "xs", "ys", "colour"),
        line_color="colour", line_alpha=0.45, line_width=1,
    )  # fmt: skip
    points = plot.scatter(
        x="x", y="y", source=source("points", "x", "y", "colour", "marker", "track", "day", "moved"),
        marker="marker", size=6, fill_color="colour", line_color="white", line_width=0.5,
    )  # fmt: skip
    plot.multi_line(
        xs="xs", ys="ys", source=source("fits", "xs", "ys", "colour"),
        line_color="colour", line_width=2.6, line_dash="8 4",
    )  # fmt: skip
    tips = [("track", "@track"), ("date", "@day"), ("moved", "@moved")]
    plot.add_tools(HoverTool(renderers=[points], tooltips=tips))
    return to_json(json_item(plot, ID("series")))


def draw_small(content: ReportContent, series: Sequence[SeriesContent]) -> Markup | None:
    """Draw the series of one target as SVG: points, bars of one standard error and the fit; None without any point.

    No line leads across a break, and the time there is shaded. Holds numbers and colours only, no text of a user.
    """
    shown = [s for s in series if np.isfinite(s.displacement_mm).any()]
    if not shown:
        return None
    frame = _Frame(shown)
    among = [s.track for s in series]
    parts = [frame.band(s, style_of(content, s.track, among).colour if len(shown) > 1 else _SHADE) for s in shown]
    parts.append(frame.axes())
    for s in shown:
        colour = style_of(content, s.track, among).colour
        known = np.isfinite(s.displacement_mm)
        x, y = frame.x(s.dates[known]), frame.y(s.displacement_mm[known])
        bar = np.nan_to_num(s.sigma_mm[known]) * frame.per_mm
        bars = "".join(f"M{a:.1f} {b - h:.1f}v{2 * h:.1f}" for a, b, h in zip(x, y, bar, strict=True))
        dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True))
        parts.append(f'<path d="{bars}" stroke="{colour}" stroke-opacity=".5"/>')
        parts.append(f'<path d="{dots}" stroke="{colour}" stroke-width="4.5" stroke-linecap="round"/>')
        parts.append(f'<path d="{frame.fit(s)}" stroke="{colour}" stroke-width="1.6" stroke-dasharray="6 3"/>')
    return Markup("".join(parts))


class _Frame:
    """Scales and axes of the small drawing."""

    def __init__(self, shown: Sequence[SeriesContent]) -> None:
        days = np.concatenate([_days(s.dates[np.isfinite(s.displacement_mm)]) for s in shown])
        low = np.concatenate([s.displacement_mm - np.nan_to_num(s.sigma_mm) for s in shown])
        high = np.concatenate([s.displacement_mm + np.nan_to_num(s.sigma_mm) for s in shown])
        fits = np.concatenate([s.fit_mm for s in shown])
        self.first, self.last = int(days.min()), max(int(days.max()), int(days.min()) + 1)
        bottom, top = float(np.nanmin([*low, *fits])), float(np.nanmax([*high, *fits]))
        margin = max(0.05 * (top - bottom), 0.5)
        self.bottom, self.top = bottom - margin, top + margin
        self.per_mm = (_HEIGHT - _BOTTOM - _TOP) / (self.top - self.bottom)

    def x(self, dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """Place dates, a little inside the frame."""
        return self._across(_days(dates))

    def y(self, mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Place displacements."""
        return _TOP + (self.top - np.asarray(mm)) * self.per_mm

    def fit(self, series: SeriesContent) -> str:
        """Place the line of the fit, one piece between breaks."""
        known = np.isfinite(series.fit_mm)
        dates, values = series.fit_dates[known], series.fit_mm[known]
        piece = np.searchsorted(_breaks(series), dates, side="right")
        path = ""
        for k, (x, y) in enumerate(zip(self.x(dates), self.y(values), strict=True)):
            path += f"{'L' if k and piece[k] == piece[k - 1] else 'M'}{x:.1f} {y:.1f}"
        return path

    def band(self, series: SeriesContent, colour: str) -> str:
        """Shade the time across each break."""
        parts = []
        for after in _breaks(series):
            ends = np.append(series.dates[series.dates < after][-1:], after)
            left, right = self.x(ends)[[0, -1]]
            box = f'x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_HEIGHT - _BOTTOM - _TOP}"'
            parts.append(f'<rect {box} fill="{colour}" fill-opacity=".16"/>')
        return "".join(parts)

    def _across(self, days: NDArray[np.int64]) -> NDArray[np.float64]:
        return _LEFT + 6 + (days - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - 14)

    def axes(self) -> str:
        """Draw the frame with its numbers."""
        right, base = _WIDTH - 2, _HEIGHT - _BOTTOM
        parts = [f'<path d="M{_LEFT} {_TOP}V{base}H{right}" class="axis"/><text x="0" y="{_TOP + 3}">mm</text>']
        ticks = [v for v in MaxNLocator(4).tick_values(self.bottom, self.top) if self.bottom <= v <= self.top]
        for value, y in zip(ticks, self.y(np.array(ticks)), strict=True):
            text = f"{value:g}".replace("-", "−")
            parts.append(
                f'<path d="M{_LEFT} {y:.1f}H{right}" class="grid"/><text x="{_LEFT - 4}" y="{y + 3.5:.1f}" '
                f'text-anchor="end">{text}</text>'
            )
        for day, text, anchor in self._dates():
            (x,) = self._across(np.array([day]))
            parts.append(
                f'<path d="M{x:.1f} {base}v4" class="axis"/>'
                f'<text x="{x:.1f}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{text}</text>'
            )
        return "".join(parts)

    def _dates(self) -> list[tuple[int, str, str]]:
        """Return days to mark, what to write there and on which side: years, or the two ends of a short series."""
        first, last = (date(1970, 1, 1).toordinal() + day for day in (self.first, self.last))
        years = list(range(date.fromordinal(first).year + 1, date.fromordinal(last).year + 1))
        if len(years) < 2:
            ends = ((self.first, first, "start"), (self.last, last, "end"))
            return [(day, date.fromordinal(ordinal).isoformat(), anchor) for day, ordinal, anchor in ends]
        step = math.ceil(len(years) / 8)
        epoch = date(1970, 1, 1)
        return [((date(y, 1, 1) - epoch).days, str(y), "middle") for y in years if y % step == 0]


def _breaks(series: SeriesContent) -> NDArray[np.datetime64]:
    """Return the first days after each break."""
    return np.array(series.breaks, "datetime64[D]")


def _days(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return days since 1970."""
    return dates.astype("datetime64[D]").astype(np.int64)


def _packed(values: NDArray[np.floating[Any]]) -> Mapping[str, object]:
    """Write numbers as 16-bit multiples of a step, which keeps them to 1/65,534 of the largest; unknown ones apart."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    largest = float(np.abs(values[known]).max(initial=0.0))
    step = largest / 32767 if largest > 0 else 1.0
    whole = np.where(known, np.round(np.where(known, values, 0.0) / step), _UNKNOWN).astype("<i2")
    return {"step": step, "of": base64.b64encode(whole.tobytes()).decode()}
