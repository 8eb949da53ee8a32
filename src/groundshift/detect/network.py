"""A trained network at work: from the planes of a stack to bodies with probabilities.

Models are ONNX files that say in their metadata what they are: `groundshift.kind`, whether they draw bodies (Panoptic
maps: body, offset) or boxes (the detectors of Fu et al. (2022)), and `groundshift.calibration`, how their
scores become probabilities. ONNX Runtime computes them; torch is not needed.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.detect.bodies import decode_bodies
from groundshift.detect.boxes import cut_at_edges, decode_boxes, merge_directions
from groundshift.detect.calibration import calibrated
from groundshift.detect.models import checksum, find_model, list_models
from groundshift.detect.planes import PLANES
from groundshift.detect.prediction import Prediction
from groundshift.detect.session import open_session, wrong_model
from groundshift.detect.tiling import blend_tiles, padded, tiles

__all__ = ["Calibration", "NetworkDetector"]

_NAMES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "bodies": ("planes", len(PLANES), ("body", "offset")),
    "boxes": ("gradient", 1, ("boxes", "scores")),
}
"""For each kind the name of the input, its channels, and the names of the outputs."""

_MOST_RADIANS = 4.0
"""Fu et al. (2022) scales its maps from -4 to 4 rad."""

_LEAST_BOX_SCORE = 0.05
"""Raw score below which a box is not kept; networks answer with one at every node."""


class Calibration(NamedTuple):
    """How raw scores become probabilities, and from which on a detection counts."""

    slope: float
    intercept: float
    least_score: float
    """Probability from which on a detection is kept unless a survey is told otherwise."""


@dataclass(frozen=True)
class NetworkDetector:
    """A model, ready to run."""

    name: str
    """Name of a shipped model; of a file the name in its metadata, else that of the file."""
    path: Path
    checksum: str
    """SHA-256 of the file."""
    kind: Literal["bodies", "boxes"]
    calibration: Calibration
    session: Any = field(repr=False)
    """The `onnxruntime.InferenceSession`."""

    @classmethod
    def load(cls, name_or_path: str | Path, threads: int | None = None) -> Self:
        """Load a model.

        Parameters
        ----------
        name_or_path : str or path
            Name of a shipped model, or an `.onnx` file.
        threads : int, optional
            Threads that it may use; as many as there are cores by default.

        Raises
        ------
        MissingFileError
            If there is no such model.
        DamagedFileError
            If a shipped model is not the file that was shipped.
        UnknownFormatError
            If the file is not a model for Groundshift.
        """
        path = find_model(name_or_path)
        session = open_session(path, threads)
        metadata = session.get_modelmeta().custom_metadata_map
        kind = metadata.get("groundshift.kind")
        if kind not in _NAMES:
            raise wrong_model(path, f"groundshift.kind is {kind!r}, expected one of {', '.join(map(repr, _NAMES))}")
        into, channels, out = _NAMES[kind]
        inputs = {value.name: list(value.shape) for value in session.get_inputs()}
        if list(inputs) != [into] or len(inputs[into]) != 4 or inputs[into][1] != channels:
            raise wrong_model(path, f"takes {inputs}, expected {into} of {channels} planes")
        planes = metadata.get("groundshift.planes")
        if kind == "bodies" and planes is not None and planes != json.dumps(PLANES):
            raise wrong_model(path, f"looks at {planes}, expected {json.dumps(PLANES)}")
        missing = set(out) - {value.name for value in session.get_outputs()}
        if missing:
            raise wrong_model(path, f"has no output {', '.join(sorted(missing))}")
        shipped = str(name_or_path) in list_models()
        name = str(name_or_path) if shipped else metadata.get("groundshift.name") or path.stem
        return cls(
            name=re.sub(r"[^\w.-]+", "-", name),
            path=path,
            checksum=checksum(path),
            kind=kind,
            calibration=_calibration(path, metadata.get("groundshift.calibration", "")),
            session=session,
        )

    def predict(self, planes: NDArray[np.float32], radians: NDArray[np.float32] | None = None) -> list[Prediction]:
        """Find bodies on one map of any size.

        Parameters
        ----------
        planes : (8, y, x) float array
            As `groundshift.detect.planes.network_planes` gives them.
        radians : (2, y, x) float array, optional
            Summed phase differences along rows and columns, radians per step, as Fu et al. (2022) shows them; needed by
            a model that draws boxes. NaN where unknown.

        Returns
        -------
        list of Prediction
            With calibrated scores, the highest first, the faint ones too. With masks if the model draws bodies.

        Raises
        ------
        ValueError
            If an argument has another shape, or `radians` is missing.
        UnknownFormatError
            If the model fails on these maps, or its answer has not the shape it should have.
        """
        shape = planes.shape[1:]
        check_shape("planes", planes, (len(PLANES), *shape))
        known = planes[PLANES.index("known")] > 0
        if self.kind == "bodies":
            found = self._bodies(planes, known)
        else:
            if radians is None:
                raise ValueError(f"radians must be given to {self.name}, which looks at both gradients in radians")
            check_shape("radians", radians, (2, *shape))
            found = cut_at_edges(merge_directions(*(self._boxes(gradient, known) for gradient in radians)), known.shape)
        scores = calibrated([p.score for p in found], self.calibration.slope, self.calibration.intercept)
        return [p._replace(score=float(score)) for p, score in zip(found, scores, strict=True)]

    def _bodies(self, planes: NDArray[np.float32], known: NDArray[np.bool_]) -> list[Prediction]:
        """Read bodies from the maps of the network."""

        def run(tile: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
            maps = [values[0] for values in self._run(tile)]
            for name, values, channels in zip(_NAMES["bodies"][2], maps, (1, 2), strict=True):
                if values.shape != (channels, *tile.shape[1:]):
                    raise wrong_model(self.path, f"{name} has shape {values.shape} for planes of {tile.shape}")
            return maps

        maps = blend_tiles(run, planes, known)
        return decode_bodies(maps[0][0], maps[1], known) if maps else []

    def _boxes(self, radians: NDArray[np.float32], known: NDArray[np.bool_]) -> list[Prediction]:
        """Find boxes on the gradient along one direction."""
        clipped = np.clip(np.nan_to_num(radians) / _MOST_RADIANS, -1, 1).astype(np.float32)
        gradient = np.where(known, clipped, np.float32(0))
        places, marks = [np.zeros((0, 4))], [np.zeros(0)]
        for tile in tiles(known):
            boxes, scores = (values[0] for values in self._run(padded(gradient[tile.box])[np.newaxis]))
            if boxes.shape != (*scores.shape, 4):
                raise wrong_model(self.path, f"boxes have shape {boxes.shape} and scores {scores.shape}")
            at = boxes + np.array([tile.columns.first, tile.rows.first] * 2)
            # Each tile answers for its own core; what lies beyond is seen whole by a neighbour.
            x = np.clip((at[:, 0] + at[:, 2]) / 2, 0, known.shape[1] - 1)
            y = np.clip((at[:, 1] + at[:, 3]) / 2, 0, known.shape[0] - 1)
            (top, bottom), (left, right) = tile.rows.core, tile.columns.core
            own = (scores >= _LEAST_BOX_SCORE) & (y >= top) & (y < bottom) & (x >= left) & (x < right)
            places.append(at[own])
            marks.append(scores[own])
        return decode_boxes(np.concatenate(places), np.concatenate(marks), least_score=_LEAST_BOX_SCORE)

    def _run(self, tile: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the model on one tile of (channel, y, x)."""
        into, _, out = _NAMES[self.kind]
        try:
            return list(self.session.run(list(out), {into: np.ascontiguousarray(tile[np.newaxis], np.float32)}))
        except MemoryError:
            raise
        except Exception as error:  # Those of ONNX Runtime have no parent of their own.
            raise wrong_model(self.path, f"fails on a map of {tile.shape[1]} x {tile.shape[2]}: {error}") from error


def _calibration(path: Path, text: str) -> Calibration:
    """Read the calibration from the metadata."""
    try:
        found = json.loads(text)
        calibration = Calibration(*(float(found[name]) for name in Calibration._fields))
    except (ValueError, TypeError, KeyError) as error:
        wanted = ", ".join(Calibration._fields)
        raise wrong_model(path, f"groundshift.calibration is {text!r}, expected {wanted}") from error
    if not (all(map(math.isfinite, calibration)) and calibration.slope > 0 and 0 <= calibration.least_score <= 1):
        raise wrong_model(
            path, f"groundshift.calibration is {text!r}, expected a positive slope and a least_score of 0 to 1"
        )
    return calibration
