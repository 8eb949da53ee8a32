"""What a training run can be told: frozen models that the command line, the YAML file and Python share.

The text beside each field is its help on the command line. Nothing here needs torch.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundshift.simulate.batched.config import BatchConfig

__all__ = ["AugmentConfig", "DataConfig", "MachineConfig", "ModelConfig", "PlanConfig", "TrainConfig"]

Share = Annotated[float, Field(ge=0, le=1)]


class _Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class ModelConfig(_Config):
    """Which network, and how it is taught."""

    network: str = "bodynet"
    """Name of the network: `bodynet` draws bodies; the YOLO family of Fu et al. (2022) draws boxes."""
    width: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the number of channels."""
    directions: Literal["both", "y", "x"] = "both"
    """bodynet: which gradients it sees; one alone is for comparisons."""
    attention: bool = True
    """YOLO: attention modules where the network has them."""
    dropblock: bool = True
    """YOLO: drop blocks of features while training."""
    box_loss: Literal["ciou", "mse"] = "ciou"
    """YOLO: loss of the boxes, complete IoU or squared error."""
    label_smoothing: Share = 0.1
    """YOLO: classes are taught up to this much softer, drawn anew each time; 0 teaches them hard."""
    start_from: Path | None = None
    """Weights to start from, as when a trained model learns from real maps: checkpoint of an earlier run, name of a
    shipped model, or an .onnx file."""


class DataConfig(_Config):
    """What is learned from, and what is held back."""

    validation: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = ()
    """Samples to validate on, in any form that samples to learn from may have; by default some scenes are held back."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the scenes held back for validation where none are named."""
    validation_limit: Annotated[int, Field(ge=1)] = 100
    """Most samples to validate on."""
    least_visibility: Annotated[float, Field(ge=0)] = 0.0
    """Bodies that stand out of the noise by fewer standard errors are neither learned nor judged."""
    polygons: Path | None = None
    """GeoPackage of landslides, any polygons, that are true on all stacks given."""
    layer: str | None = None
    """Layer of the GeoPackage; the first one with polygons by default."""
    simulated: bool = False
    """Learn from scenes that are simulated on the way, without end."""


class AugmentConfig(_Config):
    """How samples are varied; every way keeps to what a differenced map can look like."""

    tile: Annotated[int, Field(ge=32, multiple_of=32)] = 256
    """Rows and columns of what the network sees while training, a multiple of 32."""
    symmetry: bool = True
    """Flip, transpose and reverse the motion at random."""
    outlines: bool = True
    """Teach the outlines of bodies; without them their boxes, filled."""
    mosaic: Share = 0.5
    """Share of the tiles that are put together of four samples."""
    blend: Share = 0.3
    """Share of the tiles onto which the phases of another sample are multiplied, noise and bodies."""
    dropout: Share = 0.3
    """Share of the tiles that lose blocks of data."""
    coherence_gain: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Coherence is scaled by up to this share up or down, for estimators differ."""


class PlanConfig(_Config):
    """How long and how fast is learned."""

    steps: Annotated[int, Field(ge=1)] = 20_000
    """Batches to learn from."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over all samples, instead of `steps`; simulated scenes have no end, so they need `steps`."""
    batch: Annotated[int, Field(ge=1)] = 8
    """Tiles in a batch."""
    optimiser: Literal["adamw", "paper", "adam", "sgd", "polynomial"] = "adamw"
    """AdamW in one cycle; `paper` as Fu et al. (2022): Adam for the first third, then SGD with momentum; `adam` as
    Bralet et al. (2024): Adam at one rate; `sgd` as Kamiyama et al. (2018): SGD with momentum, its rate divided by ten
    after each sixth of the steps; `polynomial` as Wu et al. (2022): Adam whose rate falls nearly straight to zero."""
    rate: Annotated[float, Field(gt=0)] = 1e-3
    """Highest learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """Weight decay of kernels; offsets and norms have none."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Share kept of the running average of the weights at each step; validated and exported. 0: the weights as are."""
    validate_every: Annotated[int, Field(ge=1)] = 500
    """Batches between validations."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Validations without gain after which the run ends early."""
    record_every: Annotated[int, Field(ge=1)] = 50
    """Batches between records of the losses."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of weights, order, variations and simulated scenes."""

    def batches(self, samples: int | None) -> int:
        """Return the number of batches; `samples` are those of an epoch, None where they have no end."""
        if self.epochs is None or samples is None:
            return self.steps
        return max(1, math.ceil(self.epochs * samples / self.batch))


class MachineConfig(_Config):
    """Where it runs; a run may be continued with other values."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """auto, cpu, cuda, cuda:1 and so on, or mps; auto takes a GPU if there is one."""
    mixed_precision: bool = True
    """Where a GPU or CPU has instructions for it, compute in bfloat16; weights stay in single precision."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads of the network on the CPU; all cores by default."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 1
    """Processes that prepare batches, one at most where scenes are simulated; 0: a thread of the training process."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Stop after this time with a checkpoint; the same command continues."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5.0
    """Time between checkpoints."""


class TrainConfig(_Config):
    """Everything a training run can be told."""

    inputs: tuple[Path, ...] = ()
    """Folders of samples (.npz), COCO files (.json), or folders of stacks that a survey wrote, with `polygons`."""
    output: Path
    """Folder for model, checkpoint and curves."""
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    plan: PlanConfig = PlanConfig()
    machine: MachineConfig = MachineConfig()
    scenes: BatchConfig = BatchConfig()

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        if self.data.simulated and self.inputs:
            raise ValueError("expected samples or --simulated, instead got both; leave one of them out")
        if not self.data.simulated and not self.inputs:
            raise ValueError("nothing to learn from; name folders of samples, or give --simulated")
        if self.data.simulated and self.plan.epochs is not None:
            raise ValueError("--epochs: simulated scenes have no end; give --steps instead")
        return self
