"""From bodies on a lattice to detections on Earth."""

import math

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon, make_valid
from skimage.measure import find_contours

from groundshift.detect.detection import Detection
from groundshift.detect.rules import Body
from groundshift.errors import NoDataError
from groundshift.geometry import SlopeAspect, mean_slope_aspect, ring_to_lonlat
from groundshift.gradients.stack import GradientStack
from groundshift.types import Grid

__all__ = ["outline", "score_of", "to_detection"]


def outline(mask: NDArray[np.bool_], corner: tuple[int, int], grid: Grid) -> Polygon:
    """Return the outline of a body in longitude and latitude (EPSG:4326).

    Parameters
    ----------
    mask : (y, x) bool array
        True inside.
    corner : (row, column)
        Where the mask's first pixel lies on `grid`.
    grid : Grid

    Raises
    ------
    NoDataError
        If the grid cannot place the outline.
    """
    contour = max(find_contours(np.pad(mask, 1).astype(float), 0.5), key=len)
    ring = ring_to_lonlat(contour[:, 0] - 1 + corner[0], contour[:, 1] - 1 + corner[1], grid)
    shape = make_valid(Polygon(ring))
    parts = [g for g in getattr(shape, "geoms", [shape]) if isinstance(g, Polygon | MultiPolygon)]
    flat = [p for g in parts for p in (g.geoms if isinstance(g, MultiPolygon) else [g])]
    if not flat:
        raise NoDataError("an outline has no area on the map; the lookup table may fold over itself there")
    return max(flat, key=lambda p: p.area)


def score_of(significance: float, threshold: float) -> float:
    """Turn the significance of a polarity pair into a score: 0.5 at the threshold, 0.88 two standard errors above."""
    return 1 / (1 + math.exp(threshold - significance))


def to_detection(
    body: Body, stack: GradientStack, terrain: SlopeAspect | None, score: float, detector: str = "rules"
) -> Detection:
    """Describe a body as a detection.

    Parameters
    ----------
    body : Body
    stack : GradientStack
        The stack it was found on.
    terrain : SlopeAspect, optional
        Slope and aspect on the nodes.
    score : float
        0 to 1; 0.5 means even odds.
    detector : str
        Name of the detector.

    Raises
    ------
    NoDataError
        If the grid has no longitude and latitude there.
    """
    inside = np.zeros(stack.n_pairs.shape, bool)
    top, left = body.corner
    inside[top : top + body.mask.shape[0], left : left + body.mask.shape[1]] = body.mask
    slope = aspect = None
    if terrain is not None:
        found = mean_slope_aspect(terrain, inside)
        if found is not None:
            slope = found[0]
            aspect = found[1] if math.isfinite(found[1]) else None
    return Detection(
        polygon=outline(body.mask, body.corner, stack.node_grid),
        score=score,
        detector=detector,
        track=stack.track,
        window=stack.window,
        directions=body.directions,
        velocity=body.velocity,
        velocity_sigma=body.velocity_sigma,
        significance=body.significance,
        mean_coherence=float(np.nanmean(stack.mean_coherence[inside])),
        n_pairs=int(np.median(stack.n_pairs[inside])),
        slope=slope,
        aspect=aspect,
    )
