"""What a person looks at while a network learns: the record as a table, as curves, and predictions beside the truth."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from groundshift.detect.planes import PLANES
from groundshift.detect.prediction import Prediction
from groundshift.io.atomic import atomic_path, write_text
from groundshift.training.samples import IGNORED, Sample

__all__ = ["draw_curves", "draw_predictions", "write_records"]

_DRIVEN = ("step", "rate")
"""Columns that are set, not measured. Of the others those of losses begin with that word; the rest is validation."""
_MOST_SIGNIFICANCE = 8.0


def write_records(path: Path, records: Sequence[Mapping[str, float]]) -> None:
    """Write records as CSV, a line for each; what was not measured is empty.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(records), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: f"{value:.10g}" for name, value in record.items()})
    write_text(path, text.getvalue())


def draw_curves(path: Path, records: Sequence[Mapping[str, float]]) -> None:
    """Draw losses, figures of the validation and the rate over the steps as PNG.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    names = [name for name in _columns(records) if name not in _DRIVEN]
    losses = [name for name in names if name.startswith("loss")]
    figure = Figure(figsize=(8, 8), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True)
    _plot(above, records, losses)
    above.set_yscale("log")
    above.set_ylabel("loss")
    _plot(middle, records, [name for name in names if name not in losses], marker=".")
    middle.set_ylim(0, 1)
    middle.set_ylabel("validation")
    _plot(below, records, ["rate"], legend=False)
    below.set_ylabel("learning rate")
    below.set_xlabel("step")
    _save(figure, path)


def draw_predictions(
    path: Path, samples: Sequence[Sample], predictions: Sequence[Sequence[Prediction]], *, most: int = 6
) -> None:
    """Draw predictions beside the truth on maps of the significance, as PNG.

    Parameters
    ----------
    path : path
        The picture.
    samples, predictions : sequences of one length
        Of those with bodies `most` are shown, evenly spread: the significance of the gradients along columns and along
        rows, the truth in black, ground that is not judged hatched, predictions in green with their scores.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    telling = [k for k, s in enumerate(samples) if ((s.labels > 0) & (s.labels != IGNORED)).any()] or range(
        len(samples)
    )
    chosen = [telling[int(k)] for k in np.linspace(0, len(telling) - 1, min(most, len(telling))).round()]
    figure = Figure(figsize=(8.4, 4.1 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 2, squeeze=False)
    for row, k in zip(panels, chosen, strict=True):
        sample, found = samples[k], sorted(predictions[k], key=lambda p: -p.score)[:60]
        for axes, axis in zip(row, ("x", "y"), strict=True):
            _map(axes, sample, axis)
            for prediction in found:
                _draw(axes, prediction)
        row[0].set_title(f"{sample.scene}, {sample.window}: columns", fontsize=8, parse_math=False)
        row[1].set_title("rows", fontsize=8)
    _save(figure, path)


def _map(axes: Axes, sample: Sample, axis: str) -> None:
    """Show the significance along one axis with the truth."""
    values = sample.planes[PLANES.index(f"significance_{axis}")]
    known = sample.planes[PLANES.index("known")] > 0
    shown = np.where(known, values, np.nan)
    axes.imshow(shown, cmap="RdBu", vmin=-_MOST_SIGNIFICANCE, vmax=_MOST_SIGNIFICANCE, interpolation="nearest")
    axes.set_facecolor("0.85")
    for label in np.unique(sample.labels):
        if label not in (0, IGNORED):
            _contour(axes, sample.labels == label, "black")
    if (sample.labels == IGNORED).any():
        axes.contourf(
            np.asarray(sample.labels == IGNORED, np.float32), levels=[0.5, 1.5], colors="none", hatches=["////"]
        )
    axes.set_xticks([])
    axes.set_yticks([])


def _draw(axes: Axes, prediction: Prediction) -> None:
    """Outline a prediction and write its score."""
    x0, y0, x1, y1 = prediction.box
    strength = 0.25 + 0.75 * min(1.0, max(0.0, prediction.score))
    if prediction.mask is None:
        axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor="green", alpha=strength))
    else:
        _contour(axes, prediction.mask, "green", (x0, y0), alpha=strength)
    axes.annotate(f"{prediction.score:.2f}", (x1, y0), fontsize=5, color="green", alpha=strength, annotation_clip=True)


def _contour(
    axes: Axes, mask: NDArray[np.bool_], colour: str, corner: tuple[float, float] = (0, 0), alpha: float = 1.0
) -> None:
    """Draw the outline of a mask whose first node lies at `corner` (x, y)."""
    framed = np.pad(mask.astype(np.float32), 1)
    x = np.arange(framed.shape[1]) - 1 + corner[0]
    y = np.arange(framed.shape[0]) - 1 + corner[1]
    axes.contour(x, y, framed, levels=[0.5], colors=[colour], linewidths=0.8, alpha=alpha)


def _columns(records: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the names of all columns, in the order in which they came up."""
    return list(dict.fromkeys(name for record in records for name in record)) or ["step"]


def _plot(
    axes: Axes, records: Sequence[Mapping[str, float]], names: Sequence[str], *, marker: str = "", legend: bool = True
) -> None:
    """Plot columns over the step."""
    for name in names:
        points = [(r["step"], r[name]) for r in records if math.isfinite(r.get(name, math.nan))]
        if points:
            axes.plot(*zip(*points, strict=True), marker=marker, lw=1, label=name)
    axes.grid(alpha=0.3)
    if legend and axes.lines:
        axes.legend(fontsize=7, ncols=3)


def _save(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
