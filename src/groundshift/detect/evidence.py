"""Evidence of motion in and around a body: what every detector tells of it, however it was outlined.

A moving body raises the velocity on its way in and lowers it on its way out, so along any direction it shows a positive
and a negative patch of gradient, in this order if it moves towards the satellite and in the other if it moves away
(Fu et al. (2022), section 4.1).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.gradients.stack import Direction

__all__ = ["grown", "patch", "peak_sigma", "polarity", "reach_of", "surroundings"]


def reach_of(smoothing: int) -> int:
    """Return how far around a body its edges show, in nodes.

    Parameters
    ----------
    smoothing : int
        Side of the averaging window in nodes.
    """
    return smoothing // 2 + 2


def polarity(
    significance: NDArray[np.float32],
    zone: NDArray[np.bool_],
    sign: int,
    direction: Direction,
    smoothing: int,
) -> float:
    """Return the significance of the weaker patch of a polarity pair.

    Parameters
    ----------
    significance : (y, x) float array
        Of the gradient along one direction, in standard errors; positive where velocity towards the satellite grows.
    zone : (y, x) bool array
        Where to look: the body and its rim.
    sign : int
        1 if the body moves towards the satellite, -1 if away.
    direction : Direction
        Along which the gradient is taken.
    smoothing : int
        Side of the averaging window in nodes.

    Returns
    -------
    float
        In standard errors; 0 if the two patches are in the wrong order, or the zone is too small for two.
    """
    z = significance[zone]
    many = _patch_size(z.size, smoothing)
    if z.size < 2 * many:
        return 0.0
    rows, columns = np.nonzero(zone)
    along = rows * (direction.end[0] - direction.start[0]) + columns * (direction.end[1] - direction.start[1])
    order = np.argpartition(z, (many, z.size - many))
    falling, rising = order[:many], order[-many:]
    if sign * (along[falling].mean() - along[rising].mean()) <= 0:
        return 0.0
    return float(max(0.0, min(-z[falling].mean(), z[rising].mean())))


def patch(significance: NDArray[np.float32], zone: NDArray[np.bool_], smoothing: int) -> float:
    """Return the significance of the strongest patch of either sign.

    Parameters
    ----------
    significance : (y, x) float array
        In standard errors.
    zone : (y, x) bool array
        Where to look.
    smoothing : int
        Side of the averaging window in nodes.

    Returns
    -------
    float
        Not negative, in standard errors; 0 if the zone is smaller than a patch.
    """
    z = significance[zone]
    many = _patch_size(z.size, smoothing)
    if z.size < many:
        return 0.0
    ordered = np.sort(z)
    return float(max(0.0, -ordered[:many].mean(), ordered[-many:].mean()))


def surroundings(height: NDArray[np.float64], core: NDArray[np.bool_], usable: NDArray[np.bool_], reach: int) -> float:
    """Return the median height in a ring around a body.

    Parameters
    ----------
    height : (y, x) float array
    core : (y, x) bool array
        The body.
    usable : (y, x) bool array
        Nodes with data.
    reach : int
        As `reach_of` gives it; the ring lies twice to three times as far out, for the nearer ground still belongs to
        the bump.

    Returns
    -------
    float
        In the unit of `height`; 0 if fewer than eight nodes of the ring have data.
    """
    away = ndimage.distance_transform_edt(~core)
    ring = (away > 2 * reach) & (away <= 3 * reach) & usable
    return float(np.median(height[ring])) if ring.sum() >= 8 else 0.0


def peak_sigma(sigma: NDArray[np.float32], inside: NDArray[np.bool_], smoothing: int) -> float:
    """Return the standard error of the velocity of a body against its surroundings.

    Differences of a moving mean of n nodes telescope: over n nodes and more, white noise leaves sqrt(n) times the error
    of one difference. Atmosphere adds to it with the distance, like a walk at random.

    Parameters
    ----------
    sigma : (direction, y, x) float array
        Standard error of the velocity gradient, mm/yr per node; 0 without data.
    inside : (y, x) bool array
        The body.
    smoothing : int
        Side of the averaging window in nodes.

    Returns
    -------
    float
        mm/yr; NaN if no node has data.
    """
    depth = float(ndimage.distance_transform_edt(np.pad(inside, 1)).max())
    known = sigma[:, inside]
    known = known[known > 0] if (known > 0).any() else sigma[sigma > 0]
    return float(np.median(known)) * float(np.sqrt(max(depth, smoothing))) if known.size else float("nan")


def grown(box: tuple[int, int, int, int], by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Grow a bounding box within the map.

    Parameters
    ----------
    box : (top, left, bottom, right)
        Nodes; bottom and right lie outside.
    by : int
        Nodes on each side.
    shape : (rows, columns)
        Of the map.

    Examples
    --------
    >>> grown((2, 3, 5, 6), 2, (6, 20))
    (slice(0, 6, None), slice(1, 8, None))
    """
    top, left, bottom, right = box
    return slice(max(top - by, 0), min(bottom + by, shape[0])), slice(max(left - by, 0), min(right + by, shape[1]))


def _patch_size(nodes: int, smoothing: int) -> int:
    """Return how many nodes make a patch: the twentieth part of the zone, and no fewer than noise keeps alike."""
    return max(4, smoothing**2 // 2, nodes // 20)
