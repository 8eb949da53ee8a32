"""Where a result comes from: versions, inputs with checksums, seeds."""

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from groundshift import __version__
from groundshift.io.atomic import write_text
from groundshift.workflows.progress import Reporter

__all__ = ["checksums_beside", "write_provenance"]

_LIBRARIES = (
    "numpy", "scipy", "numba", "rasterio", "pyproj", "shapely", "scikit-image", "zarr", "onnxruntime",
    "whirlwind-insar",
)  # fmt: skip


@contextmanager
def checksums_beside(files: Iterable[Path], title: str, reporter: Reporter) -> Iterator[dict[str, str | None]]:
    """Take the SHA-256 of files in threads beside what the block does.

    Parameters
    ----------
    files : iterable of path
        One that is named twice is read once.
    title : str
        Of the bar that shows how many are done while they are waited for.
    reporter : Reporter

    Yields
    ------
    dict
        Checksums in hexadecimal by the files' names; empty until the block is left, then of all files. That of a file
        that cannot be read any more is None.
    """
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="checksum")
    try:
        asked = {str(file): pool.submit(_checksum, file) for file in dict.fromkeys(files)}
        found: dict[str, str | None] = {}
        yield found
        if asked:
            with reporter.bar(title, len(asked)) as advance:
                for name, digest in asked.items():
                    found[name] = digest.result()
                    advance()
    finally:
        # An interrupted run does not wait for the files that are left.
        pool.shutdown(cancel_futures=True)


def write_provenance(path: Path, checksums: Mapping[str, str | None], facts: dict[str, Any]) -> None:
    """Write `provenance.json`: versions, the checksums of all input files in the order of their names, and `facts`."""
    record = {
        "groundshift": __version__,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        **facts,
        "inputs": dict(sorted(checksums.items())),
    }
    write_text(path, json.dumps(record, indent=1, default=str) + "\n")


def _checksum(path: Path) -> str | None:
    """SHA-256 of a file's content, in hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
