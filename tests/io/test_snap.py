import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, NoDataError
from groundshift.io import snap
from groundshift.io.dimap import read_dimap
from groundshift.types import MapGrid, RadarGrid


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "products" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"products_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = load("snap")
SCENES = load("scene")
SCENE = SCENES.make_scene()
FIRST = SCENE.layers[0]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="iso-8859-1")
    assert old in text
    file.write_text(text.replace(old, new), encoding="iso-8859-1")


def all_agree(stack: Any, scene: Any, tolerance: float = 1e-5) -> None:
    for pair, layer in zip(stack.pairs, scene.layers, strict=True):
        assert pair == layer.pair
        np.testing.assert_allclose(stack.read(pair), layer.igram, atol=tolerance)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32648"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_several_pairs_on_a_map_in_one_product(tmp_path: Path, crs: str, order: str) -> None:
    scene = SCENES.make_scene(crs)
    dim = WRITER.write_dim(tmp_path, "stack_tc", list(scene.layers), scene, geocoded=True, order=order)
    stack = snap.open_stack(dim)
    assert isinstance(stack.grid, MapGrid)
    assert stack.grid.crs == crs
    assert stack.grid.shape == scene.grid.shape
    np.testing.assert_allclose(stack.grid.transform[:6], scene.grid.transform[:6], rtol=1e-12)
    all_agree(stack, scene)
    np.testing.assert_array_equal(stack.read_height(stack.full), scene.heights)


@pytest.mark.parametrize(
    ("crs", "info"),
    [
        ("EPSG:4326", "Geographic Lat/Lon, 1.0, 1.0, 101.95, 30.86, 0.001, 0.001, WGS-84, units=Degrees"),
        ("EPSG:32648", "UTM, 1.0, 1.0, 210000.0, 3416000.0, 40.0, 40.0, 48, North, WGS-84, units=Meters"),
        ("EPSG:32648", "UTM, 2.0, 3.0, 210040.0, 3415920.0, 40.0, 40.0, 48, North, WGS-84, units=Meters"),
    ],
)
def test_map_info_of_the_raster_serves_where_the_header_has_no_place(tmp_path: Path, crs: str, info: str) -> None:
    """The first two numbers of map info are the pixel, counted from 1, whose outer corner the next two place."""
    scene = SCENES.make_scene(crs)
    dim = WRITER.write_dim(tmp_path, "stack_tc", list(scene.layers), scene)
    for header in dim.with_suffix(".data").glob("*.hdr"):
        header.write_text(header.read_text() + f"map info = {{{info}}}\n")
    stack = snap.open_stack(dim)
    assert stack.grid.crs == crs
    np.testing.assert_allclose(stack.grid.transform[:6], scene.grid.transform[:6], rtol=1e-12)


def test_unwrapped_band_is_wrapped_again_where_there_is_no_interferogram(tmp_path: Path) -> None:
    all_agree(snap.open_stack(WRITER.write_dim(tmp_path, "unw", list(SCENE.layers), SCENE, unwrapped=True)), SCENE)


def test_coherence_is_estimated_where_no_product_has_one(tmp_path: Path) -> None:
    stack = snap.open_stack(WRITER.write_dim(tmp_path, "ifg", list(SCENE.layers), SCENE, coherence=False))
    assert stack.coherence_source == "estimated"
    igram = stack.read(stack.pairs[0])
    np.testing.assert_array_equal(igram != 0, FIRST.valid)
    np.testing.assert_allclose(np.abs(igram[FIRST.valid]), 1, atol=1e-4)
    np.testing.assert_allclose(np.angle(igram * FIRST.igram.conj()), 0, atol=1e-5)


def test_product_without_coherence_among_others_is_skipped(tmp_path: Path) -> None:
    WRITER.write_dim(tmp_path, "one", [FIRST], SCENE)
    WRITER.write_dim(tmp_path, "two", [SCENE.layers[1]], SCENE, coherence=False)
    stack = snap.open_stack(tmp_path)
    assert [p.name for p in stack.pairs] == [FIRST.name]
    (problem,) = stack.problems
    assert "no coherence in two.dim, as the other pairs have" in problem.message


@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
def test_interleave_and_offset_of_the_header_are_honoured(tmp_path: Path, interleave: str) -> None:
    dim = WRITER.write_dim(tmp_path, "ifg", [FIRST], SCENE)
    (image,) = dim.with_suffix(".data").glob("coh_*.img")
    cube = np.stack([FIRST.coherence, np.full_like(FIRST.coherence, 9)])
    WRITER.write_envi(image, cube, ">", interleave, **{"header offset": 6})
    image.write_bytes(b"header" + image.read_bytes())
    stack = snap.open_stack(dim)
    np.testing.assert_allclose(stack.read(stack.pairs[0]), FIRST.igram, atol=1e-5)


def test_copolarised_band_is_taken_of_two(tmp_path: Path) -> None:
    dim = WRITER.write_dim(tmp_path, "ifg", [FIRST], SCENE)
    data = dim.with_suffix(".data")
    text = dim.read_text()
    bands = [b for b in read_dimap(dim).bands if b.name.startswith(("i_", "q_", "coh_"))]
    files = infos = ""
    for number, band in enumerate(bands, 90):
        name = band.name.replace("VV", "VH")
        WRITER.write_envi(data / f"{name}.img", np.ones(FIRST.grid.shape, np.float32), ">")
        files += f'<Data_File><DATA_FILE_PATH href="ifg.data/{name}.hdr"/><BAND_INDEX>{number}</BAND_INDEX></Data_File>'
        infos += (
            f"<Spectral_Band_Info><BAND_INDEX>{number}</BAND_INDEX><BAND_NAME>{name}</BAND_NAME></Spectral_Band_Info>"
        )
    # The other polarisation comes first in the file.
    text = text.replace("<Data_Access>", f"<Data_Access>{files}")
    dim.write_text(text.replace("<Image_Interpretation>", f"<Image_Interpretation>{infos}"))
    stack = snap.open_stack(dim)
    assert len(stack.pairs) == 1
    np.testing.assert_allclose(stack.read(stack.pairs[0]), FIRST.igram, atol=1e-5)


def test_radar_geometry_comes_from_tie_points(tmp_path: Path) -> None:
    grid = snap.open_stack(WRITER.write_dim(tmp_path, "ifg", [FIRST], SCENE)).grid
    assert isinstance(grid, RadarGrid)
    assert grid.spacing == pytest.approx(SCENE.grid.spacing, rel=5e-3)
    lon, lat = SCENE.lonlat()
    np.testing.assert_allclose(grid.longitude, lon, atol=1e-5)
    np.testing.assert_allclose(grid.latitude, lat, atol=1e-5)


def test_without_tie_points_the_slant_spacing_is_laid_on_the_ground(tmp_path: Path) -> None:
    dim = WRITER.write_dim(tmp_path, "ifg", [FIRST], SCENE)
    for file in (dim.with_suffix(".data") / "tie_point_grids").glob("l*.hdr"):
        file.unlink()
    stack = snap.open_stack(dim)
    assert stack.grid.spacing == pytest.approx((13.94, 2.329562 / np.sin(np.radians(37.3))), rel=1e-4)
    assert any("no tie points of latitude and longitude" in p.message for p in stack.problems)


def test_unknown_metadata_stay_unknown(tmp_path: Path) -> None:
    """99999 is SNAP's word for not known."""
    dim = WRITER.write_dim(tmp_path, "ifg", [FIRST], SCENE)
    for name in ("radar_frequency", "centre_heading"):
        text = dim.read_text()
        start = text.index(f'name="{name}"')
        end = text.index("</MDATTR>", start)
        dim.write_text(text[: text.index(">", start) + 1] + "99999.0" + text[end:])
    stack = snap.open_stack(dim)
    assert stack.look is None
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    assert any("no radar_frequency" in p.message and not p.skipped for p in stack.problems)


def test_names_of_older_versions_give_baselines(tmp_path: Path) -> None:
    dim = WRITER.write_dim(tmp_path, "ifg", [FIRST], SCENE)
    edit(dim, "Ref_", "Master: ")
    edit(dim, "Secondary_", "Slave: ")
    assert snap.open_stack(dim).pairs[0].perpendicular_baseline == FIRST.baseline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda dim: next(dim.with_suffix(".data").glob("q_*.img")).unlink(),
            "q_ifg_VV_02Jul2018_14Jul2018.img: no such",
        ),
        (
            lambda dim: next(dim.with_suffix(".data").glob("q_*.hdr")).unlink(),
            "q_ifg_VV_02Jul2018_14Jul2018.hdr: no such",
        ),
        (
            lambda dim: next(dim.with_suffix(".data").glob("i_*.hdr")).write_text("ENVI\n"),
            "no samples, lines and data type",
        ),
        (lambda dim: next(dim.with_suffix(".data").glob("i_*.hdr")).write_text("x"), "not an ENVI header"),
        (
            lambda dim: edit(dim, "<BAND_NAME>q_ifg", "<BAND_NAME>p_ifg"),
            "no band q_ifg_VV_02Jul2018_14Jul2018 in one.dim",
        ),
        (lambda dim: dim.write_text("<Dimap_Document>"), "one.dim: truncated or not XML"),
        (lambda dim: edit(dim, "<Dimap_Document", "<!DOCTYPE a><Dimap_Document"), "declares a document type"),
    ],
)
def test_broken_product_among_good_ones_is_skipped_and_named(tmp_path: Path, change: Any, message: str) -> None:
    dim = WRITER.write_dim(tmp_path, "one", [FIRST], SCENE)
    WRITER.write_dim(tmp_path, "two", [SCENE.layers[1]], SCENE)
    change(dim)
    stack = snap.open_stack(tmp_path)
    assert [p.name for p in stack.pairs] == [SCENE.layers[1].name]
    (problem,) = stack.problems
    assert problem.skipped
    assert message in problem.message
    assert str(problem.path) in problem.message
    assert ";" in problem.message


def test_rotated_map_is_refused(tmp_path: Path) -> None:
    dim = WRITER.write_dim(tmp_path, "one", [FIRST], SCENE, geocoded=True)
    edit(dim, "<IMAGE_TO_MODEL_TRANSFORM>0.001,0.0,", "<IMAGE_TO_MODEL_TRANSFORM>0.001,0.0002,")
    with pytest.raises(DamagedFileError, match="rotated or has no size; terrain-correct it to a north-up map"):
        read_dimap(dim)


def test_pair_on_another_part_of_the_map_is_skipped(tmp_path: Path) -> None:
    """Same shape, half a pixel beside."""
    moved = replace(SCENE.layers[2], grid=SCENE.grid.shifted(0.5, 0.5))
    for number, layer in enumerate((*SCENE.layers[:2], moved)):
        WRITER.write_dim(tmp_path, f"product{number}", [layer], SCENE, geocoded=True)
    stack = snap.open_stack(tmp_path)
    assert len(stack.pairs) == 2
    assert "lies elsewhere than the other pairs; bring it to their grid or remove it" in stack.problems[0].message


def test_product_that_is_no_interferogram_is_not_recognised(tmp_path: Path) -> None:
    data = tmp_path / "scene.data"
    data.mkdir()
    (tmp_path / "scene.dim").write_text("<Dimap_Document/>")
    WRITER.write_envi(data / "Sigma0_VV_02Jul2018.img", np.ones((3, 3), np.float32), ">")
    assert not snap.recognises(tmp_path)
    with pytest.raises(NoDataError, match="no interferograms here"):
        snap.open_stack(tmp_path)
