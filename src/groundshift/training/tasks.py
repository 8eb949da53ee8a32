"""What joins a network to samples: its inputs, its targets and losses, and how its answers become bodies."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from groundshift.detect.bodies import decode_bodies
from groundshift.detect.boxes import cut_at_edges, decode_boxes, merge_directions
from groundshift.detect.planes import PLANES
from groundshift.detect.prediction import Prediction
from groundshift.errors import GroundshiftError
from groundshift.nets import NETWORKS
from groundshift.nets.bodynet import BodyMaps, BodyNet
from groundshift.nets.bodynet_loss import BodyTargets, body_losses, body_targets
from groundshift.nets.yolo_loss import yolo_losses
from groundshift.nets.yolov3 import WithBoxes
from groundshift.training.augment import padded
from groundshift.training.config import ModelConfig
from groundshift.training.samples import IGNORED, Sample, boxes_of

__all__ = ["STRIDE", "BodyTask", "BoxTask", "Task", "UnknownNetworkError", "direction_images", "make_task"]

STRIDE = 32
"""Rows and columns that networks see are multiples of this."""

_MOST_RADIANS = 4.0
"""Fu et al. (2022) show summed phase differences from -4 to 4 radians."""


class UnknownNetworkError(GroundshiftError, ValueError):
    """There is no network of this name."""


class Task(Protocol):
    """A network's inputs, losses and decoding."""

    kind: Literal["bodies", "boxes"]
    """What it draws."""
    planes: tuple[str, ...]
    """Names of the maps that samples hold."""
    in_radians: bool
    """Whether it sees summed radians instead of velocities."""

    def batch(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Make inputs and targets of samples of one shape, a multiple of `STRIDE`."""
        ...

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Any:
        """Run the network; `progress` is the share of training that is done."""
        ...

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised."""
        ...

    def predict(self, model: nn.Module, samples: Sequence[Sample]) -> list[list[Prediction]]:
        """Return what a network finds on each sample, the highest score first."""
        ...

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the form to export: from its one input to its named outputs."""
        ...


class BodyTask:
    """`BodyNet`: all planes in, bodies with masks out."""

    kind: Literal["bodies", "boxes"] = "bodies"
    planes: tuple[str, ...] = PLANES
    in_radians = False

    def batch(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Make `planes` (B, 8, y, x) and the parts of `BodyTargets`."""
        known = PLANES.index("known")
        targets = [body_targets(s.labels, s.planes[known] > 0) for s in samples]
        joined = {name: torch.stack([getattr(t, name) for t in targets]) for name in BodyTargets._fields}
        return {"planes": _planes(samples), **joined}

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> BodyMaps:
        """Return the maps of a batch."""
        del progress
        maps: BodyMaps = model(batch["planes"])
        return maps

    def losses(self, outputs: BodyMaps, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of `body_losses`."""
        return body_losses(outputs, BodyTargets(*(batch[name] for name in BodyTargets._fields)))

    def predict(self, model: nn.Module, samples: Sequence[Sample]) -> list[list[Prediction]]:
        """Return the bodies on each sample."""
        found: list[list[Prediction]] = []
        for sample in samples:
            maps: BodyMaps = _run(model, _planes([_fitted(sample)]))
            body = torch.sigmoid(maps.body)[0, 0].float().cpu().numpy()
            offset = maps.offset[0].float().cpu().numpy()
            y, x = sample.labels.shape
            found.append(decode_bodies(body[:y, :x], offset[:, :y, :x], sample.planes[PLANES.index("known")] > 0))
        return found

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the network with a probability instead of log-odds."""
        return _Probabilities(model)


class BoxTask:
    """The YOLO family as Fu et al. (2022) use it: each direction is an image of its own; boxes of both are merged."""

    kind: Literal["bodies", "boxes"] = "boxes"
    planes: tuple[str, ...] = PLANES
    in_radians = True

    def __init__(self, config: ModelConfig) -> None:
        self._box_loss, self._smoothing = config.box_loss, config.label_smoothing

    def batch(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Make `gradient` (2 B, 1, y, x), first y then x of each sample, and `boxes` and `ignored` (n, 5).

        Rows of the latter are the number of the image and x0, y0, x1, y1 in nodes.
        """
        images = np.concatenate([direction_images(s) for s in samples])
        boxes = [
            (2 * k + d, *box) for k, s in enumerate(samples) for d in (0, 1) for box in boxes_of(s.labels).values()
        ]
        ignored = [(2 * k + d, *box) for k, s in enumerate(samples) for d in (0, 1) for box in _ignored_boxes(s.labels)]
        return {"gradient": torch.from_numpy(images), "boxes": _rows(boxes), "ignored": _rows(ignored)}

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Any:
        """Return the network and the raw outputs of each detection layer."""
        model.set_progress(progress)  # type: ignore[operator]
        return model, model(batch["gradient"])

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms `box`, `objectness` and `class`."""
        model, raw = outputs
        truths, ignored = (
            [table[table[:, 0] == k, 1:] for k in range(len(batch["gradient"]))]
            for table in (batch["boxes"], batch["ignored"])
        )
        return yolo_losses(
            raw, model.anchors, model.strides, truths,
            ignore=ignored, box_loss=self._box_loss, smoothing=self._smoothing,
        )  # fmt: skip

    def predict(self, model: nn.Module, samples: Sequence[Sample]) -> list[list[Prediction]]:
        """Return the boxes on each sample, those of both directions merged."""
        found: list[list[Prediction]] = []
        for sample in samples:
            raw = _run(model, torch.from_numpy(direction_images(_fitted(sample))))
            boxes, scores = (t.float().cpu().numpy() for t in model.decode(raw))  # type: ignore[operator]
            one, other = (decode_boxes(boxes[d], scores[d]) for d in (0, 1))
            found.append(cut_at_edges(merge_directions(one, other), sample.labels.shape))
        return found

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the network with its decoding."""
        return WithBoxes(model)  # type: ignore[arg-type]


def make_task(config: ModelConfig, anchors: NDArray[np.float64] | None = None) -> tuple[Task, nn.Module]:
    """Build a network with fresh weights, drawn from torch's generator, and what joins it to samples.

    Parameters
    ----------
    config : ModelConfig
        Name and switches.
    anchors : (n, 2) array, optional
        Box sizes that a YOLO network starts from, nodes; the published ones by default.

    Raises
    ------
    UnknownNetworkError
        If there is no such network.
    """
    if config.network not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise UnknownNetworkError(f"--network: expected one of {known}, instead got {config.network!r}")
    build = NETWORKS[config.network]
    switches = inspect.signature(build).parameters
    given: dict[str, Any] = {"width": config.width}
    given |= {name: False for name in ("attention", "dropblock") if not getattr(config, name) and name in switches}
    if "directions" in switches:
        given["directions"] = config.directions
    if anchors is not None:
        given["anchors"] = anchors
    model = build(**given)
    return (BodyTask() if isinstance(model, BodyNet) else BoxTask(config)), model


def direction_images(sample: Sample) -> NDArray[np.float32]:
    """Return (2, 1, y, x): both directions as the YOLO family sees them, summed radians over four, at most one."""
    scaled = sample.gradient_radians()[:, np.newaxis] / np.float32(_MOST_RADIANS)
    return np.asarray(np.clip(scaled, -1, 1), np.float32)


class _Probabilities(nn.Module):
    """`BodyNet` with the sigmoid inside."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.network(planes)
        return torch.sigmoid(maps.body), maps.offset


def _planes(samples: Sequence[Sample]) -> Tensor:
    """Return (B, 8, y, x)."""
    return torch.from_numpy(np.stack([s.planes for s in samples]))


def _fitted(sample: Sample) -> Sample:
    """Pad a sample to multiples of `STRIDE`."""
    y, x = (-(-n // STRIDE) * STRIDE for n in sample.labels.shape)
    return padded(sample, (y, x))


def _run(model: nn.Module, inputs: Tensor) -> Any:
    """Run a network where it lies, as it is used."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        found = model(inputs.to(next(model.parameters()).device, memory_format=torch.channels_last))
    model.train(training)
    return found


def _rows(boxes: Sequence[tuple[float, ...]]) -> Tensor:
    """Return (n, 5), also of none."""
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5)


def _ignored_boxes(labels: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
    """Return the boxes of connected ground that is not judged."""
    parts, _ = ndimage.label(labels == IGNORED)
    return [
        (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        for rows, columns in ndimage.find_objects(parts)
    ]
