"""Dilated convolutions that learn in mixed precision, on CPUs too."""

import torch
from torch import Tensor, nn

__all__ = ["DilatedConv2d"]

_BLOCK = 16
"""Channels that kernels of oneDNN take at once."""


class DilatedConv2d(nn.Conv2d):
    """A 3 x 3 convolution that keeps channels and size, computed in single precision where bfloat16 would be wrong.

    Parameters
    ----------
    channels : int
    dilation : int
        Pixels between the taps of the kernel.
    bias : bool

    Notes
    -----
    On CPUs with instructions for bfloat16, oneDNN 3.12 gives wrong gradients of dilated kernels, some of them no
    numbers, where images lie with their channels last and the number of channels is no multiple of 16.
    """

    def __init__(self, channels: int, dilation: int, *, bias: bool = True) -> None:
        super().__init__(channels, channels, 3, padding=dilation, dilation=dilation, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, y, x) of the same."""
        if x.device.type != "cpu" or self.dilation[0] == 1 or self.in_channels % _BLOCK == 0:
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))
