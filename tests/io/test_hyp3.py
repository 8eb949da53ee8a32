from dataclasses import replace

import numpy as np
import pytest
from tests.products import hyp3 as product
from tests.products.scene import make_scene

from groundshift.errors import GroundshiftError, ProductError
from groundshift.io import hyp3
from groundshift.types import MapGrid, Window


@pytest.fixture
def scene():
    return make_scene("EPSG:32648")


def moved(scene, index, dy, dx, shape):
    """Return the scene with one layer on a grid that starts `dy` rows and `dx` columns before and has `shape`.

    Its phase continues the ramp, so that it is the same at the same place.
    """
    layer = scene.layers[index]
    y, x = np.mgrid[-dy : shape[0] - dy, -dx : shape[1] - dx].astype(float)
    days = (layer.second - layer.first).days
    return scene.with_layer(
        index,
        replace(
            layer,
            grid=replace(layer.grid.shifted(-dy, -dx), shape=shape),
            unwrapped=(days / 12 * (0.2 * y - 0.13 * x) + 0.41357 + 0.3 * index).astype(np.float32),
            coherence=np.full(shape, 0.5, np.float32),
            valid=np.ones(shape, bool),
        ),
    )


def test_grids_that_differ_by_whole_pixels_are_cut_to_what_all_cover(tmp_path, scene):
    # The second reaches two rows and one column farther out; the third ends four rows and five columns early.
    shifted = moved(moved(scene, 1, 2, 1, (42, 31)), 2, -1, 0, (35, 25))
    stack = hyp3.open_stack(product.write(tmp_path, shifted))
    assert stack.problems == ()
    assert stack.grid.shape == (35, 25)
    np.testing.assert_allclose(stack.grid.lonlat(0.0, 0.0), scene.grid.lonlat(1.0, 0.0), atol=1e-9)
    y, x = np.mgrid[1:36, :25]
    for pair, layer, days in zip(stack.pairs, scene.layers, (12, 24, 12, 36), strict=True):
        igram = stack.read(pair)
        number = scene.layers.index(layer)
        expected = np.exp(1j * (days / 12 * (0.2 * y - 0.13 * x) + 0.41357 + 0.3 * number))
        there = igram != 0
        assert there[3:].all()
        np.testing.assert_allclose(np.angle(igram * expected.conj())[there], 0, atol=1e-4)
        window = Window(5, 6, 7, 8)
        np.testing.assert_array_equal(stack.read(pair, window), igram[window.rows, window.columns])
    np.testing.assert_allclose(stack.read_height(stack.full), scene.heights[1:36, :25])


def test_pair_that_covers_another_place_is_left_out(tmp_path, scene):
    path = product.write(tmp_path, moved(scene, 1, 30, 0, (40, 30)))
    stack = hyp3.open_stack(path)
    assert stack.grid.shape == (40, 30)
    (problem,) = stack.problems
    assert problem.message == (
        f"{problem.path}: covers only 25% of the area of the other pairs; put each burst or frame into its own folder"
    )


def test_pixels_between_those_of_the_others_are_an_error_when_strict(tmp_path, scene):
    path = product.write(tmp_path, scene.differing(1))
    with pytest.raises(ProductError, match=r"pixels lie between those of the other pairs; bring it to their grid"):
        hyp3.open_stack(path, strict=True)


def test_other_burst_in_the_same_folder_is_left_out(tmp_path, scene):
    product.write(tmp_path, scene)
    stem = "S1_136232_IW2_20180714_20180831_VV_INT40_AAAA"
    layer = replace(scene.layers[0], first=scene.layers[2].first, second=scene.layers[3].first)
    product.write_product(tmp_path / stem, stem, scene, layer, wrapped=True)
    stack = hyp3.open_stack(tmp_path)
    assert stack.track == "136231_IW2"
    assert len(stack.pairs) == 4
    (problem,) = stack.problems
    assert problem.message == (
        f"{tmp_path / stem / stem}_wrapped_phase.tif: is of 136232_IW2, the others of 136231_IW2; "
        "put each burst in its own folder"
    )


@pytest.mark.parametrize(
    ("stem", "track"),
    [
        ("S1A_064_E053_1_N27_3_E054_1_N27_8_20180702_20180714_VV_INT80_7EB5", "064"),
        (
            "S1_064_000000s1n00-136231s2n02-000000s3n00_IW_20180702_20180714_VV_INT80_77F1",
            "064_000000s1n00-136231s2n02-000000s3n00",
        ),
        ("S1_136231_IW2_20180702_20180714_VV_INT80_12E3", "136231_IW2"),
        ("S1AC_20180702T112312_20180714T112313_VVP012_INT80_G_ueF_74C2", None),
    ],
)
def test_every_naming_is_read(tmp_path, scene, stem, track):
    folder = tmp_path / "frame"
    product.write_product(folder, stem, scene, scene.layers[0], wrapped=True)
    assert hyp3.recognises(folder)
    stack = hyp3.open_stack(folder)
    assert [p.name for p in stack.pairs] == ["20180702_20180714"]
    assert stack.track == (track or "frame")


def test_wrapped_phase_goes_before_unwrapped(tmp_path, scene):
    product.write(tmp_path, scene)
    for folder in sorted(tmp_path.iterdir()):
        layer = next(one for one in scene.layers if one.name in folder.name)
        product.write_tif(folder / f"{folder.name}_unw_phase.tif", layer.unwrapped + 1, scene.grid)
    stack = hyp3.open_stack(tmp_path)
    assert all(files[0].name.endswith("_wrapped_phase.tif") for files in stack.files.values())


def test_rasters_cut_to_a_common_area_go_before_whole_ones(tmp_path, scene):
    product.write(tmp_path, scene)
    grid = scene.grid.cropped(Window(10, 10, 20, 15))
    for folder in sorted(tmp_path.iterdir()):
        layer = next(one for one in scene.layers if one.name in folder.name)
        for kind, array in {"wrapped_phase": layer.wrapped, "corr": layer.coherence, "dem": scene.heights}.items():
            product.write_tif(folder / f"{folder.name}_{kind}_clip.tif", array[10:30, 10:25], grid)
    stack = hyp3.open_stack(tmp_path)
    assert stack.grid == MapGrid((20, 15), grid.transform, "EPSG:32648")
    np.testing.assert_allclose(stack.read(stack.pairs[0]), scene.layers[0].igram[10:30, 10:25], atol=1e-6)
    np.testing.assert_allclose(stack.read_height(stack.full), scene.heights[10:30, 10:25])


def test_zipped_products_say_to_unzip(tmp_path):
    (tmp_path / "S1_136231_IW2_20180702_20180714_VV_INT40_12E3.zip").write_bytes(b"PK")
    zipped = tmp_path / "S1_136231_IW2_20180702_20180714_VV_INT40_12E3.zip"
    for path in (tmp_path, zipped):
        assert hyp3.recognises(path)
        with pytest.raises(ProductError) as caught:
            hyp3.open_stack(path)
        assert str(caught.value) == (f"{zipped}: still zipped; unzip the products and give the folder that holds them")


def test_product_without_a_phase_is_named(tmp_path, scene):
    product.write(tmp_path, scene)
    victim = sorted(tmp_path.rglob("*_wrapped_phase.tif"))[0]
    victim.unlink()
    stack = hyp3.open_stack(tmp_path)
    (problem,) = stack.problems
    assert problem.message == (
        f"{str(victim).replace('wrapped_phase', 'corr')}: no _wrapped_phase.tif or _unw_phase.tif beside it; "
        "fetch the product again or remove it"
    )


def test_without_any_correlation_it_is_estimated(tmp_path, scene):
    product.write(tmp_path, scene)
    for file in tmp_path.rglob("*_corr.tif"):
        file.unlink()
    stack = hyp3.open_stack(tmp_path)
    assert stack.coherence_source == "estimated"
    igram = stack.read(stack.pairs[3])
    np.testing.assert_array_equal(igram != 0, scene.layers[3].valid)
    assert np.abs(igram[igram != 0]).min() > 0.95
    window = Window(12, 3, 6, 20)
    np.testing.assert_array_equal(stack.read(stack.pairs[3], window), igram[window.rows, window.columns])


def test_look_falls_back_on_the_text_file(tmp_path, scene):
    """Slant range 846,099 m from 693 km over the radius that HyP3 writes: incidence from the triangle of the three."""
    product.write(tmp_path, scene)
    for file in tmp_path.rglob("*_lv_*.tif"):
        file.unlink()
    look = hyp3.open_stack(tmp_path).look
    assert look.heading == pytest.approx(-169.8)
    radius, orbit, distance = 6337286.638938101, 6337286.638938101 + 693000.0, 846099.14
    # The same triangle, closed from the satellite: the law of sines must hold.
    at_satellite = np.arccos((orbit**2 + distance**2 - radius**2) / (2 * orbit * distance))
    assert np.sin(np.radians(look.incidence)) / orbit == pytest.approx(np.sin(at_satellite) / radius)
    for file in tmp_path.rglob("*.txt"):
        file.unlink()
    stack = hyp3.open_stack(tmp_path)
    assert stack.look is None
    assert {p.perpendicular_baseline for p in stack.pairs} == {None}


def test_damaged_geometry_does_not_stop_the_stack(tmp_path, scene):
    product.write(tmp_path, scene)
    for file in [*tmp_path.rglob("*_lv_theta.tif"), *tmp_path.rglob("*_dem.tif")]:
        file.write_bytes(b"II*\0garbage")
    stack = hyp3.open_stack(tmp_path)
    assert len(stack.pairs) == 4
    assert stack.read_height is None
    assert stack.look.heading == pytest.approx(-169.8)
    assert [p.skipped for p in stack.problems] == [False]


def test_correlation_on_another_grid_is_named(tmp_path, scene):
    product.write(tmp_path, scene)
    victim = sorted(tmp_path.rglob("*_corr.tif"))[1]
    product.write_tif(victim, scene.layers[1].coherence, scene.grid.shifted(1, 0), nodata=0)
    stack = hyp3.open_stack(tmp_path)
    (problem,) = stack.problems
    phase = victim.name.replace("corr", "wrapped_phase")
    assert problem.message == f"{victim}: not on the grid of {phase}; fetch both again"


def test_truncated_raster_is_known_at_opening(tmp_path, scene):
    """Blocks that lie beyond the end of the file are noticed without reading them."""
    product.write(tmp_path, scene)
    victim = sorted(tmp_path.rglob("*_wrapped_phase.tif"))[2]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size * 3 // 4])
    stack = hyp3.open_stack(tmp_path)
    assert len(stack.pairs) == 3
    assert [p.path for p in stack.problems] == [victim]
    with pytest.raises(GroundshiftError):
        hyp3.open_stack(tmp_path, strict=True)
