"""Whether a target moves too fast for phase: it holds on the ground around it, and not inside or at its edge.

Where the ground moves by more than half a cycle from pixel to pixel within a pair, fringes are denser than pixels;
where it moves by metres a year its surface is torn up besides. Either way the phase of neighbours does not agree any
more, even in the shortest pairs. A body that moves as one keeps its phase and loses it along its edge, where whole
cycles go astray: its series looks sound, and is too slow. Ground that keeps its phase nowhere, such as woods, is no
sign of motion: what counts is the difference to the ground farther off.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from groundshift.io.estimate import phase_consistency
from groundshift.workflows.following import Patch

__all__ = ["why_too_fast"]

_SHORTEST = 10
"""Pairs that are looked at, the shortest ones; motion shows least in them."""
_HOLDS = 0.5
"""Mean consistency of neighbouring phases from which on a pixel keeps its phase; pure noise has 0 to 0.2."""
_EDGE = 3.0
"""Pixels: width of the edge around a target."""
_AROUND = 0.5
"""Share of the ground farther off that must hold, or nothing is said."""
_LOST = 0.8
"""A target is too fast if it, or its edge, holds on less than this part of the share farther off: with simulated slides
of all speeds, rates come out right to a tenth above it, and fall short by a seventh to five sixths below."""
_LEAST_SPEED = 0.15
"""Half cycles within the shortest pair that a target must move by at least, as it is measured: in woods a slow slope
loses its phase as well, and not by its motion. What is too fast is measured too slow, but not by so much."""
_LEAST_PIXELS = 20
"""With data, inside and farther off; fewer tell nothing."""


def why_too_fast(patch: Patch, velocity: float) -> str:
    """Return why the motion of a target is too fast for phase; nothing where it is not.

    Parameters
    ----------
    patch : Patch
        Interferograms around the target.
    velocity : float
        Metres per year along the line of sight, as stack or series have it, either sign.

    Returns
    -------
    str
        In words, with the shares; empty if phase holds on the target and its edge as it does around, or holds nowhere.
    """
    shortest = min((pair.years for pair in patch.pairs), default=0.0)
    if not abs(velocity) * shortest >= _LEAST_SPEED * patch.wavelength / 4:
        return ""
    holds, known = _holding(patch)
    edge = distance_transform_edt(~patch.inside) <= _EDGE
    inside, rim, around = (
        part & known & ~patch.others for part in (patch.inside, edge & ~patch.inside, ~edge)
    )  # fmt: skip
    if min(np.count_nonzero(inside), np.count_nonzero(around)) < _LEAST_PIXELS:
        return ""
    far = float(holds[around].mean())
    parts = [("the target", inside), ("its edge", rim)]
    shares = {name: float(holds[part].mean()) for name, part in parts if np.count_nonzero(part) >= _LEAST_PIXELS}
    where, least = min(shares.items(), key=lambda item: item[1])
    if far < _AROUND or least >= _LOST * far:
        return ""
    return f"phase holds on {100 * least:.0f} % of {where}, and on {100 * far:.0f} % of the ground around"


def _holding(patch: Patch) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pixels keep their phase in the shortest pairs, and which have data."""
    total = np.zeros(patch.inside.shape)
    count = np.zeros(patch.inside.shape, np.intp)
    for k in sorted(range(len(patch.pairs)), key=lambda k: patch.pairs[k].days)[:_SHORTEST]:
        valid = patch.igrams[k] != 0
        total += phase_consistency(np.angle(patch.igrams[k]).astype(np.float32), valid)
        count += valid
    known = count > 0
    mean = np.divide(total, count, out=np.full(total.shape, math.nan), where=known)
    return known & (mean >= _HOLDS), known
