"""The events of a displacement series: when a place began to move, sped up, slowed down, stopped.

The series is taken for a curve of straight stages that meet in knots, in noise that is correlated in time; how many
there are is found out. Displacement is in metres, positive towards the satellite; rates are in metres per year.
"""

import math
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundshift.checks import check_shape
from groundshift.timeseries._changes import Dated, Known, find_knots
from groundshift.timeseries.noise import estimate
from groundshift.timeseries.velocity import Dates, by_pattern, days_of, years_since

__all__ = ["Event", "Knot", "Stages", "fit_stages"]

Event = Literal["onset", "stop", "acceleration", "deceleration"]

_LEAST_DATES = 10
"""In fewer no event is looked for."""
_STILL_SIGMAS = 2.0
"""A stage is still where its rate is within so many standard errors of zero..."""
_STILL_SHARE = 0.10
"""... or below this share of the fastest stage."""
_NORMAL_95 = float(stats.norm.ppf(0.975))


class Knot(NamedTuple):
    """Where one stage ends and the next begins."""

    day: date
    """As probably later as earlier."""
    early: date
    """Between this day..."""
    late: date
    """... and this one with a probability of 95 %, if there is a knot."""
    kind: Event
    rate_before: float
    """Metres per year."""
    rate_after: float
    sigma_before: float
    sigma_after: float
    gain: float
    """By how much the criterion prefers the curve with this knot to the one without."""


class Stages(NamedTuple):
    """A curve of straight stages. NaN where not known."""

    start: date
    """First date; `offset` belongs to it."""
    knots: tuple[Knot, ...]
    """In order of time."""
    rates: NDArray[np.float64]
    """(stage,) metres per year, one more than knots."""
    rate_sigmas: NDArray[np.float64]
    """What is stated as their standard errors: 1.96 of it reach as far as the interval of 95 %."""
    offset: NDArray[np.float64]
    """(group,) metres at `start`, one for each group of dates; NaN for groups without any."""
    annual_amplitude: float
    """Of the yearly course beside the stages, metres; zero where the series is as well explained without."""
    n_dates: int
    """Dates with data."""
    reason: str
    """Why there are no knots; empty if there are."""

    def at(self, dates: Dates, groups: ArrayLike = 1) -> NDArray[np.float64]:
        """Return the curve, without the yearly course.

        Parameters
        ----------
        dates : sequence of date
            Any dates.
        groups : int or (date,) int array
            To which group of dates the curve is continued.

        Returns
        -------
        (date,) float64 array
            Metres.
        """
        bends = np.array([years_since([knot.day], self.start)[0] for knot in self.knots])
        curve = _split(years_since(dates, self.start), bends) @ self.rates
        return np.asarray(self.offset[np.broadcast_to(groups, len(dates)) - 1] + curve)


def fit_stages(
    dates: Dates,
    displacement: ArrayLike,
    sigma: ArrayLike | None = None,
    *,
    groups: ArrayLike = 1,
    most: int = 8,
) -> Stages:
    """Date the events of a series.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date,) array
        Metres; NaN where unknown.
    sigma : (date,) array, optional
        Its standard errors relative to the date where they are least, metres, as in `fit_velocity`.
    groups : int or (date,) int array
        Group of dates that pairs join, from 1, or 0 where nothing is known; each has an offset of its own.
    most : int
        Knots that are looked for at most.

    Returns
    -------
    Stages
        A knot is an *onset* where a stage that is still is followed by one that is not, a *stop* the other way round.
        Still is a rate within two standard errors of zero or below a tenth of the fastest. Else it is an *acceleration*
        where the rate grows, whatever its sign, and a *deceleration* where it falls; where the motion turns round it is
        called by that as well, and the signs of the rates tell. Between two stages that are both still there is no
        knot: they are one. From fewer than ten dates there are no knots.

    Raises
    ------
    ValueError
        If `dates` do not ascend, shapes do not fit, or `most` is negative.

    Notes
    -----
    The model is an offset for each group, a rate, a hinge max(t - knot, 0) for each knot and, if that explains the
    series better, a yearly course, in noise that is white, remembers or drifts (`estimate`). The number of knots and
    the noise are those of the least

        -2 log restricted likelihood + knots (7 + 2 log s),

    in which s is the rate that two successive dates would show by that part of their noise which lasts, in the noise
    model that suits the series best beside a curve with a knot at every tenth date. So nothing depends on units: the
    information of the hinge, in the likelihood, times s^2 is what an unknown rate costs (a Bayes factor of unit
    information, [Kass1995]), and 7 is what the search among dates and noise models costs. What lasts is what shows
    knots where there are none; white noise counts for 5 %. A yearly course costs 5 + 4 log of the noise of the
    difference of two dates.

    Knots are found on and between dates, under each noise model, by adding the best, settling all, and taking the worst
    away again, to and fro until nothing gets better; each stage holds four known differences of dates. Then each is
    dated to the day, the others held, by the restricted likelihood over all days between its neighbours, averaged over
    the noise models: `day` is its median, `early` and `late` leave 2.5 % on either side. Standard errors of rates allow
    for the doubt about the dates.

    Examples
    --------
    >>> days = np.arange("2018-01-01", "2021-01-01", 12, dtype="datetime64[D]")
    >>> t = np.arange(days.size) * 12 / 365.25
    >>> noise = np.random.default_rng(1).normal(0, 0.003, days.size)
    >>> found = fit_stages(days, -0.100 * np.maximum(t - 1.5, 0) + noise)
    >>> [(knot.kind, knot.day) for knot in found.knots]
    [('onset', datetime.date(2019, 7, 6))]
    """
    if most < 0:
        raise ValueError(f"most must not be negative, instead got {most}")
    day = days_of(dates)
    series = np.asarray(displacement, np.float64)
    check_shape("displacement", series, (len(day),))
    errors = None if sigma is None else np.asarray(sigma, np.float64)
    if errors is not None:
        check_shape("sigma", errors, (len(day),))
    group = np.asarray(groups, np.int64)
    if group.ndim:
        check_shape("groups", group, (len(day),))
    member = np.where(np.isfinite(series), group, 0)
    found = next(by_pattern(day, member[np.newaxis]), None)
    start: date = day[0].item()
    count = int((member > 0).sum())
    if found is None:
        reason = f"{count} known dates do not tell a rate"
        nothing = np.full(max(int(member.max()), 1), np.nan)
        return Stages(start, (), np.array([np.nan]), np.array([np.nan]), nothing, math.nan, count, reason)
    _, known, design = found
    labels = np.unique(member[known])
    fit = Known(
        day[known], years_since(day[known], start), design, 1 + labels.size, _told(member[known]), series[known],
        None if errors is None else errors[known],
    )  # fmt: skip
    knots, yearly = find_knots(fit, most) if count >= _LEAST_DATES else ([], False)
    while True:
        rates, sigmas, offsets, amplitude = _rates(fit, [years_since([k.day], start)[0] for k in knots], yearly)
        still = _still(rates, sigmas)
        quiet = [k for k, within in enumerate(still[:-1] & still[1:]) if within]
        if not quiet:
            break
        knots.pop(min(quiet, key=lambda k: knots[k].gain))
    reason = ""
    if count < _LEAST_DATES:
        reason = f"only {count} dates are known, {_LEAST_DATES} are needed to date an event"
    elif not knots:
        reason = "no change of the rate stands out from the noise"
    offset = np.full(int(labels.max()), np.nan)
    offset[labels - 1] = offsets
    return Stages(start, _events(knots, rates, sigmas, still), rates, sigmas, offset, amplitude, count, reason)


def _told(member: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many dates until each are not the first of their group: each tells a difference."""
    further = np.ones(len(member), np.int64)
    further[np.unique(member, return_index=True)[1]] = 0
    return np.cumsum(further)


def _split(years: NDArray[np.float64], bends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the time spent in each stage, (date, stage)."""
    limits = np.concatenate([[-np.inf], bends, [np.inf]])
    inside = np.clip(years[:, np.newaxis], limits[:-1], limits[1:])
    # The first stage counts from zero, each other one from its knot.
    return np.asarray(inside - np.concatenate([[0.0], bends]))


def _rates(
    fit: Known, bends: list[float], yearly: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return rates, their standard errors, the offsets of the groups, and the amplitude of the yearly course."""
    stages = _split(fit.years, np.array(bends))
    p = fit.design.shape[1] if yearly else fit.plain
    design = np.column_stack([fit.design[:, :1], stages[:, :1], fit.design[:, 2:p], stages[:, 1:]])
    columns = np.r_[1, p : design.shape[1]]
    errors = None if fit.sigma is None else fit.sigma[np.newaxis]
    mean = estimate(fit.years, design, fit.series[np.newaxis], errors).mean[0]
    loose = _loosened(design, fit.years, bends)
    sigmas = []
    for column in columns:
        found = estimate(fit.years, loose, fit.series[np.newaxis], errors, focus=int(column))
        sigmas.append(float(found.error[0] * stats.t.ppf(0.975, found.dof[0])) / _NORMAL_95)
    offsets = mean[0] + np.concatenate([[0.0], mean[2 : fit.plain]])
    amplitude = float(np.hypot(*mean[fit.plain : p])) if yearly else 0.0
    return mean[columns], np.array(sigmas), offsets, amplitude


def _loosened(design: NDArray[np.float64], years: NDArray[np.float64], bends: list[float]) -> NDArray[np.float64]:
    """Add a step at each knot: how the curve changes with its date, which is not known for certain either."""
    for bend in bends:
        longer = np.column_stack([design, years > bend])
        if longer.shape[1] + 1 < len(years) and np.linalg.matrix_rank(longer) == longer.shape[1]:
            design = longer
    return design


def _still(rates: NDArray[np.float64], sigmas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which stages are still."""
    speeds = np.abs(rates)
    return np.asarray((speeds < _STILL_SIGMAS * sigmas) | (speeds < _STILL_SHARE * speeds.max()))


def _events(
    dated: list[Dated], rates: NDArray[np.float64], sigmas: NDArray[np.float64], still: NDArray[np.bool_]
) -> tuple[Knot, ...]:
    """Name what happens at each knot."""
    speeds = np.abs(rates)
    return tuple(
        Knot(
            one.day, one.early, one.late, _kind(still[k], still[k + 1], speeds[k], speeds[k + 1]), float(rates[k]),
            float(rates[k + 1]), float(sigmas[k]), float(sigmas[k + 1]), one.gain,
        )
        for k, one in enumerate(dated)
    )  # fmt: skip


def _kind(still_before: bool, still_after: bool, before: float, after: float) -> Event:
    """Name a knot by whether the place is still before and after, and by its speeds."""
    if still_before != still_after:
        return "onset" if still_before else "stop"
    return "acceleration" if after > before else "deceleration"
