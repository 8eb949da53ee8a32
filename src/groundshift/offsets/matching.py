"""How far each place of one image has moved in another: normalised cross-correlation of windows.

Images are (y, x) and lie in the geometry of the reference. An offset is secondary minus reference, in pixels: what is
at (r, c) of the reference is at (r + azimuth, c + range) of the secondary.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from groundshift.checks import check_shape, check_within
from groundshift.errors import NoDataError
from groundshift.offsets._kernels import correlate_tiles
from groundshift.offsets._peaks import ESTIMATES

__all__ = ["Offsets", "match"]

_EXCLUDED = 3
"""Samples around the peak, at the spacing of the image, that are not its surroundings."""
_TILES = (32, 16, 8)
"""Sides of the tiles, in grid points, that are computed at a time: the rougher the guess, the smaller."""


class Offsets(NamedTuple):
    """Offsets on a grid of cells of step x step pixels; arrays are (y, x) float32, NaN where no match was found."""

    azimuth: NDArray[np.float32]
    """Rows, pixels: later row in the secondary is positive."""
    range: NDArray[np.float32]
    """Columns, pixels: further column in the secondary is positive."""
    snr: NDArray[np.float32]
    """Squared peak of the correlation over the mean square of what surrounds it."""
    peak: NDArray[np.float32]
    """Normalised correlation at the peak, above 0 to 1."""
    sigma_azimuth: NDArray[np.float32]
    """Standard error, pixels."""
    sigma_range: NDArray[np.float32]
    """Standard error, pixels."""
    covariance: NDArray[np.float32]
    """Of the errors of azimuth and range, square pixels."""
    window: NDArray[np.uint16]
    """Side of the window chosen, pixels; 0 where no match was found."""
    rows: NDArray[np.float64]
    """(y,) centres of the windows, rows of the reference (pixel centres are whole numbers)."""
    columns: NDArray[np.float64]
    """(x,) and columns."""


def match(
    reference: NDArray[Any],
    secondary: NDArray[Any],
    *,
    windows: Sequence[int] = (64, 96, 128),
    step: int = 8,
    search: int | tuple[int, int] = 16,
    guess: tuple[ArrayLike, ArrayLike] | None = None,
    valid: NDArray[np.bool_] | tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
    least_valid: float = 0.5,
    threads: int | None = None,
) -> Offsets:
    """Match two images at every cell of a grid.

    Parameters
    ----------
    reference, secondary : (y, x) float or complex array
        Amplitudes, or complex images, of the same shape; zero, negative and NaN mean no data.
    windows : sequence of int
        Sides of the square windows, pixels, even, at least 8. The one of highest SNR is kept at each cell.
    step : int
        Side of a cell, pixels; windows are centred on cells.
    search : int or (int, int)
        Largest offset from the guess, pixels, at least 2; along (rows, columns). An offset on the rim is not one.
    guess : (azimuth, range), optional
        Expected offsets, pixels, each a number or one for each cell; rounded. NaN leaves a cell out.
    valid : (y, x) bool array, or two, optional
        Usable pixels of both images, or of each.
    least_valid : float
        Share of its pixels, above 0 to 1, that must be usable in both images for a window to be compared.
    threads : int, optional
        As many as numba has, by default.

    Returns
    -------
    Offsets
        On (y // step, x // step) cells.

    Raises
    ------
    NoDataError
        If an image has no usable pixel.
    ValueError
        If shapes or parameters do not fit.

    Notes
    -----
    *Fractions of a pixel.* Detection doubles the band. Amplitudes that were sampled no finer than their resolution are
    therefore aliased, and drawn to whole pixels by up to 0.08 px; complex images are not (0.003 px).

    *Correlation* is that of amplitudes with zero mean, over the pixels usable in both windows at each shift. Windows
    must lie within both images. Complex images are oversampled twofold before detection, which doubles the band; real
    ones are taken as they are.

    *Sub-pixel.* The peak is the maximum of the correlation interpolated with a windowed sinc. The correlation is as
    band-limited as the image, which a parabola through three samples is not: that misses by a tenth of a pixel.

    *SNR* is that of PyCuAmpcor: other definitions (peak over mean) need other thresholds.

    *Standard errors.* Let H be the matrix of curvatures of the normalised correlation at its peak rho, and G the sum
    over whole lags m around the peak of the products of its slopes. With n pixels in the window the covariance of
    the offset is

        (1 - rho^2) / (n rho^2)  H^-1 G H^-1 ,

    the error of where the correlation of two Gaussian signals of one spectrum and coherence rho has its maximum.
    Scatter over stated error was 0.9 to 1.1 for Gaussian texture; for speckle in windows of 64 it was 1.0 to
    1.3, and 1.4 above a correlation of 0.8. Cells nearer to each other than their windows share most of it.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> image = np.abs(rng.normal(size=(128, 128)))
    >>> found = match(image, np.roll(image, (2, -3), axis=(0, 1)), windows=[64], search=6)
    >>> float(np.nanmedian(found.azimuth).round(2)), float(np.nanmedian(found.range).round(2))
    (2.0, -3.0)
    """
    _check(reference, secondary, windows, step, least_valid)
    reach = np.broadcast_to(np.asarray(search, np.int64), 2).copy()
    check_within("search", float(reach.min()), 2, math.inf)
    cells = (reference.shape[0] // step, reference.shape[1] // step)
    usable = _usable(reference, secondary, valid)
    middle, wanted = _middle(guess, cells)
    images = [_prepared(image, where) for image, where in zip((reference, secondary), usable, strict=True)]
    over = 2 if np.iscomplexobj(reference) else 1
    sides = over * np.array(sorted(set(windows)), np.int64)
    with _threads(threads):
        found = _match_arrays(images, usable, sides, over * step, over * reach, over * middle, least_valid, over)
    found[~(wanted & np.isfinite(found[..., 0]))] = np.nan
    known = np.isfinite(found[..., 0])
    chosen = sides[np.nan_to_num(found[..., 7]).astype(np.intp)] // over
    azimuth, across, snr, peak, var_y, var_x, covariance = found[..., :7].astype(np.float32).transpose(2, 0, 1)
    return Offsets(
        azimuth=azimuth / over,
        range=across / over,
        snr=snr,
        peak=peak,
        sigma_azimuth=np.sqrt(var_y) / over,
        sigma_range=np.sqrt(var_x) / over,
        covariance=covariance / over**2,
        window=np.where(known, chosen, 0).astype(np.uint16),
        rows=np.arange(cells[0]) * step + step // 2 - 0.5,
        columns=np.arange(cells[1]) * step + step // 2 - 0.5,
    )


def _check(
    reference: NDArray[Any], secondary: NDArray[Any], windows: Sequence[int], step: int, least_valid: float
) -> None:
    """Raise ValueError unless images and parameters fit."""
    if reference.ndim != 2:
        raise ValueError(f"reference must be (y, x), instead got shape {reference.shape}")
    check_shape("secondary", secondary, reference.shape)
    if np.iscomplexobj(reference) != np.iscomplexobj(secondary):
        raise ValueError(f"both images must be complex, or none, got {reference.dtype} and {secondary.dtype}")
    if not windows or any(side % 2 or side < 8 for side in windows):
        raise ValueError(f"windows must be even and at least 8, instead got {tuple(windows)}")
    if min(windows) > min(reference.shape):
        raise ValueError(f"windows must fit into images of {reference.shape}, instead got {tuple(windows)}")
    check_within("step", step, 1, min(reference.shape))
    if not 0 < least_valid <= 1:
        raise ValueError(f"least_valid must lie in (0, 1], instead got {least_valid}")


def _usable(reference: NDArray[Any], secondary: NDArray[Any], valid: Any) -> list[NDArray[np.bool_]]:
    """Find the pixels of both images that count."""
    given = valid if isinstance(valid, tuple) else (valid, valid)
    usable = []
    for name, image, mask in zip(("reference", "secondary"), (reference, secondary), given, strict=True):
        size = np.abs(image) if np.iscomplexobj(image) else image
        where = np.asarray(np.isfinite(size) & (size > 0))
        if mask is not None:
            check_shape("valid", mask, image.shape)
            where &= mask
        if not where.any():
            raise NoDataError(f"{name} has no usable pixel; choose another place or mask")
        usable.append(where)
    return usable


def _middle(
    guess: tuple[ArrayLike, ArrayLike] | None, cells: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the middle of the search (2, y, x), whole pixels, and the cells that are wanted."""
    if guess is None:
        return np.zeros((2, *cells), np.int64), np.ones(cells, np.bool_)
    parts = [np.asarray(part, np.float64) for part in guess]
    for part in parts:
        if part.ndim:
            check_shape("guess", part, cells)
    both = np.stack([np.broadcast_to(part, cells) for part in parts])
    wanted = np.asarray(np.isfinite(both).all(axis=0))
    # What is left out takes a guess that widens the search of no tile.
    typical = np.median(both[:, wanted], axis=1) if wanted.any() else np.zeros(2)
    return np.rint(np.where(wanted, both, typical[:, np.newaxis, np.newaxis])).astype(np.int64), wanted


def _prepared(image: NDArray[Any], usable: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Amplitude with mean 0 and variance 1 (so that float32 sums hold), twofold oversampled if complex, 0 unusable."""
    if np.iscomplexobj(image):
        amplitude = np.abs(_oversampled(np.where(usable, image, 0).astype(np.complex64)))
        usable = usable.repeat(2, axis=0).repeat(2, axis=1)
    else:
        amplitude = np.where(usable, image, 0).astype(np.float32)
    inside = amplitude[usable]
    mean, spread = float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64))
    return np.where(usable, (amplitude - mean) / (spread or 1.0), 0).astype(np.float32)


def _oversampled(image: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Insert a sample between each two, by padding the spectrum; sample 2 k is sample k."""
    for axis in (0, 1):
        n = image.shape[axis]
        spectrum = np.moveaxis(scipy.fft.fft(image, axis=axis), axis, 0)
        wide = np.zeros((2 * n, *spectrum.shape[1:]), np.complex64)
        wide[: (n + 1) // 2], wide[-(n // 2) :] = spectrum[: (n + 1) // 2], spectrum[-(n // 2) :]
        if n % 2 == 0:
            # The highest frequency is its own mirror image.
            wide[n // 2] = wide[-(n // 2)] = wide[-(n // 2)] / 2
        image = np.moveaxis(2 * scipy.fft.ifft(wide, axis=0), 0, axis).astype(np.complex64)
    return np.ascontiguousarray(image)


def _match_arrays(
    images: Sequence[NDArray[np.float32]], usable: Sequence[NDArray[np.bool_]], sides: NDArray[np.int64], step: int,
    reach: NDArray[np.int64], middle: NDArray[np.int64], least_valid: float, over: int,
) -> NDArray[np.float64]:  # fmt: skip
    """Match prepared images: (y, x, ESTIMATES), in their pixels."""
    height, width = images[0].shape
    block = math.gcd(step, *(int(side) // 2 for side in sides))
    # The search of a tile covers the guesses of all its cells.
    margin = sides.max() // 2 + step + reach + np.abs(middle).max(axis=(1, 2))
    layers = [_layers(image, where, over, margin) for image, where in zip(images, usable, strict=True)]
    if len(layers[0]) != len(layers[1]):
        layers = [_layers(image, where, over, margin, masked=True) for image, where in zip(images, usable, strict=True)]
    cells = middle.shape[1:]
    tops = np.arange(cells[0]) * step + step // 2 + margin[0]
    lefts = np.arange(cells[1]) * step + step // 2 + margin[1]
    found = np.empty((*cells, ESTIMATES))
    tile = _best_tile(middle, reach, int(sides.max()), step)
    correlate_tiles(
        layers[0], layers[1], tops, lefts, middle, reach, np.array([height, width]), margin, sides, block, tile,
        least_valid, over * _EXCLUDED, found,
    )  # fmt: skip
    return found


def _layers(
    image: NDArray[np.float32], usable: NDArray[np.bool_], over: int, margin: NDArray[np.int64], masked: bool = False
) -> NDArray[np.float32]:
    """Put a margin around an image; where not all pixels are usable, add its squares and the mask."""
    around = [(0, 0)] + [(int(side), int(side)) for side in margin]
    if usable.all() and not masked:
        return np.pad(image[np.newaxis], around)
    where = usable.repeat(over, axis=0).repeat(over, axis=1)
    outside = np.pad(np.stack([image, image * image, where.astype(np.float32)]), around)
    # Windows do not reach into the margin: there, tiles need not count valid pixels.
    outside[2, : margin[0]], outside[2, -margin[0] :] = 1, 1
    outside[2, :, : margin[1]], outside[2, :, -margin[1] :] = 1, 1
    return outside


def _best_tile(middle: NDArray[np.int64], reach: NDArray[np.int64], side: int, step: int) -> int:
    """Choose the tile that costs least: a large one shares more of its windows, a small one has fewer guesses."""
    costs = {}
    for tile in _TILES:
        blocks = [
            middle[:, i : i + tile, j : j + tile]
            for i in range(0, middle.shape[1], tile)
            for j in range(0, middle.shape[2], tile)
        ]
        shifts = [np.prod(np.ptp(block, axis=(1, 2)) + 2.0 * reach + 1) for block in blocks]
        costs[tile] = sum(shifts) * (tile + side / step) ** 2
    return min(costs, key=costs.__getitem__)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let compiled loops use so many threads meanwhile."""
    before = numba.get_num_threads()
    numba.set_num_threads(before if count is None else min(max(count, 1), before))
    try:
        yield
    finally:
        numba.set_num_threads(before)
