"""Inversion of pair networks beside MintPy's, in speed and in rates, and beside PyRate's stored rates.

    python benchmarks/inversion.py [$GROUNDSHIFT_DATA] [--mintpy PYTHON] [--side 256] [--mintpy-side 64] [--turns 5]

MintPy is under the GPL and wants other versions of some packages: it is run as a program of its own, from an
environment of its own, whose interpreter is PYTHON. To make one, anywhere outside this project:

    python -m venv mintpy && mintpy/bin/pip install mintpy        # then: --mintpy mintpy/bin/python

Without `--mintpy` only Groundshift is timed, without data only simulated pairs are inverted. `--side` is that of the
square of simulated pixels, 300 pairs each; MintPy inverts as many of them as a square of `--mintpy-side` has. Both
invert the same files. Times run from the file to displacement: reading, weights from coherence, inversion. Compiling
and importing are not counted. Both take turns in one run, so that what else the machine does falls on both; seconds of
the processor, summed over threads, hold on a busy machine as well. All times are medians.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import h5py
import numba
import numpy as np
import rasterio

from groundshift.constants import DAYS_PER_YEAR, SENTINEL1_WAVELENGTH
from groundshift.timeseries import invert_network, phase_weights
from groundshift.types import Pair

LOOKS = 20
"""Independent looks that both take the coherences to have."""

MINTPY = """
import sys
import time
import numpy as np
from mintpy.ifgram_inversion import run_ifgram_inversion_patch
from mintpy.objects import ifgramStack
path, out, weighting, rows = sys.argv[1:]
stack = ifgramStack(path)
stack.open(print_msg=False)
box, zero = (0, 0, stack.width, int(rows)), np.zeros(stack.numIfgram)
began, busy = time.perf_counter(), time.process_time()
moved, _, quality, _, _ = run_ifgram_inversion_patch(path, box=box, ref_phase=zero, weight_func=weighting)
seconds = time.perf_counter() - began, time.process_time() - busy
np.savez(out, seconds=seconds, displacement=moved, quality=quality)
"""


class Stack(NamedTuple):
    """Unwrapped pairs."""

    pairs: Sequence[Pair]
    unw: np.ndarray
    """(pair, y, x) radians; NaN without data."""
    coherence: np.ndarray
    wavelength: float


class Result(NamedTuple):
    """What an inversion gives, and how long it took."""

    displacement: np.ndarray
    seconds: np.ndarray
    """By the clock, and of the processor."""


def simulated(side: int) -> Stack:
    """Steady motion under decorrelation noise in a network of 102 dates, each with its next three: 300 pairs."""
    rng = np.random.default_rng(0)
    days = [date(2016, 1, 1) + timedelta(12 * k) for k in range(102)]
    pairs = [Pair(one, other) for k, one in enumerate(days) for other in days[k + 1 : k + 4]][:300]
    rate = np.hypot(*np.mgrid[-1 : 1 : 1j * side, -1 : 1 : 1j * side]).astype(np.float32)
    years = np.array([pair.years for pair in pairs], np.float32)[:, np.newaxis, np.newaxis]
    coherence = rng.uniform(0.3, 0.95, (300, side, side)).astype(np.float32)
    noise = rng.standard_normal(coherence.shape, np.float32) / np.sqrt(phase_weights(coherence, LOOKS))
    return Stack(pairs, 20 * years * rate + noise, coherence, SENTINEL1_WAVELENGTH)


def opened(paths: Sequence[Path], coherence_of: Callable[[Path, Pair], np.ndarray]) -> Stack:
    """Read GeoTIFFs with the tags of PyRate; each pair is zero in the median."""
    pairs, phases, coherences = [], [], []
    for path in paths:
        with rasterio.open(path) as source:
            tags, phase = source.tags(), source.read(1)
        pairs.append(Pair(date.fromisoformat(tags["FIRST_DATE"]), date.fromisoformat(tags["SECOND_DATE"])))
        phase = np.where(phase == 0, np.nan, phase)
        phases.append(phase - np.nanmedian(phase))
        coherences.append(coherence_of(path, pairs[-1]))
    return Stack(pairs, np.stack(phases), np.stack(coherences), float(tags["WAVELENGTH_METRES"]))


def sydney(root: Path) -> Stack:
    """17 pairs of Envisat."""

    def coherence(path: Path, pair: Pair) -> np.ndarray:
        name = f"{pair.reference:%Y%m%d}-{pair.secondary:%Y%m%d}_utm.unw.cc"
        return np.fromfile(root / "sydney" / "coherence" / name, ">f4").reshape(72, 47).astype(np.float32)

    return opened(sorted((root / "sydney" / "tif").glob("*_unw.tif")), coherence)


def mexico_city(root: Path) -> Stack:
    """30 pairs of Sentinel-1."""

    def coherence(path: Path, pair: Pair) -> np.ndarray:
        with rasterio.open(str(path).replace("_eqa_unw", "_flat_eqa_cc")) as source:
            return source.read(1)

    return opened(sorted((root / "mexico_city").glob("*_unw.tif")), coherence)


def write(stack: Stack, path: Path) -> None:
    """Write a stack as MintPy wants it."""
    names = [[f"{day:%Y%m%d}".encode() for day in (pair.reference, pair.secondary)] for pair in stack.pairs]
    with h5py.File(path, "w") as file:
        file["date"] = np.array(names)
        file["bperp"] = np.zeros(len(names), np.float32)
        file["dropIfgram"] = np.ones(len(names), bool)
        # It takes a phase of exactly zero for a pixel without data.
        file["unwrapPhase"] = np.where(stack.unw == 0, 1e-6, stack.unw).astype(np.float32)
        file["coherence"] = stack.coherence.astype(np.float32)
        _, length, width = stack.unw.shape
        file.attrs.update({
            "FILE_TYPE": "ifgramStack", "LENGTH": str(length), "WIDTH": str(width), "WAVELENGTH": str(stack.wavelength),
            "NCORRLOOKS": str(LOOKS), "ALOOKS": "1", "RLOOKS": "1", "PROCESSOR": "gamma", "UNIT": "radian",
        })  # fmt: skip


def ours(path: Path, stack: Stack, weighted: bool, robust: bool = False) -> Result:
    """Invert a file."""
    began, busy = time.perf_counter(), time.process_time()
    with h5py.File(path) as file:
        unw, coherence = file["unwrapPhase"][:], file["coherence"][:] if weighted else None
    weights = None if coherence is None else phase_weights(coherence, LOOKS)
    found = invert_network(unw, weights, stack.pairs, stack.wavelength, robust=robust)
    seconds = time.perf_counter() - began, time.process_time() - busy
    return Result(found.displacement, np.array(seconds))


def version_of_mintpy(python: str) -> str:
    """Ask an interpreter for the version of its MintPy."""
    try:
        asked = subprocess.run(
            [python, "-c", "import mintpy; print(mintpy.__version__)"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1]
        raise SystemExit(f"--mintpy {python} has no MintPy ({reason}); see --help for how to make one") from None
    return asked.stdout.split()[-1]


def of_mintpy(python: str, path: Path, weighted: bool, rows: int) -> Result:
    """Let MintPy invert the first rows of a file."""
    out = path.with_suffix(".npz")
    arguments = [python, "-c", MINTPY, str(path), str(out), "var" if weighted else "no", str(rows)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"MintPy does not invert {path.name}: {done.stderr.strip().splitlines()[-1:]}")
    with np.load(out) as found:
        # It fills pixels that it cannot invert with zeros.
        moved = np.where(found["quality"] > 0, found["displacement"], np.nan)
        return Result(moved, found["seconds"])


def in_turns(turns: int, *works: Callable[[], Result]) -> list[Result]:
    """Call all works in turns; the last result of each, with the medians of its seconds."""
    done = [[work() for work in works] for _ in range(turns)]
    return [
        Result(own[-1].displacement, np.median([r.seconds for r in own], axis=0)) for own in zip(*done, strict=True)
    ]


def rates(displacement: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
    """Return the slope of a straight line through all dates in mm/yr; NaN where a date is missing."""
    dates = sorted({day for pair in pairs for day in (pair.reference, pair.secondary)})
    years = np.array([(day - dates[0]).days / DAYS_PER_YEAR for day in dates])
    known = np.isfinite(displacement).all(axis=0)
    rate = np.full(known.shape, np.nan)
    rate[known] = np.polyfit(years, 1000 * displacement[:, known], 1)[0]
    return rate


def agreement(rate: np.ndarray, peer: np.ndarray, free_offset: bool = False) -> str:
    """Write cells: pixels, correlation, scale (slope of the peer's rates on ours), RMS difference."""
    both = np.isfinite(rate + peer)
    one, other = rate[both], peer[both]
    off = other - one
    off -= off.mean() if free_offset else 0
    slope = np.polyfit(one, other, 1)[0]
    return f"{both.sum()} | {np.corrcoef(one, other)[0, 1]:.5f} | {slope:.4f} | {np.sqrt(np.mean(off**2)):.4f}"


def speed(folder: Path, python: str | None, side: int, mintpy_side: int, turns: int) -> None:
    """Print pixels per second, and how many times those of MintPy they are."""
    stack, path = simulated(side), folder / "simulated.h5"
    write(stack, path)
    rows = max(1, min(side, mintpy_side * mintpy_side // side))
    works = {
        "Groundshift, weighted, with standard errors": (side, lambda: ours(path, stack, True)),
        "Groundshift, weighted, robust": (side, lambda: ours(path, stack, True, robust=True)),
    }
    if python is not None:
        works["MintPy, weighted"] = (rows, lambda: of_mintpy(python, path, True, rows))
    ours(path, stack, True)
    found = in_turns(turns, *(work for _, work in works.values()))
    print(f"\n300 pairs of 102 dates; {numba.get_num_threads()} threads on {os.cpu_count()} cores\n")
    print("| inversion | pixels | seconds | pixels per second | seconds of the processor | pixels per such second |")
    print("|---|---|---|---|---|---|")
    rate = []
    for (name, (height, _)), result in zip(works.items(), found, strict=True):
        pixels = height * side
        rate.append(pixels / result.seconds)
        cells = [f"{seconds:.2f} | {pixels / seconds:,.0f}" for seconds in result.seconds]
        print(f"| {name} | {pixels} | {' | '.join(cells)} |")
    if python is not None:
        clock, processor = rate[0] / rate[-1]
        print(f"\nGroundshift inverts {clock:.0f} times as many pixels per second, {processor:.0f} times per second of")
        off = found[0].displacement[:, :rows] - found[-1].displacement
        print(f"the processor. Displacement differs by {1000 * np.sqrt(np.nanmean(off**2)):.3f} mm (RMS).")


def real(folder: Path, root: Path, python: str | None, turns: int) -> None:
    """Print how far rates agree."""
    print("\n| stack | beside | weights | pixels | correlation | scale | RMS, mm/yr | seconds | its seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, stack in (("Sydney", sydney(root)), ("Mexico City", mexico_city(root))):
        path = folder / f"{name}.h5"
        write(stack, path)
        for weighted in (False, True):
            works = [lambda path=path, stack=stack, weighted=weighted: ours(path, stack, weighted)]
            if python is not None:
                rows = stack.unw.shape[1]
                works.append(lambda path=path, rows=rows, weighted=weighted: of_mintpy(python, path, weighted, rows))
            works[0]()
            mine, *peers = in_turns(turns, *works)
            rate, label = rates(mine.displacement, stack.pairs), "inverse variance" if weighted else "equal"
            for peer in peers:
                cells = agreement(rate, rates(peer.displacement, stack.pairs))
                spent = f"{mine.seconds[0]:.4f} | {peer.seconds[0]:.3f}"
                print(f"| {name} | MintPy | {label} | {cells} | {spent} |", flush=True)
            if name == "Sydney":
                # PyRate counts away from the satellite, from another reference.
                stored = -np.load(root / "sydney" / "linrate" / "linear_rate.npy")
                cells = agreement(rate, stored, free_offset=True)
                print(f"| {name} | PyRate, stored | {label} | {cells} | {mine.seconds[0]:.4f} | - |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of the real data, for the second table")
    parser.add_argument("--mintpy", metavar="PYTHON", help="interpreter that has MintPy")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--mintpy-side", type=int, default=64, help="as many pixels as a square of this side")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    if given.mintpy is not None:
        print(f"MintPy {version_of_mintpy(given.mintpy)}")
    with tempfile.TemporaryDirectory() as folder:
        speed(Path(folder), given.mintpy, given.side, given.mintpy_side, given.turns)
        if given.data is not None:
            real(Path(folder), given.data, given.mintpy, given.turns)


if __name__ == "__main__":
    main()
