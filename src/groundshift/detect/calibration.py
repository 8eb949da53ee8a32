"""What a detector's score is worth: from a raw score to the probability of being right.

A network's score ranks well but is seldom a probability. Platt (1999), "Probabilistic outputs for support vector
machines", fits a logistic curve to scores whose truth is known; here it acts on the score's log-odds, so that slope 1
and intercept 0 leave a score as it is.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.errors import NoDataError

__all__ = ["calibrated", "fit_calibration"]

_CLOSEST = 1e-6
"""Scores are kept this far from 0 and 1, where log-odds are infinite."""

_MOST_ITERATIONS = 100


def calibrated(score: ArrayLike, slope: float, intercept: float) -> NDArray[np.float64]:
    """Return the probability of being right.

    Parameters
    ----------
    score : array_like
        Raw scores, 0 to 1, of any shape.
    slope, intercept : float
        As `fit_calibration` returns them.

    Returns
    -------
    float64 array
        Of the shape of `score`, 0 to 1: ``1 / (1 + exp(-(slope * log(score / (1 - score)) + intercept)))``.

    Examples
    --------
    >>> float(calibrated(0.25, 1.0, 0.0))
    0.25
    """
    return _logistic(slope * _log_odds(score) + intercept)


def fit_calibration(scores: ArrayLike, right: ArrayLike) -> tuple[float, float]:
    """Fit the logistic curve of `calibrated` by maximum likelihood.

    Parameters
    ----------
    scores : (n,) array_like of float
        Raw scores, 0 to 1.
    right : (n,) array_like of bool
        Whether the prediction was right.

    Returns
    -------
    slope, intercept : float

    Raises
    ------
    NoDataError
        If there is no score.
    ValueError
        If there are not as many marks as scores.

    Notes
    -----
    As in Platt (1999), section 2.2, the right ones aim at (n_right + 1) / (n_right + 2) and the wrong ones at
    1 / (n_wrong + 2), so that the curve stays finite even where the scores part the two without error. Newton's method;
    a step that does not raise the likelihood is halved.
    """
    x, marks = _log_odds(scores).ravel(), np.asarray(right, bool).ravel()
    if x.size != marks.size:
        raise ValueError(f"right must have as many values as scores, {x.size}, instead got {marks.size}")
    if x.size == 0:
        raise NoDataError("there is no score to calibrate; judge more samples, or lower the least score")
    hits = int(marks.sum())
    aim = np.where(marks, (hits + 1) / (hits + 2), 1 / (x.size - hits + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    found = np.array([1.0, 0.0])
    loss = _loss(design @ found, aim)
    for _ in range(_MOST_ITERATIONS):
        p = _logistic(design @ found)
        uphill = design.T @ (aim - p)
        curvature = (design * (p * (1 - p))[:, np.newaxis]).T @ design
        # Of least norm, so that scores that are all alike leave the slope where it was.
        step = np.linalg.lstsq(curvature, uphill, rcond=1e-12)[0]
        while (fresh := _loss(design @ (found + step), aim)) > loss and np.abs(step).max() > 1e-12:
            step /= 2
        if fresh >= loss:
            break
        found, loss = found + step, fresh
    return float(found[0]), float(found[1])


def _log_odds(score: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p))."""
    p = np.clip(np.asarray(score, np.float64), _CLOSEST, 1 - _CLOSEST)
    return np.asarray(np.log(p) - np.log1p(-p))


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float64)


def _loss(x: NDArray[np.float64], aim: NDArray[np.float64]) -> float:
    """Return the negative log-likelihood of log-odds `x`."""
    return float((np.logaddexp(0, x) - aim * x).sum())
