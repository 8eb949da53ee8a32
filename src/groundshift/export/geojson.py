"""Targets as GeoJSON (RFC 7946): longitude and latitude, outer rings counterclockwise, cut at the date line."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely

from groundshift.inventory import Target
from groundshift.inventory.columns import TARGET_COLUMNS, column_arrays, target_rows
from groundshift.io.atomic import atomic_path

__all__ = ["export_geojson"]

_write: Any = pyogrio.raw.write  # it carries no types


def export_geojson(path: Path, targets: Sequence[Target]) -> None:
    """Write targets as a GeoJSON feature collection, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in `.geojson`.
    targets : sequence of Target
        One feature each; may be empty. The feature's id is that of the target, its properties the other columns of the
        layer `targets` (docs/inventory.md): dates as YYYY-MM-DD, unknown values as null.

    Raises
    ------
    ValueError
        If `path` does not end in `.geojson`.
    OutputError
        If it cannot be written.

    Notes
    -----
    Coordinates have seven decimals, about a centimetre.
    """
    path = Path(path)
    if path.suffix.lower() != ".geojson":
        raise ValueError(f"path must end in .geojson, instead got {path}")
    sink = io.BytesIO()
    _write(
        sink,
        np.array([shapely.to_wkb(t.geometry) for t in targets], object),
        column_arrays(TARGET_COLUMNS, target_rows(targets)),
        [column.name for column in TARGET_COLUMNS],
        layer="targets",
        driver="GeoJSON",
        geometry_type="Unknown",
        crs="EPSG:4326",
        RFC7946="YES",
        ID_FIELD="id",
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(sink.getbuffer())
