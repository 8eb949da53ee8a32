"""When a site of mining subsidence began, stopped, sped up or slowed down, and how its footprint has grown."""

import math
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.timeseries import Stages, fit_stages
from groundshift.workflows.following import Followed, Patch

__all__ = ["dated_stages", "events_of", "facts_of_site", "footprint_areas"]

_LEAST_M, _SIGMAS = 0.01, 4.0
"""A pixel belongs to the footprint once it has moved by a centimetre, and by so many of its standard errors."""
_MM = 1000.0
"""Millimetres per metre."""


def dated_stages(followed: Followed) -> Stages:
    """Part the series of a site into straight stages."""
    return fit_stages(followed.dates, followed.displacement, followed.sigma, groups=followed.groups)


def events_of(stages: Stages) -> list[dict[str, Any]]:
    """Return the events of a site as plain values; rates in mm/yr, positive towards the satellite."""
    return [
        {
            "kind": k.kind, "day": k.day, "early": k.early, "late": k.late,
            "rate_before_mm_yr": _MM * k.rate_before, "rate_after_mm_yr": _MM * k.rate_after,
        }
        for k in stages.knots
    ]  # fmt: skip


def footprint_areas(patch: Patch, followed: Followed) -> NDArray[np.float64]:
    """Return the area that has moved by each date, square metres; NaN where no pixel is known.

    Pixels count that have moved since the first date by 1 cm and by four standard errors, and hang together with the
    target.
    """
    moved = followed.inverted.displacement - followed.inverted.displacement[0]
    with np.errstate(invalid="ignore"):
        far = np.abs(moved) > np.maximum(_LEAST_M, _SIGMAS * np.nan_to_num(followed.inverted.sigma))
    pixel = math.prod(patch.grid.spacing)
    areas = np.full(len(moved), np.nan)
    for k, mask in enumerate(far):
        if not np.isfinite(moved[k][patch.inside]).any():
            continue
        parts, _ = ndimage.label(mask & ~patch.others, np.ones((3, 3)))
        own = np.unique(parts[patch.inside & (parts > 0)])
        areas[k] = pixel * np.isin(parts, own).sum() if own.size else 0.0
    return areas


def facts_of_site(stages: Stages, dates: tuple[date, ...], areas: NDArray[np.float64]) -> dict[str, str]:
    """Put events and growth into words, for the report."""
    return {"Events": _told_events(stages), "Area that has moved": _told_growth(dates, areas)}


def _told_events(stages: Stages) -> str:
    """Put the events of a site into words."""
    if not stages.knots:
        return f"none: {stages.reason}" if stages.reason else "none"
    return "; ".join(
        f"{k.kind} on {k.day} (95 % from {k.early} to {k.late}), {_MM * k.rate_before:+.0f} mm/yr before, "
        f"{_MM * k.rate_after:+.0f} after"
        for k in stages.knots
    )


def _told_growth(dates: tuple[date, ...], areas: NDArray[np.float64]) -> str:
    """Put the growth of a footprint into words: how large it was after each quarter of the time."""
    known = np.flatnonzero(np.isfinite(areas))
    if known.size < 2:
        return "not known"
    chosen = np.unique(known[np.linspace(0, known.size - 1, 5).round().astype(int)[1:]])
    return ", ".join(f"{areas[k] / 1e6:.2f} km² by {dates[k]}" for k in chosen)
