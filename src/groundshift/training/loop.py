"""The training loop: steps, validation, checkpoints.

All that is random in a step, the tiles and torch's own draws, follows from the seed and the number of the step. A run
that was stopped goes on with the same numbers, bit for bit on a CPU with as many threads.
"""

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from groundshift import __version__
from groundshift.errors import GroundshiftError
from groundshift.training.checkpoint import save_checkpoint
from groundshift.training.data import prefetched
from groundshift.training.optimiser import Phase, make_optimiser, phase_at, rate_at
from groundshift.training.protocols import Learning, RunConfig, Source, Watch

__all__ = ["DivergedError", "Ending", "Measure", "Trainer", "knows_bfloat16", "step_seed"]

Ending = Literal["done", "early", "time"]
"""All steps were taken; no gain for long; the time was up."""

Measure = Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]
"""From predictions and samples to named figures; those weights are best for which the first one is highest."""

_MOST_GRADIENT = 10.0
"""Norm to which gradients are cut."""


class DivergedError(GroundshiftError, ArithmeticError):
    """The loss is no number any more."""


class Trainer:
    """A network on its way.

    Parameters
    ----------
    config : RunConfig
        All settings.
    task : Learning
        What joins the network to samples.
    model : nn.Module
        The network with its first weights.
    supply : Source
        Where tiles come from.
    validation : sequence of samples
        What it is judged on; none: the last weights count as the best.
    measure : Measure
        How it is judged.
    steps : int
        Batches of the whole run.
    checkpoint : path
        Where to keep checkpoints.
    device : torch.device
        Where to compute.
    anchors : (n, 2) array, optional
        With which the network was built; kept in checkpoints.
    samples : str
        Fingerprint of the samples to learn from; kept in checkpoints, for others would make another run.
    """

    def __init__(
        self,
        config: RunConfig,
        task: Learning,
        model: nn.Module,
        supply: Source,
        validation: Sequence[Any],
        measure: Measure,
        *,
        steps: int,
        checkpoint: Path,
        device: torch.device | None = None,
        anchors: NDArray[np.float64] | None = None,
        samples: str = "",
    ) -> None:
        self.config, self.task, self.steps, self.checkpoint = config, task, steps, checkpoint
        self.device = device or torch.device("cpu")
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self._supply, self._validation, self._measure = supply, validation, measure
        self._anchors, self._samples = anchors, samples
        self._phase: Phase = phase_at(config.plan, 0.0)
        self._optimiser = make_optimiser(config.plan, self._phase, self.model)
        self._mixed = config.machine.mixed_precision and knows_bfloat16(self.device)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
        self.step = 0
        self.records: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self.best: dict[str, Tensor] | None = None
        self.best_score, self.best_step = -math.inf, 0
        self._stale = 0

    def run(self, watch: Watch) -> Ending:
        """Train to the end, until there is no gain any more, or until the time is up; a checkpoint is left.

        Raises
        ------
        DivergedError
            If the loss is no number any more; the last checkpoint before it stays.
        KeyboardInterrupt
            If it was interrupted; after the step in hand, with a checkpoint.
        OutputError
            If a checkpoint cannot be written.
        """
        began = saved = time.monotonic()
        machine = self.config.machine
        workers = self._supply.most_workers(machine.workers)
        batches = prefetched(_Batches(self.task, self._supply).make, self.step, self.steps, workers)
        with _stop_requests() as stop_requested:
            try:
                while self.step < self.steps and not self._exhausted:
                    self._learn(next(batches))
                    watch.advance()
                    self._conclude_step(watch)
                    now = time.monotonic()
                    late = machine.max_minutes is not None and now - began > 60 * machine.max_minutes
                    if stop_requested() or late or now - saved > 60 * machine.checkpoint_minutes:
                        self.save()
                        saved = now
                    if stop_requested():
                        raise KeyboardInterrupt
                    if late and self.step < self.steps and not self._exhausted:
                        return "time"
            finally:
                batches.close()
            self.save()
        return "early" if self._exhausted and self.step < self.steps else "done"

    def save(self) -> None:
        """Write a checkpoint.

        Raises
        ------
        DivergedError
            If the loss is no number any more.
        OutputError
            If it cannot be written.
        """
        self._check_finite()
        save_checkpoint(
            self.checkpoint,
            {
                "version": __version__,
                "kind": self.task.kind,
                "planes": list(self.task.planes),
                "config": self.config.model_dump(mode="json"),
                "step": self.step,
                "phase": self._phase,
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "sums": self._sums,
                "records": self.records,
                "best": self.best,
                "best_score": self.best_score,
                "best_step": self.best_step,
                "stale": self._stale,
                "samples": self._samples,
                "anchors": None if self._anchors is None else torch.from_numpy(self._anchors),
            },
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.step, self.records = state["step"], [dict(record) for record in state["records"]]
        self._sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self.best, self.best_score, self.best_step = state["best"], state["best_score"], state["best_step"]
        self._stale = state["stale"]
        self._phase = state["phase"]
        self._optimiser = make_optimiser(self.config.plan, self._phase, self.model)
        self._optimiser.load_state_dict(state["optimiser"])

    @torch.no_grad()
    def look(self, steps: int) -> None:
        """Run the network, ready for use, over the batches of the first steps, and learn nothing."""
        batches = _Batches(self.task, self._supply)
        self.model.eval()
        for step in range(steps):
            self.task.outputs(self.model, self._moved(batches.make(step)), 0.0)

    def best_model(self) -> nn.Module:
        """Return the network with the best weights, ready for use, on the CPU."""
        model: nn.Module = copy.deepcopy(self.average).cpu().eval()
        if self.best is not None:
            model.load_state_dict(self.best)
        return model

    @property
    def _exhausted(self) -> bool:
        """Whether there was no gain for long."""
        return self._stale >= self.config.plan.patience

    def _learn(self, batch: Mapping[str, NDArray[Any]]) -> None:
        """Take one step."""
        plan = self.config.plan
        progress = self.step / self.steps
        torch.manual_seed(step_seed(plan.seed, self.step))
        if (phase := phase_at(plan, progress)) != self._phase:
            self._phase, self._optimiser = phase, make_optimiser(plan, phase, self.model)
        for group in self._optimiser.param_groups:
            group["lr"] = rate_at(plan, progress)
        self.model.train()
        moved = self._moved(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            outputs = self.task.outputs(self.model, moved, progress)
        terms = self.task.losses(outputs, moved)
        loss = torch.stack(list(terms.values())).sum()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), _MOST_GRADIENT)
        self._optimiser.step()
        self._follow()
        for name, value in {"loss": loss, **{f"loss_{name}": term for name, term in terms.items()}}.items():
            before = self._sums.get(name, torch.zeros((), dtype=torch.float64, device=self.device))
            self._sums[name] = before + value.detach()
        self._sums["count"] = self._sums.get("count", torch.zeros((), dtype=torch.float64, device=self.device)) + 1
        self.step += 1

    def _moved(self, batch: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
        """Bring a batch to where is computed."""
        return {name: _to(torch.from_numpy(value), self.device) for name, value in batch.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running average of the weights; it follows faster at first."""
        share = min(self.config.plan.average, (1 + self.step) / (10 + self.step)) if self.config.plan.average else 0.0
        for kept, new in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - share)
            else:
                kept.copy_(new)

    def _conclude_step(self, watch: Watch) -> None:
        """Validate and record where it is time."""
        plan = self.config.plan
        last = self.step == self.steps
        validating = bool(self._validation) and (last or self.step % plan.validate_every == 0)
        if not (validating or last or self.step % plan.record_every == 0):
            return
        self._check_finite()
        count = self._sums.pop("count")
        record = {"step": float(self.step), "rate": float(self._optimiser.param_groups[0]["lr"])}
        record |= {name: float(total / count) for name, total in self._sums.items()}
        self._sums = {}
        if validating:
            record |= self._validate(watch)
        self.records.append(record)
        watch.recorded(record, self.records)

    def _validate(self, watch: Watch) -> dict[str, float]:
        """Judge the averaged weights, and keep them if they are the best so far."""
        predictions = self.task.predict(self.average, self._validation)
        figures = self._measure(predictions, self._validation)
        score = next(iter(figures.values()))
        if score > self.best_score:
            self.best_score, self.best_step, self._stale = score, self.step, 0
            self.best = {name: value.detach().cpu().clone() for name, value in self.average.state_dict().items()}
        else:
            self._stale += 1
        watch.validated(self._validation, predictions)
        return figures

    def _check_finite(self) -> None:
        """Raise DivergedError if the loss since the last record is no number."""
        if "loss" in self._sums and not math.isfinite(float(self._sums["loss"])):
            raise DivergedError(
                f"the loss is no number any more at step {self.step}; lower --rate ({self.config.plan.rate:g}) and "
                "start anew with --fresh"
            )


class _Batches(NamedTuple):
    """Makes the batch of a step; as arrays, for a process would hand over tensors through shared memory."""

    task: Learning
    supply: Source

    def make(self, step: int) -> dict[str, NDArray[Any]]:
        """Make the batch."""
        return {name: value.numpy() for name, value in self.task.batch(self.supply.tiles(step)).items()}


def knows_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def step_seed(seed: int, step: int) -> int:
    """Return the seed of torch's draws in one step."""
    return int(np.random.SeedSequence([seed, 4, step]).generate_state(1, np.uint64)[0] >> 1)


def _to(value: Tensor, device: torch.device) -> Tensor:
    """Move a part of a batch, images with channels last."""
    value = value.pin_memory() if device.type == "cuda" else value
    if value.ndim == 4:
        return value.to(device, non_blocking=True, memory_format=torch.channels_last)
    return value.to(device, non_blocking=True)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and a request to end wait for the step in hand; the second one does not wait.

    Gives a function that tells whether to stop. Outside the main thread signals are left alone.
    """
    asked = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
