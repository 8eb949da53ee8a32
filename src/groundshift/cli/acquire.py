"""The command that gets data for a survey.

What does the work is imported inside the command: help and wrong usage are answered without loading it.
"""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from groundshift.cli.options import AsJson, DryRun, Quiet, UsageError, print_facts, print_json
from groundshift.workflows.progress import Reporter, count_of

__all__ = ["acquire"]


def acquire(
    area: Annotated[
        str,
        Parameter(
            name="AOI",
            allow_leading_hyphen=True,
            help="Area of interest: a box W,S,E,N in degrees, well-known text, or a vector file.",
        ),
    ],
    /,
    *,
    start: Annotated[str | None, Parameter(help="First date, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, Parameter(help="Last date, YYYY-MM-DD.")] = None,
    track: Annotated[int | None, Parameter(help="Relative orbit of Sentinel-1, 1 to 175.")] = None,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Folder for the data of this track.")
    ] = None,
    direction: Annotated[
        Literal["ascending", "descending"] | None, Parameter(help="Take the track only if it flies this way.")
    ] = None,
    product: Annotated[
        Literal["hyp3-burst", "opera-cslc"],
        Parameter(help="Interferograms of bursts, made to order by HyP3, or images of bursts by OPERA."),
    ] = "hyp3-burst",
    looks: Annotated[
        Literal["20x4", "10x2", "5x1"],
        Parameter(help="Looks of interferograms in range and azimuth: pixels of 80, 40 or 20 m."),
    ] = "20x4",
    max_days: Annotated[int, Parameter(help="Longest temporal baseline, days.")] = 36,
    pair_mode: Annotated[
        Literal["all", "sequential", "nearest"],
        Parameter(help="All short pairs, each date with the next, or each date with its few next ones."),
    ] = "all",
    nearest: Annotated[int, Parameter(help="How many next dates, for `nearest`.")] = 3,
    wait: Annotated[bool, Parameter(negative="--no-wait", help="Wait for interferograms still being made.")] = True,
    retry_failed: Annotated[
        bool, Parameter(negative=(), help="Order interferograms again that could not be made; they cost again.")
    ] = False,
    parallel: Annotated[int, Parameter(help="Files downloaded at a time, 1 to 16.")] = 4,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Get data for a survey: plan over an area, order or find at ASF, download, verify. Run again to go on."""
    for name, value in (("--start", start), ("--end", end), ("--track", track), ("-o", output)):
        if value is None:
            raise UsageError(f"{name}: not given; name an area, --start, --end, --track and a folder with -o")
    from groundshift.workflows.acquiring import AcquireConfig, preview_acquire, run_acquire

    config = AcquireConfig.model_validate({
        "area": area, "output": output, "start": start, "end": end, "track": track, "direction": direction,
        "product": product, "looks": looks, "max_days": max_days, "pair_mode": pair_mode, "nearest": nearest,
        "wait": wait, "retry_failed": retry_failed, "parallel": parallel,
    })  # fmt: skip
    if dry_run:
        with Reporter(quiet=quiet or as_json) as reporter:
            facts = preview_acquire(config, reporter)
        if as_json:
            print_json({"output": str(config.output), **facts})
        else:
            print_facts(facts)
        return 0
    with Reporter(quiet=quiet or as_json, log=config.output / "log.jsonl") as reporter:
        done = run_acquire(config, reporter)
        if as_json:
            print_json({
                "output": str(done.folder), **done.facts, "fetched": done.fetched, "waiting": done.waiting,
                "failed": dict(done.failed), "inputs": [str(path) for path in done.inputs], "next": done.command,
            })  # fmt: skip
        else:
            what = "interferogram" if config.product == "hyp3-burst" else "file"
            failed = f", {len(done.failed)} could not be had" if done.failed else ""
            reporter.say(f"{count_of(done.fetched, what)} fetched{failed}: {done.folder}")
            if done.waiting:
                reporter.say(f"{count_of(done.waiting, what)} still being made; run the same command again")
            elif done.inputs:
                reporter.say(f"next: {done.command}")
    return 1 if done.failed else 0
