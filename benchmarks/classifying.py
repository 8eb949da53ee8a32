"""Fringes of landslides in single interferograms: tables of cross-validation, and the speed of scanning.

    python benchmarks/classifying.py tables WORK [--scenes 40] [--steps 3000] [--folds 5] [--network slim]
    python benchmarks/classifying.py model [--model NAME_OR_FILE] [--scenes 20]
    python benchmarks/classifying.py speed [--model NAME_OR_FILE] [--side 1000]

*tables*: makes windows from simulated scenes like those of ALOS (L band, pixels of 28 m; seed 900, which no training
draws), 2,000 of each class, trains a network for each of five parts of the scenes, and prints the tables 6 and 7 of
Kamiyama et al. (2018) for them. What is finished in WORK is kept, and a stopped run goes on.

*model*: candidates found and false places in whole interferograms of such scenes by one model, for several thresholds
and filters.

*speed*: seconds of one core for one interferogram of so many pixels, in one pass and window by window, and the largest
difference between the scores. Without a model that of fresh weights, which takes as long.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from groundshift.cli import main as groundshift
from groundshift.detect.fringe_scan import FringeScanner
from groundshift.simulate.fringe_config import FringeConfig
from groundshift.training.fringes.config import CutConfig
from groundshift.training.fringes.samples import simulated_images
from groundshift.workflows.evaluating_fringes import judge_scene
from groundshift.workflows.fringe_config import PlaceConfig

SEED = 900
PER_CLASS = 2000
RATE = 0.01
REPEATS = 3
THRESHOLDS = (0.3, 0.5, 0.7, 0.9, 0.97)


def tables(work: Path, scenes: int, steps: int, folds: int, network: str) -> None:
    """Make windows, train and judge; `evaluate-classify` prints the tables."""
    data = work / "windows"
    if not (data / "negative").exists():
        _run(["make-fringes", "--simulated", str(scenes), "--seed", str(SEED), "--per-class", str(PER_CLASS),
              "-o", str(data)])  # fmt: skip
    _run(["evaluate-classify", str(data), "-o", str(work / network), "--folds", str(folds), "--steps", str(steps),
          "--network", network, "--rate", str(RATE), "--threads", "1", "--workers", "1"])  # fmt: skip


def judge(model: str, scenes: int) -> None:
    """Print recall and precision in whole interferograms."""
    scanner = FringeScanner.load(model, 1)
    images = [i for k in range(scenes) for i in simulated_images(FringeConfig(), CutConfig(), SEED + k)]
    scores = [scanner.scan(np.angle(i.igram).astype(np.float32), np.abs(i.igram)) for i in images]
    print(f"{len(images)} interferograms, {sum(int((np.unique(i.labels) > 0).sum()) for i in images)} candidates")
    for threshold in THRESHOLDS:
        for cells in (1, 2, 4, 8):
            totals: dict[str, np.ndarray] = {}
            for image, score in zip(images, scores, strict=True):
                settings = PlaceConfig(threshold=threshold, least_cells=cells)
                for name, (counts, _) in judge_scene(score, image.labels, image.slope, settings).items():
                    totals[name] = totals.get(name, np.zeros(3, int)) + counts
            told = []
            for name in ("size", "size and slope"):
                found, missed, false = totals[name]
                told.append(
                    f"{name}: recall {found / (found + missed):.3f}, precision {found / max(found + false, 1):.3f}"
                )
            print(f"from {threshold}, {cells} cells; " + "; ".join(told), flush=True)


def speed(model: str | None, side: int) -> None:
    """Print the time of a scan, both ways."""
    with tempfile.TemporaryDirectory() as folder:
        scanner = FringeScanner.load(model or _fresh(Path(folder)), 1)
        rng = np.random.default_rng(0)
        wrapped = rng.uniform(-np.pi, np.pi, (side, side)).astype(np.float32)
        coherence = rng.uniform(0.1, 1, (side, side)).astype(np.float32)
        took = {}
        scores = {}
        for name, alone in (("in one pass", False), ("window by window", True)):
            if not (scanner.free_size or alone):
                continue
            times = []
            for _ in range(1 if alone else REPEATS):
                began = time.perf_counter()
                scores[name] = scanner.scan(wrapped, coherence, one_by_one=alone)
                times.append(time.perf_counter() - began)
            took[name] = float(np.median(times))
            print(f"{scanner.model.name}, {side} x {side} pixels, {name}: {took[name]:.2f} s")
        if len(took) == 2:
            difference = float(np.abs(scores["in one pass"] - scores["window by window"]).max())
            print(
                f"{took['window by window'] / took['in one pass']:.0f} times as fast, scores differ by {difference:.1e}"
            )


def _fresh(folder: Path) -> Path:
    """Write a slim network with fresh weights."""
    import torch  # noqa: PLC0415

    from groundshift.training.export import Metadata, export_onnx  # noqa: PLC0415
    from groundshift.training.fringes.config import FringeModelConfig  # noqa: PLC0415
    from groundshift.training.fringes.tasks import make_fringe_task  # noqa: PLC0415

    torch.manual_seed(0)
    task, model = make_fringe_task(FringeModelConfig())
    # Norms of what it sees, so that its answers differ from place to place.
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.inference_mode():
        model(torch.rand(2, 2, 400, 400) * torch.tensor([3.0, 1.0])[:, None, None])
    export_onnx(task, model.eval(), folder / "fresh.onnx", Metadata("fresh", {}))
    return folder / "fresh.onnx"


def _run(arguments: list[str]) -> None:
    """Run a command, and stop where it fails."""
    if failed := groundshift(arguments):
        raise SystemExit(failed)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    part = parts.add_parser("tables")
    part.add_argument("work", type=Path)
    part.add_argument("--scenes", type=int, default=40)
    part.add_argument("--steps", type=int, default=3000)
    part.add_argument("--folds", type=int, default=5)
    part.add_argument("--network", default="slim", choices=["slim", "paper"])
    part = parts.add_parser("model")
    part.add_argument("--model", default="fringes")
    part.add_argument("--scenes", type=int, default=20)
    part = parts.add_parser("speed")
    part.add_argument("--model")
    part.add_argument("--side", type=int, default=1000)
    given = parser.parse_args()
    if given.what == "tables":
        tables(given.work, given.scenes, given.steps, given.folds, given.network)
    elif given.what == "model":
        judge(given.model, given.scenes)
    else:
        speed(given.model, given.side)


if __name__ == "__main__":
    main()
