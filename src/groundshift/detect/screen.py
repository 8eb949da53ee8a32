"""Screening: which bodies are worth a person's attention.

Fu et al. (2022) (section 4.4) leaves out a box whose stacked gradient never reaches 1.2 rad, or does so in fewer than a
tenth of its pixels. On its stacks of about 19 years of summed baselines and 40 m pixels that is 0.28 mm/yr per 40 m,
which unlike the radians means the same on every track.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.rules import Body
from groundshift.gradients.stack import GradientStack

__all__ = ["Screen", "steep_share"]

REFERENCE_PIXEL = 40.0
"""Metres: the pixel that `Screen.least_gradient` refers to."""


@dataclass(frozen=True)
class Screen:
    """Thresholds that a detection must pass."""

    least_gradient: float = 0.28
    """mm/yr per 40 m that must be reached..."""
    least_share: float = 0.10
    """... in this share of the pixels of the body's box."""

    def passes(self, stack: GradientStack, body: Body) -> bool:
        """Whether `body` shows enough gradient in at least one direction."""
        return steep_share(stack, body, self.least_gradient) >= self.least_share


def steep_share(stack: GradientStack, body: Body, least_gradient: float) -> float:
    """Return the share of pixels in a body's box whose velocity gradient reaches a threshold.

    Parameters
    ----------
    stack : GradientStack
    body : Body
    least_gradient : float
        mm/yr per 40 m.

    Returns
    -------
    float
        In [0, 1], of the direction where it is largest; 0 if no pixel has data.
    """
    top, left = body.corner
    height, width = body.mask.shape
    box = stack.rate[:, top : top + height, left : left + width] * np.float32(stack.mm_per_radian)
    shares = [0.0]
    for gradient, direction in zip(box, stack.directions, strict=True):
        known = np.isfinite(gradient)
        if known.any():
            metres = _length(stack, direction.end[0] - direction.start[0], direction.end[1] - direction.start[1])
            steep: NDArray[np.bool_] = np.abs(gradient[known]) >= least_gradient * metres / REFERENCE_PIXEL
            shares.append(float(steep.mean()))
    return max(shares)


def _length(stack: GradientStack, rows: int, columns: int) -> float:
    """Length of a step in metres."""
    dy, dx = stack.grid.spacing
    return float(np.hypot(rows * dy, columns * dx))
