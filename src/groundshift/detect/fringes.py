"""The rule-based detector of bowls: closed, dense fringes of one interferogram, without unwrapping or training.

Wrapped differences between neighbours, averaged as phasors, are the local frequency of the fringes wherever it stays
below half a cycle a pixel. Integrated by least squares they give a phase that closed fringes raise and noise does not,
as far as the differences agree with each other; where they contradict each other, their misfit says how far noise alone
would have raised it. This is the peer that networks must beat.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.checks import check_shape
from groundshift.gradients.integrate import integrate

__all__ = ["Fringes", "scan_fringes"]

_WINDOW = 5
"""Rows and columns over which differences are averaged."""
_NEAR, _FAR = 40, 100
"""Pixels beyond which phases are not compared: where bowls are looked for, so that little noise and air comes
together, and where those found are measured, so that wide ones come out whole."""
_GROUND = 81
"""Rows and columns of the box over which the ground is averaged, twice."""
_EDGE, _PEAK = math.pi / 3, math.pi / 2
"""Radians that a footprint begins with, and that its peak must reach, as in the boxes of [Wu2022]_."""
_BEST = 0.99
"""Agreement of averaged differences beyond which none counts more."""
_MISFIT_WINDOW = 21
"""Rows and columns over which the misfit is averaged."""
_NOISE = {_NEAR: 3.5, _FAR: 4.4}
"""Standard deviation of the integrated phase over that of the misfit where there is nothing but noise, by reach (a test
repeats it); where phases scatter by 1.2 radians it is less, 2.7 and 3.0."""
_SURE = 4.0
"""Standard deviations that a peak must stand out by before it counts; the edge of a footprint by one."""
_ROUNDS = 3
"""Times that the ground is averaged again without what stands out of it."""
_EVERY_SIDE = np.ones((3, 3), bool)


class Fringes(NamedTuple):
    """What the fringes of one interferogram tell, (y, x) float32 arrays each."""

    probability: NDArray[np.float32]
    """0 to 1, 0.5 and more within footprints: how far the phase exceeds that of the edge of a footprint beyond what
    noise explains. It ranks; how often it is right is for a calibration to say."""
    phase: NDArray[np.float32]
    """Integrated, without the ramp of the scene, radians, median zero; NaN where not known. Its peaks are right to some
    per cent where fringes are clear, and too low where they are lost, closer than two pixels or in noise."""
    density: NDArray[np.float32]
    """Fringe rate, radians a pixel: the length of the averaged gradient; NaN where not known."""


def scan_fringes(
    wrapped: NDArray[np.floating], known: NDArray[np.bool_], coherence: NDArray[np.floating] | None = None
) -> Fringes:
    """Look for bowls in the fringes of one interferogram.

    Parameters
    ----------
    wrapped : (y, x) float array
        Phase in radians.
    known : (y, x) bool array
        Pixels with data. NaN and infinite phases count as not known.
    coherence : (y, x) float array, optional
        0 to 1, by which differences are weighted; without it all count alike, and what noise there is shows in how far
        neighbouring differences agree.

    Returns
    -------
    Fringes
        For `groundshift.detect.bowls.find_bowls`. All zero and NaN if no two neighbours are known.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    With z the phasors times coherence, ``G_y`` the mean of ``z(y+1, x) conj z(y, x)`` over 5 x 5 pixels and R its
    length over the mean length, the gradient arg ``G_y`` has the weight ``R^2 / (1 - R^2)``; likewise along x. The
    median gradient is that of a ramp, and is taken out. `groundshift.gradients.integrate.integrate` gives the phase p;
    a robust mean of it, over a box of 81 pixels twice, is the ground; d is the height of p above the ground or below
    it. Its standard deviation from noise is ``s^2 = (c m)^2 + a^2``, with m the root mean square of the misfit
    ``grad p - arg G`` over 21 x 21 pixels (noise has as much power without potential as with one, so that the misfit
    is as large as the error of grad p), and a the median deviation of d over the whole scene, that of its air. All this
    is done twice: screened at 40 pixels, with c = 3.5, and at 100 pixels, with c = 4.4. The height beyond noise is
    ``h = sqrt(max(0, d^2 - (4 s)^2))`` of the first.

    A footprint holds what hangs together where, of one sign, d is above pi / 3 and above s in the one or the other, if
    h reaches pi / 2 in it. There the probability is ``h / (h + pi / 3)``, and 1/2 at least; elsewhere it is
    ``h / (h + pi / 2)``, which is less. The phase is that of the second.

    References
    ----------
    pi / 3 and pi / 2 are the footprint and the least peak of [Wu2022]_.

    Examples
    --------
    >>> y, x = np.mgrid[:96, :96]
    >>> bowl = 12 * np.exp(-((y - 40) ** 2 + (x - 50) ** 2) / 200)
    >>> found = scan_fringes(np.angle(np.exp(1j * bowl)), np.ones(bowl.shape, bool))
    >>> bool(((found.probability >= 0.5) == (bowl > np.pi / 3)).mean() > 0.97)
    True
    """
    check_shape("known", known, wrapped.shape)
    known = known & np.isfinite(wrapped)
    weight = known.astype(np.float32)
    if coherence is not None:
        check_shape("coherence", coherence, wrapped.shape)
        weight = np.where(known & np.isfinite(coherence), np.clip(coherence, 0, 1), 0).astype(np.float32)
    angle = np.where(known, wrapped, 0).astype(np.float32)
    phasors = weight * np.exp(1j * angle).astype(np.complex64)
    (down, weight_down), (along, weight_along) = _gradient(phasors, 0), _gradient(phasors, 1)
    usable = known & _tied(weight_down, weight_along)
    if not usable.any():
        nothing = np.full(wrapped.shape, np.nan, np.float32)
        return Fringes(np.zeros_like(nothing), nothing, nothing.copy())
    density = np.where(usable, np.hypot(down, along), np.nan)
    gradient = _Gradient(_level(down, weight_down), _level(along, weight_along), weight_down, weight_along)
    near, far = (_rise(gradient, usable, reach) for reach in (_NEAR, _FAR))
    beyond = np.sqrt(np.maximum(near.height**2 - (_SURE * near.sigma) ** 2, 0))
    footprint = _footprints(near, far, beyond, 1) | _footprints(near, far, beyond, -1)
    probability = np.where(footprint, np.maximum(beyond / (beyond + _EDGE), 0.5), beyond / (beyond + _PEAK))
    return Fringes(probability.astype(np.float32), far.phase, density.astype(np.float32))


class _Gradient(NamedTuple):
    """Averaged differences and their weights."""

    down: NDArray[np.float32]
    along: NDArray[np.float32]
    weight_down: NDArray[np.float32]
    weight_along: NDArray[np.float32]


class _Rise(NamedTuple):
    """What integrated differences make of the ground."""

    phase: NDArray[np.float32]
    """NaN where not known."""
    height: NDArray[np.float32]
    """Of the phase above the ground around; 0 where not known."""
    sigma: NDArray[np.float32]
    """Standard deviation of the height by noise."""


def _rise(gradient: _Gradient, usable: NDArray[np.bool_], reach: int) -> _Rise:
    """Integrate differences, and tell the height from the ground and its noise from the misfit."""
    phase = integrate(*gradient, reach=reach)
    filled = np.where(usable, phase, 0)
    height = np.where(usable, filled - _ground(filled, usable), 0)
    air = 1.4826 * float(np.median(np.abs(height[usable])))
    sigma = np.hypot(_NOISE[reach] * _misfit(phase, gradient), np.float32(air))
    return _Rise(np.where(usable, phase, np.float32(np.nan)), height, sigma)


def _gradient(phasors: NDArray[np.complex64], axis: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return averaged wrapped differences to the next pixel along an axis, and their weights."""
    product = np.zeros_like(phasors)
    if axis == 0:
        product[:-1] = phasors[1:] * phasors[:-1].conj()
    else:
        product[:, :-1] = phasors[:, 1:] * phasors[:, :-1].conj()
    length = _mean(np.abs(product))
    real, imaginary = _mean(product.real), _mean(product.imag)
    agreement = np.zeros_like(length)
    # Running sums leave dust of rounding where there is nothing.
    np.divide(np.hypot(real, imaginary), length, out=agreement, where=length > 1e-6)
    squared = np.minimum(agreement, _BEST) ** 2
    return np.arctan2(imaginary, real), squared / (1 - squared)


def _level(gradient: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take out the gradient of the scene."""
    there = weight > 0
    return gradient - np.median(gradient[there]) if there.any() else gradient


def _mean(values: NDArray[np.float32], window: int = _WINDOW) -> NDArray[np.float32]:
    """Average over a window, with zeros beyond the image."""
    return np.asarray(ndimage.uniform_filter(values, window, mode="constant"))


def _tied(weight_down: NDArray[np.float32], weight_along: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pixels that have a difference to a neighbour."""
    down, along = weight_down[:-1] > 0, weight_along[:, :-1] > 0
    out = np.zeros(weight_down.shape, bool)
    out[:-1] |= down
    out[1:] |= down
    out[:, :-1] |= along
    out[:, 1:] |= along
    return out


def _misfit(phase: NDArray[np.float32], gradient: _Gradient) -> NDArray[np.float32]:
    """Return the root mean square over a window of what differences and integrated phase do not agree in."""
    total, count = np.zeros_like(phase), np.zeros_like(phase)
    for axis in (0, 1):
        ahead = (slice(None), slice(None, -1)) if axis else (slice(None, -1), slice(None))
        there = gradient[2 + axis][ahead] > 0
        off = np.diff(phase, axis=axis) - gradient[axis][ahead]
        total[ahead] += np.where(there, off, 0) ** 2
        count[ahead] += there
    out = np.zeros_like(phase)
    many = _mean(count, _MISFIT_WINDOW)
    np.divide(_mean(total, _MISFIT_WINDOW), many, out=out, where=many > 1e-6)
    return np.sqrt(np.maximum(out, 0))


def _ground(phase: NDArray[np.float32], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a mean of the phase around each pixel in which bowls have little say (weights of Geman and McClure)."""
    ground: NDArray[np.floating] = np.zeros_like(phase)
    for _ in range(_ROUNDS):
        weight = (usable / (1 + ((phase - ground) / _EDGE) ** 2) ** 2).astype(np.float32)
        total = _mean(_mean(weight * phase, _GROUND), _GROUND)
        ground = total / np.maximum(_mean(_mean(weight, _GROUND), _GROUND), 1e-6)
    return np.asarray(ground, np.float32)


def _footprints(near: _Rise, far: _Rise, beyond: NDArray[np.floating], sign: int) -> NDArray[np.bool_]:
    """Return what stands out with one sign and hangs together with a peak that noise does not explain."""
    close, wide = ((sign * rise.height > _EDGE) & (sign * rise.height > rise.sigma) for rise in (near, far))
    parts, count = ndimage.label(close | wide, _EVERY_SIDE)
    kept = np.zeros(count + 1, bool)
    kept[parts[close & (beyond >= _PEAK)]] = True
    return np.asarray(kept[parts])
