"""Phase that was unwrapped in some other way, made congruent: wrapped again it is the phase that was given."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["congruent"]

_TURN = 2 * math.pi


def congruent(
    wrapped: NDArray[np.floating], estimate: NDArray[np.floating], weight: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Add to wrapped phase the whole cycles that bring it nearest to an estimate.

    Parameters
    ----------
    wrapped : (y, x) array
        Radians; NaN without data.
    estimate : (y, x) array
        Unwrapped phase, radians, up to a constant; NaN where it is not known.
    weight : (y, x) array
        How much each pixel tells of that constant; not negative.

    Returns
    -------
    unwrapped, off
        Radians, NaN without data or estimate: the phase, and how far it lies from the estimate once that has the
        constant that suits all pixels best, -pi to pi.

    Examples
    --------
    >>> estimate = np.array([[0.0, 3.0, 6.0, 9.0]])
    >>> wrapped = np.angle(np.exp(1j * (estimate + 0.4)))
    >>> congruent(wrapped, estimate, np.ones((1, 4)))[0].round(3)
    array([[0.4, 3.4, 6.4, 9.4]], dtype=float32)
    """
    known = np.isfinite(wrapped) & np.isfinite(estimate)
    # In double precision: whole cycles are to add nothing to the rounding of the phase.
    given, wanted = (np.where(known, values, 0).astype(np.float64) for values in (wrapped, estimate))
    levelled = wanted + np.angle(np.sum(np.where(known, weight, 0) * np.exp(1j * (given - wanted))))
    unwrapped = given + _TURN * np.round((levelled - given) / _TURN)
    found, off = (np.where(known, values, np.nan).astype(np.float32) for values in (unwrapped, unwrapped - levelled))
    return found, off
