"""Anchors: the box sizes that a YOLO network starts from, clustered from the boxes it is to learn.

Fu et al. (2022), section 4.4, cluster width and height by k-means. The distance of two sizes is 1 - IoU of boxes of
these sizes around one centre, so that large boxes do not count for more than small ones.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PAPER_ANCHORS", "cluster_anchors", "mean_best_overlap", "size_overlap"]

PAPER_ANCHORS = ((19, 17), (14, 24), (16, 25), (21, 23), (19, 32), (28, 22), (24, 29), (33, 35), (50, 48))
"""Widths and heights of Fu et al. (2022), Table 1, in pixels of about 40 m, by area; three each for maps of 1/8, 1/16
and 1/32 of the input."""

_RESTARTS = 10
_MOST_ROUNDS = 300


def size_overlap(sizes: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of boxes of these sizes around one centre.

    Parameters
    ----------
    sizes : (n, 2) array
        Widths and heights, positive.
    anchors : (k, 2) array

    Returns
    -------
    (n, k) array
        In (0, 1].
    """
    shared = np.minimum(sizes[:, np.newaxis], anchors).prod(-1)
    return np.asarray(shared / (sizes.prod(-1)[:, np.newaxis] + anchors.prod(-1) - shared), np.float64)


def mean_best_overlap(sizes: ArrayLike, anchors: ArrayLike) -> float:
    """Return the mean IoU of boxes with the anchor that suits each best: how well the anchors fit the boxes.

    Parameters
    ----------
    sizes : (n, 2) array
        Widths and heights, positive.
    anchors : (k, 2) array
    """
    return float(size_overlap(np.asarray(sizes, np.float64), np.asarray(anchors, np.float64)).max(1).mean())


def cluster_anchors(sizes: ArrayLike, count: int = 9, *, seed: int = 0) -> NDArray[np.float64]:
    """Cluster the sizes of boxes by k-means with the distance 1 - IoU and medians for centres.

    Of ten starts, spread out as by k-means++, the one with the highest mean IoU is kept.

    Parameters
    ----------
    sizes : (n, 2) array
        Widths and heights of all boxes, pixels, positive.
    count : int
        Number of anchors.
    seed : int
        Of the starts.

    Returns
    -------
    (count, 2) array
        Widths and heights, sorted by area.

    Raises
    ------
    ValueError
        If the sizes are no such array, or fewer than `count` of them are distinct.

    Examples
    --------
    >>> cluster_anchors([[10, 10], [11, 10], [12, 10], [40, 20]], 2)
    array([[11., 10.], [40., 20.]])
    """
    given = np.asarray(sizes, np.float64)
    if given.ndim != 2 or given.shape[1] != 2 or not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(
            f"sizes must be positive widths and heights of shape (n, 2), instead got shape {given.shape}; leave out "
            "boxes without area"
        )
    distinct = np.unique(given, axis=0)
    if not 1 <= count <= len(distinct):
        raise ValueError(
            f"count must lie between 1 and the number of distinct box sizes, {len(distinct)}, instead got {count}; "
            "give more boxes or take the published anchors"
        )
    rng = np.random.default_rng(seed)
    found = max(
        (_cluster(given, _spread(distinct, count, rng)) for _ in range(_RESTARTS)),
        key=lambda anchors: mean_best_overlap(given, anchors),
    )
    return found[np.lexsort((found[:, 0], found.prod(1)))]


def _spread(distinct: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw starting sizes, each the likelier the less it is like those drawn before (k-means++)."""
    chosen = [int(rng.integers(len(distinct)))]
    while len(chosen) < count:
        distance = 1 - size_overlap(distinct, distinct[chosen]).max(1)
        distance[chosen] = 0
        chosen.append(int(rng.choice(len(distinct), p=distance**2 / (distance**2).sum())))
    return distinct[chosen]


def _cluster(sizes: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move anchors to the medians of the sizes nearest to them until none changes its anchor."""
    nearest = None
    for _ in range(_MOST_ROUNDS):
        before, nearest = nearest, size_overlap(sizes, anchors).argmax(1)
        if before is not None and (before == nearest).all():
            break
        anchors = np.array([
            np.median(sizes[nearest == k], axis=0) if (nearest == k).any() else anchor
            for k, anchor in enumerate(anchors)
        ])  # fmt: skip
    return anchors
