"""Our own networks for moving slopes, in one interferogram (`SlideNet`) or in several of one place (`SlideNetTimes`).

Beside cosine, sine and coherence they see the physical cue: wrapped differences over several distances, and the local
gradient of the phase, averaged over a few pixels, whose length tells how consistent it is. A constant added to the
phase changes none of these. `SlideNetTimes` looks at each interferogram with the same encoder, and joins what it sees
by mean and maximum over all that have data: their number and order do not matter.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.blocks import ConvUnit, scaled
from groundshift.nets.bowlnet import differences
from groundshift.nets.dilated import DilatedConv2d
from groundshift.nets.isslide import fill_up, phase_planes

__all__ = ["SlideNet", "SlideNetTimes", "smooth_gradient"]

_WINDOW = 5
"""Pixels along the side of the window over which the gradient is averaged."""
_CHANNELS = (40, 80, 120, 160)
"""At half, quarter, eighth and sixteenth resolution."""
_PLANES = 3 + 14 + 4
_FINE = 8
"""Channels at full resolution."""


def smooth_gradient(interferogram: Tensor) -> Tensor:
    """Average the wrapped difference to the next row and column over a window of 5 pixels.

    Parameters
    ----------
    interferogram : (B, 2, y, x) tensor
        Wrapped phase in radians, and coherence, zero without data.

    Returns
    -------
    (B, 4, y, x) tensor
        Cosine and sine of the difference down, then of that to the right, each averaged with the product of both
        coherences as weight. The angle is the gradient in radians per pixel, the length 0 (noise) to 1.
    """
    wrapped, coherence = interferogram[:, :1], interferogram[:, 1:]
    planes = []
    for down, right in ((1, 0), (0, 1)):
        # What lies beyond the edge has no coherence: padding makes it so.
        later, there = (functional.pad(a, (0, right, 0, down))[..., down:, right:] for a in (wrapped, coherence))
        step, weight = later - wrapped, coherence * there
        total = _averaged(weight).clamp_min(1e-3)
        planes += [_averaged(torch.cos(step) * weight) / total, _averaged(torch.sin(step) * weight) / total]
    return torch.cat(planes, 1)


def _averaged(x: Tensor) -> Tensor:
    """Mean over the window."""
    return functional.avg_pool2d(x, _WINDOW, 1, _WINDOW // 2)


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            ConvUnit(channels, channels, 3), DilatedConv2d(channels, dilation, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.inner(x), 0.1)


class _Encoder(nn.Module):
    """From one interferogram to features at full, half, quarter, eighth and sixteenth resolution."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        half = channels[0]
        self.fine = ConvUnit(_PLANES, _FINE, 3)
        self.stem = nn.Sequential(ConvUnit(4 * _PLANES, half, 3), _Block(half))
        self.levels = nn.ModuleList(
            nn.Sequential(ConvUnit(a, b, 3, 2), _Block(b), _Block(b)) for a, b in pairwise(channels)
        )
        self.deep = nn.Sequential(_Block(channels[-1], 2), _Block(channels[-1], 4))

    def forward(self, interferogram: Tensor) -> list[Tensor]:
        wrapped, coherence = interferogram[:, :1], interferogram[:, 1:]
        x = torch.cat([phase_planes(interferogram), differences(wrapped, coherence), smooth_gradient(interferogram)], 1)
        found = [self.fine(x), self.stem(functional.pixel_unshuffle(x, 2))]
        for level in self.levels:
            found.append(level(found[-1]))
        found[-1] = self.deep(found[-1])
        return found


class _Decoder(nn.Module):
    """From the features of all levels to log-odds at full resolution."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(pairwise(reversed(channels)))
        self.lateral = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairs)
        self.merge = nn.ModuleList(_Block(b) for _, b in pairs)
        self.up = nn.Conv2d(channels[0], 4 * _FINE, 1)
        self.last = nn.Sequential(ConvUnit(2 * _FINE, 2 * _FINE, 3), nn.Conv2d(2 * _FINE, 1, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        fine, *coarse = features
        x = coarse[-1]
        for lateral, merge, beside in zip(self.lateral, self.merge, reversed(coarse[:-1]), strict=True):
            x = merge(functional.interpolate(lateral(x), scale_factor=2.0, mode="nearest") + beside)
        out: Tensor = self.last(torch.cat([functional.pixel_shuffle(self.up(x), 2), fine], 1))
        return out


class SlideNet(nn.Module):
    """Moving ground in one interferogram.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels, rounded to multiples of 8.
    """

    stride = 16

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = tuple(scaled(c, width) for c in _CHANNELS)
        self.encoder, self.decoder = _Encoder(channels), _Decoder(channels)

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return (B, 1, y, x) log-odds of (B, 2, y, x): wrapped phase in radians; coherence, zero without data."""
        x, cut = fill_up(interferogram, self.stride)
        out: Tensor = self.decoder(self.encoder(x))
        return cut(out)


class SlideNetTimes(nn.Module):
    """Moving ground in several interferograms of one place, of whatever dates and delays.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels, rounded to multiples of 8.
    """

    stride = 16

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = tuple(scaled(c, width) for c in _CHANNELS)
        self.encoder, self.decoder = _Encoder(channels), _Decoder(channels)
        self.join = nn.ModuleList(nn.Conv2d(2 * c, c, 1) for c in (_FINE, *channels))

    def forward(self, interferograms: Tensor) -> Tensor:
        """Return log-odds of sets of interferograms.

        Parameters
        ----------
        interferograms : (B, T, 2, y, x) tensor
            Wrapped phase in radians; coherence, zero without data. One without any data does not count.

        Returns
        -------
        (B, 1, y, x) tensor
        """
        sets, times = interferograms.shape[:2]
        x, cut = fill_up(interferograms.flatten(0, 1), self.stride)
        there = (x[:, 1:].amax((1, 2, 3)) > 0).to(x.dtype).reshape(sets, times, 1, 1, 1)
        joined = [
            join(_pooled(features.unflatten(0, (sets, times)), there.to(features.dtype)))
            for join, features in zip(self.join, self.encoder(x), strict=True)
        ]
        out: Tensor = self.decoder(joined)
        return cut(out)


def _pooled(features: Tensor, there: Tensor) -> Tensor:
    """Return mean and maximum over the second axis, of those that are there: (B, 2 C, h, w)."""
    mean = (features * there).sum(1) / there.sum(1).clamp_min(1)
    # Activations do not fall far below zero, so that what is not there never is the maximum.
    most = (features - 1e4 * (1 - there)).amax(1)
    return torch.cat([mean, torch.where(there.amax(1) > 0, most, 0)], 1)
