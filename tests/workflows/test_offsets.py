"""Offset tracking from files to an inventory, on simulated images of two satellites with known motion."""

import csv
import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
import rasterio
import xarray
import yaml
from affine import Affine
from shapely import Point
from tests.workflows.moving import make_target

from groundshift.cli import main
from groundshift.geometry.orbits import earth_fixed
from groundshift.geometry.radar import seen_from
from groundshift.inventory import Run, read_inventory, read_runs, write_inventory
from groundshift.inventory.geopackage import read_series
from groundshift.io.amplitudes_plain import write_plain
from groundshift.io.rasters import write_geotiff
from groundshift.simulate.amplitude import coherence_in_time, draw_speckle, simulate_amplitude
from groundshift.simulate.amplitude_ground import SimulatedGround, draw_reflectivity
from groundshift.simulate.amplitude_passes import PALSAR, PALSAR_2, local_axes, make_pass
from groundshift.types import MapGrid
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.fast_targets import follow_fast
from groundshift.workflows.progress import Reporter

LON, LAT, HEIGHT = 98.7, 31.08, 3000.0
STEP = 1 / 3600 / 2
NODES = 101
FACETS = (10, 12)
DATES = {
    "PALSAR": [date(2009, 1, 1), date(2010, 1, 1), date(2011, 1, 1)],
    "PALSAR-2": [date(2015, 1, 1), date(2015, 7, 1), date(2016, 1, 1), date(2016, 7, 1)],
}
EAST_M_YR = 2.0
RADIUS_M = 260.0
SETTINGS = ["--windows", "64", "--search", "16", "--min-days", "100", "--bridges", "2", "--days-of", "PALSAR=300"]


def _ground(rng):
    """Hills of a hundred metres, 1.5 km wide."""
    half = (NODES - 1) / 2
    corner = Affine(STEP, 0, LON - (half + 0.5) * STEP, 0, -STEP, LAT + (half + 0.5) * STEP)
    grid = MapGrid((NODES, NODES), corner, "EPSG:4326")
    y, x = np.indices(grid.shape) - half
    heights = HEIGHT + 60 * np.sin(x / 18) * np.cos(y / 23) - 0.8 * x
    strength = draw_reflectivity((4 * (NODES - 1),) * 2, grid.spacing[0] / 4, rng, spread_db=4.0)
    return SimulatedGround(grid, heights, strength), np.hypot(y * grid.spacing[0], x * grid.spacing[1]) < RADIUS_M


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images of both satellites, an elevation model, and what is true in the reference."""
    folder = tmp_path_factory.mktemp("fast")
    ground, body = _ground(np.random.default_rng(5))
    write_geotiff(folder / "dem.tif", ground.heights.astype(np.float32), ground.grid)
    for number, (name, instrument, incidence, shape) in enumerate(
        [("PALSAR", PALSAR, 38.2, (420, 220)), ("PALSAR-2", PALSAR_2, 35.0, (620, 620))]
    ):
        days = DATES[name]
        speckles = draw_speckle(coherence_in_time(days), 10 + number, FACETS)
        for k, (day, speckle) in enumerate(zip(days, speckles, strict=True)):
            geometry = make_pass(
                LON, LAT, HEIGHT, instrument=instrument, heading_deg=348.0, incidence_deg=incidence, shape=shape,
                baseline_m=200.0 * k,
            )  # fmt: skip
            moved = EAST_M_YR * (day - DATES["PALSAR"][0]).days / 365.25
            image = simulate_amplitude(
                ground, geometry, body[..., np.newaxis] * np.array([moved, 0.0, 0.0]), speckle=speckle, noise_seed=k
            )
            (folder / "images").mkdir(exist_ok=True)
            write_plain(image, folder / "images" / f"{name}_{day:%Y%m%d}.tif", day, name, geometry)
            if day == date(2015, 7, 1):
                reference = geometry
    to_satellite, ahead = seen_from(reference, earth_fixed(LON, LAT, HEIGHT))
    east = EAST_M_YR * local_axes(np.array(LON), np.array(LAT))[0]
    return folder, float(to_satellite @ east), -float(ahead @ east)


def _words(folder, out):
    """The command."""
    words = ["offsets", folder / "images", "-o", out, "--dem", folder / "dem.tif", "--reference", "2015-07-01"]
    return [str(w) for w in [*words, *SETTINGS]]


@pytest.fixture(scope="module")
def done(made, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("out") / "run"
    assert main([*_words(made[0], out), "-q"]) == 0
    return out


@pytest.mark.slow
def test_motion_across_satellites_comes_back(made, done):
    _, los, azimuth = made
    with xarray.open_dataset(done / "offsets.nc", engine="h5netcdf") as source:
        series = source.load()
    metres = 111_195.0
    off = np.hypot((series.latitude - LAT) * metres, (series.longitude - LON) * metres * np.cos(np.radians(LAT))).values
    middle, far = off < 120, (off > 450) & np.isfinite(series.los_rate.values)
    assert abs(np.nanmedian(series.los_rate.values[middle]) - los) < 0.05 * abs(los)
    # Small windows on detected images: a quarter of a row of 2.1 m over all years.
    years = (DATES["PALSAR-2"][-1] - DATES["PALSAR"][0]).days / 365.25
    assert abs(np.nanmedian(series.azimuth_displacement.values[-1][middle]) - azimuth * years) < 0.53
    assert abs(np.median(series.los_rate.values[far])) < 0.03
    assert len(series.date) == 7


@pytest.mark.slow
def test_the_body_is_the_only_target_and_has_both_series(made, done):
    _, los, _ = made
    (target,) = read_inventory(done / "inventory.gpkg")
    assert target.geometry.contains(target.geometry.centroid.__class__(LON, LAT))
    assert target.velocity_los_mm_yr < 0.7 * 1000 * los < 0
    assert target.behaviour == "steady"
    series = {one.track: one for one in read_series(done / "inventory.gpkg")}
    assert set(series) == {"PALSAR+PALSAR-2 los", "PALSAR+PALSAR-2 azimuth"}
    years = (DATES["PALSAR-2"][-1] - DATES["PALSAR"][0]).days / 365.25
    moved = series["PALSAR+PALSAR-2 los"].displacement_mm[-1]
    assert abs(moved / (1000 * los * years) - 1) < 0.1
    assert "Offset tracking" in (done / "offsets.html").read_text()
    with rasterio.open(done / "los_rate.tif") as source:
        assert source.crs.to_epsg() == 4326
    with (done / "images.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [r["sensor"] for r in rows] == ["PALSAR"] * 3 + ["PALSAR-2"] * 4
    after = [float(r["range_after_px"]) for r in rows if r["range_after_px"]]
    assert max(after) < 0.6
    told = (done / "backscatter.csv").read_text().splitlines()
    assert told[0] == "target,date,sensor,db"
    assert len(told) == 8


@pytest.mark.slow
def test_a_second_run_makes_nothing_again_and_names_the_target_alike(made, done):
    before = {p.name: p.stat().st_mtime_ns for part in ("ortho", "pairs") for p in (done / part).iterdir()}
    names = [t.id for t in read_inventory(done / "inventory.gpkg")]
    assert main([*_words(made[0], done), "-q"]) == 0
    after = {p.name: p.stat().st_mtime_ns for part in ("ortho", "pairs") for p in (done / part).iterdir()}
    assert before == after
    assert [t.id for t in read_inventory(done / "inventory.gpkg")] == names
    assert len(read_runs(done / "inventory.gpkg")) == 2


@pytest.mark.slow
def test_a_target_too_fast_for_phase_is_followed_and_joins_the_inventory_of_the_survey(made, tmp_path):
    folder, los, _ = made
    seen = make_target(Point(LON, LAT).buffer(0.001))
    slow = make_target(Point(LON + 1, LAT).buffer(0.001), name="elsewhr")
    run = Run(datetime.now(UTC), "0", "survey", ("T1",), date(2015, 1, 1), date(2016, 7, 1), 10)
    write_inventory(tmp_path / "inventory.gpkg", [seen, slow], [run])
    config = SurveyConfig(
        inputs=(folder,), output=tmp_path, mask={"dem": folder / "dem.tif"},
        fast={"amplitudes": [folder / "images"], "amplitude_days": 100, "amplitude_days_of": ["PALSAR=300"]},
    )  # fmt: skip
    with Reporter(quiet=True) as reporter:
        told = follow_fast([seen, slow], {seen.id: "T1: lost"}, config, reporter, "survey")
    assert told[1] == (
        f"{seen.id}: followed by 7 amplitude images, which show 1 moving place: fast/{seen.id}/offsets.html"
    )
    kept = {t.id: t for t in read_inventory(tmp_path / "inventory.gpkg")}
    assert set(kept) == {seen.id, slow.id}
    assert kept[slow.id].detections == slow.detections
    assert kept[seen.id].tracks == ("PALSAR+PALSAR-2", "T1")
    assert kept[seen.id].velocity_los_mm_yr < 0.7 * 1000 * los < 0
    assert {s.target for s in read_series(tmp_path / "inventory.gpkg")} == {seen.id}
    assert not (tmp_path / "fast" / seen.id / "inventory.gpkg").exists()


@pytest.mark.slow
def test_hazard_is_told_of_what_offsets_leave(done, capsys):
    assert main(["hazard", str(done), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["track"] for one in told["series"]} == {"PALSAR+PALSAR-2 los", "PALSAR+PALSAR-2 azimuth"}
    assert all(one["failure"]["earliest"] is None for one in told["series"])
    assert told["alerts"] == []
    page = (done / "hazard" / "hazard.html").read_text()
    assert "No failure window" in page
    assert json.loads((done / "hazard" / "hazard.json").read_text())["series"] == told["series"]


def test_a_dry_run_says_what_would_be_done(made, tmp_path, capsys):
    folder = made[0]
    words = ["offsets", folder / "images", "-o", tmp_path / "out", "--dem", folder / "dem.tif", *SETTINGS, "--dry-run"]
    assert main([str(w) for w in [*words, "--json"]]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == {"PALSAR": 3, "PALSAR-2": 4}
    assert told["bridges"] == 4
    assert told["reference"] == "PALSAR-2=2016-01-01"
    assert not (tmp_path / "out").exists()


def test_info_tells_amplitude_images(made, capsys):
    assert main(["info", str(made[0] / "images"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["amplitude_images"], told["sensors"]) == (7, {"PALSAR": 3, "PALSAR-2": 4})
    assert told["images"][0].startswith("2009-01-01 PALSAR: 420 x 220 pixels, slant range ")


def _copied(folder, tmp_path, pattern):
    """Copy some of the images; return where they are."""
    images = tmp_path / "images"
    images.mkdir()
    for path in (folder / "images").glob(pattern):
        (images / path.name).write_bytes(path.read_bytes())
    return images


def _laid(images, folder, out):
    """Run on images of one satellite; return the dates that were laid over, and what is told of those left out."""
    words = ["offsets", images, "-o", out, "--dem", folder / "dem.tif", *SETTINGS[:-2], "-q"]
    assert main([str(w) for w in [*words, "--reference", "2015-07-01"]]) == 0
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    with (out / "images.csv").open() as table:
        dates = [row["date"] for row in csv.DictReader(table)]
    return dates, [e["text"] for e in log if "left out" in e.get("text", "")]


def test_names_of_sensors_lead_nowhere(made, tmp_path):
    folder, images = made[0], _copied(made[0], tmp_path, "PALSAR-2_201[56]0101*")
    for path in images.glob("*.yaml"):
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "sensor": "../../<b>radar"}))
    words = ["offsets", images, "-o", tmp_path / "out", "--dem", folder / "dem.tif", "--windows", "32", "-q"]
    assert main([str(w) for w in words]) == 0
    names = sorted(path.name for path in (tmp_path / "out" / "ortho").glob("*.tif"))
    assert names == ["-b-radar_20150101.tif", "-b-radar_20160101.tif"]
    assert "<b>radar" not in (tmp_path / "out" / "offsets.html").read_text()


def _fails(words, capsys):
    assert main([str(w) for w in words]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    return [line for line in lines if line.startswith("groundshift: ")][-1]


def test_a_network_without_bridge_stops_before_anything_is_written(made, tmp_path, capsys):
    folder, out = made[0], tmp_path / "out"
    words = ["offsets", folder / "images", "-o", out, "--dem", folder / "dem.tif", "--days-of", "PALSAR=500"]
    line = _fails([*words, "--bridges", "1"], capsys)
    assert "lower min_days" in line
    assert not (out / "ortho").exists()


def test_an_elevation_model_that_does_not_cover_is_named(made, tmp_path, capsys):
    folder = made[0]
    elsewhere = MapGrid((50, 50), Affine(1e-3, 0, 10.0, 0, -1e-3, 45.0), "EPSG:4326")
    write_geotiff(tmp_path / "alps.tif", np.full((50, 50), 500, np.float32), elsewhere)
    out = tmp_path / "out"
    line = _fails(["offsets", folder / "images", "-o", out, "--dem", tmp_path / "alps.tif", *SETTINGS, "-q"], capsys)
    assert "DEM" in line or "elevation" in line
    assert not (out / "inventory.gpkg").exists()


def test_an_image_of_the_opposite_look_is_left_out_and_named(made, tmp_path, capsys):
    folder, images = made[0], _copied(made[0], tmp_path, "PALSAR-2_*")
    odd = images / "PALSAR-2_20160101.yaml"
    facts = yaml.safe_load(odd.read_text())
    odd.write_text(yaml.safe_dump({**facts, "look": "left"}))
    dates, told = _laid(images, folder, tmp_path / "out")
    assert dates == ["2015-01-01", "2015-07-01", "2016-07-01"]
    assert any("20160101" in line for line in told)


def test_an_orbit_too_short_and_an_image_of_another_place_are_left_out_and_named(made, tmp_path):
    folder, images = made[0], _copied(made[0], tmp_path, "PALSAR-2_*")
    short = images / "PALSAR-2_20150101.yaml"
    facts = yaml.safe_load(short.read_text())
    middle = facts["first_line_time"] + 300 * facts["line_interval"]
    nodes = [{**node, "time": middle + 1e-3 * (node["time"] - middle)} for node in facts["orbit"]]
    short.write_text(yaml.safe_dump({**facts, "orbit": nodes}))
    away = make_pass(LON + 2, LAT, HEIGHT, instrument=PALSAR_2, heading_deg=348.0, incidence_deg=35.0, shape=(620, 620))
    noise = np.random.default_rng(0).rayleigh(1.0, (620, 620)).astype(np.float32)
    write_plain(noise, images / "PALSAR-2_20160101.tif", date(2016, 1, 1), "PALSAR-2", away)
    dates, told = _laid(images, folder, tmp_path / "out")
    assert dates == ["2015-07-01", "2016-07-01"]
    assert any("20150101" in line and "orbit" in line for line in told)
    assert any("20160101" in line for line in told)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--reference", "2001-01-01"], "no image of 2001-01-01"),
        (["--reference", "soon"], "expected a date"),
        (["--days-of", "ERS=300"], "no images of ERS"),
        (["--days-of", "PALSAR"], "expected SENSOR=LEAST"),
        (["--area", "10", "45", "10.1", "45.1"], "does not cover --area"),
    ],
)
def test_settings_that_cannot_be_are_one_line(made, tmp_path, capsys, words, said):
    folder = made[0]
    given = ["offsets", folder / "images", "-o", tmp_path / "out", "--dem", folder / "dem.tif", *words, "-q"]
    assert main([str(w) for w in given]) != 0
    assert said in capsys.readouterr().err


def test_targets_of_a_survey_stay_where_offsets_add_theirs(made, done, tmp_path):
    targets = read_inventory(done / "inventory.gpkg")
    path = tmp_path / "inventory.gpkg"
    write_inventory(path, targets, read_runs(done / "inventory.gpkg"), read_series(done / "inventory.gpkg"))
    assert [t.id for t in read_inventory(path)] == [t.id for t in targets]
