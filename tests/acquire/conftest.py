"""Services on this machine, in place of those of the world."""

import pytest
from tests.acquire.services import serving


@pytest.fixture
def services(monkeypatch, tmp_path):
    with serving(monkeypatch, tmp_path) as held:
        yield held


@pytest.fixture
def waits():
    """What was waited for, in seconds, without waiting."""
    return []
