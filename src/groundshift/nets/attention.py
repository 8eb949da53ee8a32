"""The convolutional block attention module, CBAM: which channels, and then which places, deserve attention.

Woo et al. (2018), section 3; Fu et al. (2022), section 4.3 and Figure 5A, put it behind the residual units of YOLOv3
and join the features before and after it by a shortcut: y = r + CBAM(r).
"""

import torch
from torch import Tensor, nn

from groundshift.nets.blocks import Shortcut

__all__ = ["CBAM", "ChannelGate", "SpatialGate", "attention_unit"]

_FIRST_STEPS = 0.05
"""Scale of the starting weights of a gate's last layer."""
_REDUCTION = 16
_LEAST_HIDDEN = 4
"""Hidden units of the narrowest layer of the published network; narrower ones would leave none or one."""


class ChannelGate(nn.Module):
    """Weight of each channel: sigmoid(MLP(mean over the map) + MLP(maximum over the map)) (Woo et al., equation 2).

    All weights start near one half. With the usual starting values, gates of a deep stage are 0 or 1 from the outset,
    as features grow with every unit, and then learn nothing. Hidden units start in pairs of opposite sign: some of
    them answer whatever the features are, where the four of a narrow layer could all stay silent.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // _REDUCTION, _LEAST_HIDDEN)
        first, second = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        with torch.no_grad():
            first.weight[hidden - hidden // 2 :] = -first.weight[: hidden // 2]
            first.bias.zero_()
            second.weight.mul_(_FIRST_STEPS)
            second.bias.zero_()
        self.shared = nn.Sequential(first, nn.ReLU(), second)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights, (B, C, 1, 1) in (0, 1), of features (B, C, h, w)."""
        gate = torch.sigmoid(self.shared(x.mean((2, 3))) + self.shared(x.amax((2, 3))))
        return gate[:, :, None, None]


class SpatialGate(nn.Module):
    """Weight of each place: sigmoid(7 x 7 convolution of mean and maximum over the channels) (Woo et al., equation 3).

    The convolution is followed by batch normalisation, as in their code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights, (B, 1, h, w) in (0, 1), of features (B, C, h, w)."""
        return torch.sigmoid(self.weigh(torch.stack([x.amax(1), x.mean(1)], 1)))


class CBAM(nn.Module):
    """Features times the weights of their channels, times the weights of their places (Woo et al., equation 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channel = ChannelGate(channels)
        self.spatial = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, (B, C, h, w)."""
        x = x * self.channel(x)
        weighted: Tensor = x * self.spatial(x)
        return weighted


def attention_unit(channels: int) -> Shortcut:
    """Return CBAM with its shortcut, y = r + CBAM(r) (Fu et al. (2022), Figure 5A)."""
    return Shortcut(CBAM(channels))
