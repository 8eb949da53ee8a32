"""What training of a fringe classifier can be told; the rest is as of any training."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundshift.simulate.fringe_config import FringeConfig
from groundshift.training.config import MachineConfig, PlanConfig

__all__ = ["CutConfig", "FringeDataConfig", "FringeModelConfig", "FringePlanConfig", "FringeTrainConfig"]

Share = Annotated[float, Field(ge=0, le=1)]


class _Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class FringeModelConfig(_Config):
    """Which network."""

    network: Literal["slim", "paper"] = "slim"
    """slim: scans a scene in one pass; paper: AlexNet as Kamiyama et al. (2018) changed it, 345 MB."""
    width: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the number of channels and hidden units."""
    seen: Literal["circle", "centre"] = "circle"
    """What is seen of the 16 classes of phase: cosine and sine of their middle, or the middle over pi."""
    start_from: Path | None = None
    """Weights to start from: checkpoint of an earlier run, name of a shipped model, or an .onnx file."""


class FringePlanConfig(PlanConfig):
    """How long and how fast is learned; by default as Kamiyama et al. (2018)."""

    steps: Annotated[int, Field(ge=1)] = 30_000
    """Batches to learn from."""
    batch: Annotated[int, Field(ge=1)] = 50
    """Windows in a batch, half of them with a candidate."""
    optimiser: Literal["adamw", "paper", "adam", "sgd", "polynomial"] = "sgd"
    """sgd: with momentum, its rate divided by ten after each sixth of the steps; the others as of `train`."""
    rate: Annotated[float, Field(gt=0)] = 0.01
    """Highest learning rate."""


class FringeDataConfig(_Config):
    """What of the given windows is learned from."""

    without: tuple[str, ...] = ()
    """Scenes that are left out altogether, to judge on."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the other scenes that is held back to validate on; 0 keeps the last weights, as the paper does."""


class CutConfig(_Config):
    """How windows are cut out of interferograms."""

    most_shift: Annotated[int, Field(ge=0, le=60)] = 10
    """Pixels that a candidate lies off the middle at most, along either axis."""
    near_share: Share = 0.3
    """Share of the other windows that may hold a candidate beside their middle; 0 as in the paper."""
    near_pixels: Annotated[int, Field(ge=1)] = 40
    """Pixels from the middle of such a window to the candidate, at least."""
    least_data: Share = 0.5
    """Share of a window that must have data."""
    steep_degrees: Annotated[float, Field(gt=0, lt=90)] = 15.0
    """Ground of this mean slope or more is a slope, the rest flat; other windows are of both alike."""


class FringeTrainConfig(_Config):
    """Everything that training a fringe classifier can be told."""

    inputs: tuple[Path, ...] = ()
    """Folders with positive/ and negative/ windows to learn from; simulated interferograms without any."""
    output: Path
    """Folder for model, checkpoint and curves."""
    model: FringeModelConfig = FringeModelConfig()
    data: FringeDataConfig = FringeDataConfig()
    cut: CutConfig = CutConfig()
    plan: FringePlanConfig = FringePlanConfig()
    machine: MachineConfig = MachineConfig()
    scenes: FringeConfig = FringeConfig()

    @model_validator(mode="after")
    def _check(self) -> "FringeTrainConfig":
        if not self.inputs and self.plan.epochs is not None:
            raise ValueError("--epochs: simulated interferograms have no end; give --steps instead")
        if not self.inputs and self.data.without:
            raise ValueError("--without: simulated interferograms have no names; name folders of windows")
        return self
