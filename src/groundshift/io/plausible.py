"""Whether the numbers of a phase raster are radians: degrees, cycles, bytes and the like are recognised and said.

A wrapped phase tells its unit by itself: it closes to a circle, so that neighbours leap from one end of the values to
the other, and the length of that circle is 2 pi in radians, 360 in degrees, 1 in cycles, 256 in bytes. Where nothing
leaps, the unit shows in the steps between neighbours: those of an unwrapped phase in radians are smaller than pi nearly
everywhere, those of degrees or millimetres are not. A scene without a whole fringe says nothing about its unit, unless
its values are whole numbers or lie where no radians do; it passes.

A phase of the wrong sign looks like any other. Over mines it shows in the bowls, which sink.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from groundshift.checks import check_shape
from groundshift.errors import GroundshiftError
from groundshift.io.stack import Problem
from groundshift.types import Window

__all__ = ["FindingKind", "PhaseFinding", "judge_phase", "judge_signs", "usable_phase"]

FindingKind = Literal["cycles", "degrees", "bytes", "scaled", "whole", "unwrapped", "no-data", "neither"]

ReadPhase = Callable[[Window], tuple[NDArray[Any], NDArray[np.bool_]]]
"""Read the numbers of a raster, and where they are data, over a window of its grid."""

_BLOCK = (64, 512)
"""Rows and columns of the block that a raster is judged by; few rows, because files are compressed by lines."""
_FEWEST = 64
"""Fewer pixels with data tell nothing."""

_ENDS = 0.001
"""Share of the values beyond either end of their range, so that a few wild ones do not count."""
_NEAR = 0.03
"""An end may lie this share of a circle off it: more than a scene of few fringes leaves free (0.014 with steps of 10
degrees), less than what parts 65,536 from 2 pi times 10,000 (0.043)."""
_LEAP = 0.5
"""A step over more than this share of the range leads around the circle: fringes leap by a turn less what they turn by
from one pixel to the next, a smooth surface never."""
_LEAP_OF_SHORT = 0.75
"""The same of circles shorter than 2 pi: 6 % of the steps of noise are longer, but 0.1 % of those of a small normal
scatter, of which 3 % exceed half its range."""
_LEAPS = 0.0005
"""So many of the steps must; a single fringe across a block makes 0.1 %."""
_LEAPING = 4
"""And at least so many in number."""
_FILLED = 0.02
"""Of circles shorter than 2 pi each eighth must hold this share of the values, for a small range of radians may end
anywhere: the outer eighths of a normal distribution hold 1 %, those of an even one 12.5 %."""

_BEYOND = math.pi / 4
"""Radians that wrapped values may exceed a circle by: interpolation overshoots at its seam."""
_TORN = 0.2
"""Share of steps beyond pi that no unwrapped phase has: pure noise unwrapped by minimum-cost flow has 13 to 14 %, real
scenes 0 to 0.4 %; a phase in degrees has it from noise of 2 degrees on."""
_TORN_UNWRAPPED = 0.5
"""The same where a raster is said to be unwrapped: noise unwrapped line by line has 44 %."""
_FILL = 0.001
"""Share of pixels with one and the same extreme value that makes it one for no data."""

_FEWEST_BOWLS = 10
"""With ten bowls, all must rise to be told."""
_SIGN_LEVEL = 0.001
"""Probability that as many bowls rise by chance if rising were as likely as sinking; mostly they sink, which makes it
smaller."""


class PhaseFinding(NamedTuple):
    """What is odd about the numbers of a phase raster."""

    kind: FindingKind
    text: str
    """The finding and, after a semicolon, the remedy."""

    @property
    def usable(self) -> bool:
        """Whether the raster is read rightly all the same."""
        return self.kind in ("unwrapped", "no-data")


class _Circle(NamedTuple):
    """A unit that a wrapped phase comes in, by how much of it makes a whole turn."""

    length: float
    kind: FindingKind
    name: str
    remedy: str


_CIRCLES = (
    _Circle(1.0, "cycles", "like cycles", "convert it to radians (times 2 pi)"),
    _Circle(2.0, "cycles", "like multiples of pi", "convert it to radians (times pi)"),
    _Circle(256.0, "bytes", "scaled to bytes", "give the raster in radians that it was made from"),
    _Circle(360.0, "degrees", "like degrees", "convert it to radians (times pi / 180)"),
    _Circle(65536.0, "scaled", "scaled to 16 bits", "convert it to radians (times pi / 32768)"),
    *(
        _Circle(2 * math.pi * k, "scaled", f"like radians times {k}", f"divide it by {k}")
        for k in (10, 100, 1000, 10_000)
    ),
)


def judge_phase(values: NDArray[Any], *, wrapped_expected: bool = True) -> PhaseFinding | None:
    """Say whether the numbers of a phase raster are something other than radians.

    Parameters
    ----------
    values : (y, x) float or integer array
        As the file has them, before they are taken for radians. NaN, infinite values and 0 are no data.
    wrapped_expected : bool
        Whether product or name say that the phase is wrapped; an unwrapped one is then told, and is none else.

    Returns
    -------
    PhaseFinding or None
        None where the values may be radians, in +-pi, 0 to 2 pi or any other turn, or where they tell nothing: fewer
        than 64 of them, or no whole fringe.

    Raises
    ------
    TypeError
        If `values` is complex.
    ValueError
        If it is not two-dimensional.

    Notes
    -----
    Values that close to a circle of 1, 2, 256, 360, 65,536 or 2 pi times 10 to 10,000 have that unit. Of the others,
    those within a turn of radians pass. The rest is, in this order: whole numbers; degrees, if they span more than 180
    within a turn of 360 and their steps are too large for radians; unwrapped radians, if they are not; or neither.
    A smooth phase in degrees without a whole fringe cannot be told from an unwrapped one.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> wrapped = np.angle(np.exp(1j * (0.4 * x + 0.3 * y + 0.1)))
    >>> judge_phase(wrapped) is None
    True
    >>> judge_phase(np.degrees(wrapped)).text
    'phase looks like degrees (-179 to 180); convert it to radians (times pi / 180)'
    """
    if np.iscomplexobj(values):
        raise TypeError("values must be real numbers, instead got complex ones")
    check_shape("values", values, values.shape[:2])
    known = np.isfinite(values) & (values != 0)
    if np.count_nonzero(known) < _FEWEST:
        return None
    return _judge(np.where(known, values, np.nan).astype(np.float64), wrapped_expected)


def usable_phase(
    path: Path,
    read_phase: ReadPhase,
    shape: tuple[int, int],
    problems: list[Problem],
    *,
    wrapped_expected: bool = True,
    part: str = "",
) -> bool:
    """Judge a raster by a block of it, for its reader, and tell what is odd.

    Parameters
    ----------
    path : path
        What the message names.
    read_phase : callable
        Reads the numbers of the file over a window, and where they are data.
    shape : (int, int)
        Rows and columns of the raster.
    problems : list of Problem
        Added to.
    wrapped_expected : bool
        As in `judge_phase`.
    part : str
        What the message names beside the file, where that holds several pairs.

    Returns
    -------
    bool
        False where its values are not radians. True also where it cannot be read, which is told when its pair is.

    Notes
    -----
    One block of at most 64 x 512 pixels in the middle is read; where it is mostly without data, the middles of the
    quarters as well, and the block with most data is judged.
    """
    try:
        finding = judge_phase(_block(read_phase, shape), wrapped_expected=wrapped_expected)
    except GroundshiftError:
        return True
    if finding is None:
        return True
    problems.append(Problem(path, f"{path}: {part}{': ' if part else ''}{finding.text}", skipped=not finding.usable))
    return finding.usable


def judge_signs(peaks: Sequence[float]) -> str | None:
    """Say whether so many bowls rise that the sign of the phase must be the other one.

    Parameters
    ----------
    peaks : sequence of float
        Unwrapped phase at the bottom of each confident bowl against its surroundings, radians; phase grows where the
        ground sinks. Zero and NaN count for neither side. The test takes bowls for independent: one that several pairs
        show goes in once, by the median of its peaks.

    Returns
    -------
    str or None
        One line with the remedy; None with fewer than 10 bowls, or if no more of them rise than chance explains.

    Notes
    -----
    A binomial test: of n bowls, k rise with the probability P(K >= k), K ~ B(n, 1/2), if rising is as likely as
    sinking; told below 0.001. That is 10 of 10, 14 of 15, 18 of 20, 24 of 30. Ground rises in earnest over flooded
    mines and gas stores: there the line is no error of the product.

    Examples
    --------
    >>> judge_signs([4.0, 7.5, -2.0] * 5) is None
    True
    >>> judge_signs([-4.0] * 12).split(";")[0]
    'phase falls in 12 of 12 bowls, as over rising ground, but ground over mines sinks: its sign seems to be turned'
    """
    known = np.asarray(peaks, np.float64)
    known = known[np.isfinite(known) & (known != 0)]
    rising = int(np.count_nonzero(known < 0))
    if known.size < _FEWEST_BOWLS or bdtrc(rising - 1, known.size, 0.5) > _SIGN_LEVEL:
        return None
    return (
        f"phase falls in {rising} of {known.size} bowls, as over rising ground, but ground over mines sinks: its sign "
        "seems to be turned; multiply it by -1, or form the pairs as reference * conj(secondary) with the earlier date "
        "as reference"
    )


def _judge(values: NDArray[np.float64], wrapped_expected: bool) -> PhaseFinding | None:
    """Judge values of which NaN are no data."""
    data = values[np.isfinite(values)]
    low, high = (float(end) for end in np.quantile(data, (_ENDS, 1 - _ENDS)))
    span, ends = high - low, _range(float(data.min()), float(data.max()))
    steps = np.abs(np.concatenate([np.diff(values, axis=axis).ravel() for axis in (0, 1)]))
    steps = steps[np.isfinite(steps)]
    circle = _closed(data, low, high, steps)
    if circle is not None:
        return PhaseFinding(circle.kind, f"phase looks {circle.name} ({ends}); {circle.remedy}")
    turn = 2 * math.pi
    if span <= turn + _BEYOND and max(-low, high) <= turn + _BEYOND:
        return None
    fill = _filling(data)
    if fill is not None:
        return _without(values, fill, wrapped_expected)
    if np.array_equal(data, np.rint(data)):
        return _whole(float(data.min()), float(data.max()))
    torn = float(np.mean(steps > math.pi)) if steps.size else 0.0
    rough = torn > (_TORN if wrapped_expected else _TORN_UNWRAPPED)
    if (rough or _leaps(steps, _LEAP * span)) and span > 180 and (max(-low, high) <= 181 or (low >= 0 and high <= 361)):
        return PhaseFinding("degrees", f"phase looks like degrees ({ends}); {_of('degrees').remedy}")
    if rough:
        text = (
            f"values from {ends} are no radians, wrapped or unwrapped, for {torn:.0%} of neighbours "
            "differ by more than pi; convert the phase to radians"
        )
        return PhaseFinding("neither", text)
    if not wrapped_expected:
        return None
    text = (
        f"phase is unwrapped already ({ends}), and is only wrapped again; give the wrapped phase, or name a GeoTIFF unw"
    )
    return PhaseFinding("unwrapped", text)


def _closed(data: NDArray[np.float64], low: float, high: float, steps: NDArray[np.float64]) -> _Circle | None:
    """Return the unit whose circle the values fill, and leap around, from 0 or around 0."""

    def off(circle: _Circle) -> float:
        around = max(abs(low + circle.length / 2), abs(high - circle.length / 2))
        return min(around, max(abs(low), abs(high - circle.length))) / circle.length

    circle = min(_CIRCLES, key=off)
    short = circle.length < 2 * math.pi
    if off(circle) > _NEAR or not _leaps(steps, (_LEAP_OF_SHORT if short else _LEAP) * (high - low)):
        return None
    if short and np.histogram(data, bins=8, range=(low, high))[0].min() < _FILLED * data.size:
        return None
    return circle


def _leaps(steps: NDArray[np.float64], length: float) -> bool:
    """Whether enough steps are longer than a length."""
    return bool(np.count_nonzero(steps > length) >= max(_LEAPING, _LEAPS * steps.size))


def _filling(data: NDArray[np.float64]) -> float | None:
    """Return a value that lies far from all others and is there many times, or None."""
    for end, rest_end in ((data.min(), np.min), (data.max(), np.max)):
        rest = data[data != end]
        enough = rest.size >= _FEWEST and data.size - rest.size >= max(2, _FILL * data.size)
        if enough and abs(end - rest_end(rest)) > np.ptp(rest):
            return float(end)
    return None


def _without(values: NDArray[np.float64], fill: float, wrapped_expected: bool) -> PhaseFinding:
    """Judge values without the one that stands for no data, and tell that if the others are good."""
    rest = _judge(np.where(values == fill, np.nan, values), wrapped_expected)
    if rest is not None and not rest.usable:
        return rest
    share = np.count_nonzero(values == fill) / np.count_nonzero(np.isfinite(values))
    text = (
        f"the value {fill:g}, in {share:.1%} of the pixels, is taken for a phase; declare it as no data, or write NaN"
    )
    return PhaseFinding("no-data", text)


def _whole(low: float, high: float) -> PhaseFinding:
    """Name whole numbers beyond a turn of radians."""
    if (low >= 0 and high <= 255) or (low >= -128 and high <= 127 and high - low > 180):
        unit = _of("bytes")
        return PhaseFinding("bytes", f"phase looks {unit.name} ({_range(low, high)}); {unit.remedy}")
    if (low >= -180 and high <= 180) or (low >= 0 and high <= 360):
        return PhaseFinding("degrees", f"phase looks like degrees ({_range(low, high)}); {_of('degrees').remedy}")
    text = f"phase holds whole numbers only ({_range(low, high)}), as scaled integers are; convert it to radians"
    return PhaseFinding("whole", text)


def _of(kind: FindingKind) -> _Circle:
    """Return the unit of a kind."""
    return next(circle for circle in _CIRCLES if circle.kind == kind)


def _range(low: float, high: float) -> str:
    """Write the range of values with as many places as tell."""
    places = 2 if high - low < 10 else 1 if high - low < 100 else 0
    return f"{low:.{places}f} to {high:.{places}f}"


def _block(read_phase: ReadPhase, shape: tuple[int, int]) -> NDArray[Any]:
    """Read the middle of a raster, or the middle of a quarter where more data lie; NaN without data."""
    size = tuple(min(n, m) for n, m in zip(shape, _BLOCK, strict=True))
    best, most = np.empty(size), -1
    middles = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))
    windows = [
        Window(*(round(at * (n - m)) for at, n, m in zip(middle, shape, size, strict=True)), *size)
        for middle in middles
    ]
    for window in dict.fromkeys(windows):
        values, valid = read_phase(window)
        count = int(np.count_nonzero(valid & (values != 0)))
        if count > most:
            best, most = np.where(valid, values, np.nan), count
        if most > best.size / 4:
            break
    return best
