"""Places that interferograms see moving, as detections on Earth, with their velocity and what the terrain is like."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect import Detection, outline
from groundshift.detect.detection import SINGLE_PAIRS
from groundshift.detect.segments import Segment, SegmentNetwork, Sightings, relative_phase, touched
from groundshift.errors import GroundshiftError
from groundshift.geometry import SlopeAspect, mean_slope_aspect, slope_aspect
from groundshift.geometry.average import average_known
from groundshift.io.stack import InterferogramStack
from groundshift.types import Grid, Looks, Pair, Window
from groundshift.workflows.progress import Reporter
from groundshift.workflows.scanning import read_averaged
from groundshift.workflows.segment_files import Outline

__all__ = ["Frame", "Seen", "detections_of", "outlines_of"]

_SLOPE_SMOOTHING = 150.0
"""Metres over which the slope under a target is averaged."""


class Frame(NamedTuple):
    """What the pairs of one track are looked at on."""

    stack: InterferogramStack
    looks: Looks
    grid: Grid
    folder: Path

    def read(self, pair: Pair) -> NDArray[np.complex64]:
        """Read a pair on the grid."""
        return read_averaged(self.stack, pair, self.looks)


@dataclass
class Seen:
    """What the pairs of a track show, as they come."""

    sightings: Sightings
    pairs: list[Pair] = field(default_factory=list)
    segments: dict[Pair, list[Segment]] = field(default_factory=dict)
    """Of models that look at one interferogram."""


def detections_of(
    frame: Frame, seen: Seen, places: Sequence[Segment], network: SegmentNetwork, reporter: Reporter
) -> list[Detection]:
    """Describe the places of a track; one that the grid cannot place is named and left out."""
    if not places:
        return []
    rates, coherence = _rates(frame, seen, places)
    terrain = _terrain(frame)
    found = []
    for k, place in enumerate(places):
        corner = (place.window.y, place.window.x)
        try:
            polygon = outline(place.mask, corner, frame.grid)
        except GroundshiftError as error:
            reporter.warn(f"{frame.stack.track}: a place left out: {error}")
            continue
        slope = aspect = None
        if terrain is not None:
            inside = np.zeros(frame.grid.shape, np.bool_)
            inside[place.window.rows, place.window.columns] = place.mask
            under = mean_slope_aspect(terrain, inside)
            if under is not None:
                slope, aspect = under[0], under[1] if math.isfinite(under[1]) else None
        velocity, sigma = _velocity(rates[k])
        found.append(
            Detection(
                polygon=polygon, score=place.score, detector=network.name, track=frame.stack.track,
                window=SINGLE_PAIRS, directions=("phase",), velocity=velocity, velocity_sigma=sigma,
                significance=abs(velocity) / sigma if sigma > 0 else math.nan,
                mean_coherence=float(np.mean(coherence[k])) if coherence[k] else math.nan,
                n_pairs=len(coherence[k]), slope=slope, aspect=aspect,
            )
        )  # fmt: skip
    return found


def _rates(frame: Frame, seen: Seen, places: Sequence[Segment]) -> tuple[list[list[float]], list[list[float]]]:
    """Return for each place its line-of-sight velocities, mm/yr, and mean coherences in the pairs that see it."""
    shape = frame.grid.shape
    moving = seen.sightings.share > 0
    per_radian = -1000 * frame.stack.wavelength / (4 * math.pi)
    rates: list[list[float]] = [[] for _ in places]
    coherence: list[list[float]] = [[] for _ in places]
    for pair in seen.pairs:
        own = touched(places, seen.segments[pair], shape) if pair in seen.segments else set(range(len(places)))
        if not own:
            continue
        igram = frame.read(pair)
        for k in own:
            place = places[k]
            inside = igram[place.window.rows, place.window.columns][place.mask]
            phase = relative_phase(igram, place, moving)
            if inside.any():
                coherence[k].append(float(np.abs(inside[inside != 0]).mean()))
            if math.isfinite(phase):
                rates[k].append(per_radian * phase / pair.years)
    return rates, coherence


def _velocity(rates: Sequence[float]) -> tuple[float, float]:
    """Return the median of some velocities and its standard error, that of one NaN."""
    if not rates:
        return math.nan, math.nan
    middle = float(np.median(rates))
    if len(rates) < 2:
        return middle, math.nan
    spread = 1.4826 * float(np.median(np.abs(np.asarray(rates) - middle)))
    return middle, math.sqrt(math.pi / 2) * spread / math.sqrt(len(rates))


def _terrain(frame: Frame) -> SlopeAspect | None:
    """Return slope and aspect on the grid; None where the product brings no heights."""
    if frame.stack.read_height is None:
        return None
    rows, columns = frame.grid.shape
    height = frame.stack.read_height(Window(0, 0, rows * frame.looks.y, columns * frame.looks.x))
    height = average_known(height, frame.looks)
    if not np.isfinite(height).any():
        return None
    return slope_aspect(height, frame.grid, smoothing=_SLOPE_SMOOTHING, look=frame.stack.look)


def outlines_of(frame: Frame, seen: Seen, reporter: Reporter) -> list[Outline]:
    """Outline what each pair shows; what the grid cannot place is named and left out."""
    found = []
    for pair, segments in seen.segments.items():
        for segment in segments:
            try:
                polygon = outline(segment.mask, (segment.window.y, segment.window.x), frame.grid)
            except GroundshiftError as error:
                reporter.warn(f"{frame.stack.track}: an outline in {pair.name} left out: {error}")
                continue
            found.append(Outline(polygon, frame.stack.track, pair, segment.score))
    return found
