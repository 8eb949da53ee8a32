"""Commands on moving slopes in single interferograms: outline them, train networks that do, judge these."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

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
    UsageError,
    Wavelength,
    print_facts,
    print_json,
    settings_of,
    typed_command,
)
from groundshift.training.config import MachineConfig, PlanConfig
from groundshift.training.segments.config import SegmentDataConfig, SegmentModelConfig, SegmentTrainConfig, SplitName
from groundshift.workflows.config import InterferometryConfig, merged
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.segments_config import SegmentsConfig

__all__ = ["evaluate_segment", "segment", "train_segment"]

DataSets = Annotated[
    tuple[Path, ...],
    Parameter(help="Data sets in the format of ISSLIDE, as `make-segments` and `simulate-segments` write them."),
]


def segment(
    inputs: Inputs = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    segments: Annotated[SegmentsConfig | None, Flat] = None,
    interferometry: Annotated[InterferometryConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Outline moving slopes in single interferograms; what enough of a stack see becomes a target.

    Run again to go on where it stopped.
    """
    settings = settings_of(
        config, inputs=inputs or None, output=output, product=product, pattern=pattern, wavelength=wavelength,
        interferometry=interferometry,
    )  # fmt: skip
    options = segments or SegmentsConfig()
    check_paths(settings.output, settings.inputs, _files([options.model]))
    from groundshift.workflows.segmenting import preview_segmenting, run_segmenting

    if dry_run:
        facts = preview_segmenting(settings, options)
        if as_json:
            print_json({"output": str(settings.output), "tracks": facts})
        for fact in () if as_json else facts:
            print_facts(fact)
        return 0
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_segmenting(settings, options, reporter, typed_command())
        reporter.say(
            f"{count_of(len(done.targets), 'target')} and {count_of(done.outlines, 'outline')} in "
            f"{count_of(done.pairs, 'interferogram')}: {done.inventory}"
        )
    if as_json:
        print_json({
            "output": str(done.folder), "inventory": str(done.inventory), "targets": [t.id for t in done.targets],
            "outlines": done.outlines, "interferograms": done.pairs,
        })  # fmt: skip
    return 0


def train_segment(
    inputs: DataSets = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    model: Annotated[SegmentModelConfig | None, Flat] = None,
    data: Annotated[SegmentDataConfig | None, Flat] = None,
    plan: Annotated[PlanConfig | None, Flat] = None,
    machine: Annotated[MachineConfig | None, Flat] = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Train a network that outlines moving slopes in interferograms. Run again to continue."""
    given = merged(
        settings_in(config, SegmentTrainConfig),
        {"inputs": inputs or None, "output": output, "model": model, "data": data, "plan": plan, "machine": machine},
    )
    settings = settled(SegmentTrainConfig, given)
    _need_data(settings.inputs)
    further = weights_in(settings.model.start_from)
    check_paths(settings.output, settings.inputs, further)
    need_training()
    from groundshift.workflows.training_segments import run_segment_training

    return train_and_tell(run_segment_training, settings, fresh=fresh, quiet=quiet, as_json=as_json)


def evaluate_segment(
    inputs: DataSets = (),
    *,
    model: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, help="Names of shipped models, or .onnx files.")
    ] = ("slidenet",),
    split: Annotated[SplitName, Parameter(help="paper: as Bralet et al. (2024) coded it; clean: by zone.")] = "clean",
    seed: Annotated[int, Parameter(help="Seed of the clean split; that of training.")] = 0,
    dates: Annotated[int, Parameter(help="Most interferograms of a place at once, for models that see several.")] = 6,
    probability: Annotated[float, Parameter(help="Clean measures: probability from which ground is found.")] = 0.5,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Print Table I of Bralet et al. (2024) with rows of networks judged on what a split holds back."""
    _need_data(inputs)
    for name, holds, expected, received in (
        ("--seed", seed >= 0, "at least 0", seed),
        ("--dates", dates >= 1, "at least 1", dates),
        ("--probability", 0 < probability < 1, "above 0 and below 1", probability),
    ):
        if not holds:
            raise UsageError(f"{name}: expected {expected}, instead got {received}")
    check_paths(Path.cwd(), [], [*inputs, *_files(model)])
    from groundshift.workflows.evaluating_segments import run_segment_evaluation

    with Reporter(quiet=quiet or as_json) as reporter:
        done = run_segment_evaluation(
            inputs, model, reporter, split=split, seed=seed, dates=dates, probability=probability
        )
    if as_json:
        print_json(done.facts())
    else:
        print(done.text(), end="")
    return 0


def _need_data(inputs: tuple[Path, ...]) -> None:
    """Stop where there is no data set."""
    if not inputs:
        raise UsageError("no data set given; name folders in the format of ISSLIDE")


def _files(models: tuple[str, ...] | list[str]) -> list[Path]:
    """Return those models that are files."""
    return [Path(m) for m in models if m.endswith(".onnx") or "/" in m]
