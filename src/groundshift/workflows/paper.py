"""Paper mode: the stack of Fu et al. (2022), wrapped after every pair and unwrapped at the end, beside the direct sum.

Its maps lie beside those of the direct sum: `paper_wrapped_<axis>.tif` and `paper_gradient_<axis>.tif`, radians per
pixel, of all pairs; `paper_mode.json` says how they were made and how far the two stacks agree.
"""

import json
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import ProductError
from groundshift.geometry import geocode, map_grid_for
from groundshift.gradients.differences import take_looks
from groundshift.gradients.paper import (
    PaperSums,
    agreement,
    pair_differences,
    steep_share,
    to_zero_background,
    wrap,
)
from groundshift.gradients.sums import StackPlan
from groundshift.io.atomic import write_text
from groundshift.io.rasters import write_geotiff
from groundshift.io.stack import InterferogramStack
from groundshift.report import Layer, make_layer, radar_figure, save_figure
from groundshift.types import Grid, Looks, Pair, RadarGrid, Window
from groundshift.unwrap import choose_unwrapper
from groundshift.workflows.maps import is_located
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import StackOutput

__all__ = ["PaperOutput", "paper_maps"]

_RECORD = "paper_mode.json"
_BLOCK_PIXELS = 8_000_000
"""Pixels of the product that are held of one pair."""
_LEAST_ROWS = 64
"""Rows of working pixels in a block."""
_AHEAD = 2
"""Pairs read ahead of the one being summed."""


@dataclass(frozen=True)
class PaperOutput:
    """What paper mode leaves, and how it compares with the direct sum."""

    unwrapper: str
    nlooks: float
    """Product pixels averaged into a node, which the unwrapper takes as looks."""
    pairs: int
    agreement: dict[str, float]
    """By axis: share of nodes where unwrapping brought back the unweighted direct sum, within 0.1 rad."""
    steep: dict[str, float]
    """By axis: share of neighbouring nodes whose direct sums differ by more than pi: there wrapped steps mislead."""
    files: tuple[str, ...]
    """Names of the maps in the folder."""


def paper_maps(
    source: InterferogramStack,
    result: StackOutput,
    folder: Path,
    reporter: Reporter,
    *,
    unwrapper: str = "auto",
) -> PaperOutput | None:
    """Stack the pairs of a finished track as Fu et al. (2022) does, unwrap, and write the maps.

    Parameters
    ----------
    source : InterferogramStack
        What `result` was stacked from.
    result : StackOutput
        Its pairs, looks, averaging window and directions are used; all pairs count alike.
    folder : path
        Where the maps of the track lie. Maps made before from the same sums are left as they are.
    reporter : Reporter
    unwrapper : str
        Name of an unwrapper, see `choose_unwrapper`.

    Returns
    -------
    PaperOutput or None
        None if no node has data.

    Raises
    ------
    ProductError
        If a pair of the stack is not in `source` any more.
    DamagedFileError, OutputError
        If a pair cannot be read, or a map cannot be written.
    UnwrappingError
        If the unwrapper is not known, not installed, or gives up.

    References
    ----------
    [Fu2022]_, section 4.1.
    """
    plan, looks = result.sums.plan, result.looks
    tool = choose_unwrapper(unwrapper)
    nlooks = float(looks.y * looks.x * plan.smoothing**2)
    mark = result.sums.fingerprint
    done = _finished(folder, mark, tool.name)
    if done is not None:
        reporter.say(f"{plan.track}: paper mode is there already; {_compared(done)}")
        return done
    sums = _sum_pairs(source, plan, looks, reporter)
    known = sums.n_pairs > 0
    if not known.any():
        reporter.warn(f"{plan.track}: no node has data, paper mode is left out")
        return None
    stack = result.sums.stack(0)
    equal, steep, files = {}, {}, []
    with reporter.bar(f"{plan.track}: unwrapping", len(plan.directions)) as advance:
        for k, direction in enumerate(plan.directions):
            wrapped, direct = (np.where(known, s[k], np.float32(np.nan)) for s in (sums.wrapped, sums.direct))
            found = tool.unwrap(wrapped, sums.mean_coherence, nlooks)
            gradient = to_zero_background(found.unwrapped)
            equal[direction.name] = agreement(gradient, direct)
            steep[direction.name] = steep_share(direct)
            files += _write(folder, direction.name, wrapped, gradient, stack.grid_of(direction))
            advance()
    output = PaperOutput(tool.name, nlooks, len(plan.pairs), equal, steep, tuple(files))
    write_text(folder / _RECORD, json.dumps({"fingerprint": mark, **asdict(output)}, indent=1) + "\n")
    reporter.say(f"{plan.track}: paper mode, {_compared(output)}", paper_mode=asdict(output))
    return output


def _sum_pairs(source: InterferogramStack, plan: StackPlan, looks: Looks, reporter: Reporter) -> PaperSums:
    """Add up all pairs, in blocks of rows that fit the memory."""
    named = {pair.name: pair for pair in source.pairs}
    missing = [pair.name for pair in plan.pairs if pair.name not in named]
    if missing:
        raise ProductError(f"{source.root}: pair {missing[0]} of the stack is not there any more; stack again")
    pairs = [named[pair.name] for pair in plan.pairs]
    height, width = plan.grid.shape
    reach = [offset[0] for d in plan.directions for offset in (d.start, d.end)]
    before = plan.smoothing // 2 + max(0, -min(reach))
    after = plan.smoothing - plan.smoothing // 2 + max(1, *reach)
    rows = min(height, max(_LEAST_ROWS, _BLOCK_PIXELS // (width * looks.y * looks.x)))
    sums = PaperSums.empty(len(plan.directions), plan.grid.shape)
    blocks = range(0, height, rows)
    with reporter.bar(f"{plan.track}: paper mode", len(blocks) * len(pairs)) as advance:
        for first in blocks:
            past = min(first + rows, height)
            top, bottom = max(first - before, 0), min(past + after, height)
            window = Window(top * looks.y, 0, (bottom - top) * looks.y, width * looks.x)
            part = PaperSums.empty(len(plan.directions), (bottom - top, width))
            for igram in _read_ahead(source, pairs, window, looks):
                part.add(pair_differences(igram, plan.smoothing, plan.directions))
                advance()
            sums.put_rows(first, part, slice(first - top, past - top))
    return sums


def _read_ahead(
    source: InterferogramStack, pairs: Sequence[Pair], window: Window, looks: Looks
) -> Iterator[NDArray[np.complex64]]:
    """Yield the working pixels of all pairs over a window, a few being read ahead."""
    pool = ThreadPoolExecutor(max_workers=_AHEAD, thread_name_prefix="read")
    waiting: deque[Future[NDArray[np.complex64]]] = deque()
    try:
        for pair in pairs:
            waiting.append(pool.submit(source.read, pair, window))
            # Looks are taken here: compiled passes that run in parallel may not be entered by several threads.
            if len(waiting) > _AHEAD:
                yield take_looks(waiting.popleft().result(), looks)
        while waiting:
            yield take_looks(waiting.popleft().result(), looks)
    finally:
        pool.shutdown(cancel_futures=True)


def _write(
    folder: Path, axis: str, wrapped: NDArray[np.float32], gradient: NDArray[np.float32], grid: Grid
) -> list[str]:
    """Write both maps of one direction as GeoTIFFs, or as pictures where they have no place on Earth."""
    names = [f"paper_wrapped_{axis}", f"paper_gradient_{axis}"]
    if isinstance(grid, RadarGrid) and not is_located(grid):
        layers = [
            Layer(f"wrapped stack, {axis}", wrapped, "rad", -math.pi, math.pi, "twilight_shifted"),
            make_layer("gradient_radians", f"unwrapped stack, {axis}", gradient),
        ]
        for name, layer in zip(names, layers, strict=True):
            save_figure(radar_figure(layer, grid.spacing, title=layer.name), folder / f"{name}.png")
        return [f"{name}.png" for name in names]
    target = map_grid_for(grid)
    # As phasors, so that the mean of two values on either side of a wrap lies beside them.
    turning = wrap(np.angle(geocode(np.exp(1j * wrapped), grid, target)).astype(np.float32))
    maps = [turning, geocode(gradient, grid, target).astype(np.float32)]
    for name, values in zip(names, maps, strict=True):
        path = folder / f"{name}.tif"
        write_geotiff(path, values, target, nodata=float("nan"), description=name, unit="rad per pixel")
    return [f"{name}.tif" for name in names]


def _finished(folder: Path, mark: str, unwrapper: str) -> PaperOutput | None:
    """Return what an earlier run left, if it was made from the same sums by the same unwrapper and is whole."""
    try:
        found = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        if found.pop("fingerprint") != mark or found["unwrapper"] != unwrapper:
            return None
        output = PaperOutput(**{**found, "files": tuple(found["files"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return output if all((folder / name).exists() for name in output.files) else None


def _compared(output: PaperOutput) -> str:
    """Say how far the two stacks agree."""
    shares = ", ".join(f"{share:.0%} along {axis}" for axis, share in output.agreement.items())
    return f"unwrapped by {output.unwrapper}: equal to the direct sum at {shares}"
