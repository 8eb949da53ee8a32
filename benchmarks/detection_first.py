"""Detection first beside everything: what a frame costs, and how well the velocities of its slides come out.

    python benchmarks/detection_first.py WORK [--size 1500 1500] [--pixel 40] [--dates 50] [--km2 53.5] [--pairs 10]

*Detection first* is `groundshift survey`, with the series of its targets. *Everything* unwraps the whole of each pair,
takes out delay that follows the height, inverts the network of every pixel (weighted, robust, DEM error estimated) and
fits a rate and a yearly course to each. Both read the same simulated files. `--km2` is the ground per slide, by default
that of Fu et al. (2022): 3,366 slides on 180,000 square kilometres. Whirlwind unwraps all whole pairs; SNAPHU, which
takes much longer, so many of them as `--pairs` says, spread over time, and its seconds are scaled to all.

Seconds of the processor are summed over all processes of a run. Memory is the largest sum of what these hold, without
what is only mapped from files. What is done is kept in WORK and not done again: a run that was stopped goes on, pair by
pair. Compiling is not counted.
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter

from costs import Journal, Spent, measured
from groundshift.inventory import Target, read_inventory
from groundshift.io.patches import PatchSeries, patch_path, read_patch
from groundshift.simulate import Scene, SceneConfig, Slide, simulate_scene, write_scene
from groundshift.timeseries import fit_velocity, reference_series
from groundshift.timeseries.velocity import years_since
from whole_frame import WAYS, invert, unwrap_all, whole_folder

COMPLETE = "whirlwind"
"""The way in which all pairs are unwrapped, and then inverted."""
SURVEYS = {"snaphu": "snaphu", "tiles": "snaphu", "whirlwind": "whirlwind"}
"""Unwrapper of the survey that a way is compared with."""
LEAST_SPEED = 8.0
"""mm/yr along the line of sight from which a slide counts."""


class Errors(NamedTuple):
    """How far velocities lie off the truth; one number for each slide."""

    known: list[float]
    """Share of the slide's pixels that have a velocity."""
    mean: list[float]
    """Mean error over the slide, mm/yr."""
    scatter: list[float]
    """Root mean square error of its pixels, mm/yr."""


def survey(scene: Path, out: Path, *more: str) -> Spent:
    """Survey a folder afresh."""
    shutil.rmtree(out, ignore_errors=True)
    command = Path(sys.executable).with_name("groundshift")
    return measured([str(command), "survey", str(scene), "-o", str(out), "--quiet", *more])


class Found(NamedTuple):
    """A true slide and the target that shows it."""

    slide: Slide
    truth: np.ndarray
    """(y, x) mm/yr on the patch: the rate that the same fit gives of the true motion."""
    window: tuple[slice, slice]
    patch: PatchSeries


def look_up(scene: Scene, out: Path) -> tuple[dict[int, Found], list[str]]:
    """Find the target of each slide that moves fast enough, by slide; return also what became of the others."""
    targets, found, lost = read_inventory(out / "inventory.gpkg"), {}, []
    for slide in scene.slides:
        if abs(slide.los_velocity) < LEAST_SPEED:
            continue
        target = max(targets, key=lambda t, s=slide: t.geometry.intersection(s.polygon).area, default=None)
        if target is None or not target.geometry.intersects(slide.polygon):
            lost.append("not found")
            continue
        path = patch_path(out / "series", target.id, f"simulated-{scene.config.seed}")
        if not path.exists():
            lost.append(f"no series: {reason(path, target)}")
            continue
        patch = read_patch(path)
        left, top = ~scene.grid.transform * (patch.grid.transform.c, patch.grid.transform.f)
        rows, columns = patch.grid.shape
        window = (slice(round(top), round(top) + rows), slice(round(left), round(left) + columns))
        found[slide.id] = Found(slide, true_velocity(scene, slide)[window], window, patch)
    return found, lost


def reason(path: Path, target: Target) -> str:
    """Return why a target has no series."""
    record = path.with_suffix(".json")
    return json.loads(record.read_text())["reason"] if record.exists() else f"{target.id} was not followed"


def true_velocity(scene: Scene, slide: Slide) -> np.ndarray:
    """Return the rate of a slide in mm/yr on the frame: that which a fit to its motion without noise gives."""
    days = np.array(scene.dates, "datetime64[D]")
    way = slide.course.at(years_since(days, scene.dates[0])) * slide.speed * slide.sensitivity
    truth = np.zeros(scene.grid.shape)
    truth[slide.rows, slide.columns] = float(fit_velocity(days, way).rate) * slide.pattern
    return truth


def compare(scene: Scene, surveys: dict[str, dict[int, Found]], whole: "WholeFrame") -> dict[str, Errors]:
    """Compare velocities with the truth, over the pixels of each slide that all surveys have a series of."""
    errors: dict[str, Errors] = {}
    for number in sorted(set.intersection(*(set(found) for found in surveys.values()))):
        one = next(iter(surveys.values()))[number]
        inside = one.slide.mask(scene.grid.shape)[one.window]
        given = {f"detection first, {name}": 1000 * f[number].patch.velocity[inside] for name, f in surveys.items()}
        for name, values in (given | whole.velocities(one, inside)).items():
            known = np.isfinite(values)
            off = (values - one.truth[inside])[known]
            e = errors.setdefault(name, Errors([], [], []))
            e.known.append(float(known.mean()))
            e.mean.append(float(off.mean()))
            e.scatter.append(float(np.sqrt(np.mean(off**2))))
    return errors


class WholeFrame:
    """The inverted frame, seen from several references."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self._moved, self._sigma = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("displacement", "sigma"))
        self._days = np.array(scene.dates, "datetime64[D]")
        row, column = most_coherent(np.load(folder / "coherence.npy"))
        self._far = np.nanmedian(self._moved[:, row - 1 : row + 2, column - 1 : column + 2], axis=(1, 2))

    def velocities(self, one: Found, inside: np.ndarray) -> dict[str, np.ndarray]:
        """Return the velocities of pixels of a patch, mm/yr, by reference."""
        moved, sigma = self._moved[:, *one.window], self._sigma[:, *one.window][:, inside]
        shifts = {
            "everything, about the median of the scene": np.zeros(len(moved)),
            "everything, about its most coherent point": self._far,
            "everything, about the ground that the survey chose": reference_series(moved, one.patch.reference),
        }
        series = {name: moved[:, inside] - shift[:, None] for name, shift in shifts.items()}
        return {name: 1000 * fit_velocity(self._days, values, sigma).rate for name, values in series.items()}


def most_coherent(coherence: np.ndarray) -> tuple[int, int]:
    """Return the pixel whose surroundings are most coherent, away from the border."""
    smooth = uniform_filter(coherence, 5)[5:-5, 5:-5]
    row, column = np.unravel_index(np.argmax(smooth), smooth.shape)
    return int(row) + 5, int(column) + 5


def tell_costs(work: Path, summary: Journal, every: int) -> None:
    """Print what both take."""
    alone, inversion = summary.of("detection"), summary.of("inversion")
    print("Seconds of the processor (by the clock):\n\n| whole pairs unwrapped by | pairs measured | ", end="")
    print(
        "everything: unwrapping | inverting | together | detection first | ratio | peak memory, GB: everything | ",
        end="",
    )
    print("detection first |\n|---|---|---|---|---|---|---|---|---|")
    for way, name in WAYS.items():
        pairs = [Spent(*v) for v in Journal(work / f"everything-{way}" / "pairs.json").entries.values()]
        busy, clock = (every / len(pairs) * sum(s[k] for s in pairs) for k in (0, 1))
        ours, memory = summary.of(f"survey-{SURVEYS[way]}"), max(summary.of(way).memory, inversion.memory)
        total, total_clock = busy + inversion.processor, clock + inversion.clock
        print(f"| {name} | {len(pairs)} of {every} | {busy:,.0f} ({clock:,.0f}) | ", end="")
        print(f"{inversion.processor:,.0f} ({inversion.clock:,.0f}) | {total:,.0f} ({total_clock:,.0f}) | ", end="")
        print(f"{ours.processor:,.0f} ({ours.clock:,.0f}) | **{total / ours.processor:.1f}** ", end="")
        print(f"({total_clock / ours.clock:.1f}) | {memory:.2f} | {ours.memory:.2f} |")
    print(f"\nDetection alone, without series: {alone.processor:,.0f} ({alone.clock:,.0f}) s, {alone.memory:.2f} GB.\n")


def tell_errors(errors: dict[str, Errors]) -> None:
    """Print how far velocities lie off."""
    print("| velocities | pixels known | mean over a slide: RMS error, median error, mm/yr | ", end="")
    print("its pixels: median RMS error, mm/yr |\n|---|---|---|---|")
    for name, e in errors.items():
        mean = np.array(e.mean)
        cells = f"{math.sqrt(np.mean(mean**2)):.2f}, {np.median(np.abs(mean)):.2f} | {np.median(e.scatter):.2f}"
        print(f"| {name} | {100 * np.mean(e.known):.1f} % | {cells} |")


def measure(work: Path, script: Sequence[str], pairs: int) -> Journal:
    """Run everything that has not been run."""
    summary = Journal(work / "measured.json")
    if any(name not in summary for name in ("detection", *(f"survey-{name}" for name in SURVEYS.values()))):
        small = simulate_scene(SceneConfig(shape=(100, 100), n_slides=1, n_dates=20, gap_share=0))
        write_scene(small, work / "small")
        survey(work / "small", work / "small-survey")
    if "detection" not in summary:
        summary.keep("detection", survey(work / "scene", work / "detection", "--no-series"))
    for name in sorted(set(SURVEYS.values())):
        if f"survey-{name}" not in summary:
            summary.keep(f"survey-{name}", survey(work / "scene", work / f"survey-{name}", "--unwrapper", name))
    for way in WAYS:
        if way not in summary:
            most = [] if way == COMPLETE else ["--pairs", str(pairs)]
            summary.keep(way, measured([*script, "--unwrap", way, *most]))
    if "inversion" not in summary:
        summary.keep("inversion", measured([*script, "--invert"]))
    return summary


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the scene and all results, some 10 GB")
    parser.add_argument("--size", type=int, nargs=2, default=(1500, 1500), help="rows and columns")
    parser.add_argument("--pixel", type=float, default=40.0, help="metres")
    parser.add_argument("--dates", type=int, default=50, help="every 12 days; pairs of up to 36 days")
    parser.add_argument("--km2", type=float, default=53.5, help="square kilometres per slide")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=10, help="whole pairs that SNAPHU unwraps")
    parser.add_argument("--unwrap", choices=tuple(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--invert", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    work: Path = given.work
    if given.unwrap:
        unwrap_all(work, given.unwrap, None if given.unwrap == COMPLETE else given.pairs)
        return
    if given.invert:
        invert(work, COMPLETE)
        return
    area = given.size[0] * given.size[1] * given.pixel**2 / 1e6
    drawn: dict[str, Any] = {"seed": given.seed, "pixel_m": given.pixel, "n_dates": given.dates}
    scene = simulate_scene(SceneConfig(shape=tuple(given.size), n_slides=round(area / given.km2), **drawn))
    if not (work / "scene" / "metadata.yaml").exists():
        write_scene(scene, work / "scene")
    summary = measure(work, [sys.executable, __file__, str(work)], given.pairs)
    print(f"{given.size[0]} x {given.size[1]} pixels of {given.pixel:g} m ({area:,.0f} square kilometres), ", end="")
    print(f"{len(scene.pairs)} pairs of {len(scene.dates)} dates, {len(scene.slides)} slides.\n")
    tell_costs(work, summary, len(scene.pairs))
    surveys = {}
    for name in sorted(set(SURVEYS.values())):
        surveys[name], lost = look_up(scene, work / f"survey-{name}")
        targets = len(read_inventory(work / f"survey-{name}" / "inventory.gpkg"))
        print(f"{name}: {targets} targets; {len(surveys[name])} of {len(surveys[name]) + len(lost)} slides of ", end="")
        print(f"{LEAST_SPEED:g} mm/yr have a series.")
        for text in sorted(set(lost)):
            print(f"  {lost.count(text)} slides: {text}")
    print()
    tell_errors(compare(scene, surveys, WholeFrame(whole_folder(work, COMPLETE), scene)))


if __name__ == "__main__":
    main()
