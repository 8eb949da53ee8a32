import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.io import isce
from groundshift.io.flat import Layout, check_size, read_flat
from groundshift.io.lookup import look_from_angles
from groundshift.io.plainxml import parse_xml
from groundshift.types import Window


def load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "products" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"products_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITER = load("isce")
SCENE = load("scene").make_scene()
FIRST = SCENE.layers[0]


@pytest.fixture
def stack_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "T087"
    folder.mkdir()
    return WRITER.write(folder, SCENE)


def first_pair(folder: Path) -> Path:
    return folder / "merged" / "interferograms" / FIRST.name


def without_interferograms(folder: Path, *names: str) -> None:
    for pair in (folder / "merged" / "interferograms").iterdir():
        for name in names:
            (pair / name).unlink()


@pytest.mark.parametrize("below", ["", "merged", "merged/interferograms"])
def test_stack_opens_from_any_of_its_folders(stack_folder: Path, below: str) -> None:
    stack = isce.open_stack(stack_folder / below)
    assert stack.track == "T087"
    assert len(stack.pairs) == 4
    assert stack.pairs[0].perpendicular_baseline == pytest.approx(FIRST.baseline)
    assert stack.look is not None
    assert stack.read_height is not None


def test_stack_opens_from_the_working_folder(stack_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stack_folder / "merged" / "interferograms")
    stack = isce.open_stack(Path())
    assert (stack.track, len(stack.pairs)) == ("T087", 4)
    assert stack.pairs[0].perpendicular_baseline == pytest.approx(FIRST.baseline)


def test_unwrapped_phase_is_the_second_band_and_zero_is_data_where_there_is_amplitude(stack_folder: Path) -> None:
    phase = FIRST.unwrapped.copy()
    phase[10, 10] = 0
    without_interferograms(stack_folder, "filt_fine.int")
    for pair in (stack_folder / "merged" / "interferograms").iterdir():
        WRITER.write_rdr(pair / "filt_fine.unw", np.stack([FIRST.valid * np.float32(3), phase]))
    stack = isce.open_stack(stack_folder)
    igram = stack.read(stack.pairs[0])
    np.testing.assert_array_equal(igram != 0, FIRST.valid)
    assert igram[10, 10] == pytest.approx(FIRST.coherence[10, 10])
    both = FIRST.valid & (phase != 0)
    np.testing.assert_allclose(igram[both], FIRST.igram[both], atol=1e-5)


def test_coherence_of_two_bands_is_the_last(stack_folder: Path) -> None:
    amplitude = np.full(FIRST.grid.shape, 700, np.float32)
    for pair, layer in zip(sorted((stack_folder / "merged" / "interferograms").iterdir()), SCENE.layers, strict=True):
        WRITER.write_rdr(pair / "filt_fine.cor", np.stack([amplitude, layer.coherence]))
    stack = isce.open_stack(stack_folder)
    np.testing.assert_allclose(stack.read(stack.pairs[0]), FIRST.igram, atol=1e-5)


def test_filtered_interferogram_is_taken_before_the_plain_one(stack_folder: Path) -> None:
    WRITER.write_rdr(first_pair(stack_folder) / "fine.int", np.ones((1, *FIRST.grid.shape), np.complex64))
    stack = isce.open_stack(stack_folder)
    assert stack.files[stack.pairs[0]][0].name == "filt_fine.int"


def test_coherence_is_estimated_where_no_pair_has_one(stack_folder: Path) -> None:
    without_interferograms(stack_folder, "filt_fine.cor")
    stack = isce.open_stack(stack_folder)
    assert stack.coherence_source == "estimated"
    igram = stack.read(stack.pairs[0])
    np.testing.assert_array_equal(igram != 0, FIRST.valid)
    np.testing.assert_allclose(np.abs(igram[FIRST.valid]), 1, atol=1e-4)


def test_pixel_size_is_that_of_the_lookup(stack_folder: Path) -> None:
    grid = isce.open_stack(stack_folder).grid
    assert grid.spacing == pytest.approx(SCENE.grid.spacing, rel=1e-3)
    assert grid.axis_names == ("azimuth", "range")


def test_without_lookup_the_pixel_size_is_the_sampling_times_the_looks(stack_folder: Path) -> None:
    """Sentinel-1 IW: about 14 m along the orbit; 2.33 m along the beam, 1/sin(37.3) times that on the ground."""
    for name in ("lat.rdr", "lon.rdr"):
        (stack_folder / "merged" / "geom_reference" / name).unlink()
    stack = isce.open_stack(stack_folder)
    looks = WRITER.LOOKS
    along, across = stack.grid.spacing
    assert along / looks[0] == pytest.approx(14.0, abs=0.15)
    assert across / looks[1] == pytest.approx(2.329562 / np.sin(np.radians(37.3)), rel=1e-4)
    assert np.isnan(stack.grid.lonlat(np.array([1.0]), np.array([1.0]))[0])
    assert any("lat.rdr" in p.message and not p.skipped for p in stack.problems)


def test_geometry_on_another_grid_is_left_out_with_a_note(stack_folder: Path) -> None:
    WRITER.write_rdr(stack_folder / "merged" / "geom_reference" / "hgt.rdr", np.zeros((1, 5, 5)))
    stack = isce.open_stack(stack_folder)
    assert stack.read_height is None
    assert any("hgt.rdr: not of the shape of the interferograms" in p.message for p in stack.problems)


def test_pixels_that_the_lookup_does_not_reach_have_no_place(stack_folder: Path) -> None:
    lon, lat = SCENE.lonlat()
    lon[0], lat[0] = 0, 0
    geometry = stack_folder / "merged" / "geom_reference"
    WRITER.write_rdr(geometry / "lon.rdr", lon[np.newaxis])
    WRITER.write_rdr(geometry / "lat.rdr", lat[np.newaxis])
    grid = isce.open_stack(stack_folder).grid
    assert np.isnan(grid.longitude[0]).all()
    assert np.isfinite(grid.longitude[1:]).all()


def test_baselines_of_two_dates_are_the_difference_against_the_third(stack_folder: Path) -> None:
    """The stack has 0-12 and 0-24 days; 12-24 follows. Both files of a pair's swaths are averaged."""
    stack = isce.open_stack(stack_folder)
    by_days = {(p.reference.day, p.days): p.perpendicular_baseline for p in stack.pairs}
    assert by_days[2, 24] - by_days[2, 12] == pytest.approx(by_days[14, 12])


def test_missing_baselines_are_none(stack_folder: Path) -> None:
    shutil.rmtree(stack_folder / "baselines")
    assert {p.perpendicular_baseline for p in isce.open_stack(stack_folder).pairs} == {None}


def test_missing_reference_means_sentinel1_and_is_said(stack_folder: Path) -> None:
    shutil.rmtree(stack_folder / "reference")
    stack = isce.open_stack(stack_folder)
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    (note,) = stack.problems
    assert not note.skipped
    assert "taken as Sentinel-1's 0.0555 m" in note.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pair: (pair / "filt_fine.int.xml").unlink(), "filt_fine.int.xml: no such file"),
        (
            lambda pair: (pair / "filt_fine.int.xml").write_text("<imageFile>"),
            "filt_fine.int.xml: truncated or not XML",
        ),
        (lambda pair: (pair / "filt_fine.int.xml").write_text("<imageFile/>"), "no width, length and data_type in it"),
        (lambda pair: (pair / "filt_fine.int").unlink(), "none of filt_fine.int, fine.int"),
        (lambda pair: (pair / "filt_fine.cor").write_bytes(b"12"), "filt_fine.cor: expected 4800 bytes"),
    ],
)
def test_broken_pair_is_skipped_and_named(stack_folder: Path, change: Any, message: str) -> None:
    change(first_pair(stack_folder))
    stack = isce.open_stack(stack_folder)
    assert len(stack.pairs) == 3
    (problem,) = stack.problems
    assert problem.skipped
    assert message in problem.message
    assert str(problem.path) in problem.message


def test_coherence_of_another_shape_is_named(stack_folder: Path) -> None:
    WRITER.write_rdr(first_pair(stack_folder) / "filt_fine.cor", np.ones((1, 5, 5), np.float32))
    (problem,) = isce.open_stack(stack_folder).problems
    assert "not of the shape of filt_fine.int" in problem.message


def test_folder_without_interferograms_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no merged/interferograms here; give the folder of the stack"):
        isce.open_stack(tmp_path)


@pytest.mark.parametrize("azimuth", [102.0, -102.0, 258.0])
def test_heading_is_a_quarter_turn_right_of_the_satellite(azimuth: float) -> None:
    """Azimuth 102 degrees anticlockwise from north points west-south-west, where an ascending right-looker stands."""
    look = look_from_angles(np.array([39.0, 0.0]), np.array([azimuth, 0.0]))
    east, north, up = look.to_satellite
    assert np.degrees(np.arctan2(-east, north)) % 360 == pytest.approx(azimuth % 360)
    assert up == pytest.approx(np.cos(np.radians(39)))
    assert look.direction == ("ascending" if azimuth == 102 else "descending")


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_flat_raster_reads_the_same_however_it_lies(tmp_path: Path, interleave: str, order: str) -> None:
    cube = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    axes = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    file = tmp_path / "x.img"
    file.write_bytes(b"head" + cube.transpose(axes).astype(f"{order}f4").tobytes())
    layout = Layout((5, 7), f"{order}f4", 2, interleave, 4)
    window = Window(1, 2, 3, 4)
    for band in (0, 1):
        part = read_flat(file, layout, window, band)
        np.testing.assert_array_equal(part, cube[band, 1:4, 2:6])
        assert part.dtype.isnative
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"expected 284 bytes \(5 x 7 pixels, 2 bands\), instead got 283"):
        check_size(file, layout)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
        '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_document_type_is_refused(tmp_path: Path, text: str, encoding: str) -> None:
    file = tmp_path / "x.xml"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(DamagedFileError, match="declares a document type"):
        parse_xml(file)


def test_xml_without_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x.xml"
    file.write_bytes('<?xml version="1.0" encoding="ISO-8859-1"?><a n="1"><b>\u00b0 5</b></a>'.encode("latin-1"))
    root = parse_xml(file)
    assert (root.get("n"), root.findtext("b")) == ("1", "\u00b0 5")
    file.write_bytes(b"<a><b></a>")
    with pytest.raises(DamagedFileError, match="truncated or not XML; fetch the file again"):
        parse_xml(file)


@pytest.mark.real
def test_header_of_a_real_isce_raster_gives_its_layout() -> None:
    root = os.environ.get("GROUNDSHIFT_DATA")
    if not root:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    raster = Path(root) / "offset_accuracy" / "img1_WN_512x512_1x1_128"
    layout = isce.raster_layout(raster)
    assert layout == Layout((512, 512), "<c8", 1, "bil")
    check_size(raster, layout)
    part = read_flat(raster, layout, Window(10, 20, 30, 40))
    assert np.isfinite(part).all()
    assert np.abs(part).std() > 0
