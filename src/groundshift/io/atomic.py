"""Outputs that appear whole or not at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from groundshift.errors import OutputError

__all__ = ["atomic_path", "write_text"]


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Give a temporary name beside `final` to write a file or folder under; rename it when the block completes.

    An existing file or folder of the final name is replaced. If the block raises, is interrupted or the disk is
    full, what was written is removed and what stood there before stays.

    Raises
    ------
    OutputError
        If the disk is full or the place cannot be written to; the line names `final`.
    """
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    except OSError as error:
        raise _output_error(final, error) from error
    try:
        temporary = holder / final.name
        yield temporary
        if final.is_dir() and not final.is_symlink():
            # A folder cannot be replaced in one step: move the old one aside first, so that it is never half there.
            os.rename(final, holder / f"old-{final.name}")
        os.replace(temporary, final)
    except OSError as error:
        if isinstance(error, OutputError) or error.errno not in _DISK_ERRORS:
            raise
        raise _output_error(final, error) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_text(final: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")


_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO}


def _output_error(final: Path, error: OSError) -> OutputError:
    """Say in one line why `final` cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(f"{final}: the disk is full; free some space and run again, finished parts are kept")
    return OutputError(f"{final}: cannot be written ({error.strerror}); choose another output folder")
