"""A survey as a STAC item, so that a catalogue finds it by place and time and knows its files."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pystac
from shapely import MultiPolygon, Polygon, orient_polygons, to_geojson

from groundshift.errors import OutputError
from groundshift.io.atomic import write_text

__all__ = ["StacAsset", "export_stac"]


@dataclass(frozen=True)
class StacAsset:
    """A file of the survey."""

    name: str
    """Key of the asset, unique in the item."""
    path: Path
    title: str
    media_type: str
    roles: tuple[str, ...]
    unit: str = ""
    """Of its values, for a map."""


def export_stac(
    path: Path,
    *,
    name: str,
    area: Polygon | MultiPolygon,
    first_date: date,
    last_date: date,
    written: datetime,
    assets: Sequence[StacAsset],
    facts: Mapping[str, Any],
) -> None:
    """Write a survey as a STAC 1.1 item, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in `.json`. Files are named relative to its folder.
    name : str
        Identity of the item.
    area : polygon
        Ground that was surveyed, in longitude and latitude; not empty.
    first_date, last_date : date
        Of the acquisitions.
    written : datetime
        When the survey was made; without a time zone it is taken as UTC.
    assets : sequence of StacAsset
        Files, each under a name of its own.
    facts : mapping
        What else is told of the survey, under names that begin with `groundshift:`.

    Raises
    ------
    ValueError
        If `path` does not end in `.json`, or `area` is empty.
    OutputError
        If it cannot be written, or a file of that name is something else than a STAC item.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        raise ValueError(f"path must end in .json, instead got {path}")
    if area.is_empty:
        raise ValueError("area must not be empty")
    _check_replaceable(path)
    made = written.replace(tzinfo=written.tzinfo or UTC).astimezone(UTC)
    item = pystac.Item(
        id=name,
        geometry=json.loads(to_geojson(orient_polygons(area))),
        bbox=list(area.bounds),
        datetime=None,
        start_datetime=datetime.combine(first_date, time.min, UTC),
        end_datetime=datetime.combine(last_date, time.max.replace(microsecond=0), UTC),
        properties={
            "title": f"Moving ground, {first_date} to {last_date}",
            "description": "Ground that moves by itself, found by Groundshift in stacks of radar interferograms.",
            "created": f"{made:%Y-%m-%dT%H:%M:%SZ}",
            **facts,
        },
    )
    for asset in assets:
        item.add_asset(
            asset.name,
            pystac.Asset(
                href=Path(os.path.relpath(asset.path.resolve(), path.resolve().parent)).as_posix(),
                title=asset.title,
                media_type=asset.media_type,
                roles=list(asset.roles),
                extra_fields={"unit": asset.unit} if asset.unit else {},
            ),
        )
    write_text(path, json.dumps(item.to_dict(include_self_link=False), ensure_ascii=False, indent=1) + "\n")


def _check_replaceable(path: Path) -> None:
    """Keep other JSON, such as the provenance of a survey, from being written over."""
    if not path.exists():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        item = isinstance(found, dict) and "stac_version" in found
    except (OSError, ValueError):
        item = False
    if not item:
        raise OutputError(f"{path}: no STAC item and would be replaced; choose another name")
