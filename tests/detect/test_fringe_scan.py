"""Scans for fringes: scores lie on their cells, one pass equals window by window, and places hang together."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")

from affine import Affine  # noqa: E402
from tests.workflows.fringe_models import write_known  # noqa: E402

from groundshift.detect import fringe_scan  # noqa: E402
from groundshift.detect.fringe_scan import FringeScanner, find_places, mean_slope  # noqa: E402
from groundshift.errors import UnknownFormatError  # noqa: E402
from groundshift.types import MapGrid  # noqa: E402


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {free: FringeScanner.load(write_known(folder / f"{free}.onnx", free=free), 1) for free in (True, False)}


def scene(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    coherence = rng.uniform(0.2, 1, (rows, columns)).astype(np.float32)
    coherence[rng.random((rows, columns)) < 0.1] = 0
    return rng.uniform(-3, 3, (rows, columns)).astype(np.float32), coherence


def share_beyond(wrapped, coherence):
    """What the model is to tell of each cell."""
    rows, columns = (n // 10 for n in wrapped.shape)
    beyond = ((np.abs(wrapped) > 1) & (coherence > 0))[: 10 * rows, : 10 * columns]
    return beyond.reshape(rows, 10, columns, 10).mean((1, 3))


@pytest.mark.parametrize("shape", [(10, 10), (47, 155), (163, 240)])
@pytest.mark.parametrize("free", [True, False])
def test_scores_lie_on_their_cells(models, free, shape):
    wrapped, coherence = scene(*shape)
    assert models[free].free_size is free
    found = models[free].scan(wrapped, coherence)
    np.testing.assert_allclose(found, share_beyond(wrapped, coherence), atol=1e-6)


def test_one_pass_strips_and_single_windows_tell_the_same(models, monkeypatch):
    wrapped, coherence = scene(120, 90)
    whole = models[True].scan(wrapped, coherence)
    np.testing.assert_allclose(models[True].scan(wrapped, coherence, one_by_one=True), whole, atol=1e-6)
    monkeypatch.setattr(fringe_scan, "_STRIP", 1)
    np.testing.assert_allclose(models[True].scan(wrapped, coherence), whole, atol=1e-6)


def test_cells_without_data_have_no_score(models):
    wrapped, coherence = scene(60, 60)
    coherence[:] = 0.5
    coherence[:16, :20] = 0
    wrapped[40:50, 40:56] = np.nan
    found = models[True].scan(wrapped, coherence)
    expected = np.zeros((6, 6), bool)
    expected[:2, :2] = expected[4, 4:] = True
    # Forty of the hundred pixels of the second row of cells are left, and as many of the last cell.
    np.testing.assert_array_equal(np.isnan(found), expected)


def test_scene_smaller_than_a_cell_has_none(models):
    assert models[True].scan(np.zeros((9, 200), np.float32), np.ones((9, 200), np.float32)).shape == (0, 20)


def test_other_models_are_refused(tmp_path):
    path = write_known(tmp_path / "other.onnx", kind="footprint")
    with pytest.raises(UnknownFormatError, match=r"groundshift.kind is 'footprint', expected one of 'fringes'"):
        FringeScanner.load(path)
    path = write_known(tmp_path / "unnamed.onnx", output="answer")
    with pytest.raises(UnknownFormatError, match=r"has no output score"):
        FringeScanner.load(path)


def score_of(*lines):
    return np.array([[np.nan if c == "?" else int(c) / 10 for c in line] for line in lines], np.float32)


def test_places_hang_together_also_at_corners():
    found = find_places(score_of("90008", "09000", "?0?00", "00077"), 0.5, least_cells=1)
    assert [(p.corner, p.cells, round(p.score, 1)) for p in found] == [
        ((0, 0), 2, 0.9),
        ((0, 4), 1, 0.8),
        ((3, 3), 2, 0.7),
    ]


def test_size_filter_drops_single_cells():
    score = score_of("90008", "09000", "00000", "00077")
    assert [p.corner for p in find_places(score)] == [(0, 0), (3, 3)]
    assert [p.corner for p in find_places(score, 0.75)] == [(0, 0)]
    assert find_places(score, least_cells=3) == []


def test_slope_filter_drops_flats_and_keeps_what_is_not_known():
    score = score_of("99000", "00000", "99000", "00000", "99000")
    slope = np.full(score.shape, 20, np.float32)
    slope[2], slope[4] = 10, np.nan
    every = find_places(score, slope=slope)
    np.testing.assert_array_equal([p.slope for p in every], [20, 10, np.nan])
    assert [p.corner[0] for p in find_places(score, slope=slope, least_slope=15)] == [0, 4]


def test_mean_slope_of_a_plane_is_its_slope_and_of_a_ridge_that_around():
    grid = MapGrid((120, 100), Affine(28, 0, 500_000, 0, -28, 4_000_000), "EPSG:32654")
    x = np.arange(100) * 28.0
    plane = np.broadcast_to(np.tan(np.radians(20)) * x, grid.shape).astype(np.float32)
    np.testing.assert_allclose(mean_slope(plane, grid), 20, atol=0.1)
    roof = -np.abs(plane - plane[:, 50:51])
    np.testing.assert_allclose(mean_slope(roof, grid)[:, 20:80], 20, atol=1.5)
    gap = plane.copy()
    gap[:, :60] = np.nan
    told = mean_slope(gap, grid)
    assert np.isnan(told[:, :30]).all()
    np.testing.assert_allclose(told[:, 60:], 20, atol=0.1)
