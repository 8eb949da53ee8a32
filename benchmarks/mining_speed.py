"""How long `groundshift mining` takes: a scan of interferograms of 1,000 x 1,000 pixels, the sites in them, a province.

    python benchmarks/mining_speed.py WORK [--dates 8] [--model bowlnet]

Simulates one scene of 1,000 x 1,000 pixels of 20 m (400 km2) with 24 bowls and pairs of up to 24 days, and runs the
command twice: without series, and again with them, which takes up the scan and follows the sites. Everything is
counted, from start to report; what starting takes, that of a run that finds all done, is taken out. Extrapolated is a
year of a province of 180,000 km2: 30 pairs of 12 days everywhere, and as many sites as Wang et al. (2023) found.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from groundshift.simulate.mining.config import MiningConfig
from groundshift.simulate.mining.scenes import draw_scenes
from groundshift.simulate.mining.write import write_mines

SIDE = 1000
FIRST_SEED = 85_000_000
"""Beyond all that networks learn from."""
KM2, PAIRS, SITES = 180_000, 30, 1300


def seconds(folder: Path, out: Path, model: str, *options: str) -> float:
    """Run the command; return the time it takes."""
    command = ["mining", str(folder), "-o", str(out), "--bowl-model", model, *options, "--quiet"]
    began = time.perf_counter()
    done = subprocess.run([Path(sys.executable).with_name("groundshift"), *command], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return time.perf_counter() - began


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--dates", type=int, default=8)
    parser.add_argument("--model", default="bowlnet", help="name or file of the network")
    args = parser.parse_args()
    folder, out = args.work / "stack", args.work / "out"
    if not (folder / "metadata.yaml").exists():
        config = MiningConfig(
            scenes=1, shape=(SIDE, SIDE), dates=args.dates, bowls=(24, 24), sigma_pixels=(6, 20), peak_rad=(20, 80),
            coherence=(0.7, 0.7), looks=(8, 8), turbulence_rad=(0, 1),
        )  # fmt: skip
        write_mines(draw_scenes(config, FIRST_SEED), 0, folder, max_days=24)
    scanned = seconds(folder, out, args.model, "--no-series")
    start = seconds(folder, out, args.model, "--no-series")
    followed = seconds(folder, out, args.model)
    kept = next(out.glob("stacks/*/bowls/scanned.json"))
    pairs = len(json.loads(kept.read_text("utf-8")))
    from groundshift.inventory import read_inventory  # noqa: PLC0415  (loads slowly)

    sites = len(read_inventory(out / "inventory.gpkg"))
    each, site = (scanned - start) / pairs, (followed - start) / max(sites, 1)
    hours = (KM2 / (SIDE * SIDE * 400e-6) * PAIRS * each) / 3600
    print(f"{pairs} pairs of {SIDE} x {SIDE} pixels, {sites} sites; starting and concluding {start:.1f} s")
    print(f"{each:.2f} s a pair with reading; {site:.1f} s a site, {pairs} pairs each")
    print(
        f"a year of {KM2:,} km2: {hours:.1f} h to scan {PAIRS} pairs everywhere, "
        f"{SITES * site * PAIRS / pairs / 3600:.1f} h to follow {SITES:,} sites"
    )


if __name__ == "__main__":
    main()
