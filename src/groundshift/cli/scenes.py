"""Commands on simulated scenes with known truth."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundshift.cli.options import AsJson, Flat, Quiet, print_json, typed_command
from groundshift.cli.surveys import conclude
from groundshift.simulate.config import SceneConfig
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter

__all__ = ["demo", "simulate"]


def simulate(
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the scene.")],
    *,
    scene: Annotated[SceneConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Simulate a scene with known truth and write it as a folder of GeoTIFFs that `survey` reads."""
    check_paths(output)
    from groundshift.workflows.demo import simulate_to

    with Reporter(quiet=quiet or as_json) as reporter:
        made = simulate_to(scene or SceneConfig(), output, reporter)
        pairs, slides = len(made.pairs), len(made.slides)
        reporter.say(f"{pairs} pairs over {slides} slides in {output}; truth in {output / 'truth.gpkg'}")
    if as_json:
        facts = {"folder": str(output), "pairs": pairs, "dates": len(made.dates), "slides": slides}
        print_json(facts)
    return 0


def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder for the scene and the survey.")] = Path(
        "demo-out"
    ),
    scene: Annotated[SceneConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Run the whole chain on a simulated scene and hold the result against its truth."""
    check_paths(output)
    from groundshift.workflows.demo import run_demo

    with Reporter(quiet=quiet or as_json) as reporter:
        made = run_demo(output, scene or SceneConfig(), reporter, typed_command())
        score = made.score
        reporter.say(
            f"{score.found} of {score.slides} slides faster than 10 mm/yr along the line of sight found; "
            f"{score.right} of {score.targets} targets right"
        )
        truth = {"slides": score.slides, "found": score.found, "targets": score.targets, "right": score.right}
        conclude(made.survey, reporter, as_json, truth=truth)
    return 0
