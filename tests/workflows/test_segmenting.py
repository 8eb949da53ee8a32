"""Interferograms looked at for moving slopes: outlines of pairs, places of stacks, targets with names that last."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import rasterio
from shapely import Point
from tests.detect.test_segments import write_most
from tests.mines import AIR, BOWL, PER_RADIAN_MM, SHAPE, TRACK
from tests.workflows.bowl_models import write_bowl_model
from tests.workflows.moving import make_target

from groundshift.detect.segments import SegmentNetwork
from groundshift.errors import NoDataError
from groundshift.inventory import TargetSeries, read_inventory, read_runs, write_inventory
from groundshift.inventory.geopackage import read_series
from groundshift.io import open_stack
from groundshift.workflows import segmenting
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.segmenting import preview_segmenting, run_segmenting
from groundshift.workflows.segments_config import SegmentsConfig

EARLY, DRY, WET = "20150105_20150129", "20150210_20150222", "20150222_20150306"
"""Pairs by what they show: 8 radians, 4 radians, and 8 radians with air over another place."""


@pytest.fixture(scope="module")
def few(mines, tmp_path_factory):
    """Folder of three pairs, and one that is too long."""
    folder = tmp_path_factory.mktemp("few") / "scene"
    folder.mkdir()
    names = [f"{n}_{k}.tif" for n in (EARLY, DRY, WET, "20150105_20150210") for k in ("phase", "coh")]
    for name in ("metadata.yaml", *names):
        shutil.copy2(mines / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_bowl_model(tmp_path_factory.mktemp("model") / "m.onnx", "footprint", edge=1.0)


def segmented(inputs, out, model, **options):
    """Run, and return the output and the lines of warning."""
    config = SurveyConfig(inputs=inputs if isinstance(inputs, tuple) else (inputs,), output=out)
    settings = SegmentsConfig.model_validate({"model": str(model), "pixel": 20.0, "days": 30, "pixels": 8, **options})
    log = out.parent / f"{out.name}.jsonl"
    with Reporter(quiet=True, log=log) as reporter:
        done = run_segmenting(config, settings, reporter, "groundshift segment")
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return done, [line["text"] for line in lines if line["event"] == "warning"]


@pytest.fixture
def plain(monkeypatch):
    """Look without pictures, which cost most of the time here."""
    for name in ("draw_pair", "draw_places"):
        monkeypatch.setattr(segmenting, name, lambda *_: None)


def place(folder, row_column):
    grid = open_stack(folder).grid
    return Point(*(float(v[0]) for v in grid.lonlat(*(np.array([float(v)]) for v in row_column))))


@pytest.fixture(scope="module")
def done(few, model, tmp_path_factory):
    return segmented(few, tmp_path_factory.mktemp("seen") / "out", model, share=0.6)


def test_what_most_pairs_see_is_a_target_with_what_is_known_of_it(done, few):
    output, warned = done
    assert warned == []
    assert output.pairs == 3
    (target,) = output.targets
    assert target.kind == "landslide"
    assert target.evidence == (f"{TRACK}/single-pairs/tiny-footprint/phase",)
    assert target.geometry.distance(place(few, BOWL)) < 1.5e-3
    assert target.geometry.distance(place(few, AIR)) > 4e-3
    assert (str(target.first_seen), str(target.last_seen)) == ("2015-01-05", "2015-03-06")
    assert 0.5 <= target.score <= 1
    (stored,) = read_inventory(output.inventory)
    assert stored.id == target.id
    (run,) = read_runs(output.inventory)
    assert (run.n_pairs, run.tracks) == (3, (TRACK,))


def test_files_of_each_pair_and_of_the_track_are_there(done, few):
    output, _ = done
    names = {p.name for p in (output.folder / TRACK).iterdir()}
    assert names == {
        "probability.tif", "share.tif", "places.png", "looked.json",
        *(f"{n}{ending}" for n in (EARLY, DRY, WET) for ending in ("_probability.tif", ".png")),
    }  # fmt: skip
    with rasterio.open(output.folder / TRACK / f"{DRY}_probability.tif") as source:
        assert source.shape == SHAPE
    with rasterio.open(output.folder / TRACK / "share.tif") as source:
        share = source.read(1)
    assert set(np.unique(share.round(3))) <= {0, np.float32(0.333), np.float32(0.667), 1}
    record = json.loads((output.folder / "provenance.json").read_text())
    assert record["model"]["name"] == "tiny-footprint"
    assert record["pairs"] == {TRACK: 3}


def test_outlines_of_pairs_name_the_target_they_lie_on(done, few):
    output, _ = done
    rows = pyogrio.read_dataframe(output.folder / "segments.gpkg", layer="segments")
    assert len(rows) == output.outlines
    assert set(rows.track) == {TRACK}
    assert set(rows.days) <= {12, 24}
    on_air = rows[rows.geometry.intersects(place(few, AIR).buffer(1e-3))]
    assert set(on_air.secondary.astype(str)) == {"2015-03-06"}
    assert on_air.target.isna().all()
    (target,) = output.targets
    assert set(rows.target.dropna()) == {target.id}


def test_velocity_is_that_of_the_phase_against_the_ground(few, tmp_path, plain):
    # One pair of four radians in its middle: where it exceeds one radian and is not wrapped, the mean lies between.
    model = write_bowl_model(tmp_path / "m.onnx", "footprint", edge=1.0)
    only = tmp_path / "one"
    only.mkdir()
    for name in ("metadata.yaml", f"{DRY}_phase.tif", f"{DRY}_coh.tif"):
        shutil.copy2(few / name, only / name)
    done, _ = segmented(only, tmp_path / "out", model)
    (target,) = done.targets
    assert np.isnan(target.velocity_sigma_mm_yr)
    per_radian = -PER_RADIAN_MM * 365.25 / 12
    assert 2.6 * per_radian < target.velocity_los_mm_yr < 1.0 * per_radian


def test_air_of_one_date_is_a_target_only_where_a_third_is_enough(few, model, tmp_path, plain):
    done, _ = segmented(few, tmp_path / "out", model, share=0.3)
    assert any(t.geometry.distance(place(few, AIR)) < 1e-3 for t in done.targets)


def test_names_and_reviews_last(few, model, tmp_path, plain):
    first, _ = segmented(few, tmp_path / "out", model, share=0.6)
    (target,) = first.targets
    stored = read_inventory(first.inventory)
    write_inventory(first.inventory, [replace(t, review="confirmed") for t in stored], read_runs(first.inventory))
    again, _ = segmented(few, tmp_path / "out", model, share=0.6)
    (kept,) = again.targets
    assert (kept.id, kept.review) == (target.id, "confirmed")
    assert len(read_runs(again.inventory)) == 2


def test_targets_and_series_of_a_survey_stay(few, model, tmp_path, plain):
    spot = place(few, (10, 10))
    there = make_target(spot.buffer(0.0003), name="elsewhr")
    days = np.array(["2015-01-05", "2015-03-06"], "datetime64[D]")
    told = TargetSeries(there.id, "T1", days, np.array([0.0, -5.0]), np.ones(2))
    (tmp_path / "out").mkdir()
    write_inventory(tmp_path / "out" / "inventory.gpkg", [there], [], [told])
    done, _ = segmented(few, tmp_path / "out", model, share=0.6)
    (target,) = done.targets
    kept = {t.id: t for t in read_inventory(done.inventory)}
    assert set(kept) == {target.id, there.id}
    assert kept[there.id].note == ""
    assert [s.target for s in read_series(done.inventory)] == [there.id]


def test_a_model_of_many_dates_answers_for_all_of_them(few, tmp_path, plain):
    model = write_most(tmp_path / "m.onnx")
    done, _ = segmented(few, tmp_path / "out", model, probability=0.8, share=0.3, together=2)
    assert done.outlines == 0
    assert {p.name for p in (done.folder / TRACK).iterdir()} == {"probability.tif", "share.tif"}
    (target,) = done.targets
    assert target.detections[0].n_pairs == 3


def test_what_is_too_long_is_not_looked_at(few, model, tmp_path):
    with pytest.raises(NoDataError, match=r"no pair of up to 6 days; raise --days$"):
        segmented(few, tmp_path / "out", model, days=6)


def test_a_pair_that_cannot_be_read_is_named_and_the_others_are_used(few, model, tmp_path, plain):
    broken = tmp_path / "broken"
    shutil.copytree(few, broken)
    path = broken / f"{DRY}_phase.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done, warned = segmented(broken, tmp_path / "out", model)
    assert done.pairs == 2
    assert sum(DRY in line for line in warned) == 1


def test_a_run_that_is_given_again_looks_only_at_what_has_changed(few, model, tmp_path, monkeypatch):
    looked, look = [], SegmentNetwork.look
    monkeypatch.setattr(segmenting, "draw_places", lambda *_: None)
    monkeypatch.setattr(SegmentNetwork, "look", lambda *given: looked.append(None) or look(*given))
    out = tmp_path / "out"
    first, _ = segmented(few, out, model)
    assert len(looked) == first.pairs == 3
    again, _ = segmented(few, out, model)
    assert len(looked) == 3
    assert [t.id for t in again.targets] == [t.id for t in first.targets]
    assert again.outlines == first.outlines
    folder = next(path.parent for path in out.rglob("*_probability.tif"))
    (folder / f"{DRY}.png").unlink()
    (folder / f"{WET}_probability.tif").write_bytes(b"II")
    segmented(few, out, model)
    assert len(looked) == 5
    segmented(few, out, model, probability=0.6)
    assert len(looked) == 8
    (folder / "looked.json").write_text("[")
    segmented(few, out, model, probability=0.6)
    assert len(looked) == 11


def test_a_preview_reads_nothing(few, model, tmp_path):
    config = SurveyConfig(inputs=(few,), output=tmp_path / "out")
    (fact,) = preview_segmenting(config, SegmentsConfig(model=str(model), pixel=40.0, days=30))
    assert fact["pairs"] == "3 of 4, up to 30 days"
    assert (fact["looks"], fact["pixels"], fact["pixel_m"]) == ([2, 2], [48, 48], [40.0, 40.0])
    assert not config.output.exists()
