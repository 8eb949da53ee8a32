"""Hills seen by circular passes: images whose every pixel is drawn at its own ground, found without any DEM."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from groundshift.geometry.orbits import Orbit, earth_fixed
from groundshift.geometry.radar import RadarGeometry, SlantAxis
from groundshift.offsets.ortho_checks import ground_at

LON, LAT = 98.70, 31.08
BASE = 3000.0
"""Metres."""
_RADIUS = 7_070_000.0
_RATE = 1.06e-3
_METRES = 111_200.0

Heights = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def east_north(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres from the middle of the scene, nearly."""
    return (lon - LON) * _METRES * np.cos(np.radians(LAT)), (lat - LAT) * _METRES


def hills(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth hills of 440 m, too gentle for layover."""
    east, north = east_north(lon, lat)
    return BASE + 220.0 * np.sin(east / 700.0) * np.cos(north / 600.0 + 0.4)


def rough(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those hills with gullies and ribs."""
    rng = np.random.default_rng(5)
    east, north = east_north(lon, lat)
    total = hills(lon, lat)
    for _ in range(30):
        length, way = rng.uniform(150, 500), rng.uniform(0, 2 * np.pi)
        wave = 2 * np.pi / length
        total = total + 0.008 * length * np.cos(
            wave * (np.cos(way) * east + np.sin(way) * north) + rng.uniform(0, 2 * np.pi)
        )
    return total


def level(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """A plain."""
    return np.full(np.broadcast_shapes(np.shape(lon), np.shape(lat)), BASE)


def texture(lon: NDArray[np.float64], lat: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Amplitude of the ground: waves of 70 to 300 m in all directions, positive."""
    rng = np.random.default_rng(seed)
    east, north = east_north(lon, lat)
    total = np.zeros(np.shape(lon))
    for _ in range(24):
        wave, way = 2 * np.pi / rng.uniform(70, 300), rng.uniform(0, 2 * np.pi)
        total += np.cos(wave * (np.cos(way) * east + np.sin(way) * north) + rng.uniform(0, 2 * np.pi))
    return np.exp(0.13 * total)


def a_pass(
    *,
    heading: float = 350.0,
    incidence: float = 38.0,
    spacing: tuple[float, float] = (9.0, 7.0),
    shape: tuple[int, int] = (400, 320),
    right_looking: bool = True,
    lon: float = LON,
    lat: float = LAT,
) -> RadarGeometry:
    """A circular pass whose middle pixel shows the middle of the scene, at its height, at the incidence asked for."""
    target = earth_fixed(lon, lat, BASE)
    up = earth_fixed(lon, lat, BASE + 1.0) - target
    east = np.cross([0, 0, 1.0], up)
    east /= np.linalg.norm(east)
    way = np.radians(heading + (90.0 if right_looking else -90.0))
    outwards = np.sin(way) * east + np.cos(way) * np.cross(up, east)
    angle = np.radians(incidence)
    sight = np.cos(angle) * up - np.sin(angle) * outwards
    along = float(sight @ target)
    distance = -along + np.sqrt(along**2 + _RADIUS**2 - float(target @ target))
    start = target + distance * sight
    ahead = np.cross(sight, start) * (1.0 if right_looking else -1.0)
    ahead *= _RADIUS / np.linalg.norm(ahead)
    times = np.arange(-40.0, 41.0, 10.0)
    turn = (_RATE * times)[:, np.newaxis]
    orbit = Orbit(
        times, np.cos(turn) * start + np.sin(turn) * ahead, _RATE * (np.cos(turn) * ahead - np.sin(turn) * start)
    )
    interval = spacing[0] / (_RATE * 6.37e6)
    near = distance - spacing[1] * (shape[1] - 1) / 2
    return RadarGeometry(
        orbit, shape, -interval * (shape[0] - 1) / 2, interval, SlantAxis(near, spacing[1]), 0.236, right_looking
    )


def dem_around(heights: Heights, half: float = 0.035, step: float = 1 / 3600) -> tuple[NDArray[np.float64], ...]:
    """Longitudes (n,), latitudes (m, 1) from the north and heights of a DEM around the scene."""
    along = np.arange(-half, half, step)
    lon, lat = LON + along, (LAT - along)[:, np.newaxis]
    return lon, lat, heights(lon, lat)


@cache
def ground_seen(geometry: RadarGeometry, heights: Heights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude that each pixel shows, where each shows one place.

    The ground of a place and a height is a polynomial of both; the height is that at which the surface lies (Newton).
    """
    nodes = [np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in (5, 6, 6)]
    rows, columns = ((n - 1) / 2 for n in geometry.shape)
    r, c, h = np.meshgrid(*nodes, indexing="ij")
    places = ground_at(geometry, rows * (1 + r), columns * (1 + c), BASE + 1000.0 * h)
    basis = chebyshev.chebvander3d(r.ravel(), c.ravel(), h.ravel(), (4, 5, 5))
    lon_of, lat_of = (np.linalg.solve(basis, p.ravel()).reshape(5, 6, 6) for p in places)
    y, x = (np.linspace(-1, 1, n) for n in geometry.shape)
    by_row = [
        np.einsum("abc,ya,xb->yxc", f, chebyshev.chebvander(y, 4), chebyshev.chebvander(x, 5), optimize=True)
        for f in (lon_of, lat_of)
    ]

    def at(height: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        powers = chebyshev.chebvander((height - BASE) / 1000.0, 5)
        return np.sum(by_row[0] * powers, axis=-1), np.sum(by_row[1] * powers, axis=-1)

    height = np.full(geometry.shape, BASE)
    for _ in range(5):
        miss, above = heights(*at(height)) - height, heights(*at(height + 0.5)) - height - 0.5
        height = height - miss * 0.5 / (above - miss)
    assert np.abs(heights(*at(height)) - height).max() < 1e-3
    return at(height)


def image_of(geometry: RadarGeometry, heights: Heights = hills, north_m: Heights | None = None) -> NDArray[np.float32]:
    """The texture as an image shows it, after some of it has moved northwards by so many metres."""
    lon, lat = ground_seen(geometry, heights)
    moved = north_m(lon, lat) / _METRES if north_m is not None else 0.0
    return texture(lon, lat - moved).astype(np.float32)
