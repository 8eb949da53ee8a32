"""Lags between rain and motion: how often they are found right, and how often some are found where there are none.

    python benchmarks/rain_lag.py [--trials 200] [--first-seed 0]

Rain with a wet season, spells of some weeks and years of different strength; a slope whose rate has a season of its own
in every case, drifts, and in the first table follows the rain of 0 to 4 months before; dates 12 to 46 days apart over
four to seven years, noise of 5 mm. *shuffled*: the rain of the slope is another draw of the same climate, and is said
to be found at most in 5 % of the trials. *plain*: the highest plain correlation of rates and rain, by its textbook
p-value times the number of lags. All prints Markdown.
"""

import argparse
from datetime import date

import numpy as np
from scipy import stats

from groundshift.hazard.forcing import Forcing
from groundshift.hazard.rain import LAGS, rain_lag

MONTH = 365.25 / 12
FIRST = date(2012, 1, 1)
LEAD = 400
"""Days of rain before the first date."""


def climate(rng: np.random.Generator, days: int) -> np.ndarray:
    """Draw daily rain in mm: a wet season, spells, and years of different strength."""
    t = np.arange(days)
    season = np.exp(1.6 * np.cos(2 * np.pi * (t - 200) / 365.25))
    spell = np.zeros(days)
    kicks = rng.normal(0, 1, days)
    for k in range(1, days):
        spell[k] = 0.95 * spell[k - 1] + np.sqrt(1 - 0.95**2) * kicks[k]
    strength = np.exp(rng.normal(0, 0.25, days // 365 + 2))[t // 365]
    return season * strength * np.exp(0.7 * spell) * (rng.random(days) < 0.4) * rng.exponential(1, days) * 2


def history(
    rng: np.random.Generator, rain: np.ndarray, lag: float, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return days, metres and errors of a slope that follows rain after a lag, in months."""
    span = int(rng.uniform(4, 7) * 365.25)
    step = int(rng.choice([12, 24, 35, 46]))
    days = np.arange(LEAD, LEAD + span, step)
    days = days[rng.random(days.size) > 0.1]
    t = np.arange(rain.size)
    smooth = np.convolve(rain, np.ones(30) / 30)[: rain.size]
    driven = np.roll(smooth, round(lag * MONTH) - 15)
    own = np.cos(2 * np.pi * (t - rng.uniform(150, 300)) / 365.25)
    drift = np.cumsum(rng.normal(0, 1, rain.size)) / np.sqrt(rain.size)
    rate = 1 + 0.4 * own + 0.3 * drift + share * (driven - driven.mean()) / driven.mean()
    metres = np.cumsum(rate) * rng.uniform(1, 4) / 1000
    return days, metres[days] + rng.normal(0, 0.005, days.size), np.full(days.size, 0.005)


def plain(days: np.ndarray, metres: np.ndarray, rain: np.ndarray) -> bool:
    """Tell whether plain correlation finds a lag."""
    sums = np.concatenate([[0], np.cumsum(rain)])
    rates = np.diff(metres) / np.diff(days)
    least = 1.0
    for lag in LAGS:
        at = days - round(lag * MONTH)
        r, p = stats.pearsonr(rates, np.diff(sums[at]) / np.diff(at))
        least = min(least, p / 2 if r > 0 else 1.0)
    return least * len(LAGS) <= 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    print("| lag, months | n | found | of these within half a month | within one month | in its range |")
    print("|---|---|---|---|---|---|")
    every = []
    for k in range(options.trials):
        rng = np.random.default_rng([options.first_seed, k])
        lag = float(k % 5)
        rain = climate(rng, 9 * 365)
        days, metres, errors = history(rng, rain, lag, 0.5)
        found = rain_lag(np.datetime64(FIRST) + days, metres, Forcing("rain", "mm/day", FIRST, rain), errors)
        best, limits = found.best_lag, found.lag_range
        every.append((lag, best, best is not None and limits is not None and limits[0] <= lag <= limits[1]))
    for lag in (*map(float, range(5)), None):
        rows = [row for row in every if lag is None or row[0] == lag]
        told = [row for row in rows if row[1] is not None]
        near = [np.mean([abs(row[1] - row[0]) <= x + 1e-9 for row in told]) if told else np.nan for x in (0.5, 1.0)]
        held = np.mean([row[2] for row in told]) if told else np.nan
        name = "all" if lag is None else f"{lag:g}"
        print(f"| {name} | {len(rows)} | {len(told) / len(rows):.0%} | {near[0]:.0%} | {near[1]:.0%} | {held:.0%} |")
    print("\n| rain of another draw | n | found | plain correlation finds |\n|---|---|---|---|")
    for name, share in (("the slope follows its own rain", 0.5), ("the slope follows no rain", 0.0)):
        ours, naive = 0, 0
        for k in range(options.trials):
            rng = np.random.default_rng([options.first_seed + 1, k])
            own, other = climate(rng, 9 * 365), climate(rng, 9 * 365)
            days, metres, errors = history(rng, own, float(k % 5), share)
            found = rain_lag(np.datetime64(FIRST) + days, metres, Forcing("rain", "mm/day", FIRST, other), errors)
            ours += found.best_lag is not None
            naive += plain(days, metres, other)
        print(f"| {name} | {options.trials} | {ours / options.trials:.1%} | {naive / options.trials:.0%} |")


if __name__ == "__main__":
    main()
