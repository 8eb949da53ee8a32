"""Surveys to look at, and their viewers."""

import pytest
from tests.workflows.viewing.viewers import Viewer, write_survey

from groundshift.workflows.serving import serve_survey


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    write_survey(path)
    return path


@pytest.fixture
def viewer(folder):
    with serve_survey(folder, interval_s=0.1) as address:
        yield Viewer(folder, address)


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A viewer for who does not change anything."""
    path = tmp_path_factory.mktemp("standing")
    write_survey(path)
    with serve_survey(path) as address:
        yield Viewer(path, address)
