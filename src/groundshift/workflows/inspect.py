"""What `groundshift info` tells of a product."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundshift.errors import GroundshiftError
from groundshift.io import InterferogramStack
from groundshift.io.amplitudes import holds_amplitudes, open_amplitudes
from groundshift.io.incoherent import holds_only_noise
from groundshift.io.open_slcs import holds_slcs
from groundshift.io.recognise import READERS, holds_interferograms
from groundshift.pairs import date_graph
from groundshift.report import network_figure, save_figure
from groundshift.types import MapGrid
from groundshift.workflows.maps import is_located

__all__ = ["describe", "describe_images", "draw_network", "holds_only_amplitudes"]

_PIXELS = 30_000_000
"""So many are read to find the pairs that are noise: all of a small stack, some pairs of a large one."""
_NAMED = 10
"""Pairs that one line names."""


def describe(stack: InterferogramStack) -> dict[str, Any]:
    """Return the facts of a stack in the order in which they are shown, as plain values."""
    grid, pairs = stack.grid, stack.pairs
    graph = date_graph(pairs)
    days = sorted(p.days for p in pairs)
    baselines = [p.perpendicular_baseline for p in pairs if p.perpendicular_baseline is not None]
    facts: dict[str, Any] = {
        "product": stack.product,
        "path": str(stack.root),
        "track": stack.track,
        "geometry": f"map, {grid.crs}" if isinstance(grid, MapGrid) else "radar",
        "axes": f"rows along {grid.axis_names[0]}, columns along {grid.axis_names[1]}",
        "pixels": list(grid.shape),
        "pixel_m": [round(s, 2) for s in grid.spacing],
        "centre": _centre(stack),
        "wavelength_m": stack.wavelength,
        "look": None
        if stack.look is None
        else {
            "direction": stack.look.direction,
            "heading_deg": round(stack.look.heading, 2),
            "incidence_deg": round(stack.look.incidence, 2),
        },
        "sign": stack.sign,
        "coherence": stack.coherence_source,
        "heights": stack.read_height is not None,
        "pairs": len(pairs),
        "dates": len(graph.dates),
        "first_date": str(graph.dates[0]),
        "last_date": str(graph.dates[-1]),
        "span_days": {"shortest": days[0], "median": int(np.median(days)), "longest": days[-1]},
        "bperp_m": {"known": len(baselines), "largest": round(max(map(abs, baselines)), 1)} if baselines else None,
        "groups": [{"dates": len(g.dates), "first": str(g.dates[0]), "last": str(g.dates[-1])} for g in graph.groups],
        "gaps": [
            {"from": str(g.before), "to": str(g.after), "days": g.days, "bridged": g.connected} for g in graph.gaps
        ],
        "missing": _missing(stack, len(baselines)),
        "skipped": [p.message for p in stack.problems if p.skipped],
        "warnings": [*(p.message for p in stack.problems if not p.skipped), *_noise(stack)],
    }
    return facts


def holds_only_amplitudes(path: Path, product: str | None) -> bool:
    """Whether a path holds amplitude images with geometry, and neither interferograms nor co-registered images."""
    others = holds_interferograms(path, product) or holds_slcs(path, product)
    return not others and holds_amplitudes(path, product)


def describe_images(path: Path, product: str | None) -> dict[str, Any]:
    """Return the facts of amplitude images in the order in which they are shown, as plain values.

    Raises
    ------
    GroundshiftError
        If none can be used.
    """
    found = open_amplitudes(path, product=product)
    shown = []
    for image in found.images:
        geometry = image.geometry
        middle = geometry.times((geometry.shape[0] - 1) / 2)
        column = np.array((geometry.shape[1] - 1) / 2)
        shown.append(
            f"{image.day} {image.sensor}: {geometry.shape[0]} x {geometry.shape[1]} pixels, slant range "
            f"{float(geometry.axis.distance(column, middle)) / 1000:.1f} km in steps of "
            f"{float(geometry.axis.metres(column, middle)):.2f} m, {'calibrated' if image.calibration else 'relative'}"
        )
    days = [image.day for image in found.images]
    return {
        "path": str(path),
        "amplitude_images": len(found.images),
        "products": sorted({image.product for image in found.images}),
        "sensors": {s: sum(i.sensor == s for i in found.images) for s in sorted({i.sensor for i in found.images})},
        "wavelengths_m": sorted({f"{i.geometry.wavelength:.4f}" for i in found.images}),
        "first_date": str(min(days)),
        "last_date": str(max(days)),
        "images": shown,
        "skipped": [problem.message for problem in found.problems],
    }


def draw_network(stack: InterferogramStack, path: Path) -> None:
    """Draw the network of pairs as PNG, SVG or PDF."""
    save_figure(network_figure(stack.pairs), path)


def _centre(stack: InterferogramStack) -> list[float] | None:
    """Longitude and latitude of the middle, or None."""
    height, width = stack.grid.shape
    lon, lat = stack.grid.lonlat(np.array((height - 1) / 2), np.array((width - 1) / 2))
    return [round(float(lon), 5), round(float(lat), 5)] if np.isfinite(lon) and np.isfinite(lat) else None


def _noise(stack: InterferogramStack) -> list[str]:
    """Name the pairs whose phase is noise all over, in one line; not of stacks that are formed of images when read."""
    known = stack.product in [reader.PRODUCT for reader in READERS]
    pairs = [p for p in stack.pairs if known and p in stack.files]
    left, looked_at, found = _PIXELS, 0, list[str]()
    # In an order that covers the whole time however far it gets.
    for k in np.random.default_rng(0).permutation(len(pairs)):
        try:
            noise, pixels = holds_only_noise(partial(stack.read, pairs[k]), stack.grid.shape)
        except GroundshiftError:  # told when the pair is used
            continue
        looked_at += 1
        if noise:
            found.append(pairs[k].name)
        left -= pixels
        if left <= 0:
            break
    if not found:
        return []
    names = ", ".join(sorted(found)[:_NAMED]) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    return [
        f"{stack.root}: noise all over, nowhere coherent, in {len(found)} of the {looked_at} pairs looked at: {names}; "
        "they tell nothing of the ground, so take shorter pairs or another season"
    ]


def _missing(stack: InterferogramStack, baselines: int) -> list[str]:
    """Say what the product does not have and what follows from that."""
    missing = []
    if stack.coherence_source == "estimated":
        missing.append("coherence: estimated from local phase consistency")
    if baselines == 0:
        missing.append("perpendicular baselines: the DEM error cannot be weighed")
    elif baselines < len(stack.pairs):
        missing.append(f"perpendicular baselines of {len(stack.pairs) - baselines} pairs")
    if stack.look is None:
        missing.append("look geometry: no layover mask, no velocity down the slope")
    if stack.read_height is None:
        missing.append("heights: give a DEM with --dem")
    if not is_located(stack.grid):
        missing.append("location: add the lookup table or geometry files to survey it")
    return missing
