"""Windows of HDF5 images, chunk by chunk in several threads.

The HDF5 library decodes one chunk at a time and holds a lock over the whole process meanwhile. Here only the bytes of
a chunk are fetched under that lock; inflating and unshuffling them, which is nearly all of the work, runs beside it.
"""

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError
from groundshift.types import Window

__all__ = ["opened", "read_image"]

_THREADS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

_DEFLATE, _SHUFFLE = 1, 2
"""Numbers of HDF5's own filters."""


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Open an HDF5 file to read; whatever goes wrong with it inside the block becomes one line that names it."""
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; restore it or leave its date out")
    try:
        with h5py.File(file) as source:  # type: ignore[attr-defined,no-untyped-call]  # h5py ships no types
            yield source
    except GroundshiftError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, IndexError, TypeError, zlib.error) as error:
        raise DamagedFileError(f"{file}: truncated or damaged HDF5 file; fetch the file again") from error


def read_image(dataset: Any, window: Window) -> NDArray[Any]:
    """Read a window of a two-dimensional HDF5 dataset.

    Parameters
    ----------
    dataset : h5py.Dataset
        (y, x), of any number type.
    window : Window
        Inside the dataset. Every chunk that it touches is decoded once, so that windows along the edges of chunks are
        read fastest.

    Returns
    -------
    (height, width) array
        In machine byte order; chunks that were never written hold the dataset's fill value.

    Raises
    ------
    OSError, zlib.error
        If the file is damaged, as `opened` expects it.
    """
    dtype = dataset.dtype.newbyteorder("=")
    codec = _codec(dataset)
    if codec is None or _THREADS == 1:
        return np.asarray(dataset[window.rows, window.columns], dtype)
    out: NDArray[Any] = np.empty((window.height, window.width), dtype)
    high, wide = dataset.chunks
    rows = range(window.y // high * high, window.y + window.height, high)
    columns = range(window.x // wide * wide, window.x + window.width, wide)
    corners = list(product(rows, columns))
    decode = partial(_decode_into, out, dataset, codec, window)
    # Neighbouring chunks lie one after the other in the file, so each thread takes a run of them.
    share = -(-len(corners) // (4 * _THREADS))
    runs = [corners[first : first + share] for first in range(0, len(corners), share)]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(decode, runs))
    return out


class _Codec(NamedTuple):
    """How the chunks of a dataset are stored."""

    deflated: bool
    shuffled: bool


def _codec(dataset: Any) -> _Codec | None:
    """Return how chunks are stored, or None where only the HDF5 library can tell."""
    if dataset.chunks is None or dataset.dtype.kind not in "fiuc" or not dataset.id.get_storage_size():
        return None
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
    if filters not in ([], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
        return None
    return _Codec(_DEFLATE in filters, _SHUFFLE in filters)


def _decode_into(
    out: NDArray[Any], dataset: Any, codec: _Codec, window: Window, corners: list[tuple[int, int]]
) -> None:
    """Decode the chunks that start at `corners` and put the part inside the window into its place."""
    high, wide = dataset.chunks
    for y, x in corners:
        top, bottom = max(y, window.y), min(y + high, window.y + window.height)
        left, right = max(x, window.x), min(x + wide, window.x + window.width)
        inside = (slice(top - y, bottom - y), slice(left - x, right - x))
        place = (slice(top - window.y, bottom - window.y), slice(left - window.x, right - window.x))
        raw = _stored(dataset, (y, x))
        if raw is None:
            out[place] = dataset[top:bottom, left:right]
        else:
            out[place] = _decoded(raw, codec, dataset.dtype, (high, wide))[inside]


def _stored(dataset: Any, corner: tuple[int, int]) -> bytes | None:
    """Return the bytes of a chunk, or None where there are none, or a filter was left out for it."""
    try:
        left_out, raw = dataset.id.read_direct_chunk(corner)
    except (OSError, RuntimeError):
        # Damaged, or never written: the library tells which.
        return None
    return None if left_out else raw


def _decoded(raw: bytes, codec: _Codec, dtype: np.dtype[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return the values of a chunk from its bytes."""
    size = shape[0] * shape[1] * dtype.itemsize
    if codec.deflated:
        raw = zlib.decompress(raw, bufsize=size)
    if len(raw) != size:
        raise OSError(f"a chunk of {len(raw)} bytes where {size} were expected")
    if not codec.shuffled:
        return np.frombuffer(raw, dtype).reshape(shape)
    # Shuffled: the first bytes of all values, then their second bytes, and so on.
    values = np.empty((shape[0] * shape[1], dtype.itemsize), np.uint8)
    for byte, plane in enumerate(np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, -1)):
        values[:, byte] = plane
    return values.view(dtype).reshape(shape)
