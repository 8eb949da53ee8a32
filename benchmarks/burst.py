"""A burst of single-look images from files on disk to the sums of all time windows: where the time goes.

    python benchmarks/burst.py FOLDER [--dates 60] [--shape 1500 20000] [--windows]

Makes the images if they are not there (0.24 GB each at full size), lets go of what the system holds of them in memory,
and stacks all pairs of up to 36 days as `groundshift stack` does: 2 x 8 looks, averaging window of 10 cells as in Fu et
al. (2022). Prints the seconds for each pair, split into reading, forming and summing (seconds of threads that worked
side by side, so that they add up to more than the whole), beside the rates of disk and memory in the same run, the peak
of memory, and what 130,977 pairs, those of Fu et al. (2022), would take. `--windows` sums seasons and sliding years as
well, as a survey does.
"""

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from groundshift.io import open_slcs
from groundshift.types import MapGrid
from groundshift.workflows import forming, stacking
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.forming import interferograms_of
from groundshift.workflows.progress import Reporter
from memory import read_memory

PAPER_PAIRS = 130_977
WAVELENGTH = 0.055465763


def make_images(folder: Path, dates: int, shape: tuple[int, int]) -> None:
    """Write images of coherent ground and noise, uncompressed."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    grid = MapGrid(shape, Affine(2.3, 0, 300_000, 0, -14.0, 3_400_000), "EPSG:32647")
    ground = noise(rng, shape)
    for k in range(dates):
        path = folder / f"{date(2019, 1, 1) + timedelta(12 * k):%Y%m%d}.tif"
        if path.exists():
            continue
        image = ground + np.roll(noise(rng, (1, shape[1])), k, 1) * noise(rng, (shape[0], 1))
        partial = path.with_suffix(".partial")
        with rasterio.open(
            partial, "w", driver="GTiff", count=1, dtype="complex64", height=shape[0], width=shape[1],
            crs=grid.crs, transform=grid.transform,
        ) as sink:  # fmt: skip
            sink.write(image, 1)
        partial.rename(path)
    (folder / "metadata.yaml").write_text(
        f"wavelength_m: {WAVELENGTH}\nheading_deg: 190\nincidence_deg: 39\nflattened: true\ntrack: burst\n"
    )


def noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw circular noise."""
    parts = rng.standard_normal((*shape, 2), np.float32)
    return parts.view(np.complex64)[..., 0]


def forget(folder: Path) -> None:
    """Let go of what the system holds of the files, so that they are read from the disk."""
    for path in folder.glob("*.tif"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_rate(folder: Path) -> float:
    """Read some files as they are, two at a time; bytes per second."""
    forget(folder)
    paths = sorted(folder.glob("*.tif"))[:8]
    began = time.perf_counter()
    parts = [paths[k::2] for k in (0, 1)]
    threads = [threading.Thread(target=lambda part: [p.read_bytes() for p in part], args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(path.stat().st_size for path in paths) / (time.perf_counter() - began)


def memory_rate() -> float:
    """Read a quarter of a gigabyte with all cores; bytes per second, the best of several."""
    values = np.ones((64, 1_000_000), np.float32)
    read_memory(values)
    times = []
    for _ in range(7):
        began = time.perf_counter()
        read_memory(values)
        times.append(time.perf_counter() - began)
    return values.nbytes / min(times)


class Watch:
    """Adds up the seconds that threads spend in a function."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._lock = threading.Lock()

    def over(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and is timed."""

        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - began
                    self.calls += 1

        return timed


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--shape", type=int, nargs=2, default=[1500, 20_000])
    parser.add_argument("--windows", action="store_true")
    given = parser.parse_args()
    make_images(given.folder, given.dates, tuple(given.shape))
    stack_settings: dict[str, Any] = {"smoothing": 10, "smoothing_limit": 400.0}
    if not given.windows:
        stack_settings |= {"wet_months": (), "sliding_years": None}
    config = SurveyConfig.model_validate({
        "inputs": [given.folder], "output": ".", "stack": stack_settings, "interferometry": {"looks": (2, 8)},
        "series": {"series": False},
    })  # fmt: skip
    disk, memory = disk_rate(given.folder), memory_rate()
    forget(given.folder)
    reading, formed, summed = Watch(), Watch(), Watch()
    forming.form = formed.over(forming.form)
    forming._Images._prepare = reading.over(forming._Images._prepare)
    stacking.revise = summed.over(stacking.revise)
    (images,) = open_slcs(given.folder)
    source = interferograms_of(images, config)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        done = stacking.stack_track(source, config.stack, Path(out), Reporter())
    total = time.perf_counter() - began
    pairs = done.pairs_read
    image_bytes = 8 * given.shape[0] * given.shape[1]
    read = reading.calls * image_bytes  # at most: blocks and samples of the noise are smaller
    print(f"{pairs} pairs of {given.dates} dates, {given.shape[0]} x {given.shape[1]} pixels, ", end="")
    print(f"{len(done.sums.plan.windows)} time windows: {total:.1f} s, {total / pairs:.3f} s a pair")
    print(f"reading {reading.seconds / pairs:.3f}, forming {formed.seconds / pairs:.3f}, ", end="")
    print(f"summing {summed.seconds / pairs:.3f} s a pair, of threads at work at the same time")
    floor = given.dates * image_bytes / disk
    print(f"disk: {disk / 1e9:.2f} GB/s, so that reading all images once takes {floor:.1f} s, ", end="")
    print(f"{floor / total:.2f} of the whole")
    print(f"memory: {memory / 1e9:.1f} GB/s, so that reading both images of all pairs takes ", end="")
    print(f"{2 * pairs * image_bytes / memory:.1f} s, {2 * pairs * image_bytes / memory / total:.2f} of the whole")
    print(f"images prepared: {reading.calls} ({read / image_bytes / given.dates:.2f} for each date)")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    at_1_gb = max(total - floor, 0) + given.dates * image_bytes / 1e9
    print(f"{PAPER_PAIRS:,} pairs: {PAPER_PAIRS * total / pairs / 3600:.1f} h; ", end="")
    print(f"with a disk of 1 GB/s, nothing at the same time: {PAPER_PAIRS * at_1_gb / pairs / 3600:.1f} h")


if __name__ == "__main__":
    main()
