"""Scenes and surveys of the tests of updates."""

import shutil
from pathlib import Path

import pytest
from tests.workflows.update.surveys import LATER, SCENE, part_of, survey

from groundshift.simulate import SceneConfig, simulate_scene, write_scene
from groundshift.workflows import stacking, update


@pytest.fixture
def reads(monkeypatch):
    """The pairs that were read, by name: how many windows of each."""
    found = {}
    read = stacking.read_pair

    def counted(stack, pair, window):
        found[pair.name] = found.get(pair.name, 0) + 1
        return read(stack, pair, window)

    monkeypatch.setattr(stacking, "read_pair", counted)
    return found


@pytest.fixture
def only_sums(monkeypatch):
    """Updates that end when the sums are done, for what concerns them alone."""
    monkeypatch.setattr(update, "detect_track", lambda *_, **facts: facts)
    monkeypatch.setattr(update, "conclude", lambda results, *_, **__: results)


@pytest.fixture(scope="session")
def scene():
    """Two and a half years of a small scene: 51 pairs."""
    return simulate_scene(SCENE)


@pytest.fixture(scope="session")
def full(scene, tmp_path_factory):
    """Its folder. Not to be written to."""
    folder = tmp_path_factory.mktemp("full") / "scene"
    write_scene(scene, folder)
    return folder


@pytest.fixture(scope="session")
def early(full, tmp_path_factory):
    """The first two thirds of it. Not to be written to."""
    return part_of(full, tmp_path_factory.mktemp("early") / "scene", lambda pair: pair.secondary < LATER)


@pytest.fixture(scope="session")
def before(early, tmp_path_factory):
    """A survey of them. Not to be written to."""
    return survey(early, tmp_path_factory.mktemp("before") / "out").folder


@pytest.fixture(scope="session")
def again(before, full, tmp_path_factory):
    """A survey of everything, from scratch, that goes on with the inventory of the first. Not to be written to."""
    out = shutil.copytree(before, tmp_path_factory.mktemp("again") / "out")
    shutil.rmtree(out / "stacks")
    return survey(full, out).folder


@pytest.fixture
def out(before, tmp_path):
    """A copy of the first survey, to be updated."""
    return Path(shutil.copytree(before, tmp_path / "out"))


@pytest.fixture(scope="session")
def looks(tmp_path_factory):
    """Two looks at the same ground on the same grid."""
    folders = []
    for heading, name in ((190.0, "down"), (350.0, "up")):
        folder = tmp_path_factory.mktemp("looks") / name
        config = SceneConfig(
            seed=5, shape=(48, 56), n_dates=20, interval_days=24, max_days=48, n_slides=2, gap_share=0,
            speed_mm_yr=(120.0, 160.0), heading=heading,
        )  # fmt: skip
        write_scene(simulate_scene(config), folder)
        folders.append(folder)
    return folders
