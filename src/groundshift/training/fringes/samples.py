"""Windows in the order in which a network sees them: cut from simulated interferograms without end, or given ones."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from groundshift.detect.fringe_scan import mean_slope
from groundshift.errors import NoDataError
from groundshift.interferometry.filters import remove_large_scale
from groundshift.simulate.fringe_config import FringeConfig
from groundshift.simulate.fringes import simulate_fringes
from groundshift.training.fringes.config import CutConfig
from groundshift.training.fringes.cutting import FringeImage, cut_candidate, cut_other, has_places
from groundshift.training.fringes.patches import FringeSample, Patch, read_patch
from groundshift.types import MapGrid

__all__ = ["FringeSupply", "scene_grid", "simulated_images", "simulated_windows"]

_PER_GROUP = 400
"""Windows that are cut from one group of simulated interferograms before the next one comes."""
_GROUPS = 3
"""Groups at hand at a time, so that a batch is not of one scene."""
_FEW = 20
"""Windows to validate on from one group."""
_VALIDATION_SEED = 500_000
_TRIES = 60
_CRS = "EPSG:32654"


def scene_grid(config: FringeConfig) -> MapGrid:
    """Return where simulated scenes are said to lie: in the mountains of Japan."""
    shape = (config.side, config.side)
    return MapGrid(shape, Affine(config.pixel_m, 0, 400_000, 0, -config.pixel_m, 4_250_000), _CRS)


def simulated_images(config: FringeConfig, cut: CutConfig, seed: int) -> list[FringeImage]:
    """Simulate one scene and take out of its interferograms what is large."""
    scene = simulate_fringes(config, seed)
    spacing = (config.pixel_m, config.pixel_m)
    slope = mean_slope(scene.heights, scene_grid(config))
    return [
        FringeImage(remove_large_scale(igram, spacing), labels, slope, f"simulated-{seed}", cut)
        for igram, labels in zip(scene.igrams, scene.labels, strict=True)
    ]


def simulated_windows(config: FringeConfig, cut: CutConfig, number: int, seed: int) -> list[FringeSample]:
    """Cut windows of both classes alike from simulated scenes, few from each, to validate on.

    The scenes of a seed are none of those that a `FringeSupply` of that seed draws.
    """
    supply = FringeSupply(config, cut, 1, _VALIDATION_SEED + seed)
    return [supply.tile(k // _FEW * _PER_GROUP + k % _FEW) for k in range(number)]


class FringeSupply:
    """Windows in the order in which a network sees them; every second one holds a candidate.

    Parameters
    ----------
    config : FringeConfig
        What interferograms are drawn from, where no windows are given.
    cut : CutConfig
    batch : int
        Windows in a batch.
    seed : int
        Everything follows from it.
    given : sequence of Patch, optional
        Windows that are read when they are needed, transposed and mirrored at random. Of the class that has fewer each
        one comes more often.
    """

    def __init__(
        self, config: FringeConfig, cut: CutConfig, batch: int, seed: int, given: Sequence[Patch] | None = None
    ) -> None:
        self._config, self._cut, self._batch, self._seed = config, cut, batch, seed
        self._given = given
        self._classes = [[p for p in given or () if p.positive is wanted] for wanted in (True, False)]
        self._drawn = lru_cache(maxsize=_GROUPS + 1)(self._draw)

    def __reduce__(self) -> tuple[type["FringeSupply"], tuple[object, ...]]:
        """Leave the cache behind: a worker process fills its own."""
        return FringeSupply, (self._config, self._cut, self._batch, self._seed, self._given)

    def most_workers(self, wanted: int) -> int:
        """Return how many processes can share the work: neighbouring steps share simulated scenes, so one."""
        return min(wanted, 1) if self._given is None else wanted

    def tiles(self, step: int) -> list[FringeSample]:
        """Return the windows of one step."""
        return [self.tile(step * self._batch + k) for k in range(self._batch)]

    def tile(self, position: int) -> FringeSample:
        """Return one window, counted from the beginning of training."""
        rng = np.random.default_rng([self._seed, 7, position])
        if self._given is not None:
            return self._read(position, rng)
        newest = position // _PER_GROUP
        images = self._drawn(int(rng.integers(max(0, newest - _GROUPS + 1), newest + 1)))
        if position % 2 == 0:
            telling = [image for image in images if len(image.middles)]
            return cut_candidate(telling[int(rng.integers(len(telling)))], rng)
        while True:
            found = cut_other(images[int(rng.integers(len(images)))], rng)
            if found is not None:
                return found

    def _read(self, position: int, rng: np.random.Generator) -> FringeSample:
        """Read the next window of the class whose turn it is; each comes once before any comes again."""
        number, turn = divmod(position, 2)
        patches = self._classes[turn]
        epoch, k = divmod(number, len(patches))
        order = self._order(turn, epoch, len(patches))
        sample = read_patch(patches[int(order[k])])
        flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
        transpose = rng.random() < 0.5
        wrapped, coherence = (
            np.ascontiguousarray(np.flip(v, flips).T if transpose else np.flip(v, flips))
            for v in (sample.wrapped, sample.coherence)
        )
        return sample._replace(wrapped=wrapped, coherence=coherence)

    def _order(self, turn: int, epoch: int, number: int) -> NDArray[np.int64]:
        """Order of the windows of a class in one epoch."""
        return _shuffled(self._seed, turn, epoch, number)

    def _draw(self, group: int) -> list[FringeImage]:
        """Simulate scenes until one has a candidate, and ground without one."""
        images: list[FringeImage] = []
        for k in range(_TRIES):
            seed = ((self._seed + 1) * 1_000_000 + group) * _TRIES + k
            images += simulated_images(self._config, self._cut, seed)
            if any(len(i.middles) for i in images) and any(has_places(i) for i in images):
                return images
        raise NoDataError(
            f"none of {_TRIES} simulated scenes shows a candidate beside still ground; give more --slides or a lower "
            "--least-coherence"
        )


@lru_cache(maxsize=4)
def _shuffled(seed: int, turn: int, epoch: int, number: int) -> NDArray[np.int64]:
    """Order of so many windows."""
    return np.random.default_rng([seed, 8, turn, epoch]).permutation(number)
