"""How movers move in time: courses in years of their long-term velocity.

A course multiplied by the velocity of a mover is how far it has come since the first date.
"""

import math

import numpy as np
from numpy.typing import NDArray

from groundshift.simulate.batched.types import Behaviour

__all__ = ["breathing_course", "draw_course", "surge_course"]

_TURN = 2 * math.pi


def draw_course(
    years: NDArray[np.float64], year_fraction: float, rng: np.random.Generator
) -> tuple[Behaviour, NDArray[np.float64]]:
    """Draw the behaviour of a slide: half are steady, the others follow the seasons, speed up or down, or jump.

    Parameters
    ----------
    years : (date,) array
        Time of the dates since the first one, growing.
    year_fraction : float
        Time of the year of the first date, 0 to 1.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    behaviour, course
        The course is a (date,) array, zero at the first date. That of a steady slide is `years`.
    """
    lot = rng.uniform()
    if lot < 0.5:
        return "steady", years.copy()
    if lot < 0.75:
        # Most slides are fastest some weeks after the rains; some anywhere in the year.
        peak = rng.uniform(0.55, 0.8) if rng.uniform() < 0.6 else rng.uniform()
        amplitude = rng.uniform(0.3, 1.5)
        mean = 1.0
        if rng.uniform() < 0.12:
            # The year nearly cancels: the velocity is then that of the fastest season.
            amplitude, mean = 1.0, rng.uniform(0.0, 0.4)
        return "seasonal", breathing_course(
            years, mean=mean, amplitude=amplitude, peak=peak - year_fraction, second=rng.uniform(0, 0.3)
        )
    span = float(years[-1])
    if lot < 0.92:
        middle, rise = rng.uniform(0.15, 0.85) * span, rng.uniform(0.01, 0.15) * span
        if rng.uniform() < 0.35:
            # Moves only for a part of the time, at its velocity.
            ends = sorted(rng.uniform(0, 1, 2) * span)
            return "accelerating", surge_course(years, ends[0], rise) - surge_course(years, ends[1] + 0.1 * span, rise)
        surge = surge_course(years, middle, rise)
        if rng.uniform() < 0.4:
            surge = years - surge
        way = years + rng.uniform(1, 8) * surge
        return "accelerating", way * (span / way[-1])
    jumps = np.sort(rng.uniform(-0.1, 1, rng.integers(2, 8))) * span
    sizes = rng.uniform(0.2, 1, len(jumps))
    steps = (sizes * ((years[:, None] >= jumps) & (jumps > 0))).sum(1)
    creep = rng.uniform(0, 0.5)
    return "stick-slip", creep * years + steps * ((1 - creep) * span / sizes.sum())


def breathing_course(
    years: NDArray[np.float64], *, mean: float, amplitude: float, peak: float, second: float = 0.0
) -> NDArray[np.float64]:
    """Return the course of velocity `mean + amplitude * (cos a + second cos 2 a)`, with `a = 2 pi (years - peak)`."""
    angle, start = _TURN * (years - peak), -_TURN * peak
    wave = np.sin(angle) - math.sin(start) + second / 2 * (np.sin(2 * angle) - math.sin(2 * start))
    return np.asarray(mean * years + amplitude / _TURN * wave)


def surge_course(years: NDArray[np.float64], middle: float, rise: float) -> NDArray[np.float64]:
    """Return the course of a velocity that grows from 0 to 1 around `middle`, a logistic of time scale `rise`."""
    late, early = (years - middle) / rise, -middle / rise
    return np.asarray(rise * (np.logaddexp(0, late) - np.logaddexp(0, early)))
