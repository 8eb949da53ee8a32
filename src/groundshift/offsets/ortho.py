"""Ortho-rectification: the image of another pass, or of another satellite, on the pixels of the reference.

After [Liu2020]_, steps ii and iii: the lookup table of the geometries, made better twice by what patches of the two
images show, and the amplitude resampled through it. Relief and incidence then shift nothing any more, and what is left
of an offset is motion.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from groundshift.checks import check_shape
from groundshift.io.amplitude import AmplitudeImage
from groundshift.offsets._ortho_kernels import TAPS, interpolate
from groundshift.offsets.errors import OtherPlaceError
from groundshift.offsets.lookup import GroundGrid, LookupTable, lookup_table
from groundshift.offsets.refine import Correction, Residual, fit_correction, match_patches, patch_size, residual_of
from groundshift.types import Window

__all__ = ["Ortho", "orthorectify", "pixel_ratio", "resample"]

_FRACTIONS = 1024
"""Steps of a pixel at which the weights of interpolation are tabulated; half a step is below 0.0005 pixels."""
_KAISER = 5.0
_SMOOTHING = 0.5
"""Standard deviation of the Gaussian before pixels are thinned out, per pixel of the reference."""
_NEXT_SEARCH = 5
"""Pixels that the second and third matching look around; the first correction leaves less than one."""
_FIRST_LOOKS = 2
"""Pixels averaged along each side before the first matching, which searches farthest, in large images."""
_LARGE = 600
"""Pixels of their shorter side."""


class Ortho(NamedTuple):
    """An image on the pixels of the reference."""

    amplitude: NDArray[np.float32]
    """(y, x), zero where there are no data."""
    table: LookupTable
    """With both corrections."""
    corrections: tuple[Correction, Correction]
    """What the two rounds added to the table of the geometries."""
    residuals: tuple[Residual, Residual, Residual]
    """What patches still differ by: by the geometries alone, after the first and after the second round."""


def resample(
    amplitude: NDArray[np.float32], table: LookupTable, *, origin: tuple[int, int] = (0, 0)
) -> NDArray[np.float32]:
    """Bring an image onto the pixels of the reference.

    Parameters
    ----------
    amplitude : (m, n) float array
        The image, or a window of it; zero where there are no data.
    table : LookupTable
        Where the image shows each pixel of the reference, (y, x).
    origin : (int, int)
        Row and column of the window's first pixel in the image.

    Returns
    -------
    (y, x) float32 array
        Amplitude, not negative; zero where the image has no data or the table does not know.

    Notes
    -----
    Where the image is finer than the reference (`pixel_ratio` above one), its intensity is averaged over the pixel of
    the reference by a Gaussian before, so that nothing is aliased. Between pixels amplitude is interpolated by a sinc
    of 8 x 8 pixels with a Kaiser window.
    """
    check_shape("table.columns", table.columns, table.rows.shape)
    return _interpolated(_smoothed(np.asarray(amplitude, np.float32), pixel_ratio(table)), table, origin)


def pixel_ratio(table: LookupTable) -> tuple[float, float]:
    """Return how many pixels of the other image one of the reference measures along rows and columns, on the whole."""
    steps = (np.abs(np.diff(table.rows[:, ::8], axis=0)), np.abs(np.diff(table.columns[::8], axis=1)))
    down, right = (s[np.isfinite(s)] for s in steps)
    return (float(np.median(down)) if down.size else 1.0, float(np.median(right)) if right.size else 1.0)


def orthorectify(
    reference: NDArray[np.float32],
    ground: GroundGrid,
    secondary: AmplitudeImage,
    *,
    stable: NDArray[np.bool_] | None = None,
    search: int = 16,
) -> Ortho:
    """Lay another image over the reference, pixel by pixel on the ground.

    Parameters
    ----------
    reference : (y, x) float array
        Amplitude of the reference over the window of `ground`, zero where there are no data. Where no image compares,
        `ground.amplitude` does.
    ground : GroundGrid
        Of the reference.
    secondary : AmplitudeImage
    stable : (y, x) bool array, optional
        Ground known to stand still: the corrections are then taken from there alone. Without it all ground counts,
        and what moves by itself is told by not fitting the rest.
    search : int
        Pixels of the reference that the geometries may be wrong by.

    Returns
    -------
    Ortho

    Raises
    ------
    OppositeLookError, OrbitTooShortError, OtherPlaceError
        As `lookup_table`.
    RegistrationError
        If too few patches of the two images match.
    DamagedFileError
        If the image cannot be read.
    """
    check_shape("reference", reference, ground.longitude.shape)
    name = f"{secondary.path}: {secondary.sensor} of {secondary.day}"
    table = lookup_table(ground, secondary.geometry, name=name)
    amplitude, origin = _read_around(secondary, table, search, name)
    valid = ground.clear & (reference > 0)
    if stable is not None:
        check_shape("stable", stable, reference.shape)
        valid &= stable
    smooth = _smoothed(amplitude, pixel_ratio(table))
    image = _interpolated(smooth, table, origin)
    patch = patch_size(reference.shape)
    looks = _FIRST_LOOKS if min(reference.shape) >= _LARGE else 1
    corrections: list[Correction] = []
    residuals: list[Residual] = []
    for reach, averaged in ((search, looks), (_NEXT_SEARCH, 1)):
        patches = match_patches(reference, image, ground, valid, search=reach, patch=patch, looks=averaged)
        residuals.append(residual_of(patches))
        corrections.append(fit_correction(patches, table, ground, name=name))
        table = corrections[-1].applied(table, ground)
        image = _interpolated(smooth, table, origin)
    patches = match_patches(reference, image, ground, valid, search=_NEXT_SEARCH, patch=patch)
    residuals.append(residual_of(patches))
    return Ortho(image, table, (corrections[0], corrections[1]), (residuals[0], residuals[1], residuals[2]))


def _read_around(
    image: AmplitudeImage, table: LookupTable, search: int, name: str
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Read the part of an image that a table leads to, and what the search may lead to; return it and its origin."""
    ratio = pixel_ratio(table)
    parts = []
    for places, size, scale in zip((table.rows, table.columns), image.geometry.shape, ratio, strict=True):
        margin = np.ceil(search * max(scale, 1.0)) + TAPS
        low = max(int(np.nanmin(places) - margin), 0)
        high = min(int(np.nanmax(places) + margin) + 1, size)
        parts.append((low, high - low))
    (y, height), (x, width) = parts
    amplitude = image.read(Window(y, x, height, width))
    if not amplitude.any():
        raise OtherPlaceError(f"{name}: has no data where the reference lies; leave it out")
    return amplitude, (y, x)


def _smoothed(amplitude: NDArray[np.float32], ratio: tuple[float, float]) -> NDArray[np.float32]:
    """Average intensity over pixels of the reference where these are larger; gaps stay, and do not grow."""
    sigma = tuple(_SMOOTHING * np.sqrt(max(r * r - 1.0, 0.0)) for r in ratio)
    if max(sigma) < 0.1:
        return amplitude
    known = amplitude > 0
    intensity = gaussian_filter(amplitude * amplitude, sigma, mode="nearest", truncate=3.0)
    if not known.all():
        weight = gaussian_filter(known.astype(np.float32), sigma, mode="nearest", truncate=3.0)
        intensity = np.divide(intensity, weight, out=np.zeros_like(amplitude), where=known)
    return np.sqrt(intensity)


def _interpolated(image: NDArray[np.float32], table: LookupTable, origin: tuple[int, int]) -> NDArray[np.float32]:
    """Return an image at the places of a table."""
    out = np.empty(table.rows.shape, np.float32)
    interpolate(image, (table.rows - origin[0], table.columns - origin[1]), _weights(), out)
    return out


def _weights() -> NDArray[np.float32]:
    """Return the weights of a windowed sinc for the fractions of a pixel, (fraction, tap)."""
    fraction = np.linspace(0.0, 1.0, _FRACTIONS + 1)[:, np.newaxis]
    away = np.arange(1 - TAPS // 2, TAPS // 2 + 1) - fraction
    window = np.i0(_KAISER * np.sqrt(np.clip(1.0 - (2.0 * away / TAPS) ** 2, 0.0, None)))
    weights = np.sinc(away) * window
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
