"""What is stacked and on which pixels, chosen by the settings: pairs, time windows, looks, averaging."""

import math
from collections.abc import Sequence
from typing import Any

from groundshift.errors import NoDataError
from groundshift.gradients.windows import named_windows
from groundshift.io.stack import InterferogramStack
from groundshift.pairs import select_pairs
from groundshift.types import Grid, Looks, Pair
from groundshift.workflows.config import BowlConfig, StackConfig

__all__ = [
    "LEAST_PAIRS",
    "choose_looks",
    "choose_pairs",
    "choose_scanned",
    "choose_smoothing",
    "choose_windows",
    "preview_scan",
    "preview_stack",
]

LEAST_PAIRS = 2
"""One pair alone has no scatter to tell a standard error from."""


def choose_looks(grid: Grid, working_pixel: float) -> Looks:
    """Return the looks that bring the pixel nearest to `working_pixel` metres, in both directions."""
    return Looks(*(max(1, round(working_pixel / spacing)) for spacing in grid.spacing))


def choose_smoothing(grid: Grid, looks: Looks, smoothing: int, limit: float) -> int:
    """Return the side of the averaging window in working pixels.

    `smoothing` counts pixels of the product; the window is not larger than `limit` metres, and never below one pixel.
    """
    side = min(smoothing * math.sqrt(math.prod(grid.spacing)), limit)
    worked = math.sqrt(math.prod(s * n for s, n in zip(grid.spacing, looks, strict=True)))
    return max(1, round(side / worked))


def choose_pairs(stack: InterferogramStack, config: StackConfig) -> list[Pair]:
    """Return the pairs with short baselines.

    Raises
    ------
    NoDataError
        If fewer than two are left.
    """
    try:
        chosen = select_pairs(
            stack.pairs,
            max_days=config.max_days,
            mode=config.pair_mode,
            nearest=config.nearest,
            max_bperp=config.max_bperp,
            start=config.start,
            end=config.end,
        )
    except NoDataError as error:
        raise NoDataError(f"{stack.root}: {error}") from error
    if len(chosen) < LEAST_PAIRS:
        raise NoDataError(
            f"{stack.root}: 1 of {len(stack.pairs)} pairs selected, but a stack needs {LEAST_PAIRS} or more; add "
            "interferograms or raise --max-days"
        )
    return list(chosen)


def choose_scanned(stack: InterferogramStack, config: BowlConfig) -> list[Pair]:
    """Return the pairs that are scanned for bowls, in order of time.

    Raises
    ------
    NoDataError
        If none is short enough.
    """
    try:
        return sorted(select_pairs(stack.pairs, max_days=config.bowl_days))
    except NoDataError:
        raise NoDataError(f"{stack.root}: no pair of up to {config.bowl_days} days; raise --bowl-days") from None


def choose_windows(stack: InterferogramStack, pairs: Sequence[Pair], config: StackConfig) -> dict[str, list[int]]:
    """Return the indices into `pairs` of each time window.

    Raises
    ------
    NoDataError
        If a window of the settings holds fewer than two pairs.
    """
    try:
        found = named_windows(
            pairs,
            wet_months=config.wet_months or None,
            sliding_years=config.sliding_years,
            given=config.windows,
            least=config.least_pairs,
        )
    except NoDataError as error:
        raise NoDataError(f"{stack.root}: {error}") from error
    for name in config.windows:
        if len(found[name]) < LEAST_PAIRS:
            raise NoDataError(f"{stack.root}: window {name}: only one pair lies within its dates; widen it")
    return found


def preview_stack(stack: InterferogramStack, config: StackConfig) -> dict[str, Any]:
    """Say what stacking would do, without reading a pixel."""
    pairs = choose_pairs(stack, config)
    looks = choose_looks(stack.grid, config.working_pixel)
    grid = stack.grid.multilooked(looks)
    windows = choose_windows(stack, pairs, config)
    return {
        "track": stack.track,
        "product": stack.product,
        "pairs": f"{len(pairs)} of {len(stack.pairs)}",
        "looks": list(looks),
        "working_pixels": list(grid.shape),
        "working_pixel_m": [round(s, 1) for s in grid.spacing],
        "smoothing": choose_smoothing(stack.grid, looks, config.smoothing, config.smoothing_limit),
        "time_windows": {name: len(members) for name, members in windows.items()},
        "to_read_gb": round(8e-9 * len(pairs) * stack.grid.shape[0] * stack.grid.shape[1], 3),
        "skipped": [p.message for p in stack.problems if p.skipped],
    }


def preview_scan(stack: InterferogramStack, config: BowlConfig) -> dict[str, Any]:
    """Say what scanning for bowls would do, without reading a pixel; nothing if none are looked for.

    Raises
    ------
    NoDataError
        If no pair is short enough.
    """
    if config.look_for == "bodies":
        return {}
    grid = stack.grid.multilooked(choose_looks(stack.grid, config.bowl_pixel))
    return {
        "pairs_scanned": f"{len(choose_scanned(stack, config))} of {len(stack.pairs)}",
        "scanned_pixels": list(grid.shape),
        "scanned_pixel_m": [round(s, 1) for s in grid.spacing],
    }
