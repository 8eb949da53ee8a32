"""What a run can be told: frozen models that the command line, the YAML file and Python share.

The text beside each field is its help on the command line and its comment in the documentation.
"""

import difflib
import re
from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cyclopts import Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from groundshift.errors import GroundshiftError

__all__ = [
    "DetectConfig",
    "MaskConfig",
    "ScreenConfig",
    "SeriesConfig",
    "SettingError",
    "StackConfig",
    "SurveyConfig",
    "explain",
    "load_config",
    "merged",
    "read_window",
    "save_config",
]

_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_WINDOW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class SettingError(GroundshiftError, ValueError):
    """A setting is not known, or its value is not one it can have."""


def _to_day(value: Any) -> date:
    """Read a date as YYYY-MM-DD or YYYYMMDD."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    match = _DAY.fullmatch(str(value).strip())
    try:
        return date(*map(int, match.groups())) if match else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"expected a date, YYYY-MM-DD, instead got {_shown(value)}") from None


Day = Annotated[date, BeforeValidator(_to_day)]


class Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


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
    start: Day | None = None
    """First date used, YYYY-MM-DD."""
    end: Day | None = None
    """Last date used, YYYY-MM-DD."""
    working_pixel: Annotated[float, Field(gt=0)] = 40.0
    """Pixel size aimed at, metres; extra looks are taken to come near it, none if the product's pixels are larger."""
    smoothing: Annotated[int, Field(ge=1)] = 10
    """Side of the coherence-weighted averaging window, in pixels of the product."""
    smoothing_limit: Annotated[float, Field(gt=0)] = 160.0
    """Largest side of the averaging window, metres; 400 gives the window of Fu et al. (2022) at 40 m pixels."""
    diagonals: bool = False
    """Also difference along both diagonals."""
    step: Annotated[int, Field(ge=1)] = 1
    """Distance of the differences: 1 between neighbours; k > 1 from -k to +k working pixels."""
    weights: Literal["network", "equal"] = "network"
    """Pair weights that keep atmosphere and DEM error of the dates small, or all pairs alike."""
    wet_months: Annotated[
        tuple[Annotated[int, Field(ge=1, le=12)], ...],
        Parameter(consume_multiple=True, negative_iterable="no-"),
    ] = (4, 5, 6, 7, 8, 9)
    """Months of the wet season, 1 to 12; stacked apart from the dry ones. None: no seasonal stacks."""
    sliding_years: Annotated[int, Field(ge=1, le=100), Parameter(negative_none="no-")] | None = 2
    """Length of the sliding stacks, whole calendar years."""
    windows: Annotated[dict[str, tuple[Day, Day]], Parameter(parse=False)] = {}
    """Further stacks by name: first and last date."""
    least_pairs: Annotated[int, Field(ge=2)] = 10
    """Seasonal and sliding stacks of fewer pairs are left out."""
    strict: bool = False
    """Stop at the first damaged pair instead of leaving it out."""
    memory_mb: Annotated[int, Field(ge=1)] = 600
    """Memory for sums and for pairs in flight, megabytes; smaller blocks of rows are taken to keep it."""

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, windows: dict[str, tuple[date, date]]) -> dict[str, tuple[date, date]]:
        for name, (first, last) in windows.items():
            if not _WINDOW_NAME.fullmatch(name) or name == "all":
                raise ValueError(f"expected a name of letters, digits, - and _, not 'all', instead got {_shown(name)}")
            if first >= last:
                raise ValueError(f"expected the first date of {name} before the last, instead got {first} and {last}")
        return windows

    @model_validator(mode="after")
    def _check_dates(self) -> "StackConfig":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"expected start before end, instead got {self.start} and {self.end}")
        return self


class DetectConfig(Config):
    """Which detector looks, and its thresholds."""

    detector: Literal["network", "rules"] = "network"
    """A trained network, or the rules, which need no training."""
    model: Annotated[str, Field(min_length=1)] = "bodynet"
    """Network: name of a shipped model, or an .onnx file."""
    least_score: Annotated[float, Field(ge=0, le=1)] | None = None
    """Network: probability from which a detection makes a target; by default what suits the model."""
    agreeing_windows: Annotated[int, Field(ge=1)] = 3
    """Network: or so many time windows that see it with two thirds of that probability."""
    significance: Annotated[float, Field(gt=0)] = 4.0
    """Rules: both patches of a polarity pair must reach this many standard errors."""
    least_velocity: Annotated[float, Field(gt=0)] = 4.0
    """Rules: slowest body looked for, mm/yr along the line of sight."""
    outline: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Rules: a body ends where its velocity has fallen to this share of the peak."""
    separation: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Rules: two peaks are one body if the saddle is higher than this share of the lower one."""
    least_area: Annotated[float, Field(ge=0)] = 20_000.0
    """Rules: smallest body, square metres."""
    reach: Annotated[float, Field(gt=0)] = 2000.0
    """Velocities are compared over this distance, metres; it bounds the size of bodies found."""


class MaskConfig(Config):
    """Where not to look."""

    dem: Path | None = None
    """Terrain heights (GeoTIFF); by default those of the product."""
    snow: tuple[Path, ...] = ()
    """Sentinel-2 scenes (SAFE folders or GeoTIFFs) from which snow is masked; give the option once for each."""
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

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read beside the interferograms."""
        return (*self.snow, *([] if self.dem is None else [self.dem]))


class ScreenConfig(Config):
    """Which detections become targets."""

    least_gradient: Annotated[float, Field(ge=0)] = 0.28
    """mm/yr per 40 m: the 1.2 rad of Fu et al. (2022) as a velocity gradient, by their 19 years of summed
    baselines."""
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.10
    """Share of the detection's pixels that must reach `least_gradient`."""
    least_slope: Annotated[float, Field(ge=0, le=90)] = 10.0
    """Mean slope from which a target is called a landslide, degrees."""
    keep_flat: bool = True
    """Keep targets on flatter ground as subsidence or uplift; false drops them, as Wang et al. (2023) does."""
    merge_distance: Annotated[float, Field(ge=0)] = 500.0
    """Detections whose centres are nearer than this are one target, metres."""
    merge_giou: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Detections whose boxes overlap by more than this GIoU are one target."""


class SeriesConfig(Config):
    """How each target is followed through time."""

    series: bool = True
    """Unwrap and invert the interferograms around each target."""
    series_days: Annotated[int, Field(gt=0)] = 100
    """Longest temporal baseline of the pairs that are unwrapped, days."""
    unwrapper: Literal["auto", "snaphu", "whirlwind"] = "auto"
    """Which unwrapper; auto takes the better one of those installed."""
    nlooks: Annotated[float, Field(ge=1)] = 20.0
    """Independent looks of the product's coherence: how much it is trusted."""
    least_reliability: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Pairs of which a smaller share of triplets closes are left out of a series."""
    robust: bool = True
    """Let pairs that lie whole cycles off the others count for nothing."""
    dem_error: bool = True
    """Take out the DEM error, where baselines tell it from motion."""
    stratified: bool = True
    """Take out delay that follows the height, where the land around a target is high enough to show it."""
    margin: Annotated[float, Field(ge=0)] = 1.5
    """Ground around a target that is unwrapped with it, in sizes of the target; at least 300 m."""
    series_memory_mb: Annotated[int, Field(ge=1)] = 1000
    """Memory for the interferograms of one target, megabytes; larger patches are multilooked to fit."""


class InterferometryConfig(Config):
    """How interferograms are formed of single-look images; interferograms that are given stay as they are."""

    looks: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """Pixels averaged along rows and columns, 2 8 for example; by default what comes near the working pixel."""
    unbiased: bool = False
    """Give pixels the coherence of their surroundings, without the bias of few looks; a stack does better without."""
    goldstein: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of the Goldstein filter; 0: none."""
    remove_large_scale: bool = False
    """Take out phase that varies slowly, such as atmosphere; wide landslides lose with it."""
    large_scale: Annotated[float, Field(gt=0)] = 2000.0
    """Length beyond which phase counts as slow, metres."""
    images_memory_mb: Annotated[int, Field(ge=1)] = 1500
    """Memory for images that are kept while pairs of them are formed, megabytes."""


class ClusterConfig(Config):
    """Where several tracks or bursts are surveyed at once."""

    workers: Annotated[int, Field(ge=1)] | None = None
    """Processes on this machine; as many as cores and memory allow by default."""
    scheduler: str | None = None
    """Address of a running dask scheduler, instead of processes on this machine; its workers see the same folders."""


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
    series: SeriesConfig = SeriesConfig()
    interferometry: InterferometryConfig = InterferometryConfig()
    cluster: ClusterConfig = ClusterConfig()
    sample_size: Annotated[int, Field(ge=0)] = 100
    """Number of targets drawn for checking on optical images."""
    seed: int = 0
    """Seed of that draw."""


def load_config(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings; it may name any part of a `SurveyConfig`.

    Raises
    ------
    SettingError
        If there is no such file, it holds no mapping, or a setting is unknown or has a value it cannot have.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingError(f"{path}: no such file; check the spelling of --config") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise SettingError(f"{path}: not a YAML file{place}; see docs/survey.md for its form") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise SettingError(f"{path}: expected names with values; see docs/survey.md for its form")
    found = {name: {} if value is None and name in _PARTS else value for name, value in found.items()}
    try:
        SurveyConfig.model_validate({"inputs": ["."], "output": ".", **found})
    except ValidationError as error:
        raise SettingError(explain(error, path)) from error
    return found


def save_config(config: Config, path: Path) -> None:
    """Write the effective settings as YAML."""
    from groundshift.io.atomic import write_text  # noqa: PLC0415  (readers load slowly; usage errors need none)

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
            out[name] = {**(out.get(name) or {}), **value.model_dump(exclude_unset=True)}
        else:
            out[name] = value
    return out


def read_window(text: str) -> tuple[str, tuple[date, date]]:
    """Read a time window as the command line takes it: `NAME=FIRST:LAST`, dates YYYY-MM-DD.

    Raises
    ------
    SettingError
        If it has another form.

    Examples
    --------
    >>> read_window("rains=2018-04-01:2018-09-30")
    ('rains', (datetime.date(2018, 4, 1), datetime.date(2018, 9, 30)))
    """
    name, _, span = text.partition("=")
    first, _, last = span.partition(":")
    try:
        window = (_to_day(first), _to_day(last))
        StackConfig(windows={name: window})
    except ValidationError as error:
        raise SettingError(f"--window: {_expectation(error.errors()[0])}") from error
    except ValueError as error:
        raise SettingError(f"--window: expected NAME=YYYY-MM-DD:YYYY-MM-DD, instead got {_shown(text)}") from error
    return name, window


def explain(error: ValidationError, source: Path | None = None) -> str:
    """Say in one line which setting is wrong, what is expected of it and what it was given.

    `source` is the file that the setting stands in; without one it is an option of the command line.
    """
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"]]
    if source is None:
        name = "--" + ".".join(k for k in keys if k not in _PARTS and not k.isdigit()).replace("_", "-")
        return f"{name}: {_expectation(first)}" if len(name) > 2 else _expectation(first)
    return f"{source}: {'.'.join(keys)}{': ' if keys else ''}{_expectation(first)}"


def _expectation(detail: ErrorDetails) -> str:
    """Say what was expected of a value, and what came instead."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", detail["msg"]))
    if kind == "extra_forbidden":
        return f"no such setting{_nearest(str(detail['loc'][-1]), detail['loc'][:-1])}; see docs/survey.md for all"
    words = {
        "missing": "a value",
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"at least {context.get('ge')}",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"at most {context.get('le')}",
        "literal_error": f"one of {context.get('expected')}",
        "finite_number": "a finite number",
        "int_from_float": "a whole number",
    }
    stems = {"int": "a whole number", "float": "a number", "bool": "true or false", "path": "a path", "string": "text"}
    stems |= {"tuple": "a list", "dict": "names with values", "model": "names with values"}
    expected = words.get(kind) or stems.get(kind.split("_")[0])
    expected = f"expected {expected}" if expected else detail["msg"]
    return f"{expected}, instead got {_shown(detail['input'])}"


def _nearest(name: str, place: Collection[int | str]) -> str:
    """Suggest the setting that was probably meant."""
    part = next((p for p in place if p in _PARTS), None)
    model: type[BaseModel] = _PARTS[str(part)] if part is not None else SurveyConfig
    near = difflib.get_close_matches(name, model.model_fields, 1)
    if near:
        return f", did you mean {near[0]}"
    home = next((p for p, m in _PARTS.items() if name in m.model_fields), None)
    return f" here, it belongs under {home}" if home is not None else ""


def _shown(value: Any) -> str:
    """Write a value for a message, shortened."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


_PARTS: dict[str, type[BaseModel]] = {
    "stack": StackConfig,
    "detect": DetectConfig,
    "mask": MaskConfig,
    "screen": ScreenConfig,
    "series": SeriesConfig,
    "interferometry": InterferometryConfig,
    "cluster": ClusterConfig,
}
"""The parts of a `SurveyConfig`; on the command line their settings stand side by side."""
