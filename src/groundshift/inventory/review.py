"""What people decide about targets, written back into the inventory without undoing what somebody else has written.

Several viewers, a GIS and a survey may have the same file open. A write carries what its author saw; it happens in one
transaction, and only if that is still what the file holds. A file that was replaced meanwhile is noticed, so that
nothing goes into one that is no longer there.
"""

import errno
import fcntl
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import shapely

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, OutputError, UnknownFormatError
from groundshift.inventory.geopackage import SCHEMA_VERSION, checked_polygon
from groundshift.inventory.identity import mark_of, settle_ids, unmarked
from groundshift.inventory.model import Review

__all__ = ["LONGEST_NOTE", "ReviewConflictError", "ReviewState", "hold_reviews", "read_reviews", "set_review"]

LONGEST_NOTE = 10_000
"""Characters of a note."""

_PATIENCE = 5.0
"""Seconds for which others may hold the file before a write is given up."""
_FORBIDDEN = "no permission to write it; change the permissions of the file and its folder"
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}
_SPATIAL = {"ST_IsEmpty": 1, "ST_MinX": 1, "ST_MaxX": 1, "ST_MinY": 1, "ST_MaxY": 1}
"""Functions, and their numbers of arguments, that triggers of a GeoPackage name but that fire for geometries only."""


class ReviewState(NamedTuple):
    """What people have said about a target."""

    review: Review
    note: str


class ReviewConflictError(GroundshiftError, ValueError):
    """A review or note is not what its author saw any more; `state` is what stands there now, and stays."""

    def __init__(self, message: str, state: ReviewState) -> None:
        super().__init__(message)
        self.state = state


class _Row(NamedTuple):
    """One target as the file has it."""

    number: int
    name: str
    state: ReviewState


def read_reviews(path: Path) -> dict[str, ReviewState]:
    """Read reviews and notes by the id of their target, as `read_inventory` names and reads them.

    Raises
    ------
    MissingFileError, DamagedFileError, UnknownFormatError
        If the file is not there, is damaged or holds what the schema does not know, or is no inventory.
    OutputError
        If another program keeps it locked.
    """
    path = Path(path)
    with _opened(path, "ro") as connection:
        return {row.name: row.state for row in _rows(path, connection)}


def set_review(
    path: Path, target_id: str, *, review: Review, note: str, seen_review: Review, seen_note: str
) -> ReviewState:
    """Write review and note of one target, if they still are what the author saw.

    Parameters
    ----------
    path : path
        The GeoPackage; nothing but these two columns of one row, and the time of the change, is touched.
    target_id : str
        As `read_inventory` names it; a polygon that was drawn by hand is named after its place.
    review, note : Review, str
        The new ones. A mark of the survey at the end of a note, such as `[not seen since 2021-06-27]`, stays as it is.
    seen_review, seen_note : Review, str
        What stood there when the author decided.

    Returns
    -------
    ReviewState
        What stands there now.

    Raises
    ------
    ReviewConflictError
        If somebody has changed either since; nothing is written.
    MissingFileError
        If the file, or the target in it, is not there.
    DamagedFileError, UnknownFormatError
        If the file is damaged, or not an inventory that this Groundshift knows.
    OutputError
        If it cannot be written: no permission, a full disk, or another program that keeps it locked.
    ValueError
        If `review` is none of the schema, or `note` is too long.

    Notes
    -----
    After the commit the name must still lead to the file that was written; if a survey has replaced it, the write is
    repeated on the new one. Where that survey holds `hold_reviews` while it reads and replaces, no write can fall in
    between.
    """
    path = Path(path)
    if review not in get_args(Review):
        raise ValueError(f"review must be one of {', '.join(get_args(Review))}, instead got {review!r}")
    if len(note) > LONGEST_NOTE:
        raise ValueError(f"note must have at most {LONGEST_NOTE} characters, instead got {len(note)}")
    wanted, seen = ReviewState(review, note), ReviewState(seen_review, seen_note)
    with hold_reviews(path):
        while True:
            before = _identity(path)
            with _opened(path, "rw") as connection:
                state = _write(path, connection, target_id, wanted, seen)
            if _identity(path) == before:
                return state


@contextmanager
def hold_reviews(path: Path) -> Iterator[None]:
    """Keep others from writing reviews to an inventory, as while it is read, merged with a new run and replaced.

    The lock is on the folder of `path` and goes with the process; on a file system without locks there is none.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    OutputError
        If another program holds it for longer than a few seconds.
    """
    try:
        descriptor = os.open(path.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise OutputError(f"{path}: {_FORBIDDEN}") from error
    except OSError as error:
        raise MissingFileError(f"{path}: no such folder; check the spelling or run the survey first") from error
    try:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise OutputError(
                        f"{path}: a survey or another viewer is writing it; try again in a moment"
                    ) from error
                time.sleep(0.02)
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            break
        yield
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from another of the same name."""
    try:
        found = path.stat()
    except OSError as error:
        raise MissingFileError(f"{path}: no such file; check the spelling or run the survey first") from error
    return found.st_dev, found.st_ino


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open an inventory that stands; whatever SQLite raises becomes one line."""
    _identity(path)
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None
        )
        try:
            for name, arguments in _SPATIAL.items():
                # Statements that could fire a trigger are not even prepared where a function in it is missing.
                connection.create_function(name, arguments, _no_geometry)
            _check(path, connection)
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _in_words(path, error) from error


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Check that the file is whole, is an inventory, and is not newer than this Groundshift."""
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict is None or verdict[0] != "ok":
        raise DamagedFileError(f"{path}: the GeoPackage is damaged; restore it from a copy")
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "targets" not in tables:
        raise UnknownFormatError(f"{path}: no layer 'targets'; give an inventory that Groundshift has written")
    if "groundshift_schema" in tables:
        version = connection.execute("SELECT max(version) FROM groundshift_schema").fetchone()[0]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise UnknownFormatError(
                f"{path}: written by a newer Groundshift (schema {version}, this one reads up to {SCHEMA_VERSION}); "
                "upgrade Groundshift"
            )


def _write(
    path: Path, connection: sqlite3.Connection, target_id: str, wanted: ReviewState, seen: ReviewState
) -> ReviewState:
    """Compare and write in one transaction."""
    # Takes the lock of writers at once: between the comparison and the write nobody else can write.
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = _find(path, connection, target_id)
        mark = mark_of(row.state.note)
        note = unmarked(wanted.note).rstrip()
        wanted = wanted._replace(note=f"{note} {mark}".strip() if mark else note)
        if row.state != seen:
            raise ReviewConflictError(_changed(target_id, seen, row.state), row.state)
        if row.state != wanted:
            connection.execute("UPDATE targets SET review = ?, note = ? WHERE rowid = ?", (*wanted, row.number))
            connection.execute(
                "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') "
                "WHERE table_name = 'targets'"
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return wanted


def _find(path: Path, connection: sqlite3.Connection, target_id: str) -> _Row:
    """Find the row of a target."""
    for row in _rows(path, connection):
        if row.name == target_id:
            return row
    raise MissingFileError(f"{path}: no target {target_id} any more; load the inventory again")


def _rows(path: Path, connection: sqlite3.Connection) -> list[_Row]:
    """Read all targets; shapes are looked at only where a row has no name of its own."""
    try:
        found = connection.execute("SELECT rowid, id, review, note FROM targets ORDER BY rowid").fetchall()
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        raise DamagedFileError(f"{path}: layer 'targets' lacks a column ({error}); restore it from a copy") from error
    stored = [None if name is None else str(name) for _, name, _, _ in found]
    names = cast("list[str]", stored)
    if len({name for name in stored if name}) < len(stored):
        names = settle_ids(stored, _shapes(path, connection, stored))
    return [
        _Row(number, name, _state(path, name, review, note))
        for name, (number, _, review, note) in zip(names, found, strict=True)
    ]


def _state(path: Path, name: str, review: Any, note: Any) -> ReviewState:
    """Read what people may have typed."""
    found = str(review or "unreviewed").strip().lower()
    if found not in get_args(Review):
        raise DamagedFileError(
            f"{path}: review of target {name} must be one of {', '.join(get_args(Review))}, instead got {review!r}; "
            "correct it"
        )
    return ReviewState(cast("Review", found), str(note or ""))


def _shapes(path: Path, connection: sqlite3.Connection, names: list[str | None]) -> list[Any]:
    """Read the polygons of all targets."""
    column = connection.execute(
        "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = 'targets'"
    ).fetchone()[0]
    times = Counter(names)
    shapes = []
    quoted = '"' + str(column).replace('"', '""') + '"'
    for number, (blob,) in enumerate(connection.execute(f"SELECT {quoted} FROM targets ORDER BY rowid")):
        name = names[number]
        what = name if name and times[name] == 1 else f"row {number + 1}"
        shapes.append(checked_polygon(path, "target", what, _geometry(blob)))
    return shapes


def _geometry(blob: bytes | None) -> shapely.Geometry | None:
    """Read a geometry of a GeoPackage: a header with an envelope of a length that its flags tell, then WKB."""
    if blob is None or len(blob) < 8:
        return None
    envelope = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}.get(blob[3] >> 1 & 7, 0)
    return cast("shapely.Geometry | None", shapely.from_wkb(blob[8 + envelope :], on_invalid="ignore"))


def _no_geometry(value: object) -> None:
    """Stand for a function of geometries, which no statement here may call."""
    raise ValueError("a review changes no geometry")


def _changed(target_id: str, seen: ReviewState, now: ReviewState) -> str:
    """Say what somebody else has changed."""
    parts = []
    if now.review != seen.review:
        parts.append(f"review is {now.review} now, you saw {seen.review}")
    if now.note != seen.note:
        parts.append(f"note is {now.note!r} now, you saw {seen.note!r}")
    return f"target {target_id}: changed by somebody else meanwhile ({'; '.join(parts)}); look and decide again"


def _in_words(path: Path, error: sqlite3.Error) -> GroundshiftError:
    """Say in one line what SQLite could not do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return OutputError(f"{path}: another program keeps it locked; save or close it there and try again")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return OutputError(f"{path}: {_FORBIDDEN}")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return OutputError(f"{path}: cannot be written ({error}); free some space and try again")
    reason = " ".join(str(error).split())
    return DamagedFileError(f"{path}: not a readable GeoPackage ({reason}); restore it from a copy")
