"""What processors make of an interferogram: coherence estimates and filters, one scene at a time.

Real and imaginary parts are kept apart as float32 (y, x) tensors; averages near a border are those of what lies inside.
"""

import math

import torch
from torch import Tensor

__all__ = ["box_mean", "goldstein", "smooth"]


def box_mean(field: Tensor, side: int) -> Tensor:
    """Average over `side` x `side` pixels, `side` odd; near a border over those inside.

    Parameters
    ----------
    field : (..., y, x) tensor
    side : int
    """
    if side == 1:
        return field.clone()
    return _separable(field, [1.0] * side)


def smooth(field: Tensor, sigma: float) -> Tensor:
    """Average with a Gaussian of `sigma` pixels, cut at 2.5 sigma; near a border over the pixels inside.

    Parameters
    ----------
    field : (..., y, x) tensor
    sigma : float
        Positive.
    """
    reach = max(1, math.ceil(2.5 * sigma))
    return _separable(field, [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)])


def goldstein(igram: Tensor, alpha: float, patch: int) -> Tensor:
    """Filter an interferogram by the power of its own local spectrum.

    Parameters
    ----------
    igram : (y, x) complex64 tensor
    alpha : float
        0 leaves it as it is, 1 filters most.
    patch : int
        Side of the patches in pixels, even; they overlap by half.

    Notes
    -----
    The spectrum Z of each patch is multiplied by |Z|^alpha, |Z| averaged over 3 x 3 frequencies; patches are added with
    weights that fall linearly to their borders.

    References
    ----------
    Goldstein and Werner (1998), Radar interferogram filtering for geophysical applications.
    """
    rows, columns = igram.shape
    half = patch // 2
    tall, wide = (-(-n // patch) * patch + patch for n in (rows, columns))
    padded = torch.zeros((tall, wide), dtype=igram.dtype, device=igram.device)
    padded[half : half + rows, half : half + columns] = igram
    out = torch.zeros_like(padded)
    ramp = 1 - ((torch.arange(patch, device=igram.device) + 0.5) / half - 1).abs()
    window = ramp[:, None] * ramp
    for top in (0, half):
        for left in (0, half):
            ny, nx = (tall - top) // patch, (wide - left) // patch
            place = (slice(top, top + ny * patch), slice(left, left + nx * patch))
            patches = padded[place].reshape(ny, patch, nx, patch).transpose(1, 2)
            spectrum = torch.fft.fft2(patches)
            size = (spectrum.real.square() + spectrum.imag.square()).sqrt_()
            size = size + size.roll(1, -1) + size.roll(-1, -1)
            size = size + size.roll(1, -2) + size.roll(-1, -2)
            # The peak of each patch keeps its height, whatever the patch.
            size = (size / size.amax((-2, -1), keepdim=True).clamp_(min=1e-20)).pow_(alpha)
            filtered = torch.fft.ifft2(spectrum * size) * window
            out[place] += filtered.transpose(1, 2).reshape(ny * patch, nx * patch)
    return out[half : half + rows, half : half + columns]


def _separable(field: Tensor, kernel: list[float]) -> Tensor:
    """Average along both axes with one kernel, over the pixels inside."""
    return _along(_along(field, kernel, -2), kernel, -1)


def _along(field: Tensor, kernel: list[float], axis: int) -> Tensor:
    """Average along one axis; shifted sums are faster here than pooling."""
    reach = len(kernel) // 2
    count = field.shape[axis]
    total = torch.zeros_like(field)
    weight = torch.zeros(count)
    for k, value in enumerate(kernel):
        shift = k - reach
        if abs(shift) >= count:
            continue
        length = count - abs(shift)
        into, source = max(-shift, 0), max(shift, 0)
        total.narrow(axis, into, length).add_(field.narrow(axis, source, length), alpha=value)
        weight.narrow(0, into, length).add_(value)
    weight = weight.to(field.device)
    return total.div_(weight[:, None] if axis == -2 else weight)
