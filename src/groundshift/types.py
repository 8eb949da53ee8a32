"""The nouns of Groundshift: looks, windows, pairs, and grids that know how pixels lie on Earth.

Arrays are (..., y, x), rows first. Pixel coordinates count from the centre of the first pixel: (0, 0) is that
centre and (-0.5, -0.5) its outer corner. Signs and axes are stated in docs/conventions.md.
"""

import math
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from groundshift.constants import DAYS_PER_YEAR, EARTH_RADIUS

__all__ = ["Grid", "LookGeometry", "Looks", "MapGrid", "Pair", "RadarGrid", "Window"]


class Looks(NamedTuple):
    """Pixels averaged into one, along rows and columns."""

    y: int
    x: int


class Window(NamedTuple):
    """A rectangle of pixels: first row, first column, height and width."""

    y: int
    x: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Rows covered, as a slice."""
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        """Columns covered, as a slice."""
        return slice(self.x, self.x + self.width)


@dataclass(frozen=True, order=True)
class Pair:
    """Two acquisitions, the earlier one first.

    `perpendicular_baseline` is in metres, or None where the product does not tell.
    """

    reference: date
    secondary: date
    perpendicular_baseline: float | None = None

    def __post_init__(self) -> None:
        if self.reference >= self.secondary:
            raise ValueError(
                f"reference must be earlier than secondary, instead got {self.reference} and {self.secondary}"
            )

    @property
    def days(self) -> int:
        """Temporal baseline in days."""
        return (self.secondary - self.reference).days

    @property
    def years(self) -> float:
        """Temporal baseline in years of 365.25 days."""
        return self.days / DAYS_PER_YEAR

    @property
    def name(self) -> str:
        """`YYYYMMDD_YYYYMMDD`."""
        return f"{self.reference:%Y%m%d}_{self.secondary:%Y%m%d}"


@dataclass(frozen=True)
class LookGeometry:
    """How the satellite looks at the scene centre.

    `heading` is the flight direction in degrees clockwise from north, `incidence` the angle between the line of
    sight and the vertical on the ground, in degrees; the radar looks to the right unless `right_looking` is False.
    """

    heading: float
    incidence: float
    right_looking: bool = True

    @property
    def direction(self) -> str:
        """`ascending` or `descending`."""
        return "ascending" if math.cos(math.radians(self.heading)) > 0 else "descending"

    @property
    def to_satellite(self) -> tuple[float, float, float]:
        """Unit vector from ground to satellite: east, north, up."""
        side = 1.0 if self.right_looking else -1.0
        h, inc = math.radians(self.heading), math.radians(self.incidence)
        return (
            -side * math.sin(inc) * math.cos(h),
            side * math.sin(inc) * math.sin(h),
            math.cos(inc),
        )


@dataclass(frozen=True)
class MapGrid:
    """Pixels on a map: rows run against north, columns along east.

    `transform` is the affine of rasterio (outer corner of the first pixel), without rotation; `crs` anything that
    pyproj understands, as a string.
    """

    shape: tuple[int, int]
    transform: Affine
    crs: str

    axis_names = ("north", "east")
    """What a gradient along rows and along columns is called."""

    @cached_property
    def axis_signs(self) -> tuple[int, int]:
        """+1 where the array index grows along the named axis, else -1; a north-up map has (-1, +1)."""
        return (1 if self.transform.e > 0 else -1, 1 if self.transform.a > 0 else -1)

    @cached_property
    def spacing(self) -> tuple[float, float]:
        """Pixel size on the ground in metres, along rows and columns, at the grid centre."""
        dy, dx = abs(self.transform.e), abs(self.transform.a)
        crs = CRS.from_user_input(self.crs)
        if crs.is_geographic:
            _, lat = self.transform @ (self.shape[1] / 2, self.shape[0] / 2)
            metres = math.radians(1.0) * EARTH_RADIUS
            return (dy * metres, dx * metres * math.cos(math.radians(lat)))
        unit = float(crs.axis_info[0].unit_conversion_factor)
        return (dy * unit, dx * unit)

    @cached_property
    def _to_lonlat(self) -> Transformer:
        return Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)

    def lonlat(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude in degrees of pixel coordinates (fractions allowed, also outside the grid)."""
        y, x = np.asarray(y, np.float64) + 0.5, np.asarray(x, np.float64) + 0.5
        t = self.transform
        lon, lat = self._to_lonlat.transform(t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f)
        return np.asarray(lon), np.asarray(lat)

    def multilooked(self, looks: Looks) -> "MapGrid":
        """Return the grid after `looks`; rows and columns that do not fill a look are cut off."""
        shape = (self.shape[0] // looks.y, self.shape[1] // looks.x)
        return replace(self, shape=shape, transform=self.transform @ Affine.scale(looks.x, looks.y))

    def shifted(self, dy: float, dx: float) -> "MapGrid":
        """Return the grid moved by a fraction of a pixel: its pixel (0, 0) lies where (dy, dx) lay."""
        return replace(self, transform=self.transform @ Affine.translation(dx, dy))

    def cropped(self, window: Window) -> "MapGrid":
        """Return the part of the grid that `window` covers."""
        moved = self.shifted(window.y, window.x)
        return replace(moved, shape=(window.height, window.width))


@dataclass(frozen=True, eq=False)
class RadarGrid:
    """Pixels in radar geometry: rows along azimuth (flight direction), columns along range.

    `spacing` is the pixel size on the ground in metres (azimuth, ground range). `longitude` and `latitude` are
    float64 arrays of `shape` in degrees at pixel centres, NaN where unknown; None where the product has none.
    `origin` is the pixel coordinate of this grid's pixel (0, 0) on the lookup arrays, and `step` the number of
    lookup pixels per pixel, so that a multilooked or shifted grid keeps the arrays it was made from.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    longitude: NDArray[np.float64] | None = None
    latitude: NDArray[np.float64] | None = None
    origin: tuple[float, float] = (0.0, 0.0)
    step: tuple[int, int] = (1, 1)

    axis_names = ("azimuth", "range")
    """What a gradient along rows and along columns is called."""

    axis_signs = (1, 1)
    """The array index grows along both named axes."""

    def lonlat(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude in degrees of pixel coordinates; NaN where the lookup knows none.

        Bilinear between lookup pixels, continued linearly up to one pixel outside.
        """
        y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
        if self.longitude is None or self.latitude is None:
            nothing = np.full(np.broadcast(y, x).shape, np.nan)
            return nothing, nothing.copy()
        yy = self.origin[0] + y * self.step[0]
        xx = self.origin[1] + x * self.step[1]
        return _bilinear(self.longitude, yy, xx), _bilinear(self.latitude, yy, xx)

    def multilooked(self, looks: Looks) -> "RadarGrid":
        """Return the grid after `looks`; rows and columns that do not fill a look are cut off."""
        return replace(
            self,
            shape=(self.shape[0] // looks.y, self.shape[1] // looks.x),
            spacing=(self.spacing[0] * looks.y, self.spacing[1] * looks.x),
            origin=(
                self.origin[0] + self.step[0] * (looks.y - 1) / 2,
                self.origin[1] + self.step[1] * (looks.x - 1) / 2,
            ),
            step=(self.step[0] * looks.y, self.step[1] * looks.x),
        )

    def shifted(self, dy: float, dx: float) -> "RadarGrid":
        """Return the grid moved by a fraction of a pixel: its pixel (0, 0) lies where (dy, dx) lay."""
        origin = (self.origin[0] + dy * self.step[0], self.origin[1] + dx * self.step[1])
        return replace(self, origin=origin)

    def cropped(self, window: Window) -> "RadarGrid":
        """Return the part of the grid that `window` covers."""
        return replace(self.shifted(window.y, window.x), shape=(window.height, window.width))


Grid = MapGrid | RadarGrid


def _bilinear(field: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate at fractional pixel coordinates, continuing linearly up to one pixel outside."""
    height, width = field.shape
    y0 = np.clip(np.floor(y), 0, max(height - 2, 0)).astype(np.intp)
    x0 = np.clip(np.floor(x), 0, max(width - 2, 0)).astype(np.intp)
    y1, x1 = np.minimum(y0 + 1, height - 1), np.minimum(x0 + 1, width - 1)
    fy, fx = y - y0, x - x0
    top = _share(field[y0, x0], 1 - fx) + _share(field[y0, x1], fx)
    bottom = _share(field[y1, x0], 1 - fx) + _share(field[y1, x1], fx)
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    return np.where(inside, _share(top, 1 - fy) + _share(bottom, fy), np.nan)


def _share(value: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh a value; one without weight counts nothing even if it is NaN, so that holes do not grow."""
    return np.where(weight == 0, 0.0, value * weight)
