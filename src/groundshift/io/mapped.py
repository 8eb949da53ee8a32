"""Products with a GeoTIFF of phase and one of coherence for each pair, on a map.

Their grids may differ by whole pixels at the edges, as those of HyP3 do; what all of them cover is then read.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.io.agree import Found, GridKey, settle_on_grid
from groundshift.io.estimate import consistent_igram
from groundshift.io.plausible import usable_phase
from groundshift.io.rasters import polar, read_band
from groundshift.io.stack import CoherenceSource, Problem, ReadHeight
from groundshift.types import LookGeometry, MapGrid, Pair, Window

__all__ = ["Mapped", "MappedPair", "Raster", "centre_mean", "heights_on", "join_coherence", "look_from", "settle_maps"]

_LEAST_OVERLAP = 0.5
"""A pair that covers less than this share of what most pairs cover is left out rather than shrink the stack to it."""
_SAMPLE = 64
"""Rows and columns around the centre that geometry is taken from."""


class Raster(NamedTuple):
    """One band on a map."""

    path: Path
    grid: MapGrid
    nodata: float | None

    @classmethod
    def open(cls, path: Path) -> "Raster":
        """Read where a raster lies, and whether its file is whole.

        Raises
        ------
        MissingFileError, DamagedFileError
            If it is not there, cannot be decoded, ends too early, or does not lie north-up on a map.
        """
        if not path.exists():
            raise MissingFileError(f"{path}: no such file; restore it or remove its companions")
        try:
            with rasterio.open(path) as source:
                if source.crs is None or source.transform.b or source.transform.d:
                    raise DamagedFileError(f"{path}: not on a north-up map; fetch the file again")
                if _ends_early(source, path.stat().st_size):
                    raise DamagedFileError(f"{path}: the file is truncated; fetch it again")
                grid = MapGrid((source.height, source.width), source.transform, source.crs.to_string())
                return cls(path, grid, source.nodata)
        except RasterioError as error:
            raise DamagedFileError(f"{path}: not a readable raster; fetch the file again") from error

    def read(self, window: Window, shift: tuple[int, int] = (0, 0)) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values over a window of a grid that lies `shift` rows and columns inside, and where they are data."""
        values = read_band(self.path, Window(window.y + shift[0], window.x + shift[1], window.height, window.width))
        valid: NDArray[np.bool_] = np.isfinite(values)
        if self.nodata is not None and math.isfinite(self.nodata):
            valid &= values != self.nodata
        return values, valid


class MappedPair(NamedTuple):
    """The rasters of one pair."""

    pair: Pair
    phase: Raster
    coherence: Raster | None = None


class Mapped(NamedTuple):
    """The pairs that share a map, and how they are read."""

    pairs: dict[Pair, MappedPair]
    grid: MapGrid
    coherence_source: CoherenceSource
    problems: tuple[Problem, ...]

    @property
    def files(self) -> dict[Pair, tuple[Path, ...]]:
        """The files of each pair."""
        return {pair: _files(one) for pair, one in self.pairs.items()}

    def read(self, pair: Pair, window: Window) -> NDArray[np.complex64]:
        """Read one pair over a window of the common grid; phase 0 is no data."""
        one = self.pairs[pair]
        shift = _shift(one.phase.grid, self.grid) or (0, 0)
        read_phase = partial(_read_phase, one.phase, shift)
        if one.coherence is None:
            return consistent_igram(read_phase, window, self.grid.shape)
        phase, valid = read_phase(window)
        raw, known = one.coherence.read(window, shift)
        coherence = raw.astype(np.float32) / np.float32(255 if raw.dtype == np.uint8 else 1)
        return polar(coherence, phase, valid & known)


def join_coherence(
    phases: Sequence[tuple[Pair, Path]], coherence: dict[Path, Path], suffix: str, problems: list[Problem]
) -> list[MappedPair]:
    """Open the rasters of each pair; what cannot be used is added to `problems`.

    Parameters
    ----------
    phases : sequence of (pair, path)
        Phase rasters.
    coherence : dict
        Coherence rasters by phase raster. If no pair has one, the coherence is estimated; if some have, the others
        are left out.
    suffix : str
        How the name of a coherence raster ends, for the message.
    problems : list of Problem
        Added to.
    """
    joined: list[MappedPair] = []
    for pair, path in phases:
        other = coherence.get(path)
        if coherence and other is None:
            line = f"{path}: no {suffix} beside it, but other pairs have one; restore it or remove this pair"
            problems.append(Problem(path, line))
            continue
        culprit = path
        try:
            phase = Raster.open(path)
            read_phase, wrapped = partial(_read_phase, phase, (0, 0)), "unw" not in path.name
            if not usable_phase(path, read_phase, phase.grid.shape, problems, wrapped_expected=wrapped):
                continue
            if other is None:
                joined.append(MappedPair(pair, phase))
                continue
            culprit = other
            second = Raster.open(other)
            if second.grid.shape != phase.grid.shape or _shift(second.grid, phase.grid) != (0, 0):
                raise ProductError(f"{other}: not on the grid of {path.name}; fetch both again")
        except GroundshiftError as error:
            problems.append(Problem(culprit, str(error)))
            continue
        joined.append(MappedPair(pair, phase, second))
    return joined


def settle_maps(
    root: Path, pairs: Sequence[MappedPair], problems: Sequence[Problem], *, strict: bool, crop: bool
) -> Mapped:
    """Bring pairs to one grid: the most common one, or what all cover if `crop`.

    Raises
    ------
    ProductError
        If `strict` and a pair was skipped.
    NoDataError
        If no pair is left; the line is that of the first problem.
    """
    every = list(problems)
    kept = _on_most_common(pairs, every) if pairs else []
    grid = kept[0].phase.grid if kept else None
    if crop and grid is not None:
        kept, grid = _what_all_cover(kept, every)
    elif grid is not None:
        grid, same = _most_common_extent(kept)
        paths = {one.phase.path for one in same}
        for one in kept:
            if one.phase.path not in paths:
                line = (
                    f"{one.phase.path}: {_size(one.phase.grid)} pixels do not cover what the {_size(grid)} of the "
                    "other pairs do; fetch it again or remove it"
                )
                every.append(Problem(one.phase.path, line))
        kept = same
    key = GridKey(grid.shape if grid is not None else (0, 0))
    by_phase = {one.phase.path: one for one in kept}
    files, _, settled = settle_on_grid(root, [Found(one.pair, _files(one), key) for one in kept], every, strict)
    chosen = {pair: by_phase[paths[0]] for pair, paths in files.items()}
    estimated = all(one.coherence is None for one in chosen.values())
    return Mapped(chosen, grid or kept[0].phase.grid, "estimated" if estimated else "product", settled)


def centre_mean(raster: Raster, grid: MapGrid) -> float | None:
    """Return the mean of the valid, non-zero values around the centre of `grid`, or None.

    Where the centre has no data, the mean of all of the raster, thinned out.
    """
    shift = _shift(raster.grid, grid)
    height, width = min(_SAMPLE, grid.shape[0]), min(_SAMPLE, grid.shape[1])
    window = Window((grid.shape[0] - height) // 2, (grid.shape[1] - width) // 2, height, width)
    if shift is not None and _covers(raster.grid, grid, shift):
        values, valid = raster.read(window, shift)
        valid &= values != 0
        if valid.any():
            return float(values[valid].mean(dtype=np.float64))
    rows, columns = raster.grid.shape
    with rasterio.open(raster.path) as source:
        thinned = source.read(1, out_shape=(min(rows, 256), min(columns, 256)))
    good = thinned[np.isfinite(thinned) & (thinned != 0)]
    return float(good.mean(dtype=np.float64)) if good.size else None


def look_from(east: float, north: float, up: float) -> LookGeometry:
    """Return the geometry of a right-looking satellite that is seen in this direction from the ground.

    Examples
    --------
    >>> look = look_from(*LookGeometry(heading=190.0, incidence=39.0).to_satellite)
    >>> round(look.heading), round(look.incidence)
    (190, 39)
    """
    length = math.sqrt(east**2 + north**2 + up**2)
    heading = math.degrees(math.atan2(north, -east)) % 360
    return LookGeometry(heading, math.degrees(math.acos(min(abs(up) / length, 1.0))))


def heights_on(raster: Raster, grid: MapGrid) -> ReadHeight:
    """Return a reader of heights over windows of `grid`.

    Raises
    ------
    ProductError
        If the raster does not cover the grid, pixel upon pixel.
    """
    shift = _shift(raster.grid, grid)
    if shift is None or not _covers(raster.grid, grid, shift):
        raise ProductError(
            f"{raster.path}: does not cover the pairs pixel upon pixel, heights are not read; fetch it again"
        )
    return partial(_read_height, raster, shift)


def _read_height(raster: Raster, shift: tuple[int, int], window: Window) -> NDArray[np.float32]:
    """Read heights in metres, NaN where unknown."""
    values, valid = raster.read(window, shift)
    return np.where(valid, values, np.nan).astype(np.float32)


def _read_phase(
    raster: Raster, shift: tuple[int, int], window: Window
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read phase in radians, and where there is any."""
    values, valid = raster.read(window, shift)
    valid &= values != 0
    return np.where(valid, values, 0).astype(np.float32), valid


def _files(one: MappedPair) -> tuple[Path, ...]:
    """Return the files of a pair, phase first."""
    return (one.phase.path,) if one.coherence is None else (one.phase.path, one.coherence.path)


def _shift(grid: MapGrid, inner: MapGrid) -> tuple[int, int] | None:
    """Return how many rows and columns `inner` starts inside `grid`, or None if their pixels do not coincide."""
    a, b = grid.transform, inner.transform
    if grid.crs != inner.crs:
        return None
    reach = max(*grid.shape, *inner.shape)
    if abs(a.a - b.a) * reach > 0.01 * abs(a.a) or abs(a.e - b.e) * reach > 0.01 * abs(a.e):
        return None
    dy, dx = (b.f - a.f) / a.e, (b.c - a.c) / a.a
    if abs(dy - round(dy)) > 0.01 or abs(dx - round(dx)) > 0.01:
        return None
    return round(dy), round(dx)


def _covers(grid: MapGrid, inner: MapGrid, shift: tuple[int, int]) -> bool:
    """Whether `grid` holds all pixels of `inner`, which starts `shift` inside."""
    return all(s >= 0 and s + n <= m for s, n, m in zip(shift, inner.shape, grid.shape, strict=True))


def _on_most_common(pairs: Sequence[MappedPair], problems: list[Problem]) -> list[MappedPair]:
    """Keep the pairs whose pixels coincide with those of most others."""
    groups: list[list[MappedPair]] = []
    for one in sorted(pairs, key=lambda p: (p.pair.name, p.phase.path)):
        for group in groups:
            if _shift(group[0].phase.grid, one.phase.grid) is not None:
                group.append(one)
                break
        else:
            groups.append([one])
    groups.sort(key=len, reverse=True)
    for group in groups[1:]:
        for one in group:
            line = f"{one.phase.path}: pixels lie between those of the other pairs; bring it to their grid or remove it"
            problems.append(Problem(one.phase.path, line))
    return groups[0]


def _most_common_extent(pairs: Sequence[MappedPair]) -> tuple[MapGrid, list[MappedPair]]:
    """Return the extent that most pairs have, and those pairs."""
    first = pairs[0].phase.grid
    extents = [(_shift(first, one.phase.grid), one.phase.grid.shape) for one in pairs]
    most = Counter(extents).most_common(1)[0][0]
    same = [one for one, extent in zip(pairs, extents, strict=True) if extent == most]
    return same[0].phase.grid, same


def _what_all_cover(pairs: Sequence[MappedPair], problems: list[Problem]) -> tuple[list[MappedPair], MapGrid]:
    """Cut to the pixels that all pairs have, leaving out pairs that have too few of them."""
    usual, _ = _most_common_extent(pairs)
    kept: list[MappedPair] = []
    top, left, bottom, right = 0, 0, *usual.shape
    for one in pairs:
        shift = _shift(usual, one.phase.grid) or (0, 0)
        rows = min(usual.shape[0], shift[0] + one.phase.grid.shape[0]) - max(0, shift[0])
        columns = min(usual.shape[1], shift[1] + one.phase.grid.shape[1]) - max(0, shift[1])
        share = max(rows, 0) * max(columns, 0) / math.prod(usual.shape)
        if share < _LEAST_OVERLAP:
            line = (
                f"{one.phase.path}: covers only {share:.0%} of the area of the other pairs; "
                "put each burst or frame into its own folder"
            )
            problems.append(Problem(one.phase.path, line))
            continue
        kept.append(one)
        top, left = max(top, shift[0]), max(left, shift[1])
        bottom = min(bottom, shift[0] + one.phase.grid.shape[0])
        right = min(right, shift[1] + one.phase.grid.shape[1])
    return kept, usual.cropped(Window(top, left, bottom - top, right - left))


def _size(grid: MapGrid) -> str:
    """Return rows x columns."""
    return f"{grid.shape[0]} x {grid.shape[1]}"


def _ends_early(source: Any, size: int) -> bool:
    """Whether blocks of the first or last row of a TIFF lie beyond the end of its file."""
    height, width = source.block_shapes[0]
    last = (source.height - 1) // height
    for across in range((source.width - 1) // width + 1):
        for down in {0, last}:
            offset = source.get_tag_item(f"BLOCK_OFFSET_{across}_{down}", "TIFF", bidx=1)
            length = source.get_tag_item(f"BLOCK_SIZE_{across}_{down}", "TIFF", bidx=1)
            if offset and length and int(offset) + int(length) > size:
                return True
    return False
