"""`groundshift mining` and `groundshift bowls`: what they find, tell and leave, and what they refuse in one line."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import date

import numpy as np
import pytest
from pyproj import Transformer
from shapely import Point
from tests import onnx_models
from tests.mines import BOWL, DATES, FAST, PER_RADIAN_MM, PER_YEAR, RULES, SLOW, TRACK, TURN
from tests.workflows.bowl_models import write_bowl_model

from groundshift.inventory import read_events, read_inventory, read_runs, read_series
from groundshift.io import open_stack
from groundshift.io.stack import InterferogramStack
from groundshift.workflows import concluding, scanning, survey
from groundshift.workflows.scanning import read_averaged

SHORT = 17
"""Pairs of up to 24 days."""
PLAIN = (*RULES, "--no-series", "--quiet")


@pytest.fixture
def plain(monkeypatch):
    """Run without report and pictures, which cost most of the time here."""
    for name in ("write_report", "write_kmz"):
        monkeypatch.setattr(concluding, name, lambda *_, **__: None)


@pytest.fixture
def scanned(monkeypatch):
    """The names of the pairs that are read to be scanned."""
    found = []

    def noted(stack, pair, looks):
        found.append(pair.name)
        return read_averaged(stack, pair, looks)

    monkeypatch.setattr(scanning, "read_averaged", noted)
    return found


def said_in(out):
    """What the log says that runs told."""
    return [line["text"] for line in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if "text" in line]


def facts_of(out):
    """What an inventory tells of its targets."""
    names = (
        "id",
        "kind",
        "score",
        "velocity_los_mm_yr",
        "velocity_sigma_mm_yr",
        "mean_coherence",
        "n_pairs",
        "evidence",
    )
    targets = read_inventory(out / "inventory.gpkg")
    return [{name: getattr(t, name) for name in names} | {"geometry": t.geometry.wkt} for t in targets]


def copied(mines, folder, wanted):
    """A folder with the pairs whose names are `wanted`."""
    folder.mkdir(parents=True)
    for path in mines.iterdir():
        if path.name == "metadata.yaml" or (path.name[0] == "2" and wanted(path.name[:17])):
            shutil.copy2(path, folder)
    return folder


def middle_of(mines):
    """Longitude and latitude of the middle of the bowl."""
    lon, lat = open_stack(mines).grid.lonlat(*(np.array([float(v)]) for v in BOWL))
    return Point(float(lon[0]), float(lat[0]))


# What a run finds


def test_a_sinking_bowl_is_the_one_target_with_its_place_sign_and_series(mined, mines):
    (target,) = read_inventory(mined / "inventory.gpkg")
    assert target.kind == "subsidence"
    assert target.evidence == (f"{TRACK}/single-pairs/fringes/phase",)
    assert target.n_pairs == SHORT
    metres = Transformer.from_crs("EPSG:4326", "EPSG:32649", always_xy=True).transform
    place, centre = (Point(metres(p.x, p.y)) for p in (middle_of(mines), target.geometry.centroid))
    assert centre.distance(place) < 20
    (series,) = read_series(mined / "inventory.gpkg")
    assert (series.target, series.track) == (target.id, TRACK)
    assert list(series.dates.astype(object)) == DATES
    # The mean over the deepest part of the bowl, where it is 0.7 of its depth and more.
    course = -PER_RADIAN_MM * np.cumsum([0, *[SLOW] * 4, *[FAST] * 5])
    share = series.displacement_mm[-1] / course[-1]
    assert 0.7 < share < 1
    np.testing.assert_allclose(series.displacement_mm, share * course, atol=0.5)
    assert target.velocity_los_mm_yr < -500
    assert said_in(mined)[:2] == [
        f"{TRACK}: 21 bowls in {SHORT} pairs, 1 site confirmed",
        f"{TRACK}: no heights; give a DEM with --dem to tell landslides from subsidence",
    ]


def test_the_event_is_in_the_inventory_in_the_record_and_in_the_report(mined):
    (event,) = read_events(mined / "inventory.gpkg")
    (series,) = read_series(mined / "inventory.gpkg")
    assert series.events == (event,)
    assert (event.kind, event.track) == ("acceleration", TRACK)
    assert abs((event.day - TURN).days) <= 2
    assert event.early <= TURN <= event.late
    share = series.displacement_mm[-1] / (-PER_RADIAN_MM * (4 * SLOW + 5 * FAST))
    for rate, step in ((event.rate_before_mm_yr, SLOW), (event.rate_after_mm_yr, FAST)):
        assert rate == pytest.approx(-share * PER_RADIAN_MM * PER_YEAR * step, rel=0.02)
    page = (mined / "report.html").read_text()
    rates = f"−{-event.rate_before_mm_yr:.0f} mm/yr before, −{-event.rate_after_mm_yr:.0f} after"
    line = f"acceleration on {event.day} (95 % from {event.early} to {event.late}), {rates}"
    assert line in page
    assert "Area that has moved" in page
    (path,) = (mined / "series").glob("*.json")
    record = json.loads(path.read_text())
    assert [date.fromisoformat(e["day"]) for e in record["events"]] == [event.day]
    assert record["areas_m2"][0] == 0
    assert record["areas_m2"] == sorted(record["areas_m2"])
    # From the first date to the last the bowl grows beyond what has moved by a centimetre of its 250 mm.
    assert record["areas_m2"][-1] == pytest.approx(400 * 2 * np.pi * 36 * np.log(247 / 10), rel=0.2)


def test_provenance_and_report_name_what_looked(mined):
    noted = json.loads((mined / "provenance.json").read_text())
    assert noted["bowl_detector"] == {"name": "fringes", "sha256": None}
    assert "detector" not in noted
    assert "<dt>Detector</dt><dd>fringes</dd>" in (mined / "report.html").read_text()


def test_maps_around_a_site_leave_out_the_stack(mined):
    from groundshift.report import read_content

    content = read_content(mined / "report.h5", read_inventory(mined / "inventory.gpkg"))
    ((shown,),) = content.series.values()
    assert [layer.name for layer in shown.layers] == ["velocity, inverted", "temporal coherence"]


@pytest.mark.usefixtures("plain")
def test_again_reads_nothing_and_says_for_machines_what_is_there(
    groundshift, mines, mined, tmp_path, scanned, monkeypatch
):
    out = shutil.copytree(mined, tmp_path / "out")
    read = []
    monkeypatch.setattr(InterferogramStack, "read", lambda self, pair, *_: read.append(pair))
    ran = groundshift("mining", mines, "-o", out, *RULES, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (scanned, read) == ([], [])
    facts = json.loads(ran.out)
    (target,) = read_inventory(out / "inventory.gpkg")
    (told,) = facts["targets"]
    assert (told["id"], told["kind"], told["velocity_los_mm_yr"]) == (
        target.id,
        "subsidence",
        target.velocity_los_mm_yr,
    )
    assert (facts["pairs"], facts["skipped"]) == (24, 0)
    assert facts_of(out) == facts_of(mined)
    assert read_events(out / "inventory.gpkg") == read_events(mined / "inventory.gpkg")
    assert len(read_runs(out / "inventory.gpkg")) == 2


@pytest.mark.usefixtures("plain")
def test_detect_takes_the_sites_that_were_kept(groundshift, mined, tmp_path):
    (tmp_path / "c.yaml").write_text("bowls: {look_for: bowls, bowl_detector: rules}\n")
    out = tmp_path / "out"
    ran = groundshift("detect", mined / "stacks", "-o", out, "--config", tmp_path / "c.yaml", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    (found,), (expected,) = (read_inventory(folder / "inventory.gpkg") for folder in (out, mined))
    assert (found.geometry, found.kind, found.detections) == (expected.geometry, "subsidence", expected.detections)
    assert json.loads((out / "provenance.json").read_text())["bowl_detector"] == {"name": "fringes"}
    assert (out / "stacks" / TRACK / "bowls" / "sites.json").exists()


@pytest.mark.usefixtures("plain")
def test_what_stack_and_single_pairs_both_see_is_one_target(groundshift, mines, tmp_path, scanned):
    out = tmp_path / "out"
    assert groundshift("survey", mines, "-o", out, *PLAIN).code == 0
    (body,) = read_inventory(out / "inventory.gpkg")
    assert (body.kind, scanned) == ("unknown", [])  # without heights
    assert not (out / "stacks" / TRACK / "bowls").exists()
    # Into the same folder: nothing is stacked again.
    ran = groundshift("mining", mines, "-o", out, "--look-for", "both", *PLAIN[:-1])
    assert ran.code == 0
    assert ran.lines[0] == f"{TRACK}: sums of 24 pairs are there already"
    assert len(scanned) == SHORT
    (both,) = read_inventory(out / "inventory.gpkg")
    assert {(d.window, d.detector) for d in both.detections} >= {("single-pairs", "fringes"), ("all", "rules")}
    assert (both.id, both.kind) == (body.id, "subsidence")
    assert both.geometry.contains(middle_of(mines))
    noted = json.loads((out / "provenance.json").read_text())
    assert (noted["detector"]["name"], noted["bowl_detector"]["name"]) == ("rules", "fringes")


@pytest.mark.usefixtures("plain")
def test_a_network_finds_it_as_well(groundshift, mines, tmp_path):
    """By its answer all that is half a radian beyond zero belongs to a bowl; while it sinks slowly that holds."""
    model = write_bowl_model(tmp_path / "mine.onnx", "bowls", edge=0.5)
    early = copied(mines, tmp_path / "early", lambda pair: pair.split("_")[1] <= f"{TURN:%Y%m%d}")
    out, options = tmp_path / "out", ("--bowl-days", "12", "--site-dates", "4", "--no-series", "--json")
    ran = groundshift("mining", early, "-o", out, "--bowl-model", model, *options)
    assert ran.code == 0
    (target,) = read_inventory(out / "inventory.gpkg")
    assert (target.kind, target.evidence) == ("subsidence", (f"{TRACK}/single-pairs/tiny-bowls/phase",))
    assert target.geometry.contains(middle_of(mines))
    noted = json.loads((out / "provenance.json").read_text())["bowl_detector"]
    assert noted == {"name": "tiny-bowls", "sha256": hashlib.sha256(model.read_bytes()).hexdigest()}


@pytest.mark.usefixtures("plain")
def test_a_damaged_pair_is_named_once_and_the_others_find_the_same(groundshift, mines, whole, tmp_path):
    folder, out = copied(mines, tmp_path / "scene", lambda _: True), tmp_path / "out"
    broken = folder / "20150129_20150210_phase.tif"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    ran = groundshift("mining", folder, "-o", out, *PLAIN[:-1])
    line = f"{broken}: truncated or unreadable raster; fetch the file again"
    assert ran.code == 0
    assert [said for said in ran.lines if "warning" in said] == [f"warning: {line}; pair left out"]
    assert f"{TRACK}: 20 bowls in 16 pairs, 1 site confirmed" in ran.lines
    assert "1 target on 3.7 km2 from 23 pairs, 1 file left out in" in ran.err
    (found,), (expected,) = facts_of(out), facts_of(whole)
    assert (found["id"], found["kind"], found["n_pairs"]) == (expected["id"], "subsidence", SHORT - 1)


# Stopped, and added to


@pytest.fixture(scope="module")
def whole(mines, tmp_path_factory):
    """A run on all pairs without series, report and pictures."""
    from groundshift.cli import main

    out = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_report", "write_kmz"):
            patch.setattr(concluding, name, lambda *_, **__: None)
        assert main(["mining", str(mines), "-o", str(out), *PLAIN]) == 0
    return out


KILLED = """
import os, signal, sys
import numpy as np
from groundshift.cli import main
from groundshift.workflows import scanning

made, save = [], np.savez_compressed

def save_some(file, **fields):
    save(file, **fields)
    made.append(file)
    if len(made) == 6:
        os.kill(os.getpid(), signal.SIGKILL)

scanning.np.savez_compressed = save_some
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("plain")
def test_a_scan_that_was_killed_goes_on_and_finds_the_same(groundshift, mines, whole, tmp_path, scanned):
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, "mining", mines, "-o", out, *PLAIN], check=False)
    assert done.returncode == -signal.SIGKILL
    bowls = out / "stacks" / TRACK / "bowls"
    before = {path.name for path in bowls.iterdir()}
    # Five pairs are there, and the sixth is half written under another name.
    assert len({name for name in before if not name.startswith(".")}) == 5
    assert len(before) == 6
    assert not (out / "inventory.gpkg").exists()
    ran = groundshift("mining", mines, "-o", out, *PLAIN)
    assert (ran.code, ran.err) == (0, "")
    assert len(scanned) == SHORT - 5
    assert facts_of(out) == facts_of(whole)
    assert {p.name for p in bowls.iterdir()} == {p.name for p in (whole / "stacks" / TRACK / "bowls").iterdir()}


@pytest.mark.usefixtures("plain")
def test_new_pairs_are_added_to_sites_and_give_what_all_pairs_give(groundshift, mines, whole, tmp_path, scanned):
    cut, out = f"{DATES[6]:%Y%m%d}", tmp_path / "out"
    early = copied(mines, tmp_path / "early", lambda pair: pair.split("_")[1] <= cut)
    late = copied(mines, tmp_path / "late", lambda pair: pair.split("_")[1] > cut)
    assert groundshift("mining", early, "-o", out, *PLAIN).code == 0
    first = facts_of(out)
    before = list(scanned)
    scanned.clear()
    ran = groundshift("update", out, late)
    assert ran.code == 0
    assert ran.lines[1] == f"{TRACK}: 21 bowls in {SHORT} pairs, 1 site confirmed"
    # Only the new pairs are scanned.
    assert all(name.split("_")[1] > cut for name in scanned)
    assert len(before) + len(scanned) == SHORT
    (found,), (expected,) = facts_of(out), facts_of(whole)
    assert found["id"] == first[0]["id"]
    for name, value in expected.items():
        if name != "id":
            assert found[name] == (pytest.approx(value) if isinstance(value, float) else value), name


# What is said beforehand


def test_a_dry_run_reads_nothing_and_leaves_nothing(groundshift, mines, tmp_path, monkeypatch):
    monkeypatch.setattr(InterferogramStack, "read", lambda *_: pytest.fail("a pair is read"))
    out = tmp_path / "out"
    ran = groundshift("mining", mines, "-o", out, "--dry-run", "--json")
    assert (ran.code, ran.err) == (0, "")
    (facts,) = json.loads(ran.out)["tracks"]
    assert (facts["pairs"], facts["time_windows"]) == ("24 of 24", {"all": 24})
    assert facts["pairs_scanned"] == "17 of 24"
    assert (facts["scanned_pixels"], facts["scanned_pixel_m"]) == ([96, 96], [20.0, 20.0])
    # A survey does not scan, and says nothing of it.
    ran = groundshift("survey", mines, "-o", out, "--dry-run", "--json")
    assert "pairs_scanned" not in json.loads(ran.out)["tracks"][0]
    ran = groundshift("bowls", mines, "-o", out, "--bowl-days", "12", "--bowl-pixel", "60", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert [line.split("  ")[0].strip() for line in ran.out.splitlines()] == [
        "track", "product", "pairs scanned", "scanned pixels", "scanned pixel m"
    ]  # fmt: skip
    assert "9 of 24" in ran.out
    assert not out.exists()


def config_of(groundshift, monkeypatch, *arguments):
    """The settings that a command line comes to."""
    found = []

    def stop(config, *_):
        found.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(survey, "run_survey", stop)
    groundshift(*arguments)
    return found[0]


def test_mining_looks_for_bowls_in_all_seasons_unless_told_otherwise(groundshift, mines, tmp_path, monkeypatch):
    def seen(*more):
        config = config_of(groundshift, monkeypatch, "mining", mines, "-o", tmp_path / "out", *more)
        return config.bowls.look_for, config.stack.wet_months, config.stack.sliding_years

    def told(text):
        (tmp_path / "c.yaml").write_text(text)
        return "--config", tmp_path / "c.yaml"

    summer = (4, 5, 6, 7, 8, 9)
    assert seen() == ("bowls", (), None)
    assert seen("--bowl-days", "12") == ("bowls", (), None)
    assert seen("--wet-months", "6", "7") == ("bowls", (6, 7), None)
    assert seen("--look-for", "both") == ("both", summer, 2)
    assert seen(*told("bowls: {look_for: both}")) == ("both", summer, 2)
    assert seen(*told("bowls: {look_for: both}"), "--look-for", "bowls") == ("bowls", (), None)
    assert seen(*told("bowls: {bowl_days: 12}\nstack: {sliding_years: 1}")) == ("bowls", (), 1)
    assert seen(*told("bowls:\nstack:\n")) == ("bowls", (), None)
    assert config_of(groundshift, monkeypatch, "survey", mines, "-o", tmp_path / "out").bowls.look_for == "bodies"


# What is refused


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of kinds that are not wanted somewhere."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "bodies": onnx_models.write_random(folder / "bodies.onnx"),
        "phase": write_bowl_model(folder / "phase.onnx", "unwrapped"),
        "footprint": write_bowl_model(folder / "footprint.onnx", "footprint"),
    }


REFUSED = [
    (["--bowl-model", "nosuch"], 1, r"--bowl-model: nosuch: no such model; .*"),
    (["--bowl-model", "nosuch.onnx"], 1, r"--bowl-model: nosuch\.onnx: no such file; .*"),
    (["--bowl-model", "{bodies}"], 1, r"--bowl-model: {bodies}: not a model for Groundshift \(.* 'bodies'.*"),
    (["--bowl-model", "{phase}"], 2, r"--bowl-model: {phase} unwraps but does not find bowls; choose bowlnet or ddnet"),
    (["--bowl-detector", "rules", "--foresight", "nosuch"], 1, r"--foresight: nosuch: no such model; .*"),
    (
        ["--bowl-detector", "rules", "--foresight", "{footprint}"],
        2,
        r"--foresight: {footprint} finds bowls but does not unwrap; choose bowlnet, punet or none",
    ),
    (["--bowl-detector", "rules", "--foresight", "{bodies}"], 1, r"--foresight: {bodies}: not a model for .*"),
    (["--bowl-probability", "1"], 2, r"--bowl-probability: expected less than 1\.0, instead got '1'"),
    (["--bowl-pixels", "some"], 2, r".*--bowl-pixels.*"),
]  # fmt: skip


@pytest.mark.parametrize("command", ["mining", "bowls"])
@pytest.mark.parametrize(("options", "code", "line"), REFUSED, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_what_cannot_be_done_is_said_in_one_line_before_anything_is_read(
    groundshift, mines, models, tmp_path, monkeypatch, command, options, code, line
):
    monkeypatch.setattr(InterferogramStack, "read", lambda *_: pytest.fail("a pair is read"))
    out = tmp_path / "out"
    ran = groundshift(command, mines, "-o", out, *(option.format(**models) for option in options))
    (said,) = ran.lines
    expected = line
    for name, path in models.items():
        expected = expected.replace(f"{{{name}}}", re.escape(str(path)))
    assert re.fullmatch(f"groundshift: {expected}", said)
    assert (ran.code, ran.out) == (code, "")
    assert not out.exists()


def test_too_few_dates_for_a_site_are_refused(groundshift, mines, tmp_path):
    ran = groundshift("mining", mines, "-o", tmp_path / "out", "--site-dates", "3")
    assert (ran.code, ran.lines) == (2, ["groundshift: --site-dates: expected at least 4, instead got '3'"])


@pytest.mark.parametrize("more", [("--dry-run",), ()])
@pytest.mark.parametrize("command", ["mining", "bowls", "survey"])
def test_without_a_short_pair_nothing_is_read(groundshift, mines, tmp_path, monkeypatch, command, more):
    monkeypatch.setattr(InterferogramStack, "read", lambda *_: pytest.fail("a pair is read"))
    both = ("--look-for", "both") if command == "survey" else ()
    ran = groundshift(command, mines, "-o", tmp_path / "out", *RULES[:2], *both, *RULES[4:], "--bowl-days", "6", *more)
    assert (ran.code, ran.lines) == (1, [f"groundshift: {mines}: no pair of up to 6 days; raise --bowl-days"])


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ((), 2, "no inputs given; name folders or files of interferograms"),
        (("{mines}",), 2, "no output given; name a folder with -o"),
        (("{out}/no", "-o", "{out}"), 1, "{out}/no: no such file or folder; check the spelling"),
        (("{mines}", "-o", "{mines}"), 1, "{mines}: holds the input; choose another output folder"),
        (
            ("{mines}", "-o", "{out}", "--look-for", "mines"),
            2,
            "--look-for: expected one of 'bodies', 'bowls' or 'both', instead got 'mines'",
        ),
    ],
)
@pytest.mark.parametrize("command", ["mining", "bowls"])
def test_wrong_usage_is_one_line(groundshift, mines, tmp_path, command, arguments, code, line):
    names = {"mines": mines, "out": tmp_path / "out"}
    ran = groundshift(command, *(argument.format(**names) for argument in arguments))
    assert (ran.code, ran.out, ran.lines) == (code, "", [f"groundshift: {line.format(**names)}"])


# Single interferograms


@pytest.fixture(scope="module")
def one_pair(mines, tmp_path_factory):
    """Folder of a single pair."""
    return copied(mines, tmp_path_factory.mktemp("one") / "scene", lambda pair: pair == "20150210_20150222")


def test_bowls_of_one_interferogram_are_told(groundshift, one_pair, tmp_path):
    out = tmp_path / "out"
    assert groundshift("bowls", one_pair, "-o", out, *RULES[:2], *RULES[4:], "--dry-run").code == 0
    assert not out.exists()
    ran = groundshift("bowls", one_pair, "-o", out, *RULES[:2], *RULES[4:])
    assert (ran.code, ran.out, ran.lines) == (0, "", [f"1 bowl: {out / 'bowls.csv'}"])
    assert sorted(os.listdir(out)) == ["bowls.csv", "log.jsonl", TRACK]
    ran = groundshift("bowls", one_pair, "-o", out, *RULES[:2], *RULES[4:], "--json")
    assert (ran.code, ran.err) == (0, "")
    facts = json.loads(ran.out)
    (bowl,) = facts["bowls"]
    assert facts["output"] == str(out)
    assert (bowl["track"], bowl["pair"]) == (TRACK, "20150210_20150222")
    assert (bowl["row"], bowl["column"]) == (pytest.approx(BOWL[0], abs=1), pytest.approx(BOWL[1], abs=1))
    assert bowl["displacement_mm"] == pytest.approx(-SLOW * PER_RADIAN_MM, rel=0.15)


def test_help_tells_what_there_is_to_set(groundshift):
    shown = groundshift("mining", "--help").out
    for option in ("--look-for", "--bowl-model", "--site-dates", "--foresight", "--site-days"):
        assert option in shown
    assert {"mining", "bowls", "train-mining"} <= set(re.findall(r"[a-z-]+", groundshift("--help").out))


def test_wrong_usage_loads_none_of_the_slow_libraries(tmp_path):
    slow = "{'scipy', 'numba', 'rasterio', 'zarr', 'matplotlib', 'bokeh', 'torch', 'onnxruntime', 'shapely'}"
    commands = [["mining", "nowhere", "-o", "out"], ["bowls", "--site-dates", "3"], ["mining", "--help"]]
    code = (
        f"import sys; from groundshift.cli import main; [main(c) for c in {commands}]; print({slow} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert list(tmp_path.iterdir()) == []
