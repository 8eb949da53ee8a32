"""Random streams and fields of the batched simulator.

Every stream is named by whole numbers, such as the seed, what it is for, and a date: what one stream gives does not
depend on which others were asked for before it.
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["PowerLaw", "generator", "per_scene"]

_MARGIN = 1.3
"""Side of the periodic domain that a field is cut from, relative to the field."""
_REFERENCE_M = 10_000.0


def generator(device: torch.device, *stream: int) -> torch.Generator:
    """Return the generator of one random stream on a device."""
    state = np.random.SeedSequence(stream).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))


def per_scene(values: Sequence[float] | NDArray[np.float64], device: torch.device) -> Tensor:
    """Return one number per scene as a float32 (B, 1, 1) tensor, to be spread over pixels."""
    return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)[:, None, None]


class PowerLaw:
    """Gaussian fields whose two-dimensional power spectrum falls as `k ** -exponent`, for B scenes at once.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    spacing_m : float
        Pixel, metres.
    exponents : sequence of float
        One per scene: 11/3 gives a structure function that grows as r^(5/3), 8/3 as r^(2/3).
    device : torch.device
    stretch, bearings : sequence of float, optional
        How many times longer structures are along the bearing than across it, and the bearing in radians from the
        columns' axis; 1 by default.

    Notes
    -----
    The fields are cut from a periodic domain 1.3 times their size. They are scaled so that the structure function
    D(r) = 2 sum P(k) (1 - cos 2 pi k r), the mean of both axes, is that of strength 1 at 10 km at a quarter of the
    shorter side: D(r) = (r / 10 km)^(exponent - 2). So the strength means the same on tiles much smaller than 10 km.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        spacing_m: float,
        exponents: Sequence[float],
        device: torch.device,
        *,
        stretch: Sequence[float] | None = None,
        bearings: Sequence[float] | None = None,
    ) -> None:
        self.shape = shape
        self.device = device
        self._size = tuple(2 * scipy.fft.next_fast_len(math.ceil(_MARGIN * n / 2)) for n in shape)
        stretch = stretch if stretch is not None else [1.0] * len(exponents)
        bearings = bearings if bearings is not None else [0.0] * len(exponents)
        amplitudes = [
            self._amplitude(spacing_m, *law) for law in zip(exponents, stretch, bearings, strict=True)
        ]  # fmt: skip
        self._amplitudes = torch.tensor(np.stack(amplitudes), dtype=torch.float32, device=device)

    def draw(self, source: torch.Generator) -> Tensor:
        """Draw a field of each scene: (B, y, x) float32, mean zero over the domain."""
        spectrum = torch.randn(self._amplitudes.shape, dtype=torch.complex64, device=self.device, generator=source)
        spectrum *= self._amplitudes
        field: Tensor = torch.fft.irfft2(spectrum, s=self._size, norm="forward")
        return field[:, : self.shape[0], : self.shape[1]].contiguous()

    def _amplitude(self, spacing_m: float, exponent: float, stretch: float, bearing: float) -> NDArray[np.float64]:
        """Amplitudes of the half spectrum: (rows, columns // 2 + 1)."""
        rows, columns = self._size
        ky = np.fft.fftfreq(rows, spacing_m)[:, None]
        kx = np.fft.rfftfreq(columns, spacing_m)[None, :]
        along = kx * math.cos(bearing) + ky * math.sin(bearing)
        across = ky * math.cos(bearing) - kx * math.sin(bearing)
        k = np.hypot(along * math.sqrt(stretch), across / math.sqrt(stretch))
        k[0, 0] = np.inf
        power = (k * min(rows, columns) * spacing_m) ** -exponent
        # Each column but the first and the last stands for itself and its mirror image.
        twice = np.full(kx.shape[1], 2.0)
        twice[0] = twice[-1] = 1.0
        lag = min(self.shape) * spacing_m / 4
        both = (1 - np.cos(2 * math.pi * lag * ky)) + (1 - np.cos(2 * math.pi * lag * kx))
        structure = float((power * twice * both).sum())
        wanted = (lag / _REFERENCE_M) ** (exponent - 2)
        # The inverse transform keeps the real part alone of the first and the last column, half their power.
        return np.asarray(np.sqrt(power * (2 / twice) * (wanted / structure)), np.float64)
