"""What a run can be told: frozen models that the command line, the YAML file and Python share.

The text beside each field is its help on the command line and its comment in the documentation.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.io.atomic import write_text

__all__ = [
    "DetectConfig",
    "MaskConfig",
    "ScreenConfig",
    "StackConfig",
    "SurveyConfig",
    "explain",
    "load_config",
    "merged",
    "save_config",
]


class Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StackConfig(Config):
    """Which pairs are stacked, and how."""

    max_days: Annotated[int, Field(gt=0)] = 36
    """Longest temporal baseline, days."""
    pair_mode: Literal["all", "sequential", "nearest"] = "all"
    """All short pairs, each date with the next, or each date with its few next ones."""
    nearest: Annotated[int, Field(ge=1)] = 3
    """How many next dates, for `nearest`."""
    max_bperp: Annotated[float, Field(gt=0)] | None = None
    """Longest perpendicular baseline, metres; none by default."""
    start: date | None = None
    """First date used, YYYY-MM-DD."""
    end: date | None = None
    """Last date used, YYYY-MM-DD."""
    working_pixel: Annotated[float, Field(gt=0)] = 40.0
    """Pixel size aimed at, metres; extra looks are taken to come near it, none if the product's pixels are larger."""
    smoothing: Annotated[int, Field(ge=1)] = 10
    """Side of the coherence-weighted averaging window, in pixels of the product."""
    smoothing_limit: Annotated[float, Field(gt=0)] = 200.0
    """Largest side of the averaging window, metres; 400 gives the window of paper 000 at 40 m pixels."""
    diagonals: bool = False
    """Also difference along both diagonals."""
    step: Annotated[int, Field(ge=1)] = 1
    """Distance of the differences: 1 between neighbours; k > 1 from -k to +k working pixels."""
    weights: Literal["network", "equal"] = "network"
    """Pair weights that keep atmosphere and DEM error of the dates small, or all pairs alike."""
    wet_months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = (4, 5, 6, 7, 8, 9)
    """Months of the wet season; stacked apart from the dry ones. Empty: no seasonal stacks."""
    sliding_years: Annotated[int, Field(ge=1)] | None = 2
    """Length of the sliding stacks, whole calendar years; null: none."""
    windows: dict[str, tuple[date, date]] = {}
    """Further stacks by name: first and last date."""
    least_pairs: Annotated[int, Field(ge=2)] = 10
    """Seasonal and sliding stacks of fewer pairs are left out."""
    strict: bool = False
    """Stop at the first damaged pair instead of leaving it out."""
    memory_mb: Annotated[int, Field(ge=64)] = 600
    """Memory for sums and for pairs in flight, megabytes; smaller blocks of rows are taken to keep it."""


class DetectConfig(Config):
    """Thresholds of the rule-based detector."""

    significance: Annotated[float, Field(gt=0)] = 4.5
    """Both patches of a polarity pair must reach this many standard errors."""
    least_velocity: Annotated[float, Field(gt=0)] = 4.0
    """Slowest body looked for, mm/yr along the line of sight."""
    outline: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """A body ends where its velocity has fallen to this share of the peak."""
    separation: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Two peaks are one body if the saddle is higher than this share of the lower one."""
    least_area: Annotated[float, Field(ge=0)] = 15_000.0
    """Smallest body, square metres."""
    reach: Annotated[float, Field(gt=0)] = 2000.0
    """Velocities are compared over this distance, metres; it bounds the size of bodies found."""


class MaskConfig(Config):
    """Where not to look."""

    dem: Path | None = None
    """Terrain heights (GeoTIFF); by default those of the product."""
    snow: tuple[Path, ...] = ()
    """Sentinel-2 scenes (SAFE folders or GeoTIFFs) from which snow is masked."""
    snow_bands: tuple[int, int, int] | None = None
    """Which bands of a many-band GeoTIFF are B3, B8A and B11, counted from 1."""
    snow_offset: float | None = None
    """Offset of the digital numbers, -1000 since processing baseline 04.00, for files that do not tell."""
    snow_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of a pixel's views that must show snow; with up to five views one is enough."""
    least_coherence: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Nodes of lower mean coherence after averaging are left out."""
    most_residues: Annotated[float, Field(ge=0, le=1)] = 0.35
    """Nodes where wrapped differences fail to close in a larger share of the pairs are left out."""
    layover: bool = True
    """Leave out layover and shadow where heights and look geometry are known."""


class ScreenConfig(Config):
    """Which detections become targets."""

    least_gradient: Annotated[float, Field(ge=0)] = 0.28
    """mm/yr per 40 m: paper 000's 1.2 rad, turned into a velocity gradient by its 19 years of summed baselines."""
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.10
    """Share of the detection's pixels that must reach `least_gradient`."""
    least_slope: Annotated[float, Field(ge=0, le=90)] = 10.0
    """Mean slope from which a target is called a landslide, degrees."""
    keep_flat: bool = True
    """Keep targets on flatter ground as subsidence or uplift; false drops them, as paper 001 does."""
    merge_distance: Annotated[float, Field(ge=0)] = 500.0
    """Detections whose centres are nearer than this are one target, metres."""
    merge_giou: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Detections whose boxes overlap by more than this GIoU are one target."""


class SurveyConfig(Config):
    """Everything a survey can be told."""

    inputs: tuple[Path, ...]
    """Folders or files of interferograms, one per track, frame or burst."""
    output: Path
    """Folder for the results."""
    product: str | None = None
    """Name of the reader; recognised from the files by default."""
    pattern: str | None = None
    """For plain GeoTIFF: pattern of the file names."""
    wavelength: Annotated[float, Field(gt=0)] | None = None
    """For plain GeoTIFF: radar wavelength, metres."""
    stack: StackConfig = StackConfig()
    detect: DetectConfig = DetectConfig()
    mask: MaskConfig = MaskConfig()
    screen: ScreenConfig = ScreenConfig()
    sample_size: Annotated[int, Field(ge=0)] = 100
    """Number of targets drawn for checking on optical images."""
    seed: int = 0
    """Seed of that draw."""


def load_config(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings.

    Raises
    ------
    MissingFileError, DamagedFileError
        If there is none, or it holds no mapping.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; check the spelling") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DamagedFileError(f"{path}: not a YAML file; see docs/survey.md for its form") from error
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path}: expected names with values; see docs/survey.md for its form")
    return found


def save_config(config: Config, path: Path) -> None:
    """Write the effective settings as YAML."""
    write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Lay what was given over what a file says.

    Of models only the fields that were set count; None was not given.
    """
    out = dict(base)
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, BaseModel):
            out[name] = merged(dict(out.get(name) or {}), value.model_dump(exclude_unset=True))
        else:
            out[name] = value
    return out


def explain(error: ValidationError) -> str:
    """Say in one line what is wrong with a setting."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return f"{name}: {first['msg']}, instead got {first.get('input')!r}"
