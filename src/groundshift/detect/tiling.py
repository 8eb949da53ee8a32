"""Maps of any size through a network: overlapping tiles, joined without seams before anything is read from them.

A network sees wrong ground beyond the edge of a tile. So neighbouring tiles overlap, and a tile has no say within a
quarter of the overlap from an inner edge; over the half in between, its say fades smoothly into that of its neighbour.
The weights of all tiles add up to one at every node. Where no tile's edge is within reach of what a node's answer
depends on, tiles change nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MULTIPLE", "OVERLAP", "TILE", "Span", "Tile", "blend_tiles", "padded", "spans", "tiles"]

TILE = 640
"""Nodes along a tile's side; a map that is no larger goes in one piece."""

OVERLAP = 128
"""Nodes that neighbouring tiles share."""

MULTIPLE = 32
"""Tiles start at multiples of this and are filled up to one: networks halve their maps up to five times."""


class Span(NamedTuple):
    """What one tile covers of an axis."""

    first: int
    past: int
    core: tuple[int, int]
    """First and past the last of the nodes of which no other span knows more; the cores of all spans part the axis."""
    weight: NDArray[np.float32]
    """Of the nodes from `first` on, in [0, 1]."""


class Tile(NamedTuple):
    """A rectangle of the map."""

    rows: Span
    columns: Span

    @property
    def box(self) -> tuple[slice, slice]:
        """Where it lies."""
        return slice(self.rows.first, self.rows.past), slice(self.columns.first, self.columns.past)

    @property
    def weight(self) -> NDArray[np.float32]:
        """(y, x): its say at each node."""
        return np.outer(self.rows.weight, self.columns.weight)


def spans(length: int, *, tile: int = TILE, overlap: int = OVERLAP, multiple: int = MULTIPLE) -> list[Span]:
    """Part an axis into overlapping spans.

    Parameters
    ----------
    length : int
        Nodes of the axis.
    tile : int
        Longest span, a multiple of `multiple`.
    overlap : int
        Nodes that neighbours share at least, a multiple of `multiple` and at most half of `tile`.
    multiple : int
        Spans start at multiples of it, so that a network which halves its maps sees each node in the same place.

    Raises
    ------
    ValueError
        If `tile` and `overlap` do not go together.
    """
    if tile % multiple or overlap % multiple or not 0 < 2 * overlap <= tile:
        raise ValueError(
            f"overlap and tile must be multiples of {multiple} and overlap at most half of tile, instead got {overlap} "
            f"and {tile}"
        )
    last = -(-max(length - tile, 0) // multiple) * multiple
    firsts = [*range(0, last, tile - overlap), last]
    pasts = [min(first + tile, length) for first in firsts]
    cuts = [(first + past) // 2 for first, past in zip(firsts[1:], pasts[:-1], strict=True)]
    nodes = np.arange(length) + 0.5
    # How far each cut has been passed, from 0 to 1; what lies between two cuts is a span's.
    passed = [
        np.ones(length),
        *(np.square(np.sin(np.pi / 2 * np.clip(2 * (nodes - cut) / overlap + 0.5, 0, 1))) for cut in cuts),
        np.zeros(length),
    ]
    cores = pairwise([0, *cuts, length])
    return [
        Span(first, past, core, np.asarray(before - after, np.float32)[first:past])
        for first, past, core, (before, after) in zip(firsts, pasts, cores, pairwise(passed), strict=True)
    ]


def tiles(
    known: NDArray[np.bool_], *, tile: int = TILE, overlap: int = OVERLAP, multiple: int = MULTIPLE
) -> Iterator[Tile]:
    """Part a map into overlapping tiles, leaving out those without data.

    Parameters
    ----------
    known : (y, x) bool array
        Nodes with data.
    tile, overlap, multiple : int
        As of `spans`.
    """
    rows, columns = (spans(n, tile=tile, overlap=overlap, multiple=multiple) for n in known.shape)
    for row in rows:
        for column in columns:
            found = Tile(row, column)
            if known[found.box].any():
                yield found


def padded(planes: NDArray[np.float32], multiple: int = MULTIPLE) -> NDArray[np.float32]:
    """Fill up rows and columns with zeros to a multiple; zero is what unknown ground looks like.

    Parameters
    ----------
    planes : (..., y, x) float array
    multiple : int
    """
    height, width = planes.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(0, below), (0, right)])


def blend_tiles(
    run: Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]],
    planes: NDArray[np.float32],
    known: NDArray[np.bool_],
    *,
    tile: int = TILE,
    overlap: int = OVERLAP,
    multiple: int = MULTIPLE,
) -> list[NDArray[np.float32]]:
    """Run a network over a map of any size.

    Parameters
    ----------
    run : function
        From planes of (c, y, x) to maps of (n, y, x) each; y and x are multiples of `multiple` and at most `tile`.
    planes : (c, y, x) float array
        Zero where unknown.
    known : (y, x) bool array
        Nodes with data; tiles without any are not run.
    tile, overlap, multiple : int
        As of `spans`.

    Returns
    -------
    list of (n, y, x) float32 arrays
        The maps of the whole, zero where no tile was run; empty if none was. They, and one tile at a time, are all that
        is held. The same as without tiles if no answer depends on ground farther away than a quarter of `overlap`.
    """
    out: list[NDArray[np.float32]] = []
    for part in tiles(known, tile=tile, overlap=overlap, multiple=multiple):
        maps = run(padded(planes[:, *part.box], multiple))
        if not out:
            out = [np.zeros((len(values), *known.shape), np.float32) for values in maps]
        weight = part.weight
        for whole, values in zip(out, maps, strict=True):
            whole[:, *part.box] += values[:, : weight.shape[0], : weight.shape[1]] * weight
    return out
