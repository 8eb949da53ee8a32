"""Which offsets to believe, and what of them is motion: rejection of false matches, correction by stable ground.

Arrays are (y, x) on the grid of the offsets.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.checks import check_shape, check_within
from groundshift.errors import NoDataError
from groundshift.offsets.matching import Offsets

__all__ = ["StableGround", "reject", "stable_ground_correction"]

_SIDE, _LEAST_NEIGHBOURS = 5, 6
_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
_LEAST_SPREAD = 0.02
"""Pixels: no neighbours agree better than a matcher can tell."""
_TUKEY, _STEPS, _STEADY = 4.685, 50, 1e-6
_LEAST_CELLS = 20


class StableGround(NamedTuple):
    """An offset component less what stable ground has of it, which is errors of orbit, timing and resampling."""

    corrected: NDArray[np.float32]
    """(y, x) unit of the input."""
    model: NDArray[np.float32]
    """(y, x) what was subtracted; NaN where the height is not known, if that is part of it."""
    scatter: float
    """Robust standard deviation of `corrected` on stable ground, unit of the input."""
    n_cells: int
    """Cells of stable ground that count (weight above zero)."""


def reject(
    offsets: Offsets, *, least_peak: float = 0.1, least_snr: float = 6.0, spread: float = 3.0
) -> NDArray[np.bool_]:
    """Find offsets that are no matches.

    Parameters
    ----------
    offsets : Offsets
        As matched.
    least_peak : float
        Least correlation at the peak, 0 to 1.
    least_snr : float
        Least SNR by the definition of `match`, which differs from peak over mean.
    spread : float
        An offset is rejected if either component lies more than so many median absolute deviations, as standard
        deviations, from the median of its 5 x 5 neighbourhood.

    Returns
    -------
    (y, x) bool array
        True where rejected, and where there is no offset.

    Notes
    -----
    The neighbourhood is that of the offsets which passed the other tests; one with fewer than 6 of them beside the
    middle is rejected, for nothing confirms it. Windows overlap, so that neighbours may agree better than they know: a
    deviation below the offset's own standard error, or 0.02 pixel, counts as that.

    Examples
    --------
    >>> from groundshift.offsets.matching import match
    >>> rng = np.random.default_rng(1)
    >>> first, second = np.abs(rng.normal(size=(2, 128, 128)))
    >>> bool(reject(match(first, first, windows=[32])).mean() < reject(match(first, second, windows=[32])).mean())
    True
    """
    check_within("least_peak", least_peak, 0, 1)
    check_within("least_snr", least_snr, 0, float("inf"))
    check_within("spread", spread, 0, float("inf"))
    known = np.isfinite(offsets.azimuth) & np.isfinite(offsets.range)
    good = known & (offsets.peak >= least_peak) & (offsets.snr >= least_snr)
    alone = _neighbours(good) < _LEAST_NEIGHBOURS
    bad = ~good | alone
    for component, sigma in ((offsets.azimuth, offsets.sigma_azimuth), (offsets.range, offsets.sigma_range)):
        bad |= good & _stands_out(np.where(good, component, np.nan), sigma, spread)
    return bad


def stable_ground_correction(
    component: NDArray[np.floating],
    stable: NDArray[np.bool_] | None = None,
    *,
    weight: NDArray[np.floating] | None = None,
    height: NDArray[np.floating] | None = None,
    plane: bool = True,
) -> StableGround:
    """Subtract from an offset component what stable ground shows.

    Parameters
    ----------
    component : (y, x) float array
        Offsets or displacement; NaN where unknown or rejected.
    stable : (y, x) bool array, optional
        Ground known not to move. Without it all of it is used, of which more than half must be stable.
    weight : (y, x) float array, optional
        Inverse variances; zero, negative and NaN leave a cell out. None: alike.
    height : (y, x) float array, optional
        Metres; adds a term proportional to it (an error of the baseline, or of the DEM's datum).
    plane : bool
        Fit a plane; otherwise a constant.

    Returns
    -------
    StableGround
        Corrected component, model, and how well stable ground agrees.

    Raises
    ------
    NoDataError
        If stable ground has fewer than 20 cells, or they do not determine the model.
    ValueError
        If shapes do not fit.

    Notes
    -----
    Tukey's bisquare from the median on, iteratively reweighted: ground that moves by more than 4.7 standard
    deviations does not count, though nobody said where it is.

    References
    ----------
    [Holland1977]

    Examples
    --------
    >>> y, x = np.mgrid[:40, :40]
    >>> seen = 0.3 + 0.01 * x - 0.02 * y + 5.0 * (np.hypot(y - 20, x - 20) < 8)
    >>> found = stable_ground_correction(seen)
    >>> [float(found.corrected[at].round(3)) + 0 for at in ((20, 20), (2, 3))]
    [5.0, 0.0]
    """
    weights = np.ones(component.shape) if weight is None else np.nan_to_num(weight, nan=0.0, posinf=0.0)
    check_shape("weight", weights, component.shape)
    rows, columns = np.indices(component.shape, np.float64)
    terms = [np.ones(component.shape)]
    if plane:
        terms += [rows / max(component.shape), columns / max(component.shape)]
    if height is not None:
        check_shape("height", height, component.shape)
        terms.append((height - np.nanmean(height)) / 1000.0)
    used = np.isfinite(component) & (weights > 0)
    for term in terms:
        used &= np.isfinite(term)
    if stable is not None:
        check_shape("stable", stable, component.shape)
        used &= stable
    if used.sum() < _LEAST_CELLS:
        raise NoDataError(f"stable ground has {used.sum()} cells with offsets; mark at least {_LEAST_CELLS}")
    design = np.stack([term[used] for term in terms], axis=1)
    if np.linalg.matrix_rank(design) < len(terms):
        raise NoDataError("stable ground lies on one line or height; mark more of it, or fit a constant")
    values = component[used].astype(np.float64)
    solution, counted, scatter = _bisquare(design, values, np.sqrt(weights[used].astype(np.float64)))
    model = np.einsum("tyx,t->yx", np.stack(terms), solution)
    return StableGround((component - model).astype(np.float32), model.astype(np.float32), scatter, counted)


def _bisquare(
    design: NDArray[np.float64], values: NDArray[np.float64], root: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int, float]:
    """Fit robustly: solution, cells that count, robust standard deviation of the residuals."""
    # The L1 norm finds the start, where a few moving cells pull least squares.
    solution: NDArray[Any] = np.zeros(design.shape[1])
    solution[0] = np.median(values)
    smooth = True
    share: NDArray[Any] = np.ones(len(values))
    for step in range(_STEPS):
        off = (values - design @ solution) * root
        spread = max(_NORMAL * float(np.median(np.abs(off))), np.finfo(np.float64).tiny)
        smooth = step < _STEPS // 2 and smooth
        if smooth:
            share = np.asarray(1 / np.maximum(np.abs(off), 0.1 * spread))
        else:
            share = np.square(np.maximum(1 - (off / (_TUKEY * spread)) ** 2, 0))
        weighted = design * (root**2 * share)[:, np.newaxis]
        before, solution = solution, np.linalg.solve(weighted.T @ design, weighted.T @ values)
        if np.abs(design @ (solution - before)).max() < _STEADY * spread:
            if not smooth:
                break
            smooth = False
    off = values - design @ solution
    return solution, int(np.count_nonzero(share)), _NORMAL * float(np.median(np.abs(off)))


def _neighbours(good: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Count good offsets around each cell."""
    box = np.ones((_SIDE, _SIDE), np.intp)
    box[_SIDE // 2, _SIDE // 2] = 0
    return np.asarray(ndimage.convolve(good.astype(np.intp), box, mode="constant"))


def _stands_out(component: NDArray[np.floating], sigma: NDArray[np.floating], spread: float) -> NDArray[np.bool_]:
    """Compare each offset with the median of its neighbourhood; what is not known does not count."""
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(component, _SIDE // 2, constant_values=np.nan), (_SIDE, _SIDE)
    ).reshape(*component.shape, -1)
    some = np.isfinite(around).any(axis=-1)
    middle, deviation = np.full(component.shape, np.nan), np.full(component.shape, np.nan)
    middle[some] = np.nanmedian(around[some], axis=-1)
    deviation[some] = np.nanmedian(np.abs(around[some] - middle[some][:, np.newaxis]), axis=-1)
    width = np.maximum(_NORMAL * deviation, np.maximum(np.nan_to_num(sigma), _LEAST_SPREAD))
    return np.asarray(np.abs(component - middle) > spread * width)
