"""Networks that look at one interferogram: a model file, and its answer for any size by tiles joined without seams."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.join import Blend, join_levelled
from groundshift.detect.models import checksum, find_model, list_models
from groundshift.detect.session import open_session, wrong_model
from groundshift.detect.tiling import padded, tiles
from groundshift.types import Window

__all__ = ["LookingNetwork", "TiledModel"]

_INPUT = "interferogram"
_LEAST_SAY = np.float32(1e-6)
"""Weight of a tile where its neighbours know more, and factor on the weights where there are no data.

Not zero: a neighbour without data is not run, and what a network says of a gap in the data stays. Too little to be
heard beside others, or in what tells the levels of tiles.
"""


@dataclass(frozen=True)
class TiledModel:
    """A model from planes of one interferogram to maps of the same size, ready to run."""

    name: str
    """Name of a shipped model; of a file the name in its metadata, else that of the file."""
    path: Path
    checksum: str
    """SHA-256 of the file."""
    kind: str
    planes: tuple[str, ...]
    """What it looks at."""
    outputs: tuple[str, ...]
    """What it tells."""
    session: Any = field(repr=False)
    """The `onnxruntime.InferenceSession`."""

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        outputs: Mapping[str, Sequence[str]],
        planes: Collection[Sequence[str]],
        threads: int | None = None,
    ) -> Self:
        """Load a model.

        Parameters
        ----------
        name_or_path : str or path
            As of `groundshift.detect.models.find_model`.
        outputs : mapping
            For each kind of model that is welcome, the maps that it must tell.
        planes : collection of sequences of str
            Combinations of planes that are welcome.
        threads : int, optional
            As of `groundshift.detect.network.NetworkDetector.load`.

        Raises
        ------
        MissingFileError
            If there is no such model.
        DamagedFileError
            If a shipped model is not the file that was shipped.
        UnknownFormatError
            If the file is not a model of a welcome kind.
        """
        path = find_model(name_or_path)
        session = open_session(path, threads)
        metadata = session.get_modelmeta().custom_metadata_map
        kind = metadata.get("groundshift.kind")
        if kind not in outputs:
            raise wrong_model(path, f"groundshift.kind is {kind!r}, expected one of {', '.join(map(repr, outputs))}")
        seen = _planes(metadata.get("groundshift.planes"))
        welcome = [tuple(p) for p in planes]
        if seen not in welcome:
            there_are = " or ".join(json.dumps(list(p)) for p in welcome)
            raise wrong_model(path, f"looks at {metadata.get('groundshift.planes')}, expected {there_are}")
        inputs = {value.name: list(value.shape) for value in session.get_inputs()}
        if list(inputs) != [_INPUT] or len(inputs[_INPUT]) != 4 or inputs[_INPUT][1] != len(seen):
            raise wrong_model(path, f"takes {inputs}, expected {_INPUT} of {len(seen)} planes")
        if missing := set(outputs[kind]) - {value.name for value in session.get_outputs()}:
            raise wrong_model(path, f"has no output {', '.join(sorted(missing))}")
        shipped = str(name_or_path) in list_models()
        name = str(name_or_path) if shipped else metadata.get("groundshift.name") or path.stem
        own = re.sub(r"[^\w.-]+", "-", name)
        return cls(own, path, checksum(path), kind, seen, tuple(outputs[kind]), session)

    def run(
        self, planes: NDArray[np.float32], known: NDArray[np.bool_], *, unlevelled: Collection[str] = ()
    ) -> dict[str, NDArray[np.float32]]:
        """Run the model over one interferogram of any size.

        Parameters
        ----------
        planes : (c, y, x) float32 array
            As `planes` names them; zero without data.
        known : (y, x) bool array
            Where there are data; tiles without any are not run.
        unlevelled : collection of str
            Maps that are known up to a constant for each tile, which are brought to one level.

        Returns
        -------
        dict of (y, x) float32 arrays
            By the name of the output; NaN where no tile with data lies.

        Raises
        ------
        UnknownFormatError
            If the model fails, or its answer has not the shape it should have.
        """
        kept: dict[str, list[tuple[Window, NDArray[np.float32], NDArray[np.float32]]]] = {n: [] for n in unlevelled}
        blends = {name: Blend(known.shape) for name in self.outputs if name not in kept}
        for tile in tiles(known):
            window = Window(tile.rows.first, tile.columns.first, *tile.weight.shape)
            weight = np.maximum(tile.weight, _LEAST_SAY) * np.where(known[tile.box], np.float32(1), _LEAST_SAY)
            for name, values in self._run(planes[:, *tile.box]).items():
                if name in kept:
                    kept[name].append((window, values, weight))
                else:
                    blends[name].add(window, values, weight)
        levelled = {name: join_levelled(known.shape, kept[name]) for name in self.outputs if name in kept}
        return levelled | {name: blend.mean() for name, blend in blends.items()}

    def _run(self, tile: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the model on one tile of (c, y, x)."""
        _, height, width = tile.shape
        filled = padded(tile)[np.newaxis]
        try:
            maps = self.session.run(list(self.outputs), {_INPUT: filled})
        except MemoryError:
            raise
        except Exception as error:  # Those of ONNX Runtime have no parent of their own.
            raise wrong_model(self.path, f"fails on an interferogram of {height} x {width}: {error}") from error
        expected = (1, 1, *filled.shape[2:])
        for name, values in zip(self.outputs, maps, strict=True):
            if values.shape != expected:
                raise wrong_model(self.path, f"{name} has shape {values.shape}, expected {expected}")
        return {name: values[0, 0, :height, :width] for name, values in zip(self.outputs, maps, strict=True)}


@dataclass(frozen=True)
class LookingNetwork:
    """What looks at interferograms with a model; each says which models are welcome."""

    OUTPUTS: ClassVar[Mapping[str, Sequence[str]]]
    """For each kind of model that is welcome, the maps that it must tell."""
    PLANES: ClassVar[Sequence[str]]
    """What it must look at."""

    model: TiledModel

    @property
    def name(self) -> str:
        """Name of a shipped model; of a file the name in its metadata, else that of the file."""
        return self.model.name

    @property
    def path(self) -> Path:
        """Of the model."""
        return self.model.path

    @property
    def checksum(self) -> str:
        """SHA-256 of the file."""
        return self.model.checksum

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
            If the file is not a model of a kind that is welcome.
        """
        return cls(TiledModel.load(name_or_path, cls.OUTPUTS, [cls.PLANES], threads))


def _planes(told: str | None) -> tuple[str, ...]:
    """Read the names of planes that a model file tells; none if it tells something else."""
    try:
        names = json.loads(told or "")
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
