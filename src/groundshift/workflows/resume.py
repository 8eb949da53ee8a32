"""What a run finds of earlier runs: finished sums, sums half done, and pairs that proved to be damaged."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from groundshift import __version__
from groundshift.errors import DamagedFileError, GroundshiftError
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.io.atomic import write_text
from groundshift.io.stack import InterferogramStack
from groundshift.types import Pair, Window
from groundshift.workflows.config import StackConfig

__all__ = ["PairFailedError", "blocks_left", "find_finished", "find_unfinished", "fingerprint", "recall_damaged",
           "remember_damaged"]  # fmt: skip

_DAMAGED = ".damaged.json"


class PairFailedError(GroundshiftError):
    """One pair cannot be read over one window."""

    def __init__(self, pair: Pair, window: Window, message: str) -> None:
        super().__init__(message)
        self.pair = pair
        self.window = window


def fingerprint(stack: InterferogramStack, config: StackConfig) -> str:
    """Tell what sums are made from: settings, version, pairs, and the size and time of their files."""
    facts = {
        "version": __version__,
        "config": config.model_dump(mode="json", exclude={"memory_mb", "strict"}),
        "pairs": [
            [p.name, [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in stack.files.get(p, ()) if f.exists()]]
            for p in stack.pairs
        ],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def find_finished(path: Path, mark: str) -> SumsFile | None:
    """Return finished sums with this fingerprint."""
    if not path.exists():
        return None
    try:
        file = open_sums(path)
    except DamagedFileError:
        return None
    return file if file.fingerprint == mark else None


def find_unfinished(path: Path, mark: str) -> SumsFile | None:
    """Return unfinished sums with this fingerprint, or clear away others."""
    file = find_finished(path, mark)
    if file is None and path.exists():
        shutil.rmtree(path)
    return file


def blocks_left(file: SumsFile, rows: int) -> list[tuple[int, int]]:
    """Return the blocks of at most `rows` rows that are not done, as (first, past the last).

    Blocks done by an earlier run may have had another size.
    """
    height = file.plan.grid.shape[0]
    done = {row for first, past in file.rows_done for row in range(first, past)}
    blocks: list[tuple[int, int]] = []
    for row in range(height):
        if row in done:
            continue
        if blocks and blocks[-1][1] == row and row - blocks[-1][0] < rows:
            blocks[-1] = (blocks[-1][0], row + 1)
        else:
            blocks.append((row, row + 1))
    return blocks


def remember_damaged(folder: Path, windows: Mapping[str, Window]) -> None:
    """Note the pairs, by name, that could not be read, and where, so that the next run need not find them anew."""
    write_text(folder / _DAMAGED, json.dumps({name: list(window) for name, window in windows.items()}) + "\n")


def recall_damaged(folder: Path, stack: InterferogramStack) -> list[PairFailedError]:
    """Return the pairs of `stack` that an earlier run noted and that still cannot be read."""
    try:
        noted = {n: Window(*map(int, w)) for n, w in json.loads((folder / _DAMAGED).read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return []
    found = []
    height, width = stack.grid.shape
    for pair in stack.pairs:
        window = noted.get(pair.name)
        if window is None or window.rows.stop > height or window.columns.stop > width:
            continue
        try:
            stack.read(pair, window)
        except (GroundshiftError, OSError) as error:
            found.append(PairFailedError(pair, window, str(error)))
    return found
