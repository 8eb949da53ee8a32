"""Random fields on a periodic plane: smooth hills, fractal detail, and blurs, all through the fast Fourier transform.

Distances are metres, wave numbers cycles per metre. A field repeats at its borders; a scene is cut from a plane that is
larger than itself, so that its opposite borders are not alike. Tensors are (y, x) float32.
"""

import math

import scipy.fft
import torch
from torch import Tensor

from groundshift.simulate.batched.draws import generator

__all__ = ["Fields", "gradient", "level_of", "scored"]

_SAMPLE = 3
"""Percentiles are taken of every third row and column."""


class Fields:
    """Draws Gaussian random fields on one periodic plane; the same seed draws the same ones in the same order.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the plane.
    pixel_m : float
        Pixel in metres.
    seed : sequence of int
        Of all that is drawn.
    device : torch.device
        Where the fields lie.
    """

    def __init__(self, shape: tuple[int, int], pixel_m: float, seed: tuple[int, ...], device: torch.device) -> None:
        self.shape = shape
        self.pixel_m = pixel_m
        self.device = device
        self.generator = generator(device, *seed)
        self._ky = torch.fft.fftfreq(shape[0], pixel_m, device=device)[:, None]
        self._kx = torch.fft.rfftfreq(shape[1], pixel_m, device=device)[None, :]

    @staticmethod
    def plane_of(shape: tuple[int, int], margin: int) -> tuple[int, int]:
        """Return a plane that holds a scene with half a `margin` of pixels on each side and transforms fast."""
        rows, columns = (scipy.fft.next_fast_len(n + margin, real=True) for n in shape)
        return int(rows), int(columns)

    def smooth(self, scale_m: float, *, stretch: float = 1.0, azimuth: float = 0.0) -> Tensor:
        """Draw white noise blurred by a Gaussian of standard deviation `scale_m`, mean 0 and variance 1.

        `stretch` makes it so much longer along `azimuth` (radians from the y axis towards the x axis).
        """
        if stretch == 1.0:
            return self._draw(self._gaussian(scale_m))
        return self._draw(torch.exp(-2 * (math.pi * scale_m) ** 2 * self._k_squared(stretch, azimuth)))

    def fractal(
        self, exponent: float, *, outer_m: float, inner_m: float = 0.0, stretch: float = 1.0, azimuth: float = 0.0
    ) -> Tensor:
        """Draw a field whose power spectrum falls as `k ** -exponent`, mean 0 and variance 1.

        It is white above the wavelength `outer_m` and blurred by a Gaussian of standard deviation `inner_m`.
        """
        k_squared = self._k_squared(stretch, azimuth)
        amplitude = (1 + k_squared * outer_m**2) ** (-exponent / 4)
        if inner_m:
            amplitude = amplitude * self._gaussian(inner_m)
        return self._draw(amplitude)

    def blur(self, field: Tensor, *scales_m: float) -> tuple[Tensor, ...]:
        """Blur a field by Gaussians of these standard deviations, one result each."""
        spectrum = torch.fft.rfft2(field)
        return tuple(torch.fft.irfft2(spectrum * self._gaussian(scale), s=self.shape) for scale in scales_m)

    def _gaussian(self, scale_m: float) -> Tensor:
        """Transfer function of a Gaussian blur."""
        power = -2 * (math.pi * scale_m) ** 2
        along_y: Tensor = torch.exp(power * self._ky**2)
        return along_y * torch.exp(power * self._kx**2)

    def _k_squared(self, stretch: float, azimuth: float) -> Tensor:
        """Square of the wave number, with the one along `azimuth` made larger."""
        if stretch == 1.0:
            square: Tensor = self._ky**2 + self._kx**2
            return square
        sine, cosine = math.sin(azimuth), math.cos(azimuth)
        along: Tensor = self._ky * cosine + self._kx * sine
        across: Tensor = self._kx * cosine - self._ky * sine
        return along**2 * stretch + across**2 / stretch

    def _draw(self, amplitude: Tensor) -> Tensor:
        """Colour white noise by an amplitude of the half spectrum; no mean, variance 1."""
        amplitude[0, 0] = 0
        noise = torch.randn(amplitude.shape, dtype=torch.complex64, generator=self.generator, device=self.device)
        field: Tensor = torch.fft.irfft2(noise * amplitude, s=self.shape, norm="forward")
        return field / field.square().mean().sqrt().clamp_min(1e-30)


def gradient(field: Tensor, pixel_m: float) -> tuple[Tensor, Tensor]:
    """Return the rise per metre along y and along x of a periodic field, by central differences."""
    return (
        (field.roll(-1, 0) - field.roll(1, 0)) / (2 * pixel_m),
        (field.roll(-1, 1) - field.roll(1, 1)) / (2 * pixel_m),
    )


def level_of(field: Tensor, share: float) -> float:
    """Return the level that this share of a field lies below, from a regular sample of its pixels."""
    values = field[::_SAMPLE, ::_SAMPLE].flatten()
    return float(values.kthvalue(min(int(share * values.numel()), values.numel() - 1) + 1).values)


def scored(field: Tensor, least: float) -> Tensor:
    """Return a field less its mean, over its standard deviation or `least` if that is larger."""
    return (field - field.mean()) / field.std().clamp_min(least)
