"""A filter that follows the fringes: it averages noise and leaves steep motion as it is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from groundshift.checks import check_complex, check_positive
from groundshift.interferometry._kernels import sum_along_fringes

__all__ = ["Filtered", "filter_along_fringes"]


class Filtered(NamedTuple):
    """A filtered interferogram."""

    igram: NDArray[np.complex64]
    """(y, x): the mean of the neighbours with data once the local fringe rate is taken out; zero without data."""
    samples: float
    """Mean number of pixels with data that were averaged into one."""


def filter_along_fringes(igram: NDArray[np.complex64], window: int = 5) -> Filtered:
    """Average an interferogram along its fringes.

    Parameters
    ----------
    igram : (y, x) complex array
        Coherence times phasor; zero without data.
    window : int
        Rows and columns that are averaged, odd. The local fringe rate is taken from twice as many, plus one.

    Returns
    -------
    Filtered
        Phase is kept to first order: where fringes are straight within the window it is only freed of noise.

    Raises
    ------
    TypeError
        If `igram` is not complex-valued.
    ValueError
        If `window` is not a positive odd number.

    Notes
    -----
    With z the interferogram, the fringe rates are the arguments of the sums of ``z(y+1, x) conj z(y, x)``, and likewise
    along rows, over 2 `window` + 1 pixels either way; rates beyond half a cycle a pixel are lost. A boxcar without this
    wipes out what is steeper than a cycle per window.

    Examples
    --------
    >>> y, x = np.mgrid[:32, :32]
    >>> steep = np.exp(1j * (2.0 * x - 1.5 * y)).astype(np.complex64)
    >>> abs(filter_along_fringes(steep).igram - steep).max() < 1e-5
    np.True_
    """
    check_complex("igram", igram)
    check_positive("window", window)
    if window % 2 != 1:
        raise ValueError(f"window must be odd, instead got {window}")
    igram = np.ascontiguousarray(igram, np.complex64)
    out = np.zeros_like(igram)
    sum_along_fringes(igram, _rate(igram, 0, window), _rate(igram, 1, window), window // 2, out)
    known = igram != 0
    count = uniform_filter(known.astype(np.float32), window, mode="constant") * np.float32(window**2)
    np.divide(out, np.maximum(count, 1), out=out)
    return Filtered(out, float(count[known].mean()) if known.any() else 0.0)


def _rate(igram: NDArray[np.complex64], axis: int, window: int) -> NDArray[np.complex64]:
    """Return the phase from each pixel to the next along an axis as a unit phasor, averaged; 1 where unknown."""
    product = np.zeros_like(igram)
    ahead, here = (slice(1, None), slice(None, -1)) if axis == 0 else (np.s_[:, 1:], np.s_[:, :-1])
    product[here] = igram[ahead] * igram[here].conj()
    side = 2 * window + 1
    mean = np.empty_like(product)
    for part, into in ((product.real, mean.real), (product.imag, mean.imag)):
        uniform_filter(part, side, mode="constant", output=into)
    length = np.abs(mean)
    # Sums of floats leave crumbs where there are no data.
    return np.divide(mean, length, out=np.ones_like(mean), where=length > 1e-7)
