"""Sets of patches with masks, in the layout of ISSLIDE, from interferograms and polygons that somebody drew.

An interferogram whose patches are there is passed over, so that a run goes on where an earlier one stopped; a record
beside the set says what it is made of.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from groundshift import __version__
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, OutputError
from groundshift.io.atomic import write_text
from groundshift.io.isslide import PATCHES, PatchPlanes, is_written, write_patches
from groundshift.io.isslide_cut import Place, mask_on, window_of
from groundshift.types import MapGrid
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter, count_of
from groundshift.workflows.segment_zones import MakeSegmentsConfig, Zone, ZonePair, open_zones

__all__ = ["RECORD", "MadeSegments", "keep_record", "made_segments", "preview_segments", "run_segments", "write_zone"]

RECORD = "segments.yaml"
"""Says beside the set what it is made of."""


@dataclass(frozen=True)
class MadeSegments:
    """What the making of a set leaves."""

    folder: Path
    """Of the set itself."""
    zones: int
    interferograms: int
    """With patches."""
    patches: int
    made: int
    """Of the patches, how many this run made; the others were there."""
    quiet: int
    """Of those made, how many have an empty mask."""

    def facts(self) -> dict[str, Any]:
        """Return it for machines."""
        return {**self.__dict__, "folder": str(self.folder)}

    def tell(self, reporter: Reporter) -> None:
        """Say it in a line."""
        kept = self.patches - self.made
        there = f", {kept:,} were there already" if kept else ""
        noun = "patch" if self.made == 1 else "patches"
        reporter.say(f"{self.made:,} {noun} made, {self.quiet:,} of them quiet{there}: {self.folder}")


def run_segments(config: MakeSegmentsConfig, reporter: Reporter) -> MadeSegments:
    """Make a set of patches, or go on with one.

    Leaves `patches/`, the set itself, and `segments.yaml`.

    Raises
    ------
    GroundshiftError
        If an input or the polygons cannot be used at all, the folder holds a set of something else or cannot be
        written, or there is not a single patch. Single files that cannot be used are told and left out.
    """
    with claimed(config.output):
        zones = open_zones(config, reporter)
        keep_record(config.output, _record(config))
        made = quiet = 0
        root = config.output / PATCHES
        with reporter.bar("cutting patches", sum(len(zone.pairs) for zone in zones)) as advance:
            for zone in zones:
                new, still = write_zone(root, zone, reporter, advance)
                made, quiet = made + new, quiet + still
        return made_segments(root, len(zones), made, quiet)


def preview_segments(config: MakeSegmentsConfig, reporter: Reporter) -> dict[str, Any]:
    """Say what `run_segments` would do, without touching anything.

    Raises
    ------
    GroundshiftError
        As `run_segments` does.
    """
    zones = open_zones(config, reporter)
    counts = [(zone, len(zone.places)) for zone in zones]
    return {
        "folder": str(config.output / PATCHES),
        "zones": [f"{z.name}: {count_of(len(z.pairs), 'interferogram')}, {count_of(n, 'place')}" for z, n in counts],
        "delays": sorted({pair.delay for zone in zones for pair in zone.pairs}),
        "interferograms_there": sum(
            is_written(config.output / PATCHES, p.delay, z.name, p.dates) for z in zones for p in z.pairs
        ),
        "patches_at_most": sum(len(zone.pairs) * number for zone, number in counts),
    }


def write_zone(root: Path, zone: Zone, reporter: Reporter, advance: Callable[[], None]) -> tuple[int, int]:
    """Write the patches of all interferograms of a zone that are not there.

    Returns
    -------
    made, quiet
        How many patches were made, and how many of them have an empty mask.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    places = zone.places
    made = quiet = 0
    for pair in zone.pairs:
        if places and not is_written(root, pair.delay, zone.name, pair.dates):
            try:
                patches = _cut(pair, places)
            except (DamagedFileError, MissingFileError, NoDataError) as error:
                reporter.warn(f"{error}; {zone.name} {pair.dates} left out")
                patches = []
            if patches:
                write_patches(root, pair.delay, zone.name, pair.dates, patches)
            made += len(patches)
            quiet += sum(not planes.mask.any() for _, _, planes in patches if planes.mask is not None)
        advance()
    return made, quiet


def made_segments(root: Path, zones: int, made: int, quiet: int) -> MadeSegments:
    """Count what there is.

    Raises
    ------
    NoDataError
        If there is no patch.
    """
    there = [len(list(folder.glob("*.tif"))) for folder in root.glob("*/*/*/phase")]
    if not any(there):
        raise NoDataError(f"{root}: no patch was made; see that polygons and interferograms lie over each other")
    return MadeSegments(root, zones, len(there), sum(there), made, quiet)


def keep_record(folder: Path, record: dict[str, Any]) -> None:
    """Write what a set is made of, or stop where the folder holds one that is made of something else.

    Raises
    ------
    OutputError
        If it does, or the record cannot be written.
    DamagedFileError
        If there is a record that cannot be read.
    """
    path = folder / RECORD
    record = {"groundshift": __version__, **record}
    if path.exists():
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DamagedFileError(f"{path}: not a record of a set; choose another output folder") from error
        found = found if isinstance(found, dict) else {}
        names = sorted(name for name in {*found, *record} if found.get(name) != record.get(name))
        if names:
            raise OutputError(f"{folder}: holds a set of another {', '.join(names)}; choose another output folder")
    elif (folder / PATCHES).exists():
        raise OutputError(f"{folder}: holds patches and no {RECORD} that tells of what; choose another output folder")
    else:
        write_text(path, yaml.safe_dump(record, sort_keys=False))


def _record(config: MakeSegmentsConfig) -> dict[str, Any]:
    """Return what makes a set what it is."""
    told = config.model_dump(mode="json", exclude={"output", "inputs", "polygons"})
    inputs = [str(path.resolve()) for path in config.inputs]
    # Polygons are edited in place, so that the path tells little.
    if config.polygons is None or config.polygons.is_dir():
        homes = config.inputs if config.polygons is None else (config.polygons,)
        files = sorted(p for home in homes for kind in ("shp", "dbf") for p in home.rglob(f"*.{kind}"))
    else:
        files = [config.polygons]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return {"inputs": inputs, "polygons": digest.hexdigest()[:16], **told}


def _cut(pair: ZonePair, places: Sequence[Place]) -> list[tuple[str, MapGrid, PatchPlanes]]:
    """Cut the patches of one interferogram; places without any data are left out."""
    view = pair.read()
    mask = mask_on(view.grid, pair.movements)
    found = []
    for place in places:
        window = window_of(place, view.grid)
        if window is None:
            continue
        part = (window.rows, window.columns)
        if np.isfinite(view.wrapped[part]).any():
            planes = PatchPlanes(view.wrapped[part], view.coherence[part], mask[part])
            found.append((place.name, view.grid.cropped(window), planes))
    return found
