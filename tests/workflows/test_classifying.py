"""Interferograms looked at one by one for fringes: what is found where, how a run goes on, what it says."""

import csv
import json
import math
from datetime import date, timedelta

import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")

from tests.workflows.fringe_models import write_known  # noqa: E402

from groundshift.detect.fringe_scan import FringeScanner  # noqa: E402
from groundshift.errors import NoDataError  # noqa: E402
from groundshift.io import open_stack  # noqa: E402
from groundshift.workflows import classifying  # noqa: E402
from groundshift.workflows.classifying import preview_classify, run_classify  # noqa: E402
from groundshift.workflows.config import SettingError  # noqa: E402
from groundshift.workflows.fringe_config import ClassifyConfig, FoundConfig, FringeInputConfig, ScanConfig  # noqa: E402
from groundshift.workflows.fringe_pixels import FringePixels  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402

START = date(2008, 1, 5)
SIDE = 160
SLIDE = (slice(40, 70), slice(90, 120))
"""Three by three cells."""


def write_stack(folder, pixel=28.0, side=SIDE, days=(46, 92), *, motion=2.5, dem=True):
    """Write pairs of a slide that moves by so many radians on ground that is otherwise still, beside a hill."""
    folder.mkdir(parents=True)
    transform = Affine(pixel, 0, 400_000, 0, -pixel, 4_250_000)

    def write(name, values):
        with rasterio.open(
            folder / name, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1,
            dtype="float32", transform=transform, crs="EPSG:32654", nodata=math.nan,
        ) as file:  # fmt: skip
            file.write(values.astype(np.float32), 1)

    scale = 28.0 / pixel
    rng = np.random.default_rng(1)
    for number in days:
        phase = rng.normal(0, 0.15, (side, side))
        box = tuple(slice(round(s.start * scale), round(s.stop * scale)) for s in SLIDE)
        phase[box] += motion
        name = f"{START:%Y%m%d}_{START + timedelta(number):%Y%m%d}"
        write(f"{name}_phase.tif", np.angle(np.exp(1j * phase)))
        write(f"{name}_coh.tif", np.full((side, side), 0.8))
    if dem:
        x = np.arange(side) * pixel
        write("dem.tif", np.broadcast_to(np.where(x < x[side // 2], 0, 0.6 * (x - x[side // 2])), (side, side)))
    facts = "wavelength_m: 0.236\nheading_deg: 350\nincidence_deg: 38\ntrack: gassan\n"
    (folder / "metadata.yaml").write_text(facts)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_known(tmp_path_factory.mktemp("model") / "known.onnx"))


@pytest.fixture
def settings(tmp_path, model):
    def make(*inputs, take=None, **places):
        return ClassifyConfig(
            inputs=inputs, output=tmp_path / "out", scan=ScanConfig(model=model), places=FoundConfig(**places),
            take=FringeInputConfig(**{"large_scale": 0, **(take or {})}),
        )  # fmt: skip

    return make


def lines_of(path):
    return [json.loads(line)["text"] for line in path.read_text().splitlines() if '"text"' in line]


def run(config):
    with Reporter(quiet=True, log=config.output / "log.jsonl") as reporter:
        return run_classify(config, reporter)


def test_a_slide_is_found_where_it_is(tmp_path, settings):
    config = settings(write_stack(tmp_path / "in"))
    found = run(config)
    rows = found["candidates"]
    assert [(r["pair"], r["cells"], r["area_m2"]) for r in rows] == [
        ("20080105_20080220", 9, 9 * 280**2), ("20080105_20080406", 9, 9 * 280**2),
    ]  # fmt: skip
    assert all(r["score"] > 0.99 and r["slope"] > 25 for r in rows)
    assert [(p["on_slopes"], p["on_flats"], p["cells"]) for p in found["pairs"]] == [(1, 0, 256)] * 2
    assert found["pairs"][0]["slope_share"] == pytest.approx(0.5, abs=0.07)
    with rasterio.open(tmp_path / "out" / "gassan" / "20080105_20080220_score.tif") as file:
        score = file.read(1)
        assert file.transform == Affine(280, 0, 400_000, 0, -280, 4_250_000)
    assert score.shape == (16, 16)
    assert (score[4:7, 9:12] > 0.99).all()
    assert (score >= 0.5).sum() == 9
    frame = pyogrio.read_dataframe(tmp_path / "out" / "candidates.gpkg", layer="candidates")
    bounds = frame.to_crs("EPSG:32654").geometry.iloc[0].bounds
    wanted = (400_000 + 2520, 4_250_000 - 1960, 400_000 + 3360, 4_250_000 - 1120)
    np.testing.assert_allclose(bounds, wanted, atol=1)
    assert list(frame["pair"]) == [r["pair"] for r in rows]
    with (tmp_path / "out" / "candidates.csv").open() as file:
        assert [row["cells"] for row in csv.DictReader(file)] == ["9", "9"]
    assert (tmp_path / "out" / "gassan" / "20080105_20080406.png").stat().st_size > 10_000


def test_large_phase_is_taken_out_before_it_is_looked_at(tmp_path, settings):
    stack = write_stack(tmp_path / "in", days=(46,))
    path = stack / "20080105_20080220_phase.tif"
    with rasterio.open(path, "r+") as file:
        ramp = 0.05 * np.arange(SIDE)[:, None]
        file.write(np.angle(np.exp(1j * (file.read(1) + ramp))).astype(np.float32), 1)
    with_it = run(settings(stack))
    without = run(settings(stack, take={"large_scale": 2000.0}))
    assert sum(r["cells"] for r in with_it["candidates"]) > 60
    assert any(8 <= r["cells"] <= 12 for r in without["candidates"])
    assert sum(r["cells"] for r in without["candidates"]) < 20


def test_filters_drop_what_is_small_and_what_is_flat(tmp_path, settings):
    stack = write_stack(tmp_path / "in", days=(46,))
    assert len(run(settings(stack, least_cells=9))["candidates"]) == 1
    assert (tmp_path / "out" / "candidates.gpkg").exists()
    assert run(settings(stack, least_cells=10))["candidates"] == []
    assert not (tmp_path / "out" / "candidates.gpkg").exists()
    assert len(run(settings(stack, least_slope=25))["candidates"]) == 1
    assert run(settings(stack, least_slope=35))["candidates"] == []


def test_slopes_are_not_asked_for_without_heights(tmp_path, settings):
    stack = write_stack(tmp_path / "in", dem=False)
    with pytest.raises(SettingError, match=r"^--least-slope: gassan brings no heights; name a DEM with --dem$"):
        run(settings(stack, least_slope=15))
    found = run(settings(stack))
    assert found["candidates"][0]["slope"] is None
    assert "on_slopes" not in found["pairs"][0]


def test_heights_of_a_file_tell_slopes(tmp_path, settings):
    stack = write_stack(tmp_path / "in", days=(46,))
    dem = (stack / "dem.tif").rename(tmp_path / "heights.tif")
    found = run(settings(stack, take={"dem": dem}))
    assert found["candidates"][0]["slope"] > 25


def test_a_run_goes_on_where_it_stopped(tmp_path, settings, monkeypatch):
    stack = write_stack(tmp_path / "in")
    config = settings(stack)
    before = run(config)
    calls = []
    scan = FringeScanner.scan
    monkeypatch.setattr(FringeScanner, "scan", lambda self, *a, **k: (calls.append(1), scan(self, *a, **k))[1])
    assert run(config) == before
    assert calls == []
    # Another threshold needs no new scan; a new pair needs one of its own.
    assert len(run(settings(stack, least_cells=10))["candidates"]) == 0
    assert calls == []
    (tmp_path / "out" / "gassan" / "20080105_20080406_score.tif").unlink()
    assert run(config) == before
    assert len(calls) == 1


def test_pixels_are_brought_to_those_of_the_network(tmp_path, settings):
    fine = write_stack(tmp_path / "in", pixel=10.0, side=448, days=(46,))
    config = settings(fine)
    facts = preview_classify(config)[0]
    assert (facts["pixels"], facts["pixel_m"], facts["cells"]) == ([159, 159], [28.0, 28.0], [15, 15])
    assert (facts["pairs"], facts["scan"]) == ("1 of 1", "in one pass")
    assert not (tmp_path / "out").exists()
    rows = run(config)["candidates"]
    assert [r["cells"] for r in rows] == [9]
    assert "gassan: pixels of 10.0 x 10.0 m are looked at as 28.0 x 28.0 m" in lines_of(tmp_path / "out" / "log.jsonl")


@pytest.mark.parametrize("pixel", [10.0, 28.0, 40.0])
def test_working_pixels_show_the_phase_of_their_place(tmp_path, pixel):
    side = round(4200 / pixel)
    stack = write_stack(tmp_path / "in", pixel=pixel, side=side, days=(46,), motion=0)
    path = stack / "20080105_20080220_phase.tif"
    east, north = (np.arange(side) + 0.5) * pixel, (np.arange(side) + 0.5)[:, None] * pixel
    with rasterio.open(path, "r+") as file:
        file.write(np.angle(np.exp(1j * (east + 2 * north) / 1000)).astype(np.float32), 1)
    opened = open_stack(stack)
    pixels = FringePixels.of(opened, 28.0)
    igram = pixels.igram(opened.pairs[0], 0)
    assert igram.shape == pixels.grid.shape
    y, x = ((np.arange(n) + 0.5) * m for n, m in zip(igram.shape, pixels.grid.spacing, strict=True))
    off = np.angle(igram * np.exp(-1j * (x + 2 * y[:, None]) / 1000))
    assert np.abs(off[1:-1, 1:-1]).max() < 0.01
    assert np.abs(igram).max() <= 0.8 + 1e-5
    assert pixels.grid.spacing == pytest.approx((28, 28))


def test_pairs_are_chosen_by_days_and_damaged_ones_left_out(tmp_path, settings):
    stack = write_stack(tmp_path / "in", days=(46, 92, 138))
    path = stack / "20080105_20080406_phase.tif"
    path.write_bytes(path.read_bytes()[:3000])
    found = run(settings(stack, take={"days": (90, 200)}))
    assert [p["pair"] for p in found["pairs"]] == ["20080105_20080522"]
    assert any(
        "20080406" in line and line.endswith("pair left out") for line in lines_of(tmp_path / "out" / "log.jsonl")
    )
    with pytest.raises(NoDataError, match=r"no pair of 1 to 20 days; change --days$"):
        run(settings(stack, take={"days": (1, 20)}))


def test_noise_and_scenes_without_a_cell_are_said(tmp_path, settings):
    stack = write_stack(tmp_path / "in", days=(46,))
    with rasterio.open(stack / "20080105_20080220_phase.tif", "r+") as file:
        file.write(np.random.default_rng(0).uniform(-3, 3, (SIDE, SIDE)).astype(np.float32), 1)
    with rasterio.open(stack / "20080105_20080220_coh.tif", "r+") as file:
        file.write(np.full((SIDE, SIDE), 0.05, np.float32), 1)
    assert run(settings(stack))["candidates"] == []
    said = lines_of(tmp_path / "out" / "log.jsonl")
    assert "gassan: 20080105_20080220 is all noise; nothing can be seen in it" in said
    small = write_stack(tmp_path / "small", side=8, days=(46,))
    with pytest.raises(NoDataError, match=r"8 x 8 pixels hold no cell of 10 x 10$"):
        run(settings(small))


@pytest.mark.real
def test_candidates_of_a_radar_grid_lie_on_it(real_data, settings, monkeypatch):
    monkeypatch.setattr(classifying, "_draw", lambda path, *_: path.touch())
    config = settings(real_data / "danba", take={"days": (96, 96), "large_scale": 2000.0}, threshold=0.3)
    found = run(config)
    grid = open_stack(real_data / "danba").grid
    longitude, latitude = grid.lonlat(*np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float))
    frame = pyogrio.read_dataframe(config.output / "candidates.gpkg", layer="candidates")
    assert len(frame) == len(found["candidates"]) > 0
    west, south, east, north = frame.total_bounds
    edge = 1e-3
    assert longitude.min() - edge < west < east < longitude.max() + edge
    assert latitude.min() - edge < south < north < latitude.max() + edge
    assert all(row["on_slopes"] + row["on_flats"] == row["candidates"] for row in found["pairs"])
