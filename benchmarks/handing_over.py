"""Slopes too fast for phase: whether a survey says so, and what it finds once it has amplitude images as well.

    python benchmarks/handing_over.py told WORK [--seeds 4 5 6]
    python benchmarks/handing_over.py followed WORK [--seed 0] [--speed 2.5]

*told*: simulated interferograms of Sentinel-1 over one slope each, at speeds from centimetres to metres a year; the
velocity that the series of the target tell of its pixels against the true one, and whether the survey calls them too
fast for phase.

*followed*: such a slope, and images of PALSAR-2 over the same ground; surveys without and with `--amplitudes`, and the
rates of both against the truth.
"""

import argparse
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from groundshift.cli import main as groundshift
from groundshift.constants import DAYS_PER_YEAR
from groundshift.geometry import pixels_within
from groundshift.geometry.orbits import earth_fixed
from groundshift.geometry.radar import seen_from
from groundshift.inventory import Target, read_inventory
from groundshift.inventory.geopackage import read_series
from groundshift.io.amplitudes_plain import write_plain
from groundshift.io.patches import read_patch
from groundshift.simulate import Scene, SceneConfig, simulate_scene, write_scene
from groundshift.simulate.amplitude import coherence_in_time, count_facets, draw_speckle, simulate_amplitude
from groundshift.simulate.amplitude_ground import SimulatedGround, draw_reflectivity, refine_heights
from groundshift.simulate.amplitude_passes import PALSAR_2, local_axes, make_pass
from groundshift.simulate.slides import slope_vector

SPEEDS = (0.15, 0.4, 0.8, 1.5, 3.0, 6.0)
"""Metres a year down the slope."""
FINER = 2
"""Nodes of the ground of the images for each of the interferograms, along each axis."""
CELLS = 4
"""Reflectivities for each of these."""
SHAPE = (2100, 1500)
DAYS = tuple(date(2018, 1, 10) + timedelta(98 * k) for k in range(8))


def scene_of(seed: int, speed: float) -> Scene:
    """Simulate interferograms over one slide."""
    return simulate_scene(
        SceneConfig(
            seed=seed, shape=(90, 90), n_dates=60, n_slides=1, speed_mm_yr=(1000 * speed, 1000 * speed),
            length_m=900.0, length_spread=0.05, seasonal_share=0, accelerating_share=0, snow=False, glaciers=False,
            forest_share=0.1, max_slope=35.0,
        )
    )  # fmt: skip


def make_images(scene: Scene, folder: Path, seed: int) -> tuple[float, float]:
    """Write images of the same ground; return the rates of the fastest point, line of sight and azimuth, m/yr."""
    grid, heights = refine_heights(scene.grid, scene.heights.astype(np.float64), FINER)
    cells = tuple(CELLS * (n - 1) for n in grid.shape)
    strength = draw_reflectivity(cells, grid.spacing[0] / CELLS, np.random.default_rng(seed), spread_db=4.0)
    ground = SimulatedGround(grid, heights, strength)
    (slide,) = scene.slides
    pattern = np.zeros(scene.grid.shape)
    pattern[slide.rows, slide.columns] = slide.pattern
    _, pattern = refine_heights(scene.grid, pattern, FINER)
    way = np.array(slope_vector(slide.azimuth, slide.slope)) * slide.speed / 1000
    height = float(np.median(heights))
    centre = (scene.config.longitude, scene.config.latitude, height)
    folder.mkdir(parents=True, exist_ok=True)
    first = make_pass(*centre, instrument=PALSAR_2, heading_deg=348.0, incidence_deg=36.0, shape=SHAPE)
    speckles = draw_speckle(coherence_in_time(list(DAYS)), seed, count_facets(ground, first))
    for k, (day, speckle) in enumerate(zip(DAYS, speckles, strict=True)):
        path = folder / f"PALSAR-2_{day:%Y%m%d}.tif"
        if path.with_suffix(".yaml").exists():
            continue
        beside = 150.0 * ((-1) ** k)
        geometry = make_pass(
            *centre, instrument=PALSAR_2, heading_deg=348.0, incidence_deg=36.0, shape=SHAPE, baseline_m=beside
        )
        years = (day - DAYS[0]).days / DAYS_PER_YEAR
        moved = np.clip(pattern, 0, None)[..., np.newaxis] * way * years
        write_plain(
            simulate_amplitude(ground, geometry, moved, speckle=speckle, noise_seed=k), path, day, "PALSAR-2", geometry
        )
    to_satellite, ahead = seen_from(first, earth_fixed(*centre))
    motion = way @ local_axes(np.array(centre[0]), np.array(centre[1]))
    return float(to_satellite @ motion), -float(ahead @ motion)


def survey(work: Path, name: str, *more: str | Path) -> Target | None:
    """Survey, and return the target on the slide, the largest one."""
    words = ["survey", work / "scene", "-o", work / name, "--dem", work / "scene" / "dem.tif", *more]
    if groundshift([str(word) for word in words]):
        raise SystemExit(1)
    return max(read_inventory(work / name / "inventory.gpkg"), key=lambda t: t.area_m2, default=None)


def told(work: Path, seeds: list[int]) -> None:
    """Print what surveys say of slopes of all speeds."""
    print(f"{'seed':>4} {'m/yr':>5} {'true mm/yr':>10} {'found':>7} {'short by':>8}  told")
    for seed in seeds:
        for speed in SPEEDS:
            folder = work / f"{seed}-{speed}"
            scene = scene_of(seed, speed)
            write_scene(scene, folder / "scene")
            target = survey(folder, "survey", "--quiet")
            if target is None:
                print(f"{seed:>4} {speed:>5} {scene.slides[0].los_velocity:>10.0f}  not found", flush=True)
                continue
            (record,) = (folder / "survey" / "series").glob(f"{target.id}-*.json")
            too_fast = json.loads(record.read_text())["too_fast"] or "nothing"
            place = pixels_within(target.geometry, scene.grid)
            assert place is not None  # it lies in the scene
            box, mask = place
            true = float(scene.velocity[box.rows, box.columns][mask].mean())
            patch = read_patch(record.with_suffix(".nc"))
            found = 1000 * float(np.nanmean(patch.velocity[patch.inside]))
            print(f"{seed:>4} {speed:>5} {true:>10.0f} {found:>7.0f} {1 - found / true:>8.0%}  {too_fast}", flush=True)


def followed(work: Path, seed: int, speed: float) -> None:
    """Print what phase alone finds, and what it finds with images."""
    scene = scene_of(seed, speed)
    write_scene(scene, work / "scene")
    los, azimuth = make_images(scene, work / "images", seed)
    print(f"truth: {scene.slides[0].los_velocity / 1000:.2f} m/yr along the line of sight of Sentinel-1,")
    print(f"       {los:.2f} along that of PALSAR-2, {azimuth:.2f} along its azimuth, where it is fastest")
    survey(work, "alone")
    target = survey(work, "both", "--amplitudes", work / "images")
    if target is None:
        print("nothing found")
        return
    print(f"{target.id}, seen by {', '.join(target.evidence)}")
    for one in read_series(work / "both" / "inventory.gpkg"):
        years = (one.dates - one.dates[0]) / np.timedelta64(1, "D") / DAYS_PER_YEAR
        known = np.isfinite(one.displacement_mm)
        rate = np.polyfit(years[known], one.displacement_mm[known], 1)[0]
        print(f"  {one.target}, {one.track}: {rate / 1000:+.3f} m/yr")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="what", required=True)
    part = parts.add_parser("told")
    part.add_argument("work", type=Path)
    part.add_argument("--seeds", type=int, nargs="+", default=[4, 5, 6])
    part = parts.add_parser("followed")
    part.add_argument("work", type=Path)
    part.add_argument("--seed", type=int, default=0)
    part.add_argument("--speed", type=float, default=2.5, help="metres a year down the slope")
    args = parser.parse_args()
    if args.what == "told":
        told(args.work, args.seeds)
    else:
        followed(args.work, args.seed, args.speed)


if __name__ == "__main__":
    main()
