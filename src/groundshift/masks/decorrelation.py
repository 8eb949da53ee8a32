"""Masks from a threshold on coherence, fixed or after Otsu [Otsu1979]. True means usable."""

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from groundshift.checks import check_within
from groundshift.errors import NoDataError

__all__ = ["coherent_above", "otsu_mask", "otsu_threshold"]


def otsu_threshold(coherence: NDArray[np.floating]) -> float:
    """Return the coherence that parts pixels into the two classes whose means lie farthest apart, by variance.

    Parameters
    ----------
    coherence : (y, x) float array
        0 to 1; zero or NaN without data, which does not count.

    Raises
    ------
    NoDataError
        If there are not two different values.

    Notes
    -----
    Of a histogram of 256 bins. There is always a threshold, also where all ground is coherent or none is: then it parts
    what belongs together.

    References
    ----------
    Otsu1979, equation 12.
    """
    values = coherence[np.isfinite(coherence) & (coherence > 0)]
    if not values.size:
        raise NoDataError("coherence has no data; Otsu's threshold wants some")
    if values.min() == values.max():
        raise NoDataError(f"coherence is {values.flat[0]:.3g} everywhere; Otsu's threshold wants two classes")
    return float(threshold_otsu(values))


def otsu_mask(coherence: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where coherence is above Otsu's threshold; False without data.

    Where coherence is the same everywhere, nothing tells pixels apart, and all with data count as usable.
    """
    try:
        return coherent_above(coherence, otsu_threshold(coherence))
    except NoDataError:
        return coherent_above(coherence, 0)


def coherent_above(coherence: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Return where coherence is above a threshold; False without data.

    Parameters
    ----------
    coherence : (y, x) float array
        0 to 1; zero or NaN without data.
    threshold : float
        0 to 1.

    Raises
    ------
    ValueError
        If the threshold is out of range.
    """
    check_within("threshold", threshold, 0, 1)
    return np.asarray(np.nan_to_num(coherence) > threshold, np.bool_)
