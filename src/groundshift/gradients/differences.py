"""Wrapped phase differences of one interferogram between averaged nodes.

Arrays are (..., y, x); phase is in radians, wrapped to [-pi, pi]. What is done here for one interferogram in plain
NumPy is what the compiled pass of `_kernels.py` does for a whole stack.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from groundshift.checks import check_complex
from groundshift.gradients._kernels import QUALITY_CEILING, multilook
from groundshift.gradients.stack import Direction, closes
from groundshift.types import Looks

__all__ = ["Differences", "directions_of", "quality", "take_looks", "wrapped_differences"]


class Differences(NamedTuple):
    """Wrapped differences and their quality."""

    angle: NDArray[np.float32]
    """(direction, y, x) radians per step; NaN where a node has no data."""
    quality: NDArray[np.float32]
    """(y, x) relative inverse variance; 0 where a node has no data."""


def directions_of(axis_names: tuple[str, str], *, diagonals: bool = False, step: int = 1) -> tuple[Direction, ...]:
    """Return the directions along which differences are taken.

    Parameters
    ----------
    axis_names : tuple of str
        Names of rows and columns, from the grid.
    diagonals : bool
        Add the two diagonals, as in the IPGS variant.
    step : int
        1 takes forward differences between neighbours; larger values take `node + step` minus `node - step`.
    """
    rows, columns = axis_names
    back = step if step > 1 else 0
    found = [
        Direction(rows, (-back, 0), (step, 0)),
        Direction(columns, (0, -back), (0, step)),
    ]
    if diagonals:
        found += [
            Direction(f"{rows}+{columns}", (-back, -back), (step, step)),
            Direction(f"{rows}-{columns}", (-back, back), (step, -step)),
        ]
    return tuple(found)


def quality(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the relative inverse phase variance of nodes of squared magnitude `power`, in [0, 10].

    Notes
    -----
    The phase variance of a mean of coherence g is proportional to (1 - g^2) / g^2; its inverse is levelled off at g = 1
    (see `QUALITY_CEILING`).
    """
    q = np.minimum(power, np.float32(1))
    return np.asarray(q / (np.float32(QUALITY_CEILING) - q), np.float32)


def take_looks(igram: NDArray[np.complex64], looks: Looks) -> NDArray[np.complex64]:
    """Average `looks` pixels into one, over those with data; what does not fill a look is cut off."""
    check_complex("igram", igram)
    if looks == Looks(1, 1):
        return igram
    out = np.empty((igram.shape[0] // looks.y, igram.shape[1] // looks.x), np.complex64)
    multilook(np.ascontiguousarray(igram, np.complex64), looks.y, looks.x, out)
    return out


def wrapped_differences(igram: NDArray[np.complex64], smoothing: int, directions: tuple[Direction, ...]) -> Differences:
    """Average an interferogram over a window and difference its phase between nodes.

    Parameters
    ----------
    igram : (y, x) complex array
        Coherence times phasor, zero without data.
    smoothing : int
        Side of the averaging window in pixels.
    directions : tuple of Direction
        Between which nodes differences are taken.

    Returns
    -------
    Differences
        NaN and 0 where the window or a stencil leaves the image, or where a node's own pixel has no data.

    Notes
    -----
    A true slope steeper than pi radians per step aliases.

    References
    ----------
    [Fu2022]_, section 4.1.

    Examples
    --------
    >>> ramp = np.exp(1j * 0.5 * np.arange(6)) * np.ones((6, 1))
    >>> found = wrapped_differences(ramp.astype(np.complex64), 2, directions_of(("azimuth", "range")))
    >>> found.angle[1, 3].round(2)
    array([nan, 0.5, 0.5, 0.5, 0.5, nan], dtype=float32)
    """
    check_complex("igram", igram)
    kernel = np.full(smoothing, 1 / smoothing)
    mean = correlate1d(igram.astype(np.complex128), kernel, axis=0, mode="constant")
    mean = correlate1d(mean, kernel, axis=1, mode="constant")
    before, after = smoothing // 2, smoothing - smoothing // 2 - 1
    inside = np.zeros(igram.shape, bool)
    inside[before : igram.shape[0] - after, before : igram.shape[1] - after] = True
    mean[~inside | (igram == 0)] = 0
    power = np.abs(mean) ** 2

    angle = np.full((len(directions), *igram.shape), np.nan, np.float32)
    lowest = power.copy()
    reach = [(0, 0)]
    for d in directions:
        reach += [d.start, d.end]
        lowest = np.minimum(lowest, np.minimum(_moved(power, d.start), _moved(power, d.end)))
    if closes(directions):
        reach.append((1, 1))
    lowest[_leaves(igram.shape, smoothing, reach)] = 0
    for k, d in enumerate(directions):
        step = np.angle(_moved(mean, d.end) * np.conj(_moved(mean, d.start)))
        angle[k] = np.where(lowest > 0, step, np.nan)
    return Differences(angle, quality(lowest.astype(np.float32)))


def _moved(field: NDArray[np.generic], by: tuple[int, int]) -> NDArray[np.generic]:
    """Return the field whose value at (y, x) is that at (y, x) + by; zero outside."""
    out = np.zeros_like(field)
    height, width = field.shape
    dy, dx = by
    if abs(dy) >= height or abs(dx) >= width:
        return out
    out[max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)] = field[
        max(dy, 0) : height - max(-dy, 0), max(dx, 0) : width - max(-dx, 0)
    ]
    return out


def _leaves(shape: tuple[int, int], n: int, reach: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Nodes whose window, or that of a node of their stencils, leaves the image."""
    rows, columns = [r[0] for r in reach], [r[1] for r in reach]
    before, after = n // 2, n - n // 2 - 1
    out = np.ones(shape, bool)
    out[
        before - min(rows) : max(shape[0] - after - max(rows), 0),
        before - min(columns) : max(shape[1] - after - max(columns), 0),
    ] = False
    return out
