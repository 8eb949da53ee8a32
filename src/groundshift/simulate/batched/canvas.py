"""The periodic plane that one scene is made on: land, what covers it, and what moves on it."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.simulate.batched.fields import Fields, gradient
from groundshift.simulate.batched.radar import Frame
from groundshift.simulate.batched.types import Mover

__all__ = ["Canvas", "Patch"]


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle of the plane around a place; it may reach over the border, where the plane repeats."""

    rows: Tensor
    """(y, 1) index of its rows."""
    columns: Tensor
    """(x,) index of its columns."""
    y: Tensor
    """(y, 1) metres from the place."""
    x: Tensor
    """(1, x) metres from the place."""

    def cut(self, plane: Tensor) -> Tensor:
        """Return its part of a plane."""
        return plane[self.rows, self.columns]

    def put(self, plane: Tensor, values: Tensor) -> None:
        """Write its part of a plane."""
        plane[self.rows, self.columns] = values


@dataclass(eq=False)
class Canvas:
    """What is known of a scene while it is made. Planes are (y, x); movers are numbered from 1 in their order."""

    fields: Fields
    frame: Frame
    tile: tuple[int, int, int, int]
    """First row, first column, rows and columns of the scene on the plane."""
    years: NDArray[np.float64]
    year_fraction: float
    heights: Tensor
    river_m: Tensor
    fall: tuple[Tensor, Tensor]
    """Rise per metre along y and x of the land smoothed as far as a slide feels it."""
    texture: Tensor
    """A field of some hundred metres, variance 1, that makes outlines ragged and speeds uneven."""
    water: Tensor
    """bool: rivers and lakes."""
    fixed_coherence: Tensor
    """As in `Ground`."""
    mover: Tensor
    velocity: Tensor
    movers: list[Mover] = field(default_factory=list)
    courses: list[NDArray[np.float64]] = field(default_factory=list)

    @property
    def pixel_m(self) -> float:
        """Pixel in metres."""
        return self.fields.pixel_m

    @staticmethod
    def on(
        fields: Fields,
        frame: Frame,
        tile: tuple[int, int, int, int],
        dates: tuple[NDArray[np.float64], float],
        land: tuple[Tensor, Tensor],
        smoothing_m: float,
    ) -> "Canvas":
        """Start a scene on land of (heights, distance from rivers), with dates of (years, time of year)."""
        heights, river_m = land
        (smooth,) = fields.blur(heights, smoothing_m)
        return Canvas(
            fields, frame, tile, *dates, heights, river_m, gradient(smooth, fields.pixel_m),
            fields.smooth(max(120.0, 1.5 * fields.pixel_m)),
            torch.zeros(fields.shape, dtype=torch.bool, device=fields.device),
            torch.full(fields.shape, math.nan, device=fields.device),
            torch.zeros(fields.shape, dtype=torch.int64, device=fields.device),
            torch.zeros(fields.shape, device=fields.device),
        )  # fmt: skip

    def patch(self, row: float, column: float, half_m: float) -> Patch:
        """Return the patch of at most the whole plane that reaches `half_m` around a place in pixels."""
        sizes = [min(math.ceil(half_m / self.pixel_m), (n - 1) // 2) for n in self.fields.shape]
        device = self.fields.device
        y = torch.arange(-sizes[0], sizes[0] + 1, device=device) + round(row)
        x = torch.arange(-sizes[1], sizes[1] + 1, device=device) + round(column)
        return Patch(
            (y % self.fields.shape[0])[:, None], x % self.fields.shape[1],
            ((y - row) * self.pixel_m)[:, None], ((x - column) * self.pixel_m)[None, :],
        )  # fmt: skip

    def whole(self) -> Patch:
        """Return the whole plane, around its first pixel."""
        y, x = (torch.arange(n, device=self.fields.device) for n in self.fields.shape)
        return Patch(y[:, None], x, (y * self.pixel_m)[:, None], (x * self.pixel_m)[None, :])

    def add(self, patch: Patch, inside: Tensor, velocity: Tensor, mover: Mover, course: NDArray[np.float64]) -> None:
        """Add a mover whose pixels are `inside`, with its velocity in the line of sight; it wins over earlier ones."""
        self.movers.append(mover)
        self.courses.append(course)
        patch.put(self.mover, torch.where(inside, len(self.movers), patch.cut(self.mover)))
        patch.put(self.velocity, torch.where(inside, velocity, patch.cut(self.velocity)))
