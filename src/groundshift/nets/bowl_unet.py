"""A plain U-Net [Ronneberger2015] that finds footprints of bowls: what everyone would try first."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BowlUnet"]


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class BowlUnet(nn.Module):
    """U-Net with four levels below the full resolution, on cosine and sine of the phase and coherence.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels, 32 at full resolution and twice as many on each level below.

    Notes
    -----
    Rows and columns of the input must be multiples of 16.
    """

    stride = 16

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = [max(4, round(32 * width)) * 2**level for level in range(5)]
        self.down = nn.ModuleList(_double(a, b) for a, b in zip([3, *channels[:-1]], channels, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in reversed(channels[:-1]))
        self.merge = nn.ModuleList(_double(2 * c, c) for c in reversed(channels[:-1]))
        self.last = nn.Conv2d(channels[0], 1, 1)

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return (B, 1, y, x) log-odds of (B, 2, y, x): wrapped phase in radians; coherence, zero without data."""
        wrapped, coherence = interferogram[:, :1], interferogram[:, 1:]
        known = (coherence > 0).to(wrapped.dtype)
        x = torch.cat([torch.cos(wrapped) * known, torch.sin(wrapped) * known, coherence], 1)
        kept: list[Tensor] = []
        for level in self.down:
            x = level(functional.max_pool2d(x, 2) if kept else x)
            kept.append(x)
        for up, merge, fine in zip(self.up, self.merge, reversed(kept[:-1]), strict=True):
            x = merge(torch.cat([fine, up(x)], 1))
        out: Tensor = self.last(x)
        return out
