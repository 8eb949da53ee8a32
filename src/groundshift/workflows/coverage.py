"""The ground that a survey covers."""

from collections.abc import Sequence

import numpy as np
from shapely import MultiPolygon, Polygon, unary_union

from groundshift.geometry import ring_to_lonlat
from groundshift.inventory import geodesic_area_m2
from groundshift.types import Grid

__all__ = ["area_km2", "cell_km", "footprint", "united"]


def united(shapes: Sequence[Polygon]) -> Polygon | MultiPolygon:
    """Unite the footprints of all tracks."""
    found = unary_union(shapes)
    return found if isinstance(found, Polygon | MultiPolygon) else Polygon()


def footprint(grid: Grid) -> Polygon:
    """Return the outline of a grid in longitude and latitude, no larger than its convex hull."""
    height, width = grid.shape
    rows, columns = np.linspace(-0.5, height - 0.5, 25), np.linspace(-0.5, width - 0.5, 25)
    y = np.concatenate([np.full(25, -0.5), rows, np.full(25, height - 0.5), rows[::-1]])
    x = np.concatenate([columns, np.full(25, width - 0.5), columns[::-1], np.full(25, -0.5)])
    hull = Polygon(ring_to_lonlat(y, x, grid)).convex_hull
    return hull if isinstance(hull, Polygon) else Polygon()


def area_km2(shape: Polygon | MultiPolygon) -> float:
    """Area on the ellipsoid."""
    return geodesic_area_m2(shape) / 1e6


def cell_km(shape: Polygon | MultiPolygon) -> float:
    """Pixel of the density map: a hundredth of the side of the surveyed area, between 0.05 and 1 km."""
    return float(np.clip(np.sqrt(area_km2(shape)) / 100, 0.05, 1.0))
