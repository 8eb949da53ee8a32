"""Table I of Bralet et al. (2024) on simulated patches: the five published networks and ours, trained as long.

    python benchmarks/segments.py WORK [--minutes 20] [--zones 8] [--split paper] [--networks unet ... slidenet]
    python benchmarks/segments.py WORK --data ISSLIDE                                # on the real set, or any other
    python benchmarks/segments.py WORK --published --minutes 2880 --data ISSLIDE     # by the authors' own schedule

Makes a set in the format of ISSLIDE (`groundshift simulate-segments`) unless one is given, trains every network for the
same time of one core, and prints the table by the authors' measure and by the clean one, for the split that was learned
by. All learn by AdamW in one cycle, for at the rates of the authors (1e-5, 1e-7) nothing is learned in minutes;
`--published` takes theirs. The published networks see the authors' own variation of the patches only (a constant of
the phase) and their loss; ours are turned and reversed as well. How many steps fit the time is measured first, on a
machine that should have nothing else to do, and kept in `WORK/SPLIT/steps.json`. What is finished in WORK is kept, and
a stopped run goes on.
"""

import argparse
import json
from pathlib import Path

from groundshift.cli import main as groundshift
from groundshift.training.checkpoint import load_checkpoint

OURS = ("slidenet", "slidenet_times")
LARGE = ("fcn", "deeplabv3")
NETWORKS = ("unet", "resunet", "sepunet", *LARGE, *OURS)
SEED = 7
"""Of the simulated set."""
BATCH = {"slidenet_times": 2}
"""Sets of up to six interferograms; all others learn from 8 patches at a time, as the authors."""
TRIAL = 1.0
"""Minutes that a network learns to see how fast it does."""
UNLIMITED = 10_000_000


def called(*words: str | Path | float) -> None:
    """Run a command, and stop where it fails."""
    failed = groundshift([str(word) for word in words])
    if failed:
        raise SystemExit(failed)


def schedule(network: str, published: bool) -> list[str]:
    """Return how fast a network learns, and how its patches are varied."""
    plan = ["--batch", str(BATCH.get(network, 8))]
    if published and network not in OURS:
        plan += ["--optimiser", "adam", "--rate", "1e-7" if network in LARGE else "1e-5"]
        plan += ["--weight-decay", "0", "--average", "0"]
    else:
        plan += ["--optimiser", "adamw", "--rate", "3e-4" if network in LARGE else "1e-3"]
    return plan if network in OURS else [*plan, "--no-symmetry", "--no-still"]


def train(data: Path, run: Path, network: str, split: str, steps: int, published: bool, *more: str) -> None:
    """Train one network for some steps."""
    called(
        "train-segment", data, "-o", run, "--network", network, "--split", split, "--steps", steps,
        "--validate-every", max(1, steps // 10), "--threads", "1", *schedule(network, published), *more,
    )  # fmt: skip


def steps_in(data: Path, work: Path, network: str, split: str, minutes: float, published: bool) -> int:
    """Return how many steps fit the time, from a trial of a part of it; what was measured before is kept."""
    path = work / "steps.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if network not in known:
        trial = min(TRIAL, minutes / 4)
        run = work / f"trial-{network}"
        more = ("--max-minutes", str(trial), "--workers", "1", "--validation-share", "0", "--fresh", "--quiet")
        train(data, run, network, split, UNLIMITED, published, *more)
        known[network] = max(20, round(load_checkpoint(run / "checkpoint.pt")["step"] * minutes / trial))
        path.write_text(json.dumps(known, indent=1) + "\n")
    return int(known[network])


def main() -> None:
    """Make a set, train all networks, judge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, help="a set in the format of ISSLIDE; simulated by default")
    parser.add_argument("--zones", type=int, default=8, help="zones of the simulated set")
    parser.add_argument("--minutes", type=float, default=20.0, help="for each network")
    parser.add_argument("--split", choices=["paper", "clean"], default="paper")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--published", action="store_true", help="optimiser and rates of the authors for their networks"
    )
    args = parser.parse_args()
    data = args.data
    if data is None:
        data = args.work / "data"
        called("simulate-segments", "-o", data, "--scenes", args.zones, "--seed", SEED)
    work = args.work / (args.split + ("-published" if args.published else ""))
    work.mkdir(parents=True, exist_ok=True)
    models = []
    for network in args.networks:
        model = work / network / "model.onnx"
        if not model.exists():
            steps = steps_in(data, work, network, args.split, args.minutes, args.published)
            train(
                data, work / network, network, args.split, steps, args.published, "--workers", "1", "--patience", "1000"
            )
        models.append(model)
    called("evaluate-segment", data, "--split", args.split, "--model", *models)


if __name__ == "__main__":
    main()
