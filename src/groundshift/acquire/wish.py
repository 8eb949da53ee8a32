"""What is asked for, and what of it a service must know."""

import hashlib
from datetime import date
from functools import cached_property
from typing import Literal

import shapely
from pydantic import BaseModel, ConfigDict
from shapely.geometry.base import BaseGeometry

from groundshift.pairs import PairMode

__all__ = ["Looks", "Product", "Wish"]

Product = Literal["hyp3-burst", "opera-cslc"]
"""Interferograms of single bursts by HyP3, or images of single bursts by OPERA."""
Looks = Literal["20x4", "10x2", "5x1"]
"""In range and azimuth, as HyP3 names them."""


class Wish(BaseModel):
    """What is asked for of one track."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: str
    """Well-known text, degrees, longitude first."""
    start: date
    end: date
    """Both dates are included."""
    track: int
    """Relative orbit."""
    direction: Literal["ascending", "descending"] | None = None
    product: Product
    looks: Looks | None
    """Of interferograms; None for images."""
    max_days: int = 36
    pair_mode: PairMode = "all"
    nearest: int = 3

    @cached_property
    def geometry(self) -> BaseGeometry:
        """The area."""
        return shapely.from_wkt(self.area)

    @property
    def run_name(self) -> str:
        """What the jobs of a run are called: the same for one area, track and looks, whatever the dates."""
        text = f"{self.geometry.normalize().wkt} {self.looks or self.product}"
        return f"groundshift-T{self.track:03d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
