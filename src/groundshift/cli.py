"""The command line: commands over workflows, nothing else."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError
from pydantic import ValidationError
from rich.console import Console

from groundshift import __version__
from groundshift.errors import GroundshiftError, NoDataError
from groundshift.gradients.store import open_sums
from groundshift.io import open_stack
from groundshift.simulate import SceneConfig
from groundshift.workflows.config import (
    DetectConfig,
    MaskConfig,
    ScreenConfig,
    StackConfig,
    SurveyConfig,
    explain,
    load_config,
    merged,
    save_config,
)
from groundshift.workflows.demo import run_demo, simulate_to
from groundshift.workflows.inspect import describe, draw_network
from groundshift.workflows.maps import is_located, write_maps, write_pictures
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.survey import SurveyOutput, conclude, detect_track, open_tracks, run_survey
from groundshift.workflows.track import velocity_of

__all__ = ["app", "main"]

app = App(
    name="groundshift",
    help="Finds ground that moves by itself in stacks of radar interferograms.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
)

Inputs = Annotated[tuple[Path, ...], Parameter(help="Folders or files of interferograms: one per track or burst.")]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the results.")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], help="Say nothing but errors.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print the result as JSON, for machines.")]
Product = Annotated[str | None, Parameter(name="--format", help="Name of the reader; recognised by default.")]
Pattern = Annotated[str | None, Parameter(help="Plain GeoTIFF: glob, or regex with groups reference and secondary.")]
Wavelength = Annotated[float | None, Parameter(help="Plain GeoTIFF: radar wavelength, metres.")]
ConfigFile = Annotated[Path | None, Parameter(name="--config", help="YAML file of settings; options override it.")]
DryRun = Annotated[bool, Parameter(help="Say what would be done, and do nothing.")]
Flat = Parameter(name="*")


@app.command
def info(
    path: Annotated[Path, Parameter(help="Folder or file of interferograms.")],
    *,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    network: Annotated[Path | None, Parameter(help="Draw the network of pairs to this PNG, SVG or PDF.")] = None,
    as_json: AsJson = False,
) -> int:
    """Show what the reader sees: format, grid, pairs, dates, gaps, signs, problems. Exits 1 if a pair is unusable."""
    stack = open_stack(path, product=product, pattern=pattern, wavelength=wavelength)
    facts = describe(stack)
    if network is not None:
        draw_network(stack, network)
        facts["network_picture"] = str(network)
    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        _print_facts(facts)
    return 1 if facts["skipped"] else 0


@app.command
def survey(
    inputs: Inputs = (),
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Folder for the results.")] = None,
    config: ConfigFile = None,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    stack: Annotated[StackConfig | None, Flat] = None,
    detect: Annotated[DetectConfig | None, Flat] = None,
    mask: Annotated[MaskConfig | None, Flat] = None,
    screen: Annotated[ScreenConfig | None, Flat] = None,
    sample_size: Annotated[int | None, Parameter(help="Targets drawn for checking on optical images (100).")] = None,
    seed: Annotated[int | None, Parameter(help="Seed of that draw (0).")] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """The main job: stack, detect, merge, report. Run again to continue a run that was stopped."""
    settings = _settings(
        config, inputs=inputs or None, output=output, product=product, pattern=pattern, wavelength=wavelength,
        stack=stack, detect=detect, mask=mask, screen=screen, sample_size=sample_size, seed=seed,
    )  # fmt: skip
    if dry_run:
        return _preview(settings, as_json)
    reporter = Reporter(quiet=quiet or as_json, log=settings.output / "log.jsonl")
    try:
        _conclude(run_survey(settings, reporter, _command()), reporter, as_json)
    finally:
        reporter.close()
    return 0


@app.command
def stack(
    inputs: Inputs,
    *,
    output: Output,
    product: Product = None,
    pattern: Pattern = None,
    wavelength: Wavelength = None,
    paper_mode: Annotated[
        bool, Parameter(help="Also re-wrap the running sum and unwrap it, as paper 000 does; beside the direct sum.")
    ] = False,
    stack: Annotated[StackConfig | None, Flat] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Stack phase gradients and write the sums and maps, without detecting anything."""
    settings = _settings(
        None, inputs=inputs, output=output, product=product, pattern=pattern, wavelength=wavelength, stack=stack
    )
    if dry_run:
        return _preview(settings, as_json)
    reporter = Reporter(quiet=quiet or as_json, log=output / "log.jsonl")
    done = []
    try:
        save_config(settings, output / "run.yaml")
        for source in open_tracks(settings, located=False):
            folder = output / "stacks" / source.track
            result = stack_track(source, settings.stack, folder, reporter)
            for part in result.sums.stacks():
                velocity = velocity_of(part, settings.detect) if part.is_lattice else None
                if is_located(part.grid):
                    write_maps(folder, part, velocity, part.n_pairs > 1)
                else:
                    write_pictures(folder, part, velocity)
            if paper_mode:
                from groundshift.workflows.paper import paper_maps  # noqa: PLC0415  (unwrappers load slowly)

                paper_maps(source, result, folder, reporter)
            reporter.say(f"{source.track}: {len(result.sums.plan.pairs)} pairs stacked in {folder}")
            done.append({"track": source.track, "folder": str(folder), "pairs": len(result.sums.plan.pairs)})
    finally:
        reporter.close()
    if as_json:
        print(json.dumps({"tracks": done}, indent=1))
    return 0


@app.command
def detect(
    stacks: Annotated[tuple[Path, ...], Parameter(help="Folders that `stack` or `survey` wrote, or gradients.zarr.")],
    *,
    output: Output,
    detect: Annotated[DetectConfig | None, Flat] = None,
    mask: Annotated[MaskConfig | None, Flat] = None,
    screen: Annotated[ScreenConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Detect moving ground on finished stacks: other thresholds or masks without stacking again."""
    found = [path for given in stacks for path in _sums_in(given)]
    settings = _settings(None, inputs=tuple(found), output=output, detect=detect, mask=mask, screen=screen)
    started = datetime.now(UTC)
    reporter = Reporter(quiet=quiet or as_json, log=output / "log.jsonl")
    try:
        save_config(settings, output / "run.yaml")
        results = []
        for path in found:
            sums = open_sums(path)
            if not is_located(sums.plan.grid):
                raise NoDataError(f"{path}: the stack does not know where it lies on Earth; stack a located product")
            results.append(detect_track(sums, settings, output / "stacks" / sums.plan.track, reporter))
        _conclude(conclude(results, settings, reporter, _command(), started), reporter, as_json)
    finally:
        reporter.close()
    return 0


@app.command
def simulate(
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the scene.")],
    *,
    scene: Annotated[SceneConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Simulate a scene with known truth and write it as a folder of GeoTIFFs that `survey` reads."""
    reporter = Reporter(quiet=quiet or as_json)
    made = simulate_to(scene or SceneConfig(), output, reporter)
    facts = {"folder": str(output), "pairs": len(made.pairs), "dates": len(made.dates), "slides": len(made.slides)}
    if as_json:
        print(json.dumps(facts, indent=1))
    else:
        reporter.say(f"{facts['pairs']} pairs over {facts['slides']} slides in {output}; truth in {output}/truth.gpkg")
    return 0


@app.command
def demo(
    *,
    output: Output = Path("demo-out"),
    scene: Annotated[SceneConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Run the whole chain on a simulated scene and hold the result against its truth."""
    reporter = Reporter(quiet=quiet or as_json)
    made = run_demo(output, scene or SceneConfig(), reporter, _command())
    s = made.score
    reporter.say(
        f"{s.found} of {s.slides} slides faster than 10 mm/yr along the line of sight found; "
        f"{s.right} of {s.targets} targets right"
    )
    _conclude(made.survey, reporter, as_json)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit code 0 done, 1 could not, 2 wrong usage."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)

    def fail(message: str, code: int) -> int:
        errors.print(f"groundshift: {message}", markup=False)
        return code

    try:
        result = app(
            sys.argv[1:] if arguments is None else list(arguments), exit_on_error=False, print_error=False,
            result_action="return_value",
        )  # fmt: skip
        return int(result or 0)
    except GroundshiftError as error:
        return fail(str(error), 1)
    except CycloptsError as error:
        return fail(f"{' '.join(str(error).split())} See groundshift --help.", 2)
    except ValidationError as error:
        return fail(explain(error), 2)
    except KeyboardInterrupt:
        return fail("interrupted; run the same command again to continue", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return fail("out of memory; lower --memory-mb", 1)
    except OSError as error:
        return fail(f"{error.filename or 'file'}: {error.strerror or error}; free space or check permissions", 1)


def _settings(config: Path | None, **given: Any) -> SurveyConfig:
    """Join the settings of a file with the options that were given; options win."""
    base = load_config(config) if config is not None else {}
    found = merged(base, given)
    for name in ("inputs", "output"):
        if not found.get(name):
            raise NoDataError(f"no {name} given; name {'folders to survey' if name == 'inputs' else 'one with -o'}")
    return SurveyConfig.model_validate(found)


def _preview(settings: SurveyConfig, as_json: bool) -> int:
    """Say what a run would do."""
    from groundshift.workflows.stacking import preview  # noqa: PLC0415

    facts = [preview(stack, settings.stack) for stack in open_tracks(settings, located=False)]
    if as_json:
        print(json.dumps({"output": str(settings.output), "tracks": facts}, indent=1))
    else:
        for fact in facts:
            _print_facts(fact)
    return 0


def _conclude(output: SurveyOutput, reporter: Reporter, as_json: bool) -> None:
    """Tell what a survey found and where it lies."""
    if as_json:
        print(json.dumps({
            "inventory": str(output.inventory), "report": str(output.report), "pairs": output.pairs_used,
            "skipped": output.pairs_skipped, "area_km2": output.area_km2, "seconds": output.seconds,
            "targets": [
                {"id": t.id, "kind": t.kind, "score": t.score, "velocity_los_mm_yr": t.velocity_los_mm_yr,
                 "centre": [t.geometry.centroid.x, t.geometry.centroid.y], "area_m2": t.area_m2}
                for t in output.targets
            ],
        }, indent=1))  # fmt: skip
        return
    skipped = f", {output.pairs_skipped} files left out" if output.pairs_skipped else ""
    reporter.say(
        f"{len(output.targets)} target{'s' if len(output.targets) != 1 else ''} on {output.area_km2:,.1f} km2 from {output.pairs_used} pairs{skipped} "
        f"in {output.seconds:.0f} s"
    )
    reporter.say(f"inventory: {output.inventory}")
    reporter.say(f"report: {output.report}")


def _sums_in(path: Path) -> list[Path]:
    """Find the sums that a folder holds."""
    if (path / "zarr.json").exists():
        return [path]
    found = sorted(p for p in path.rglob("gradients.zarr") if p.is_dir())
    if not found:
        raise NoDataError(f"{path}: no gradients.zarr here; run `groundshift stack` first")
    return found


def _print_facts(facts: dict[str, Any]) -> None:
    """Print names and values in two columns."""
    out = Console(soft_wrap=True, highlight=False)
    for name, value in facts.items():
        lines = _lines(value)
        for k, line in enumerate(lines):
            out.print(f"{name.replace('_', ' ') if k == 0 else '':<16} {line}", markup=False)


def _lines(value: Any) -> list[str]:
    """Write a value as lines."""
    if isinstance(value, list) and value and isinstance(value[0], dict | str):
        return [line for item in value for line in _lines(item)]
    if isinstance(value, list):
        return [" x ".join(str(v) for v in value) or "none"]
    if isinstance(value, dict):
        return [", ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items())]
    return [{None: "unknown", True: "yes", False: "no"}.get(value, str(value)) if not isinstance(value, str) else value]


def _command() -> str:
    """Return the command line as typed."""
    return shlex.join(["groundshift", *sys.argv[1:]])

