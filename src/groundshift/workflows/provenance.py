"""Where a result comes from: versions, inputs with checksums, seeds."""

import hashlib
import json
import platform
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from groundshift import __version__
from groundshift.io.atomic import write_text
from groundshift.workflows.progress import Reporter

__all__ = ["write_provenance"]

_LIBRARIES = (
    "numpy", "scipy", "numba", "rasterio", "pyproj", "shapely", "scikit-image", "zarr", "onnxruntime",
    "whirlwind-insar",
)  # fmt: skip


def write_provenance(path: Path, files: Iterable[Path], facts: dict[str, Any], reporter: Reporter) -> None:
    """Write `provenance.json`: versions, the SHA-256 of every input file, and `facts`.

    A file that cannot be read any more has the checksum null.
    """
    every = sorted(set(files))
    sums = {}
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        with reporter.bar("checksums", len(every)) as advance:
            for file, digest in zip(every, pool.map(_checksum, every), strict=True):
                sums[str(file)] = digest
                advance()
    finally:
        # An interrupted run does not wait for the files that are left.
        pool.shutdown(cancel_futures=True)
    record = {
        "groundshift": __version__,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        **facts,
        "inputs": sums,
    }
    write_text(path, json.dumps(record, indent=1, default=str) + "\n")


def _checksum(path: Path) -> str | None:
    """SHA-256 of a file's content, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
