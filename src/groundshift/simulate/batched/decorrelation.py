"""Coherence of pairs and the phase noise that goes with it, for B scenes at once.

Coherence decays with time as `(initial - final) exp(-days / tau) + final`, in woods faster than on bare ground; summer,
rain, snow, long baselines and fringes lower it further. Noise follows the first-order law of the coherence of L looks.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.simulate.batched.air import year_fraction
from groundshift.simulate.batched.draws import PowerLaw, generator, per_scene
from groundshift.simulate.batched.types import Ground, Network

__all__ = ["Decorrelation", "noisy", "strain_loss"]

_SCENES, _TEXTURE = 201, 202
"""Random streams."""
_MID_JULY = 0.54


def strain_loss(phase: Tensor) -> Tensor:
    """Return the factor on coherence of a phase that changes by g radians within the pixel: exp(-g^2 / 24).

    Notes
    -----
    Stands for sinc(g / 2 pi), within 0.03 up to pi. g is the forward difference along both axes, zero at the far edge.
    """
    squares = torch.zeros_like(phase)
    steps = phase[..., 1:, :] - phase[..., :-1, :]
    squares[..., :-1, :] += steps.square_()
    steps = phase[..., :, 1:] - phase[..., :, :-1]
    squares[..., :, :-1] += steps.square_()
    return squares.mul_(-1 / 24).exp_()


def noisy(phase: Tensor, coherence: Tensor, looks: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Make interferograms from noise-free phase and true coherence.

    Parameters
    ----------
    phase : (B, y, x) tensor
        Radians, not wrapped.
    coherence : (B, y, x) tensor
        True coherence g, [0, 1].
    looks : (B, 1, 1) tensor
        Independent looks L in a pixel.
    noise : (2, B, y, x) tensor
        Standard normal numbers n1, n2; overwritten.

    Returns
    -------
    real, imaginary
        Of ``exp(i phase) (g + a n1 + i b n2)``, (B, y, x) each, the magnitude cut to 1.

    Notes
    -----
    a^2 = (1 - g^2)^2 / (2 L) and b^2 = (1 - g^2) / (2 L): to first order in 1 / sqrt(L) the law of the averaged product
    of two circular Gaussian signals. For high coherence the variance of the phase is (1 - g^2) / (2 L g^2).
    """
    rest = 1 - coherence * coherence
    across = torch.sqrt(rest / (2 * looks))
    along = noise[0].mul_(across).mul_(rest.sqrt_()).add_(coherence)
    across = noise[1].mul_(across)
    scale = torch.rsqrt((along * along + across * across).clamp_(min=1))
    cosine, sine = torch.cos(phase).mul_(scale), torch.sin(phase).mul_(scale)
    return along * cosine - across * sine, along * sine + across * cosine


class Decorrelation:
    """True coherence of the pairs of a batch.

    Parameters
    ----------
    ground : Ground
    network : Network
    seed : int
        Seed of all that is drawn.

    Notes
    -----
    Drawn per scene: decay of woods (tau 8 to 60 days, 0.7 to 0.95 at first, 0.02 to 0.3 in the end) and of bare ground
    (40 to 400 days, 0.9 to 0.995, 0.2 to 0.8), what summer takes, snow and its yearly course, wet dates, and how much
    long baselines cost. Longer waves decay more slowly.
    """

    def __init__(self, ground: Ground, network: Network, seed: int) -> None:
        self._ground = ground
        self._network = network
        scenes = len(ground.look)
        rng = np.random.default_rng([seed, _SCENES])
        slower = (network.wavelength / SENTINEL1_WAVELENGTH) ** 0.8
        self._forest_decay = (
            rng.uniform(0.7, 0.95, scenes), rng.uniform(0.02, 0.3, scenes), slower * _logs(8, 60, scenes, rng)
        )  # fmt: skip
        self._bare_decay = (
            rng.uniform(0.9, 0.995, scenes), rng.uniform(0.2, 0.8, scenes), slower * _logs(40, 400, scenes, rng)
        )  # fmt: skip
        self._summer_loss = rng.uniform(0, 0.8, scenes) / max(slower, 1)
        self._season = _MID_JULY + np.where(rng.uniform(size=scenes) < 0.75, 0.0, rng.uniform(0, 1, scenes))
        self._fractions = np.array([year_fraction(day) for day in network.dates])
        self._snow_lines = self._draw_snow(rng)
        # Wet snow leaves hardly any coherence, dry snow a share of it.
        dry = rng.uniform(size=scenes) < 0.3
        self._snow_limit = np.where(dry, 1.0, rng.uniform(0.05, 0.2, scenes))
        self._snow_factor = np.where(dry, rng.uniform(0.3, 0.8, scenes), 1.0)
        wet = rng.uniform(size=(scenes, len(network.dates))) < rng.uniform(0, 0.3, (scenes, 1))
        self._wetness = np.where(wet, rng.uniform(0.35, 0.95, wet.shape), 1.0)
        self._reach_m = rng.uniform(250, 900, scenes)
        _, rows, columns = ground.heights.shape
        law = PowerLaw((rows, columns), ground.pixel_m, rng.uniform(2.2, 3.2, scenes).tolist(), ground.device)
        texture = law.draw(generator(ground.device, seed, _TEXTURE))
        spread = texture.square().mean(2).mean(1).sqrt()[:, None, None]
        patchy = per_scene(rng.uniform(0, 0.25, scenes), ground.device)
        self._factor = ground.slope_factor * (1 - patchy * (texture / spread).abs()).clamp_(0.1, 1)
        self._fixed = torch.isfinite(ground.fixed_coherence)
        self._fixed_coherence = torch.nan_to_num(ground.fixed_coherence)

    def coherence(self, index: int, phase: Tensor) -> Tensor:
        """Return the true coherence of a pair, (B, y, x) in [0, 1].

        Parameters
        ----------
        index : int
            Which of the network's pairs.
        phase : (B, y, x) tensor
            Its noise-free phase in radians: where it changes within a pixel, coherence is lost.
        """
        pair = self._network.pairs[index]
        first, last = (self._network.dates.index(day) for day in (pair.reference, pair.secondary))
        ends = [first, last]
        growth = (0.5 + 0.5 * np.cos(2 * math.pi * (self._fractions[ends, None] - self._season))).mean(0)
        loss = self._summer_loss * growth
        wetness = self._wetness[:, ends].prod(1)
        bare = _decayed(self._bare_decay, pair.days) * (1 - loss * 2 / 3) * wetness
        forest = _decayed(self._forest_decay, pair.days) * (1 - loss) * wetness
        stretch = (self._network.baselines[last] - self._network.baselines[first]) / self._reach_m
        # Crowns and rough ground scatter from a depth that long baselines resolve.
        bare, forest = bare * np.exp(-0.3 * stretch**2), forest * np.exp(-(stretch**2))

        gamma = self._ground.forest * self._spread(forest - bare)
        gamma += self._spread(bare)
        gamma.mul_(self._factor)
        gamma = torch.where(self._fixed, self._fixed_coherence, gamma)
        lines = self._snow_lines[:, ends].min(1)
        if np.isfinite(lines).any():
            under = (gamma * self._spread(self._snow_factor)).minimum(self._spread(self._snow_limit))
            gamma = torch.where(self._ground.snow_height > self._spread(lines), under, gamma)
        return gamma.mul_(strain_loss(phase)).clamp_(0, 0.999)

    def _draw_snow(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Height of the snow line, (scene, date): lowest half a year from mid-summer; infinite without snow."""
        heights = self._ground.heights.flatten(1)[:, ::7].cpu().numpy()
        scenes, dates = len(heights), len(self._fractions)
        low = np.array([np.quantile(h, q) for h, q in zip(heights, rng.uniform(0.4, 0.95, scenes), strict=True)])
        span = np.maximum(heights.max(1) - low, 50.0) * rng.uniform(0.8, 1.4, scenes)
        course = 0.5 + 0.5 * np.cos(2 * math.pi * (self._fractions - self._season[:, None] - 0.04))
        lines = low[:, None] + span[:, None] * (course + rng.uniform(0.03, 0.15, (scenes, 1)) * rng.normal(
            size=(scenes, dates)))  # fmt: skip
        return np.where(rng.uniform(size=(scenes, 1)) < 0.55, lines, np.inf)

    def _spread(self, values: NDArray[np.float64]) -> Tensor:
        """One number per scene, to be spread over pixels."""
        return per_scene(values, self._ground.device)


def _decayed(decay: tuple[NDArray[np.float64], ...], days: float) -> NDArray[np.float64]:
    """Coherence after `days`."""
    initial, final, tau = decay
    return np.asarray((initial - final) * np.exp(-days / tau) + final, np.float64)


def _logs(low: float, high: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw log-uniformly."""
    return np.asarray(np.exp(rng.uniform(math.log(low), math.log(high), count)), np.float64)
