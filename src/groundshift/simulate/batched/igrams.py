"""Interferograms of B scenes at once, as processors deliver them.

Phase is that of `reference * conj(secondary)`; it grows when the ground moves away from the satellite. Motion, air, DEM
error, steps at burst edges and a broad steady drift (0.02 to 0.4 mm/yr per 40 m: tectonics, orbits, seasonal air; real
stacks show it) belong to dates and so close around any loop of pairs; noise, the bias of short pairs and ramps left by
unwrapping belong to pairs. Each date and each pair has its own random stream.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from groundshift.simulate.batched.air import Air, year_fraction
from groundshift.simulate.batched.decorrelation import Decorrelation, noisy
from groundshift.simulate.batched.draws import PowerLaw, generator, per_scene
from groundshift.simulate.batched.products import box_mean, goldstein, smooth
from groundshift.simulate.batched.types import Ground, Network

__all__ = ["Interferograms", "igrams"]

_SCENES, _MOISTURE, _NOISE, _PAIRS, _BROAD = 301, 302, 303, 304, 305
"""Random streams."""
_MID_JANUARY = 0.04
_TREATMENTS = ("raw", "coherence", "smoothed", "goldstein", "unit", "biased")
_SHARES = (0.2, 0.3, 0.15, 0.2, 0.05, 0.1)


class Interferograms:
    """All pairs of a batch; each is the same whichever others were asked for before.

    Parameters
    ----------
    ground : Ground
        What stays.
    network : Network
        Dates and pairs; `ground.course` has a column for each date.
    seed : int
        Seed of all that is drawn.
    """

    def __init__(self, ground: Ground, network: Network, seed: int) -> None:
        if ground.course.shape[2] != len(network.dates):
            raise ValueError(
                f"ground.course must have a column for each of {len(network.dates)} dates, instead got "
                f"{ground.course.shape[2]}; make the ground with this network"
            )
        self.ground = ground
        self.network = network
        self._seed = seed
        self._air = Air(ground, network, seed)
        self._decorrelation = Decorrelation(ground, network, seed)
        self._index = {day: k for k, day in enumerate(network.dates)}
        self._dates: dict[int, Tensor] = {}
        per_metre = 4 * math.pi / network.wavelength
        self._per_mm = -per_metre / 1000
        # Radians per metre of DEM error and metre of perpendicular baseline.
        self._per_height = np.array([
            per_metre / (distance * math.sin(math.radians(look.incidence)))
            for distance, look in zip(ground.slant_range_m, ground.look, strict=True)
        ])  # fmt: skip
        self._draw_scenes(np.random.default_rng([seed, _SCENES]))

    def motion(self, index: int) -> Tensor:
        """Phase of a pair from motion alone, radians, (B, y, x), not wrapped."""
        first, last = self._ends(index)
        return self._motion(last) - self._motion(first)

    def phase(self, index: int) -> Tensor:
        """Noise-free phase of a pair, radians, (B, y, x), not wrapped."""
        first, last = self._ends(index)
        pair = self.network.pairs[index]
        total = self._date_phase(last) - self._date_phase(first)
        if self._bias.any():
            ends = [year_fraction(pair.reference), year_fraction(pair.secondary)]
            growth = 0.6 - 0.2 * sum(math.cos(2 * math.pi * (end - _MID_JANUARY)) for end in ends)
            total += self._moisture * self._spread(self._bias * growth * np.exp(-pair.days / self._bias_days))
        if self._ramps.any():
            tilt = np.random.default_rng([self._seed, _PAIRS, index]).normal(0, 1, (2, len(self._ramps))) * self._ramps
            total += self._spread(tilt[0]) * self._rows + self._spread(tilt[1]) * self._columns
        return total

    def coherence(self, index: int) -> Tensor:
        """Return the true coherence of a pair, (B, y, x) in [0, 1]."""
        return self._decorrelation.coherence(index, self.phase(index))

    def igram(self, index: int) -> Tensor:
        """Return a pair as a processor delivers it: (B, y, x) complex64, magnitude in [0, 1], 0 without data."""
        phase = self.phase(index)
        coherence = self._decorrelation.coherence(index, phase)
        noise = torch.empty((2, *phase.shape), device=phase.device)
        noise.normal_(generator=generator(phase.device, self._seed, _NOISE, index))
        for b in np.flatnonzero(self._correlated):
            # Averages of neighbours, scaled back to unit variance.
            noise[:, b, 1:, 1:] = 0.5 * (
                noise[:, b, 1:, 1:] + noise[:, b, :-1, 1:] + noise[:, b, 1:, :-1] + noise[:, b, :-1, :-1]
            )
        real, imaginary = noisy(phase, coherence, self._looks, noise)
        made = torch.empty(phase.shape, dtype=torch.complex64, device=phase.device)
        for scene in range(len(made)):
            made[scene] = self._deliver(scene, real[scene], imaginary[scene])
        if self._masked is not None:
            made.masked_fill_(self._masked, 0)
        return self._without_blocks(index, made)

    def _date_phase(self, date: int) -> Tensor:
        """All that belongs to a date, radians, (B, y, x)."""
        if date not in self._dates:
            total = self._air.delay(date) + self._motion(date)
            total += self._broad * (self._per_mm * self.network.years[date])
            total += self.ground.dem_error * self._spread(self._per_height * self.network.baselines[date])
            if self._steps.any():
                rng = np.random.default_rng([self._seed, _SCENES, date])
                steps = self._steps * rng.normal(0, 1, len(self._steps)) + self._drift * self.network.years[date]
                total += self._beyond_seam * self._spread(steps)
            self._dates[date] = total
        return self._dates[date]

    def _motion(self, date: int) -> Tensor:
        """Phase of all motion since the beginning, radians, (B, y, x)."""
        ground = self.ground
        way = ground.course[:, :, date].gather(1, ground.mover.flatten(1)).view_as(ground.velocity)
        return (way * ground.velocity).mul_(self._per_mm)

    def _deliver(self, scene: int, real: Tensor, imaginary: Tensor) -> Tensor:
        """Treat one scene as its processor does."""
        treatment, side = self._treatments[scene], int(self._sides[scene])
        if treatment == "raw":
            return torch.complex(real, imaginary)
        if treatment == "unit":
            return _of_magnitude(real, imaginary, torch.ones_like(real))
        estimate = torch.hypot(box_mean(real, side), box_mean(imaginary, side))
        if treatment == "coherence":
            return _of_magnitude(real, imaginary, estimate)
        if treatment == "biased":
            floor = float(self._floors[scene]) ** 2
            return _of_magnitude(real, imaginary, (floor + (1 - floor) * estimate.square_()).sqrt_())
        if treatment == "smoothed":
            sigma = float(self._sigmas[scene])
            real, imaginary = smooth(real, sigma), smooth(imaginary, sigma)
        else:
            alpha, patch = float(self._alphas[scene]), int(self._patches[scene])
            filtered = goldstein(torch.complex(real, imaginary), alpha, patch)
            real, imaginary = filtered.real, filtered.imag
        if self._estimated_after[scene]:
            size = torch.hypot(real, imaginary).clamp_(min=1e-12)
            estimate = torch.hypot(box_mean(real / size, side), box_mean(imaginary / size, side))
        return _of_magnitude(real, imaginary, estimate)

    def _without_blocks(self, index: int, made: Tensor) -> Tensor:
        """Take out bands of rows or columns that a pair lacks, and what is too incoherent for the product."""
        rng = np.random.default_rng([self._seed, _PAIRS, 1, index])
        for b in np.flatnonzero(rng.uniform(size=len(made)) < self._lacking):
            axis = int(rng.integers(0, 2))
            extent = made.shape[1 + axis]
            first, length = int(rng.integers(-extent // 4, extent)), int(rng.uniform(0.1, 0.5) * extent)
            start, past = max(first, 0), min(first + length, extent)
            if past > start:
                made[b].narrow(axis, start, past - start).zero_()
        for b in np.flatnonzero(self._least > 0):
            made[b].masked_fill_(made[b].abs() < float(self._least[b]), 0)
        return made

    def _draw_scenes(self, rng: np.random.Generator) -> None:
        """Draw what distinguishes the scenes: looks, treatment, biases, seams, missing data."""
        ground = self.ground
        scenes, rows, columns = ground.heights.shape
        device = ground.device

        def some(share: float, low: float, high: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.where(rng.uniform(size=scenes) < share, rng.uniform(low, high, scenes), 0.0)

        self._looks = per_scene(np.exp(rng.uniform(math.log(3), math.log(60), scenes)), device)
        self._correlated = rng.uniform(size=scenes) < 0.3
        self._treatments = rng.choice(_TREATMENTS, scenes, p=_SHARES).tolist()
        self._sides = rng.choice([3, 5, 7], scenes)
        self._floors = rng.uniform(0.15, 0.4, scenes)
        self._sigmas = rng.uniform(0.7, 1.6, scenes)
        self._alphas = rng.uniform(0.3, 1.0, scenes)
        self._patches = rng.choice([16, 32], scenes)
        self._estimated_after = rng.uniform(size=scenes) < 0.5
        self._lacking = some(0.15, 0.02, 0.3)
        self._least = some(0.2, 0.05, 0.3)

        self._bias = some(0.4, 0.0, 0.4)
        self._bias_days = rng.uniform(15, 40, scenes)
        law = PowerLaw((rows, columns), ground.pixel_m, rng.uniform(2.4, 3.4, scenes).tolist(), device)
        texture = law.draw(generator(device, self._seed, _MOISTURE))
        spread = texture.square().mean(2).mean(1).sqrt()[:, None, None]
        wooded = per_scene(rng.uniform(0.2, 1, scenes), device)
        self._moisture = (1 + 0.5 * texture / spread) * (1 - wooded + wooded * ground.forest)
        self._bias = self._bias * rng.choice([-1, 1], scenes)

        law = PowerLaw((rows, columns), ground.pixel_m, rng.uniform(3.2, 4.6, scenes).tolist(), device)
        broad = law.draw(generator(device, self._seed, _BROAD))
        steep = sum(broad.diff(dim=axis).square().mean(2).mean(1) for axis in (1, 2)) * (40.0 / ground.pixel_m) ** 2 / 2
        wanted = np.where(rng.uniform(size=scenes) < 0.6, 0.02 * 20 ** rng.uniform(size=scenes), 0.0)
        self._broad = broad * (self._spread(wanted) / torch.as_tensor(steep).sqrt()[:, None, None])

        y = torch.linspace(-0.5, 0.5, rows, device=device)[None, :, None]
        x = torch.linspace(-0.5, 0.5, columns, device=device)[None, None, :]
        self._rows, self._columns = y, x
        self._ramps = some(0.06, 0.2, 3.0)
        # Burst edges run nearly along range.
        self._steps = some(0.15, 0.02, 0.3)
        self._drift = np.where(self._steps > 0, rng.normal(0, 0.3, scenes), 0.0)
        tilt, place = rng.uniform(-0.15, 0.15, scenes), rng.uniform(-0.45, 0.45, scenes)
        self._beyond_seam = (y + self._spread(tilt) * x > self._spread(place)).float()

        masked = ground.blind & (self._spread(rng.uniform(size=scenes)) < 0.2)
        wedge = self._spread(rng.uniform(0.15, 0.6, scenes)) + 10 * (self._spread(rng.uniform(size=scenes)) > 0.08)
        bearing = rng.uniform(0, 2 * math.pi, scenes)
        masked = masked | (self._spread(np.sin(bearing)) * y + self._spread(np.cos(bearing)) * x > wedge)
        self._masked = masked if bool(masked.any()) else None

    def _ends(self, index: int) -> tuple[int, int]:
        """Positions of the dates of a pair."""
        pair = self.network.pairs[index]
        return self._index[pair.reference], self._index[pair.secondary]

    def _spread(self, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
        """One number per scene, to be spread over pixels."""
        return per_scene(values, self.ground.device)


def igrams(ground: Ground, network: Network, seed: int) -> Iterator[tuple[int, Tensor]]:
    """Make all pairs in their order.

    Parameters
    ----------
    ground : Ground
    network : Network
    seed : int
        Seed of all that is drawn.

    Yields
    ------
    index, igram
        Position of the pair in the network, and (B, y, x) complex64 on the ground's device: coherence as estimated
        times phasor, magnitude in [0, 1], 0 where there are no data.
    """
    made = Interferograms(ground, network, seed)
    for index in range(len(network.pairs)):
        yield index, made.igram(index)


def _of_magnitude(real: Tensor, imaginary: Tensor, magnitude: Tensor) -> Tensor:
    """Return the numbers of this phase and this magnitude, at most 1."""
    scale = magnitude.clamp_(max=1) / torch.hypot(real, imaginary).clamp_(min=1e-12)
    return torch.complex(real * scale, imaginary * scale)
