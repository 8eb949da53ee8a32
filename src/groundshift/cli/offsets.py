"""Commands on fast ground: offsets of amplitude images."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundshift.cli.models import settings_in, settled
from groundshift.cli.options import (
    AsJson,
    ConfigFile,
    DryRun,
    Flat,
    Output,
    Product,
    Quiet,
    UsageError,
    print_facts,
    print_json,
    typed_command,
)
from groundshift.workflows.config import merged
from groundshift.workflows.offsets_config import MatchConfig, OffsetsConfig, SceneConfig
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["offsets"]


def offsets(
    inputs: Annotated[
        tuple[Path, ...],
        Parameter(help="Folders or files of amplitude images with their geometry, of any number of sensors."),
    ] = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    sensors: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, help="Only images of these sensors; all by default.")
    ] = (),
    inventory: Annotated[
        Path | None, Parameter(help="Inventory that moving places join; inventory.gpkg of the output by default.")
    ] = None,
    scene: Annotated[SceneConfig | None, Flat] = None,
    match: Annotated[MatchConfig | None, Flat] = None,
    threads: Annotated[int | None, Parameter(help="Threads that match; all cores by default.")] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Follow ground that moves metres a year by matching amplitude images, also of different satellites.

    Run again to go on where it stopped.
    """
    given = merged(
        settings_in(config, OffsetsConfig),
        {
            "inputs": inputs or None, "output": output, "product": product, "sensors": sensors or None,
            "inventory": inventory, "scene": scene, "match": match, "threads": threads,
        },
    )  # fmt: skip
    settings = settled(OffsetsConfig, given)
    if not settings.inputs:
        raise UsageError("no input given; name folders or files of amplitude images")
    others = [p for p in (settings.scene.dem, settings.match.moving, settings.inventory) if p is not None]
    check_paths(settings.output, settings.inputs, others)
    from groundshift.workflows.offsets import preview_offsets, run_offsets

    if dry_run:
        with Reporter(quiet=quiet or as_json) as reporter:
            facts = preview_offsets(settings, reporter)
        if as_json:
            print_json({"output": str(settings.output), **facts})
        else:
            print_facts(facts)
        return 0
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_offsets(settings, reporter, typed_command())
        reporter.say(
            f"{count_of(len(done.targets), 'moving place')} from {count_of(done.pairs, 'pair')} of "
            f"{count_of(done.images, 'image')}: {done.report}"
        )
    if as_json:
        print_json({
            "output": str(done.folder), "inventory": str(done.inventory), "report": str(done.report),
            "targets": [t.id for t in done.targets], "images": done.images, "pairs": done.pairs,
        })  # fmt: skip
    return 0
