"""SNAP: stacks of co-registered single-look images in BEAM-DIMAP, `name.dim` with `name.data/`.

Given is a `.dim`, or a folder with one or more in it or one level down. Each `.dim` holds all dates or the reference
with one other; those in one folder belong together, swath by swath (`IW1`), unless the swaths are merged. Of each date
the bands `i_*` and `q_*` are read whose names end in `_ref_`, `_sec1_` (formerly `_mst_`, `_slv1_`) and the date; of
several polarisations the first of VV, HH, VH, HV.

Path: SNAP removes flat earth and topography while it forms interferograms, so in a stack both are still in the phase.
The path follows from the orbit state vectors of each date (those of the reference in `Abstracted_Metadata`, the others
in `Secondary_Metadata`, formerly `Slave_Metadata`) and from the ground of each pixel: the bands `orthorectifiedLat`,
`orthorectifiedLon` and `elevation`, in the stack or in another `.dim` of the same size beside it, such as an
interferogram whose topographic phase was removed. Tie points do not serve: they follow no single mountain, and neither
do elevations that were looked up by them. A stack without the three bands is refused.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import SENTINEL1_WAVELENGTH, SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, GroundshiftError, NoDataError, ProductError
from groundshift.geometry.orbits import Orbit, Paths, earth_fixed, perpendicular_baseline
from groundshift.io import snap
from groundshift.io.agree import GridKey
from groundshift.io.dates import date_in_name
from groundshift.io.dimap import Band, Dimap, read_dimap
from groundshift.io.flat import check_size, read_flat
from groundshift.io.plainxml import parse_xml
from groundshift.io.slc import SlcStack
from groundshift.io.slc_agree import FoundSlc, open_bursts, settle_dates
from groundshift.io.slc_place import grid_with_lookup, lattice_step
from groundshift.io.stack import Problem
from groundshift.types import Looks, RadarGrid, Window

__all__ = ["PRODUCT", "open_slcs", "recognises"]

PRODUCT = "snap"

_BAND = re.compile(r"i_(?:.*_)?(?P<role>mst|slv\d*|ref|sec\d*)_\d\d?[a-z]{3}\d{4}", re.IGNORECASE)
_SWATH = re.compile(r"(?:^|_)((?:IW|EW|S)\d)(?:_|$)", re.IGNORECASE)
_SECONDARY = ("Secondary_Metadata", "Slave_Metadata")
_GROUND = ("orthorectifiedLon", "orthorectifiedLat", "elevation")


class _Product(NamedTuple):
    """A `.dim` with the metadata of each of its passes."""

    dimap: Dimap
    passes: dict[date, Element]


class _Image(NamedTuple):
    """The bands of one date, real and imaginary part, and its orbit."""

    product: _Product
    day: date
    real: Band
    imaginary: Band
    orbit: Orbit


@dataclass(frozen=True)
class _Ground:
    """The bands of longitude, latitude and height."""

    bands: tuple[Band, Band, Band]

    def read(self, band: int, window: Window) -> NDArray[np.float64]:
        """Read one of the bands; NaN where it has no data."""
        one = self.bands[band]
        values = read_flat(one.image, one.layout, window).astype(np.float64)
        if one.nodata is not None:
            values[values == np.float32(one.nodata)] = np.nan
        return values

    def positions(self, window: Window) -> NDArray[np.float64]:
        """Return Earth-fixed positions over a window, (height, width, 3) metres; NaN where one band has no data."""
        lon, lat, height = (self.read(band, window) for band in range(3))
        lon[(lon == 0) & (lat == 0)] = np.nan
        return earth_fixed(lon, lat, height)

    def heights(self, window: Window) -> NDArray[np.float32]:
        """Return heights over a window in metres."""
        heights: NDArray[np.float32] = self.read(2, window).astype(np.float32)
        return heights

    def middle(self) -> NDArray[np.float64]:
        """Return the position of a pixel near the middle; raise NoDataError where none is known."""
        rows, columns = self.bands[0].layout.shape
        for row in sorted(range(rows), key=lambda row: abs(row - rows // 2)):
            line = self.positions(Window(row, 0, 1, columns))[0]
            known = np.flatnonzero(np.isfinite(line).all(axis=-1))
            if known.size:
                found: NDArray[np.float64] = line[known[np.argmin(np.abs(known - columns // 2))]]
                return found
        raise NoDataError(f"{self.bands[0].image}: no pixel with a place and a height; write the product again")

    def grid(self) -> RadarGrid:
        """Return the grid by the places of the pixels; raise NoDataError where there are not two neighbours."""
        shape = self.bands[0].layout.shape
        thin = lattice_step(shape)
        rows = [Window(row, 0, 1, shape[1]) for row in range(0, shape[0], thin)]
        lon, lat = (np.concatenate([self.read(band, row)[:, ::thin] for row in rows]) for band in (0, 1))
        lon[(lon == 0) & (lat == 0)] = np.nan
        grid = grid_with_lookup(shape, lon, lat, Looks(thin, thin), (0.0, 0.0))
        if grid is None:
            raise NoDataError(f"{self.bands[0].image}: no two neighbours with a place; write the product again")
        return grid


def recognises(path: Path) -> bool:
    """Whether a `.dim` with a `.data` folder that holds an image of a stack is here or one level down."""
    return any(
        _BAND.fullmatch(image.stem.strip()) and image.suffix in (".img", ".hdr")
        for dim in snap._dims(path)
        if dim.with_suffix(".data").is_dir()
        for image in dim.with_suffix(".data").iterdir()
    )


def open_slcs(path: Path, *, strict: bool = False) -> list[SlcStack]:
    """Open a `.dim`, or a folder of them.

    Raises
    ------
    ProductError
        If `strict` and an image would be skipped.
    NoDataError
        If no stack has two usable images and its ground.
    """
    problems: list[Problem] = []
    folders: dict[Path, list[_Product]] = defaultdict(list)
    for file in snap._dims(path):
        try:
            product = _Product(read_dimap(file), _passes(file))
        except GroundshiftError as error:
            problems.append(Problem(file, str(error)))
            continue
        if product.dimap.transform is None:
            folders[file.parent].append(product)
        elif _bands(product):
            line = (
                f"{file}: lies on a map, where the path to the ground is not known; give it before terrain correction"
            )
            problems.append(Problem(file, line))
    openers: dict[str, Callable[[], SlcStack]] = {}
    for folder, products in folders.items():
        swaths = _swaths(products)
        for swath in swaths:
            name = path.stem if path.is_file() else folder.resolve().name
            name = f"{name}_{swath}" if len(swaths) > 1 else name
            openers[name] = partial(_open, path, name, products, swath, tuple(problems), strict)
            problems = []
    if not openers:
        nothing = f"{path}: no images of a co-registered stack here (bands i_*_ref_*); give the folder of the .dim"
        raise NoDataError(problems[0].message if problems else nothing)
    return open_bursts(path, openers, strict)


def _open(
    root: Path, track: str, products: Sequence[_Product], swath: str, told: Sequence[Problem], strict: bool
) -> SlcStack:
    """Open the images of one swath of one folder."""
    problems = list(told)
    images = _images(products, swath, problems)
    found = [
        FoundSlc(one.day, (one.real.image, one.imaginary.image), GridKey(one.real.layout.shape, _place(one.product)))
        for one in images
    ]
    files, key, settled = settle_dates(root, found, problems, strict)
    by_file = {one.real.image: one for one in images}
    by_day = {day: by_file[those[0]] for day, those in files.items()}
    first = by_day[min(by_day)]
    header = first.product.dimap
    ground = _ground(header, products, key.shape)
    middle = ground.middle()
    baselines = {day: float(perpendicular_baseline(first.orbit, one.orbit, middle)) for day, one in by_day.items()}
    for day, value in baselines.items():
        if not math.isfinite(value):
            raise ProductError(
                f"{by_day[day].product.dimap.path}: the state vectors of {day} end before the image; apply the orbit "
                "file and write the product again"
            )
    notes: list[Problem] = []
    frequency = header.number("radar_frequency")
    if frequency is None:
        text = f"{header.path}: no radar_frequency, taken as Sentinel-1's; correct it in the Abstracted_Metadata"
        notes.append(Problem(header.path, text, skipped=False))
    return SlcStack(
        product=PRODUCT,
        root=root,
        track=track,
        dates=tuple(files),
        grid=ground.grid(),
        wavelength=SPEED_OF_LIGHT / (frequency * 1e6) if frequency else SENTINEL1_WAVELENGTH,
        read_date=partial(_read, {day: (one.real, one.imaginary) for day, one in by_day.items()}),
        look=snap._look(header, key.shape),
        baselines=baselines,
        read_path=Paths({day: one.orbit for day, one in by_day.items()}, first.day, ground.positions).read,
        read_height=ground.heights,
        problems=(*settled, *notes),
        files=files,
    )


def _read(parts: dict[date, tuple[Band, Band]], day: date, window: Window) -> NDArray[np.complex64]:
    """Read one date over a window; what is not finite becomes zero."""
    real, imaginary = parts[day]
    image = np.empty((window.height, window.width), np.complex64)
    image.real = read_flat(real.image, real.layout, window)
    image.imag = read_flat(imaginary.image, imaginary.layout, window)
    image[~np.isfinite(image)] = 0
    return image


def _bands(product: _Product) -> list[Band]:
    """List the bands that hold the real part of an image."""
    bands = [band._replace(name=band.name.strip()) for band in product.dimap.bands]
    return [band for band in bands if _BAND.fullmatch(band.name)]


def _swath(band: Band) -> str:
    """Return the swath that a band is of, empty where its name tells none."""
    match = _SWATH.search(band.name)
    return match[1].upper() if match else ""


def _swaths(products: Sequence[_Product]) -> list[str]:
    """List the swaths of a folder."""
    return sorted({_swath(band) for product in products for band in _bands(product)})


def _images(products: Sequence[_Product], swath: str, problems: list[Problem]) -> list[_Image]:
    """List the images of one swath, of one polarisation, the reference once."""
    every = [(product, band) for product in products for band in _bands(product) if _swath(band) == swath]
    best = min(snap._polarisation(band)[0] for _, band in every)
    images: list[_Image] = []
    references: set[date] = set()
    for product, band in every:
        match, day = _BAND.fullmatch(band.name), date_in_name(band.name)
        if match is None or day is None or snap._polarisation(band)[0] != best:
            continue
        if match["role"].lower() in ("mst", "ref"):
            # Each .dim of a reference and one secondary repeats the reference.
            if day in references:
                continue
            references.add(day)
        image = _image(product, day, band)
        if isinstance(image, Problem):
            problems.append(image)
        else:
            images.append(image)
    return images


def _image(product: _Product, day: date, real: Band) -> _Image | Problem:
    """Return an image with its orbit, or say what keeps it from being read."""
    name = f"q{real.name[1:]}"
    imaginary = next((band for band in product.dimap.bands if band.name.strip() == name), None)
    if imaginary is None:
        text = f"{real.image}: no band {name} in {product.dimap.path.name}; write the product again with both parts"
        return Problem(real.image, text)
    for band in (real, imaginary):
        if band.problem:
            return Problem(band.image.with_suffix(".hdr"), band.problem)
        try:
            check_size(band.image, band.layout)
        except GroundshiftError as error:
            return Problem(band.image, str(error))
    if imaginary.layout.shape != real.layout.shape:
        text = f"{imaginary.image}: not of the shape of {real.image.name}; write the product again"
        return Problem(imaginary.image, text)
    try:
        orbit = _orbit(product, day)
    except GroundshiftError as error:
        return Problem(product.dimap.path, str(error))
    return _Image(product, day, real, imaginary, orbit)


def _place(product: _Product) -> tuple[object, ...]:
    """Return what tells the reference of one burst from that of another."""
    told = product.dimap
    return (told.text("first_line_time"), told.text("slant_range_to_first_pixel"), told.text("range_spacing"))


def _ground(header: Dimap, products: Sequence[_Product], shape: tuple[int, int]) -> _Ground:
    """Find the bands of the ground in the stack or beside it; raise NoDataError where they are not."""
    for dimap in (header, *(product.dimap for product in products)):
        named = {band.name.strip().lower(): band for band in dimap.bands if band.layout.shape == shape}
        bands = [named[name.lower()] for name in _GROUND if name.lower() in named]
        if len(bands) == len(_GROUND):
            for band in bands:
                check_size(band.image, band.layout)
            return _Ground((bands[0], bands[1], bands[2]))
    raise NoDataError(
        f"{header.path}: no bands {', '.join(_GROUND)}, so the path to the ground is unknown; add them, or "
        f"put the .dim of an interferogram that was written with them into {header.path.parent}"
    )


def _passes(path: Path) -> dict[date, Element]:
    """Return the metadata of each pass of a product by the date of its first line."""
    root = parse_xml(path)
    every = [node for node in root.iter("MDElem") if node.get("name") == "Abstracted_Metadata"][:1]
    for node in root.iter("MDElem"):
        if node.get("name") in _SECONDARY:
            every += node.findall("MDElem")
    found: dict[date, Element] = {}
    for node in every:
        try:
            found.setdefault(_time(_value(node, "first_line_time")).date(), node)
        except ValueError:
            continue
    return found


def _orbit(product: _Product, day: date) -> Orbit:
    """Return the orbit of a pass; raise DamagedFileError where the product does not tell it."""
    path = product.dimap.path
    told = product.passes.get(day)
    vectors = (
        []
        if told is None
        else [
            vector
            for node in told.findall("MDElem")
            if node.get("name") == "Orbit_State_Vectors"
            for vector in node.findall("MDElem")
        ]
    )
    try:
        times = [_time(_value(vector, "time")) for vector in vectors]
        states = [
            [float(_value(vector, f"{axis}_{kind}")) for kind in ("pos", "vel") for axis in "xyz"] for vector in vectors
        ]
        order = sorted(range(len(times)), key=times.__getitem__)
        state = np.array([states[i] for i in order], np.float64).reshape(-1, 6)
        seconds = np.array([(times[i] - times[order[0]]).total_seconds() for i in order], np.float64)
        return Orbit(seconds, state[:, :3], state[:, 3:])
    except ValueError as error:
        raise DamagedFileError(
            f"{path}: no usable orbit state vectors of {day}; write the product again with its metadata"
        ) from error


def _value(node: Element, name: str) -> str:
    """Return an attribute of a metadata element, empty where there is none."""
    return next(((one.text or "").strip() for one in node.findall("MDATTR") if one.get("name") == name), "")


def _time(text: str) -> datetime:
    """Return a time as SNAP writes it, such as 02-JUL-2018 11:24:17.123456; raise ValueError for another text."""
    return datetime.strptime(text, "%d-%b-%Y %H:%M:%S.%f")
