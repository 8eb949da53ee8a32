"""Interferograms of single bursts, ordered at ASF's HyP3 with hyp3-sdk.

Jobs are known by their name, their granules and their looks. So what has been ordered is found again after a run was
killed, and nothing is ordered twice.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeVar

import hyp3_sdk
from hyp3_sdk.exceptions import HyP3SDKError

from groundshift.acquire._session import Session
from groundshift.acquire.errors import CreditsError, ServiceError
from groundshift.acquire.wish import Looks

__all__ = ["Granules", "Job", "Orders", "State"]

Granules = tuple[str, str]
"""Names of the earlier and the later burst."""
State = Literal["waiting", "ready", "failed", "expired"]

T = TypeVar("T")

_TYPE = "INSAR_ISCE_BURST"
_LOOKS = "20x4"
"""What the service takes where a job does not say."""
_ZIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.zip")
_AT_ONCE = 200
"""Jobs that the service takes in one order."""
_TRIES = 4
_ORDER: tuple[State, ...] = ("ready", "waiting", "failed", "expired")
"""Of several jobs for one pair, the one that comes first counts."""
_STATUS = re.compile(r"<Response \[\d+\]>\s*")


class Job(NamedTuple):
    """What has become of the order of one pair."""

    id: str
    state: State
    name: str = ""
    """Of the file to fetch, once ready."""
    url: str = ""
    size: int | None = None


class Orders:
    """The jobs of one run at HyP3."""

    def __init__(self, session: Session, name: str, looks: Looks) -> None:
        self._session, self._name, self._looks = session, name, looks
        # An empty token keeps the client from logging in by itself, before it is given the session.
        self._client = hyp3_sdk.HyP3(token="")
        self._client.session = session

    def costs(self) -> Any:
        """Return the table of what jobs cost; anybody may ask.

        Raises
        ------
        ServiceError
            If the service does not answer.
        """
        return self._ask(self._client.costs)

    def credits_left(self) -> float | None:
        """Return how many credits the user has left; None where there is no limit.

        Raises
        ------
        CredentialsError, ServiceError
            If the service refuses or does not answer.
        """
        left = self._ask(self._client.check_credits)
        return None if left is None else float(left)

    def find(self) -> dict[Granules, Job]:
        """Return what has been ordered under the name of this run, by granules.

        Raises
        ------
        CredentialsError, ServiceError
            If the service refuses or does not answer.
        """
        jobs = self._ask(lambda: self._ours(self._client.find_jobs(name=self._name, job_type=_TYPE)))
        found: dict[Granules, Job] = {}
        for granules, job in jobs:
            other = found.get(granules)
            if other is None or _ORDER.index(job.state) < _ORDER.index(other.state):
                found[granules] = job
        return found

    def refresh(self, known: Mapping[Granules, Job]) -> dict[Granules, Job]:
        """Return `known` as it is now; an order just placed may not be listed yet, and counts before older ones.

        Raises
        ------
        CredentialsError, ServiceError
            If the service refuses or does not answer.
        """
        now = dict(known)
        for granules, job in self.find().items():
            before = known.get(granules)
            older = before is not None and before.state == "waiting" and before.id != job.id
            if not older or job.state in ("waiting", "ready"):
                now[granules] = job
        return now

    def order(self, pairs: Sequence[Granules], known: Mapping[Granules, Job]) -> dict[Granules, Job]:
        """Order pairs, and return all that is known then.

        Where it is not sure that an order arrived, it is looked up before it is sent again.

        Parameters
        ----------
        pairs : sequence of Granules
            Those to order; the state they have in `known` does not matter.
        known : mapping
            What `find` returned.

        Raises
        ------
        CreditsError
            If they cost more than is left.
        CredentialsError, ServiceError
            If the service refuses, or fails time and again.
        """
        jobs, before = dict(known), {job.id for job in known.values()}
        left, tries = list(pairs), 0
        while left:
            batch = [
                self._client.prepare_insar_isce_burst_job(*granules, name=self._name, looks=self._looks)
                for granules in left[:_AT_ONCE]
            ]
            try:
                with self._session.once():
                    placed = self._ask(functools.partial(self._place, batch))
            except _RefusedError:
                raise
            except ServiceError:
                tries += 1
                if tries >= _TRIES:
                    raise
                self._session.sleep(5.0 * tries)
                jobs |= {granules: job for granules, job in self.find().items() if job.id not in before}
                left = [granules for granules in left if granules not in jobs or jobs[granules].id in before]
                continue
            jobs |= placed
            left = left[len(batch) :]
        return jobs

    def _place(self, batch: list[dict[str, Any]]) -> dict[Granules, Job]:
        """Place one order."""
        return dict(self._ours(self._client.submit_prepared_jobs(batch)))

    def _ours(self, jobs: Iterable[Any]) -> list[tuple[Granules, Job]]:
        """Return the jobs of our looks by their granules, in the order given."""
        found = []
        for job in jobs:
            wanted = job.job_parameters or {}
            granules = sorted(wanted.get("granules", ()), key=_date_of)
            if len(granules) == 2 and wanted.get("looks", _LOOKS) == self._looks:
                found.append(((granules[0], granules[1]), _job(job)))
        return found

    def _ask(self, question: Callable[[], T]) -> T:
        """Ask the service, and say in one line what is wrong with its answer."""
        try:
            return question()
        except HyP3SDKError as error:
            said = _STATUS.sub("", " ".join(str(error).split())) or type(error).__name__
            if "credits" in said:
                raise CreditsError(
                    f"HyP3 refuses the order: {said.rstrip('.')}; ask for fewer pairs or a smaller area, or run again "
                    "when the credits of the next month are there"
                ) from error
            raise _RefusedError(
                f"HyP3 refuses: {said.rstrip('.')[:300]}; change the area or the dates, or try again later"
            ) from error
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise _RefusedError(
                f"HyP3 answers something unknown ({type(error).__name__}); bring hyp3_sdk up to date"
            ) from error


class _RefusedError(ServiceError):
    """The service has understood, and says no: it would say so again."""


def _job(job: Any) -> Job:
    """Return what counts of a job of hyp3-sdk."""
    expires = job.expiration_time
    if job.status_code == "FAILED":
        return Job(job.job_id, "failed")
    if job.status_code != "SUCCEEDED":
        return Job(job.job_id, "waiting")
    if not job.files or (expires is not None and expires <= datetime.now(UTC)):
        return Job(job.job_id, "expired")
    file = next(file for file in job.files if _ZIP.fullmatch(file["filename"]) and file["url"].startswith("https://"))
    return Job(job.job_id, "ready", str(file["filename"]), str(file["url"]), int(file["size"]))


def _date_of(granule: str) -> str:
    """Return what sorts the granules of one burst by time."""
    parts = granule.split("_")
    return parts[3] if len(parts) > 3 else granule
