"""Surveys of several tracks, again and again, and detection on finished stacks."""

import json
import re
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from matplotlib import colormaps
from PIL import Image

from groundshift.inventory import read_inventory, write_inventory
from groundshift.inventory.geopackage import read_runs
from groundshift.report import read_content
from groundshift.simulate import SceneConfig, simulate_scene, write_scene

RULES = ("--detector", "rules")
SHOWN = ("id", "kind", "tracks", "area_m2", "velocity_los_mm_yr", "score", "n_pairs")


def shown(path):
    return [tuple(getattr(t, name) for name in SHOWN) for t in read_inventory(path / "inventory.gpkg")]


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """Folders of two looks at the same ground, from a descending and an ascending orbit."""
    folders = []
    for heading in (190.0, 350.0):
        folders.append(tmp_path_factory.mktemp("look") / "scene")
        config = SceneConfig(
            seed=5, shape=(64, 80), n_dates=24, n_slides=4, gap_share=0, speed_mm_yr=(120.0, 160.0), heading=heading
        )
        write_scene(simulate_scene(config), folders[-1])
    return folders


def test_two_looks_at_the_same_ground_make_one_target_with_both_tracks(groundshift, looks, tmp_path):
    out, quick = tmp_path / "out", ("--no-wet-months", "--no-series", "--json")
    ran = groundshift("survey", *looks, "-o", out, *quick)
    assert ran.code == 0
    alone = [json.loads(groundshift("survey", one, "-o", tmp_path / str(k), *quick).out) for k, one in enumerate(looks)]
    targets = read_inventory(out / "inventory.gpkg")
    both = [t for t in targets if t.tracks == ("simulated-5", "simulated-5-2")]
    assert len(both) >= 1
    assert len(targets) < sum(len(facts["targets"]) for facts in alone)
    assert json.loads(ran.out)["pairs"] == sum(facts["pairs"] for facts in alone)
    for target in both:
        assert {d.track for d in target.detections} == set(target.tracks)
    assert sorted(p.name for p in (out / "stacks").iterdir()) == ["simulated-5", "simulated-5-2"]
    # Neither track's own sums know of the other.
    for k, track in enumerate(("simulated-5", "simulated-5-2")):
        with (
            rasterio.open(out / "stacks" / track / "velocity.tif") as joint,
            rasterio.open(tmp_path / str(k) / "stacks" / "simulated-5" / "velocity.tif") as single,
        ):
            np.testing.assert_array_equal(joint.read(1), single.read(1))


def test_a_rerun_keeps_identities_reviews_and_notes_and_stacks_nothing_again(
    groundshift, surveyed, simulated, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(surveyed, out)
    before = shown(out)
    first, *others = read_inventory(out / "inventory.gpkg")
    write_inventory(
        out / "inventory.gpkg",
        [replace(first, review="confirmed", note="seen in the field"), *others],
        read_runs(out / "inventory.gpkg"),
    )
    sums = out / "stacks" / "simulated-3" / "gradients.zarr"
    stamp = {p: p.stat().st_mtime_ns for p in sums.rglob("*")}
    ran = groundshift("survey", simulated, "-o", out, *RULES)
    assert ran.code == 0
    assert ran.lines[0] == "simulated-3: sums of 30 pairs are there already"
    assert {p: p.stat().st_mtime_ns for p in sums.rglob("*")} == stamp
    assert shown(out) == before
    noted = [json.loads((folder / "provenance.json").read_text())["inputs"] for folder in (out, surveyed)]
    assert noted[0] == noted[1]
    assert len(noted[0]) == 60
    kept = {t.id: t for t in read_inventory(out / "inventory.gpkg")}[first.id]
    assert (kept.review, kept.note) == ("confirmed", "seen in the field")
    assert len(read_runs(out / "inventory.gpkg")) == 2

    # Other thresholds use the same sums too, and take nothing from the identities that stay.
    assert groundshift("survey", simulated, "-o", out, *RULES, "--significance", "6", "-q").code == 0
    assert {p: p.stat().st_mtime_ns for p in sums.rglob("*")} == stamp
    assert {t.id for t in read_inventory(out / "inventory.gpkg")} <= {row[0] for row in before}


def test_detection_on_finished_stacks_finds_what_the_survey_found(groundshift, surveyed, tmp_path):
    assert groundshift("detect", surveyed, "-o", tmp_path / "one", *RULES, "-q").code == 0
    # A survey follows its targets besides, which tells their velocity anew; detection needs no interferogram.
    where = [[row[:4] for row in shown(folder)] for folder in (tmp_path / "one", surveyed)]
    assert where[0] == where[1]
    path = surveyed / "stacks" / "simulated-3" / "gradients.zarr"
    options = (*RULES, "--significance", "50", "--json")
    strict = json.loads(groundshift("detect", path, "-o", tmp_path / "two", *options).out)
    assert len(strict["targets"]) < len(shown(surveyed))


def test_detection_needs_finished_stacks_of_different_tracks(groundshift, surveyed, tmp_path):
    (tmp_path / "empty").mkdir()
    for given, message in (
        ([tmp_path / "empty"], r"empty: no gradients\.zarr here; run `groundshift stack` first"),
        ([tmp_path / "none"], r"none: no such file or folder; check the spelling"),
    ):
        ran = groundshift("detect", *given, "-o", tmp_path / "out")
        assert (ran.code, len(ran.lines)) == (1, 1)
        assert re.search(message, ran.err)
    for name in ("a", "b"):
        shutil.copytree(surveyed / "stacks", tmp_path / name)
    ran = groundshift("detect", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out")
    assert (ran.code, len(ran.lines)) == (1, 1)
    assert "is a stack of track simulated-3 too; detect on one of them" in ran.err
    attributes = tmp_path / "a" / "simulated-3" / "gradients.zarr" / "zarr.json"
    for damage, message in (
        (
            re.sub(r'"rows_done": \[[^"]*\]', '"rows_done": []', attributes.read_text()),
            "not finished; run `groundshift",
        ),
        ("{}", "no sums of gradients here; run `groundshift stack` again"),
    ):
        attributes.write_text(damage)
        ran = groundshift("detect", tmp_path / "a", "-o", tmp_path / "out")
        assert (ran.code, len(ran.lines)) == (1, 1)
        assert message in ran.err
    assert not (tmp_path / "out").exists()


def test_one_bad_pair_is_in_the_report_and_the_log_and_changes_no_other(groundshift, scene, surveyed, tmp_path):
    pair = sorted(p.name for p in scene.glob("*_phase.tif"))[4]
    (scene / pair).write_bytes(b"II*\0")
    out = tmp_path / "out"
    ran = groundshift("survey", "--no-series", scene, "-o", out, *RULES)
    assert ran.code == 0
    assert ran.lines[0] == f"warning: {scene / pair}: not a readable raster; fetch the file again"
    assert re.search(r"from 29 pairs, 1 file left out in \d+ s$", ran.lines[1])
    report = (out / "report.html").read_text()
    assert "1 file left out" in report
    assert f"{pair}: not a readable raster" in report
    assert "skipped" not in re.sub(r"<script.*?</script>", "", report, flags=re.DOTALL)
    problems = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines() if '"problem"' in line]
    assert [p["path"] for p in problems] == [str(scene / pair)]
    assert len(read_inventory(out / "inventory.gpkg")) == len(read_inventory(surveyed / "inventory.gpkg"))


def test_pairs_outside_the_selection_are_not_used_rather_than_left_out(groundshift, simulated, tmp_path):
    assert groundshift("survey", "--no-series", simulated, "-o", tmp_path / "out", "--max-days", "24", "-q").code == 0
    report = (tmp_path / "out" / "report.html").read_text()
    assert re.search(r"21 pairs used, 9 not used", report)
    assert "file left out" not in report


def test_one_of_several_inputs_that_cannot_be_surveyed_is_reported(groundshift, simulated, scene, tmp_path):
    for path in sorted(scene.glob("2018*_phase.tif"))[1:]:
        path.unlink()
    ran = groundshift("survey", "--no-series", simulated, scene, "-o", tmp_path / "out")
    assert ran.code == 0
    line = (
        f"simulated-3-2 left out: {scene}: 1 of 1 pairs selected, but a stack needs 2 or more; add interferograms or "
        "raise --max-days"
    )
    assert ran.lines[0] == f"warning: {line}"
    assert "simulated-3-2 left out" in (tmp_path / "out" / "report.html").read_text()
    ran = groundshift("survey", "--no-series", simulated, scene, "-o", tmp_path / "strict", "--strict")
    assert (ran.code, len(ran.lines)) == (1, 1)


def test_what_has_no_place_is_stacked_but_not_surveyed(groundshift, simulated, tmp_path):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    for path in simulated.glob("2018*.tif"):
        with rasterio.open(path) as source:
            values, profile = source.read(1), source.profile
        profile.update(crs=None, transform=None)
        with rasterio.open(nowhere / path.name, "w", **profile) as sink:
            sink.write(values, 1)
    ran = groundshift("survey", nowhere, "-o", tmp_path / "survey")
    assert (ran.code, len(ran.lines)) == (1, 1)
    assert re.fullmatch(
        r"groundshift: .*nowhere: the product does not tell where its pixels lie on Earth; add .* or use "
        r"`groundshift stack`",
        ran.lines[0],
    )
    assert not (tmp_path / "survey").exists()
    assert groundshift("stack", nowhere, "-o", tmp_path / "stack", "-q").code == 0
    folder = tmp_path / "stack" / "stacks" / "nowhere"
    assert (folder / "gradient_azimuth.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob("*.tif"))
    ran = groundshift("detect", tmp_path / "stack", "-o", tmp_path / "detect")
    assert (ran.code, len(ran.lines)) == (1, 1)
    assert "does not know where it lies on Earth; stack a located product" in ran.err


def test_a_time_window_without_data_is_left_out_and_the_others_go_on(groundshift, scene, tmp_path):
    for path in scene.glob("201801*_phase.tif"):
        with rasterio.open(path, "r+") as sink:
            sink.write(np.full(sink.shape, np.nan, np.float32), 1)
    out = tmp_path / "out"
    ran = groundshift("survey", "--no-series", scene, "-o", out, "--window", "january=2018-01-01:2018-02-12")
    assert ran.code == 0
    assert ran.lines[0] == (
        "warning: simulated-3: window january left out: no gradient has data; check the coherence of the stack"
    )
    assert (out / "stacks" / "simulated-3" / "velocity.tif").exists()
    assert not (out / "stacks" / "simulated-3" / "january").exists()


def test_a_track_name_of_the_product_cannot_lead_out_of_the_folder(groundshift, scene, tmp_path):
    path = scene / "metadata.yaml"
    path.write_text(re.sub(r"track: .*", "track: ../../x y/..", path.read_text()))
    out = tmp_path / "a" / "b" / "out"
    assert groundshift("stack", scene, "-o", out, "-q").code == 0
    assert [p.name for p in (out / "stacks").iterdir()] == ["x-y"]


def test_a_dem_of_ones_own_that_cannot_be_read_stops_before_stacking(groundshift, simulated, tmp_path):
    (tmp_path / "dem.tif").write_bytes(b"no raster")
    ran = groundshift("survey", "--no-series", simulated, "-o", tmp_path / "out", "--dem", tmp_path / "dem.tif")
    assert (ran.code, len(ran.lines)) == (1, 1)
    assert "dem.tif: not a readable raster; fetch the file again" in ran.err
    assert not (tmp_path / "out").exists()


def test_maps_for_google_earth_have_the_colours_of_the_report(surveyed):
    layers = [layer for layer in read_content(surveyed / "report.h5", []).tracks[0].layers if layer.evidence]
    assert len(layers) == 3
    with zipfile.ZipFile(surveyed / "targets.kmz") as archive:
        pictures = [np.asarray(Image.open(archive.open(f"files/map{k}.png")).convert("RGBA"), int) for k in range(3)]
    for layer, picture in zip(layers, pictures, strict=True):
        known = np.isfinite(layer.values)
        colours = colormaps["RdBu"]((layer.values[known] / layer.vmax + 1) / 2, bytes=True).astype(int)
        np.testing.assert_array_equal(picture[..., 3], np.where(known, 255, 0))
        # Two of the 256 steps of the scale.
        assert np.abs(picture[known] - colours).max() <= 8
        assert np.ptp(picture[known], axis=0)[:3].min() > 100


def test_all_outputs_of_the_documentation_are_there(surveyed):
    names = {p.relative_to(surveyed).as_posix() for p in surveyed.rglob("*") if p.is_file()}
    track = "stacks/simulated-3/"
    assert names >= {
        "inventory.gpkg", "report.html", "run.yaml", "provenance.json", "log.jsonl", "targets.kmz", "density.tif",
        *(f"{track}{n}.tif" for n in ("gradient_north", "gradient_east", "velocity_gradient_north", "sigma_east",
                                      "mean_coherence", "valid", "velocity", "n_pairs", "residues")),
    }  # fmt: skip
    assert not [n for n in names if "/." in f"/{n}"]
