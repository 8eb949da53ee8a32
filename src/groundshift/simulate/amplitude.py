"""Amplitude images of mountains, as radars on known passes would take them.

The ground is a surface between nodes of a map, set with facets smaller than half a pixel. Each facet returns the power
of the area that it turns towards the radar, times the reflectivity there, with a random value of its own; the complex
image is the sum of all, each at its place and with the phase of its path. Foreshortening, layover, speckle, and
speckle that changes from one place in space to another follow by themselves.

Arrays of the ground are (y, x) nodes of its grid; images are (row, column).
"""

import math
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_positive, check_within
from groundshift.geometry.radar import RadarGeometry, RadarPlace
from groundshift.simulate._amplitude_kernels import HALF, MARGIN, add_facets, add_points
from groundshift.simulate.amplitude_ground import SimulatedGround

__all__ = [
    "Speckle",
    "coherence_in_time",
    "count_facets",
    "draw_speckle",
    "simulate_amplitude",
    "simulate_image",
]

_BANDWIDTH = 0.8
"""Of the image, in cycles per pixel."""
_KAISER = 2.5
_RESPONSE_STEPS = 256
_NORMALS = 1 << 14
_CARRIERS = 1 << 12
_FACETS_PER_PIXEL = 2.0
"""Along either axis."""
_STRETCHED = 95.0
"""Percentile of the cells' extent in pixels that facets are made for."""
_LEAST_WEIGHT = 1e-3


class Speckle(NamedTuple):
    """The random values of one image's facets: a weighted sum of draws, of which images may share some."""

    seeds: NDArray[np.uint64]
    weights: NDArray[np.float32]
    """Their squares sum to one."""
    facets: tuple[int, int]
    """Into how many facets a cell of the ground is cut along rows and columns."""


def coherence_in_time(
    days: Sequence[date], *, fresh: float = 0.6, lasting: float = 0.1, decay_days: float = 700.0
) -> NDArray[np.float64]:
    """Return by how much facets return the same on two dates, (date, date).

    ``lasting + (fresh - lasting) exp(-days / decay_days)`` between different dates, 1 on the same one.
    """
    check_within("fresh", fresh, 0.0, 1.0)
    check_within("lasting", lasting, 0.0, fresh)
    check_positive("decay_days", decay_days)
    number = np.array([day.toordinal() for day in days], np.float64)
    apart = np.abs(number[:, np.newaxis] - number)
    coherence = lasting + (fresh - lasting) * np.exp(-apart / decay_days)
    np.fill_diagonal(coherence, 1.0)
    return coherence


def draw_speckle(coherence: NDArray[np.float64], seed: int, facets: tuple[int, int]) -> tuple[Speckle, ...]:
    """Draw the speckle of the dates of one radar.

    Parameters
    ----------
    coherence : (n, n) array
        Between dates, symmetric and positive definite, with ones on its diagonal (`coherence_in_time`).
    seed : int
        Speckle of different seeds has nothing in common.
    facets : (int, int)
        Into how many a cell of the ground is cut along rows and columns (`count_facets`).

    Returns
    -------
    tuple of Speckle
        One for each date. Two images of the same place in space have a complex correlation of their coherence.

    Raises
    ------
    ValueError
        If `coherence` is not such a matrix.
    """
    if not np.allclose(np.diag(coherence), 1.0) or not np.allclose(coherence, coherence.T):
        raise ValueError("coherence must be symmetric, with ones on its diagonal")
    try:
        lower = np.linalg.cholesky(coherence)
    except np.linalg.LinAlgError:
        raise ValueError("coherence must be positive definite: no dates can agree like this") from None
    seeds = np.random.default_rng(seed).integers(0, 1 << 63, len(coherence), np.uint64)
    used = [np.abs(row) > _LEAST_WEIGHT for row in lower]
    return tuple(Speckle(seeds[use], row[use].astype(np.float32), facets) for row, use in zip(lower, used, strict=True))


def count_facets(ground: SimulatedGround, geometry: RadarGeometry) -> tuple[int, int]:
    """Return into how many facets, along rows and columns, cells are to be cut to be half a pixel at most.

    Five cells in a hundred, the most stretched ones, may have larger ones. All images of a radar that share speckle
    are to have the same facets, so they are counted for one of them.
    """
    place = geometry.place(ground.positions)
    counts = []
    for axis in (0, 1):
        moved = np.hypot(np.diff(place.row, axis=axis), np.diff(place.column, axis=axis))
        known = moved[np.isfinite(moved)]
        stretch = float(np.percentile(known, _STRETCHED)) if known.size else 1.0
        counts.append(max(math.ceil(_FACETS_PER_PIXEL * stretch), 1))
    return counts[0], counts[1]


def simulate_amplitude(
    ground: SimulatedGround,
    geometry: RadarGeometry,
    displacement: NDArray[np.float64] | None = None,
    *,
    speckle: Speckle,
    noise_db: float = -28.0,
    noise_seed: int = 0,
) -> NDArray[np.float32]:
    """Take an amplitude image: the magnitude of `simulate_image`, where all is described."""
    return np.abs(
        simulate_image(ground, geometry, displacement, speckle=speckle, noise_db=noise_db, noise_seed=noise_seed)
    )


def simulate_image(
    ground: SimulatedGround,
    geometry: RadarGeometry,
    displacement: NDArray[np.float64] | None = None,
    *,
    speckle: Speckle,
    noise_db: float = -28.0,
    noise_seed: int = 0,
) -> NDArray[np.complex64]:
    """Take a complex image.

    Parameters
    ----------
    ground : SimulatedGround
    geometry : RadarGeometry
        Of the image.
    displacement : (y, x, 3) array, optional
        By how much the nodes have moved towards east, north and up, metres; facets and points move with them.
    speckle : Speckle
        Of the date and the radar.
    noise_db : float
        Power of the receiver's noise where ground returns 0 dB; minus infinity for none.
    noise_seed : int
        Different for each image.

    Returns
    -------
    (rows, columns) complex64 array
        The squared magnitude is the power per area of a pixel in the plane of slant range and flight (beta nought);
        its phase that of the path there and back. Zero outside the ground; inside there is noise at least.

    Raises
    ------
    ValueError
        If `displacement` does not fit the ground.

    Notes
    -----
    Facets and points on ground that faces away from the radar return nothing. Ground in the shadow of other ground
    returns as if it were seen: that begins only beside such facets, where a slope is steeper than 90 degrees less the
    angle of incidence.
    """
    positions = ground.moved(displacement)
    place = geometry.place(positions)
    cycles = -2 / geometry.wavelength * place.distance
    turned = _turned_area(geometry, positions, place)
    pixel = _pixel_area(geometry, positions, place)
    image = np.zeros((geometry.shape[0] + 2 * MARGIN, 2 * (geometry.shape[1] + 2 * MARGIN)), np.float32)
    reach = np.tile(np.array([geometry.shape[1], -1], np.int32), (geometry.shape[0], 1))
    response = _response()
    add_facets(
        place.row,
        place.column,
        cycles,
        (turned / pixel[:-1, :-1]).astype(np.float32),
        np.sqrt(ground.reflectivity),
        speckle.facets,
        speckle.seeds,
        speckle.weights,
        _normals(),
        np.exp(2j * np.pi * (np.arange(_CARRIERS) + 0.5) / _CARRIERS).astype(np.complex64),
        response,
        image,
        reach,
    )
    nodes = np.ascontiguousarray(ground.points[:, :2])
    y, x = np.clip(nodes.astype(np.intp), 0, np.array(turned.shape) - 1).T
    strength = np.sqrt(np.where(turned[y, x] > 0, ground.points[:, 2] / pixel[y, x], 0.0))
    add_points(place.row, place.column, cycles, nodes, strength, response, image)
    seen = image.view(np.complex64)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return _with_noise(seen, reach, 10 ** (noise_db / 10), noise_seed)


def _pixel_area(geometry: RadarGeometry, positions: NDArray[np.float64], place: RadarPlace) -> NDArray[np.float64]:
    """Return the area of a pixel in the plane of slant range and flight at each node, square metres."""
    # Rows are as far apart all over an image, to a thousandth.
    known = np.argwhere(np.isfinite(place.row))
    if not len(known):
        return np.ones(place.row.shape)
    y, x = known[len(known) // 2]
    along = float(geometry.azimuth_metres(positions[y, x]))
    return along * geometry.axis.metres(place.column, geometry.times(place.row))


def _turned_area(geometry: RadarGeometry, positions: NDArray[np.float64], place: RadarPlace) -> NDArray[np.float64]:
    """Return the area that each cell turns towards the radar, square metres; negative where it faces away."""
    satellite, _ = geometry.orbit.at(geometry.times(place.row[:-1, :-1]))
    sight = satellite - positions[:-1, :-1]
    rising = positions[:-1, 1:] - positions[1:, :-1]
    falling = positions[:-1, :-1] - positions[1:, 1:]
    area = 0.5 * np.cross(rising, falling)
    return np.asarray(np.sum(area * sight, axis=-1) / place.distance[:-1, :-1])


def _response() -> NDArray[np.float32]:
    """Return the samples of a point's response at fractions of a pixel, (fraction, sample); its power adds to one."""
    fraction = np.linspace(0, 1, _RESPONSE_STEPS + 1)[:, np.newaxis]
    away = np.arange(1 - HALF, 1 + HALF) - fraction
    # A window of Kaiser's: with this one hardly anything lies beyond the band that pixels can hold.
    window = np.i0(_KAISER * np.sqrt(1 - (away / HALF) ** 2)) / np.i0(_KAISER)
    response = np.sinc(_BANDWIDTH * away) * window
    return np.asarray(response / np.sqrt(np.sum(response**2, axis=1).mean()), np.float32)


def _normals() -> NDArray[np.complex64]:
    """Return the values that facets are drawn from: complex, circular normal, of mean square one."""
    # At the middle of steps of equal probability, so that few of them are as good as many that are drawn.
    size = np.sqrt(-np.log((np.arange(_NORMALS) + 0.5) / _NORMALS))
    turn = np.random.default_rng(0).permutation(_NORMALS) / _NORMALS
    values = size * np.exp(2j * np.pi * turn)
    return np.asarray(values / np.sqrt(np.mean(np.abs(values) ** 2)), np.complex64)


def _with_noise(
    image: NDArray[np.complex64], reach: NDArray[np.int32], power: float, seed: int
) -> NDArray[np.complex64]:
    """Add the receiver's noise between the first and the last column of each row that show ground; clear the rest."""
    drawn = np.random.default_rng(seed).standard_normal((*image.shape, 2), np.float32)
    drawn *= math.sqrt(power / 2)
    column = np.arange(image.shape[1])
    inside = (column >= reach[:, :1]) & (column <= reach[:, 1:])
    return np.where(inside, image + drawn.view(np.complex64)[..., 0], np.complex64(0))
