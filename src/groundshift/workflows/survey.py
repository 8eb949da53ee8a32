"""The main job: interferograms of one or several tracks in, an inventory of moving ground out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from groundshift.errors import GroundshiftError, NoDataError, OutputError
from groundshift.io import InterferogramStack
from groundshift.io.rasters import raster_grid
from groundshift.workflows.concluding import SurveyOutput, conclude
from groundshift.workflows.config import SettingError, SurveyConfig, save_config
from groundshift.workflows.detecting import TrackResult, check_bowls, survey_track
from groundshift.workflows.fast_targets import check_fast
from groundshift.workflows.inputs import open_tracks
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.track import (
    load_detector,
)

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = ["run_survey"]


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
    check_paths(config.output, config.inputs, config.files)
    if config.stack.step != 1:
        raise SettingError(f"step: a survey compares neighbours, expected 1, instead got {config.stack.step}")
    if config.mask.dem is not None:
        raster_grid(config.mask.dem)
    check_bowls(config)
    check_fast(config, reporter)
    network = load_detector(config.detect)
    stacks = open_tracks(config)
    with claimed(config.output):
        save_config(config, config.output / "run.yaml")
        found: dict[int, TrackResult] = {}
        failures = []
        for number, result in _survey_tracks(stacks, config, reporter, network):
            if isinstance(result, TrackResult):
                found[number] = result
                continue
            if len(stacks) == 1 or config.stack.strict:
                raise result
            failures.append(f"{stacks[number].track} left out: {result}")
            reporter.warn(failures[-1])
        results = [found[number] for number in sorted(found)]
        if not results:
            raise NoDataError(f"none of the {len(stacks)} inputs could be surveyed; last: {failures[-1]}")
        return conclude(results, config, reporter, command, started, failures, network, stacks)


def _survey_tracks(
    stacks: Sequence[InterferogramStack],
    config: SurveyConfig,
    reporter: Reporter,
    network: "NetworkDetector | None",
) -> Iterator[tuple[int, TrackResult | GroundshiftError]]:
    """Survey tracks, several at once where there is room; tell by their numbers what they gave or why they failed."""
    if len(stacks) > 1:
        from groundshift.workflows.distributed import choose_workers, survey_on_workers  # noqa: PLC0415  (loads slowly)

        workers = choose_workers(config, stacks)
        if workers > 1 or config.cluster.scheduler is not None:
            yield from survey_on_workers(stacks, config, workers, reporter)
            return
    for number, stack in enumerate(stacks):
        try:
            yield number, survey_track(stack, config, reporter, network)
        except OutputError:
            raise
        except GroundshiftError as error:
            yield number, error
