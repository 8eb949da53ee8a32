"""What a network says of mining subsidence, drawn beside the truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from groundshift.io.atomic import atomic_path
from groundshift.training.mining.samples import BowlSample
from groundshift.training.mining.tasks import Answer

__all__ = ["draw_answers"]


def draw_answers(path: Path, samples: Sequence[BowlSample], answers: Sequence[Answer], *, most: int = 6) -> None:
    """Draw wrapped phase with the true footprint (white) and the found one (black), coherence, truth, answer, as PNG.

    The latter two are unwrapped phase; where it is not known the true footprint, where it is not told the probability.

    Parameters
    ----------
    path : path
        The picture.
    samples, answers : sequences of one length
        Of those with bowls `most` are shown, evenly spread.
    most : int

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    telling = [k for k, s in enumerate(samples) if s.footprint.any()] or list(range(len(samples)))
    chosen = [telling[int(k)] for k in np.linspace(0, len(telling) - 1, min(most, len(telling))).round()]
    figure = Figure(figsize=(10.5, 2.7 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 4, squeeze=False)
    for row, k in zip(panels, chosen, strict=True):
        sample, answer = samples[k], answers[k]
        row[0].imshow(np.where(sample.known, sample.wrapped, np.nan), cmap="twilight", vmin=-np.pi, vmax=np.pi)
        _outline(row[0], sample.footprint > 0, "white")
        if answer.probability is not None:
            _outline(row[0], answer.probability >= 0.5, "black")
        row[0].set_title(sample.scene, fontsize=8, parse_math=False)
        row[1].imshow(sample.coherence, cmap="gray", vmin=0, vmax=1)
        row[1].set_title("coherence", fontsize=8)
        _phases(row[2], row[3], sample, answer)
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _phases(left: Axes, right: Axes, sample: BowlSample, answer: Answer) -> None:
    """Show the truth, and what was found."""
    limit = 1.0
    if np.isfinite(sample.phase).all():
        truth = sample.phase - np.median(sample.phase)
        limit = max(limit, float(np.abs(truth).max()))
        left.imshow(truth, cmap="RdBu", vmin=-limit, vmax=limit)
        left.set_title(f"truth, to {limit:.0f} rad", fontsize=8)
    else:
        left.imshow(sample.footprint, cmap="gray", vmin=0, vmax=1)
        left.set_title("truth", fontsize=8)
    if answer.phase is not None:
        found = answer.phase - np.median(answer.phase)
        limit = limit if np.isfinite(sample.phase).all() else max(limit, float(np.abs(found).max()))
        right.imshow(found, cmap="RdBu", vmin=-limit, vmax=limit)
        right.set_title(f"found, to {limit:.0f} rad", fontsize=8)
    elif answer.probability is not None:
        right.imshow(answer.probability, cmap="gray", vmin=0, vmax=1)
        right.set_title("found", fontsize=8)


def _outline(axes: Axes, mask: NDArray[np.bool_], colour: str) -> None:
    """Draw the outline of a mask."""
    if mask.any() and not mask.all():
        axes.contour(mask.astype(np.float32), levels=[0.5], colors=[colour], linewidths=0.8)
