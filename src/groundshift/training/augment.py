"""Variations of samples that keep to what a differenced map can look like.

The planes hold forward differences d[i] = v[i + 1] - v[i] of a field v of velocities. What is done to v therefore acts
on d by its own law. On the lattice that is turned round, v'[j] = v[n - 1 - j], so d'[j] = -d[n - 2 - j]: values along
the turned axis change their sign *and* move by one node, and the last node has no difference. Transposition swaps the
planes of both axes. Motion the other way changes the sign of both.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.planes import PLANES
from groundshift.training.config import AugmentConfig
from groundshift.training.samples import IGNORED, Body, Sample, boxes_of

__all__ = [
    "augmented",
    "blended",
    "cropped",
    "flipped",
    "mosaic",
    "padded",
    "reversed_motion",
    "transposed",
    "with_boxes",
    "with_coherence_gain",
    "with_gaps",
]

_ALONG = tuple(
    tuple(PLANES.index(f"{name}_{axis}") for name in ("significance", "gradient", "sigma")) for axis in ("y", "x")
)
"""Planes of differences along rows, and along columns."""
_SIGNED = tuple(tuple(p for p in planes if not PLANES[p].startswith("sigma")) for planes in _ALONG)
_GRADIENTS = [PLANES.index(f"{name}_{axis}") for name in ("gradient", "sigma") for axis in ("y", "x")]
_SIGMA = tuple(PLANES.index(f"sigma_{axis}") for axis in ("y", "x"))
_GRADIENT = tuple(PLANES.index(f"gradient_{axis}") for axis in ("y", "x"))
_SIGNIFICANCE = tuple(PLANES.index(f"significance_{axis}") for axis in ("y", "x"))
_SWAPPED = [PLANES.index({"_y": p[:-1] + "x", "_x": p[:-1] + "y"}.get(p[-2:], p)) for p in PLANES]
_COHERENCE, _KNOWN = PLANES.index("coherence"), PLANES.index("known")

LEAST_NODES = 6
"""A body of which fewer nodes are left is not judged."""
LEAST_SHARE = 0.25
"""A body of which a smaller share is left, or still has data, is not judged."""
_LEAST_VELOCITY = 5.0
"""mm/yr: bodies that blending makes slower are not judged."""
_BLEND_SCALE = (0.3, 1.2)
_SMALL_SCENES = 0.25
"""Share of the tiles with gaps that keep one window only."""


def flipped(sample: Sample, axis: int) -> Sample:
    """Turn the map round along an axis: 0 rows, 1 columns.

    A difference now starts from the node that it ended at. Where that had no difference before, it takes the coherence
    of its neighbour as well.
    """
    planes = np.flip(sample.planes, axis + 1).copy()
    into, out_of = (slice(None, -1), slice(1, None)) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
    last = -1 if axis == 0 else np.s_[:, -1]
    lost = planes[_KNOWN] == 0
    planes[_COHERENCE][into] += (lost[into] * planes[_COHERENCE][out_of]).astype(np.float32)
    for k in _ALONG[axis]:
        plane, sign = planes[k], np.float32(-1 if k in _SIGNED[axis] else 1)
        plane[into] = sign * plane[out_of]
        plane[last] = 0
    return replace(sample, planes=_settled(planes), labels=np.flip(sample.labels, axis).copy())


def transposed(sample: Sample) -> Sample:
    """Swap rows and columns."""
    planes = sample.planes[_SWAPPED].transpose(0, 2, 1).copy()
    return replace(sample, planes=planes, labels=sample.labels.T.copy())


def reversed_motion(sample: Sample) -> Sample:
    """Let everything move the other way: towards the satellite what moved away."""
    planes = sample.planes.copy()
    planes[[*_SIGNED[0], *_SIGNED[1]]] *= -1
    bodies = tuple(body._replace(velocity=-body.velocity) for body in sample.bodies)
    return replace(sample, planes=planes, bodies=bodies)


def cropped(sample: Sample, y: int, x: int, shape: tuple[int, int]) -> Sample:
    """Cut out `shape` nodes from row `y` and column `x` on.

    Differences that reach over the edge are unknown afterwards. Bodies of which little is left are not judged.

    Raises
    ------
    ValueError
        If the cut reaches outside.
    """
    rows, columns = sample.labels.shape
    if not (0 <= y <= y + shape[0] <= rows and 0 <= x <= x + shape[1] <= columns) or 0 in shape:
        raise ValueError(
            f"cut must lie within {sample.labels.shape} nodes, instead got {shape} nodes from ({y}, {x}) on"
        )
    window = (slice(y, y + shape[0]), slice(x, x + shape[1]))
    planes = sample.planes[:, *window].copy()
    planes[list(_ALONG[0]), -1] = 0
    planes[list(_ALONG[1]), :, -1] = 0
    labels = _judged(sample.labels[window].copy(), sample.labels)
    return replace(sample, planes=_settled(planes), labels=labels)


def padded(sample: Sample, shape: tuple[int, int]) -> Sample:
    """Add nodes without data after the last row and column until the map has `shape`."""
    more = [(0, max(0, to - now)) for to, now in zip(shape, sample.labels.shape, strict=True)]
    return replace(sample, planes=np.pad(sample.planes, [(0, 0), *more]), labels=np.pad(sample.labels, more))


def mosaic(pieces: Sequence[Sample], *, in_radians: bool = False) -> Sample:
    """Put four pieces together: upper left, upper right, lower left, lower right.

    Parameters
    ----------
    pieces : four Sample
        Of shapes that fit, cut out by `cropped`, so that no difference reaches over a seam.
    in_radians : bool
        Scale velocity gradients and their errors of the others so that `Sample.gradient_radians` is right everywhere,
        as if all were stacked over the same summed time; else velocities are.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    first = pieces[0]
    rows, columns = [pieces[k].labels.shape[0] for k in (0, 2)], [pieces[k].labels.shape[1] for k in (0, 1)]
    if [p.labels.shape for p in pieces] != [(y, x) for y in rows for x in columns]:
        raise ValueError(f"pieces must fit together, instead got shapes {[p.labels.shape for p in pieces]}")
    planes = np.zeros((len(PLANES), sum(rows), sum(columns)), np.float32)
    labels = np.zeros(planes.shape[1:], np.uint8)
    bodies: list[Body] = []
    for k, piece in enumerate(pieces):
        window = (
            (slice(0, rows[0]), slice(rows[0], None))[k // 2],
            (slice(0, columns[0]), slice(columns[0], None))[k % 2],
        )
        planes[:, *window] = piece.planes
        if in_radians and k > 0:
            scale = (piece.radians * piece.pixel_m) / (first.radians * first.pixel_m)
            planes[_GRADIENTS, *window] *= np.float32(scale)
        labels[window], kept = _renumbered(piece, len(bodies))
        bodies += kept
    return replace(first, planes=planes, labels=labels, bodies=tuple(bodies))


def blended(sample: Sample, other: Sample, scale: float) -> Sample:
    """Add what another map shows, as if its interferograms were multiplied onto those of this one.

    Phases add, and with them gradients; the squares of standard errors add; coherences multiply. Noise and air of two
    scenes make noise and air of a third, so that a network meets each of them only in ever new company.

    Parameters
    ----------
    sample : Sample
        Its pixels, window and scene remain.
    other : Sample
        Of the same shape. Its bodies join; where bodies overlap, the ground remains with those of `sample`.
    scale : float
        Factor on the velocities of `other`. Its bodies that are slower than 5 mm/yr afterwards are not judged.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if sample.labels.shape != other.labels.shape:
        raise ValueError(f"maps must have one shape, instead got {sample.labels.shape} and {other.labels.shape}")
    planes = sample.planes.copy()
    planes[[*_GRADIENT]] += np.float32(scale) * other.planes[[*_GRADIENT]]
    planes[[*_SIGMA]] = np.hypot(sample.planes[[*_SIGMA]], np.float32(scale) * other.planes[[*_SIGMA]])
    # A difference that one of the two lacks is lacking.
    there = (sample.planes[[*_SIGMA]] > 0) & (other.planes[[*_SIGMA]] > 0)
    planes[[*_GRADIENT]] = np.clip(planes[[*_GRADIENT]] * there, -200, 200)
    planes[[*_SIGMA]] = np.clip(planes[[*_SIGMA]] * there, 0, 200)
    ratio = np.divide(planes[[*_GRADIENT]], planes[[*_SIGMA]], out=np.zeros_like(planes[:2]), where=there)
    planes[[*_SIGNIFICANCE]] = np.clip(ratio, -50, 50)
    planes[_COHERENCE] *= other.planes[_COHERENCE] ** np.float32(scale**2)
    joined = replace(other, bodies=tuple(b._replace(velocity=b.velocity * scale) for b in other.bodies))
    slow = [k for k, body in enumerate(joined.bodies, start=1) if abs(body.velocity) < _LEAST_VELOCITY]
    joined = replace(joined, labels=np.where(np.isin(other.labels, slow), np.uint8(IGNORED), other.labels))
    labels, first = _renumbered(_fainter(sample, planes, 1.0), 0)
    more, second = _renumbered(_fainter(joined, planes, scale), len(first))
    before = more.copy()
    more[(labels > 0) & (labels < IGNORED)] = 0
    more = _judged(more, before)
    labels = np.where((labels == 0) | ((labels == IGNORED) & (more > 0)), more, labels)
    return replace(sample, planes=_settled(planes), labels=labels, bodies=(*first, *second))


def _fainter(sample: Sample, planes: NDArray[np.float32], scale: float) -> Sample:
    """Lower the visibility of bodies by what the standard errors over them have grown to in `planes`."""
    before, after = np.float32(scale) * sample.planes[[*_SIGMA]], planes[[*_SIGMA]]
    share = np.divide(before, after, out=np.zeros_like(before), where=after > 0) ** 2
    counts = np.maximum(np.bincount(sample.labels.ravel(), minlength=256), 1)
    kept = np.sqrt(np.bincount(sample.labels.ravel(), share.mean(0).ravel(), minlength=256) / counts)
    bodies = [b._replace(visibility=b.visibility * float(kept[k])) for k, b in enumerate(sample.bodies, start=1)]
    return replace(sample, bodies=tuple(bodies))


def with_gaps(sample: Sample, gaps: NDArray[np.bool_]) -> Sample:
    """Take the data away where `gaps` (y, x) is True.

    Bodies that keep data on a small share of their nodes are not judged.
    """
    planes = sample.planes * ~gaps
    labels = sample.labels.copy()
    before = np.bincount((labels * (sample.planes[_KNOWN] > 0)).ravel(), minlength=256)
    after = np.bincount((labels * (planes[_KNOWN] > 0)).ravel(), minlength=256)
    lost = [k for k in _numbers(labels) if after[k] < before[k] * LEAST_SHARE]
    labels[np.isin(labels, lost)] = IGNORED
    return replace(sample, planes=planes, labels=labels)


def with_coherence_gain(sample: Sample, gain: float) -> Sample:
    """Scale the mean coherence, for estimators differ; it stays within 0 and 1."""
    planes = sample.planes.copy()
    planes[_COHERENCE] = np.clip(planes[_COHERENCE] * np.float32(gain), 0, 1)
    return replace(sample, planes=planes)


def with_boxes(sample: Sample) -> Sample:
    """Let every body fill its box; of two boxes that overlap, the smaller has the ground."""
    labels = np.where(sample.labels == IGNORED, np.uint8(IGNORED), np.uint8(0))
    boxes = boxes_of(sample.labels)
    for k in sorted(boxes, key=lambda k: (boxes[k][2] - boxes[k][0]) * (boxes[k][3] - boxes[k][1]), reverse=True):
        x0, y0, x1, y1 = map(int, boxes[k])
        labels[y0:y1, x0:x1] = k
    return replace(sample, labels=labels)


def augmented(
    samples: Sequence[Sample],
    config: AugmentConfig,
    rng: np.random.Generator,
    *,
    onto: Sample | None = None,
    in_radians: bool = False,
) -> Sample:
    """Vary a sample at random.

    Parameters
    ----------
    samples : one or four Sample
        Four are put together as a mosaic; else the first is cut out at random, or padded if it is smaller.
    config : AugmentConfig
        What is done, and how often.
    rng : Generator
        The outcome depends on it alone.
    onto : Sample, optional
        Another one to blend in.
    in_radians : bool
        See `mosaic`.

    Returns
    -------
    Sample
        Of `config.tile` rows and columns.
    """
    side = config.tile
    if len(samples) == 4:
        y, x = (int(k) for k in rng.integers(side // 4, side - side // 4 + 1, 2))
        shapes = [(h, w) for h in (y, side - y) for w in (x, side - x)]
        pieces = [_random_piece(s, shape, config, rng) for s, shape in zip(samples, shapes, strict=True)]
        found = mosaic(pieces, in_radians=in_radians)
    else:
        found = _random_piece(samples[0], (side, side), config, rng)
    if onto is not None:
        piece = _random_piece(onto, (side, side), config, rng)
        found = blended(found, piece, float(rng.uniform(*_BLEND_SCALE)))
    if rng.random() < config.dropout:
        found = with_gaps(found, _random_gaps(found.labels.shape, rng))
    if config.coherence_gain > 0:
        found = with_coherence_gain(found, 1 + config.coherence_gain * rng.uniform(-1, 1))
    return found if config.outlines else with_boxes(found)


def _random_piece(sample: Sample, shape: tuple[int, int], config: AugmentConfig, rng: np.random.Generator) -> Sample:
    """Cut out a piece at any offset and turn it round at random; a smaller map is padded."""
    up, left, turn, sign = (rng.random(4) < 0.5) & config.symmetry
    size = shape[::-1] if turn else shape
    rows, columns = sample.labels.shape
    cut = (min(rows, size[0]), min(columns, size[1]))
    y, x = int(rng.integers(rows - cut[0] + 1)), int(rng.integers(columns - cut[1] + 1))
    piece = padded(cropped(sample, y, x, cut), size)
    if turn:
        piece = transposed(piece)
    if up:
        piece = flipped(piece, 0)
    if left:
        piece = flipped(piece, 1)
    return reversed_motion(piece) if sign else piece


def _random_gaps(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """One to six blocks of a thirtieth to a quarter of the side; or all but one window, as of a small scene."""
    if rng.random() < _SMALL_SCENES:
        height, width = (round(n * float(rng.uniform(1 / 8, 3 / 4))) for n in shape)
        y, x = int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1))
        gaps = np.ones(shape, np.bool_)
        gaps[y : y + height, x : x + width] = False
        return gaps
    gaps = np.zeros(shape, np.bool_)
    for _ in range(int(rng.integers(1, 7))):
        height, width = (max(1, round(n * float(rng.uniform(1 / 30, 1 / 4)))) for n in shape)
        y, x = int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1))
        gaps[y : y + height, x : x + width] = True
    return gaps


def _settled(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mark the nodes from which a difference starts as those with data, as `network_planes` does."""
    planes[_KNOWN] = (planes[_SIGMA[0]] > 0) | (planes[_SIGMA[1]] > 0)
    planes *= planes[_KNOWN]
    return planes


def _judged(labels: NDArray[np.uint8], whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Set bodies of which little is left to `IGNORED`."""
    left, before = np.bincount(labels.ravel(), minlength=256), np.bincount(whole.ravel(), minlength=256)
    table = np.arange(256, dtype=np.uint8)
    table[1:][left[1:] < np.minimum(before[1:], np.maximum(LEAST_NODES, LEAST_SHARE * before[1:]))] = IGNORED
    return table[labels]


def _renumbered(sample: Sample, first: int) -> tuple[NDArray[np.uint8], list[Body]]:
    """Give the bodies that are there new numbers, after `first` others; those beyond the last number are not judged."""
    table = np.zeros(256, np.uint8)
    table[IGNORED] = IGNORED
    kept: list[Body] = []
    for k in _numbers(sample.labels):
        if first + len(kept) + 1 < IGNORED:
            kept.append(sample.bodies[k - 1])
            table[k] = first + len(kept)
        else:
            table[k] = IGNORED
    return table[sample.labels], kept


def _numbers(labels: NDArray[np.uint8]) -> list[int]:
    """Return the labels of the bodies that are there."""
    return [int(k) for k in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)) if k not in (0, IGNORED)]
