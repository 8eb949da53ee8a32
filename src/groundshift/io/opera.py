"""OPERA CSLC-S1: geocoded single-look images of Sentinel-1 bursts, one HDF5 file for each burst and date.

Given is a file, or a folder with files in it or up to two levels down, as COMPASS and the archive leave them:
`OPERA_L2_CSLC-S1_T144-308029-IW1_20240624T140116Z_..._VV_v1.1.h5` or `t144_308029_iw1_20240624.h5`. Burst and date are
those that the file states, else those of its name. Two layouts are read: the present one, and the older one under
`/science/SENTINEL1`. Static layers (`CSLC-S1-STATIC`, `static_layers_*`) lie among the images, or in a folder beside
the one given.

Phase: the path to the terrain and the ellipsoid is taken out and the azimuth carrier is left in, so that `reference *
conj(secondary)` is the interferogram (OPERA CSLC-S1 product specification; COMPASS pull request 146). Files that were
made without flattening say so and are refused.

No data are NaN, in the images and the static layers. `layover_shadow_mask` is 0 where neither is, 1 shadow, 2 layover,
3 both, 127 outside the burst. `los_east` and `los_north` point from the ground to the satellite. Without them the line
of sight is that of the orbit, which also gives the perpendicular baselines, both at the centre of the grid.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import GroundshiftError, ProductError
from groundshift.geometry.orbits import Orbit, earth_fixed, perpendicular_baseline, zero_doppler
from groundshift.io.hdf5 import opened, read_image
from groundshift.io.mapped import look_from
from groundshift.io.opera_files import (
    POLARISATIONS,
    ImageFile,
    describe_image,
    describe_static,
    grid_key,
    holds_image,
    image_files,
    read_orbit,
    static_file,
)
from groundshift.io.slc import ReadHeight, ReadMask, SlcStack
from groundshift.io.slc_agree import FoundSlc, open_bursts, settle_dates, split_burst
from groundshift.io.stack import Problem
from groundshift.types import LookGeometry, MapGrid, Window

__all__ = ["PRODUCT", "open_slcs", "recognises"]

PRODUCT = "opera"

_SAMPLE = 64
"""Rows and columns around the centre that the line of sight is taken from."""


def recognises(path: Path) -> bool:
    """Whether an HDF5 file that is named by its burst, or that holds an image of this product, is at `path`."""
    files = image_files(path)
    first = next(files, None)
    if first is None:
        return False
    return any(split_burst(file.name)[0] for file in (first, *files)) or holds_image(first)


def open_slcs(path: Path, *, strict: bool = False) -> list[SlcStack]:
    """Open the bursts of a folder of CSLC files.

    Returns
    -------
    list of SlcStack
        One for each burst, named such as `T144-308029-IW1`, in the order of their names.

    Raises
    ------
    ProductError
        If `strict` and an image would be skipped.
    NoDataError
        If no burst has two usable images; the line is that of the first reason.
    """
    images: defaultdict[str, list[ImageFile]] = defaultdict(list)
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    for file in image_files(path):
        try:
            image = describe_image(file)
        except GroundshiftError as error:
            problems[split_burst(file.name)[0] or ""].append(Problem(file, str(error)))
        else:
            images[image.burst].append(image)
    strays = problems.pop("", [])
    openers = {
        burst: partial(_open_burst, path, burst, images[burst], problems[burst], strict)
        for burst in {*images, *problems}
    }
    return open_bursts(path, openers, strict, strays)


def _open_burst(
    root: Path, burst: str, images: Sequence[ImageFile], problems: Sequence[Problem], strict: bool
) -> SlcStack:
    """Open one burst."""
    polarisation, others = _one_polarisation(images)
    chosen = {image.file: image for image in images if polarisation in image.polarisations}
    found = [FoundSlc(image.day, (image.file,), grid_key(image.grid)) for image in chosen.values()]
    kept, _, settled = settle_dates(root, found, [*problems, *others], strict)
    sources = {day: chosen[files[0]] for day, files in kept.items()}
    first = next(iter(sources.values()))
    notes: list[Problem] = []
    wavelength = next((image.wavelength for image in sources.values() if image.wavelength is not None), None)
    if wavelength is None:
        text = f"{first.file}: does not tell the wavelength, taken as Sentinel-1's 0.0555 m; fetch the file again"
        notes.append(Problem(first.file, text, skipped=False))
    orbits = {day: orbit for day, image in sources.items() if (orbit := read_orbit(image)) is not None}
    static = _static_layers(root, first, notes)
    return SlcStack(
        product=PRODUCT,
        root=root,
        track=burst,
        dates=tuple(kept),
        grid=first.grid,
        wavelength=wavelength or SENTINEL1_WAVELENGTH,
        read_date=partial(_read, {day: (one.file, f"{one.data}/{polarisation}") for day, one in sources.items()}),
        look=static.look or _orbit_look(orbits, first.grid),
        baselines=_baselines(orbits, first),
        read_mask=static.mask,
        read_height=static.height,
        problems=(*settled, *notes),
        files=kept,
    )


def _one_polarisation(images: Sequence[ImageFile]) -> tuple[str, list[Problem]]:
    """Return the polarisation that most dates have, and the problems of files that do not have it."""
    count = Counter(name for image in images for name in image.polarisations)
    usual = max(POLARISATIONS, key=lambda name: count[name])
    days = {image.day for image in images if usual in image.polarisations}
    return usual, [
        Problem(
            image.file,
            f"{image.file}: holds {' and '.join(image.polarisations)}, the other dates {usual}; put each polarisation "
            "in a folder of its own",
            skipped=image.day not in days,
        )
        for image in images
        if usual not in image.polarisations
    ]


def _read(sources: Mapping[date, tuple[Path, str]], day: date, window: Window) -> NDArray[np.complex64]:
    """Read one date over a window."""
    file, name = sources[day]
    with opened(file) as source:
        image = read_image(source[name], window).astype(np.complex64, copy=False)
    image[~np.isfinite(image)] = 0
    return image


class _Static(NamedTuple):
    """What the static layers of a burst tell."""

    look: LookGeometry | None = None
    mask: ReadMask | None = None
    height: ReadHeight | None = None


def _static_layers(root: Path, image: ImageFile, notes: list[Problem]) -> _Static:
    """Return what the static layers of a burst tell; say so where there are none."""
    file = static_file(root, image.burst, image.file)
    if file is None:
        text = (
            f"{image.file}: no static layers of {image.burst}, layover and shadow stay in; fetch its CSLC-S1-STATIC "
            "file"
        )
        notes.append(Problem(image.file, text, skipped=False))
        return _Static()
    try:
        group, layers, grid = describe_static(file)
        if grid_key(grid) != grid_key(image.grid):
            raise ProductError(f"{file}: not on the grid of {image.file.name}; fetch the static layers again")
        with opened(file) as source:
            look = _static_look(source[group]) if {"los_east", "los_north"} <= layers else None
    except GroundshiftError as error:
        notes.append(Problem(file, str(error), skipped=False))
        return _Static()
    return _Static(
        look,
        partial(_read_mask, file, f"{group}/layover_shadow_mask") if "layover_shadow_mask" in layers else None,
        partial(_read_height, file, f"{group}/z") if "z" in layers else None,
    )


def _static_look(group: Any) -> LookGeometry | None:
    """Return the look geometry at the centre, or None where it is not known there."""
    shape = group["los_east"].shape
    height, width = min(_SAMPLE, shape[0]), min(_SAMPLE, shape[1])
    window = Window((shape[0] - height) // 2, (shape[1] - width) // 2, height, width)
    east, north = (read_image(group[name], window).astype(np.float64) for name in ("los_east", "los_north"))
    flat = np.hypot(east, north)
    known = (flat > 0) & (flat < 1)
    if not known.any():
        return None
    up = np.sqrt(1 - flat[known] ** 2)
    return look_from(float(east[known].mean()), float(north[known].mean()), float(up.mean()))


def _read_mask(file: Path, name: str, window: Window) -> NDArray[np.bool_]:
    """Read where there is neither layover nor shadow."""
    with opened(file) as source:
        return np.asarray(read_image(source[name], window) == 0)


def _read_height(file: Path, name: str, window: Window) -> NDArray[np.float32]:
    """Read heights in metres, NaN where unknown."""
    with opened(file) as source:
        return read_image(source[name], window).astype(np.float32)


def _centre(grid: MapGrid) -> tuple[float, float]:
    """Return longitude and latitude of the centre, degrees."""
    lon, lat = grid.lonlat(*(np.asarray((n - 1) / 2) for n in grid.shape))
    return float(lon), float(lat)


def _baselines(orbits: Mapping[date, Orbit], first: ImageFile) -> dict[date, float]:
    """Return perpendicular baselines relative to the first date, at the centre of the grid on the ellipsoid.

    A kilometre of height changes one by a thousandth of the distance of the orbits along the line of sight.
    """
    if first.day not in orbits:
        return {}
    ground = earth_fixed(*_centre(first.grid), 0.0)
    found = {
        day: float(perpendicular_baseline(orbits[first.day], orbit, ground))
        for day, orbit in orbits.items()
        if day != first.day
    }
    return {first.day: 0.0} | {day: metres for day, metres in found.items() if math.isfinite(metres)}


def _orbit_look(orbits: Mapping[date, Orbit], grid: MapGrid) -> LookGeometry | None:
    """Return the look geometry at the centre of the grid on the ellipsoid, from the first orbit that passes it."""
    lon, lat = _centre(grid)
    ground = earth_fixed(lon, lat, 0.0)
    sin_lon, cos_lon = math.sin(math.radians(lon)), math.cos(math.radians(lon))
    sin_lat, cos_lat = math.sin(math.radians(lat)), math.cos(math.radians(lat))
    east_north_up = np.array(
        [
            [-sin_lon, cos_lon, 0.0],
            [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
            [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
        ]
    )
    for orbit in orbits.values():
        satellite, _ = orbit.at(zero_doppler(orbit, ground))
        if np.isfinite(satellite).all():
            east, north, up = east_north_up @ (satellite - ground)
            return look_from(float(east), float(north), float(up))
    return None
