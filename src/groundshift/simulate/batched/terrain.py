"""Land to put slides on: mountains in several styles, hills, plains, escarpments, or cut from a real height model.

All land repeats at its borders, like the plane it is drawn on.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundshift.errors import NoDataError
from groundshift.simulate.batched.fields import Fields, gradient, level_of

__all__ = ["Land", "Style", "cut_land", "draw_land"]

Style = Literal["valleys", "ridges", "hills", "front", "plain", "scarp"]

_SHARES: dict[Style, float] = {
    "valleys": 0.34, "ridges": 0.24, "hills": 0.14, "front": 0.14, "plain": 0.05, "scarp": 0.09,
}  # fmt: skip
_STEEPEST: dict[Style, tuple[float, float]] = {
    "valleys": (20, 54), "ridges": (20, 54), "hills": (12, 35), "front": (18, 48), "plain": (4, 14), "scarp": (18, 50),
}  # fmt: skip
"""Degrees that 97 % of the ground stay below, before rivers and gullies are cut."""
_STEEPEST_SHARE = 0.97


class Land(NamedTuple):
    """Heights, and where its rivers would run."""

    heights: Tensor
    """(y, x) metres."""
    river_m: Tensor
    """(y, x) distance in metres from the line of a valley, roughly."""


def draw_land(fields: Fields, rng: np.random.Generator, style: Style | None = None) -> Land:
    """Draw land in one of six styles.

    Parameters
    ----------
    fields : Fields
        The plane to fill.
    rng : numpy Generator
        Source of randomness.
    style : str, optional
        One of those below; drawn by default.

    Notes
    -----
    valleys: the absolute value of a smooth field, whose zero lines are valleys that join, with tributaries and rough
    ridges. ridges: a ridged multifractal (Ebert et al. 2003): octaves of (1 - |noise|)^2, each weighted by the one
    before. hills: a smooth power law. front: mountains that end at a plain. plain: gentle ground. scarp: terraces with
    steep edges. Rivers cut their own valleys into half of the land that is not made of valleys.

    Parts are weighed by the slope that they make, not by height: mountains are as high as their steepness and the
    distance of their valleys ask for.
    """
    if style is None:
        style = _draw_style(rng)
    pixel = fields.pixel_m
    spacing = 1500 + 6500 * rng.uniform() ** 1.2
    grain = {"stretch": float(rng.uniform(1, 2.5)), "azimuth": float(rng.uniform(0, math.pi))}
    # Smoothed white noise of this scale crosses zero once in a valley spacing, measured across its grain.
    scale = spacing / (math.pi * math.sqrt(2)) * math.sqrt(grain["stretch"])
    valley = fields.smooth(scale, **grain)
    river_m = valley.abs() / torch.hypot(*gradient(valley, pixel)).clamp_min(1e-9)
    if style in ("hills", "plain"):
        relief = fields.fractal(
            rng.uniform(3.6, 5), outer_m=spacing * rng.uniform(0.7, 2), inner_m=rng.uniform(40, 150), **grain
        )
    else:
        detail = fields.fractal(
            rng.uniform(3.2, 4.2), outer_m=spacing / rng.uniform(1.2, 4), inner_m=rng.uniform(15, 60), **grain
        )
        detail = _by_slope(detail, pixel)
        if style == "ridges":
            relief = _by_slope(_ridged(fields, rng, scale, grain), pixel) + rng.uniform(0, 0.3) * detail
        elif style == "scarp":
            edge = valley + rng.uniform(0, 40) / spacing * detail - rng.uniform(-0.8, 0.8)
            relief = _by_slope(torch.tanh(rng.uniform(3, 15) * edge), pixel) + rng.uniform(0, 0.15) * detail
            relief = relief + rng.uniform(0, 0.3) * _by_slope(fields.smooth(scale), pixel)
        else:
            relief, rough = _flanks(valley, spacing, fields, rng)
            side, _ = _flanks(fields.smooth(scale / rng.uniform(1.8, 3), **grain), spacing / 2, fields, rng)
            relief = relief + rough * (rng.uniform(0.1, 0.5) * side + rng.uniform(0.1, 0.6) * detail)
        if style == "front":
            edge = fields.smooth(1.5 * scale) + rng.uniform(-0.7, 0.7)
            relief = relief * torch.sigmoid(rng.uniform(3, 10) * edge) + 0.03 * detail
    if style in ("ridges", "valleys", "hills") and rng.uniform() < 0.7:
        # Ranges are higher than the valleys between their ridges.
        relief = _by_slope(relief, pixel)
        relief = relief + rng.uniform(0.1, 0.6) * _by_slope(fields.smooth(rng.uniform(1500, 4000)), pixel)
    relief = relief * _steepness(relief, pixel, rng.uniform(*_STEEPEST[style]))
    if style not in ("valleys", "front") and rng.uniform() < 0.5:
        (around,) = fields.blur(relief, spacing / 4)
        bank = math.tan(math.radians(rng.uniform(8, 38))) * (river_m - rng.uniform(20, 300)).clamp_min(0)
        relief = torch.minimum(relief, around - rng.uniform(0, 0.06) * spacing + bank)
    relief = _gullied(relief, fields, rng)
    return Land(relief - relief.min() + rng.uniform(0, 3500) * rng.uniform(), river_m)


def cut_land(dem: NDArray[np.floating], dem_pixel_m: float, fields: Fields, rng: np.random.Generator) -> Land:
    """Cut land from a real height model: anywhere, turned by any angle, mirrored, stretched by up to a quarter.

    Parameters
    ----------
    dem : (y, x) array
        Heights in metres, without gaps.
    dem_pixel_m : float
        Its pixel in metres.
    fields : Fields
        The plane to fill; beyond the model's border the land is mirrored.
    rng : numpy Generator
        Source of randomness.

    Raises
    ------
    NoDataError
        If the model is smaller than 32 x 32 or has gaps.
    """
    if dem.ndim != 2 or min(dem.shape) < 32:
        raise NoDataError(f"dem must be at least 32 x 32 heights, instead got {dem.shape}; give a larger one")
    if not np.isfinite(dem).all():
        raise NoDataError("dem has gaps; fill them before it is given")
    blend = min(fields.shape) // 8
    rows, columns = (n + blend for n in fields.shape)
    step = fields.pixel_m / dem_pixel_m * math.exp(rng.uniform(-0.22, 0.22))
    turn, mirror = rng.uniform(0, 2 * math.pi), rng.choice((-1.0, 1.0))
    y0, x0 = rng.uniform(0, dem.shape[0]), rng.uniform(0, dem.shape[1])
    y = (torch.arange(rows, device=fields.device)[:, None] - rows / 2) * step
    x = (torch.arange(columns, device=fields.device)[None, :] - columns / 2) * (step * mirror)
    along_y = y0 + y * math.cos(turn) + x * math.sin(turn)
    along_x = x0 + x * math.cos(turn) - y * math.sin(turn)
    place = torch.stack([2 * along_x / (dem.shape[1] - 1) - 1, 2 * along_y / (dem.shape[0] - 1) - 1], -1).float()
    model = torch.from_numpy(np.ascontiguousarray(dem, np.float32)).to(fields.device)
    base = float(model.mean())
    heights = torch.nn.functional.grid_sample(
        (model - base)[None, None], place[None], padding_mode="reflection", align_corners=True
    )[0, 0]
    # Fade the ends into each other: the land repeats without a step.
    for axis, size in enumerate(fields.shape):
        shape = (-1, 1) if axis == 0 else (1, -1)
        weight = torch.linspace(0, 1, blend, device=fields.device).reshape(shape)
        start, end = heights.narrow(axis, 0, blend), heights.narrow(axis, size, blend)
        heights = torch.cat([start * weight + end * (1 - weight), heights.narrow(axis, blend, size - blend)], axis)
    heights = heights * math.exp(rng.uniform(-0.2, 0.2))
    # Valleys lie low among their surroundings, and level.
    near, around = fields.blur(heights, 60, 500)
    low = around - near
    along_y, along_x = gradient(near, fields.pixel_m)
    river_m = ((level_of(low, 0.95) - low) * 10 + 300 * torch.hypot(along_y, along_x)).clamp_min(0)
    return Land(heights + base, river_m)


def _draw_style(rng: np.random.Generator) -> Style:
    """Draw a style by its share."""
    styles = list(_SHARES)
    return styles[int(rng.choice(len(styles), p=list(_SHARES.values())))]


def _ridged(fields: Fields, rng: np.random.Generator, scale: float, grain: dict[str, float]) -> Tensor:
    """Draw a ridged multifractal of four octaves."""
    weight: Tensor | float = 1.0
    total: Tensor | float = 0.0
    height, fade = 1.0, rng.uniform(0.4, 0.6)
    for octave in range(4):
        signal = (1 - fields.smooth(scale / 2**octave, **grain).abs() / 2).clamp_min(0).square() * weight
        total = total + height * signal
        weight = (2 * signal).clamp(0, 1)
        height *= fade
    assert isinstance(total, Tensor)
    return total


def _flanks(valley: Tensor, spacing: float, fields: Fields, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Raise flanks from the zero lines of a field, made more alike in slope; also return their roughness, 0 to 1."""
    along_y, along_x = gradient(valley, fields.pixel_m)
    (steep,) = fields.blur(along_y.square() + along_x.square(), spacing / 6)
    above = torch.sqrt(valley.square() + rng.uniform(0.02, 0.2) ** 2)
    relief = above / steep.clamp_min(1e-20) ** (rng.uniform(0, 0.8) / 2)
    return _by_slope(relief, fields.pixel_m), above.clamp_max(1)


def _by_slope(field: Tensor, pixel_m: float) -> Tensor:
    """Scale a field to slopes of 1 in the mean square."""
    along_y, along_x = gradient(field, pixel_m)
    return field / (along_y.square() + along_x.square()).mean().sqrt().clamp_min(1e-20)


def _steepness(relief: Tensor, pixel_m: float, degrees: float) -> float:
    """Return what a relief must be multiplied by so that 97 % of it stay below a slope."""
    steep = level_of(torch.hypot(*gradient(relief, pixel_m)), _STEEPEST_SHARE)
    return math.tan(math.radians(degrees)) / max(steep, 1e-12)


def _gullied(relief: Tensor, fields: Fields, rng: np.random.Generator) -> Tensor:
    """Cut gullies some metres deep into slopes, in half of the scenes."""
    if rng.uniform() < 0.5:
        return relief
    lines = fields.smooth(rng.uniform(80, 250)).abs()
    slope = torch.hypot(*gradient(relief, fields.pixel_m))
    return relief - rng.uniform(3, 40) * (1 - lines / 0.5).clamp_min(0) * slope.clamp_max(1)
