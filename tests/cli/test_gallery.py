"""`groundshift gallery`: what it draws and tells, and what it refuses."""

import csv
import json
import re

import numpy as np
import pytest
import yaml

from groundshift.cli import models
from groundshift.detect.planes import PLANES, network_planes
from groundshift.gradients.store import open_sums
from groundshift.simulate.batched.config import BatchConfig
from groundshift.training.distributions import compare, measure, tiles_of
from groundshift.training.samples import Body, Sample, read_sample, write_sample
from groundshift.workflows import gallery
from groundshift.workflows.config import MaskConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.sampling import SamplesConfig, SamplesOutput, SamplesPlan
from groundshift.workflows.track import look_at_ground, valid_nodes

FAST = ("--rows", 1)
FILES = ["distributions.csv", "distributions.png", "gallery.png", "gallery.yaml", "log.jsonl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten samples of noise, five of which hold a body."""
    folder = tmp_path_factory.mktemp("samples")
    for k in range(10):
        rng = np.random.default_rng(k)
        planes = rng.normal(size=(len(PLANES), 64, 80)).astype(np.float32)
        planes[4:6], planes[6], planes[7] = 1, 0.5, 1
        labels = np.zeros((64, 80), np.uint8)
        bodies = ()
        if k % 2:
            labels[10:40, 10:40], bodies = 1, (Body(-20, 20, 400, 200, "steady"),)
        write_sample(folder / f"{k}.npz", Sample(planes, labels, bodies, f"n{k}", "all", 40.0, -0.3, 20))
    return folder


@pytest.fixture(scope="module")
def stacked(simulated, tmp_path_factory):
    """The small scene, stacked."""
    from groundshift.cli import main

    out = tmp_path_factory.mktemp("stacked") / "out"
    assert main(["stack", str(simulated), "-o", str(out), "--quiet"]) == 0
    return out


def only_line(ran, code, pattern):
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert len(ran.lines) == 1, ran.err
    assert re.fullmatch(f"groundshift: {pattern}", ran.lines[0]), ran.lines[0]


def test_a_gallery_holds_real_maps_as_a_network_sees_them_against_the_samples(groundshift, stacked, folder, tmp_path):
    out = tmp_path / "out"
    ran = groundshift("gallery", stacked, "-o", out, "--samples", folder)
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in FILES if name.endswith(".png"))

    sums = open_sums(stacked / "stacks" / "simulated-3" / "gradients.zarr")
    side = sums.plan.grid.shape
    mask, real = MaskConfig(), {}
    with Reporter(quiet=True) as reporter:
        ground = look_at_ground(sums, mask, reporter)
    for stack in sums.stacks():
        planes = network_planes(stack, valid_nodes(stack, ground, mask).valid)
        sample = Sample(planes, np.zeros(side, np.uint8), (), "", "", 40.0, 1.0, 1)
        real[f"simulated-3 {stack.window}"] = [measure(sample)]
    tiles = [measure(t) for path in sorted(folder.glob("*.npz")) for t in tiles_of(read_sample(path), side)]
    expected = compare(tiles, real, side)
    assert ran.out == expected.table()
    assert (out / "distributions.csv").read_text() == expected.to_csv()
    assert ran.lines[-1] == f"pictures: {out / 'gallery.png'}, {out / 'distributions.png'}"


def test_interferograms_are_stacked_as_a_survey_does(groundshift, simulated, stacked, folder, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for given, out in ((simulated, first), (stacked, second)):
        assert groundshift("gallery", given, "-o", out, "--samples", folder, "--quiet", *FAST).code == 0
    assert (first / "distributions.csv").read_bytes() == (second / "distributions.csv").read_bytes()
    assert (first / "gallery.png").read_bytes() == (second / "gallery.png").read_bytes()
    again = groundshift("gallery", simulated, "-o", first, "--samples", folder, *FAST)
    assert "sums of 30 pairs are there already" in again.err


def test_settings_of_a_file_count_and_options_win(groundshift, simulated, folder, tmp_path):
    settings = tmp_path / "a.yaml"
    settings.write_text(
        f"inputs: [{simulated}]\nsamples: {folder}\nlimit: 3\nstack:\n  wet_months: []\n  sliding_years: null\n"
        "rows: 1\nmask:\n  least_coherence: 0.5\n  layover: false\n"
    )
    ran = groundshift("gallery", "-o", tmp_path / "out", "--config", settings, "--limit", 4, "--json")
    assert ran.code == 0, ran.err
    facts = json.loads(ran.out)
    assert facts["maps"] == ["simulated-3 all"]
    assert facts["simulated_tiles"] == 4
    known = next(row for row in facts["figures"] if row["quantity"] == "known")
    assert known["outside"] == ["simulated-3 all"]
    written = yaml.safe_load((tmp_path / "out" / "gallery.yaml").read_text())
    assert (written["limit"], written["mask"]["least_coherence"], written["batches"]) == (4, 0.5, 4)


def test_a_map_that_masks_leave_nothing_of_is_left_out_with_a_warning(groundshift, stacked, folder, tmp_path):
    settings = tmp_path / "a.yaml"
    settings.write_text("mask:\n  least_coherence: 1\n")
    ran = groundshift("gallery", stacked, "-o", tmp_path / "out", "--samples", folder, "--config", settings, *FAST)
    assert ran.code == 0
    assert "warning: simulated-3 all: masks leave no node with data; left out" in ran.lines
    assert ran.out.endswith("no real map to hold against them\n")


def test_only_tiles_with_bodies_are_held_against_real_maps_where_asked(groundshift, folder, tmp_path):
    for share, tiles in ((0, 10), (0.1, 5)):
        ran = groundshift("gallery", "-o", tmp_path / f"{share}", "--samples", folder, "--least-moving", share, *FAST)
        assert ran.out == f"{tiles} simulated tiles of at most 256 x 256 nodes; no real map to hold against them\n"
    only_line(
        groundshift("gallery", "-o", tmp_path / "none", "--samples", folder, "--least-moving", 0.5), 1,
        "bodies cover no tile of 10 simulated samples to a share of 0.5; lower --least-moving",
    )  # fmt: skip


def test_samples_are_simulated_where_none_are_given(groundshift, folder, tmp_path, monkeypatch):
    asked = []

    def run_samples(config, reporter):
        asked.append(config)
        return SamplesOutput(config.output, tuple(sorted(folder.glob("*.npz")))[:7], 7, 1.0)

    monkeypatch.setattr(models, "find_spec", lambda name: object())
    monkeypatch.setattr(gallery, "run_samples", run_samples)
    settings = tmp_path / "a.yaml"
    settings.write_text("scenes: {scenes: 2, shape: [64, 80]}\nbatches: 3\nlimit: 2\n")
    options = ("--config", settings, "--first-seed", 7, "--workers", 2)
    ran = groundshift("gallery", "-o", tmp_path / "out", *options, *FAST)
    assert ran.out.startswith("7 simulated tiles")
    plan, scenes = SamplesPlan(first_seed=7, batches=3, workers=2), BatchConfig(scenes=2, shape=(64, 80))
    assert asked == [SamplesConfig(output=tmp_path / "out" / "samples", plan=plan, scenes=scenes)]


def test_two_tracks_of_one_name_stay_apart(groundshift, stacked, surveyed, folder, tmp_path):
    ran = groundshift("gallery", stacked, surveyed, "-o", tmp_path / "out", "--samples", folder, "-q", *FAST)
    assert ran.code == 0, ran.err
    with (tmp_path / "out" / "distributions.csv").open() as lines:
        columns = next(csv.reader(lines))[6:]
    windows = [w.name for w in open_sums(stacked / "stacks" / "simulated-3" / "gradients.zarr").plan.windows]
    assert columns == [f"simulated-3{number} {window}" for number in ("", "-2") for window in windows]


def test_samples_that_are_stored_need_no_torch_and_others_say_what_to_install(
    groundshift, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    assert groundshift("gallery", "-o", tmp_path / "out", "--samples", folder, "-q", *FAST).code == 0
    only_line(
        groundshift("gallery", "-o", tmp_path / "no"), 1,
        r'simulated samples, none given with --samples, need torch; install with pip install "groundshift\[train\]"',
    )  # fmt: skip
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "pattern"),
    [
        ([], 2, "no output given; name a folder with -o"),
        (["-o", "OUT", "--rows", 0], 2, "--rows: expected at least 1, instead got 0"),
        (["-o", "OUT", "--least-moving", 2], 2, r"--least-moving: expected at most 1\.0, instead got 2\.0"),
        (["-o", "OUT", "--config", "FILE"], 2, ".*a.yaml: stack.max_day: no such setting, did you mean max_days; .*"),
        (["-o", "OUT", "--config", "STEP"], 2, ".*b.yaml: .*stack.step: networks see neighbours compared, .*"),
        (["none", "-o", "OUT"], 1, "none: no such file or folder; check the spelling"),
        (["-o", "OUT", "--samples", "EMPTY"], 1, ".*empty: holds no samples .*"),
        (["-o", "EMPTY", "--samples", "EMPTY"], 1, ".*empty: holds the input; choose another output folder"),
    ],
)
def test_what_cannot_be_is_one_line(groundshift, tmp_path, arguments, code, pattern):
    (tmp_path / "a.yaml").write_text("stack:\n  max_day: 3\n")
    (tmp_path / "b.yaml").write_text("stack:\n  step: 3\n")
    (tmp_path / "empty").mkdir()
    places = {"OUT": "out", "FILE": "a.yaml", "STEP": "b.yaml", "EMPTY": "empty"}
    ran = groundshift("gallery", *(tmp_path / places[a] if a in places else a for a in arguments))
    only_line(ran, code, pattern)


def test_stacks_of_other_differences_are_refused(groundshift, simulated, folder, tmp_path):
    assert groundshift("stack", simulated, "-o", tmp_path / "far", "--step", 2, "--no-wet-months", "-q").code == 0
    only_line(
        groundshift("gallery", tmp_path / "far", "-o", tmp_path / "out", "--samples", folder), 1,
        ".*gradients.zarr: not stacked between neighbours along both axes; stack again with --step 1",
    )  # fmt: skip


def test_a_folder_of_the_output_within_an_input_is_not_taken_for_a_stack(tmp_path):
    (tmp_path / "out" / "stacks" / "a" / "gradients.zarr").mkdir(parents=True)
    (tmp_path / "b" / "gradients.zarr").mkdir(parents=True)
    assert gallery._sums_below(tmp_path, tmp_path / "out") == [tmp_path / "b" / "gradients.zarr"]
