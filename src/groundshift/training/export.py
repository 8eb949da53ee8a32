"""From a trained network to an ONNX file that surveys run without torch.

The file says in its metadata what it is, see `groundshift.detect.network`. It is only written if ONNX Runtime computes
from it what torch computes.
"""

import copy
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from groundshift import __version__
from groundshift.detect.planes import PLANES
from groundshift.errors import GroundshiftError
from groundshift.io.atomic import atomic_path
from groundshift.training.protocols import Exportable
from groundshift.training.tasks import STRIDE

__all__ = ["ExportError", "Metadata", "compare", "export_onnx", "write_traced"]

OPSET = 18
"""Version of the operators of ONNX."""
MOST_DIFFERENCE = 1e-4
"""Answers of ONNX Runtime may differ from those of torch by this; where values exceed 1, relative to the largest."""
MOST_ROUNDING = 4.0
"""Or by so many times what rounding to single precision does to those of torch, in networks of many layers."""

_OUTPUTS = {
    "bodies": ("body", "offset"),
    "boxes": ("boxes", "scores"),
    "bowls": ("probability", "down", "right", "error"),
    "footprint": ("probability",),
    "unwrapped": ("phase",),
    "coherent": ("probability",),
    "footprint_of_many": ("probability",),
    "fringes": ("score",),
}
_INPUTS = {"bodies": "planes", "boxes": "gradient"}
"""The others take an `interferogram`."""
_SHAPES = [(2, 2 * STRIDE, 3 * STRIDE), (1, STRIDE, STRIDE), (3, 3 * STRIDE, 2 * STRIDE)]
"""Batch, rows and columns of what is traced, and of what the file is then tried on."""


class ExportError(GroundshiftError, ValueError):
    """An exported network does not compute what the trained one does."""


@dataclass(frozen=True)
class Metadata:
    """What a model file tells of itself."""

    name: str
    """Name to show."""
    config: Mapping[str, Any]
    """How it was trained, plain values."""
    slope: float = 1.0
    """Slope and intercept of the calibration, see `groundshift.detect.calibration`."""
    intercept: float = 0.0
    least_score: float = 0.5
    """Probability from which on a detection counts."""

    def properties(self, kind: str, planes: Sequence[str]) -> dict[str, str]:
        """Return the metadata as ONNX keeps them."""
        calibration = {"slope": self.slope, "intercept": self.intercept, "least_score": self.least_score}
        return {
            "groundshift.kind": kind,
            "groundshift.name": self.name,
            "groundshift.version": __version__,
            "groundshift.config": json.dumps(self.config),
            "groundshift.calibration": json.dumps(calibration),
            "groundshift.planes": json.dumps(list(planes)),
        }


def export_onnx(task: Exportable, model: nn.Module, path: Path, metadata: Metadata) -> float:
    """Write a network as ONNX.

    Batch, height and width are free; height and width must be multiples of 32. Bodies: `planes` (N, 8, y, x) to `body`,
    probability (N, 1, y, x), and `offset` (N, 2, y, x) in nodes. Boxes: `gradient` (N, 1, y, x), in
    radians over four, to `boxes` (N, M, 4) in nodes and `scores` (N, M). Networks that look at one interferogram:
    `interferogram` (N, c, y, x), wrapped phase in radians, coherence, and amplitude of some, to maps (N, 1, y, x):
    `probability` of ground that moves, or of coherent ground, unwrapped `phase` in radians, mean `error` of it in
    radians; each those of them that it tells. Footprints of many: the same of N interferograms of one place, to one map
    (1, 1, y, x). Fringes: `interferogram` of 150 x 150 pixels, or of more where the task's
    `free_size` says so, to `score` (N, 1, cells, cells).

    Parameters
    ----------
    task : Exportable
        What the network does.
    model : nn.Module
        On the CPU.
    path : path
        File to write; replaced if it is there.
    metadata : Metadata
        What the file tells of itself.

    Returns
    -------
    float
        Largest difference found between ONNX Runtime and torch, relative to the largest value where that exceeds 1.

    Raises
    ------
    ExportError
        If ONNX Runtime computes something else than torch; nothing is written.
    OutputError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        exported = write_traced(task, model, temporary)
        written = onnx.load(temporary)
        onnx.helper.set_model_props(written, metadata.properties(task.kind, task.planes))
        onnx.save(written, temporary)
        return compare(task, exported, temporary, path)


def compare(task: Exportable, exported: nn.Module, file: Path, path: Path) -> float:
    """Return how far ONNX Runtime is with a file from what torch computes; `path` is its name in messages.

    Raises
    ------
    ExportError
        If that is more than rounding.
    """
    name = _INPUTS.get(task.kind, "interferogram")
    _, *tried = getattr(task, "examples", _SHAPES)
    return max(_checked(exported, file, path, name, _example(task, shape)) for shape in tried)


def write_traced(task: Exportable, model: nn.Module, path: Path) -> nn.Module:
    """Write a network as ONNX, without metadata and unchecked; return the form that was written."""
    exported = task.exported(model).eval()
    name = _INPUTS.get(task.kind, "interferogram")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # By tracing: it takes a fiftieth of the time of the exporter that reads the program; the result is checked.
        torch.onnx.export(
            exported,
            (torch.from_numpy(_example(task, getattr(task, "examples", _SHAPES)[0])),),
            path,
            input_names=[name],
            output_names=list(_OUTPUTS[task.kind]),
            opset_version=OPSET,
            dynamo=False,
            dynamic_axes=_free_axes(task, name),
        )
    return exported


def _free_axes(task: Exportable, name: str) -> dict[str, dict[int, str]]:
    """Name the axes whose length is free."""
    image = {0: "batch"}
    outputs = {"boxes": {0: "batch", 1: "box"}, "scores": {0: "batch", 1: "box"}}
    if getattr(task, "free_size", True):
        outputs["score"] = {0: "batch", 2: "cell_rows", 3: "cell_columns"}
        image |= {2: "rows", 3: "columns"}
    if task.kind == "footprint_of_many":
        outputs["probability"] = {2: "rows", 3: "columns"}
    return {name: image, **{output: outputs.get(output, image) for output in _OUTPUTS[task.kind]}}


def _example(task: Exportable, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Draw inputs as they occur; of planes some nodes are without data."""
    rng = np.random.default_rng(shape)
    channels = 1 if task.kind == "boxes" else len(task.planes)
    drawn = rng.standard_normal((shape[0], channels, *shape[1:])).astype(np.float32)
    if task.kind == "boxes":
        return np.clip(drawn, -1, 1)
    known = rng.random((shape[0], 1, *shape[1:])) < 0.9
    if task.kind != "bodies":
        # All but the wrapped phase lies between 0 and 1.
        others = [k for k, plane in enumerate(task.planes) if plane != "wrapped"]
        drawn[:, others] = np.clip(np.abs(drawn[:, others]), 0.01, 1)
        return np.asarray(np.clip(drawn, -np.pi, np.pi) * known, np.float32)
    drawn[:, [PLANES.index("significance_y"), PLANES.index("significance_x")]] *= 5
    positive = [PLANES.index(p) for p in ("sigma_y", "sigma_x", "coherence")]
    drawn[:, positive] = np.clip(np.abs(drawn[:, positive]), 0, 1)
    drawn[:, PLANES.index("known")] = 1
    return np.asarray(drawn * known, np.float32)


def _checked(exported: nn.Module, file: Path, path: Path, name: str, inputs: NDArray[np.float32]) -> float:
    """Return how far ONNX Runtime is from torch; stop if that is more than rounding.

    What rounding does is seen from torch in double precision.
    """
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: inputs})
    with torch.inference_mode():
        single = [value.numpy() for value in exported(torch.from_numpy(inputs))]
        double = [value.numpy() for value in copy.deepcopy(exported).double()(torch.from_numpy(inputs).double())]
    difference, rounding = _apart(found, single), _apart(single, double)
    if not (math.isfinite(difference) and difference <= max(MOST_DIFFERENCE, MOST_ROUNDING * rounding)):
        raise ExportError(
            f"{path}: ONNX Runtime differs from torch by {difference:.2g}, expected at most {MOST_DIFFERENCE:g}; "
            'install the versions of pip install "groundshift[train]"'
        )
    return difference


def _apart(a: Sequence[NDArray[np.floating]], b: Sequence[NDArray[np.floating]]) -> float:
    """Return the largest difference, where values exceed 1 relative to the largest of an output; NaN counts most."""
    found = [float((np.abs(x - y) / max(1.0, float(np.abs(y).max()))).max()) for x, y in zip(a, b, strict=True)]
    return max(math.inf if math.isnan(value) else value for value in found)
