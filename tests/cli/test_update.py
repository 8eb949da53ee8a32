"""`groundshift update`: what it prints, what it leaves, and what it refuses."""

import json
import re
import shutil
from datetime import date

import pytest

from groundshift.cli import entry
from groundshift.inventory import read_inventory, read_runs

COMMAND = "groundshift.cli.updates:update"
CUT = "20180501"
"""Pairs that end from here on are added: of 30 the last 6."""


@pytest.fixture
def groundshift(groundshift):
    """The command line, with the command among its others."""
    if "update" not in entry.app:
        entry.app.command(COMMAND, name="update")
    return groundshift


@pytest.fixture
def grown(groundshift, simulated, tmp_path):
    """A finished survey of the earlier pairs, and the folder of all pairs."""
    early = tmp_path / "early"
    early.mkdir()
    for path in simulated.iterdir():
        found = re.match(r"\d{8}_(\d{8})_", path.name)
        if found is None or found[1] < CUT:
            shutil.copy2(path, early / path.name)
    assert groundshift("survey", early, "-o", tmp_path / "out", "--detector", "rules", "--quiet").code == 0
    return tmp_path / "out", simulated


def test_an_update_tells_what_it_read_and_what_it_found(groundshift, grown):
    out, inputs = grown
    ran = groundshift("update", out, inputs)
    assert ran.code == 0
    assert ran.lines[0] == "simulated-3: 6 pairs added, 24 of 24 read again"
    assert re.fullmatch(r"\d+ targets? on 8\.2 km2 from 30 pairs in \d+ s", ran.lines[1])
    assert ran.lines[2:] == [f"inventory: {out / 'inventory.gpkg'}", f"report: {out / 'report.html'}"]
    targets = read_inventory(out / "inventory.gpkg")
    assert targets
    assert {t.last_seen for t in targets} == {date(2018, 5, 17)}
    assert read_runs(out / "inventory.gpkg")[-1].command.startswith("groundshift")
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert {(e["new_pairs"], e["pairs_read"]) for e in events if "pairs_read" in e} == {(6, 30)}

    again = groundshift("update", out, inputs)
    assert (again.code, again.lines) == (0, [f"nothing new: {out} has all pairs that are given and can be used"])
    assert json.loads(groundshift("update", out, inputs, "--json").out) == {"new_pairs": 0}
    quiet = groundshift("update", out, inputs, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_an_update_tells_machines_what_it_found(groundshift, grown):
    out, inputs = grown
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    dry = groundshift("update", out, inputs, "--dry-run", "--json")
    (facts,) = json.loads(dry.out)["tracks"]
    assert len(facts["new_pairs"]) == 6
    assert len(facts["read_again"]) == facts["pairs_before"] == 24
    assert facts["seconds_estimated"] > 0
    plain = groundshift("update", out, inputs, "--dry-run")
    assert [re.split(r" {2,}| (?=6 pairs|24 pairs|\d+\.\d)", line) for line in plain.out.splitlines()] == [
        ["track", "simulated-3"],
        ["pairs before", "24"],
        ["new pairs", "6 pairs, 20180330_20180505 to 20180505_20180517"],
        ["read again", "24 pairs, 20180105_20180117 to 20180411_20180423"],
        ["no longer used", "none"],
        ["new time windows wet"],
        ["missing", "none"],
        ["seconds estimated", str(facts["seconds_estimated"])],
    ]
    assert (dry.err, plain.err) == ("", "")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before

    ran = groundshift("update", out, inputs, "--json")
    facts = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert (facts["new_pairs"], facts["pairs"], facts["skipped"]) == (6, 30, 0)
    targets = {t.id: t.velocity_los_mm_yr for t in read_inventory(out / "inventory.gpkg")}
    assert {t["id"]: t["velocity_los_mm_yr"] for t in facts["targets"]} == pytest.approx(targets)


def test_what_cannot_be_updated_is_said_in_one_line(groundshift, grown, tmp_path):
    out, inputs = grown
    missing = tmp_path / "no"
    cases = [
        (["update", out], 2, "no inputs given; name folders or files of interferograms"),
        (["update", missing, inputs], 1, f"{missing}: no finished survey here; run `groundshift survey` first"),
        (["update", out, missing], 1, f"{missing}: no such file or folder; check the spelling"),
    ]
    for arguments, code, line in cases:
        ran = groundshift(*arguments)
        assert (ran.code, ran.out, ran.lines) == (code, "", [f"groundshift: {line}"])
    assert not missing.exists()
