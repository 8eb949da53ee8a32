"""Networks: their layers, losses and anchors. They know torch and NumPy and nothing else of Groundshift."""

from collections.abc import Callable

from torch import nn

from groundshift.nets.bodynet import BodyNet
from groundshift.nets.yolo_tiny import attention_yolov3_t
from groundshift.nets.yolov3 import attention_yolov3_r, yolov3

__all__ = ["NETWORKS"]

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "attention_yolov3_r": attention_yolov3_r,
    "attention_yolov3_t": attention_yolov3_t,
    "bodynet": BodyNet,
    "yolov3": yolov3,
}
"""Builders by name. All take `width`, which multiplies the numbers of channels; 1 is the network as published."""
