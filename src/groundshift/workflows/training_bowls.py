"""Training of a network for mining subsidence, from settings to a model."""

import numpy as np

from groundshift.errors import NoDataError
from groundshift.training.mining.config import BowlTrainConfig
from groundshift.training.mining.judge import figures_of
from groundshift.training.mining.labelled import checksum_of, read_labelled, split_labelled
from groundshift.training.mining.pictures import draw_answers
from groundshift.training.mining.samples import BowlSample, BowlSupply, simulated_samples
from groundshift.training.mining.tasks import make_bowl_task
from groundshift.workflows.learning import Course, TrainOutput, run_course
from groundshift.workflows.progress import Reporter

__all__ = ["run_bowl_training"]

_PARTS = ("inputs", "model", "spoil", "plan", "scenes")
"""Settings that a run is continued with."""
_VALIDATION_SEED = 900_000
"""Scenes to validate on are drawn from here on in the seeds of a run, which learning does not reach."""
_VALIDATION = 96
"""Simulated samples to validate on."""


def run_bowl_training(config: BowlTrainConfig, reporter: Reporter, *, fresh: bool = False) -> TrainOutput:
    """Train a network for mining subsidence, or go on with a run that was stopped, and export its best weights.

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
    if config.inputs and config.model.network == "bowlnet" and config.model.start_from is None:
        reporter.warn("masks do not tell the phase: what this model will say of it means nothing; see --start-from")
    return run_course(config, reporter, _course, _PARTS, fresh=fresh)


def _course(config: BowlTrainConfig) -> Course:
    """Open samples and build the network."""
    given, validation = _open(config)
    task, model = make_bowl_task(config.model)
    return Course(
        task,
        model,
        BowlSupply(config.scenes, config.spoil, config.plan.batch, config.plan.seed, given),
        validation,
        figures_of,
        draw_answers,
        "" if given is None else checksum_of([*given, *validation]),
        config.plan.batches(None if given is None else len(given)),
        " x ".join(map(str, config.scenes.shape)) + " pixels",
        "--batch, --shape or --width",
    )


def _open(config: BowlTrainConfig) -> tuple[list[BowlSample] | None, list[BowlSample]]:
    """Read what is learned from, None for simulated scenes; and what is validated on."""
    if config.inputs:
        return split_labelled([s for path in config.inputs for s in read_labelled(path)], config.plan.seed)
    held: list[BowlSample] = []
    group = _VALIDATION_SEED
    while len(held) < _VALIDATION:
        held += simulated_samples(config.scenes, config.spoil, (config.plan.seed + 1) * 1_000_000 + group)
        group += 1
    chosen = np.linspace(0, len(held) - 1, _VALIDATION).round().astype(int)
    validation = [held[int(k)] for k in chosen]
    if not any(s.footprint.any() for s in validation):
        raise NoDataError("no simulated scene to validate on shows a bowl; give more --bowls or higher --peak-rad")
    return None, validation
