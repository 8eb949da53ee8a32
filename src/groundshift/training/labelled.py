"""Real maps with truth drawn by people, as samples: stacks that a survey wrote, with polygons of landslides on them.

A polygon holds a node if the node's centre lies inside. Polygons count as true on every map they lie on, in all its
time windows; ground outside counts as quiet, so an inventory to learn from should be complete where the stacks are.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from groundshift.constants import EARTH_RADIUS
from groundshift.detect.planes import PLANES, network_planes, radians_per_gradient
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, ProductError
from groundshift.gradients.stack import GradientStack
from groundshift.gradients.store import open_sums
from groundshift.training.augment import LEAST_NODES, LEAST_SHARE
from groundshift.training.coco import coco_samples
from groundshift.training.data import Samples, StoredSamples
from groundshift.training.samples import IGNORED, Body, Sample, list_samples
from groundshift.types import Grid, Window

__all__ = ["HeldSamples", "Outline", "label_outlines", "open_samples", "read_outlines", "stack_samples"]

_SIDE = 512
"""Maps are cut into pieces of at most so many rows and columns."""
_MOST_BODIES = IGNORED - 1
_UNWANTED = ("subsidence", "uplift")
"""Kinds of an inventory that a detector of landslides is neither to find nor to miss."""


class Outline(NamedTuple):
    """One landslide drawn by people."""

    polygon: Polygon | MultiPolygon
    """EPSG:4326."""
    judged: bool
    """False: it counts neither for nor against a detector."""
    velocity: float
    """mm/yr along the line of sight; NaN if not known."""


class HeldSamples(Samples):
    """Samples in memory, their planes in half precision."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._held = [(sample.planes.astype(np.float16), _without_planes(sample)) for sample in samples]

    def __len__(self) -> int:
        return len(self._held)

    def one(self, k: int) -> Sample:
        """Return a sample in full precision."""
        planes, rest = self._held[k]
        return replace(rest, planes=planes.astype(np.float32))

    def scene(self, k: int) -> str:
        """Return the scene of a sample."""
        return self._held[k][1].scene


def open_samples(path: Path, *, polygons: Path | None = None, layer: str | None = None) -> Samples:
    """Open samples in whatever form they are.

    Parameters
    ----------
    path : path
        A folder of samples (.npz) or one sample; a COCO file (.json); or, with `polygons`, a folder in which surveys or
        `groundshift stack` left gradients.zarr.
    polygons : path, optional
        Vector file with what is true on these stacks; see `read_outlines`.
    layer : str, optional
        Its layer.

    Raises
    ------
    MissingFileError
        If there is no such file or folder.
    NoDataError
        If it holds nothing to learn from.
    GroundshiftError
        If what it holds is damaged.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder; check the spelling")
    if path.suffix == ".json":
        return coco_samples(path)
    if path.is_file():
        return StoredSamples([path])
    stacks = [path] if path.name == "gradients.zarr" else sorted(path.rglob("gradients.zarr"))
    if not stacks:
        return StoredSamples(list_samples(path))
    if polygons is None:
        raise NoDataError(f"{path}: holds stacks but no truth; name a file of landslides with --polygons")
    outlines = read_outlines(polygons, layer)
    held = HeldSamples(sample for stack in stacks for sample in stack_samples(stack, outlines))
    if not any(((sample.labels > 0) & (sample.labels != IGNORED)).any() for sample in held):
        raise NoDataError(f"{polygons}: no landslide lies on the stacks in {path}; name those of the same area")
    return held


def stack_samples(path: Path, outlines: Sequence[Outline]) -> Iterator[Sample]:
    """Cut all time windows of a stack into samples.

    Parameters
    ----------
    path : path
        The gradients.zarr of one track; its name becomes the scene.
    outlines : sequence of Outline
        What is true there.

    Yields
    ------
    Sample
        Of at most 512 rows and columns; pieces without data are left out.

    Raises
    ------
    ProductError
        If the stack does not hold forward differences along both axes, or does not know where it lies.
    DamagedFileError
        If it cannot be read.
    """
    for stack in open_sums(path).stacks():
        if not stack.is_lattice:
            raise ProductError(f"{path}: not stacked between neighbours along both axes; stack again with --step 1")
        yield from _pieces(path, stack, outlines)


def read_outlines(path: Path, layer: str | None = None) -> list[Outline]:
    """Read landslides from a vector file: GeoPackage, or another one that GDAL knows.

    Parameters
    ----------
    path : path
        Of an inventory of Groundshift the columns `review` (`rejected` is left out, `unreviewed` counts neither way),
        `kind` (`subsidence` and `uplift` count neither way) and `velocity_los_mm_yr` are heeded.
    layer : str, optional
        Layer to read; the first one with polygons by default.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file or the layer is not there or cannot be read, or it does not tell its coordinate system.
    NoDataError
        If it holds no polygon that is true.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file; check the spelling of --polygons")
    try:
        layers = [(str(name), str(kind)) for name, kind in pyogrio.list_layers(path)]  # type: ignore[no-untyped-call]
        chosen = layer or next((name for name, kind in layers if "Polygon" in kind), None)
        if chosen is None or chosen not in dict(layers):
            names = ", ".join(name for name, _ in layers)
            what = "no layer of polygons" if layer is None else f"no layer {layer}"
            raise MissingFileError(f"{path}: {what}, only {names}; name one with --layer")
        frame = pyogrio.read_dataframe(path, layer=chosen)  # type: ignore[no-untyped-call]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise DamagedFileError(f"{path}: cannot be read as a vector file ({error}); export it again") from error
    if frame.crs is None:
        raise DamagedFileError(f"{path}: layer {chosen} does not tell its coordinate system; set it in a GIS")
    found = [o for row in frame.to_crs("EPSG:4326").to_dict("records") for o in _outline(row)]
    if not any(outline.judged for outline in found):
        hint = "; set `review` to `confirmed` where a target is right" if "review" in frame.columns else ""
        raise NoDataError(f"{path}: layer {chosen} holds no polygon of a landslide that is known to be true{hint}")
    return found


def label_outlines(
    outlines: Sequence[Outline], longitude: NDArray[np.float64], latitude: NDArray[np.float64], node_m2: float
) -> tuple[NDArray[np.uint8], tuple[Body, ...]]:
    """Draw outlines on a piece of a map.

    Parameters
    ----------
    outlines : sequence of Outline
        Smaller ones are drawn over larger ones.
    longitude, latitude : (y, x) float arrays
        Of the nodes, degrees; NaN where not known.
    node_m2 : float
        Area of a node.

    Returns
    -------
    labels, bodies
        As in `Sample`. Of a body at least 6 nodes and a quarter of its area must lie on the piece to be judged; of more
        than 254 the largest are.
    """
    labels = np.zeros(longitude.shape, np.uint8)
    known = np.isfinite(longitude) & np.isfinite(latitude)
    if not known.any():
        return labels, ()
    lon, lat = longitude[known], latitude[known]
    extent = shapely.box(lon.min(), lat.min(), lon.max(), lat.max())
    near = sorted((o for o in outlines if o.polygon.intersects(extent)), key=lambda o: -o.polygon.area)
    bodies: list[Body] = []
    for outline in near:
        west, south, east, north = outline.polygon.bounds
        with np.errstate(invalid="ignore"):
            around = (longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north)
        rows, columns = np.nonzero(around)
        shapely.prepare(outline.polygon)
        inside = shapely.contains_xy(outline.polygon, longitude[rows, columns], latitude[rows, columns])
        rows, columns = rows[inside], columns[inside]
        if not rows.size:
            continue
        flat = _flattened(outline.polygon)
        least = max(LEAST_NODES, LEAST_SHARE * flat.area / node_m2)
        if not outline.judged or rows.size < least or len(bodies) == _MOST_BODIES:
            labels[rows, columns] = IGNORED
            continue
        length, width = _sides(flat)
        bodies.append(Body(outline.velocity, outline.velocity, length, width, "unknown"))
        labels[rows, columns] = len(bodies)
    return labels, tuple(bodies)


def _pieces(path: Path, stack: GradientStack, outlines: Sequence[Outline]) -> Iterator[Sample]:
    """Cut one time window into samples."""
    planes = network_planes(stack)
    grid = stack.node_grid
    node_m2 = math.prod(grid.spacing)
    for rows in pairwise(_cuts(grid.shape[0])):
        for columns in pairwise(_cuts(grid.shape[1])):
            piece = planes[:, slice(*rows), slice(*columns)]
            if not piece[PLANES.index("known")].any():
                continue
            longitude, latitude = _lonlat(grid, Window(rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0]))
            if not np.isfinite(longitude).any():
                raise ProductError(f"{path}: does not know where it lies on Earth; stack a product that does")
            labels, bodies = label_outlines(outlines, longitude, latitude, node_m2)
            yield Sample(
                piece.copy(), labels, bodies, stack.track, stack.window, math.sqrt(node_m2),
                radians_per_gradient(stack.total_years, stack.wavelength), stack.total_pairs,
            )  # fmt: skip


def _cuts(size: int) -> list[int]:
    """Edges of even pieces of at most `_SIDE`."""
    return [int(k) for k in np.linspace(0, size, math.ceil(size / _SIDE) + 1).round()]


def _lonlat(grid: Grid, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of nodes."""
    y, x = np.mgrid[window.rows, window.columns].astype(np.float64)
    return grid.lonlat(y, x)


def _outline(row: dict[str, Any]) -> list[Outline]:
    """Read one row of a vector file."""
    shape = row.get("geometry")
    if shape is None or shape.is_empty or row.get("review") == "rejected":
        return []
    parts = [g for g in shapely.get_parts(shapely.make_valid(shapely.force_2d(shape))) if isinstance(g, Polygon)]
    if not parts:
        return []
    judged = row.get("review") != "unreviewed" and row.get("kind") not in _UNWANTED
    try:
        velocity = float(row.get("velocity_los_mm_yr") or math.nan)
    except (TypeError, ValueError):
        velocity = math.nan
    return [Outline(parts[0] if len(parts) == 1 else MultiPolygon(parts), judged, velocity)]


def _flattened(polygon: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """Scale degrees to metres around the polygon's middle."""
    metres = math.radians(1.0) * EARTH_RADIUS
    across = metres * math.cos(math.radians(polygon.centroid.y))
    flat: Polygon | MultiPolygon = shapely.transform(polygon, lambda xy: xy * [across, metres])
    return flat


def _sides(flat: Polygon | MultiPolygon) -> tuple[float, float]:
    """Length and width of the smallest rectangle around a shape, metres."""
    frame = shapely.get_coordinates(shapely.oriented_envelope(flat))
    sides = sorted(float(np.hypot(*(frame[k + 1] - frame[k]))) for k in (0, 1))
    return sides[1], sides[0]


def _without_planes(sample: Sample) -> Sample:
    """Return a sample without its maps."""
    return replace(sample, planes=np.zeros((len(PLANES), 0, 0), np.float32))
