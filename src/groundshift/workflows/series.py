"""Series of all targets: patches cut out of the interferograms, followed one by one, and kept in the survey's folder.

For each target and track `series/<target>-<track>.nc` holds what every pixel did, and a record beside it what the
target did. What is there already, made from the same files with the same settings, is not made again.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.errors import GroundshiftError, NoDataError, OutputError, ProductError
from groundshift.geometry import average_known, pixels_within
from groundshift.geometry.geocode import sample_at
from groundshift.gradients.integrate import relative_velocity
from groundshift.gradients.stack import node_offset
from groundshift.gradients.store import SumsFile
from groundshift.inventory import Target
from groundshift.io.atomic import write_text
from groundshift.io.patches import PatchSeries, patch_path, write_patch
from groundshift.io.stack import InterferogramStack
from groundshift.pairs import select_pairs
from groundshift.types import Looks, Window
from groundshift.unwrap import Unwrapper, average_igram, choose_unwrapper
from groundshift.workflows.config import SeriesConfig
from groundshift.workflows.following import COARSE_PIXEL, Followed, NoSeriesError, Patch, follow
from groundshift.workflows.foresight import with_foresight
from groundshift.workflows.lost_phase import why_too_fast
from groundshift.workflows.motion import Record, TargetMotion, make_record, shown
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import file_marks

__all__ = ["Source", "StackView", "cut_patch", "follow_targets", "view_stack"]

_LEAST_MARGIN_M = 300.0
_NEAR_DEGREES = 0.05
"""Other targets are looked for at least so far around one; more than the least margin at any latitude but the poles."""


@dataclass(frozen=True)
class Source:
    """Where the series of one track come from."""

    stack: InterferogramStack
    sums: SumsFile
    reach: float
    """Metres over which stacked velocities are compared."""


class _Cut(NamedTuple):
    """A patch on the grid of a track."""

    window: Window
    inside: NDArray[np.bool_]
    others: NDArray[np.bool_]


def follow_targets(
    targets: Sequence[Target],
    sources: Mapping[str, Source],
    folder: Path,
    config: SeriesConfig,
    reporter: Reporter,
) -> dict[str, list[TargetMotion]]:
    """Follow every target on every track that has seen it.

    Parameters
    ----------
    targets : sequence of Target
    sources : mapping
        By name of the track; tracks that are not here are passed over.
    folder : path
        Where series are kept.
    config : SeriesConfig
    reporter : Reporter

    Returns
    -------
    dict
        By identity of the target, in the order of its tracks; a target that cannot be followed has a reason.

    Raises
    ------
    UnwrappingError
        If the unwrapper asked for is not there.
    ProductError
        If interferograms are not those that the sums of their track were made from.
    OutputError
        If a series cannot be written.
    """
    plain = choose_unwrapper(config.unwrapper)
    fast = with_foresight(plain, config.foresight) if any(target.is_site for target in targets) else plain
    tasks = [(target, track) for target in targets for track in target.tracks if track in sources]
    found: dict[str, list[TargetMotion]] = {}
    views = {track: view_stack(source) for track, source in sources.items() if any(track == t for _, t in tasks)}
    with reporter.bar("following targets", len(tasks)) as advance:
        for target, track in tasks:
            unwrapper = fast if target.is_site else plain
            motion = _follow_one(target, targets, sources[track], views[track], folder, config, unwrapper)
            if motion.record.reason:
                reporter.log("no series", target=target.id, track=track, reason=motion.record.reason)
            found.setdefault(target.id, []).append(motion)
            advance()
    return found


class StackView(NamedTuple):
    """What the stack of a track shows on its nodes."""

    velocity: NDArray[np.float32]
    """mm/yr."""
    significance: NDArray[np.float32]
    """Of the differences to the four neighbours, the largest magnitude."""
    looks: Looks
    """Pixels of the product that make a working pixel."""
    offset: float
    """Where the first node lies, in working pixels from the first of these."""


def view_stack(source: Source) -> StackView:
    """Look at the stack of all pairs once more, for `cut_patch`.

    Raises
    ------
    ProductError
        If the interferograms are not those that the sums were made from.
    """
    looks = _looks_of(source)
    stack = source.sums.stack(0)
    velocity = relative_velocity(stack, reach=source.reach / float(np.mean(stack.grid.spacing)))
    down, right = np.abs(stack.significance[:2])
    # A difference lies half way to the next node, so that of the one before counts as much.
    around = [down, np.full_like(down, np.nan), right, np.full_like(right, np.nan)]
    around[1][1:], around[3][:, 1:] = down[:-1], right[:, :-1]
    return StackView(velocity, np.fmax.reduce(around), looks, node_offset(stack.smoothing))


def _looks_of(source: Source) -> Looks:
    """Return how many pixels of the product make a working pixel of the sums, along rows and columns."""
    stack, plan = source.stack, source.sums.plan
    looks = Looks(*(max(1, round(a / b)) for a, b in zip(plan.grid.spacing, stack.grid.spacing, strict=True)))
    if plan.look != stack.look or stack.grid.multilooked(looks).shape != plan.grid.shape:
        raise ProductError(f"{stack.root}: not the interferograms that {source.sums.path} was made from; name those")
    return looks


def _follow_one(
    target: Target,
    targets: Sequence[Target],
    source: Source,
    view: StackView,
    folder: Path,
    config: SeriesConfig,
    unwrapper: Unwrapper,
) -> TargetMotion:
    """Follow one target on one track, or find what is kept of it."""
    track = source.stack.track
    path = patch_path(folder, target.id, track)
    near = _near(target, targets, config)
    mark = _fingerprint(target, near, source, config, unwrapper.name)
    kept = _kept(path, mark)
    if kept is not None:
        return kept
    # The record goes first: a run that is killed leaves a patch without a record, never one with that of another.
    path.with_suffix(".json").unlink(missing_ok=True)
    patch = None
    try:
        patch = cut_patch(target, near, source, view, config)
        followed = follow(patch, config, unwrapper)
    except OutputError:
        raise
    except GroundshiftError as error:
        lost = "" if patch is None else why_too_fast(patch, _speed(target))
        record = Record(fingerprint=mark, target=target.id, track=track, reason=str(error), too_fast=lost)
        path.unlink(missing_ok=True)
    else:
        speed = max(_speed(target), abs(float(followed.motion.velocity.rate)))
        record = make_record(mark, target, track, patch, followed, why_too_fast(patch, speed))
        write_patch(path, _series_of(target, track, patch, followed, record))
    write_text(path.with_suffix(".json"), record.model_dump_json(indent=1) + "\n")
    return shown(record, path)


def _speed(target: Target) -> float:
    """Return the highest speed that a detection tells, metres per year."""
    return max((abs(d.velocity) for d in target.detections), default=0.0) / 1000.0


def _near(target: Target, targets: Sequence[Target], config: SeriesConfig) -> list[Target]:
    """Return the other targets that may lie in the patch around a target, always in the same order."""
    west, south, east, north = target.geometry.bounds
    size = max(east - west, (north - south) / math.cos(math.radians((south + north) / 2)))
    reach = _NEAR_DEGREES + config.margin * size
    near = [t for t in targets if t is not target and t.geometry.distance(target.geometry) < reach]
    return sorted(near, key=lambda t: t.geometry.wkb_hex)


def _fingerprint(target: Target, near: Sequence[Target], source: Source, config: SeriesConfig, unwrapper: str) -> str:
    """Tell what a series is made from."""
    stack = source.stack
    files = [
        [p.name, file_marks(stack, p)]
        for p in sorted(stack.pairs)
        if p.days <= max(config.series_days, config.site_days)
    ]
    facts = [
        __version__, target.geometry.wkb_hex, target.slope_deg, target.aspect_deg, [t.geometry.wkb_hex for t in near],
        config.model_dump(mode="json"), unwrapper, source.sums.fingerprint, source.reach, files,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _kept(path: Path, mark: str) -> TargetMotion | None:
    """Return what an earlier run has made from the same, if it is all there."""
    try:
        found = Record.model_validate_json(path.with_suffix(".json").read_bytes())
        return shown(found, path) if found.fingerprint == mark else None
    except (OSError, ValueError):
        return None


def _place(target: Target, near: Sequence[Target], stack: InterferogramStack, config: SeriesConfig) -> _Cut:
    """Find the pixels of a target, and the ground around it that is unwrapped with it."""
    found = pixels_within(target.geometry, stack.grid)
    if found is None:
        raise NoSeriesError("no pixel of the track lies in the target")
    box, mask = found
    sides = box.height * stack.grid.spacing[0], box.width * stack.grid.spacing[1]
    margin = max(config.margin * math.sqrt(sides[0] * sides[1]), _LEAST_MARGIN_M)
    down, across = (math.ceil(margin / spacing) for spacing in stack.grid.spacing)
    top, left = max(box.y - down, 0), max(box.x - across, 0)
    bottom, right = (
        min(box.y + box.height + down, stack.grid.shape[0]),
        min(box.x + box.width + across, stack.grid.shape[1]),
    )
    window = Window(top, left, bottom - top, right - left)
    inside = np.zeros((window.height, window.width), np.bool_)
    inside[box.y - top : box.y - top + box.height, box.x - left : box.x - left + box.width] = mask
    others = np.zeros_like(inside)
    grid = stack.grid.cropped(window)
    for other in near:
        there = pixels_within(other.geometry, grid)
        if there is not None:
            part, shape = there
            others[part.rows, part.columns] |= shape
    return _Cut(window, inside, others & ~inside)


def cut_patch(target: Target, near: Sequence[Target], source: Source, view: StackView, config: SeriesConfig) -> Patch:
    """Read the interferograms around a target, and what the stack says of it.

    Parameters
    ----------
    target : Target
    near : sequence of Target
        Other targets, some of which may lie in the patch.
    source : Source
    view : StackView
        What `view_stack` shows of the source.
    config : SeriesConfig

    Returns
    -------
    Patch
        With a margin around the target, at full resolution or, where that does not fit the memory, as fine as does.

    Raises
    ------
    NoSeriesError
        If the track has no pixel in the target, or no pair that is short enough, or the patch does not fit.
    """
    stack, fast = source.stack, target.is_site
    days, option = (config.site_days, "--site-days") if fast else (config.series_days, "--series-days")
    try:
        pairs = tuple(sorted(select_pairs(stack.pairs, max_days=days)))
    except NoDataError:
        raise NoSeriesError(f"no pair of up to {days} days; raise {option}") from None
    window, inside, others = _place(target, near, stack, config)
    needed = 8 * len(pairs) * inside.size
    step = max(1, math.ceil(math.sqrt(needed / (config.series_memory_mb * 1e6))))
    if step > 1:
        if 2 * step > min(inside.shape):
            raise NoSeriesError(
                f"{len(pairs)} pairs of {inside.shape[0]} x {inside.shape[1]} pixels do not fit "
                f"{config.series_memory_mb} MB; raise --series-memory-mb"
            )
        height, width = inside.shape[0] // step * step, inside.shape[1] // step * step
        window = Window(window.y, window.x, height, width)
        inside, others = (
            m[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3)) >= 0.5
            for m in (inside, others)
        )
    igrams = np.zeros((len(pairs), *inside.shape), np.complex64)
    unread = []
    for k, pair in enumerate(pairs):
        try:
            igrams[k] = average_igram(stack.read(pair, window), Looks(step, step))
        except GroundshiftError as error:
            unread.append((pair.name, str(error)))
        except OSError as error:
            path = error.filename or stack.files.get(pair, (stack.root,))[0]
            unread.append((pair.name, f"{path}: cannot be read ({error.strerror or error})"))
    grid = stack.grid.cropped(window).multilooked(Looks(step, step))
    rows = (window.y + (np.arange(inside.shape[0]) + 0.5) * step) / view.looks.y - 0.5 - view.offset
    columns = (window.x + (np.arange(inside.shape[1]) + 0.5) * step) / view.looks.x - 0.5 - view.offset
    y, x = np.meshgrid(rows, columns, indexing="ij")
    height_map = None
    if stack.read_height is not None:
        height_map = average_known(stack.read_height(window), Looks(step, step))
        height_map = height_map if np.isfinite(height_map).any() else None
    velocity = sample_at(view.velocity, y, x, False) / 1000.0
    return Patch(
        igrams=igrams,
        unread=tuple(unread),
        pairs=pairs,
        grid=grid,
        wavelength=stack.wavelength,
        look=stack.look,
        inside=inside,
        others=others,
        significance=np.asarray(sample_at(view.significance, y, x, True), np.float32),
        stacked_velocity=np.full_like(velocity, np.nan, np.float32) if fast else velocity.astype(np.float32),
        height=height_map,
        looks=step**2,
        pixel=config.site_pixel if fast else COARSE_PIXEL,
        fast=fast,
    )


def _series_of(target: Target, track: str, patch: Patch, followed: Followed, record: Record) -> PatchSeries:
    """Gather what the file of a patch holds."""
    shape = patch.inside.shape
    height = patch.height if patch.height is not None else np.full(shape, np.nan, np.float32)
    return PatchSeries(
        target=target.id,
        track=track,
        grid=patch.grid,
        wavelength=patch.wavelength,
        look=patch.look,
        dates=np.array(followed.dates, "datetime64[D]"),
        displacement=followed.inverted.displacement,
        sigma=followed.inverted.sigma,
        velocity=np.asarray(followed.velocity.rate, np.float32),
        velocity_sigma=np.asarray(followed.velocity_sigma, np.float32),
        temporal_coherence=followed.inverted.temporal_coherence,
        coherence=followed.coherence,
        stacked_velocity=patch.stacked_velocity,
        inside=patch.inside,
        height=height,
        reference=followed.reference.pixels,
        pairs=followed.pairs,
        left_out=followed.left_out,
        facts=record.facts,
    )
