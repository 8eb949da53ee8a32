"""Files from a service: taken up where they broke off, and put in place only when they are what was promised."""

import hashlib
import os
import re
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import requests

from groundshift.acquire._session import Session
from groundshift.acquire.disk import told_of_disk
from groundshift.acquire.errors import ServiceError
from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError

__all__ = ["Remote", "fetch", "fetch_all"]

_CHUNK = 1 << 16
"""What at most is lost of a connection that breaks, bytes."""
_TRIES = 2
"""So often a file is fetched whole before it is called damaged."""
_BREAKS = 5
"""So often in a row a connection may break without a byte got."""


class Remote(NamedTuple):
    """A file to fetch, and how to know that it is right."""

    url: str
    path: Path
    """Where it goes."""
    size: int | None = None
    """Bytes, where the service tells."""
    checksum: tuple[str, str] | None = None
    """Algorithm as hashlib names it, and hexadecimal digest."""


class _StoppedError(Exception):
    """The run ends before the file does."""


def fetch_all(
    remotes: Sequence[Remote],
    parts: Path,
    session: Callable[[], Session],
    *,
    parallel: int,
    got: Callable[[int], None] = lambda count: None,
    done: Callable[[Remote, GroundshiftError | None], None] = lambda remote, problem: None,
) -> None:
    """Fetch files, several at a time; one that cannot be had costs only itself.

    Parameters
    ----------
    remotes : sequence of Remote
        The files.
    parts : path
        Folder for files that are not complete, on the disk of the others.
    session : callable
        Makes a session; each worker has its own.
    parallel : int
        How many at a time.
    got : callable
        Takes how many bytes have come; called from several threads.
    done : callable
        Takes each file, and why it could not be had, or None; called from the thread of the caller.

    Raises
    ------
    CredentialsError, ServiceError, OutputError
        What would be the same for the other files.
    """
    stop = threading.Event()
    own = threading.local()

    def work(remote: Remote) -> None:
        if not hasattr(own, "session"):
            own.session = session()
            if own.session.sleep is time.sleep:
                # So that a run that is interrupted need not wait for what its workers wait for.
                own.session.sleep = stop.wait
        fetch(own.session, remote, parts, got, stop)

    with ThreadPoolExecutor(parallel) as pool:
        futures = {pool.submit(work, remote): remote for remote in remotes}
        try:
            for future in as_completed(futures):
                problem = future.exception()
                if problem is not None and not isinstance(problem, DamagedFileError | MissingFileError):
                    raise problem
                done(futures[future], problem)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def fetch(
    session: Session,
    remote: Remote,
    parts: Path,
    got: Callable[[int], None] = lambda count: None,
    stop: threading.Event | None = None,
) -> None:
    """Fetch one file, from where an earlier run broke off.

    Raises
    ------
    MissingFileError
        If the service has no such file.
    DamagedFileError
        If what comes is not what was promised, twice.
    CredentialsError, ServiceError
        If the service refuses, or the connection breaks time and again.
    OutputError
        If the disk is full.
    """
    part = parts / f"{remote.path.name}.part"
    problem = ""
    if remote.path.is_file() and not _mistake(remote.path, remote):
        return
    for _ in range(_TRIES):
        with told_of_disk(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            _receive(session, remote, part, got, stop or threading.Event())
            problem = _mistake(part, remote)
            if not problem:
                remote.path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(part, remote.path)
                return
            part.unlink()
    raise DamagedFileError(f"{remote.path.name}: {problem}, twice; run again later, or tell the service")


def _receive(session: Session, remote: Remote, part: Path, got: Callable[[int], None], stop: threading.Event) -> None:
    """Receive the rest of a file, going on where a connection breaks."""
    breaks = 0
    while not stop.is_set():
        have = part.stat().st_size if part.exists() else 0
        if remote.size is not None and have >= remote.size:
            return
        try:
            if _receive_from(have, session, remote, part, got, stop):
                return
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            pass
        now = part.stat().st_size if part.exists() else 0
        breaks = 0 if now > have else breaks + 1
        if breaks > _BREAKS:
            raise ServiceError(
                f"{remote.path.name}: the connection breaks at {now:,} bytes time and again; run the same command "
                "again later, it goes on from there"
            )
        session.sleep(min(2.0**breaks, 30.0))
    raise _StoppedError


def _receive_from(
    have: int,
    session: Session,
    remote: Remote,
    part: Path,
    got: Callable[[int], None],
    stop: threading.Event,
) -> bool:
    """Receive a file from a byte on; returns whether it came to its end."""
    # Compressed on the way, bytes could not be counted.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(remote.url, headers=headers, stream=True) as response:
        if response.status_code == 416:
            # Shorter than what is here, or complete: what is here tells, or it is fetched anew.
            if remote.size is not None or remote.checksum is None:
                part.unlink()
                return False
            return True
        if response.status_code in (403, 404, 410):
            raise MissingFileError(
                f"{remote.path.name}: the service has it no longer ({response.status_code}); run the same command "
                "again to ask for it anew"
            )
        if response.status_code not in (200, 206):
            raise ServiceError(
                f"{remote.path.name}: the service answers {response.status_code}; run the same command again later"
            )
        goes_on = response.status_code == 206 and _first_byte(response) == have
        if response.status_code == 206 and not goes_on:
            part.unlink(missing_ok=True)
            return False
        with part.open("ab" if goes_on else "wb") as sink:
            for chunk in response.iter_content(_CHUNK):
                if stop.is_set():
                    raise _StoppedError
                sink.write(chunk)
                got(len(chunk))
            return remote.size is None or sink.tell() >= remote.size


def _first_byte(response: requests.Response) -> int | None:
    """Return the first byte of a part of a file."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _mistake(file: Path, remote: Remote) -> str:
    """Say how a file differs from what was promised; nothing if it does not."""
    size = file.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"{size:,} bytes came where {remote.size:,} were promised"
    if remote.checksum is not None:
        algorithm, digest = remote.checksum
        with file.open("rb") as source:
            found = hashlib.file_digest(source, lambda: hashlib.new(algorithm, usedforsecurity=False))
            if found.hexdigest() != digest:
                return f"its {algorithm} checksum is wrong"
    if remote.path.suffix == ".zip" and not _whole(file):
        return "the archive is damaged"
    return ""


def _whole(archive: Path) -> bool:
    """Whether all members of an archive can be read and have the sums they should have."""
    try:
        with zipfile.ZipFile(archive) as source:
            return source.testzip() is None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        return False
