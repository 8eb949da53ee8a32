"""What Mask Net learns from: pixels that are coherent, and those that are not."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["mask_loss"]


def mask_loss(logits: Tensor, coherent: Tensor, judged: Tensor, *, dice: float = 0.5) -> dict[str, Tensor]:
    """Return the terms of the loss.

    Parameters
    ----------
    logits : (B, 1, y, x) tensor
        Log-odds that a pixel is coherent.
    coherent : (B, 1, y, x) tensor
        1 where it is, else 0.
    judged : (B, 1, y, x) tensor
        1 where that is known and there are data; nothing is learned elsewhere.
    dice : float
        Weight of the second term.

    Returns
    -------
    dict
        *cross*: mean binary cross entropy, as in the paper. *dice*: one minus the overlap of what is told to be
        decorrelated with what is, over the whole batch, so that small lakes count beside large land.
    """
    each = functional.binary_cross_entropy_with_logits(logits, coherent, reduction="none")
    cross = (each * judged).sum() / judged.sum().clamp_min(1)
    found, wanted = torch.sigmoid(-logits) * judged, (1 - coherent) * judged
    overlap = (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1)
    return {"cross": cross, "dice": dice * (1 - overlap)}
