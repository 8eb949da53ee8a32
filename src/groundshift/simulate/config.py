"""What a simulated scene is made from."""

import math
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pyproj import CRS
from pyproj.exceptions import CRSError

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.simulate.decay import Decay
from groundshift.types import LookGeometry

__all__ = ["SceneConfig"]

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SceneConfig(BaseModel):
    """All that a simulated scene is made from. Ranges are (low, high) and drawn from uniformly unless said."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seed: int = Field(0, ge=0)
    """Seed of all that is drawn; the same seed makes the same scene."""
    shape: tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]] = (300, 400)
    """Rows and columns."""
    pixel_m: Positive = 40.0
    """Pixel size, metres."""
    crs: str = "EPSG:32647"
    """A projected system in metres."""
    longitude: float = Field(101.9, ge=-180, le=180)
    """Centre of the scene, degrees east."""
    latitude: float = Field(30.9, ge=-80, le=80)
    """Centre of the scene, degrees north."""

    start: date = date(2018, 1, 5)
    """First acquisition, YYYY-MM-DD."""
    n_dates: int = Field(60, ge=2)
    """Acquisitions planned, the missing ones included."""
    interval_days: int = Field(12, ge=1)
    """Days from one planned acquisition to the next."""
    gap_share: Share = 0.05
    """Share of the planned acquisitions that are missing; the first and the last never are."""
    max_days: int = Field(36, ge=1)
    """Every two dates at most so many days apart make a pair."""

    wavelength_m: Positive = SENTINEL1_WAVELENGTH
    """Radar wavelength, metres."""
    heading: float = Field(190.0, ge=-360, le=360)
    """Flight direction, degrees clockwise from north: about 190 descending, 350 ascending."""
    incidence: float = Field(39.0, gt=0, lt=80)
    """Angle between the line of sight and the vertical, degrees."""
    right_looking: bool = True
    """Side the antenna looks to."""
    slant_range_m: Positive = 850_000.0
    """Distance to the satellite, metres."""
    baseline_sigma_m: NotNegative = 60.0
    """Scatter of the perpendicular baselines of the dates, metres."""

    max_slope: float = Field(40.0, gt=0, lt=80)
    """Degrees that 97 % of the ground stay below."""
    base_height_m: float = 1900.0
    """Height of the lowest ground, metres."""
    n_slides: int = Field(12, ge=0)
    """Slides in the scene."""
    speed_mm_yr: Range = (20.0, 160.0)
    """Peak speed along the slope, mm/yr, log-uniform. The line of sight keeps 0 to 0.9 of it."""
    length_m: Positive = 700.0
    """Median length of the slides, metres, lognormal."""
    length_spread: NotNegative = 0.45
    """Standard deviation of the logarithm of the length."""
    seasonal_share: Share = 0.3
    """Share of the slides that move with the seasons."""
    accelerating_share: Share = 0.2
    """Share of the slides that speed up."""
    seasonal_amplitude: Range = (0.4, 1.0)
    """Relative to the mean speed; above 1 the slide also moves back within the year."""

    snow: bool = True
    """Snow on high ground in winter."""
    glaciers: bool = True
    """Glaciers on the highest ground."""
    dem_error_m: NotNegative = 7.0
    """Standard deviation of the DEM error, metres."""
    dem_error_correlation_m: Range = (60.0, 200.0)
    """Distance over which the DEM error is alike, metres."""
    turbulence_rad: Range = (1.0, 2.0)
    """Standard deviation of the difference between points 10 km apart, on one date, radians."""
    turbulence_exponent: Range = (8 / 3, 11 / 3)
    """Of the two-dimensional power spectrum."""
    stratified_rad_per_km: NotNegative = 1.0
    """Scatter over the dates of the delay that goes with height, radians per km."""
    stratified_annual_rad_per_km: NotNegative = 0.5
    """Its yearly course, radians per km."""

    bare: Decay = Decay(initial=0.99, final=0.5, tau_days=150.0)
    forest: Decay = Decay(initial=0.92, final=0.12, tau_days=35.0)
    glacier: Decay = Decay(initial=0.6, final=0.05, tau_days=12.0)
    forest_share: Share = 0.4
    """Share of the ground under forest."""
    summer_loss: Share = 0.7
    """Share of its coherence that forest loses in mid-July; bare ground loses two thirds as much."""
    looks: float = Field(6.0, gt=1)
    """Independent looks in a pixel."""
    coherence_window: int = Field(3, ge=1)
    """Coherence is estimated over so many pixels squared; odd."""

    @field_validator(
        "speed_mm_yr", "seasonal_amplitude", "dem_error_correlation_m", "turbulence_rad", "turbulence_exponent"
    )
    @classmethod
    def _check_range(cls, value: Range) -> Range:
        if not 0 <= value[0] <= value[1] < math.inf:
            raise ValueError(f"must be (low, high) with 0 <= low <= high, instead got {value}")
        return value

    @field_validator("crs")
    @classmethod
    def _check_crs(cls, value: str) -> str:
        try:
            crs = CRS.from_user_input(value)
        except CRSError as error:
            raise ValueError(f"must be a coordinate system, instead got {value!r}") from error
        if not crs.is_projected or crs.axis_info[0].unit_conversion_factor != 1:
            raise ValueError(f"must be a projected coordinate system in metres, instead got {value!r}")
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> "SceneConfig":
        if self.coherence_window % 2 == 0:
            raise ValueError(f"coherence_window must be odd, instead got {self.coherence_window}")
        if self.speed_mm_yr[0] == 0 or self.dem_error_correlation_m[0] == 0:
            raise ValueError("speed_mm_yr and dem_error_correlation_m must be above 0")
        if self.max_days < self.interval_days:
            raise ValueError(f"max_days must be at least interval_days ({self.interval_days}), got {self.max_days}")
        if self.seasonal_share + self.accelerating_share > 1:
            raise ValueError("seasonal_share and accelerating_share must not add up to more than 1")
        return self

    @property
    def look(self) -> LookGeometry:
        """How the satellite looks."""
        return LookGeometry(self.heading, self.incidence, self.right_looking)
