"""How good predictions are: the numbers drawn from what was right and what was not.

Average precision is that of COCO (Lin et al. (2014), "Microsoft COCO", and its evaluation code): predictions of all
maps in falling order of their scores, precision made monotonous and averaged over 101 recalls. Intervals come from
drawing whole scenes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_positive, check_within

__all__ = [
    "MAP_CONFIDENCES",
    "Curve",
    "Point",
    "Ranking",
    "Reliability",
    "average_precision",
    "best_confidence",
    "bootstrap",
    "confidence_averages",
    "curve",
    "points",
    "reliability",
]

MAP_CONFIDENCES = tuple(k / 10 for k in range(1, 11))
"""The ten confidences of the mean average precision of Fu et al. (2022)."""

_RECALLS = np.linspace(0, 1, 101)


class Point(NamedTuple):
    """What a detector does if only predictions of some confidence are looked at; NaN where there is nothing to say."""

    confidence: float
    precision: float
    """Share of the predictions that are right."""
    recall: float
    """Share of the bodies that are found."""
    f1: float
    """Harmonic mean of both."""
    false_per_1000_km2: float
    """Wrong predictions on as much ground."""


class Curve(NamedTuple):
    """Precision and recall over confidence, each (k,)."""

    confidence: NDArray[np.float64]
    """Falling."""
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


class Reliability(NamedTuple):
    """Scores held against the share that is right, in bins of equal width of the score; empty bins are NaN."""

    score: NDArray[np.float64]
    """(bin,): mean score."""
    right: NDArray[np.float64]
    """(bin,): share of right predictions."""
    predictions: NDArray[np.intp]
    """(bin,)"""
    error: float
    """Expected calibration error: mean distance of the two, each bin weighing as much as it holds."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Judged predictions in falling order of score, neutral ones left out, and the bodies they are judged by."""

    score: NDArray[np.float64]
    """(n,)"""
    right: NDArray[np.bool_]
    """(n,)"""
    scene: NDArray[np.intp]
    """(n,): the scene it lies in, counted from 0."""
    found_at: NDArray[np.float64]
    """(m,): the highest score of a prediction that is right about the body; -1 if none is."""
    body_scene: NDArray[np.intp]
    """(m,)"""
    area_km2: NDArray[np.float64]
    """(scene,): ground judged in each scene; a map of another time window counts again."""

    def weight(self, scenes: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """(n,): how often each prediction counts if each scene counts that often."""
        return np.ones(self.score.size) if scenes is None else np.asarray(scenes, np.float64)[self.scene]

    def area(self, scenes: NDArray[np.float64] | None) -> float:
        """Ground judged, km2, if each scene counts that often."""
        return float(self.area_km2.sum() if scenes is None else self.area_km2 @ scenes)

    def body_weight(self, scenes: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """(m,): how often each body counts."""
        return np.ones(self.found_at.size) if scenes is None else np.asarray(scenes, np.float64)[self.body_scene]


def average_precision(ranking: Ranking, scenes: NDArray[np.float64] | None = None) -> float:
    """Return the average precision of COCO.

    Parameters
    ----------
    ranking : Ranking
        Of a rule by which each body is found at most once.
    scenes : (scene,) float array, optional
        How often each scene counts; once by default.

    Returns
    -------
    float
        0 to 1; NaN without bodies.
    """
    bodies = ranking.body_weight(scenes).sum()
    if bodies == 0:
        return math.nan
    # Precision is highest, and recall grows, only where a prediction is right.
    at = np.flatnonzero(ranking.right)
    weight = ranking.weight(scenes)
    right = np.cumsum(weight[at])
    precision = right / np.maximum(np.cumsum(weight)[at], 1e-12)
    monotonous = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(monotonous[np.searchsorted(right / bodies, _RECALLS, side="left")].mean())


def points(ranking: Ranking, confidences: Sequence[float], scenes: NDArray[np.float64] | None = None) -> list[Point]:
    """Return precision and recall of the predictions that score at least so much.

    Parameters
    ----------
    ranking : Ranking
    confidences : sequence of float
        0 takes all predictions, NaN none.
    scenes : (scene,) float array, optional
        How often each scene counts; once by default.
    """
    least = np.array(confidences, np.float64)
    taken = np.where(np.isnan(least), 0, np.searchsorted(-ranking.score, -least, side="right"))
    weight, body_weight = ranking.weight(scenes), ranking.body_weight(scenes)
    area, bodies = ranking.area(scenes), float(body_weight.sum())
    every = np.append(0.0, np.cumsum(weight))[taken]
    right = np.append(0.0, np.cumsum(weight * ranking.right))[taken]
    found = [float(body_weight[ranking.found_at >= c].sum()) for c in least]
    return [_point(*each, bodies, area) for each in zip(confidences, every, right, found, strict=True)]


def confidence_averages(ranking: Ranking, scenes: NDArray[np.float64] | None = None) -> tuple[float, float]:
    """Return two readings of the mean average precision of Fu et al. (2022), Table 2.

    The paper averages precision over "ten confidence scores from 0.1 to 1" and leaves the weights open.

    Returns
    -------
    mean : float
        Plain mean of the precisions P(c), 0 where nothing is detected: `ap_conf10_mean`, the paper-like figure.
    by_recall : float
        Each weighted with the recall that its confidence adds, sum of P(c_i) [R(c_i) - R(c_{i+1})]:
        `ap_conf10_recall`. Both are NaN without bodies.
    """
    found = points(ranking, MAP_CONFIDENCES, scenes)
    precision = np.nan_to_num([p.precision for p in found])
    recall = np.array([p.recall for p in found])
    if np.isnan(recall).any():
        return math.nan, math.nan
    return float(precision.mean()), float(precision @ -np.diff(recall, append=0.0))


def curve(ranking: Ranking) -> Curve:
    """Return precision and recall at each confidence that changes them.

    Returns
    -------
    Curve
        Empty without predictions; recall is NaN without bodies.
    """
    n, m = ranking.score.size, ranking.found_at.size
    last = np.flatnonzero(np.diff(ranking.score, append=-np.inf) < 0)
    precision = np.cumsum(ranking.right)[last] / (last + 1) if n else np.zeros(0)
    confidence = ranking.score[last]
    found = m - np.searchsorted(np.sort(ranking.found_at), confidence, side="left")
    return Curve(confidence, precision, found / m if m else np.full(confidence.size, np.nan))


def best_confidence(ranking: Ranking) -> float:
    """Return the confidence of highest F1, the higher of two; NaN if no prediction is right."""
    confidence, precision, recall = curve(ranking)
    if not confidence.size or not ranking.found_at.size or not precision.any():
        return math.nan
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(confidence[f1.argmax()])


def reliability(score: NDArray[np.float64], right: NDArray[np.bool_], *, bins: int = 10) -> Reliability:
    """Hold scores against the share that is right.

    Parameters
    ----------
    score : (n,) float array
        0 to 1.
    right : (n,) bool array
    bins : int
        Number of bins of equal width.

    Returns
    -------
    Reliability
        Its error is the expected calibration error of Naeini et al. (2015), "Obtaining well calibrated probabilities
        using Bayesian binning"; NaN without predictions.
    """
    check_positive("bins", bins)
    place = np.clip((np.asarray(score) * bins).astype(np.intp), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=score, minlength=bins) / count
        share = np.bincount(place, weights=right, minlength=bins) / count
    error = float(np.nansum(count * np.abs(mean - share)) / count.sum()) if count.sum() else math.nan
    return Reliability(mean, share, count, error)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], dict[str, float]],
    scenes: int,
    *,
    draws: int,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Return confidence intervals by drawing whole scenes with replacement.

    Maps of one scene share its ground and its weather, so that only scenes are independent.

    Parameters
    ----------
    statistic : function
        From how often each scene counts, (scene,), to named numbers.
    scenes : int
        Number of scenes.
    draws : int
        Number of draws; 0 gives no interval.
    seed : int
    level : float
        Share of the draws inside the interval.

    Returns
    -------
    dict
        Low and high end by name, NaN where no draw gives a number. Empty with fewer than two scenes or without draws.
    """
    check_within("level", level, 0, 1)
    if scenes < 2 or draws < 1:
        return {}
    rng = np.random.default_rng(seed)
    taken = [np.bincount(rng.integers(0, scenes, scenes), minlength=scenes).astype(np.float64) for _ in range(draws)]
    found = [statistic(weight) for weight in taken]
    ends: dict[str, tuple[float, float]] = {}
    for name in found[0]:
        values = np.array([one[name] for one in found])
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) if values.size else (np.nan, np.nan)
        ends[name] = (float(low), float(high))
    return ends


def _point(confidence: float, every: float, right: float, found: float, bodies: float, area: float) -> Point:
    """Return a point from counts of predictions and of bodies, and km2."""
    precision, recall = _ratio(right, every), _ratio(found, bodies)
    f1 = 0.0 if right == 0 else 2 * precision * recall / (precision + recall)
    return Point(
        confidence, precision, recall, math.nan if bodies == 0 else f1, _ratio(1000 * (every - right), area)
    )  # fmt: skip


def _ratio(part: float, whole: float) -> float:
    """Return a share, NaN of nothing."""
    return float(part / whole) if whole > 0 else math.nan
