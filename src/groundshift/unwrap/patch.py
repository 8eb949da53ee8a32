"""Unwrapping of all interferograms of a patch around a target.

Arrays are (pair, y, x); phase is in radians.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_complex
from groundshift.errors import NoDataError
from groundshift.unwrap.unwrapper import Unwrapped, Unwrapper, UnwrappingError

__all__ = ["PatchPhase", "unwrap_patch"]


class PatchPhase(NamedTuple):
    """The unwrapped phase of all pairs of a patch."""

    unwrapped: NDArray[np.float32]
    """(pair, y, x) radians, NaN without data; each pair has constants of whole cycles of its own."""
    conncomp: NDArray[np.uint32]
    """(pair, y, x) parts that the unwrapper vouches for, from 1; 0 is outside every one."""
    failures: tuple[tuple[int, str], ...]
    """Index and reason of each pair without any unwrapped phase, in order."""


def unwrap_patch(
    igrams: NDArray[np.complex64],
    nlooks: float,
    unwrapper: Unwrapper,
    *,
    advance: Callable[[], object] | None = None,
) -> PatchPhase:
    """Unwrap every interferogram of a patch.

    Parameters
    ----------
    igrams : (pair, y, x) complex array
        Coherence times phasor; zero, NaN and infinity mark pixels without data.
    nlooks : float
        Independent looks that the coherence is estimated from, at least 1.
    unwrapper : Unwrapper
    advance : callable, optional
        Called once after each pair.

    Returns
    -------
    PatchPhase
        A pair without data, or on which the unwrapper gives up, is NaN and named in `failures`; the others go on.

    Raises
    ------
    TypeError
        If `igrams` is not complex-valued.
    ValueError
        If `igrams` is not (pair, y, x), or `nlooks` is less than 1.

    Notes
    -----
    Pixels outside every component keep their phase: on patches of low coherence that is most of them, and most of
    them are right (`benchmarks/unwrapping.py closure`). `check_closure` tells which of them to believe.
    """
    check_complex("igrams", igrams)
    if igrams.ndim != 3:
        raise ValueError(f"igrams must have shape (pair, y, x), instead got {igrams.shape}")
    if not nlooks >= 1:
        raise ValueError(f"nlooks must be at least 1, instead got {nlooks}")
    unwrapped = np.full(igrams.shape, np.nan, np.float32)
    conncomp = np.zeros(igrams.shape, np.uint32)
    failures = []
    for k, igram in enumerate(igrams):
        try:
            unwrapped[k], conncomp[k] = _unwrap_one(igram, nlooks, unwrapper)
        except (NoDataError, UnwrappingError) as error:
            failures.append((k, str(error)))
        if advance is not None:
            advance()
    return PatchPhase(unwrapped, conncomp, tuple(failures))


def _unwrap_one(igram: NDArray[np.complex64], nlooks: float, unwrapper: Unwrapper) -> Unwrapped:
    """Unwrap one interferogram, its magnitude being the weight."""
    valid = np.isfinite(igram) & (igram != 0)
    if not valid.any():
        raise NoDataError("no data on the patch")
    known = np.where(valid, igram, 0)
    wrapped = np.where(valid, np.angle(known), np.nan).astype(np.float32)
    return unwrapper.unwrap(wrapped, np.abs(known).astype(np.float32), nlooks)
