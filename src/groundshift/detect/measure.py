"""What a network drew, measured on the maps of a stack: velocity, standard error and evidence.

A network says where a body is and how sure it is of that. How fast the body moves is read from the integrated velocity
map inside its outline, against a ring around it, just as the rule-based detector does, so that both can be compared.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.checks import check_shape
from groundshift.detect.evidence import grown, patch, peak_sigma, polarity, reach_of, surroundings
from groundshift.detect.prediction import Prediction
from groundshift.detect.rules import Body
from groundshift.gradients.stack import GradientStack

__all__ = ["measure"]


def measure(
    predictions: Sequence[Prediction],
    stack: GradientStack,
    velocity: NDArray[np.float32],
    valid: NDArray[np.bool_],
) -> list[Body | None]:
    """Measure predicted bodies.

    Parameters
    ----------
    predictions : sequence of Prediction
        On the nodes of `stack`. A box without a mask counts as a body as a whole, its edges rounded to nodes.
    stack : GradientStack
    velocity : (y, x) float array
        Relative velocity in mm/yr on the nodes of `stack`, NaN without data.
    valid : (y, x) bool array
        Nodes to look at.

    Returns
    -------
    list of Body or None
        In the order of `predictions`; None for one that lies outside the map or on no node with data.

    Notes
    -----
    *Velocity* is that of the node that stands out most from the surroundings, either way. *Significance* is that of the
    weaker patch of a polarity pair, as with the rules; where a pair is missing, as when one flank is masked, half that
    of the strongest patch, which is the mean of a flank that shows and one that does not. *Directions* are those that
    carry at least half as much as the best.
    """
    check_shape("velocity", velocity, stack.n_pairs.shape)
    check_shape("valid", valid, stack.n_pairs.shape)
    usable = valid & np.isfinite(velocity)
    significance = np.where(usable, np.nan_to_num(stack.significance), 0)
    sigma = np.where(usable, np.nan_to_num(stack.velocity_gradient_sigma), 0)
    height = np.where(usable, np.nan_to_num(velocity), 0).astype(np.float64)
    return [_measured(prediction, stack, height, significance, sigma, usable) for prediction in predictions]


def _measured(
    prediction: Prediction,
    stack: GradientStack,
    height: NDArray[np.float64],
    significance: NDArray[np.float32],
    sigma: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> Body | None:
    """Measure one body."""
    placed = _placed(prediction, height.shape)
    if placed is None:
        return None
    mask, (top, left) = placed
    reach = reach_of(stack.smoothing)
    box = grown((top, left, top + mask.shape[0], left + mask.shape[1]), 4 * reach, height.shape)
    inside = np.zeros(height[box].shape, bool)
    y, x = top - box[0].start, left - box[1].start
    inside[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    seen = inside & usable[box]
    if not seen.any():
        return None
    above = height[box] - surroundings(height[box], inside, usable[box], reach)
    peak = float(above[seen][np.argmax(np.abs(above[seen]))])
    sign = 1 if peak >= 0 else -1
    zone = (ndimage.distance_transform_edt(~inside) <= reach) & usable[box]
    evidence = [
        max(polarity(z[box], zone, sign, direction, stack.smoothing), patch(z[box], zone, stack.smoothing) / 2)
        for z, direction in zip(significance, stack.directions, strict=True)
    ]
    best = max(evidence)
    return Body(
        mask=mask,
        corner=(top, left),
        velocity=peak,
        velocity_sigma=peak_sigma(sigma[:, box[0], box[1]], inside, stack.smoothing),
        significance=best,
        directions=tuple(d.name for d, e in zip(stack.directions, evidence, strict=True) if e >= best / 2),
    )


def _placed(prediction: Prediction, shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
    """Return the part of a body that lies on the map, cut to its own box, and its first node."""
    x0, y0, x1, y1 = (round(edge) for edge in prediction.box)
    mask = np.ones((max(y1 - y0, 1), max(x1 - x0, 1)), bool) if prediction.mask is None else prediction.mask
    mask = mask[max(-y0, 0) : max(shape[0] - y0, 0), max(-x0, 0) : max(shape[1] - x0, 0)]
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if rows.size == 0:
        return None
    corner = (max(y0, 0) + int(rows[0]), max(x0, 0) + int(columns[0]))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], corner
