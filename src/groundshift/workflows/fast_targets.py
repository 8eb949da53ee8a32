"""Targets too fast for phase, handed over: followed by the offsets of amplitude images around them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from shapely import MultiPolygon, Polygon, box, unary_union

from groundshift.constants import EARTH_RADIUS
from groundshift.detect.detection import OFFSETS
from groundshift.errors import GroundshiftError, OutputError
from groundshift.inventory import Target, is_current
from groundshift.workflows.config import SettingError, SurveyConfig, explain
from groundshift.workflows.motion import TargetMotion
from groundshift.workflows.offset_images import find_images
from groundshift.workflows.offset_matches import choose_offset_pairs
from groundshift.workflows.offsets import preview_offsets, run_offsets
from groundshift.workflows.offsets_config import MatchConfig, OffsetsConfig, SceneConfig
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["check_fast", "follow_fast", "preview_fast", "too_fast"]

FOLDER = "fast"
"""In the folder of a survey; offsets of each place go into a folder of their own, named after a target."""
_METRES_PER_DEGREE = math.radians(EARTH_RADIUS)
_ROUNDED = 0.01
"""Degrees: edges of what is looked at lie on such lines, so that an outline a little different makes nothing anew."""


class _Place(NamedTuple):
    """Ground that amplitude images are matched on."""

    area: tuple[float, float, float, float]
    """West, south, east, north, degrees."""
    targets: tuple[str, ...]


def check_fast(config: SurveyConfig, reporter: Reporter) -> None:
    """Stop before anything slow where targets too fast for phase could not be handed over.

    Raises
    ------
    GroundshiftError
        If amplitude images are given without what they want, cannot be opened, or make no network.
    """
    if not config.fast.amplitudes:
        return
    if config.mask.dem is None:
        raise SettingError("--amplitudes: an elevation model puts them on the ground; give one with --dem")
    if not config.series.series:
        raise SettingError("--amplitudes: following targets shows which are too fast for phase; leave --no-series away")
    settings = _settings(config, config.output, None)
    choose_offset_pairs(find_images(settings, reporter), settings.match)


def preview_fast(config: SurveyConfig, reporter: Reporter) -> dict[str, Any]:
    """Say which amplitude images would follow targets too fast for phase; nothing without any."""
    if not config.fast.amplitudes:
        return {}
    told = preview_offsets(_settings(config, config.output, None), reporter)
    return {"amplitude_images": told["images"], "amplitude_pairs": told["pairs"]}


def too_fast(targets: Sequence[Target], motions: Mapping[str, Sequence[TargetMotion]]) -> dict[str, str]:
    """Return why targets that are seen now move too fast for phase, by identity; one track that says so is enough."""
    found = {}
    for target in targets:
        told = [m.record for m in motions.get(target.id, ()) if m.record.too_fast]
        if told and is_current(target):
            found[target.id] = f"{told[0].track}: {told[0].too_fast}"
    return found


def follow_fast(
    targets: Sequence[Target], fast: Mapping[str, str], config: SurveyConfig, reporter: Reporter, command: str
) -> list[str]:
    """Follow targets too fast for phase by amplitude images, where there are any; they join the survey's inventory.

    Leaves `fast/TARGET/` for each place, as `groundshift offsets` leaves a folder. A place that cannot be followed is
    named, and the survey goes on.

    Parameters
    ----------
    targets : sequence of Target
        Of the inventory as it is written.
    fast : mapping
        Why, by identity.
    config : SurveyConfig
    reporter : Reporter
    command : str
        As typed, for the records.

    Returns
    -------
    list of str
        What is to be told of them in the report.

    Raises
    ------
    OutputError
        If results cannot be written.
    """
    told = [f"Target {name} moves too fast for phase ({why})" for name, why in fast.items()]
    if not config.fast.amplitudes:
        advice = "amplitude images would follow it: --amplitudes, or `groundshift offsets`"
        return [f"{line}; {advice}." for line in told]
    messages = []
    for place in _places([t for t in targets if t.id in fast], config.fast.fast_margin):
        folder = config.output / FOLDER / place.targets[0]
        names = ", ".join(place.targets)
        reporter.say(f"too fast for phase, followed by amplitude images: {names}")
        try:
            done = run_offsets(_settings(config, folder, place), reporter, command)
        except OutputError:
            raise
        except GroundshiftError as error:
            messages.append(f"{names}: not followed by amplitude images: {error}")
            reporter.warn(messages[-1])
        else:
            messages.append(
                f"{names}: followed by {count_of(done.images, 'amplitude image')}, which show "
                f"{count_of(len(done.targets), 'moving place')}: {FOLDER}/{folder.name}/{done.report.name}"
            )
    return [*(f"{line}." for line in told), *messages]


def _settings(config: SurveyConfig, folder: Path, place: _Place | None) -> OffsetsConfig:
    """Return the settings of offset tracking around a place, or anywhere."""
    fast = config.fast
    try:
        return OffsetsConfig(
            inputs=fast.amplitudes,
            output=folder,
            sensors=fast.amplitude_sensors,
            inventory=None if place is None else config.output / "inventory.gpkg",
            scene=SceneConfig(dem=config.mask.dem, geoid=fast.geoid, area=None if place is None else place.area),
            match=MatchConfig(min_days=fast.amplitude_days, days_of=fast.amplitude_days_of),
        )
    except ValidationError as error:
        raise SettingError(f"--amplitude-days-of: {explain(error).partition(': ')[2]}") from error


def _places(targets: Sequence[Target], margin: float) -> Iterator[_Place]:
    """Lay boxes around targets, with ground that stands still; those that overlap become one."""
    boxes: list[tuple[Polygon, tuple[str, ...]]] = [
        (_around(t, margin), (t.id,)) for t in sorted(targets, key=lambda t: t.id)
    ]
    while boxes:
        area, names = boxes.pop(0)
        near = [k for k, (other, _) in enumerate(boxes) if other.intersects(area)]
        if near:
            joined = box(*unary_union([area, *(boxes[k][0] for k in near)]).bounds)
            together = sorted({*names, *(name for k in near for name in boxes[k][1])})
            boxes = [(joined, tuple(together)), *(b for k, b in enumerate(boxes) if k not in near)]
        else:
            west, south, east, north = area.bounds
            yield _Place((west, south, east, north), names)


def _around(target: Target, margin: float) -> Polygon:
    """Return the box of a target as phase has seen it, grown by a margin or by its own size, on round degrees."""
    seen: list[Polygon | MultiPolygon] = [d.polygon for d in target.detections if d.window != OFFSETS]
    west, south, east, north = unary_union(seen or [target.geometry]).bounds
    shrink = math.cos(math.radians((south + north) / 2))
    size = max((east - west) * shrink, north - south) * _METRES_PER_DEGREE
    up = max(margin, size) / _METRES_PER_DEGREE
    across = up / shrink
    low = [_ROUNDED * math.floor(v / _ROUNDED) for v in (west - across, south - up)]
    high = [_ROUNDED * math.ceil(v / _ROUNDED) for v in (east + across, north + up)]
    return box(round(low[0], 2), round(low[1], 2), round(high[0], 2), round(high[1], 2))
