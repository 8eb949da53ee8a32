"""How well fringes are told apart: recall, precision and break-even point, as in Tables 6 and 7 of [Kamiyama2018]_."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.training.fringes.patches import FringeSample

__all__ = ["Counts", "break_even", "class_weights", "count_windows", "figures_of"]

_THRESHOLDS = np.arange(101) / 100


class Counts(NamedTuple):
    """Right and wrong answers, whole or weighted."""

    tp: float
    fn: float
    fp: float

    @property
    def recall(self) -> float:
        """Share of what is there that is found, 0 to 1; NaN where nothing is there."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def precision(self) -> float:
        """Share of what is found that is there, 0 to 1; NaN where nothing is found."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")


def class_weights(positive: NDArray[np.bool_], *, equal: bool) -> NDArray[np.float64]:
    """Return what each window counts.

    Parameters
    ----------
    positive : (n,) bool array
    equal : bool
        Weigh each class to half of all windows, as the paper does: 9 candidates among 1,009 windows count 504.5
        together. False: each window counts once.

    Examples
    --------
    >>> class_weights(np.array([True, False, False, False]), equal=True).round(3)
    array([2.   , 0.667, 0.667, 0.667])
    """
    if not equal:
        return np.ones(positive.shape)
    some = {True: max(int(positive.sum()), 1), False: max(int((~positive).sum()), 1)}
    return np.where(positive, positive.size / 2 / some[True], positive.size / 2 / some[False])


def count_windows(scores: ArrayLike, positive: NDArray[np.bool_], *, equal: bool, threshold: float = 0.5) -> Counts:
    """Count windows, those of `threshold` or more as found; weights as of `class_weights`."""
    weight = class_weights(positive, equal=equal)
    found = np.asarray(scores) >= threshold
    return Counts(
        float(weight[found & positive].sum()), float(weight[~found & positive].sum()),
        float(weight[found & ~positive].sum()),
    )  # fmt: skip


def break_even(scores: ArrayLike, positive: NDArray[np.bool_], *, equal: bool) -> float:
    """Return the break-even point: precision where it equals recall, as the threshold is raised by 0.01.

    Parameters
    ----------
    scores : (n,) array
        0 to 1.
    positive : (n,) bool array
    equal : bool
        As of `class_weights`.

    Returns
    -------
    float
        Precision at the first threshold at which both are equal; else the mean of the two precisions around the first
        one at which precision exceeds recall. Where nothing is found there is no precision, and the last one counts.
        NaN without a window of either class.

    References
    ----------
    [Kamiyama2018]_, section 2.5.
    """
    if positive.all() or not positive.any():
        return float("nan")
    before = float("nan")
    for threshold in _THRESHOLDS:
        counts = count_windows(scores, positive, equal=equal, threshold=float(threshold))
        if not counts.tp + counts.fp:
            break
        if counts.recall <= counts.precision:
            # At a threshold of 0 all is found: recall is 1, and precision is not above it.
            return counts.precision if counts.recall == counts.precision else (before + counts.precision) / 2
        before = counts.precision
    return before


def figures_of(answers: Sequence[float], samples: Sequence[FringeSample]) -> dict[str, float]:
    """Judge answers on windows that count once each; the first figure decides which weights are kept."""
    positive = np.array([s.positive for s in samples], np.bool_)
    if positive.all() or not positive.any():
        return {}
    counts = count_windows(answers, positive, equal=False)
    precision = counts.precision if counts.tp + counts.fp else 0.0
    return {"bep": break_even(answers, positive, equal=False), "recall": counts.recall, "precision": precision}
