"""Which pairs to stack, and with what weight.

Short baselines keep coherence; how many of them each date takes part in decides what a stack costs. The weights decide
what the stack is worth: they trade the decorrelation of each pair against the atmosphere and the DEM error that the
dates leave in the sum.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Literal, get_args

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray

from groundshift.checks import check_positive, check_shape, check_within
from groundshift.errors import NoDataError
from groundshift.pairs.network import incidence_matrix
from groundshift.types import Pair

__all__ = ["PairMode", "half_year", "local_weights", "optimal_weights", "select_pairs"]

PairMode = Literal["all", "sequential", "nearest"]
"""All pairs, each date with the next available one, or each date with its few next available ones."""


def select_pairs(
    pairs: Iterable[Pair],
    *,
    max_days: int = 36,
    min_days: int = 0,
    mode: PairMode = "all",
    nearest: int = 3,
    max_bperp: float | None = None,
    start: date | None = None,
    end: date | None = None,
    dates: Collection[date] | None = None,
) -> tuple[Pair, ...]:
    """Select pairs with short baselines.

    Parameters
    ----------
    pairs : iterable of Pair
        The pairs there are.
    max_days, min_days : int
        Longest and shortest temporal baseline in days, both included.
    mode : {"all", "sequential", "nearest"}
        Of the pairs within all limits: all of them, those of each date with the next date it has a pair with, or with
        its `nearest` next ones.
    nearest : int
        How many next dates, at least 1; only in mode "nearest".
    max_bperp : float, optional
        Longest perpendicular baseline in metres, either sign; pairs whose baseline is not known are kept.
    start, end : date, optional
        First and last date allowed, both included.
    dates : collection of date, optional
        The only dates allowed.

    Returns
    -------
    tuple of Pair
        Those selected, in the order given.

    Raises
    ------
    NoDataError
        If none is left; the line names the limit that the last ones failed.
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> days = [date(2020, 1, 1), date(2020, 1, 13), date(2020, 1, 25)]
    >>> every = [Pair(days[0], days[1]), Pair(days[0], days[2]), Pair(days[1], days[2])]
    >>> [pair.name for pair in select_pairs(every, mode="sequential")]
    ['20200101_20200113', '20200113_20200125']
    """
    if mode not in get_args(PairMode):
        raise ValueError(f"mode must be one of {', '.join(get_args(PairMode))}, instead got {mode!r}")
    check_within("min_days", min_days, 0, max_days)
    check_within("nearest", nearest, 1, math.inf)
    kept = tuple(pairs)
    if not kept:
        raise NoDataError("no pair to select from; give at least one interferogram")
    first, last = start or date.min, end or date.max
    kept = _within_dates(kept, first, last, None if dates is None else frozenset(dates))
    kept = _within_days(kept, min_days, max_days)
    if max_bperp is not None:
        check_within("max_bperp", max_bperp, 0, math.inf)
        kept = _within_bperp(kept, max_bperp)
    if mode == "all":
        return kept
    return _next_dates(kept, 1 if mode == "sequential" else nearest)


def optimal_weights(
    pairs: Sequence[Pair],
    atmosphere_variance: float,
    noise_variance: NDArray[np.float64],
    dem_error_variance: float = 0.0,
) -> NDArray[np.float64]:
    """Return the weights with which a sum of pairs tells a steady velocity best.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one, in any order; they need not be connected.
    atmosphere_variance : float
        Variance that one date brings into each of its pairs, not negative.
    noise_variance : (pair,) array
        Variance of what each pair has on its own (decorrelation), positive, in the unit of `atmosphere_variance`.
    dem_error_variance : float
        Variance of the DEM error's effect per metre of perpendicular baseline, in the same unit per square metre; a
        pair whose baseline is not known counts as zero metres.

    Returns
    -------
    (pair,) float64 array
        Weights, not negative, in years per unit of variance. Their scale is that of the information in the sum: it has
        the variance `sum(w * years)`, and tells a velocity with one over that.

    Raises
    ------
    ValueError
        If a variance is out of range, or there is not one noise variance for each pair.
    NoDataError
        If there are no pairs.

    Notes
    -----
    With c the coefficients of the dates (`date_coefficients`), s_p^2 the noise of pair p and B_p its perpendicular
    baseline, the variance of the weighted sum is

        V(w) = atmosphere * sum_d c_d^2 + sum_p w_p^2 s_p^2 + dem_error * (sum_p w_p B_p)^2  =  w' H w .

    The variance of the velocity, V(w) / (t' w)^2, does not know the scale of w. Hence its minimum over w >= 0 is that
    of w' H w - 2 t' w = |R w - R'^-1 t|^2 - const with H = R' R: a non-negative least squares problem, solved exactly.

    Without atmosphere and DEM error, w is t_p / s_p^2. So it is deep within a regular network, whatever the atmosphere:
    its dates cancel. With atmosphere alone, and no weight at its bound, the sum is the least-squares line through the
    dates.

    Examples
    --------
    >>> pairs = [Pair(date(2020, 1, 1), date(2020, 1, 13)), Pair(date(2020, 1, 1), date(2020, 1, 25))]
    >>> (365.25 * optimal_weights(pairs, 0.0, np.array([1.0, 1.0]))).round(2)
    array([12., 24.])
    """
    if not pairs:
        raise NoDataError("no pair to weight; give at least one interferogram")
    _check_variance("atmosphere_variance", atmosphere_variance)
    _check_variance("dem_error_variance", dem_error_variance)
    noise_variance = np.asarray(noise_variance, np.float64)
    check_shape("noise_variance", noise_variance, (len(pairs),))
    for value in (noise_variance.min(), noise_variance.max()):
        check_positive("noise_variance", float(value))
    years = np.array([pair.years for pair in pairs], np.float64)
    bperp = np.array([pair.perpendicular_baseline or 0.0 for pair in pairs])
    _, incidence = incidence_matrix(pairs)
    # The triangle of a QR decomposition is the Cholesky factor of H, without the digits that forming H would lose.
    factor = np.linalg.qr(
        np.vstack(
            [
                math.sqrt(atmosphere_variance) * incidence.T,
                math.sqrt(dem_error_variance) * bperp,
                np.diag(np.sqrt(noise_variance)),
            ]
        ),
        mode="r",
    )
    weights, _ = scipy.optimize.nnls(factor, scipy.linalg.solve_triangular(factor, years, trans="T"))
    return np.asarray(weights, np.float64)


def half_year(pair: Pair) -> int:
    """Return the number of the half-year that a pair ends in: twice the calendar year, and one more from July on.

    It is that of the secondary, so that a new date brings pairs into its own half-year only.

    Examples
    --------
    >>> half_year(Pair(date(2019, 12, 25), date(2020, 1, 6)))
    4040
    """
    return 2 * pair.secondary.year + (pair.secondary.month > 6)


def local_weights(
    pairs: Sequence[Pair], variances: Mapping[int, tuple[float, float]], dem_error_variance: float = 0.0
) -> NDArray[np.float64]:
    """Return weights that each depend on the pairs of their own time only, and yet nearly are the optimal ones.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one, in any order; they need not be connected.
    variances : mapping
        By `half_year`: the variance that one date brings into each of its pairs, not negative, and that which a pair
        has on its own, positive.
    dem_error_variance : float
        As in `optimal_weights`, in the same unit.

    Returns
    -------
    (pair,) float64 array
        Weights, not negative, in years: deep within a regular network a pair has that of its own length.

    Raises
    ------
    ValueError
        If a variance is out of range.
    NoDataError
        If there are no pairs.

    Notes
    -----
    The pairs of one half-year have the weights of `optimal_weights` of the pairs of that half-year and of its two
    neighbours, with the variances of that half-year. So pairs that are added change nothing beyond the half-year before
    theirs and the one after, and weights that are settled stay, bit for bit.

    How far the end of a network is felt inside it follows from V: with n pairs a date, of mean square length l^2 in
    steps of dates, about `l sqrt(n atmosphere / noise)` steps. With pairs of up to 36 days and a third of the noise
    from each date that is a month and a half: what lies half a year away changes a weight by 2 % at most, and V hardly
    at all.
    """
    if not pairs:
        raise NoDataError("no pair to weight; give at least one interferogram")
    home = np.array([half_year(pair) for pair in pairs])
    weights = np.empty(len(pairs))
    for here in set(home.tolist()):
        near = np.flatnonzero(np.abs(home - here) <= 1)
        members = [pairs[k] for k in near.tolist()]
        atmosphere, noise = variances[here]
        found = optimal_weights(members, atmosphere, np.full(near.size, noise), dem_error_variance)
        own = home[near] == here
        weights[near[own]] = noise * found[own]
    return weights


def _check_variance(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number that is not negative."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, instead got {value}")


def _within_dates(
    pairs: tuple[Pair, ...], first: date, last: date, allowed: frozenset[date] | None
) -> tuple[Pair, ...]:
    """Keep pairs of which both dates are allowed."""
    inside = tuple(pair for pair in pairs if first <= pair.reference and pair.secondary <= last)
    if not inside:
        have = f"{min(pair.reference for pair in pairs)} to {max(pair.secondary for pair in pairs)}"
        raise NoDataError(f"no pair lies between {first} and {last}, those given run from {have}; move start or end")
    if allowed is None:
        return inside
    kept = tuple(pair for pair in inside if pair.reference in allowed and pair.secondary in allowed)
    if not kept:
        raise NoDataError(f"no pair has both its dates among the {len(allowed)} dates allowed; allow more dates")
    return kept


def _within_days(pairs: tuple[Pair, ...], min_days: int, max_days: int) -> tuple[Pair, ...]:
    """Keep pairs of `min_days` to `max_days`."""
    kept = tuple(pair for pair in pairs if min_days <= pair.days <= max_days)
    if not kept:
        spans = [pair.days for pair in pairs]
        raise NoDataError(
            f"no pair spans {min_days} to {max_days} days, the {len(pairs)} within the dates span {min(spans)} to "
            f"{max(spans)}; change min_days or max_days"
        )
    return kept


def _within_bperp(pairs: tuple[Pair, ...], max_bperp: float) -> tuple[Pair, ...]:
    """Keep pairs of at most `max_bperp` metres, and those that do not tell."""
    kept = tuple(pair for pair in pairs if abs(pair.perpendicular_baseline or 0.0) <= max_bperp)
    if not kept:
        shortest = min(abs(pair.perpendicular_baseline or 0.0) for pair in pairs)
        raise NoDataError(
            f"no pair has a perpendicular baseline within {max_bperp:g} m, the shortest has {shortest:g} m; "
            "raise max_bperp"
        )
    return kept


def _next_dates(pairs: tuple[Pair, ...], count: int) -> tuple[Pair, ...]:
    """Keep the pairs of each reference with its `count` earliest secondaries."""
    partners: dict[date, set[date]] = {}
    for pair in pairs:
        partners.setdefault(pair.reference, set()).add(pair.secondary)
    near = {reference: sorted(others)[:count] for reference, others in partners.items()}
    return tuple(pair for pair in pairs if pair.secondary in near[pair.reference])
