"""Interferograms without their decorrelated ground: what reads them gets nothing there.

A pair is masked when it is first read, as a whole, and its mask is kept in the output folder, so that every later part
of a run reads the same and a run that goes on makes no mask twice.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.detect.mask_network import MaskNetwork
from groundshift.errors import DamagedFileError, MissingFileError, UnknownFormatError
from groundshift.io.atomic import atomic_path
from groundshift.io.stack import InterferogramStack
from groundshift.masks.decorrelation import coherent_above, otsu_mask
from groundshift.types import Pair, Window
from groundshift.workflows.parts import MaskConfig
from groundshift.workflows.resume import file_marks

__all__ = ["without_decorrelated"]

_KEPT = 4
"""Masks that are held in memory while blocks of rows are read pair by pair."""


class _Masker(NamedTuple):
    """What tells coherent ground."""

    told: str
    """How it is told, for masks that are kept and for the name of the product."""
    coherent: Callable[[NDArray[np.complex64]], NDArray[np.bool_]]


def without_decorrelated(stack: InterferogramStack, config: MaskConfig, folder: Path) -> InterferogramStack:
    """Return a stack whose interferograms are zero where they are decorrelated, as `config` says.

    Parameters
    ----------
    stack : InterferogramStack
    config : MaskConfig
    folder : path
        Where masks of any stacks are kept; made when the first is.

    Raises
    ------
    GroundshiftError
        If there is no such model.
    """
    if config.decorrelation == "none":
        return stack
    masker = _choose(config)
    lock = Lock()

    @lru_cache(maxsize=_KEPT)
    def mask_of(pair: Pair) -> NDArray[np.bool_]:
        told = _mark(stack, pair, masker.told)
        path = folder / f"{pair.name}-{told[:12]}.npz"
        kept = _recalled(path, told, stack.grid.shape)
        if kept is None:
            kept = masker.coherent(stack.read(pair))
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, told=np.array(told), coherent=np.packbits(kept))
        return kept

    def read(pair: Pair, window: Window) -> NDArray[np.complex64]:
        with lock:
            mask = mask_of(pair)
        return np.where(mask[window.rows, window.columns], stack.read_pair(pair, window), np.complex64(0))

    return replace(stack, product=f"{stack.product}, masked: {masker.told}", read_pair=read)


def _choose(config: MaskConfig) -> _Masker:
    """Return what `config` names."""
    if config.decorrelation == "otsu":
        return _Masker("Otsu", lambda igram: otsu_mask(np.abs(igram)))
    if config.decorrelation == "threshold":
        least = config.mask_coherence
        return _Masker(f"coherence {least:g}", lambda igram: coherent_above(np.abs(igram), least))
    try:
        network = MaskNetwork.load(config.mask_model)
    except (MissingFileError, DamagedFileError, UnknownFormatError) as error:
        raise type(error)(f"--mask-model: {error}") from error
    least = config.mask_probability

    def look(igram: NDArray[np.complex64]) -> NDArray[np.bool_]:
        wrapped = np.where(igram != 0, np.angle(igram), np.nan).astype(np.float32)
        return np.asarray(network.look(wrapped, np.abs(igram)) >= least)

    return _Masker(f"{network.name}-{network.checksum[:8]} {least:g}", look)


def _mark(stack: InterferogramStack, pair: Pair, told: str) -> str:
    """Tell from what a mask is made."""
    facts = [__version__, stack.product, stack.grid.shape, told, pair.name, file_marks(stack, pair)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _recalled(path: Path, told: str, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Read a mask that an earlier run has left; None unless it was made from the same."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["told"]) != told:
                return None
            return np.unpackbits(kept["coherent"], count=shape[0] * shape[1]).astype(np.bool_).reshape(shape)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
