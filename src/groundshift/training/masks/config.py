"""What training of a network that masks can be told; the rest is as of any training."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundshift.simulate.batched.config import BatchConfig, Range
from groundshift.training.config import MachineConfig, PlanConfig

__all__ = ["MaskModelConfig", "MaskSceneConfig", "MaskSpoilConfig", "MaskTrainConfig"]

_MULTIPLE = 32
"""The network halves what it sees five times."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class MaskModelConfig(_Config):
    """Which network, and how it is taught."""

    network: Literal["masknet"] = "masknet"
    """Mask Net of Wang et al. (2023)."""
    width: Annotated[float, Field(gt=0)] = 0.5
    """Factor on the number of channels; 1 are those of ResNet18, whose weights take 31 MB."""
    dice: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the overlap of decorrelated ground beside the cross entropy; 0: cross entropy alone, as published."""
    start_from: Path | None = None
    """Weights to start from: checkpoint of an earlier run, name of a shipped model, or an .onnx file."""


class MaskSceneConfig(BatchConfig):
    """What scenes are drawn from: those of other networks, over shorter and longer times."""

    shape: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]] = (128, 128)
    """Rows and columns of what the network sees, multiples of 32."""
    scenes: int = Field(4, ge=1)
    """Scenes in a batch; they share pixel, dates and pairs."""
    dates: tuple[int, int] = (8, 30)
    """Acquisitions, log-uniform."""
    max_days: tuple[int, ...] = (12, 24, 48, 96, 180)
    """Longest pair, one drawn for a batch."""
    looks: Range = (1.5, 60.0)
    """Independent looks in a pixel, log-uniform."""
    pairs_seen: Annotated[int, Field(ge=1)] = 4
    """Pairs of each batch that are learned from."""

    @model_validator(mode="after")
    def _check_looks(self) -> "MaskSceneConfig":
        low, high = self.looks
        if not 1 <= low <= high:
            raise ValueError(f"looks must be (low, high) with 1 <= low <= high, instead got ({low:g}, {high:g})")
        return self


class MaskSpoilConfig(_Config):
    """How simulated interferograms are made like those that people have."""

    no_amplitude: Share = 0.5
    """Share that is shown without amplitude; of drawn masks too."""
    no_coherence: Share = 0.25
    """Share whose coherence is told from the phase alone, as of products that bring none."""
    filtered: Share = 0.3
    """Share that is filtered after Goldstein, strength 0.3 to 1; of half of them coherence is estimated afterwards."""
    biased: Share = 0.15
    """Share whose coherence does not fall below a floor of 0.15 to 0.4, as estimators with weights leave it."""
    holes: Share = 0.2
    """Share that lacks rectangles of data."""
    gaps: Share = 0.15
    """Share with a strip of noise along an edge of a burst."""


class MaskTrainConfig(_Config):
    """Everything that training a network that masks can be told."""

    inputs: tuple[Path, ...] = ()
    """Folders with `phase/NAME.tif` and masks drawn by hand to learn from; simulated scenes without any."""
    output: Path
    """Folder for model, checkpoint and curves."""
    polygons: Path | None = None
    """Polygons of decorrelated ground (GeoPackage), where the folders hold no masks."""
    layer: str | None = None
    """Layer of that file; the first one with polygons by default."""
    model: MaskModelConfig = MaskModelConfig()
    spoil: MaskSpoilConfig = MaskSpoilConfig()
    plan: PlanConfig = PlanConfig()
    machine: MachineConfig = MachineConfig()
    scenes: MaskSceneConfig = MaskSceneConfig()

    @model_validator(mode="after")
    def _check(self) -> "MaskTrainConfig":
        rows, columns = self.scenes.shape
        if rows % _MULTIPLE or columns % _MULTIPLE:
            raise ValueError(f"--shape: expected multiples of {_MULTIPLE}, instead got {rows} x {columns}")
        if not self.inputs and self.plan.epochs is not None:
            raise ValueError("--epochs: simulated scenes have no end; give --steps instead")
        if not self.inputs and self.polygons is not None:
            raise ValueError("--polygons: simulated scenes bring their own truth; name folders of interferograms too")
        return self
