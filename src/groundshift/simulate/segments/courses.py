"""How fast slides move: some always, others for weeks between weeks of rest."""

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import DAYS_PER_YEAR

__all__ = ["stop_and_go"]

_MOVES_DAYS, _RESTS_DAYS = (18.0, 60.0), (12.0, 40.0)
_UNEVEN = 0.25
"""Standard deviation of the logarithm of the speed from one month to the next."""
_MONTH = 30


def stop_and_go(days: NDArray[np.int64], rng: np.random.Generator, *, steady: bool) -> NDArray[np.float64]:
    """Draw how far a slide has come by each date, in years of its velocity while it moves.

    Parameters
    ----------
    days : (date,) array
        Days since the first date, growing from 0.
    rng : numpy Generator
    steady : bool
        Whether it never rests; otherwise it moves for 18 to 60 days and rests for 12 to 40, from any point on.

    Returns
    -------
    (date,) float64 array
        Zero at the first date, never falling; it stands still while the slide rests.
    """
    span = int(days[-1])
    months = np.exp(rng.normal(0, _UNEVEN, span // _MONTH + 2))
    day = np.arange(span)
    speed = np.interp(day, np.arange(len(months)) * _MONTH, months)
    if not steady:
        at = -rng.uniform(0, _MOVES_DAYS[1])
        while at < span:
            rest = at + rng.uniform(*_MOVES_DAYS)
            again = rest + rng.uniform(*_RESTS_DAYS)
            speed[(day >= rest) & (day < again)] = 0.0
            at = again
    come = np.concatenate([[0.0], np.cumsum(speed)])
    return np.asarray(come[days] / DAYS_PER_YEAR)
