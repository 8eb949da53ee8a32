"""What training of a network that outlines moving ground can be told; the rest is as of any training."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from groundshift.training.config import MachineConfig, PlanConfig

__all__ = ["SegmentDataConfig", "SegmentModelConfig", "SegmentTrainConfig", "SplitName"]

SplitName = Literal["paper", "clean"]


class _Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class SegmentModelConfig(_Config):
    """Which network."""

    network: Literal["unet", "resunet", "sepunet", "fcn", "deeplabv3", "slidenet", "slidenet_times"] = "slidenet"
    """unet, resunet, sepunet, fcn and deeplabv3 are those of Bralet et al. (2024); slidenet is ours, and slidenet_times
    looks at several interferograms of a place at once."""
    width: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the number of channels."""
    start_from: Path | None = None
    """Weights to start from: checkpoint of an earlier run, name of a shipped model, or an .onnx file."""


class SegmentDataConfig(_Config):
    """What is learned from, what is held back, and how samples are varied."""

    split: SplitName = "clean"
    """paper: as Bralet et al. (2024) coded it, by name of the interferogram, Queyras held back; clean: by zone, drawn
    by the seed."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the places to learn from that choose the best weights instead; 0: the last weights are kept."""
    still: bool = True
    """Learn from patches without any motion too; Bralet et al. (2024) leave them out."""
    offset: bool = True
    """Add a random constant to the phase, the only variation of Bralet et al. (2024)."""
    symmetry: bool = True
    """Flip, transpose and reverse the motion at random."""
    dates: Annotated[int, Field(ge=1, le=64)] = 6
    """slidenet_times: most interferograms of a place at once."""


class SegmentTrainConfig(_Config):
    """Everything that training a network that outlines moving ground can be told."""

    inputs: tuple[Path, ...] = ()
    """Data sets in the format of ISSLIDE: DELAY/ZONE/DATES/phase/MOVE_PLACE.tif and what belongs to it."""
    output: Path
    """Folder for model, checkpoint and curves."""
    model: SegmentModelConfig = SegmentModelConfig()
    data: SegmentDataConfig = SegmentDataConfig()
    plan: PlanConfig = PlanConfig()
    machine: MachineConfig = MachineConfig()
