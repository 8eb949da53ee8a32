"""From the maps of one interferogram to bowls: where ground probably sinks or rises by itself, and by how much.

A network or `groundshift.detect.fringes` tells for every pixel how likely it belongs to a bowl, and estimates the
unwrapped phase. What hangs together and is likely is a bowl, or several that touch: these are parted where the phase,
or the probability, falls between them far enough.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from groundshift.checks import check_shape
from groundshift.detect.evidence import grown, surroundings
from groundshift.types import Window

__all__ = ["Bowl", "find_bowls"]

_SEPARATION = 0.4
"""Two peaks are one bowl if the saddle between them is higher than this share of the lower one, both above a level that
lies `_BELOW` under the ground."""
_BELOW = math.pi / 3
"""Radians. A peak beside a saddle at zero then stands out by pi / 2 at least, what a bowl must have by itself."""
_EVERY_SIDE = np.ones((3, 3), bool)


class Bowl(NamedTuple):
    """Ground that sinks or rises by itself, as one interferogram shows it."""

    window: Window
    """Bounding box on the grid."""
    mask: NDArray[np.bool_]
    """(height, width) of the window: True inside."""
    score: float
    """0 to 1: the 95th percentile of the probability inside."""
    peak: float
    """Radians: the largest phase against that of the ground around. Positive where the ground moves away from the
    satellite, as it does where it sinks."""


def find_bowls(
    probability: NDArray[np.floating],
    phase: NDArray[np.floating],
    known: NDArray[np.bool_],
    *,
    least_probability: float = 0.5,
    least_pixels: int = 25,
    least_score: float = 0.0,
) -> list[Bowl]:
    """Read bowls from the maps of one interferogram.

    Parameters
    ----------
    probability : (y, x) float array
        That a pixel belongs to a bowl, 0 to 1.
    phase : (y, x) float array
        Estimate of the unwrapped phase in radians; what constant it holds does not matter.
    known : (y, x) bool array
        Pixels with data. Others, and those whose phase is NaN, belong to a bowl only as holes in it.
    least_probability : float
        A bowl consists of pixels at least as likely.
    least_pixels : int
        Smaller bowls are left out.
    least_score : float
        Bowls of a lower score are left out.

    Returns
    -------
    list of Bowl
        No two of them share a pixel. The highest score first.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Pixels are connected with all eight around them; holes are filled. The height of a pixel is its phase, of either
    sign, above or below the median of a ring of ground about the whole, times its probability. A peak is a bowl of its
    own if the saddle towards any higher one fulfils ``saddle + pi / 3 < 0.4 (peak + pi / 3)``: it stands out by 0.6 of
    its height, and by pi / 2 at least. (Two Gaussian bowls alike are then two from 3.6 standard deviations apart; a
    higher saddle would cut steep bowls whose phase was not unwrapped well.) Each pixel belongs to the peak that a
    watershed of the height leads to; sinking and rising ground that touch are parted where the height is zero.

    References
    ----------
    The least size, and the percentile of the score, are proposals of this project for the detector of [Wu2022]_, whose
    own are not published.
    """
    check_shape("phase", phase, probability.shape)
    check_shape("known", known, probability.shape)
    known = known & np.isfinite(phase)
    likely = _filled(known & (probability >= least_probability))
    parts, _ = ndimage.label(likely, _EVERY_SIDE)
    found: list[Bowl] = []
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        if (box[0].stop - box[0].start) * (box[1].stop - box[1].start) < least_pixels:
            continue
        own = parts[box] == number
        reach = max(2, round(math.sqrt(float(own.sum()) / math.pi) / 6))
        around = grown((box[0].start, box[1].start, box[0].stop, box[1].stop), 3 * reach + 1, known.shape)
        own = parts[around] == number
        height = _height(phase[around], own, known[around], known[around] & ~likely[around], reach)
        likelihood = np.where(known[around], probability[around], 0)
        for inside in _separate(np.abs(height) * likelihood, own):
            if inside.sum() >= least_pixels:
                seen = inside & known[around]
                corner = (around[0].start, around[1].start)
                found.append(_bowl(inside, corner, likelihood[seen], height[seen]))
    return sorted((bowl for bowl in found if bowl.score >= least_score), key=lambda bowl: (-bowl.score, bowl.window))


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes; in one pass over the map, however large they are."""
    outside, count = ndimage.label(~mask)
    open_ = np.zeros(count + 1, bool)
    for edge in (outside[0], outside[-1], outside[:, 0], outside[:, -1]):
        open_[edge] = True
    open_[0] = False
    return np.asarray(~open_[outside])


def _height(
    phase: NDArray[np.floating],
    own: NDArray[np.bool_],
    known: NDArray[np.bool_],
    ground: NDArray[np.bool_],
    reach: int,
) -> NDArray[np.float64]:
    """Return the phase against that of the ground around; where it is not known, that of the nearest pixel."""
    if not known.all():
        _, (rows, columns) = ndimage.distance_transform_edt(~known, return_indices=True)
        phase = phase[rows, columns]
    level = float(np.median(phase[ground if ground.any() else own]))
    height = phase.astype(np.float64) - level
    return height - surroundings(height, own, ground, reach)


def _separate(height: NDArray[np.float64], own: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Part what hangs together at the saddles between its peaks."""
    logarithm = np.log(np.where(own, height, 0) + _BELOW)
    peaks = label(local_maxima(reconstruction(logarithm + math.log(_SEPARATION), logarithm)) & own)
    if peaks.max() < 2:
        return [own]
    basins = watershed(-height, peaks, connectivity=_EVERY_SIDE, mask=own)
    return [basins == k for k in range(1, int(basins.max()) + 1)]


def _bowl(
    inside: NDArray[np.bool_],
    corner: tuple[int, int],
    probability: NDArray[np.floating],
    height: NDArray[np.float64],
) -> Bowl:
    """Describe one bowl; `probability` and `height` are those of its pixels with data."""
    rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    mask = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    window = Window(int(corner[0] + rows[0]), int(corner[1] + columns[0]), mask.shape[0], mask.shape[1])
    sign = 1 if height.sum() >= 0 else -1
    return Bowl(window, mask.copy(), float(np.quantile(probability, 0.95)), sign * float((sign * height).max()))
