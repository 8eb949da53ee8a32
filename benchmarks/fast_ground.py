"""Baige again: what `groundshift offsets` and `hazard` make of simulated PALSAR and PALSAR-2 images with known truth.

    python benchmarks/fast_ground.py WORK [--seed 0] [--threads 2]

Makes the images (`baige.py make`), runs both commands as a user would, and holds what they say of the fastest point
against the truth: displacement, rates and boundaries of the stages. Beside it the traditional way for the pair over the
gap between both satellites, 25 February 2010 and 27 July 2015: images brought over each other without relief.
"""

import argparse
import json
import time
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
import xarray
from matplotlib.figure import Figure

from baige import REFERENCE, make
from groundshift.cli import main as groundshift
from groundshift.geometry.orbits import earth_fixed
from groundshift.hazard.creep import creep_stages
from groundshift.inventory import read_inventory
from groundshift.inventory.geopackage import read_series
from groundshift.io.amplitudes import open_amplitudes
from groundshift.offsets.lookup import ground_of, lookup_table
from groundshift.offsets.matching import match
from groundshift.offsets.ortho import orthorectify, resample
from groundshift.offsets.quality import reject
from groundshift.types import Window

AREA = (98.684, 31.0675, 98.716, 31.0925)
"""West, south, east, north: three kilometres around the slide."""
GAP = (date(2010, 2, 25), date(2015, 7, 27))
PER_DAY = 1000 / 365.25


def run(work: Path, threads: int, truth: dict) -> None:
    """Run both commands."""
    limits = [f"{sensor}={least}:{most}" for sensor, (least, most) in truth["pairs"].items()]
    sensor, day = truth["reference"]["sensor"], truth["reference"]["day"]
    for words in (
        ["offsets", work / "made" / "images", "-o", work / "out", "--dem", work / "made" / "dem.tif", "--reference",
         f"{sensor}={day}", "--days-of", *limits, "--area", *AREA, "--search", 16, "--threads", threads],
        ["hazard", work / "out"],
    ):  # fmt: skip
        failed = groundshift([str(word) for word in words])
        if failed:
            raise SystemExit(failed)


def nearest(series: xarray.Dataset, point: dict) -> tuple[int, int]:
    """Return the window over a point."""
    north = series.latitude.values - point["latitude"]
    east = (series.longitude.values - point["longitude"]) * np.cos(np.radians(point["latitude"]))
    found = np.unravel_index(np.nanargmin(np.hypot(north, east)), north.shape)
    return int(found[0]), int(found[1])


def judge(work: Path, truth: dict) -> None:
    """Print what comes out at the points beside what is true."""
    with xarray.open_dataset(work / "out" / "offsets.nc", engine="h5netcdf") as source:
        series = source.load()
    days = [d.astype("datetime64[D]").item() for d in series.date.values]
    print(f"{'':>4} {'los':>18} {'azimuth':>18}   metres in all: found (true, off)")
    for name, point in truth["points"].items():
        at = nearest(series, point)
        told = []
        for part in ("los", "azimuth"):
            found, true = float(series[f"{part}_displacement"].values[-1][at]), point[f"{part}_m"]
            told.append(f"{found:7.2f} ({true:6.2f}, {100 * (found / true - 1):+5.1f} %)")
        print(f"{name:>4} {told[0]:>18} {told[1]:>18}")
    target = max(read_inventory(work / "out" / "inventory.gpkg"), key=lambda t: t.area_m2)
    (told,) = (s for s in read_series(work / "out" / "inventory.gpkg") if s.target == target.id and "los" in s.track)
    days, moved, sigma = told.dates.tolist(), told.displacement_mm / 1000, told.sigma_mm / 1000
    print(f"targets: {len(read_inventory(work / 'out' / 'inventory.gpkg'))}; fastest: {moved[-1]:.2f} m in all")
    stages = creep_stages(days, moved, sigma)
    true_rates, bounds = truth["rates_mm_per_day"], [date.fromisoformat(d) for d in truth["boundaries"]]
    print(f"stages of the target: {len(stages.stages)} (true {len(true_rates)}), accelerating: {stages.accelerating}")
    for stage in stages.stages:
        print(
            f"  from {stage.start} ({stage.start_early} to {stage.start_late}): {abs(stage.rate) * PER_DAY:5.1f} +- "
            f"{stage.rate_sigma * PER_DAY:.1f} mm/day, {stage.phase} {stage.part}"
        )
    starts = [stage.start for stage in stages.stages[1:]]
    for bound in bounds:
        near = min(starts, key=lambda day: abs(day - bound), default=None)
        between = sum(min(near, bound) < day <= max(near, bound) for day in days) if near else None
        off = "" if near is None else f"{(near - bound).days:+d} days, {between} acquisitions between"
        print(f"  boundary {bound}: {near} {off}")
    if len(stages.stages) == len(true_rates):
        off = [100 * (abs(s.rate) * PER_DAY / r - 1) for s, r in zip(stages.stages, true_rates, strict=True)]
        print("  rates off by " + ", ".join(f"{v:+.1f} %" for v in off))
    draw(work / "baige.png", series, days, moved, sigma, truth)


def draw(path: Path, series: xarray.Dataset, days: list, moved: np.ndarray, sigma: np.ndarray, truth: dict) -> None:
    """Draw the rates, and the series of the fastest point."""
    figure = Figure(figsize=(13, 4.5), layout="constrained")
    for axes, part in zip(figure.subplots(1, 3)[:2], ("los", "azimuth"), strict=True):
        limit = 8 if part == "los" else 2
        shown = axes.imshow(series[f"{part}_rate"].values, vmin=-limit, vmax=limit, cmap="RdBu")
        figure.colorbar(shown, ax=axes, label=f"{part}, m/yr")
        axes.axis("off")
    axes = figure.axes[2]
    axes.errorbar(days, moved, sigma, fmt="o", ms=3, label="found, fastest window")
    shares = [(date.fromisoformat(i["day"]), i["share"]) for i in truth["images"]]
    shares.sort()
    axes.plot([d for d, _ in shares], [truth["points"]["P2"]["los_m"] * s for _, s in shares], lw=1, label="true at P2")
    axes.set_ylabel("towards the satellite, m")
    axes.legend()
    figure.savefig(path, dpi=110)


def traditional(work: Path, truth: dict) -> None:
    """Match the pair over the gap with and without relief, and print what still ground seems to do."""
    images = {image.day: image for image in open_amplitudes(work / "made" / "images").images}
    with rasterio.open(work / "made" / "dem.tif") as source:
        heights = source.read(1).astype(float)
        columns, rows = np.meshgrid(np.arange(source.width) + 0.5, np.arange(source.height) + 0.5)
        lon, lat = source.transform @ (columns, rows)
    reference = images[date.fromisoformat(truth["reference"]["day"])]
    point = truth["points"]["P2"]
    print(f"pair {GAP[0]} to {GAP[1]}, offsets in range of {reference.sensor} pixels; true at P2 "
          f"{true_offset(reference, point, truth):+.1f}")  # fmt: skip
    for name, surface in (("with relief", heights), ("without", np.full_like(heights, heights.mean()))):
        ground = ground_of(reference.geometry, lon, lat, surface, Window(0, 0, *reference.geometry.shape))
        laid = []
        for day in GAP:
            if name == "with relief":
                laid.append(orthorectify(reference.read(), ground, images[day]).amplitude)
            else:
                laid.append(resample(images[day].read(), lookup_table(ground, images[day].geometry)))
        offsets = match(*laid, search=48, valid=ground.clear)
        bad = reject(offsets, least_peak=0.15, least_snr=6)
        level = offsets.range - np.nanmedian(np.where(bad, np.nan, offsets.range))
        good = level[~bad]
        spread = np.percentile(good, [5, 95])
        print(
            f"{name:>12}: {100 * (1 - bad.mean()):.0f} % matched; 90 % of the offsets within {spread[0]:+.1f} and "
            f"{spread[1]:+.1f} pixels, scatter {1.4826 * np.median(np.abs(good - np.median(good))):.2f}"
        )


def true_offset(reference: object, point: dict, truth: dict) -> float:
    """Return the true offset of the fastest point over the gap, pixels of the reference."""
    share = {date.fromisoformat(i["day"]): i["share"] for i in truth["images"]}
    geometry = reference.geometry
    ground = earth_fixed(point["longitude"], point["latitude"], point["height"])
    place = geometry.place(ground[np.newaxis])
    metres = float(geometry.axis.metres(place.column, geometry.times(place.row))[0])
    return -point["los_m"] * (share[GAP[1]] - share[GAP[0]]) / metres


def main() -> None:
    """Make, run, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    made = args.work / "made"
    if not (made / "truth.npz").exists():
        make(made, seed=args.seed)
    truth = json.loads((made / "truth.json").read_text())
    assert truth["reference"]["day"] == str(REFERENCE[1])
    began = time.perf_counter()
    run(args.work, args.threads, truth)
    print(f"both commands: {(time.perf_counter() - began) / 60:.1f} minutes")
    judge(args.work, truth)
    traditional(args.work, truth)


if __name__ == "__main__":
    main()
