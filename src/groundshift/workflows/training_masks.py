"""Training of a network that masks, from settings to a model; and its judgement beside thresholds on coherence."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.mask_network import MaskNetwork
from groundshift.errors import NoDataError
from groundshift.io.atomic import write_text
from groundshift.masks.decorrelation import coherent_above, otsu_mask
from groundshift.training.masks.config import MaskSceneConfig, MaskSpoilConfig, MaskTrainConfig
from groundshift.training.masks.drawn import checksum_of, read_drawn, split_drawn
from groundshift.training.masks.judge import PROBABILITY, compared, figures_of
from groundshift.training.masks.pictures import draw_masks
from groundshift.training.masks.samples import MaskSample, MaskSupply, simulated_samples
from groundshift.training.masks.tasks import make_mask_task
from groundshift.workflows.learning import Course, TrainOutput, run_course
from groundshift.workflows.masking import load_mask_network
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["FIRST_JUDGED", "MaskJudgement", "MaskJudgingConfig", "judge_masks", "run_mask_judging", "run_mask_training"]

_PARTS = ("inputs", "polygons", "layer", "model", "spoil", "plan", "scenes")
"""Settings that a run is continued with."""
_VALIDATION_SEED = 900_000
"""Scenes to validate on are drawn from here on in the seeds of a run, which learning does not reach."""
_VALIDATION = 96
"""Simulated samples to validate on."""
FIRST_JUDGED = 0
"""Scenes to judge on have seeds from here on, below one million; runs learn and validate on seeds above."""


def run_mask_training(config: MaskTrainConfig, reporter: Reporter, *, fresh: bool = False) -> TrainOutput:
    """Train a network that masks, or go on with a run that was stopped, and export its best weights.

    Leaves the files of `groundshift.workflows.learning.run_course`.

    Raises
    ------
    OutputError
        If the folder holds a run with other settings or samples, or cannot be written.
    NoDataError
        If there is nothing to learn from, or nothing to validate on.
    TooLargeError
        If a batch does not fit into memory.
    """
    return run_course(config, reporter, _course, _PARTS, fresh=fresh)


def _course(config: MaskTrainConfig) -> Course:
    """Open samples and build the network."""
    given, validation = _open(config)
    task, model = make_mask_task(config.model)
    return Course(
        task,
        model,
        MaskSupply(config.scenes, config.spoil, config.plan.batch, config.plan.seed, given),
        validation,
        figures_of,
        draw_masks,
        "" if given is None else checksum_of([*given, *validation]),
        config.plan.batches(None if given is None else len(given)),
        " x ".join(map(str, config.scenes.shape)) + " pixels",
        "--batch, --shape or --width",
    )


def _open(config: MaskTrainConfig) -> tuple[list[MaskSample] | None, list[MaskSample]]:
    """Read what is learned from, None for simulated scenes; and what is validated on."""
    if config.inputs:
        read = [s for path in config.inputs for s in read_drawn(path, config.polygons, config.layer)]
        return split_drawn(read, config.plan.seed)
    first = (config.plan.seed + 1) * 1_000_000 + _VALIDATION_SEED
    return None, _simulated(config.scenes, config.spoil, first, _VALIDATION)


def _simulated(scenes: MaskSceneConfig, spoil: MaskSpoilConfig, seed: int, count: int) -> list[MaskSample]:
    """Simulate some samples from a seed on.

    Raises
    ------
    NoDataError
        If they show no decorrelated ground, or no coherent one.
    """
    held: list[MaskSample] = []
    while len(held) < count:
        held += simulated_samples(scenes, spoil, seed)
        seed += 1
    chosen = [held[int(k)] for k in np.linspace(0, len(held) - 1, count).round()]
    if not any((s.judged & ~s.coherent).any() for s in chosen) or not any(s.coherent.any() for s in chosen):
        raise NoDataError("no simulated scene to judge by shows both coherent and decorrelated ground; draw others")
    return chosen


@dataclass(frozen=True)
class MaskJudgingConfig:
    """What is judged, and by what."""

    model: str
    output: Path
    inputs: tuple[Path, ...] = ()
    """Folders of drawn masks; simulated scenes without any."""
    polygons: Path | None = None
    layer: str | None = None
    samples: int = 96
    """Simulated interferograms."""
    threshold: float = 0.3
    """Coherence of the fixed threshold."""
    scenes: MaskSceneConfig = field(default_factory=MaskSceneConfig)


@dataclass(frozen=True)
class MaskJudgement:
    """How well masks agree with the truth."""

    samples: int
    rows: dict[str, dict[str, float]]
    """Figures of `training.masks.judge.compared` by what made the masks."""

    def table(self) -> str:
        """Write the figures as a table, in percent."""
        names = list(next(iter(self.rows.values())))
        head = f"{'':<30}" + "".join(f"{name.replace('_', ' '):>14}" for name in names)
        lines = [f"{row:<30}" + "".join(f"{100 * v:>13.1f}%" for v in f.values()) for row, f in self.rows.items()]
        return "\n".join([head, *lines]) + "\n"

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {"samples": self.samples, "masks": self.rows}


def run_mask_judging(config: MaskJudgingConfig, reporter: Reporter) -> MaskJudgement:
    """Judge a network, Otsu's threshold and a fixed one on simulated scenes or on drawn masks.

    Leaves `judgement.json`, `table.txt` and `examples.png` in the output folder.

    Raises
    ------
    GroundshiftError
        If the model or the masks are not there or cannot be read, or the output cannot be written.
    """
    network = load_mask_network(config.model, "--model")
    if config.inputs:
        samples = [s for path in config.inputs for s in read_drawn(path, config.polygons, config.layer)]
    else:
        # With its amplitude each, to be judged with and without.
        spoil = MaskSpoilConfig(no_amplitude=0)
        samples = _simulated(config.scenes, spoil, FIRST_JUDGED, config.samples)
    with claimed(config.output):
        found, answers = judge_masks(network, samples, config.threshold, reporter)
        write_text(config.output / "judgement.json", json.dumps(found.facts(), indent=1) + "\n")
        write_text(config.output / "table.txt", found.table())
        draw_masks(config.output / "examples.png", samples, answers)
    return found


def judge_masks(
    network: MaskNetwork, samples: list[MaskSample], threshold: float, reporter: Reporter
) -> tuple[MaskJudgement, list[NDArray[np.float32]]]:
    """Hold the masks of a network and of thresholds against the truth.

    Returns
    -------
    judgement, answers
        Rows for the network without amplitude, with it where any sample has one, Otsu's threshold and the fixed one;
        and the network's probabilities, with amplitude where there is one.
    """
    plain: list[NDArray[np.float32]] = []
    bright: list[NDArray[np.float32]] = []
    some = any(s.amplitude.any() for s in samples)
    with reporter.bar("judging", len(samples)) as advance:
        for sample in samples:
            plain.append(_asked(network, sample._replace(amplitude=np.zeros_like(sample.amplitude))))
            bright.append(_asked(network, sample) if sample.amplitude.any() else plain[-1])
            advance()
    rows = {network.name: compared([p >= PROBABILITY for p in plain], samples)}
    if some:
        rows[f"{network.name} with amplitude"] = compared([p >= PROBABILITY for p in bright], samples)
    rows["Otsu"] = compared([otsu_mask(s.coherence) for s in samples], samples)
    rows[f"coherence above {threshold:g}"] = compared(
        [coherent_above(s.coherence, threshold) for s in samples], samples
    )
    reporter.say(f"judged by {count_of(len(samples), 'interferogram')}")
    return MaskJudgement(len(samples), rows), bright


def _asked(network: MaskNetwork, sample: MaskSample) -> NDArray[np.float32]:
    """Return what the network says of a sample, whose planes are made already."""
    planes = np.stack([sample.wrapped, sample.coherence, sample.amplitude])
    return np.where(sample.known, network.model.run(planes, sample.known)["probability"], np.float32(0))
