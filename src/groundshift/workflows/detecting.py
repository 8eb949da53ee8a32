"""One track from interferograms to detections: stacked, searched for moving bodies, and drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from shapely import Polygon

from groundshift.detect import Detection
from groundshift.errors import NoDataError
from groundshift.gradients.store import SumsFile
from groundshift.inventory import (
    Overlay,
)
from groundshift.io import InterferogramStack, Problem
from groundshift.report import (
    MaskShare,
    TrackContent,
    significance_histogram,
)
from groundshift.types import LookGeometry, Pair
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.coverage import footprint
from groundshift.workflows.inputs import tell_problems
from groundshift.workflows.maps import REPORT_SIDE, lonlat_grid, track_layers, write_maps
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.track import (
    detect_on,
    load_detector,
    look_at_ground,
    valid_nodes,
    velocity_of,
)

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = ["TrackResult", "detect_track", "survey_track"]


@dataclass(frozen=True)
class TrackResult:
    """What one track gives to the survey."""

    name: str
    sums: SumsFile
    detections: tuple[Detection, ...]
    content: TrackContent
    overlays: tuple[Overlay, ...]
    pairs: tuple[Pair, ...]
    files: tuple[Path, ...]
    footprint: Polygon
    look: LookGeometry | None
    skipped: int


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


def detect_track(
    sums: SumsFile,
    config: SurveyConfig,
    folder: Path,
    reporter: Reporter,
    network: "NetworkDetector | None" = None,
    *,
    problems: Sequence[Problem] = (),
    unused: Sequence[Pair] = (),
    files: Sequence[Path] = (),
) -> TrackResult:
    """Look for moving bodies in every time window of finished sums, and write the maps to `folder`.

    `problems`, `unused` pairs and input `files` come from stacking, for the report and the provenance.
    """
    plan = sums.plan
    ground = look_at_ground(sums, config.mask, reporter)
    detections: list[Detection] = []
    with reporter.bar(f"{plan.track}: detecting", len(plan.windows)) as advance:
        for index, stack in enumerate(sums.stacks()):
            if not stack.is_lattice:
                raise NoDataError(f"{sums.path}: its differences are not between neighbours; stack with --step 1")
            try:
                velocity = velocity_of(stack, config.detect)
            except NoDataError as error:
                if index == 0:
                    raise NoDataError(f"{plan.track}: {error}") from error
                reporter.warn(f"{plan.track}: window {stack.window} left out: {error}")
                advance()
                continue
            mask = valid_nodes(stack, ground, config.mask)
            detections += detect_on(
                stack, velocity, ground, mask.valid, config.detect, config.screen, reporter, network
            )
            write_maps(folder, stack, velocity, mask.valid)
            if index == 0:
                bounds, layers = track_layers(stack, velocity, ground.height)
                histogram = significance_histogram(np.where(mask.valid, stack.significance, np.nan))
                shares = [MaskShare(row.name, row.removed) for row in mask.table]
            advance()
    map_grid = lonlat_grid(plan.grid, REPORT_SIDE)
    return TrackResult(
        name=plan.track,
        sums=sums,
        detections=tuple(detections),
        content=TrackContent(
            name=plan.track,
            bounds=bounds,
            layers=layers,
            pairs_used=plan.pairs,
            pairs_unused=unused,
            files_left_out=[p.message for p in problems if p.skipped],
            warnings=[p.message for p in problems if not p.skipped],
            masks=shares,
            significance=histogram,
            look=plan.look,
        ),
        overlays=tuple(
            Overlay(f"{plan.track}: {layer.name}", layer.values, map_grid, layer.vmax)
            for layer in layers
            if layer.evidence
        ),
        pairs=plan.pairs,
        files=tuple(files),
        footprint=footprint(plan.grid),
        look=plan.look,
        skipped=sum(p.skipped for p in problems),
    )
