"""Getting data: a plan over an area, ordered or found at ASF, downloaded, verified, and laid out for a survey."""

import functools
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from groundshift.acquire import (
    ClientsMissingError,
    CreditsError,
    Looks,
    Plan,
    Product,
    Wish,
    check_room,
    credits_per_job,
    make_plan,
    read_area,
    read_plan,
    unpack,
    write_plan,
)
from groundshift.errors import DamagedFileError, GroundshiftError, NoDataError
from groundshift.pairs import PairMode
from groundshift.types import Pair
from groundshift.workflows.config import Config, SettingError
from groundshift.workflows.output import check_paths, claimed
from groundshift.workflows.parts import Day
from groundshift.workflows.progress import Reporter, count_of

if TYPE_CHECKING:
    from groundshift.acquire._download import Remote
    from groundshift.acquire._orders import Granules, Job, Orders
    from groundshift.acquire._session import Session

__all__ = ["AcquireConfig", "AcquireOutput", "preview_acquire", "run_acquire"]

_PLAN = "plan.json"
_PARTS = "downloads"
_POLL = 60.0
"""Seconds between two looks at jobs that are still being made."""
_TOLD = 5
"""Things that could not be had which are told on the terminal."""

Sleep = Callable[[float], None]


class AcquireConfig(Config):
    """What to get, and where to."""

    area: str
    """Well-known text, W,S,E,N in degrees, or a vector file (GeoPackage, GeoJSON, Shapefile)."""
    output: Path
    """Folder for the data of this track."""
    start: Day
    """First date, YYYY-MM-DD."""
    end: Day
    """Last date, YYYY-MM-DD."""
    track: Annotated[int, Field(ge=1, le=175)]
    """Relative orbit of Sentinel-1."""
    direction: Literal["ascending", "descending"] | None = None
    """Take the track only if it flies this way."""
    product: Product = "hyp3-burst"
    """Interferograms of single bursts, made to order by HyP3, or images of single bursts by OPERA."""
    looks: Looks = "20x4"
    """Looks of interferograms in range and azimuth: pixels of 80, 40 or 20 m."""
    max_days: Annotated[int, Field(gt=0)] = 36
    """Longest temporal baseline, days."""
    pair_mode: PairMode = "all"
    """All short pairs, each date with the next, or each date with its few next ones."""
    nearest: Annotated[int, Field(ge=1)] = 3
    """How many next dates, for `nearest`."""
    wait: bool = True
    """Wait for interferograms that are still being made."""
    retry_failed: bool = False
    """Order interferograms again that could not be made; they cost their credits again."""
    parallel: Annotated[int, Field(ge=1, le=16)] = 4
    """Files downloaded at a time."""

    @model_validator(mode="after")
    def _check_dates(self) -> "AcquireConfig":
        if self.start >= self.end:
            raise ValueError(f"expected start before end, instead got {self.start} and {self.end}")
        return self


@dataclass(frozen=True)
class AcquireOutput:
    """What a run leaves."""

    folder: Path
    facts: Mapping[str, Any]
    """The plan in numbers, as it stood when the run began."""
    inputs: tuple[Path, ...]
    """Folders for `groundshift survey`, one for each burst that has data."""
    fetched: int
    """Interferograms, or files, that came in this run."""
    waiting: int = 0
    """Interferograms that are still being made."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """What could not be had, and why."""

    @property
    def command(self) -> str:
        """What to type next."""
        folder = str(self.folder)
        return f"groundshift survey {shlex.quote(folder)}/*_IW? -o {shlex.quote(f'{folder}-survey')}"


def preview_acquire(config: AcquireConfig, reporter: Reporter, sleep: Sleep | None = None) -> dict[str, Any]:
    """Say what a run would get and what that costs, without writing or ordering anything; needs no credentials.

    Raises
    ------
    SettingError
        If the area is none, or the output folder holds something else.
    GroundshiftError
        If nothing is found, or a service does not answer.
    """
    check_paths(config.output)
    connect = _connector(reporter, sleep)
    plan = _planned(config, connect, reporter)
    facts = plan.facts(config.output)
    if plan.wish.looks is None:
        return facts
    from groundshift.acquire._orders import Orders  # noqa: PLC0415  (an optional extra)

    each = credits_per_job(Orders(connect(), plan.name, plan.wish.looks).costs(), plan.wish.looks)
    return {**facts, "credits": None if each is None else each * facts["to_come"]}


def run_acquire(config: AcquireConfig, reporter: Reporter, sleep: Sleep | None = None) -> AcquireOutput:
    """Get data into a folder; what an earlier run ordered or fetched is taken up.

    Parameters
    ----------
    config : AcquireConfig
        What to get.
    reporter : Reporter
        Told how it gets on.
    sleep : callable, optional
        Takes the seconds to wait where there is something to wait for.

    Raises
    ------
    SettingError
        If the area is none, or the output folder holds something else.
    GroundshiftError
        If nothing is found, a service refuses, or the output cannot be written.
    """
    check_paths(config.output)
    connect = _connector(reporter, sleep)
    with claimed(config.output):
        plan = _planned(config, connect, reporter)
        facts = plan.facts(config.output)
        write_plan(plan, config.output / _PLAN)
        reporter.say(_in_words(facts, of_pairs=plan.of_pairs), **facts)
        getter = _Getter(plan, config, reporter, connect, sleep or time.sleep)
        if facts["to_come"]:
            from groundshift.acquire._session import find_credentials, log_in  # noqa: PLC0415  (an optional extra)

            session = log_in(find_credentials(), connect)
            if plan.of_pairs:
                getter.get_interferograms(session)
            else:
                getter.get_images(session)
        if not getter.waiting:
            write_plan(plan.model_copy(update={"concluded": True}), config.output / _PLAN)
            # What is still there belongs to nothing that is wanted.
            shutil.rmtree(config.output / _PARTS, ignore_errors=True)
    inputs = tuple(config.output / b.burst for b in plan.bursts if (config.output / b.burst).is_dir())
    return AcquireOutput(config.output, facts, inputs, getter.fetched, getter.waiting, getter.failed)


def _connector(reporter: Reporter, sleep: Sleep | None) -> "Callable[..., Session]":
    """Return what makes sessions, or say which clients are missing."""
    try:
        import asf_search  # noqa: F401, PLC0415  (an optional extra)
        import hyp3_sdk  # noqa: F401, PLC0415

        from groundshift.acquire._session import Session  # noqa: PLC0415
    except ImportError as error:
        raise ClientsMissingError(
            "acquire needs asf_search and hyp3-sdk; install with pip install groundshift[acquire]"
        ) from error
    return functools.partial(Session, tell=reporter.say, sleep=sleep or time.sleep)


def _planned(config: AcquireConfig, connect: "Callable[..., Session]", reporter: Reporter) -> Plan:
    """Return the plan of a run that was stopped, or make one."""
    wish = _wish(config)
    old = read_plan(config.output / _PLAN)
    if old is not None:
        _check_same_kind(config.output, old.wish, wish)
        if old.wish == wish and not old.concluded:
            reporter.say(f"going on with {config.output / _PLAN}")
            return old
    from groundshift.acquire._catalogue import find_scenes, find_statics, why_nothing  # noqa: PLC0415  (an extra)

    session = connect()
    scenes = find_scenes(session, wish)
    statics = find_statics(session, wish) if wish.looks is None and scenes else []
    plan, left_out = make_plan(wish, scenes, statics, old)
    if not plan.bursts and not left_out:
        raise NoDataError(why_nothing(session, wish))
    if not plan.bursts:
        raise NoDataError(
            f"no two images of a burst of track {wish.track} between {wish.start} and {wish.end} lie within "
            f"{wish.max_days} days; move start or end, or raise max_days"
        )
    for burst, dates in left_out.items():
        reporter.warn(f"{burst} left out: {count_of(dates, 'date')}, no pair within {wish.max_days} days")
    return plan


def _wish(config: AcquireConfig) -> Wish:
    """Return what is asked for, with the area read."""
    try:
        area = read_area(config.area)
    except GroundshiftError:
        raise
    except ValueError as error:
        raise SettingError(f"the area: {error}") from None
    return Wish(
        area=area.wkt, start=config.start, end=config.end, track=config.track, direction=config.direction,
        product=config.product, looks=config.looks if config.product == "hyp3-burst" else None,
        max_days=config.max_days, pair_mode=config.pair_mode, nearest=config.nearest,
    )  # fmt: skip


def _check_same_kind(folder: Path, old: Wish, new: Wish) -> None:
    """Raise SettingError where a folder holds what does not go with what is asked for."""
    for name in ("track", "product", "looks"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            raise SettingError(
                f"--{name}: {folder} holds a plan with {before or 'none'}, instead got {now or 'none'}; choose another "
                "output folder"
            )


def _in_words(facts: Mapping[str, Any], *, of_pairs: bool) -> str:
    """Tell a plan in one line."""
    come = f"{count_of(facts['to_come'], 'interferogram' if of_pairs else 'file')} to come"
    return (
        f"track {facts['track']}: {count_of(len(facts['bursts']), 'burst')}, {count_of(facts['images'], 'image')}, "
        f"{count_of(facts['pairs'], 'pair')}; {come}, {'up to ' if of_pairs else ''}{facts['gigabytes']:,.2f} GB"
    )


class _Getter:
    """Brings what is missing of a plan."""

    def __init__(
        self, plan: Plan, config: AcquireConfig, reporter: Reporter, connect: "Callable[..., Session]", sleep: Sleep
    ) -> None:
        self.plan, self.config, self.folder, self.reporter = plan, config, config.output, reporter
        self.connect, self.sleep = connect, sleep
        self.fetched = 0
        self.waiting = 0
        self.failed: dict[str, str] = {}

    def get_images(self, session: "Session") -> None:
        """Download the files of OPERA CSLCs."""
        from groundshift.acquire._download import Remote  # noqa: PLC0415  (an optional extra)

        remotes = []
        for part in self.plan.bursts:
            home = self.folder / part.burst
            remotes += [Remote(f.url, home / f.name, f.size, f.checksum) for f in part.files_left(self.folder)]
            if len(part.files) == len(part.images):
                self.reporter.warn(f"{part.burst} has no static layers: no look vectors, layover and shadow")
        total = sum(remote.size or 0 for remote in remotes)
        check_room(self.folder, total)
        connect = functools.partial(self.connect, token=session.token, source=session.source)
        with self.reporter.bar("megabytes", round(total / 1e6)) as advance:
            self._fetch(remotes, connect, lambda remote: None, lambda count: advance(count / 1e6))

    def get_interferograms(self, session: "Session") -> None:
        """Order interferograms at HyP3, wait for them, and fetch each as soon as it is ready."""
        from groundshift.acquire._orders import Orders  # noqa: PLC0415  (an optional extra)

        wanted = {
            part.granules(pair): (part.burst, pair)
            for part in self.plan.bursts
            for pair in part.pairs_left(self.folder)
        }
        orders = Orders(session, self.plan.name, self.config.looks)
        jobs = self._order(orders, wanted, orders.find())
        tried: set[str] = set()
        with self.reporter.bar("interferograms", len(wanted)) as advance:
            while True:
                mine = {granules: jobs[granules] for granules in wanted if granules in jobs}
                ready = {g: job for g, job in mine.items() if job.state == "ready" and job.id not in tried}
                tried |= {job.id for job in ready.values()}
                self._fetch_products(ready, wanted, advance)
                self.waiting = sum(job.state == "waiting" for job in mine.values())
                if not self.waiting or not self.config.wait:
                    break
                self.sleep(_POLL)
                jobs = orders.refresh(jobs)
        why = {
            "failed": "HyP3 could not make it; --retry-failed orders it again",
            "expired": "expired before it was fetched; run the same command again to order it anew",
        }
        for granules, job in mine.items():
            if job.state in why:
                burst, pair = wanted[granules]
                self._note(f"{burst} {pair.name}", f"{burst} {pair.name}: {why[job.state]}")

    def _order(
        self, orders: "Orders", wanted: "Mapping[Granules, tuple[str, Pair]]", jobs: "dict[Granules, Job]"
    ) -> "dict[Granules, Job]":
        """Order what has not been ordered, or is no longer there."""
        again = {"expired", "failed"} if self.config.retry_failed else {"expired"}
        missing = [granules for granules in wanted if granules not in jobs or jobs[granules].state in again]
        if not missing:
            return jobs
        number = count_of(len(missing), "interferogram")
        each, left = credits_per_job(orders.costs(), self.config.looks), orders.credits_left()
        price = None if each is None else each * len(missing)
        if price is not None and left is not None and price > left:
            raise CreditsError(
                f"{number}: {price:g} credits are needed, {left:g} are left this month; take fewer with --max-days, "
                "--pair-mode or a smaller area, or run again when those of the next month are there"
            )
        jobs = orders.order(missing, jobs)
        self.reporter.say(
            f"{number} ordered{'' if price is None else f' for {price:g} credits'} as {self.plan.name}; it takes "
            "hours: Ctrl-C, and the same command later, goes on",
            ordered=len(missing), credits=price, name=self.plan.name,
        )  # fmt: skip
        return jobs

    def _fetch_products(
        self,
        ready: "Mapping[Granules, Job]",
        wanted: "Mapping[Granules, tuple[str, Pair]]",
        advance: Callable[[int], None],
    ) -> None:
        """Fetch finished interferograms and unpack them."""
        from groundshift.acquire._download import Remote  # noqa: PLC0415  (an optional extra)

        homes = {job.name: self.folder / wanted[granules][0] for granules, job in ready.items()}

        def settle(remote: "Remote") -> None:
            try:
                unpack(remote.path, homes[remote.path.name] / remote.path.stem, self.folder)
            finally:
                remote.path.unlink()
            advance(1)

        # Products are open to all who know their address: no token is shown there.
        remotes = [Remote(job.url, self.folder / _PARTS / job.name, job.size) for job in ready.values()]
        self._fetch(remotes, self.connect, settle)

    def _fetch(
        self,
        remotes: "list[Remote]",
        connect: "Callable[[], Session]",
        settle: "Callable[[Remote], None]",
        got: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Fetch files and settle each in its place; note what could not be had."""
        from groundshift.acquire._download import fetch_all  # noqa: PLC0415  (an optional extra)

        def done(remote: "Remote", problem: GroundshiftError | None) -> None:
            try:
                if problem is not None:
                    raise problem
                settle(remote)
            except (DamagedFileError, FileNotFoundError) as error:
                self._note(remote.path.name, str(error))
            else:
                self.fetched += 1

        fetch_all(remotes, self.folder / _PARTS, connect, parallel=self.config.parallel, got=got, done=done)

    def _note(self, what: str, why: str) -> None:
        """Note what could not be had; the first few are told on the terminal."""
        self.failed[what] = why
        if len(self.failed) <= _TOLD:
            self.reporter.warn(why)
        else:
            self.reporter.log("warning", text=why)
