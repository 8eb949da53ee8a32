"""Pictures of simulated samples beside real maps, and of what both show in numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from groundshift.detect.planes import PLANES
from groundshift.training.distributions import BINS, LAGS, UNITS, Comparison
from groundshift.training.samples import IGNORED, Sample

__all__ = ["best_piece", "distributions_figure", "gallery_figure"]

_MOST_SIGNIFICANCE = 8.0
_COLUMNS = {
    "significance y": "gradient along rows,\nstandard errors",
    "significance x": "gradient along columns,\nstandard errors",
    "sigma": "standard error,\nmm/yr per 40 m",
    "coherence": "mean coherence",
    "truth": "significance with truth: red away,\nblue towards, hatched not judged",
}
"""Names and headings of the columns."""


def best_piece(sample: Sample, side: int) -> Sample:
    """Cut the piece with most data out of a sample, of at most `side` rows and columns."""
    rows, columns = (min(side, size) for size in sample.labels.shape)
    known = sample.planes[PLANES.index("known")] > 0
    total = np.pad(known.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    # Of several alike the one nearest to the middle.
    y, x = np.indices(inside.shape)
    off = np.hypot(y - (inside.shape[0] - 1) / 2, x - (inside.shape[1] - 1) / 2)
    top, left = np.unravel_index(np.argmin(np.where(inside == inside.max(), off, np.inf)), inside.shape)
    place = (slice(top, top + rows), slice(left, left + columns))
    return replace(sample, planes=sample.planes[:, *place].copy(), labels=sample.labels[place].copy())


def gallery_figure(real: Sequence[Sample], simulated: Sequence[Sample]) -> Figure:
    """Draw real maps and, below them, simulated samples, all on the same scales.

    Parameters
    ----------
    real, simulated : sequences of Sample
        At least one in all. Of real maps no truth is drawn.
    """
    shown = [*real, *simulated]
    ratios = [float(np.clip(sample.labels.shape[0] / sample.labels.shape[1], 0.4, 1.6)) for sample in shown]
    figure = Figure(figsize=(11, 1.2 + sum(2.05 * ratio + 0.1 for ratio in ratios)), layout="constrained")
    bars, *panels = figure.subplots(1 + len(shown), len(_COLUMNS), squeeze=False, height_ratios=[0.06, *ratios])
    known = [sample.planes[PLANES.index("known")] > 0 for sample in shown]
    sigmas = [_sigma(sample)[k] for sample, k in zip(shown, known, strict=True)]
    low, high = np.percentile(np.concatenate(sigmas), (2, 98)) if any(s.size for s in sigmas) else (0.1, 1.0)
    scales: dict[str, dict[str, Any]] = {
        "significance y": {"cmap": "RdBu", "vmin": -_MOST_SIGNIFICANCE, "vmax": _MOST_SIGNIFICANCE},
        "significance x": {"cmap": "RdBu", "vmin": -_MOST_SIGNIFICANCE, "vmax": _MOST_SIGNIFICANCE},
        "sigma": {"cmap": "viridis", "norm": LogNorm(max(low, 1e-3), max(high, 2e-3))},
        "coherence": {"cmap": "gray", "vmin": 0, "vmax": 1},
        "truth": {"cmap": "Greys", "vmin": 0, "vmax": _MOST_SIGNIFICANCE},
    }
    for k, (sample, row) in enumerate(zip(shown, panels, strict=True)):
        for axes, (name, values) in zip(row, _drawn(sample).items(), strict=True):
            axes.imshow(np.where(known[k], values, np.nan), interpolation="nearest", **scales[name])
            axes.set_facecolor("#d9d3c0")
            axes.set_xticks([])
            axes.set_yticks([])
        kind = "real" if k < len(real) else "simulated"
        height, width = sample.labels.shape
        size = f"{height * sample.pixel_m / 1000:.1f} x {width * sample.pixel_m / 1000:.1f} km"
        row[0].set_ylabel(f"{kind}: {sample.scene}\n{sample.window}, {sample.total_pairs} pairs\n{size}",
                          fontsize=7, parse_math=False)  # fmt: skip
        if k < len(real):
            row[-1].set_xlabel("truth not known", fontsize=7)
        else:
            _draw_truth(row[-1], sample)
    for axes, panel, (name, heading) in zip(bars, panels[0], _COLUMNS.items(), strict=True):
        figure.colorbar(panel.images[0], cax=axes, orientation="horizontal")
        axes.xaxis.set_ticks_position("top")
        axes.tick_params(labelsize=7)
        axes.set_title(heading, fontsize=8)
        if name == "sigma":
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
    return figure


def distributions_figure(found: Comparison) -> Figure:
    """Draw histograms, correlations and shares of the simulated tiles with the real maps upon them.

    Parameters
    ----------
    found : Comparison
        Its real maps are coloured by scene; time windows other than `all` are drawn thin.
    """
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    panels = figure.subplots(2, 4)
    scenes = list(dict.fromkeys(name.split(" ")[0] for name in found.maps))
    styles = {}
    for name in found.maps:
        colour = f"C{1 + scenes.index(name.split(' ')[0]) % 9}"
        styles[name] = {"color": colour, "lw": 1.8 if name.endswith(" all") else 0.8}
    for axes, (quantity, bins) in zip(panels[0], BINS.items(), strict=True):
        low, middle, high = found.histograms[quantity]
        axes.stairs(high, bins, baseline=low, fill=True, color="#c8c8c8")
        axes.stairs(middle, bins, color="#606060", lw=1)
        for name, shares in found.real_histograms[quantity].items():
            axes.stairs(shares, bins, **styles[name])
        axes.set_xlabel(" , ".join(filter(None, (quantity, UNITS.get(quantity)))).replace(" ,", ","), fontsize=9)
        if quantity in ("sigma", "gradient"):
            axes.set_xscale("log")
    panels[0, 0].set_yscale("log")
    panels[0, 0].set_ylim(bottom=1e-5)
    panels[0, 0].set_ylabel("share of the nodes")
    for axes, way in zip(panels[1, :2], ("along", "across"), strict=True):
        rows = [row for row in found.rows if row.quantity == f"correlation {way}"]
        low, middle, high = np.array([row.simulated for row in rows]).T
        axes.fill_between(LAGS, low, high, color="#c8c8c8")
        axes.plot(LAGS, middle, color="#606060", lw=1)
        for name in found.maps:
            axes.plot(LAGS, [row.real[name] for row in rows], marker=".", **styles[name])
        axes.set_xscale("log", base=2)
        axes.set_xticks(LAGS, [str(lag) for lag in LAGS])
        axes.axhline(0, color="black", lw=0.5)
        axes.set_xlabel(f"lag {way} the difference, nodes", fontsize=9)
    panels[1, 0].set_ylabel("correlation of the significance")
    for axes, quantity in zip(panels[1, 2:], ("kurtosis", "known"), strict=True):
        row = next(row for row in found.rows if row.quantity == quantity)
        axes.axvspan(row.simulated[0], row.simulated[2], color="#c8c8c8")
        axes.axvline(row.simulated[1], color="#606060", lw=1)
        for name in found.maps:
            axes.axvline(row.real[name], **styles[name])
        axes.set_yticks([])
    kurtosis = panels[1, 2]
    kurtosis.set_xscale("symlog", linthresh=1, linscale=0.5)
    kurtosis.set_xticks([-1, 0, 1, 3, 10, 30, 100, 300], ["-1", "0", "1", "3", "10", "30", "100", "300"])
    ends = [v for row in found.rows if row.quantity == "kurtosis" for v in (*row.simulated, *row.real.values())]
    known = [v for v in ends if np.isfinite(v)] or [0.0]
    kurtosis.set_xlim(min(-1.0, *known) * 1.1, max(3.0, *known) * 1.2)
    kurtosis.set_xlabel("excess kurtosis of the significance", fontsize=9)
    panels[1, 3].set_xlim(-0.02, 1.02)
    panels[1, 3].set_xlabel("share of nodes with data", fontsize=9)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    handles = [
        Patch(color="#c8c8c8", label="simulated tiles, 5 to 95 %"),
        Line2D([], [], color="#606060", label="median"),
    ]
    handles += [
        Line2D([], [], color=f"C{1 + k % 9}", lw=1.8, label=f"real: {scene}") for k, scene in enumerate(scenes[:12])
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return figure


def _drawn(sample: Sample) -> dict[str, NDArray[np.float32]]:
    """Return the maps of a row."""
    y, x = (sample.planes[PLANES.index(f"significance_{axis}")] for axis in "yx")
    return {
        "significance y": y,
        "significance x": x,
        "sigma": _sigma(sample),
        "coherence": sample.planes[PLANES.index("coherence")],
        "truth": np.hypot(y, x),
    }


def _sigma(sample: Sample) -> NDArray[np.float32]:
    """Return the standard error, mean of both directions."""
    return np.asarray((sample.planes[PLANES.index("sigma_y")] + sample.planes[PLANES.index("sigma_x")]) / 2, np.float32)


def _draw_truth(axes: Axes, sample: Sample) -> None:
    """Outline bodies, and hatch what is not judged."""
    y, x = (np.arange(-1, size + 1) for size in sample.labels.shape)
    for label in np.unique(sample.labels[(sample.labels > 0) & (sample.labels != IGNORED)]):
        # A frame of zeros closes outlines at the border.
        inside = np.pad((sample.labels == label).astype(np.float32), 1)
        colour = "#B2182B" if sample.bodies[label - 1].velocity < 0 else "#2166AC"
        axes.contour(x, y, inside, levels=[0.5], colors=[colour], linewidths=0.9)
    ignored = sample.labels == IGNORED
    if ignored.any():
        axes.contourf(x, y, np.pad(ignored.astype(np.float32), 1), levels=[0.5, 1.5], colors="none", hatches=["/////"])
