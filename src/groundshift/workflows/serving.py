"""The viewer: a small HTTP server around the page of the report, for people on this machine.

It listens on 127.0.0.1 only. Every answer wants a random token that is in the address which is printed and nowhere
else; there is no cookie, so a page of another site has nothing to act with. Requests under another host name, or from a
page of another origin, are refused besides.
"""

import asyncio
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from groundshift.errors import GroundshiftError, OutputError
from groundshift.inventory import Review
from groundshift.inventory.review import ReviewConflictError, ReviewState
from groundshift.workflows.viewing import ShownSurvey

__all__ = ["serve_survey"]

_ADDRESS = "127.0.0.1"
_OWN_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
_LARGEST_REQUEST = 256 * 1024


@contextmanager
def serve_survey(folder: Path, port: int = 0, *, interval_s: float = 2.0) -> Iterator[str]:
    """Serve a finished survey on this machine while the block runs, and give the address to open.

    Parameters
    ----------
    folder : path
        Output folder of a survey. Reviews go into its `inventory.gpkg`; nothing else is written.
    port : int
        Where to listen; 0 takes a free one.
    interval_s : float
        Seconds after which an open page asks for what others have changed.

    Raises
    ------
    GroundshiftError
        If the folder holds no finished survey, or a file in it is damaged.
    OutputError
        If the port is taken.
    """
    shown = ShownSurvey(folder)
    token = secrets.token_urlsafe(32)
    try:
        sockets = bind_sockets(port, _ADDRESS)
    except (OSError, OverflowError) as error:
        raise OutputError(f"port {port}: cannot listen there ({error}); choose another --port") from error
    number = sockets[0].getsockname()[1]
    loop = asyncio.new_event_loop()
    stop = loop.create_future()
    started = threading.Event()

    async def serve() -> None:
        server = HTTPServer(
            _application(shown, token, interval_s), max_body_size=_LARGEST_REQUEST, max_buffer_size=4 * _LARGEST_REQUEST
        )
        server.add_sockets(sockets)
        started.set()
        await stop
        server.stop()
        await server.close_all_connections()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run, name="groundshift-view", daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"http://{_ADDRESS}:{number}/?token={token}"
    finally:
        loop.call_soon_threadsafe(stop.set_result, None)
        thread.join()
        shown.close()


class _Handler(RequestHandler):
    """Answers nobody but the page that this viewer has shown."""

    def initialize(self, shown: ShownSurvey, token: str, interval_s: float) -> None:
        """Take over what is shown, and to whom."""
        self._shown, self._token, self._interval_ms = shown, token, round(1000 * interval_s)

    def set_default_headers(self) -> None:
        """Forbid other pages to frame, read or keep anything."""
        self.clear_header("Server")
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse what does not come from our own page."""
        refusal = _refusal(self.request, self._given_token(), self._token)
        if refusal:
            raise HTTPError(403, reason="Forbidden", log_message=refusal)

    def _given_token(self) -> str:
        """Return the token that came with the request."""
        return self.request.headers.get("X-Groundshift-Token", "")

    async def do(self, work: Callable[..., Any], *given: object) -> Any:
        """Do something with the files."""
        return await asyncio.wrap_future(self._shown.do(work, *given))

    def write_error(self, status_code: int, **given: Any) -> None:
        """Say in one line why there is no answer."""
        error = given.get("exc_info", (None, None, None))[1]
        text = f"The viewer answers {status_code}."
        if isinstance(error, HTTPError) and error.log_message:
            text = error.log_message.replace("%%", "%")
        elif isinstance(error, GroundshiftError):
            self.set_status(503)
            text = str(error)
        self.finish({"error": text})

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log nothing but faults of our own; a page may be closed while it is answered."""
        if not isinstance(value, HTTPError | GroundshiftError | StreamClosedError):
            super().log_exception(kind, value, trace)


class _Page(_Handler):
    """The page, for who has the address with the token."""

    def _given_token(self) -> str:
        return self.get_query_argument("token", "")

    async def get(self) -> None:
        """Give the page."""
        page = await self.do(partial(self._shown.page, token=self._token, interval_ms=self._interval_ms))
        self.set_header("Content-Type", "text/html; charset=utf-8")
        await self.finish(page)


class _Target(_Handler):
    """What belongs to one target."""

    async def get(self) -> None:
        """Give its panel and its series."""
        await self.finish(await self.do(self._shown.target, self.get_query_argument("id")))


class _State(_Handler):
    """What others have changed."""

    async def get(self) -> None:
        """Give the reviews that have changed since a version."""
        version = self.get_query_argument("version")
        if not version.isdecimal():
            raise HTTPError(400, "version must be a number")
        await self.finish(await self.do(self._shown.state, int(version)))


class _Review(_Handler):
    """Reviews that are written."""

    async def post(self) -> None:
        """Write one."""
        name, wanted, seen = _asked(self.request)
        try:
            state = await self.do(self._shown.review, name, wanted, seen)
        except ReviewConflictError as error:
            self.set_status(409)
            state, told = error.state, {"error": str(error)}
        except ValueError as error:
            if isinstance(error, GroundshiftError):
                raise
            raise HTTPError(400, str(error)) from error
        else:
            told = {}
        await self.finish({**state._asdict(), **told})


class _Nothing(_Handler):
    """Any other address."""

    def get(self) -> None:
        """Say so."""
        raise HTTPError(404, "there is nothing at this address")


_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _application(shown: ShownSurvey, token: str, interval_s: float) -> Application:
    """Return what answers requests."""
    given = {"shown": shown, "token": token, "interval_s": interval_s}
    pages: list[Any] = [
        ("/", _Page, given),
        ("/target", _Target, given),
        ("/state", _State, given),
        ("/review", _Review, given),
    ]
    return Application(
        pages, default_handler_class=_Nothing, default_handler_args=given, log_function=lambda handler: None
    )


def _refusal(request: HTTPServerRequest, given: str, token: str) -> str:
    """Say why a request is refused; empty if it is not."""
    host = request.headers.get("Host", "")
    if not _OWN_HOST.fullmatch(host):
        return "This viewer answers under 127.0.0.1 and localhost only."
    origin = request.headers.get("Origin")
    own = f"http://{host}"
    if (origin is not None and origin != own) or (origin is None and request.method not in ("GET", "HEAD")):
        return "This viewer answers its own page only."
    # A link to the page may be followed from anywhere; all else comes from the page itself.
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site != "same-origin" and request.path != "/":
        return "This viewer answers its own page only."
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "Open the address that groundshift view has printed, with its token."
    return ""


def _asked(request: HTTPServerRequest) -> tuple[str, ReviewState, ReviewState]:
    """Read whose review is to be written, what, and what its author saw."""
    names = ("id", "review", "note", "seen_review", "seen_note")
    try:
        if request.headers.get("Content-Type", "").split(";")[0] != "application/json":
            raise ValueError("not JSON")
        asked = json.loads(request.body)
        name, review, note, seen_review, seen_note = (asked[name] for name in names)
    except (ValueError, KeyError, TypeError) as error:
        raise HTTPError(400, f"expected JSON with {', '.join(names)}") from error
    if not all(isinstance(text, str) for text in (name, review, note, seen_review, seen_note)):
        raise HTTPError(400, f"expected texts for {', '.join(names)}")
    return name, ReviewState(cast("Review", review), note), ReviewState(cast("Review", seen_review), seen_note)
