"""One target followed through time: unwrapped locally, inverted, referenced and judged. Arrays in, arrays out.

Whatever keeps a target from having a series is said in one line, as a `NoSeriesError`; the survey goes on without it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import distance_transform_edt

from groundshift.errors import GroundshiftError, NoDataError
from groundshift.geometry import slope_aspect
from groundshift.timeseries import (
    InseparableTermError,
    Inverted,
    Motion,
    Reference,
    Sensitivity,
    Velocity,
    check_reference,
    choose_references,
    covariance_of,
    date_baselines,
    dem_per_metre,
    fit_motion,
    fit_velocity,
    invert_network,
    phase_weights,
    reference_sensitivity,
    reference_series,
    remove_stratified_delay,
)
from groundshift.types import Grid, LookGeometry, Looks, Pair
from groundshift.unwrap import PatchPhase, Unwrapper, check_closure, unwrap_averaged
from groundshift.workflows.config import SeriesConfig

__all__ = ["COARSE_PIXEL", "Followed", "NoSeriesError", "Patch", "follow"]

_SLANT_RANGE = 850_000.0
"""Metres from a radar satellite to the ground, where a product does not tell; it scales the DEM error only."""
_SLOPE_SMOOTHING = 150.0
"""Metres over which the slope around a target is averaged."""
COARSE_PIXEL = 40.0
"""Metres: pixels on which whole cycles of slow motion are found."""
_LEAST_PIXELS = 4
"""A target with fewer pixels of data has no series."""
_LEAST_DATES = 4
"""Fewer dates tell no velocity with an error."""
_PATTERNS = 50
"""Groupings of dates that are tried for a target, those of most pixels."""
_LOOSE = 10.0
"""A pixel whose error is so many times the usual one hangs on pairs that count for nothing."""

_DEEP, _DEEPEST = 0.7, 95
"""The core of a bowl has moved this share of what the pixel at this percentile has."""

_NORMAL_95 = float(stats.norm.ppf(0.975))
"""Standard deviations of a normal distribution in half of its 95 % interval."""


class NoSeriesError(GroundshiftError, ValueError):
    """A target cannot be followed."""


@dataclass(frozen=True, eq=False)
class Patch:
    """What is known of the ground around a target; arrays (y, x) at full resolution."""

    igrams: NDArray[np.complex64]
    """(pair, y, x): magnitude is coherence, zero means no data."""
    pairs: tuple[Pair, ...]
    grid: Grid
    wavelength: float
    look: LookGeometry | None
    inside: NDArray[np.bool_]
    """The target."""
    others: NDArray[np.bool_]
    """Other targets."""
    significance: NDArray[np.float32]
    """Of the stacked gradient, the larger of both directions; NaN where unknown."""
    stacked_velocity: NDArray[np.float32]
    """Metres per year, integrated from the stacked gradients; NaN where unknown, and where motion is so fast that
    wrapped differences do not add up to it."""
    height: NDArray[np.float32] | None = None
    unread: tuple[tuple[str, str], ...] = ()
    """Name of each pair that could not be read, and why; its interferogram is zero."""
    looks: int = 1
    """Pixels of the product averaged into one, to fit the memory."""
    pixel: float = COARSE_PIXEL
    """Metres: whole cycles, and how delay goes with height, are told by pixels of about this size."""
    fast: bool = False
    """Whether it moves as mining subsidence does: so far between two dates that its own series tells where most."""


class Followed(NamedTuple):
    """How one target moved, as seen from one track."""

    inverted: Inverted
    """Displacement of the pixels, relative to the reference."""
    velocity: Velocity
    """Of the pixels, as if the reference were still."""
    coherence: NDArray[np.float32]
    """(y, x) mean over the pairs used."""
    dates: tuple[date, ...]
    displacement: NDArray[np.float64]
    """(date,) metres, mean over the core of the target."""
    sigma: NDArray[np.float64]
    """(date,) standard error of `displacement`, metres."""
    groups: NDArray[np.int64]
    """(date,) group of dates that pairs join at the pixels of the core, from 1; 0 where `displacement` is NaN."""
    core: NDArray[np.bool_]
    """(y, x) pixels that `displacement` is the mean of."""
    motion: Motion
    reference: Reference
    sensitivity: Sensitivity
    pairs: tuple[Pair, ...]
    """Pairs used."""
    left_out: tuple[tuple[str, str], ...]
    """Name of each other pair, and why."""
    short_pair_bias: float | None
    """Radians; see `check_closure`."""
    corrected: int
    """Pairs in which whole cycles were corrected."""
    notes: tuple[str, ...]
    """What was not taken out, and why."""

    @property
    def rate_sigma(self) -> float:
        """What is stated as the standard error of the rate, metres per year: 1.96 of it reach as far as `interval`."""
        low, high = self.interval()
        return (high - low) / (2 * _NORMAL_95)

    @property
    def velocity_sigma(self) -> NDArray[np.float64]:
        """(y, x) likewise for the pixels, with the doubt about the reference; NaN where `velocity` is."""
        low, high = self.velocity.interval()
        return np.hypot((high - low) / (2 * _NORMAL_95), self._reference_sigma)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the limits between which the true rate lies with a probability, metres per year.

        Those of the fit, with the doubt about the reference, taken as normal, added in quadrature.
        """
        low, high = (float(v) for v in self.motion.velocity.interval(confidence))
        half = math.hypot((high - low) / 2, float(stats.norm.ppf(0.5 + confidence / 2)) * self._reference_sigma)
        return (low + high) / 2 - half, (low + high) / 2 + half

    @property
    def _reference_sigma(self) -> float:
        """Standard deviation of the rate over single references, metres per year; 0 if there are too few."""
        return self.sensitivity.spread if math.isfinite(self.sensitivity.spread) else 0.0


def follow(patch: Patch, config: SeriesConfig, unwrapper: Unwrapper) -> Followed:
    """Follow a target through time.

    Raises
    ------
    NoSeriesError
        If its data do not allow it.
    """
    _check(patch)
    weight, nlooks = np.abs(patch.igrams), config.nlooks * patch.looks
    phase = _unwrap(patch, nlooks, unwrapper)
    closure = check_closure(phase, patch.pairs, least_reliability=config.least_reliability)
    unread = dict(patch.unread)
    names = [pair.name for pair in patch.pairs]
    reasons = {k: unread.get(names[k], text.removeprefix(f"{names[k]}: left out: ")) for k, text in closure.reasons}
    kept = [k for k in range(len(patch.pairs)) if closure.kept[k]]
    if not kept:
        raise NoSeriesError(f"none of {len(names)} pairs can be unwrapped with trust; {names[0]}: {reasons[0]}")
    unw = closure.unwrapped
    coherence = _mean_coherence(weight[kept])
    reference = _reference(patch, coherence)
    if reference.reason:
        raise NoSeriesError(reference.reason)
    at_reference = reference_series(unw, reference.pixels, reference.weights)
    reasons |= {k: "no data on the reference" for k in kept if not np.isfinite(at_reference[k])}
    kept = [k for k in kept if k not in reasons]
    if not kept:
        raise NoSeriesError("no pair has data on the reference")
    pairs = tuple(patch.pairs[k] for k in kept)
    unw = (unw[kept] - at_reference[kept][:, np.newaxis, np.newaxis]).astype(np.float32)
    notes: list[str] = []
    if config.stratified and patch.height is not None:
        try:
            unw = remove_stratified_delay(unw, _filled(patch.height), _still(patch), pairs).unw
        except InseparableTermError as error:
            notes.append(f"stratified delay left in: {error.why}")
    weights = phase_weights(weight[kept], nlooks)
    per_metre = _dem_per_metre(patch, pairs, config, notes)
    try:
        inverted = invert_network(unw, weights, pairs, patch.wavelength, dem_per_metre=per_metre, robust=config.robust)
    except InseparableTermError as error:
        notes.append(f"DEM error left in: {error.why}")
        per_metre = None
        inverted = invert_network(unw, weights, pairs, patch.wavelength, robust=config.robust)
    reference = check_reference(inverted.displacement, reference)
    if reference.reason:
        raise NoSeriesError(reference.reason)
    shift = reference_series(inverted.displacement, reference.pixels, reference.weights)
    inverted = inverted._replace(
        displacement=(inverted.displacement - shift[:, np.newaxis, np.newaxis]).astype(np.float32)
    )
    core, groups = _core(patch, inverted)
    try:
        mean = covariance_of(unw, weights, pairs, patch.wavelength, core, dem_per_metre=per_metre, robust=config.robust)
    except NoDataError as error:
        raise NoSeriesError(f"no pixel of the target has a solution: {error}") from error
    displacement = np.where(groups > 0, mean.displacement - shift, np.nan)
    sigma = np.sqrt(np.maximum(np.diag(mean.covariance), 0))
    known = np.isfinite(displacement)
    groups = np.where(known, groups, 0)
    count, parts = int(known.sum()), np.unique(groups[known]).size
    if count - parts < _LEAST_DATES - 1:
        raise NoSeriesError(f"{count} known dates in {parts} groups tell no velocity, {_LEAST_DATES} in one would")
    motion = fit_motion(mean.dates, displacement, sigma, pixels=inverted.displacement[:, patch.inside], groups=groups)
    return Followed(
        inverted=inverted,
        velocity=fit_velocity(mean.dates, inverted.displacement, inverted.sigma, groups=inverted.groups),
        coherence=_mean_coherence(weight[kept]),
        dates=mean.dates,
        displacement=displacement,
        sigma=sigma,
        groups=groups,
        core=core,
        motion=motion,
        reference=reference,
        sensitivity=reference_sensitivity(mean.dates, displacement, inverted.displacement, reference),
        pairs=pairs,
        left_out=tuple((names[k], reasons[k]) for k in sorted(reasons)),
        short_pair_bias=closure.short_pair_bias,
        corrected=int((closure.cycles[kept] != 0).any(axis=(1, 2)).sum()),
        notes=tuple(notes),
    )


def _check(patch: Patch) -> None:
    """Raise NoSeriesError if there is too little to begin with."""
    dates = {day for pair in patch.pairs for day in (pair.reference, pair.secondary)}
    if len(dates) < _LEAST_DATES:
        raise NoSeriesError(f"only {len(dates)} dates, {_LEAST_DATES} are needed for a velocity")
    with_data = int((patch.igrams != 0).any(axis=0)[patch.inside].sum())
    if with_data < _LEAST_PIXELS:
        raise NoSeriesError(f"only {with_data} pixels of the target have data, {_LEAST_PIXELS} are needed")


def _unwrap(patch: Patch, nlooks: float, unwrapper: Unwrapper) -> PatchPhase:
    """Unwrap all pairs, with the motion that the stack foresees taken out before and put back after.

    Unwrappers seek the solution of the fewest cycles: where a body moves by more than half a cycle within a pair they
    make its motion smaller, in all long pairs alike, so that their triplets close. The stack, made of short pairs and
    of differences between neighbours, foresees most of the motion; what is left is the smaller the better it does.
    It changes little from pixel to pixel, so its whole cycles are found on pixels of about 40 m, where there is less
    noise to go astray in, and then given to the pixels of the patch. Only whole cycles depend on either.
    """
    known = np.isfinite(patch.stacked_velocity)
    if not known.any():
        return unwrap_averaged(patch.igrams, nlooks, unwrapper, _coarse_looks(patch))
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    per_year = np.float32(-4 * math.pi / patch.wavelength) * patch.stacked_velocity[tuple(nearest)]
    rest = np.empty_like(patch.igrams)
    for k, pair in enumerate(patch.pairs):
        rest[k] = patch.igrams[k] * np.exp(-1j * np.float32(pair.years) * per_year)
    phase = unwrap_averaged(rest, nlooks, unwrapper, _coarse_looks(patch))
    for k, pair in enumerate(patch.pairs):
        phase.unwrapped[k] += np.float32(pair.years) * per_year
    return phase


def _coarse_looks(patch: Patch) -> Looks:
    """Return how many pixels make one of those on which whole cycles are found."""
    return Looks(*(max(1, round(patch.pixel / spacing)) for spacing in patch.grid.spacing))


def _mean_coherence(weight: NDArray[np.floating]) -> NDArray[np.float32]:
    """Mean over the pairs that have data; 0 where none has."""
    count = (weight > 0).sum(axis=0)
    return np.asarray(weight.sum(axis=0) / np.maximum(count, 1), np.float32)


def _reference(patch: Patch, coherence: NDArray[np.float32]) -> Reference:
    """Choose stable ground in the patch; ground of which the stack knows nothing does not count as quiet."""
    significance = patch.significance
    if np.isfinite(significance).any():
        significance = np.where(np.isfinite(significance), significance, np.inf).astype(np.float32)
    slope = None
    if patch.height is not None and min(patch.height.shape) > 1:
        slope = slope_aspect(patch.height, patch.grid, smoothing=_SLOPE_SMOOTHING, look=patch.look).slope
    return choose_references(
        coherence, patch.inside, patch.grid.spacing,
        height=patch.height, slope=slope, gradient=significance, others=patch.others,
    )  # fmt: skip


def _still(patch: Patch) -> NDArray[np.bool_]:
    """Choose the pixels that show how delay goes with height: one of every 40 m, for its neighbours show the same."""
    chosen = np.zeros(patch.inside.shape, np.bool_)
    chosen[tuple(slice(step // 2, None, step) for step in _coarse_looks(patch))] = True
    return chosen & ~(patch.inside | patch.others)


def _filled(height: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the median height where none is known, so that a hole of the DEM is no hole of the series."""
    known = np.isfinite(height)
    return np.where(known, height, np.median(height[known]) if known.any() else np.nan).astype(np.float32)


def _dem_per_metre(
    patch: Patch, pairs: Sequence[Pair], config: SeriesConfig, notes: list[str]
) -> NDArray[np.float64] | None:
    """Return what a metre of DEM error feigns, where baselines and look are known."""
    if not config.dem_error or patch.look is None:
        return None
    try:
        date_baselines(pairs)
    except InseparableTermError as error:
        notes.append(f"DEM error left in: {error.why}")
        return None
    return dem_per_metre(pairs, _SLANT_RANGE, patch.look.incidence)


def _core(patch: Patch, inverted: Inverted) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Choose the pixels that speak for the target, and tell which of their dates hang together.

    They are the faster half of the target as the stacked velocity has it, which knows nothing of this series, without
    those that hang on pairs that count for nothing, and without those whose pairs join fewer dates than most do. Where
    the stack tells nothing, they are all; of fast motion those that have moved nearly as far as the farthest.

    Returns
    -------
    core, groups
        (y, x) bool, and (date,) group of dates that pairs join at every one of these pixels, from 1; 0 elsewhere.
    """
    solved = patch.inside & (inverted.groups > 0).any(axis=0)
    if not solved.any():
        raise NoSeriesError("no pixel of the target has a solution")
    worst = np.where(inverted.groups > 0, np.nan_to_num(inverted.sigma), 0).max(axis=0)
    core = solved & (worst <= _LOOSE * np.median(worst[solved]))
    speed = np.abs(np.where(core, patch.stacked_velocity, np.nan))
    if np.isfinite(speed).sum() >= _LEAST_PIXELS:
        core &= speed >= np.nanmedian(speed)
    elif patch.fast:
        # Not nanmax: a pixel of which nothing is known is no warning.
        extent = np.fmax.reduce(inverted.displacement) - np.fmin.reduce(inverted.displacement)
        moved = np.where(core, extent, 0)
        core &= moved >= _DEEP * np.percentile(moved[core], _DEEPEST)
    groups, together = _joined_dates(inverted.groups[:, core])
    core[core] = together
    return core, groups


def _joined_dates(groups: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Choose the groups of dates that tell most: (date,) number from 1, 0 for none, and which pixels have them.

    `groups` is (date, pixel). Of the groupings that pixels have, it is that by which most differences of dates are
    known, in all pixels that join these dates, or more of them.
    """
    best, most = (np.zeros(len(groups), np.int64), np.zeros(groups.shape[1], np.bool_)), -1
    patterns, counts = np.unique(groups, axis=1, return_counts=True)
    for pattern in patterns[:, np.argsort(-counts, kind="stable")[:_PATTERNS]].T:
        parts = [groups[pattern == number] for number in np.unique(pattern[pattern > 0])]
        have = np.logical_and.reduce([(part[0] > 0) & (part == part[0]).all(axis=0) for part in parts])
        told = int(have.sum()) * (int((pattern > 0).sum()) - len(parts))
        if told > most:
            best, most = (pattern.astype(np.int64), np.asarray(have)), told
    return best
