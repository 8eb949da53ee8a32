"""Images in true radar geometry: circular orbits over known terrain, the phase being -4 pi / wavelength times range.

Lines are times of zero Doppler of the first date, columns its slant ranges; the ground of each pixel is where its
circle meets the terrain. Ranges of all dates are the closed form for a circle.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

import numpy as np
from tests.products_slc.scene import SPEED, OrbitArc, SlcLayer, SlcScene, make_slc_scene

from groundshift.geometry.orbits import earth_fixed
from groundshift.io.slc import SlcStack

LINES, COLUMNS = 60, 160
NEAR = 849_700.0
SPACING = 2.329562
INTERVAL = 2.0555563e-3
LON, LAT, RADIUS = 101.9645, 30.8405, 0.02
"""Middle of the terrain and half its width, degrees."""


@dataclass(frozen=True)
class RadarScene:
    """Dates with baselines of 0, 35.5, -20.25 and 80 m, as those of `make_slc_scene`."""

    scene: SlcScene

    @property
    def layers(self) -> tuple[SlcLayer, ...]:
        return self.scene.layers

    def orbit(self, layer: SlcLayer) -> OrbitArc:
        return self.scene.orbit(layer)

    def terrain(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Height in metres: hills of 40 m, some hundred metres wide."""
        return 2300 + 40 * np.sin((lon - LON) * 900) * np.cos((lat - LAT) * 700)

    def seen(self, layer: SlcLayer, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Time of zero Doppler (seconds) and range (metres) of points: the closed form of a circle."""
        arc = self.orbit(layer)
        middle = len(arc.times) // 2
        centre = arc.positions[middle]
        radius = np.linalg.norm(centre)
        along, ahead = ground @ arc.velocities[middle] / SPEED, ground @ centre / radius
        distance = np.sqrt(np.sum(ground**2, axis=-1) + radius**2 - 2 * radius * np.hypot(along, ahead))
        return np.arctan2(along, ahead) * radius / SPEED, distance

    def position(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        """Earth-fixed position of the terrain."""
        return earth_fixed(lon, lat, self.terrain(lon, lat))

    @cached_property
    def lonlat(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel lies: Newton's way on time and range of the first date."""
        line, column = np.mgrid[:LINES, :COLUMNS].astype(float)
        lon, lat = np.full(line.shape, LON), np.full(line.shape, LAT)
        step = 1e-6
        for _ in range(40):
            y, x = self.pixel(self.position(lon, lat))
            yl, xl = self.pixel(self.position(lon + step, lat))
            yb, xb = self.pixel(self.position(lon, lat + step))
            a, b, c, d = (yl - y) / step, (yb - y) / step, (xl - x) / step, (xb - x) / step
            miss_y, miss_x = line - y, column - x
            move_lon = (d * miss_y - b * miss_x) / (a * d - b * c)
            move_lat = (a * miss_x - c * miss_y) / (a * d - b * c)
            # Half-way until near, for the terrain bends.
            lon, lat = lon + 0.7 * move_lon, lat + 0.7 * move_lat
        assert np.abs(miss_y).max() < 1e-6
        assert np.abs(miss_x).max() < 1e-6
        return lon, lat

    def pixel(self, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Line and column of points."""
        times, ranges = self.seen(self.layers[0], ground)
        return times / INTERVAL + (LINES - 1) / 2, (ranges - NEAR) / SPACING

    def image(self, layer: SlcLayer) -> np.ndarray:
        """Magnitude 100, phase exactly that of the range."""
        _, distance = self.seen(layer, self.position(*self.lonlat))
        return (100 * np.exp(-4j * np.pi / self.scene.wavelength * distance)).astype(np.complex64)

    def flat(self, stack: SlcStack, index: int) -> np.ndarray:
        """Phase of the pair of the first date and another, once the path is taken out."""
        one, two = (
            stack.read(day) * np.exp(4j * np.pi / stack.wavelength * stack.read_path(day, stack.full))
            for day in (stack.dates[0], stack.dates[index])
        )
        return np.angle(one * two.conj())


def make_radar_scene() -> RadarScene:
    scene = make_slc_scene()
    days = (0, 12, 24, 60)
    layers = tuple(
        replace(layer, day=date(2018, 7, 2) + timedelta(n), image=np.ones((LINES, COLUMNS), np.complex64))
        for layer, n in zip(scene.layers, days, strict=True)
    )
    return RadarScene(replace(scene, layers=layers))
