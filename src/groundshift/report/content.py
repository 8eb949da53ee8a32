"""What a report shows: plain values that a workflow fills in and `write_report` lays out.

Nothing here opens a file. All text may come from a user's files: it is escaped where the page is written.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.inventory.model import Kind, Target
from groundshift.report.layers import Bounds, Layer
from groundshift.types import LookGeometry, Pair

__all__ = [
    "Bounds",
    "Histogram",
    "Layer",
    "MaskShare",
    "Patch",
    "ReportContent",
    "SeriesContent",
    "TrackContent",
    "TrackPictures",
    "best_targets",
    "cut_patches",
    "extent_of",
    "flatten_settings",
    "headline_of",
    "significance_histogram",
    "with_minus_signs",
    "write_number",
]

_HISTOGRAM_EDGES = np.linspace(-10.0, 10.0, 81)


class MaskShare(NamedTuple):
    """One mask and the share of pixels that it takes out, 0 to 1."""

    name: str
    fraction: float


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts of significance values; those beyond the edges are in `below` and `above`."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    below: int = 0
    above: int = 0

    @property
    def total(self) -> int:
        """All values counted."""
        return int(self.counts.sum()) + self.below + self.above

    @property
    def spread(self) -> float:
        """Half the distance between the 16th and the 84th percentile; 1 for a standard normal, NaN if empty."""
        if self.total == 0:
            return math.nan
        cumulative = (self.below + np.concatenate([[0], np.cumsum(self.counts)])) / self.total
        low, high = np.interp([0.158655, 0.841345], cumulative, self.edges)
        return float(high - low) / 2


@dataclass(frozen=True, eq=False)
class Patch:
    """Maps around one target, as seen from one track; all layers cover `bounds`."""

    track: str
    bounds: Bounds
    layers: tuple[Layer, ...]


class TrackPictures(NamedTuple):
    """Pictures of a track as `<svg>` elements; None where there is nothing to show."""

    network: str | None
    """Dates and pairs."""
    months: str | None
    """Number of pairs by month."""
    histogram: str | None
    """Of significances."""


@dataclass(frozen=True, eq=False)
class TrackContent:
    """One track, frame or burst.

    `layers` are north up in EPSG:4326 (rows of equal latitude) and all cover `bounds` (west, south, east, north, outer
    pixel edges, degrees); their pixel counts may differ. `look` draws the flight direction where it is known.
    """

    name: str
    bounds: Bounds
    layers: Sequence[Layer] = ()
    pairs_used: Sequence[Pair] = ()
    pairs_unused: Sequence[Pair] = ()
    """Pairs outside the selection, and those of files left out."""
    files_left_out: Sequence[str] = ()
    """One line for each file left out, saying why."""
    warnings: Sequence[str] = ()
    masks: Sequence[MaskShare] = ()
    significance: Histogram | None = None
    look: LookGeometry | None = None
    pictures: TrackPictures | None = None
    """Drawn where the track was surveyed; a report draws those that are missing."""

    def __post_init__(self) -> None:
        west, south, east, north = self.bounds
        if not (all(map(math.isfinite, self.bounds)) and west < east and -90 <= south < north <= 90):
            raise ValueError(
                f"bounds of track {self.name!r} must be west < east and south < north in degrees, instead got "
                f"{tuple(self.bounds)}"
            )

    @property
    def n_pairs(self) -> int:
        """Number of pairs used."""
        return len(self.pairs_used)


def _no_days() -> NDArray[np.datetime64]:
    return np.empty(0, "datetime64[D]")


def _no_numbers() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class SeriesContent:
    """How one target has moved as one track sees it, or the reason why that is not known.

    Displacements are in mm along the line of sight, positive towards the satellite; NaN is not known. Either there are
    dates, or `reason` says why not.
    """

    track: str
    dates: NDArray[np.datetime64] = field(default_factory=_no_days)
    """(date,) in days, ascending."""
    displacement_mm: NDArray[np.float64] = field(default_factory=_no_numbers)
    """(date,)"""
    sigma_mm: NDArray[np.float64] = field(default_factory=_no_numbers)
    """(date,) one standard error."""
    fit_dates: NDArray[np.datetime64] = field(default_factory=_no_days)
    """(n,) in days, ascending, as close as the line of the fit needs them."""
    fit_mm: NDArray[np.float64] = field(default_factory=_no_numbers)
    """(n,) the fit."""
    breaks: tuple[date, ...] = ()
    """First date of each further group of dates: no pair joins it to the dates before, and no line is drawn across."""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What was found out, in the order and the words in which it is shown."""
    layers: tuple[Layer, ...] = ()
    """Maps around the target, all covering `bounds`."""
    bounds: Bounds | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        check_shape("displacement_mm", self.displacement_mm, self.dates.shape)
        check_shape("sigma_mm", self.sigma_mm, self.dates.shape)
        check_shape("fit_mm", self.fit_mm, self.fit_dates.shape)
        for name, days in (("dates", self.dates), ("fit_dates", self.fit_dates)):
            if not (np.diff(days.astype("datetime64[D]").astype(np.int64)) > 0).all():
                raise ValueError(f"{name} of a series must ascend, instead got {days}")
        if len(self.dates) == 0 and not self.reason:
            raise ValueError("reason must say why there is no series, instead got nothing")
        if self.layers and self.bounds is None:
            raise ValueError("bounds must be given with layers, instead got None")


@dataclass(frozen=True, eq=False)
class ReportContent:
    """All that a report shows.

    `facts` are shown at the top in their order (area, dates, versions, duration ...); `settings` may be nested.
    `patches` gives the evidence maps by target id; None cuts them out of the layers of the tracks. `messages` are the
    warnings of the whole run, `alerts` say what sped up since the run before. `series` are by target id, one for each
    track, and are asked for once each; without any, the report shows none.
    """

    title: str
    facts: Mapping[str, object]
    tracks: Sequence[TrackContent] = ()
    targets: Sequence[Target] = ()
    patches: Mapping[str, Sequence[Patch]] | None = None
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    messages: Sequence[str] = ()
    alerts: Sequence[str] = ()
    series: Mapping[str, Sequence[SeriesContent]] = field(default_factory=lambda: MappingProxyType({}))


def significance_histogram(values: NDArray[np.floating[Any]]) -> Histogram:
    """Count significance values (any shape, NaN left out) in bins of a quarter from -10 to 10."""
    finite = np.asarray(values)[np.isfinite(values)]
    low, high = _HISTOGRAM_EDGES[0], _HISTOGRAM_EDGES[-1]
    counts, edges = np.histogram(finite, _HISTOGRAM_EDGES)
    return Histogram(edges, counts.astype(np.int64), int((finite < low).sum()), int((finite > high).sum()))


def best_targets(targets: Sequence[Target], limit: int) -> list[Target]:
    """Return the `limit` targets of highest score, best first; rejected ones come last."""
    return sorted(targets, key=lambda t: (t.review == "rejected", -t.score, t.id))[:limit]


def cut_patches(
    tracks: Sequence[TrackContent], targets: Sequence[Target], *, limit: int = 60, smallest_m: float = 1500.0
) -> dict[str, tuple[Patch, ...]]:
    """Cut the maps around the best targets out of the tracks that saw them.

    Parameters
    ----------
    tracks : sequence of TrackContent
        Base layers (hill shade) are left out.
    targets : sequence of Target
        Only the `limit` best get patches, from at most three tracks each.
    limit : int
        How many.
    smallest_m : float
        Least width of a patch in metres; a larger target gets three times its own size.

    Returns
    -------
    dict
        Patches by target id; a target that lies on no track has none.
    """
    by_name = {track.name: track for track in tracks}
    patches: dict[str, tuple[Patch, ...]] = {}
    for target in best_targets(targets, limit):
        around = _surroundings(target, smallest_m)
        cut = [_cut(by_name[name], around) for name in target.tracks if name in by_name]
        found = tuple(patch for patch in cut if patch is not None)[:3]
        if found:
            patches[target.id] = found
    return patches


def extent_of(content: ReportContent) -> Bounds | None:
    """Return what the overview covers: all tracks, or else all targets with a margin, or None."""
    boxes = [tuple(track.bounds) for track in content.tracks]
    if not boxes:
        boxes = [target.geometry.buffer(0.02).bounds for target in content.targets if not target.geometry.is_empty]
    if not boxes:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return Bounds(min(west), min(south), max(east), max(north))


def headline_of(content: ReportContent) -> str:
    """Say in one sentence what was found."""
    live = [t for t in content.targets if t.review != "rejected"]
    if not live:
        return "No moving place was found."
    kinds = [(kind, sum(t.kind == kind for t in live)) for kind in get_args(Kind)]
    names = {"landslide": "landslides", "unknown": "of unknown kind"}
    counts = ", ".join(f"{n} {names.get(k, k) if n != 1 or k != 'landslide' else k}" for k, n in kinds if n)
    finite = [t for t in live if math.isfinite(t.velocity_los_mm_yr)]
    text = f"{len(live)} moving place{'s' if len(live) != 1 else ''}: {counts}."
    if finite:
        fastest = max(finite, key=lambda t: abs(t.velocity_los_mm_yr))
        way = "towards" if fastest.velocity_los_mm_yr > 0 else "away from"
        speed = write_number(abs(fastest.velocity_los_mm_yr), 0)
        text += f" The fastest, {fastest.id}, moves at {speed} mm/yr {way} the satellite."
    return text


def flatten_settings(settings: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as lines of dotted names and values, the values as in `run.yaml`."""
    lines: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            lines += flatten_settings(value, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}", _setting(value)))
    return lines


def _setting(value: object) -> str:
    """Write one value as YAML does."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    return str(value)


def write_number(value: float | None, digits: int = 0, sign: bool = False) -> str:
    """Write a number for people; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−").replace(",", "\u202f")


def with_minus_signs(text: str) -> str:
    """Write minus signs in front of numbers as such; hyphens in dates, names and ranges stay.

    Examples
    --------
    >>> with_minus_signs("-3.1 mm/yr (95 %: -5 to -1) since 2018-03-27, T-135")
    '−3.1 mm/yr (95 %: −5 to −1) since 2018-03-27, T-135'
    """
    return re.sub(r"(?<![\w.)-])-(?=\d)", "−", text)


def _surroundings(target: Target, smallest_m: float) -> Bounds:
    """Return a square on the ground around a target: three times its size, at least `smallest_m` wide."""
    west, south, east, north = target.geometry.bounds
    per_degree = 111_195.0
    shrink = max(0.05, math.cos(math.radians((south + north) / 2)))
    half = max(smallest_m, 3 * (north - south) * per_degree, 3 * (east - west) * per_degree * shrink) / 2
    lon, lat, dy = (west + east) / 2, (south + north) / 2, half / per_degree
    return Bounds(lon - dy / shrink, lat - dy, lon + dy / shrink, lat + dy)


def _cut(track: TrackContent, around: Bounds) -> Patch | None:
    """Cut the pixels that `around` touches out of every layer, or None if none of them has a value."""
    layers: list[Layer] = []
    bounds = track.bounds
    width, height = bounds.east - bounds.west, bounds.north - bounds.south
    data = [layer for layer in track.layers if not layer.base]
    chosen = ([layer for layer in data if layer.evidence] or data)[:4]
    if not chosen:
        return None
    # The finest layer gives the pixels; each pixel takes the value of the one it lies in on the other layers.
    rows, columns = max((layer.values.shape for layer in chosen), key=lambda s: s[0] * s[1])
    top = max(0, math.floor((bounds.north - around.north) / height * rows))
    bottom = min(rows, math.ceil((bounds.north - around.south) / height * rows))
    left = max(0, math.floor((around.west - bounds.west) / width * columns))
    right = min(columns, math.ceil((around.east - bounds.west) / width * columns))
    if top >= bottom or left >= right:
        return None
    y, x = np.arange(top, bottom) + 0.5, np.arange(left, right) + 0.5
    for layer in chosen:
        shape = layer.values.shape
        part = layer.values[np.ix_((y * shape[0] / rows).astype(np.intp), (x * shape[1] / columns).astype(np.intp))]
        layers.append(replace(layer, values=part))
    if not any(np.isfinite(layer.values).any() for layer in layers):
        return None
    cut = Bounds(
        bounds.west + left / columns * width,
        bounds.north - bottom / rows * height,
        bounds.west + right / columns * width,
        bounds.north - top / rows * height,
    )
    return Patch(track.name, cut, tuple(layers))
