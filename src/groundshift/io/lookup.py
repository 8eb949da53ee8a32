"""What lookup arrays and angle layers of a radar product tell: pixel size on the ground, and the line of sight."""

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import EARTH_RADIUS
from groundshift.types import LookGeometry

__all__ = ["ground_spacing", "look_from_angles", "wrapped_degrees"]


def ground_spacing(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> tuple[float, float] | None:
    """Measure the pixel size along rows and columns.

    Parameters
    ----------
    longitude, latitude : (y, x) float64 array
        Degrees, NaN where unknown.

    Returns
    -------
    (float, float) or None
        Median distance in metres between neighbours down the middle column and along the middle row; None where
        fewer than two neighbours are known.
    """
    y, x = longitude.shape[0] // 2, longitude.shape[1] // 2
    sizes = (_step(longitude[:, x], latitude[:, x]), _step(longitude[y], latitude[y]))
    return sizes if all(np.isfinite(sizes)) and min(sizes) > 0 else None


def look_from_angles(incidence: NDArray[np.floating], azimuth: NDArray[np.floating]) -> LookGeometry | None:
    """Return the look geometry of a right-looking radar from its line-of-sight layers.

    Parameters
    ----------
    incidence : array
        Degrees from the vertical; values not above 0 mark pixels without data.
    azimuth : array of the same shape
        Direction from the ground to the satellite, degrees from north anticlockwise, as ISCE2 and MintPy write it
        (about 102 for ascending, -102 for descending orbits). The radar looks to the right of the flight, so the
        satellite stands 90 degrees to the left of it as seen from the ground, and heading = 90 - azimuth.
    """
    known = np.isfinite(incidence) & (incidence > 0) & np.isfinite(azimuth)
    if not known.any():
        return None
    # Mean of directions, because an azimuth may cross +-180 degrees within a scene.
    direction = np.degrees(np.angle(np.mean(np.exp(1j * np.radians(azimuth[known].astype(np.float64))))))
    return LookGeometry(wrapped_degrees(90 - float(direction)), float(np.median(incidence[known])))


def wrapped_degrees(angle: float) -> float:
    """Return an angle in [-180, 180)."""
    return (angle + 180) % 360 - 180


def _step(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> float:
    """Return the median distance in metres between consecutive points, NaN where there are none."""
    known = np.isfinite(longitude) & np.isfinite(latitude)
    both = known[1:] & known[:-1]
    if not both.any():
        return float("nan")
    north = np.diff(latitude)[both]
    east = np.diff(longitude)[both] * np.cos(np.radians(latitude[1:][both]))
    return float(np.median(np.hypot(north, east)) * np.radians(1) * EARTH_RADIUS)
