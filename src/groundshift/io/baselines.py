"""Lists of perpendicular baselines: text with two dates and a number in each line.

Two customs are read alike: a line for each pair, and a line for each date against one common reference (LiCSAR's
`baselines`, GAMMA's `base_calc`), from which that of a pair follows as the difference.
"""

import re
from datetime import date
from pathlib import Path

from groundshift.types import Pair

__all__ = ["Baselines", "pair_baseline", "read_baselines"]

Baselines = dict[tuple[date, date], float]
"""Perpendicular baseline in metres of the second date relative to the first."""

_LINE = re.compile(r"(?<!\d)(\d{8})[\s,;_-]+(\d{8})[\s,;]+([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\d.])")


def read_baselines(path: Path) -> Baselines:
    """Read a list of baselines; lines of another form are passed over.

    Examples
    --------
    A line such as `20180702 20180714 35.5 12` says that the second date flew 35.5 m from the first.
    """
    found: Baselines = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    for match in _LINE.finditer(text):
        try:
            first, second = (date.fromisoformat(match[i]) for i in (1, 2))
        except ValueError:
            continue
        found[first, second] = float(match[3])
    return found


def pair_baseline(pair: Pair, baselines: Baselines) -> float | None:
    """Return the perpendicular baseline of a pair in metres, or None if the list does not tell."""
    first, second = pair.reference, pair.secondary
    if (first, second) in baselines:
        return baselines[first, second]
    if (second, first) in baselines:
        return -baselines[second, first]
    references = {one for one, _ in baselines}
    if len(references) != 1:
        return None
    against = {other: value for (_, other), value in baselines.items()} | {references.pop(): 0.0}
    if first in against and second in against:
        return against[second] - against[first]
    return None
