"""What `groundshift info` tells of a product."""

from pathlib import Path
from typing import Any

import numpy as np

from groundshift.io import InterferogramStack
from groundshift.pairs import date_graph
from groundshift.report import network_figure, save_figure
from groundshift.types import MapGrid
from groundshift.workflows.maps import is_located

__all__ = ["describe", "draw_network"]


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
        "warnings": [p.message for p in stack.problems if not p.skipped],
    }
    return facts


def draw_network(stack: InterferogramStack, path: Path) -> None:
    """Draw the network of pairs as PNG, SVG or PDF."""
    save_figure(network_figure(stack.pairs), path)


def _centre(stack: InterferogramStack) -> list[float] | None:
    """Longitude and latitude of the middle, or None."""
    height, width = stack.grid.shape
    lon, lat = stack.grid.lonlat(np.array((height - 1) / 2), np.array((width - 1) / 2))
    return [round(float(lon), 5), round(float(lat), 5)] if np.isfinite(lon) and np.isfinite(lat) else None


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
