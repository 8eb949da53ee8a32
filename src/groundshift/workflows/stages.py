"""The stages of a survey, singly: stacking without detection, detection on finished stacks, series of its targets."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundshift.detect.detection import OFFSETS
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, OutputError, ProductError
from groundshift.gradients.store import open_sums
from groundshift.inventory import Target, read_inventory, write_inventory
from groundshift.inventory.geopackage import read_standing
from groundshift.inventory.join import keep_evidence
from groundshift.inventory.review import hold_reviews
from groundshift.report import read_content, write_content, write_report
from groundshift.workflows.concluding import SurveyOutput, conclude
from groundshift.workflows.config import SurveyConfig, save_config
from groundshift.workflows.detecting import detect_track
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.maps import is_located, write_maps, write_pictures
from groundshift.workflows.motion import with_motion
from groundshift.workflows.motions import of_others, shown_series, tell_motions
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import blocks_left
from groundshift.workflows.series import Source
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.track import load_detector, velocity_of
from groundshift.workflows.viewing import KEPT

__all__ = ["SeriesOutput", "run_detect", "run_series", "run_stack"]


def run_stack(config: SurveyConfig, reporter: Reporter, *, paper_mode: bool = False) -> list[dict[str, Any]]:
    """Stack all tracks and write their sums and maps; a product that knows no place on Earth gets pictures.

    Returns
    -------
    list of dict
        Name, folder and number of pairs of each track, and how many files were left out.

    Raises
    ------
    GroundshiftError
        If a track cannot be stacked, or an output cannot be written.
    """
    check_paths(config.output, config.inputs)
    sources = open_tracks(config, located=False)
    done: list[dict[str, Any]] = []
    with claimed(config.output):
        save_config(config, config.output / "run.yaml")
        for source in sources:
            folder = config.output / "stacks" / source.track
            tell_problems(source, reporter)
            result = stack_track(source, config.stack, folder, reporter)
            for part in result.sums.stacks():
                velocity = None
                if part.is_lattice:
                    try:
                        velocity = velocity_of(part, config.detect)
                    except NoDataError as error:
                        reporter.warn(f"{source.track}: window {part.window} has no velocity: {error}")
                if is_located(part.grid):
                    write_maps(folder, part, velocity, part.n_pairs > 1)
                else:
                    write_pictures(folder, part, velocity)
            if paper_mode:
                from groundshift.workflows.paper import paper_maps  # noqa: PLC0415  (unwrappers load slowly)

                paper_maps(source, result, folder, reporter)
            pairs = len(result.sums.plan.pairs)
            skipped = sum(p.skipped for p in (*source.problems, *result.problems))
            left_out = f", {count_of(skipped, 'file')} left out" if skipped else ""
            reporter.say(f"{source.track}: {count_of(pairs, 'pair')} stacked{left_out} in {folder}")
            done.append({"track": source.track, "folder": str(folder), "pairs": pairs, "skipped": skipped})
    return done


def run_detect(config: SurveyConfig, reporter: Reporter, command: str) -> SurveyOutput:
    """Detect on finished stacks; the inputs of `config` are folders that hold them.

    Raises
    ------
    GroundshiftError
        If there is no stack, one does not know where it lies on Earth, or an output cannot be written.
    """
    started = datetime.now(UTC)
    check_paths(config.output, config.inputs, config.mask.files)
    paths = list(dict.fromkeys(path for given in config.inputs for path in _sums_in(given)))
    for path in paths:
        if config.output.resolve() in path.resolve().parents:
            raise OutputError(
                f"{config.output}: holds the stacks; choose another output folder, or run `groundshift survey` again"
            )
    found = [open_sums(path) for path in paths]
    taken: dict[str, Path] = {}
    for sums in found:
        name = sums.plan.track
        if blocks_left(sums, sums.plan.grid.shape[0]):
            raise DamagedFileError(f"{sums.path}: not finished; run `groundshift stack` again to complete it")
        if name in taken:
            raise ProductError(f"{sums.path}: {taken[name]} is a stack of track {name} too; detect on one of them")
        taken[name] = sums.path
        if not is_located(sums.plan.grid):
            raise NoDataError(f"{sums.path}: does not know where it lies on Earth; stack a located product")
    network = load_detector(config.detect)
    results = []
    with claimed(config.output):
        save_config(config, config.output / "run.yaml")
        for sums in found:
            results.append(detect_track(sums, config, config.output / "stacks" / sums.plan.track, reporter, network))
        return conclude(results, config, reporter, command, started, network=network)


@dataclass(frozen=True)
class SeriesOutput:
    """What following the targets of a survey leaves."""

    folder: Path
    targets: tuple[Target, ...]
    """Those that are on one of the tracks."""
    reasons: dict[str, str]
    """Why targets have no series, by identity."""


def run_series(config: SurveyConfig, reporter: Reporter) -> SeriesOutput:
    """Follow the targets of a finished survey, `config.output`, on the tracks of the inputs.

    Inventory and report are written anew; series of other tracks stay as they are.

    Raises
    ------
    GroundshiftError
        If there is no survey, an input is none of its tracks, or an output cannot be written.
    """
    folder = config.output
    check_paths(folder, config.inputs)
    inventory = folder / "inventory.gpkg"
    if not inventory.exists():
        raise MissingFileError(f"{folder}: holds no inventory.gpkg; name the output folder of a survey")
    sources: dict[str, Source] = {}
    for stack in open_tracks(config):
        sums = folder / "stacks" / stack.track / "gradients.zarr"
        if not sums.exists():
            known = ", ".join(sorted(p.parent.name for p in folder.glob("stacks/*/gradients.zarr"))) or "none"
            raise ProductError(f"{stack.root}: track {stack.track} is not in {folder} (there: {known})")
        sources[stack.track] = Source(stack, open_sums(sums), config.detect.reach)
    with claimed(folder):
        motions = tell_motions(read_inventory(inventory), sources, folder / "series", config.series, reporter)
        with hold_reviews(inventory):
            before, runs, others = read_standing(inventory)
            targets = keep_evidence([with_motion(t, motions.get(t.id, ())) for t in before], before, OFFSETS)
            series = [s for told in motions.values() for m in told if (s := m.series()) is not None]
            further = of_others(others, sources, motions, targets)
            write_inventory(inventory, targets, runs, [*series, *further])
        content = read_content(folder / KEPT, targets)
        content = replace(content, series=shown_series(motions, further))
        write_content(folder / KEPT, content)
        write_report(folder / "report.html", content)
    followed = tuple(t for t in targets if t.id in motions)
    reasons = {name: found[0].record.reason for name, found in motions.items() if all(m.record.reason for m in found)}
    return SeriesOutput(folder, followed, reasons)


def _sums_in(path: Path) -> list[Path]:
    """Find the sums that a folder holds."""
    if (path / "zarr.json").exists():
        return [path]
    found = sorted(p for p in path.rglob("gradients.zarr") if p.is_dir())
    if not found:
        raise NoDataError(f"{path}: no gradients.zarr here; run `groundshift stack` first")
    return found
