"""Masks of decorrelated ground: Mask Net beside Otsu's threshold and a fixed one.

    python benchmarks/masking.py judge [--model masknet] [--samples 64] [--threshold 0.3]
    python benchmarks/masking.py real OUT [--model masknet]
    python benchmarks/masking.py speed [--model masknet] [--threads 2]

*judge*: simulated scenes at several looks, of seeds that nothing is learned from or validated on (see `SEED`). A pixel
is decorrelated where its true coherence is below 0.2, in layover, shadow, or in a strip of noise between bursts. IoU,
F1 and boundary F1 (within 2 pixels) of decorrelated ground; lost: share of the coherent pixels masked; left: share of
the decorrelated ones that are not.

*real*: a short and a long pair of $GROUNDSHIFT_DATA/danba and mexico_city, drawn into OUT as Figure 5 of Wang et al.
(2023), and how much each mask keeps. There is no truth.

*speed*: seconds per interferogram of 1,024 x 1,024 pixels.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from groundshift.detect.mask_network import MaskNetwork
from groundshift.io import open_stack
from groundshift.training.masks.config import MaskSceneConfig, MaskSpoilConfig
from groundshift.training.masks.samples import MaskSample, simulated_samples
from groundshift.workflows.masking import MaskingConfig, draw_view, look_at
from groundshift.workflows.progress import Reporter
from groundshift.workflows.training_masks import judge_masks

SEED = 500_000
"""Runs learn from seeds of one million on; `evaluate-mask` begins at zero."""
LOOKS = (3.0, 6.0, 12.0, 30.0)
SIDE = 1024
REPEATS = 3


def scenes(looks: float, count: int) -> list[MaskSample]:
    """Draw interferograms of so many looks, each with its amplitude."""
    config = MaskSceneConfig(looks=(looks, looks), shape=(192, 192))
    found: list[MaskSample] = []
    seed = SEED
    while len(found) < count:
        found += simulated_samples(config, MaskSpoilConfig(no_amplitude=0), seed)
        seed += 1
    return found[:count]


def judge(model: str, count: int, threshold: float) -> None:
    """Print a table for each number of looks."""
    network = MaskNetwork.load(model)
    with Reporter(quiet=True) as reporter:
        for looks in LOOKS:
            samples = scenes(looks, count)
            share = np.mean([1 - s.coherent.sum() / max(s.judged.sum(), 1) for s in samples])
            found, _ = judge_masks(network, samples, threshold, reporter)
            print(f"{looks:g} looks, {count} interferograms, {100 * share:.0f} % decorrelated")
            print(found.table())


def real(model: str, out: Path) -> None:
    """Draw a short and a long pair of real scenes."""
    root = os.environ.get("GROUNDSHIFT_DATA")
    if not root:
        raise SystemExit("GROUNDSHIFT_DATA is not set; name the folder of the real data")
    network = MaskNetwork.load(model)
    for name in ("danba", "mexico_city"):
        stack = open_stack(Path(root) / name)
        ordered = sorted(stack.pairs, key=lambda p: (p.days, p))
        for pair in (ordered[0], ordered[-1]):
            config = MaskingConfig((stack.root,), out)
            view = look_at(stack.read(pair), config, network, None)
            draw_view(out / f"{name}-{pair.name}.png", pair, view, config)
            known = (view.igram != 0).sum()
            kept = ", ".join(f"{way} {100 * m.sum() / known:.0f} %" for way, m in view.masks.items())
            print(f"{name} {pair.name}, {pair.days} days: coherent by {kept}; Otsu's threshold {view.otsu:.2f}")


def speed(model: str, threads: int) -> None:
    """Print the time of one large interferogram."""
    network = MaskNetwork.load(model, threads)
    rng = np.random.default_rng(0)
    wrapped = rng.uniform(-np.pi, np.pi, (SIDE, SIDE)).astype(np.float32)
    coherence = rng.uniform(0.1, 1, (SIDE, SIDE)).astype(np.float32)
    network.look(wrapped[:64, :64], coherence[:64, :64])
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        network.look(wrapped, coherence)
        times.append(time.perf_counter() - began)
    print(f"{min(times):.2f} s per {SIDE:,} x {SIDE:,} pixels on {threads} threads (paper, on a GPU: 0.45 s)")


def main() -> None:
    """Judge, draw or time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    judging, drawing, timing = (commands.add_parser(name) for name in ("judge", "real", "speed"))
    for command in (judging, drawing, timing):
        command.add_argument("--model", default="masknet", help="name or file of a network")
    judging.add_argument("--samples", type=int, default=64)
    judging.add_argument("--threshold", type=float, default=0.3)
    drawing.add_argument("out", type=Path)
    timing.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.what == "judge":
        judge(args.model, args.samples, args.threshold)
    elif args.what == "real":
        real(args.model, args.out)
    else:
        speed(args.model, args.threads)


if __name__ == "__main__":
    main()
