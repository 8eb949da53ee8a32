"""Patches of interferograms with masks of the ground that moves, in the layout of the ISSLIDE data set.

::

    <root>/<delay>/<zone>/<dates>/phase/<moveId>_<k>.tif
    <root>/<delay>/<zone>/<dates>/coherence/<moveId>_<k>.tif
    <root>/<delay>/<zone>/Segmentations/<dates>/<moveId>_<k>.tif

`<delay>` is like `6days`, `<dates>` like `02Jul2018_08Jul2018`. A patch has one band of 100 x 100 pixels: phase in
radians, coherence from 0 to 1, mask 0 or 1. The same k is the same place at all dates and delays of a zone. A mask may
be empty: the ground was quiet then.

References
----------
[Bralet2024], section III.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, ProductError
from groundshift.io.atomic import atomic_path
from groundshift.io.dates import pair_in_name
from groundshift.io.stack import Problem
from groundshift.types import MapGrid, Pair

__all__ = [
    "PATCHES",
    "SIDE",
    "PatchPlanes",
    "SegmentPatch",
    "dates_text",
    "delay_text",
    "find_patches",
    "is_written",
    "read_patch",
    "read_patches",
    "write_patches",
]

SIDE = 100
"""Rows and columns of a patch."""
PATCHES = "patches"
"""Folder of the set itself in what `groundshift make-segments` leaves."""

_MASKS = "Segmentations"
_NAME = re.compile(r"(\d+)_(\d+)")
_LEFT_OUT = "30Oct"
"""The authors' loader passes over names that hold this."""
_SLACK = 1e-3
"""By which rounding may lead out of a range."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class SegmentPatch:
    """One patch of one interferogram."""

    path: Path
    """Of the phase."""
    delay: str
    zone: str
    dates: str
    move_id: int
    """Identifier of the movement in its middle."""
    place: int
    """Number k of the place in its zone."""
    has_mask: bool
    """Whether there is a mask, be it empty."""

    @property
    def pair(self) -> Pair:
        """Its two acquisitions."""
        found = pair_in_name(self.dates)
        if found is None:
            raise ProductError(f"{self.path}: {self.dates} is not two dates such as 02Jul2018_08Jul2018")
        return found

    @property
    def reference(self) -> date:
        """The earlier acquisition."""
        return self.pair.reference

    @property
    def secondary(self) -> date:
        """The later acquisition."""
        return self.pair.secondary

    @property
    def scene(self) -> str:
        """What shares ground and air with other patches: the zone."""
        return self.zone

    @property
    def coherence_path(self) -> Path:
        """Of the coherence."""
        return self.path.parent.parent / "coherence" / self.path.name

    @property
    def mask_path(self) -> Path:
        """Of the mask, whether it is there or not."""
        return self.path.parents[2] / _MASKS / self.dates / self.path.name


class PatchPlanes(NamedTuple):
    """What a patch holds; arrays (y, x)."""

    wrapped: NDArray[np.float32]
    """Radians; NaN without data."""
    coherence: NDArray[np.float32]
    """0 to 1; 0 without data."""
    mask: NDArray[np.bool_] | None
    """Where the ground moves; None where nobody has looked."""


def dates_text(pair: Pair) -> str:
    """Write a pair as the set does.

    Examples
    --------
    >>> dates_text(Pair(date(2018, 7, 2), date(2018, 7, 8)))
    '02Jul2018_08Jul2018'
    """
    return "_".join(f"{d.day:02d}{_MONTHS[d.month - 1]}{d.year}" for d in (pair.reference, pair.secondary))


def delay_text(pair: Pair) -> str:
    """Write the delay of a pair as the set does, such as `6days`."""
    return f"{pair.days}days"


def find_patches(root: Path, *, as_published: bool = False) -> tuple[list[SegmentPatch], list[Problem]]:
    """List the patches of a set.

    Parameters
    ----------
    root : path
        The folder that holds the delays, or one that `groundshift make-segments` wrote.
    as_published : bool
        Pass over interferograms whose name holds `30Oct`, as the authors' loader does.

    Returns
    -------
    patches, problems
        Patches in the order of delay, zone, dates (all as text, so that 02Aug comes before 31Jul), move and place; and
        one problem for each file or folder that is left out.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    NoDataError
        If it holds no usable patch; the line gives the first problem.
    """
    if not root.is_dir():
        raise MissingFileError(f"{root}: no such folder; check the spelling")
    home = root / PATCHES if (root / PATCHES).is_dir() else root
    patches: list[SegmentPatch] = []
    problems: list[Problem] = []
    for delay in _folders(home):
        for zone in _folders(delay):
            for folder in _folders(zone):
                if folder.name == _MASKS or (as_published and _LEFT_OUT in folder.name):
                    continue
                patches += _patches_of(folder, problems)
    if not patches:
        reason = f"first of {len(problems)}: {problems[0].message}" if problems else "no DELAY/ZONE/DATES/phase/*.tif"
        raise NoDataError(f"{root}: no usable patch; {reason}")
    patches.sort(key=lambda p: (p.delay, p.zone, p.dates, p.move_id, p.place))
    return patches, problems


def read_patch(patch: SegmentPatch) -> PatchPlanes:
    """Read the planes of a patch.

    Returns
    -------
    wrapped, coherence, mask
        (y, x) each. There are no data where phase or coherence is not finite or equals the file's no-data value, or
        where both are exactly 0, as SNAP writes it.

    Raises
    ------
    MissingFileError
        If a file is not there any more.
    DamagedFileError
        If a file cannot be read, has another size than 100 x 100, or holds no wrapped phase in radians, no coherence
        from 0 to 1, or a mask with other values than 0 and 1.
    """
    phase, coherence = _plane(patch.path), _plane(patch.coherence_path)
    known = np.isfinite(phase) & np.isfinite(coherence) & ~((phase == 0) & (coherence == 0))
    _check_range(patch.path, phase[known], "wrapped phase in radians", (-math.pi, math.pi))
    _check_range(patch.coherence_path, coherence[known], "coherence", (0, 1))
    mask = None
    if patch.has_mask:
        values = _plane(patch.mask_path)
        odd = values[~np.isin(values, (0, 1))]
        if odd.size:
            raise DamagedFileError(
                f"{patch.mask_path}: expected a mask of 0 and 1, instead got {odd[0]:g}; write it again as 0 and 1"
            )
        mask = values == 1
    return PatchPlanes(
        np.where(known, phase, np.float32(np.nan)), np.where(known, coherence, np.float32(0)).clip(0, 1), mask
    )


def read_patches(
    patches: Iterable[SegmentPatch], problems: list[Problem]
) -> Iterator[tuple[SegmentPatch, PatchPlanes]]:
    """Read patches one after the other; those that cannot be used are named in `problems` and left out."""
    for patch in patches:
        try:
            yield patch, read_patch(patch)
        except (MissingFileError, DamagedFileError) as error:
            problems.append(Problem(patch.path, str(error)))


def is_written(root: Path, delay: str, zone: str, dates: str) -> bool:
    """Whether the patches of an interferogram are there: `write_patches` gives their phase its name last."""
    return (root / delay / zone / dates / "phase").is_dir()


def write_patches(
    root: Path, delay: str, zone: str, dates: str, patches: Sequence[tuple[str, MapGrid, PatchPlanes]]
) -> None:
    """Write all patches of one interferogram; the three folders appear whole, that of the phase last.

    Parameters
    ----------
    root : path
        The folder that holds the delays.
    delay, zone, dates : str
    patches : sequence of (name, grid, planes)
        Name without suffix, `<moveId>_<k>`; pixels without data are written as NaN in phase and 0 in coherence.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    home = root / delay / zone
    with atomic_path(home / _MASKS / dates) as folder:
        folder.mkdir()
        for name, grid, planes in patches:
            if planes.mask is not None:
                _write(folder / f"{name}.tif", planes.mask.astype(np.uint8), grid)
    with atomic_path(home / dates / "coherence") as folder:
        folder.mkdir()
        for name, grid, planes in patches:
            _write(folder / f"{name}.tif", planes.coherence, grid)
    with atomic_path(home / dates / "phase") as folder:
        folder.mkdir()
        for name, grid, planes in patches:
            _write(folder / f"{name}.tif", planes.wrapped, grid)


def _patches_of(folder: Path, problems: list[Problem]) -> Iterator[SegmentPatch]:
    """Yield the usable patches of one interferogram."""
    try:
        pair = pair_in_name(folder.name)
    except ProductError as error:
        problems.append(Problem(folder, f"{folder}: {error}"))
        return
    if pair is None:
        problems.append(Problem(folder, f"{folder}: expected two dates such as 02Jul2018_08Jul2018; rename the folder"))
        return
    files = sorted((folder / "phase").glob("*.tif"))
    if not files:
        problems.append(Problem(folder, f"{folder / 'phase'}: no *.tif in it; put the phase here, or remove {folder}"))
    for file in files:
        name = _NAME.fullmatch(file.stem)
        if name is None:
            problems.append(Problem(file, f"{file}: expected a name such as 17_3.tif, movement and place; rename it"))
            continue
        masks = folder.parent / _MASKS / folder.name
        patch = SegmentPatch(
            file, folder.parent.parent.name, folder.parent.name, folder.name, int(name[1]), int(name[2]),
            (masks / file.name).is_file(),
        )  # fmt: skip
        try:
            if not patch.coherence_path.is_file():
                raise MissingFileError(f"{patch.coherence_path}: no such file; every phase needs its coherence")
            for path in (file, patch.coherence_path, *([patch.mask_path] if patch.has_mask else [])):
                _check_header(path)
        except (MissingFileError, DamagedFileError) as error:
            problems.append(Problem(file, str(error)))
            continue
        if not patch.has_mask and masks.is_dir():
            problems.append(Problem(file, f"{patch.mask_path}: no such file; the patch has no mask", skipped=False))
        yield patch


def _folders(place: Path) -> list[Path]:
    """List the folders of a place by name."""
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def _check_header(path: Path) -> None:
    """See that a file can be opened and has the size of a patch."""
    try:
        with rasterio.open(path) as source:
            found = (source.count, source.height, source.width)
    except RasterioError as error:
        raise DamagedFileError(f"{path}: not a readable raster; fetch the file again") from error
    if found != (1, SIDE, SIDE):
        shown = " x ".join(map(str, found))
        raise DamagedFileError(f"{path}: expected 1 x {SIDE} x {SIDE} pixels, instead got {shown}; cut it again")


def _plane(path: Path) -> NDArray[np.float32]:
    """Read the numbers of a patch, NaN for the no-data value."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions")
    try:
        with rasterio.open(path) as source:
            values = source.read(masked=True)
    except (RasterioError, OSError) as error:
        raise DamagedFileError(f"{path}: truncated or unreadable raster; fetch the file again") from error
    if values.shape != (1, SIDE, SIDE) or np.iscomplexobj(values):
        shown = " x ".join(map(str, values.shape))
        raise DamagedFileError(
            f"{path}: expected 1 x {SIDE} x {SIDE} real numbers, instead got {shown} of {values.dtype}; cut it again"
        )
    return np.asarray(values[0].astype(np.float32).filled(np.nan), np.float32)


def _check_range(path: Path, values: NDArray[np.float32], what: str, limits: tuple[float, float]) -> None:
    """See that values lie within limits, but for rounding."""
    if not values.size:
        return
    least, most = float(values.min()), float(values.max())
    if least < limits[0] - _SLACK or most > limits[1] + _SLACK:
        raise DamagedFileError(
            f"{path}: expected {what}, {limits[0]:.4g} to {limits[1]:.4g}, instead got {least:.4g} to {most:.4g}; "
            "convert it"
        )


def _write(path: Path, values: NDArray[Any], grid: MapGrid) -> None:
    """Write one patch."""
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": values.dtype.name, "compress": "deflate",
        "crs": grid.crs, "transform": grid.transform,
    }  # fmt: skip
    # Made in memory: GDAL does not tell when the disk fills up while it closes a file.
    with MemoryFile() as memory:  # type: ignore[no-untyped-call]  # rasterio leaves it unannotated
        with memory.open(**profile) as sink:
            sink.write(values, 1)
        path.write_bytes(memory.getbuffer())
