"""Stack the gradients of one track, from files to sums on disk.

Pairs are read block by block of rows, while the pairs read before are being summed; how many rows a block has follows
from the memory allowed, so that it does not grow with the number of pairs. A pair that turns out to be damaged half way
is left out and the stack begun anew without it, so that every row is made of the same pairs.

Where there are sums already that only lack some pairs, those whose weights stay as they are need not be read again.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError, NoDataError, OutputError
from groundshift.geometry import average_known
from groundshift.gradients.differences import directions_of, take_looks, wrapped_differences
from groundshift.gradients.noise import SAMPLE_NODES, Likeness, likeness_by_half_year, share_of
from groundshift.gradients.stack import Direction
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.gradients.sums import Revision, StackPlan, dem_variance, empty_sums, plan_window, revise, revision
from groundshift.io.stack import InterferogramStack, Problem
from groundshift.memory import keep_freed_memory
from groundshift.pairs import half_year
from groundshift.types import Grid, Looks, Pair, Window
from groundshift.workflows.choices import (
    LEAST_PAIRS,
    choose_looks,
    choose_pairs,
    choose_smoothing,
    choose_windows,
)
from groundshift.workflows.config import StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import (
    PairFailedError,
    Source,
    blocks_left,
    check_there,
    failing_alike,
    find_finished,
    find_unfinished,
    fingerprint,
    make_record,
    put_in_place,
    read_pair,
    recall_damaged,
    remember_damaged,
)

__all__ = ["Base", "StackOutput", "plan_stack", "stack_track", "unchanged", "working_grid"]


@dataclass(frozen=True)
class Base:
    """Sums that are added to instead of being made anew."""

    sums: SumsFile
    """Finished, of the same grid and settings."""
    sources: Mapping[str, Source]
    """Where each pair of the whole stack was read from, or is to be read from, by its name."""


@dataclass
class StackOutput:
    """What stacking one track leaves."""

    sums: SumsFile
    looks: Looks
    problems: list[Problem] = field(default_factory=list)
    """Pairs left out while reading, beside those the reader itself left out."""
    seconds_reading: float = 0.0
    """Time spent waiting for pairs."""
    seconds_summing: float = 0.0
    bytes_read: int = 0
    reused: bool = False
    """Whether finished sums of the same inputs and settings stood there already."""
    pairs_read: int = 0


def stack_track(
    stack: InterferogramStack, config: StackConfig, folder: Path, reporter: Reporter, base: Base | None = None
) -> StackOutput:
    """Sum the gradients of all selected pairs of one track into `folder`/gradients.zarr.

    A finished file made from the same pairs with the same settings is used as it stands; one that a killed run left
    unfinished is continued. With a `base` only those pairs are read that are new to it or whose weights change; the
    sums are the same, and so is what can be continued.

    Raises
    ------
    NoDataError
        If no pair is left.
    DamagedFileError
        If a pair is damaged and `config.strict` is set, or it is one of the `base`.
    """
    keep_freed_memory()
    summed = set() if base is None else {pair.name for pair in base.sums.plan.pairs}
    problems: list[Problem] = []
    damaged: dict[str, Window] = {}
    pairs = choose_pairs(stack, config)

    def leave_out(failed: PairFailedError) -> None:
        if config.strict or failed.pair.name in summed:
            raise DamagedFileError(str(failed)) from failed
        reporter.warn(f"{failed}; pair left out")
        problems.append(Problem(stack.files.get(failed.pair, (stack.root,))[0], str(failed)))
        damaged[failed.pair.name] = failed.window
        pairs.remove(failed.pair)
        if len(pairs) < LEAST_PAIRS:
            raise NoDataError(
                f"{stack.root}: fewer than {LEAST_PAIRS} readable pairs are left; last: {failed}"
            ) from failed

    for failed in recall_damaged(folder, stack.select(pairs)):
        leave_out(failed)
    while True:
        try:
            output = _stack_pairs(stack.select(pairs), config, folder, reporter, base)
            output.problems = problems
            return output
        except PairFailedError as failed:
            for one in (failed, *failing_alike(stack.select(pairs), failed)):
                leave_out(one)
            remember_damaged(folder, damaged, {pair.name for pair in stack.pairs})


def working_grid(stack: InterferogramStack, config: StackConfig) -> tuple[Looks, int, Grid]:
    """Choose the looks, the side of the averaging window and the grid of the working pixels.

    Raises
    ------
    NoDataError
        If the scene is too small for them.
    """
    looks = choose_looks(stack.grid, config.working_pixel)
    smoothing = choose_smoothing(stack.grid, looks, config.smoothing, config.smoothing_limit)
    grid = stack.grid.multilooked(looks)
    if min(grid.shape) < smoothing + 2:
        raise NoDataError(
            f"{stack.root}: {stack.grid.shape[0]} x {stack.grid.shape[1]} pixels are too few for looks of "
            f"{looks.y} x {looks.x} and an averaging window of {smoothing}; lower --working-pixel or --smoothing"
        )
    return looks, smoothing, grid


def _stack_pairs(
    stack: InterferogramStack, config: StackConfig, folder: Path, reporter: Reporter, base: Base | None
) -> StackOutput:
    """Sum all pairs of `stack`, or find that it is done."""
    looks = working_grid(stack, config)[0]
    final, growing = folder / "gradients.zarr", folder / ".gradients.zarr.partial"
    record = make_record(stack, config, None if base is None else base.sources)
    mark = fingerprint(record)
    done = find_finished(final, mark)
    if done is not None:
        reporter.say(f"{stack.track}: sums of {len(stack.pairs)} pairs are there already")
        return StackOutput(done, looks, reused=True)

    directions = directions_of(stack.grid.axis_names, diagonals=config.diagonals, step=config.step)
    former = None if base is None else base.sums
    try:
        file = find_unfinished(growing, mark)
        with _reading_pool() as pool:
            if file is None:
                plan = _plan(stack, config, directions, base, pool, reporter)
                folder.mkdir(parents=True, exist_ok=True)
                height = _read_height(stack, looks) if former is None else former.read_height()
                file = SumsFile.create(growing, plan, mark, _block_rows(plan, config.memory_mb), height, record)
            change = revision(None if former is None else former.plan, file.plan)
            if base is not None:
                check_there(change.pairs, base.sources)
            output = StackOutput(file, looks, pairs_read=len(change.pairs))
            _fill(stack, file, former, change, looks, config.memory_mb, output, pool, reporter)
        put_in_place(growing, final)
    except OSError as error:
        if isinstance(error, GroundshiftError):
            raise
        raise OutputError(
            f"{final}: cannot be written ({error.strerror or error}); free some space or choose another folder and run "
            "again"
        ) from error
    output.sums = open_sums(final)
    return output


def _plan(
    stack: InterferogramStack,
    config: StackConfig,
    directions: tuple[Direction, ...],
    base: Base | None,
    pool: ThreadPoolExecutor,
    reporter: Reporter,
) -> StackPlan:
    """Measure the noise where it is not known yet, and weight the pairs of every time window."""
    looks, smoothing, _ = working_grid(stack, config)
    likeness: dict[int, Likeness] = {}
    if config.weights == "network":
        likeness = {} if base is None else unchanged(base.sums.plan, stack.pairs)
        pairs = [pair for pair in stack.pairs if half_year(pair) not in likeness]
        if base is not None:
            check_there(pairs, base.sources)
        likeness |= _sampled_likeness(stack, pairs, looks, smoothing, directions, pool, reporter)
    plan = plan_stack(stack, config, directions, dict(sorted(likeness.items())))
    reporter.log(
        "plan", track=stack.track, pairs=len(stack.pairs), looks=looks, smoothing=smoothing,
        noise=plan.noise, windows={w.name: len(w.members) for w in plan.windows},
    )  # fmt: skip
    return plan


def plan_stack(
    stack: InterferogramStack,
    config: StackConfig,
    directions: tuple[Direction, ...],
    likeness: Mapping[int, Likeness],
) -> StackPlan:
    """Weight the pairs of every time window by the noise that was measured."""
    _, smoothing, grid = working_grid(stack, config)
    dem = dem_variance(stack.wavelength, stack.look, smoothing)
    windows = tuple(
        plan_window(name, chosen, stack.pairs, likeness, equal=config.weights == "equal", dem_variance=dem)
        for name, chosen in choose_windows(stack, stack.pairs, config).items()
    )
    noise = share_of(likeness.values())
    return StackPlan(
        stack.track, grid, stack.wavelength, stack.pairs, windows, directions, smoothing, noise, stack.look, likeness
    )


def unchanged(plan: StackPlan, pairs: Sequence[Pair]) -> dict[int, Likeness]:
    """Return what a plan knows of the noise of those half-years that have the same pairs still."""
    then, now = _by_half_year(plan.pairs), _by_half_year(pairs)
    return {when: found for when, found in plan.likeness.items() if then.get(when) == now.get(when)}


def _by_half_year(pairs: Sequence[Pair]) -> dict[int, set[str]]:
    """Names of the pairs of each half-year."""
    found: dict[int, set[str]] = {}
    for pair in pairs:
        found.setdefault(half_year(pair), set()).add(pair.name)
    return found


def _read_height(stack: InterferogramStack, looks: Looks) -> NDArray[np.float32] | None:
    """Read terrain heights averaged over looks, leaving unknown ones out; None if the product has none."""
    if stack.read_height is None:
        return None
    rows, columns = stack.grid.multilooked(looks).shape
    height = stack.read_height(Window(0, 0, rows * looks.y, columns * looks.x))
    return average_known(height, looks)


def _sampled_likeness(
    stack: InterferogramStack,
    pairs: Sequence[Pair],
    looks: Looks,
    smoothing: int,
    directions: tuple[Direction, ...],
    pool: ThreadPoolExecutor,
    reporter: Reporter,
) -> dict[int, Likeness]:
    """Measure the share of dates in the noise of some half-years' pairs, on two squares of the scene."""
    shape = stack.grid.multilooked(looks).shape
    side = (min(SAMPLE_NODES + smoothing, shape[0]), min(SAMPLE_NODES + smoothing, shape[1]))
    windows = [
        Window(int(f * (shape[0] - side[0])) * looks.y, int(f * (shape[1] - side[1])) * looks.x,
               side[0] * looks.y, side[1] * looks.x)
        for f in (1 / 3, 2 / 3)
    ]  # fmt: skip

    def sample(pair: Pair) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        looked = [take_looks(read_pair(stack, pair, window), looks) for window in windows]
        found = [wrapped_differences(igram, smoothing, directions) for igram in looked]
        angle = np.concatenate([f.angle.reshape(len(directions), -1) for f in found], axis=1)
        return angle, np.concatenate([f.quality.ravel() for f in found])

    angles, qualities = [], []
    with reporter.bar(f"{stack.track}: noise", len(pairs)) as advance:
        for angle, quality in pool.map(sample, pairs):
            angles.append(angle)
            qualities.append(quality)
            advance()
    return likeness_by_half_year(angles, qualities, pairs)


@contextmanager
def _reading_pool() -> Iterator[ThreadPoolExecutor]:
    """Give a pool of readers; when the block is left, what it has not begun is not read any more."""
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="read")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _block_rows(plan: StackPlan, memory_mb: int) -> int:
    """Rows of working pixels that fit the memory: half of it for sums, half for pairs in flight."""
    per_row = 4 * len(plan.windows) * plan.planes * plan.grid.shape[1]
    fitting = int(memory_mb * 5e5 / per_row)
    return int(np.clip(fitting, 8, plan.grid.shape[0]))


def _fill(
    stack: InterferogramStack,
    file: SumsFile,
    former: SumsFile | None,
    change: Revision,
    looks: Looks,
    memory_mb: int,
    output: StackOutput,
    pool: ThreadPoolExecutor,
    reporter: Reporter,
) -> None:
    """Sum all row blocks that are not done yet, going on from the `former` sums where there are some."""
    plan = file.plan
    height, width = plan.grid.shape
    before = plan.smoothing // 2 + max(0, *(-o[0] for d in plan.directions for o in (d.start, d.end)))
    after = plan.smoothing - plan.smoothing // 2 + max(1, *(o[0] for d in plan.directions for o in (d.start, d.end)))
    blocks = blocks_left(file, _block_rows(plan, memory_mb))
    began = time.perf_counter()
    with reporter.bar(f"{stack.track}: stacking", len(blocks) * len(change.pairs)) as advance:
        for first, past in blocks:
            top, bottom = max(first - before, 0), min(past + after, height)
            window = Window(top * looks.y, 0, (bottom - top) * looks.y, width * looks.x)
            sums = empty_sums(plan, (bottom - top, width))
            inner = sums[:, :, first - top : past - top]
            for k, number in enumerate(change.goes_on):
                if former is not None and number is not None:
                    inner[k] = former.read_rows(number, first, past)
            per_pair = 8 * window.height * window.width
            batch = int(np.clip(memory_mb * 2.5e5 // per_pair, 1, 16))
            for members, igrams in _batches(stack, change.pairs, window, looks, batch, output, pool):
                started = time.perf_counter()
                revise(plan, change, members, igrams, sums)
                output.seconds_summing += time.perf_counter() - started
                advance(len(members))
            file.write_rows(first, inner)
    read = len(change.pairs) * sum(past - first for first, past in blocks) / height
    if read:
        file.seconds_per_pair = (time.perf_counter() - began) / read
    elif former is not None:
        file.seconds_per_pair = former.seconds_per_pair


def _batches(
    stack: InterferogramStack,
    pairs: Sequence[Pair],
    window: Window,
    looks: Looks,
    size: int,
    output: StackOutput,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[list[int], NDArray[np.complex64]]]:
    """Read `pairs` over a window, a batch ahead of the one given out; the batch's array is reused."""
    if not pairs:
        return
    shape = (window.height // looks.y, window.width // looks.x)
    buffers = [np.empty((size, *shape), np.complex64) for _ in range(2)]

    def read(index: int, into: NDArray[np.complex64]) -> None:
        into[:] = take_looks(read_pair(stack, pairs[index], window), looks)

    def ask(members: Sequence[int], buffer: NDArray[np.complex64]) -> list[Future[None]]:
        return [pool.submit(read, k, buffer[i]) for i, k in enumerate(members)]

    groups = [list(range(k, min(k + size, len(pairs)))) for k in range(0, len(pairs), size)]
    waiting = ask(groups[0], buffers[0])
    for turn, members in enumerate(groups):
        began = time.perf_counter()
        for future in waiting:
            future.result()
        output.seconds_reading += time.perf_counter() - began
        output.bytes_read += 8 * window.height * window.width * len(members)
        if turn + 1 < len(groups):
            waiting = ask(groups[turn + 1], buffers[(turn + 1) % 2])
        yield members, buffers[turn % 2][: len(members)]
