"""Zones of slides fast enough to show in interferograms of 6 to 18 days, on a map, with outlines of what shows.

A zone is a scene of the batched simulator: land, cover, slides that stop and go, air, decorrelation. Its interferograms
are filtered after Goldstein and taken to a map of WGS84 degrees, as those of the ISSLIDE data set are. A movement is
outlined in an interferogram where a geomorphologist could see it there.
"""

import dataclasses
import math
from datetime import date, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import shapely
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from shapely.geometry.base import BaseGeometry

from groundshift.constants import EARTH_RADIUS, SENTINEL1_WAVELENGTH
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.decorrelation import noisy
from groundshift.simulate.batched.draws import generator
from groundshift.simulate.batched.ground import make_ground
from groundshift.simulate.batched.igrams import Interferograms
from groundshift.simulate.batched.products import goldstein, smooth
from groundshift.simulate.batched.types import Ground, Kind, Network
from groundshift.simulate.segments.config import ZoneConfig
from groundshift.simulate.segments.courses import stop_and_go
from groundshift.types import MapGrid, Pair

__all__ = ["Outline", "SegmentZone", "draw_zone", "set_seed", "zone_name"]

_COURSES, _NETWORK, _DELIVERY, _NOISE, _FOREST = 401, 402, 403, 404, 405
"""Random streams."""
_SET_SEEDS = 2**60
"""Seeds of training and of samples are at most 2**53."""
_SET_STEP = 2**20
"""More than the zones of any set."""

_PLACES = (
    ("Queyras", 6.85, 44.75), ("Vanoise", 6.85, 45.40), ("Ecrins", 6.40, 44.95), ("Ubaye", 6.75, 44.40),
    ("Beaufortain", 6.65, 45.70), ("Maurienne", 6.60, 45.15), ("Mercantour", 7.15, 44.15), ("Devoluy", 5.95, 44.70),
    ("Chablais", 6.65, 46.25), ("Belledonne", 6.05, 45.20),
)  # fmt: skip
"""Name, longitude and latitude of the upper left corner."""
_START = date(2018, 7, 2)
_BASELINE_M = 50.0
_STEPS = (1, 2, 3)
_PATCH = 16
"""Side of the patches of the filter: 64 samples in range, a quarter as many cells of looks, twice that to be even."""
_ESTIMATE = 0.6
"""Standard deviation, in working pixels, of the average that coherence is estimated with: some 30 looks, as SNAP's."""

_EDGE_RAD, _PEAK_RAD = 0.5, 1.0
"""A movement shows whose phase exceeds the second, and is outlined where it exceeds the first."""
_EDGE_SHARE = 0.15
"""Or where it exceeds this share of its peak: people draw the fringes, not the wide rim."""
_LEAST_COHERENCE = 0.3
"""Of half the body: what is less coherent is not to be trusted."""
_LEAST_PIXELS = 30
_SLACK_PIXELS = 0.7
"""By which an outline drawn by hand keeps off the steps of pixels."""


class Outline(NamedTuple):
    """What shows of one movement in one interferogram."""

    id: int
    """Of the movement in its zone, from 1 on."""
    geometry: BaseGeometry
    """WGS84 degrees."""


class _Body(NamedTuple):
    """One movement on the map."""

    id: int
    top: int
    left: int
    pattern: NDArray[np.float32]
    """Radians for each year of its course; zero outside the body."""


def set_seed(seed: int, number: int) -> int:
    """Return the seed of a zone of a written set; no seed that training on the way uses is among them.

    Examples
    --------
    >>> set_seed(0, 0) > 2**53 and set_seed(0, 1) != set_seed(1, 0)
    True
    """
    return _SET_SEEDS + seed * _SET_STEP + number


def zone_name(number: int) -> str:
    """Return the name of a zone of a set; the first one is Queyras, which paper and loader hold back."""
    return _PLACES[number][0] if number < len(_PLACES) else f"Zone{number + 1}"


def draw_zone(config: ZoneConfig, seed: int, number: int = 0) -> "SegmentZone":
    """Draw a zone; the same seed draws the same one.

    Parameters
    ----------
    config : ZoneConfig
    seed : int
        Not negative.
    number : int
        Gives its name and its place on Earth.
    """
    network = _network(config, np.random.default_rng([seed, _NETWORK]))
    batch = BatchConfig(
        shape=config.shape, scenes=1, radar_share=0, coarse_share=0, quiet_share=0,
        slides=config.slides,
        velocity_mm_yr=config.velocity_mm_yr, length_m=config.length_m,
    )  # fmt: skip
    ground = make_ground(batch, network, seed, pixel_m=config.pixel_m, device=torch.device("cpu"))
    wooded = float(np.random.default_rng([seed, _FOREST]).uniform(*config.wooded))
    ground = dataclasses.replace(
        ground, course=_courses(ground, network, config, seed), forest=ground.forest * wooded
    )  # fmt: skip
    return SegmentZone(config, seed, number, ground, network)


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentZone:
    """One zone, all of whose interferograms can be looked at in any order."""

    config: ZoneConfig
    seed: int
    number: int
    ground: Ground
    network: Network

    @property
    def name(self) -> str:
        """Of the zone."""
        return zone_name(self.number)

    @cached_property
    def grid(self) -> MapGrid:
        """The map: WGS84 degrees, pixels whose centres the scene holds."""
        metre = math.degrees(1 / EARTH_RADIUS)
        north, south = self._corner[1], self._corner[1] - self.config.shape[0] * self.config.pixel_m * metre
        wide = self.config.shape[1] * self.config.pixel_m * metre / math.cos(math.radians(self._corner[1]))
        size = self.config.pixel_deg
        shape = (math.floor((north - south) / size), math.floor(wide / size))
        return MapGrid(shape, Affine(size, 0, self._corner[0], 0, -size, north), "EPSG:4326")

    def view(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Make one interferogram of the network: wrapped phase in radians and coherence, (y, x) on the map."""
        rng = np.random.default_rng([self.seed, _DELIVERY])
        looks, alpha = rng.uniform(*self.config.looks), rng.uniform(*self.config.goldstein)
        phase = self._interferograms.phase(index)
        true = self._interferograms.coherence(index)
        noise = torch.randn((2, *phase.shape), generator=generator(phase.device, self.seed, _NOISE, index))
        real, imaginary = noisy(phase, true, torch.full((1, 1, 1), looks), noise)
        coherence = torch.hypot(smooth(real[0], _ESTIMATE), smooth(imaginary[0], _ESTIMATE)).clamp_(0, 1)
        filtered = goldstein(torch.complex(real[0], imaginary[0]), alpha, _PATCH)
        igram = self._on_map(filtered.numpy())
        return np.angle(igram).astype(np.float32), self._on_map(coherence.numpy()).astype(np.float32)

    def outlines(self, index: int) -> list[Outline]:
        """Outline the movements that show in one interferogram of the network."""
        pair = self.network.pairs[index]
        first, last = (self.network.dates.index(day) for day in (pair.reference, pair.secondary))
        way = (self.ground.course[0, :, last] - self.ground.course[0, :, first]).numpy()
        coherence = self._interferograms.coherence(index)[0]
        found = []
        for body in self._bodies:
            shown = np.abs(body.pattern * way[body.id])
            peak = float(shown.max(initial=0))
            if peak < _PEAK_RAD or float(coherence[self.ground.mover[0] == body.id].median()) < _LEAST_COHERENCE:
                continue
            geometry = self._drawn(body, shown > max(_EDGE_RAD, _EDGE_SHARE * peak))
            if not geometry.is_empty:
                found.append(Outline(body.id, geometry))
        return found

    @cached_property
    def _interferograms(self) -> Interferograms:
        return Interferograms(self.ground, self.network, self.seed)

    @property
    def _corner(self) -> tuple[float, float]:
        """Longitude and latitude of the upper left corner."""
        if self.number < len(_PLACES):
            return _PLACES[self.number][1:]
        row, column = divmod(self.number - len(_PLACES), 20)
        return 2.0 + 0.5 * column, 47.0 + 0.5 * row

    @cached_property
    def _place(self) -> tuple[NDArray[np.float64], ...]:
        """Rows and columns of the scene at the centres of the map's rows and columns."""
        rows, columns = self.grid.shape
        step = math.radians(self.config.pixel_deg) * EARTH_RADIUS / self.config.pixel_m
        across = step * math.cos(math.radians(self._corner[1]))
        return tuple(
            (np.arange(count, dtype=np.float64) + 0.5) * pace - 0.5 for count, pace in ((rows, step), (columns, across))
        )

    @cached_property
    def _bodies(self) -> list[_Body]:
        """Slides and bowls as they lie on the map."""
        per_mm = -4 * math.pi / self.network.wavelength / 1000
        found = []
        for number, mover in enumerate(self.ground.movers[0], start=1):
            if mover.kind not in (Kind.SLIDE, Kind.BOWL):
                continue
            velocity = torch.where(self.ground.mover[0] == number, self.ground.velocity[0], 0.0).numpy()
            pattern = self._on_map(velocity) * np.float32(per_mm)
            rows, columns = (np.flatnonzero(pattern.any(axis)) for axis in (1, 0))
            if rows.size:
                part = pattern[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                found.append(_Body(number, int(rows[0]), int(columns[0]), np.ascontiguousarray(part)))
        return found

    def _on_map(self, field: NDArray[Any]) -> NDArray[Any]:
        """Take a field of the scene to the map, bilinear."""
        for axis, at in enumerate(self._place):
            low = np.clip(np.floor(at).astype(np.intp), 0, field.shape[axis] - 2)
            share = np.clip(at - low, 0, 1).astype(np.float32)
            share = share[:, None] if axis == 0 else share
            field = field.take(low, axis) * (1 - share) + field.take(low + 1, axis) * share
        return field

    def _drawn(self, body: _Body, seen: NDArray[np.bool_]) -> BaseGeometry:
        """Outline the part of a body that is seen."""
        size = self.config.pixel_deg
        transform = self.grid.transform @ Affine.translation(body.left, body.top)
        pieces = [
            shapely.geometry.shape(geometry)
            for geometry, _ in shapes(seen.astype(np.uint8), mask=seen, transform=transform)
        ]
        large = [p for p in pieces if p.area >= _LEAST_PIXELS * size**2]
        # Simplified, so that what is drawn are lines and not the steps of pixels.
        return shapely.union_all([p.simplify(_SLACK_PIXELS * size) for p in large])


def _network(config: ZoneConfig, rng: np.random.Generator) -> Network:
    """Regular dates, and pairs of one, two and three intervals."""
    dates = tuple(_START + timedelta(config.interval_days * k) for k in range(config.dates))
    baselines = rng.normal(0, _BASELINE_M, config.dates).tolist()
    pairs = [
        Pair(dates[k], dates[k + step], baselines[k + step] - baselines[k])
        for k in range(config.dates)
        for step in _STEPS
        if k + step < config.dates
    ]
    return Network(dates, tuple(baselines), tuple(pairs), SENTINEL1_WAVELENGTH)


def _courses(ground: Ground, network: Network, config: ZoneConfig, seed: int) -> torch.Tensor:
    """Let the slides of a zone stop and go; what else moves goes on as it does."""
    course = ground.course.clone()
    days = np.array([(day - network.dates[0]).days for day in network.dates])
    for number, mover in enumerate(ground.movers[0], start=1):
        if mover.kind == Kind.SLIDE:
            rng = np.random.default_rng([seed, _COURSES, number])
            way = stop_and_go(days, rng, steady=bool(rng.uniform() < config.steady_share))
            course[0, number] = torch.from_numpy(way.astype(np.float32))
    return course
