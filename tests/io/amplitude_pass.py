"""A pass that is known in closed form: a circle over the poles, above Greenwich, the Earth standing still."""

import numpy as np

from groundshift.geometry.orbits import Orbit, earth_fixed

RADIUS = 7_070_000.0
RATE = 1.06e-3
"""Radians per second."""

NOON = 43_200.0
"""Seconds of the day when the satellite crosses the equator."""

GROUND = earth_fixed(np.array([3.0, 3.02, 3.1]), np.array([0.0, 0.01, -0.02]), np.array([0.0, 800.0, 300.0]))
"""Points east of the track, to the right of a flight northwards."""


def vectors(count: int = 28, interval: float = 10.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times of the day, positions and velocities, around noon."""
    times = NOON + interval * (np.arange(count) - (count - 1) / 2)
    turn = RATE * (times - NOON)
    nought = np.zeros_like(turn)
    positions = RADIUS * np.stack([np.cos(turn), nought, np.sin(turn)], axis=-1)
    velocities = RADIUS * RATE * np.stack([-np.sin(turn), nought, np.cos(turn)], axis=-1)
    return times, positions, velocities


def orbit() -> Orbit:
    return Orbit(*vectors())


def seen(ground: np.ndarray = GROUND) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of the day of zero Doppler and the slant ranges of points."""
    x, y, z = np.moveaxis(ground, -1, 0)
    return NOON + np.arctan2(z, x) / RATE, np.hypot(y, np.hypot(x, z) - RADIUS)


def picture(rows: int = 12, columns: int = 9) -> np.ndarray:
    """Return amplitudes that all differ, whole numbers, one of them zero."""
    return (np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) * 7) % 1000
