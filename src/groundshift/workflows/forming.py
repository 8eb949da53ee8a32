"""Interferograms of co-registered single-look images, formed when they are read and not written.

Stacking asks for the pairs of a block of rows in the order of their dates, so that a few images suffice to be kept: as
many as lie within the longest pair. Each is read once for a block.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import NoDataError
from groundshift.geometry import average_known
from groundshift.interferometry.coherence import correct_coherence, independent_looks
from groundshift.interferometry.filters import goldstein, remove_large_scale
from groundshift.interferometry.forming import form, remove_path
from groundshift.io.slc import SlcStack
from groundshift.io.stack import InterferogramStack
from groundshift.types import Looks, Pair, Window
from groundshift.workflows.choices import choose_looks
from groundshift.workflows.config import InterferometryConfig, SurveyConfig

__all__ = ["interferograms_of"]

_MIDDLE = (500, 2000)
"""Rows and columns in which looks are measured."""
_HALF_PATCH = 16
"""Of the Goldstein filter, pixels."""
_READERS = 2
"""Threads that read images."""
_AHEAD = 2
"""Dates that are read before they are asked for."""
_SIGN = "reference times conjugate of secondary, of single-look images: as here"


def interferograms_of(images: SlcStack, config: SurveyConfig) -> InterferogramStack:
    """Return all short pairs of single-look images as a stack of interferograms.

    Their magnitude is the coherence over the looks; pixels that lie in layover or shadow, or belong to other bursts,
    count as without data.

    Raises
    ------
    NoDataError
        If no two dates are near enough, or the scene is smaller than the looks.
    """
    settings, fast = config.interferometry, config.bowls.look_for != "bodies"
    pixel = min(config.stack.working_pixel, config.bowls.bowl_pixel if fast else math.inf)
    looks = Looks(*settings.looks) if settings.looks else choose_looks(images.grid, pixel)
    if looks.y * looks.x == 1:
        raise NoDataError(
            f"{images.root}: a single pixel has no coherence, and those of the images are already as large as the "
            "working pixel; give --looks, 2 2 for example"
        )
    if looks.y > images.grid.shape[0] or looks.x > images.grid.shape[1]:
        raise NoDataError(
            f"{images.root}: {images.grid.shape[0]} x {images.grid.shape[1]} pixels are fewer than {looks.y} x "
            f"{looks.x} looks; give --looks"
        )
    longest = max(
        config.stack.max_days,
        config.series.series_days if config.series.series else 0,
        config.bowls.bowl_days if fast else 0,
    )
    pairs = tuple(
        Pair(first, second, _baseline(images, first, second))
        for k, first in enumerate(images.dates)
        for second in images.dates[k + 1 :]
        if (second - first).days <= longest
    )
    if not pairs:
        raise NoDataError(f"{images.root}: no two dates lie within {longest} days; raise --max-days")
    kept = _Images(images, int(settings.images_memory_mb * 1e6))
    grid = images.grid.multilooked(looks)
    return InterferogramStack(
        product=_told(images.product, looks, settings),
        root=images.root,
        track=images.track,
        pairs=pairs,
        grid=grid,
        wavelength=images.wavelength,
        sign=_SIGN,
        coherence_source="estimated",
        read_pair=_Former(kept, looks, grid.shape, grid.spacing, settings).read,
        look=images.look,
        read_height=None if images.read_height is None else partial(_read_height, images.read_height, looks),
        problems=images.problems,
        files={p: (*images.files.get(p.reference, ()), *images.files.get(p.secondary, ())) for p in pairs},
    )


def _baseline(images: SlcStack, first: date, second: date) -> float | None:
    """Perpendicular baseline of a pair, metres."""
    known = images.baselines
    return known[second] - known[first] if first in known and second in known else None


def _told(product: str, looks: Looks, settings: InterferometryConfig) -> str:
    """Say what interferograms are made of; sums of other interferograms are not taken for theirs."""
    parts = [f"{product} images", f"{looks.y} x {looks.x} looks"]
    if settings.unbiased:
        parts.append("coherence without bias")
    if settings.goldstein:
        parts.append(f"Goldstein {settings.goldstein:g}")
    if settings.remove_large_scale:
        parts.append(f"less {settings.large_scale:g} m and more")
    return ", ".join(parts)


class _Former:
    """Forms one pair over a window of the grid of interferograms."""

    def __init__(
        self,
        images: "_Images",
        looks: Looks,
        shape: tuple[int, int],
        spacing: tuple[float, float],
        settings: InterferometryConfig,
    ) -> None:
        self._images = images
        self._looks = looks
        self._shape = shape
        self._spacing = spacing
        self._settings = settings
        self._lock = threading.Lock()
        self._independent: float | None = None

    def read(self, pair: Pair, window: Window) -> NDArray[np.complex64]:
        """Form a pair; what filters want around the window is read with it."""
        down, right = self._margin()
        # Patches of the filter lie alike in all windows.
        grid = _HALF_PATCH if self._settings.goldstein else 1
        y0, x0 = (max(first - margin, 0) // grid * grid for first, margin in ((window.y, down), (window.x, right)))
        y1 = min(window.y + window.height + down, self._shape[0])
        x1 = min(window.x + window.width + right, self._shape[1])
        ly, lx = self._looks
        area = Window(y0 * ly, x0 * lx, (y1 - y0) * ly, (x1 - x0) * lx)
        first, second = (self._images.read(day, area) for day in (pair.reference, pair.secondary))
        # Threads that read call this at the same time: each takes one core.
        igram = form(first, second, self._looks, alone=True)
        if self._settings.unbiased:
            igram = correct_coherence(igram, self._independent_looks())
        if self._settings.remove_large_scale:
            igram = remove_large_scale(igram, self._spacing, self._settings.large_scale)
        if self._settings.goldstein:
            igram = goldstein(igram, self._settings.goldstein)
        y, x = window.y - y0, window.x - x0
        return igram[y : y + window.height, x : x + window.width]

    def _margin(self) -> tuple[int, int]:
        """Pixels around a window, along rows and columns, on which its result depends."""
        metres, pixels = 0.0, 0
        if self._settings.unbiased:
            pixels += 2
        if self._settings.remove_large_scale:
            metres += math.sqrt(2) * self._settings.large_scale
        if self._settings.goldstein:
            pixels += 2 * _HALF_PATCH
        down, right = (math.ceil(metres / spacing) + pixels for spacing in self._spacing)
        return down, right

    def _independent_looks(self) -> float:
        """Measure once, in the middle of the first image, how many looks of a cell are independent."""
        with self._lock:
            if self._independent is None:
                self._independent = independent_looks(self._images.middle(), self._looks)
        return self._independent


_Key = tuple[object, date, Window]
_Image = NDArray[np.complex64]


class _Store:
    """What this process keeps of all images: those used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Future[_Image]] = OrderedDict()
        self._bytes: dict[_Key, int] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=_READERS, thread_name_prefix="images")

    def read(self, wanted: Sequence[_Key], size: int, limit: int, prepare: Callable[[_Key], _Image]) -> _Image:
        """Return the first image that is wanted, and begin to read the others as far as they fit.

        All have `size` bytes; others go when more than `limit` would be kept, but for two.
        """
        with self._lock:
            found = self._asked(wanted[0], size, prepare)
            ahead = [key for key in wanted[1:] if key in self._kept]
            for key in wanted[1:]:
                if key in self._kept or (len(ahead) + 3) * size <= limit:
                    self._asked(key, size, prepare)
                    ahead.append(key)
            while len(self._kept) > 2 and sum(self._bytes.values()) > limit:
                oldest, _ = self._kept.popitem(last=False)
                del self._bytes[oldest]
        try:
            return found.result()
        except BaseException:
            with self._lock:
                self._kept.pop(wanted[0], None)
                self._bytes.pop(wanted[0], None)
            raise

    def _asked(self, key: _Key, size: int, prepare: Callable[[_Key], _Image]) -> "Future[_Image]":
        """Return what is kept or being read, or begin to read it; it is the last to be let go of."""
        if key not in self._kept:
            self._kept[key] = self._pool.submit(prepare, key)
            self._bytes[key] = size
        self._kept.move_to_end(key)
        return self._kept[key]


_STORE = _Store()


class _Images:
    """Windows of the images of one stack, ready to be multiplied.

    With an image those of the next dates are read, for pairs are asked for in the order of their dates.
    """

    def __init__(self, stack: SlcStack, limit: int) -> None:
        self._stack = stack
        self._limit = limit
        self._own = object()

    def read(self, day: date, window: Window) -> _Image:
        """Read a window of a date, without path and without what is masked; not to be written to."""
        number = self._stack.dates.index(day)
        wanted = [(self._own, near, window) for near in self._stack.dates[number : number + 1 + _AHEAD]]
        size = 8 * window.height * window.width
        return _STORE.read(wanted, size, self._limit, lambda key: self._prepare(key[1], key[2]))

    def middle(self) -> NDArray[np.complex64]:
        """Read the middle of the first date."""
        shape = self._stack.grid.shape
        height, width = min(shape[0], _MIDDLE[0]), min(shape[1], _MIDDLE[1])
        window = Window((shape[0] - height) // 2, (shape[1] - width) // 2, height, width)
        return self._prepare(self._stack.dates[0], window)

    def _prepare(self, day: date, window: Window) -> NDArray[np.complex64]:
        """Read a window of a date, take its path out, and put zero where it is masked."""
        stack = self._stack
        image = np.ascontiguousarray(stack.read(day, window))
        if stack.read_path is not None:
            image = remove_path(image, stack.read_path(day, window), stack.wavelength)
        if stack.read_mask is not None:
            image = np.where(stack.read_mask(window), image, np.complex64(0))
        return image


def _read_height(read: Callable[[Window], NDArray[np.float32]], looks: Looks, window: Window) -> NDArray[np.float32]:
    """Average heights over the looks; NaN where none is known."""
    area = Window(window.y * looks.y, window.x * looks.x, window.height * looks.y, window.width * looks.x)
    return average_known(read(area), looks)
