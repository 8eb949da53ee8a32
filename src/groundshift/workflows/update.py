"""Add new pairs to a finished survey: only pairs whose weights change are read, and the result is that of a new survey.

A pair's weight depends on the pairs of its own time (`groundshift.pairs.select.local_weights`). So new dates ask for
themselves, for the pairs that end in their half-year or in one beside it, and for those of time windows that were not
there before. All others stay in the sums unread; their files need not be there any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.constants import EARTH_RADIUS
from groundshift.errors import DamagedFileError, MissingFileError, ProductError
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.gradients.sums import revision
from groundshift.inventory import read_runs
from groundshift.io import InterferogramStack, Problem
from groundshift.pairs import half_year
from groundshift.types import Grid, Pair, Window
from groundshift.workflows.at_hand import Earlier, at_hand
from groundshift.workflows.choices import choose_pairs
from groundshift.workflows.concluding import SurveyOutput, conclude
from groundshift.workflows.config import SettingError, SurveyConfig, load_config
from groundshift.workflows.detecting import TrackResult, check_bowls, detect_track, problems_of, scan_for_bowls
from groundshift.workflows.inputs import open_input, tell_problems
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import (
    Source,
    blocks_left,
    changed_files,
    recall_damaged,
    recall_sources,
    recover,
    sources_of,
)
from groundshift.workflows.stacking import Base, plan_stack, stack_track, unchanged, working_grid
from groundshift.workflows.track import load_detector

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = ["UpdateOutput", "preview_update", "run_update"]

_BEGUN = ".update"
"""Stands in the folder of a survey while its sums may be newer than its inventory."""


@dataclass(frozen=True)
class UpdateOutput:
    """What an update did."""

    survey: SurveyOutput | None
    """None where there was nothing to do."""
    new_pairs: int


@dataclass(frozen=True)
class _Addition:
    """What there is to add to the sums of one track."""

    base: Base
    source: InterferogramStack
    """All pairs: those given, and those of the sums, which are read from where they were read before."""
    selected: tuple[Pair, ...]
    """Those that a survey of all of them would stack."""
    new: tuple[Pair, ...]
    """Selected, and not in the sums."""
    gone: tuple[Pair, ...]
    """In the sums, and not selected any more: a new date lies between theirs."""


def run_update(folder: Path, inputs: Sequence[Path], reporter: Reporter, command: str) -> UpdateOutput:
    """Add the pairs of `inputs` to the survey in `folder`, then detect, merge and report anew.

    An input is the folder of a track that has grown, or one that holds its new pairs only; a track may have several.
    Settings are those of the survey. Running again continues a run that was stopped.

    Raises
    ------
    GroundshiftError
        If there is no finished survey, an input does not go with it, a pair that must be read again is missing, or an
        output cannot be written.
    """
    started = datetime.now(UTC)
    config = _settings(folder, inputs)
    check_bowls(config)
    network = load_detector(config.detect)
    with claimed(folder):
        for path in _paths(folder):
            recover(path)
        known = _open_known(config)
        additions = _additions(config, inputs, known)
        begun = folder / _BEGUN
        if not begun.exists() and not any(a.new or a.gone for a in additions.values()):
            reporter.say(f"nothing new: {folder} has all pairs that are given and can be used")
            return UpdateOutput(None, 0)
        begun.touch()
        results = [_update_track(sums, additions.get(name), config, reporter, network) for name, sums in known.items()]
        stacks = at_hand(results, config, reporter) if config.series.series else []
        output = conclude(results, config, reporter, command, started, network=network, stacks=stacks)
        begun.unlink()
    return UpdateOutput(output, sum(len(a.new) for a in additions.values()))


def preview_update(folder: Path, inputs: Sequence[Path]) -> list[dict[str, Any]]:
    """Say what an update would read, without reading a whole pair.

    Raises
    ------
    GroundshiftError
        If there is no finished survey, or an input does not go with it.
    """
    config = _settings(folder, inputs)
    known = _open_known(config)
    facts = []
    for name, addition in _additions(config, inputs, known).items():
        sums = addition.base.sums
        again, windows = _read_again(addition, config)
        pace = sums.seconds_per_pair
        read = len(addition.new) + len(again)
        facts.append(
            {
                "track": name,
                "pairs_before": len(sums.plan.pairs),
                "new_pairs": [pair.name for pair in addition.new],
                "read_again": [pair.name for pair in again],
                "no_longer_used": [pair.name for pair in addition.gone],
                "new_time_windows": windows,
                "missing": [file.path for pair in again for file in changed_files(addition.base.sources[pair.name])],
                "seconds_estimated": None if pace is None else round(read * pace, 1),
            }
        )
    return facts


def _update_track(
    sums: SumsFile,
    addition: _Addition | None,
    config: SurveyConfig,
    reporter: Reporter,
    network: "NetworkDetector | None",
) -> TrackResult:
    """Bring the sums of one track up to date, look for moving bodies in them, and write its maps."""
    folder = sums.path.parent
    if addition is None:
        files = [Path(file.path) for source in recall_sources(sums.record).values() for file in source.files]
        return detect_track(sums, config, folder, reporter, network, files=files)
    source = addition.source
    tell_problems(source, reporter)
    stacked = stack_track(source, config.stack, folder, reporter, addition.base)
    used = set(stacked.sums.plan.pairs)
    if not stacked.reused:
        added = sum(pair in used for pair in addition.new)
        reporter.say(
            f"{source.track}: {count_of(added, 'pair')} added, {stacked.pairs_read - added} of "
            f"{len(sums.plan.pairs)} read again",
            new_pairs=added,
            pairs_read=stacked.pairs_read,
        )
    scan = scan_for_bowls(source, config, folder, reporter, with_former=True, known=stacked.problems)
    return detect_track(
        stacked.sums,
        config,
        folder,
        reporter,
        network,
        problems=problems_of(source, stacked, scan),
        unused=[pair for pair in source.pairs if pair not in used],
        files=[file for pair in stacked.sums.plan.pairs for file in source.files.get(pair, ())],
        scan=scan,
    )


def _settings(folder: Path, inputs: Sequence[Path]) -> SurveyConfig:
    """Read the settings of the survey in `folder`, and look at all paths."""
    if not (folder / "run.yaml").exists() or not (folder / "inventory.gpkg").exists():
        raise MissingFileError(f"{folder}: no finished survey here; run `groundshift survey` first")
    config = SurveyConfig.model_validate({**load_config(folder / "run.yaml"), "output": folder})
    check_paths(folder, inputs, config.files)
    return config


def _paths(folder: Path) -> list[Path]:
    """Where the sums of each track of the last run lie."""
    for run in reversed(read_runs(folder / "inventory.gpkg")):
        # Offsets write runs of their own, which have no sums.
        if any((folder / "stacks" / name).exists() for name in run.tracks):
            return [folder / "stacks" / name / "gradients.zarr" for name in run.tracks]
    raise MissingFileError(f"{folder}: no finished survey here; run `groundshift survey` first")


def _open_known(config: SurveyConfig) -> dict[str, SumsFile]:
    """Open the sums of each track of the last run, by its name; they are finished, and made with these settings.

    Raises
    ------
    GroundshiftError
        If they are not.
    """
    known = {}
    for path in _paths(config.output):
        if not path.exists():
            raise MissingFileError(f"{path}: missing; run `groundshift survey` again")
        sums = open_sums(path)
        if blocks_left(sums, sums.plan.grid.shape[0]):
            raise DamagedFileError(f"{path}: not finished; run `groundshift survey` again")
        made = sums.record
        if made["version"] != __version__:
            raise ProductError(
                f"{path}: made by Groundshift {made['version']}, this is {__version__}; run `groundshift survey` again"
            )
        for name, value in config.stack.model_dump(mode="json").items():
            if name in made["config"] and made["config"][name] != value:
                raise SettingError(
                    f"{config.output / 'run.yaml'}: {name} is {value}, but the sums were made with "
                    f"{made['config'][name]}; put that back, or run `groundshift survey` again"
                )
        known[sums.plan.track] = sums
    return known


def _additions(config: SurveyConfig, inputs: Sequence[Path], known: dict[str, SumsFile]) -> dict[str, _Addition]:
    """Find which track each input goes on with, and which pairs it brings; by the name of the track.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, is given twice, or does not go with what there is.
    """
    given: dict[str, list[InterferogramStack]] = {}
    for number, path in enumerate(inputs):
        if path.resolve() in [other.resolve() for other in inputs[:number]]:
            raise ProductError(f"{path}: given twice; name each input once")
        for source in open_input(path, config):
            given.setdefault(_track_of(source, known, config), []).append(source)
    return {name: _addition(known[name], sources, config) for name, sources in given.items()}


def _track_of(source: InterferogramStack, known: dict[str, SumsFile], config: SurveyConfig) -> str:
    """Return the track whose pixels those of `source` are, and that agrees with it in all else.

    Of several the one that pairs were read from the same folder for, or that has the same name.
    """
    grid = working_grid(source, config.stack)[2]
    fitting = {name: sums for name, sums in known.items() if _same_pixels(grid, sums.plan.grid)}
    if not fitting:
        raise ProductError(
            f"{source.root}: {' x '.join(map(str, source.grid.shape))} pixels, which are not those of "
            f"{' or '.join(known)}; survey them into a folder of their own"
        )
    if len(fitting) > 1:
        root = str(source.root.absolute())
        homes = [n for n, s in fitting.items() if root in {r.root for r in recall_sources(s.record).values()}]
        fitting = {n: fitting[n] for n in homes or [n for n in fitting if n == source.track]} or fitting
    if len(fitting) > 1:
        raise ProductError(f"{source.root}: may belong to {' or '.join(fitting)}; name the folder after its track")
    ((name, sums),) = fitting.items()
    product = sums.record["product"]
    if source.product != product:
        raise ProductError(f"{source.root}: is {source.product}, but track {name} is {product}; give the same product")
    if not np.isclose(source.wavelength, sums.plan.wavelength, rtol=1e-6):
        raise ProductError(
            f"{source.root}: wavelength {source.wavelength:g} m, but that of track {name} is "
            f"{sums.plan.wavelength:g} m; survey it into a folder of its own"
        )
    return name


def _addition(sums: SumsFile, given: Sequence[InterferogramStack], config: SurveyConfig) -> _Addition:
    """Join what is given for a track with what its sums hold, and select the pairs."""
    before = recall_sources(sums.record)
    pairs: dict[str, Pair] = {}
    homes: dict[str, tuple[InterferogramStack, Pair]] = {}
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for stack in given:
        problems += stack.problems
        found = sources_of(stack)
        for pair in stack.pairs:
            name = pair.name
            if name in homes:
                line = f"{stack.root}: pair {name} is already given by {homes[name][0].root}; remove one"
                problems.append(Problem(stack.root, line))
                continue
            if name in before and before[name].mark != found[name].mark:
                path = (stack.files.get(pair) or (stack.root,))[0]
                raise ProductError(
                    f"{path}: has changed since it was summed; run `groundshift survey` on all interferograms again"
                )
            pairs[name], homes[name], sources[name] = pair, (stack, pair), found[name]
    kept = {pair.name: pair for pair in sums.plan.pairs if pair.name not in pairs}
    sources |= {name: before[name] for name in kept}
    earlier = Earlier(sources, config, sums.plan.track)

    def read(pair: Pair, window: Window) -> NDArray[np.complex64]:
        stack, own = earlier.find(pair.name) if pair.name in kept else homes[pair.name]
        return stack.read(own, window)

    every = tuple(sorted({**pairs, **kept}.values(), key=lambda pair: (pair.reference, pair.secondary)))
    source = replace(
        given[0],
        track=sums.plan.track,
        pairs=every,
        look=sums.plan.look,
        read_pair=read,
        problems=tuple(problems),
        files={pair: tuple(Path(file.path) for file in sources[pair.name].files) for pair in every},
    )
    chosen = choose_pairs(source, config.stack)
    summed = {pair.name for pair in sums.plan.pairs}
    fresh = [pair for pair in chosen if pair.name not in summed]
    damaged = {f.pair for f in recall_damaged(sums.path.parent, source.select(fresh))} if fresh else set()
    selected = tuple(pair for pair in chosen if pair not in damaged)
    names = {pair.name for pair in selected}
    return _Addition(
        Base(sums, sources),
        source,
        selected,
        new=tuple(pair for pair in selected if pair.name not in summed),
        gone=tuple(pair for pair in sums.plan.pairs if pair.name not in names),
    )


def _read_again(addition: _Addition, config: SurveyConfig) -> tuple[list[Pair], list[str]]:
    """Return the pairs of the sums that an update has to read, and the time windows that it adds."""
    old = addition.base.sums.plan
    known = unchanged(old, addition.selected)
    plan = plan_stack(addition.source.select(addition.selected), config.stack, old.directions, known)
    change = revision(old, plan)
    again = {pair.name for pair in change.pairs}
    if config.stack.weights == "network":
        # Their noise is measured anew, and with it the weights around them.
        moved = {half_year(pair) for pair in (*old.pairs, *addition.selected)} - set(known)
        again |= {p.name for p in old.pairs if {half_year(p) - 1, half_year(p), half_year(p) + 1} & moved}
    there = {window.name for window in old.windows}
    windows = [window.name for window in plan.windows if window.name not in there]
    return [pair for pair in old.pairs if pair.name in again], windows


def _same_pixels(one: Grid, other: Grid) -> bool:
    """Whether two grids have the same pixels, to a hundredth of one."""
    if type(one) is not type(other) or one.shape != other.shape:
        return False
    if not np.allclose(one.spacing, other.spacing, rtol=1e-3):
        return False
    y, x = np.meshgrid(*(np.linspace(0, n - 1, 9) for n in one.shape), indexing="ij")
    metres = np.radians(1.0) * EARTH_RADIUS
    return all(
        np.allclose(a, b, rtol=0, atol=0.01 * min(one.spacing) / metres, equal_nan=True)
        for a, b in zip(one.lonlat(y, x), other.lonlat(y, x), strict=True)
    )
