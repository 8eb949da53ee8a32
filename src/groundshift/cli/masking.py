"""Commands on decorrelated ground: mask interferograms, train the network that does, judge masks."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated, Literal

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
)
from groundshift.training.config import MachineConfig, PlanConfig
from groundshift.training.masks.config import MaskModelConfig, MaskSceneConfig, MaskSpoilConfig, MaskTrainConfig
from groundshift.workflows.config import merged
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["evaluate_mask", "mask", "train_mask"]

Drawn = Annotated[
    tuple[Path, ...],
    Parameter(help="Folders with phase/NAME.tif and mask/NAME.tif; scenes are simulated without any."),
]


def mask(
    inputs: Inputs = (),
    *,
    output: Output = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    mask_with: Annotated[
        Literal["network", "otsu", "threshold"],
        Parameter(help="What makes the masks: a network, Otsu's threshold on coherence, or a fixed one."),
    ] = "network",
    mask_model: Annotated[str, Parameter(help="Network: name of a shipped model, or an .onnx file.")] = "masknet",
    mask_probability: Annotated[
        float, Parameter(help="Network: probability of being coherent from which on a pixel is, 0 to 1.")
    ] = 0.5,
    mask_coherence: Annotated[float, Parameter(help="Coherence above which a pixel is by the fixed threshold.")] = 0.3,
    amplitude: Annotated[
        Path | None, Parameter(help="Network: raster of amplitudes on the grid of the interferograms; helps, if given.")
    ] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Mask decorrelated ground in interferograms, each by itself. Run again to go on where it stopped."""
    if not inputs:
        raise UsageError("no inputs given; name folders or files of interferograms")
    if output is None:
        raise UsageError("no output given; name a folder with -o")
    _expect_share("--mask-probability", mask_probability)
    _expect_share("--mask-coherence", mask_coherence)
    if wavelength is not None and not 0 < wavelength < float("inf"):
        raise UsageError(f"--wavelength: expected more than 0, instead got {wavelength}")
    if amplitude is not None and mask_with != "network":
        raise UsageError(f"--amplitude: is for a network, instead got --mask-with {mask_with}; leave one of them out")
    check_paths(output, inputs, [] if amplitude is None else [amplitude])
    from groundshift.workflows.masking import MaskingConfig, preview_masking, run_masking

    settings = MaskingConfig(
        inputs, output, product, pattern, wavelength, mask_with, mask_model, mask_probability, mask_coherence, amplitude
    )
    if dry_run:
        facts = preview_masking(settings)
        if as_json:
            print_json({"output": str(output), "tracks": facts})
        else:
            for fact in facts:
                print_facts(fact)
        return 0
    with Reporter(quiet=quiet or as_json, log=output / "log.jsonl") as reporter:
        rows = run_masking(settings, reporter)
        reporter.say(f"{count_of(len(rows), 'pair')} masked: {output / 'masks.csv'}")
    if as_json:
        print_json({"output": str(output), "masks": rows})
    return 0


def train_mask(
    inputs: Drawn = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    polygons: Annotated[
        Path | None, Parameter(help="Polygons of decorrelated ground (GeoPackage), where the folders hold no masks.")
    ] = None,
    layer: Annotated[str | None, Parameter(help="Its layer; the first one with polygons by default.")] = None,
    model: Annotated[MaskModelConfig | None, Flat] = None,
    spoil: Annotated[MaskSpoilConfig | None, Flat] = None,
    plan: Annotated[PlanConfig | None, Flat] = None,
    machine: Annotated[MachineConfig | None, Flat] = None,
    scenes: Annotated[MaskSceneConfig | None, Flat] = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Train a network that masks, on simulated scenes or on drawn masks. Run again to continue."""
    given = merged(
        settings_in(config, MaskTrainConfig),
        {
            "inputs": inputs or None, "output": output, "polygons": polygons, "layer": layer, "model": model,
            "spoil": spoil, "plan": plan, "machine": machine, "scenes": scenes,
        },
    )  # fmt: skip
    settings = settled(MaskTrainConfig, given)
    further = [p for p in (settings.polygons, *weights_in(settings.model.start_from)) if p is not None]
    check_paths(settings.output, settings.inputs, further)
    need_training()
    from groundshift.workflows.training_masks import run_mask_training

    return train_and_tell(run_mask_training, settings, fresh=fresh, quiet=quiet, as_json=as_json)


def evaluate_mask(
    model: Annotated[str, Parameter(help="Name of a shipped model, or an .onnx file.")],
    inputs: Drawn = (),
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the judgement.")],
    polygons: Annotated[
        Path | None, Parameter(help="Polygons of decorrelated ground (GeoPackage), where the folders hold no masks.")
    ] = None,
    layer: Annotated[str | None, Parameter(help="Its layer; the first one with polygons by default.")] = None,
    samples: Annotated[int, Parameter(help="Simulated interferograms to judge by.")] = 96,
    mask_coherence: Annotated[float, Parameter(help="Coherence of the fixed threshold.")] = 0.3,
    scenes: Annotated[MaskSceneConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Judge a network that masks beside Otsu's threshold and a fixed one, on simulated scenes or on drawn masks."""
    _expect_share("--mask-coherence", mask_coherence)
    if samples < 1:
        raise UsageError(f"--samples: expected at least 1, instead got {samples}")
    if polygons is not None and not inputs:
        raise UsageError("--polygons: simulated scenes bring their own truth; name folders of interferograms too")
    named = [Path(model)] if model.endswith(".onnx") or "/" in model else []
    check_paths(output, inputs, [*named, *([] if polygons is None else [polygons])])
    need_training()
    from groundshift.workflows.training_masks import MaskJudgingConfig, run_mask_judging

    settings = MaskJudgingConfig(
        model, output, inputs, polygons, layer, samples, mask_coherence, scenes or MaskSceneConfig()
    )  # fmt: skip
    with Reporter(quiet=quiet or as_json) as reporter:
        found = run_mask_judging(settings, reporter)
        if as_json:
            print_json(found.facts())
        elif not quiet:
            print(found.table(), end="")
        reporter.say(f"judgement: {output / 'judgement.json'}")
    return 0


def _expect_share(name: str, value: float) -> None:
    """Raise UsageError unless an option lies between 0 and 1."""
    if not 0 <= value <= 1:
        raise UsageError(f"{name}: expected 0 to 1, instead got {value:g}")
