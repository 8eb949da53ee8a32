"""Merging detections into groups that belong to one moving place.

The rule is that of Fu et al. (2022) (4.3 and 4.4): two detections are one place if the generalised intersection over
union of their bounding boxes is above zero, or if the centres of the boxes lie within 500 m; across directions,
windows, detectors and tracks. Groups are connected: a friend of a friend belongs to them. Taken alone that rule chains
whole valley sides into one target, so a group must also keep two conditions (`merge_detections`).

Boxes lie along meridians and parallels. Their intersection over union does not change when an axis is stretched, so
it is taken in degrees; distances use the radii of curvature of the WGS84 ellipsoid at the place.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import STRtree

from groundshift.checks import check_positive, check_within
from groundshift.detect.detection import Detection

__all__ = ["box_giou", "merge_detections", "metres_per_degree"]

_WGS84_A = 6_378_137.0
_WGS84_E2 = 0.006_694_379_990_14
_CHUNK = 4096
"""Boxes that look for their neighbours at a time, so that dense places do not fill the memory."""


def metres_per_degree(latitude: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length of one degree on the WGS84 ellipsoid.

    Parameters
    ----------
    latitude : array
        Degrees.

    Returns
    -------
    north, east : arrays
        Metres per degree of latitude and of longitude, of the shape of `latitude`.
    """
    phi = np.radians(latitude)
    w2 = 1.0 - _WGS84_E2 * np.sin(phi) ** 2
    meridian = _WGS84_A * (1.0 - _WGS84_E2) / w2**1.5
    parallel = _WGS84_A / np.sqrt(w2) * np.cos(phi)
    return np.radians(1.0) * meridian, np.radians(1.0) * parallel


def box_giou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the generalised intersection over union of boxes.

    Parameters
    ----------
    a, b : (..., 4) arrays
        Boxes as minimum x, minimum y, maximum x, maximum y, of positive area.

    Returns
    -------
    (...) float64 array
        In (-1, 1]; 1 for equal boxes, towards -1 for small boxes far apart.

    Notes
    -----
    `IoU - (enclosing - union) / enclosing`, as first defined. Fu et al. (2022) prints its Eq. 2 with the intersection
    in place of the union; then all separated boxes would have -1 and merging would need more than half in common,
    neither of which is what its text says.

    Examples
    --------
    >>> box_giou(np.array([0, 0, 1, 1.0]), np.array([2, 0, 3, 1.0])).round(3)
    np.float64(-0.333)
    """
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1) - common
    outer = np.prod(np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2]), axis=-1)
    giou: NDArray[np.float64] = common / union - (outer - union) / outer
    return giou


def merge_detections(
    detections: Sequence[Detection],
    *,
    max_centre_distance_m: float = 500.0,
    min_giou: float = 0.0,
    separate_signs: bool = True,
    max_growth: float = 2.0,
) -> list[tuple[Detection, ...]]:
    """Group detections that belong to the same moving place.

    Parameters
    ----------
    detections : sequence of Detection
        From any track, window, direction and detector; polygons in EPSG:4326 with an area.
    max_centre_distance_m : float
        Boxes whose centres are at most this far apart are linked, in metres.
    min_giou : float
        Boxes whose generalised intersection over union is above this are linked, 0 to 1.
    separate_signs : bool
        Never put two bodies into one group that the same track sees move in opposite directions in the same window of
        time: one moves towards the satellite while the other moves away. A sign counts where the velocity is above
        twice its standard error. Opposite signs from different tracks or seasons are one slope seen from two sides,
        or one that goes to and fro.
    max_growth : float
        A group does not become longer, along either axis, than this many times its longest single box plus
        `max_centre_distance_m`; infinite for the plain rule. With the default of 2 it never parts two detections
        that are linked directly, it only stops chains.

    Returns
    -------
    list of tuples of Detection
        Every detection in exactly one group; the highest score first in each group, groups from west to east. The
        result does not depend on the order of `detections`.

    Raises
    ------
    ValueError
        If an argument is out of range, or a polygon is empty or has no area.

    Notes
    -----
    A connected group that meets both conditions stays whole. Another is built up again from its links, the greatest
    intersection over union first, leaving out each link that would break a condition. Neighbours are found with a
    tree, so 50,000 detections take seconds. Polygons are expected to lie on one side of the 180th meridian.

    References
    ----------
    Fu et al. (2022), sections 4.3 and 4.4 (GIoU > 0, centres within 500 m).
    """
    check_positive("max_centre_distance_m", max_centre_distance_m)
    check_within("min_giou", min_giou, 0.0, 1.0)
    if not max_growth >= 1.0:
        raise ValueError(f"max_growth must be at least 1, instead got {max_growth}")
    ordered = sorted(detections, key=_key)
    if not ordered:
        return []
    boxes = shapely.bounds(np.array([d.polygon for d in ordered], object))
    for detection, box in zip(ordered, boxes, strict=True):
        if not (box[2] > box[0] and box[3] > box[1]):
            raise ValueError(
                f"detections must have a polygon with an area, instead got {detection.polygon.wkt} from "
                f"{detection.detector} on {detection.track}"
            )
    first, second, strength = _links(boxes, max_centre_distance_m, min_giou)
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(ordered), len(ordered)))
    count, label = connected_components(graph, directed=False)
    members = np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label, minlength=count))[:-1])
    by_label = np.argsort(label[first], kind="stable")
    cuts = np.searchsorted(label[first][by_label], np.arange(count + 1))

    clusters: list[list[int]] = []
    limit = _Limit(ordered, boxes, max_centre_distance_m, max_growth, separate_signs)
    for k in range(count):
        whole = [int(i) for i in members[k]]
        if len(whole) == 1 or limit.allows(limit.of(whole)):
            clusters.append(whole)
            continue
        edges = by_label[cuts[k] : cuts[k + 1]]
        # Strongest first; equal ones in the canonical order of their ends.
        edges = edges[np.lexsort((second[edges], first[edges], -strength[edges]))]
        clusters += _build(whole, zip(first[edges].tolist(), second[edges].tolist(), strict=True), limit)
    clusters.sort(key=min)
    return [tuple(ordered[i] for i in sorted(c, key=lambda i: (-ordered[i].score, i))) for c in clusters]


def _key(detection: Detection) -> tuple[object, ...]:
    """Put detections into a canonical order, west to east first."""
    d = detection
    return (d.polygon.bounds, d.track, d.window, d.detector, d.directions, -d.score, d.velocity, d.polygon.wkb)


def _links(
    boxes: NDArray[np.float64], distance: float, min_giou: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Find the pairs of boxes that the rule links: first index, second index, GIoU; first < second."""
    north, east = metres_per_degree(np.abs(boxes[:, [1, 3]]).max(axis=1))
    margin = np.stack([distance / np.maximum(east, 1.0), distance / north], axis=1) * 0.51
    # Boxes whose centres are within the distance meet once each is widened by half of it (a little more for rounding).
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    wide = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    tree = STRtree(wide)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    parts = []
    for start in range(0, len(boxes), _CHUNK):
        i, j = tree.query(wide[start : start + _CHUNK])
        i = i + start
        i, j = i[i < j], j[i < j]
        giou = box_giou(boxes[i], boxes[j])
        per_north, per_east = metres_per_degree((centre[i, 1] + centre[j, 1]) / 2)
        gap = np.hypot((centre[i, 0] - centre[j, 0]) * per_east, (centre[i, 1] - centre[j, 1]) * per_north)
        linked = (giou > min_giou) | (gap <= distance)
        parts.append((i[linked], j[linked], giou[linked]))
    return (
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] for p in parts]),
    )


class _Extent:
    """What the conditions need to know about a group."""

    __slots__ = ("away", "box", "longest", "towards")

    def __init__(
        self, box: tuple[float, ...], longest: float, towards: frozenset[object], away: frozenset[object]
    ) -> None:
        self.box = box
        self.longest = longest
        self.towards = towards
        self.away = away

    def with_(self, other: "_Extent") -> "_Extent":
        """Both groups together."""
        a, b = self.box, other.box
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        longest = max(self.longest, other.longest)
        return _Extent(box, longest, self.towards | other.towards, self.away | other.away)


class _Limit:
    """The two conditions that every group keeps."""

    def __init__(
        self,
        detections: Sequence[Detection],
        boxes: NDArray[np.float64],
        distance: float,
        growth: float,
        separate_signs: bool,
    ) -> None:
        self.distance = distance
        self.growth = growth
        self.single = []
        for d, box in zip(detections, boxes.tolist(), strict=True):
            # Not `<=`: an unknown standard error leaves the sign unknown.
            signed = separate_signs and abs(d.velocity) > 2 * d.velocity_sigma
            where = frozenset([(d.track, d.window)]) if signed else frozenset()
            towards, away = (where, frozenset()) if d.velocity > 0 else (frozenset(), where)
            self.single.append(_Extent(tuple(box), _longest_side(tuple(box)), towards, away))

    def of(self, members: Sequence[int]) -> _Extent:
        """Return the extent of some detections together."""
        extents = [self.single[i] for i in members]
        boxes = np.array([e.box for e in extents])
        return _Extent(
            (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()),
            max(e.longest for e in extents),
            frozenset().union(*(e.towards for e in extents)),
            frozenset().union(*(e.away for e in extents)),
        )

    def allows(self, extent: _Extent) -> bool:
        """Whether a group may have this extent."""
        reach = (self.growth * extent.longest + self.distance) * (1 + 1e-3)
        return extent.towards.isdisjoint(extent.away) and _longest_side(extent.box) <= reach


def _longest_side(box: tuple[float, ...]) -> float:
    """Longer side of a box in metres."""
    north, east = metres_per_degree(np.asarray((box[1] + box[3]) / 2))
    return max((box[3] - box[1]) * float(north), (box[2] - box[0]) * float(east))


def _build(members: Sequence[int], edges: Iterable[tuple[int, int]], limit: _Limit) -> list[list[int]]:
    """Join members along edges, in their order, where the limit allows it; until nothing joins any more."""
    parent = {i: i for i in members}
    extent = {i: limit.single[i] for i in members}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    waiting: Iterable[tuple[int, int]] = edges
    while True:
        refused: list[tuple[int, int]] = []
        shut: set[tuple[int, int]] = set()
        joined = False
        for i, j in waiting:
            a, b = root(i), root(j)
            # Members of a group stay together, so one refused link speaks for all between the same two groups.
            if a == b or (a, b) in shut or (b, a) in shut:
                continue
            both = extent[a].with_(extent[b])
            if limit.allows(both):
                parent[b] = a
                extent[a] = both
                joined = True
            else:
                shut.add((a, b))
                refused.append((i, j))
        # A refused link may fit once its group has gained a longer member.
        if not joined or not refused:
            break
        waiting = refused
    groups: dict[int, list[int]] = {}
    for i in members:
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())
