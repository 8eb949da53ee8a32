"""Targets as GeoJSON, Shapefile and KMZ, read back by libraries of other people."""

import json
import math
import resource
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pandas
import pyogrio
import pytest
from shapely import LinearRing, box
from shapely.geometry import shape

from groundshift.errors import OutputError
from groundshift.export import FIELDS, export_geojson, export_shapefile
from groundshift.inventory import write_kmz


@contextmanager
def largest_file(size):
    """Let no file grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# GeoJSON


def test_geojson_says_what_the_inventory_says(tmp_path, targets):
    export_geojson(tmp_path / "a.geojson", targets)
    found = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
    assert found["type"] == "FeatureCollection"
    assert "crs" not in found  # RFC 7946 knows no other than longitude and latitude
    assert [f["id"] for f in found["features"]] == [t.id for t in targets]
    plain, full, bare = (f["properties"] for f in found["features"])
    assert full == {
        "kind": "subsidence", "score": 0.8, "tracks": "T135,T26",
        "evidence": "T135/all/rules/azimuth+range,T26/wet/rules/azimuth+range", "first_seen": "2016-01-01",
        "last_seen": "2021-06-27", "area_m2": 1e6, "velocity_los_mm_yr": -20.25, "velocity_sigma_mm_yr": 2.0,
        "velocity_slope_mm_yr": -31.5, "slope_deg": 25.0, "aspect_deg": 90.0, "mean_coherence": 0.6, "n_pairs": 120,
        "behaviour": "accelerating", "review": "confirmed", "note": targets[1].note,
    }  # fmt: skip
    assert plain["slope_deg"] is None
    assert bare["velocity_sigma_mm_yr"] is None


def test_geojson_has_the_polygons_with_outer_rings_counterclockwise(tmp_path, targets):
    backwards = replace(targets[0], id="backwards", geometry=targets[0].geometry.reverse())
    given = [*targets, backwards]
    export_geojson(tmp_path / "a.geojson", given)
    found = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))["features"]
    for feature, target in zip(found, given, strict=True):
        geometry = feature["geometry"]
        assert shape(geometry).symmetric_difference(target.geometry).area < 1e-12
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        assert [[LinearRing(ring).is_ccw for ring in rings] for rings in parts] == [
            [True] + [False] * (len(rings) - 1) for rings in parts
        ]


def test_geojson_is_cut_at_the_date_line(tmp_path, target):
    export_geojson(tmp_path / "a.geojson", [target(geometry=box(179.5, 0, 180.5, 1))])
    (feature,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert shape(feature["geometry"]).equals(box(179.5, 0, 180, 1) | box(-180, 0, -179.5, 1))


def test_geopandas_reads_the_geojson(tmp_path, targets):
    export_geojson(tmp_path / "a.geojson", targets)
    frame = geopandas.read_file(tmp_path / "a.geojson")
    assert frame.crs.to_epsg() == 4326
    assert list(frame["id"]) == [t.id for t in targets]
    assert [t.date() for t in pandas.to_datetime(frame["last_seen"])] == [t.last_seen for t in targets]
    assert math.isnan(frame["velocity_sigma_mm_yr"][2])


def test_an_empty_inventory_is_an_empty_collection(tmp_path):
    export_geojson(tmp_path / "a.geojson", [])
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []


def test_geojson_that_does_not_fit_on_the_disk_leaves_the_old_one(tmp_path, targets):
    path = tmp_path / "a.geojson"
    export_geojson(path, targets[:1])
    before = path.read_bytes()
    with (
        largest_file(500),
        pytest.raises(OutputError, match=rf"^{path}: the disk is full; free some space and run again"),
    ):
        export_geojson(path, targets)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.geojson"]


# Shapefile


PARTS = {"a.shp", "a.shx", "a.dbf", "a.prj", "a.cpg"}


def test_a_shapefile_says_what_the_inventory_says(tmp_path, targets):
    assert export_shapefile(tmp_path / "a.shp", targets) == ()
    assert {p.name for p in tmp_path.iterdir()} == PARTS
    frame = geopandas.read_file(tmp_path / "a.shp")
    assert frame.crs.to_epsg() == 4326
    assert list(frame.columns) == [*FIELDS.values(), "geometry"]
    for (_, row), target in zip(frame.iterrows(), targets, strict=True):
        assert row["geometry"].symmetric_difference(target.geometry).area < 1e-12
        assert row["id"] == target.id
        assert row["vel_los"] == target.velocity_los_mm_yr
        assert (row["first_seen"].date(), row["last_seen"].date()) == (target.first_seen, target.last_seen)
    assert frame["note"][1] == targets[1].note
    assert frame["vel_slope"].isna().tolist() == [True, False, True]
    assert frame["vel_sigma"].isna().tolist() == [False, False, True]
    info = pyogrio.read_info(tmp_path / "a.shp")
    types = dict(zip(info["fields"], info["ogr_types"], strict=True))
    assert (types["first_seen"], types["n_pairs"], types["score"]) == ("OFTDate", "OFTInteger", "OFTReal")
    assert info["encoding"] == "UTF-8"


def test_names_of_a_shapefile_have_ten_characters_and_are_distinct():
    assert max(map(len, FIELDS.values())) == 10
    assert len(set(FIELDS.values())) == len(FIELDS)


@pytest.mark.parametrize("character", ["x", "裂", "é"])
def test_texts_that_are_too_long_are_cut_between_characters_and_named(tmp_path, target, character):
    fits = target("fits", note="x" * 254)
    long = target("long", note=character * 300)
    assert export_shapefile(tmp_path / "a.shp", [fits, long]) == ("long",)
    frame = geopandas.read_file(tmp_path / "a.shp")
    assert frame["note"][0] == fits.note
    assert frame["note"][1].endswith("...")
    assert 251 <= len(frame["note"][1].encode()) <= 254
    assert long.note.startswith(frame["note"][1].removesuffix("..."))


def test_a_new_shapefile_takes_the_place_of_an_old_one_with_its_index(tmp_path, targets):
    export_shapefile(tmp_path / "a.shp", targets)
    (tmp_path / "a.qix").write_bytes(b"index of the old one")
    export_shapefile(tmp_path / "a.shp", targets[:1])
    assert {p.name for p in tmp_path.iterdir()} == PARTS
    assert list(geopandas.read_file(tmp_path / "a.shp")["id"]) == [targets[0].id]
    export_shapefile(tmp_path / "a.shp", [])
    assert list(pyogrio.read_info(tmp_path / "a.shp")["fields"]) == list(FIELDS.values())
    assert pyogrio.read_info(tmp_path / "a.shp")["features"] == 0


@pytest.mark.parametrize("size", [60, 150, 400, 900, 1500])
def test_a_shapefile_that_does_not_fit_on_the_disk_leaves_the_old_one(tmp_path, target, targets, size):
    path = tmp_path / "a.shp"
    export_shapefile(path, targets[:1])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    many = [target(f"t{k}", 100 + k / 100) for k in range(9)]
    with largest_file(size), pytest.raises(OutputError, match=rf"^{path}: .*free some space and run again"):
        export_shapefile(path, many)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("write", "suffix"), [(export_geojson, "geojson"), (export_shapefile, "shp")])
def test_refuses_another_suffix(tmp_path, write, suffix):
    with pytest.raises(ValueError, match=rf"^path must end in \.{suffix}, instead got "):
        write(tmp_path / "a.txt", [])
    assert list(tmp_path.iterdir()) == []


# KMZ


def test_kmz_holds_the_same_polygons(tmp_path, targets):
    write_kmz(tmp_path / "a.kmz", targets)
    name = {"k": "http://www.opengis.net/kml/2.2"}
    with zipfile.ZipFile(tmp_path / "a.kmz") as archive:
        root = ET.fromstring(archive.read("doc.kml"))
    marks = {m.find("k:name", name).text: m for m in root.iterfind(".//k:Placemark", name)}
    assert marks.keys() == {t.id for t in targets}
    for target in targets:
        text = marks[target.id].find(".//k:outerBoundaryIs/k:LinearRing/k:coordinates", name).text
        ring = np.array([[float(v) for v in point.split(",")[:2]] for point in text.split()])
        assert target.geometry.boundary.buffer(1e-9).covers(LinearRing(ring))
