"""Attention-YOLOv3: the detector of Fu et al. (2022), section 4.3, and the plain YOLOv3 they compare it with.

Darknet-53 and the three detection layers are those of Redmon and Farhadi (2018), section 2.3 and Table 1. Fu et al. add
CBAM with a shortcut behind the residual blocks (Figure 5A) and DropBlock in the detection layers (Figure 5B). "Residual
block" may mean each residual unit or each stage of units; both can be built.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.anchors import PAPER_ANCHORS
from groundshift.nets.attention import attention_unit
from groundshift.nets.blocks import ConvUnit, DropBlock, residual_unit, scaled, set_initial_weights

__all__ = [
    "AttentionPlace",
    "Darknet53",
    "WithBoxes",
    "YoloNetwork",
    "YoloV3",
    "attention_yolov3_r",
    "boxes_of_scale",
    "yolov3",
]

AttentionPlace = Literal[False, "unit", "stage"]
"""Where CBAM stands: nowhere, behind each of the 23 residual units, or behind each of the 5 stages of units."""

_STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
"""Channels and residual units of the stages of Darknet-53."""
_BLOCKS = (7, 5, 3)
"""Sides of DropBlock's squares on the maps of 1/8, 1/16 and 1/32; 7 nodes would take half of a map of 13."""
_PRIOR = 0.01
"""Objectness that an untrained network gives each box, so that the background does not drown the first steps."""
_MOST_GROWTH = 5.0
"""Exponents of box sizes are cut here, at 148 times the anchor, which keeps sizes finite whatever the features are."""


def boxes_of_scale(raw: Tensor, anchors: Tensor, stride: int) -> Tensor:
    """Decode the boxes of one detection layer (Redmon and Farhadi (2018), Figure 2).

    Centre = (sigmoid(t_xy) + node) * stride, size = anchor * exp(t_wh).

    Parameters
    ----------
    raw : (B, A, 5 + C, h, w) tensor
        t_x, t_y, t_w, t_h, then what is not looked at here.
    anchors : (A, 2) tensor
        Widths and heights in input pixels.
    stride : int
        Input pixels per node.

    Returns
    -------
    (B, A, h, w, 4) tensor
        x0, y0, x1, y1 in input pixels, outer edges; may reach beyond the input.
    """
    raw = raw[:, :, :4].float()
    rows = torch.arange(raw.shape[-2], device=raw.device, dtype=raw.dtype)[:, None]
    columns = torch.arange(raw.shape[-1], device=raw.device, dtype=raw.dtype)
    x = (torch.sigmoid(raw[:, :, 0]) + columns) * stride
    y = (torch.sigmoid(raw[:, :, 1]) + rows) * stride
    half = 0.5 * anchors[:, :, None, None] * torch.exp(raw[:, :, 2:4].clamp(max=_MOST_GROWTH))
    half_width, half_height = half[:, :, 0], half[:, :, 1]
    return torch.stack([x - half_width, y - half_height, x + half_width, y + half_height], -1)


class Darknet53(nn.Module):
    """The backbone: 52 convolutions in a stem and five stages.

    Parameters
    ----------
    width : float
        All channels are multiplied by this, to multiples of 8.
    attention : False, "unit" or "stage"
        Where CBAM stands.
    in_channels : int
    """

    def __init__(self, width: float = 1.0, attention: AttentionPlace = False, in_channels: int = 1) -> None:
        super().__init__()
        if attention not in (False, "unit", "stage"):
            raise ValueError(f"attention must be False, 'unit' or 'stage', instead got {attention!r}")
        channels = scaled(32, width)
        self.stem = ConvUnit(in_channels, channels, 3)
        self.stages = nn.ModuleList()
        for full, units in _STAGES:
            before, channels = channels, scaled(full, width)
            layers: list[nn.Module] = [ConvUnit(before, channels, 3, 2)]
            for number in range(1, units + 1):
                layers.append(residual_unit(channels, scaled(full // 2, width)))
                if attention == "unit" or (attention == "stage" and number == units):
                    layers.append(attention_unit(channels))
            self.stages.append(nn.Sequential(*layers))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of 1/8, 1/16 and 1/32 of an input (B, in_channels, y, x): 256, 512, 1024 times width."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[-3:]


class YoloNetwork(nn.Module):
    """What YOLO networks share: anchors, the form of outputs, their decoding, and DropBlock's progress.

    Parameters
    ----------
    anchors : (n, 2) array
        Widths and heights in input pixels, the same number for each stride; the smallest go to the finest map.
    strides : sequence of int
        Input pixels per node of each detection layer, the finest map first.
    classes : int
        Number of classes.
    """

    anchors: Tensor
    """(strides, A, 2): widths and heights in input pixels. Saved with the weights."""

    def __init__(self, anchors: ArrayLike, strides: Sequence[int], classes: int) -> None:
        super().__init__()
        if classes < 1:
            raise ValueError(f"classes must be at least 1, instead got {classes}; the background is not a class")
        sizes = torch.as_tensor(anchors, dtype=torch.float32)
        if sizes.ndim != 2 or sizes.shape[1] != 2 or not len(sizes) or len(sizes) % len(strides) or (sizes <= 0).any():
            raise ValueError(
                f"anchors must be positive widths and heights of shape (n, 2), n a multiple of {len(strides)} (one "
                f"group for each detection layer), instead got shape {tuple(sizes.shape)}"
            )
        order = torch.argsort(sizes.prod(1), stable=True)
        self.register_buffer("anchors", sizes[order].reshape(len(strides), -1, 2))
        self.strides = tuple(strides)
        self.outputs_per_anchor = 5 + classes

    @property
    def anchors_per_scale(self) -> int:
        """Number of anchors of each detection layer."""
        return self.anchors.shape[1]

    def make_head(self, inputs: int) -> nn.Conv2d:
        """Return the last convolution of a detection layer, to be initialised by `prime_heads`."""
        return nn.Conv2d(inputs, self.anchors_per_scale * self.outputs_per_anchor, 1)

    def prime_heads(self, heads: Sequence[nn.Module]) -> None:
        """Let an untrained network answer with its anchors and an objectness of about 0.01."""
        for head in heads:
            if isinstance(head, nn.Conv2d) and head.bias is not None:
                nn.init.normal_(head.weight, std=0.01)
                with torch.no_grad():
                    bias = head.bias.view(self.anchors_per_scale, self.outputs_per_anchor)
                    bias.zero_()
                    bias[:, 4] = torch.logit(torch.tensor(_PRIOR))

    def split(self, raw: Tensor) -> Tensor:
        """Give the output of a head, (B, A * (5 + C), h, w), the shape (B, A, 5 + C, h, w)."""
        return raw.reshape(-1, self.anchors_per_scale, self.outputs_per_anchor, raw.shape[-2], raw.shape[-1])

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the input's height and width are multiples of the coarsest stride."""
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
            return
        if x.shape[-2] % self.strides[-1] or x.shape[-1] % self.strides[-1]:
            raise ValueError(
                f"height and width must be multiples of {self.strides[-1]}, instead got {tuple(x.shape[-2:])}; pad "
                "with zeros"
            )

    def set_progress(self, fraction: float) -> None:
        """Tell the network which share of its training is done, 0 to 1; DropBlock comes on with it."""
        for module in self.modules():
            if isinstance(module, DropBlock):
                module.set_progress(fraction)

    def decode(self, outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn outputs into boxes and scores.

        Parameters
        ----------
        outputs : sequence of (B, A, 5 + C, h, w) tensors
            As `forward` returns them.

        Returns
        -------
        boxes : (B, M, 4) tensor
            x0, y0, x1, y1 in input pixels, outer edges; M = sum of A h w. They may reach beyond the input.
        scores : (B, M) tensor
            Objectness times the probability of the likeliest class, 0 to 1.
        """
        boxes, scores = [], []
        for raw, anchors, stride in zip(outputs, self.anchors.unbind(), self.strides, strict=True):
            boxes.append(boxes_of_scale(raw, anchors, stride).flatten(1, 3))
            chance = torch.sigmoid(raw[:, :, 4:].float())
            scores.append((chance[:, :, 0] * chance[:, :, 1:].amax(2)).flatten(1))
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class YoloV3(YoloNetwork):
    """YOLOv3 with the additions of Fu et al. (2022): CBAM in the backbone, DropBlock in the detection layers.

    Parameters
    ----------
    anchors : (n, 2) array
        Widths and heights in input pixels, a multiple of three; the smallest third goes to the finest map.
    width : float
        All channels are multiplied by this, to multiples of 8; 1 is the network as published.
    attention : False, "unit" or "stage"
        Where CBAM stands.
    dropblock : bool
        DropBlock behind the fifth convolution of each detection layer, in squares of 7, 5 and 3 nodes. It is off until
        `set_progress` turns it on.
    in_channels : int
    classes : int
    """

    def __init__(
        self,
        anchors: ArrayLike,
        width: float = 1.0,
        attention: AttentionPlace = False,
        dropblock: bool = False,
        in_channels: int = 1,
        classes: int = 1,
    ) -> None:
        super().__init__(anchors, (8, 16, 32), classes)
        self.backbone = Darknet53(width, attention, in_channels)
        self.necks, self.heads, self.laterals = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        inputs = scaled(1024, width)
        # From the coarsest map to the finest; each hands half its channels on to the next.
        for block, narrow, skipped in zip(reversed(_BLOCKS), (512, 256, 128), (512, 256, 0), strict=True):
            low, high = scaled(narrow, width), scaled(2 * narrow, width)
            layers: list[nn.Module] = [
                ConvUnit(inputs, low, 1), ConvUnit(low, high, 3), ConvUnit(high, low, 1), ConvUnit(low, high, 3),
                ConvUnit(high, low, 1),
            ]  # fmt: skip
            if dropblock:
                layers.append(DropBlock(block))
            self.necks.append(nn.Sequential(*layers))
            self.heads.append(nn.Sequential(ConvUnit(low, high, 3), self.make_head(high)))
            if skipped:
                passed = scaled(narrow // 2, width)
                self.laterals.append(ConvUnit(low, passed, 1))
                inputs = passed + scaled(skipped, width)
        set_initial_weights(self)
        self.prime_heads([head[-1] for head in self.heads if isinstance(head, nn.Sequential)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the three detection layers.

        Parameters
        ----------
        x : (B, in_channels, y, x) tensor
            Height and width multiples of 32; zero without data.

        Returns
        -------
        tuple of (B, A, 5 + C, h, w) tensors
            For maps of 1/8, 1/16 and 1/32: t_x, t_y, t_w, t_h, and the logits of objectness and of each class.

        Raises
        ------
        ValueError
            If height or width is not a multiple of 32.
        """
        self.check_input(x)
        fine, middle, features = self.backbone(x)
        skipped = [fine, middle]
        outputs = []
        for number, (neck, head) in enumerate(zip(self.necks, self.heads, strict=True)):
            features = neck(features)
            outputs.append(self.split(head(features)))
            if skipped:
                passed = functional.interpolate(self.laterals[number](features), scale_factor=2.0, mode="nearest")
                features = torch.cat([passed, skipped.pop()], 1)
        return tuple(reversed(outputs))


class WithBoxes(nn.Module):
    """A YOLO network with its decoding: the form to export.

    Parameters
    ----------
    network : YoloNetwork
    """

    def __init__(self, network: YoloNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (B, M, 4) in input pixels and scores (B, M), as `YoloNetwork.decode` does."""
        return self.network.decode(self.network(x))


def yolov3(
    anchors: ArrayLike = PAPER_ANCHORS,
    width: float = 1.0,
    *,
    attention: AttentionPlace = False,
    dropblock: bool = False,
    in_channels: int = 1,
    classes: int = 1,
) -> YoloV3:
    """Build the YOLOv3 that Fu et al. (2022) compare with, Table 2; arguments as for `YoloV3`."""
    return YoloV3(anchors, width, attention, dropblock, in_channels, classes)


def attention_yolov3_r(
    anchors: ArrayLike = PAPER_ANCHORS,
    width: float = 1.0,
    *,
    attention: AttentionPlace = "unit",
    dropblock: bool = True,
    in_channels: int = 1,
    classes: int = 1,
) -> YoloV3:
    """Build A-YOLOv3-R of Fu et al. (2022): attention and DropBlock; arguments as for `YoloV3`."""
    return YoloV3(anchors, width, attention, dropblock, in_channels, classes)
