"""Offset tracking from settings to results: images laid over each other, matched, inverted; moving places kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from groundshift import __version__
from groundshift.detect.detection import OFFSETS
from groundshift.geometry import map_grid_for
from groundshift.hazard.creep import creep_stages
from groundshift.inventory import (
    Run,
    Target,
    TargetSeries,
    is_current,
    make_targets,
    write_inventory,
)
from groundshift.inventory.geopackage import read_standing
from groundshift.inventory.join import join_targets
from groundshift.inventory.review import hold_reviews
from groundshift.io.amplitude import AmplitudeImage
from groundshift.report import ReportContent, SeriesContent, make_layer, write_report
from groundshift.report.content import TrackContent
from groundshift.report.layers import Bounds
from groundshift.types import MapGrid
from groundshift.workflows.alerting import sped_up
from groundshift.workflows.config import save_config
from groundshift.workflows.hazard_series import BACKSCATTER
from groundshift.workflows.offset_images import choose_reference, find_images, lay_over
from groundshift.workflows.offset_matches import choose_offset_pairs, match_pairs
from groundshift.workflows.offset_results import (
    Motion,
    Moving,
    find_moving,
    follow_cells,
    write_backscatter,
    write_maps,
    write_series,
)
from groundshift.workflows.offsets_config import OffsetsConfig
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.provenance import checksums_beside, write_provenance

__all__ = ["OffsetsOutput", "preview_offsets", "run_offsets"]

_MM = 1000.0


@dataclass(frozen=True)
class OffsetsOutput:
    """What a run leaves."""

    folder: Path
    inventory: Path
    report: Path
    targets: tuple[Target, ...]
    """Those that this run has seen."""
    images: int
    pairs: int


def preview_offsets(config: OffsetsConfig, reporter: Reporter) -> dict[str, Any]:
    """Say what would be done, without reading a pixel.

    Raises
    ------
    GroundshiftError
        As of `run_offsets`, as far as it shows without pixels.
    """
    images = find_images(config, reporter)
    reference = choose_reference(images, config.scene)
    pairs = choose_offset_pairs(images, config.match)
    sensors = [image.sensor for image in images]
    return {
        "images": {sensor: sensors.count(sensor) for sensor in dict.fromkeys(sensors)},
        "dates": f"{images[0].day} to {images[-1].day}",
        "reference": f"{reference.sensor}={reference.day}",
        "reference_pixels": list(reference.geometry.shape),
        "pairs": len(pairs),
        "bridges": sum(one.bridges for one in pairs),
    }


def run_offsets(config: OffsetsConfig, reporter: Reporter, command: str) -> OffsetsOutput:
    """Follow fast ground by the offsets of amplitude images.

    Leaves `inventory.gpkg`, `offsets.html`, `offsets.nc` (series of all windows), maps of rates and displacements,
    `images.csv`, `pairs.csv`, `backscatter.csv`, `offsets.yaml`, `offsets.provenance.json`, and what a later run goes
    on from in `ortho/` and `pairs/`. Targets that others have left in the inventory are joined with those found here.

    Parameters
    ----------
    config : OffsetsConfig
    reporter : Reporter
    command : str
        As typed, for the records.

    Raises
    ------
    GroundshiftError
        If images, elevation model or network do not do; the line says why.
    """
    started = datetime.now(UTC)
    images = find_images(config, reporter)
    choose_offset_pairs(images, config.match)  # stops before anything slow where the network falls apart
    with claimed(config.output):
        save_config(config, config.output / "offsets.yaml")
        files = [f for image in images for f in (image.files or (image.path,))]
        with checksums_beside(files, "checksums", reporter) as checksums:
            laid = lay_over(config, images, reporter)
            pairs = choose_offset_pairs(laid.images, config.match)
            matched = match_pairs(config, laid, pairs, reporter)
            motion = follow_cells(matched)
            track = "+".join(dict.fromkeys(image.sensor for image in laid.images))
            places = find_moving(motion, config.match, track, reporter)
            maps = write_maps(config.output, motion)
            write_series(config.output / "offsets.nc", motion)
        run = Run(
            started=started, version=__version__, command=command, tracks=(track,), first_date=motion.dates[0],
            last_date=motion.dates[-1], n_pairs=len(matched.pairs), parameters=config.model_dump_json(),
        )  # fmt: skip
        targets, series, named, earlier = _conclude(config, places, motion, run)
        write_backscatter(config.output / BACKSCATTER, laid, named, config.match.step)
        report = config.output / "offsets.html"
        content = _content(config, targets, series, motion, maps, run, laid.left_out, laid.images)
        write_report(report, replace(content, alerts=sped_up(series, earlier, run)))
        write_provenance(
            config.output / "offsets.provenance.json", checksums,
            {"command": command, "started": started, "settings": config.model_dump(mode="json"),
             "pairs": {track: len(matched.pairs)}},
        )  # fmt: skip
    return OffsetsOutput(
        config.output, _inventory_of(config), report, tuple(targets), len(laid.images), len(matched.pairs)
    )


def _inventory_of(config: OffsetsConfig) -> Path:
    """Return where moving places are kept."""
    return config.inventory or config.output / "inventory.gpkg"


def _conclude(
    config: OffsetsConfig, places: Sequence[Moving], motion: Motion, run: Run
) -> tuple[list[Target], list[TargetSeries], dict[str, Moving], list[Run]]:
    """Write moving places into the inventory; return those of this run, series, places by target, earlier runs."""
    inventory = _inventory_of(config)
    made = make_targets([[p.detection] for p in places], first_seen=run.first_date, last_seen=run.last_date)
    with hold_reviews(inventory):
        before, runs, old = read_standing(inventory)
        targets = join_targets(made, before, window=OFFSETS, covered=_covered(motion))
        mine = [t for t in targets if is_current(t)][: len(made)]
        owner = {id(d): t.id for t in mine for d in t.detections}
        named = {owner[id(p.detection)]: p for p in places if id(p.detection) in owner}
        series = [one for name, place in named.items() for one in _series_of(name, place, motion, run.tracks[0])]
        targets = [_with_course(t, series) for t in targets]
        mine = [t for t in targets if t.id in named]
        own = {(one.target, one.track) for one in series}
        names = {t.id for t in targets}
        kept = [s for s in old if (s.target, s.track) not in own and s.target in names]
        write_inventory(inventory, targets, [*runs, run], [*kept, *series])
    return mine, series, named, runs


def _with_course(target: Target, series: Sequence[TargetSeries]) -> Target:
    """Return a target with the behaviour that its series along the line of sight tells; as it was without one."""
    for one in series:
        if one.target == target.id and one.track.endswith(" los"):
            stages = creep_stages(one.dates.tolist(), one.displacement_mm / _MM, one.sigma_mm / _MM)
            if stages.accelerating:
                return replace(target, behaviour="accelerating")
            return replace(target, behaviour="steady" if len(stages.stages) == 1 else "unclear")
    return target


def _series_of(target: str, place: Moving, motion: Motion, track: str) -> list[TargetSeries]:
    """Return what the window that moves fastest did, and those around it, both components."""
    y, x = place.fastest
    around = np.s_[:, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    found = []
    for part, whole, own in (
        ("los", motion.los, motion.own_sigma[0]),
        ("azimuth", motion.azimuth, motion.own_sigma[1]),
    ):
        cells = whole.displacement[around].reshape(len(whole.dates), -1).astype(np.float64)
        known = np.isfinite(cells).any(axis=1)
        days = np.array(whole.dates, "datetime64[D]")[known]
        moved = _MM * np.nanmedian(cells[known], axis=1)
        sigma = _MM * np.nanmedian(own[around].reshape(len(whole.dates), -1)[known], axis=1).astype(np.float64)
        found.append(TargetSeries(target, f"{track} {part}", days, moved - moved[0], sigma))
    return found


def _covered(motion: Motion) -> Polygon:
    """Return the hull of the cells whose ground is known."""
    grid = motion.cells.grid
    assert grid.longitude is not None  # of cells
    assert grid.latitude is not None
    known = np.isfinite(grid.longitude)
    hull = shapely.convex_hull(shapely.multipoints(np.column_stack([grid.longitude[known], grid.latitude[known]])))
    return hull if isinstance(hull, Polygon) else Polygon()


def _content(
    config: OffsetsConfig, targets: Sequence[Target], series: Sequence[TargetSeries], motion: Motion,
    maps: dict[str, NDArray[np.float32]], run: Run, left_out: Sequence[str], images: Sequence[AmplitudeImage],
) -> ReportContent:  # fmt: skip
    """Gather what the report shows."""
    grid = map_grid_for(motion.cells.grid)
    layers = [
        make_layer("velocity", f"rate {way}", maps[f"{part}_rate"], unit="m/yr")
        for part, way in (("los", "towards the satellite"), ("azimuth", "against the flight"))
    ]
    sensors = [image.sensor for image in images]
    told: dict[str, list[SeriesContent]] = {}
    for one in series:
        told.setdefault(one.target, []).append(
            SeriesContent(one.track, one.dates, one.displacement_mm, one.sigma_mm, facts=_facts(one))
        )
    track = TrackContent(run.tracks[0], _bounds(grid), layers, files_left_out=tuple(left_out))
    return ReportContent(
        title="Offset tracking",
        facts={
            "Images": ", ".join(f"{sensors.count(s)} of {s}" for s in dict.fromkeys(sensors)),
            "Dates": f"{run.first_date} to {run.last_date}",
            "Pairs": f"{run.n_pairs}",
            "Stable ground": f"rates scatter by {motion.still[0]:.3f} and {motion.still[1]:.3f} m/yr (line of sight, "
            "azimuth)",
            "Targets": f"{len(targets)}",
            "Groundshift": __version__,
        },
        tracks=[track],
        targets=list(targets),
        settings=config.model_dump(mode="json"),
        messages=left_out,
        series=told,
    )


def _facts(series: TargetSeries) -> dict[str, str]:
    """Say in words how far the fastest window has moved."""
    moved, sigma = series.displacement_mm[-1] / _MM, float(np.hypot(*series.sigma_mm[[0, -1]])) / _MM
    way = "against the flight" if series.track.endswith("azimuth") else "towards the satellite"
    return {"Moved in all": f"{moved:+.2f} ± {sigma:.2f} m {way}, in the window that moves fastest"}


def _bounds(grid: MapGrid) -> Bounds:
    """Return the outer edges of a map in longitude and latitude."""
    t, (rows, columns) = grid.transform, grid.shape
    return Bounds(t.c, t.f + t.e * rows, t.c + t.a * columns, t.f)
