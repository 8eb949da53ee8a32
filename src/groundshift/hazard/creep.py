"""The stages of creep: how a slope that moves metres a year went from one rate to the next, and whether it speeds up.

A slope that will fail creeps in three stages [Saito1969]: it slows down (primary), creeps at a constant rate
(secondary), and speeds up until it fails (tertiary). Displacement is in metres, rates are in metres per year; a place
speeds up where its rate grows, whatever the sign. The noise of series from offsets is large and independent, the
dates are few and far between, and the last stage may hold one date more than its beginning: `fit_stages`, made for
many dates and small noise that lasts, does not see such stages.
"""

import math
from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundshift.checks import check_shape, check_within
from groundshift.constants import DAYS_PER_YEAR
from groundshift.hazard._segments import Sampled, hinges, sample_knots
from groundshift.hazard._significance import (
    LEAST_DATES,
    change_score,
    change_trials,
    design_of,
    find_stages,
    less_chance,
)
from groundshift.hazard._yearly import Curves, best_curves, known_part, weights_of
from groundshift.timeseries.noise import estimate
from groundshift.timeseries.velocity import Dates, days_of, years_since

__all__ = ["Alert", "CreepStages", "Phase", "Stage", "TargetSeries", "alerts", "creep_stages", "speed_up"]

Phase = Literal["primary", "secondary", "tertiary"]
Part = Literal["", "initial", "medium", "sliding"]
Floats = NDArray[np.float64]

_LEAST_RISES = 2
"""Successive increases that make a tertiary stage."""
_LIMITS = (0.025, 0.975)


class Stage(NamedTuple):
    """A time of constant rate. The first begins with the first date, the last ends with the last."""

    phase: Phase
    part: Part
    """Of the tertiary phase; empty in others."""
    start: date
    start_early: date
    """It began between this day and `start_late` with a probability of 95 %."""
    start_late: date
    end: date
    end_early: date
    end_late: date
    rate: float
    """Metres per year."""
    rate_sigma: float
    """Standard error, the doubt about the dates included."""
    p_value: float
    """Of the change of rate at `start`, the search allowed for; NaN in the first stage."""


class CreepStages(NamedTuple):
    """The course of a series."""

    stages: tuple[Stage, ...]
    """In order of time; empty where too few dates are known to tell a rate."""
    accelerating: bool
    """Whether it is in the tertiary phase: it sped up twice at least and did not slow down since."""
    p_value: float
    """That a place whose rate did not grow last would look as if it did; NaN where not known."""
    offset: float
    """Metres, of the curve at the first date."""
    annual_amplitude: float
    """Of the yearly course beside the stages, metres."""
    n_dates: int
    """Dates with data."""
    reason: str
    """Why there is one stage only; empty if there are several."""

    def at(self, dates: Dates) -> Floats:
        """Return the curve, without the yearly course, (date,) metres; straight on beyond the last date."""
        if not self.stages:
            return np.full(len(dates), np.nan)
        start = self.stages[0].start
        knots = years_since([stage.start for stage in self.stages[1:]], start)
        rates = np.array([stage.rate for stage in self.stages])
        t = years_since(dates, start)
        return np.asarray(self.offset + rates[0] * t + hinges(t, knots) @ np.diff(rates))


class Alert(NamedTuple):
    """How a place moved since a day, beside how it moved before."""

    name: str
    since: date
    n_dates: int
    """Dates after `since`."""
    rate_before: float
    """Metres per year, of the last stage until `since`."""
    rate_before_sigma: float
    rate_since: float
    rate_since_sigma: float
    p_value: float
    """That a place which did not speed up would look as if it did as much."""


class TargetSeries(NamedTuple):
    """A named series."""

    name: str
    dates: Dates
    displacement: ArrayLike
    sigma: ArrayLike | None = None


def creep_stages(
    dates: Dates, displacement: ArrayLike, sigma: ArrayLike | None = None, *, most: int = 7
) -> CreepStages:
    """Divide a series into stages of constant rate, and name them.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date,) array
        Metres; NaN where unknown.
    sigma : (date,) array, optional
        Its standard errors, metres. Their size counts relative to each other, and noise below the stated is not
        believed. Dates where it is NaN are left out.
    most : int
        Changes of the rate that are looked for at most.

    Returns
    -------
    CreepStages
        The *tertiary* phase is what follows the longest stage of those that end in two or more successive significant
        increases of the speed, the last of all, at least two stages. That longest one is *secondary*. What comes
        before it, or is followed by a slower stage from the first on, is *primary*; all else is *secondary*.

    Raises
    ------
    ValueError
        If `dates` do not ascend, shapes do not fit, or `most` is negative.

    Notes
    -----
    For each number of knots the best continuous curve is found by dynamic programming over the dates and times between
    them; stages hold three dates, the last two, those at their ends included. The number that the Bayesian
    information criterion prefers is lowered until each knot stands two tests at 5 %: an F test against the best curve
    with a knot less, in white noise, and a t test of the change in noise whose memory is found out (`estimate`), whose
    p-values are multiplied for the search among dates. A yearly course is fitted beside if the criterion prefers that.
    The intervals are those of the posterior of all knots and rates together.

    References
    ----------
    [Liu2020], section 5.1; [Saito1969].
    """
    if most < 0:
        raise ValueError(f"most must not be negative, instead got {most}")
    day, series, errors = _checked(dates, displacement, sigma)
    if day.size < 3:
        reason = f"{day.size} known dates do not tell a rate"
        return CreepStages((), False, math.nan, math.nan, math.nan, int(day.size), reason)
    start: date = day[0].item()
    years = years_since(day, start)
    weights = weights_of(errors, day.size)
    curves, knots, chances = find_stages(day, series, errors, most)
    drawn = sample_knots(years, curves.series, weights, knots, np.random.default_rng(0))
    values, sigmas = _rates(years, curves.series, weights, errors, knots, drawn)
    stages = _stages(day, knots, drawn, values[1:], sigmas, chances)
    reason = ""
    if day.size < LEAST_DATES:
        reason = f"only {day.size} dates are known, {LEAST_DATES} are needed to look for a change of the rate"
    elif not knots.size:
        reason = "no change of the rate stands out from the noise"
    return CreepStages(
        stages, bool(stages[-1].phase == "tertiary"), _rise_chance(years, curves, weights, errors, knots),
        float(values[0]), curves.amplitude, int(day.size), reason,
    )  # fmt: skip


def speed_up(
    dates: Dates, displacement: ArrayLike, since: date, sigma: ArrayLike | None = None, *, name: str = ""
) -> Alert:
    """Compare the rate since a day with that of the last stage before it.

    Parameters
    ----------
    dates, displacement, sigma
        As in `creep_stages`.
    since : date
        Normally the last date of the analysis before.
    name : str
        Of the place.

    Returns
    -------
    Alert
        Rates and p-value are NaN where there are fewer than five dates until `since`, or none after it.

    Raises
    ------
    ValueError
        If `dates` do not ascend or shapes do not fit.

    Notes
    -----
    The day is given and not searched for, so that one or two new dates may suffice.
    """
    day, series, errors = _checked(dates, displacement, sigma)
    before = day <= np.datetime64(since, "D")
    fresh = int((~before).sum())
    if before.sum() < LEAST_DATES - 1 or not fresh:
        return Alert(name, since, fresh, math.nan, math.nan, math.nan, math.nan, math.nan)
    years = years_since(day, day[0].item())
    weights = weights_of(errors, day.size)
    until, knots, _ = find_stages(day[before], series[before], None if errors is None else errors[before], 7)
    if until.amplitude > 0:
        series = best_curves(day, years, series, weights, 7).series
    bend = years_since([since], day[0].item())
    design = design_of(years, np.append(knots, bend))
    noise = None if errors is None else errors[np.newaxis]
    found = estimate(years, design, series[np.newaxis], noise, focus=design.shape[1] - 1)
    rates = np.cumsum(found.mean[0, 1:])
    earlier, later = float(rates[-2]), float(rates[-1])
    sum_to = np.r_[0.0, np.ones(design.shape[1] - 1)]
    spread = found.covariance[0]
    p_value = float(stats.t.sf((later - earlier) * _direction(earlier, later) / found.error[0], found.dof[0]))
    return Alert(
        name, since, fresh, earlier, math.sqrt(sum_to[:-1] @ spread[:-1, :-1] @ sum_to[:-1]),
        later, math.sqrt(sum_to @ spread @ sum_to), p_value,
    )  # fmt: skip


def alerts(series: Iterable[TargetSeries], since: date, *, false_share: float = 0.05) -> list[Alert]:
    """List what sped up since a day, the surest first.

    Parameters
    ----------
    series : iterable of TargetSeries
        All that were looked at, not only those that seem to move.
    since : date
        Normally the last date of the analysis before.
    false_share : float
        Of the alerts, in the mean, that places give which did not speed up; in (0, 1).

    Returns
    -------
    list of Alert
        By the rule of Benjamini and Hochberg: the more places are looked at the surer each must be.

    Raises
    ------
    ValueError
        If `false_share` is not within (0, 1), or a series is not as in `creep_stages`.
    """
    check_within("false_share", false_share, 1e-9, 1 - 1e-9)
    found = [speed_up(one.dates, one.displacement, since, one.sigma, name=one.name) for one in series]
    tested = sorted((alert for alert in found if math.isfinite(alert.p_value)), key=lambda alert: alert.p_value)
    held = [k for k, alert in enumerate(tested, 1) if alert.p_value <= false_share * k / len(tested)]
    return tested[: max(held, default=0)]


def _checked(
    dates: Dates, displacement: ArrayLike, sigma: ArrayLike | None
) -> tuple[NDArray[np.datetime64], Floats, Floats | None]:
    """Return the known dates, their displacements and errors."""
    day = days_of(dates)
    series = np.asarray(displacement, np.float64)
    check_shape("displacement", series, (len(day),))
    errors = None if sigma is None else np.asarray(sigma, np.float64)
    if errors is not None:
        check_shape("sigma", errors, (len(day),))
    return known_part(day, series, errors)


def _direction(before: float, after: float) -> float:
    """Return the sign of the faster rate: a change of that sign is one to higher speed."""
    return math.copysign(1.0, before if abs(before) > abs(after) else after)


def _rise_chance(years: Floats, curves: Curves, weights: Floats, errors: Floats | None, knots: Floats) -> float:
    """Return the p-value of an increase of the speed at the last knot, or at the best if there is none."""
    tried = knots if knots.size else (curves.knots[1] if len(curves.knots) > 1 else knots)
    if not tried.size:
        return math.nan
    score, dof = change_score(years, curves.series, errors, tried, tried.size - 1)
    root = np.sqrt(weights)
    fit = np.linalg.lstsq(design_of(years, tried) * root[:, np.newaxis], curves.series * root, rcond=None)[0]
    rates = np.cumsum(fit[1:])
    rise = score * _direction(float(rates[-2]), float(rates[-1]))
    late = less_chance(curves, tried.size, years.size, errors)
    return min(1.0, max(change_trials(years.size) * float(stats.t.sf(rise, dof)), late))


def _rates(
    years: Floats, series: Floats, weights: Floats, errors: Floats | None, knots: Floats, drawn: Sampled
) -> tuple[Floats, Floats]:
    """Return the offset and the rates of the best curve, and the standard errors of the rates.

    Of the errors that doubt about the dates gives, in white noise, and those that noise which lasts gives, the larger.
    """
    root = np.sqrt(weights)
    fit = np.linalg.lstsq(design_of(years, knots) * root[:, np.newaxis], series * root, rcond=None)[0]
    limits = np.concatenate([[-np.inf], knots, [np.inf]])
    stages = np.clip(years[:, np.newaxis], limits[:-1], limits[1:]) - np.concatenate([[0.0], knots])
    design = np.column_stack([np.ones(years.size), stages])
    noise = None if errors is None else errors[np.newaxis]
    free = years.size - design.shape[1]
    lasting = [
        float(estimate(years, design, series[np.newaxis], noise, focus=1 + k).error[0]) if free > 0 else 0.0
        for k in range(knots.size + 1)
    ]
    return np.r_[fit[0], np.cumsum(fit[1:])], np.maximum(np.std(drawn.rates, axis=0), lasting)


def _stages(
    day: NDArray[np.datetime64], knots: Floats, drawn: Sampled, rates: Floats, sigmas: Floats, chances: Floats
) -> tuple[Stage, ...]:
    """Put the stages together."""
    low, high = np.quantile(drawn.knots, _LIMITS, axis=0) if knots.size else (knots, knots)
    limits = [_days(day[0], at) for at in (knots, np.minimum(low, knots), np.maximum(high, knots))]
    ends = [[day[0].item(), *inner, day[-1].item()] for inner in limits]
    names = _names(np.abs(rates), ends[0])
    return tuple(
        Stage(
            *names[k], ends[0][k], ends[1][k], ends[2][k], ends[0][k + 1], ends[1][k + 1], ends[2][k + 1],
            float(rates[k]), float(sigmas[k]), float(chances[k - 1]) if k else math.nan,
        )
        for k in range(rates.size)
    )  # fmt: skip


def _days(first: np.datetime64, years: Floats) -> list[date]:
    """Return days so many years after the first."""
    days: list[date] = (first + np.round(years * DAYS_PER_YEAR).astype("timedelta64[D]")).tolist()
    return days


def _names(speeds: Floats, ends: list[date]) -> list[tuple[Phase, Part]]:
    """Name the phases of stages by their speeds and lengths."""
    count = speeds.size
    rises = np.diff(speeds) > 0
    run = int(np.argmin(rises[::-1])) if not rises.all() else rises.size
    slowing = int(np.argmax(rises)) if rises.any() else rises.size
    names: list[tuple[Phase, Part]] = [("primary", "") if k < slowing else ("secondary", "") for k in range(count)]
    if run < _LEAST_RISES:
        return names
    bases = range(count - 1 - run, count - _LEAST_RISES)
    base = max(bases, key=lambda k: ends[k + 1] - ends[k])
    for k in range(count - 1 - run, base):
        names[k] = ("primary", "")
    for k in range(base + 1, count):
        names[k] = ("tertiary", "initial" if k == base + 1 else "sliding" if k == count - 1 else "medium")
    return names
