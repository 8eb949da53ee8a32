"""Terrain as a reason to leave pixels out. True means usable; what is not known stays usable."""

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_within
from groundshift.geometry.layover import LAYOVER, SHADOW
from groundshift.geometry.terrain import MINIMUM_SENSITIVITY

__all__ = ["MINIMUM_SLOPE", "no_layover", "no_shadow", "sensitive", "steep_enough"]

MINIMUM_SLOPE = 10.0
"""Degrees; gentler ground was dropped from the landslides of Wang et al. (2023)."""


def steep_enough(slope: NDArray[np.float32], minimum: float = MINIMUM_SLOPE) -> NDArray[np.bool_]:
    """Keep slopes of at least `minimum` degrees, on which a landslide can move.

    Not for subsidence: mines and cities lie on flat ground.

    Examples
    --------
    >>> steep_enough(np.array([2.0, 10.0, 35.0, np.nan], np.float32))
    array([False,  True,  True,  True])
    """
    check_within("minimum", minimum, 0.0, 90.0)
    return ~(slope < minimum)


def no_layover(code: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Keep pixels outside layover (codes of `layover_shadow`: 2 and 3 are layover)."""
    return np.asarray((code & LAYOVER) == 0)


def no_shadow(code: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Keep pixels outside shadow (codes of `layover_shadow`: 1 and 3 are shadow)."""
    return np.asarray((code & SHADOW) == 0)


def sensitive(sensitivity: NDArray[np.float64], minimum: float = MINIMUM_SENSITIVITY) -> NDArray[np.bool_]:
    """Keep pixels whose down-slope motion shows along the line of sight by at least the share `minimum`.

    `sensitivity` is that of `downslope_sensitivity`. Below 0.3 noise grows more than threefold. Says what
    can be seen, not what is wrong: for a report on blind slopes rather than for leaving pixels out of a stack.
    """
    check_within("minimum", minimum, 0.0, 1.0)
    return ~(np.abs(sensitivity) < minimum)
