"""Eight bursts by one worker on one core and by two on two: how much of the second is gained.

    python benchmarks/scaling.py FOLDER [--dates 20] [--shape 1000 10000] [--turns 3]

Makes bursts of single-look images if they are not there, and surveys them as a user would, with the rules and without
series, from a cold start to the report. Files are read once before, so that the disk has no part in it. Prints the best
of some turns each.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from burst import make_images

BURSTS = 8


def survey(folder: Path, workers: int) -> tuple[float, list[str]]:
    """Survey all bursts with so many workers, each with a core of its own; seconds, and what was found."""
    for path in folder.glob("*/*.tif"):
        path.read_bytes()
    with tempfile.TemporaryDirectory() as out:
        command = [
            "taskset", "-c", ",".join(map(str, range(workers))), shutil.which("groundshift") or "groundshift", "survey",
            str(folder), "-o", f"{out}/out", "--workers", str(workers), "--detector", "rules", "--no-series",
            "--looks", "2", "8", "--json",
        ]  # fmt: skip
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(done.stderr)
        return took, [target["id"] for target in json.loads(done.stdout)["targets"]]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--shape", type=int, nargs=2, default=[1000, 10_000])
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    first = given.folder / "burst-1"
    make_images(first, given.dates, tuple(given.shape))
    for number in range(2, BURSTS + 1):
        other = given.folder / f"burst-{number}"
        other.mkdir(exist_ok=True)
        for path in first.iterdir():
            if not (other / path.name).exists():
                # The same images under another name: what is measured is the work, not what is found.
                (other / path.name).hardlink_to(path)
        told = (first / "metadata.yaml").read_text().replace("track: burst", f"track: burst-{number}")
        (other / "metadata.yaml").unlink()
        (other / "metadata.yaml").write_text(told)
    turns = [(survey(given.folder, 1), survey(given.folder, 2)) for _ in range(given.turns)]
    same = all(one[1] == two[1] for one, two in turns)
    one, two = (min(turn[k][0] for turn in turns) for k in (0, 1))
    print(f"{BURSTS} bursts of {given.dates} dates, {given.shape[0]} x {given.shape[1]} pixels; all turns: ", end="")
    print(np.array([[turn[0][0], turn[1][0]] for turn in turns]).round(1).tolist())
    print(f"one worker on one core {one:.1f} s, two on two {two:.1f} s: efficiency {one / two / 2:.2f}")
    print(f"targets alike: {'yes' if same else 'no'}")


if __name__ == "__main__":
    main()
