"""What a network says of coherent ground, drawn beside the truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from groundshift.io.atomic import atomic_path
from groundshift.training.masks.samples import MaskSample

__all__ = ["draw_masks"]


def draw_masks(
    path: Path, samples: Sequence[MaskSample], answers: Sequence[NDArray[np.float32]], *, most: int = 6
) -> None:
    """Draw phase, coherence, amplitude, truth (grey where nobody knows) and the probability of being coherent, as PNG.

    Parameters
    ----------
    path : path
        The picture.
    samples, answers : sequences of one length
        Of those with some decorrelated ground `most` are shown, evenly spread.
    most : int

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    telling = [k for k, s in enumerate(samples) if (s.judged & ~s.coherent).any()] or list(range(len(samples)))
    chosen = [telling[int(k)] for k in np.linspace(0, len(telling) - 1, min(most, len(telling))).round()]
    figure = Figure(figsize=(13, 2.7 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), 5, squeeze=False)
    for row, k in zip(panels, chosen, strict=True):
        sample, answer = samples[k], answers[k]
        shown = (
            (np.where(sample.known, sample.wrapped, np.nan), "twilight", np.pi, sample.scene),
            (np.where(sample.known, sample.coherence, np.nan), "gray", 1, "coherence"),
            (np.where(sample.amplitude > 0, sample.amplitude, np.nan), "gray", 1, "amplitude"),
            (np.where(sample.judged, sample.usable, np.nan), "gray", 1, "truth: coherent"),
            (np.where(sample.known, answer, np.nan), "gray", 1, "probability of being coherent"),
        )
        for axes, (values, colours, top, title) in zip(row, shown, strict=True):
            colouring = {"cmap": colours, "vmin": -top if colours == "twilight" else 0, "vmax": top}
            axes.set_facecolor("tan")
            axes.imshow(values, interpolation="nearest", **colouring)
            axes.set_title(title, fontsize=8, parse_math=False)
            axes.set_xticks([])
            axes.set_yticks([])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
