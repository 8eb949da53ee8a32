"""The command `export`: every form from a finished survey, choices of targets, and one line for every error."""

import csv
import json
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import geopandas
import h5py
import numpy as np
import pystac
import pytest
from affine import Affine
from shapely import box
from shapely.geometry import shape

from groundshift.detect.detection import Detection
from groundshift.inventory import Run, Target, TargetSeries, read_inventory, write_inventory
from groundshift.io.patches import PatchSeries, patch_path, write_patch
from groundshift.types import MapGrid

DAYS = np.array(["2016-01-01", "2016-01-13"], "datetime64[D]")


def make(name, lon=102.0, track="T135", **given):
    place = box(lon, 30.8, lon + 0.01, 30.81)
    found = Detection(place, 0.8, "rules", track, "all", ("range",), -20.0, 2.0, 9.0, 0.6, 120)
    plain = Target(
        id=name, geometry=place, kind="landslide", score=0.8, detections=(found,), first_seen=date(2016, 1, 1),
        last_seen=date(2021, 6, 27), area_m2=1e6, velocity_los_mm_yr=-20.0, velocity_sigma_mm_yr=2.0,
        mean_coherence=0.6, n_pairs=120,
    )  # fmt: skip
    return replace(plain, **given)


def make_patch(target, track):
    grid = MapGrid((3, 4), Affine(40, 0, 210_000, 0, -40, 3_415_000), "EPSG:32648")
    flat, cube = np.ones((3, 4), np.float32), np.zeros((2, 3, 4), np.float32)
    return PatchSeries(
        target=target, track=track, grid=grid, wavelength=0.0555, look=None, dates=DAYS, displacement=cube,
        sigma=cube, velocity=flat, velocity_sigma=flat, temporal_coherence=flat, coherence=flat,
        stacked_velocity=flat, inside=flat > 0, height=flat, reference=np.array([[0, 0]]), pairs=(), left_out=(),
        facts={},
    )  # fmt: skip


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A survey of four targets; `slide` has series from two tracks, `bowl` from one. Not to be written to."""
    folder = tmp_path_factory.mktemp("finished") / "out"
    slide = make("slide", review="confirmed")
    both = replace(slide.detections[0], track="T26")
    targets = [
        replace(slide, detections=(*slide.detections, both)),
        make("bowl", 102.1, kind="subsidence", track="T26"),
        make("gone", 102.2, note="[not seen since 2021-06-27]"),
        make("dump", 102.3, review="rejected", note="x" * 300),
    ]
    run = Run(
        datetime(2024, 5, 6, tzinfo=UTC), "0.1.0", "survey", ("T135", "T26"), date(2015, 1, 1), date(2022, 2, 2), 9
    )
    moved = np.array([0.0, -3.0])
    kept = [("slide", "T135"), ("slide", "T26"), ("bowl", "T26")]
    series = [TargetSeries(name, track, DAYS, moved, moved + 1) for name, track in kept]
    write_inventory(folder / "inventory.gpkg", targets, [run], series)
    for name, track in kept:
        write_patch(patch_path(folder / "series", name, track), make_patch(name, track))
    return folder


@pytest.fixture
def out(finished, tmp_path):
    """A copy of it that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def only_line(ran, code, line):
    """Whether a command ended with `code` and said nothing but one line."""
    assert (ran.code, ran.out) == (code, "")
    assert ran.lines == [f"groundshift: {line}"]


# What comes out


@pytest.mark.parametrize("name", ["a.geojson", "a.shp", "A.GEOJSON"])
def test_targets_go_to_a_map(groundshift, out, tmp_path, name):
    ran = groundshift("export", out, "--to", tmp_path / "to" / name)
    assert ran.code == 0
    assert ran.lines[-1] == f"4 targets exported: {tmp_path / 'to' / name}"
    assert set(geopandas.read_file(tmp_path / "to" / name)["id"]) == {"slide", "bowl", "gone", "dump"}


def test_targets_go_to_google_earth(groundshift, out, tmp_path):
    assert groundshift("export", out, "--to", tmp_path / "a.kmz", "--quiet").err == ""
    assert b"bowl" in zipfile.ZipFile(tmp_path / "a.kmz").read("doc.kml")


def test_series_go_to_a_table(groundshift, out, tmp_path):
    ran = groundshift("export", out, "--to", tmp_path / "a.csv", "--track", "T26", "--json")
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert (told["form"], told["targets"], told["rows"], told["files"]) == ("csv", 2, 4, [str(tmp_path / "a.csv")])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(r["target"], r["track"]) for r in rows} == {("slide", "T26"), ("bowl", "T26")}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--review", "confirmed"], {"slide"}),
        (["--review", "unreviewed", "--review", "confirmed"], {"slide", "bowl", "gone"}),
        (["--kind", "subsidence"], {"bowl"}),
        (["--target", "gone", "--target", "dump"], {"gone", "dump"}),
        (["--track", "T26"], {"slide", "bowl"}),
        (["--current-only"], {"slide", "bowl", "dump"}),
        (["--all"], {"slide", "bowl", "gone", "dump"}),
        (["--current-only", "--review", "unreviewed", "--track", "T26"], {"bowl"}),
    ],
)
def test_options_choose_targets(groundshift, out, tmp_path, options, names):
    ran = groundshift("export", out, "--to", tmp_path / "a.geojson", *options, "--json")
    assert json.loads(ran.out)["targets"] == len(names)
    found = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert {f["id"] for f in found} == names


def test_a_choice_that_leaves_nothing_is_said_and_gives_an_empty_map(groundshift, out, tmp_path):
    ran = groundshift("export", out, "--to", tmp_path / "a.geojson", "--kind", "uplift")
    assert ran.code == 0
    assert ran.lines[0] == f"warning: none of 4 targets in {out / 'inventory.gpkg'} is selected"
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []


def test_texts_that_a_shapefile_cuts_are_said(groundshift, out, tmp_path):
    ran = groundshift("export", out, "--to", tmp_path / "a.shp")
    assert ran.lines[0] == "warning: a Shapefile holds 254 bytes of text; longer ones were cut: dump"
    ran = groundshift("export", out, "--to", tmp_path / "a.shp", "--json")
    assert json.loads(ran.out)["cut"] == ["dump"]


def test_the_series_of_a_target_goes_to_mintpy(groundshift, out, tmp_path):
    ran = groundshift("export", out, "--to", tmp_path / "m" / "timeseries.h5", "--target", "bowl", "--json")
    told = json.loads(ran.out)
    names = ["timeseries.h5", "velocity.h5", "geometryGeo.h5"]
    assert (told["target"], told["track"], told["dates"]) == ("bowl", "T26", 2)
    assert told["files"] == [str(tmp_path / "m" / name) for name in names]
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == sorted(names)
    ran = groundshift("export", out, "--to", tmp_path / "n" / "timeseries.h5", "--target", "slide", "--track", "T26")
    assert ran.code == 0
    with h5py.File(tmp_path / "n" / "timeseries.h5") as file:
        assert file.attrs["PROJECT_NAME"] == "T26"


def test_a_survey_becomes_a_stac_item_with_its_maps(groundshift, surveyed, tmp_path):
    ran = groundshift("export", surveyed, "--to", tmp_path / "item.json", "--json")
    assert ran.code == 0, ran.err
    item = pystac.Item.from_file(tmp_path / "item.json")
    track = next((surveyed / "stacks").iterdir()).name
    assert {"inventory", "report", "targets", "density", "provenance", "settings"} < set(item.assets)
    assert item.assets[f"{track}-velocity"].extra_fields["unit"] == "mm/yr"
    assert item.assets[f"{track}-valid"].roles == ["data-mask"]
    for asset in item.assets.values():
        assert (tmp_path / asset.href).exists()
    area = shape(item.geometry)
    assert all(area.contains(t.geometry.centroid) for t in read_inventory(surveyed / "inventory.gpkg"))
    assert set(json.loads(ran.out)["assets"]) == set(item.assets)
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    item.validate()


def test_a_survey_whose_sums_are_gone_lies_where_its_targets_do(groundshift, out, tmp_path):
    assert groundshift("export", out, "--to", tmp_path / "item.json").code == 0
    item = pystac.Item.from_file(tmp_path / "item.json")
    assert item.bbox == pytest.approx([102.0, 30.8, 102.31, 30.81])
    assert item.properties["start_datetime"] == "2015-01-01T00:00:00Z"
    assert item.properties["groundshift:tracks"] == ["T135", "T26"]


def test_exporting_leaves_the_survey_as_it_is(groundshift, out, tmp_path):
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for name in ("a.geojson", "a.csv", "a.json"):
        assert groundshift("export", out, "--to", tmp_path / name).code == 0
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


# What can go wrong


def test_a_folder_without_an_inventory_is_one_line(groundshift, tmp_path):
    line = f"{tmp_path / 'inventory.gpkg'}: no such file; check the spelling or run the survey first"
    only_line(groundshift("export", tmp_path, "--to", tmp_path / "a.geojson"), 1, line)
    assert list(tmp_path.iterdir()) == []


KNOWN = "a file that ends in .csv, .geojson, .h5, .json, .kmz or .shp, or postgresql://..."


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--to", "a.gml"], f"--to: expected {KNOWN}, instead got 'a.gml'"),
        (["--to", "folder"], f"--to: expected {KNOWN}, instead got 'folder'"),
        (["--to", "mysql://me:hushed@h/d"], f"--to: expected {KNOWN}, instead got mysql://..."),
        (
            ["--to", "postgresql://me:hus@hed@h/d"],
            "--to: expected postgresql://USER@HOST:PORT/DATABASE?schema=NAME with @ : / ? # in a user or password "
            "written as %40 %3A %2F %3F %23",
        ),
        (["--to", "s.h5"], "--to: expected the name timeseries.h5, which MintPy looks for, instead got 's.h5'"),
        (["--to", "timeseries.h5"], "--target: expected one target for MintPy, instead got 0; name one"),
        (
            ["--to", "a.json", "--kind", "uplift"],
            "--to: a STAC item tells the whole survey; leave out the options that select targets",
        ),
        (
            ["--to", "timeseries.h5", "--target", "slide"],
            "--track: target slide has series from T135, T26; name one",
        ),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(groundshift, out, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    only_line(groundshift("export", out, *arguments), 2, line)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--to", "a.kmz", "--target", "slid"], "{out}/inventory.gpkg: no target 'slid'; did you mean slide"),
        (["--to", "a.kmz", "--track", "T9"], "{out}/inventory.gpkg: no track 'T9'; see the table of the report"),
        (
            ["--to", "a.csv", "--target", "dump"],
            "{out}/inventory.gpkg: no series of the targets selected; the report tells why each has none",
        ),
        (
            ["--to", "timeseries.h5", "--target", "dump"],
            "{out}/series: no series of target dump; the report tells why",
        ),
    ],
)
def test_what_is_not_there_is_one_line(groundshift, out, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    only_line(groundshift("export", out, *arguments, "--quiet"), 1, line.format(out=out))
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_damaged_series_is_one_line(groundshift, out, tmp_path):
    path = patch_path(out / "series", "bowl", "T26")
    path.write_bytes(path.read_bytes()[:999])
    line = f"{path}: damaged, or no series of a target; run the survey again"
    only_line(groundshift("export", out, "--to", tmp_path / "timeseries.h5", "--target", "bowl"), 1, line)


def test_the_series_of_another_target_is_told(groundshift, out, tmp_path):
    path = patch_path(out / "series", "bowl", "T26")
    write_patch(path, make_patch("slide", "T26"))
    line = f"{path}: is of target slide and track T26, not of bowl and T26; run the survey again"
    only_line(groundshift("export", out, "--to", tmp_path / "timeseries.h5", "--target", "bowl"), 1, line)


def test_a_database_that_is_not_there_is_one_line_without_the_password(groundshift, out):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    ran = groundshift("export", out, "--to", "postgresql://ann:hushed@127.0.0.1:1/gis")
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.lines) == 1
    assert ran.lines[0].startswith("groundshift: database gis on 127.0.0.1:1: no connection (connection failed: ")
    assert "hushed" not in ran.err
