"""Surveys of several tracks by workers: what they leave, and what becomes of it when workers fail."""

import hashlib
import json
import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest

from groundshift.errors import OutputError
from groundshift.gradients.store import open_sums
from groundshift.inventory import read_inventory
from groundshift.simulate import SceneConfig, simulate_scene, write_scene
from groundshift.workflows import distributed
from groundshift.workflows.config import SettingError, SurveyConfig
from groundshift.workflows.inputs import open_tracks
from groundshift.workflows.progress import Reporter
from groundshift.workflows.survey import run_survey

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three small tracks that do not overlap in name. Not to be written to."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed in (1, 2, 3):
        config = SceneConfig(
            seed=seed, shape=(96, 120), n_dates=16, interval_days=12, n_slides=2, gap_share=0,
            speed_mm_yr=(120.0, 160.0),
        )  # fmt: skip
        write_scene(simulate_scene(config), folder / f"s{seed}")
    return [folder / f"s{seed}" for seed in (1, 2, 3)]


def settings(inputs, out, workers):
    return SurveyConfig.model_validate({
        "inputs": inputs, "output": out, "detect": {"detector": "rules"}, "series": {"series": False},
        "stack": {"sliding_years": None}, "cluster": {"workers": workers},
    })  # fmt: skip


def survey(inputs, out, workers):
    return run_survey(settings(inputs, out, workers), QUIET, "groundshift survey")


def sums_of(out):
    return {path.parent.name: open_sums(path).read(0) for path in sorted(out.glob("stacks/*/gradients.zarr"))}


def facts_of(out):
    return [(t.id, t.tracks, t.score, t.velocity_los_mm_yr, t.geometry.wkb) for t in read_inventory(out)]


@pytest.fixture(scope="module")
def alone(scenes, tmp_path_factory):
    """What one process leaves. Not to be written to."""
    return survey(scenes, tmp_path_factory.mktemp("alone") / "out", 1).folder


def assert_same(out, expected):
    found, wanted = sums_of(out), sums_of(expected)
    assert list(found) == list(wanted)
    for name, sums in wanted.items():
        np.testing.assert_array_equal(found[name], sums)
    assert facts_of(out / "inventory.gpkg") == facts_of(expected / "inventory.gpkg")


def files_noted(out):
    return json.loads((out / "provenance.json").read_text())["inputs"]


def test_two_workers_leave_what_one_process_leaves(scenes, alone, tmp_path):
    out = survey(scenes, tmp_path / "out", 2).folder
    assert_same(out, alone)
    read = sorted(path for scene in scenes for path in scene.glob("2*.tif"))
    expected = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in read}
    assert len({path.parent for path in read}) == 3
    assert files_noted(alone) == expected
    assert files_noted(out) == expected


def test_who_follows_a_killed_worker_goes_on(scenes, alone, tmp_path):
    """A worker is killed as soon as one has begun to sum."""

    def kill():
        out = tmp_path / "out" / "stacks"
        for _ in range(600):
            if list(out.glob("*/.gradients.zarr.partial")):
                workers = [
                    c for c in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(c.cmdline())
                ]
                os.kill(workers[0].pid, signal.SIGKILL)
                killed.append(workers[0].pid)
                return
            time.sleep(0.05)

    killed: list[int] = []
    thread = threading.Thread(target=kill)
    thread.start()
    done = survey(scenes, tmp_path / "out", 2)
    thread.join()
    assert len(killed) == 1
    assert_same(done.folder, alone)


def test_a_track_that_fails_is_named_and_the_others_finish(scenes, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in scenes[2].iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    for path in broken.glob("2*.tif"):
        whole = path.read_bytes()
        half = len(whole) // 2
        path.write_bytes(whole[:16] + b"\xff" * (half - 16) + whole[half:])
    config = settings([scenes[0], broken, scenes[1]], tmp_path / "out", 2)
    names = [stack.track for stack in open_tracks(config)]
    done = run_survey(config, Reporter(), "groundshift survey")
    assert sorted(path.name for path in (tmp_path / "out" / "stacks").iterdir() if (path / "valid.tif").exists()) == [
        names[0], names[2]
    ]  # fmt: skip
    err = capsys.readouterr().err
    assert f"warning: {names[1]} left out: " in err
    assert "Traceback" not in err
    assert names[1] in done.report.read_text()


def test_an_output_that_cannot_be_written_ends_the_run(scenes, tmp_path):
    config = settings(scenes, tmp_path / "out", 2)
    stacks = open_tracks(config)
    (tmp_path / "out" / "stacks" / stacks[0].track).parent.mkdir(parents=True)
    (tmp_path / "out" / "stacks" / stacks[0].track).write_text("in the way")
    with pytest.raises(OutputError, match=r"stacks/.*cannot be"):
        run_survey(config, QUIET, "groundshift survey")


def test_a_scheduler_that_is_not_there_is_one_line(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "_CONNECT", 0.5)
    config = settings(scenes, tmp_path / "out", None)
    config = config.model_copy(update={"cluster": config.cluster.model_copy(update={"scheduler": "tcp://127.0.0.1:9"})})
    with pytest.raises(SettingError, match=r"^--scheduler: cannot reach tcp://127\.0\.0\.1:9 "):
        run_survey(config, QUIET, "groundshift survey")


@pytest.mark.parametrize(("workers", "expected"), [(None, 1), (2, 2), (8, 3)])
def test_small_tracks_are_surveyed_by_one_process_unless_told(scenes, tmp_path, workers, expected):
    config = settings(scenes, tmp_path / "out", workers)
    assert distributed.choose_workers(config, open_tracks(config)) == expected


def test_as_many_workers_as_memory_allows(scenes, tmp_path, monkeypatch):
    config = settings(scenes, tmp_path / "out", None)
    monkeypatch.setattr(distributed, "_WORTH_MB", 0.0)
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _: list(range(64)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2.1 * 1.9e9}))
    assert distributed.choose_workers(config, open_tracks(config)) == 2
