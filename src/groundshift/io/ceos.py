"""ALOS PALSAR and ALOS-2 PALSAR-2 in the CEOS format of JAXA: level 1.1 (complex) and 1.5 (detected, ground range).

Given is a folder with the image (`IMG-HH-...`) and its leader (`LED-...`); of several polarisations the first of HH,
VV, HV, VH is read. Volume directory (`VOL-`) and trailer (`TRL-`) are not needed. Geocoded images (`1.5G`, `2.1`,
`3.1`), raw ones (`1.0`) and ScanSAR are refused: their rows are no times of one flight.

Time: the lines of level 1.1 are taken for those of zero Doppler. The time stamp of a line counts milliseconds (ALOS)
or microseconds (ALOS-2): the first row's time is the mean of many stamps less their way along the rows, the interval
that of the pulse repetition frequency, of the leader or of the line, whichever fits the stamps; where neither does,
that of a line through the stamps.

Range: level 1.1 has the slant range of the first pixel before each line, in whole metres, and the sampling rate in the
leader. Level 1.5 has the slant ranges of the first, middle and last pixel. The square of a slant range is nearly a
parabola over ground range (Pythagoras), to four centimetres over 70 km on a sphere; through the three it gives the
others. Where the lines tell places of their ends, these must lie there by the orbit too, or the image is refused.

Radiometry: backscatter in dB is ``20 log10(DN) + CF - A`` with the calibration factor CF of the radiometric data
record, A = 32 dB for level 1.1 and 0 for 1.5.
"""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from groundshift.constants import SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, ProductError
from groundshift.geometry.orbits import earth_fixed
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.ceos_records import ImageFile, Leader, LineHeader, read_image_file, read_leader, read_line_header
from groundshift.types import Window

__all__ = ["PRODUCT", "find", "open_images"]

PRODUCT = "ceos"

_NAME = re.compile(
    r"IMG-(?P<polarisation>HH|HV|VH|VV)-"
    r"(?P<rest>(?P<scene>ALPSR[A-Z]\d+|ALOS2\d+-\d{6})-(?P<mode>[A-Z]{1,4})(?P<level>\d\.\d)(?P<option>.).[AD])"
    r"(?P<part>-[A-Z]\d+)?"
)
_POLARISATIONS = ("HH", "VV", "HV", "VH")
_PIXELS = {"1.1": ">c8", "1.5": ">u2"}
_CALIBRATION_OFFSET_DB = {"1.1": 32.0, "1.5": 0.0}
_STAMPS = 512
"""Lines whose time stamps are read."""
_STAMP = 1e-3
"""Seconds that the coarser stamps are cut off to."""
_AGREES = 1e-3
"""Relative difference of line intervals that is still the same."""
_DEGREE = 5
_MISPLACED = 100.0
"""Pixels by which the end of a line may lie elsewhere than its header says, of a smooth Earth."""
_PALSAR_2_RATES = (104.7915957140240e6, 52.39579785701190e6, 34.93053190467460e6, 17.46526595233730e6)
"""Range sampling rates of PALSAR-2, Hz; leaders may round them to whole MHz, which is pixels over a swath."""


class _Name(NamedTuple):
    """What the name of an image file tells."""

    path: Path
    polarisation: str
    rest: str
    mode: str
    level: str
    option: str
    part: str

    @property
    def is_palsar_2(self) -> bool:
        return self.rest.startswith("ALOS2")


class _Lines(NamedTuple):
    """When the rows of an image were seen; they may stand in its file in the other order, as columns may."""

    day: date
    first_time: float
    interval: float
    rows_turned: bool


def find(entries: Iterable[Path]) -> list[Path]:
    """Return the image files among some entries, one polarisation of each scene."""
    named = [name for name in map(_name_of, sorted(entries)) if name is not None]
    best: dict[tuple[Path, str, str], _Name] = {}
    for name in sorted(named, key=lambda name: _POLARISATIONS.index(name.polarisation)):
        best.setdefault((name.path.parent, name.rest, name.part), name)
    return sorted(name.path for name in best.values())


def open_images(path: Path) -> list[AmplitudeImage]:
    """Open an image file and its leader.

    Raises
    ------
    ProductError
        If its rows are not times of one flight, or its headers contradict each other.
    MissingFileError, DamagedFileError
        If the leader is missing, or a file is truncated.
    """
    name = _name_of(path)
    if name is None:
        raise ProductError(f"{path}: not named like an image of PALSAR (IMG-HH-...); give it the name it came with")
    _check_kind(name)
    leader_path = path.with_name(f"LED-{name.rest}")
    leader, image = read_leader(leader_path), read_image_file(path)
    if image.pixel_bytes != np.dtype(_PIXELS[name.level]).itemsize:
        raise DamagedFileError(
            f"{path}: pixels of {image.pixel_bytes} bytes, expected {np.dtype(_PIXELS[name.level]).itemsize} of level "
            f"{name.level}; fetch the product again"
        )
    at, headers = _headers(image, name)
    lines = _lines(image, leader, at, headers)
    axis, columns_turned = (
        (_slant_axis(image, leader, name, headers), False)
        if name.level == "1.1"
        else _ground_axis(image, leader, lines, at, headers)
    )
    geometry = RadarGeometry(
        leader.orbit(lines.day),
        image.shape,
        lines.first_time,
        lines.interval,
        axis,
        leader.wavelength,
        leader.right_looking,
    )
    _check_ends(image, geometry, lines.rows_turned, columns_turned, at, headers)
    db = leader.calibration_db
    return [
        AmplitudeImage(
            PRODUCT,
            path,
            lines.day,
            "PALSAR-2" if name.is_palsar_2 else "PALSAR",
            geometry,
            partial(_read, image, _PIXELS[name.level], lines.rows_turned, columns_turned),
            None if db is None else 10 ** ((_CALIBRATION_OFFSET_DB[name.level] - db) / 20),
            (path, leader_path),
        )
    ]


def _name_of(path: Path) -> _Name | None:
    """Return what the name of an image file tells, or None if it is another file."""
    match = _NAME.fullmatch(path.name)
    if match is None or not path.is_file():
        return None
    part = match["part"] or ""
    return _Name(path, match["polarisation"], match["rest"], match["mode"], match["level"], match["option"], part)


def _check_kind(name: _Name) -> None:
    """Raise ProductError for what has no rows of one flight."""
    remedy = "order level 1.1, or 1.5 as geo-reference"
    if name.level == "1.0":
        raise ProductError(f"{name.path}: level 1.0 is raw signal and no image; {remedy}")
    if name.level not in _PIXELS or (name.level == "1.5" and name.option == "G"):
        raise ProductError(
            f"{name.path}: level {name.level}{name.option.strip('_')} lies on a map and its rows are no times of the "
            f"flight; {remedy}"
        )
    if name.mode.startswith("W") or name.part:
        raise ProductError(f"{name.path}: ScanSAR, whose rows belong to several bursts; give images of a stripmap mode")


def _headers(image: ImageFile, name: _Name) -> tuple[NDArray[np.int64], list[LineHeader]]:
    """Return some lines, the first and the last among them, and what stands before each."""
    records = image.records()
    at = np.unique(np.linspace(0, image.shape[0] - 1, _STAMPS).astype(np.int64))
    detected = name.level == "1.5"
    microseconds = name.is_palsar_2 and not detected
    return at, [read_line_header(image, records[i], detected=detected, microseconds=microseconds) for i in at]


def _lines(image: ImageFile, leader: Leader, at: NDArray[np.int64], headers: Sequence[LineHeader]) -> _Lines:
    """Return when the rows were seen."""
    earliest = min(header.time for header in headers)
    midnight = datetime(earliest.year, earliest.month, earliest.day)
    stamps = np.array([(header.time - midnight).total_seconds() for header in headers])
    slope = float(np.polyfit(at - at.mean(), stamps, 1)[0]) if len(at) > 1 else 0.0
    if slope == 0:
        raise ProductError(f"{image.path}: the time of its lines does not change; order level 1.1 of this scene")
    told = [1 / prf for prf in (leader.prf, headers[0].prf) if prf > 0]
    doubt = _AGREES * abs(slope) + _STAMP / image.shape[0]
    interval = next((one for one in told if abs(one - abs(slope)) < doubt), abs(slope))
    first = float(np.mean(stamps - math.copysign(interval, slope) * at))
    turned = slope < 0
    if turned:
        first -= interval * (image.shape[0] - 1)
    return _Lines(midnight.date(), first, interval, turned)


def _slant_axis(image: ImageFile, leader: Leader, name: _Name, headers: Sequence[LineHeader]) -> SlantAxis:
    """Return the range axis of a complex image."""
    near = {header.ranges[0] for header in headers}
    if len(near) > 1 or min(near) <= 0:
        raise ProductError(
            f"{image.path}: the slant range of its first pixel is {min(near):.0f} to {max(near):.0f} m; "
            "order the scene again with one range window"
        )
    rate = leader.sampling_rate
    if name.is_palsar_2:
        rate = next((one for one in _PALSAR_2_RATES if abs(rate / one - 1) < 0.02), rate)
    return SlantAxis(near.pop(), SPEED_OF_LIGHT / (2 * rate))


def _ground_axis(
    image: ImageFile, leader: Leader, lines: _Lines, at: NDArray[np.int64], headers: Sequence[LineHeader]
) -> tuple[GroundAxis, bool]:
    """Return the range axis of a detected image, and whether its columns stand in the other order."""
    step = leader.pixel_spacing
    if not (math.isfinite(step) and step > 0):
        raise DamagedFileError(f"{image.path}: its leader has no pixel spacing; fetch the product again")
    if image.shape[0] < 3 or image.shape[1] < 3:
        raise DamagedFileError(f"{image.path}: {image.shape[0]} x {image.shape[1]} pixels; fetch the product again")
    chosen = np.unique([0, len(at) // 2, len(at) - 1])
    ranges = np.array([headers[i].ranges for i in chosen])
    turned = bool(np.all(ranges[:, 0] > ranges[:, 2]))
    nearest, middle, farthest = (ranges[:, ::-1] if turned else ranges).T
    if not (np.all(nearest > 0) and np.all(nearest < middle) and np.all(middle < farthest)):
        raise ProductError(f"{image.path}: slant ranges do not grow along its lines; order level 1.1 of this scene")
    rows = image.shape[0] - 1 - at[chosen] if lines.rows_turned else at[chosen]
    order = np.argsort(rows)
    times = lines.first_time + lines.interval * rows[order]
    centre = image.shape[1] - 1 - image.shape[1] // 2 if turned else image.shape[1] // 2
    columns = step * np.array([0.0, centre, image.shape[1] - 1.0])
    found = [_slant_polynomial(columns, np.array(three)) for three in zip(nearest, middle, farthest, strict=True)]
    return GroundAxis(step, times, np.array(found)[order]), turned


def _check_ends(
    image: ImageFile,
    geometry: RadarGeometry,
    rows_turned: bool,
    columns_turned: bool,
    at: NDArray[np.int64],
    headers: Sequence[LineHeader],
) -> None:
    """Raise ProductError if the ends of lines lie elsewhere by the orbit than by what stands before them."""
    told = [
        (row, end, *place) for row, header in zip(at, headers, strict=True) for end, place in enumerate(header.ends)
    ]
    if not told:
        return
    rows, ends, longitudes, latitudes = np.array(told, np.float64).T
    place = geometry.place(earth_fixed(longitudes, latitudes, 0.0))
    rows = image.shape[0] - 1 - rows if rows_turned else rows
    columns = (image.shape[1] - 1) * (1 - ends if columns_turned else ends)
    miss = float(np.max(np.hypot(place.row - rows, place.column - columns)))
    # NaN, of ground that the orbit does not reach, is a miss as well.
    if not miss <= _MISPLACED:
        raise ProductError(
            f"{image.path}: the ends of its lines lie {miss:.0f} pixels from where the orbit sees them, so its rows "
            "are no times of the flight; order level 1.1 of this scene"
        )


def _slant_polynomial(ground: NDArray[np.float64], slant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the polynomial of slant range over ground range through three pixels, ascending powers."""
    squares = Polynomial.fit(ground, slant**2, 2)
    every = np.linspace(ground[0], ground[-1], 64)
    fitted = Polynomial.fit(every, np.sqrt(squares(every)), _DEGREE).convert()
    return np.asarray(np.pad(fitted.coef, (0, _DEGREE + 1 - len(fitted.coef))))


def _read(image: ImageFile, dtype: str, rows_turned: bool, columns_turned: bool, window: Window) -> NDArray[np.float32]:
    """Read amplitude over a window."""
    y = image.shape[0] - window.y - window.height if rows_turned else window.y
    x = image.shape[1] - window.x - window.width if columns_turned else window.x
    start = image.pixels_from + x * image.pixel_bytes
    content = image.records()[y : y + window.height, start : start + window.width * image.pixel_bytes]
    pixels = np.ascontiguousarray(content).view(dtype)
    amplitude: NDArray[np.float32] = np.abs(pixels).astype(np.float32)
    amplitude[~np.isfinite(amplitude)] = 0
    return amplitude[:: -1 if rows_turned else 1, :: -1 if columns_turned else 1]
