"""What `BodyNet` is trained to say, made from labels, and how far it is from it."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from groundshift.nets.bodynet import OFFSET_SCALE, BodyMaps

__all__ = ["BodyTargets", "body_losses", "body_targets"]

_IGNORED = 255
_TYPICAL_NODES = 150.0
"""Bodies of fewer nodes weigh more per node, and larger ones less, so that none is drowned by the others."""
_HALO = 4.0
"""Nodes around a body over which it must not spill."""


class BodyTargets(NamedTuple):
    """Targets of one map or, stacked, of a batch."""

    owner: Tensor
    """(..., y, x) int64: k in the k-th body, -k in its halo, 0 elsewhere."""
    weight: Tensor
    """(..., y, x) float: 0 where a node is not judged."""
    offset: Tensor
    """(..., 2, y, x) float: from a node of a body to the body's centre, rows and columns, in nodes."""


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
    The centre of a body is the mean of its nodes; it may lie outside of a bent one. The halo of a body is the quiet
    ground within 4 nodes that is nearer to it than to any other.
    """
    shape = labels.shape
    owner = np.where(labels == _IGNORED, 0, labels).astype(np.int64)
    weight = np.where((labels == _IGNORED) | ~known, 0, 1).astype(np.float32)
    offset = np.zeros((2, *shape), np.float32)
    if owner.any():
        away, nearest = ndimage.distance_transform_edt(owner == 0, return_indices=True)
        halo = (labels == 0) & (away <= _HALO)
        found = owner[tuple(nearest)]
        owner[halo] = -found[halo]
    for label, box in enumerate(ndimage.find_objects(labels, _IGNORED - 1), start=1):
        if box is None:
            continue
        rows, columns = np.nonzero(labels[box] == label)
        rows, columns = rows + box[0].start, columns + box[1].start
        weight[rows, columns] = np.clip(np.sqrt(_TYPICAL_NODES / rows.size), 0.5, 3.0)
        offset[0, rows, columns] = rows.mean() - rows
        offset[1, rows, columns] = columns.mean() - columns
    return BodyTargets(torch.from_numpy(owner), torch.from_numpy(weight), torch.from_numpy(offset))


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
        `body`: weighted cross-entropy; `overlap`: one minus the soft Dice coefficient of a body with what is seen in it
        and its halo, mean over bodies; `offset`: mean absolute error in units of 16 nodes.
    """
    body = maps.body[:, 0].float()
    inside = (targets.owner > 0).float()
    entropy = functional.binary_cross_entropy_with_logits(body, inside, weight=targets.weight, reduction="sum")
    error = (maps.offset.float() - targets.offset).abs().sum(1) / OFFSET_SCALE
    return {
        "body": 20 * entropy / (targets.weight > 0).sum().clamp(min=1),
        "overlap": _overlap(torch.sigmoid(body), targets.owner),
        "offset": (error * inside).sum() / inside.sum().clamp(min=1),
    }


def _overlap(probability: Tensor, owner: Tensor) -> Tensor:
    """Return one minus the mean soft Dice coefficient of all bodies; zero without any."""
    image = torch.arange(len(owner), device=owner.device).reshape(-1, 1, 1)
    number = (owner.abs() + image * 256).flatten()
    inside = (owner > 0).float()
    size, hit, seen = (
        torch.zeros(256 * len(owner), device=owner.device).index_add(0, number, values.flatten())
        for values in (inside, probability * inside, probability)
    )
    there = size > 0
    dice = (2 * hit[there] + 1) / (size[there] + seen[there] + 1)
    return (1 - dice).sum() / there.sum().clamp(min=1)
