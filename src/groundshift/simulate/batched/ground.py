"""The ground of a batch of scenes: land, cover, movers and what the satellite sees of them, from one seed.

A scene is made on a plane that is somewhat larger than itself and repeats at its borders, from which the scene is cut.
In radar geometry everything is made on the ground first, then folded into range.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.constants import DAYS_PER_YEAR
from groundshift.simulate.batched.bodies import add_slides
from groundshift.simulate.batched.canvas import Canvas
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.cover import add_rivers, add_towns, draw_forest, draw_snow_height
from groundshift.simulate.batched.dem_error import draw_dem_error
from groundshift.simulate.batched.fields import Fields
from groundshift.simulate.batched.hazards import add_bowls, add_glaciers, add_reservoir
from groundshift.simulate.batched.radar import (
    draw_look,
    fold_range,
    frame_of,
    layover_and_shadow,
    range_slope,
    slant_range,
)
from groundshift.simulate.batched.terrain import cut_land, draw_land
from groundshift.simulate.batched.types import Ground, Mover, Network
from groundshift.types import LookGeometry

__all__ = ["make_ground"]

# Random streams of a scene, one for each part, so that a change to one leaves the others as they were.
_FIELDS, _LOOK, _LAND, _WATER, _SLIDES, _HAZARDS, _COVER, _DEM, _RADAR = range(9)

_LEAST_MARGIN = 48
"""Pixels that a plane is larger than its scene, at least."""
_LEAST_FACTOR = 0.0004
"""Of the ground resolution, relative to level ground."""
_SMOOTH = ("heights", "slope_factor", "forest", "dem_error")
"""Fields that are interpolated when they are folded into range."""


class _Scene(NamedTuple):
    """One scene, cut out."""

    radar: bool
    look: LookGeometry
    slant_range_m: float
    planes: dict[str, Tensor]
    movers: tuple[Mover, ...]
    courses: tuple[NDArray[np.float64], ...]


def make_ground(
    config: BatchConfig,
    network: Network,
    seed: int,
    *,
    pixel_m: float,
    device: torch.device,
    dem: NDArray[np.floating] | None = None,
    dem_pixel_m: float = 30.0,
) -> Ground:
    """Make the ground of a batch: the same one, bit by bit, from the same arguments on the same device.

    Parameters
    ----------
    config : BatchConfig
        What is drawn from.
    network : Network
        Dates that the courses of the movers are given for.
    seed : int
        Not negative. A scene depends on the seed and its place in the batch, not on how many scenes there are.
    pixel_m : float
        Working pixel in metres.
    device : torch.device
        Where the tensors are made.
    dem : (y, x) array, optional
        Heights in metres of real land, from which all scenes are then cut; by default land is drawn.
    dem_pixel_m : float
        Pixel of `dem` in metres.

    Raises
    ------
    NoDataError
        If `dem` is smaller than 32 x 32 or has gaps.

    Notes
    -----
    Another number of torch threads may change the last bits.
    """
    scenes = [_make_scene(config, network, (seed, b), pixel_m, device, dem, dem_pixel_m) for b in range(config.scenes)]
    most = max(len(scene.movers) for scene in scenes)
    course = np.zeros((len(scenes), 1 + most, len(network.dates)), np.float32)
    for b, scene in enumerate(scenes):
        for k, row in enumerate(scene.courses, start=1):
            course[b, k] = row
    return Ground(
        pixel_m=pixel_m,
        radar=tuple(scene.radar for scene in scenes),
        look=tuple(scene.look for scene in scenes),
        slant_range_m=tuple(scene.slant_range_m for scene in scenes),
        course=torch.from_numpy(course).to(device),
        movers=tuple(scene.movers for scene in scenes),
        **{name: torch.stack([scene.planes[name] for scene in scenes]) for name in scenes[0].planes},
    )


def _make_scene(
    config: BatchConfig, network: Network, seed: tuple[int, int], pixel_m: float, device: torch.device,
    dem: NDArray[np.floating] | None, dem_pixel_m: float,
) -> _Scene:  # fmt: skip
    """Make one scene."""

    def stream(part: int) -> np.random.Generator:
        return np.random.default_rng([*seed, part])

    rows, columns = config.shape
    shape = Fields.plane_of(config.shape, max(_LEAST_MARGIN, max(config.shape) // 4))
    tile = ((shape[0] - rows) // 2, (shape[1] - columns) // 2, rows, columns)
    fields = Fields(shape, pixel_m, (*seed, _FIELDS), device)
    rng = stream(_LOOK)
    radar = bool(rng.uniform() < config.radar_share)
    look = draw_look(rng)
    slant = slant_range(look, rng.uniform(500e3, 700e3))
    rng = stream(_LAND)
    land = draw_land(fields, rng) if dem is None else cut_land(dem, dem_pixel_m, fields, rng)
    dates = np.asarray(network.years), network.dates[0].timetuple().tm_yday / DAYS_PER_YEAR
    canvas = Canvas.on(fields, frame_of(look, radar=radar), tile, dates, land, rng.uniform(100, 250))

    rng = stream(_WATER)
    if rng.uniform() < 0.6:
        add_rivers(canvas, rng)
    if rng.uniform() < 0.15:
        add_reservoir(canvas, rng)
    rng = stream(_HAZARDS)
    if rng.uniform() < 0.2:
        add_bowls(canvas, rng)
    add_slides(canvas, config, stream(_SLIDES))
    if rng.uniform() < 0.25:
        add_glaciers(canvas, rng)
    rng = stream(_COVER)
    if rng.uniform() < 0.4:
        add_towns(canvas, rng)
    forest = draw_forest(canvas, rng)
    planes = {
        "heights": canvas.heights, "forest": forest, "fixed_coherence": canvas.fixed_coherence,
        "snow_height": draw_snow_height(canvas, rng), "dem_error": draw_dem_error(canvas, forest, stream(_DEM)),
        "mover": canvas.mover, "velocity": canvas.velocity,
    }  # fmt: skip
    planes = _see(canvas, planes, stream(_RADAR), radar=radar)

    # Movers that lie wholly outside are left out.
    seen = torch.bincount(planes["mover"].flatten(), minlength=1 + len(canvas.movers)).cpu().numpy() > 0
    kept = [k for k in range(1, 1 + len(canvas.movers)) if seen[k]]
    number = np.zeros(1 + len(canvas.movers), np.int64)
    number[kept] = np.arange(1, 1 + len(kept))
    planes["mover"] = torch.from_numpy(number).to(device)[planes["mover"]]
    return _Scene(
        radar, look, slant, planes,
        tuple(canvas.movers[k - 1] for k in kept), tuple(canvas.courses[k - 1] for k in kept),
    )  # fmt: skip


def _see(canvas: Canvas, planes: dict[str, Tensor], rng: np.random.Generator, *, radar: bool) -> dict[str, Tensor]:
    """Cut the scene from its plane as the satellite sees it, and add where it is blind and the factor on coherence."""
    frame, heights = canvas.frame, canvas.heights
    row0, column0, rows, columns = canvas.tile
    layover, shadow = layover_and_shadow(heights, canvas.pixel_m, frame)
    incidence = math.radians(frame.incidence)
    # Slopes that face the radar pack more ground into each cell.
    local = (incidence - range_slope(heights, canvas.pixel_m, frame)).clamp(0, math.pi / 2)
    factor = (torch.sin(local) / math.sin(incidence)).clamp(_LEAST_FACTOR, 1) ** rng.uniform(0.3, 0.6)
    factor = torch.where(shadow, rng.uniform(0.02, 0.1), factor)
    planes = {**planes, "blind": layover | shadow, "slope_factor": factor}
    planes = {name: plane[row0 : row0 + rows] for name, plane in planes.items()}
    layover = layover[row0 : row0 + rows]
    if radar:
        level = float(heights.mean())
        fold = fold_range(planes["heights"], canvas.pixel_m, frame.incidence, level, far=bool(rng.uniform() < 0.8))
        velocity = fold.continuous(planes["velocity"], within=planes["mover"])
        planes = {n: fold.continuous(p) if n in _SMOOTH else fold.nearest(p) for n, p in planes.items()}
        layover = fold.crossings > 1
        planes |= {"velocity": velocity, "blind": planes["blind"] | layover}
    # What several grounds share is less coherent, and no height model is right for it.
    planes["slope_factor"] = torch.where(layover, rng.uniform(0.02, 0.5), planes["slope_factor"])
    planes["dem_error"] = planes["dem_error"] * torch.where(layover, rng.uniform(1, 3), 1.0)
    return {name: plane[:, column0 : column0 + columns].contiguous() for name, plane in planes.items()}
