"""From groups of detections to targets: outline, kind, score, velocity and name."""

import math
from collections.abc import Sequence
from datetime import date

import numpy as np
import shapely
from pyproj import Geod
from shapely import Geometry, MultiPolygon, Polygon

from groundshift.checks import check_within
from groundshift.detect.detection import SINGLE_PAIRS, Detection
from groundshift.inventory.identity import distinct_ids
from groundshift.inventory.model import Kind, Target

__all__ = ["geodesic_area_m2", "make_targets", "outline"]

_WGS84 = Geod(ellps="WGS84")


def make_targets(
    groups: Sequence[Sequence[Detection]],
    *,
    first_seen: date,
    last_seen: date,
    min_slope_deg: float = 10.0,
) -> list[Target]:
    """Make one target of each group of detections.

    Parameters
    ----------
    groups : sequence of sequences of Detection
        As `merge_detections` returns them; none is empty.
    first_seen, last_seen : date
        First and last acquisition of the data they were found in.
    min_slope_deg : float
        Where the mean terrain slope is at least this, in degrees, a target is a landslide.

    Returns
    -------
    list of Target
        In the order of `groups`, each with its own id.

    Raises
    ------
    ValueError
        If a group is empty, a score lies outside [0, 1], dates are the wrong way round, or no outline has an area.

    Notes
    -----
    *Outline*: the union of all detections of the group, holes filled.

    *Kind* (Wang et al. (2023), 3.2): landslide on a slope of `min_slope_deg` or more; on flatter ground subsidence if
    it moves away from the satellite and uplift if towards it; unknown without terrain heights. What shows in single
    interferograms is too fast for a slow landslide: subsidence or uplift on any ground.

    *Score*: tracks err independently of each other, windows and directions of one track do not, for they share
    acquisitions. The target is false only if every track is wrong: `1 - product over tracks of (1 - best score)`.

    *Velocity*: each track speaks through its most significant detection. Two tracks may see one slope move with
    opposite signs, and a mean of those would hide the motion, so only tracks with the sign of the most significant one
    enter; weights are inverse variances. The standard error is that of the weighted mean, times the root of the reduced
    chi-square where the tracks differ by more than their errors explain, as tracks of different look directions do.

    *Slope and aspect* are means over the detections weighted by their areas. *Mean coherence* is the mean over the
    detections that speak for their tracks, and *n_pairs* the sum over the tracks of the greatest count.
    """
    check_within("min_slope_deg", min_slope_deg, 0.0, 90.0)
    if first_seen > last_seen:
        raise ValueError(f"first_seen must not be after last_seen, instead got {first_seen} and {last_seen}")
    outlines = [outline(group) for group in groups]
    names = distinct_ids(outlines)
    return [
        _target(name, shape, group, seen=(first_seen, last_seen), min_slope_deg=min_slope_deg)
        for name, shape, group in zip(names, outlines, groups, strict=True)
    ]


def outline(group: Sequence[Detection]) -> Polygon | MultiPolygon:
    """Unite the polygons of a group: valid, counter-clockwise, without holes.

    Raises
    ------
    ValueError
        If the group is empty or none of its polygons has an area.
    """
    whole = shapely.union_all([Polygon(p.exterior) for d in group for p in _parts(d.polygon)])
    # Filling a hole may swallow a part that lies in it, hence the second union.
    filled = shapely.union_all([Polygon(p.exterior) for p in _parts(whole)])
    parts = [shapely.orient_polygons(p) for p in _parts(filled)]
    if not parts:
        tracks = ", ".join(sorted({d.track for d in group})) or "no detection"
        raise ValueError(f"a group must have a polygon with an area, instead got none from {tracks}")
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def geodesic_area_m2(geometry: Polygon | MultiPolygon) -> float:
    """Area on the WGS84 ellipsoid in square metres of a polygon in longitude and latitude."""
    area, _ = _WGS84.geometry_area_perimeter(shapely.orient_polygons(geometry))
    return float(area)


def _target(
    name: str,
    shape: Polygon | MultiPolygon,
    group: Sequence[Detection],
    *,
    seen: tuple[date, date],
    min_slope_deg: float,
) -> Target:
    """Make one target."""
    for d in group:
        check_within("score", d.score, 0.0, 1.0)
    by_track: dict[str, list[Detection]] = {}
    for d in group:
        by_track.setdefault(d.track, []).append(d)
    speakers = [max(ds, key=_significance) for ds in by_track.values()]
    velocity, sigma = _velocity(speakers)
    slope, aspect = _terrain(group)
    return Target(
        id=name,
        geometry=shape,
        kind=_kind(group, slope, velocity, min_slope_deg),
        score=1.0 - math.prod(1.0 - max(d.score for d in ds) for ds in by_track.values()),
        detections=tuple(group),
        first_seen=seen[0],
        last_seen=seen[1],
        area_m2=geodesic_area_m2(shape),
        velocity_los_mm_yr=velocity,
        velocity_sigma_mm_yr=sigma,
        mean_coherence=float(np.mean([d.mean_coherence for d in speakers])),
        n_pairs=sum(max(int(d.n_pairs) for d in ds) for ds in by_track.values()),
        slope_deg=slope,
        aspect_deg=aspect,
    )


def _significance(detection: Detection) -> float:
    """Magnitude of the significance; unknown counts least."""
    value = abs(float(detection.significance))
    return -1.0 if math.isnan(value) else value


def _velocity(speakers: Sequence[Detection]) -> tuple[float, float]:
    """Velocity of a target and its standard error from one detection per track, mm/yr."""
    usable = [
        d for d in speakers if math.isfinite(d.velocity) and math.isfinite(d.velocity_sigma) and d.velocity_sigma > 0
    ]
    if not usable:
        known = [d for d in speakers if math.isfinite(d.velocity)]
        return (float(max(known, key=_significance).velocity) if known else math.nan), math.nan
    leading = max(usable, key=_significance)
    agreeing = [d for d in usable if d.velocity * leading.velocity > 0 or d is leading]
    v = np.array([d.velocity for d in agreeing], np.float64)
    weight = 1.0 / np.square([float(d.velocity_sigma) for d in agreeing])
    mean = float(np.sum(weight * v) / np.sum(weight))
    sigma = float(1.0 / np.sqrt(np.sum(weight)))
    if len(agreeing) > 1:
        reduced = float(np.sum(weight * (v - mean) ** 2)) / (len(agreeing) - 1)
        sigma *= math.sqrt(max(1.0, reduced))
    return mean, sigma


def _terrain(group: Sequence[Detection]) -> tuple[float | None, float | None]:
    """Mean slope and aspect in degrees, weighted by area; None where unknown, or where aspects cancel."""
    slopes = [(float(d.slope), d.polygon.area) for d in group if d.slope is not None and math.isfinite(d.slope)]
    total = math.fsum(area for _, area in slopes)
    slope = math.fsum(value * area for value, area in slopes) / total if slopes else None
    facing = [
        (math.radians(d.aspect), d.polygon.area) for d in group if d.aspect is not None and math.isfinite(d.aspect)
    ]
    if not facing:
        return slope, None
    east = math.fsum(area * math.sin(a) for a, area in facing)
    north = math.fsum(area * math.cos(a) for a, area in facing)
    if math.hypot(east, north) <= 1e-9 * math.fsum(area for _, area in facing):
        return slope, None
    return slope, math.degrees(math.atan2(east, north)) % 360.0


def _kind(group: Sequence[Detection], slope: float | None, velocity: float, min_slope_deg: float) -> Kind:
    """Say what moves there (Wang et al. (2023), 3.2)."""
    if not any(d.window == SINGLE_PAIRS for d in group):
        if slope is None:
            return "unknown"
        if slope >= min_slope_deg:
            return "landslide"
    if velocity < 0:
        return "subsidence"
    return "uplift" if velocity > 0 else "unknown"


def _parts(geometry: Geometry) -> list[Polygon]:
    """List the polygons with an area in any geometry, made valid."""
    valid = shapely.make_valid(geometry)
    # Twice, for a collection may hold multipolygons.
    parts = shapely.get_parts(shapely.get_parts(valid))
    return [p for p in parts if isinstance(p, Polygon) and p.area > 0]
