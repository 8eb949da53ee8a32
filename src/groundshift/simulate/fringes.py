"""Interferograms like those of ALOS, in which slow landslides show as fringes: L band, pixels of 28 m, years of time.

Ground, motion, air, DEM error, layover, woods and noise are those of `groundshift.simulate.batched`; ramps of wrong
orbits and stripes of the ionosphere, which belong to dates as well, are added here.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from groundshift.simulate.batched.draws import PowerLaw, generator
from groundshift.simulate.batched.ground import make_ground
from groundshift.simulate.batched.igrams import Interferograms
from groundshift.simulate.batched.network import draw_network
from groundshift.simulate.batched.types import Ground, Kind, Network
from groundshift.simulate.fringe_config import FringeConfig
from groundshift.types import Pair

__all__ = ["UNCLEAR", "FringeScene", "simulate_fringes"]

UNCLEAR = -1
"""Label of ground that moves but is no candidate: neither one nor the other."""

_NETWORK, _ORBITS, _IONOSPHERE, _PAIRS = 401, 402, 403, 404
"""Random streams."""
_STRIPES = (5.0, 25.0)
"""How many times longer than wide stripes of the ionosphere are."""
_PEAK_SHARE = 0.95
_LEAST_PHASE_RAD = 0.4
"""Motion of less shows nothing."""


class FringeScene(NamedTuple):
    """One place with its interferograms."""

    pairs: tuple[Pair, ...]
    igrams: NDArray[np.complex64]
    """(pair, y, x) coherence as estimated times phasor; zero without data."""
    labels: NDArray[np.int16]
    """(pair, y, x) k on the k-th candidate of the pair, `UNCLEAR` on other ground that moves, else 0."""
    heights: NDArray[np.float32]
    """(y, x) metres."""


def simulate_fringes(config: FringeConfig, seed: int) -> FringeScene:
    """Make one scene: the same one from the same arguments.

    Parameters
    ----------
    config : FringeConfig
    seed : int
        Not negative.

    Notes
    -----
    A candidate is a slide that `FringeConfig` calls one in that pair. Bowls, ice, shores, and slides that are too
    small, too slow or not coherent are unclear where they move by 0.4 rad or more; the rest of what moves shows
    nothing and counts as still.
    """
    network = draw_network(config.batch, np.random.default_rng([seed, _NETWORK]))
    ground = make_ground(config.batch, network, seed, pixel_m=config.pixel_m, device=torch.device("cpu"))
    made = Interferograms(ground, network, seed)
    screens = _screens(config, network, seed)
    chosen = np.random.default_rng([seed, _PAIRS]).permutation(len(network.pairs))[: config.pairs]
    igrams, labels = [], []
    for index in sorted(int(k) for k in chosen):
        pair = network.pairs[index]
        first, last = (network.dates.index(day) for day in (pair.reference, pair.secondary))
        turned = np.exp(1j * (screens[last] - screens[first]))
        igrams.append((made.igram(index)[0].numpy() * turned).astype(np.complex64))
        motion, coherence = made.motion(index)[0].numpy(), made.coherence(index)[0].numpy()
        labels.append(_labels(ground, motion, coherence, config))
    return FringeScene(
        tuple(network.pairs[k] for k in sorted(int(k) for k in chosen)), np.stack(igrams), np.stack(labels),
        ground.heights[0].numpy(),
    )  # fmt: skip


def _screens(config: FringeConfig, network: Network, seed: int) -> NDArray[np.float32]:
    """Phase that orbits and ionosphere add on each date, (date, y, x) radians."""
    rng = np.random.default_rng([seed, _ORBITS])
    along = np.linspace(-0.5, 0.5, config.side, dtype=np.float32)
    found = []
    for number in range(len(network.dates)):
        down, right = (np.float32(v) for v in rng.normal(0, config.ramp_rad, 2))
        screen = down * along[:, np.newaxis] + right * along
        if rng.random() < config.ionosphere_share:
            law = PowerLaw(
                (config.side, config.side), config.pixel_m, [float(rng.uniform(3, 4))], torch.device("cpu"),
                stretch=[float(np.exp(rng.uniform(*np.log(_STRIPES))))], bearings=[float(rng.uniform(0, np.pi))],
            )  # fmt: skip
            stripes = law.draw(generator(torch.device("cpu"), seed, _IONOSPHERE, number))[0].numpy()
            screen = screen + np.float32(rng.uniform(*config.ionosphere_rad)) * stripes
        found.append(screen)
    return np.stack(found).astype(np.float32)


def _labels(
    ground: Ground, motion: NDArray[np.float32], coherence: NDArray[np.float32], config: FringeConfig
) -> NDArray[np.int16]:
    """Tell what moves in a pair: candidates, and what is neither one nor the other."""
    mover = ground.mover[0].numpy()
    labels = np.zeros(mover.shape, np.int16)
    number = 0
    for k, about in enumerate(ground.movers[0], start=1):
        inside = mover == k
        if not inside.any():
            continue
        peak = float(np.quantile(np.abs(motion[inside]), _PEAK_SHARE))
        clear = (
            about.kind == Kind.SLIDE
            and peak >= config.least_phase_rad
            and inside.sum() * config.pixel_m**2 >= config.least_area_km2 * 1e6
            and float(coherence[inside].mean()) >= config.least_coherence
        )
        number += clear
        if clear or peak >= _LEAST_PHASE_RAD:
            labels[inside] = number if clear else UNCLEAR
    return labels
