"""The main job: interferograms of one or several tracks in, an inventory of moving ground out."""

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from groundshift.errors import GroundshiftError, NoDataError, OutputError, ProductError
from groundshift.io import InterferogramStack, open_stack
from groundshift.io.rasters import raster_grid
from groundshift.workflows.concluding import SurveyOutput, conclude
from groundshift.workflows.config import SettingError, SurveyConfig, save_config
from groundshift.workflows.detecting import TrackResult, detect_track
from groundshift.workflows.maps import is_located
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.track import (
    load_detector,
)

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = ["open_tracks", "run_survey", "survey_track", "tell_problems"]


_TOLD = 5
"""Problems of one track that are told on the terminal."""


def open_tracks(config: SurveyConfig, *, located: bool = True) -> list[InterferogramStack]:
    """Open all inputs and give each a name of its own.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened or is given twice, or `located` is asked for and it does not know where it lies on
        Earth.
    """
    stacks: list[InterferogramStack] = []
    for number, path in enumerate(config.inputs):
        if path.resolve() in [other.resolve() for other in config.inputs[:number]]:
            raise ProductError(f"{path}: given twice; name each input once")
        stack = open_stack(
            path,
            product=config.product,
            pattern=config.pattern,
            wavelength=config.wavelength,
            strict=config.stack.strict,
        )
        # The name becomes that of a folder, whatever the product says.
        plain = re.sub(r"[^\w.-]+", "-", stack.track).strip(".-") or "track"
        taken = {s.track for s in stacks}
        names = itertools.chain([plain], (f"{plain}-{k}" for k in itertools.count(2)))
        name = next(n for n in names if n not in taken)
        if located and not is_located(stack.grid):
            raise NoDataError(
                f"{path}: the product does not tell where its pixels lie on Earth; add its lookup table or geometry "
                "files, or use `groundshift stack`"
            )
        stacks.append(replace(stack, track=name))
    return stacks


def run_survey(config: SurveyConfig, reporter: Reporter, command: str) -> SurveyOutput:
    """Run a survey, from files to inventory and report.

    Running again with the same inputs and settings takes up the finished sums; an inventory that stands in the output
    folder hands on its identities, reviews and notes.

    Raises
    ------
    GroundshiftError
        If nothing can be surveyed, or an output cannot be written.
    """
    started = datetime.now(UTC)
    check_paths(config.output, config.inputs, config.mask.files)
    if config.stack.step != 1:
        raise SettingError(f"step: a survey compares neighbours, expected 1, instead got {config.stack.step}")
    if config.mask.dem is not None:
        raster_grid(config.mask.dem)
    network = load_detector(config.detect)
    stacks = open_tracks(config)
    with claimed(config.output):
        save_config(config, config.output / "run.yaml")
        results, failures = [], []
        for stack in stacks:
            try:
                results.append(survey_track(stack, config, reporter, network))
            except OutputError:
                raise
            except GroundshiftError as error:
                if len(stacks) == 1 or config.stack.strict:
                    raise
                reporter.warn(f"{stack.track} left out: {error}")
                failures.append(f"{stack.track} left out: {error}")
        if not results:
            raise NoDataError(f"none of the {len(stacks)} inputs could be surveyed; last: {failures[-1]}")
        return conclude(results, config, reporter, command, started, failures, network, stacks)


def survey_track(
    source: InterferogramStack, config: SurveyConfig, reporter: Reporter, network: "NetworkDetector | None" = None
) -> TrackResult:
    """Stack one track, look for moving bodies in every time window, and write its maps.

    `network` is what `config.detect` names, where it has been loaded before.
    """
    network = network or load_detector(config.detect)
    folder = config.output / "stacks" / source.track
    tell_problems(source, reporter)
    stacked = stack_track(source, config.stack, folder, reporter)
    used = set(stacked.sums.plan.pairs)
    return detect_track(
        stacked.sums,
        config,
        folder,
        reporter,
        network,
        problems=[*source.problems, *stacked.problems],
        unused=[p for p in source.pairs if p not in used],
        files=[f for p in stacked.sums.plan.pairs for f in source.files.get(p, ())],
    )


def tell_problems(source: InterferogramStack, reporter: Reporter) -> None:
    """Tell what the reader found wrong: the first lines on the terminal, all of them in the log."""
    in_order = sorted(source.problems, key=lambda p: not p.skipped)
    for problem in in_order[:_TOLD]:
        reporter.console.print(f"warning: {problem.message}", style="yellow", markup=False)
    if len(in_order) > _TOLD:
        more = len(in_order) - _TOLD
        reporter.warn(f"{source.track}: {more} more such lines; log.jsonl and `groundshift info` have them all")
    for problem in source.problems:
        reporter.log("problem", track=source.track, path=problem.path, text=problem.message, skipped=problem.skipped)
