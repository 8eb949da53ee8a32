"""What `BodyNet` is trained to say, made from labels, and how far it is from it."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from groundshift.nets.bodynet import OFFSET_SCALE, BodyMaps

__all__ = ["BodyTargets", "body_losses", "body_targets"]

_IGNORED = 255
_TYPICAL_NODES = 150.0
"""Bodies of fewer nodes weigh more per node, and larger ones less, so that none is drowned by the others."""


class BodyTargets(NamedTuple):
    """Targets of one map or, stacked, of a batch."""

    body: Tensor
    """(..., y, x) float: 1 inside a body, 0 outside."""
    weight: Tensor
    """(..., y, x) float: 0 where a node is not judged."""
    centre: Tensor
    """(..., y, x) float: 1 at the centre of a body, falling off like a Gaussian."""
    offset: Tensor
    """(..., 2, y, x) float: from a node to the centre of its body, rows and columns, in nodes."""


def body_targets(labels: NDArray[np.uint8], known: NDArray[np.bool_]) -> BodyTargets:
    """Make the targets of one map.

    Parameters
    ----------
    labels : (y, x) uint8 array
        0 quiet ground, 1 to 254 bodies, 255 not judged.
    known : (y, x) bool array
        Nodes with data; those without are not judged unless they lie in a body.

    Notes
    -----
    The centre of a body is its node nearest to the mean of its nodes, so that it lies inside bent bodies too.
    """
    shape = labels.shape
    body = np.zeros(shape, np.float32)
    weight = np.where((labels == _IGNORED) | ~known, 0, 1).astype(np.float32)
    centre = np.zeros(shape, np.float32)
    offset = np.zeros((2, *shape), np.float32)
    for label in np.unique(labels):
        if label in (0, _IGNORED):
            continue
        rows, columns = np.nonzero(labels == label)
        middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        row, column = rows[middle], columns[middle]
        body[rows, columns] = 1
        weight[rows, columns] = np.clip(np.sqrt(_TYPICAL_NODES / rows.size), 0.5, 3.0)
        offset[0, rows, columns] = row - rows
        offset[1, rows, columns] = column - columns
        spread = max(1.0, 0.12 * np.sqrt(rows.size))
        reach = int(np.ceil(3 * spread))
        y0, y1 = max(row - reach, 0), min(row + reach + 1, shape[0])
        x0, x1 = max(column - reach, 0), min(column + reach + 1, shape[1])
        dy, dx = np.arange(y0, y1)[:, None] - row, np.arange(x0, x1)[None] - column
        bump = np.exp(-(dy**2 + dx**2) / (2 * spread**2)).astype(np.float32)
        centre[y0:y1, x0:x1] = np.maximum(centre[y0:y1, x0:x1], bump)
    return BodyTargets(*map(torch.from_numpy, (body, weight, centre, offset)))


def body_losses(maps: BodyMaps, targets: BodyTargets) -> dict[str, Tensor]:
    """Return the named terms whose sum is minimised.

    Parameters
    ----------
    maps : BodyMaps
        Of a batch.
    targets : BodyTargets
        Stacked over the batch.

    Returns
    -------
    dict
        `body`: weighted cross-entropy; `overlap`: one minus the soft Dice coefficient of the batch; `centre`: the
        focal loss of CenterNet ([Zhou2019]_, Eq. 1), per body; `offset`: mean absolute error in units of 16 nodes.
    """
    body, centre = maps.body[:, 0].float(), maps.centre[:, 0].float()
    weight, judged = targets.weight, (targets.weight > 0).float()
    entropy = functional.binary_cross_entropy_with_logits(body, targets.body, weight=weight, reduction="sum")
    probability = torch.sigmoid(body) * weight
    truth = targets.body * weight
    dice = (2 * (probability * targets.body).sum() + 1) / (probability.sum() + truth.sum() + 1)
    inside = targets.body.sum()
    error = (maps.offset.float() - targets.offset).abs().sum(1) / OFFSET_SCALE
    return {
        "body": 20 * entropy / judged.sum().clamp(min=1),
        "overlap": 1 - dice,
        "centre": 0.5 * _focal(centre, targets.centre, judged),
        "offset": 0.5 * (error * targets.body).sum() / inside.clamp(min=1),
    }


def _focal(logits: Tensor, heat: Tensor, judged: Tensor) -> Tensor:
    """Penalty-reduced focal loss per centre: alpha 2, beta 4."""
    probability = torch.sigmoid(logits)
    at_centre = (heat > 0.999).float()
    hit = at_centre * (1 - probability) ** 2 * functional.logsigmoid(logits)
    miss = (1 - at_centre) * (1 - heat) ** 4 * probability**2 * functional.logsigmoid(-logits)
    return -((hit + miss) * judged).sum() / at_centre.sum().clamp(min=4)
