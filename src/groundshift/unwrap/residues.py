"""Where wrapped phase contradicts itself."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["residues"]


def residues(phase: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return how many cycles wrapped differences add up to around every four neighbouring pixels.

    Parameters
    ----------
    phase : (y, x) float array
        Radians; NaN without data.

    Returns
    -------
    (y - 1, x - 1) int8 array
        -1, 0 or 1, positive where the phase grows from a pixel along the row, then down and back; 0 where a pixel has
        no data. Any way of unwrapping must tear the phase between residues.

    Examples
    --------
    >>> residues(np.array([[0.0, 1.5], [4.5, 3.0]]))
    array([[1]], dtype=int8)
    """
    down, right = (np.diff(phase, axis=axis) for axis in (0, 1))
    down, right = (step - 2 * math.pi * np.round(step / (2 * math.pi)) for step in (down, right))
    around = right[:-1] + down[:, 1:] - right[1:] - down[:, :-1]
    return np.nan_to_num(np.round(around / (2 * math.pi))).astype(np.int8)
