"""A survey as a STAC item, checked by pystac against the schemas that it brings along."""

import json
from datetime import UTC, date, datetime

import pystac
import pystac.validation
import pytest
from shapely import MultiPolygon, box
from shapely.geometry import shape

from groundshift.errors import OutputError
from groundshift.export import StacAsset, export_stac


@pytest.fixture
def write(tmp_path):
    """Write an item with two files of a survey in `out`."""
    survey = tmp_path / "out"
    survey.mkdir()
    assets = [
        StacAsset("inventory", survey / "inventory.gpkg", "Inventory", pystac.MediaType.GEOPACKAGE.value, ("data",)),
        StacAsset("T1-velocity", survey / "v.tif", "Velocity", pystac.MediaType.GEOTIFF.value, ("data",), "mm/yr"),
    ]
    for asset in assets:
        asset.path.touch()

    def run(place="out/item.json", area=None, **given):
        known = {
            "name": "out",
            "area": box(101.9, 30.8, 102.0, 30.9) if area is None else area,
            "first_date": date(2016, 1, 1),
            "last_date": date(2021, 6, 27),
            "written": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
            "assets": assets,
            "facts": {"groundshift:targets": 3},
        }
        export_stac(tmp_path / place, **{**known, **given})
        return tmp_path / place

    return run


@pytest.mark.parametrize(
    "area", [None, MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1)])], ids=["one area", "two areas"]
)
def test_the_item_keeps_to_the_schemas_of_stac(write, area):
    pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    item = pystac.Item.from_file(write(area=area))
    assert item.stac_extensions == []  # so that nothing has to be fetched to check it
    assert len(item.validate()) >= 1


def test_the_item_says_when_where_and_what(write):
    path = write()
    item = pystac.Item.from_file(path)
    assert (item.id, item.datetime) == ("out", None)
    assert item.common_metadata.start_datetime == datetime(2016, 1, 1, tzinfo=UTC)
    assert item.common_metadata.end_datetime == datetime(2021, 6, 27, 23, 59, 59, tzinfo=UTC)
    assert item.common_metadata.created == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert item.bbox == [101.9, 30.8, 102.0, 30.9]
    assert shape(item.geometry).equals(box(101.9, 30.8, 102.0, 30.9))
    assert shape(item.geometry).exterior.is_ccw
    assert item.properties["groundshift:targets"] == 3
    assert item.assets["T1-velocity"].extra_fields == {"unit": "mm/yr"}
    assert item.assets["inventory"].roles == ["data"]
    assert item.assets["inventory"].media_type == "application/geopackage+sqlite3"


@pytest.mark.parametrize("place", ["out/item.json", "item.json", "catalogue/2024/item.json"])
def test_files_are_found_from_where_the_item_lies(write, place, tmp_path):
    path = write(place)
    for name, asset in json.loads(path.read_text())["assets"].items():
        assert not asset["href"].startswith("/"), name
        assert (path.parent / asset["href"]).resolve().parent == tmp_path / "out"
        assert (path.parent / asset["href"]).exists()


def test_other_json_is_not_written_over(write, tmp_path):
    write()
    write()  # an older item is
    other = tmp_path / "out" / "provenance.json"
    other.write_text('{"versions": {}}')
    with pytest.raises(OutputError, match=rf"^{other}: no STAC item and would be replaced; choose another name$"):
        write("out/provenance.json")
    assert other.read_text() == '{"versions": {}}'


def test_refuses_another_suffix_and_no_ground(write):
    with pytest.raises(ValueError, match=r"^path must end in \.json, instead got "):
        write("item.stac")
    with pytest.raises(ValueError, match=r"^area must not be empty$"):
        write(area=MultiPolygon())
