"""What all training runs share: telling how they get on, going on where they stopped, starting from other weights."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
import yaml
from torch import nn

from groundshift.detect.models import find_model, is_shipped
from groundshift.errors import GroundshiftError, OutputError
from groundshift.io.atomic import write_text
from groundshift.training.checkpoint import load_checkpoint
from groundshift.training.curves import draw_curves, write_records
from groundshift.training.export import Metadata, export_onnx
from groundshift.training.imported import settle_norms, take_weights
from groundshift.training.loop import Ending, Trainer
from groundshift.training.protocols import Exportable, RunConfig, Source
from groundshift.workflows.config import SettingError
from groundshift.workflows.device import found_device
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter

__all__ = [
    "Course", "CourseConfig", "Draw", "Named", "TooLargeError", "TrainOutput", "check_same", "check_samples", "learn",
    "run_course", "start_from",
]  # fmt: skip

_LOOKED_AT = 8
"""Batches that tell the norms of an exported model what they will see."""

Draw = Callable[[Path, Sequence[Any], Sequence[Any]], None]
"""Draws predictions beside the truth, from the picture's path, samples and predictions."""


class TooLargeError(GroundshiftError, MemoryError):
    """A batch does not fit into memory."""


class Named(Protocol):
    """Settings of a network."""

    @property
    def network(self) -> str:
        """Its name."""
        ...

    @property
    def width(self) -> float:
        """Factor on its channels."""
        ...


@dataclass(frozen=True)
class TrainOutput:
    """What a training run leaves."""

    ending: Ending
    step: int
    steps: int
    best_step: int
    figures: dict[str, float]
    """Of the exported weights on the validation samples."""
    model: Path
    checkpoint: Path

    def tell(self, reporter: Reporter) -> None:
        """Say how the run ended."""
        why = {"done": "all steps taken", "early": "no gain any more", "time": "time is up; the same command continues"}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in self.figures.items())
        reporter.say(f"{why[self.ending]} at step {self.step:,} of {self.steps:,}{': ' + shown if shown else ''}")
        reporter.say(f"model: {self.model}")

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {**vars(self), "model": str(self.model), "checkpoint": str(self.checkpoint)}


class CourseModel(Named, Protocol):
    """Settings of a network that may start from other weights."""

    @property
    def start_from(self) -> Path | None:
        """Checkpoint of an earlier run, or an exported model."""
        ...


class CourseConfig(RunConfig, Protocol):
    """Settings of a whole run."""

    @property
    def output(self) -> Path:
        """Folder for what it leaves."""
        ...

    @property
    def model(self) -> CourseModel:
        """Which network."""
        ...


Told = TypeVar("Told", bound=CourseConfig)


class Course(NamedTuple):
    """What is learned, from what, and how it is judged."""

    task: Exportable
    model: nn.Module
    """With fresh weights, drawn from torch's generator."""
    supply: Source
    validation: Sequence[Any]
    """Samples to validate on."""
    figures: Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]
    """Judges answers beside their samples; the first figure decides which weights are kept."""
    draw: Draw
    samples: str
    """Checksum of the samples that were given; empty where they are simulated."""
    steps: int
    tile: str
    """What a tile is, such as "128 x 128 pixels"."""
    smaller: str
    """With which options a batch needs less memory, such as "--batch or --width"."""


class _Teller:
    """Tells a person how training gets on, and writes what can be looked at."""

    def __init__(self, trainer: Trainer, reporter: Reporter, folder: Path, draw: Draw, advance: Any) -> None:
        self._trainer, self._reporter, self._folder, self._draw = trainer, reporter, folder, draw
        self._began, self._first = time.monotonic(), trainer.step
        self.advance = advance

    def recorded(self, record: Mapping[str, float], records: Sequence[Mapping[str, float]], /) -> None:
        """Write the table; say a line after each validation."""
        write_records(self._folder / "metrics.csv", records)
        self._reporter.log("record", **record)
        step = int(record["step"])
        figures = {k: v for k, v in record.items() if k not in ("step", "rate") and not k.startswith("loss")}
        if figures or step == self._trainer.steps:
            draw_curves(self._folder / "curves.png", records)
            shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            left = (time.monotonic() - self._began) / max(1, step - self._first) * (self._trainer.steps - step) / 60
            self._reporter.say(
                f"step {step:,} of {self._trainer.steps:,}: loss {record['loss']:.4f}, {shown or 'no validation'}; "
                f"{left:.0f} min left"
            )

    def validated(self, samples: Sequence[Any], predictions: Sequence[Any], /) -> None:
        """Draw some predictions."""
        self._draw(self._folder / "predictions.png", samples, predictions)


def run_course(
    config: Told, reporter: Reporter, make: Callable[[Told], Course], parts: Sequence[str], *, fresh: bool = False
) -> TrainOutput:
    """Train a network, or go on with a run that was stopped, and export its best weights.

    Leaves `model.onnx`, `checkpoint.pt`, `train.yaml`, `metrics.csv`, `curves.png` and `predictions.png` in the output
    folder.

    Parameters
    ----------
    config : CourseConfig
    reporter : Reporter
    make : function
        Makes of the settings what is learned; called once torch's generator has the run's seed.
    parts : sequence of str
        Settings that a run is continued with.
    fresh : bool
        Start anew where the output folder holds a run.

    Raises
    ------
    OutputError
        If the folder holds a run with other settings or samples, or cannot be written.
    TooLargeError
        If a batch does not fit into memory.
    GroundshiftError
        Whatever `make` raises.
    """
    folder = config.output
    with claimed(folder):
        checkpoint = folder / "checkpoint.pt"
        state = load_checkpoint(checkpoint) if checkpoint.exists() and not fresh else None
        if state is not None:
            check_same(config, state["config"], parts, folder)
        device = torch.device(found_device(config.machine.device))
        if config.machine.threads is not None:
            torch.set_num_threads(config.machine.threads)
        torch.manual_seed(config.plan.seed)
        course = make(config)
        if state is not None:
            check_samples(course.samples, state["samples"], folder)
        trainer = Trainer(
            config, course.task, course.model, course.supply, course.validation, course.figures,
            steps=course.steps, checkpoint=checkpoint, device=device, samples=course.samples,
        )  # fmt: skip
        if state is not None:
            trainer.restore(state)
        elif config.model.start_from is not None:
            start_from(trainer, course.task, config.model.start_from, config.model)
        write_text(folder / "train.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        ending = learn(trainer, reporter, folder, course.draw, course.tile, course.smaller)
        best = trainer.best_model()
        figures = course.figures(course.task.predict(best, course.validation), course.validation)
        told = Metadata(folder.resolve().name, config.model_dump(mode="json"))
        export_onnx(course.task, best, folder / "model.onnx", told)
        return TrainOutput(
            ending, trainer.step, course.steps, trainer.best_step or trainer.step, figures, folder / "model.onnx",
            checkpoint,
        )  # fmt: skip


def learn(trainer: Trainer, reporter: Reporter, folder: Path, draw: Draw, tile: str, smaller: str) -> Ending:
    """Train with a bar; leave `metrics.csv`, `curves.png` and `predictions.png` in a folder.

    `tile` says how large a tile is, and `smaller` with which options it needs less, should the memory not suffice.

    Raises
    ------
    TooLargeError
        If a batch does not fit into memory.
    """
    if trainer.step:
        reporter.say(f"going on at step {trainer.step:,} of {trainer.steps:,}")
    try:
        with reporter.bar("training", trainer.steps) as advance:
            advance(trainer.step)
            return trainer.run(_Teller(trainer, reporter, folder, draw, advance))
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise TooLargeError(
            f"batches of {trainer.config.plan.batch} tiles of {tile} do not fit into memory; lower {smaller}"
        ) from error


def start_from(trainer: Trainer, task: Exportable, path: Path, model: Named) -> None:
    """Take the best weights of an earlier run, or those of an exported model."""
    if path.suffix == ".onnx" or is_shipped(path):
        _take_exported(trainer, task, find_model(path))
        return
    state = load_checkpoint(path)
    weights = state["best"] or state["average"]
    try:
        trainer.model.load_state_dict(weights)
        trainer.average.load_state_dict(weights)
    except RuntimeError as error:
        found = state["config"].get("model", {})
        raise SettingError(
            f"{path}: holds weights of {found.get('network')} of width {found.get('width')}, expected those of "
            f"{model.network} of width {model.width:g}; give that --network and --width"
        ) from error


def _take_exported(trainer: Trainer, task: Exportable, path: Path) -> None:
    """Take the weights of an exported model, whose norms are told what they will see."""
    model = copy.deepcopy(trainer.model).cpu()
    folded = take_weights(task, model, path)
    trainer.model.load_state_dict(model.state_dict())
    settle_norms(trainer.model, folded, lambda: trainer.look(_LOOKED_AT))
    trainer.average.load_state_dict(trainer.model.state_dict())


def check_same(config: RunConfig, before: dict[str, Any], parts: Sequence[str], folder: Path) -> None:
    """Stop if a run in the folder was made with other settings."""
    now = config.model_dump(mode="json")
    for part in parts:
        if now[part] == before.get(part):
            continue
        names = [part] if part == "inputs" else [n for n in now[part] if now[part][n] != before.get(part, {}).get(n)]
        raise OutputError(
            f"{folder}: holds a run with another setting of {', '.join(names)}; give those in train.yaml to go on, "
            "another output folder, or --fresh to start anew"
        )


def check_samples(now: str, before: str, folder: Path) -> None:
    """Stop if a run in the folder learned from other samples; both are told by their checksums."""
    if now != before:
        raise OutputError(
            f"{folder}: holds a run that learned from other samples; give those of then to go on, another output "
            "folder, or --fresh to start anew"
        )
