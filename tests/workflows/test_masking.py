"""Interferograms masked one by one: what is written, what is kept, what is left out."""

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
from PIL import Image
from scipy.special import expit
from tests.workflows.mask_models import write_mask_model

from groundshift.detect.mask_network import amplitude_plane
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io import open_stack
from groundshift.masks.decorrelation import otsu_mask, otsu_threshold
from groundshift.workflows import masking
from groundshift.workflows.masking import MaskingConfig, preview_masking, run_masking
from groundshift.workflows.progress import Reporter


@pytest.fixture(scope="module")
def few(simulated, tmp_path_factory):
    """Folder of the first three pairs of a scene, one of which has a hole."""
    folder = tmp_path_factory.mktemp("few") / "scene"
    names = sorted(p.name[:17] for p in simulated.glob("*_phase.tif"))[:3]
    folder.mkdir()
    for path in simulated.iterdir():
        if path.name[:17] in names or path.name == "metadata.yaml":
            shutil.copy2(path, folder)
    with rasterio.open(folder / f"{names[1]}_coh.tif", "r+") as file:
        values = file.read(1)
        values[:10, :20] = 0
        file.write(values, 1)
    return folder


@pytest.fixture
def model(tmp_path):
    return str(write_mask_model(tmp_path / "model.onnx", edge=0.6))


def run(inputs, out, **options):
    """Run, and return the rows and the lines of warning."""
    log = out.parent / "log.jsonl"
    with Reporter(quiet=True, log=log) as reporter:
        rows = run_masking(MaskingConfig((inputs,), out, **options), reporter)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return rows, [line["text"] for line in lines if line["event"] == "warning"]


def band(path):
    with rasterio.open(path) as source:
        return source.read(1), source.nodata


def test_maps_are_those_of_the_pair(few, model, tmp_path):
    rows, warned = run(few, tmp_path / "out", model=model, threshold=0.4)
    assert warned == []
    stack = open_stack(few)
    folder = tmp_path / "out" / stack.track
    assert len(rows) == 3
    coherent, seen = np.zeros(stack.grid.shape), np.zeros(stack.grid.shape)
    for pair, row in zip(sorted(stack.pairs), rows, strict=True):
        igram = stack.read(pair)
        known, coherence = igram != 0, np.abs(igram)
        mask, nodata = band(folder / f"{pair.name}_coherent.tif")
        assert (mask.dtype, nodata) == (np.uint8, 255)
        assert np.array_equal(mask == 255, ~known)
        expected = expit(10 * (coherence - 0.6))
        sure = known & (np.abs(expected - 0.5) > 1e-4)
        assert np.array_equal(mask[sure] == 1, expected[sure] > 0.5)
        probability, nodata = band(folder / f"{pair.name}_probability.tif")
        assert np.isnan(nodata)
        np.testing.assert_allclose(probability[known], expected[known], atol=2e-5)
        assert np.isnan(probability[~known]).all()
        assert row["pixels"] == known.sum()
        assert row["coherent_network"] == pytest.approx((mask == 1).sum() / known.sum(), abs=1e-4)
        assert row["coherent_otsu"] == pytest.approx(otsu_mask(coherence).sum() / known.sum(), abs=1e-4)
        assert row["coherent_threshold"] == pytest.approx((coherence > 0.4).sum() / known.sum(), abs=1e-4)
        assert row["otsu_threshold"] == pytest.approx(otsu_threshold(coherence), abs=1e-4)
        with Image.open(folder / f"{pair.name}.png") as picture:
            assert picture.width > 1000
        coherent += mask == 1
        seen += known
    share, _ = band(folder / "share_coherent.tif")
    np.testing.assert_allclose(share, coherent / seen, rtol=1e-6)
    with rasterio.open(folder / "share_coherent.tif") as source:
        assert (source.crs.to_string(), source.transform) == (stack.grid.crs, stack.grid.transform)
    with (tmp_path / "out" / "masks.csv").open(newline="") as file:
        assert [{k: str(v) for k, v in row.items()} for row in rows] == list(csv.DictReader(file))


@pytest.mark.parametrize("way", ["otsu", "threshold"])
def test_thresholds_need_no_network(few, tmp_path, monkeypatch, way):
    monkeypatch.setattr(masking, "draw_view", lambda *_: None)
    rows, _ = run(few, tmp_path / "out", mask_with=way, model="nothing", threshold=0.4)
    stack = open_stack(few)
    assert "coherent_network" not in rows[0]
    assert not list((tmp_path / "out" / stack.track).glob("*_probability.tif"))
    for pair in stack.pairs:
        coherence = np.abs(stack.read(pair))
        mask, _ = band(tmp_path / "out" / stack.track / f"{pair.name}_coherent.tif")
        expected = otsu_mask(coherence) if way == "otsu" else coherence > 0.4
        assert np.array_equal(mask[coherence > 0] == 1, expected[coherence > 0])


def test_amplitude_is_shown_to_the_network(few, model, tmp_path, monkeypatch):
    monkeypatch.setattr(masking, "draw_view", lambda *_: None)
    stack = open_stack(few)
    amplitude = np.random.default_rng(0).uniform(1, 9, stack.grid.shape).astype(np.float32)
    path = tmp_path / "amplitude.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=amplitude.shape[0], width=amplitude.shape[1], count=1, dtype="float32",
        transform=stack.grid.transform, crs=stack.grid.crs,
    ) as file:  # fmt: skip
        file.write(amplitude, 1)
    run(few, tmp_path / "out", model=model, amplitude=path)
    pair = sorted(stack.pairs)[0]
    igram = stack.read(pair)
    known = igram != 0
    probability, _ = band(tmp_path / "out" / stack.track / f"{pair.name}_probability.tif")
    plane = amplitude_plane(np.where(known, amplitude, np.nan))
    np.testing.assert_allclose(probability[known], expit(10 * (np.abs(igram) + plane - 0.6))[known], atol=2e-5)
    with pytest.raises(MissingFileError, match=r"no\.tif: no such file; check the spelling of --amplitude"):
        run(few, tmp_path / "other", model=model, amplitude=tmp_path / "no.tif")
    with rasterio.open(path, "w", driver="GTiff", height=65, width=80, count=1, dtype="float32") as file:
        file.write(np.ones((65, 80), np.float32), 1)
    with pytest.raises(DamagedFileError, match=r"expected 64 x 80 pixels as of .*, instead got 65 x 80; cut it"):
        run(few, tmp_path / "other", model=model, amplitude=path)


def test_what_is_done_is_kept_and_what_changed_is_made_again(few, model, tmp_path, monkeypatch):
    made = []
    real = masking._mask_pair

    def noted(stack, pair, *rest):
        made.append(pair.name)
        return real(stack, pair, *rest)

    monkeypatch.setattr(masking, "_mask_pair", noted)
    monkeypatch.setattr(masking, "draw_view", lambda path, *_: path.write_bytes(b"picture"))
    folder = shutil.copytree(few, tmp_path / "scene")
    out = tmp_path / "out"
    first, _ = run(folder, out, model=model)
    names = list(made)
    assert len(names) == 3
    made.clear()
    before = (out / "masks.csv").read_bytes()
    assert run(folder, out, model=model)[0] == first
    assert made == []
    assert (out / "masks.csv").read_bytes() == before
    track = out / first[0]["track"]
    (track / f"{names[0]}_probability.tif").unlink()
    (folder / f"{names[2]}_coh.tif").touch()
    run(folder, out, model=model)
    assert made == [names[0], names[2]]
    made.clear()
    for change in ({"probability": 0.7}, {"mask_with": "otsu"}):
        run(folder, out, model=model, **change)
        assert made == names
        made.clear()
    (track / "masked.json").write_text("broken")
    run(folder, out, model=model)
    assert made == names


def test_a_pair_that_cannot_be_read_is_left_out(few, model, tmp_path, monkeypatch):
    monkeypatch.setattr(masking, "draw_view", lambda *_: None)
    read = masking.read_pair
    gone = sorted(open_stack(few).pairs)[0]

    def fail(stack, pair, window):
        if pair == gone:
            raise masking.PairFailedError(pair, window, f"{pair.name}: broken")
        return read(stack, pair, window)

    monkeypatch.setattr(masking, "read_pair", fail)
    rows, warned = run(few, tmp_path / "out", model=model)
    assert len(rows) == 2
    assert warned == [f"{gone.name}: broken; pair left out"]
    monkeypatch.setattr(masking, "read_pair", lambda s, p, w: fail(s, gone, w))
    with pytest.raises(NoDataError, match=r"none of 3 pairs could be read; .*broken"):
        run(few, tmp_path / "other", model=model)


def test_coherence_that_is_the_same_everywhere_masks_nothing_by_otsu():
    igram = np.full((8, 9), 0.5 + 0j, np.complex64)
    igram[0] = 0
    view = masking.look_at(igram, MaskingConfig((), ".", mask_with="otsu"), None, None)
    assert np.isnan(view.otsu)
    assert np.array_equal(view.masks["otsu"], igram != 0)


def test_a_preview_reads_nothing_and_knows_the_model(few, model, tmp_path):
    (told,) = preview_masking(MaskingConfig((few,), tmp_path / "out", model=model))
    assert (told["pairs"], told["pixels"], told["masked_with"], told["skipped"]) == (3, [64, 80], "network", [])
    assert not (tmp_path / "out").exists()
    with pytest.raises(MissingFileError, match=r"^--mask-model: nothing: no such model"):
        preview_masking(MaskingConfig((few,), tmp_path / "out", model="nothing"))
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    with pytest.raises((DamagedFileError, ValueError), match=r"^--mask-model: "):
        preview_masking(MaskingConfig((few,), tmp_path / "out", model=str(bad)))


@pytest.mark.real
@pytest.mark.parametrize("name", ["danba", "mexico_city"])
def test_real_pairs_are_masked(real_data, tmp_path, monkeypatch, name):
    """By Otsu some ground of every real scene is coherent and some is not, and the share lies between 0 and 1."""
    stack = open_stack(real_data / name)
    chosen = stack.select(sorted(stack.pairs)[:2])
    monkeypatch.setattr(masking, "open_tracks", lambda *_, **__: [chosen])
    rows, _ = run(real_data / name, tmp_path / "out", mask_with="otsu")
    assert len(rows) == 2
    assert all(0.1 < row["coherent_otsu"] < 0.95 for row in rows)
    share, _ = band(tmp_path / "out" / chosen.track / "share_coherent.tif")
    assert set(np.unique(share[np.isfinite(share)])) <= {0.0, 0.5, 1.0}
