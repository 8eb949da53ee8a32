"""Identities that survive re-runs: named after the place, kept while the place keeps moving.

A new target is called after the cell of about 150 m that holds its centroid, written as a geohash of seven characters,
so the name tells the place. A later run sees the same slope a little differently; `carry_identity` recognises it by
overlap and hands over its name, its history and what people have written about it.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon, STRtree

from groundshift.checks import check_within
from groundshift.inventory.model import Target

__all__ = ["carry_identity", "distinct_ids", "is_current", "location_id", "mark_of", "settle_ids", "unmarked"]

_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_CHARACTERS = 7
_MARK = re.compile(r"\s*\[(?:not seen since|joined into) [^\]]*\]")


def location_id(longitude: float, latitude: float) -> str:
    """Name a place: the geohash of its cell of about 150 m.

    Parameters
    ----------
    longitude, latitude : float
        Degrees; longitudes repeat after 360, latitudes lie in [-90, 90].

    Returns
    -------
    str
        Seven characters of the geohash alphabet.

    Raises
    ------
    ValueError
        If `latitude` is outside [-90, 90], or either is not finite.

    Examples
    --------
    >>> location_id(10.40744, 57.64911)
    'u4pruyd'
    """
    check_within("latitude", latitude, -90.0, 90.0)
    if not math.isfinite(longitude):
        raise ValueError(f"longitude must be finite, instead got {longitude}")
    bits = 5 * _CHARACTERS
    lon_bits = (bits + 1) // 2
    columns, rows = 1 << lon_bits, 1 << (bits - lon_bits)
    x = min(int((longitude + 180.0) % 360.0 / 360.0 * columns), columns - 1)
    y = min(int((latitude + 90.0) / 180.0 * rows), rows - 1)
    code = 0
    for i in range(bits):
        # Longitude gives the first bit, then they take turns; both from the most significant bit down.
        number, total = (x, lon_bits) if i % 2 == 0 else (y, bits - lon_bits)
        code = code << 1 | number >> (total - 1 - i // 2) & 1
    return "".join(_ALPHABET[code >> 5 * i & 31] for i in reversed(range(_CHARACTERS)))


def distinct_ids(geometries: Sequence[Polygon | MultiPolygon], taken: Iterable[str] = ()) -> list[str]:
    """Name polygons after their places; those that share a cell are numbered from west to east.

    Parameters
    ----------
    geometries : sequence of polygons
        In longitude and latitude, not empty.
    taken : iterable of str
        Names that are not given again.

    Returns
    -------
    list of str
        One name per polygon, in their order: `u4pruyd`, `u4pruyd-2`, ...
    """
    centres = [(float(g.centroid.x), float(g.centroid.y)) for g in geometries]
    used = set(taken)
    names = [""] * len(geometries)
    for i in sorted(range(len(geometries)), key=lambda i: centres[i]):
        names[i] = _free(location_id(*centres[i]), used)
        used.add(names[i])
    return names


def settle_ids(stored: Sequence[str | None], polygons: Sequence[Polygon | MultiPolygon]) -> list[str]:
    """Name what has no name, or one that a larger polygon has too, after its place.

    Parameters
    ----------
    stored : sequence of str or None
        Names as a file has them; people may have drawn polygons without one, or cut one in two.
    polygons : sequence of polygons
        As many, in longitude and latitude, not empty.

    Returns
    -------
    list of str
        One name per polygon, all different; that of the largest of its bearers stays.
    """
    names: dict[int, str] = {}
    used: set[str] = set()
    for row in sorted(range(len(stored)), key=lambda row: -polygons[row].area):
        name = stored[row]
        if name and name not in used:
            used.add(name)
            names[row] = name
    rest = [row for row in range(len(stored)) if row not in names]
    names.update(zip(rest, distinct_ids([polygons[row] for row in rest], used), strict=True))
    return [names[row] for row in range(len(stored))]


def carry_identity(
    new: Sequence[Target],
    old: Sequence[Target],
    *,
    min_overlap: float = 0.1,
    covered: Polygon | MultiPolygon | None = None,
) -> list[Target]:
    """Give the targets of a new run the identities of the old ones they lie on.

    Parameters
    ----------
    new, old : sequences of Target
        What this run found, and the inventory so far.
    min_overlap : float
        Share of the smaller of two polygons that must be common to both, 0 to 1.
    covered : polygon, optional
        What this run has looked at (EPSG:4326); old targets outside of it are not said to have vanished. By default it
        has looked everywhere.

    Returns
    -------
    list of Target
        The new targets in their order, then the old ones that none of them continues. A new target that continues an
        old one has its `id`, `first_seen`, `review` and `note`, and all else from the new run. An old one that was not
        seen again stays as it was, `last_seen` too, and its note ends in `[not seen since DATE]`, or in `[joined into
        ID]` where a new target that continues another one lies on it. The mark goes when the place is seen again.

    Raises
    ------
    ValueError
        If `min_overlap` is outside [0, 1].

    Notes
    -----
    Pairs are taken in the order of their intersection over union, each target once: of a slide that falls into two
    only the larger part keeps the name. Names are unique in the result even where they were not in `old`.
    """
    check_within("min_overlap", min_overlap, 0.0, 1.0)
    overlaps = _overlaps(new, old, min_overlap)
    heir: dict[int, int] = {}
    forebear: dict[int, int] = {}
    for i, j in overlaps:
        if i not in forebear and j not in heir:
            forebear[i], heir[j] = j, i
    used: set[str] = set()
    names = [""] * len(new)
    for i in sorted(forebear, key=lambda i: old[forebear[i]].id):
        names[i] = _free(old[forebear[i]].id, used)
        used.add(names[i])
    left_ids: dict[int, str] = {}
    for j, target in enumerate(old):
        if j not in heir:
            left_ids[j] = _free(target.id, used)
            used.add(left_ids[j])
    fresh = [i for i in range(len(new)) if i not in forebear]
    for i, name in zip(fresh, distinct_ids([new[i].geometry for i in fresh], used), strict=True):
        names[i] = name

    result = []
    for i, target in enumerate(new):
        if i in forebear:
            past = old[forebear[i]]
            target = replace(  # noqa: PLW2901
                target,
                first_seen=min(past.first_seen, target.first_seen),
                last_seen=max(past.last_seen, target.last_seen),
                review=past.review,
                note=unmarked(past.note),
            )
        result.append(replace(target, id=names[i]))
    swallowed: dict[int, int] = {}
    for i, j in overlaps:
        swallowed.setdefault(j, i)
    for j, name in left_ids.items():
        past = replace(old[j], id=name)
        if j in swallowed:
            past = _marked(past, f"[joined into {names[swallowed[j]]}]")
        elif is_current(past) and (covered is None or covered.intersects(past.geometry.centroid)):
            past = _marked(past, f"[not seen since {past.last_seen}]")
        result.append(past)
    return result


def is_current(target: Target) -> bool:
    """Whether the last run that looked at the place of `target` has seen it, as `carry_identity` left it."""
    return not mark_of(target.note)


def mark_of(note: str) -> str:
    """Return the mark that a survey has put at the end of a note, such as `[not seen since 2021-06-27]`, or nothing."""
    found = _MARK.search(note)
    return found[0].strip() if found else ""


def unmarked(note: str) -> str:
    """Return what people have written in a note: without the mark of a survey."""
    return _MARK.sub("", note).strip() if mark_of(note) else note


def _overlaps(new: Sequence[Target], old: Sequence[Target], min_overlap: float) -> list[tuple[int, int]]:
    """Pairs (new, old) with enough in common, those with the greatest intersection over union first."""
    mine = shapely.make_valid(np.array([t.geometry for t in new], object))
    theirs = shapely.make_valid(np.array([t.geometry for t in old], object))
    i, j = STRtree(theirs).query(mine, predicate="intersects")
    # Ratios of areas in degrees: both polygons lie at the same place, so the scale cancels.
    common = shapely.area(shapely.intersection(mine[i], theirs[j]))
    a, b = shapely.area(mine[i]), shapely.area(theirs[j])
    keep = (common > 0) & (common >= min_overlap * np.minimum(a, b))
    ratio = common / np.maximum(a + b - common, np.finfo(float).tiny)
    found = sorted(
        (-float(r), old[q].id, int(p), int(q)) for r, p, q in zip(ratio[keep], i[keep], j[keep], strict=True)
    )
    return [(p, q) for _, _, p, q in found]


def _free(name: str, used: set[str]) -> str:
    """`name`, or the first of `name-2`, `name-3`, ... that is not used yet."""
    number, candidate = 2, name
    while candidate in used:
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def _marked(target: Target, mark: str) -> Target:
    """Return the target with `mark` as the only mark of its note."""
    return replace(target, note=f"{unmarked(target.note)} {mark}".strip())
