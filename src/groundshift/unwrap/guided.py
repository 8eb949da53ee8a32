"""Unwrapping of steep motion: filtered along its fringes, and with what can be foreseen of it taken out.

Fringes as dense as those over a mine lead unwrappers astray where noise breaks them. A filter that follows the fringes
takes out most of the noise and leaves the motion. Where the answer is torn nevertheless, it is smoothed and taken for
what is foreseen: of the phase that is left without it the fringes are fewer and more even, which lets the filter do
more, and so forth. A network may foresee the motion instead. However steep the ground has sunk, it bends little from
one pixel to the next, and a tear bends much: of all answers that which bends least is taken. Whole cycles are then
given to the phase as it came: wrapped again, the answer is what was given, pixel by pixel, whatever was foreseen.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from groundshift.checks import check_shape
from groundshift.interferometry import filter_along_fringes
from groundshift.unwrap.congruent import congruent
from groundshift.unwrap.unwrapper import Unwrapped, Unwrapper

__all__ = ["Foresight", "Guided", "bends", "breaks"]

Foresight = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""From wrapped phase (radians, NaN without data) and coherence to unwrapped phase up to a constant, radians."""

_WINDOW = 5
"""Pixels that are averaged along the fringes, rows and columns."""
_INDEPENDENT = 1 / 3
"""Share of the averaged pixels that count as further looks: neighbours share noise, and so does the fringe rate."""
_SMOOTH = 6.0
"""Pixels, standard deviation of the Gaussian that makes an answer foresee the next."""
_ROUNDS = 4
"""Times that an answer foresees the next at most."""
_GAIN = 0.99
"""An answer has to bend less than this share of the one before for a further round."""


class _Way(NamedTuple):
    """One way to unwrap an image."""

    phase: NDArray[np.float32]
    """What was foreseen and the rest, filtered and unwrapped; NaN without data."""
    agreement: NDArray[np.float32]
    """Coherence after the filter."""
    conncomp: NDArray[np.uint32]
    torn: float
    bent: float


class Guided:
    """An unwrapper for steep motion.

    Parameters
    ----------
    unwrapper : Unwrapper
        Unwraps what is left to do.
    foresee : Foresight, optional
        Tells most of the unwrapped phase. It is asked only where the answer without it is torn.
    name : str
        Short name.
    """

    def __init__(self, unwrapper: Unwrapper, foresee: Foresight | None, name: str) -> None:
        self.name = name
        self._unwrapper, self._foresee = unwrapper, foresee

    def unwrap(self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32], nlooks: float) -> Unwrapped:
        """Unwrap one phase image; see `Unwrapper.unwrap`."""
        check_shape("coherence", coherence, wrapped.shape)
        if not nlooks >= 1:
            raise ValueError(f"nlooks must be at least 1, instead got {nlooks}")
        weight = np.where(np.isfinite(wrapped) & (coherence > 0), coherence, 0).astype(np.float32)
        best = self._refined(wrapped, weight, np.zeros_like(wrapped), nlooks)
        if self._foresee is not None and best.torn > 0:
            foreseen = np.nan_to_num(self._foresee(wrapped, coherence))
            best = min(best, self._refined(wrapped, weight, foreseen, nlooks), key=lambda way: way.bent)
        unwrapped, _ = congruent(wrapped, best.phase, weight)
        return Unwrapped(unwrapped, best.conncomp)

    def _refined(
        self, wrapped: NDArray[np.float32], weight: NDArray[np.float32], foreseen: NDArray[np.float32], nlooks: float
    ) -> _Way:
        """Unwrap with what is foreseen, and let the answer foresee the next as long as it is torn and bends less."""
        best = self._way(wrapped, weight, foreseen, nlooks)
        for _ in range(_ROUNDS):
            if best.torn == 0:
                break
            last = best
            found = self._way(wrapped, weight, _smoothed(last.phase, last.agreement), nlooks)
            best = min(last, found, key=lambda way: way.bent)
            if best.bent > _GAIN * last.bent:
                break
        return best

    def _way(
        self, wrapped: NDArray[np.float32], weight: NDArray[np.float32], foreseen: NDArray[np.float32], nlooks: float
    ) -> _Way:
        """Unwrap what is left without `foreseen`, filtered; `weight` is the coherence, 0 without data."""
        known = weight > 0
        rest = weight * np.exp(1j * np.where(known, wrapped - foreseen, 0))
        filtered = filter_along_fringes(rest.astype(np.complex64), _WINDOW)
        looks = nlooks * max(1.0, _INDEPENDENT * filtered.samples)
        seen = np.where(known, np.angle(filtered.igram), np.nan).astype(np.float32)
        agreement = np.where(known, np.clip(np.abs(filtered.igram), 1e-3, 1), 0).astype(np.float32)
        found = self._unwrapper.unwrap(seen, agreement, looks)
        phase = found.unwrapped + foreseen
        return _Way(phase, agreement, found.conncomp, breaks(phase, agreement), bends(phase, weight))


def _smoothed(phase: NDArray[np.float32], agreement: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean phase around each pixel, weighted by the square of the agreement; 0 far from data."""
    weight = np.where(np.isfinite(phase), agreement**2, 0)
    total = gaussian_filter(weight * np.nan_to_num(phase), _SMOOTH)
    known = gaussian_filter(weight, _SMOOTH)
    return np.divide(total, known, out=np.zeros_like(phase), where=known > 0)


def breaks(unwrapped: NDArray[np.floating], coherence: NDArray[np.floating]) -> float:
    """Return how much of an unwrapped phase is torn: the share of steps beyond half a cycle, weighted by coherence.

    Parameters
    ----------
    unwrapped : (y, x) float array
        Radians; NaN without data.
    coherence : (y, x) float array
        0 to 1.

    Returns
    -------
    float
        0 to 1; the steps are those between neighbours with data, the weight the square of the lower coherence.

    Examples
    --------
    >>> breaks(np.array([[0.0, 1.0, 5.0]]), np.ones((1, 3)))
    0.5
    """
    return _mean(1, unwrapped, coherence, lambda steps: np.abs(steps) > math.pi)


def bends(unwrapped: NDArray[np.floating], coherence: NDArray[np.floating]) -> float:
    """Return how much an unwrapped phase bends: the mean magnitude of its second differences, weighted by coherence.

    Parameters
    ----------
    unwrapped : (y, x) float array
        Radians; NaN without data.
    coherence : (y, x) float array
        0 to 1.

    Returns
    -------
    float
        Radians; of all three neighbours with data along either axis, the weight the square of the lowest coherence. A
        plane has none however steep it is; a tear of a cycle along a line has twice 2 pi in every row that it crosses.

    Examples
    --------
    >>> bends(np.array([[0.0, 4.0, 8.0, 12.0, 10.0]]), np.ones((1, 5)))
    2.0
    """
    return _mean(2, unwrapped, coherence, np.abs)


def _mean(
    order: int,
    unwrapped: NDArray[np.floating],
    coherence: NDArray[np.floating],
    of: Callable[[NDArray[np.floating]], NDArray[np.generic]],
) -> float:
    """Return the mean of a function of the differences of an order along both axes; 0 if there are none."""
    total = weights = 0.0
    for phase, level in ((unwrapped, coherence), (unwrapped.T, coherence.T)):
        difference = np.diff(phase, order, axis=0)
        lowest = np.min([level[k : len(level) - order + k] for k in range(order + 1)], axis=0)
        known = np.isfinite(difference)
        weight = lowest[known] ** 2
        total += float((weight * of(difference[known])).sum())
        weights += float(weight.sum())
    return total / weights if weights else 0.0
