"""What the batched simulator is made of: ground that stays, and the network of dates that sees it.

A batch holds B scenes of the same size, pixel and dates; everything else differs from scene to scene. Tensors are
(B, y, x) on one device. Axis y runs from north to south on a map, or along azimuth in radar geometry; axis x from west
to east, or from near to far range.
"""

from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from groundshift.types import LookGeometry, Pair

__all__ = ["Behaviour", "Ground", "Kind", "Mover", "Network"]

Behaviour = Literal["steady", "seasonal", "accelerating", "stick-slip"]


class Kind(IntEnum):
    """What moves, or seems to."""

    SLIDE = 1
    """A slow landslide or rock glacier: what a detector is to find."""
    GLACIER = 2
    """Ice: moves fast and is seldom coherent; not to be found."""
    BOWL = 3
    """Subsidence or uplift that no slope explains, such as a mining bowl; neither wanted nor wrong."""
    SHORE = 4
    """Ground that breathes with the level of a reservoir; not to be found."""


class Mover(NamedTuple):
    """One thing that moves; its pixels carry its number in `Ground.mover`."""

    kind: Kind
    profile: str
    """How its speed is spread, such as `plug` or `rotational`."""
    behaviour: Behaviour
    velocity: float
    """Peak of the long-term velocity in the line of sight, mm/yr, positive towards the satellite."""
    length_m: float
    width_m: float


@dataclass(frozen=True)
class Network:
    """The dates that a batch shares and the pairs between them."""

    dates: tuple[date, ...]
    baselines: tuple[float, ...]
    """Perpendicular, metres, of each date; that of a pair is secondary minus reference."""
    pairs: tuple[Pair, ...]
    wavelength: float
    """Metres."""

    @property
    def years(self) -> list[float]:
        """Time of each date in years since the first one."""
        return [(day - self.dates[0]).days / 365.25 for day in self.dates]


@dataclass(frozen=True, eq=False)
class Ground:
    """All that stays the same from date to date in B scenes."""

    pixel_m: float
    radar: tuple[bool, ...]
    """Of each scene: whether it lies in radar geometry (rows azimuth, columns range) instead of on a map."""
    look: tuple[LookGeometry, ...]
    slant_range_m: tuple[float, ...]
    heights: Tensor = field(repr=False)
    """float32, metres, as the DEM has them: without `dem_error`."""
    blind: Tensor = field(repr=False)
    """bool: layover or shadow."""
    slope_factor: Tensor = field(repr=False)
    """float32 factor on coherence, 0 to 1, from foreshortening, layover and shadow."""
    forest: Tensor = field(repr=False)
    """float32, how much of the ground is wooded, 0 to 1."""
    fixed_coherence: Tensor = field(repr=False)
    """float32: coherence of what does not follow the decay of ground and woods (river, lake: about 0.02; town: about
    0.9; glacier: 0.05 to 0.5), NaN elsewhere."""
    snow_height: Tensor = field(repr=False)
    """float32, metres: height that counts for snow, lower where it lasts; snow lies where it exceeds a date's line."""
    dem_error: Tensor = field(repr=False)
    """float32, metres; strongest on ridges, in gullies and in layover."""
    mover: Tensor = field(repr=False)
    """int64: 0 where nothing moves, k for the scene's k-th mover."""
    velocity: Tensor = field(repr=False)
    """float32, mm/yr in the line of sight, positive towards the satellite, in the long term; 0 where nothing moves."""
    course: Tensor = field(repr=False)
    """float32 (B, 1 + most movers, date): how far each mover has come by each date, in years of its long-term velocity;
    row 0 is zero. Steady motion is the time in years."""
    movers: tuple[tuple[Mover, ...], ...]
    """Of each scene, in the order of their numbers."""

    @property
    def device(self) -> torch.device:
        """Where the tensors lie."""
        return self.heights.device
