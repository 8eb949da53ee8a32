"""Linear models of series in noise that is correlated in time, with errors that hold.

The residuals of displacement series are no white noise: the air leaves traces that last, the ground of the reference is
not quite still, and the errors of a network of pairs add up along it. How much of each there is cannot be told well
from some tens of dates. So the model is fitted under each of a set of noise models by generalised least squares, and
averaged over them by their probability given the series.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from groundshift.timeseries._coloured import average_few, average_many

__all__ = ["NOISE_MODELS", "Estimate", "estimate"]

_WHITE, _REMEMBERED, _DRIFTING = 0.70, 0.18, 0.12
"""Prior probabilities. With them intervals of 95 % hold the truth most nearly as often as they say, over noise that is
white, autoregressive or drifting, and 15 to 120 dates (docs/results.md)."""
_MISTRUST = 0.05
"""Prior probability that noise is white, and stated errors that grow with time are wrong."""
_MEMORIES = (0.06, 0.12, 0.25, 0.5)
_SHARES = (0.5, 2.0, 8.0)
_DRIFTS = (0.1, 0.4, 1.6, 6.4)

NOISE_MODELS = np.array(
    [(0.0, 1.0, 0.0, 1.0, _WHITE - _MISTRUST), (0.0, 1.0, 0.0, 0.0, _MISTRUST)]
    + [(share, memory, 0.0, 1.0, _REMEMBERED / 12) for memory in _MEMORIES for share in _SHARES]
    + [(0.0, 1.0, drift, 0.0, _DRIFTING / 4) for drift in _DRIFTS]
)
"""(model, 5), in units of the white noise: variance of a process that forgets exponentially, its memory in years,
variance per year of a random walk, whether the drift that stated errors imply is added, prior probability."""

_LEVELS = np.array([0.6827, 0.95])
_DOFS = np.concatenate([np.linspace(1, 30, 291), np.geomspace(31, 1e5, 100)])
_SPREADS = stats.t.ppf(0.5 + _LEVELS[1] / 2, _DOFS) / stats.t.ppf(0.5 + _LEVELS[0] / 2, _DOFS)
"""How much wider the interval of 95 % is than that of 68 %, by degrees of freedom; falling."""
_MANY = 16
"""Series from which on several cores are worth waking."""
_LEAST_WHITE = 0.1
"""Least share of white noise in the differences of successive dates."""
_ROUNDING = 1e-6
"""Least share of the stated variance that the white noise of a series has."""


class Estimate(NamedTuple):
    """Parameters of a linear model for each of many series."""

    mean: NDArray[np.float64]
    """(series, p)."""
    covariance: NDArray[np.float64]
    """(series, p, p)."""
    error: NDArray[np.float64]
    """(series,) standard error of the parameter in focus: its intervals are those of a t distribution..."""
    dof: NDArray[np.float64]
    """... with so many degrees of freedom, (series,)."""
    scatter: NDArray[np.float64]
    """(series,) standard deviation of the residuals of plain least squares."""
    independent: NDArray[np.float64]
    """(series,) number of dates of independent noise that would tell the parameter in focus as well."""
    deviance: NDArray[np.float64]
    """(series,) -2 log likelihood under the noise model that is best for it, up to a constant."""


def estimate(
    years: NDArray[np.float64],
    design: NDArray[np.float64],
    series: NDArray[np.float64],
    sigma: NDArray[np.float64] | None = None,
    *,
    focus: int = 1,
) -> Estimate:
    """Fit a linear model to series in noise of unknown colour.

    Parameters
    ----------
    years : (date,) float array
        Ascending.
    design : (date, p) float array
        Of full rank, p < date. A constant must be among its columns, or sum up from them.
    series : (series, date) float array
        Without gaps.
    sigma : (series, date) float array, optional
        Standard errors relative to the date where they are least, in the unit of the series. A series in which one is
        NaN is fitted as if none were given.
    focus : int
        Parameter for which `error`, `dof` and `independent` are given.

    Returns
    -------
    Estimate
        Averages over `NOISE_MODELS`.

    Notes
    -----
    Under model k the covariance of the noise is s^2 V_k with s^2 free: V_k is the unit matrix, plus share times
    exp(-|t - t'| / memory), plus a random walk. Its probability is its prior times the restricted likelihood
    |V|^-1/2 |X' V^-1 X|^-1/2 (r' V^-1 r)^-(n - p)/2. The offset is free in every model, so that noise common to all
    dates, such as that of the first date, drops out.

    `sigma` adds what is known beforehand. Errors that grow with the time from the first date are those of a network
    whose errors add up: a random walk, of a size that most noise models then take as given; those that look for a
    drift by themselves do not, so that errors which are far from what the series shows are not believed. A date whose
    error stands out has more white noise. Otherwise dates count alike, since air, which scatters them, is not in
    `sigma`.
    """
    n, p = design.shape
    inverse = np.linalg.inv(design.T @ design)
    residual = series - series @ design @ inverse @ design.T
    scatter = np.sqrt((residual**2).sum(axis=1) / (n - p))
    own, drift = _known_noise(years, residual, sigma)
    count = len(series)
    mean, covariance = np.empty((count, p)), np.empty((count, p, p))
    halves, deviance = np.empty((count, _LEVELS.size)), np.empty(count)
    # Centred, so that a large offset costs no digits.
    centre = series.mean(axis=1, keepdims=True)
    average = average_many if count >= _MANY else average_few
    average(
        years, np.ascontiguousarray(design), np.ascontiguousarray(series - centre), np.ascontiguousarray(own), drift,
        NOISE_MODELS, focus, _LEVELS, mean, covariance, halves, deviance,
    )  # fmt: skip
    mean += centre * (inverse @ design.sum(axis=0))
    dof = np.minimum(np.interp(-halves[:, 1] / halves[:, 0], -_SPREADS, _DOFS), n - p)
    error = halves[:, 1] / stats.t.ppf(0.5 + _LEVELS[1] / 2, dof)
    independent = n * np.minimum(inverse[focus, focus] * (scatter / error) ** 2, 1.0)
    return Estimate(mean, covariance, error, dof, scatter, independent, deviance)


def _known_noise(
    years: NDArray[np.float64], residual: NDArray[np.float64], sigma: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn standard errors into (series, date) white variances and (series,) drifts per year, the usual one being 1."""
    if sigma is None or len(years) < 4:
        return np.ones_like(residual), np.zeros(len(residual))
    variance = np.where(np.isfinite(sigma).all(axis=1, keepdims=True), sigma, 0.0) ** 2
    away = np.abs(years - years[np.argmin(variance, axis=1)][:, np.newaxis])
    far = away > np.median(away, axis=1, keepdims=True)
    drift = _median(variance, far) - _median(variance, ~far & (away > 0))
    drift = np.maximum(drift, 0.0) / (_median(away, far) - _median(away, ~far & (away > 0)))
    # What the series itself shows limits what its stated errors can mean.
    change = (np.diff(residual, axis=1) ** 2).mean(axis=1)
    step = np.diff(years).mean()
    drift = np.minimum(drift, (1 - _LEAST_WHITE) * change / step)
    usual = _median(variance, away > 0)
    white = np.maximum((change - drift * step) / 2, np.maximum(_ROUNDING * usual, np.finfo(np.float64).tiny))
    later = away - np.median(away, axis=1, keepdims=True)
    expected = np.maximum(usual[:, np.newaxis] + drift[:, np.newaxis] * later, 0.0)
    # Twice the usual variance stands out; less is how errors scatter.
    excess = np.where(variance > 2 * expected, variance - expected, 0.0)
    return 1.0 + excess / white[:, np.newaxis], drift / white


def _median(values: NDArray[np.float64], of: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median of each row over some of its columns; NaN over none. Many times faster than `np.nanmedian`."""
    ordered, count, rows = np.sort(np.where(of, values, np.nan), axis=1), of.sum(axis=1), np.arange(len(of))
    return np.asarray((ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2)
