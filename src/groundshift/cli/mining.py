"""Commands on mining subsidence: find and follow it, look at single interferograms, train its networks."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from groundshift.cli.models import need_training, settings_in, settled, train_and_tell, weights_in
from groundshift.cli.options import (
    AsJson,
    ConfigFile,
    DryRun,
    Flat,
    Fresh,
    Inputs,
    Output,
    Pattern,
    Product,
    Quiet,
    Wavelength,
    WindowOption,
    print_json,
    settings_of,
    typed_command,
)
from groundshift.cli.surveys import conclude, preview
from groundshift.simulate.mining.config import MiningConfig
from groundshift.training.config import MachineConfig, PlanConfig
from groundshift.training.mining.config import BowlModelConfig, BowlTrainConfig, SpoilConfig
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
    load_config,
    merged,
)
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["bowls", "mining", "train_mining"]


def _defaults(bowls: BowlConfig | None, config: Path | None) -> dict[str, dict[str, Any]]:
    """Return what mining does otherwise than a survey: it looks for bowls only, and these sink in all seasons."""
    told = load_config(config).get("bowls", {}) if config is not None else {}
    given = {} if bowls is None else bowls.model_dump(exclude_unset=True)
    if {"look_for": "bowls", **told, **given}["look_for"] != "bowls":
        return {}
    return {"bowls": {"look_for": "bowls"}, "stack": {"wet_months": (), "sliding_years": None}}


def mining(
    inputs: Inputs = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    bowls: Annotated[BowlConfig | None, Flat] = None,
    stack: Annotated[StackConfig | None, Flat] = None,
    window: WindowOption = (),
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
    """Find mining subsidence in single interferograms, unwrap and follow it. Run again to go on where it stopped."""
    settings = settings_of(
        config, window, defaults=_defaults(bowls, config), inputs=inputs or None, output=output, product=product,
        pattern=pattern, wavelength=wavelength, bowls=bowls, stack=stack, detect=detect, mask=mask, screen=screen,
        series=series, fast=fast, interferometry=interferometry, cluster=cluster, sample_size=sample_size, seed=seed,
    )  # fmt: skip
    check_paths(settings.output, settings.inputs, settings.files)
    if dry_run:
        return preview(settings, as_json, located=True)
    from groundshift.workflows.survey import run_survey

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        conclude(run_survey(settings, reporter, typed_command()), reporter, as_json)
    return 0


def bowls(
    inputs: Inputs = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    bowls: Annotated[BowlConfig | None, Flat] = None,
    series: Annotated[SeriesConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Look at single interferograms for mining subsidence: footprints, unwrapped phase and a picture of each pair."""
    settings = settings_of(
        config, defaults=_defaults(bowls, config), inputs=inputs or None, output=output, product=product,
        pattern=pattern, wavelength=wavelength, bowls=bowls, series=series,
    )  # fmt: skip
    check_paths(settings.output, settings.inputs)
    if dry_run:
        return preview(settings, as_json, located=False, stacked=False)
    from groundshift.workflows.single import run_single

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        found = run_single(settings, reporter)
        reporter.say(f"{count_of(len(found), 'bowl')}: {settings.output / 'bowls.csv'}")
    if as_json:
        print_json({"output": str(settings.output), "bowls": found})
    return 0


def train_mining(
    inputs: Annotated[
        tuple[Path, ...],
        Parameter(help="Folders with phase/NAME.tif and mask/NAME.tif; scenes are simulated without any."),
    ] = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    model: Annotated[BowlModelConfig | None, Flat] = None,
    spoil: Annotated[SpoilConfig | None, Flat] = None,
    plan: Annotated[PlanConfig | None, Flat] = None,
    machine: Annotated[MachineConfig | None, Flat] = None,
    scenes: Annotated[MiningConfig | None, Flat] = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Train a network for mining subsidence, on simulated scenes or on masks. Run again to continue."""
    given = merged(
        settings_in(config, BowlTrainConfig),
        {
            "inputs": inputs or None, "output": output, "model": model, "spoil": spoil, "plan": plan,
            "machine": machine, "scenes": scenes,
        },
    )  # fmt: skip
    settings = settled(BowlTrainConfig, given)
    further = weights_in(settings.model.start_from)
    check_paths(settings.output, settings.inputs, further)
    need_training()
    from groundshift.workflows.training_bowls import run_bowl_training

    return train_and_tell(run_bowl_training, settings, fresh=fresh, quiet=quiet, as_json=as_json)
