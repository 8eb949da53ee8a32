"""The maps that a track leaves: GeoTIFFs for a GIS and layers for the report."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.warp import calculate_default_transform

from groundshift.errors import NoDataError
from groundshift.geometry import geocode, map_grid_for
from groundshift.gradients.stack import GradientStack
from groundshift.io.rasters import write_geotiff
from groundshift.report import Bounds, Layer, hill_shade, make_layer, radar_figure, save_figure
from groundshift.types import Grid, MapGrid

__all__ = ["REPORT_SIDE", "is_located", "lonlat_grid", "track_layers", "write_maps", "write_pictures"]

REPORT_SIDE = 900
"""Longest side of a report layer in pixels."""


def is_located(grid: Grid) -> bool:
    """Whether the grid knows where its pixels lie on Earth."""
    try:
        map_grid_for(grid)
    except NoDataError:
        return False
    return True


def lonlat_grid(grid: Grid, longest_side: int | None = None) -> MapGrid:
    """Return the north-up grid in longitude and latitude that covers `grid`.

    `longest_side` bounds the number of pixels along either axis by making pixels larger.
    """
    own = map_grid_for(grid)
    height, width = own.shape
    left, top = own.transform.c, own.transform.f
    right, bottom = left + own.transform.a * width, top + own.transform.e * height
    if longest_side is not None and max(height, width) > longest_side:
        factor = longest_side / max(height, width)
        height, width = max(1, round(height * factor)), max(1, round(width * factor))
    transform, columns, rows = calculate_default_transform(
        own.crs, "EPSG:4326", own.shape[1], own.shape[0], min(left, right), min(top, bottom), max(left, right),
        max(top, bottom), dst_width=width, dst_height=height,
    )  # fmt: skip
    return MapGrid((rows, columns), transform, "EPSG:4326")


def write_maps(
    folder: Path, stack: GradientStack, velocity: NDArray[np.float32] | None, valid: NDArray[np.bool_]
) -> list[Path]:
    """Write the maps of one time window as GeoTIFFs.

    Maps of a radar grid are geocoded to longitude and latitude; those of a map grid keep its pixels, moved by the part
    of a pixel that the even window and the differences ask for. NaN is no data.

    Returns
    -------
    list of path
        What was written; maps of the window `all` lie in `folder` itself, those of others in a folder of its name.
    """
    place = folder if stack.window == "all" else folder / stack.window
    written = []

    def write(name: str, values: NDArray[np.float32], grid: Grid, unit: str, nearest: bool = False) -> None:
        target = map_grid_for(grid)
        path = place / f"{name}.tif"
        write_geotiff(
            path, geocode(values, grid, target, nearest=nearest).astype(np.float32), target, nodata=float("nan"),
            description=name, unit=unit,
        )  # fmt: skip
        written.append(path)

    for k, direction in enumerate(stack.directions):
        grid = stack.grid_of(direction)
        write(f"gradient_{direction.name}", stack.radians[k], grid, "rad per pixel")
        write(f"velocity_gradient_{direction.name}", stack.velocity_gradient[k], grid, "mm/yr per pixel")
        write(f"sigma_{direction.name}", stack.velocity_gradient_sigma[k], grid, "mm/yr per pixel")
    node = stack.node_grid
    write("mean_coherence", stack.mean_coherence, node, "1")
    write("n_pairs", stack.n_pairs.astype(np.float32), node, "pairs", nearest=True)
    write("residues", stack.residues, node, "share of pairs")
    write("valid", valid.astype(np.float32), node, "1", nearest=True)
    if velocity is not None:
        write("velocity", velocity, node, "mm/yr")
    return written


def write_pictures(folder: Path, stack: GradientStack, velocity: NDArray[np.float32] | None) -> list[Path]:
    """Write the maps of a stack that knows no place on Earth as PNG pictures in radar geometry."""
    place = folder if stack.window == "all" else folder / stack.window
    layers = {
        f"gradient_{d.name}": make_layer("gradient_radians", f"gradient, {d.name}", stack.radians[k])
        for k, d in enumerate(stack.directions)
    }
    layers["mean_coherence"] = make_layer("coherence", "mean coherence", stack.mean_coherence)
    if velocity is not None:
        layers["velocity"] = make_layer("velocity", "relative velocity", velocity)
    written = []
    for name, layer in layers.items():
        save_figure(radar_figure(layer, stack.grid.spacing, title=layer.name), place / f"{name}.png")
        written.append(place / f"{name}.png")
    return written


def track_layers(
    stack: GradientStack, velocity: NDArray[np.float32], height: NDArray[np.float32] | None
) -> tuple[Bounds, list[Layer]]:
    """Put the maps of one stack on a north-up grid for the report."""
    target = lonlat_grid(stack.node_grid, REPORT_SIDE)
    transform = target.transform
    bounds = Bounds(
        transform.c,
        transform.f + transform.e * target.shape[0],
        transform.c + transform.a * target.shape[1],
        transform.f,
    )
    return bounds, list(_layers(stack, velocity, height, target))


def _layers(
    stack: GradientStack, velocity: NDArray[np.float32], height: NDArray[np.float32] | None, target: MapGrid
) -> Iterator[Layer]:
    """Make one layer after the other, the one to be shown first leading."""

    def on_map(values: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
        return np.asarray(geocode(values, grid, target), np.float32)

    for k, direction in enumerate(stack.directions):
        values = on_map(stack.velocity_gradient[k], stack.grid_of(direction))
        yield make_layer("velocity_gradient", f"velocity gradient, {direction.name}", values)
    yield make_layer("velocity", "relative velocity", on_map(velocity, stack.node_grid))
    for k, direction in enumerate(stack.directions):
        values = on_map(stack.significance[k], stack.grid_of(direction))
        yield make_layer("significance", f"significance, {direction.name}", values)
    yield make_layer("coherence", "mean coherence", on_map(stack.mean_coherence, stack.node_grid))
    if height is not None:
        shade = hill_shade(on_map(height, stack.node_grid), target.spacing)
        yield make_layer("hill_shade", "hill shade", shade)
