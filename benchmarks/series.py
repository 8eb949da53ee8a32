"""Series of targets: how they repeat on Danba, and how often their intervals hold the truth.

    python benchmarks/series.py danba $GROUNDSHIFT_DATA/danba [--to docs/images/series.png]
    python benchmarks/series.py coverage WORK [--targets 200] [--shard 0/1]

*danba* surveys the scene, draws the inverted velocity beside the stacked one and the series of the landslide, and
follows the same outline again, stack included, with half of the dates: every other one, the first and the last half.
Shares are those of the pixels where both velocities agree within two standard errors of their difference, taken as if
they had no data in common.

*coverage* simulates scenes and takes the outline of each slide of at least 8 mm/yr along the line of sight as a target:
stack, patch, unwrapping, inversion, reference, fit. Of slides that move with the seasons the long-term velocity is the
truth, of those that speed up the mean over the dates; it is that of the pixels which speak for the target, minus that
of the reference pixels. A line for each scene is appended to WORK/coverage.jsonl, and scenes that stand there are not
made again; shards K/N make every Nth scene, at the same time if wanted.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from groundshift.inventory import Target
from groundshift.io import InterferogramStack, open_stack
from groundshift.simulate import Scene, SceneConfig, Slide, simulate_scene, to_stack
from groundshift.timeseries import reference_series
from groundshift.types import Pair
from groundshift.unwrap import choose_unwrapper
from groundshift.workflows.config import SeriesConfig, StackConfig, SurveyConfig
from groundshift.workflows.following import Followed, NoSeriesError, Patch, follow
from groundshift.workflows.progress import Reporter
from groundshift.workflows.series import Source, cut_patch, view_stack
from groundshift.workflows.stacking import stack_track
from groundshift.workflows.survey import run_survey

LEAST_SPEED = 8.0
"""Slides below this are no targets, mm/yr along the line of sight."""
REACH = 2000.0
QUIET = Reporter(quiet=True)


class Told(NamedTuple):
    """A target as one choice of pairs tells it."""

    patch: Patch
    followed: Followed

    @property
    def rate(self) -> np.ndarray:
        """Velocity of the pixels, mm/yr."""
        return 1000 * self.followed.velocity.rate

    @property
    def sigma(self) -> np.ndarray:
        """Its standard error."""
        return 1000 * self.followed.velocity_sigma


def tell(stack: InterferogramStack, target: Target, config: StackConfig) -> Told:
    """Stack, cut and follow one target."""
    with tempfile.TemporaryDirectory() as out:
        source = Source(stack, stack_track(stack, config, Path(out), QUIET).sums, REACH)
        patch = cut_patch(target, [], source, view_stack(source), SeriesConfig())
    return Told(patch, follow(patch, SeriesConfig(), choose_unwrapper()))


def subsets(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    """Choose half of the dates in four ways, and the pairs between them."""
    dates = sorted({day for pair in pairs for day in (pair.reference, pair.secondary)})
    middle = len(dates) // 2
    for name, chosen in (
        ("every other date, from the first", dates[::2]),
        ("every other date, from the second", dates[1::2]),
        ("first half of the dates", dates[:middle]),
        ("last half of the dates", dates[middle:]),
    ):
        yield name, [p for p in pairs if {p.reference, p.secondary} <= set(chosen)]


def danba(folder: Path, picture: Path) -> None:
    """Survey the scene, draw the landslide, and print how its velocity repeats."""
    stack, stacking = open_stack(folder), StackConfig()
    with tempfile.TemporaryDirectory() as out:
        targets = run_survey(
            SurveyConfig(inputs=(folder,), output=Path(out), stack=stacking), QUIET, "benchmark"
        ).targets
    print(f"{len(targets)} target(s)")
    target = max(targets, key=lambda t: t.area_m2)
    told = {"all": tell(stack, target, stacking)}
    for name, pairs in subsets(stack.pairs):
        told[name] = tell(stack.select(pairs), target, stacking)
    draw(told["all"], picture)
    print("| dates | pairs used | groups | rate of the landslide, mm/yr | 95 % interval | stated error of a pixel |")
    print("|---|---|---|---|---|---|")
    for name, (patch, followed) in told.items():
        low, high = (1000 * v for v in followed.interval())
        print(
            f"| {name} | {len(followed.pairs)} of {len(patch.pairs)} | {followed.groups.max()} | "
            f"{1000 * followed.motion.velocity.rate:+.1f} | {low:+.1f} to {high:+.1f} | "
            f"{1000 * np.nanmedian(followed.velocity_sigma[patch.inside]):.1f} |"
        )
    first, second, early, late = list(told)[1:]
    print("\n| compared | within two sigma: target | patch | half of the differences below, mm/yr: target | patch |")
    print("|---|---|---|---|---|")
    for one, other in [("all", name) for name in list(told)[1:]] + [(first, second), (early, late)]:
        cells = compare(told[one], told[other])
        print(f"| {one}; {other} | {cells} |")


def compare(one: Told, other: Told) -> str:
    """Write shares of pixels that agree, and median differences, in the target and in all of the patch."""
    off = np.abs(one.rate - other.rate)
    within = off <= 2 * np.hypot(one.sigma, other.sigma)
    known = np.isfinite(off)
    target = known & one.patch.inside
    shares = f"{100 * within[target].mean():.1f} % | {100 * within[known].mean():.1f} %"
    return f"{shares} | {np.median(off[target]):.1f} | {np.median(off[known]):.1f}"


def draw(told: Told, picture: Path) -> None:
    """Draw both velocities and the series."""
    patch, followed = told
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(14, 3.6), width_ratios=(1, 1, 1.3), layout="constrained"
    )
    height, width = (n * s for n, s in zip(patch.inside.shape, patch.grid.spacing, strict=True))
    extent = (0, width / 1000, height / 1000, 0)
    for axis, name, values in ((left, "inverted", told.rate), (middle, "stacked", 1000 * patch.stacked_velocity)):
        image = axis.imshow(values, cmap="RdBu", vmin=-100, vmax=100, extent=extent)
        axis.contour(patch.inside, [0.5], colors="k", linewidths=0.8, extent=extent, origin="upper")
        axis.set(title=f"velocity, {name}", xlabel="range, km")
    left.set_ylabel("azimuth, km")
    figure.colorbar(image, ax=(left, middle), label="mm/yr towards the satellite", shrink=0.9)
    days = np.array(followed.dates, "datetime64[D]")
    for group in range(1, followed.groups.max() + 1):
        members = followed.groups == group
        start = followed.displacement[followed.groups > 0][0]
        right.errorbar(
            days[members], 1000 * (followed.displacement[members] - start), 1000 * followed.sigma[members],
            fmt="o", ms=3, lw=0.8, color="C0",
        )  # fmt: skip
        fit = followed.motion.at([d.item() for d in days[members]], group)
        right.plot(days[members], 1000 * (fit - start), color="C3", lw=1.2)
    low, high = (1000 * v for v in followed.interval())
    rate = 1000 * followed.motion.velocity.rate
    right.set(title=f"{rate:+.0f} mm/yr (95 %: {low:+.0f} to {high:+.0f})", ylabel="mm towards the satellite")
    right.tick_params(axis="x", rotation=30)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(picture)


def draw_config(seed: int) -> SceneConfig:
    """Draw what a scene is made from: few dates or many, woods, gaps, DEM error, fast slides and slow ones."""
    rng = np.random.default_rng((4, seed))
    interval = int(rng.choice([6, 12, 12, 12, 24]))
    return SceneConfig(
        seed=seed,
        shape=(160, 200),
        n_slides=5,
        interval_days=interval,
        n_dates=int(np.exp(rng.uniform(np.log(24), np.log(90)))),
        gap_share=rng.uniform(0, 0.25),
        max_days=interval * int(rng.integers(2, 5)),
        speed_mm_yr=(15.0, 150.0),
        forest_share=rng.uniform(0.2, 0.6),
        dem_error_m=rng.uniform(3, 12),
        stratified_rad_per_km=rng.uniform(0.5, 2),
        heading=float(rng.choice([190.0, 350.0])),
    )


def long_term(slide: Slide) -> np.ndarray:
    """Return the true velocity of its pixels along the line of sight, mm/yr."""
    net = 1.0 if slide.behaviour == "seasonal" else slide.net
    return np.float32(slide.speed * slide.sensitivity * net) * slide.pattern


def cover(seed: int) -> dict[str, Any]:
    """Follow every slide of a scene, and write down what is told and what is true."""
    config = draw_config(seed)
    scene = simulate_scene(config)
    stack = to_stack(scene)
    truth = scene.glacier_velocity.copy()
    for slide in scene.slides:
        truth[slide.rows, slide.columns] += long_term(slide)
    targets = {slide.id: as_target(slide, scene) for slide in scene.slides}
    rows = []
    with tempfile.TemporaryDirectory() as out:
        stacking = StackConfig(max_days=config.max_days, wet_months=(), sliding_years=None)
        source = Source(stack, stack_track(stack, stacking, Path(out), QUIET).sums, REACH)
        view = view_stack(source)
        for slide in scene.slides:
            if np.abs(long_term(slide)).max() < LEAST_SPEED:
                continue
            row: dict[str, Any] = {"behaviour": slide.behaviour, "dates": len(scene.dates)}
            near = [t for k, t in targets.items() if k != slide.id]
            try:
                patch = cut_patch(targets[slide.id], near, source, view, SeriesConfig())
                row |= judge(patch, follow(patch, SeriesConfig(), choose_unwrapper()), truth, stack)
            except NoSeriesError as error:
                row["reason"] = str(error)
            rows.append(row)
    return {"seed": seed, "pairs": len(scene.pairs), "targets": rows}


def as_target(slide: Slide, scene: Scene) -> Target:
    """Make the outline of a slide a target."""
    return Target(
        id=str(slide.id), geometry=slide.polygon, kind="landslide", score=1.0, detections=(),
        first_seen=scene.dates[0], last_seen=scene.dates[-1], area_m2=np.nan, velocity_los_mm_yr=np.nan,
        velocity_sigma_mm_yr=np.nan, mean_coherence=np.nan, n_pairs=len(scene.pairs),
    )  # fmt: skip


def judge(patch: Patch, followed: Followed, truth: np.ndarray, stack: InterferogramStack) -> dict[str, Any]:
    """Compare what is told of a target with the truth, mm/yr."""
    corner = np.array([patch.grid.transform.f, patch.grid.transform.c])
    whole = np.array([stack.grid.transform.f, stack.grid.transform.c])
    y, x = np.round(np.abs(corner - whole) / stack.grid.spacing).astype(int)
    own = truth[y : y + patch.inside.shape[0], x : x + patch.inside.shape[1]]
    own = own - reference_series(own[np.newaxis], followed.reference.pixels, followed.reference.weights)[0]
    low, high = (1000 * v for v in followed.interval())
    off = np.abs(1000 * followed.velocity.rate - own) / (1000 * followed.velocity_sigma)
    known = np.isfinite(off) & patch.inside
    return {
        "truth": float(own[followed.core].mean()),
        "rate": 1000 * float(followed.motion.velocity.rate),
        "low": low,
        "high": high,
        "named": followed.motion.behaviour,
        "pixels": int(known.sum()),
        "pixels_within": int((off[known] <= 2).sum()),
    }


def coverage(work: Path, count: int, shard: tuple[int, int]) -> None:
    """Follow simulated targets until there are enough, and print how often the truth lies in the interval."""
    work.mkdir(parents=True, exist_ok=True)
    place, all_of = work / "coverage.jsonl", work.glob("coverage*.jsonl")
    number, shards = shard
    if shards > 1:
        place = work / f"coverage-{number}.jsonl"
    done = {found["seed"]: found for path in all_of for found in map(json.loads, path.read_text().splitlines())}
    seed = number
    while sum("rate" in row for found in done.values() for row in found["targets"]) < count:
        if seed not in done:
            done[seed] = cover(seed)
            with place.open("a") as file:
                file.write(json.dumps(done[seed]) + "\n")
        seed += shards
    print_coverage([row for seed in sorted(done) for row in done[seed]["targets"]], count)


def print_coverage(found: Sequence[dict[str, Any]], count: int) -> None:
    """Print how often the truth lies in the interval, by kind of target."""
    reasons = [row["reason"] for row in found if "reason" in row]
    rows = [row for row in found if "rate" in row][:count]
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        size = "fewer than 40 dates" if row["dates"] < 40 else "40 dates and more"
        for kind in ("all", row["behaviour"], size):
            kinds[kind].append(row)
    print("| targets | number | truth in the 95 % interval | pixels within two sigma | ", end="")
    print("median half width, mm/yr | median error |\n|---|---|---|---|---|---|")
    for kind in ("all", *sorted(set(kinds) - {"all"})):
        group = kinds[kind]
        inside = np.mean([row["low"] <= row["truth"] <= row["high"] for row in group])
        pixels = sum(row["pixels_within"] for row in group) / sum(row["pixels"] for row in group)
        half = np.median([row["high"] - row["low"] for row in group]) / 2
        error = np.median([abs(row["rate"] - row["truth"]) for row in group])
        print(f"| {kind} | {len(group)} | {100 * inside:.1f} % | {100 * pixels:.1f} % | {half:.1f} | {error:.1f} |")
    print(f"\n{len(reasons)} of {len(found)} have no series")
    for reason in sorted(set(reasons)):
        print(f"- {reasons.count(reason)}: {reason}")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("danba")
    one.add_argument("folder", type=Path)
    one.add_argument("--to", type=Path, default=Path("docs/images/series.png"))
    other = commands.add_parser("coverage")
    other.add_argument("work", type=Path)
    other.add_argument("--targets", type=int, default=200)
    other.add_argument("--shard", default="0/1")
    given = parser.parse_args()
    if given.command == "danba":
        danba(given.folder, given.to)
    else:
        number, shards = map(int, given.shard.split("/"))
        coverage(given.work, given.targets, (number, shards))


if __name__ == "__main__":
    main()
