"""What the air adds to the phase of one date, for B scenes at once.

Turbulence, delay that follows the height, slow ramps of the ionosphere and mountain waves are all drawn per date, as
the two-way delay of that date in radians (positive where the path is longer). A pair has secondary minus reference, so
they telescope over a chain of pairs.
"""

import math
from datetime import date

import numpy as np
import torch
from torch import Tensor

from groundshift.constants import DAYS_PER_YEAR, SENTINEL1_WAVELENGTH
from groundshift.simulate.batched.draws import PowerLaw, generator, per_scene
from groundshift.simulate.batched.types import Ground, Network

__all__ = ["Air", "year_fraction"]

_SCENES, _FIELDS, _DATES = 101, 102, 103
"""Random streams."""
_MID_JULY = 0.54


def year_fraction(day: date) -> float:
    """Return the time of the year, 0 to 1."""
    return (day.timetuple().tm_yday - 1) / DAYS_PER_YEAR


class Air:
    """Delays of all dates of a batch; each is drawn when it is first asked for, whatever the order.

    Parameters
    ----------
    ground : Ground
        Heights, pixel and device.
    network : Network
        Dates and wavelength.
    seed : int
        Seed of all that is drawn.

    Notes
    -----
    Drawn per scene: exponent of the power spectrum 8/3 to 11/3; root of the structure function at 10 km 0.3 to 2.5 rad
    in C band, times 3 on stormy dates; delay with height 0 to 2 rad/km scatter and 0 to 1.5 rad/km yearly course.
    Delays in the neutral air go with the inverse of the wavelength, those in the ionosphere with the wavelength.
    """

    def __init__(self, ground: Ground, network: Network, seed: int) -> None:
        self._network = network
        self._seed = seed
        self._device = ground.device
        scenes, rows, columns = ground.heights.shape
        self._count = scenes
        rng = np.random.default_rng([seed, _SCENES])
        neutral = SENTINEL1_WAVELENGTH / network.wavelength
        self._strength = neutral * np.exp(rng.uniform(math.log(0.3), math.log(2.5), scenes))
        self._storms = rng.uniform(0, 0.15, scenes)
        self._summer = rng.uniform(0, 1, scenes)
        self._season = _MID_JULY + np.where(rng.uniform(size=scenes) < 0.75, 0.0, rng.uniform(0, 1, scenes))
        self._scatter = neutral * rng.uniform(0, 2, scenes)
        self._annual = neutral * rng.uniform(0, 1.5, scenes)
        ionosphere = network.wavelength / SENTINEL1_WAVELENGTH
        ramped = rng.uniform(size=scenes) < (0.6 if ionosphere > 2 else 0.1)
        self._ramp = np.where(ramped, rng.uniform(0.2, 1.2, scenes) * ionosphere, 0.0)
        self._waves = np.where(rng.uniform(size=scenes) < 0.2, rng.uniform(0.2, 1.2, scenes) * neutral, 0.0)
        self._law = PowerLaw(
            (rows, columns), ground.pixel_m, rng.uniform(8 / 3, 11 / 3, scenes).tolist(), self._device,
            stretch=np.exp(rng.uniform(0, 0.7, scenes)).tolist(), bearings=rng.uniform(0, math.pi, scenes).tolist(),
        )  # fmt: skip
        # Mean over rows, then columns: such short sums do not depend on the number of threads.
        heights = ground.heights
        self._kilometres = (heights - heights.mean(2).mean(1)[:, None, None]) / 1000.0
        self._y = _metres(rows, ground)[None, :, None]
        self._x = _metres(columns, ground)[None, None, :]
        self._delays: dict[int, Tensor] = {}

    def delay(self, index: int) -> Tensor:
        """Return the delays of one date, radians, (B, y, x); not to be written to."""
        if index not in self._delays:
            self._delays[index] = self._draw(index)
        return self._delays[index]

    def _draw(self, index: int) -> Tensor:
        """Draw the delays of one date."""
        rng = np.random.default_rng([self._seed, _DATES, index])
        fraction = year_fraction(self._network.dates[index])
        growth = 0.5 + 0.5 * np.cos(2 * math.pi * (fraction - self._season))
        strength = self._strength * np.exp(rng.normal(0, 0.3, self._count)) * (1 + 0.5 * self._summer * growth)
        strength *= np.where(rng.uniform(size=self._count) < self._storms, 3.0, 1.0)
        field = self._law.draw(generator(self._device, self._seed, _FIELDS, index)) * self._spread(strength)

        # What is larger than the tile looks like a plane, and the delay with height differs over the tile.
        slopes = rng.normal(0, 1, (4, self._count))
        slopes[:2] *= (0.3 * strength + self._ramp) / 10_000.0
        follows = rng.normal(-self._annual * np.cos(2 * math.pi * (fraction - self._season)), self._scatter)
        slopes[2:] *= 0.3 * np.abs(follows) / 10_000.0
        up, right, more_up, more_right = (self._spread(row) for row in slopes)
        field += up * self._y + right * self._x
        field += self._kilometres * (self._spread(follows) + more_up * self._y + more_right * self._x)

        waves = self._waves * (rng.uniform(size=self._count) < 0.3) * rng.uniform(0.3, 1, self._count)
        number = 2 * math.pi / np.exp(rng.uniform(math.log(2000), math.log(12_000), self._count))
        bearing, start = rng.uniform(0, 2 * math.pi, (2, self._count))
        if waves.any():
            ky, kx = self._spread(number * np.sin(bearing)), self._spread(number * np.cos(bearing))
            field += self._spread(waves) * torch.sin(ky * self._y + kx * self._x + self._spread(start))
        return field

    def _spread(self, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
        """One number per scene, to be spread over pixels."""
        return per_scene(values, self._device)


def _metres(count: int, ground: Ground) -> Tensor:
    """Distances from the middle along one axis."""
    steps = torch.arange(count, dtype=torch.float32, device=ground.device)
    return (steps - (count - 1) / 2) * ground.pixel_m
