"""The inventory in a real PostGIS: rows, reviews that stay, one transaction, and no password in any line."""

import json
import math
import sys
import threading
import traceback
from dataclasses import replace
from datetime import date
from urllib.parse import quote

import numpy as np
import pytest
from shapely import MultiPolygon, from_wkb

from groundshift.export import PostgisError, export_postgis, parse_url
from groundshift.inventory import TargetSeries, write_inventory


@pytest.fixture
def export(postgres, database):
    """Export into the database as `survey`; options go into the URL."""

    def run(targets=(), runs=(), series=(), *, options="", user="survey"):
        return export_postgis(parse_url(postgres.url(database, user=user, options=options)), targets, runs, series)

    return run


@pytest.fixture
def ask(postgres, database):
    """Rows of a query, asked as the administrator."""
    import psycopg

    def rows(query, *values):
        with psycopg.connect(postgres.url(database, user="admin"), autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    return rows


def test_every_row_arrives_as_it_is(export, ask, targets, run, series):
    done = export(targets, [run], series)
    assert done == (3, 3, 0, 3, 1, 6, 2)
    columns = (
        "id, kind, score, tracks, evidence, first_seen, last_seen, area_m2, velocity_los_mm_yr, velocity_sigma_mm_yr, "
        "velocity_slope_mm_yr, slope_deg, aspect_deg, mean_coherence, n_pairs, behaviour, review, note"
    )
    found = {row[0]: row for row in ask(f"SELECT {columns} FROM groundshift.targets")}
    assert found.keys() == {t.id for t in targets}
    assert found["full"] == (
        "full", "subsidence", 0.8, "T135,T26", "T135/all/rules/azimuth+range,T26/wet/rules/azimuth+range",
        date(2016, 1, 1), date(2021, 6, 27), 1e6, -20.25, 2.0, -31.5, 25.0, 90.0, 0.6, 120, "accelerating",
        "confirmed", targets[1].note,
    )  # fmt: skip
    assert found["bare-2"][9:13] == (None, None, None, None)
    assert ask("SELECT * FROM groundshift.runs") == [
        (run.started, "0.1.0", run.command, "T135,T26", date(2016, 1, 1), date(2021, 6, 27), 201, "")
    ]
    rows = ask("SELECT date, displacement_mm, sigma_mm FROM groundshift.series WHERE target = 'wm2x1nf' ORDER BY date")
    assert rows == [(date(2016, 1, 1), 0.0, 0.0), (date(2016, 1, 13), -1.25, 0.5), (date(2016, 2, 6), None, None)]
    events = "target, track, kind, day, early, late, rate_before_mm_yr, rate_after_mm_yr"
    assert ask(f"SELECT {events} FROM groundshift.events ORDER BY day") == [
        ("full", "T26", "onset", date(2016, 1, 9), date(2016, 1, 2), date(2016, 1, 13), None, -31.25),
        ("full", "T26", "stop", date(2016, 2, 1), date(2016, 1, 20), date(2016, 2, 6), -31.25, -0.5),
    ]
    assert ask('SELECT target, "window" FROM groundshift.detections ORDER BY number')[1:] == [
        ("full", "all"),
        ("full", "wet"),
    ]


def test_postgis_sees_the_same_ground(export, ask, targets):
    export(targets)
    for name, wkb, srid, kind, area in ask(
        "SELECT id, ST_AsBinary(geom), ST_SRID(geom), ST_GeometryType(geom), ST_Area(geom) FROM groundshift.targets"
    ):
        shape = next(t.geometry for t in targets if t.id == name)
        assert from_wkb(bytes(wkb)).equals(shape)
        assert isinstance(from_wkb(bytes(wkb)), MultiPolygon)
        assert (srid, kind, area) == (4326, "ST_MultiPolygon", pytest.approx(shape.area))
    near = "SELECT id FROM groundshift.targets WHERE ST_DWithin(geom::geography, ST_Point(102.12, 30.8)::geography, %s)"
    assert ask(near, 2_000) == [("full",)]
    assert ask("SELECT DISTINCT ST_SRID(geom), ST_GeometryType(geom) FROM groundshift.detections") == [
        (4326, "ST_Polygon")
    ]
    indexed = ask("SELECT tablename FROM pg_indexes WHERE indexdef LIKE %s ORDER BY 1", "%USING gist (geom)%")
    assert ("detections",) in indexed
    assert ("targets",) in indexed
    assert ask("SELECT version FROM groundshift.groundshift_schema") == [(1,)]


def test_again_changes_nothing_and_a_new_run_brings_up_to_date(export, ask, targets, run, series):
    export(targets, [run], series)
    everything = "SELECT (SELECT array_agg(t::text ORDER BY id) FROM groundshift.targets t), (SELECT count(*) FROM {}), (SELECT array_agg(s::text) FROM groundshift.series s)"  # noqa: E501
    before = ask(everything.format("groundshift.detections"))
    assert export(targets, [run], series)[:3] == (3, 0, 0)
    assert ask(everything.format("groundshift.detections")) == before

    later = replace(run, started=run.started.replace(year=2025))
    days = np.array(["2016-01-13", "2016-03-01"], "datetime64[D]")
    shorter = TargetSeries("wm2x1nf", "T135", days, np.array([0.0, 7.0]), np.array([1.0, 1.0]))
    changed = replace(targets[1], velocity_los_mm_yr=-99.0, detections=targets[1].detections[:1])
    assert export([changed], [run, later], [shorter])[:2] == (1, 0)
    assert ask("SELECT velocity_los_mm_yr FROM groundshift.targets WHERE id = 'full'") == [(-99.0,)]
    assert ask("SELECT count(*) FROM groundshift.targets") == [(3,)]  # what was not exported stays
    assert ask("SELECT target, count(*) FROM groundshift.detections GROUP BY 1 ORDER BY 1") == [
        ("full", 1),
        ("wm2x1nf", 1),
    ]
    assert ask("SELECT count(*) FROM groundshift.runs") == [(2,)]
    assert ask("SELECT target, date FROM groundshift.series ORDER BY 1, 2")[3:] == [
        ("wm2x1nf", date(2016, 1, 13)),
        ("wm2x1nf", date(2016, 3, 1)),
    ]


def test_events_are_replaced_with_their_series_and_go_with_their_target(export, ask, targets, series):
    export(targets, [], series)
    export(targets, [], [series[0], replace(series[1], events=series[1].events[1:])])
    assert ask("SELECT target, kind FROM groundshift.events") == [("full", "stop")]
    export(targets, [], series[:1])
    assert ask("SELECT target, kind FROM groundshift.events") == [("full", "stop")]  # what was not exported stays
    ask("DELETE FROM groundshift.targets WHERE id = 'full'")
    assert ask("SELECT count(*) FROM groundshift.events") == [(0,)]


def test_a_schema_from_before_there_were_events_gets_their_table(export, ask, targets, series):
    export(targets, [], series)
    ask("DROP TABLE groundshift.events")
    assert export(targets, [], series)[5:] == (6, 2)
    assert ask("SELECT kind FROM groundshift.events ORDER BY day") == [("onset",), ("stop",)]
    assert ask("SELECT version FROM groundshift.groundshift_schema") == [(1,)]


@pytest.mark.parametrize(
    ("file", "database_has", "settled"),
    [
        (("unreviewed", ""), ("confirmed", "road cracked"), ("confirmed", "road cracked")),
        (("unreviewed", "from the file"), ("unreviewed", ""), ("unreviewed", "from the file")),
        (("unreviewed", "from the file"), ("rejected", "a dump"), ("rejected", "a dump")),
        (("rejected", "a quarry"), ("confirmed", "road cracked"), ("rejected", "a quarry")),
        (("confirmed", ""), ("unreviewed", "road cracked"), ("confirmed", "road cracked")),
        (
            ("unreviewed", "[not seen since 2021-06-27]"),
            ("confirmed", "road cracked"),
            ("confirmed", "road cracked [not seen since 2021-06-27]"),
        ),
        (("unreviewed", ""), ("confirmed", "x [joined into wm2x1ng]"), ("confirmed", "x")),
    ],
)
def test_what_people_wrote_into_the_database_stays_unless_the_file_was_reviewed(
    export, ask, target, file, database_has, settled
):
    export([target()])
    ask("UPDATE groundshift.targets SET review = %s, note = %s", *database_has)
    done = export([target(review=file[0], note=file[1], score=0.9)])
    assert ask("SELECT review, note, score FROM groundshift.targets") == [(*settled, 0.9)]
    assert done.reviews_kept == (settled != file)


def test_only_reviews_of_the_schema_can_be_written(export, ask, target):
    import psycopg

    export([target()])
    with pytest.raises(psycopg.errors.CheckViolation):
        ask("UPDATE groundshift.targets SET review = 'perhaps'")


def test_all_or_nothing(export, ask, targets, run, series):
    stray = TargetSeries("nobody", "T1", series[0].dates, series[0].displacement_mm, series[0].sigma_mm)
    with pytest.raises(PostgisError, match=r": nothing was changed \(insert or update on table \"series\" violates fo"):
        export(targets, [run], [*series, stray])
    assert ask("SELECT 1 FROM pg_namespace WHERE nspname = 'groundshift'") == []
    export(targets[:1], [run])
    with pytest.raises(PostgisError):
        export([replace(targets[0], score=0.1), targets[1]], [run], [stray])
    assert ask("SELECT id, score FROM groundshift.targets") == [("wm2x1nf", 0.8)]


def test_names_and_texts_are_never_taken_for_sql(export, ask, target, series):
    evil = '\'); DROP TABLE "groundshift".targets; --'
    schema = 'o"dd; DROP SCHEMA public; --'
    stolen = target(evil, note=f"{evil} \x00 %s {{}}")
    moved = TargetSeries(evil, evil, series[0].dates, series[0].displacement_mm, series[0].sigma_mm)
    export([stolen], [], [moved], options=f"?schema={quote(schema)}")
    quoted = '"' + schema.replace('"', '""') + '"'
    assert ask(f"SELECT id, note FROM {quoted}.targets") == [(evil, f"{evil}  %s {{}}")]
    assert ask(f"SELECT count(*) FROM {quoted}.series WHERE track = %s", evil) == [(3,)]
    assert ask("SELECT 1 FROM pg_namespace WHERE nspname = 'public'") == [(1,)]


def test_two_first_exports_at_once_both_arrive(export, ask, targets):
    failed = []

    def one(target):
        try:
            export([target])
        except PostgisError as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(t,)) for t in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert ask("SELECT count(*) FROM groundshift.targets") == [(3,)]


def test_waits_for_an_edit_that_is_not_saved_and_then_says_so(postgres, database, export, target, monkeypatch):
    import psycopg

    export([target()])
    monkeypatch.setattr("groundshift.export._postgis._PATIENCE", "100ms")
    with psycopg.connect(postgres.url(database)) as editor:
        editor.execute("UPDATE groundshift.targets SET note = 'being written'")
        with pytest.raises(
            PostgisError, match=r"nothing was changed \(canceling statement due to lock timeout\); mend"
        ):
            export([target()])


def test_postgis_is_found_wherever_it_lies(postgres, database, export, ask, target):
    postgres.execute(database, "CREATE SCHEMA gis", "DROP EXTENSION postgis CASCADE")
    postgres.execute(database, "CREATE EXTENSION postgis SCHEMA gis", "GRANT USAGE ON SCHEMA gis TO survey")
    export([target()])
    assert ask("SELECT gis.ST_NumGeometries(geom) FROM groundshift.targets") == [(1,)]


def test_the_command_tells_what_it_did_and_no_password(groundshift, postgres, database, ask, tmp_path, targets, series):
    write_inventory(tmp_path / "inventory.gpkg", targets, [], series)
    url = postgres.url(database, options="?schema=danba")
    ran = groundshift("export", tmp_path, "--to", url, "--review", "confirmed", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "form": "postgis", "to": f"schema danba of database {database} on {postgres.socket}", "targets": 1, "files": [],
        "new": 1, "reviews_kept": 0, "detections": 2, "runs": 0, "dates": 3, "events": 2,
    }  # fmt: skip
    ran = groundshift("export", tmp_path, "--to", url)
    assert ran.lines == [f"3 targets exported: schema danba of database {database} on {postgres.socket}"]
    assert ask("SELECT count(*) FROM danba.targets") == [(3,)]


# What can go wrong


def test_a_database_without_postgis_is_one_line(postgres, database, export, target):
    postgres.execute(database, "DROP EXTENSION postgis CASCADE")
    message = rf"^database {database} on \S+: has no PostGIS; let its administrator install it and run CREATE EXTENSION"
    with pytest.raises(PostgisError, match=message):
        export([target()])


def test_a_user_without_rights_is_one_line(export, target):
    message = r": no permission \(permission denied for database \w+\); let its administrator grant it, or name another"
    with pytest.raises(PostgisError, match=message):
        export([target()], user="guest")


def test_tables_of_something_else_are_left_alone(postgres, database, export, ask, target):
    postgres.execute(database, "CREATE TABLE public.series (a int)", "GRANT ALL ON SCHEMA public TO survey")
    message = r": schema public has a table series that Groundshift has not made; name another \?schema=$"
    with pytest.raises(PostgisError, match=message):
        export([target()], options="?schema=public")
    assert ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [("spatial_ref_sys",), ("series",)]


def test_a_schema_of_a_newer_groundshift_is_left_alone(export, ask, target):
    export([target()])
    ask("UPDATE groundshift.groundshift_schema SET version = 2")
    message = (
        r": schema groundshift is of a newer Groundshift \(version 2, this one knows up to 1\); upgrade Groundshift$"
    )
    with pytest.raises(PostgisError, match=message):
        export([target(score=0.1)])
    assert ask("SELECT score FROM groundshift.targets") == [(0.8,)]


def test_without_psycopg_the_remedy_is_said(monkeypatch, target):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PostgisError, match=r"^PostGIS needs psycopg; install with pip install groundshift\[postgis\]$"):
        export_postgis(parse_url("postgresql://h/d"), [target()])


def test_a_wrong_password_is_one_line_without_it(postgres, database, target):
    server = parse_url(postgres.url(database, password="hush hush"))
    with pytest.raises(PostgisError) as caught:
        export_postgis(server, [target()])
    line = str(caught.value)
    assert line.startswith(f"database {database} on {postgres.socket}: no connection (")
    assert "password authentication failed for user" in line
    assert line.endswith("check the URL, PGPASSWORD or ~/.pgpass, and the server")
    assert "\n" not in line
    assert "hush" not in "".join(traceback.format_exception(caught.value)) + repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hushed@127.0.0.1:1/gis",
        "postgresql://ann@127.0.0.1:1/gis?password=hushed",
        "postgresql://ann:hushed%zz@h/gis",
        "postgresql://ann:hushed@127.0.0.1:1/gis?no_such_option=1",
    ],
)
def test_no_password_in_any_line_or_traceback(url, target):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(PostgisError) as caught:
        export_postgis(parse_url(url), [target()])
    assert "hushed" not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hus@hed@h/gis",
        "postgresql://ann:hus/hed@h/gis",
        "postgresql://ann:hus?hed@h/gis",
        "postgresql://ann:hus#hed@h/gis",
        "postgresql://ann:hushed",
        "postgresql://ann:hus[hed@h/gis",
        "mysql://ann:hushed@h/gis",
    ],
)
def test_a_password_that_is_not_escaped_is_said_but_not_shown(url):
    with pytest.raises(ValueError, match=r"^expected postgresql://USER@HOST:PORT/DATABASE\?schema=NAME") as caught:
        parse_url(url)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hus" not in shown
    assert "hed@" not in shown


@pytest.mark.parametrize(
    ("url", "name", "schema"),
    [
        ("postgresql://", "database on this machine", "groundshift"),
        ("postgres://h/d", "database d on h", "groundshift"),
        ("postgresql://a:b@h1:1,h2:2/d?schema=x%20y&sslmode=require", "database d on h1:1,h2:2", "x y"),
        ("postgresql://%2Ftmp%2Fsock/d", "database d on /tmp/sock", "groundshift"),
        ("postgresql:///d?host=/tmp/sock", "database d on /tmp/sock", "groundshift"),
        ("postgresql://[::1]:5432/d", "database d on [::1]:5432", "groundshift"),
    ],
)
def test_urls_are_those_of_libpq_with_a_schema_more(url, name, schema):
    conninfo = pytest.importorskip("psycopg.conninfo", reason="psycopg is not installed")
    server = parse_url(url)
    assert (server.name, server.schema) == (name, schema)
    given = conninfo.conninfo_to_dict(server.conninfo)
    assert "schema" not in given
    for option in ("sslmode=require", "host=/tmp/sock"):
        if option in url:
            assert given[option.partition("=")[0]] == option.partition("=")[2]


@pytest.mark.parametrize("schema", ["", "pg_temp", "x" * 64])
def test_refuses_a_schema_that_postgresql_has_no_room_for(schema):
    with pytest.raises(ValueError, match=r"^expected a schema of 1 to 63 bytes that does not begin with pg_, instead"):
        parse_url(f"postgresql://h/d?schema={schema}")


def test_what_is_not_known_is_null(export, ask, target):
    export([target(velocity_los_mm_yr=math.nan, score=math.inf)])
    assert ask("SELECT velocity_los_mm_yr, score FROM groundshift.targets") == [(None, None)]
