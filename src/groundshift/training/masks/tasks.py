"""What joins a network that masks to samples: inputs, losses, answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groundshift.detect.tiling import padded
from groundshift.nets.masknet import MaskNet
from groundshift.nets.masknet_loss import mask_loss
from groundshift.training.masks.config import MaskModelConfig
from groundshift.training.masks.samples import MaskSample

__all__ = ["MaskTask", "make_mask_task"]


class MaskTask:
    """Inputs, losses and answers; `dice` is the weight of the overlap beside the cross entropy."""

    kind = "coherent"
    planes = ("wrapped", "coherence", "amplitude")

    def __init__(self, dice: float = 0.5) -> None:
        self._dice = dice

    def batch(self, samples: Sequence[MaskSample]) -> dict[str, Tensor]:
        """Make `interferogram` (B, 3, y, x), and `usable` and `judged`, (B, 1, y, x) each."""
        return {
            "interferogram": _inputs(samples),
            "usable": _stack([s.usable for s in samples]),
            "judged": _stack([s.judged.astype(np.float32) for s in samples]),
        }

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Any:
        """Return the log-odds of a batch."""
        del progress
        return model(batch["interferogram"])

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised."""
        return mask_loss(outputs, batch["usable"], batch["judged"], dice=self._dice)

    def predict(self, model: nn.Module, samples: Sequence[MaskSample]) -> list[NDArray[np.float32]]:
        """Return the probability of being coherent, (y, x), 0 without data, for each sample."""
        device, training = next(model.parameters()).device, model.training
        run = self.exported(model).eval()
        found = []
        for sample in samples:
            y, x = sample.wrapped.shape
            with torch.inference_mode():
                (out,) = run(torch.from_numpy(padded(_inputs([sample]).numpy())).to(device))
            found.append(np.where(sample.known, out[0, 0, :y, :x].float().cpu().numpy(), np.float32(0)))
        model.train(training)
        return found

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the form to export: from `interferogram` to `probability` (N, 1, y, x)."""
        return _Exported(model)


class _Exported(nn.Module):
    """Probabilities instead of log-odds."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, interferogram: Tensor) -> tuple[Tensor]:
        return (torch.sigmoid(self.model(interferogram)),)


def make_mask_task(config: MaskModelConfig) -> tuple[MaskTask, nn.Module]:
    """Build a network with fresh weights, drawn from torch's generator, and what joins it to samples."""
    return MaskTask(config.dice), MaskNet(config.width)


def _inputs(samples: Sequence[MaskSample]) -> Tensor:
    """Stack wrapped phase, coherence and amplitude, (B, 3, y, x)."""
    return torch.from_numpy(np.stack([np.stack([s.wrapped, s.coherence, s.amplitude]) for s in samples]))


def _stack(planes: Sequence[NDArray[np.float32]]) -> Tensor:
    """Stack planes as (B, 1, y, x)."""
    return torch.from_numpy(np.stack(planes)[:, np.newaxis])
