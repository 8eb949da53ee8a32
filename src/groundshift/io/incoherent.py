"""Interferograms that are noise from edge to edge, told from those with a coherent place somewhere.

The product z(p + l) conj z(p) of two pixels a few apart has the phase of the fringes between them. Where the ground is
coherent, that phase is alike over some distance, for fringes turn slowly; in noise it is anything. Its mean is taken
over tiles of 8 x 8 pixels, and tiles are compared that lie 16 to 32 pixels apart.

Looks that overlap, resampling and filters make neighbouring pixels of noise alike, and their products with them. Two
things keep that out. The lag l exceeds what is alike by filtering: it is one and a half times the first at which the
mean product over the whole image vanishes, so that products of noise have no phase in common. And tiles are compared
only with tiles that they share no pixel with, whose means are then independent however alike the pixels within each.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_complex
from groundshift.types import Window

__all__ = ["Agreement", "holds_only_noise", "judge_noise", "tile_agreement"]

_TILE = 8
_APART = (2, 4)
"""Tiles between those compared, along the longer axis: nearer ones share pixels of a product, over longer distances
fringes turn."""
_LONGEST = 8
"""Largest lag, pixels: the products of a tile then reach no farther than the next tile."""
_VANISHED = 0.05
"""Mean product of two pixels below which filtering has left nothing alike."""
_MARGIN = 1.5
_SCORE = 5.0
"""Least score of a coherent block, where there is one; half more for each doubling of their number. Scores of noise
have a standard deviation of 1.0 if it is white and of up to 2.0 if filters made neighbours alike."""
_FEWEST = 3000
"""Fewer comparisons (an image of about 64 x 90 pixels) do not tell weak coherence from none."""

_BLOCK = 256
"""Most rows and columns of a block, so that a coherent place is not lost in a large image."""
_STRIP = 128
_STRIPS = 8
"""Rows of a strip, and strips of an image that is too large to be read whole."""


class Agreement(NamedTuple):
    """How well the fringes of tiles agree that lie apart."""

    total: float = 0.0
    """Sum of the real parts of mean product times conjugate mean product."""
    variance: float = 0.0
    """That of the sum, if all phases are by chance."""
    comparisons: int = 0

    @property
    def score(self) -> float:
        """The sum in standard deviations: normal around 0 in noise."""
        return self.total / math.sqrt(self.variance) if self.variance > 0 else 0.0

    def plus(self, other: "Agreement") -> "Agreement":
        """Return that of other tiles as well."""
        return Agreement(self.total + other.total, self.variance + other.variance, self.comparisons + other.comparisons)


def judge_noise(igram: NDArray[np.complexfloating]) -> bool:
    """Say whether an interferogram is noise from edge to edge.

    Parameters
    ----------
    igram : (y, x) complex array
        Any magnitude; zero, NaN and infinite values are no data.

    Returns
    -------
    bool
        False also for images too small to tell: fewer than about 64 x 90 pixels with data.

    Raises
    ------
    TypeError
        If `igram` is not complex-valued.

    Notes
    -----
    With m the mean products of tiles, the sum of Re(m conj m') over all tiles compared has the variance
    sum |m|^2 |m'|^2 / 2 if the phases of the m are independent and even, whatever their lengths: its score is normal.
    It is taken of blocks of up to 256 x 256 pixels, and the image is noise if that of none reaches 5, or
    5 + log2(n) / 2 where there are n blocks.

    Noise that passes as coherent: fewer than 1 of 1,000,000 images if it is white, by the normal distribution; 1 of 100
    at most, as simulated, after windows of up to 8 x 8 pixels, Gaussians of up to 2 pixels, or a Goldstein filter of
    strength up to 0.6 with patches of 32; 2 to 10 of 100 at a strength of 0.8. What reaches farther, such as patches of
    64 at a strength of 0.9, makes fringes of noise that pass as often as not. Coherence that passes as noise: none as
    simulated where it is 0.4 (four looks) on 48 x 48 pixels of a block, or 0.3 on 64 x 64, and the rest is noise.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = np.exp(2j * np.pi * rng.random((128, 128)))
    >>> judge_noise(noise)
    True
    >>> noise[30:90, 20:80] = np.exp(0.7j * np.arange(60))
    >>> judge_noise(noise)
    False
    """
    check_complex("igram", igram)
    windows = list(itertools.product(_parts(igram.shape[0]), _parts(igram.shape[1])))
    return _all_noise((tile_agreement(igram[window]) for window in windows), len(windows))


def holds_only_noise(read: Callable[[Window], NDArray[np.complex64]], shape: tuple[int, int]) -> tuple[bool, int]:
    """Judge an interferogram that is read in strips, no more of them than it takes.

    Parameters
    ----------
    read : callable
        Reads it over a window.
    shape : (int, int)
        Rows and columns of the whole.

    Returns
    -------
    noise, pixels
        What `judge_noise` says of up to 8 strips of 128 rows, evenly apart; and how many pixels were read.
    """
    height, columns = min(_STRIP, shape[0]), _parts(shape[1])
    tops = np.linspace(0, shape[0] - height, min(_STRIPS, max(1, shape[0] // height))).round().astype(int)
    pixels = 0

    def blocks() -> Iterator[Agreement]:
        nonlocal pixels
        for top in tops:
            strip = read(Window(int(top), 0, height, shape[1]))
            pixels += strip.size
            yield from (tile_agreement(strip[:, part]) for part in columns)

    noise = _all_noise(blocks(), len(tops) * len(columns))
    return noise, pixels


def tile_agreement(igram: NDArray[np.complexfloating]) -> Agreement:
    """Compare the fringes of tiles 16 to 32 pixels apart, along rows and along columns.

    Parameters
    ----------
    igram : (y, x) complex array
        Zero, NaN and infinite values are no data.

    Raises
    ------
    TypeError
        If `igram` is not complex-valued.
    """
    check_complex("igram", igram)
    length = np.abs(igram)
    known = np.isfinite(length) & (length > 0)
    phasors = np.zeros(igram.shape, np.complex64)
    np.divide(igram, length, out=phasors, where=known)
    found = Agreement()
    for axis in (0, 1):
        found = found.plus(_compared(_tile_means(_products(phasors, axis, _lag(phasors, axis)))))
    return found


def _all_noise(blocks: Iterable[Agreement], number: int) -> bool:
    """Whether none of a number of blocks is coherent, and one is large enough to tell; asks no further than it must."""
    least = _SCORE + 0.5 * math.log2(number)
    enough = False
    for block in blocks:
        if block.score >= least:
            return False
        enough = enough or block.comparisons >= _FEWEST
    return enough


def _parts(length: int) -> list[slice]:
    """Cut a length into equal parts of no more than a block."""
    edges = np.linspace(0, length, max(1, math.ceil(length / _BLOCK)) + 1).astype(int)
    return [slice(int(start), int(stop)) for start, stop in itertools.pairwise(edges)]


def _products(phasors: NDArray[np.complex64], axis: int, lag: int) -> NDArray[np.complex64]:
    """Return z(p + lag) conj z(p) along an axis."""
    along = np.moveaxis(phasors, axis, 0)
    return np.moveaxis(along[lag:] * along[:-lag].conj(), 0, axis)


def _lag(phasors: NDArray[np.complex64], axis: int) -> int:
    """Return the lag beyond which pixels of noise are independent; the longest where the image is coherent."""
    for lag in range(1, min(_LONGEST, phasors.shape[axis] - 1) + 1):
        products = _products(phasors, axis, lag)
        if abs(products.sum()) < _VANISHED * np.count_nonzero(products):
            return min(math.ceil(_MARGIN * lag), _LONGEST)
    return _LONGEST


def _tile_means(products: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Average over whole tiles; 0 where less than a quarter of one has data."""
    rows, columns = (n // _TILE for n in products.shape)
    tiles = products[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE)
    count = np.count_nonzero(tiles, axis=(1, 3))
    return np.where(count >= _TILE**2 / 4, tiles.sum(axis=(1, 3)) / np.maximum(count, 1), 0).astype(np.complex64)


def _compared(means: NDArray[np.complex64]) -> Agreement:
    """Compare each tile with those at the distances wanted, each two once."""
    rows, columns = means.shape
    found = Agreement()
    near, far = _APART
    for dy in range(min(far, rows - 1) + 1):
        for dx in range(-far if dy else near, far + 1):
            if max(dy, abs(dx)) < near or abs(dx) >= columns:
                continue
            one = means[dy:, max(dx, 0) : columns + min(dx, 0)]
            other = means[: rows - dy, max(-dx, 0) : columns - max(dx, 0)]
            products = one * other.conj()
            found = found.plus(
                Agreement(
                    float(products.real.sum(dtype=np.float64)),
                    float(np.sum(np.abs(products) ** 2, dtype=np.float64)) / 2,
                    int(np.count_nonzero(products)),
                )
            )
    return found
