"""Scenes over mines: bowls that grow with time, air, terrain, water, coherence; and the pairs of their dates.

Phase is that of reference times conjugate secondary: it grows where the ground sinks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from groundshift.simulate.batched.decorrelation import noisy, strain_loss
from groundshift.simulate.batched.draws import generator
from groundshift.simulate.mining.config import MiningConfig
from groundshift.simulate.mining.fields import bent_bowls, distortions, perlin

__all__ = ["PANEL_PARTS", "MiningPair", "MiningScenes", "draw_scenes", "footprint", "knothe"]

_GROUND, _NOISE = 301, 302
"""Random streams."""
PANEL_PARTS = 5
"""Bowls that one which wanders is made of."""
_WATER_COHERENCE = 0.03
_LAKE_SHARE = 0.5
"""Of the scenes with water; the others have rivers."""
_RIVER = (0.01, 0.08)
"""Value of the noise, of -1 to 1, up to which there is a river."""
_PATCH = (0.1, 0.8)
"""What is left of the coherence in woods or fields."""
_EDGE, _PEAK = math.pi / 3, math.pi / 2
"""Radians from which a pixel belongs to a bowl, and which its peak must exceed (Wu et al. (2022))."""
_EDGE_SHARE = 0.1
"""A deep bowl ends where it is less than this share of its peak: a person draws the fringes, not the wide rim."""
_FLATNESS = (0.8, 2.0)
_STEADY_SHARE = 0.4
"""Share of the bowls that sink steadily."""

_Draw = Callable[..., Tensor]
"""From limits and a shape to numbers."""


class MiningPair(NamedTuple):
    """Interferograms of one pair of dates; tensors (B, y, x)."""

    wrapped: Tensor
    """Radians."""
    coherence: Tensor
    """As it is estimated, 0 to 1."""
    phase: Tensor
    """Without noise, not wrapped, radians."""
    bowl: Tensor
    """The part of it that is ground sinking or rising."""
    footprint: Tensor
    """1 where that is to be found, else 0."""
    true_coherence: Tensor


def knothe(days: Tensor, start: Tensor, rate: Tensor) -> Tensor:
    """Return the share of a bowl that has sunk: 0 before `start`, then 1 - exp(-rate (days - start)).

    References
    ----------
    Knothe (1953), the time function of mining subsidence.
    """
    return 1 - torch.exp(-rate * (days - start).clamp_min(0))


@dataclass(frozen=True, eq=False)
class MiningScenes:
    """A batch of scenes over mines."""

    shapes: Tensor
    """(B, part, y, x) bowls; five parts each, of one that stays all but the first zero."""
    courses: Tensor
    """(B, part, date) radians that a part has sunk by."""
    delays: Tensor
    """(B, date, y, x) two-way delay of air, ramps and terrain, radians."""
    coherence: Tensor
    """(B, y, x) at once and without strain."""
    memory: Tensor
    """(B,) days."""
    looks: Tensor
    """(B,)."""
    days: Tensor
    """(date,)."""
    seed: int

    def sunk(self, first: int, second: int) -> Tensor:
        """Return by how many radians each bowl has sunk between two dates, (B, bowl, y, x)."""
        steps = self.courses[:, :, second] - self.courses[:, :, first]
        count, parts, rows, columns = self.shapes.shape
        bowls = (count, parts // PANEL_PARTS, PANEL_PARTS)
        return torch.einsum("bkp,bkpyx->bkyx", steps.view(bowls), self.shapes.view(*bowls, rows, columns))

    def pair(self, first: int, second: int) -> MiningPair:
        """Make the interferograms of two dates."""
        each = self.sunk(first, second)
        bowl = each.sum(1)
        phase = bowl + self.delays[:, second] - self.delays[:, first]
        apart = float(abs(self.days[second] - self.days[first]))
        true = self.coherence * torch.exp(-apart / self.memory)[:, None, None] * strain_loss(phase)
        source = generator(phase.device, self.seed, _NOISE, first, second)
        noise = torch.randn((2, *phase.shape), generator=source, device=phase.device)
        real, imaginary = noisy(phase, true, self.looks[:, None, None], noise)
        return MiningPair(
            torch.atan2(imaginary, real),
            torch.hypot(real, imaginary).clamp(1e-3, 1),
            phase,
            bowl,
            footprint(each),
            true,
        )


def footprint(bowls: Tensor) -> Tensor:
    """Return 1 where any of (B, bowl, y, x) radians moves visibly, else 0: (B, y, x).

    Notes
    -----
    From pi / 3 on, in bowls whose peak exceeds pi / 2, as Wu et al. (2022); of deep ones from a tenth of the peak on.
    """
    depth = bowls.abs()
    peak = depth.amax((2, 3), keepdim=True)
    inside = (depth > (_EDGE_SHARE * peak).clamp_min(_EDGE)) & (peak > _PEAK)
    return inside.any(1).to(bowls.dtype)


def draw_scenes(config: MiningConfig, seed: int, device: torch.device | None = None) -> MiningScenes:
    """Draw a batch of scenes; the same seed draws the same.

    Notes
    -----
    Bowls sink after Knothe's law from a start before or within the dates, steadily, or in steps along a panel. Air is
    Perlin noise and a ramp of each date; terrain that was not taken out is Perlin noise times a baseline of each date.
    """
    device = device or torch.device("cpu")
    source = generator(device, seed, _GROUND)
    count, dates = config.scenes, config.dates
    days = torch.arange(dates, device=device, dtype=torch.float32) * config.interval_days

    def even(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=source, device=device)

    def logs(limits: tuple[float, float], *shape: int) -> Tensor:
        return torch.exp(even(math.log(limits[0]), math.log(limits[1]), *shape))

    shapes, courses = _draw_bowls(config, days, source, even, logs)
    turbulence = perlin(count * dates, config.shape, source).view(count, dates, *config.shape)
    air = even(*config.turbulence_rad, count, dates)[:, :, None, None] * turbulence
    terrain = perlin(count, config.shape, source)[:, None] * even(*config.terrain_rad, count)[:, None, None, None]
    baselines = torch.randn(count, dates, generator=source, device=device)[:, :, None, None]
    delays = air + _ramps(config, even) + terrain * baselines
    memory = logs(config.memory_days, count)
    coherence = _draw_coherence(config, memory, source, even)
    return MiningScenes(shapes, courses, delays, coherence, memory, logs(config.looks, count), days, seed)


def _draw_coherence(config: MiningConfig, memory: Tensor, source: torch.Generator, even: _Draw) -> Tensor:
    """Draw coherence at once, such that neighbouring dates have that of the settings."""
    count = config.scenes
    texture = even(0.0, 0.25, count)[:, None, None] * perlin(count, config.shape, source)
    coherence = (even(*config.coherence, count)[:, None, None] + texture).clamp(0.05, 0.99)
    patches = _areas(config.patch_share, config, source, even, rivers=0.0)
    coherence = torch.where(patches, coherence * even(*_PATCH, count, 1, 1), coherence)
    coherence = coherence * torch.exp(config.interval_days / memory)[:, None, None]
    water = _areas(config.water_share, config, source, even, rivers=1 - _LAKE_SHARE)
    return torch.where(water, _WATER_COHERENCE, coherence.clamp_max(0.995))


def _areas(share: float, config: MiningConfig, source: torch.Generator, even: _Draw, *, rivers: float) -> Tensor:
    """Draw areas in a share of the scenes: where noise is high; in a share `rivers` of them, where its sign changes."""
    there = (even(0.0, 1.0, config.scenes) < share).nonzero()[:, 0]
    count = len(there)
    noise = perlin(count, config.shape, source, octaves=2)
    level, width = even(0.2, 0.8, count)[:, None, None], even(*_RIVER, count)[:, None, None]
    found = torch.zeros((config.scenes, *config.shape), dtype=torch.bool, device=noise.device)
    found[there] = torch.where((even(0.0, 1.0, count) < rivers)[:, None, None], noise.abs() < width, noise > level)
    return found


def _draw_bowls(
    config: MiningConfig, days: Tensor, source: torch.Generator, even: _Draw, logs: _Draw
) -> tuple[Tensor, Tensor]:
    """Draw the parts of all bowls and what each has sunk by at each date; parts that are not there are zero."""
    count, (least, most) = config.scenes, config.bowls
    each, device = (count, most), days.device
    there = torch.arange(most, device=device) < even(least, most + 1, count)[:, None].floor().clamp_max(most)
    sense = torch.where(even(0.0, 1.0, count) < config.uplift_share, -1.0, 1.0)[:, None]
    centre = even(-0.1, 1.1, *each, 2) * torch.tensor(config.shape, device=device)
    sigma, angle, flatness = logs(config.sigma_pixels, *each, 2), even(0.0, math.pi, *each), logs(_FLATNESS, *each)
    bent = even(*config.distortion_pixels, *each).minimum(0.6 * sigma.amin(2))
    wanders = (even(0.0, 1.0, *each) < config.panel_share)[..., None]

    # One that stays is all in its first part.
    step = torch.arange(PANEL_PARTS, device=device)
    share = torch.where(wanders, 1 / PANEL_PARTS, (step == 0).float())
    way = 0.7 * sigma[..., :1] * torch.stack([angle.cos(), angle.sin()], 2)
    place = centre[:, :, None] + (wanders * (step - (PANEL_PARTS - 1) / 2))[..., None] * way[:, :, None]

    span = max(float(days[-1]), 1.0)
    start = even(-2.0, 0.6, *each)[..., None] * span + wanders * step * span / PANEL_PARTS
    law = knothe(days, start[..., None], logs((0.3, 10.0), *each)[..., None, None] / span)
    steady = even(0.0, 1.0, *each)[..., None, None] < _STEADY_SHARE
    sunk = share[..., None] * torch.where(steady, days / span, law)
    whole = (sunk[..., -1] - sunk[..., 0]).sum(2).clamp_min(1e-3)
    peak = there * sense * logs(config.peak_rad, *each)
    courses = (peak / whole)[..., None, None] * sunk

    shapes = torch.zeros((*share.shape, *config.shape), device=device)
    used = there[..., None] & (share > 0)
    # All parts of a bowl are bent alike.
    bowl = (there.flatten().cumsum(0) - 1).view(*each, 1).expand_as(used)[used]
    fields = distortions(bent[there], config.shape, source)
    shapes[used] = bent_bowls(place[used], sigma[there][bowl], angle[there][bowl], flatness[there][bowl], fields[bowl])
    return shapes.flatten(1, 2), courses.flatten(1, 2)


def _ramps(config: MiningConfig, even: _Draw) -> Tensor:
    """Draw a plane of each date."""
    rows, columns = config.shape
    y, x = torch.linspace(-0.5, 0.5, rows), torch.linspace(-0.5, 0.5, columns)
    size = even(*config.ramp_rad, config.scenes, config.dates)
    turn = even(0.0, 2 * math.pi, config.scenes, config.dates)
    along = turn.cos()[..., None, None] * y.to(size.device)[:, None] + turn.sin()[..., None, None] * x.to(size.device)
    return size[..., None, None] * along
