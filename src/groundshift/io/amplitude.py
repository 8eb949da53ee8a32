"""What every reader of amplitude images delivers: an `AmplitudeImage`, in the geometry it was taken in.

Readers settle number types, byte order and no-data values; detected intensities become amplitudes, complex pixels their
magnitude. Nothing is resampled: where the ground lies in an image its `geometry` tells.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError
from groundshift.geometry.radar import RadarGeometry
from groundshift.types import Window

__all__ = ["AmplitudeImage", "ReadAmplitude"]

ReadAmplitude = Callable[[Window], NDArray[np.float32]]
"""Read amplitude over a window: float32, (height, width), zero where there are no data."""


@dataclass(frozen=True)
class AmplitudeImage:
    """The amplitude of one pass over one place, read lazily.

    `product` names the format, `path` the file or folder given, `sensor` the instrument (`PALSAR`, `PALSAR-2`,
    `Sentinel-1`, or what the file says): dates of one sensor are paired among themselves. `calibration` is the
    amplitude that the product's radiometric scale takes for a backscatter of one (sigma nought), or None where it does
    not tell: backscatter in dB is ``20 log10(amplitude / calibration)``.
    """

    product: str
    path: Path
    day: date
    sensor: str
    geometry: RadarGeometry
    read_window: ReadAmplitude = field(repr=False)
    calibration: float | None = None
    files: tuple[Path, ...] = ()
    """Those that it is read from, for checksums and messages."""

    @property
    def full(self) -> Window:
        """The window that covers the whole image."""
        return Window(0, 0, *self.geometry.shape)

    def read(self, window: Window | None = None) -> NDArray[np.float32]:
        """Read amplitudes.

        Parameters
        ----------
        window : Window, optional
            Part of the image; all of it by default.

        Returns
        -------
        (height, width) float32 array
            Not negative; zero where there are no data, also where the file has NaN or infinite values.

        Raises
        ------
        DamagedFileError
            If the file is truncated or unreadable.
        """
        window = window or self.full
        found = self.read_window(window)
        if found.shape != (window.height, window.width):
            raise DamagedFileError(
                f"{self.path}: expected {window.height} x {window.width} pixels, instead got "
                f"{found.shape[0]} x {found.shape[1]}; fetch the file again"
            )
        return found
