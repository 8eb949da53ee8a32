"""The area of interest in each of its forms."""

import re

import geopandas
import pytest
import shapely

from groundshift.acquire import read_area
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError

DANBA = shapely.box(101.9, 30.4, 102.1, 30.7)


@pytest.mark.parametrize("text", ["101.9,30.4,102.1,30.7", DANBA.wkt, f"  {DANBA.wkt.lower()}"])
def test_boxes_and_text_are_the_same_ground(text):
    assert read_area(text).equals(DANBA)


@pytest.mark.parametrize("name", ["area.gpkg", "area.geojson", "area.shp"])
def test_vector_files_are_brought_to_degrees(tmp_path, name):
    parts = [shapely.box(101.9, 30.4, 102.0, 30.7), shapely.box(102.0, 30.4, 102.1, 30.7), None]
    frame = geopandas.GeoDataFrame(geometry=parts, crs="EPSG:4326")
    # GeoJSON knows degrees only.
    (frame if name.endswith("json") else frame.to_crs("EPSG:32648")).to_file(tmp_path / name)
    found = read_area(str(tmp_path / name))
    assert found.symmetric_difference(DANBA).area < 1e-4 * DANBA.area


def test_a_box_may_cross_the_date_line():
    assert read_area("179.5,-17,-179.5,-16").bounds == (179.5, -17, 180.5, -16)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Danba", "expected well-known text, W,S,E,N or a vector file, instead got 'Danba'"),
        ("1,2,3", "expected well-known text, W,S,E,N or a vector file, instead got '1,2,3'"),
        ("1,2,3,-4", "expected W,S,E,N with S below N and W not E, instead got '1,2,3,-4'"),
        ("1,2,3,4-", "expected four numbers W,S,E,N, instead got '1,2,3,4-'"),
        ("POLYGON ((1 2, 3", "expected well-known text, instead got 'POLYGON ((1 2, 3'"),
        ("POLYGON EMPTY", "expected an area, instead got the empty 'POLYGON EMPTY'"),
        (
            "210000,3400000,220000,3410000",
            "expected degrees, longitude before latitude, instead got 210000 to 220000 and 3.4e+06 to 3.41e+06",
        ),
    ],
)
def test_what_is_no_area_is_said(text, line):
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        read_area(text)


def test_files_that_tell_no_area_are_named(tmp_path):
    gone, broken, empty, nowhere = (tmp_path / n for n in ("no.gpkg", "broken.gpkg", "empty.gpkg", "nowhere.gpkg"))
    broken.write_text("not a GeoPackage")
    geopandas.GeoDataFrame(geometry=[], crs="EPSG:4326").to_file(empty)
    geopandas.GeoDataFrame(geometry=[DANBA]).to_file(nowhere)
    with pytest.raises(MissingFileError, match=r"no\.gpkg: no such file; check the spelling of the area"):
        read_area(str(gone))
    with pytest.raises(DamagedFileError, match=r"broken\.gpkg: not a vector file that can be read; give GeoPackage"):
        read_area(str(broken))
    with pytest.raises(NoDataError, match=r"empty\.gpkg: no geometry in it; draw the area of interest"):
        read_area(str(empty))
    with pytest.raises(DamagedFileError, match=r"nowhere\.gpkg: no coordinate system; assign one with ogr2ogr -a_srs"):
        read_area(str(nowhere))
