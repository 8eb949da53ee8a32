"""Where the ground lies that an image shows, and where another image shows it: range-Doppler geolocation of a DEM.

The nodes of the DEM are placed in the reference image at zero Doppler and its cells drawn there, so that every pixel
knows its ground; the lookup table is where another image shows that same ground [Liu2020]_. Pixels count from the
centre of the first one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.geometry.orbits import earth_fixed, zero_doppler
from groundshift.geometry.radar import RadarGeometry, seen_from
from groundshift.offsets._ortho_kernels import add_area, draw_ground, mark_shadow
from groundshift.offsets.errors import DemCoverageError, OtherPlaceError
from groundshift.offsets.ortho_checks import check_orbit, check_same_look, footprint
from groundshift.offsets.ortho_dem import DemPart, cut_dem
from groundshift.types import Window

__all__ = ["GroundGrid", "LookupTable", "ground_of", "lookup_table"]

_BLOCK = 1 << 16
"""Nodes and pixels worked on at a time."""
_SAMPLES = 40
"""Pixels along each side of an image at which the area of level ground is worked out; it changes slowly."""


class LookupTable(NamedTuple):
    """Where another image shows the ground of each pixel of the reference; it may lie outside that image.

    Double precision: of 20,000 columns single precision would leave a thousandth.
    """

    rows: NDArray[np.float64]
    """(y, x), pixels of the other image; NaN where the ground is unknown."""
    columns: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroundGrid:
    """The ground that the pixels of a window of an image show; arrays are (y, x) over that window."""

    geometry: RadarGeometry
    """Of the whole image."""
    window: Window
    longitude: NDArray[np.float64]
    """Degrees, NaN where the DEM does not tell."""
    latitude: NDArray[np.float64]
    height: NDArray[np.float32]
    """Metres above the ellipsoid. Where several places lie in one pixel it is the highest of them."""
    layover: NDArray[np.bool_]
    """Several places of the ground lie in this pixel."""
    shadow: NDArray[np.bool_]
    """Nearer ground stands in the line of sight."""
    intensity: NDArray[np.float32]
    """Lit ground in the pixel over the area of level ground, so 1 if level, 0 in shadow; NaN where unknown."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the ground is known."""
        return np.isfinite(self.longitude)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Where a pixel shows one place that is known and seen."""
        return self.known & ~self.layover & ~self.shadow

    @property
    def amplitude(self) -> NDArray[np.float32]:
        """The image that this ground would give if it scattered everywhere alike; 0 where unknown or in shadow."""
        return np.sqrt(np.nan_to_num(self.intensity, nan=0.0))

    def position(self, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Return Earth-fixed positions of some rows of the window, (y, x, 3) metres."""
        return earth_fixed(self.longitude[rows], self.latitude[rows], self.height[rows])


def ground_of(
    geometry: RadarGeometry,
    dem_longitude: NDArray[np.floating],
    dem_latitude: NDArray[np.floating],
    dem_height: NDArray[np.floating],
    window: Window | None = None,
    *,
    coverage: float = 0.5,
    name: str = "reference image",
) -> GroundGrid:
    """Find the ground that each pixel of an image shows.

    Parameters
    ----------
    geometry : RadarGeometry
        Of the image.
    dem_longitude, dem_latitude : (m, n) array
        Degrees, of the DEM's nodes; (n,) longitudes and (m, 1) latitudes of a regular grid do as well.
    dem_height : (m, n) array
        Metres above the **ellipsoid**, NaN where unknown.
    window : Window, optional
        Part of the image; all of it by default.
    coverage : float
        Share of the pixels whose ground must be known, in [0, 1].
    name : str
        What messages call the image.

    Returns
    -------
    GroundGrid

    Raises
    ------
    DemCoverageError
        If the DEM covers less than `coverage` of the window.
    OrbitTooShortError
        If the state vectors end before the rows of the window.
    ValueError
        If the shapes do not agree.

    Notes
    -----
    Between its nodes the DEM is a cubic surface (bilinear beside gaps), cut into cells of three pixels at most; over
    such a cell the place in the image is linear to 1e-4 pixels. In layover the highest sheet is kept, which lies
    farthest out and continues behind. Mountains outside the window cast no shadow into it.

    The simulated intensity is the area of the ground in each pixel, summed over all sheets that face the radar: it
    grows as ``1 / sin(local incidence)``.
    """
    window = window or Window(0, 0, *geometry.shape)
    check_orbit(geometry, window, name)
    lon, lat, height = (np.asarray(a, np.float64) for a in np.broadcast_arrays(dem_longitude, dem_latitude, dem_height))
    check_shape("dem_height", np.asarray(dem_height), lon.shape)
    lon = lon.flat[0] + (lon - lon.flat[0] + 180.0) % 360.0 - 180.0
    shape = (window.height, window.width)
    out_lon, out_lat = np.full(shape, np.nan), np.full(shape, np.nan)
    out_height = np.full(shape, -np.inf, np.float32)
    layover, area = np.zeros(shape, np.bool_), np.zeros(shape)
    satellite, _ = geometry.orbit.at(geometry.times(window.y + np.arange(window.height)))
    part = cut_dem(geometry, lon, lat, height, window)
    if part is not None:
        for surface in part.pieces(_BLOCK):
            ground = earth_fixed(*surface)
            place = geometry.place(ground)
            at = (place.row - window.y, place.column - window.x)
            draw_ground(at, surface, part.regular, (out_lon, out_lat, out_height, layover))
            add_area(at, ground, satellite, area)
    known = np.isfinite(out_height)
    _check_coverage(float(known.mean()), coverage, part, geometry, window, name)
    out_height[~known] = np.nan
    shadow = np.zeros(shape, np.bool_)
    for rows in _blocks(shape):
        mark_shadow(satellite[rows], earth_fixed(out_lon[rows], out_lat[rows], out_height[rows]), shadow[rows])
    grid = GroundGrid(geometry, window, out_lon, out_lat, out_height, layover, shadow, np.empty(shape, np.float32))
    grid.intensity[:] = np.where(known, np.where(shadow & ~layover, 0.0, area / _level_area(grid)), np.nan)
    return grid


def lookup_table(
    ground: GroundGrid, geometry: RadarGeometry, *, overlap: float = 0.1, name: str = "secondary image"
) -> LookupTable:
    """Find where another image shows the ground of the reference.

    Parameters
    ----------
    ground : GroundGrid
        Of the reference.
    geometry : RadarGeometry
        Of the other image.
    overlap : float
        Share of the reference's pixels that the other image must show, in [0, 1].
    name : str
        What messages call the other image.

    Returns
    -------
    LookupTable
        NaN where the ground is unknown or the other orbit does not pass it.

    Raises
    ------
    OppositeLookError
        If the two look from different sides.
    OrbitTooShortError
        If the other image's state vectors end before its rows do.
    OtherPlaceError
        If it shows less than `overlap` of the reference.
    """
    check_same_look(ground.geometry, geometry, name)
    check_orbit(geometry, Window(0, 0, *geometry.shape), name)
    shape = ground.longitude.shape
    table = LookupTable(np.empty(shape), np.empty(shape))
    for rows in _blocks(shape):
        place = geometry.place(ground.position(rows))
        table.rows[rows], table.columns[rows] = place.row, place.column
    _check_overlap(table, ground, geometry, overlap, name)
    return table


def _blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """Cut an image into blocks of rows."""
    step = max(1, _BLOCK // shape[1])
    for first in range(0, shape[0], step):
        yield slice(first, min(first + step, shape[0]))


def _level_area(ground: GroundGrid) -> NDArray[np.float64]:
    """Return the ground area of a pixel if the ground were level, square metres, (y, x).

    Azimuth times slant range spacing over the sine of the incidence, as a polynomial through samples.
    """
    height, width = ground.longitude.shape
    y, x = np.meshgrid(
        np.arange(0, height, -(-height // _SAMPLES)), np.arange(0, width, -(-width // _SAMPLES)), indexing="ij"
    )
    y, x = (a[ground.known[y, x]] for a in (y, x))
    if y.size == 0:
        y, x = (a[:1] for a in np.nonzero(ground.known))
    lon, lat = ground.longitude[y, x], ground.latitude[y, x]
    position = earth_fixed(lon, lat, ground.height[y, x])
    up = earth_fixed(lon, lat, 1.0) - earth_fixed(lon, lat, 0.0)
    to_satellite, _ = seen_from(ground.geometry, position)
    sine = np.linalg.norm(np.cross(to_satellite, up), axis=-1)
    time = zero_doppler(ground.geometry.orbit, position)
    slant = ground.geometry.axis.metres((x + ground.window.x).astype(np.float64), time)
    area = ground.geometry.azimuth_metres(position) * slant / sine
    v, u = y / height - 0.5, x / width - 0.5
    powers = np.stack([np.ones(len(u)), u, u * u, v], axis=-1)
    factors = np.linalg.lstsq(powers, area)[0]
    v, u = (np.arange(height) / height - 0.5)[:, np.newaxis], np.arange(width) / width - 0.5
    return np.asarray(factors[0] + factors[1] * u + factors[2] * u * u + factors[3] * v)


def _check_coverage(
    share: float, wanted: float, part: DemPart | None, geometry: RadarGeometry, window: Window, name: str
) -> None:
    """Raise DemCoverageError unless enough of an image is covered."""
    if share >= wanted and share > 0:
        return
    box = footprint(geometry, window, part.middle if part is not None else 0.0)
    reach = f"one that reaches {box}" if box is not None else "one of the image's place"
    raise DemCoverageError(f"DEM: covers {share:.0%} of the {name}, {wanted:.0%} are needed; give {reach}")


def _check_overlap(table: LookupTable, ground: GroundGrid, geometry: RadarGeometry, wanted: float, name: str) -> None:
    """Raise OtherPlaceError unless enough of the reference lies in the other image."""
    rows, columns = geometry.shape
    inside = (table.rows >= 0) & (table.rows <= rows - 1) & (table.columns >= 0) & (table.columns <= columns - 1)
    share = float(inside.sum() / max(int(ground.known.sum()), 1))
    if share >= wanted and share > 0:
        return
    box = footprint(geometry)
    there = f"lies at {box}" if box is not None else "looks past the Earth"
    here = footprint(ground.geometry, ground.window)
    raise OtherPlaceError(
        f"{name}: shows {share:.0%} of the reference, {wanted:.0%} are needed: it {there}, the reference at {here}; "
        "leave it out, or give its frame of the reference's place"
    )
