"""What to get: which bursts lie over an area, which image of a date is taken, which pairs they make, what it costs."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from shapely import affinity, transform
from shapely.geometry.base import BaseGeometry

from groundshift.acquire.wish import Looks
from groundshift.constants import EARTH_RADIUS
from groundshift.errors import NoDataError
from groundshift.pairs import PairMode, select_pairs
from groundshift.types import Pair

__all__ = [
    "HYP3_PIXELS",
    "Scene",
    "bursts_over",
    "covers",
    "credits_per_job",
    "one_per_day",
    "pairs_of",
    "unpacked_bytes",
]

HYP3_PIXELS: dict[Looks, float] = {"20x4": 80.0, "10x2": 40.0, "5x1": 20.0}
"""Pixel spacing of a HyP3 burst interferogram, metres, by its looks."""

_BYTES_PER_PIXEL = 26
"""Of a HyP3 burst interferogram unpacked: six layers of four bytes and two of one."""


class Scene(NamedTuple):
    """One image of one burst, or what is static about a burst, as a catalogue lists it."""

    name: str
    """Of the granule."""
    burst: str
    """Number and sub-swath, such as `136231_IW2`."""
    day: date | None
    """None for what is static."""
    polarization: str
    footprint: BaseGeometry
    rank: str = ""
    """Of several of one day the one of highest rank is taken."""
    url: str = ""
    size: int | None = None
    """Bytes, where the catalogue tells."""
    checksum: tuple[str, str] | None = None
    """Name of the algorithm as hashlib has it, and the digest in hexadecimal."""


def bursts_over(scenes: Iterable[Scene], area: BaseGeometry) -> dict[str, list[Scene]]:
    """Sort scenes by burst, leaving out bursts none of whose footprints covers a part of the area.

    Parameters
    ----------
    scenes : iterable of Scene
        Found by a search that may be wider than the area.
    area : geometry
        Polygon, line or point; polygons that only touch do not count.

    Returns
    -------
    dict
        By burst, in the order of their names.

    Examples
    --------
    >>> from shapely import box
    >>> scenes = [Scene("a", "1_IW1", None, "VV", box(0, 0, 2, 1)), Scene("b", "2_IW1", None, "VV", box(0, 1, 2, 2))]
    >>> list(bursts_over(scenes, box(1, 0, 3, 1)))
    ['1_IW1']
    """
    found: dict[str, list[Scene]] = defaultdict(list)
    for scene in scenes:
        found[scene.burst].append(scene)
    return {burst: found[burst] for burst in sorted(found) if any(covers(s.footprint, area) for s in found[burst])}


def one_per_day(scenes: Sequence[Scene], keep: Mapping[date, str] | None = None) -> list[Scene]:
    """Take one image for each day, all of the polarization that most days have.

    Parameters
    ----------
    scenes : sequence of Scene
        Of one burst, each with a day.
    keep : mapping, optional
        Names of granules by day that an earlier run took: they are taken again if they are still there, so that
        nothing is ordered twice because a granule was processed anew.

    Returns
    -------
    list of Scene
        In order of their days.
    """
    kept = keep or {}
    days = Counter(pol for _, pol in {(s.day, s.polarization) for s in scenes})
    # Of equally many VV, the last in the alphabet.
    polarization = max(days, key=lambda pol: (days[pol], pol))
    found: dict[date, Scene] = {}
    for scene in scenes:
        if scene.day is None or scene.polarization != polarization:
            continue
        other = found.get(scene.day)
        if other is None or _rank(scene, kept) > _rank(other, kept):
            found[scene.day] = scene
    return [found[day] for day in sorted(found)]


def pairs_of(days: Sequence[date], *, max_days: int = 36, mode: PairMode = "all", nearest: int = 3) -> tuple[Pair, ...]:
    """Return the pairs of a burst's dates with short baselines; none where there is none."""
    every = [Pair(first, second) for first, second in itertools.combinations(sorted(set(days)), 2)]
    try:
        return select_pairs(every, max_days=max_days, mode=mode, nearest=nearest)
    except NoDataError:
        return ()


def unpacked_bytes(footprint: BaseGeometry, looks: Looks) -> int:
    """Return how large one HyP3 burst interferogram is at most once unpacked.

    Notes
    -----
    A product covers the box around its burst, north up, with 26 bytes per pixel before compression.
    """
    west, south, east, north = _unwrapped(footprint).bounds
    degree = math.radians(1.0) * EARTH_RADIUS
    area = (north - south) * degree * (east - west) * degree * math.cos(math.radians((south + north) / 2))
    return round(_BYTES_PER_PIXEL * area / HYP3_PIXELS[looks] ** 2)


def credits_per_job(costs: Any, looks: str, job_type: str = "INSAR_ISCE_BURST") -> float | None:
    """Return what one job costs from the table that HyP3 gives; None if the table does not tell.

    Parameters
    ----------
    costs : list of dict
        Each with `job_type`, and either `cost`, or `cost_table` with a `cost` for each value of a parameter.
    looks : str
        As HyP3 names them.

    Examples
    --------
    >>> credits_per_job([{"job_type": "INSAR_ISCE_BURST", "cost": 1.0}], "20x4")
    1.0
    """
    try:
        entry = next(entry for entry in costs if entry["job_type"] == job_type)
        if "cost" in entry:
            return float(entry["cost"])
        return next(float(row["cost"]) for row in entry["cost_table"] if row["parameter_value"] == looks)
    except (StopIteration, KeyError, TypeError, ValueError):
        return None


def _rank(scene: Scene, kept: Mapping[date, str]) -> tuple[bool, str, str]:
    """Return what is larger for the scene to take of one day."""
    return (scene.day is not None and kept.get(scene.day) == scene.name, scene.rank, scene.name)


def covers(footprint: BaseGeometry, area: BaseGeometry) -> bool:
    """Whether a footprint covers a part of the area, on whichever side of the date line they are written."""
    ground = _unwrapped(footprint)
    for turn in (-360, 0, 360):
        moved = affinity.translate(ground, turn)
        if moved.intersects(area) and not moved.touches(area):
            return True
    return False


def _unwrapped(footprint: BaseGeometry) -> BaseGeometry:
    """Return a footprint in one piece where it crosses the date line."""
    west, _, east, _ = footprint.bounds
    if east - west <= 180:
        return footprint

    def shift(points: Any) -> Any:
        points[:, 0] += 360.0 * (points[:, 0] < 0)
        return points

    return transform(footprint, shift)
