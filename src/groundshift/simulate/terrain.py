"""Mountains to put slides on: fractal heights with valleys and rivers, slope, aspect, layover and shadow.

Arrays are (y, x), rows from north to south and columns from west to east; angles in degrees.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from groundshift.simulate.atmosphere import power_law_fields
from groundshift.types import LookGeometry

__all__ = ["Terrain", "height_gradient", "make_terrain", "range_slope"]

_VALLEY_SPACING_M = 4500.0
"""Mean distance between valleys along a straight line."""
_FLOOR = 0.06
"""Rounding of the valley floor, in standard deviations of that field."""
_RIVER_HALF_WIDTH_M = 35.0
_STEEPEST_PERCENTILE = 97.0


class Terrain(NamedTuple):
    """Heights and what follows from them, each (y, x)."""

    heights: NDArray[np.float32]
    """Metres."""
    slope: NDArray[np.float32]
    """Degrees from the horizontal."""
    river: NDArray[np.bool_]


def make_terrain(
    shape: tuple[int, int], pixel_m: float, max_slope: float, base_height_m: float, rng: np.random.Generator
) -> Terrain:
    """Draw a mountain landscape cut by valleys.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    pixel_m : float
        Pixel size in metres.
    max_slope : float
        Degrees that all but 3 pixels in 100 stay below.
    base_height_m : float
        Height of the lowest pixel.
    rng : numpy Generator
        Source of randomness.

    Notes
    -----
    Valleys are the zero lines of a smooth random field, whose absolute value is the height: round ridges, V-shaped
    valleys that join. Fractal detail (power spectrum k^-3.4) grows with the height above the valley.
    """
    # Smoothed white noise of this scale crosses zero once in a valley spacing.
    scale = _VALLEY_SPACING_M / (math.pi * math.sqrt(2) * pixel_m)
    margin = math.ceil(4 * scale)
    coarse = gaussian_filter(rng.standard_normal((shape[0] + 2 * margin, shape[1] + 2 * margin)), scale)
    coarse = (coarse / coarse.std())[margin:-margin, margin:-margin]
    detail, _, _ = power_law_fields(shape, pixel_m, 3.4, rng, outer_m=2 * _VALLEY_SPACING_M)
    detail = gaussian_filter(detail, 50.0 / pixel_m)
    detail -= gaussian_filter(detail, _VALLEY_SPACING_M / 3 / pixel_m)
    detail /= detail.std()
    above = np.sqrt(coarse**2 + _FLOOR**2)
    # Ridges are rough, valley floors smooth.
    relief = above + 0.3 * detail * np.minimum(above, 1.0)
    steep = np.percentile(np.hypot(*height_gradient(relief, pixel_m)), _STEEPEST_PERCENTILE)
    relief *= math.tan(math.radians(max_slope)) / steep
    heights = (relief - relief.min() + base_height_m).astype(np.float32)
    distance = np.abs(coarse) / np.maximum(np.hypot(*height_gradient(coarse, pixel_m)), 1e-9)
    # A river is at least as wide as what one pixel shows of it.
    river = distance < max(_RIVER_HALF_WIDTH_M, 0.5 * pixel_m)
    slope = np.degrees(np.arctan(np.hypot(*height_gradient(heights, pixel_m))))
    return Terrain(heights, slope.astype(np.float32), river)


def height_gradient(heights: NDArray[np.floating], pixel_m: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the rise towards east and towards north, metres per metre."""
    south, east = np.gradient(np.asarray(heights, np.float32), np.float32(pixel_m))
    return np.asarray(east), np.asarray(-south)


def range_slope(heights: NDArray[np.floating], pixel_m: float, look: LookGeometry) -> NDArray[np.float32]:
    """Return the slope towards the radar in degrees: positive where the ground rises away from the satellite.

    Layover is where it exceeds the incidence angle, shadow where it is below the incidence angle minus 90.
    """
    east, north = height_gradient(heights, pixel_m)
    to_east, to_north, _ = look.to_satellite
    sine = math.sin(math.radians(look.incidence))
    return np.degrees(np.arctan(-(east * to_east + north * to_north) / sine)).astype(np.float32)
