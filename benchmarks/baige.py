"""The slide of Baige with known truth: simulated PALSAR and PALSAR-2 images from January 2007 to August 2018.

    python benchmarks/baige.py make FOLDER [--seed 0] [--dem-error 5]

The dates, angles and motion follow Liu et al. 2020, where they tell them: 14 images of PALSAR (fine beam, 46 days) and
14 of PALSAR-2 (3 m, 14 days), ascending, on a slope of the Jinsha that faces away from the satellite. The fastest point
moves 6, 10, 17, 35 and 92 mm a day away along the line of sight, between 10 January 2010, 27 July 2015, 3 October 2016
and 28 May 2018. From the first date here to the last these rates add up to 63.0 m; all are scaled so that it is 60.2 m,
with 12.6 m against the flight. The mountains are drawn.

*make* writes `images/` (plain rasters with their geometry), `dem.tif` (30 m, with errors), `truth.json` (dates, pairs,
rates, points, and of each image by how much its stated geometry is off and which share of the motion is done) and
`truth.npz` (the motion from the first to the last date at the nodes of the surface, where they lay at first: east,
north and up, and along the line of sight and against the flight of the reference image). Motion is linear between the
boundaries, and its direction does not change.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter

from groundshift.constants import EARTH_RADIUS
from groundshift.geometry.orbits import earth_fixed, perpendicular_baseline
from groundshift.geometry.radar import RadarGeometry, seen_from
from groundshift.io.amplitudes_plain import write_plain
from groundshift.simulate.amplitude import coherence_in_time, count_facets, draw_speckle, simulate_amplitude
from groundshift.simulate.amplitude_ground import SimulatedGround, draw_points, draw_reflectivity, refine_heights
from groundshift.simulate.amplitude_passes import PALSAR, PALSAR_2, Instrument, make_pass
from groundshift.simulate.atmosphere import power_law_fields
from groundshift.types import MapGrid

LONGITUDE, LATITUDE = 98.70, 31.08
"""Of the fastest point, P2."""
SECOND = 1 / 3600
NODES = 300
"""Of the DEM along a side, one second of arc each."""
FINER = 4
"""Nodes of the simulated surface for one of the DEM, and values of reflectivity for one of those."""
HEADING = 348.0
RIDGE_M = 1400.0
"""From the river."""
ROUGH_M = 14.0
"""Standard deviation of heights over less than some 300 m."""
RIVER_PERCENT = 1.2
WATER = 0.006
"""Reflectivity of the river."""


class Sensor(NamedTuple):
    """How one radar sees the place, and when."""

    instrument: Instrument
    incidence: float
    shape: tuple[int, int]
    days: tuple[date, ...]
    least_days: int
    """Between the dates of a pair, as the paper has it."""
    most_days: int
    """With which there are as many pairs as in the paper, which states none: 31 of PALSAR and 44 of PALSAR-2."""


def _cycles(first: date, step: int, numbers: tuple[int, ...]) -> tuple[date, ...]:
    return tuple(first + timedelta(step * n) for n in numbers)


_FIRST_DAYS = _cycles(date(2007, 1, 2), 46, (0, 4, 5, 8, 9, 11, 14, 16, 17, 20, 22, 24, 25, 33))
_SECOND_DAYS = _cycles(date(2014, 10, 20), 14, (0, 10, 20, 27, 31, 36, 44, 51, 58, 66, 76, 86, 94, 100))
SENSORS = {
    "PALSAR": Sensor(PALSAR, 38.174, (1600, 700), _FIRST_DAYS, 300, 600),
    "PALSAR-2": Sensor(PALSAR_2, 36.2, (2400, 2300), _SECOND_DAYS, 70, 450),
}
REFERENCE = ("PALSAR-2", date(2016, 10, 3))
"""The image whose geometry all others are brought to."""
BOUNDARIES = (date(2010, 1, 10), date(2015, 7, 27), date(2016, 10, 3), date(2018, 5, 28))
RATES = (6.0, 10.0, 17.0, 35.0, 92.0)
"""Of the paper, mm per day at P2 along the line of sight."""
LOS_M, AZIMUTH_M = -60.2, 12.6
"""At P2 from the first to the last date: towards the satellite, and against the flight."""
POINTS = {"P1": -0.55, "P2": 0.0, "P3": 0.35, "P4": 0.72}
"""Places along the axis of the body, from its head (-1) to its toe (1)."""
ALONG = (-1.0, -0.55, 0.0, 0.35, 0.72, 1.0)
LOS_SHARE = (0.72, 0.87, 1.0, 0.86, 38.8 / 60.2, 0.55)
AZIMUTH_SHARE = (0.7, 0.86, 1.0, 0.72, 2.5 / 12.6, 0.1)
HALF_LENGTH_M, HALF_WIDTH_M, EDGE_M = 650.0, 300.0, 60.0
SLOPE_OVER_M = 150.0
"""Scale over which the slope that the body follows is taken."""
ROW_ERROR_M, RANGE_ERROR_M = 1.5, 1.0
"""Standard deviation of what the written geometry is off by."""


class Motion(NamedTuple):
    """What has moved from the first to the last date, at the nodes."""

    displacement: NDArray[np.float64]
    """East, north and up, (y, x, 3) metres."""
    los: NDArray[np.float64]
    azimuth: NDArray[np.float64]
    aspect: float
    """Direction in which the body lies, degrees clockwise from north."""


def history() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ordinals of the days between which rates are steady, and the share of the motion done by then."""
    first, last = SENSORS["PALSAR"].days[0], SENSORS["PALSAR-2"].days[-1]
    knots = np.array([day.toordinal() for day in (first, *BOUNDARIES, last)], np.float64)
    moved = np.concatenate([[0.0], np.cumsum(np.diff(knots) * RATES)])
    return knots, moved / moved[-1]


def share_by(day: date) -> float:
    """Return which share of the whole motion is done at a date."""
    return float(np.interp(day.toordinal(), *history()))


def true_rates() -> list[float]:
    """Return the rates of the paper as they are here, mm per day."""
    knots, share = history()
    return (-LOS_M * 1000 * np.diff(share) / np.diff(knots)).tolist()


def draw_heights(rng: np.random.Generator) -> tuple[MapGrid, NDArray[np.float64]]:
    """Draw valleys like that of the Jinsha: a river at 2,900 m, ridges some 800 m above, P2 on a slope facing east."""
    grid = MapGrid(
        (NODES, NODES),
        Affine(SECOND, 0, LONGITUDE - NODES / 2 * SECOND, 0, -SECOND, LATITUDE + NODES / 2 * SECOND),
        "EPSG:4326",
    )
    east, north = _metres(grid)
    spacing = float(np.mean(grid.spacing))
    # The river winds, and side valleys cut the ridges, but not beside the body.
    away = 1 - np.exp(-((east / 1000) ** 2) - (north / 700) ** 2)
    wind = 350 * away * _smooth_field(grid, 700, rng)
    apart = np.abs(east - 720.0 - wind)
    above = np.where(apart < RIDGE_M, apart, RIDGE_M - 0.35 * (apart - RIDGE_M))
    side = np.abs(_smooth_field(grid, 420, rng))
    above = above * (1 - away) + away * (0.65 * above + 320 * side * np.clip(above / 900, 0.05, 1))
    detail, _, _ = power_law_fields(grid.shape, spacing, 3.2, rng, outer_m=2000.0)
    detail -= gaussian_filter(detail, 300 / spacing)
    detail = gaussian_filter(detail, 25 / spacing)
    rough = ROUGH_M * detail / detail.std() * np.clip(above / 400, 0.1, 1) * (0.5 + 0.5 * away)
    return grid, gaussian_filter(2885 + 0.72 * above, 45 / spacing) + rough


def _smooth_field(grid: MapGrid, scale_m: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a smooth field of variance one."""
    scale = scale_m / float(np.mean(grid.spacing))
    margin = math.ceil(3 * scale)
    white = rng.standard_normal([n + 2 * margin for n in grid.shape])
    field = gaussian_filter(white, scale)[margin:-margin, margin:-margin]
    return field / field.std()


def flooded(grid: MapGrid, heights: NDArray[np.float64], reflectivity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a reflectivity with a river, the lowest ground, that returns next to nothing."""
    times = reflectivity.shape[0] // (grid.shape[0] - 1)
    low = heights[:-1, :-1] < np.percentile(heights, RIVER_PERCENT)
    return np.where(np.kron(low, np.ones((times, times), np.bool_)), np.float32(WATER), reflectivity)


def move_along_slope(ground: SimulatedGround, geometry: RadarGeometry) -> Motion:
    """Return a motion in the plane of the slope that shows as asked along the line of sight and the flight."""
    east, north = _metres(ground.grid)
    dy, dx = ground.grid.spacing
    smooth = gaussian_filter(ground.heights, (SLOPE_OVER_M / dy, SLOPE_OVER_M / dx))
    south, rise = np.gradient(smooth, dy, dx)
    normal = np.stack([-rise, south, np.ones_like(rise)], axis=-1)
    middle = np.unravel_index(np.argmin(np.hypot(east, north)), east.shape)
    aspect = math.atan2(normal[middle][0], normal[middle][1])
    along = (math.sin(aspect) * east + math.cos(aspect) * north) / HALF_LENGTH_M
    beside = (math.cos(aspect) * east - math.sin(aspect) * north) / HALF_WIDTH_M
    taper = _taper(along, beside)
    clipped = np.clip(along, -1, 1)
    los = LOS_M * taper * PchipInterpolator(ALONG, LOS_SHARE)(clipped)
    azimuth = AZIMUTH_M * taper * PchipInterpolator(ALONG, AZIMUTH_SHARE)(clipped)
    displacement = np.zeros(ground.positions.shape)
    inside = taper > 0
    sight, ahead = seen_from(geometry, ground.positions[inside])
    axes = ground.axes[inside]
    seen = np.stack([np.einsum("nkm,nm->nk", axes, sight), np.einsum("nkm,nm->nk", axes, -ahead), normal[inside]], 1)
    wanted = np.stack([los[inside], azimuth[inside], np.zeros(inside.sum())], axis=-1)
    displacement[inside] = np.linalg.solve(seen, wanted[..., np.newaxis])[..., 0]
    return Motion(displacement, los, azimuth, math.degrees(aspect))


def _taper(along: NDArray[np.float64], beside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 within the body, an ellipse somewhat squared, falling smoothly to 0 over its edge."""
    size = (np.abs(along) ** 3 + np.abs(beside) ** 3) ** (1 / 3)
    metres = (1 - size) * HALF_WIDTH_M
    t = np.clip(metres / EDGE_M, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _metres(grid: MapGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far east and north of P2 the nodes lie."""
    lon, lat = grid.lonlat(*np.indices(grid.shape, np.float64))
    degree = math.radians(1.0) * EARTH_RADIUS
    return (lon - LONGITUDE) * degree * math.cos(math.radians(LATITUDE)), (lat - LATITUDE) * degree


def baseline(name: str, day: date, rng: np.random.Generator) -> float:
    """Return how far an orbit lies beside that of the sensor: PALSAR's drifted by kilometres and was set back."""
    if name == "PALSAR":
        years = (day - date(2007, 1, 2)).days / 365.25
        return (3500 * years + 1000) % 7000 - 3000 + rng.normal(0, 300)
    return rng.normal(0, 120)


def make_geometry(name: str, day: date, centre: tuple[float, float, float], seed: int) -> RadarGeometry:
    """Return how an image lies; its frame begins somewhere else on each date."""
    sensor = SENSORS[name]
    rng = np.random.default_rng([seed, 1, day.toordinal()])
    beside = baseline(name, day, rng)
    shift = rng.integers(-20, 21, 2)
    middle = (sensor.shape[0] / 2 + int(shift[0]), sensor.shape[1] / 2 + int(shift[1]))
    asked = {"heading_deg": HEADING, "incidence_deg": sensor.incidence, "shape": sensor.shape}
    return make_pass(*centre, instrument=sensor.instrument, baseline_m=beside, centre=middle, **asked)


def mistaken(geometry: RadarGeometry, spacing: float, rng: np.random.Generator) -> tuple[RadarGeometry, list[float]]:
    """Return a geometry as a product would state it, and how many rows and columns too many that gives for a place."""
    rows = rng.normal(0, ROW_ERROR_M) / spacing
    columns = rng.normal(0, RANGE_ERROR_M) / geometry.axis.step
    axis = replace(geometry.axis, near=geometry.axis.near - columns * geometry.axis.step)
    stated = replace(geometry, first_time=geometry.first_time - rows * geometry.line_interval, axis=axis)
    return stated, [float(rows), float(columns)]


class Scene(NamedTuple):
    """What all images show."""

    grid: MapGrid
    heights: NDArray[np.float64]
    """Of the DEM without its errors, metres."""
    ground: SimulatedGround
    centre: tuple[float, float, float]
    """Longitude, latitude and height of P2."""


def lay_ground(rng: np.random.Generator) -> Scene:
    """Return the ground, its covers and its bright points."""
    grid, heights = draw_heights(rng)
    fine_grid, fine = refine_heights(grid, heights, FINER)
    strength = flooded(fine_grid, fine, draw_reflectivity(*texture(fine_grid), rng))
    middle = np.unravel_index(np.argmin(np.hypot(*_metres(fine_grid))), fine.shape)
    ground = SimulatedGround(fine_grid, fine, strength, draw_points(fine_grid, rng))
    return Scene(grid, heights, ground, (LONGITUDE, LATITUDE, float(fine[middle])))


def texture(grid: MapGrid) -> tuple[tuple[int, int], float]:
    """Return how many values of reflectivity there are, and their distance in metres."""
    return (FINER * (grid.shape[0] - 1), FINER * (grid.shape[1] - 1)), float(np.mean(grid.spacing)) / FINER


def take_images(
    folder: Path, name: str, scene: Scene, displacement: NDArray[np.float64], seed: int
) -> Iterator[dict[str, object]]:
    """Write the images of one radar, and tell what is true of each."""
    sensor = SENSORS[name]
    rng = np.random.default_rng([seed, 2, sensor.least_days])
    own = draw_reflectivity(*texture(scene.ground.grid), rng, mean_db=0.0, spread_db=1.0, cover_db=0.0)
    ground = replace(scene.ground, reflectivity=scene.ground.reflectivity * own)
    facets = count_facets(ground, make_geometry(name, sensor.days[0], scene.centre, seed))
    speckles = draw_speckle(coherence_in_time(sensor.days), int(rng.integers(1 << 32)), facets)
    reference, place = make_geometry(*REFERENCE, scene.centre, seed), earth_fixed(*scene.centre)
    for day, speckle in zip(sensor.days, speckles, strict=True):
        geometry, share = make_geometry(name, day, scene.centre, seed), share_by(day)
        noise = day.toordinal()
        image = simulate_amplitude(ground, geometry, displacement * share, speckle=speckle, noise_seed=noise)
        spacing = float(geometry.azimuth_metres(place))
        stated, off = mistaken(geometry, spacing, rng)
        path = folder / f"{name.lower()}_{day:%Y%m%d}.tif"
        write_plain(image, path, day, name, stated, 1 / math.sqrt(math.sin(math.radians(sensor.incidence))))
        beside = float(perpendicular_baseline(reference.orbit, geometry.orbit, place))
        print(f"{path.name}  baseline {beside:8.0f} m, moved {share * LOS_M:6.1f} m", flush=True)
        yield {
            "file": path.name,
            "sensor": name,
            "day": f"{day}",
            "share": share,
            "off_rows_columns": off,
            "baseline_m": beside,
            "azimuth_spacing_m": spacing,
        }


def make(folder: Path, *, seed: int = 0, dem_error_m: float = 5.0) -> None:
    """Write images, DEM and truth."""
    rng = np.random.default_rng(seed)
    scene = lay_ground(rng)
    motion = move_along_slope(scene.ground, make_geometry(*REFERENCE, scene.centre, seed))
    (folder / "images").mkdir(parents=True, exist_ok=True)
    write_dem(folder / "dem.tif", scene.grid, scene.heights, dem_error_m, rng)
    images = [
        image for name in SENSORS for image in take_images(folder / "images", name, scene, motion.displacement, seed)
    ]
    write_truth(folder, scene.ground, motion, images)


def write_dem(
    path: Path, grid: MapGrid, heights: NDArray[np.float64], error_m: float, rng: np.random.Generator
) -> None:
    """Write heights with errors that reach over some 150 m."""
    error = gaussian_filter(rng.standard_normal(heights.shape), 75 / float(np.mean(grid.spacing)))
    found = (heights + error_m * error / error.std()).astype(np.float32)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": grid.crs, "transform": grid.transform}
    with rasterio.open(path, "w", height=grid.shape[0], width=grid.shape[1], **profile) as target:
        target.write(found, 1)


def write_truth(folder: Path, ground: SimulatedGround, motion: Motion, images: list[dict[str, object]]) -> None:
    """Write what the images hold."""
    east, north = _metres(ground.grid)
    lon, lat = ground.lonlat
    points = {}
    for name, along in POINTS.items():
        e = along * HALF_LENGTH_M * math.sin(math.radians(motion.aspect))
        n = along * HALF_LENGTH_M * math.cos(math.radians(motion.aspect))
        at = np.unravel_index(np.argmin(np.hypot(east - e, north - n)), east.shape)
        points[name] = {
            "longitude": float(lon[at]),
            "latitude": float(lat[at]),
            "height": float(ground.heights[at]),
            "los_m": float(motion.los[at]),
            "azimuth_m": float(motion.azimuth[at]),
            "east_north_up_m": motion.displacement[at].tolist(),
        }
    truth = {
        "reference": {"sensor": REFERENCE[0], "day": f"{REFERENCE[1]}"},
        "boundaries": [f"{day}" for day in BOUNDARIES],
        "rates_mm_per_day": true_rates(),
        "pairs": {name: [sensor.least_days, sensor.most_days] for name, sensor in SENSORS.items()},
        "points": points,
        "images": images,
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")
    np.savez_compressed(
        folder / "truth.npz",
        longitude=lon[0],
        latitude=lat[:, 0],
        height=ground.heights.astype(np.float32),
        displacement=motion.displacement.astype(np.float32),
        los=motion.los.astype(np.float32),
        azimuth=motion.azimuth.astype(np.float32),
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    making = commands.add_parser("make", help="simulate the images")
    making.add_argument("folder", type=Path)
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--dem-error", type=float, default=5.0)
    args = parser.parse_args()
    make(args.folder, seed=args.seed, dem_error_m=args.dem_error)


if __name__ == "__main__":
    main()
