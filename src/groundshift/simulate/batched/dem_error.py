"""Errors of height models: noise that grows with slope, rounded ridges, shifts, trees, and faults of production."""

import math

import numpy as np
import torch
from torch import Tensor

from groundshift.simulate.batched.canvas import Canvas
from groundshift.simulate.batched.fields import gradient, level_of

__all__ = ["draw_dem_error"]

_LARGEST_M = 150.0


def draw_dem_error(canvas: Canvas, forest: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw the true height minus that of the model, in metres, at most 150 either way.

    Parameters
    ----------
    canvas : Canvas
        Whose heights are those of the model.
    forest : (y, x) tensor
        How wooded the ground is, 0 to 1.
    rng : numpy Generator
        Source of randomness.

    Notes
    -----
    Noise of 1 to 12 m on a slope of 45 degrees, alike over 40 to 250 m, less on level ground. What the model has
    smoothed away is missing on ridges and too much in gullies. A model that is shifted by some metres errs with the
    slope. Trees lift the surface. Seldom there are stripes, seams between blocks, or filled gaps.
    """
    fields, pixel = canvas.fields, canvas.pixel_m
    slope_y, slope_x = gradient(canvas.heights, pixel)
    slope = torch.hypot(slope_y, slope_x)
    # A Gaussian blur of this deviation correlates over about twice its size.
    noise = fields.smooth(rng.uniform(40, 250) / 2)
    size = math.exp(rng.uniform(0, math.log(12)))
    share = rng.uniform(0.1, 0.7)
    error = noise * (size * (share + (1 - share) * slope))
    (around,) = fields.blur(canvas.heights, rng.uniform(50, 180))
    error += (rng.uniform(-0.1, 0.5) * (canvas.heights - around)).clamp(-60, 60)
    shift = rng.normal(0, rng.uniform(0, 8), 2)
    error += float(shift[0]) * slope_y + float(shift[1]) * slope_x
    if rng.uniform() < 0.4:
        error += rng.uniform(-4, 10) * forest
    fault = rng.uniform()
    if fault < 0.08:
        error += _stripes(canvas, rng)
    elif fault < 0.16:
        error += _blocks(canvas, rng)
    elif fault < 0.28:
        gaps = fields.smooth(rng.uniform(100, 500)) + 2 * slope
        error += rng.normal(0, 30) * (gaps - level_of(gaps, rng.uniform(0.95, 0.995))).clamp_min(0)
    return error.clamp(-_LARGEST_M, _LARGEST_M)


def _stripes(canvas: Canvas, rng: np.random.Generator) -> Tensor:
    """Return waves across the whole model, as an instrument leaves them."""
    whole = canvas.whole()
    turn, length = rng.uniform(0, math.pi), rng.uniform(150, 2500)
    angle = (whole.y * math.cos(turn) + whole.x * math.sin(turn)) * (2 * math.pi / length)
    return rng.uniform(0.5, 4) * torch.sin(angle + rng.uniform(0, 1) * canvas.texture)


def _blocks(canvas: Canvas, rng: np.random.Generator) -> Tensor:
    """Return steps between square blocks that were made one by one."""
    size = rng.uniform(300, 3000) / canvas.pixel_m
    steps = rng.normal(0, rng.uniform(0.5, 5), (64, 64)).astype(np.float32)
    rows, columns = (
        torch.arange(n, device=canvas.fields.device).add(rng.uniform(0, size)).div(size).long() % 64
        for n in canvas.fields.shape
    )
    return torch.from_numpy(steps).to(rows.device)[rows[:, None], columns]
