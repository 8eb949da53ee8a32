"""Unwrapping of bowls of mining subsidence: ours, PUNet as published, SNAPHU and Whirlwind on the same patches.

    python benchmarks/mining_unwrapping.py patches [--seeds 20] [--first-seed 500] [--model bowlnet] [--punet FILE ...]
    python benchmarks/mining_unwrapping.py linear [--seeds 10] [--model bowlnet] [--out FOLDER]

*patches*: 128 x 128 pixels of known phase with one distorted bowl of 2, 5, 10 and 20 pi and air, at coherences of 0.9
to 0.3 of four looks, less where the phase is steep. Once the median difference to the truth is taken out, a pixel is
right where it is within pi. Judged over all pixels, and over those of the bowl.

*linear*: bowls that sink steadily, by 5 pi in 12 days, seen in interferograms of 12, 24, 36 and 48 days (Wang et al.
(2023), section 4.2): the unwrapped peak against the time is to be a line through zero.
"""

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from groundshift.detect.bowl_network import BowlNetwork
from groundshift.simulate.batched.decorrelation import noisy, strain_loss
from groundshift.simulate.mining.fields import bowls, perlin
from groundshift.unwrap import Snaphu, Unwrapper, Whirlwind
from groundshift.workflows.foresight import with_foresight

SIDE = 128
PEAKS = (2, 5, 10, 20)
"""In pi."""
COHERENCES = (0.9, 0.7, 0.5, 0.3)
LOOKS = 4.0
AIR = 1.5
"""Radians, amplitude of the turbulence."""
SIGMA = (10.0, 30.0)
"""Pixels, standard deviations of a bowl."""
FIRST_SEED = 70_000_000
"""Beyond all that networks learn from."""
DAYS = (12, 24, 36, 48)
PER_PAIR = 5 * math.pi
"""Radians in 12 days, of the steady bowls."""

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Patch(NamedTuple):
    """A bowl and what hides it, (y, x) each."""

    bowl: np.ndarray
    """0 to 1."""
    air: np.ndarray
    """Radians."""
    generator: torch.Generator


def draw(seed: int) -> Patch:
    """Draw a bowl near the middle, and air."""
    source = torch.Generator().manual_seed(FIRST_SEED + seed)

    def even(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=source)

    sigma = even(*SIGMA, 1, 2)
    shape = bowls(
        even(0.35, 0.65, 1, 2) * SIDE, sigma, even(0, math.pi, 1), 0.4 * sigma.amin(1), even(1.0, 1.5, 1),
        (SIDE, SIDE), source,
    )  # fmt: skip
    return Patch(shape[0].numpy(), AIR * perlin(1, (SIDE, SIDE), source)[0].numpy(), source)


def observe(patch: Patch, peak: float, coherence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return true phase, wrapped phase and estimated coherence of a bowl of so many radians."""
    truth = torch.from_numpy(peak * patch.bowl + patch.air)[None]
    noise = torch.randn((2, *truth.shape), generator=patch.generator)
    real, imaginary = noisy(truth, coherence * strain_loss(truth), torch.full((1, 1, 1), LOOKS), noise)
    seen = torch.hypot(real, imaginary).clamp(1e-3, 1)
    return truth[0].numpy(), torch.atan2(imaginary, real)[0].numpy(), seen[0].numpy()


def methods(model: str, punets: list[str]) -> dict[str, Method]:
    """Return what is compared, by name."""
    found: dict[str, Method] = {}

    def classical(unwrapper: Unwrapper) -> Method:
        return lambda wrapped, coherence: unwrapper.unwrap(wrapped, coherence, LOOKS).unwrapped

    plain: list[Unwrapper] = [Whirlwind()]
    if importlib.util.find_spec("snaphu") is not None:
        plain.append(Snaphu())
    for unwrapper in plain:
        found[unwrapper.name] = classical(unwrapper)
    found["ours"] = classical(with_foresight(plain[-1], model))
    if model != "none":
        found["ours, without network"] = classical(with_foresight(plain[-1], "none"))
    if model != "none":
        network = BowlNetwork.load(model)
        found["ours, network alone"] = lambda wrapped, coherence: network.look(wrapped, coherence).phase
    for punet in punets:
        own = BowlNetwork.load(punet)
        found[own.name] = lambda wrapped, coherence, own=own: own.look(wrapped, coherence).phase
    return found


def patches(args: argparse.Namespace) -> None:
    """Compare on bowls of several depths and coherences."""
    compared = methods(args.model, args.punet)
    print(f"{'peak':>6} {'coherence':>9} | " + " | ".join(f"{name:>28}" for name in compared))
    print(f"{'':>6} {'':>9} | " + " | ".join(f"{'right':>8} {'in bowl':>8} {'RMSE':>10}" for _ in compared))
    seconds = dict.fromkeys(compared, 0.0)
    for peak in PEAKS:
        for coherence in COHERENCES:
            scores = {name: [] for name in compared}
            for seed in range(args.first_seed, args.first_seed + args.seeds):
                patch = draw(seed)
                truth, wrapped, seen = observe(patch, peak * math.pi, coherence)
                inside = patch.bowl > max(0.1, 1 / (3 * peak))
                for name, unwrap in compared.items():
                    began = time.perf_counter()
                    off = unwrap(wrapped, seen) - truth
                    seconds[name] += time.perf_counter() - began
                    off -= np.median(off)
                    right = np.abs(off) < math.pi
                    scores[name].append((right.mean(), right[inside].mean(), math.sqrt(np.mean(off**2))))
            means = {name: np.mean(values, 0) for name, values in scores.items()}
            print(
                f"{peak:>4}pi {coherence:>9} | "
                + " | ".join(f"{100 * m[0]:>7.1f}% {100 * m[1]:>7.1f}% {m[2]:>10.2f}" for m in means.values()),
                flush=True,
            )
    count = len(PEAKS) * len(COHERENCES) * args.seeds
    print("seconds a patch: " + ", ".join(f"{name} {total / count:.3f}" for name, total in seconds.items()))


def linear(args: argparse.Namespace) -> None:
    """Hold unwrapped peaks against the time span."""
    compared = methods(args.model, args.punet)
    peaks = {name: np.zeros((args.seeds, len(DAYS))) for name in compared}
    for seed in range(args.seeds):
        patch = draw(args.first_seed + 1000 + seed)
        for k, days in enumerate(DAYS):
            scale = days / DAYS[0] * PER_PAIR
            _, wrapped, seen = observe(patch, scale, args.coherence)
            ground, middle = patch.bowl < 0.02, patch.bowl > 0.9
            for name, unwrap in compared.items():
                found = unwrap(wrapped, seen)
                peaks[name][seed, k] = np.median(found[middle]) - np.median(found[ground])
    days = np.array(DAYS, float)
    print(f"{'':>24} " + " ".join(f"{d:>5} days" for d in DAYS) + f" {'slope':>8} {'off the line':>13}")
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, found in peaks.items():
        middle = found.mean(0)
        slope = float((days * middle).sum() / (days**2).sum())
        off = float(np.sqrt(np.mean((middle - slope * days) ** 2)) / np.abs(middle).max())
        values = " ".join(f"{v / math.pi:>8.1f}pi" for v in middle)
        print(f"{name:>24} {values} {slope * 12 / PER_PAIR:>8.3f} {100 * off:>12.1f}%")
        axes.errorbar(days, middle / math.pi, found.std(0) / math.pi / math.sqrt(args.seeds), marker="o", label=name)
    axes.plot([0, days[-1]], [0, PER_PAIR * days[-1] / DAYS[0] * 0.955 / math.pi], "k:", label="truth")
    axes.set_xlabel("days between the dates")
    axes.set_ylabel("unwrapped peak, pi")
    axes.legend(fontsize=8)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        figure.savefig(args.out / "linear.png", dpi=120)


def main() -> None:
    """Run one comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["patches", "linear"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=500, help="up to 10 and from 10000 to 10015: used for tuning")
    parser.add_argument("--model", default="bowlnet", help="name or file of our network")
    parser.add_argument("--punet", nargs="*", default=[], help="names or files of PUNets")
    parser.add_argument("--coherence", type=float, default=0.7, help="linear: coherence without strain")
    parser.add_argument("--out", type=Path, default=None, help="folder for figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    {"patches": patches, "linear": linear}[args.what](args)


if __name__ == "__main__":
    main()
