"""Averages over pixels of which some are not known."""

import numpy as np
from numpy.typing import NDArray

from groundshift.types import Looks

__all__ = ["average_known"]


def average_known(values: NDArray[np.float32], looks: Looks) -> NDArray[np.float32]:
    """Average `looks` pixels into one, over those that are known.

    Parameters
    ----------
    values : (height, width) float32 array
        NaN where unknown; what does not fill a look is cut off.
    looks : Looks

    Returns
    -------
    (height // looks.y, width // looks.x) float32 array
        NaN where nothing is known.

    Examples
    --------
    >>> average_known(np.array([[1, 3, np.nan], [np.nan, 5, np.nan]], np.float32), Looks(2, 2))
    array([[3.]], dtype=float32)
    """
    rows, columns = values.shape[0] // looks.y, values.shape[1] // looks.x
    cells = values[: rows * looks.y, : columns * looks.x].reshape(rows, looks.y, columns, looks.x)
    known = np.isfinite(cells)
    count = known.sum(axis=(1, 3))
    total = np.where(known, cells, 0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
