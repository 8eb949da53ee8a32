"""Commands that make sets of patches with masks: of interferograms and polygons, or simulated."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundshift.cli.models import NotInstalledError, settings_in, settled
from groundshift.cli.options import (
    AsJson,
    ConfigFile,
    DryRun,
    Flat,
    Inputs,
    Output,
    Pattern,
    Product,
    Quiet,
    UsageError,
    Wavelength,
    print_facts,
    print_json,
)
from groundshift.simulate.segments.config import ZoneConfig
from groundshift.workflows.config import merged
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter

__all__ = ["make_segments", "simulate_segments"]


def make_segments(
    inputs: Inputs = (),
    *,
    polygons: Annotated[
        Path | None,
        Parameter(help="Vector file of what moves; of the raw ISSLIDE set a folder of shapefiles (that of the set)."),
    ] = None,
    output: Output = None,
    config: ConfigFile = None,
    zone: Annotated[
        tuple[str, ...],
        Parameter(consume_multiple=True, help="Name of the zone of each track; that of the track by default."),
    ] = (),
    id_field: Annotated[str | None, Parameter(help="Field of numbers that tell movements apart (id).")] = None,
    start_field: Annotated[
        str | None, Parameter(help="Field of the day on which a movement begins, if there is one (start).")
    ] = None,
    end_field: Annotated[
        str | None, Parameter(help="Field of the day on which a movement ends, if there is one (end).")
    ] = None,
    delays: Annotated[
        tuple[int, ...], Parameter(consume_multiple=True, help="Only pairs of so many days, such as 6 12 18.")
    ] = (),
    pixel_deg: Annotated[float | None, Parameter(help="Pixel of the patches, degrees (1.315e-4).")] = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Make a set of patches with masks, as ISSLIDE, of interferograms and polygons. Run again to continue."""
    from groundshift.workflows.making_segments import preview_segments, run_segments
    from groundshift.workflows.segment_zones import MakeSegmentsConfig

    given = merged(
        settings_in(config, MakeSegmentsConfig) if config is not None else {},
        {
            "inputs": inputs or None, "output": output, "polygons": polygons, "zone": zone or None,
            "id_field": id_field, "start_field": start_field, "end_field": end_field, "delays": delays or None,
            "pixel_deg": pixel_deg, "product": product, "pattern": pattern, "wavelength": wavelength,
        },
    )  # fmt: skip
    if not given.get("inputs"):
        raise UsageError("no inputs given; name the raw set, or folders or files of interferograms")
    settings = settled(MakeSegmentsConfig, given)
    check_paths(settings.output, settings.inputs, [] if settings.polygons is None else [settings.polygons])
    if dry_run:
        with Reporter(quiet=quiet or as_json) as reporter:
            facts = preview_segments(settings, reporter)
        (print_json if as_json else print_facts)(facts)
        return 0
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_segments(settings, reporter)
        done.tell(reporter)
    if as_json:
        print_json(done.facts())
    return 0


def simulate_segments(
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Folder for the set.")] = None,
    *,
    config: ConfigFile = None,
    scenes: Annotated[int | None, Parameter(help="Zones; the first one is called Queyras (8).")] = None,
    seed: Annotated[
        int | None, Parameter(help="Seed; no two sets have a zone in common, nor has any training (0).")
    ] = None,
    ground: Annotated[ZoneConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Simulate a set of patches with masks in the layout of ISSLIDE. Run again to go on, or with more zones to add."""
    from importlib.util import find_spec

    from groundshift.workflows.simulating_segments import SimulatedSegmentsConfig, preview_simulation, run_simulation

    given = merged(
        settings_in(config, SimulatedSegmentsConfig),
        {"output": output, "scenes": scenes, "seed": seed, "ground": ground},
    )
    settings = settled(SimulatedSegmentsConfig, given)
    check_paths(settings.output)
    if find_spec("torch") is None:
        raise NotInstalledError('simulated sets need torch; install with pip install "groundshift[train]"')
    if dry_run:
        (print_json if as_json else print_facts)(preview_simulation(settings))
        return 0
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_simulation(settings, reporter)
        done.tell(reporter)
    if as_json:
        print_json(done.facts())
    return 0
