"""The command that judges detectors."""
# ruff: noqa: PLC0415

import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundshift.cli.options import AsJson, Quiet, UsageError, typed_command
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[str, Parameter(help="Name of a shipped model, an .onnx file, or `rules`.")],
    samples: Annotated[tuple[Path, ...], Parameter(help="Folders of samples, as `groundshift samples` writes them.")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the judgement.")],
    bootstrap: Annotated[int, Parameter(help="Draws of whole scenes behind the intervals; 0 for none.")] = 200,
    seed: Annotated[int, Parameter(help="Seed of those draws.")] = 0,
    scenes: Annotated[int | None, Parameter(help="Judge by the first so many scenes only.")] = None,
    recall_at: Annotated[
        tuple[float, ...],
        Parameter(
            consume_multiple=True,
            help="Further confidences, 0 to 1, to tell precision and recall at, besides 0.5 and 0.8.",
        ),
    ] = (),
    least_visibility: Annotated[
        float, Parameter(help="Bodies that stand out of the noise by fewer standard errors count neither way.")
    ] = 0.0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Judge a detector on samples with known truth: average precision, recall, false targets, calibration."""
    _expect("--bootstrap", bootstrap >= 0, "at least 0", bootstrap)
    _expect("--seed", seed >= 0, "at least 0", seed)
    _expect("--scenes", scenes is None or scenes >= 1, "at least 1", scenes)
    for confidence in recall_at:
        _expect("--recall-at", math.isfinite(confidence) and 0 <= confidence <= 1, "0 to 1", confidence)
    _expect("--least-visibility", least_visibility >= 0, "at least 0", least_visibility)
    if not samples:
        raise UsageError("no samples given; name folders of samples")
    check_paths(output, samples, [Path(model)] if model.endswith(".onnx") or "/" in model else [])
    from groundshift.workflows.judging import JudgingConfig, run_judging

    with Reporter(quiet=quiet or as_json) as reporter:
        judgement = run_judging(
            JudgingConfig(model, samples, output, bootstrap, seed, scenes, recall_at, least_visibility),
            reporter,
            typed_command(),
        )
        if as_json:
            print(judgement.to_json())
        elif not quiet:
            print(judgement.table(), end="")
        reporter.say(f"judgement: {output / 'report.md'}")
    return 0


def _expect(name: str, holds: bool, expected: str, received: object) -> None:
    """Raise UsageError unless an option holds what it should."""
    if not holds:
        raise UsageError(f"{name}: expected {expected}, instead got {received}")
