"""What lies on the land: rivers, towns, woods, fields and snow."""

import math

import numpy as np
import torch
from torch import Tensor

from groundshift.simulate.batched.canvas import Canvas
from groundshift.simulate.batched.fields import level_of, scored

__all__ = ["add_rivers", "add_towns", "draw_forest", "draw_snow_height"]

_WATER_COHERENCE = 0.02
_LEVEL = math.tan(math.radians(10))
"""Ground less steep is built on and tilled."""


def add_rivers(canvas: Canvas, rng: np.random.Generator) -> None:
    """Let rivers run along the lower valleys, at least half a pixel to each side."""
    half = max(math.exp(rng.uniform(math.log(15), math.log(160))), 0.5 * canvas.pixel_m)
    (around,) = canvas.fields.blur(canvas.heights, 1000)
    river = (canvas.river_m < half) & (around < level_of(around, rng.uniform(0.3, 1)))
    canvas.water |= river
    canvas.fixed_coherence[river] = _WATER_COHERENCE


def add_towns(canvas: Canvas, rng: np.random.Generator) -> None:
    """Build on patches of level ground; what stands there stays coherent."""
    place = canvas.fields.smooth(rng.uniform(60, 400))
    built = place > level_of(place, 1 - math.exp(rng.uniform(math.log(0.005), math.log(0.12))))
    built &= (torch.hypot(*canvas.fall) < _LEVEL) & ~canvas.water & canvas.fixed_coherence.isnan()
    lasting = (rng.uniform(0.8, 0.97) + 0.03 * canvas.texture).clamp(0.75, 0.98)
    canvas.fixed_coherence = torch.where(built, lasting, canvas.fixed_coherence)


def draw_forest(canvas: Canvas, rng: np.random.Generator) -> Tensor:
    """Draw how much of the ground is wooded, 0 to 1.

    Woods have clearings of any size and sharper or softer edges; most thin out with height, some stand on slopes rather
    than on level ground. Fields, if there are any, lie on level ground as a patchwork of plots that are as green as
    woods or less.
    """
    pixel = canvas.pixel_m
    texture = canvas.fields.fractal(rng.uniform(2.4, 3.6), outer_m=rng.uniform(800, 6000))
    steep = torch.hypot(*canvas.fall)
    wooded = texture - rng.uniform(-0.5, 1.5) * scored(canvas.heights, 1)
    wooded = wooded + rng.uniform(-0.3, 1) * scored(steep, 0.01)
    threshold = level_of(wooded, 1 - rng.uniform(0, 0.95))
    forest = torch.sigmoid(rng.uniform(1.5, 12) * (wooded - threshold))
    if rng.uniform() < 0.25:
        turn, size = rng.uniform(0, math.pi), rng.uniform(80, 500)
        whole = canvas.whole()
        warp = rng.uniform(0, 0.6) * canvas.texture
        along = (whole.y * math.cos(turn) + whole.x * math.sin(turn)) / size + warp
        across = (whole.x * math.cos(turn) - whole.y * math.sin(turn)) / (size * rng.uniform(0.3, 1)) + warp.flip(0)
        green = torch.from_numpy(rng.uniform(0, 1, 4096).astype(np.float32) ** 2).to(forest.device)
        plot = green[(along.floor().long() * 61 + across.floor().long() * 1009) % 4096]
        forest = torch.where((steep < _LEVEL) & (canvas.river_m > pixel), plot, forest)
    return forest


def draw_snow_height(canvas: Canvas, rng: np.random.Generator) -> Tensor:
    """Draw the height that counts for snow, metres: more where snow lasts; minus infinity where it never snows.

    Snow lasts on slopes that face away from the sun, and is blown from ridges into hollows or the other way.
    """
    if rng.uniform() < 0.35:
        return torch.full_like(canvas.heights, -math.inf)
    to_y, to_x = canvas.frame.north
    # The ground falls towards north where it faces north; in one of seven scenes the sun stands in the north.
    north = canvas.fall[0] * to_y + canvas.fall[1] * to_x
    shaded = -north if rng.uniform() < 6 / 7 else north
    patches = canvas.fields.fractal(rng.uniform(2.5, 3.5), outer_m=3000)
    (around,) = canvas.fields.blur(canvas.heights, rng.uniform(80, 300))
    blown = rng.uniform(-2, 3) * (canvas.heights - around)
    return canvas.heights + rng.uniform(100, 600) * shaded + rng.uniform(20, 150) * patches + blown
