"""Which GeoTIFF of a folder is what: kinds, pairs and families told from names, and what a raster says of itself."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import rasterio
from affine import Affine
from rasterio.errors import RasterioError

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.io.dates import date_in_name, dates_in_name, pair_in_name
from groundshift.io.stack import Problem
from groundshift.types import Pair

__all__ = ["Header", "NamedRaster", "choose_coherence", "choose_phase", "find_rasters", "names_a_phase", "read_header"]

_OTHER = {"conncomp", "dem", "hgt", "height", "mask", "amp", "mli", "inc", "lv", "disp", "displacement", "vel"}
_OTHER |= {"velocity", "offset", "offsets", "snr", "bperp", "water", "shadow", "std", "sigma", "browse"}
_COHERENCE = {"cc", "cor", "corr", "correlation"}
_WRAPPED = {"phase", "pha", "phs", "diff", "int", "ifg", "intf", "ifgram"}
_COMPANION = re.compile(r"dem$|truth(?![a-z])")
"""Terrain and simulated truth (docs/geotiff-folder.md), whatever dates the folder's name holds."""
_DATES = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[A-Za-z]{3}\d{4}|\d{6,}(?:[Tt]\d{4,6}[Zz]?)?")
_ORDER = ("complex", "wrapped", "unwrapped", "unknown")
"""Which phase is taken first; "unknown" is a raster of real numbers whose name holds nothing but dates."""


class Header(NamedTuple):
    """What a raster says of itself."""

    shape: tuple[int, int]
    transform: Affine
    crs: str
    nodata: float | None
    dtype: str
    bands: int
    tags: dict[str, str]


class NamedRaster(NamedTuple):
    """A raster of one pair; `family` is its name with the dates taken out."""

    path: Path
    kind: str
    pair: Pair
    family: str


def find_rasters(
    path: Path, pattern: str | None, headers: dict[Path, Header], problems: list[Problem]
) -> Iterator[NamedRaster]:
    """Yield the rasters of a folder that name a pair; headers of all but coherence are kept in `headers`."""
    root = path if path.is_dir() else path.parent
    search = _compiled(pattern)
    for tif in _tifs(path):
        below = tif.relative_to(root).as_posix()
        match = search.search(below) if search else None
        kind = _kind(tif)
        if pattern is not None and kind != "coherence":
            if match is None and (search is not None or not fnmatch(tif.name, pattern)):
                continue
            kind = "wrapped" if kind == "other" else kind
        if kind == "other":
            continue
        try:
            pair = _pair_of_groups(match) if match is not None else pair_in_name(_dated(root, tif))
        except ProductError as error:
            # The coherence of such a pair is not used without its phase, which says the same.
            if kind != "coherence":
                problems.append(Problem(tif, f"{tif}: {error}"))
            continue
        if pair is None:
            continue
        if kind != "coherence":
            try:
                header = read_header(tif)
            except GroundshiftError as error:
                problems.append(Problem(tif, str(error)))
                continue
            if header.dtype.startswith("complex"):
                kind = "complex"
            elif kind == "unknown" and (header.bands != 1 or not header.dtype.startswith("float")):
                continue
            headers[tif] = header
            if header.transform.b or header.transform.d:
                problems.append(
                    Problem(tif, f"{tif}: the raster is rotated; bring it to a north-up grid with gdalwarp")
                )
                continue
        yield NamedRaster(tif, kind, pair, _DATES.sub("*", below))


def choose_phase(path: Path, rasters: Sequence[NamedRaster], problems: list[Problem]) -> dict[Pair, NamedRaster]:
    """Take one phase raster for each pair, or say which are too many."""
    by_pair: dict[Pair, list[NamedRaster]] = defaultdict(list)
    for raster in rasters:
        by_pair[raster.pair].append(raster)
    for pair, several in by_pair.items():
        best = min(_ORDER.index(raster.kind) for raster in several)
        by_pair[pair] = [raster for raster in several if _ORDER.index(raster.kind) == best]
    families = Counter(raster.family for several in by_pair.values() for raster in several)
    chosen: dict[Pair, NamedRaster] = {}
    doubles: list[tuple[NamedRaster, NamedRaster]] = []
    for pair, several in by_pair.items():
        first, *others = sorted(several, key=lambda raster: (-families[raster.family], raster.path))
        chosen[pair] = first
        doubles += [(first, other) for other in others]
    if len(doubles) * 2 > len(chosen):
        one, two = doubles[0]
        raise ProductError(
            f"{path}: {one.path.name} and {two.path.name} both look like the phase of {one.pair.name}; choose one kind "
            f"with a pattern, such as {Path(one.family).name!r}"
        )
    for first, other in doubles:
        text = f"{other.path}: pair {other.pair.name} is already given by {first.path}; remove one"
        problems.append(Problem(other.path, text))
    return chosen


def choose_coherence(rasters: Sequence[NamedRaster]) -> dict[Pair, NamedRaster]:
    """Take one coherence raster for each pair, of the family that most pairs have."""
    families = Counter(raster.family for raster in rasters)
    in_order = sorted(rasters, key=lambda raster: (families[raster.family], raster.path))
    return {raster.pair: raster for raster in in_order}


def names_a_phase(path: Path) -> bool:
    """Whether a GeoTIFF with two dates in its name, neither coherence nor something else, is here or one level down."""
    root = path if path.is_dir() else path.parent
    return any(
        dates_in_name(_dated(root, tif)) is not None and _kind(tif) not in ("coherence", "other") for tif in _tifs(path)
    )


def _tifs(path: Path) -> list[Path]:
    """List the GeoTIFFs of a folder and of its folders, or the one file given; not those that never are of a pair."""
    given = sorted(found for depth in ("*", "*/*") for found in path.glob(depth)) if path.is_dir() else [path]
    return [tif for tif in given if tif.suffix.lower() in (".tif", ".tiff") and not _COMPANION.match(tif.stem.lower())]


def _dated(root: Path, tif: Path) -> str:
    """Return the text that holds the dates: the name of the raster, else its path below the folder given."""
    return tif.stem if dates_in_name(tif.stem) is not None else tif.relative_to(root).as_posix()


def _kind(tif: Path) -> str:
    """Tell from the parts of its name what a raster is; "unknown" where it does not say."""
    parts = [part for part in re.split(r"[^a-z]+", _DATES.sub(" ", tif.stem).lower()) if part]
    if any(part in _OTHER for part in parts):
        return "other"
    if any(part in _COHERENCE or part.startswith("coh") for part in parts):
        return "coherence"
    if any(part.startswith("unw") for part in parts):
        return "unwrapped"
    return "wrapped" if any(part in _WRAPPED or part.startswith("wrap") for part in parts) else "unknown"


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    """Return the regular expression that a pattern is, or None for a glob."""
    if pattern is None or "(?P<" not in pattern:
        return None
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise ProductError(f"pattern {pattern!r} is no regular expression: {error}") from error
    if not {"reference", "secondary"} <= set(search.groupindex):
        raise ProductError(f"pattern {pattern!r} must have the named groups 'reference' and 'secondary'")
    return search


def _pair_of_groups(match: re.Match[str]) -> Pair:
    """Return the pair that the groups `reference` and `secondary` name."""
    dates = [date_in_name(match[group] or "") for group in ("reference", "secondary")]
    if dates[0] is None or dates[1] is None:
        raise ProductError("the groups of the pattern hold no dates such as 20180702; mend the pattern")
    if dates[0] >= dates[1]:
        raise ProductError(
            f"dates {dates[0]} and {dates[1]} are the wrong way round; rename it if only the name is wrong"
        )
    return Pair(dates[0], dates[1])


def read_header(path: Path) -> Header:
    """Read what a raster says of itself."""
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions")
    try:
        with rasterio.open(path) as source:
            crs = source.crs.to_string() if source.crs else ""
            return Header(
                source.shape, source.transform, crs, source.nodata, source.dtypes[0], source.count, source.tags()
            )
    except RasterioError as error:
        raise DamagedFileError(f"{path}: not a readable raster; fetch the file again") from error
