"""From the detections of all tracks to targets, their motion, and the files of a survey."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundshift import __version__
from groundshift.detect.detection import OFFSETS
from groundshift.geometry import downslope_sensitivity, downslope_velocity
from groundshift.inventory import (
    Run,
    Target,
    carry_identity,
    is_current,
    make_targets,
    merge_detections,
    read_inventory,
    verification_sample,
    write_inventory,
    write_kmz,
    write_sample,
)
from groundshift.inventory.density import density, write_density
from groundshift.inventory.geopackage import read_standing
from groundshift.inventory.join import keep_evidence
from groundshift.inventory.review import hold_reviews
from groundshift.io import InterferogramStack
from groundshift.report import (
    ReportContent,
    write_content,
    write_report,
)
from groundshift.workflows.alerting import sped_up
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.coverage import area_km2, cell_km, united
from groundshift.workflows.detecting import TrackResult
from groundshift.workflows.fast_targets import follow_fast, too_fast
from groundshift.workflows.motion import TargetMotion, with_motion
from groundshift.workflows.motions import of_others, shown_series, tell_motions
from groundshift.workflows.progress import Reporter
from groundshift.workflows.provenance import write_provenance
from groundshift.workflows.series import Source
from groundshift.workflows.track import (
    detector_facts,
    is_believed,
    load_detector,
)
from groundshift.workflows.viewing import KEPT

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = ["SurveyOutput", "conclude"]


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

    Targets are followed through time on the tracks whose interferograms are in `stacks`. Of other tracks, and of
    targets that are not seen any more, the series that were made before are told.
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
    motions = _follow(named, results, stacks, config, reporter)
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
        before, runs, others = read_standing(inventory)
        targets = [with_motion(t, motions.get(t.id, ())) for t in carry_identity(found, before, covered=covered)]
        targets = keep_evidence(targets, before, OFFSETS)
        further = of_others(others, run.tracks, motions, targets)
        write_inventory(inventory, targets, [*runs, run], [*series, *further])
    fast = too_fast(targets, motions)
    messages = [*failures, *follow_fast(targets, fast, config, reporter, command)]
    if fast and config.fast.amplitudes:
        targets, _, others = read_standing(inventory)
        further = of_others(others, run.tracks, motions, targets)
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
    looked: dict[str, Mapping[str, Any]] = {}
    if config.bowls.look_for != "bowls":
        looked["detector"] = detector_facts(network, config.detect)
    if config.bowls.look_for != "bodies":
        found_by = next((r.watcher for r in results if r.watcher), {"name": config.bowls.bowl_detector})
        looked["bowl_detector"] = found_by
    write_provenance(
        folder / "provenance.json",
        {name: digest for r in results for name, digest in r.checksums.items()},
        {
            "command": command,
            "started": started,
            "seed": config.seed,
            **looked,
            "pairs": {r.name: len(r.pairs) for r in results},
        },
    )
    names = " and ".join(facts["name"] for facts in looked.values())
    content = _content(config, output, results, targets, messages, first, last, names)
    content = replace(content, series=shown_series(motions, further), alerts=sped_up(series, runs, run))
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Compressing what is kept leaves the interpreter to the page.
        kept = pool.submit(write_content, folder / KEPT, content)
        write_report(output.report, content)
        kept.result()
    return output


def _follow(
    targets: Sequence[Target],
    results: Sequence[TrackResult],
    stacks: Sequence[InterferogramStack],
    config: SurveyConfig,
    reporter: Reporter,
) -> dict[str, list[TargetMotion]]:
    """Follow the targets on all tracks whose interferograms are at hand."""
    if not config.series.series:
        return {}
    by_track = {stack.track: stack for stack in stacks}
    sources = {r.name: Source(by_track[r.name], r.sums, config.detect.reach) for r in results if r.name in by_track}
    return tell_motions(targets, sources, config.output / "series", config.series, reporter)


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
    messages: Sequence[str],
    first: date,
    last: date,
    detector: str,
) -> ReportContent:
    """Gather what the report shows."""
    return ReportContent(
        title="Groundshift survey",
        facts={
            "Area": f"{output.area_km2:,.1f} km²",
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
        messages=messages,
    )
