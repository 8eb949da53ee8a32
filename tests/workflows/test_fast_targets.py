"""Targets too fast for phase: which they are, where amplitude images are matched, and what is told of them."""

import json
import shutil
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from affine import Affine
from shapely import Polygon, box
from tests.workflows.moving import make_target

from groundshift.geometry.radar import RadarGeometry
from groundshift.inventory import TargetSeries, read_inventory, read_runs, write_inventory
from groundshift.inventory.geopackage import read_series
from groundshift.io.amplitudes_plain import write_plain
from groundshift.io.rasters import write_geotiff
from groundshift.report import read_content
from groundshift.simulate.amplitude_passes import PALSAR_2, make_pass
from groundshift.types import MapGrid
from groundshift.workflows.config import DetectConfig, SurveyConfig
from groundshift.workflows.fast_targets import _places, follow_fast, too_fast
from groundshift.workflows.progress import Reporter
from groundshift.workflows.track import is_believed

METRES = 111_320.0


def _square(longitude, latitude, half=0.002):
    return box(longitude - half, latitude - half, longitude + half, latitude + half)


def _motion(target, why, track="T1"):
    return SimpleNamespace(record=SimpleNamespace(target=target, track=track, too_fast=why))


def test_one_track_that_says_so_is_enough():
    targets = [make_target(_square(98.0 + k, 31.0), name=name) for k, name in enumerate(["a", "b", "c"])]
    motions = {"a": [_motion("a", ""), _motion("a", "lost", "T2")], "b": [_motion("b", "")]}
    assert too_fast(targets, motions) == {"a": "T2: lost"}


def test_images_are_matched_on_ground_that_stands_still_too():
    (place,) = _places([make_target(_square(98.0, 31.0))], 1500.0)
    west, south, _, _ = place.area
    assert place.targets == ("wm2x1nf",)
    assert (31.0 - 0.002 - south) * METRES >= 1500
    assert (98.0 - 0.002 - west) * METRES * np.cos(np.radians(31.0)) >= 1499
    np.testing.assert_allclose(np.array(place.area) * 100, np.round(np.array(place.area) * 100), atol=1e-9)
    # A large body has as much ground around as it is wide.
    (place,) = _places([make_target(_square(98.0, 31.0, 0.05))], 1500.0)
    assert place.area[3] - 31.05 >= 0.0999


def test_an_outline_a_little_different_is_looked_at_in_the_same_place():
    places = [next(_places([make_target(_square(98.008, 31.008, half))], 1500.0)) for half in (0.002, 0.0021)]
    assert places[0].area == places[1].area


def test_boxes_that_overlap_become_one():
    targets = [
        make_target(_square(*where), name=name)
        for name, where in {"c": (98.0, 31.0), "a": (98.03, 31.0), "b": (98.06, 31.0), "d": (99.0, 31.0)}.items()
    ]
    places = {p.targets: p.area for p in _places(targets, 1500.0)}
    assert set(places) == {("a", "b", "c"), ("d",)}
    west, _, east, _ = places["a", "b", "c"]
    assert west < 98.0
    assert east > 98.06


def test_without_images_the_report_says_what_would_help(tmp_path):
    config = SurveyConfig(inputs=(tmp_path,), output=tmp_path)
    target = make_target(_square(98.0, 31.0))
    with Reporter(quiet=True) as reporter:
        (told,) = follow_fast([target], {target.id: "T1: phase holds nowhere"}, config, reporter, "survey")
        assert follow_fast([target], {}, config, reporter, "survey") == []
    assert told.startswith("Target wm2x1nf moves too fast for phase (T1: phase holds nowhere)")
    assert "--amplitudes" in told


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two images without anything to see, and an elevation model."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for k, day in enumerate((date(2018, 1, 10), date(2018, 9, 10))):
        geometry = make_pass(
            98.0, 31.0, 500.0, instrument=PALSAR_2, heading_deg=348.0, incidence_deg=36.0, shape=(64, 64)
        )
        assert isinstance(geometry, RadarGeometry)
        amplitude = rng.rayleigh(1.0, (64, 64)).astype(np.float32)
        write_plain(amplitude, folder / f"image{k}.tif", day, "PALSAR-2", geometry)
    grid = MapGrid((40, 40), Affine(1e-3, 0, 97.98, 0, -1e-3, 31.02), "EPSG:4326")
    write_geotiff(folder / "dem.tif", np.full((40, 40), 500, np.float32), grid)
    return folder


def test_a_place_that_cannot_be_followed_is_named_and_the_survey_goes_on(images, tmp_path):
    config = SurveyConfig(
        inputs=(tmp_path,), output=tmp_path, mask={"dem": images / "dem.tif"}, fast={"amplitudes": [images]}
    )
    away = make_target(Polygon(_square(99.0, 32.0)))
    with Reporter(quiet=True) as reporter:
        told = follow_fast([away], {away.id: "T1: lost"}, config, reporter, "survey")
    assert len(told) == 2
    assert told[1].startswith("wm2x1nf: not followed by amplitude images: ")
    assert "does not cover" in told[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--amplitudes: an elevation model puts them on the ground; give one with --dem"),
        (["--dem", "DEM", "--no-series"], "leave --no-series away"),
        (["--dem", "DEM", "--amplitude-days", "300"], "lower min_days"),
        (["--dem", "DEM", "--amplitude-days-of", "PALSAR"], "expected SENSOR=LEAST"),
        (["--dem", "DEM", "--amplitude-days-of", "ERS=10"], "no images of ERS; there are those of PALSAR-2"),
    ],
)
def test_what_images_want_is_said_before_anything_slow(groundshift, simulated, images, tmp_path, words, said):
    given = [str(images / "dem.tif") if word == "DEM" else word for word in words]
    ran = groundshift("survey", simulated, "-o", tmp_path / "out", "--amplitudes", images, *given)
    assert ran.code in (1, 2)
    assert len(ran.lines) == 1
    assert said in ran.err
    assert not (tmp_path / "out" / "stacks").exists()


def test_images_that_are_not_there_are_named(groundshift, simulated, tmp_path):
    ran = groundshift("survey", simulated, "-o", tmp_path / "out", "--amplitudes", tmp_path / "none")
    assert ran.code == 1
    assert "none: no such file or folder" in ran.err


def test_a_dry_run_tells_the_images(groundshift, simulated, images, tmp_path):
    words = ("--amplitudes", images, "--dem", images / "dem.tif", "--dry-run", "--json")
    told = json.loads(groundshift("survey", simulated, "-o", tmp_path / "out", *words).out)
    assert (told["amplitude_images"], told["amplitude_pairs"]) == ({"PALSAR-2": 2}, 1)


@pytest.mark.parametrize(
    ("score", "velocity", "significance", "believed"),
    [
        (0.55, -438.0, 15.0, True),
        (0.45, -438.0, 15.0, False),
        (0.55, -90.0, 15.0, False),
        (0.55, -438.0, 7.0, False),
        (0.8, -9.0, 5.0, True),
    ],
)
def test_what_moves_fast_and_surely_needs_less_of_a_network(score, velocity, significance, believed):
    network = SimpleNamespace(calibration=SimpleNamespace(least_score=0.75))
    (seen,) = make_target(_square(98.0, 31.0)).detections
    seen = replace(seen, detector="bodynet", score=score, velocity=velocity, significance=significance)
    assert is_believed([seen], DetectConfig(), network) is believed


def test_series_made_anew_leave_what_offsets_have_told(groundshift, surveyed, simulated, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(surveyed, out)
    inventory = out / "inventory.gpkg"
    first, *others = read_inventory(inventory)
    (template, *_) = make_target(first.geometry).detections
    offset = replace(template, detector="offsets", window="offsets", track="PALSAR-2", velocity=-900.0)
    days = np.array(["2018-01-01", "2019-01-01"], "datetime64[D]")
    told = TargetSeries(first.id, "PALSAR-2 los", days, np.array([0.0, -900.0]), np.array([5.0, 5.0]))
    joined = replace(first, detections=(*first.detections, offset), velocity_los_mm_yr=-900.0)
    write_inventory(inventory, [joined, *others], read_runs(inventory), [*read_series(inventory), told])
    before = {(s.target, s.track) for s in read_series(inventory)}
    assert groundshift("series", out, simulated, "-q").code == 0
    assert {(s.target, s.track) for s in read_series(inventory)} == before
    kept = {t.id: t for t in read_inventory(inventory)}[first.id]
    assert kept.velocity_los_mm_yr == -900.0
    assert "PALSAR-2 los" in {s.track for s in read_content(out / "report.h5", [kept]).series[first.id]}
    # A survey that goes on shows it as well, and an update finds the sums of its last survey, not of offsets.
    run = replace(read_runs(inventory)[-1], tracks=("PALSAR-2",), command="offsets")
    write_inventory(inventory, [kept, *others], [*read_runs(inventory), run], read_series(inventory))
    ran = groundshift("update", out, simulated)
    assert ran.code == 0
    assert "nothing new" in ran.out + ran.err
