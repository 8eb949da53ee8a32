"""Everything at once: whole pairs unwrapped, and the network of every pixel of a frame inverted."""

import math
from pathlib import Path

import numpy as np
import snaphu

from costs import Journal
from groundshift.io import open_stack
from groundshift.timeseries.inversion import invert_network, phase_weights
from groundshift.timeseries.terms import dem_per_metre, remove_stratified_delay
from groundshift.timeseries.velocity import by_pattern
from groundshift.types import Window
from groundshift.unwrap import choose_unwrapper

WAYS = {"snaphu": "SNAPHU, in one piece", "tiles": "SNAPHU, in tiles", "whirlwind": "Whirlwind"}
"""How whole pairs are unwrapped."""
TILE, TILE_OVERLAP = 400, 100
"""Pixels."""
LOOKS = 20.0
"""Independent looks that the coherences are taken to have; the default of a survey."""
SLANT_RANGE = 850_000.0
SPARSE = 8
"""Every so many pixels the slope of phase on height is fitted."""
BLOCK_BYTES = 100e6


def unwrap_all(work: Path, way: str, most: int | None) -> None:
    """Unwrap whole pairs: all, or so many spread over time. One that is kept is not unwrapped again."""
    stack, folder = open_stack(work / "scene"), whole_folder(work, way)
    journal, every = Journal(folder / "pairs.json"), len(stack.pairs)
    for k in np.unique(np.linspace(0, every - 1, min(most or every, every)).round().astype(int)):
        pair = stack.pairs[k]
        if pair.name not in journal:
            with journal.timing(pair.name):
                igram = stack.read(pair)
                np.save(folder / f"{pair.name}.npy", np.stack([unwrapped(igram, way), np.abs(igram)]))


def whole_folder(work: Path, way: str) -> Path:
    """Return where pairs unwrapped in one way are kept."""
    folder = work / f"everything-{way}"
    folder.mkdir(exist_ok=True)
    return folder


def unwrapped(igram: np.ndarray, way: str) -> np.ndarray:
    """Unwrap a whole pair."""
    weight = np.abs(igram)
    phase = np.where(weight > 0, np.angle(igram), np.nan).astype(np.float32)
    if way != "tiles":
        return choose_unwrapper(way).unwrap(phase, weight, LOOKS).unwrapped
    tiles = tuple(math.ceil(n / TILE) for n in igram.shape)
    phasor = np.where(weight > 0, np.exp(1j * phase), 0).astype(np.complex64)
    found, _ = snaphu.unwrap(
        phasor, weight, LOOKS, mask=weight > 0, ntiles=tiles, tile_overlap=TILE_OVERLAP, single_tile_reoptimize=False
    )
    return np.where(weight > 0, found, np.nan)


def invert(work: Path, way: str) -> None:
    """Invert all pairs about the median of the scene, and fit a velocity to every pixel."""
    stack, folder = open_stack(work / "scene"), whole_folder(work, way)
    layers = [np.load(folder / f"{pair.name}.npy", mmap_mode="r") for pair in stack.pairs]
    height, sparse = stack.read_height(Window(0, 0, *stack.grid.shape)), (slice(None, None, SPARSE),) * 2
    few = np.stack([layer[0][sparse] for layer in layers])
    delay = remove_stratified_delay(few, height[sparse], np.isfinite(height[sparse]), stack.pairs)
    level = np.nanmedian(delay.unw, axis=(1, 2))
    per_metre = dem_per_metre(stack.pairs, SLANT_RANGE, stack.look.incidence)
    dates = sorted({day for pair in stack.pairs for day in (pair.reference, pair.secondary)})
    rows, columns = stack.grid.shape
    shape = len(dates), rows, columns
    kept = {name: opened(folder / f"{name}.npy", shape) for name in ("displacement", "sigma")}
    velocity, coherence = opened(folder / "velocity.npy", shape[1:]), opened(folder / "coherence.npy", shape[1:])
    _, _, design = next(by_pattern(np.array(dates, "datetime64[D]"), np.ones((1, len(dates)), np.int64)))
    solve = np.linalg.pinv(design)[1].astype(np.float32)
    step = max(1, int(BLOCK_BYTES / (4 * len(layers) * columns)))
    for top in range(0, rows, step):
        block = slice(top, min(top + step, rows))
        unw, weight = (np.stack([layer[part][block] for layer in layers]) for part in (0, 1))
        unw -= (np.nan_to_num(delay.slope)[:, None, None] * (height[block] - delay.zero_height)).astype(np.float32)
        unw -= level[:, None, None].astype(np.float32)
        found = invert_network(
            unw, phase_weights(weight, LOOKS), stack.pairs, stack.wavelength, dem_per_metre=per_metre, robust=True
        )
        kept["displacement"][:, block], kept["sigma"][:, block] = found.displacement, found.sigma
        velocity[block] = np.tensordot(solve, found.displacement, axes=1)
        coherence[block] = weight.mean(axis=0)


def opened(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Make a file that an array is written to piece by piece."""
    return np.lib.format.open_memmap(path, "w+", np.float32, shape)
