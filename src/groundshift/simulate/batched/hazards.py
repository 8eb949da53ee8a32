"""What else moves: glaciers, subsidence and uplift, and the shores of reservoirs."""

import math

import numpy as np
import torch

from groundshift.simulate.batched.bodies import seen_motion
from groundshift.simulate.batched.canvas import Canvas
from groundshift.simulate.batched.courses import breathing_course, draw_course
from groundshift.simulate.batched.fields import level_of
from groundshift.simulate.batched.outlines import Site, draw_outline, trace_path
from groundshift.simulate.batched.types import Behaviour, Kind, Mover

__all__ = ["add_bowls", "add_glaciers", "add_reservoir"]

_WATER_COHERENCE = 0.02
_MOST_LAKE = 0.25
"""Share of the tile that a lake covers at most."""
_LEAST_RELIEF_M = 400.0
"""Land lower than this has no glaciers."""


def add_reservoir(canvas: Canvas, rng: np.random.Generator) -> None:
    """Dam the lowest ground of the tile to a lake, which lies level; most shores breathe with it.

    The ground rises and falls by up to 15 mm at the shore and less with the distance, over 200 to 600 m.
    """
    row0, column0, rows, columns = canvas.tile
    land = canvas.heights[row0 : row0 + rows, column0 : column0 + columns]
    lowest = int(land.argmin())
    level = float(land.min()) + rng.uniform(0.02, 0.2) * (level_of(land, 0.8) - float(land.min()))
    level = min(level, level_of(land, _MOST_LAKE))
    reach = rng.uniform(1500, 8000)
    valley = canvas.patch(row0 + lowest // columns, column0 + lowest % columns, reach)
    # Dams close the valleys where the lake would reach farther.
    far = torch.hypot(valley.y, valley.x) > reach * (1 + 0.1 * valley.cut(canvas.texture))
    lake = torch.zeros_like(canvas.water)
    valley.put(lake, (valley.cut(canvas.heights) < level) & ~far)
    canvas.heights = torch.where(lake, level, canvas.heights)
    canvas.water |= lake
    canvas.fixed_coherence[lake] = _WATER_COHERENCE
    if rng.uniform() < 0.25:
        return
    inland = rng.uniform(200, 600)
    (near,) = canvas.fields.blur(lake.float(), inland / 2)
    pattern = (2 * near).clamp(0, 1) ** rng.uniform(0.7, 2) * (1 + rng.uniform(0, 0.4) * canvas.texture).clamp(0.2, 2)
    shore = (pattern > 0.1) & ~canvas.water
    pattern = torch.where(shore, pattern, 0.0)
    peak = float(pattern.max())
    if peak == 0:
        return
    # The velocity is that of the fastest season of a wave of so many millimetres.
    velocity = 2 * math.pi * rng.uniform(0.5, 15) * canvas.frame.to_satellite[2]
    course = breathing_course(
        canvas.years, mean=rng.uniform(-0.05, 0.05), amplitude=1.0, peak=rng.uniform(), second=rng.uniform(0, 0.4)
    )
    mover = Mover(Kind.SHORE, "shore", "seasonal", velocity, 2 * inland, inland)
    canvas.add(canvas.whole(), shore, pattern * (velocity / peak), mover, course)


def add_glaciers(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let ice flow down from high ground, 50 mm to 3 m a year along the flow; land of little relief has none."""
    low, high = level_of(canvas.heights, 0.05), level_of(canvas.heights, 0.95)
    if high - low < _LEAST_RELIEF_M:
        return
    fall = torch.stack(canvas.fall).cpu().numpy()
    heights = canvas.heights.cpu().numpy()
    row0, column0, rows, columns = canvas.tile
    for _ in range(rng.integers(1, 6)):
        tries = rng.uniform((row0, column0), (row0 + rows, column0 + columns), (12, 2))
        ground = heights[tries[:, 0].astype(int), tries[:, 1].astype(int)]
        row, column = tries[ground.argmax()]
        length = math.exp(rng.uniform(math.log(400), math.log(6000)))
        path = trace_path(fall, row, column, length, canvas.pixel_m)
        if path is None:
            continue
        length = float(np.hypot(*np.diff(path, axis=0).T).sum()) * canvas.pixel_m
        width = max(min(length / rng.uniform(1.2, 6), 1200.0), 2 * canvas.pixel_m)
        site = Site(row, column, (1.0, 0.0), path)
        outline = draw_outline(canvas, site, length, width, rng)
        speed = math.exp(rng.uniform(math.log(50), math.log(3000))) * (1 - outline.rho.clamp_max(1) ** 3)
        speed = speed * (1 - rng.uniform(0, 0.8) * (outline.xi.clamp(-1, 1) + 1) / 2)
        inside = (outline.rho < 1) & ~outline.patch.cut(canvas.water)
        seen = torch.where(inside, seen_motion(canvas, outline, site, speed, rng), 0.0)
        velocity = float(seen.flatten()[seen.abs().argmax()])
        if velocity == 0:
            continue
        behaviour, course = draw_course(canvas.years, canvas.year_fraction, rng)
        mover = Mover(Kind.GLACIER, "flow", behaviour, velocity, length, width)
        canvas.add(outline.patch, inside, seen, mover, course)
        ice = (rng.uniform(0.05, 0.4) + 0.06 * outline.patch.cut(canvas.texture)).clamp(0.03, 0.5)
        outline.patch.put(canvas.fixed_coherence, torch.where(inside, ice, outline.patch.cut(canvas.fixed_coherence)))


def add_bowls(canvas: Canvas, rng: np.random.Generator) -> None:
    """Sink or lift the ground in distorted Gaussians, several of them next to each other as mines are.

    Notes
    -----
    Points also move sideways, towards the middle of what sinks, in proportion to the slope of the bowl and its radius,
    as in the stochastic theory of mining subsidence.
    """
    row0, column0, rows, columns = canvas.tile
    centre = np.array([row0 + rng.uniform(0, rows), column0 + rng.uniform(0, columns)])
    together = rng.uniform() < 0.5
    to_y, to_x, to_up = canvas.frame.to_satellite
    for _ in range(rng.integers(1, 5)):
        radius = math.exp(rng.uniform(math.log(120), math.log(2000)))
        if together:
            place = centre + rng.normal(0, 1.5 * radius / canvas.pixel_m, 2)
        else:
            place = np.array([row0, column0]) + rng.uniform(0, 1, 2) * (rows, columns)
        patch = canvas.patch(float(place[0]), float(place[1]), 1.7 * radius)
        turn, flat = rng.uniform(0, math.pi), rng.uniform(0.45, 1)
        along = (patch.y * math.cos(turn) + patch.x * math.sin(turn)) / radius
        across = (patch.x * math.cos(turn) - patch.y * math.sin(turn)) / (radius * flat)
        along, across = along + rng.normal(0, 0.25) * across.square(), across + rng.normal(0, 0.25) * along.square()
        rho = torch.hypot(along, across) * (1 + rng.uniform(0, 0.2) * patch.cut(canvas.texture)).clamp(0.5, 2)
        depth = torch.exp(-rng.uniform(2, 4) * rho.square()) * (1 - rho.clamp_max(1) ** 6)
        size = -math.exp(rng.uniform(math.log(10), math.log(400)))
        if rng.uniform() < 0.15:
            size = -size / 5
        slope_y, slope_x = torch.gradient(depth, spacing=canvas.pixel_m)
        sideways = rng.uniform(0, 0.4) * radius
        inside = (rho < 1) & ~patch.cut(canvas.water)
        seen = size * (depth * to_up - sideways * (slope_y * to_y + slope_x * to_x))
        seen = torch.where(inside, seen, 0.0)
        velocity = float(seen.flatten()[seen.abs().argmax()])
        if velocity == 0:
            continue
        behaviour: Behaviour = "steady"
        course = canvas.years.copy()
        if rng.uniform() < 0.4:
            behaviour, course = draw_course(canvas.years, canvas.year_fraction, rng)
        canvas.add(
            patch,
            inside,
            seen,
            Mover(Kind.BOWL, "gaussian", behaviour, velocity, 2 * radius, 2 * radius * flat),
            course,
        )
