"""A slope's series, its stages of creep, when it may fail, the rain and the moisture, on one time axis."""

from datetime import date
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_shape
from groundshift.constants import DAYS_PER_YEAR
from groundshift.hazard.creep import CreepStages, Phase, Stage
from groundshift.hazard.failure import FailureWindow
from groundshift.hazard.forcing import Forcing
from groundshift.hazard.rain import LagResult
from groundshift.timeseries.velocity import Dates, days_of

__all__ = ["hazard_figure"]

_SHADES: dict[Phase, str] = {"primary": "#DCEAF5", "secondary": "#EEF3E2", "tertiary": "#FBE3CF"}
_DEEPER = {"": 0.55, "initial": 0.55, "medium": 0.8, "sliding": 1.0}
_SERIES, _FAILURE, _RAIN, _MOISTURE, _INK = "#0072B2", "#B2182B", "#5B9BD5", "#8C6D31", "#333333"
_NARROW = 0.085
"""Share of the width below which the label of a stage stands upright."""


def hazard_figure(
    dates: Dates,
    displacement: ArrayLike,
    sigma: ArrayLike | None = None,
    *,
    stages: CreepStages | None = None,
    window: FailureWindow | None = None,
    rain: Forcing | None = None,
    moisture: tuple[Dates, ArrayLike] | None = None,
    lag: LagResult | None = None,
    failed: date | None = None,
    title: str = "",
    quantity: str = "LOS displacement",
) -> Figure:
    """Draw what is known of a slope over time.

    Parameters
    ----------
    dates : sequence of date
        Ascending.
    displacement, sigma : (date,) arrays
        Metres; NaN where unknown. Bars are one standard error.
    stages : CreepStages, optional
        Shaded, with their rates in millimetres per day, and the doubt about their dates as bars along the foot.
    window : FailureWindow, optional
        Hatched, with its median; a refusal is written down.
    rain : Forcing, optional
        Drawn as monthly totals where it is in millimetres per day, else as monthly means.
    moisture : (sequence of date, (date,) array), optional
        Dates and backscatter in decibels.
    lag : LagResult, optional
        Written beside the rain.
    failed : date, optional
        When the slope did fail.
    title : str
        Written above as it stands.
    quantity : str
        What `displacement` is, for the axis.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    ValueError
        If `dates` do not ascend or shapes do not fit.
    """
    day = days_of(dates)
    series = np.asarray(displacement, np.float64)
    check_shape("displacement", series, (day.size,))
    errors = None if sigma is None else np.asarray(sigma, np.float64)
    if errors is not None:
        check_shape("sigma", errors, (day.size,))
    below = [x is not None for x in (rain, moisture)]
    heights = [3.0] + [1.0] * sum(below)
    figure = Figure(figsize=(9.0, 3.6 + 1.25 * sum(below)), layout="constrained")
    axes: list[Axes] = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    last = max((x for x in (window.latest if window else None, failed) if x), default=day[-1].item())
    _limit(axes[0], day, last)
    known = series[np.isfinite(series)]
    # Words stand where no points are: a series that falls leaves the lower left and the upper right free.
    falls = bool(known.size and known[-1] < known[0])
    if stages is not None:
        _draw_stages(axes[0], stages, day, falls)
    axes[0].errorbar(
        _plain(day), series, errors, fmt="o", ms=4, lw=0, elinewidth=1, capsize=2, color=_SERIES, zorder=3
    )  # fmt: skip
    if window is not None:
        _draw_window(axes[0], window, falls)
    if failed is not None:
        axes[0].axvline(_at(failed), color=_FAILURE, lw=1.6)
        axes[0].annotate(
            "failed", (_at(failed), 0.03), xycoords=("data", "axes fraction"), xytext=(3, 0),
            textcoords="offset points", color=_FAILURE, fontsize=8,
        )  # fmt: skip
    axes[0].set_ylabel(f"{quantity} (m)")
    if rain is not None:
        _draw_rain(axes[1], rain, lag)
    if moisture is not None:
        _draw_moisture(axes[-1], *moisture)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    locator = AutoDateLocator(maxticks=12)  # type: ignore[no-untyped-call]  # unannotated
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # unannotated
    figure.align_ylabels(axes)
    axes[0].set_title(title, parse_math=False, fontsize=10, loc="left", pad=30)
    return figure


def _plain(days: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return days as matplotlib counts them, from 1970."""
    return np.asarray(days.astype("datetime64[D]").astype(np.float64))


def _at(day: date) -> float:
    return float(_plain(np.array([day], "datetime64[D]"))[0])


def _limit(axes: Axes, day: NDArray[np.datetime64], last: date) -> None:
    """Span the time of the series and what follows it."""
    begin, end = float(_plain(day)[0]), max(float(_plain(day)[-1]), _at(last))
    edge = max(0.02 * (end - begin), 1.0)
    axes.set_xlim(begin - edge, end + edge)


def _draw_stages(axes: Axes, stages: CreepStages, day: NDArray[np.datetime64], falls: bool) -> None:
    """Shade the stages and write what they are; below, between which days each may have begun."""
    low, high = axes.get_xlim()
    for k, stage in enumerate(stages.stages):
        begin, end = _at(stage.start), _at(stage.end)
        axes.axvspan(begin, end, color=_SHADES[stage.phase], alpha=_DEEPER[stage.part], lw=0, zorder=0)
        upright = (end - begin) < _NARROW * (high - low)
        axes.annotate(
            _words(stage, upright), ((begin + end) / 2, 1.015 if not upright else 0.97 if falls else 0.05),
            xycoords=("data", "axes fraction"), ha="center", va="top" if upright and falls else "bottom",
            rotation=90 if upright else 0, fontsize=7.5, color=_INK, annotation_clip=False,
        )  # fmt: skip
        if k:
            axes.axvline(begin, color=_INK, lw=0.8, ls=":", zorder=1)
            axes.plot(
                [_at(stage.start_early), _at(stage.start_late)], [0.012, 0.012], color=_INK, lw=3,
                solid_capstyle="butt", transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    known = [stage.start for stage in stages.stages] + [day[-1].item()]
    axes.plot([_at(x) for x in known], stages.at(known), color=_INK, lw=1.2, zorder=2)


def _words(stage: Stage, upright: bool) -> str:
    """Name a stage and its speed."""
    millimetres = 1000 / DAYS_PER_YEAR
    speed, error = abs(stage.rate) * millimetres, stage.rate_sigma * millimetres
    digits = 0 if error >= 1 else 1 if error >= 0.05 else 2
    name = stage.part or stage.phase
    return f"{name}{' ' if upright else chr(10)}{speed:.{digits}f} ± {error:.{digits}f} mm/day"


def _draw_window(axes: Axes, window: FailureWindow, falls: bool) -> None:
    """Hatch the failure window, or write why there is none."""
    if window.earliest is None or window.latest is None or window.median is None:
        axes.annotate(
            f"no failure window: {window.reason}",
            (0.01, 0.06 if falls else 0.93),
            xycoords="axes fraction",
            fontsize=7.5,
            color=_FAILURE,
        )
        return
    axes.axvspan(_at(window.earliest), _at(window.latest), fc="none", ec=_FAILURE, hatch="///", alpha=0.5, lw=0)
    axes.axvline(_at(window.median), color=_FAILURE, lw=1.2, ls="--")
    axes.annotate(
        f"may fail {window.earliest} to {window.latest} ({window.confidence:.0%})", (0.01, 0.06 if falls else 0.93),
        xycoords="axes fraction", fontsize=7.5, color=_FAILURE,
    )  # fmt: skip


def _draw_rain(axes: Axes, rain: Forcing, lag: LagResult | None) -> None:
    """Draw bars of a month each; months that are not known are grey."""
    months, means = rain.monthly()
    limits = np.append(months, (months[-1].astype("datetime64[M]") + 1).astype("datetime64[D]"))
    lengths = np.array([(b - a).astype(float) for a, b in pairwise(limits)])
    totals = rain.unit == "mm/day"
    axes.bar(_plain(months), means * lengths if totals else means, lengths * 0.9, align="edge", color=_RAIN)
    for start, length in zip(_plain(months)[np.isnan(means)], lengths[np.isnan(means)], strict=True):
        axes.axvspan(start, start + length, color="#DDDDDD", lw=0)
    axes.set_ylabel(f"{rain.name}\n({'mm/month' if totals else rain.unit})", fontsize=8.5)
    if lag is None:
        return
    if lag.best_lag is None or lag.lag_range is None:
        words = lag.reason
    else:
        low, high = lag.lag_range
        words = (
            f"motion follows after {lag.best_lag:g} months ({low:g} to {high:g}), "
            f"r = {float(np.nanmax(lag.correlation)):.2f}, p = {lag.p_value:.3f}"
        )
    axes.set_title(words, fontsize=7.5, loc="left", color=_INK, pad=2)


def _draw_moisture(axes: Axes, dates: Dates, decibels: ArrayLike) -> None:
    """Draw backscatter by date."""
    day = days_of(dates)
    values = np.asarray(decibels, np.float64)
    check_shape("moisture", values, (day.size,))
    axes.plot(_plain(day), values, "o-", ms=3, lw=0.9, color=_MOISTURE)
    axes.set_ylabel("backscatter\n(dB)", fontsize=8.5)
