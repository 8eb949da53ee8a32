"""Integrate two gradient components into a relative velocity map, without unwrapping.

The nodes form a lattice whose edges carry the differences. The map is the field whose own differences fit them best in
the least-squares sense, each edge weighted by its inverse variance; where the components contradict each other (curl)
the misfit is shared out. An edge without data has no say, so holes are bridged smoothly.
"""

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from groundshift.errors import NoDataError
from groundshift.gradients.stack import GradientStack

__all__ = ["integrate", "relative_velocity"]

_WEIGHT_RANGE = 10.0
"""Weights are levelled off at this ratio above and below their median, which bounds the number of iterations."""

_BROAD = 10.0
"""Nodes over which weights are smoothed in the preconditioner."""

_MOST_ITERATIONS = 2000


def relative_velocity(stack: GradientStack, *, reach: float | None = None) -> NDArray[np.float32]:
    """Return the line-of-sight velocity relative to the surroundings.

    Parameters
    ----------
    stack : GradientStack
        With forward differences along rows and columns as its first two directions.
    reach : float, optional
        Distance in nodes beyond which velocities are not compared: differences over longer distances fade to zero, and
        with them the drift that noise builds up in a wide scene. None compares the whole scene.

    Returns
    -------
    (y, x) float32 array
        mm/yr, positive towards the satellite, median zero; NaN where a node has no edge with data. Lies on
        `stack.node_grid`.

    Raises
    ------
    NoDataError
        If no edge has data.
    """
    if not stack.is_lattice:
        raise ValueError("stack must hold forward differences along both axes; take the step of 1")
    gradient, sigma = stack.velocity_gradient[:2], stack.velocity_gradient_sigma[:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(np.isfinite(gradient) & (sigma > 0), 1 / sigma**2, 0)
    return integrate(gradient[0], gradient[1], weight[0], weight[1], reach=reach)


def integrate(
    dy: NDArray[np.float32],
    dx: NDArray[np.float32],
    weight_y: NDArray[np.float32],
    weight_x: NDArray[np.float32],
    *,
    reach: float | None = None,
    tolerance: float = 5e-4,
) -> NDArray[np.float32]:
    """Find the field whose forward differences fit `dy` and `dx` best.

    Parameters
    ----------
    dy, dx : (y, x) float arrays
        Differences to the next row and to the next column; ignored where the weight is zero.
    weight_y, weight_x : (y, x) float arrays
        Inverse variances, not negative; the last row of one and the last column of the other are not used.
    reach : float, optional
        Screening length in nodes; None for the pure Poisson problem.
    tolerance : float
        Stop when the residual has fallen to this share of the right-hand side.

    Returns
    -------
    (y, x) float32 array
        Median zero; NaN where a node has no weighted edge.

    Notes
    -----
    Solves ``div(W grad v) - W v / reach^2 = div(W g)`` by conjugate gradients. The preconditioner is the exact solution
    of the unweighted problem by cosine transforms [Ghiglia1994]_, scaled by the root of the smoothed weight.
    """
    wy = np.where(weight_y > 0, weight_y, 0).astype(np.float32)
    wx = np.where(weight_x > 0, weight_x, 0).astype(np.float32)
    wy[-1] = 0
    wx[:, -1] = 0
    positive = np.concatenate([wy[wy > 0], wx[wx > 0]])
    if positive.size == 0:
        raise NoDataError("no gradient has data; check the coherence of the stack")
    typical = np.median(positive)
    wy = np.where(wy > 0, np.clip(wy / typical, 1 / _WEIGHT_RANGE, _WEIGHT_RANGE), np.float32(0))
    wx = np.where(wx > 0, np.clip(wx / typical, 1 / _WEIGHT_RANGE, _WEIGHT_RANGE), np.float32(0))
    screen = np.float32(0 if reach is None else 1 / reach**2)
    weight = _edges(wy, wx) / 4
    used = weight > 0
    tie = screen * weight
    # Only the broad course of the weights: what differs from node to node would spoil the cosine solution.
    spread = 1 / np.sqrt(np.maximum(gaussian_filter(weight, _BROAD), np.float32(0.05)))

    ky = 2 - 2 * np.cos(np.pi * np.arange(dy.shape[0]) / dy.shape[0])
    kx = 2 - 2 * np.cos(np.pi * np.arange(dy.shape[1]) / dy.shape[1])
    spectrum = (ky[:, np.newaxis] + kx + screen).astype(np.float32)
    spectrum[0, 0] = max(spectrum[0, 0], np.delete(spectrum.ravel(), 0).min(initial=1.0))

    def system(v: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(_divergence(wy * _ahead(v, 0), wx * _ahead(v, 1)) + tie * v, np.float32)

    def precondition(r: NDArray[np.float32]) -> NDArray[np.float32]:
        transformed = scipy.fft.dctn(spread * r, norm="ortho", workers=-1) / spectrum
        return np.asarray(spread * scipy.fft.idctn(transformed, norm="ortho", workers=-1))

    residual = _divergence(wy * np.where(wy > 0, dy, 0), wx * np.where(wx > 0, dx, 0)).astype(np.float32)
    v = np.zeros(dy.shape, np.float32)
    target = tolerance * float(np.linalg.norm(residual))
    z = precondition(residual)
    search = z.copy()
    power = float(np.vdot(residual, z))
    for _ in range(_MOST_ITERATIONS):
        if float(np.linalg.norm(residual)) <= target:
            break
        applied = system(search)
        step = np.float32(power / float(np.vdot(search, applied)))
        v += step * search
        residual -= step * applied
        z = precondition(residual)
        power, before = float(np.vdot(residual, z)), power
        search = z + np.float32(power / before) * search
    out = np.where(used, v, np.nan)
    return np.asarray(out - np.nanmedian(out), np.float32)


def _ahead(v: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Forward difference, zero at the end."""
    out = np.zeros_like(v)
    if axis == 0:
        out[:-1] = v[1:] - v[:-1]
    else:
        out[:, :-1] = v[:, 1:] - v[:, :-1]
    return out


def _divergence(fy: NDArray[np.float32], fx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Adjoint of the forward differences: what flows into a node minus what flows out."""
    out = -fy - fx
    out[1:] += fy[:-1]
    out[:, 1:] += fx[:, :-1]
    return out


def _edges(wy: NDArray[np.float32], wx: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the weights of the edges of each node."""
    out = wy + wx
    out[1:] += wy[:-1]
    out[:, 1:] += wx[:, :-1]
    return out
