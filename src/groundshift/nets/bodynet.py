"""Our own detector: one network that sees both gradient directions, their standard errors and the coherence together.

It answers, for every node of the lattice, two questions: is this ground part of a moving body, and if so, which way and
how far does the body's centre lie. Bodies are read from these maps by letting nodes vote for centres: a mask and a box
for each, with no anchors. Panoptic-DeepLab ([Cheng2020]_) has a map of centres besides; here it found no more
bodies, for in noise no node stands out as the centre. Maps come in at full resolution; most of the arithmetic happens
at a quarter of it and below, where matrix products are large.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["OFFSET_SCALE", "BodyMaps", "BodyNet", "scaled"]

N_PLANES = 8
OFFSET_SCALE = 16.0
"""Nodes that one unit of the offset head stands for."""
_MOST_BODY = 0.02
"""Share of nodes in bodies that the output layer starts from, so that training does not begin by unlearning bodies."""


class BodyMaps(NamedTuple):
    """What the network says of every node."""

    body: Tensor
    """(B, 1, y, x) log-odds that the node belongs to a moving body."""
    offset: Tensor
    """(B, 2, y, x) from the node to the centre of its body: rows, columns, in nodes."""


def scaled(planes: Tensor) -> Tensor:
    """Bring planes to the range of a network: linear where signals are weak, logarithmic where they are strong.

    Parameters
    ----------
    planes : (B, 8, y, x) tensor
        As named by `groundshift.detect.planes.PLANES`.

    Returns
    -------
    (B, 8, y, x) tensor
        About -3 to 3; zero where `known` is zero.
    """
    significance, gradient, sigma = planes[:, 0:2], planes[:, 2:4], planes[:, 4:6]
    coherence, known = planes[:, 6:7], planes[:, 7:8]
    parts = [
        _compressed(significance),
        _compressed(gradient * 2.0) * 0.7,
        torch.log(sigma + 0.02) * 0.5 + 0.8,
        coherence * 2.0 - 1.0,
        known,
    ]
    return torch.cat(parts, 1) * known


def _compressed(x: Tensor) -> Tensor:
    """Keep the sign, take the logarithm of one plus the magnitude."""
    return torch.sign(x) * torch.log(1 + x.abs())


class _Conv(nn.Sequential):
    """Convolution, batch normalisation, activation."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, size // 2 * dilation, dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1, inplace=True),
        )


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _Conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.second(self.first(x)), 0.1)


class _Merge(nn.Module):
    """Coarse features brought to the finer level and joined with what that level knows."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(coarse, fine, 1, bias=False)
        self.block = _Residual(fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        up = functional.interpolate(self.lateral(coarse), scale_factor=2.0, mode="nearest")
        out: Tensor = self.block(up + fine)
        return out


class BodyNet(nn.Module):
    """Encoder and decoder over four levels, from half to a sixteenth of the resolution.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels, rounded to multiples of 8.
    directions : {"both", "y", "x"}
        Which gradients it sees.

    Notes
    -----
    Rows and columns of the input must be multiples of 16. 1.8 million parameters and 3.7 GFLOP for 256 x 256 nodes at
    width 1.
    """

    stride = 16

    def __init__(self, width: float = 1.0, directions: Literal["both", "y", "x"] = "both") -> None:
        super().__init__()
        seen = torch.ones(1, N_PLANES, 1, 1)
        if directions != "both":
            seen[0, [1, 3, 5] if directions == "y" else [0, 2, 4]] = 0
        self.register_buffer("seen", seen, persistent=False)
        self.seen: Tensor
        half, quarter, eighth, deepest = (max(8, round(c * width / 8) * 8) for c in (32, 48, 96, 160))
        self.stem = _Conv(4 * N_PLANES, half)
        self.down4 = nn.Sequential(_Conv(half, quarter, stride=2), _Residual(quarter), _Residual(quarter))
        self.down8 = nn.Sequential(_Conv(quarter, eighth, stride=2), _Residual(eighth), _Residual(eighth))
        self.down16 = nn.Sequential(_Conv(eighth, deepest, stride=2), _Residual(deepest), _Residual(deepest, 2))
        self.merge8 = _Merge(deepest, eighth)
        self.merge4 = _Merge(eighth, quarter)
        self.lateral = nn.Conv2d(quarter, half, 1, bias=False)
        self.head = _Conv(2 * half, half)
        self.out = nn.Conv2d(half, 12, 1)
        start = torch.zeros(12)
        start[:4] = torch.logit(torch.tensor(_MOST_BODY))
        self.out.bias = nn.Parameter(start)

    def forward(self, planes: Tensor) -> BodyMaps:
        """Return the maps of (B, 8, y, x) planes."""
        stem = self.stem(functional.pixel_unshuffle(scaled(planes) * self.seen, 2))  # (B, 32, y/2, x/2)
        x4 = self.down4(stem)  # (B, 48, y/4, x/4)
        x8 = self.down8(x4)  # (B, 96, y/8, x/8)
        x16 = self.down16(x8)  # (B, 160, y/16, x/16)
        x4 = self.merge4(self.merge8(x16, x8), x4)
        up = functional.interpolate(self.lateral(x4), scale_factor=2.0, mode="nearest")  # (B, 32, y/2, x/2)
        maps = functional.pixel_shuffle(self.out(self.head(torch.cat([up, stem], 1))), 2)  # (B, 3, y, x)
        return BodyMaps(maps[:, 0:1], maps[:, 1:3] * OFFSET_SCALE)
