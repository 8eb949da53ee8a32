"""What a fringe classifier says of windows, drawn with them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from groundshift.io.atomic import atomic_path
from groundshift.training.fringes.patches import FringeSample

__all__ = ["draw_windows"]


def draw_windows(path: Path, samples: Sequence[FringeSample], answers: Sequence[float], *, most: int = 12) -> None:
    """Draw windows with a candidate (upper half) and others (lower half), the least certain answers first, as PNG.

    Parameters
    ----------
    path : path
        The picture.
    samples, answers : sequences of one length
        Windows and the probability of a candidate in each.
    most : int
        Windows of each kind.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    columns = 6
    rows = -(-most // columns)
    figure = Figure(figsize=(1.9 * columns, 4.2 * rows), layout="constrained")
    panels = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for half, wanted in enumerate((True, False)):
        kind = [k for k, s in enumerate(samples) if s.positive is wanted]
        kind.sort(key=lambda k: answers[k], reverse=not wanted)
        for axes, k in zip(panels[half * rows : (half + 1) * rows].flat, kind[:most], strict=False):
            sample = samples[k]
            shown = np.where(sample.coherence > 0, sample.wrapped, np.nan)
            axes.imshow(shown, cmap="twilight", vmin=-np.pi, vmax=np.pi, interpolation="nearest")
            what = "candidate" if wanted else "other"
            axes.set_title(f"{what}: {answers[k]:.2f}\n{sample.scene}", fontsize=7, parse_math=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")
