"""Tables of the inventory in PostgreSQL. Names are quoted by psycopg and values are parameters, whatever they hold."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any, get_args

import numpy as np
import shapely
from psycopg import Connection, sql
from psycopg.errors import FeatureNotSupported, InsufficientPrivilege, UndefinedFile

from groundshift.inventory import Behaviour, Kind, Review, Run, Target, TargetSeries
from groundshift.inventory.columns import (
    DETECTION_COLUMNS,
    EVENT_COLUMNS,
    RUN_COLUMNS,
    SERIES_COLUMNS,
    TARGET_COLUMNS,
    Column,
    detection_rows,
    event_rows,
    run_rows,
    target_rows,
)
from groundshift.inventory.identity import mark_of, unmarked

__all__ = ["SCHEMA_VERSION", "SchemaError", "merged_review", "upsert"]

SCHEMA_VERSION = 1
"""Raised when a column changes its meaning or goes."""

_TYPES = {"text": "text", "real": "double precision", "integer": "bigint", "date": "date", "time": "timestamptz"}
_CHOICES = {"kind": get_args(Kind), "behaviour": get_args(Behaviour), "review": get_args(Review)}
_LOCK = 0x67726F756E64  # "ground"
_PEOPLE = ("review", "note")
_PATIENCE = "30s"
"""How long others may hold a table, as somebody who has not saved an edit does."""


class SchemaError(Exception):
    """The database lacks PostGIS, or the schema is not ours."""


def merged_review(file: tuple[Review, str], database: tuple[Review, str]) -> tuple[Review, str]:
    """Settle review and note of one target between the file and the database.

    Examples
    --------
    >>> merged_review(("unreviewed", ""), ("confirmed", "seen in the field"))
    ('confirmed', 'seen in the field')
    >>> merged_review(("rejected", "a quarry [not seen since 2021-06-27]"), ("confirmed", "seen in the field"))
    ('rejected', 'a quarry [not seen since 2021-06-27]')
    """
    (review, note), (kept, kept_note) = file, database
    decided = review != "unreviewed"
    words, kept_words = unmarked(note), unmarked(kept_note)
    text = (words or kept_words) if decided else (kept_words or words)
    return review if decided else kept, f"{text} {mark_of(note)}".strip()


def upsert(
    connection: Connection[Any],
    schema: str,
    targets: Sequence[Target],
    runs: Sequence[Run],
    series: Sequence[TargetSeries],
) -> tuple[int, int, int, int, int, int, int]:
    """Bring the tables up to date within the transaction of `connection`.

    Returns
    -------
    tuple of int
        Targets, how many of them are new, how many kept a review or note of the database, detections, runs, rows of
        series, and events.

    Raises
    ------
    SchemaError, psycopg.Error
        If it cannot be done; the transaction is to be rolled back.
    """
    tables = _Tables(connection, schema)
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_PATIENCE)))
    # Exports wait for one another, so that two first ones do not both make the tables.
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    _find_postgis(connection)
    tables.make()
    # People read on; their reviews wait, so that none falls between reading and writing.
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(tables["targets"]))
    new, kept = _upsert_targets(connection, tables, targets)
    detections = _replace_detections(connection, tables, targets)
    dates = _replace_series(connection, tables, series)
    events = _replace_events(connection, tables, series)
    _upsert(connection, tables["runs"], [c.name for c in RUN_COLUMNS], ("started", "command"), _run_values(runs))
    return len(targets), new, kept, detections, len(runs), dates, events


class _Tables:
    """The tables of one schema."""

    def __init__(self, connection: Connection[Any], schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def __getitem__(self, name: str) -> sql.Identifier:
        return sql.Identifier(self.schema, name)

    def make(self) -> None:
        """Make schema and tables where they are missing.

        Raises
        ------
        SchemaError
            If there are tables of something else, or of a newer Groundshift.
        """
        run = self.connection.execute
        if not run("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,)).fetchone():
            run(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        there = {row[0] for row in run(query, (self.schema,))}
        if "groundshift_schema" in there:
            found = run(sql.SQL("SELECT max(version) FROM {}").format(self["groundshift_schema"])).fetchone()
            version = found[0] if found and found[0] is not None else 0
            if version > SCHEMA_VERSION:
                raise SchemaError(
                    f"schema {self.schema} is of a newer Groundshift (version {version}, this one knows up to "
                    f"{SCHEMA_VERSION}); upgrade Groundshift"
                )
            if "events" not in there:
                # Made by a Groundshift that knew of none.
                run(self._events())
            return
        taken = there & {"targets", "detections", "runs", "series", "events"}
        if taken:
            raise SchemaError(
                f"schema {self.schema} has a table {min(taken)} that Groundshift has not made; name another ?schema="
            )
        for statement in self._statements():
            run(statement)
        run(sql.SQL("INSERT INTO {} VALUES (%s)").format(self["groundshift_schema"]), (SCHEMA_VERSION,))

    def _statements(self) -> Iterable[sql.Composed]:
        """Give the statements that make the tables."""
        child = self._child()
        yield sql.SQL("CREATE TABLE {} (version integer NOT NULL)").format(self["groundshift_schema"])
        yield self._table("targets", TARGET_COLUMNS, "MultiPolygon", {"id": sql.SQL("PRIMARY KEY")})
        yield self._table("detections", DETECTION_COLUMNS, "Polygon", {"target": sql.SQL("NOT NULL ") + child})
        yield self._table("runs", RUN_COLUMNS, key=("started", "command"))
        yield self._table("series", SERIES_COLUMNS, more={"target": child}, key=("target", "track", "date"))
        yield self._events()
        for name in ("targets", "detections"):
            yield sql.SQL("CREATE INDEX ON {} USING gist (geom)").format(self[name])
        yield sql.SQL("CREATE INDEX ON {} (target)").format(self["detections"])

    def _events(self) -> sql.Composed:
        """Write the statement that makes the table of events."""
        return self._table("events", EVENT_COLUMNS, more={"target": sql.SQL("NOT NULL ") + self._child()})

    def _child(self) -> sql.Composed:
        """Write what ties a row to its target."""
        return sql.SQL("REFERENCES {} (id) ON UPDATE CASCADE ON DELETE CASCADE").format(self["targets"])

    def _table(
        self,
        name: str,
        columns: Sequence[Column],
        geometry: str = "",
        more: Mapping[str, sql.Composable] | None = None,
        key: Sequence[str] = (),
    ) -> sql.Composed:
        """Write the statement that makes one table."""
        more = more or {}
        lines: list[sql.Composable] = []
        if name in ("detections", "events"):
            # A GIS wants one column that tells rows apart.
            lines.append(sql.SQL("number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"))
        if geometry:
            lines.append(sql.SQL("geom geometry({}, 4326) NOT NULL").format(sql.SQL(geometry)))
        for column in columns:
            line = sql.Identifier(column.name) + sql.SQL(" " + _TYPES[column.type])
            if column.name in _CHOICES and name == "targets":
                choices = sql.SQL(", ").join(map(sql.Literal, _CHOICES[column.name]))
                line += sql.SQL(" NOT NULL CHECK ({} IN ({}))").format(sql.Identifier(column.name), choices)
            if column.name == "review":
                line += sql.SQL(" DEFAULT 'unreviewed'")
            if column.name == "note":
                line += sql.SQL(" NOT NULL DEFAULT ''")
            lines.append(line + sql.SQL(" ") + more[column.name] if column.name in more else line)
        if key:
            lines.append(sql.SQL("PRIMARY KEY ({})").format(_names(key)))
        return sql.SQL("CREATE TABLE {} ({})").format(self[name], sql.SQL(", ").join(lines))


def _find_postgis(connection: Connection[Any]) -> None:
    """Make sure of PostGIS, and let its names be found wherever it is installed."""
    try:
        # Asked first: one who may not create extensions gets an error even where it is there already.
        if not connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'postgis'").fetchone():
            connection.execute("CREATE EXTENSION postgis")
    except (InsufficientPrivilege, FeatureNotSupported, UndefinedFile) as error:
        raise SchemaError(
            "has no PostGIS; let its administrator install it and run CREATE EXTENSION postgis"
        ) from error
    found = connection.execute(
        "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'postgis'"
    ).fetchone()
    assert found is not None  # it has just been found or made
    connection.execute(sql.SQL("SET LOCAL search_path TO pg_catalog, {}").format(sql.Identifier(found[0])))


def _upsert_targets(connection: Connection[Any], tables: _Tables, targets: Sequence[Target]) -> tuple[int, int]:
    """Write targets; returns how many are new, and how many kept what people wrote into the database."""
    query = sql.SQL("SELECT id, review, note FROM {} WHERE id = ANY(%s)").format(tables["targets"])
    there = {name: (review, note) for name, review, note in connection.execute(query, ([t.id for t in targets],))}
    names = [c.name for c in TARGET_COLUMNS]
    rows, kept = [], 0
    for target, row in zip(targets, target_rows(targets), strict=True):
        values = dict(zip(names, row, strict=True))
        if target.id in there:
            file = (target.review, target.note)
            settled = merged_review(file, there[target.id])
            kept += settled != file
            values.update(zip(_PEOPLE, settled, strict=True))
        rows.append((*map(_plain, values.values()), shapely.to_wkb(target.geometry)))
    _upsert(connection, tables["targets"], names, ("id",), rows, geometry="ST_Multi(ST_GeomFromWKB(%s, 4326))")
    return len(targets) - len(there), kept


def _replace_detections(connection: Connection[Any], tables: _Tables, targets: Sequence[Target]) -> int:
    """Replace the detections of targets; returns how many there are."""
    connection.execute(
        sql.SQL("DELETE FROM {} WHERE target = ANY(%s)").format(tables["detections"]), ([t.id for t in targets],)
    )
    names = [c.name for c in DETECTION_COLUMNS]
    shapes = [shapely.set_srid(d.polygon, 4326) for t in targets for d in t.detections]
    rows = [
        (*map(_plain, row), shapely.to_wkb(shape, hex=True, include_srid=True))
        for row, shape in zip(detection_rows(targets), shapes, strict=True)
    ]
    return _copy(connection, tables["detections"], [*names, "geom"], rows)


def _replace_series(connection: Connection[Any], tables: _Tables, series: Sequence[TargetSeries]) -> int:
    """Replace the series of targets and tracks; returns how many rows there are."""
    connection.cursor().executemany(
        sql.SQL("DELETE FROM {} WHERE target = %s AND track = %s").format(tables["series"]),
        [(s.target, s.track) for s in series],
    )
    rows = [
        (s.target, s.track, day, _plain(float(displacement)), _plain(float(sigma)))
        for s in series
        for day, displacement, sigma in zip(
            s.dates.astype("datetime64[D]").tolist(), s.displacement_mm, s.sigma_mm, strict=True
        )
    ]
    return _copy(connection, tables["series"], [c.name for c in SERIES_COLUMNS], rows)


def _replace_events(connection: Connection[Any], tables: _Tables, series: Sequence[TargetSeries]) -> int:
    """Replace the events of targets and tracks; returns how many there are."""
    connection.cursor().executemany(
        sql.SQL("DELETE FROM {} WHERE target = %s AND track = %s").format(tables["events"]),
        [(s.target, s.track) for s in series],
    )
    rows = [tuple(map(_plain, row)) for row in event_rows(series)]
    return _copy(connection, tables["events"], [c.name for c in EVENT_COLUMNS], rows)


def _run_values(runs: Sequence[Run]) -> list[tuple[Any, ...]]:
    """Return rows of runs with times that say that they are in UTC."""
    return [(row[0].replace(tzinfo=UTC), *map(_plain, row[1:])) for row in run_rows(runs)]


def _upsert(
    connection: Connection[Any],
    table: sql.Identifier,
    names: Sequence[str],
    key: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    geometry: str = "",
) -> None:
    """Insert rows; those whose key is there already are brought up to date."""
    columns = [*names, "geom"] if geometry else list(names)
    values = sql.SQL(", ").join([sql.Placeholder()] * len(names) + ([sql.SQL(geometry)] if geometry else []))
    changed = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(c)) for c in columns if c not in key]
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        table, _names(columns), values, _names(key), sql.SQL(", ").join(changed)
    )
    connection.cursor().executemany(statement, rows)


def _copy(
    connection: Connection[Any], table: sql.Identifier, names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> int:
    """Insert many rows at once; returns how many."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table, _names(names))
    with connection.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    return len(rows)


def _names(columns: Sequence[str]) -> sql.Composed:
    """Write names of columns, with commas."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _plain(value: Any) -> Any:
    """Return a value as PostgreSQL has it: what is not known is null, and a text has no zero byte."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.replace("\0", "") if isinstance(value, str) else value
