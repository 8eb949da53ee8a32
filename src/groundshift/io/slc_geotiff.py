"""Single-look images as plain complex GeoTIFFs: one raster for each date, the date in its name.

A raster is an image if its numbers are complex (also complex whole numbers), or if it has two bands of real numbers,
the real and the imaginary part, and says so: by band descriptions that begin with `real` and `imag`, or by the key
`flattened` in `metadata.yaml`. Rasters lie in the folder given or one level down. Each folder is a stack of its own,
and so is each burst that names in a folder tell (`T144-308029-IW1_20180702.tif`).

Beside the images: `metadata.yaml` as for interferograms (docs/geotiff-folder.md) with the key `flattened`; `dem.tif`;
`mask.tif` (0 or no data: not to be used); `lon.tif` and `lat.tif` for images in radar geometry; and, where the images
are not flattened, `<date>_path.tif`: the distance between satellite and terrain in metres, which may lack any number
that is the same for all dates (docs/slc-products.md).

Sign: a plain raster does not state one. The phase is taken as -4 pi / wavelength times the path, so that `reference *
conj(secondary)` grows when the ground moves away; this is what GAMMA, ISCE2 and SNAP write.

No data are 0, NaN, infinite values and the value of the nodata tag.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import GroundshiftError, MissingFileError, ProductError
from groundshift.io.agree import GridKey
from groundshift.io.dates import date_in_name, dates_in_name
from groundshift.io.families import Header, read_header
from groundshift.io.lonlat import LOOKUP, read_radar_grid
from groundshift.io.metadata import FolderMetadata, read_metadata
from groundshift.io.rasters import read_band
from groundshift.io.slc import ReadPath, SlcStack
from groundshift.io.slc_agree import FoundSlc, open_bursts, settle_dates, split_burst
from groundshift.io.stack import Problem
from groundshift.types import Grid, MapGrid, Window

__all__ = ["PRODUCT", "open_slcs", "recognises"]

PRODUCT = "geotiff"

_METADATA, _TERRAIN, _MASK, _PATH = "metadata.yaml", "dem.tif", "mask.tif", "_path.tif"
_FLOAT32_METRES = 1000.0
"""Longer paths are rounded by more than a fiftieth of a radian in float32."""


class _Named(NamedTuple):
    """A raster whose name holds one date."""

    file: Path
    burst: str | None
    day: date


class _Source(NamedTuple):
    """What one date is read from."""

    file: Path
    two_bands: bool
    nodata: float | None
    path: Path | None = None


def recognises(path: Path) -> bool:
    """Whether a complex raster with one date in its name is at `path`; opens no more than headers."""
    told: dict[Path, bool | None] = {}
    for named in _named(path):
        folder = named.file.parent
        if folder not in told:
            told[folder] = None
            with suppress(GroundshiftError):
                told[folder] = _flattened(_metadata_file(path, folder))
        with suppress(GroundshiftError):
            if _is_image(named.file, read_header(named.file), told[folder]):
                return True
    return False


def open_slcs(path: Path, *, strict: bool = False) -> list[SlcStack]:
    """Open the stacks of a folder of complex GeoTIFFs.

    Returns
    -------
    list of SlcStack
        One for each folder, or burst that names tell; by their names.

    Raises
    ------
    ProductError
        If images are not flattened and have no paths, have no place on Earth, `metadata.yaml` holds what it cannot
        hold, or `strict` and an image would be skipped.
    NoDataError
        If no stack has two usable images; the line is that of the first reason.
    """
    groups: defaultdict[str | Path, list[_Named]] = defaultdict(list)
    for named in _named(path):
        groups[named.burst or named.file.parent].append(named)
    openers: dict[str, Callable[[], SlcStack]] = {}
    strays: list[Problem] = []
    for members in groups.values():
        folder = members[0].file.parent
        told = _metadata_file(path, folder)
        headers: dict[Path, Header] = {}
        problems: list[Problem] = []
        for named in members:
            try:
                header = read_header(named.file)
            except GroundshiftError as error:
                problems.append(Problem(named.file, str(error)))
                continue
            if _is_image(named.file, header, _flattened(told)):
                headers[named.file] = header
        if not headers:
            strays += problems
            continue
        metadata = read_metadata(told) if told is not None else FolderMetadata()
        own = metadata.track if told is not None and told.parent == folder else None
        track = members[0].burst or own or folder.resolve().name
        track = f"{track}-{folder.name}" if track in openers else track
        images = [(named, headers[named.file]) for named in members if named.file in headers]
        openers[track] = partial(_open_one, path, track, folder, images, metadata, told, problems, strict)
    return open_bursts(path, openers, strict, strays)


def _open_one(
    root: Path,
    track: str,
    folder: Path,
    images: Sequence[tuple[_Named, Header]],
    metadata: FolderMetadata,
    told: Path | None,
    problems: Sequence[Problem],
    strict: bool,
) -> SlcStack:
    """Open the images of one folder or burst."""
    every = list(problems)
    notes: list[Problem] = []
    with_path = _with_path(folder, [named for named, _ in images], told, notes)
    found: list[FoundSlc] = []
    sources: dict[Path, _Source] = {}
    headers = {named.file: header for named, header in images}
    for named, header in images:
        source = _Source(named.file, header.bands == 2, header.nodata)
        try:
            if header.transform.b or header.transform.d:
                raise ProductError(f"{named.file}: the raster is rotated; bring it to a north-up grid with gdalwarp")
            if with_path:
                source = source._replace(path=_path_of(named, header))
        except GroundshiftError as error:
            every.append(Problem(named.file, str(error)))
            continue
        files = (named.file,) if source.path is None else (named.file, source.path)
        place = (*(round(float(v), 9) for v in header.transform[:6]), header.crs)
        found.append(FoundSlc(named.day, files, GridKey(header.shape, place)))
        sources[named.file] = source
    kept, _, settled = settle_dates(root, found, every, strict)
    read = {day: sources[files[0]] for day, files in kept.items()}
    first = headers[next(iter(read.values())).file]
    fits = {name: _fits(folder / name, first, notes) for name in (_MASK, _TERRAIN)}
    return SlcStack(
        product=PRODUCT,
        root=root,
        track=track,
        dates=tuple(kept),
        grid=_grid(folder, first),
        wavelength=_wavelength(root, metadata, first, notes),
        read_date=partial(_read, read),
        look=metadata.look,
        baselines=_baselines(metadata.baselines, tuple(kept)),
        read_path=_path_reader(read, next(iter(kept))),
        read_mask=partial(_read_mask, folder / _MASK) if fits[_MASK] else None,
        read_height=partial(_read_height, folder / _TERRAIN) if fits[_TERRAIN] else None,
        problems=(*settled, *notes),
        files=kept,
    )


def _named(path: Path) -> Iterator[_Named]:
    """Yield the GeoTIFFs at `path`, or one level down, with one date in their names, in order of their names."""
    given = (found for depth in ("*", "*/*") for found in sorted(path.glob(depth))) if path.is_dir() else [path]
    for file in given:
        if file.suffix.lower() not in (".tif", ".tiff") or file.name.lower().endswith(_PATH):
            continue
        burst, rest = split_burst(file.stem)
        two, day = dates_in_name(rest), date_in_name(rest)
        # The time of an acquisition may be given by its start and its end.
        if day is not None and (two is None or two[0] == two[1]):
            yield _Named(file, burst, day)


def _is_image(file: Path, header: Header, flattened: bool | None) -> bool:
    """Whether a raster is complex: of its type, or two bands that say so."""
    if header.dtype.startswith("complex"):
        return header.bands == 1
    if header.bands != 2:
        return False
    if flattened is not None:
        return True
    with suppress(RasterioError), rasterio.open(file) as source:
        real, imaginary = ((text or "").lower() for text in source.descriptions)
        return real.startswith("real") and imaginary.startswith("imag")
    return False


def _metadata_file(root: Path, folder: Path) -> Path | None:
    """Return the metadata of a folder of images: beside them, else in the folder given."""
    places = (folder, root) if root.is_dir() else (folder,)
    return next((place / _METADATA for place in places if (place / _METADATA).is_file()), None)


def _flattened(told: Path | None) -> bool | None:
    """Return whether `metadata.yaml` says that the path is out of the phase; None where it does not say."""
    if told is None:
        return None
    read_metadata(told)
    found = (yaml.safe_load(told.read_text(encoding="utf-8")) or {}).get("flattened")
    if found is not None and not isinstance(found, bool):
        raise ProductError(f"{told}: flattened must be true or false, instead got {found!r}; write one of them")
    return found


def _with_path(folder: Path, images: Sequence[_Named], told: Path | None, notes: list[Problem]) -> bool:
    """Whether the path is still in the phase, and given."""
    flattened = _flattened(told)
    given = any(_path_file(named).is_file() for named in images)
    if flattened is False and not given:
        raise ProductError(
            f"{told}: flattened is false, but there is no {_path_file(images[0]).name}; write the distance to the "
            "terrain in metres beside each image, or flatten the images"
        )
    if flattened is None and not given:
        text = (
            f"{folder}: nothing says whether the path to the terrain is out of the phase, taken as out; say flattened: "
            f"true or false in {_METADATA}"
        )
        notes.append(Problem(folder, text, skipped=False))
    return given and not flattened


def _path_file(named: _Named) -> Path:
    """Return where the path of a date is: beside the image, by its date and burst."""
    burst = f"{named.burst}_" if named.burst else ""
    return named.file.with_name(f"{burst}{named.day:%Y%m%d}{_PATH}")


def _path_of(named: _Named, header: Header) -> Path:
    """Return the raster with the path of a date, or say that there is none on the grid of the image."""
    path = _path_file(named)
    if not path.is_file():
        raise MissingFileError(f"{named.file}: no {path.name} beside it, as the others have; restore it")
    found = read_header(path)
    if found.shape != header.shape:
        raise ProductError(f"{path}: not on the grid of {named.file.name}; bring it to that grid")
    if found.dtype == "float32":
        middle = Window(found.shape[0] // 2, found.shape[1] // 2, 1, 1)
        metres = abs(float(read_band(path, middle)[0, 0]))
        if metres > _FLOAT32_METRES:
            raise ProductError(
                f"{path}: float32 cannot hold {metres:.0f} m to a tenth of a millimetre; write float64, or take the "
                "distance of one date from all"
            )
    return path


def _grid(folder: Path, header: Header) -> Grid:
    """Return the grid of the images: their map, else that of the longitude and latitude beside them."""
    if header.crs:
        return MapGrid(header.shape, header.transform, header.crs)
    grid = read_radar_grid(folder, header.shape)
    if grid is None:
        raise ProductError(
            f"{folder}: images without a coordinate system and without {' and '.join(LOOKUP)}; add both, with degrees "
            "at pixel centres, or assign a coordinate system with gdal_edit -a_srs"
        )
    return grid


def _fits(file: Path, image: Header, notes: list[Problem]) -> bool:
    """Whether there is a raster beside the images, on their grid; say so where it is on another."""
    if not file.is_file():
        return False
    try:
        header = read_header(file)
        near = 0.01 * max(abs(image.transform.a), abs(image.transform.e))
        elsewhere = bool(header.crs and image.crs) and (
            header.crs != image.crs or not np.allclose(header.transform[:6], image.transform[:6], rtol=0, atol=near)
        )
        if header.shape != image.shape or elsewhere:
            raise ProductError(f"{file}: not on the grid of the images, it is not read; bring it to that grid")
    except GroundshiftError as error:
        notes.append(Problem(file, str(error), skipped=False))
        return False
    return True


def _wavelength(root: Path, metadata: FolderMetadata, header: Header, notes: list[Problem]) -> float:
    """Return the wavelength in metres: as told, of a tag, or of Sentinel-1 with a note."""
    if metadata.wavelength is not None:
        return metadata.wavelength
    for name in ("WAVELENGTH_METRES", "WAVELENGTH"):
        with suppress(ValueError):
            value = float(header.tags.get(name, ""))
            if 0.001 < value < 2:
                return value
    text = f"{root}: nothing tells the wavelength, taken as Sentinel-1's 0.0555 m; give it in {_METADATA}"
    notes.append(Problem(root, text, skipped=False))
    return SENTINEL1_WAVELENGTH


def _baselines(pairs: Mapping[str, float], dates: Sequence[date]) -> dict[date, float]:
    """Follow the baselines of pairs from the first date to as many others as they reach."""
    known = {dates[0]: 0.0}
    steps = [
        (date.fromisoformat(name[:8]), date.fromisoformat(name[9:]), metres) for name, metres in sorted(pairs.items())
    ]
    grown = True
    while grown:
        grown = False
        for first, second, metres in steps:
            if first in known and second not in known:
                known[second], grown = known[first] + metres, True
            elif second in known and first not in known:
                known[first], grown = known[second] - metres, True
    return {day: known[day] for day in dates if day in known}


def _read(sources: Mapping[date, _Source], day: date, window: Window) -> NDArray[np.complex64]:
    """Read one date over a window."""
    source = sources[day]
    values = read_band(source.file, window)
    known = _measured(values, source.nodata)
    if source.two_bands:
        imaginary = read_band(source.file, window, 2)
        known &= _measured(imaginary, source.nodata)
        image = np.empty(values.shape, np.complex64)
        image.real, image.imag = values, imaginary
    else:
        with np.errstate(over="ignore"):
            image = values.astype(np.complex64, copy=False)
        known &= np.isfinite(image)
    image[~known] = 0
    return image


def _measured(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return where values are finite and not the nodata value."""
    measured: NDArray[np.bool_] = np.isfinite(values)
    if nodata is not None and np.isfinite(nodata):
        measured &= values != nodata
    return measured


def _path_reader(sources: Mapping[date, _Source], first: date) -> ReadPath | None:
    """Return a reader of paths less that of the first date, or None where the phase has none."""
    paths = {day: source.path for day, source in sources.items() if source.path is not None}
    return partial(_read_path, paths, first) if paths else None


def _read_path(paths: Mapping[date, Path], first: date, day: date, window: Window) -> NDArray[np.float64]:
    """Read the path of a date less that of the first, metres, NaN where unknown."""
    return _known(paths[day], window) - _known(paths[first], window)


def _known(file: Path, window: Window) -> NDArray[np.float64]:
    """Read a raster of real numbers, NaN where unknown."""
    values = read_band(file, window)
    return np.where(_measured(values, read_header(file).nodata), values, np.nan).astype(np.float64)


def _read_mask(file: Path, window: Window) -> NDArray[np.bool_]:
    """Read which pixels may be used."""
    values = _known(file, window)
    return np.asarray(np.isfinite(values) & (values != 0))


def _read_height(file: Path, window: Window) -> NDArray[np.float32]:
    """Read heights in metres, NaN where unknown."""
    return _known(file, window).astype(np.float32)
