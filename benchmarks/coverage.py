"""Whether stated errors hold: how often the truth lies in the interval, and how often behaviours are named rightly.

    python benchmarks/coverage.py targets [--targets 200] [--seed 0]
    python benchmarks/coverage.py noise [--series 400]
    python benchmarks/coverage.py changes [--series 200]

*targets* draws places that move, acquisitions with missing dates and gaps, networks of pairs, and noise of dates (air:
white with stormy dates, remembered, drifting, yearly) and of pairs; inverts them and fits each series. *noise* draws
many series of pure noise of one colour. *changes* counts false alarms on steady motion, and changes found.
All prints Markdown.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.simulate.slides import Course
from groundshift.timeseries.behaviour import fit_motion
from groundshift.timeseries.inversion import invert_network
from groundshift.timeseries.velocity import by_pattern, fit_velocity, years_since
from groundshift.types import Pair

START = np.datetime64("2017-01-03")
PER_METRE = -4 * math.pi / SENTINEL1_WAVELENGTH


class Target(NamedTuple):
    """A place that moves, and what is seen of it."""

    kind: str
    noise: str
    pairs: tuple[Pair, ...]
    days: np.ndarray
    velocity: float
    phase: np.ndarray
    weights: np.ndarray


def draw_days(rng: np.random.Generator, count: int, interval: int) -> np.ndarray:
    """Draw acquisitions: up to a fifth are missing, and in a third of the cases some months in a row."""
    days = START + interval * np.flatnonzero(rng.uniform(size=2 * count) > rng.uniform(0, 0.2))[:count]
    if rng.uniform() < 1 / 3:
        days[rng.integers(count // 3, 2 * count // 3) :] += interval * (int(rng.uniform(90, 250)) // interval)
    return days


def covariance(colour: str, years: np.ndarray) -> np.ndarray:
    """Return the covariance of noise of one colour over dates; the white one has the variance 1."""
    apart = np.abs(years[:, np.newaxis] - years)
    memory = {"remembers 3 weeks": 0.06, "remembers 7 weeks": 0.14, "half white, half 2 months": 0.16}
    if colour == "white":
        return np.eye(len(years))
    if colour == "drifts":
        return np.eye(len(years)) + 0.25 * np.minimum(years[:, np.newaxis], years)
    if colour.startswith("half"):
        return (np.eye(len(years)) + np.exp(-apart / memory[colour])) / 2
    return np.exp(-apart / memory[colour])


COLOURS = ("white", "remembers 3 weeks", "remembers 7 weeks", "half white, half 2 months", "drifts")


def draw_target(rng: np.random.Generator) -> Target:
    """Draw one target."""
    interval = int(rng.choice([6, 12, 12, 24]))
    days = draw_days(rng, int(np.exp(rng.uniform(np.log(15), np.log(120)))), interval)
    n, years = len(days), years_since(days, START.item())
    years = years - years[0]
    kind = str(rng.choice(["steady", "seasonal", "accelerating"], p=[0.6, 0.2, 0.2]))
    # What less than a year of dates shows of a season is no long-term velocity, nor does it claim to be.
    if kind == "seasonal" and years[-1] < 1:
        kind = "steady"
    span = float(years[-1])
    course = {
        "steady": Course("steady"),
        "seasonal": Course("seasonal", rng.uniform(0.4, 1.0), rng.uniform(0, 1)),
        "accelerating": Course("accelerating", rng.uniform(1, 4), rng.uniform(0.4, 0.8) * span, 0.1 * span, span),
    }[kind]
    velocity = float(np.exp(rng.uniform(np.log(5), np.log(80)))) / 1000 * rng.choice([-1, 1])
    noise = str(rng.choice(COLOURS, p=[0.6, 0.1, 0.1, 0.1, 0.1]))
    air = rng.multivariate_normal(np.zeros(n), covariance(noise, years), method="cholesky")
    air *= rng.uniform(0.001, 0.005) * np.where(rng.uniform(size=n) < 0.1, 2.5, 1.0)
    air += rng.uniform(0, 0.003) * np.cos(2 * np.pi * (years - rng.uniform()))
    links = rng.integers(1, 6)
    cut = rng.integers(n // 3, 2 * n // 3) if rng.uniform() < 0.1 else 0
    ends = [(i, j) for i in range(n) for j in range(i + 1, min(i + 1 + links, n)) if not i < cut <= j]
    summer = 0.5 - 0.5 * np.cos(2 * np.pi * years_since(days, np.datetime64("2016-01-15").item()))
    sigma = np.exp(rng.uniform(np.log(0.02), np.log(0.3))) * np.array(
        [1 + summer[i] + summer[j] + (days[j] - days[i]).astype(int) / 60 for i, j in ends]
    )
    moved = velocity * course.at(years) + air
    phase = PER_METRE * np.array([moved[j] - moved[i] for i, j in ends]) + sigma * rng.standard_normal(len(ends))
    pairs = tuple(Pair(days[i].item(), days[j].item()) for i, j in ends)
    return Target(kind, noise, pairs, days, velocity, phase, 1 / sigma**2)


def plain_interval(days: np.ndarray, displacement: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the rate by the formula for white noise."""
    for _, known, design in by_pattern(days, np.where(np.isfinite(displacement), groups, 0)[np.newaxis].astype(int)):
        beta, *_ = np.linalg.lstsq(design, displacement[known])
        dof = len(design) - design.shape[1]
        variance = ((displacement[known] - design @ beta) ** 2).sum() / dof
        half = stats.t.ppf(0.975, dof) * math.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1])
        return float(beta[1] - half), float(beta[1] + half)
    return math.nan, math.nan


def targets(count: int, seed: int) -> None:
    """Print how often the true velocity of drawn targets lies in its interval."""
    held: dict[str, list[tuple[bool, bool, float, bool]]] = defaultdict(list)
    for number in range(count):
        target = draw_target(np.random.default_rng((seed, number)))
        cube = target.phase.reshape(-1, 1, 1)
        found = invert_network(cube, target.weights.reshape(-1, 1, 1), target.pairs, SENTINEL1_WAVELENGTH)
        series, sigma, groups = found.displacement[:, 0, 0], found.sigma[:, 0, 0], found.groups[:, 0, 0]
        motion = fit_motion(target.days, series, sigma, groups=groups)
        low, high = motion.velocity.interval()
        plain = plain_interval(target.days, series.astype(float), groups)
        right = motion.behaviour == target.kind
        row = (
            bool(low <= target.velocity <= high),
            plain[0] <= target.velocity <= plain[1],
            float(high - low) / 2,
            right,
        )
        n = len(target.days)
        size = "15 to 29 dates" if n < 30 else "30 to 59 dates" if n < 60 else "60 to 120 dates"
        for name in ("all", target.kind, f"noise: {target.noise}", size):
            held[name].append(row)
    print(
        "| targets | number | truth in the 95 % interval | by the formula for white noise | median half width, mm/yr |",
        end="",
    )
    print(" behaviour named rightly |\n|---|---|---|---|---|---|")
    order = [
        "all",
        "steady",
        "seasonal",
        "accelerating",
        *sorted(set(held) - {"all", "steady", "seasonal", "accelerating"}),
    ]
    for name in order:
        a = np.array(held[name], float)
        named = f"{100 * a[:, 3].mean():.0f} %"
        print(
            f"| {name} | {len(a)} | {100 * a[:, 0].mean():.1f} % | {100 * a[:, 1].mean():.1f} % | "
            f"{1000 * np.median(a[:, 2]):.1f} | {named} |"
        )


def block_bootstrap(years: np.ndarray, design: np.ndarray, series: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half width of the 95 % interval of each rate by resampling blocks of residuals, 1.5 n^(1/3) dates long."""
    n, p = design.shape
    solve = np.linalg.pinv(design)
    residual = (series - series @ solve.T @ design.T) * math.sqrt(n / (n - p))
    length = max(2, round(1.5 * n ** (1 / 3)))
    rates = []
    for _ in range(200):
        starts = rng.integers(0, n - length + 1, math.ceil(n / length))
        order = (starts[:, np.newaxis] + np.arange(length)).ravel()[:n]
        rates.append(residual[:, order] @ solve[1])
    return stats.t.ppf(0.975, n - p) * np.std(rates, axis=0)


def noise(count: int) -> None:
    """Print how often zero lies in the interval of the rate of pure noise."""
    print("| noise | dates | ours | white-noise formula | block bootstrap | half width / 1.96 scatter of the rates |")
    print("|---|---|---|---|---|---|")
    for colour in COLOURS:
        for n in (15, 30, 60, 120):
            rng = np.random.default_rng(n)
            ours, plain, blocks, width = [], [], [], []
            for _ in range(4):
                days = draw_days(rng, n, 12 if n > 15 else 24)
                years = years_since(days, days[0].item())
                root = np.linalg.cholesky(covariance(colour, years) + 1e-12 * np.eye(n))
                series = 0.004 * root @ rng.standard_normal((n, count // 4))
                found = fit_velocity(days, series)
                low, high = found.interval()
                ours.append((low <= 0) & (high >= 0))
                width.append(np.median(high - low) / 2 / 1.96 / np.sqrt((found.rate**2).mean()))
                _, _, design = next(by_pattern(days, np.ones((1, n), int)))
                beta = series.T @ np.linalg.pinv(design).T
                half = stats.t.ppf(0.975, n - design.shape[1]) * np.sqrt(
                    ((series.T - beta @ design.T) ** 2).sum(1)
                    / (n - design.shape[1])
                    * np.linalg.inv(design.T @ design)[1, 1]
                )
                plain.append(np.abs(beta[:, 1]) <= half)
                blocks.append(np.abs(beta[:, 1]) <= block_bootstrap(years, design, series.T, rng))
            shares = " | ".join(f"{100 * np.mean(a):.1f} %" for a in (ours, plain, blocks))
            print(f"| {colour} | {n} | {shares} | {np.mean(width):.2f} |", flush=True)


def changes(count: int) -> None:
    """Print which behaviour is named for motion of known behaviour."""
    half = 0.5
    courses: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "steady": lambda t: -0.03 * t,
        "twice as fast in the second half": lambda t: -0.03 * t - 0.03 * np.maximum(t - half * t[-1], 0),
        "half as fast in the second half": lambda t: -0.06 * t + 0.03 * np.maximum(t - half * t[-1], 0),
        "speed grows evenly to fourfold": lambda t: -0.02 * t - 0.03 * t**2 / t[-1],
        "speed changes by 70 % with the season": lambda t: -0.03 * t + 0.021 / (2 * math.pi) * np.sin(2 * math.pi * t),
    }
    words = ("accelerating", "decelerating", "seasonal", "steady", "unclear")
    print(f"| motion, 30 mm/yr | noise, 4 mm | dates | {' | '.join(words)} |\n|---|---|---|{'---|' * len(words)}")
    for name, course in courses.items():
        for colour in COLOURS if name == "steady" else COLOURS[:2]:
            for n in (30, 60, 120):
                rng = np.random.default_rng(n)
                named = []
                for _ in range(count):
                    days = draw_days(rng, n, 12)
                    years = years_since(days, days[0].item())
                    root = np.linalg.cholesky(covariance(colour, years) + 1e-12 * np.eye(n))
                    named.append(fit_motion(days, course(years) + 0.004 * root @ rng.standard_normal(n)).behaviour)
                shares = " | ".join(f"{100 * named.count(w) / count:.0f} %" for w in words)
                print(f"| {name} | {colour} | {n} | {shares} |", flush=True)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    part = commands.add_parser("targets")
    part.add_argument("--targets", type=int, default=200)
    part.add_argument("--seed", type=int, default=0)
    commands.add_parser("noise").add_argument("--series", type=int, default=400)
    commands.add_parser("changes").add_argument("--series", type=int, default=200)
    given = parser.parse_args()
    if given.command == "targets":
        targets(given.targets, given.seed)
    elif given.command == "noise":
        noise(given.series)
    else:
        changes(given.series)


if __name__ == "__main__":
    main()
