"""The models that come with Groundshift, and how a model is named.

The folder `weights` holds each as `NAME.onnx` with its model card `NAME.md`; `SHA256SUMS` lists their checksums, in the
form that `sha256sum --check` reads. A shipped model is used only if it is the very file that was judged.
"""

import hashlib
from pathlib import Path

from groundshift.errors import DamagedFileError, MissingFileError

__all__ = ["DEFAULT_MODEL", "WEIGHTS", "checksum", "find_model", "is_shipped", "list_models", "read_checksums"]

DEFAULT_MODEL = "bodynet"
"""Name of the model that a survey uses unless told otherwise."""

WEIGHTS = Path(__file__).with_name("weights")
"""Folder of the shipped models."""

_SUFFIX = ".onnx"


def list_models(folder: Path = WEIGHTS) -> list[str]:
    """Return the names of the shipped models, sorted."""
    return sorted(name.removesuffix(_SUFFIX) for name in read_checksums(folder) if name.endswith(_SUFFIX))


def is_shipped(name: str | Path) -> bool:
    """Whether this is the name of a shipped model, and no file."""
    return str(name) in list_models() and not Path(name).exists()


def find_model(name_or_path: str | Path, folder: Path = WEIGHTS) -> Path:
    """Return the file of a model.

    Parameters
    ----------
    name_or_path : str or path
        Name of a shipped model; or a file, which is what ends in `.onnx` or holds a `/`.
    folder : path
        Where the shipped models are.

    Raises
    ------
    MissingFileError
        If there is no such model or file.
    DamagedFileError
        If a shipped model is not the file that its checksum says.

    Notes
    -----
    A file of one's own has no checksum to be held against; `checksum` tells which it was.
    """
    path = Path(name_or_path)
    if path.suffix == _SUFFIX or path.name != str(name_or_path):
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file; check the spelling of --model")
        return path
    name = str(name_or_path)
    known = list_models(folder)
    if name not in known:
        there_are = f"choose one of: {', '.join(known)}; or" if known else "none comes with this version;"
        raise MissingFileError(f"{name}: no such model; {there_are} name a file that ends in {_SUFFIX}")
    path = folder / f"{name}{_SUFFIX}"
    if not path.is_file() or checksum(path) != read_checksums(folder)[path.name]:
        raise DamagedFileError(f"{path}: not the file that was shipped as {name}; install groundshift again")
    return path


def read_checksums(folder: Path = WEIGHTS) -> dict[str, str]:
    """Return the SHA-256 of each file that `SHA256SUMS` lists, by name; empty if there is no such list."""
    path = folder / "SHA256SUMS"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name.lstrip("*"): digest.lower() for digest, name in (line.split() for line in lines if line.strip())}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
