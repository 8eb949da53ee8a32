"""Our own network for bowls: finds them, and tells how steep the phase is, free of noise and of lost cycles.

It sees wrapped differences between pixels and coherence, never the phase itself: whatever constant is added to the
phase, the answer is the same. It answers with the differences between neighbours that the phase would have without
noise and without wrapping, which it can tell from a few pixels around and from the shape of a bowl as a whole; summing
them up to a phase is left to least squares (`groundshift.gradients.integrate`), which does it better than a network.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.dilated import DilatedConv2d

__all__ = ["BowlMaps", "BowlNet"]

_LIMITS = (-6.0, 2.0)
"""Of the logarithm of the error in radians."""
_LAGS = (1, 3, 8)
"""Pixels between which phase is compared: near ones tell steep motion, far ones what noise hides from near ones."""
_PLANES = 4 * len(_LAGS) + 2


class BowlMaps(NamedTuple):
    """What the network says of every pixel."""

    gradient: Tensor
    """(B, 2, y, x) unwrapped phase of the next row and of the next column less that of the pixel, radians."""
    log_scale: Tensor
    """(B, 1, y, x) natural logarithm of the mean magnitude of the errors of both, in radians."""
    bowl: Tensor
    """(B, 1, y, x) log-odds that the ground moves by itself."""


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(0.1),
            DilatedConv2d(channels, dilation, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.inner(x), 0.1)


def _down(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the resolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1), _Block(outputs),
        _Block(outputs),
    )  # fmt: skip


class BowlNet(nn.Module):
    """Encoder and decoder over levels of half, quarter, eighth and sixteenth resolution.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels, rounded to multiples of 8.

    Notes
    -----
    Rows and columns of the input must be multiples of 16.
    """

    stride = 16

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        half, quarter, eighth, deepest = (max(8, round(c * width / 8) * 8) for c in (32, 64, 96, 160))
        self.stem = nn.Sequential(
            nn.Conv2d(4 * _PLANES, half, 3, padding=1, bias=False),
            nn.BatchNorm2d(half),
            nn.LeakyReLU(0.1),
            _Block(half),
        )
        self.levels = nn.ModuleList([_down(half, quarter), _down(quarter, eighth), _down(eighth, deepest)])
        self.deep = nn.Sequential(_Block(deepest, 2), _Block(deepest, 4), _Block(deepest, 2))
        self.lateral = nn.ModuleList(
            nn.Conv2d(a, b, 1, bias=False) for a, b in ((deepest, eighth), (eighth, quarter), (quarter, half))
        )
        self.merge = nn.ModuleList([_Block(eighth), _Block(quarter), nn.Sequential(_Block(half), _Block(half))])
        self.out = nn.Conv2d(half, 16, 1)

    def forward(self, interferogram: Tensor) -> BowlMaps:
        """Return the maps of (B, 2, y, x): wrapped phase in radians, and coherence, zero where there are no data."""
        x = self.stem(functional.pixel_unshuffle(differences(interferogram[:, :1], interferogram[:, 1:]), 2))
        kept = []
        for level in self.levels:
            kept.append(x)
            x = level(x)
        x = self.deep(x)
        for lateral, merge, fine in zip(self.lateral, self.merge, reversed(kept), strict=True):
            x = merge(functional.interpolate(lateral(x), scale_factor=2.0, mode="nearest") + fine)
        # In single precision even where the rest is not: bfloat16 tells a cycle to three hundredths of a radian.
        with torch.autocast(x.device.type, enabled=False):
            maps = functional.pixel_shuffle(self.out(x.to(self.out.weight.dtype)), 2)
        return BowlMaps(maps[:, 0:2], maps[:, 2:3].clamp(*_LIMITS), maps[:, 3:4])


def differences(wrapped: Tensor, coherence: Tensor) -> Tensor:
    """Return what does not depend on the phase's constant: (B, 14, y, x).

    For each of three lags the cosine and sine of the difference to a later row and to a later column, zero where either
    has no data; then coherence, and whether there are data.
    """
    known = (coherence > 0).to(wrapped.dtype)
    rows, columns = wrapped.shape[2:]
    planes = []
    for lag in _LAGS:
        for down, right in ((lag, 0), (0, lag)):
            # What lies beyond the edge is unknown: padding makes it so.
            later, there = (functional.pad(a, (0, right, 0, down))[..., down:, right:] for a in (wrapped, known))
            step, both = (later - wrapped)[..., :rows, :columns], (known * there)[..., :rows, :columns]
            planes += [torch.cos(step) * both, torch.sin(step) * both]
    return torch.cat([*planes, coherence * known, known], 1)
