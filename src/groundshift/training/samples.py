"""Samples to train on and to judge by: the planes of one time window of one scene, and what is true there.

On disk a sample is one `.npz` file of plain arrays, readable without running any code; a folder of samples is a data
set. Splits go by scene: every sample names the scene it was cut from.
"""

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.planes import PLANES
from groundshift.errors import DamagedFileError, NoDataError
from groundshift.io.atomic import atomic_path

__all__ = [
    "BEHAVIOURS",
    "IGNORED",
    "Body",
    "Sample",
    "boxes_of",
    "judged",
    "list_samples",
    "read_sample",
    "write_sample",
]

BEHAVIOURS = ("steady", "seasonal", "accelerating", "stick-slip", "unknown")
"""How a body moves in time."""

IGNORED = 255
"""Label of nodes that count neither for nor against a detector."""

_FIELDS = ("planes", "labels", "bodies", "scene", "window", "pixel_m", "radians", "total_pairs")


class Body(NamedTuple):
    """What is true of one body of a sample."""

    velocity: float
    """Peak velocity in the line of sight over the sample's time window, mm/yr, positive towards the satellite."""
    speed: float
    """Peak of the long-term velocity in the line of sight, mm/yr, without sign."""
    length_m: float
    width_m: float
    behaviour: str
    """One of `BEHAVIOURS`."""
    visibility: float = math.inf
    """Standard errors by which the body's gradients stand out of the noise when all of its nodes are taken together, to
    an observer who knows what to look for; infinite where somebody has seen it."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One map with its truth."""

    planes: NDArray[np.float32] = field(repr=False)
    """(8, y, x), as named by `groundshift.detect.planes.PLANES`."""
    labels: NDArray[np.uint8] = field(repr=False)
    """(y, x): 0 quiet ground, k the k-th body, `IGNORED` what is not to be judged."""
    bodies: tuple[Body, ...]
    """In the order of their labels; one whose label is nowhere lies outside."""
    scene: str
    """What the sample was cut from; samples of one scene never lie on both sides of a split."""
    window: str
    """Time window, such as `all` or `wet`."""
    pixel_m: float
    """Distance of nodes, metres."""
    radians: float
    """Radians of Fu et al. (2022) per mm/yr of difference between neighbouring nodes."""
    total_pairs: int

    def gradient_radians(self) -> NDArray[np.float32]:
        """(2, y, x): the summed phase differences along y and x, radians per step, as Fu et al. (2022) shows them."""
        step = self.pixel_m / 40.0
        return np.asarray(self.planes[2:4] * np.float32(self.radians * step), np.float32)


def boxes_of(labels: NDArray[np.uint8]) -> dict[int, tuple[float, float, float, float]]:
    """Return the boxes of all bodies in a label map.

    Returns
    -------
    dict
        Label: (x0, y0, x1, y1) in nodes, outer edges, so that a body of one node has a box of one by one.
    """
    found = {}
    for label in np.unique(labels):
        if label in (0, IGNORED):
            continue
        rows, columns = np.nonzero(labels == label)
        found[int(label)] = (
            float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
        )  # fmt: skip
    return found


def judged(sample: Sample, least_visibility: float) -> Sample:
    """Return a sample whose bodies of less visibility are ignored.

    Parameters
    ----------
    sample : Sample
    least_visibility : float
        Standard errors.
    """
    faint = [k for k, body in enumerate(sample.bodies, start=1) if body.visibility < least_visibility]
    if not faint:
        return sample
    return replace(sample, labels=np.where(np.isin(sample.labels, faint), np.uint8(IGNORED), sample.labels))


def write_sample(path: Path, sample: Sample) -> None:
    """Write a sample; planes are kept in half precision.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    rows = [
        (b.velocity, b.speed, b.length_m, b.width_m, BEHAVIOURS.index(b.behaviour), b.visibility) for b in sample.bodies
    ]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        planes=sample.planes.astype(np.float16),
        labels=sample.labels,
        bodies=np.array(rows, np.float32).reshape(-1, 6),
        scene=np.array(sample.scene),
        window=np.array(sample.window),
        pixel_m=np.array(sample.pixel_m, np.float64),
        radians=np.array(sample.radians, np.float64),
        total_pairs=np.array(sample.total_pairs, np.int64),
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_sample(path: Path) -> Sample:
    """Read a sample.

    Raises
    ------
    DamagedFileError
        If the file is not a whole sample.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            fields = {name: data[name] for name in _FIELDS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedFileError(f"{path}: not a sample ({error}); make it again or take it out of the folder") from error
    planes, labels, bodies = fields["planes"], fields["labels"], fields["bodies"]
    if planes.ndim != 3 or planes.shape[0] != len(PLANES) or labels.shape != planes.shape[1:]:
        raise DamagedFileError(
            f"{path}: planes must have shape ({len(PLANES)}, y, x) and labels (y, x), instead got {planes.shape} and "
            f"{labels.shape}; make it again or take it out of the folder"
        )
    return Sample(
        planes.astype(np.float32),
        labels.astype(np.uint8),
        tuple(
            Body(float(v), float(s), float(a), float(w), BEHAVIOURS[int(k)], float(d)) for v, s, a, w, k, d in bodies
        ),
        str(fields["scene"]),
        str(fields["window"]),
        float(fields["pixel_m"]),
        float(fields["radians"]),
        int(fields["total_pairs"]),
    )


def list_samples(folder: Path) -> Sequence[Path]:
    """Return the samples in a folder and below, in the order of their names.

    Raises
    ------
    NoDataError
        If there is none.
    """
    found = sorted(folder.rglob("*.npz"))
    if not found:
        raise NoDataError(f"{folder}: holds no samples (*.npz); make some with `groundshift samples -o`")
    return found
