"""The whole chain on a simulated scene, held against its truth."""

import json
from dataclasses import replace

import geopandas
from shapely import box

from groundshift.simulate import SceneConfig, simulate_scene
from groundshift.workflows.demo import compare

SMALL = ["--seed", "3", "--shape", "64", "80", "--n-dates", "12", "--n-slides", "3", "--gap-share", "0",
         "--speed-mm-yr", "120", "160"]  # fmt: skip


def test_slides_found_and_targets_that_are_right_are_counted(surveyed):
    from groundshift.inventory import read_inventory

    scene = simulate_scene(
        SceneConfig(seed=3, shape=(64, 80), n_dates=12, n_slides=3, gap_share=0, speed_mm_yr=(120, 160))
    )
    base = read_inventory(surveyed / "inventory.gpkg")[0]
    hits = [replace(base, geometry=slide.polygon) for slide in scene.slides]
    miss = replace(base, geometry=box(0, 0, 1, 1))
    none, all_, mixed = compare((), scene, 0.0), compare(tuple(hits), scene, 0.0), compare((hits[0], miss), scene, 0.0)
    assert (none.slides, none.found, none.targets, none.right) == (3, 0, 0, 0)
    assert (all_.slides, all_.found, all_.targets, all_.right) == (3, 3, 3, 3)
    assert (mixed.slides, mixed.targets, mixed.right) == (3, 2, 1)
    assert compare((), scene, 1e6).slides == 0


def test_the_demo_finds_what_the_scene_holds_and_says_so(groundshift, tmp_path):
    ran = groundshift("demo", "-o", tmp_path / "demo", *SMALL, "--json")
    assert (ran.code, ran.err) == (0, "")
    facts = json.loads(ran.out)
    truth = geopandas.read_file(tmp_path / "demo" / "scene" / "truth.gpkg")
    fast = truth[truth.velocity_los_mm_yr.abs() >= 10]
    assert facts["truth"]["slides"] == len(fast) == 3
    assert facts["truth"]["found"] >= 2
    assert facts["truth"]["right"] == facts["truth"]["targets"] == len(facts["targets"])
    assert (tmp_path / "demo" / "survey" / "report.html").exists()

    again = groundshift("demo", "-o", tmp_path / "demo", *SMALL)
    assert again.code == 0
    found, right, targets = (facts["truth"][name] for name in ("found", "right", "targets"))
    assert again.lines[-4] == (
        f"{found} of 3 slides faster than 10 mm/yr along the line of sight found; {right} of {targets} targets right"
    )

    other = groundshift("demo", "-o", tmp_path / "demo", *SMALL, "--heading", "350")
    assert other.code == 1
    assert other.lines == [
        f"groundshift: {tmp_path / 'demo' / 'scene'}: already holds something else; choose a new or empty folder"
    ]


def test_a_scene_that_cannot_be_is_one_line(groundshift, tmp_path):
    ran = groundshift("simulate", tmp_path / "scene", "--shape", "32", "32", "--n-slides", "40", "--n-dates", "3")
    assert (ran.code, len(ran.lines)) == (1, 1)
    assert ran.lines[0].startswith("groundshift: no room for slide ")
    assert not (tmp_path / "scene").exists()


def test_the_same_seed_writes_the_same_scene(groundshift, simulated, tmp_path):
    assert groundshift("simulate", tmp_path / "again", *SMALL, "-q").code == 0
    for path in sorted(simulated.glob("*.tif")):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
