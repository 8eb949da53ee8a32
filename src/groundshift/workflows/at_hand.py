"""Interferograms that earlier runs have read: found again where they were."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import MissingFileError
from groundshift.io import InterferogramStack
from groundshift.types import Pair, Window
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.detecting import TrackResult
from groundshift.workflows.inputs import open_input
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import (
    Source,
    changed_files,
    recall_sources,
)

__all__ = ["Earlier", "at_hand", "open_again"]


def open_again(path: Path, config: SurveyConfig, track: str) -> InterferogramStack:
    """Open what the sums of a track were read from: of several bursts in a folder that of the same name.

    Raises
    ------
    MissingFileError
        If it is not there any more.
    GroundshiftError
        If it cannot be opened.
    """
    found = open_input(path, config)
    if len(found) > 1:
        found = [stack for stack in found if stack.track == track]
    if not found:
        raise MissingFileError(f"{path}: holds no {track} any more; put it back, or run `groundshift survey` again")
    return found[0]


def at_hand(results: Sequence[TrackResult], config: SurveyConfig, reporter: Reporter) -> list[InterferogramStack]:
    """Open the tracks again whose interferograms are all there, to follow targets on them."""
    stacks = []
    for result in results:
        sources = recall_sources(result.sums.record)
        gone = [pair for pair in sorted(sources) if changed_files(sources[pair])]
        if gone:
            reporter.warn(
                f"{result.name}: {count_of(len(gone), 'interferogram')} no longer as summed ({gone[0]}); series stay "
                "as they were; put them back and run `groundshift series`"
            )
            continue
        found = [
            open_again(Path(root), config, result.name)
            for root in dict.fromkeys(source.root for source in sources.values())
        ]
        by_name = {pair.name: (pair, stack) for stack in reversed(found) for pair in stack.pairs}
        homes = dict(sorted(by_name.values(), key=lambda home: (home[0].reference, home[0].secondary)))
        stacks.append(
            replace(
                found[0],
                track=result.name,
                pairs=tuple(homes),
                look=result.sums.plan.look,
                read_pair=partial(_read_from, homes),
                files={pair: stack.files[pair] for pair, stack in homes.items() if pair in stack.files},
            )
        )
    return stacks


def _read_from(homes: Mapping[Pair, InterferogramStack], pair: Pair, window: Window) -> NDArray[np.complex64]:
    """Read a pair from the stack that holds it."""
    return homes[pair].read(pair, window)


class Earlier:
    """Finds pairs that are not given where they were read before."""

    def __init__(self, sources: dict[str, Source], config: SurveyConfig, track: str) -> None:
        self._sources = sources
        self._track = track
        self._config = config
        self._stacks: dict[str, dict[str, tuple[InterferogramStack, Pair]]] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> tuple[InterferogramStack, Pair]:
        """Return a pair, by its name, with the stack it is read from; stacks are opened when they are asked for."""
        root = self._sources[name].root
        with self._lock:
            if root not in self._stacks:
                stack = open_again(Path(root), self._config, self._track)
                self._stacks[root] = {pair.name: (stack, pair) for pair in stack.pairs}
        if name not in self._stacks[root]:
            raise MissingFileError(
                f"{root}: holds no pair {name} any more, whose weight new dates change; put it back, or run "
                "`groundshift survey` on all interferograms again"
            )
        return self._stacks[root][name]
