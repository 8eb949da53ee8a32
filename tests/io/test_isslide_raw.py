"""The raw ISSLIDE set: two swaths put together, and shapefiles with whatever fields they have."""

import re

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import LineString, box

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io.isslide_raw import (
    find_annotations,
    find_interferograms,
    is_raw_set,
    movements_of,
    read_polygons,
    read_zone,
)

pytestmark = pytest.mark.filterwarnings("ignore:'crs' was not provided")

DATES = "02Jul2018_08Jul2018"
SIZE = 1.315e-4
RNG = np.random.default_rng(5)
PHASE = RNG.uniform(-3, 3, (40, 60)).astype(np.float32)
COHERENCE = RNG.uniform(0.1, 1, (40, 60)).astype(np.float32)


def put(root, swath, columns, *, dates=DATES, delay="6days", phase=PHASE, coherence=COHERENCE, crs="EPSG:4326"):
    """Write columns of the image as a swath."""
    for kind, end, values in (("phase", "pha", phase), ("coherence", "coh", coherence)):
        if values is None:
            continue
        path = root / delay / swath / kind / f"S1_I{swath[1:]}_{dates}_{end}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = values[:, columns]
        transform = Affine(SIZE, 0, 6.0 + columns.start * SIZE, 0, -SIZE, 45.0)
        with rasterio.open(path, "w", driver="GTiff", count=1, height=part.shape[0], width=part.shape[1],
                           dtype="float32", crs=crs, transform=transform) as sink:  # fmt: skip
            sink.write(part, 1)


def shapefile(path, *, crs="EPSG:4326", **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"id": [4, 9], **fields}
    fields = {name: values for name, values in fields.items() if values is not None}
    shapes = [box(6.001, 44.998, 6.002, 44.999), box(6.004, 44.997, 6.005, 44.998)]
    geopandas.GeoDataFrame(fields, geometry=shapes, crs=crs).to_file(path)
    return path


def test_both_swaths_become_one_image_and_the_first_one_wins(tmp_path):
    put(tmp_path, "SW1", slice(0, 35))
    put(tmp_path, "SW2", slice(25, 60), phase=np.where(np.arange(60) < 35, np.float32(1), PHASE))
    assert is_raw_set(tmp_path)
    (raw,), problems = find_interferograms(tmp_path)
    assert problems == []
    assert (raw.delay, raw.dates, len(raw.phase)) == ("6days", DATES, 2)
    wrapped, coherence, grid = read_zone(raw, (5.0, 44.0, 7.0, 46.0))
    assert grid.shape == (40, 60)
    np.testing.assert_array_equal(wrapped, PHASE)
    np.testing.assert_array_equal(coherence, COHERENCE)


def test_a_zone_is_the_crop_of_the_whole(tmp_path):
    put(tmp_path, "SW1", slice(0, 60))
    (raw,), _ = find_interferograms(tmp_path)
    bounds = (6 + 10.2 * SIZE, 45 - 30.5 * SIZE, 6 + 40 * SIZE, 45 - 12 * SIZE)
    wrapped, _, grid = read_zone(raw, bounds)
    np.testing.assert_array_equal(wrapped, PHASE[12:31, 10:40])
    assert grid.transform.almost_equals(Affine(SIZE, 0, 6 + 10 * SIZE, 0, -SIZE, 45 - 12 * SIZE))
    with pytest.raises(NoDataError, match="does not reach the polygons of these dates"):
        read_zone(raw, (8, 44, 9, 46))


def test_zeros_of_both_are_no_data(tmp_path):
    phase, coherence = PHASE.copy(), COHERENCE.copy()
    phase[3, 4] = coherence[3, 4] = 0
    put(tmp_path, "SW1", slice(0, 60), phase=phase, coherence=coherence)
    (raw,), _ = find_interferograms(tmp_path)
    wrapped, _, _ = read_zone(raw, (6, 44.9, 6.1, 45))
    assert np.argwhere(np.isnan(wrapped)).tolist() == [[3, 4]]


def test_what_is_wrong_with_the_images_is_said_in_one_line(tmp_path):
    put(tmp_path, "SW1", slice(0, 60))
    put(tmp_path, "SW2", slice(0, 60), coherence=None)
    put(tmp_path, "SW1", slice(0, 60), dates="08Jul2018_20Jul2018")
    found, problems = find_interferograms(tmp_path)
    assert [len(raw.phase) for raw in found] == [1]
    assert len(problems) == 2
    assert problems[0].message.endswith("_20Jul2018_pha.tif: its dates are 12 days apart, not 6days; move the file")
    assert "S1_IW2_02Jul2018_08Jul2018_pha.tif: no coherence of these dates in " in problems[1].message
    put(tmp_path, "SW1", slice(0, 60), phase=PHASE * 60)
    with pytest.raises(DamagedFileError, match=r"expected wrapped phase in radians, instead got -1.* convert it"):
        read_zone(found[0], (6, 44.9, 6.1, 45))
    put(tmp_path, "SW1", slice(0, 60), crs="EPSG:32632")
    with pytest.raises(DamagedFileError, match="expected longitude and latitude, instead got EPSG:32632; warp it to"):
        read_zone(found[0], (6, 44.9, 6.1, 45))
    with pytest.raises(NoDataError, match=re.escape("no DELAY/SW1/phase/*_pha.tif with its coherence")):
        find_interferograms(tmp_path / "6days")


def test_all_fields_are_kept_and_a_file_of_another_system_lands_in_wgs84(tmp_path):
    shapefile(tmp_path / f"6days/a/Queyras_6days_{DATES}.shp", conf=[1, 3], type=["Landslides", "Rock Glaciers"])
    (annotation,), problems = find_annotations(tmp_path)
    assert problems == []
    assert (annotation.zone, annotation.delay, annotation.dates) == ("Queyras", "6days", DATES)
    assert list(annotation.table["type"]) == ["Landslides", "Rock Glaciers"]
    assert [m.id for m in movements_of(annotation.table)] == [4, 9]
    table = annotation.table.to_crs("EPSG:2154")
    table.to_file(tmp_path / "lambert.gpkg")
    again = read_polygons(tmp_path / "lambert.gpkg")
    np.testing.assert_allclose(again.geometry.bounds, annotation.table.geometry.bounds, atol=1e-8)


def test_shapefiles_that_cannot_be_used_are_named_and_the_good_ones_used(tmp_path):
    good = [
        shapefile(tmp_path / f"6days/{k}/{zone}_6days_{DATES}.shp", conf=[1, 2]) for k, zone in enumerate("ABC")
    ]  # fmt: skip
    odd = shapefile(tmp_path / f"6days/3/D_6days_{DATES}.shp", layer=[1, 2])
    lost = shapefile(tmp_path / f"6days/4/E_6days_{DATES}.shp", crs=None)
    bare = shapefile(tmp_path / f"6days/5/F_6days_{DATES}.shp", id=None, name=["x", "y"])
    half = shapefile(tmp_path / f"6days/6/G_6days_{DATES}.shp", id=[1.5, 2.0])
    name = shapefile(tmp_path / "6days/7/H.shp")
    shapefile(tmp_path / f"6days/AllInOne/I_6days_{DATES}.shp", crs=None)
    found, problems = find_annotations(tmp_path)
    assert [a.path for a in found] == [*good, odd]
    assert [p.message for p in problems] == [
        f"{lost}: no coordinate system; assign one with ogr2ogr -a_srs EPSG:4326",
        f"{bare}: no field id, only name; name the field of numbers with --id-field",
        f"{half}: id: expected whole numbers from 1 on, instead got 1.5; number them",
        f"{name}: expected a name such as Queyras_6days_02Jul2018_08Jul2018.shp; rename it",
        f"{odd}: unexpected fields layer; only id is used",
        f"{odd}: missing fields conf; only id is used",
    ]
    assert [p.skipped for p in problems] == [True] * 4 + [False] * 2


def test_no_usable_shapefile_is_an_error_of_one_line(tmp_path):
    with pytest.raises(MissingFileError, match="no shapefile in it; name their folder with --polygons"):
        find_annotations(tmp_path)
    shapefile(tmp_path / f"E_6days_{DATES}.shp", crs=None)
    with pytest.raises(NoDataError, match=r"no usable shapefile; first of 1: .*: no coordinate system"):
        find_annotations(tmp_path)


def test_polygons_that_are_none_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no such file; check the spelling of --polygons"):
        read_polygons(tmp_path / "x.gpkg")
    (tmp_path / "x.gpkg").write_text("nothing")
    with pytest.raises(DamagedFileError, match="cannot be read as a vector file; export it again"):
        read_polygons(tmp_path / "x.gpkg")
    lines = geopandas.GeoDataFrame({"id": [1]}, geometry=[LineString([(6, 45), (6.1, 45)])], crs="EPSG:4326")
    lines.to_file(tmp_path / "lines.gpkg")
    with pytest.raises(DamagedFileError, match="expected polygons, instead got LineString; draw outlines"):
        read_polygons(tmp_path / "lines.gpkg")
