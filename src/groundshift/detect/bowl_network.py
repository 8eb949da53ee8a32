"""Networks for mining subsidence at work: one interferogram of any size in; footprints, unwrapped phase, doubt out."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.detect.join import join_tiles
from groundshift.detect.models import checksum, find_model, list_models
from groundshift.detect.session import open_session, wrong_model
from groundshift.detect.tiling import padded, tiles
from groundshift.gradients.integrate import integrate
from groundshift.types import Window

__all__ = ["BowlNetwork", "BowlView", "phase_of"]

_OUTPUTS: dict[str, tuple[str, ...]] = {
    "bowls": ("probability", "down", "right", "error"),
    "footprint": ("probability",),
    "unwrapped": ("phase",),
}
"""For each kind what the network tells."""
_INPUT = "interferogram"
_PLANES = ["wrapped", "coherence"]
_MADE_UP = 0.01
"""Share that differences count by where there are no data."""
_TOLERANCE = 1e-3
"""Share of the misfit that the sum of differences is allowed to leave."""
_LEAST_SAY = np.float32(1e-6)
"""Weight of a tile where its neighbours know more, and factor on the weights where there are no data.

Not zero: a neighbour without data is not run, and what a network says of a gap in the data stays. Too little to be
heard beside others, or in what tells the levels of tiles.
"""


class BowlView(NamedTuple):
    """What a network sees in one interferogram; (y, x) float32 arrays, None where it is not of the kind to tell."""

    probability: NDArray[np.float32] | None
    """That the ground moves by itself, 0 to 1; 0 without data."""
    phase: NDArray[np.float32] | None
    """Unwrapped, radians, up to a constant; NaN where no tile with data lies."""
    error: NDArray[np.float32] | None
    """Mean magnitude of the error of its differences between neighbours, radians; likewise."""


@dataclass(frozen=True)
class BowlNetwork:
    """A model, ready to run."""

    name: str
    """Name of a shipped model; of a file the name in its metadata, else that of the file."""
    path: Path
    checksum: str
    """SHA-256 of the file."""
    kind: Literal["bowls", "footprint", "unwrapped"]
    session: Any = field(repr=False)
    """The `onnxruntime.InferenceSession`."""

    @classmethod
    def load(cls, name_or_path: str | Path, threads: int | None = None) -> Self:
        """Load a model; `threads` as of `groundshift.detect.network.NetworkDetector.load`.

        Raises
        ------
        MissingFileError
            If there is no such model.
        DamagedFileError
            If a shipped model is not the file that was shipped.
        UnknownFormatError
            If the file is not a model for mining subsidence.
        """
        path = find_model(name_or_path)
        session = open_session(path, threads)
        metadata = session.get_modelmeta().custom_metadata_map
        kind = metadata.get("groundshift.kind")
        if kind not in _OUTPUTS:
            raise wrong_model(path, f"groundshift.kind is {kind!r}, expected one of {', '.join(map(repr, _OUTPUTS))}")
        inputs = {value.name: list(value.shape) for value in session.get_inputs()}
        if list(inputs) != [_INPUT] or len(inputs[_INPUT]) != 4 or inputs[_INPUT][1] != len(_PLANES):
            raise wrong_model(path, f"takes {inputs}, expected {_INPUT} of {len(_PLANES)} planes")
        if (planes := metadata.get("groundshift.planes")) != json.dumps(_PLANES):
            raise wrong_model(path, f"looks at {planes}, expected {json.dumps(_PLANES)}")
        if missing := set(_OUTPUTS[kind]) - {value.name for value in session.get_outputs()}:
            raise wrong_model(path, f"has no output {', '.join(sorted(missing))}")
        shipped = str(name_or_path) in list_models()
        name = str(name_or_path) if shipped else metadata.get("groundshift.name") or path.stem
        return cls(re.sub(r"[^\w.-]+", "-", name), path, checksum(path), cast(Any, kind), session)

    def look(self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32]) -> BowlView:
        """Look at one interferogram of any size.

        Parameters
        ----------
        wrapped : (y, x) float array
            Radians.
        coherence : (y, x) float array
            0 to 1; where it is 0, or either is NaN, there are no data.

        Raises
        ------
        ValueError
            If the shapes differ.
        UnknownFormatError
            If the model fails, or its answer has not the shape it should have.
        """
        check_shape("coherence", coherence, wrapped.shape)
        known = np.isfinite(wrapped) & (coherence > 0)
        planes = np.where(known, np.stack([wrapped, coherence]), 0).astype(np.float32)
        parts: dict[str, list[tuple[Window, NDArray[np.float32], NDArray[np.float32]]]] = {}
        for tile in tiles(known):
            window = Window(tile.rows.first, tile.columns.first, *tile.weight.shape)
            weight = np.maximum(tile.weight, _LEAST_SAY) * np.where(known[tile.box], np.float32(1), _LEAST_SAY)
            for name, values in self._run(planes[:, *tile.box]).items():
                parts.setdefault(name, []).append((window, values, weight))
        joined = {name: join_tiles(wrapped.shape, found, level=name == "phase") for name, found in parts.items()}
        if self.kind != "unwrapped":
            joined["probability"] = np.where(known, joined.get("probability", np.float32(0)), np.float32(0))
        nothing = np.full(wrapped.shape, np.nan, np.float32)
        told = {name: joined.get(name, nothing) for name in _OUTPUTS[self.kind]}
        if self.kind == "bowls" and parts:
            told["phase"] = phase_of(told["down"], told["right"], told["error"], known)
        elif self.kind == "bowls":
            told["phase"] = nothing
        return BowlView(told.get("probability"), told.get("phase"), told.get("error"))

    def _run(self, tile: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the model on one tile of (2, y, x)."""
        names, (_, height, width) = _OUTPUTS[self.kind], tile.shape
        filled = padded(tile)[np.newaxis]
        try:
            maps = self.session.run(list(names), {_INPUT: filled})
        except MemoryError:
            raise
        except Exception as error:  # Those of ONNX Runtime have no parent of their own.
            raise wrong_model(self.path, f"fails on an interferogram of {height} x {width}: {error}") from error
        expected = (1, 1, *filled.shape[2:])
        for name, values in zip(names, maps, strict=True):
            if values.shape != expected:
                raise wrong_model(self.path, f"{name} has shape {values.shape}, expected {expected}")
        return {name: values[0, 0, :height, :width] for name, values in zip(names, maps, strict=True)}


def phase_of(
    down: NDArray[np.float32], right: NDArray[np.float32], error: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Add up differences between neighbours to a phase, by least squares.

    Parameters
    ----------
    down, right : (y, x) float32 arrays
        Phase of the next row and of the next column less that of the pixel, radians; not used where NaN.
    error : (y, x) float32 array
        Mean magnitude of their errors, radians.
    known : (y, x) bool array
        Pixels with data; what a network makes up in between only bridges them.

    Returns
    -------
    (y, x) float32 array
        Radians, median zero; NaN where no difference is known.
    """
    told = np.isfinite(down) & np.isfinite(right) & (error > 0)
    weight = np.divide(1, error, out=np.zeros_like(error), where=told) ** 2
    weight = np.where(known, weight, _MADE_UP * weight).astype(np.float32)
    if not (weight[:-1].any() or weight[:, :-1].any()):
        return np.full(down.shape, np.nan, np.float32)
    return integrate(np.where(told, down, 0), np.where(told, right, 0), weight, weight, tolerance=_TOLERANCE)
