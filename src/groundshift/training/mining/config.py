"""What training of a network for mining subsidence can be told; the rest is as of any training."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundshift.simulate.mining.config import MiningConfig
from groundshift.training.config import MachineConfig, PlanConfig

__all__ = ["BowlModelConfig", "BowlTrainConfig", "SpoilConfig"]

_MULTIPLE = 16
"""Networks halve what they see up to four times."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class BowlModelConfig(_Config):
    """Which network."""

    network: Literal["bowlnet", "ddnet", "ddnet_light", "punet", "punet_light", "unet"] = "bowlnet"
    """bowlnet finds and unwraps; ddnet and unet find, punet unwraps."""
    width: Annotated[float, Field(gt=0)] = 0.75
    """bowlnet, unet: factor on the number of channels."""
    start_from: Path | None = None
    """Weights to start from: checkpoint of an earlier run, name of a shipped model, or an .onnx file."""


class SpoilConfig(_Config):
    """How simulated interferograms are made like those that people have."""

    no_coherence: Share = 0.5
    """Share whose coherence is told from the phase alone, as of products that bring none."""
    filtered: Share = 0.4
    """Share that is filtered after Goldstein, with a strength of 0.3 to 1."""
    holes: Share = 0.3
    """Share that lacks rectangles of data."""


class BowlTrainConfig(_Config):
    """Everything that training a network for mining subsidence can be told."""

    inputs: tuple[Path, ...] = ()
    """Folders with `phase/NAME.tif` and `mask/NAME.tif` to learn from; simulated scenes without any."""
    output: Path
    """Folder for model, checkpoint and curves."""
    model: BowlModelConfig = BowlModelConfig()
    spoil: SpoilConfig = SpoilConfig()
    plan: PlanConfig = PlanConfig()
    machine: MachineConfig = MachineConfig()
    scenes: MiningConfig = MiningConfig()

    @model_validator(mode="after")
    def _check(self) -> "BowlTrainConfig":
        rows, columns = self.scenes.shape
        if rows % _MULTIPLE or columns % _MULTIPLE:
            raise ValueError(f"--shape: expected multiples of {_MULTIPLE}, instead got {rows} x {columns}")
        if not self.inputs and self.plan.epochs is not None:
            raise ValueError("--epochs: simulated scenes have no end; give --steps instead")
        if self.inputs and self.model.network.startswith("punet"):
            raise ValueError(
                f"--network: {self.model.network} learns to unwrap, which masks do not tell; choose one that finds, or "
                "leave the folders out"
            )
        return self
