"""The main job: interferograms of one or several tracks in, an inventory of moving ground out."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from shapely import Polygon

from groundshift import __version__
from groundshift.detect import Detection
from groundshift.errors import GroundshiftError, NoDataError, OutputError, ProductError
from groundshift.geometry import downslope_sensitivity, downslope_velocity
from groundshift.gradients.store import SumsFile
from groundshift.inventory import (
    Overlay,
    Run,
    Target,
    carry_identity,
    is_current,
    make_targets,
    merge_detections,
    read_inventory,
    read_runs,
    verification_sample,
    write_inventory,
    write_kmz,
    write_sample,
)
from groundshift.inventory.density import density, write_density
from groundshift.inventory.review import hold_reviews
from groundshift.io import InterferogramStack, Problem, open_stack
from groundshift.io.rasters import raster_grid
from groundshift.report import (
    MaskShare,
    ReportContent,
    TrackContent,
    significance_histogram,
    write_content,
    write_report,
)
from groundshift.types import LookGeometry, Pair
from groundshift.workflows.config import SettingError, SurveyConfig, save_config
from groundshift.workflows.coverage import area_km2, cell_km, footprint, united
from groundshift.workflows.maps import REPORT_SIDE, is_located, lonlat_grid, track_layers, write_maps
from groundshift.workflows.motion import TargetMotion, with_motion
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.provenance import write_provenance
from groundshift.workflows.series import Source, follow_targets
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.track import (
    detect_on,
    detector_facts,
    is_believed,
    load_detector,
    look_at_ground,
    valid_nodes,
    velocity_of,
)
from groundshift.workflows.viewing import KEPT

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = [
    "SurveyOutput",
    "TrackResult",
    "conclude",
    "detect_track",
    "open_tracks",
    "run_survey",
    "survey_track",
    "tell_problems",
]


_TOLD = 5
"""Problems of one track that are told on the terminal."""


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


@dataclass(frozen=True)
class SurveyOutput:
    """What a survey leaves."""

    folder: Path
    inventory: Path
    report: Path
    targets: tuple[Target, ...]
    """Those seen in this run."""
    pairs_used: int
    pairs_skipped: int
    area_km2: float
    seconds: float


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


def conclude(
    results: Sequence[TrackResult],
    config: SurveyConfig,
    reporter: Reporter,
    command: str,
    started: datetime,
    failures: Sequence[str] = (),
    network: "NetworkDetector | None" = None,
    stacks: Sequence[InterferogramStack] = (),
) -> SurveyOutput:
    """Merge the detections of all tracks into targets and write everything that is made of them.

    Targets are followed through time on the tracks whose interferograms are in `stacks`.
    """
    network = network or load_detector(config.detect)
    folder = config.output
    inventory = folder / "inventory.gpkg"
    first = min(p.reference for r in results for p in r.pairs)
    last = max(p.secondary for r in results for p in r.pairs)
    found = _targets(results, config, first, last, network)
    covered = united([r.footprint for r in results])
    before = read_inventory(inventory) if inventory.exists() else []
    named = carry_identity(found, before, covered=covered)
    motions = _follow([t for t in named if is_current(t)], results, stacks, config, reporter)
    series = [s for told in motions.values() for m in told if (s := m.series()) is not None]
    run = Run(
        started=started,
        version=__version__,
        command=command,
        tracks=tuple(r.name for r in results),
        first_date=first,
        last_date=last,
        n_pairs=sum(len(r.pairs) for r in results),
        parameters=config.model_dump_json(),
    )
    # Read once more: reviews may have been written while targets were followed.
    with hold_reviews(inventory):
        before = read_inventory(inventory) if inventory.exists() else []
        runs = read_runs(inventory) if inventory.exists() else []
        targets = [with_motion(t, motions.get(t.id, ())) for t in carry_identity(found, before, covered=covered)]
        write_inventory(inventory, targets, [*runs, run], series)
    current = [t for t in targets if is_current(t)]
    write_kmz(folder / "targets.kmz", targets, [o for r in results for o in r.overlays])
    size = min(config.sample_size, len(current))
    write_sample(folder, verification_sample(current, size, config.seed) if size else [])
    values, grid = density(current, cell_km(covered), cell_km(covered) * 10, surveyed=covered)
    write_density(folder / "density.tif", values, grid)

    output = SurveyOutput(
        folder=folder,
        inventory=inventory,
        report=folder / "report.html",
        targets=tuple(current),
        pairs_used=run.n_pairs,
        pairs_skipped=sum(r.skipped for r in results),
        area_km2=area_km2(covered),
        seconds=(datetime.now(UTC) - started).total_seconds(),
    )
    facts = detector_facts(network, config.detect)
    write_provenance(
        folder / "provenance.json",
        [f for r in results for f in r.files],
        {
            "command": command,
            "started": started,
            "seed": config.seed,
            "detector": facts,
            "pairs": {r.name: len(r.pairs) for r in results},
        },
        reporter,
    )
    content = _content(config, output, results, targets, failures, first, last, facts["name"])
    content = replace(content, series={name: [m.content() for m in found] for name, found in motions.items()})
    write_content(folder / KEPT, content)
    write_report(output.report, content)
    return output


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


def _follow(
    targets: Sequence[Target],
    results: Sequence[TrackResult],
    stacks: Sequence[InterferogramStack],
    config: SurveyConfig,
    reporter: Reporter,
) -> dict[str, list[TargetMotion]]:
    """Follow the targets on all tracks whose interferograms are at hand."""
    if not config.series.series or not targets:
        return {}
    by_track = {stack.track: stack for stack in stacks}
    sources = {r.name: Source(by_track[r.name], r.sums, config.detect.reach) for r in results if r.name in by_track}
    return follow_targets(targets, sources, config.output / "series", config.series, reporter)


def _targets(
    results: Sequence[TrackResult],
    config: SurveyConfig,
    first: date,
    last: date,
    network: "NetworkDetector | None",
) -> list[Target]:
    """Merge the detections of all tracks and project their motion on the slope."""
    groups = merge_detections(
        [d for r in results for d in r.detections],
        max_centre_distance_m=config.screen.merge_distance,
        min_giou=config.screen.merge_giou,
    )
    groups = [group for group in groups if is_believed(group, config.detect, network)]
    looks = {r.name: r.look for r in results}
    found = []
    for target in make_targets(groups, first_seen=first, last_seen=last, min_slope_deg=config.screen.least_slope):
        best = max(target.detections, key=lambda d: abs(d.significance))
        look = looks[best.track]
        speed = np.nan
        if look is not None and best.slope is not None and best.aspect is not None:
            sensitivity = downslope_sensitivity(best.slope, best.aspect, look)
            speed = float(downslope_velocity(best.velocity, best.velocity_sigma, sensitivity).velocity)
        found.append(replace(target, velocity_slope_mm_yr=speed if np.isfinite(speed) else None))
    return found


def _content(
    config: SurveyConfig,
    output: SurveyOutput,
    results: Sequence[TrackResult],
    targets: Sequence[Target],
    failures: Sequence[str],
    first: date,
    last: date,
    detector: str,
) -> ReportContent:
    """Gather what the report shows."""
    return ReportContent(
        title="Groundshift survey",
        facts={
            "Area": f"{output.area_km2:,.1f} km2",
            "Tracks": ", ".join(r.name for r in results),
            "Dates": f"{first} to {last}",
            "Pairs stacked": f"{output.pairs_used}",
            "Files left out": f"{output.pairs_skipped}",
            "Targets": f"{len(output.targets)}",
            "Detector": detector,
            "Duration": f"{output.seconds:.0f} s",
            "Groundshift": __version__,
        },
        tracks=[r.content for r in results],
        targets=targets,
        settings=config.model_dump(mode="json"),
        messages=failures,
    )
