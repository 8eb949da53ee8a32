"""Targets and patches to export, and a PostgreSQL of the tests' own."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from affine import Affine
from shapely import Polygon, box

from groundshift.detect.detection import Detection
from groundshift.inventory import Run, Target, TargetEvent, TargetSeries
from groundshift.io.patches import PatchSeries
from groundshift.types import LookGeometry, MapGrid, Pair

EVENTS = (
    TargetEvent("full", "T26", "onset", date(2016, 1, 9), date(2016, 1, 2), date(2016, 1, 13), float("nan"), -31.25),
    TargetEvent("full", "T26", "stop", date(2016, 2, 1), date(2016, 1, 20), date(2016, 2, 6), -31.25, -0.5),
)
NOTE = 'Häuser, 裂缝; "road"\nline two'


@pytest.fixture
def detection():
    """Make a detection: a square of a hundredth of a degree."""

    def make(lon=102.0, lat=30.8, **given) -> Detection:
        known = {
            "polygon": box(lon - 0.005, lat - 0.005, lon + 0.005, lat + 0.005),
            "score": 0.8,
            "detector": "rules",
            "track": "T135",
            "window": "all",
            "directions": ("azimuth", "range"),
            "velocity": -20.0,
            "velocity_sigma": 2.0,
            "significance": 9.0,
            "mean_coherence": 0.6,
            "n_pairs": 120,
        }
        return Detection(**{**known, **given})

    return make


@pytest.fixture
def target(detection):
    """Make a target of one detection."""

    def make(name="wm2x1nf", lon=102.0, lat=30.8, **given) -> Target:
        found = detection(lon, lat)
        known = {
            "id": name,
            "geometry": found.polygon,
            "kind": "landslide",
            "score": 0.8,
            "detections": (found,),
            "first_seen": date(2016, 1, 1),
            "last_seen": date(2021, 6, 27),
            "area_m2": 1e6,
            "velocity_los_mm_yr": -20.25,
            "velocity_sigma_mm_yr": 2.0,
            "mean_coherence": 0.6,
            "n_pairs": 120,
        }
        return Target(**{**known, **given})

    return make


@pytest.fixture
def targets(target, detection) -> list[Target]:
    """Three targets: a plain one, one with all that there is, and one in two parts with hardly anything known."""
    holed = Polygon(box(0, 0, 3, 3).exterior, [box(1, 1, 2, 2).exterior])
    return [
        target(),
        target(
            "full",
            102.1,
            kind="subsidence",
            velocity_slope_mm_yr=-31.5,
            slope_deg=25.0,
            aspect_deg=90.0,
            behaviour="accelerating",
            review="confirmed",
            note=NOTE,
            detections=(detection(102.1), detection(102.1, track="T26", window="wet")),
        ),
        target(
            "bare-2",
            geometry=holed.union(box(5, 0, 6, 1)),
            kind="unknown",
            velocity_sigma_mm_yr=float("nan"),
            detections=(),
            note="a quarry [not seen since 2021-06-27]",
        ),
    ]


@pytest.fixture
def series() -> list[TargetSeries]:
    days = np.array(["2016-01-01", "2016-01-13", "2016-02-06"], "datetime64[D]")
    moved = np.array([0.0, -1.25, np.nan])
    return [
        TargetSeries("wm2x1nf", "T135", days, moved, np.array([0.0, 0.5, np.nan])),
        TargetSeries("full", "T26", days, -moved, np.abs(moved), EVENTS),
    ]


@pytest.fixture
def run() -> Run:
    return Run(
        started=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        version="0.1.0",
        command="groundshift survey a -o b",
        tracks=("T135", "T26"),
        first_date=date(2016, 1, 1),
        last_date=date(2021, 6, 27),
        n_pairs=201,
    )


@pytest.fixture
def patch():
    """Make the series of a patch of 4 x 5 pixels on three dates."""

    def make(grid=None, **given) -> PatchSeries:
        grid = grid or MapGrid((4, 5), Affine(40, 0, 210_000, 0, -40, 3_415_000), "EPSG:32648")
        rng = np.random.default_rng(2)
        maps = ("velocity", "velocity_sigma", "temporal_coherence", "coherence", "stacked_velocity", "height")
        arrays = {name: rng.normal(size=grid.shape).astype(np.float32) for name in maps}
        arrays["velocity"][0, 0] = np.nan
        displacement = rng.normal(size=(3, *grid.shape)).astype(np.float32)
        displacement[0] = 0
        displacement[:, 3, 1] *= 1e-3  # the reference pixel that moves least
        days = [date(2016, 1, 1), date(2016, 1, 13), date(2016, 2, 6)]
        known = {
            "target": "wm2x1nf",
            "track": "T135",
            "grid": grid,
            "wavelength": 0.05546576,
            "look": LookGeometry(-167.9, 39.25),
            "dates": np.array(days, "datetime64[D]"),
            "displacement": displacement,
            "sigma": np.ones((3, *grid.shape), np.float32),
            **arrays,
            "inside": np.ones(grid.shape, bool),
            "reference": np.array([[0, 4], [3, 1]]),
            "pairs": (Pair(days[0], days[1], 30.0), Pair(days[1], days[2], -80.0), Pair(days[0], days[2], -50.0)),
            "left_out": (),
            "facts": {},
        }
        return PatchSeries(**{**known, **given})

    return make


# A PostgreSQL of our own


_NUMBERS = itertools.count()
PASSWORD = "geheim&/=? 裂"  # every sign of it has to be written otherwise in a URL


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server with PostGIS that listens in a folder."""

    socket: Path

    def url(self, database: str, *, user: str = "survey", password: str = PASSWORD, options: str = "") -> str:
        """URL of a database."""
        secret = f"{user}:{quote(password, safe='')}"
        return f"postgresql://{secret}@{quote(str(self.socket), safe='')}/{database}{options}"

    def execute(self, database: str, *statements: str) -> None:
        """Run statements as the administrator."""
        import psycopg

        with psycopg.connect(self.url(database, user="admin"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Start PostgreSQL in a folder of its own, without network; skip, saying why, where that cannot be."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True)]
    places += [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    programs = next((p for p in places if (p / "initdb").exists() and (p / "pg_ctl").exists()), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed: no initdb and pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    who: dict[str, object] = {}
    if os.getuid() == 0:
        # PostgreSQL refuses to run as root.
        names = {entry.pw_name for entry in pwd.getpwall()}
        account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def call(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(programs / program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "out").open("ab"),
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            check=False,
            **who,
        )
        if done.returncode:
            told = (folder / "out").read_text(errors="replace").strip().splitlines()
            pytest.skip(f"PostgreSQL cannot be started here: {told[-1] if told else program}")

    try:
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        call(
            "initdb", "-D", "data", "-U", "admin", "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8", "--no-sync"
        )
        settings = f"-F -c listen_addresses= -c unix_socket_directories={folder} -c max_connections=12"
        call("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", settings, "start")
        try:
            server = Server(folder)
            import psycopg

            server.execute("postgres", f"CREATE ROLE survey LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE mould")
            server.execute("postgres", f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
            try:
                server.execute("mould", "CREATE EXTENSION postgis")
            except psycopg.Error:
                pytest.skip("PostGIS is not installed for this PostgreSQL")
            yield server
        finally:
            call("pg_ctl", "-D", "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres) -> Iterator[str]:
    """Name of a fresh database with PostGIS that the user `survey` owns."""
    name = f"fresh{next(_NUMBERS)}"
    postgres.execute("postgres", f"CREATE DATABASE {name} TEMPLATE mould OWNER survey")
    yield name
    postgres.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")
