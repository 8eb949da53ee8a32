import math
import os
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pyogrio
import pytest
from shapely import MultiPolygon, box

from groundshift.errors import DamagedFileError, MissingFileError, OutputError, UnknownFormatError
from groundshift.inventory import (
    Run,
    TargetEvent,
    TargetSeries,
    geodesic_area_m2,
    read_events,
    read_inventory,
    read_runs,
    read_series,
    write_inventory,
)

SCHEMA = {
    "id": "OFTString",
    "kind": "OFTString",
    "score": "OFTReal",
    "tracks": "OFTString",
    "evidence": "OFTString",
    "first_seen": "OFTDate",
    "last_seen": "OFTDate",
    "area_m2": "OFTReal",
    "velocity_los_mm_yr": "OFTReal",
    "velocity_sigma_mm_yr": "OFTReal",
    "velocity_slope_mm_yr": "OFTReal",
    "slope_deg": "OFTReal",
    "aspect_deg": "OFTReal",
    "mean_coherence": "OFTReal",
    "n_pairs": "OFTInteger64",
    "behaviour": "OFTString",
    "review": "OFTString",
    "note": "OFTString",
}
EVENT_SCHEMA = {
    "target": "OFTString",
    "track": "OFTString",
    "kind": "OFTString",
    "day": "OFTDate",
    "early": "OFTDate",
    "late": "OFTDate",
    "rate_before_mm_yr": "OFTReal",
    "rate_after_mm_yr": "OFTReal",
}
RUN = Run(
    started=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    version="0.1.0",
    command="survey",
    tracks=("T135", "T26"),
    first_date=date(2016, 1, 1),
    last_date=date(2021, 6, 27),
    n_pairs=201,
    parameters="merge:\n  max_centre_distance_m: 500\n",
)


STOP = TargetEvent("b", "T26", "stop", date(2016, 2, 1), date(2016, 1, 20), date(2016, 2, 6), -31.25, -0.5)
ONSET = TargetEvent("b", "T26", "onset", date(2016, 1, 9), date(2016, 1, 2), date(2016, 1, 13), math.nan, -31.25)


@pytest.fixture
def many(target, detect):
    plain = target()
    full = replace(
        target(102.1),
        kind="subsidence",
        velocity_slope_mm_yr=-31.5,
        behaviour="accelerating",
        review="confirmed",
        note='Häuser, 裂缝; "road"\nline two',
        detections=(detect(102.1), detect(102.1, track="T26", window="wet", slope=None, aspect=None)),
    )
    bare = replace(target(102.2), slope_deg=None, aspect_deg=None, detections=())
    double = replace(target(102.3), geometry=MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1)]))
    return [full, plain, bare, double]


@pytest.fixture
def series():
    days = np.array(["2016-01-01", "2016-01-13", "2016-02-06"], "datetime64[D]")
    moved = np.array([0.0, -1.25, math.nan])
    return [
        TargetSeries("b", "T26", days, moved, np.array([0.0, 0.5, math.nan]), (ONSET, STOP)),
        TargetSeries("a", "T", days, -moved, moved),
    ]


@pytest.fixture
def inventory(tmp_path, many, series):
    path = tmp_path / "inventory.gpkg"
    write_inventory(path, many, [RUN], series)
    return path


def execute(path, *statements):
    """Edit the file; its triggers, which call functions that only GDAL has, are taken out."""
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    with connection:
        for statement in (*(f'DROP TRIGGER "{name}"' for (name,) in triggers), *statements):
            connection.execute(statement)
    connection.close()


def rows(path):
    connection = sqlite3.connect(path)
    content = {
        layer: connection.execute(f"SELECT * FROM {layer}").fetchall()
        for layer in ("targets", "detections", "runs", "series", "events", "layer_styles", "groundshift_schema")
    }
    connection.close()
    return content


def test_what_is_written_is_read_back(inventory, many, series):
    assert read_inventory(inventory) == many
    assert read_runs(inventory) == [RUN]
    for got, given in zip(read_series(inventory), series, strict=True):
        assert (got.target, got.track) == (given.target, given.track)
        np.testing.assert_array_equal(got.dates, given.dates)
        np.testing.assert_array_equal(got.displacement_mm, given.displacement_mm)
        np.testing.assert_array_equal(got.sigma_mm, given.sigma_mm)
        assert list(map(repr, got.events)) == list(map(repr, given.events))  # nan is not itself


def test_unknown_numbers_come_back_unknown(tmp_path, target):
    path = tmp_path / "inventory.gpkg"
    write_inventory(path, [replace(target(), velocity_sigma_mm_yr=math.nan, slope_deg=None)], [])
    (back,) = read_inventory(path)
    assert math.isnan(back.velocity_sigma_mm_yr)
    assert back.slope_deg is None
    assert rows(path)["targets"][0].count(None) == 3  # sigma, slope and the velocity down the slope


@pytest.mark.parametrize("empty", [False, True])
def test_the_schema_is_exact_with_and_without_targets(tmp_path, many, empty):
    path = tmp_path / "inventory.gpkg"
    write_inventory(path, [] if empty else many, [])
    info = pyogrio.read_info(path, layer="targets")
    assert dict(zip(info["fields"], info["ogr_types"], strict=True)) == SCHEMA
    assert list(info["fields"]) == list(SCHEMA)
    assert (info["crs"], info["geometry_type"]) == ("EPSG:4326", "MultiPolygon")
    assert pyogrio.read_info(path, layer="detections")["crs"] == "EPSG:4326"
    assert {name for name, _ in pyogrio.list_layers(path)} == {
        "targets",
        "detections",
        "runs",
        "series",
        "events",
        "layer_styles",
    }
    info = pyogrio.read_info(path, layer="events")
    assert dict(zip(info["fields"], info["ogr_types"], strict=True)) == EVENT_SCHEMA
    if empty:
        assert (read_inventory(path), read_runs(path), read_series(path), read_events(path)) == ([], [], [], [])


def test_geopandas_sees_the_same(inventory, many):
    frame = geopandas.read_file(inventory, layer="targets")
    assert list(frame["id"]) == [t.id for t in many]
    assert frame["tracks"][0] == "T135,T26"
    assert frame["evidence"][0] == "T135/all/rules/azimuth+range,T26/wet/rules/azimuth+range"
    assert frame.geometry[1].equals(many[1].geometry)
    assert frame["velocity_slope_mm_yr"].isna().tolist() == [False, True, True, True]
    found = geopandas.read_file(inventory, layer="detections")
    assert set(found["target"]) <= set(frame["id"])
    assert len(found) == sum(len(t.detections) for t in many)


def test_reading_and_writing_leave_nothing_beside_the_file(inventory):
    read_inventory(inventory)
    read_series(inventory)
    geopandas.read_file(inventory, layer="targets")
    assert os.listdir(inventory.parent) == ["inventory.gpkg"]


def test_writing_again_gives_the_same_rows(inventory, many, series):
    before = rows(inventory)
    write_inventory(inventory, read_inventory(inventory), read_runs(inventory), read_series(inventory))
    assert rows(inventory) == before


def test_events_come_back_in_order_of_time_with_the_series_they_belong_to(tmp_path, series):
    path = tmp_path / "inventory.gpkg"
    other = replace(STOP, target="a", track="T")
    write_inventory(path, [], [], [replace(series[0], events=(STOP, ONSET)), replace(series[1], events=(other,))])
    first, second, third = read_events(path)
    assert (first, second.kind, third) == (other, "onset", STOP)
    assert [[e.kind for e in s.events] for s in read_series(path)] == [["onset", "stop"], ["stop"]]


@pytest.mark.parametrize(
    "edit",
    ["UPDATE events SET kind = 'pause'", "UPDATE events SET late = NULL", "UPDATE events SET target = NULL"],
)
def test_an_event_that_lacks_something_is_told(inventory, edit):
    execute(inventory, f"{edit} WHERE kind = 'stop'")
    line = f"{inventory}: a row of layer 'events' lacks its target, a date or its kind; restore it from a copy"
    for read in (read_events, read_series):
        with pytest.raises(DamagedFileError) as caught:
            read(inventory)
        assert str(caught.value) == line


def test_an_inventory_from_before_there_were_events_has_none(inventory, series):
    execute(inventory, "DROP TABLE events", "DELETE FROM gpkg_contents WHERE table_name = 'events'")
    assert read_events(inventory) == []
    assert [(s.target, s.events) for s in read_series(inventory)] == [(s.target, ()) for s in series]


def test_times_are_kept_in_utc(tmp_path):
    path = tmp_path / "inventory.gpkg"
    beijing = replace(RUN, started=RUN.started.astimezone(timezone(timedelta(hours=8))))
    naive = replace(RUN, started=datetime(2024, 1, 1, 12))
    write_inventory(path, [], [beijing, naive])
    first, second = read_runs(path)
    assert (first.started, second.started) == (datetime(2024, 1, 1, 12, tzinfo=UTC), RUN.started)


def test_qgis_finds_a_default_style_that_colours_every_kind(inventory):
    (row,) = rows(inventory)["layer_styles"]
    assert row[3:6] == ("targets", "geom", "kind")
    assert row[8] == 1
    style = ET.fromstring(row[6])
    renderer = style.find("renderer-v2")
    assert renderer.get("attr") == "kind"
    symbols = {
        s.get("name"): s.find("layer/Option/Option[@name='color']").get("value") for s in renderer.iter("symbol")
    }
    colours = {c.get("value"): symbols[c.get("symbol")] for c in renderer.iter("category")}
    assert set(colours) == {"landslide", "subsidence", "uplift", "unknown"}
    assert len(set(colours.values())) == 4


def test_edits_made_in_a_gis_are_taken_over(inventory, many):
    execute(
        inventory,
        f"UPDATE targets SET review = ' Rejected', note = NULL WHERE id = '{many[1].id}'",
        f"DELETE FROM series WHERE target = '{many[0].id}'",
    )
    back = read_inventory(inventory)
    assert back[1] == replace(many[1], review="rejected", note="")


def test_a_target_drawn_by_hand_needs_a_polygon_and_dates(tmp_path, target):
    path = tmp_path / "inventory.gpkg"
    drawn = target()
    write_inventory(path, [drawn], [])
    keep = {"id", "first_seen", "last_seen"}
    execute(path, "UPDATE targets SET id = NULL, " + ", ".join(f"{c} = NULL" for c in SCHEMA if c not in keep))
    (back,) = read_inventory(path)
    assert (back.id, back.kind, back.review, back.n_pairs) == (drawn.id, "unknown", "unreviewed", 0)
    assert back.area_m2 == geodesic_area_m2(drawn.geometry)
    assert back.detections == ()
    assert math.isnan(back.score)


def test_a_polygon_cut_in_a_gis_becomes_two_targets(tmp_path, target, detect):
    path = tmp_path / "inventory.gpkg"
    west, east = detect(102.0, size=400.0), detect(102.008, size=800.0, window="wet")
    whole = replace(target(), id="whole", geometry=east.polygon, detections=(west, east))
    copy = replace(target(103.0), id="copy", geometry=west.polygon, detections=(), review="confirmed")
    write_inventory(path, [copy, whole], [])
    execute(path, "UPDATE targets SET id = 'whole'")
    small, large = read_inventory(path)
    assert (large.id, large.detections) == ("whole", (east,))
    assert (small.review, small.detections) == ("confirmed", (west,))
    assert small.id not in {"whole", "copy"}
    write_inventory(path, [small, large], [])
    assert read_inventory(path) == [small, large]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            "UPDATE targets SET review = 'maybe'",
            r"{path}: review of target {id} must be one of unreviewed, confirmed, rejected, instead got 'maybe'; "
            "correct it",
        ),
        ("UPDATE targets SET last_seen = NULL", "{path}: last_seen of target {id} is empty; fill in a date"),
        (
            "ALTER TABLE targets DROP COLUMN note",
            "{path}: layer 'targets' has no column 'note'; restore it from a copy",
        ),
        ("UPDATE targets SET geom = NULL", "{path}: target {id} has no polygon; draw one or delete the row"),
        (
            "UPDATE groundshift_schema SET version = 2",
            r"{path}: written by a newer Groundshift \(schema 2, this one reads up to 1\); upgrade Groundshift",
        ),
        (
            "DELETE FROM gpkg_contents WHERE table_name = 'targets'",
            "{path}: no layer 'targets'; give an inventory that Groundshift has written",
        ),
    ],
)
def test_says_in_one_line_what_is_wrong_with_a_file(tmp_path, target, edit, message):
    path = tmp_path / "inventory.gpkg"
    only = target()
    write_inventory(path, [only], [])
    execute(path, edit)
    with pytest.raises((DamagedFileError, UnknownFormatError), match=f"^{message.format(path=path, id=only.id)}$"):
        read_inventory(path)


@pytest.mark.parametrize("keep", [0, 50, 0.3, 0.9, "text"])
def test_a_damaged_file_is_refused_in_one_line(inventory, keep):
    whole = inventory.read_bytes()
    end = int(keep * len(whole)) if isinstance(keep, float) else keep
    inventory.write_bytes(b"this is not a database, just some text\n" * 100 if keep == "text" else whole[:end])
    with pytest.raises(DamagedFileError) as caught:
        read_inventory(inventory)
    assert str(caught.value).startswith(f"{inventory}: ")
    assert "\n" not in str(caught.value)


def test_a_damaged_page_is_refused(inventory):
    content = bytearray(inventory.read_bytes())
    page = 4096
    for start in range(page, len(content), page):
        content[start : start + 64] = b"\xff" * 64
    inventory.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"restore it from a copy$"):
        read_inventory(inventory)


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "none.gpkg"
    with pytest.raises(MissingFileError, match=f"^{path}: no such file; check the spelling or run the survey first$"):
        read_inventory(path)
    assert not path.exists()


def test_a_failed_write_leaves_the_old_file(inventory, many, monkeypatch):
    def full(path):
        raise sqlite3.OperationalError("database or disk is full")

    before = inventory.read_bytes()
    monkeypatch.setattr("groundshift.inventory.geopackage.add_style", full)
    message = rf"^{inventory}: cannot be written \(database or disk is full\); free some space and run again$"
    with pytest.raises(OutputError, match=message):
        write_inventory(inventory, many[:1], [])
    assert inventory.read_bytes() == before
    assert os.listdir(inventory.parent) == ["inventory.gpkg"]


def test_refuses_two_targets_of_one_id_and_other_formats(tmp_path, target):
    twice = [target(), target()]
    with pytest.raises(ValueError, match=f"^targets must have distinct ids, instead got '{twice[0].id}' 2 times$"):
        write_inventory(tmp_path / "a.gpkg", twice, [])
    with pytest.raises(ValueError, match=r"^path must end in \.gpkg, instead got "):
        write_inventory(tmp_path / "a.shp", [], [])
    assert os.listdir(tmp_path) == []


def test_series_must_be_as_long_as_their_dates():
    days = np.array(["2016-01-01"], "datetime64[D]")
    with pytest.raises(ValueError, match=r"^sigma_mm must have shape \(1,\), instead got \(2,\)$"):
        TargetSeries("a", "T", days, np.zeros(1), np.zeros(2))
