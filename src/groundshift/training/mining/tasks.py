"""What joins the networks for mining subsidence to samples: inputs, losses, answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groundshift.detect.bowl_network import phase_of
from groundshift.detect.tiling import padded
from groundshift.nets.bowl_loss import BowlTruth, ddnet_loss, gradient_and_footprint_loss, punet_loss, unet_loss
from groundshift.nets.bowl_unet import BowlUnet
from groundshift.nets.bowlnet import BowlNet
from groundshift.nets.punet import DDNet, PUNet
from groundshift.training.mining.config import BowlModelConfig
from groundshift.training.mining.samples import BowlSample

__all__ = ["Answer", "BowlTask", "make_bowl_task"]

Kind = Literal["bowls", "footprint", "unwrapped"]
"""bowls: footprint, phase and its error; footprint; unwrapped: phase."""

_LIGHT = {"channels": 24, "dilated": 4, "residual": 4}


class Answer(NamedTuple):
    """What a network says of one interferogram; arrays (y, x), None where it does not."""

    probability: NDArray[np.float32] | None
    """0 to 1, that the ground moves by itself."""
    phase: NDArray[np.float32] | None
    """Unwrapped, radians, up to a constant."""
    error: NDArray[np.float32] | None
    """Mean magnitude of the error of its differences between neighbours, radians."""


class BowlTask:
    """Inputs, losses and answers of one of the networks."""

    planes = ("wrapped", "coherence")

    def __init__(self, network: str) -> None:
        self._network = network

    @property
    def kind(self) -> Kind:
        """What the network tells."""
        return "bowls" if self._network == "bowlnet" else "unwrapped" if "punet" in self._network else "footprint"

    def batch(self, samples: Sequence[BowlSample]) -> dict[str, Tensor]:
        """Make `interferogram` (B, 2, y, x) and the parts of `BowlTruth`, (B, 1, y, x) each."""
        truths = {name: _stack([getattr(s, name) for s in samples]) for name in ("phase", "bowl", "footprint")}
        known = _stack([s.known.astype(np.float32) for s in samples])
        return {"interferogram": _inputs(samples), **truths, "known": known}

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Any:
        """Return what the network says of a batch."""
        del progress
        return model(batch["interferogram"])

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised."""
        truth = BowlTruth(*(batch[name] for name in BowlTruth._fields))
        if self.kind == "bowls":
            return gradient_and_footprint_loss(outputs, truth)
        if self.kind == "unwrapped":
            return punet_loss(outputs, truth)
        return (unet_loss if self._network == "unet" else ddnet_loss)(outputs, truth)

    def predict(self, model: nn.Module, samples: Sequence[BowlSample]) -> list[Answer]:
        """Return what the network says of each sample."""
        device, training = next(model.parameters()).device, model.training
        run = self.exported(model).eval()
        found = []
        for sample in samples:
            y, x = sample.wrapped.shape
            with torch.inference_mode():
                out = run(torch.from_numpy(padded(_inputs([sample]).numpy())).to(device))
            maps = [m[0, 0, :y, :x].float().cpu().numpy() for m in out]
            found.append(
                Answer(maps[0], phase_of(maps[1], maps[2], maps[3], sample.known), maps[3]) if self.kind == "bowls"
                else Answer(maps[0], None, None) if self.kind == "footprint"
                else Answer(None, maps[0], None)
            )  # fmt: skip
        model.train(training)
        return found

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the form to export: from `interferogram` to named maps (N, 1, y, x)."""
        return _Exported(model, self.kind)


class _Exported(nn.Module):
    """Probabilities instead of log-odds, errors instead of their logarithms."""

    def __init__(self, model: nn.Module, kind: Kind) -> None:
        super().__init__()
        self.model, self.kind = model, kind

    def forward(self, interferogram: Tensor) -> tuple[Tensor, ...]:
        out = self.model(interferogram)
        if self.kind == "bowls":
            return torch.sigmoid(out.bowl), *out.gradient.split(1, 1), torch.exp(out.log_scale)
        return (torch.sigmoid(out),) if self.kind == "footprint" else (out,)


def make_bowl_task(config: BowlModelConfig) -> tuple[BowlTask, nn.Module]:
    """Build a network with fresh weights, drawn from torch's generator, and what joins it to samples."""
    builders: dict[str, Callable[[], nn.Module]] = {
        "bowlnet": lambda: BowlNet(config.width),
        "unet": lambda: BowlUnet(config.width),
        "ddnet": DDNet,
        "ddnet_light": lambda: DDNet(**_LIGHT),
        "punet": PUNet,
        "punet_light": lambda: PUNet(**_LIGHT),
    }
    return BowlTask(config.network), builders[config.network]()


def _inputs(samples: Sequence[BowlSample]) -> Tensor:
    """Stack wrapped phase and coherence, (B, 2, y, x)."""
    return torch.cat([_stack([s.wrapped for s in samples]), _stack([s.coherence for s in samples])], 1)


def _stack(planes: Sequence[NDArray[np.float32]]) -> Tensor:
    """Stack planes as (B, 1, y, x)."""
    return torch.from_numpy(np.stack(planes)[:, np.newaxis])
