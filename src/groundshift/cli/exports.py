"""The command that hands the inventory on."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from groundshift.cli.options import AsJson, Quiet, print_json
from groundshift.workflows.destination import destination
from groundshift.workflows.progress import Reporter

__all__ = ["export"]


def export(
    out: Annotated[Path, Parameter(help="Folder of a finished survey.")],
    /,
    *,
    to: Annotated[
        str,
        Parameter(
            help="What to write: .geojson, .kmz or .shp (targets), .csv (series), timeseries.h5 (MintPy, with velocity "
            "and geometry beside it), .json (STAC item), or postgresql://USER@HOST/DATABASE?schema=NAME."
        ),
    ],
    review: Annotated[
        tuple[Literal["unreviewed", "confirmed", "rejected"], ...],
        Parameter(help="Only targets of this review; once for each. All by default."),
    ] = (),
    kind: Annotated[
        tuple[Literal["landslide", "subsidence", "uplift", "unknown"], ...],
        Parameter(help="Only targets of this kind; once for each. All by default."),
    ] = (),
    target: Annotated[
        tuple[str, ...], Parameter(help="Only the target of this id; once for each. MintPy takes one.")
    ] = (),
    track: Annotated[
        tuple[str, ...],
        Parameter(help="Only targets, and series, seen from this track; once for each. All by default."),
    ] = (),
    current_only: Annotated[
        bool, Parameter(negative="--all", help="Leave out targets that the last run has not seen again.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Export the targets of a survey, or the series of one, for a GIS, a database or another program."""
    place = destination(to)
    from groundshift.workflows.exporting import Selection, run_export

    with Reporter(quiet=quiet or as_json) as reporter:
        done = run_export(out, place, Selection(review, kind, target, track, current_only), reporter)
    if as_json:
        print_json({
            "form": done.form, "to": done.to, "targets": done.targets, "files": [str(f) for f in done.files],
            **done.facts,
        })  # fmt: skip
    return 0
