"""Plain complex GeoTIFFs: kinds of numbers, dates and bursts in names, and what lies beside the images."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from tests.products_slc import geotiff_radar
from tests.products_slc.geotiff import metadata, write, write_tif
from tests.products_slc.scene import make_slc_scene

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import NoDataError, ProductError
from groundshift.io import slc_geotiff
from groundshift.types import LookGeometry, RadarGrid, Window

SCENE = make_slc_scene("EPSG:32648", (20, 18))
DATES = SCENE.dates
IMAGES = [layer.image for layer in SCENE.layers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "stack"
    place.mkdir()
    return write(place, SCENE)


def say(folder: Path, **told: object) -> None:
    """Write `metadata.yaml`."""
    (folder / "metadata.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")


def put(folder: Path, image: np.ndarray, day: date = DATES[0], grid: object = SCENE.grid, **options: object) -> Path:
    """Write one image and return where."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{day:%Y%m%d}.tif"
    write_tif(path, image if image.ndim == 3 else image[None], grid, **options)
    return path


def opened(folder: Path):
    (stack,) = slc_geotiff.open_slcs(folder, strict=True)
    return stack


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_rasters_are_images(tmp_path: Path, dtype: str) -> None:
    for day, image in zip(DATES, IMAGES, strict=True):
        put(tmp_path, image.astype(dtype), day)
    np.testing.assert_array_equal(opened(tmp_path).read(DATES[1]), IMAGES[1])


def test_complex_whole_numbers_are_images(tmp_path: Path) -> None:
    whole = [np.round(image) for image in IMAGES]
    place = {"crs": SCENE.grid.crs, "transform": SCENE.grid.transform}
    for day, image in zip(DATES, whole, strict=True):
        with rasterio.open(
            tmp_path / f"{day:%Y%m%d}.tif", "w", "GTiff", 18, 20, 1, dtype="complex_int16", **place
        ) as sink:
            sink.write(image, 1)
    np.testing.assert_array_equal(opened(tmp_path).read(DATES[1]), whole[1])


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_two_bands_that_say_so_are_images(tmp_path: Path, dtype: str) -> None:
    for day, image in zip(DATES, IMAGES, strict=True):
        path = put(tmp_path, np.stack([image.real, image.imag]).astype(dtype), day)
        with rasterio.open(path, "r+") as sink:
            sink.descriptions = ("Real part", "imaginary")
    expected = IMAGES[1].real.astype(dtype) + 1j * IMAGES[1].imag.astype(dtype)
    np.testing.assert_array_equal(opened(tmp_path).read(DATES[1]), expected.astype(np.complex64))


def test_two_bands_of_amplitude_are_no_images(tmp_path: Path) -> None:
    for day, image in zip(DATES, IMAGES, strict=True):
        put(tmp_path, np.stack([abs(image)] * 2), day)
    assert not slc_geotiff.recognises(tmp_path)
    say(tmp_path, wavelength_m=0.05)
    assert not slc_geotiff.recognises(tmp_path)
    say(tmp_path, flattened=True)
    assert slc_geotiff.recognises(tmp_path)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("S1A_IW_20180702T111213_20180702T111240_012345.tif", date(2018, 7, 2)),
        ("slc-02Jul2018.tiff", date(2018, 7, 2)),
        ("20180702_20180714.tif", None),
        ("20180702_path.tif", None),
        ("T144-308029-IW1_20180702.tif", date(2018, 7, 2)),
        ("slc.tif", None),
    ],
)
def test_name_holds_one_date(tmp_path: Path, name: str, day: date | None) -> None:
    write_tif(tmp_path / name, IMAGES[0][None], SCENE.grid)
    assert slc_geotiff.recognises(tmp_path) == (day is not None)
    if day is not None:
        write_tif(tmp_path / name.replace("0702", "0714").replace("02Jul", "14Jul"), IMAGES[1][None], SCENE.grid)
        assert opened(tmp_path).dates == (day, date(2018, 7, 14))


def test_bursts_are_told_apart_by_names_and_by_folders(tmp_path: Path) -> None:
    for burst, factor in (("T144-308029-IW1", 1), ("t144_308030_iw1", 2)):
        for day, image in zip(DATES, IMAGES, strict=True):
            write_tif(tmp_path / f"{burst}_{day:%Y%m%d}.tif", factor * image[None], SCENE.grid)
    for day, image in zip(DATES, IMAGES, strict=True):
        put(tmp_path / "north", 3 * image, day)
    say(tmp_path, track="ours", flattened=True)
    stacks = slc_geotiff.open_slcs(tmp_path, strict=True)
    assert [stack.track for stack in stacks] == ["T144-308029-IW1", "T144-308030-IW1", "north"]
    for factor, stack in enumerate(stacks, 1):
        np.testing.assert_array_equal(stack.read(DATES[2]), factor * IMAGES[2])


def test_track_is_told_beside_the_images_else_it_is_the_folder(folder: Path) -> None:
    assert opened(folder).track == "stack"
    say(folder, track="ours", flattened=True)
    assert opened(folder).track == "ours"


def test_folders_that_are_told_the_same_track_stay_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        for day, image in zip(DATES, IMAGES, strict=True):
            put(tmp_path / name, image, day)
        say(tmp_path / name, track="ours", flattened=True)
    assert [stack.track for stack in slc_geotiff.open_slcs(tmp_path)] == ["ours", "ours-two"]


def test_metadata_of_the_folder_given_is_that_of_the_folders_below(folder: Path) -> None:
    (folder / "metadata.yaml").rename(folder.parent / "metadata.yaml")
    stack = opened(folder.parent)
    assert stack.look == LookGeometry(SCENE.look.heading, SCENE.look.incidence)
    assert stack.track == "stack"


def test_baselines_are_followed_from_pair_to_pair(folder: Path) -> None:
    a, b, c, d = (f"{day:%Y%m%d}" for day in DATES)
    say(folder, flattened=True, perpendicular_baselines_m={f"{b}_{c}": 7.0, f"{a}_{c}": 10.0, "20150101_20160101": 3.0})
    assert opened(folder).baselines == {DATES[0]: 0.0, DATES[1]: 3.0, DATES[2]: 10.0}
    say(folder, flattened=True, perpendicular_baselines_m={f"{c}_{d}": 7.0})
    assert opened(folder).baselines == {DATES[0]: 0.0}


def test_images_that_are_not_flattened_are_refused_without_paths(folder: Path) -> None:
    say(folder, flattened=False)
    with pytest.raises(ProductError) as caught:
        slc_geotiff.open_slcs(folder)
    assert str(caught.value) == (
        f"{folder / 'metadata.yaml'}: flattened is false, but there is no 20180702_path.tif; write the distance to the "
        "terrain in metres beside each image, or flatten the images"
    )


def test_images_that_say_nothing_are_taken_as_flattened_and_it_is_said(folder: Path) -> None:
    say(folder, **metadata(SCENE))
    stack = opened(folder)
    assert stack.read_path is None
    assert [p.message for p in stack.problems] == [
        f"{folder}: nothing says whether the path to the terrain is out of the phase, taken as out; say flattened: "
        "true or false in metadata.yaml"
    ]


@pytest.mark.parametrize(("told", "used"), [({"flattened": True}, False), ({"flattened": False}, True), ({}, True)])
def test_paths_are_used_unless_the_images_are_flattened(folder: Path, told: dict, used: bool) -> None:
    say(folder, wavelength_m=0.05, **told)
    for layer in SCENE.layers:
        write_tif(folder / f"{layer.name}_path.tif", SCENE.slant_range(layer)[None], SCENE.grid)
    stack = opened(folder)
    assert stack.problems == ()
    assert (stack.read_path is not None) == used
    if used:
        window = Window(2, 3, 10, 8)
        found = stack.read_path(DATES[3], window)
        np.testing.assert_array_equal(found, SCENE.path(SCENE.layers[3])[window.rows, window.columns])


def test_path_is_not_known_where_the_raster_has_no_data(folder: Path) -> None:
    say(folder, wavelength_m=0.05, flattened=False)
    for layer in SCENE.layers:
        path = SCENE.path(layer)
        path[4, 5] = -9999
        write_tif(folder / f"{layer.name}_path.tif", path[None], SCENE.grid, nodata=-9999)
    found = opened(folder).read_path(DATES[1], Window(0, 0, 20, 18))
    assert np.argwhere(np.isnan(found)).tolist() == [[4, 5]]


def test_path_that_float32_rounds_too_much_is_refused(folder: Path) -> None:
    """At 850 km float32 goes in steps of 6 cm, more than a wavelength."""
    say(folder, wavelength_m=0.05, flattened=False)
    for layer in SCENE.layers:
        write_tif(folder / f"{layer.name}_path.tif", SCENE.path(layer)[None].astype(np.float32), SCENE.grid)
    path = folder / "20180714_path.tif"
    write_tif(path, SCENE.slant_range(SCENE.layers[1])[None].astype(np.float32), SCENE.grid)
    (stack,) = slc_geotiff.open_slcs(folder)
    assert stack.dates == (DATES[0], *DATES[2:])
    (problem,) = stack.problems
    assert str(path) in problem.message
    assert problem.message.endswith("write float64, or take the distance of one date from all")


def test_path_on_another_grid_leaves_its_date_out(folder: Path) -> None:
    say(folder, wavelength_m=0.05, flattened=False)
    for layer in SCENE.layers:
        write_tif(folder / f"{layer.name}_path.tif", SCENE.path(layer)[None], SCENE.grid)
    write_tif(folder / "20180714_path.tif", np.zeros((1, 5, 5)), SCENE.grid)
    (stack,) = slc_geotiff.open_slcs(folder)
    assert [p.message for p in stack.problems] == [
        f"{folder / '20180714_path.tif'}: not on the grid of s1_20180714.tif; bring it to that grid"
    ]


@pytest.mark.parametrize("value", ["yes please", 1, []])
def test_flattened_is_true_or_false(folder: Path, value: object) -> None:
    say(folder, flattened=value)
    with pytest.raises(ProductError) as caught:
        slc_geotiff.open_slcs(folder)
    assert str(caught.value) == (
        f"{folder / 'metadata.yaml'}: flattened must be true or false, instead got {value!r}; write one of them"
    )


def test_metadata_of_another_form_is_named(folder: Path) -> None:
    (folder / "metadata.yaml").write_text("- 1", encoding="utf-8")
    assert slc_geotiff.recognises(folder)
    with pytest.raises(ProductError, match=r"metadata.yaml: expected names with values"):
        slc_geotiff.open_slcs(folder)


def test_wavelength_of_a_tag_and_of_nothing(folder: Path) -> None:
    say(folder, flattened=True)
    stack = opened(folder)
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    assert [p.message for p in stack.problems] == [
        f"{folder}: nothing tells the wavelength, taken as Sentinel-1's 0.0555 m; give it in metadata.yaml"
    ]
    with rasterio.open(folder / "s1_20180702.tif", "r+") as sink:
        sink.update_tags(WAVELENGTH_METRES="0.236")
    assert opened(folder).wavelength == 0.236
    assert opened(folder).problems == ()


def test_value_of_the_nodata_tag_reads_as_zero(tmp_path: Path) -> None:
    image = np.where(IMAGES[0] == 0, -9999, IMAGES[0])
    for day in DATES:
        put(tmp_path, np.stack([image.real, image.imag]), day, nodata=-9999)
    say(tmp_path, flattened=True, wavelength_m=0.05)
    found = opened(tmp_path).read(DATES[0])
    np.testing.assert_array_equal(found != 0, (IMAGES[0] != 0) & (image.imag != -9999))


def test_mask_is_false_at_zero_and_where_it_has_no_data(folder: Path) -> None:
    mask = np.ones((20, 18), np.uint8)
    mask[3, 4], mask[5, 6] = 0, 255
    write_tif(folder / "mask.tif", mask[None], SCENE.grid, nodata=255)
    found = opened(folder).read_mask(Window(0, 0, 20, 18))
    assert found.dtype == bool
    assert np.argwhere(~found).tolist() == [[3, 4], [5, 6]]


def test_heights_are_not_known_where_the_terrain_has_no_data(folder: Path) -> None:
    heights = SCENE.heights.copy()
    heights[3, 4] = -32768
    write_tif(folder / "dem.tif", heights[None], SCENE.grid, nodata=-32768)
    found = opened(folder).read_height(Window(0, 0, 20, 18))
    np.testing.assert_array_equal(found, np.where(heights < 0, np.nan, heights))


@pytest.mark.parametrize("name", ["dem.tif", "mask.tif"])
@pytest.mark.parametrize("how", ["beside", "smaller", "unreadable"])
def test_companion_on_another_grid_is_named_and_not_read(folder: Path, name: str, how: str) -> None:
    layer = np.ones((1, 20, 18), np.float32)
    if how == "unreadable":
        (folder / name).write_bytes(b"II*\0")
    elif how == "beside":
        write_tif(folder / name, layer, SCENE.grid.shifted(0.5, 0))
    else:
        write_tif(folder / name, layer[:, 1:], replace(SCENE.grid, shape=(19, 18)))
    stack = opened(folder)
    assert {"dem.tif": stack.read_height, "mask.tif": stack.read_mask}[name] is None
    (note,) = stack.problems
    assert str(folder / name) in note.message
    assert not note.skipped


def test_images_without_any_place_are_refused(tmp_path: Path) -> None:
    geotiff_radar.write(tmp_path, SCENE)
    (tmp_path / "lat.tif").unlink()
    with pytest.raises(ProductError) as caught:
        slc_geotiff.open_slcs(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: images without a coordinate system and without lon.tif and lat.tif; add both, with degrees at "
        "pixel centres, or assign a coordinate system with gdal_edit -a_srs"
    )


def test_lookup_of_another_shape_or_without_positions_is_named(tmp_path: Path) -> None:
    geotiff_radar.write(tmp_path, SCENE)
    write_tif(tmp_path / "lat.tif", np.zeros((1, 5, 5)), None)
    with pytest.raises(ProductError, match=r"lat.tif: not of the shape of the rasters, 20 x 18; bring it to that grid"):
        slc_geotiff.open_slcs(tmp_path)
    for name in ("lon", "lat"):
        write_tif(tmp_path / f"{name}.tif", np.zeros((1, 20, 18)), None)
    with pytest.raises(ProductError, match=r"lon.tif: no positions around the centre"):
        slc_geotiff.open_slcs(tmp_path)


def test_radar_pixels_without_a_position_stay_unknown(tmp_path: Path) -> None:
    geotiff_radar.write(tmp_path, SCENE)
    lon, lat = SCENE.lonlat()
    lon[2, 3], lat[2, 3], lon[4, 5] = 0, 0, np.nan
    for name, values in (("lon", lon), ("lat", lat)):
        write_tif(tmp_path / f"{name}.tif", values[None], None)
    grid = opened(tmp_path).grid
    assert isinstance(grid, RadarGrid)
    assert np.argwhere(np.isnan(grid.latitude)).tolist() == [[2, 3], [4, 5]]
    np.testing.assert_allclose(grid.spacing, (40, 40), rtol=0.01)


def test_rotated_raster_is_left_out(folder: Path) -> None:
    rotated = replace(SCENE.grid, transform=SCENE.grid.transform @ SCENE.grid.transform.rotation(10))
    write_tif(folder / "s1_20180714.tif", IMAGES[1][None], rotated)
    (stack,) = slc_geotiff.open_slcs(folder)
    assert stack.dates == (DATES[0], *DATES[2:])
    assert "gdalwarp" in stack.problems[0].message


def test_single_raster_is_one_image(folder: Path) -> None:
    file = folder / "s1_20180702.tif"
    assert slc_geotiff.recognises(file)
    with pytest.raises(NoDataError, match="2 are needed"):
        slc_geotiff.open_slcs(file)
