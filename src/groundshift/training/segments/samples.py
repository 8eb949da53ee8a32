"""Patches of interferograms with the outlines that somebody drew: read, varied, in the order a network sees them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import NoDataError
from groundshift.io.isslide import PatchPlanes, SegmentPatch, find_patches, read_patch, read_patches
from groundshift.io.stack import Problem
from groundshift.training.segments.config import SplitName
from groundshift.training.segments.split import Split, clean_split, paper_split

__all__ = [
    "Loadable", "Patches", "SegmentSample", "SegmentSet", "SegmentSupply", "SetSupply", "StoredSample", "Turn",
    "read_data", "sets_of", "split_data", "turned",
]  # fmt: skip


class SegmentSample(NamedTuple):
    """One patch with its truth; arrays (y, x) of float32."""

    wrapped: NDArray[np.float32]
    """Radians; zero without data."""
    coherence: NDArray[np.float32]
    """0 to 1; zero without data."""
    mask: NDArray[np.float32]
    """1 where the ground was seen moving, else 0."""
    place: str
    """Zone, number of the moving area and of the patch in it: the same at every date and delay."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there are data."""
        return self.coherence > 0

    @property
    def moves(self) -> bool:
        """Whether any ground was seen moving."""
        return bool(self.mask.any())

    def load(self) -> "SegmentSample":
        """Return itself; patches on disk are loaded by the same name."""
        return self


class StoredSample(NamedTuple):
    """A patch that has been read once and is read again when it is wanted: a data set need not fit into memory."""

    patch: SegmentPatch
    place: str
    """As of `SegmentSample`."""
    moves: bool
    """Whether any ground was seen moving."""

    def load(self) -> SegmentSample:
        """Read it.

        Raises
        ------
        GroundshiftError
            If the files have changed and cannot be read any more.
        """
        return _sample(self.patch, read_patch(self.patch))


Loadable = SegmentSample | StoredSample


class SegmentSet(NamedTuple):
    """Patches of one place at several dates and delays."""

    members: tuple[SegmentSample, ...]

    @property
    def mask(self) -> NDArray[np.float32]:
        """1 where the ground was seen moving in any of them."""
        return np.asarray(np.max([m.mask for m in self.members], axis=0), np.float32)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where any of them has data."""
        return np.asarray(np.any([m.known for m in self.members], axis=0))

    @property
    def place(self) -> str:
        """Of all of them."""
        return self.members[0].place


class Patches(NamedTuple):
    """A data set that was read; `samples` and `patches` go together."""

    patches: tuple[SegmentPatch, ...]
    samples: tuple[StoredSample, ...]
    problems: tuple[str, ...]
    """One line for each file that was left out."""
    checksum: str


def read_data(roots: Sequence[Path], *, as_published: bool = False) -> Patches:
    """Read all patches with a mask; those that cannot be read are named and left out.

    Parameters
    ----------
    roots : sequence of path
        Data sets in the format of ISSLIDE.
    as_published : bool
        As of `groundshift.io.isslide.find_patches`.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    NoDataError
        If nothing is left.
    """
    patches, samples = [], []
    if not roots:
        raise NoDataError("no data set given; name folders in the format of ISSLIDE")
    problems: list[Problem] = []
    found = hashlib.sha256()
    for root in roots:
        listed, wrong = find_patches(root, as_published=as_published)
        problems += [p for p in wrong if p.skipped]
        for patch, planes in read_patches([p for p in listed if p.has_mask], problems):
            sample = _sample(patch, planes)
            found.update(f"{sample.place} {patch.delay} {patch.dates}".encode())
            for plane in (sample.wrapped, sample.coherence, sample.mask):
                found.update(np.ascontiguousarray(plane).tobytes())
            patches.append(patch)
            samples.append(StoredSample(patch, sample.place, sample.moves))
    if not any(s.moves for s in samples):
        names = ", ".join(map(str, roots))
        raise NoDataError(f"{names}: no mask shows motion; draw some, or see `groundshift simulate-segments`")
    return Patches(tuple(patches), tuple(samples), tuple(p.message for p in problems), found.hexdigest()[:16])


def split_data(given: Patches, split: SplitName, seed: int) -> Split:
    """Split as `paper` or `clean`; the former uses only masks that show motion.

    Raises
    ------
    NoDataError
        If a part would be empty.
    """
    if split == "clean":
        return clean_split(given.patches, seed)
    return paper_split(given.patches, [s.moves for s in given.samples])


def sets_of(samples: Sequence[Loadable], most: int) -> list[tuple[Loadable, ...]]:
    """Put samples of one place together, at most so many, evenly spread over their order; places by name."""
    sets = []
    for members in _by_place(samples):
        chosen = np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int)
        sets.append(tuple(samples[members[int(k)]] for k in chosen))
    return sets


def turned(sample: SegmentSample, turn: "Turn", constant: float) -> SegmentSample:
    """Turn a sample and add a constant to its phase."""
    rows, columns = sample.wrapped.shape

    def laid(values: NDArray[np.float32]) -> NDArray[np.float32]:
        flipped = np.flip(values, turn.flips)
        return np.ascontiguousarray(flipped.T if turn.transpose and rows == columns else flipped)

    coherence = laid(sample.coherence)
    phase = turn.sign * laid(sample.wrapped) + np.float32(constant)
    wrapped = np.angle(np.exp(1j * phase)).astype(np.float32)
    return sample._replace(
        wrapped=np.where(coherence > 0, wrapped, np.float32(0)), coherence=coherence, mask=laid(sample.mask)
    )


class Turn(NamedTuple):
    """A symmetry of interferograms."""

    flips: tuple[int, ...] = ()
    transpose: bool = False
    sign: float = 1.0
    """-1: the motion is reversed."""


class _Supply:
    """What both supplies share: an order in each epoch, and how samples are varied."""

    def __init__(self, samples: Sequence[Loadable], batch: int, seed: int, *, offset: bool, symmetry: bool) -> None:
        self._samples, self._batch, self._seed = tuple(samples), batch, seed
        self._offset, self._symmetry = offset, symmetry

    def most_workers(self, wanted: int) -> int:
        """Return how many processes can share the work."""
        return wanted

    def _generator(self, position: int) -> np.random.Generator:
        """Everything random about one position follows from it."""
        return np.random.default_rng([self._seed, 7, position])

    def _chosen(self, position: int, length: int) -> int:
        """Return which of so many comes at a position: each once in an epoch, in another order each time."""
        epoch, k = divmod(position, length)
        return int(np.random.default_rng([self._seed, 8, epoch]).permutation(length)[k])

    def _turn(self, rng: np.random.Generator) -> Turn:
        """Draw a symmetry."""
        if not self._symmetry:
            return Turn()
        flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
        return Turn(flips, bool(rng.random() < 0.5), float(rng.choice([-1.0, 1.0])))

    def _constant(self, rng: np.random.Generator) -> float:
        """Draw a constant of the phase, uniform in [0, 2 pi)."""
        return float(rng.uniform(0, 2 * np.pi)) if self._offset else 0.0


class SegmentSupply(_Supply):
    """Varied patches without end, each once in an epoch.

    Parameters
    ----------
    samples : sequence of SegmentSample or StoredSample
    batch : int
        Patches in a batch.
    seed : int
        Everything follows from it.
    offset, symmetry : bool
        Add a random constant to the phase; flip, transpose and reverse the motion at random.
    """

    def __len__(self) -> int:
        """Return how many make an epoch."""
        return len(self._samples)

    def tiles(self, step: int) -> list[SegmentSample]:
        """Return the samples of one step."""
        return [self.tile(step * self._batch + k) for k in range(self._batch)]

    def tile(self, position: int) -> SegmentSample:
        """Return one sample, counted from the beginning of training."""
        rng = self._generator(position)
        sample = self._samples[self._chosen(position, len(self._samples))]
        return turned(sample.load(), self._turn(rng), self._constant(rng))


class SetSupply(_Supply):
    """Varied sets of patches of one place without end.

    Parameters
    ----------
    samples : sequence of SegmentSample or StoredSample
    batch : int
        Sets in a batch.
    seed : int
        Everything follows from it.
    dates : int
        Most patches in a set; how many, and which, is drawn. All of a set are turned alike, each has a constant of its
        own.
    offset, symmetry : bool
        As of `SegmentSupply`.
    """

    def __init__(
        self, samples: Sequence[Loadable], batch: int, seed: int, dates: int, *, offset: bool, symmetry: bool
    ) -> None:
        super().__init__(samples, batch, seed, offset=offset, symmetry=symmetry)
        self._dates = dates
        groups = _by_place(self._samples)
        # A place with many dates comes as often as their number asks for.
        self._places = [group for group in groups for _ in range(-(-len(group) // dates))]

    def __len__(self) -> int:
        """Return how many make an epoch."""
        return len(self._places)

    def tiles(self, step: int) -> list[SegmentSet]:
        """Return the sets of one step."""
        return [self.tile(step * self._batch + k) for k in range(self._batch)]

    def tile(self, position: int) -> SegmentSet:
        """Return one set, counted from the beginning of training."""
        rng = self._generator(position)
        group = self._places[self._chosen(position, len(self._places))]
        most = min(self._dates, len(group))
        chosen = rng.choice(len(group), int(rng.integers(1, most + 1)), replace=False)
        turn = self._turn(rng)
        members = [self._samples[group[int(k)]].load() for k in chosen]
        return SegmentSet(tuple(turned(member, turn, self._constant(rng)) for member in members))


def _by_place(samples: Sequence[Loadable]) -> list[list[int]]:
    """Return the indices of the samples of each place, places by name."""
    groups: dict[str, list[int]] = {}
    for k, sample in enumerate(samples):
        groups.setdefault(sample.place, []).append(k)
    return [groups[name] for name in sorted(groups)]


def _sample(patch: SegmentPatch, planes: PatchPlanes) -> SegmentSample:
    """Zero what has no data."""
    assert planes.mask is not None  # only patches with a mask are read
    known = np.isfinite(planes.wrapped) & (planes.coherence > 0)
    return SegmentSample(
        np.where(known, planes.wrapped, np.float32(0)),
        np.where(known, planes.coherence, np.float32(0)),
        planes.mask.astype(np.float32),
        f"{patch.zone} {patch.move_id} {patch.place}",
    )
