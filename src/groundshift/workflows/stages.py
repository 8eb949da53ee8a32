"""The stages of a survey, singly: stacking without detection, and detection on finished stacks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundshift.errors import DamagedFileError, NoDataError, OutputError, ProductError
from groundshift.gradients.store import open_sums
from groundshift.workflows.config import SurveyConfig, save_config
from groundshift.workflows.maps import is_located, write_maps, write_pictures
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import blocks_left
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.survey import SurveyOutput, conclude, detect_track, open_tracks, tell_problems
from groundshift.workflows.track import load_detector, velocity_of

__all__ = ["run_detect", "run_stack"]


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


def _sums_in(path: Path) -> list[Path]:
    """Find the sums that a folder holds."""
    if (path / "zarr.json").exists():
        return [path]
    found = sorted(p for p in path.rglob("gradients.zarr") if p.is_dir())
    if not found:
        raise NoDataError(f"{path}: no gradients.zarr here; run `groundshift stack` first")
    return found
