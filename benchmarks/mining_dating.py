"""Dates of the events of a mine's history: how often they are found, and how often some are found where there are none.

    python benchmarks/mining_dating.py events [--draws 100] [--first-seed 20000]
    python benchmarks/mining_dating.py none [--draws 200] [--first-seed 20000]

*events*: seven years of 12 days after the history of Duxigou (a stop, an onset, two accelerations of 10 cm/yr), in
white noise of each date and a random walk. *dated*: share of the draws in which just these four events are told, by
these names, all within 24 days. *possible*: the same for an estimator that attains the bound of Cramer and Rao while it
knows the noise and the number of events, their dates being spread normally.

*none*: steady motion of 30 to 120 dates with gaps, in noise of several colours: share of the series that show an event.
All prints Markdown.
"""

import argparse

import numpy as np

from groundshift.simulate.mining.histories import DUXIGOU, duxigou
from groundshift.timeseries.stages import fit_stages
from groundshift.timeseries.velocity import years_since

DAYS = np.arange("2015-01-05", "2022-01-01", 12, dtype="datetime64[D]")
EVENTS = np.array([start for start, _ in DUXIGOU[1:]], "datetime64[D]")
RATES = np.array([rate for _, rate in DUXIGOU])
NAMES = ["stop", "onset", "acceleration", "acceleration"]
NOISES = ((2, 0.5), (3, 0.5), (5, 0.0), (5, 0.5), (5, 1.0), (5, 2.0))
"""Millimetres: white, and a walk's step in 12 days."""
COLOURS = {
    "white": (5, 0, 0, 0), "white and drift": (5, 1, 0, 0), "white and strong drift": (5, 2, 0, 0),
    "nearly only drift": (0.5, 2, 0, 0), "remembered for 20 days": (0, 0, 4, 20), "for 50 days": (0, 0, 4, 50),
    "half of it remembered for 60 days": (3, 0, 3, 60),
}  # fmt: skip
"""Millimetres: white, walk's step in 12 days, remembered; and for how many days."""
NEAR = 24


def noise(rng: np.random.Generator, days: np.ndarray, colour: tuple[float, float, float, float]) -> np.ndarray:
    """Draw noise in metres."""
    white, walk, remembered, memory = colour
    gaps = np.diff(days, prepend=days[0]).astype(float)
    series = rng.normal(0, white, days.size) + np.cumsum(rng.normal(0, walk, days.size) * np.sqrt(gaps / 12))
    if remembered:
        state = rng.normal(0, remembered)
        for k, gap in enumerate(gaps):
            kept = np.exp(-gap / memory)
            state = kept * state + rng.normal(0, remembered * np.sqrt(1 - kept**2))
            series[k] += state
    return series / 1000


def possible(white: float, walk: float, draws: int = 20_000) -> float:
    """Return how often the bound of Cramer and Rao lets all dates be right."""
    years = years_since(DAYS, DAYS[0].item())
    bends = years_since(EVENTS, DAYS[0].item())
    limits = np.concatenate([[0.0], bends, [years[-1]]])
    stages = np.clip(years[:, None], limits[:-1], limits[1:]) - limits[:-1]
    dates = -(RATES[1:] - RATES[:-1]) * (years[:, None] > bends)
    design = np.column_stack([np.ones(years.size), stages, dates])
    order = np.minimum.outer(np.arange(years.size), np.arange(years.size))
    covariance = (white**2 * np.eye(years.size) + walk**2 * order) * 1e-6
    found = np.linalg.inv(design.T @ np.linalg.solve(covariance, design))[-len(bends) :, -len(bends) :]
    drawn = np.random.default_rng(0).multivariate_normal(np.zeros(len(bends)), found, draws)
    return float((np.abs(drawn) <= NEAR / 365.25).all(axis=1).mean())


def events(draws: int, first_seed: int) -> None:
    """Print how often events are dated."""
    print("| white noise, walk in 12 days, mm | dated | possible | each event dated | four events told |")
    print("|---|---|---|---|---|")
    for white, walk in NOISES:
        whole, four, each = 0, 0, np.zeros(len(EVENTS))
        for seed in range(first_seed, first_seed + draws):
            series = duxigou(DAYS) + noise(np.random.default_rng(seed), DAYS, (white, walk, 0, 0))
            knots = fit_stages(DAYS, series).knots
            told = np.array([knot.day for knot in knots], "datetime64[D]")
            near = [bool((np.abs((told - day).astype(int)) <= NEAR).any()) for day in EVENTS]
            each += near
            four += [knot.kind for knot in knots] == NAMES
            whole += [knot.kind for knot in knots] == NAMES and all(near)
        shown = ", ".join(f"{share:.2f}" for share in each / draws)
        bound = possible(white, walk)
        print(f"| {white:g}, {walk:g} | {whole / draws:.2f} | {bound:.2f} | {shown} | {four / draws:.2f} |", flush=True)


def none(draws: int, first_seed: int) -> None:
    """Print how often events are told where there are none."""
    print("| noise | series with events |")
    print("|---|---|")
    for name, colour in COLOURS.items():
        shown = 0
        for seed in range(first_seed, first_seed + draws):
            rng = np.random.default_rng(seed)
            days = DAYS[0] + 12 * np.flatnonzero(rng.uniform(size=200) > 0.15)[: rng.integers(30, 121)]
            days[days.size // 2 :] += 12 * rng.integers(0, 15)
            steady = -0.05 * rng.integers(0, 3) * years_since(days, days[0].item())
            shown += bool(fit_stages(days, steady + noise(rng, days, colour)).knots)
        print(f"| {name} | {shown / draws:.3f} |", flush=True)


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["events", "none"])
    parser.add_argument("--draws", type=int, default=None)
    parser.add_argument("--first-seed", type=int, default=20_000)
    args = parser.parse_args()
    if args.what == "events":
        events(args.draws or 100, args.first_seed)
    else:
        none(args.draws or 200, args.first_seed)


if __name__ == "__main__":
    main()
