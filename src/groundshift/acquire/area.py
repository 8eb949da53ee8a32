"""The area of interest: text, a box, or a vector file, as a geometry in longitude and latitude."""

import re
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError

__all__ = ["read_area"]

_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".zip", ".kml", ".fgb")
_BOX = re.compile(r"[-+.\deE\s]+(,[-+.\deE\s]+){3}")
_WKT = re.compile(r"\s*(multi)?(point|linestring|polygon)|\s*geometrycollection", re.IGNORECASE)


def read_area(text: str) -> BaseGeometry:
    """Read an area of interest.

    Parameters
    ----------
    text : str
        Well-known text, a box `W,S,E,N` in degrees (W larger than E crosses the date line), or the path of a vector
        file (GeoPackage, GeoJSON, Shapefile), whose coordinate system is taken into account.

    Returns
    -------
    geometry
        In degrees, longitude first; valid, and beyond 180 where it crosses the date line.

    Raises
    ------
    ValueError
        If `text` is none of these, or does not lie on Earth.
    MissingFileError, DamagedFileError, NoDataError
        If a file is not there, cannot be read, does not tell its coordinate system, or is empty.

    Examples
    --------
    >>> read_area("101.5,30.5,102,31").bounds
    (101.5, 30.5, 102.0, 31.0)
    >>> read_area("179,-17,-179,-16").bounds
    (179.0, -17.0, 181.0, -16.0)
    """
    path = Path(text)
    if _BOX.fullmatch(text):
        area = _box(text)
    elif _WKT.match(text):
        try:
            area = shapely.from_wkt(text)
        except shapely.GEOSException as error:
            raise ValueError(f"expected well-known text, instead got {_shown(text)}") from error
    elif path.suffix.lower() in _SUFFIXES or path.exists():
        area = _vector(path)
    else:
        raise ValueError(f"expected well-known text, W,S,E,N or a vector file, instead got {_shown(text)}")
    if area.is_empty:
        raise ValueError(f"expected an area, instead got the empty {_shown(text)}")
    west, south, east, north = area.bounds
    if not (-180 <= west <= 180 and west <= east <= west + 360 and -90 <= south <= north <= 90):
        raise ValueError(
            f"expected degrees, longitude before latitude, instead got {west:g} to {east:g} and {south:g} to {north:g}"
        )
    return shapely.make_valid(shapely.force_2d(area))


def _box(text: str) -> BaseGeometry:
    """Read `W,S,E,N`."""
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"expected four numbers W,S,E,N, instead got {_shown(text)}") from None
    if south >= north or west == east:
        raise ValueError(f"expected W,S,E,N with S below N and W not E, instead got {_shown(text)}")
    return shapely.box(west, south, east if west < east else east + 360, north)


def _vector(path: Path) -> BaseGeometry:
    """Read all geometries of a vector file."""
    from pyogrio import read_dataframe  # noqa: PLC0415  (slow to load, and a box needs none)
    from pyogrio.errors import DataLayerError, DataSourceError  # noqa: PLC0415

    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling of the area")
    try:
        frame = read_dataframe(path)  # type: ignore[no-untyped-call]
    except (DataSourceError, DataLayerError, ValueError, OSError) as error:
        raise DamagedFileError(f"{path}: not a vector file that can be read; give GeoPackage or GeoJSON") from error
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)]
    if frame.empty:
        raise NoDataError(f"{path}: no geometry in it; draw the area of interest")
    if frame.crs is None:
        raise DamagedFileError(f"{path}: no coordinate system; assign one with ogr2ogr -a_srs")
    return shapely.union_all(frame.to_crs("EPSG:4326").geometry.make_valid().to_numpy())


def _shown(text: str) -> str:
    """Write a value for a message, shortened."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
