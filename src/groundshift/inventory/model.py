"""The target: a place that moves, with the evidence for it; its series; and the runs that found it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from groundshift.checks import check_shape
from groundshift.detect.detection import SINGLE_PAIRS, Detection
from groundshift.timeseries import Behaviour, Event

__all__ = ["Behaviour", "Kind", "Review", "Run", "Target", "TargetEvent", "TargetSeries"]

Kind = Literal["landslide", "subsidence", "uplift", "unknown"]
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
    def is_site(self) -> bool:
        """Whether it shows in single interferograms, as mining subsidence does."""
        return any(d.window == SINGLE_PAIRS for d in self.detections)

    @property
    def evidence(self) -> tuple[str, ...]:
        """Which maps, seasons and detectors saw it: `track/window/detector/direction+direction`, sorted."""
        return tuple(sorted({f"{d.track}/{d.window}/{d.detector}/{'+'.join(d.directions)}" for d in self.detections}))


@dataclass(frozen=True)
class Run:
    """One run that wrote the inventory, a row of the layer `runs`."""

    started: datetime
    """When it began; without a time zone it is taken as UTC."""
    version: str
    """Version of Groundshift."""
    command: str
    tracks: tuple[str, ...]
    first_date: date
    """First acquisition that entered."""
    last_date: date
    """Last acquisition that entered."""
    n_pairs: int
    parameters: str = ""
    """The effective configuration, as text."""


@dataclass(frozen=True)
class TargetEvent:
    """When one target began to move, stopped, or changed its rate, as one track sees it; rows of the table `events`."""

    target: str
    """Identity of the target."""
    track: str
    kind: Event
    day: date
    """As probably later as earlier."""
    early: date
    """Between this day and `late` with a probability of 95 %."""
    late: date
    rate_before_mm_yr: float
    """Positive towards the satellite."""
    rate_after_mm_yr: float


@dataclass(frozen=True, eq=False)
class TargetSeries:
    """How one target has moved along the line of sight of one track, rows of the layer `series`."""

    target: str
    """Identity of the target."""
    track: str
    dates: NDArray[np.datetime64]
    """(date,) in days, ascending."""
    displacement_mm: NDArray[np.float64]
    """(date,) mm since the first date, positive towards the satellite; NaN where unknown."""
    sigma_mm: NDArray[np.float64]
    """(date,) standard error in mm; NaN where unknown."""

    events: tuple[TargetEvent, ...] = ()
    """When it changed its rate, in order of time."""

    def __post_init__(self) -> None:
        shape = (len(self.dates),)
        check_shape("displacement_mm", self.displacement_mm, shape)
        check_shape("sigma_mm", self.sigma_mm, shape)
