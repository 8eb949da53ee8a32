"""How well moving ground is outlined: by the measure of Bralet et al. (2024) as they coded it, and by a clean one.

The two are never to be mixed in a table. What the authors' code does, and their paper does not say: precision and
recall are averaged over images before F1 is made of them; the threshold that maximises F1 is chosen on the images that
are judged; their "Hausdorff distance", by the name of the routine an average one, is the largest distance of a border
from the other mask; their area under the curve is that of the last image alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

from groundshift.checks import check_shape

__all__ = ["CleanMetrics", "PaperMetrics", "auc_of", "clean_metrics", "figures_of", "paper_metrics"]

_THRESHOLDS = np.array([1 - k / 100 for k in range(101)])
"""In the order of the authors: from 1 down to 0."""
_EPSILON = 1e-13
_PROBABILITY = 0.5

Maps = Sequence[NDArray[np.floating]]
Masks = Sequence[NDArray[np.bool_]]


class PaperMetrics(NamedTuple):
    """What the code of Bralet et al. (2024) reports."""

    f1: float
    """Of precision and recall averaged over images."""
    auc: float
    """Of the last image, at 101 thresholds; NaN if its mask is all of one kind."""
    dice: float
    """Mean over images."""
    iou: float
    """Mean over images."""
    hd: float
    """Mean over images of the largest distance of a border from the other mask, pixels; images in which nothing is
    found, or nothing is to be found, are left out; NaN if that are all."""
    threshold: float
    """Probability above which all of this holds: that of the highest F1 on these very images."""


class CleanMetrics(NamedTuple):
    """The same names with the usual meaning, at a threshold that was fixed before."""

    f1: float
    """Of the pixels of all images together."""
    auc: float
    """Of the pixels of all images together; NaN if they are all of one kind."""
    dice: float
    """Mean over images; 1 where nothing is to be found and nothing is found."""
    iou: float
    """Mean over images; likewise."""
    hd95: float
    """Mean over images of the 95th percentile of the distances between the borders, the larger of both directions, in
    pixels; the diagonal of the image where only one of the masks is empty, 0 where both are."""
    threshold: float


def paper_metrics(probabilities: Maps, masks: Masks) -> PaperMetrics:
    """Judge as the code of Bralet et al. (2024) does.

    Parameters
    ----------
    probabilities : sequence of (y, x) float arrays
        0 to 1.
    masks : sequence of (y, x) bool arrays
        Of the same shapes; the authors use only images whose mask shows motion.

    Raises
    ------
    ValueError
        If there are none, or shapes differ.

    Notes
    -----
    Found is what exceeds the threshold. The authors draw the images in random order, so that their last image is any;
    here it is the last one given.
    """
    _check(probabilities, masks)
    scores = np.zeros((4, len(_THRESHOLDS)))
    for probability, mask in zip(probabilities, masks, strict=True):
        common, found, wanted = _counts(probability, mask)
        scores += (
            common / (found + _EPSILON),
            common / (wanted + _EPSILON),
            np.divide(2 * common, found + wanted, out=np.ones_like(common), where=found + wanted > 0),
            common / (found + wanted - common + _EPSILON),
        )
    precision, recall, dice, iou = scores / len(masks)
    f1 = 2 * precision * recall / (precision + recall + 1e-20)
    best = int(np.argmax(f1))
    threshold = float(_THRESHOLDS[best])
    distances = [_largest_distance(p > threshold, m) for p, m in zip(probabilities, masks, strict=True)]
    told = [d for d in distances if math.isfinite(d)]
    return PaperMetrics(
        float(f1[best]), _binned_auc(probabilities[-1], masks[-1]), float(dice[best]), float(iou[best]),
        float(np.mean(told)) if told else math.nan, threshold,
    )  # fmt: skip


def clean_metrics(probabilities: Maps, masks: Masks, threshold: float = _PROBABILITY) -> CleanMetrics:
    """Judge by the usual measures.

    Parameters
    ----------
    probabilities : sequence of (y, x) float arrays
        0 to 1.
    masks : sequence of (y, x) bool arrays
        Of the same shapes; may be empty.
    threshold : float
        Found is what is at least as likely. Not to be chosen on these images.

    Raises
    ------
    ValueError
        If there are none, or shapes differ.
    """
    _check(probabilities, masks)
    sums = np.zeros(3)
    rows = []
    for probability, mask in zip(probabilities, masks, strict=True):
        seen = np.asarray(probability >= threshold)
        common, found, wanted = counts = np.array([(seen & mask).sum(), seen.sum(), mask.sum()], np.float64)
        sums += counts
        both = found + wanted
        rows.append((
            2 * common / both if both else 1.0, common / (both - common) if both else 1.0, _distance_95(seen, mask),
        ))  # fmt: skip
    dice, iou, distance = np.mean(rows, axis=0)
    f1 = 2 * sums[0] / (sums[1] + sums[2]) if sums[1] + sums[2] else 1.0
    pooled = (np.concatenate([np.ravel(m) for m in maps]) for maps in (probabilities, masks))
    return CleanMetrics(float(f1), auc_of(*pooled), float(dice), float(iou), float(distance), threshold)


def auc_of(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return the probability that a random true pixel scores higher than a random false one; NaN without either.

    Parameters
    ----------
    scores, truth : (n,) arrays
        Equal scores count as half.
    """
    right = int(truth.sum())
    if not 0 < right < truth.size:
        return math.nan
    ranks = float(rankdata(scores)[truth].sum())
    return (ranks - right * (right + 1) / 2) / (right * (truth.size - right))


def figures_of(answers: Sequence[NDArray[np.float32]], samples: Sequence[object]) -> dict[str, float]:
    """Judge answers beside samples with a `mask` and what is `known`: the first figure decides which weights are kept.

    *f1*, *iou* and *dice* are those of `clean_metrics`, at the probability of a half and where there are data. None
    without samples.
    """
    if not samples:
        return {}
    known = [np.asarray(getattr(s, "known")) for s in samples]  # noqa: B009  (samples of two kinds)
    masks = [(np.asarray(getattr(s, "mask")) > 0) & k for s, k in zip(samples, known, strict=True)]  # noqa: B009
    found = clean_metrics([np.where(k, a, 0) for a, k in zip(answers, known, strict=True)], masks)
    return {"f1": found.f1, "iou": found.iou, "dice": found.dice}


def _check(probabilities: Maps, masks: Masks) -> None:
    """Raise ValueError unless there is something to judge."""
    if not masks or len(masks) != len(probabilities):
        raise ValueError(
            f"expected as many masks as maps, at least one, instead got {len(masks)} and {len(probabilities)}"
        )
    for probability, mask in zip(probabilities, masks, strict=True):
        check_shape("mask", mask, probability.shape)


def _counts(
    probability: NDArray[np.floating], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return how many pixels are found rightly, and in all, above each threshold; and how many are to be found."""
    order = np.sort(probability, axis=None)
    inside = np.sort(probability[mask])
    found = order.size - np.searchsorted(order, _THRESHOLDS, side="right")
    common = inside.size - np.searchsorted(inside, _THRESHOLDS, side="right")
    return common.astype(np.float64), found.astype(np.float64), float(inside.size)


def _binned_auc(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """Return the area under the curve through the points of all thresholds; found is what is at least as likely."""
    right = int(mask.sum())
    if not 0 < right < mask.size:
        return math.nan
    seen = [probability >= t for t in _THRESHOLDS]
    hits = np.array([float((s & mask).sum()) for s in seen]) / right
    false = np.array([float((s & ~mask).sum()) for s in seen]) / (mask.size - right)
    return float(np.trapezoid(hits, false))


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask with one of four neighbours outside, beyond the edge counts as outside."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _largest_distance(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Return the largest distance of a pixel of either border from the other mask; NaN if either mask is empty."""
    if not found.any() or not wanted.any():
        return math.nan
    pairs = ((found, wanted), (wanted, found))
    return max(float(ndimage.distance_transform_edt(~other)[_border(mask)].max()) for mask, other in pairs)


def _distance_95(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Return the 95th percentile of the distances between borders, the larger of both directions."""
    if not found.any() and not wanted.any():
        return 0.0
    if not found.any() or not wanted.any():
        return math.hypot(*found.shape)
    one, other = _border(found), _border(wanted)
    pairs = ((one, other), (other, one))
    return max(float(np.quantile(ndimage.distance_transform_edt(~b)[a], 0.95)) for a, b in pairs)
