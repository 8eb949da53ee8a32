"""What interferograms like those of ALOS are drawn from, with landslides slow enough to show fringes over months."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from groundshift.simulate.batched.config import BatchConfig

__all__ = ["FringeConfig"]

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


class FringeConfig(BaseModel):
    """Ranges (low, high) and shares that interferograms with fringes of landslides are drawn from."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    side: Annotated[int, Field(ge=150)] = 480
    """Rows and columns of a scene, pixels."""
    pixel_m: Annotated[float, Field(gt=0)] = 28.0
    """Pixel, metres."""
    wavelength_m: Annotated[float, Field(gt=0)] = 0.236
    """Radar wavelength, metres: L band."""
    interval_days: Annotated[int, Field(ge=1)] = 46
    """Days between planned acquisitions."""
    dates: Annotated[int, Field(ge=5)] = 8
    """Acquisitions of a scene."""
    longest_days: tuple[Annotated[int, Field(ge=1)], ...] = (138, 368, 736)
    """Longest pair, one drawn for a scene."""
    pairs: Annotated[int, Field(ge=1)] = 8
    """Interferograms of a scene."""
    slides: tuple[int, int] = (3, 16)
    """Slides of a scene of 100 km2, scaled to its area; of each scene drawn anew."""
    velocity_mm_yr: Range = (25.0, 300.0)
    """Peak long-term velocity of slides in the line of sight, log-uniform."""
    length_m: Range = (450.0, 2500.0)
    """Length of slides."""
    least_phase_rad: Annotated[float, Field(gt=0)] = 1.2
    """A slide is a candidate in a pair in which a twentieth of it moves by this phase or more."""
    least_area_km2: Annotated[float, Field(gt=0)] = 0.16
    """And that is as large as this; the smallest candidate of Kamiyama et al. (2018)."""
    least_coherence: Share = 0.3
    """And as coherent as this on average."""
    ramp_rad: Annotated[float, Field(ge=0)] = 6.0
    """Scatter of what wrong orbits leave across a scene on a date."""
    ionosphere_share: Share = 0.35
    """Share of the dates with stripes of the ionosphere."""
    ionosphere_rad: Range = (0.5, 6.0)
    """Difference that such stripes make over 10 km."""

    @model_validator(mode="after")
    def _check(self) -> "FringeConfig":
        for name in ("slides", "velocity_mm_yr", "length_m", "ionosphere_rad"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be (low, high) with 0 <= low <= high, instead got ({low}, {high})")
        if not self.longest_days:
            raise ValueError("longest_days must name one length at least")
        return self

    @property
    def batch(self) -> BatchConfig:
        """What ground, air and decorrelation of one scene are drawn from."""
        return BatchConfig(
            shape=(self.side, self.side), scenes=1, pixel_m=(self.pixel_m, self.pixel_m), coarse_share=0,
            radar_share=0, dates=(self.dates, self.dates), intervals_days=(self.interval_days,),
            pairs=(max(8, self.pairs), max(8, self.pairs)), max_days=self.longest_days,
            wavelengths_m=(self.wavelength_m,), slides=self.slides, velocity_mm_yr=self.velocity_mm_yr,
            length_m=self.length_m,
        )  # fmt: skip
