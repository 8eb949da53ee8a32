"""Sites as detections: their place, velocity and terrain, and the file that keeps them."""

import json
import math
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from pyproj import Transformer
from shapely import Point, Polygon

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.detect import Detection
from groundshift.detect.bowls import Bowl
from groundshift.detect.sites import Sighting, Site
from groundshift.errors import DamagedFileError
from groundshift.geometry import SlopeAspect
from groundshift.gradients.stack import node_offset
from groundshift.types import Pair, RadarGrid, Window
from groundshift.workflows.config import DetectConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.scanning import Scan
from groundshift.workflows.sites import keep_sites, recall_sites, site_detections, velocity_of_site
from groundshift.workflows.track import Ground, is_believed

PER_RADIAN = 1000 * SENTINEL1_WAVELENGTH / (4 * np.pi)
QUIET = Reporter(quiet=True)
PLACE = Window(20, 30, 6, 8)
NO_GROUND = Ground(None, None, None, {})


def site_of(peaks, days=12, window=PLACE, mask=None):
    """A site of as many sightings as peaks, each `days` long."""
    mask = np.ones(window[2:], bool) if mask is None else mask
    start = date(2020, 1, 1)
    lengths = np.broadcast_to(days, len(peaks))
    pairs = [Pair(start + timedelta(30 * k), start + timedelta(30 * k + int(n))) for k, n in enumerate(lengths)]
    return Site(
        window, mask, tuple(Sighting(p, Bowl(window, mask, 0.9, b)) for p, b in zip(pairs, peaks, strict=True)), 0.75
    )


def scan_of(*sites, grid, coherence=0.6):
    return Scan("fringes", "", grid, sites, (), np.full(grid.shape, coherence, np.float32), ())


def sums_of(grid, smoothing=4):
    """As much of sums as sites want."""
    plan = SimpleNamespace(track="T1", grid=grid, wavelength=SENTINEL1_WAVELENGTH, smoothing=smoothing)
    return SimpleNamespace(plan=plan)


# Velocity


@pytest.mark.parametrize("speed", [-400.0, 250.0])
def test_velocity_is_that_of_the_peak_towards_the_satellite(speed):
    """Ground that moves `speed` mm/yr towards the satellite, seen over times of several lengths."""
    days = np.array([12, 24, 12, 18, 6])
    peaks = -speed / PER_RADIAN * days / 365.25
    assert velocity_of_site(site_of(peaks, days), SENTINEL1_WAVELENGTH) == (
        pytest.approx(speed),
        pytest.approx(0, abs=1e-9),
    )


def test_one_sighting_that_is_wrong_by_whole_cycles_changes_little():
    peaks = np.array([5.0, 5.1, 4.9, 5.0 + 4 * np.pi, 5.0])
    found, sigma = velocity_of_site(site_of(peaks), SENTINEL1_WAVELENGTH)
    assert found == pytest.approx(-5.0 * PER_RADIAN * 365.25 / 12)
    assert sigma < abs(found) / 10


def test_the_error_is_that_of_a_median():
    rng = np.random.default_rng(0)
    told = np.array([velocity_of_site(site_of(rng.normal(6, 0.5, 25)), SENTINEL1_WAVELENGTH) for _ in range(600)])
    assert np.median(told[:, 1]) == pytest.approx(told[:, 0].std(), rel=0.1)


def test_of_a_single_sighting_the_error_is_not_known():
    found, sigma = velocity_of_site(site_of([5.0]), SENTINEL1_WAVELENGTH)
    assert found < 0
    assert math.isnan(sigma)


# Place


def test_a_site_lies_where_its_pixels_lie(map_grid):
    grid = map_grid((96, 96), 20.0)
    mask = np.ones((6, 8), bool)
    mask[0, :4] = False
    site = site_of([5.0, 5.2, 4.9], mask=mask)
    scan = scan_of(site, grid=grid)
    scan.coherence[20, 30:34] = 0.1
    (found,) = site_detections(scan, sums_of(map_grid((48, 48))), NO_GROUND, QUIET)
    # The corners of the pixels, and one is cut off.
    y, x = np.array([19.5, 19.5, 20.5, 20.5, 25.5, 25.5]), np.array([33.5, 37.5, 29.5, 33.5, 29.5, 37.5])
    lon, lat = grid.lonlat(y, x)
    back = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    metres = Polygon(zip(*back.transform(*np.array(found.polygon.exterior.coords).T), strict=True))
    assert metres.area == pytest.approx(44 * 400, rel=0.02)
    for point in zip(lon, lat, strict=True):
        assert Point(back.transform(*point)).distance(metres) < 10.0
    assert not metres.contains(Point(back.transform(*(v[0] for v in grid.lonlat(np.array([20.0]), np.array([31.0]))))))
    assert (found.score, found.detector, found.track, found.window) == (0.75, "fringes", "T1", "single-pairs")
    assert (found.directions, found.n_pairs, found.slope, found.aspect) == (("phase",), 3, None, None)
    assert found.velocity == pytest.approx(-5.0 * PER_RADIAN * 365.25 / 12)
    assert found.significance == pytest.approx(-found.velocity / found.velocity_sigma)
    assert found.mean_coherence == pytest.approx(0.6)


def test_a_site_that_cannot_be_placed_is_named_and_the_others_stay(map_grid, tmp_path):
    lon, lat = np.meshgrid(102 + np.arange(96) * 2e-4, 30 - np.arange(96) * 2e-4)
    lon[15:30], lat[15:30] = np.nan, np.nan
    scan = scan_of(
        site_of([5.0, 5.1]),
        site_of([4.0, 4.1], window=Window(60, 30, 6, 8)),
        grid=RadarGrid((96, 96), (20, 20), lon, lat),
    )
    with Reporter(quiet=True, log=tmp_path / "log.jsonl") as reporter:
        (found,) = site_detections(scan, sums_of(map_grid((48, 48))), NO_GROUND, reporter)
    assert found.polygon.centroid.y == pytest.approx(30 - 62.5 * 2e-4, abs=1e-5)
    (line,) = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert line["event"] == "warning"
    assert line["text"].startswith("T1: a site left out: ")


@pytest.mark.parametrize("smoothing", [1, 4, 5])
def test_slope_and_aspect_are_those_of_the_ground_under_the_site(map_grid, smoothing):
    """Scanned pixels of 20 m over nodes of 40 m; the slope grows by a degree every 100 m eastwards, 80 m southwards."""
    fine, coarse = map_grid((96, 96), 20.0), map_grid((48, 48))
    nodes = coarse.shifted(node_offset(smoothing), node_offset(smoothing))
    east = 40 * (np.arange(48) + 0.5) + nodes.transform.c - fine.transform.c
    south = 40 * (np.arange(48) + 0.5) - nodes.transform.f + fine.transform.f
    slope = np.asarray(east / 100 + south[:, np.newaxis] / 80, np.float32)
    ground = Ground(slope, SlopeAspect(slope, np.full_like(slope, 120.0)), None, {})
    inner, corner = site_of([5.0, 5.1], window=Window(40, 20, 6, 8)), site_of([5.0, 5.1], window=Window(90, 88, 6, 8))
    one, other = site_detections(scan_of(inner, corner, grid=fine), sums_of(coarse, smoothing), ground, QUIET)
    assert one.slope == pytest.approx(20 * 24 / 100 + 20 * 43 / 80, abs=1e-3)
    # At the edge there may be no node as far out: the last one is half a node away at most.
    assert other.slope == pytest.approx(20 * 92 / 100 + 20 * 93 / 80, abs=20 / 100 + 20 / 80 + 1e-3)
    assert (one.aspect, other.aspect) == (pytest.approx(120), pytest.approx(120))
    level = Ground(slope, SlopeAspect(0 * slope, np.full_like(slope, np.nan)), None, {})
    unknown = Ground(slope, SlopeAspect(np.full_like(slope, np.nan), np.full_like(slope, np.nan)), None, {})
    for terrain, expected in ((level, (0.0, None)), (unknown, (None, None))):
        (found,) = site_detections(scan_of(inner, grid=fine), sums_of(coarse, smoothing), terrain, QUIET)
        assert (found.slope, found.aspect) == expected


# What is kept


def made(**given):
    known = {
        "polygon": Polygon([(102, 30), (102.01, 30), (102.01, 30.01), (102, 30)]), "score": 0.8, "detector": "bowlnet",
        "track": "T1", "window": "single-pairs", "directions": ("phase",), "velocity": -410.25, "velocity_sigma": 12.5,
        "significance": 32.8, "mean_coherence": 0.5, "n_pairs": 17, "slope": None, "aspect": None,
    }  # fmt: skip
    return Detection(**{**known, **given})


def test_what_is_kept_comes_back(tmp_path):
    path = tmp_path / "bowls" / "sites.json"
    assert recall_sites(path) == []
    for detections in (
        [made(), made(slope=3.5, aspect=120.0, velocity_sigma=0.0, significance=math.inf)],
        [],
    ):
        keep_sites(path, detections)
        assert recall_sites(path) == detections
    keep_sites(path, [made(velocity_sigma=math.nan)])
    (back,) = recall_sites(path)
    assert math.isnan(back.velocity_sigma)
    assert replace(back, velocity_sigma=12.5) == made()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[{",
        "{}",
        "[1]",
        '[{"polygon": "POLYGON ((0 0"}]',
        '[{"polygon": "POINT (0 0)", "directions": []}]',
        '{"a": 1}',
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path, text):
    path = tmp_path / "sites.json"
    path.write_text(text)
    if text == "{}":
        assert recall_sites(path) == []
        return
    with pytest.raises(DamagedFileError) as caught:
        recall_sites(path)
    assert str(caught.value) == f"{path}: not the sites of a track; delete it and run again with its pairs"


def test_a_confirmed_site_is_a_target_however_sure_the_network_for_bodies_must_be():
    network = SimpleNamespace(calibration=SimpleNamespace(least_score=0.5))
    faint = made(score=0.1)
    body = replace(faint, window="all")
    assert is_believed([faint], DetectConfig(), network)
    assert is_believed([body, faint], DetectConfig(least_score=0.9), network)
    assert not is_believed([body], DetectConfig(), network)
    assert is_believed([body], DetectConfig(detector="rules"))
