"""A finished survey, shown again: what its folder holds, the report made anew, and what people write meanwhile."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from groundshift.errors import GroundshiftError, MissingFileError
from groundshift.inventory import read_inventory
from groundshift.inventory.review import ReviewConflictError, ReviewState, read_reviews, set_review
from groundshift.report import ReportContent, read_content, render_report, render_target, write_report
from groundshift.workflows.output import claimed

__all__ = ["KEPT", "ShownSurvey", "load_survey", "remake_report"]

KEPT = "report.h5"
"""Name of the file in a survey's folder that holds what its report shows."""

_FRESH_NS = 2_000_000_000
"""A file that was written this short a time ago may be written again without its time of change telling."""


def load_survey(folder: Path) -> ReportContent:
    """Gather what the report of a finished survey shows, with the targets and reviews as they are now.

    Raises
    ------
    GroundshiftError
        If the folder holds no finished survey, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: no such folder; give the output folder of a survey")
    return read_content(folder / KEPT, read_inventory(folder / "inventory.gpkg"))


def remake_report(folder: Path) -> Path:
    """Write `report.html` of a finished survey anew, with the reviews and notes as they are now, and return its path.

    Raises
    ------
    GroundshiftError
        As `load_survey` does; if a run is writing to the folder; or if the report cannot be written.
    """
    content = load_survey(folder)
    with claimed(folder):
        write_report(folder / "report.html", content)
    return folder / "report.html"


class _Files(NamedTuple):
    """What tells files from what they were: device, inode, time of change, size; empty where there is none."""

    inventory: tuple[int, ...]
    kept: tuple[int, ...]
    journal: tuple[int, ...]

    def same_survey(self, other: "_Files") -> bool:
        """Whether no survey has replaced them."""
        return self.inventory[:2] == other.inventory[:2] and self.kept[:4] == other.kept[:4]


class ShownSurvey:
    """The survey as the viewer shows it, kept in step with its files.

    One thread does everything that touches files. SQLite here and inside GDAL are two libraries in one process: where
    one closes a file, the locks of the other on it are lost, so they must not work at the same time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory.gpkg"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="groundshift-files")
        self._problem = ""
        self._written: dict[str, tuple[ReviewState, datetime]] = {}
        self._page: tuple[object, str] = (None, "")
        self._generation = 0
        self._version = 0
        self._load()

    def do(self, work: Callable[..., Any], *given: object) -> "Future[Any]":
        """Do something with the files, after what was asked for before."""
        return self._thread.submit(work, *given)

    def close(self) -> None:
        """Let the thread end when its work is done."""
        self._thread.shutdown()

    def page(self, **live: object) -> str:
        """Return the page with everything as it is now; its script is told `live`, the same each time."""
        self._refresh()
        now = (self._generation, self._version)
        if self._page[0] != now:
            told = {
                **live,
                "folder": str(self.folder),
                "generation": self._generation,
                "version": self._version,
                "reviews": self._reviews,
            }
            self._page = (now, render_report(self._content_now(), live=told))
        return self._page[1]

    def target(self, name: str) -> dict[str, Any]:
        """Return what belongs to one target."""
        if name not in self._index:
            raise MissingFileError(f"no target {name} any more; reload this page")
        return render_target(self._content, self._content.targets[self._index[name]])

    def state(self, version: int) -> dict[str, Any]:
        """Return the reviews that have changed since a version."""
        self._refresh()
        changed = {name: self._reviews[name] for name, at in self._changed.items() if at > version}
        return {
            "generation": self._generation,
            "version": self._version,
            "changed": changed,
            "problem": self._problem,
        }

    def review(self, name: str, wanted: ReviewState, seen: ReviewState) -> ReviewState:
        """Write a review."""
        try:
            state = set_review(
                self.inventory,
                name,
                review=wanted.review,
                note=wanted.note,
                seen_review=seen.review,
                seen_note=seen.note,
            )
        except ReviewConflictError as error:
            ours, at = self._written.get(name, (None, None))
            where = f"in another window of this viewer at {at:%H:%M}" if ours == error.state else "by another program"
            raise ReviewConflictError(f"{error} (written {where})", error.state) from error
        self._written[name] = (state, datetime.now())
        self._note(name, state)
        return state

    def _load(self) -> None:
        """Read everything."""
        files = self._files()
        self._content = load_survey(self.folder)
        self._mark = files
        self._index = {t.id: k for k, t in enumerate(self._content.targets)}
        self._reviews = {t.id: ReviewState(t.review, t.note) for t in self._content.targets}
        self._changed: dict[str, int] = {}
        self._generation += 1

    def _refresh(self) -> None:
        """Take over what others have written; what cannot be read now is told, and tried again."""
        files = self._files()
        if files == self._mark:
            return
        try:
            found = read_reviews(self.inventory) if files.same_survey(self._mark) else {}
            if found.keys() == self._reviews.keys():
                for name, state in found.items():
                    self._note(name, state)
                self._mark = files
            else:
                self._load()
            self._problem = ""
        except GroundshiftError as error:
            self._problem = str(error)

    def _note(self, name: str, state: ReviewState) -> None:
        """Note the state of a target."""
        if self._reviews.get(name) != state:
            self._version += 1
            self._reviews[name] = state
            self._changed[name] = self._version

    def _files(self) -> "_Files":
        """Look at the files."""
        # A GIS may keep its changes in a journal beside the inventory for a while.
        journal = self.inventory.with_name(f"{self.inventory.name}-wal")
        return _Files(*(_look(path) for path in (self.inventory, self.folder / KEPT, journal)))

    def _content_now(self) -> ReportContent:
        """Return the content with reviews as they are now."""
        targets = [
            replace(t, review=self._reviews[t.id].review, note=self._reviews[t.id].note) for t in self._content.targets
        ]
        return replace(self._content, targets=targets)


def _look(path: Path) -> tuple[int, ...]:
    """Return what tells a file from what it was; as long as it is fresh, no two looks are the same."""
    try:
        found = path.stat()
    except OSError:
        return ()
    now = time.time_ns()
    fresh = now if now - found.st_mtime_ns < _FRESH_NS else 0
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, fresh
