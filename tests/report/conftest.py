"""Reports, and a browser to look at them with."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.report import contents
from tests.report.browser import CHROMIUM, Browser
from tests.report.contents import make_content

from groundshift.inventory.model import Target
from groundshift.report import Bounds, ReportContent, TrackContent, write_report
from groundshift.types import Pair


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; install chromium to look at the page")
    with Browser() as opened:
        yield opened


@pytest.fixture
def make_target() -> Callable[..., Target]:
    return contents.make_target


@pytest.fixture
def make_track() -> Callable[..., TrackContent]:
    return contents.make_track


@pytest.fixture
def make_pairs() -> Callable[..., list[Pair]]:
    return contents.make_pairs


@pytest.fixture
def bare(content: ReportContent) -> ReportContent:
    """The same content without charts, which take most of the time."""
    return replace(content, tracks=[contents.make_track(pairs_used=[], significance=None)])


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of one track and two targets."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, make_content())
    return path


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three large tracks and 2,000 targets with series of 120 dates."""
    tracks = [
        contents.make_track(f"T{i}", bounds=Bounds(100.0 + i, 30.0, 101.0 + i, 31.0), shape=(600, 700), pairs_used=[])
        for i in range(3)
    ]
    rng = np.random.default_rng(0)
    targets = [
        contents.make_target(
            i, lon=100.1 + i % 3 + 0.8 * rng.random(), lat=30.1 + 0.8 * rng.random(), track=f"T{i % 3}",
            score=rng.random(), velocity_los_mm_yr=rng.normal(0, 20),
        )
        for i in range(2000)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("large") / "report.html"
    series = {t.id: [contents.make_series(t, t.tracks[0], dates=120, seed=k)] for k, t in enumerate(targets)}
    write_report(path, ReportContent("Large", {}, tracks, targets, series=series))
    return path


@pytest.fixture(scope="session")
def moving() -> ReportContent:
    return contents.make_moving()


@pytest.fixture(scope="session")
def moving_file(tmp_path_factory: pytest.TempPathFactory, moving: ReportContent) -> Path:
    """A report with series."""
    path = tmp_path_factory.mktemp("moving") / "report.html"
    write_report(path, moving)
    return path


@pytest.fixture
def content() -> ReportContent:
    return make_content()
