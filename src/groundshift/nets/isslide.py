"""The three small U-Nets of Bralet et al. (2024), at their widths: plain, with residual blocks, with separable ones.

Two halvings by maximum, widths 12, 24 and 48, nearest neighbours on the way up, concatenated skips. The three differ in
what the levels of the encoder are made of. Plain and residual have equally many parameters, 100,849; the separable one
has 52,321, for only its encoder is separable.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.blocks import Shortcut

__all__ = ["SmallUnet", "fill_up", "phase_planes"]

_WIDTHS = (12, 24, 48)
_KERNELS = 2
"""Kernels for each channel of a separable convolution."""


def phase_planes(interferogram: Tensor) -> Tensor:
    """Return what the networks of Bralet et al. (2024) look at, in their order.

    Parameters
    ----------
    interferogram : (B, 2, y, x) tensor
        Wrapped phase in radians, and coherence; where coherence is zero there are no data.

    Returns
    -------
    (B, 3, y, x) tensor
        Coherence, cosine and sine of the phase; all zero without data.
    """
    wrapped, coherence = interferogram[:, :1], interferogram[:, 1:]
    known = (coherence > 0).to(wrapped.dtype)
    return torch.cat([coherence * known, torch.cos(wrapped) * known, torch.sin(wrapped) * known], 1)


def fill_up(planes: Tensor, multiple: int) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Fill rows and columns up with zeros to a multiple; return a function too that cuts maps back to what was.

    Where nothing is missing the cut does nothing, so that an exported network keeps free sizes.
    """
    rows, columns = (int(n) for n in planes.shape[-2:])
    below, right = -rows % multiple, -columns % multiple
    if not (below or right):
        return planes, lambda maps: maps
    return functional.pad(planes, (0, right, 0, below)), lambda maps: maps[..., :rows, :columns]


class _Separable(nn.Sequential):
    """Two kernels for each channel by itself, then a mixture of all."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, _KERNELS * inputs, 3, padding=1, groups=inputs, padding_mode="reflect"),
            nn.Conv2d(_KERNELS * inputs, outputs, 1),
        )


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _level(inputs: int, outputs: int, blocks: str) -> list[nn.Module]:
    """One level of the encoder."""
    kind: Callable[[int, int], nn.Module] = _Separable if blocks == "separable" else _conv
    two = nn.Sequential(kind(outputs, outputs), nn.ReLU(), kind(outputs, outputs), nn.ReLU())
    return [
        kind(inputs, outputs), nn.ReLU(), nn.BatchNorm2d(outputs), Shortcut(two) if blocks == "residual" else two,
    ]  # fmt: skip


class SmallUnet(nn.Module):
    """U-Net with two levels below the full resolution.

    Parameters
    ----------
    blocks : "plain", "residual" or "separable"
        What the encoder is made of: UNet, ResUNet and SepUNet of Bralet et al. (2024), section IV-A.
    width : float
        Multiplies the numbers of channels; 1 as published.
    """

    stride = 4

    def __init__(self, blocks: Literal["plain", "residual", "separable"] = "plain", width: float = 1.0) -> None:
        super().__init__()
        if not width > 0:
            raise ValueError(f"width must be positive, instead got {width}; 1 is the network as published")
        fine, middle, deep = (max(2, round(c * width)) for c in _WIDTHS)
        self.fine = nn.Sequential(*_level(3, fine, blocks))
        self.middle = nn.Sequential(*_level(fine, middle, blocks))
        self.deep = nn.Sequential(*_level(middle, deep, blocks), _conv(deep, middle), nn.ReLU(), nn.BatchNorm2d(middle))
        self.merge_middle = nn.Sequential(
            _conv(2 * middle, middle), nn.ReLU(), _conv(middle, middle), nn.ReLU(), _conv(middle, fine),
            nn.BatchNorm2d(fine), nn.ReLU(),
        )  # fmt: skip
        self.merge_fine = nn.Sequential(
            _conv(2 * fine, fine), nn.ReLU(), _conv(fine, fine), nn.BatchNorm2d(fine), _conv(fine, 1)
        )

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return (B, 1, y, x) log-odds of (B, 2, y, x): wrapped phase in radians; coherence, zero without data."""
        x, cut = fill_up(phase_planes(interferogram), self.stride)
        full = self.fine(x)  # (B, 12, y, x)
        half = self.middle(functional.max_pool2d(full, 2))  # (B, 24, y/2, x/2)
        deep = self.deep(functional.max_pool2d(half, 2))  # (B, 24, y/4, x/4)
        up = self.merge_middle(torch.cat([half, _doubled(deep)], 1))  # (B, 12, y/2, x/2)
        out: Tensor = self.merge_fine(torch.cat([full, _doubled(up)], 1))  # (B, 1, y, x)
        return cut(out)


def _doubled(x: Tensor) -> Tensor:
    """Double rows and columns by nearest neighbours."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
