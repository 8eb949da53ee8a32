"""Records of the CEOS files of ALOS PALSAR and ALOS-2 PALSAR-2: where in them what stands.

Bytes count from 1, both ends included, as in the documents of JAXA: *ALOS/PALSAR Level 1.1/1.5 Product Format
Description* and *ALOS-2/PALSAR-2 Level 1.1/1.5/2.1/3.1 CEOS SAR Product Format Description*. A file is a chain of
records. Each begins with 12 bytes: number, four codes of its type, and its length in bytes (big-endian). Numbers of
headers are text, those before each line of an image are big-endian integers.
"""

import math
import struct
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.geometry.orbits import Orbit

__all__ = ["ImageFile", "Leader", "LineHeader", "read_image_file", "read_leader", "read_line_header"]

Bytes = tuple[int, int]
"""First and last byte of a field, from 1."""

_CODE = (6, 6)
_LENGTH = (9, 12)
_SUMMARY, _POSITIONS, _RADIOMETRY = 10, 30, 50
"""Type codes of the leader's records: data set summary, platform position data, radiometric data."""

_LEADER_RECORDS = 16
"""Records of a leader that are looked through; those wanted are among the first six."""

# Data set summary record.
_MISSION = (397, 412)
_CLOCK_ANGLE = (477, 484)
_WAVELENGTH = (501, 516)
_SAMPLING_MHZ = (711, 726)
_PRF_MHZ = (935, 950)
_PIXEL_SPACING = (1703, 1718)

# Platform position data record.
_VECTORS = (141, 144)
_YEAR, _MONTH, _DAY = (145, 148), (149, 152), (153, 156)
_SECONDS = (161, 182)
_INTERVAL = (183, 204)
_FIRST_VECTOR = 387
_VECTOR_NUMBER = 22
"""Bytes of each of the six numbers of a state vector: position in metres, then velocity in metres per second."""

# Radiometric data record.
_CALIBRATION_DB = (21, 36)

# File descriptor record of an image.
_DESCRIPTOR = 720
_LINES = (181, 186)
_LINE_BYTES = (187, 192)
_PIXEL_BYTES = (225, 228)
_LEFT_PIXELS = (245, 248)
_COLUMNS = (249, 256)
_RIGHT_PIXELS = (257, 260)
_PREFIX_BYTES = (277, 280)
_SUFFIX_BYTES = (289, 292)

# Before each line: signal data record (level 1.1) and processed data record (level 1.5).
_LINE_YEAR, _LINE_DAY, _LINE_MILLISECONDS = (37, 40), (41, 44), (45, 48)
_LINE_PRF_MILLIHERTZ = (57, 60)
_LINE_MICROSECONDS = (85, 92)
_SIGNAL_NEAR = (117, 120)
_PROCESSED_RANGES = ((65, 68), (69, 72), (73, 76))
_PROCESSED_LATITUDES, _PROCESSED_LONGITUDES = ((133, 136), (141, 144)), ((145, 148), (153, 156))
"""Of the first and of the last pixel, millionths of a degree; zero where they are not told."""


class Leader(NamedTuple):
    """What the leader file tells of all lines of an image."""

    mission: str
    right_looking: bool
    wavelength: float
    sampling_rate: float
    """Of the range samples, Hz."""
    prf: float
    """Pulses per second."""
    pixel_spacing: float
    """Metres."""
    first_vector: datetime
    vector_interval: float
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    calibration_db: float | None
    """The calibration factor, or None where there is no radiometric record."""

    def orbit(self, day: date) -> Orbit:
        """Return the orbit; times are seconds from midnight (UTC) before `day`."""
        midnight = datetime(day.year, day.month, day.day)
        start = (self.first_vector - midnight).total_seconds()
        times = start + self.vector_interval * np.arange(len(self.positions), dtype=np.float64)
        return Orbit(times, self.positions, self.velocities)


class ImageFile(NamedTuple):
    """How the lines of an image lie in its file."""

    path: Path
    shape: tuple[int, int]
    line_bytes: int
    pixels_from: int
    """Bytes of a line before its first pixel."""
    pixel_bytes: int

    def records(self) -> NDArray[np.uint8]:
        """Return the bytes of all lines, (line, byte), mapped and not read."""
        shape = (self.shape[0], self.line_bytes)
        try:
            return np.memmap(self.path, np.uint8, "r", _DESCRIPTOR, shape)
        except (OSError, ValueError) as error:
            raise DamagedFileError(f"{self.path}: gone or truncated; fetch the product again") from error


class LineHeader(NamedTuple):
    """What stands before a line."""

    time: datetime
    """UTC."""
    prf: float
    """Pulses per second."""
    ranges: tuple[float, ...]
    """Slant ranges in metres: of the first pixel (level 1.1), or of the first, middle and last one (level 1.5)."""
    ends: tuple[tuple[float, float], ...]
    """Longitude and latitude of the first and the last pixel (level 1.5), where they are told."""


def read_leader(path: Path) -> Leader:
    """Read a leader file (`LED-...`).

    Raises
    ------
    MissingFileError
        If it is not there.
    DamagedFileError
        If a record is missing or cut off, or a number cannot be read.
    """
    records = _leader_records(path)
    for code, name in ((_SUMMARY, "data set summary"), (_POSITIONS, "platform position")):
        if code not in records:
            raise DamagedFileError(f"{path}: no {name} record; fetch the product again")
    summary, positions = _Record(path, records[_SUMMARY]), _Record(path, records[_POSITIONS])
    first, interval, vectors = _state_vectors(positions)
    radiometry = _Record(path, records[_RADIOMETRY]) if _RADIOMETRY in records else None
    return Leader(
        mission=summary.text(_MISSION),
        right_looking=_right_looking(summary),
        wavelength=summary.positive(_WAVELENGTH, "wavelength"),
        sampling_rate=1e6 * summary.positive(_SAMPLING_MHZ, "range sampling rate"),
        prf=1e-3 * summary.positive(_PRF_MHZ, "pulse repetition frequency"),
        pixel_spacing=summary.number(_PIXEL_SPACING, "pixel spacing") if summary.text(_PIXEL_SPACING) else math.nan,
        first_vector=first,
        vector_interval=interval,
        positions=vectors[:, :3],
        velocities=vectors[:, 3:],
        calibration_db=radiometry.number(_CALIBRATION_DB, "calibration factor") if radiometry else None,
    )


def read_image_file(path: Path) -> ImageFile:
    """Read the file descriptor record of an image file (`IMG-...`), and see that the file is as long as it says.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there or shorter than its records, or its numbers contradict each other.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            record = _Record(path, file.read(_DESCRIPTOR))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions") from error
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror}); fetch the product again") from error
    if record.binary(_LENGTH) != _DESCRIPTOR:
        raise DamagedFileError(
            f"{path}: its first record says {record.binary(_LENGTH)} bytes, expected {_DESCRIPTOR}; "
            "fetch the product again"
        )
    lines, columns = record.whole(_LINES, "number of lines"), record.whole(_COLUMNS, "number of pixels")
    line_bytes, pixel_bytes = record.whole(_LINE_BYTES, "length of a line"), record.whole(_PIXEL_BYTES, "pixel size")
    prefix = record.whole(_PREFIX_BYTES, "prefix of a line")
    left, right, suffix = (record.optional(field) for field in (_LEFT_PIXELS, _RIGHT_PIXELS, _SUFFIX_BYTES))
    told = prefix + (left + columns + right) * pixel_bytes + suffix
    if told != line_bytes:
        raise DamagedFileError(
            f"{path}: lines of {line_bytes} bytes, but prefix, {columns} pixels and suffix take {told}; "
            "fetch the product again"
        )
    expected = _DESCRIPTOR + lines * line_bytes
    if size < expected:
        raise DamagedFileError(
            f"{path}: expected {expected} bytes ({lines} x {columns} pixels), instead got {size}; "
            "fetch the product again"
        )
    return ImageFile(path, (lines, columns), line_bytes, prefix + left * pixel_bytes, pixel_bytes)


def read_line_header(image: ImageFile, line: NDArray[np.uint8], *, detected: bool, microseconds: bool) -> LineHeader:
    """Read what stands before a line.

    Parameters
    ----------
    image : ImageFile
    line : (byte,) uint8 array
        The line, from the first byte of its record.
    detected : bool
        Whether it is a processed data record (level 1.5) and not a signal data record (level 1.1).
    microseconds : bool
        Whether the record tells microseconds, as signal data records of ALOS-2 do; else it tells milliseconds.

    Raises
    ------
    DamagedFileError
        If the record has another length than the descriptor says, or its date is none of the calendar.
    """
    record = _Record(image.path, line[: image.pixels_from].tobytes())
    if record.binary(_LENGTH) != image.line_bytes:
        raise DamagedFileError(
            f"{image.path}: a line says it has {record.binary(_LENGTH)} bytes, expected {image.line_bytes}; "
            "fetch the product again"
        )
    seconds = 1e-6 * record.binary(_LINE_MICROSECONDS) if microseconds else 1e-3 * record.binary(_LINE_MILLISECONDS)
    try:
        new_year = datetime(record.binary(_LINE_YEAR), 1, 1)
        time = new_year + timedelta(days=record.binary(_LINE_DAY) - 1, seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise DamagedFileError(f"{image.path}: a line without a date; fetch the product again") from error
    fields = _PROCESSED_RANGES if detected else (_SIGNAL_NEAR,)
    ranges = tuple(float(record.binary(field)) for field in fields)
    told = zip(_PROCESSED_LONGITUDES, _PROCESSED_LATITUDES, strict=True) if detected else ()
    ends = tuple((1e-6 * record.binary(lon), 1e-6 * record.binary(lat)) for lon, lat in told)
    ends = ends if any(any(place) for place in ends) else ()
    return LineHeader(time, 1e-3 * record.binary(_LINE_PRF_MILLIHERTZ), ranges, ends)


class _Record(NamedTuple):
    """The bytes of a record."""

    path: Path
    content: bytes

    def _of(self, field: Bytes) -> bytes:
        """Return the bytes of a field."""
        if len(self.content) < field[1]:
            raise DamagedFileError(f"{self.path}: truncated within a record; fetch the product again")
        return self.content[field[0] - 1 : field[1]]

    def text(self, field: Bytes) -> str:
        """Return a field without the spaces around it."""
        return self._of(field).decode("ascii", "replace").replace("\0", " ").strip()

    def number(self, field: Bytes, name: str) -> float:
        """Return a number written as text, also with the exponent D of Fortran."""
        try:
            value = float(self.text(field).replace("D", "E").replace("d", "e"))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DamagedFileError(f"{self.path}: no number for the {name}; fetch the product again")
        return value

    def positive(self, field: Bytes, name: str) -> float:
        """Return a positive number written as text."""
        value = self.number(field, name)
        if value <= 0:
            raise DamagedFileError(f"{self.path}: the {name} is {value:g}; fetch the product again")
        return value

    def whole(self, field: Bytes, name: str) -> int:
        """Return a positive whole number written as text."""
        return int(self.positive(field, name))

    def optional(self, field: Bytes) -> int:
        """Return a whole number written as text, 0 where the field is empty."""
        return int(self.number(field, "border of a line")) if self.text(field) else 0

    def binary(self, field: Bytes) -> int:
        """Return a big-endian number of one, four or eight bytes."""
        content = self._of(field)
        return int(struct.unpack({1: ">B", 4: ">i", 8: ">q"}[len(content)], content)[0])


def _leader_records(path: Path) -> Mapping[int, bytes]:
    """Return the first records of a leader by their type code."""
    found: dict[int, bytes] = {}
    try:
        with path.open("rb") as file:
            for _ in range(_LEADER_RECORDS):
                start = file.read(_LENGTH[1])
                if not start:
                    break
                head = _Record(path, start)
                length = head.binary(_LENGTH)
                content = start + file.read(max(length - len(start), 0))
                if length < len(start) or len(content) < length:
                    raise DamagedFileError(f"{path}: truncated within a record; fetch the product again")
                found.setdefault(head.binary(_CODE), content)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; restore it, for it has the orbit of the image") from error
    except DamagedFileError:
        raise
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror}); fetch the product again") from error
    return found


def _state_vectors(record: _Record) -> tuple[datetime, float, NDArray[np.float64]]:
    """Return the time of the first vector, the seconds between two, and the vectors, (n, 6)."""
    count = record.whole(_VECTORS, "number of state vectors")
    interval = record.positive(_INTERVAL, "interval of the state vectors")
    seconds = record.number(_SECONDS, "time of the first state vector")
    try:
        year, month, day = (record.whole(field, "date of the state vectors") for field in (_YEAR, _MONTH, _DAY))
        first = datetime(year, month, day) + timedelta(seconds=seconds)
    except ValueError as error:
        raise DamagedFileError(f"{record.path}: no date of the state vectors; fetch the product again") from error
    if count < 2:
        raise DamagedFileError(f"{record.path}: {count} state vector, so there is no orbit; fetch the product again")
    starts = _FIRST_VECTOR + _VECTOR_NUMBER * np.arange(6 * count)
    numbers: list[Any] = [record.number((int(i), int(i) + _VECTOR_NUMBER - 1), "state vectors") for i in starts]
    return first, interval, np.array(numbers).reshape(count, 6)


def _right_looking(summary: _Record) -> bool:
    """Return the look side from the sensor clock angle: 90 degrees to the right of the flight, -90 to the left."""
    angle = summary.number(_CLOCK_ANGLE, "sensor clock angle")
    if abs(abs(angle) - 90) > 1:
        raise DamagedFileError(f"{summary.path}: the sensor clock angle is {angle:g} degrees; fetch the product again")
    return angle > 0
