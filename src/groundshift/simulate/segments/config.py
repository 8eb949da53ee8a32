"""What zones of fast slides are drawn from."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ZoneConfig"]

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


class ZoneConfig(BaseModel):
    """Ranges (low, high) and shares that zones are drawn from."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    shape: tuple[Annotated[int, Field(ge=96, le=1024)], Annotated[int, Field(ge=96, le=1024)]] = (256, 256)
    """Rows and columns of working pixels, the cells of looks that an interferogram is averaged over."""
    pixel_m: Annotated[float, Field(ge=10, le=60)] = 26.0
    """Working pixel, metres: 8 x 2 looks of Sentinel-1 on the ground."""
    pixel_deg: Annotated[float, Field(ge=5e-5, le=1e-3)] = 1.315e-4
    """Pixel of the maps and patches, degrees of longitude and latitude."""
    dates: Annotated[int, Field(ge=4, le=60)] = 20
    """Acquisitions, from 2 July 2018 on."""
    interval_days: Annotated[int, Field(ge=1, le=48)] = 6
    """Days between them; pairs are one, two and three of these apart."""
    slides: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (50, 110)
    """Slides of 100 km2, log-uniform."""
    velocity_mm_yr: Range = (120.0, 1500.0)
    """Peak velocity of slides in the line of sight while they move, log-uniform."""
    length_m: Range = (250.0, 1500.0)
    """Length of slides."""
    steady_share: Share = 0.4
    """Share of the slides that never stop."""
    wooded: Range = (0.0, 0.6)
    """Factor on how wooded the land is: what moves so fast lies high."""
    looks: Range = (6.0, 14.0)
    """Independent looks of a working pixel."""
    goldstein: Range = (0.6, 1.0)
    """Strength of the filter after Goldstein."""

    @model_validator(mode="after")
    def _check(self) -> "ZoneConfig":
        for name in ("slides", "velocity_mm_yr", "length_m", "wooded", "looks", "goldstein"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} must be (low, high) with 0 <= low <= high, instead got ({low}, {high})")
        if (
            min(self.velocity_mm_yr[0], self.length_m[0], self.looks[0]) == 0
            or max(self.wooded[1], self.goldstein[1]) > 1
        ):
            raise ValueError(
                "velocity_mm_yr, length_m and looks must begin above 0, wooded and goldstein end at 1 at most"
            )
        return self
