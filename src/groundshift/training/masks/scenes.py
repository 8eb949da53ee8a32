"""Simulated interferograms in which it is known what is decorrelated.

A pixel counts as decorrelated where its true coherence is below 0.2, whatever the reason (water, canopy, snow, time,
baseline, fringes too dense), in layover and shadow, and in a strip of noise along the edge of a burst. The network does
not see the true coherence but what a processor estimates of a few looks: noisy, too high where it is low, and blurred
by its window. Ground without data is neither.

Amplitude goes with the cover, in decibels against bare level ground: water 8 to 20 below, towns 6 to 12 above, woods a
little above and ice below, slopes that face the radar and layover brighter, shadow 12 to 20 below; with the speckle of
as many looks as the phase has.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.simulate.batched.decorrelation import noisy
from groundshift.simulate.batched.draws import generator
from groundshift.simulate.batched.ground import make_ground
from groundshift.simulate.batched.igrams import Interferograms
from groundshift.simulate.batched.network import draw_network
from groundshift.simulate.batched.products import box_mean
from groundshift.simulate.batched.radar import frame_of, range_slope
from groundshift.simulate.batched.types import Ground
from groundshift.training.masks.config import MaskSceneConfig

__all__ = ["LEAST_COHERENCE", "MaskScene", "backscatter", "draw_scenes", "usable_ground"]

LEAST_COHERENCE = 0.2
"""True coherence below which a pixel is decorrelated."""

_NETWORK, _SCENES, _NOISE = 501, 502, 503
"""Random streams."""
_WATER = 0.021
"""Coherence of water is below this, and that of everything else that is fixed above."""
_TOWN = 0.74
"""Coherence of towns is above this, and that of everything else that is fixed below."""
_CORRELATED = 0.3
"""Share of the scenes whose neighbouring pixels share looks."""
_SIDES = (1, 3, 5)
"""Rows and columns of the window that coherence is estimated over, beside the looks of a pixel."""


class MaskScene(NamedTuple):
    """One interferogram of one scene; (y, x) arrays."""

    igram: NDArray[np.complex64]
    """Estimated coherence times phasor."""
    amplitude: NDArray[np.float32]
    """Of any unit, positive."""
    coherence: NDArray[np.float32]
    """True."""
    usable: NDArray[np.bool_]
    """True where the ground is coherent."""


def draw_scenes(config: MaskSceneConfig, seed: int) -> list[MaskScene]:
    """Draw a batch of scenes and some of its pairs.

    Parameters
    ----------
    config : MaskSceneConfig
    seed : int
        Not negative; everything follows from it.

    Returns
    -------
    list of MaskScene
        Up to `pairs_seen` pairs of each of `scenes` scenes, pair by pair.
    """
    rng = np.random.default_rng([seed, _NETWORK])
    network = draw_network(config, rng)
    low, high = (80.0, 110.0) if rng.uniform() < config.coarse_share else config.pixel_m
    ground = make_ground(
        config, network, seed, pixel_m=float(rng.uniform(low, high)), device=torch.device("cpu")
    )  # fmt: skip
    made = Interferograms(ground, network, seed)
    chosen = rng.permutation(len(network.pairs))[: config.pairs_seen]
    rng = np.random.default_rng([seed, _SCENES])
    looks = np.exp(rng.uniform(math.log(config.looks[0]), math.log(config.looks[1]), config.scenes))
    sides = rng.choice(_SIDES, config.scenes)
    correlated = rng.uniform(size=config.scenes) < _CORRELATED
    bright = [backscatter(ground, scene, rng) for scene in range(config.scenes)]
    found = []
    for index in map(int, chosen):
        coherence = made.coherence(index)
        usable = usable_ground(coherence, ground.blind)
        noise = torch.empty((2, *coherence.shape))
        noise.normal_(generator=generator(noise.device, seed, _NOISE, index))
        real, imaginary = noisy(
            made.phase(index), coherence, torch.as_tensor(looks, dtype=torch.float32)[:, None, None],
            _shared(noise, correlated),
        )  # fmt: skip
        for k in range(config.scenes):
            side = int(sides[k])
            estimate = torch.hypot(box_mean(real[k], side), box_mean(imaginary[k], side)).clamp(1e-3, 1)
            igram = torch.polar(estimate, torch.atan2(imaginary[k], real[k])).numpy()
            speckle = rng.standard_gamma(looks[k], coherence.shape[1:]) / looks[k]
            amplitude = np.sqrt(10 ** (bright[k] / 10) * speckle).astype(np.float32)
            found.append(MaskScene(igram, amplitude, coherence[k].numpy(), usable[k].numpy()))
    return found


def usable_ground(coherence: Tensor, blind: Tensor) -> Tensor:
    """Return where ground is coherent, from true coherence and from where the satellite is blind."""
    return (coherence >= LEAST_COHERENCE) & ~blind


def backscatter(ground: Ground, scene: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how bright the ground of a scene is without speckle, (y, x), decibels against bare level ground.

    Parameters
    ----------
    ground : Ground
    scene : int
        Which of its scenes.
    rng : numpy Generator
        Draws how bright each cover is.
    """
    fixed = ground.fixed_coherence[scene].numpy()
    slope = range_slope(ground.heights[scene], ground.pixel_m, frame_of(ground.look[scene], radar=ground.radar[scene]))
    facing = slope.numpy()
    # Facing slopes pack more ground into a pixel, and reflect more of it back.
    level = rng.uniform(6, 12) * np.tanh(facing / math.radians(25)) * 0.7
    level = level + rng.uniform(0, 3) * ground.forest[scene].numpy()
    covered = np.isfinite(fixed)
    water, town = fixed < _WATER, fixed > _TOWN
    level = np.where(covered & ~water & ~town, level - rng.uniform(0, 4), level)
    level = np.where(town, level + rng.uniform(6, 12), level)
    blind = ground.blind[scene].numpy()
    level = np.where(blind & (facing > 0), level + rng.uniform(3, 8), level)
    level = np.where(blind & (facing <= 0), -rng.uniform(12, 20), level)
    return np.asarray(np.where(water, -rng.uniform(8, 20), level), np.float32)


def _shared(noise: Tensor, correlated: NDArray[np.bool_]) -> Tensor:
    """Let neighbouring pixels of some scenes share looks: averages of four, scaled back to unit variance."""
    for k in np.flatnonzero(correlated):
        noise[:, k, 1:, 1:] = 0.5 * (
            noise[:, k, 1:, 1:] + noise[:, k, :-1, 1:] + noise[:, k, 1:, :-1] + noise[:, k, :-1, :-1]
        )
    return noise
