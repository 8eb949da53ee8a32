"""Commands on fringes of landslides: find them in single interferograms; make windows; train and judge a classifier."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import BaseModel

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
    UsageError,
    Wavelength,
    print_facts,
    print_json,
)
from groundshift.simulate.fringe_config import FringeConfig
from groundshift.training.config import MachineConfig
from groundshift.training.fringes.config import (
    CutConfig,
    FringeDataConfig,
    FringeModelConfig,
    FringePlanConfig,
    FringeTrainConfig,
)
from groundshift.workflows.config import merged
from groundshift.workflows.fringe_config import (
    ClassifyConfig,
    FoundConfig,
    FringeEvaluationConfig,
    FringeInputConfig,
    FringeMakeConfig,
    FringeMakeRun,
    PlaceConfig,
    ScanConfig,
)
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["classify", "evaluate_classify", "make_fringes", "train_classify"]

_Settings = TypeVar("_Settings", bound=BaseModel)

Windows = Annotated[tuple[Path, ...], Parameter(help="Folders with windows in positive/ and negative/.")]


def classify(
    inputs: Inputs = (),
    *,
    output: Output = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    take: Annotated[FringeInputConfig | None, Flat] = None,
    scan: Annotated[ScanConfig | None, Flat] = None,
    places: Annotated[FoundConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Scan single interferograms for fringes of landslides. Run again to go on where it stopped."""
    settings = _settled(
        ClassifyConfig, inputs=inputs or None, output=output, product=product, pattern=pattern, wavelength=wavelength,
        take=take, scan=scan, places=places,
    )  # fmt: skip
    check_paths(settings.output, settings.inputs, [p for p in (settings.take.dem,) if p is not None])
    from groundshift.workflows.classifying import preview_classify, run_classify

    if dry_run:
        facts = preview_classify(settings)
        if as_json:
            print_json({"output": str(settings.output), "tracks": facts})
        for fact in [] if as_json else facts:
            print_facts(fact)
        return 0
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        found = run_classify(settings, reporter)
        reporter.say(f"{count_of(len(found['candidates']), 'candidate')}: {settings.output / 'candidates.csv'}")
    if as_json:
        print_json({"output": str(settings.output), **found})
    return 0


def make_fringes(
    inputs: Inputs = (),
    *,
    output: Output = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    run: Annotated[FringeMakeRun | None, Flat] = None,
    take: Annotated[FringeInputConfig | None, Flat] = None,
    cut: Annotated[CutConfig | None, Flat] = None,
    scenes: Annotated[FringeConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Cut windows with and without fringes of landslides out of interferograms with outlines, or simulated ones."""
    given = merged(
        {},
        {
            "inputs": inputs or None, "output": output, "product": product, "pattern": pattern,
            "wavelength": wavelength, "run": run, "take": take, "cut": cut, "scenes": scenes,
        },
    )  # fmt: skip
    settings = settled(FringeMakeConfig, given)
    others = [p for p in (settings.take.dem, settings.run.polygons) if p is not None]
    check_paths(settings.output, settings.inputs, others)
    if settings.run.simulated:
        need_training()
    from groundshift.workflows.making_fringes import run_fringe_making

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        made = run_fringe_making(settings, reporter)
        reporter.say(
            f"{made.positive:,} windows of {count_of(made.candidates, 'candidate')} and {made.negative:,} others from "
            f"{count_of(made.scenes, 'interferogram')}: {made.folder}"
        )
    if as_json:
        print_json({**made._asdict(), "folder": str(made.folder)})
    return 0


def train_classify(
    inputs: Annotated[
        tuple[Path, ...],
        Parameter(help="Folders with windows in positive/ and negative/; interferograms are simulated without any."),
    ] = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    model: Annotated[FringeModelConfig | None, Flat] = None,
    data: Annotated[FringeDataConfig | None, Flat] = None,
    cut: Annotated[CutConfig | None, Flat] = None,
    plan: Annotated[FringePlanConfig | None, Flat] = None,
    machine: Annotated[MachineConfig | None, Flat] = None,
    scenes: Annotated[FringeConfig | None, Flat] = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Train a fringe classifier, on simulated interferograms or on windows. Run again to continue."""
    given = merged(
        settings_in(config, FringeTrainConfig),
        {
            "inputs": inputs or None, "output": output, "model": model, "data": data, "cut": cut, "plan": plan,
            "machine": machine, "scenes": scenes,
        },
    )  # fmt: skip
    settings = settled(FringeTrainConfig, given)
    further = weights_in(settings.model.start_from)
    check_paths(settings.output, settings.inputs, further)
    need_training()
    from groundshift.workflows.training_fringes import run_fringe_training

    return train_and_tell(run_fringe_training, settings, fresh=fresh, quiet=quiet, as_json=as_json)


def evaluate_classify(
    inputs: Windows = (),
    *,
    output: Output = None,
    folds: Annotated[
        int | None, Parameter(help="Parts of the scenes; each is judged by a network trained on the others (5).")
    ] = None,
    places: Annotated[PlaceConfig | None, Flat] = None,
    model: Annotated[FringeModelConfig | None, Flat] = None,
    plan: Annotated[FringePlanConfig | None, Flat] = None,
    machine: Annotated[MachineConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Cross-validate a fringe classifier by scene: recall, precision, break-even point. Run again to go on."""
    settings = _settled(
        FringeEvaluationConfig, inputs=inputs or None, output=output, folds=folds, places=places, model=model,
        plan=plan, machine=machine,
    )  # fmt: skip
    check_paths(settings.output, settings.inputs)
    need_training()
    from groundshift.workflows.evaluating_fringes import run_fringe_evaluation

    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        facts = run_fringe_evaluation(settings, reporter)
        if not (quiet or as_json):
            print((settings.output / "tables.md").read_text("utf-8"), end="")
        reporter.say(f"tables: {settings.output / 'tables.md'}")
    if as_json:
        print_json(facts)
    return 0


def _settled(kind: type[_Settings], **given: Any) -> _Settings:
    """Make the settings of a command that cannot do without inputs.

    Raises
    ------
    UsageError
        If there is no input or no output.
    SettingError
        If the settings do not go together.
    """
    if not given.get("inputs"):
        what = "windows" if kind is FringeEvaluationConfig else "interferograms"
        raise UsageError(f"no inputs given; name folders of {what}")
    return settled(kind, merged({}, given))
