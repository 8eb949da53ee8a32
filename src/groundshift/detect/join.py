"""Maps of overlapping tiles blended into one, those known up to a constant brought to one level first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import lsqr

from groundshift.types import Window

__all__ = ["Blend", "join_levelled"]

_TOGETHER = 0.05
"""Product of the weights of two tiles from which a pixel tells their difference in level."""

_Tile = tuple[Window, NDArray[np.floating], NDArray[np.floating]]
"""Where it lies, its values and their weights."""


class Blend:
    """The weighted mean of tiles, of which none is kept.

    Parameters
    ----------
    shape : (int, int)
        Of the whole.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._total, self._weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def add(self, window: Window, values: NDArray[np.floating], weight: NDArray[np.floating]) -> None:
        """Add a tile; its weights are positive."""
        self._total[window.rows, window.columns] += weight * values
        self._weights[window.rows, window.columns] += weight

    def mean(self) -> NDArray[np.float32]:
        """Return (y, x) the mean; NaN where no tile lies."""
        nothing = np.full(self._total.shape, np.nan, np.float32)
        return np.divide(self._total, self._weights, out=nothing, where=self._weights > 0)


def join_levelled(shape: tuple[int, int], tiles: Sequence[_Tile]) -> NDArray[np.float32]:
    """Join maps of overlapping tiles of which each has a constant of its own.

    They are shifted to agree best where they overlap and both weigh much, by least squares over the medians of their
    differences; the first tile of each part that hangs together is not shifted.

    Parameters
    ----------
    shape : (int, int)
        Of the whole.
    tiles : sequence of (window, values, weight)
        Weights are positive and add up to about 1 where no tile is missing; much less where values mean little.

    Returns
    -------
    (y, x) float32 array
        Weighted mean of the tiles; NaN where none lies.

    Examples
    --------
    >>> left = (Window(0, 0, 1, 3), np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 0.5]]))
    >>> right = (Window(0, 2, 1, 2), np.array([[7.0, 8.0]]), np.array([[0.5, 1.0]]))
    >>> join_levelled((1, 5), [left, right])
    array([[ 0.,  1.,  2.,  3., nan]], dtype=float32)
    """
    blend = Blend(shape)
    for (window, values, weight), shift in zip(tiles, _levels(tiles), strict=True):
        blend.add(window, values + np.float32(shift), weight)
    return blend.mean()


def _levels(tiles: Sequence[_Tile]) -> NDArray[np.float64]:
    """Return by how much each tile is to be shifted."""
    pairs, values = [], []
    for a, one in enumerate(tiles):
        for b, other in enumerate(tiles[:a]):
            difference = _difference(one, other)
            if difference is not None:
                pairs.append((a, b))
                values.append(difference)
    if not pairs:
        return np.zeros(len(tiles))
    row = np.repeat(np.arange(len(pairs)), 2)
    sign = np.tile([1.0, -1.0], len(pairs))
    matrix = coo_array((sign, (row, np.ravel(pairs))), shape=(len(pairs), len(tiles)))
    # The solution of least norm has a free constant for each part, which does not matter: it is set by its first tile.
    found = lsqr(matrix.tocsr(), -np.asarray(values), atol=1e-10, btol=1e-10)[0]
    return np.asarray(found - found[_first_of(matrix)], np.float64)


def _first_of(matrix: coo_array) -> NDArray[np.intp]:
    """Return for each tile the first one of the part that it hangs together with."""
    _, part = connected_components(abs(matrix.T) @ abs(matrix), directed=False)
    _, first = np.unique(part, return_index=True)
    return np.asarray(first[part], np.intp)


def _difference(one: _Tile, other: _Tile) -> float | None:
    """Return the median of one tile minus another where both weigh much; None if they nowhere do."""
    (a, first, w1), (b, second, w2) = one, other
    top, left = max(a.y, b.y), max(a.x, b.x)
    bottom, right = min(a.y + a.height, b.y + b.height), min(a.x + a.width, b.x + b.width)
    if bottom <= top or right <= left:
        return None
    here, there = (np.s_[top - w.y : bottom - w.y, left - w.x : right - w.x] for w in (a, b))
    both = w1[here] * w2[there] > _TOGETHER
    return float(np.median((first[here] - second[there])[both])) if both.any() else None
