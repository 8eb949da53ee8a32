"""The paths of a run: looked at before anything slow is done; and its folder, kept to one run at a time."""

import errno
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from groundshift.errors import MissingFileError, OutputError

__all__ = ["check_paths", "claimed"]

_LOCK = ".lock"
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")
"""Names under which `atomic_path` writes; a killed run leaves them behind."""
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def check_paths(folder: Path, inputs: Sequence[Path] = (), others: Sequence[Path] = ()) -> None:
    """Stop where there is no input, or results cannot go into `folder`, without touching anything.

    Raises
    ------
    MissingFileError
        If one of the `inputs`, or of the `others` that are read, is not there.
    OutputError
        If it is a file, is one of the `inputs`, or may not be written to.
    """
    for source in (*inputs, *others):
        if not source.exists():
            raise MissingFileError(f"{source}: no such file or folder; check the spelling")
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{place}: is a file, not a folder; choose another output folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{place}: no permission to write here; choose another output folder")
    for source in inputs:
        home = source if source.is_dir() else source.parent
        if home.resolve() == folder.resolve():
            raise OutputError(f"{folder}: holds the input; choose another output folder")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make the folder of a run, keep other runs out of it, and clear away what a killed one left half written.

    The lock goes with the process, however that ends; on a file system without locks there is none.

    Raises
    ------
    OutputError
        If another run is writing there, or the folder cannot be made.
    """
    path = folder / _LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(path)
    except BlockingIOError as error:
        raise OutputError(
            f"{folder}: another run{_owner(path)} is writing here; wait for it or choose another output folder"
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "choose another output folder"
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); {remedy}") from error
    try:
        _sweep(folder)
        yield
    finally:
        # Removed while still locked, so that nobody's lock but ours can be taken away.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Lock a file and write into it who holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            # The one who held it before may have removed it in between; then it is another file that counts.
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _owner(path: Path) -> str:
    """Say who holds a lock."""
    try:
        pid, host = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return ""
    return f" (process {pid} on {host})"


def _sweep(folder: Path) -> None:
    """Remove temporary folders of runs that were killed; nobody else writes here while the lock is held."""
    for pattern in (".*", "stacks/*/.*", "stacks/*/*/.*", "patches/*/*/.*", "patches/*/*/*/.*"):
        for path in folder.glob(pattern):
            if _TEMPORARY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
