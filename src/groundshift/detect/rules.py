"""The rule-based detector: polarity pairs of significant gradient around a bump of velocity.

A moving body raises the velocity on its way in and lowers it on its way out, so along any direction it shows a positive
and a negative patch of gradient, in this order if it moves towards the satellite and in the other if it moves away
(Fu et al. (2022), section 4.1). The integrated velocity map says which patches belong together and outlines the body
between them; the patches' significance says whether to believe it. There is nothing to train: this is the baseline that
networks must beat.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label, regionprops
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from groundshift.checks import check_shape
from groundshift.detect.evidence import grown, peak_sigma, polarity, reach_of, surroundings
from groundshift.gradients.stack import GradientStack

__all__ = ["Body", "Rules", "find_bodies"]

_CORE = 0.4
"""Evidence is gathered in and around what lies above this share of the peak, however far the outline is drawn."""


@dataclass(frozen=True)
class Rules:
    """Thresholds of the rule-based detector."""

    significance: float = 4.0
    """Both patches of a polarity pair must reach this many standard errors."""
    least_velocity: float = 4.0
    """mm/yr: bumps lower than this above their surroundings are not looked at."""
    outline: float = 0.3
    """The body ends where velocity has fallen to this share of its peak above the surroundings."""
    separation: float = 0.6
    """Two bumps are one body if the saddle between them is higher than this share of the lower one."""
    least_area_m2: float = 20_000.0
    """Smaller bodies are left out."""


class Body(NamedTuple):
    """One moving body on the lattice of nodes."""

    mask: NDArray[np.bool_]
    """(height, width) of its bounding box: True inside."""
    corner: tuple[int, int]
    """Row and column of the bounding box's first node."""
    velocity: float
    """Line of sight, mm/yr relative to its surroundings, positive towards the satellite; at the peak."""
    velocity_sigma: float
    """Standard error of `velocity`, mm/yr."""
    significance: float
    """Of the weaker patch in the best direction, in standard errors."""
    directions: tuple[str, ...]
    """Directions whose two patches both reach the threshold."""


def find_bodies(
    stack: GradientStack, velocity: NDArray[np.float32], valid: NDArray[np.bool_], rules: Rules
) -> list[Body]:
    """Find moving bodies on one stack.

    Parameters
    ----------
    stack : GradientStack
    velocity : (y, x) float array
        Relative velocity in mm/yr on the nodes of `stack`, NaN without data.
    valid : (y, x) bool array
        Nodes to look at.
    rules : Rules

    Returns
    -------
    list of Body
        The most significant one first.
    """
    check_shape("velocity", velocity, stack.n_pairs.shape)
    check_shape("valid", valid, stack.n_pairs.shape)
    usable = valid & np.isfinite(velocity)
    significance = np.where(usable, np.nan_to_num(stack.significance), 0)
    sigma = np.where(usable, np.nan_to_num(stack.velocity_gradient_sigma), 0)
    found: list[Body] = []
    for sign in (1, -1):
        height = np.where(usable, sign * np.nan_to_num(velocity), 0)
        found += _bumps(stack, height, significance, sigma, usable, sign, rules)
    return sorted(found, key=lambda body: -body.significance)


def _bumps(
    stack: GradientStack,
    height: NDArray[np.float64],
    significance: NDArray[np.float32],
    sigma: NDArray[np.float32],
    usable: NDArray[np.bool_],
    sign: int,
    rules: Rules,
) -> list[Body]:
    """Find the bodies that stand out of `height` and carry a polarity pair."""
    spacing = stack.node_grid.spacing
    if height.max() <= rules.least_velocity:
        return []
    # Maxima of the logarithm that stand out by log(1 / separation) are those whose saddle lies lower than that share.
    # The floor lies as far below the slowest body, so that this one stands out as well.
    logarithm = np.log(np.maximum(height, rules.separation * rules.least_velocity))
    peaks = label(local_maxima(reconstruction(logarithm + np.log(rules.separation), logarithm)))
    peaks[height <= rules.least_velocity] = 0
    basins = watershed(-height, peaks, mask=height > 0)
    reach = reach_of(stack.smoothing)
    found = []
    for region in regionprops(basins, intensity_image=height):
        box = grown(region.bbox, 4 * reach, height.shape)
        own = basins[box] == region.label
        around = height[box]
        peak = float(around[own].max())
        base = 0.0
        for _ in range(2):  # Once more from the level found, so that it does not matter where zero is.
            foot = own & (around > base + min(rules.outline, _CORE) * (peak - base))
            base = surroundings(around, foot, usable[box], reach)
        if peak - base < rules.least_velocity:
            continue
        at = np.unravel_index(np.argmax(np.where(own, around, -np.inf)), around.shape)
        inside = _connected(own & (around > base + rules.outline * (peak - base)), at)
        core = _connected(own & (around > base + _CORE * (peak - base)), at)
        if inside.sum() * spacing[0] * spacing[1] < rules.least_area_m2:
            continue
        # Ground that moves the other way is another body's, and so are its patches.
        other_way = around < base - rules.outline * (peak - base)
        other_way = ndimage.binary_dilation(other_way, iterations=max(stack.smoothing // 2, 1))
        zone = (ndimage.distance_transform_edt(~core) <= reach) & usable[box] & ~other_way
        evidence = [
            polarity(significance[k][box], zone, sign, direction, stack.smoothing)
            for k, direction in enumerate(stack.directions)
        ]
        best = max(evidence)
        if best < rules.significance:
            continue
        rows, columns = np.nonzero(inside)
        top, left = rows.min(), columns.min()
        found.append(
            Body(
                mask=inside[top : rows.max() + 1, left : columns.max() + 1],
                corner=(int(box[0].start + top), int(box[1].start + left)),
                velocity=sign * (peak - base),
                velocity_sigma=peak_sigma(sigma[:, box[0], box[1]], inside, stack.smoothing),
                significance=best,
                directions=tuple(
                    d.name for d, e in zip(stack.directions, evidence, strict=True) if e >= rules.significance
                ),
            )
        )
    return found


def _connected(mask: NDArray[np.bool_], at: tuple[np.intp, ...]) -> NDArray[np.bool_]:
    """Return what is connected with one pixel, holes filled."""
    parts = label(mask)
    return np.asarray(ndimage.binary_fill_holes(parts == parts[at]), bool)
