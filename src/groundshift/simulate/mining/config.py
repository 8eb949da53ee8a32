"""What interferograms over mines are drawn from."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["MiningConfig"]

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


class MiningConfig(BaseModel):
    """Ranges (low, high) and shares that scenes over mines are drawn from."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    shape: tuple[Annotated[int, Field(ge=32)], Annotated[int, Field(ge=32)]] = (128, 128)
    """Rows and columns."""
    scenes: int = Field(8, ge=1)
    """Scenes in a batch."""
    dates: int = Field(3, ge=2)
    """Acquisitions; pairs are made of any two."""
    interval_days: int = Field(12, ge=1)
    """Between acquisitions."""
    bowls: tuple[int, int] = (0, 4)
    """Bowls in a scene, evenly drawn."""
    panel_share: Share = 0.4
    """Share of the bowls that wander along a panel while it is mined; the others sink where they are."""
    uplift_share: Share = 0.25
    """Share of the scenes in which all bowls rise instead."""
    peak_rad: Range = (0.5, 80.0)
    """Largest phase of a bowl between the first date and the last, log-uniform."""
    sigma_pixels: Range = (2.5, 40.0)
    """Standard deviation of a bowl before it is distorted, log-uniform along either axis."""
    distortion_pixels: Range = (0.0, 12.0)
    """Lengths of the vectors that distort a bowl, cut at 0.6 of its smaller standard deviation."""
    turbulence_rad: Range = (0.0, 2.0)
    """Amplitude of the turbulence of a date."""
    ramp_rad: Range = (0.0, 8.0)
    """Across the scene, of a date."""
    terrain_rad: Range = (0.0, 1.5)
    """Amplitude of terrain that was not taken out, of a pair of neighbouring dates."""
    coherence: Range = (0.25, 0.97)
    """Of a pair of neighbouring dates without strain, a mean for each scene; less where memory is too short for it."""
    memory_days: Range = (20.0, 300.0)
    """Time in which coherence falls to 1/e, log-uniform."""
    looks: Range = (2.0, 24.0)
    """Independent looks in a pixel, log-uniform."""
    water_share: Share = 0.3
    """Share of the scenes with water: lakes, or rivers."""
    patch_share: Share = 0.4
    """Share of the scenes with woods or fields that lose coherence and have sharp edges."""

    @model_validator(mode="after")
    def _check(self) -> "MiningConfig":
        for name, limits in self:
            if isinstance(limits, tuple) and name != "shape" and not 0 <= limits[0] <= limits[1]:
                raise ValueError(f"{name} must be (low, high) with 0 <= low <= high, instead got {limits}")
        for name in ("peak_rad", "sigma_pixels", "memory_days"):
            if getattr(self, name)[0] == 0:
                raise ValueError(f"{name} must be above 0, instead got {getattr(self, name)}")
        if self.looks[0] < 1:
            raise ValueError(f"looks must be at least 1, instead got {self.looks}")
        if self.coherence[1] > 1:
            raise ValueError(f"coherence must be at most 1, instead got {self.coherence}")
        return self
