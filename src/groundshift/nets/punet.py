"""DDNet and PUNet of Wu et al. (2022): one backbone at full resolution that finds mining subsidence and unwraps it.

A convolution, dilated blocks, residual blocks, a convolution; the only input is wrapped phase. As the authors' PyTorch
release has it, with their fusion of 3 x 3.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.dilated import DilatedConv2d

__all__ = ["DDNet", "PUNet"]

_DILATIONS = (1, 2, 3)
_EPSILON = 1e-3


class _Dilated(nn.Module):
    """Three dilated convolutions side by side, fused and added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parallel = nn.ModuleList(
            nn.Sequential(DilatedConv2d(channels, d), nn.BatchNorm2d(channels, _EPSILON), nn.ReLU()) for d in _DILATIONS
        )
        self.fuse = nn.Conv2d(len(_DILATIONS) * channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        fused = self.fuse(torch.cat([branch(x) for branch in self.parallel], 1))
        return functional.relu(self.norm(x + fused))


class _Residual(nn.Module):
    """One convolution beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels, _EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(x + self.conv(x)))


class PUNet(nn.Module):
    """Unwraps phase: a number for every pixel.

    Parameters
    ----------
    channels : int
        Of all layers; 64 as published.
    dilated, residual : int
        Numbers of blocks; 8 and 10 as published.

    Notes
    -----
    2.15 million parameters and a receptive field of 89 pixels as published. Coherence is not looked at.
    """

    stride = 1

    def __init__(self, channels: int = 64, dilated: int = 8, residual: int = 10) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU())
        self.dilated = nn.Sequential(*(_Dilated(channels) for _ in range(dilated)))
        self.residual = nn.Sequential(*(_Residual(channels) for _ in range(residual)))
        self.last = nn.Conv2d(channels, 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return (B, 1, y, x) unwrapped phase in radians of (B, 2, y, x): wrapped phase in radians, and coherence."""
        wrapped = interferogram[:, :1]
        x = self.residual(self.dilated(self.first(wrapped / (2 * math.pi) + 0.5)))
        # In single precision even where the rest is not: bfloat16 tells a phase of many cycles to half a radian.
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.last(x.to(self.last.weight.dtype))
        return out


class DDNet(PUNet):
    """Tells where the ground moves: log-odds for every pixel, whose sigmoid is the deformation relative to its peak."""
