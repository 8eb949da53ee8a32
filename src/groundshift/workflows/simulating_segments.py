"""Simulated sets of patches with masks, in the layout of ISSLIDE: zone by zone, going on where an earlier run stopped.

Sets have seeds of their own (`simulate.segments.zones.set_seed`), which no training uses that simulates on the way.
"""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from geopandas.geodataframe import GeoDataFrame
from pydantic import Field
from pyogrio.errors import DataLayerError, DataSourceError

from groundshift.errors import OutputError
from groundshift.io.atomic import atomic_path
from groundshift.io.isslide import PATCHES, dates_text, delay_text
from groundshift.io.isslide_cut import Movement
from groundshift.simulate.segments.config import ZoneConfig
from groundshift.workflows.config import Config
from groundshift.workflows.making_segments import MadeSegments, keep_record, made_segments, write_zone
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter
from groundshift.workflows.segment_zones import Zone, ZonePair, ZoneView

if TYPE_CHECKING:
    from groundshift.simulate.segments.zones import SegmentZone
    from groundshift.types import Pair

__all__ = ["POLYGONS", "SimulatedSegmentsConfig", "preview_simulation", "run_simulation"]

POLYGONS = "polygons"
"""Folder of the outlines, a GeoPackage for each zone; it is written last, so that a zone that has one is finished."""

_STEPS = 3
"""Lengths of pairs."""


class SimulatedSegmentsConfig(Config):
    """Everything that the simulation of a set can be told."""

    output: Path
    """Folder for the set."""
    scenes: Annotated[int, Field(ge=1, lt=2**20)] = 8
    """Zones; the first one is called Queyras."""
    seed: Annotated[int, Field(ge=0, lt=2**30)] = 0
    """Seed of the set; no two sets, and no training, have a zone in common."""
    ground: ZoneConfig = ZoneConfig()


def run_simulation(config: SimulatedSegmentsConfig, reporter: Reporter) -> MadeSegments:
    """Write a simulated set, or go on with one.

    Leaves `patches/`, the set itself, `polygons/ZONE.gpkg` with what moves in which interferogram, and `segments.yaml`.

    Raises
    ------
    OutputError
        If the folder holds a set of something else, or cannot be written.
    NoDataError
        If nothing moves in any zone.
    """
    from groundshift.simulate.segments.zones import draw_zone, set_seed, zone_name  # noqa: PLC0415  (needs torch)

    began = time.monotonic()
    root = config.output / PATCHES
    with claimed(config.output):
        keep_record(config.output, {"seed": config.seed, "ground": config.ground.model_dump(mode="json")})
        made = quiet = drawn = 0
        with reporter.bar("simulating zones", config.scenes) as advance:
            for number in range(config.scenes):
                table = config.output / POLYGONS / f"{zone_name(number)}.gpkg"
                if not table.exists():
                    simulated = draw_zone(config.ground, set_seed(config.seed, number), number)
                    zone = _zone_of(simulated)
                    new, still = write_zone(root, zone, reporter, lambda: None)
                    _write_polygons(table, simulated, zone)
                    made, quiet, drawn = made + new, quiet + still, drawn + 1
                    left = (time.monotonic() - began) / drawn * (config.scenes - number - 1) / 60
                    reporter.say(f"{zone.name}: {new:,} patches, {still:,} of them quiet; {math.ceil(left)} min left")
                advance()
        return made_segments(root, config.scenes, made, quiet)


def preview_simulation(config: SimulatedSegmentsConfig) -> dict[str, Any]:
    """Say what `run_simulation` would do, without touching anything."""
    from groundshift.simulate.segments.zones import set_seed, zone_name  # noqa: PLC0415  (needs torch)

    ground = config.ground
    names = [zone_name(number) for number in range(config.scenes)]
    there = sum((config.output / POLYGONS / f"{name}.gpkg").exists() for name in names)
    return {
        "folder": str(config.output / PATCHES),
        "zones": len(names),
        "zones_there": there,
        "seeds": f"{set_seed(config.seed, 0)} to {set_seed(config.seed, config.scenes - 1)}",
        "delays": [f"{ground.interval_days * k}days" for k in range(1, _STEPS + 1)],
        "interferograms": len(names) * sum(ground.dates - k for k in range(1, _STEPS + 1)),
        "pixels": list(ground.shape),
    }


def _zone_of(simulated: "SegmentZone") -> Zone:
    """Return a simulated zone as one that patches are cut of."""

    def pair_of(index: int, pair: "Pair") -> ZonePair:
        movements = [Movement(outline.geometry, outline.id) for outline in simulated.outlines(index)]
        return ZonePair(
            delay_text(pair), dates_text(pair), movements, lambda: ZoneView(*simulated.view(index), simulated.grid)
        )

    return Zone(simulated.name, tuple(pair_of(k, pair) for k, pair in enumerate(simulated.network.pairs)))


def _write_polygons(path: Path, simulated: "SegmentZone", zone: Zone) -> None:
    """Write what shows in which interferogram of a zone."""
    rows = [
        (movement, part, pair)
        for part, pair in zip(zone.pairs, simulated.network.pairs, strict=True)
        for movement in part.movements
    ]
    movers = simulated.ground.movers[0]
    table = GeoDataFrame(
        {
            "id": [m.id for m, _, _ in rows],
            "delay": [part.delay for _, part, _ in rows],
            "dates": [part.dates for _, part, _ in rows],
            "start": [pair.reference.isoformat() for _, _, pair in rows],
            "end": [pair.secondary.isoformat() for _, _, pair in rows],
            "kind": [movers[m.id - 1].kind.name.lower() for m, _, _ in rows],
            "profile": [movers[m.id - 1].profile for m, _, _ in rows],
            "velocity_los_mm_yr": [movers[m.id - 1].velocity for m, _, _ in rows],
        },
        geometry=[m.geometry for m, _, _ in rows],
        crs="EPSG:4326",
    )
    with atomic_path(path) as temporary:
        try:
            table.to_file(temporary, layer="movements", driver="GPKG", engine="pyogrio", promote_to_multi=True)
        except (DataSourceError, DataLayerError) as error:
            raise OutputError(f"{path}: cannot be written; free some space and run again") from error
