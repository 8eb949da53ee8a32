"""The services of ASF and NASA on this machine: answers as recorded, and the failures that they have."""

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

ANSWERS = Path(__file__).parent / "answers"
TOKEN = "eyJ-very-secret-token"
CMR = "cmr.earthdata.nasa.gov"
LOGIN = "urs.earthdata.nasa.gov"
HYP3 = "hyp3-api.asf.alaska.edu"
OPERA = "cumulus.asf.earthdatacloud.nasa.gov"
PRODUCTS = "d3gm2hf49xd6jj.cloudfront.net"


def recorded(name: str) -> Any:
    return json.loads((ANSWERS / name).read_text())


def problem(status: int, detail: str) -> "Reply":
    """What the services say when they say no."""
    return Reply(
        status, json.dumps({"status": status, "detail": detail, "title": "No", "type": "about:blank"}).encode()
    )


class Seen(NamedTuple):
    """A request that came."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: str


class Reply(NamedTuple):
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    cut_at: int | None = None
    """After so many bytes the connection breaks."""


@dataclass
class Services:
    """What the services hold, what they were asked, and what goes wrong next."""

    seen: list[Seen] = field(default_factory=list)
    faults: dict[str, list[Reply]] = field(default_factory=dict)
    """By host: answers given instead of the right ones, each once."""
    files: dict[str, bytes] = field(default_factory=dict)
    """By host and path: what can be downloaded."""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    products: Callable[[tuple[str, str]], tuple[str, bytes]] | None = None
    """Makes name and archive of the product of two granules."""
    user: dict[str, Any] = field(default_factory=lambda: recorded("user.json"))
    polls_to_finish: int = 1
    """A job is done when it has been looked at so often."""
    ranges: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, host: str, method: str | None = None) -> list[Seen]:
        return [s for s in self.seen if s.host == host and method in (None, s.method)]

    def fail(self, host: str, *replies: Reply) -> None:
        self.faults.setdefault(host, []).extend(replies)

    def reply(self, seen: Seen) -> Reply:
        with self.lock:
            self.seen.append(seen)
            if self.faults.get(seen.host):
                return self.faults[seen.host].pop(0)
            return {CMR: self._cmr, HYP3: self._hyp3, LOGIN: self._login}.get(seen.host, self._file)(seen)

    def _cmr(self, seen: Seen) -> Reply:
        """Search: the recorded granules that have what is asked for."""
        asked = parse_qs(seen.body)
        names = {"SENTINEL-1_BURSTS": "bursts.json", "OPERA_L2_CSLC-S1_V1": "cslcs.json"}
        names["OPERA_L2_CSLC-S1-STATIC_V1"] = "statics.json"
        # Without one collection named, those of a data set are asked for.
        wanted = [part.split(",", 2) for part in asked.get("attribute[]", [])]
        collections = [s for s in asked["shortName"] if s in names]
        items = [i for s in collections for i in recorded(names[s])["items"]]
        span = asked.get("temporal", [",,"])[0].split(",")
        found = [i for i in items if _has(i, wanted) and _within(i, span[0], span[1])]
        return Reply(body=json.dumps({"hits": len(found), "took": 1, "items": found}).encode())

    def _login(self, seen: Seen) -> Reply:
        """Earthdata Login: tokens for names and passwords; a page for everybody else."""
        if seen.method == "POST":
            # ann:open-sesame
            if seen.headers.get("Authorization") != "Basic YW5uOm9wZW4tc2VzYW1l":
                return Reply(401, b'{"error":"invalid_credentials","error_description":"Invalid user credentials"}')
            return Reply(body=json.dumps({**recorded("token.json"), "access_token": TOKEN}).encode())
        return Reply(body=b"<!DOCTYPE html><title>Earthdata Login</title>", headers={"Content-Type": "text/html"})

    def _hyp3(self, seen: Seen) -> Reply:
        """HyP3: costs for all, the rest for those who show the token."""
        path, _, query = seen.path.partition("?")
        if path == "/costs":
            return Reply(body=json.dumps(recorded("costs.json")).encode())
        if seen.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "No authorization token provided")
        if path == "/user":
            return Reply(body=json.dumps(self.user).encode())
        if seen.method == "POST":
            return self._order(json.loads(seen.body)["jobs"])
        name = parse_qs(query).get("name", [""])[0]
        for job in self.jobs:
            self._go_on(job)
        mine = [{k: v for k, v in j.items() if not k.startswith("_")} for j in self.jobs if j["name"] == name]
        return Reply(body=json.dumps({"jobs": mine}).encode())

    def _order(self, wanted: list[dict[str, Any]]) -> Reply:
        left = self.user["remaining_credits"]
        if left is not None and len(wanted) > left:
            return problem(400, f"These jobs would cost {len(wanted)} credits, but you have only {left} remaining.")
        if left is not None:
            self.user["remaining_credits"] = left - len(wanted)
        new = [{**recorded("job.json"), **job, "job_id": f"job-{len(self.jobs) + k}"} for k, job in enumerate(wanted)]
        self.jobs += new
        return Reply(body=json.dumps({"jobs": new}).encode())

    def _go_on(self, job: dict[str, Any]) -> None:
        """Let a job come nearer to its end."""
        job["_polls"] = job.get("_polls", 0) + 1
        if job["status_code"] == "PENDING" and job["_polls"] > self.polls_to_finish and self.products is not None:
            name, archive = self.products(tuple(job["job_parameters"]["granules"]))
            text = (ANSWERS / "job_succeeded.json").read_text().replace("NAME", name).replace("ID", job["job_id"])
            done = json.loads(text)
            done["files"][0]["size"] = len(archive)
            self.files[f"{PRODUCTS}/{job['job_id']}/{name}.zip"] = archive
            job.update(done)

    def _file(self, seen: Seen) -> Reply:
        """A file, or the part of it that is asked for."""
        if seen.host == OPERA:
            token = seen.headers.get("Authorization", "").removeprefix("Bearer ")
            if token != TOKEN:
                return Reply(302, headers={"Location": f"https://{LOGIN}/oauth/authorize?client_id=x"})
            signed = f"https://s3.us-west-2.amazonaws.com{seen.path}?X-Amz-Signature=hush"
            return Reply(303, headers={"Location": signed})
        key = f"{seen.host}{seen.path.partition('?')[0]}"
        if key not in self.files and seen.host.startswith("s3."):
            name = key.rsplit("/", 1)[1]
            # What the recorded checksums are of.
            self.files[key] = (name.encode() + b"\n") * 40
        if key not in self.files:
            return Reply(403, b"<Error><Code>AccessDenied</Code></Error>")
        body = self.files[key]
        first = int(seen.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if not self.ranges or first == 0:
            return Reply(body=body)
        if first >= len(body):
            return Reply(416)
        return Reply(206, body[first:], {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"})


def _has(item: dict[str, Any], wanted: list[list[str]]) -> bool:
    there = {a["Name"]: a["Values"] for a in item["umm"]["AdditionalAttributes"]}
    return all(value in there.get(name, []) for _, name, value in wanted)


def _within(item: dict[str, Any], start: str, end: str) -> bool:
    extent = item["umm"]["TemporalExtent"]
    begins = extent["RangeDateTime"]["BeginningDateTime"] if "RangeDateTime" in extent else extent["SingleDateTime"]
    return (not start or begins >= start) and (not end or begins <= end)


class _Handler(BaseHTTPRequestHandler):
    """Answers for every host: the first part of the path is its name."""

    protocol_version = "HTTP/1.1"
    services: Services

    def _answer(self) -> None:
        host, _, path = self.path.lstrip("/").partition("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        reply = self.services.reply(Seen(self.command, host, f"/{path}", dict(self.headers), body))
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body if reply.cut_at is None else reply.body[: reply.cut_at])
        if reply.cut_at is not None:
            self.close_connection = True

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def serve(services: Services) -> ThreadingHTTPServer:
    """Serve until `shutdown` of what is returned."""
    handler = type("Handler", (_Handler,), {"services": services})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # Who hangs up in the middle is what is tested.
    server.handle_error = lambda request, address: None
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def rewritten(url: str, port: int) -> str:
    """Where a URL is served on this machine."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"http://127.0.0.1:{port}/{parts.netloc}{parts.path}{query}"


def archive(name: str, **members: str) -> bytes:
    """A ZIP file as HyP3 packs it: all in one folder."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as sink:
        for member, text in (members or {f"{name}_wrapped_phase.tif": "phase " * 50, f"{name}.txt": "text"}).items():
            sink.writestr(f"{name}/{member}", text)
    return packed.getvalue()


def product(granules: tuple[str, str]) -> tuple[str, bytes]:
    """Name and archive of an interferogram."""
    first, second = (granule.split("_") for granule in granules)
    name = f"S1_{first[1]}_{first[2]}_{first[3][:8]}_{second[3][:8]}_VV_INT80_12E3"
    return name, archive(name)


@contextmanager
def serving(monkeypatch, tmp_path) -> Iterator[Services]:
    """Services in place of those of the world, and no credentials to begin with."""
    from requests.adapters import HTTPAdapter

    held = Services(products=product)
    server = serve(held)
    real = HTTPAdapter.send

    def send(self, request, *args, **kwargs):
        url = request.url
        request.url = rewritten(url, server.server_port)
        try:
            response = real(self, request, *args, **kwargs)
        finally:
            request.url = url
        response.url = url
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    yield held
    server.shutdown()
    server.server_close()
