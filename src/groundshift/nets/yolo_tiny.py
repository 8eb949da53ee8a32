"""Attention-YOLOv3-Tiny: the small detector of Fu et al. (2022), section 4.3.

They describe it as Attention-YOLOv3 with two detection layers and a shallower backbone. Here these are the ones of
YOLOv3-tiny, which has no residual units: CBAM with its shortcut stands behind each convolution of the backbone instead.
"""

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.anchors import PAPER_ANCHORS, cluster_anchors
from groundshift.nets.attention import attention_unit
from groundshift.nets.blocks import ConvUnit, scaled, set_initial_weights
from groundshift.nets.yolov3 import YoloNetwork

__all__ = ["TinyYolo", "attention_yolov3_t"]

_FINE = (16, 32, 64, 128, 256)
"""Channels of the convolutions down to 1/16 of the input; a maximum of 2 x 2 lies between each two."""
_COARSE = (512, 1024)
"""Channels of the convolutions on 1/32."""


class _SameMaximum(nn.Module):
    """Maximum of 2 x 2 nodes in steps of one; the map keeps its size."""

    def forward(self, x: Tensor) -> Tensor:
        # Repeating the last row and column does not change any maximum.
        return functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), mode="replicate"), 2, 1)


class TinyYolo(YoloNetwork):
    """YOLOv3-tiny, with CBAM as Fu et al. (2022) have it.

    Parameters
    ----------
    anchors : (n, 2) array
        Widths and heights in input pixels, an even number; the smaller half goes to the finer map.
    width : float
        All channels are multiplied by this, to multiples of 8; 1 is the network as published.
    attention : bool
        CBAM with its shortcut behind each of the seven convolutions of the backbone.
    in_channels : int
    classes : int
    """

    def __init__(
        self,
        anchors: ArrayLike,
        width: float = 1.0,
        attention: bool = True,
        in_channels: int = 1,
        classes: int = 1,
    ) -> None:
        super().__init__(anchors, (16, 32), classes)
        before = in_channels
        groups: list[list[nn.Module]] = [[], []]
        for group, members in zip(groups, (_FINE, _COARSE), strict=True):
            for full in members:
                channels = scaled(full, width)
                if full != _FINE[0]:
                    group.append(_SameMaximum() if full == _COARSE[1] else nn.MaxPool2d(2))
                group.append(ConvUnit(before, channels, 3))
                if attention:
                    group.append(attention_unit(channels))
                before = channels
        self.fine, self.coarse = nn.Sequential(*groups[0]), nn.Sequential(*groups[1])
        low, passed = scaled(256, width), scaled(128, width)
        self.narrow = ConvUnit(before, low, 1)
        self.lateral = ConvUnit(low, passed, 1)
        self.coarse_head = nn.Sequential(ConvUnit(low, scaled(512, width), 3), self.make_head(scaled(512, width)))
        joined = passed + scaled(_FINE[-1], width)
        self.fine_head = nn.Sequential(ConvUnit(joined, low, 3), self.make_head(low))
        set_initial_weights(self)
        self.prime_heads([self.fine_head[-1], self.coarse_head[-1]])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the two detection layers.

        Parameters
        ----------
        x : (B, in_channels, y, x) tensor
            Height and width multiples of 32; zero without data.

        Returns
        -------
        tuple of (B, A, 5 + C, h, w) tensors
            For maps of 1/16 and 1/32: t_x, t_y, t_w, t_h, and the logits of objectness and of each class.

        Raises
        ------
        ValueError
            If height or width is not a multiple of 32.
        """
        self.check_input(x)
        fine = self.fine(x)
        features = self.narrow(self.coarse(fine))
        passed = functional.interpolate(self.lateral(features), scale_factor=2.0, mode="nearest")
        return self.split(self.fine_head(torch.cat([passed, fine], 1))), self.split(self.coarse_head(features))


def attention_yolov3_t(
    anchors: ArrayLike | None = None,
    width: float = 1.0,
    *,
    attention: bool = True,
    in_channels: int = 1,
    classes: int = 1,
) -> TinyYolo:
    """Build A-YOLOv3-T of Fu et al. (2022); arguments as for `TinyYolo`.

    They give no anchors for it: without any, their nine are clustered to six.
    """
    if anchors is None:
        anchors = cluster_anchors(PAPER_ANCHORS, 6)
    return TinyYolo(anchors, width, attention, in_channels, classes)
