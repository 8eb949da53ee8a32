"""What batches of scenes are drawn from: ranges wide enough to hold other people's scenes too."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["BatchConfig"]

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


class BatchConfig(BaseModel):
    """Ranges (low, high) and shares that scenes are drawn from; whatever is not named here is drawn as widely."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    shape: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]] = (256, 256)
    """Rows and columns of working pixels."""
    scenes: int = Field(4, ge=1)
    """Scenes in a batch; they share pixel, dates and pairs."""
    pixel_m: Range = (30.0, 60.0)
    """Working pixel, metres."""
    coarse_share: Share = 0.1
    """Share of the batches with pixels of 80 to 110 m."""
    radar_share: Share = 0.4
    """Share of the scenes in radar geometry, with layover folded in."""
    dates: tuple[int, int] = (18, 120)
    """Acquisitions, log-uniform."""
    intervals_days: tuple[int, ...] = (6, 12, 12, 12, 24)
    """Days between planned acquisitions, one drawn for a batch."""
    pairs: tuple[int, int] = (30, 240)
    """Most pairs of a batch, log-uniform: longer networks are thinned at random."""
    max_days: tuple[int, ...] = (24, 36, 36, 48, 60, 96)
    """Longest pair, one drawn for a batch."""
    wavelengths_m: tuple[float, ...] = (0.0554658, 0.0554658, 0.0554658, 0.0554658, 0.0311, 0.2424525)
    """One drawn for a batch: C, X and L band."""
    slides: tuple[int, int] = (2, 40)
    """Slides of a scene of 100 km2, scaled to its area."""
    velocity_mm_yr: Range = (3.0, 160.0)
    """Peak long-term velocity of slides in the line of sight, log-uniform; either sign."""
    length_m: Range = (150.0, 2500.0)
    """Length of slides: lognormal, median 300 to 900 m (drawn for each scene), cut to this range."""
    quiet_share: Share = 0.12
    """Share of the scenes without any slide."""

    @model_validator(mode="after")
    def _check(self) -> "BatchConfig":
        for name in ("pixel_m", "dates", "pairs", "slides", "velocity_mm_yr", "length_m"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be (low, high) with 0 <= low <= high, instead got ({low}, {high})")
        if self.velocity_mm_yr[0] == 0 or self.dates[0] < 3 or self.pairs[0] < 3:
            raise ValueError("velocity_mm_yr must be above 0, and dates and pairs at least 3")
        return self
