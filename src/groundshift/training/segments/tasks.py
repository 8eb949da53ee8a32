"""What joins networks that outline moving ground to samples: inputs, losses, answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groundshift.detect.tiling import padded
from groundshift.nets.isslide import SmallUnet
from groundshift.nets.resnet_segments import ResnetSegments
from groundshift.nets.segment_loss import segment_loss
from groundshift.nets.slidenet import SlideNet, SlideNetTimes
from groundshift.training.segments.config import SegmentModelConfig
from groundshift.training.segments.samples import SegmentSample, SegmentSet

__all__ = ["SegmentTask", "make_segment_task"]

_OURS = ("slidenet", "slidenet_times")


class SegmentTask:
    """Inputs, losses and answers of one of the networks; samples are sets for the one that looks at many dates."""

    planes = ("wrapped", "coherence")

    def __init__(self, network: str) -> None:
        self._network = network

    @property
    def kind(self) -> Literal["footprint", "footprint_of_many"]:
        """What the network tells."""
        return "footprint_of_many" if self._network == "slidenet_times" else "footprint"

    def batch(self, samples: Sequence[SegmentSample | SegmentSet]) -> dict[str, Tensor]:
        """Make `interferogram`, (B, 2, y, x) or (B, T, 2, y, x), and `mask` and `known`, (B, 1, y, x)."""
        return {
            "interferogram": torch.from_numpy(_inputs(samples)),
            "mask": _stack([s.mask for s in samples]),
            "known": _stack([s.known.astype(np.float32) for s in samples]),
        }

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Any:
        """Return what the network says of a batch."""
        del progress
        return model(batch["interferogram"])

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised: those of the authors for their networks."""
        return segment_loss(outputs, batch["mask"], batch["known"], dice=self._network in _OURS)

    def predict(self, model: nn.Module, samples: Sequence[SegmentSample | SegmentSet]) -> list[NDArray[np.float32]]:
        """Return the probability of moving ground of each sample, (y, x)."""
        device, training = next(model.parameters()).device, model.training
        run = self.exported(model).eval()
        found = []
        for sample in samples:
            inputs = _inputs([sample])
            inputs = inputs[0] if self.kind == "footprint_of_many" else inputs
            y, x = inputs.shape[-2:]
            with torch.inference_mode():
                (out,) = run(torch.from_numpy(padded(inputs)).to(device))
            found.append(out[0, 0, :y, :x].float().cpu().numpy())
        model.train(training)
        return found

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the form to export: from `interferogram`, dates along its first axis if it sees many, to maps."""
        return _Exported(model, many=self.kind == "footprint_of_many")


class _Exported(nn.Module):
    """Probabilities instead of log-odds."""

    def __init__(self, model: nn.Module, *, many: bool) -> None:
        super().__init__()
        self.model, self.many = model, many

    def forward(self, interferogram: Tensor) -> tuple[Tensor]:
        return (torch.sigmoid(self.model(interferogram.unsqueeze(0) if self.many else interferogram)),)


def make_segment_task(config: SegmentModelConfig) -> tuple[SegmentTask, nn.Module]:
    """Build a network with fresh weights, drawn from torch's generator, and what joins it to samples."""
    builders: dict[str, Callable[[], nn.Module]] = {
        "unet": lambda: SmallUnet("plain", config.width),
        "resunet": lambda: SmallUnet("residual", config.width),
        "sepunet": lambda: SmallUnet("separable", config.width),
        "fcn": lambda: ResnetSegments(pyramid=False, width=config.width),
        "deeplabv3": lambda: ResnetSegments(pyramid=True, width=config.width),
        "slidenet": lambda: SlideNet(config.width),
        "slidenet_times": lambda: SlideNetTimes(config.width),
    }
    return SegmentTask(config.network), builders[config.network]()


def _inputs(samples: Sequence[SegmentSample | SegmentSet]) -> NDArray[np.float32]:
    """Stack wrapped phase and coherence; sets are filled up with interferograms without data to the largest."""
    rows = []
    most = max((len(s.members) for s in samples if isinstance(s, SegmentSet)), default=0)
    for sample in samples:
        if isinstance(sample, SegmentSample):
            rows.append(np.stack([sample.wrapped, sample.coherence]))
            continue
        planes = np.stack([np.stack([m.wrapped, m.coherence]) for m in sample.members])
        rows.append(np.pad(planes, [(0, most - len(planes)), *[(0, 0)] * 3]))
    return np.stack(rows).astype(np.float32)


def _stack(planes: Sequence[NDArray[np.float32]]) -> Tensor:
    """Stack planes as (B, 1, y, x)."""
    return torch.from_numpy(np.stack(planes)[:, np.newaxis])
