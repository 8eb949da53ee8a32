"""Windows cut out of whole interferograms: candidates turned and moved, and other ground of slopes and flats alike."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.detect.fringe_scan import WINDOW
from groundshift.training.fringes.config import CutConfig
from groundshift.training.fringes.patches import FringeSample

__all__ = ["FringeImage", "cut_candidate", "cut_other", "cut_window", "has_places"]


@dataclass(frozen=True, eq=False)
class FringeImage:
    """An interferogram to cut windows from; arrays (y, x)."""

    igram: NDArray[np.complex64] = field(repr=False)
    """Coherence times phasor, without what is large; zero without data."""
    labels: NDArray[np.int16] = field(repr=False)
    """k on the k-th candidate, -1 where it is neither one nor the other, else 0."""
    slope: NDArray[np.float32] | None = field(repr=False)
    """Mean slope around each pixel, degrees, NaN where unknown; None if not known at all."""
    scene: str
    """Name of the place, without underscore."""
    cut: CutConfig

    @cached_property
    def middles(self) -> NDArray[np.int64]:
        """(candidate, 2) row and column of a pixel of each candidate, the nearest to its centre."""
        found = []
        for k, box in enumerate(ndimage.find_objects(np.maximum(self.labels, 0)), start=1):
            if box is None:
                continue
            place = np.argwhere(self.labels[box] == k)
            nearest = place[np.argmin(((place - place.mean(0)) ** 2).sum(1))]
            found.append(nearest + np.array([box[0].start, box[1].start]))
        return np.array(found, np.int64).reshape(-1, 2)

    @cached_property
    def others(self) -> tuple[tuple[NDArray[np.int64], ...], tuple[NDArray[np.int64], ...]]:
        """Flat indices of middles of other windows: those without a candidate, those beside one; flats, slopes each."""
        moving = self.labels != 0
        known = ndimage.uniform_filter((self.igram != 0).astype(np.float32), WINDOW, mode="constant")
        usable = (known >= self.cut.least_data) & (self.igram != 0)
        holds = ndimage.maximum_filter(moving, WINDOW, mode="constant")
        far = np.ones(moving.shape, np.bool_)
        if moving.any():
            far = ndimage.distance_transform_edt(~moving) >= self.cut.near_pixels
        return self._by_slope(usable & ~holds), self._by_slope(usable & holds & far)

    def _by_slope(self, places: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
        """Part places into flats and slopes; into one kind where the slope is not known."""
        if self.slope is None:
            kinds = [places]
        else:
            steep = self.slope >= self.cut.steep_degrees
            kinds = [places & ~steep & np.isfinite(self.slope), places & steep]
        return tuple(np.flatnonzero(kind) for kind in kinds)


def has_places(image: FringeImage) -> bool:
    """Whether windows without any candidate can be cut from an image."""
    return any(len(kind) for kind in image.others[0])


def cut_candidate(image: FringeImage, rng: np.random.Generator, which: int | None = None) -> FringeSample:
    """Cut a window around a candidate: moved, turned by 0 to 180 degrees, mirrored along rows, columns or both.

    Parameters
    ----------
    image : FringeImage
        With a candidate at least.
    rng : numpy Generator
    which : int, optional
        Index into `image.middles`; drawn by default.
    """
    k = int(rng.integers(len(image.middles))) if which is None else which
    shift = rng.integers(-image.cut.most_shift, image.cut.most_shift + 1, 2)
    row, column = (int(v) for v in image.middles[k] + shift)
    return cut_window(image, row, column, rng, positive=True)


def cut_other(image: FringeImage, rng: np.random.Generator) -> FringeSample | None:
    """Cut a window without a candidate in its middle, of slopes and flats alike; None where there is no place for one.

    The share `near_share` of them may hold a candidate beside the middle.
    """
    clear, beside = image.others
    kinds = [kind for kind in (beside if rng.random() < image.cut.near_share else clear) if len(kind)]
    kinds = kinds or [kind for kind in clear if len(kind)]
    if not kinds:
        return None
    places = kinds[int(rng.integers(len(kinds)))]
    row, column = divmod(int(places[int(rng.integers(len(places)))]), image.labels.shape[1])
    return cut_window(image, row, column, rng, positive=False)


def cut_window(
    image: FringeImage, row: int, column: int, rng: np.random.Generator | None, *, positive: bool
) -> FringeSample:
    """Cut the window whose middle is a pixel; with a generator turned and mirrored at random.

    Notes
    -----
    Pixels are taken as they are, the nearest one each, for phase between two pixels cannot be told where it wraps. The
    middle of a window of even side is its pixel (75, 75). Beyond the image there are no data.
    """
    angle = 0.0 if rng is None else float(rng.uniform(0, math.pi))
    away = np.arange(WINDOW) - WINDOW // 2
    down, right = away[:, np.newaxis], away[np.newaxis, :]
    if rng is not None:
        down, right = down * int(rng.choice((-1, 1))), right * int(rng.choice((-1, 1)))
    rows = np.rint(row + math.cos(angle) * down - math.sin(angle) * right).astype(np.int64)
    columns = np.rint(column + math.sin(angle) * down + math.cos(angle) * right).astype(np.int64)
    height, width = image.igram.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    values = image.igram[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    values = np.where(inside, values, np.complex64(0))
    coherence = np.minimum(np.abs(values), np.float32(1))
    return FringeSample(np.angle(values).astype(np.float32), coherence.astype(np.float32), positive, image.scene)
