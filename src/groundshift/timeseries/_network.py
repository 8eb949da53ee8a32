"""A network of pairs as numbers, and the solution that the compiled inversion gives for every pixel."""

import math
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.errors import NoDataError
from groundshift.timeseries._kernels import invert
from groundshift.types import Pair

__all__ = ["Solution", "Task", "prepare", "solve"]

_LEAST_PAIRS = 2  # a pixel with fewer has no solution
_CACHE_BYTES = 600_000  # for a tile of pixels, to stay within the cache of a core


class Task(NamedTuple):
    """Pairs and dates as numbers, data as (pair, pixel)."""

    dates: tuple[date, ...]
    first: NDArray[np.int64]
    """(pair,) position of the reference among the dates."""
    second: NDArray[np.int64]
    """(pair,) and of the secondary."""
    days: NDArray[np.float64]
    """(date,) since the first date."""
    phase: NDArray[np.float32]
    """(pair, pixel) radians."""
    weight: NDArray[np.float32]
    """(pair, pixel) or (pair, 1) inverse variances, rad^-2."""
    metres: float
    """Displacement of one radian."""
    least_scatter: float
    """Least reduced chi-square that counts."""
    robust: bool


class Solution(NamedTuple):
    """What the compiled inversion gives (`_kernels.invert`), (..., pixel)."""

    displacement: NDArray[np.float32]
    sigma: NDArray[np.float32]
    groups: NDArray[np.uint16]
    quality: NDArray[np.float32]
    used: NDArray[np.float32]


def prepare(
    unw: NDArray[np.floating], weights: ArrayLike | None, pairs: Sequence[Pair], wavelength: float, robust: bool
) -> Task:
    """Check what was given and bring it into the form of the compiled code."""
    if not pairs:
        raise NoDataError("no pair to invert; give at least one interferogram")
    check_positive("wavelength", wavelength)
    check_shape("unw", unw, (len(pairs), *unw.shape[1:]))
    weight = np.ones(len(pairs), np.float32) if weights is None else np.ascontiguousarray(weights, np.float32)
    check_shape("weights", weight, (len(pairs),) if weight.ndim == 1 else unw.shape)
    dates = tuple(sorted({day for pair in pairs for day in (pair.reference, pair.secondary)}))
    index = {day: k for k, day in enumerate(dates)}
    return Task(
        dates=dates,
        first=np.array([index[pair.reference] for pair in pairs]),
        second=np.array([index[pair.secondary] for pair in pairs]),
        days=np.array([(day - dates[0]).days for day in dates], np.float64),
        phase=np.ascontiguousarray(unw, np.float32).reshape(len(pairs), -1),
        weight=weight.reshape(len(pairs), -1),
        metres=-wavelength / (4 * math.pi),
        least_scatter=0.0 if weights is None else 1.0,
        robust=robust,
    )


def solve(task: Task, *, keep_weights: bool = False) -> Solution:
    """Invert all pixels."""
    pairs, pixels = task.phase.shape
    size, band = len(task.dates), int((task.second - task.first).max())
    lanes = int(np.clip(_CACHE_BYTES / (8 * size * (2 * band + 5) + 12 * pairs) // 8 * 8, 8, 128))
    found = Solution(
        displacement=np.empty((size, pixels), np.float32),
        sigma=np.empty((size, pixels), np.float32),
        groups=np.empty((size, pixels), np.uint16),
        quality=np.empty((4, pixels), np.float32),
        used=np.empty((pairs, pixels) if keep_weights else (0, 0), np.float32),
    )
    invert(
        task.phase, task.weight, task.first, task.second, task.days, lanes, task.robust, task.metres,
        task.least_scatter, _LEAST_PAIRS, *found,
    )  # fmt: skip
    return found
