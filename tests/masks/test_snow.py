import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from groundshift.errors import DamagedFileError, GroundshiftError, MissingFileError, NoDataError, ProductError
from groundshift.io.rasters import raster_grid
from groundshift.masks.scenes import find_scenes
from groundshift.masks.snow import ndsi, snow_mask, snow_on_grid
from groundshift.types import MapGrid

CORNER = (580_560, 5_102_120)
GRID = MapGrid((8, 8), Affine(20, 0, CORNER[0], 0, -20, CORNER[1]), "EPSG:32632")
SNOW, ROCK, LAKE, FOREST = (0.8, 0.7, 0.1), (0.2, 0.25, 0.3), (0.12, 0.02, 0.03), (0.05, 0.3, 0.02)


def image(left, right=None):
    """Green, nir, swir with one kind of ground on the left half and another on the right."""
    out = np.empty((3, 8, 8))
    out[:, :, :4] = np.reshape(left, (3, 1, 1))
    out[:, :, 4:] = np.reshape(left if right is None else right, (3, 1, 1))
    return out


def numbers(reflectance, offset=0):
    return np.round(reflectance * 10_000 - offset).astype(np.uint16)


def write(path, bands, *, metres=20, names=None, driver="GTiff", **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = np.atleast_3d(bands) if bands.ndim == 3 else bands[np.newaxis]
    if driver == "JP2OpenJPEG":
        more |= {"quality": "100", "reversible": "yes"}
    with rasterio.open(
        path, "w", driver=driver, count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype,
        crs="EPSG:32632", transform=Affine(metres, 0, CORNER[0], 0, -metres, CORNER[1]), **more,
    ) as sink:  # fmt: skip
        sink.write(bands)
        for i, name in enumerate(names or [], start=1):
            sink.set_band_description(i, name)
    return path


METADATA = {
    "L1C": """<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd">
<n1:General_Info><Product_Info><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>
<Product_Image_Characteristics><QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>{offsets}
</Product_Image_Characteristics></n1:General_Info></n1:Level-1C_User_Product>""",
    "L2A": """<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>
<Product_Image_Characteristics><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>{offsets}
</Product_Image_Characteristics></n1:General_Info></n1:Level-2A_User_Product>""",
}


def safe(root, level, reflectance, *, offset=0, baseline="05.10", told="by the list of offsets"):
    """A SAFE folder with bands of the sizes that the level has, decoys included."""
    folder = root / f"S2A_MSI{level}_20180703T101029_N{baseline.replace('.', '')}_R022_T32TNR_20180703T121029.SAFE"
    granule = folder / "GRANULE" / f"{level}_T32TNR_A010602_20180703T101350"
    values = numbers(reflectance, offset)
    fine = values.repeat(2, 1).repeat(2, 2)
    stem = "T32TNR_20180703T101029"
    data = granule / "IMG_DATA"
    if level == "L1C":
        write(data / f"{stem}_B03.jp2", fine[0], metres=10, driver="JP2OpenJPEG")
        write(data / f"{stem}_B8A.jp2", values[1], driver="JP2OpenJPEG")
        write(data / f"{stem}_B11.jp2", values[2], driver="JP2OpenJPEG")
    else:
        for band, name in enumerate(("B03", "B8A", "B11")):
            write(data / "R20m" / f"{stem}_{name}_20m.jp2", values[band], driver="JP2OpenJPEG")
            write(data / "R60m" / f"{stem}_{name}_60m.jp2", 0 * values[band, ::3, ::3], metres=60, driver="JP2OpenJPEG")
        write(data / "R10m" / f"{stem}_B03_10m.jp2", fine[0], metres=10, driver="JP2OpenJPEG")
    write(granule / "QI_DATA" / "MSK_DETFOO_B03.jp2", 0 * values[0], driver="JP2OpenJPEG")
    if told != "by the folder's name":
        tag = {"L1C": "RADIO_ADD_OFFSET", "L2A": "BOA_ADD_OFFSET"}[level]
        lines = (
            "".join(f'<{tag} band_id="{i}">{offset}</{tag}>' for i in range(13))
            if told == "by the list of offsets" and offset
            else ""
        )
        (folder / f"MTD_MSI{level}.xml").write_text(METADATA[level].format(baseline=baseline, offsets=lines))
        (granule / "MTD_TL.xml").write_text("<tile/>")
    return folder


LEFT = np.arange(64).reshape(8, 8) % 8 < 4


@pytest.mark.parametrize(("ground", "snow"), [(SNOW, True), (ROCK, False), (LAKE, False), (FOREST, False)])
def test_only_snow_is_snow(ground, snow):
    assert (snow_mask(*image(ground)) == snow).all()


def test_each_threshold_rejects_what_the_paper_says_it_rejects():
    # To the index alone lake and forest are snow; the near infrared rejects the lake, green the forest.
    assert (ndsi(*image(LAKE, FOREST)[[0, 2]]) > 0.4).all()
    np.testing.assert_array_equal(snow_mask(*image(LAKE, FOREST), minimum_green=0, minimum_nir=0), True)
    np.testing.assert_array_equal(snow_mask(*image(LAKE, FOREST), minimum_green=0), ~LEFT)
    np.testing.assert_array_equal(snow_mask(*image(LAKE, FOREST), minimum_nir=0, minimum_green=0.1), LEFT)


@given(
    arrays.arrays(np.float32, (3, 5, 4), elements=st.sampled_from([np.nan, np.inf, -np.inf, -0.05, 0.0, 0.1, 0.3, 0.9]))
)
def test_no_data_is_never_snow(bands):
    snow = snow_mask(*bands)
    bad = (~np.isfinite(bands) | (bands == 0)).any(0)
    assert not snow[bad].any()
    green, nir, swir = bands[:, ~bad]
    expected = (green > 0.28) & (nir > 0.15) & ((green - swir) > 0.4 * (green + swir))
    np.testing.assert_array_equal(snow[~bad], expected)


@pytest.mark.parametrize("level", ["L1C", "L2A"])
@pytest.mark.parametrize(("offset", "baseline"), [(0, "02.06"), (-1000, "04.00"), (-1000, "05.10")])
@pytest.mark.parametrize("told", ["by the list of offsets", "by the baseline", "by the folder's name"])
def test_safe_folders_of_every_age(tmp_path, level, offset, baseline, told):
    # 0.25 in green is no snow, but would be with the 1000 left in; 0.31 is snow, but not with 1000 too little.
    dull, bright = (0.25, 0.7, 0.02), (0.31, 0.7, 0.02)
    folder = safe(tmp_path, level, image(bright, dull), offset=offset, baseline=baseline, told=told)
    mask = snow_on_grid([folder], GRID)
    np.testing.assert_array_equal(mask.snow, LEFT)
    assert mask.seen.all()
    assert mask.fraction == 0.5
    np.testing.assert_array_equal(mask.valid, ~LEFT)


def test_every_scene_of_a_folder_is_found(tmp_path):
    safe(tmp_path, "L1C", image(SNOW))
    safe(tmp_path, "L2A", image(SNOW))
    found = find_scenes([tmp_path])
    assert len(found) == 2
    assert [f.name[-11:] for s in found for f in s.files if "R20m" in f.parts] == [
        "B03_20m.jp2",
        "B8A_20m.jp2",
        "B11_20m.jp2",
    ]


def test_one_file_for_each_band(tmp_path):
    values = numbers(image(SNOW, ROCK))
    files = [write(tmp_path / f"site_20180301_{n}.tif", v) for n, v in zip(("B3", "b8a", "B11"), values, strict=True)]
    np.testing.assert_array_equal(snow_on_grid(files, GRID).snow, LEFT)
    np.testing.assert_array_equal(snow_on_grid([tmp_path], GRID).snow, LEFT)


@pytest.mark.parametrize("kind", ["whole", "reflectance", "scaled"])
def test_one_file_of_many_bands(tmp_path, kind):
    bands = np.concatenate([image(ROCK), image(SNOW, ROCK)[::-1]])
    if kind == "reflectance":
        path = write(tmp_path / "scene.tif", bands.astype(np.float32))
    else:
        path = write(tmp_path / "scene.tif", numbers(bands, -1000 if kind == "scaled" else 0))
    if kind == "scaled":
        with rasterio.open(path, "r+") as sink:
            sink.scales, sink.offsets = (1e-4,) * 6, (-0.1,) * 6
    np.testing.assert_array_equal(snow_on_grid([path], GRID, bands=(6, 5, 4)).snow, LEFT)


def test_band_names_tell_the_order(tmp_path):
    bands = numbers(np.concatenate([image(ROCK), image(SNOW, ROCK)[::-1]]))
    path = write(tmp_path / "scene.tif", bands, names=["B02", "B08", "B12", "B11 (swir)", "B8A", "B03"])
    np.testing.assert_array_equal(snow_on_grid([path], GRID).snow, LEFT)


def test_what_no_scene_shows_is_neither_snow_nor_seen(tmp_path):
    values = numbers(image(SNOW))
    values[0, 0] = 0
    values[1, 1] = 65535
    values[2, 2] = 0
    path = write(tmp_path / "scene.tif", values[:, :, :6])
    mask = snow_on_grid([path], GRID, bands=(1, 2, 3))
    shown = np.zeros((8, 8), bool)
    shown[3:, :6] = True
    np.testing.assert_array_equal(mask.seen, shown)
    np.testing.assert_array_equal(mask.snow, shown)
    assert mask.fraction == 1.0


@pytest.mark.parametrize(("share", "needed"), [(0.0, 1), (0.2, 2), (0.5, 4), (1.0, 8)])
def test_a_share_of_the_views_must_show_snow(tmp_path, share, needed):
    # Column c has snow in c of 8 scenes, so in columns `needed` and on there is enough.
    paths = []
    for i in range(8):
        bands = image(ROCK)
        bands[:, :, i + 1 :] = np.reshape(SNOW, (3, 1, 1))
        paths.append(write(tmp_path / f"{i}.tif", numbers(bands)))
    mask = snow_on_grid(paths, GRID, bands=(1, 2, 3), share=share)
    np.testing.assert_array_equal(mask.snow, np.tile(np.arange(8) >= needed, (8, 1)))


@pytest.mark.parametrize("views", [1, 2, 3, 4, 5])
def test_up_to_five_views_unite(tmp_path, views):
    paths = [write(tmp_path / "0.tif", numbers(image(SNOW)))]
    paths += [write(tmp_path / f"{i}.tif", numbers(image(ROCK))) for i in range(1, views)]
    assert snow_on_grid(paths, GRID, bands=(1, 2, 3)).snow.all()


def message(*paths, grid=GRID, **options):
    """The one line that `snow_on_grid` gives up with, less the folder."""
    with pytest.raises(GroundshiftError) as caught:
        snow_on_grid(list(paths), grid, **options)
    return type(caught.value), str(caught.value).replace(str(paths[0].parent) + os.sep, "")


def test_a_path_that_is_not_there(tmp_path):
    text = "none: no such file or folder; check the spelling"
    assert message(tmp_path / "none") == (MissingFileError, text)


def test_a_folder_without_scenes(tmp_path):
    (tmp_path / "empty").mkdir()
    text = "empty: no Sentinel-2 bands B03, B8A, B11 here; give a SAFE folder"
    assert message(tmp_path / "empty") == (MissingFileError, text)


def test_a_scene_that_lacks_bands(tmp_path):
    path = write(tmp_path / "x_B03.tif", numbers(image(SNOW))[0])
    text = "x_B03.tif: B8A and B11 of this scene not found; put them beside it"
    assert message(path) == (MissingFileError, text)


def test_bands_whose_order_cannot_be_told(tmp_path):
    path = write(tmp_path / "x.tif", numbers(image(SNOW)))
    text = "x.tif: the 3 bands carry no names; tell which are B03, B8A and B11, such as 3,9,12"
    assert message(path) == (ProductError, text)
    text = "x.tif: no band 4; it has 3, give the number of one of them"
    assert message(path, bands=(1, 2, 4)) == (ProductError, text)


def test_an_offset_that_cannot_be_told(tmp_path):
    path = write(tmp_path / "x_20230301T101029.tif", numbers(image(SNOW)))
    text = f"{path.name}: images since 2022-01-25 may or may not hold 1000 too much; state the offset, -1000 or 0"
    assert message(path, bands=(1, 2, 3)) == (ProductError, text)
    assert snow_on_grid([path], GRID, bands=(1, 2, 3), offset=0).snow.all()


def test_values_that_are_no_reflectance(tmp_path):
    path = write(tmp_path / "x.tif", (image(SNOW) * 1e4).astype(np.float32))
    text = "x.tif: reflectance must lie in 0 to 1, instead got a median of 8000; give the scale of the file"
    assert message(path, bands=(1, 2, 3)) == (ProductError, text)
    assert snow_on_grid([path], GRID, bands=(1, 2, 3), scale=10_000).snow.all()


def test_a_damaged_picture(tmp_path):
    folder = safe(tmp_path, "L1C", image(SNOW))
    picture = next(folder.rglob("*_B8A.jp2"))
    picture.write_bytes(b"no picture")
    text = f"{picture.relative_to(tmp_path)}: not a readable raster; fetch the file again"
    assert message(folder) == (DamagedFileError, text)


def test_damaged_metadata(tmp_path):
    folder = safe(tmp_path, "L2A", image(SNOW))
    (folder / "MTD_MSIL2A.xml").write_text("<cut")
    text = f"{folder.name}{os.sep}MTD_MSIL2A.xml: cannot be decoded; fetch the product again"
    assert message(folder) == (DamagedFileError, text)


def test_scenes_of_another_place(tmp_path):
    path = write(tmp_path / "x.tif", numbers(image(SNOW)))
    far = MapGrid(GRID.shape, GRID.transform, "EPSG:32633")
    text = "none of the 1 Sentinel-2 scenes shows the area of this stack; give scenes that cover it"
    assert message(path, grid=far, bands=(1, 2, 3)) == (NoDataError, text)


def real():
    if "GROUNDSHIFT_DATA" not in os.environ:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    return Path(os.environ["GROUNDSHIFT_DATA"]) / "sentinel2"


@pytest.mark.real
def test_slovenia_in_summer_has_no_snow():
    scenes = np.load(real() / "REFERENCE_SCENES.npy")
    # Thirteen bands, B8A after B08.
    assert scenes.shape == (5, 101, 100, 13)
    assert not snow_mask(scenes[..., 2], scenes[..., 8], scenes[..., 11]).any()


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "swir"),
    [("S2A1C_20170703_022_Barbellino_TOA_10.tif", 11), ("S2A2A_20170703_022_Barbellino_BOA_10.tif", 10)],
)
def test_an_alpine_lake_is_snow_to_the_index_but_not_to_the_mask(name, swir):
    """The crops have B08 (band 8, at 10 m) but no B8A; both are dark over water."""
    path = real() / name
    with rasterio.open(real() / "S2A2A_20170703_022_Barbellino_SCL_10.tif") as source:
        water = (source.read(1) == 6).repeat(2, 0).repeat(2, 1)
    with rasterio.open(path) as source:
        green, nir, infra = (source.read(i) / 1e4 for i in (3, 8, swir))
    assert water.sum() == 44
    assert (ndsi(green, infra)[water] > 0.4).mean() > 0.8
    bright = snow_mask(green, nir, infra, minimum_green=0.0, minimum_nir=0.0)
    assert bright[water].mean() > 0.8
    assert not snow_mask(green, nir, infra, minimum_green=0.0)[water].any()
    mask = snow_on_grid([path], raster_grid(path), bands=(3, 8, swir))
    assert mask.seen.all()
    assert not mask.snow.any()
