"""A headless Chromium to look at pages with.

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
from typing import Any, Self

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
        until = time.monotonic() + 90
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
        until = time.monotonic() + 90
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

    def size(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", size)

    def screenshot(self, first: str = "", last: str = "") -> bytes:
        """Return the visible part of the page as PNG, or all from the top of one element to the end of another."""
        clip = {}
        if first:
            edge = "document.querySelector({}).getBoundingClientRect().{} + scrollY"
            top, end = (self.run(edge.format(json.dumps(k), side)) for k, side in ((first, "top"), (last, "bottom")))
            area = {"x": 0, "y": top - 8, "width": self.run("innerWidth"), "height": end - top + 16, "scale": 1}
            clip = {"clip": area, "captureBeyondViewport": True}
        return base64.b64decode(self._send("Page.captureScreenshot", clip)["data"])

    def paper(self) -> bytes:
        """Return the page as PDF, as it is printed."""
        return base64.b64decode(self._send("Page.printToPDF", {"printBackground": True})["data"])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            given = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}
            self._send("Input.dispatchKeyEvent", given)

    def click(self, x: float, y: float) -> None:
        """Click at a place on the screen."""
        for kind in ("mousePressed", "mouseReleased"):
            given = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
            self._send("Input.dispatchMouseEvent", given)

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
