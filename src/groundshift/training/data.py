"""Which samples make up which batch: a function of the seed and the number of the step alone.

Nothing is drawn from a generator that lives on. A run that was stopped therefore goes on with the very batches that it
would have seen, and batches may be prepared in any order by background threads.
"""

import hashlib
import multiprocessing
import zipfile
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError
from groundshift.processes import begin_worker, one_thread_each
from groundshift.training.augment import augmented
from groundshift.training.config import AugmentConfig
from groundshift.training.samples import Sample, judged, read_sample

__all__ = [
    "EndlessSamples",
    "JoinedSamples",
    "Samples",
    "StoredSamples",
    "Supply",
    "WorkerEndedError",
    "fingerprint",
    "prefetched",
    "split_by_scene",
]

T = TypeVar("T")

_making: list[Callable[[int], Any]] = []
"""In a worker process: what makes a batch."""

_NEAR = 48
"""Partners of an endless sample are drawn among so many before it, which are still in memory."""


class WorkerEndedError(GroundshiftError, RuntimeError):
    """A process that prepares batches is gone."""


class _Endless(Protocol):
    def __getitem__(self, k: int, /) -> Sample: ...


class Samples(Sequence[Sample]):
    """Samples of which the scenes are known without reading the rest."""

    @abstractmethod
    def one(self, k: int) -> Sample:
        """Return the k-th sample, k from 0 on."""

    @abstractmethod
    def scene(self, k: int) -> str:
        """Return the scene of the k-th sample."""

    @overload
    def __getitem__(self, k: int) -> Sample: ...
    @overload
    def __getitem__(self, k: slice) -> list[Sample]: ...
    def __getitem__(self, k: int | slice) -> Sample | list[Sample]:
        """Return one sample, or several."""
        found = range(len(self))[k]
        return self.one(found) if isinstance(found, int) else [self.one(j) for j in found]


class StoredSamples(Samples):
    """Samples on disk, read when they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._scenes: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def one(self, k: int) -> Sample:
        """Read a sample."""
        return read_sample(self.paths[k])

    def scene(self, k: int) -> str:
        """Read the scene of a sample and nothing else.

        Raises
        ------
        DamagedFileError
            If the file is not a sample.
        """
        if k in self._scenes:
            return self._scenes[k]
        path = self.paths[k]
        try:
            with np.load(path, allow_pickle=False) as data:
                self._scenes[k] = str(data["scene"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DamagedFileError(
                f"{path}: not a sample ({error}); make it again or take it out of the folder"
            ) from error
        return self._scenes[k]


class JoinedSamples(Samples):
    """Samples of several places as one, or a choice of them.

    Parameters
    ----------
    parts : sequence of Samples
        Those of the first come first.
    chosen : sequence of int, optional
        Which of them all to take; all by default.
    """

    def __init__(self, parts: Sequence[Samples], chosen: Sequence[int] | None = None) -> None:
        everything = [(part, k) for part in parts for k in range(len(part))]
        self._places = everything if chosen is None else [everything[k] for k in chosen]

    def __len__(self) -> int:
        return len(self._places)

    def one(self, k: int) -> Sample:
        """Return a sample of the part that holds it."""
        part, j = self._places[k]
        return part.one(j)

    def scene(self, k: int) -> str:
        """Return the scene of a sample."""
        part, j = self._places[k]
        return part.scene(j)


class EndlessSamples:
    """Samples without end, made when they are asked for, in one process."""

    def __init__(self, source: _Endless) -> None:
        self._source = source

    def __getitem__(self, k: int) -> Sample:
        """Return the k-th sample."""
        return self._source[k]


class Supply:
    """Varied tiles in the order in which a network sees them.

    Parameters
    ----------
    samples : sequence of Sample, or EndlessSamples
        What tiles are made from. Of a sequence every sample comes once in each epoch, in another order each time.
    config : AugmentConfig
        How they are varied.
    batch : int
        Tiles in a batch.
    seed : int
        Everything follows from it.
    in_radians : bool
        Whether the network sees summed radians instead of velocities; see `augment.mosaic`.
    least_visibility : float
        Bodies of less are not judged.
    """

    def __init__(
        self,
        samples: Sequence[Sample] | EndlessSamples,
        config: AugmentConfig,
        batch: int,
        seed: int,
        *,
        in_radians: bool = False,
        least_visibility: float = 0.0,
    ) -> None:
        self._samples, self._config, self._batch, self._seed = samples, config, batch, seed
        self._in_radians, self._least_visibility = in_radians, least_visibility
        self._orders: dict[int, NDArray[np.int64]] = {}

    def most_workers(self, wanted: int) -> int:
        """Return how many processes can share the work: what is simulated on the way is made in one."""
        return min(wanted, 1) if isinstance(self._samples, EndlessSamples) else wanted

    def tiles(self, step: int) -> list[Sample]:
        """Return the tiles of one step."""
        return [self.tile(step * self._batch + k) for k in range(self._batch)]

    def tile(self, position: int) -> Sample:
        """Return one tile, counted from the beginning of training."""
        rng = np.random.default_rng([self._seed, 1, position])
        partners = self._partners(position, rng, 3) if rng.random() < self._config.mosaic else []
        onto = self._partners(position, rng, 1) if rng.random() < self._config.blend else []
        found, other = ([self._samples[k] for k in some] for some in ((self._index(position), *partners), onto))
        tile = augmented(found, self._config, rng, onto=other[0] if other else None, in_radians=self._in_radians)
        return judged(tile, self._least_visibility)

    def _index(self, position: int) -> int:
        """Return which sample comes at a position."""
        if isinstance(self._samples, EndlessSamples):
            return position
        epoch, k = divmod(position, len(self._samples))
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = self._permutation(epoch)
        return int(self._orders[epoch][k])

    def _partners(self, position: int, rng: np.random.Generator, count: int) -> list[int]:
        """Return other samples, for a mosaic or a blend."""
        if isinstance(self._samples, EndlessSamples):
            return [max(0, position - int(back)) for back in rng.integers(1, _NEAR, count)]
        return [int(k) for k in rng.integers(len(self._samples), size=count)]

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        """Order of the samples in one epoch."""
        assert not isinstance(self._samples, EndlessSamples)
        return np.random.default_rng([self._seed, 2, epoch]).permutation(len(self._samples))


def prefetched(make: Callable[[int], T], first: int, past: int, workers: int) -> Generator[T, None, None]:
    """Give `make(first)` to `make(past - 1)` in order, prepared ahead.

    Parameters
    ----------
    make : callable
        Pickled for processes; a thread shares it.
    first, past : int
    workers : int
        Processes that prepare; 0: a thread of this one.

    Raises
    ------
    WorkerEndedError
        If a process was ended from outside. An error in `make` comes up where its result would have been.
    """
    others = set(multiprocessing.active_children())
    ahead = first
    waiting: deque[Future[T]] = deque()
    with _pool(make, workers) as pool:
        try:
            for _ in range(first, past):
                while ahead < past and len(waiting) < 2 * max(workers, 1):
                    waiting.append(_submit(pool, make, ahead, workers))
                    ahead += 1
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerEndedError(
                "a process that prepares batches was ended from outside, as happens where memory runs out; lower "
                "--workers and run the same command again"
            ) from error
        finally:
            pool.shutdown(wait=workers == 0, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()


def _submit(pool: Executor, make: Callable[[int], T], step: int, workers: int) -> Future[T]:
    """Let a batch be prepared."""
    if workers == 0:
        # Nothing is set in the environment: torch reads it in the thread, which crashes while it is being changed.
        return pool.submit(make, step)
    with one_thread_each():
        return pool.submit(_made, step)


def _pool(make: Callable[[int], T], workers: int) -> Executor:
    """Return what prepares batches."""
    if workers == 0:
        return ThreadPoolExecutor(1, thread_name_prefix="batches")
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _begin, (make,))


def _begin(make: Callable[[int], Any]) -> None:
    """Set up a worker process with what it is to make."""
    begin_worker()
    _making.append(make)


def _made(step: int) -> Any:
    """Make the batch of a step in a worker process."""
    return _making[0](step)


def fingerprint(learned: Samples | EndlessSamples, validation: Sequence[Sample]) -> str:
    """Return what tells the samples of a run from others: a checksum of their scenes, in order."""
    scenes = [] if isinstance(learned, EndlessSamples) else [learned.scene(k) for k in range(len(learned))]
    held = [(sample.scene, sample.window) for sample in validation]
    return hashlib.sha256(repr((scenes, held)).encode()).hexdigest()[:16]


def split_by_scene(scenes: Sequence[str], shares: Sequence[float], seed: int) -> list[list[int]]:
    """Split samples so that those of one scene stay together.

    Parameters
    ----------
    scenes : sequence of str
        Scene of every sample.
    shares : sequence of float
        Share of the scenes that each part is to have, above 0, of any sum. Each part has at least one scene.
    seed : int
        Of the draw; it depends on the names of the scenes, not on their order.

    Returns
    -------
    list of lists of int
        Indices of the samples of each part, ascending.

    Raises
    ------
    ValueError
        If there are fewer scenes than parts, or a share is not above 0.
    """
    names = sorted(set(scenes))
    if min(shares) <= 0:
        raise ValueError(f"shares must be above 0, instead got {tuple(shares)}")
    if len(names) < len(shares):
        raise ValueError(f"scenes must be at least as many as parts ({len(shares)}), instead got {len(names)}")
    order = np.random.default_rng([seed, 3]).permutation(len(names))
    # One scene for each part, the others where most are missing.
    wanted = np.asarray(shares, np.float64) / sum(shares) * len(names)
    sizes = np.ones(len(shares), np.int64)
    for _ in range(len(names) - len(shares)):
        sizes[np.argmax(wanted - sizes)] += 1
    part_of: dict[str, int] = {}
    start = 0
    for part, size in enumerate(sizes):
        part_of |= {names[k]: part for k in order[start : start + size]}
        start += int(size)
    return [[k for k, scene in enumerate(scenes) if part_of[scene] == part] for part in range(len(shares))]
