"""Networks for mining subsidence at work: one interferogram of any size in; footprints, unwrapped phase, doubt out."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.detect.tiled_model import LookingNetwork
from groundshift.gradients.integrate import integrate

__all__ = ["BowlNetwork", "BowlView", "phase_of"]

_OUTPUTS: dict[str, tuple[str, ...]] = {
    "bowls": ("probability", "down", "right", "error"),
    "footprint": ("probability",),
    "unwrapped": ("phase",),
}
"""For each kind what the network tells."""
_PLANES = ("wrapped", "coherence")
_LEAST_SCORE = 0.8
"""Of a bowl that networks which tell all of `BowlView` see: from here on half of the false ones are gone on simulated
scenes, and none of the true ones (docs/results.md). DDNet tells the depth relative to the deepest bowl instead."""
_MADE_UP = 0.01
"""Share that differences count by where there are no data."""
_TOLERANCE = 1e-3
"""Share of the misfit that the sum of differences is allowed to leave."""


class BowlView(NamedTuple):
    """What a network sees in one interferogram; (y, x) float32 arrays, None where it is not of the kind to tell."""

    probability: NDArray[np.float32] | None
    """That the ground moves by itself, 0 to 1; 0 without data."""
    phase: NDArray[np.float32] | None
    """Unwrapped, radians, up to a constant; NaN where no tile with data lies."""
    error: NDArray[np.float32] | None
    """Mean magnitude of the error of its differences between neighbours, radians; likewise."""


@dataclass(frozen=True)
class BowlNetwork(LookingNetwork):
    """A model, ready to run."""

    OUTPUTS = _OUTPUTS
    PLANES = _PLANES

    @property
    def kind(self) -> Literal["bowls", "footprint", "unwrapped"]:
        """What it tells: all of `BowlView`, the probability only, or the phase only."""
        return cast(Literal["bowls", "footprint", "unwrapped"], self.model.kind)

    @property
    def least_score(self) -> float:
        """Score from which a bowl counts unless somebody says otherwise, 0 to 1."""
        return _LEAST_SCORE if self.kind == "bowls" else 0.0

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
        told = self.model.run(planes, known, unlevelled=["phase"])
        if self.kind != "unwrapped":
            told["probability"] = np.where(known, told["probability"], np.float32(0))
        if self.kind == "bowls":
            told["phase"] = phase_of(told["down"], told["right"], told["error"], known)
        return BowlView(told.get("probability"), told.get("phase"), told.get("error"))


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
