"""What every detector delivers."""

from dataclasses import dataclass

from shapely import Polygon

__all__ = ["OFFSETS", "SINGLE_PAIRS", "Detection"]

SINGLE_PAIRS = "single-pairs"
"""Window of detections that were made on interferograms by themselves, not on stacks."""

OFFSETS = "offsets"
"""Window of detections that were made on the offsets of amplitude images; their detector has the same name."""


@dataclass(frozen=True)
class Detection:
    """One place where one detector saw the ground move, on the maps of one track and one time window.

    `polygon` outlines the moving body in longitude and latitude (EPSG:4326). `velocity` is the line-of-sight velocity
    of the body relative to its surroundings in mm/yr, positive towards the satellite, `velocity_sigma` its standard
    error.
    """

    polygon: Polygon
    score: float
    """0 to 1; 0.5 means even odds."""
    detector: str
    track: str
    window: str
    directions: tuple[str, ...]
    """The gradient maps that carry the evidence, such as ("azimuth", "range")."""
    velocity: float
    velocity_sigma: float
    significance: float
    """Of the weaker patch of the polarity pair, in standard errors; half that of the stronger one where that is
    more, if a network found it."""
    mean_coherence: float
    n_pairs: int
    slope: float | None = None
    """Mean terrain slope inside the polygon in degrees, None without heights."""
    aspect: float | None = None
    """Direction the slope faces, degrees clockwise from north, None without heights."""
