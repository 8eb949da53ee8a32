"""How well a network finds footprints and unwraps."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundshift.training.mining.samples import BowlSample
from groundshift.training.mining.tasks import Answer

__all__ = ["figures_of", "level_with", "overlap"]

_PROBABILITY = 0.5
_LEAST_COHERENCE = 0.15
"""Unwrapping is not judged where nothing could be seen."""


def overlap(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return how many pixels are right, found in all, and wanted in all."""
    return int((found & wanted).sum()), int(found.sum()), int(wanted.sum())


def level_with(
    phase: NDArray[np.floating], truth: NDArray[np.floating], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how far an unwrapped phase lies from the truth once the constant that suits most pixels is taken out.

    Radians; the constant is the median of the difference over `known` pixels.
    """
    off = np.asarray(phase, np.float64) - truth
    return off - np.median(off[known]) if known.any() else off


def figures_of(answers: Sequence[Answer], samples: Sequence[BowlSample]) -> dict[str, float]:
    """Judge answers: the first figure decides which weights are kept.

    *iou*, *precision*, *recall* are of the pixels of all footprints; *right* is the share of coherent pixels in bowls
    that are unwrapped to within pi. *score* is their mean, or the one there is.
    """
    counts = np.zeros(3)
    right = seen = 0
    for answer, sample in zip(answers, samples, strict=True):
        if answer.probability is not None:
            counts += overlap(
                (answer.probability >= _PROBABILITY) & sample.known, (sample.footprint > 0) & sample.known
            )
        if answer.phase is not None and np.isfinite(sample.phase).all():
            judged = sample.known & (sample.coherence > _LEAST_COHERENCE)
            off = np.abs(level_with(answer.phase, sample.phase, judged)) < math.pi
            inside = judged & (sample.footprint > 0)
            right, seen = right + int(off[inside].sum()), seen + int(inside.sum())
    figures: dict[str, float] = {}
    if counts[2]:
        common, found, wanted = counts
        figures |= {
            "iou": common / (found + wanted - common),
            "precision": common / max(found, 1),
            "recall": common / wanted,
        }
    if seen:
        figures["right"] = right / seen
    parts = [figures[name] for name in ("iou", "right") if name in figures]
    return {"score": float(np.mean(parts)) if parts else 0.0, **{name: float(value) for name, value in figures.items()}}
