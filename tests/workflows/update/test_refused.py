"""What an update refuses, and what its dry run tells."""

import json
import re
from datetime import date

import pytest
import yaml
from tests.workflows.update.surveys import (
    LATER,
    TRACK,
    add,
    assert_same_sums,
    part_of,
    sums_in,
)

from groundshift.errors import GroundshiftError
from groundshift.io import open_stack
from groundshift.types import MapGrid
from groundshift.workflows import inputs, update
from groundshift.workflows.progress import Reporter
from groundshift.workflows.update import preview_update, run_update

# What is refused


def assert_refused(out, inputs, line):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        add(out, *inputs)
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        preview_update(out, inputs)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_pixels_of_another_place_are_refused(out, looks):
    line = f"{looks[0]}: 48 x 56 pixels, which are not those of {TRACK}; survey them into a folder of their own"
    assert_refused(out, [looks[0]], line)


def test_pixels_beside_those_of_the_survey_are_refused(out, full, monkeypatch):
    def shifted(*args, **options):
        from dataclasses import replace

        found = open_stack(*args, **options)
        assert isinstance(found.grid, MapGrid)
        return replace(found, grid=found.grid.shifted(0, 0.5))

    monkeypatch.setattr(inputs, "open_stack", shifted)
    line = f"{full}: 64 x 80 pixels, which are not those of {TRACK}; survey them into a folder of their own"
    assert_refused(out, [full], line)


def test_another_wavelength_is_refused(out, full, tmp_path):
    source = part_of(full, tmp_path / "scene", lambda pair: True)
    told = yaml.safe_load((source / "metadata.yaml").read_text())
    (source / "metadata.yaml").write_text(yaml.safe_dump({**told, "wavelength_m": 0.24}))
    line = f"{source}: wavelength 0.24 m, but that of track {TRACK} is 0.0554658 m; survey it into a folder of its own"
    assert_refused(out, [source], line)


def test_another_product_is_refused(out, full):
    attributes = out / "stacks" / TRACK / "gradients.zarr" / "zarr.json"
    found = json.loads(attributes.read_text())
    found["attributes"]["record"]["product"] = "gamma"
    attributes.write_text(json.dumps(found))
    product = open_stack(full).product
    line = f"{full}: is {product}, but track {TRACK} is gamma; give the same product"
    assert_refused(out, [full], line)


def test_other_settings_are_refused(out, full):
    settings = yaml.safe_load((out / "run.yaml").read_text())
    settings["stack"]["max_days"] = 36
    (out / "run.yaml").write_text(yaml.safe_dump(settings))
    line = (
        f"{out / 'run.yaml'}: max_days is 36, but the sums were made with 72; put that back, or run `groundshift "
        "survey` again"
    )
    assert_refused(out, [full], line)


def test_sums_of_another_version_are_refused(out, full, monkeypatch):
    monkeypatch.setattr(update, "__version__", "9.9")
    path = out / "stacks" / TRACK / "gradients.zarr"
    from groundshift import __version__

    line = f"{path}: made by Groundshift {__version__}, this is 9.9; run `groundshift survey` again"
    assert_refused(out, [full], line)


def test_a_folder_without_a_finished_survey_is_refused(out, full, tmp_path):
    line = f"{tmp_path / 'none'}: no finished survey here; run `groundshift survey` first"
    assert_refused(tmp_path / "none", [full], line)
    assert not (tmp_path / "none").exists()
    (out / "stacks" / TRACK / "gradients.zarr").rename(out / "elsewhere")
    line = f"{out / 'stacks' / TRACK / 'gradients.zarr'}: missing; run `groundshift survey` again"
    assert_refused(out, [full], line)
    (out / "inventory.gpkg").unlink()
    assert_refused(out, [full], f"{out}: no finished survey here; run `groundshift survey` first")


def test_inputs_are_looked_at_before_anything_is_done(out, full, tmp_path):
    assert_refused(out, [full, full], f"{full}: given twice; name each input once")
    assert_refused(out, [tmp_path / "none"], f"{tmp_path / 'none'}: no such file or folder; check the spelling")


@pytest.mark.usefixtures("only_sums")
def test_a_pair_that_two_inputs_hold_is_taken_once_and_said(out, full, again, tmp_path):
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    more = part_of(full, tmp_path / "more", lambda pair: pair.secondary >= date(2020, 7, 1))
    with Reporter(quiet=True, log=tmp_path / "log.jsonl") as reporter:
        run_update(out, [new, more], reporter, "groundshift update")
    assert_same_sums(sums_in(out), sums_in(again))
    told = [json.loads(line).get("text") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    name = open_stack(more).pairs[0].name
    assert f"{more}: pair {name} is already given by {new}; remove one" in told


# What a dry run tells


@pytest.mark.usefixtures("only_sums")
def test_a_dry_run_tells_what_would_be_read_and_writes_nothing(out, full, reads):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    (facts,) = preview_update(out, [full])
    assert not reads
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert (facts["track"], facts["pairs_before"], len(facts["new_pairs"])) == (TRACK, 33, 18)
    assert facts["new_time_windows"] == ["2020"]
    assert (facts["no_longer_used"], facts["missing"]) == ([], [])
    pace = sums_in(out).seconds_per_pair
    assert facts["seconds_estimated"] == round((18 + len(facts["read_again"])) * pace, 1)
    add(out, full)
    assert set(reads) == {*facts["new_pairs"], *facts["read_again"]}
    (facts,) = preview_update(out, [full])
    assert facts["new_pairs"] == facts["read_again"] == facts["new_time_windows"] == []
    assert facts["seconds_estimated"] == 0
