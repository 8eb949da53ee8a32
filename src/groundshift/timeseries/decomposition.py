"""Motion in two directions from tracks that look at it from different sides.

Two tracks give two components; the third is assumed to be nothing. Satellites fly nearly north, so that motion to the
north hardly shows, and (east, up) is what ascending and descending tracks tell of any ground. On a slope motion across
the fall line is the less likely one, and (down the slope, off the slope) is told. Vectors are (east, north, up).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.types import LookGeometry

__all__ = ["MAXIMUM_CONDITION", "Decomposition", "decompose_east_up", "decompose_slope"]

MAXIMUM_CONDITION = 5.0
"""Ascending and descending Sentinel-1 have 1.3 for (east, up); two overlapping tracks of one pass about 13."""


class Decomposition(NamedTuple):
    """Two components of motion, in the unit of the line-of-sight values they are made from; NaN where refused."""

    first: NDArray[np.float64]
    """(...) towards the east, or down the slope."""
    second: NDArray[np.float64]
    """(...) up, or off the slope."""
    covariance: NDArray[np.float64]
    """(..., 2, 2) of both, from the errors of the tracks."""
    condition: NDArray[np.float64]
    """(...) how many times more an error of the looks can weigh in one direction than in another; at least 1."""
    reason: str
    """Why there is no result anywhere; empty if there is one."""

    @property
    def sigma(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Standard errors of both components."""
        return np.sqrt(self.covariance[..., 0, 0]), np.sqrt(self.covariance[..., 1, 1])


def decompose_east_up(
    los: ArrayLike, sigma: ArrayLike, looks: Sequence[LookGeometry], *, maximum: float = MAXIMUM_CONDITION
) -> Decomposition:
    """Resolve line-of-sight motion into east and up, assuming none to the north.

    Parameters
    ----------
    los, sigma : (track, ...) array
        Velocity or displacement towards the satellite and its standard error, any one unit; NaN where unknown.
    looks : sequence of LookGeometry
        One for each track, two at least.
    maximum : float
        Largest condition number of the looks that is accepted.

    Returns
    -------
    Decomposition
        East and up, by weighted least squares where there are more than two tracks. NaN where fewer than two tracks are
        known, or the looks of those that are known are too alike.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are fewer than two tracks.

    Notes
    -----
    With l the unit vector from ground to satellite, los = l_e E + l_u U. A motion N to the north adds about -0.13 N to
    the lines of sight of Sentinel-1, which the result shows as -0.17 N upwards.

    Examples
    --------
    Sinking ground moves away from both satellites alike:

    >>> looks = [LookGeometry(heading=348.0, incidence=39.0), LookGeometry(heading=192.0, incidence=39.0)]
    >>> found = decompose_east_up([-7.77, -7.77], [1.0, 1.0], looks)
    >>> float((found.first + 0).round(1)), float(found.second.round(1))
    (0.0, -10.0)
    """
    vectors = np.array([look.to_satellite for look in looks])
    return _decompose(los, sigma, vectors[:, [0, 2]], maximum)


def decompose_slope(
    los: ArrayLike,
    sigma: ArrayLike,
    looks: Sequence[LookGeometry],
    slope: ArrayLike,
    aspect: ArrayLike,
    *,
    maximum: float = MAXIMUM_CONDITION,
) -> Decomposition:
    """Resolve line-of-sight motion into the parts down the slope and off it, assuming none across.

    Parameters
    ----------
    los, sigma : (track, ...) array
        Velocity or displacement towards the satellite and its standard error, any one unit; NaN where unknown.
    looks : sequence of LookGeometry
        One for each track, two at least.
    slope, aspect : array, broadcast to (...)
        Degrees, as `slope_aspect` gives them.
    maximum : float
        Largest condition number of the looks that is accepted.

    Returns
    -------
    Decomposition
        Down the slope, and off the slope (out of the ground); NaN also where slope or aspect is not known. On slopes
        that face north or south ascending and descending looks are too alike.

    Raises
    ------
    ValueError
        If shapes do not fit, or there are fewer than two tracks.

    Notes
    -----
    With A the aspect and b the slope, down the slope is (sin A cos b, cos A cos b, -sin b) and off it (sin A sin b,
    cos A sin b, cos b).
    """
    b, a = np.broadcast_arrays(np.radians(np.asarray(slope, np.float64)), np.radians(np.asarray(aspect, np.float64)))
    down = np.stack([np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), -np.sin(b)], axis=-1)
    off = np.stack([np.sin(a) * np.sin(b), np.cos(a) * np.sin(b), np.cos(b)], axis=-1)
    vectors = np.array([look.to_satellite for look in looks])
    return _decompose(los, sigma, np.stack([down @ vectors.T, off @ vectors.T], axis=-1), maximum)


def _decompose(los: ArrayLike, sigma: ArrayLike, design: NDArray[np.float64], maximum: float) -> Decomposition:
    """Solve for two components from the tracks that are known; `design` is (..., track, 2)."""
    check_positive("maximum", maximum)
    values, errors = np.asarray(los, np.float64), np.asarray(sigma, np.float64)
    tracks = design.shape[-2]
    if tracks < 2:
        raise ValueError(f"looks must be of two tracks at least, instead got {tracks}")
    check_shape("los", values, (tracks, *values.shape[1:]))
    check_shape("sigma", errors, values.shape)
    y, s = np.moveaxis(values, 0, -1), np.moveaxis(errors, 0, -1)
    known = np.isfinite(y) & np.isfinite(s) & (s > 0)
    design = np.broadcast_to(design, (*y.shape, 2))
    sighted = np.where(known[..., np.newaxis] & np.isfinite(design), design, 0.0)
    condition = _condition(sighted)
    good = (condition <= maximum) & (known.sum(axis=-1) >= 2) & np.isfinite(design).all(axis=(-2, -1))
    weight = np.where(known, 1 / np.where(known, s, 1.0) ** 2, 0.0)
    normal = np.einsum("...ti,...t,...tj->...ij", sighted, weight, sighted)
    normal = np.where(good[..., np.newaxis, np.newaxis], normal, np.eye(2))
    covariance = np.linalg.inv(normal)
    right = np.einsum("...ti,...t->...i", sighted, weight * np.where(known, y, 0.0))
    found = np.where(good[..., np.newaxis], np.einsum("...ij,...j->...i", covariance, right), np.nan)
    covariance = np.where(good[..., np.newaxis, np.newaxis], covariance, np.nan)
    return Decomposition(found[..., 0], found[..., 1], covariance, condition, _reason(good, known, condition, maximum))


def _condition(design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratio of the singular values of the looks; infinite where they are the same."""
    singular = np.linalg.svd(design, compute_uv=False)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(singular[..., 1] > 0, singular[..., 0] / singular[..., 1], np.inf))


def _reason(good: NDArray[np.bool_], known: NDArray[np.bool_], condition: NDArray[np.float64], maximum: float) -> str:
    """Say why nothing could be resolved."""
    if good.any():
        return ""
    twice = known.sum(axis=-1) >= 2
    if not twice.any():
        return "no place is known from two tracks"
    least = float(condition[twice].min())
    if least <= maximum:
        return "the slope is not known"
    return (
        f"the tracks look too much alike for two components: condition number {least:.0f}, at most {maximum:g} wanted"
    )
