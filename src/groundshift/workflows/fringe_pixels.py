"""Interferograms of any pixel brought to that which a fringe classifier has learned from."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from groundshift.detect.fringe_scan import mean_slope
from groundshift.errors import NoDataError
from groundshift.geometry.average import average_known
from groundshift.interferometry.filters import remove_large_scale
from groundshift.io.sample import sample_raster
from groundshift.io.stack import InterferogramStack
from groundshift.types import Grid, Looks, MapGrid, Pair
from groundshift.workflows.choices import choose_looks
from groundshift.workflows.fringe_config import FringeInputConfig
from groundshift.workflows.scanning import read_averaged

__all__ = ["FringePixels", "choose_fringe_pairs"]

_NEAR = 0.05
"""Pixels that differ from the one wanted by less are left as they are."""


@dataclass(frozen=True)
class FringePixels:
    """How a stack is brought to working pixels: averaged by whole numbers, then drawn anew on a map's grid."""

    stack: InterferogramStack
    looks: Looks
    step: tuple[float, float]
    """Working pixel in averaged pixels, along rows and columns."""
    grid: Grid
    """Of the working pixels."""

    @classmethod
    def of(cls, stack: InterferogramStack, pixel_m: float) -> Self:
        """Choose looks and steps; a radar grid is averaged only, for its lookup goes by whole pixels."""
        looks = choose_looks(stack.grid, pixel_m)
        grid = stack.grid.multilooked(looks)
        step = (1.0, 1.0)
        if isinstance(grid, MapGrid) and any(abs(metres / pixel_m - 1) > _NEAR for metres in grid.spacing):
            step = (pixel_m / grid.spacing[0], pixel_m / grid.spacing[1])
            shape = (max(1, math.floor(grid.shape[0] / step[0])), max(1, math.floor(grid.shape[1] / step[1])))
            grid = replace(grid, shape=shape, transform=grid.transform @ Affine.scale(step[1], step[0]))
        return cls(stack, looks, step, grid)

    def told(self, pixel_m: float) -> str:
        """Say what is done to the pixels."""
        was, now = (" x ".join(f"{m:.1f}" for m in grid.spacing) for grid in (self.stack.grid, self.grid))
        how = f"{self.stack.track}: pixels of {was} m are looked at as {now} m"
        if any(abs(metres / pixel_m - 1) > _NEAR for metres in self.grid.spacing):
            how += f"; the nearest to {pixel_m:g} m that whole radar pixels make"
        return how

    def igram(self, pair: Pair, large_scale: float) -> NDArray[np.complex64]:
        """Read a pair in working pixels, without what is larger than `large_scale` metres (0: with it).

        Raises
        ------
        PairFailedError
            If it cannot be read.
        """
        igram = read_averaged(self.stack, pair, self.looks)
        if self.step != (1.0, 1.0):
            known = igram != 0
            size = self._drawn(np.abs(igram))
            phasor = np.divide(igram, np.abs(igram), out=np.zeros_like(igram), where=known)
            mixed = self._drawn(phasor.real) + 1j * self._drawn(phasor.imag)
            there = self._drawn(known.astype(np.float32))
            length = np.abs(mixed)
            scale = np.divide(size, length * there, out=np.zeros_like(size), where=(length > 0) & (there >= 0.5))
            igram = (mixed * np.minimum(scale, 1 / np.maximum(length, 1e-9))).astype(np.complex64)
        if large_scale:
            igram = remove_large_scale(igram, self.grid.spacing, large_scale)
        return igram

    def slope(self, dem: Path | None) -> NDArray[np.float32] | None:
        """Return the slope averaged over 1 km around each working pixel, degrees; None without heights.

        Raises
        ------
        GroundshiftError
            If heights cannot be read, or the grid cannot be placed on them.
        """
        if dem is not None:
            return mean_slope(sample_raster(dem, self.grid), self.grid)
        if self.stack.read_height is None:
            return None
        heights = average_known(self.stack.read_height(self.stack.full), self.looks)
        slope = mean_slope(heights, self.stack.grid.multilooked(self.looks))
        if self.step == (1.0, 1.0):
            return slope
        rows, columns = (np.clip(np.rint(p).astype(np.intp), 0, n - 1) for p, n in self._places(slope.shape))
        return slope[np.ix_(rows, columns)]

    def _places(self, shape: tuple[int, ...]) -> list[tuple[NDArray[np.float64], int]]:
        """Where the working pixels lie among averaged ones, with the number of these, along both axes."""
        return [
            ((np.arange(n, dtype=np.float64) + 0.5) * np.float64(step) - 0.5, size)
            for n, step, size in zip(self.grid.shape, self.step, shape, strict=True)
        ]

    def _drawn(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate between the middles of averaged pixels, linear along both axes."""
        for axis, (wanted, size) in enumerate(self._places(values.shape)):
            place = np.clip(wanted, 0, size - 1)
            first = np.minimum(np.floor(place).astype(np.intp), max(size - 2, 0))
            share = (place - first).astype(np.float32)
            share = share[:, np.newaxis] if axis == 0 else share
            after = np.take(values, np.minimum(first + 1, size - 1), axis)
            values = np.take(values, first, axis) * (1 - share) + after * share
        return np.asarray(values, np.float32)


def choose_fringe_pairs(stack: InterferogramStack, config: FringeInputConfig) -> list[Pair]:
    """Return the pairs that are looked at, in order of time.

    Raises
    ------
    NoDataError
        If none has a baseline that is wanted.
    """
    low, high = config.days or (0, math.inf)
    found = sorted(pair for pair in stack.pairs if low <= pair.days <= high)
    if not found:
        raise NoDataError(f"{stack.root}: no pair of {low} to {high} days; change --days")
    return found
