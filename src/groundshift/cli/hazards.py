"""The command on what series mean."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from groundshift.cli.options import AsJson, Flat, Output, Quiet, print_json
from groundshift.workflows.hazards import HazardConfig, run_hazard
from groundshift.workflows.output import check_paths
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["hazard"]


def hazard(
    source: Annotated[
        Path, Parameter(help="Folder of a survey or of offset tracking, its inventory.gpkg, or a .csv of series.")
    ],
    *,
    output: Output = None,
    told: Annotated[HazardConfig | None, Flat] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Tell stages of creep, failure windows and what rain does, and what sped up since last time."""
    config = told or HazardConfig()
    folder = output or (source if source.is_dir() else source.parent) / "hazard"
    others = [path for path in (config.rain, config.moisture) if path is not None]
    check_paths(folder, [], [source, *others])
    with Reporter(quiet=quiet or as_json) as reporter:
        done = run_hazard(source, folder, config, reporter)
        reporter.say(f"{len(done.facts)} series told, {count_of(len(done.alerts), 'alert')}: {done.page}")
    if as_json:
        print_json({
            "output": str(done.folder), "page": str(done.page), "alerts": [a._asdict() for a in done.alerts],
            "series": done.facts,
        })  # fmt: skip
    return 0
