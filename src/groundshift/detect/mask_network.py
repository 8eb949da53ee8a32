"""A network that masks at work: an interferogram of any size in, the probability of being coherent out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape
from groundshift.detect.tiled_model import LookingNetwork

__all__ = ["MaskNetwork", "amplitude_plane"]

_OUTPUTS = {"coherent": ("probability",)}
_PLANES = ("wrapped", "coherence", "amplitude")
_DECIBELS = 20.0
"""Above and below the median of the scene that are told apart."""
_LEAST = np.float32(0.01)
"""Plane of the darkest ground, for zero is ground without amplitude."""


def amplitude_plane(amplitude: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bring amplitudes to what a network sees of them.

    Parameters
    ----------
    amplitude : (y, x) float array
        Square root of the intensity, in any unit; NaN, infinite or not above zero without data.

    Returns
    -------
    (y, x) float32 array
        0.5 + D / 40 with D = 20 log10(amplitude / median), cut to 0.01 and 1: a half at the median of the scene, 0.01
        at 20 dB below and 1 at 20 dB above. 0 without data.

    Examples
    --------
    >>> amplitude_plane(np.array([[0.1, 1.0, 10.0, np.nan, 1.0]]))
    array([[0.01, 0.5 , 1.  , 0.  , 0.5 ]], dtype=float32)
    """
    known = np.isfinite(amplitude) & (amplitude > 0)
    out = np.zeros(amplitude.shape, np.float32)
    if known.any():
        values = amplitude[known].astype(np.float64)
        decibels = 20 * np.log10(values / np.median(values))
        out[known] = np.clip(0.5 + decibels / (2 * _DECIBELS), _LEAST, 1)
    return out


@dataclass(frozen=True)
class MaskNetwork(LookingNetwork):
    """A model, ready to run."""

    OUTPUTS = _OUTPUTS
    PLANES = _PLANES

    def look(
        self,
        wrapped: NDArray[np.float32],
        coherence: NDArray[np.float32],
        amplitude: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float32]:
        """Tell how likely each pixel of an interferogram of any size is coherent.

        Parameters
        ----------
        wrapped : (y, x) float array
            Radians.
        coherence : (y, x) float array
            0 to 1; where it is 0, or either is NaN, there are no data.
        amplitude : (y, x) float array, optional
            As of `amplitude_plane`.

        Returns
        -------
        (y, x) float32 array
            0 to 1; 0 without data.

        Raises
        ------
        ValueError
            If the shapes differ.
        UnknownFormatError
            If the model fails, or its answer has not the shape it should have.
        """
        check_shape("coherence", coherence, wrapped.shape)
        known = np.isfinite(wrapped) & (coherence > 0)
        bright = np.zeros(wrapped.shape, np.float32)
        if amplitude is not None:
            check_shape("amplitude", amplitude, wrapped.shape)
            bright = amplitude_plane(np.where(known, amplitude, np.nan))
        planes = np.where(known, np.stack([wrapped, coherence, bright]), 0).astype(np.float32)
        return np.where(known, self.model.run(planes, known)["probability"], np.float32(0))
