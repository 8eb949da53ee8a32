"""Snow and ice from Sentinel-2, whose decorrelation and creep look like landslides (Fu et al. (2022), section 4.2).

Reflectance is in 0 to 1. Snow is bright in green (B03) and dark in the short-wave infrared (B11), so its NDSI is high;
water has a high NDSI too but is dark in the near infrared (B8A), and dense vegetation is dark in green.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_shape, check_within
from groundshift.errors import NoDataError
from groundshift.masks.scenes import find_scenes, read_reflectance
from groundshift.types import Grid

__all__ = ["SnowMask", "ndsi", "snow_mask", "snow_on_grid"]


class SnowMask(NamedTuple):
    """Where snow lay."""

    snow: NDArray[np.bool_]
    """(y, x); False also where nothing was seen."""
    seen: NDArray[np.bool_]
    """(y, x); whether any scene shows the pixel."""
    fraction: float
    """Share of the pixels seen that are snow."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(y, x); True where there is no snow, or nothing is known."""
        return ~self.snow


def ndsi(green: NDArray[np.floating[Any]], swir: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the normalised difference snow index, (green - swir) / (green + swir).

    Parameters
    ----------
    green, swir : array
        Reflectance of B03 and B11.

    Returns
    -------
    float32 array
        NaN where either is NaN or infinite, or their sum is not positive.

    References
    ----------
    Fu et al. (2022), equation 1.

    Examples
    --------
    >>> ndsi(np.array([0.9, 0.1, 0.0]), np.array([0.1, 0.3, 0.0]))
    array([ 0.8, -0.5,  nan], dtype=float32)
    """
    a, b = np.asarray(green, np.float64), np.asarray(swir, np.float64)
    # Infinities of either sign may meet; the result is NaN then, as documented.
    with np.errstate(invalid="ignore"):
        total, difference = a + b, a - b
    good = np.isfinite(total) & (total > 0)
    return np.where(good, difference / np.where(good, total, 1.0), np.nan).astype(np.float32)


def snow_mask(
    green: NDArray[np.floating[Any]],
    nir: NDArray[np.floating[Any]],
    swir: NDArray[np.floating[Any]],
    *,
    minimum_ndsi: float = 0.4,
    minimum_green: float = 0.28,
    minimum_nir: float = 0.15,
) -> NDArray[np.bool_]:
    """Tell which pixels of an image are snow.

    Parameters
    ----------
    green, nir, swir : array of one shape
        Reflectance of B03, B8A and B11, in 0 to 1; NaN where unknown.
    minimum_ndsi, minimum_green, minimum_nir : float
        All three must be exceeded.

    Returns
    -------
    bool array
        False where any band is NaN, infinite, or zero.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    Fu et al. (2022), section 4.2: 0.4, 0.28 and 0.15, chosen by eye for Sichuan.

    Examples
    --------
    Snow, a lake, a forest, no data:

    >>> snow_mask(np.array([0.8, 0.1, 0.06, 0]), np.array([0.7, 0.02, 0.3, 0]), np.array([0.1, 0.02, 0.1, 0]))
    array([ True, False, False, False])
    """
    check_shape("nir", np.asarray(nir), np.shape(green))
    check_shape("swir", np.asarray(swir), np.shape(green))
    index = ndsi(green, swir)
    known = np.isfinite(green) & np.isfinite(nir) & np.isfinite(swir)
    bright = (np.asarray(green) > minimum_green) & (np.asarray(nir) > minimum_nir)
    return np.asarray(known & bright & (np.asarray(swir) != 0) & (index > minimum_ndsi))


def snow_on_grid(
    scenes: Sequence[Path],
    grid: Grid,
    *,
    share: float = 0.2,
    bands: tuple[int, int, int] | None = None,
    scale: float | None = None,
    offset: float | None = None,
    minimum_ndsi: float = 0.4,
    minimum_green: float = 0.28,
    minimum_nir: float = 0.15,
) -> SnowMask:
    """Unite the snow of any number of Sentinel-2 scenes on the grid of a stack.

    Parameters
    ----------
    scenes : sequence of Path
        As for `find_scenes`: SAFE folders, band files, folders of them, or files of many bands. Best from the months
        with the most snow (Fu et al. (2022): January to March).
    grid : MapGrid or RadarGrid
        Where the mask is wanted.
    share : float
        Share of a pixel's views, 0 to 1, that must show snow. With up to five views one is enough, as in the union
        of Fu et al. (2022); with more, neither a cloud of ice nor one night's snow masks a valley. 0 always unites.
    bands, scale, offset
        As for `find_scenes`, for files that do not tell.
    minimum_ndsi, minimum_green, minimum_nir : float
        As for `snow_mask`.

    Returns
    -------
    SnowMask
        Resampled to the nearest pixel.

    Raises
    ------
    MissingFileError, DamagedFileError, ProductError
        If a scene is not complete or cannot be read.
    NoDataError
        If no scene shows any pixel of the grid.
    """
    check_within("share", share, 0.0, 1.0)
    views, snowy = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.uint16)
    found = find_scenes(scenes, bands=bands, scale=scale, offset=offset)
    for scene in found:
        green, nir, swir = read_reflectance(scene, grid)
        views += np.isfinite(green) & np.isfinite(nir) & np.isfinite(swir)
        snowy += snow_mask(
            green, nir, swir, minimum_ndsi=minimum_ndsi, minimum_green=minimum_green, minimum_nir=minimum_nir
        )
    seen = views > 0
    if not seen.any():
        raise NoDataError(
            f"none of the {len(found)} Sentinel-2 scenes shows the area of this stack; give scenes that cover it"
        )
    # Whole views that are needed; the small number keeps 0.2 x 5 at one view in floating point.
    needed = np.maximum(1, np.ceil(share * views - 1e-9))
    snow = seen & (snowy >= needed)
    return SnowMask(snow, seen, float(snow.sum() / seen.sum()))
