"""One way to talk to every service: it waits where it is asked to, tries again, and keeps credentials to itself.

A token goes to hosts of NASA and ASF only, never along a redirect to another one. URLs stay out of messages, as those
of storage services carry signatures.
"""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import get_netrc_auth

from groundshift import __version__
from groundshift.acquire.errors import CredentialsError, ServiceError

__all__ = ["LOGIN", "Credentials", "Session", "find_credentials", "log_in"]

LOGIN = "https://urs.earthdata.nasa.gov"
_TOKENS = f"{LOGIN}/user_tokens"
_TRUSTED = ("earthdata.nasa.gov", "earthdatacloud.nasa.gov", "asf.alaska.edu")
_TRIES = 5
"""So often a service that is down is asked."""
_THROTTLED_TRIES = 30
_PATIENCE = 1800.0
"""Seconds that one request may wait in all where a service asks for patience."""
_TIMEOUTS = (15.0, 90.0)
"""Seconds to connect, and between two bytes."""


@dataclass(frozen=True)
class Credentials:
    """A token of Earthdata Login, or a name and password; `repr` shows neither."""

    source: str
    """Where they come from, for messages."""
    token: str | None = field(default=None, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)


def find_credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Find credentials where they usually are: EARTHDATA_TOKEN, EARTHDATA_USERNAME with EARTHDATA_PASSWORD, netrc.

    Raises
    ------
    CredentialsError
        If there are none, half of them, or the token says itself that it has expired.
    """
    token = environment.get("EARTHDATA_TOKEN", "").strip()
    if token:
        _check_expiry(token)
        return Credentials("EARTHDATA_TOKEN", token=token)
    name, password = environment.get("EARTHDATA_USERNAME", ""), environment.get("EARTHDATA_PASSWORD", "")
    if name and password:
        return Credentials("EARTHDATA_USERNAME and EARTHDATA_PASSWORD", login=(name, password))
    if name or password:
        there, missing = ("USERNAME", "PASSWORD") if name else ("PASSWORD", "USERNAME")
        raise CredentialsError(f"EARTHDATA_{there} is set, EARTHDATA_{missing} is not; set both, or EARTHDATA_TOKEN")
    found = get_netrc_auth(LOGIN)
    if found is not None:
        return Credentials("the netrc file", login=found)
    raise CredentialsError(
        "no Earthdata credentials; set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or write "
        f"`machine urs.earthdata.nasa.gov login NAME password WORD` into ~/.netrc; accounts are free at {LOGIN}"
    )


def log_in(credentials: Credentials, make: Callable[..., "Session"]) -> "Session":
    """Return a session with a token; one is asked for with name and password where there is none.

    Raises
    ------
    CredentialsError
        If Earthdata Login refuses the name or password.
    ServiceError
        If it does not answer.
    """
    if credentials.token is not None:
        return make(token=credentials.token, source=credentials.source)
    answer = make().post(f"{LOGIN}/api/users/find_or_create_token", auth=credentials.login)
    if answer.status_code in (401, 403):
        raise CredentialsError(
            f"Earthdata Login refuses the name and password of {credentials.source} ({answer.status_code}); correct "
            f"them, or make a token at {_TOKENS} and set EARTHDATA_TOKEN"
        )
    try:
        return make(token=str(answer.json()["access_token"]), source=credentials.source)
    except (ValueError, KeyError, TypeError):
        raise ServiceError(
            f"Earthdata Login answers {answer.status_code} without a token; make one at {_TOKENS} and set "
            "EARTHDATA_TOKEN"
        ) from None


class Session(requests.Session):
    """Requests that wait, try again and say what is wrong in one line.

    Parameters
    ----------
    token : str, optional
        Of Earthdata Login; without one nothing is ever sent that tells who asks, whatever a netrc file holds.
    source : str
        Where the token comes from, for messages.
    tell : callable
        Takes one line whenever there is something to wait for.
    sleep : callable
        Takes seconds.
    """

    # Clients copy sessions, and a copy has these only.
    __attrs__ = [*requests.Session.__attrs__, "token", "source", "tell", "sleep", "_repeat"]  # noqa: RUF012

    def __init__(
        self,
        token: str | None = None,
        source: str = "",
        tell: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.token, self.source, self.tell, self.sleep = token, source, tell, sleep
        self._repeat = True
        self.auth = self._authorise
        self.headers.update({"User-Agent": f"groundshift/{__version__}", "Client-Id": "groundshift"})

    @contextmanager
    def once(self) -> Iterator[None]:
        """Send what must not happen twice: what may have arrived is not sent again."""
        self._repeat = False
        try:
            yield
        finally:
            self._repeat = True

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; wait where a service is busy, and try again where it fails.

        Raises
        ------
        CredentialsError
            If a service refuses the token.
        ServiceError
            If it does not answer, fails, or asks to wait too long.
        """
        kwargs.setdefault("timeout", _TIMEOUTS)
        host = urlsplit(str(url)).hostname or "the service"
        waited = 0.0
        for tries in range(1, _THROTTLED_TRIES + 1):
            asked = None
            try:
                response = super().request(method, url, *args, **kwargs)
            except (requests.ConnectionError, requests.Timeout) as error:
                # Its text holds the URL.
                problem, busy = f"does not answer ({type(error).__name__})", False
            except requests.RequestException as error:
                raise ServiceError(
                    f"{host} cannot be asked ({type(error).__name__}); bring requests up to date, or try again later"
                ) from None
            else:
                self._check_accepted(response)
                if response.status_code < 500 and response.status_code != 429:
                    return response
                asked, busy = _asked_to_wait(response), response.status_code == 429
                problem = f"{'is throttling' if busy else 'is down'} ({response.status_code})"
                response.close()
            wait = asked if asked is not None else min(2.0**tries, 60.0)
            if (not self._repeat and not busy) or (tries >= _TRIES and not busy and asked is None):
                raise ServiceError(
                    f"{host} {problem}; run the same command again later, what is done is kept"
                ) from None
            if waited + wait > _PATIENCE:
                raise ServiceError(
                    f"{host} {problem} and asks to wait {wait:.0f} s; run the same command again then, what is done is "
                    "kept"
                )
            self.tell(f"{host} {problem}; trying again in {wait:.0f} s")
            self.sleep(wait)
            waited += wait
        raise ServiceError(f"{host} {problem}; run the same command again later, what is done is kept")

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the token along to hosts that may see it, and to no other."""
        prepared_request.headers.pop("Authorization", None)
        self._authorise(prepared_request)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token where the host may see it."""
        if self.token is not None and _trusted(request.url):
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    def _check_accepted(self, response: requests.Response) -> None:
        """Raise CredentialsError where a service refuses the token."""
        if self.token is None or not _trusted(response.url):
            return
        host = urlsplit(response.url).hostname
        if response.status_code == 401 or (host == urlsplit(LOGIN).hostname and response.request.method == "GET"):
            # A token that is no longer good ends at the page where people log in.
            raise CredentialsError(
                f"{host} refuses the token from {self.source} ({response.status_code}); it has expired or is wrong: "
                f"make a new one at {_TOKENS} and set EARTHDATA_TOKEN"
            )
        if response.status_code == 403:
            raise CredentialsError(
                f"{host} gives no permission (403){_detail(response)}; log in once at https://search.asf.alaska.edu, "
                "accept its terms and name a study area in your profile"
            )


def _trusted(url: str | None) -> bool:
    """Whether a token may be sent to a URL."""
    parts = urlsplit(url or "")
    host = parts.hostname or ""
    return parts.scheme == "https" and any(host == name or host.endswith(f".{name}") for name in _TRUSTED)


def _asked_to_wait(response: requests.Response) -> float | None:
    """Return the seconds that a service asks to wait, at least one; None if it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return max(float(text), 1.0)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 1.0)
    except (ValueError, TypeError):
        return None


def _detail(response: requests.Response) -> str:
    """Return what a service says of a refusal."""
    try:
        return f": {' '.join(str(response.json()['detail']).split())[:200]}"
    except (ValueError, KeyError, TypeError):
        return ""


def _check_expiry(token: str) -> None:
    """Raise CredentialsError if a token says that it has expired; one that cannot be read is left to the service."""
    try:
        payload = token.split(".")[1]
        end = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        expired = datetime.fromtimestamp(float(end), UTC)
    except (IndexError, ValueError, KeyError, TypeError, OverflowError, OSError):
        return
    if expired <= datetime.now(UTC):
        raise CredentialsError(
            f"EARTHDATA_TOKEN: expired on {expired:%Y-%m-%d}; make a new token at {_TOKENS} and set it"
        )
