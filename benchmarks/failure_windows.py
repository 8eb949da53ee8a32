"""Skill of failure windows on simulated creep, half of which never fails.

    python benchmarks/failure_windows.py [--histories 500] [--first-seed 0]

Two to five years, a date each 12 to 46 days (some missing), noise of 5 to 50 mm. Those that fail creep steadily for
some time, then by the law of failure with an exponent of 1.7 to 2.3; the last date is 10 to 200 days before. Those that
do not are steady, slow down, move with the seasons, change to a higher rate once, or speed up for a time and settle;
the latter two end at any time after they began to.

*windows*: share of the histories that get one; *hit*: that get one which holds the failure; *coverage*: of the windows,
how many hold it (90 % are promised); *naive*: a straight line through the inverse rates of the last half of the
intervals, its zero and the interval of 90 % of that by the errors of the line. All prints Markdown.
"""

import argparse
from collections import defaultdict
from itertools import pairwise

import numpy as np
from scipy import stats

from groundshift.hazard.failure import failure_window

QUIET = ("steady", "slowing", "seasonal", "step", "settling")
LEADS = (10, 30, 60, 120, 200)
FIRST = np.datetime64("2018-01-01")


def sampled(rng: np.random.Generator, span: float) -> np.ndarray:
    """Draw days of acquisitions, from zero."""
    step = rng.choice([12, 14, 24, 35, 46])
    days = np.arange(0, span, step)
    return days[rng.random(days.size) > 0.08]


def failing(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return days, metres, the day of failure and the lead."""
    lead = rng.uniform(LEADS[0], LEADS[-1])
    before, during = rng.uniform(300, 1200), rng.uniform(250, 900)
    failure = before + during
    days = sampled(rng, failure - lead)
    days = days + failure - lead - days[-1]
    power = rng.uniform(1.7, 2.3)
    q = 1 / (power - 1)
    rate = 10 ** rng.uniform(-1.3, 0.3) / 365.25
    rest = np.minimum(1.0, (failure - days) / during)
    law = during * (-np.log(rest) if abs(q - 1) < 1e-9 else (1 - rest ** (1 - q)) / (1 - q))
    return days, rate * (np.minimum(days, before) + law), failure, lead


def quiet(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return days and metres of a slope that does not fail."""
    days = sampled(rng, rng.uniform(700, 1900))
    rate, end = 10 ** rng.uniform(-1.3, 0.5) / 365.25, days[-1]
    if kind == "steady":
        return days, rate * days
    if kind == "slowing":
        memory = rng.uniform(150, 800)
        return days, rate * (0.3 * days + 2 * memory * (1 - np.exp(-days / memory)))
    if kind == "seasonal":
        depth, phase = rng.uniform(0.3, 1.0), rng.uniform(0, 2 * np.pi)
        turn = 2 * np.pi * days / 365.25
        return days, rate * (days + depth * 365.25 / (2 * np.pi) * np.sin(turn + phase))
    begin = end - rng.uniform(40, 600)
    factor = rng.uniform(2, 8)
    if kind == "step":
        return days, rate * (days + (factor - 1) * np.maximum(days - begin, 0))
    # The rate rises along half a sine and falls back.
    length = rng.uniform(100, 500)
    x = np.clip((days - begin) / length, 0, 1)
    return days, rate * (days + (factor - 1) * length * (x - np.sin(2 * np.pi * x) / (2 * np.pi)))


def naive(days: np.ndarray, metres: np.ndarray) -> tuple[float, float] | None:
    """Carry a straight line through the last inverse rates on to zero."""
    rates, middle = np.diff(metres) / np.diff(days), (days[1:] + days[:-1]) / 2
    late = np.arange(rates.size) >= rates.size // 2
    x, y = middle[late], 1 / rates[late]
    fit = stats.linregress(x, y)
    if fit.slope >= 0 or fit.pvalue > 0.05:
        return None
    zero = -fit.intercept / fit.slope
    half = stats.t.ppf(0.95, x.size - 2) * np.hypot(fit.intercept_stderr, zero * fit.stderr) / abs(fit.slope)
    if zero + half <= days[-1]:
        return None
    return zero - half, zero + half


def rates(counts: list[tuple[bool, bool, float]]) -> str:
    """Write shares of windows and hits, coverage, and the median width."""
    given, hit = np.mean([c[0] for c in counts]), np.mean([c[1] for c in counts])
    width = np.median([c[2] for c in counts if c[0]]) if given else np.nan
    return f"{given:.0%} | {hit:.0%} | {hit / given if given else np.nan:.0%} | {width:.0f} d"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    failed: dict[str, dict[float, list[tuple[bool, bool, float]]]] = {
        "ours": defaultdict(list),
        "naive": defaultdict(list),
    }
    false: dict[str, dict[str, list[bool]]] = {"ours": defaultdict(list), "naive": defaultdict(list)}
    for k in range(options.histories):
        rng = np.random.default_rng(options.first_seed + k)
        kind = QUIET[k // 2 % len(QUIET)]
        if k % 2:
            days, metres = quiet(rng, kind)
            failure, lead = np.nan, np.nan
        else:
            days, metres, failure, lead = failing(rng)
        noise = 10 ** rng.uniform(np.log10(0.005), np.log10(0.05))
        metres = metres + rng.normal(0, noise, days.size)
        dates = FIRST + np.round(days).astype("timedelta64[D]")
        window = failure_window(dates, metres)
        limits = {
            "ours": None if window.earliest is None else tuple(
                float((np.datetime64(x) - FIRST).astype(int)) for x in (window.earliest, window.latest)
            ),
            "naive": naive(days, metres),
        }  # fmt: skip
        for name, found in limits.items():
            if k % 2:
                false[name][kind].append(found is not None)
                continue
            hit = found is not None and found[0] - 0.5 <= failure <= found[1] + 0.5
            width = found[1] - found[0] if found else np.nan
            failed[name][next(x for x in LEADS[1:] if lead <= x)].append((found is not None, hit, width))
    for name in ("ours", "naive"):
        print(
            f"\n{name}\n\n| last date before failure | n | windows | hit | coverage | median width |",
            "|---|---|---|---|---|---|",
            sep="\n",
        )
        every = [c for x in LEADS[1:] for c in failed[name][x]]
        for low, high in pairwise(LEADS):
            print(f"| {low} to {high} d | {len(failed[name][high])} | {rates(failed[name][high])} |")
        print(f"| all | {len(every)} | {rates(every)} |")
        print("\n| never fails | n | false alarms |\n|---|---|---|")
        for kind in QUIET:
            print(f"| {kind} | {len(false[name][kind])} | {np.mean(false[name][kind]):.1%} |")
        both = [x for kind in QUIET for x in false[name][kind]]
        print(f"| all | {len(both)} | {np.mean(both):.1%} |")


if __name__ == "__main__":
    main()
