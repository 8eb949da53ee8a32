"""What is in the phase beside motion and can be told apart from it: DEM error and stratified delay.

Both belong to dates and not to pairs: the phase of a pair holds the difference of its two dates, so that taking them
out opens no closed triangle.
"""

import math
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_positive, check_shape
from groundshift.constants import DAYS_PER_YEAR
from groundshift.errors import GroundshiftError, NoDataError
from groundshift.pairs import date_graph, incidence_matrix
from groundshift.types import Pair

__all__ = [
    "DemError",
    "InseparableTermError",
    "StratifiedDelay",
    "date_baselines",
    "dem_per_metre",
    "estimate_dem_error",
    "remove_stratified_delay",
]

_LEAST_SHARE = 0.1
"""Share of the baselines' variance that motion must leave over; below it the error of the DEM error triples."""
_LEAST_FREEDOM = 3
"""Dates beyond the number of unknowns that the fit of a DEM error needs."""
_ANNUAL_YEARS = 1.0
"""Dates that span as long a time are fitted with an annual term."""
_LEAST_PIXELS = 30
"""Pixels that the regression of a pair on height needs."""
_HUBER = 1.345
_HUBER_STEPS = 12
_PER_DEVIATION = 1.4826
"""Standard deviation of normal noise in its median absolute deviations."""
_BLOCK = 1 << 14


class InseparableTermError(GroundshiftError, ValueError):
    """The data cannot tell a term from motion or from noise."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why = why


class DemError(NamedTuple):
    """How far the DEM lies off."""

    error: NDArray[np.float32]
    """(y, x) metres, positive where the ground is higher than the DEM; NaN where the dates of a pixel cannot tell."""
    sigma: NDArray[np.float32]
    """(y, x) its standard error, metres."""
    separable: float
    """Share of the variance of the baselines that steady and annual motion cannot explain, 0 to 1."""


class StratifiedDelay(NamedTuple):
    """Phase without the delay that grows with height."""

    unw: NDArray[np.float32]
    """(pair, y, x) corrected phase, radians."""
    slope: NDArray[np.float64]
    """(pair,) radians per metre of height that were taken out; NaN where they are not known and none were."""
    zero_height: float
    """Metres; there the phase stays as it is."""


def date_baselines(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Return the perpendicular baseline of each date that agree best with those of the pairs.

    Returns
    -------
    (date,) float64 array
        Metres, for the dates of all pairs, ascending. Least squares; within each group of dates that pairs join they
        are relative to the mean of the group.

    Raises
    ------
    InseparableTermError
        If the pairs whose baseline is known leave out a date or split a group.

    Examples
    --------
    >>> days = [date(2020, 1, 1), date(2020, 1, 13), date(2020, 1, 25)]
    >>> date_baselines([Pair(days[0], days[1], 30.0), Pair(days[1], days[2], 30.0)]).round(6) + 0.0
    array([-30.,   0.,  30.])
    """
    known = [pair for pair in pairs if pair.perpendicular_baseline is not None]
    if date_graph(known).groups != date_graph(pairs).groups:
        raise InseparableTermError(
            f"perpendicular baselines are known for {len(known)} of {len(pairs)} pairs and do not reach every date",
            "leave the DEM error out",
        )
    baselines = np.array([pair.perpendicular_baseline for pair in known], np.float64)
    found, *_ = np.linalg.lstsq(incidence_matrix(known)[1], baselines)
    return np.asarray(found, np.float64)


def dem_per_metre(pairs: Sequence[Pair], slant_range: float, incidence: float) -> NDArray[np.float64]:
    """Return the displacement that a metre of DEM error feigns at each date.

    Parameters
    ----------
    pairs : sequence of Pair
        With perpendicular baselines.
    slant_range : float
        Metres from the satellite to the ground.
    incidence : float
        Degrees from the vertical on the ground, between 0 and 90.

    Returns
    -------
    (date,) float64 array
        Metres towards the satellite per metre, -B / (R sin(incidence)); relative within each group of dates.

    Raises
    ------
    InseparableTermError
        If the baselines of the dates do not follow from those of the pairs.

    Notes
    -----
    A pair has the phase ``4 pi / wavelength * B / (R sin(incidence))`` per metre. B is positive where the secondary
    sees the ground under a larger angle of incidence than the reference: phase then grows with height.

    References
    ----------
    [Fattahi2013].

    Examples
    --------
    >>> days = [date(2020, 1, 1), date(2020, 1, 13)]
    >>> np.diff(dem_per_metre([Pair(*days, 100.0)], 850_000, 30)).round(6)
    array([-0.000235])
    """
    check_positive("slant_range", slant_range)
    if not 0 < incidence < 90:
        raise ValueError(f"incidence must lie between 0 and 90 degrees, instead got {incidence}")
    return -date_baselines(pairs) / (slant_range * math.sin(math.radians(incidence)))


def estimate_dem_error(
    dates: Sequence[date],
    displacement: NDArray[np.float32],
    groups: NDArray[np.uint16],
    per_metre: NDArray[np.float64],
) -> DemError:
    """Estimate how far the DEM lies off, from displacement that follows the baselines.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date, y, x) float array
        Metres towards the satellite; NaN where not known.
    groups : (date, y, x) uint16 array
        Group of dates that pairs join, from 1; what lies between groups is not believed.
    per_metre : (date,) float array
        Displacement that a metre of DEM error feigns.

    Returns
    -------
    DemError
        Error and standard error of every pixel.

    Raises
    ------
    InseparableTermError
        If the baselines follow time or season so closely that motion looks the same, or there are too few dates.

    Notes
    -----
    An offset for each group, a steady velocity, an annual term where the dates span a year, and the DEM error are
    fitted together to the dates, by plain least squares: what scatters there is the air of single dates, alike for
    all. An interferogram-wise fit without a model of motion has no solution, since baselines of dates are one more
    displacement. The standard error is that of white scatter of the dates about the fit.

    References
    ----------
    [Fattahi2013], with steady and annual motion for the polynomial.
    """
    check_shape("groups", groups, displacement.shape)
    check_shape("per_metre", per_metre, (len(dates),))
    columns = _motion_and_baselines(dates, per_metre)
    shape = displacement.shape[1:]
    flat, number = displacement.reshape(len(dates), -1), groups.reshape(len(dates), -1)
    separable = _separable_share(dates, columns, number)
    spread = float(np.std(per_metre))
    error, sigma = np.full(flat.shape[1], np.nan, np.float32), np.full(flat.shape[1], np.nan, np.float32)
    for start in range(0, flat.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        value, scatter = _fit_last_column(columns, flat[:, block], number[:, block])
        error[block], sigma[block] = value / spread, scatter / spread
    return DemError(error.reshape(shape), sigma.reshape(shape), separable)


def remove_stratified_delay(
    unw: NDArray[np.float32],
    height: NDArray[np.floating],
    outside: NDArray[np.bool_],
    pairs: Sequence[Pair],
    *,
    least_range: float = 100.0,
) -> StratifiedDelay:
    """Take out the delay that grows with height, as the ground around a target shows it.

    Parameters
    ----------
    unw : (pair, y, x) float array
        Unwrapped phase, radians; NaN without data.
    height : (y, x) float array
        Metres; NaN where not known.
    outside : (y, x) bool array
        Where the ground does not move.
    pairs : sequence of Pair
        As many as `unw` has.
    least_range : float
        Metres, positive, that heights must span from their 5th to their 95th percentile.

    Returns
    -------
    StratifiedDelay
        The phase without it, and what was taken out. Pixels without height are NaN.

    Raises
    ------
    InseparableTermError
        If the heights outside span too little, or no pair has enough pixels there.

    Notes
    -----
    The slope of each pair is Huber's robust regression of phase on height, so that parts that are whole cycles off
    count little. Slopes of dates follow from those of pairs by least squares, weighted with the number of pixels, and
    the difference of two dates is what a pair loses. A pair whose own slope is not known loses that of its dates
    where other pairs tell it.
    """
    check_shape("unw", unw, (len(pairs), *height.shape))
    check_shape("outside", outside, height.shape)
    check_positive("least_range", least_range)
    usable = outside & np.isfinite(height)
    if not usable.any():
        raise InseparableTermError("no height is known outside the target", "leave the stratified delay out")
    low, zero, high = np.percentile(height[usable], (5, 50, 95))
    if high - low < least_range:
        raise InseparableTermError(
            f"heights outside the target span {high - low:.0f} m, {least_range:g} m are needed",
            "leave the stratified delay out",
        )
    around = (height[usable] - zero).astype(np.float64)
    fits = [_slope_on_height(phase[usable], around, least_range) for phase in unw]
    told = [k for k, (_, count) in enumerate(fits) if count]
    if not told:
        raise InseparableTermError(
            f"no pair has {_LEAST_PIXELS} pixels outside the target over {least_range:g} m of height",
            "leave the stratified delay out",
        )
    slope = _slopes_of_pairs(pairs, told, np.array([fits[k] for k in told]))
    taken = np.nan_to_num(slope)[:, np.newaxis, np.newaxis] * (height - zero)
    return StratifiedDelay((unw - taken).astype(np.float32), slope, float(zero))


def _motion_and_baselines(dates: Sequence[date], per_metre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns of unit variance, (date, column): years, annual terms, and the baselines last."""
    years = np.array([(day - dates[0]).days / DAYS_PER_YEAR for day in dates])
    columns = [years]
    if years[-1] >= _ANNUAL_YEARS:
        columns += [np.sin(2 * math.pi * years), np.cos(2 * math.pi * years)]
    table = np.stack([*columns, per_metre], axis=1)
    spread = table.std(axis=0)
    if len(dates) < table.shape[1] + _LEAST_FREEDOM or spread[-1] == 0:
        raise InseparableTermError(
            f"{len(dates)} dates with baselines that feign {np.ptp(per_metre):.2g} m per metre of DEM error do not "
            "tell it",
            "leave the DEM error out",
        )
    return np.asarray((table - table.mean(axis=0)) / spread)


def _separable_share(dates: Sequence[date], columns: NDArray[np.float64], number: NDArray[np.uint16]) -> float:
    """Return the share of the baselines that motion leaves over at the pixel that knows most dates."""
    whole = number[:, [int(np.argmax((number > 0).sum(axis=0)))]] if number.size else number
    if not whole.any():
        raise NoDataError(f"no pixel has displacement on any of {len(dates)} dates; choose another place")
    share = float(_leftover(*_normal(columns, np.zeros(whole.shape), whole)[:1])[0])
    if share < _LEAST_SHARE:
        raise InseparableTermError(
            f"motion explains {1 - share:.0%} of the perpendicular baselines' variance, {1 - _LEAST_SHARE:.0%} is the "
            "most that can be told apart",
            "leave the DEM error out",
        )
    return share


def _normal(
    columns: NDArray[np.float64], values: NDArray[np.floating], number: NDArray[np.uint16]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return normal matrices, right sides, sums of squares and freedom of all pixels, each group about its mean."""
    count = columns.shape[1]
    products = (columns[:, :, np.newaxis] * columns[:, np.newaxis]).reshape(len(columns), -1)
    pixels = values.shape[1]
    matrix, right = np.zeros((pixels, count, count)), np.zeros((pixels, count))
    squares, freedom = np.zeros(pixels), np.full(pixels, -count)
    for group in range(1, int(number.max()) + 1):
        member = (number == group).T.astype(np.float64)
        value = np.where(number == group, values, 0).T.astype(np.float64)
        size = np.maximum(member.sum(axis=1), 1)[:, np.newaxis]
        mean, level = member @ columns / size, value.sum(axis=1, keepdims=True) / size
        matrix += (member @ products).reshape(pixels, count, count)
        matrix -= (
            size[:, :, np.newaxis]
            * mean[:, :, np.newaxis]
            * mean[:, np.newaxis]
            * (member.any(axis=1))[:, np.newaxis, np.newaxis]
        )
        right += value @ columns - size * mean * level
        squares += (value**2).sum(axis=1) - (size * level**2)[:, 0]
        freedom += np.maximum(member.sum(axis=1).astype(np.int64) - 1, 0)
    return matrix, right, squares, freedom


def _leftover(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the last column that the others do not explain, per pixel; 0 where it is not known."""
    inner, cross, last = matrix[:, :-1, :-1], matrix[:, :-1, -1], matrix[:, -1, -1]
    explained = np.einsum("pi,pij,pj->p", cross, np.linalg.pinv(inner, rcond=1e-9, hermitian=True), cross)
    return np.asarray(np.divide(last - explained, last, out=np.zeros_like(last), where=last > 0))


def _fit_last_column(
    columns: NDArray[np.float64], values: NDArray[np.float32], number: NDArray[np.uint16]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coefficient and standard error of the last column; NaN where it cannot be told apart."""
    matrix, right, squares, freedom = _normal(columns, values, number)
    inverse = np.linalg.pinv(matrix, rcond=1e-9, hermitian=True)
    found = np.einsum("pij,pj->pi", inverse, right)
    told = (freedom >= _LEAST_FREEDOM) & (_leftover(matrix) >= _LEAST_SHARE)
    scatter = np.maximum(squares - (found * right).sum(axis=1), 0) / np.maximum(freedom, 1)
    sigma = np.sqrt(scatter * np.maximum(inverse[:, -1, -1], 0))
    return np.where(told, found[:, -1], np.nan), np.where(told, sigma, np.nan)


def _slope_on_height(phase: NDArray[np.float32], height: NDArray[np.float64], least_range: float) -> tuple[float, int]:
    """Regress one pair on height by Huber's weights; slope and number of pixels, 0 where they do not tell."""
    known = np.isfinite(phase)
    count = int(known.sum())
    if count < _LEAST_PIXELS or np.ptp(np.percentile(height[known], (5, 95))) < least_range:
        return math.nan, 0
    y, x = phase[known].astype(np.float64), height[known]
    weight = np.ones(count)
    slope = 0.0
    for _ in range(_HUBER_STEPS):
        total = weight.sum()
        middle, level = (weight @ x) / total, (weight @ y) / total
        slope = (weight @ ((x - middle) * (y - level))) / (weight @ (x - middle) ** 2)
        off = np.abs(y - level - slope * (x - middle))
        limit = _HUBER * _PER_DEVIATION * np.median(off)
        weight = limit / np.maximum(off, limit) if limit > 0 else np.ones(count)
    return float(slope), count


def _slopes_of_pairs(pairs: Sequence[Pair], told: Sequence[int], fits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slopes of all pairs as differences of dates; NaN where no chain of pairs that tell joins both dates."""
    some = [pairs[k] for k in told]
    dates, incidence = incidence_matrix(some)
    root = np.sqrt(fits[:, 1])
    of_date, *_ = np.linalg.lstsq(incidence * root[:, np.newaxis], fits[:, 0] * root)
    slope = dict(zip(dates, of_date.tolist(), strict=True))
    group = {day: k for k, members in enumerate(date_graph(some).groups) for day in members.dates}
    return np.array([
        slope[pair.secondary] - slope[pair.reference]
        if pair.reference in group and group[pair.reference] == group.get(pair.secondary)
        else math.nan
        for pair in pairs
    ])  # fmt: skip
