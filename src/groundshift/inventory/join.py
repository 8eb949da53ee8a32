"""What another way of looking has found, joined with the targets that are there."""

from collections.abc import Sequence
from dataclasses import replace

from shapely import MultiPolygon, Polygon, unary_union

from groundshift.detect.detection import Detection
from groundshift.inventory.identity import carry_identity
from groundshift.inventory.model import Target

__all__ = ["join_targets", "keep_evidence"]

_TELLS = 3.0
"""Standard errors that a rate is from zero, at least, to speak for a target that others have measured as well."""


def join_targets(
    found: Sequence[Target], before: Sequence[Target], *, window: str, covered: Polygon | MultiPolygon
) -> list[Target]:
    """Add what detectors of one window have found to an inventory that others have made.

    Parameters
    ----------
    found : sequence of Target
        Of this run, all of their detections of `window`.
    before : sequence of Target
        The inventory so far.
    window : str
        Of the detections that this run replaces.
    covered : polygon
        What this run has looked at (EPSG:4326).

    Returns
    -------
    list of Target
        Those found, then all others. One that lies on a target of other detectors joins it: identity, kind, review and
        note stay, both outlines become one, and the velocity is that of this run if it is three standard errors or
        more from zero: a line of sight across the motion tells none. What only earlier runs of this
        window have seen, and this one has not, is marked as `carry_identity` does; what others have seen stays as is.
    """
    known = {target.id: target for target in before}
    carried = carry_identity(found, before, covered=Polygon())
    new = [_joined(t, known.get(t.id), window) for t in carried[: len(found)]]
    seen = {target.id for target in new}
    rest = [t for t in before if t.id not in seen]
    own = [t for t in rest if t.detections and all(d.window == window for d in t.detections)]
    marked = {t.id: t for t in carry_identity([], own, covered=covered)}
    return [*new, *(marked.get(t.id, t) for t in rest)]


def keep_evidence(targets: Sequence[Target], before: Sequence[Target], window: str) -> list[Target]:
    """Give targets that a run has carried on the evidence back that only another way of looking can see.

    Parameters
    ----------
    targets : sequence of Target
        As `carry_identity` returns them.
    before : sequence of Target
        The inventory so far.
    window : str
        Of the detections that this run does not make.

    Returns
    -------
    list of Target
        As many: what has detections of that window keeps them and the velocity that they tell, if any; what has no
        others stays as it was, without a mark that it was not seen.
    """
    known = {target.id: target for target in before if any(d.window == window for d in target.detections)}
    kept = []
    for target in targets:
        old = known.get(target.id)
        if old is None:
            kept.append(target)
            continue
        own = tuple(d for d in old.detections if d.window == window)
        if len(own) == len(old.detections) and all(d.window == window for d in target.detections):
            kept.append(old)
            continue
        seen = tuple(d for d in target.detections if d.window != window)
        both = replace(target, detections=(*seen, *own))
        told = _tells(own)
        kept.append(both if told is None else _with_velocity(both, told))
    return kept


def _joined(target: Target, before: Target | None, window: str) -> Target:
    """Join a target with the one that it continues."""
    others = () if before is None else tuple(d for d in before.detections if d.window != window)
    if before is None or not others:
        return target
    shape = unary_union([before.geometry, target.geometry])
    assert isinstance(shape, Polygon | MultiPolygon)  # of polygons
    both = replace(
        target, geometry=shape, kind=before.kind, score=max(target.score, before.score),
        detections=(*others, *target.detections), first_seen=min(target.first_seen, before.first_seen),
        last_seen=max(target.last_seen, before.last_seen), mean_coherence=before.mean_coherence,
    )  # fmt: skip
    if _tells(target.detections) is not None:
        return both
    earlier = _tells([d for d in before.detections if d.window == window])
    if earlier is None:
        return replace(
            both, velocity_los_mm_yr=before.velocity_los_mm_yr, velocity_sigma_mm_yr=before.velocity_sigma_mm_yr
        )
    return _with_velocity(both, max(others, key=_deviation))


def _tells(detections: Sequence[Detection]) -> Detection | None:
    """Return the detection whose rate stands out most; none if it does not tell motion along the line of sight."""
    best = max(detections, key=_deviation, default=None)
    return best if best is not None and _deviation(best) >= _TELLS else None


def _deviation(detection: Detection) -> float:
    """Rate in standard errors."""
    return abs(detection.velocity) / max(detection.velocity_sigma, 1e-9)


def _with_velocity(target: Target, detection: Detection) -> Target:
    """Let one detection speak for a target."""
    return replace(target, velocity_los_mm_yr=detection.velocity, velocity_sigma_mm_yr=detection.velocity_sigma)
