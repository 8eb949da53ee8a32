"""From the pairs of a stack to the motion between dates: weighted least squares over the network of every pixel.

A pair tells how far the ground moved from one date to the other. Where pairs overlap they tell it more than once, and
displacement is what agrees with them best. Arrays are (pair, y, x) and (date, y, x); displacement is in metres,
positive towards the satellite, and -wavelength / (4 pi) times the phase.
"""

import math
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_shape
from groundshift.errors import NoDataError
from groundshift.pairs import DateGap, date_graph
from groundshift.timeseries._kernels import accumulate_maps
from groundshift.timeseries._network import Task, prepare, solve
from groundshift.timeseries._weights import look_up, weights_of_looks
from groundshift.timeseries.terms import DemError, estimate_dem_error
from groundshift.types import Pair

__all__ = ["DateCovariance", "Inverted", "covariance_of", "invert_network", "phase_weights"]


class Inverted(NamedTuple):
    """Motion of every pixel over the dates of a network of pairs."""

    dates: tuple[date, ...]
    """Dates of all pairs, ascending."""
    displacement: NDArray[np.float32]
    """(date, y, x) metres, positive towards the satellite, zero at the first date (a pixel without pairs there: at its
    own first one); NaN at dates that the pixel does not reach, and everywhere if it has fewer than two pairs."""
    sigma: NDArray[np.float32]
    """(date, y, x) standard error of `displacement`, metres; zero at the date where that is zero by definition."""
    groups: NDArray[np.uint16]
    """(date, y, x) group of dates that the pixel's pairs join, from 1; 0 where `displacement` is NaN. Between groups
    displacement is that of least velocity, and `sigma` does not know what happened."""
    temporal_coherence: NDArray[np.float32]
    """(y, x) length of the mean phasor of the residuals, 0 to 1; 0 without a solution."""
    n_pairs: NDArray[np.uint16]
    """(y, x) pairs that count: with data and weight and, if robust, less than half a cycle off."""
    residual: NDArray[np.float32]
    """(y, x) root mean square residual of the pairs that count, radians; NaN without a solution."""
    dem_error: NDArray[np.float32] | None
    """(y, x) metres taken out, NaN where it is not known and was not; None if not asked for."""
    gaps: tuple[DateGap, ...]
    """Gaps between groups of dates that no pairs with data join, in order of time: crossed by minimum norm."""


class DateCovariance(NamedTuple):
    """Mean displacement over a mask, and how its errors depend on each other."""

    dates: tuple[date, ...]
    """Dates of all pairs, ascending."""
    displacement: NDArray[np.float64]
    """(date,) metres, zero at the first date known; NaN where not known."""
    covariance: NDArray[np.float64]
    """(date, date) square metres; NaN where not known."""
    n_pixels: int
    """Pixels that know all these dates."""
    correlation: float
    """Mean correlation between the noise of two of these pixels, 0 to 1; 1 for a single one."""


def phase_weights(coherence: NDArray[np.floating], nlooks: float) -> NDArray[np.float32]:
    """Return the inverse variance of the phase of an interferogram.

    Parameters
    ----------
    coherence : array
        0 to 1, any shape; 0 and NaN mean no data, larger values count as 1.
    nlooks : float
        Independent looks, at least 1; more than 1000 count as so many.

    Returns
    -------
    float32 array
        rad^-2, from 0.304 (phase anywhere in the circle) to 100 (0.1 rad, below which other noise prevails), or 0.

    Notes
    -----
    The variance is the mean of phi^2 over the phases of distributed scatterers, and approaches
    (1 - coherence^2) / (2 nlooks coherence^2) for many looks or high coherence.

    References
    ----------
    [Hanssen2001], equations 4.2.23 and 4.2.27.

    Examples
    --------
    >>> phase_weights(np.array([0.0, 0.5, 0.99]), 20).round(1)
    array([  0. ,  11.3, 100. ], dtype=float32)
    """
    if not (math.isfinite(nlooks) and nlooks >= 1):
        raise ValueError(f"nlooks must be at least 1, instead got {nlooks}")
    found = np.empty(np.shape(coherence), np.float32)
    look_up(weights_of_looks(nlooks), np.asarray(coherence, np.float32).ravel(), found.ravel())
    return found


def invert_network(
    unw: NDArray[np.floating],
    weights: ArrayLike | None,
    pairs: Sequence[Pair],
    wavelength: float,
    *,
    dem_per_metre: NDArray[np.float64] | None = None,
    robust: bool = False,
) -> Inverted:
    """Find the motion of every pixel that agrees best with its pairs.

    Parameters
    ----------
    unw : (pair, y, x) float array
        Unwrapped phase of reference times conjugate secondary, radians; NaN where missing.
    weights : (pair, y, x) or (pair,) array, or None
        Inverse variances, rad^-2 (`phase_weights`); zero, negative and NaN leave a pair out. None: alike and unknown.
    pairs : sequence of Pair
        In any order; they need not be connected.
    wavelength : float
        Metres, positive.
    dem_per_metre : (date,) array, optional
        Displacement that a metre of DEM error feigns at each date (`dem_per_metre`); the error is taken out.
    robust : bool
        Leave out pairs that lie whole cycles off the others.

    Returns
    -------
    Inverted
        Displacement with standard errors, and how well the pairs agree.

    Raises
    ------
    NoDataError
        If there are no pairs.
    InseparableTermError
        If the DEM error is asked for and cannot be told from motion.
    ValueError
        If shapes do not fit, or the wavelength is not positive.

    Notes
    -----
    *Least squares.* With A the incidence of pairs and dates and W the weights, x minimises (phi - A x)' W (phi - A x).

    *Gaps.* Where pairs do not join all dates of a pixel, x is the solution of least squared velocity between its
    successive dates: that of the singular value decomposition of the design matrix in velocities. Each group of dates
    is solved by itself; the offsets g of groups minimise the sum of ((x_b + g_b - x_a - g_a) / (t_b - t_a))^2 over
    successive dates a, b of different groups.

    *Standard errors* are those of G W^-1 G' with x = G phi, times the reduced chi-square of the residuals. Where
    weights are given the latter counts as 1 at least: averaged pairs share part of their noise and then close better
    than they are. Pairs without redundancy have the error of their weights, or NaN without weights. Errors that
    belong to dates (air) close in every triangle and are not part of it.

    *Robust.* Iterative reweighting, first for the L1 norm of the residuals, then by Tukey's bisquare with half a cycle
    (pi rad) as its limit, beyond which a pair does not count: unwrapping errors are whole cycles, so that no estimate
    of the noise is needed. Of two equally trusted pairs that contradict each other neither can be chosen.

    *DEM error.* Estimated from the displacement of the dates (`terms.estimate_dem_error`) and taken out of the pairs,
    which are then inverted again; its standard error is added in quadrature.

    References
    ----------
    [Berardino2002] for the least velocity, [Pepe2006] for temporal coherence, [Holland1977] for reweighting.

    Examples
    --------
    >>> days = [date(2020, 1, 1), date(2020, 1, 13), date(2020, 1, 25)]
    >>> pairs = [Pair(days[0], days[1]), Pair(days[1], days[2]), Pair(days[0], days[2])]
    >>> unw = np.array([1.0, 1.0, 2.0]).reshape(3, 1, 1)
    >>> (invert_network(unw, None, pairs, 4 * np.pi).displacement[:, 0, 0] + 0).round(3)
    array([ 0., -1., -2.], dtype=float32)
    """
    task = prepare(unw, weights, pairs, wavelength, robust)
    shape = unw.shape[1:]
    dem = None
    if dem_per_metre is not None:
        task, dem = _without_dem_error(task, dem_per_metre)
    found = solve(task)
    sigma = found.sigma
    if dem_per_metre is not None and dem is not None:
        lever = dem_per_metre[:, np.newaxis] - dem_per_metre[np.argmax(found.groups > 0, axis=0)]
        sigma = np.hypot(sigma, np.nan_to_num(lever * dem.sigma)).astype(np.float32)
    return Inverted(
        dates=task.dates,
        displacement=found.displacement.reshape(-1, *shape),
        sigma=sigma.reshape(-1, *shape),
        groups=found.groups.reshape(-1, *shape),
        temporal_coherence=found.quality[0].reshape(shape),
        n_pairs=found.quality[1].astype(np.uint16).reshape(shape),
        residual=found.quality[2].reshape(shape),
        dem_error=None if dem is None else dem.error.reshape(shape),
        gaps=_gaps_crossed(task, pairs),
    )


def covariance_of(
    unw: NDArray[np.floating],
    weights: ArrayLike | None,
    pairs: Sequence[Pair],
    wavelength: float,
    mask: NDArray[np.bool_],
    *,
    dem_per_metre: NDArray[np.float64] | None = None,
    robust: bool = False,
) -> DateCovariance:
    """Return the mean displacement over a mask with its full covariance; a mask of one pixel gives that pixel's.

    Parameters
    ----------
    unw, weights, pairs, wavelength, dem_per_metre, robust
        As for `invert_network`.
    mask : (y, x) bool array
        Pixels to average.

    Returns
    -------
    DateCovariance
        Of the dates and pixels that make the largest block without a hole.

    Raises
    ------
    NoDataError
        If no pixel of the mask has a solution; otherwise as for `invert_network`.

    Notes
    -----
    A mean whose pixels change from date to date would jump. Hence the block: dates in order of how many pixels know
    them, as many as make dates times pixels that know all of these the most.

    Pixels are not independent. With x_p = G_p phi_p, and r the mean correlation between the noise of one pair at two
    pixels of the mask, the same for all pairs,

        cov = ((1 - r) sum_p G_p S_p G_p' + r (sum_p G_p S_p^(1/2)) (sum_p G_p S_p^(1/2))') / n^2 ,

    where S_p is W_p^-1 times the reduced chi-square of the pixel, as in `invert_network`. r is measured from the
    residuals: the variance of a mean depends on the mean correlation, however that falls off with distance. The error
    of the DEM error, from the air of whole dates, is taken to be the same in all pixels. Robust weights count as given.
    """
    check_shape("mask", mask, unw.shape[1:])
    task, chosen = prepare(unw, weights, pairs, wavelength, robust), mask.ravel()
    weight = task.weight[:, chosen] if task.weight.shape[1] > 1 else task.weight
    task = task._replace(phase=task.phase[:, chosen].copy(), weight=weight.copy())
    dem = None
    if dem_per_metre is not None and chosen.any():
        task, dem = _without_dem_error(task, dem_per_metre)
    found = solve(task, keep_weights=True)
    dates, pixels = _whole_block(found.groups > 0)
    n, size = int(pixels.sum()), len(task.dates)
    if n == 0:
        raise NoDataError(f"none of {int(chosen.sum())} pixels has a solution; choose another place")
    used, scale = np.ascontiguousarray(found.used[:, pixels]), found.quality[3, pixels].astype(np.float64)
    own, together = np.zeros((size, size)), np.zeros((size, len(pairs)))
    accumulate_maps(used, task.first, task.second, task.days, scale, own, together)
    start = int(np.argmax(dates))
    level = np.eye(size)
    level[:, start] -= 1
    r = _noise_correlation(task, found.displacement[:, pixels], task.phase[:, pixels], used)
    covariance = level @ ((1 - r) * own + r * together @ together.T) @ level.T * (task.metres / n) ** 2
    if dem_per_metre is not None and dem is not None:
        lever = dem_per_metre - dem_per_metre[start]
        covariance += np.outer(lever, lever) * float(np.mean(np.nan_to_num(dem.sigma[pixels]))) ** 2
    mean = (found.displacement[:, pixels] - found.displacement[start, pixels]).mean(axis=1, dtype=np.float64)
    covariance[~(dates[:, np.newaxis] & dates)] = np.nan
    return DateCovariance(task.dates, np.where(dates, mean, np.nan), covariance, n, r)


def _without_dem_error(task: Task, per_metre: NDArray[np.float64]) -> tuple[Task, DemError]:
    """Estimate the DEM error and take it out of the pairs, where it is known."""
    found = solve(task)
    dem = estimate_dem_error(task.dates, found.displacement, found.groups, per_metre)
    of_pair = ((per_metre[task.second] - per_metre[task.first]) / task.metres).astype(np.float32)
    return task._replace(phase=task.phase - of_pair[:, np.newaxis] * np.nan_to_num(dem.error)), dem


def _gaps_crossed(task: Task, pairs: Sequence[Pair]) -> tuple[DateGap, ...]:
    """Find the gaps in the network of the pairs that any pixel can use."""
    used = (task.weight > 0) & np.isfinite(task.phase)
    graph = date_graph([pair for pair, known in zip(pairs, used, strict=True) if known.any()])
    return tuple(gap for gap in graph.gaps if not gap.connected)


def _whole_block(known: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose dates and pixels that know all of them, so that there are most values: masks (date,) and (pixel,)."""
    order = np.argsort(-known.sum(axis=1), kind="stable")
    whole = np.logical_and.accumulate(known[order])
    count = int(np.argmax(whole.sum(axis=1) * np.arange(1, len(order) + 1))) + 1
    dates = np.zeros(len(order), bool)
    dates[order[:count]] = True
    return dates, whole[count - 1]


def _noise_correlation(
    task: Task, displacement: NDArray[np.float32], phase: NDArray[np.float32], used: NDArray[np.float32]
) -> float:
    """Measure the mean correlation of residuals between two pixels, each pixel's scaled to unit scatter."""
    if phase.shape[1] < 2:
        return 1.0
    moved = (displacement[task.second] - displacement[task.first]).astype(np.float64) / task.metres
    off = np.where(used > 0, np.sqrt(used) * (phase - moved), 0)
    scatter = np.sqrt(np.mean(off**2, axis=0))
    off = np.divide(off, scatter, out=np.zeros_like(off), where=scatter > 0)
    squares = (off**2).sum(axis=1)
    most = ((np.count_nonzero(used, axis=1) - 1) * squares).sum()
    return float(np.clip((off.sum(axis=1) ** 2 - squares).sum() / most, 0, 1)) if most > 0 else 1.0
