"""Files that looking for moving ground leaves: outlines for a GIS, pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from shapely import Polygon, STRtree

from groundshift.detect.segments import Segment
from groundshift.errors import OutputError
from groundshift.inventory import Target, geodesic_area_m2
from groundshift.inventory.columns import Column, column_arrays
from groundshift.inventory.tables import OGR_ERRORS, write_layer
from groundshift.io.atomic import atomic_path
from groundshift.types import Pair

__all__ = ["Outline", "draw_pair", "draw_places", "write_outlines"]

_COLUMNS = (
    Column("target", "text"),
    Column("track", "text"),
    Column("reference", "date"),
    Column("secondary", "date"),
    Column("days", "integer"),
    Column("score", "real"),
    Column("area_m2", "real"),
)


class Outline(NamedTuple):
    """Moving ground as one interferogram shows it."""

    polygon: Polygon
    """EPSG:4326."""
    track: str
    pair: Pair
    score: float


def write_outlines(path: Path, outlines: Sequence[Outline], targets: Sequence[Target]) -> None:
    """Write the layer `segments` of a GeoPackage: one row for each outline, with the target it lies on.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    tree = STRtree([t.geometry for t in targets])
    rows: list[tuple[object, ...]] = []
    for polygon, track, pair, score in outlines:
        on = [targets[int(k)] for k in tree.query(polygon, predicate="intersects")]
        largest = max(on, key=lambda t: polygon.intersection(t.geometry).area, default=None)
        name = None if largest is None else largest.id
        rows.append((name, track, pair.reference, pair.secondary, pair.days, score, geodesic_area_m2(polygon)))
    with atomic_path(path) as temporary:
        try:
            write_layer(
                temporary, "segments", _COLUMNS, column_arrays(_COLUMNS, rows), [o.polygon for o in outlines],
                geometry_type="Polygon",
            )  # fmt: skip
        except OGR_ERRORS as error:
            raise OutputError(f"{path}: cannot be written ({error}); free some space and run again") from error


def draw_pair(
    path: Path,
    pair: Pair,
    igram: NDArray[np.complex64],
    probability: NDArray[np.float32],
    segments: Sequence[Segment],
) -> None:
    """Draw phase, coherence and probability of a pair with the outlines.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    known = igram != 0
    panels = (
        (np.where(known, np.angle(igram), np.nan), "twilight", (-np.pi, np.pi), "wrapped phase, rad"),
        (np.where(known, np.abs(igram), np.nan), "gray", (0.0, 1.0), "coherence"),
        (np.where(known, probability, np.nan), "viridis", (0.0, 1.0), "probability of ground that moves"),
    )
    _draw(path, panels, segments, f"{pair.reference} to {pair.secondary}, {pair.days} days")


def draw_places(path: Path, mean: NDArray[np.float32], share: NDArray[np.float32], places: Sequence[Segment]) -> None:
    """Draw what all interferograms of a track show together.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    panels = (
        (mean, "viridis", (0.0, 1.0), "mean probability of ground that moves"),
        (share, "magma", (0.0, 1.0), "share of interferograms that see it"),
    )
    _draw(path, panels, places, "")


def _draw(
    path: Path,
    panels: Sequence[tuple[NDArray[np.floating], str, tuple[float, float], str]],
    segments: Sequence[Segment],
    title: str,
) -> None:
    """Draw maps beside each other with the same outlines."""
    figure = Figure(figsize=(4.4 * len(panels), 4.6), layout="constrained")
    shown = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (values, colours, (least, most), name) in zip(shown, panels, strict=True):
        image = axes.imshow(values, cmap=colours, vmin=least, vmax=most, interpolation="nearest")
        figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set_title(name, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        for segment in segments:
            _outline(axes, segment)
    if title:
        figure.suptitle(title, fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _outline(axes: Axes, segment: Segment) -> None:
    """Draw one outline."""
    framed = np.pad(segment.mask, 1).astype(np.float32)
    across = np.arange(framed.shape[1]) - 1 + segment.window.x
    down = np.arange(framed.shape[0]) - 1 + segment.window.y
    axes.contour(across, down, framed, levels=[0.5], colors=["red"], linewidths=0.9)
