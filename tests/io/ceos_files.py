"""CEOS files of PALSAR and PALSAR-2, written field by field as the documents list them, over the pass beside.

The widths of the fields in their order are another form of the table of bytes that the reader has.
"""

import struct
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from scipy.optimize import fsolve
from tests.io.amplitude_pass import NOON, picture, seen, vectors

from groundshift.geometry.orbits import earth_fixed

PALSAR = "ALPSRP031591140-H1.1__A"
PALSAR_2 = "ALOS2014410740-140829-UBSR1.1__A"
DETECTED = "ALPSRP031591140-H1.5_UA"

START, NEAR, PRF = NOON - 2.0, 750_000, 2159.827
YEAR, DAY_OF_YEAR, DAY = 2010, 56, date(2010, 2, 25)
RATE_MHZ = 32.0
RATE_2_MHZ = 104.7915957140240
GROUND_STEP = 12.5

Fields = Sequence[tuple[int, object]]


def text(fields: Fields) -> bytes:
    """Join fields of given widths, numbers to the right and words to the left."""
    parts = []
    for width, value in fields:
        if isinstance(value, float):
            said = f"{value:{width}.{7 if width > 8 else 3}f}"
        elif isinstance(value, int):
            said = f"{value:{width}d}"
        else:
            said = f"{value!s:<{width}}"
        assert len(said) == width
        parts.append(said)
    return "".join(parts).encode("ascii")


def record(number: int, code: tuple[int, int, int, int], content: bytes, length: int) -> bytes:
    """Put the twelve bytes before a record and spaces behind it."""
    assert 12 + len(content) <= length
    return struct.pack(">I4BI", number, *code, length) + content.ljust(length - 12)


def summary(mission: str, clock: float, rate_mhz: float, prf: float) -> bytes:
    """Return the fields of the data set summary up to the pixel spacing."""
    scene: Fields = [(4, 1), (4, 1), (32, ""), (16, "scene"), (32, "20100225120000000"), (16, "")]
    place: Fields = [(16, 0.0), (16, 3.0), (16, 0.0), (16, "GRS80"), *[(16, 6378.137)] * 2, *[(16, 0.0)] * 5]
    middle: Fields = [(16, ""), (16, 0.0), (8, 6), (8, 4), (16, 0.0), (16, 0.0), (16, ""), (4, 1), (4, "")]
    radar: Fields = [
        (16, mission),
        (32, "PALSAR"),
        (8, 1),
        (8, 0.0),
        (8, 0.0),
        (8, 0.0),
        (8, clock),
        (8, 38.7),
        (8, ""),
    ]
    pulse: Fields = [(16, 0.2360571), (2, "00"), (16, "LINEAR"), *[(16, 0.0)] * 10, (8, 0), (8, "")]
    sampling: Fields = [(16, rate_mhz), (16, 0.0), (16, 27.0), (4, "YES"), (4, "YES"), (16, 0.0), (16, 0.0), (8, 5)]
    quality: Fields = [(12, "UNIFORM"), *[(16, 0.0)] * 7, (4, "OFF"), (16, 1e3 * prf), (16, 0.0), (16, 0.0)]
    clocks: Fields = [
        (16, 0),
        (32, ""),
        (16, 0),
        (16, "EOC"),
        (8, ""),
        (8, ""),
        (16, ""),
        (16, "1.1"),
        (32, ""),
        (32, ""),
    ]
    looks: Fields = [*[(16, 1.0)] * 6, (32, "1"), (32, "1"), (16, "HDDR"), *[(16, 0.0)] * 4]
    doppler: Fields = [*[(16, 0.0)] * 3, (16, ""), *[(16, 0.0)] * 3, (8, "INCREASE"), (8, "ASCEND")]
    rates: Fields = [*[(16, 0.0)] * 3, (16, ""), *[(16, 0.0)] * 3, (16, ""), (8, "RANGE"), (4, "YES"), (4, "NO")]
    spacing: Fields = [(16, GROUND_STEP), (16, GROUND_STEP)]
    groups = (scene, place, middle, radar, pulse, sampling, quality, clocks, looks, doppler, rates, spacing)
    return text([field for group in groups for field in group])


def positions() -> bytes:
    """Return the platform position record: 28 vectors a minute apart, as the products have them."""
    times, places, velocities = vectors(28, 60.0)
    head: Fields = [(32, "0"), *[(16, 0.0)] * 6, (4, len(times)), (4, YEAR), (4, 2), (4, 25), (4, DAY_OF_YEAR)]
    clock: Fields = [(22, float(times[0])), (22, 60.0), (64, "ECR"), (22, 0.0), *[(16, 0.0)] * 6]
    both = np.concatenate([places, velocities], axis=1)
    # The exponent of Fortran.
    states: Fields = [(22, f"{value:22.14E}".replace("E", "D")) for state in both for value in state]
    return text([*head, *clock, *states])


def leader(mission: str = "ALOS", clock: float = 90.0, rate_mhz: float = RATE_MHZ, prf: float = PRF) -> bytes:
    """Return a leader file with a calibration factor of -83 dB."""
    return b"".join(
        [
            record(1, (11, 192, 18, 18), text([(2, "A ")]), 720),
            record(2, (18, 10, 18, 20), summary(mission, clock, rate_mhz, prf), 4096),
            record(3, (18, 30, 18, 20), positions(), 4680),
            record(4, (18, 40, 18, 20), b"", 8192),
            record(5, (18, 50, 18, 20), text([(4, 1), (4, 1), (16, -83.0)]), 9860),
        ]
    )


def descriptor(lines: int, columns: int, prefix: int, pixel_bytes: int) -> bytes:
    """Return the first record of an image file."""
    length = prefix + columns * pixel_bytes
    head: Fields = [(2, "A "), (2, ""), (12, "CEOS-SAR"), (2, "A"), (2, "A"), (12, "1.0"), (4, 2), (16, "IMG")]
    where: Fields = [(4, "FSEQ"), (8, 1), (4, 4), (4, "FTYP"), (8, 5), (4, 4), (4, "FLGT"), (8, 9), (4, 4), (4, "")]
    size: Fields = [(64, ""), (6, lines), (6, length), (24, ""), (4, 32), (4, 2), (4, pixel_bytes), (4, "")]
    image: Fields = [(4, 1), (8, lines), (4, 0), (8, columns), (4, 0), (4, 0), (4, 0), (4, "BSQ")]
    per_line: Fields = [(2, 1), (2, 1), (4, prefix), (8, columns * pixel_bytes), (4, 0), (4, "")]
    locators: Fields = [(8, "")] * 5 + [(4, ""), (28, "")] + [(8, "")] * 4
    kind: Fields = [(28, "COMPLEX*8"), (4, "C*8")] if pixel_bytes == 8 else [(28, "UNSIGNED INTEGER*2"), (4, "IU2")]
    return record(1, (50, 192, 18, 18), text([*head, *where, *size, *image, *per_line, *locators, *kind]), 720)


def prefix_of(time: float, fields: bytes, prefix: int, number: int, length: int, code: int) -> bytes:
    """Return what stands before a line: general, then sensor parameters."""
    start = struct.pack(">I4BI", number + 2, 50, code, 18, 20, length)
    general = struct.pack(">5I", number + 1, 1, 0, 9, 0)
    when = struct.pack(">4I", 1, YEAR, DAY_OF_YEAR, int(time * 1e3))
    channel = struct.pack(">4H2I", 1, 0, 0, 0, round(PRF * 1e3), 0)
    return (start + general + when + channel + fields).ljust(prefix, b"\0")


def complex_line(time: float, number: int, pixels: np.ndarray, prefix: int, near: int = NEAR) -> bytes:
    """Return a signal data record."""
    content = pixels.astype(">c8").tobytes()
    chirp = struct.pack(">2H4i", 0, 0, 27000, 0, 0, 0)
    microseconds = struct.pack(">q", round(time * 1e6) if prefix == 544 else 0)
    angles = struct.pack(">6i", 0, 0, 0, 0, 0, 0)
    fields = chirp + microseconds + angles + struct.pack(">2i", near, 0)
    return prefix_of(time, fields, prefix, number, prefix + len(content), 10) + content


def detected_line(
    time: float, number: int, pixels: np.ndarray, ranges: Sequence[int], ends: Sequence[tuple[float, float]]
) -> bytes:
    """Return a processed data record; ends are longitudes and latitudes of the first and the last pixel."""
    content = pixels.astype(">u2").tobytes()
    doppler = struct.pack(">8i", *[0] * 8).ljust(52, b"\0")
    (lon0, lat0), (lon1, lat1) = ends
    place = [round(1e6 * angle) for angle in (lat0, (lat0 + lat1) / 2, lat1, lon0, (lon0 + lon1) / 2, lon1)]
    fields = struct.pack(">3i", *ranges) + doppler + struct.pack(">7i", 1, *place)
    return prefix_of(time, fields, 192, number, 192 + len(content), 11) + content


def write(folder: Path, rest: str = PALSAR, *, polarisation: str = "HH", image: np.ndarray | None = None) -> Path:
    """Write a complex product with amplitudes as in the picture."""
    new = rest.startswith("ALOS2")
    prefix, prf = (544, 3000.0) if new else (412, PRF)
    amplitude = picture(40) if image is None else image
    pixels = amplitude * np.exp(1j * np.arange(amplitude.size).reshape(amplitude.shape))
    lines = (complex_line(START + i / prf, i, row, prefix) for i, row in enumerate(pixels))
    path = folder / f"IMG-{polarisation}-{rest}"
    path.write_bytes(descriptor(*amplitude.shape, prefix, 8) + b"".join(lines))
    told = leader("ALOS2", rate_mhz=104.8, prf=prf) if new else leader()
    (folder / f"LED-{rest}").write_bytes(told)
    return path


def change(path: Path, at: int, content: bytes) -> None:
    """Put other bytes at a place, counted from 1."""
    whole = bytearray(path.read_bytes())
    whole[at - 1 : at - 1 + len(content)] = content
    path.write_bytes(bytes(whole))


def sphere_ranges(columns: np.ndarray) -> np.ndarray:
    """Return slant ranges along a sphere of 6371 km, from a near range of 750 km."""
    earth, orbit = 6_371_000.0, 7_070_000.0
    first = np.arccos((earth**2 + orbit**2 - 750_000.0**2) / (2 * earth * orbit))
    angle = first + GROUND_STEP * columns / earth
    return np.sqrt(earth**2 + orbit**2 - 2 * earth * orbit * np.cos(angle))


def on_ground(time: float, distance: float) -> tuple[float, float]:
    """Return longitude and latitude of the ellipsoid at a time and slant range."""

    def miss(place: np.ndarray) -> np.ndarray:
        times, distances = seen(earth_fixed(*place, 0.0))
        return np.array([7000 * (times - time), distances - distance])

    lon, lat = fsolve(miss, [3.0, 0.0])
    return float(lon), float(lat)


def write_detected(
    folder: Path, order: Callable[[np.ndarray], np.ndarray], *, first: float = START, elsewhere: float | None = 0.0
) -> Path:
    """Write a detected product of 30 x 5601 pixels, whose lines or pixels may stand in another order."""
    rows, columns = 30, 5601
    amplitude = order(np.arange(rows * columns).reshape(rows, columns) % 65_521)
    turned_rows, turned_columns = amplitude[-1, 0] < amplitude[0, 0], amplitude[0, -1] < amplitude[0, 0]
    ranges = np.round(sphere_ranges(np.array([0, columns // 2, columns - 1]))).astype(int)
    if turned_columns:
        ranges = ranges[::-1]
    lines = []
    for i, row in enumerate(amplitude):
        time = first + 2e-3 * (rows - 1 - i if turned_rows else i)
        ends = [(0.0, 0.0)] * 2
        if elsewhere is not None:
            ends = [on_ground(time, ranges[end]) for end in (0, 2)]
            ends = [(lon, lat + elsewhere) for lon, lat in ends]
        lines.append(detected_line(time, i, row, ranges, ends))
    path = folder / f"IMG-HH-{DETECTED}"
    path.write_bytes(descriptor(rows, columns, 192, 2) + b"".join(lines))
    (folder / f"LED-{DETECTED}").write_bytes(leader())
    return path


def sorted_picture(image: np.ndarray) -> np.ndarray:
    """Values that grow along rows and columns, so that the order of the file can be told."""
    rows, columns = image.shape
    return np.add.outer(100 * np.arange(rows), np.arange(columns)).astype(np.uint16)
