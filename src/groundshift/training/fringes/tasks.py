"""What joins a fringe classifier to windows: inputs, loss, answers, the form to export."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from groundshift.nets.fringe_alexnet import STEP, WINDOW, FringeAlexNet
from groundshift.training.fringes.config import FringeModelConfig
from groundshift.training.fringes.patches import FringeSample

__all__ = ["FringeTask", "make_fringe_task"]

_AT_ONCE = 25
"""Windows that are judged at once."""


class FringeTask:
    """Inputs, loss and answers of a network that tells whether a window shows fringes of a landslide."""

    kind = "fringes"
    planes = ("wrapped", "coherence")

    def __init__(self, *, free_size: bool = True) -> None:
        self.free_size = free_size
        """Whether the exported form takes scenes of any size from one window on."""

    @property
    def examples(self) -> list[tuple[int, int, int]]:
        """Shapes (batch, rows, columns) that an export is tried on."""
        larger = [(1, WINDOW + STEP, WINDOW + 3 * STEP)] if self.free_size else []
        return [(2, WINDOW, WINDOW), (1, WINDOW, WINDOW), *larger]

    def batch(self, samples: Sequence[FringeSample]) -> dict[str, Tensor]:
        """Make `interferogram` (B, 2, y, x) and `positive` (B,), 0 or 1."""
        return {
            "interferogram": _inputs(samples),
            "positive": torch.tensor([int(s.positive) for s in samples], dtype=torch.int64),
        }

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Tensor:
        """Return the log-odds of both classes of a batch, (B, 2)."""
        del progress
        found: Tensor = model(batch["interferogram"])
        return found.flatten(1)

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the cross entropy of softmax."""
        return {"class": functional.cross_entropy(outputs.float(), batch["positive"])}

    def predict(self, model: nn.Module, samples: Sequence[FringeSample]) -> list[float]:
        """Return the probability of a candidate for each window."""
        device, training = next(model.parameters()).device, model.training
        run = self.exported(model).eval()
        found: list[float] = []
        for first in range(0, len(samples), _AT_ONCE):
            with torch.inference_mode():
                (score,) = run(_inputs(samples[first : first + _AT_ONCE]).to(device))
            found += score.flatten().float().cpu().tolist()
        model.train(training)
        return found

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the form to export: from `interferogram` to `score` (N, 1, cells, cells)."""
        return _Exported(model)


class _Exported(nn.Module):
    """Probability of a candidate instead of log-odds."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, interferogram: Tensor) -> tuple[Tensor]:
        return (torch.softmax(self.model(interferogram), 1)[:, 1:],)


def make_fringe_task(config: FringeModelConfig) -> tuple[FringeTask, nn.Module]:
    """Build a network with fresh weights, drawn from torch's generator, and what joins it to windows."""
    model = FringeAlexNet(config.network, config.width, config.seen)
    return FringeTask(free_size=model.free_size), model


def _inputs(samples: Sequence[FringeSample]) -> Tensor:
    """Stack wrapped phase and coherence, (B, 2, y, x)."""
    return torch.from_numpy(np.stack([np.stack([s.wrapped, s.coherence]) for s in samples]))
