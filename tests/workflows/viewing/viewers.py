"""A viewer that runs, and a person who asks it."""

import http.client
import json
import socket
from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.report.contents import make_moving

from groundshift.inventory import Run, write_inventory
from groundshift.report import write_content
from groundshift.workflows.viewing import KEPT

RUN = Run(datetime(2024, 5, 6, tzinfo=UTC), "0.1.0", "survey", ("T1",), date(2018, 1, 1), date(2019, 1, 1), 12)
FIRST = "GS-00001"


def write_survey(folder, targets=None):
    """Leave what a survey leaves."""
    content = make_moving()
    targets = content.targets if targets is None else targets
    write_inventory(folder / "inventory.gpkg", targets, [RUN])
    write_content(folder / KEPT, replace(content, targets=targets))


class Viewer:
    """A viewer that runs, and a person who asks it."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.inventory = folder / "inventory.gpkg"
        parts = urlsplit(address)
        self.port = parts.port
        self.token = parse_qs(parts.query)["token"][0]

    def ask(self, path, method="GET", body=None, *, host="127.0.0.1", **headers):
        """Status, headers and answer; headers that are None are left out."""
        given = {"Host": f"127.0.0.1:{self.port}", "X-Groundshift-Token": self.token}
        if method == "POST":
            given |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        text = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        given["Content-Length"] = str(len(text))
        head = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items() if v is not None), "", ""]
        with socket.create_connection((host, self.port), timeout=20) as connection:
            # In one piece: a malformed head is answered, and the connection closed, as soon as it is there, and bytes
            # that came after the last look at the connection would make the system reset it.
            connection.sendall("\r\n".join(head).encode() + text)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            content = answer.read().decode()
            told = json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content
            return answer.status, answer.headers, told

    def review(self, verdict, note="", seen=("unreviewed", ""), name=FIRST, **headers):
        body = {"id": name, "review": verdict, "note": note, "seen_review": seen[0], "seen_note": seen[1]}
        status, _, told = self.ask("/review", "POST", body, **headers)
        return status, told

    def state(self, version=0):
        status, _, told = self.ask(f"/state?{urlencode({'version': version})}")
        assert status == 200
        return told
