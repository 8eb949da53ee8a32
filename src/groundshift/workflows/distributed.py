"""Many tracks at once: each is a task of dask.distributed, on this machine or on a cluster.

A task is told the settings and the name of its track, opens the inputs itself and leaves its sums and maps in the
output folder, so that a worker that dies takes nothing along: who follows it goes on from the rows that are summed.
What it returns does not depend on which worker does it or when.
"""

import logging
import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dask
import psutil
from distributed import Client, Future, LocalCluster, get_worker, wait
from distributed.scheduler import KilledWorker

from groundshift import __version__
from groundshift.errors import GroundshiftError, OutputError
from groundshift.io import InterferogramStack
from groundshift.workflows.choices import choose_pairs
from groundshift.workflows.config import SettingError, SurveyConfig
from groundshift.workflows.detecting import TrackResult, survey_track
from groundshift.workflows.inputs import open_tracks
from groundshift.workflows.progress import Reporter
from groundshift.workflows.track import load_detector

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = ["TrackFailedError", "choose_workers", "survey_on_workers"]

_TOPIC = "groundshift"
_OWN_MB = 700
"""Memory of a worker before it has read anything, megabytes."""
_WORTH_MB = 5000.0
"""Interferograms that are worth more than one process, megabytes; several seconds of work."""
_POLL = 0.5
"""Seconds between two looks at what workers tell."""
_RETRIES = 1
_CONNECT = 10.0
"""Seconds in which a scheduler must answer."""


class TrackFailedError(GroundshiftError):
    """A track could not be surveyed."""


def choose_workers(config: SurveyConfig, stacks: Sequence[InterferogramStack]) -> int:
    """Return how many processes survey at once: as many as cores, memory and tracks allow.

    One where that is less than starting processes takes.
    """
    if config.cluster.workers is not None:
        return min(config.cluster.workers, len(stacks))
    if sum(_count_pairs(stack, config) * _megabytes(stack) for stack in stacks) < _WORTH_MB:
        return 1
    cores = len(psutil.Process().cpu_affinity() or [0])
    fitting = int(psutil.virtual_memory().available / 1e6 // _memory_mb(config))
    return max(1, min(cores, fitting, len(stacks)))


def survey_on_workers(
    stacks: Sequence[InterferogramStack], config: SurveyConfig, workers: int, reporter: Reporter
) -> Iterator[tuple[int, TrackResult | GroundshiftError]]:
    """Survey tracks on workers, each once more if it fails.

    Parameters
    ----------
    stacks : sequence of InterferogramStack
        All of `open_tracks(config)`.
    config : SurveyConfig
    workers : int
        Processes on this machine, where `config.cluster` names no scheduler.
    reporter : Reporter

    Yields
    ------
    number, result
        Index of the stack, in the order in which they end, with what it gave or why it failed.

    Raises
    ------
    SettingError
        If the scheduler cannot be reached, or its workers have another version.
    OutputError
        If an output cannot be written; tracks that are under way are stopped.
    """
    with _connected(config, workers) as client, _Listener(client, stacks, config, reporter) as listener:
        told = _told(config)
        futures = {
            client.submit(_survey, told, stack.track, key=f"survey-{stack.track}", pure=False, retries=_RETRIES): number
            for number, stack in enumerate(stacks)
        }
        pending = set(futures)
        while pending:
            done = _ended(pending)
            listener.listen()
            for future in sorted(done, key=futures.__getitem__):
                number = futures[future]
                listener.ended(stacks[number].track)
                yield number, _result(future, stacks[number].track)
                future.release()
            pending -= done


def _ended(pending: set["Future[TrackResult]"]) -> set["Future[TrackResult]"]:
    """Wait a moment for futures to end."""
    try:
        return set(wait(pending, timeout=_POLL, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return set()


def _result(future: "Future[TrackResult]", track: str) -> TrackResult | GroundshiftError:
    """Return what a future gave, or why it failed."""
    error = future.exception()
    match error:
        case None:
            return future.result()
        case OutputError():
            raise error
        case GroundshiftError():
            return error
        case KilledWorker():
            return TrackFailedError(
                f"{track}: its worker died twice; lower --workers or --memory-mb if memory was short, and run again"
            )
        case _:
            return TrackFailedError(f"{track}: {type(error).__name__}: {error}")


def _told(config: SurveyConfig) -> str:
    """Write settings for workers, which may stand in other folders."""
    mask = {name: value.absolute() for name, value in config.mask if isinstance(value, Path)}
    everything = {
        "inputs": tuple(path.absolute() for path in config.inputs),
        "output": config.output.absolute(),
        "mask": config.mask.model_copy(update=mask),
    }
    return config.model_copy(update=everything).model_dump_json()


def _survey(told: str, track: str) -> TrackResult:
    """Survey one track; runs on a worker."""
    config = SurveyConfig.model_validate_json(told)
    stack = _opened(told)[track]
    try:
        return survey_track(stack, config, _Relay(track), _detector(told))
    except OutputError as error:
        raise OutputError(str(error)) from None
    except GroundshiftError as error:
        # Errors with more than a message do not travel.
        raise TrackFailedError(str(error)) from None


@lru_cache(maxsize=1)
def _opened(told: str) -> dict[str, InterferogramStack]:
    """Open the inputs once on each worker."""
    return {stack.track: stack for stack in open_tracks(SurveyConfig.model_validate_json(told))}


@lru_cache(maxsize=1)
def _detector(told: str) -> "NetworkDetector | None":
    """Load the network once on each worker."""
    return load_detector(SurveyConfig.model_validate_json(told).detect)


def _count_pairs(stack: InterferogramStack, config: SurveyConfig) -> int:
    """Return how many pairs will be stacked; 0 where that will fail."""
    try:
        return len(choose_pairs(stack, config.stack))
    except GroundshiftError:
        return 0


def _megabytes(stack: InterferogramStack) -> float:
    """Size of one interferogram in memory."""
    return 8e-6 * stack.grid.shape[0] * stack.grid.shape[1]


def _memory_mb(config: SurveyConfig) -> float:
    """Memory that a worker may need, megabytes."""
    return _OWN_MB + 2 * config.stack.memory_mb


@contextmanager
def _connected(config: SurveyConfig, workers: int) -> Iterator[Client]:
    """Connect to the scheduler that is named, or to one with workers of our own."""
    address = config.cluster.scheduler
    with ExitStack() as stack:
        if address is not None:
            try:
                client = stack.enter_context(Client(address, timeout=_CONNECT))
            except (OSError, TimeoutError, ValueError) as error:
                raise SettingError(
                    f"--scheduler: cannot reach {address} ({error}); give the address that `dask scheduler` tells"
                ) from error
            _check_versions(client, address)
            yield client
            return
        cores = len(psutil.Process().cpu_affinity() or [0])
        threads = str(max(1, cores // workers))
        environment = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        stack.enter_context(
            dask.config.set({
                "distributed.scheduler.allowed-failures": _RETRIES,
                "distributed.nanny.pre-spawn-environ": environment,
                # Nobody looks at what it samples, and it takes an eighth of a worker's time.
                "distributed.worker.profile.enabled": False,
            })
        )  # fmt: skip
        folder = stack.enter_context(TemporaryDirectory(prefix="groundshift-"))
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=None,
                local_directory=folder, silence_logs=logging.CRITICAL,
            )
        )  # fmt: skip
        yield stack.enter_context(Client(cluster))


def _check_versions(client: Client, address: str) -> None:
    """Raise SettingError unless there are workers, all with this version."""
    found = client.run(_version)
    if not found:
        raise SettingError(f"--scheduler: {address} has no workers; start some with `dask worker {address}`")
    for worker, version in found.items():
        if version != __version__:
            raise SettingError(
                f"--scheduler: worker {worker} has Groundshift {version}, this is {__version__}; install the same"
            )


def _version() -> str:
    """Tell the version; runs on a worker."""
    return __version__


class _Relay(Reporter):
    """Tells the process that waits for a track how it gets on."""

    def __init__(self, track: str) -> None:
        super().__init__(quiet=True)
        self._track = track

    def say(self, message: str, **facts: Any) -> None:
        self._send("say", message, facts)

    def warn(self, message: str, **facts: Any) -> None:
        self._send("warn", message, facts)

    def log(self, event: str, **facts: Any) -> None:
        self._send("log", event, facts)

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Any]:
        done, told = 0, 0.0

        def advance(more: int = 1) -> None:
            nonlocal done, told
            done += more
            now = time.monotonic()
            if now - told > _POLL or done == total:
                told = now
                self._send("bar", title, {"done": done, "total": total})

        began = time.monotonic()
        yield advance
        self.log("stage", title=title, total=total, took=round(time.monotonic() - began, 3))

    def _send(self, kind: str, text: str, facts: dict[str, Any]) -> None:
        get_worker().log_event(_TOPIC, {"track": self._track, "kind": kind, "text": text, "facts": facts})


class _Listener:
    """Shows and logs what workers tell."""

    def __init__(
        self, client: Client, stacks: Sequence[InterferogramStack], config: SurveyConfig, reporter: Reporter
    ) -> None:
        self._client = client
        self._reporter = reporter
        self._heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._pairs = {stack.track: _count_pairs(stack, config) for stack in stacks}
        self._megabytes = {stack.track: _megabytes(stack) for stack in stacks}
        self._shown = dict.fromkeys(self._pairs, 0.0)
        self._stack = ExitStack()

    def __enter__(self) -> "_Listener":
        pairs = sum(self._pairs.values())
        megabytes = round(sum(n * self._megabytes[track] for track, n in self._pairs.items()))
        totals = {"tracks": len(self._pairs), "pairs": pairs, "megabytes": megabytes}
        self._advance = self._stack.enter_context(self._reporter.bars(totals))
        self._client.subscribe_topic(_TOPIC, lambda event: self._heard.put(event[1]))
        return self

    def __exit__(self, *_: object) -> None:
        self._client.unsubscribe_topic(_TOPIC)
        self.listen()
        self._stack.close()

    def listen(self) -> None:
        """Pass on what was heard since."""
        while not self._heard.empty():
            event = self._heard.get()
            track, text, facts = event["track"], event["text"], event["facts"]
            match event["kind"]:
                case "say":
                    self._reporter.log("message", text=text, **facts)
                case "warn":
                    self._reporter.warn(text, **facts)
                case "log":
                    self._reporter.log(text, **({"track": track} | facts))
                case "bar" if text.endswith(": stacking"):
                    self._show(track, self._pairs[track] * facts["done"] / max(facts["total"], 1))

    def ended(self, track: str) -> None:
        """Count a track as done, however it ended."""
        self._show(track, self._pairs[track])
        self._advance("tracks", 1)

    def _show(self, track: str, pairs: float) -> None:
        """Show how many pairs of a track are done; a track that begins anew does not count backwards."""
        more = max(0.0, pairs - self._shown[track])
        self._shown[track] += more
        self._advance("pairs", more)
        self._advance("megabytes", more * self._megabytes[track])
