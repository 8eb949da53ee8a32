"""Interferograms to learn masking from: simulated scenes, spoiled as products are, or drawn masks, in a fixed order."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from groundshift.detect.mask_network import amplitude_plane
from groundshift.interferometry.filters import goldstein
from groundshift.io.estimate import LEAST, phase_consistency
from groundshift.training.masks.config import MaskSceneConfig, MaskSpoilConfig
from groundshift.training.masks.scenes import MaskScene, draw_scenes

__all__ = ["MaskSample", "MaskSupply", "simulated_samples", "varied"]

_LEAST_ALPHA = 0.3
_FILTER_PATCH = 32
_ESTIMATED_AFTER = 0.5
"""Share of filtered ones whose coherence is estimated from the filtered phase."""
_SIDES = (3, 5)
_FLOOR = (0.15, 0.4)
_GAP_ROWS = (2, 8)
_COHERENCE_GAIN = 0.1
"""Coherence is scaled by up to this share up or down, for estimators differ."""
_AMPLITUDE_GAIN = 0.075
"""The plane of amplitude is shifted by up to this, 3 dB: where its median lies depends on the rest of the scene."""


class MaskSample(NamedTuple):
    """One interferogram with its truth; arrays (y, x) of float32."""

    wrapped: NDArray[np.float32]
    """Radians; zero without data."""
    coherence: NDArray[np.float32]
    """0 to 1, as estimated; zero without data."""
    amplitude: NDArray[np.float32]
    """As `detect.mask_network.amplitude_plane` makes it; zero throughout if it is not given."""
    usable: NDArray[np.float32]
    """1 where the ground is coherent, else 0."""
    told: NDArray[np.float32]
    """1 where somebody has said which it is, else 0."""
    scene: str

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there are data."""
        return self.coherence > 0

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Where there are data and a truth."""
        return self.known & (self.told > 0)

    @property
    def coherent(self) -> NDArray[np.bool_]:
        """Where there are data and the ground is coherent."""
        return self.judged & (self.usable > 0)


def simulated_samples(config: MaskSceneConfig, spoil: MaskSpoilConfig, seed: int) -> list[MaskSample]:
    """Draw the scenes of a seed and return their pairs, in random order.

    Parameters
    ----------
    config : MaskSceneConfig
    spoil : MaskSpoilConfig
        How they are spoiled.
    seed : int
    """
    rng = np.random.default_rng([seed, 11])
    scenes = draw_scenes(config, seed)
    found = [_spoiled(scene, f"scene {seed}-{k % config.scenes}", spoil, rng) for k, scene in enumerate(scenes)]
    return [found[k] for k in rng.permutation(len(found))]


def _spoiled(scene: MaskScene, name: str, config: MaskSpoilConfig, rng: np.random.Generator) -> MaskSample:
    """Lay a strip of noise, filter, bias and forget coherence, cut holes, forget amplitude: each by chance."""
    igram, usable = scene.igram, scene.usable
    rows, columns = igram.shape
    if rng.random() < config.gaps:
        igram, usable = _with_gap(igram, usable, rng)
    if rng.random() < config.filtered:
        igram = _filtered(igram, rng)
    if rng.random() < config.biased:
        igram = _with_floor(igram, rng.uniform(*_FLOOR))
    known = np.ones(igram.shape, np.bool_)
    if rng.random() < config.holes:
        for _ in range(rng.integers(1, 4)):
            top, left = int(rng.integers(rows)), int(rng.integers(columns))
            height, width = int(rng.integers(1, rows // 3)), int(rng.integers(1, columns // 3))
            known[top : top + height, left : left + width] = False
    wrapped = np.where(known, np.angle(igram), 0).astype(np.float32)
    if rng.random() < config.no_coherence:
        coherence = phase_consistency(wrapped, known)
    else:
        coherence = np.where(known, np.clip(np.abs(igram), LEAST, 1), 0).astype(np.float32)
    amplitude = amplitude_plane(np.where(known, scene.amplitude, np.nan))
    if rng.random() < config.no_amplitude:
        amplitude = np.zeros_like(amplitude)
    return MaskSample(
        wrapped, coherence, amplitude, usable.astype(np.float32), np.ones(igram.shape, np.float32), name
    )  # fmt: skip


def _filtered(igram: NDArray[np.complex64], rng: np.random.Generator) -> NDArray[np.complex64]:
    """Filter after Goldstein; of half of them coherence is estimated of what came out, where noise agrees in worms."""
    phasors = np.exp(1j * np.angle(goldstein(igram, rng.uniform(_LEAST_ALPHA, 1.0), _FILTER_PATCH)))
    size = np.abs(igram)
    if rng.random() < _ESTIMATED_AFTER:
        side = int(rng.choice(_SIDES))
        size = np.hypot(uniform_filter(phasors.real, side), uniform_filter(phasors.imag, side))
    return np.asarray(np.clip(size, LEAST, 1) * phasors, np.complex64)


def _with_floor(igram: NDArray[np.complex64], floor: float) -> NDArray[np.complex64]:
    """Raise coherence c to sqrt(f^2 + (1 - f^2) c^2), never below the floor f."""
    size = np.sqrt(floor**2 + (1 - floor**2) * np.abs(igram) ** 2)
    return np.asarray(size * np.exp(1j * np.angle(igram)), np.complex64)


def _with_gap(
    igram: NDArray[np.complex64], usable: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """Let a strip nearly along the rows hold noise: phase at random, magnitudes of decorrelated ground."""
    rows, columns = igram.shape
    tilt, middle = rng.uniform(-0.15, 0.15), rng.uniform(0, rows)
    y, x = np.mgrid[:rows, :columns]
    strip = np.abs(y - middle - tilt * (x - columns / 2)) < rng.uniform(*_GAP_ROWS) / 2
    looks = rng.uniform(3, 60)
    parts = rng.normal(0, np.sqrt(0.5 / looks), (2, rows, columns))
    noise = parts[0] + 1j * parts[1]
    noise /= np.maximum(np.abs(noise), 1)
    return np.where(strip, noise, igram).astype(np.complex64), usable & ~strip


def varied(sample: MaskSample, rng: np.random.Generator) -> MaskSample:
    """Flip, transpose if square, reverse the phase, add a constant to it, scale coherence and shift amplitude."""
    flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
    rows, columns = sample.wrapped.shape
    transpose, sign = rng.random() < 0.5 and rows == columns, rng.choice([-1, 1])
    constant = rng.uniform(-np.pi, np.pi)
    gain = 1 + rng.uniform(-_COHERENCE_GAIN, _COHERENCE_GAIN)
    shift = rng.uniform(-_AMPLITUDE_GAIN, _AMPLITUDE_GAIN)

    def turn(values: NDArray[np.float32]) -> NDArray[np.float32]:
        flipped = np.flip(values, flips)
        return np.ascontiguousarray(flipped.T if transpose else flipped)

    def changed(values: NDArray[np.floating], where: NDArray[np.bool_]) -> NDArray[np.float32]:
        return np.where(where, values, 0).astype(np.float32)

    coherence, amplitude = turn(sample.coherence), turn(sample.amplitude)
    wrapped = np.angle(np.exp(1j * (sign * turn(sample.wrapped) + constant)))
    return sample._replace(
        wrapped=changed(wrapped, coherence > 0),
        coherence=changed(np.clip(gain * coherence, LEAST, 1), coherence > 0),
        amplitude=changed(np.clip(amplitude + shift, LEAST, 1), amplitude > 0),
        usable=turn(sample.usable),
        told=turn(sample.told),
    )


class MaskSupply:
    """Varied samples in the order in which a network sees them: simulated without end, or a given few over and over.

    Parameters
    ----------
    config : MaskSceneConfig
        What scenes are drawn from, where no samples are given.
    spoil : MaskSpoilConfig
    batch : int
        Samples in a batch.
    seed : int
        Everything follows from it.
    given : list of MaskSample, optional
        Samples of which pieces of `config.shape` are taken; each comes once in each epoch, in another order each time,
        and loses its amplitude as often as `spoil` says.
    """

    def __init__(
        self,
        config: MaskSceneConfig,
        spoil: MaskSpoilConfig,
        batch: int,
        seed: int,
        given: list[MaskSample] | None = None,
    ) -> None:
        self._config, self._spoil, self._batch, self._seed = config, spoil, batch, seed
        self._given = given
        self._drawn = lru_cache(maxsize=3)(self._draw)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def __reduce__(self) -> tuple[type["MaskSupply"], tuple[object, ...]]:
        """Leave the caches behind: a worker process fills its own."""
        return MaskSupply, (self._config, self._spoil, self._batch, self._seed, self._given)

    def most_workers(self, wanted: int) -> int:
        """Return how many processes can share the work: neighbouring steps share simulated scenes, so one."""
        return min(wanted, 1) if self._given is None else wanted

    def tiles(self, step: int) -> list[MaskSample]:
        """Return the samples of one step."""
        return [self.tile(step * self._batch + k) for k in range(self._batch)]

    def tile(self, position: int) -> MaskSample:
        """Return one sample, counted from the beginning of training."""
        rng = np.random.default_rng([self._seed, 12, position])
        if self._given is None:
            group, k = divmod(position, self._config.scenes * self._config.pairs_seen)
            drawn = self._drawn(group)
            return varied(drawn[k % len(drawn)], rng)
        epoch, k = divmod(position, len(self._given))
        sample = cropped(self._given[self._order(epoch)[k]], self._config.shape, rng)
        if rng.random() < self._spoil.no_amplitude:
            sample = sample._replace(amplitude=np.zeros_like(sample.amplitude))
        return varied(sample, rng)

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        """Order of the given samples in one epoch."""
        assert self._given is not None
        return np.random.default_rng([self._seed, 13, epoch]).permutation(len(self._given))

    def _draw(self, group: int) -> list[MaskSample]:
        """Simulate a group of samples."""
        return simulated_samples(self._config, self._spoil, (self._seed + 1) * 1_000_000 + group)


def cropped(sample: MaskSample, shape: tuple[int, int], rng: np.random.Generator) -> MaskSample:
    """Cut a random piece out of a sample; beyond one that is too small there are no data."""
    top, left = (int(rng.integers(max(n - m, 0) + 1)) for n, m in zip(sample.wrapped.shape, shape, strict=True))

    def cut(values: NDArray[np.float32]) -> NDArray[np.float32]:
        piece = values[top : top + shape[0], left : left + shape[1]]
        return np.pad(piece, [(0, m - n) for n, m in zip(piece.shape, shape, strict=True)])

    return sample._replace(
        wrapped=cut(sample.wrapped),
        coherence=cut(sample.coherence),
        amplitude=cut(sample.amplitude),
        usable=cut(sample.usable),
        told=cut(sample.told),
    )
