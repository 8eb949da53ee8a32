"""Velocity and yearly course of displacement series, with errors that hold in noise that is correlated in time.

Displacement is in metres, positive towards the satellite, velocity in metres per year of 365.25 days.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundshift.checks import check_shape
from groundshift.constants import DAYS_PER_YEAR
from groundshift.timeseries.noise import Estimate, estimate

__all__ = ["Dates", "Velocity", "annual_is_determined", "by_pattern", "days_of", "fit_velocity", "years_since"]

Dates = Sequence[date] | NDArray[np.datetime64]

_EPOCH = date(2000, 1, 1)
_LEAST_YEARS = 1.0
_LEAST_DATES = 10
_LARGEST_LOSS = 4.0
"""Terms of the year may cost so many times the variance of the rate, or of themselves."""
_CHUNK = 4096
"""Series that are fitted together, to bound memory."""


class Velocity(NamedTuple):
    """Offset, rate and yearly course of each series; arrays of shape (...), NaN where a series does not tell."""

    start: date
    """First date; `offset` belongs to it."""
    rate: NDArray[np.float64]
    """Metres per year."""
    rate_sigma: NDArray[np.float64]
    """Standard error of `rate`. With few degrees of freedom twice as much is not yet 95 %: `interval` is."""
    dof: NDArray[np.float64]
    """Degrees of freedom of `rate_sigma`, at least 1."""
    offset: NDArray[np.float64]
    """(group, ...) metres, of the straight line at `start`, one for each group of dates; NaN for groups without any."""
    annual_amplitude: NDArray[np.float64]
    """Metres; NaN where the dates do not determine it."""
    annual_amplitude_sigma: NDArray[np.float64]
    annual_phase: NDArray[np.float64]
    """Days after 1 January, 0 to 365.25, when the yearly course is nearest to the satellite."""
    annual_phase_sigma: NDArray[np.float64]
    """Days; at most 105, which means any day."""
    scatter: NDArray[np.float64]
    """Standard deviation of the residuals, metres."""
    effective_dates: NDArray[np.float64]
    """Number of dates with independent noise that would tell `rate` as well; at most `n_dates`."""
    n_dates: NDArray[np.intp]
    """Dates with data."""

    def interval(self, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the limits between which the true rate lies with a probability, metres per year."""
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, instead got {confidence}")
        half = stats.t.ppf(0.5 + confidence / 2, self.dof) * self.rate_sigma
        return self.rate - half, self.rate + half

    def at(self, dates: Dates, groups: ArrayLike = 1) -> NDArray[np.float64]:
        """Return the fitted curve.

        Parameters
        ----------
        dates : sequence of date
            Any dates.
        groups : int or (date,) int array
            To which group of dates the curve is continued.

        Returns
        -------
        (date, ...) float64 array
            Metres.
        """
        years = (slice(None), *(np.newaxis,) * self.rate.ndim)
        t, phase = years_since(dates, self.start)[years], _season(dates)[years]
        turn = phase - 2 * np.pi * self.annual_phase / DAYS_PER_YEAR
        yearly = np.where(np.isfinite(self.annual_amplitude), self.annual_amplitude * np.cos(turn), 0.0)
        return np.asarray(self.offset[np.broadcast_to(groups, len(dates)) - 1] + self.rate * t + yearly)


def fit_velocity(
    dates: Dates, displacement: ArrayLike, sigma: ArrayLike | None = None, *, groups: ArrayLike | None = None
) -> Velocity:
    """Fit offset, rate and a yearly course to displacement series.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date, ...) array
        Metres; NaN where unknown.
    sigma : (date, ...) array, optional
        Standard error of `displacement` relative to the date where it is least (in general the first), metres, as
        `invert_network` gives it; broadcast to `displacement`.
    groups : (date, ...) int array, optional
        Group of dates that pairs join, from 1, as `invert_network` gives it; broadcast to `displacement`. Each group
        has an offset of its own, since nothing tells how far the ground moved from one to the next.

    Returns
    -------
    Velocity
        NaN where a series has fewer dates than one more than parameters, or all dates alone in their groups.

    Raises
    ------
    ValueError
        If `dates` do not ascend, or shapes do not fit.

    Notes
    -----
    The yearly course, one sine wave, is fitted where `annual_is_determined`; elsewhere it is part of rate and residual,
    and a seasonal motion shorter than a year looks like a steady one.

    Each series is fitted under noise that is white, remembers (from three weeks to half a year) or drifts, and the fits
    are averaged by their probability (`estimate`). On steady motion the rate is that of least squares, at less weight
    for dates whose own error stands out; the more the residuals drift, the closer it comes to last minus first
    displacement over the time between. Error and degrees of freedom are those of the t distribution with the same 68 %
    and 95 % intervals as the average.

    Examples
    --------
    >>> days = np.arange("2020-01-01", "2020-03-01", 12, dtype="datetime64[D]")
    >>> found = fit_velocity(days, 0.020 * np.arange(5) * 12 / 365.25 + 0.003)
    >>> float(found.rate.round(4)), float(found.offset[0].round(4))
    (0.02, 0.003)
    """
    day = days_of(dates)
    values = np.asarray(displacement, np.float64)
    check_shape("displacement", values, (len(day), *values.shape[1:]))
    shape = values.shape[1:]
    series = values.reshape(len(day), -1).T
    errors = None if sigma is None else _aligned("sigma", np.asarray(sigma, np.float64), values.shape)
    member = np.ones(values.shape, np.int64) if groups is None else np.asarray(groups, np.int64)
    member = np.where(np.isfinite(series), _aligned("groups", member, values.shape), 0)
    n_groups = max(int(member.max(initial=0)), 1)
    offset = np.full((n_groups, len(series)), np.nan)
    numbers = np.full((9, len(series)), np.nan)
    for rows, known, design in by_pattern(day, member):
        labels = np.unique(member[rows[0], known])
        for part in np.array_split(rows, -(-rows.size // _CHUNK)):
            sigmas = None if errors is None else errors[np.ix_(part, known)]
            found = estimate(years_since(day[known], day[0].item()), design, series[np.ix_(part, known)], sigmas)
            steps = np.pad(found.mean[:, 2 : 1 + labels.size], ((0, 0), (1, 0)))
            offset[np.ix_(labels - 1, part)] = (found.mean[:, :1] + steps).T
            numbers[:, part] = _numbers(found, labels.size)
    first: date = day[0].item()
    rate, error, dof, amplitude, d_amplitude, phase, d_phase, scatter, independent = numbers.reshape(9, *shape)
    return Velocity(
        first, rate, error, dof, offset.reshape(n_groups, *shape), amplitude, d_amplitude, phase, d_phase, scatter,
        independent, (member > 0).sum(axis=1).reshape(shape),
    )  # fmt: skip


def annual_is_determined(dates: Dates) -> bool:
    """Tell whether dates determine a yearly course beside offset and rate.

    They do if there are 10 at least, over at least a year, and the terms of the year neither raise the variance of the
    rate more than fourfold nor have more than four times the variance that evenly spread dates would give them.

    Examples
    --------
    Two years of summers do not tell what the winters do:

    >>> summers = [date(y, m, d) for y in (2019, 2020) for m in (6, 7, 8) for d in (1, 13, 25)]
    >>> annual_is_determined(summers)
    False
    >>> annual_is_determined(np.arange("2019-01-01", "2021-01-01", 36, dtype="datetime64[D]"))
    True
    """
    return _with_year(days_of(dates), np.ones(len(dates), np.int64)) is not None


def by_pattern(
    day: NDArray[np.datetime64], member: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.float64]]]:
    """Sort series by the dates they know, and write the model of each sort.

    Parameters
    ----------
    day : (date,) array of days, ascending
    member : (series, date) int array
        Group of each date; 0 where the series has no data.

    Yields
    ------
    rows, known, design
        Indices of the series; (date,) bool; (known date, p) float64: offset, years since the first of all dates,
        offsets of further groups, and cosine and sine of the time of the year where they are determined. Series whose
        dates do not even determine the rate are left out.
    """
    patterns, which = np.unique(member, axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        known = pattern > 0
        if known.sum() < np.unique(pattern[known]).size + 2:
            continue
        design = _with_year(day, pattern)
        if design is None:
            design = _plain(day, pattern)
            if np.linalg.matrix_rank(design) < design.shape[1]:
                continue
        yield np.flatnonzero(which.ravel() == index), known, design


def years_since(dates: Dates, start: date) -> NDArray[np.float64]:
    """Years of 365.25 days from `start` to each date."""
    days = np.asarray(dates, "datetime64[D]") - np.datetime64(start, "D")
    return np.asarray(days / np.timedelta64(1, "D") / DAYS_PER_YEAR)


def days_of(dates: Dates) -> NDArray[np.datetime64]:
    """Return dates as an array of days; ValueError unless they ascend."""
    day = np.asarray(dates, "datetime64[D]")
    if day.ndim != 1 or day.size == 0:
        raise ValueError(f"dates must be a sequence of one date at least, instead got shape {day.shape}")
    if (late := np.flatnonzero(np.diff(day) <= np.timedelta64(0, "D"))).size:
        raise ValueError(f"dates must ascend, instead got {day[late[0]]} before {day[late[0] + 1]}")
    return day


def _season(dates: Dates) -> NDArray[np.float64]:
    """Angle of the time of the year, zero on 1 January."""
    return np.asarray(2 * np.pi * years_since(dates, _EPOCH))


def _plain(day: NDArray[np.datetime64], pattern: NDArray[np.int64]) -> NDArray[np.float64]:
    """Offset, years since the first of all dates, and offsets of further groups."""
    known = pattern > 0
    labels = np.unique(pattern[known])
    further = pattern[known][:, np.newaxis] == labels[1:]
    return np.column_stack([np.ones(known.sum()), years_since(day[known], day[0].item()), further])


def _with_year(day: NDArray[np.datetime64], pattern: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Return the design with the yearly terms, or None where they are not determined."""
    known = pattern > 0
    if known.sum() < _LEAST_DATES or np.ptp(years_since(day[known], day[0].item())) < _LEAST_YEARS:
        return None
    plain, angle = _plain(day, pattern), _season(day[known])
    full = np.column_stack([plain, np.cos(angle), np.sin(angle)])
    if len(full) <= full.shape[1] or np.linalg.matrix_rank(full) < full.shape[1]:
        return None
    with_terms, without = np.linalg.inv(full.T @ full), np.linalg.inv(plain.T @ plain)
    if with_terms[1, 1] > _LARGEST_LOSS * without[1, 1]:
        return None
    worst = np.linalg.eigvalsh(with_terms[-2:, -2:])[-1]
    return full if worst <= _LARGEST_LOSS * 2 / len(full) else None


def _aligned(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Broadcast (date,) or (date, ...) to (series, date)."""
    check_shape(name, array, shape if array.ndim > 1 else shape[:1])
    spread = array.reshape(-1, *(1,) * (len(shape) - 1)) if array.ndim == 1 else array
    return np.broadcast_to(spread, shape).reshape(shape[0], -1).T


def _numbers(found: Estimate, n_groups: int) -> NDArray[np.float64]:
    """Rate, its error and degrees of freedom, the yearly course, scatter, independent dates: (9, series)."""
    yearly = _yearly(found.mean, found.covariance, n_groups)
    return np.stack([found.mean[:, 1], found.error, found.dof, *yearly, found.scatter, found.independent])


def _yearly(
    mean: NDArray[np.float64], covariance: NDArray[np.float64], n_groups: int
) -> tuple[NDArray[np.float64], ...]:
    """Amplitude and phase of the yearly course with their errors, from cosine and sine; NaN where there are none."""
    if mean.shape[1] == n_groups + 1:
        return tuple(np.full((4, len(mean)), np.nan))
    cos, sin = mean[:, -2], mean[:, -1]
    amplitude, angle = np.hypot(cos, sin), np.arctan2(sin, cos)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    block = covariance[:, -2:, -2:]
    d_amplitude = np.sqrt(np.einsum("ni,nij,nj->n", along, block, along))
    d_across = np.sqrt(np.einsum("ni,nij,nj->n", across, block, across))
    # Not known at all, a day of the year has the standard deviation of an even distribution.
    days = DAYS_PER_YEAR / (2 * np.pi)
    d_phase = np.minimum(days * d_across / np.maximum(amplitude, np.finfo(float).tiny), DAYS_PER_YEAR / np.sqrt(12))
    return amplitude, d_amplitude, days * (angle % (2 * np.pi)), d_phase
