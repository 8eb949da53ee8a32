"""Training of a network that outlines moving ground, from settings to a model."""

import numpy as np

from groundshift.errors import NoDataError
from groundshift.training.segments.config import SegmentTrainConfig
from groundshift.training.segments.judge import figures_of
from groundshift.training.segments.pictures import draw_segments
from groundshift.training.segments.samples import (
    SegmentSample,
    SegmentSet,
    SegmentSupply,
    SetSupply,
    read_data,
    sets_of,
    split_data,
)
from groundshift.training.segments.split import held_back
from groundshift.training.segments.tasks import make_segment_task
from groundshift.workflows.evaluating_segments import tell_left_out
from groundshift.workflows.learning import Course, TrainOutput, run_course
from groundshift.workflows.progress import Reporter

__all__ = ["run_segment_training"]

_PARTS = ("inputs", "model", "data", "plan")
"""Settings that a run is continued with."""
_VALIDATION = 200
"""Most samples that choose the best weights."""


def run_segment_training(config: SegmentTrainConfig, reporter: Reporter, *, fresh: bool = False) -> TrainOutput:
    """Train a network that outlines moving ground, or go on with a run that was stopped, and export its best weights.

    Leaves the files of `groundshift.workflows.learning.run_course`.

    Raises
    ------
    OutputError
        If the folder holds a run with other settings or samples, or cannot be written.
    MissingFileError, NoDataError
        If there is nothing to learn from, or nothing to choose the best weights by.
    TooLargeError
        If a batch does not fit into memory.
    """
    return run_course(config, reporter, lambda c: _course(c, reporter), _PARTS, fresh=fresh)


def _course(config: SegmentTrainConfig, reporter: Reporter) -> Course:
    """Read samples and build the network."""
    data, plan = config.data, config.plan
    given = read_data(config.inputs, as_published=data.split == "paper")
    tell_left_out(given.problems, reporter)
    parts = split_data(given, data.split, plan.seed)
    kept, held = held_back(given.patches, parts.learn, data.validation_share, plan.seed)
    learned = [s for s in (given.samples[k] for k in kept) if data.still or s.moves]
    if not any(s.moves for s in learned):
        raise NoDataError("no mask to learn from shows motion; add places, or try another --seed")
    reporter.say(
        f"{len(learned):,} patches to learn from, {len(held):,} to choose the best weights by, {len(parts.judge):,} to "
        "judge by"
    )
    many = config.model.network == "slidenet_times"
    vary = {"offset": data.offset, "symmetry": data.symmetry}
    supply = (
        SetSupply(learned, plan.batch, plan.seed, data.dates, **vary) if many
        else SegmentSupply(learned, plan.batch, plan.seed, **vary)
    )  # fmt: skip
    held_samples = [given.samples[k] for k in held]
    groups = sets_of(held_samples, data.dates) if many else [(s,) for s in held_samples]
    if len(groups) > _VALIDATION:
        chosen = np.linspace(0, len(groups) - 1, _VALIDATION).round().astype(int)
        groups = [groups[int(k)] for k in chosen]
    loaded = [tuple(s.load() for s in group) for group in groups]
    validation: list[SegmentSample | SegmentSet] = [SegmentSet(g) if many else g[0] for g in loaded]
    if validation and not any(s.mask.any() for s in validation):
        raise NoDataError("no mask to choose the best weights by shows motion; raise --validation-share")
    task, model = make_segment_task(config.model)
    steps = plan.batches(len(supply))
    rows, columns = learned[0].load().wrapped.shape
    return Course(
        task, model, supply, validation, figures_of, draw_segments, given.checksum, steps,
        f"{rows} x {columns} pixels", "--batch, --dates or --width" if many else "--batch or --width",
    )  # fmt: skip
