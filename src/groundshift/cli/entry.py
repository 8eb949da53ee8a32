"""Where a command line enters, and where every error becomes one line."""

import difflib
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, UnknownCommandError
from pydantic import ValidationError
from rich.console import Console

from groundshift import __version__
from groundshift.cli import surveys
from groundshift.cli.options import UsageError, written_default
from groundshift.errors import GroundshiftError
from groundshift.workflows.config import SettingError, explain

__all__ = ["app", "main"]

app = App(
    name="groundshift",
    help="Finds ground that moves by itself in stacks of radar interferograms.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(show_default=written_default, negative_iterable=()),
)
for command in (surveys.info, surveys.survey, surveys.stack, surveys.detect):
    app.command(command)
app.command(
    "groundshift.cli.mining:mining",
    name="mining",
    help="Find mining subsidence in single interferograms, unwrap and follow it. Run again to go on where it stopped.",
)
app.command(
    "groundshift.cli.mining:bowls",
    name="bowls",
    help="Look at single interferograms for mining subsidence: footprints, unwrapped phase and a picture of each pair.",
)
app.command(
    "groundshift.cli.masking:mask",
    name="mask",
    help="Mask decorrelated ground in interferograms, each by itself. Run again to go on where it stopped.",
)
app.command(
    "groundshift.cli.segmenting:segment",
    name="segment",
    help="Outline moving slopes in single interferograms; what enough of a stack see becomes a target..",
)
app.command(
    "groundshift.cli.offsets:offsets",
    name="offsets",
    help="Follow ground that moves metres a year by matching amplitude images, also of different satellites.",
)
app.command(
    "groundshift.cli.hazards:hazard",
    name="hazard",
    help="Tell stages of creep, failure windows and what rain does, and what sped up since last time.",
)
app.command(
    "groundshift.cli.scenes:simulate",
    name="simulate",
    help="Simulate a scene with known truth and write it as a folder of GeoTIFFs that `survey` reads.",
)
app.command(
    "groundshift.cli.surveys:series",
    name="series",
    help="Follow the targets of a survey through time. Run again after changing settings; what is the same is kept.",
)
app.command(
    "groundshift.cli.updates:update",
    name="update",
    help="Add new interferograms to a finished survey. Run again to continue a run that was stopped.",
)
app.command(
    "groundshift.cli.acquire:acquire",
    name="acquire",
    help="Get data for a survey: plan over an area, order or find at ASF, download, verify. Run again to go on.",
)
app.command(
    "groundshift.cli.interferograms:interferograms",
    name="interferograms",
    help="Form interferograms of single-look images and write them, to look at or for other programs.",
)
app.command(
    "groundshift.cli.viewing:report",
    name="report",
    help="Write report.html of a finished survey anew, with the reviews and notes as they are now.",
)
app.command(
    "groundshift.cli.viewing:view",
    name="view",
    help="Show a finished survey on this machine, with buttons that write reviews and notes into its inventory.",
)
app.command(
    "groundshift.cli.exports:export",
    name="export",
    help="Export the targets of a survey, or the series of one, for a GIS, a database or another program.",
)
app.command(
    "groundshift.cli.scenes:demo",
    name="demo",
    help="Run the whole chain on a simulated scene and hold the result against its truth.",
)
app.command(
    "groundshift.cli.models:samples",
    name="samples",
    help="Write simulated samples to train on or to judge by. Run again to go on, or with more batches to add some.",
)
app.command(
    "groundshift.cli.models:gallery",
    name="gallery",
    help="Draw simulated samples beside real maps, and tell where the real ones lie outside what simulation covers.",
)
app.command(
    "groundshift.cli.models:train",
    name="train",
    help="Train a network on samples or simulated scenes. Run again to continue a run that was stopped.",
)
app.command(
    "groundshift.cli.classifying:classify",
    name="classify",
    help="Scan single interferograms for fringes of landslides. Run again to go on where it stopped.",
)
app.command(
    "groundshift.cli.classifying:make_fringes",
    name="make-fringes",
    help="Cut windows with and without fringes of landslides out of interferograms with outlines, or simulated ones.",
)
app.command(
    "groundshift.cli.classifying:train_classify",
    name="train-classify",
    help="Train a fringe classifier, on simulated interferograms or on windows. Run again to continue.",
)
app.command(
    "groundshift.cli.classifying:evaluate_classify",
    name="evaluate-classify",
    help="Cross-validate a fringe classifier by scene: recall, precision, break-even point. Run again to go on.",
)
app.command(
    "groundshift.cli.mining:train_mining",
    name="train-mining",
    help="Train a network for mining subsidence, on simulated scenes or on masks. Run again to continue.",
)
app.command(
    "groundshift.cli.masking:train_mask",
    name="train-mask",
    help="Train a network that masks, on simulated scenes or on drawn masks. Run again to continue.",
)
app.command(
    "groundshift.cli.segmenting:train_segment",
    name="train-segment",
    help="Train a network that outlines moving slopes in interferograms. Run again to continue.",
)
app.command(
    "groundshift.cli.making_segments:make_segments",
    name="make-segments",
    help="Make a set of patches with masks, as ISSLIDE, of interferograms and polygons. Run again to continue.",
)
app.command(
    "groundshift.cli.making_segments:simulate_segments",
    name="simulate-segments",
    help="Simulate a set of patches with masks in the layout of ISSLIDE. Run again to go on, or with more zones.",
)
app.command(
    "groundshift.cli.judging:evaluate",
    name="evaluate",
    help="Judge a model or the rules on samples with known truth.",
)
app.command(
    "groundshift.cli.segmenting:evaluate_segment",
    name="evaluate-segment",
    help="Print Table I of Bralet et al. (2024) with rows of networks judged on what a split holds back.",
)
app.command(
    "groundshift.cli.masking:evaluate_mask",
    name="evaluate-mask",
    help="Judge a network that masks beside thresholds on coherence, on simulated scenes or on drawn masks.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit code 0 done, 1 could not, 2 wrong usage."""
    if arguments is None and not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        with _terminable():
            result = app(
                sys.argv[1:] if arguments is None else list(arguments),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
            # Here, so that a closed pipe shows now and not when the interpreter ends.
            sys.stdout.flush()
        return int(result or 0)
    except (UsageError, SettingError) as error:
        return _fail(str(error), 2)
    except GroundshiftError as error:
        return _fail(str(error), 1)
    except CycloptsError as error:
        return _fail(_usage(error), 2)
    except ValidationError as error:
        return _fail(explain(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to continue", 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("out of memory; lower --memory-mb, or survey a smaller area", 1)
    except OSError as error:
        reason = error.strerror or str(error)
        return _fail(f"{error.filename or 'a file'}: {reason}; check permissions and free space", 1)


def _fail(message: str, code: int) -> int:
    """Say in one line why the run ends."""
    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"groundshift: {line}", markup=False)
    return code


def _usage(error: CycloptsError) -> str:
    """Say what is wrong with a command line."""
    if isinstance(error.__cause__, ValidationError):
        return explain(error.__cause__)
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        names = [name for name in app if not name.startswith("-")]
        near = difflib.get_close_matches(error.unused_tokens[0], names, 1)
        meant = f", did you mean {near[0]}" if near else ""
        return f"no command {error.unused_tokens[0]}{meant}; choose one of {', '.join(names)}"
    command = " ".join(["groundshift", *(error.command_chain or ())])
    return f"{str(error).strip().rstrip('.')}; see {command} --help"


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a batch system's request to end do what Ctrl-C does: leave nothing half written."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        # Only the main thread may handle signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
