"""A small scene of single-look images whose every number is known, for the writers in this folder.

How to join the contract suite (tests/contracts/test_slc_readers.py) with a reader: list its module in `SLC_READERS` of
`groundshift.io.open_slcs`, and add `tests/products_slc/<name>.py` with

- `NAME`: the reader's `PRODUCT`; `MODULE`: where it lives, such as `"groundshift.io.slc_gamma"`;
- `write(folder, scene) -> Path`: write every `SlcLayer` of `scene.layers` in the product's own layout, number type and
  byte order under `folder` (which exists), and return the path that a user would give. Names and headers carry the
  layer's `day`; `copy` 1 is a second file of the same date (another processing time, suffix or folder); images may
  contain NaN and inf, and may have another grid than the scene's. Write them as they are. Where "path" is in `GIVES`,
  write `scene.unflattened(layer)` instead of `layer.image`; the reader then gives `scene.path(layer)`, which is that of
  the orbits `scene.orbit(layer)` to the scene's pixels at the scene's heights.

and, only where the answer differs from the default below:

- `CRS = "EPSG:4326"`: coordinate system of the scene wanted (projected ones have 40 m pixels); a product in radar
  geometry has `scene.lonlat()` as its lookup;
- `GIVES = ALL - {"path"}`: a set out of `ALL`, what the product tells: "heights", "baselines", "wavelength", "look",
  "mask", "path";
- `LOCATION_PIXELS = 0.01`: how far the position of a pixel may be off; infinite where the product has no positions;
- `IMAGE_TOLERANCE = 1e-6`: of images, relative to `scene.AMPLITUDE`;
- `PATH_TOLERANCE = 1e-4`, `BASELINE_TOLERANCE = 0.06`: metres; `LOOK_TOLERANCE = 2e-3`: of the vector to the satellite;
- `CANNOT = frozenset()`: inputs that the layout cannot express: "doubled" (a date twice), "differing" (a date on
  another grid), "companion" (no second file whose absence matters), "truncated", "nonfinite" (whole numbers),
  "bursts" (more than one stack under one path);
- `ONE_FILE = False`: all dates live in one file, so that a truncated file is an error at open;
- `remove_companion(root, day)`: take away a file that this date needs (by default `stack.files[day][-1]` goes);
- `write_bursts(folder, scenes) -> Path`: write scenes that differ in `burst` side by side (by default each is written
  by `write` into `folder / scene.burst`, and `folder` is given). The reader's `track` is the burst where the product
  names it, else the folder's name, so that it is `scene.burst` either way.

What becomes of the dates that a reader found is settled by `groundshift.io.slc_agree`.
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from groundshift.types import LookGeometry, MapGrid

__all__ = ["ALL", "AMPLITUDE", "OrbitArc", "SlcLayer", "SlcScene", "make_slc_scene"]

ALL = frozenset({"heights", "baselines", "wavelength", "look", "mask", "path"})

AMPLITUDE = 100.0
"""Typical magnitude of a pixel; all lie within a factor of two of it."""

SLANT_RANGE = 850_000.0
"""Metres from the centre of the scene to the satellite, at zero Doppler of the first date."""

SPEED = 7590.0
"""Metres per second along the orbit."""


class OrbitArc(NamedTuple):
    """State vectors in the Earth-fixed frame; zero Doppler of the scene's centre is at time 0."""

    times: NDArray[np.float64]
    """Seconds, shape (n,)."""
    positions: NDArray[np.float64]
    """Metres, shape (n, 3)."""
    velocities: NDArray[np.float64]
    """Metres per second, shape (n, 3)."""


@dataclass(frozen=True)
class SlcLayer:
    """One image, as a product writes it that has taken the path to the terrain out of the phase."""

    day: date
    image: NDArray[np.complex64]
    """(y, x); zero without data; phase -4 pi / wavelength times the way the ground has moved away."""
    baseline: float
    """Perpendicular, relative to the first date, metres."""
    grid: MapGrid
    copy: int = 0

    @property
    def name(self) -> str:
        """`YYYYMMDD`."""
        return f"{self.day:%Y%m%d}"

    @property
    def expected(self) -> NDArray[np.complex64]:
        """What the reader must return: the image, zero where it is not finite."""
        return np.where(np.isfinite(self.image), self.image, 0).astype(np.complex64)


@dataclass(frozen=True)
class SlcScene:
    """Images on one grid, with terrain, usable pixels and the orbits."""

    grid: MapGrid
    layers: tuple[SlcLayer, ...]
    heights: NDArray[np.float32]
    """Metres above the ellipsoid."""
    usable: NDArray[np.bool_]
    """Neither layover nor shadow."""
    burst: str = "T144-308029-IW1"
    wavelength: float = 0.055465763
    look: LookGeometry = field(default_factory=lambda: LookGeometry(heading=-169.8, incidence=37.3))

    @property
    def dates(self) -> tuple[date, ...]:
        """Dates of the layers, each once, ascending."""
        return tuple(sorted({layer.day for layer in self.layers}))

    def lonlat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of every pixel centre, in degrees."""
        return self.grid.lonlat(*np.mgrid[: self.grid.shape[0], : self.grid.shape[1]].astype(np.float64))

    @cached_property
    def ground(self) -> NDArray[np.float64]:
        """Earth-fixed positions of every pixel at its height, metres, shape (y, x, 3)."""
        return _to_earth_fixed(*self.lonlat(), self.heights)

    @cached_property
    def _frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Position of the satellite at time 0 of the first date, direction of flight, direction of positive baselines.

        The flight is at right angles to the line of sight of the scene's centre and to the satellite's own vertical.
        Positive baselines see the ground under a larger incidence.
        """
        y, x = ((n - 1) / 2 for n in self.grid.shape)
        lon, lat = (float(v) for v in self.grid.lonlat(np.asarray(y), np.asarray(x)))
        height = float(np.mean(self.heights))
        sin_lon, cos_lon = np.sin(np.radians(lon)), np.cos(np.radians(lon))
        sin_lat, cos_lat = np.sin(np.radians(lat)), np.cos(np.radians(lat))
        east = np.array([-sin_lon, cos_lon, 0.0])
        north = np.array([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat])
        up = np.array([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
        e, n, u = self.look.to_satellite
        sight = e * east + n * north + u * up
        start = _to_earth_fixed(np.asarray(lon), np.asarray(lat), np.asarray(height)) + SLANT_RANGE * sight
        flight = np.cross(start, sight)
        heading = np.radians(self.look.heading)
        flight *= np.sign(flight @ (np.sin(heading) * east + np.cos(heading) * north)) / np.linalg.norm(flight)
        across = np.cross(sight, flight)
        return start, flight, across * -np.sign(across @ up)

    def orbit(self, layer: SlcLayer) -> OrbitArc:
        """Thirteen state vectors of a circular orbit, ten seconds apart, time 0 in the middle."""
        start, flight, across = self._frame
        centre = start + layer.baseline * across
        radius = float(np.linalg.norm(centre))
        times = 10.0 * np.arange(-6, 7)
        angle = times[:, None] * SPEED / radius
        positions = np.cos(angle) * centre + np.sin(angle) * radius * flight
        velocities = SPEED * (np.cos(angle) * flight - np.sin(angle) * centre / radius)
        return OrbitArc(times, positions, velocities)

    def slant_range(self, layer: SlcLayer) -> NDArray[np.float64]:
        """Zero-Doppler distance of every pixel in metres: the closed form for a circular orbit."""
        start, flight, across = self._frame
        centre = start + layer.baseline * across
        radius = np.linalg.norm(centre)
        nearest = np.hypot(self.ground @ centre / radius, self.ground @ flight)
        return np.sqrt(np.sum(self.ground**2, axis=-1) + radius**2 - 2 * radius * nearest)

    def zero_doppler(self, layer: SlcLayer) -> NDArray[np.float64]:
        """Time of zero Doppler of every pixel, seconds."""
        start, flight, across = self._frame
        centre = start + layer.baseline * across
        radius = np.linalg.norm(centre)
        return np.arctan2(self.ground @ flight, self.ground @ centre / radius) * radius / SPEED

    def path(self, layer: SlcLayer) -> NDArray[np.float64]:
        """Distance of every pixel less that of the first date, metres."""
        return self.slant_range(layer) - self.slant_range(self.layers[0])

    def unflattened(self, layer: SlcLayer) -> NDArray[np.complex64]:
        """The image with its path still in the phase; on another grid than the scene's it has none."""
        path = self.path(layer) if layer.image.shape == self.grid.shape else 0.0
        phasor = np.exp(-4j * np.pi / self.wavelength * path)
        with np.errstate(invalid="ignore"):
            return (layer.image * phasor).astype(np.complex64)

    def with_layer(self, index: int, layer: SlcLayer) -> "SlcScene":
        """Return the scene with one layer replaced."""
        return replace(self, layers=(*self.layers[:index], layer, *self.layers[index + 1 :]))

    def doubled(self, index: int) -> "SlcScene":
        """Return the scene with one layer given twice."""
        return replace(self, layers=(*self.layers, replace(self.layers[index], copy=1)))

    def differing(self, index: int) -> "SlcScene":
        """Return the scene with one layer two rows higher and three columns wider, half a pixel beside the others."""
        layer = self.layers[index]
        y, x = layer.grid.shape[0] + 2, layer.grid.shape[1] + 3
        grid = replace(layer.grid.shifted(0.5, 0.5), shape=(y, x))
        return self.with_layer(index, replace(layer, image=np.resize(layer.image, (y, x)), grid=grid))

    def emptied(self, index: int) -> "SlcScene":
        """Return the scene with one layer that has no data at all."""
        layer = self.layers[index]
        return self.with_layer(index, replace(layer, image=np.zeros_like(layer.image)))

    def poisoned(self, index: int) -> "SlcScene":
        """Return the scene with values that are not finite in three pixels of one layer: (5, 6), (7, 8), (9, 3)."""
        image = self.layers[index].image.copy()
        image[[5, 7, 9], [6, 8, 3]] = np.nan, np.inf, complex(1, -np.inf)
        return self.with_layer(index, replace(self.layers[index], image=image))

    def neighbour(self, burst: str) -> "SlcScene":
        """Return another burst: 20 rows further down, of twice the magnitude, without the last date."""
        grid = self.grid.shifted(20, 0)
        layers = tuple(replace(layer, image=2 * layer.image, grid=grid) for layer in self.layers[:-1])
        return replace(self, grid=grid, layers=layers, burst=burst)


def make_slc_scene(crs: str = "EPSG:4326", shape: tuple[int, int] = (40, 30)) -> SlcScene:
    """Make four images near 101.97 E 30.84 N, of 2018-07-02 and 12, 24 and 60 days later.

    All share one speckle. The ground moves away by `(0.2 y - 0.13 x + 0.4)` radians in 12 days, steadily. The first
    three rows, the last two columns and a patch of 4 x 5 pixels have no data.
    """
    if crs == "EPSG:4326":
        transform = Affine(0.001, 0, 101.95, 0, -0.001, 30.86)
    else:
        transform = Affine(40, 0, 210_000, 0, -40, 3_416_000)
    grid = MapGrid(shape, transform, crs)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    valid = (y >= 3) & (x < shape[1] - 2)
    valid[20:24, 10:15] = False
    rng = np.random.default_rng(144)
    speckle = AMPLITUDE * rng.uniform(0.5, 2.0, shape) * np.exp(2j * np.pi * rng.random(shape))
    layers = []
    for days, baseline in ((0, 0.0), (12, 35.5), (24, -20.25), (60, 80.0)):
        away = days / 12 * (0.2 * y - 0.13 * x + 0.4)
        image = np.where(valid, speckle * np.exp(-1j * away), 0).astype(np.complex64)
        layers.append(SlcLayer(date(2018, 7, 2) + timedelta(days), image, baseline, grid))
    heights = (2000 + 12 * y + 7 * x + 30 * np.sin(0.3 * x)).astype(np.float32)
    usable = np.ones(shape, bool)
    usable[28:33, 4:9] = False
    return SlcScene(grid, tuple(layers), heights, usable)


def _to_earth_fixed(lon: NDArray[np.float64], lat: NDArray[np.float64], height: NDArray[np.floating]) -> NDArray:
    """Positions in metres, shape (..., 3), of degrees and heights above the ellipsoid."""
    transformer = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    return np.stack(transformer.transform(lon, lat, np.asarray(height, np.float64)), axis=-1)
