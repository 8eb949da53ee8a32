"""Ground for simulated amplitude images: its surface, what it returns, and how it moves.

Arrays are (y, x), rows from north to south.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.fft
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import zoom

from groundshift.checks import check_positive, check_shape
from groundshift.geometry.orbits import earth_fixed
from groundshift.simulate.amplitude_passes import local_axes
from groundshift.types import MapGrid

__all__ = ["SimulatedGround", "draw_points", "draw_reflectivity", "refine_heights"]


def _no_points() -> NDArray[np.float64]:
    return np.empty((0, 3))


@dataclass(frozen=True, eq=False)
class SimulatedGround:
    """Ground to be seen: heights, and what it returns.

    Between the nodes of `grid` the surface is bilinear. `heights` are metres above the ellipsoid, NaN where there is
    no ground. `reflectivity` is that per area at right angles to the line of sight (gamma nought, linear, not
    negative), the same number of times finer than the cells along both axes: (k (y - 1), k (x - 1)). `points` lie on
    the surface: row and column of the nodes, fractions allowed, and the radar cross-section in square metres, (n, 3).
    """

    grid: MapGrid
    heights: NDArray[np.float64]
    reflectivity: NDArray[np.float32]
    points: NDArray[np.float64] = field(default_factory=_no_points)

    def __post_init__(self) -> None:
        check_shape("heights", self.heights, self.grid.shape)
        cells = (self.grid.shape[0] - 1, self.grid.shape[1] - 1)
        times = self.reflectivity.shape[0] // cells[0]
        check_shape("reflectivity", self.reflectivity, (times * cells[0], times * cells[1]))
        check_shape("points", self.points, (len(self.points), 3))

    @cached_property
    def lonlat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of the nodes, degrees."""
        rows, columns = np.indices(self.grid.shape, np.float64)
        return self.grid.lonlat(rows, columns)

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """Earth-fixed positions of the nodes where they lie at first, (y, x, 3) metres."""
        return earth_fixed(*self.lonlat, self.heights)

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """Unit vectors (east, north, up) at the nodes, (y, x, 3, 3)."""
        return local_axes(*self.lonlat)

    def moved(self, displacement: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the positions after a displacement (east, north, up) of the nodes, (y, x, 3) metres."""
        if displacement is None:
            return self.positions
        check_shape("displacement", displacement, self.positions.shape)
        return np.asarray(self.positions + np.einsum("yxk,yxkm->yxm", displacement, self.axes))


def refine_heights(grid: MapGrid, heights: NDArray[np.float64], times: int) -> tuple[MapGrid, NDArray[np.float64]]:
    """Lay a smooth surface through the nodes of a DEM.

    Parameters
    ----------
    grid : MapGrid
        Of the DEM.
    heights : (y, x) array
        Metres, all known.
    times : int
        By how much finer the nodes of the surface are to be.

    Returns
    -------
    grid, heights
        ``times (n - 1) + 1`` nodes along each axis: every such one is a node of the DEM, with its height. Between them
        the surface is a cubic spline.
    """
    check_shape("heights", heights, grid.shape)
    shape = tuple(times * (n - 1) + 1 for n in grid.shape)
    fine = zoom(heights, [n / m for n, m in zip(shape, grid.shape, strict=True)], order=3, mode="nearest")
    # The first nodes of both lie on each other.
    middle = Affine.translation(0.5, 0.5)
    transform = grid.transform @ middle @ Affine.scale(1 / times) @ ~middle
    return replace(grid, shape=(shape[0], shape[1]), transform=transform), np.asarray(fine, np.float64)


def draw_points(
    grid: MapGrid,
    rng: np.random.Generator,
    *,
    per_km2: float = 60.0,
    section_m2: float = 20.0,
    spread_db: float = 4.0,
) -> NDArray[np.float64]:
    """Draw bright points, as rocks and corners are, anywhere on the ground: the `points` of `SimulatedGround`.

    The logarithms of their radar cross-sections are normal about `section_m2`.
    """
    dy, dx = grid.spacing
    count = round(per_km2 * grid.shape[0] * dy * grid.shape[1] * dx / 1e6)
    where = rng.uniform(0, 1, (count, 2)) * (np.array(grid.shape) - 1)
    return np.column_stack([where, section_m2 * 10 ** (rng.normal(0, spread_db, count) / 10)])


def draw_reflectivity(
    shape: tuple[int, int],
    spacing_m: float,
    rng: np.random.Generator,
    *,
    mean_db: float = -8.0,
    spread_db: float = 2.5,
    cover_db: float = 4.0,
    outer_m: float = 500.0,
) -> NDArray[np.float32]:
    """Draw the reflectivity of a mountain side: two covers with sharp borders, and uneven ground at all scales.

    Parameters
    ----------
    shape : (int, int)
    spacing_m : float
        Metres from one value to the next.
    rng : numpy Generator
    mean_db : float
        Mean in decibels.
    spread_db : float
        Standard deviation within a cover, in decibels: log-normal, about as much of it at each scale.
    cover_db : float
        By how much more than the other one of the covers returns, as forest and rock do more than meadow.
    outer_m : float
        Size of the largest patches, metres.

    Returns
    -------
    shape float32 array
        Linear. Opposite borders continue each other.
    """
    check_positive("spacing_m", spacing_m)
    check_positive("outer_m", outer_m)
    decibels = spread_db * _field(shape, spacing_m, 2.0, outer_m, rng)
    if cover_db:
        decibels += cover_db * ((_field(shape, spacing_m, 3.2, outer_m, rng) > 0) - np.float32(0.5))
    decibels += mean_db
    return np.asarray(10 ** (decibels / 10), np.float32)


def _field(
    shape: tuple[int, int], spacing_m: float, exponent: float, outer_m: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw a normal field of variance one; its power falls with the wavenumber beyond that of `outer_m`."""
    ky = np.fft.fftfreq(shape[0], spacing_m)[:, np.newaxis].astype(np.float32)
    kx = np.fft.rfftfreq(shape[1], spacing_m).astype(np.float32)
    spectrum = scipy.fft.rfft2(rng.standard_normal(shape, np.float32))
    spectrum *= (1 + outer_m**2 * (ky**2 + kx**2)) ** np.float32(-exponent / 4)
    spectrum[0, 0] = 0.0
    drawn = scipy.fft.irfft2(spectrum, s=shape, overwrite_x=True)
    return np.asarray(drawn / drawn.std(), np.float32)
