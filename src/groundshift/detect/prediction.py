"""What a network found on one map, before it is placed on Earth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prediction"]


class Prediction(NamedTuple):
    """One body on the lattice of nodes."""

    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in nodes, outer edges: a body of one node at the origin has the box (0, 0, 1, 1)."""
    score: float
    """0 to 1."""
    mask: NDArray[np.bool_] | None = None
    """(y, x) of the whole box, whose edges are then whole numbers: True inside the body. None: the detector draws boxes
    only."""
