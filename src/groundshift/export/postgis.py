"""The inventory in a PostGIS database: tables that many people read and review at the same time.

A password is kept out of every message. It need not be in the URL: libpq takes it from PGPASSWORD or `~/.pgpass`, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from groundshift.errors import GroundshiftError
from groundshift.inventory import Run, Target, TargetSeries

__all__ = ["PostgisError", "Server", "Upserted", "export_postgis", "parse_url"]

_SCHEMA = "groundshift"
_SCHEMES = ("postgresql", "postgres")
_HOSTS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:,@]*)(?::\d*)?")
_FORM = "postgresql://USER@HOST:PORT/DATABASE?schema=NAME"


class PostgisError(GroundshiftError, ConnectionError):
    """The inventory cannot be brought into a database; nothing in it was changed."""


@dataclass(frozen=True)
class Server:
    """Where a database is; `repr` and `name` show no password."""

    conninfo: str = field(repr=False)
    """What libpq connects by."""
    name: str
    """How messages call it."""
    schema: str


class Upserted(NamedTuple):
    """What an export to a database did."""

    targets: int
    new: int
    """Of those, how many were not there before."""
    reviews_kept: int
    """Of those, how many kept a review or note that differs from the file's."""
    detections: int
    runs: int
    dates: int
    """Rows of series."""
    events: int


def parse_url(url: str) -> Server:
    """Take the URL of a database apart.

    Parameters
    ----------
    url : str
        `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME` as libpq knows it; every part may be left out. The
        schema is `groundshift` by default.

    Raises
    ------
    ValueError
        If it is no such URL. The line does not repeat it, as it may hold a password.

    Examples
    --------
    >>> parse_url("postgresql://ann:secret@db.example:5433/hazards?schema=danba")
    Server(name='database hazards on db.example:5433', schema='danba')
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"expected {_FORM}") from None
    if parts.scheme.lower() not in _SCHEMES:
        raise ValueError(f"expected {_FORM}")
    user, _, hosts = parts.netloc.rpartition("@")
    # A sign that is not escaped shifts the parts: what libpq then takes for a host may be half of a password.
    if url.count("@") > parts.netloc.count("@") or "@" in user or parts.fragment:
        raise ValueError(f"expected {_FORM} with @ : / ? # in a user or password written as %40 %3A %2F %3F %23")
    if not all(_HOSTS.fullmatch(host) for host in hosts.split(",")):
        raise ValueError(f"expected {_FORM} with a number as PORT")
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(query)
    schema = given.pop("schema", _SCHEMA)
    if not schema or len(schema.encode()) > 63 or schema.startswith("pg_") or "\0" in schema:
        raise ValueError(f"expected a schema of 1 to 63 bytes that does not begin with pg_, instead got {schema!r}")
    given.setdefault("connect_timeout", "10")
    given.setdefault("application_name", "groundshift")
    rest = urlencode(given, quote_via=quote)
    host = unquote(hosts) or given.get("host", "this machine")
    database = unquote(parts.path.lstrip("/")) or given.get("dbname", "")
    return Server(
        conninfo=f"postgresql://{parts.netloc}{parts.path}?{rest}",
        name=f"database {database} on {host}".replace("  ", " "),
        schema=schema,
    )


def export_postgis(
    server: Server, targets: Sequence[Target], runs: Sequence[Run] = (), series: Sequence[TargetSeries] = ()
) -> Upserted:
    """Bring an inventory into a PostGIS database, in one transaction.

    Schema and tables are made where they are missing. Targets and runs are known by their identity and brought up to
    date; the detections of a target, and its series and events from a track, are replaced as a whole. Nothing else is
    deleted.

    Parameters
    ----------
    server : Server
        Of `parse_url`.
    targets : sequence of Target
        Each with its own id.
    runs : sequence of Run
        Known by when they began and their command.
    series : sequence of TargetSeries
        Of these targets, with their events.

    Raises
    ------
    PostgisError
        If psycopg is missing, the database cannot be reached or refuses, has no PostGIS, or the schema holds tables of
        something else or of a newer Groundshift. Nothing is changed then.

    Notes
    -----
    A review that is not `unreviewed` in the file wins; otherwise that of the database stays. The note goes with it, and
    one that is empty never replaces one that is not. The mark that a survey puts at the end of a note, such as
    `[not seen since 2021-06-27]`, is always that of the file.
    """
    try:
        import psycopg  # noqa: PLC0415  (an optional extra)

        from groundshift.export import _postgis  # noqa: PLC0415
    except ImportError as error:
        raise PostgisError("PostGIS needs psycopg; install with pip install groundshift[postgis]") from error
    try:
        connection = psycopg.connect(server.conninfo)
    except psycopg.ProgrammingError:
        # What it says of a URL repeats the URL.
        raise PostgisError(f"the URL of the database is not one that libpq knows; expected {_FORM}") from None
    except psycopg.Error as error:
        raise PostgisError(
            f"{server.name}: no connection ({_reason(error)}); check the URL, PGPASSWORD or ~/.pgpass, and the server"
        ) from None
    try:
        with connection:
            return Upserted(*_postgis.upsert(connection, server.schema, targets, runs, series))
    except _postgis.SchemaError as error:
        raise PostgisError(f"{server.name}: {error}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise PostgisError(
            f"{server.name}: no permission ({_reason(error)}); let its administrator grant it, or name another ?schema="
        ) from error
    except psycopg.Error as error:
        raise PostgisError(f"{server.name}: nothing was changed ({_reason(error)}); mend that and run again") from error


def _reason(error: Exception) -> str:
    """Return the first line of what the server says."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__
