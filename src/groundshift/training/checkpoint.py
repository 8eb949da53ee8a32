"""Checkpoints: everything that a run needs to go on as if it had never stopped.

A checkpoint holds tensors, numbers and text only and is read as such: no code in it is ever run.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.io.atomic import atomic_path

__all__ = ["load_checkpoint", "save_checkpoint"]

_FORM = 1
_PARTS = (
    "form", "version", "kind", "planes", "config", "step", "phase", "model", "average", "optimiser", "sums", "records",
    "best", "best_score", "best_step", "stale", "samples", "anchors",
)  # fmt: skip


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"form": _FORM, **state}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory of the CPU.

    Raises
    ------
    MissingFileError
        If there is none.
    DamagedFileError
        If it is no checkpoint, is damaged, or is one of another version.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such checkpoint; check the spelling")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        form = state["form"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise DamagedFileError(f"{path}: not a checkpoint of `groundshift train`; delete it to start anew") from error
    if form != _FORM:
        raise DamagedFileError(f"{path}: a checkpoint of form {form}, expected {_FORM}; delete it to start anew")
    missing = [name for name in _PARTS if name not in state]
    if missing:
        raise DamagedFileError(f"{path}: a checkpoint without {', '.join(missing)}; delete it to start anew")
    return dict(state)
