"""GAMMA: resampled single-look images, `<date>.rslc` with `<date>.rslc.par`.

Given is a folder; images lie in it or up to two levels down, in folders of bursts and of dates. They are big-endian
complex numbers, of four bytes each part (`FCOMPLEX`) or of two (`SCOMPLEX`). Images of bursts that are not joined yet
(with a `.TOPS_par` beside) are passed over; of several polarisations the first of VV, HH, VH, HV is read.

Path: GAMMA resamples without taking anything out of the phase, so the path to the ground is still in it. It follows
from the state vectors of each `.rslc.par` and the ground of each pixel: a lookup table (`.lt`, `.lt_fine`) with its
`dem_par` and elevation model, in the folder or beside it (`geo/`, `DEM/`). Heights count from the ellipsoid; a stack
without them is refused. Perpendicular baselines come from the same orbits.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import GroundshiftError, NoDataError, ProductError
from groundshift.geometry.orbits import Orbit, Paths, earth_fixed, perpendicular_baseline
from groundshift.io import gamma_par as par
from groundshift.io.agree import GridKey
from groundshift.io.dates import date_in_name, dates_in_name
from groundshift.io.flat import Layout, read_flat
from groundshift.io.gamma_files import kind_of, listing
from groundshift.io.gamma_ground import RadarGround, find_ground, orbit_of
from groundshift.io.slc import SlcStack
from groundshift.io.slc_agree import FoundSlc, open_bursts, settle_dates
from groundshift.io.slc_place import grid_with_lookup, lattice_step
from groundshift.io.stack import Problem
from groundshift.types import Looks, Window

__all__ = ["PRODUCT", "open_slcs", "recognises"]

PRODUCT = "gamma"

_FORMATS = {"FCOMPLEX": (">f4", 4), "SCOMPLEX": (">i2", 2)}
_POLARISATIONS = ("vv", "hh", "vh", "hv")
_BESIDE = ("geo", "geom", "dem", "lookup")
"""Names of folders with the geometry, beside the one given."""

Key = tuple[str, ...]
"""What the images of one stack share in their path: folders without dates, and the rest of the name."""


class _Image(NamedTuple):
    """An image with its parameter file and orbit."""

    path: Path
    one: par.Parameters
    orbit: Orbit
    shape: tuple[int, int]
    dtype: str

    def read(self, window: Window) -> NDArray[np.complex64]:
        """Read a window; what is not finite becomes zero."""
        layout = Layout((self.shape[0], 2 * self.shape[1]), self.dtype)
        parts = read_flat(self.path, layout, Window(window.y, 2 * window.x, window.height, 2 * window.width))
        image: NDArray[np.complex64] = parts.astype(np.float32, copy=False).view(np.complex64)
        image[~np.isfinite(image)] = 0
        return image


def recognises(path: Path) -> bool:
    """Whether resampled images of GAMMA lie in or below a folder."""
    return path.is_dir() and bool(_groups(path))


def open_slcs(path: Path, *, strict: bool = False) -> list[SlcStack]:
    """Open a folder of resampled images.

    Raises
    ------
    ProductError
        If `strict` and an image would be skipped.
    NoDataError
        If no stack has two usable images and its ground.
    """
    groups = _groups(path) if path.is_dir() else {}
    if not groups:
        raise NoDataError(f"{path}: no resampled images (<date>.rslc) here; give the folder that holds them")
    folders = {key: _folder_of(images) for key, images in groups.items()}
    openers: dict[str, Callable[[], SlcStack]] = {}
    for key, name in _names(path, list(groups)).items():
        others = {folder for other, folder in folders.items() if other != key}
        openers[name] = partial(_open, path, name, groups[key], _Search(path, folders[key], others), strict)
    return open_bursts(path, openers, strict)


def _open(root: Path, track: str, paths: Sequence[Path], search: "_Search", strict: bool) -> SlcStack:
    """Open the images of one stack."""
    problems: list[Problem] = []
    found: list[FoundSlc] = []
    images: dict[Path, _Image] = {}
    for path in paths:
        image = _image(path)
        day = date_in_name(path.name)
        if isinstance(image, Problem):
            problems.append(image)
        elif day is not None:
            found.append(FoundSlc(day, (path, image.one.path), GridKey(image.shape)))
            images[path] = image
    files, key, settled = settle_dates(search.folder, found, problems, strict)
    by_day = {day: images[those[0]] for day, those in files.items()}
    first = min(by_day)
    pars = [image.one for image in by_day.values()]
    ground = search.ground(by_day[first].one)
    every = Looks(*(max(n, lattice_step(key.shape)) for n in ground.looks))
    lattice = ground.read(Window(0, 0, -(-key.shape[0] // every.y), -(-key.shape[1] // every.x)), every)
    centre = _nearest_to_middle(search.folder, lattice)
    baselines = {
        day: float(perpendicular_baseline(by_day[first].orbit, image.orbit, centre)) for day, image in by_day.items()
    }
    for day, value in baselines.items():
        if not math.isfinite(value):
            raise ProductError(f"{files[day][1]}: its state vectors end before the image; restore the file")
    grid = grid_with_lookup(
        key.shape,
        lattice[0],
        lattice[1],
        every,
        ((every.y - 1) / 2, (every.x - 1) / 2),
        par.radar_spacing(root, by_day[first].one, pars),
    )
    assert grid is not None  # its spacing is given
    return SlcStack(
        product=PRODUCT,
        root=root,
        track=track,
        dates=tuple(files),
        grid=grid,
        wavelength=par.wavelength(root, pars),
        read_date=partial(_read, by_day),
        look=par.look_geometry(pars),
        baselines=baselines,
        read_path=Paths({day: image.orbit for day, image in by_day.items()}, first, ground.positions).read,
        read_height=ground.heights,
        problems=settled,
        files=files,
    )


def _read(images: dict[date, _Image], day: date, window: Window) -> NDArray[np.complex64]:
    """Read one date over a window."""
    return images[day].read(window)


def _nearest_to_middle(folder: Path, lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Earth-fixed position of the known ground nearest to the middle of the image."""
    known = np.argwhere(np.isfinite(lattice).all(axis=0))
    if not len(known):
        raise NoDataError(f"{folder}: its lookup table reaches no pixel of the images; put the table of these here")
    y, x = known[np.argmin(np.sum((known - (np.array(lattice.shape[1:]) - 1) / 2) ** 2, axis=1))]
    return earth_fixed(*lattice[:, y, x])


def _groups(root: Path) -> dict[Key, list[Path]]:
    """List the images under a folder by stack."""
    of_polarisation: dict[Key, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in listing(root):
        if not file.name.lower().endswith(".rslc") or root not in file.parents:
            continue
        joined = not any(file.with_name(file.name + end).is_file() for end in (".TOPS_par", ".tops_par"))
        if joined and date_in_name(file.name) is not None and dates_in_name(file.name) is None:
            words = [word for word in re.split(r"[._-]", kind_of(file.name)) if word]
            rank = [_POLARISATIONS.index(w.lower()) for w in words if w.lower() in _POLARISATIONS]
            folders = [part for part in file.relative_to(root).parts[:-1] if date_in_name(part) is None]
            rest = [word for word in words[:-1] if word.lower() not in _POLARISATIONS]
            key = (*folders, "_".join(rest))
            of_polarisation[key][rank[0] if rank else len(_POLARISATIONS)].append(file)
    return {key: sorted(found[min(found)]) for key, found in of_polarisation.items()}


def _names(root: Path, keys: list[Key]) -> dict[Key, str]:
    """Name each stack by what its path has and not all others have; a single one by its folder."""
    if len(keys) == 1:
        return {keys[0]: root.resolve().name}
    shortest = min(len(key) for key in keys)
    before = next((i for i in range(shortest) if len({key[i] for key in keys}) > 1), shortest)
    after = next((i for i in range(shortest - before) if len({key[-1 - i] for key in keys}) > 1), 0)
    return {
        key: "_".join(part for part in key[before : len(key) - after] if part) or root.resolve().name for key in keys
    }


def _folder_of(images: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all images of a stack."""
    folder = images[0].parent
    while not all(folder in image.parents for image in images):
        folder = folder.parent
    return folder


def _image(path: Path) -> _Image | Problem:
    """Return an image, or say what keeps it from being read."""
    header = path.with_name(f"{path.name}.par")
    if not header.is_file():
        return Problem(header, f"{header}: no such file; restore it or remove {path.name}")
    try:
        one = par.read_parameters(header)
        orbit = orbit_of(one)
    except GroundshiftError as error:
        return Problem(header, str(error))
    name = " ".join(one.values.get("image_format", []))
    if one.shape is None or name not in _FORMATS:
        return Problem(header, f"{header}: no size or no format of complex numbers in it; restore the file")
    dtype, width = _FORMATS[name]
    expected, size = math.prod(one.shape) * 2 * width, path.stat().st_size
    if size != expected:
        line = (
            f"{path}: expected {expected} bytes ({one.shape[0]} x {one.shape[1]} pixels, {name}), instead got {size}; "
            "resample it again or remove it"
        )
        return Problem(path, line)
    return _Image(path, one, orbit, one.shape, dtype)


class _Search(NamedTuple):
    """Where the ground of a stack is looked for: from its own folder up to the one given, then beside that."""

    root: Path
    folder: Path
    others: set[Path]
    """Folders of other stacks, whose ground is not that of this one."""

    def ground(self, image: par.Parameters) -> RadarGround:
        """Return the ground; raise NoDataError where there is none."""
        root = self.root.resolve()
        place = self.folder.resolve()
        places = [place, *(above for above in place.parents if root in (above, *above.parents))]
        beside = [below for below in sorted(root.parent.iterdir()) if below.name.lower() in _BESIDE and below.is_dir()]
        for folder in (*places, *beside):
            found = find_ground([file for file in listing(folder) if not self._of_others(file.resolve())], image)
            if found is not None:
                return found
        raise NoDataError(
            f"{self.folder}: no lookup table with its dem_par and elevation model, so the path to the ground cannot be "
            "taken out of the phase; put the .lt_fine, .dem_par and .dem files here or into geo/ beside it"
        )

    def _of_others(self, file: Path) -> bool:
        """Whether a file lies in the topmost folder of another stack that this one has no images in."""
        own = {self.folder.resolve(), *self.folder.resolve().parents}
        for other in self.others:
            apart = [folder for folder in (other.resolve(), *other.resolve().parents) if folder not in own]
            if apart and apart[-1] in file.parents:
                return True
        return False
