"""What the matcher is worth: scatter, bias at fractions of a pixel, errors on real texture, and windows per second.

Needs `opencv-python-headless` beside the package, for comparison. Speeds of both are medians of repeats that take
turns, on two threads each, so that the load of the machine bears on both alike.
"""

import os
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import scipy.fft
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from groundshift.offsets.matching import Offsets, match
from groundshift.offsets.quality import reject

SIDE, SEARCH, STEP = 64, 16, 8
REPEATS, THREADS = 7, 2
COHERENCE, LOOKS, LARGEST = 0.8, 4, 6.0


class Moved(NamedTuple):
    """A pair of amplitude images and the offsets between them, pixels."""

    reference: NDArray[np.float32]
    secondary: NDArray[np.float32]
    truth: NDArray[np.float64]


def complex_pair(folder: Path) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    first, second = (np.fromfile(folder / f"img{k}_WN_512x512_1x1_128", np.complex64).reshape(512, 512) for k in (1, 2))
    return first, second


def shifted(image: NDArray[np.complex64], by: float) -> NDArray[np.complex64]:
    f = scipy.fft.fftfreq(len(image))
    ramp = np.exp(-2j * np.pi * by * (f[:, np.newaxis] + f))
    return np.asarray(scipy.fft.ifft2(scipy.fft.fft2(image) * ramp), np.complex64)


def parabola(surface: NDArray[np.floating]) -> tuple[float, float]:
    """Peak of a correlation surface by a parabola through three samples along each axis."""
    r, c = np.unravel_index(int(np.argmax(surface)), surface.shape)
    if not (0 < r < surface.shape[0] - 1 and 0 < c < surface.shape[1] - 1):
        return np.nan, np.nan
    y, x = surface[r - 1 : r + 2, c], surface[r, c - 1 : c + 2]
    dy, dx = ((v[0] - v[2]) / (2 * (v[0] - 2 * v[1] + v[2])) for v in (y, x))
    return float(r + dy), float(c + dx)


def oversampled_parabola(surface: NDArray[np.floating], factor: int = 16) -> tuple[float, float]:
    """Peak of the surface oversampled by padding its spectrum, as in usual practice, then a parabola."""
    r, c = np.unravel_index(int(np.argmax(surface)), surface.shape)
    half = 8
    if not (half <= r < surface.shape[0] - half and half <= c < surface.shape[1] - half):
        return parabola(surface)
    patch = surface[r - half : r + half, c - half : c + half].astype(np.float64)
    spectrum = np.pad(np.fft.fftshift(np.fft.fft2(patch)), (factor - 1) * half)
    y, x = parabola(np.fft.ifft2(np.fft.ifftshift(spectrum)).real)
    return r - half + y / factor, c - half + x / factor


def by_opencv(
    reference: NDArray[np.float32], secondary: NDArray[np.float32], peak: Callable[[Any], tuple[float, float]]
) -> NDArray[np.float64]:
    """Match every cell with OpenCV's template matcher: (2, y, x), NaN at the edges."""
    import cv2  # noqa: PLC0415  (only this comparison needs it)

    cv2.setNumThreads(1)
    rows, columns = (n // STEP for n in reference.shape)
    found = np.full((2, rows, columns), np.nan)

    def line(i: int) -> None:
        r = i * STEP + STEP // 2 - SIDE // 2
        if not SEARCH <= r <= reference.shape[0] - SIDE - SEARCH:
            return
        for j in range(columns):
            c = j * STEP + STEP // 2 - SIDE // 2
            if SEARCH <= c <= reference.shape[1] - SIDE - SEARCH:
                field = secondary[r - SEARCH : r + SIDE + SEARCH, c - SEARCH : c + SIDE + SEARCH]
                template = reference[r : r + SIDE, c : c + SIDE]
                y, x = peak(cv2.matchTemplate(field, template, cv2.TM_CCOEFF_NORMED))
                found[:, i, j] = y - SEARCH, x - SEARCH

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(line, range(rows)))
    return found


def by_phase_correlation(
    reference: NDArray[np.float32], secondary: NDArray[np.float32], every: int
) -> NDArray[np.float64]:
    """Match some of the cells by phase correlation of whole windows: (2, y, x), NaN elsewhere."""
    rows, columns = (n // STEP for n in reference.shape)
    found = np.full((2, rows, columns), np.nan)
    for i in range(0, rows, every):
        for j in range(0, columns, every):
            r, c = (k * STEP + STEP // 2 - SIDE // 2 for k in (i, j))
            if min(r, c) >= SEARCH and max(r - reference.shape[0], c - reference.shape[1]) <= -SIDE - SEARCH:
                window = np.s_[r : r + SIDE, c : c + SIDE]
                pair = [image[window] - image[window].mean() for image in (secondary, reference)]
                found[:, i, j] = phase_cross_correlation(*pair, upsample_factor=32)[0]
    return found


def moved_texture(path: Path) -> Moved:
    """Move a real amplitude image by a smooth field, under speckle that changes in part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            texture = source.read(1)[400:1424, 200:1224].astype(np.float64)
    rng = np.random.default_rng(8)
    y, x = np.indices(texture.shape, np.float64)

    def field(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        return LARGEST * np.stack([np.sin(y / 160 + 0.3) * np.cos(x / 210), np.cos(y / 190) * np.sin(x / 170 + 1.1)])

    back = field(y, x)
    for _ in range(20):
        back = field(y - back[0], x - back[1])
    places = [y - back[0], x - back[1]]
    first, second = np.zeros(texture.shape), np.zeros(texture.shape)
    for _ in range(LOOKS):
        ground, other = (band_limited(rng, texture.shape) for _ in range(2))
        later = COHERENCE * ground + np.sqrt(1 - COHERENCE**2) * other
        first += np.abs(ground) ** 2 / LOOKS
        parts = [ndimage.map_coordinates(part, places, order=5, mode="reflect") for part in (later.real, later.imag)]
        second += (parts[0] ** 2 + parts[1] ** 2) / LOOKS
    warped = np.maximum(ndimage.map_coordinates(texture, places, order=5, mode="reflect"), 1)
    at = np.arange(texture.shape[0] // STEP) * STEP + STEP // 2 - 0.5
    return Moved(
        (texture * np.sqrt(first)).astype(np.float32),
        (warped * np.sqrt(second)).astype(np.float32),
        field(*np.meshgrid(at, at, indexing="ij")),
    )


def band_limited(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    """Complex speckle of unit intensity, sampled 1.4 times as finely as its band needs."""
    f = np.abs(scipy.fft.fftfreq(shape[0])) < 0.36
    spectrum = rng.normal(size=(*shape, 2)).view(np.complex128)[..., 0] * (f[:, np.newaxis] & f)
    speckle = scipy.fft.ifft2(spectrum)
    return np.asarray(speckle / np.sqrt(np.mean(np.abs(speckle) ** 2)))


def rms(found: NDArray[np.floating], truth: NDArray[np.float64], where: NDArray[np.bool_]) -> str:
    """Format the errors: all cells, and the half that lies closest."""
    off = (found - truth)[:, where]
    return f"{np.sqrt(np.mean(off**2)):8.3f} px, median {np.median(np.hypot(*off)):.3f}"


def both(offsets: Offsets) -> NDArray[np.float32]:
    return np.stack([offsets.azimuth, offsets.range])


def print_scatter(pair: tuple[NDArray[np.complex64], NDArray[np.complex64]]) -> None:
    found = match(*pair, windows=[SIDE])
    print(f"(a) {SIDE} px windows, coherence 0.80: standard deviation of the offsets, and what their errors say, px")
    for name, values, sigma in zip(
        ("azimuth", "range"), both(found), (found.sigma_azimuth, found.sigma_range), strict=True
    ):
        print(f"    {name:8} {np.nanstd(values):.4f}  {np.nanmedian(sigma):.4f}")


def print_bias(pair: tuple[NDArray[np.complex64], NDArray[np.complex64]]) -> None:
    print("(b) shifted along both axes: mean offset less shift, px; a parabola on the amplitude beside it")
    print("    shift     azimuth   range    parabola")
    worst = np.zeros(2)
    for k in range(17):
        second = shifted(pair[1], k / 16)
        bias = np.nanmean(both(match(pair[0], second, windows=[SIDE])), axis=(1, 2)) - k / 16
        simple = np.nanmean(by_opencv(np.abs(pair[0]), np.abs(second), parabola), axis=(1, 2)) - k / 16
        worst = np.maximum(worst, [np.abs(bias).max(), np.abs(simple).max()])
        print(f"    {k:2}/16 {bias[0]:+11.4f} {bias[1]:+8.4f} {simple[0]:+9.4f}")
    print(f"    worst {worst[0]:.4f}, parabola {worst[1]:.4f}")


def print_texture(moved: Moved) -> None:
    pair = moved.reference, moved.secondary
    cases = {
        "ours, 64 px": both(match(*pair, windows=[SIDE])),
        "ours, 64, 96 or 128 px": both(match(*pair)),
        "OpenCV, parabola": by_opencv(*pair, parabola),
        "OpenCV, oversampled 16x": by_opencv(*pair, oversampled_parabola),
        "phase correlation, 32x": by_phase_correlation(*pair, 2),
    }
    where = np.all([np.isfinite(found).all(axis=0) for found in cases.values()], axis=0)
    print(f"(c) glacier, field of up to {LARGEST:g} px, {LOOKS}-look speckle of coherence {COHERENCE}: RMS error of")
    print(f"    {where.sum()} cells that all know")
    for name, found in cases.items():
        print(f"    {name:24} {rms(found, moved.truth, where)}")
    found = match(*pair, windows=[SIDE])
    kept = where & ~reject(found)
    print(f"    {'ours, 64 px, kept':24} {rms(both(found), moved.truth, kept)} ({kept.sum() / where.sum():.0%})")


def print_speed(moved: Moved) -> None:
    pair = moved.reference, moved.secondary
    match(*pair, windows=[SIDE])
    times: dict[str, list[float]] = {"ours": [], "OpenCV": []}
    counts = {}
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = match(*pair, windows=[SIDE], search=SEARCH, step=STEP, threads=THREADS)
        times["ours"].append(time.perf_counter() - began)
        began = time.perf_counter()
        other = by_opencv(*pair, parabola)
        times["OpenCV"].append(time.perf_counter() - began)
        counts = {"ours": np.isfinite(found.azimuth).sum(), "OpenCV": np.isfinite(other[0]).sum()}
    speed = {name: counts[name] / statistics.median(spent) for name, spent in times.items()}
    ratios = [counts["ours"] / a / (counts["OpenCV"] / b) for a, b in zip(times["ours"], times["OpenCV"], strict=True)]
    print(f"(d) windows per second, {SIDE} px, search {SEARCH}, step {STEP}, {THREADS} threads each")
    print("    " + ", ".join(f"{name} {value:.0f}" for name, value in speed.items()))
    print(f"    ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f} in {REPEATS} rounds)")


def main() -> None:
    data = Path(os.environ["GROUNDSHIFT_DATA"])
    pair = complex_pair(data / "offset_accuracy")
    print_scatter(pair)
    print_bias(pair)
    moved = moved_texture(data / "glacier_amplitude" / "DJ_before.tiff")
    print_texture(moved)
    print_speed(moved)


if __name__ == "__main__":
    main()
