"""Commands on finished surveys: the report made anew, and the viewer."""
# ruff: noqa: PLC0415

from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated

from cyclopts import Parameter

from groundshift.cli.options import AsJson, Quiet, UsageError, print_json
from groundshift.workflows.progress import Reporter

__all__ = ["report", "view"]

Folder = Annotated[Path, Parameter(help="Output folder of a finished survey.")]


def report(folder: Folder, *, quiet: Quiet = False, as_json: AsJson = False) -> int:
    """Write report.html of a finished survey anew, with the reviews and notes as they are now."""
    from groundshift.workflows.viewing import remake_report

    path = remake_report(folder)
    if as_json:
        print_json({"report": str(path)})
    else:
        with Reporter(quiet=quiet) as reporter:
            reporter.say(f"report: {path}")
    return 0


def view(
    folder: Folder,
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0 takes a free one.")] = 0,
    browser: Annotated[bool, Parameter(negative="--no-browser", help="Open the page in the browser.")] = True,
    quiet: Quiet = False,
) -> int:
    """Show a finished survey on this machine, with buttons that write reviews and notes into its inventory."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port: expected a number from 0 to 65535, instead got {port}")
    from groundshift.workflows.serving import serve_survey

    with serve_survey(folder, port) as address:
        # The address alone on stdout, for who starts the viewer from a script.
        print(address, flush=True)
        with Reporter(quiet=quiet) as reporter:
            reporter.say(f"{folder} is shown at that address, to this machine only; Ctrl-C ends it")
        if browser:
            import webbrowser

            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            Event().wait()
    return 0
