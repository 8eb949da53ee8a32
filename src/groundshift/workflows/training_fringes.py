"""Training of a fringe classifier, from settings to a model."""

from groundshift.detect.fringe_scan import WINDOW
from groundshift.errors import NoDataError
from groundshift.training.fringes.config import FringeTrainConfig
from groundshift.training.fringes.judge import figures_of
from groundshift.training.fringes.patches import FringeSample, Patch, checksum_of, find_patches, hold_back, read_patch
from groundshift.training.fringes.pictures import draw_windows
from groundshift.training.fringes.samples import FringeSupply, simulated_windows
from groundshift.training.fringes.tasks import make_fringe_task
from groundshift.workflows.learning import Course, TrainOutput, run_course
from groundshift.workflows.progress import Reporter

__all__ = ["gather_patches", "run_fringe_training"]

_PARTS = ("inputs", "model", "data", "cut", "plan", "scenes")
"""Settings that a run is continued with."""
_VALIDATION = 200
"""Simulated windows to validate on, and most of given ones of either class."""
_TOLD = 3
"""Windows left out that are told one by one."""


def run_fringe_training(config: FringeTrainConfig, reporter: Reporter, *, fresh: bool = False) -> TrainOutput:
    """Train a fringe classifier, or go on with a run that was stopped, and export its best weights.

    Leaves the files of `groundshift.workflows.learning.run_course`.

    Raises
    ------
    OutputError
        If the folder holds a run with other settings or windows, or cannot be written.
    NoDataError
        If there is nothing to learn from, or nothing to validate on.
    TooLargeError
        If a batch does not fit into memory.
    """
    return run_course(config, reporter, lambda settings: _course(settings, reporter), _PARTS, fresh=fresh)


def gather_patches(config: FringeTrainConfig, reporter: Reporter) -> list[Patch]:
    """List the windows of all inputs, telling of those that are left out, and leave out scenes that are to be judged.

    Raises
    ------
    GroundshiftError
        If an input has not the two folders, or a class is empty.
    """
    found: list[Patch] = []
    for path in config.inputs:
        patches, problems = find_patches(path)
        for problem in problems[:_TOLD]:
            reporter.warn(f"{problem}; left out")
        if len(problems) > _TOLD:
            reporter.warn(f"{path}: {len(problems) - _TOLD} more windows left out")
        found += patches
    scenes = {patch.scene for patch in found}
    for name in config.data.without:
        if name not in scenes:
            raise NoDataError(f"--without: no window of a scene {name}; there are {', '.join(sorted(scenes)[:5])}")
    return [patch for patch in found if patch.scene not in config.data.without]


def _course(config: FringeTrainConfig, reporter: Reporter) -> Course:
    """Open windows and build the network."""
    given, validation, samples = _open(config, reporter)
    task, model = make_fringe_task(config.model)
    return Course(
        task,
        model,
        FringeSupply(config.scenes, config.cut, config.plan.batch, config.plan.seed, given),
        validation,
        figures_of,
        draw_windows,
        samples,
        _steps(config, given),
        f"{WINDOW} x {WINDOW} pixels",
        "--batch or --width",
    )


def _open(config: FringeTrainConfig, reporter: Reporter) -> tuple[list[Patch] | None, list[FringeSample], str]:
    """List what is learned from (None: simulated), read what is validated on, and tell both by a checksum."""
    if not config.inputs:
        return None, simulated_windows(config.scenes, config.cut, _VALIDATION, config.plan.seed), ""
    patches = gather_patches(config, reporter)
    learned, held = hold_back(patches, config.data.validation_share, config.plan.seed)
    kinds = ([p for p in held if p.positive is wanted] for wanted in (True, False))
    chosen = [
        kind[k * len(kind) // min(len(kind), _VALIDATION)] for kind in kinds for k in range(min(len(kind), _VALIDATION))
    ]
    return learned, [read_patch(patch) for patch in chosen], checksum_of(patches)


def _steps(config: FringeTrainConfig, given: list[Patch] | None) -> int:
    """Return the number of batches; an epoch shows as many windows as there are twice of the larger class."""
    if given is None:
        return config.plan.batches(None)
    positive = sum(patch.positive for patch in given)
    return config.plan.batches(2 * max(positive, len(given) - positive))
