"""Contents of reports, and a headless Chromium to look at them with.

The browser is driven over its debugging pipe: load a page, run script in it, and hear what it asks for and logs.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from shapely import Polygon

from groundshift.detect.detection import Detection
from groundshift.inventory.model import Target
from groundshift.report import (
    Bounds,
    MaskShare,
    ReportContent,
    TrackContent,
    make_layer,
    significance_histogram,
    write_report,
)
from groundshift.types import LookGeometry, Pair

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One browser with one page; leaves nothing behind."""

    def __init__(self) -> None:
        self.profile = tempfile.mkdtemp()
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def hand_over() -> None:
            # Chromium reads commands from descriptor 3 and answers on 4. Both ends are first moved out of the way.
            read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out))
            os.dup2(read, 3)
            os.dup2(write, 4)

        assert CHROMIUM is not None
        self.process = subprocess.Popen(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-component-update", "--no-first-run", "--disable-dev-shm-usage",
                f"--user-data-dir={self.profile}", "--window-size=1400,1600", "--remote-debugging-pipe", "about:blank",
            ],
            preexec_fn=hand_over,  # noqa: PLW1509  # the way to hand over two descriptors
            close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        targets = self._send("Target.getTargets", session="")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self._send("Target.attachToTarget", {"targetId": page, "flatten": True}, session="")[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _receive(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            chunk = os.read(self._in, 1 << 20) if ready else b""
            if not chunk:
                raise TimeoutError("the browser does not answer")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _send(self, method: str, params: dict[str, Any] | None = None, session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params or {}}
        session = self._session if session is None else session
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 30
        while True:
            answer = self._receive(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"]["message"])
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str, ready: str = "true") -> None:
        """Load a page and wait until the script expression `ready` holds."""
        self.events.clear()
        self._send("Page.navigate", {"url": url})
        self.wait(f"document.readyState === 'complete' && ({ready})")

    def wait(self, condition: str) -> None:
        """Wait until a script expression holds."""
        until = time.monotonic() + 30
        while not self.run(condition):
            if time.monotonic() > until:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def run(self, expression: str) -> Any:
        """Evaluate a script expression in the page."""
        answer = self._send("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def media(self, **features: str) -> None:
        """Pretend to be paper (`media="print"`) or a dark screen (`scheme="dark"`)."""
        scheme = [{"name": "prefers-color-scheme", "value": features.get("scheme", "light")}]
        self._send("Emulation.setEmulatedMedia", {"media": features.get("media", ""), "features": scheme})

    def screenshot(self) -> bytes:
        """Return the visible part of the page as PNG."""
        return base64.b64decode(self._send("Page.captureScreenshot")["data"])

    @property
    def asked(self) -> list[str]:
        """Addresses that the page asked for, other than those inside the page."""
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [u for u in urls if not u.startswith(("data:", "blob:"))]

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions, and violations of the content policy."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
        return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; install chromium to look at the page")
    with Browser() as opened:
        yield opened


BOUNDS = Bounds(100.0, 30.0, 100.4, 30.3)


def _target(number: int = 0, *, lon: float = 100.2, lat: float = 30.15, size: float = 0.004, **fields: Any) -> Target:
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    outline = Polygon(np.column_stack([lon + size * np.cos(angle), lat + 0.7 * size * np.sin(angle)]))
    track = fields.pop("track", "T1")
    speed = fields.pop("velocity_los_mm_yr", -30.0)
    seen = Detection(outline, 0.9, "polarity", track, "all", ("north", "east"), speed, 2.0, 9.0, 0.6, 40)
    usual = {
        "id": f"GS-{number:05d}", "geometry": outline, "kind": "landslide", "score": 0.9, "detections": (seen,),
        "first_seen": date(2018, 1, 1), "last_seen": date(2019, 1, 1), "area_m2": 4e5, "velocity_los_mm_yr": speed,
        "velocity_sigma_mm_yr": 2.0, "mean_coherence": 0.6, "n_pairs": 40,
    }  # fmt: skip
    return Target(**{**usual, **fields})


def _pairs(number: int = 12, every: int = 12) -> list[Pair]:
    days = [date(2018, 1, 1) + timedelta(every * i) for i in range(number + 1)]
    return [Pair(a, b) for a, b in pairwise(days)]


def _track(
    name: str = "T1", *, bounds: Bounds = BOUNDS, shape: tuple[int, int] = (90, 120), **fields: Any
) -> TrackContent:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, *shape)).astype(np.float32)
    usual = {
        "layers": [
            make_layer("velocity_gradient", "velocity gradient, north", noise[0]),
            make_layer("velocity_gradient", "velocity gradient, east", noise[1]),
            make_layer("velocity", "velocity", 10 * noise[2]),
            make_layer("hill_shade", "hill shade", np.clip(0.7 + 0.1 * noise[3], 0, 1)),
        ],
        "pairs_used": _pairs(), "masks": [MaskShare("snow", 0.1857)], "look": LookGeometry(-12.0, 38.0),
        "significance": significance_histogram(noise),
    }  # fmt: skip
    return TrackContent(name, bounds, **{**usual, **fields})


@pytest.fixture
def make_target() -> Callable[..., Target]:
    return _target


@pytest.fixture
def make_track() -> Callable[..., TrackContent]:
    return _track


@pytest.fixture
def make_pairs() -> Callable[..., list[Pair]]:
    return _pairs


@pytest.fixture
def bare(content: ReportContent) -> ReportContent:
    """The same content without charts, which take most of the time."""
    return replace(content, tracks=[_track(pairs_used=[], significance=None)])


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of one track and two targets."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, _content())
    return path


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three large tracks and 2,000 targets."""
    tracks = [
        _track(f"T{i}", bounds=Bounds(100.0 + i, 30.0, 101.0 + i, 31.0), shape=(600, 700), pairs_used=[])
        for i in range(3)
    ]
    rng = np.random.default_rng(0)
    targets = [
        _target(
            i, lon=100.1 + i % 3 + 0.8 * rng.random(), lat=30.1 + 0.8 * rng.random(), track=f"T{i % 3}",
            score=rng.random(), velocity_los_mm_yr=rng.normal(0, 20),
        )
        for i in range(2000)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("large") / "report.html"
    write_report(path, ReportContent("Large", {}, tracks, targets))
    return path


@pytest.fixture
def content() -> ReportContent:
    return _content()


def _content() -> ReportContent:
    targets = [_target(1), _target(2, lon=100.3, kind="subsidence", velocity_los_mm_yr=12.0, score=0.4)]
    return ReportContent("A survey", {"Area": "1,200 km2", "Tracks": 1}, [_track()], targets, settings={"a": {"b": 3}})
