"""Join masks into one, and tell what each takes away. True means usable."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape

__all__ = ["CombinedMask", "MaskShare", "combine"]


class MaskShare(NamedTuple):
    """What one mask takes away, as shares of the pixels considered."""

    name: str
    removed: float
    """Share that it removes."""
    alone: float
    """Share that it removes and no other mask does."""


class CombinedMask(NamedTuple):
    """All masks together."""

    valid: NDArray[np.bool_]
    """(y, x), True where every mask is."""
    table: tuple[MaskShare, ...]
    """One row for each mask, in the order given."""
    removed: float
    """Share removed by all together."""


def combine(masks: Mapping[str, NDArray[np.bool_]], *, within: NDArray[np.bool_] | None = None) -> CombinedMask:
    """Join named masks.

    Parameters
    ----------
    masks : mapping from name to (y, x) bool array
        True where usable, such as `{"snow": ..., "layover": ..., "shadow": ..., "water": ..., "coherence": ...}`.
    within : (y, x) bool array, optional
        Pixels that have data at all; only they are counted in the shares, and only they can be valid.

    Returns
    -------
    CombinedMask
        Shares are 0 where there is nothing to count.

    Raises
    ------
    ValueError
        If no mask is given, or shapes differ.
    TypeError
        If a mask is not boolean.

    Examples
    --------
    >>> joined = combine({"snow": np.array([[True, False, False]]), "water": np.array([[True, True, False]])})
    >>> joined.valid
    array([[ True, False, False]])
    >>> [(row.name, round(row.removed, 2), round(row.alone, 2)) for row in joined.table]
    [('snow', 0.67, 0.33), ('water', 0.33, 0.0)]
    """
    if not masks:
        raise ValueError("masks must hold at least one mask, instead got none")
    first = next(iter(masks.values()))
    considered = np.ones(first.shape, np.bool_) if within is None else within
    removals = np.zeros(first.shape, np.uint8 if len(masks) < 256 else np.uint16)
    for name, mask in {**masks, "within": considered}.items():
        check_shape(name, mask, first.shape)
        if mask.dtype != np.bool_:
            raise TypeError(f"{name} must be a bool array with True where usable, instead got {mask.dtype}")
    for mask in masks.values():
        removals += ~mask
    total = max(1, int(considered.sum()))
    table = tuple(
        MaskShare(
            name, float((considered & ~mask).sum() / total), float((considered & ~mask & (removals == 1)).sum() / total)
        )
        for name, mask in masks.items()
    )
    valid = considered & (removals == 0)
    return CombinedMask(valid, table, float((considered & (removals > 0)).sum() / total))
