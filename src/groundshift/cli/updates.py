"""The command that adds new interferograms to a finished survey.

What does the work is imported inside the command: help and wrong usage are answered without loading it.
"""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from groundshift.cli.options import AsJson, DryRun, Quiet, UsageError, print_facts, print_json, typed_command
from groundshift.cli.surveys import conclude
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["update"]


def update(
    output: Annotated[Path, Parameter(name="OUT", help="Folder of the survey.")],
    inputs: Annotated[
        tuple[Path, ...],
        Parameter(
            name="INPUT", help="Folders or files of interferograms: those of a track, grown, or its new ones only."
        ),
    ] = (),
    /,
    *,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Add new interferograms to a finished survey. Run again to continue a run that was stopped."""
    if not inputs:
        raise UsageError("no inputs given; name folders or files of interferograms")
    if dry_run:
        return _preview(output, inputs, as_json)
    from groundshift.workflows.update import run_update

    with Reporter(quiet=quiet or as_json, log=output / "log.jsonl") as reporter:
        done = run_update(output, inputs, reporter, typed_command())
        if done.survey is not None:
            conclude(done.survey, reporter, as_json, new_pairs=done.new_pairs)
        elif as_json:
            print_json({"new_pairs": 0})
    return 0


def _preview(output: Path, inputs: tuple[Path, ...], as_json: bool) -> int:
    """Say what an update would read."""
    from groundshift.workflows.update import preview_update

    facts = preview_update(output, inputs)
    if as_json:
        print_json({"output": str(output), "tracks": facts})
        return 0
    for fact in facts:
        print_facts({name: _told(name, value) for name, value in fact.items()})
    return 0


def _told(name: str, value: Any) -> Any:
    """Tell pairs by their number and their first and last."""
    if name in ("new_pairs", "read_again", "no_longer_used"):
        return f"{count_of(len(value), 'pair')}, {value[0]} to {value[-1]}" if value else "none"
    return value or "none" if isinstance(value, list) else value
