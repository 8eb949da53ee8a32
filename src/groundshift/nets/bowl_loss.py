"""What networks over mines learn from: differences of the unwrapped phase, with their errors, or it; footprints."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from groundshift.nets.bowlnet import BowlMaps

__all__ = ["BowlTruth", "ddnet_loss", "gradient_and_footprint_loss", "punet_loss", "unet_loss"]

_PEAK = math.pi / 2
"""Radians that the peak of a bowl must exceed (Wu et al. (2022))."""
_COURSE, _BOWL = 1.0, 2.0
"""Weights beside that of the gradient."""
_SQUARE = 8


class BowlTruth(NamedTuple):
    """What is to be learned; (B, 1, y, x) each. Where there are no data nothing is learned."""

    phase: Tensor
    """Unwrapped, without noise, radians; NaN where nobody knows it."""
    bowl: Tensor
    """Phase of the bowls alone, radians; NaN where nobody knows it."""
    footprint: Tensor
    """1 where the ground is to be found moving by itself, else 0."""
    known: Tensor
    """1 where there are data."""


def gradient_and_footprint_loss(maps: BowlMaps, truth: BowlTruth) -> dict[str, Tensor]:
    """Return the parts of the loss of `BowlNet`.

    *gradient*: negative logarithm of a Laplace distribution about the true differences between neighbours; *course*:
    their errors summed over squares of 8 pixels and divided by the side, for these do not cancel when differences are
    added up to a phase; *bowl*: cross entropy and Dice of the footprint. Where the phase is not known, the first two
    are zero.
    """
    told, phase = _told(truth.phase, truth.known)
    errors, there = [], []
    for axis in (2, 3):
        length = phase.shape[axis] - 1
        both = told.narrow(axis, 0, length) * told.narrow(axis, 1, length)
        edge = torch.zeros_like(told).narrow(axis, 0, 1)
        both = torch.cat([both, edge], axis)
        step = torch.cat([torch.diff(phase, dim=axis), edge], axis)
        errors.append((maps.gradient[:, axis - 2 : axis - 1] - step) * both)
        there.append(both)
    off, both = torch.cat(errors, 1), torch.cat(there, 1)
    likelihood = off.abs() * torch.exp(-maps.log_scale) + maps.log_scale
    sums = functional.avg_pool2d(off, _SQUARE) * _SQUARE
    return {
        "gradient": _mean(likelihood, both),
        "course": _COURSE * functional.smooth_l1_loss(sums, torch.zeros_like(sums)),
        "bowl": _BOWL * (_cross_entropy(maps.bowl, truth) + 0.5 * _dice(maps.bowl, truth.footprint, truth.known)),
    }


def unet_loss(logits: Tensor, truth: BowlTruth) -> dict[str, Tensor]:
    """Return cross entropy and half the Dice loss of the footprint."""
    return {"cross": _cross_entropy(logits, truth), "dice": 0.5 * _dice(logits, truth.footprint, truth.known)}


def punet_loss(unwrapped: Tensor, truth: BowlTruth) -> dict[str, Tensor]:
    """Return the loss of PUNet: mean square error of the unwrapped phase."""
    told, phase = _told(truth.phase, truth.known)
    return {"phase": _mean((unwrapped - phase) ** 2, told)}


def ddnet_loss(logits: Tensor, truth: BowlTruth) -> dict[str, Tensor]:
    """Return the loss of DDNet: mean square error of the deformation relative to its peak, and half the Dice loss.

    Where the deformation is not known, as of footprints that somebody drew, the footprint stands for it.
    """
    told, bowl = _told(truth.bowl, torch.ones_like(truth.known))
    peak = bowl.abs().amax((2, 3), keepdim=True)
    relative = bowl.abs() / peak.clamp_min(_PEAK) * (peak > _PEAK)
    target = torch.where(told > 0, relative, truth.footprint)
    square = _mean((torch.sigmoid(logits) - target) ** 2, truth.known)
    return {"square": square, "dice": 0.5 * _dice(logits, target, truth.known)}


def _told(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 where there are data and values of the truth, else 0; and the values, 0 where there are none."""
    there = values.isfinite()
    return known * there, torch.where(there, values, 0)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over the pixels of weight 1; zero without any."""
    return (values * weight).sum() / weight.sum().clamp_min(1)


def _cross_entropy(logits: Tensor, truth: BowlTruth) -> Tensor:
    """Cross entropy of the footprint."""
    each = functional.binary_cross_entropy_with_logits(logits, truth.footprint, reduction="none")
    return _mean(each, truth.known)


def _dice(logits: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """One minus the overlap of two soft masks, over the whole batch."""
    found, wanted = torch.sigmoid(logits) * known, wanted * known
    return 1 - (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1)
