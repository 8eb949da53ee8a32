"""Slides on the plane of a scene: where they lie, how their speed is spread, and what of it the satellite sees.

A point of a slide moves along a vector in three dimensions: down the slope that it lies on, steeper at the head and
less steep or upwards at the toe where the slip surface is curved, and vertically where the body is stretched or
shortened. Its product with the line of sight makes size and sign.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.simulate.batched.canvas import Canvas
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.courses import draw_course
from groundshift.simulate.batched.fields import level_of
from groundshift.simulate.batched.outlines import Outline, Site, draw_outline, trace_path
from groundshift.simulate.batched.types import Kind, Mover

__all__ = ["add_slides", "seen_motion"]

_PROFILES = ("plug", "dome", "gaussian", "earthflow", "rotational", "compound", "head-loaded", "toe-loaded")
_SHARES = (0.25, 0.14, 0.09, 0.14, 0.14, 0.12, 0.06, 0.06)
_SITE_SLOPE = (6.0, 12.0, 32.0, 42.0)
"""Slopes in degrees: none below the first and above the last, all between the middle ones."""
_TRIES = 60
_LEVEL = math.tan(math.radians(2))
_LEAST_SEEN = 0.12
"""Share of the motion in the line of sight below which the lie of the ground under each point does not matter."""
_CLIMB = math.tan(math.radians(4))
"""A slide ends where the land rises so steeply ahead of it: it does not climb the other side of a valley."""


def add_slides(canvas: Canvas, config: BatchConfig, rng: np.random.Generator) -> None:
    """Draw the slides of a scene and add them; their number follows the area of the tile.

    One in eight is a flow that bends with the land; where the land is high, such flows are rock glaciers. Some lie side
    by side, and some reach over the border of the tile.
    """
    if rng.uniform() < config.quiet_share or config.slides[1] == 0:
        return
    pixel = canvas.pixel_m
    median = rng.uniform(300, 900)
    rows, columns = canvas.tile[2:]
    area = rows * columns * pixel**2 / 1e8
    density = math.exp(rng.uniform(*np.log(np.maximum(config.slides, 0.5))))
    count = int(density * area + rng.uniform())
    any_sign = rng.uniform() < 0.15
    touching = rng.uniform(0.1, 0.2)
    fall = torch.stack(canvas.fall).cpu().numpy()
    water = canvas.water.cpu().numpy()
    high = level_of(canvas.heights, 0.75)
    last: tuple[Site, float] | None = None
    for _ in range(count):
        length = float(np.clip(median * math.exp(rng.normal(0, 0.55)), *config.length_m))
        width = max(length / math.exp(rng.uniform(0, math.log(4))), 1.5 * pixel)
        profile = str(rng.choice(_PROFILES, p=_SHARES))
        if last is not None and last[0].path is None and rng.uniform() < touching:
            site = _beside(last[0], (last[1] + width) / 2 / pixel)
        else:
            site = _draw_site(canvas, fall, water, length, rng)
        if rng.uniform() < 0.12:
            path = trace_path(fall, site.row, site.column, length, pixel)
            if path is not None:
                site = site._replace(path=path)
                length *= (len(path) - 1) / max(3, round(length / 80.0))
                width = max(length / math.exp(rng.uniform(math.log(2), math.log(6))), 1.5 * pixel)
                ground = canvas.heights[round(site.row) % fall.shape[1], round(site.column) % fall.shape[2]]
                profile = "rock glacier" if float(ground) > high else "earthflow"
        last = site, width
        _add_slide(canvas, site, (length, width), profile, config, rng, any_sign=any_sign)


def _beside(site: Site, distance: float) -> Site:
    """Return a place next to another, across its long axis."""
    down_y, down_x = site.along
    return Site(site.row + 0.9 * distance * down_x, site.column - 0.9 * distance * down_y, site.along)


def _draw_site(
    canvas: Canvas, fall: NDArray[np.float32], water: NDArray[np.bool_], length: float, rng: np.random.Generator
) -> Site:
    """Draw a place of fitting slope in the tile or up to half a length outside; of any slope for one in twelve."""
    anywhere = rng.uniform() < 0.08
    row0, column0, rows, columns = canvas.tile
    reach = 0.5 * length / canvas.pixel_m
    for _ in range(_TRIES):
        row = row0 + rng.uniform(-reach, rows + reach)
        column = column0 + rng.uniform(-reach, columns + reach)
        place = round(row) % fall.shape[1], round(column) % fall.shape[2]
        up_y, up_x = fall[:, place[0], place[1]]
        fit = np.interp(math.degrees(math.atan(math.hypot(up_y, up_x))), _SITE_SLOPE, (0, 1, 1, 0))
        if (anywhere or rng.uniform() < fit) and not water[place]:
            break
    azimuth = math.atan2(-up_x, -up_y) + math.radians(rng.uniform(-20, 20))
    return Site(row, column, (math.cos(azimuth), math.sin(azimuth)))


def _add_slide(
    canvas: Canvas, site: Site, size_m: tuple[float, float], profile: str, config: BatchConfig,
    rng: np.random.Generator, *, any_sign: bool,
) -> None:  # fmt: skip
    """Draw one slide at a site and add it."""
    outline = draw_outline(canvas, site, *size_m, rng)
    patch = outline.patch
    inside = outline.rho < 1
    if site.path is None and rng.uniform() < 0.85:
        up_y, up_x = (patch.cut(part) for part in canvas.fall)
        downhill = inside & (up_y * site.along[0] + up_x * site.along[1] < _CLIMB)
        if 2 * int(downhill.sum()) > int(inside.sum()):
            inside = downhill
    speed = _draw_speed(profile, outline, rng)
    smooth = speed
    if rng.uniform() < 0.5:
        speed = speed * (1 + rng.uniform(0.05, 0.35) * patch.cut(canvas.texture)).clamp_min(0.05)
    toward = seen_motion(canvas, outline, site, speed, rng, rotational=profile == "rotational")
    if rng.uniform() < 0.35:
        toward = toward + _bulging(canvas, outline, site, smooth, size_m[0], rng)
    inside &= ~patch.cut(canvas.water)
    seen = torch.where(inside, toward, 0.0)
    peak = float(seen.flatten()[seen.abs().argmax()])
    if peak == 0:
        return
    velocity = math.copysign(math.exp(rng.uniform(*np.log(config.velocity_mm_yr))), peak)
    if any_sign:
        velocity *= float(rng.choice((-1.0, 1.0)))
    behaviour, course = draw_course(canvas.years, canvas.year_fraction, rng)
    canvas.add(
        patch, inside, seen * (velocity / peak), Mover(Kind.SLIDE, profile, behaviour, velocity, *size_m), course
    )


def _draw_speed(profile: str, outline: Outline, rng: np.random.Generator) -> Tensor:
    """Draw how speed is spread over a slide: zero on the outline."""
    xi, eta, rho = outline.xi.clamp(-1.2, 1.2), outline.eta, outline.rho.clamp_max(1)
    if profile == "plug":
        return 1 - rho ** rng.uniform(2, 12)
    if profile == "dome":
        return (1 - rho.square()) ** rng.uniform(0.8, 2)
    if profile == "gaussian":
        return torch.exp(-rng.uniform(2.5, 5) * rho.square()) * (1 - rho**8)
    if profile in ("earthflow", "rock glacier"):
        # The shape of a viscoplastic flow across, and faster towards the head or, seldom, the toe.
        return (1 - rho ** rng.uniform(2, 5)) * (1 - rng.uniform(-0.3, 0.7) * (xi + 1).clamp(0, 2) / 2)
    if profile == "rotational":
        return 1 - rho ** rng.uniform(3, 8)
    if profile in ("head-loaded", "toe-loaded"):
        side = -1.0 if profile == "head-loaded" else 1.0
        away = (xi - side * rng.uniform(0.3, 0.7)) / rng.uniform(0.4, 0.9)
        return (1 - rho ** rng.uniform(3, 8)) * (rng.uniform(0.05, 0.3) + torch.exp(-away.square()))
    # One slow body that holds one to three faster ones.
    speed = rng.uniform(0.15, 0.6) * (1 - rho ** rng.uniform(4, 10))
    for _ in range(rng.integers(1, 4)):
        along, across, size = rng.uniform(-0.55, 0.55), rng.uniform(-0.4, 0.4), rng.uniform(0.25, 0.55)
        unit = (torch.hypot(xi - along, (eta - across) * rng.uniform(0.7, 1.4)) / size).clamp_max(1)
        speed = speed + rng.uniform(0.3, 1) * (1 - unit ** rng.uniform(2, 8)) * (1 - rho**8)
    return speed


def seen_motion(
    canvas: Canvas, outline: Outline, site: Site, speed: Tensor, rng: np.random.Generator, *, rotational: bool = False
) -> Tensor:
    """Project a motion down the slope on the line of sight, positive towards the satellite, in the unit of `speed`.

    The body as a whole gives direction and slope, and the ground under each point bends them, unless the satellite
    hardly sees the body as a whole; the direction is turned by up to 10 degrees. A rotational slide moves along a
    circular slip surface: half of its opening angle steeper than the slope at the head, and as much less steep, or
    upwards, at the toe. On level ground motion follows the long axis.
    """
    up_y, up_x = (outline.patch.cut(part) for part in canvas.fall)
    inside = (outline.rho < 1).float()
    total = inside.sum().clamp_min(1)
    mean_y, mean_x = (float((part * inside).sum() / total) for part in (up_y, up_x))
    turn = math.radians(rng.uniform(-10, 10))
    to_y, to_x, to_up = canvas.frame.to_satellite
    # Turning the motion one way is turning the line of sight the other way.
    to_y, to_x = to_y * math.cos(turn) + to_x * math.sin(turn), to_x * math.cos(turn) - to_y * math.sin(turn)
    slope = math.hypot(mean_y, mean_x)
    whole = -(mean_y * to_y + mean_x * to_x + slope**2 * to_up) / max(slope, 1e-6) / math.hypot(1, slope)
    share = rng.uniform(0, 0.8) if site.path is None else 1.0
    if abs(whole) < _LEAST_SEEN:
        share = 0.0
    up_y, up_x = mean_y + share * (up_y - mean_y), mean_x + share * (up_x - mean_x)
    steep = torch.hypot(up_y, up_x)
    if slope < _LEVEL:
        down_y, down_x = (torch.full_like(steep, part) for part in site.along)
    else:
        down_y, down_x = -up_y / steep.clamp_min(1e-6), -up_x / steep.clamp_min(1e-6)
    dip = torch.atan(steep)
    if rotational:
        dip = dip - math.radians(rng.uniform(15, 50)) * outline.xi.clamp(-1, 1)
    return speed * (torch.cos(dip) * (down_y * to_y + down_x * to_x) - torch.sin(dip) * to_up)


def _bulging(
    canvas: Canvas, outline: Outline, site: Site, speed: Tensor, length_m: float, rng: np.random.Generator
) -> Tensor:
    """Return the vertical motion seen where mass is kept: -f d(thickness * speed) / d(way), with f 0.7 to 0.9."""
    thickness = length_m * rng.uniform(0.02, 0.1) * (1 - outline.rho.clamp_max(1).square())
    change_y, change_x = torch.gradient(thickness * speed, spacing=canvas.pixel_m)
    along = change_y * site.along[0] + change_x * site.along[1]
    return -rng.uniform(0.7, 0.9) * canvas.frame.to_satellite[2] * along
