"""Single-look images on the command line: looked at, written as interferograms, surveyed."""

import json

import numpy as np
from tests.cli.conftest import GRID, WAVELENGTH

from groundshift.gradients.store import open_sums
from groundshift.inventory import read_inventory
from groundshift.io import open_stack


def test_a_survey_of_images_finds_what_moves_and_writes_no_interferogram(groundshift, bursts, tmp_path):
    out = tmp_path / "out"
    ran = groundshift("survey", bursts, "-o", out, "--detector", "rules", "--no-series", "--no-wet-months", "--json")
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
    again = groundshift("survey", bursts, "-o", out, "--detector", "rules", "--no-series", "--no-wet-months")
    assert again.err.count("are there already") == 2


def test_interferograms_that_are_written_are_those_that_are_surveyed(groundshift, bursts, tmp_path):
    ran = groundshift(
        "interferograms", bursts / "moving", "-o", tmp_path / "igrams", "--max-days", 24, "--no-unbiased", "--json"
    )
    assert ran.code == 0, ran.err
    (told,) = json.loads(ran.out)["tracks"]
    assert told["pairs"] == 25
    written = open_stack(tmp_path / "igrams" / "moving")
    assert len(written.pairs) == 25
    assert written.wavelength == WAVELENGTH
    assert written.track == "moving"
    stacks = {}
    for name, source in (("formed", bursts / "moving"), ("written", tmp_path / "igrams" / "moving")):
        ran = groundshift(
            "stack", source, "-o", tmp_path / name, "--max-days", 24, "--smoothing", 4, "--smoothing-limit", 160
        )
        assert ran.code == 0, ran.err
        stacks[name] = open_sums(tmp_path / name / "stacks" / "moving" / "gradients.zarr").stack(0)
    np.testing.assert_allclose(stacks["written"].rate, stacks["formed"].rate, atol=1e-3)


def test_writing_again_goes_on_and_other_settings_are_refused(groundshift, bursts, tmp_path):
    call = ("interferograms", bursts / "still", "-o", tmp_path / "igrams", "--max-days", 12)
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


def test_info_tells_of_every_burst(groundshift, bursts):
    ran = groundshift("info", bursts, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert [(f["track"], f["dates"]) for f in found["bursts"]] == [("moving", 14), ("still", 14)]
