import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.products.isce import write_rdr
from tests.products_slc import isce as writer
from tests.products_slc.scene import make_slc_scene

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io import slc_isce
from groundshift.types import Looks, Window

SCENE = make_slc_scene()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "T087").mkdir()
    return writer.write(tmp_path / "T087", SCENE)


def images(folder: Path) -> list[Path]:
    return sorted((folder / "merged" / "SLC").glob("*/*.slc.full"))


def geometry(folder: Path) -> Path:
    return folder / "merged" / "geom_reference"


def make_virtual(raster: Path) -> Path:
    """Leave a raster of complex numbers as a `.vrt` on two bursts elsewhere, as topsStack merges by default."""
    bursts = raster.parents[3] / "coreg_secondarys" / raster.parent.name / "IW1"
    bursts.mkdir(parents=True)
    rows, columns = SCENE.grid.shape
    image = np.fromfile(raster, "<c8").reshape(rows, columns)
    raster.unlink()
    sources = ""
    for number, (top, bottom) in enumerate(((0, 25), (25, rows)), 1):
        burst = bursts / f"burst_0{number}.slc"
        image[top:bottom].tofile(burst)
        burst.with_name(f"{burst.name}.vrt").write_text(
            f'<VRTDataset rasterXSize="{columns}" rasterYSize="{bottom - top}">\n'
            '<VRTRasterBand dataType="CFloat32" band="1" subClass="VRTRawRasterBand">\n'
            f'<SourceFilename relativeToVRT="1">{burst.name}</SourceFilename><ByteOrder>LSB</ByteOrder>\n'
            f"<ImageOffset>0</ImageOffset><PixelOffset>8</PixelOffset><LineOffset>{columns * 8}</LineOffset>\n"
            "</VRTRasterBand></VRTDataset>\n"
        )
        sources += (
            f'<SimpleSource><SourceFilename relativeToVRT="1">../../../coreg_secondarys/{raster.parent.name}/IW1/'
            f"{burst.name}.vrt</SourceFilename><SourceBand>1</SourceBand>\n"
            f'<SrcRect xOff="0" yOff="0" xSize="{columns}" ySize="{bottom - top}" />\n'
            f'<DstRect xOff="0" yOff="{top}" xSize="{columns}" ySize="{bottom - top}" /></SimpleSource>\n'
        )
    virtual = raster.with_name(f"{raster.name}.vrt")
    virtual.write_text(
        f'<VRTDataset rasterXSize="{columns}" rasterYSize="{rows}">\n'
        f'<VRTRasterBand dataType="CFloat32" band="1"><NoDataValue>0.0</NoDataValue>\n{sources}'
        "</VRTRasterBand></VRTDataset>\n"
    )
    return virtual


@pytest.mark.parametrize("below", ["", "merged", "merged/SLC"])
def test_stack_opens_from_any_of_its_folders(folder: Path, below: str) -> None:
    (stack,) = slc_isce.open_slcs(folder / below, strict=True)
    assert (stack.track, stack.dates) == ("T087", SCENE.dates)
    assert stack.baselines[stack.dates[3]] == pytest.approx(SCENE.layers[3].baseline)
    assert stack.problems == ()


def test_stack_opens_from_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "merged" / "SLC")
    (stack,) = slc_isce.open_slcs(Path(), strict=True)
    assert (stack.track, stack.dates) == ("T087", SCENE.dates)


def test_nothing_is_left_to_take_out(folder: Path) -> None:
    """The images are flattened: the phase of a pair is that of the motion, whatever the baseline."""
    (stack,) = slc_isce.open_slcs(folder)
    assert stack.read_path is None
    igram = stack.read(stack.dates[0]) * stack.read(stack.dates[3]).conj()
    expected = SCENE.layers[0].image * SCENE.layers[3].image.conj()
    np.testing.assert_array_equal(igram, expected)


def test_images_merged_without_a_file_are_read_from_their_bursts(folder: Path) -> None:
    virtual = [make_virtual(raster) for raster in images(folder)]
    assert slc_isce.recognises(folder)
    (stack,) = slc_isce.open_slcs(folder, strict=True)
    assert [stack.files[day][0] for day in stack.dates] == virtual
    for layer in SCENE.layers:
        np.testing.assert_array_equal(stack.read(layer.day), layer.image)
    window = Window(20, 4, 12, 9)
    np.testing.assert_array_equal(
        stack.read(stack.dates[2], window), SCENE.layers[2].image[window.rows, window.columns]
    )


def test_burst_that_is_gone_is_told_of_when_it_is_read(folder: Path) -> None:
    virtual = make_virtual(images(folder)[1])
    shutil.rmtree(folder / "coreg_secondarys")
    (stack,) = slc_isce.open_slcs(folder)
    with pytest.raises(DamagedFileError) as caught:
        stack.read(stack.dates[1])
    assert str(virtual) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert stack.read(stack.dates[0]).any()


def test_merged_without_looks_there_is_no_full(folder: Path) -> None:
    for raster in sorted(folder.rglob("*.full*")):
        raster.rename(raster.with_name(raster.name.replace(".full", "")))
    (stack,) = slc_isce.open_slcs(folder, strict=True)
    assert stack.problems == ()
    np.testing.assert_array_equal(stack.read(stack.dates[0]), SCENE.layers[0].image)
    np.testing.assert_array_equal(stack.read_mask(stack.full), SCENE.usable)


def test_places_after_looks_serve(folder: Path) -> None:
    """Means of 2 x 5 pixels; between them the grid interpolates, beyond them it goes on by up to one of them."""
    lon, lat = SCENE.lonlat()
    for name, field in (("lon", lon), ("lat", lat)):
        rows, columns = SCENE.grid.shape
        mean = field.reshape(rows // 2, 2, columns // 5, 5).mean(axis=(1, 3))
        write_rdr(geometry(folder) / f"{name}.rdr", mean[np.newaxis])
        (geometry(folder) / f"{name}.rdr.full").unlink()
    (stack,) = slc_isce.open_slcs(folder, strict=True)
    assert stack.grid.shape == SCENE.grid.shape
    y, x = np.mgrid[: SCENE.grid.shape[0], : SCENE.grid.shape[1]].astype(float)
    found = stack.grid.lonlat(y, x)
    np.testing.assert_allclose(found[0], lon, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found[1], lat, rtol=0, atol=1e-9)
    assert stack.grid.spacing == pytest.approx(SCENE.grid.spacing, rel=1e-3)


def test_looks_of_the_grid_count_from_its_pixels(folder: Path) -> None:
    (stack,) = slc_isce.open_slcs(folder)
    lon, lat = SCENE.lonlat()
    few = stack.grid.multilooked(Looks(2, 3))
    np.testing.assert_allclose(few.lonlat(np.array(4.0), np.array(5.0)), (lon[8:10, 15:18].mean(), lat[8:10].mean()))


def test_layover_and_shadow_are_not_used(folder: Path) -> None:
    codes = np.zeros(SCENE.grid.shape, np.uint8)
    codes[4, 4:8] = 0, 1, 2, 3
    write_rdr(geometry(folder) / "shadowMask.rdr.full", codes[np.newaxis])
    (stack,) = slc_isce.open_slcs(folder)
    usable = stack.read_mask(Window(4, 3, 1, 6))
    np.testing.assert_array_equal(usable, [[True, True, False, False, False, True]])


@pytest.mark.parametrize(("name", "part"), [("hgt", "read_height"), ("shadowMask", "read_mask"), ("los", "look")])
def test_missing_geometry_is_noted(folder: Path, name: str, part: str) -> None:
    for file in geometry(folder).glob(f"{name}.*"):
        file.unlink()
    (stack,) = slc_isce.open_slcs(folder, strict=True)
    assert getattr(stack, part) is None
    (note,) = stack.problems
    assert str(geometry(folder) / name) in note.message
    assert not note.skipped
    assert ";" in note.message


def test_geometry_of_another_size_is_noted(folder: Path) -> None:
    write_rdr(geometry(folder) / "hgt.rdr.full", np.zeros((1, 5, 5)))
    (stack,) = slc_isce.open_slcs(folder)
    assert stack.read_height is None
    assert ["hgt.rdr.full" in p.message for p in stack.problems] == [True]


def test_stack_without_places_is_refused(folder: Path) -> None:
    for file in geometry(folder).glob("lat.*"):
        file.unlink()
    with pytest.raises(NoDataError, match=r"lat\.rdr\.full\.xml: no such file; restore it"):
        slc_isce.open_slcs(folder)


def test_pixels_of_no_burst_have_no_place(folder: Path) -> None:
    lon, lat = SCENE.lonlat()
    lon[:2] = lat[:2] = 0
    write_rdr(geometry(folder) / "lon.rdr.full", lon[np.newaxis])
    write_rdr(geometry(folder) / "lat.rdr.full", lat[np.newaxis])
    (stack,) = slc_isce.open_slcs(folder)
    assert np.isnan(stack.grid.lonlat(np.array(0.0), np.array(3.0))[0])
    assert np.isfinite(stack.grid.lonlat(np.array(2.0), np.array(3.0))[0])


def test_baselines_against_another_date_become_those_against_the_first(folder: Path) -> None:
    """topsStack's reference need not be the earliest date."""
    shutil.rmtree(folder / "baselines")
    reference = SCENE.layers[2]
    for layer in SCENE.layers[:2]:
        name = f"{reference.name}_{layer.name}"
        (folder / "baselines" / name).mkdir(parents=True)
        text = f"swath: IW1\nBperp (average): {layer.baseline - reference.baseline}\nBpar (average): 1.0\n"
        (folder / "baselines" / name / f"{name}.txt").write_text(text)
    (stack,) = slc_isce.open_slcs(folder)
    assert stack.baselines == pytest.approx({layer.day: layer.baseline for layer in SCENE.layers[:3]})


def test_missing_baselines_are_missing(folder: Path) -> None:
    shutil.rmtree(folder / "baselines")
    assert slc_isce.open_slcs(folder)[0].baselines == {}


def test_date_without_image_is_named(folder: Path) -> None:
    image = images(folder)[1]
    for file in image.parent.iterdir():
        file.rename(file.with_name(file.name.replace("slc", "amp")))
    (stack,) = slc_isce.open_slcs(folder)
    (problem,) = stack.problems
    assert problem.message == (f"{image.parent}: no 20180714.slc.full in it; merge the date again or remove the folder")


def test_folder_without_stack_is_said(tmp_path: Path) -> None:
    assert not slc_isce.recognises(tmp_path)
    assert not slc_isce.recognises(tmp_path / "nowhere")
    with pytest.raises(MissingFileError, match="no merged/SLC with images here; give the folder of the stack"):
        slc_isce.open_slcs(tmp_path)
