"""What matches what: the predictions of one map held against its bodies.

By intersection over union it goes as in COCO (Lin et al. (2014), "Microsoft COCO", and its evaluation code):
predictions in falling order of their scores, each taking the free body it overlaps most if the overlap reaches a
threshold; a second prediction of one body is wrong. A field crew asks less of an outline, so *hits* are marked as well:
a prediction is right if it covers a fifth of a body or lies half inside one. What lies on ground that is not to be
judged counts neither way.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.detect.prediction import Prediction
from groundshift.training.samples import IGNORED, boxes_of

__all__ = ["IOU_THRESHOLDS", "Marks", "SampleMarks", "box_iou", "mark"]

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
"""Of AP50:95; the first is that of AP50."""

_COVERED = 0.2
"""A hit covers at least this share of a body..."""
_INSIDE = 0.5
"""... or has at least this share of its own nodes in it."""
_NEUTRAL = 0.5
"""What has more than this share of its nodes on ignored ground counts neither way."""
_NEVER = -1.0


class Marks(NamedTuple):
    """Which predictions of one map are right by one rule."""

    truth: NDArray[np.intp]
    """(n,): the body a prediction is right about, counted from 0 in the order of labels; -1 if about none."""
    neutral: NDArray[np.bool_]
    """(n,): wrong, but on ground that is not to be judged."""
    found_at: NDArray[np.float64]
    """(m,): the highest score of a prediction that is right about the body; -1 if none is."""


class SampleMarks(NamedTuple):
    """All marks of one map."""

    boxes: tuple[Marks, ...]
    """By intersection over union of boxes, one for each of `IOU_THRESHOLDS`."""
    masks: tuple[Marks, ...] | None
    """The same of masks; None if a prediction has none."""
    hits: Marks


def mark(labels: NDArray[np.uint8], predictions: Sequence[Prediction]) -> SampleMarks:
    """Match the predictions of one map with its bodies by all rules.

    Parameters
    ----------
    labels : (y, x) uint8 array
        As in `Sample.labels`: 0 quiet ground, k the k-th body, `IGNORED` what is not to be judged.
    predictions : sequence of Prediction
        In any order.

    Raises
    ------
    ValueError
        If a mask has another size than its box.

    Notes
    -----
    A wrong prediction is neutral if more than half of its nodes are ignored ones; by boxes also if its box overlaps
    that of a connected ignored region as it would have to overlap a body's.
    """
    score = np.array([p.score for p in predictions], np.float64)
    truths = boxes_of(labels)
    keys = np.array(list(truths), np.intp)
    boxes = np.array([p.box for p in predictions], np.float64).reshape(-1, 4)
    iou = box_iou(boxes, np.array(list(truths.values()), np.float64).reshape(-1, 4))
    ignored_iou = box_iou(boxes, _ignored_boxes(labels)).max(axis=1, initial=0)
    counts = np.stack([_nodes(labels, p) for p in predictions]) if predictions else np.zeros((0, 256), np.intp)
    area = counts.sum(axis=1)
    on_ignored = counts[:, IGNORED] > _NEUTRAL * area
    by_boxes = tuple(_match(iou, on_ignored | (ignored_iou >= t), score, t) for t in IOU_THRESHOLDS)

    inside = counts[:, keys]
    body_area = np.bincount(labels.ravel(), minlength=256)[keys]
    union = area[:, np.newaxis] + body_area - inside
    by_masks = None
    if all(p.mask is not None for p in predictions):
        mask_iou = inside / np.maximum(union, 1)
        by_masks = tuple(_match(mask_iou, on_ignored, score, t) for t in IOU_THRESHOLDS)

    hit = (inside > 0) & ((inside >= _COVERED * body_area) | (inside >= _INSIDE * area[:, np.newaxis]))
    about = np.where(hit, inside, 0).argmax(axis=1) if keys.size else np.zeros(score.size, np.intp)
    truth = np.where(hit.any(axis=1), about, -1)
    found_at = np.where(hit, score[:, np.newaxis], _NEVER).max(axis=0, initial=_NEVER)
    return SampleMarks(by_boxes, by_masks, Marks(truth, on_ignored & (truth < 0), found_at))


def box_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of boxes.

    Parameters
    ----------
    a : (n, 4) float array
        x0, y0, x1, y1.
    b : (m, 4) float array

    Returns
    -------
    (n, m) float64 array
        0 to 1; 0 where both are empty.

    Examples
    --------
    >>> box_iou(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0]])).round(3)
    array([[0.333]])
    """
    low = np.maximum(a[:, np.newaxis, :2], b[:, :2])
    high = np.minimum(a[:, np.newaxis, 2:], b[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1)[:, np.newaxis] + (b[:, 2:] - b[:, :2]).prod(axis=1) - common
    return np.asarray(np.where(union > 0, common / np.where(union > 0, union, 1), 0))


def _match(iou: NDArray[np.float64], ignored: NDArray[np.bool_], score: NDArray[np.float64], threshold: float) -> Marks:
    """Give each prediction, high score first, the free body it overlaps most."""
    truth = np.full(score.size, -1, np.intp)
    found_at = np.full(iou.shape[1], _NEVER)
    free = iou.copy()
    for k in np.argsort(-score, kind="stable") if iou.shape[1] else ():
        best = int(free[k].argmax())
        if free[k, best] >= threshold:
            truth[k], found_at[best] = best, score[k]
            free[:, best] = -1
    return Marks(truth, ignored & (truth < 0), found_at)


def _nodes(labels: NDArray[np.uint8], prediction: Prediction) -> NDArray[np.intp]:
    """Count the nodes of each label under a prediction, (256,); of a box those whose centres it holds."""
    x0, y0, x1, y1 = prediction.box
    if prediction.mask is None:
        left, top, right, bottom = (math.ceil(edge - 0.5) for edge in prediction.box)
        under = labels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        return np.bincount(under.ravel(), minlength=256)
    left, top = round(x0), round(y0)
    if prediction.mask.shape != (round(y1) - top, round(x1) - left):
        raise ValueError(f"mask must have the shape of its box {prediction.box}, instead got {prediction.mask.shape}")
    under = labels[max(top, 0) : max(round(y1), 0), max(left, 0) : max(round(x1), 0)]
    inside = prediction.mask[max(-top, 0) :, max(-left, 0) :][: under.shape[0], : under.shape[1]]
    return np.bincount(under[inside], minlength=256)


def _ignored_boxes(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the boxes of the connected ignored regions, (k, 4)."""
    parts = ndimage.find_objects(ndimage.label(labels == IGNORED)[0])
    edges = [(x.start, y.start, x.stop, y.stop) for y, x in parts]
    return np.array(edges, np.float64).reshape(-1, 4)
