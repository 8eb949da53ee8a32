"""From co-registered single-look images to interferograms: path, looks, coherence.

Arrays are (..., y, x), complex64, zero without data. With s_1 the reference and s_2 the secondary, a cell of looks
becomes

    z = sum(s_1 conj s_2) / sqrt(sum |s_1|^2 sum |s_2|^2) ,

whose magnitude is the sample coherence of its pixels and whose argument the maximum likelihood estimate of their common
phase. It grows when the ground moves away from the satellite.
"""

import numpy as np
from numpy.typing import NDArray

from groundshift.checks import check_complex, check_positive, check_shape
from groundshift.interferometry._kernels import form as form_parallel
from groundshift.interferometry._kernels import form_rows, take_out_path
from groundshift.types import Looks

__all__ = ["form", "remove_path"]


def form(
    reference: NDArray[np.complex64],
    secondary: NDArray[np.complex64],
    looks: Looks,
    out: NDArray[np.complex64] | None = None,
    *,
    alone: bool = False,
) -> NDArray[np.complex64]:
    """Form the interferogram of two images.

    Parameters
    ----------
    reference, secondary : (y, x) complex64 array
        Co-registered single-look images, zero without data, free of NaN. Arrays that are not contiguous are copied.
    looks : Looks
        Pixels of a cell, two at least; rows and columns that do not fill a cell are cut off.
    out : (y // looks.y, x // looks.x) complex64 array, optional
        Where to put the result: memory that is used again is filled faster than fresh memory.
    alone : bool
        On one core, in the thread that calls, for callers that form several pairs at once: compiled passes that run in
        parallel may not be entered by several threads. The result is the same to the last bit.

    Returns
    -------
    (y // looks.y, x // looks.x) complex64 array
        Coherence in [0, 1] times phasor of ``reference * conj(secondary)``; zero where fewer than half of the pixels of
        a cell have data in both images. `Grid.multilooked` says where the cells lie.

    Raises
    ------
    TypeError
        If an image is not complex-valued.
    ValueError
        If shapes differ, or a cell holds a single pixel, whose coherence would always be 1.

    Notes
    -----
    The coherence of few looks is too high where it is low (`coherence.py`); the phase is that of the maximum of the
    likelihood where phase and coherence are the same throughout the cell.

    References
    ----------
    [Fu2022]_, section 4.1; [Touzi1999]_; [Rodriguez1992]_ for the phase.

    Examples
    --------
    >>> reference = np.ones((4, 8), np.complex64)
    >>> igram = form(reference, reference * np.exp(-0.5j).astype(np.complex64), Looks(2, 4))
    >>> igram.shape, np.angle(igram).round(3).tolist()
    ((2, 2), [[0.5, 0.5], [0.5, 0.5]])
    """
    check_shape("secondary", secondary, reference.shape)
    first, second = _contiguous("reference", reference), _contiguous("secondary", secondary)
    out = _place(out, _cells(reference.shape, looks))
    if alone:
        form_rows(first, second, looks.y, looks.x, 0, out.shape[0], out)
    else:
        form_parallel(first, second, looks.y, looks.x, out)
    return out


def remove_path(
    slc: NDArray[np.complex64],
    path: NDArray[np.float64],
    wavelength: float,
    out: NDArray[np.complex64] | None = None,
) -> NDArray[np.complex64]:
    """Take the phase of the path to terrain and ellipsoid out of one image.

    Interferograms of images so treated have neither flat earth nor topography; to do it once for each date is several
    times less work than once for each pair.

    Parameters
    ----------
    slc : (y, x) complex64 array
        Image whose phase is -4 pi / wavelength times its path, as `SlcStack` delivers it.
    path : (y, x) float64 array
        Metres from the satellite to the terrain, less the same of the first date; NaN where unknown.
    wavelength : float
        Metres.
    out : (y, x) complex64 array, optional
        Where to put the result; may be `slc` itself.

    Returns
    -------
    (y, x) complex64 array
        ``slc * exp(4 pi i path / wavelength)``, exact to 4e-7 rad; zero where the path is unknown.

    Raises
    ------
    TypeError
        If the image is not complex-valued.
    ValueError
        If shapes differ or the wavelength is not positive.

    References
    ----------
    [Hanssen2001]_.

    Examples
    --------
    >>> path = np.array([[0.0, 100.0123, np.nan]])
    >>> slc = np.exp(-4j * np.pi / 0.0555 * np.nan_to_num(path)).astype(np.complex64)
    >>> remove_path(slc, path, 0.0555).round(4)
    array([[1.+0.j, 1.+0.j, 0.+0.j]], dtype=complex64)
    """
    image = _contiguous("slc", slc)
    check_shape("path", path, slc.shape)
    check_positive("wavelength", wavelength)
    out = _place(out, slc.shape)
    take_out_path(image, np.ascontiguousarray(path), 2.0 / wavelength, out)
    return out


def _cells(shape: tuple[int, ...], looks: Looks) -> tuple[int, int]:
    """Return how many cells an image has."""
    if looks.y < 1 or looks.x < 1 or looks.y * looks.x < 2:
        raise ValueError(
            f"looks must hold 2 pixels at least, else the coherence is always 1; instead got {looks.y} x {looks.x}"
        )
    return shape[0] // looks.y, shape[1] // looks.x


def _contiguous(name: str, images: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return images that lie in one piece, in single precision."""
    check_complex(name, images)
    return np.ascontiguousarray(images, np.complex64)


def _place(out: NDArray[np.complex64] | None, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Return an array that results can be put into: the one given, or a new one."""
    if out is None:
        return np.empty(shape, np.complex64)
    check_shape("out", out, shape)
    if out.dtype != np.complex64 or not out.flags.c_contiguous:
        raise ValueError(f"out must be contiguous complex64, instead got {out.dtype} with strides {out.strides}")
    return out
