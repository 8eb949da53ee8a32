from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyproj import CRS
from tests.io.radar_scene import RadarScene, make_radar_scene
from tests.products_slc import snap as writer
from tests.products_slc.scene import make_slc_scene

from groundshift.errors import NoDataError, ProductError
from groundshift.io import slc_snap
from groundshift.types import Window

SCENE = make_slc_scene()


@pytest.fixture(scope="module")
def radar() -> RadarScene:
    return make_radar_scene()


def write_radar(folder: Path, radar: RadarScene, roles: tuple[str, str] = ("mst", "slv")) -> Path:
    """Write one stack of all dates with the ground of its pixels."""
    rasters: dict[str, np.ndarray] = {}
    for number, layer in enumerate(radar.layers):
        name = f"VV_{roles[1]}{number}_{layer.day:%d%b%Y}" if number else f"VV_{roles[0]}_{layer.day:%d%b%Y}"
        image = radar.image(layer)
        rasters[f"i_{name}"], rasters[f"q_{name}"] = image.real, image.imag
    lon, lat = radar.lonlat
    rasters |= {"orthorectifiedLat": lat, "orthorectifiedLon": lon, "elevation": radar.terrain(lon, lat)}
    above = {"ref": "Secondary_Metadata", "mst": "Slave_Metadata"}[roles[0]]
    others = "".join(writer.metadata(f"S1A_{layer.name}", layer, radar.scene) for layer in radar.layers[1:])
    first = writer.metadata("Abstracted_Metadata", radar.layers[0], radar.scene)
    writer.write_bands(folder, "T087_stack_deb", rasters, f'{first}<MDElem name="{above}">\n{others}</MDElem>\n')
    return folder


def write_ground(folder: Path, stem: str, **bands: np.ndarray) -> Path:
    return writer.write_bands(folder, stem, bands, writer.metadata("Abstracted_Metadata", SCENE.layers[0], SCENE))


@pytest.mark.parametrize("roles", [("mst", "slv"), ("ref", "sec")])
def test_phase_is_constant_once_the_path_is_taken_out(
    tmp_path: Path, radar: RadarScene, roles: tuple[str, str]
) -> None:
    """Of images whose phase is that of the range alone. Places of single precision leave up to half a metre."""
    (stack,) = slc_snap.open_slcs(write_radar(tmp_path, radar, roles), strict=True)
    assert [str(day) for day in stack.dates] == ["2018-07-02", "2018-07-14", "2018-07-26", "2018-08-31"]
    assert np.ptp(stack.read_path(stack.dates[3], stack.full)) > 10 / (4 * np.pi) * stack.wavelength
    for index, layer in enumerate(radar.layers):
        phase = radar.flat(stack, index)
        assert np.std(phase) < 0.01
        # Half a step of single precision is 0.42 m; it tells by baseline over range.
        assert np.abs(phase).max() < 4 * np.pi / stack.wavelength * (abs(layer.baseline) / 850e3 * 0.5 + 1e-6)


def test_places_and_heights_are_those_of_the_bands(tmp_path: Path, radar: RadarScene) -> None:
    (stack,) = slc_snap.open_slcs(write_radar(tmp_path, radar))
    lon, lat = radar.lonlat
    window = Window(5, 20, 40, 100)
    found = stack.grid.lonlat(*np.mgrid[window.rows, window.columns].astype(float))
    np.testing.assert_allclose(found[0], lon[window.rows, window.columns], rtol=0, atol=5e-6)
    np.testing.assert_allclose(found[1], lat[window.rows, window.columns], rtol=0, atol=5e-6)
    expected = radar.terrain(lon, lat)[window.rows, window.columns]
    np.testing.assert_allclose(stack.read_height(window), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("given", ["", "T087_stack_deb.dim"])
def test_stack_opens_as_file_and_as_folder(tmp_path: Path, radar: RadarScene, given: str) -> None:
    folder = tmp_path / "T087"
    folder.mkdir()
    (stack,) = slc_snap.open_slcs(write_radar(folder, radar) / given)
    assert stack.track == ("T087_stack_deb" if given else "T087")


def test_swaths_are_stacks_of_their_own(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    for file in sorted(folder.glob("*_stack_deb.dim")):
        data = file.with_suffix(".data")
        text = file.read_text(encoding="iso-8859-1").replace("IW1", "IW2").replace(file.stem, f"{file.stem}_2")
        other = file.with_name(f"{file.stem}_2.dim")
        other.write_text(text, encoding="iso-8859-1")
        other.with_suffix(".data").mkdir()
        for raster in data.iterdir():
            copy = other.with_suffix(".data") / raster.name.replace("IW1", "IW2")
            copy.write_bytes(raster.read_bytes())
    one, two = slc_snap.open_slcs(folder, strict=True)
    assert (one.track, two.track) == (f"{tmp_path.name}_IW1", f"{tmp_path.name}_IW2")
    assert one.dates == two.dates == SCENE.dates
    assert {files[0].name[:5] for files in two.files.values()} == {"i_IW2"}


def test_first_polarisation_is_read(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    for file in sorted(folder.glob("*_stack_deb.dim")):
        text = file.read_text(encoding="iso-8859-1")
        other = file.with_name(f"{file.stem}_VH.dim")
        other.write_text(text.replace("_VV_", "_VH_").replace(file.stem, other.stem), encoding="iso-8859-1")
        other.with_suffix(".data").mkdir()
        for raster in file.with_suffix(".data").iterdir():
            (other.with_suffix(".data") / raster.name.replace("_VV_", "_VH_")).write_bytes(raster.read_bytes())
    (stack,) = slc_snap.open_slcs(folder, strict=True)
    assert all("_VV_" in files[0].name for files in stack.files.values())


def test_stack_without_ground_is_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    (folder / "20180702_ifg_dinsar.dim").unlink()
    with pytest.raises(NoDataError, match="no bands orthorectifiedLon, orthorectifiedLat, elevation") as caught:
        slc_snap.open_slcs(folder)
    assert "\n" not in str(caught.value)
    assert str(folder / "20180702_20180714_stack_deb.dim") in str(caught.value)
    assert "; add them, or put the .dim of an interferogram" in str(caught.value)


def test_ground_of_another_size_is_not_taken(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    for file in folder.glob("*_ifg_dinsar.*"):
        file.rename(file.with_name(file.name.replace("ifg", "old")))
    (folder / "20180702_old_dinsar.dim").unlink()
    lon, lat = SCENE.lonlat()
    small = {"orthorectifiedLat": lat, "orthorectifiedLon": lon, "elevation": SCENE.heights}
    write_ground(folder, "a_small", **{name: band[:-1] for name, band in small.items()})
    with pytest.raises(NoDataError, match="no bands orthorectifiedLon"):
        slc_snap.open_slcs(folder)
    write_ground(folder, "b_right", **small)
    assert len(slc_snap.open_slcs(folder, strict=True)) == 1


def test_pixels_without_ground_have_no_path_and_no_place(tmp_path: Path) -> None:
    """Zero latitude and longitude, and NaN, are no places."""
    folder = writer.write(tmp_path, SCENE)
    (folder / "20180702_ifg_dinsar.dim").unlink()
    lon, lat = SCENE.lonlat()
    lon[:2], lat[:2] = 0, 0
    lat[5, 7] = np.nan
    heights = SCENE.heights.copy()
    heights[9, 9] = np.nan
    write_ground(folder, "ground", orthorectifiedLat=lat, orthorectifiedLon=lon, elevation=heights)
    (stack,) = slc_snap.open_slcs(folder)
    unknown = np.isnan(stack.read_path(stack.dates[1], stack.full))
    expected = np.zeros(lon.shape, bool)
    expected[:2] = expected[5, 7] = expected[9, 9] = True
    np.testing.assert_array_equal(unknown, expected)
    assert np.isnan(stack.grid.lonlat(np.array(0.0), np.array(3.0))[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<MDElem name="Secondary_Metadata">', '<MDElem name="Something_Else">'),
        ('<MDATTR name="x_pos"', '<MDATTR name="x_place"'),
        ("12:00:00.000000</MDATTR>", "noon</MDATTR>"),
    ],
)
def test_date_without_its_orbit_is_left_out(tmp_path: Path, old: str, new: str) -> None:
    folder = writer.write(tmp_path, SCENE)
    file = folder / "20180702_20180714_stack_deb.dim"
    text = file.read_text(encoding="iso-8859-1")
    head, middle, tail = text.partition('<MDElem name="Secondary_Metadata">')
    changed = (middle + tail).replace(old, new)
    assert changed != middle + tail
    file.write_text(head + changed, encoding="iso-8859-1")
    (stack,) = slc_snap.open_slcs(folder)
    assert stack.dates == tuple(day for i, day in enumerate(SCENE.dates) if i != 1)
    (problem,) = stack.problems
    assert problem.message == (
        f"{file}: no usable orbit state vectors of 2018-07-14; write the product again with its metadata"
    )


def test_vectors_that_end_before_the_image_are_named(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    file = folder / "20180702_20180714_stack_deb.dim"
    head, middle, tail = file.read_text(encoding="iso-8859-1").partition('<MDElem name="Secondary_Metadata">')
    for number in range(6, 14):
        tail = tail.replace(f'name="orbit_vector{number}"', "")
        start = tail.index("<MDElem >")
        tail = tail[:start] + tail[tail.index("</MDElem>", start) + len("</MDElem>") :]
    file.write_text(head + middle + tail, encoding="iso-8859-1")
    with pytest.raises(ProductError, match="the state vectors of 2018-07-14 end before the image; apply the orbit"):
        slc_snap.open_slcs(folder)


def test_wavelength_that_is_not_told_is_that_of_sentinel_1(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    for file in folder.glob("*.dim"):
        text = file.read_text(encoding="iso-8859-1").replace("radar_frequency", "radio_frequency")
        file.write_text(text, encoding="iso-8859-1")
    (stack,) = slc_snap.open_slcs(folder, strict=True)
    assert stack.wavelength == pytest.approx(0.0554658, abs=1e-7)
    assert ["no radar_frequency" in p.message for p in stack.problems] == [True]


def test_damaged_header_is_named(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    file = folder / "20180702_20180714_stack_deb.dim"
    file.write_text(file.read_text(encoding="iso-8859-1")[:300], encoding="iso-8859-1")
    (stack,) = slc_snap.open_slcs(folder)
    assert stack.dates == tuple(day for i, day in enumerate(SCENE.dates) if i != 1)
    (problem,) = stack.problems
    assert problem.message == f"{file}: truncated or not XML; fetch the file again"


def test_folder_without_stack_is_said(tmp_path: Path) -> None:
    write_ground(tmp_path, "ground", elevation=SCENE.heights)
    assert not slc_snap.recognises(tmp_path)
    with pytest.raises(NoDataError, match="no images of a co-registered stack here") as caught:
        slc_snap.open_slcs(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_stack_on_a_map_is_refused(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, SCENE)
    for file in folder.glob("*.dim"):
        place = (
            f"<Coordinate_Reference_System><WKT>{CRS('EPSG:32647').to_wkt()}</WKT></Coordinate_Reference_System>"
            "<Geoposition><IMAGE_TO_MODEL_TRANSFORM>10,0,0,-10,780000,3410000</IMAGE_TO_MODEL_TRANSFORM></Geoposition>"
        )
        text = file.read_text(encoding="iso-8859-1").replace("<Data_Access>", f"{place}<Data_Access>")
        file.write_text(text, encoding="iso-8859-1")
    first = folder / "20180702_20180714_stack_deb.dim"
    with pytest.raises(NoDataError) as caught:
        slc_snap.open_slcs(folder)
    assert str(caught.value) == (
        f"{first}: lies on a map, where the path to the ground is not known; give it before terrain correction"
    )


def test_reference_alone_is_no_stack(tmp_path: Path) -> None:
    folder = writer.write(tmp_path, replace(SCENE, layers=SCENE.layers[:1]))
    with pytest.raises(NoDataError, match="2 are needed"):
        slc_snap.open_slcs(folder)
