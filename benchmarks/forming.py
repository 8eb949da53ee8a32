"""One burst pair from memory to both summed gradients, and how good the coherence and phase are that come out.

    python benchmarks/forming.py [--shape 1500 20000] [--turns 15]     speed
    python benchmarks/forming.py --quality                             coherence and phase of simulated images

Speed: two co-registered images lie in memory; their interferogram (2 x 8 looks, coherence, phase) is formed, averaged
over 10 x 10 cells, differenced along both axes and added to the sums of one time window; alone, and as one of eight
pairs that are summed together, as stacking does. Beside it, in turns within one run: reading the two images from memory
and doing nothing else, the same written in NumPy and SciPy, and in torch on the CPU (where it is installed). All use as
many threads as the machine has cores, as far as they can. Times are the best of all turns, since what else the machine
does can only lengthen them; seconds of the processor, summed over threads, hold on a busy machine as well. Memory is
what a process of its own needs beyond the two images, sums included.

Quality: images of known coherence and phase, sampled more densely than they resolve, in 2 x 8 looks, against truth and
against the bound of Cramer and Rao, sqrt((1 - D^2) / (2 L D^2)) for the phase of L independent looks of coherence D.
"""

import argparse
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta

# Threads that wait for others are not to look busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from scipy.ndimage import uniform_filter

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.gradients.differences import directions_of
from groundshift.gradients.noise import NoiseShare
from groundshift.gradients.sums import StackPlan, add_pairs, empty_sums, plan_window
from groundshift.interferometry import correct_coherence, form, independent_looks
from groundshift.types import Looks, Pair, RadarGrid
from memory import read_memory

LOOKS = Looks(2, 8)
SMOOTHING = 10
BATCH = 8
"""Pairs that are summed together, as stacking does: then each adds little to reading and writing the sums."""

YEARS = 12 / 365.25


def speckle(rng: np.random.Generator, shape: tuple[int, int], coherence: float) -> tuple[np.ndarray, np.ndarray]:
    """Two images of independent pixels, of one coherence and phase 0."""
    images = np.empty((2, *shape), np.complex64)
    rng.standard_normal(out=images.view(np.float32), dtype=np.float32)
    # Row by row, so that no more memory is used than the images take.
    own, shared = np.float32(math.sqrt(1 - coherence**2)), np.float32(coherence)
    for row in range(shape[0]):
        images[1, row] *= own
        images[1, row] += shared * images[0, row]
    return images[0], images[1]


def plan_of(shape: tuple[int, int], count: int) -> StackPlan:
    """Pairs of neighbouring dates, one time window, both directions."""
    noise = NoiseShare(0.0, 1.0)
    days = [date(2019, 1, 1) + timedelta(12 * k) for k in range(count + 1)]
    pairs = tuple(map(Pair, days, days[1:]))
    grid = RadarGrid(shape, (28.0, 32.0))
    window = plan_window("all", range(count), pairs, noise)
    return StackPlan(
        "burst", grid, SENTINEL1_WAVELENGTH, pairs, (window,), directions_of(grid.axis_names), SMOOTHING, noise
    )


def numpy_way(reference: np.ndarray, secondary: np.ndarray, sums: list[np.ndarray]) -> None:
    """Do the same as a scientist would write it."""
    ny, nx = reference.shape[0] // LOOKS.y, reference.shape[1] // LOOKS.x

    def cells(field: np.ndarray) -> np.ndarray:
        return field[: ny * LOOKS.y, : nx * LOOKS.x].reshape(ny, LOOKS.y, nx, LOOKS.x).sum(axis=(1, 3))

    power = cells(np.abs(reference) ** 2) * cells(np.abs(secondary) ** 2)
    igram = cells(reference * secondary.conj()) / np.sqrt(power)
    mean = uniform_filter(igram.real, SMOOTHING) + 1j * uniform_filter(igram.imag, SMOOTHING)
    here, down, right = mean[:-1, :-1], mean[1:, :-1], mean[:-1, 1:]
    lowest = np.minimum(np.minimum(abs(down), abs(right)), abs(here)) ** 2
    weight = lowest / (1.1 - lowest)
    planes = [weight * YEARS, (weight * YEARS) ** 2, np.sqrt(lowest), lowest > 0]
    for gradient in (np.angle(down * here.conj()), np.angle(right * here.conj())):
        planes += [weight * gradient, (weight * gradient) ** 2, weight**2 * gradient * YEARS]
    for k, plane in enumerate(planes):
        sums[k] += plane


def torch_way(reference: np.ndarray, secondary: np.ndarray) -> Callable[[], None] | None:
    """Return the same in torch, or None where there is none."""
    try:
        import torch  # noqa: PLC0415  (it may be missing)
        from torch.nn.functional import avg_pool2d  # noqa: PLC0415
    except ImportError:
        return None
    first, second = torch.from_numpy(reference), torch.from_numpy(secondary)
    ny, nx = first.shape[0] // LOOKS.y - SMOOTHING, first.shape[1] // LOOKS.x - SMOOTHING
    sums = torch.zeros(10, ny, nx)

    def cells(field: "torch.Tensor") -> "torch.Tensor":
        rows, columns = field.shape[0] // LOOKS.y, field.shape[1] // LOOKS.x
        whole = field[: rows * LOOKS.y, : columns * LOOKS.x]
        return whole.reshape(rows, LOOKS.y, columns, LOOKS.x).sum(dim=(1, 3))

    def run() -> None:
        with torch.inference_mode():
            power = cells(first.abs().square()) * cells(second.abs().square())
            igram = cells(first * second.conj()) * torch.rsqrt(power)
            mean = avg_pool2d(torch.stack([igram.real, igram.imag])[:, None], SMOOTHING, stride=1)[:, 0]
            mean = torch.complex(mean[0], mean[1])
            here, down, right = mean[:-1, :-1], mean[1:, :-1], mean[:-1, 1:]
            lowest = torch.minimum(torch.minimum(down.abs(), right.abs()), here.abs()).square()
            weight = lowest / (1.1 - lowest)
            found = [weight * YEARS, (weight * YEARS).square(), lowest.sqrt(), (lowest > 0).float()]
            for gradient in ((down * here.conj()).angle(), (right * here.conj()).angle()):
                found += [weight * gradient, (weight * gradient).square(), weight.square() * gradient * YEARS]
            for k, plane in enumerate(found):
                sums[k] += plane

    return run


def groundshift_way(
    reference: np.ndarray, secondary: np.ndarray, pairs: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return two steps: forming each of the pairs, and summing what was formed."""
    plan = plan_of((reference.shape[0] // LOOKS.y, reference.shape[1] // LOOKS.x), pairs)
    sums = empty_sums(plan, plan.grid.shape)
    igrams = np.zeros((pairs, *plan.grid.shape), np.complex64)

    def forming() -> None:
        for igram in igrams:
            form(reference, secondary, LOOKS, igram)

    return forming, lambda: add_pairs(plan, range(pairs), igrams, sums)


def memory_megabytes(shape: tuple[int, int]) -> list[float]:
    """Return what one pair, and then `BATCH` pairs, need beyond the two images, in this process."""
    reference, secondary = speckle(np.random.default_rng(0), shape, 0.6)
    for step in groundshift_way(reference[:64, :640].copy(), secondary[:64, :640].copy(), 1):
        step()
    before, found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for pairs in (1, BATCH):
        for step in groundshift_way(reference, secondary, pairs):
            step()
        found.append((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3)
    return found


def best_times(ways: dict[str, Callable[[], object]], turns: int, seldom: set[str]) -> dict[str, tuple[float, float]]:
    """Best seconds on the wall and of the processor of each, in turns; those that are `seldom` take every fifth."""
    for way in ways.values():
        way()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(turns):
        for name, way in ways.items():
            if name in seldom and turn % 5:
                continue
            began, busy = time.perf_counter(), time.process_time()
            way()
            times[name].append((time.perf_counter() - began, time.process_time() - busy))
    return {name: (min(wall for wall, _ in some), min(busy for _, busy in some)) for name, some in times.items()}


def show_speed(shape: tuple[int, int], turns: int) -> None:
    """Print the table of times."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory", "--shape", *map(str, shape)], capture_output=True, text=True, check=True
    )
    reference, secondary = speckle(np.random.default_rng(0), shape, 0.6)
    both = reference.base.view(np.float32).reshape(2 * shape[0], -1)
    forming, summing = groundshift_way(reference, secondary, 1)
    forming_many, summing_many = groundshift_way(reference, secondary, BATCH)
    plain = [np.zeros((shape[0] // LOOKS.y - 1, shape[1] // LOOKS.x - 1), np.float32) for _ in range(10)]
    torch = torch_way(reference, secondary)
    many = f"one of {BATCH} pairs, summed together"
    ways: dict[str, Callable[[], object]] = {
        "reading both images from memory": lambda: read_memory(both),
        "forming": forming,
        "summing": summing,
        "one pair alone": lambda: (forming(), summing()),
        many: lambda: (forming_many(), summing_many()),
        "NumPy and SciPy": lambda: numpy_way(reference, secondary, plain),
    }
    if torch:
        ways["torch"] = torch
    found = best_times(ways, turns, {many, "NumPy and SciPy", "torch"})
    found[many] = (found[many][0] / BATCH, found[many][1] / BATCH)
    floor, ours = found["reading both images from memory"], found["one pair alone"]
    print(f"{shape[0]} x {shape[1]} complex64, {LOOKS.y} x {LOOKS.x} looks, window {SMOOTHING}")
    print(f"{'':34} {'wall':>9} {'of reading':>11} {'of ours':>8}   {'processor':>9} {'of reading':>11} {'of ours':>8}")
    for name, seconds in found.items():
        parts = [f"{s * 1e3:6.1f} ms {s / a:11.2f} {s / b:8.2f}" for s, a, b in zip(seconds, floor, ours, strict=True)]
        print(f"{name:34} {'   '.join(parts)}")
    one, batch = done.stdout.split()
    print(f"memory beyond the images           {float(one):6.0f} MB, with {BATCH} pairs {float(batch):.0f} MB")


def band_limited(rng: np.random.Generator, shape: tuple[int, int], oversampling: tuple[float, float]) -> np.ndarray:
    """Speckle of power 1 whose spectrum fills 1 / oversampling of the band along each axis."""
    spectrum = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    for axis, factor in enumerate(oversampling):
        inside = np.abs(np.fft.fftfreq(shape[axis])) < 0.5 / factor
        spectrum *= np.expand_dims(inside, 1 - axis) / np.sqrt(inside.mean())
    return np.fft.ifft2(spectrum) * np.sqrt(spectrum.size / 2)


def looks_within(cell: tuple[int, int], oversampling: tuple[float, float]) -> float:
    """Return how many independent looks a cell of such speckle has: n^2 / sum_ij |rho(i - j)|^2 along each axis."""
    looks = 1.0
    for n, factor in zip(cell, oversampling, strict=True):
        lag = np.arange(-n + 1, n)
        looks *= n / float(((1 - np.abs(lag) / n) * np.sinc(lag / factor) ** 2).sum())
    return looks


def show_quality() -> None:
    """Print coherence and phase beside truth."""
    rng = np.random.default_rng(0)
    shape, oversampling = (1600, 6400), (1.3, 1.2)
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = 0.02 * x - 0.05 * y
    ny, nx = shape[0] // LOOKS.y, shape[1] // LOOKS.x
    rows, columns = np.mgrid[:ny, :nx]
    truth = 0.02 * (LOOKS.x * columns + 3.5) - 0.05 * (LOOKS.y * rows + 0.5)
    ground, other = (band_limited(rng, shape, oversampling) for _ in range(2))
    looks = independent_looks(ground.astype(np.complex64), LOOKS)
    sizes = (1, 2, 4, 10)
    within = [looks_within((LOOKS.y * n, LOOKS.x * n), oversampling) for n in sizes]
    print(f"{LOOKS.y} x {LOOKS.x} looks, sampled {oversampling[0]} and {oversampling[1]} times as densely as resolved,")
    print(f"{ny} x {nx} cells of {looks:.1f} independent looks (measured; {within[0]:.1f} by the spectrum)")
    print(f"{'':8} {'coherence less truth':>34}   {'phase noise over its bound, cells averaged, looks':>56}")
    print(f"{'truth':>8} {'sample':>10} {'corrected':>11} {'complex':>11}  ", end="")
    print("".join(f"{f'{n} x {n}, {count:.0f}':>15}" for n, count in zip(sizes, within, strict=True)))
    for true in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        moved = (true * ground + math.sqrt(1 - true**2) * other) * np.exp(-1j * phase)
        igram = form(ground.astype(np.complex64), moved.astype(np.complex64), LOOKS)
        corrected = correct_coherence(igram, looks)
        flat = igram * np.exp(-1j * truth)
        means = [flat.reshape(ny // n, n, nx // n, n).mean(axis=(1, 3)) for n in sizes]
        noise = [math.sqrt(np.mean(np.angle(mean) ** 2)) for mean in means]
        bound = [math.sqrt((1 - true**2) / (2 * count * true**2)) for count in within]
        off = [np.abs(field).mean() - true for field in (igram, corrected, means[-1])]
        print(f"{true:8.1f} {off[0]:+10.3f} {off[1]:+11.3f} {off[2]:+11.3f}  ", end="")
        print("".join(f"{a / b:15.2f}" for a, b in zip(noise, bound, strict=True)))


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(1500, 20000))
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    shape = (given.shape[0], given.shape[1])
    if given.memory:
        print(*memory_megabytes(shape))
    elif given.quality:
        show_quality()
    else:
        show_speed(shape, given.turns)


if __name__ == "__main__":
    main()
