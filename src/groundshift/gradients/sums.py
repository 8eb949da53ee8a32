"""From sums to a stack: kept as sums, so that a pair can be added or taken out exactly, later."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import NoDataError
from groundshift.gradients._kernels import PER_DIRECTION, SHARED_SUMS, accumulate
from groundshift.gradients.noise import NoiseShare, network_factor
from groundshift.gradients.stack import Direction, GradientStack, TimeWindow, closes
from groundshift.pairs import optimal_weights
from groundshift.types import Grid, LookGeometry, Pair

__all__ = ["StackPlan", "add_pairs", "dem_variance", "empty_sums", "finish", "plan_window"]

_ROUNDING = 1e-6
"""Scatter below this share of the sum of squares cannot be told from zero in single precision."""

_LEAST_ANGLE = 1e-5
"""Radians: differences are not known better than this, so no standard error is zero, even of data without noise."""


_DEM_GRADIENT = 0.5
"""Assumed error of the DEM's gradient after averaging, metres per working pixel."""


@dataclass(frozen=True)
class StackPlan:
    """What is summed: pairs, their weights in each time window, the averaging window and the directions."""

    track: str
    grid: Grid
    """Grid of the working pixels."""
    wavelength: float
    pairs: tuple[Pair, ...]
    windows: tuple[TimeWindow, ...]
    directions: tuple[Direction, ...]
    smoothing: int
    noise: NoiseShare
    look: LookGeometry | None = None

    @property
    def planes(self) -> int:
        """Number of planes of sums per time window."""
        return SHARED_SUMS + PER_DIRECTION * len(self.directions)

    @property
    def weights(self) -> NDArray[np.float32]:
        """(pair, window) weights; zero where a pair is not in a window."""
        table = np.zeros((len(self.pairs), len(self.windows)), np.float32)
        for k, window in enumerate(self.windows):
            table[window.members, k] = window.weights
        return table


def plan_window(
    name: str,
    members: Sequence[int],
    pairs: Sequence[Pair],
    noise: NoiseShare,
    *,
    equal: bool = False,
    dem_variance: float = 0.0,
) -> TimeWindow:
    """Weight the pairs of a time window.

    Parameters
    ----------
    name : str
    members : sequence of int
        Indices into `pairs`.
    pairs : sequence of Pair
    noise : NoiseShare
        Shares of dates and pairs in the noise.
    equal : bool
        Weight all pairs alike instead of minimising the noise of the sum.
    dem_variance : float
        Variance that the DEM error brings per square metre of baseline, as a share of the variance of one pair.

    Notes
    -----
    Coherence enters later, pixel by pixel; here the pairs differ by their dates and baselines only.
    """
    chosen = [pairs[k] for k in members]
    if equal:
        weights = np.ones(len(chosen))
    else:
        weights = optimal_weights(chosen, noise.date, np.full(len(chosen), noise.pair), dem_variance)
        weights = weights / weights.mean()
    return TimeWindow(name, np.asarray(members, np.intp), weights)


def dem_variance(wavelength: float, look: LookGeometry | None, smoothing: int) -> float:
    """Return the variance of a difference per square metre of baseline, relative to a pair's own noise.

    A phase noise of 1 rad per pixel is taken for the pair, averaged over the window; 39 degrees of incidence without
    `look`.
    """
    incidence = math.radians(look.incidence if look else 39.0)
    per_metre = 4 * math.pi / (wavelength * 850_000.0 * math.sin(incidence)) * _DEM_GRADIENT
    return float((per_metre / (math.sqrt(2.0) / smoothing**1.5)) ** 2)


def empty_sums(plan: StackPlan, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return sums of nothing: (window, plane, y, x)."""
    return np.zeros((len(plan.windows), plan.planes, *shape), np.float32)


def add_pairs(
    plan: StackPlan,
    members: Sequence[int],
    igrams: NDArray[np.complex64],
    sums: NDArray[np.float32],
    *,
    take_out: bool = False,
) -> None:
    """Add interferograms to the sums of all time windows, in place; or take them out again.

    Parameters
    ----------
    plan : StackPlan
    members : sequence of int
        Which of the plan's pairs these are.
    igrams : (pair, y, x) complex64 array
        Working pixels of one block.
    sums : (window, plane, y, x) float32 array
    take_out : bool
        Subtract instead of adding.
    """
    pairs = list(members)
    accumulate(
        igrams,
        np.array([plan.pairs[k].years for k in pairs], np.float32),
        plan.weights[pairs],
        plan.smoothing,
        np.array([d.start + d.end for d in plan.directions], np.int64),
        closes(plan.directions),
        np.float32(-1 if take_out else 1),
        sums,
    )


def finish(plan: StackPlan, index: int, sums: NDArray[np.float32]) -> GradientStack:
    """Turn the sums of one time window into rates with standard errors.

    Parameters
    ----------
    plan : StackPlan
    index : int
        Which of the plan's windows.
    sums : (plane, y, x) float32 array
        Its sums.

    Notes
    -----
    With quality-weighted w, differences g and baselines t: rate = sum(w g) / sum(w t), the direct sum of wrapped
    differences divided by its time. Its variance is the sandwich
    ``F sum(w^2 (g - rate t)^2) / sum(w t)^2 * n / (n - 1)`` with n = sum(w t)^2 / sum(w^2 t^2) the effective number of
    pairs: it does not assume that the weights are right. Nor does it that pairs are independent: F is the
    `network_factor` of the window where all pairs are equally good, and moves towards 1 in proportion as quality that
    differs from pair to pair lowers n, since dates then cancel less. (With quality q drawn anew for each pair, the
    coefficient of a date has the variance ``var(q) sum(w^2)`` beside the square of its mean, and n falls by
    ``mean(q)^2 / mean(q^2)``.)
    """
    window = plan.windows[index]
    members = [plan.pairs[k] for k in window.members]
    if not members:
        raise NoDataError(f"{plan.track}: window {window.name} holds no pair")
    factor = network_factor(members, window.weights, plan.noise)
    planned = window.weights * np.array([p.years for p in members])
    most = planned.sum() ** 2 / (planned**2).sum()
    years2 = (planned**2).sum() / (window.weights**2).sum()
    time, time2, magnitude, count, residues = sums[:SHARED_SUMS]
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = time**2 / time2
        network = 1 + (factor - 1) * np.minimum(effective / most, 1)
        known = (count > 1.5) & (effective > 1.001)
        rate = np.full((len(plan.directions), *time.shape), np.nan, np.float32)
        sigma = rate.copy()
        for d in range(len(plan.directions)):
            total, squares, cross = sums[SHARED_SUMS + PER_DIRECTION * d :][:PER_DIRECTION]
            slope = total / time
            scatter = squares - 2 * slope * cross + slope**2 * time2
            scatter = np.maximum(scatter, _ROUNDING * squares + _LEAST_ANGLE**2 * time2 / years2)
            variance = network * scatter / time**2 * effective / (effective - 1)
            rate[d] = np.where(known, slope, np.nan)
            sigma[d] = np.where(known, np.sqrt(variance), np.nan)
        present = count > 0.5
        return GradientStack(
            track=plan.track,
            window=window.name,
            grid=plan.grid,
            smoothing=plan.smoothing,
            wavelength=plan.wavelength,
            directions=plan.directions,
            rate=rate,
            sigma=sigma,
            effective_pairs=np.where(time2 > 0, effective, 0).astype(np.float32),
            n_pairs=np.rint(count).astype(np.uint16),
            mean_coherence=np.where(present, magnitude / count, np.nan).astype(np.float32),
            residues=np.where(present & closes(plan.directions), residues / count, np.nan).astype(np.float32),
            total_pairs=len(members),
            total_years=sum(p.years for p in members),
        )
