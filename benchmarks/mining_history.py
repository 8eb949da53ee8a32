"""A mine that closes, reopens and twice speeds up, simulated and followed by `groundshift mining`.

    python benchmarks/mining_history.py WORK [--seeds 3] [--years 6] [--model bowlnet]

A bowl after the history of Duxigou (Wang et al. (2023), section 4.3): sinks slowly, is closed, reopened, speeds up, and
speeds up again to 30 cm a year along the line of sight; 12 days between dates, pairs of up to 36 days, air each date,
coherence 0.75 that falls to 1/e in 80 days. Printed for each event: its kind, how many acquisitions from the truth it
is dated, and the rate after it beside that of the deepest pixel; the series is a mean over the deep part.
"""

import argparse
import csv
import math
from datetime import date, timedelta
from pathlib import Path

import geopandas
import numpy as np
import torch

from groundshift.cli import main as groundshift
from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.simulate.mining.fields import bowls, perlin
from groundshift.simulate.mining.scenes import PANEL_PARTS, MiningScenes
from groundshift.simulate.mining.write import write_mines

SIDE = 110
INTERVAL = 12
STAGES = ((0.20, "stop"), (0.38, "onset"), (0.62, "acceleration"), (0.82, "acceleration"))
"""Share of the time at which each event lies."""
RATES = (0.05, 0.0, 0.05, 0.14, 0.30)
"""Metres per year along the line of sight, before and after."""
FIRST_SEED = 80_000_000
"""Beyond all that networks learn from."""


def simulate(seed: int, dates: int, folder: Path) -> list[date]:
    """Write the stack of a seed; return the true days of the events."""
    source = torch.Generator().manual_seed(FIRST_SEED + seed)
    shape = (SIDE, SIDE)
    days = torch.arange(dates, dtype=torch.float32) * INTERVAL
    knots = [share * float(days[-1]) for share, _ in STAGES]
    edges = [0.0, *knots, math.inf]
    metres = sum(
        rate * np.clip(days.numpy() - a, 0, b - a) / 365.25 for a, b, rate in zip(edges, edges[1:], RATES, strict=False)
    )
    sigma = 12 + 6 * torch.rand(1, 2, generator=source)
    bowl = bowls(
        torch.full((1, 2), SIDE / 2), sigma, 3 * torch.rand(1, generator=source), torch.full((1,), 3.0), torch.ones(1),
        shape, source,
    )  # fmt: skip
    shapes, courses = torch.zeros(1, PANEL_PARTS, *shape), torch.zeros(1, PANEL_PARTS, dates)
    shapes[0, 0] = bowl[0]
    courses[0, 0] = torch.from_numpy(metres * 4 * math.pi / SENTINEL1_WAVELENGTH).float()
    scenes = MiningScenes(
        shapes=shapes,
        courses=courses,
        delays=perlin(dates, shape, source)[None],
        coherence=(0.75 + 0.15 * perlin(1, shape, source)).clamp(0.1, 0.95),
        memory=torch.tensor([80.0]),
        looks=torch.tensor([8.0]),
        days=days,
        seed=FIRST_SEED + seed,
    )
    if not (folder / "metadata.yaml").exists():
        write_mines(scenes, 0, folder)
    with (folder / "truth_peak.csv").open(encoding="utf-8") as file:
        first = date.fromisoformat(next(csv.DictReader(file))["date"])
    return [first + timedelta(knot) for knot in knots]


def main() -> None:
    """Simulate, follow, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--years", type=float, default=6.0)
    parser.add_argument("--model", default="bowlnet", help="name or file of the network")
    args = parser.parse_args()
    dates = round(args.years * 365.25 / INTERVAL) + 1
    for seed in range(args.seeds):
        stack, out = args.work / f"stack{seed}", args.work / f"out{seed}"
        truth = simulate(seed, dates, stack)
        models = ["--bowl-model", args.model, "--foresight", args.model]
        if failed := groundshift(["mining", str(stack), "-o", str(out), *models, "--quiet"]):
            raise SystemExit(failed)
        targets = geopandas.read_file(out / "inventory.gpkg", layer="targets")
        events = geopandas.read_file(out / "inventory.gpkg", layer="events")
        scale = _seen_share(events)
        print(f"seed {seed}: {len(targets)} target(s), {len(events)} events for {len(STAGES)}; rates {scale}")
        for day, (_, kind), true_rate in zip(truth, STAGES, RATES[1:], strict=True):
            if events.empty:
                print(f"  {kind:>12} on {day}: not found")
                continue
            off = (events["day"].dt.date - day).map(lambda d: d.days)
            best = events.loc[off.abs().idxmin()]
            print(
                f"  {kind:>12} on {day}: {best['kind']:>12}, {off[best.name] / INTERVAL:+.2f} acquisitions, "
                f"{best['rate_after_mm_yr']:+.0f} mm/yr after (peak of the bowl {-1000 * true_rate:+.0f})"
            )


def _seen_share(events: geopandas.GeoDataFrame) -> str:
    """Tell which share of the rate at the very middle the last stage shows: the series is a mean over the deep part."""
    if events.empty:
        return "unknown"
    last = events.sort_values("day").iloc[-1]["rate_after_mm_yr"]
    return f"at the end {last / (-1000 * RATES[-1]):.2f} of that of the deepest pixel"


if __name__ == "__main__":
    main()
