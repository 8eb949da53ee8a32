"""Updates that are stopped, of several tracks, and of series."""

import json
import re
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.workflows.update.surveys import (
    LATER,
    NONE,
    PLAIN,
    QUIET,
    RULES,
    TRACK,
    add,
    assert_same_sums,
    assert_same_targets,
    part_of,
    sums_in,
    survey,
)

from groundshift.errors import GroundshiftError
from groundshift.gradients.store import SumsFile
from groundshift.inventory import read_inventory, read_runs, read_series
from groundshift.io import open_stack
from groundshift.workflows import stacking, update
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.survey import run_survey
from groundshift.workflows.update import run_update

# Going on


def test_nothing_new_does_nothing(out, early, reads):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    done = add(out, early)
    assert (done.survey, done.new_pairs) == (None, 0)
    assert not reads
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.usefixtures("only_sums")
def test_a_survey_of_the_grown_folder_finds_the_updated_sums(out, full, reads):
    add(out, full)
    stamp = {p: p.stat().st_mtime_ns for p in (out / "stacks" / TRACK / "gradients.zarr").rglob("*")}
    reads.clear()
    survey(full, out)
    assert not reads
    assert {p: p.stat().st_mtime_ns for p in (out / "stacks" / TRACK / "gradients.zarr").rglob("*")} == stamp


@pytest.mark.parametrize("then", ["update", "survey"])
def test_an_update_that_was_stopped_goes_on(out, full, again, monkeypatch, reads, then):
    monkeypatch.setattr(stacking, "_block_rows", lambda plan, memory_mb: 20)
    write, blocks = SumsFile.write_rows, []

    def stop_after_two(self, first, sums):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        write(self, first, sums)
        blocks.append(first)

    monkeypatch.setattr(SumsFile, "write_rows", stop_after_two)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "log.jsonl"}
    with pytest.raises(KeyboardInterrupt):
        add(out, full)
    assert blocks == [0, 20]
    assert all(path.read_bytes() == content for path, content in before.items())

    monkeypatch.setattr(SumsFile, "write_rows", write)
    reads.clear()
    if then == "update":
        assert add(out, full).new_pairs == 18
        assert max(reads.values()) == 2  # the two blocks of rows that were left
    else:
        survey(full, out)
    assert_same_sums(sums_in(out), sums_in(again))
    assert_same_targets(out, again)
    assert [path.name for path in out.rglob(".*") if path.name != ".update"] == []


@pytest.mark.usefixtures("only_sums")
def test_an_update_that_was_stopped_over_replacing_the_sums_goes_on(out, full, again, monkeypatch):
    rename = Path.rename

    def stop(self, target):
        if self.name == ".gradients.zarr.partial":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        add(out, full)
    assert not (out / "stacks" / TRACK / "gradients.zarr").exists()
    monkeypatch.setattr(Path, "rename", rename)
    add(out, full)
    assert_same_sums(sums_in(out), sums_in(again))
    assert [path.name for path in out.rglob(".*")] == []


def test_an_update_that_was_stopped_before_its_inventory_goes_on(out, full, again, monkeypatch, reads):
    conclude = update.conclude

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(update, "conclude", stop)
    with pytest.raises(KeyboardInterrupt):
        add(out, full)
    monkeypatch.setattr(update, "conclude", conclude)
    reads.clear()
    assert add(out, full).survey is not None
    assert not reads
    assert_same_targets(out, again)
    assert add(out, full).survey is None


def test_an_update_keeps_reviews_and_notes(out, full):
    from dataclasses import replace

    from groundshift.inventory import write_inventory

    path = out / "inventory.gpkg"
    first, *others = read_inventory(path)
    write_inventory(path, [replace(first, review="confirmed", note="seen in the field"), *others], read_runs(path))
    add(out, full)
    kept = {t.id: t for t in read_inventory(path)}[first.id]
    assert (kept.review, kept.note) == ("confirmed", "seen in the field")


# Several tracks


def test_of_several_tracks_the_one_that_has_grown_is_stacked_and_all_are_merged(looks, tmp_path, reads):
    cut = date(2019, 1, 20)
    part = part_of(looks[1], tmp_path / "up", lambda pair: pair.secondary < cut)
    config = {"stack": PLAIN | {"least_pairs": 4}, "detect": RULES, "series": NONE, "output": tmp_path / "out"}
    run_survey(SurveyConfig.model_validate({**config, "inputs": [looks[0], part]}), QUIET, "groundshift survey")
    out = Path(shutil.copytree(tmp_path / "out", tmp_path / "again"))
    for pair in (p for p in open_stack(looks[1]).pairs if p.secondary >= cut):
        for path in looks[1].glob(f"{pair.name}_*"):
            shutil.copy2(path, part / path.name)
    reads.clear()
    add(out, part)
    assert set(reads) <= {p.name for p in open_stack(part).pairs}
    run_survey(SurveyConfig.model_validate({**config, "inputs": [looks[0], part]}), QUIET, "groundshift survey")
    for track in ("simulated-5", "simulated-5-2"):
        assert_same_sums(sums_in(out, track), sums_in(tmp_path / "out", track))
    assert_same_targets(out, tmp_path / "out")


def test_an_input_that_may_belong_to_either_of_two_tracks_is_refused(looks, tmp_path):
    config = {"stack": PLAIN | {"least_pairs": 4}, "detect": RULES, "series": NONE, "output": tmp_path / "out"}
    run_survey(SurveyConfig.model_validate({**config, "inputs": looks}), QUIET, "groundshift survey")
    new = part_of(looks[0], tmp_path / "new", lambda pair: pair.secondary > date(2019, 1, 20))
    told = yaml.safe_load((new / "metadata.yaml").read_text())
    (new / "metadata.yaml").write_text(yaml.safe_dump({**told, "track": "other"}))
    line = f"{new}: may belong to simulated-5 or simulated-5-2; name the folder after its track"
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        add(tmp_path / "out", new)


# Series


@pytest.fixture(scope="module")
def followed(early, tmp_path_factory):
    """A survey of the first dates whose targets are followed. Not to be written to."""
    return survey(early, tmp_path_factory.mktemp("followed") / "out", series=True).folder


def records_in(out):
    return {path.name: json.loads(path.read_text()) for path in sorted((out / "series").glob("*.json"))}


def test_series_grow_to_what_a_survey_of_everything_tells(followed, full, early, tmp_path):
    out = Path(shutil.copytree(followed, tmp_path / "out"))
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    add(out, new)
    whole = Path(shutil.copytree(followed, tmp_path / "whole"))
    shutil.rmtree(whole / "stacks")
    survey(full, whole, series=True)
    assert_same_targets(out, whole)
    found, expected, before = (read_series(folder / "inventory.gpkg") for folder in (out, whole, followed))
    assert [(s.target, s.track) for s in found] == [(s.target, s.track) for s in expected]
    assert len(found) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.dates, other.dates)
        np.testing.assert_allclose(one.displacement_mm, other.displacement_mm, atol=0.01)
        np.testing.assert_allclose(one.sigma_mm, other.sigma_mm, atol=0.01)
        assert one.dates[-1] >= np.datetime64(LATER)
    assert all(series.dates[-1] < np.datetime64(LATER) for series in before)


def test_series_stay_as_they_were_where_older_interferograms_are_gone(followed, full, early, tmp_path, capsys):
    moved = Path(shutil.copytree(early, tmp_path / "early"))
    out = survey(moved, tmp_path / "out", series=True).folder
    before = records_in(out)
    first = open_stack(moved).pairs[0].name
    for path in moved.glob(f"{first}_*"):
        path.unlink()
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    run_update(out, [new], Reporter(), "groundshift update")
    assert f"1 interferogram no longer as summed ({first}); series stay as they were" in capsys.readouterr().err
    assert records_in(out) == before
    kept = [name for name, record in before.items() if not record["reason"]]
    assert len(read_series(out / "inventory.gpkg")) == len(kept) > 0
