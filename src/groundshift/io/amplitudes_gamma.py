"""Amplitude images of GAMMA: `.slc`, `.rslc` (complex), `.mli` and `.rmli` (intensity), each with its `.par`.

All are big-endian. Images are taken for those of zero Doppler, as GAMMA's processors and importers deskew them; one
whose parameter file says `azimuth_deskew: OFF` is refused, whatever its Doppler polynomial. Times are seconds of the
day of `date`. In ground range the slant range is the polynomial of the parameter file: one each for the first, the
middle and the last row, of which the first word is a time and the others, in metres, are ascending powers.

Of an image that is there in several forms the first of `.slc`, `.rslc`, `.mli`, `.rmli` is read, and of several
polarisations the first of VV, HH, VH, HV; bursts that are not joined yet (a `.TOPS_par` beside) are passed over. The
times of a resampled image may be those of the image that it was resampled to.

Which amplitude stands for a backscatter of one depends on how the image was imported, and `calibration_gain` alone
does not say: `calibration` is None.
"""

from collections.abc import Iterable
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError, GroundshiftError, ProductError
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.dates import date_in_name, dates_in_name
from groundshift.io.flat import Layout, check_size, read_flat
from groundshift.io.gamma_ground import orbit_of
from groundshift.io.gamma_par import Parameters, read_parameters, wavelength
from groundshift.types import Window

__all__ = ["PRODUCT", "find", "open_images", "radar_geometry"]

PRODUCT = "gamma"

_FORMS = (".slc", ".rslc", ".mli", ".rmli")
_FORMATS = {"FCOMPLEX": (">f4", 2), "SCOMPLEX": (">i2", 2), "FLOAT": (">f4", 1)}
"""Type of a number, and how many a pixel has."""
_POLARISATIONS = ("vv", "hh", "vh", "hv")
_SENSORS = {"palsar": "PALSAR", "alos": "PALSAR", "palsar2": "PALSAR-2", "alos2": "PALSAR-2"}


def find(entries: Iterable[Path]) -> list[Path]:
    """Return the images among some entries, each day and folder in one form and one polarisation."""
    ranked: dict[tuple[Path, str], tuple[tuple[int, int], list[Path]]] = {}
    for path in sorted(entries):
        if path.suffix.lower() not in _FORMS or dates_in_name(path.name) is not None or not path.is_file():
            continue
        if any(path.with_name(path.name + end).is_file() for end in (".TOPS_par", ".tops_par")):
            continue
        words = path.name.lower().replace("_", ".").replace("-", ".").split(".")
        polarisation = next((i for i, name in enumerate(_POLARISATIONS) if name in words), len(_POLARISATIONS))
        rank = (_FORMS.index(path.suffix.lower()), polarisation)
        key = (path.parent, str(date_in_name(path.name) or path.name))
        if key not in ranked or rank < ranked[key][0]:
            ranked[key] = (rank, [path])
        elif rank == ranked[key][0]:
            ranked[key][1].append(path)
    return sorted(path for _, paths in ranked.values() for path in paths)


def open_images(path: Path) -> list[AmplitudeImage]:
    """Open an image.

    Raises
    ------
    MissingFileError, DamagedFileError
        If its parameter file is missing or not whole, or the image is truncated.
    ProductError
        If it is not deskewed, or in a format that has no amplitude.
    """
    one = read_parameters(path.with_name(f"{path.name}.par"))
    form = " ".join(one.values.get("image_format", []))
    if form not in _FORMATS:
        raise ProductError(f"{one.path}: image_format is {form or 'missing'}, expected one of {', '.join(_FORMATS)}")
    dtype, parts = _FORMATS[form]
    geometry = radar_geometry(one)
    layout = Layout((geometry.shape[0], parts * geometry.shape[1]), dtype)
    check_size(path, layout)
    return [
        AmplitudeImage(
            PRODUCT,
            path,
            _day(one),
            _sensor(one),
            geometry,
            partial(_read, path, layout, parts),
            None,
            (path, one.path),
        )
    ]


def radar_geometry(one: Parameters) -> RadarGeometry:
    """Return how the image of a parameter file lies in time and distance.

    Raises
    ------
    DamagedFileError
        If a number is missing or impossible.
    ProductError
        If the image is not deskewed.
    """
    if one.values.get("azimuth_deskew") == ["OFF"]:
        raise ProductError(f"{one.path}: azimuth_deskew is OFF; process the image again with deskew")
    if one.shape is None:
        raise DamagedFileError(f"{one.path}: no size in it; restore the file")
    orbit, start, interval = orbit_of(one), one.needed("start_time"), one.needed("azimuth_line_time")
    side = one.number("azimuth_angle")
    try:
        return RadarGeometry(
            orbit,
            one.shape,
            start,
            interval,
            _axis(one, one.shape[0], start, interval),
            wavelength(one.path, [one]),
            side is None or side > 0,
        )
    except GroundshiftError:
        raise
    except ValueError as error:
        raise DamagedFileError(f"{one.path}: {error}; restore the file") from error


def _axis(one: Parameters, rows: int, start: float, interval: float) -> SlantAxis | GroundAxis:
    """Return the range axis."""
    step = one.needed("range_pixel_spacing")
    if one.values.get("image_geometry") != ["GROUND_RANGE"]:
        return SlantAxis(one.needed("near_range_slc"), step)
    powers = []
    for row in ("first", "center", "last"):
        words = [one.number(f"{row}_slant_range_polynomial", word) for word in range(1, 6)]
        known = [word for word in words if word is not None]
        if len(known) < 2 or known != words[: len(known)]:
            raise DamagedFileError(f"{one.path}: no {row}_slant_range_polynomial; restore the file")
        powers.append(known + [0.0] * (5 - len(known)))
    times = start + interval * (rows - 1) * np.array([0.0, 0.5, 1.0])
    if rows == 1:
        return GroundAxis(step, times[:1], np.array(powers[:1]))
    return GroundAxis(step, times, np.array(powers))


def _day(one: Parameters) -> date:
    """Return the day of the image."""
    try:
        year, month, day = (int(float(word)) for word in one.values.get("date", [])[:3])
        return date(year, month, day)
    except ValueError as error:
        raise DamagedFileError(f"{one.path}: no day behind date; restore the file") from error


def _sensor(one: Parameters) -> str:
    """Return the instrument, as other readers name it."""
    words = one.values.get("sensor") or ["unknown"]
    first = words[0].lower().replace("-", "").replace("_", "")
    if len(first) == 3 and first.startswith("s1"):
        return "Sentinel-1"
    return _SENSORS.get(first, words[0])


def _read(path: Path, layout: Layout, parts: int, window: Window) -> NDArray[np.float32]:
    """Read amplitude over a window; intensities become their root."""
    numbers = read_flat(path, layout, Window(window.y, parts * window.x, window.height, parts * window.width))
    if parts == 1:
        intensity = numbers.astype(np.float32, copy=False)
        return np.where(np.isfinite(intensity) & (intensity > 0), np.sqrt(np.abs(intensity)), 0).astype(np.float32)
    pairs = numbers.astype(np.float32).reshape(window.height, window.width, 2)
    pairs[~np.isfinite(pairs).all(axis=-1)] = 0
    return np.asarray(np.hypot(pairs[..., 0], pairs[..., 1]))
