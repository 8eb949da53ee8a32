"""Options that several commands share, and how facts are shown."""

import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from groundshift.errors import GroundshiftError
from groundshift.workflows.config import SurveyConfig, load_config, merged, read_window

__all__ = [
    "AsJson",
    "ConfigFile",
    "DryRun",
    "Flat",
    "Fresh",
    "Inputs",
    "Output",
    "Pattern",
    "Product",
    "Quiet",
    "UsageError",
    "Wavelength",
    "WindowOption",
    "print_facts",
    "print_json",
    "settings_of",
    "typed_command",
    "written_default",
]


_NONE: Mapping[str, Any] = MappingProxyType({})


class UsageError(GroundshiftError, ValueError):
    """The command line lacks something, or contradicts itself."""


Inputs = Annotated[tuple[Path, ...], Parameter(help="Folders or files of interferograms: one per track or burst.")]
Output = Annotated[Path | None, Parameter(name=["--output", "-o"], help="Folder for the results.")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), help="Say nothing but errors.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="Print the result as JSON, for machines.")]
Product = Annotated[str | None, Parameter(name="--format", help="Name of the reader; recognised by default.")]
Pattern = Annotated[str | None, Parameter(help="Plain GeoTIFF: glob, or regex with groups reference and secondary.")]
Wavelength = Annotated[float | None, Parameter(help="Plain GeoTIFF: radar wavelength, metres.")]
ConfigFile = Annotated[Path | None, Parameter(name="--config", help="YAML file of settings; options override it.")]
DryRun = Annotated[bool, Parameter(negative=(), help="Say what would be done, and do nothing.")]
Fresh = Annotated[bool, Parameter(negative=(), help="Start anew where the output folder holds a run.")]
WindowOption = Annotated[
    tuple[str, ...],
    Parameter(name="--window", help="Further stack, NAME=YYYY-MM-DD:YYYY-MM-DD; once for each."),
]
Flat = Parameter(name="*")


def settings_of(
    config: Path | None, windows: Sequence[str] = (), *, defaults: Mapping[str, Any] = _NONE, **given: Any
) -> SurveyConfig:
    """Join the settings of a file with the options that were given; options win.

    `defaults` are those of the command where they differ from those of the settings; a file wins over them.

    Raises
    ------
    UsageError
        If there is no input or no output.
    SettingError
        If the file holds what it cannot.
    ValidationError
        If what was given goes neither by itself nor with the file.
    """
    told = load_config(config) if config is not None else {}
    base = {name: {**values, **(told.get(name) or {})} for name, values in defaults.items()}
    found = merged({**told, **base}, given)
    if windows:
        stack = dict(found.get("stack") or {})
        found["stack"] = {**stack, "windows": {**stack.get("windows", {}), **dict(map(read_window, windows))}}
    if not found.get("inputs"):
        raise UsageError("no inputs given; name folders or files of interferograms")
    if not found.get("output"):
        raise UsageError("no output given; name a folder with -o")
    return SurveyConfig.model_validate(found)


def print_facts(facts: dict[str, Any]) -> None:
    """Print names and values in two columns."""
    out = Console(soft_wrap=True, highlight=False)
    for name, value in facts.items():
        for k, line in enumerate(_lines(value)):
            out.print(f"{name.replace('_', ' ') if k == 0 else '':<16} {line}", markup=False)


def print_json(facts: dict[str, Any]) -> None:
    """Print facts as JSON; a number that is not finite becomes null, for JSON knows none."""
    print(json.dumps(_plain(facts), indent=1, allow_nan=False, default=str))


def typed_command() -> str:
    """Return the command line as typed."""
    return shlex.join(["groundshift", *sys.argv[1:]])


def written_default(value: Any) -> str | None:
    """Write a default as it is typed; None for what is off or empty."""
    if value is None or value is False or value in ((), {}):
        return None
    if value is True:
        return "yes"
    if isinstance(value, tuple):
        return " ".join(str(written_default(item)) for item in value)
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Return a value with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(value: Any) -> list[str]:
    """Write a value as lines."""
    if isinstance(value, list) and value and isinstance(value[0], dict | str):
        return [line for item in value for line in _lines(item)]
    if isinstance(value, list):
        return [" x ".join(str(v) for v in value) or "none"]
    if isinstance(value, dict):
        return [", ".join(f"{k.replace('_', ' ')} {v}" for k, v in value.items()) or "none"]
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return ["unknown" if value is None else str(value)]
