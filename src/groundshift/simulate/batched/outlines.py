"""Outlines of slides and glaciers: coordinates along and across a body, and how far out a point lies in it.

A body follows a straight axis down the slope, or a path that runs down the land like a flow. In its own coordinates it
reaches from -1 (head) to 1 (toe) and from -1 to 1 across; `rho` is 0 in the middle and 1 on the outline.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.simulate.batched.canvas import Canvas, Patch

__all__ = ["Outline", "Site", "draw_outline", "trace_path"]

_EDGES = 256
"""Points around an outline."""
_STEP_M = 80.0
"""Length of a piece of a path."""
_MOMENTUM = 0.6
"""Share of its direction that a flow keeps from one piece to the next."""
_FLATTEST = math.tan(math.radians(1.5))


class Site(NamedTuple):
    """Where a body lies: centre in pixels and direction of its long axis as a unit vector (y, x)."""

    row: float
    column: float
    along: tuple[float, float]
    path: NDArray[np.float64] | None = None
    """(point, 2) rows and columns from head to toe of a body that bends with the land; None where it is straight."""


class Outline(NamedTuple):
    """A body on a patch, in its own coordinates."""

    patch: Patch
    xi: Tensor
    eta: Tensor
    rho: Tensor


def trace_path(
    fall: NDArray[np.float32], row: float, column: float, length_m: float, pixel_m: float
) -> NDArray[np.float64] | None:
    """Follow the land down from a place.

    Parameters
    ----------
    fall : (2, y, x) array
        Rise per metre along y and x of a smooth, periodic land.
    row, column : float
        Where to start, in pixels.
    length_m : float
        How far to go at most; the path ends earlier where the land is flat or turns up.
    pixel_m : float
        Pixel in metres.

    Returns
    -------
    (point, 2) array or None
        Rows and columns, not wrapped at the borders; None where less than two pieces run down.
    """
    pieces = max(3, round(length_m / _STEP_M))
    step = length_m / pieces / pixel_m
    points = [np.array([row, column])]
    heading = np.zeros(2)
    for _ in range(pieces):
        y, x = points[-1]
        up = fall[:, round(y) % fall.shape[1], round(x) % fall.shape[2]].astype(np.float64)
        steep = math.hypot(*up)
        if steep < _FLATTEST:
            break
        heading = _MOMENTUM * heading - (1 - _MOMENTUM) * up / steep
        size = math.hypot(*heading)
        if size < 0.2 * (1 - _MOMENTUM) or heading @ up > 0:
            break
        points.append(points[-1] + heading * (step / size))
    return np.array(points) if len(points) > 2 else None


def draw_outline(canvas: Canvas, site: Site, length_m: float, width_m: float, rng: np.random.Generator) -> Outline:
    """Draw an outline at a site: a superellipse, bent and tapered, with waves around it and often a ragged edge."""
    if site.path is None:
        patch = canvas.patch(site.row, site.column, 0.75 * math.hypot(length_m, width_m) + canvas.pixel_m)
        down_y, down_x = site.along
        xi = (patch.y * down_y + patch.x * down_x) / (length_m / 2)
        eta = (patch.x * down_y - patch.y * down_x) / (width_m / 2)
        # Long ones bend.
        eta = eta - rng.normal(0, 0.25) * (length_m / width_m / 2) * (xi.square() - 0.4)
    else:
        middle = (site.path.min(0) + site.path.max(0)) / 2
        reach = float(np.ptp(site.path, axis=0).max()) / 2 * canvas.pixel_m
        patch = canvas.patch(middle[0], middle[1], reach + width_m + canvas.pixel_m)
        xi, eta = _follow(patch, (site.path - middle) * canvas.pixel_m)
        eta = eta / (width_m / 2)
    # Heads are often narrow and toes wide.
    eta = eta / (1 + rng.uniform(-0.25, 0.5) * xi.clamp(-1, 1) + rng.uniform(-0.15, 0.15) * torch.cos(math.pi * xi))
    power = rng.uniform(1.7, 3.2)
    plain = (xi.abs() ** power + eta.abs() ** power) ** (1 / power)
    order = np.arange(2, 13)
    size = rng.uniform(0.03, 0.3) * order ** -rng.uniform(0.8, 1.8)
    angle = np.linspace(-math.pi, math.pi, _EDGES, endpoint=False)[:, None]
    edge = 1 + (size * rng.normal(0, 1, len(order)) * np.cos(order * angle + rng.uniform(0, 2 * math.pi, 11))).sum(1)
    table = torch.from_numpy(np.clip(edge, 0.45, 1.4).astype(np.float32)).to(xi.device)
    rho = plain / table[((torch.atan2(eta, xi) + math.pi) * (_EDGES / (2 * math.pi))).long() % _EDGES]
    if rng.uniform() < 0.35:
        rho = rho * (1 + rng.uniform(0.03, 0.18) * patch.cut(canvas.texture)).clamp(0.6, 1.6)
    return Outline(patch, xi, eta, rho)


def _follow(patch: Patch, path: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Return the place along a path, -1 to 1, and the distance to its left in metres, of each point of a patch."""
    device = patch.x.device
    shape = (patch.y.shape[0], patch.x.shape[1])
    y, x = patch.y.expand(shape), patch.x.expand(shape)
    nearest = torch.full(shape, math.inf, device=device)
    along, across = torch.zeros_like(nearest), torch.zeros_like(nearest)
    pieces = len(path) - 1
    for k, (start, way) in enumerate(zip(path[:-1], np.diff(path, axis=0), strict=True)):
        length = float(math.hypot(*way))
        uy, ux = (float(part) / length for part in way)
        dy, dx = y - float(start[0]), x - float(start[1])
        on = (dy * uy + dx * ux).clamp(0, length)
        square = (dy - on * uy).square() + (dx - on * ux).square()
        closer = square < nearest
        nearest = torch.where(closer, square, nearest)
        along = torch.where(closer, (k + on / length) * (2 / pieces) - 1, along)
        across = torch.where(closer, dx * uy - dy * ux, across)
    return along, nearest.sqrt() * torch.where(across < 0, -1.0, 1.0)
