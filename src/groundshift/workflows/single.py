"""Single interferograms looked at by themselves: where bowls are, how deep, and what their phase is unwrapped."""

import csv
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from groundshift.detect.bowls import Bowl, find_bowls
from groundshift.errors import NoDataError
from groundshift.interferometry import filter_along_fringes
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.incoherent import judge_noise
from groundshift.io.rasters import write_geotiff
from groundshift.io.stack import InterferogramStack
from groundshift.types import Grid, Pair
from groundshift.unwrap import Unwrapper, UnwrappingError, choose_unwrapper, residues
from groundshift.workflows.choices import choose_looks, choose_scanned
from groundshift.workflows.config import BowlConfig, SurveyConfig
from groundshift.workflows.foresight import with_foresight
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.maps import is_located
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.resume import PairFailedError
from groundshift.workflows.scanning import Watcher, choose_watcher, read_averaged

__all__ = ["run_single"]

_MM = 1000.0
"""Millimetres per metre."""


class _View(NamedTuple):
    """What one pair shows; arrays (y, x)."""

    wrapped: NDArray[np.float32]
    coherence: NDArray[np.float32]
    probability: NDArray[np.float32]
    unwrapped: NDArray[np.float32]
    """Radians against the ground around the bowls; NaN without data."""
    bowls: tuple[Bowl, ...]
    residues: tuple[int, int]
    """In the bowls: of the wrapped phase, and of what is unwrapped, which is filtered along its fringes."""


def run_single(config: SurveyConfig, reporter: Reporter) -> list[dict[str, Any]]:
    """Look at every interferogram by itself.

    Leaves `bowls.csv` and, in a folder for each track, for every pair `PAIR_probability.tif`, `PAIR_unwrapped.tif` and
    `PAIR.png`.

    Returns
    -------
    list of dict
        A row of `bowls.csv` for each bowl.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, no pair is short enough, a model is not there, or an output cannot be written.
    """
    watcher = choose_watcher(config.bowls)
    unwrapper = with_foresight(choose_unwrapper(config.series.unwrapper), config.series.foresight)
    rows: list[dict[str, Any]] = []
    stacks = open_tracks(config, located=False)
    with claimed(config.output):
        for stack in stacks:
            tell_problems(stack, reporter)
            try:
                rows += _look_at_track(stack, config, watcher, unwrapper, reporter)
            except NoDataError as error:
                if len(stacks) == 1:
                    raise
                reporter.warn(f"{stack.track} left out: {error}")
        write_text(config.output / "bowls.csv", _table(rows))
    return rows


def _look_at_track(
    stack: InterferogramStack, config: SurveyConfig, watcher: Watcher, unwrapper: Unwrapper, reporter: Reporter
) -> list[dict[str, Any]]:
    """Look at the pairs of one track.

    Raises
    ------
    NoDataError
        If no pair is short enough, or none can be read.
    """
    pairs = choose_scanned(stack, config.bowls)
    looks = choose_looks(stack.grid, config.bowls.bowl_pixel)
    grid = stack.grid.multilooked(looks)
    folder = config.output / stack.track
    nlooks = config.series.nlooks * looks.y * looks.x
    rows: list[dict[str, Any]] = []
    unread: list[PairFailedError] = []
    with reporter.bar(f"{stack.track}: looking", len(pairs)) as advance:
        for pair in pairs:
            try:
                igram = read_averaged(stack, pair, looks)
                if not igram.any():
                    reporter.warn(f"{stack.track}: {pair.name} has no data")
                elif judge_noise(igram):
                    reporter.warn(f"{stack.track}: {pair.name} is all noise; nothing can be seen in it")
                else:
                    view = _look(igram, config.bowls, nlooks, watcher, unwrapper)
                    _write(folder, pair, view, grid)
                    _draw(folder, pair, view)
                    rows += _rows(stack, pair, view, grid)
            except PairFailedError as error:
                unread.append(error)
                reporter.warn(f"{error}; pair left out")
            except UnwrappingError as error:
                reporter.warn(f"{stack.track}: {pair.name} left out: {error}")
            advance()
    if len(unread) == len(pairs):
        raise NoDataError(f"{stack.root}: none of {count_of(len(pairs), 'pair')} could be read; last: {unread[-1]}")
    return rows


def _look(
    igram: NDArray[np.complex64], config: BowlConfig, nlooks: float, watcher: Watcher, unwrapper: Unwrapper
) -> _View:
    """Look at one interferogram."""
    known = igram != 0
    coherence = np.abs(igram)
    wrapped = np.where(known, np.angle(igram), np.nan).astype(np.float32)
    probability, phase = watcher.look(wrapped, coherence)
    bowls = find_bowls(
        probability, phase, known,
        least_probability=config.bowl_probability, least_pixels=config.bowl_pixels, least_score=watcher.least_score,
    )  # fmt: skip
    unwrapped = unwrapper.unwrap(wrapped, coherence, nlooks).unwrapped
    inside = np.zeros(known.shape, np.bool_)
    for bowl in bowls:
        inside[bowl.window.rows, bowl.window.columns] |= bowl.mask
    ground = known & ~inside
    unwrapped = unwrapped - np.float32(np.median(unwrapped[ground if ground.any() else known]))
    filtered = np.where(known, np.angle(filter_along_fringes(igram).igram), np.nan)
    before, after = (int(np.abs(residues(p))[inside[:-1, :-1]].sum()) for p in (wrapped, filtered))
    return _View(wrapped, coherence, probability, unwrapped, tuple(bowls), (before, after))


def _write(folder: Path, pair: Pair, view: _View, grid: Grid) -> None:
    """Write the maps of a pair."""
    text = f"{pair.reference} to {pair.secondary}"
    write_geotiff(
        folder / f"{pair.name}_probability.tif", view.probability, grid,
        description=f"probability of ground that moves by itself, {text}",
    )  # fmt: skip
    write_geotiff(
        folder / f"{pair.name}_unwrapped.tif", view.unwrapped, grid,
        nodata=math.nan, description=f"unwrapped phase, growing away from the satellite, {text}", unit="rad",
    )  # fmt: skip


def _draw(folder: Path, pair: Pair, view: _View) -> None:
    """Draw the maps of a pair, with its bowls."""
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    panels = figure.subplots(1, 3)
    limit = max(math.pi, float(np.nanpercentile(np.abs(view.unwrapped), 99.8)))
    shown = (
        (view.wrapped, "twilight", math.pi, "wrapped phase, rad"),
        (view.unwrapped, "RdBu_r", limit, "unwrapped phase, rad; red away from the satellite"),
    )
    for axes, (values, colours, top, title) in zip(panels, shown, strict=False):
        image = axes.imshow(values, cmap=colours, vmin=-top, vmax=top, interpolation="nearest")
        figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set_title(title, fontsize=9)
    image = panels[2].imshow(np.where(np.isnan(view.wrapped), np.nan, view.probability), cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(image, ax=panels[2], shrink=0.8)
    panels[2].set_title("probability of ground that moves by itself", fontsize=9)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
        for number, bowl in enumerate(view.bowls, 1):
            y, x = bowl.window.y, bowl.window.x
            framed = np.pad(bowl.mask, 1).astype(np.float32)
            across, down = np.arange(framed.shape[1]) - 1 + x, np.arange(framed.shape[0]) - 1 + y
            axes.contour(across, down, framed, levels=[0.5], colors=["black"], linewidths=0.9)
            axes.annotate(str(number), (x, y), fontsize=7)
    figure.suptitle(f"{pair.reference} to {pair.secondary}, {pair.days} days", fontsize=10)
    with atomic_path(folder / f"{pair.name}.png") as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _rows(stack: InterferogramStack, pair: Pair, view: _View, grid: Grid) -> list[dict[str, Any]]:
    """Describe the bowls of a pair."""
    pixel = math.prod(grid.spacing)
    rows = []
    for number, bowl in enumerate(view.bowls, 1):
        part = view.unwrapped[bowl.window.rows, bowl.window.columns]
        inside = part[bowl.mask & np.isfinite(part)]
        peak = float(inside[np.argmax(np.abs(inside))]) if inside.size else math.nan
        y, x = (float(v.mean()) for v in np.nonzero(bowl.mask))
        row = {
            "track": stack.track, "pair": pair.name, "bowl": number, "row": round(bowl.window.y + y, 1),
            "column": round(bowl.window.x + x, 1), "score": round(bowl.score, 3),
            "area_m2": round(pixel * bowl.mask.sum()), "foreseen_peak_rad": round(bowl.peak, 2),
            "unwrapped_peak_rad": round(peak, 2),
            "displacement_mm": round(-_MM * stack.wavelength / (4 * math.pi) * peak, 1),
            "residues_before": view.residues[0], "residues_after": view.residues[1],
        }  # fmt: skip
        if is_located(grid):
            place = grid.lonlat(np.array([bowl.window.y + y]), np.array([bowl.window.x + x]))
            row |= {name: round(float(v[0]), 6) for name, v in zip(("longitude", "latitude"), place, strict=True)}
        rows.append(row)
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    """Write rows as CSV; only a line of names if there are none."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["track", "pair", "bowl"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
