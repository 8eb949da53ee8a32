"""GAMMA's parameter files: what the rasters beside them measure, and where they lie.

Text of `key: value` lines: image parameters (`.slc.par`, `.mli.par`), offsets (`.off`), simulation (`.diff_par`), maps
(`dem_par`) and baselines (`base.par`, and the tables that `base_perp` prints).
"""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from groundshift.constants import SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, GroundshiftError, ProductError
from groundshift.geometry.lookup import LookupInverter
from groundshift.io.rasters import read_binary
from groundshift.types import LookGeometry, MapGrid, Window

__all__ = [
    "Parameters",
    "Terrain",
    "is_par_name",
    "look_geometry",
    "map_grid",
    "perpendicular_baseline",
    "radar_spacing",
    "radar_terrain",
    "read_parameters",
    "terrain_on_map",
    "wavelength",
]

_SIZE_KEYS = (
    ("nlines", "width"),
    ("azimuth_lines", "range_samples"),
    ("az_samp_1", "range_samp_1"),
    ("interferogram_azimuth_lines", "interferogram_width"),
)
_SPACING_KEYS = (
    ("azimuth_pixel_spacing", "range_pixel_spacing"),
    ("az_pixel_spacing_1", "range_pixel_spacing_1"),
    ("interferogram_azimuth_pixel_spacing", "interferogram_range_pixel_spacing"),
)
_TYPES = {"REAL*4": ">f4", "REAL*8": ">f8", "INTEGER*2": ">i2"}
_STRIP = 256
"""Map rows of a lookup table that are read at once."""


class Parameters(NamedTuple):
    """One parameter file."""

    path: Path
    values: dict[str, list[str]]
    """Words behind each key."""

    @property
    def is_map(self) -> bool:
        """Whether it describes a map."""
        return "DEM_projection" in self.values

    @property
    def shape(self) -> tuple[int, int] | None:
        """Lines and width of the rasters it describes, or None."""
        for lines, width in _SIZE_KEYS:
            size = (self.number(lines), self.number(width))
            if size[0] and size[1]:
                return (int(size[0]), int(size[1]))
        return None

    def number(self, key: str, word: int = 0) -> float | None:
        """Return a word behind `key` as a number, or None if it is not there or not one."""
        try:
            value = float(self.values[key][word])
        except (KeyError, IndexError, ValueError):
            return None
        return value if math.isfinite(value) else None

    def needed(self, key: str) -> float:
        """Return the number behind `key`, or say that the file is damaged."""
        value = self.number(key)
        if value is None:
            raise DamagedFileError(f"{self.path}: no number for {key}; restore the file")
        return value


def is_par_name(name: str) -> bool:
    """Whether a file name is that of a parameter file that gives a size.

    Examples
    --------
    >>> [is_par_name(n) for n in ("a.rmli.par", "EQA.dem_par", "a_b.off", "a_b_base.par", "a_b.diff")]
    [True, True, True, False, False]
    """
    lower = name.lower()
    return lower.endswith((".par", "_par", ".off")) and not _is_baseline_name(lower)


def read_parameters(path: Path) -> Parameters:
    """Read a parameter file; lines without a key are passed over."""
    values: dict[str, list[str]] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror}); restore the file") from error
    for line in text.splitlines():
        key, colon, rest = line.partition(":")
        if colon:
            values.setdefault(key.strip(), rest.split())
    return Parameters(path, values)


def wavelength(root: Path, pars: Sequence[Parameters]) -> float:
    """Return the wavelength in metres out of the first radar frequency given."""
    frequency = _first(pars, "radar_frequency")
    if not frequency or frequency < 0:
        raise ProductError(
            f"{root}: no radar_frequency in any parameter file tells the wavelength; add an .slc.par or .mli.par"
        )
    return SPEED_OF_LIGHT / frequency


def look_geometry(pars: Sequence[Parameters]) -> LookGeometry | None:
    """Return heading and incidence out of the first file that gives both, or None.

    `heading` is the flight direction; `azimuth_angle` turns from it to the look, 90 to the right and -90 to the left.
    """
    for one in pars:
        heading, incidence = one.number("heading"), one.number("incidence_angle")
        if heading is not None and incidence is not None and 0 < incidence < 90:
            side = one.number("azimuth_angle")
            return LookGeometry(heading, incidence, side is None or side > 0)
    return None


def radar_spacing(root: Path, one: Parameters, pars: Sequence[Parameters]) -> tuple[float, float]:
    """Return the pixel size on the ground in metres, along azimuth and ground range."""
    for azimuth, slant in _SPACING_KEYS:
        dy, dx = one.number(azimuth), one.number(slant)
        if dy and dx and dy > 0 and dx > 0:
            break
    else:
        raise DamagedFileError(f"{one.path}: no pixel spacing; restore the file")
    if one.values.get("image_geometry") == ["GROUND_RANGE"]:
        return (dy, dx)
    look = look_geometry([one, *pars])
    if look is None:
        raise ProductError(
            f"{root}: no incidence_angle in any parameter file, so the ground range is unknown; "
            "add an .slc.par or .mli.par"
        )
    return (dy, dx / math.sin(math.radians(look.incidence)))


def map_grid(one: Parameters) -> MapGrid:
    """Return the grid of a map; its corner is the centre of the first pixel, ours that pixel's outer corner."""
    shape = one.shape
    projection = " ".join(one.values.get("DEM_projection", []))
    if shape is None:
        raise DamagedFileError(f"{one.path}: no width and nlines; restore the file")
    if projection == "EQA":
        crs, north, east = "EPSG:4326", "lat", "lon"
    elif projection == "UTM":
        zone = int(one.needed("projection_zone"))
        south = one.needed("false_northing") > 0
        crs, north, east = f"EPSG:{(32700 if south else 32600) + zone}", "north", "east"
    else:
        raise ProductError(f"{one.path}: projection {projection or 'missing'} is not read; geocode to EQA or UTM")
    dy, dx = one.needed(f"post_{north}"), one.needed(f"post_{east}")
    y, x = one.needed(f"corner_{north}"), one.needed(f"corner_{east}")
    return MapGrid(shape, Affine(dx, 0, x - dx / 2, 0, dy, y - dy / 2), crs)


class Terrain(NamedTuple):
    """Heights on a map: where the raster is and how its numbers become metres."""

    path: Path
    shape: tuple[int, int]
    dtype: str
    scale: float
    offset: float

    def read(self, window: Window) -> NDArray[np.float32]:
        """Return heights in metres over a window, NaN where the raster has none."""
        raw = read_binary(self.path, self.shape, self.dtype, window)
        known = np.isfinite(raw) & (raw != 0)
        return np.where(known, raw * self.scale + self.offset, np.nan).astype(np.float32)


def terrain_on_map(one: Parameters, files: Iterable[Path]) -> Terrain | None:
    """Return the elevation model that a map's parameter file describes, or None."""
    shape = one.shape
    dtype = _TYPES.get(" ".join(one.values.get("data_format", [])), ">f4")
    if shape is None:
        return None
    size = math.prod(shape) * np.dtype(dtype).itemsize
    fitting = [f for f in files if f.name.lower().endswith("dem") and f.stat().st_size == size]
    if not fitting:
        return None
    best = min(fitting, key=lambda f: (f.parent != one.path.parent, f))
    scale = one.number("DEM_scale")
    return Terrain(best, shape, dtype, scale or 1.0, one.number("DEM_hgt_offset") or 0.0)


def radar_terrain(table: Path, one: Parameters, terrain: Terrain | None, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Invert a lookup table: longitude, latitude and height of each radar pixel.

    Parameters
    ----------
    table : path
        Complex raster on the map: range column and azimuth line of each map pixel; zero where there is none.
    one : Parameters
        The map.
    terrain : Terrain or None
        Heights on the map.
    shape : (int, int)
        Lines and columns of the radar image.

    Returns
    -------
    (3, *shape) float64 array
        Degrees, degrees, metres; NaN where the table reaches no pixel.
    """
    grid = map_grid(one)
    height, width = grid.shape
    inverter = LookupInverter(3, shape)
    for top in range(0, max(height - 1, 1), _STRIP):
        strip = Window(top, 0, min(_STRIP + 1, height - top), width)
        entry = read_binary(table, grid.shape, ">c8", strip)
        missing = (entry == 0) | ~np.isfinite(entry)
        y, x = np.mgrid[top : top + strip.height, :width].astype(np.float64)
        lon, lat = grid.lonlat(y, x)
        heights = terrain.read(strip) if terrain is not None else np.full(entry.shape, np.nan)
        inverter.add(
            np.where(missing, np.nan, entry.imag),
            np.where(missing, np.nan, entry.real),
            np.stack([lon, lat, heights.astype(np.float64)]),
        )
    return inverter.result()


def perpendicular_baseline(path: Path, pars: Sequence[Parameters]) -> float | None:
    """Return the perpendicular baseline in metres that a baseline file of one pair gives, or None.

    A table of `base_perp` gives it all over the image: the mean. A `base.par` gives the vector along track, across and
    down (TCN) at the image centre, and B_perp = C cos(look) - N sin(look) with the look angle there; the precise
    vector is taken where it was estimated.
    """
    try:
        one = read_parameters(path)
        text = path.read_text(encoding="utf-8", errors="replace")
    except (GroundshiftError, OSError):
        return None
    table = [row.split() for row in text.splitlines() if _TABLE_ROW.match(row)]
    if table:
        return float(np.mean([float(row[7]) for row in table]))
    look = _look_angle(pars)
    for key in ("precision_baseline(TCN)", "initial_baseline(TCN)"):
        across, down = one.number(key, 1), one.number(key, 2)
        if look is not None and across is not None and down is not None and (across, down) != (0.0, 0.0):
            return across * math.cos(look) - down * math.sin(look)
    return None


def _look_angle(pars: Sequence[Parameters]) -> float | None:
    """Return the look angle at the satellite in radians: R sin(incidence) = (R + H) sin(look)."""
    for one in pars:
        incidence, ground = one.number("incidence_angle"), one.number("earth_radius_below_sensor")
        orbit = one.number("sar_to_earth_center")
        if incidence is not None and ground and orbit and 0 < ground < orbit:
            return math.asin(ground / orbit * math.sin(math.radians(incidence)))
    return None


_TABLE_ROW = re.compile(r"\s*\d+\s+\d+(?:\s+[-+]?\d+\.\d+){7}\s*$")


def _is_baseline_name(lower: str) -> bool:
    """Whether a lower-case file name is that of a baseline."""
    return "base" in lower or "bperp" in lower


def _first(pars: Sequence[Parameters], key: str) -> float | None:
    """Return the first number that any file gives for `key`."""
    return next((value for value in (one.number(key) for one in pars) if value is not None), None)
