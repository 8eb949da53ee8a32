"""The part of a DEM that an image shows, made finer as a cubic surface, piece by piece."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.geometry.orbits import earth_fixed
from groundshift.geometry.radar import RadarGeometry
from groundshift.types import Window

__all__ = ["DemPart", "Surface", "cut_dem", "refined"]

Surface = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Longitude, latitude and height of nodes."""

_LATTICE = 100
"""Nodes along each side of a DEM that are tried first, to find what an image shows of it."""
_CELL = 3.0
"""Pixels that a cell of the finer DEM measures at most."""
_FINEST = 64
"""Parts that a cell of the DEM is cut into at most, along each side."""


class DemPart(NamedTuple):
    """Nodes of a DEM around what an image shows, (m, n), and how to draw them there."""

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    height: NDArray[np.float64]
    factor: tuple[int, int]
    """Parts to cut each cell into, along rows and columns."""
    regular: float
    """Sense of rotation (+1 or -1) of cells drawn in the image where the ground is not folded."""

    @property
    def middle(self) -> float:
        """A height in the middle of what is known, metres."""
        return float(np.nanmedian(self.height))

    def pieces(self, nodes: int) -> Iterator[Surface]:
        """Cut into strips of about so many finer nodes, each with the last row of the one before."""
        width = self.factor[0] * self.factor[1] * self.height.shape[1]
        step = max(1, nodes // width)
        for first in range(0, len(self.height) - 1, step):
            last = min(first + step, len(self.height) - 1)
            # One more row on either side, for the cubic.
            low, high = max(first - 1, 0), min(last + 2, len(self.height))
            rows = slice((first - low) * self.factor[0], (last - low) * self.factor[0] + 1)
            lon, lat, height = (
                np.ascontiguousarray(refined(refined(a[low:high], self.factor[0], 0)[rows], self.factor[1], 1))
                for a in (self.longitude, self.latitude, self.height)
            )
            yield lon, lat, height


def cut_dem(
    geometry: RadarGeometry,
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    height: NDArray[np.float64],
    window: Window,
) -> DemPart | None:
    """Find the part of a DEM that a window of an image shows; None if there is none.

    A lattice of nodes is placed at the lowest and the highest height of the DEM; cells of it that may reach into the
    window are kept, and one more on every side.
    """
    if min(height.shape) < 2 or not np.isfinite(height).any():
        return None
    rows, columns = (np.unique([*range(0, n, max(1, n // _LATTICE)), n - 1]) for n in height.shape)
    mesh = np.ix_(rows, columns)
    places = [
        geometry.place(earth_fixed(longitude[mesh], latitude[mesh], level))
        for level in (np.nanmin(height), np.nanmax(height))
    ]
    line, column = (np.stack([np.asarray(p[k]) for p in places]) for k in (0, 1))
    near = _reaches(line, window.y, window.height) & _reaches(column, window.x, window.width)
    if not near.any():
        return None
    i, j = np.nonzero(near)
    part = (
        slice(max(rows[i.min()] - 2, 0), rows[i.max() + 1] + 3),
        slice(max(columns[j.min()] - 2, 0), columns[j.max() + 1] + 3),
    )
    cells = (slice(i.min(), i.max() + 2), slice(j.min(), j.max() + 2))
    factor = (
        _parts(line[0][cells], column[0][cells], rows[cells[0]], 0),
        _parts(line[0][cells], column[0][cells], columns[cells[1]], 1),
    )
    return DemPart(longitude[part], latitude[part], height[part], factor, _rotation(line[0], column[0]))


def refined(field: NDArray[np.float64], factor: int, axis: int) -> NDArray[np.float64]:
    """Return a field at `factor` times as many nodes along an axis, the old ones among them.

    Cubic convolution (Keys); linear beside gaps, at the ends continued as a line.
    """
    if factor == 1:
        return field
    a = np.moveaxis(field, axis, 0)
    first, last = 2 * a[:1] - a[1:2], 2 * a[-1:] - a[-2:-1]
    a = np.concatenate([first, a, last])
    before, left, right, after = a[:-3], a[1:-2], a[2:-1], a[3:]
    out = np.empty(((len(left)) * factor + 1, *a.shape[1:]))
    for k in range(factor):
        t = k / factor
        cubic = left + 0.5 * t * (
            right - before + t * (2 * before - 5 * left + 4 * right - after + t * (3 * (left - right) + after - before))
        )
        line = left if k == 0 else (1 - t) * left + t * right
        out[k:-1:factor] = np.where(np.isfinite(cubic), cubic, line)
    out[-1] = right[-1]
    return np.moveaxis(out, 0, axis)


def _reaches(place: NDArray[np.float64], first: int, length: int) -> NDArray[np.bool_]:
    """Say which cells of a lattice, placed at two heights (2, m, n), may reach into a stretch of pixels."""
    corners = np.concatenate([place[:, :-1, :-1], place[:, 1:, :-1], place[:, :-1, 1:], place[:, 1:, 1:]])
    # A corner that is not seen, or off the orbit, says nothing about the cell.
    low = np.where(np.isnan(corners), np.inf, corners).min(axis=0)
    high = np.where(np.isnan(corners), -np.inf, corners).max(axis=0)
    return np.asarray((low <= first + length) & (high >= first - 1))


def _parts(line: NDArray[np.float64], column: NDArray[np.float64], nodes: NDArray[np.intp], axis: int) -> int:
    """Return into how many parts cells must be cut along an axis of the DEM."""
    steps = np.diff(nodes).reshape((-1, 1) if axis == 0 else (1, -1))
    size = np.maximum(np.abs(np.diff(line, axis=axis)), np.abs(np.diff(column, axis=axis))) / steps
    size = size[np.isfinite(size)]
    return int(np.clip(np.ceil(size.max() / _CELL), 1, _FINEST)) if size.size else 1


def _rotation(line: NDArray[np.float64], column: NDArray[np.float64]) -> float:
    """Return the sense of rotation of cells at one height, from rows to columns of the DEM."""
    down_y, down_x = np.diff(line[:, :-1], axis=0), np.diff(column[:, :-1], axis=0)
    right_y, right_x = np.diff(line[:-1], axis=1), np.diff(column[:-1], axis=1)
    turn = down_y * right_x - down_x * right_y
    return 1.0 if np.nansum(turn) > 0 else -1.0
