"""What a network sees of a stack: eight planes on the lattice of nodes.

Training and survey both make them here, so that a network meets on a real track what it was trained on. Networks scale
the planes themselves; their weights hold no other knowledge of how a stack was made.
"""

import math

import numpy as np
from numpy.typing import NDArray

from groundshift.gradients.stack import GradientStack

__all__ = ["PLANES", "REFERENCE_PIXEL", "network_planes", "radians_per_gradient"]

PLANES = (
    "significance_y", "significance_x", "gradient_y", "gradient_x", "sigma_y", "sigma_x", "coherence", "known",
)  # fmt: skip
"""Names of the planes: significance in standard errors (at most 50 either way), velocity gradient and its standard
error in mm/yr per 40 m (at most 200 either way), mean coherence, and 1 where the node has data. Both gradients are
positive where the velocity towards the satellite grows with the row (y) or the column (x). All planes are zero where
`known` is."""

REFERENCE_PIXEL = 40.0
"""Metres that velocity gradients refer to."""


def network_planes(stack: GradientStack, valid: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return the planes of a stack.

    Parameters
    ----------
    stack : GradientStack
        With forward differences along rows and columns as its first two directions.
    valid : (y, x) bool array, optional
        Nodes to look at; all with data by default.

    Returns
    -------
    (8, y, x) float32 array
        As named by `PLANES`. A difference belongs to the node it starts from.

    Raises
    ------
    ValueError
        If the first two directions are others.
    """
    if not stack.is_lattice:
        raise ValueError("stack must hold forward differences along both axes; take the step of 1")
    significance, gradient = stack.significance[:2], stack.velocity_gradient[:2]
    known = np.isfinite(significance).any(0)
    if valid is not None:
        known &= valid
    per_40_m = REFERENCE_PIXEL / np.asarray(stack.grid.spacing, np.float32)[:, np.newaxis, np.newaxis]
    planes = np.zeros((len(PLANES), *known.shape), np.float32)
    planes[0:2] = np.clip(np.nan_to_num(significance), -50, 50)
    planes[2:4] = np.clip(np.nan_to_num(gradient) * per_40_m, -200, 200)
    planes[4:6] = np.clip(np.nan_to_num(stack.velocity_gradient_sigma[:2]) * per_40_m, 0, 200)
    planes[6] = np.clip(np.nan_to_num(stack.mean_coherence), 0, 1)
    planes[7] = 1
    return planes * known


def radians_per_gradient(total_years: float, wavelength: float) -> float:
    """Return the radians of the scale of Fu et al. (2022) that one mm/yr of difference adds up to.

    Parameters
    ----------
    total_years : float
        Summed temporal baselines of all pairs.
    wavelength : float
        Metres.
    """
    return -4 * math.pi / wavelength / 1000.0 * total_years
