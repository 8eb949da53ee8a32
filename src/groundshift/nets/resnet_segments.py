"""FCN [Long2015] and DeepLabV3 [Chen2017] on a ResNet-50 [He2016], the two large networks of Bralet et al. (2024).

The encoder keeps an eighth of the resolution: its last two stages are dilated instead of strided, for both networks, as
in the library that the authors took them from. So the FCN of the paper has dilated convolutions too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.dilated import DilatedConv2d
from groundshift.nets.isslide import phase_planes

__all__ = ["ResnetSegments"]

_EXPANSION = 4
_STAGES = ((64, 3, 1, 1), (128, 4, 2, 1), (256, 6, 1, 2), (512, 3, 1, 4))
"""Channels, blocks, stride and dilation of each stage of ResNet-50 with an output stride of 8."""
_RATES = (12, 24, 36)
"""Dilations of the pyramid, at an eighth of the resolution."""
_FCN_DROPOUT, _PYRAMID_DROPOUT = 0.1, 0.5


def _scaled(channels: int, width: float) -> int:
    """Return a number of channels times a width, to multiples of 16."""
    if not width > 0:
        raise ValueError(f"width must be positive, instead got {width}; 1 is the network as published")
    return max(16, 16 * round(channels * width / 16))


def _unit(convolution: nn.Module, channels: int) -> list[nn.Module]:
    """Return a convolution with normalisation and activation."""
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU()]


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, inputs: int, hidden: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = _EXPANSION * hidden
        middle = (
            DilatedConv2d(hidden, dilation, bias=False) if stride == 1
            else nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False)
        )  # fmt: skip
        self.inner = nn.Sequential(
            *_unit(nn.Conv2d(inputs, hidden, 1, bias=False), hidden),
            *_unit(middle, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity() if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.inner(x) + self.shortcut(x))


def _stage(inputs: int, hidden: int, blocks: int, stride: int, dilation: int, before: int) -> nn.Sequential:
    """Return blocks of one width; the first still has the dilation of the stage before."""
    first = _Bottleneck(inputs, hidden, stride, before)
    return nn.Sequential(first, *(_Bottleneck(_EXPANSION * hidden, hidden, 1, dilation) for _ in range(blocks - 1)))


class _Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: what lies around at several distances, and the mean of all."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.point = nn.Sequential(*_unit(nn.Conv2d(inputs, outputs, 1, bias=False), outputs))
        self.wide = nn.ModuleList(
            nn.Sequential(*_unit(nn.Conv2d(inputs, outputs, 3, padding=r, dilation=r, bias=False), outputs))
            for r in _RATES
        )
        self.whole = nn.Sequential(*_unit(nn.Conv2d(inputs, outputs, 1, bias=False), outputs))
        branches = len(_RATES) + 2
        self.project = nn.Sequential(
            *_unit(nn.Conv2d(branches * outputs, outputs, 1, bias=False), outputs), nn.Dropout(_PYRAMID_DROPOUT)
        )

    def forward(self, x: Tensor) -> Tensor:
        whole = self.whole(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        found: Tensor = self.project(torch.cat([self.point(x), *(wide(x) for wide in self.wide), whole], 1))
        return found


class ResnetSegments(nn.Module):
    """Segmentation on ResNet-50, from scratch.

    Parameters
    ----------
    pyramid : bool
        DeepLabV3; FCN without.
    width : float
        Multiplies the numbers of channels; 1 as published.

    Notes
    -----
    At width 1 the FCN has 32,946,753 parameters and DeepLabV3 39,633,729. Any size is taken as it is.
    """

    stride = 8

    def __init__(self, *, pyramid: bool, width: float = 1.0) -> None:
        super().__init__()
        stem = _scaled(64, width)
        self.stem = nn.Sequential(*_unit(nn.Conv2d(3, stem, 7, 2, 3, bias=False), stem), nn.MaxPool2d(3, 2, 1))
        stages, inputs, before = [], stem, 1
        for channels, blocks, stride, dilation in _STAGES:
            hidden = _scaled(channels, width)
            stages.append(_stage(inputs, hidden, blocks, stride, dilation, before))
            inputs, before = _EXPANSION * hidden, dilation
        self.stages = nn.Sequential(*stages)
        middle = _scaled(256 if pyramid else 512, width)
        last = nn.Conv2d(middle, 1, 1)
        self.head = (
            nn.Sequential(
                _Pyramid(inputs, middle), *_unit(nn.Conv2d(middle, middle, 3, padding=1, bias=False), middle), last
            ) if pyramid
            else nn.Sequential(
                *_unit(nn.Conv2d(inputs, middle, 3, padding=1, bias=False), middle), nn.Dropout(_FCN_DROPOUT), last
            )
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return (B, 1, y, x) log-odds of (B, 2, y, x): wrapped phase in radians; coherence, zero without data."""
        x = self.head(self.stages(self.stem(phase_planes(interferogram))))  # (B, 1, y/8, x/8)
        return functional.interpolate(x, size=interferogram.shape[2:], mode="bilinear", align_corners=False)
