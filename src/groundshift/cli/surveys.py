"""Commands on interferograms: look at them, survey them, or run the stages singly.

What does the work is imported inside the commands: help and wrong usage are answered without loading it.
"""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

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
    WindowOption,
    print_facts,
    print_json,
    settings_of,
    typed_command,
)
from groundshift.errors import MissingFileError
from groundshift.workflows.config import (
    BowlConfig,
    ClusterConfig,
    DetectConfig,
    FastConfig,
    InterferometryConfig,
    MaskConfig,
    ScreenConfig,
    SeriesConfig,
    StackConfig,
    SurveyConfig,
)
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of

if TYPE_CHECKING:
    from groundshift.workflows.concluding import SurveyOutput

__all__ = ["conclude", "detect", "info", "preview", "stack", "survey"]


def info(
    path: Annotated[
        Path, Parameter(help="Folder or file of interferograms, of single-look images, or of amplitude images.")
    ],
    *,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    network: Annotated[Path | None, Parameter(help="Draw the network of pairs to this PNG, SVG or PDF.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show what the reader sees: format, grid, pairs, dates, gaps, signs, problems. Exits 1 if a pair is unusable."""
    if network is not None and network.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--network: expected a name that ends in .png, .svg or .pdf, instead got {str(network)!r}")
    if wavelength is not None and not 0 < wavelength < float("inf"):
        raise UsageError(f"--wavelength: expected more than 0, instead got {wavelength}")
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder; check the spelling")
    from groundshift.workflows.inputs import open_input
    from groundshift.workflows.inspect import describe, describe_images, draw_network, holds_only_amplitudes

    if network is None and holds_only_amplitudes(path, product):
        images = describe_images(path, product)
        if as_json:
            print_json(images)
        else:
            print_facts(images)
        return 1 if images["skipped"] else 0
    settings = SurveyConfig(
        inputs=(path,), output=Path("."), product=product, pattern=pattern, wavelength=wavelength
    )  # fmt: skip
    found = open_input(path, settings)
    if network is not None and len(found) > 1:
        raise UsageError(f"--network: {path} holds {len(found)} bursts; give the folder of one")
    facts = [describe(stack) for stack in found]
    if network is not None:
        draw_network(found[0], network)
        facts[0]["network_picture"] = str(network)
    if as_json:
        print_json(facts[0] if len(facts) == 1 else {"bursts": facts})
    else:
        for fact in facts:
            print_facts(fact)
    return 1 if any(fact["skipped"] for fact in facts) else 0


def survey(
    inputs: Inputs = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    stack: Annotated[StackConfig | None, Flat] = None,
    window: WindowOption = (),
    bowls: Annotated[BowlConfig | None, Flat] = None,
    detect: Annotated[DetectConfig | None, Flat] = None,
    mask: Annotated[MaskConfig | None, Flat] = None,
    screen: Annotated[ScreenConfig | None, Flat] = None,
    series: Annotated[SeriesConfig | None, Flat] = None,
    fast: Annotated[FastConfig | None, Flat] = None,
    interferometry: Annotated[InterferometryConfig | None, Flat] = None,
    cluster: Annotated[ClusterConfig | None, Flat] = None,
    sample_size: Annotated[int | None, Parameter(help="Targets drawn for checking on optical images (100).")] = None,
    seed: Annotated[int | None, Parameter(help="Seed of that draw (0).")] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Do the main job: stack, detect, merge, report. Run again to continue a run that was stopped."""
    settings = settings_of(
        config, window, inputs=inputs or None, output=output, product=product, pattern=pattern, wavelength=wavelength,
        stack=stack, bowls=bowls, detect=detect, mask=mask, screen=screen, series=series, fast=fast,
        interferometry=interferometry, cluster=cluster, sample_size=sample_size, seed=seed,
    )  # fmt: skip
    check_paths(settings.output, settings.inputs, settings.files)
    if dry_run:
        return preview(settings, as_json, located=True)
    from groundshift.workflows.survey import run_survey

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        conclude(run_survey(settings, reporter, typed_command()), reporter, as_json)
    return 0


def stack(
    inputs: Inputs = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    stack: Annotated[StackConfig | None, Flat] = None,
    window: WindowOption = (),
    interferometry: Annotated[InterferometryConfig | None, Flat] = None,
    paper_mode: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Also re-wrap the running sum and unwrap it, as Fu et al. (2022) does; beside the direct sum.",
        ),
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Stack phase gradients and write the sums and maps, without detecting anything."""
    settings = settings_of(
        config, window, inputs=inputs or None, output=output, product=product, pattern=pattern, wavelength=wavelength,
        stack=stack, interferometry=interferometry,
    )  # fmt: skip
    check_paths(settings.output, settings.inputs)
    if dry_run:
        return preview(settings, as_json, located=False)
    from groundshift.workflows.stages import run_stack

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_stack(settings, reporter, paper_mode=paper_mode)
    if as_json:
        print_json({"tracks": done})
    return 0


def detect(
    stacks: Annotated[
        tuple[Path, ...], Parameter(help="Folders that `stack` or `survey` wrote, or gradients.zarr.")
    ] = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    detect: Annotated[DetectConfig | None, Flat] = None,
    mask: Annotated[MaskConfig | None, Flat] = None,
    screen: Annotated[ScreenConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Detect moving ground on finished stacks: other thresholds or masks without stacking again."""
    if not stacks:
        raise UsageError("no stacks given; name folders that `groundshift stack` wrote")
    settings = settings_of(config, inputs=stacks, output=output, detect=detect, mask=mask, screen=screen)
    check_paths(settings.output, settings.inputs, settings.mask.files)
    from groundshift.workflows.stages import run_detect

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        conclude(run_detect(settings, reporter, typed_command()), reporter, as_json)
    return 0


def series(
    survey: Annotated[Path | None, Parameter(help="Folder that `survey` or `detect` wrote.")] = None,
    inputs: Annotated[
        tuple[Path, ...], Parameter(help="Folders or files of the interferograms that it was made from.")
    ] = (),
    *,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    series: Annotated[SeriesConfig | None, Flat] = None,
    interferometry: Annotated[InterferometryConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Follow the targets of a survey through time: unwrap around each, invert, date."""
    if survey is None or not inputs:
        raise UsageError("name the folder of a survey, then its interferograms: groundshift series OUT INPUT...")
    settings = settings_of(
        config,
        inputs=inputs,
        output=survey,
        product=product,
        pattern=pattern,
        wavelength=wavelength,
        series=series,
        interferometry=interferometry,
    )
    from groundshift.workflows.stages import run_series

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl" if survey.is_dir() else None) as reporter:
        done = run_series(settings, reporter)
        if as_json:
            print_json(
                {
                    "survey": str(done.folder),
                    "targets": [
                        {"id": t.id, "velocity_los_mm_yr": t.velocity_los_mm_yr, "behaviour": t.behaviour,
                         "velocity_sigma_mm_yr": t.velocity_sigma_mm_yr, "reason": done.reasons.get(t.id, "")}
                        for t in done.targets
                    ],
                }
            )  # fmt: skip
        else:
            for name, reason in done.reasons.items():
                reporter.warn(f"{name} has no series: {reason}")
            followed = len(done.targets) - len(done.reasons)
            reporter.say(f"{count_of(followed, 'target')} followed, series in {done.folder / 'series'}")
            reporter.say(f"report: {done.folder / 'report.html'}")
    return 0


def conclude(output: "SurveyOutput", reporter: Reporter, as_json: bool, **more: Any) -> None:
    """Tell what a survey found and where it lies; `more` joins the JSON."""
    if as_json:
        print_json({
            "inventory": str(output.inventory), "report": str(output.report), "pairs": output.pairs_used,
            "skipped": output.pairs_skipped, "area_km2": output.area_km2, "seconds": output.seconds,
            "targets": [
                {"id": t.id, "kind": t.kind, "score": t.score, "velocity_los_mm_yr": t.velocity_los_mm_yr,
                 "centre": [t.geometry.centroid.x, t.geometry.centroid.y], "area_m2": t.area_m2}
                for t in output.targets
            ],
            **more,
        })  # fmt: skip
        return
    left_out = f", {count_of(output.pairs_skipped, 'file')} left out" if output.pairs_skipped else ""
    reporter.say(
        f"{count_of(len(output.targets), 'target')} on {output.area_km2:,.1f} km2 from "
        f"{count_of(output.pairs_used, 'pair')}{left_out} in {output.seconds:.0f} s"
    )
    reporter.say(f"inventory: {output.inventory}")
    reporter.say(f"report: {output.report}")


def preview(settings: SurveyConfig, as_json: bool, *, located: bool, stacked: bool = True) -> int:
    """Say what a run would do; `stacked` tells whether it stacks."""
    from groundshift.workflows.choices import preview_scan, preview_stack
    from groundshift.workflows.fast_targets import preview_fast
    from groundshift.workflows.inputs import open_tracks

    facts = []
    for source in open_tracks(settings, located=located):
        named = {"track": source.track, "product": source.product}
        told = preview_stack(source, settings.stack) if stacked else named
        facts.append({**told, **preview_scan(source, settings.bowls)})
    with Reporter(quiet=True) as reporter:
        further = preview_fast(settings, reporter)
    if as_json:
        print_json({"output": str(settings.output), "tracks": facts, **further})
    else:
        for fact in [*facts, *([further] if further else [])]:
            print_facts(fact)
    return 0
