"""Unwrapping on larger pixels: whole cycles are found where noise is averaged out, and given to what they cover."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundshift.geometry.geocode import sample_at
from groundshift.types import Looks
from groundshift.unwrap.patch import PatchPhase, unwrap_patch
from groundshift.unwrap.unwrapper import Unwrapper

__all__ = ["average_igram", "unwrap_averaged"]


def average_igram(igram: NDArray[np.complex64], looks: Looks) -> NDArray[np.complex64]:
    """Average `looks` pixels into one, over those with data.

    Parameters
    ----------
    igram : (height, width) complex array
        Zero without data. The last looks may be cut off, and are averaged as they are.
    looks : Looks

    Returns
    -------
    (ceil(height / looks.y), ceil(width / looks.x)) complex64 array
        Zero where there are no data.

    Examples
    --------
    >>> average_igram(np.array([[1, 1j, 0.5], [0, 0, 0]], np.complex64), Looks(2, 2))
    array([[0.5+0.5j, 0.5+0.j ]], dtype=complex64)
    """
    rows, columns = (range(0, size, step) for size, step in zip(igram.shape, looks, strict=True))

    def summed(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))

    return np.asarray(summed(igram) / np.maximum(summed((igram != 0).astype(np.float32)), 1), np.complex64)


def unwrap_averaged(igrams: NDArray[np.complex64], nlooks: float, unwrapper: Unwrapper, looks: Looks) -> PatchPhase:
    """Unwrap the averages of `looks` pixels, and give every pixel the whole cycles that bring it nearest to them.

    Wrapped again, the result is the phase of the pixels. It is for phase that changes little from pixel to pixel.

    Parameters
    ----------
    igrams : (pair, y, x) complex array
        Coherence times phasor; zero marks pixels without data.
    nlooks : float
        Independent looks in a pixel of `igrams`.
    unwrapper : Unwrapper
    looks : Looks

    Returns
    -------
    PatchPhase
        On the pixels of `igrams`; components are those of the averages.

    Raises
    ------
    TypeError, ValueError
        As `unwrap_patch`.
    """
    if looks == (1, 1):
        return unwrap_patch(igrams, nlooks, unwrapper)
    averaged = np.stack([average_igram(igram, looks) for igram in igrams])
    coarse = unwrap_patch(averaged, nlooks * looks.y * looks.x, unwrapper)
    shape = igrams.shape[1:]
    y, x = np.meshgrid(
        *((np.arange(n) + 0.5) / step - 0.5 for n, step in zip(shape, looks, strict=True)), indexing="ij"
    )
    own = np.ix_(np.arange(shape[0]) // looks.y, np.arange(shape[1]) // looks.x)
    unwrapped = np.empty(igrams.shape, np.float32)
    conncomp = np.zeros(igrams.shape, np.uint32)
    for k, igram in enumerate(igrams):
        wrapped = np.where(igram != 0, np.angle(igram), np.nan)
        around = sample_at(coarse.unwrapped[k], y, x, False)
        unwrapped[k] = wrapped + 2 * math.pi * np.round((around - wrapped) / (2 * math.pi))
        conncomp[k] = np.where(igram != 0, coarse.conncomp[k][own], 0)
    return PatchPhase(unwrapped, conncomp, coarse.failures)
