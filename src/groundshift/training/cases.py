"""The cases behind a judgement: what all maps say together, and its classes.

Sizes are the longer side of a body's box inside the map, so that predictions have one as well: a wrong prediction
counts in its own size class. It has neither speed nor behaviour, so that it counts in every class of these.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.planes import PLANES
from groundshift.detect.prediction import Prediction
from groundshift.errors import DamagedFileError
from groundshift.training.matching import IOU_THRESHOLDS, Marks, SampleMarks, mark
from groundshift.training.metrics import Ranking
from groundshift.training.samples import BEHAVIOURS, IGNORED, Body, Sample, boxes_of

__all__ = ["SIZES_M", "SPEEDS_MM_YR", "Cases", "Class", "Joined"]

SIZES_M = (0.0, 400.0, 800.0, 1600.0, math.inf)
"""Limits of the size classes, metres."""

SPEEDS_MM_YR = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, math.inf)
"""Limits of the speed classes, mm/yr in the line of sight."""

_YEARS = re.compile(r"(19|20)\d\d(-(19|20)\d\d)?")


class Class(NamedTuple):
    """Which bodies, wrong predictions and maps a class holds."""

    bodies: NDArray[np.bool_]
    predictions: NDArray[np.bool_]
    maps: NDArray[np.bool_]


class Cases:
    """Gathers the marks of one map after the other."""

    def __init__(self) -> None:
        self.scenes: dict[str, int] = {}
        self.map_scene: list[int] = []
        self.windows: list[str] = []
        self.area_km2: list[float] = []
        self.score: list[NDArray[np.float64]] = []
        self.size: list[NDArray[np.float64]] = []
        self.body_size: list[NDArray[np.float64]] = []
        self.bodies: list[list[Body]] = []
        self.marks: list[SampleMarks] = []

    def add(self, sample: Sample, predictions: Sequence[Prediction]) -> None:
        """Mark the predictions on one more map."""
        boxes = boxes_of(sample.labels)
        if max(boxes, default=0) > len(sample.bodies):
            raise DamagedFileError(
                f"sample of {sample.scene}, window {sample.window}: label {max(boxes)} has no body, only "
                f"{len(sample.bodies)} are described; make the sample again"
            )
        self.map_scene.append(self.scenes.setdefault(sample.scene, len(self.scenes)))
        self.windows.append(_kind_of(sample.window))
        judged = (sample.planes[PLANES.index("known")] > 0) & (sample.labels != IGNORED)
        self.area_km2.append(float(judged.sum()) * sample.pixel_m**2 / 1e6)
        self.score.append(np.array([p.score for p in predictions], np.float64))
        self.size.append(_sides([p.box for p in predictions]) * sample.pixel_m)
        self.body_size.append(_sides(list(boxes.values())) * sample.pixel_m)
        self.bodies.append([sample.bodies[label - 1] for label in boxes])
        self.marks.append(mark(sample.labels, predictions))

    def joined(self) -> "Joined":
        """Join the maps into flat arrays."""
        map_scene = np.array(self.map_scene, np.intp)
        prediction_map = np.repeat(np.arange(map_scene.size), [s.size for s in self.score])
        body_map = np.repeat(np.arange(map_scene.size), [len(b) for b in self.bodies])
        ways: dict[str, list[list[Marks]]] = {
            "box": [[m.boxes[k] for m in self.marks] for k in range(len(IOU_THRESHOLDS))]
        }
        masks = [m.masks for m in self.marks]
        if all(m is not None for m in masks):
            ways["mask"] = [[m[k] for m in masks if m is not None] for k in range(len(IOU_THRESHOLDS))]
        ways["hit"] = [[m.hits for m in self.marks]]
        bodies = [body for one in self.bodies for body in one]
        return Joined(
            scenes=len(self.scenes),
            score=np.concatenate(self.score),
            size=np.concatenate(self.size),
            prediction_map=prediction_map,
            body_map=body_map,
            body_size=np.concatenate(self.body_size),
            body_speed=np.abs(np.array([b.velocity for b in bodies], np.float64)),
            behaviour=np.array([b.behaviour for b in bodies], np.str_),
            map_scene=map_scene,
            window=np.array(self.windows, np.str_),
            area_km2=np.array(self.area_km2),
            ways={way: tuple(map(_concatenated, each)) for way, each in ways.items()},
        )


@dataclass(frozen=True, eq=False)
class Joined:
    """All maps in flat arrays: of predictions, of bodies, and of maps."""

    scenes: int
    score: NDArray[np.float64]
    size: NDArray[np.float64]
    prediction_map: NDArray[np.intp]
    body_map: NDArray[np.intp]
    body_size: NDArray[np.float64]
    body_speed: NDArray[np.float64]
    behaviour: NDArray[np.str_]
    map_scene: NDArray[np.intp]
    window: NDArray[np.str_]
    area_km2: NDArray[np.float64]
    ways: dict[str, tuple[Marks, ...]]

    def rankings(self, only: Class | None = None) -> dict[str, tuple[Ranking, ...]]:
        """Rank the predictions by each way of matching, of one class or of all."""
        return {way: tuple(self._ranking(marks, only) for marks in each) for way, each in self.ways.items()}

    def classes(self) -> dict[str, dict[str, Class]]:
        """Return the classes that hold a body; of the time windows all."""
        every, maps = np.ones(self.score.size, bool), np.ones(self.window.size, bool)
        found: dict[str, dict[str, Class]] = {"size": {}, "speed": {}, "behaviour": {}, "window": {}}
        for low, high in pairwise(SIZES_M):
            sized = Class(_within(self.body_size, low, high), _within(self.size, low, high), maps)
            found["size"][_range(low, high, "m")] = sized
        for low, high in pairwise(SPEEDS_MM_YR):
            found["speed"][_range(low, high, "mm/yr")] = Class(_within(self.body_speed, low, high), every, maps)
        for behaviour in BEHAVIOURS:
            found["behaviour"][behaviour] = Class(self.behaviour == behaviour, every, maps)
        found = {group: {n: c for n, c in members.items() if c.bodies.any()} for group, members in found.items()}
        for window in np.unique(self.window):
            these = self.window == window
            found["window"][str(window)] = Class(these[self.body_map], these[self.prediction_map], these)
        return found

    def _ranking(self, marks: Marks, only: Class | None) -> Ranking:
        """Rank what one rule says of one class; right predictions of other bodies count neither way."""
        right, counted = marks.truth >= 0, ~marks.neutral
        bodies = np.ones(self.body_map.size, bool) if only is None else only.bodies
        maps = np.ones(self.window.size, bool) if only is None else only.maps
        if only is not None:
            counted &= only.predictions
            counted[right] = bodies[marks.truth[right]]
        order = np.flatnonzero(counted)
        order = order[np.argsort(-self.score[order], kind="stable")]
        return Ranking(
            score=self.score[order],
            right=right[order],
            scene=self.map_scene[self.prediction_map[order]],
            found_at=marks.found_at[bodies],
            body_scene=self.map_scene[self.body_map[bodies]],
            area_km2=np.asarray(np.bincount(self.map_scene, self.area_km2 * maps, self.scenes), np.float64),
        )


def _concatenated(each: Sequence[Marks]) -> Marks:
    """Join the marks of many maps; bodies are counted on."""
    first = np.cumsum([0, *(m.found_at.size for m in each)])
    truth = [np.where(m.truth >= 0, m.truth + start, -1) for m, start in zip(each, first[:-1], strict=True)]
    return Marks(
        np.concatenate(truth),
        np.concatenate([m.neutral for m in each]),
        np.concatenate([m.found_at for m in each]),
    )


def _sides(boxes: Sequence[tuple[float, float, float, float]]) -> NDArray[np.float64]:
    """Return the longer sides of boxes."""
    edges = np.array(boxes, np.float64).reshape(-1, 4)
    return np.asarray((edges[:, 2:] - edges[:, :2]).max(axis=1, initial=0))


def _within(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    """Say which values lie from `low` up to but not at `high`."""
    return np.asarray((values >= low) & (values < high))


def _kind_of(window: str) -> str:
    """Name what time windows of a kind have in common: `2018-2019` and `years2` are `years`."""
    return "years" if _YEARS.fullmatch(window) else window.rstrip("0123456789") or window


def _range(low: float, high: float, unit: str) -> str:
    """Name a class."""
    return f"over {low:g} {unit}" if math.isinf(high) else f"{low:g}-{high:g} {unit}"
