"""Maps around one target: pictures with its outline, a scale bar and a colour scale, ready for the template."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from groundshift.inventory.model import Target
from groundshift.report.content import Patch
from groundshift.report.embedding import data_uri
from groundshift.report.figures import round_length
from groundshift.report.layers import colour_stops, reduce_by, render_layer

__all__ = ["draw_patch", "parts_of", "rings_of"]

_METRES_PER_DEGREE = math.radians(6_371_008.8)


def parts_of(shape: Polygon | MultiPolygon) -> list[Polygon]:
    """Return the polygons of a shape."""
    return list(shape.geoms) if isinstance(shape, MultiPolygon) else [shape]


def rings_of(polygon: Polygon) -> list[NDArray[np.float64]]:
    """Return the outer ring and the holes of a polygon as (n, 2) longitude and latitude."""
    return [np.asarray(ring.coords)[:, :2] for ring in (polygon.exterior, *polygon.interiors)]


def draw_patch(patch: Patch, target: Target, side: int) -> dict[str, Any]:
    """Return one track's maps around a target, as pictures with an outline in metres from the upper left corner."""
    west, south, east, north = patch.bounds
    shrink = max(0.05, math.cos(math.radians((south + north) / 2)))
    width, height = (east - west) * shrink * _METRES_PER_DEGREE, (north - south) * _METRES_PER_DEGREE

    def path(ring: NDArray[np.float64]) -> str:
        x, y = (ring[:, 0] - west) / (east - west) * width, (north - ring[:, 1]) / (north - south) * height
        return "M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in zip(x, y, strict=True)) + "Z"

    pictures = []
    for layer in patch.layers:
        values = reduce_by(layer.values, max(1, math.ceil(max(layer.values.shape) / side)))
        small = replace(layer, values=values)
        pictures.append(
            {
                "layer": layer,
                "uri": data_uri(render_layer(values, small.cmap, small.vmin, small.vmax, indexed=True)),
                "stops": colour_stops(layer.cmap),
            }
        )
    bar = round_length(width / 3)
    return {
        "track": patch.track,
        "width": width,
        "height": height,
        "outline": "".join(path(ring) for part in parts_of(target.geometry) for ring in rings_of(part)),
        "pictures": pictures,
        "bar": bar,
        "bar_text": f"{bar / 1000:g} km" if bar >= 1000 else f"{bar:g} m",
    }
