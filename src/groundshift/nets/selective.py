"""Selective kernels [Li2019]: two receptive fields side by side, and for each channel a choice between them.

A unit convolves with a 3 x 3 kernel and with one dilated to 5 x 5, both grouped. From the mean of their sum over the
image a small perceptron tells, channel by channel, how much of either goes on.
"""

import torch
from torch import Tensor, nn

__all__ = ["ResidualSelective", "SelectiveBasic", "SelectiveUnit", "groups_of"]

_MOST_GROUPS = 32
_BRANCHES = 2
_REDUCTION, _LEAST_HIDDEN = 16, 32


def groups_of(channels: int) -> int:
    """Return the number of groups of a unit's kernels: a quarter of the channels, at most 32.

    Raises
    ------
    ValueError
        If they do not part the channels evenly.
    """
    groups = min(_MOST_GROUPS, channels // 4)
    if groups < 1 or channels % groups:
        raise ValueError(f"channels must be a multiple of {max(groups, 4)}, instead got {channels}")
    return groups


class _GroupedConv2d(nn.Conv2d):
    """A 3 x 3 convolution in groups; dilated ones learn in single precision on CPUs, see `nets.dilated`."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, y, x), rows and columns divided by the stride."""
        if x.device.type != "cpu" or self.dilation[0] == 1:
            return super().forward(x)
        # Groups hold few channels, never a multiple of the 16 that oneDNN's gradients in bfloat16 want.
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


def _branch(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Sequential:
    """Convolution, normalisation, activation of one receptive field."""
    groups = groups_of(outputs)
    while inputs % groups:
        groups //= 2
    return nn.Sequential(
        _GroupedConv2d(inputs, outputs, 3, stride, dilation, dilation, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class SelectiveUnit(nn.Module):
    """SK unit: y = sum over branches of a_k * branch_k(x), the weights a_k of each channel adding up to one.

    Parameters
    ----------
    inputs, outputs : int
        Channels; `outputs` a multiple of its number of groups, see `groups_of`.
    stride : int

    Notes
    -----
    The hidden layer is normalised over its own features instead of over the batch: a batch of eight images gives eight
    values of each.

    References
    ----------
    Li2019, equations 1 to 6, with M = 2, G = 32 and d = max(C / 16, 32).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        hidden = max(outputs // _REDUCTION, _LEAST_HIDDEN)
        self.branches = nn.ModuleList(_branch(inputs, outputs, stride, k + 1) for k in range(_BRANCHES))
        self.squeeze = nn.Sequential(nn.Conv2d(outputs, hidden, 1, bias=False), nn.GroupNorm(1, hidden), nn.ReLU())
        self.choose = nn.Conv2d(hidden, _BRANCHES * outputs, 1)

    def weights(self, x: Tensor) -> Tensor:
        """Return what each branch counts by, (B, 2, C, 1, 1), of features summed over branches, (B, C, h, w)."""
        chosen = self.choose(self.squeeze(x.mean((2, 3), keepdim=True)))
        return torch.softmax(chosen.unflatten(1, (_BRANCHES, -1)), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w), rows and columns divided by the stride."""
        seen = [branch(x) for branch in self.branches]
        weights = self.weights(seen[0] + seen[1])
        out: Tensor = weights[:, 0] * seen[0] + weights[:, 1] * seen[1]
        return out


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return what carries features past a block: they themselves, or a 1 x 1 convolution where the shape changes."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class SelectiveBasic(nn.Module):
    """Basic block of SK-ResNet18: an SK unit, a 3 x 3 convolution, and a shortcut past both."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.unit = SelectiveUnit(inputs, outputs, stride)
        self.conv = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w), rows and columns divided by the stride."""
        return torch.relu(self.conv(self.unit(x)) + self.shortcut(x))


class ResidualSelective(nn.Module):
    """Res-SK block of the decoder: two SK units and a 1 x 1 shortcut past both, then normalisation and activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.units = nn.Sequential(SelectiveUnit(inputs, outputs), SelectiveUnit(outputs, outputs))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, h, w)."""
        return torch.relu(self.norm(self.units(x) + self.shortcut(x)))
