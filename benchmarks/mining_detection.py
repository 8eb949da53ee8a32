"""Detection of bowls in simulated interferograms at five levels of noise: networks and rules.

    python benchmarks/mining_detection.py judge [--scenes 96] [--model NAME_OR_FILE ...]
    python benchmarks/mining_detection.py train WORK [--minutes 20] [--networks bowlnet unet ddnet_light]

*judge*: scenes of 192 x 192 pixels with up to six bowls each, all at one coherence and of four looks. A true bowl is
what hangs together of the footprint (from pi / 3, of deep ones from a tenth of the peak). Found and true bowls belong
together by intersection over union of 0.3 or more. Recall and precision count bowls; IoU counts all pixels. Networks
that tell footprints only are read at the probability of the best F1 of pixels on other scenes, which is printed: DDNet
tells the deformation relative to the deepest point, not a probability. BowlNet and the rules are as a user has them.

*train*: the same time of one core for every network, from nothing, on the same endless scenes (seed 0), to compare them
at the same cost; what is finished in WORK is kept, and a stopped run goes on. Then judges them.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import ndimage

from groundshift.cli import main as groundshift
from groundshift.detect.bowl_network import BowlNetwork
from groundshift.detect.bowls import find_bowls
from groundshift.detect.fringes import scan_fringes
from groundshift.simulate.mining.config import MiningConfig
from groundshift.simulate.mining.scenes import MiningPair, draw_scenes

COHERENCES = (0.9, 0.7, 0.5, 0.35, 0.25)
LOOKS = (4.0, 4.0)
SIDE = 192
BATCH = 8
FIRST_SEED = 90_000_000
"""Beyond all that networks learn from."""
TUNING_SEED = 95_000_000
"""Scenes on which probabilities and scores were chosen."""
PROBABILITIES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
LEAST_IOU = 0.3
LEAST_PIXELS = 25
RATE = 1.5e-3


def scenes(coherence: float, count: int, first: int = FIRST_SEED) -> list[MiningPair]:
    """Draw interferograms at one coherence, in batches."""
    config = MiningConfig(
        scenes=BATCH, shape=(SIDE, SIDE), bowls=(0, 6), coherence=(coherence, coherence), looks=LOOKS,
        memory_days=(60.0, 60.0), patch_share=0.2, water_share=0.2,
    )  # fmt: skip
    return [draw_scenes(config, first + k).pair(0, 1) for k in range(-(-count // BATCH))]


def images(batches: list[MiningPair]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield wrapped phase, coherence and footprint one by one."""
    for batch in batches:
        yield from zip(*(getattr(batch, p).numpy() for p in ("wrapped", "coherence", "footprint")), strict=True)


def best_probability(network: BowlNetwork | None) -> float:
    """Return the probability of the best F1 of pixels on scenes for tuning, where a network wants it."""
    if network is None or network.kind == "bowls":
        return 0.5
    counts = np.zeros((len(PROBABILITIES), 2))
    for coherence in COHERENCES:
        for wrapped, seen, footprint in images(scenes(coherence, BATCH, TUNING_SEED)):
            probability = network.look(wrapped, seen).probability
            for k, least in enumerate(PROBABILITIES):
                found = probability >= least
                counts[k] += (found & (footprint > 0)).sum(), found.sum() + (footprint > 0).sum()
    return PROBABILITIES[int(np.argmax(counts[:, 0] / counts[:, 1]))]


def judge_one(network: BowlNetwork | None, level: float, batches: list[MiningPair]) -> tuple[float, float, float]:
    """Return recall and precision of bowls and IoU of pixels, of a network or the rules."""
    least = 0.0 if network is None else network.least_score
    hits = claimed = wanted = 0
    pixels = np.zeros(3)
    for wrapped, coherence, footprint in images(batches):
        known = np.ones(wrapped.shape, np.bool_)
        if network is None:
            fringes = scan_fringes(wrapped, known, coherence)
            probability, phase = fringes.probability, fringes.phase
        else:
            view = network.look(wrapped, coherence)
            probability = view.probability
            phase = view.phase if view.phase is not None else scan_fringes(wrapped, known, coherence).phase
        found = find_bowls(
            probability, phase, known, least_probability=level, least_pixels=LEAST_PIXELS, least_score=least
        )
        parts, number = ndimage.label(footprint > 0, np.ones((3, 3)))
        truths = [parts == k for k in range(1, number + 1)]
        truths = [t for t in truths if t.sum() >= LEAST_PIXELS]
        claimed, wanted = claimed + len(found), wanted + len(truths)
        hits += _matches(found, truths)
        seen = probability >= level
        pixels += ((seen & (footprint > 0)).sum(), seen.sum(), (footprint > 0).sum())
    return hits / max(wanted, 1), hits / max(claimed, 1), pixels[0] / (pixels[1] + pixels[2] - pixels[0])


def _matches(found: list, truths: list[np.ndarray]) -> int:
    """Return how many found bowls have a true one of their own."""
    free = list(range(len(truths)))
    hits = 0
    for bowl in found:
        own = np.zeros((SIDE, SIDE), np.bool_)
        own[bowl.window.rows, bowl.window.columns] = bowl.mask
        overlaps = [(own & truths[k]).sum() / (own | truths[k]).sum() for k in free]
        if overlaps and max(overlaps) >= LEAST_IOU:
            free.pop(int(np.argmax(overlaps)))
            hits += 1
    return hits


def judge(models: list[str], count: int) -> None:
    """Print the table."""
    print(f"{'coherence':>28} " + " ".join(f"{c:>20}" for c in COHERENCES))
    print(f"{'':>28} " + " ".join(f"{'rec. prec. IoU':>20}" for _ in COHERENCES))
    batches = {c: scenes(c, count) for c in COHERENCES}
    for name in ("rules", *models):
        network = None if name == "rules" else BowlNetwork.load(name, threads=1)
        level = best_probability(network)
        row = [judge_one(network, level, batches[c]) for c in COHERENCES]
        print(
            f"{Path(name).parent.name or name:>20} at {level:>4} "
            + " ".join(f"{r:>7.2f}{p:>6.2f}{i:>7.2f}" for r, p, i in row)
        )


def train(work: Path, networks: list[str], minutes: float) -> list[str]:
    """Train all networks for as long; return their files."""
    files = []
    for network in networks:
        run = work / network
        if not (run / "model.onnx").exists():
            speed = _steps(work, network, minutes)
            failed = groundshift([
                "train-mining", "-o", str(run), "--network", network, "--steps", str(speed), "--rate", str(RATE),
                "--threads", "1", "--workers", "1", "--validate-every", "200", "--quiet",
            ])  # fmt: skip
            if failed:
                raise SystemExit(failed)
        files.append(str(run / "model.onnx"))
    return files


def _steps(work: Path, network: str, minutes: float) -> int:
    """Return how many steps fit the time, from the time of a few."""
    import time  # noqa: PLC0415

    trial = work / f"trial-{network}"
    times = []
    for steps in (4, 12):
        began = time.monotonic()
        failed = groundshift([
            "train-mining", "-o", str(trial), "--network", network, "--steps", str(steps), "--rate", str(RATE),
            "--threads", "1", "--workers", "0", "--validate-every", "1000", "--fresh", "--quiet",
        ])  # fmt: skip
        if failed:
            raise SystemExit(failed)
        times.append(time.monotonic() - began)
    return max(50, int(60 * minutes / ((times[1] - times[0]) / 8)))


def main() -> None:
    """Judge, or train and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    judging = commands.add_parser("judge")
    judging.add_argument("--model", nargs="+", default=["bowlnet"], help="names or files of networks")
    training = commands.add_parser("train")
    training.add_argument("work", type=Path)
    training.add_argument("--minutes", type=float, default=20.0)
    training.add_argument("--networks", nargs="+", default=["bowlnet", "unet", "ddnet_light"])
    for command in (judging, training):
        command.add_argument("--scenes", type=int, default=96)
    args = parser.parse_args()
    models = args.model if args.what == "judge" else train(args.work, args.networks, args.minutes)
    judge(models, args.scenes)


if __name__ == "__main__":
    main()
