"""How well masks of decorrelated ground agree with the truth.

What is looked for is decorrelated ground. Counts are added up over all interferograms before shares are taken, so that
one without any decorrelated ground counts too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.training.masks.samples import MaskSample

__all__ = ["BOUNDARY_PIXELS", "PROBABILITY", "boundary", "compared", "figures_of"]

PROBABILITY = 0.5
"""Of being coherent, from which on ground counts as coherent."""
BOUNDARY_PIXELS = 2
"""Distance within which boundaries agree."""


def figures_of(answers: Sequence[NDArray[np.float32]], samples: Sequence[MaskSample]) -> dict[str, float]:
    """Judge probabilities of being coherent; see `compared`."""
    return compared([answer >= PROBABILITY for answer in answers], samples)


def compared(masks: Sequence[NDArray[np.bool_]], samples: Sequence[MaskSample]) -> dict[str, float]:
    """Hold masks against the truth.

    Parameters
    ----------
    masks : sequence of (y, x) bool arrays
        True where the ground is said to be coherent.
    samples : sequence of MaskSample
        Pixels count where there are data and a truth.

    Returns
    -------
    dict
        *iou*, *f1*: of decorrelated pixels. *boundary_f1*: of the pixels on either side of a boundary between coherent
        and decorrelated ground, found right within 2 pixels. *lost*: share of the coherent pixels that are masked.
        *left*: share of the decorrelated ones that are not. All 0 to 1; an F1, IoU or share of nothing, where nothing
        is found either, is right: 1 or 0.
    """
    right = found = wanted = 0
    lost = coherent = 0
    edges = np.zeros(4, np.int64)
    for mask, sample in zip(masks, samples, strict=True):
        judged = sample.judged
        says, is_so = judged & ~mask, judged & (sample.usable == 0)
        right += int((says & is_so).sum())
        found += int(says.sum())
        wanted += int(is_so.sum())
        lost += int((says & ~is_so).sum())
        coherent += int((judged & ~is_so).sum())
        edges += _agreeing(boundary(says, judged), boundary(is_so, judged))
    return {
        "iou": right / (found + wanted - right) if found + wanted else 1.0,
        "f1": 2 * right / (found + wanted) if found + wanted else 1.0,
        "boundary_f1": _f1(*map(int, edges)),
        "lost": lost / max(coherent, 1),
        "left": (wanted - right) / max(wanted, 1),
    }


def boundary(mask: NDArray[np.bool_], judged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask that touch, by a side, a judged pixel that is not of it."""
    return mask & ndimage.binary_dilation(judged & ~mask)


def _agreeing(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Count found boundary pixels near wanted ones, all found ones, wanted ones near found ones, all wanted ones."""
    return _near(found, wanted), int(found.sum()), _near(wanted, found), int(wanted.sum())


def _near(these: NDArray[np.bool_], those: NDArray[np.bool_]) -> int:
    """Count pixels that lie within the tolerance of others."""
    if not (these.any() and those.any()):
        return 0
    return int((ndimage.distance_transform_edt(~those)[these] <= BOUNDARY_PIXELS).sum())


def _f1(hits: int, found: int, met: int, wanted: int) -> float:
    """Harmonic mean of precision hits / found and recall met / wanted."""
    if not found and not wanted:
        return 1.0
    if not hits or not met:
        return 0.0
    precision, recall = hits / found, met / wanted
    return 2 * precision * recall / (precision + recall)
