"""How a place moves: steadily, with the seasons, faster and faster, or slower and slower.

Displacement is in metres, positive towards the satellite; rates are in metres per year. To speed up is to have a larger
rate, whatever its sign.
"""

import math
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from groundshift.checks import check_shape
from groundshift.timeseries.noise import estimate
from groundshift.timeseries.velocity import Dates, Velocity, by_pattern, days_of, fit_velocity, years_since

__all__ = ["Behaviour", "Motion", "fit_motion"]

Behaviour = Literal["steady", "seasonal", "accelerating", "decelerating", "unclear"]

_SIGNIFICANCE = 0.05
"""Of the rate."""
_CHANGE_SIGNIFICANCE = 0.02
"""Of the parabola: with it steady motion in remembering noise is called changing in at most 5 % of the cases."""
_LEAST_GAIN = 2.0
"""Of the Bayesian information criterion: less is "not worth more than a bare mention" [Kass1995]."""
_SEASON_SIGNIFICANCE = 0.01
"""Air has a yearly course too, of a few millimetres: a faint one does not make a motion seasonal."""
_SEASON_SHARE = 1 / 3
"""A motion is seasonal where the season changes its speed by more than this share of the mean."""
_SEASON_YEARS = 1.75
"""A season is what comes back: in less time a bend may look like one."""
_LEAST_DATES = 10
"""In fewer a change is not looked for."""
_EDGE_DATES = 5
_EDGE_SHARE = 0.15
"""A breakpoint has so many dates, and this share of the time, on either side."""
_PIXEL_SIGNIFICANCE = 0.10
_PIXEL_SHARE = 0.20
"""Of the pixels of a box that must show the same change."""


class Motion(NamedTuple):
    """How a place moves, and what speaks for it. Rates in metres per year; NaN where not known."""

    behaviour: Behaviour
    explanation: str
    """One line in plain words."""
    velocity: Velocity
    """Of the whole time, arrays of shape ()."""
    acceleration: float
    """Metres per year squared, of a parabola."""
    acceleration_sigma: float
    acceleration_probability: float
    """That steady motion would show as much."""
    breakpoint: date | None
    """Where the rate changes most likely; None if one rate explains the series as well."""
    breakpoint_gain: float
    """By how much the Bayesian information criterion prefers two rates; above 2 it speaks for them."""
    rate_before: float
    rate_before_sigma: float
    rate_after: float
    rate_after_sigma: float
    seasonal_probability: float
    """That motion without seasons would show as much of a yearly course."""
    pixel_share: float | None
    """Share of the pixels that show a parabola of the same sign; None if there were none to look at."""
    bend: Velocity | None
    """The motion until the breakpoint, if that is what the series shows."""

    def at(self, dates: Dates, groups: ArrayLike = 1) -> NDArray[np.float64]:
        """Return the curve that the behaviour stands for, (date,) metres: bent at the breakpoint if the rate changes.

        `groups` is the group of dates that the curve is continued from, as in `Velocity.at`.
        """
        if self.bend is None or self.breakpoint is None:
            return self.velocity.at(dates, groups)
        after = np.maximum(years_since(dates, self.breakpoint), 0.0)
        return self.bend.at(dates, groups) + (self.rate_after - self.rate_before) * after


class _Change(NamedTuple):
    """The parabola, and the best breakpoint."""

    acceleration: float
    sigma: float
    probability: float
    day: date | None
    gain: float
    before: float
    before_sigma: float
    after: float
    after_sigma: float


_NO_CHANGE = _Change(*(math.nan,) * 3, None, *(math.nan,) * 5)


def fit_motion(
    dates: Dates,
    displacement: ArrayLike,
    sigma: ArrayLike | None = None,
    *,
    pixels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Motion:
    """Tell how a place moves.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement : (date,) array
        Metres, of the place as a whole; NaN where unknown.
    sigma : (date,) array, optional
        Its standard errors relative to the date where they are least, metres.
    pixels : (date, pixel) array, optional
        Displacement of the pixels of the box around the place. A change of the rate must show in a fifth of those with
        data.
    groups : (date,) int array, optional
        Group of dates that pairs join, from 1; each has an offset of its own.

    Returns
    -------
    Motion
        *accelerating* or *decelerating*: a parabola is significant at 2 %, the Bayesian information criterion prefers
        two rates to one by 2 at least, both agree on what the speed does, and the pixels show it. *seasonal*: not so,
        but a yearly course is significant at 1 %, changes the speed by more than a third of its mean, and has had 21
        months to come back. *steady*: neither, no hint of a change, and the rate is significant at 5 %. *unclear*: the
        rest.

    Raises
    ------
    ValueError
        If `dates` do not ascend, or shapes do not fit.

    Notes
    -----
    Both tests stand on the noise models of `fit_velocity`: what drifts is noise first and motion only if noise does not
    explain it. A breakpoint has five dates and 15 % of the time on either side; it counts as two parameters, a rate and
    a date. From less than a year of dates a change of the rate cannot be told from a season; the explanation says so.

    References
    ----------
    [Kass1995] for how much a gain of the criterion means.

    Examples
    --------
    >>> days = np.arange("2018-01-01", "2021-01-01", 12, dtype="datetime64[D]")
    >>> t = np.arange(days.size) * 12 / 365.25
    >>> noise = np.random.default_rng(1).normal(0, 0.003, days.size)
    >>> faster = fit_motion(days, -0.010 * t - 0.050 * np.maximum(t - 1.5, 0) + noise)
    >>> print(faster.explanation)
    moves faster since July 2019: 11 mm/yr away from the satellite before, 60 mm/yr after
    """
    day = days_of(dates)
    series = np.asarray(displacement, np.float64)
    check_shape("displacement", series, (len(day),))
    member = np.ones(len(day), np.int64) if groups is None else np.asarray(groups, np.int64)
    velocity = fit_velocity(day, series, sigma, groups=groups)
    season = _season_probability(velocity)
    change, share, bend = _NO_CHANGE, None, None
    if velocity.n_dates >= _LEAST_DATES and np.isfinite(velocity.rate):
        errors = None if sigma is None else np.asarray(sigma, np.float64)
        change = _find_change(day, series, errors, member)
        if pixels is not None:
            share = _share_of_pixels(day, np.asarray(pixels, np.float64), member, change.acceleration)
    known = day[np.isfinite(series)]
    returned = known.size > 0 and bool(years_since(known[-1:], known[0].item())[0] >= _SEASON_YEARS)
    behaviour = _judge(velocity, change, season, returned, share)
    if behaviour in {"accelerating", "decelerating"} and change.day is not None:
        bent = (change.after - change.before) * np.maximum(years_since(day, change.day), 0.0)
        bend = fit_velocity(day, series - bent, sigma, groups=groups)
    return Motion(
        behaviour, _explain(behaviour, velocity, change, share), velocity, change.acceleration, change.sigma,
        change.probability, change.day, change.gain, change.before, change.before_sigma, change.after,
        change.after_sigma, season, share, bend,
    )  # fmt: skip


def _find_change(
    day: NDArray[np.datetime64],
    series: NDArray[np.float64],
    sigma: NDArray[np.float64] | None,
    member: NDArray[np.int64],
) -> _Change:
    """Fit a parabola, and a line with one break at every date where there may be one."""
    found = next(by_pattern(day, np.where(np.isfinite(series), member, 0)[np.newaxis]), None)
    if found is None:
        return _NO_CHANGE
    _, known, design = found
    years, n = years_since(day[known], day[0].item()), int(known.sum())
    p = design.shape[1]
    if n < p + 2:
        return _NO_CHANGE
    data, errors = series[np.newaxis, known], None if sigma is None else sigma[np.newaxis, known]
    parabola = estimate(years, _with_parabola(years, design), data, errors, focus=p)
    acceleration, error = 2 * float(parabola.mean[0, p]), 2 * float(parabola.error[0])
    probability = 2 * float(stats.t.sf(abs(acceleration) / error, parabola.dof[0]))
    change = _NO_CHANGE._replace(acceleration=acceleration, sigma=error, probability=probability)
    deviance = {k: _deviance(years, _with_break(years, design, years[k]), data, errors) for k in _candidates(years)}
    if not deviance:
        return change
    best = min(deviance, key=deviance.__getitem__)
    # Two more parameters, the date and the second rate.
    gain = _deviance(years, design, data, errors) - deviance[best] - 2 * math.log(n)
    if gain <= _LEAST_GAIN:
        return change._replace(gain=gain)
    bent = _with_break(years, design, years[best])
    before, after = (estimate(years, bent, data, errors, focus=k) for k in (1, p))
    return change._replace(
        day=day[known][best].item(), gain=gain, before=float(before.mean[0, 1]), before_sigma=float(before.error[0]),
        after=float(after.mean[0, p]), after_sigma=float(after.error[0]),
    )  # fmt: skip


def _deviance(
    years: NDArray[np.float64],
    design: NDArray[np.float64],
    data: NDArray[np.float64],
    errors: NDArray[np.float64] | None,
) -> float:
    """Return -2 log likelihood under the noise that suits the design best; infinite where it is not of full rank."""
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return math.inf
    return float(estimate(years, design, data, errors).deviance[0])


def _candidates(years: NDArray[np.float64]) -> NDArray[np.intp]:
    """Dates that may be breakpoints."""
    margin = _EDGE_SHARE * (years[-1] - years[0])
    inner = (years >= years[0] + margin) & (years <= years[-1] - margin)
    inner[:_EDGE_DATES] = False
    inner[len(years) - _EDGE_DATES :] = False
    return np.flatnonzero(inner)


def _with_parabola(years: NDArray[np.float64], design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the square of time; its origin is free, since offset and rate are."""
    return np.column_stack([design, (years - years.mean()) ** 2])


def _with_break(years: NDArray[np.float64], design: NDArray[np.float64], at: float) -> NDArray[np.float64]:
    """Split the column of the rate into the time before and the time after a break."""
    before = design.copy()
    before[:, 1] = np.minimum(years, at)
    return np.column_stack([before, np.maximum(years - at, 0.0)])


def _share_of_pixels(
    day: NDArray[np.datetime64], pixels: NDArray[np.float64], member: NDArray[np.int64], acceleration: float
) -> float | None:
    """Share of the pixels whose own parabola has the sign of `acceleration` and is significant."""
    check_shape("pixels", pixels, (len(day), *pixels.shape[1:2]))
    count = agree = 0
    for rows, known, design in by_pattern(day, np.where(np.isfinite(pixels), member[:, np.newaxis], 0).T):
        years = years_since(day[known], day[0].item())
        if len(years) < max(_LEAST_DATES, design.shape[1] + 2):
            continue
        found = estimate(years, _with_parabola(years, design), pixels[np.ix_(known, rows)].T, focus=design.shape[1])
        limit = stats.t.isf(_PIXEL_SIGNIFICANCE / 2, found.dof) * found.error
        agree += int((found.mean[:, -1] * math.copysign(1.0, acceleration) > limit).sum())
        count += rows.size
    return agree / count if count else None


def _season_probability(velocity: Velocity) -> float:
    """Tell how often motion without seasons would show as large a yearly course; NaN where none was fitted."""
    # Cosine and sine over their errors, squared and halved, follow F with two degrees of freedom.
    ratio = float(velocity.annual_amplitude / velocity.annual_amplitude_sigma)
    return float(stats.f.sf(ratio**2 / 2, 2, velocity.n_dates - 4.0)) if math.isfinite(ratio) else math.nan


def _judge(velocity: Velocity, change: _Change, season: float, returned: bool, share: float | None) -> Behaviour:
    """Choose the behaviour; `returned` is whether a season has had the time to come back."""
    rate = float(velocity.rate)
    if not math.isfinite(change.acceleration):
        return "unclear"
    parabola = change.probability < _CHANGE_SIGNIFICANCE
    if parabola or change.day is not None:
        found = _direction(velocity, change) if parabola and change.day is not None else None
        return "unclear" if found is None or (share is not None and share < _PIXEL_SHARE) else found
    swing = 2 * math.pi * float(velocity.annual_amplitude)
    if season < _SEASON_SIGNIFICANCE and swing > _SEASON_SHARE * abs(rate):
        return "seasonal" if returned else "unclear"
    low, high = velocity.interval(1 - _SIGNIFICANCE)
    return "steady" if low * high > 0 else "unclear"


def _direction(velocity: Velocity, change: _Change) -> Literal["accelerating", "decelerating"] | None:
    """Tell whether the speed grows or falls; None where parabola and break disagree."""
    if change.acceleration * (change.after - change.before) <= 0:
        return None
    if _turns_round(change):
        return None
    faster = abs(change.after) > abs(change.before)
    # Over the whole time the parabola's speed grows if rate and acceleration have the same sign.
    if faster != (float(velocity.rate) * change.acceleration > 0):
        return None
    return "accelerating" if faster else "decelerating"


def _turns_round(change: _Change) -> bool:
    """Whether the motion goes back nearly as fast as it came: its speed neither grows nor falls."""
    slower, faster = sorted((abs(change.before), abs(change.after)))
    return change.before * change.after < 0 and slower > faster / 2


def _explain(behaviour: Behaviour, velocity: Velocity, change: _Change, share: float | None) -> str:
    """Say in one line what the series shows."""
    if not np.isfinite(velocity.rate):
        return f"too few dates ({int(velocity.n_dates)}) to tell how it moves"
    low, high = (round(1000 * float(limit)) for limit in velocity.interval(1 - _SIGNIFICANCE))
    mean = f"{_speed(float(velocity.rate))} (95 %: {low} to {high})"
    if not math.isfinite(change.acceleration):
        return f"{mean}; too few dates ({int(velocity.n_dates)}) to tell whether the speed changes"
    if behaviour in {"accelerating", "decelerating"} and change.day is not None:
        word = "faster" if behaviour == "accelerating" else "slower"
        before, after = _speed(change.before), _speed(change.after, change.before)
        text = f"moves {word} since {change.day:%B %Y}: {before} before, {after} after"
        if not np.isfinite(velocity.annual_amplitude):
            text += "; from these dates a season cannot be told from a change"
        return text
    if behaviour == "seasonal":
        peak = np.datetime64("2001-01-01", "D") + np.timedelta64(int(velocity.annual_phase), "D")
        swing = 2000 * float(velocity.annual_amplitude)
        return (
            f"moves with the seasons, {swing:.0f} mm to and fro within the year, nearest to the satellite in "
            f"{peak.item():%B}; over the years {mean}"
        )
    if behaviour == "steady":
        return f"{mean}; no change of the speed stands out from the noise"
    return f"{mean}; {_doubt(velocity, change, share)}"


def _doubt(velocity: Velocity, change: _Change, share: float | None) -> str:
    """Say why a behaviour is unclear."""
    parabola = change.probability < _CHANGE_SIGNIFICANCE
    if parabola and change.day is not None:
        if share is not None and share < _PIXEL_SHARE:
            return f"the speed seems to change, but only in {100 * share:.0f} % of the pixels"
        if _turns_round(change):
            return f"the motion turns round in {change.day:%B %Y}"
        return "the speed changes, but not in one direction"
    if parabola:
        return "the speed seems to change slowly, but no breakpoint stands out"
    if change.day is not None:
        return f"the speed seems to change in {change.day:%B %Y}, but not for good"
    low, high = velocity.interval(1 - _SIGNIFICANCE)
    if low * high > 0:
        return "the speed seems to change with the season, but less than two years do not show it come back"
    return "that is within its error"


def _speed(rate: float, other: float | None = None) -> str:
    """Write a rate in words, without its direction if `other` has the same."""
    number = f"{1000 * abs(rate):.0f} mm/yr"
    if other is not None and rate * other > 0:
        return number
    return f"{number} {'towards' if rate > 0 else 'away from'} the satellite"
