"""One track from interferograms to detections: stacked, searched for moving bodies, and drawn."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
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
    draw_track,
    render_layer,
    significance_histogram,
)
from groundshift.types import LookGeometry, Pair
from groundshift.unwrap import choose_unwrapper
from groundshift.workflows.choices import choose_scanned
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.coverage import footprint
from groundshift.workflows.foresight import with_foresight
from groundshift.workflows.inputs import tell_problems
from groundshift.workflows.maps import REPORT_SIDE, lonlat_grid, track_layers, write_maps
from groundshift.workflows.progress import Reporter
from groundshift.workflows.provenance import checksums_beside
from groundshift.workflows.sites import keep_sites, recall_sites, site_detections
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.track import (
    Ground,
    detect_on,
    load_detector,
    look_at_ground,
    valid_nodes,
    velocity_of,
)

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector
    from groundshift.workflows.scanning import Scan
    from groundshift.workflows.stacking import StackOutput

__all__ = ["TrackResult", "check_bowls", "detect_track", "problems_of", "scan_for_bowls", "survey_track"]


@dataclass(frozen=True)
class TrackResult:
    """What one track gives to the survey."""

    name: str
    sums: SumsFile
    detections: tuple[Detection, ...]
    content: TrackContent
    overlays: tuple[Overlay, ...]
    pairs: tuple[Pair, ...]
    checksums: dict[str, str | None]
    """SHA-256 of the files that were read, by their names; None where one could not be read any more."""
    footprint: Polygon
    look: LookGeometry | None
    skipped: int
    watcher: dict[str, str | None] = field(default_factory=dict)
    """Name and SHA-256 of what found bowls; empty where nothing looked for any."""


def survey_track(
    source: InterferogramStack, config: SurveyConfig, reporter: Reporter, network: "NetworkDetector | None" = None
) -> TrackResult:
    """Stack one track, look for moving bodies in every time window, and write its maps.

    `network` is what `config.detect` names, where it has been loaded before.
    """
    network = network or load_detector(config.detect)
    folder = config.output / "stacks" / source.track
    tell_problems(source, reporter)
    if config.bowls.look_for != "bodies":
        choose_scanned(source, config.bowls)
    stacked = stack_track(source, config.stack, folder, reporter)
    scan = scan_for_bowls(source, config, folder, reporter, known=stacked.problems)
    used = set(stacked.sums.plan.pairs)
    return detect_track(
        stacked.sums,
        config,
        folder,
        reporter,
        network,
        problems=problems_of(source, stacked, scan),
        unused=[p for p in source.pairs if p not in used],
        files=[f for p in stacked.sums.plan.pairs for f in source.files.get(p, ())],
        scan=scan,
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
    scan: "Scan | None" = None,
) -> TrackResult:
    """Look for moving bodies in every time window of finished sums, and write the maps to `folder`.

    `problems`, `unused` pairs and input `files` come from stacking, for the report and the provenance. Checksums of the
    files are taken meanwhile. What a `scan` of the single interferograms has seen joins what is found on the stacks.
    """
    plan = sums.plan
    ground = look_at_ground(sums, config.mask, reporter)
    detections: list[Detection] = []
    with (
        checksums_beside(files, f"{plan.track}: checksums", reporter) as checksums,
        reporter.bar(f"{plan.track}: detecting", len(plan.windows)) as advance,
    ):
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
            if config.bowls.look_for != "bowls":
                detections += detect_on(
                    stack, velocity, ground, mask.valid, config.detect, config.screen, reporter, network
                )
            write_maps(folder, stack, velocity, mask.valid)
            if index == 0:
                bounds, layers = track_layers(stack, velocity, ground.height)
                histogram = significance_histogram(np.where(mask.valid, stack.significance, np.nan))
                shares = [MaskShare(row.name, row.removed) for row in mask.table]
            advance()
    watcher: dict[str, str | None] = {}
    if config.bowls.look_for != "bodies":
        sites = _sites(scan, sums, ground, folder, reporter)
        detections += sites
        if scan is not None:
            watcher = {"name": scan.detector, "sha256": scan.checksum or None}
        elif sites:
            watcher = {"name": " and ".join(sorted({d.detector for d in sites}))}
    map_grid = lonlat_grid(plan.grid, REPORT_SIDE)
    content = TrackContent(
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
    )
    return TrackResult(
        name=plan.track,
        sums=sums,
        detections=tuple(detections),
        content=replace(content, pictures=draw_track(content)),
        overlays=tuple(
            Overlay(
                f"{plan.track}: {layer.name}",
                render_layer(layer.values, layer.cmap, layer.vmin, layer.vmax, indexed=True),
                map_grid,
            )
            for layer in layers
            if layer.evidence
        ),
        pairs=plan.pairs,
        checksums=checksums,
        footprint=footprint(plan.grid),
        look=plan.look,
        skipped=sum(p.skipped for p in problems),
        watcher=watcher,
    )


def check_bowls(config: SurveyConfig) -> None:
    """See that what finds and unwraps bowls is there, before anything slow is done.

    Raises
    ------
    GroundshiftError
        If a model or an unwrapper is not, or is not of the kind that is needed.
    """
    if config.bowls.look_for == "bodies":
        return
    from groundshift.workflows.scanning import choose_watcher  # noqa: PLC0415  (not needed for bodies)

    choose_watcher(config.bowls)
    if config.series.series:
        with_foresight(choose_unwrapper(config.series.unwrapper), config.series.foresight)


def problems_of(source: InterferogramStack, stacked: "StackOutput", scan: "Scan | None") -> list[Problem]:
    """Return what was wrong with the files of a track; what stacking and scanning say alike only once."""
    return list(dict.fromkeys([*source.problems, *stacked.problems, *(() if scan is None else scan.problems)]))


def scan_for_bowls(
    source: InterferogramStack,
    config: SurveyConfig,
    folder: Path,
    reporter: Reporter,
    *,
    with_former: bool = False,
    known: Collection[Problem] = (),
) -> "Scan | None":
    """Scan the single interferograms of a track, if they are to be; see `scan_track`."""
    if config.bowls.look_for == "bodies":
        return None
    from groundshift.workflows.scanning import choose_watcher, scan_track  # noqa: PLC0415  (not needed for bodies)

    watcher = choose_watcher(config.bowls)
    return scan_track(source, config.bowls, watcher, folder, reporter, with_former=with_former, known=known)


def _sites(scan: "Scan | None", sums: SumsFile, ground: Ground, folder: Path, reporter: Reporter) -> list[Detection]:
    """Return the sites of a scan, or those of the last one where there is none; they are kept in `folder`."""
    kept = "bowls/sites.json"
    sites = recall_sites(sums.path.parent / kept) if scan is None else site_detections(scan, sums, ground, reporter)
    keep_sites(folder / kept, sites)
    return sites
