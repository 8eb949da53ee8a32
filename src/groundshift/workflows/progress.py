"""Progress of a run: what is done, how much is left, and a log that machines can read."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from groundshift.errors import OutputError

__all__ = ["Reporter", "count_of"]


def count_of(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Reporter:
    """Tells a person on stderr, and a log file if there is one, how a run gets on.

    Parameters
    ----------
    quiet : bool
        Say nothing on the terminal but errors.
    log : path, optional
        File to which one JSON object per event is appended; made with the first of them, in a folder that stands.
    """

    def __init__(self, *, quiet: bool = False, log: Path | None = None) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self.started = time.monotonic()
        self._path = log
        self._log: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, message: str, **facts: Any) -> None:
        """Tell one line, and log it with the facts behind it."""
        self.console.print(message, markup=False)
        self.log("message", text=message, **facts)

    def warn(self, message: str, **facts: Any) -> None:
        """Tell one line about something a person should look at."""
        self.console.print(f"warning: {message}", style="yellow", markup=False)
        self.log("warning", text=message, **facts)

    def log(self, event: str, **facts: Any) -> None:
        """Append one event to the log.

        Raises
        ------
        OutputError
            If the log cannot be written.
        """
        if self._path is None:
            return
        entry = {"event": event, "seconds": round(time.monotonic() - self.started, 3), **facts}
        try:
            if self._log is None:
                before = self._path.read_bytes()[-1:] if self._path.exists() else b""
                self._log = self._path.open("a", encoding="utf-8")
                # A killed run may have broken off in the middle of a line.
                self._log.write("" if before in (b"", b"\n") else "\n")
            self._log.write(json.dumps(entry, default=str) + "\n")
            self._log.flush()
        except OSError as error:
            path, self._path = self._path, None
            raise OutputError(f"{path}: cannot be written ({error.strerror}); free some space and run again") from error

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Any]:
        """Show a bar with an estimate; gives a function that is called with how much more is done."""
        began = time.monotonic()
        with self.bars({title: total}) as advance:
            yield lambda more=1: advance(title, more)
        self.log("stage", title=title, total=total, took=round(time.monotonic() - began, 3))

    @contextmanager
    def bars(self, totals: Mapping[str, float]) -> Iterator[Any]:
        """Show several bars; gives a function that is called with a title and how much more of it is done."""
        with Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=self.quiet or not sys.stderr.isatty(),
            transient=True,
        ) as progress:
            tasks = {title: progress.add_task(title, total=total) for title, total in totals.items()}
            yield lambda title, more: progress.advance(tasks[title], more)

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            # What could not be written was reported when it was written.
            with suppress(OSError):
                self._log.close()
            self._log = None
