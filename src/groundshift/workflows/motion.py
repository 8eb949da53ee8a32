"""What one track tells of one target: kept beside the patch as a record, shown in the report, told by the inventory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from groundshift.geometry import downslope_sensitivity, downslope_velocity, geocode
from groundshift.inventory import Target, TargetEvent, TargetSeries
from groundshift.io.patches import read_patch
from groundshift.report import Bounds, Layer, SeriesContent, make_layer
from groundshift.report.layers import round_limit
from groundshift.timeseries import Behaviour, Event, reference_series
from groundshift.types import LookGeometry
from groundshift.workflows.config import Config
from groundshift.workflows.events import dated_stages, events_of, facts_of_site, footprint_areas
from groundshift.workflows.following import Followed, Patch
from groundshift.workflows.maps import lonlat_grid

__all__ = ["Record", "TargetMotion", "make_record", "shown", "with_motion"]

_LARGEST_LAYER = 200
"""Longest side of a map around a target in the report, pixels."""
_MM = 1000.0
"""Millimetres per metre."""


class EventRecord(Config):
    """When a site changed its rate."""

    kind: Event
    day: date
    early: date
    late: date
    rate_before_mm_yr: float
    rate_after_mm_yr: float


class Record(Config):
    """What one track tells of one target, as it is kept beside the patch."""

    fingerprint: str
    target: str
    track: str
    reason: str = ""
    """Why there is no series."""
    too_fast: str = ""
    """Why it moves too fast for phase, if it does."""
    dates: tuple[date, ...] = ()
    displacement_mm: tuple[float | None, ...] = ()
    sigma_mm: tuple[float | None, ...] = ()
    groups: tuple[int, ...] = ()
    fit_dates: tuple[date, ...] = ()
    fit_mm: tuple[float, ...] = ()
    rate_mm_yr: float | None = None
    rate_sigma_mm_yr: float | None = None
    slope_mm_yr: float | None = None
    behaviour: Behaviour = "unclear"
    events: tuple[EventRecord, ...] = ()
    """Of sites of mining subsidence."""
    areas_m2: tuple[float | None, ...] = ()
    """That have moved by each of `dates`, of sites of mining subsidence."""
    facts: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TargetMotion:
    """What one track tells of one target."""

    record: Record
    layers: tuple[Layer, ...] = ()
    bounds: Bounds | None = None
    patch: Path | None = None
    look: LookGeometry | None = None

    def content(self) -> SeriesContent:
        """Return what the report shows."""
        record = self.record
        if record.reason:
            return SeriesContent(track=record.track, reason="; ".join(filter(None, [record.reason, record.too_fast])))
        starts = {number: day for day, number in zip(reversed(record.dates), reversed(record.groups), strict=True)}
        return SeriesContent(
            track=record.track,
            dates=np.array(record.dates, "datetime64[D]"),
            displacement_mm=_numbers(record.displacement_mm),
            sigma_mm=_numbers(record.sigma_mm),
            fit_dates=np.array(record.fit_dates, "datetime64[D]"),
            fit_mm=np.array(record.fit_mm, np.float64),
            breaks=tuple(sorted(day for day in starts.values() if day != record.dates[0])),
            facts={**_doubt(record), **record.facts},
            layers=self.layers,
            bounds=self.bounds,
        )

    def series(self) -> TargetSeries | None:
        """Return what the inventory keeps; None without a series."""
        record = self.record
        if record.reason:
            return None
        return TargetSeries(
            record.target,
            record.track,
            np.array(record.dates, "datetime64[D]"),
            _numbers(record.displacement_mm),
            _numbers(record.sigma_mm),
            tuple(TargetEvent(record.target, record.track, **vars(event)) for event in record.events),
        )


def _doubt(record: Record) -> dict[str, str]:
    """Say what a motion too fast for phase makes of a series."""
    if not record.too_fast:
        return {}
    return {"Too fast for phase": f"{record.too_fast}; what is told of its motion is too little"}


def with_motion(target: Target, motions: Sequence[TargetMotion]) -> Target:
    """Return a target with the velocity and behaviour that its series tell; as it was if none does.

    The track with the most certain rate speaks for the target.
    """
    told = [m.record for m in motions if not m.record.reason]
    if not told:
        return target
    best = max(told, key=_certainty)
    return replace(
        target,
        velocity_los_mm_yr=best.rate_mm_yr if best.rate_mm_yr is not None else math.nan,
        velocity_sigma_mm_yr=best.rate_sigma_mm_yr if best.rate_sigma_mm_yr is not None else math.nan,
        velocity_slope_mm_yr=best.slope_mm_yr,
        behaviour=best.behaviour,
    )


def _certainty(record: Record) -> float:
    """Rate in standard errors."""
    return abs(record.rate_mm_yr or 0.0) / max(record.rate_sigma_mm_yr or math.inf, 1e-9)


def make_record(mark: str, target: Target, track: str, patch: Patch, followed: Followed, too_fast: str) -> Record:
    """Write down what a target did."""
    known = np.isfinite(followed.displacement)
    dates = tuple(day for day, there in zip(followed.dates, known, strict=True) if there)
    groups = followed.groups[known]
    first = followed.displacement[known][0]
    motion = followed.motion
    stages = dated_stages(followed) if target.is_site else None
    curve = motion.at(dates, groups) if stages is None or stages.reason else stages.at(dates, groups)
    areas = np.full(len(followed.dates), np.nan) if stages is None else footprint_areas(patch, followed)
    site_facts = {} if stages is None else facts_of_site(stages, followed.dates, areas)
    rate, sigma = _MM * float(motion.velocity.rate), _MM * followed.rate_sigma
    slope = _downslope(target, patch, rate, sigma)
    return Record(
        fingerprint=mark,
        target=target.id,
        track=track,
        too_fast=too_fast,
        dates=dates,
        displacement_mm=tuple(_MM * float(v - first) for v in followed.displacement[known]),
        sigma_mm=tuple(_known(_MM * float(v)) for v in followed.sigma[known]),
        groups=tuple(int(g) for g in groups),
        fit_dates=dates,
        fit_mm=tuple(_MM * float(v - first) for v in curve),
        rate_mm_yr=rate,
        rate_sigma_mm_yr=_known(sigma),
        slope_mm_yr=slope,
        behaviour=motion.behaviour,
        events=() if stages is None else tuple(EventRecord(**e) for e in events_of(stages)),
        areas_m2=tuple(_known(float(a)) for a in areas[known]),
        facts={**_facts(patch, followed, rate, slope), **site_facts},
    )


def _downslope(target: Target, patch: Patch, rate: float, sigma: float) -> float | None:
    """Project the rate on the slope, mm/yr; None where the geometry does not allow it."""
    if patch.look is None or target.slope_deg is None or target.aspect_deg is None:
        return None
    share = downslope_sensitivity(target.slope_deg, target.aspect_deg, patch.look)
    found = float(downslope_velocity(rate, sigma, share).velocity)
    return _known(found)


def _facts(patch: Patch, followed: Followed, rate: float, slope: float | None) -> dict[str, str]:
    """Put into words what was found out."""
    motion, velocity = followed.motion, followed.motion.velocity
    low, high = (_MM * v for v in followed.interval(0.95))
    facts = {
        "Rate": f"{rate:+.1f} mm/yr towards the satellite, 95 % from {low:+.1f} to {high:+.1f}",
        "Behaviour": f"{motion.behaviour}: {motion.explanation}",
    }
    if math.isfinite(float(velocity.annual_amplitude)):
        day = date.fromordinal(date(2001, 1, 1).toordinal() + int(float(velocity.annual_phase)) % 365)
        facts["Season"] = (
            f"{_MM * float(velocity.annual_amplitude):.1f} ± "
            f"{_MM * float(velocity.annual_amplitude_sigma):.1f} mm, nearest to the satellite about "
            f"{day.day} {day:%B}"
        )
    facts["Down the slope"] = "not told by this geometry" if slope is None else f"{slope:.1f} mm/yr"
    stacked = _stacked(patch, followed)
    if math.isfinite(stacked):
        facts["From stacking"] = f"{stacked:+.1f} mm/yr over the same pixels, from the same reference"
    spread = followed.sensitivity.spread
    facts["Reference"] = f"{len(followed.reference.pixels)} pixels" + (
        f"; other references change the rate by ± {_MM * spread:.1f} mm/yr" if math.isfinite(spread) else ""
    )
    if followed.reference.relaxed:
        facts["Reference found by"] = "; ".join(followed.reference.relaxed)
    corrected = f", whole cycles corrected in {followed.corrected}" if followed.corrected else ""
    left = f", {len(followed.left_out)} left out" if followed.left_out else ""
    facts["Pairs"] = f"{len(followed.pairs)} used{corrected}{left}"
    if int(followed.groups.max()) > 1:
        facts["Groups of dates"] = f"{int(followed.groups.max())}; how far it moved between them is not known"
    if followed.short_pair_bias is not None:
        facts["Bias of short pairs"] = f"{followed.short_pair_bias:+.3f} rad in closure"
    if followed.notes:
        facts["Left in"] = "; ".join(followed.notes)
    return facts


def _stacked(patch: Patch, followed: Followed) -> float:
    """Return what the stacked velocity tells of the same pixels about the same reference, mm/yr; NaN if nothing."""
    values = patch.stacked_velocity[np.newaxis]
    reference = reference_series(values, followed.reference.pixels, followed.reference.weights)
    core = values[0, followed.core]
    known = np.isfinite(core)
    return _MM * float(core[known].mean() - reference[0]) if known.any() else math.nan


def shown(record: Record, path: Path) -> TargetMotion:
    """Add the maps around a target that the report shows."""
    if record.reason:
        return TargetMotion(record)
    patch = read_patch(path)
    target = lonlat_grid(patch.grid, _LARGEST_LAYER)
    transform = target.transform
    bounds = Bounds(
        transform.c,
        transform.f + transform.e * target.shape[0],
        transform.c + transform.a * target.shape[1],
        transform.f,
    )

    def on_map(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(geocode(values, patch.grid, target), np.float32)

    coherent = patch.temporal_coherence > 0
    fast = on_map(np.where(coherent, _MM * patch.velocity, np.nan).astype(np.float32))
    stacked = on_map((_MM * patch.stacked_velocity).astype(np.float32))
    top = round_limit(np.concatenate([fast.ravel(), stacked.ravel()]))
    # The stack tells nothing of motion as fast as that of mining subsidence.
    both = [make_layer("velocity", "velocity, stacked", stacked, vmax=top)] if np.isfinite(stacked).any() else []
    layers = (
        make_layer("velocity", "velocity, inverted", fast, vmax=top),
        *both,
        make_layer(
            "coherence",
            "temporal coherence",
            on_map(np.where(coherent, patch.temporal_coherence, np.nan).astype(np.float32)),
        ),
    )
    return TargetMotion(record, layers, bounds, path, patch.look)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Return numbers, NaN for None."""
    return np.array([math.nan if v is None else v for v in values], np.float64)


def _known(value: float) -> float | None:
    """Return None for what is not finite."""
    return value if math.isfinite(value) else None
