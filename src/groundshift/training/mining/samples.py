"""Interferograms over mines to learn from: pairs of simulated scenes, spoiled as products are, in a fixed order."""

from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.interferometry.filters import goldstein
from groundshift.io.estimate import phase_consistency
from groundshift.simulate.mining.config import MiningConfig
from groundshift.simulate.mining.scenes import draw_scenes
from groundshift.training.mining.config import SpoilConfig

__all__ = ["BowlSample", "BowlSupply", "simulated_samples", "turned"]

_LEAST_ALPHA = 0.3
_FILTER_PATCH = 32


class BowlSample(NamedTuple):
    """One interferogram with its truth; arrays (y, x) of float32."""

    wrapped: NDArray[np.float32]
    """Radians; zero without data."""
    coherence: NDArray[np.float32]
    """0 to 1; zero without data."""
    phase: NDArray[np.float32]
    """Unwrapped, without noise, radians; NaN throughout where it is not known."""
    bowl: NDArray[np.float32]
    """Phase of the bowls alone, radians; NaN throughout where it is not known."""
    footprint: NDArray[np.float32]
    """1 where the ground is to be found moving by itself, else 0."""
    scene: str

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there are data."""
        return self.coherence > 0


def simulated_samples(config: MiningConfig, spoil: SpoilConfig, seed: int) -> list[BowlSample]:
    """Draw the scenes of a seed and return all their pairs, in random order.

    Parameters
    ----------
    config : MiningConfig
        Each scene gives as many samples as there are pairs of its dates.
    spoil : SpoilConfig
        How they are spoiled.
    seed : int
    """
    scenes = draw_scenes(config, seed)
    rng = np.random.default_rng([seed, 6])
    found = []
    for first, second in combinations(range(config.dates), 2):
        pair = scenes.pair(first, second)
        wrapped, coherence, phase, bowl, footprint = (
            plane.numpy() for plane in (pair.wrapped, pair.coherence, pair.phase, pair.bowl, pair.footprint)
        )
        for k in range(config.scenes):
            clean = BowlSample(wrapped[k], coherence[k], phase[k], bowl[k], footprint[k], f"mine {seed}-{k}")
            found.append(spoiled(clean, spoil, rng))
    return [found[k] for k in rng.permutation(len(found))]


def spoiled(sample: BowlSample, config: SpoilConfig, rng: np.random.Generator) -> BowlSample:
    """Filter an interferogram, forget its coherence, cut holes: each by chance."""
    wrapped, coherence = sample.wrapped, sample.coherence
    if rng.random() < config.filtered:
        igram = (coherence * np.exp(1j * wrapped)).astype(np.complex64)
        wrapped = np.angle(goldstein(igram, rng.uniform(_LEAST_ALPHA, 1.0), _FILTER_PATCH)).astype(np.float32)
    known = sample.known
    if rng.random() < config.holes:
        rows, columns = known.shape
        for _ in range(rng.integers(1, 4)):
            top, left = int(rng.integers(rows)), int(rng.integers(columns))
            height, width = int(rng.integers(1, rows // 3)), int(rng.integers(1, columns // 3))
            known[top : top + height, left : left + width] = False
    if rng.random() < config.no_coherence:
        coherence = phase_consistency(wrapped, known)
    return sample._replace(
        wrapped=np.where(known, wrapped, np.float32(0)), coherence=np.where(known, coherence, np.float32(0))
    )


def turned(sample: BowlSample, rng: np.random.Generator) -> BowlSample:
    """Flip, transpose if square, reverse the motion and add a constant to the phase, at random."""
    flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
    rows, columns = sample.wrapped.shape
    transpose, sign = rng.random() < 0.5 and rows == columns, np.float32(rng.choice([-1, 1]))
    constant = np.float32(rng.uniform(-np.pi, np.pi))

    def turn(values: NDArray[np.float32]) -> NDArray[np.float32]:
        flipped = np.flip(values, flips)
        return np.ascontiguousarray(flipped.T if transpose else flipped)

    wrapped = np.angle(np.exp(1j * (sign * turn(sample.wrapped) + constant))).astype(np.float32)
    coherence = turn(sample.coherence)
    return sample._replace(
        wrapped=np.where(coherence > 0, wrapped, np.float32(0)),
        coherence=coherence,
        phase=sign * turn(sample.phase) + constant,
        bowl=sign * turn(sample.bowl),
        footprint=turn(sample.footprint),
    )


class BowlSupply:
    """Varied samples in the order in which a network sees them: simulated without end, or a given few over and over.

    Parameters
    ----------
    config : MiningConfig
        What scenes are drawn from, where no samples are given.
    spoil : SpoilConfig
    batch : int
        Samples in a batch.
    seed : int
        Everything follows from it.
    given : list of BowlSample, optional
        Samples of which pieces of `config.shape` are taken; each comes once in each epoch, in another order each time.
    """

    def __init__(
        self, config: MiningConfig, spoil: SpoilConfig, batch: int, seed: int, given: list[BowlSample] | None = None
    ) -> None:
        self._config, self._spoil, self._batch, self._seed = config, spoil, batch, seed
        self._given = given
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._drawn = lru_cache(maxsize=3)(self._draw)

    def __reduce__(self) -> tuple[type["BowlSupply"], tuple[object, ...]]:
        """Leave the cache behind: a worker process fills its own."""
        return BowlSupply, (self._config, self._spoil, self._batch, self._seed, self._given)

    def most_workers(self, wanted: int) -> int:
        """Return how many processes can share the work: neighbouring steps share simulated scenes, so one."""
        return min(wanted, 1) if self._given is None else wanted

    def tiles(self, step: int) -> list[BowlSample]:
        """Return the samples of one step."""
        return [self.tile(step * self._batch + k) for k in range(self._batch)]

    def tile(self, position: int) -> BowlSample:
        """Return one sample, counted from the beginning of training."""
        rng = np.random.default_rng([self._seed, 7, position])
        if self._given is None:
            number = self._config.scenes * self._config.dates * (self._config.dates - 1) // 2
            group, k = divmod(position, number)
            return turned(self._drawn(group)[k], rng)
        epoch, k = divmod(position, len(self._given))
        return turned(cropped(self._given[self._order(epoch)[k]], self._config.shape, rng), rng)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Order of the given samples in one epoch."""
        assert self._given is not None
        if epoch not in self._orders:
            order = np.random.default_rng([self._seed, 8, epoch]).permutation(len(self._given))
            self._orders = {epoch: order, **{e: o for e, o in self._orders.items() if e == epoch - 1}}
        return self._orders[epoch]

    def _draw(self, group: int) -> list[BowlSample]:
        """Simulate a group of samples."""
        return simulated_samples(self._config, self._spoil, (self._seed + 1) * 1_000_000 + group)


def cropped(sample: BowlSample, shape: tuple[int, int], rng: np.random.Generator) -> BowlSample:
    """Cut a random piece out of a sample; beyond one that is too small there are no data."""
    rows, columns = (int(rng.integers(max(n - m, 0) + 1)) for n, m in zip(sample.wrapped.shape, shape, strict=True))

    def cut(values: NDArray[np.float32]) -> NDArray[np.float32]:
        piece = values[rows : rows + shape[0], columns : columns + shape[1]]
        return np.pad(piece, [(0, m - n) for n, m in zip(piece.shape, shape, strict=True)])

    return sample._replace(
        wrapped=cut(sample.wrapped),
        coherence=cut(sample.coherence),
        phase=cut(sample.phase),
        bowl=cut(sample.bowl),
        footprint=cut(sample.footprint),
    )
