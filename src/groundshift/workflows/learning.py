"""What all training runs share: telling how they get on, going on where they stopped, starting from other weights."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from groundshift.errors import GroundshiftError, OutputError
from groundshift.training.checkpoint import load_checkpoint
from groundshift.training.curves import draw_curves, write_records
from groundshift.training.loop import Ending, Trainer
from groundshift.training.protocols import RunConfig
from groundshift.workflows.config import SettingError
from groundshift.workflows.progress import Reporter

__all__ = ["Draw", "Named", "TooLargeError", "check_same", "check_samples", "learn", "start_from"]

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


def start_from(trainer: Trainer, path: Path, model: Named) -> None:
    """Take the best weights of an earlier run."""
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
