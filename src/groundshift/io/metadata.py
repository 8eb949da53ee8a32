"""`metadata.yaml` of a folder of GeoTIFFs: what the rasters cannot say (docs/geotiff-folder.md)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from groundshift.errors import DamagedFileError, ProductError
from groundshift.io.dates import pair_in_name
from groundshift.types import LookGeometry, Pair

__all__ = ["FolderMetadata", "read_metadata"]

_LONGEST_BASELINE = 100_000.0


@dataclass(frozen=True)
class FolderMetadata:
    """What one file says; None, or no baseline, where it does not."""

    wavelength: float | None = None
    """Metres."""
    look: LookGeometry | None = None
    """None unless both angles are given."""
    track: str | None = None
    baselines: dict[str, float] = field(default_factory=dict)
    """Perpendicular baselines in metres by the name of the pair."""

    def with_baseline(self, pair: Pair) -> Pair:
        """Return the pair with its baseline, if the file gives one."""
        return Pair(pair.reference, pair.secondary, self.baselines.get(pair.name, pair.perpendicular_baseline))


def read_metadata(path: Path) -> FolderMetadata:
    """Read `metadata.yaml`; keys that are not known are passed over.

    Raises
    ------
    ProductError
        If it is not YAML, holds no mapping, or a value has a type or size it cannot have; the line names file and key.
    DamagedFileError
        If it cannot be read.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise ProductError(f"{path}: not a YAML file{place}; see docs/geotiff-folder.md for its form") from error
    if found is None:
        found = {}
    if not isinstance(found, dict):
        raise ProductError(f"{path}: expected names with values; see docs/geotiff-folder.md for its form")

    def number(key: str, unit: str, fits: Callable[[float], bool], span: str) -> float | None:
        return None if found.get(key) is None else _number(path, key, found[key], unit, fits, span)

    wavelength = number("wavelength_m", "metres", lambda v: 0.001 < v < 2, "between 0.001 and 2")
    heading = number("heading_deg", "degrees", lambda v: -360 <= v <= 360, "from -360 to 360")
    incidence = number("incidence_deg", "degrees", lambda v: 0 < v < 90, "between 0 and 90")
    right = found.get("right_looking")
    if right is not None and not isinstance(right, bool):
        raise _wrong(path, "right_looking", "true or false", right, "write one of them")
    track = found.get("track")
    if track is not None and not (isinstance(track, str) and track.strip()):
        raise _wrong(path, "track", "text", track, "put the name in quotes")
    look = None
    if heading is not None and incidence is not None:
        look = LookGeometry(heading, incidence, right is not False)
    baselines = _baselines(path, found.get("perpendicular_baselines_m"))
    return FolderMetadata(wavelength, look, None if track is None else track.strip(), baselines)


def _baselines(path: Path, given: Any) -> dict[str, float]:
    """Return the baselines by pair."""
    key = "perpendicular_baselines_m"
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise _wrong(path, key, "pairs with metres", given, "write a line for each pair")
    found: dict[str, float] = {}
    for given_name, value in given.items():
        # Unquoted, YAML takes 20180105_20180117 for a whole number.
        name = str(given_name)
        if len(name) == 16 and name.isdigit():
            name = f"{name[:8]}_{name[8:]}"
        try:
            pair = pair_in_name(name)
        except ProductError as error:
            raise ProductError(f"{path}: {key}: {error}") from error
        if pair is None or pair.name != name:
            raise _wrong(path, key, "YYYYMMDD_YYYYMMDD", given_name, "name each pair by its two dates")
        if value is not None:
            found[name] = _number(
                path, f"{key}: {name}", value, "metres", lambda v: abs(v) <= _LONGEST_BASELINE, "within 100 km"
            )
    return found


def _number(path: Path, key: str, value: Any, unit: str, fits: Callable[[float], bool], span: str) -> float:
    """Return a finite number that fits, or say that it does not."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and fits(number)):
        raise _wrong(path, key, f"a number of {unit} {span}", value, "mend it or leave it out")
    return number


def _wrong(path: Path, key: str, expected: str, value: Any, remedy: str) -> ProductError:
    """Say what was expected of a key and what it was given."""
    text = " ".join(repr(value).split())
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return ProductError(f"{path}: {key} must be {expected}, instead got {text}; {remedy}")
