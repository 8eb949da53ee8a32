"""What a network says of moving ground, drawn beside the truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from groundshift.io.atomic import atomic_path
from groundshift.training.segments.samples import SegmentSample, SegmentSet

__all__ = ["draw_segments"]


def draw_segments(
    path: Path,
    samples: Sequence[SegmentSample | SegmentSet],
    answers: Sequence[NDArray[np.float32]],
    *,
    most: int = 6,
) -> None:
    """Draw wrapped phase with the true outline (white) and the found one (black), coherence and probability, as PNG.

    Parameters
    ----------
    path : path
        The picture.
    samples : sequence of SegmentSample or SegmentSet
        Of those with motion `most` are shown, evenly spread; of a set its first interferogram.
    answers : sequence of (y, x) arrays
        Probabilities.
    most : int

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    telling = [k for k, s in enumerate(samples) if s.mask.any()] or list(range(len(samples)))
    chosen = [telling[int(k)] for k in np.linspace(0, len(telling) - 1, min(most, len(telling))).round()]
    figure = Figure(figsize=(8.4, 2.8 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 3, squeeze=False)
    for row, k in zip(panels, chosen, strict=True):
        sample, answer = samples[k], answers[k]
        shown = sample.members[0] if isinstance(sample, SegmentSet) else sample
        row[0].imshow(np.where(shown.known, shown.wrapped, np.nan), cmap="twilight", vmin=-np.pi, vmax=np.pi)
        _outline(row[0], sample.mask > 0, "white")
        _outline(row[0], answer >= 0.5, "black")
        row[0].set_title(sample.place, fontsize=8, parse_math=False)
        for axes, values, title in zip(row[1:], (shown.coherence, answer), ("coherence", "probability"), strict=True):
            axes.imshow(values, cmap="gray", vmin=0, vmax=1)
            axes.set_title(title, fontsize=8)
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _outline(axes: Axes, mask: NDArray[np.bool_], colour: str) -> None:
    """Draw the outline of a mask."""
    if mask.any() and not mask.all():
        axes.contour(mask.astype(np.float32), levels=[0.5], colors=[colour], linewidths=0.8)
