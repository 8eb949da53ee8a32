"""Map layers of a report, and their pictures with transparent gaps.

A layer is a (y, x) array of numbers on a map, its unit and its colour scale. Colours follow one rule wherever a sign
is shown: ground that moves away from the satellite is red, ground that moves towards it is blue. Phase grows when the
ground moves away and velocity falls, so phase is drawn with RdBu_r (as in Fu et al. (2022)) and velocity with RdBu, and
one slope looks the same on both. Every scale offered here can be told apart with any common colour blindness.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import Colormap
from numpy.typing import NDArray
from PIL import Image

from groundshift.checks import check_positive

__all__ = [
    "Bounds",
    "Layer",
    "LayerKind",
    "colour_stops",
    "hill_shade",
    "make_layer",
    "on_mercator",
    "reduce_by",
    "render_layer",
    "round_limit",
    "share_scales",
    "to_mercator",
]

_MERCATOR_RADIUS = 6_378_137.0

LayerKind = Literal[
    "gradient_radians",
    "velocity_gradient",
    "velocity",
    "sigma",
    "significance",
    "coherence",
    "pairs",
    "hill_shade",
]
"""Names of the ready-made scales of `make_layer`."""


class Bounds(NamedTuple):
    """Outer edges of a map in degrees of EPSG:4326."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, eq=False)
class Layer:
    """One map: values, unit and colour scale.

    `values` is (y, x) float, north up, NaN where nothing is known. Values outside [`vmin`, `vmax`] take the end
    colours. `cmap` is a Matplotlib colour map. A `base` layer (hill shade) is drawn beneath the others; an `evidence`
    layer is shown around each target too.
    """

    name: str
    values: NDArray[np.floating[Any]]
    unit: str
    vmin: float
    vmax: float
    cmap: str
    base: bool = False
    evidence: bool = False

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ValueError(f"layer {self.name!r} must have shape (y, x), instead got {self.values.shape}")
        if not (math.isfinite(self.vmin) and math.isfinite(self.vmax) and self.vmin < self.vmax):
            raise ValueError(f"layer {self.name!r} must have vmin < vmax, instead got {self.vmin} and {self.vmax}")
        _colour_map(self.cmap)


class _Scale(NamedTuple):
    """Unit, colours and limits of a kind of layer; a limit of None is taken from the values."""

    unit: str
    cmap: str
    vmin: float | None
    vmax: float | None


_SCALES: dict[LayerKind, _Scale] = {
    "gradient_radians": _Scale("rad", "RdBu_r", -4.0, 4.0),
    "velocity_gradient": _Scale("mm/yr per pixel", "RdBu", None, None),
    "velocity": _Scale("mm/yr", "RdBu", None, None),
    "sigma": _Scale("mm/yr per pixel", "magma_r", 0.0, None),
    "significance": _Scale("standard errors", "PuOr_r", -6.0, 6.0),
    "coherence": _Scale("", "cividis", 0.0, 1.0),
    "pairs": _Scale("pairs", "viridis", 0.0, None),
    "hill_shade": _Scale("", "gray", -0.4, 1.0),
}


def make_layer(
    kind: LayerKind,
    name: str,
    values: NDArray[np.floating[Any]],
    *,
    unit: str | None = None,
    vmax: float | None = None,
) -> Layer:
    """Give values the scale that is usual for their kind.

    Parameters
    ----------
    kind : LayerKind
        `gradient_radians` is the scale of Fu et al. (2022), RdBu_r over [-4, 4] rad.
    name : str
        What readers call it, such as `velocity gradient, azimuth`.
    values : (y, x) float array
        North up; NaN where nothing is known.
    unit : str, optional
        Another unit than the usual one, such as `mm/yr per 40 m`.
    vmax : float, optional
        Upper end of the scale; a signed scale is symmetric. By default the scale of the kind, or, where the kind has
        none, the 99th percentile of the magnitudes, rounded up as `round_limit` does.

    Raises
    ------
    ValueError
        If `vmax` is not positive.
    """
    scale = _SCALES[kind]
    top = vmax if vmax is not None else scale.vmax if scale.vmax is not None else round_limit(values)
    check_positive("vmax", top)
    signed = scale.vmin is None or scale.vmin == -(scale.vmax or 0.0) != 0.0
    bottom = -top if scale.vmin is None or signed else scale.vmin
    usual = scale.unit if unit is None else unit
    shown = kind in ("gradient_radians", "velocity_gradient", "velocity")
    return Layer(name, values, usual, bottom, top, scale.cmap, base=kind == "hill_shade", evidence=shown)


def render_layer(
    values: NDArray[np.floating[Any]], cmap: str, vmin: float, vmax: float, *, indexed: bool = False
) -> bytes:
    """Draw values as a PNG of the same size, transparent where they are not finite.

    Parameters
    ----------
    values : (y, x) float array
        First row on top.
    cmap : str
        A Matplotlib colour map.
    vmin, vmax : float
        Ends of the scale; values outside take the end colours.
    indexed : bool
        Write a palette of 255 colours and one transparent entry: a quarter of the bytes, and the same picture to
        within one step of the palette. Otherwise the PNG is RGBA.

    Raises
    ------
    ValueError
        If `values` is not two-dimensional, `vmin` is not below `vmax`, or the colour map is unknown.
    """
    layer = Layer("values", values, "", vmin, vmax, cmap)
    index = _palette_index(layer)
    palette = _palette(cmap)
    if indexed:
        picture = Image.fromarray(index, mode=None)
        picture.putpalette(palette[:, :3].tobytes(), "RGB")
        options: dict[str, Any] = {"transparency": palette[:, 3].tobytes()}
    else:
        picture, options = Image.fromarray(palette[index]), {}
    sink = io.BytesIO()
    picture.save(sink, "PNG", optimize=indexed, **options)
    return sink.getvalue()


def colour_stops(cmap: str, number: int = 11) -> list[str]:
    """Return evenly spaced colours of a colour map as `#rrggbb`, low values first."""
    colours = _colour_map(cmap)(np.linspace(0, 1, number), bytes=True)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b, _ in np.asarray(colours).tolist()]


def hill_shade(
    height: NDArray[np.floating[Any]],
    spacing: tuple[float, float],
    *,
    sun_azimuth: float = 315.0,
    sun_elevation: float = 45.0,
) -> NDArray[np.float32]:
    """Shade terrain as if the sun lit it.

    Parameters
    ----------
    height : (y, x) float array
        Metres, north up; NaN where unknown.
    spacing : (float, float)
        Pixel size on the ground in metres, along rows and columns.
    sun_azimuth, sun_elevation : float
        Where the sun stands, degrees clockwise from north and above the horizon.

    Returns
    -------
    (y, x) float32 array
        Cosine of the angle between the sun and the surface normal, 0 (turned away) to 1; flat ground has
        sin(`sun_elevation`). NaN where a neighbour's height is unknown.
    """
    check_positive("spacing", min(spacing))
    if min(height.shape) < 2:
        return np.full(height.shape, np.nan, np.float32)
    down, right = np.gradient(np.asarray(height, np.float64), *spacing)
    azimuth, elevation = math.radians(sun_azimuth), math.radians(sun_elevation)
    # Surface normal (east, north, up) is (-dh/deast, -dh/dnorth, 1); rows run south.
    light = (
        -right * math.sin(azimuth) * math.cos(elevation)
        + down * math.cos(azimuth) * math.cos(elevation)
        + math.sin(elevation)
    ) / np.sqrt(1 + right**2 + down**2)
    return np.asarray(np.clip(light, 0, 1), np.float32)


def reduce_by(values: NDArray[np.floating[Any]], factor: int) -> NDArray[np.float32]:
    """Average blocks of `factor` x `factor` pixels, leaving NaN out; a last, partial block counts as it is.

    A block is NaN where fewer than half of its pixels are known, so that gaps do not shrink.
    """
    values = np.asarray(values, np.float32)
    if factor <= 1:
        return values
    rows, columns = np.arange(0, values.shape[0], factor), np.arange(0, values.shape[1], factor)
    known = np.isfinite(values)
    total = _block_sum(np.where(known, values, 0).astype(np.float64), rows, columns)
    count = _block_sum(known.astype(np.float64), rows, columns)
    size = _block_sum(np.ones(values.shape), rows, columns)
    mean = np.full(total.shape, np.nan, np.float32)
    np.divide(total, count, out=mean, where=2 * count >= size, casting="same_kind")
    return mean


def to_mercator(lon: float, lat: float) -> tuple[float, float]:
    """Return web mercator metres; latitudes end at 85 degrees."""
    lat = min(85.0, max(-85.0, lat))
    y = math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))
    return _MERCATOR_RADIUS * math.radians(lon), _MERCATOR_RADIUS * y


def on_mercator(layer: Layer, bounds: Bounds, step: int) -> tuple[bytes, tuple[float, float, float, float]]:
    """Reduce a layer, bend its rows from equal latitude to equal mercator distance, and draw it."""
    rows, columns = layer.values.shape
    values = reduce_by(layer.values, step)
    # A last, partial block is drawn as wide as the others.
    east = bounds.west + (bounds.east - bounds.west) * values.shape[1] * step / columns
    height = (bounds.north - bounds.south) * values.shape[0] * step / rows
    south = max(-85.0, bounds.north - height)
    left, top = to_mercator(bounds.west, bounds.north)
    right, bottom = to_mercator(east, south)
    y = top + (np.arange(values.shape[0]) + 0.5) / values.shape[0] * (bottom - top)
    lat = np.degrees(2 * np.arctan(np.exp(y / _MERCATOR_RADIUS)) - math.pi / 2)
    source = np.clip((bounds.north - lat) / height * values.shape[0], 0, values.shape[0] - 1).astype(np.intp)
    png = render_layer(values[source], layer.cmap, layer.vmin, layer.vmax, indexed=True)
    return png, (left, bottom, right, top)


def _block_sum(values: NDArray[np.float64], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum blocks that begin at these rows and columns."""
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))


def round_limit(values: NDArray[np.floating[Any]], percentile: float = 99.0) -> float:
    """Return a percentile of the magnitudes, rounded up to 1, 1.5, 2, 3, 4, 5, 6 or 8 times 10^n; 1 if none."""
    finite = np.abs(values[np.isfinite(values)])
    top = float(np.percentile(finite, percentile)) if finite.size else 0.0
    if top <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(top))
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
    return next(step * power for step in steps if step * power >= top * (1 - 1e-9))


def share_scales(maps: Sequence[Sequence[Layer]], *, named: bool = False, fit: bool = False) -> list[tuple[Layer, ...]]:
    """Give layers of the same unit and colours the same limits, so that they can be compared by eye.

    Parameters
    ----------
    maps : sequence of sequences of Layer
        Such as those of several tracks; they come back in the same arrangement.
    named : bool
        Let only layers of the same name share limits, as those of which one at a time is looked at.
    fit : bool
        Let signed scales of velocities and their gradients end where they do on these layers, by `round_limit`: what is
        cut out of a large scene may lie far beyond or below the limits of the scene.
    """

    def kind(layer: Layer) -> tuple[str, str, str, bool]:
        return layer.name if named else "", layer.unit, layer.cmap, layer.base

    limits: dict[tuple[str, str, str, bool], tuple[float, float]] = {}
    for layer in (layer for some in maps for layer in some):
        low, high = layer.vmin, layer.vmax
        if fit and low == -high and layer.unit.startswith("mm/yr"):
            high = round_limit(layer.values)
            low = -high
        before = limits.get(kind(layer), (low, high))
        limits[kind(layer)] = min(low, before[0]), max(high, before[1])

    def shared(layer: Layer) -> Layer:
        low, high = limits[kind(layer)]
        return replace(layer, vmin=low, vmax=high)

    return [tuple(shared(layer) for layer in some) for some in maps]


def _colour_map(name: str) -> Colormap:
    """Look a colour map up."""
    try:
        return matplotlib.colormaps[name]
    except KeyError:
        raise ValueError(f"cmap must be a Matplotlib colour map such as RdBu_r, instead got {name!r}") from None


def _palette(cmap: str) -> NDArray[np.uint8]:
    """Return 256 RGBA entries: entry 0 is transparent, 1 to 255 are the colour map."""
    palette = np.zeros((256, 4), np.uint8)
    palette[1:] = _colour_map(cmap)(np.linspace(0, 1, 255), bytes=True)
    return palette


def _palette_index(layer: Layer) -> NDArray[np.uint8]:
    """Return the palette entry of each value; 0 where it is not finite."""
    values = np.asarray(layer.values, np.float64)
    known = np.isfinite(values)
    part = (np.where(known, values, layer.vmin) - layer.vmin) / (layer.vmax - layer.vmin)
    index = 1 + np.round(np.clip(part, 0, 1) * 254)
    return np.where(known, index, 0).astype(np.uint8)
