"""The inventory in the forms that other programs read."""

from groundshift.export.geojson import export_geojson
from groundshift.export.mintpy import export_mintpy
from groundshift.export.postgis import PostgisError, Server, Upserted, export_postgis, parse_url
from groundshift.export.shapefile import FIELDS, export_shapefile
from groundshift.export.stac import StacAsset, export_stac
from groundshift.export.tables import export_series

__all__ = [
    "FIELDS",
    "PostgisError",
    "Server",
    "StacAsset",
    "Upserted",
    "export_geojson",
    "export_mintpy",
    "export_postgis",
    "export_series",
    "export_shapefile",
    "export_stac",
    "parse_url",
]
