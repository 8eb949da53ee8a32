"""Pictures of pair networks: which dates are joined, where the network falls apart, where time is not covered."""

import math
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from numpy.typing import NDArray

from groundshift.io.atomic import atomic_path
from groundshift.pairs import DateGap, date_graph
from groundshift.types import Pair

__all__ = ["GROUP_COLOURS", "network_figure", "save_figure"]

GROUP_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#B8860B", "#7A5195")
"""Colours of disconnected groups; they differ in lightness too, and are used again after the last."""

_MANY_PAIRS = 1500
"""Above this the lines are drawn as pixels, so that vector files stay small."""


def network_figure(pairs: Sequence[Pair], used: Collection[Pair] | None = None) -> Figure:
    """Draw a network of pairs.

    Dates are drawn against perpendicular baseline where every pair has one; otherwise each pair is an arc whose
    height grows with its time span. Disconnected groups of the used pairs have different colours, pairs that are not
    used are dashed and grey, and stretches that no used pair spans are shaded, the longest with their length.

    Parameters
    ----------
    pairs : sequence of Pair
        All pairs.
    used : collection of Pair, optional
        Those that take part; all of them by default.

    Raises
    ------
    ValueError
        If there is no pair.
    """
    if not pairs:
        raise ValueError("pairs must hold at least one pair, instead got none")
    chosen = set(pairs if used is None else used)
    kept, dropped = [p for p in pairs if p in chosen], [p for p in pairs if p not in chosen]
    graph = date_graph(kept)
    groups = [group.dates for group in graph.groups]
    loose = {d for p in dropped for d in (p.reference, p.secondary)} - set(graph.dates)

    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    axes = figure.add_subplot()
    heights = _baselines(pairs)
    if dropped:
        axes.add_collection(
            LineCollection(
                [_line(p, heights) for p in dropped],
                colors="#8c8c8c",
                linewidths=0.7,
                linestyles=(0, (4, 3)),
                label=f"not used: {len(dropped)} pairs",
                rasterized=len(dropped) > _MANY_PAIRS,
            )
        )
    for number, days in enumerate(groups):
        members = set(days)
        lines = [_line(p, heights) for p in kept if p.reference in members]
        colour = GROUP_COLOURS[number % len(GROUP_COLOURS)]
        label = f"group {number + 1}: " if len(groups) > 1 else ""
        axes.add_collection(
            LineCollection(
                lines,
                colors=colour,
                linewidths=0.8,
                alpha=max(0.35, min(0.8, 60 / len(lines))),
                rasterized=len(lines) > _MANY_PAIRS,
            )
        )
        axes.plot(
            [_day(d) for d in days],
            [heights[d] if heights else 0.0 for d in days],
            "o",
            color=colour,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=3,
            # The legend shows the groups that can be told apart by it; more would cover the picture.
            label=f"{label}{len(days)} dates, {len(lines)} pairs" if number < 6 else None,
        )
    if loose:
        dots = sorted(loose)
        axes.plot(
            [_day(d) for d in dots],
            [heights[d] if heights else 0.0 for d in dots],
            "o",
            markerfacecolor="none",
            color="#8c8c8c",
            markersize=4.5,
            label=f"without a used pair: {len(dots)} dates",
        )
    _draw_gaps(axes, [gap for gap in graph.gaps if not gap.spanned])
    _dress(axes, pairs, with_baselines=bool(heights))
    if len(groups) > 6:
        axes.plot([], [], " ", label=f"and {len(groups) - 6} more groups")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, fontsize=8, borderaxespad=0.2)
    return figure


def save_figure(fig: Figure, path: Path | str) -> None:
    """Write a figure as PNG, SVG or PDF, by the ending of `path`, whole or not at all.

    The same figure gives the same bytes each time.

    Raises
    ------
    ValueError
        If the ending is another one.
    OutputError
        If it cannot be written.
    """
    path = Path(path)
    form = path.suffix.lower().lstrip(".")
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    if form not in metadata:
        raise ValueError(f"{path}: a figure is written as .png, .svg or .pdf; choose one of these endings")
    with atomic_path(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "groundshift"}):
        fig.savefig(temporary, format=form, dpi=200, metadata=metadata[form])


def _day(day: date) -> float:
    """Return Matplotlib's number of a date."""
    return float(date2num(day))  # type: ignore[no-untyped-call]  # Matplotlib leaves its dates module unannotated


def _baselines(pairs: Sequence[Pair]) -> dict[date, float]:
    """Return each date's baseline in metres by least squares, mean zero; empty where a pair does not tell."""
    known = [p.perpendicular_baseline for p in pairs]
    if any(b is None or not math.isfinite(b) for b in known):
        return {}
    dates = sorted({d for p in pairs for d in (p.reference, p.secondary)})
    column = {d: i for i, d in enumerate(dates)}
    A = np.zeros((len(pairs), len(dates)))
    rows = np.arange(len(pairs))
    A[rows, [column[p.reference] for p in pairs]] = -1
    A[rows, [column[p.secondary] for p in pairs]] = 1
    # The least-norm solution gives every disconnected group the mean zero.
    solution = np.linalg.lstsq(A, np.array(known, np.float64), rcond=None)[0]
    return {d: float(b) for d, b in zip(dates, solution, strict=True)}


def _line(pair: Pair, heights: dict[date, float]) -> NDArray[np.float64]:
    """Return the points of a pair's line: straight between baselines, else half an ellipse above the time axis."""
    start, end = _day(pair.reference), _day(pair.secondary)
    if heights:
        return np.array([(start, heights[pair.reference]), (end, heights[pair.secondary])])
    angle = np.linspace(math.pi, 0, 25)
    return np.column_stack([(start + end) / 2 + (end - start) / 2 * np.cos(angle), pair.days * np.sin(angle)])


def _draw_gaps(axes: Axes, gaps: Sequence[DateGap]) -> None:
    """Shade the gaps and write the length of the longest three."""
    longest = sorted(gaps, key=lambda g: -g.days)[:3]
    for gap in gaps:
        axes.axvspan(_day(gap.before), _day(gap.after), color="#808080", alpha=0.18, lw=0, zorder=0)
    for gap in longest:
        axes.text(
            (_day(gap.before) + _day(gap.after)) / 2,
            0.97,
            f"no pair\n{gap.days} days",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=8,
        )


def _dress(axes: Axes, pairs: Sequence[Pair], *, with_baselines: bool) -> None:
    """Set limits, ticks and labels."""
    first, last = min(p.reference for p in pairs), max(p.secondary for p in pairs)
    margin = max(6.0, 0.02 * (last - first).days)
    axes.set_xlim(_day(first) - margin, _day(last) + margin)
    locator = AutoDateLocator(minticks=4, maxticks=10)  # type: ignore[no-untyped-call]  # unannotated, as above
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # unannotated
    if with_baselines:
        axes.set_ylabel("perpendicular baseline (m)")
        axes.margins(y=0.12)
        axes.autoscale_view(scalex=False)
    else:
        longest = max(p.days for p in pairs)
        axes.set_ylim(-0.07 * longest, 1.22 * longest)
        axes.set_ylabel("time span of the pair (days)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25, lw=0.6)
