"""Stack many multilooked pairs read from GeoTIFF: where the time goes, and how much memory it takes.

Makes the pairs if they are not there, stacks them as `groundshift stack` does, and prints the time spent reading and
the time spent on arithmetic beside two yardsticks of the same run: the time to read the same bytes from memory, and
the same sums written in plain NumPy and SciPy.

    python benchmarks/stacking.py FOLDER [--pairs 348] [--shape 750 2500]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from scipy.ndimage import uniform_filter

from groundshift.gradients.sums import add_pairs, empty_sums
from groundshift.io import open_stack
from groundshift.types import MapGrid, Pair
from groundshift.workflows.config import StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track
from memory import read_memory

_CONFIG = StackConfig(smoothing=10, smoothing_limit=400.0, wet_months=(), sliding_years=None)


def network(count: int) -> list[Pair]:
    """Every date with the next three, 12 days apart."""
    days = [date(2016, 1, 1) + timedelta(days=12 * k) for k in range(count // 3 + 4)]
    found = [Pair(days[i], days[i + k]) for i in range(len(days)) for k in (1, 2, 3) if i + k < len(days)]
    return found[:count]


def write_plain(path: Path, values: np.ndarray, grid: MapGrid) -> None:
    """Write an uncompressed GeoTIFF."""
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="float32", height=values.shape[0], width=values.shape[1],
        crs=grid.crs, transform=grid.transform,
    ) as sink:  # fmt: skip
        sink.write(values, 1)


def make_pairs(folder: Path, count: int, shape: tuple[int, int]) -> None:
    """Write pairs of random phase and coherence."""
    rng = np.random.default_rng(0)
    grid = MapGrid(shape, Affine(40.0, 0, 300_000, 0, -40.0, 3_400_000), "EPSG:32647")
    coherence = rng.random(shape, np.float32)
    for pair in network(count):
        phase_file = folder / f"{pair.name}_phase.tif"
        if not phase_file.exists():
            phase = (rng.random(shape, np.float32) - 0.5) * np.float32(2 * np.pi)
            write_plain(folder / f"{pair.name}_coh.tif", np.roll(coherence, pair.days, 1), grid)
            write_plain(phase_file, phase, grid)


def memory_floor(pairs: int, shape: tuple[int, int]) -> float:
    """Seconds to read the bytes of all pairs from memory with all cores."""
    block = np.ones((16, shape[0] * shape[1] * 2), np.float32)
    pieces = block.reshape(-1, shape[1] * 2)
    read_memory(pieces)
    times = []
    for _ in range(7):
        began = time.perf_counter()
        read_memory(pieces)
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * pairs / len(block)


def numpy_way(igrams: Iterator[tuple[np.ndarray, float]]) -> float:
    """Seconds a pair for the same sums, as a scientist would write them with NumPy and SciPy."""
    times, sums = [], None
    for igram, years in igrams:
        began = time.perf_counter()
        mean = uniform_filter(igram.real, 10) + 1j * uniform_filter(igram.imag, 10)
        down, right = np.angle(mean[1:, :-1] * mean[:-1, :-1].conj()), np.angle(mean[:-1, 1:] * mean[:-1, :-1].conj())
        power = np.minimum(np.minimum(abs(mean[1:, :-1]), abs(mean[:-1, 1:])), abs(mean[:-1, :-1])) ** 2
        weight = power / (1.1 - power)
        planes = [weight * years, (weight * years) ** 2, np.sqrt(power), power > 0]
        for gradient in (down, right):
            planes += [weight * gradient, (weight * gradient) ** 2, weight**2 * gradient * years]
        sums = planes if sums is None else [a + b for a, b in zip(sums, planes, strict=True)]
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def run_once(folder: Path) -> dict[str, float]:
    """Stack in this process and return where the time went."""
    stack = open_stack(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        began = time.perf_counter()
        output = stack_track(stack, _CONFIG, Path(out), Reporter(quiet=True))
        wall = time.perf_counter() - began
        plan = output.sums.plan
        igrams = np.stack([stack.read(p) for p in plan.pairs[:16]])
        sums, alone = empty_sums(plan, igrams.shape[1:]), []
        for _ in range(5):
            began = time.perf_counter()
            add_pairs(plan, range(len(igrams)), igrams, sums)
            alone.append((time.perf_counter() - began) / len(igrams) * len(plan.pairs))
    return {
        "alone": float(np.median(alone)),
        "wall": wall,
        "waiting": output.seconds_reading,
        "summing": output.seconds_summing,
        "gb": output.bytes_read / 1e9,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def read_all(folder: Path) -> float:
    """Seconds to read all pairs and do nothing else, one after the other."""
    stack = open_stack(folder)
    began = time.perf_counter()
    for pair in stack.pairs:
        stack.read(pair)
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pairs lie, or are to be made (15 MB each)")
    parser.add_argument("--pairs", type=int, default=348)
    parser.add_argument("--shape", type=int, nargs=2, default=(750, 2500))
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.once:
        print(json.dumps(run_once(given.folder)))
        return
    shape = (given.shape[0], given.shape[1])
    given.folder.mkdir(parents=True, exist_ok=True)
    make_pairs(given.folder, given.pairs, shape)
    stack = open_stack(given.folder)
    runs = []
    for _ in range(3):
        # A process of its own, so that the peak of memory is that of stacking alone.
        done = subprocess.run(
            [sys.executable, __file__, str(given.folder), "--once"], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    best = sorted(runs, key=lambda r: r["alone"])[len(runs) // 2]
    floor = memory_floor(given.pairs, shape)
    peer = numpy_way((stack.read(p), p.years) for p in stack.pairs[:5]) * given.pairs
    alone = read_all(given.folder)
    rows = [
        (f"reading {given.pairs} pairs ({best['gb']:.1f} GB as complex64), nothing else", alone, "s"),
        ("stacking, wall clock", best["wall"], "s"),
        ("  of that waiting for pairs", best["waiting"], "s"),
        ("  of that arithmetic, sharing the cores with the readers", best["summing"], "s"),
        ("arithmetic alone, pairs in memory", best["alone"], "s"),
        ("arithmetic in NumPy and SciPy (from 5 pairs)", peer, "s"),
        ("reading the same bytes from memory", floor, "s"),
        ("arithmetic alone / floor", best["alone"] / floor, ""),
        ("NumPy / arithmetic alone", peer / best["alone"], ""),
        ("peak memory", best["peak_gb"], "GB"),
    ]
    for name, value, unit in rows:
        print(f"{name:<66} {value:8.2f} {unit}")


if __name__ == "__main__":
    main()
