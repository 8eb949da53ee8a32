"""Networks that outline moving ground at work: interferograms of any size in, probability, places and outlines out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.checks import check_shape
from groundshift.detect.evidence import grown
from groundshift.detect.session import wrong_model
from groundshift.detect.tiled_model import LookingNetwork
from groundshift.detect.tiling import blend_tiles
from groundshift.types import Window

__all__ = ["Segment", "SegmentNetwork", "Sightings", "find_segments", "relative_phase", "touched"]

_OUTPUTS = {"footprint": ("probability",), "footprint_of_many": ("probability",)}
_PLANES = ("wrapped", "coherence")
_EVERY_SIDE = np.ones((3, 3), np.bool_)
_GAP, _RING = 3, 6
"""Pixels between moving ground and the ring it is compared with, for outlines are not sharp; width of that ring."""


class Segment(NamedTuple):
    """Ground that moves, as one map shows it."""

    window: Window
    """Bounding box on the grid."""
    mask: NDArray[np.bool_]
    """(height, width) of the window: True inside."""
    score: float
    """0 to 1: the 95th percentile of the probability inside."""

    def touches(self, where: NDArray[np.bool_]) -> bool:
        """Whether any of its pixels is True in a map of the whole grid."""
        return bool((where[self.window.rows, self.window.columns] & self.mask).any())


@dataclass(frozen=True)
class SegmentNetwork(LookingNetwork):
    """A model, ready to run."""

    OUTPUTS = _OUTPUTS
    PLANES = _PLANES

    @property
    def sees_many(self) -> bool:
        """Whether it looks at several interferograms of a place at once."""
        return self.model.kind == "footprint_of_many"

    def look(self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Tell how likely the ground moves, from interferograms of one place and any size.

        Parameters
        ----------
        wrapped, coherence : (pair, y, x) float arrays
            Radians; 0 to 1. There are no data where coherence is 0, or either is NaN.

        Returns
        -------
        (y, x) float32 array
            0 to 1, zero where no interferogram has data. Of a model that looks at one interferogram, the mean over
            those that have data there.

        Raises
        ------
        ValueError
            If the shapes differ.
        UnknownFormatError
            If the model fails, or its answer has not the shape it should have.
        """
        check_shape("coherence", coherence, wrapped.shape)
        known = np.isfinite(wrapped) & (coherence > 0)
        planes = np.where(known[:, np.newaxis], np.stack([wrapped, coherence], 1), 0).astype(np.float32)
        if self.sees_many:
            return self._look_at_many(planes, np.any(known, axis=0))
        total, count = np.zeros(known.shape[1:], np.float32), known.sum(0, dtype=np.int32)
        for seen, there in zip(planes, known, strict=True):
            told = self.model.run(seen, there)["probability"]
            total += np.where(there, told, np.float32(0))
        return _ratio(total, count)

    def _look_at_many(self, planes: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Run a model that looks at (pair, 2, y, x) at once."""
        pairs, _, rows, columns = planes.shape

        def run(tile: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            """Run it on the planes of all pairs, one after the other."""
            told = tile.reshape(pairs, 2, *tile.shape[1:])
            try:
                (found,) = self.model.session.run(["probability"], {"interferogram": told})
            except MemoryError:
                raise
            except Exception as error:  # Those of ONNX Runtime have no parent of their own.
                raise wrong_model(
                    self.model.path, f"fails on {pairs} interferograms of {tile.shape[1:]}: {error}"
                ) from error
            if found.shape != (1, 1, *tile.shape[1:]):
                raise wrong_model(
                    self.model.path, f"probability has shape {found.shape}, expected {(1, 1, *tile.shape[1:])}"
                )
            return [found[0]]

        maps = blend_tiles(run, planes.reshape(2 * pairs, rows, columns), known)
        return np.where(known, maps[0][0], np.float32(0)) if maps else np.zeros(known.shape, np.float32)


class Sightings:
    """Probabilities of several interferograms, added up one by one.

    Parameters
    ----------
    shape : (int, int)
        Of the grid.
    least_probability : float
        From here on ground counts as seen moving.
    """

    def __init__(self, shape: tuple[int, int], least_probability: float) -> None:
        self._least = least_probability
        self._known, self._seen = (np.zeros(shape, np.int32) for _ in range(2))
        self._total, self._total_seen = (np.zeros(shape, np.float32) for _ in range(2))

    def add(self, probability: NDArray[np.float32], known: NDArray[np.bool_]) -> None:
        """Add what one interferogram shows, (y, x) both."""
        seen = known & (probability >= self._least)
        self._known += known
        self._seen += seen
        self._total += np.where(known, probability, np.float32(0))
        self._total_seen += np.where(seen, probability, np.float32(0))

    @property
    def share(self) -> NDArray[np.float32]:
        """(y, x): share of the interferograms with data there that see the ground moving; zero without any."""
        return _ratio(self._seen.astype(np.float32), self._known)

    @property
    def mean(self) -> NDArray[np.float32]:
        """(y, x): mean probability; zero without data."""
        return _ratio(self._total, self._known)

    def places(self, least_share: float, least_pixels: int) -> list[Segment]:
        """Return what is seen moving in a share of the interferograms; its score is that of those that see it."""
        when_seen = _ratio(self._total_seen, self._seen)
        often = (self._seen > 0) & (self.share >= least_share)
        return _parts(often, when_seen, least_pixels)


def find_segments(
    probability: NDArray[np.float32], known: NDArray[np.bool_], *, least_probability: float, least_pixels: int
) -> list[Segment]:
    """Read moving ground from a map.

    Parameters
    ----------
    probability : (y, x) float array
        0 to 1.
    known : (y, x) bool array
        Pixels with data.
    least_probability : float
        Moving ground consists of pixels at least as likely.
    least_pixels : int
        Smaller pieces are left out.

    Returns
    -------
    list of Segment
        What hangs together over all eight neighbours. The highest score first.
    """
    check_shape("known", known, probability.shape)
    return _parts(known & (probability >= least_probability), probability, least_pixels)


def relative_phase(igram: NDArray[np.complex64], segment: Segment, moving: NDArray[np.bool_]) -> float:
    """Return the mean phase of moving ground against that of the still ground around.

    Parameters
    ----------
    igram : (y, x) complex array
        Magnitude is coherence; zero without data.
    segment : Segment
    moving : (y, x) bool array
        All ground that moves, which is not compared with.

    Returns
    -------
    float
        Radians, -pi to pi, positive where the ground moves away; NaN where either has no data. Of ground that moves
        by more than half a cycle it is what is left of it.
    """
    w = segment.window
    box = grown((w.y, w.x, w.y + w.height, w.x + w.width), _GAP + _RING, moving.shape)
    inside = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start), np.bool_)
    top, left = w.y - box[0].start, w.x - box[1].start
    inside[top : top + w.height, left : left + w.width] = segment.mask
    far = ndimage.distance_transform_edt(~inside)
    ring = (far > _GAP) & (far <= _GAP + _RING) & ~moving[box]
    phasors = [complex(igram[box][part].sum(dtype=np.complex128)) for part in (inside, ring)]
    return float(np.angle(phasors[0] * np.conj(phasors[1]))) if all(phasors) else float("nan")


def touched(places: Sequence[Segment], seen: Sequence[Segment], shape: tuple[int, int]) -> set[int]:
    """Return the indices of the places that one of the segments of an interferogram touches."""
    where = np.zeros(shape, np.bool_)
    for segment in seen:
        where[segment.window.rows, segment.window.columns] |= segment.mask
    return {k for k, place in enumerate(places) if place.touches(where)}


def _parts(mask: NDArray[np.bool_], probability: NDArray[np.float32], least_pixels: int) -> list[Segment]:
    """Part a map into what hangs together."""
    labels, _ = ndimage.label(mask, _EVERY_SIDE)
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        own = labels[rows, columns] == number
        if own.sum() >= least_pixels:
            window = Window(rows.start, columns.start, *own.shape)
            found.append(Segment(window, own, float(np.quantile(probability[rows, columns][own], 0.95))))
    return sorted(found, key=lambda s: (-s.score, s.window))


def _ratio(values: NDArray[np.float32], count: NDArray[np.int32]) -> NDArray[np.float32]:
    """Divide; zero where the count is."""
    return np.divide(values, count, out=np.zeros(values.shape, np.float32), where=count > 0, dtype=np.float32)
