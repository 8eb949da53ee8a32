"""Terrain, the radar's view of it, and the way between radar pixels and the map."""

from groundshift.geometry.average import average_known
from groundshift.geometry.geocode import geocode, map_grid_for, ring_to_lonlat
from groundshift.geometry.layover import layover_shadow
from groundshift.geometry.locate import pixels_within
from groundshift.geometry.terrain import (
    DownslopeVelocity,
    SlopeAspect,
    downslope_sensitivity,
    downslope_velocity,
    mean_slope_aspect,
    slope_aspect,
)

__all__ = [
    "DownslopeVelocity",
    "SlopeAspect",
    "average_known",
    "downslope_sensitivity",
    "downslope_velocity",
    "geocode",
    "layover_shadow",
    "map_grid_for",
    "mean_slope_aspect",
    "pixels_within",
    "ring_to_lonlat",
    "slope_aspect",
]
