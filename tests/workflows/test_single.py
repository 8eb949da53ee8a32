"""Single interferograms: the bowls in them, their phase unwrapped, and the pairs in which nothing is seen."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from PIL import Image
from tests.mines import AIR, BOWL, PER_RADIAN_MM, SHAPE, TRACK, hill
from tests.workflows.bowl_models import write_bowl_model

from groundshift.errors import DamagedFileError, NoDataError
from groundshift.io import open_stack
from groundshift.unwrap import UnwrappingError, Whirlwind
from groundshift.workflows import single
from groundshift.workflows.config import SettingError, SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.single import run_single

EARLY, DRY, WET = "20150105_20150129", "20150210_20150222", "20150222_20150306"
"""Pairs by what they show: 8 radians, 4 radians, and 8 radians with air over another place."""
COLUMNS = [
    "track", "pair", "bowl", "row", "column", "score", "area_m2", "foreseen_peak_rad", "unwrapped_peak_rad",
    "displacement_mm", "residues_before", "residues_after", "longitude", "latitude",
]  # fmt: skip


@pytest.fixture(scope="module")
def few(mines, tmp_path_factory):
    """Folder of three pairs, and one that is too long."""
    folder = tmp_path_factory.mktemp("few") / "scene"
    folder.mkdir()
    for name in (
        "metadata.yaml",
        *(f"{n}_{k}.tif" for n in (EARLY, DRY, WET, "20150105_20150210") for k in ("phase", "coh")),
    ):
        shutil.copy2(mines / name, folder / name)
    return folder


def config_of(inputs, out, bowls=None, **series):
    return SurveyConfig.model_validate(
        {
            "inputs": [inputs] if not isinstance(inputs, list) else inputs,
            "output": out,
            "bowls": {"look_for": "bowls", "bowl_detector": "rules"} | (bowls or {}),
            "series": {"unwrapper": "whirlwind", "foresight": "none"} | series,
        }
    )


def look(inputs, out, bowls=None, **series):
    """Run, and return the rows and the lines of warning."""
    with Reporter(quiet=True, log=out.parent / "log.jsonl") as reporter:
        rows = run_single(config_of(inputs, out, bowls, **series), reporter)
    log = out.parent / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return rows, [line["text"] for line in lines if line["event"] == "warning"]


@pytest.fixture(scope="module")
def seen(few, tmp_path_factory):
    """Folder of what three pairs show, and the rows."""
    out = tmp_path_factory.mktemp("seen") / "out"
    return out, *look(few, out)


@pytest.fixture
def plain(monkeypatch):
    """Look without pictures, which cost most of the time here."""
    monkeypatch.setattr(single, "_draw", lambda *_: None)


def of_pair(rows, name):
    return [row for row in rows if row["pair"] == name]


def test_bowls_are_where_they_are_with_their_depth_and_sign(seen, few):
    out, rows, warned = seen
    assert warned == []
    grid = open_stack(few).grid
    place = [float(v[0]) for v in grid.lonlat(np.array([float(BOWL[0])]), np.array([float(BOWL[1])]))]
    for name, depth in ((EARLY, 8), (DRY, 4), (WET, 8)):
        row = next(r for r in of_pair(rows, name) if abs(r["row"] - BOWL[0]) < 3)
        assert (row["row"], row["column"]) == (pytest.approx(BOWL[0], abs=1), pytest.approx(BOWL[1], abs=1))
        assert (row["longitude"], row["latitude"]) == (
            pytest.approx(place[0], abs=3e-4),
            pytest.approx(place[1], abs=3e-4),
        )
        assert row["unwrapped_peak_rad"] == pytest.approx(depth, abs=0.8)
        assert row["displacement_mm"] == pytest.approx(-PER_RADIAN_MM * row["unwrapped_peak_rad"], abs=0.06)
        assert row["foreseen_peak_rad"] == pytest.approx(depth, rel=0.35)
        area = 400 * (depth * hill(BOWL) > np.pi / 3).sum()
        assert row["area_m2"] == pytest.approx(area, rel=0.35)
        assert 0.5 <= row["score"] <= 1
    assert [len(of_pair(rows, name)) for name in (EARLY, DRY, WET)] == [1, 1, 2]
    # Air is a bowl in a single pair.
    air = next(r for r in of_pair(rows, WET) if abs(r["row"] - AIR[0]) < 3)
    assert air["column"] == pytest.approx(AIR[1], abs=1)
    with (out / "bowls.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == COLUMNS
    assert [{k: str(v) for k, v in row.items()} for row in rows] == written


def test_maps_are_those_of_the_pair(seen, few):
    out, _, _ = seen
    stack = open_stack(few)
    folder = out / TRACK
    kinds = ("_probability.tif", "_unwrapped.tif", ".png")
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{n}{k}" for n in (EARLY, DRY, WET) for k in kinds)
    for name, depth in ((EARLY, 8), (DRY, 4)):
        wrapped = np.angle(stack.read(next(p for p in stack.pairs if p.name == name)))
        with rasterio.open(folder / f"{name}_unwrapped.tif") as source:
            unwrapped, units, crs, transform = source.read(1), source.units, source.crs, source.transform
        assert (units, crs.to_string(), transform) == (("rad",), stack.grid.crs, stack.grid.transform)
        # Zero on the ground around, and but for that level what was given.
        level = (unwrapped - wrapped) / (2 * np.pi)
        off = level - np.round(level - np.median(level)) - np.median(level)
        assert np.abs(off).max() < 1e-3
        assert np.abs(np.median(unwrapped[hill(BOWL) < 1e-3])) < 0.05
        assert np.mean(np.abs(unwrapped - depth * hill(BOWL)) < 1.5) > 0.99
        with rasterio.open(folder / f"{name}_probability.tif") as source:
            probability = source.read(1)
        assert probability[BOWL] > 0.5
        assert probability[:10].max() < 0.5
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width > 1000


@pytest.mark.usefixtures("plain")
def test_a_network_finds_and_foresees(few, tmp_path):
    path = write_bowl_model(tmp_path / "a.onnx", "bowls", edge=1.0)
    model = str(path)
    rows, _ = look(few, tmp_path / "out", {"bowl_detector": "network", "bowl_model": model}, foresight=model)
    row = next(r for r in of_pair(rows, DRY) if abs(r["row"] - BOWL[0]) < 3)
    assert row["unwrapped_peak_rad"] == pytest.approx(4, abs=0.8)


@pytest.mark.usefixtures("plain")
def test_looks_make_the_phase_trusted_more(few, tmp_path, monkeypatch):
    asked = []
    unwrap = Whirlwind.unwrap

    def noted(self, wrapped, coherence, nlooks):
        asked.append((wrapped.shape, nlooks))
        return unwrap(self, wrapped, coherence, nlooks)

    monkeypatch.setattr(Whirlwind, "unwrap", noted)
    monkeypatch.setattr(single, "with_foresight", lambda unwrapper, _: unwrapper)
    look(few, tmp_path / "out", {"bowl_pixel": 40.0}, nlooks=5.0)
    assert asked == [((48, 48), 20.0)] * 3


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_products_without_a_place_have_rows_and_columns_only(mines, tmp_path):
    folder = tmp_path / "wzp"
    folder.mkdir()
    with rasterio.open(mines / f"{DRY}_phase.tif") as source:
        phase = source.read(1)
    phase.astype("<f4").tofile(folder / "96_20150210-20150222.wzp")
    (folder / "96_20150210-20150222.txt").write_text("width: 96\nspacing: 20\n")
    rows, warned = look(folder, tmp_path / "out")
    assert warned == []
    row = next(r for r in rows if abs(r["row"] - BOWL[0]) < 3)
    assert row["column"] == pytest.approx(BOWL[1], abs=1)
    assert row["unwrapped_peak_rad"] == pytest.approx(4, abs=0.8)
    assert "longitude" not in row
    assert (tmp_path / "out" / "bowls.csv").read_text().splitlines()[0] == ",".join(COLUMNS[:-2])
    assert {p.suffix for p in (tmp_path / "out" / "wzp").iterdir()} == {".tif", ".png"}


@pytest.mark.usefixtures("plain")
def test_where_there_is_no_bowl_the_table_is_empty(few, tmp_path):
    rows, warned = look(few, tmp_path / "out", {"bowl_pixels": 4000})
    assert (rows, warned) == ([], [])
    assert (tmp_path / "out" / "bowls.csv").read_text() == "track,pair,bowl\n"
    assert (tmp_path / "out" / TRACK / f"{DRY}_unwrapped.tif").exists()


# Pairs in which nothing is seen


def spoiled(monkeypatch, **igrams):
    """Open inputs as usual, with other interferograms for the pairs named; an error is raised."""
    opened = single.open_tracks

    def open_spoiled(*arguments, **options):
        return [
            replace(stack, read_pair=lambda p, w, s=stack: read(s, p, w)) for stack in opened(*arguments, **options)
        ]

    def read(stack, pair, window):
        other = igrams.get(f"p{pair.name}")
        if isinstance(other, Exception):
            raise other
        return stack.read_pair(pair, window) if other is None else other[window.rows, window.columns]

    monkeypatch.setattr(single, "open_tracks", open_spoiled)


@pytest.mark.usefixtures("plain")
def test_pairs_of_noise_or_without_data_or_damaged_are_named_and_the_others_go_on(few, tmp_path, monkeypatch, seen):
    noise = np.exp(2j * np.pi * np.random.default_rng(3).random(SHAPE)).astype(np.complex64)
    damaged = DamagedFileError(f"{WET}_phase.tif: not a readable raster; fetch it again")
    with monkeypatch.context() as patch:
        spoiled(patch, **{f"p{EARLY}": noise, f"p{WET}": damaged})
        rows, warned = look(few, tmp_path / "a" / "out")
    assert rows == of_pair(seen[1], DRY)
    assert warned == [
        f"{TRACK}: {EARLY} is all noise; nothing can be seen in it",
        f"{WET}_phase.tif: not a readable raster; fetch it again; pair left out",
    ]
    spoiled(monkeypatch, **{f"p{EARLY}": np.zeros(SHAPE, np.complex64), f"p{WET}": noise})
    rows, warned = look(few, tmp_path / "b" / "out")
    assert rows == of_pair(seen[1], DRY)
    assert warned == [f"{TRACK}: {EARLY} has no data", f"{TRACK}: {WET} is all noise; nothing can be seen in it"]


def test_where_no_pair_can_be_read_that_is_said(few, tmp_path, monkeypatch):
    damaged = DamagedFileError("a.tif: not a readable raster")
    spoiled(monkeypatch, **{f"p{name}": damaged for name in (EARLY, DRY, WET)})
    with pytest.raises(
        NoDataError, match=f"^{few}: none of 3 pairs could be read; last: a.tif: not a readable raster$"
    ):
        look(few, tmp_path / "out")


@pytest.mark.usefixtures("plain")
def test_a_pair_that_cannot_be_unwrapped_stops_no_other(few, tmp_path, monkeypatch):
    unwrap, calls = Whirlwind.unwrap, []

    def fail_once(self, *arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise UnwrappingError("whirlwind gave up: no flow; try another unwrapper")
        return unwrap(self, *arguments)

    monkeypatch.setattr(Whirlwind, "unwrap", fail_once)
    rows, warned = look(few, tmp_path / "out")
    assert warned == [f"{TRACK}: {EARLY} left out: whirlwind gave up: no flow; try another unwrapper"]
    assert {row["pair"] for row in rows} == {DRY, WET}


@pytest.mark.usefixtures("plain")
def test_a_track_without_a_short_pair_is_said_and_the_others_go_on(few, tmp_path):
    long = tmp_path / "long"
    long.mkdir()
    for name in ("metadata.yaml", "20150105_20150210_phase.tif", "20150105_20150210_coh.tif"):
        shutil.copy2(few / name, long / name)
    line = f"{long}: no pair of up to 24 days; raise --bowl-days"
    with pytest.raises(NoDataError, match=f"^{line}$"):
        look(long, tmp_path / "a" / "out")
    rows, warned = look([long, few], tmp_path / "b" / "out", {"bowl_pixels": 100})
    assert warned == [f"{TRACK} left out: {line}"]
    assert {row["track"] for row in rows} == {f"{TRACK}-2"}


def test_models_are_looked_at_before_anything_is_written(few, tmp_path):
    phase_only = write_bowl_model(tmp_path / "p.onnx", "unwrapped")
    with pytest.raises(SettingError, match=r"^--bowl-model: "):
        look(few, tmp_path / "out", {"bowl_detector": "network", "bowl_model": str(phase_only)})
    with pytest.raises(SettingError, match=r"^--foresight: "):
        look(few, tmp_path / "out", foresight=str(write_bowl_model(tmp_path / "f.onnx", "footprint")))
    assert not (tmp_path / "out").exists()
