"""From sums to a stack: kept as sums, so that a pair can be added or taken out exactly, later."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import NoDataError
from groundshift.gradients._kernels import PER_DIRECTION, SHARED_SUMS, accumulate
from groundshift.gradients.noise import Likeness, NoiseShare, network_factor, share_near
from groundshift.gradients.stack import Direction, GradientStack, TimeWindow, closes
from groundshift.pairs import half_year, local_weights
from groundshift.types import Grid, LookGeometry, Pair

__all__ = [
    "Revision",
    "StackPlan",
    "add_pairs",
    "dem_variance",
    "empty_sums",
    "finish",
    "plan_window",
    "revise",
    "revision",
]

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
    """That of all pairs, for the standard error."""
    look: LookGeometry | None = None
    likeness: Mapping[int, Likeness] = field(default_factory=dict)
    """What the weights follow from, by half-year; nothing where they follow from no measurement."""

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


@dataclass(frozen=True)
class Revision:
    """What makes the sums of one plan those of another: which pairs, with what weights.

    Pairs that have the same weights in both are not in it.
    """

    pairs: tuple[Pair, ...]
    take_out: NDArray[np.float32]
    """(pair, window) weight in the old sums, by the windows of the new plan; zero where none is to be taken out."""
    add: NDArray[np.float32]
    """(pair, window) weight in the new sums; zero where none is to be added."""
    goes_on: tuple[int | None, ...]
    """For each window of the new plan the one of the old plan whose sums it goes on from; None where it begins anew."""


def plan_window(
    name: str,
    members: Sequence[int],
    pairs: Sequence[Pair],
    noise: NoiseShare | Mapping[int, Likeness],
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
    noise : NoiseShare or mapping
        Shares of dates and pairs in the noise, the same at all times; or what was measured, by half-year.
    equal : bool
        Weight all pairs alike instead of minimising the noise of the sum.
    dem_variance : float
        Variance that the DEM error brings per square metre of baseline, as a share of the variance of one pair.

    Notes
    -----
    Coherence enters later, pixel by pixel; here the pairs differ by their dates and baselines only. A weight depends on
    the pairs of the half-years around its own (`local_weights`), and nothing is scaled by all of them: pairs of later
    years leave it as it is.
    """
    chosen = [pairs[k] for k in members]
    if equal:
        weights = np.ones(len(chosen))
    else:
        shares = {when: noise if isinstance(noise, NoiseShare) else share_near(noise, when)
                  for when in {half_year(pair) for pair in chosen}}  # fmt: skip
        weights = local_weights(chosen, shares, dem_variance)
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
    _accumulate(plan, [plan.pairs[k] for k in pairs], plan.weights[pairs], igrams, -1 if take_out else 1, sums)


def revision(old: StackPlan | None, new: StackPlan) -> Revision:
    """Compare the weights of two plans, pair by pair of the same dates.

    Parameters
    ----------
    old : StackPlan, optional
        What there are sums of; None where there are none.
    new : StackPlan
        Of the same grid, directions and averaging window.

    Notes
    -----
    Each window goes on from the old one from which the fewest pairs differ, or begins anew where it has fewer pairs
    than that. A new window may go on from one of another name: deep within their common time both have the same
    weights.
    """
    if old is None:
        nothing = np.zeros((len(new.pairs), len(new.windows)), np.float32)
        return Revision(new.pairs, nothing, new.weights, (None,) * len(new.windows))
    kept = {pair.name for pair in new.pairs}
    pairs = (*new.pairs, *(pair for pair in old.pairs if pair.name not in kept))
    add = np.zeros((len(pairs), len(new.windows)), np.float32)
    add[: len(new.pairs)] = new.weights
    row = {pair.name: k for k, pair in enumerate(pairs)}
    # The first column is that of a window without pairs.
    former = np.zeros((len(pairs), 1 + len(old.windows)), np.float32)
    former[[row[pair.name] for pair in old.pairs], 1:] = old.weights
    names = [None, *(window.name for window in old.windows)]
    take_out = np.zeros_like(add)
    goes_on: list[int | None] = []
    for k, window in enumerate(new.windows):
        differing = (former != add[:, [k]]).sum(axis=0)
        best = int(differing.argmin())
        if best and window.name in names and differing[names.index(window.name)] == differing[best]:
            best = names.index(window.name)
        goes_on.append(best - 1 if best else None)
        same = former[:, best] == add[:, k]
        take_out[:, k] = np.where(same, 0, former[:, best])
        add[same, k] = 0
    changed = np.flatnonzero(((take_out > 0) | (add > 0)).any(axis=1))
    return Revision(tuple(pairs[k] for k in changed), take_out[changed], add[changed], tuple(goes_on))


def revise(
    plan: StackPlan,
    change: Revision,
    members: Sequence[int],
    igrams: NDArray[np.complex64],
    sums: NDArray[np.float32],
) -> None:
    """Give interferograms the weights of the new plan in place of those of the old one, in place.

    Parameters
    ----------
    plan : StackPlan
        The new one.
    change : Revision
    members : sequence of int
        Which of the revision's pairs these are.
    igrams : (pair, y, x) complex64 array
        Working pixels of one block.
    sums : (window, plane, y, x) float32 array
        Of the windows of the new plan.
    """
    pairs = [change.pairs[k] for k in members]
    for weights, sign in ((change.take_out[list(members)], -1), (change.add[list(members)], 1)):
        if weights.any():
            _accumulate(plan, pairs, weights, igrams, sign, sums)


def _accumulate(
    plan: StackPlan,
    pairs: Sequence[Pair],
    weights: NDArray[np.float32],
    igrams: NDArray[np.complex64],
    sign: int,
    sums: NDArray[np.float32],
) -> None:
    """Add interferograms of `pairs` with their (pair, window) weights, or take them out."""
    accumulate(
        igrams,
        np.array([pair.years for pair in pairs], np.float32),
        weights,
        plan.smoothing,
        np.array([d.start + d.end for d in plan.directions], np.int64),
        closes(plan.directions),
        np.float32(sign),
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
        # Where the last pair was taken out, the other sums are zero only as far as single precision goes.
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
            effective_pairs=np.where(present & (time2 > 0), effective, 0).astype(np.float32),
            n_pairs=np.rint(count).astype(np.uint16),
            mean_coherence=np.where(present, magnitude / count, np.nan).astype(np.float32),
            residues=np.where(present & closes(plan.directions), residues / count, np.nan).astype(np.float32),
            total_pairs=len(members),
            total_years=sum(p.years for p in members),
        )
