"""What a run can be told: frozen models that the command line, the YAML file and Python share.

The text beside each field is its help on the command line and its comment in the documentation.
"""

import difflib
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from groundshift.errors import GroundshiftError
from groundshift.workflows.parts import (
    BowlConfig,
    ClusterConfig,
    Config,
    DetectConfig,
    FastConfig,
    InterferometryConfig,
    MaskConfig,
    ScreenConfig,
    SeriesConfig,
    StackConfig,
    as_shown,
    to_day,
)

__all__ = [
    "BowlConfig",
    "ClusterConfig",
    "Config",
    "DetectConfig",
    "FastConfig",
    "InterferometryConfig",
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


class SettingError(GroundshiftError, ValueError):
    """A setting is not known, or its value is not one it can have."""


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
    bowls: BowlConfig = BowlConfig()
    detect: DetectConfig = DetectConfig()
    mask: MaskConfig = MaskConfig()
    screen: ScreenConfig = ScreenConfig()
    series: SeriesConfig = SeriesConfig()
    fast: FastConfig = FastConfig()
    interferometry: InterferometryConfig = InterferometryConfig()
    cluster: ClusterConfig = ClusterConfig()
    sample_size: Annotated[int, Field(ge=0)] = 100
    """Number of targets drawn for checking on optical images."""
    seed: int = 0
    """Seed of that draw."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read beside the interferograms."""
        return (*self.mask.files, *self.fast.amplitudes)


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
        window = (to_day(first), to_day(last))
        StackConfig(windows={name: window})
    except ValidationError as error:
        raise SettingError(f"--window: {_expectation(error.errors()[0])}") from error
    except ValueError as error:
        raise SettingError(f"--window: expected NAME=YYYY-MM-DD:YYYY-MM-DD, instead got {as_shown(text)}") from error
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
    return f"{expected}, instead got {as_shown(detail['input'])}"


def _nearest(name: str, place: Collection[int | str]) -> str:
    """Suggest the setting that was probably meant."""
    part = next((p for p in place if p in _PARTS), None)
    model: type[BaseModel] = _PARTS[str(part)] if part is not None else SurveyConfig
    near = difflib.get_close_matches(name, model.model_fields, 1)
    if near:
        return f", did you mean {near[0]}"
    home = next((p for p, m in _PARTS.items() if name in m.model_fields), None)
    return f" here, it belongs under {home}" if home is not None else ""


_PARTS: dict[str, type[BaseModel]] = {
    "stack": StackConfig,
    "bowls": BowlConfig,
    "detect": DetectConfig,
    "mask": MaskConfig,
    "screen": ScreenConfig,
    "series": SeriesConfig,
    "fast": FastConfig,
    "interferometry": InterferometryConfig,
    "cluster": ClusterConfig,
}
"""The parts of a `SurveyConfig`; on the command line their settings stand side by side."""
