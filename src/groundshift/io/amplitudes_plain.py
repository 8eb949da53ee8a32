"""Amplitude images in any raster, `NAME.tif`, with their geometry in `NAME.yaml` beside.

Whatever rasterio opens is read: its first band, detected or complex. Times are seconds after midnight (UTC) before
`date`, or written out as in `2010-02-25T15:32:10.25Z`. Pixels that are NaN, infinite or the raster's no-data value have
none; so have zeros, but where the quantity is `db`.

```yaml
date: 2010-02-25
sensor: PALSAR
wavelength: 0.2360571        # metres
look: right                  # or left
quantity: amplitude          # or intensity, db, complex
first_line_time: 55751.396   # of zero Doppler, centre of the first row
line_interval: 4.73e-4       # seconds
near_range: 848123.0         # metres, centre of the first column
range_spacing: 4.684         # metres of slant range
orbit:                       # Earth-fixed, metres and metres per second; two or more
- {time: 55740.0, position: [x, y, z], velocity: [x, y, z]}
calibration: 14125.4         # optional: amplitude of a backscatter of one
```

Instead of `near_range` and `range_spacing` there may be `ground_range`: `spacing` in metres on the ground, `times`, and
for each of them `coefficients`, the slant range as a polynomial of the ground range in metres, ascending powers.
"""

import datetime as dt
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rasterio.errors import RasterioError

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, ProductError
from groundshift.geometry.orbits import Orbit
from groundshift.geometry.radar import GroundAxis, RadarGeometry, SlantAxis
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.atomic import write_text
from groundshift.io.rasters import read_band, write_geotiff
from groundshift.types import RadarGrid, Window

__all__ = ["PRODUCT", "Geometry", "GroundRange", "StateVector", "find", "open_images", "write_plain"]

PRODUCT = "plain"

_SUFFIXES = (".yaml", ".yml")
_BESIDE = (*_SUFFIXES, ".hdr", ".xml", ".ovr", ".txt", ".json", ".tfw", ".msk")
"""Endings that belong to a raster and are none."""

_NAMES = 3
"""Names of `Geometry` by which a YAML file is told from others."""

Quantity = Literal["amplitude", "intensity", "db", "complex"]
Moment = float | dt.datetime
Positive = Annotated[float, Field(gt=0)]
Vector = tuple[float, float, float]


class _Part(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StateVector(_Part):
    """Where the satellite was: Earth-fixed, metres and metres per second."""

    time: Moment
    position: Vector
    velocity: Vector


class GroundRange(_Part):
    """Slant range as polynomials of ground range."""

    spacing: Positive
    times: Annotated[tuple[Moment, ...], Field(min_length=1)]
    coefficients: tuple[Annotated[tuple[float, ...], Field(min_length=2)], ...]


class Geometry(_Part):
    """What the YAML file beside a raster says."""

    date: dt.date
    sensor: Annotated[str, Field(min_length=1)]
    wavelength: Positive
    look: Literal["right", "left"]
    quantity: Quantity
    first_line_time: Moment
    line_interval: Positive
    near_range: Positive | None = None
    range_spacing: Positive | None = None
    ground_range: GroundRange | None = None
    orbit: Annotated[tuple[StateVector, ...], Field(min_length=2)]
    calibration: Positive | None = None

    @model_validator(mode="after")
    def _one_axis(self) -> Self:
        """Take slant range or ground range, and whole."""
        slant = (self.near_range is not None, self.range_spacing is not None)
        if any(slant) != all(slant) or all(slant) == (self.ground_range is not None):
            raise ValueError("give near_range and range_spacing, or ground_range")
        ground = self.ground_range
        if ground is not None and len({len(ground.times), len(ground.coefficients)}) > 1:
            raise ValueError(
                f"ground_range has {len(ground.times)} times and {len(ground.coefficients)} rows of coefficients"
            )
        if ground is not None and len({len(row) for row in ground.coefficients}) > 1:
            raise ValueError("ground_range has rows of coefficients of different length")
        return self

    def radar_geometry(self, shape: tuple[int, int]) -> RadarGeometry:
        """Return it for an image of `shape`; raise ValueError where it contradicts itself."""
        orbit = Orbit(
            np.array([self._seconds(one.time) for one in self.orbit]),
            np.array([one.position for one in self.orbit]),
            np.array([one.velocity for one in self.orbit]),
        )
        axis: SlantAxis | GroundAxis
        if self.ground_range is not None:
            times = np.array([self._seconds(time) for time in self.ground_range.times])
            axis = GroundAxis(self.ground_range.spacing, times, np.array(self.ground_range.coefficients))
        else:
            assert self.near_range is not None  # one of both is given
            assert self.range_spacing is not None
            axis = SlantAxis(self.near_range, self.range_spacing)
        start = self._seconds(self.first_line_time)
        return RadarGeometry(orbit, shape, start, self.line_interval, axis, self.wavelength, self.look == "right")

    def _seconds(self, moment: Moment) -> float:
        """Return seconds after midnight before the date; times without a zone are UTC."""
        if not isinstance(moment, dt.datetime):
            return moment
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
        return (aware - dt.datetime(self.date.year, self.date.month, self.date.day, tzinfo=dt.UTC)).total_seconds()


def find(entries: Iterable[Path]) -> list[Path]:
    """Return, among some entries, the YAML files beside rasters, and of the rasters those with one beside."""
    files = [entry for entry in entries if entry.is_file()]
    found = {_yaml_of(path) for path in files if path.suffix.lower() not in _SUFFIXES}
    own = {path for path in files if path.suffix.lower() in _SUFFIXES and _speaks_of_images(path)}
    return sorted(own.union(path for path in found if path is not None))


def open_images(path: Path) -> list[AmplitudeImage]:
    """Open the raster that a YAML file lies beside.

    Raises
    ------
    MissingFileError, DamagedFileError
        If there is no raster beside it, or one that cannot be read.
    ProductError
        If the YAML file has a mistake; the line names it and the field.
    """
    rasters = _rasters_of(path)
    if not rasters:
        raise MissingFileError(f"{path}: no raster of the same name beside; put {path.stem}.tif there")
    if len(rasters) > 1:
        raise ProductError(f"{path}: {rasters[0].name} and {rasters[1].name} both have its name; leave one of them")
    told = _read_yaml(path)
    shape, nodata, is_complex = _raster(rasters[0])
    if is_complex != (told.quantity == "complex"):
        kind = "complex" if is_complex else "not complex"
        raise ProductError(f"{path}: quantity is {told.quantity}, but {rasters[0].name} is {kind}; correct quantity")
    try:
        geometry = told.radar_geometry(shape)
    except GroundshiftError:
        raise
    except ValueError as error:
        raise ProductError(f"{path}: {error}; correct it") from error
    read = partial(_read, rasters[0], told.quantity, nodata)
    files = (rasters[0], path)
    return [AmplitudeImage(PRODUCT, rasters[0], told.date, told.sensor, geometry, read, told.calibration, files)]


def write_plain(
    image: NDArray[np.float32],
    path: Path,
    day: dt.date,
    sensor: str,
    geometry: RadarGeometry,
    calibration: float | None = None,
) -> None:
    """Write amplitudes as GeoTIFF, and their geometry as YAML beside.

    Parameters
    ----------
    image : (y, x) float32 array
        Amplitude, zero without data.
    path : path
        Of the GeoTIFF; the YAML file has its name and the ending `.yaml`.
    day : date
        The geometry's times are seconds after its midnight.
    sensor : str
    geometry : RadarGeometry
        Of the shape of the image.
    calibration : float, optional
        Amplitude of a backscatter of one.

    Raises
    ------
    ValueError
        If the shapes differ.
    OutputError
        If the files cannot be written.
    """
    if image.shape != geometry.shape:
        raise ValueError(f"image must have shape {geometry.shape}, instead got {image.shape}")
    orbit, axis = geometry.orbit, geometry.axis
    facts: dict[str, Any] = {
        "date": day,
        "sensor": sensor,
        "wavelength": float(geometry.wavelength),
        "look": "right" if geometry.right_looking else "left",
        "quantity": "amplitude",
        "first_line_time": float(geometry.first_time),
        "line_interval": float(geometry.line_interval),
    }
    if isinstance(axis, SlantAxis):
        facts |= {"near_range": float(axis.near), "range_spacing": float(axis.step)}
    else:
        times, rows = axis.times.tolist(), axis.coefficients.tolist()
        facts["ground_range"] = {"spacing": float(axis.step), "times": times, "coefficients": rows}
    facts["orbit"] = [
        {"time": time, "position": position, "velocity": velocity}
        for time, position, velocity in zip(
            orbit.times.tolist(), orbit.positions.tolist(), orbit.velocities.tolist(), strict=True
        )
    ]
    if calibration is not None:
        facts["calibration"] = float(calibration)
    write_geotiff(path, np.asarray(image, np.float32), RadarGrid(geometry.shape, (1.0, 1.0)), description="amplitude")
    write_text(path.with_suffix(".yaml"), yaml.safe_dump(facts, sort_keys=False, default_flow_style=None))


def _yaml_of(path: Path) -> Path | None:
    """Return the YAML file beside a raster, or None."""
    beside = (path.with_suffix(suffix) for suffix in _SUFFIXES)
    return next((one for one in beside if path in _rasters_of(one) and _speaks_of_images(one)), None)


def _rasters_of(path: Path) -> list[Path]:
    """Return the files beside a YAML file that have its name and may be rasters."""
    if not path.is_file():
        return []
    beside = (one for one in path.parent.glob(f"{_escaped(path.stem)}*") if one.is_file())
    return sorted(one for one in beside if one.stem == path.stem and one.suffix.lower() not in _BESIDE)


def _escaped(name: str) -> str:
    """Return a name as a pattern that matches itself alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _speaks_of_images(path: Path) -> bool:
    """Whether a YAML file is that of an image: it has some of the names, whatever is wrong with the others."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return sum(line.partition(":")[0] in Geometry.model_fields for line in lines) >= _NAMES


def _read_yaml(path: Path) -> Geometry:
    """Read a YAML file, or say in one line what is wrong in it."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise ProductError(f"{path}: cannot be read as YAML{line}; correct it") from error
    if not isinstance(told, dict):
        raise ProductError(f"{path}: expected names and values (`date: 2010-02-25`); see the reader's description")
    try:
        return Geometry.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        # Of the ways that a time may be written the last word of its place names one.
        place = ".".join(str(part) for part in first["loc"] if part not in ("float", "datetime"))
        said = first["msg"].removeprefix("Value error, ")
        raise ProductError(f"{path}: {f'{place}: ' if place else ''}{said[0].lower()}{said[1:]}") from error


def _raster(path: Path) -> tuple[tuple[int, int], float | None, bool]:
    """Return shape and no-data value of a raster, and whether it is complex."""
    try:
        with rasterio.open(path) as source:
            kind = str(source.dtypes[0])
            return (source.height, source.width), source.nodata, kind.startswith("complex")
    except RasterioError as error:
        raise DamagedFileError(f"{path}: not a readable raster; fetch the file again") from error


def _read(path: Path, quantity: Quantity, nodata: float | None, window: Window) -> NDArray[np.float32]:
    """Read amplitude over a window."""
    values = read_band(path, window)
    known = np.isfinite(values)
    if nodata is not None:
        known &= values != nodata
    filled = np.where(known, values, 0)
    if quantity == "complex":
        return np.abs(filled).astype(np.float32)
    detected = np.where(known, filled, -np.inf if quantity == "db" else 0).astype(np.float64)
    if quantity == "db":
        return np.asarray(10 ** (detected / 20), np.float32)
    detected = np.maximum(detected, 0)
    return (np.sqrt(detected) if quantity == "intensity" else detected).astype(np.float32)
