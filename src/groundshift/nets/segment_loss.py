"""What networks that outline moving ground learn from: cross entropy, and for our own the overlap too."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["segment_loss"]


def segment_loss(logits: Tensor, mask: Tensor, known: Tensor, *, dice: bool) -> dict[str, Tensor]:
    """Return the terms of the loss.

    Parameters
    ----------
    logits : (B, 1, y, x) tensor
        Log-odds that the ground moves.
    mask : (B, 1, y, x) tensor
        1 where it does, else 0.
    known : (B, 1, y, x) tensor
        1 where there are data; elsewhere nothing is learned.
    dice : bool
        Add one minus the overlap of the soft masks over the whole batch.

    Returns
    -------
    dict of tensors
        *cross*: mean binary cross entropy, the whole loss of Bralet et al. (2024); *dice*.
    """
    logits = logits.float()
    each = functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    terms = {"cross": (each * known).sum() / known.sum().clamp_min(1)}
    if dice:
        found, wanted = torch.sigmoid(logits) * known, mask * known
        terms["dice"] = 1 - (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1)
    return terms
