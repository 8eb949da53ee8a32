"""What several networks are built of: convolutions with normalisation, shortcuts, and DropBlock."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ConvUnit", "DropBlock", "Shortcut", "residual_unit", "scaled", "set_initial_weights"]

LEAK = 0.1
"""Slope of the activation below zero."""

_LEAST_KEPT = 0.9
"""Share of a feature map that DropBlock keeps once it is fully on (Ghiasi et al. (2018), section 4)."""
_RISE = 0.6
"""Share of the training over which DropBlock comes on."""


def scaled(channels: int, width: float) -> int:
    """Return a number of channels times a width, to the nearest multiple of 8 and at least 8.

    Raises
    ------
    ValueError
        If `width` is not positive.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, instead got {width}; 1 is the network as published")
    return max(8, 8 * round(channels * width / 8))


class ConvUnit(nn.Sequential):
    """Convolution without bias, batch normalisation, leaky ReLU: the unit that Darknet-53 is made of."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(LEAK),
        )


class Shortcut(nn.Module):
    """y = x + inner(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, C, h, w)."""
        added: Tensor = x + self.inner(x)
        return added


def residual_unit(channels: int, hidden: int) -> Shortcut:
    """Return the residual unit of Darknet-53: a 1 x 1 convolution to `hidden` channels and a 3 x 3 one back, added."""
    return Shortcut(nn.Sequential(ConvUnit(channels, hidden, 1), ConvUnit(hidden, channels, 3)))


class DropBlock(nn.Module):
    """Dropout of whole squares of a feature map, each channel by itself (Ghiasi et al. (2018), algorithm 1).

    Squares lie within the map. Their corners are drawn at the rate (their equation 1)

        gamma = (1 - keep) / b^2 * h w / ((h - b + 1) (w - b + 1)),

    so that a share of about 1 - keep is zeroed; what is left is scaled up to keep the mean. In evaluation, and at
    keep = 1, features pass unchanged.

    Parameters
    ----------
    block : int
        Side of the squares, b; on a smaller map they are as large as the map.
    """

    def __init__(self, block: int) -> None:
        super().__init__()
        if block < 1:
            raise ValueError(f"block must be at least 1 node, instead got {block}")
        self.block = block
        self.keep = 1.0

    def set_progress(self, fraction: float) -> None:
        """Lower `keep` linearly from 1 to 0.9 over the first 60 % of the training.

        Parameters
        ----------
        fraction : float
            Share of the training that is done, 0 to 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction of the training done must lie in [0, 1], instead got {fraction}")
        self.keep = 1 - (1 - _LEAST_KEPT) * min(fraction / _RISE, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, C, h, w)."""
        if not self.training or self.keep >= 1:
            return x
        height, width = x.shape[-2:]
        block = min(self.block, height, width)
        places = (height - block + 1, width - block + 1)
        rate = (1 - self.keep) / block**2 * (height * width) / (places[0] * places[1])
        corners = torch.rand((*x.shape[:2], *places), device=x.device) < rate
        # A maximum over the squares that reach a node tells whether one of them was drawn.
        dropped = functional.max_pool2d(functional.pad(corners.float(), (block - 1,) * 4), block, 1)
        kept = (1 - dropped).to(x.dtype)
        share = kept.float().mean().clamp(min=1e-6)
        return x * kept / share.to(x.dtype)


def set_initial_weights(network: nn.Module) -> None:
    """Draw the weights of all convolutions so that activations keep their variance (He et al. (2015), equation 15)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=LEAK, mode="fan_in", nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
