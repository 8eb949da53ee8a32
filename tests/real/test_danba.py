"""The main real scene: a survey of Danba finds the one landslide that is known there, and runs as a user runs it."""

import json

import numpy as np
import pytest
import rasterio
from shapely import Point

from groundshift.detect.models import DEFAULT_MODEL, list_models
from groundshift.inventory import read_inventory

pytestmark = pytest.mark.real

KNOWN = Point(101.9398, 30.8399)


@pytest.fixture(scope="module", params=["rules", "network"])
def detector(request):
    if request.param == "network" and DEFAULT_MODEL not in list_models():
        pytest.skip("no weights are shipped")
    return request.param


@pytest.fixture(scope="module")
def danba(real_data, tmp_path_factory, detector):
    """A finished survey of Danba."""
    from groundshift.cli import main

    out = tmp_path_factory.mktemp("danba") / "out"
    assert (
        main(["survey", str(real_data / "danba"), "-o", str(out), "--quiet", "--no-series", "--detector", detector])
        == 0
    )
    return out


def test_the_known_landslide_is_found_once_with_at_most_two_other_targets(danba):
    targets = read_inventory(danba / "inventory.gpkg")
    hits = [t for t in targets if t.geometry.intersects(KNOWN)]
    assert len(hits) == 1
    assert hits[0].kind == "landslide"
    # The slope faces east and the satellite looks from there: the ground moves away from it.
    assert hits[0].velocity_los_mm_yr < -30
    assert 0.1e6 < hits[0].area_m2 < 1.0e6
    assert len(targets) <= 3


def test_the_velocity_map_has_its_deepest_point_on_the_landslide(danba):
    track = next((danba / "stacks").iterdir())
    with rasterio.open(track / "velocity.tif") as source, rasterio.open(track / "valid.tif") as mask:
        values = np.where(mask.read(1) == 1, source.read(1), np.nan)
        column, row = ~source.transform @ (KNOWN.x, KNOWN.y)
        lowest = np.unravel_index(np.nanargmin(values), values.shape)
        metres = 111_195 * abs(source.transform.e)
    assert np.hypot(lowest[0] - row, lowest[1] - column) * metres < 500


def test_a_second_run_reuses_the_sums_and_keeps_the_target(groundshift, danba, real_data, detector):
    before = {t.id for t in read_inventory(danba / "inventory.gpkg")}
    ran = groundshift("survey", real_data / "danba", "-o", danba, "--no-series", "--detector", detector)
    assert ran.code == 0
    assert "sums of 84 pairs are there already" in ran.err
    assert {t.id for t in read_inventory(danba / "inventory.gpkg")} == before


@pytest.mark.parametrize("megabytes", [2, 60])
def test_the_memory_allowed_does_not_change_what_is_found(groundshift, danba, real_data, tmp_path, megabytes, detector):
    facts = json.loads(
        groundshift(
            "survey",
            "--no-series",
            real_data / "danba",
            "-o",
            tmp_path,
            "--memory-mb",
            str(megabytes),
            "--detector",
            detector,
            "--json",
        ).out
    )
    expected = {t.id: t.velocity_los_mm_yr for t in read_inventory(danba / "inventory.gpkg")}
    assert {t["id"]: t["velocity_los_mm_yr"] for t in facts["targets"]} == pytest.approx(expected, rel=1e-3)


def test_a_dry_run_tells_the_pairs_that_would_be_stacked(groundshift, real_data, tmp_path):
    ran = groundshift("survey", real_data / "danba", "-o", tmp_path / "out", "--dry-run", "--json")
    fact = json.loads(ran.out)["tracks"][0]
    assert fact["pairs"] == "84 of 201"
    assert fact["working_pixel_m"] == pytest.approx([42.0, 46.1], abs=0.5)  # 3 looks of 14.0 and 15.4 m
    assert fact["time_windows"]["all"] == 84
    assert not (tmp_path / "out").exists()
