"""The local reference: ground near a target that stands still, from which its motion is counted.

Close to the target air is alike, at the same height delays that go with height are, and both drop out. What does not
drop out is the motion of the reference itself, so it is made from many pixels, each is checked, and the result is
repeated with single ones.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from groundshift.checks import check_positive, check_shape
from groundshift.timeseries.velocity import Dates, fit_velocity

__all__ = [
    "Reference",
    "Sensitivity",
    "check_reference",
    "choose_references",
    "reference_sensitivity",
    "reference_series",
]

_LEAST_COHERENCE = 0.3
_BEST_SHARE = 0.05
_LEAST_PIXELS = 9
"""The reference has so many pixels at least, ..."""
_LEAST_GROUND = 25
"""... chosen from so many of stable ground."""
_SPOT = 3
"""Pixels along the side of a candidate."""
_LARGEST_SCATTER = 1.5


class _Limits(NamedTuple):
    """What stable ground must be; the fields are relaxed one after the other."""

    slope: float = 25.0
    """Degrees."""
    ring: tuple[float, float] = (0.5, 1.5)
    """Distance from the box around the target, in sizes of the box."""
    height: float = 150.0
    """Metres above or below the target."""


_STEPS = (
    ("", _Limits()),
    ("steeper ground", _Limits(slope=90.0)),
    ("0.25 to 2.5 box sizes away", _Limits(90.0, (0.25, 2.5))),
    ("300 m above or below", _Limits(90.0, (0.25, 2.5), 300.0)),
    ("any height", _Limits(90.0, (0.25, 2.5), np.inf)),
)
"""Each step keeps what those before it gave up. Ground that moves or decorrelates is never taken."""


class Reference(NamedTuple):
    """Pixels that a target's motion is counted from."""

    pixels: NDArray[np.intp]
    """(pixel, 2) rows and columns; empty if there are none."""
    weights: NDArray[np.float64]
    """(pixel,) relative weights in the median, their sum being 1."""
    candidates: tuple[NDArray[np.intp], ...]
    """(pixel, 2) each: compact spots spread around the target, for the sensitivity of the result."""
    ring: NDArray[np.bool_]
    """(y, x) all stable ground that these were chosen from."""
    relaxed: tuple[str, ...] = ()
    """What was given up to find stable ground, in words."""
    dropped: tuple[str, ...] = ()
    """What `check_reference` took out, in words."""
    reason: str = ""
    """Why there is no reference; empty if there is one."""


class Sensitivity(NamedTuple):
    """How much the rate of a target depends on the reference."""

    rates: NDArray[np.float64]
    """(candidate,) metres per year, with each candidate as reference; NaN where it has too few dates."""
    spread: float
    """Standard deviation of these rates, metres per year; NaN if there are fewer than two."""
    largest: float
    """Largest distance of one of them from the rate with the reference itself, metres per year."""


def choose_references(
    coherence: NDArray[np.floating],
    inside: NDArray[np.bool_],
    spacing: tuple[float, float],
    *,
    height: NDArray[np.floating] | None = None,
    slope: NDArray[np.floating] | None = None,
    gradient: NDArray[np.floating] | None = None,
    quiet: float = 2.0,
    others: NDArray[np.bool_] | None = None,
    count: int = 5,
) -> Reference:
    """Choose stable ground around a target.

    Parameters
    ----------
    coherence : (y, x) float array
        Mean coherence, 0 to 1; NaN or 0 without data.
    inside : (y, x) bool array
        The target.
    spacing : tuple of float
        Metres per pixel along rows and columns.
    height : (y, x) float array, optional
        Metres; NaN where unknown.
    slope : (y, x) float array, optional
        Degrees; NaN where unknown.
    gradient : (y, x) float array, optional
        How much the stacked gradient says that the ground moves: its significance, or its magnitude, in the unit of
        `quiet`; NaN where unknown.
    quiet : float
        Ground is quiet where the gradient is less in magnitude: 2 for a significance, 0.3 for the radians of Fu et al.
        (2022).
    others : (y, x) bool array, optional
        Other targets.
    count : int
        Candidates for the sensitivity.

    Returns
    -------
    Reference
        With `reason` and no pixels where no stable ground is found.

    Raises
    ------
    ValueError
        If shapes differ, or `inside` is empty.

    Notes
    -----
    Ground is stable if it lies 0.5 to 1.5 box sizes outside the box around the target (its size: the root of its area),
    is quiet, of coherence 0.3 at least, no steeper than 25 degrees (steeper slopes creep), and within 150 m of the
    target's median height. Where that leaves fewer than 25 pixels, in this order: steep ground is allowed; the ring is
    widened to 0.25 to 2.5 sizes; the heights to 300 m; then to all. What is not known of a pixel does not speak
    against it.

    The reference is the median of the best 5 % of this ground by coherence, 9 pixels at least, weighted with the
    inverse phase variance g^2 / (1 - g^2). Candidates are spots of 3 x 3 pixels: ground around the target is cut
    into sectors of equally many pixels, and each gives the spot of best mean coherence.
    """
    shape = inside.shape
    check_shape("coherence", coherence, shape)
    for name, field in (("height", height), ("slope", slope), ("gradient", gradient), ("others", others)):
        if field is not None:
            check_shape(name, field, shape)
    check_positive("quiet", quiet)
    if not inside.any():
        raise ValueError("inside must contain a pixel of the target, instead it is empty")
    usable = np.nan_to_num(coherence) >= _LEAST_COHERENCE
    usable &= ~inside if others is None else ~(inside | others)
    if gradient is not None:
        usable &= ~(np.abs(gradient) >= quiet)
    distance = _box_distance(inside, spacing)
    above = None if height is None else np.abs(height - _median_height(height, inside))
    for number, (_, limits) in enumerate(_STEPS):
        ring = usable & (distance >= limits.ring[0]) & (distance <= limits.ring[1])
        if slope is not None:
            ring &= ~(slope > limits.slope)
        if above is not None:
            ring &= ~(above > limits.height)
        if ring.sum() >= _LEAST_GROUND:
            relaxed = tuple(words for words, _ in _STEPS[1 : number + 1])
            return _chosen(coherence, ring, inside, spacing, count)._replace(relaxed=relaxed)
    reason = f"no stable ground: {int(ring.sum())} quiet, coherent pixels within 2.5 box sizes, {_LEAST_GROUND} wanted"
    return Reference(np.empty((0, 2), np.intp), np.empty(0), (), ring, reason=reason)


def reference_series(
    values: NDArray[np.floating], pixels: NDArray[np.intp], weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Take the weighted median of pixels in every layer of a cube.

    Re-referencing is the subtraction of this series: `values - series[:, None, None]`, of the unwrapped phase of pairs
    and of the displacement of dates alike.

    Parameters
    ----------
    values : (layer, y, x) float array
        NaN where unknown.
    pixels : (pixel, 2) int array
        Rows and columns.
    weights : (pixel,) array, optional
        Not negative; equal if not given.

    Returns
    -------
    (layer,) float64 array
        NaN where no pixel is known.
    """
    chosen = np.asarray(values[:, pixels[:, 0], pixels[:, 1]], np.float64)
    weight = np.ones(len(pixels)) if weights is None else np.asarray(weights, np.float64)
    check_shape("weights", weight, (len(pixels),))
    if not len(pixels):
        return np.full(len(values), np.nan)
    known = np.isfinite(chosen)
    order = np.argsort(np.where(known, chosen, np.inf), axis=1)
    sorted_values = np.take_along_axis(chosen, order, axis=1)
    share = np.cumsum(np.take_along_axis(np.where(known, weight, 0.0), order, axis=1), axis=1)
    half = share[:, -1:] / 2
    # Between the value that reaches half of the weight and the one that exceeds it, as an unweighted median has it.
    last = np.maximum(known.sum(axis=1) - 1, 0)
    low = np.minimum(np.argmax(share >= half * (1 - 1e-12), axis=1), last)
    high = np.minimum(np.argmax(share > half * (1 + 1e-12), axis=1), last)
    rows = np.arange(len(chosen))
    found = (sorted_values[rows, low] + sorted_values[rows, high]) / 2
    return np.where(share[:, -1] > 0, found, np.nan)


def check_reference(displacement: NDArray[np.floating], reference: Reference) -> Reference:
    """Take out of a reference what does not stand still.

    Parameters
    ----------
    displacement : (date, y, x) float array
        Metres, relative to any one reference; NaN where unknown.
    reference : Reference
        As chosen.

    Returns
    -------
    Reference
        Without the pixels and candidates whose residual scatters by more than 1.5 times the median of the ring, and
        `dropped` says which; with `reason` and no pixels if less than half of the pixels are left.

    Notes
    -----
    The residual of a pixel is its displacement minus the median of the ring on each date; it scatters if it is noisy,
    and if it drifts. What the ring has in common, the motion of the present reference, does not count.
    """
    check_shape("displacement", displacement, (len(displacement), *reference.ring.shape))
    if reference.reason:
        return reference
    common = reference_series(displacement, np.argwhere(reference.ring))
    usual = float(np.median(_scatter(displacement, np.argwhere(reference.ring), common)))
    limit = _LARGEST_SCATTER * usual
    scatter = _scatter(displacement, reference.pixels, common)
    kept = scatter <= limit
    dropped = [] if kept.all() else [f"{int((~kept).sum())} of {kept.size} pixels of the reference scatter too much"]
    candidates = []
    for spot in reference.candidates:
        series = reference_series(displacement, spot)
        found = float(np.std((series - common)[np.isfinite(series - common)])) if np.isfinite(series).any() else np.nan
        if found <= limit:
            candidates.append(spot)
        else:
            row, column = spot.mean(axis=0)
            dropped.append(
                f"candidate at row {row:.0f}, column {column:.0f} scatters {1000 * found:.1f} mm, the ring "
                f"{1000 * usual:.1f} mm"
            )
    out = reference._replace(candidates=tuple(candidates), dropped=tuple(dropped))
    if 2 * kept.sum() < kept.size:
        reason = f"no stable ground: {dropped[0]}"
        return out._replace(pixels=reference.pixels[:0], weights=reference.weights[:0], reason=reason)
    weights = reference.weights[kept]
    return out._replace(pixels=reference.pixels[kept], weights=weights / weights.sum())


def reference_sensitivity(
    dates: Dates, target: ArrayLike, displacement: NDArray[np.floating], reference: Reference
) -> Sensitivity:
    """Repeat a target's rate with each candidate as its reference.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    target : (date,) array
        Displacement of the target, metres.
    displacement : (date, y, x) float array
        Displacement of all pixels relative to the same reference, metres; NaN where unknown.
    reference : Reference
        With its candidates.

    Returns
    -------
    Sensitivity
        NaN without candidates.
    """
    series = np.asarray(target, np.float64)
    check_shape("target", series, (len(displacement),))
    shifts = [np.zeros(len(series)), *(reference_series(displacement, spot) for spot in reference.candidates)]
    rates = fit_velocity(dates, series[:, np.newaxis] - np.stack(shifts, axis=1)).rate
    known = rates[1:][np.isfinite(rates[1:])]
    spread = float(np.std(known, ddof=1)) if known.size > 1 else float("nan")
    largest = float(np.abs(known - rates[0]).max()) if known.size else float("nan")
    return Sensitivity(rates[1:], spread, largest)


def _box_distance(inside: NDArray[np.bool_], spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Distance of each pixel from the box around the target, in sizes of the box; 0 within."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    size = np.sqrt(np.ptp([rows[0], rows[-1] + 1]) * spacing[0] * np.ptp([columns[0], columns[-1] + 1]) * spacing[1])
    y, x = np.arange(inside.shape[0]), np.arange(inside.shape[1])
    dy = np.maximum(np.maximum(rows[0] - y, y - rows[-1]), 0) * spacing[0]
    dx = np.maximum(np.maximum(columns[0] - x, x - columns[-1]), 0) * spacing[1]
    return np.asarray(np.maximum(dy[:, np.newaxis], dx) / size)


def _median_height(height: NDArray[np.floating], inside: NDArray[np.bool_]) -> float:
    """Median height of the target, or NaN, from which no height differs."""
    known = height[inside & np.isfinite(height)]
    return float(np.median(known)) if known.size else float("nan")


def _chosen(
    coherence: NDArray[np.floating],
    ring: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    spacing: tuple[float, float],
    count: int,
) -> Reference:
    """Choose the best pixels of stable ground, and spots spread around the target."""
    ground = np.argwhere(ring)
    quality = coherence[ring].astype(np.float64)
    best = np.argsort(-quality, kind="stable")[: max(round(_BEST_SHARE * len(ground)), _LEAST_PIXELS)]
    squared = np.minimum(quality[best] ** 2, 0.99)
    weights = squared / (1 - squared)
    candidates = _spots(np.where(ring, coherence, 0.0), ring, inside, spacing, count)
    return Reference(ground[best], weights / weights.sum(), candidates, ring)


def _spots(
    coherence: NDArray[np.floating],
    ring: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    spacing: tuple[float, float],
    count: int,
) -> tuple[NDArray[np.intp], ...]:
    """Find the most coherent spot in each of `count` sectors of equally many pixels."""
    mean = ndimage.uniform_filter(coherence.astype(np.float64), _SPOT, mode="constant")
    ground = np.argwhere(ring)
    away = (ground - np.argwhere(inside).mean(axis=0)) * spacing
    angle = np.arctan2(away[:, 0], away[:, 1])
    order = np.argsort(angle, kind="stable")
    # Sectors begin behind the widest opening, so that none reaches across it.
    gaps = np.diff(angle[order], append=angle[order[0]] + 2 * np.pi)
    order = np.roll(order, -(int(gaps.argmax()) + 1))
    half = _SPOT // 2
    spots = []
    for sector in np.array_split(order, count):
        if sector.size == 0:
            continue
        y, x = ground[sector[np.argmax(mean[tuple(ground[sector].T)])]]
        around = ground[(np.abs(ground - (y, x)) <= half).all(axis=1)]
        spots.append(around)
    return tuple(spots)


def _scatter(
    displacement: NDArray[np.floating], pixels: NDArray[np.intp], common: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure how far each pixel strays from a common series; infinite where nothing is known."""
    left = displacement[:, pixels[:, 0], pixels[:, 1]] - common[:, np.newaxis]
    known = np.isfinite(left)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, left, 0.0).sum(axis=0) / n
    variance = (np.where(known, left - mean, 0.0) ** 2).sum(axis=0) / n
    return np.where(known.any(axis=0), np.sqrt(variance), np.inf)
