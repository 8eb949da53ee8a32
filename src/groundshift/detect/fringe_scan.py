"""Scenes scanned for fringes of landslides: one score per cell of 10 x 10 pixels, and the places that score high.

The score of a cell is that of the window of 150 x 150 pixels around it [Kamiyama2018]_. A network without padding
inside tells the scores of a scene in one pass, exactly those of its windows one by one; what these share is computed
once.
Of a network with padding, as the paper's, nothing can be shared: what it computes at a pixel depends on where the
window ends. Its windows are run one by one, in batches.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.checks import check_shape
from groundshift.detect.session import wrong_model
from groundshift.detect.tiled_model import LookingNetwork
from groundshift.geometry import slope_aspect
from groundshift.types import Grid

__all__ = ["CELL", "WINDOW", "FringePlace", "FringeScanner", "find_places", "mean_slope"]

CELL = 10
"""Rows and columns of a cell, pixels; also the step of the scan."""
WINDOW = 150
"""Rows and columns of what is looked at around a cell, pixels."""
_MARGIN = (WINDOW - CELL) // 2
_PLANES = ("wrapped", "coherence")
_OUTPUTS = {"fringes": ("score",)}
_BATCH = 32
"""Windows that are run at once, one by one."""
_STRIP = 2_000_000
"""Pixels of a strip that is run at once."""
_LEAST_DATA = 0.5
"""Share of a cell that must have data for a score."""
_MESH_M = 1000.0
"""Slopes are averaged over so many metres, as in the paper."""
_EIGHT = np.ones((3, 3), np.bool_)


class FringePlace(NamedTuple):
    """Cells that score high and touch each other, also at corners."""

    corner: tuple[int, int]
    """Row and column of the first cell of the mask."""
    mask: NDArray[np.bool_]
    """(y, x) its cells."""
    score: float
    """Highest score, 0 to 1."""
    slope: float
    """Mean slope, degrees; NaN where it is not known."""

    @property
    def cells(self) -> int:
        """How many cells it has."""
        return int(self.mask.sum())


@dataclass(frozen=True)
class FringeScanner(LookingNetwork):
    """A model, ready to scan scenes."""

    OUTPUTS = _OUTPUTS
    PLANES = _PLANES

    @property
    def free_size(self) -> bool:
        """Whether the model takes a whole scene."""
        return not any(isinstance(n, int) for n in self.model.session.get_inputs()[0].shape[2:])

    def scan(
        self, wrapped: NDArray[np.float32], coherence: NDArray[np.float32], *, one_by_one: bool | None = None
    ) -> NDArray[np.float32]:
        """Score all cells of a scene.

        Parameters
        ----------
        wrapped : (y, x) float array
            Radians, without what is large.
        coherence : (y, x) float array
            0 to 1; where it is 0, or either is NaN, there are no data.
        one_by_one : bool, optional
            Run each window by itself, for comparison; by default only where the model takes nothing else.

        Returns
        -------
        (y // 10, x // 10) float32 array
            0 to 1; NaN where less than half of a cell has data. Beyond the scene there are no data.

        Raises
        ------
        ValueError
            If the shapes differ.
        UnknownFormatError
            If the model fails, or its answer has not the shape it should have.
        """
        check_shape("coherence", coherence, wrapped.shape)
        known = np.isfinite(wrapped) & (coherence > 0)
        rows, columns = (n // CELL for n in wrapped.shape)
        if not (rows and columns):
            return np.zeros((rows, columns), np.float32)
        framed = np.zeros((2, rows * CELL + 2 * _MARGIN, columns * CELL + 2 * _MARGIN), np.float32)
        height, width = (min(n, m - _MARGIN) for n, m in zip(wrapped.shape, framed.shape[1:], strict=True))
        inside = framed[:, _MARGIN : _MARGIN + height, _MARGIN : _MARGIN + width]
        inside[...] = np.where(known, np.stack([wrapped, coherence]), 0)[:, :height, :width]
        cells = known[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).mean((1, 3))
        told = cells >= _LEAST_DATA
        alone = not self.free_size if one_by_one is None else one_by_one
        score = self._by_window(framed, told) if alone else self._at_once(framed, told.shape)
        return np.where(told, score, np.float32(np.nan)).astype(np.float32)

    def judge(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score single windows, (n, 2, 150, 150) planes of phase and coherence, zero without data; 0 to 1, (n,).

        Raises
        ------
        UnknownFormatError
            As of `scan`.
        """
        return self._run(windows, (len(windows), 1, 1, 1)).ravel()

    def _at_once(self, framed: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Run strips of rows of cells."""
        score = np.empty(shape, np.float32)
        step = max(1, (_STRIP // framed.shape[2] - WINDOW) // CELL + 1)
        for first in range(0, shape[0], step):
            past = min(first + step, shape[0])
            strip = framed[np.newaxis, :, first * CELL : (past - 1) * CELL + WINDOW]
            score[first:past] = self._run(strip, (1, 1, past - first, shape[1]))[0, 0]
        return score

    def _by_window(self, framed: NDArray[np.float32], told: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Run the windows of cells with data, some at a time."""
        score = np.zeros(told.shape, np.float32)
        places = np.argwhere(told)
        for first in range(0, len(places), _BATCH):
            some = places[first : first + _BATCH]
            windows = np.stack([
                framed[:, CELL * y : CELL * y + WINDOW, CELL * x : CELL * x + WINDOW] for y, x in some
            ])  # fmt: skip
            score[tuple(some.T)] = self.judge(windows)
        return score

    def _run(self, planes: NDArray[np.float32], expected: tuple[int, ...]) -> NDArray[np.float32]:
        """Run the model."""
        try:
            (score,) = self.model.session.run(["score"], {"interferogram": np.ascontiguousarray(planes)})
        except MemoryError:
            raise
        except Exception as error:  # Those of ONNX Runtime have no parent of their own.
            shape = " x ".join(map(str, planes.shape[2:]))
            raise wrong_model(self.model.path, f"fails on an interferogram of {shape}: {error}") from error
        if score.shape != expected:
            raise wrong_model(self.model.path, f"score has shape {score.shape}, expected {expected}")
        return np.asarray(score, np.float32)


def mean_slope(heights: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Return the slope averaged over 1 km around each pixel, degrees; NaN where no slope is known."""
    slope = slope_aspect(heights, grid).slope
    known = np.isfinite(slope)
    sides = [max(1, round(_MESH_M / metres)) for metres in grid.spacing]
    total, count = (
        ndimage.uniform_filter(values.astype(np.float64), sides, mode="constant")
        for values in (np.where(known, slope, 0), known)
    )
    return np.where(count > 1e-9, total / np.maximum(count, 1e-9), np.nan).astype(np.float32)


def find_places(
    score: NDArray[np.float32],
    threshold: float = 0.5,
    *,
    least_cells: int = 2,
    slope: NDArray[np.float32] | None = None,
    least_slope: float | None = None,
) -> list[FringePlace]:
    """Find what hangs together of cells that score high.

    Parameters
    ----------
    score : (y, x) float array
        0 to 1; NaN where not known.
    threshold : float
        Score from which on a cell counts.
    least_cells : int
        Places of fewer cells are dropped. The paper drops what is "less than 10 x 10 pixels", of which cells of that
        size leave nothing to drop; a third of its detections went, which are those of one cell.
    slope : (y, x) float array, optional
        Mean slope of the cells, degrees, NaN where unknown.
    least_slope : float, optional
        Places of a lower mean slope are dropped; those whose slope is not known stay.

    Returns
    -------
    list of FringePlace
        In order of their first rows.
    """
    with np.errstate(invalid="ignore"):
        parts, number = ndimage.label(score >= threshold, _EIGHT)
    found = []
    for k, box in enumerate(ndimage.find_objects(parts, number), start=1):
        mask = parts[box] == k
        if mask.sum() < least_cells:
            continue
        steep = float("nan")
        if slope is not None and np.isfinite(slope[box][mask]).any():
            steep = float(np.nanmean(slope[box][mask]))
        if least_slope is not None and steep < least_slope:
            continue
        found.append(FringePlace((box[0].start, box[1].start), mask, float(score[box][mask].max()), steep))
    return found
