"""Where the pixels of full-resolution radar images lie, on a lookup coarser than they are.

Longitude and latitude of every single-look pixel of a track would fill memory several times over. Between lattice
points some tens of metres apart the grid interpolates.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundshift.io.lookup import ground_spacing
from groundshift.types import Looks, RadarGrid

__all__ = ["grid_with_lookup", "lattice_step"]

_MOST = 4_000_000
"""Lattice points of one grid at most."""


def lattice_step(shape: tuple[int, int]) -> int:
    """Return every how many pixels the lookup of an image needs a point.

    Examples
    --------
    >>> lattice_step((1500, 20000)), lattice_step((400, 300))
    (3, 1)
    """
    return max(1, math.ceil(math.sqrt(math.prod(shape) / _MOST)))


def grid_with_lookup(
    shape: tuple[int, int],
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    every: Looks,
    first: tuple[float, float],
    spacing: tuple[float, float] | None = None,
) -> RadarGrid | None:
    """Return the grid of an image by the places of some of its pixels.

    Parameters
    ----------
    shape : (int, int)
        Lines and columns of the image.
    longitude, latitude : (y, x) float64 array
        Degrees, NaN where unknown.
    every : Looks
        Pixels of the image from one place to the next.
    first : (float, float)
        Pixel coordinate of the first place: 0 where every n-th pixel is given, (n - 1) / 2 where n are averaged.
    spacing : (float, float), optional
        Pixel size on the ground in metres; measured between the places by default.

    Returns
    -------
    RadarGrid or None
        None if the spacing is not given and too few places are known to measure it.
    """
    if spacing is None:
        measured = ground_spacing(longitude, latitude)
        if measured is None:
            return None
        spacing = (measured[0] / every.y, measured[1] / every.x)
    place: dict[str, Any] = {
        "origin": (-first[0] / every.y, -first[1] / every.x),
        "step": (1 / every.y, 1 / every.x),
    }
    return replace(RadarGrid(shape, spacing, longitude, latitude), **place)
