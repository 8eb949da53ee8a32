"""What a run costs: seconds of the processor, seconds by the clock, and memory, written down as it goes."""

import json
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil


class Spent(NamedTuple):
    """What a piece of work took."""

    processor: float
    """Seconds, all processes together."""
    clock: float
    memory: float = 0.0
    """Most memory held at once, GB; 0 if not known."""


def held(root: int) -> float:
    """Return the memory that a process and all below it hold, GB, without pages of files."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                info = one.memory_info()
                total += info.rss - info.shared
    return total / 1e9


def measured(command: Sequence[str]) -> Spent:
    """Run a command to its end."""
    before, began, most = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, held(process.pid))
            time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(spent, time.perf_counter() - began, most)


class Journal:
    """Numbers that outlast a stopped run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def keep(self, name: str, spent: Spent) -> None:
        """Write down what a piece of work took."""
        self.entries[name] = list(spent)
        temporary = self._path.with_suffix(".part")
        temporary.write_text(json.dumps(self.entries, indent=1))
        temporary.replace(self._path)

    def of(self, name: str) -> Spent:
        """Return what it took."""
        return Spent(*self.entries[name])

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Write down what this process and its children take within."""
        began, busy = time.perf_counter(), own_seconds()
        yield
        self.keep(name, Spent(own_seconds() - busy, time.perf_counter() - began))


def own_seconds() -> float:
    """Return the seconds of the processor of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)
