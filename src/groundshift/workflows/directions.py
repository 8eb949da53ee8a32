"""Where a target moves to, from the rates of tracks that look at it from different sides."""

import math
from collections.abc import Sequence
from dataclasses import replace

from groundshift.inventory import Target
from groundshift.timeseries import Decomposition, decompose_east_up, decompose_slope
from groundshift.types import LookGeometry
from groundshift.workflows.motion import TargetMotion

__all__ = ["with_directions"]


def with_directions(target: Target, motions: Sequence[TargetMotion]) -> list[TargetMotion]:
    """Add to what the tracks tell of a target where it moves to, or why they cannot tell.

    Rates of two tracks or more, over the time that each has seen, are resolved into east and up, and on a slope into
    the parts down it and off it. With fewer tracks nothing is added.
    """
    told = [(m.record.rate_mm_yr, m.record.rate_sigma_mm_yr, m.look) for m in motions if not m.record.reason]
    known = [(rate, sigma, look) for rate, sigma, look in told if rate is not None and sigma and look is not None]
    if len(known) < 2:
        return list(motions)
    rates, sigmas = [rate for rate, _, _ in known], [sigma for _, sigma, _ in known]
    looks = [look for _, _, look in known]
    facts = {"East and up": _east_up(rates, sigmas, looks)}
    if target.slope_deg is not None and target.aspect_deg is not None:
        facts["Down and off the slope"] = _slope(rates, sigmas, looks, target.slope_deg, target.aspect_deg)
    return [
        motion
        if motion.record.reason
        else replace(motion, record=motion.record.model_copy(update={"facts": motion.record.facts | facts}))
        for motion in motions
    ]


def _east_up(rates: Sequence[float], sigmas: Sequence[float], looks: Sequence[LookGeometry]) -> str:
    """Tell the motion to the east and up."""
    return _told(
        decompose_east_up(rates, sigmas, looks), ("to the east", "to the west"), ("up", "down"), "none to the north"
    )


def _slope(
    rates: Sequence[float], sigmas: Sequence[float], looks: Sequence[LookGeometry], slope: float, aspect: float
) -> str:
    """Tell the motion along the slope and out of it."""
    return _told(
        decompose_slope(rates, sigmas, looks, slope, aspect), ("down it", "up it"), ("out of it", "into it"),
        "none across it",
    )  # fmt: skip


def _told(found: Decomposition, first: tuple[str, str], second: tuple[str, str], assumed: str) -> str:
    """Put two components into words."""
    values = [float(found.first), float(found.second)]
    if not all(math.isfinite(value) for value in values):
        return f"not told: {found.reason}"
    parts = [
        f"{abs(value):.1f} ± {float(sigma):.1f} mm/yr {names[value < 0]}"
        for value, sigma, names in zip(values, found.sigma, (first, second), strict=True)
    ]
    return f"{parts[0]}, {parts[1]}, assuming {assumed}"
