"""The target: a place that moves, with the evidence for it."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from shapely import MultiPolygon, Polygon

from groundshift.detect.detection import Detection

__all__ = ["Behaviour", "Kind", "Review", "Target"]

Kind = Literal["landslide", "subsidence", "uplift", "unknown"]
Behaviour = Literal["steady", "seasonal", "accelerating", "decelerating", "unclear"]
Review = Literal["unreviewed", "confirmed", "rejected"]


@dataclass(frozen=True)
class Target:
    """A place that moves: detections merged into one polygon with a stable identity.

    Fields are those of the layer `targets` (docs/inventory.md); None means not known. Velocities are in mm/yr,
    positive towards the satellite (LOS) or down the slope; angles in degrees; the polygon is in EPSG:4326.
    """

    id: str
    geometry: Polygon | MultiPolygon
    kind: Kind
    score: float
    detections: tuple[Detection, ...]
    first_seen: date
    last_seen: date
    area_m2: float
    velocity_los_mm_yr: float
    velocity_sigma_mm_yr: float
    mean_coherence: float
    n_pairs: int
    velocity_slope_mm_yr: float | None = None
    slope_deg: float | None = None
    aspect_deg: float | None = None
    behaviour: Behaviour = "unclear"
    review: Review = "unreviewed"
    note: str = ""

    @property
    def tracks(self) -> tuple[str, ...]:
        """Tracks it was seen from, sorted."""
        return tuple(sorted({d.track for d in self.detections}))

    @property
    def evidence(self) -> tuple[str, ...]:
        """Which maps, seasons and detectors saw it: `track/window/detector/direction+direction`, sorted."""
        return tuple(
            sorted({f"{d.track}/{d.window}/{d.detector}/{'+'.join(d.directions)}" for d in self.detections})
        )
