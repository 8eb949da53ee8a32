"""The training loss of the YOLO networks: box, objectness and class.

Each truth is learnt by the one anchor that suits its size best, in the cell that holds its centre. The box term is the
CIoU loss that Fu et al. (2022) take from YOLOv4 (their Equation 2), or, to compare with, the squared error of the
original YOLOv3. Fu et al. say of the other terms only that class labels are smoothed at random; the rest follows Redmon
and Farhadi (2018), section 2.1.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from groundshift.nets.yolov3 import boxes_of_scale

__all__ = ["BoxLoss", "box_iou", "ciou_loss", "yolo_losses"]

BoxLoss = Literal["ciou", "mse"]

_TINY = 1e-7
_IGNORED_OVERLAP = 0.3
"""A prediction that overlaps ground not to be judged by more than this IoU is not judged."""


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU of each box of one set with each of another.

    Parameters
    ----------
    a : (n, 4) tensor
        x0, y0, x1, y1.
    b : (m, 4) tensor

    Returns
    -------
    (n, m) tensor
        0 to 1; 0 where both boxes have no area.
    """
    width = torch.minimum(a[:, None, 2], b[:, 2]) - torch.maximum(a[:, None, 0], b[:, 0])
    height = torch.minimum(a[:, None, 3], b[:, 3]) - torch.maximum(a[:, None, 1], b[:, 1])
    shared = width.clamp_(min=0) * height.clamp_(min=0)
    return shared / (_area(a)[:, None] + _area(b) - shared).clamp(min=_TINY)


def ciou_loss(boxes: Tensor, truths: Tensor) -> Tensor:
    """Return the CIoU loss of boxes paired with truths (Fu et al. (2022), Equation 2).

    With d the distance of the centres, c the diagonal of the box that encloses both, and
    v = 4 / pi^2 (arctan(w_t / h_t) - arctan(w / h))^2,

        loss = 1 - IoU + d^2 / c^2 + alpha v,    alpha = v / (1 - IoU + v).

    alpha is a weight: no gradient flows through it.

    Parameters
    ----------
    boxes : (..., 4) tensor
        x0, y0, x1, y1 with x0 < x1 and y0 < y1.
    truths : (..., 4) tensor

    Returns
    -------
    (...) tensor
        0 for equal boxes, less than 3.
    """
    low, high = torch.minimum(boxes, truths), torch.maximum(boxes, truths)
    shared = (high[..., :2] - low[..., 2:]).neg().clamp(min=0).prod(-1)
    iou = shared / (_area(boxes) + _area(truths) - shared).clamp(min=_TINY)
    centres = 0.5 * (boxes[..., :2] + boxes[..., 2:] - truths[..., :2] - truths[..., 2:])
    diagonal = (high[..., 2:] - low[..., :2]).square().sum(-1)
    away = centres.square().sum(-1) / diagonal.clamp(min=_TINY)
    v = 4 / math.pi**2 * (_aspect(truths) - _aspect(boxes)).square()
    with torch.no_grad():
        alpha = v / (1 - iou + v).clamp(min=_TINY)
    return 1 - iou + away + alpha * v


def yolo_losses(
    outputs: Sequence[Tensor],
    anchors: Tensor,
    strides: Sequence[int],
    truths: Sequence[Tensor],
    *,
    labels: Sequence[Tensor] | None = None,
    ignore: Sequence[Tensor] | None = None,
    box_loss: BoxLoss = "ciou",
    smoothing: float = 0.1,
    ignore_iou: float = 0.5,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the terms of the loss of one batch.

    A prediction that is no truth's own is background, unless it overlaps a truth by more than `ignore_iou`, or overlaps
    ground not to be judged by more than 0.3, or has its centre there: then its objectness is not judged. Where two
    truths want the same anchor in the same cell, the first gets it and the other is not learnt.

    Parameters
    ----------
    outputs : sequence of (B, A, 5 + C, h, w) tensors
        As the network's `forward` returns them.
    anchors : (len(outputs), A, 2) tensor
        The network's `anchors`: widths and heights in input pixels.
    strides : sequence of int
        The network's `strides`.
    truths : B tensors (n, 4)
        True boxes of each image: x0, y0, x1, y1 in input pixels, outer edges; n may be zero.
    labels : B tensors (n,) of whole numbers, optional
        Class of each truth, 0 to C - 1; all 0 by default.
    ignore : B tensors (n, 4), optional
        Boxes of ground not to be judged.
    box_loss : "ciou" or "mse"
        The loss of Fu et al., or half the squared error of (sigma(t_xy), t_wh) of the original.
    smoothing : float
        Class labels 1 and 0 become 1 - smoothing u and smoothing u, u drawn anew from [0, 1) each time; 0 leaves them.
    ignore_iou : float
    generator : torch.Generator, optional
        Of u, on the CPU.

    Returns
    -------
    dict
        `box`, `objectness` and `class`: scalars, sums over the batch divided by the number of truths learnt (at least
        1). Each truth's box term is weighted by 2 less its share of the image's area.

    Raises
    ------
    ValueError
        If a truth has no area, or the lists do not have one tensor for each image.
    """
    _check(outputs, truths, labels, ignore, box_loss, smoothing)
    device = outputs[0].device
    size = (outputs[0].shape[-1] * strides[0], outputs[0].shape[-2] * strides[0])
    # (B, M, 5 + C): all predictions of an image in one row, in the order in which networks decode them.
    flat = torch.cat([raw.permute(0, 1, 3, 4, 2).flatten(1, 3) for raw in outputs], 1).float()
    boxes = torch.cat(
        [boxes_of_scale(raw, a, s).flatten(1, 3) for raw, a, s in zip(outputs, anchors, strides, strict=True)], 1
    )
    own = _assign(outputs, anchors, strides, truths)
    picked, target = flat[own.image, own.place], own.box
    weight = 2 - (_area(target) / (size[0] * size[1])).clamp(max=1)
    if box_loss == "ciou":
        box = ciou_loss(boxes[own.image, own.place], target)
    else:
        centre = (torch.sigmoid(picked[:, :2]) - own.offset).square().sum(1)
        box = 0.5 * (centre + (picked[:, 2:4] - own.growth).square().sum(1))

    judged = _judged(boxes.detach(), truths, ignore, ignore_iou)
    objects = torch.zeros(flat.shape[:2], device=device)
    objects[own.image, own.place] = 1
    judged[own.image, own.place] = True
    objectness = functional.binary_cross_entropy_with_logits(flat[..., 4], objects, judged.float(), reduction="sum")

    classes = flat.shape[2] - 5
    chosen = torch.cat(list(labels)).to(device) if labels is not None else torch.zeros(sum(map(len, truths))).to(device)
    hard = functional.one_hot(chosen[own.truth].long(), classes).float()
    if smoothing:
        noise = smoothing * torch.rand(hard.shape, generator=generator).to(device)
        hard = torch.where(hard > 0, 1 - noise, noise)
    classification = functional.binary_cross_entropy_with_logits(picked[:, 5:], hard, reduction="sum")

    positives = max(1, len(own.image))
    return {
        "box": (weight * box).sum() / positives,
        "objectness": objectness / positives,
        "class": classification / positives,
    }


class _Own(NamedTuple):
    """The predictions that are to learn truths, one entry for each truth learnt."""

    image: Tensor
    place: Tensor
    """Index among all predictions of the image."""
    truth: Tensor
    """Index among all truths of the batch."""
    box: Tensor
    """(n, 4): the truth."""
    offset: Tensor
    """(n, 2): its centre within the cell, 0 to 1."""
    growth: Tensor
    """(n, 2): logarithm of its size by the anchor's."""


def _assign(outputs: Sequence[Tensor], anchors: Tensor, strides: Sequence[int], truths: Sequence[Tensor]) -> _Own:
    """Give each truth the anchor with the highest IoU around one centre, in the cell of its centre."""
    device = outputs[0].device
    box = torch.cat([t.reshape(-1, 4) for t in truths]).to(device, torch.float32)
    image = torch.repeat_interleave(torch.tensor([len(t) for t in truths], device=device))
    sizes = box[:, 2:] - box[:, :2]
    everyone = anchors.reshape(-1, 2)
    shared = torch.minimum(sizes[:, None], everyone).prod(-1)
    best = (shared / (sizes.prod(-1)[:, None] + everyone.prod(-1) - shared)).argmax(1)
    count = anchors.shape[1]
    scale, anchor = best // count, best % count

    shapes = torch.tensor([raw.shape[-2:] for raw in outputs], device=device)
    starts = torch.cat([shapes.new_zeros(1), (count * shapes.prod(1)).cumsum(0)[:-1]])
    cells = 0.5 * (box[:, :2] + box[:, 2:]) / torch.tensor(strides, device=device)[scale][:, None]
    height, width = shapes[scale].unbind(1)
    last = torch.stack([width, height], 1) - 1
    corner = torch.minimum(cells.floor().long().clamp(min=0), last)
    place = starts[scale] + (anchor * height + corner[:, 1]) * width + corner[:, 0]

    # Of truths that want the same place, the first of the list.
    _, group = torch.unique(torch.stack([image, place]), dim=1, return_inverse=True)
    number = torch.arange(len(box), device=device)
    first = torch.full_like(number, len(box)).scatter_reduce(0, group, number, "amin")
    kept = number[first[group] == number]
    return _Own(
        image[kept],
        place[kept],
        kept,
        box[kept],
        (cells - corner)[kept].clamp(0, 1),
        (sizes / everyone[best])[kept].log(),
    )


@torch.no_grad()
def _judged(boxes: Tensor, truths: Sequence[Tensor], ignore: Sequence[Tensor] | None, ignore_iou: float) -> Tensor:
    """Return which predictions are background if they are no truth's own, (B, M) bool."""
    judged = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    for number, known in enumerate(truths):
        if len(known):
            judged[number] &= (box_iou(known.to(boxes), boxes[number]) <= ignore_iou).all(0)
        if ignore is None or not len(ignore[number]):
            continue
        areas = ignore[number].to(boxes)
        centre = 0.5 * (boxes[number, :, :2] + boxes[number, :, 2:])
        inside = ((centre >= areas[:, None, :2]) & (centre <= areas[:, None, 2:])).all(2)
        judged[number] &= ~((box_iou(areas, boxes[number]) > _IGNORED_OVERLAP) | inside).any(0)
    return judged


def _check(
    outputs: Sequence[Tensor],
    truths: Sequence[Tensor],
    labels: Sequence[Tensor] | None,
    ignore: Sequence[Tensor] | None,
    box_loss: str,
    smoothing: float,
) -> None:
    """Raise ValueError for lists that do not fit the batch, truths without area, and unknown choices."""
    images = len(outputs[0])
    for name, given in (("truths", truths), ("labels", labels), ("ignore", ignore)):
        if given is not None and len(given) != images:
            raise ValueError(f"{name} must hold one tensor for each of {images} images, instead got {len(given)}")
    for boxes in truths:
        if len(boxes) and not (boxes[:, 2:] > boxes[:, :2]).all():
            raise ValueError("truths must be boxes with x0 < x1 and y0 < y1; leave out those without area")
    if box_loss not in ("ciou", "mse"):
        raise ValueError(f"box_loss must be 'ciou' or 'mse', instead got {box_loss!r}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must lie in [0, 1), instead got {smoothing}; 0 turns it off")


def _area(boxes: Tensor) -> Tensor:
    """Area of boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _aspect(boxes: Tensor) -> Tensor:
    """Angle whose tangent is width by height, radians."""
    return torch.atan2(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])
