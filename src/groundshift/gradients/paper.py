"""Stacking as Fu et al. (2022) does it: the running sum of wrapped differences is wrapped again after every pair.

Arrays are (..., y, x); phase is in radians. All pairs count alike. The wrapped sum has lost its whole cycles, and only
an unwrapping that succeeds brings them back; the direct sum of the same differences, kept beside it, never lost them
(docs/methods.md). The two differ by whole cycles.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from groundshift.checks import check_complex, check_shape
from groundshift.gradients._kernels import PER_DIRECTION, SHARED_SUMS, accumulate
from groundshift.gradients.stack import Direction, closes

__all__ = [
    "AGREEMENT",
    "PairDifferences",
    "PaperSums",
    "agreement",
    "pair_differences",
    "steep_share",
    "to_zero_background",
    "wrap",
]

AGREEMENT = 0.1
"""Radians within which two stacks count as equal."""

_PI = np.float32(np.pi)
_TURN = np.float32(2 * np.pi)
_MAGNITUDE = 2
"""Which of the shared sums is that of the magnitude."""


class PairDifferences(NamedTuple):
    """Wrapped differences of one interferogram."""

    angle: NDArray[np.float32]
    """(direction, y, x) radians per step; NaN where a node has no data."""
    magnitude: NDArray[np.float32]
    """(y, x) coherence after averaging, the lowest of a node's stencils; 0 where it has no data."""


@dataclass
class PaperSums:
    """Unweighted sums of wrapped differences, with and without their whole cycles.

    Make it with `empty`, and `add` one pair after the other. A pair without data at a node adds nothing there.
    """

    wrapped: NDArray[np.float32]
    """(direction, y, x) in [-pi, pi): wrapped again after every pair."""
    direct: NDArray[np.float32]
    """(direction, y, x): not wrapped again."""
    magnitude: NDArray[np.float32]
    """(y, x) sum of the magnitudes."""
    n_pairs: NDArray[np.uint16]
    """(y, x) pairs with data."""

    @classmethod
    def empty(cls, directions: int, shape: tuple[int, int]) -> "PaperSums":
        """Return sums of nothing."""
        return cls(
            np.zeros((directions, *shape), np.float32),
            np.zeros((directions, *shape), np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.uint16),
        )

    @property
    def mean_coherence(self) -> NDArray[np.float32]:
        """(y, x) mean magnitude of the averaged interferograms; 0 without data."""
        return np.asarray(self.magnitude / np.maximum(self.n_pairs, 1), np.float32)

    def add(self, found: PairDifferences) -> None:
        """Add one pair, in place.

        Raises
        ------
        ValueError
            If it has another shape than the sums.
        """
        check_shape("angle", found.angle, self.wrapped.shape)
        check_shape("magnitude", found.magnitude, self.magnitude.shape)
        known = found.magnitude > 0
        step = np.where(known, found.angle, np.float32(0))
        self.direct += step
        self.wrapped += step
        self.wrapped[:] = wrap(self.wrapped)
        self.magnitude += found.magnitude
        self.n_pairs += known

    def put_rows(self, first: int, part: "PaperSums", rows: slice) -> None:
        """Copy some rows of the sums of a block to row `first` and below."""
        past = first + len(range(*rows.indices(part.n_pairs.shape[0])))
        self.wrapped[:, first:past] = part.wrapped[:, rows]
        self.direct[:, first:past] = part.direct[:, rows]
        self.magnitude[first:past] = part.magnitude[rows]
        self.n_pairs[first:past] = part.n_pairs[rows]


def wrap(phase: NDArray[np.float32]) -> NDArray[np.float32]:
    """Wrap radians to [-pi, pi).

    Examples
    --------
    >>> wrap(np.array([-4.0, -np.pi, 3.0, np.pi, 7.0], np.float32)).round(2)
    array([ 2.28, -3.14,  3.  , -3.14,  0.72], dtype=float32)
    """
    turned = phase - _TURN * np.floor((phase + _PI) / _TURN)
    # Rounding may leave a value on the upper end.
    return np.asarray(np.where(turned >= _PI, turned - _TURN, turned), np.float32)


def pair_differences(
    igram: NDArray[np.complex64], smoothing: int, directions: tuple[Direction, ...]
) -> PairDifferences:
    """Average an interferogram over a window and difference its phase between nodes.

    Parameters
    ----------
    igram : (y, x) complex array
        Coherence times phasor, zero without data.
    smoothing : int
        Side of the averaging window in pixels.
    directions : tuple of Direction
        Between which nodes differences are taken.

    Notes
    -----
    The compiled pass of the weighted stack over one pair, whose weight cancels; its plain twin is
    `wrapped_differences`.

    References
    ----------
    [Fu2022]_, section 4.1.

    Examples
    --------
    >>> from groundshift.gradients.differences import directions_of
    >>> ramp = np.exp(1j * 0.5 * np.arange(6)) * np.ones((6, 1))
    >>> pair_differences(ramp, 2, directions_of(("azimuth", "range"))).angle[1, 3].round(2)
    array([nan, 0.5, 0.5, 0.5, 0.5, nan], dtype=float32)
    """
    check_complex("igram", igram)
    sums = np.zeros((1, SHARED_SUMS + PER_DIRECTION * len(directions), *igram.shape), np.float32)
    accumulate(
        np.ascontiguousarray(igram, np.complex64)[np.newaxis],
        np.ones(1, np.float32),
        np.ones((1, 1), np.float32),
        smoothing,
        np.array([d.start + d.end for d in directions], np.int64),
        closes(directions),
        np.float32(1),
        sums,
    )
    weight = sums[0, 0]
    known = weight > 0
    angle = np.full((len(directions), *igram.shape), np.nan, np.float32)
    np.divide(sums[0, SHARED_SUMS::PER_DIRECTION], weight, out=angle, where=known)
    return PairDifferences(angle, np.where(known, sums[0, _MAGNITUDE], np.float32(0)))


def to_zero_background(unwrapped: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take whole cycles off each connected region of an unwrapped gradient, so that its median lies nearest to zero.

    Parameters
    ----------
    unwrapped : (y, x) float array
        NaN without data.

    Notes
    -----
    Unwrapping leaves one constant open per region. Most ground does not move, so that its gradient is zero.
    Regions are those of data, joined along rows and columns.
    """
    known = np.isfinite(unwrapped)
    regions, count = scipy.ndimage.label(known)
    if count == 0:
        return unwrapped.copy()
    medians = np.asarray(scipy.ndimage.median(np.where(known, unwrapped, 0), regions, np.arange(1, count + 1)))
    cycles = np.concatenate([[0.0], np.round(medians / _TURN)]).astype(np.float32)
    return np.asarray(unwrapped - _TURN * cycles[regions], np.float32)


def agreement(unwrapped: NDArray[np.float32], direct: NDArray[np.float32]) -> float:
    """Return the share of nodes where the unwrapped stack is the direct sum, within `AGREEMENT`.

    There the unwrapping found the right cycle. NaN if no node has both.
    """
    known = np.isfinite(unwrapped) & np.isfinite(direct)
    if not known.any():
        return float("nan")
    return float((np.abs(unwrapped[known] - direct[known]) <= AGREEMENT).mean())


def steep_share(direct: NDArray[np.float32]) -> float:
    """Return the share of neighbouring nodes, along rows and columns, whose sums differ by more than pi.

    Between these the wrapped stack shows another step than the true one. 0 if no two neighbours have data.
    """
    steps = np.concatenate([np.abs(np.diff(direct, axis=axis)).ravel() for axis in (0, 1)])
    steps = steps[np.isfinite(steps)]
    return float((steps > np.pi).mean()) if steps.size else 0.0
