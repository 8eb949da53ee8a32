"""The folder of a run: one run at a time, nothing half written, full disks."""

import errno
import fcntl
import json
import os
import resource
import subprocess
from pathlib import Path

import pyogrio
import pytest
import rasterio
import yaml

from groundshift.errors import OutputError
from groundshift.workflows import output
from groundshift.workflows.output import claimed


def whole(folder: Path) -> bool:
    """Whether every file of a folder can be read, and none is a temporary one."""
    for path in folder.rglob("*"):
        if path.suffix == ".tif":
            with rasterio.open(path) as source:
                source.read()
        elif path.suffix == ".gpkg":
            assert len(pyogrio.list_layers(path)) >= 1
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.suffix in (".yaml", ".json"):
            assert yaml.safe_load(path.read_text()) is not None
        assert not output._TEMPORARY.fullmatch(path.name)
    return True


@pytest.fixture
def small_disk(tmp_path):
    """Make a disk of so many kilobytes; mounting one is the superuser's right."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(kilobytes: int, *options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kilobytes}k", *options]), "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk cannot be mounted here")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.fixture
def largest_file():
    """Let no file grow beyond so many bytes; None as far as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_has_one_run_at_a_time(tmp_path):
    with claimed(tmp_path / "out"):
        with pytest.raises(
            OutputError, match=rf"out: another run \(process {os.getpid()} on .*\) is writing here; wait"
        ):
            claimed(tmp_path / "out").__enter__()
        with claimed(tmp_path / "other"):
            pass
    with claimed(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_a_lock_that_a_dead_run_left_is_taken_over(tmp_path):
    (tmp_path / ".lock").write_text("1 elsewhere\n")
    with claimed(tmp_path):
        assert (tmp_path / ".lock").read_text().split()[0] == str(os.getpid())
    assert not (tmp_path / ".lock").exists()


def test_a_lock_is_released_when_the_run_fails(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), claimed(tmp_path):
            raise KeyboardInterrupt


def test_a_lock_that_is_removed_while_it_is_asked_for_is_not_the_one_that_counts(tmp_path, monkeypatch):
    given = fcntl.flock
    removed = []

    def flock(descriptor, operation):
        given(descriptor, operation)
        if not removed:
            removed.append(True)
            (tmp_path / ".lock").unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with claimed(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with claimed(tmp_path):
        (tmp_path / "x").touch()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_run_left_half_written_is_cleared_away_and_nothing_else(tmp_path):
    left = [".report.html.ab12cd_9", "stacks/T1/.velocity.tif.zzzzzzzz", "stacks/T1/wet/.valid.tif.00000000"]
    mine = [
        ".git/objects",
        ".ab12cd99",
        "stacks/T1/.gradients.zarr.partial",
        "stacks/T1/gradients.zarr/c",
        ".config.d.x",
    ]
    for name in (*left, *mine):
        (tmp_path / name).mkdir(parents=True)
    with claimed(tmp_path):
        pass
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert [name for name in mine if not (tmp_path / name).exists()] == []


@pytest.mark.parametrize(("command", "size"), [("simulate", 12_000), ("stack", 3_000), ("survey", 130_000)])
def test_a_file_that_cannot_grow_ends_the_run_with_one_line_and_leaves_whole_files(
    groundshift, simulated, tmp_path, largest_file, command, size
):
    out = tmp_path / "out"
    given = ["--shape", "64", "80", "--n-dates", "4", "--n-slides", "1"] if command == "simulate" else [simulated]
    largest_file(size)
    ran = groundshift(command, *given, "-o", out)
    largest_file(None)
    assert ran.code == 1
    assert len(ran.lines) == 1, ran.err
    assert ran.lines[0].startswith(f"groundshift: {out}/")
    assert "free some space" in ran.lines[0]
    assert len(ran.lines[0]) < 300 + len(str(out))
    assert whole(out)
    assert groundshift(command, *given, "-o", out, "-q").code == 0
    assert whole(out)


@pytest.mark.parametrize("kilobytes", [8, 640, 1260])
def test_a_full_disk_ends_the_survey_with_one_line_and_room_lets_it_go_on(
    groundshift, simulated, small_disk, kilobytes
):
    out = small_disk(kilobytes) / "out"
    ran = groundshift("survey", simulated, "-o", out)
    assert ran.code == 1
    assert len(ran.lines) == 1, ran.err
    assert ran.lines[0].startswith(f"groundshift: {out}")
    assert "free some space" in ran.lines[0]
    assert whole(out)
    small_disk(20_000, "remount")
    assert groundshift("survey", simulated, "-o", out, "-q").code == 0
    assert whole(out)
    events = [json.loads(line)["event"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert events[-1] == "message"


def test_a_full_disk_that_cannot_hold_the_log_is_told(groundshift, simulated, small_disk):
    disk = small_disk(4)
    ran = groundshift("survey", simulated, "-o", disk / "out")
    assert ran.code == 1
    assert len(ran.lines) == 1
    assert "free some space" in ran.lines[0]
