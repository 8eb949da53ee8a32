"""`groundshift report` and `groundshift view`, as a user calls them."""

import http.client
import json
import webbrowser
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from tests.report.contents import make_moving

from groundshift.inventory import write_inventory
from groundshift.report import write_content


@pytest.fixture
def folder(tmp_path):
    content = make_moving()
    write_inventory(tmp_path / "inventory.gpkg", content.targets, [])
    write_content(tmp_path / "report.h5", content)
    return tmp_path


@pytest.fixture
def ctrl_c(monkeypatch):
    """Press Ctrl-C once the viewer waits; what was opened in a browser until then, and what it answered."""
    opened = []

    class Impatient:
        def wait(self):
            if opened:
                parts = urlsplit(opened[0])
                with closing(http.client.HTTPConnection(parts.netloc, timeout=20)) as connection:
                    connection.request("GET", f"/?{parts.query}")
                    opened.append(connection.getresponse().status)
            raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr("groundshift.cli.viewing.Event", Impatient)
    return opened


def test_a_report_is_made_anew(groundshift, folder):
    ran = groundshift("report", folder)
    assert (ran.code, ran.out, ran.lines) == (0, "", [f"report: {folder / 'report.html'}"])
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    ran = groundshift("report", folder, "--json")
    assert (json.loads(ran.out), ran.err) == ({"report": str(folder / "report.html")}, "")
    assert groundshift("report", folder, "--quiet").err == ""


def test_the_viewer_opens_the_page_until_ctrl_c(groundshift, folder, ctrl_c):
    ran = groundshift("view", folder)
    assert ran.code == 0
    address = ran.out.strip()
    assert ctrl_c == [address, 200]
    assert address.startswith("http://127.0.0.1:")
    assert ran.lines == [f"{folder} is shown at that address, to this machine only; Ctrl-C ends it"]
    with (
        pytest.raises(ConnectionRefusedError),
        closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)) as connection,
    ):
        connection.connect()


def test_the_browser_is_left_alone(groundshift, folder, ctrl_c):
    ran = groundshift("view", folder, "--no-browser", "--quiet")
    assert (ran.code, ran.err, ctrl_c) == (0, "", [])


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["view", "{none}"], 1, "no such folder; give the output folder of a survey"),
        (["report", "{none}"], 1, "no such folder; give the output folder of a survey"),
        (["view", "{empty}"], 1, "inventory.gpkg: no such file; check the spelling or run the survey first"),
        (["view", "{folder}", "--port", "65536"], 2, "--port: expected a number from 0 to 65535, instead got 65536"),
        (["view", "{folder}", "--port", "-1"], 2, "--port: expected a number from 0 to 65535, instead got -1"),
    ],
)
def test_what_cannot_be_shown_is_one_line(groundshift, folder, arguments, code, line):
    (folder / "empty").mkdir()
    places = {"none": folder / "none", "empty": folder / "empty", "folder": folder}
    ran = groundshift(*(a.format(**places) for a in arguments))
    assert (ran.code, ran.out, len(ran.lines)) == (code, "", 1)
    assert ran.lines[0].startswith("groundshift: ")
    assert ran.lines[0].endswith(line)
