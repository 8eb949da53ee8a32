"""One protocol for all unwrappers.

Whirlwind comes with the package. SNAPHU is free for non-commercial use only and therefore an optional extra. Both find
the whole cycles by minimum-cost flow, so that what they return differs from what they were given by whole cycles only.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.errors import GroundshiftError, NoDataError

__all__ = ["UNWRAPPERS", "Snaphu", "Unwrapped", "Unwrapper", "UnwrappingError", "Whirlwind", "choose_unwrapper"]

UNWRAPPERS = ("auto", "snaphu", "whirlwind")
"""Names that `choose_unwrapper` knows."""

_SLOPE_WINDOW = 7
"""Side of the window in which both take the mean slope, unless the array is smaller."""

_IN_MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory."""
_ROOM = 30
"""SNAPHU's files together are smaller than so many times the image."""

_MOST_LOOKS = 300.0
"""Beyond so many looks Whirlwind knows no finer costs."""


class UnwrappingError(GroundshiftError, RuntimeError):
    """An unwrapper is not known, not installed, or gave up."""


class Unwrapped(NamedTuple):
    """What unwrapping gives."""

    unwrapped: NDArray[np.float32]
    """(y, x) radians; NaN without data. Each region of data has a constant of whole cycles of its own."""
    conncomp: NDArray[np.uint32]
    """(y, x) parts that are believed to be right in themselves, from 1; 0 is outside every one."""


class Unwrapper(Protocol):
    """Finds the whole cycles of a wrapped phase."""

    @property
    def name(self) -> str:
        """Short name, as `choose_unwrapper` takes it."""
        ...

    def unwrap(self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32], nlooks: float) -> Unwrapped:
        """Unwrap one phase image.

        Parameters
        ----------
        wrapped : (y, x) float array
            Radians; NaN without data.
        coherence : (y, x) float array
            Weight in [0, 1]; where it is zero or NaN there are no data.
        nlooks : float
            Independent looks that the coherence is estimated from, at least 1: the more, the more it is trusted.

        Raises
        ------
        NoDataError
            If no pixel has data, or there are fewer than 2 x 2 pixels.
        UnwrappingError
            If the unwrapper gives up.
        """
        ...


class Whirlwind:
    """Minimum-cost flow by whirlwind-insar."""

    name = "whirlwind"

    def unwrap(self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32], nlooks: float) -> Unwrapped:
        """Unwrap one phase image; see `Unwrapper.unwrap`."""
        import whirlwind  # noqa: PLC0415  (loads slowly)

        igram, weight, valid = _prepared(wrapped, coherence, nlooks)
        try:
            unwrapped, conncomp = whirlwind.unwrap(igram, weight, min(nlooks, _MOST_LOOKS), valid)
        except (RuntimeError, ValueError) as error:
            raise UnwrappingError(f"whirlwind gave up: {_line(error)}; try another unwrapper") from error
        return _finished(unwrapped, conncomp, valid)


class Snaphu:
    """Statistical-cost network flow by SNAPHU, with smooth-solution costs."""

    name = "snaphu"

    def __init__(self) -> None:
        if not _is_installed("snaphu"):
            raise UnwrappingError("unwrapper snaphu is not installed; run `pip install groundshift[snaphu]`")

    def unwrap(self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32], nlooks: float) -> Unwrapped:
        """Unwrap one phase image; see `Unwrapper.unwrap`."""
        import snaphu  # noqa: PLC0415  (need not be there)

        igram, weight, valid = _prepared(wrapped, coherence, nlooks)
        side = min(_SLOPE_WINDOW, (min(wrapped.shape) - 1) // 2 * 2 + 1)
        try:
            with tempfile.TemporaryDirectory(dir=_memory_folder(igram.nbytes)) as scratch, _quiet_children():
                unwrapped, conncomp = snaphu.unwrap(
                    igram,
                    weight,
                    nlooks,
                    "smooth",
                    "mcf",
                    mask=valid,
                    phase_grad_window=(side, side),
                    scratchdir=scratch,
                )
        except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
            raise UnwrappingError(f"snaphu gave up: {_line(error)}; try the unwrapper whirlwind") from error
        return _finished(unwrapped, conncomp, valid)


def _memory_folder(size: int) -> Path | None:
    """Return a folder in memory with room for the files of an image of so many bytes; None, the usual one, if none has.

    A patch is unwrapped faster than a disk makes and deletes its six files.
    """
    try:
        fits = shutil.disk_usage(_IN_MEMORY).free > _ROOM * size and os.access(_IN_MEMORY, os.W_OK)
    except OSError:
        return None
    return _IN_MEMORY if fits else None


def choose_unwrapper(name: str = "auto") -> Unwrapper:
    """Return the unwrapper of this name; `auto` takes SNAPHU where it is installed, else Whirlwind.

    Raises
    ------
    UnwrappingError
        If there is none of this name, or it is not installed.
    """
    if name not in UNWRAPPERS:
        raise UnwrappingError(f"unknown unwrapper {name!r}; choose one of: {', '.join(UNWRAPPERS)}")
    if name == "snaphu" or (name == "auto" and _is_installed("snaphu")):
        return Snaphu()
    return Whirlwind()


def _is_installed(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def _prepared(
    wrapped: NDArray[np.float32], coherence: NDArray[np.float32], nlooks: float
) -> tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.bool_]]:
    """Return phasors, weights and where there are data."""
    check_shape("coherence", coherence, wrapped.shape)
    if not nlooks >= 1:
        raise ValueError(f"nlooks must be at least 1, instead got {nlooks}")
    valid = np.isfinite(wrapped) & (coherence > 0)
    if min(wrapped.shape) < 2 or not valid.any():
        raise NoDataError(
            f"nothing to unwrap: {int(valid.sum())} of {wrapped.shape[0]} x {wrapped.shape[1]} pixels have data; "
            "give a larger scene"
        )
    phase = np.where(valid, wrapped, 0).astype(np.float32, copy=False)
    igram = np.zeros(wrapped.shape, np.complex64)
    np.cos(phase, out=igram.real, where=valid)
    np.sin(phase, out=igram.imag, where=valid)
    weight = np.where(valid, np.clip(coherence, 0, 1), 0).astype(np.float32)
    return igram, weight, valid


def _finished(unwrapped: NDArray[np.float32], conncomp: NDArray[np.uint32], valid: NDArray[np.bool_]) -> Unwrapped:
    """Mark what has no data."""
    return Unwrapped(
        np.where(valid, unwrapped, np.nan).astype(np.float32), np.where(valid, conncomp, 0).astype(np.uint32)
    )


def _line(error: Exception) -> str:
    """Write what a library says as one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


_turned_away = threading.Lock()


@contextmanager
def _quiet_children() -> Iterator[None]:
    """Keep what child processes print off our standard output, which may be read by a machine.

    The file descriptor is turned away for the whole process, so one at a time.
    """
    with _turned_away:
        sys.stdout.flush()
        try:
            kept = os.dup(1)
        except OSError:
            # Standard output is closed: nothing to protect.
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 1)
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
