"""What single interferograms have shown before, so that a run that was stopped goes on where it was."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from groundshift import __version__
from groundshift.detect.segments import SegmentNetwork
from groundshift.io.atomic import write_text
from groundshift.io.stack import InterferogramStack
from groundshift.types import Pair
from groundshift.workflows.resume import file_marks
from groundshift.workflows.segments_config import SegmentsConfig

__all__ = ["Looked"]

_LOOKED = "looked.json"
"""Beside the maps of a track: from what the map of each pair was made."""


class Looked:
    """The pairs of a track that were looked at, with the same model, settings and files.

    Parameters
    ----------
    folder : path
        Of the track.
    stack : InterferogramStack
    options : SegmentsConfig
    network : SegmentNetwork
    """

    def __init__(
        self, folder: Path, stack: InterferogramStack, options: SegmentsConfig, network: SegmentNetwork
    ) -> None:
        self._folder, self._stack = folder, stack
        # The pictures show outlines, so that what these depend on counts as well.
        facts = [__version__, stack.product, stack.grid.shape, network.checksum]
        self._told = [*facts, options.pixel, options.probability, options.pixels]
        self._marks = self._read()

    def recall(self, pair: Pair, shape: tuple[int, int]) -> NDArray[np.float32] | None:
        """Return the probability of (y, x) pixels that is there for a pair; None unless it was made from the same."""
        path, picture = (self._folder / f"{pair.name}{end}" for end in ("_probability.tif", ".png"))
        if self._marks.get(pair.name) != self._mark(pair) or not picture.exists():
            return None
        try:
            with rasterio.open(path) as source:
                probability = np.asarray(source.read(1), np.float32)
        except (RasterioError, OSError):
            return None
        return probability if probability.shape == shape else None

    def keep(self, pair: Pair) -> None:
        """Note that the maps of a pair are there."""
        self._marks[pair.name] = self._mark(pair)
        write_text(self._folder / _LOOKED, json.dumps(self._marks) + "\n")

    def _mark(self, pair: Pair) -> str:
        """Tell from what the map of a pair is made."""
        return hashlib.sha256(json.dumps([*self._told, pair.name, file_marks(self._stack, pair)]).encode()).hexdigest()

    def _read(self) -> dict[str, Any]:
        """Read the marks of an earlier run."""
        try:
            found = json.loads((self._folder / _LOOKED).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
