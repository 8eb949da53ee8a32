"""A disk that takes no more, told in one line."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundshift.errors import GroundshiftError, OutputError

__all__ = ["check_room", "told_of_disk"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def told_of_disk(path: Path) -> Iterator[None]:
    """Turn what the operating system says into an error that names `path` and the remedy.

    Raises
    ------
    OutputError
        If the disk is full or the place cannot be written to. Errors of connections, which are no errors of the
        operating system, and those that are told already pass.
    """
    try:
        yield
    except GroundshiftError:
        raise
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno in _FULL:
            raise OutputError(
                f"{path}: the disk is full; free some space and run again, what has come is kept"
            ) from error
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another output folder") from error


def check_room(folder: Path, needed: int) -> None:
    """Stop where a disk has less room than is needed.

    Parameters
    ----------
    folder : path
        On the disk; it need not be there yet.
    needed : int
        Bytes.

    Raises
    ------
    OutputError
        If there is less.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise OutputError(
            f"{folder}: {needed / 1e9:,.1f} GB are to come, {free / 1e9:,.1f} GB are free; free some space, or choose "
            "another output folder"
        )
