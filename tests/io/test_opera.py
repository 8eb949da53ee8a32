"""OPERA CSLC-S1: names, polarisations, static layers, orbits, and chunks decoded beside the HDF5 library."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.products_slc import opera as writer
from tests.products_slc.scene import make_slc_scene

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, ProductError
from groundshift.io import hdf5, opera
from groundshift.types import Window

SCENE = make_slc_scene("EPSG:32648")
BURST = SCENE.burst


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "cslc"
    place.mkdir()
    return writer.write(place, SCENE)


def images(folder: Path) -> list[Path]:
    return sorted(folder.glob("*CSLC-S1_*"))


def static(folder: Path) -> Path:
    (file,) = folder.glob("*STATIC*")
    return file


def test_burst_and_date_come_from_the_file_before_its_name(folder: Path) -> None:
    images(folder)[1].rename(folder / "second.h5")
    (stack,) = opera.open_slcs(folder, strict=True)
    assert stack.track == BURST
    assert stack.dates == SCENE.dates
    assert stack.files[SCENE.dates[1]] == (folder / "second.h5",)


def test_names_tell_burst_and_date_where_files_do_not(folder: Path) -> None:
    for file, layer in zip(images(folder), SCENE.layers, strict=True):
        with h5py.File(file, "a") as sink:
            del sink["identification"], sink["metadata/processing_information/input_burst_metadata/sensing_start"]
        file.rename(folder / f"t144_308029_iw1_{layer.name}.h5")
    (stack,) = opera.open_slcs(folder, strict=True)
    assert (stack.track, stack.dates) == (BURST, SCENE.dates)


@pytest.mark.parametrize(
    ("name", "what"), [("second.h5", "burst"), ("t144_308029_iw1.h5", "date"), ("T144-308029-IW1_new.h5", "date")]
)
def test_file_that_tells_neither_is_left_out(folder: Path, name: str, what: str) -> None:
    file = images(folder)[1]
    with h5py.File(file, "a") as sink:
        del sink["identification"], sink["metadata/processing_information/input_burst_metadata/sensing_start"]
    file = file.rename(folder / name)
    (stack,) = opera.open_slcs(folder)
    assert stack.dates == (SCENE.dates[0], *SCENE.dates[2:])
    message = f"{file}: does not tell its {what}; name it by it, such as t144_308029_iw1_20240624.h5"
    assert [p.message for p in stack.problems if p.skipped] == [message]
    with pytest.raises(ProductError) as caught:
        opera.open_slcs(folder, strict=True)
    assert str(caught.value) == message


def test_images_are_recognised_by_what_they_hold(tmp_path: Path) -> None:
    writer.write_image(tmp_path / "image.h5", SCENE, SCENE.layers[0], writer.PRESENT)
    assert opera.recognises(tmp_path)
    with h5py.File(tmp_path / "image.h5", "a") as sink:
        del sink["data/VV"]
    assert not opera.recognises(tmp_path)


def test_what_a_processor_compressed_is_no_image(folder: Path) -> None:
    shutil.copy(images(folder)[0], folder / "compressed_t144_308029_iw1_20170101_20180101.h5")
    (stack,) = opera.open_slcs(folder, strict=True)
    assert stack.dates == SCENE.dates


def test_polarisation_that_most_dates_have_is_taken(folder: Path) -> None:
    """A date that has only the other one is left out; a second file of the other one is passed over and named."""
    with h5py.File(images(folder)[2], "a") as sink:
        sink.move("data/VV", "data/VH")
    other = folder / images(folder)[0].name.replace("_VV_", "_VH_")
    shutil.copy(images(folder)[0], other)
    with h5py.File(other, "a") as sink:
        sink.move("data/VV", "data/VH")
    (stack,) = opera.open_slcs(folder)
    assert stack.dates == (*SCENE.dates[:2], SCENE.dates[3])
    line = "{}: holds VH, the other dates VV; put each polarisation in a folder of its own"
    assert {(p.message, p.skipped) for p in stack.problems} == {
        (line.format(other), False),
        (line.format(images(folder)[3]), True),
    }
    np.testing.assert_array_equal(stack.read(stack.dates[0]), SCENE.layers[0].image)


def test_images_made_without_flattening_are_refused(folder: Path) -> None:
    file = images(folder)[0]
    with h5py.File(file, "a") as sink:
        sink["metadata/processing_information/parameters/topographic_flattening_applied"][...] = False
    with pytest.raises(ProductError) as caught:
        opera.open_slcs(folder, strict=True)
    assert str(caught.value) == f"{file}: made without flattening; process it again with flattening on"


@pytest.mark.parametrize("lost", ["VV", "projection", "x_coordinates"])
def test_file_without_a_part_it_needs_is_left_out(folder: Path, lost: str) -> None:
    file = images(folder)[1]
    with h5py.File(file, "a") as sink:
        del sink[f"data/{lost}"]
    (stack,) = opera.open_slcs(folder)
    assert stack.dates == (SCENE.dates[0], *SCENE.dates[2:])
    assert [p.path for p in stack.problems if p.skipped] == [file]


def test_wavelength_that_no_file_tells_is_that_of_sentinel_1_and_said(folder: Path) -> None:
    for file in images(folder):
        with h5py.File(file, "a") as sink:
            del sink["metadata/processing_information/input_burst_metadata/wavelength"]
    (stack,) = opera.open_slcs(folder, strict=True)
    assert stack.wavelength == SCENE.wavelength
    assert ["wavelength" in p.message for p in stack.problems] == [True]


def test_without_static_layers_the_orbit_tells_the_line_of_sight(folder: Path) -> None:
    """At the centre, on the ellipsoid; the scene lies 2.3 km above."""
    static(folder).unlink()
    (stack,) = opera.open_slcs(folder, strict=True)
    np.testing.assert_allclose(stack.look.to_satellite, SCENE.look.to_satellite, atol=4e-3)
    assert stack.read_mask is None
    assert stack.read_height is None
    (note,) = stack.problems
    assert note.message == (
        f"{images(folder)[0]}: no static layers of {BURST}, layover and shadow stay in; fetch its CSLC-S1-STATIC file"
    )


@pytest.mark.parametrize("lost", ["orbit/position_x", "orbit"])
def test_without_an_orbit_a_baseline_is_missing(folder: Path, lost: str) -> None:
    with h5py.File(images(folder)[2], "a") as sink:
        del sink[f"metadata/{lost}"]
    (stack,) = opera.open_slcs(folder, strict=True)
    assert set(stack.baselines) == {*SCENE.dates} - {SCENE.dates[2]}
    with h5py.File(images(folder)[0], "a") as sink:
        del sink[f"metadata/{lost}"]
    assert opera.open_slcs(folder)[0].baselines == {}


def test_static_layers_may_lie_in_a_folder_beside(folder: Path) -> None:
    """Those of another burst are not taken, nor older ones of the same."""
    beside = folder.parent / "static"
    beside.mkdir()
    place = static(folder).rename(beside / static(folder).name)
    shutil.copy(place, place.with_name(place.name.replace(BURST, "T144-308030-IW1").replace("v1.0", "v1.9")))
    old = Path(shutil.copy(place, place.with_name(place.name.replace("v1.0", "v0.1"))))
    with h5py.File(old, "a") as sink:
        sink["data/layover_shadow_mask"][...] = 1
    (stack,) = opera.open_slcs(folder, strict=True)
    np.testing.assert_array_equal(stack.read_mask(stack.full), SCENE.usable)
    assert stack.problems == ()


def test_static_layers_on_another_grid_are_named_and_not_used(folder: Path) -> None:
    moved = replace(SCENE, grid=SCENE.grid.shifted(1, 0))
    file = static(folder)
    writer.write_static(file, moved, "data")
    (stack,) = opera.open_slcs(folder, strict=True)
    assert stack.read_mask is None
    assert [p.message for p in stack.problems] == [
        f"{file}: not on the grid of {images(folder)[0].name}; fetch the static layers again"
    ]


def test_static_layers_that_are_damaged_are_named_and_stop_nothing(folder: Path) -> None:
    file = static(folder)
    file.write_bytes(file.read_bytes()[:1000])
    (stack,) = opera.open_slcs(folder, strict=True)
    assert stack.read_mask is None
    assert [p.message for p in stack.problems] == [f"{file}: truncated or damaged HDF5 file; fetch the file again"]


def test_damaged_chunk_is_named_and_other_windows_still_read(folder: Path) -> None:
    (stack,) = opera.open_slcs(folder)
    file, day = images(folder)[1], SCENE.dates[1]
    with h5py.File(file) as source:
        chunk = source["data/VV"].id.get_chunk_info_by_coord((16, 16))
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset + 4 : chunk.byte_offset + chunk.size] = bytes(chunk.size - 4)
    file.write_bytes(content)
    with pytest.raises(DamagedFileError) as caught:
        stack.read(day)
    assert str(caught.value) == f"{file}: truncated or damaged HDF5 file; fetch the file again"
    window = Window(0, 0, 16, 30)
    np.testing.assert_array_equal(stack.read(day, window), SCENE.layers[1].image[:16])


def test_file_that_was_replaced_by_a_smaller_one_is_named(folder: Path) -> None:
    (stack,) = opera.open_slcs(folder)
    small = make_slc_scene("EPSG:32648", (20, 18))
    writer.write_image(images(folder)[1], small, small.layers[1], writer.PRESENT)
    with pytest.raises(DamagedFileError, match="truncated or damaged"):
        stack.read(SCENE.dates[1])


STORED = {
    "chunks": {"chunks": (16, 32)},
    "inflated": {"chunks": (16, 32), "compression": "gzip"},
    "shuffled": {"chunks": (16, 32), "compression": "gzip", "shuffle": True},
    "checked": {"chunks": (16, 32), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (16, 32), "compression": "lzf"},
    "whole": {"chunks": None},
}


@pytest.mark.parametrize("dtype", ["<c8", ">c8", "<c16", "<f4", "i1", "<i2"])
@pytest.mark.parametrize("stored", STORED.values(), ids=STORED.keys())
def test_windows_are_those_that_the_hdf5_library_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, stored: dict
) -> None:
    """Also over chunks that were never written, and at the ragged edge."""
    monkeypatch.setattr(hdf5, "_THREADS", 2)
    rng = np.random.default_rng(5)
    values = (100 * rng.normal(size=(50, 71)) + 100j * rng.normal(size=(50, 71))).astype("c16")
    values = (values if dtype[-2:] in ("c8", "16") else values.real).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as sink:
        dataset = sink.create_dataset("image", (50, 71), dtype, fillvalue=np.array(7, dtype), **stored)
        dataset[:40, 20:] = values[:40, 20:]
    with h5py.File(tmp_path / "a.h5") as source:
        whole = source["image"][...]
        assert (whole[48:] == 7).all()
        for window in (Window(0, 0, 50, 71), Window(15, 31, 3, 2), Window(48, 64, 2, 7), Window(0, 0, 1, 1)):
            found = hdf5.read_image(source["image"], window)
            assert found.dtype == np.dtype(dtype).newbyteorder("=")
            np.testing.assert_array_equal(found, whole[window.rows, window.columns])


def test_hdf5_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"a.h5: no such file; restore it"), hdf5.opened(tmp_path / "a.h5"):
        pass


REAL = "OPERA_L2_CSLC-S1_T042-088905-IW{}_{}Z_S1A_VV_v1.0.h5"


@pytest.mark.real
def test_products_whose_pixels_were_left_out_are_named(real_data: Path) -> None:
    with pytest.raises(NoDataError, match=r"T042-088905-IW1.*: no complex image VV, HH, VH or HV in it; fetch"):
        opera.open_slcs(real_data / "opera_cslc")


@pytest.mark.real
def test_grid_and_orbits_of_two_real_dates(real_data: Path, tmp_path: Path) -> None:
    """Grid, wavelength and orbits are OPERA's, the images empty; Sentinel-1 repeats its orbit within 200 m or so."""
    one, two = (
        real_data / "opera_cslc" / REAL.format(iw, times)
        for iw, times in ((1, "20231021T140757Z_20231023T003801"), (2, "20231009T140758Z_20231010T204936"))
    )
    for source, day in ((one, "20231021"), (two, "20231009")):
        copy = Path(shutil.copyfile(one, tmp_path / f"t042_088905_iw1_{day}.h5"))
        with h5py.File(copy, "a") as sink, h5py.File(source) as other:
            sink.create_dataset("data/VV", (4503, 19842), "<c8", chunks=(128, 128), fillvalue=np.nan + 1j * np.nan)
            del sink["metadata/orbit"]
            other.copy("metadata/orbit", sink["metadata"])
    (stack,) = opera.open_slcs(tmp_path, strict=True)
    assert stack.track == "T042-088905-IW1"
    assert stack.dates == (date(2023, 10, 9), date(2023, 10, 21))
    assert stack.grid.crs == "EPSG:32610"
    assert stack.grid.spacing == (10, 5)
    assert stack.wavelength == pytest.approx(0.05546576)
    assert stack.look.direction == "descending"
    assert 30 < stack.look.incidence < 38  # of the first swath
    assert 1 < abs(stack.baselines[date(2023, 10, 21)]) < 300
    assert not stack.read(stack.dates[0], Window(4400, 19800, 103, 42)).any()


@pytest.mark.real
def test_line_of_sight_of_real_static_layers_is_that_of_the_orbit(real_data: Path, tmp_path: Path) -> None:
    """OPERA's layers point to the satellite; those of the sample are rounded to 1/32 and less."""
    (layers,) = (real_data / "opera_cslc").glob("*STATIC*T087-185684*")
    for day in ("20200101", "20200113"):
        with h5py.File(tmp_path / f"t087_185684_iw2_{day}.h5", "w") as sink, h5py.File(layers) as source:
            for name in ("x_coordinates", "y_coordinates", "projection"):
                source.copy(f"data/{name}", sink.require_group("data"))
            source.copy("metadata/orbit", sink.require_group("metadata"))
            sink.create_dataset("data/VV", (4923, 20622), "<c8", chunks=(128, 128))
    by_orbit = opera.open_slcs(tmp_path)[0]
    shutil.copyfile(layers, tmp_path / layers.name)
    by_layers = opera.open_slcs(tmp_path)[0]
    assert by_layers.look != by_orbit.look
    assert by_layers.look.direction == by_orbit.look.direction == "descending"
    np.testing.assert_allclose(by_layers.look.to_satellite, by_orbit.look.to_satellite, atol=0.02)
    assert by_layers.read_mask(Window(2000, 10000, 64, 64)).shape == (64, 64)
