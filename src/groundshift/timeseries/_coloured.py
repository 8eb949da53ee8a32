"""Compiled inner loops of fitting a model to series whose noise is correlated in time.

The noise of a series is white noise, plus a stationary process that forgets exponentially, plus a random walk. All
columns of the design and the series pass through one Kalman filter, whose innovations are white and independent: their
products are the normal equations of generalised least squares, in time proportional to the number of dates.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange

__all__ = ["average_models"]

_TINY = 1e-300
_ROUNDING = 1e-14
"""Share of the sum of squares below which a residual is rounding error."""
_NEGLIGIBLE = 1e-4
"""Noise models of less probability do not count in a quantile."""
_BISECTIONS = 36


@njit(nogil=True, cache=True)
def _innovations(
    years: Any,
    design: Any,
    series: Any,
    own: Any,
    share: float,
    memory: float,
    drift: float,
    gram: Any,
    state: Any,
    v: Any,
) -> float:
    """Fill the lower triangle of the Gram matrix of the whitened columns, the series last; return log |V|."""
    dates, p = design.shape
    gram[:], state[:] = 0.0, 0.0
    # Covariance of both states: what is remembered, and where the random walk has come to.
    pp, pw, ww = share, 0.0, 0.0
    log_det = 0.0
    for i in range(dates):
        if i > 0:
            dt = years[i] - years[i - 1]
            ww += drift * dt
            if share > 0:
                kept = math.exp(-dt / memory)
                pp = kept * kept * pp + share * (1 - kept * kept)
                pw *= kept
                for c in range(p + 1):
                    state[0, c] *= kept
        f = pp + 2 * pw + ww + own[i]
        gain_p, gain_w = (pp + pw) / f, (pw + ww) / f
        scale = 1 / math.sqrt(f)
        for c in range(p + 1):
            d = (design[i, c] if c < p else series[i]) - state[0, c] - state[1, c]
            state[0, c] += gain_p * d
            state[1, c] += gain_w * d
            v[c] = d * scale
        pp, pw, ww = pp - gain_p * (pp + pw), pw - gain_p * (pw + ww), ww - gain_w * (pw + ww)
        log_det += math.log(f)
        for c in range(p + 1):
            for e in range(c + 1):
                gram[c, e] += v[c] * v[e]
    return log_det


@njit(nogil=True, cache=True)
def _solve(gram: Any, beta: Any, inverse: Any, lower: Any, turned: Any, z: Any) -> tuple[float, float]:
    """Solve the normal equations; return the residual sum of squares and log |X' V^-1 X|."""
    p = beta.size
    log_det = 0.0
    for i in range(p):
        for j in range(i + 1):
            s = gram[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            if i == j:
                lower[i, i] = math.sqrt(max(s, _TINY))
                log_det += 2 * math.log(lower[i, i])
            else:
                lower[i, j] = s / lower[j, j]
    for i in range(p):
        turned[i, i] = 1 / lower[i, i]
        for j in range(i):
            s = 0.0
            for k in range(j, i):
                s -= lower[i, k] * turned[k, j]
            turned[i, j] = s / lower[i, i]
    left = gram[p, p]
    for i in range(p):
        z[i] = 0.0
        for j in range(i + 1):
            z[i] += turned[i, j] * gram[p, j]
        left -= z[i] * z[i]
    for i in range(p):
        beta[i] = 0.0
        for k in range(i, p):
            beta[i] += turned[k, i] * z[k]
        for j in range(p):
            s = 0.0
            for k in range(max(i, j), p):
                s += turned[k, i] * turned[k, j]
            inverse[i, j] = s
    return max(left, _ROUNDING * gram[p, p], _TINY), log_det


@njit(nogil=True, cache=True)
def _student(t: float, dof: int) -> float:
    """Distribution function of Student's t; beyond two degrees of freedom by Wallace's approximation."""
    if dof == 1:
        return 0.5 + math.atan(t) / math.pi
    if dof == 2:
        # hypot does not overflow where a residual is nothing but rounding error.
        return 0.5 + 0.5 * t / math.hypot(math.sqrt(2.0), t)
    z = math.sqrt(dof * math.log1p(t * t / dof)) * (8 * dof + 1) / (8 * dof + 3)
    return 0.5 * (1 + math.erf(math.copysign(z, t) / math.sqrt(2.0)))


@njit(nogil=True, cache=True)
def _half_width(beta: Any, error: Any, weight: Any, mean: float, dof: int, confidence: float) -> float:
    """Half the width of the interval around the mean that holds a share of a mixture of t distributions."""
    low, high = 0.0, 0.0
    for k in range(beta.size):
        if weight[k] > _NEGLIGIBLE:
            high = max(high, abs(beta[k] - mean) + (16.0 if dof == 1 else 7.0) * error[k])
    for _ in range(_BISECTIONS):
        half = 0.5 * (low + high)
        held = 0.0
        for k in range(beta.size):
            if weight[k] > _NEGLIGIBLE:
                above = _student((mean + half - beta[k]) / error[k], dof)
                held += weight[k] * (above - _student((mean - half - beta[k]) / error[k], dof))
        if held < confidence:
            low = half
        else:
            high = half
    return 0.5 * (low + high)


@njit(parallel=True, nogil=True, cache=True)
def average_models(
    years: Any, design: Any, series: Any, own: Any, network_drift: Any, models: Any, focus: int, confidences: Any,
    mean: Any, covariance: Any, halves: Any, deviance: Any,
) -> None:  # fmt: skip
    """Fit a linear model under every noise model, and average over them by their probability.

    Parameters
    ----------
    years : (date,) float64 array
        Ascending.
    design : (date, p) float64 array
        p < date; of full rank.
    series : (series, date) float64 array
    own : (series, date) float64 array
        Variance of the white noise of each date, about one.
    network_drift : (series,) float64 array
        Variance per year of a random walk that all noise models have, in the same unit.
    models : (model, 4) float64 array
        Variance of the stationary process, its memory in years, variance per year of the random walk, prior weight.
    focus : int
        Parameter whose intervals are wanted...
    confidences : (level,) float64 array
        ... at these levels.
    mean, covariance, halves, deviance
        Filled: (series, p), (series, p, p), (series, level), and (series,): -2 log likelihood of the best noise model,
        its prior included.
    """
    dates, p = design.shape
    dof = dates - p
    n_models = models.shape[0]
    for q in prange(series.shape[0]):
        gram, state, v = np.empty((p + 1, p + 1)), np.empty((2, p + 1)), np.empty(p + 1)
        lower, turned, z = np.zeros((p, p)), np.zeros((p, p)), np.empty(p)
        beta, inverse = np.empty((n_models, p)), np.empty((n_models, p, p))
        weight, error = np.empty(n_models), np.empty(n_models)
        deviance[q] = np.inf
        for k in range(n_models):
            share, memory, drift, prior = models[k]
            log_v = _innovations(
                years, design, series[q], own[q], share, memory, drift + network_drift[q], gram, state, v
            )
            left, log_x = _solve(gram, beta[k], inverse[k], lower, turned, z)
            inverse[k] *= left / dof
            error[k] = math.sqrt(inverse[k, focus, focus])
            weight[k] = -0.5 * (log_v + log_x + dof * math.log(left)) + math.log(prior)
            deviance[q] = min(deviance[q], log_v + dates * math.log(left / dates) - 2 * math.log(prior))
        weight[:] = np.exp(weight - weight.max())
        weight /= weight.sum()
        mean[q], covariance[q] = 0.0, 0.0
        for k in range(n_models):
            mean[q] += weight[k] * beta[k]
        for k in range(n_models):
            for i in range(p):
                for j in range(p):
                    apart = (beta[k, i] - mean[q, i]) * (beta[k, j] - mean[q, j])
                    covariance[q, i, j] += weight[k] * (inverse[k, i, j] + apart)
        for level in range(confidences.size):
            halves[q, level] = _half_width(beta[:, focus], error, weight, mean[q, focus], dof, confidences[level])
