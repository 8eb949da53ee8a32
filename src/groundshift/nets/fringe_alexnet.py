"""Networks that tell in one look whether a window of an interferogram shows fringes of a landslide [Kamiyama2018]_.

Both see the wrapped phase in 16 equal classes, as on a printed interferogram with 16 colours, and judge windows of
150 x 150 pixels. A network without any padding gives the same answer for a window wherever it lies in a scene, so that
one pass over the scene gives the answers of all windows; see `FringeAlexNet.step`.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["CLASSES", "STEP", "WINDOW", "FringeAlexNet", "phase_classes"]

WINDOW = 150
"""Rows and columns of the window that is judged."""
STEP = 10
"""Rows or columns from one window of a scan to the next."""
CLASSES = 16
"""Equal classes of the wrapped phase."""


def phase_classes(wrapped: Tensor) -> Tensor:
    """Return the middle of the class of a phase, radians.

    Parameters
    ----------
    wrapped : tensor
        Radians, -pi to pi; pi itself belongs to the highest class.

    Examples
    --------
    >>> [round(float(v) / math.pi, 4) for v in phase_classes(torch.tensor([-math.pi, 0.0, 3.1]))]
    [-0.9375, 0.0625, 0.9375]
    """
    wide = 2 * math.pi / CLASSES
    number = torch.floor((wrapped + math.pi) / wide).clamp(0, CLASSES - 1)
    return (number + 0.5) * wide - math.pi


class FringeAlexNet(nn.Module):
    """AlexNet with two pools instead of three, and two classes.

    Parameters
    ----------
    variant : {"slim", "paper"}
        `paper`: AlexNet as [Kamiyama2018]_ changed it, at 150 x 150 pixels: 86 million weights, padded
        inside, so only one window at a time. `slim`: the same order of layers without any padding, fewer channels,
        normalised batches, and strides whose product is `STEP`.
    width : float
        Multiplies the numbers of channels and of hidden units.
    seen : {"centre", "circle"}
        What is seen of a phase class: its middle over pi, which jumps where the phase wraps; or cosine and sine of its
        middle, which do not. The paper does not tell; it can be read as the former.

    Notes
    -----
    `paper`: sides of the maps are 35 after the first convolution (11 x 11, stride 4), 17 and 8 after the pools; the
    first hidden layer sees 256 x 8 x 8 = 16,384 numbers. Coherence only tells where there are data.

    `slim`: 29 after the first convolution (10 x 10, stride 5), 27 and 11 after the pools (3 x 3, stride 1 and 2), 9, 7,
    5; the hidden layers are convolutions of 5 x 5 and 1 x 1. It sees the coherence too. Each of its answers depends on
    exactly 150 x 150 pixels, and those of a scene lie 10 pixels apart.
    """

    step = STEP

    def __init__(
        self,
        variant: Literal["slim", "paper"] = "slim",
        width: float = 1.0,
        seen: Literal["centre", "circle"] = "circle",
    ) -> None:
        super().__init__()
        self.variant, self.seen = variant, seen
        planes = 1 if seen == "centre" else 2
        if variant == "paper":
            self.features, self.classifier = _paper(planes, width)
        else:
            self.features, self.classifier = _slim(planes + 1, width)

    @property
    def free_size(self) -> bool:
        """Whether it takes scenes of any size from 150 x 150 pixels on, and not single windows only."""
        return self.variant == "slim"

    def forward(self, interferogram: Tensor) -> Tensor:
        """Return the log-odds of both classes, (B, 2, cells, cells); the second one is that of a landslide.

        Parameters
        ----------
        interferogram : (B, 2, y, x) tensor
            Wrapped phase in radians, without what is large; coherence, zero without data.
        """
        wrapped, coherence = interferogram[:, :1], interferogram[:, 1:]
        known = (coherence > 0).to(wrapped.dtype)
        middle = phase_classes(wrapped)
        shown = [middle / math.pi] if self.seen == "centre" else [torch.cos(middle), torch.sin(middle)]
        x = torch.cat([plane * known for plane in shown], 1)  # (B, 1 or 2, y, x)
        if self.variant == "slim":
            x = torch.cat([x, coherence], 1)
        found: Tensor = self.classifier(self.features(x))  # (B, 2, cells, cells)
        return found


def _paper(planes: int, width: float) -> tuple[nn.Sequential, nn.Sequential]:
    """AlexNet with two pools; of 150 x 150 pixels it makes 8 x 8 numbers in each channel."""
    a, b, c, d = (max(4, round(n * width)) for n in (64, 192, 384, 256))
    hidden = max(8, round(4096 * width))
    features = nn.Sequential(
        nn.Conv2d(planes, a, 11, stride=4), nn.ReLU(),  # 35
        nn.MaxPool2d(3, 2),  # 17
        nn.Conv2d(a, b, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 2),  # 8
        nn.Conv2d(b, c, 3, padding=1), nn.ReLU(),
        nn.Conv2d(c, d, 3, padding=1), nn.ReLU(),
        nn.Conv2d(d, d, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(d * 8 * 8, hidden), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(hidden, hidden), nn.ReLU(),
        nn.Linear(hidden, 2), nn.Unflatten(1, (2, 1, 1)),
    )  # fmt: skip
    return features, classifier


def _slim(planes: int, width: float) -> tuple[nn.Sequential, nn.Sequential]:
    """Five convolutions, two pools and two hidden layers, none of them padded."""
    a, b, c, hidden = (max(4, round(n * width)) for n in (32, 64, 96, 256))
    features = nn.Sequential(
        *_normed(planes, a, 10, stride=5),  # 29
        nn.MaxPool2d(3, 1),  # 27
        *_normed(a, b, 5),  # 23
        nn.MaxPool2d(3, 2),  # 11
        *_normed(b, c, 3),
        *_normed(c, c, 3),
        *_normed(c, b, 3),  # 5
    )
    classifier = nn.Sequential(
        nn.Dropout2d(0.2), *_normed(b, hidden, 5),  # 1
        nn.Dropout2d(0.5), *_normed(hidden, hidden, 1),
        nn.Dropout2d(0.5), nn.Conv2d(hidden, 2, 1),
    )  # fmt: skip
    return features, classifier


def _normed(inputs: int, outputs: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Convolution without padding, its outputs normalised over the batch, rectified."""
    return nn.Conv2d(inputs, outputs, size, stride=stride, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
