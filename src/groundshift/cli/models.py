"""Commands on networks: simulate samples, look at them beside real maps, train."""
# ruff: noqa: PLC0415

import difflib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import yaml
from cyclopts import Parameter
from pydantic import BaseModel, ValidationError

from groundshift.cli.options import (
    AsJson,
    ConfigFile,
    DryRun,
    Flat,
    Fresh,
    Output,
    Pattern,
    Product,
    Quiet,
    UsageError,
    Wavelength,
    print_facts,
    print_json,
)
from groundshift.errors import GroundshiftError
from groundshift.simulate.batched.config import BatchConfig
from groundshift.training.config import (
    AugmentConfig,
    DataConfig,
    MachineConfig,
    ModelConfig,
    PlanConfig,
    TrainConfig,
)
from groundshift.workflows.config import SettingError, explain, merged
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.sampling import SamplesConfig, SamplesPlan, preview_samples, run_samples

__all__ = [
    "NotInstalledError",
    "gallery",
    "need_training",
    "samples",
    "settings_in",
    "settings_of_training",
    "settled",
    "train",
    "train_and_tell",
    "weights_in",
]

_Settings = TypeVar("_Settings", bound=BaseModel)


class _Training(Protocol):
    """What training from settings looks like; see `groundshift.workflows.learning.run_course`."""

    def __call__(self, config: Any, reporter: Reporter, *, fresh: bool) -> Any:
        """Train, and return a `TrainOutput`."""


class NotInstalledError(GroundshiftError, ImportError):
    """A command needs a library that is not part of a plain installation."""


def train(
    inputs: Annotated[
        tuple[Path, ...],
        Parameter(
            help="Folders of samples (.npz), COCO files (.json), or, with --polygons, folders that a survey wrote."
        ),
    ] = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    model: Annotated[ModelConfig | None, Flat] = None,
    data: Annotated[DataConfig | None, Flat] = None,
    augment: Annotated[AugmentConfig | None, Flat] = None,
    plan: Annotated[PlanConfig | None, Flat] = None,
    machine: Annotated[MachineConfig | None, Flat] = None,
    scenes: Annotated[BatchConfig | None, Flat] = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Train a network on samples or simulated scenes. Run again to continue a run that was stopped."""
    settings = settings_of_training(
        config, inputs=inputs or None, output=output, model=model, data=data, augment=augment, plan=plan,
        machine=machine, scenes=scenes,
    )  # fmt: skip
    further = [p for p in (settings.data.polygons, *weights_in(settings.model.start_from)) if p is not None]
    check_paths(settings.output, settings.inputs, [*settings.data.validation, *further])
    need_training()
    from groundshift.workflows.training import run_training

    return train_and_tell(run_training, settings, fresh=fresh, quiet=quiet, as_json=as_json)


def samples(
    *,
    output: Output = None,
    config: ConfigFile = None,
    plan: Annotated[SamplesPlan | None, Flat] = None,
    scenes: Annotated[BatchConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Write simulated samples to train on or to judge by. Run again to go on, or with more batches to add some."""
    given = merged(
        settings_in(config, SamplesConfig, facts=("groundshift", "seeds")),
        {"output": output, "plan": plan, "scenes": scenes},
    )
    settings = settled(SamplesConfig, given)
    check_paths(settings.output)
    _need_torch("simulated samples need")
    if dry_run:
        facts = preview_samples(settings)
        (print_json if as_json else print_facts)(facts)
        return 0
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run_samples(settings, reporter)
        kept = len(done.files) - done.made
        there = f", {kept:,} were there already" if kept else ""
        reporter.say(f"{count_of(done.made, 'sample')} made in {done.seconds:.0f} s{there}: {done.folder}")
    if as_json:
        print_json({
            "folder": str(done.folder), "samples": len(done.files), "made": done.made, "kept": kept,
            "seconds": done.seconds,
        })  # fmt: skip
    return 0


def gallery(
    inputs: Annotated[
        tuple[Path, ...],
        Parameter(help="Real maps: interferograms as `survey` takes them, or folders that `stack` or `survey` wrote."),
    ] = (),
    *,
    output: Output = None,
    config: ConfigFile = None,
    samples: Annotated[
        Path | None, Parameter(help="Folder of simulated samples to show; without one some are simulated.")
    ] = None,
    limit: Annotated[int | None, Parameter(help="Most samples of that folder to look at, evenly chosen (200).")] = None,
    first_seed: Annotated[int | None, Parameter(help="Seed of the first batch to simulate (0).")] = None,
    batches: Annotated[int | None, Parameter(help="Batches to simulate (4).")] = None,
    workers: Annotated[int | None, Parameter(help="Processes that simulate, of one thread each (1).")] = None,
    least_moving: Annotated[
        float | None,
        Parameter(help="Hold real maps only against simulated tiles that bodies cover to this share, 0 to 1 (0)."),
    ] = None,
    rows: Annotated[int | None, Parameter(help="Most maps of either kind to draw (6).")] = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Draw simulated samples beside real maps, and tell where the real ones lie outside what simulation covers."""
    if not output and config is None:
        raise UsageError("no output given; name a folder with -o")
    from groundshift.workflows.gallery import GalleryConfig, run_gallery

    given = merged(
        settings_in(config, GalleryConfig),
        {
            "inputs": inputs or None, "output": output, "samples": samples, "limit": limit, "first_seed": first_seed,
            "batches": batches, "workers": workers, "least_moving": least_moving, "rows": rows, "product": product,
            "pattern": pattern, "wavelength": wavelength,
        },
    )  # fmt: skip
    settings = settled(GalleryConfig, given)
    shown = [] if settings.samples is None else [settings.samples]
    check_paths(settings.output, [*settings.inputs, *shown], settings.mask.files)
    if settings.samples is None:
        _need_torch("simulated samples, none given with --samples, need")
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        found = run_gallery(settings, reporter)
        if not (quiet or as_json):
            print(found.table(), end="")
        reporter.say(f"pictures: {settings.output / 'gallery.png'}, {settings.output / 'distributions.png'}")
    if as_json:
        print_json(found.facts())
    return 0


def settings_of_training(config: Path | None, **given: Any) -> TrainConfig:
    """Join the settings of a file with the options that were given; options win.

    Raises
    ------
    UsageError
        If there is no output.
    SettingError
        If the file holds what it cannot, or the settings do not go together.
    """
    return settled(TrainConfig, merged(_training_in(config) if config is not None else {}, given))


def need_training() -> None:
    """Stop where what training needs is not installed."""
    missing = [name for name in ("torch", "onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise NotInstalledError(f'training needs {", ".join(missing)}; install with pip install "groundshift[train]"')


def _need_torch(who: str) -> None:
    """Stop where torch is not installed."""
    if find_spec("torch") is None:
        raise NotInstalledError(f'{who} torch; install with pip install "groundshift[train]"')


def weights_in(start: Path | None) -> list[Path]:
    """Return the file of weights to start from; shipped models need none."""
    from groundshift.detect.models import is_shipped

    return [] if start is None or is_shipped(start) else [start]


def settled(model: type[_Settings], given: dict[str, Any]) -> _Settings:
    """Make the settings of a command from what a file and the options say together."""
    if not given.get("output"):
        raise UsageError("no output given; name a folder with -o")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise SettingError(explain(error)) from error


def train_and_tell(run: _Training, settings: Any, *, fresh: bool, quiet: bool, as_json: bool) -> int:
    """Train from settings, and say what came of it."""
    with Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl") as reporter:
        done = run(settings, reporter, fresh=fresh)
        done.tell(reporter)
    if as_json:
        print_json(done.facts())
    return 0


def settings_in(path: Path | None, model: type[BaseModel], facts: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a YAML file of settings of a command, none if there is no file; `facts` stand in it beside the settings."""
    if path is None:
        return {}
    found = _named_in(path, model, facts)
    try:
        model.model_validate({"output": ".", **found})
    except ValidationError as error:
        raise SettingError(explain(error, path)) from error
    return found


def _training_in(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings of training; what to learn from may be named on the command line instead."""
    found = _named_in(path, TrainConfig)
    for name, part in _parts_of(TrainConfig).items():
        try:
            part.model_validate(found[name])
        except ValidationError as error:
            raise SettingError(explain(error, path)) from error
    return found


def _named_in(path: Path, model: type[BaseModel], facts: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a YAML file and see that every name in it is one of the settings; parts that are not there are empty."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingError(f"{path}: no such file; check the spelling of --config") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"{path}: not a YAML file; see docs/training.md for its form") from error
    if not isinstance(found, dict):
        raise SettingError(f"{path}: expected names with values; see docs/training.md for its form")
    found = {name: value for name, value in found.items() if name not in facts}
    _check_names(found, model, path)
    for name, part in _parts_of(model).items():
        found[name] = {} if found.get(name) is None else found[name]
        if not isinstance(found[name], dict):
            raise SettingError(f"{path}: {name}: expected names with values; see docs/training.md for its form")
        _check_names(found[name], part, path, f"{name}.")
    return found


def _parts_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the settings that are models themselves."""
    fields = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: part for name, part in fields.items() if isinstance(part, type) and issubclass(part, BaseModel)}


def _check_names(found: dict[Any, Any], model: type[BaseModel], path: Path, before: str = "") -> None:
    """Stop at a setting that does not exist."""
    for name in found:
        if name not in model.model_fields:
            near = difflib.get_close_matches(str(name), model.model_fields, 1)
            meant = f", did you mean {near[0]}" if near else ""
            raise SettingError(f"{path}: {before}{name}: no such setting{meant}; see docs/training.md for all")
