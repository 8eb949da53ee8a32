"""From the boxes of a network to predictions: the best of those that overlap, and one of both gradients.

Networks answer with a box at every node, and find the same landslide in the gradient along azimuth and in that along
range. Fu et al. (2022), section 4.3, merge two detections if their GIoU (their Equation 2) is larger than zero.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_within
from groundshift.detect.prediction import Prediction

__all__ = ["cut_at_edges", "decode_boxes", "giou", "merge_directions"]


def giou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return the generalised IoU of each box of one set with each of another (Fu et al. (2022), Equation 2).

    GIoU = IoU - C / U, with U the area of the box that encloses both and C what of it neither covers.

    Parameters
    ----------
    a : (n, 4) array
        x0, y0, x1, y1.
    b : (m, 4) array

    Returns
    -------
    (n, m) array
        -1, far apart, to 1, equal.
    """
    first, second = _rows(a)[:, np.newaxis], _rows(b)
    iou, union = _overlap(first, second)
    low, high = np.minimum(first[..., :2], second[..., :2]), np.maximum(first[..., 2:], second[..., 2:])
    around = (high - low).prod(-1)
    return np.asarray(iou - np.divide(around - union, around, out=np.zeros_like(iou), where=around > 0), np.float64)


def decode_boxes(
    boxes: ArrayLike, scores: ArrayLike, *, least_score: float = 0.05, iou: float = 0.45
) -> list[Prediction]:
    """Keep the best of the boxes that overlap (greedy non-maximum suppression).

    Parameters
    ----------
    boxes : (M, 4) array
        x0, y0, x1, y1 in nodes, outer edges.
    scores : (M,) array
        0 to 1; NaN is never kept.
    least_score : float
        Boxes that score less are left out.
    iou : float
        A box is left out if it overlaps a better one by more than this.

    Returns
    -------
    list of Prediction
        Without masks, the highest score first.

    Raises
    ------
    ValueError
        If the arrays do not have these shapes, or a threshold does not lie in [0, 1].
    """
    check_within("least_score", least_score, 0, 1)
    check_within("iou", iou, 0, 1)
    places, marks = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
    if places.ndim != 2 or places.shape[1] != 4 or marks.shape != places.shape[:1]:
        raise ValueError(f"boxes must have shape (M, 4) and scores (M,), instead got {places.shape} and {marks.shape}")
    good = np.flatnonzero((marks >= least_score) & np.isfinite(places).all(1))
    left = good[np.argsort(-marks[good], kind="stable")]
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(_prediction(places[best], marks[best]))
        left = left[_overlap(places[best], places[left])[0] <= iou]
    return kept


def cut_at_edges(found: Sequence[Prediction], shape: tuple[int, ...]) -> list[Prediction]:
    """Cut boxes at the edges of a map of `shape` nodes; those wholly beyond are dropped."""
    cut = []
    for p in found:
        x0, y0, x1, y1 = max(p.box[0], 0.0), max(p.box[1], 0.0), min(p.box[2], shape[1]), min(p.box[3], shape[0])
        if x1 > x0 and y1 > y0:
            cut.append(p._replace(box=(x0, y0, float(x1), float(y1))))
    return cut


def merge_directions(a: Sequence[Prediction], b: Sequence[Prediction]) -> list[Prediction]:
    """Merge what was found in the gradients along both directions.

    Of all pairs of one prediction each whose GIoU is larger than zero, the pair with the highest is merged first, and
    no prediction is merged twice: neighbours that the network told apart stay apart. A merged pair is the box that
    encloses both, with the higher score, without a mask. All others stay as they are.

    Parameters
    ----------
    a : sequence of Prediction
        Found along one direction.
    b : sequence of Prediction
        Found along the other.

    Returns
    -------
    list of Prediction
        The highest score first. The same whichever direction comes first.
    """
    overlap = giou([p.box for p in a], [p.box for p in b])
    pairs = sorted(
        np.argwhere(overlap > 0).tolist(),
        key=lambda pair: (-overlap[pair[0], pair[1]], sorted((a[pair[0]].box, b[pair[1]].box))),
    )
    free_a, free_b = set(range(len(a))), set(range(len(b)))
    found = []
    for i, j in pairs:
        if i in free_a and j in free_b:
            free_a.remove(i)
            free_b.remove(j)
            low, high = np.minimum(a[i].box, b[j].box), np.maximum(a[i].box, b[j].box)
            found.append(_prediction(np.concatenate([low[:2], high[2:]]), max(a[i].score, b[j].score)))
    found += [a[i] for i in sorted(free_a)] + [b[j] for j in sorted(free_b)]
    return sorted(found, key=lambda p: (-p.score, p.box))


def _rows(boxes: ArrayLike) -> NDArray[np.float64]:
    """Boxes as an array (n, 4), n zero for an empty list."""
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """IoU and united area of boxes (..., 4); IoU is zero where there is no area."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), union


def _prediction(box: NDArray[np.float64], score: float) -> Prediction:
    """Make a prediction of plain numbers."""
    x0, y0, x1, y1 = map(float, box)
    return Prediction((x0, y0, x1, y1), float(score))
