"""Masks of snow and terrain, and their combination; True means usable."""

from groundshift.masks.combine import CombinedMask, MaskShare, combine
from groundshift.masks.snow import SnowMask, snow_mask, snow_on_grid
from groundshift.masks.terrain import no_layover, no_shadow, sensitive, steep_enough

__all__ = [
    "CombinedMask",
    "MaskShare",
    "SnowMask",
    "combine",
    "no_layover",
    "no_shadow",
    "sensitive",
    "snow_mask",
    "snow_on_grid",
    "steep_enough",
]
