"""Interferograms written as a folder of GeoTIFFs for each track (docs/geotiff-folder.md)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from groundshift.errors import DamagedFileError, GroundshiftError, OutputError
from groundshift.io import InterferogramStack
from groundshift.io.atomic import write_text
from groundshift.io.lonlat import write_radar_grid
from groundshift.io.rasters import write_geotiff
from groundshift.types import Pair, RadarGrid
from groundshift.workflows.choices import choose_pairs
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.inputs import open_tracks, tell_problems
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["WrittenTrack", "run_interferograms"]

_METADATA = "metadata.yaml"


@dataclass(frozen=True)
class WrittenTrack:
    """What was written of one track."""

    track: str
    folder: Path
    pairs: int
    """All that lie in the folder now."""
    skipped: int
    """Pairs that could not be read."""


def run_interferograms(config: SurveyConfig, reporter: Reporter) -> list[WrittenTrack]:
    """Write the selected pairs of all inputs, each track to a folder of `config.output` that `survey` reads.

    Files appear whole, so that a run that was stopped goes on with those that are missing.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened, the folder holds interferograms of other images or settings, an output cannot be
        written, or a pair cannot be read and `strict` is set.
    """
    check_paths(config.output, config.inputs)
    stacks = open_tracks(config, located=False)
    with claimed(config.output):
        return [_write_track(stack, config, reporter) for stack in stacks]


def _write_track(stack: InterferogramStack, config: SurveyConfig, reporter: Reporter) -> WrittenTrack:
    """Write the pairs of one track."""
    folder = config.output / stack.track
    pairs = choose_pairs(stack, config.stack)
    tell_problems(stack, reporter)
    told = _metadata(stack, pairs)
    _claim(folder, told)
    skipped = 0
    with reporter.bar(f"{stack.track}: interferograms", len(pairs)) as advance:
        for pair in pairs:
            try:
                _write_pair(stack, pair, folder)
            except OutputError:
                raise
            except GroundshiftError as error:
                if config.stack.strict:
                    raise
                reporter.warn(f"{error}; pair left out")
                skipped += 1
            advance()
    if isinstance(stack.grid, RadarGrid):
        write_radar_grid(folder, stack.grid)
    if stack.read_height is not None:
        height = stack.read_height(stack.full)
        write_geotiff(folder / "dem.tif", height, stack.grid, nodata=math.nan, description="height", unit="metre")
    reporter.say(f"{stack.track}: {count_of(len(pairs) - skipped, 'interferogram')} in {folder}")
    return WrittenTrack(stack.track, folder, len(pairs) - skipped, skipped)


def _write_pair(stack: InterferogramStack, pair: Pair, folder: Path) -> None:
    """Write phase and coherence of a pair unless they are there."""
    phase, coherence = (folder / f"{pair.name}_{kind}.tif" for kind in ("phase", "coh"))
    if phase.exists() and coherence.exists():
        return
    try:
        igram = stack.read(pair)
    except OSError as error:
        path = error.filename or stack.files.get(pair, (stack.root,))[0]
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror or error}); fetch it again") from error
    empty = igram == 0
    for path, values, what, unit in (
        (phase, np.angle(igram), "wrapped phase", "radian"),
        (coherence, np.abs(igram), "coherence", ""),
    ):
        known = np.where(empty, np.nan, values).astype(np.float32)
        write_geotiff(path, known, stack.grid, nodata=math.nan, description=what, unit=unit)


def _metadata(stack: InterferogramStack, pairs: list[Pair]) -> dict[str, Any]:
    """Return what the rasters cannot say."""
    told: dict[str, Any] = {"wavelength_m": stack.wavelength, "track": stack.track, "made_of": stack.product}
    if stack.look is not None:
        told |= {
            "heading_deg": stack.look.heading,
            "incidence_deg": stack.look.incidence,
            "right_looking": stack.look.right_looking,
        }
    told["perpendicular_baselines_m"] = {
        pair.name: round(float(pair.perpendicular_baseline), 3)
        for pair in pairs
        if pair.perpendicular_baseline is not None
    }
    return told


def _claim(folder: Path, told: dict[str, Any]) -> None:
    """Begin a folder, or go on in one that holds the same.

    Raises
    ------
    OutputError
        If it holds something else.
    """
    path = folder / _METADATA
    if folder.exists() and any(folder.iterdir()):
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            found = None
        same = isinstance(found, dict) and all(found.get(k) == told[k] for k in ("track", "made_of", "wavelength_m"))
        if not same:
            raise OutputError(f"{folder}: holds something else; choose another output folder, or empty this one")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, yaml.safe_dump(told, sort_keys=False))
