"""What another way of looking has found, joined with the targets that are there."""

from collections.abc import Sequence
from dataclasses import replace

from shapely import MultiPolygon, Polygon, unary_union

from groundshift.inventory.identity import carry_identity
from groundshift.inventory.model import Target

__all__ = ["join_targets"]


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
        note stay, both outlines become one, and the velocity is that of this run. What only earlier runs of this
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


def _joined(target: Target, before: Target | None, window: str) -> Target:
    """Join a target with the one that it continues."""
    others = () if before is None else tuple(d for d in before.detections if d.window != window)
    if before is None or not others:
        return target
    shape = unary_union([before.geometry, target.geometry])
    assert isinstance(shape, Polygon | MultiPolygon)  # of polygons
    return replace(
        target, geometry=shape, kind=before.kind, score=max(target.score, before.score),
        detections=(*others, *target.detections), first_seen=min(target.first_seen, before.first_seen),
        last_seen=max(target.last_seen, before.last_seen), mean_coherence=before.mean_coherence,
    )  # fmt: skip
