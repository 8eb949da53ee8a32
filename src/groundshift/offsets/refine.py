"""Make a lookup table better: orbits, clocks and the DEM are wrong by pixels, what two images show is not.

Offsets of patches are fitted by a polynomial of row and column with a term for the height, robustly, so that moving
ground does not bend it [Liu2020]_. A wrong baseline shifts high ground otherwise than low ground: hence that term.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from groundshift.checks import check_shape
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis
from groundshift.offsets.errors import RegistrationError
from groundshift.offsets.lookup import GroundGrid, LookupTable
from groundshift.offsets.matching import match

__all__ = [
    "Correction",
    "DemRegistration",
    "Patches",
    "Residual",
    "fit_correction",
    "match_patches",
    "patch_size",
    "register_to_dem",
    "residual_of",
    "shifted",
]

_PATCHES = (128, 64, 32)
"""Pixels along each side of a patch: the largest that is a quarter of the image's shorter side at most."""
_DEM_PATCHES = (256, 128, 64)
"""Relief shows less than another image: the same for patches matched with the DEM, a half of that side at most."""
_DEM_SIDE = 400
"""Averaged pixels that the shorter side of an image has, about, when it is matched with the DEM: both are coarse."""
_STEPS = (96, 64, 32)
"""Pixels from one patch to the next: the largest that gives `_ACROSS` of them, or overlaps by three quarters."""
_ACROSS = 8
_DEM_SMOOTHING = 1.0
"""Pixels; it averages the speckle, which the DEM does not have."""
_RIM = 2
"""Pixels between a patch and the edge of the image, at least."""
_LOWEST_PEAK = 0.1
_PER_TERM = 5
"""Patches that each term of a polynomial wants."""
_RELIEF = 20.0
"""Metres of standard deviation among the patches, below which heights explain nothing."""
_AGREE = 1.0
"""Pixels of the reference from a fit, within which a patch agrees with it."""
_AGREE_DEM = 2.0
"""The same with the DEM, averaged pixels."""
_MAJORITY = 1 / 3
"""Patches that must agree: false matches do not, and moving ground covers less than the rest."""
_TUKEY = 4.685
_ROUNDS = 30
_SHARPEST = 1e-3
"""Pixels that a scatter of patches is taken for at least."""


class Patches(NamedTuple):
    """Patches of two images on the same pixels that match, all (n,)."""

    rows: NDArray[np.float64]
    """Centres, pixels of the window."""
    columns: NDArray[np.float64]
    heights: NDArray[np.float64]
    """Mean over the patch, metres."""
    azimuth: NDArray[np.float64]
    """Rows by which the second image shows the patch later, pixels of the reference."""
    range: NDArray[np.float64]
    """Columns by which it shows it further out."""


class Residual(NamedTuple):
    """What two images differ by: root mean square offsets of patches, pixels of the reference.

    Robust: 1.4826 times the median size, which is the root mean square of a normal distribution.
    """

    patches: int
    azimuth: float
    range: float


class Correction(NamedTuple):
    """What to add to a lookup table, pixels of the other image.

    Five coefficients each: constant, row, column, row times column, height. Rows and columns count from the middle
    of the window in halves of it, heights from `height` in kilometres. Terms that the patches could not tell are 0.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    height: float
    """Metres, the mean of the patches."""

    def applied(self, table: LookupTable, ground: GroundGrid) -> LookupTable:
        """Return the table with this correction."""
        height, width = table.rows.shape
        y, x = np.arange(height)[:, np.newaxis], np.arange(width)
        terms = _terms(y, x, ground.height - np.float64(self.height), (height, width))
        added = [sum(c * t for c, t in zip(factors, terms, strict=True)) for factors in (self.rows, self.columns)]
        return LookupTable(table.rows + added[0], table.columns + added[1])


class DemRegistration(NamedTuple):
    """How the image of the reference lies over the DEM."""

    geometry: RadarGeometry
    """Shifted in time and distance, so that it shows the DEM where the image does."""
    azimuth: float
    """Rows by which the image shows the ground later than the geometry said."""
    range: float
    """Columns by which it shows it further out."""
    scatter: Residual
    """Of the patches around that shift."""


def match_patches(
    reference: NDArray[np.float32],
    image: NDArray[np.float32],
    ground: GroundGrid,
    valid: NDArray[np.bool_],
    *,
    search: int,
    patch: int,
    looks: int = 1,
) -> Patches:
    """Match patches all over two images on the same pixels; those that do not match are left out.

    Parameters
    ----------
    reference, image : (y, x) float array
        Amplitudes, zero where there are no data.
    ground : GroundGrid
    valid : (y, x) bool array
        Pixels that count.
    search : int
        Pixels to look around.
    patch : int
        Pixels along each side, even.
    looks : int
        Pixels along each side that are averaged before, which makes it quick and coarse.

    Returns
    -------
    Patches
        Perhaps none.
    """
    first, second, counts = _averaged(reference, image, valid, looks)
    if min(first.shape) < patch or not counts.any():
        return Patches(*(np.empty(0) for _ in Patches._fields))
    step = _largest(_STEPS, max((min(first.shape) - patch) // _ACROSS, patch // 4))
    reach = max(-(-search // looks), 2)
    found = match(first, second, windows=(patch,), step=step, search=reach, valid=counts)
    rows, columns = np.meshgrid(found.rows, found.columns, indexing="ij")
    # A peak at the edge of the search, or of the image, is not one: it may be higher beyond.
    inside = np.maximum(np.abs(found.azimuth), np.abs(found.range)) < reach - 1
    for centres, size in ((rows, first.shape[0]), (columns, first.shape[1])):
        inside &= (centres >= patch / 2 + _RIM) & (centres <= size - 1 - patch / 2 - _RIM)
    good = np.isfinite(found.azimuth) & np.isfinite(found.range) & (found.peak >= _LOWEST_PEAK) & inside
    rows, columns = (looks * (a[good].astype(np.float64) + 0.5) - 0.5 for a in (rows, columns))
    heights = np.array(
        [_mean_height(ground, float(y), float(x), looks * patch) for y, x in zip(rows, columns, strict=True)]
    )
    kept = np.isfinite(heights)
    azimuth, range_ = (looks * a[good].astype(np.float64) for a in (found.azimuth, found.range))
    return Patches(*(a[kept] for a in (rows, columns, heights, azimuth, range_)))


def patch_size(shape: tuple[int, int]) -> int:
    """Return the side of the patches that two images of this size are matched by, pixels."""
    return _largest(_PATCHES, min(shape) // 4)


def residual_of(patches: Patches) -> Residual:
    """Return what patches still differ by; NaN if there are none."""
    count = len(patches.rows)
    if count == 0:
        return Residual(0, np.nan, np.nan)
    azimuth, range_ = (float(1.4826 * np.median(np.abs(a))) for a in (patches.azimuth, patches.range))
    return Residual(count, azimuth, range_)


def fit_correction(patches: Patches, table: LookupTable, ground: GroundGrid, *, name: str) -> Correction:
    """Fit what a lookup table is wrong by.

    Parameters
    ----------
    patches : Patches
        Between the reference and the image that was resampled through the table.
    table : LookupTable
    ground : GroundGrid
    name : str
        What messages call the image.

    Returns
    -------
    Correction

    Raises
    ------
    RegistrationError
        If fewer than five patches match, or fewer than a third of them agree to a pixel.

    Notes
    -----
    Offsets are turned into pixels of the other image by the slopes of the table around each patch, and fitted by
    Tukey's biweight from a start of least absolute residuals. Fewer than 25 patches carry no product of row and column,
    fewer than 20 a shift alone; heights count where they differ by 20 m and more.
    """
    count = len(patches.rows)
    if count < _PER_TERM:
        raise RegistrationError(
            f"{name}: {count} patches match the reference, {_PER_TERM} are needed; see that both show the same ground, "
            "or search farther"
        )
    middle = float(patches.heights.mean())
    terms = np.stack(_terms(patches.rows, patches.columns, patches.heights - middle, table.rows.shape), axis=-1)
    used = np.array([True, count >= 4 * _PER_TERM, count >= 4 * _PER_TERM, count >= 5 * _PER_TERM, False])
    used[4] = count >= 4 * _PER_TERM and patches.heights.std() >= _RELIEF
    factors = []
    agree = np.full(count, True)
    for places, offsets, axis in ((table.rows, patches.azimuth, 0), (table.columns, patches.range, 1)):
        slope = _slopes(places, patches, axis)
        full = np.zeros(terms.shape[1])
        full[used] = _robust_fit(terms[:, used], offsets * slope)
        agree &= np.abs(offsets - terms @ full / slope) < _AGREE
        factors.append(full)
    if agree.sum() < max(_PER_TERM, _MAJORITY * count):
        raise RegistrationError(
            f"{name}: of {count} patches that match the reference {agree.sum()} agree on where it lies; see that its "
            "orbit and times are right and heights are above the ellipsoid, or search farther"
        )
    return Correction(factors[0], factors[1], middle)


def register_to_dem(
    reference: NDArray[np.float32], ground: GroundGrid, *, search: int = 24, name: str = "reference image"
) -> DemRegistration:
    """Find by how much an image lies beside the DEM, from the relief that both show.

    Parameters
    ----------
    reference : (y, x) float array
        Amplitude over the window of `ground`, zero where there are no data.
    ground : GroundGrid
        As the image's geometry has it.
    search : int
        Pixels to look around.
    name : str
        What messages call the image.

    Returns
    -------
    DemRegistration
        `ground_of` with its geometry gives the ground that the image shows.

    Raises
    ------
    RegistrationError
        If fewer than five patches, or a third of them, agree to two (averaged) pixels; level ground shows no relief.
    """
    check_shape("reference", reference, ground.longitude.shape)
    valid = ground.known & (reference > 0)
    seen, drawn = (_smoothed(a, valid) for a in (reference, ground.amplitude))
    shortest = min(reference.shape)
    looks = max(1, round(shortest / _DEM_SIDE))
    patch = _largest(_DEM_PATCHES, shortest // looks // 2)
    patches = match_patches(drawn, seen, ground, valid, search=search, patch=patch, looks=looks)
    count, agree = len(patches.rows), 0
    if count >= _PER_TERM:
        one = np.ones((count, 1))
        azimuth, range_ = (float(_robust_fit(one, a)[0]) for a in (patches.azimuth, patches.range))
        around = patches._replace(azimuth=patches.azimuth - azimuth, range=patches.range - range_)
        scatter = residual_of(around)
        agree = int(np.sum(np.hypot(around.azimuth, around.range) < _AGREE_DEM * looks))
        if agree >= max(_PER_TERM, _MAJORITY * count):
            return DemRegistration(shifted(ground.geometry, azimuth, range_), azimuth, range_, scatter)
    raise RegistrationError(
        f"{name}: its relief does not match that of the DEM ({agree} of {count} patches agree); "
        "see that heights are above the ellipsoid, or trust the orbit and do not register"
    )


def shifted(geometry: RadarGeometry, rows: float, columns: float) -> RadarGeometry:
    """Return the geometry of an image that shows all ground by so many rows later and columns further out."""
    axis, middle = geometry.axis, np.array((geometry.shape[1] - 1) / 2)
    time = geometry.times((geometry.shape[0] - 1) / 2)
    nearer = columns * float(axis.metres(middle, time))
    if isinstance(axis, GroundAxis):
        coefficients = axis.coefficients.copy()
        coefficients[:, 0] -= nearer
        moved: GroundAxis | SlantAxis = replace(axis, coefficients=coefficients)
    else:
        moved = replace(axis, near=axis.near - nearer)
    return replace(geometry, axis=moved, first_time=geometry.first_time - rows * geometry.line_interval)


def _terms(
    rows: NDArray[np.number], columns: NDArray[np.number], heights: NDArray[np.float64], shape: tuple[int, int]
) -> list[NDArray[np.float64]]:
    """Return the terms of a correction at places: 1, row, column, row times column, height."""
    y, x = 2 * rows / shape[0] - 1, 2 * columns / shape[1] - 1
    return [np.ones(np.broadcast_shapes(y.shape, x.shape)), *np.broadcast_arrays(y, x), y * x, heights / 1000]


def _mean_height(ground: GroundGrid, row: float, column: float, size: int) -> float:
    """Return the mean height of a patch, NaN if none of it is known."""
    heights = _patch(ground.height, row, column, size)
    known = heights[np.isfinite(heights)]
    return float(known.mean(dtype=np.float64)) if known.size else np.nan


def _slopes(places: NDArray[np.float64], patches: Patches, axis: int) -> NDArray[np.float64]:
    """Return how many pixels of the other image one of the reference measures in each patch."""
    slopes = np.empty(len(patches.rows))
    for k, (row, column) in enumerate(zip(patches.rows, patches.columns, strict=True)):
        steps = np.diff(_patch(places, row, column, patch_size(places.shape)), axis=axis)
        steps = np.abs(steps[np.isfinite(steps)])
        slopes[k] = np.median(steps) if steps.size else np.nan
    return np.where(np.isfinite(slopes), slopes, np.nanmedian(slopes))


def _averaged(
    reference: NDArray[np.float32], image: NDArray[np.float32], valid: NDArray[np.bool_], looks: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Average the intensity of two images over cells of looks; a cell counts where all its pixels do."""
    counts = valid & (reference > 0) & (image > 0)
    if looks == 1:
        return reference, image, counts
    height, width = (n // looks for n in reference.shape)

    def cells(a: NDArray[Any]) -> NDArray[Any]:
        return a[: looks * height, : looks * width].reshape(height, looks, width, looks)

    first, second = (np.sqrt(np.mean(cells(a * a), axis=(1, 3), dtype=np.float32)) for a in (reference, image))
    return first, second, np.asarray(cells(counts).all(axis=(1, 3)))


def _largest(sizes: tuple[int, ...], limit: int) -> int:
    """Return the first of some falling sizes that does not exceed a limit, or the last."""
    return next((size for size in sizes if size <= limit), sizes[-1])


def _patch(field: NDArray[Any], row: float, column: float, size: int) -> NDArray[Any]:
    """Return the part of a field around a place."""
    top, left = (int(np.floor(middle + 0.5)) - size // 2 for middle in (row, column))
    return field[max(top, 0) : top + size, max(left, 0) : left + size]


def _robust_fit(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coefficients of terms (n, term) that most of the values (n,) follow.

    Reweighted least squares: least absolute residuals first, which no share of wrong values below one half carries
    away, then Tukey's biweight, which gives them no weight at all.
    """
    found = np.linalg.lstsq(terms, values)[0]
    for k in range(2 * _ROUNDS):
        miss = np.abs(values - terms @ found)
        scale = max(1.4826 * float(np.median(miss)), _SHARPEST)
        if k < _ROUNDS:
            weight = 1.0 / np.maximum(miss, 0.1 * scale)
        else:
            weight = np.clip(1.0 - (miss / (_TUKEY * scale)) ** 2, 0.0, None) ** 2
        root = np.sqrt(weight)
        before, found = found, np.linalg.lstsq(terms * root[:, np.newaxis], values * root)[0]
        if k > _ROUNDS and np.all(np.abs(found - before) <= 1e-9):
            break
    return np.asarray(found)


def _smoothed(amplitude: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Average amplitude over a few pixels that count; 0 elsewhere."""
    total = gaussian_filter(np.where(valid, amplitude, np.float32(0)), _DEM_SMOOTHING)
    weight = gaussian_filter(valid.astype(np.float32), _DEM_SMOOTHING)
    return np.divide(total, weight, out=np.zeros_like(total), where=valid)
