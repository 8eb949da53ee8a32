"""Interferograms looked at for moving slopes: outlines in each pair, targets where enough pairs agree."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundshift import __version__
from groundshift.detect import Detection
from groundshift.detect.detection import SINGLE_PAIRS
from groundshift.detect.segments import SegmentNetwork, Sightings, find_segments
from groundshift.errors import NoDataError
from groundshift.inventory import (
    Run,
    Target,
    make_targets,
    merge_detections,
    write_inventory,
)
from groundshift.inventory.geopackage import read_standing
from groundshift.inventory.join import join_targets
from groundshift.inventory.review import hold_reviews
from groundshift.io.incoherent import judge_noise
from groundshift.io.rasters import write_geotiff
from groundshift.io.stack import InterferogramStack
from groundshift.pairs import select_pairs
from groundshift.types import Pair
from groundshift.workflows.choices import choose_looks
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.coverage import footprint, united
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.provenance import checksums_beside, write_provenance
from groundshift.workflows.resume import PairFailedError
from groundshift.workflows.segment_files import Outline, draw_pair, draw_places, write_outlines
from groundshift.workflows.segment_places import Frame, Seen, detections_of, outlines_of
from groundshift.workflows.segment_resume import Looked
from groundshift.workflows.segments_config import SegmentsConfig

__all__ = ["SegmentOutput", "preview_segmenting", "run_segmenting"]

Advance = Callable[[], None]


@dataclass(frozen=True)
class SegmentOutput:
    """What a run leaves."""

    folder: Path
    inventory: Path
    targets: tuple[Target, ...]
    """Those seen in this run."""
    outlines: int
    """In single interferograms."""
    pairs: int
    """That were looked at."""


@dataclass(frozen=True)
class _Track:
    """What is found on one track."""

    detections: tuple[Detection, ...]
    outlines: tuple[Outline, ...]
    pairs: tuple[Pair, ...]


def run_segmenting(config: SurveyConfig, options: SegmentsConfig, reporter: Reporter, command: str) -> SegmentOutput:
    """Outline moving ground in every interferogram, and make targets of what enough of them see.

    Leaves `inventory.gpkg`, `segments.gpkg` with the outlines of each pair, `provenance.json` and, in a folder for each
    track, `probability.tif`, `share.tif` and `places.png`; of models that look at one interferogram for every pair
    `PAIR_probability.tif` and `PAIR.png`; these are kept where a run is given again. Targets that an earlier run has
    left in the folder keep their names and reviews.

    Parameters
    ----------
    config : SurveyConfig
        Inputs, output and how they are read.
    options : SegmentsConfig
    reporter : Reporter
    command : str
        As typed, for the records.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened or lies nowhere on Earth, no pair is short enough, the model is not there, or an
        output cannot be written.
    """
    started = datetime.now(UTC)
    network = SegmentNetwork.load(options.model)
    stacks = open_tracks(config)
    tracks: list[_Track] = []
    looked: list[InterferogramStack] = []
    with claimed(config.output):
        chosen = {stack.track: _choose(stack, options) for stack in stacks}
        files = [f for s in stacks for p in chosen[s.track] for f in s.files.get(p, ())]
        with checksums_beside(files, "checksums", reporter) as checksums:
            for stack in stacks:
                tell_problems(stack, reporter)
                try:
                    tracks.append(_look_at_track(stack, chosen[stack.track], config.output, options, network, reporter))
                    looked.append(stack)
                except NoDataError as error:
                    if len(stacks) == 1:
                        raise
                    reporter.warn(f"{stack.track} left out: {error}")
        if not tracks:
            raise NoDataError("no track could be looked at; see the warnings above")
        targets = _conclude(tracks, looked, config, options, command, started)
        write_outlines(config.output / "segments.gpkg", [o for t in tracks for o in t.outlines], targets)
        write_provenance(
            config.output / "provenance.json",
            checksums,
            {
                "command": command, "started": started, "model": {"name": network.name, "sha256": network.checksum},
                "settings": options.model_dump(mode="json"), "pairs": {s.track: len(t.pairs) for s, t in
                zip(looked, tracks, strict=True)},
            },
        )  # fmt: skip
    return SegmentOutput(
        config.output, config.output / "inventory.gpkg", tuple(targets), sum(len(t.outlines) for t in tracks),
        sum(len(t.pairs) for t in tracks),
    )  # fmt: skip


def preview_segmenting(config: SurveyConfig, options: SegmentsConfig) -> list[dict[str, Any]]:
    """Say what would be looked at, without reading a pixel.

    Raises
    ------
    GroundshiftError
        As of `run_segmenting`.
    """
    network = SegmentNetwork.load(options.model)
    facts = []
    for stack in open_tracks(config):
        looks = choose_looks(stack.grid, options.pixel)
        grid = stack.grid.multilooked(looks)
        pairs = _choose(stack, options)
        facts.append(
            {
                "track": stack.track, "product": stack.product, "model": network.name,
                "pairs": f"{len(pairs)} of {len(stack.pairs)}, up to {options.days} days",
                "looks": list(looks), "pixels": list(grid.shape),
                "pixel_m": [round(s, 1) for s in grid.spacing],
            }
        )  # fmt: skip
    return facts


def _choose(stack: InterferogramStack, options: SegmentsConfig) -> list[Pair]:
    """Return the pairs that are looked at, in order of time."""
    try:
        return sorted(select_pairs(stack.pairs, max_days=options.days))
    except NoDataError:
        raise NoDataError(f"{stack.root}: no pair of up to {options.days} days; raise --days") from None


def _look_at_track(
    stack: InterferogramStack,
    pairs: Sequence[Pair],
    folder: Path,
    options: SegmentsConfig,
    network: SegmentNetwork,
    reporter: Reporter,
) -> _Track:
    """Look at the pairs of one track.

    Raises
    ------
    NoDataError
        If no pair can be used.
    """
    looks = choose_looks(stack.grid, options.pixel)
    frame = Frame(stack, looks, stack.grid.multilooked(looks), folder / stack.track)
    seen = Seen(Sightings(frame.grid.shape, options.probability))
    look = _look_at_many if network.sees_many else _look_at_one
    with reporter.bar(f"{stack.track}: looking", len(pairs)) as advance:
        look(frame, pairs, seen, options, network, reporter, advance)
    if not seen.pairs:
        raise NoDataError(f"{stack.root}: none of {count_of(len(pairs), 'pair')} could be used; see the warnings above")
    places = seen.sightings.places(options.share, options.pixels)
    mean, share = seen.sightings.mean, seen.sightings.share
    told = f"of ground that moves, {count_of(len(seen.pairs), 'interferogram')}"
    write_geotiff(frame.folder / "probability.tif", mean, frame.grid, description=f"mean probability {told}")
    write_geotiff(
        frame.folder / "share.tif", share, frame.grid, description=f"share of interferograms that see it, {told}"
    )
    draw_places(frame.folder / "places.png", mean, share, places)
    return _Track(
        tuple(detections_of(frame, seen, places, network, reporter)),
        tuple(outlines_of(frame, seen, reporter)),
        tuple(seen.pairs),
    )


def _look_at_one(
    frame: Frame,
    pairs: Sequence[Pair],
    seen: Seen,
    options: SegmentsConfig,
    network: SegmentNetwork,
    reporter: Reporter,
    advance: Advance,
) -> None:
    """Look at each pair by itself, and leave its maps."""
    looked = Looked(frame.folder, frame.stack, options, network)
    for pair in pairs:
        igram = _usable(frame, pair, reporter)
        if igram is not None:
            known = igram != 0
            before = looked.recall(pair, frame.grid.shape)
            probability = _look(igram, network) if before is None else before
            segments = find_segments(
                probability, known, least_probability=options.probability, least_pixels=options.pixels
            )
            seen.sightings.add(probability, known)
            seen.pairs.append(pair)
            seen.segments[pair] = segments
            if before is None:
                write_geotiff(
                    frame.folder / f"{pair.name}_probability.tif", probability, frame.grid,
                    description=f"probability of ground that moves, {pair.reference} to {pair.secondary}",
                )  # fmt: skip
                draw_pair(frame.folder / f"{pair.name}.png", pair, igram, probability, segments)
                looked.keep(pair)
        advance()


def _look(igram: NDArray[np.complex64], network: SegmentNetwork) -> NDArray[np.float32]:
    """Let the network look at one interferogram."""
    return network.look(np.angle(igram).astype(np.float32)[np.newaxis], np.abs(igram)[np.newaxis])


def _look_at_many(
    frame: Frame,
    pairs: Sequence[Pair],
    seen: Seen,
    options: SegmentsConfig,
    network: SegmentNetwork,
    reporter: Reporter,
    advance: Advance,
) -> None:
    """Look at several pairs at once, each group spread over the whole time."""
    groups = -(-len(pairs) // options.together)
    for k in range(groups):
        igrams = []
        for pair in pairs[k::groups]:
            igram = _usable(frame, pair, reporter)
            if igram is not None:
                igrams.append(igram)
                seen.pairs.append(pair)
            advance()
        if igrams:
            all_of_them = np.stack(igrams)
            probability = network.look(np.angle(all_of_them).astype(np.float32), np.abs(all_of_them))
            seen.sightings.add(probability, (all_of_them != 0).any(0))
    seen.pairs.sort()


def _usable(frame: Frame, pair: Pair, reporter: Reporter) -> NDArray[np.complex64] | None:
    """Read a pair; None, and a warning, if it shows nothing."""
    name = f"{frame.stack.track}: {pair.name}"
    try:
        igram = frame.read(pair)
    except PairFailedError as error:
        reporter.warn(f"{error}; pair left out")
        return None
    if not igram.any():
        reporter.warn(f"{name} has no data")
    elif judge_noise(igram):
        reporter.warn(f"{name} is all noise; nothing can be seen in it")
    else:
        return igram
    return None


def _conclude(
    tracks: Sequence[_Track],
    stacks: Sequence[InterferogramStack],
    config: SurveyConfig,
    options: SegmentsConfig,
    command: str,
    started: datetime,
) -> list[Target]:
    """Merge what the tracks show into targets and write the inventory; return those seen in this run."""
    pairs = [p for t in tracks for p in t.pairs]
    first, last = min(p.reference for p in pairs), max(p.secondary for p in pairs)
    groups = merge_detections([d for t in tracks for d in t.detections], max_centre_distance_m=options.merge_distance)
    found = [replace(t, kind="landslide") for t in make_targets(groups, first_seen=first, last_seen=last)]
    settings = {"survey": config.model_dump(mode="json"), "segments": options.model_dump(mode="json")}
    run = Run(
        started=started, version=__version__, command=command, tracks=tuple(s.track for s in stacks), first_date=first,
        last_date=last, n_pairs=len(pairs), parameters=json.dumps(settings),
    )  # fmt: skip
    inventory = config.output / "inventory.gpkg"
    covered = united([footprint(s.grid) for s in stacks])
    with hold_reviews(inventory):
        before, runs, series = read_standing(inventory)
        targets = join_targets(found, before, window=SINGLE_PAIRS, covered=covered)
        names = {t.id for t in targets}
        write_inventory(inventory, targets, [*runs, run], [s for s in series if s.target in names])
    return targets[: len(found)]
