"""Mask Net (Wang et al. (2023), section 3.1): which pixels of an interferogram are coherent.

A U-Net [Ronneberger2015] with an SK-ResNet18 [Li2019] as encoder and Res-SK blocks in the decoder. The paper tells no
more than that; what is chosen here: cosine and sine instead of the wrapped phase, so that whole cycles change nothing;
additive attention gates on what passes from encoder to decoder [Oktay2018]; and a shallow path at full resolution, for
the encoder begins by halving twice and edges of water are to be found to the pixel.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.blocks import scaled
from groundshift.nets.selective import ResidualSelective, SelectiveBasic

__all__ = ["AttentionGate", "MaskNet"]

_STAGES = (64, 64, 128, 256, 512)
"""Channels of the stem and of the four stages of ResNet18, at a half to a thirty-second of the resolution."""
_FINE = 32
"""Channels at full resolution."""
_SEEN = 4
"""Cosine, sine, coherence, amplitude."""


class AttentionGate(nn.Module):
    """Lets pass of the encoder's features what the decoder's call for: x * sigmoid(psi(relu(W_g g + W_x x + b))).

    Parameters
    ----------
    skip : int
        Channels of the encoder's features x.
    call : int
        Channels of the decoder's features g, at the same resolution.
    """

    def __init__(self, skip: int, call: int) -> None:
        super().__init__()
        hidden = max(skip // 2, 4)
        self.skip = nn.Sequential(nn.Conv2d(skip, hidden, 1, bias=False), nn.BatchNorm2d(hidden))
        self.call = nn.Sequential(nn.Conv2d(call, hidden, 1, bias=False), nn.BatchNorm2d(hidden))
        self.psi = nn.Conv2d(hidden, 1, 1)

    def gate(self, skip: Tensor, call: Tensor) -> Tensor:
        """Return (B, 1, h, w) in (0, 1)."""
        return torch.sigmoid(self.psi(torch.relu(self.skip(skip) + self.call(call))))

    def forward(self, skip: Tensor, call: Tensor) -> Tensor:
        """Return (B, skip, h, w)."""
        passed: Tensor = skip * self.gate(skip, call)
        return passed


class _Up(nn.Module):
    """One step of the decoder: upsample, join with what the gate lets pass, Res-SK block."""

    def __init__(self, below: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.gate = AttentionGate(skip, below)
        self.block = ResidualSelective(below + skip, outputs)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Return (B, outputs, h, w) of features at half the resolution and of those of the encoder, (B, skip, h, w)."""
        up = functional.interpolate(below, scale_factor=2.0, mode="bilinear", align_corners=False)
        out: Tensor = self.block(torch.cat([up, self.gate(skip, up)], 1))
        return out


class MaskNet(nn.Module):
    """Log-odds that a pixel is coherent.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels; 1 is the network with the channels of ResNet18.

    Notes
    -----
    Rows and columns of the input must be multiples of 32.
    """

    stride = 32

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        stages = [scaled(c, width) for c in _STAGES]
        fine = scaled(_FINE, width)
        self.fine = _convolved(_SEEN, fine, 3, 1)
        self.stem = _convolved(_SEEN, stages[0], 7, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(SelectiveBasic(a, b, 1 if k == 0 else 2), SelectiveBasic(b, b))
            for k, (a, b) in enumerate(pairwise(stages))
        )
        skips = [*reversed(stages[:-1]), fine]
        self.ups = nn.ModuleList(_Up(below, skip, skip) for below, skip in pairwise([stages[-1], *skips]))
        self.last = nn.Conv2d(fine, 1, 1)

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return (B, 1, y, x) log-odds of (B, 3, y, x).

        The planes: wrapped phase in radians; coherence, 0 to 1, zero without data; amplitude, 0 to 1 with the median of
        the scene at a half as `detect.mask_network.amplitude_plane` makes it, zero where it is not given.
        """
        seen = _seen(interferogram)
        kept = [self.fine(seen), self.stem(seen)]  # (B, F, y, x), (B, C0, y/2, x/2)
        x = functional.max_pool2d(kept[-1], 3, 2, 1)
        for stage in self.stages:
            x = stage(x)  # (B, Ck, y/4 ... y/32, ...)
            kept.append(x)
        for up, skip in zip(self.ups, reversed(kept[:-1]), strict=True):
            x = up(x, skip)
        out: Tensor = self.last(x)
        return out


def _convolved(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution, normalisation, activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _seen(interferogram: Tensor) -> Tensor:
    """Return (B, 4, y, x): cosine and sine of the phase, coherence, amplitude from -1 to 1; all zero where unknown."""
    wrapped, coherence, amplitude = (interferogram[:, k : k + 1] for k in range(3))
    known = (coherence > 0).to(wrapped.dtype)
    level = (2 * amplitude - 1) * (amplitude > 0).to(wrapped.dtype)
    return torch.cat([torch.cos(wrapped) * known, torch.sin(wrapped) * known, coherence, level], 1)
