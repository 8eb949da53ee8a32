import numpy as np
import pytest
from tests.products import licsar as product
from tests.products.scene import make_scene

from groundshift.errors import NoDataError
from groundshift.io import licsar
from groundshift.types import Window


@pytest.fixture
def scene():
    return make_scene()


@pytest.fixture
def frame(tmp_path, scene):
    return product.write(tmp_path, scene)


def test_frame_interferograms_and_geoc_folders_open_alike(frame):
    outer, inner = licsar.open_stack(frame), licsar.open_stack(frame / "interferograms")
    assert outer.track == inner.track == "135D_05886_131313"
    assert outer.pairs == inner.pairs
    assert inner.look.heading == pytest.approx(190.2)
    np.testing.assert_array_equal(inner.read_height(inner.full), outer.read_height(outer.full))


def test_licsbas_layout_with_metadata_inside_geoc(frame, tmp_path):
    """LiCSBAS fetches everything into one folder GEOC."""
    geoc = tmp_path / "135D_05886_131313" / "GEOC"
    (frame / "interferograms").rename(geoc)
    for file in (frame / "metadata").iterdir():
        file.rename(geoc / file.name)
    stack = licsar.open_stack(geoc)
    assert len(stack.pairs) == 4
    assert stack.pairs[0].perpendicular_baseline == 35.5
    assert stack.look is not None
    assert stack.read_height is not None
    assert licsar.recognises(frame)
    assert licsar.open_stack(frame).pairs == stack.pairs


def test_old_float_coherence_is_read_as_it_is(frame, scene):
    for file, layer in zip(sorted(frame.rglob("*.geo.cc.tif")), scene.layers, strict=True):
        product.write_tif(file, np.where(layer.valid, layer.coherence, 0).astype(np.float32), scene.grid)
    stack = licsar.open_stack(frame)
    for pair, layer in zip(stack.pairs, scene.layers, strict=True):
        np.testing.assert_allclose(np.abs(stack.read(pair)), np.abs(layer.igram), atol=1e-6)


def test_unwrapped_phase_is_wrapped_again_where_there_is_no_other(frame, scene):
    for file, layer in zip(sorted(frame.rglob("*.geo.diff_pha.tif")), scene.layers, strict=True):
        unw = np.where(layer.valid, layer.unwrapped, 0).astype(np.float32)
        product.write_tif(file.with_name(file.name.replace("diff_pha", "unw")), unw, scene.grid)
        if layer is not scene.layers[0]:
            file.unlink()
    stack = licsar.open_stack(frame)
    kinds = [files[0].name.split(".")[2] for files in stack.files.values()]
    assert kinds == ["diff_pha", "unw", "unw", "unw"]
    for pair, layer in zip(stack.pairs, scene.layers, strict=True):
        np.testing.assert_allclose(stack.read(pair), layer.igram, atol=1e-5)


def test_filtered_phase_goes_before_unfiltered(frame, scene):
    for file in sorted(frame.rglob("*.geo.diff_pha.tif")):
        noise = np.ones(scene.grid.shape, np.float32)
        product.write_tif(file.with_name(file.name.replace("diff_pha", "diff_unfiltered_pha")), noise, scene.grid)
    stack = licsar.open_stack(frame)
    np.testing.assert_allclose(stack.read(stack.pairs[0]), scene.layers[0].igram, atol=1e-5)


def test_without_any_coherence_it_is_estimated(frame, scene):
    for file in frame.rglob("*.geo.cc.tif"):
        file.unlink()
    stack = licsar.open_stack(frame)
    assert stack.coherence_source == "estimated"
    igram = stack.read(stack.pairs[1])
    np.testing.assert_array_equal(igram != 0, scene.layers[1].valid)
    window = Window(3, 9, 20, 5)
    np.testing.assert_array_equal(stack.read(stack.pairs[1], window), igram[window.rows, window.columns])


def test_folder_of_a_pair_without_phase_is_named(frame):
    victim = sorted(frame.rglob("*.geo.diff_pha.tif"))[3]
    victim.unlink()
    stack = licsar.open_stack(frame)
    (problem,) = stack.problems
    assert problem.message == (
        f"{victim.parent}: no .geo.diff_pha.tif or .geo.unw.tif for 20180831_20181006; fetch one or remove the folder"
    )


def test_look_vectors_that_point_down_mean_the_same_satellite(frame, scene):
    for name, value in zip("ENU", scene.look.to_satellite, strict=True):
        (file,) = frame.rglob(f"*.geo.{name}.tif")
        product.write_tif(file, np.full(scene.grid.shape, -value, np.float32), scene.grid)
    np.testing.assert_allclose(licsar.open_stack(frame).look.to_satellite, scene.look.to_satellite, atol=1e-6)


def test_look_falls_back_on_metadata(frame):
    for file in frame.rglob("*.geo.[ENU].tif"):
        file.unlink()
    look = licsar.open_stack(frame).look
    assert (look.heading, look.incidence) == (-169.8, 37.3)
    next(frame.rglob("metadata.txt")).unlink()
    assert licsar.open_stack(frame).look is None


def test_old_list_of_baselines_names_pairs(frame):
    next(frame.rglob("baselines")).write_text(
        "1 20180702 20180714 12.5 12.0 0.0 12.0 0.0 12.5\n2 20180714 20180726 -3.5 12.0 12.0 24.0 12.5 9.0\n"
    )
    found = [p.perpendicular_baseline for p in licsar.open_stack(frame).pairs]
    assert found == [12.5, None, -3.5, None]


def test_sea_and_frame_edge_have_no_height(frame, scene):
    heights = scene.heights.copy()
    heights[:5] = 0
    (file,) = frame.rglob("*.geo.hgt.tif")
    product.write_tif(file, heights, scene.grid)
    read = licsar.open_stack(frame).read_height(Window(0, 0, 10, 30))
    assert np.isnan(read[:5]).all()
    np.testing.assert_array_equal(read[5:], scene.heights[5:10])


def test_heights_on_another_grid_are_left_out_with_a_word(frame, scene):
    (file,) = frame.rglob("*.geo.hgt.tif")
    product.write_tif(file, scene.heights, scene.grid.shifted(0.4, 0))
    stack = licsar.open_stack(frame)
    assert stack.read_height is None
    assert [(p.path, p.skipped) for p in stack.problems] == [(file, False)]


def test_pair_of_another_size_is_named(frame, scene):
    stem = sorted(frame.rglob("*.geo.diff_pha.tif"))[0]
    for kind in ("diff_pha", "cc"):
        file = stem.with_name(stem.name.replace("diff_pha", kind))
        product.write_tif(file, np.ones((38, 30), np.float32), scene.grid.cropped(Window(0, 0, 38, 30)))
    (problem,) = licsar.open_stack(frame).problems
    assert problem.message == (
        f"{stem}: 38 x 30 pixels do not cover what the 40 x 30 of the other pairs do; fetch it again or remove it"
    )


def test_folder_without_interferograms(tmp_path):
    with pytest.raises(NoDataError) as caught:
        licsar.open_stack(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no interferograms here; give the folder that holds them"
