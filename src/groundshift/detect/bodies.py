"""From the maps of a network to bodies: every node votes for the centre of the body it belongs to."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from groundshift.detect.prediction import Prediction

__all__ = ["decode_bodies"]

_FAINTEST = 0.06
"""Nodes less likely than this belong to no body, however faint."""
_SHARE_OF_PEAK = 0.5
"""A body ends where its probability has fallen to this share of that of its core."""
_SPREAD = 1.5
"""Nodes over which votes are blurred: they scatter around a centre."""
_APART = 3
"""Two centres lie more than so many nodes apart."""
_LEAST_VOTES = 0.15
"""Votes a node that a centre needs at its peak, after blurring."""
_LEAST_NODES = 4


def decode_bodies(
    body: NDArray[np.float32], offset: NDArray[np.float32], known: NDArray[np.bool_], *, least_score: float = 0.05
) -> list[Prediction]:
    """Read bodies from the maps of a network.

    Parameters
    ----------
    body : (y, x) float array
        Probability that a node belongs to a moving body.
    offset : (2, y, x) float array
        From a node to the centre of its body: rows, columns, in nodes.
    known : (y, x) bool array
        Nodes with data. Of others a network was never told what they are; only holes in a body belong to it.
    least_score : float
        Fainter bodies are left out.

    Returns
    -------
    list of Prediction
        With masks, the highest score first. The score is the probability of the body's core, the ninth decile over its
        nodes.
    """
    rows, columns = np.nonzero((body > _FAINTEST) & known)
    if rows.size == 0:
        return []
    way = offset[:, rows, columns]
    votes = np.column_stack([rows + way[0], columns + way[1]])
    centres = _centres(votes, body[rows, columns], body.shape)
    if len(centres) == 0:
        return []
    away, nearest = cKDTree(centres).query(votes)
    # A vote that misses its centre by more than a body's own size is nobody's.
    nearest = np.where(away <= np.maximum(4.0, 0.6 * np.hypot(*way)), nearest, -1)
    order = np.argsort(nearest, kind="stable")
    bounds = np.searchsorted(nearest[order], np.arange(len(centres) + 1))
    found = []
    for centre, (first, past) in zip(centres, pairwise(bounds), strict=True):
        own = order[first:past]
        if own.size >= _LEAST_NODES:
            prediction = _body(rows[own], columns[own], body, (int(centre[0]), int(centre[1])))
            if prediction is not None and prediction.score >= least_score:
                found.append(prediction)
    return sorted(found, key=lambda p: -p.score)


def _centres(votes: NDArray[np.floating], weights: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the nodes (n, 2) where most votes meet."""
    landing = np.clip(np.rint(votes).astype(np.intp), 0, np.array(shape) - 1)
    count = np.zeros(shape, np.float32)
    np.add.at(count, (landing[:, 0], landing[:, 1]), weights)
    count = ndimage.gaussian_filter(count, _SPREAD)
    peaks = (count == ndimage.maximum_filter(count, size=2 * _APART + 1)) & (count > _LEAST_VOTES)
    return np.argwhere(peaks)


def _body(
    rows: NDArray[np.intp], columns: NDArray[np.intp], body: NDArray[np.float32], centre: tuple[int, int]
) -> Prediction | None:
    """Outline the body among the nodes that voted for one centre."""
    values = body[rows, columns]
    core = float(np.quantile(values, 0.9))
    kept = values >= _SHARE_OF_PEAK * core
    rows, columns = rows[kept], columns[kept]
    top, left = rows.min(), columns.min()
    mask = np.zeros((rows.max() - top + 1, columns.max() - left + 1), bool)
    mask[rows - top, columns - left] = True
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if count > 1:
        # The part that holds the centre, else the largest.
        y, x = centre[0] - top, centre[1] - left
        inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
        wanted = parts[y, x] if inside and parts[y, x] else np.bincount(parts.ravel())[1:].argmax() + 1
        mask = parts == wanted
    mask = ndimage.binary_fill_holes(mask)
    if mask.sum() < _LEAST_NODES:
        return None
    inner = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    mask = mask[inner[0][0] : inner[0][-1] + 1, inner[1][0] : inner[1][-1] + 1]
    y0, x0 = int(top + inner[0][0]), int(left + inner[1][0])
    box = (float(x0), float(y0), float(x0 + mask.shape[1]), float(y0 + mask.shape[0]))
    return Prediction(box, core, mask)
