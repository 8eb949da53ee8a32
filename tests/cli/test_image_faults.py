"""What becomes of a survey of images when things go wrong: it ends as an undisturbed one, or without what is named."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.cli.conftest import DATES

from groundshift.gradients.store import open_sums
from groundshift.inventory import read_inventory

RUN = (sys.executable, "-c", "import sys; from groundshift.cli import main; sys.exit(main(sys.argv[1:]))")
LATE = f"{DATES[9]:%Y%m%d}.tif"
"""An image of the later half."""


def call(source, out):
    return [
        "survey", str(source), "-o", str(out), "--detector", "rules", "--no-series", "--no-wet-months", "--workers",
        "1", "--max-days", "24",
    ]  # fmt: skip


def begin(source, out, **more):
    """Start a survey in a process of its own."""
    return subprocess.Popen(
        [*RUN, *call(source, out)], stderr=subprocess.PIPE, text=True,
        start_new_session=True, **more,
    )  # fmt: skip


def survey(source, out):
    """Survey to the end, and return what was said."""
    process = begin(source, out)
    err = process.communicate(timeout=240)[1]
    assert process.returncode == 0, err
    return err


def wait_until_summing(process, out):
    """Wait until the second burst is being summed."""
    until = time.monotonic() + 120
    while not (out / "stacks" / "still" / ".gradients.zarr.partial").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.002)


def sums_of(out):
    return {path.parent.name: open_sums(path).read(0) for path in sorted(out.glob("stacks/*/gradients.zarr"))}


def assert_same(out, expected):
    found, wanted = sums_of(out), sums_of(expected)
    assert list(found) == list(wanted) == ["moving", "still"]
    for name, sums in wanted.items():
        np.testing.assert_array_equal(found[name], sums)
    told = [[(t.id, t.tracks, t.score, t.velocity_los_mm_yr, t.geometry.wkb) for t in read_inventory(o)]
            for o in (out / "inventory.gpkg", expected / "inventory.gpkg")]  # fmt: skip
    assert told[0] == told[1]
    assert len(told[0]) == 1


@pytest.fixture(scope="module")
def calm(bursts, tmp_path_factory):
    """What an undisturbed survey leaves. Not to be written to."""
    out = tmp_path_factory.mktemp("calm") / "out"
    survey(bursts, out)
    return out


@pytest.fixture(scope="module")
def without(bursts, tmp_path_factory):
    """What a survey leaves from which one image of each burst is missing from the start. Not to be written to."""
    root = tmp_path_factory.mktemp("without")
    shutil.copytree(bursts, root / "images")
    for burst in ("moving", "still"):
        (root / "images" / burst / LATE).unlink()
    survey(root / "images", root / "out")
    return root / "out"


def test_a_run_that_is_killed_goes_on(bursts, calm, groundshift, tmp_path):
    out = tmp_path / "out"
    process = begin(bursts, out)
    wait_until_summing(process, out)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert (out / "stacks" / "moving" / "gradients.zarr").exists()
    assert not (out / "inventory.gpkg").exists()
    ran = groundshift(*call(bursts, out))
    assert ran.code == 0, ran.err
    assert ran.err.count("are there already") == 1
    assert_same(out, calm)


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(bursts, calm, groundshift, tmp_path):
    out = tmp_path / "out"
    largest = max(path.stat().st_size for path in calm.rglob("*") if path.is_file() and "stacks" in path.parts)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, largest // 2))

    process = begin(bursts, out, preexec_fn=fill)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"groundshift: {out}")
    assert "File too large" in last
    assert "Traceback" not in err
    assert not (out / "inventory.gpkg").exists()
    ran = groundshift(*call(bursts, out))
    assert ran.code == 0, ran.err
    assert_same(out, calm)


def test_a_damaged_image_is_named_and_left_out(bursts, without, groundshift, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(bursts, images)
    for burst in ("moving", "still"):
        path = images / burst / LATE
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    ran = groundshift(*call(images, tmp_path / "out"))
    assert ran.code == 0, ran.err
    assert str(images / "moving" / LATE) in ran.err
    assert str(images / "still" / LATE) in ran.err
    assert_same(tmp_path / "out", without)


def test_an_image_that_is_removed_during_the_run_is_named_and_left_out(bursts, without, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(bursts, images)
    process = begin(images, out)
    until = time.monotonic() + 120
    while not out.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.002)
    for burst in ("moving", "still"):
        (images / burst / LATE).unlink()
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 0, err
    assert str(images / "moving" / LATE) in err
    assert str(images / "still" / LATE) in err
    assert_same(out, without)
