"""The ground of GAMMA's radar images at full resolution: a lookup table turned round, one window after the other.

A table (`.lt`, `.lt_fine`) gives for each map pixel the range column and azimuth line of an image with looks (`.mli`)
or of the single-look image itself; it does not say of which. That is told by the orbit: of the images whose parameter
files are there, the one where zero-Doppler times and slant ranges of the terrain lie nearest to the entries.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError
from groundshift.geometry.lookup import LookupInverter
from groundshift.geometry.orbits import Orbit, earth_fixed, zero_doppler
from groundshift.io.flat import Layout, read_flat
from groundshift.io.gamma_files import is_table
from groundshift.io.gamma_par import Parameters, Terrain, is_par_name, map_grid, read_parameters, terrain_on_map
from groundshift.types import Looks, MapGrid, Window

__all__ = ["RadarGround", "find_ground", "orbit_of"]

_BLOCK = 256
"""Map rows and columns that are turned round at once."""
_SINGLE = Looks(1, 1)
_SAMPLES = 64
"""Map rows, and places along each, by which it is told which image a table belongs to."""


class _Table(NamedTuple):
    """A lookup table on its map, with the heights there."""

    path: Path
    grid: MapGrid
    terrain: Terrain

    def block(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return lines and columns over a window of the map, NaN where the table has none."""
        entry = read_flat(self.path, Layout(self.grid.shape, ">c8"), window)
        missing = (entry == 0) | ~np.isfinite(entry)
        lines, columns = entry.imag.astype(np.float64), entry.real.astype(np.float64)
        lines[missing] = columns[missing] = np.nan
        return lines, columns

    def places(self, window: Window) -> NDArray[np.float64]:
        """Return longitude, latitude (degrees) and height (metres) over a window of the map, (3, y, x)."""
        y, x = np.mgrid[window.rows, window.columns].astype(np.float64)
        lon, lat = self.grid.lonlat(y, x)
        return np.stack([lon, lat, self.terrain.read(window).astype(np.float64)])


class RadarGround:
    """Longitude, latitude and height of the pixels of a single-look image.

    Parameters
    ----------
    table : _Table
        Lookup table with its map and terrain.
    looks : Looks
        Of the image that the table counts in.
    """

    def __init__(self, table: _Table, looks: Looks) -> None:
        self._table = table
        self.looks = looks
        height, width = table.grid.shape
        self._blocks: list[tuple[Window, tuple[float, float, float, float]]] = []
        for top in range(0, max(height - 1, 1), _BLOCK):
            for left in range(0, max(width - 1, 1), _BLOCK):
                # One more row and column, so that no cell between blocks is left out.
                window = Window(top, left, min(_BLOCK + 1, height - top), min(_BLOCK + 1, width - left))
                lines, columns = self._coordinates(window, _SINGLE)
                if np.isfinite(lines).any():
                    ends = (np.nanmin(lines), np.nanmax(lines), np.nanmin(columns), np.nanmax(columns))
                    self._blocks.append((window, (float(ends[0]), float(ends[1]), float(ends[2]), float(ends[3]))))

    def read(self, window: Window, every: Looks = _SINGLE) -> NDArray[np.float64]:
        """Return longitude, latitude and height over a window, (3, height, width), NaN where the table has none.

        `window` counts pixels of `every` look; a place is that of the middle of such a pixel.
        """
        inverter = LookupInverter(3, (window.height, window.width))
        y0, y1 = window.y * every.y - 1, (window.y + window.height) * every.y
        x0, x1 = window.x * every.x - 1, (window.x + window.width) * every.x
        for block, (low_y, high_y, low_x, high_x) in self._blocks:
            if high_y < y0 or low_y > y1 or high_x < x0 or low_x > x1:
                continue
            lines, columns = self._coordinates(block, every)
            inverter.add(lines - window.y, columns - window.x, self._table.places(block))
        return inverter.result()

    def positions(self, window: Window) -> NDArray[np.float64]:
        """Return Earth-fixed positions over a window, (height, width, 3) metres."""
        return earth_fixed(*self.read(window))

    def heights(self, window: Window) -> NDArray[np.float32]:
        """Return heights over a window in metres."""
        heights: NDArray[np.float32] = self.read(window)[2].astype(np.float32)
        return heights

    def _coordinates(self, window: Window, every: Looks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return lines and columns, in pixels of `every` look, over a window of the map."""
        lines, columns = self._table.block(window)
        return (
            (lines * self.looks.y + (self.looks.y - 1) / 2 - (every.y - 1) / 2) / every.y,
            (columns * self.looks.x + (self.looks.x - 1) / 2 - (every.x - 1) / 2) / every.x,
        )


def find_ground(files: Sequence[Path], image: Parameters) -> RadarGround | None:
    """Return the ground of an image by the first lookup table with its map and heights among some files, or None.

    Parameters
    ----------
    files : sequence of path
        Tables, `dem_par` files, elevation models, and parameter files of images with looks.
    image : Parameters
        Of the single-look image.

    Raises
    ------
    DamagedFileError, ProductError
        If the `dem_par` of the table cannot be used.
    """
    pars = [read_parameters(f) for f in files if is_par_name(f.name)]
    tables = sorted((f for f in files if is_table(f.name)), key=lambda f: ("fine" not in f.name, f))
    for path in tables:
        for one in pars:
            if not one.is_map or one.shape is None or path.stat().st_size != one.shape[0] * one.shape[1] * 8:
                continue
            terrain = terrain_on_map(one, files)
            if terrain is not None:
                table = _Table(path, map_grid(one), terrain)
                return RadarGround(table, _looks_of(table, image, pars))
    return None


def orbit_of(one: Parameters) -> Orbit:
    """Return the orbit that a parameter file of an image gives, on the clock of its day.

    Raises
    ------
    DamagedFileError
        If it has fewer than two state vectors, or one of them is not whole.
    """
    count = int(one.number("number_of_state_vectors") or 0)
    if count < 2:
        raise DamagedFileError(f"{one.path}: no state vectors, so the path to the ground is unknown; restore the file")
    start, step = one.needed("time_of_first_state_vector"), one.needed("state_vector_interval")
    positions, velocities = np.empty((count, 3)), np.empty((count, 3))
    for i in range(count):
        for name, vectors in (("position", positions), ("velocity", velocities)):
            for axis in range(3):
                value = one.number(f"state_vector_{name}_{i + 1}", axis)
                if value is None:
                    raise DamagedFileError(f"{one.path}: state vector {i + 1} is not whole; restore the file")
                vectors[i, axis] = value
    if step <= 0:
        raise DamagedFileError(f"{one.path}: its state vectors are {step} s apart; restore the file")
    return Orbit(start + step * np.arange(count, dtype=np.float64), positions, velocities)


def _looks_of(table: _Table, image: Parameters, pars: Sequence[Parameters]) -> Looks:
    """Return the looks of the image that a table counts in: of those there are, the one that fits the orbit best."""
    lines, samples = image.shape or (0, 0)
    candidates = {_SINGLE: image}
    for one in pars:
        looks = Looks(int(one.number("azimuth_looks") or 0), int(one.number("range_looks") or 0))
        if min(looks) > 0 and one.shape == (lines // looks.y, samples // looks.x):
            candidates.setdefault(looks, one)
    if len(candidates) == 1:
        return _SINGLE
    misfits = {looks: _misfit(table, one) for looks, one in candidates.items()}
    return min(misfits, key=lambda looks: (misfits[looks], looks))


def _misfit(table: _Table, image: Parameters) -> float:
    """Return how far, as a share of the image, the entries of a table lie from where the orbit sees the terrain."""
    lines, samples = image.shape or (1, 1)
    height, width = table.grid.shape
    rows, thin = np.unique(np.linspace(0, height - 1, _SAMPLES).astype(int)), max(1, width // _SAMPLES)
    misses: list[NDArray[np.float64]] = []
    try:
        orbit = orbit_of(image)
        start, interval = image.needed("start_time"), image.needed("azimuth_line_time")
        near, spacing = image.needed("near_range_slc"), image.needed("range_pixel_spacing")
    except GroundshiftError:
        return np.inf
    for row in rows:
        window = Window(int(row), 0, 1, width)
        line, column = (one[:, ::thin] for one in table.block(window))
        ground = earth_fixed(*table.places(window)[..., ::thin])
        times = zero_doppler(orbit, ground)
        ranges = np.linalg.norm(ground - orbit.at(times)[0], axis=-1)
        miss = np.hypot(((times - start) / interval - line) / lines, ((ranges - near) / spacing - column) / samples)
        misses.append(miss[np.isfinite(miss)])
    every = np.concatenate(misses)
    return float(np.median(every)) if every.size else np.inf
