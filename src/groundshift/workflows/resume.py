"""What a run finds of earlier runs: finished sums, sums half done, and pairs that proved to be damaged."""

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.io.atomic import write_text
from groundshift.io.stack import InterferogramStack
from groundshift.types import Pair, Window
from groundshift.workflows.config import StackConfig

__all__ = [
    "PairFailedError",
    "Source",
    "SourceFile",
    "blocks_left",
    "changed_files",
    "check_there",
    "failing_alike",
    "file_marks",
    "find_finished",
    "find_unfinished",
    "fingerprint",
    "make_record",
    "put_in_place",
    "read_pair",
    "recall_damaged",
    "recall_sources",
    "recover",
    "remember_damaged",
    "sources_of",
]

_DAMAGED = ".damaged.json"


class SourceFile(NamedTuple):
    """A file as it was when it was read."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "SourceFile":
        """Look at a file that is there."""
        found = path.stat()
        return cls(str(path.absolute()), found.st_size, found.st_mtime_ns)

    @property
    def mark(self) -> tuple[str, int, int]:
        """What tells it from others wherever it lies: name, size and time."""
        return Path(self.path).name, self.size, self.mtime_ns


class Source(NamedTuple):
    """Where one pair is read from."""

    root: str
    """Folder or file given."""
    files: tuple[SourceFile, ...]

    @property
    def mark(self) -> list[tuple[str, int, int]]:
        """What tells its content, as far as can be told without reading."""
        return [file.mark for file in self.files]


class PairFailedError(GroundshiftError):
    """One pair cannot be read over one window."""

    def __init__(self, pair: Pair, window: Window, message: str) -> None:
        super().__init__(message)
        self.pair = pair
        self.window = window


def sources_of(stack: InterferogramStack) -> dict[str, Source]:
    """Return where the pairs of a stack are read from, by their names."""
    root = str(stack.root.absolute())
    return {
        pair.name: Source(root, tuple(SourceFile.of(path) for path in stack.files.get(pair, ()) if path.exists()))
        for pair in stack.pairs
    }


def make_record(
    stack: InterferogramStack, config: StackConfig, sources: Mapping[str, Source] | None = None
) -> dict[str, Any]:
    """Tell what sums are made from: settings, version, product, and the pairs with the size and time of their files.

    `sources` are those of the pairs, where they are not all read from the root of `stack`.
    """
    sources = sources_of(stack) if sources is None else sources
    return {
        "version": __version__,
        "config": config.model_dump(mode="json", exclude={"memory_mb", "strict"}),
        "product": stack.product,
        "pairs": [[p.name, sources[p.name].root, [list(file) for file in sources[p.name].files]] for p in stack.pairs],
    }


def recall_sources(record: Mapping[str, Any]) -> dict[str, Source]:
    """Return where the pairs of a record were read from, by their names."""
    return {
        str(name): Source(str(root), tuple(SourceFile(str(path), int(size), int(time)) for path, size, time in files))
        for name, root, files in record["pairs"]
    }


def changed_files(source: Source) -> list[SourceFile]:
    """Return the files of a pair that are missing, or are not what they were when it was read."""
    return [file for file in source.files if not Path(file.path).exists() or SourceFile.of(Path(file.path)) != file]


def check_there(pairs: Sequence[Pair], sources: Mapping[str, Source]) -> None:
    """Stop unless the files of `pairs` are there, as they were.

    Raises
    ------
    MissingFileError
        If one is missing.
    ProductError
        If one has changed.
    """
    for pair in pairs:
        for file in changed_files(sources[pair.name]):
            again = "`groundshift survey` on all interferograms again"
            if not Path(file.path).exists():
                raise MissingFileError(
                    f"{file.path}: missing, but new dates change the weight of its pair; put it back, or run {again}"
                )
            raise ProductError(f"{file.path}: has changed since it was summed; run {again}")


def fingerprint(record: Mapping[str, Any]) -> str:
    """Condense a record to what decides whether sums are the same; where the files lie does not."""
    facts = {
        "version": record["version"],
        "config": record["config"],
        "pairs": [[name, source.mark] for name, source in recall_sources(record).items()],
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


def put_in_place(growing: Path, final: Path) -> None:
    """Let finished sums take the place of older ones, so that there are whole sums at every moment.

    What a killed run leaves, `recover` mends.
    """
    aside = _aside(final)
    if final.exists():
        if aside.exists():
            shutil.rmtree(aside)
        final.rename(aside)
    growing.rename(final)
    if aside.exists():
        shutil.rmtree(aside)


def recover(final: Path) -> None:
    """Put sums back that a run was killed over replacing."""
    aside = _aside(final)
    if aside.exists() and not final.exists():
        aside.rename(final)


def _aside(final: Path) -> Path:
    """Where sums lie while others take their place."""
    return final.with_name(f".{final.name}.old")


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


def remember_damaged(folder: Path, windows: Mapping[str, Window], present: Collection[str]) -> None:
    """Note the pairs, by name, that could not be read, and where, so that the next run need not find them anew.

    What was noted of other pairs than those `present` stays.
    """
    noted = {name: window for name, window in _noted(folder).items() if name not in present} | dict(windows)
    write_text(folder / _DAMAGED, json.dumps({name: list(window) for name, window in noted.items()}) + "\n")


def file_marks(stack: InterferogramStack, pair: Pair) -> list[tuple[str, int, int]]:
    """Tell the files of a pair from others, as far as they are there: name, size and time of each."""
    return [SourceFile.of(f).mark for f in stack.files.get(pair, ()) if f.exists()]


def read_pair(stack: InterferogramStack, pair: Pair, window: Window) -> NDArray[np.complex64]:
    """Read a pair over a window.

    Raises
    ------
    PairFailedError
        If it cannot be read.
    """
    try:
        return stack.read(pair, window)
    except GroundshiftError as error:
        raise PairFailedError(pair, window, str(error)) from error
    except OSError as error:
        path = error.filename or stack.files.get(pair, (stack.root,))[0]
        raise PairFailedError(pair, window, f"{path}: cannot be read ({error.strerror or error})") from error


def failing_alike(stack: InterferogramStack, failed: PairFailedError) -> list[PairFailedError]:
    """Return the other pairs that share a file with one that failed, as those of one image do, and that fail too."""
    files, found = set(stack.files.get(failed.pair, ())), []
    for pair in stack.pairs:
        if pair != failed.pair and not files.isdisjoint(stack.files.get(pair, ())):
            try:
                read_pair(stack, pair, failed.window)
            except PairFailedError as error:
                found.append(error)
    return found


def recall_damaged(folder: Path, stack: InterferogramStack) -> list[PairFailedError]:
    """Return the pairs of `stack` that an earlier run noted and that still cannot be read."""
    noted = _noted(folder)
    found = []
    height, width = stack.grid.shape
    for pair in stack.pairs:
        window = noted.get(pair.name)
        if window is None or window.rows.stop > height or window.columns.stop > width:
            continue
        try:
            read_pair(stack, pair, window)
        except PairFailedError as error:
            found.append(error)
    return found


def _noted(folder: Path) -> dict[str, Window]:
    """Read which pairs could not be read over which windows."""
    try:
        return {n: Window(*map(int, w)) for n, w in json.loads((folder / _DAMAGED).read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
