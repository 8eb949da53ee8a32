"""Single-look images on the command line: looked at, written as interferograms, surveyed."""

import json
from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine
from tests.products_slc.geotiff import write_tif

from groundshift.gradients.store import open_sums
from groundshift.inventory import read_inventory
from groundshift.io import open_stack
from groundshift.types import MapGrid

WAVELENGTH = 0.055465763
SHAPE = (384, 480)
GRID = MapGrid(SHAPE, Affine(10, 0, 500_000, 0, -10, 3_400_000), "EPSG:32648")
DATES = [date(2020, 1, 6) + timedelta(12 * k) for k in range(14)]
SLIDE = (slice(160, 240), slice(200, 280))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two bursts of fourteen dates, in one of which a body of 800 m moves away by 120 mm/yr. Not to be written to."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(3)
    for burst, speed in (("still", 0.0), ("moving", 0.12)):
        (root / burst).mkdir()
        ground = rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)
        bell = np.zeros(SHAPE)
        side = np.sin(np.pi * (np.arange(80) + 0.5) / 80)
        bell[SLIDE] = side[:, None] * side
        for day in DATES:
            way = speed * (day - DATES[0]).days / 365.25 * bell
            noise = 0.5 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
            image = (ground + noise) * np.exp(-4j * np.pi / WAVELENGTH * way)
            write_tif(root / burst / f"{day:%Y%m%d}.tif", image.astype(np.complex64)[None], GRID)
        metadata = f"wavelength_m: {WAVELENGTH}\nheading_deg: 190\nincidence_deg: 39\nflattened: true\ntrack: {burst}\n"
        (root / burst / "metadata.yaml").write_text(metadata)
    return root


def test_a_survey_of_images_finds_what_moves_and_writes_no_interferogram(groundshift, folder, tmp_path):
    out = tmp_path / "out"
    ran = groundshift("survey", folder, "-o", out, "--detector", "rules", "--no-series", "--no-wet-months", "--json")
    assert ran.code == 0, ran.err
    targets = read_inventory(out / "inventory.gpkg")
    assert [t.tracks for t in targets] == [("moving",)]
    lon, lat = GRID.lonlat(np.array(200.0), np.array(240.0))
    centre = targets[0].geometry.centroid
    assert abs(centre.x - lon) < 0.002
    assert abs(centre.y - lat) < 0.002
    assert targets[0].velocity_los_mm_yr < -40
    assert sorted(path.name for path in (out / "stacks").iterdir()) == ["moving", "still"]
    sums = open_sums(out / "stacks" / "moving" / "gradients.zarr")
    assert sums.record["product"] == "geotiff images, 4 x 4 looks"
    again = groundshift("survey", folder, "-o", out, "--detector", "rules", "--no-series", "--no-wet-months")
    assert again.err.count("are there already") == 2


def test_interferograms_that_are_written_are_those_that_are_surveyed(groundshift, folder, tmp_path):
    ran = groundshift(
        "interferograms", folder / "moving", "-o", tmp_path / "igrams", "--max-days", 24, "--no-unbiased", "--json"
    )
    assert ran.code == 0, ran.err
    (told,) = json.loads(ran.out)["tracks"]
    assert told["pairs"] == 25
    written = open_stack(tmp_path / "igrams" / "moving")
    assert len(written.pairs) == 25
    assert written.wavelength == WAVELENGTH
    assert written.track == "moving"
    stacks = {}
    for name, source in (("formed", folder / "moving"), ("written", tmp_path / "igrams" / "moving")):
        ran = groundshift(
            "stack", source, "-o", tmp_path / name, "--max-days", 24, "--smoothing", 4, "--smoothing-limit", 160
        )
        assert ran.code == 0, ran.err
        stacks[name] = open_sums(tmp_path / name / "stacks" / "moving" / "gradients.zarr").stack(0)
    np.testing.assert_allclose(stacks["written"].rate, stacks["formed"].rate, atol=1e-3)


def test_writing_again_goes_on_and_other_settings_are_refused(groundshift, folder, tmp_path):
    call = ("interferograms", folder / "still", "-o", tmp_path / "igrams", "--max-days", 12)
    assert groundshift(*call).code == 0
    files = sorted((tmp_path / "igrams" / "still").glob("*_phase.tif"))
    assert len(files) == 13
    before = {path: path.stat().st_mtime_ns for path in files[1:]}
    files[0].unlink()
    assert groundshift(*call).code == 0
    assert files[0].exists()
    assert {path: path.stat().st_mtime_ns for path in files[1:]} == before
    ran = groundshift(*call, "--goldstein", 0.5)
    assert ran.code == 1
    line = "still: holds something else; choose another output folder, or empty this one"
    assert [one.split("igrams/")[1] for one in ran.err.splitlines() if "igrams/" in one] == [line]


def test_info_tells_of_every_burst(groundshift, folder):
    ran = groundshift("info", folder, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [(f["track"], f["dates"]) for f in found["bursts"]] == [("moving", 14), ("still", 14)]
