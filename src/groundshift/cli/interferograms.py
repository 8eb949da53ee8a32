"""The command that writes interferograms.

What does the work is imported inside the command: help and wrong usage are answered without loading it.
"""
# ruff: noqa: PLC0415

from typing import Annotated, Any

from groundshift.cli.options import (
    AsJson,
    ConfigFile,
    DryRun,
    Flat,
    Inputs,
    Output,
    Product,
    Quiet,
    print_facts,
    print_json,
    settings_of,
)
from groundshift.workflows.config import InterferometryConfig, SeriesConfig, StackConfig
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter

__all__ = ["interferograms"]


def interferograms(
    inputs: Inputs = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    stack: Annotated[StackConfig | None, Flat] = None,
    interferometry: Annotated[InterferometryConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Form interferograms of single-look images and write them. Run again to continue a run that was stopped."""
    settings = settings_of(
        config, inputs=inputs or None, output=output, product=product, stack=stack,
        interferometry=InterferometryConfig.model_validate({"unbiased": True} | _set_in(interferometry)),
        series=SeriesConfig(series=False),
    )  # fmt: skip
    check_paths(settings.output, settings.inputs)
    if dry_run:
        from groundshift.workflows.choices import preview_stack
        from groundshift.workflows.inputs import open_tracks

        facts = [preview_stack(source, settings.stack) for source in open_tracks(settings, located=False)]
        if as_json:
            print_json({"output": str(settings.output), "tracks": facts})
        else:
            for fact in facts:
                print_facts(fact)
        return 0
    from groundshift.workflows.interferograms import run_interferograms

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_interferograms(settings, reporter)
    if as_json:
        print_json(
            {
                "tracks": [
                    {"track": t.track, "folder": str(t.folder), "pairs": t.pairs, "skipped": t.skipped} for t in done
                ]
            }
        )
    return 0


def _set_in(settings: InterferometryConfig | None) -> dict[str, Any]:
    """Return what was given of the settings."""
    return {} if settings is None else settings.model_dump(exclude_unset=True)
