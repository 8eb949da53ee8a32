"""When the satellite passed and which passes make a pair.

Dates follow a regular plan with some passes lost, one by one, for months, or every winter; perpendicular baselines
scatter around zero and sometimes drift. A batch has one network.
"""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import NoDataError
from groundshift.pairs import select_pairs
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.types import Network
from groundshift.types import Pair

__all__ = ["LEAST_PAIRS", "draw_network"]

LEAST_PAIRS = 8
"""Fewest pairs of a network."""
_LEAST_RECORD_DAYS = 300


def draw_network(config: BatchConfig, rng: np.random.Generator) -> Network:
    """Draw dates, baselines and pairs.

    Parameters
    ----------
    config : BatchConfig
        Ranges of dates, intervals, longest pairs, numbers of pairs and wavelengths.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    Network
        At least 8 pairs in the order of their dates, each of whose dates is among the network's.

    Examples
    --------
    >>> network = draw_network(BatchConfig(), np.random.default_rng(1))
    >>> len(network.pairs) >= 8 and len(network.dates) == len(network.baselines)
    True
    """
    interval = int(rng.choice(config.intervals_days))
    wavelength = float(rng.choice(config.wavelengths_m))
    wanted = _log_uniform(config.dates, rng)
    days = _draw_days(wanted, interval, rng)
    start = date(2014, 10, 1) + timedelta(days=int(rng.integers(0, 3500)))
    dates = [start + timedelta(days=int(day)) for day in days]
    baselines = _draw_baselines(days, rng)
    max_days = max(int(rng.choice(config.max_days)), interval)
    while True:
        pairs = _within(dates, baselines, max_days)
        if len(pairs) >= min(LEAST_PAIRS, len(dates) * (len(dates) - 1) // 2):
            break
        max_days += interval
    if len(pairs) < LEAST_PAIRS:
        raise NoDataError(
            f"{len(dates)} dates give only {len(pairs)} pairs, but a network needs {LEAST_PAIRS}; raise dates to 5 "
            "or more"
        )
    pairs = _thin(_choose(pairs, rng), max(LEAST_PAIRS, _log_uniform(config.pairs, rng)), rng)
    used = sorted({day for pair in pairs for day in (pair.reference, pair.secondary)})
    by_date = dict(zip(dates, baselines.tolist(), strict=True))
    return Network(tuple(used), tuple(by_date[day] for day in used), tuple(pairs), wavelength)


def _log_uniform(limits: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw a whole number log-uniformly within limits, both included."""
    return round(float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1])))))


def _draw_days(wanted: int, interval: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `wanted` days, the first of them 0, of a plan with lost passes."""
    drops = rng.choice([0.0, 0.05, 0.15, 0.35], p=[0.2, 0.4, 0.25, 0.15])
    gap_days = int(rng.uniform(200, 500)) if rng.uniform() < 0.15 else 0
    gap_after = rng.uniform(0.25, 0.75) * wanted
    no_winter = rng.uniform() < 0.1
    winter = rng.integers(0, 365)
    kept: list[int] = []
    step = shift = 0
    while len(kept) < wanted:
        day = step * interval + shift
        step += 1
        if gap_days and len(kept) >= gap_after:
            shift += -(-gap_days // interval) * interval
            gap_days = 0
            continue
        if kept and (rng.uniform() < drops or (no_winter and (day + winter) % 365 < 130)):
            continue
        kept.append(day)
        if rng.uniform() < 0.01:
            shift += int(rng.integers(2, 7)) * interval
    found = np.array(kept)
    # Some satellites pass between the planned days too, as Sentinel-1A and B do six days apart.
    if interval >= 12 and rng.uniform() < 0.15:
        moved = rng.uniform(size=wanted) < rng.uniform(0.1, 0.5)
        moved[0] = False
        found = np.unique(found - moved * (interval // 2))
    return found


def _draw_baselines(days: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw perpendicular baselines in metres; one network in five drifts."""
    sigma = np.exp(rng.uniform(np.log(20), np.log(150)))
    drift = rng.normal(0, 60) if rng.uniform() < 0.2 else 0.0
    return np.asarray(rng.normal(0, sigma, len(days)) + drift * days / 365.25, np.float64)


def _within(dates: list[date], baselines: NDArray[np.float64], max_days: int) -> list[Pair]:
    """Pair every two dates at most `max_days` apart."""
    return [
        Pair(dates[i], dates[j], float(baselines[j] - baselines[i]))
        for i in range(len(dates))
        for j in range(i + 1, len(dates))
        if (dates[j] - dates[i]).days <= max_days
    ]


def _choose(pairs: list[Pair], rng: np.random.Generator) -> list[Pair]:
    """Keep all pairs, those of neighbouring dates, or those of each date with its few next ones."""
    longest = max(pair.days for pair in pairs)
    how = rng.choice(["all", "sequential", "nearest"], p=[0.5, 0.15, 0.35])
    kept = select_pairs(pairs, max_days=longest, mode=how, nearest=int(rng.integers(2, 5)))
    return list(kept) if len(kept) >= LEAST_PAIRS else pairs


def _thin(pairs: list[Pair], most: int, rng: np.random.Generator) -> list[Pair]:
    """Take pairs out until `most` are left: later and earlier ones, long ones or any; some may be missing anyway."""
    share = rng.uniform(0.6, 0.95) if rng.uniform() < 0.25 else 1.0
    most = max(LEAST_PAIRS, min(most, round(share * len(pairs))))
    if len(pairs) <= most:
        return pairs
    first = int(rng.integers(0, len(pairs) - most + 1))
    record = pairs[first : first + most]
    how = rng.uniform()
    if how < 0.3 and (record[-1].secondary - record[0].reference).days > _LEAST_RECORD_DAYS:
        return record
    if how < 0.6:
        # The shortest pairs, in no order among those of equal length.
        order = np.lexsort((rng.uniform(size=len(pairs)), np.array([float(pair.days) for pair in pairs])))
        kept = np.sort(order[:most])
    else:
        kept = np.sort(rng.choice(len(pairs), most, replace=False))
    return [pairs[k] for k in kept]
