"""The main job: interferograms of one or several tracks in, an inventory of moving ground out."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from groundshift.errors import GroundshiftError, NoDataError, OutputError
from groundshift.io.rasters import raster_grid
from groundshift.workflows.concluding import SurveyOutput, conclude
from groundshift.workflows.config import SettingError, SurveyConfig, save_config
from groundshift.workflows.detecting import survey_track
from groundshift.workflows.inputs import open_tracks
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.track import (
    load_detector,
)

if TYPE_CHECKING:
    pass

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
