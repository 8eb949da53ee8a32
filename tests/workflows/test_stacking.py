"""From files to sums: block sizes, threads, damaged files, and runs that were stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
import rasterio

from groundshift.errors import DamagedFileError, NoDataError
from groundshift.gradients.store import open_sums
from groundshift.io import open_stack
from groundshift.types import Looks
from groundshift.workflows import stacking
from groundshift.workflows.choices import choose_looks, choose_smoothing
from groundshift.workflows.config import StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import blocks_left
from groundshift.workflows.stacking import stack_track

QUICK = {"sliding_years": None, "wet_months": ()}

RUN = """
import sys, time
from pathlib import Path
from groundshift.cli import main
from groundshift.gradients.store import SumsFile

write, blocks = SumsFile.write_rows, []

def slow(self, first, sums):
    write(self, first, sums)
    blocks.append(first)
    if len(blocks) == 2:
        Path(sys.argv[1]).touch()
        time.sleep(60)

SumsFile.write_rows = slow
sys.exit(main(sys.argv[2:]))
"""
"""A run that waits after its second block of rows, so that a signal meets it in the middle."""


def stacked(source, folder, **settings):
    return stack_track(open_stack(source), StackConfig(**QUICK | settings), folder, Reporter(quiet=True))


def sums_of(output):
    return output.sums.read()


def small_blocks(monkeypatch, rows=10):
    monkeypatch.setattr(stacking, "_block_rows", lambda plan, memory_mb: rows)


def break_after_row(path, row):
    """Write a raster uncompressed, one strip for each row, and cut it off after `row`."""
    with rasterio.open(path) as source:
        values, profile = source.read(1), source.profile
    for name in ("compress", "predictor", "blockxsize", "blockysize"):
        profile.pop(name, None)
    profile.update(tiled=False, blockysize=1)
    path.unlink()
    with rasterio.open(path, "w", **profile) as sink:
        sink.write(values, 1)
    keep = path.stat().st_size - (values.shape[0] - row) * values.shape[1] * 4
    with path.open("r+b") as file:
        file.truncate(keep)


@pytest.mark.parametrize(("spacing", "looks"), [(40.0, (1, 1)), (13.9, (3, 3)), (60.0, (1, 1)), (10.0, (4, 4))])
def test_looks_bring_the_pixel_near_the_one_asked_for(map_grid, spacing, looks):
    assert choose_looks(map_grid((50, 50), spacing), 40.0) == Looks(*looks)


def test_the_averaging_window_counts_product_pixels_up_to_its_limit_in_metres(map_grid):
    fine, coarse = map_grid((50, 50), 10.0), map_grid((50, 50), 40.0)
    assert choose_smoothing(fine, Looks(4, 4), 10, 200.0) == 2  # 100 m of 40 m pixels, to even
    assert choose_smoothing(coarse, Looks(1, 1), 10, 400.0) == 10
    assert choose_smoothing(coarse, Looks(1, 1), 10, 200.0) == 5
    assert choose_smoothing(coarse, Looks(1, 1), 10, 1.0) == 1


def test_the_sums_do_not_depend_on_the_size_of_blocks_or_batches(simulated, tmp_path, monkeypatch):
    whole = sums_of(stacked(simulated, tmp_path / "whole"))
    small_blocks(monkeypatch, 9)
    parts = sums_of(stacked(simulated, tmp_path / "parts", memory_mb=1))
    np.testing.assert_allclose(parts, whole, rtol=2e-5, atol=2e-5 * np.abs(whole).max(axis=(1, 2), keepdims=True).max())
    assert len(open_sums(tmp_path / "parts" / "gradients.zarr").rows_done) == 8


def test_memory_decides_the_rows_of_a_block(simulated, tmp_path):
    settings = {"wet_months": (4, 5, 6, 7, 8, 9), "least_pairs": 2, "sliding_years": 1}
    little = stacked(simulated, tmp_path / "little", memory_mb=1, **settings)
    much = stacked(simulated, tmp_path / "much", memory_mb=600, **settings)
    assert len(little.sums.rows_done) > len(much.sums.rows_done) == 1
    for window in range(len(much.sums.plan.windows)):
        one, two = little.sums.stack(window), much.sums.stack(window)
        np.testing.assert_allclose(one.rate, two.rate, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one.sigma, two.sigma, rtol=1e-3, atol=1e-5)


def test_the_sums_do_not_depend_on_the_number_of_threads(simulated, tmp_path):
    found = []
    before = numba.get_num_threads()
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            found.append(sums_of(stacked(simulated, tmp_path / str(threads))))
    finally:
        numba.set_num_threads(before)
    np.testing.assert_allclose(found[0], found[-1], rtol=1e-6, atol=1e-6)


def test_a_file_broken_in_its_later_rows_leaves_no_trace_in_the_earlier_ones(scene, simulated, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr(stacking, "SAMPLE_NODES", 1)  # the noise is measured on a corner that can be read
    pair = open_stack(simulated).pairs[5]
    break_after_row(scene / f"{pair.name}_phase.tif", 56)
    broken = stacked(scene, tmp_path / "broken")
    assert [p.message for p in broken.problems] == [
        f"{scene / pair.name}_phase.tif: truncated or unreadable raster; fetch the file again"
    ]

    for path in scene.glob(f"{pair.name}_*"):
        path.unlink()
    without = stacked(scene, tmp_path / "without")
    assert pair not in broken.sums.plan.pairs
    np.testing.assert_array_equal(sums_of(broken), sums_of(without))


def test_a_broken_file_stops_a_strict_run(scene, tmp_path):
    pair = open_stack(scene).pairs[5]
    break_after_row(scene / f"{pair.name}_phase.tif", 56)
    with pytest.raises(DamagedFileError, match=rf"{pair.name}_phase\.tif: truncated or unreadable raster"):
        stacked(scene, tmp_path, strict=True)


def test_a_pair_known_to_be_damaged_is_not_read_through_again(scene, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    monkeypatch.setattr(stacking, "SAMPLE_NODES", 1)
    pair = open_stack(scene).pairs[5]
    path = scene / f"{pair.name}_phase.tif"
    whole = path.read_bytes()
    break_after_row(path, 56)
    first = stacked(scene, tmp_path)
    again = stacked(scene, tmp_path)
    assert (first.reused, again.reused) == (False, True)
    assert [p.message for p in again.problems] == [p.message for p in first.problems]

    path.write_bytes(whole)
    mended = stacked(scene, tmp_path)
    assert (mended.reused, mended.problems) == (False, [])
    assert pair in mended.sums.plan.pairs


def test_a_file_that_may_not_be_read_is_named_and_left_out(scene, tmp_path):
    from dataclasses import replace

    stack = open_stack(scene)
    refused = stack.pairs[3]

    def read(pair, window):
        if pair == refused:
            raise PermissionError(13, "Permission denied", str(scene / "x.tif"))
        return stack.read_pair(pair, window)

    done = stack_track(replace(stack, read_pair=read), StackConfig(**QUICK), tmp_path, Reporter(quiet=True))
    assert [p.message for p in done.problems] == [f"{scene / 'x.tif'}: cannot be read (Permission denied)"]
    assert len(done.sums.plan.pairs) == len(stack.pairs) - 1


def test_too_few_readable_pairs_end_the_run(scene, tmp_path):
    names = [p.name for p in open_stack(scene).pairs]
    for name in names[2:]:
        for path in scene.glob(f"{name}_*"):
            path.unlink()
    break_after_row(scene / f"{names[0]}_phase.tif", 20)
    with pytest.raises(NoDataError, match=r"scene: fewer than 2 readable pairs are left; last: .*truncated"):
        stacked(scene, tmp_path)


def test_other_settings_or_files_are_stacked_anew_and_memory_is_no_setting(scene, tmp_path):
    assert not stacked(scene, tmp_path).reused
    assert stacked(scene, tmp_path, memory_mb=50, strict=True).reused
    assert not stacked(scene, tmp_path, max_days=24).reused
    path = next(scene.glob("*_coh.tif"))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    assert not stacked(scene, tmp_path, max_days=24).reused


def test_rows_that_are_left_are_found_whatever_blocks_were_written_before(simulated, tmp_path):
    sums = stacked(simulated, tmp_path).sums
    height = sums.plan.grid.shape[0]
    for done in ([], [(0, 10)], [(0, 7), (20, 41)], [(60, 64), (0, 1)], [(0, height)]):
        sums._group.attrs["rows_done"] = [list(block) for block in done]
        for rows in (3, 10, 64):
            left = blocks_left(sums, rows)
            covered = [row for block in (*done, *left) for row in range(*block)]
            assert sorted(covered) == list(range(height))
            assert all(0 < past - first <= rows for first, past in left)


def begun(tmp_path, simulated, *, memory):
    """Start a run that waits in the middle of stacking, and return it when it does."""
    waits = tmp_path / "waits"
    log = (tmp_path / "err").open("w")
    arguments = ["stack", str(simulated), "-o", str(tmp_path / "out"), "--memory-mb", memory, "--window",
                 "a=2018-01-01:2018-04-30", "--window", "b=2018-02-01:2018-05-30"]  # fmt: skip
    # A process that was started in the background may ignore Ctrl-C, and hand that on.
    command = [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler)\n{RUN}"]
    process = subprocess.Popen([*command, str(waits), *arguments], stderr=log)
    until = time.monotonic() + 120
    while not waits.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert waits.exists(), (tmp_path / "err").read_text()
    return process, arguments


def everything(folder: Path) -> dict[str, bytes]:
    """Every map that a run left."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*.tif"))}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_a_run_that_is_stopped_goes_on_and_ends_as_an_undisturbed_one(groundshift, simulated, tmp_path, how):
    process, arguments = begun(tmp_path, simulated, memory="1")
    busy = groundshift(*arguments)
    assert busy.code == 1
    assert busy.err == (
        f"groundshift: {tmp_path / 'out'}: another run (process {process.pid} on {os.uname().nodename}) is writing "
        "here; wait for it or choose another output folder\n"
    )
    process.send_signal(how)
    code = process.wait(timeout=60)
    said = (tmp_path / "err").read_text().splitlines()
    if how == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert (code, said) == (1, ["groundshift: interrupted; run the same command again to continue"])
    track = tmp_path / "out" / "stacks" / "simulated-3"
    assert not list(track.glob("*.tif"))
    assert not (track / "gradients.zarr").exists()
    kept = open_sums(track / ".gradients.zarr.partial").rows_done
    assert len(kept) == 2

    events = tmp_path / "out" / "log.jsonl"
    events.unlink()
    again = groundshift(*arguments[:-6], "--memory-mb", "2", *arguments[-4:])
    assert again.code == 0
    # Neither the noise is measured anew nor a block that was done.
    titles = [json.loads(line).get("title") for line in events.read_text().splitlines()]
    assert "simulated-3: noise" not in titles
    assert open_sums(track / "gradients.zarr").rows_done[:2] == kept
    assert groundshift("stack", simulated, "-o", tmp_path / "calm", *arguments[4:]).code == 0
    found, expected = everything(tmp_path / "out"), everything(tmp_path / "calm")
    assert sorted(found) == sorted(expected)
    one, two = (open_sums(tmp_path / n / "stacks" / "simulated-3" / "gradients.zarr").read() for n in ("out", "calm"))
    np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-4)
    assert [p.name for p in (tmp_path / "out").rglob(".*")] == []
