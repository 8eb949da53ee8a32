"""Layers of a GeoPackage as columns: writing and reading them with exact types and nulls."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from groundshift.errors import DamagedFileError, MissingFileError, UnknownFormatError
from groundshift.inventory.columns import DTYPES, Column

__all__ = ["OGR_ERRORS", "check_version", "has_layer", "read_layer", "stamp_version", "write_layer"]

OGR_ERRORS = (CRSError, DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError)
"""What pyogrio raises on files."""

# pyogrio carries no types.
_read: Any = pyogrio.raw.read
_write: Any = pyogrio.raw.write

_VERSION_TABLE = "groundshift_schema"


def write_layer(
    path: Path,
    layer: str,
    columns: Sequence[Column],
    arrays: Sequence[NDArray[Any]],
    geometries: Sequence[shapely.Geometry] | None = None,
    *,
    geometry_type: str = "MultiPolygon",
) -> None:
    """Add a layer to a GeoPackage, creating the file if need be; without geometries a table of attributes.

    Raises
    ------
    one of OGR_ERRORS
        If the file cannot be written.
    """
    wkb = None if geometries is None else np.array([shapely.to_wkb(g) for g in geometries], object)
    times = {c.name: np.full(len(a), 100, np.int32) for c, a in zip(columns, arrays, strict=True) if c.type == "time"}
    _write(
        path,
        wkb,
        list(arrays),
        [c.name for c in columns],
        layer=layer,
        driver="GPKG",
        geometry_type=None if wkb is None else geometry_type,
        crs=None if wkb is None else "EPSG:4326",
        promote_to_multi=geometry_type.startswith("Multi"),
        # 100 is GDAL's number for UTC.
        gdal_tz_offsets=times,
    )


def stamp_version(path: Path, version: int) -> None:
    """Note the version of the schema in a GeoPackage.

    It has a table of its own, which GDAL does not list as a layer: for metadata in GDAL's own place, each reader would
    leave an `.aux.xml` file beside the inventory.

    Raises
    ------
    sqlite3.Error
        If the file cannot be written.
    """
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(f"CREATE TABLE {_VERSION_TABLE} (version INTEGER NOT NULL)")
            connection.execute(f"INSERT INTO {_VERSION_TABLE} VALUES (?)", (version,))
    finally:
        connection.close()


def check_version(path: Path, known: int) -> None:
    """Check that a GeoPackage is whole and of a schema that is known.

    One without a version, such as a copy that a GIS has saved, is taken to be of the known schema.

    Raises
    ------
    MissingFileError
        If it is not there.
    DamagedFileError
        If it is truncated or not a GeoPackage.
    UnknownFormatError
        If it has no layer `targets`, or its schema is newer than `known`.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling or run the survey first")
    version = known
    try:
        # GDAL reads what it can of a damaged file and drops the rest; SQLite tells.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
            layers = {row[0] for row in connection.execute("SELECT table_name FROM gpkg_contents")}
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_VERSION_TABLE,)).fetchone():
                version = int(connection.execute(f"SELECT max(version) FROM {_VERSION_TABLE}").fetchone()[0])
        finally:
            connection.close()
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    if verdict is None or verdict[0] != "ok":
        raise DamagedFileError(f"{path}: the GeoPackage is damaged; restore it from a copy")
    if "targets" not in layers:
        raise UnknownFormatError(f"{path}: no layer 'targets'; give an inventory that Groundshift has written")
    if version > known:
        raise UnknownFormatError(
            f"{path}: written by a newer Groundshift (schema {version}, this one reads up to {known}); "
            "upgrade Groundshift"
        )


def has_layer(path: Path, layer: str) -> bool:
    """Whether a GeoPackage that `check_version` has passed has a layer."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT 1 FROM gpkg_contents WHERE table_name = ?", (layer,)).fetchone() is not None
    finally:
        connection.close()


def read_layer(
    path: Path, layer: str, columns: Sequence[Column]
) -> tuple[dict[str, list[Any]], list[shapely.Geometry | None]]:
    """Read columns of a layer; nulls are None, and so is NaN. Other columns are left out.

    Returns
    -------
    values, geometries
        Python values by column, and one geometry per row (none for a table without them).

    Raises
    ------
    DamagedFileError
        If the layer or a column is missing, a value has the wrong type, or it cannot be read.
    """
    try:
        meta, _, wkb, arrays = _read(path, layer=layer)
        geometries = [] if wkb is None else list(shapely.from_wkb(wkb))
    except (*OGR_ERRORS, shapely.errors.GEOSException, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error
    if wkb is not None and meta["crs"] != "EPSG:4326":
        raise DamagedFileError(f"{path}: layer {layer!r} must be in EPSG:4326, instead got {meta['crs']}; reproject it")
    found = dict(zip(meta["fields"].tolist(), arrays, strict=True))
    values = {}
    for column in columns:
        if column.name not in found:
            raise DamagedFileError(f"{path}: layer {layer!r} has no column {column.name!r}; restore it from a copy")
        values[column.name] = _values(path, layer, column, found[column.name])
    return values, geometries


def _values(path: Path, layer: str, column: Column, array: NDArray[Any]) -> list[Any]:
    """Return a column as Python values."""
    try:
        if column.type == "text":
            return [None if v is None else str(v) for v in array.tolist()]
        if column.type in {"date", "time"}:
            return list(array.astype(DTYPES[column.type]).tolist())
        numbers = array.astype(np.float64)
        kind = int if column.type == "integer" else float
        return [None if np.isnan(v) else kind(v) for v in numbers]
    except (ValueError, TypeError) as error:
        raise DamagedFileError(
            f"{path}: column {column.name!r} of layer {layer!r} must hold {column.type} values; restore it from a copy"
        ) from error


def _damaged(path: Path, error: Exception) -> DamagedFileError:
    """Say in one line that a file cannot be read."""
    reason = " ".join(str(error).split())
    return DamagedFileError(f"{path}: not a readable GeoPackage ({reason}); restore it from a copy")
