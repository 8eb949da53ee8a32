"""Which file of a GAMMA folder is what, told from its name."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from groundshift.io.dates import dates_in_name
from groundshift.io.gamma_par import is_par_name

__all__ = ["TYPES", "Role", "is_table", "kind_of", "listing", "role_of"]

Role = Literal["complex", "unwrapped", "coherence"]

TYPES: dict[Role, str] = {"complex": ">c8", "unwrapped": ">f4", "coherence": ">f4"}
"""What a pixel of each is; GAMMA writes big-endian."""

_DEPTH = 3
"""Levels of folders searched."""

_NOT_RASTERS = re.compile(
    r"(par|off|base|bmp|ras|tif|tiff|png|jpe?g|gif|xml|hdr|vrt|kml|kmz|txt|log|rsc|list|pdf|zip|mat)$"
)
_COHERENCE = re.compile(r"(^|_)(sm)?(cc|cor|coh|coherence)$")
_COMPLEX = re.compile(r"(diff|int|intf|ifg|flt|cpx)\d*")


def listing(root: Path) -> list[Path]:
    """Return the files of a folder, its subfolders, and the parameters and geometry in the folder above, by name."""
    inside = sorted(_walk(root, _DEPTH))
    if any(is_par_name(f.name) for f in inside):
        return inside
    try:
        above = sorted(f for f in root.resolve().parent.iterdir() if f.is_file() and dates_in_name(f.name) is None)
    except OSError:
        above = []
    return [*inside, *above]


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield files, leaving out hidden ones."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if depth > 1:
                yield from _walk(entry, depth - 1)
        elif entry.is_file():
            yield entry


def role_of(name: str) -> Role | None:
    """Tell from its name what a raster of a pair holds, or None if it is something else.

    Examples
    --------
    >>> [role_of(n) for n in ("20180702_20180714.diff.ml.sm", "20180702-20180714_utm.unw", "20180702_20180714.diff.cc")]
    ['complex', 'unwrapped', 'coherence']
    >>> [role_of(n) for n in ("20180702_20180714.diff_par", "20180702_20180714.diff.sm.bmp", "20180702.diff")]
    [None, None, None]
    >>> role_of("20180702_20180714.sim_unw")  # simulated topographic phase
    """
    lower = name.lower()
    end = lower.rpartition(".")[2]
    if "." not in lower or _NOT_RASTERS.search(end) or dates_in_name(name) is None:
        return None
    words = re.split(r"[._-]", lower)
    if _COHERENCE.search(end):
        return "coherence"
    if "sim" in words:
        return None
    if any(word.startswith("unw") for word in words):
        return "unwrapped"
    return "complex" if any(_COMPLEX.fullmatch(word) for word in words) else None


def kind_of(name: str) -> str:
    """Return a name without its dates: what the files of one processing step share."""
    return re.sub(r"\d{4}-\d\d-\d\d|\d{1,2}[A-Za-z]{3}\d{4}|\d{6,8}", "", name).lstrip("_-.")


def is_table(name: str) -> bool:
    """Whether a file name is that of a lookup table from map to radar."""
    end = name.lower().rpartition(".")[2]
    return end.startswith("lt") and not _NOT_RASTERS.search(end)
