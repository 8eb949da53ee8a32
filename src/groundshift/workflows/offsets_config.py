"""What a run of offset tracking can be told."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import Field, field_validator

from groundshift.workflows.config import SettingError
from groundshift.workflows.parts import Config, to_day

__all__ = ["MatchConfig", "OffsetsConfig", "SceneConfig"]

_DAYS_OF = re.compile(r"(.+)=([1-9]\d*)(?::([1-9]\d*))?")


class SceneConfig(Config):
    """Where images are laid over each other."""

    dem: Path | None = None
    """Elevation model, a raster that tells its coordinate system; metres. It must cover all that is looked at."""
    geoid: float = 0.0
    """Metres from the ellipsoid up to what heights of the model count from: about -30 for SRTM in Sichuan, 0 where they
    count from the ellipsoid."""
    reference: str | None = None
    """Image whose geometry all others are brought into: its date, or SENSOR=DATE; by default the one in the middle of
    the sensor with most images."""
    area: tuple[float, float, float, float] | None = None
    """West, south, east and north of what is looked at, degrees; all of the reference by default."""
    match_relief: bool = True
    """Shift the reference to where the elevation model has its relief; without, its orbit is trusted."""
    ortho_search: Annotated[int, Field(ge=4)] = 16
    """Pixels that the geometry of an image may be wrong by."""

    @field_validator("area")
    @classmethod
    def _in_order(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not (value[0] < value[2] and -90 <= value[1] < value[3] <= 90):
            raise ValueError(f"expected west, south, east and north in degrees, instead got {value}")
        return value

    @property
    def wanted(self) -> tuple[str | None, date | None]:
        """Sensor and date of the reference."""
        if self.reference is None:
            return None, None
        sensor, between, day = self.reference.rpartition("=")
        return (sensor if between else None), to_day(day)

    @field_validator("reference")
    @classmethod
    def _dated(cls, value: str | None) -> str | None:
        if value is not None:
            to_day(value.rpartition("=")[2])
        return value


class MatchConfig(Config):
    """Which images are matched, and how."""

    min_days: Annotated[int, Field(ge=1)] = 60
    """Least days between the images of a pair."""
    max_days: Annotated[int, Field(ge=1)] | None = None
    """Most days between images of one sensor; no limit by default."""
    days_of: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """The same for single sensors: SENSOR=LEAST or SENSOR=LEAST:MOST, such as PALSAR=300:600."""
    bridges: Annotated[int, Field(ge=1)] = 3
    """Images on each side of the step from one sensor to the next that are matched with each other."""
    windows: Annotated[tuple[Annotated[int, Field(ge=16)], ...], Parameter(consume_multiple=True)] = (64, 96, 128)
    """Sides of the windows, pixels of the reference; at each place that of highest signal-to-noise ratio is kept."""
    step: Annotated[int, Field(ge=2)] = 8
    """Pixels from one window to the next."""
    search: Annotated[int, Field(ge=2)] = 24
    """Largest offset looked for, pixels of the reference."""
    least_peak: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Least correlation of a match."""
    least_snr: Annotated[float, Field(ge=0)] = 6.0
    """Least signal-to-noise ratio of a match."""
    moving: Path | None = None
    """Polygons of ground known to move, which is left out where stable ground is looked at."""
    least_sigmas: Annotated[float, Field(gt=0)] = 5.0
    """Ground moves that is faster than so many standard errors of stable ground..."""
    least_speed: Annotated[float, Field(ge=0)] = 0.1
    """... and than this, metres per year."""
    least_cells: Annotated[int, Field(ge=1)] = 16
    """Windows that hang together and move, at least, for a target: neighbours overlap, and err together."""

    @field_validator("days_of")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            found = _DAYS_OF.fullmatch(text)
            if found is None or (found[3] is not None and int(found[3]) < int(found[2])):
                raise ValueError(f"expected SENSOR=LEAST or SENSOR=LEAST:MOST in days, instead got {text!r}")
        return value

    def days_between(self, sensors: list[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Return the least days between images of each sensor, and the most where there is a limit.

        Raises
        ------
        SettingError
            If one is named that has no images.
        """
        least = dict.fromkeys(sensors, self.min_days)
        most = {} if self.max_days is None else dict.fromkeys(sensors, self.max_days)
        for text in self.days_of:
            found = _DAYS_OF.fullmatch(text)
            assert found is not None  # looked at above
            sensor = found[1]
            if sensor not in least:
                raise SettingError(f"--days-of: no images of {sensor}; there are those of {', '.join(sensors)}")
            least[sensor] = int(found[2])
            if found[3] is not None:
                most[sensor] = int(found[3])
        return least, most


class OffsetsConfig(Config):
    """Everything that offset tracking can be told."""

    inputs: tuple[Path, ...] = ()
    """Folders or files of amplitude images, of any number of sensors."""
    output: Path
    """Folder for the results."""
    product: str | None = None
    """Name of the reader; recognised from the files by default."""
    sensors: tuple[str, ...] = ()
    """Only images of these sensors (a swath of Sentinel-1 is one, such as "Sentinel-1 IW2"); all by default."""
    inventory: Path | None = None
    """Inventory that moving places join; inventory.gpkg of the output by default."""
    scene: SceneConfig = SceneConfig()
    match: MatchConfig = MatchConfig()
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads that match; all cores by default."""
