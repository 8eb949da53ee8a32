"""Which amplitude images to match: pairs far apart in time, and bridges from one sensor to the next.

The error of an offset hardly grows with time, motion does: pairs by a lower bound on time. Images of different sensors
are brought into one geometry before they are matched, at some loss, so that few pairs join two sensors.
"""

import itertools
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from groundshift.checks import check_within
from groundshift.errors import DisconnectedNetworkError, NoDataError
from groundshift.pairs.network import date_graph
from groundshift.types import Pair

__all__ = ["OffsetPair", "offset_pairs"]


class OffsetPair(NamedTuple):
    """Two images to match."""

    pair: Pair
    sensors: tuple[str, str]
    """Of the reference and of the secondary."""

    @property
    def bridges(self) -> bool:
        """Whether the images are of different sensors."""
        return self.sensors[0] != self.sensors[1]


def offset_pairs(
    dates_by_sensor: Mapping[str, Sequence[date]],
    *,
    min_days: Mapping[str, int] | int,
    max_days: Mapping[str, int] | int | None = None,
    bridges: int = 3,
) -> tuple[OffsetPair, ...]:
    """Form the pairs of offset tracking.

    Parameters
    ----------
    dates_by_sensor : mapping of str to sequence of date
        Dates of the images of each sensor, in any order.
    min_days : mapping of str to int, or int
        Least days between the images of a pair of one sensor, at least 1.
    max_days : mapping of str to int, or int, optional
        Most days between them; sensors that a mapping does not name have no limit.
    bridges : int
        Images of each of two sensors, at least 1, that are joined with each other: those nearest to the gap between
        the sensors. Sensors that overlap in time are joined by as many squared pairs, those shortest in time.

    Returns
    -------
    tuple of OffsetPair
        In order of their dates.

    Raises
    ------
    DisconnectedNetworkError
        If they do not join all dates; the line says where and what to change.
    NoDataError
        If there are fewer than two images.
    ValueError
        If two images are of one day, or a parameter lies outside its range.

    Notes
    -----
    Sensors are joined in order of their first dates, each with the next. An image alone of its sensor has bridges only.

    Examples
    --------
    >>> old, new = [date(2008, 1, 1), date(2009, 1, 1)], [date(2015, 1, 1), date(2015, 6, 1)]
    >>> found = offset_pairs({"PALSAR-1": old, "PALSAR-2": new}, min_days={"PALSAR-1": 300, "PALSAR-2": 70}, bridges=1)
    >>> [one.pair.name for one in found]
    ['20080101_20090101', '20090101_20150101', '20150101_20150601']
    """
    check_within("bridges", bridges, 1, float("inf"))
    sensors = _in_order(dates_by_sensor)
    found: list[OffsetPair] = []
    for sensor, days in sensors:
        least = _least(min_days, sensor)
        limit = max_days.get(sensor) if isinstance(max_days, Mapping) else max_days
        if limit is not None and limit < least:
            raise ValueError(f"max_days must be at least the {least} of min_days, instead got {limit}")
        most = limit if limit is not None else (days[-1] - days[0]).days
        pairs = [Pair(a, b) for a, b in itertools.combinations(days, 2) if least <= (b - a).days <= most]
        found += [OffsetPair(pair, (sensor, sensor)) for pair in pairs]
    for earlier, later in itertools.pairwise(sensors):
        found += _bridges(earlier, later, bridges)
    found.sort(key=lambda one: (one.pair.reference, one.pair.secondary))
    _require_connected(found, sensors)
    return tuple(found)


def _in_order(dates_by_sensor: Mapping[str, Sequence[date]]) -> list[tuple[str, list[date]]]:
    """Sort sensors by their first dates; ValueError where two images are of one day."""
    owner: dict[date, str] = {}
    for sensor, days in dates_by_sensor.items():
        for day in days:
            if day in owner:
                both = f"{owner[day]} and {sensor}" if owner[day] != sensor else f"{sensor} twice"
                raise ValueError(f"two images of {day} ({both}) cannot be told apart by date; leave one out")
            owner[day] = sensor
    if len(owner) < 2:
        raise NoDataError(f"offsets need at least two images, instead got {len(owner)}; add images of other dates")
    return sorted(((sensor, sorted(days)) for sensor, days in dates_by_sensor.items() if days), key=lambda s: s[1][0])


def _least(min_days: Mapping[str, int] | int, sensor: str) -> int:
    """Return the lower bound of a sensor."""
    if isinstance(min_days, Mapping):
        if sensor not in min_days:
            raise ValueError(f"min_days must name {sensor}, instead got {', '.join(min_days) or 'nothing'}")
        least = min_days[sensor]
    else:
        least = min_days
    check_within("min_days", least, 1, float("inf"))
    return least


def _bridges(earlier: tuple[str, list[date]], later: tuple[str, list[date]], count: int) -> list[OffsetPair]:
    """Join two sensors: the last images of one with the first of the other, or where they overlap the nearest."""
    (one, before), (other, after) = earlier, later
    if before[-1] < after[0]:
        joined = list(itertools.product(before[-count:], after[:count]))
    else:
        joined = sorted(itertools.product(before, after), key=lambda days: (abs(days[1] - days[0]), days))
        joined = joined[: count * count]
    return [OffsetPair(Pair(a, b), (one, other)) if a < b else OffsetPair(Pair(b, a), (other, one)) for a, b in joined]


def _require_connected(found: Sequence[OffsetPair], sensors: Sequence[tuple[str, list[date]]]) -> None:
    """Stop unless the pairs join all dates of all sensors."""
    graph = date_graph([one.pair for one in found])
    missing = [(day, sensor) for sensor, days in sensors for day in days if day not in graph.dates]
    if missing:
        day, sensor = missing[0]
        more = f" ({len(missing)} images in all)" if len(missing) > 1 else ""
        raise DisconnectedNetworkError(
            f"no pair has the {sensor} image of {day}{more}; lower min_days, raise max_days or bridges, or leave it out"
        )
    if not graph.connected:
        day = graph.groups[1].first
        sensor = next(name for name, days in sensors if day in days)
        raise DisconnectedNetworkError(
            f"network splits into {len(graph.groups)} groups at the {sensor} image of {day}; "
            "lower min_days, raise max_days or bridges"
        )
