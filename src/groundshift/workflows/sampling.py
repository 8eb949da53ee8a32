"""Simulated samples written into a folder: batch by batch, in worker processes, going on where an earlier run stopped.

A batch follows from its seed and the configuration alone, and every worker computes with one thread, so that what is
written does not depend on the number of workers. A record beside the samples says what they are made of.
"""

import math
import multiprocessing
import os
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import Field, ValidationError

from groundshift import __version__
from groundshift.errors import DamagedFileError, GroundshiftError, OutputError
from groundshift.processes import begin_worker, one_thread_each
from groundshift.simulate.batched.config import BatchConfig
from groundshift.workflows.config import Config
from groundshift.workflows.device import found_device
from groundshift.workflows.output import claimed
from groundshift.workflows.progress import Reporter

__all__ = [
    "RECORD",
    "SamplesConfig",
    "SamplesOutput",
    "SamplesPlan",
    "TooLittleMemoryError",
    "preview_samples",
    "run_samples",
]

RECORD = "samples.yaml"
"""Says beside the samples what they are made of."""

_BYTES_PER_NODE = 17
"""Eight planes in half precision, and the labels."""


_NO_MEMORY = ("out of memory", "allocate memory")


class SamplesPlan(Config):
    """How many samples are made, and where they are computed."""

    first_seed: Annotated[int, Field(ge=0, le=2**52)] = 0
    """Seed of the first batch; the following ones count on."""
    batches: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Batches of scenes."""
    windows_per_scene: Annotated[int, Field(ge=1, le=100)] = 3
    """Time windows of each scene, a sample each: all pairs first, then seasons, years and random pairs."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "cpu"
    """Where interferograms are made: cpu, cuda, cuda:1 and so on, mps, or auto, which takes a GPU if there is one."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that make batches, of one thread and, for scenes of default size, about 1 GB each."""


class SamplesConfig(Config):
    """Everything that the making of samples can be told."""

    output: Path
    """Folder for the samples."""
    plan: SamplesPlan = SamplesPlan()
    scenes: BatchConfig = BatchConfig()

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.plan.batches * self.scenes.scenes * self.plan.windows_per_scene


@dataclass(frozen=True)
class SamplesOutput:
    """What the making of samples leaves."""

    folder: Path
    files: tuple[Path, ...]
    """Samples of the seeds asked for, by name."""
    made: int
    """Of those, how many this run made; the others were there."""
    seconds: float


class TooLittleMemoryError(GroundshiftError, MemoryError):
    """A batch does not fit into memory."""


def run_samples(config: SamplesConfig, reporter: Reporter) -> SamplesOutput:
    """Write simulated samples and `samples.yaml`; batches whose files are there are kept.

    A script that calls this starts with ``if __name__ == "__main__":``, for it is imported by the workers.

    Raises
    ------
    SettingError
        If there is no such device.
    OutputError
        If the folder holds samples of another configuration, or cannot be written.
    DamagedFileError
        If its record cannot be read.
    TooLittleMemoryError
        If a batch does not fit into memory.
    """
    began = time.monotonic()
    device = found_device(config.plan.device)
    first, batches = config.plan.first_seed, config.plan.batches
    files: list[Path] = []
    made = computed = 0
    with claimed(config.output):
        _write_record(config, device, _read_record(config))
        jobs = [
            _Job(config.output, config.scenes, seed, device, config.plan.windows_per_scene)
            for seed in range(first, first + batches)
        ]
        with (
            reporter.bar("simulating", batches) as advance,
            closing(_in_workers(jobs, config.plan.workers)) as found,
        ):
            for done, batch in enumerate(found, start=1):
                files += batch.files
                made += batch.made
                computed += batch.made > 0
                advance()
                reporter.log("batch", seed=batch.seed, files=len(batch.files), made=batch.made)
                if batch.made and done < batches and done * 10 // batches > (done - 1) * 10 // batches:
                    left = (time.monotonic() - began) / computed * (batches - done) / 60
                    reporter.say(f"batch {done:,} of {batches:,}: {made:,} samples made; {math.ceil(left)} min left")
    return SamplesOutput(config.output, tuple(sorted(files)), made, time.monotonic() - began)


def preview_samples(config: SamplesConfig) -> dict[str, Any]:
    """Say what `run_samples` would do, without touching anything.

    Raises
    ------
    SettingError, OutputError, DamagedFileError
        As `run_samples` does.
    """
    device = found_device(config.plan.device)
    _read_record(config)
    first, last = config.plan.first_seed, config.plan.first_seed + config.plan.batches - 1
    return {
        "folder": str(config.output),
        "seeds": f"{first} to {last}",
        "scenes": config.plan.batches * config.scenes.scenes,
        "samples": config.count,
        "samples_there": len(list(config.output.glob("*.npz"))),
        "nodes": list(config.scenes.shape),
        "to_write_gb": round(1e-9 * _BYTES_PER_NODE * config.count * math.prod(config.scenes.shape), 3),
        "device": device,
        "workers": config.plan.workers,
    }


class _Run(Config):
    """Which batches a run was to make, and on what."""

    first_seed: int
    batches: int
    device: str


class _Record(Config):
    """What the samples of a folder are made of."""

    groundshift: str
    plan: dict[str, Any]
    scenes: dict[str, Any]
    seeds: list[_Run]


class _Job(NamedTuple):
    """What a worker needs to make one batch."""

    folder: Path
    scenes: BatchConfig
    seed: int
    device: str
    windows_per_scene: int


class _Batch(NamedTuple):
    """What a worker made."""

    seed: int
    files: list[Path]
    made: int


def _make_batch(job: _Job) -> _Batch:
    """Make one batch, or find it; runs in a worker."""
    from groundshift.training.simulated import write_samples  # noqa: PLC0415  (needs torch, and loads slowly)

    before = set(os.listdir(job.folder))
    try:
        files = list(
            write_samples(
                job.folder, job.scenes, job.seed, 1, device=job.device, windows_per_scene=job.windows_per_scene
            )
        )
    except (MemoryError, RuntimeError) as error:
        # A RuntimeError is how torch says so.
        if isinstance(error, RuntimeError) and not any(text in str(error) for text in _NO_MEMORY):
            raise
        raise TooLittleMemoryError(
            f"batch {job.seed} does not fit into memory; lower --workers, --scenes, --shape or --pairs"
        ) from error
    return _Batch(job.seed, files, sum(file.name not in before for file in files))


def _in_workers(jobs: Sequence[_Job], workers: int) -> Generator[_Batch, None, None]:
    """Make batches in so many processes, and give each as it is done; none outlives this."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=multiprocessing.get_context("spawn"), initializer=begin_worker
    )
    try:
        with one_thread_each():
            futures = [pool.submit(_make_batch, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise TooLittleMemoryError(
            "a worker was ended from outside, as happens where memory runs out; lower --workers, --scenes or --shape "
            "and run again, what is done is kept"
        ) from error
    finally:
        # After an error or an interruption nobody waits for the batches that are being made.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()


def _read_record(config: SamplesConfig) -> list[_Run]:
    """Return the runs that a folder's record tells of; stop if the folder holds samples that are made of other things.

    A folder without samples has no runs.
    """
    path = config.output / RECORD
    if not path.exists():
        if next(config.output.glob("*.npz"), None) is not None:
            raise OutputError(
                f"{config.output}: holds samples and no {RECORD} that tells what they are made of; choose another "
                "output folder"
            )
        return []
    try:
        found = _Record.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise DamagedFileError(f"{path}: not a record of samples; choose another output folder") from error
    now = _record_of(config, [])
    names = [
        name
        for part, was in ((now.plan, found.plan), (now.scenes, found.scenes))
        for name in sorted({*part, *was})
        if name not in was or name not in part or was[name] != part[name]
    ]
    if found.groundshift != __version__:
        names.append(f"version of Groundshift ({found.groundshift}, now {__version__})")
    if names:
        raise OutputError(
            f"{config.output}: holds samples of another {', '.join(names)}; choose another output folder, or add to "
            f"them with --config {path}"
        )
    return found.seeds


def _write_record(config: SamplesConfig, device: str, before: Sequence[_Run]) -> None:
    """Write what the samples are made of, with the seeds of all runs."""
    from groundshift.io.atomic import write_text  # noqa: PLC0415  (readers load slowly)

    batches = {(run.first_seed, run.device): run.batches for run in before}
    now = (config.plan.first_seed, device)
    batches[now] = max(config.plan.batches, batches.get(now, 0))
    runs = [_Run(first_seed=first, batches=many, device=where) for (first, where), many in sorted(batches.items())]
    text = yaml.safe_dump(_record_of(config, runs).model_dump(), sort_keys=False)
    write_text(config.output / RECORD, text)


def _record_of(config: SamplesConfig, runs: list[_Run]) -> _Record:
    """Make the record of a configuration."""
    return _Record(
        groundshift=__version__,
        plan={"windows_per_scene": config.plan.windows_per_scene},
        scenes=config.scenes.model_dump(mode="json"),
        seeds=runs,
    )
